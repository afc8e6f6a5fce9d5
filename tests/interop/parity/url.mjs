// Which server, path, namespace and query an application means, and which connections it shares.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("url");

// Not `io.protocol`: the documentation has it, the official bundle for browsers has not.
inPage("the exports of the global", () => {
  const socket = io({ autoConnect: false });
  return {
    same: [io.io === io, io.connect === io],
    kinds: [socket instanceof io.Socket, socket.io instanceof io.Manager],
  };
}, { same: [true, true], kinds: [true, true] });

inPage("every way to write the page's own server", async () => {
  const { host, origin } = location;
  const urls = [
    undefined, null, "", "/", origin, `${origin}/`, `//${host}`, host, `ws://${host}`,
    `http://${host}/?a=1`,
  ];
  const heard = [];
  for (const url of urls) {
    const socket = io(url, { forceNew: true });
    if (await failure(connected(socket)) !== "no error") return `${url} does not connect`;
    heard.push([socket.nsp, socket.io.engine.hostname, String(socket.io.engine.port)]);
    socket.disconnect();
  }
  const wrong = heard.filter(([nsp, hostname, port]) =>
    nsp !== "/" || hostname !== location.hostname || port !== location.port);
  return { count: heard.length, wrong };
}, { count: 10, wrong: [] });

inPage("the path of the URL is the namespace", async () => {
  const { host, origin } = location;
  const heard = [];
  for (const url of ["/custom", `${origin}/dyn-7`, `${host}/custom`, `//${host}/dyn-8`]) {
    const socket = await enter(url);
    heard.push([socket.nsp, socket.connected]);
  }
  const [err] = await next(io("/custom/", { forceNew: true }), "connect_error");
  return { heard, slash: err.message };
}, {
  heard: [["/custom", true], ["/dyn-7", true], ["/custom", true], ["/dyn-8", true]],
  slash: "Invalid namespace",
});

inPage("options may come alone", async () => {
  const socket = io({ forceNew: true, query: { only: "options" } });
  const [{ query }] = await ask(socket, "handshake");
  return [socket.nsp, query.only];
}, ["/", "options"]);

inPage("the query of the URL, and of a reconnection", async () => {
  const socket = await enter("/custom?a=1&b=x%20y&c=%C3%BC");
  const first = (await ask(socket, "handshake"))[0].query;
  await lose(socket);
  await next(socket, "connect");
  const second = (await ask(socket, "handshake"))[0].query;
  return [first, second].map(({ a, b, c }) => ({ a, b, c }));
}, Array(2).fill({ a: "1", b: "x y", c: "ü" }));

inPage("the query object, whatever its values are", async () => {
  const query = {
    n: 1, yes: true, list: [1, "a b"], "ü&": "&=?#+ 👍", nothing: null, un: undefined,
  };
  const socket = await enter("/", { query });
  const { EIO, transport, ...rest } = (await ask(socket, "handshake"))[0].query;
  return { EIO, transport, rest };
}, {
  EIO: "4",
  transport: "polling",
  rest: {
    n: "1", yes: "true", list: "1,a b", "ü&": "&=?#+ 👍", nothing: "null", un: "undefined",
  },
});

inPage("a query in the URL replaces the option", async () => {
  const socket = await enter("/?a=1", { query: { b: "2" } });
  const { a, b } = (await ask(socket, "handshake"))[0].query;
  return [a, b];
}, ["1", undefined]);

inPage("a query may be changed before the next connection", async () => {
  const socket = await enter("/", { query: { n: "1" } });
  socket.io.opts.query.n = "2";
  socket.disconnect().connect();
  await next(socket, "connect");
  return (await ask(socket, "handshake"))[0].query.n;
}, "2");

test("namespaces share one connection", {}, async ({ run, requests, page }) => {
  const found = await page.evaluate(async () => {
    const [root, custom, other] = [io(), io("/custom"), io("/dyn-1")];
    await Promise.all([root, custom, other].map(connected));
    const engines = await Promise.all([root, custom, other].map((it) => ask(it, "id")));
    return {
      shared: root.io === custom.io && root.io === other.io,
      ids: new Set(engines.map(([id]) => id)).size,
      engines: new Set(engines.map(([, engine]) => engine)).size,
    };
  });
  assert.deepEqual(found, { shared: true, ids: 3, engines: 1 });
  assert.equal(requests.filter(({ url }) => !url.searchParams.has("sid")).length, 1);
});

