/*
 * What the cases have in their page beside the client. A classic script, for workers too.
 * Nothing here sleeps for its own sake: all wait for a condition, and say which one never came.
 */
"use strict";

// A case may put a clock of its own in the place of the page's.
const clock = {
  setTimeout: setTimeout.bind(globalThis),
  clearTimeout: clearTimeout.bind(globalThis),
};
const WAIT_MS = 12_000;

/** The arguments of the next `event`. */
function next(emitter, event) {
  return new Promise((resolve, reject) => {
    const heard = (...args) => {
      clock.clearTimeout(timer);
      resolve(args);
    };
    const timer = clock.setTimeout(() => {
      emitter.off(event, heard);
      reject(new Error(`no "${event}" came`));
    }, WAIT_MS);
    emitter.once(event, heard);
  });
}

/** What `probe` returns, once that is something. */
async function until(probe) {
  for (let waited = 0; waited < WAIT_MS; waited += 5) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => clock.setTimeout(resolve, 5));
  }
  throw new Error(`never came: ${probe}`);
}

/** A socket of a new manager, connected. */
async function enter(nsp, opts) {
  const socket = io(nsp ?? "/", { forceNew: true, reconnectionDelay: 10, ...opts });
  await connected(socket);
  return socket;
}

async function connected(socket) {
  if (!socket.connected) await next(socket, "connect");
  return socket;
}

/** A list that grows by `[event, ...args]`. */
function record(emitter, ...events) {
  const heard = [];
  for (const event of events) emitter.on(event, (...args) => heard.push([event, ...args]));
  return heard;
}

/** The acknowledgement of an emit, all its arguments. */
function ask(socket, ...args) {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(new Error(`no answer to ${args[0]}`)), WAIT_MS);
    socket.emit(...args, (...answer) => {
      clock.clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** The message of what `run` throws or rejects with. */
async function failure(run) {
  try {
    await (typeof run === "function" ? run() : run);
    return "no error";
  } catch (err) {
    return err.message;
  }
}

/** Errors as plain objects, down to what they carry. */
function shape(err) {
  if (!(err instanceof Error)) return err;
  const { message, type, description, data } = err;
  return { isError: true, message, type, description, data };
}

const bytesOf = (...values) => Uint8Array.from(values);
const plain = (buffer) => [...new Uint8Array(buffer)];

function isSame(buffer, bytes) {
  const other = new Uint8Array(buffer);
  return buffer instanceof ArrayBuffer && other.length === bytes.length
    && other.every((byte, n) => byte === bytes[n]);
}

/** A list of what the page throws where nobody catches it: in a task, or in a promise. */
function uncaught() {
  const errors = [];
  addEventListener("error", ({ error }) => errors.push(error.message));
  addEventListener("unhandledrejection", ({ reason }) => errors.push(reason.message));
  return errors;
}

/** Waits until the server answers, whatever connections are lost meanwhile. */
function works(socket) {
  return until(() => socket.timeout(1_000).emitWithAck("echo", true).catch(() => false));
}

/** Closes the engine below a socket, once it need not wait for a write or an upgrade to end. */
async function lose(socket) {
  const { engine } = socket.io;
  await until(() => engine.readyState === "open" && !engine.upgrading
    && !engine.writeBuffer?.length);
  engine.close();
}
