// The HTTP long-polling transport: one GET always waits for the server's packets, and at most one
// POST carries ours. A *payload* is the body of either: packets between separators.

import { Transport, toText } from "./transport.js";

const SEPARATOR = "\x1e";
const CLOSE = "1"; // the packet of that type
const ENCODER = new TextEncoder();

export class Polling extends Transport {
  writable = true;
  #isAlive = false; // the server knows the session and would like to hear that it ended
  #isPolling = false;
  #paused; // resolves pause()
  #abort = new AbortController();

  get name() {
    return "polling";
  }

  open() {
    this.#poll();
  }

  /** Sends as many as the server takes in one request. */
  async send(packets) {
    this.writable = false;
    const texts = [];
    let bytes = 0;
    try {
      for (const packet of packets) {
        const text = await toText(packet);
        bytes += ENCODER.encode(text).length + 1;
        // One alone is sent even so: the server will say what it thinks of it.
        if (texts[0] && bytes > this.socket._handshake.maxPayload + 1) break;
        texts.push(text);
      }
      await this.#request(texts.join(SEPARATOR));
    } catch (err) {
      this.#fail("post", err);
      return;
    }
    this._onDrain(texts.length);
    this.#rest();
  }

  /** Resolves when no request is under way; none is begun until `resume`. */
  pause() {
    return new Promise((resolve) => {
      this.#paused = resolve;
      this.#rest();
    });
  }

  resume() {
    this.#paused = undefined;
    if (!this.#isPolling) this.#poll();
  }

  close() {
    const abort = () => this.#abort.abort();
    if (this.#isAlive) this.#request(CLOSE).then(abort, abort);
    else abort();
    this.#isAlive = false;
  }

  async #poll() {
    this.#isPolling = true;
    let payload;
    try {
      payload = await this.#request();
    } catch (err) {
      this.#fail("poll", err);
      return;
    }
    this.#isPolling = false;
    this.#isAlive ||= payload[0] === "0";
    for (const frame of payload.split(SEPARATOR)) {
      if (frame === CLOSE) this.#isAlive = false;
      this._onFrame(frame);
    }
    if (this.#paused) this.#rest();
    else if (this.#isAlive) this.#poll();
  }

  #rest() {
    if (!this.#isPolling && this.writable) this.#paused?.();
  }

  async #request(body) {
    const { withCredentials, extraHeaders, requestTimeout, timestampRequests } = this.opts;
    const { _timers } = this.socket;
    const timer =
      requestTimeout && _timers.setTimeout(() => this.#abort.abort(), requestTimeout);
    const response = await fetch(this._url("http", timestampRequests !== false), {
      method: body ? "POST" : "GET",
      headers: extraHeaders ?? {},
      body,
      // The last request outlives its page.
      keepalive: body === CLOSE,
      credentials: withCredentials ? "include" : "same-origin",
      signal: this.#abort.signal,
    });
    const text = (response.responseText = await response.text());
    _timers.clearTimeout(timer);
    if (response.status === 200) return text;
    throw response;
  }

  /** `cause` is a response, or what kept one from coming. */
  #fail(what, cause) {
    this.#isAlive = false;
    this._onError(`xhr ${what} error`, cause.status ?? 0, cause);
  }
}

/** The same for those who ask for it by this name: its errors are called otherwise. */
export class Fetch extends Polling {
  _onError(message, description, cause) {
    const what = message === "xhr poll error" ? "read" : "write";
    super._onError(`fetch ${what} error`, description || cause, cause);
  }
}
