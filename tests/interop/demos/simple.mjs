// Chat in ten lines.

import { connected, loseConnection, shows } from "../lib/pages.mjs";

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

export function cases({ test, openPage, assert }) {
  const enter = async () => {
    const { page } = await openPage("/simple/");
    await connected(page);
    return page;
  };

  test("what one says, both read, as text", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await say(ada, "Hello <b>Bob</b>");
    for (const page of [ada, bob]) await shows(page, "#messages li", "Hello <b>Bob</b>");
    await say(bob, "Hello Ada");
    for (const page of [ada, bob]) await shows(page, "#messages li", "Hello Ada");
    assert.equal(await ada.locator("#messages b").count(), 0);
    assert.equal(await ada.isVisible("#empty"), false);
    assert.equal(await ada.inputValue("#text"), "");
  });

  test("the keyboard is enough", async () => {
    const [ada, bob] = [await enter(), await enter()];
    assert.equal(await ada.evaluate(() => document.activeElement.id), "text");
    await ada.keyboard.type("typed");
    await ada.keyboard.press("Enter");
    await ada.keyboard.type("and sent by the button");
    await ada.keyboard.press("Tab");
    await ada.keyboard.press("Space");
    for (const text of ["typed", "and sent by the button"]) {
      await shows(bob, "#messages li", text);
    }
  });

  test("comes back after the connection was lost", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await loseConnection(bob);
    await say(ada, "welcome back");
    await shows(bob, "#messages li", "welcome back");
    await say(bob, "thank you");
    await shows(ada, "#messages li", "thank you");
  });

  test("the server passes on no text beyond its limit, and nothing that is no text", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await ada.evaluate(() => {
      socket.emit("chat message", "x".repeat(5000));
      socket.emit("chat message", { text: "no text" });
      socket.emit("chat message");
    });
    await say(ada, "short");
    await shows(bob, "#messages li", "short");
    assert.equal(await bob.locator("#messages li").count(), 1);
  });

  test("a page keeps only so many messages", async () => {
    const [ada, bob] = [await enter(), await enter()];
    await ada.evaluate(() => {
      for (let n = 1; n <= 250; n++) socket.emit("chat message", `${n}`);
    });
    await shows(bob, "#messages li:last-child", "250");
    assert.equal(await bob.locator("#messages li").count(), 200);
  });
}

export async function screenshot({ openPage }) {
  const { page } = await openPage("/simple/");
  await connected(page);
  const talk = ["Is anybody here?", "I am.", "What is behind this page?",
    "One on, and one emit.", "And who hears it?", "Everyone who has it open."];
  for (const text of talk) {
    await say(page, text);
    await shows(page, "#messages li:last-child", text);
  }
  return page;
}
