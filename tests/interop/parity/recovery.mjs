// Connection state recovery: what a client that was away for a moment is given back.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test } = theme("recovery");
const RECOVERY = { FX_RECOVERY: "1", FX_CORS: "*" };

/** A socket that the server greeted, so that it knows an offset; and one that stays, elsewhere. */
async function begin(bench, options = {}) {
  const { origin } = await bench.front();
  await bench.run(async ([origin, options]) => {
    globalThis.heard = [];
    globalThis.socket = await enter("/dyn-1", { transports: ["websocket"], ...options });
    globalThis.room = `room${Math.random()}`;
    await ask(socket, "join", room);
    socket.emit("message", "greeting");
    await next(socket, "message-back");
    socket.on("room-msg", (...args) => heard.push(args));
    globalThis.other = await enter(`${origin}/dyn-1`, { transports: ["websocket"] });
    globalThis.firstId = socket.id;
  }, [origin, options]);
}

/** The socket is cut off, and `away` runs in the page before the way is open again. */
async function leave(bench, away) {
  bench.proxy.refuse();
  await bench.run(() => until(() => !socket.connected));
  await bench.run(away);
  await bench.proxy.open();
  await bench.run(() => connected(socket));
}

for (const transport of ["websocket", "polling"]) {
  test(`the same socket, and what it missed, over ${transport}`, {
    server: RECOVERY,
  }, async (bench) => {
    await begin(bench, { transports: [transport] });
    await bench.run(() => {
      globalThis.atConnect = [];
      socket.on("connect", () => atConnect.push([socket.recovered, socket.id === firstId]));
    });
    await leave(bench, async () => {
      for (let n = 0; n < 20; n++) other.emit("to", room, n, ...(n % 5 ? [] : [bytesOf(n)]));
      await ask(other, "id");
    });
    const found = await bench.run(async () => {
      await until(() => heard.length === 20);
      other.emit("to", room, "after");
      await until(() => heard.length === 21);
      const [onServer] = await ask(socket, "recovered");
      const bytes = heard.slice(0, 20).filter((_, n) => n % 5 === 0).map(([, it]) => plain(it)[0]);
      return [heard.map(([it]) => it), atConnect, onServer, socket.recovered, bytes];
    });
    assert.deepEqual(found, [
      [...Array(20).keys(), "after"], [[true, true]], true, true, [0, 5, 10, 15],
    ]);
  });
}

test("listeners are given the offset as one more argument", { server: RECOVERY }, async (bench) => {
  await begin(bench);
  const found = await bench.run(async () => {
    const any = [];
    socket.onAny((event, ...args) => any.push([event, args.length]));
    other.emit("to", room, 1, { a: 2 });
    await until(() => heard.length);
    socket.emit("message", "é");
    const back = await next(socket, "message-back");
    const bytes = [];
    socket.once("ask", (...args) => bytes.push(...args.map((it) => typeof it)));
    socket.emit("ask", 1);
    await until(() => bytes.length);
    const [[one, two, offset]] = heard;
    return [one, two, typeof offset, heard[0].length, back.length, typeof back[1], bytes, any,
      socket.recovered ?? false];
  });
  assert.deepEqual(found, [
    1, { a: 2 }, "string", 3, 2, "string", ["number", "function"],
    [["room-msg", 3], ["message-back", 2], ["ask", 2]], false,
  ]);
});

test("what the socket emits meanwhile follows", { server: RECOVERY }, async (bench) => {
  await begin(bench);
  await leave(bench, () => {
    globalThis.returned = [];
    socket.on("message-back", (n) => returned.push(n));
    for (let n = 0; n < 10; n++) socket.emit("message", n);
  });
  const found = await bench.run(async () => {
    await until(() => returned.length === 10);
    return [returned, socket.recovered];
  });
  assert.deepEqual(found, [[...Array(10).keys()], true]);
});

test("again and again, each time with the latest offset", { server: RECOVERY }, async (bench) => {
  await begin(bench);
  for (const round of [0, 1, 2]) {
    await leave(bench, async () => {
      for (let n = 0; n < 3; n++) other.emit("to", room, n);
      await ask(other, "id");
    });
    const found = await bench.run(async () => {
      await until(() => heard.length === 3);
      return [heard.splice(0).map(([n]) => n), socket.recovered, socket.id === firstId];
    });
    assert.deepEqual(found, [[0, 1, 2], true, true], `round ${round}`);
  }
});

test("the CONNECT packet asks for it, beside auth", { server: RECOVERY }, async (bench) => {
  await begin(bench, { auth: { token: "t", offset: undefined } });
  await leave(bench, () => {});
  const connects = bench.requests.filter(({ sent }) => sent?.length)
    .map(({ sent }) => sent[0]).filter((frame) => /^40\/dyn-1,/.test(frame));
  const payload = (frame) => JSON.parse(frame.slice("40/dyn-1,".length));
  const mine = connects.filter((frame) => frame.includes("token"));
  assert.deepEqual(mine.map(payload).map(({ token }) => token), ["t", "t"]);
  assert.deepEqual(Object.keys(payload(mine[0])).sort(), ["token"]);
  // The application's own keys win over the client's.
  assert.deepEqual(Object.keys(payload(mine[1])).sort(), ["pid", "token"]);
});

test("auth as a function, with recovery", { server: RECOVERY }, async (bench) => {
  await bench.run(() => (globalThis.asked = 0));
  await begin(bench);
  await bench.run(() => {
    socket.auth = (done) => done({ n: ++asked });
  });
  await leave(bench, async () => {
    other.emit("to", room, "missed");
    await ask(other, "id");
  });
  const found = await bench.run(async () => {
    await until(() => heard.length);
    return [asked, heard[0][0], socket.recovered];
  });
  assert.deepEqual(found, [1, "missed", true]);
});

test("too late: another socket, and nothing of the past", {
  server: { ...RECOVERY, FX_RECOVERY_MS: "1" },
}, async (bench) => {
  await begin(bench);
  await leave(bench, async () => {
    other.emit("to", room, "missed");
    await ask(other, "id");
  });
  const found = await bench.run(async () => {
    const [onServer] = await ask(socket, "recovered");
    const [rooms] = await ask(socket, "rooms");
    return [Boolean(socket.recovered), socket.id === firstId, onServer, rooms, heard];
  });
  assert.deepEqual(found, [false, false, false, [], []]);
});

test("a server that has forgotten gives another socket", {
  server: RECOVERY, ownServer: true,
}, async (bench) => {
  await begin(bench);
  await bench.server.stop();
  await bench.run(() => until(() => !socket.connected));
  await bench.server.start();
  const found = await bench.run(async () => {
    await connected(socket);
    const first = [Boolean(socket.recovered), socket.id === firstId];
    socket.emit("message", 1);
    await next(socket, "message-back");
    return first;
  });
  assert.deepEqual(found, [false, false]);
});

test("who disconnects is another one when he returns", { server: RECOVERY }, async (bench) => {
  await begin(bench);
  const found = await bench.run(async () => {
    socket.disconnect();
    other.emit("to", room, "missed");
    await ask(other, "id");
    socket.connect();
    await connected(socket);
    await ask(socket, "id");
    return [Boolean(socket.recovered), socket.id === firstId, heard];
  });
  assert.deepEqual(found, [false, false, []]);
});
