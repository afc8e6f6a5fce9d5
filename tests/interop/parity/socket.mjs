// A socket: its attributes, its methods, and its listeners.

import { theme } from "./bench.mjs";

const { inPage } = theme("socket");

inPage("its attributes through its life", async () => {
  const auth = { token: "t" };
  const socket = io("/custom", { forceNew: true, auth });
  const now = () => ({
    id: typeof socket.id, connected: socket.connected, disconnected: socket.disconnected,
    active: socket.active, recovered: Boolean(socket.recovered),
    buffers: [socket.receiveBuffer.length, socket.sendBuffer.length],
  });
  const life = [now()];
  socket.emit("message", 1);
  life.push(now());
  await connected(socket);
  life.push(now());
  socket.disconnect();
  life.push(now());
  return [life, socket.nsp, socket.auth === auth, socket.io instanceof io.Manager];
}, [
  [
    ["undefined", false, true, true, [0, 0]], ["undefined", false, true, true, [0, 1]],
    ["string", true, false, true, [0, 0]], ["undefined", false, true, false, [0, 0]],
  ].map(([id, connected, disconnected, active, buffers]) =>
    ({ id, connected, disconnected, active, recovered: false, buffers })),
  "/custom", true, true,
]);

inPage("methods return their socket", () => {
  const socket = io("/", { autoConnect: false, forceNew: true });
  const none = () => {};
  const returned = {
    on: socket.on("a", none), once: socket.once("a", none), off: socket.off("a", none),
    offAll: socket.off(), removeListener: socket.removeListener("a", none),
    removeAllListeners: socket.removeAllListeners(),
    emit: socket.emit("a"), send: socket.send("a"), timeout: socket.timeout(5),
    compress: socket.compress(true), volatile: socket.volatile,
    onAny: socket.onAny(none), prependAny: socket.prependAny(none), offAny: socket.offAny(none),
    onAnyOutgoing: socket.onAnyOutgoing(none),
    prependAnyOutgoing: socket.prependAnyOutgoing(none),
    offAnyOutgoing: socket.offAnyOutgoing(none),
    connect: socket.connect(), open: socket.open(),
    disconnect: socket.disconnect(), close: socket.close(),
  };
  return Object.entries(returned).filter(([, it]) => it !== socket).map(([name]) => name);
}, []);

inPage("open and close are connect and disconnect", async () => {
  const socket = io("/", { autoConnect: false, forceNew: true });
  socket.open();
  await next(socket, "connect");
  const heard = record(socket, "disconnect");
  socket.close();
  return [heard, socket.active];
}, [[["disconnect", "io client disconnect", undefined]], false]);

inPage("connect while connected, and disconnect while not, do nothing", async () => {
  const socket = io("/", { forceNew: true });
  const heard = record(socket, "connect", "disconnect");
  socket.connect();
  await connected(socket);
  socket.connect().connect();
  await ask(socket, "id");
  socket.disconnect().disconnect();
  const fresh = io("/custom", { forceNew: true, autoConnect: false });
  const silent = record(fresh, "disconnect");
  fresh.disconnect();
  return [heard, silent];
}, [[["connect"], ["disconnect", "io client disconnect", undefined]], []]);

inPage("disconnect before it is connected is silent", async () => {
  const socket = io("/", { forceNew: true });
  const heard = record(socket, "connect", "disconnect", "connect_error");
  socket.disconnect();
  await enter("/custom");
  const after = [socket.active, heard.length];
  socket.connect();
  await connected(socket);
  return [after, heard];
}, [[false, 0], [["connect"]]]);

// The pause between is for the official server, which ends a session that returns at once.
inPage("disconnect and connect is a new socket of the same connection", async () => {
  const socket = await enter("/");
  const keeper = await connected(socket.io.socket("/custom"));
  const { id } = socket;
  const { engine } = socket.io;
  socket.disconnect();
  await ask(keeper, "id");
  socket.connect();
  await next(socket, "connect");
  return [socket.id === id, socket.io.engine === engine, keeper.connected];
}, [false, true, true]);

inPage("send is the event message", async () => {
  const socket = await enter("/");
  socket.send("a", 1);
  return next(socket, "message-back");
}, ["a", 1]);

