/*
 * A real browser against a running demo site: EMIO_URL=http://127.0.0.1:3000 node browser.mjs
 *
 * Every case runs with emio's own client and with the official one, which takes the place of
 * /socket.io/socket.io.js. "chat" cases use the page as people do, two windows at a time; "api"
 * cases use the client against the server; "wire" cases use it against a scripted server, written
 * here, to meet what a healthy server does not do. Nothing sleeps: all wait for a condition.
 *
 * Optional: CHROMIUM (its path), CASES (a regular expression of case names), SCREENSHOT_DIR.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";

// `require` rather than `import`, because it follows NODE_PATH.
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");

const { EMIO_URL, CHROMIUM = "/usr/bin/chromium", CASES = "", SCREENSHOT_DIR } = process.env;
if (!EMIO_URL) {
  console.error("EMIO_URL must name the demo site, as in http://127.0.0.1:3000");
  process.exit(1);
}
const SITE = new URL(EMIO_URL).origin;
const CASE_MS_MAX = 20_000;
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** What each client must show for each `?transport=`: where it begins, and where it ends. */
const TRANSPORTS = {
  polling: { last: "polling", usesPolling: true, usesWebSocket: false },
  websocket: { last: "websocket", usesPolling: false, usesWebSocket: true },
  upgrade: { last: "websocket", usesPolling: true, usesWebSocket: true },
};

const cases = [];
let browser;

function test(name, run) {
  cases.push({ name, run });
}

/** The official client's text, or undefined where the package is not installed. */
function officialClient() {
  try {
    const root = dirname(require.resolve("socket.io-client/package.json"));
    return readFileSync(join(root, "dist/socket.io.min.js"), "utf8");
  } catch {
    return undefined;
  }
}

const CLIENTS = { emio: undefined, official: officialClient() };

/** A browser window of its own: no cookie, cache or network switch is shared with another. */
async function openWindow(client, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const seen = { polls: 0, sockets: 0, errors: [], posts: [] };
  page.on("pageerror", (err) => seen.errors.push(err.message));
  page.on("websocket", () => seen.sockets++);
  page.on("request", (request) => {
    if (!request.url().includes("transport=polling")) return;
    seen.polls++;
    if (request.method() === "POST") seen.posts.push(request.postDataBuffer()?.length ?? 0);
  });
  if (client === "official") {
    await context.route("**/socket.io/socket.io.js", (route) =>
      route.fulfill({ contentType: "text/javascript", body: CLIENTS.official }));
  }
  return { context, page, seen };
}

// Chat: the page as people use it.

const PNG = png(96, 64);

