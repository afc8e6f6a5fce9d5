// Losing the server and coming back: attempts, delays, and what waits meanwhile.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("reconnect");

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`a server that restarts, over ${transports.join(" and ")}`, {
    ownServer: true,
  }, async (bench) => {
    await bench.run(async (transports) => {
      globalThis.socket = await enter("/", { transports });
      globalThis.heard = [];
      globalThis.firstId = socket.id;
      socket.on("message-back", (n) => heard.push(n));
      socket.on("disconnect", (reason) => (globalThis.reason = reason));
      await until(() => socket.io.engine.transport.name === transports.at(-1));
      socket.emit("message", 0);
      await until(() => heard.length === 1);
    }, transports);
    await bench.server.stop();
    const away = await bench.run(async () => {
      await until(() => globalThis.reason);
      for (let n = 1; n <= 100; n++) socket.emit("message", n, ...(n % 9 ? [] : [bytesOf(n)]));
      return [socket.connected, socket.active, socket.id, socket.sendBuffer.length];
    });
    assert.deepEqual(away, [false, true, undefined, 100]);
    await bench.server.start();
    const found = await bench.run(async () => {
      await until(() => heard.length >= 101);
      await ask(socket, "id");
      return [heard, socket.sendBuffer.length, socket.id === firstId, reason];
    });
    assert.deepEqual(found.slice(0, 3), [[...Array(101).keys()], 0, false]);
    assert.ok(["transport close", "transport error"].includes(found[3]), found[3]);
  });
}

inPage("all namespaces come back, each with a new id", async () => {
  const sockets = ["/", "/custom", "/dyn-1"].map((nsp) => io(nsp, { reconnectionDelay: 10 }));
  await Promise.all(sockets.map(connected));
  const before = sockets.map(({ id }) => id);
  await lose(sockets[0]);
  const gone = sockets.map(({ connected }) => connected);
  await Promise.all(sockets.map(connected));
  return [gone, sockets.map(({ id }, n) => id === before[n]), await ask(sockets[2], "echo", 1)];
}, [[false, false, false], [false, false, false], [1]]);

test("the first connection is tried again too", {}, async (bench) => {
  bench.proxy.refuse();
  await bench.run(async () => {
    globalThis.socket = io("/", { reconnectionDelay: 10 });
    globalThis.heard = [];
    socket.on("connect_error", (err) => heard.push(err.message));
    socket.io.on("reconnect_attempt", (n) => heard.push(n));
    socket.io.on("reconnect", (n) => heard.push("reconnect"));
    socket.emit("message", "waited");
    await until(() => heard.length >= 4);
  });
  await bench.proxy.open();
  const found = await bench.run(async () => [await next(socket, "message-back"), heard]);
  assert.deepEqual(found[0], ["waited"]);
  assert.deepEqual(found[1].slice(0, 4), ["xhr poll error", 1, "xhr poll error", 2]);
  assert.equal(found[1].at(-1), "reconnect");
});

test("attempts end, and may begin again", {}, async (bench) => {
  bench.proxy.refuse();
  await bench.run(async () => {
    globalThis.socket = io("/", { reconnectionDelay: 1, reconnectionAttempts: 2 });
    globalThis.heard = [];
    for (const event of ["reconnect_attempt", "reconnect_error", "reconnect_failed", "reconnect"]) {
      socket.io.on(event, (it) => heard.push([event, it?.message ?? it]));
    }
    await next(socket.io, "reconnect_failed");
  });
  const [heard, ...after] = await bench.run(() =>
    [heard.splice(0), socket.active, socket.connected, heard.length]);
  const order = heard.filter(([event]) => event !== "reconnect_error");
  assert.deepEqual(order, [
    ["reconnect_attempt", 1], ["reconnect_attempt", 2], ["reconnect_failed", undefined],
  ]);
  // The official client tells the last `reconnect_error` after `reconnect_failed`.
  const errors = heard.filter(([event]) => event === "reconnect_error");
  assert.ok(errors.length >= 1 && errors.every(([, it]) => it === "xhr poll error"));
  assert.deepEqual(after, [true, false, 0]);
  await bench.proxy.open();
  const found = await bench.run(async () => {
    socket.connect();
    await connected(socket);
    return ask(socket, "echo", 1);
  });
  assert.deepEqual(found, [1]);
});

inPage("reconnection: false stays away until connect()", async () => {
  const socket = await enter("/", { reconnection: false });
  const heard = record(socket.io, "reconnect_attempt", "reconnect", "reconnect_failed");
  await lose(socket);
  const other = await enter("/custom");
  await lose(other);
  await next(other, "connect");
  const away = [socket.connected, socket.active];
  socket.connect();
  await connected(socket);
  return [away, heard];
}, [[false, true], []]);

for (const [name, random, expected] of [
  ["doubles up to its maximum", 0.5, [11, 22, 44, 50, 50, 50]],
  ["is never above its maximum, whatever chance adds", 0.99, undefined],
]) {
  test(`the delay ${name}`, {}, async (bench) => {
    bench.proxy.refuse();
    const delays = await bench.run(async (random) => {
      const delays = [];
      globalThis.setTimeout = (run, ms, ...args) => {
        // Others of the client's: 0 for the next turn, and its own timeout.
        if (ms > 0 && ms < 1_000) delays.push(ms);
        return clock.setTimeout(run, ms > 0 && ms < 1_000 ? 0 : ms, ...args);
      };
      const chance = Math.random;
      Math.random = () => random;
      const socket = io("/", {
        reconnectionDelay: 11, reconnectionDelayMax: 50, reconnectionAttempts: 6,
        randomizationFactor: random === 0.5 ? 0 : 0.5,
      });
      await next(socket.io, "reconnect_failed");
      Math.random = chance;
      return delays;
    }, random);
    if (expected) assert.deepEqual(delays, expected);
    else {
      assert.equal(delays.length, 6);
      assert.ok(delays.every((ms) => ms > 11 && ms <= 50), `${delays}`);
      assert.equal(delays.at(-1), 50);
    }
  });
}

