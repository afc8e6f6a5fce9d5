// One namespace of a connection: `emit` sends, what the server emits reaches `on`.
//
//     idle ──connect()──▶ active ──CONNECT answered──▶ connected
//       ▲                    ▲ └────── connection lost ───┘ │
//       └─ disconnect(), or the server's DISCONNECT or CONNECT_ERROR ─┘
//
// `active` says that it wants to be connected, and follows its manager's reconnections.
// Events of its own: connect, connect_error(err), disconnect(reason, details).

import { Emitter, callAll } from "./emitter.js";
import { FULL } from "./features.js";
import { ACK, CONNECT, DISCONNECT, EVENT, isReserved } from "./parser.js";

export class Socket extends Emitter {
  active = false;
  connected = false;
  recovered = false;
  receiveBuffer = []; // events that came before the answer to CONNECT
  sendBuffer = []; // packets that wait for it
  _catchAlls = FULL && [[], []]; // who hears all that arrives, and all that leaves
  _opts;
  #acks = new Map();
  #ackId = 0;
  #flags = {}; // of the next emit only
  _queue = FULL && []; // of attempts to send what `retries` guards
  _isTrying; // the first of them is under way
  #pid; // our secret for connection state recovery, and the offset of the last event
  #offset;

  constructor(io, nsp, opts = {}) {
    super();
    this.io = io;
    this.nsp = nsp;
    this.auth = opts.auth;
    this._opts = opts;
  }

  get disconnected() {
    return !this.connected;
  }

  connect() {
    const { io } = this;
    // If it is open for an active socket, CONNECT was sent already, and a second would be a fault.
    if (this.active && io._readyState === "open") return this;
    this.active = true;
    if (!io._reconnecting) io.open();
    if (io._readyState === "open") this._onOpen();
    return this;
  }

  disconnect() {
    const { connected } = this;
    if (connected) this.#send({ type: DISCONNECT });
    this.#release();
    if (connected) this._onClose("io client disconnect");
    return this;
  }

  /** The next emit is dropped, rather than kept, if it cannot be written at once. */
  get volatile() {
    this.#flags.volatile = true;
    return this;
  }

  /** The next emit's acknowledgement is called `(err, ...args)`, with an error after `ms`. */
  timeout(ms) {
    this.#flags.timeout = ms;
    return this;
  }

  /** Whether the transport may compress the next emit; browsers decide that by themselves. */
  compress(compress) {
    this.#flags.compress = compress;
    return this;
  }

  send(...args) {
    return this.emit("message", ...args);
  }

  /** Sends now, or once connected. A function as last argument receives the acknowledgement. */
  emit(...data) {
    if (isReserved(data[0])) throw new Error(`"${data[0]}" is a reserved event name`);
    const flags = this.#flags;
    this.#flags = {};
    if (FULL && this._opts.retries && !flags.volatile) this._enqueue(data, flags);
    else this._emit(data, flags);
    return this;
  }

  emitWithAck(...data) {
    return new Promise((resolve, reject) => {
      const ack = (err, value) => (err ? reject(err) : resolve(value));
      ack.withError = true;
      this.emit(...data, ack);
    });
  }

  _emit(data, { volatile, timeout = this._opts.ackTimeout, compress = true }) {
    const packet = { type: EVENT, data, options: { compress } };
    if (typeof data.at(-1) === "function") this.#awaitAck(packet, data.pop(), timeout);
    const { engine } = this.io;
    if (volatile && !engine?.transport?.writable) return;
    if (this.connected && !engine._hasExpired()) this.#sendEvent(packet);
    else this.sendBuffer.push(packet);
  }

  #awaitAck(packet, ack, timeout) {
    const id = (packet.id = this.#ackId++);
    const takesError = ack.withError || timeout !== undefined;
    const timer = timeout !== undefined && this.io._timers.setTimeout(() => {
      this.sendBuffer = this.sendBuffer.filter((it) => it !== packet);
      this.#settle(id, new Error("operation has timed out"));
    }, timeout);
    this.#acks.set(id, { ack, timer, takesError });
  }

