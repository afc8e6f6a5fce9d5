// Stream: files both ways, and how one side waits for the other.

import { connected, loseConnection } from "../lib/pages.mjs";

const MB = 1024 * 1024;

async function enter(openPage, options) {
  const { page } = await openPage("/stream/", options);
  await connected(page);
  return page;
}

const inState = (page, side, state) =>
  page.waitForSelector(`#${side}[data-state="${state}"]`, { timeout: 25_000 });

/** What both sides say of a transfer that is over. */
async function hashes(page, side) {
  await inState(page, side, "done");
  return Promise.all(["ours", "theirs"].map((whose) => page.textContent(`#${side}-${whose}`)));
}

/** Transfers whatever `side` offers first, and returns what was seen of it. */
async function whole(page, side) {
  await page.click(`#${side}-noise`);
  const [ours, theirs] = await hashes(page, side);
  return { ours, theirs, ...await page.evaluate((side) => eval(side).stream.seen, side) };
}

const file = (bytes) =>
  ({ name: "a file", mimeType: "text/plain", buffer: Buffer.alloc(bytes, "emio") });

/** An answer of the server's: whatever was sent before it has arrived. */
const settle = (page) => page.evaluate(() => new Promise((resolve) => {
  const stream = streams.create();
  streams.emit("download", stream, "source", () => {
    stream.readable.cancel("no more");
    resolve();
  });
}));

