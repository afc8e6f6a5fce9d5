// A manager by itself: made without `io`, asked, changed, and heard.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("manager");

inPage("made directly, it opens and makes sockets", async () => {
  const manager = new io.Manager(location.origin, { query: { from: "manager" } });
  const socket = manager.socket("/custom", { auth: { token: "t" } });
  await connected(socket);
  const [{ query, auth }] = await ask(socket, "handshake");
  const same = [socket.io === manager, manager.socket("/custom") === socket];
  return [socket.nsp, ...same, query.from, auth];
}, ["/custom", true, true, "manager", { token: "t" }]);

inPage("made without a URL, from the page or from its options", async () => {
  const { hostname, port } = location;
  const names = [];
  for (const args of [
    [], [{ query: { n: 1 } }], [undefined, { hostname, port }], [{ host: hostname, port }],
    [{ hostname, port, secure: false }],
  ]) {
    const socket = new io.Manager(...args).socket("/");
    await connected(socket);
    names.push([socket.io.engine.hostname, String(socket.io.engine.port)].join(":"));
  }
  return names.every((it) => it === `${hostname}:${port}`) ? names.length : names;
}, 5);

inPage("autoConnect: false waits for both of them", async () => {
  const manager = new io.Manager(location.origin, { autoConnect: false });
  const socket = manager.socket("/");
  const waits = [manager.engine, socket.active, socket.connected];
  const opened = await new Promise((resolve) => manager.open((...args) => resolve(args)));
  const still = [socket.active, socket.connected];
  socket.connect();
  await connected(socket);
  return [waits, opened, still, socket.active];
}, [[undefined, false, false], [], [false, false], true]);

inPage("socket() on an open manager connects at once, and once more after disconnect", async () => {
  const manager = new io.Manager(location.origin);
  await next(manager, "open");
  const socket = manager.socket("/");
  await connected(socket);
  const keeper = await connected(manager.socket("/custom"));
  socket.disconnect();
  await ask(keeper, "id");
  const again = manager.socket("/");
  await connected(again);
  return [again === socket, keeper.connected];
}, [true, true]);

inPage("getters, setters, and their defaults", () => {
  const manager = new io.Manager(location.origin, { autoConnect: false });
  const names = [
    "reconnection", "reconnectionAttempts", "reconnectionDelay", "reconnectionDelayMax",
    "randomizationFactor", "timeout",
  ];
  const values = () => names.map((name) => manager[name]());
  const defaults = values();
  const chained = manager.reconnection(false).reconnectionAttempts(3).reconnectionDelay(10)
    .reconnectionDelayMax(20).randomizationFactor(0.25).timeout(false);
  const options = new io.Manager(location.origin, {
    autoConnect: false, reconnection: false, reconnectionAttempts: 4, reconnectionDelay: 11,
    reconnectionDelayMax: 21, randomizationFactor: 0, timeout: 5,
  });
  return [
    defaults, chained === manager, values(), names.map((name) => options[name]()),
  ];
}, [
  [true, Infinity, 1000, 5000, 0.5, 20_000], true, [false, 3, 10, 20, 0.25, false],
  [false, 4, 11, 21, 0, 5],
]);

inPage("open, packet and ping", async () => {
  const manager = new io.Manager(location.origin);
  const heard = [];
  manager.on("open", (...args) => heard.push(["open", ...args]));
  manager.on("packet", ({ type, nsp, id, data }) => heard.push([type, nsp, id, data]));
  const socket = manager.socket("/custom");
  await connected(socket);
  await ask(socket, "message-with-ack", "a");
  socket.emit("message", "b");
  await next(socket, "message-back");
  const pinged = await next(manager, "ping");
  const [open, [type, nsp, , { sid }], ...rest] = heard;
  return [open, [type, nsp, sid === socket.id], rest, pinged];
}, [
  ["open"], [0, "/custom", true],
  [[3, "/custom", 0, ["a"]], [2, "/custom", undefined, ["message-back", "b"]]],
  [],
], { server: { FX_PING_INTERVAL: "500", FX_PING_TIMEOUT: "3000" } });

inPage("close says why; connect() and open() are the same", async () => {
  const manager = new io.Manager(location.origin, { autoConnect: false });
  const same = manager.connect() === manager;
  await next(manager, "open");
  const open = manager.open() === manager;
  const engine = manager.engine;
  const closed = next(manager, "close");
  manager.socket("/").connect().disconnect();
  await until(() => engine.readyState === "closed");
  return [same, open, await closed];
}, [true, true, ["forced close", undefined]]);

