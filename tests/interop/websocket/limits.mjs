// Categories 9 and 10: messages that are large, in many fragments, in many writes, and many. None
// of it is timed; the harness's deadline is the only clock.

import assert from "node:assert/strict";
import { check, comes, leave, letters, octets, play, size } from "./bench.mjs";
import { binary, fragments, text } from "./peer.mjs";

const KIB = 2 ** 10;
const MIB = 2 ** 20;

/// A case whose messages are made when it runs: all of them together would be hundreds of MiB.
function echoes(name, make, frames = (message) => [message], chops = "one") {
  play(name, async (peer) => {
    const message = make();
    const sent = peer.send(frames(message), chops);
    await comes(peer, message);
    await sent;
    await leave(peer);
  });
}

// ---- 9: limits ----------------------------------------------------------------------------------

const SIZES = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTS = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
const CHOPS = [64, 128, 256, 512, KIB, 2 * KIB];
const MESSAGES = [0, 16, 64, 256, KIB, 4 * KIB];
const ROUNDS = 1_000;

const KINDS = [
  ["text", (bytes) => text(letters(bytes))],
  ["binary", (bytes) => binary(octets(bytes))],
];
for (const [at, [kind, make]] of KINDS.entries()) {
  for (const [i, bytes] of SIZES.entries()) {
    echoes(`9.${1 + at}.${i + 1} ${kind} of ${size(bytes)} comes back`, () => make(bytes));
  }
  for (const [i, bytes] of FRAGMENTS.entries()) {
    echoes(`9.${3 + at}.${i + 1} ${kind} of 4 MiB in fragments of ${size(bytes)} comes back`,
      () => make(4 * MIB), (message) => fragments(message, bytes));
  }
  for (const [i, bytes] of CHOPS.entries()) {
    echoes(`9.${5 + at}.${i + 1} ${kind} of 1 MiB in writes of ${size(bytes)} comes back`,
      () => make(MIB), (message) => [message], bytes);
  }
  for (const [i, bytes] of MESSAGES.entries()) {
    const name = `9.${7 + at}.${i + 1} ${ROUNDS} times ${kind} of ${size(bytes)} comes back`;
    play(name, async (peer) => {
      const message = make(bytes);
      for (let round = 0; round < ROUNDS; round++) {
        await peer.send([message]);
        await comes(peer, message);
      }
      await leave(peer);
    });
  }
}

// ---- 10: what clients do by themselves ----------------------------------------------------------

const message = text(letters(65_536));
const cut = fragments(message, 1_300);
assert.equal(cut.length, 51);
check("10.1.1 text of 65536 bytes that a client cuts into 51 frames comes back",
  { send: cut, expect: [message] });
