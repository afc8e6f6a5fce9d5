/*
 * emio's browser client behaves as the official one: each case runs with both, in a real browser,
 * and has one expectation.
 *
 *     FIXTURE=target/release/fixture CHROMIUM=/usr/bin/chromium node parity.mjs
 *     SERVER=node node parity.mjs      the same cases against the official server
 *
 * Optional: CASES (a regular expression of `client: theme: name`), LANES (cases at a time), REPEAT
 * (how often each runs), CLIENT_DIST (emio's builds, if not in src/client/dist), INTEROP_PORTS.
 *
 * The clients are bundles as pages load them; the servers are emio's `fixture` or, written to the
 * same contract, parity/node_fixture.mjs. A proxy between them decides the weather. Nothing sleeps;
 * where time itself is the subject, a case orders events and measures nothing.
 */
import { createRequire } from "node:module";
import { runAll } from "./parity/bench.mjs";

const THEMES = [
  "url", "options", "engine", "manager", "socket", "acks", "errors", "data", "upgrade",
  "reconnect", "heartbeat", "recovery", "page", "modules", "strange",
];

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const { FIXTURE, SERVER, CHROMIUM = "/usr/bin/chromium", CASES = "" } = process.env;
const { LANES = 4, REPEAT = 1 } = process.env;
if (!FIXTURE && SERVER !== "node") {
  console.error("FIXTURE must name emio's fixture, or SERVER must be node");
  process.exit(1);
}

for (const theme of THEMES) await import(`./parity/${theme}.mjs`);
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const counts = await runAll({
  browser, filter: new RegExp(CASES), lanes: Number(LANES), repeat: Number(REPEAT),
});
await browser.close();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
// A filter that matches nothing is a mistake, not a success.
process.exit(counts.failed || !counts.passed ? 1 : 0);
