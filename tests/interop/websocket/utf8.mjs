// Category 6: text is UTF-8 (RFC 6455 §8.1, RFC 3629). From 6.5 on the cases follow the sections of
// Markus Kuhn's "UTF-8 decoder capability and stress test".

import assert from "node:assert/strict";
import { check, comes, ends, play, settle } from "./bench.mjs";
import { close, encode, fragments, more, ping, pong, text } from "./peer.mjs";

const hex = (digits) => Buffer.from(digits.replaceAll(" ", ""), "hex");
const point = (code) => Buffer.from(String.fromCodePoint(code));

const open = { fin: false };
const KOSME = Buffer.from("\u03ba\u1f79\u03c3\u03bc\u03b5");
const MIXED = Buffer.from("Grüße, 5 € und 🦀");
const REST = Buffer.from("and on");
const SURROGATE = Buffer.concat([KOSME, hex("ed a0 80"), REST]);

// ---- 6.1 to 6.3: whole messages and fragments ---------------------------------------------------

check("6.1.1 an empty text comes back", { send: [text("")], expect: [text("")] });
check("6.1.2 three empty fragments come back as an empty text",
  { send: [text("", open), more("", open), more("")], expect: [text("")] });
check("6.1.3 empty fragments around a full one add nothing",
  { send: [text("", open), more("the middle", open), more("")], expect: [text("the middle")] });

check("6.2.1 text of many alphabets comes back", { send: [text(MIXED)], expect: [text(MIXED)] });
check("6.2.2 text cut between two characters comes back",
  { send: [text(MIXED.subarray(0, 6), open), more(MIXED.subarray(6))], expect: [text(MIXED)] });
check("6.2.3 text cut within characters, into fragments of a byte, comes back",
  { send: fragments(text(MIXED), 1), expect: [text(MIXED)] });
check("6.2.4 Greek text in fragments of a byte comes back",
  { send: fragments(text(KOSME), 1), expect: [text(KOSME)] });

check("6.3.1 text with a surrogate in it fails the connection",
  { send: [text(SURROGATE)], fails: 1007 });
check("6.3.2 text with a surrogate in it fails the connection in fragments of a byte too",
  { send: fragments(text(SURROGATE), 1), fails: 1007 });

// ---- 6.4: at once -------------------------------------------------------------------------------
// §8.1 lets a server wait for the message's end (NON-STRICT in Autobahn's words). emio does not:
// the first wrong byte is the last that it waits for, within fragments and within a frame.

const BEYOND = hex("f4 90 80 80"); // 0x110000, wrong in its second byte
const whole = Buffer.concat([KOSME, BEYOND, REST]);
const wrong = KOSME.length + 1;
const CUTS = [
  [1, [KOSME.length, KOSME.length + BEYOND.length], "with the wrong character"],
  [2, [wrong, wrong + 1], "with the one byte that is wrong"],
];

for (const [number, [first, second], which] of CUTS) {
  play(`6.4.${number} the fragment ${which} fails the connection at once`, async (peer) => {
    await peer.send([text(whole.subarray(0, first), open), ping("so far so good")]);
    await comes(peer, pong("so far so good"));
    await peer.send([more(whole.subarray(first, second), open)]);
    await comes(peer, close(1007));
    await ends(peer);
  });
  play(`6.4.${number + 2} the part of a frame ${which} fails it before the rest`, async (peer) => {
    const bytes = encode(text(whole));
    const head = bytes.length - whole.length;
    await peer.write(bytes.subarray(0, head + first));
    await settle();
    assert(peer.isQuiet, "refused before anything was wrong");
    await peer.write(bytes.subarray(head + first, head + second));
    await comes(peer, close(1007));
    await ends(peer);
  });
}

// ---- 6.5 to 6.23: sequences ---------------------------------------------------------------------

const VALID = true;
const WRONG = false;

/// Cases of one group: each sequence as a text of its own.
function group(number, title, rows) {
  for (const [i, [sequence, isValid]] of rows.entries()) {
    const digits = sequence.toString("hex");
    const said = digits.length > 40 ? `${digits.slice(0, 40)}...` : digits;
    const name = `6.${number}.${i + 1} ${title}: ${said}`;
    const send = [text(sequence)];
    if (isValid) check(`${name} comes back`, { send, expect: send });
    else check(`${name} fails the connection`, { send, fails: 1007 });
  }
}
const each = (isValid, sequences) => sequences.map((it) => [it, isValid]);

