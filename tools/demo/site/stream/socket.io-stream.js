/*
 * The browser's end of the protocol of the npm package socket.io-stream, over the streams that
 * browsers have. It works with emio's client and the official one, and with servers that use the
 * package.
 *
 *   const streams = new SocketStreams(socket);
 *   const stream = streams.create();                    // { id, readable, writable, seen }
 *   streams.emit("upload", stream, { any: "argument" });
 *   await file.stream().pipeTo(stream.writable);        // waits for the server, chunk by chunk
 *
 *   streams.emit("download", stream, "a name", (answer) => …);
 *   for await (const bytes of stream.readable) …        // one chunk is asked for at a time
 *
 *   streams.on("file", (stream, …args) => …);           // streams that the server announces
 *
 * A stream may stand anywhere in arguments and answers. `stream.abort(reason)` ends it at once
 * with an error that the other side is told; so do `writable.abort` and `readable.cancel`, but a
 * pipe that is aborted waits for what it is writing first. `seen` counts
 * `chunks` and `bytes`, and how many chunks are under way, `inFlight`: those that were asked for
 * and are not here, and those that were sent and are not taken. At most one each way, however
 * large a file is. `isWaiting` says whether there is something to send and no credit for it.
 */
"use strict";

class SocketStreams {
  #socket;
  #streams = new Map();
  #listeners = new Map();

