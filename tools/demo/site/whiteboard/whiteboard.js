/*
 * The whiteboard: everyone who has the page open draws on one board, with as many pointers as they
 * have fingers. It uses nothing of emio's client that the official one does not have.
 *
 * The contract with the server, as events of the namespace "/whiteboard":
 *
 *   client emits   artist  {name, color}           who I am, from now on
 *                  move    number, at, pointers, ack      volatile; ack(now)
 *                  stroke  {pointer, color, width, points}, ack      ack(id)
 *                  clear
 *   server emits   board   {me, artists, strokes}  on connection: the board as it is
 *                  artist  id, {name, color}       to the others: somebody came, or is called so now
 *                  gone    id                      to the others
 *                  move    id, number, at, pointers       volatile, to the others
 *                  stroke  id, pointer, {id, color, width, points}   to the others
 *                  forget  oldest[, id]            strokes before this one are no longer there, because
 *                                                  of an artist who wiped the board, if one is named
 *
 * A point is [x, y] in units of the board, which is 4000 wide and 3000 high. `pointers` are all of
 * the page's, each [pointer, [x, y], draws]. `color` is 0 to 7. `artists` is an object by id.
 *
 * Moves are numbered without gaps by who sends them: a gap is what was dropped on the way, by the
 * sender's client or by the server. `at` and `now` are milliseconds of the server's clock. A page
 * estimates it from the acknowledgement that took least time, so that an age is wrong by at most
 * half of that; 0 is not known yet.
 */
"use strict";

const WIDTH = 4000, HEIGHT = 3000;
const STROKE_POINTS_MAX = 240;
const ANSWER_MS_MAX = 2000;
const HEARTBEAT_MS = 1000;
const SHOWN_MS = 10_000; // of latencies
const SAMPLES_MAX = 4000;
// Beyond these, a peer does not tell the truth.
const GAP_MAX = 100_000;
const AGE_MS_MAX = 60_000;
const KEYBOARD = 8, FLOOD = 9; // numbers of pointers that are no fingers
const FLOOD_MOVES = 8; // in a frame
const FLOOD_MS_MAX = 10_000;
const SLOW_MS = 150; // in a frame
const KEY_STEP = 25, KEY_SPEED = 1.1; // units, and units in a millisecond
const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};
const ADJECTIVES = "Brave Calm Eager Gentle Happy Jolly Kind Lucky Quick Quiet Sunny Witty".split(" ");
const ANIMALS = "Badger Crab Finch Fox Hare Heron Lynx Marten Otter Owl Seal Wren".split(" ");

const $ = (id) => document.getElementById(id);
const socket = io("/whiteboard", shell.options());
shell.watch(socket);

let me; // my id
let color = 0;
let width = 14;
const artists = new Map(); // by id: {name, color, pointers, trails, next, seen, missed}
const strokes = new Map(); // by id, oldest first
const pending = new Set(); // mine that the server has not numbered
const mine = new Map(); // my pointers, by pointerId or name: {pointer, at, points}

// Latency.

const trips = []; // {time, ms} of my moves, there and back
const ages = []; // {time, ms} of moves that arrived
const losses = []; // {time, ms: how many} of gaps
let clock; // {offset, trip}: the best estimate of the server's clock
let number = 0;
let answered = 0;
let unanswered = 0;

function note(samples, ms) {
  const time = performance.now();
  while (samples.length && (samples[0].time < time - SHOWN_MS || samples.length > SAMPLES_MAX)) {
    samples.shift();
  }
  samples.push({ time, ms });
}

function serverNow() {
  return clock ? performance.now() + clock.offset : 0;
}

function percentiles(samples) {
  const oldest = performance.now() - SHOWN_MS;
  const recent = samples.filter(({ time }) => time >= oldest).map(({ ms }) => ms);
  recent.sort((a, b) => a - b);
  const at = (share) => recent[Math.min(recent.length - 1, Math.floor(recent.length * share))];
  return { p50: at(0.5), p95: at(0.95) };
}

