// What goes wrong, and what listeners are told: refusals, errors of transports, disconnections.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("errors");

inPage("a middleware refuses, with data", async () => {
  const socket = io("/mw-error", { forceNew: true });
  const [err] = await next(socket, "connect_error");
  return [shape(err), socket.connected, socket.active, socket.id];
}, [
  {
    isError: true, message: "not authorized", type: undefined, description: undefined,
    data: { code: 403, details: ["no", { token: "please" }] },
  },
  false, false, undefined,
]);

inPage("after a refusal nothing is tried, until connect()", async () => {
  const socket = io("/mw-auth", { forceNew: true, auth: { token: "wrong" }, reconnectionDelay: 1 });
  const heard = record(socket.io, "reconnect_attempt");
  const messages = [];
  socket.on("connect_error", (err) => messages.push(err.message));
  socket.emit("message", "kept");
  await next(socket, "connect_error");
  await enter("/custom");
  const between = [messages.length, socket.active, socket.sendBuffer.length];
  socket.connect();
  await next(socket, "connect_error");
  socket.auth = { token: "secret" };
  socket.connect();
  const returned = await next(socket, "message-back");
  return [between, messages, returned, heard];
}, [[1, false, 1], ["unauthorized", "unauthorized"], ["kept"], []]);

inPage("a refused namespace leaves the others alone", async () => {
  const root = await enter("/");
  const refused = root.io.socket("/mw-error");
  await next(refused, "connect_error");
  const unknown = root.io.socket("/nowhere");
  const [err] = await next(unknown, "connect_error");
  return [err.message, err.data, root.connected, await ask(root, "echo", 1)];
}, ["Invalid namespace", undefined, true, [1]]);

inPage("a middleware that takes its time", async () => {
  const manager = new io.Manager(location.origin);
  const slow = manager.socket("/mw-slow");
  const order = [];
  slow.on("connect", () => order.push("slow"));
  slow.emit("message", "kept");
  const quick = manager.socket("/custom");
  quick.on("connect", () => order.push("quick"));
  return [await next(slow, "message-back"), order];
}, [["kept"], ["quick", "slow"]]);

inPage("the main namespace refuses by the query", async () => {
  const socket = io("/?fail=1", { forceNew: true });
  const [err] = await next(socket, "connect_error");
  return [err.message, socket.active];
}, ["Auth failed (main namespace)", false]);

inPage("an event that is refused", async () => {
  const socket = await enter("/sockmw");
  socket.emit("blocked", 1);
  const refused = await next(socket, "mw-error");
  return [refused, await ask(socket, "echo", 1)];
}, [["event blocked"], [1]]);

inPage("a handshake that is refused: polling tells how", async () => {
  const socket = io("/?deny=1", { forceNew: true, reconnection: false });
  const seen = [];
  // Only while the listener runs: the official client gives its request up afterwards.
  socket.on("connect_error", ({ context }) => seen.push(context.status, context.responseText));
  const [err] = await next(socket, "connect_error");
  const [status, text] = seen;
  return [shape(err), status, JSON.parse(text), socket.active, socket.connected];
}, [
  {
    isError: true, message: "xhr poll error", type: "TransportError", description: 403,
    data: undefined,
  },
  403, { code: 4, message: "denied by fixture" }, true, false,
]);

inPage("a handshake that is refused: WebSocket tells nothing", async () => {
  const socket = io("/?deny=1", { reconnection: false, transports: ["websocket"] });
  const [err] = await next(socket, "connect_error");
  return [err instanceof Error, err.message, err.type, err.description instanceof Event,
    err.description.type, err.context];
}, [true, "websocket error", "TransportError", true, "error", undefined]);

inPage("a path nobody serves", async () => {
  const socket = io("/", { path: "/nothing/", reconnection: false });
  const seen = [];
  socket.on("connect_error", (err) => seen.push(err.message, err.description, err.context.status));
  await next(socket, "connect_error");
  return seen;
}, ["xhr poll error", 404, 404]);

for (const [transport, message] of
  [["polling", "xhr poll error"], ["websocket", "websocket error"]]) {
  test(`nobody there, over ${transport}`, {}, async (bench) => {
    bench.proxy.refuse();
    const found = await bench.run(async (transport) => {
      const socket = io("/", { transports: [transport], reconnection: false });
      const heard = [];
      socket.io.on("error", (err) => heard.push(err.message));
      const [err] = await next(socket, "connect_error");
      await until(() => heard.length);
      return [err instanceof Error, err.message, err.type, typeof err.description, err.data, heard];
    }, transport);
    const description = transport === "polling" ? "number" : "object";
    assert.deepEqual(found, [true, message, "TransportError", description, undefined, [message]]);
  });
}