/** A picture whose bytes take all values: a plain PNG, with noise in its pixels. */
function png(width, height, pixel = (x, y) => [x * 2, y * 3, (x * y * 7) % 256]) {
  const rows = [];
  for (let y = 0; y < height; y++) {
    rows.push(0);
    for (let x = 0; x < width; x++) rows.push(...pixel(x, y).map((it) => it & 255));
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.from(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

async function openChat(client, transport, name, options) {
  const window = await openWindow(client, options);
  const { page } = window;
  await page.goto(`${SITE}/chat/?transport=${transport}`);
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await shows(page, "#state", "connected");
  await shows(page, "#transport", TRANSPORTS[transport].last);
  await page.waitForFunction(() => joined);
  return window;
}

/** Waits until an element that matches has exactly this text. */
function shows(page, selector, text) {
  return page.waitForFunction(
    ([selector, text]) =>
      [...document.querySelectorAll(selector)].some((it) => it.textContent === text),
    [selector, text]);
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.waitForSelector("#send:enabled");
  await page.press("#text", "Enter");
}

/** Leaves the chat so that the server knows before the next case counts who is there. */
async function leaveChat(...windows) {
  for (const { page } of windows) {
    await page.evaluate(() => void socket.disconnect());
    await page.waitForFunction(() => socket.io.engine.readyState === "closed");
  }
  await leave(...windows);
}

/** Closes windows as a crash would. */
async function leave(...windows) {
  await Promise.all(windows.map(({ context }) => context.close()));
}

function chatCases(client) {
  for (const [transport, { usesPolling, usesWebSocket }] of Object.entries(TRANSPORTS)) {
    const title = `chat, ${client} client, ${transport}:`;

    test(`${title} two windows talk`, async () => {
      const ada = await openChat(client, transport, "Ada");
      const bob = await openChat(client, transport, "Bob");
      await shows(ada.page, ".notice", "Bob joined");
      // The server may still count somebody whose window crashed over polling.
      const online = Number(await ada.page.textContent("#online"));
      assert.ok(online >= 2);
      await shows(bob.page, "#online", `${online}`);

      await say(ada.page, "Grüße, 世界 👩🏽‍🚀🎉 <b>not bold</b>");
      for (const { page } of [ada, bob]) {
        await shows(page, ".bubble p", "Grüße, 世界 👩🏽‍🚀🎉 <b>not bold</b>");
      }
      assert.equal(await bob.page.locator("#log b:not(.notice b)").count(), 0);
      assert.equal(await ada.page.locator(".message.own").count(), 1);
      assert.equal(await bob.page.locator(".message.own").count(), 0);
      await bob.page.fill("#text", "wait");
      await shows(ada.page, "#typing span", "Bob is typing");
      await say(bob.page, "two\nlines");
      for (const { page } of [ada, bob]) await shows(page, ".bubble p", "two\nlines");
      await shows(ada.page, "#typing span", "");

      await leave(bob);
      await shows(ada.page, ".notice", "Bob left");
      await shows(ada.page, "#online", `${online - 1}`);
      assert.deepEqual(ada.seen.errors, []);
      assert.equal(ada.seen.polls > 0, usesPolling, "polling requests");
      assert.equal(ada.seen.sockets > 0, usesWebSocket, "WebSocket connections");
      await leaveChat(ada);
    });

    test(`${title} an image arrives byte by byte`, async () => {
      const ada = await openChat(client, transport, "Ada");
      const bob = await openChat(client, transport, "Bob");
      await bob.page.evaluate(() => {
        window.images = [];
        socket.on("chat image", ({ type, bytes }) => {
          const binary = bytes instanceof ArrayBuffer;
          images.push({ type, binary, bytes: [...new Uint8Array(bytes)] });
        });
      });
      await ada.page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: PNG });
      for (const { page } of [ada, bob]) {
        await page.waitForFunction(() => document.querySelector("#log img")?.naturalWidth === 96);
      }
      const [image] = await bob.page.evaluate(() => images);
      assert.equal(image.type, "image/png");
      assert.equal(image.binary, true, "arrives as ArrayBuffer");
      assert.ok(Buffer.from(image.bytes).equals(PNG), "same bytes");
      await leaveChat(ada, bob);
    });

    test(`${title} comes back after the connection was lost`, async () => {
      const ada = await openChat(client, transport, "Ada");
      const bob = await openChat(client, transport, "Bob");
      const before = await bob.page.evaluate(() => socket.id);
      // The official client leaves its GET pending when it goes offline, so that the server keeps
      // counting Bob for a minute.
      const offline = client !== "official" || transport !== "polling";
      if (offline) await bob.context.setOffline(true);
      else await bob.page.evaluate(() => void socket.io.engine.close());
      await shows(ada.page, ".notice", "Bob left");
      if (offline) await bob.context.setOffline(false);
      await shows(bob.page, "#state", "connected");
      await shows(bob.page, "#transport", TRANSPORTS[transport].last);
      await bob.page.waitForFunction(() => joined);
      await bob.page.waitForFunction((before) => socket.connected && socket.id !== before, before);
      await say(ada.page, "welcome back");
      await shows(bob.page, ".bubble p", "welcome back");
      await leaveChat(ada, bob);
    });
  }

  test(`chat, ${client} client, polling: a page that is left says so`, async () => {
    const ada = await openChat(client, "polling", "Ada");
    const bob = await openChat(client, "polling", "Bob");
    await shows(ada.page, ".notice", "Bob joined");
    await bob.page.goto("about:blank");
    await shows(ada.page, ".notice", "Bob left");
    await leave(bob);
    await leaveChat(ada);
  });

  test(`chat, ${client} client, upgrade: leaves polling for good`, async () => {
    const ada = await openChat(client, "upgrade", "Ada");
    assert.equal(await ada.page.evaluate(() => socket.io.engine.transport.name), "websocket");
    const polls = ada.seen.polls;
    for (const text of ["one", "two", "three"]) {
      await say(ada.page, text);
      await shows(ada.page, ".bubble p", text);
    }
    assert.equal(ada.seen.polls, polls, "no polling request after the upgrade");
    assert.equal(ada.seen.sockets, 1);
    await leaveChat(ada);
  });

  test(`chat, ${client} client: the keyboard is enough`, async () => {
    const ada = await openChat(client, "websocket", "Ada");
    const { page } = ada;
    await page.waitForFunction(() => document.activeElement.id === "text");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.parentElement.id === "emojis");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement.id === "text");
    await page.keyboard.press("Enter");
    await shows(page, ".bubble.large p", "😂");
    await leaveChat(ada);
  });
}

// API: the client against the server under test, on a page that holds nothing else.

async function blankPage(client) {
  const window = await openWindow(client);
  await loadBlank(window.page);
  await window.page.evaluate(() => {
    /** The arguments of the next `event`. */
    window.next = (emitter, event) =>
      new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
    /** A connected socket that has joined the chat. */
    window.enter = async (opts) => {
      const socket = io("/chat", { forceNew: true, ...opts });
      await new Promise((resolve) => socket.emit("add user", "Tester", resolve));
      return socket;
    };
    window.failure = (promise) => promise.then(() => "no error", (err) => err.message);
  });
  return window;
}

