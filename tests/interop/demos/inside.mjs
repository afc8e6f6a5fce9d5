// Inside: the server's own figures, and what moves them.

async function openInside(openPage, options, path = "/inside/") {
  const opened = await openPage(path, options);
  await opened.page.waitForFunction(() => past.length > 0 && socket.connected);
  return opened;
}

/** Its figures are those of the whole server. */
export const isAlone = true;

export function cases({ test, openPage, assert }) {
  test("figures arrive, once a second, and are drawn", async () => {
    const { page } = await openInside(openPage);
    await page.waitForFunction(() => past.length >= 3);
    const texts = await page.locator(".card .value").allTextContents();
    assert.equal(texts.length, 9);
    for (const text of texts) assert.match(text, /^[\d,.]+( (B|KiB|MiB|ms)(\/s)?|\/s)?$/);
    const paths = await page.locator(".card .line").evaluateAll(
      (all) => all.map((it) => it.getAttribute("d")));
    assert.ok(paths.every((path) => path.split("L").length >= 3), "lines of several points");
    assert.match(await page.textContent("#version"), /^emio \d+\.\d+\.\d+$/);
    assert.match(await page.textContent("#uptime"), /^\d+ (s|min|h|d)/);
    assert.match(await page.getAttribute(".card svg >> nth=0", "aria-label"), /^Connections: now \d+/);
  });

  test("opening connections moves the figures, closing brings them back", async () => {
    const { page } = await openInside(openPage);
    const { page: other } = await openInside(openPage);
    await other.waitForFunction(() => past.at(-1).figures.watchers === 2);
    const before = await other.evaluate(() => past.at(-1).figures);
    await page.click("#open");
    await page.waitForFunction(() => $("crowd").textContent === "10");
    assert.equal(await page.textContent("#mix"), ": 3 polling, 7 WebSocket");
    const there = before.namespaces.find(({ name }) => name === "/inside/crowd").sockets;
    await other.waitForFunction((there) => {
      const { namespaces } = past.at(-1).figures;
      const { sockets, rooms } = namespaces.find(({ name }) => name === "/inside/crowd");
      return sockets === there + 10 && rooms === 2;
    }, there);
    await other.waitForFunction((before) => {
      const { sessions, sockets, connections } = past.at(-1).figures;
      return sessions.websocket === before.sessions.websocket + 7 &&
        sessions.polling === before.sessions.polling + 3 &&
        connections.websocket === before.connections.websocket + 7 &&
        sockets === before.sockets + 10;
    }, before);
    const shown = await other.textContent("#sockets");
    assert.equal(Number(shown), before.sockets + 10);
    await page.click("#close");
    await other.waitForFunction((before) => {
      const { sessions, sockets, rooms } = past.at(-1).figures;
      return sessions.websocket === before.sessions.websocket &&
        sessions.polling === before.sessions.polling &&
        sockets === before.sockets && rooms === before.rooms;
    }, before);
    assert.equal(await page.textContent("#crowd"), "0");
  });

  test("chatter moves the rates", async () => {
    const { page } = await openInside(openPage);
    await page.click("#chatter");
    await page.waitForFunction(() =>
      past.at(-1).figures.messagesIn > 30 && past.at(-1).figures.messagesOut > 30);
    await page.click("#chatter");
    await page.waitForFunction(() => past.at(-1).figures.messagesIn < 10);
    await page.click("#close");
  });

  test("it is told how many watch, and after nobody did the reports begin anew", async () => {
    const { page: one } = await openInside(openPage);
    const { context } = await openInside(openPage);
    await one.waitForFunction(() => $("watchers").textContent === "2");
    await context.close();
    await one.waitForFunction(() => $("watchers").textContent === "1");
    await one.evaluate(() => {
      socket.disconnect();
      past.length = 0;
      socket.connect();
    });
    await one.waitForFunction(() => past.length >= 2);
  });

  test("over polling it is the same", async () => {
    const { page } = await openInside(openPage, {}, "/inside/?transport=polling");
    await page.waitForFunction(() => past.length >= 2);
    assert.ok(await page.evaluate(() => past.at(-1).figures.sessions.polling >= 1));
    await page.click("#open");
    await page.waitForFunction(() => $("crowd").textContent === "10");
    await page.waitForFunction((count) => past.length > count, await page.evaluate(() => past.length));
    await page.click("#close");
  });

  test("the keyboard is enough, and the table tells what the charts show", async () => {
    const { page } = await openInside(openPage);
    await page.focus("#open");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => $("crowd").textContent === "10");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.id), "close");
    await page.keyboard.press("Space");
    await page.waitForFunction(() => $("crowd").textContent === "0");
    assert.equal(await page.evaluate(() => document.activeElement.id), "open");
    await page.focus("summary");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#table tr:visible");
    const [table, charts] = await page.evaluate(() => [
      [...document.querySelectorAll("#table .total td:first-of-type")].map((it) => it.textContent),
      [...document.querySelectorAll(".card .value")].map((it) => it.textContent),
    ]);
    assert.deepEqual(table, charts);
  });

  test("no more connections than fifty, and it fits on a phone", async () => {
    const { page } = await openInside(openPage, { viewport: { width: 390, height: 844 } });
    for (let n = 0; n < 5; n++) await page.click("#open");
    assert.equal(await page.isDisabled("#open"), true);
    await page.waitForFunction(() => $("crowd").textContent === "50");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    await page.click("#close");
  });
}

export async function screenshot({ openPage }) {
  const { page } = await openInside(openPage);
  const after = async (count) => {
    const have = await page.evaluate(() => past.length);
    await page.waitForFunction((it) => past.length >= it, have + count);
  };
  await after(2);
  await page.click("#open");
  await after(3);
  await page.click("#chatter");
  await after(4);
  await page.click("#open");
  await after(5);
  return page;
}
