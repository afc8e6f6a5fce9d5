// A session that chooses its transport, and moves from polling to a better one. While it moves,
// `upgrading` holds back writes.
//
// Events beside those of every session: upgrading(transport), upgrade(transport),
// upgradeError(err).

import { Engine } from "./engine.js";
import { Polling } from "./polling.js";
import { WebSocketTransport } from "./websocket.js";

/** The transports that are known by name, in the order in which they are tried. */
const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };

let webSocketWorked = false; // the last time; for `rememberUpgrade`

export class UpgradingEngine extends Engine {
  upgrading = false;
  #classes = { ...TRANSPORTS };
  #probed; // the transport that may come next

  constructor(manager, uri, opts) {
    super(manager, uri, opts);
    // Names, or classes, which bring theirs.
    const transports = opts.transports ?? Object.keys(TRANSPORTS);
    this.transports = transports.map((it) => {
      const name = it?.prototype?.name ?? it;
      if (name !== it) this.#classes[name] = it;
      return name;
    });
  }

  _open() {
    const { opts, transports } = this;
    const isRemembered = opts.rememberUpgrade && webSocketWorked &&
      transports.includes("websocket");
    if (transports[0]) this._begin(this.#create(isRemembered ? "websocket" : transports[0]));
    else queueMicrotask(() => super._onError("No transports available"));
  }

  _onHandshake(handshake) {
    const { transport, transports } = this;
    webSocketWorked = transport.name === "websocket";
    super._onHandshake(handshake);
    const mayUpgrade = this.opts.upgrade !== false && transport.pause;
    const name = mayUpgrade && handshake.upgrades?.find((it) => transports.includes(it));
    if (name && this.readyState === "open") this.#probe(this.#create(name));
  }

  _onError(err) {
    const { opts, readyState, transport, transports } = this;
    webSocketWorked = false;
    if (opts.tryAllTransports && readyState === "opening" && transports[1]) {
      transport._leave();
      transports.shift();
      this._open();
    } else super._onError(err);
  }

  _onClose(reason, details) {
    this.#probed?._leave();
    super._onClose(reason, details);
  }

  #create(name) {
    const { opts } = this;
    return new this.#classes[name](this, { ...opts, ...opts.transportOptions?.[name] });
  }

  /** Tries `next` while polling goes on; moves there once it answers and polling is at rest. */
  #probe(next) {
    this.#probed = next;
    const fail = (err) => {
      next._leave();
      if (this.upgrading) this.transport.resume();
      this.upgrading = false;
      const error = new Error("probe error: " + err);
      this._fire("upgradeError", Object.assign(error, { transport: next.name }));
      this._flush();
    };
    next._owner = {
      _onOpen: () => next.send([{ type: "ping", data: "probe" }]),
      _onPacket: async ({ type, data }) => {
        if (type + data !== "pongprobe") return fail(type);
        this.upgrading = true;
        this._fire("upgrading", next);
        await this.transport.pause();
        if (!next._owner) return;
        webSocketWorked = true;
        this.transport._owner = undefined;
        this.transport = next;
        next._owner = this;
        this.writeBuffer.unshift({ type: "upgrade" });
        this.upgrading = false;
        this._fire("upgrade", next);
        this._flush();
      },
      _onError: fail,
      _onClose: fail,
    };
    next.open();
  }
}
