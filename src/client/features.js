// What this build has. The WebSocket-only bundle takes its own list in place of this one.

/** HTTP long-polling, and with it the upgrade, payload limits and base64. */
export const POLLING = true;
