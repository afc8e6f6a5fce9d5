// The npm package socket.io-stream against the example: STREAM_EXAMPLE=path node stream.mjs [case]
// Not here: the browser's end of the protocol, which is the demo's (demos/stream.mjs).
// Every case opens connections of its own and waits for conditions, never for time to pass.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable, Writable } from "node:stream";
import { io } from "socket.io-client";
import ss from "socket.io-stream";
import { Program, once, run, test, until } from "./lib/harness.mjs";

const path = process.env.STREAM_EXAMPLE;
assert(path, "STREAM_EXAMPLE must name the example program");

const MB = 1_000_000;
const MODES = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

let server = null;
let opened = [];

async function connect(options) {
  server ??= await new Program(path, {}, "PORT").start();
  const socket = io(server.url, { forceNew: true, reconnection: false, ...options });
  opened.push(socket);
  await once(socket, "connect");
  return socket;
}

// ---- files ---------------------------------------------------------------------------------------

/// So many bytes that count up, as the example's downloads do.
function numbers(bytes) {
  const turn = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));
  return Buffer.alloc(bytes, turn);
}

const sha1 = (bytes) => createHash("sha1").update(bytes).digest("hex");

/// A file on its way, in pieces like those of a disk; `seen.bytes` is how far it has come.
function file(bytes, seen = { bytes: 0 }) {
  function* pieces() {
    for (let at = 0; at < bytes.length; at += 65_536) {
      const piece = bytes.subarray(at, at + 65_536);
      seen.bytes += piece.length;
      yield piece;
    }
  }
  return Readable.from(pieces(), { objectMode: false });
}

/// Everything that a stream brings.
async function all(stream) {
  const pieces = [];
  stream.on("data", (piece) => pieces.push(piece));
  await once(stream, "end", 15_000);
  return Buffer.concat(pieces);
}

const answered = (socket, event, ...args) =>
  new Promise((resolve) => ss(socket).emit(event, ...args, (...answer) => resolve(answer)));

function upload(socket, bytes, event = "upload", options = undefined) {
  const stream = ss.createStream(options);
  const answer = answered(socket, event, stream, "a name");
  file(bytes).pipe(stream);
  return answer;
}

function download(socket, bytes, options = undefined) {
  const stream = ss.createStream(options);
  ss(socket).emit("download", stream, bytes);
  return all(stream);
}

// ---- both ways, every transport ------------------------------------------------------------------

for (const [mode, options] of Object.entries(MODES)) {
  const each = (name, body) => test(`${mode}: ${name}`, async () => body(await connect(options)));

  each("an upload arrives whole", async (socket) => {
    const bytes = numbers(8 * MB + 7);
    const [length, hash] = await upload(socket, bytes);
    assert.equal(length, bytes.length);
    assert.equal(hash, sha1(bytes));
  });

  each("a download arrives whole", async (socket) => {
    const bytes = await download(socket, 8 * MB + 7);
    assert.equal(sha1(bytes), sha1(numbers(8 * MB + 7)));
  });

  each("empty files and files of one byte", async (socket) => {
    for (const n of [0, 1]) {
      const [length, hash] = await upload(socket, numbers(n));
      assert.deepEqual([length, hash], [n, sha1(numbers(n))]);
      assert.equal((await download(socket, n)).length, n);
    }
  });

  each("several streams at once, both ways", async (socket) => {
    const sizes = [3 * MB, 1, 2 * MB, 65_536, 1 * MB];
    const up = sizes.map((n) => upload(socket, numbers(n)));
    const down = sizes.map((n) => download(socket, n));
    for (const [i, [length, hash]] of (await Promise.all(up)).entries()) {
      assert.deepEqual([length, hash], [sizes[i], sha1(numbers(sizes[i]))]);
    }
    for (const [i, bytes] of (await Promise.all(down)).entries()) {
      assert.equal(sha1(bytes), sha1(numbers(sizes[i])));
    }
  });

  each("a server that holds back is waited for", async (socket) => {
    const bytes = numbers(1 * MB);
    assert.deepEqual(await upload(socket, bytes, "slow"), [bytes.length, sha1(bytes)]);
  });

  each("both directions of a half-open stream", async (socket) => {
    const bytes = numbers(2 * MB);
    const stream = ss.createStream({ allowHalfOpen: true });
    ss(socket).emit("copy", stream);
    file(bytes).pipe(stream);
    assert.equal(sha1(await all(stream)), sha1(bytes));
  });

  each("streams of the server's, in an event and in an answer", async (socket) => {
    const event = new Promise((resolve) => {
      ss(socket).on("file", async (stream, length) => resolve([await all(stream), length]));
    });
    const answer = new Promise((resolve) => {
      // An ordinary event: its answer is decoded as those of the package's own are.
      socket.emit("send", 2 * MB, async (...args) => {
        const [stream] = ss(socket).decoder.decode(args);
        resolve(await all(stream));
      });
    });
    const [bytes, length] = await event;
    assert.deepEqual([bytes.length, length], [2 * MB, 2 * MB]);
    assert.equal(sha1(bytes), sha1(numbers(2 * MB)));
    assert.equal(sha1(await answer), sha1(numbers(2 * MB)));
  });
}

