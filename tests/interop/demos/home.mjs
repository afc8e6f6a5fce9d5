// The entry page, and what shell.js gives every page: menu, connection, source.

import { readdirSync } from "node:fs";

/** All demos that have a page: each has a module beside this one. */
const DEMOS = readdirSync(new URL(".", import.meta.url))
  .filter((file) => file.endsWith(".mjs") && file !== "home.mjs")
  .map((file) => file.slice(0, -".mjs".length));

export function cases({ test, openPage, site, assert }) {
  for (const demo of DEMOS) {
    test(`${demo} is in the menu, shows its source, and fits on every screen`, async () => {
      const { page, context } = await openPage(`/${demo}/`);
      assert.equal(await page.locator("#menu [aria-current]").count(), 1);
      assert.equal(await page.locator("h1").count(), 1);
      const source = await context.request.get(`${site}/source/${demo}.rs`);
      assert.match(source.headers()["content-type"], /^text\/plain/);
      assert.match(await source.text(), /pub fn register\(/);
      await page.waitForSelector('#status[data-state="connected"]');
      for (const width of [320, 390, 600, 768, 1000, 1060, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${wide} pixels on a screen of ${width}`);
      }
    });
  }

  test("the entry page has a card for each demo of the menu", async () => {
    const { page } = await openPage("/", { viewport: { width: 1280, height: 800 } });
    const paths = (all) => all.map((it) => it.pathname);
    const menu = await page.locator("#menu a").evaluateAll(paths);
    const cards = await page.locator(".cards h3 a").evaluateAll(paths);
    assert.equal(menu.length, 7);
    assert.deepEqual(cards, menu);
    assert.equal(await page.locator("#status").count(), 0, "nothing is connected here");
    await page.click("#menu a >> text=Chat");
    await page.waitForURL("**/chat/");
    assert.equal(await page.textContent("#menu [aria-current]"), "Chat");
    await page.waitForSelector("#welcome[open]");
  });

  test("on a phone nothing is wider than the screen, and the menu opens", async () => {
    const { page } = await openPage("/", { viewport: { width: 390, height: 844 } });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    assert.equal(await page.isVisible("#menu"), false);
    await page.click("#menu-button");
    await page.click("#menu a >> text=Chat");
    await page.waitForURL("**/chat/");
  });

  test("the keyboard is enough for menu, connection and source", async () => {
    const { page } = await openPage("/chat/", { viewport: { width: 390, height: 844 } });
    await page.fill("#name", "Ada");
    await page.press("#name", "Enter");
    await page.focus("#menu-button");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#menu:popover-open");
    await page.keyboard.press("Escape");
    await page.waitForSelector("#menu:popover-open", { state: "detached" });
    await page.focus("#status");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#connection:popover-open");
    await page.keyboard.press("Escape");
    await page.focus("#source-button");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#source[open] .k >> text=fn");
    await page.keyboard.press("Escape");
    await page.waitForSelector("#source[open]", { state: "detached" });
  });

  test("the source is what the server was built from, in colour", async () => {
    const { page, context } = await openPage("/chat/");
    await page.fill("#name", "Ada");
    await page.press("#name", "Enter");
    await page.click("#source-button");
    await page.waitForSelector("#source-text .k");
    const plain = await (await context.request.get(await page.locator("#source .plain")
      .evaluate((link) => link.href))).text();
    assert.equal(await page.textContent("#source-text"), plain);
    await page.click("#source .choices >> text=chat.js");
    await page.waitForSelector("#source-text .k >> text=const");
  });

  for (const [transport, last] of
    [["polling", "polling"], ["websocket", "websocket"], ["upgrade", "websocket"]]) {
    test(`the header shows the connection: ${transport}`, async () => {
      const { page } = await openPage(`/chat/?transport=${transport}`);
      await page.waitForFunction((last) => document.querySelector("#state").textContent ===
        "connected" && document.querySelector("#transport").textContent === last, last);
      assert.match(await page.textContent("#said"), new RegExp(`is connected over ${last}`));
      assert.equal(await page.textContent("#connection [aria-current]"), transport);
    });
  }
}

export async function screenshot({ openPage }) {
  return openPage("/");
}
