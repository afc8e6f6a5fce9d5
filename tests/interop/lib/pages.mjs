// What the browser tests of the demos share: waiting for what a user would see.

/** A name that nobody else has: the server counts a window that was closed while it polled for up
 *  to 45 seconds, and so may list whom an earlier case has left behind. */
export function fresh(name) {
  return `${name} ${++names}`;
}

let names = Date.now() % 1_000_000;

/** Waits until an element that matches has exactly this text. */
export function shows(page, selector, text) {
  return page.waitForFunction(
    ([selector, text]) =>
      [...document.querySelectorAll(selector)].some((it) => it.textContent === text),
    [selector, text]);
}

/** Waits until the header says that the page is connected. */
export function connected(page) {
  return page.waitForSelector('#status[data-state="connected"]');
}

/** Loses the connection below the page's `socket`, and waits until it has another. */
export async function loseConnection(page) {
  const before = await page.evaluate(() => {
    const { id } = socket;
    socket.io.engine.close();
    return id;
  });
  await page.waitForFunction((before) => socket.connected && socket.id !== before, before);
  await connected(page);
}