inPage("a namespace taken, forceNew and multiplex ask for another connection", async () => {
  const root = io({ autoConnect: false });
  const custom = io("/custom");
  return {
    custom: custom.io === root.io,
    again: io({ autoConnect: false }).io === root.io,
    forceNew: io("/a", { forceNew: true, autoConnect: false }).io === root.io,
    multiplex: io("/c", { multiplex: false, autoConnect: false }).io === root.io,
    path: io("/d", { path: "/other", autoConnect: false }).io === root.io,
    host: io(`http://localhost:${location.port}/e`, { autoConnect: false }).io === root.io,
    query: io("/f?x=1", { autoConnect: false }).io === root.io,
    scheme: io(`ws://${location.host}/g`, { autoConnect: false }).io === root.io,
  };
}, {
  custom: true, again: false, forceNew: false, multiplex: false, path: false,
  host: false, query: true, scheme: false,
});

inPage("the manager that others share is the first one, forced or not", () => {
  const forced = io("/a", { forceNew: true, autoConnect: false });
  const first = io("/b", { autoConnect: false });
  const second = io("/c", { autoConnect: false });
  return [forced.io === first.io, first.io === second.io];
}, [false, true]);

inPage("the socket of a namespace is known to its manager", () => {
  const socket = io("/custom", { autoConnect: false });
  return [socket.io.socket("/custom") === socket, socket.io.socket("/other") === socket];
}, [true, false]);

test("addTrailingSlash: false, and a path without one", {}, async (bench) => {
  const paths = await bench.run(async () => {
    const options = { autoConnect: false, forceNew: true, transports: ["polling"] };
    io({ ...options, addTrailingSlash: false }).connect();
    io({ ...options, path: "/socket.io" }).connect();
    io({ ...options, path: "/other/", addTrailingSlash: false }).connect();
    await until(() => performance.getEntriesByType("resource").length >= 5);
  });
  assert.equal(paths, undefined);
  const first = bench.requests.filter(({ url }) => !url.searchParams.has("sid"));
  assert.deepEqual(first.map(({ url }) => url.pathname), ["/socket.io", "/socket.io/", "/other"]);
});

test("path reaches a server elsewhere", { server: { FX_PATH: "/deep/er/" } }, async (bench) => {
  await bench.run(() => enter("/", { path: "/deep/er" }).then(() => {}));
  assert.ok(bench.requests.every(({ url }) => url.pathname === "/deep/er/"));
});

test("https, wss and another host are asked for as written", {}, async (bench) => {
  await bench.run(async () => {
    const urls = [
      "https://127.0.0.1:9", "wss://127.0.0.1:9", "http://[::1]:9", "http://localhost:9/custom",
      "https://127.0.0.1", "http://127.0.0.1",
    ];
    for (const url of urls) {
      await next(io(url, { forceNew: true, reconnection: false }), "connect_error");
    }
  });
  assert.deepEqual(bench.requests.map(({ url }) => url.origin), [
    "https://127.0.0.1:9", "https://127.0.0.1:9", "http://[::1]:9", "http://localhost:9",
    "https://127.0.0.1", "http://127.0.0.1",
  ]);
});

inPage("secure does not change a URL, nor the page's own", async () => {
  const socket = await enter("/", { secure: true });
  return [socket.connected, socket.io.engine.secure];
}, [true, false]);

test("every polling request has its stamp", {}, async (bench) => {
  await bench.run(async () => {
    await ask(await enter("/", { upgrade: false }), "id");
    await ask(await enter("/", { upgrade: false, timestampParam: "stamp" }), "id");
  });
  const [plain, named] = [0, 1].map((n) => {
    const sessions = [...new Set(bench.queries().map(({ sid }) => sid))].filter(Boolean);
    return bench.queries().filter(({ sid }) => sid === sessions[n]);
  });
  for (const [queries, param] of [[plain, "t"], [named, "stamp"]]) {
    const stamps = queries.map((query) => query[param]);
    assert.ok(stamps.length >= 3 && stamps.every(Boolean), `${stamps}`);
    assert.equal(new Set(stamps).size, stamps.length);
  }
});

test("timestampRequests: false leaves them out, true has them on WebSocket", {}, async (bench) => {
  await bench.run(async () => {
    await enter("/", { upgrade: false, timestampRequests: false });
    await enter("/", { transports: ["websocket"], timestampRequests: true });
    await enter("/", { transports: ["websocket"] });
  });
  const stamps = (name) => bench.queries().filter(({ transport }) => transport === name)
    .map(({ t }) => typeof t);
  assert.deepEqual(new Set(stamps("polling")), new Set(["undefined"]));
  assert.deepEqual(stamps("websocket"), ["string", "undefined"]);
});

inPage("a namespace is what is written", () => {
  const nspOf = (url) => io(url, { autoConnect: false, forceNew: true }).nsp;
  const { host } = location;
  return ["/100%", "/a%20b%2Fc", "/ü", "/a/../b", `${host}?next=http://x/y`, `//${host}/n#h`]
    .map(nspOf);
}, ["/100%", "/a%20b%2Fc", "/ü", "/a/../b", "/", "/n"]);
