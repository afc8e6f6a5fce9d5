// Categories 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragments.

import { check, comes, leave, letters, octets, play } from "./bench.mjs";
import { binary, close, frame, more, ping, pong, text } from "./peer.mjs";

const open = { fin: false };

// ---- 1: framing ---------------------------------------------------------------------------------

const LENGTHS = [0, 125, 126, 127, 128, 65_535, 65_536];
for (const [group, kind, make] of [["1.1", "text", letters], ["1.2", "binary", octets]]) {
  const message = (bytes) => (kind === "text" ? text : binary)(make(bytes));
  for (const [i, bytes] of LENGTHS.entries()) {
    const echo = message(bytes);
    const name = `${group}.${i + 1} ${kind} of ${bytes} bytes comes back`;
    check(name, { send: [echo], expect: [echo] });
  }
  const echo = message(65_536);
  check(`${group}.8 ${kind} of 65536 bytes comes back though it is sent 997 bytes at a time`,
    { send: [echo], chops: 997, expect: [echo] });
}

// ---- 2: pings and pongs -------------------------------------------------------------------------

const tens = Array.from({ length: 10 }, (_, i) => `payload ${i}`);

check("2.1 an empty ping is answered by an empty pong", { send: [ping()], expect: [pong()] });
check("2.2 a ping's text comes back in the pong",
  { send: [ping("are you there?")], expect: [pong("are you there?")] });
check("2.3 a ping's bytes come back though they are no UTF-8",
  { send: [ping([0, 0xff, 0xfe, 0xfd, 0])], expect: [pong([0, 0xff, 0xfe, 0xfd, 0])] });
check("2.4 a ping may carry 125 bytes",
  { send: [ping(octets(125))], expect: [pong(octets(125))] });
check("2.5 a ping of 126 bytes fails the connection", { send: [ping(octets(126))], fails: 1002 });
check("2.6 a ping of 125 bytes is answered though it is sent byte by byte",
  { send: [ping(octets(125))], chops: 1, expect: [pong(octets(125))] });
check("2.7 an empty pong that nobody asked for is ignored", { send: [pong()] });
check("2.8 a pong with a payload that nobody asked for is ignored", { send: [pong("unasked")] });
check("2.9 a pong that nobody asked for does not keep the next ping from its answer",
  { send: [pong("unasked"), ping("asked")], expect: [pong("asked")] });
check("2.10 ten pings are answered by ten pongs in their order",
  { send: tens.map((it) => ping(it)), expect: tens.map((it) => pong(it)) });
check("2.11 ten pings are answered by ten pongs though they are sent byte by byte",
  { send: tens.map((it) => ping(it)), chops: 1, expect: tens.map((it) => pong(it)) });

// ---- 3: reserved bits ---------------------------------------------------------------------------

const hello = text("hello");
const after = ping("not any more");

check("3.1 text with RSV 1 fails the connection",
  { send: [text("hello", { rsv: 1 })], fails: 1002 });
for (const [i, [rsv, chops, how]] of [
  [2, "one", "in one write"], [3, "frames", "frame by frame"], [4, 1, "byte by byte"],
].entries()) {
  check(`3.${i + 2} text with RSV ${rsv} fails the connection after the text before it, ${how}`,
    { send: [hello, text("hello", { rsv }), after], chops, expect: [hello], fails: 1002 });
}
check("3.5 binary with RSV 5 fails the connection",
  { send: [binary(octets(9), { rsv: 5 })], fails: 1002 });
check("3.6 a ping with RSV 6 fails the connection",
  { send: [ping("hello", { rsv: 6 })], fails: 1002 });
check("3.7 a close with RSV 7 fails the connection",
  { send: [{ ...close(1000), rsv: 7 }], fails: 1002 });

// ---- 4: opcodes ---------------------------------------------------------------------------------

for (const [group, kind, first] of [["4.1", "data", 3], ["4.2", "control", 11]]) {
  check(`${group}.1 the reserved ${kind} opcode ${first} fails the connection`,
    { send: [frame(first)], fails: 1002 });
  check(`${group}.2 the reserved ${kind} opcode ${first + 1} fails it with a payload too`,
    { send: [frame(first + 1, "reserved")], fails: 1002 });
  for (const [i, payload] of ["", "reserved", "reserved"].entries()) {
    const what = `the reserved ${kind} opcode ${first + 2 + i}`;
    const how = payload ? "with a payload" : "without a payload";
    check(`${group}.${i + 3} ${what} ${how} fails the connection after the text before it`,
      { send: [hello, frame(first + 2 + i, payload), after], expect: [hello], fails: 1002 });
  }
}

// ---- 5: fragments -------------------------------------------------------------------------------

const CUTS = [["one", "in one write"], ["frames", "frame by frame"], [1, "byte by byte"]];
const two = [text("in two ", open), more("pieces")];
const joined = text("in two pieces");
/// With the same frames between a message's two.
const around = (...between) => [two[0], ...between, two[1]];

check("5.1 a ping in two fragments fails the connection",
  { send: [ping("pi", open), more("ng")], fails: 1002 });
check("5.2 a pong in two fragments fails the connection",
  { send: [pong("po", open), more("ng")], fails: 1002 });
for (const [i, [chops, how]] of CUTS.entries()) {
  check(`5.${3 + i} text in two fragments comes back whole, sent ${how}`,
    { send: two, chops, expect: [joined] });
  check(`5.${6 + i} a ping between two fragments is answered before the message is, sent ${how}`,
    { send: around(ping("between")), chops, expect: [pong("between"), joined] });
  check(`5.${9 + i} a last fragment with nothing to continue fails the connection, sent ${how}`,
    { send: [more("of nothing"), hello], chops, fails: 1002 });
  check(`5.${12 + i} a fragment with nothing to continue fails the connection, sent ${how}`,
    { send: [more("of nothing", open), hello], chops, fails: 1002 });
}
check("5.15 a fragment after a message's last one fails the connection, and the message comes back",
  { send: [...two, more("of nothing", open), hello], expect: [joined], fails: 1002 });
for (const [number, fin, which] of [[16, false, "a fragment"], [17, true, "a last fragment"]]) {
  const stray = more("of nothing", { fin });
  check(`5.${number} ${which} with nothing to continue fails the connection before what follows`,
    { send: [stray, ...two, stray, ...two], fails: 1002 });
}
check("5.18 text in two fragments that both say text fails the connection",
  { send: [two[0], text("pieces")], fails: 1002 });
for (const [number, chops, how] of [[19, "one", "in one write"], [20, "frames", "in writes"]]) {
  const name = `5.${number} pings within five fragments are answered at once, sent ${how}`;
  play(name, async (peer) => {
    await peer.send([text("one ", open), more("two ", open), ping("first")], chops);
    await comes(peer, pong("first"));
    const rest = [more("three ", open), more("four ", open), ping("second"), more("five")];
    await peer.send(rest, chops);
    await comes(peer, pong("second"));
    await comes(peer, text("one two three four five"));
    await leave(peer);
  });
}
