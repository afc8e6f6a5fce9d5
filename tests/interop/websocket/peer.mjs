// A WebSocket client over a bare TCP socket (RFC 6455), which sends whatever it is told to, right
// or wrong, and cut up as it is told. Not here: what should come back.
// What always holds: each frame that arrives obeys the rules for a server's frames; one that does
// not fails whoever waits for it.

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

const NAMES = new Map([[TEXT, "text"], [BINARY, "binary"], [CLOSE, "close"], [PING, "ping"],
  [PONG, "pong"]]);
const CONTROL_BYTES_MAX = 125;
const HEAD_BYTES_MAX = 16 * 1024;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // §1.3

// ---- frames -------------------------------------------------------------------------------------

/// A frame to send, or a message or control frame to expect.
export function frame(opcode, payload = "", { fin = true, rsv = 0 } = {}) {
  return { opcode, payload: Buffer.from(payload), fin, rsv };
}

export const text = (payload, bits) => frame(TEXT, payload, bits);
export const binary = (payload, bits) => frame(BINARY, payload, bits);
export const more = (payload, bits) => frame(CONTINUATION, payload, bits);
export const ping = (payload, bits) => frame(PING, payload, bits);
export const pong = (payload, bits) => frame(PONG, payload, bits);

/// A close frame; without a code it is empty.
export function close(code, reason = "") {
  if (code === undefined) return frame(CLOSE);
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]));
}

/// The frames of one message cut into fragments of at most so many bytes.
export function fragments(message, bytes) {
  const { opcode, payload } = message;
  const frames = [];
  for (let at = 0; at < payload.length; at += bytes) {
    const piece = payload.subarray(at, at + bytes);
    frames.push({ ...message, opcode: at ? CONTINUATION : opcode, payload: piece, fin: false });
  }
  frames.at(-1).fin = true;
  return frames;
}

