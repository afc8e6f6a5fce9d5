// The builds beside the classic script: an ES module, and emio's own without polling.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("modules");
const ESM = { build: "esm" };

/** As inPage, with the module in `lib`, and its `io` in the place of the global. */
function withModule(name, run, expected) {
  test(name, ESM, async (bench) => {
    await bench.run(async () => {
      globalThis.lib = await import("/parity/client.js");
      globalThis.io = lib.io;
    });
    assert.deepEqual(await bench.run(run), expected);
  });
}

withModule("what the module exports", () => [
  lib.default === lib.io, lib.connect === lib.io, lib.protocol, io.connect === io,
  ...["Manager", "Socket", "Fetch", "XHR", "WebSocket"].map((name) => typeof lib[name]),
  io("/", { autoConnect: false }) instanceof lib.Socket, lib.Manager === io.Manager,
], [true, true, 5, true, ...Array(5).fill("function"), true, true]);

withModule("io and a Manager of the module's", async () => {
  const socket = await enter("/custom", { query: { n: 1 } });
  const other = new lib.Manager(location.origin).socket("/");
  await connected(other);
  return [await ask(socket, "echo", 1), await ask(other, "echo", 2)];
}, [[1], [2]]);

withModule("transports as classes", async () => {
  const found = [];
  const { Fetch, XHR, WebSocket } = lib;
  for (const transports of [[WebSocket], [XHR], [Fetch], [XHR, WebSocket], [Fetch, WebSocket]]) {
    const socket = await enter("/", { transports });
    const { engine } = socket.io;
    if (transports.length > 1) await until(() => engine.transport.name === "websocket");
    const [text, bytes] = await ask(socket, "message-with-ack", "é", bytesOf(1));
    found.push([engine.transport.name, engine.transport instanceof transports.at(-1), text,
      plain(bytes)]);
  }
  return found;
}, [
  ["websocket", true, "é", [1]], ["polling", true, "é", [1]], ["polling", true, "é", [1]],
  ["websocket", true, "é", [1]], ["websocket", true, "é", [1]],
]);

withModule("a transport of the application's, made from one of the client's", async () => {
  const made = [];
  class Counted extends lib.WebSocket {
    constructor(...args) {
      super(...args);
      made.push(this.name);
    }
  }
  const socket = await enter("/", { transports: [Counted] });
  return [await ask(socket, "echo", 1), made];
}, [[1], ["websocket"]]);

withModule("Fetch is refused in its own words, and sends headers", async () => {
  const seen = [];
  const refused = io("/?deny=1", { transports: [lib.Fetch], forceNew: true, reconnection: false });
  const [err] = await next(refused, "connect_error");
  seen.push(err.message, err.type, err.description, err.context.status);
  const nobody = io("http://127.0.0.1:9", { transports: [lib.Fetch], reconnection: false });
  const [lost] = await next(nobody, "connect_error");
  seen.push(lost.message, lost.description instanceof TypeError);
  const socket = await enter("/", { transports: [lib.Fetch], extraHeaders: { "x-test": 1 } });
  return [...seen, (await ask(socket, "handshake"))[0]["x-test"]];
}, ["fetch read error", "TransportError", 403, 403, "fetch read error", true, "1"]);

withModule("a reconnection with classes of transports", async () => {
  const socket = await enter("/", { transports: [lib.Fetch, lib.WebSocket] });
  const { id } = socket;
  socket.emit("close-conn");
  await next(socket, "disconnect");
  await next(socket, "connect");
  return [socket.id === id, await ask(socket, "echo", 1)];
}, [false, [1]]);

inPage("the build without polling", async () => {
  const socket = await enter("/custom");
  const [text, bytes] = await ask(socket, "message-with-ack", "é", new Blob([bytesOf(1)]));
  const { id } = socket;
  await lose(socket);
  await next(socket, "connect");
  return [socket.io.engine.transport.name, text, plain(bytes), socket.id === id,
    await ask(socket, "echo", 1)];
}, ["websocket", "é", [1], false, [1]], { build: "websocket", clients: ["emio"] });
