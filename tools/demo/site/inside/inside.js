/*
 * Inside: the server's own figures, live. It uses nothing of emio's client that the official one
 * does not have.
 *
 * The contract with the server, as events of the namespace "/inside":
 *
 *   server emits   figures  {version, uptimeS, watchers, connections, sessions, namespaces, sockets,
 *                            rooms, memory, backlogBytes, incomingBytes, messagesIn, …}
 *                           volatile, once a second; rates are per second, the rest is as it is now.
 *                           `struct Figures` in inside.rs names all of them.
 *
 * and of "/inside/crowd", where this page's further connections go:
 *
 *   client emits   chatter  number, ack            ack(number)
 */
"use strict";

const SHOWN_S = 90;
const SHOWN_S_LEAST = 20; // as long as there is no more
const CROWD_STEP = 10;
const CROWD_MAX = 50;
// A browser has six connections to a host for everything that is HTTP, and a poll holds one.
const CROWD_POLLING_MAX = 3;
const CHATTER_MS = 100;

const $ = (id) => document.getElementById(id);
const socket = io("/inside", shell.options());
shell.watch(socket);

// Numbers as people read them.

const whole = (value) => Math.round(value).toLocaleString("en");

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let size = Math.abs(value), unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : 1;
  return `${value < 0 ? "−" : ""}${size.toFixed(digits)} ${units[unit]}`;
}

const byteRate = (value) => `${bytes(value)}/s`;
const rate = (value) => `${whole(value)}/s`;
const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const microseconds = (value) => (value < 1000 ? `${whole(value)} µs` : milliseconds(value / 1000));

function duration(seconds) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, parts.findIndex(([length]) => seconds >= length));
  const shown = seconds ? parts.slice(first, first + 2) : [[1, "s"]];
  return shown.map(([length, unit], index) => {
    const count = Math.floor((index ? seconds % shown[0][0] : seconds) / length);
    return `${count} ${unit}`;
  }).join(" ");
}

// What is drawn: charts of one to three lines. `total` is the large figure, of the first line unless
// it says otherwise; `least` is what the top of the chart at least stands for.

const CHARTS = [
  {
    id: "connections", title: "Connections", format: whole, least: 4,
    total: ({ connections: it }) => it.websocket + it.polling + it.idle + it.other,
    lines: [
      ["WebSocket", ({ connections }) => connections.websocket],
      ["waiting poll", ({ connections }) => connections.polling],
      ["idle HTTP", ({ connections }) => connections.idle + connections.other],
    ],
  },
  {
    id: "sessions", title: "Sessions", format: whole, least: 4,
    total: ({ sessions: it }) => it.websocket + it.polling + it.other,
    lines: [
      ["WebSocket", ({ sessions }) => sessions.websocket],
      ["polling", ({ sessions }) => sessions.polling + sessions.other],
    ],
  },
  {
    id: "sockets", title: "Sockets and rooms", format: whole, least: 4,
    lines: [["sockets", ({ sockets }) => sockets], ["rooms", ({ rooms }) => rooms]],
  },
  {
    id: "messages", title: "Messages", format: rate, least: 5,
    total: ({ messagesIn, messagesOut }) => messagesIn + messagesOut,
    lines: [["in", (it) => it.messagesIn], ["out", (it) => it.messagesOut]],
  },
  {
    id: "bytes", title: "Bytes", format: byteRate, least: 1024,
    total: ({ bytesIn, bytesOut }) => bytesIn + bytesOut,
    lines: [["in", (it) => it.bytesIn], ["out", (it) => it.bytesOut]],
  },
  {
    id: "backlog", title: "Backlog", format: bytes, least: 1024,
    lines: [
      ["to clients", ({ backlogBytes }) => backlogBytes],
      ["from clients, incomplete", ({ incomingBytes }) => incomingBytes],
    ],
  },
  {
    id: "lag", title: "Loop lag", format: milliseconds, least: 4,
    lines: [["a timer was late by", ({ lagMs }) => lagMs]],
  },
  {
    id: "turns", title: "Turns of the loop", format: rate, least: 20,
    lines: [["turns", ({ turns }) => turns]],
    note: ({ turnUsMean }) => `each ${microseconds(turnUsMean)} on average`,
  },
  {
    id: "memory", title: "Memory", format: bytes, least: 1024 * 1024,
    isThere: ({ memory }) => memory,
    lines: [
      ["resident", ({ memory }) => memory.residentBytes],
      ["of it private", ({ memory }) => memory.privateBytes],
    ],
  },
];

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH] = [300, 70];
const past = []; // {time, figures}, oldest first
let first; // the figures that this page saw first

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  return made;
}