group(5, "a word around a character", [
  ...each(VALID, [0x24, 0xa2, 0x20ac, 0x24b62].map((it) => Buffer.concat([
    Buffer.from("hello"), point(it), Buffer.from("world"),
  ]))),
  [KOSME, VALID],
]);

const WHOLE_CHARACTERS = [2, 5, 7, 9, 11];
group(6, "a Greek word up to a byte", Array.from(KOSME, (_, i) =>
  [KOSME.subarray(0, i + 1), WHOLE_CHARACTERS.includes(i + 1)]));

group(7, "the first of so many bytes", each(VALID, [0, 0x80, 0x800, 0x10000].map(point)));
group(8, "the first of five and six bytes",
  each(WRONG, ["f8 88 80 80 80", "fc 84 80 80 80 80"].map(hex)));
group(9, "the last of so many bytes", each(VALID, [0x7f, 0x7ff, 0xffff, 0x10ffff].map(point)));
group(10, "the last of four, five and six bytes",
  each(WRONG, ["f7 bf bf bf", "fb bf bf bf bf", "fd bf bf bf bf bf"].map(hex)));
group(11, "at a boundary", [
  ...each(VALID, [0xd7ff, 0xe000, 0xfffd, 0x10ffff].map(point)), [BEYOND, WRONG],
]);

const CONTINUATIONS = Buffer.from(Uint8Array.from({ length: 64 }, (_, i) => 0x80 + i));
group(12, "continuation bytes alone", each(WRONG, [
  hex("80"), hex("bf"), ...[2, 3, 4, 5, 6].map((bytes) => Buffer.alloc(bytes, hex("80 bf"))),
  CONTINUATIONS,
]));

/// Each start byte of a range, a space after it.
const starts = ([from, to]) => Buffer.concat(
  Array.from({ length: to - from + 1 }, (_, i) => Buffer.from([from + i, 0x20])));
const STARTS = [[0xc0, 0xdf], [0xe0, 0xef], [0xf0, 0xf7], [0xf8, 0xfb], [0xfc, 0xfd]];
group(13, "start bytes alone", each(WRONG, STARTS.map(starts)));

const UNFINISHED = [
  "c0", "e0 80", "f0 80 80", "f8 80 80 80", "fc 80 80 80 80",
  "df", "ef bf", "f7 bf bf", "fb bf bf bf", "fd bf bf bf bf",
].map(hex);
group(14, "the last byte is missing", each(WRONG, UNFINISHED));
group(15, "the last bytes are missing", each(WRONG, [Buffer.concat(UNFINISHED)]));
group(16, "bytes that never appear", each(WRONG, ["fe", "ff", "fe fe ff ff"].map(hex)));

group(17, "a slash in too many bytes", each(WRONG, [
  "c0 af", "e0 80 af", "f0 80 80 af", "f8 80 80 80 af", "fc 80 80 80 80 af",
].map(hex)));
group(18, "the last that is too long by a byte", each(WRONG, [
  "c1 bf", "e0 9f bf", "f0 8f bf bf", "f8 87 bf bf bf", "fc 83 bf bf bf bf",
].map(hex)));
group(19, "a zero in too many bytes", each(WRONG, [
  "c0 80", "e0 80 80", "f0 80 80 80", "f8 80 80 80 80", "fc 80 80 80 80 80",
].map(hex)));

const HIGH = { d800: "ed a0 80", db7f: "ed ad bf", db80: "ed ae 80", dbff: "ed af bf" };
const LOW = { dc00: "ed b0 80", df80: "ed be 80", dfff: "ed bf bf" };
group(20, "a surrogate", each(WRONG, [...Object.values(HIGH), ...Object.values(LOW)].map(hex)));
group(21, "a pair of surrogates", each(WRONG, Object.values(HIGH).flatMap((high) =>
  [LOW.dc00, LOW.dfff].map((low) => hex(high + low)))));

const LAST_TWO = Array.from({ length: 17 }, (_, plane) =>
  [plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff]).flat();
group(22, "no character, and valid", each(VALID, LAST_TWO.map(point)));
group(23, "a special", each(VALID, Array.from({ length: 7 }, (_, i) => point(0xfff9 + i))));
