// The official JavaScript client against the conformance fixture: FIXTURE=path node js.mjs [case]
// Not here: browsers, and raw protocol beyond what a client cannot express.
// Every case opens connections of its own and waits for conditions, never for time to pass;
// "nothing came" is proved by a round trip on the same socket after it.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { Program, once, request, run, sleep, test, until } from "./lib/harness.mjs";

// Features of the contract that the server does not have yet: their cases are not run.
const LATER = [];

const MODES = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  // Cases begin at once, so their traffic straddles the upgrade.
  upgrade: { transports: ["polling", "websocket"] },
};

const path = process.env.FIXTURE;
assert(path, "FIXTURE must name the fixture program");

const fixtures = new Map();
let opened = [];

/// The fixture with these settings; started once and shared by the cases that ask for the same.
async function fixture(env = {}) {
  const key = JSON.stringify(env);
  if (!fixtures.get(key)?.alive) {
    fixtures.set(key, await new Program(path, env, "FX_PORT").start());
  }
  return fixtures.get(key);
}

/// A socket of the official client, closed when the case ends.
function client(server, options = {}) {
  const { nsp = "/", ...rest } = options;
  const socket = io(server.url + nsp, { forceNew: true, reconnection: false, ...rest });
  opened.push(socket);
  return socket;
}

/// Resolves with the socket once it is in its namespace; `socket.hello` is what `auth` carried.
async function joined(socket) {
  const hello = once(socket, "auth");
  hello.catch(() => {});
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  socket.hello = (await hello)[0];
  return socket;
}

const connect = (server, options) => joined(client(server, options));

/// Another namespace over the same connection.
const join = (socket, nsp, options) => joined(socket.io.socket(nsp, options));

const ask = (socket, ...args) => socket.timeout(5_000).emitWithAck(...args);

/// A round trip: whatever the server sent this socket before it has arrived when it returns.
const settle = (socket) => ask(socket, "message-with-ack", "settle");

/// The argument lists of every `event` from now on.
function inbox(socket, event) {
  const received = [];
  socket.on(event, (...args) => received.push(args));
  return received;
}

const reasonOf = (witness, sid) => until(() => ask(witness, "reason-of", sid));

async function echoes(socket, ...args) {
  const back = once(socket, "message-back");
  socket.emit("message", ...args);
  assert.deepEqual(await back, args);
}

async function refused(socket) {
  const [error] = await once(socket, "connect_error");
  assert.equal(socket.connected, false);
  return error;
}

const upTo = (n) => Array.from({ length: n }, (_, i) => i);
const EIO = "/socket.io/?EIO=4&transport=";
const openPolling = async (server, query = "") =>
  JSON.parse((await request(`${server.url}${EIO}polling${query}`)).body.slice(1));

// ---- every transport ---------------------------------------------------------------------------

for (const [mode, options] of Object.entries(MODES)) {
  const each = (name, body, more) =>
    test(`${mode}: ${name}`, async () => body(await fixture(), options), more);
  connecting(each, mode);
  messages(each);
  acks(each);
  rooms(each);
  namespaces(each);
  refusals(each);
  endings(each);
  endsOfConnections(each, mode);
  order(each, mode);
  sizes(each, mode);
  heartbeats(mode, options);
  restarts(mode, options);
  laterRooms(each);
  laterFeatures(each);
}

function connecting(each, mode) {
  each("auth carries the payload of CONNECT", async (server, options) => {
    const auth = { token: "abc", n: 5, nested: { list: [1, "ü"] } };
    const socket = await connect(server, { ...options, auth });
    assert.deepEqual(socket.hello, auth);
    const computed = await connect(server, { ...options, auth: (answer) => answer({ a: 1 }) });
    assert.deepEqual(computed.hello, { a: 1 });
  });

  each("auth without a payload is an empty object", async (server, options) => {
    assert.deepEqual((await connect(server, options)).hello, {});
  });

  each("the socket id is public, the session id another", async (server, options) => {
    const socket = await connect(server, options);
    const [id, sid] = await new Promise((resolve) => {
      socket.emit("id", (...args) => resolve(args));
    });
    assert.equal(id, socket.id);
    assert.equal(sid, socket.io.engine.id);
    assert.notEqual(id, sid);
    assert.match(id, /^[\w-]{20}$/);
    assert.match(sid, /^[\w-]{20}$/);
  });

  each("the transport is the one asked for", async (server, options) => {
    const socket = await connect(server, options);
    if (mode === "upgrade") await upgraded(socket);
    const expected = mode === "polling" ? "polling" : "websocket";
    assert.equal(socket.io.engine.transport.name, expected);
    assert.equal(await ask(socket, "transport"), expected);
  });

  each("the handshake is what was sent", async (server, options) => {
    const query = { room: "a b&c", emoji: "🦀", t2: "" };
    const extraHeaders = { "X-Test": "some value" };
    const socket = await connect(server, { ...options, query, extraHeaders, auth: { k: 1 } });
    assert.deepEqual(await ask(socket, "handshake"), {
      auth: { k: 1 },
      query: { ...query, EIO: "4", transport: options.transports[0] },
      secure: false,
      xdomain: false,
      url: "/socket.io/",
      "x-test": "some value",
    });
  });

  each("an Origin makes the handshake cross-domain", async (server, options) => {
    // The server's own, since a WebSocket is refused to others.
    const extraHeaders = { Origin: server.url };
    const socket = await connect(server, { ...options, extraHeaders });
    const handshake = await ask(socket, "handshake");
    assert.equal(handshake.xdomain, true);
    assert.equal("x-test" in handshake, false);
  });

  each("50 clients at once", async (server, options) => {
    const sockets = await Promise.all(upTo(50).map(() => connect(server, options)));
    const boxes = sockets.map((socket) => inbox(socket, "bcast"));
    const [first] = sockets;
    first.emit("all", "everyone");
    await settle(first);
    await Promise.all(sockets.map(settle));
    for (const box of boxes) assert.deepEqual(box, [["everyone"]]);
  });
}

