// The timers to use: those of now, which a test may have replaced, or the browser's own.

import { FULL } from "./features.js";

const NATIVE = FULL && {
  setTimeout: setTimeout.bind(globalThis),
  clearTimeout: clearTimeout.bind(globalThis),
};

export const timersOf = (opts) => (FULL && opts.useNativeTimers ? NATIVE : globalThis);
