// The entry page, and what shell.js gives every page: menu, connection, source.

export function cases({ test, openPage, assert }) {
  test("the entry page has a card for each demo of the menu", async () => {
    const { page } = await openPage("/", { viewport: { width: 1280, height: 800 } });
    const menu = await page.locator("#menu a").evaluateAll((all) => all.map((it) => it.pathname));
    const cards = await page.locator(".cards h3 a").evaluateAll((all) => all.map((it) => it.pathname));
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
