// emio's browser client: Socket.IO 4.x over HTTP long-polling and WebSocket.
//
// Without dependencies, for browsers from 2023 on and their workers. Not here: WebTransport,
// Engine.IO 3, Node.js. The bundles in dist are made of this by tools/client.
//
//     io(url) ─▶ Manager   one per origin and path: opens, reconnects, encodes and decodes packets
//                  ├─▶ Socket     one per namespace: events and acknowledgements
//                  └─▶ Engine     one Engine.IO session: handshake, heartbeat, upgrade, write queue
//                        └─▶ Polling | WebSocket
//
// Members that begin with an underscore are shared between the classes here and are nobody else's;
// the bundler gives them short names.

export { io as default, io as connect, io, protocol } from "./io.js";
export { Manager } from "./manager.js";
export { Socket } from "./socket.js";
export { Fetch, Polling as NodeXHR, Polling as XHR } from "./polling.js";
export {
  WebSocketTransport as NodeWebSocket,
  WebSocketTransport as WebSocket,
} from "./websocket.js";

/** emio's server has none; the name is here so that an import of it does not fail. */
export const WebTransport = undefined;
