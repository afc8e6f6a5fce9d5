// The options of an engine: which transports, and how their requests look.

import assert from "node:assert/strict";
import { theme } from "./bench.mjs";

const { test, inPage } = theme("options");

const transportsOf = (bench) => [...new Set(bench.queries().map(({ transport }) => transport))];

for (const name of ["polling", "websocket"]) {
  test(`transports: ${name} alone`, {}, async (bench) => {
    const found = await bench.run(async (name) => {
      const socket = await enter("/", { transports: [name] });
      return [await ask(socket, "message-with-ack", "é"), socket.io.engine.transport.name];
    }, name);
    assert.deepEqual(found, [["é"], name]);
    assert.deepEqual(transportsOf(bench), [name]);
  });
}

test("WebSocket first stays there", {}, async (bench) => {
  const found = await bench.run(async () => {
    const socket = await enter("/", { transports: ["websocket", "polling"] });
    await ask(socket, "id");
    return socket.io.engine.transport.name;
  });
  assert.equal(found, "websocket");
  assert.deepEqual(transportsOf(bench), ["websocket"]);
});

test("upgrade: false stays with polling", {}, async (bench) => {
  await bench.run(async () => {
    const socket = await enter("/", { upgrade: false });
    for (let n = 0; n < 5; n++) await ask(socket, "id");
  });
  assert.deepEqual(transportsOf(bench), ["polling"]);
});

inPage("a transport nobody knows is an error at once, unless it is never reached", async () => {
  const err = await failure(() => io("/", { forceNew: true, transports: ["nope"] }));
  const socket = await enter("/", { transports: ["polling", "nope"] });
  return [err === "no error", socket.connected];
}, [false, true]);

inPage("no transport at all is an error that listeners hear", async () => {
  const socket = io("/", { transports: [], reconnection: false });
  const [err] = await next(socket, "connect_error");
  return err;
}, "No transports available");

test("rememberUpgrade begins where the last connection ended", {}, async (bench) => {
  const found = await bench.run(async () => {
    const first = await enter("/", { rememberUpgrade: true });
    await until(() => first.io.engine.transport.name === "websocket");
    const second = await enter("/", { rememberUpgrade: true });
    const third = await enter("/");
    return [second.io.engine.transport.name, third.connected];
  });
  assert.deepEqual(found, ["websocket", true]);
  const begins = bench.queries().filter(({ sid }) => !sid).map(({ transport }) => transport);
  assert.deepEqual(begins, ["polling", "websocket", "polling"]);
});

test("tryAllTransports goes on after a failure", {}, async (bench) => {
  bench.proxy.weather.noUpgrade = true;
  const found = await bench.run(async () => {
    const transports = ["websocket", "polling"];
    const heard = [];
    const once = io("/", { forceNew: true, transports, reconnection: false });
    const [{ message }] = await next(once, "connect_error");
    const socket = io("/", { forceNew: true, transports, tryAllTransports: true });
    socket.on("connect_error", (err) => heard.push(err.message));
    await connected(socket);
    return [message, socket.io.engine.transport.name, heard, await ask(socket, "echo", 1)];
  });
  assert.deepEqual(found, ["websocket error", "polling", [], [1]]);
});

test("tryAllTransports ends with the last error", {}, async (bench) => {
  bench.proxy.refuse();
  const found = await bench.run(async () => {
    const socket = io("/", {
      transports: ["websocket", "polling"], tryAllTransports: true, reconnection: false,
    });
    return (await next(socket, "connect_error"))[0].message;
  });
  assert.equal(found, "xhr poll error");
  assert.deepEqual(transportsOf(bench), ["websocket", "polling"]);
});

test("forceBase64 keeps bytes out of WebSocket frames", {}, async (bench) => {
  const found = await bench.run(async () => {
    const socket = await enter("/", { transports: ["websocket"], forceBase64: true });
    const [bytes, { deep }] = await ask(socket, "message-with-ack", bytesOf(1, 2, 255), {
      deep: bytesOf(),
    });
    return [bytes instanceof ArrayBuffer, plain(bytes), plain(deep)];
  });
  assert.deepEqual(found, [true, [1, 2, 255], []]);
  const [{ url, sent, received }] = bench.requests;
  assert.equal(url.searchParams.get("b64"), "1");
  assert.ok([...sent, ...received].every((frame) => typeof frame === "string"));
  assert.ok(sent.includes("bAQL/"), `${sent}`);
});