test("a WebSocket that is cut", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/", { transports: ["websocket"], reconnection: false });
    globalThis.heard = record(socket, "disconnect");
  });
  bench.proxy.cut();
  const found = await bench.run(async () => {
    const [, reason, { description, context }] = await until(() => heard[0]);
    return [reason, description, context instanceof CloseEvent, context.code, socket.active,
      heard.length];
  });
  assert.deepEqual(found, [
    "transport close", "websocket connection closed", true, 1006, true, 1,
  ]);
});

test("a poll that is cut", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/", { transports: ["polling"], reconnection: false });
    globalThis.heard = record(socket, "disconnect");
    globalThis.errors = record(socket.io, "error");
    await ask(socket, "id");
  });
  bench.proxy.refuse();
  const found = await bench.run(async () => {
    const [, reason, err] = await until(() => heard[0]);
    return [reason, shape(err), heard.length, errors.length];
  });
  assert.deepEqual(found, ["transport error", {
    isError: true, message: "xhr poll error", type: "TransportError", description: 0,
    data: undefined,
  }, 1, 1]);
});

test("a post that is lost", { isAlone: true }, async (bench) => {
  // The GET waits at the server; the POST finds nobody.
  await bench.run(async () => {
    globalThis.socket = await enter("/", { transports: ["polling"], reconnection: false });
    globalThis.heard = record(socket, "disconnect");
    await ask(socket, "id");
  });
  await bench.page.route(/EIO=4/, (route) =>
    (route.request().method() === "POST" ? route.abort() : route.continue()));
  const found = await bench.run(async () => {
    socket.emit("message", 1);
    const [, reason, err] = await until(() => heard[0]);
    return [reason, err.message, err.type, err.description];
  });
  assert.deepEqual(found, ["transport error", "xhr post error", "TransportError", 0]);
});

for (const transport of ["polling", "websocket"]) {
  test(`the server closes the connection, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const { id } = socket;
      socket.emit("close-conn");
      const [reason, { description }] = await next(socket, "disconnect");
      await connected(socket);
      return [reason, description, socket.id === id];
    }, transport);
    const description = transport === "polling"
      ? "transport closed by the server" : "websocket connection closed";
    assert.deepEqual(found, ["transport close", description, false]);
  });

  test(`the server says bye to a socket, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const keeper = await connected(socket.io.socket("/custom"));
      const heard = record(socket.io, "reconnect_attempt", "close");
      socket.emit("bye");
      const why = await next(socket, "disconnect");
      const after = [socket.connected, socket.active, socket.id, keeper.connected, heard.length];
      socket.emit("message", "kept");
      socket.connect();
      return [why, after, await next(socket, "message-back")];
    }, transport);
    assert.deepEqual(found, [
      ["io server disconnect", undefined], [false, false, undefined, true, 0], ["kept"],
    ]);
  });

  test(`the server says bye to all sockets, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport], reconnectionDelay: 1 });
      const other = await connected(socket.io.socket("/custom"));
      const heard = record(socket.io, "reconnect_attempt");
      const reasons = [next(socket, "disconnect"), next(other, "disconnect")];
      socket.emit("bye-all");
      const why = await Promise.all(reasons);
      await enter("/dyn-1");
      const after = [socket.active, other.active, heard.length];
      other.connect();
      await connected(other);
      return [why, after, socket.connected];
    }, transport);
    assert.deepEqual(found, [
      [["io server disconnect", undefined], ["io server disconnect", undefined]],
      [false, false, 0], false,
    ]);
  });

  test(`last words arrive before the end, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const socket = await enter("/", { transports: [transport] });
      const order = record(socket, "last-words", "disconnect");
      socket.emit("emit-then-bye", "é", bytesOf(1, 2));
      await next(socket, "disconnect");
      const [[first, text, bytes], [last, reason]] = order;
      return [first, text, plain(bytes), last, reason];
    }, transport);
    assert.deepEqual(found, ["last-words", "é", [1, 2], "disconnect", "io server disconnect"]);
  });

  test(`the server learns why a socket left, over ${transport}`, {}, async (bench) => {
    const found = await bench.run(async (transport) => {
      const watch = await enter("/custom");
      const options = { transports: [transport], reconnection: false };
      const reason = async (leave) => {
        const socket = await enter("/", options);
        await ask(socket, "id");
        const { id } = socket;
        leave(socket);
        return until(async () => (await ask(watch, "reason-of", id))[0]);
      };
      return [
        await reason((socket) => socket.disconnect()),
        await reason((socket) => {
          socket.emit("message", 1);
          socket.disconnect();
        }),
        await reason((socket) => socket.io.engine.close()),
      ];
    }, transport);
    assert.deepEqual(found, [
      "client namespace disconnect", "client namespace disconnect", "transport close",
    ]);
  });
}