/** Any text the site serves will do, but it must come from there: a page whose answer is made up
 *  here has no address, and the browser keeps it from connecting to this machine. */
async function loadBlank(page) {
  await page.goto(`${SITE}/chat/chat.css`);
  await page.addScriptTag({ url: "/socket.io/socket.io.js" });
}

function apiCases(client) {
  const api = (name, run, check) => test(`api, ${client} client: ${name}`, async () => {
    const window = await blankPage(client);
    check(await window.page.evaluate(run), window);
    await leave(window);
  });

  api("connect gives an id, disconnect takes it", async () => {
    const socket = io({ forceNew: true });
    const before = [socket.connected, socket.active, socket.id];
    await next(socket, "connect");
    const secret = socket.io.engine.id;
    const during = [socket.connected, socket.active, typeof socket.id, socket.id !== secret];
    const reasons = [];
    socket.on("disconnect", (reason) => reasons.push(reason));
    socket.disconnect();
    return { before, during, reasons, after: [socket.connected, socket.active, socket.id] };
  }, (it) => assert.deepEqual(it, {
    before: [false, true, undefined],
    during: [true, true, "string", true],
    reasons: ["io client disconnect"],
    after: [false, false, undefined],
  }));

  api("connects again after disconnect, with another id", async () => {
    const socket = await enter();
    const { id } = socket;
    socket.disconnect().connect();
    await next(socket, "connect");
    return { connected: socket.connected, same: socket.id === id };
  }, (it) => assert.deepEqual(it, { connected: true, same: false }));

  api("autoConnect: false waits for connect()", async () => {
    const socket = io({ autoConnect: false, forceNew: true });
    const waits = [socket.connected, socket.active, socket.io.engine];
    socket.connect();
    await next(socket, "connect");
    return { waits, connected: socket.connected };
  }, (it) => assert.deepEqual(it, { waits: [false, false, undefined], connected: true }));

  api("on, once and off", async () => {
    const socket = await enter();
    const calls = [];
    const removed = () => calls.push("removed");
    socket.on("chat message", removed).once("chat message", () => calls.push("once"));
    socket.on("chat message", ({ text }) => calls.push(text));
    socket.off("chat message", removed);
    socket.emit("chat message", "1").emit("chat message", "2");
    while (calls.at(-1) !== "2") await next(socket, "chat message");
    const before = [socket.hasListeners("chat message"), socket.listeners("chat message").length];
    socket.off("chat message");
    return { calls, before, after: socket.hasListeners("chat message") };
  }, (it) => {
    assert.deepEqual(it, { calls: ["once", "1", "2"], before: [true, 1], after: false });
  });

  api("emits wait for the connection, in order", async () => {
    const socket = io("/chat", { autoConnect: false, forceNew: true });
    const texts = [];
    socket.on("chat message", ({ text }) => texts.push(text));
    socket.emit("add user", "Tester");
    for (let n = 0; n < 20; n++) socket.emit("chat message", `${n}`);
    socket.volatile.emit("chat message", "lost");
    const waiting = socket.sendBuffer.length;
    socket.connect();
    await next(socket, "connect");
    socket.emit("chat message", "last");
    while (texts.at(-1) !== "last") await next(socket, "chat message");
    return { waiting, texts };
  }, (it) => {
    assert.equal(it.waiting, 21);
    assert.deepEqual(it.texts, [...Array(20).keys()].map(String).concat("last"));
  });

  api("acknowledgements: callback, promise, and both with a timeout", async () => {
    const socket = await enter();
    // One each: the server may answer only the first `add user` of a socket.
    const stranger = () => io("/chat", { forceNew: true });
    return {
      answers: [
        await new Promise((resolve) => stranger().emit("add user", "Tester", resolve)),
        await new Promise((resolve) => {
          const ack = (err, value) => resolve(err ?? value);
          stranger().timeout(9000).emit("add user", "Tester", ack);
        }),
        await stranger().emitWithAck("add user", "Tester"),
        await stranger().timeout(9000).emitWithAck("add user", "Tester"),
      ],
      timeout: await new Promise((resolve) => {
        socket.timeout(50).emit("no such event", (err, value) => resolve([err.message, value]));
      }),
      promiseTimeout: await failure(socket.timeout(50).emitWithAck("no such event")),
    };
  }, (it) => {
    for (const { numUsers } of it.answers) assert.equal(typeof numUsers, "number");
    assert.deepEqual(it.timeout, ["operation has timed out", undefined]);
    assert.equal(it.promiseTimeout, "operation has timed out");
  });

  api("a timeout also takes back what was never sent", async () => {
    const socket = io({ autoConnect: false, forceNew: true });
    const error = await failure(socket.timeout(10).emitWithAck("add user", "Tester"));
    return { error, waiting: socket.sendBuffer.length };
  }, (it) => assert.deepEqual(it, { error: "operation has timed out", waiting: 0 }));

  api("a disconnect fails the acknowledgements that have a timeout", async () => {
    const socket = await enter();
    const error = failure(socket.timeout(60_000).emitWithAck("no such event"));
    socket.disconnect();
    return error;
  }, (it) => assert.equal(it, "socket has been disconnected"));

  api("reserved names cannot be emitted", async () => {
    const socket = io({ autoConnect: false });
    const names = ["connect", "connect_error", "disconnect", "disconnecting", "newListener"];
    return names.map((name) => {
      try {
        socket.emit(name);
        return "no error";
      } catch (err) {
        return err.message;
      }
    });
  }, (it) => it.forEach((error) => assert.match(error, /is a reserved event name/)));

  for (const transport of ["polling", "websocket"]) {
    test(`api, ${client} client: every kind of bytes returns over ${transport}`, async () => {
      const window = await blankPage(client);
      const found = await window.page.evaluate(async (transport) => {
        const socket = await enter({ transports: [transport] });
        const bytes = Uint8Array.from({ length: 300 }, (_, n) => n * 7);
        const kinds = {
          ArrayBuffer: bytes.buffer,
          view: bytes.subarray(3, 103),
          words: new Uint16Array(bytes.buffer, 4, 20),
          DataView: new DataView(bytes.buffer, 1, 9),
          Blob: new Blob([bytes]),
          File: new File([bytes.subarray(0, 50)], "f.bin"),
          empty: new ArrayBuffer(0),
          large: new Uint8Array(300_000).fill(200),
        };
        const wrong = [];
        for (const [kind, sent] of Object.entries(kinds)) {
          const reply = next(socket, "chat image");
          socket.emit("chat image", { name: kind, type: "image/png", bytes: sent });
          const [{ bytes: received }] = await reply;
          const expected = new Uint8Array(await new Blob([sent]).arrayBuffer());
          const same = received instanceof ArrayBuffer && received.byteLength === expected.length
            && new Uint8Array(received).every((byte, n) => byte === expected[n]);
          if (!same) wrong.push(kind);
        }
        return wrong;
      }, transport);
      assert.deepEqual(found, []);
      await leave(window);
    });
  }

  api("polling writes are split by maxPayload", async () => {
    const socket = await enter({ transports: ["polling"] });
    const sizes = [];
    socket.on("chat image", ({ bytes }) => sizes.push(bytes.byteLength));
    for (let n = 1; n <= 5; n++) {
      const bytes = new Uint8Array(300_000 + n);
      socket.emit("chat image", { name: "n", type: "image/png", bytes });
    }
    while (sizes.length < 5) await next(socket, "chat image");
    return sizes;
  }, (it, { seen }) => {
    assert.deepEqual(it, [300_001, 300_002, 300_003, 300_004, 300_005]);
    assert.ok(Math.max(...seen.posts) > 0 && Math.max(...seen.posts) <= 1e6, `${seen.posts}`);
  });

  api("an unknown namespace is refused, and shares the connection", async () => {
    const root = io();
    const other = io("/nowhere");
    const [err] = await next(other, "connect_error");
    if (!root.connected) await next(root, "connect");
    return {
      message: err.message, isError: err instanceof Error, active: other.active,
      shared: root.io === other.io,
      again: io().io === root.io,
      forced: io({ forceNew: true }).io === root.io,
    };
  }, (it) => assert.deepEqual(it, {
    message: "Invalid namespace", isError: true, active: false,
    shared: true, again: false, forced: false,
  }));

  api("the URL may leave out what the page has", async () => {
    const { host, origin } = location;
    const urls = [undefined, "/", origin, `${origin}/`, `//${host}`, host];
    const refused = (socket) => next(socket, "connect_error").then(([err]) => err.message);
    for (const url of urls) {
      const socket = io(url, { forceNew: true });
      await next(socket, "connect");
      if (socket.nsp !== "/") return socket.nsp;
      socket.disconnect();
    }
    return refused(io(`${host}/nowhere`, { forceNew: true }));
  }, (it) => assert.equal(it, "Invalid namespace"));

  api("volatile is sent while the transport is free", async () => {
    const socket = await enter({ transports: ["websocket"] });
    const reply = next(socket, "chat message");
    socket.volatile.emit("chat message", "now");
    return (await reply)[0].text;
  }, (it) => assert.equal(it, "now"));

  api("auth may be a function, asked at each connection", async () => {
    let asked = 0;
    const auth = (done) => done({ token: ++asked });
    const socket = await enter({ auth });
    socket.disconnect().connect();
    await next(socket, "connect");
    return asked;
  }, (it) => assert.equal(it, 2));

  api("a lost engine comes back by itself, and says so", async () => {
    const socket = await enter({ reconnectionDelay: 10 });
    const heard = [];
    socket.on("disconnect", (reason) => heard.push(["disconnect", reason]));
    socket.io.on("reconnect_attempt", (n) => heard.push(["reconnect_attempt", n]));
    socket.io.on("reconnect", (n) => heard.push(["reconnect", n]));
    const { id } = socket;
    socket.io.engine.close();
    await next(socket, "connect");
    return { heard, same: id === socket.id };
  }, (it) => assert.deepEqual(it, {
    heard: [["disconnect", "forced close"], ["reconnect_attempt", 1], ["reconnect", 1]],
    same: false,
  }));

  for (const [transport, message] of
    [["polling", "xhr poll error"], ["websocket", "websocket error"]]) {
    test(`api, ${client} client: nobody there over ${transport}`, async () => {
      const window = await blankPage(client);
      const heard = await window.page.evaluate(async (transport) => {
        const socket = io("http://127.0.0.1:9", {
          transports: [transport], reconnectionDelay: 1, reconnectionAttempts: 2,
        });
        const heard = [];
        socket.on("connect_error", (err) => heard.push(err.message));
        socket.io.on("reconnect_attempt", (n) => heard.push(n));
        await next(socket.io, "reconnect_failed");
        return [...heard, socket.connected];
      }, transport);
      assert.deepEqual(heard, [message, 1, message, 2, message, false]);
      await leave(window);
    });
  }
}

