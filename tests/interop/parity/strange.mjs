// What a server says that no healthy one does, or not in that order. The servers are scripted here,
// over WebSocket, so that neither emio nor the official server has a part in it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { theme } from "./bench.mjs";
import { nextPort } from "./proxy.mjs";

const { test } = theme("strange");
const { WebSocketServer } = createRequire(import.meta.url)("ws");

/** Serves sessions whose frames after the handshake are `answer(frame, session)`. */
async function scripted(bench, answer) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: nextPort() });
  bench.closing.push(async () => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  await once(server, "listening");
  let sessions = 0;
  const received = [];
  server.on("connection", (ws) => {
    const session = { n: sessions++, send: (...frames) => frames.forEach((it) => ws.send(it)) };
    const handshake = { sid: `engine${session.n}`, upgrades: [], pingInterval: 60_000 };
    session.send("0" + JSON.stringify({ ...handshake, pingTimeout: 60_000, maxPayload: 1e6 }));
    ws.on("message", (data, isBinary) => {
      const frame = isBinary ? data : String(data);
      received.push(frame);
      answer(frame, session);
    });
  });
  return { url: `http://127.0.0.1:${server.address().port}`, received };
}

test("a server of version 2", {}, async (bench) => {
  const { url } = await scripted(bench, (frame, { send }) => send("40"));
  const found = await bench.run(async (url) => {
    const socket = io(url, { transports: ["websocket"] });
    const [err] = await next(socket, "connect_error");
    return [err instanceof Error, /\b2\b|v2/.test(err.message), socket.connected, socket.id];
  }, url);
  assert.deepEqual(found, [true, true, false, undefined]);
});

test("events before CONNECT is answered wait for it", {}, async (bench) => {
  const { url, received } = await scripted(bench, (frame, { send }) => {
    if (frame === "40") send('42["early",1]', '423["early",2]', '40{"sid":"s"}', '42["early",3]');
  });
  const found = await bench.run(async (url) => {
    const socket = io(url, { transports: ["websocket"] });
    const heard = [];
    socket.on("early", (n, reply) => {
      heard.push([n, socket.connected, socket.id]);
      reply?.("answer");
    });
    socket.on("connect", () => heard.push("connect"));
    socket.emit("buffered");
    await until(() => heard.length === 4);
    return [heard, socket.receiveBuffer];
  }, url);
  assert.deepEqual(found, [
    [[1, true, "s"], [2, true, "s"], "connect", [3, true, "s"]], [],
  ]);
  while (received.length < 3) await new Promise(setImmediate);
  assert.deepEqual(received, ["40", '433["answer"]', '42["buffered"]']);
});

const WRONG = [
  ["4abc"], ["49[]"], ["42{}"], ['42{"no":"array"}'], ['42["cut'], ["42[null]"],
  ['42["connect"]'], ['42["disconnect",1]'], ["43{}"], ["41[]"], ["40[]"],
  [Buffer.of(1)], ['450-["e"]'], ['45-["e"]'], ['45x-["e"]'], ["451"],
  ['451-["e",{"_placeholder":true,"num":0}]', '42["too early"]'],
  ['451-["e",{"_placeholder":true,"num":1}]', Buffer.of(1)],
  ['451-["e",{"_placeholder":true,"num":-1}]', Buffer.of(1)],
  ['451-["e",{"_placeholder":true,"num":"0"}]', Buffer.of(1)],
  ['451-["e",{"_placeholder":true,"num":"__proto__"}]', Buffer.of(1)],
  ['4511-["e",{"_placeholder":true,"num":0}]'], ["42[]"],
];

test("packets that are none end the connection", {}, async (bench) => {
  const { url } = await scripted(bench, (frame, { n, send }) => {
    if (frame === "40") send('40{"sid":"s"}', ...(WRONG[n] ?? []), '42["survived"]');
  });
  const heard = await bench.run(async ([url, count]) => {
    const socket = io(url, { transports: ["websocket"], reconnectionDelay: 1 });
    const heard = [];
    let events = 0;
    socket.onAny(() => events++);
    socket.on("survived", () => socket.io.engine.close());
    socket.on("disconnect", (reason, details) => {
      const kind = details instanceof Error ? "Error" : typeof details;
      heard.push(`${reason}, ${kind}, ${events} events`);
      events = 0;
    });
    // What nothing ends may also hang.
    await until(() => heard.length >= count).catch(() => {});
    return heard.slice(0, count);
  }, [url, WRONG.length]);
  const wrong = WRONG.map((frames, n) => [frames.join(" "), heard[n]])
    .filter(([, it]) => it !== "parse error, Error, 0 events");
  assert.deepEqual(wrong, []);
});