function milliseconds(ms) {
  if (ms === undefined) return "–";
  return ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0);
}

/** Tells where my pointers are: lost if the connection has something else to do. */
function tellMove(pointers = [...mine.values()].map((it) => [it.pointer, it.at, !!it.points])) {
  if (!socket.connected) return;
  const sentAt = performance.now();
  number++;
  // The timeout also forgets the acknowledgement of a move that was dropped.
  socket.timeout(ANSWER_MS_MAX).volatile.emit("move", number, serverNow(), pointers, (err, now) => {
    if (err) {
      unanswered++;
      return;
    }
    answered++;
    const arrivedAt = performance.now();
    const trip = arrivedAt - sentAt;
    note(trips, trip);
    // Clocks drift, so that a good estimate gets a little worse with every answer.
    if (clock) clock.trip *= 1.002;
    if (!clock || trip <= clock.trip) clock = { trip, offset: now - (sentAt + arrivedAt) / 2 };
  });
}

socket.on("move", (id, number, at, pointers) => {
  const artist = artists.get(id);
  if (!artist) return;
  const gap = artist.next === undefined ? 0 : number - artist.next;
  const lost = gap > 0 && gap < GAP_MAX ? gap : 0;
  artist.next = number + 1;
  artist.seen++;
  artist.missed += lost;
  if (lost) note(losses, lost);
  // An estimate may be a little off, and then what has just been sent comes from the future.
  const age = Math.max(0, serverNow() - at);
  if (at && clock && age < AGE_MS_MAX) note(ages, age);
  artist.pointers = pointers;
  for (const [pointer, point, draws] of pointers) {
    if (!draws) continue;
    if (!artist.trails.has(pointer)) artist.trails.set(pointer, []);
    const trail = artist.trails.get(pointer);
    trail.push(point);
    if (trail.length > 2 * STROKE_POINTS_MAX) trail.shift();
  }
  isLiveDirty = true;
});

// Artists.

function setArtist(id, { name, color }) {
  const known = artists.get(id);
  if (known) Object.assign(known, { name, color });
  else artists.set(id, { name, color, pointers: [], trails: new Map(), seen: 0, missed: 0 });
  isLiveDirty = true;
  showArtists();
}

function showArtists() {
  const rows = [...artists].map(([id, { name, color, seen, missed }]) => {
    const row = shell.element("li");
    const swatch = shell.element("i", "swatch");
    swatch.dataset.color = color;
    const share = missed && (100 * missed) / (seen + missed);
    const lost = id === me ? "you" : missed ? `${missed} lost, ${share.toFixed(share < 10 ? 1 : 0)} %` :
      seen ? `${seen} moves, none lost` : "";
    row.append(swatch, shell.element("b", "", name), shell.element("span", "", lost));
    return row;
  });
  $("artists").replaceChildren(...rows);
  $("count").textContent = artists.size;
}

function introduce() {
  const name = $("name").value.trim() || $("name").placeholder;
  sessionStorage.setItem("name", name);
  if (me === undefined) return;
  setArtist(me, { name, color });
  socket.emit("artist", { name, color });
}

function say(text) {
  $("told").textContent = text;
}

socket.on("board", (board) => {
  me = board.me;
  artists.clear();
  strokes.clear();
  for (const [id, artist] of Object.entries(board.artists)) setArtist(+id, artist);
  for (const stroke of board.strokes) strokes.set(stroke.id, stroke);
  isPaperDirty = true;
  introduce();
  for (const stroke of pending) tellStroke(stroke);
});

socket.on("artist", (id, artist) => {
  if (!artists.has(id)) say("Somebody came");
  setArtist(id, artist);
});

socket.on("gone", (id) => {
  say(`${artists.get(id)?.name} left`);
  artists.delete(id);
  isLiveDirty = true;
  showArtists();
});