// Wire: the client against a server scripted here, under a path that the site does not have.

/** A long-polling server that says exactly what a case tells it to. */
class Script {
  constructor(handshake = {}) {
    this.handshake = {
      upgrades: [], pingInterval: 60_000, pingTimeout: 60_000, maxPayload: 1e6,
      ...handshake,
    };
    this.received = []; // frames
    this.urls = [];
    this.payloads = [];
    this.sessions = 0;
    this.refuse = undefined; // the status that answers handshakes instead
    this.session = undefined; // the latest; it holds what its next poll will answer
  }

  async install(page) {
    await page.route(/\/wire\b/, (route) => this.handle(route).catch(() => {}));
  }

  send(...frames) {
    this.session.toSend.push(...frames);
    this.session.wake();
  }

  /** The first frame not taken yet that begins so. */
  async take(start) {
    for (;;) {
      const index = this.received.findIndex((frame) => frame.startsWith(start));
      if (index >= 0) return this.received.splice(index, 1)[0];
      await new Promise((resolve) => (this.heard = resolve));
    }
  }

  async handle(route) {
    const request = route.request();
    const url = new URL(request.url());
    this.urls.push(url);
    if (url.pathname.includes("silent")) return undefined;
    if (request.method() === "POST") {
      const payload = request.postData();
      this.payloads.push(payload);
      this.received.push(...payload.split("\x1e"));
      this.heard?.();
      return route.fulfill({ body: "ok" });
    }
    if (!url.searchParams.has("sid")) {
      if (this.refuse) return route.fulfill({ status: this.refuse, body: "no" });
      const sid = `engine${this.sessions++}`;
      this.session = { sid, toSend: [], wake: () => {} };
      return route.fulfill({ body: "0" + JSON.stringify({ sid, ...this.handshake }) });
    }
    const { session } = this;
    if (url.searchParams.get("sid") !== session.sid) return undefined;
    while (!session.toSend.length) await new Promise((resolve) => (session.wake = resolve));
    if (session.toSend[0] === "400") return route.fulfill({ status: 400, body: "no" });
    return route.fulfill({ body: session.toSend.splice(0).join("\x1e") });
  }
}