/// A frame's bytes, masked as a client masks them (§5.2, §5.3).
export function encode({ opcode, payload, fin, rsv }) {
  const long = payload.length > 0xffff ? 8 : payload.length > 125 ? 2 : 0;
  const head = 2 + long + 4;
  const out = Buffer.allocUnsafe(head + payload.length);
  out[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  out[1] = 0x80 | (long === 8 ? 127 : long === 2 ? 126 : payload.length);
  if (long === 2) out.writeUInt16BE(payload.length, 2);
  if (long === 8) out.writeBigUInt64BE(BigInt(payload.length), 2);
  out.writeInt32LE(Math.random() * 2 ** 32 | 0, 2 + long);
  for (let i = 0; i < payload.length; i++) out[head + i] = payload[i] ^ out[2 + long + (i & 3)];
  return out;
}

/// What an error says of a message.
export function show(message) {
  if (!message) return "the end";
  const { opcode, payload } = message;
  const code = opcode === CLOSE && payload.length > 1 ? ` ${payload.readUInt16BE()}` : "";
  const start = JSON.stringify(payload.subarray(0, 40).toString("latin1"));
  return `${NAMES.get(opcode)}${code} of ${payload.length} bytes, ${start}`;
}

// ---- the connection -----------------------------------------------------------------------------

/// When the other connections and programs of this machine have had a turn.
export const turn = () => new Promise((resolve) => setImmediate(resolve));

export class Peer {
  #chunks = [];
  #bytes = 0;
  #wake = () => {};
  #goOn = () => {};
  #isOver = false;
  #error = null;

  /// Opens a WebSocket; `headers` are lines of the request besides those that it needs.
  static async open(port, headers = []) {
    const peer = new Peer();
    peer.socket = net.connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
    peer.socket.on("data", (chunk) => {
      peer.#chunks.push(chunk);
      peer.#bytes += chunk.length;
      peer.#wake();
    });
    const over = (error) => {
      peer.#isOver = true;
      peer.#error ??= error ?? null;
      peer.#wake();
      peer.#goOn();
    };
    peer.socket.on("drain", () => peer.#goOn());
    peer.socket.on("end", () => over());
    peer.socket.on("error", over);
    peer.socket.on("close", () => over());
    await peer.#upgrade(headers);
    return peer;
  }

  /// §4.1: the request, and what its answer must say.
  async #upgrade(headers) {
    const key = randomBytes(16).toString("base64");
    const lines = ["GET /echo HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket",
      "Connection: Upgrade", `Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Version: 13", ...headers];
    this.socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      const byte = await this.#take(1);
      assert(byte, `the connection ended before the upgrade: ${head}`);
      head += byte.toString("latin1");
      assert(head.length < HEAD_BYTES_MAX, "the answer to the upgrade does not end");
    }
    const [status, ...fields] = head.trimEnd().split("\r\n");
    assert.match(status, /^HTTP\/1\.1 101 /);
    this.headers = Object.fromEntries(fields.map((line) => {
      const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line);
      return [name.toLowerCase(), value];
    }));
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    assert.equal(this.headers["sec-websocket-accept"], accept);
  }

  /// Sends frames: in one write, in a write for each, or in pieces of so many bytes. What the
  /// server does not want any more is not sent.
  async send(frames, chops = "one") {
    const encoded = frames.map(encode);
    const writes = chops === "frames" ? encoded : [Buffer.concat(encoded)];
    const bytes = typeof chops === "number" ? chops : undefined;
    for (const written of writes) await this.write(written, bytes);
  }

  /// The same with bytes of the caller's own.
  async write(bytes, chop = bytes.length) {
    for (let at = 0; at < bytes.length && !this.#isOver; at += chop) {
      const hasRoom = this.socket.write(bytes.subarray(at, at + chop));
      if (!hasRoom && !this.#isOver) await new Promise((resolve) => (this.#goOn = resolve));
      await turn();
    }
  }

  /// The next message or control frame, or null at the end of the connection.
  async next() {
    let message = null;
    for (;;) {
      const received = await this.#frame();
      if (!received) {
        assert(!message, "the connection ended within a message");
        return null;
      }
      const { opcode, fin, payload } = received;
      if (opcode & 0x8) return received;
      assert.equal(opcode === CONTINUATION, message !== null, "fragments out of order (§5.4)");
      message ??= { opcode, pieces: [] };
      message.pieces.push(payload);
      if (!fin) continue;
      const whole = Buffer.concat(message.pieces);
      assert(message.opcode !== TEXT || isUtf8(whole), "text that is no UTF-8 (§8.1)");
      return { opcode: message.opcode, payload: whole };
    }
  }

  async #frame() {
    const head = await this.#take(2);
    if (!head) return null;
    const [first, second] = head;
    const opcode = first & 0x0f;
    const fin = first >= 0x80;
    assert.equal(first & 0x70, 0, "a reserved bit is set (§5.2)");
    assert(opcode === CONTINUATION || NAMES.has(opcode), `opcode ${opcode} is reserved (§5.2)`);
    assert(second < 0x80, "a server masks nothing (§5.1)");
    let length = second;
    if (second === 126) length = (await this.#must(2)).readUInt16BE();
    if (second === 127) length = Number((await this.#must(8)).readBigUInt64BE());
    const shortest = length < 126 ? length : length < 0x10000 ? 126 : 127;
    assert.equal(second, shortest, "the length is not as short as it can be (§5.2)");
    const isControl = opcode >= 0x8;
    assert(!isControl || (fin && length <= CONTROL_BYTES_MAX), "a control frame's form (§5.5)");
    return { opcode, fin, payload: await this.#must(length) };
  }

  /// The next so many bytes; null if there are none left.
  async #take(bytes) {
    while (this.#bytes < bytes && !this.#isOver) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    if (this.#bytes < bytes) {
      if (this.#error) throw this.#error;
      assert.equal(this.#bytes, 0, "the connection ended within a frame");
      return null;
    }
    if (this.#chunks[0]?.length < bytes) this.#chunks = [Buffer.concat(this.#chunks)];
    const taken = this.#chunks[0]?.subarray(0, bytes) ?? Buffer.alloc(0);
    if (bytes > 0) this.#chunks[0] = this.#chunks[0].subarray(bytes);
    if (this.#chunks[0]?.length === 0) this.#chunks.shift();
    this.#bytes -= bytes;
    return taken;
  }

  async #must(bytes) {
    const taken = bytes ? await this.#take(bytes) : Buffer.alloc(0);
    assert(taken, "the connection ended within a frame");
    return taken;
  }

  /// Whether nothing has arrived that was not taken, and more may come.
  get isQuiet() {
    return this.#bytes === 0 && !this.#isOver;
  }

  destroy() {
    this.socket.destroy();
  }
}