  /** Ends an acknowledgement; those that do not take an error never hear of one. */
  #settle(id, err, args = []) {
    const { ack, timer, takesError } = this.#acks.get(id) ?? {};
    this.#acks.delete(id);
    this.io._timers.clearTimeout(timer);
    if (takesError) args = [err, ...args];
    if (ack && (takesError || !err)) callAll([ack], this, args);
  }

  _onOpen() {
    const connect = (auth) => this.#send({
      type: CONNECT,
      data: this.#pid ? { pid: this.#pid, offset: this.#offset, ...auth } : auth || undefined,
    });
    if (typeof this.auth === "function") this.auth(connect);
    else connect(this.auth);
  }

  _onPacket({ type, id, data }) {
    if (type === EVENT) {
      if (id !== undefined) data.push(this.#replier(id));
      if (this.connected) this.#deliver(data);
      else this.receiveBuffer.push(data);
    } else if (type === ACK) this.#settle(id, null, data);
    else if (type === CONNECT) {
      if (data?.sid) this.#onConnect(data);
      else if (FULL) this._onError(new Error("server speaks Socket.IO 2"));
    } else {
      this.#release();
      if (type === DISCONNECT) this._onClose("io server disconnect");
      else this._onError(Object.assign(new Error(data?.message), { data: data?.data }));
    }
  }

  _onError(err) {
    if (!this.connected) this._fire("connect_error", err);
  }

  #onConnect({ sid, pid }) {
    this.id = sid;
    this.recovered = !!pid && this.#pid === pid;
    this.#pid = pid;
    this.connected = true;
    for (const data of this.receiveBuffer.splice(0)) this.#deliver(data);
    for (const packet of this.sendBuffer.splice(0)) this.#sendEvent(packet);
    if (FULL) this._drainQueue(true);
    this._fire("connect");
  }

  #deliver(data) {
    if (FULL) callAll(this._catchAlls[0], this, data);
    this._fire(...data);
    // With recovery on, the server adds an offset to each event.
    if (this.#pid && typeof data.at(-1) === "string") this.#offset = data.at(-1);
  }

  _onClose(reason, details) {
    this.connected = false;
    this.id = undefined;
    this._fire("disconnect", reason, details);
    for (const id of [...this.#acks.keys()]) {
      // No later session will answer for this one; what was not sent yet can still be answered.
      if (this.sendBuffer.some((packet) => packet.id === id)) continue;
      this.#settle(id, new Error("socket has been disconnected"));
    }
  }

  /** What a listener calls to acknowledge the event `id`; only its first call counts. */
  #replier(id) {
    let replied = false;
    return (...data) => {
      if (!replied) this.#send({ type: ACK, id, data });
      replied = true;
    };
  }

  /** It follows its manager no longer. */
  #release() {
    this.active = false;
    this.io._release();
  }

  #sendEvent(packet) {
    if (FULL) callAll(this._catchAlls[1], this, packet.data);
    this.#send(packet);
  }

  #send(packet) {
    packet.nsp = this.nsp;
    this.io._packet(packet);
  }
}

const own = Socket.prototype;
own.open = own.connect;
own.close = own.disconnect;

// What `retries` asks for.
if (FULL) Object.assign(own, {
  /** One after the other, each until it is acknowledged or has failed once more than `retries`. */
  _enqueue(data, flags) {
    const ack = typeof data.at(-1) === "function" && data.pop();
    let tries = 0;
    const onAck = (err, ...args) => {
      this._isTrying = false;
      if (!err || tries > this._opts.retries) {
        this._queue.shift();
        if (ack) ack(err, ...args);
      }
      this._drainQueue();
    };
    onAck.withError = true;
    this._queue.push(() => {
      tries++;
      this._isTrying = true;
      this._emit([...data, onAck], flags);
    });
    this._drainQueue();
  },

  _drainQueue(again) {
    if (this.connected && (again || !this._isTrying)) this._queue[0]?.();
  },
});

// onAny, prependAny, offAny, listenersAny; and the same with Outgoing.
if (FULL) ["Any", "AnyOutgoing"].forEach((suffix, which) => {
  Object.assign(own, {
    ["on" + suffix](listener) {
      this._catchAlls[which].push(listener);
      return this;
    },
    ["prepend" + suffix](listener) {
      this._catchAlls[which].unshift(listener);
      return this;
    },
    ["off" + suffix](listener) {
      const listeners = this._catchAlls[which];
      this._catchAlls[which] = listeners.filter((it, index) =>
        listener && index !== listeners.indexOf(listener));
      return this;
    },
    ["listeners" + suffix]() {
      return this._catchAlls[which];
    },
  });
});