function wireCases(client) {
  /** `begin` runs in the page with `socket`, `heard` and what `opts` adds; then `run` drives. */
  const wire = (name, { handshake, opts = {}, nsp = "/", begin = () => {} }, run) =>
    test(`wire, ${client} client: ${name}`, async () => {
      const window = await blankPage(client);
      const script = new Script(handshake);
      await script.install(window.page);
      await window.page.evaluate(([nsp, opts, begin]) => {
        window.heard = [];
        window.socket = io(nsp, {
          path: "/wire", transports: ["polling"], reconnectionDelay: 5, ...opts,
        });
        socket.on("connect", () => heard.push(["connect", socket.id]));
        socket.on("disconnect", (reason) => heard.push(["disconnect", reason]));
        socket.on("connect_error", (err) => heard.push(["connect_error", err.message]));
        (0, eval)(`(${begin})`)();
      }, [nsp, opts, String(begin)]);
      const { page } = window;
      const hears = async (...expected) => {
        await page.waitForFunction((count) => heard.length >= count, expected.length);
        assert.deepEqual(await page.evaluate((n) => heard.splice(0, n), expected.length), expected);
      };
      await run({ page, script, hears });
      assert.deepEqual(window.seen.errors, []);
      await leave(window);
    });

  const connected = async ({ script, hears }) => {
    assert.match(await script.take("40"), /^40/);
    script.send('40{"sid":"s1"}');
    await hears(["connect", "s1"]);
  };

  wire("the URL and the CONNECT packet", {
    opts: { query: { a: "1 &2", b: "ü" }, auth: { token: "t" } },
  }, async ({ script, hears }) => {
    assert.equal(await script.take("40"), '40{"token":"t"}');
    script.send('40{"sid":"s1"}');
    await hears(["connect", "s1"]);
    const [first, second] = script.urls;
    assert.equal(first.pathname, "/wire/");
    const query = ({ searchParams }) => Object.fromEntries(searchParams);
    const { t, ...rest } = query(first);
    assert.deepEqual(rest, { a: "1 &2", b: "ü", EIO: "4", transport: "polling" });
    assert.equal(query(second).sid, "engine0");
    const stamps = new Set(script.urls.map((url) => url.searchParams.get("t")));
    assert.equal(stamps.size, script.urls.length, "every request has its own stamp");
  });

  wire("a namespace in the URL, its query, and no trailing slash", {
    nsp: "/room?x=1", opts: { addTrailingSlash: false },
    begin: () => socket.on("hi", (text) => heard.push(text)),
  }, async ({ script, hears }) => {
    assert.equal(await script.take("40"), "40/room,");
    assert.equal(script.urls[0].pathname, "/wire");
    assert.equal(script.urls[0].searchParams.get("x"), "1");
    script.send('40/room,{"sid":"s1"}');
    await hears(["connect", "s1"]);
    script.send('42/room,["hi","here"]', '42["hi","elsewhere"]', '42/room,["hi","again"]');
    await hears("here", "again");
  });

  wire("a refusal carries its data, and ends the attempts", {
    begin: () => socket.on("connect_error", (err) => heard.push(err.data, socket.active)),
  }, async ({ page, script, hears }) => {
    await script.take("40");
    script.send('44{"message":"not authorized","data":{"code":7}}');
    await hears(["connect_error", "not authorized"], { code: 7 }, false);
    await page.evaluate(() => void socket.connect());
    await script.take("40");
    script.send('40{"sid":"s2"}');
    await hears(["connect", "s2"]);
    assert.equal(script.sessions, 2);
  });

  wire("events before the CONNECT reply wait for it", {
    begin: () => {
      socket.on("early", (n) => heard.push(n, socket.connected));
      socket.emit("buffered");
    },
  }, async ({ script, hears }) => {
    await script.take("40");
    script.send('42["early",1]', '40{"sid":"s1"}', '42["early",2]');
    await hears(1, true, ["connect", "s1"], 2, true);
    await script.take('42["buffered"]');
  });

  wire("the server may ask for an acknowledgement, once", {
    begin: () => socket.on("ask", (n, reply) => {
      reply(n * 2, "é");
      reply("again");
    }),
  }, async (it) => {
    await connected(it);
    it.script.send('427["ask",21]', '428["ask",4]');
    assert.equal(await it.script.take("43"), '437[42,"é"]');
    assert.equal(await it.script.take("43"), '438[8,"é"]');
  });

  wire("acknowledgements reach their emit, in any order", {
    begin: () => {
      for (const n of [0, 1]) socket.emit("q", n, (...args) => heard.push([n, ...args]));
    },
  }, async ({ script, hears }) => {
    await script.take("40");
    script.send('40{"sid":"s1"}');
    await script.take('421["q",1]');
    script.send('431["b"]', '430["a",2]', '430["late"]', '4399[]');
    await hears(["connect", "s1"], [1, "b"], [0, "a", 2]);
  });

  wire("bytes from the server, at any depth, and in an acknowledgement", {
    begin: () => {
      const text = (bytes) => bytes instanceof ArrayBuffer && new TextDecoder().decode(bytes);
      socket.on("bytes", (a, b, reply) => {
        heard.push([text(a.deep[0]), text(b), a.same]);
        reply({ it: [new Uint8Array([104, 105])] });
      });
      socket.emit("q", new Uint8Array([1, 2]), (answer) => heard.push(text(answer)));
    },
  }, async ({ script, hears }) => {
    await script.take("40");
    script.send('40{"sid":"s1"}');
    assert.equal(await script.take("45"), '451-0["q",{"_placeholder":true,"num":0}]');
    await script.take("bAQI=");
    script.send(
      '452-5["bytes",{"deep":[{"_placeholder":true,"num":1}],"same":1},' +
        '{"_placeholder":true,"num":0}]',
      "bYQ==", "bYmM=", '461-0[{"_placeholder":true,"num":0}]', "b");
    await hears(["connect", "s1"], ["bc", "a", 1], "");
    assert.equal(await script.take("46"), '461-5[{"it":[{"_placeholder":true,"num":0}]}]');
    await script.take("baGk=");
  });

  wire("a ping is answered, and told", {
    begin: () => socket.io.on("ping", () => heard.push("ping")),
  }, async (it) => {
    await connected(it);
    it.script.send("2");
    await it.script.take("3");
    await it.hears("ping");
  });

  wire("no ping in time ends the session, and another begins", {
    handshake: { pingInterval: 100, pingTimeout: 50 },
  }, async (it) => {
    await connected(it);
    await it.hears(["disconnect", "ping timeout"]);
    await it.script.take("40");
    assert.equal(it.script.sessions, 2);
  });

  wire("each way for a server to end it has its reason", {}, async (it) => {
    const { script, hears } = it;
    for (const [frames, reason] of [
      [["1"], "transport close"],
      [["400"], "transport error"],
      [["4abc"], "parse error"],
      [['42{"no":"array"}'], "parse error"],
      [["bAAAA"], "parse error"],
      [['451-["e",{"_placeholder":true,"num":0}]', '42["too","early"]'], "parse error"],
      [['451-["e",{"_placeholder":true,"num":1}]', "bAAAA"], "parse error"],
      [["9"], "transport error"],
    ]) {
      await connected(it);
      script.send(...frames);
      await hears(["disconnect", reason]);
    }
    await connected(it);
    script.send("41");
    await hears(["disconnect", "io server disconnect"]);
    const sessions = script.sessions;
    await it.page.evaluate(() => void socket.connect());
    await connected(it);
    assert.equal(script.sessions, sessions + 1, "nobody came back before connect()");
  });

  wire("disconnect tells the namespace, and the last one closes the session", {
    begin: () => (window.other = io("/other", { path: "/wire" })),
  }, async ({ page, script, hears }) => {
    await script.take("40/other,");
    script.send('40{"sid":"s1"}', '40/other,{"sid":"s2"}');
    await page.waitForFunction(() => socket.connected && other.connected);
    await hears(["connect", "s1"]);
    await page.evaluate(() => void socket.disconnect());
    await hears(["disconnect", "io client disconnect"]);
    await script.take("41");
    assert.equal(await page.evaluate(() => other.connected), true);
    await page.evaluate(() => void other.disconnect());
    await script.take("41/other,");
    await script.take("1");
    assert.equal(script.sessions, 1);
  });

  wire("writes are split by maxPayload, bytes included", {
    handshake: { maxPayload: 60 },
  }, async (it) => {
    await connected(it);
    await it.page.evaluate(() => {
      for (const text of ["ää", "x".repeat(30), "y".repeat(100), "z"]) socket.emit("m", text);
      socket.emit("b", new Uint8Array(10), new Uint8Array(36));
    });
    await it.script.take("b" + "A".repeat(48));
    const sent = it.script.payloads.flatMap((payload) => payload.split("\x1e"));
    assert.deepEqual(sent.slice(1, 5).map((frame) => frame.length), [12, 40, 110, 11]);
    for (const payload of it.script.payloads) {
      const alone = !payload.includes("\x1e");
      assert.ok(alone || Buffer.byteLength(payload) <= 60, payload);
    }
  });

  wire("attempts end with reconnect_failed, and may begin again", {
    opts: { reconnectionAttempts: 2 },
    begin: () => {
      socket.io.on("reconnect_attempt", (n) => heard.push(["attempt", n]));
      socket.io.on("reconnect_failed", () => heard.push("failed"));
    },
  }, async (it) => {
    await connected(it);
    it.script.refuse = 503;
    it.script.send("1");
    const refused = ["connect_error", "xhr poll error"];
    await it.hears(["disconnect", "transport close"],
      ["attempt", 1], refused, ["attempt", 2], refused, "failed");
    it.script.refuse = undefined;
    await it.page.evaluate(() => void socket.connect());
    await connected(it);
  });

  wire("reconnection: false stays away", {
    opts: { reconnection: false },
    begin: () => socket.io.on("reconnect_attempt", (n) => heard.push(["attempt", n])),
  }, async (it) => {
    await connected(it);
    it.script.send("1");
    await it.hears(["disconnect", "transport close"]);
    await it.page.evaluate(() => void socket.connect());
    await connected(it);
  });

  wire("a handshake that never comes is a timeout", {
    opts: { timeout: 50, reconnection: false, path: "/wire/silent" },
  }, async ({ hears }) => hears(["connect_error", "timeout"]));

  /** The same with a WebSocket of the script's beside it. */
  const upgrade = (name, answer, run) =>
    test(`wire, ${client} client: ${name}`, async () => {
      const window = await blankPage(client);
      const { page } = window;
      const script = new Script({ upgrades: ["websocket"] });
      await script.install(page);
      const overSocket = [];
      let begin;
      const connected = new Promise((resolve) => (begin = resolve));
      await page.routeWebSocket(/\/wire\//, (ws) => {
        ws.onMessage(async (frame) => {
          await connected;
          overSocket.push(frame);
          script.heard?.();
          answer({ ws, frame, script });
        });
      });
      await loadBlank(page); // again, now that its WebSockets are ours
      await page.evaluate(() => {
        window.heard = [];
        window.socket = io({ path: "/wire" });
        socket.on("m", (n) => heard.push(n));
      });
      await script.take("40");
      script.send('40{"sid":"s1"}');
      await page.waitForFunction(() => socket.connected);
      begin();
      await run({ page, script, overSocket });
      assert.deepEqual(window.seen.errors, []);
      await leave(window);
    });

  upgrade("an upgrade loses nothing and keeps the order", ({ ws, frame, script }) => {
    if (frame === "2probe") {
      ws.send("3probe");
      script.send('42["m",1]');
    }
    if (frame === "5") ws.send('42["m",2]');
  }, async ({ page, script, overSocket }) => {
    await page.waitForFunction(() => socket.io.engine.transport.name === "websocket");
    await page.waitForFunction(() => heard.length === 2);
    assert.deepEqual(await page.evaluate(() => heard), [1, 2]);
    await page.evaluate(() => void socket.emit("up", "ß"));
    while (overSocket.length < 3) await new Promise((resolve) => (script.heard = resolve));
    assert.deepEqual(overSocket, ["2probe", "5", '42["up","ß"]']);
  });

  const refuse = ({ ws }) => void ws.close();
  upgrade("a refused probe leaves the session on polling", refuse, async (it) => {
    while (!it.overSocket.length) await new Promise((resolve) => (it.script.heard = resolve));
    it.script.send('42["m",1]');
    await it.page.waitForFunction(() => heard.length === 1);
    await it.page.evaluate(() => void socket.emit("still here"));
    await it.script.take('42["still here"]');
    assert.equal(await it.page.evaluate(() => socket.io.engine.transport.name), "polling");
  });
}

