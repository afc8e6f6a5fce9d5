// The whiteboard: many pens on one board. What is drawn is looked for in the canvases' pixels.

/** A board of its own window, connected; `wipes` leaves it empty. */
async function openBoard(openPage, { path = "/whiteboard/", wipes = false, ...options } = {}) {
  const opened = await openPage(path, options);
  const { page } = opened;
  await page.waitForFunction(() => me !== undefined && strokes);
  if (wipes) {
    await page.click("#clear");
    await page.waitForFunction(() => strokes.size === 0);
  }
  return opened;
}

/** Two boards, empty, of which each knows of the other. */
async function openTwo(openPage, options) {
  const one = await openBoard(openPage, { ...options, wipes: true });
  const two = await openBoard(openPage, options);
  await knows(one.page, two.page);
  await knows(two.page, one.page);
  return [one.page, two.page];
}

/** The id of a page's artist. Others may be there who have left without a word. */
const idOf = (page) => page.evaluate(() => me);

async function knows(page, other) {
  await page.waitForFunction((id) => artists.has(id), await idOf(other));
}

/** Where a point of the board, in shares of its sides, is on the screen. */
async function place(page, [x, y]) {
  const box = await page.locator("#board").boundingBox();
  return [box.x + x * box.width, box.y + y * box.height];
}

async function moveTo(page, at, options) {
  await page.mouse.move(...(await place(page, at)), options);
}

async function line(page, from, to) {
  await moveTo(page, from);
  await page.mouse.down();
  await moveTo(page, to, { steps: 12 });
  await page.mouse.up();
}

/** Waits until a canvas has, or has no more, something at this place. */
function inked(page, at, { canvas = "paper", is = true } = {}) {
  return page.waitForFunction(([id, [x, y], is]) => {
    const canvas = document.getElementById(id);
    const side = 6;
    const { data } = canvas.getContext("2d").getImageData(
      Math.round(x * canvas.width) - side / 2, Math.round(y * canvas.height) - side / 2, side, side);
    return data.some((value, index) => index % 4 === 3 && value > 0) === is;
  }, [canvas, at, is]);
}

/** The colour in the middle of what is drawn there. */
function colorAt(page, [x, y]) {
  return page.evaluate(([x, y]) => {
    const { canvas } = paper;
    const at = [Math.round(x * canvas.width), Math.round(y * canvas.height)];
    return [...paper.getImageData(...at, 1, 1).data];
  }, [x, y]);
}

const figure = async (page, id) => Number(await page.textContent(`#${id}`));

