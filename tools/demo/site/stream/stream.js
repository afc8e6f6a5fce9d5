/*
 * Stream: a file from the server, and a file to it.
 *
 * The contract with the server, in the namespace "/stream". A stream is one of socket.io-stream;
 * in the events that are not its own it goes as {$stream: id}:
 *
 *   client streams  download  stream, name, ack   name is "noise" or "source"; ack(bytes): how many
 *                                                 will come
 *                   upload    stream              at most 1 GiB
 *   client emits    hold      stream, is_held     whether the server is to ask for no more
 *   server emits    sent      stream, bytes, sha256   of a download, at its end
 *                   received  stream, bytes, sha256   of an upload, at its end
 *
 * Pausing a download is reading nothing: the page asks for no chunk, so the server makes none.
 * Letting the server wait is the same from the other end: it asks for nothing, and the page, which
 * is ready to send, has to wait.
 */
"use strict";

const NOISE_BYTES = 20 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const UNITS = [[1024 * 1024, "MB", 1], [1024, "kB", 1], [1, "bytes", 0]];

const $ = (id) => document.getElementById(id);
const socket = io("/stream", shell.options());
const streams = new SocketStreams(socket);
shell.watch(socket);

function size(bytes) {
  const [unit, name, digits] = UNITS.find(([unit]) => bytes >= unit) ?? UNITS.at(-1);
  return `${(bytes / unit).toFixed(digits)} ${name}`;
}

/** What one side of the page shows: one transfer at a time. */
class Transfer {
  #side;
  #buttons;
  #frame;

  constructor(side, buttons) {
    this.#side = side;
    this.#buttons = buttons;
    this.#part("pause").onclick = () => this.#pause(this.state === "running");
    this.#part("cancel").onclick = () => this.cancel();
  }

  #part(name) {
    return $(`${this.#side}-${name}`);
  }

  get state() {
    return $(this.#side).dataset.state;
  }

  get isRunning() {
    return this.state === "running" || this.state === "paused";
  }

  /** A transfer begins; `total` may come later. */
  begin({ stream, total = 0, pause, words }) {
    Object.assign(this, { stream, total, words, onPause: pause });
    this.hash = new Sha256();
    this.theirs = this.ours = undefined;
    this.isCancelled = false;
    this.began = performance.now();
    this.samples = [];
    for (const name of ["theirs", "ours"]) this.#part(name).textContent = "–";
    this.#show("running", words.running);
  }

  #pause(isPaused) {
    this.#show(isPaused ? "paused" : "running", isPaused ? this.words.paused : this.words.running);
    this.samples = [];
    this.onPause(isPaused);
  }

  cancel() {
    this.isCancelled = true;
    this.stream.abort(new Error("cancelled"));
  }

  /** It is over for this side; `error` says why, if before its time. */
  finish(error) {
    this.seconds = (performance.now() - this.began) / 1000;
    if (this.isCancelled) this.#show("ended", "Cancelled. The other side has been told.");
    else if (error) this.#show("wrong", `Failed: ${error.message}.`);
    else this.settle({ ours: this.hash.hex() });
  }

  /** One of the two hashes is known. */
  settle(hash) {
    Object.assign(this, hash);
    for (const name in hash) this.#part(name).textContent = hash[name];
    if (!this.ours || !this.theirs) return;
    const { bytes } = this.stream.seen;
    if (this.ours === this.theirs) {
      this.#show("done", `Done: ${size(bytes)} in ${this.seconds.toFixed(1)} s, and both agree.`);
    } else {
      this.#show("wrong", "What arrived is not what was sent.");
    }
  }

  #show(state, text) {
    $(this.#side).dataset.state = state;
    this.#part("state").textContent = text;
    this.#part("pause").textContent = state === "paused" ? "Go on" : this.words.pause;
    for (const name of ["pause", "cancel"]) this.#part(name).disabled = !this.isRunning;
    for (const id of this.#buttons) $(id).disabled = this.isRunning;
    this.paint();
  }

  /** Shows how far it has come, once in a frame. */
  paint() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      const { bytes, chunks, inFlight } = this.stream.seen;
      const done = this.total ? bytes / this.total : Number(this.state === "done");
      this.#part("progress").value = done;
      this.#part("percent").textContent = `${Math.floor(done * 100)} %`;
      this.#part("bytes").textContent = `${size(bytes)} of ${this.total ? size(this.total) : "?"}`;
      this.#part("speed").textContent = this.#speed(bytes);
      this.#part("chunks").textContent = chunks;
      this.#part("flight").textContent = `${inFlight} ${inFlight === 1 ? "chunk" : "chunks"}`;
      if (this.isRunning) this.paint();
    });
  }

  /** Over the last second; over all of it at the end. */
  #speed(bytes) {
    const now = performance.now();
    if (this.state === "paused") return "0 bytes/s";
    if (!this.isRunning) return `${size(bytes / this.seconds || 0)}/s`;
    this.samples.push([now, bytes]);
    while (now - this.samples[0][0] > 1000) this.samples.shift();
    const [then, before] = this.samples[0];
    return now > then ? `${size(((bytes - before) / (now - then)) * 1000)}/s` : "–";
  }
}

