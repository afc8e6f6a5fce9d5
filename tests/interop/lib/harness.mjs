// What the JavaScript suites share: a program under test on a free port, cases, and their count.
// Not here: Socket.IO. Every program started here is stopped by its pid when the suite ends.

import { spawn } from "node:child_process";
import { once as onceEvent } from "node:events";
import http from "node:http";
import net from "node:net";

const START_MS = 5_000;
const CASE_MS = 20_000;
const SAID_CHARS = 4_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/// A server program, configured by environment variables, that says `listening on HOST:PORT`.
export class Program {
  static running = new Set();

  constructor(path, env, portVariable) {
    this.path = path;
    this.env = env;
    this.portVariable = portVariable;
  }

  /// Starts it on a free port, or on the port it had before.
  async start() {
    this.port ??= await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    const env = { ...process.env, ...this.env, [this.portVariable]: String(this.port) };
    const child = spawn(this.path, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    Program.running.add(child);
    child.once("exit", () => Program.running.delete(child));
    await new Promise((resolve, reject) => {
      this.said = "";
      const fail = (why) => reject(new Error(`${this.path} ${why}: ${this.said.trim()}`));
      const timer = setTimeout(() => fail(`was not listening after ${START_MS} ms`), START_MS);
      child.once("error", (error) => fail(error.message));
      child.once("exit", (code, signal) => fail(`ended (${code ?? signal})`));
      child.stderr.on("data", (data) => (this.said = (this.said + data).slice(-SAID_CHARS)));
      child.stdout.on("data", (data) => {
        this.said = (this.said + data).slice(-SAID_CHARS);
        if (!/^listening on /m.test(this.said)) return;
        clearTimeout(timer);
        resolve();
      });
    });
    return this;
  }

  /// Kills it and returns when it is gone.
  async stop() {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await onceEvent(child, "exit");
  }

  /// Whether it still runs: no input of a client may end it.
  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }
}

// Below the kernel's ephemeral range, so that no outgoing connection takes the port of a server
// that is being restarted.
async function freePort() {
  const [from, to] = (process.env.INTEROP_PORTS ?? "20000-29999").split("-").map(Number);
  for (let tries = 0; tries < 200; tries++) {
    const port = from + Math.floor(Math.random() * (to - from + 1));
    const probe = net.createServer();
    const free = await new Promise((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
  throw new Error(`no free port in ${from}-${to}`);
}

/// One plain HTTP exchange on a connection of its own.
export function request(url, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers, agent: false }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (chunk) => (text += chunk));
      res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, body: text }));
      res.on("error", reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

/// The arguments of the next `event`; fails when it does not come.
export function once(emitter, event, ms = 5_000) {
  return new Promise((resolve, reject) => {
    const heard = (...args) => {
      clearTimeout(timer);
      resolve(args);
    };
    const timer = setTimeout(() => {
      emitter.off(event, heard);
      reject(new Error(`no "${event}" within ${ms} ms`));
    }, ms);
    emitter.once(event, heard);
  });
}

/// Waits until `probe` returns something other than null and false.
export async function until(probe, ms = 5_000) {
  for (const end = Date.now() + ms; ; await sleep(10)) {
    const value = await probe();
    if (value !== null && value !== false) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${probe}`);
  }
}

const cases = [];

/// Adds a case. `needs` names a feature; the case is left out while that is listed as later.
export function test(name, body, { needs } = {}) {
  cases.push({ name, body, needs });
}

/// Runs the cases whose name contains the command line's argument, and ends the process.
/// `cleanup` runs after each case, which fails if that throws. `lanes` cases run at a time; with
/// more than one, `cleanup` must not touch what the others use. The last line counts.
export async function run({ later = [], cleanup = async () => {}, lanes = 1 } = {}) {
  const filter = process.argv[2] ?? "";
  const left = new Set(process.env.INTEROP_ALL ? [] : later);
  let passed = 0;
  let failed = 0;
  const chosen = cases.filter(({ name, needs }) => name.includes(filter) && !left.has(needs));
  // The lanes take their cases from one iterator.
  const queue = chosen.values();
  const lane = async () => {
    for (const { name, body } of queue) {
      const began = Date.now();
      const error = await outcome(body, cleanup);
      const ms = Date.now() - began;
      if (error) failed++;
      else passed++;
      console.log(error ? `FAILED ${name} (${ms} ms)\n${indent(error)}` : `ok ${name} (${ms} ms)`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  // A filter that matches nothing is a mistake, not a success.
  finish(failed || !passed ? 1 : 0);
}

async function outcome(body, cleanup) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${CASE_MS} ms`)), CASE_MS);
  });
  let failure = null;
  await Promise.race([body(), late]).catch((error) => (failure = error));
  clearTimeout(timer);
  await cleanup().catch((error) => (failure ??= error));
  return failure;
}

const indent = (error) => String(error?.stack ?? error).replace(/^/gm, "    ");

function finish(code) {
  for (const child of Program.running) child.kill("SIGKILL");
  process.exit(code);
}

process.on("SIGINT", () => finish(130));
process.on("SIGTERM", () => finish(143));
process.on("uncaughtException", (error) => {
  console.log(`FAILED outside a case\n${indent(error)}`);
  finish(1);
});
process.on("unhandledRejection", (error) => {
  console.log(`FAILED outside a case\n${indent(error)}`);
  finish(1);
});
