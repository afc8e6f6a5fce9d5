/*
 * The demo chat: everyone who has the page open is in one room. It uses nothing of emio's client
 * that the official one does not have.
 *
 * The contract with the server, as events of the namespace "/chat":
 *
 *   client emits   add user      name, ack        ack({numUsers}); before it, nothing else counts
 *                  chat message  text
 *                  chat image    {name, type, bytes}      file name, MIME type, ArrayBuffer
 *                  typing        true | false
 *   server emits   chat message  {from, text, id}         to everyone, also to its sender
 *                  chat image    {from, type, bytes}      to everyone, also to its sender
 *                  user joined   {name, numUsers}         to the others
 *                  user left     {name, numUsers}         to the others
 *                  typing        {name, typing}           to the others
 *
 * `from` and `name` are what `add user` gave. `id` differs for each message. A connection that
 * comes back is new to the server, so that the page emits `add user` again.
 *
 * `?transport=polling | websocket | upgrade` chooses how to connect. What peers send is only ever
 * set as text, and their bytes are shown only as one of the image types below.
 */
"use strict";

const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
// A server refuses payloads of 1 MB, and polling adds a third for base64.
const IMAGE_BYTES_MAX = 700_000;
const IMAGE_SIDE_MAX = 1600;
const LOG_ENTRIES_MAX = 500;
const TYPING_IDLE_MS = 1500;
const TYPING_SHOWN_MS = 5000;
const EMOJIS = ("😀 😂 🥰 😎 🤔 😢 😱 😴 👍 👎 👏 🙏 👋 💪 👀 🤝 " +
  "❤️ 🔥 🎉 ✨ 🚀 ☕ 🍕 🎂 🌍 🌈 🌱 🐱 🦀 💡 ✅ ❌").split(" ");

const $ = (id) => document.getElementById(id);
const { element, avatar, hue } = shell;
const socket = io("/chat", shell.options());
shell.watch(socket);

let me; // the chosen name
let joined = false; // the server knows it

// Connection.

function showOnline(count) {
  $("online").textContent = count;
}

function join() {
  if (!me || !socket.connected) return;
  socket.emit("add user", me, ({ numUsers }) => {
    joined = true;
    showOnline(numUsers);
    updateSend();
  });
}

socket.on("connect", join);

socket.on("disconnect", () => {
  joined = false;
  typists.clear();
  showTypists();
  updateSend();
});

// Conversation.

socket.on("chat message", ({ from, text }) => {
  const bubble = element("div", "bubble");
  const large = /^(\p{Extended_Pictographic}\ufe0f?\s*){1,4}$/u.test(text);
  bubble.classList.toggle("large", large);
  bubble.append(element("p", "", text));
  addMessage(from, bubble);
});

socket.on("chat image", ({ from, type, bytes }) => {
  if (!IMAGE_TYPES.includes(type)) {
    addNotice(from, " sent a file that this page does not show");
    return;
  }
  const image = element("img");
  image.src = URL.createObjectURL(new Blob([bytes], { type }));
  image.alt = `Image from ${from}`;
  const pinned = isPinned();
  image.onload = () => {
    if (pinned) scrollToLatest();
  };
  const button = element("button");
  button.type = "button";
  button.append(image);
  button.onclick = () => {
    const large = $("viewer").querySelector("img");
    large.src = image.src;
    large.alt = image.alt;
    $("viewer").showModal();
  };
  const bubble = element("div", "bubble image");
  bubble.append(button);
  addMessage(from, bubble);
});

socket.on("user joined", ({ name, numUsers }) => {
  showOnline(numUsers);
  addNotice(name, " joined");
});

socket.on("user left", ({ name, numUsers }) => {
  showOnline(numUsers);
  setTyping(name, false);
  addNotice(name, " left");
});

function addNotice(name, text) {
  const entry = element("li", "notice", text);
  entry.prepend(element("b", "", name));
  addEntry(entry);
}

function addMessage(from, bubble) {
  const entry = element("li", "message");
  const first = $("log").lastElementChild?.dataset.from !== from;
  const own = from === me;
  entry.dataset.from = from;
  entry.classList.toggle("first", first);
  entry.classList.toggle("own", own);
  entry.style.setProperty("--hue", hue(from));
  if (first && !own) {
    entry.append(avatar(from), element("span", "from", from));
  }
  const time = element("time", "", new Date().toLocaleTimeString([], { timeStyle: "short" }));
  bubble.append(time);
  entry.append(bubble);
  setTyping(from, false);
  addEntry(entry);
  if (own) scrollToLatest();
}

function addEntry(entry) {
  const pinned = isPinned();
  $("empty").hidden = true;
  $("log").append(entry);
  while ($("log").childElementCount > LOG_ENTRIES_MAX) {
    const oldest = $("log").firstElementChild;
    for (const image of oldest.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    oldest.remove();
  }
  if (pinned) scrollToLatest();
  else $("latest").hidden = false;
}

function isPinned() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  return scrollHeight - scrollTop - clientHeight < 60;
}

