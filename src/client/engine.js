// One Engine.IO session over one transport. Engine.IO protocol, revision 4.
//
//     opening ──handshake──▶ open ──close()──▶ closing ──queue written──▶ closed
//
// Events: handshake(data), open, packet, packetCreate, data, message, ping, pong, heartbeat, flush,
// drain, error(err), close(reason, details). A *packet* is {type, data, options}; its data is a
// text or bytes.
//
// Not here: which transport, and how to change it (upgrade.js, which brings `_open`).

import { Emitter } from "./emitter.js";
import { parseUrl } from "./url.js";

const engines = new Set(); // those of this page that are not closed

export class Engine extends Emitter {
  writeBuffer = [];
  #deadline = Infinity;
  #timer;

  constructor(manager, uri, opts) {
    super();
    this._manager = manager;
    const { host = location.hostname, hostname = host, port = location.port, secure } = opts;
    const url = parseUrl(uri ?? `//${hostname}:${port}`);
    const isUrlSecure = /[ps]s:/.test(url.protocol); // https: or wss:
    this.secure = uri ? isUrlSecure : secure ?? isUrlSecure;
    this.hostname = url.hostname;
    this.port = url.port;
    this.opts = url.search ? { ...opts, query: url.search } : opts;
    this._timers = manager._timers;
  }

  _begin(transport) {
    this.readyState = "opening";
    engines.add(this);
    this.transport = transport;
    transport.open();
  }

  /** Closes once everything written has left. */
  close() {
    if (this.readyState === "opening") this._onClose("forced close");
    if (this.readyState === "open") {
      this.readyState = "closing";
      this._flush();
    }
    return this;
  }

  /** Closes as far as the manager is concerned: it hears no more. */
  _leave() {
    this._manager = undefined;
    this.close();
  }

  /** Sends one message. */
  write(data, options) {
    this.#send("message", data, options);
    return this;
  }

  /** Timers sleep with the page: the heartbeat is judged again before something is sent. */
  _hasExpired() {
    const hasExpired = Date.now() > this.#deadline;
    if (hasExpired) queueMicrotask(() => this._onClose("ping timeout"));
    return hasExpired;
  }

  // What the transport tells.

  _onPacket({ type, data }) {
    this._fire("packet", { type, data })._fire("heartbeat");
    if (type === "message") {
      this._manager?._onData(data);
      this._fire("data", data)._fire("message", data);
    } else if (type === "open") this._onHandshake(JSON.parse(data));
    else if (type === "ping") {
      this.#expectPing();
      this.#send("pong");
      this._manager?._fire("ping");
      this._fire("ping")._fire("pong");
    } else if (type === "close") {
      this._onClose("transport close", { description: "transport closed by the server" });
    } else if (!type) this._onError(new Error("server error"));
  }

  /** The first `count` packets have left. */
  _onDrain(count) {
    this.writeBuffer.splice(0, count);
    if (!this.writeBuffer.length) this._fire("drain");
    this._flush();
  }

  _onError(err) {
    this._manager?._onError(err);
    this._fire("error", err);
    this._onClose("transport error", err);
  }

  _onClose(reason, details) {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    engines.delete(this);
    this._timers.clearTimeout(this.#timer);
    this.transport?._leave();
    this.id = null;
    this._manager?._onClose(reason, details);
    this._fire("close", reason, details);
    this.writeBuffer = [];
  }

  _onHandshake(handshake) {
    this._handshake = handshake;
    this.id = handshake.sid;
    this.readyState = "open";
    this.#expectPing();
    this._fire("handshake", handshake);
    this._manager?._onOpen();
    this._fire("open");
    this._flush();
  }

  _flush() {
    const { readyState, transport, upgrading, writeBuffer } = this;
    if (upgrading || !transport.writable) return;
    if (writeBuffer.length) {
      transport.send([...writeBuffer]);
      this._fire("flush");
    } else if (readyState === "closing") this._onClose("forced close");
  }

  #send(type, data, options) {
    if (this.readyState !== "open") return;
    const packet = { type, data, options };
    this._fire("packetCreate", packet);
    this.writeBuffer.push(packet);
    this._flush();
  }

  #expectPing() {
    const { pingInterval, pingTimeout } = this._handshake;
    const delay = pingInterval + pingTimeout;
    this._timers.clearTimeout(this.#timer);
    this.#deadline = Date.now() + delay;
    this.#timer = this._timers.setTimeout(() => this._onClose("ping timeout"), delay);
  }
}

const listen = (type, run) =>
  globalThis.addEventListener?.(type, (event) => {
    // A listener may open another, which is not meant.
    for (const engine of [...engines]) run(engine, event);
  });

// Some browsers notice only minutes later that a connection has gone with its network.
listen("offline", (engine) => {
  if (engine.hostname === "localhost") return;
  engine._onClose("transport close", { description: "network connection lost" });
});

listen("beforeunload", ({ opts, transport }) => opts.closeOnBeforeunload && transport._leave());

// A page that may be shown again closes its sessions, and reconnects when it is; any other leaves
// without telling its listeners.
listen("pagehide", (engine, { persisted }) => {
  if (!persisted) engine.off()._manager = undefined;
  engine._onClose("transport close", { description: "page hidden" });
});
