// What the parity cases share: the clients, servers, pages, and how cases are declared and run.
// Every case runs with each client, in a page and behind a proxy of its own, so that several run at
// once. Not here: what is tested.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../lib/harness.mjs";
import { Proxy } from "./proxy.mjs";

// `require` rather than `import`, because it follows NODE_PATH.
const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const CASE_MS_MAX = 40_000;

const read = (path) => (existsSync(path) ? readFileSync(path, "utf8") : undefined);

/** Each client's builds by name. */
function clients() {
  const source = join(here, "../../../src/client");
  const dist = process.env.CLIENT_DIST ?? join(source, "dist");
  const official = join(dirname(require.resolve("socket.io-client/package.json")), "dist");
  return {
    emio: {
      classic: read(join(dist, "socket.io.min.js")) ?? read(join(source, "socket.io.js")),
      esm: read(join(dist, "socket.io.esm.min.js")),
      websocket: read(join(dist, "socket.io.websocket.min.js")),
    },
    official: {
      classic: read(join(official, "socket.io.min.js")),
      esm: read(join(official, "socket.io.esm.min.js")),
    },
  };
}

export const CLIENTS = clients();
const cases = [];

/**
 * What declares the cases of one theme.
 *
 * `test(name, options, run)` gives `run` a `Bench`. `inPage(name, run, expected, options)` runs a
 * function in the page and compares what it returns; `expected` may be a function that asserts.
 *
 * Options: `server`, its variables; `ownServer`, one nobody else uses; `build`, another than
 * `classic`; `isThrowing`, for cases whose page throws outside of what they await; `isAlone`, for
 * those that change more than their document; `browser`, another one; `clients`, where not both;
 * `notNode`, why the official server cannot be asked.
 */
export function theme(title) {
  const test = (name, options, run) => {
    cases.push({ name: `${title}: ${name}`, options, run });
  };
  const inPage = (name, run, expected, options = {}) =>
    test(name, options, async (bench) => {
      const found = await bench.run(run);
      if (typeof expected === "function") expected(found, bench);
      else assert.deepEqual(found, expected);
    });
  return { test, inPage };
}

/** One case with one client: its page, its proxy, and the server behind it. */
class Bench {
  constructor(client, options) {
    this.client = client;
    this.options = options;
    this.files = pages(CLIENTS[client], options.build ?? "classic");
    this.closing = [];
    this.errors = [];
    /** URLs and headers of Engine.IO requests, WebSockets among them, oldest first. */
    this.requests = [];
  }

  /** `tab` is a page that an earlier case has left, for cases that do not change more than it. */
  async begin(browser, tab) {
    const build = this.options.build ?? "classic";
    assert.ok(CLIENTS[this.client][build], `${this.client} has no build ${build}`);
    this.browser = browser;
    this.server = await this.serve(this.options.server);
    this.proxy = await this.front();
    this.origin = this.proxy.origin;
    this.page = tab && !this.options.isAlone ? await this.visit(tab) : await this.window();
    this.context = this.page.context();
  }

  /** The server with these variables; shared with other cases unless a case restarts it. */
  async serve(env = {}, isOwn = this.options.ownServer) {
    if (!isOwn) return shared(env);
    const server = await program(env).start();
    this.closing.push(() => server.stop());
    return server;
  }

  /** Another proxy to the server, or to another server, which is another origin. */
  async front(server = this.server) {
    const proxy = await new Proxy(server, this.files).open();
    this.closing.push(() => proxy.close());
    return proxy;
  }

  /** A window with the client on a page that holds nothing else. */
  async window({ context, path = "/parity/" } = {}) {
    if (!context) {
      context = await this.browser.newContext();
      context.setDefaultTimeout(10_000);
      this.closing.unshift(() => context.close());
    }
    return this.visit(await context.newPage(), path);
  }

  async visit(page, path = "/parity/") {
    // First, so that nothing is heard of an earlier document.
    await page.goto(this.origin + path);
    page.on("pageerror", (err) => this.errors.push(err.message));
    page.on("request", (request) => {
      if (!request.url().includes("EIO=4")) return;
      const [url, method, headers] = [new URL(request.url()), request.method(), request.headers()];
      this.requests.push({ url, method, headers, request });
    });
    page.on("websocket", (ws) => {
      const request = { url: new URL(ws.url()), method: "WS", sent: [], received: [] };
      ws.on("framesent", ({ payload }) => request.sent.push(payload));
      ws.on("framereceived", ({ payload }) => request.received.push(payload));
      this.requests.push(request);
    });
    return page;
  }