async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== "websocket") await once(engine, "upgrade");
}

function messages(each) {
  const texts = [
    [], [""], ["hello"], ["ü Ω 漢字 🦀 👩‍👩‍👧‍👦"], ['"quoted" \\ \n'],
    ["\u2028\u2029\u0000\u001e\u007f\ufeff"],
    [1, 2.5, -0.001, 1e300, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    [null, true, false], [{}], [[]], [[[[[[]]]]]], [{ "": { ключ: [{ "🔑": null }] } }],
    ["a", { b: ["c", { d: "é" }] }, [1, [2, [3]]]], [{ _placeholder: false, num: 0 }],
    ["0"], ["4"], ["b"], ["51-[]"], ["x".repeat(70_000)], ["🦀".repeat(20_000)],
  ];
  each("text comes back as it went", async (server, options) => {
    const socket = await connect(server, options);
    for (const args of texts) await echoes(socket, ...args);
  });

  each("deep nesting comes back", async (server, options) => {
    const socket = await connect(server, options);
    let deep = "core";
    for (let i = 0; i < 50; i++) deep = i % 2 ? [deep] : { deep };
    await echoes(socket, deep);
  });

  const all = Buffer.from(upTo(256));
  const binaries = [
    [Buffer.from([1, 2, 3])], [Buffer.alloc(0)], [all], [Buffer.alloc(70_000, 7)],
    ["text", Buffer.from("a"), 5, Buffer.from("b")], [{ a: { b: [{ c: all }, [all, ["d"]]] } }],
    [upTo(10).map((i) => Buffer.alloc(i * 100, i))], [{ _placeholder: false, x: all }],
    [[[[{ deep: [[{ er: [all] }]] }]]], "after", null],
  ];
  each("binary at any depth comes back", async (server, options) => {
    const socket = await connect(server, options);
    for (const args of binaries) await echoes(socket, ...args);
    const back = once(socket, "message-back");
    socket.emit("message", new Uint8Array([9, 8, 7]), new Uint8Array([6]).buffer);
    assert.deepEqual(await back, [Buffer.from([9, 8, 7]), Buffer.from([6])]);
  });

  each("text and binary keep their order", async (server, options) => {
    const socket = await connect(server, options);
    const box = inbox(socket, "message-back");
    const sent = upTo(100).map((i) => [i, i % 3 ? "text" : Buffer.alloc(i, i)]);
    for (const args of sent) socket.emit("message", ...args);
    await settle(socket);
    assert.deepEqual(box, sent);
  });

  each("unknown events are ignored", async (server, options) => {
    const socket = await connect(server, options);
    socket.emit("never heard of", 1, Buffer.from("x"));
    const silent = socket.timeout(100).emitWithAck("nor of this");
    await assert.rejects(silent, /operation has timed out/);
    await echoes(socket, "still there");
  });
}

function acks(each) {
  each("acks carry arguments back", async (server, options) => {
    const socket = await connect(server, options);
    const lists = [[], ["one"], [1, "zwei", { drei: [3] }], [Buffer.from("bin"), "🦀"], [null]];
    for (const args of lists) {
      const back = await new Promise((resolve) => {
        socket.emit("message-with-ack", ...args, (...answer) => resolve(answer));
      });
      assert.deepEqual(back, args);
    }
  });

  each("many acks in flight find their callers", async (server, options) => {
    const socket = await connect(server, options);
    const answers = await Promise.all(upTo(200).map((i) => ask(socket, "message-with-ack", i)));
    assert.deepEqual(answers, upTo(200));
  });

  each("the server's acks are answered", async (server, options) => {
    const socket = await connect(server, options);
    const seen = inbox(socket, "ask");
    socket.on("ask", (...args) => args.pop()("answer to", ...args));
    for (const args of [[], [1, "two"], [Buffer.from("three"), { four: Buffer.from("4") }]]) {
      const answer = once(socket, "answer");
      socket.emit("ask", ...args);
      assert.deepEqual(await answer, ["answer to", ...args]);
    }
    assert.equal(seen.length, 3);
  });

  each("an unanswered ask of the server times out", async (server, options) => {
    const socket = await connect(server, options);
    const outcome = once(socket, "answer-timeout");
    socket.emit("ask-timeout", 50);
    assert.deepEqual(await outcome, ["timeout"]);
    socket.on("ask", (answer) => answer(1, "b"));
    const second = once(socket, "answer-timeout");
    socket.emit("ask-timeout", 4_000);
    assert.deepEqual(await second, ["ok", 1, "b"]);
  });

  each("a late answer is ignored", async (server, options) => {
    const socket = await connect(server, options);
    const asked = once(socket, "ask");
    const outcomes = inbox(socket, "answer-timeout");
    socket.emit("ask-timeout", 50);
    const [answer] = await asked;
    await until(() => outcomes.length === 1);
    answer("late");
    await settle(socket);
    assert.deepEqual(outcomes, [["timeout"]]);
  });

  each("a second answer does not go out", async (server, options) => {
    const socket = await connect(server, options);
    const packets = [];
    socket.io.engine.on("data", (data) => packets.push(data));
    assert.equal(await ask(socket, "double-ack"), 1);
    await settle(socket);
    const answers = packets.filter((data) => String(data).startsWith("3"));
    assert.deepEqual(answers.map(String), ["30[1]", '31["settle"]']);
  });
}

/// Three sockets: a in x and y, b in x, c in y.
async function trio(server, options) {
  const sockets = await Promise.all([1, 2, 3].map(() => connect(server, options)));
  const [a, b, c] = sockets;
  for (const [socket, room] of [[a, "x"], [a, "y"], [b, "x"], [c, "y"]]) {
    await ask(socket, "join", room);
  }
  return sockets;
}

/// What each socket received as `event` because of `act`, which `a` performs.
async function heard(sockets, event, act) {
  const boxes = sockets.map((socket) => inbox(socket, event));
  act(sockets[0]);
  await settle(sockets[0]);
  await Promise.all(sockets.map(settle));
  sockets.forEach((socket) => socket.off(event));
  return boxes.map((box) => box.map((args) => args.join(" ")).join("|"));
}

function rooms(each) {
  each("join, leave and rooms", async (server, options) => {
    const socket = await connect(server, options);
    assert.deepEqual(await ask(socket, "rooms"), []);
    for (const room of ["b", "a", "ü 🦀", "a"]) await ask(socket, "join", room);
    assert.deepEqual(await ask(socket, "rooms"), ["a", "b", "ü 🦀"]);
    await ask(socket, "leave", "a");
    await ask(socket, "leave", "never joined");
    assert.deepEqual(await ask(socket, "rooms"), ["b", "ü 🦀"]);
  });

  each("to, to-except and in", async (server, options) => {
    const sockets = await trio(server, options);
    const room = (...args) => heard(sockets, "room-msg", (a) => a.emit(...args));
    assert.deepEqual(await room("to", "x", 1, "one"), ["", "1 one", ""]);
    assert.deepEqual(await room("to-except", "x", "y", 2), ["", "2", ""]);
    assert.deepEqual(await room("to-except", "y", "x", 3), ["", "", "3"]);
    assert.deepEqual(await room("to-except", "x", "x", 4), ["", "", ""]);
    assert.deepEqual(await room("in", "x", 5), ["5", "5", ""]);
    assert.deepEqual(await room("to", "nobody", 6), ["", "", ""]);
  });

  each("a socket in several rooms hears once", async (server, options) => {
    const sockets = await trio(server, options);
    const room = (...args) => heard(sockets, "room-msg", (a) => a.emit(...args));
    assert.deepEqual(await room("in", ["x", "y"], 1), ["1", "1", "1"]);
    assert.deepEqual(await room("in", ["y", "x", "y", "z"], 2), ["2", "2", "2"]);
  });

  each("every socket is in the room of its id", async (server, options) => {
    const sockets = await trio(server, options);
    const [, b, c] = sockets;
    const room = (...args) => heard(sockets, "room-msg", (a) => a.emit(...args));
    assert.deepEqual(await room("to", c.id, "you"), ["", "", "you"]);
    assert.deepEqual(await room("in", ["x", "y", b.id], "all"), ["all", "all", "all"]);
    assert.deepEqual(await room("to-except", "x", b.id, "none"), ["", "", ""]);
  });

  each("binary reaches a room whole", async (server, options) => {
    const sockets = await trio(server, options);
    const boxes = sockets.map((socket) => inbox(socket, "room-msg"));
    const args = ["x", { deep: [Buffer.alloc(1000, 1)] }, Buffer.from("2")];
    for (let i = 0; i < 20; i++) sockets[0].emit("in", ...args);
    await settle(sockets[0]);
    await settle(sockets[1]);
    const expected = upTo(20).map(() => args.slice(1));
    assert.deepEqual(boxes, [expected, expected, []]);
  });

  each("broadcast and all", async (server, options) => {
    const sockets = await trio(server, options);
    const say = (...args) => heard(sockets, "bcast", (a) => a.emit(...args));
    assert.deepEqual(await say("broadcast", "to others"), ["", "to others", "to others"]);
    assert.deepEqual(await say("all", "to all", 2), ["to all 2", "to all 2", "to all 2"]);
  });

  each("rooms are left with the socket, and seen until then", async (server, options) => {
    const [a, b] = await trio(server, options);
    const { id } = a;
    a.disconnect();
    assert.deepEqual(await until(() => ask(b, "rooms-of", id)), ["x", "y"]);
    const again = await connect(server, options);
    assert.deepEqual(await ask(again, "rooms"), []);
  });
}

function namespaces(each) {
  each("namespaces share a connection and nothing else", async (server, options) => {
    const main = await connect(server, { ...options, auth: { who: "main" } });
    const custom = await join(main, "/custom", { auth: { who: "custom" } });
    assert.deepEqual([main.hello, custom.hello], [{ who: "main" }, { who: "custom" }]);
    assert.notEqual(main.id, custom.id);
    assert.equal(main.io, custom.io);
    await ask(main, "join", "x");
    await ask(custom, "join", "y");
    assert.deepEqual([await ask(main, "rooms"), await ask(custom, "rooms")], [["x"], ["y"]]);
    for (const socket of [main, custom]) {
      await echoes(socket, Buffer.from("own"), socket.nsp);
      assert.deepEqual(
        await heard([socket, socket === main ? custom : main], "bcast", (s) => s.emit("all", 1)),
        ["1", ""],
      );
    }
  });

  each("a client needs no main namespace", async (server, options) => {
    const custom = await connect(server, { ...options, nsp: "/custom" });
    await echoes(custom, "alone", Buffer.from("x"));
    assert.equal(await ask(custom, "message-with-ack", 7), 7);
  });

  each("acks in two namespaces do not meet", async (server, options) => {
    const main = await connect(server, options);
    const custom = await join(main, "/custom");
    const asked = upTo(50).map((i) => ask(i % 2 ? main : custom, "message-with-ack", i));
    assert.deepEqual(await Promise.all(asked), upTo(50));
  });

  each("leaving one namespace leaves the other", async (server, options) => {
    const main = await connect(server, options);
    const custom = await join(main, "/custom");
    const { id } = custom;
    const left = once(custom, "disconnect");
    custom.disconnect();
    assert.equal((await left)[0], "io client disconnect");
    assert.equal(await reasonOf(main, id), "client namespace disconnect");
    await echoes(main, "still here");
    const again = joined(custom);
    custom.connect();
    assert.notEqual((await again).id, id);
    await echoes(custom, "back");
  });
}

function refusals(each) {
  each("unknown namespaces are refused", async (server, options) => {
    const main = await connect(server, options);
    for (const nsp of ["/unknown", "/Custom", "/custom/", "/custom?x", "/customs", "/cust"]) {
      const error = await refused(main.io.socket(nsp));
      assert.equal(error.message, "Invalid namespace", nsp);
    }
    await echoes(main, "unharmed");
    await echoes(await join(main, "/custom"), "neither");
  });

  each("/mw-auth refuses and accepts", async (server, options) => {
    const main = await connect(server, options);
    const gate = main.io.socket("/mw-auth", { auth: { token: "wrong" } });
    const error = await refused(gate);
    assert.equal(error.message, "unauthorized");
    assert.equal(error.data, undefined);
    gate.auth = { token: "secret" };
    const accepted = joined(gate);
    gate.connect();
    assert.deepEqual((await accepted).hello, { token: "secret" });
    await echoes(gate, "in");
  });

  each("/mw-error refuses with data", async (server, options) => {
    const error = await refused(client(server, { ...options, nsp: "/mw-error" }));
    assert.equal(error.message, "not authorized");
    assert.deepEqual(error.data, { code: 403, details: ["no", { token: "please" }] });
  });

  each("the main namespace refuses by query", async (server, options) => {
    const socket = client(server, { ...options, query: { fail: "1" } });
    assert.equal((await refused(socket)).message, "Auth failed (main namespace)");
    await connect(server, { ...options, query: { fail: "" } });
  });

  each("/mw-slow keeps nobody else waiting", async (server, options) => {
    const mains = await Promise.all(upTo(20).map(() => connect(server, options)));
    const began = Date.now();
    const slow = mains.map((main) => main.io.socket("/mw-slow"));
    const backs = slow.map((socket) => once(socket, "message-back"));
    slow.forEach((socket, i) => socket.emit("message", "sent while it decides", i));
    await Promise.all(slow.map(joined));
    const ms = Date.now() - began;
    // One after the other would be 20 x 150 ms. Two processes' clocks: a little less may be
    // measured than was waited.
    assert(ms >= 140 && ms < 2_000, `let in after ${ms} ms`);
    for (const i of upTo(20)) assert.deepEqual(await backs[i], ["sent while it decides", i]);
  });
}

function endings(each) {
  each("the client disconnects", async (server, options) => {
    const [socket, witness] = await Promise.all([1, 2].map(() => connect(server, options)));
    const { id } = socket;
    const gone = once(socket, "disconnect");
    socket.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    const reason = await reasonOf(witness, id);
    assert.equal(reason, "client namespace disconnect");
    assert.equal(await ask(witness, "reason-of", "nobody"), null);
  });

  each("bye ends one namespace", async (server, options) => {
    const main = await connect(server, options);
    const custom = await join(main, "/custom");
    const { id } = main;
    const gone = once(main, "disconnect");
    main.emit("bye");
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(main.active, false);
    assert.equal(await reasonOf(custom, id), "server namespace disconnect");
    await echoes(custom, "still here");
  });

  each("bye-all ends every namespace and the connection", async (server, options) => {
    const [main, witness] = await Promise.all([1, 2].map(() => connect(server, options)));
    const custom = await join(main, "/custom");
    const ids = [main.id, custom.id];
    const gone = [main, custom].map((socket) => once(socket, "disconnect"));
    const closed = once(main.io.engine, "close");
    main.emit("bye-all");
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    await closed;
    for (const id of ids) {
      assert.equal(await reasonOf(witness, id), "server namespace disconnect");
    }
  });

  each("last words arrive before the end", async (server, options) => {
    const socket = await connect(server, options);
    const seen = [];
    socket.on("last-words", (...args) => seen.push(args));
    const gone = once(socket, "disconnect");
    socket.emit("emit-then-bye", "so long", { and: Buffer.from("thanks") });
    assert.equal((await gone)[0], "io server disconnect");
    assert.deepEqual(seen, [["so long", { and: Buffer.from("thanks") }]]);
  });

  each("long last words arrive whole", async (server, options) => {
    const socket = await connect(server, options);
    const words = once(socket, "last-words");
    const gone = once(socket, "disconnect");
    socket.emit("emit-then-bye", "x".repeat(800_000));
    assert.equal((await words)[0].length, 800_000);
    assert.equal((await gone)[0], "io server disconnect");
  });

  each("20 byes in the first moment", async (server, options) => {
    await Promise.all(upTo(20).map(async () => {
      const socket = client(server, options);
      const gone = once(socket, "disconnect");
      socket.emit("bye-all");
      assert.equal((await gone)[0], "io server disconnect");
    }));
  });
}

function endsOfConnections(each, mode) {
  each("close-conn closes the connection", async (server, options) => {
    const [socket, witness] = await Promise.all([1, 2].map(() => connect(server, options)));
    const { id } = socket;
    const gone = once(socket, "disconnect");
    socket.emit("close-conn");
    assert.equal((await gone)[0], "transport close");
    assert.match(await reasonOf(witness, id), /^forced( server)? close$/);
  });

  each("a closed connection is reconnected, a bye is not", async (server, options) => {
    const again = { ...options, reconnection: true, reconnectionDelay: 20 };
    const socket = await connect(server, again);
    const { id } = socket;
    const back = once(socket, "connect");
    socket.emit("close-conn");
    await back;
    assert.notEqual(socket.id, id);
    await echoes(socket, "again");
    const gone = once(socket, "disconnect");
    socket.emit("bye-all");
    await gone;
    assert.equal(socket.active, false);
  });

  each("the client closes its connection", async (server, options) => {
    const [socket, witness] = await Promise.all([1, 2].map(() => connect(server, options)));
    const { id } = socket;
    const gone = once(socket, "disconnect");
    socket.io.engine.close();
    assert.equal((await gone)[0], "forced close");
    assert.equal(await reasonOf(witness, id), "transport close");
  });

  each("the client vanishes", async (server, options) => {
    const agent = new Agent({ keepAlive: true });
    const ours = mode === "polling" ? { ...options, agent } : options;
    const [socket, witness] = await Promise.all([connect(server, ours), connect(server, options)]);
    const { id } = socket;
    if (mode === "upgrade") await upgraded(socket);
    if (mode === "polling") agent.destroy();
    else socket.io.engine.transport.ws.terminate();
    assert.match(await reasonOf(witness, id), /^transport (close|error)$/);
  });

  each("a malformed packet closes the connection", async (server, options) => {
    const [socket, witness] = await Promise.all([1, 2].map(() => connect(server, options)));
    for (const packet of ["abc", "2{}", "2abc[]", '2["unfinished"', "51-[]", '2["connect"]']) {
      const victim = await connect(server, options);
      const { id } = victim;
      const gone = once(victim, "disconnect");
      victim.io.engine.write(packet);
      await gone;
      assert.match(await reasonOf(witness, id), /^(forced( server)? close|parse error)$/, packet);
    }
    await echoes(socket, "others are unharmed");
  });
}

function order(each, mode) {
  const awaitUpgrade = async (socket) => {
    if (mode === "upgrade") await upgraded(socket);
  };

  each("1,000 messages of the server in order", async (server, options) => {
    const socket = await connect(server, options);
    const box = inbox(socket, "flood");
    socket.emit("flood", 1_000, 10);
    await awaitUpgrade(socket);
    await settle(socket);
    assert.deepEqual(box, upTo(1_000).map((i) => [i, "x".repeat(10)]));
  });

  each("1,000 messages both ways in order", async (server, options) => {
    const socket = client(server, options);
    const box = inbox(socket, "message-back");
    const acked = [];
    // Sent before the connection is there, while it is made, and across the upgrade.
    for (const i of upTo(1_000)) {
      socket.emit("message", i);
      socket.emit("message-with-ack", i, (answer) => acked.push(answer));
      if (i % 20 === 0) await sleep(0);
    }
    await awaitUpgrade(socket);
    await settle(socket);
    assert.deepEqual(box, upTo(1_000).map((i) => [i]));
    assert.deepEqual(acked, upTo(1_000));
  });

  each("20 clients flood each other in order", async (server, options) => {
    const sockets = upTo(20).map(() => client(server, options));
    const boxes = sockets.map((socket) => inbox(socket, "message-back"));
    const floods = sockets.map((socket) => inbox(socket, "flood"));
    sockets.forEach((socket) => socket.emit("flood", 50, 100));
    for (const i of upTo(50)) {
      sockets.forEach((socket) => socket.emit("message", i, Buffer.alloc(i, i)));
      await sleep(0);
    }
    await Promise.all(sockets.map(awaitUpgrade));
    await Promise.all(sockets.map(settle));
    for (const box of boxes) assert.deepEqual(box, upTo(50).map((i) => [i, Buffer.alloc(i, i)]));
    for (const box of floods) assert.deepEqual(box.map(([i]) => i), upTo(50));
  });

  each("a burst of binary in order", async (server, options) => {
    const socket = await connect(server, options);
    const box = inbox(socket, "bin");
    socket.emit("burst-binary", 300, 1_000);
    await awaitUpgrade(socket);
    await settle(socket);
    assert.deepEqual(box, upTo(300).map((i) => [i, Buffer.alloc(1_000, i & 255)]));
  });
}

function sizes(each, mode) {
  const SMALL = { FX_MAX_PAYLOAD: "10000" };

  each("900 kB both ways", async (server, options) => {
    const socket = await connect(server, options);
    await echoes(socket, "y".repeat(900_000));
    await echoes(socket, Buffer.alloc(660_000, 5));
    const box = inbox(socket, "flood");
    socket.emit("flood", 5, 900_000);
    await settle(socket);
    assert.deepEqual(box.map(([i, text]) => [i, text.length]), upTo(5).map((i) => [i, 900_000]));
  });

  each("a message over the default limit ends the client", async (server, options) => {
    const socket = await connect(server, options);
    if (mode === "upgrade") await upgraded(socket);
    const gone = once(socket, "disconnect");
    socket.emit("message", "z".repeat(1_000_001));
    assert.match((await gone)[0], /^transport (error|close)$/);
    await echoes(await connect(server, options), "the next is served");
  });

  each("a message over a small limit is refused by its code", async (_, options) => {
    const server = await fixture(SMALL);
    const socket = await connect(server, options);
    if (mode === "upgrade") await upgraded(socket);
    await echoes(socket, "w".repeat(9_900));
    const gone = once(socket, "disconnect");
    socket.emit("message", "w".repeat(10_001));
    const [reason, details] = await gone;
    if (mode === "polling") {
      assert.equal(reason, "transport error");
      assert.equal(details.description, 413);
    } else {
      assert.equal(reason, "transport close");
      assert.equal(details.context.code, 1009);
    }
  });

  each("small packets beyond the limit together are fine", async (_, options) => {
    const server = await fixture(SMALL);
    const socket = await connect(server, options);
    const box = inbox(socket, "message-back");
    for (const i of upTo(60)) socket.emit("message", i, "v".repeat(1_000));
    await settle(socket);
    assert.deepEqual(box.map(([i]) => i), upTo(60));
  });
}

function heartbeats(mode, options) {
  test(`${mode}: heartbeats keep a client`, async () => {
    const server = await fixture({ FX_PING_INTERVAL: "150", FX_PING_TIMEOUT: "3000" });
    const socket = await connect(server, options);
    const pings = inbox(socket.io, "ping");
    await until(() => pings.length >= 5);
    await echoes(socket, "alive");
  });

  test(`${mode}: a client without pongs is dropped`, async () => {
    const server = await fixture({ FX_PING_INTERVAL: "300", FX_PING_TIMEOUT: "500" });
    const socket = await connect(server, options);
    if (mode === "upgrade") await upgraded(socket);
    const { engine } = socket.io;
    const send = engine._sendPacket;
    assert.equal(typeof send, "function", "the client's inside has changed");
    engine._sendPacket = (type, ...rest) => type !== "pong" && send.call(engine, type, ...rest);
    const { id } = socket;
    const gone = once(socket, "disconnect");
    // Messages are no sign of life: only pongs count.
    const chatter = setInterval(() => socket.emit("message", "I am here"), 50);
    await gone.finally(() => clearInterval(chatter));
    const witness = await connect(server, options);
    assert.equal(await reasonOf(witness, id), "ping timeout");
  });

  test(`${mode}: a client notices a silent server`, async () => {
    const server = await fixture({ FX_PING_INTERVAL: "300", FX_PING_TIMEOUT: "500" });
    const socket = await connect(server, options);
    if (mode === "upgrade") await upgraded(socket);
    const gone = once(socket, "disconnect");
    server.child.kill("SIGSTOP");
    try {
      assert.equal((await gone)[0], "ping timeout");
    } finally {
      server.child.kill("SIGCONT");
    }
    await echoes(await connect(server, options), "served again");
  });
}

function restarts(mode, options) {
  test(`${mode}: a restarted server gets what was buffered`, async () => {
    // The setting gives these cases a server of their own.
    const server = await fixture({ FX_UPGRADE_TIMEOUT: "9000" });
    const socket = await connect(server, {
      ...options, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100,
    });
    const { id } = socket;
    const box = inbox(socket, "message-back");
    await echoes(socket, "before");
    const gone = once(socket, "disconnect");
    await server.stop();
    assert.match((await gone)[0], /^transport (close|error)$/);
    for (const i of upTo(50)) socket.emit("message", i, i % 5 ? "t" : Buffer.alloc(i, i));
    const back = once(socket, "connect");
    await server.start();
    await back;
    await settle(socket);
    assert.notEqual(socket.id, id);
    assert.deepEqual(box.map(([i]) => i), ["before", ...upTo(50)]);
  });
}

// ---- once ------------------------------------------------------------------------------------

test("deny: polling gets 403 and its body, a WebSocket gets 403", async () => {
  const server = await fixture();
  const { status, headers, body } = await request(`${server.url}${EIO}polling&deny=1`);
  assert.equal(status, 403);
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual(JSON.parse(body), { code: 4, message: "denied by fixture" });
  const ws = new WebSocket(`${server.url.replace("http", "ws")}${EIO}websocket&deny`);
  ws.on("error", () => {});
  const [, answer] = await once(ws, "unexpected-response");
  assert.equal(answer.statusCode, 403);
  for (const options of Object.values(MODES)) {
    const error = await refused(client(server, { ...options, query: { deny: "1" } }));
    assert.match(error.message, /^(xhr poll|websocket) error$/);
  }
});

test("deny counts at the handshake only", async () => {
  const server = await fixture();
  const { sid } = await openPolling(server);
  const url = `${server.url}${EIO}polling&sid=${sid}&deny=1`;
  assert.equal((await request(url, { method: "POST", body: "40" })).body, "ok");
  assert.match((await request(url)).body, /^40\{/);
});

test("the open packet says what was configured", async () => {
  const server = await fixture({ FX_PING_INTERVAL: "1234", FX_PING_TIMEOUT: "4321" });
  const { sid, ...rest } = await openPolling(server);
  assert.match(sid, /^[\w-]{20}$/);
  assert.deepEqual(rest, {
    upgrades: ["websocket"], pingInterval: 1234, pingTimeout: 4321, maxPayload: 1_000_000,
  });
});

test("outside the path there is nothing", async () => {
  const server = await fixture();
  for (const target of ["/", "/socket.io", "/elsewhere/?EIO=4&transport=polling"]) {
    const { status, body } = await request(server.url + target);
    assert.deepEqual([status, body], [404, ""], target);
  }
});

test("FX_PATH moves the server", async () => {
  const server = await fixture({ FX_PATH: "/chat/" });
  for (const options of Object.values(MODES)) {
    await echoes(await connect(server, { ...options, path: "/chat/" }), "moved");
  }
  assert.equal((await request(`${server.url}${EIO}polling`)).status, 404);
});

test("a body over the limit is refused with 413, the session lives", async () => {
  const server = await fixture({ FX_MAX_PAYLOAD: "10000" });
  const { sid, maxPayload } = await openPolling(server);
  assert.equal(maxPayload, 10_000);
  const url = `${server.url}${EIO}polling&sid=${sid}`;
  const over = await request(url, { method: "POST", body: "4" + "x".repeat(10_000) });
  assert.deepEqual([over.status, over.body], [413, ""]);
  const good = await request(url, { method: "POST", body: "40" });
  assert.deepEqual([good.status, good.body], [200, "ok"]);
});

test("CORS: off, no header", async () => {
  const server = await fixture();
  const headers = { Origin: "http://a.example" };
  const answer = await request(`${server.url}${EIO}polling`, { headers });
  assert.equal(answer.status, 200);
  const cors = Object.keys(answer.headers).filter((name) => name.startsWith("access-control"));
  assert.deepEqual(cors, []);
  const preflight = await request(`${server.url}${EIO}polling`, { method: "OPTIONS", headers });
  assert.equal(preflight.status, 400);
});

test("CORS: any origin", async () => {
  const server = await fixture({ FX_CORS: "*" });
  const headers = { Origin: "http://a.example" };
  const open = await request(`${server.url}${EIO}polling`, { headers });
  assert.equal(open.headers["access-control-allow-origin"], "*");
  const { sid } = JSON.parse(open.body.slice(1));
  const url = `${server.url}${EIO}polling&sid=${sid}`;
  const post = await request(url, { method: "POST", headers, body: "40" });
  assert.equal(post.headers["access-control-allow-origin"], "*");
  const unknown = await request(`${server.url}${EIO}polling&sid=unknown`, { headers });
  assert.equal(unknown.status, 400);
  assert.equal(unknown.headers["access-control-allow-origin"], "*");
});

test("CORS: listed origins, with credentials", async () => {
  const server = await fixture({ FX_CORS: "http://a.example,http://b.example" });
  for (const [origin, allowed] of [["a", true], ["b", true], ["c", false]]) {
    const headers = { Origin: `http://${origin}.example` };
    const answer = await request(`${server.url}${EIO}polling`, { headers });
    assert.equal(answer.status, 200);
    const expected = allowed ? headers.Origin : undefined;
    assert.equal(answer.headers["access-control-allow-origin"], expected);
    if (!allowed) continue;
    assert.equal(answer.headers["access-control-allow-credentials"], "true");
    assert.match(answer.headers.vary, /\bOrigin\b/i);
  }
});

test("CORS: a preflight is answered", async () => {
  const server = await fixture({ FX_CORS: "http://a.example,http://b.example" });
  const answer = await request(`${server.url}${EIO}polling`, {
    method: "OPTIONS",
    headers: {
      Origin: "http://b.example",
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "content-type,x-test",
    },
  });
  assert.deepEqual([answer.status, answer.body], [204, ""]);
  assert.equal(answer.headers["access-control-allow-origin"], "http://b.example");
  const list = (name) => answer.headers[name].split(/, */);
  assert.deepEqual(list("access-control-allow-methods"), ["GET", "POST"]);
  assert.deepEqual(list("access-control-allow-headers"), ["content-type", "x-test"]);
  assert.equal(answer.headers["access-control-allow-credentials"], "true");
});

test("FX_TRANSPORTS=websocket refuses polling", async () => {
  const server = await fixture({ FX_TRANSPORTS: "websocket" });
  const { status, body } = await request(`${server.url}${EIO}polling`);
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(body), { code: 0, message: "Transport unknown" });
  await echoes(await connect(server, MODES.websocket), "served");
});

test("FX_TRANSPORTS=polling refuses a WebSocket and offers none", async () => {
  const server = await fixture({ FX_TRANSPORTS: "polling" });
  assert.deepEqual((await openPolling(server)).upgrades, []);
  await refused(client(server, MODES.websocket));
  const socket = await connect(server, MODES.upgrade);
  for (const i of upTo(20)) await echoes(socket, i);
  assert.equal(await ask(socket, "transport"), "polling");
});

test("FX_NO_UPGRADES offers no upgrade", async () => {
  const server = await fixture({ FX_NO_UPGRADES: "1" });
  assert.deepEqual((await openPolling(server)).upgrades, []);
  const socket = await connect(server, MODES.upgrade);
  for (const i of upTo(20)) await echoes(socket, i);
  assert.equal(await ask(socket, "transport"), "polling");
  await echoes(await connect(server, MODES.websocket), "served");
});

test("FX_COOKIE is set once, at the handshake", async () => {
  const server = await fixture({ FX_COOKIE: "io" });
  const open = await request(`${server.url}${EIO}polling`);
  const { sid } = JSON.parse(open.body.slice(1));
  assert.deepEqual(open.headers["set-cookie"], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
  const url = `${server.url}${EIO}polling&sid=${sid}`;
  const post = await request(url, { method: "POST", body: "40" });
  assert.equal(post.headers["set-cookie"], undefined);
});

test("FX_HTTP_COMPRESSION writes a long payload in gzip", async () => {
  const flood = `42${JSON.stringify(["flood", 1, 5_000])}`;
  for (const [on, coding] of [["1", "gzip"], ["0", undefined]]) {
    const server = await fixture({ FX_HTTP_COMPRESSION: on });
    const { sid } = await openPolling(server);
    const url = `${server.url}${EIO}polling&sid=${sid}`;
    await request(url, { method: "POST", body: `40\x1e${flood}` });
    const answer = await request(url, { headers: { "Accept-Encoding": "gzip" } });
    assert.deepEqual([answer.status, answer.headers["content-encoding"]], [200, coding]);
    const long = Number(answer.headers["content-length"]) > 5_000;
    assert.equal(long, coding === undefined);
    for (const options of Object.values(MODES)) await echoes(await connect(server, options), "x");
  }
});

test("mode eio: four cookies, and a handshake that takes its time", async () => {
  const env = { FX_MODE: "eio", FX_EIO_COOKIES: "1", FX_ALLOW_REQUEST_DELAY: "300" };
  const server = await fixture(env);
  const url = `${server.url}/engine.io/?EIO=4&transport=polling`;
  const began = Date.now();
  const { status, headers } = await request(url);
  assert(Date.now() - began >= 290, `answered after ${Date.now() - began} ms`);
  assert.equal(status, 200);
  const [one, two, three, four] = headers["set-cookie"];
  assert.equal(one, "1=1; Max-Age=86400");
  assert.equal(two, "2=2; Path=/; HttpOnly; Secure; SameSite=Strict");
  assert.equal(three, "3=3; Max-Age=0");
  assert.match(four, /^4=4; Expires=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  assert(Math.abs(Date.parse(four.slice(12)) - Date.now()) < 5_000, four);
  assert.equal((await request(`${url}&deny`)).body, '{"code":4,"message":"denied by fixture"}');
});

test("FX_CONNECT_TIMEOUT closes who joins nothing", async () => {
  const server = await fixture({ FX_CONNECT_TIMEOUT: "500" });
  const began = Date.now();
  const idle = new WebSocket(`${server.url.replace("http", "ws")}${EIO}websocket`);
  await once(idle, "close");
  assert(Date.now() - began >= 480, `closed after ${Date.now() - began} ms`);
  const socket = await connect(server, MODES.websocket);
  await sleep(700);
  await echoes(socket, "joined, so it stays");
});

test("FX_ALLOW_REQUEST_DELAY delays the handshake only", async () => {
  const server = await fixture({ FX_ALLOW_REQUEST_DELAY: "300" });
  for (const options of Object.values(MODES)) {
    const began = Date.now();
    const socket = await connect(server, options);
    assert(Date.now() - began >= 290, `connected after ${Date.now() - began} ms`);
    await echoes(socket, "in");
  }
});

test("FX_NO_AUTH_EVENT leaves the greeting out", async () => {
  const server = await fixture({ FX_NO_AUTH_EVENT: "1" });
  const socket = client(server, MODES.websocket);
  const greetings = inbox(socket, "auth");
  await settle(socket);
  assert.deepEqual(greetings, []);
});

// ---- later -----------------------------------------------------------------------------------

function laterRooms(each) {
  each("room-ack collects the answers of a room", async (server, options) => {
    const [a, b, c] = await trio(server, options);
    await ask(b, "join", "y");
    b.on("room-ask", (answer) => answer(2));
    c.on("room-ask", (answer) => answer(1));
    a.on("room-ask", (answer) => answer(3));
    const collect = (...args) =>
      new Promise((resolve) => a.emit("room-ack", ...args, (...answer) => resolve(answer)));
    assert.deepEqual(await collect("y", 4_000), ["ok", [1, 2, 3]]);
    assert.deepEqual(await collect("nobody", 4_000), ["ok", []]);
    c.off("room-ask");
    assert.deepEqual(await collect("y", 300), ["timeout", [2, 3]]);
  }, { needs: "room-ack" });

  each("sockets-in counts", async (server, options) => {
    const [a] = await trio(server, options);
    assert.equal(await ask(a, "sockets-in", "x"), 2);
    assert.equal(await ask(a, "sockets-in", "nobody"), 0);
  }, { needs: "sockets-in" });

  each("sockets-join and sockets-leave move a room", async (server, options) => {
    const [a, b, c] = await trio(server, options);
    await ask(a, "sockets-join", "x", "z");
    assert.deepEqual(await ask(b, "rooms"), ["x", "z"]);
    assert.deepEqual(await ask(c, "rooms"), ["y"]);
    await ask(c, "sockets-leave", "z", "x");
    assert.deepEqual(await ask(a, "rooms"), ["y", "z"]);
  }, { needs: "sockets-join" });

  each("disconnect-room ends its sockets", async (server, options) => {
    const [a, b, c] = await trio(server, options);
    const gone = [a, b].map((socket) => once(socket, "disconnect"));
    c.emit("disconnect-room", "x");
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    await echoes(c, "still here");
  }, { needs: "disconnect-room" });
}

function laterFeatures(each) {
  each("a session is recovered", async (_, options) => {
    const server = await fixture({ FX_RECOVERY: "1" });
    const [socket, other] = await Promise.all([1, 2].map(() => connect(server, options)));
    assert.equal(await ask(socket, "recovered"), false);
    await ask(socket, "join", "x");
    const { id } = socket;
    const box = inbox(socket, "room-msg");
    const gone = once(socket, "disconnect");
    socket.io.engine.close();
    await gone;
    await reasonOf(other, id);
    other.emit("to", "x", "missed");
    await settle(other);
    const back = once(socket, "connect");
    socket.connect();
    await back;
    await settle(socket);
    assert.equal(socket.id, id);
    assert.equal(socket.recovered, true);
    assert.deepEqual(box.map(([text]) => text), ["missed"]);
    assert.deepEqual(await ask(socket, "rooms"), ["x"]);
  }, { needs: "recovered" });

  each("dynamic namespaces", async (server, options) => {
    const main = await connect(server, options);
    const [one, two] = [await join(main, "/dyn-1"), await join(main, "/dyn-22")];
    assert.deepEqual(await heard([one, two], "bcast", (s) => s.emit("all", 1)), ["1", ""]);
    for (const nsp of ["/dyn-", "/dyn-1a", "/dyn-a1", "/x/dyn-1", "/dyn-1/", "/dyn-1?"]) {
      assert.equal((await refused(main.io.socket(nsp))).message, "Invalid namespace", nsp);
    }
  }, { needs: "dyn" });

  each("a middleware of events refuses one", async (server, options) => {
    const socket = await connect(server, { ...options, nsp: "/sockmw" });
    const error = once(socket, "mw-error");
    socket.emit("blocked", 1);
    assert.deepEqual(await error, ["event blocked"]);
    await echoes(socket, "others pass");
  }, { needs: "sockmw" });

  each("volatile messages come in order, if they come", async (server, options) => {
    const socket = await connect(server, options);
    const box = inbox(socket, "vol");
    socket.emit("volatile", 100);
    await settle(socket);
    const numbers = box.map(([i]) => i);
    assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
  }, { needs: "volatile" });
}

await run({
  later: LATER,
  async cleanup() {
    for (const socket of opened) {
      socket.io.reconnection(false);
      socket.io._close();
    }
    opened = [];
    for (const [key, server] of fixtures) {
      if (server.alive) continue;
      fixtures.delete(key);
      throw new Error(`the fixture ended: ${server.said}`);
    }
  },
});