socket.on("disconnect", () => {
  artists.clear();
  me = undefined;
  isLiveDirty = true;
  showArtists();
});

// Strokes.

function tellStroke(stroke) {
  // While there is no connection it waits: `board` says when there is one.
  if (me === undefined) return;
  const { pointer, color, width, points } = stroke;
  socket.emit("stroke", { pointer, color, width, points }, (id) => {
    pending.delete(stroke);
    strokes.set(id, stroke);
  });
}

function endStroke(it, goesOn = false) {
  const points = it?.points;
  if (!points) return;
  it.points = goesOn ? [it.at] : undefined;
  const stroke = { pointer: it.pointer, color, width, points };
  pending.add(stroke);
  drawOnPaper(stroke);
  tellStroke(stroke);
  isLiveDirty = hasMoved = true;
}

function moveTo(it, at) {
  const [x, y] = it.at;
  if (x === at[0] && y === at[1]) return;
  it.at = at;
  it.points?.push(at);
  if (it.points?.length >= STROKE_POINTS_MAX) endStroke(it, true);
  isLiveDirty = hasMoved = true;
}

socket.on("stroke", (id, pointer, stroke) => {
  strokes.set(stroke.id, stroke);
  artists.get(id)?.trails.delete(pointer);
  drawOnPaper(stroke);
  isLiveDirty = true;
});

socket.on("forget", (oldest, id) => {
  for (const stroke of strokes.keys()) if (stroke < oldest) strokes.delete(stroke);
  isPaperDirty = true;
  if (id !== undefined) say(`${id === me ? "You" : artists.get(id)?.name} wiped the board`);
});

// Pointers: mouse, fingers, pens.

const board = $("board");

function pointOf({ clientX, clientY }) {
  const { left, top, width, height } = $("paper").getBoundingClientRect();
  const clamp = (value, max) => Math.round(Math.min(1, Math.max(0, value)) * max);
  return [clamp((clientX - left) / width, WIDTH), clamp((clientY - top) / height, HEIGHT)];
}

/** My pointer for this event, if the board has room for it. */
function pointerOf({ pointerId }, at) {
  if (!mine.has(pointerId)) {
    const taken = new Set([...mine.values()].map((it) => it.pointer));
    const pointer = [0, 1, 2, 3, 4, 5, 6, 7].find((it) => !taken.has(it));
    if (pointer === undefined) return undefined;
    mine.set(pointerId, { pointer, at });
    isLiveDirty = hasMoved = true;
  }
  return mine.get(pointerId);
}

board.onpointerdown = (event) => {
  if (event.button !== 0) return;
  const at = pointOf(event);
  const it = pointerOf(event, at);
  if (!it) return;
  board.setPointerCapture(event.pointerId);
  moveTo(it, at);
  it.points = [at];
  isLiveDirty = hasMoved = true;
};

board.onpointermove = (event) => {
  const it = pointerOf(event, pointOf(event));
  if (!it) return;
  // A fast pen has been at several places since the last frame.
  const steps = it.points ? event.getCoalescedEvents?.() ?? [] : [];
  for (const step of steps) moveTo(it, pointOf(step));
  moveTo(it, pointOf(event));
};

board.onpointerup = (event) => {
  endStroke(mine.get(event.pointerId));
  if (event.pointerType !== "mouse") removePointer(event.pointerId);
};
board.onpointercancel = board.onpointerleave = ({ pointerId }) => {
  endStroke(mine.get(pointerId));
  removePointer(pointerId);
};

function removePointer(id) {
  if (mine.delete(id)) isLiveDirty = hasMoved = true;
}

// The keyboard's pointer.

const held = new Set(); // arrow keys
let isFast = false;

function keyboardPointer() {
  if (!mine.has("keyboard")) mine.set("keyboard", { pointer: KEYBOARD, at: [WIDTH / 2, HEIGHT / 2] });
  isLiveDirty = hasMoved = true;
  return mine.get("keyboard");
}

