// One Engine.IO session over one WebSocket, for the bundle that has nothing else. It is its own
// transport. Engine.IO protocol, revision 4. Events: open, close(reason, details).
//
//     opening ──handshake──▶ open ──▶ closed

import { Emitter } from "./emitter.js";
import { parseUrl } from "./url.js";

export class Engine extends Emitter {
  name = "websocket";
  transport = this;
  readyState = "opening";
  #deadline;
  #timer;
  #ws;

  constructor(manager, uri, opts) {
    super();
    this._manager = manager;
    const { origin, search } = parseUrl(uri);
    const { path = "/socket.io", protocols, query } = opts;
    const params = new URLSearchParams(search || query);
    const server = origin.replace("http", "ws") + path.replace(/\/?$/, "/");
    this.#ws = new WebSocket(`${server}?EIO=4&transport=websocket&${params}`, protocols);
  }

  get writable() {
    return this.readyState === "open";
  }

  _open() {
    Object.assign(this.#ws, {
      binaryType: "arraybuffer",
      onmessage: ({ data }) => this.#onMessage(data),
      onerror: (description) => {
        const err = Object.assign(new Error("websocket error"), { description });
        this._manager?._onError(err);
        this._onClose("transport error", err);
      },
      onclose: (context) => this._onClose("transport close", { context }),
    });
  }

  /** Closes once everything written has left, which the browser sees to. */
  close() {
    this._onClose("forced close");
  }

  _leave() {
    this._manager = undefined;
    this.close();
  }

  write(data) {
    if (this.writable) this.#ws.send(typeof data === "string" ? "4" + data : data);
  }

  /** Timers sleep with the page: the heartbeat is judged again before something is sent. */
  _hasExpired() {
    return Date.now() > this.#deadline;
  }

  #onMessage(data) {
    const isText = typeof data === "string";
    const type = isText ? data[0] : "4";
    if (type === "0") {
      this._handshake = JSON.parse(data.slice(1));
      this.id = this._handshake.sid;
      this.readyState = "open";
      this.#expectPing();
      this._manager._onOpen();
      this._fire("open");
    } else if (type === "2") {
      this.#expectPing();
      this.#ws.send("3");
      this._manager._fire("ping");
    } else if (type === "4") this._manager._onData(isText ? data.slice(1) : data);
  }

  #expectPing() {
    const { pingInterval, pingTimeout } = this._handshake;
    const delay = pingInterval + pingTimeout;
    clearTimeout(this.#timer);
    this.#deadline = Date.now() + delay;
    this.#timer = setTimeout(() => this._onClose("ping timeout"), delay);
  }

  _onClose(reason, details) {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    clearTimeout(this.#timer);
    this.#ws.onmessage = this.#ws.onerror = this.#ws.onclose = null;
    this.#ws.close();
    this._manager?._onClose(reason, details);
    this._fire("close", reason, details);
  }
}
