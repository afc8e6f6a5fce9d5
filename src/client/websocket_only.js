// The client for those who count bytes: without HTTP long-polling and the upgrade from it, and
// without retries, catch-all listeners, custom parsers and transports, native timers, the manager's
// settings as methods, and what the engine tells of its packets. All else is as in index.js.

export { io as default, io as connect, io, protocol } from "./io.js";
export { Manager } from "./manager.js";
export { Socket } from "./socket.js";
