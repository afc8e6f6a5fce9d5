/*
 * Tweets: what the server pushes, and a greeting both ways.
 *
 * The contract with the server, as events of the namespace "/tweets"; a tweet is {id, author,
 * text, likes}:
 *
 *   server emits   greeting-from-server   {greeting}         to who has just connected
 *                  tweets                 the recent 20, oldest first; to who has just connected
 *                  tweet                  a tweet            to everyone, every second
 *                  likes                  id, count          to everyone
 *                  watchers               count              to everyone
 *   client emits   greeting-from-client   {greeting}, ack    ack(text): what the server makes of it
 *                  like                   id                 one of the recent; counts once
 */
"use strict";

const FEED_MAX = 60;

const $ = (id) => document.getElementById(id);
const { element, avatar } = shell;
const socket = io("/tweets", shell.options());
shell.watch(socket);

// Greetings.

socket.on("greeting-from-server", ({ greeting }) => {
  show("from-server", greeting);
  const answer = `Hello, server! I came over ${socket.io.engine.transport.name}.`;
  show("from-client", answer);
  socket.emit("greeting-from-client", { greeting: answer }, (text) => show("answer", text));
});

function show(id, text) {
  $(id).textContent = text;
  $(id).classList.remove("soft");
}

socket.on("watchers", (count) => ($("watchers").textContent = count));

// The feed.

let held; // while paused, what came meanwhile

socket.on("tweets", (tweets) => {
  if (held) {
    for (const tweet of tweets) hold(tweet);
    return;
  }
  // Ids that are lower than those shown are those of a server that began anew.
  if (tweets.at(-1).id < Number($("feed").firstElementChild?.dataset.id)) {
    $("feed").replaceChildren();
  }
  // Whoever comes back has seen some of them.
  for (const tweet of tweets) if (!entryOf(tweet.id)) add(tweet, "");
});

socket.on("tweet", (tweet) => {
  if (held) hold(tweet);
  else add(tweet, "new");
});

socket.on("likes", (id, likes) => {
  const tweet = held?.find((it) => it.id === id);
  if (tweet) tweet.likes = likes;
  const entry = entryOf(id);
  if (entry) showLikes(entry, likes);
});

function entryOf(id) {
  return $("feed").querySelector(`[data-id="${Number(id)}"]`);
}

function add({ id, author, text, likes }, className) {
  const entry = element("li", `panel ${className}`);
  entry.dataset.id = id;
  const words = element("div", "words");
  words.append(element("h3", "", author), element("p", "", text));
  const like = element("button", "like");
  like.type = "button";
  like.ariaPressed = "false";
  like.append($("heart").content.cloneNode(true), element("span", "number"));
  like.onclick = () => {
    if (like.ariaPressed === "true") return;
    like.ariaPressed = "true";
    socket.emit("like", id);
  };
  entry.append(avatar(author), words, like);
  showLikes(entry, likes);
  $("feed").prepend(entry);
  while ($("feed").childElementCount > FEED_MAX) $("feed").lastElementChild.remove();
}

function showLikes(entry, likes) {
  const like = entry.querySelector(".like");
  like.querySelector("span").textContent = likes || "";
  like.ariaLabel = `Like, ${likes} so far`;
}

// Pause.

$("pause").onclick = () => {
  const tweets = held;
  held = tweets ? undefined : [];
  $("pause").ariaPressed = String(Boolean(held));
  $("pause-text").textContent = held ? "Resume" : "Pause";
  for (const tweet of tweets ?? []) add(tweet, "new");
  showHeld();
};

function hold(tweet) {
  if (entryOf(tweet.id) || held.some(({ id }) => id === tweet.id)) return;
  held.push(tweet);
  if (held.length > FEED_MAX) held.shift();
  showHeld();
}

function showHeld() {
  const count = held?.length === FEED_MAX ? `${FEED_MAX} or more` : held?.length;
  $("waiting").textContent = held ? `Paused. New: ${count}` : "";
}