// From the server.

const down = new Transfer("down", ["down-noise", "down-source"]);

async function download(name) {
  const stream = streams.create({ chunkBytes: CHUNK_BYTES });
  const reader = stream.readable.getReader();
  let resume = () => {};
  let resumed; // a promise, while it is paused
  down.begin({
    stream,
    words: {
      pause: "Pause",
      running: "The page asks for the next chunk when it has taken one.",
      paused: "Paused: the page asks for nothing, so the server makes nothing.",
    },
    pause: (isPaused) => {
      resume();
      resumed = isPaused ? new Promise((resolve) => (resume = resolve)) : undefined;
    },
  });
  $("text").hidden = name !== "source";
  $("text").textContent = "";
  streams.emit("download", stream, name, (total) => (down.total = total));
  try {
    const text = new TextDecoder();
    for (;;) {
      // Whoever does not read would not hear of an error.
      if (resumed) await Promise.race([resumed, reader.closed]);
      const { done, value } = await reader.read();
      if (done) break;
      down.hash.update(value);
      if (name === "source") $("text").append(text.decode(value, { stream: true }));
    }
    down.finish();
  } catch (error) {
    down.finish(error);
  }
}

$("down-noise").onclick = () => download("noise");
$("down-source").onclick = () => download("source");

socket.on("sent", ({ $stream: id }, bytes, sha256) => {
  if (id === down.stream?.id) down.settle({ theirs: sha256 });
});

// To the server.

const up = new Transfer("up", ["up-noise", "file"]);

async function upload(content, total) {
  const stream = streams.create({ chunkBytes: CHUNK_BYTES });
  const hold = (isHeld) => socket.emit("hold", { $stream: stream.id }, isHeld);
  hold(false);
  up.begin({
    stream,
    total,
    words: {
      pause: "Let it wait",
      running: "The server asks for the next chunk when it has taken one.",
      paused: "The server asks for nothing: the page has more, and has to wait.",
    },
    pause: hold,
  });
  streams.emit("upload", stream);
  const hashing = new TransformStream({
    transform(chunk, controller) {
      up.hash.update(chunk);
      controller.enqueue(chunk);
    },
  });
  try {
    await content.pipeThrough(hashing).pipeTo(stream.writable);
    up.finish();
  } catch (error) {
    up.finish(error);
  }
}

/** So many bytes that nobody has seen before, made when they are asked for. */
function noise(bytes) {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      const chunk = new Uint8Array(Math.min(left, CHUNK_BYTES));
      controller.enqueue(crypto.getRandomValues(chunk));
      left -= chunk.length;
      if (!left) controller.close();
    },
  }, { highWaterMark: 0 });
}

function uploadFile(file) {
  if (file && !up.isRunning) upload(file.stream(), file.size);
}

$("up-noise").onclick = () => upload(noise(NOISE_BYTES), NOISE_BYTES);

$("file").onchange = () => {
  uploadFile($("file").files[0]);
  // The same file may be picked again.
  $("file").value = "";
};

socket.on("received", ({ $stream: id }, bytes, sha256) => {
  if (id === up.stream?.id) up.settle({ theirs: sha256 });
});

// Dropping: the whole side takes it, and the rest of the page does not open it.

const isFile = (event) => event.dataTransfer?.types.includes("Files");

for (const type of ["dragover", "drop"]) {
  addEventListener(type, (event) => {
    if (isFile(event)) event.preventDefault();
  });
}
$("up").ondragover = (event) => {
  if (isFile(event)) $("up").classList.add("dropping");
};
$("up").ondragleave = (event) => {
  if (!$("up").contains(event.relatedTarget)) $("up").classList.remove("dropping");
};
$("up").ondrop = (event) => {
  $("up").classList.remove("dropping");
  uploadFile(event.dataTransfer?.files[0]);
};
