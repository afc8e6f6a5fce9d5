// The timers to use: those of now, which a test may have replaced, or the browser's own.

const NATIVE = { setTimeout: setTimeout.bind(globalThis), clearTimeout: clearTimeout.bind(globalThis) };

export const timersOf = ({ useNativeTimers }) => (useNativeTimers ? NATIVE : globalThis);
