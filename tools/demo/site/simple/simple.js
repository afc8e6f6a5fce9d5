/*
 * Chat in ten lines: what one says, everybody hears. The contract with the server, as events of
 * the namespace "/simple":
 *
 *   client emits   chat message  text      at most 4 KiB; longer ones are not passed on
 *   server emits   chat message  text      to everyone, also to its sender
 */
"use strict";

const $ = (id) => document.getElementById(id);
const MESSAGES_MAX = 200;

const socket = io("/simple", shell.options());
shell.watch(socket);

$("form").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) socket.emit("chat message", text);
  $("text").value = "";
  $("text").focus();
};

socket.on("chat message", (text) => {
  $("empty").hidden = true;
  $("messages").append(shell.element("li", "", text));
  if ($("messages").childElementCount > MESSAGES_MAX) $("messages").firstElementChild.remove();
  $("scroll").scrollTop = $("scroll").scrollHeight;
});