test("withCredentials sends cookies to another origin, and nothing else does", {
  isAlone: true,
}, async (bench) => {
  const server = await bench.serve({ FX_CORS: bench.origin, FX_COOKIE: "io" }, true);
  const { origin } = await bench.front(server);
  const found = await bench.run(async (origin) => {
    const cookie = async (withCredentials) => {
      const options = { transports: ["polling"], withCredentials };
      await enter(origin, options);
      const [{ headers, xdomain }] = await ask(await enter(origin, options), "getHandshake");
      return [/^io=/.test(headers.cookie), xdomain];
    };
    return [await cookie(false), await cookie(true), await cookie(false)];
  }, origin);
  assert.deepEqual(found, [[false, true], [true, true], [false, true]]);
});

test("a page of another origin, where the server allows it", {
  server: { FX_CORS: "*" },
}, async (bench) => {
  const { origin } = await bench.front();
  const found = await bench.run(async (origin) => {
    const names = [];
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      const socket = await enter(origin, { transports, extraHeaders: { "X-Test": "over there" } });
      const [answer] = await ask(socket, "handshake");
      names.push([transports[0], answer["x-test"], answer.xdomain]);
    }
    return names;
  }, origin);
  assert.deepEqual(found, [
    ["polling", "over there", true], ["websocket", undefined, true],
    ["polling", "over there", true],
  ]);
});

test("a page of another origin, where the server does not", {}, async (bench) => {
  const { origin } = await bench.front();
  const found = await bench.run(async (origin) => {
    const socket = io(origin, { reconnection: false });
    return shape((await next(socket, "connect_error"))[0]);
  }, origin);
  assert.deepEqual(found, {
    isError: true, message: "xhr poll error", type: "TransportError", description: 0,
    data: undefined,
  });
});

test("a page of another origin, where the server does not, over WebSocket alone", {
  notNode: "it lets every page open a WebSocket",
}, async (bench) => {
  const { origin } = await bench.front();
  const found = await bench.run(async (origin) => {
    const socket = io(origin, { reconnection: false, transports: ["websocket"] });
    return shape((await next(socket, "connect_error"))[0]).message;
  }, origin);
  assert.equal(found, "websocket error");
});

inPage("extraHeaders on every polling request, and by transport", async () => {
  const header = async (opts) => {
    const socket = await enter("/", { upgrade: false, ...opts });
    return (await ask(socket, "handshake"))[0]["x-test"];
  };
  const extraHeaders = { "x-test": "for all" };
  const transportOptions = { polling: { extraHeaders: { "x-test": "for polling" } } };
  return [
    await header({}), await header({ extraHeaders }), await header({ transportOptions }),
    await header({ extraHeaders, transportOptions }),
  ];
}, [undefined, "for all", "for polling", "for polling"]);

test("extraHeaders go with the requests after the handshake too", {}, async (bench) => {
  await bench.run(async () => {
    await ask(await enter("/", { upgrade: false, extraHeaders: { "x-test": 1 } }), "id");
  });
  assert.ok(bench.requests.length >= 3);
  assert.ok(bench.requests.every(({ headers }) => headers["x-test"] === "1"));
});

test("what a polling request looks like", {}, async (bench) => {
  await bench.run(async () => {
    await ask(await enter("/", { upgrade: false }), "message-with-ack", "é", bytesOf(7));
  });
  const posts = bench.requests.filter(({ method }) => method === "POST");
  assert.ok(posts.length);
  for (const { headers } of posts) {
    assert.match(headers["content-type"], /^text\/plain;\s?charset=utf-8$/i);
  }
  const frames = posts.flatMap(({ request }) => request.postData().split("\x1e"));
  assert.deepEqual(frames, [
    "40", '451-0["message-with-ack","é",{"_placeholder":true,"num":0}]', "bBw==",
  ]);
});

test("transportOptions may change the query of one transport", {}, async (bench) => {
  await bench.run(async () => {
    const socket = await enter("/", {
      transportOptions: { websocket: { timestampRequests: true, timestampParam: "stamp" } },
    });
    await until(() => socket.io.engine.transport.name === "websocket");
  });
  const named = bench.queries().map(({ transport, stamp }) => [transport, Boolean(stamp)]);
  assert.ok(named.every(([transport, has]) => has === (transport === "websocket")), `${named}`);
});

inPage("protocols are offered to the server", async () => {
  const offered = [];
  const Native = WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(url, protocols) {
      super(url);
      offered.push(protocols);
    }
  };
  // The official client keeps the constructor it found when it was loaded.
  await new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = "/parity/client.js?again";
    script.onload = resolve;
    document.head.append(script);
  });
  const socket = await enter("/", { transports: ["websocket"], protocols: ["a", "b"] });
  return [socket.connected, offered];
}, [true, [["a", "b"]]]);

