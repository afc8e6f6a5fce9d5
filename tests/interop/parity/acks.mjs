// Acknowledgements, their timeouts, and the queue of `retries`.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("acks");

inPage("a callback, a promise, and both with a timeout", async () => {
  const socket = await enter("/");
  const timed = (...args) => new Promise((resolve) =>
    socket.timeout(8_000).emit(...args, (...answer) => resolve(answer)));
  return [
    await ask(socket, "message-with-ack"), await ask(socket, "message-with-ack", 1, "b", [null]),
    await timed("message-with-ack"), await timed("message-with-ack", 1, 2),
    await socket.emitWithAck("message-with-ack"),
    await socket.emitWithAck("message-with-ack", 1, 2),
    await socket.timeout(8_000).emitWithAck("message-with-ack", 3),
  ];
}, [[], [1, "b", [null]], [null], [null, 1, 2], undefined, 1, 3]);

inPage("the callback's this, and many of them at once", async () => {
  const socket = await enter("/");
  const own = await new Promise((resolve) =>
    socket.emit("echo", function () {
      resolve(this === socket);
    }));
  const asked = Array.from({ length: 300 }, (_, n) => ask(socket, "echo", n));
  const answers = await Promise.all(asked);
  return [own, answers.every(([it], n) => it === n)];
}, [true, true]);

inPage("bytes in an acknowledgement, both ways", async () => {
  const socket = await enter("/");
  const sent = { deep: [bytesOf(1), { er: bytesOf(2, 3) }] };
  const [back] = await ask(socket, "message-with-ack", sent);
  socket.once("ask", ({ bytes }, reply) => reply({ list: [bytes, new Blob([bytesOf(9)])] }));
  socket.emit("ask", { bytes: bytesOf(7, 8) });
  const [{ list }] = await next(socket, "answer");
  return [plain(back.deep[0]), plain(back.deep[1].er), list.map(plain)];
}, [[1], [2, 3], [[7, 8], [9]]]);

inPage("nobody answers in time", async () => {
  const socket = await enter("/");
  const args = await new Promise((resolve) =>
    socket.timeout(10).emit("nobody answers", (...args) => resolve(args)));
  return [args.map(shape), await failure(socket.timeout(10).emitWithAck("nobody answers"))];
}, [
  [{
    isError: true, message: "operation has timed out", type: undefined, description: undefined,
    data: undefined,
  }],
  "operation has timed out",
]);

test("an answer that is late is ignored", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/", { transports: ["websocket"] });
    globalThis.heard = [];
  });
  bench.proxy.stall();
  await bench.run(async () => {
    socket.timeout(10).emit("echo", 1, (err, value) => heard.push([err?.message, value]));
    await until(() => heard.length);
  });
  bench.proxy.flow();
  const found = await bench.run(async () => [await ask(socket, "echo", 2), heard]);
  assert.deepEqual(found, [[2], [["operation has timed out", undefined]]]);
});

inPage("ackTimeout is the timeout of all, timeout() of one", async () => {
  const socket = await enter("/", { ackTimeout: 10 });
  const answer = (socket, ...args) => new Promise((resolve) =>
    socket.emit(...args, (err, value) => resolve([err && err.message, value])));
  const late = await answer(socket, "nobody answers");
  const promise = await failure(socket.emitWithAck("nobody answers"));
  const patient = await answer(socket.timeout(8_000), "echo", 1);
  return [late, promise, patient];
}, [["operation has timed out", undefined], "operation has timed out", [null, 1]]);

inPage("a timeout takes back what was never sent", async () => {
  const socket = io("/", { autoConnect: false, forceNew: true });
  socket.emit("message", "first");
  const lost = socket.timeout(10).emitWithAck("message-with-ack", "lost");
  socket.emit("message", "last");
  const before = socket.sendBuffer.length;
  const error = await failure(lost);
  return [before, error, socket.sendBuffer.map(({ data }) => data[1])];
}, [3, "operation has timed out", ["first", "last"]]);

