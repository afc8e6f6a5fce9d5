// The browser's own timers, in case a test replaces the global ones.

import { FULL } from "./features.js";

export const NATIVE_TIMERS = FULL && {
  setTimeout: setTimeout.bind(globalThis),
  clearTimeout: clearTimeout.bind(globalThis),
};
