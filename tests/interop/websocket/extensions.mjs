// Categories 12 and 13 are for servers that compress. emio does not, so no offer may be taken up,
// and one that was declined must change nothing.

import assert from "node:assert/strict";
import { comes, ends, leave, letters, octets, play } from "./bench.mjs";
import { binary, close, text } from "./peer.mjs";

const OFFERS = [
  "permessage-deflate",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
  "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
  "permessage-deflate; server_max_window_bits=15, permessage-deflate",
  "permessage-bzip2, x-webkit-deflate-frame",
];
for (const offer of OFFERS) {
  play(`12, 13 declined: ${offer}`, async (peer) => {
    assert.equal(peer.headers["sec-websocket-extensions"], undefined);
    for (const message of [text(letters(16)), binary(octets(131_072)), text(letters(131_072))]) {
      await peer.send([message]);
      await comes(peer, message);
    }
    await leave(peer);
  }, [`Sec-WebSocket-Extensions: ${offer}`]);
}
play("12, 13 a frame that is compressed after all fails the connection", async (peer) => {
  // "Hello" as RFC 7692 §7.2.3.1 has it.
  await peer.send([text(Buffer.from("f248cdc9c90700", "hex"), { rsv: 4 })]);
  await comes(peer, close(1002));
  await ends(peer);
}, ["Sec-WebSocket-Extensions: permessage-deflate"]);