export function cases({ test, openPage, assert }) {
  test("what one draws, the other sees: live, and then for good", async () => {
    const [one, two] = await openTwo(openPage);
    await one.check("#colors [value='1']");
    await one.check("#widths [value='40']");
    await moveTo(one, [0.2, 0.2]);
    await one.mouse.down();
    await moveTo(one, [0.8, 0.2], { steps: 20 });
    await inked(two, [0.5, 0.2], { canvas: "live" });
    await inked(two, [0.5, 0.2], { is: false });
    await one.mouse.up();
    await inked(two, [0.5, 0.2]);
    await inked(two, [0.5, 0.2], { canvas: "live", is: false });
    for (const page of [one, two]) {
      assert.deepEqual(await colorAt(page, [0.5, 0.2]), [0xd6, 0x32, 0x2d, 255]);
      await inked(page, [0.5, 0.5], { is: false });
    }
  });

  test("both draw at once, and both boards end up the same", async () => {
    const [one, two] = await openTwo(openPage);
    await Promise.all([
      line(one, [0.1, 0.1], [0.9, 0.9]),
      line(two, [0.9, 0.1], [0.1, 0.9]),
    ]);
    for (const page of [one, two]) {
      await page.waitForFunction(() => strokes.size === 2 && pending.size === 0);
      await inked(page, [0.25, 0.25]);
      await inked(page, [0.75, 0.25]);
    }
    const all = (page) => page.evaluate(() =>
      [...strokes.values()].map(({ color, width, points }) => JSON.stringify([color, width, points])).sort());
    assert.deepEqual(await all(one), await all(two));
  });

  test("a newcomer finds the board as it is, and a wiped one wiped", async () => {
    const [one, two] = await openTwo(openPage);
    await line(one, [0.2, 0.6], [0.8, 0.6]);
    await inked(two, [0.5, 0.6]);
    const { page: three } = await openBoard(openPage);
    await inked(three, [0.5, 0.6]);
    assert.equal(await three.isVisible("#hint"), false);
    await two.click("#clear");
    for (const page of [one, two, three]) {
      await inked(page, [0.5, 0.6], { is: false });
      await page.waitForSelector("#hint:visible");
    }
    assert.match(await one.textContent("#told"), /wiped the board/);
  });

  test("others see a pen's name and where it is, until it leaves", async () => {
    const [one, two] = await openTwo(openPage);
    await one.fill("#name", "<b>Ada</b>");
    await one.press("#name", "Enter");
    await two.waitForSelector("#artists b >> text=<b>Ada</b>");
    await moveTo(one, [0.4, 0.4]);
    await inked(two, [0.4 + 0.005, 0.4 + 0.01], { canvas: "live" });
    await one.mouse.move(2, 2);
    await inked(two, [0.4 + 0.005, 0.4 + 0.01], { canvas: "live", is: false });
    const id = await idOf(one);
    await one.evaluate(() => void socket.disconnect());
    await two.waitForFunction((id) => !artists.has(id), id);
    assert.equal(await two.textContent("#told"), "<b>Ada</b> left");
  });

  test("latencies of one's own moves and of the others' appear", async () => {
    const [one, two] = await openTwo(openPage);
    await moveTo(one, [0.1, 0.1]);
    await moveTo(one, [0.9, 0.9], { steps: 30 });
    for (const page of [one, two]) {
      for (const id of ["trip-p50", "trip-p95", "age-p50", "age-p95"]) {
        await page.waitForFunction((id) => /^\d+(\.\d)?$/.test($(id).textContent), id);
      }
      assert.ok(await figure(page, "trip-p50") <= await figure(page, "trip-p95"));
    }
  });

  test("of a flood some moves are lost, and the books balance", async () => {
    const [one, two] = await openTwo(openPage);
    const id = await idOf(one);
    await two.waitForFunction((id) => artists.get(id).seen > 0, id);
    const first = await two.evaluate((id) => {
      const { next, seen, missed } = artists.get(id);
      return next - seen - missed;
    }, id);
    await one.click("#flood");
    await two.waitForFunction(() => +$("missed").textContent > 20);
    await one.click("#flood");
    await one.waitForSelector("#flood[aria-pressed=false]");
    // Everything that was sent either came or was missed, and the next heartbeat says so.
    const last = await one.evaluate(() => number);
    await two.waitForFunction(([id, last]) => artists.get(id).next > last, [id, last]);
    const { next, seen, missed } = await two.evaluate((id) => artists.get(id), id);
    assert.equal(seen + missed, next - first);
    assert.ok(missed > 20 && seen > 0, `${seen} seen, ${missed} missed`);
  });

  test("over polling, a page that is slow misses moves, but no stroke", async () => {
    const { page: one } = await openBoard(openPage, { wipes: true });
    const { page: two } = await openBoard(openPage, { path: "/whiteboard/?transport=polling" });
    await knows(one, two);
    await two.click("#slow");
    await moveTo(one, [0.1, 0.5]);
    await one.mouse.down();
    for (let turn = 0; turn < 50; turn++) {
      await moveTo(one, [turn % 2 ? 0.1 : 0.9, 0.5], { steps: 20 });
      if (await figure(two, "missed") > 0) break;
    }
    await one.mouse.up();
    assert.ok(await figure(two, "missed") > 0);
    await two.click("#slow");
    const all = (page) => page.evaluate(() => JSON.stringify([...strokes.values()]
      .map(({ points }) => points)));
    await one.waitForFunction(() => pending.size === 0);
    const drawn = await all(one);
    await two.waitForFunction((drawn) => JSON.stringify([...strokes.values()]
      .map(({ points }) => points)) === drawn, drawn);
  });

  test("the keyboard is enough to draw", async () => {
    const [one, two] = await openTwo(openPage);
    await one.focus("#clear");
    await one.keyboard.press("Tab");
    assert.equal(await one.evaluate(() => document.activeElement.id), "board");
    await one.keyboard.press("3");
    await one.keyboard.press("Space");
    await one.waitForFunction(() => $("told").textContent === "The pen is down");
    for (let step = 0; step < 24; step++) await one.keyboard.press("ArrowRight");
    await one.keyboard.press("Space");
    assert.equal(await one.textContent("#told"), "The pen is up");
    await inked(two, [0.55, 0.5]);
    await inked(two, [0.45, 0.5], { is: false });
    const [color] = await two.evaluate(() => [...strokes.values()].map(({ color }) => color));
    assert.equal(color, 2);
    await one.keyboard.press("Escape");
    await one.keyboard.press("Tab");
    assert.notEqual(await one.evaluate(() => document.activeElement.id), "board");
  });

  test("two fingers draw two lines", async () => {
    const options = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
    const [one, two] = await openTwo(openPage, options);
    assert.equal(await one.evaluate(() => document.documentElement.scrollWidth), 390);
    const touch = await one.context().newCDPSession(one);
    const fingers = async (y) => {
      const ends = [await place(one, [0.3, y]), await place(one, [0.7, y])];
      return ends.map(([x, y], id) => ({ x, y, id }));
    };
    await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: await fingers(0.2) });
    for (const y of [0.3, 0.4, 0.5, 0.6, 0.7]) {
      await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: await fingers(y) });
    }
    await two.waitForFunction(() =>
      [...artists.values()].some(({ pointers }) => pointers.filter((it) => it[2]).length === 2));
    await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    await inked(two, [0.3, 0.5]);
    await inked(two, [0.7, 0.5]);
    await inked(two, [0.5, 0.5], { is: false });
    await two.waitForFunction(() => [...artists.values()].every(({ pointers }) => !pointers.length));
  });

  test("what is drawn while the connection is lost is sent when it is back", async () => {
    const [one, two] = await openTwo(openPage);
    const id = await idOf(one);
    await one.evaluate(() => void socket.disconnect());
    await two.waitForFunction((id) => !artists.has(id), id);
    await line(one, [0.2, 0.3], [0.8, 0.3]);
    await inked(one, [0.5, 0.3]);
    await line(two, [0.2, 0.7], [0.8, 0.7]);
    await one.evaluate(() => void socket.connect());
    for (const page of [one, two]) {
      await inked(page, [0.5, 0.3]);
      await inked(page, [0.5, 0.7]);
      await page.waitForFunction(() => strokes.size === 2);
    }
  });

  test("the drawing keeps its place when the window changes its size", async () => {
    const { page } = await openBoard(openPage, { wipes: true });
    await line(page, [0.2, 0.6], [0.8, 0.6]);
    for (const width of [390, 800, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await page.waitForFunction(() => paper.canvas.width === paper.canvas.clientWidth);
      await inked(page, [0.5, 0.6]);
      await inked(page, [0.5, 0.45], { is: false });
    }
  });

  test("the server drops what is not on the board", async () => {
    const [one, two] = await openTwo(openPage);
    await one.evaluate(() => {
      const stroke = { pointer: 0, color: 1, width: 16 };
      for (const points of [[], [[4001, 0]], [[0, 3001]], [[-1, 5]], [["a", 5]], [[0.5, 1]], 7]) {
        socket.emit("stroke", { ...stroke, points });
      }
      socket.emit("stroke", { ...stroke, color: 8, points: [[1, 1]] });
      socket.emit("stroke", { ...stroke, width: 101, points: [[1, 1]] });
      socket.emit("stroke");
      socket.emit("artist", { name: " ", color: 0 });
      socket.emit("move", 1, 0, [[0, [9999, 0], true]]);
      socket.emit("move", "one", null, {});
      socket.emit("stroke", { ...stroke, points: [[9999, 0], [2000, 1500]] });
    });
    await two.waitForFunction(() => strokes.size === 1);
    assert.deepEqual(await two.evaluate(() => [...strokes.values()][0].points), [[2000, 1500]]);
    assert.ok(await two.evaluate(() => [...artists.values()].every(({ name }) => name.trim())));
  });

  test("a full board forgets its oldest strokes, on every page", async () => {
    const [one, two] = await openTwo(openPage);
    await one.evaluate(() => {
      for (let n = 0; n < 1010; n++) {
        const points = [[n, n], [n + 1, n]];
        const stroke = { pointer: 0, color: 1, width: 8, points };
        pending.add(stroke);
        tellStroke(stroke);
      }
    });
    const { page: three } = await openBoard(openPage);
    for (const page of [one, two, three]) {
      await page.waitForFunction(() => strokes.size === 1000 &&
        Math.min(...[...strokes.values()].map(({ points }) => points[0][0])) === 10);
    }
    await one.click("#clear");
  });
}