inPage("a disconnect fails those with a timeout or a promise, and no others", async () => {
  const socket = await enter("/", { reconnectionDelay: 1 });
  const heard = [];
  socket.emit("nobody answers", () => heard.push("called"));
  socket.timeout(8_000).emit("nobody answers", (err) => heard.push(err.message));
  const promises = [
    failure(socket.emitWithAck("nobody answers")),
    failure(socket.timeout(8_000).emitWithAck("nobody answers")),
  ];
  socket.on("disconnect", () => heard.push("disconnect"));
  await lose(socket);
  const answers = await Promise.all(promises);
  await connected(socket);
  return [answers, heard, await ask(socket, "echo", 1)];
}, [
  ["socket has been disconnected", "socket has been disconnected"],
  ["disconnect", "socket has been disconnected"], [1],
]);

inPage("what waits in the buffer keeps its acknowledgement through a loss", async () => {
  const socket = await enter("/", { reconnectionDelay: 1 });
  const answers = [];
  socket.once("disconnect", () => {
    socket.emit("echo", "plain", (value) => answers.push(value));
    socket.timeout(8_000).emit("echo", "timed", (err, value) => answers.push([err, value]));
    socket.emitWithAck("echo", "promise").then((value) => answers.push(value));
  });
  await lose(socket);
  await until(() => answers.length === 3);
  return answers;
}, ["plain", [null, "timed"], "promise"]);

inPage("an answer comes once, from either side", async () => {
  const socket = await enter("/");
  let count = 0;
  socket.emit("double-ack", () => count++);
  await ask(socket, "id");
  const answers = [];
  socket.on("answer", (n) => answers.push(n));
  socket.on("ask", (reply) => [1, 2].forEach((n) => reply(n)));
  socket.emit("ask");
  await next(socket, "answer");
  await ask(socket, "id");
  return [count, answers];
}, [1, [1]]);

inPage("the server asks, and is answered later, or not at all", async () => {
  const socket = await enter("/custom");
  socket.once("ask", (n, text, reply) => clock.setTimeout(() => reply(n + 1, text), 1));
  socket.emit("ask", 1, "é");
  const answered = await next(socket, "answer");
  socket.once("ask", (reply) => reply("in time"));
  socket.emit("ask-timeout", 8_000);
  const inTime = await next(socket, "answer-timeout");
  socket.emit("ask-timeout", 10);
  return [answered, inTime, await next(socket, "answer-timeout")];
}, [[2, "é"], ["ok", "in time"], ["timeout"]]);

inPage("an answer after the disconnect goes nowhere, and throws nothing", async () => {
  const socket = await enter("/");
  socket.emit("ask", 1);
  const [, reply] = await next(socket, "ask");
  socket.disconnect();
  reply("too late");
  const lost = await enter("/custom");
  lost.emit("ask", 1);
  const [, answer] = await next(lost, "ask");
  await lose(lost);
  answer("too late");
  await next(lost, "connect");
  return ask(lost, "echo", 2);
}, [2]);

inPage("a volatile emit that is dropped is not answered", async () => {
  const socket = io("/", { autoConnect: false, forceNew: true });
  const error = await failure(socket.volatile.timeout(10).emitWithAck("echo", 1));
  return [error, socket.sendBuffer.length];
}, ["operation has timed out", 0]);

inPage("an acknowledgement from others of a room", async () => {
  const room = `room${Math.random()}`;
  const sockets = [await enter("/"), await enter("/"), await enter("/")];
  for (const [n, socket] of sockets.entries()) {
    await ask(socket, "join", room);
    socket.on("room-ask", (reply) => reply(n));
  }
  return ask(sockets[0], "room-ack", room, 8_000);
}, ["ok", [0, 1, 2]]);

