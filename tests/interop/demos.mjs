/*
 * The demos in a real browser: EMIO_URL=http://127.0.0.1:3000 node demos.mjs
 *
 * Runs every module of demos/, one for each demo. Such a module exports
 *
 *   cases({ test, openPage, site, assert })
 *       test(name, fn) registers a case. openPage(path, options) opens a page of the site in a
 *       window of its own, which shares nothing with another: { page, context, errors }.
 *   screenshot({ openPage, site })
 *       optional; returns the page, or the pages, in a state that is good to look at.
 *
 * `errors` holds what the page threw and what its console calls an error, a violation of its
 * Content-Security-Policy among them. It must be empty when a case ends: one that causes errors
 * on purpose empties it. Nothing sleeps: all wait for a condition.
 *
 * The demos run beside each other, the cases of one after the other; one whose module exports
 * `isAlone` waits until the others are through.
 *
 * Optional: CHROMIUM (its path), CASES (a regular expression of case names), CLIENT=official (the
 * official client takes the place of /socket.io/socket.io.js), LANES (demos at a time),
 * SCREENSHOT_DIR.
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

// `require` rather than `import`, because it follows NODE_PATH.
const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");

const { EMIO_URL, CHROMIUM = "/usr/bin/chromium", CASES = "", SCREENSHOT_DIR } = process.env;
const { CLIENT = "emio", LANES = 3 } = process.env;
if (!EMIO_URL) {
  console.error("EMIO_URL must name the demo site, as in http://127.0.0.1:3000");
  process.exit(1);
}
const SITE = new URL(EMIO_URL).origin;
const CASE_MS_MAX = 30_000;
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** What a screenshot of each demo is taken of: a phone and a desk, by day and by night. */
const SCREENS = [
  ["390", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true }],
  ["1280", { viewport: { width: 1280, height: 800 } }],
  ["390-dark", {
    viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true,
    colorScheme: "dark",
  }],
  ["1280-dark", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" }],
];

function officialClient() {
  const root = dirname(require.resolve("socket.io-client/package.json"));
  return readFileSync(join(root, "dist/socket.io.min.js"), "utf8");
}

const client = CLIENT === "official" ? officialClient() : undefined;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });

/** Opens windows that look as `screen` says, and adds them to those of the running case. */
function opener(windows, screen = {}) {
  return async (path, options = {}) => {
    const context = await browser.newContext({ ...screen, ...options });
    context.setDefaultTimeout(10_000);
    if (client) {
      await context.route("**/socket.io/socket.io.js", (route) =>
        route.fulfill({ contentType: "text/javascript", body: client }));
    }
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (err) => errors.push(err.message));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    windows.push({ path, context, errors });
    await page.goto(SITE + path);
    return { page, context, errors };
  };
}

const demos = [];

for (const file of readdirSync(new URL("demos", import.meta.url)).sort()) {
  if (!file.endsWith(".mjs")) continue;
  const demo = file.slice(0, -".mjs".length);
  const module = await import(`./demos/${file}`);
  const cases = [];
  const windows = [];
  demos.push({ cases, windows, isAlone: module.isAlone });
  const test = (name, run) => cases.push({ name: `${demo}: ${name}`, run });
  module.cases({ test, openPage: opener(windows), site: SITE, assert });
  if (!SCREENSHOT_DIR || !module.screenshot) continue;
  for (const [name, screen] of SCREENS) {
    test(`screenshot ${name}`, async () => {
      const taken = await module.screenshot({ openPage: opener(windows, screen), site: SITE });
      const pages = [taken].flat().map((it) => it.page ?? it);
      for (const [index, page] of pages.entries()) {
        const number = index ? `-${index + 1}` : "";
        const path = join(SCREENSHOT_DIR, `${demo}${number}-${name}.png`);
        await page.screenshot({ path, animations: "disabled" });
      }
    });
  }
}

/** Runs one case; whatever it leaves open is closed before the next. */
async function runCase({ name, run }, windows) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("took too long")), CASE_MS_MAX);
  });
  try {
    await Promise.race([run(), late]);
    for (const { path, errors } of windows) assert.deepEqual(errors, [], `errors of ${path}`);
    console.log(`ok ${name}`);
    return "passed";
  } catch (err) {
    console.log(`not ok ${name}`);
    console.log(String(err.stack).replace(/^/gm, "    "));
    for (const { path, errors } of windows) {
      if (errors.length) console.log(`    errors of ${path}: ${errors.join("; ")}`);
    }
    return "failed";
  } finally {
    clearTimeout(timer);
    await Promise.all(windows.splice(0).map(({ context }) => context.close()));
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 };

/** Runs one demo after the other, until there is none left. */
async function runLane(left) {
  for (let demo; (demo = left.shift()); ) {
    for (const it of demo.cases.filter(({ name }) => new RegExp(CASES).test(name))) {
      counts[await runCase(it, demo.windows)]++;
    }
  }
}

const together = demos.filter(({ isAlone }) => !isAlone);
await Promise.all(Array.from({ length: Number(LANES) }, () => runLane(together)));
await runLane(demos.filter(({ isAlone }) => isAlone));
await browser.close();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed || !counts.passed ? 1 : 0);
