// What this bundle has. The WebSocket-only bundle takes `*_websocket_only.js` in place of the modules
// that have such a neighbour.

/** All that the official client has; what the other bundle is without stands in websocket_only.js. */
export const FULL = true;