test("open(callback) gets the error, and nothing is tried again", {}, async (bench) => {
  bench.proxy.refuse();
  const found = await bench.run(async () => {
    const manager = new io.Manager(location.origin, { autoConnect: false, reconnectionDelay: 1 });
    const heard = record(manager, "error", "reconnect_attempt", "close");
    const err = await new Promise((resolve) => manager.open(resolve));
    const other = io("/custom", { autoConnect: false, forceNew: true, reconnection: false });
    other.connect();
    await next(other, "connect_error");
    return [shape(err).message, heard.map(([event, err]) => [event, err.message])];
  });
  assert.deepEqual(found, ["xhr poll error", [["error", "xhr poll error"]]]);
});

test("the events of a reconnection, in their order", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/custom", { transports: ["websocket"] });
    globalThis.heard = [];
    const text = (it) => it?.message ?? it;
    for (const event of [
      "open", "error", "close", "reconnect_attempt", "reconnect", "reconnect_error",
      "reconnect_failed",
    ]) {
      socket.io.on(event, (it) => heard.push([`manager ${event}`, text(it)]));
    }
    for (const event of ["connect", "disconnect", "connect_error"]) {
      socket.on(event, (it) => heard.push([`socket ${event}`, text(it)]));
    }
  });
  bench.proxy.refuse();
  await bench.run(() => until(() => heard.filter(([it]) => it === "manager reconnect_error")[1]));
  await bench.proxy.open();
  await bench.run(() => connected(socket));
  const heard = await bench.run(() => heard);
  const attempts = heard.filter(([event]) => event === "manager reconnect_attempt").length;
  const expected = [["socket disconnect", "transport close"], ["manager close", "transport close"]];
  for (let n = 1; n < attempts; n++) {
    expected.push(
      ["manager reconnect_attempt", n], ["socket connect_error", "websocket error"],
      ["manager error", "websocket error"], ["manager reconnect_error", "websocket error"]);
  }
  expected.push(
    ["manager reconnect_attempt", attempts], ["manager open", undefined],
    ["manager reconnect", attempts], ["socket connect", undefined]);
  assert.deepEqual(heard, expected);
});

inPage("it is an emitter", async () => {
  const manager = new io.Manager(location.origin);
  const heard = [];
  const listener = () => heard.push("on");
  manager.on("open", listener).once("open", () => heard.push("once"));
  const before = [manager.listeners("open").length, manager.hasListeners("open")];
  await next(manager, "open");
  manager.off("open", listener);
  const after = manager.hasListeners("open");
  manager.on("x", listener).on("y", listener).removeAllListeners("x");
  return [before, heard, after, manager.hasListeners("x"), manager.hasListeners("y")];
}, [[2, true], ["on", "once"], false, false, true]);

inPage("the last socket that leaves closes the connection, no other does", async () => {
  const manager = new io.Manager(location.origin, { reconnectionDelay: 1 });
  const [a, b] = await Promise.all(["/", "/custom"].map((nsp) => connected(manager.socket(nsp))));
  const { engine } = manager;
  const heard = record(manager, "close", "reconnect_attempt");
  a.disconnect();
  const between = [engine.readyState, b.connected, heard.length];
  await ask(b, "id");
  b.disconnect();
  await until(() => engine.readyState === "closed");
  return [between, heard];
}, [["open", true, 0], [["close", "forced close", undefined]]]);

inPage("a socket comes back to a manager that was closed", async () => {
  const socket = await enter("/");
  const first = socket.io.engine;
  socket.disconnect();
  socket.connect();
  await next(socket, "connect");
  return [first === socket.io.engine, await ask(socket, "echo", 1)];
}, [false, [1]]);

inPage("reconnection(false) takes effect at once", async () => {
  const socket = await enter("/", { reconnectionDelay: 1 });
  const heard = record(socket.io, "reconnect_attempt");
  socket.io.reconnection(false);
  await lose(socket);
  const other = await enter("/custom");
  await lose(other);
  await next(other, "connect");
  return [heard, socket.connected, socket.active];
}, [[], false, true]);

inPage("disconnect() of the manager closes everything, for now", async () => {
  const socket = await enter("/", { reconnectionDelay: 1 });
  const heard = record(socket, "disconnect");
  socket.io.disconnect();
  const after = [socket.connected, socket.active];
  socket.connect();
  await next(socket, "connect");
  return [heard, after];
}, [[["disconnect", "forced close", undefined]], [false, true]]);