export async function screenshot({ openPage }) {
  const one = await openBoard(openPage, { wipes: true });
  const two = await openBoard(openPage);
  const { page: three } = await openBoard(openPage);
  await one.page.fill("#name", "Ada");
  await two.page.fill("#name", "Grace");
  await three.fill("#name", "Linus");
  for (const { page } of [one, two, { page: three }]) await page.press("#name", "Enter");
  await one.page.check("#colors [value='5']");
  await two.page.check("#colors [value='2']");
  await three.check("#colors [value='7']");
  const curve = (page, width, points) => page.evaluate(([width, points]) => {
    const units = points.map(([x, y]) => [Math.round(x * WIDTH), Math.round(y * HEIGHT)]);
    const stroke = { pointer: 0, color, width, points: units };
    pending.add(stroke);
    drawOnPaper(stroke);
    tellStroke(stroke);
  }, [width, points]);
  const arc = (x, y, across, up, from, to) => Array.from({ length: 28 }, (_, n) => {
    const angle = from + ((to - from) * n) / 27;
    return [x + across * Math.cos(angle), y - up * Math.sin(angle)];
  });
  // A sun over the sea, with a sail.
  await curve(two.page, 40, arc(0.76, 0.24, 0.07, 0.093, 0, 6.4));
  for (let n = 0; n < 8; n++) {
    const ray = (r) => [0.76 + r * Math.cos(n * 0.785), 0.24 + r * 1.333 * Math.sin(n * 0.785)];
    await curve(two.page, 16, [ray(0.11), ray(0.15)]);
  }
  for (const y of [0.72, 0.82]) {
    await curve(one.page, 16, Array.from({ length: 40 }, (_, n) =>
      [0.06 + n * 0.022, y + 0.025 * Math.sin(n * 0.9 + y * 30)]));
  }
  await curve(three, 16, [[0.26, 0.6], [0.54, 0.6], [0.48, 0.68], [0.32, 0.68], [0.26, 0.6]]);
  await curve(three, 16, [[0.4, 0.59], [0.4, 0.22]]);
  await curve(three, 16, [[0.41, 0.24], [0.53, 0.54], [0.41, 0.56]]);
  await two.page.click("#flood");
  await one.page.waitForFunction(() => +$("missed").textContent > 300);
  await two.page.click("#flood");
  for (const page of [two.page, three, one.page]) await page.evaluate(() => scrollTo(0, 0));
  await moveTo(two.page, [0.66, 0.46]);
  await moveTo(three, [0.3, 0.4], { steps: 8 });
  await one.page.waitForFunction(() =>
    [...artists.values()].filter(({ pointers }) => pointers.length).length === 2);
  await moveTo(one.page, [0.1, 0.15], { steps: 8 });
  await one.page.waitForFunction(() => $("trip-p95").textContent !== "–");
  return one;
}
