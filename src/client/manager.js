// One connection, opened again whenever it is lost, and the sockets that share it.
//
//     closed ──open()──▶ opening ──▶ open ──▶ closed ──delay──▶ opening …
//
// Events: open, packet, ping, error(err), close(reason, details), reconnect_attempt(n),
// reconnect(n), reconnect_error(err), reconnect_failed. The sockets hear first.

import { Emitter } from "./emitter.js";
import { FULL } from "./features.js";
import { Decoder, Encoder } from "./parser.js";
import { Engine } from "./session.js";
import { Socket } from "./socket.js";
import { NATIVE_TIMERS } from "./timers.js";

/** Options that are methods as well: without an argument they tell, with one they set. */
const SETTINGS = {
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  randomizationFactor: 0.5,
  timeout: 20_000,
};

export class Manager extends Emitter {
  nsps = {};
  _readyState = "closed";
  _reconnecting = false;
  _settings = {};
  #attempts = 0;
  #stopped; // by the application, until the next open()
  #done; // takes over what to do after an attempt to open
  #timer;

  constructor(uri, opts) {
    super();
    if (typeof uri === "object") [uri, opts] = [undefined, uri];
    this.uri = uri;
    this.opts = opts ??= {};
    for (const name in SETTINGS) this._settings[name] = opts[name] ?? SETTINGS[name];
    this._timers = FULL && opts.useNativeTimers ? NATIVE_TIMERS : globalThis;
    this.encoder = new ((FULL && opts.parser?.Encoder) || Encoder)();
    this.decoder = new ((FULL && opts.parser?.Decoder) || Decoder)();
    this.decoder.on("decoded", (packet) => {
      const socket = this.nsps[packet.nsp];
      if (socket?.active) socket._onPacket(packet);
      this._fire("packet", packet);
    });
    this._autoConnect = opts.autoConnect !== false;
    if (this._autoConnect) this.open();
  }

  socket(nsp, opts) {
    const socket = (this.nsps[nsp] ??= new Socket(this, nsp, opts));
    if (this._autoConnect) socket.connect();
    return socket;
  }

  /** Opens the connection. `done(err)`, if given, also takes over what to do after a failure. */
  open(done) {
    if (this._readyState !== "closed") return this;
    this.#clearTimer();
    this._readyState = "opening";
    this.#stopped = false;
    if (FULL) this.#done = done;
    this.engine = new Engine(this, this.uri, this.opts);
    const { timeout } = this._settings;
    if (timeout !== false) this.#after(timeout, () => this._onError(new Error("timeout")));
    this.engine._open();
    return this;
  }

  _close() {
    this.#stopped = true;
    this._reconnecting = false;
    this.#detach();
    this._onClose("forced close");
  }

  _packet(packet) {
    for (const it of this.encoder.encode(packet)) this.engine.write(it, packet.options);
  }

  /** A socket needs the connection no longer. The last one closes it. */
  _release() {
    if (!this.#active().length) this._close();
  }

  // What the engine tells.

  _onOpen() {
    this.#clearTimer();
    this._readyState = "open";
    for (const socket of this.#active()) socket._onOpen();
    this._fire("open");
    if (FULL) this.#done?.();
    const attempts = this.#attempts;
    this.#attempts = 0;
    this._reconnecting = false;
    if (attempts) this._fire("reconnect", attempts);
  }

  _onData(data) {
    try {
      this.decoder.add(data);
    } catch (err) {
      this._onClose("parse error", err);
    }
  }

  _onError(err) {
    const isOpening = this._readyState === "opening";
    if (isOpening) this.#detach();
    for (const socket of this.#active()) socket._onError(err);
    this._fire("error", err);
    if (!isOpening) return;
    const wasReconnecting = this._reconnecting;
    this._reconnecting = false;
    if (FULL && this.#done) this.#done(err);
    else this.#reconnect();
    if (wasReconnecting) this._fire("reconnect_error", err);
  }

  _onClose(reason, details) {
    // Before the handshake it is one more way to fail.
    if (this._readyState === "opening") return this._onError(new Error(reason));
    this.#detach();
    this.#attempts = 0;
    for (const socket of this.#active()) socket._onClose(reason, details);
    this._fire("close", reason, details);
    this.#reconnect();
  }

  #active() {
    return Object.values(this.nsps).filter((socket) => socket.active);
  }

  #after(ms, run) {
    this.#timer = this._timers.setTimeout(run, ms);
  }

  #clearTimer() {
    this._timers.clearTimeout(this.#timer);
  }

  #detach() {
    this.#clearTimer();
    this._readyState = "closed";
    this.decoder.destroy();
    this.engine?._leave();
  }

  #reconnect() {
    const { reconnection, reconnectionAttempts, reconnectionDelay, reconnectionDelayMax,
      randomizationFactor } = this._settings;
    // A listener may have opened the connection by itself.
    const isBusy = this._reconnecting || this._readyState !== "closed";
    if (!reconnection || this.#stopped || isBusy) return;
    // Here and for the delay, 0 counts as not given: nobody should hammer a server that is down.
    if (this.#attempts >= (reconnectionAttempts || Infinity)) {
      this.#attempts = 0;
      this._fire("reconnect_failed");
      return;
    }
    this._reconnecting = true;
    // Doubles with each attempt up to a maximum; chance keeps clients from coming back at once.
    const chance = 1 + randomizationFactor * (2 * Math.random() - 1);
    const delay = (reconnectionDelay || 1000) * 2 ** this.#attempts++ * chance;
    this.#after(Math.min(delay, reconnectionDelayMax || 5000), () => {
      this._fire("reconnect_attempt", this.#attempts);
      if (!this.#stopped) this.open();
    });
  }
}

if (FULL) {
  const own = Manager.prototype;
  own.connect = own.open;
  own.disconnect = own._close;
  for (const name in SETTINGS) {
    own[name] = function (value) {
      if (value === undefined) return this._settings[name];
      this._settings[name] = value;
      return this;
    };
  }
}
