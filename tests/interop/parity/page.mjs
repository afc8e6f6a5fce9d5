// The page around a client: its network, its windows, its end, and workers.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("page");
const TRANSPORTS = ["polling", "websocket"];

for (const transport of TRANSPORTS) {
  test(`offline and online, over ${transport}`, { isAlone: true }, async (bench) => {
    await bench.run(async (transport) => {
      globalThis.socket = await enter("/", { transports: [transport] });
      globalThis.heard = record(socket, "disconnect");
      globalThis.firstId = socket.id;
      await ask(socket, "id");
    }, transport);
    await bench.context.setOffline(true);
    const gone = await bench.run(async () => {
      const [why] = await until(() => heard.length && heard);
      socket.emit("message", "waited");
      globalThis.returned = next(socket, "message-back");
      return [why, socket.connected, socket.active, socket.sendBuffer.length];
    });
    assert.deepEqual(gone, [
      ["disconnect", "transport close", { description: "network connection lost" }], false, true, 1,
    ]);
    await bench.context.setOffline(false);
    const found = await bench.run(async () => {
      return [await returned, socket.id === firstId, heard.length];
    });
    assert.deepEqual(found, [["waited"], false, 1]);
  });

  test(`a window that is closed, over ${transport}`, { isAlone: true }, async (bench) => {
    const other = await bench.window();
    const id = await other.evaluate(async (transport) => {
      globalThis.socket = await enter("/", { transports: [transport] });
      await ask(socket, "id");
      return socket.id;
    }, transport);
    await other.close();
    const reason = await leftBy(bench, id);
    assert.ok(["transport close", "transport error"].includes(reason), reason);
  });

  test(`a page that is left tells nobody but the server, over ${transport}`, {
    isAlone: true,
  }, async (bench) => {
    const other = await bench.window({ context: bench.context });
    const told = [];
    await other.exposeFunction("told", (what) => told.push(what));
    const id = await other.evaluate(async (transport) => {
      globalThis.socket = await enter("/", { transports: [transport] });
      for (const event of ["disconnect", "connect_error"]) socket.on(event, () => told(event));
      await ask(socket, "id");
      return socket.id;
    }, transport);
    await other.goto(bench.origin + "/parity/blank");
    const reason = await leftBy(bench, id);
    assert.ok(["transport close", "transport error"].includes(reason), reason);
    assert.deepEqual(told, []);
  });

  test(`beforeunload, where the application asks for it, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const options = { transports: [transport], reconnection: false };
      const [ended, kept] = [
        await enter("/", { ...options, closeOnBeforeunload: true }), await enter("/", options),
      ];
      const heard = [ended, kept].map((it) => record(it, "disconnect", "connect_error"));
      const { id } = ended;
      await ask(ended, "id");
      dispatchEvent(new Event("beforeunload"));
      ended.emit("message", "nowhere");
      const reason = await until(async () => (await ask(kept, "reason-of", id))[0]);
      return [reason, heard, await ask(kept, "echo", 1)];
    }, transport);
    assert.deepEqual(found, ["transport close", [[], []], [1]]);
  });

  test(`a worker, over ${transport}`, { isAlone: true }, async (bench) => {
    const found = await bench.run(async (transport) => {
      const worker = new Worker("/parity/worker.js");
      const work = async () => {
        const transports = ["TRANSPORT"];
        const socket = await enter(location.origin, { transports });
        const blob = new Blob([bytesOf(1, 2)]);
        const [text, bytes] = await ask(socket, "message-with-ack", "é", blob);
        const { id } = socket;
        await lose(socket);
        await next(socket, "connect");
        return [typeof window, text, plain(bytes), socket.id === id,
          socket.io.engine.transport.name];
      };
      worker.postMessage(`(${String(work).replace("TRANSPORT", transport)})`);
      return new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
    }, transport);
    assert.deepEqual(found, ["undefined", "é", [1, 2], false, transport]);
  });
}

/** Why the server thinks that a socket left, once it does. */
function leftBy(bench, id) {
  return bench.run(async (id) => {
    const watch = await enter("/custom", { transports: ["websocket"] });
    return until(async () => (await ask(watch, "reason-of", id))[0]);
  }, id);
}

test("two windows talk, and one leaves", { isAlone: true }, async (bench) => {
  const other = await bench.window({ context: bench.context });
  const room = `room${Math.random()}`;
  const enterRoom = async (room) => {
    globalThis.socket = await enter("/");
    globalThis.heard = [];
    socket.on("room-msg", (...args) => heard.push(args));
    await ask(socket, "join", room);
    return socket.id;
  };
  const ids = [await bench.run(enterRoom, room), await other.evaluate(enterRoom, room)];
  assert.notEqual(ids[0], ids[1]);
  const told = (page, count) => page.evaluate(async (count) => {
    await until(() => heard.length === count);
    return heard.map(([text, bytes]) => [text, bytes && plain(bytes)]);
  }, count);
  await bench.run((room) => void socket.emit("to", room, "é", bytesOf(1)), room);
  assert.deepEqual(await told(other, 1), [["é", [1]]]);
  await other.evaluate((room) => void socket.emit("in", room, "both"), room);
  assert.deepEqual(await told(other, 2), [["é", [1]], ["both", undefined]]);
  assert.deepEqual(await told(bench.page, 1), [["both", undefined]]);
  await other.evaluate(() => void socket.disconnect());
  assert.equal(await leftBy(bench, ids[1]), "client namespace disconnect");
});

test("windows in the background receive, and are heard", { isAlone: true }, async (bench) => {
  const others = [];
  for (let n = 0; n < 2; n++) others.push(await bench.window({ context: bench.context }));
  await others[1].bringToFront();
  for (const page of [bench.page, ...others]) {
    const answer = await page.evaluate(async () => ask(await enter("/"), "echo", 1));
    assert.deepEqual(answer, [1]);
  }
});

// Emio's client closes the connection of a page that is kept; the official one's is cut by the
// browser. Either way the page hears of it when it is shown again, and comes back by itself.
test("a page that is kept for the way back is connected again", {
  browser: cachingBrowser,
}, async (bench) => {
  await bench.page.goto(bench.origin + "/parity/live");
  await bench.run(async () => {
    await until(() => socket.connected && socket.io.engine.transport.name === "websocket");
    globalThis.firstId = socket.id;
    globalThis.heard = record(socket, "disconnect");
  });
  await bench.page.goto(bench.origin + "/parity/blank");
  await bench.page.goBack({ waitUntil: "commit" });
  const found = await bench.run(async () => {
    await until(() => heard.length && socket.connected);
    return [await ask(socket, "echo", 1), socket.id === firstId, heard.length];
  });
  assert.deepEqual(found, [[1], false, 1]);
});

let caching;

/** A browser that keeps pages for the way back, which playwright's does not. */
function cachingBrowser() {
  const { chromium } = createRequire(import.meta.url)("playwright-core");
  caching ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu"],
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
  return caching;
}

inPage("a page at another name of the same host", async () => {
  const socket = io(`http://localhost:${location.port}`, { transports: ["websocket"] });
  await connected(socket);
  return [socket.io.engine.hostname, await ask(socket, "echo", 1)];
}, ["localhost", [1]], { server: { FX_CORS: "*" } });

test("a busy page loses nothing", { isAlone: true }, async (bench) => {
  const devtools = await bench.context.newCDPSession(bench.page);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: 6 });
  const found = await bench.run(async () => {
    const socket = await enter("/");
    const heard = [];
    socket.on("flood", (n) => heard.push(n));
    socket.emit("flood", 500, 50);
    for (let n = 0; n < 5; n++) {
      // As a page does that draws for too long.
      for (const end = performance.now() + 30; performance.now() < end;);
      await new Promise((resolve) => clock.setTimeout(resolve, 0));
    }
    await until(() => heard.length === 500);
    return heard.every((n, at) => n === at);
  });
  assert.equal(found, true);
});