function scrollToLatest() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  $("latest").hidden = true;
}

$("latest").onclick = scrollToLatest;
$("scroll").onscroll = () => {
  if (isPinned()) $("latest").hidden = true;
};

// Who types.

const typists = new Map(); // name to the timer that forgets it
let typingTimer;

socket.on("typing", ({ name, typing }) => setTyping(name, typing));

function setTyping(name, typing) {
  clearTimeout(typists.get(name));
  typists.delete(name);
  if (typing) typists.set(name, setTimeout(() => setTyping(name, false), TYPING_SHOWN_MS));
  showTypists();
}

function showTypists() {
  const names = [...typists.keys()];
  for (const dot of $("typing").querySelectorAll("i")) dot.hidden = !names.length;
  let text = "";
  if (names.length === 1) text = `${names[0]} is typing`;
  if (names.length === 2) text = `${names[0]} and ${names[1]} are typing`;
  if (names.length > 2) text = `${names.length} people are typing`;
  $("typing").querySelector("span").textContent = text;
}

/** Tells the others once when typing begins, and once when it rests. */
function tellTyping(typing) {
  if (typing && !typingTimer && joined) socket.emit("typing", true);
  if (!typing && typingTimer && joined) socket.emit("typing", false);
  clearTimeout(typingTimer);
  typingTimer = typing ? setTimeout(() => tellTyping(false), TYPING_IDLE_MS) : undefined;
}

// Composer.

function updateSend() {
  $("send").disabled = !joined || !$("text").value.trim();
}

function sendText() {
  const text = $("text").value.trim();
  if (!joined || !text) return;
  tellTyping(false);
  socket.emit("chat message", text);
  $("text").value = "";
  updateSend();
}

async function sendImages(files) {
  for (const file of files) {
    if (!joined || !IMAGE_TYPES.includes(file.type)) continue;
    const image = file.size > IMAGE_BYTES_MAX ? await shrink(file) : file;
    const bytes = await image.arrayBuffer();
    if (joined) socket.emit("chat image", { name: file.name, type: image.type, bytes });
  }
}

/** The picture as a JPEG that fits into a payload. */
async function shrink(file) {
  const bitmap = await createImageBitmap(file);
  for (let side = IMAGE_SIDE_MAX; ; side *= 0.75) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = element("canvas");
    canvas.width = Math.max(1, bitmap.width * scale);
    canvas.height = Math.max(1, bitmap.height * scale);
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
    if (blob.size <= IMAGE_BYTES_MAX) return blob;
  }
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  sendText();
  $("text").focus();
};

$("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendText();
};

$("text").oninput = () => {
  tellTyping($("text").value !== "");
  updateSend();
};

$("pick").onclick = () => $("file").click();
$("file").onchange = () => {
  sendImages([...$("file").files]);
  $("file").value = "";
};

document.onpaste = (event) => sendImages([...event.clipboardData.files]);

const main = document.querySelector("main");
main.ondragover = (event) => {
  event.preventDefault();
  main.classList.add("dropping");
};
main.ondragleave = () => main.classList.remove("dropping");
main.ondrop = (event) => {
  event.preventDefault();
  main.classList.remove("dropping");
  sendImages([...event.dataTransfer.files]);
};

// Emoji: arrow keys move, Enter inserts, Escape closes.

for (const emoji of EMOJIS) {
  const button = element("button", "", emoji);
  button.type = "button";
  button.onclick = () => {
    const text = $("text");
    text.setRangeText(emoji, text.selectionStart, text.selectionEnd, "end");
    text.oninput();
  };
  $("emojis").append(button);
}

$("emojis").onkeydown = (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...$("emojis").children];
  buttons[buttons.indexOf(document.activeElement) + step]?.focus();
};

$("emojis").onbeforetoggle = () => {
  const { top } = $("composer").getBoundingClientRect();
  $("emojis").style.bottom = `${innerHeight - top + 8}px`;
};
$("emojis").ontoggle = (event) => {
  if (event.newState === "open") $("emojis").firstElementChild.focus();
  else $("text").focus();
};

// Welcome.

$("join").onsubmit = (event) => {
  const name = $("name").value.trim();
  if (!name) {
    event.preventDefault();
    return;
  }
  me = name;
  sessionStorage.setItem("name", name);
  join();
};
$("welcome").oncancel = (event) => event.preventDefault();
$("welcome").onclose = () => {
  // Escape pressed twice closes a dialog whatever its page says.
  if (me) $("text").focus();
  else $("welcome").showModal();
};

$("name").value = sessionStorage.getItem("name") ?? "";
$("welcome").showModal();
$("name").select();