export function cases({ test, openPage, assert }) {
  test("one page downloads while another uploads, and all agree", async () => {
    const pages = [await enter(openPage), await enter(openPage)];
    const all = await Promise.all([whole(pages[0], "down"), whole(pages[1], "up")]);
    for (const { ours, theirs, bytes, inFlight } of all) {
      assert.match(ours, /^[0-9a-f]{64}$/);
      assert.equal(ours, theirs);
      assert.equal(bytes, 20 * MB);
      assert.equal(inFlight, 0);
    }
    await pages[0].waitForFunction(() => $("down-percent").textContent === "100 %");
    assert.match(await pages[1].textContent("#up-state"), /^Done: 20\.0 MB in .* both agree\.$/);
  });

  test("both ways at once in each of two pages", async () => {
    const pages = [await enter(openPage), await enter(openPage)];
    await Promise.all(pages.map(async (page, n) => {
      await page.click("#down-source");
      await page.setInputFiles("#file", file(500_000 + n));
      for (const side of ["down", "up"]) {
        const [ours, theirs] = await hashes(page, side);
        assert.equal(ours, theirs);
      }
    }));
    const ours = (side) => Promise.all(pages.map((page) => page.textContent(`#${side}-ours`)));
    assert.equal(new Set(await ours("down")).size, 1, "the same is downloaded");
    assert.equal(new Set(await ours("up")).size, 2, "each uploads its own");
  });

  test("there is never more than one chunk under way", async () => {
    const page = await enter(openPage);
    await page.evaluate(() => {
      // The wire, not what the page says of itself: credits given, chunks that come.
      window.wire = { credits: 0, chunks: 0, most: 0 };
      const { emit } = socket;
      socket.emit = (event, ...args) => {
        if (event === "$stream-read") wire.credits++;
        return emit.call(socket, event, ...args);
      };
      socket.on("$stream-write", () => {
        wire.chunks++;
        wire.most = Math.max(wire.most, wire.chunks - wire.credits);
      });
    });
    await whole(page, "down");
    const wire = await page.evaluate(() => window.wire);
    assert.equal(wire.chunks, 20 * MB / 65_536);
    // One more was asked for: its answer was the end.
    assert.equal(wire.credits, wire.chunks + 1);
    assert.equal(wire.most, 0, "no chunk came that was not asked for");
  });

  test("a download that is paused holds the server back", async () => {
    const page = await enter(openPage);
    await enter(openPage);
    await page.click("#down-noise");
    await page.click("#down-pause");
    await page.waitForFunction(() => down.stream.seen.inFlight === 0);
    const before = await page.evaluate(() => ({ ...down.stream.seen }));
    await settle(page);
    assert.deepEqual(await page.evaluate(() => ({ ...down.stream.seen })), before);
    assert(before.bytes < 20 * MB);
    assert.match(await page.textContent("#down-state"), /^Paused/);
    assert.equal(await page.textContent("#down-pause"), "Go on");
    await page.click("#down-pause");
    const [ours, theirs] = await hashes(page, "down");
    assert.equal(ours, theirs);
  });

  test("a server that waits holds the upload back", async () => {
    const page = await enter(openPage);
    await page.click("#up-noise");
    await page.click("#up-pause");
    // From here on the server gives no credit, and one that it gave before has arrived.
    await settle(page);
    await page.waitForFunction(() => up.stream.seen.isWaiting);
    const before = await page.evaluate(() => ({ ...up.stream.seen }));
    assert.equal(before.inFlight, 0);
    assert(before.bytes < 20 * MB);
    await settle(page);
    assert.deepEqual(await page.evaluate(() => ({ ...up.stream.seen })), before);
    await page.click("#up-pause");
    const [ours, theirs] = await hashes(page, "up");
    assert.equal(ours, theirs);
  });

  test("cancelling ends either way, and the next transfer is a new one", async () => {
    const page = await enter(openPage);
    const other = await enter(openPage);
    for (const [side, isPaused] of [["down", 0], ["up", 0], ["down", 1], ["up", 1]]) {
      await page.click(`#${side}-noise`);
      if (isPaused) await page.click(`#${side}-pause`);
      await page.click(`#${side}-cancel`);
      await inState(page, side, "ended");
      assert.match(await page.textContent(`#${side}-state`), /^Cancelled/);
    }
    await page.click("#down-source");
    await hashes(page, "down");
    await whole(page, "up");
    // Nobody else has noticed.
    await other.click("#down-source");
    await hashes(other, "down");
  });

  test("the source comes as it is", async () => {
    const page = await enter(openPage);
    await page.click("#down-source");
    await hashes(page, "down");
    const [shown, source] = await page.evaluate(async () => {
      const answer = await fetch("/source/stream.rs");
      return [document.querySelector("#text").textContent, await answer.text()];
    });
    assert.equal(shown, source);
    const chunks = await page.textContent("#down-chunks");
    assert.equal(Number(chunks), Math.ceil(Buffer.byteLength(source) / 256));
  });

  test("files are picked and dropped, also empty ones", async () => {
    const page = await enter(openPage);
    for (const bytes of [300_000, 1, 0]) {
      await page.setInputFiles("#file", file(bytes));
      const [ours, theirs] = await hashes(page, "up");
      assert.equal(ours, theirs);
      assert.equal(await page.evaluate(() => up.stream.seen.bytes), bytes);
    }
    await page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["dropped"], "a file"));
      for (const type of ["dragover", "drop"]) {
        const event = new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector("#up").dispatchEvent(event);
      }
    });
    await page.waitForFunction(() => up.stream.seen.bytes === 7);
    await hashes(page, "up");
  });

  test("the keyboard is enough", async () => {
    const page = await enter(openPage);
    await page.focus("#down-noise");
    await page.keyboard.press("Enter");
    await inState(page, "down", "running");
    // Its own button is off now: the next one is the upload's, unless a pause comes before.
    for (;;) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(() => document.activeElement.id === "down-pause")) break;
    }
    await page.keyboard.press("Space");
    await inState(page, "down", "paused");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await inState(page, "down", "ended");
  });

  test("a lost connection ends what was under way, and the page goes on", async () => {
    const page = await enter(openPage);
    for (const side of ["down", "up"]) {
      await page.click(`#${side}-noise`);
      await page.click(`#${side}-pause`);
    }
    await loseConnection(page);
    for (const side of ["down", "up"]) {
      await inState(page, side, "wrong");
      assert.equal(await page.textContent(`#${side}-state`), "Failed: Connection aborted.");
    }
    await connected(page);
    await page.click("#down-source");
    await hashes(page, "down");
  });

  test("the server refuses nonsense, and stays", async () => {
    const page = await enter(openPage);
    const message = await page.evaluate(async () => {
      for (const args of [[], [null], [{ $stream: 5 }, {}], [[], "x"]]) {
        socket.emit("$stream", "download", ...args);
        socket.emit("$stream-write", ...args);
        socket.emit("hold", ...args);
      }
      const stream = streams.create();
      streams.emit("download", stream, "../../etc/passwd");
      return stream.readable.getReader().read().catch((error) => error.message);
    });
    assert.equal(message, "there is no such file");
    await page.click("#down-source");
    await hashes(page, "down");
  });

  test("on a phone nothing is wider than the screen", async () => {
    const page = await enter(openPage, { viewport: { width: 390, height: 844 } });
    await page.click("#down-source");
    await hashes(page, "down");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  });
}

export async function screenshot({ openPage }) {
  const page = await enter(openPage);
  await whole(page, "down");
  await page.click("#up-noise");
  await page.waitForFunction(() => up.stream.seen.bytes > 8 * 1024 * 1024);
  await page.click("#up-pause");
  await settle(page);
  await page.evaluate(() => {
    scrollTo(0, 0);
    document.activeElement.blur();
    return new Promise(requestAnimationFrame);
  });
  return page;
}