test("requestTimeout ends a request", {}, async (bench) => {
  bench.proxy.stall();
  const found = await bench.run(async () => {
    const socket = io("/", { transports: ["polling"], requestTimeout: 50, reconnection: false });
    return shape((await next(socket, "connect_error"))[0]);
  });
  assert.deepEqual(found, {
    isError: true, message: "xhr poll error", type: "TransportError", description: 0,
    data: undefined,
  });
});

inPage("useNativeTimers passes by what a page put in their place", async () => {
  const count = async (useNativeTimers) => {
    let calls = 0;
    globalThis.setTimeout = (...args) => {
      calls++;
      return clock.setTimeout(...args);
    };
    const socket = await enter("/", { useNativeTimers });
    await failure(socket.timeout(5).emitWithAck("nobody answers"));
    return calls > 0;
  };
  return [await count(true), await count(false), await count(undefined)];
}, [false, true, true]);

inPage("auth: an object, a function, a promise behind it", async () => {
  const auth = async (auth) => (await ask(await enter("/", { auth }), "handshake"))[0].auth;
  const deep = { token: "t", deep: { list: [1, null, "é"] } };
  return [
    await auth(undefined), await auth(deep), await auth((done) => done({ n: 1 })),
    await auth((done) => setTimeout(done, 1, { n: 2 })),
  ];
}, [{}, { token: "t", deep: { list: [1, null, "é"] } }, { n: 1 }, { n: 2 }]);

inPage("auth is read again at each connection", async () => {
  let asked = 0;
  const counted = await enter("/", { auth: (done) => done({ n: ++asked }) });
  await lose(counted);
  await next(counted, "connect");
  const plainly = await enter("/", { auth: { n: 1 } });
  plainly.auth = { n: 5 };
  plainly.disconnect().connect();
  await next(plainly, "connect");
  plainly.auth.n = 6;
  await lose(plainly);
  await next(plainly, "connect");
  const answers = await Promise.all([counted, plainly].map((it) => ask(it, "handshake")));
  return answers.map(([{ auth }]) => auth);
}, [{ n: 2 }, { n: 6 }]);

inPage("a parser of the application's own", async () => {
  // The usual text, with each string in upper case on its way in.
  class Encoder {
    encode({ type, nsp, id = "", data }) {
      const json = data === undefined ? "" : JSON.stringify(data);
      return [`${type}${nsp === "/" ? "" : `${nsp},`}${id}${json}`];
    }
  }
  class Decoder {
    listeners = [];
    on(event, listener) {
      this.listeners.push(listener);
    }
    off(event, listener) {
      this.listeners = this.listeners.filter((it) => it !== listener);
    }
    add(text) {
      const [, type, nsp = "/", id, json] = /^(\d)(?:(\/[^,]*),)?(\d+)?(.*)$/.exec(text);
      const louder = (_, value) => (typeof value === "string" ? value.toUpperCase() : value);
      const data = json && JSON.parse(json, type === "3" ? louder : undefined);
      for (const listener of this.listeners) {
        listener({ type: Number(type), nsp, id: id && Number(id), data });
      }
    }
    destroy() {}
  }
  const socket = await enter("/custom", { parser: { Encoder, Decoder } });
  return ask(socket, "message-with-ack", "soft", { deep: ["é"] });
}, ["SOFT", { deep: ["É"] }]);

for (const transport of ["polling", "websocket"]) {
  test(`bytes may come one by one, over ${transport}`, {}, async (bench) => {
    await bench.run(async (transport) => {
      globalThis.socket = await enter("/", { transports: [transport] });
    }, transport);
    bench.proxy.throttle(1);
    const found = await bench.run(async () => {
      socket.emit("message", "é👍", bytesOf(1), "世界");
      const [first, bytes, last] = await next(socket, "message-back");
      return [first, plain(bytes), last];
    });
    assert.deepEqual(found, ["é👍", [1], "世界"]);
  });
}

test("the server offers no upgrade", { server: { FX_NO_UPGRADES: "1" } }, async (bench) => {
  const found = await bench.run(async () => {
    const socket = await enter("/");
    for (let n = 0; n < 5; n++) await ask(socket, "id");
    return socket.io.engine.transport.name;
  });
  assert.equal(found, "polling");
  assert.deepEqual(transportsOf(bench), ["polling"]);
});

inPage("the server has no polling", async () => {
  const socket = io("/", { reconnection: false });
  const [err] = await next(socket, "connect_error");
  const other = await enter("/", { transports: ["websocket"] });
  return [shape(err), other.connected];
}, [{
  isError: true, message: "xhr poll error", type: "TransportError", description: 400,
  data: undefined,
}, true], { server: { FX_TRANSPORTS: "websocket" } });