test("frames that are none are an error of the transport", {}, async (bench) => {
  const { url } = await scripted(bench, (frame, { n, send }) => {
    send('40{"sid":"s"}', ...(n === 0 ? ["9"] : []));
  });
  const found = await bench.run(async (url) => {
    const socket = io(url, { transports: ["websocket"], reconnectionDelay: 1 });
    const [reason, err] = await next(socket, "disconnect");
    await connected(socket);
    return [reason, err.message];
  }, url);
  assert.deepEqual(found, ["transport error", "server error"]);
});

test("what is for nobody is nothing", {}, async (bench) => {
  const { url } = await scripted(bench, (frame, { send }) => {
    if (frame === "40") {
      send('40{"sid":"s"}', "6", '4399["no such id"]', '42/other,["e",1]', '42/,["e",2]',
        '41/other,', '44/other,{"message":"no"}');
    } else send('430["answer"]', '430["again"]', '42["e",3]');
  });
  const found = await bench.run(async (url) => {
    const socket = io(url, { transports: ["websocket"] });
    const heard = record(socket, "e", "disconnect", "connect_error");
    await connected(socket);
    socket.emit("q", (...args) => heard.push(["ack", ...args]));
    await until(() => heard.some(([, n]) => n === 3));
    return heard;
  }, url);
  assert.deepEqual(found.filter(([, n]) => n !== 2), [["ack", "answer"], ["e", 3]]);
});

test("events whose names are of JavaScript, or numbers", {}, async (bench) => {
  const names = ["toString", "__proto__", "constructor", "hasOwnProperty", "", "error", 5];
  const { url } = await scripted(bench, (frame, { send }) => {
    send('40{"sid":"s"}', ...names.map((name) => `42${JSON.stringify([name, "x"])}`), '42["end"]');
  });
  const found = await bench.run(async ([url, names]) => {
    const socket = io(url, { transports: ["websocket"] });
    const before = names.map((name) => socket.hasListeners(name));
    const heard = record(socket, ...names);
    const any = [];
    socket.onAny((name) => any.push(name));
    await next(socket, "end");
    socket.off();
    return [before, heard, any];
  }, [url, names]);
  assert.deepEqual(found, [
    names.map(() => false), names.map((name) => [name, "x"]), [...names, "end"],
  ]);
});

test("a server that speaks before it is asked, and often", {}, async (bench) => {
  const { url, received } = await scripted(bench, (frame, { send }) => {
    if (frame === "40") send("2", '40{"sid":"s"}', "2", '42["e"]');
  });
  const found = await bench.run(async (url) => {
    const socket = io(url, { transports: ["websocket"] });
    let pings = 0;
    socket.io.on("ping", () => pings++);
    await next(socket, "e");
    return [pings, socket.connected];
  }, url);
  assert.deepEqual(found, [2, true]);
  while (received.length < 3) await new Promise(setImmediate);
  assert.deepEqual(received.filter((frame) => frame === "3").length, 2);
});

test("a refusal while another namespace is connected", {}, async (bench) => {
  const { url } = await scripted(bench, (frame, { send }) => {
    if (frame === "40") send('40{"sid":"s"}');
    if (frame === "40/a,") send('44/a,{"message":"é","data":[1]}');
    if (frame === "40/b,") send('44/b,{"message":"no data"}');
  });
  const found = await bench.run(async (url) => {
    const manager = new io.Manager(url, { transports: ["websocket"] });
    const root = await connected(manager.socket("/"));
    const refusals = [];
    for (const nsp of ["/a", "/b"]) {
      const [err] = await next(manager.socket(nsp), "connect_error");
      refusals.push([err.message, err.data]);
    }
    return [refusals, root.connected];
  }, url);
  assert.deepEqual(found, [[["é", [1]], ["no data", undefined]], true]);
});

test("a WebSocket that closes before its session is one more failure", {}, async (bench) => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: nextPort() });
  bench.closing.push(async () => server.close());
  await once(server, "listening");
  server.on("connection", (ws) => ws.close(1000));
  const found = await bench.run(async (url) => {
    const socket = io(url, {
      transports: ["websocket"], reconnectionDelay: 1, reconnectionAttempts: 2, timeout: 200,
    });
    const heard = record(socket, "connect_error", "disconnect");
    await next(socket.io, "reconnect_failed");
    const done = await new Promise((resolve) => new io.Manager(url, {
      transports: ["websocket"], autoConnect: false, timeout: 200,
    }).open(resolve));
    return [heard.map(([event]) => event), done instanceof Error];
  }, `http://127.0.0.1:${server.address().port}`);
  assert.deepEqual(found, [["connect_error", "connect_error", "connect_error"], true]);
});

test("an auth that is nothing is not sent", {}, async (bench) => {
  const { url, received } = await scripted(bench, (frame, { send }) => send('40{"sid":"s"}'));
  await bench.run(async (url) => {
    for (const auth of [null, false, "", (done) => done(null)]) {
      await connected(io(url, { auth, forceNew: true, transports: ["websocket"] }));
    }
  }, url);
  assert.deepEqual(received, ["40", "40", "40", "40"]);
});
