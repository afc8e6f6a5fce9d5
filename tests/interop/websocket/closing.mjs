// Category 7: how a WebSocket ends (RFC 6455 §5.5.1, §7).

import { check, letters } from "./bench.mjs";
import { CLOSE, close, frame, more, ping, text } from "./peer.mjs";

const open = { fin: false };
const normal = close(1000);
const SURROGATE = Buffer.from([0x6e, 0x6f, 0xed, 0xa0, 0x80]);

// ---- 7.1: what follows a close ------------------------------------------------------------------

check("7.1.1 a message before the close comes back before its answer",
  { send: [text("hello"), normal], expect: [text("hello")], closed: normal });
check("7.1.2 a second close is not answered", { send: [normal, normal], closed: normal });
check("7.1.3 a ping after the close is not answered", { send: [normal, ping()], closed: normal });
check("7.1.4 text after the close does not come back",
  { send: [normal, text("hello")], closed: normal });
check("7.1.5 a close between two fragments ends the connection without the message",
  { send: [text("in two ", open), normal, more("pieces")], closed: normal });
// Informational: a server may answer the close before it has sent the message. emio does not.
const long = text(letters(256 * 1024));
check("7.1.6 256 KiB before the close come back whole, and a ping after it is not answered",
  { send: [long, normal, ping()], expect: [long], closed: normal });

// ---- 7.3 and 7.5: the payload of a close --------------------------------------------------------

check("7.3.1 a close without a code is answered by one without",
  { send: [close()], closed: close() });
check("7.3.2 a close with half a code fails the connection",
  { send: [frame(CLOSE, "a")], fails: 1002 });
check("7.3.3 a close with a code is answered with it", { send: [normal], closed: normal });
check("7.3.4 a close with a reason is answered with its code",
  { send: [close(1000, "going home")], closed: normal });
check("7.3.5 a close's reason may have 123 bytes",
  { send: [close(1000, letters(123))], closed: normal });
check("7.3.6 a close with a reason of 124 bytes fails the connection",
  { send: [close(1000, letters(124))], fails: 1002 });
check("7.5.1 a close whose reason is no UTF-8 fails the connection",
  { send: [close(1000, SURROGATE)], fails: 1007 });

// ---- 7.7 to 7.13: codes -------------------------------------------------------------------------

const ALLOWED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
for (const [i, code] of ALLOWED.entries()) {
  check(`7.7.${i + 1} the close code ${code} is answered with itself`,
    { send: [close(code)], closed: close(code) });
}
const FORBIDDEN = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
for (const [i, code] of FORBIDDEN.entries()) {
  check(`7.9.${i + 1} the close code ${code} fails the connection`,
    { send: [close(code)], fails: 1002 });
}
// Informational: the RFC says nothing of codes from 5000 on. emio takes them for errors.
for (const [i, code] of [5000, 65_535].entries()) {
  check(`7.13.${i + 1} the close code ${code} fails the connection`,
    { send: [close(code)], fails: 1002 });
}
