/*
 * Hugs: a private word between two of those who are here.
 *
 * The contract with the server, as events of the namespace "/hugs"; a person is {id, name}, and
 * the id is that of their socket:
 *
 *   client emits   join         name, ack       ack(people): up to 200 others; counts once
 *                  hug          id, ack         ack(null), or ack(why) if nobody was reached
 *                  write        id, text, ack   the same; at most 1,000 characters
 *   server emits   user.add     person          to all others
 *                  user.remove  id              to all others
 *                  hug          person          who hugs; to the one who is hugged
 *                  message      person, text    who writes; to the one they write to
 *
 * Conversations are in this page and nowhere else. They end with the people: who comes back is
 * somebody new, also to the server, so that the page joins again after a lost connection.
 */
"use strict";

const ENTRIES_MAX = 200;
const PEOPLE_LISTED_MAX = 200;
const ANSWER_MS = 10_000;

const $ = (id) => document.getElementById(id);
const { element, avatar } = shell;
const socket = io("/hugs", shell.options());
shell.watch(socket);

let me; // the chosen name
let chosen; // the id of the person whose conversation is open

/** Those who are here, and who was and is still looked at: {name, isHere, unread, entries}. */
const people = new Map();

// Who is here.

function join() {
  if (!me || !socket.connected) return;
  socket.emit("join", me, (others) => {
    for (const id of people.keys()) if (!others.some((it) => it.id === id)) remove(id);
    for (const person of others) add(person);
    showPeople();
  });
}

socket.on("connect", join);

socket.on("user.add", (person) => {
  add(person);
  showPeople();
});

socket.on("user.remove", (id) => {
  remove(id);
  showPeople();
});

function add({ id, name }) {
  if (people.has(id) || people.size >= PEOPLE_LISTED_MAX) return;
  people.set(id, { name, isHere: true, unread: 0, entries: [] });
}

/** Whose conversation is open stays there until another is opened. */
function remove(id) {
  const person = people.get(id);
  if (!person?.isHere) return;
  if (id !== chosen) {
    people.delete(id);
    return;
  }
  person.isHere = false;
  note(id, element("li", "notice", `${person.name} has left`));
}

function showPeople() {
  const here = [...people].filter(([, { isHere }]) => isHere);
  here.sort(([, a], [, b]) => a.name.localeCompare(b.name));
  const focused = document.activeElement?.closest("#people li")?.dataset.id;
  $("people").replaceChildren(...here.map(([id, person]) => personEntry(id, person)));
  if (focused) $("people").querySelector(`[data-id="${focused}"] button`)?.focus();
  $("count").textContent = here.length;
  $("alone").hidden = here.length > 0;

  const unread = here.reduce((sum, [, person]) => sum + person.unread, 0);
  document.title = `${unread ? `(${unread}) ` : ""}Hugs – emio`;
  $("elsewhere").hidden = !unread;
  $("elsewhere").textContent = `${unread} unread`;
}

function personEntry(id, { name, unread, entries }) {
  const entry = element("li");
  entry.dataset.id = id;
  const button = element("button", "person");
  button.type = "button";
  if (id === chosen) button.ariaCurrent = "true";
  const text = element("span", "text");
  text.append(element("span", "name", name), element("span", "last", entries.at(-1)?.summary));
  button.append(avatar(name), text);
  if (unread) {
    const badge = element("span", "badge", unread);
    badge.append(element("span", "sr", " unread"));
    button.append(badge);
  }
  button.onclick = () => choose(id);
  entry.append(button);
  return entry;
}

// One conversation.

function choose(id) {
  const left = chosen;
  chosen = id;
  if (left !== id && people.get(left)?.isHere === false) people.delete(left);
  const person = people.get(id);
  $("rooms").classList.toggle("open", Boolean(person));
  $("talk").hidden = !person;
  $("nobody").hidden = Boolean(person);
  if (person) {
    person.unread = 0;
    $("with").textContent = person.name;
    $("face").replaceChildren(avatar(person.name));
    $("log").replaceChildren(...person.entries.map(({ entry }) => entry));
    $("scroll").scrollTop = $("scroll").scrollHeight;
    // A text field would open the keyboard of a phone over the conversation.
    $(matchMedia("(pointer: coarse)").matches ? "hug" : "text").focus();
  }
  showPeople();
}

$("back").onclick = () => {
  const left = chosen;
  choose(undefined);
  $("people").querySelector(`[data-id="${left}"] button`)?.focus();
};

$("talk").onkeydown = (event) => {
  if (event.key === "Escape") $("back").click();
};

/** Adds an entry to a conversation; `summary` is what the list of people shows of it. */
function note(id, entry, summary = entry.textContent) {
  const { entries } = people.get(id);
  entries.push({ entry, summary });
  if (entries.length > ENTRIES_MAX) entries.shift().entry.remove();
  if (id !== chosen) return;
  $("log").append(entry);
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

function hugEntry(text) {
  const entry = element("li", "hugged");
  entry.append($("heart").content.cloneNode(true), element("span", "", text));
  return entry;
}

// What comes.

socket.on("hug", (from) => {
  const said = `${from.name} hugged you`;
  receive(from, hugEntry(said), "hugged you", said);
});

socket.on("message", (from, text) => {
  receive(from, element("li", "bubble", text), text, `${from.name} writes: ${text}`);
});

function receive(from, entry, summary, said) {
  // A list that is full may lack who writes.
  if (!people.has(from.id)) people.set(from.id, { ...from, isHere: true, unread: 0, entries: [] });
  note(from.id, entry, summary);
  if (from.id === chosen) return;
  people.get(from.id).unread++;
  $("news").textContent = said;
  showPeople();
}

// What goes.

/** Shows what is sent at once, and what the server answers. */
function send(event, args, entry, summary) {
  const id = chosen;
  entry.classList.add("own");
  note(id, entry, summary);
  showPeople();
  socket.timeout(ANSWER_MS).emit(event, id, ...args, (err, why) => {
    const failure = err ? "the server did not answer" : why;
    if (!failure) return;
    entry.classList.add("failed");
    entry.append(element("small", "", `Not delivered: ${failure}.`));
  });
}

$("hug").onclick = () => {
  send("hug", [], hugEntry(`You hugged ${people.get(chosen).name}`), "you hugged them");
};

$("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) send("write", [text], element("li", "bubble", text), `You: ${text}`);
  $("text").value = "";
  $("text").focus();
};

// Welcome.

$("join").onsubmit = (event) => {
  const name = $("name").value.trim();
  if (!name) {
    event.preventDefault();
    return;
  }
  me = name;
  $("own").textContent = `you are ${name}`;
  sessionStorage.setItem("name", name);
  join();
};
$("welcome").oncancel = (event) => event.preventDefault();
$("welcome").onclose = () => {
  // Escape pressed twice closes a dialog whatever its page says.
  if (!me) $("welcome").showModal();
};

$("name").value = sessionStorage.getItem("name") ?? "";
$("welcome").showModal();
$("name").select();