// ---- the rest ------------------------------------------------------------------------------------

test("base64, for those who force it", async () => {
  const socket = await connect(MODES.websocket);
  ss(socket, { forceBase64: true });
  const bytes = numbers(3 * MB);
  assert.deepEqual(await upload(socket, bytes), [bytes.length, sha1(bytes)]);
  assert.equal(sha1(await download(socket, 3 * MB)), sha1(bytes));
});

test("text is bytes", async () => {
  const socket = await connect(MODES.websocket);
  for (const options of [undefined, { decodeStrings: false }]) {
    const stream = ss.createStream(options);
    const answer = answered(socket, "upload", stream, "a name");
    stream.write("grün ");
    stream.end("und blau");
    const text = Buffer.from("grün und blau");
    assert.deepEqual(await answer, [text.length, sha1(text)]);
  }
});

test("a reader that does not read is sent no more than its buffer holds", async () => {
  const socket = await connect(MODES.websocket);
  let chunks = 0;
  socket.onAny((event) => (chunks += event === "$stream-write"));
  const stream = ss.createStream({ highWaterMark: 1 });
  ss(socket).emit("download", stream, 4 * MB);
  // It reads once and then stops.
  await until(() => stream.read() !== null);
  const before = chunks;
  await answered(socket, "upload", ss.createStream().end("x"), "a name");
  assert(chunks <= before + 1, `${chunks} chunks`);
  const slow = new Writable({
    write: (piece, _, done) => setImmediate(done),
  });
  let bytes = 0;
  stream.on("data", (piece) => (bytes += piece.length));
  stream.pipe(slow);
  await once(slow, "finish", 15_000);
  assert(bytes > 3.8 * MB && chunks > 60, `${bytes} bytes in ${chunks} chunks`);
});

test("an event that nobody listens to fails its stream", async () => {
  const socket = await connect(MODES.websocket);
  const seen = { bytes: 0 };
  const stream = ss.createStream();
  ss(socket).emit("nobody", stream);
  const failed = once(stream, "error");
  file(numbers(4 * MB), seen).pipe(stream);
  assert.equal((await failed)[0].message, "nobody listens");
  assert(seen.bytes < MB, `${seen.bytes} bytes were read from the disk`);
});

test("the server's errors reach their stream", async () => {
  const socket = await connect(MODES.websocket);
  const stream = ss.createStream();
  const failed = once(stream, "error");
  ss(socket).emit("refuse", stream);
  const [error] = await failed;
  assert.equal(error.message, "not today");
  assert.equal(error.remote, true);
});

test("the client's errors reach the server", async () => {
  const socket = await connect(MODES.websocket);
  const stream = ss.createStream();
  const answer = answered(socket, "upload", stream, "a name");
  await new Promise((resolve) => stream.write(numbers(1_000), resolve));
  stream.emit("error", new Error("the disk is gone"));
  assert.deepEqual(await answer, [1_000, "the disk is gone"]);
  // The connection goes on.
  assert.deepEqual((await upload(socket, numbers(10)))[0], 10);
});

test("objects are refused, and their stream only", async () => {
  const socket = await connect(MODES.websocket);
  const stream = ss.createStream({ objectMode: true });
  const failed = once(stream, "error");
  ss(socket).emit("upload", stream, "a name");
  stream.write({ an: "object" });
  assert.match((await failed)[0].message, /unknown encoding/);
  assert.deepEqual((await upload(socket, numbers(10)))[0], 10);
});

test("streams end with the connection", async () => {
  const socket = await connect(MODES.websocket);
  const stream = ss.createStream();
  const failed = once(stream, "error");
  ss(socket).emit("download", stream, 100 * MB);
  await once(stream, "readable");
  socket.disconnect();
  assert.equal((await failed)[0].message, "Connection aborted");
  // The server has not noticed anything else.
  const other = await connect(MODES.websocket);
  assert.deepEqual((await upload(other, numbers(10)))[0], 10);
});

await run({
  async cleanup() {
    for (const socket of opened) socket.io._close();
    opened = [];
    assert(server?.alive, `the example ended: ${server?.said}`);
  },
});
