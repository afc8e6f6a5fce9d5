/*! emio (MIT) */
(function () {
  'use strict';

  // Listeners by event name, in the order in which they were added. What everything else here is.


  class Emitter {
    _listeners = { __proto__: null };

    on(event, listener) {
      (this._listeners[event] ??= []).push(listener);
      return this;
    }

    once(event, listener) {
      const once = (...args) => {
        this.off(event, once);
        listener.apply(this, args);
      };
      once.fn = listener;
      return this.on(event, once);
    }

    /** Removes one listener, all of an event, or all: what counts is how many arguments there are. */
    off(event, listener) {
      const { length } = arguments;
      if (!length) this._listeners = { __proto__: null };
      else if (length < 2) delete this._listeners[event];
      else {
        const listeners = this.listeners(event);
        const found = listeners.find((it) => it === listener || it.fn === listener);
        if (found) listeners.splice(listeners.indexOf(found), 1);
      }
      return this;
    }

    listeners(event) {
      return this._listeners[event] ?? [];
    }

    hasListeners(event) {
      return !!this.listeners(event).length;
    }

    /** Calls the listeners of now; `emit`, by a name that sockets do not need for sending. */
    _fire(event, ...args) {
      callAll(this.listeners(event), this, args);
      return this;
    }
  }

  const own$1 = Emitter.prototype;
  own$1.emit = own$1._fire;
  own$1.removeListener = own$1.removeAllListeners = own$1.off;
  {
    own$1.addEventListener = own$1.on;
    own$1.removeEventListener = own$1.off;
  }

  /** Calls each function; what one throws is reported, and stops neither the next nor us. */
  function callAll(functions, self, args) {
    for (const it of [...functions]) {
      try {
        it.apply(self, args);
      } catch (err) {
        reportError(err);
      }
    }
  }

  // Socket.IO packets as messages and back: `<type>[<attachments>-][<nsp>,][<id>][<json>]`, then one
  // message of bytes for each attachment. Socket.IO protocol, revision 5.
  //
  // The `parser` option takes another pair of these two classes.


  const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3;

  /** What an EVENT or ACK with attachments adds to its type. */
  const BINARY = 3;

  const isReserved = (event) =>
    /^(connect(_error)?|disconnect(ing)?|(new|remove)Listener)$/.test(event);

  const isEventOrAck = (type) => type === EVENT || type === ACK;

  class Encoder {
    /** The messages of a packet. */
    encode({ type, nsp, id = "", data }) {
      const attachments = [];
      const json = JSON.stringify(data, isEventOrAck(type) ? function (key, value) {
        // `value` is what toJSON() made of it, which some byte arrays have.
        const raw = this[key];
        return raw instanceof ArrayBuffer || ArrayBuffer.isView(raw) || raw instanceof Blob
          ? { _placeholder: true, num: attachments.push(raw) - 1 }
          : value;
      } : null) ?? "";
      const { length } = attachments;
      const head = length ? type + BINARY + (length + "-") : type;
      return [head + (nsp === "/" ? "" : nsp + ",") + id + json, ...attachments];
    }
  }

  /** Fires `decoded` with each packet, as its last message is added. */
  class Decoder extends Emitter {
    #head; // of a packet that waits for attachments
    #attachments;

    /** Throws what the server did wrong. */
    add(message) {
      const isText = typeof message === "string";
      // Texts begin packets, bytes continue them.
      if (isText === !!this.#head) fail();
      if (isText) {
        this.#head =
          /^([0-6])(?:([1-9]\d*)-)?(?:(\/[^,]*),?)?(\d+)?(.*)$/s.exec(message) ?? fail();
        this.#attachments = [];
      } else this.#attachments.push(message);
      const [, kind, count, nsp = "/", id, json] = this.#head;
      // Some types have attachments, and the others have none.
      if (!count === kind > 4) fail();
      const attachments = this.#attachments;
      if (attachments.length < count) return;
      this.destroy();
      const type = count ? kind - BINARY : +kind;
      const attach = (key, value) =>
        // A number, and no name of what every array has.
        value?._placeholder === true
          ? attachments[value.num === +value.num && value.num] ?? fail() : value;
      const data = json ? JSON.parse(json, count && attach) : undefined;
      if (Array.isArray(data) !== isEventOrAck(type)) fail();
      // The name of an event is a string or a number.
      if (type === EVENT && (!/^[sn]/.test(typeof data[0]) || isReserved(data[0]))) fail();
      this._fire("decoded", { type, nsp, id: id && +id, data });
    }

    /** Forgets a packet that waits for attachments. */
    destroy() {
      this.#head = undefined;
    }
  }

  function fail() {
    throw new Error("invalid packet");
  }

  // URLs, as `io` takes them: complete, or without scheme, host or both.

  /** `//host`, `host:port`, `/namespace` or nothing as a URL; the rest is the page's. */
  function parseUrl(url) {
    return new URL(/^(\w+:)?\//.test(url) ? url : "//" + (url || location.host), location);
  }

  // One Engine.IO session over one transport. Engine.IO protocol, revision 4.
  //
  //     opening ──handshake──▶ open ──close()──▶ closing ──queue written──▶ closed
  //
  // Events: handshake(data), open, packet, packetCreate, data, message, ping, pong, heartbeat, flush,
  // drain, error(err), close(reason, details). A *packet* is {type, data, options}; its data is a
  // text or bytes.
  //
  // Not here: which transport, and how to change it (upgrade.js, which brings `_open`).


  const engines = new Set(); // those of this page that are not closed

  class Engine extends Emitter {
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

  // What carries the packets of a session: base of the classes that do. `send` may be called while
  // `writable`; then the owner's `_onDrain` hears how many packets have left.

  /** The types of packets by their numbers; `b`, which is none, is a message in base64. */
  const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

  class Transport {
    writable = false;

    constructor(socket, opts) {
      this.socket = this._owner = socket;
      this.opts = opts;
    }

    /** Closes, and tells nobody anything any more. */
    _leave() {
      this._owner = undefined;
      this.close();
    }

    /** Where to connect, with what is unique to this request if it should be `stamped`. */
    _url(scheme, stamped) {
      const { hostname, id, port, secure } = this.socket;
      const {
        addTrailingSlash = true, forceBase64, path = "/socket.io", query, timestampParam = "t",
      } = this.opts;
      const params = new URLSearchParams(query);
      const ours = {
        EIO: 4,
        transport: this.name,
        sid: id,
        b64: forceBase64 && 1,
        // So that no cache can answer it.
        [timestampParam]: stamped && Math.random(),
      };
      for (const name in ours) if (ours[name]) params.set(name, ours[name]);
      const fullPath = path.replace(/\/?$/, addTrailingSlash ? "/" : "");
      return `${scheme}${secure ? "s" : ""}://${hostname}:${port}${fullPath}?${params}`;
    }

    _onFrame(frame) {
      const isText = typeof frame === "string";
      const data = isText ? frame.slice(1) : frame;
      if (isText && frame[0] === "b") this._onFrame(fromBase64(data));
      else this._owner?._onPacket({ type: isText ? TYPES[frame[0]] : "message", data });
    }

    _onError(message, description, context) {
      const type = "TransportError";
      this._owner?._onError(Object.assign(new Error(message), { type, description, context }));
    }

    _onDrain(count) {
      this.writable = true;
      this._owner?._onDrain?.(count);
    }
  }

  /** A packet as it travels: a text whose first character is its type, or the bytes of a message. */
  function toFrame({ type, data = "" }) {
    return typeof data === "string" ? TYPES.indexOf(type) + data : data;
  }

  /** The same as a text, for what carries only texts: bytes become `b` and base64. */
  function toText(packet) {
    const frame = toFrame(packet);
    return typeof frame === "string" ? frame : new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve("b" + (reader.result.split(",")[1] ?? ""));
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(new Blob([frame]));
    });
  }

  function fromBase64(text) {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
  }

  // The HTTP long-polling transport: one GET always waits for the server's packets, and at most one
  // POST carries ours. A *payload* is the body of either: packets between separators.


  const SEPARATOR = "\x1e";
  const CLOSE = "1"; // the packet of that type
  const ENCODER = new TextEncoder();

  class Polling extends Transport {
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

  // The WebSocket transport: one WebSocket message is one packet.


  class WebSocketTransport extends Transport {
    get name() {
      return "websocket";
    }

    open() {
      const { protocols, timestampRequests } = this.opts;
      try {
        this.ws = new WebSocket(this._url("ws", timestampRequests), protocols);
      } catch (err) {
        this._owner._onError(err);
        return;
      }
      Object.assign(this.ws, {
        binaryType: "arraybuffer",
        onopen: () => {
          this.writable = true;
          this._owner?._onOpen?.();
        },
        onmessage: ({ data }) => this._onFrame(data),
        onerror: (event) => this._onError("websocket error", event),
        onclose: (context) => this._owner?._onClose(
          "transport close", { description: "websocket connection closed", context }),
      });
    }

    async send(packets) {
      const { ws } = this;
      this.writable = false;
      const frames = this.opts.forceBase64
        ? await Promise.all(packets.map(toText))
        : packets.map(toFrame);
      for (const frame of frames) ws.send(frame);
      await undefined;
      this._onDrain(packets.length);
    }

    close() {
      this.ws?.close();
    }
  }

  // A session that chooses its transport, and moves from polling to a better one. While it moves,
  // `upgrading` holds back writes.
  //
  // Events beside those of every session: upgrading(transport), upgrade(transport),
  // upgradeError(err).


  /** The transports that are known by name, in the order in which they are tried. */
  const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };

  let webSocketWorked = false; // the last time; for `rememberUpgrade`

  class UpgradingEngine extends Engine {
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

  // One namespace of a connection: `emit` sends, what the server emits reaches `on`.
  //
  //     idle ──connect()──▶ active ──CONNECT answered──▶ connected
  //       ▲                    ▲ └────── connection lost ───┘ │
  //       └─ disconnect(), or the server's DISCONNECT or CONNECT_ERROR ─┘
  //
  // `active` says that it wants to be connected, and follows its manager's reconnections.
  // Events of its own: connect, connect_error(err), disconnect(reason, details).


  class Socket extends Emitter {
    active = false;
    connected = false;
    recovered = false;
    receiveBuffer = []; // events that came before the answer to CONNECT
    sendBuffer = []; // packets that wait for it
    _catchAlls = [[], []]; // who hears all that arrives, and all that leaves
    _opts;
    #acks = new Map();
    #ackId = 0;
    #flags = {}; // of the next emit only
    _queue = []; // of attempts to send what `retries` guards
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
      if (this._opts.retries && !flags.volatile) this._enqueue(data, flags);
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
        else this._onError(new Error("server speaks Socket.IO 2"));
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
      this._drainQueue(true);
      this._fire("connect");
    }

    #deliver(data) {
      callAll(this._catchAlls[0], this, data);
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
      callAll(this._catchAlls[1], this, packet.data);
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
  Object.assign(own, {
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
  ["Any", "AnyOutgoing"].forEach((suffix, which) => {
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

  // The browser's own timers, in case a test replaces the global ones.


  const NATIVE_TIMERS = {
    setTimeout: setTimeout.bind(globalThis),
    clearTimeout: clearTimeout.bind(globalThis),
  };

  // One connection, opened again whenever it is lost, and the sockets that share it.
  //
  //     closed ──open()──▶ opening ──▶ open ──▶ closed ──delay──▶ opening …
  //
  // Events: open, packet, ping, error(err), close(reason, details), reconnect_attempt(n),
  // reconnect(n), reconnect_error(err), reconnect_failed. The sockets hear first.


  /** Options that are methods as well: without an argument they tell, with one they set. */
  const SETTINGS = {
    reconnection: true,
    reconnectionAttempts: Infinity,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 5000,
    randomizationFactor: 0.5,
    timeout: 20_000,
  };

  class Manager extends Emitter {
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
      this._timers = opts.useNativeTimers ? NATIVE_TIMERS : globalThis;
      this.encoder = new ((opts.parser?.Encoder) || Encoder)();
      this.decoder = new ((opts.parser?.Decoder) || Decoder)();
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
      this.#done = done;
      this.engine = new UpgradingEngine(this, this.uri, this.opts);
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
      this.#done?.();
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
      if (this.#done) this.#done(err);
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

  {
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

  // `io(url, options)`: the socket of a namespace. It has the rest of the client as properties.


  const managers = {};

  /**
   * The socket of the namespace that `url` names. Sockets of one origin and path share a connection,
   * unless the namespace is taken, or `forceNew` or `multiplex: false` ask for another.
   */
  function io(url, opts) {
    if (typeof url === "object") [url, opts] = [undefined, url];
    url ??= "/";
    opts ??= {};
    // As it is written: a URL would change it.
    const nsp = url.replace(/^((\w+:)?\/\/)?[^/?#]*|[?#].*/g, "") || "/";
    const key = parseUrl(url).origin + opts.path;
    const isAlone = opts.forceNew || opts.multiplex === false || managers[key]?.nsps[nsp];
    const open = () => new Manager(url, opts);
    const manager = isAlone ? open() : (managers[key] ??= open());
    return manager.socket(nsp, opts);
  }

  /** The revision of the Socket.IO protocol. */
  const protocol = 5;

  Object.assign(io, { Manager, Socket, connect: io, io, protocol });

  globalThis.io = io;

})();
//# sourceMappingURL=socket.io.js.map
