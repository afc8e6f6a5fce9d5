// What applications use of the engine below a manager: `socket.io.engine`.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("engine");

inPage("its id is the session's, and not the socket's", async () => {
  const socket = await enter("/");
  const { engine } = socket.io;
  const [id, sid] = await ask(socket, "id");
  return [id === socket.id, sid === engine.id, id === sid, engine.readyState];
}, [true, true, false, "open"]);

inPage("the upgrade is told, with the transport it leads to", async () => {
  const socket = io("/", { forceNew: true });
  const heard = [];
  const { engine } = socket.io;
  const begins = [engine.readyState, engine.transport.name, engine.id];
  engine.on("upgrading", (to) => heard.push(["upgrading", to.name, engine.transport.name]));
  engine.on("upgrade", (to) => heard.push(["upgrade", to.name, engine.transport.name]));
  await next(engine, "upgrade");
  await connected(socket);
  return [begins, heard, await ask(socket, "transport")];
}, [
  ["opening", "polling", undefined],
  [["upgrading", "websocket", "polling"], ["upgrade", "websocket", "websocket"]],
  ["websocket"],
]);

inPage("the handshake, then open", async () => {
  const { engine } = io("/", { forceNew: true }).io;
  const heard = record(engine, "handshake", "open");
  await next(engine, "open");
  const [[first, data], [second]] = heard;
  const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = data;
  return [first, second, sid === engine.id, upgrades, pingInterval, pingTimeout, maxPayload];
}, ["handshake", "open", true, ["websocket"], 25_000, 20_000, 1_000_000]);

for (const transport of ["polling", "websocket"]) {
  test(`packets, as they are made and as they come, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/custom", { transports: [transport] });
      await ask(socket, "id");
      const { engine } = socket.io;
      const heard = [];
      engine.on("packetCreate", ({ type, data }) => heard.push(["create", type, data]));
      engine.on("packet", ({ type, data }) => heard.push(["packet", type, data]));
      engine.on("data", (data) => heard.push(["data", data]));
      engine.on("message", (data) => heard.push(["message", data]));
      await ask(socket, "message-with-ack", "é", [1]);
      return heard;
    }, transport);
    assert.deepEqual(found, [
      ["create", "message", '2/custom,1["message-with-ack","é",[1]]'],
      ["packet", "message", '3/custom,1["é",[1]]'],
      ["data", '3/custom,1["é",[1]]'],
      ["message", '3/custom,1["é",[1]]'],
    ]);
  });
}

inPage("bytes are packets of their own", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  const heard = [];
  const kind = (data) => (typeof data === "string" ? data : data?.constructor.name);
  socket.io.engine.on("packetCreate", ({ type, data }) => heard.push([type, kind(data)]));
  socket.io.engine.on("packet", ({ type, data }) => heard.push([type, kind(data)]));
  await ask(socket, "message-with-ack", bytesOf(1, 2));
  return heard;
}, [
  ["message", '51-0["message-with-ack",{"_placeholder":true,"num":0}]'],
  ["message", "Uint8Array"],
  ["message", '61-0[{"_placeholder":true,"num":0}]'],
  ["message", "ArrayBuffer"],
]);

inPage("compress is part of a packet", async () => {
  const socket = await enter("/");
  const heard = [];
  socket.io.engine.on("packetCreate", ({ options }) => heard.push(options.compress));
  socket.compress(false).emit("message", 1);
  socket.compress(true).emit("message", 2);
  socket.emit("message", 3);
  return heard;
}, [false, true, true]);

for (const transport of ["polling", "websocket"]) {
  test(`flush and drain over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const { engine } = socket.io;
      await ask(socket, "id");
      await until(() => engine.transport.writable && !engine.writeBuffer.length);
      const seen = [];
      engine.on("flush", () => seen.push("flush"));
      engine.on("drain", () => seen.push(["drain", engine.writeBuffer.length]));
      socket.emit("message", 1);
      const waiting = [engine.writeBuffer.length, engine.transport.writable];
      await next(engine, "drain");
      return [waiting, seen, engine.transport.writable];
    }, transport);
    assert.deepEqual(found, [[1, false], ["flush", ["drain", 0]], true]);
  });
}

inPage("ping and pong", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  const { engine } = socket.io;
  const heard = [];
  engine.on("packet", ({ type }) => heard.push(["packet", type]));
  engine.on("packetCreate", ({ type }) => heard.push(["create", type]));
  for (const event of ["heartbeat", "ping", "pong"]) engine.on(event, () => heard.push(event));
  await next(engine, "pong");
  return heard.slice(0, 5);
}, [["packet", "ping"], "heartbeat", ["create", "pong"], "ping", "pong"], {
  server: { FX_PING_INTERVAL: "100", FX_PING_TIMEOUT: "3000" },
});

inPage("close() is a loss, from which the manager returns", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  await ask(socket, "id");
  const { id } = socket;
  const { engine } = socket.io;
  await until(() => !engine.writeBuffer.length);
  const order = [];
  engine.on("close", (...args) => order.push(["engine", ...args]));
  socket.io.on("close", (...args) => order.push(["manager", ...args]));
  socket.on("disconnect", (...args) => order.push(["socket", ...args]));
  const same = engine.close() === engine;
  await next(socket, "connect");
  return [order, same, engine.readyState, Boolean(engine.id), socket.io.engine === engine,
    id === socket.id];
}, [
  [["socket", "forced close", undefined], ["manager", "forced close", undefined],
    ["engine", "forced close", undefined]],
  true, "closed", false, false, false,
]);

test("an upgrade that fails is told, and polling goes on", {}, async (bench) => {
  bench.proxy.weather.noUpgrade = true;
  const found = await bench.run(async () => {
    const socket = io("/", { forceNew: true });
    const [err] = await next(socket.io.engine, "upgradeError");
    await connected(socket);
    const answer = await ask(socket, "message-with-ack", 1);
    const { transport, upgrading } = socket.io.engine;
    return [err instanceof Error, err.message.slice(0, 11), err.transport, answer, transport.name,
      Boolean(upgrading)];
  });
  assert.deepEqual(found, [true, "probe error", "websocket", [1], "polling", false]);
});

inPage("an emitter like the others", async () => {
  const socket = await enter("/", { upgrade: false });
  const { engine } = socket.io;
  const heard = [];
  const listener = ({ type }) => heard.push(type);
  engine.on("packet", listener);
  engine.once("packet", () => heard.push("once"));
  const before = [engine.listeners("packet").length, engine.hasListeners("packet")];
  await ask(socket, "id");
  engine.off("packet", listener);
  await ask(socket, "id");
  return [before, heard, engine.hasListeners("packet")];
}, [[2, true], ["message", "once"], false]);