/** A card with its chart and what is changed in it at every report. */
function makeCard(chart) {
  const card = shell.element("article", "panel card");
  const title = shell.element("h2", "", chart.title);
  const value = shell.element("p", "value number", "–");
  value.id = chart.id;
  const top = shell.element("span", "top number");
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" });
  const area = svg("path", { class: "area" });
  drawing.append(area);
  const legend = shell.element("ul", "legend");
  const lines = chart.lines.map(([label], index) => {
    const path = svg("path", { class: `line line-${index}` });
    drawing.append(path);
    const item = shell.element("li");
    const figure = shell.element("b", "number", "–");
    figure.id = `${chart.id}-${index}`;
    item.append(shell.element("i", `key line-${index}`), `${label} `, figure);
    legend.append(item);
    return { path, figure };
  });
  const note = shell.element("li", "soft");
  if (chart.note) legend.append(note);
  const plot = shell.element("div", "plot");
  plot.append(drawing, top);
  card.append(title, value, plot, legend);
  $("charts").append(card);

  const rows = [makeRow(chart.title, "total")];
  for (const [label] of chart.lines) rows.push(makeRow(label, "part"));
  return { chart, card, value, top, drawing, area, lines, note, rows };
}

function makeRow(title, className) {
  const row = shell.element("tr", className);
  row.append(Object.assign(shell.element("th", "", title), { scope: "row" }));
  row.append(...[0, 1, 2].map(() => shell.element("td")));
  $("table").append(row);
  return row;
}

const cards = CHARTS.map(makeCard);

function showCard({ chart, card, value, top, drawing, area, lines, note, rows }) {
  const { format, isThere = () => true } = chart;
  const total = chart.total ?? chart.lines[0][1];
  const now = past.at(-1);
  for (const part of [card, ...rows]) part.hidden = !isThere(now.figures);
  if (card.hidden) return;
  const shownMs = Math.max(SHOWN_S_LEAST * 1000, now.time - past[0].time);
  const x = ({ time }) => WIDE * (1 - (now.time - time) / shownMs);
  const series = chart.lines.map(([, get]) => past.map(({ figures }) => get(figures)));
  const most = Math.max(chart.least, ...series.flat());
  const y = (it) => HIGH - 1 - (HIGH - 6) * it / most;
  series.forEach((values, index) => {
    const points = values.map((it, n) => `${x(past[n]).toFixed(1)} ${y(it).toFixed(1)}`);
    lines[index].figure.textContent = format(values.at(-1));
    lines[index].path.setAttribute("d", `M${points.join("L")}`);
    if (index) return;
    const [start, end] = [`${x(past[0]).toFixed(1)} ${HIGH}`, `${WIDE} ${HIGH}`];
    area.setAttribute("d", `M${[start, ...points, end].join("L")}Z`);
  });
  const all = [past.map(({ figures }) => total(figures)), ...series];
  all.forEach((values, index) => {
    const [least, greatest] = [Math.min(...values), Math.max(...values)];
    const texts = [values.at(-1), least, greatest].map(format);
    texts.forEach((text, n) => (rows[index].children[n + 1].textContent = text));
  });
  const [, current, least, greatest] = [...rows[0].children].map((it) => it.textContent);
  value.textContent = current;
  top.textContent = format(most);
  if (chart.note) note.textContent = chart.note(now.figures);
  drawing.setAttribute("aria-label",
    `${chart.title}: now ${current}, between ${least} and ${greatest} before`);
}