inPage("reserved names cannot be emitted", () => {
  const socket = io("/", { autoConnect: false });
  return [
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
  ].map((name) => {
    try {
      socket.emit(name, 1);
    } catch (err) {
      return err.message === `"${name}" is a reserved event name`;
    }
    return name;
  });
}, Array(6).fill(true));

inPage("other names are free", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  const sent = [];
  socket.io.engine.on("packetCreate", ({ data }) => sent.push(data));
  const names = ["", "error", "ping", "open", "packet", "toString", "__proto__", 5, "a\n\"b"];
  for (const name of names) socket.emit(name, 1);
  await ask(socket, "id");
  sent.pop();
  return [sent.map((it) => JSON.parse(it.slice(1))[0]), socket.hasListeners("toString")];
}, [["", "error", "ping", "open", "packet", "toString", "__proto__", 5, "a\n\"b"], false]);

inPage("listeners: on, once, off, and by their other names", async () => {
  const socket = await enter("/");
  const calls = [];
  const say = (word) => () => calls.push(word);
  const [a, b, c] = ["a", "b", "c"].map(say);
  socket.on("message-back", a).once("message-back", b).on("message-back", c).on("message-back", c);
  socket.once("message-back", say("never"));
  const count = socket.listeners("message-back").length;
  socket.off("message-back", socket.listeners("message-back")[4]);
  socket.off("message-back", c);
  const once = say("once removed by its own name");
  socket.once("message-back", once).off("message-back", once);
  const turn = async () => {
    socket.emit("message");
    await next(socket, "message-back");
    return calls.splice(0);
  };
  const turns = [await turn(), await turn()];
  socket.removeListener("message-back", a);
  turns.push(await turn());
  socket.removeAllListeners("message-back");
  turns.push(await turn());
  socket.on("message-back", a).on("other", a).off();
  return [count, turns, socket.hasListeners("message-back"), socket.hasListeners("other"),
    socket.listeners("message-back")];
}, [5, [["a", "b", "c"], ["a", "c"], ["c"], []], false, false, []]);

inPage("addEventListener and removeEventListener are on and off", async () => {
  const socket = await enter("/");
  const calls = [];
  const listener = (n) => calls.push(n);
  socket.addEventListener("message-back", listener);
  socket.emit("message", 1);
  await next(socket, "message-back");
  socket.removeEventListener("message-back", listener);
  socket.emit("message", 2);
  await next(socket, "message-back");
  return calls;
}, [1]);

inPage("a listener's this, and changes while listeners run", async () => {
  const socket = await enter("/");
  const calls = [];
  const late = () => calls.push("late");
  const last = () => calls.push("last");
  socket.on("message-back", function () {
    calls.push(this === socket);
    socket.off("message-back", last).on("message-back", late);
  });
  socket.on("message-back", last);
  const turn = async () => {
    socket.emit("message");
    await next(socket, "message-back");
    return calls.splice(0);
  };
  return [await turn(), await turn()];
}, [[true, "last"], [true, "late"]]);

inPage("any: every event, before its own listeners", async () => {
  const socket = await enter("/");
  const calls = [];
  const any = (...args) => calls.push(["any", ...args]);
  const first = (event) => calls.push(["first", event]);
  socket.on("message-back", (n) => calls.push(["own", n]));
  socket.onAny(any).prependAny(first);
  const count = socket.listenersAny().length;
  const turn = async (n) => {
    socket.emit("message", n);
    await next(socket, "message-back");
    return calls.splice(0);
  };
  const turns = [await turn(1)];
  socket.offAny(first);
  turns.push(await turn(2));
  socket.offAny();
  turns.push(await turn(3));
  return [count, turns, socket.listenersAny()];
}, [
  2,
  [
    [["first", "message-back"], ["any", "message-back", 1], ["own", 1]],
    [["any", "message-back", 2], ["own", 2]],
    [["own", 3]],
  ],
  [],
]);

inPage("any: the acknowledgement is an argument, the socket's own events are none", async () => {
  const socket = io("/", { forceNew: true });
  const calls = [];
  socket.onAny((event, ...args) => calls.push([event, ...args.map((it) => typeof it)]));
  socket.on("ask", (reply) => reply(1));
  await connected(socket);
  socket.emit("ask");
  await next(socket, "answer");
  socket.disconnect();
  return calls;
}, [["ask", "function"], ["answer", "number"]]);

