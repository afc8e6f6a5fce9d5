// How a client notices that nobody is there, even where its timers sleep.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("heartbeat");
const QUICK = { FX_PING_INTERVAL: "250", FX_PING_TIMEOUT: "250" };
const SLOW = { FX_PING_INTERVAL: "150", FX_PING_TIMEOUT: "3000" };

for (const transport of ["polling", "websocket"]) {
  test(`pings are answered, over ${transport}`, { server: SLOW }, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const heard = record(socket, "disconnect");
      for (let n = 0; n < 3; n++) await next(socket.io, "ping");
      return [heard, await ask(socket, "echo", 1)];
    }, transport);
    assert.deepEqual(found, [[], [1]]);
  });

  test(`no ping in time is a loss, over ${transport}`, { server: QUICK }, async (bench) => {
    await bench.run(async (transport) => {
      globalThis.socket = await enter("/", { transports: [transport] });
      globalThis.heard = record(socket, "disconnect");
    }, transport);
    bench.proxy.stall();
    const reason = await bench.run(async () => (await until(() => heard[0])).slice(0, 3));
    assert.deepEqual(reason, ["disconnect", "ping timeout", undefined]);
    bench.proxy.flow();
    assert.equal(await bench.run(() => works(socket)), true);
  });

  test(`an emit after the clock has jumped waits for a new session, over ${transport}`, {
    server: { FX_PING_TIMEOUT: "10000" },
  }, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const { id } = socket;
      const heard = [];
      socket.on("disconnect", (reason) => heard.push(reason));
      socket.on("message-back", (n) => heard.push(n));
      // The machine slept: no timer has run, and much time has passed.
      const { now } = Date;
      Date.now = () => now() + 3_600_000;
      socket.emit("message", 1);
      const waits = [socket.sendBuffer.length, socket.connected];
      socket.emit("message", 2);
      Date.now = now;
      await until(() => heard.length === 3);
      return [waits, heard, socket.id === id];
    }, transport);
    assert.deepEqual(found, [[1, true], ["ping timeout", 1, 2], false]);
  });
}

inPage("where timers never run, an emit notices", async () => {
  const late = [];
  // A page in the background: long timers are put off.
  globalThis.setTimeout = (run, ms, ...args) =>
    (ms > 1_000 ? late.push(run) : clock.setTimeout(run, ms, ...args));
  const socket = await enter("/");
  const heard = [];
  socket.on("disconnect", (reason) => heard.push(reason));
  const { now } = Date;
  Date.now = () => now() + 3_600_000;
  socket.emit("message", "kept");
  Date.now = now;
  return [await next(socket, "message-back"), heard];
}, [["kept"], ["ping timeout"]]);

inPage("a volatile emit notices too", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  await until(() => socket.io.engine.transport.writable);
  const { now } = Date;
  Date.now = () => now() + 3_600_000;
  socket.volatile.emit("message", 1);
  Date.now = now;
  return next(socket, "disconnect");
}, ["ping timeout", undefined]);

// By the debugger: the browser freezes a page only where it sees fit.
test("a page that stood still comes back", { server: QUICK, isAlone: true }, async (bench) => {
  const watch = await bench.window();
  await bench.run(async () => {
    globalThis.socket = await enter("/", { transports: ["websocket"] });
    globalThis.heard = record(socket, "disconnect");
    globalThis.firstId = socket.id;
  });
  const id = await bench.run(() => socket.id);
  const devtools = await bench.context.newCDPSession(bench.page);
  await devtools.send("Debugger.enable");
  await devtools.send("Debugger.pause");
  await watch.evaluate(async (id) => {
    const socket = await enter("/custom");
    await until(() => socket.timeout(1_000).emitWithAck("reason-of", id).catch(() => false));
  }, id);
  await devtools.send("Debugger.disable");
  const found = await bench.run(async () => {
    await until(() => heard.length);
    return [await works(socket), socket.id === firstId];
  });
  assert.deepEqual(found, [true, false]);
});