function showFacts(figures) {
  $("version").textContent = `emio ${figures.version}`;
  $("uptime").textContent = duration(figures.uptimeS);
  $("opened").textContent = whole(figures.sessionsOpened);
  $("upgraded").textContent = whole(figures.sessionsUpgraded);
  $("dropped").textContent = whole(figures.volatileDropped);
  $("refused").textContent = whole(figures.refused);
  $("watchers").textContent = whole(figures.watchers);
  $("namespaces").replaceChildren(...figures.namespaces.map(({ name, sockets, rooms }) => {
    const row = shell.element("tr");
    row.append(Object.assign(shell.element("th", "", name), { scope: "row" }),
      shell.element("td", "", whole(sockets)), shell.element("td", "", whole(rooms)));
    return row;
  }));
}

const sessionsOf = ({ sessions: it }) => it.websocket + it.polling + it.other;

function showMemory(figures) {
  if (!figures.memory || !first.memory) return;
  const sessions = sessionsOf(figures);
  $("share").textContent = sessions ? bytes(figures.memory.privateBytes / sessions) : "–";
  const more = sessions - sessionsOf(first);
  const moreBytes = figures.memory.privateBytes - first.memory.privateBytes;
  $("more-sessions").textContent = more > 0 ? `+${whole(more)}` : whole(more);
  $("more-bytes").textContent = (moreBytes > 0 ? "+" : "") + bytes(moreBytes);
  // Of a few, whole pages of memory would say nothing.
  $("each").textContent = more >= 5 ? bytes(moreBytes / more) : "–";
}

// What came before may have been another process.
socket.on("connect", () => {
  first = undefined;
});

socket.on("figures", (figures) => {
  const time = performance.now();
  first ??= figures;
  past.push({ time, figures });
  while (past[0].time < time - SHOWN_S * 1000) past.shift();
  for (const card of cards) showCard(card);
  showFacts(figures);
  showMemory(figures);
});

// The crowd: further connections, each with a session of its own.

const crowd = []; // sockets
let chatterTimer;

function showCrowd() {
  const connected = crowd.filter((it) => it.connected);
  const polling = connected.filter((it) => it.io.engine.transport.name === "polling").length;
  $("crowd").textContent = connected.length;
  const mix = `: ${polling} polling, ${connected.length - polling} WebSocket`;
  $("mix").textContent = connected.length ? mix : "";
  $("open").disabled = crowd.length >= CROWD_MAX;
  $("close").disabled = !crowd.length;
}

$("open").onclick = () => {
  for (let n = 0; n < CROWD_STEP && crowd.length < CROWD_MAX; n++) {
    const transport = crowd.length < CROWD_POLLING_MAX ? "polling" : "websocket";
    const it = io("/inside/crowd", { forceNew: true, transports: [transport] });
    it.on("connect", showCrowd);
    it.on("disconnect", showCrowd);
    crowd.push(it);
  }
  $("told").textContent = `${crowd.length} connections`;
  showCrowd();
};

$("close").onclick = () => {
  setChatter(false);
  for (const it of crowd.splice(0)) it.disconnect();
  $("told").textContent = "All closed";
  showCrowd();
  // A disabled button loses the focus, and who uses the keyboard their place.
  $("open").focus();
};

function setChatter(on) {
  clearInterval(chatterTimer);
  $("chatter").ariaPressed = String(on);
  if (!on) return;
  let count = 0;
  chatterTimer = setInterval(() => {
    count = (count + 1) % 1000;
    for (const it of crowd) if (it.connected) it.emit("chatter", count, () => {});
  }, CHATTER_MS);
}

$("chatter").onclick = () => {
  const on = $("chatter").ariaPressed !== "true";
  if (on && !crowd.length) $("open").click();
  setChatter(on);
};
