// What the WebSocket-only bundle has: see features.js, in whose place the bundler takes this.

export const POLLING = false;
