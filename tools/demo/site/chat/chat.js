/*
 * The demo chat: everyone who has the page open is in one room. It uses nothing of emio's client
 * that the official one does not have.
 *
 * The contract with the server, as events of the namespace "/chat"; `user` is {id, name}:
 *
 *   client emits   add user      name, ack        ack({numUsers, users}): all, and up to 200 others
 *                  chat message  text             at most 4,000 characters
 *                  chat image    {name, type, bytes}      file name, MIME type, ArrayBuffer
 *                  typing        true | false
 *   server emits   user.add      {id, name, numUsers}     to the others
 *                  user.remove   {id, numUsers}           to the others
 *                  chat message  {from: user, text, id}   to everyone, also to its sender
 *                  chat image    {from: user, type, bytes}        the same
 *                  typing        {from: user, typing}     to the others
 *
 * Before `add user`, which counts once, nothing else does. The id of a user is that of their
 * socket, so that two may have one name; the id of a message differs for each. A connection that
 * comes back is new to the server, so that the page emits `add user` again.
 *
 * What peers send is only ever set as text, and their bytes are shown only as one of the image
 * types below.
 */
"use strict";

const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
// A server refuses payloads of 1 MB, and polling adds a third for base64.
const IMAGE_BYTES_MAX = 700_000;
const IMAGE_SIDE_MAX = 1600;
const LOG_ENTRIES_MAX = 500;
const USERS_LISTED_MAX = 200;
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

// Who is here.

const users = new Map(); // id to name; as many as are listed

function join() {
  if (!me || !socket.connected) return;
  socket.emit("add user", me, (welcome) => {
    joined = true;
    users.clear();
    users.set(socket.id, me);
    for (const { id, name } of welcome.users) users.set(id, name);
    showUsers(welcome.numUsers);
    updateSend();
  });
}

socket.on("user.add", ({ id, name, numUsers }) => {
  if (users.size < USERS_LISTED_MAX) users.set(id, name);
  showUsers(numUsers);
  addNotice(name, " joined");
});

socket.on("user.remove", ({ id, numUsers }) => {
  const name = users.get(id);
  users.delete(id);
  setTyping({ id }, false);
  showUsers(numUsers);
  if (name !== undefined) addNotice(name, " left");
});

/** The list: first oneself, then the others by their names. */
function showUsers(count) {
  $("online").textContent = count;
  const others = [...users].filter(([id]) => id !== socket.id);
  others.sort(([, a], [, b]) => a.localeCompare(b));
  const entries = others.map(([id, name]) => userEntry(id, name));
  if (users.has(socket.id)) {
    const own = userEntry(socket.id, me);
    own.append(element("span", "soft", "you"));
    entries.unshift(own);
  }
  $("users").replaceChildren(...entries);
  const unlisted = count - users.size;
  $("unlisted").hidden = unlisted <= 0;
  $("unlisted").textContent = `and ${unlisted} more`;
}

// On a wide screen the list is always shown; on a narrow one it opens.
const wide = matchMedia("(min-width: 900px)");
wide.onchange = () => {
  $("people").hidePopover();
  $("online-button").disabled = wide.matches;
};
wide.onchange();

function userEntry(id, name) {
  const entry = element("li");
  entry.dataset.id = id;
  entry.append(avatar(name), element("span", "name", name));
  return entry;
}

socket.on("connect", join);

socket.on("disconnect", () => {
  joined = false;
  users.clear();
  showUsers(0);
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
  if (!IMAGE_TYPES.includes(type)) return;
  const image = element("img");
  image.src = URL.createObjectURL(new Blob([bytes], { type }));
  image.alt = `Image from ${from.name}`;
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

function addNotice(name, text) {
  const entry = element("li", "notice", text);
  entry.prepend(element("b", "", name));
  addEntry(entry);
}

function addMessage(from, bubble) {
  const entry = element("li", "message");
  const first = $("log").lastElementChild?.dataset.from !== from.id;
  const own = from.id === socket.id;
  entry.dataset.from = from.id;
  entry.classList.toggle("first", first);
  entry.classList.toggle("own", own);
  entry.style.setProperty("--hue", hue(from.name));
  if (first && !own) entry.append(avatar(from.name), element("span", "from", from.name));
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

const typists = new Map(); // id to {name, timer}; the timer forgets them
let typingTimer;

socket.on("typing", ({ from, typing }) => setTyping(from, typing));

function setTyping({ id, name }, typing) {
  clearTimeout(typists.get(id)?.timer);
  typists.delete(id);
  if (typing) {
    const timer = setTimeout(() => setTyping({ id }, false), TYPING_SHOWN_MS);
    typists.set(id, { name, timer });
  }
  showTypists();
}

function showTypists() {
  const names = [...typists.values()].map(({ name }) => name);
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