function stepBy(distance) {
  const it = keyboardPointer();
  let [x, y] = it.at;
  for (const key of held) {
    x += ARROWS[key][0] * distance;
    y += ARROWS[key][1] * distance;
  }
  const clamp = (value, max) => Math.round(Math.min(max, Math.max(0, value)));
  moveTo(it, [clamp(x, WIDTH), clamp(y, HEIGHT)]);
}

board.onkeydown = (event) => {
  const { key } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  isFast = event.shiftKey;
  if (key in ARROWS) {
    event.preventDefault();
    if (!event.repeat) {
      held.add(key);
      stepBy(KEY_STEP);
    }
  } else if (key === " ") {
    event.preventDefault();
    if (event.repeat) return;
    const it = keyboardPointer();
    if (it.points) endStroke(it);
    else it.points = [it.at];
    say(it.points ? "The pen is down" : "The pen is up");
  } else if (key === "Escape") {
    endStroke(mine.get("keyboard"));
    removePointer("keyboard");
  } else if (key >= "1" && key <= "8") {
    $("colors").querySelectorAll("input")[key - 1].click();
    board.focus();
  }
};
board.onkeyup = ({ key, shiftKey }) => {
  isFast = shiftKey;
  held.delete(key);
};
board.onblur = () => {
  held.clear();
  endStroke(mine.get("keyboard"));
  removePointer("keyboard");
};
board.onfocus = () => {
  if (board.matches(":focus-visible")) keyboardPointer();
};

// Drawing. The paper has what stays, the sheet above it what moves.

const paper = $("paper").getContext("2d");
const live = $("live").getContext("2d");
let isPaperDirty = true;
let isLiveDirty = true;
let hasMoved = false;
let pens = [];
let style;

function readColors() {
  style = getComputedStyle(document.documentElement);
  pens = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => style.getPropertyValue(`--pen-${n}`).trim());
  isPaperDirty = isLiveDirty = true;
}

/** Fits a canvas to its place on the screen, pixel by pixel. */
function fit(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((it) => Math.round(it * ratio));
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}

function drawOnPaper(stroke) {
  if (!isPaperDirty) drawStroke(paper, stroke);
  $("hint").hidden = true;
}

