/*
 * The dashboard: how the host does, and what its visitors say about it. It uses nothing of emio's
 * client that the official one does not have.
 *
 * The contract with the server, as events of the namespace "/dashboard":
 *
 *   client emits   comment   name, text, ack        ack(null) once it is on disk, or ack(why not)
 *   server emits   history   {comments, samples}    first of all, also after a reconnection
 *                  comment   comment                to everyone, also to its author
 *                  figures   sample, facts          to everyone, each second, volatile
 *                  watching  count                  to everyone, when somebody comes or goes
 *
 *   comment   {id, at, name, text}; of the history the last 100, oldest first
 *   sample    {at, cpuPercent, memoryBytes, load: [1, 5, 15 minutes], celsius}; of the history the
 *             last quarter of an hour, each the mean of five seconds
 *   facts     {cores, memoryTotalBytes, uptimeSeconds, serverBytes}
 *
 * `at` is in milliseconds since 1970, by the server's clock. What the host does not tell is null.
 * The history replaces all that the page has, so that nothing is there twice. What people write is
 * only ever set as text.
 */
"use strict";

const WINDOW_MS = 15 * 60_000; // what the charts show at most
const WINDOW_MS_MIN = 60_000; // and at least
const GAP_MS = 15_000; // without figures for longer, a curve is interrupted
const POINTS_MAX = 300;
const COMMENTS_MAX = 100;
const ACK_MS_MAX = 8_000;
const PAGE_STEPS = 10;

const $ = (id) => document.getElementById(id);
const socket = io("/dashboard", shell.options());
shell.watch(socket);

let samples = []; // the oldest first
let facts; // unknown until the first figures come
let comments = []; // the oldest first
let cursor; // the time that is looked at, if it is not now

// What the charts show.

