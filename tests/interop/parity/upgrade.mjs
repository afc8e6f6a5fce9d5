// The way from polling to WebSocket, while events flow.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("upgrade");

/** In the page: emits while the engine upgrades, and returns what came back, and on what. */
async function load(size) {
  const socket = io("/", { forceNew: true });
  const heard = { back: [], flood: [], bin: [] };
  socket.on("message-back", (n) => heard.back.push(n));
  socket.on("flood", (n) => heard.flood.push(n));
  socket.on("bin", (n) => heard.bin.push(n));
  let sent = 0;
  let left = Infinity;
  await connected(socket);
  socket.emit("flood", 300, 200);
  socket.emit("burst-binary", 40, 300);
  const { engine } = socket.io;
  engine.once("upgrade", () => (left = 50));
  while (left-- > 0 && sent < 5_000) {
    socket.emit("message", sent++, "x".repeat(size), ...(sent % 7 ? [] : [bytesOf(sent)]));
    await new Promise((resolve) => clock.setTimeout(resolve, 0));
  }
  await until(() => heard.back.length >= sent && heard.flood.length >= 300
    && heard.bin.length >= 40);
  const inOrder = (list, length) => list.length === length && list.every((n, at) => n === at);
  return [
    engine.transport.name, inOrder(heard.back, sent), inOrder(heard.flood, 300),
    inOrder(heard.bin, 40),
  ];
}

test("under load nothing is lost or out of order", {}, async (bench) => {
  assert.deepEqual(await bench.run(load, 50), ["websocket", true, true, true]);
});

test("nor on a slow line", {}, async (bench) => {
  bench.proxy.delay(5);
  assert.deepEqual(await bench.run(load, 2_000), ["websocket", true, true, true]);
});

test("nor on a narrow one", {}, async (bench) => {
  bench.proxy.throttle(50);
  assert.deepEqual(await bench.run(load, 100), ["websocket", true, true, true]);
});

test("polling is left for good", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/");
    await until(() => socket.io.engine.transport.name === "websocket");
    await ask(socket, "id");
  });
  const before = bench.requests.length;
  await bench.run(async () => {
    for (let n = 0; n < 5; n++) await ask(socket, "echo", n);
  });
  assert.equal(bench.requests.length, before);
  assert.equal(bench.requests.filter(({ method }) => method === "WS").length, 1);
});

test("a probe is 2probe, 3probe and 5, and carries the session's id", {}, async (bench) => {
  const sid = await bench.run(async () => {
    const socket = await enter("/");
    await until(() => socket.io.engine.transport.name === "websocket");
    await ask(socket, "echo", 1);
    return socket.io.engine.id;
  });
  const { url, sent, received } = bench.requests.find(({ method }) => method === "WS");
  assert.equal(url.searchParams.get("sid"), sid);
  assert.deepEqual(sent.slice(0, 2), ["2probe", "5"]);
  assert.equal(received[0], "3probe");
});

test("a probe that is never answered leaves polling at work", {}, async (bench) => {
  bench.proxy.weather.stallUpgrade = true;
  const found = await bench.run(async () => {
    const socket = await enter("/");
    const answers = [];
    for (let n = 0; n < 5; n++) answers.push(...await ask(socket, "echo", n));
    const name = socket.io.engine.transport.name;
    socket.disconnect();
    await until(() => socket.io.engine.readyState === "closed");
    return [answers, name];
  });
  assert.deepEqual(found, [[0, 1, 2, 3, 4], "polling"]);
});

test("a probe that is refused leaves polling at work", {}, async (bench) => {
  bench.proxy.weather.noUpgrade = true;
  const found = await bench.run(async () => {
    const socket = await enter("/");
    const heard = record(socket, "disconnect");
    await until(() => performance.getEntriesByType("resource").length > 3);
    const answers = [];
    for (let n = 0; n < 5; n++) answers.push(...await ask(socket, "echo", n));
    return [answers, socket.io.engine.transport.name, heard];
  });
  assert.deepEqual(found, [[0, 1, 2, 3, 4], "polling", []]);
});

inPage("disconnect at any point of it reaches the server", async () => {
  const watch = await enter("/custom", { transports: ["websocket"] });
  const reasons = [];
  for (const at of ["connect", "upgrading", "upgrade"]) {
    const socket = io("/", { forceNew: true });
    const leave = new Promise((resolve) => {
      const end = () => {
        const { id } = socket;
        socket.disconnect();
        resolve(id);
      };
      if (at === "connect") socket.once("connect", end);
      // The namespace may not be there yet when the upgrade begins.
      else {
        const { engine } = socket.io;
        engine.once(at, () => (socket.connected ? end() : socket.once("connect", end)));
      }
    });
    const id = await leave;
    reasons.push(await until(async () => (await ask(watch, "reason-of", id))[0]));
    await until(() => socket.io.engine.readyState === "closed");
  }
  return reasons;
}, Array(3).fill("client namespace disconnect"));

inPage("what is emitted just before disconnect still goes, at any point of it", async () => {
  const room = `room${Math.random()}`;
  const watch = await enter("/", { transports: ["websocket"] });
  await ask(watch, "join", room);
  const heard = [];
  watch.on("room-msg", (it) => heard.push(it));
  for (const at of ["upgrading", "upgrade"]) {
    const socket = io("/", { forceNew: true });
    await new Promise((resolve) => {
      const end = () => {
        for (let n = 0; n < 3; n++) socket.emit("to", room, n);
        resolve(socket.disconnect());
      };
      socket.io.engine.once(at, () => (socket.connected ? end() : socket.once("connect", end)));
    });
  }
  await until(() => heard.length === 6);
  return heard;
}, [0, 1, 2, 0, 1, 2], { notNode: "it drops events that come with their socket's end" });

// What is cut may be the probe alone. Then emio's client goes on polling; the official one has
// paused that for good, and waits for the next ping in vain.
test("a loss during the upgrade ends in a connection that works", {
  server: { FX_PING_INTERVAL: "500", FX_PING_TIMEOUT: "500" },
}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = io("/", { forceNew: true, reconnectionDelay: 10 });
    await next(socket.io.engine, "upgrading");
  });
  bench.proxy.cut();
  assert.equal(await bench.run(() => works(socket)), true);
});