// Screenshots of two people in a conversation.

const SCREENS = [
  ["chat-390.png", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true }],
  ["chat-1280.png", { viewport: { width: 1280, height: 800 } }],
  ["chat-390-dark.png",
    { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "dark" }],
  ["chat-1280-dark.png", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" }],
];

function screenshotCases() {
  // A sunset over water: a sky of three colours, a sun, and its reflection.
  const picture = png(480, 300, (x, y) => {
    const sun = Math.hypot(x - 320, y - 150) < 46 && y < 190;
    const glint = y >= 190 && Math.abs(x - 320) < 16 + (y - 190) * 0.5 && (y >> 2) % 2;
    if (sun || glint) return [255, 226 - (y >> 2), 150];
    if (y >= 190) return [38 + (300 - y) / 3, 62 + (300 - y) / 4, 104];
    return [60 + y, 66 + y * 0.45, 130 - y * 0.2];
  });
  for (const [name, options] of SCREENS) {
    test(`screenshot ${name}`, async () => {
      const grace = await openChat("emio", "upgrade", "Grace", options);
      const linus = await openChat("emio", "websocket", "Linus");
      await shows(grace.page, ".notice", "Linus joined");
      const talk = [
        [linus, "Anyone awake on this board?"],
        [grace, "Just me and 64 MB of RAM 🌱"],
        [linus, "Look what the harbour camera caught this evening:"],
        [linus, undefined],
        [grace, "Wow. Still one thread and one loop?"],
        [linus, "One thread, one loop, and not a byte idle."],
        [grace, "🎉🚀"],
      ];
      for (const [{ page }, text] of talk) {
        const before = await linus.page.locator(".message").count();
        if (text) await say(page, text);
        else {
          const file = { name: "sunset.png", mimeType: "image/png", buffer: picture };
          await page.setInputFiles("#file", file);
        }
        for (const { page } of [grace, linus]) {
          await page.waitForFunction(
            (count) => document.querySelectorAll(".message").length === count
              && [...document.images].every((image) => !image.src || image.complete), before + 1);
        }
      }
      await linus.page.fill("#text", "and");
      await shows(grace.page, "#typing span", "Linus is typing");
      await grace.page.screenshot({ path: join(SCREENSHOT_DIR, name), animations: "disabled" });
      await leaveChat(grace, linus);
    });
  }
}

for (const client of Object.keys(CLIENTS)) {
  chatCases(client);
  apiCases(client);
  wireCases(client);
}
if (SCREENSHOT_DIR) screenshotCases();

/** Runs one case; whatever it leaves open is closed before the next. */
async function runCase({ name, run }) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("took too long")), CASE_MS_MAX);
  });
  try {
    await Promise.race([run(), late]);
    console.log(`ok ${name}`);
    return "passed";
  } catch (err) {
    console.log(`not ok ${name}`);
    console.log(String(err.stack).replace(/^/gm, "    "));
    return "failed";
  } finally {
    clearTimeout(timer);
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 };
browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
for (const it of cases.filter(({ name }) => new RegExp(CASES).test(name))) {
  if (it.name.includes("official client") && !CLIENTS.official) {
    console.log(`ok ${it.name} # skip socket.io-client is not installed`);
    counts.skipped++;
  } else {
    counts[await runCase(it)]++;
  }
}
await browser.close();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed ? 1 : 0);