const percent = (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`;
const degrees = (value) => `${value.toFixed(1)} °C`;

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** In the unit that suits `of`. */
function size(bytes, of = bytes) {
  const [unit, per] = of >= GIB ? ["GiB", GIB] : ["MiB", MIB];
  const value = bytes / per;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

const CHARTS = [
  {
    id: "cpu", title: "CPU use", unit: "%",
    lines: [{ name: "all processors", of: ({ cpuPercent }) => cpuPercent }],
    says: percent, top: () => 100,
  },
  {
    id: "memory", title: "Memory in use", unit: () => (memoryTop() >= GIB ? "GiB" : "MiB"),
    lines: [{ name: "in use", of: ({ memoryBytes }) => memoryBytes }],
    says: (bytes) => size(bytes, memoryTop()), per: () => (memoryTop() >= GIB ? GIB : MIB),
    beside: () => (facts?.memoryTotalBytes ? `of ${size(facts.memoryTotalBytes)}` : ""),
  },
  {
    id: "load", title: "Load average", unit: "processes",
    lines: [
      { name: "1 min", of: ({ load }) => load?.[0] },
      { name: "5 min", of: ({ load }) => load?.[1] },
      { name: "15 min", of: ({ load }) => load?.[2] },
    ],
    says: (value) => value.toFixed(2), top: (max) => Math.max(max, 0.5),
  },
  {
    id: "celsius", title: "Temperature", unit: "°C",
    lines: [{ name: "processor", of: ({ celsius }) => celsius }],
    says: degrees, bottom: (min) => min - 3, top: (max) => max + 3,
  },
];

/** The whole memory; before it is known, the most that was in use. */
function memoryTop() {
  return facts?.memoryTotalBytes ?? Math.max(0, ...samples.map(({ memoryBytes }) => memoryBytes));
}

// Charts: a figure has a head that says the value, and a drawing that one can point at.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 42, right: 12, top: 10, bottom: 24 };

function drawn(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function makeChart(chart) {
  const { element } = shell;
  const figure = element("figure", "panel chart");
  figure.id = `chart-${chart.id}`;
  const head = element("figcaption");
  const title = element("h3", "", chart.title);
  title.id = `chart-${chart.id}-title`;
  chart.when = element("span", "when soft");
  const values = element("p", "values number");
  chart.values = chart.lines.map(({ name }, index) => {
    const value = element("b", "", "–");
    if (chart.lines.length === 1) {
      chart.note = element("span", "soft");
      values.append(value, " ", chart.note);
    } else {
      const part = element("span", `legend line-${index}`);
      part.append(element("i"), element("span", "soft", name), " ", value);
      values.append(part);
    }
    return value;
  });
  head.append(title, chart.when, values);

  // To ears the curve is a slider along its time, whose value is what was measured then.
  chart.plot = element("div", "plot");
  chart.plot.role = "slider";
  chart.plot.tabIndex = 0;
  chart.plot.setAttribute("aria-labelledby", title.id);
  chart.plot.ariaValueMin = 0;
  chart.svg = drawn("svg", { "aria-hidden": "true" });
  chart.absent = element("p", "absent soft", "Waiting for the first figures…");
  chart.plot.append(chart.svg);
  figure.append(head, chart.plot, chart.absent);
  $("charts").append(figure);
  chart.figure = figure;

  chart.plot.onpointermove = chart.plot.onpointerdown = (event) => {
    const { left } = chart.plot.getBoundingClientRect();
    const { begin, end } = timeSpan();
    const width = chart.plot.clientWidth - MARGIN.left - MARGIN.right;
    lookAt(begin + (end - begin) * ((event.clientX - left - MARGIN.left) / width));
  };
  chart.plot.onpointerleave = () => lookAt(undefined);
  chart.plot.onblur = () => lookAt(undefined);
  chart.plot.onfocus = () => sayValue(chart);
  chart.plot.onkeydown = (event) => {
    const points = binned();
    const last = points.length - 1;
    const now = cursor === undefined ? last : nearest(points, cursor);
    const steps = {
      ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
      PageDown: now - PAGE_STEPS, PageUp: now + PAGE_STEPS, Home: 0, End: last, Escape: last,
    };
    if (last < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const to = Math.min(Math.max(steps[event.key], 0), last);
    lookAt(to === last ? undefined : points[to].at);
    sayValue(chart);
  };
  new ResizeObserver(() => draw(chart)).observe(chart.plot);
}

/** Shows the values of a time in all charts, or those of now. */
function lookAt(time) {
  cursor = time;
  redraw();
}

/** Only where somebody listens: a value that changes each second would be read each second. */
function sayValue(chart) {
  const points = binned();
  const index = cursor === undefined ? points.length - 1 : nearest(points, cursor);
  chart.plot.ariaValueMax = Math.max(points.length - 1, 0);
  chart.plot.ariaValueNow = Math.max(index, 0);
  chart.plot.ariaValueText = points.length ? spoken(chart, points[index]) : "no figures yet";
}

function spoken(chart, point) {
  const values = chart.lines.map(({ name, of }) => {
    const value = of(point);
    const said = value == null ? "unknown" : chart.says(value);
    return chart.lines.length > 1 ? `${name}: ${said}` : said;
  });
  return `${cursor === undefined ? "now" : clock(point.at)}, ${values.join(", ")}`;
}

/** Begins with what there is, so that a young chart is full of it too. */
function timeSpan() {
  const end = samples.at(-1)?.at ?? 0;
  const begin = Math.min(samples[0]?.at ?? 0, end - WINDOW_MS_MIN);
  return { begin: Math.max(begin, end - WINDOW_MS), end };
}

/** The samples as at most so many points. Bins begin at round times, so that they do not change. */
function binned() {
  const { begin, end } = timeSpan();
  const binMs = Math.ceil((end - begin) / POINTS_MAX / 1000) * 1000;
  const bins = new Map();
  for (const sample of samples) {
    const bin = Math.floor(sample.at / binMs);
    if (!bins.has(bin)) bins.set(bin, []);
    bins.get(bin).push(sample);
  }
  return [...bins.values()].map((bin) => (bin.length === 1 ? bin[0] : mean(bin)));
}

function mean(bin) {
  const of = (get) => {
    const values = bin.map(get).filter((value) => value != null);
    return values.length ? values.reduce((sum, value) => sum + value) / values.length : null;
  };
  const { at, load } = bin.at(-1);
  return {
    at, load,
    cpuPercent: of(({ cpuPercent }) => cpuPercent),
    memoryBytes: of(({ memoryBytes }) => memoryBytes),
    celsius: of(({ celsius }) => celsius),
  };
}

function nearest(points, time) {
  const distance = (index) => Math.abs(points[index].at - time);
  return points.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0);
}

/** Steps of 1, 2 or 5 times a power of ten, some four of them. */
function roundStep(range) {
  const power = 10 ** Math.floor(Math.log10(range / 4));
  return power * [1, 2, 5, 10].find((step) => step * power * 4.5 >= range);
}

const TIME_STEPS = [15, 30, 60, 120, 300].map((seconds) => seconds * 1000);

function ago(ms) {
  if (ms === 0) return "now";
  return ms < 60_000 ? `−${ms / 1000} s` : `−${ms / 60_000} min`;
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { timeStyle: "medium" });
}

/** Runs of points without a gap. */
function runs(points, of) {
  const found = [];
  let before;
  for (const point of points) {
    if (of(point) == null) {
      before = undefined;
      continue;
    }
    if (before === undefined || point.at - before > GAP_MS) found.push([]);
    found.at(-1).push(point);
    before = point.at;
  }
  return found;
}

function draw(chart) {
  const points = binned();
  const all = points.flatMap((point) => chart.lines.map(({ of }) => of(point)))
    .filter((value) => value != null);
  const isAbsent = !all.length;
  chart.plot.hidden = isAbsent;
  chart.values[0].closest("p").hidden = isAbsent;
  chart.absent.hidden = !isAbsent;
  if (points.length) chart.absent.textContent = "Not on this host";
  const shown = points[cursor === undefined ? points.length - 1 : nearest(points, cursor)];
  writeHead(chart, isAbsent ? undefined : shown);
  const { clientWidth: width, clientHeight: height } = chart.plot;
  if (isAbsent || !width) return;

  const { begin, end } = timeSpan();
  const per = chart.per?.() ?? 1;
  const bottom = (chart.bottom?.(Math.min(...all)) ?? 0) / per;
  const most = Math.max(...all);
  const step = roundStep(((chart.top?.(most) ?? most * 1.1) / per - bottom) || 1);
  const low = Math.floor(bottom / step + 1e-9) * step;
  const steps = Math.ceil(((chart.top?.(most) ?? most * 1.1) / per - low) / step - 1e-9) || 1;
  const high = low + steps * step;

  const [x0, x1] = [MARGIN.left, width - MARGIN.right];
  const [y0, y1] = [height - MARGIN.bottom, MARGIN.top];
  const x = (at) => x0 + ((x1 - x0) * (at - begin)) / (end - begin);
  const y = (value) => y0 - ((y0 - y1) * (value / per - low)) / (high - low);
  const parts = [];

  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  for (let index = 0; index <= steps; index++) {
    const value = low + index * step;
    const line = y(value * per);
    parts.push(drawn("line", { class: "grid", x1: x0, x2: x1, y1: line, y2: line }));
    const label = { class: "tick", x: x0 - 7, y: line + 4, "text-anchor": "end" };
    parts.push(drawn("text", label, value.toFixed(digits)));
  }
  const timeStep = TIME_STEPS.find((ms) => (end - begin) / ms <= (width < 330 ? 3.5 : 5));
  for (let ms = 0; ms <= end - begin; ms += timeStep ?? TIME_STEPS.at(-1)) {
    const isLast = ms === 0;
    const label = { class: "tick", x: x(end - ms), y: height - 5 };
    parts.push(drawn("text", { ...label, "text-anchor": isLast ? "end" : "middle" }, ago(ms)));
  }

  // The first line is drawn last, above the others.
  for (const [index, { of }] of [...chart.lines.entries()].reverse()) {
    for (const run of runs(points, of)) {
      const way = run.map((point) => `${x(point.at).toFixed(1)} ${y(of(point)).toFixed(1)}`);
      const [left, right] = [x(run[0].at), x(run.at(-1).at)];
      if (chart.lines.length === 1 && !chart.bottom) {
        const d = `M${left} ${y0}L${way.join("L")}L${right} ${y0}Z`;
        parts.push(drawn("path", { class: "area", d }));
      }
      // A run of one point is a dot, by its round ends.
      parts.push(drawn("path", { class: `curve line-${index}`, d: `M${way[0]}L${way.join("L")}` }));
    }
  }

  for (const { at } of comments) {
    if (at >= begin && at <= end) {
      parts.push(drawn("circle", { class: "mark", cx: x(at), cy: y0, r: 3.5 }));
    }
  }
  if (cursor !== undefined) {
    const line = x(shown.at);
    parts.push(drawn("line", { class: "cursor", x1: line, x2: line, y1, y2: y0 }));
  }
  for (const [index, { of }] of chart.lines.entries()) {
    if (of(shown) == null) continue;
    const at = { cx: x(shown.at), cy: y(of(shown)) };
    parts.push(drawn("circle", { class: `dot-${index} point`, ...at, r: index ? 3 : 4 }));
  }
  chart.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.svg.replaceChildren(...parts);
  chart.figure.dataset.points = points.length;
}

function writeHead(chart, point) {
  const unit = typeof chart.unit === "function" ? chart.unit() : chart.unit;
  chart.when.textContent = cursor === undefined || !point ? unit : clock(point.at);
  chart.when.classList.toggle("past", cursor !== undefined && !!point);
  for (const [index, { of }] of chart.lines.entries()) {
    const value = point && of(point);
    chart.values[index].textContent = value == null ? "–" : chart.says(value);
  }
  if (chart.note) chart.note.textContent = point ? chart.beside?.() ?? "" : "";
}

let isDrawing = false;

/** Once before the next picture, however often it is asked for; never while nobody looks. */
function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    CHARTS.forEach(draw);
  });
}

// What the server says.

socket.on("history", (history) => {
  comments = [];
  samples = [];
  $("list").ariaBusy = "true";
  $("list").replaceChildren();
  for (const comment of history.comments) addComment(comment);
  $("list").ariaBusy = "false";
  for (const sample of history.samples) addSample(sample);
  $("empty").hidden = comments.length > 0;
  redraw();
});

socket.on("comment", (comment) => {
  addComment(comment, "new");
  redraw();
});

socket.on("figures", (sample, newFacts) => {
  facts = newFacts;
  addSample(sample);
  showFacts();
  redraw();
});

socket.on("watching", (count) => {
  $("watching").textContent = count === 1 ? "only you" : `${count} people`;
});

socket.on("connect", updateSend);
socket.on("disconnect", () => {
  $("watching").textContent = "–";
  updateSend();
});

function addSample(sample) {
  // A clock that was set back makes the present the past: what came after it is forgotten.
  while (samples.length && samples.at(-1).at >= sample.at) samples.pop();
  samples.push(sample);
  while (samples[0].at < sample.at - WINDOW_MS) samples.shift();
}

function showFacts() {
  const { cores, uptimeSeconds, serverBytes } = facts;
  const unknown = "not on this host";
  $("cores").textContent = cores ?? unknown;
  $("server").textContent = serverBytes == null ? unknown : size(serverBytes);
  $("uptime").textContent = uptimeSeconds == null ? unknown : duration(uptimeSeconds);
}

function duration(seconds) {
  const [days, hours, minutes] =
    [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${Math.floor(seconds % 60)} s`;
}