test("retries: one at a time, in order", {}, async (bench) => {
  const found = await bench.run(async () => {
    const socket = await enter("/", { transports: ["websocket"], retries: 3, ackTimeout: 8_000 });
    const order = [];
    socket.onAnyOutgoing((event, n) => order.push(["sent", n]));
    const acked = [];
    for (const n of [1, 2, 3]) {
      socket.emit("message-with-ack", n, (...args) => {
        order.push(["acked", n]);
        acked.push(args);
      });
    }
    const buffered = socket.sendBuffer.length;
    await until(() => acked.length === 3);
    return [order, acked, buffered];
  });
  assert.deepEqual(found, [
    [["sent", 1], ["acked", 1], ["sent", 2], ["acked", 2], ["sent", 3], ["acked", 3]],
    [[null, 1], [null, 2], [null, 3]], 0,
  ]);
});

inPage("retries: one more try than retries, then the error, then the next", async () => {
  const socket = await enter("/", { retries: 2, ackTimeout: 20 });
  const order = [];
  socket.onAnyOutgoing((event) => order.push(event));
  const answers = [];
  socket.emit("nobody answers", (err, value) => answers.push([err.message, value]));
  socket.timeout(8_000)
    .emit("message-with-ack", "next", (err, value) => answers.push([err, value]));
  await until(() => answers.length === 2);
  return [order, answers];
}, [
  ["nobody answers", "nobody answers", "nobody answers", "message-with-ack"],
  [["operation has timed out", undefined], [null, "next"]],
]);

inPage("retries: without a callback, and as a promise", async () => {
  const socket = await enter("/", { retries: 1, ackTimeout: 8_000 });
  socket.emit("message-with-ack", "no callback");
  const answer = await socket.emitWithAck("message-with-ack", "promise");
  const impatient = await enter("/", { retries: 1, ackTimeout: 10 });
  return [answer, await failure(impatient.emitWithAck("nobody answers"))];
}, ["promise", "operation has timed out"]);

inPage("retries: what is emitted before the connection waits in the queue", async () => {
  const socket = io("/", { forceNew: true, autoConnect: false, retries: 3, ackTimeout: 8_000 });
  const answers = [];
  for (const n of [1, 2, 3]) socket.emit("message-with-ack", n, (err, n) => answers.push(n));
  const buffered = socket.sendBuffer.length;
  socket.on("connect", () => answers.push("connect"));
  socket.connect();
  await until(() => answers.length === 4);
  return [buffered, answers];
}, [0, ["connect", 1, 2, 3]]);

inPage("retries: volatile passes by the queue", async () => {
  const socket = await enter("/", { retries: 3, ackTimeout: 8_000, transports: ["websocket"] });
  const returned = [];
  socket.on("message-back", (n) => returned.push(n));
  const first = socket.emitWithAck("message-with-ack", 1);
  const second = socket.emitWithAck("message-with-ack", 2);
  await until(() => socket.io.engine.transport.writable);
  socket.volatile.emit("message", "volatile");
  await until(() => returned.length);
  return [await first, await second, returned];
}, [1, 2, ["volatile"]]);

test("retries: what a loss interrupts is sent again, before what follows", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = await enter("/", {
      transports: ["websocket"], retries: 5, ackTimeout: 8_000,
    });
  });
  bench.proxy.stall();
  await bench.run(async () => {
    globalThis.answers = [];
    globalThis.sent = [];
    socket.onAnyOutgoing((event, n) => sent.push(n));
    for (const n of [1, 2]) socket.emit("message-with-ack", n, (err, n) => answers.push([err, n]));
  });
  bench.proxy.cut();
  bench.proxy.flow();
  const found = await bench.run(async () => {
    await until(() => answers.length === 2);
    return [answers, [...new Set(sent)], sent.at(-1), sent[0]];
  });
  assert.deepEqual(found, [[[null, 1], [null, 2]], [1, 2], 2, 1]);
});
