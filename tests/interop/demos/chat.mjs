// The chat, as people use it. With both clients and all transports: browser.mjs.

import { connected, fresh, loseConnection, shows } from "../lib/pages.mjs";

export function cases({ test, openPage, assert }) {
  const enter = async (name, options) => {
    const { page } = await openPage("/chat/", options);
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await connected(page);
    await page.waitForFunction(() => joined);
    return page;
  };

  /** How often a page lists this name. */
  const listed = async (page, name) =>
    (await page.locator("#users .name").allTextContents()).filter((it) => it === name).length;

  test("everyone sees who is online, and who comes and goes", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const ada = await enter(a);
    assert.equal(await listed(ada, a), 1);
    const bob = await enter(b);
    await shows(ada, ".notice", `${b} joined`);
    await shows(ada, "#users .name", b);
    await shows(bob, "#users .name", a);
    await shows(bob, "#users li:first-child", `B${b}you`);
    assert.equal(await bob.locator(".notice >> text=joined").count(), 0, "they were there before");
    assert.ok(Number(await bob.textContent("#online")) >= 2);
    await bob.context().close();
    await shows(ada, ".notice", `${b} left`);
    assert.equal(await listed(ada, b), 0);
  });

  test("two of one name are two", async () => {
    const name = fresh("Ada");
    const [ada, other] = [await enter(name), await enter(name)];
    await shows(ada, ".notice", `${name} joined`);
    assert.equal(await listed(ada, name), 2);
    await other.fill("#text", "I am another");
    await shows(ada, "#typing span", `${name} is typing`);
    await other.press("#text", "Enter");
    await shows(ada, ".message:not(.own) .bubble p", "I am another");
    await shows(other, ".message.own .bubble p", "I am another");
    await other.context().close();
    await shows(ada, ".notice", `${name} left`);
    assert.equal(await listed(ada, name), 1);
  });

  test("on a phone the list opens by the count, also by keyboard", async () => {
    const name = fresh("Ada");
    const ada = await enter(name, { viewport: { width: 390, height: 844 } });
    assert.equal(await ada.isVisible("#users"), false);
    await ada.focus("#online-button");
    await ada.keyboard.press("Enter");
    await ada.waitForSelector(`#users .name >> text="${name}"`);
    await ada.keyboard.press("Escape");
    await ada.waitForSelector("#users", { state: "hidden" });
  });

  test("after a lost connection the list is whole again, on both sides", async () => {
    const [a, b] = [fresh("Ada"), fresh("Bob")];
    const [ada, bob] = [await enter(a), await enter(b)];
    await loseConnection(bob);
    await shows(ada, ".notice", `${b} left`);
    await bob.waitForFunction(() => joined);
    for (const page of [ada, bob]) {
      await shows(page, "#users .name", a);
      await shows(page, "#users .name", b);
      assert.deepEqual([await listed(page, a), await listed(page, b)], [1, 1]);
    }
  });

  test("the server has limits of its own", async () => {
    const [ada, bob] = [await enter(fresh("Ada")), await enter(fresh("Bob"))];
    await bob.evaluate(() => {
      window.heard = [];
      socket.on("chat message", ({ text }) => heard.push(text.length));
      socket.on("chat image", ({ type, bytes }) => heard.push([type, bytes.byteLength]));
    });
    await ada.evaluate(() => {
      const large = new Uint8Array(800_000);
      socket.emit("chat message", "x".repeat(9_000));
      socket.emit("chat message", "   ");
      socket.emit("chat message", { text: "no text" });
      socket.emit("chat image", { name: "a", type: "image/png", bytes: large });
      socket.emit("chat image", { name: "a", type: "text/html", bytes: large.slice(0, 9) });
      socket.emit("chat image", { name: "a", type: "image/png", bytes: large.slice(0, 9) });
      socket.emit("typing", "perhaps");
      socket.emit("chat message", "end");
    });
    await shows(bob, ".bubble p", "end");
    assert.deepEqual(await bob.evaluate(() => heard), [4_000, ["image/png", 9], 3]);
    const name = await bob.evaluate(() => new Promise((resolve) => {
      // Cases beside this one add users of their own.
      socket.on("user.add", ({ name }) => /^ *y/.test(name) && resolve(name));
      const other = io("/chat", { ...shell.options(), forceNew: true });
      other.emit("add user", `  ${"y".repeat(99)}`);
    }));
    assert.equal(name, "y".repeat(32));
    const carol = fresh("Carol");
    await bob.evaluate((carol) => new Promise((resolve) => {
      const other = io("/chat", { ...shell.options(), forceNew: true });
      other.emit("chat message", "nobody said this");
      other.emit("add user", "   ");
      other.emit("add user", carol, resolve);
    }), carol);
    await shows(ada, ".notice", `${carol} joined`);
    assert.equal(await ada.locator(".bubble p >> text=nobody").count(), 0);
  });

  test("the keyboard is enough from the door on", async () => {
    const { page } = await openPage("/chat/");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement.id === "name");
    await page.keyboard.type("Ada");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => joined && document.activeElement.id === "text");
    await page.keyboard.type("one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await shows(page, ".bubble p", "one\ntwo");
  });
}

export async function screenshot({ openPage }) {
  const people = {};
  for (const name of ["Grace", "Linus", "Margaret"]) {
    const { page } = await openPage("/chat/");
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await page.waitForFunction(() => joined);
    people[name] = page;
  }
  const talk = [
    ["Linus", "Anyone awake on this board?"],
    ["Grace", "Just me and 64 MB of RAM 🌱"],
    ["Margaret", "Make that three. How many threads are we?"],
    ["Linus", "One thread, one loop, and not a byte idle."],
    ["Grace", "Then there is room for more of us."],
    ["Margaret", "🎉🚀"],
  ];
  for (const [name, text] of talk) {
    await people[name].fill("#text", text);
    await people[name].press("#text", "Enter");
    for (const page of Object.values(people)) await shows(page, ".bubble p", text);
  }
  await people.Linus.fill("#text", "so");
  await shows(people.Grace, "#typing span", "Linus is typing");
  return people.Grace;
}
