// Tweets: what the server pushes, and a greeting both ways.

import { connected, loseConnection, shows } from "../lib/pages.mjs";

export function cases({ test, openPage, assert }) {
  const enter = async (path = "/tweets/", options) => {
    const { page } = await openPage(path, options);
    await connected(page);
    await page.waitForSelector("#feed li");
    return page;
  };

  const newest = (page) => page.locator("#feed li").first().getAttribute("data-id").then(Number);

  /** Where a page shows how often this tweet is liked, and how often that is now. */
  const likesOf = (id) => `#feed [data-id="${id}"] .like span`;
  const likes = async (page, id) => Number(await page.textContent(likesOf(id)));

  /** Waits until a tweet is shown that is newer than this one. */
  const flows = (page, id) => page.waitForFunction(
    (id) => Number(document.querySelector("#feed li").dataset.id) > id, id);

  test("a newcomer sees tweets at once, and then new ones as they come", async () => {
    const [ada, bob] = [await enter(), await enter()];
    assert.ok(await ada.locator("#feed li").count() >= 20);
    const id = await newest(ada);
    for (const page of [ada, bob]) {
      await flows(page, id);
      await flows(page, await newest(page));
    }
    const ids = await ada.locator("#feed li").evaluateAll((all) => all.map((it) => +it.dataset.id));
    assert.deepEqual(ids, ids.map((_, index) => ids[0] - index), "newest first, none is missing");
    const text = (page) => page.textContent(`#feed [data-id="${id + 1}"] .words`);
    assert.equal(await text(ada), await text(bob));
  });

  test("server and page greet each other", async () => {
    const [ada, bob] = [await enter("/tweets/?transport=polling"), await enter()];
    const number = async (page) => {
      await page.waitForFunction(() => /^Hello, visitor number \d+!$/
        .test(document.querySelector("#from-server").textContent));
      return Number((await page.textContent("#from-server")).match(/\d+/)[0]);
    };
    assert.ok(await number(bob) > await number(ada));
    await shows(ada, "#from-client", "Hello, server! I came over polling.");
    await shows(ada, "#answer", "I heard 35 characters.");
  });

  test("pause holds what comes, resume shows it", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await ada.click("#pause");
    await shows(ada, "#pause-text", "Resume");
    const id = await newest(ada);
    await flows(bob, id + 1);
    await ada.waitForFunction(() =>
      Number(document.querySelector("#waiting").textContent.match(/\d+/)) >= 2);
    assert.equal(await newest(ada), id);
    await ada.click("#pause");
    await shows(ada, "#pause-text", "Pause");
    assert.ok(await newest(ada) >= id + 2);
    assert.equal(await ada.textContent("#waiting"), "");
  });

  test("a like is everyone's, and counts once", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await ada.click("#pause");
    const id = await newest(ada);
    const like = (page) => page.locator(`#feed [data-id="${id}"] .like`);
    const before = await likes(ada, id);
    await like(ada).click();
    for (const page of [ada, bob]) await shows(page, likesOf(id), `${before + 1}`);
    await ada.evaluate((id) => {
      socket.emit("like", id);
      socket.emit("like", -1);
      socket.emit("like", "all");
      socket.emit("like", 1e15);
    }, id);
    await bob.click("#pause");
    await like(bob).click();
    for (const page of [ada, bob]) await shows(page, likesOf(id), `${before + 2}`);
    assert.equal(await like(ada).getAttribute("aria-pressed"), "true");
  });

  test("the keyboard is enough", async () => {
    const ada = await enter();
    await ada.focus("#source-button");
    for (;;) {
      await ada.keyboard.press("Tab");
      if (await ada.evaluate(() => document.activeElement.id === "pause")) break;
    }
    await ada.keyboard.press("Space");
    await shows(ada, "#pause-text", "Resume");
    await ada.keyboard.press("Tab");
    const id = await ada.evaluate(() => document.activeElement.closest("li").dataset.id);
    const before = await likes(ada, id);
    await ada.keyboard.press("Enter");
    await shows(ada, likesOf(id), `${before + 1}`);
  });

  test("after a lost connection the tweets flow on, each once", async () => {
    const [ada, bob] = [await enter(), await enter()];
    const greeting = await bob.textContent("#from-server");
    await loseConnection(bob);
    const id = await newest(ada);
    await flows(bob, id);
    await bob.waitForFunction(
      (old) => document.querySelector("#from-server").textContent !== old, greeting);
    const ids = await bob.locator("#feed li").evaluateAll((all) => all.map((it) => it.dataset.id));
    assert.equal(new Set(ids).size, ids.length);
  });

  test("who watches is counted, and who leaves no more", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await ada.waitForFunction(() => Number(document.querySelector("#watchers").textContent) >= 2);
    // The server may still count somebody whose window was closed while it polled.
    const count = Number(await ada.textContent("#watchers"));
    await bob.context().close();
    await ada.waitForFunction(
      (count) => Number(document.querySelector("#watchers").textContent) < count, count);
  });
}

export async function screenshot({ openPage }) {
  const pages = [];
  for (let n = 0; n < 3; n++) {
    const { page } = await openPage("/tweets/");
    await page.waitForSelector("#feed li");
    pages.push(page);
  }
  const [ada] = pages;
  for (const page of pages) await page.click("#pause");
  const ids = await ada.locator("#feed li").evaluateAll((all) => all.map((it) => it.dataset.id));
  for (const [nth, ...fans] of [[1, 0], [2, 0, 1], [4, 1], [5, 1, 2]]) {
    for (const fan of fans) {
      const like = pages[fan].locator(`#feed [data-id="${ids[nth]}"] .like`);
      if (await like.count()) await like.click();
    }
  }
  await ada.click("#pause");
  await ada.evaluate(() => scrollTo(0, 0));
  return ada;
}
