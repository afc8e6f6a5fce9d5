// The dashboard: comments and figures that two people see live, and that outlive the page and the
// server. The case of the restart runs a server of its own: the program that DEMO_BIN names.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { DEMO_BIN } = process.env;
const PATH = "/dashboard/";

/** Texts that no other run of the cases has left in the database. */
const unique = (text) => `${text} ${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;

async function say(page, name, text) {
  await page.fill("#name", name);
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

/** Waits until exactly one comment has this text. */
function shows(page, text) {
  return page.waitForFunction((text) => {
    const said = [...document.querySelectorAll("#list .said")];
    return said.filter((it) => it.textContent === text).length === 1;
  }, text);
}

function answers(page, text) {
  return page.waitForFunction(
    (text) => document.getElementById("answer").textContent === text, text);
}

/** Waits until the chart has at least so many points, and returns their number. */
async function points(page, id, min) {
  const chart = await page.waitForFunction(([id, min]) => {
    const { points } = document.getElementById(`chart-${id}`).dataset;
    return Number(points) >= min && Number(points);
  }, [id, min]);
  return chart.jsonValue();
}

/** When the last figures were measured. */
const lastAt = (page) => page.evaluate(() => samples.at(-1).at);

export function cases({ test, openPage, assert }) {
  test("a comment of one appears for the other, and its author is told", async () => {
    const [ada, grace] = [await openPage(PATH), await openPage(PATH)];
    const text = unique("the load is low");
    await say(ada.page, "Ada", text);
    await answers(ada.page, "Kept.");
    for (const { page } of [ada, grace]) await shows(page, text);
    assert.equal(await ada.page.inputValue("#text"), "");
    assert.equal(await ada.page.inputValue("#name"), "Ada");
    assert.equal(await grace.page.textContent("#list li:first-child bdi"), "Ada");
    assert.match(await grace.page.textContent("#watching"), /^[2-9]\d* people$/);
  });

  test("what looks like HTML is text, in a comment and in a name", async () => {
    const [ada, grace] = [await openPage(PATH), await openPage(PATH)];
    const text = unique("<img src=x onerror=alert(1)>");
    const name = "<b onclick=alert(1)>Eve</b>";
    await say(ada.page, name, text);
    await shows(grace.page, text);
    assert.equal(await grace.page.textContent("#list li:first-child bdi"), name);
    assert.equal(await grace.page.locator("#list img, #list b").count(), 0);
  });

  test("a reload shows what was said and measured", async () => {
    const { page } = await openPage(PATH);
    const text = unique("still here?");
    await say(page, "Ada", text);
    await shows(page, text);
    await page.reload();
    await shows(page, text);
    // Rows of five seconds, in the history that comes first.
    await page.waitForFunction(() => samples.length > 0);
  });

  test("charts have points, and they grow", async () => {
    const [one, other] = [await openPage(PATH), await openPage(PATH)];
    for (const { page } of [one, other]) {
      for (const id of ["cpu", "memory", "load"]) {
        await points(page, id, 1);
        const curve = page.locator(`#chart-${id} .curve.line-0`).last();
        const [before, at] = [await curve.getAttribute("d"), await lastAt(page)];
        // A full window shrinks at its other end: it is not the number of points that counts.
        await page.waitForFunction(
          (at) => samples.filter((sample) => sample.at > at).length >= 2 && !isDrawing, at);
        const after = await curve.getAttribute("d");
        assert.notEqual(after, before);
        assert.match(after, /^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+)+$/);
      }
    }
    const { page } = one;
    assert.match(await page.textContent("#chart-cpu .values"), /^\d+(\.\d)? %/);
    assert.match(await page.textContent("#chart-memory .values"), /^[\d.]+ [GM]iB of [\d.]+ [GM]iB$/);
    assert.match(await page.textContent("#chart-load .values"), /1 min \d+\.\d\d/);
    assert.match(await page.textContent("#uptime"), /^\d+ (d|h|min) \d+ (h|min|s)$/);
    assert.match(await page.textContent("#server"), /MiB$/);
  });

  test("what the host does not tell is said to be missing", async () => {
    const { page } = await openPage(PATH);
    await points(page, "cpu", 1);
    // What the server tells of the temperature is as it is here; without it, the chart says so.
    for (const celsius of [await page.evaluate(() => samples.at(-1).celsius), null]) {
      if (celsius === null) {
        await page.evaluate(() => {
          for (const sample of samples) sample.celsius = null;
          socket.on("figures", () => (samples.at(-1).celsius = null));
        });
      }
      const parts = ["plot", "absent"].map((name) => page.locator(`#chart-celsius .${name}`));
      const [shown, missing] = celsius === null ? parts.reverse() : parts;
      await shown.waitFor();
      await missing.waitFor({ state: "hidden" });
      if (celsius === null) assert.equal(await shown.textContent(), "Not on this host");
    }
  });

  test("a page without a mouse comments, and reads a curve", async () => {
    const { page } = await openPage(PATH);
    await points(page, "cpu", 3);
    await page.focus("#chart-cpu .plot");
    const spoken = () => page.getAttribute("#chart-cpu .plot", "aria-valuetext");
    assert.match(await spoken(), /^now, [\d.]+ %$/);
    await page.keyboard.press("ArrowLeft");
    assert.match(await spoken(), /\d.*, [\d.]+ %$/);
    assert.doesNotMatch(await spoken(), /^now/);
    // All charts show that time.
    for (const id of ["cpu", "load"]) {
      await page.waitForSelector(`#chart-${id} .cursor`, { state: "attached" });
      await page.waitForSelector(`#chart-${id} .when.past`);
    }
    await page.keyboard.press("Home");
    assert.equal(await page.getAttribute("#chart-cpu .plot", "aria-valuenow"), "0");
    await page.keyboard.press("Escape");
    assert.match(await spoken(), /^now/);
    await page.waitForSelector("#chart-load .cursor", { state: "detached" });

    const text = unique("by keys alone");
    await page.focus("#name");
    await page.keyboard.type("Ada");
    await page.keyboard.press("Tab");
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await shows(page, text);
    assert.equal(await page.evaluate(() => document.activeElement.id), "text");
  });

  test("who says too much at once reads why it was refused", async () => {
    const [ada, grace] = [await openPage(PATH), await openPage(PATH)];
    const text = unique("flood");
    for (let count = 0; count < 10; count++) {
      await say(ada.page, "Ada", `${text} ${count}`);
      await shows(ada.page, `${text} ${count}`);
      await answers(ada.page, "Kept.");
    }
    await say(ada.page, "Ada", `${text} again`);
    await answers(ada.page, "That is a lot at once. Wait a minute, then go on.");
    assert.equal(await ada.page.locator("#answer.bad").count(), 1);
    // It can be said later: it is still there.
    assert.equal(await ada.page.inputValue("#text"), `${text} again`);
    await say(grace.page, "Grace", `${text} calm`);
    await shows(ada.page, `${text} calm`);
    assert.equal(await ada.page.getByText(`${text} again`, { exact: true }).count(), 0);
  });

  test("a peer that ignores the page's limits is refused", async () => {
    const { page } = await openPage(PATH);
    await page.waitForFunction(() => socket.connected);
    const refusal = (name, text) => page.evaluate(
      (args) => socket.timeout(5000).emitWithAck("comment", ...args), [name, text]);
    assert.equal(await refusal("", "hello"), "Say who you are.");
    assert.equal(await refusal("Ada", "\n "), "Say something.");
    assert.equal(await refusal("x".repeat(33), "hello"), "That name is too long.");
    assert.equal(await refusal("Ada", "x".repeat(501)), "That comment is too long.");
    // What is no comment at all harms nobody.
    const text = unique("after nonsense");
    await page.evaluate(() => {
      socket.emit("comment");
      socket.emit("comment", 5, { text: [] });
      socket.emit("comment", "Ada", null, new ArrayBuffer(3));
    });
    assert.equal(await refusal("Ada", text), null);
    await shows(page, text);
  });

  if (!DEMO_BIN) {
    console.log("ok dashboard: a restart # skip DEMO_BIN does not name the demo site's program");
    return;
  }

  test("a page that stays open outlives a restart of the server, and so do comments", async () => {
    const folder = await mkdtemp(join(tmpdir(), "emio-dashboard-"));
    const server = new Demo(await freePort(), join(folder, "state", "demo.sqlite"));
    try {
      await server.start();
      const { context } = await openPage("/");
      const page = await context.newPage();
      await page.goto(server.url + PATH);
      const text = unique("before the restart");
      await say(page, "Ada", text);
      // From here on it is accepted, and may not be lost.
      await answers(page, "Kept.");
      await points(page, "cpu", 2);

      assert.equal(await server.stop(), 0);
      await page.waitForFunction(() => !socket.connected);
      assert.equal(await page.isDisabled("#send"), true);
      await server.start();
      await page.waitForFunction(() => socket.connected);
      // The history has replaced what the page had.
      await page.waitForFunction(() => comments.length === 1 && samples.length > 0);
      await shows(page, text);
      const after = unique("after the restart");
      await page.click("#send:enabled", { trial: true });
      await say(page, "Ada", after);
      await shows(page, after);
      await shows(page, text);
      assert.equal(await page.locator("#list li").count(), 2);

      const newcomer = await context.newPage();
      await newcomer.goto(server.url + PATH);
      await shows(newcomer, text);
      await shows(newcomer, after);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });

  test("a file that is no database is left alone, and the demo does without", async () => {
    const folder = await mkdtemp(join(tmpdir(), "emio-dashboard-"));
    const server = new Demo(await freePort(), folder);
    try {
      await server.start();
      await server.says(/cannot be used: unable to open database file/);
      const { context } = await openPage("/");
      const page = await context.newPage();
      await page.goto(server.url + PATH);
      const text = unique("for now");
      await say(page, "Ada", text);
      await shows(page, text);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });
}

/** A demo site of our own. It is told its port, so that it comes back at the same. */
class Demo {
  constructor(port, data) {
    this.args = ["--host", "127.0.0.1", "--port", String(port), "--data", data];
    this.url = `http://127.0.0.1:${port}`;
  }

  async start() {
    this.child = spawn(DEMO_BIN, this.args, { stdio: ["ignore", "pipe", "pipe"] });
    // Whatever ends this process ends it too.
    const { child } = this;
    process.once("exit", () => child.kill("SIGKILL"));
    this.said = "";
    await new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the demo site ended: ${this.said}`));
      child.once("error", reject);
      child.once("exit", ended);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (data) => {
          this.said += data;
          if (this.said.includes("running at")) resolve();
        });
      }
    });
  }

  /** Waits for words of it; what it says comes from two pipes, in no order. */
  async says(wanted) {
    const { stdout, stderr } = this.child;
    while (!wanted.test(this.said)) await Promise.race([once(stdout, "data"), once(stderr, "data")]);
  }

  /** Ends it as a service is ended, and returns its exit code. */
  async stop() {
    const { child } = this;
    if (!child) return undefined;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    return child.exitCode;
  }
}

// Below the kernel's ephemeral range, so that no outgoing connection takes the port of a server
// that is being restarted.
async function freePort() {
  const [from, to] = (process.env.INTEROP_PORTS ?? "20000-29999").split("-").map(Number);
  for (let port = from; port <= to; port++) {
    const server = net.createServer().listen(port, "127.0.0.1");
    const isFree = await Promise.race([
      once(server, "listening").then(() => true, () => false),
      once(server, "error").then(() => false),
    ]);
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
  throw new Error(`no free port in ${from}-${to}`);
}

export async function screenshot({ openPage }) {
  const { page } = await openPage(PATH);
  const others = await openPage(PATH);
  const talk = [
    ["Grace", "The load went up when the backup began, and came down by itself."],
    ["Linus", "A few megabytes for the server and its database. I have seen icons that take more."],
    ["Ada", "Pulled the plug and put it back:\neverything is still here."],
  ];
  const isSaid = (text) => document.querySelector("#list .said")?.textContent === text;
  const last = talk.at(-1)[1];
  await page.waitForFunction(() => socket.connected && samples.length);
  // It was, when this is not the first picture.
  if (!await page.evaluate(isSaid, last)) {
    for (const [name, text] of talk) {
      await say(others.page, name, text);
      await answers(others.page, "Kept.");
    }
  }
  await page.waitForFunction(isSaid, last);
  await page.waitForFunction(() => samples.length >= 8, null, { timeout: 25_000 });
  return page;
}