  constructor(socket) {
    this.#socket = socket;
    const stream = (id) => this.#streams.get(id);
    socket.on("$stream", (event, ...args) => this.#announced(event, args));
    socket.on("$stream-read", (id) => stream(id)?.credited());
    socket.on("$stream-write", (id, chunk, encoding, done) => {
      if (stream(id)) stream(id).received(chunk, encoding, done);
      else done?.(`invalid stream id: ${id}`);
    });
    socket.on("$stream-end", (id) => stream(id)?.ended());
    socket.on("$stream-error", (id, message) => stream(id)?.fail(new Error(String(message))));
    socket.on("disconnect", () => {
      for (const it of this.#streams.values()) it.fail(new Error("Connection aborted"));
    });
  }

  /** A stream to be announced. `chunkBytes` is the size that larger pieces are cut into. */
  create({ chunkBytes = 64 * 1024 } = {}) {
    return this.#open(randomId(), chunkBytes);
  }

  emit(event, ...args) {
    const answer = args.at(-1);
    if (typeof answer === "function") {
      args[args.length - 1] = (...answers) => answer(...answers.map((it) => this.#decoded(it)));
    }
    this.#socket.emit("$stream", event, ...args.map(encoded));
  }

  on(event, listener) {
    this.#listeners.set(event, listener);
  }

  #announced(event, args) {
    const listener = this.#listeners.get(event);
    if (!listener) return;
    const answer = args.at(-1);
    if (typeof answer === "function") {
      args[args.length - 1] = (...answers) => answer(...answers.map(encoded));
    }
    listener(...args.map((it) => this.#decoded(it)));
  }

  #open(id, chunkBytes) {
    const forget = () => this.#streams.delete(id);
    const stream = new SocketStream(this.#socket, id, chunkBytes, forget);
    this.#streams.set(id, stream);
    return stream;
  }

  #decoded(value) {
    if (value === null || typeof value !== "object" || isBinary(value)) return value;
    const id = value.$stream;
    if (typeof id === "string") {
      if (!this.#streams.has(id)) return this.#open(id, 64 * 1024);
      this.#socket.emit("$stream-error", id, `Decoded stream already exists: ${id}`);
      return null;
    }
    if (Array.isArray(value)) return value.map((it) => this.#decoded(it));
    return Object.fromEntries(
      Object.entries(value).map(([name, it]) => [name, this.#decoded(it)]));
  }
}

class SocketStream {
  seen = { chunks: 0, bytes: 0, inFlight: 0, isWaiting: false };
  #socket;
  #chunkBytes;
  #forget;
  #reading; // the controllers of the two directions
  #writing;
  #hasCredit = false;
  #onChunk; // what each wait is ended with
  #onCredit;
  #onTaken;
  #error; // why it is over

  constructor(socket, id, chunkBytes, forget) {
    this.id = id;
    this.#socket = socket;
    this.#chunkBytes = chunkBytes;
    this.#forget = forget;
    // Nothing is asked for in advance: whoever does not read holds the server back.
    this.readable = new ReadableStream({
      start: (controller) => void (this.#reading = controller),
      pull: () => this.#want(),
      cancel: (reason) => this.abort(reason),
    }, { highWaterMark: 0 });
    this.writable = new WritableStream({
      start: (controller) => {
        this.#writing = controller;
        // Its own `abort` would wait for a chunk that may never be taken.
        const { signal } = controller;
        signal.addEventListener("abort", () => this.abort(signal.reason));
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
    });
  }

  // Reading.

  async #want() {
    this.seen.inFlight++;
    this.#socket.emit("$stream-read", this.id, this.#chunkBytes);
    await new Promise((resolve) => (this.#onChunk = resolve));
    this.seen.inFlight--;
  }

  received(chunk, encoding, done) {
    const bytes = asBytes(chunk, encoding);
    const onChunk = this.#onChunk;
    if (!bytes || !onChunk) {
      const message = bytes ? "chunk without a credit" : "chunk in an unknown encoding";
      this.abort(message);
      done?.(message);
      return;
    }
    this.#onChunk = undefined;
    this.#count(bytes);
    done?.();
    if (bytes.length) this.#reading.enqueue(bytes);
    // An empty chunk is none: the next one is asked for.
    else this.#socket.emit("$stream-read", this.id, this.#chunkBytes);
    if (bytes.length) onChunk();
    else this.#onChunk = onChunk;
  }

  /** The end of one direction ends the other, as the package does it. */
  ended() {
    this.#over(new Error("stream closed"));
    this.#reading.close();
    this.#writing.error(this.#error);
  }

  // Writing.

  async #write(chunk) {
    const bytes = asBytes(chunk);
    for (let at = 0; at < bytes.length; at += this.#chunkBytes) {
      await this.#send(bytes.subarray(at, at + this.#chunkBytes));
    }
  }

  /** Sends one chunk when the server asks for one; over when the server has taken it. */
  async #send(bytes) {
    this.seen.isWaiting = !this.#hasCredit;
    if (!this.#hasCredit) await new Promise((resolve) => (this.#onCredit = resolve));
    this.seen.isWaiting = false;
    if (this.#error) throw this.#error;
    this.#hasCredit = false;
    this.seen.inFlight++;
    const problem = await new Promise((resolve) => {
      this.#onTaken = resolve;
      this.#socket.emit("$stream-write", this.id, bytes, "buffer", resolve);
    });
    this.seen.inFlight--;
    if (problem) this.fail(new Error(String(problem)));
    if (this.#error) throw this.#error;
    this.#count(bytes);
  }

  credited() {
    this.#hasCredit = true;
    this.#onCredit?.();
  }

  #close() {
    if (this.#error) throw this.#error;
    this.#socket.emit("$stream-end", this.id);
    this.#over(new Error("stream closed"));
    this.#reading.close();
  }

  // Ends.

  /** Ends both directions with this error, for this side only. */
  fail(error) {
    if (this.#error) return;
    this.#over(error);
    this.#reading.error(error);
    this.#writing.error(error);
  }

  /** The same, and the other side is told. */
  abort(reason) {
    if (this.#error) return;
    const error = reason instanceof Error ? reason : new Error(String(reason ?? "aborted"));
    this.#socket.emit("$stream-error", this.id, error.message);
    this.fail(error);
  }

  /** Nobody waits for anything any more. */
  #over(error) {
    this.#error = error;
    this.#forget();
    this.#onChunk?.();
    this.#onCredit?.();
    this.#onTaken?.();
  }

  #count(bytes) {
    this.seen.chunks++;
    this.seen.bytes += bytes.length;
  }
}

/** Streams in a value become what names them. */
function encoded(value) {
  if (value instanceof SocketStream) return { $stream: value.id };
  if (value === null || typeof value !== "object" || isBinary(value)) return value;
  if (Array.isArray(value)) return value.map(encoded);
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, encoded(it)]));
}

const isBinary = (value) =>
  value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob;

/** What came, or is to go, as bytes; undefined if it is nothing of the kind. */
function asBytes(chunk, encoding) {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  if (chunk === null || chunk === undefined) return new Uint8Array();
  if (typeof chunk !== "string") return undefined;
  if (encoding !== "base64") return new TextEncoder().encode(chunk);
  return Uint8Array.from(atob(chunk), (char) => char.charCodeAt(0));
}

/** A version 4 UUID; `crypto.randomUUID` is for secure pages only. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
