// What this bundle has. The WebSocket-only bundle takes `*_websocket_only.js` in place of the
// modules that have such a neighbour.

/** All that the official client has; websocket_only.js says what the other bundle is without. */
export const FULL = true;
