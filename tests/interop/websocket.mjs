// RFC 6455 against the fixture's echo, frame by frame: FIXTURE=path node websocket.mjs [case]
// The cases are those of the Autobahn test suite's categories 1 to 7, 9 and 10, under its numbers,
// written anew; where it also takes less than the RFC asks for, these do not. Its categories 12 and
// 13 (compression) do not apply: that emio declines is what is checked instead.
// Not here: the handshake's own rules, and Engine.IO over it (the crate's tests, js.mjs).
// Every case opens connections of its own and waits for frames, never for time to pass; that
// nothing came is proved by the close that follows.

import assert from "node:assert/strict";
import { run } from "./lib/harness.mjs";
import { fixture } from "./websocket/bench.mjs";
import "./websocket/framing.mjs";
import "./websocket/utf8.mjs";
import "./websocket/closing.mjs";
import "./websocket/limits.mjs";
import "./websocket/extensions.mjs";

await run({
  lanes: 4,
  async cleanup() {
    assert(fixture.alive, `the fixture ended: ${fixture.said}`);
  },
});
