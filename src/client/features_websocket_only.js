// What the WebSocket-only bundle has.

export const FULL = false;