// Comments.

function addComment(comment, className = "") {
  const { element } = shell;
  const { at, name, text } = comment;
  comments.push(comment);
  const entry = element("li", className);
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = element("time", "soft", isToday
    ? date.toLocaleTimeString([], { timeStyle: "short" })
    : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  time.dateTime = date.toISOString();
  const head = element("p", "who");
  head.append(element("bdi", "", name), time);
  const said = element("p", "said", text);
  said.dir = "auto";
  entry.append(shell.avatar(name), head, said);
  $("list").prepend(entry);
  $("empty").hidden = true;
  if (comments.length <= COMMENTS_MAX) return;
  comments.shift();
  $("list").lastElementChild.remove();
}

let isSending = false;

function updateSend() {
  $("send").disabled = !socket.connected;
}

function showAnswer(text, isBad = false) {
  $("answer").textContent = text;
  $("answer").classList.toggle("bad", isBad);
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  if (isSending || !socket.connected) return;
  isSending = true;
  showAnswer("Writing it down…");
  const [name, text] = [$("name").value, $("text").value];
  socket.timeout(ACK_MS_MAX).emit("comment", name, text, (late, error) => {
    isSending = false;
    if (late) return showAnswer("The server did not answer. It may have been kept, or not.", true);
    if (error) return showAnswer(error, true);
    showAnswer("Kept.");
    // What was written meanwhile stays.
    if ($("text").value === text) $("text").value = "";
    $("text").focus();
  });
};

$("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};

$("text").oninput = () => {
  if ($("text").value) showAnswer("");
};

CHARTS.forEach(makeChart);
