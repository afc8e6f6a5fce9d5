// The client without HTTP long-polling: `transports: ["websocket"]` is all it can do. Everything
// else is as in index.js.

export { io as default, io as connect, io } from "./io.js";
export { Manager } from "./manager.js";
export { Socket } from "./socket.js";
export { WebSocketTransport as WebSocket, WebSocketTransport as NodeWebSocket } from "./websocket.js";

export const protocol = 5;
