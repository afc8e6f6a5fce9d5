// What the cases share: the server under test, and how a case is played that is a table's row.
// Not here: frames and bytes (peer.mjs).

import assert from "node:assert/strict";
import { Program, test } from "../lib/harness.mjs";
import { Peer, close, ping, pong, show } from "./peer.mjs";

const path = process.env.FIXTURE;
assert(path, "FIXTURE must name the fixture program");

/// An echo of WebSocket messages, whose limit is far above the largest case.
export const fixture = await new Program(path, { FX_MODE: "ws" }, "FX_PORT").start();

/// A case with a connection of its own.
export function play(name, body, headers) {
  test(name, async () => {
    const peer = await Peer.open(fixture.port, headers);
    try {
      await body(peer);
    } finally {
      peer.destroy();
    }
  });
}

/// A case that is a row: `send` these frames, `expect` these messages and control frames in order,
/// and then nothing but one of three ends. The connection `fails` with a close code; or it is
/// `closed` by a frame that was sent, with this one; or we close it, and that is answered in kind.
export function check(name, { send, chops, expect = [], fails, closed }) {
  play(name, async (peer) => {
    const sent = peer.send(send, chops);
    for (const message of expect) await comes(peer, message);
    if (fails) {
      await comes(peer, close(fails));
    } else if (closed) {
      await comes(peer, closed);
    } else {
      await sent;
      return leave(peer);
    }
    await ends(peer);
    await sent;
  });
}

/// The next that arrives is this.
export async function comes(peer, message) {
  const next = await peer.next();
  const isIt = next?.opcode === message.opcode && next.payload.equals(message.payload);
  assert(isIt, `${show(next)}; expected ${show(message)}`);
}

/// Nothing more arrives: the server has ended the connection, as §7.1.1 asks it to.
export async function ends(peer) {
  const next = await peer.next();
  assert.equal(next, null, `${show(next)}; expected the end`);
}

/// The clean close. That nothing comes before its answer is how "nothing came" is proved.
export async function leave(peer) {
  await peer.send([close(1000)]);
  await comes(peer, close(1000));
  await ends(peer);
}

/// Until the server has read all that was written so far, on whatever connection: it takes turns.
export async function settle() {
  const witness = await Peer.open(fixture.port);
  for (let turns = 0; turns < 3; turns++) {
    await witness.send([ping(`${turns}`)]);
    await comes(witness, pong(`${turns}`));
  }
  witness.destroy();
}

// ---- payloads -----------------------------------------------------------------------------------

const SENTENCE = Buffer.from("emio reads what it is sent: grüße, 5 €, 🦀; ");
const EVERY_OCTET = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));

/// Text of exactly so many bytes, with characters of every length.
export function letters(bytes) {
  const out = Buffer.alloc(bytes, SENTENCE);
  return out.fill("x", bytes - bytes % SENTENCE.length);
}

/// So many bytes that are no UTF-8.
export const octets = (bytes) => Buffer.alloc(bytes, EVERY_OCTET);

/// A size as people say it.
export function size(bytes) {
  if (bytes % 2 ** 20 === 0 && bytes) return `${bytes / 2 ** 20} MiB`;
  return bytes % 2 ** 10 === 0 && bytes ? `${bytes / 2 ** 10} KiB` : `${bytes} bytes`;
}