inPage("any outgoing: what is sent, when it is sent", async () => {
  const socket = io("/", { forceNew: true, autoConnect: false });
  const calls = [];
  const any = (...args) => calls.push(["any", ...args]);
  const first = (event) => calls.push(["first", event]);
  socket.onAnyOutgoing(any).prependAnyOutgoing(first);
  socket.emit("message", "buffered");
  socket.volatile.emit("message", "dropped");
  const before = [calls.length, socket.listenersAnyOutgoing().length];
  socket.connect();
  await next(socket, "message-back");
  await ask(socket, "echo", 2);
  socket.offAnyOutgoing(first);
  socket.emit("message", "now");
  const now = calls.length;
  await next(socket, "message-back");
  socket.offAnyOutgoing();
  await ask(socket, "echo", 3);
  return [before, calls, now, socket.listenersAnyOutgoing()];
}, [
  [0, 2],
  [
    ["first", "message"], ["any", "message", "buffered"], ["first", "echo"], ["any", "echo", 2],
    ["any", "message", "now"],
  ],
  5, [],
]);

inPage("volatile is dropped without a connection, and while a write is under way", async () => {
  const socket = io("/", { forceNew: true, autoConnect: false, transports: ["websocket"] });
  const returned = [];
  socket.on("message-back", (n) => returned.push(n));
  socket.volatile.emit("message", "offline");
  const buffered = socket.sendBuffer.length;
  socket.connect();
  socket.volatile.emit("message", "opening");
  await connected(socket);
  await until(() => socket.io.engine.transport.writable);
  socket.volatile.emit("message", "free");
  socket.volatile.emit("message", "busy");
  socket.emit("message", "kept");
  await until(() => returned.includes("kept"));
  await until(() => socket.io.engine.transport.writable);
  socket.volatile.emit("message", "free again");
  await until(() => returned.includes("free again"));
  return [buffered, returned];
}, [0, ["free", "kept", "free again"]]);

inPage("volatile over polling is dropped while a request is under way", async () => {
  const socket = await enter("/", { transports: ["polling"] });
  const returned = [];
  socket.on("message-back", (n) => returned.push(n));
  await until(() => socket.io.engine.transport.writable);
  socket.volatile.emit("message", "free");
  socket.volatile.emit("message", "busy");
  socket.emit("message", "kept");
  await until(() => returned.includes("kept"));
  return returned;
}, ["free", "kept"]);

inPage("modifiers are for one emit", async () => {
  const socket = io("/", { forceNew: true, autoConnect: false });
  socket.volatile.emit("message", "dropped");
  socket.emit("message", "kept");
  socket.volatile.timeout(5);
  socket.emit("echo", () => {});
  const buffered = socket.sendBuffer.length;
  socket.connect();
  await connected(socket);
  socket.timeout(8_000).emit("nobody answers", () => {});
  return [buffered, await ask(socket, "echo", "plain")];
}, [1, ["plain"]]);

inPage("buffers are written before connect is told, and in order", async () => {
  const socket = io("/", { forceNew: true });
  const order = [];
  socket.onAnyOutgoing((event, n) => order.push(n));
  socket.on("connect", () => {
    order.push("connect");
    socket.emit("message", "in connect");
  });
  for (let n = 0; n < 3; n++) socket.emit("message", n);
  const returned = [];
  socket.on("message-back", (n) => returned.push(n));
  await until(() => returned.length === 4);
  return [order, returned];
}, [[0, 1, 2, "connect", "in connect"], [0, 1, 2, "in connect"]]);

inPage("a listener that throws harms nothing but itself", async () => {
  const socket = await enter("/");
  const heard = [];
  socket.on("message-back", (n) => {
    heard.push(n);
    throw new Error("of the application");
  });
  socket.on("disconnect", () => heard.push("disconnect"));
  const errors = uncaught();
  socket.emit("message", 1);
  socket.emit("message", 2);
  await until(() => errors.length === 2);
  return [heard, errors, await ask(socket, "echo", 3)];
}, [[1, 2], ["of the application", "of the application"], [3]], { isThrowing: true });

inPage("an acknowledgement that throws harms nothing but itself", async () => {
  const socket = await enter("/");
  const errors = uncaught();
  socket.emit("echo", 1, () => {
    throw new Error("of the application");
  });
  await until(() => errors.length);
  return [errors, await ask(socket, "echo", 3), socket.connected];
}, [["of the application"], [3], true], { isThrowing: true });