test("chance makes clients different", {}, async (bench) => {
  bench.proxy.refuse();
  const delays = await bench.run(async () => {
    const delays = [];
    globalThis.setTimeout = (run, ms, ...args) => {
      if (ms >= 400 && ms <= 3_000) delays.push(ms);
      return clock.setTimeout(run, ms >= 400 && ms <= 3_000 ? 0 : ms, ...args);
    };
    const sockets = Array.from({ length: 20 }, () =>
      io("/", { forceNew: true, reconnectionAttempts: 1 }));
    await Promise.all(sockets.map(({ io }) => next(io, "reconnect_failed")));
    return delays;
  });
  assert.equal(delays.length, 20);
  assert.ok(delays.every((ms) => ms >= 500 && ms <= 1_500), `${delays}`);
  assert.ok(new Set(delays).size > 5, `${delays}`);
});

test("disconnect() ends the attempts", {}, async (bench) => {
  bench.proxy.refuse();
  await bench.run(async () => {
    globalThis.socket = io("/", { reconnectionDelay: 10 });
    globalThis.heard = record(socket.io, "reconnect_attempt");
    await until(() => heard.length === 2);
    socket.disconnect();
    heard.length = 0;
  });
  await bench.proxy.open();
  const found = await bench.run(async () => {
    await enter("/custom");
    const away = [socket.connected, socket.active, heard.length];
    socket.connect();
    await connected(socket);
    return [away, await ask(socket, "echo", 1)];
  });
  assert.deepEqual(found, [[false, false, 0], [1]]);
});

test("timeout: a connection that does not come", {}, async (bench) => {
  bench.proxy.stall();
  await bench.run(async () => {
    globalThis.socket = io("/", { timeout: 50, reconnectionDelay: 10 });
    globalThis.heard = [];
    socket.on("connect_error", (err) => heard.push(shape(err)));
    socket.io.on("reconnect_attempt", (n) => heard.push(n));
    await until(() => heard.length >= 3);
    socket.io.timeout(8_000);
  });
  bench.proxy.flow();
  const found = await bench.run(async () => {
    await connected(socket);
    return [heard.slice(0, 2), await ask(socket, "echo", 1)];
  });
  assert.deepEqual(found, [
    [{
      isError: true, message: "timeout", type: undefined, description: undefined, data: undefined,
    }, 1],
    [1],
  ]);
});

test("timeout: false waits as long as it takes", {
  server: { FX_ALLOW_REQUEST_DELAY: "200" },
}, async (bench) => {
  const found = await bench.run(async () => {
    const patient = io("/", { timeout: false, forceNew: true });
    const hasty = io("/", { timeout: 20, forceNew: true, reconnection: false });
    const [[{ message }]] = await Promise.all([next(hasty, "connect_error"), connected(patient)]);
    return message;
  });
  assert.equal(found, "timeout");
});

inPage("what is emitted in a disconnect listener waits", async () => {
  const socket = await enter("/");
  socket.once("disconnect", () => socket.emit("message", "from the listener"));
  await lose(socket);
  return next(socket, "message-back");
}, ["from the listener"]);

inPage("connect() in a disconnect listener returns from where it was sent away", async () => {
  const socket = await enter("/");
  const { id } = socket;
  socket.once("disconnect", () => socket.connect());
  socket.emit("bye");
  await next(socket, "connect");
  return [socket.id === id, await ask(socket, "echo", 1)];
}, [false, [1]]);

inPage("auth may change with each attempt", async () => {
  const socket = await enter("/", { auth: { n: 0 } });
  socket.io.on("reconnect_attempt", (n) => {
    socket.auth.n = n;
    socket.io.opts.query = { attempt: n };
  });
  await lose(socket);
  await next(socket, "connect");
  const [{ auth, query }] = await ask(socket, "handshake");
  return [auth, query.attempt];
}, [{ n: 1 }, "1"]);

inPage("transports may change for the next attempt", async () => {
  const socket = await enter("/", { transports: ["websocket"] });
  socket.io.opts.transports = ["polling"];
  await lose(socket);
  await next(socket, "connect");
  return socket.io.engine.transport.name;
}, "polling");

test("a loss before the CONNECT is answered keeps all that waits", {}, async (bench) => {
  await bench.run(async () => {
    globalThis.socket = io("/mw-slow", { reconnectionDelay: 10, transports: ["websocket"] });
    globalThis.heard = record(socket, "disconnect", "connect");
    for (let n = 0; n < 3; n++) socket.emit("message", n);
    await next(socket.io, "open");
  });
  bench.proxy.cut();
  const found = await bench.run(async () => {
    const returned = [];
    socket.on("message-back", (n) => returned.push(n));
    await until(() => returned.length === 3);
    return [returned, heard.at(-1)];
  });
  assert.deepEqual(found, [[0, 1, 2], ["connect"]]);
});

inPage("a listener that connects again when the network goes is called once", async () => {
  const socket = await enter("/");
  let calls = 0;
  socket.on("disconnect", () => {
    // Enough to see that it does not end.
    if (++calls < 100) socket.connect();
  });
  dispatchEvent(new Event("offline"));
  await connected(socket);
  return calls;
}, 1);
