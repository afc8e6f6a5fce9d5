// Hugs: what two know, and a third does not.

import { connected, fresh, loseConnection, shows } from "../lib/pages.mjs";

async function enter(openPage, name, options) {
  const { page } = await openPage("/hugs/", options);
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await connected(page);
  return page;
}

/** Opens the conversation with somebody, who is waited for. */
async function pick(page, name) {
  await page.click(`.person:has(.name:text-is("${name}"))`);
  await shows(page, "#with", name);
}

async function write(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

export function cases({ test, openPage, assert }) {
  test("a hug and its answer are between two; a third hears nothing", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const e = fresh("Eve");
    const ada = await enter(openPage, a);
    const bob = await enter(openPage, b);
    const eve = await enter(openPage, e);
    await eve.evaluate(() => {
      window.heard = [];
      for (const event of ["hug", "message"]) socket.on(event, () => heard.push(event));
    });
    await pick(ada, b);
    await ada.click("#hug");
    await shows(ada, ".hugged.own span", `You hugged ${b}`);
    // Bob has nobody's conversation open: he sees who it was, marked as unread.
    await shows(bob, ".person .last", "hugged you");
    await shows(bob, ".person .badge", "1 unread");
    assert.equal(await bob.title(), "(1) Hugs – emio");
    await shows(bob, "#news", `${a} hugged you`);
    await pick(bob, a);
    await shows(bob, ".hugged span", `${a} hugged you`);
    assert.equal(await bob.locator(".person .badge").count(), 0);
    assert.equal(await bob.title(), "Hugs – emio");
    await write(bob, "Thank you, <i>Ada</i>");
    await shows(ada, ".bubble:not(.own)", "Thank you, <i>Ada</i>");
    await shows(bob, ".bubble.own", "Thank you, <i>Ada</i>");
    // Whatever Eve is sent comes in order: had she heard of it, it would be here by now.
    await pick(ada, e);
    await write(ada, "for Eve");
    await shows(eve, ".person .last", "for Eve");
    assert.deepEqual(await eve.evaluate(() => heard), ["message"]);
    assert.equal(await bob.locator("text=for Eve").count(), 0);
  });

  test("each conversation keeps its own, and counts what is unread", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const e = fresh("Eve");
    const ada = await enter(openPage, a);
    const bob = await enter(openPage, b);
    const eve = await enter(openPage, e);
    for (const page of [bob, eve]) await pick(page, a);
    await pick(ada, b);
    await write(bob, "one");
    await shows(ada, "#log .bubble", "one");
    await write(eve, "two");
    await write(eve, "three");
    await shows(ada, ".person .badge", "2 unread");
    assert.deepEqual(await ada.locator("#log .bubble").allTextContents(), ["one"]);
    await pick(ada, e);
    assert.deepEqual(await ada.locator("#log .bubble").allTextContents(), ["two", "three"]);
  });

  test("who leaves disappears, and a message to them says so", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const ada = await enter(openPage, a);
    const bob = await enter(openPage, b);
    await pick(ada, b);
    await bob.context().close();
    await shows(ada, "#log .notice", `${b} has left`);
    assert.equal(await ada.locator(`.person .name >> text="${b}"`).count(), 0);
    await write(ada, "Bob?");
    await shows(ada, ".failed small", "Not delivered: they have left.");
    await ada.click("#hug");
    await shows(ada, ".hugged.failed small", "Not delivered: they have left.");
  });

  test("the keyboard is enough", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const { page: ada } = await openPage("/hugs/");
    const bob = await enter(openPage, b);
    await ada.keyboard.type(a);
    await ada.keyboard.press("Enter");
    await shows(ada, ".person .name", b);
    await ada.focus("#source-button");
    for (;;) {
      await ada.keyboard.press("Tab");
      const focused = await ada.evaluate(() => document.activeElement.matches(".person")
        && document.activeElement.querySelector(".name").textContent);
      if (focused === b) break;
    }
    await ada.keyboard.press("Enter");
    await ada.waitForFunction(() => document.activeElement.id === "text");
    await ada.keyboard.type("by hand");
    await ada.keyboard.press("Enter");
    await shows(bob, ".person .last", "by hand");
    await ada.keyboard.press("Shift+Tab");
    await ada.keyboard.press("Space");
    await shows(bob, ".person .last", "hugged you");
    await ada.keyboard.press("Escape");
    await ada.waitForFunction(() => document.activeElement.matches(".person"));
    assert.equal(await ada.isVisible("#talk"), false);
  });

  test("after a lost connection people find each other again", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const ada = await enter(openPage, a);
    const bob = await enter(openPage, b);
    await pick(ada, b);
    await pick(bob, a);
    await loseConnection(bob);
    // To Ada it is another Bob; to Bob it is the same Ada, and their conversation goes on.
    await shows(ada, "#log .notice", `${b} has left`);
    await pick(ada, b);
    await write(bob, "I am back");
    await shows(ada, "#log .bubble", "I am back");
    await ada.click("#hug");
    await shows(bob, ".hugged span", `${a} hugged you`);
    assert.equal(await bob.locator(".failed, .notice").count(), 0);
  });

  test("on a phone there is the list or the conversation", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const phone = { viewport: { width: 390, height: 844 } };
    const ada = await enter(openPage, a, phone);
    const bob = await enter(openPage, b, phone);
    await pick(ada, b);
    assert.equal(await ada.isVisible("#people"), false);
    await ada.click("#hug");
    await shows(bob, ".person .last", "hugged you");
    assert.equal(await bob.isVisible("#talk"), false);
    assert.equal(await ada.evaluate(() => document.documentElement.scrollWidth), 390);
    await ada.click("#back");
    assert.equal(await ada.isVisible("#people"), true);
    assert.equal(await ada.isVisible("#talk"), false);
  });

  test("the server answers strangers and nonsense", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const ada = await enter(openPage, a);
    const bob = await enter(openPage, b);
    await shows(ada, ".person .name", b);
    const answers = await ada.evaluate(async (b) => {
      const [to] = [...people].find(([, { name }]) => name === b);
      const stranger = io("/hugs", { ...shell.options(), forceNew: true });
      socket.emit("hug", { id: to });
      socket.emit("write", to);
      return [
        await stranger.emitWithAck("hug", to),
        await socket.emitWithAck("hug", "nobody"),
        await socket.emitWithAck("write", "x".repeat(99_999), "text"),
        await socket.emitWithAck("write", to, "y".repeat(5_000)),
      ];
    }, b);
    assert.deepEqual(answers,
      ["say who you are first", "they have left", "they have left", null]);
    await shows(bob, ".person .last", "y".repeat(1_000));
  });
}

export async function screenshot({ openPage }) {
  const ada = await enter(openPage, "Ada");
  const bob = await enter(openPage, "Bob");
  const others = [];
  for (const name of ["Grace", "Margaret", "Linus"]) others.push(await enter(openPage, name));
  for (const page of [bob, ...others]) await pick(page, "Ada");
  await pick(ada, "Bob");
  await write(ada, "You look like you could use one.");
  await ada.click("#hug");
  await shows(bob, ".hugged span", "Ada hugged you");
  await write(bob, "How did you know?");
  await shows(ada, ".bubble", "How did you know?");
  await write(ada, "Nobody told me. Nobody could have.");
  await shows(bob, ".bubble", "Nobody told me. Nobody could have.");
  await bob.click("#hug");
  await shows(ada, ".hugged span", "Bob hugged you");
  await others[0].click("#hug");
  await write(others[1], "Lunch?");
  await write(others[1], "The usual place?");
  await shows(ada, ".person .badge", "2 unread");
  await shows(ada, ".person .badge", "1 unread");
  // The other view of a phone: the list.
  await write(others[2], "Look who is here");
  await shows(ada, ".person .last", "Look who is here");
  await bob.press("#text", "Escape");
  return [ada, bob];
}