/** A curve through the middles between points, so that corners are round. */
function drawStroke(context, { color, width, points }) {
  context.strokeStyle = context.fillStyle = pens[color];
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  const [[x, y], ...rest] = points;
  if (!rest.length) {
    context.arc(x, y, width / 2, 0, 2 * Math.PI);
    context.fill();
    return;
  }
  context.moveTo(x, y);
  rest.slice(0, -1).forEach(([x, y], index) => {
    const [nextX, nextY] = rest[index + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  });
  context.lineTo(...rest.at(-1));
  context.stroke();
}

function wipe(context) {
  const { width, height } = context.canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(width / WIDTH, 0, 0, height / HEIGHT, 0, 0);
}

function drawPaper() {
  wipe(paper);
  for (const stroke of strokes.values()) drawStroke(paper, stroke);
  for (const stroke of pending) drawStroke(paper, stroke);
  $("hint").hidden = strokes.size + pending.size > 0;
}

function drawLive() {
  wipe(live);
  const unit = WIDTH / live.canvas.clientWidth; // one pixel of the page
  for (const artist of artists.values()) {
    for (const points of artist.trails.values()) {
      drawStroke(live, { color: artist.color, width: 10, points });
    }
  }
  for (const { points } of mine.values()) if (points) drawStroke(live, { color, width, points });
  for (const [id, { name, color, pointers }] of artists) {
    if (id === me) continue;
    for (const [, [x, y], draws] of pointers) drawPointer(name, pens[color], x, y, draws, unit);
  }
  const keyboard = mine.get("keyboard");
  if (keyboard) drawCross(...keyboard.at, unit, !!keyboard.points);
}

function drawPointer(name, pen, x, y, draws, unit) {
  live.save();
  live.translate(x, y);
  live.scale(unit, unit);
  live.fillStyle = pen;
  live.strokeStyle = style.getPropertyValue("--paper");
  live.lineWidth = 1.5;
  live.beginPath();
  if (draws) {
    live.arc(0, 0, 5, 0, 2 * Math.PI);
  } else {
    live.moveTo(0, 0);
    live.lineTo(5.5, 17);
    live.lineTo(8.5, 8.5);
    live.lineTo(17, 5.5);
    live.closePath();
  }
  live.fill();
  live.stroke();
  live.font = "600 12px system-ui, sans-serif";
  const wide = live.measureText(name).width + 12;
  // The label stays on the board.
  const left = (x / unit) + 10 + wide > WIDTH / unit ? -10 - wide : 12;
  const top = (y / unit) + 36 > HEIGHT / unit ? -32 : 14;
  live.beginPath();
  live.roundRect(left, top, wide, 20, 10);
  live.fill();
  live.fillStyle = style.getPropertyValue("--paper");
  live.textBaseline = "middle";
  live.fillText(name, left + 6, top + 10.5);
  live.restore();
}

function drawCross(x, y, unit, draws) {
  live.strokeStyle = pens[color];
  live.lineWidth = (draws ? 3 : 1.5) * unit;
  live.beginPath();
  live.moveTo(x - 12 * unit, y);
  live.lineTo(x + 12 * unit, y);
  live.moveTo(x, y - 12 * unit);
  live.lineTo(x, y + 12 * unit);
  live.stroke();
}

// The trace: each dot is a move that arrived, by its milliseconds; each bar below, moves lost.

const trace = $("trace").getContext("2d");

function drawTrace() {
  fit(trace.canvas);
  const { clientWidth: wide, clientHeight: high } = trace.canvas;
  trace.setTransform(trace.canvas.width / wide, 0, 0, trace.canvas.height / high, 0, 0);
  trace.clearRect(0, 0, wide, high);
  const now = performance.now();
  const shown = (samples) => samples.filter(({ time }) => time > now - SHOWN_MS);
  const [tripsShown, agesShown] = [shown(trips), shown(ages)];
  const most = Math.max(8, ...tripsShown.map(({ ms }) => ms), ...agesShown.map(({ ms }) => ms));
  const top = 2 ** Math.ceil(Math.log2(most));
  // Between 0 and `top`, small differences among small values are seen as well.
  const y = (ms) => high - 14 - (high - 22) * Math.log1p(ms) / Math.log1p(top);
  const x = (time) => wide * (1 - (now - time) / SHOWN_MS);
  trace.font = "10px system-ui, sans-serif";
  trace.lineWidth = 1;
  for (const ms of [top, Math.round(Math.sqrt(top))]) {
    trace.strokeStyle = style.getPropertyValue("--line");
    trace.beginPath();
    trace.moveTo(0, y(ms));
    trace.lineTo(wide, y(ms));
    trace.stroke();
    trace.fillStyle = style.getPropertyValue("--soft");
    trace.fillText(`${ms} ms`, 2, y(ms) + 10);
  }
  for (const [samples, name] of [[tripsShown, "--accent"], [agesShown, "--age"]]) {
    trace.fillStyle = style.getPropertyValue(name);
    for (const { time, ms } of samples) trace.fillRect(x(time) - 1, y(ms) - 1, 2.4, 2.4);
  }
  trace.fillStyle = style.getPropertyValue("--warn");
  for (const { time, ms } of shown(losses)) {
    const tall = Math.min(10, 3 + Math.log2(ms));
    trace.fillRect(x(time) - 1, high - tall, 2, tall);
  }
}

function showFigures() {
  for (const [name, samples] of [["trip", trips], ["age", ages]]) {
    const { p50, p95 } = percentiles(samples);
    $(`${name}-p50`).textContent = milliseconds(p50);
    $(`${name}-p95`).textContent = milliseconds(p95);
  }
  let seen = 0, missed = 0;
  for (const artist of artists.values()) {
    seen += artist.seen;
    missed += artist.missed;
  }
  $("sent").textContent = number;
  $("answered").textContent = answered;
  $("unanswered").textContent = unanswered;
  $("seen").textContent = seen;
  $("missed").textContent = missed;
  $("strokes").textContent = strokes.size;
  $("missed").closest("div").classList.toggle("some", missed > 0);
  showArtists();
}

// One turn of the page.

const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
let lastFrame = performance.now();

function frame(now) {
  const passed = Math.min(100, now - lastFrame);
  lastFrame = now;
  if (held.size) stepBy(KEY_SPEED * passed * (isFast ? 3 : 1));
  if (floodUntil > now) flood(now);
  else if (floodUntil) stopFlood();
  else if (hasMoved) tellMove();
  hasMoved = false;
  for (const context of [paper, live]) {
    const { width, height } = context.canvas;
    fit(context.canvas);
    if (width !== context.canvas.width || height !== context.canvas.height) {
      isPaperDirty = isLiveDirty = true;
    }
  }
  if (isPaperDirty) drawPaper();
  if (isLiveDirty) drawLive();
  isPaperDirty = isLiveDirty = false;
  if (!isCalm.matches) drawTrace();
  if ($("slow").ariaPressed === "true") waste(SLOW_MS);
  requestAnimationFrame(frame);
}

/** Keeps the page busy: what arrives meanwhile waits, or is dropped where a poll is missing. */
function waste(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

setInterval(() => {
  showFigures();
  if (isCalm.matches) drawTrace();
}, 500);
// A move at rest: it keeps the latency current, and repairs what was lost of the last one.
setInterval(() => tellMove(), HEARTBEAT_MS);

// More moves than fit: a ghost runs along a curve, with several steps in one frame.

let floodUntil = 0;

function flood(now) {
  for (let step = 0; step < FLOOD_MOVES; step++) {
    const angle = (now + step * 2) / 700;
    const at = [
      Math.round(WIDTH * (0.5 + 0.38 * Math.sin(3 * angle))),
      Math.round(HEIGHT * (0.5 + 0.38 * Math.sin(2 * angle))),
    ];
    const others = [...mine.values()].map((it) => [it.pointer, it.at, !!it.points]);
    tellMove([...others, [FLOOD, at, false]]);
  }
}

function stopFlood() {
  floodUntil = 0;
  $("flood").ariaPressed = "false";
  tellMove();
}

$("flood").onclick = () => {
  if (floodUntil) {
    stopFlood();
    return;
  }
  floodUntil = performance.now() + FLOOD_MS_MAX;
  $("flood").ariaPressed = "true";
};

$("slow").onclick = () => {
  $("slow").ariaPressed = $("slow").ariaPressed !== "true";
};

// Tools.

$("colors").onchange = ({ target }) => {
  endOwnStrokes();
  color = +target.value;
  introduce();
  isLiveDirty = true;
};
$("widths").onchange = ({ target }) => {
  endOwnStrokes();
  width = +target.value;
};
$("clear").onclick = () => socket.emit("clear");
$("name").onchange = introduce;
$("tools").onsubmit = (event) => {
  event.preventDefault();
  introduce();
};

/** A stroke has one colour and one width. */
function endOwnStrokes() {
  for (const it of mine.values()) if (it.points) endStroke(it, true);
}

matchMedia("(prefers-color-scheme: dark)").onchange = readColors;
const one = (list) => list[Math.floor(Math.random() * list.length)];
$("name").value = sessionStorage.getItem("name") ?? `${one(ADJECTIVES)} ${one(ANIMALS)}`;
$("name").placeholder = $("name").value;
color = Math.floor(Math.random() * 8);
$("colors").querySelectorAll("input")[color].checked = true;
readColors();
requestAnimationFrame(frame);