  run(body, arg) {
    return this.page.evaluate(body, arg);
  }

  /** The query of each Engine.IO request. */
  queries() {
    return this.requests.map(({ url }) => Object.fromEntries(url.searchParams));
  }

  async end() {
    for (const close of this.closing) await close().catch(() => {});
  }
}

const script = (body) => ({ type: "text/javascript", body });
const html = (...scripts) => ({
  type: "text/html",
  body: '<!doctype html><title>parity</title><link rel="icon" href="data:,">' +
    scripts.map((src) => `<script src="/parity/${src}"></script>`).join(""),
});

/** The files each proxy serves. */
function pages(builds, build) {
  return new Map(Object.entries({
    "/parity/": build === "esm" ? html("page.js") : html("page.js", "client.js"),
    "/parity/blank": html(),
    "/parity/live": html("page.js", "client.js", "live.js"),
    "/parity/live.js": script('globalThis.socket = io("/", { reconnectionDelay: 10 });'),
    "/parity/page.js": script(readFileSync(join(here, "page.js"), "utf8")),
    "/parity/client.js": script(builds[build]),
    "/parity/worker.js": script(
      'importScripts("/parity/page.js", "/parity/client.js");' +
        "onmessage = async ({ data }) => postMessage(await (0, eval)(data)());"),
  }));
}

/** A server program that is not running yet. */
function program(env) {
  const official = process.env.SERVER === "node";
  const path = official ? join(here, "node_fixture.mjs") : process.env.FIXTURE;
  // Without the event that greets each socket: cases say themselves what they wait for.
  return new Program(path, { FX_MODE: "sio", FX_NO_AUTH_EVENT: "1", ...env }, "FX_PORT");
}

const servers = new Map();

function shared(env) {
  const key = JSON.stringify(env);
  if (!servers.has(key)) servers.set(key, program(env).start());
  return servers.get(key);
}

/** A tab of a browser, which cases use one after another; a new one after a case that failed. */
class Tab {
  constructor(browser) {
    this.browser = browser;
  }

  async open() {
    this.context ??= await this.browser.newContext();
    this.context.setDefaultTimeout(10_000);
    return (this.page ??= await this.context.newPage());
  }

  /** A new document takes less than a new context; the old one's connections end with it. */
  async leave() {
    this.page?.removeAllListeners();
  }

  async discard() {
    const { context } = this;
    this.context = this.page = undefined;
    await context?.close();
  }
}

async function attempt({ name, options, run }, client, tab) {
  if (options.notNode && process.env.SERVER === "node") {
    console.log(`ok ${client}: ${name} # skip ${options.notNode}`);
    return "skipped";
  }
  const bench = new Bench(client, options);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("took too long")), CASE_MS_MAX);
  });
  try {
    const whole = async () => {
      if (options.browser) await bench.begin(await options.browser());
      else await bench.begin(tab.browser, options.isAlone ? undefined : await tab.open());
      await run(bench);
      if (!options.isThrowing) assert.deepEqual(bench.errors, [], "errors of the page");
    };
    await Promise.race([whole(), late]);
    console.log(`ok ${client}: ${name}`);
    return "passed";
  } catch (err) {
    console.log(`not ok ${client}: ${name}`);
    console.log(String(err.stack ?? err).replace(/^/gm, "    "));
    await tab.discard();
    return "failed";
  } finally {
    clearTimeout(timer);
    await tab.leave();
    await bench.end();
  }
}

/** Runs what `filter` selects, `lanes` cases at a time, each `repeat` times, and counts. */
export async function runAll({ browser, filter, lanes, repeat }) {
  const runs = Array(repeat).fill(cases).flat()
    .flatMap((it) => (it.options.clients ?? Object.keys(CLIENTS)).map((client) => [it, client]))
    .filter(([{ name }, client]) => filter.test(`${client}: ${name}`));
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const lane = async () => {
    const tab = new Tab(browser);
    for (let it = runs.shift(); it; it = runs.shift()) counts[await attempt(...it, tab)]++;
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  for (const server of await Promise.all(servers.values())) {
    if (!server.alive) {
      console.log(`not ok no case ends a server\n    ${server.said}`);
      counts.failed++;
    }
    await server.stop();
  }
  return counts;
}
