// The client for those who count bytes. Not here, beside HTTP long-polling and the upgrade from it:
// retries, catch-all listeners, custom parsers and transports; of options `host`, `hostname`, `port`,
// `secure`, `addTrailingSlash`, `timestampRequests`, `tryAllTransports`, `forceBase64`,
// `useNativeTimers` and `closeOnBeforeunload`; the manager's settings as methods and `open(done)`;
// what the engine tells of its packets, and its hearing of a network that is gone before the
// heartbeat does. All else is as in index.js.

export { io as default, io as connect, io, protocol } from "./io.js";
export { Manager } from "./manager.js";
export { Socket } from "./socket.js";
