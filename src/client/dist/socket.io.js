/*! emio's browser client. MIT License */
(function () {
  'use strict';

  /*
   * emio's browser client: Socket.IO 4.x over HTTP long-polling and WebSocket.
   *
   * One classic script without dependencies, for browsers from 2022 on and their workers. It defines
   * the global `io`. Not here: WebTransport, Engine.IO 3, Node.js.
   *
   *     io(url) ─▶ Manager   one per origin and path: opens, reconnects, encodes and decodes packets
   *                  ├─▶ Socket     one per namespace: events and acknowledgements
   *                  └─▶ Engine     one Engine.IO session: handshake, heartbeat, upgrade, write queue
   *                        └─▶ Polling | WebSocketTransport
   *
   * A *frame* is one Engine.IO packet as it travels: a string whose first character is its type, or
   * bytes, which are always a message. A *packet* is one Socket.IO packet: {type, nsp, id, data}.
   * Members that begin with an underscore are shared between the classes here and are nobody else's.
   */
  globalThis.io = (() => {

    const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4, BINARY_OFFSET = 3;
    const SEPARATOR = "\x1e";
    const RESERVED =
      ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

    const DEFAULTS = {
      path: "/socket.io/",
      transports: ["polling", "websocket"],
      upgrade: true,
      autoConnect: true,
      timeout: 20_000,
      reconnection: true,
      reconnectionAttempts: Infinity,
      reconnectionDelay: 1000,
      reconnectionDelayMax: 5000,
      randomizationFactor: 0.5,
    };

    /** Listeners by event name. `fire` calls them; `emit` is a name that sockets need for sending. */
    class Emitter {
      #listeners = new Map();

      on(event, fn) {
        this.#listeners.set(event, [...this.listeners(event), fn]);
        return this;
      }

      once(event, fn) {
        const once = (...args) => {
          this.off(event, once);
          fn.apply(this, args);
        };
        once.fn = fn;
        return this.on(event, once);
      }

      /** Removes one listener, all of an event, or all. */
      off(event, fn) {
        if (event === undefined) {
          this.#listeners.clear();
          return this;
        }
        const kept = this.listeners(event);
        const index = kept.findIndex((it) => it === fn || it.fn === fn);
        if (fn && index >= 0) kept.splice(index, 1);
        if (fn && kept.length) this.#listeners.set(event, kept);
        else this.#listeners.delete(event);
        return this;
      }

      listeners(event) {
        return [...(this.#listeners.get(event) ?? [])];
      }

      hasListeners(event) {
        return this.#listeners.has(event);
      }

      fire(event, ...args) {
        for (const fn of this.listeners(event)) {
          // What a listener throws is reported, and must not stop the poll that delivered the event.
          try {
            fn.apply(this, args);
          } catch (err) {
            reportError(err);
          }
        }
      }
    }

    /** Adds a table of listeners; returns what removes exactly those. */
    function subscribe(emitter, table) {
      for (const event in table) emitter.on(event, table[event]);
      return () => {
        for (const event in table) emitter.off(event, table[event]);
      };
    }

    const managers = new Map();

    /**
     * The socket of the namespace that `url` names. Sockets of one origin and path share a
     * connection, unless the namespace is taken, or `forceNew` or `multiplex: false` ask for another.
     */
    function io(url, opts) {
      if (typeof url === "object") [url, opts] = [undefined, url];
      opts = { ...DEFAULTS, ...opts };
      const target = parseUrl(url, opts);
      const key = target.origin + opts.path;
      const shared = managers.get(key);
      let manager = shared;
      if (!shared || opts.forceNew || opts.multiplex === false || shared._sockets.has(target.nsp)) {
        manager = new Manager(url, opts);
        if (!shared && !opts.forceNew && opts.multiplex !== false) managers.set(key, manager);
      }
      return manager.socket(target.nsp, opts);
    }

    /** {origin, nsp, query} of what may be a full URL, `//host`, `host:port` or `/namespace`. */
    function parseUrl(url = "", { secure, query }) {
      const [, scheme = location.protocol, host, nsp, search] =
        /^(?:(\w+:)?\/\/)?([^/?#]*)([^?#]*)\??([^#]*)/.exec(url);
      const tls = secure ?? /^(http|ws)s:/.test(scheme);
      return {
        origin: new URL((tls ? "https://" : "http://") + (host || location.host)).origin,
        nsp: nsp || "/",
        query: query ?? Object.fromEntries(new URLSearchParams(search)),
      };
    }

    /**
     * One connection, opened again whenever it is lost, and the sockets that share it.
     * Events: open, packet, ping, error, close, reconnect_attempt, reconnect, reconnect_error,
     * reconnect_failed.
     *
     *     closed ──open()──▶ opening ──▶ open ──▶ closed ──delay──▶ opening …
     */
    class Manager extends Emitter {
      _sockets = new Map();
      _readyState = "closed";
      _reconnecting = false;
      #attempts = 0;
      #stopped = false; // by close(), until the next open()
      #timer;
      #unsubscribe = () => {};
      #decoder;

      constructor(url, opts) {
        super();
        if (typeof url === "object") [url, opts] = [undefined, url];
        this.opts = { ...DEFAULTS, ...opts };
        const { origin, query } = parseUrl(url, this.opts);
        this.uri = origin;
        this.opts.query = query;
        if (this.opts.autoConnect) this.open();
      }

      socket(nsp, opts) {
        let socket = this._sockets.get(nsp);
        if (!socket) this._sockets.set(nsp, (socket = new Socket(this, nsp, opts)));
        if (this.opts.autoConnect) socket.connect();
        return socket;
      }

      /** Opens the connection. `done(err)`, if given, also takes over what to do after a failure. */
      open(done) {
        if (this._readyState !== "closed") return this;
        clearTimeout(this.#timer);
        this._readyState = "opening";
        this.#stopped = false;
        const engine = (this.engine = new Engine(this.uri, this.opts));
        const fail = (err) => {
          this.#detach();
          this.fire("error", err);
          for (const socket of this.#active()) socket._onError(err);
          this._reconnecting = false;
          if (done) done(err);
          else this.#reconnect();
        };
        this.#unsubscribe = subscribe(engine, {
          open: () => {
            this.#onOpen(engine);
            done?.();
          },
          error: fail,
          close: (reason) => fail(new Error(reason)),
        });
        if (this.opts.timeout !== false) {
          this.#timer = setTimeout(() => fail(new Error("timeout")), this.opts.timeout);
        }
        engine.open();
        return this;
      }

      close() {
        this.#stopped = true;
        this._reconnecting = false;
        this.#onClose("forced close");
      }

      _send(packet) {
        this.engine._write(encodePacket(packet));
      }

      /** A socket needs the connection no longer. The last one closes it. */
      _release() {
        if (!this.#active().length) this.close();
      }

      #active() {
        return [...this._sockets.values()].filter((socket) => socket.active);
      }

      #onOpen(engine) {
        clearTimeout(this.#timer);
        this.#unsubscribe();
        this.#decoder = new Decoder();
        this._readyState = "open";
        this._reconnecting = false;
        this.#unsubscribe = subscribe(engine, {
          data: (data) => this.#onData(data),
          ping: () => this.fire("ping"),
          error: (err) => this.fire("error", err),
          close: (reason, details) => this.#onClose(reason, details),
        });
        this.fire("open");
        for (const socket of this.#active()) socket._onOpen();
      }

      #onData(data) {
        let packet;
        try {
          packet = this.#decoder.add(data);
        } catch (err) {
          this.#onClose("parse error", err);
          return;
        }
        if (!packet) return;
        this.fire("packet", packet);
        const socket = this._sockets.get(packet.nsp);
        if (socket?.active) socket._onPacket(packet);
      }

      #onClose(reason, details) {
        this.#detach();
        this.#attempts = 0;
        this.fire("close", reason, details);
        for (const socket of this.#active()) socket._onClose(reason, details);
        this.#reconnect();
      }

      #detach() {
        clearTimeout(this.#timer);
        this.#unsubscribe();
        this._readyState = "closed";
        this.engine?.close();
      }

      #reconnect() {
        const { reconnection, reconnectionAttempts } = this.opts;
        if (!reconnection || this.#stopped || this._reconnecting) return;
        // A listener may have opened the connection by itself.
        if (this._readyState !== "closed") return;
        if (this.#attempts >= reconnectionAttempts) {
          this.#attempts = 0;
          this.fire("reconnect_failed");
          return;
        }
        this._reconnecting = true;
        this.#timer = setTimeout(() => {
          this.fire("reconnect_attempt", this.#attempts);
          if (!this.#stopped) this.open((err) => this.#onAttempt(err));
        }, this.#delay());
      }

      #onAttempt(err) {
        if (err) {
          this.fire("reconnect_error", err);
          this.#reconnect();
          return;
        }
        const attempts = this.#attempts;
        this.#attempts = 0;
        this.fire("reconnect", attempts);
      }

      /** Doubles with each attempt up to a maximum; chance keeps clients from coming back at once. */
      #delay() {
        const { reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this.opts;
        const delay = Math.min(reconnectionDelay * 2 ** this.#attempts++, reconnectionDelayMax);
        return delay * (1 + randomizationFactor * (2 * Math.random() - 1));
      }
    }

    /**
     * One namespace of a connection. `emit` sends; what the server emits reaches `on`.
     * Events of its own: connect, connect_error(err), disconnect(reason, details).
     */
    class Socket extends Emitter {
      connected = false;
      active = false; // it wants to be connected, and follows its manager
      recovered = false;
      receiveBuffer = [];
      sendBuffer = [];
      #acks = new Map();
      #ackId = 0;
      #flags = {}; // of the next emit only

      constructor(manager, nsp, opts) {
        super();
        this.io = manager;
        this.nsp = nsp;
        this.auth = opts?.auth;
      }

      get disconnected() {
        return !this.connected;
      }

      connect() {
        // Then CONNECT was sent already, and a second one would be a fault.
        if (this.active && this.io._readyState === "open") return this;
        this.active = true;
        if (!this.io._reconnecting) this.io.open();
        if (this.io._readyState === "open") this._onOpen();
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

      send(...args) {
        return this.emit("message", ...args);
      }

      /** Sends now, or once connected. A function as last argument receives the acknowledgement. */
      emit(event, ...args) {
        if (RESERVED.includes(event)) throw new Error(`"${event}" is a reserved event name`);
        const { volatile, timeout } = this.#flags;
        this.#flags = {};
        const packet = { type: EVENT, data: [event, ...args] };
        if (typeof args.at(-1) === "function") {
          packet.id = this.#ackId++;
          this.#awaitAck(packet.id, packet.data.pop(), timeout);
        }
        const { engine } = this.io;
        if (volatile && !engine?._idle) return this;
        if (this.connected && !engine._expired()) this.#send(packet);
        else this.sendBuffer.push(packet);
        return this;
      }

      emitWithAck(event, ...args) {
        return new Promise((resolve, reject) => {
          const ack = (err, value) => (err ? reject(err) : resolve(value));
          ack.withError = true;
          this.emit(event, ...args, ack);
        });
      }

      _onOpen() {
        const connect = (data) => this.#send({ type: CONNECT, data });
        if (typeof this.auth === "function") this.auth(connect);
        else connect(this.auth);
      }

      _onError(err) {
        if (!this.connected) this.fire("connect_error", err);
      }

      _onPacket({ type, id, data }) {
        switch (type) {
          case CONNECT:
            if (data?.sid) this.#onConnect(data);
            else this._onError(new Error("the server speaks Socket.IO 2, not 3 or later"));
            break;
          case CONNECT_ERROR:
            this.#release();
            this._onError(Object.assign(new Error(data.message), { data: data.data }));
            break;
          case DISCONNECT:
            this.#release();
            this._onClose("io server disconnect");
            break;
          case EVENT:
            if (id !== undefined) data.push(this.#replier(id));
            if (this.connected) this.fire(...data);
            else this.receiveBuffer.push(data);
            break;
          case ACK:
            this.#onAck(id, data);
        }
      }

      _onClose(reason, details) {
        this.connected = false;
        this.id = undefined;
        this.fire("disconnect", reason, details);
        const buffered = new Set(this.sendBuffer.map((packet) => packet.id));
        for (const [id, ack] of [...this.#acks]) {
          // No later session will answer for this one; what was not sent yet can still be answered.
          if (buffered.has(id)) continue;
          this.#acks.delete(id);
          if (ack.withError) ack.call(this, new Error("socket has been disconnected"));
        }
      }

      #onConnect({ sid }) {
        this.id = sid;
        this.connected = true;
        for (const data of this.receiveBuffer.splice(0)) this.fire(...data);
        for (const packet of this.sendBuffer.splice(0)) this.#send(packet);
        this.fire("connect");
      }

      #onAck(id, args) {
        const ack = this.#acks.get(id);
        this.#acks.delete(id);
        if (ack?.withError) args.unshift(null);
        // As in Emitter: what the application throws must not stop the transport.
        try {
          ack?.apply(this, args);
        } catch (err) {
          reportError(err);
        }
      }

      #awaitAck(id, ack, timeout) {
        if (timeout === undefined) {
          this.#acks.set(id, ack);
          return;
        }
        const timer = setTimeout(() => {
          this.#acks.delete(id);
          this.sendBuffer = this.sendBuffer.filter((packet) => packet.id !== id);
          ack.call(this, new Error("operation has timed out"));
        }, timeout);
        const answered = (...args) => {
          clearTimeout(timer);
          ack.apply(this, args);
        };
        answered.withError = true;
        this.#acks.set(id, answered);
      }

      /** What a listener calls to acknowledge the event `id`; only its first call counts. */
      #replier(id) {
        let replied = false;
        return (...data) => {
          if (!replied) this.#send({ type: ACK, id, data });
          replied = true;
        };
      }

      #release() {
        this.active = false;
        this.io._release();
      }

      #send(packet) {
        this.io._send({ nsp: this.nsp, ...packet });
      }
    }

    Socket.prototype.open = Socket.prototype.connect;
    Socket.prototype.close = Socket.prototype.disconnect;

    const engines = new Set(); // those of this page that are not closed

    /**
     * One Engine.IO session, whatever carries it. Events: open, data, ping, upgrading, upgrade,
     * upgradeError, error, close(reason, details).
     *
     *     opening ──handshake──▶ open ──close()──▶ closing ──queue written──▶ closed
     *
     * `upgrading` holds back writes while the session moves from polling to the probed transport.
     */
    class Engine extends Emitter {
      readyState = "opening";
      upgrading = false;
      #origin;
      #opts;
      #handshake;
      #queue = [];
      #abandonProbe = () => {};
      #deadline;
      #timer;

      constructor(origin, opts) {
        super();
        this.#origin = origin;
        this.#opts = opts;
      }

      open() {
        this.#use(this.#create(this.#opts.transports[0]));
        engines.add(this);
        this.transport.open();
      }

      /** Closes once everything written has left. */
      close() {
        if (this.readyState === "opening") this._onClose("forced close");
        if (this.readyState !== "open") return;
        this.readyState = "closing";
        this.#flush();
      }

      /** Whether a frame written now would leave now. */
      get _idle() {
        return this.readyState === "open" && !this.upgrading && this.transport._idle;
      }

      /** Timers sleep with the page: the heartbeat is judged again before something is sent. */
      _expired() {
        const expired = Date.now() > this.#deadline;
        if (expired) queueMicrotask(() => this._onClose("ping timeout"));
        return expired;
      }

      _write(frames) {
        if (this.readyState !== "open") return;
        this.#queue.push(...frames);
        this.#flush();
      }

      _onClose(reason, details) {
        if (this.readyState === "closed") return;
        this.readyState = "closed";
        engines.delete(this);
        clearTimeout(this.#timer);
        this.#abandonProbe();
        this.transport.off();
        this.transport.close();
        this.#queue = [];
        this.id = undefined;
        this.fire("close", reason, details);
      }

      #create(name) {
        const Transport = TRANSPORTS[name];
        if (!Transport) throw new Error(`unknown transport "${name}"`);
        return new Transport(this.#origin, this.#opts, this.id);
      }

      #use(transport) {
        this.transport = transport;
        subscribe(transport, {
          frame: (frame) => this.#onFrame(frame),
          drain: () => this.#flush(),
          error: (err) => this.#onError(err),
          close: (details) => this._onClose("transport close", details),
        });
      }

      #onError(err) {
        this.fire("error", err);
        this._onClose("transport error", err);
      }

      #onFrame(frame) {
        if (typeof frame !== "string") {
          this.fire("data", frame);
          return;
        }
        const data = frame.slice(1);
        switch (frame[0]) {
          case "0":
            this.#onOpen(data);
            break;
          case "1":
            this._onClose("transport close", { description: "transport closed by the server" });
            break;
          case "2":
            this.#expectPing();
            this._write(["3"]);
            this.fire("ping");
            break;
          case "4":
            this.fire("data", data);
            break;
          case "6":
            break;
          case "b":
            this.fire("data", fromBase64(data));
            break;
          default:
            this.#onError(new Error("server error"));
        }
      }

      #onOpen(json) {
        this.#handshake = JSON.parse(json);
        this.id = this.transport.sid = this.#handshake.sid;
        this.readyState = "open";
        this.#expectPing();
        this.fire("open");
        const { transports, upgrade } = this.#opts;
        if (!upgrade || this.readyState !== "open" || !this.transport.pause) return;
        const name = this.#handshake.upgrades.find((it) => transports.includes(it));
        if (TRANSPORTS[name]) this.#probe(this.#create(name));
      }

      #expectPing() {
        const { pingInterval, pingTimeout } = this.#handshake;
        clearTimeout(this.#timer);
        this.#deadline = Date.now() + pingInterval + pingTimeout;
        this.#timer = setTimeout(() => this._onClose("ping timeout"), pingInterval + pingTimeout);
      }

      /** Tries `next` while polling goes on; moves there once it answers and polling is at rest. */
      #probe(next) {
        const abandon = (this.#abandonProbe = () => {
          this.#abandonProbe = () => {};
          next.off();
          next.close();
        });
        const fail = () => {
          abandon();
          if (this.upgrading) this.transport.resume();
          this.upgrading = false;
          this.fire("upgradeError", new Error("probe error"));
          this.#flush();
        };
        const onFrame = async (frame) => {
          if (frame !== "3probe") return fail();
          this.upgrading = true;
          this.fire("upgrading", next);
          await this.transport.pause();
          if (this.#abandonProbe !== abandon) return;
          this.#abandonProbe = () => {};
          this.transport.off();
          next.off();
          next.send(["5"]);
          this.#use(next);
          this.upgrading = false;
          this.fire("upgrade", next);
          this.#flush();
        };
        const open = () => next.send(["2probe"]);
        subscribe(next, { open, frame: onFrame, error: fail, close: fail });
        next.open();
      }

      #flush() {
        const { readyState, transport } = this;
        if (readyState === "opening" || readyState === "closed") return;
        if (this.upgrading || !transport.writable) return;
        if (this.#queue.length) transport.send(this.#queue.splice(0, this.#batchLength()));
        else if (readyState === "closing") this._onClose("forced close");
      }

      /** How many queued frames one write may carry: a polling request has a maximum size. */
      #batchLength() {
        const { maxPayload } = this.#handshake;
        if (!maxPayload || !this.transport.pause) return this.#queue.length;
        let bytes = payloadBytes(this.#queue[0]);
        let count = 1;
        for (; count < this.#queue.length; count++) {
          bytes += 1 + payloadBytes(this.#queue[count]);
          if (bytes > maxPayload) break;
        }
        return count;
      }
    }

    // Some browsers notice only minutes later that a connection has gone with its network.
    addEventListener("offline", () => {
      const details = { description: "network connection lost" };
      for (const engine of engines) engine._onClose("transport close", details);
    });

    // A page that may be shown again closes its sessions, and reconnects when it is; any other leaves
    // without telling its listeners.
    addEventListener("pagehide", ({ persisted }) => {
      for (const engine of engines) {
        if (!persisted) engine.off();
        engine._onClose("transport close", { description: "page hidden" });
      }
    });

    /**
     * What carries frames. Events: open (WebSocket), frame, drain, error, close(details).
     * `send` may be called while `writable`, and is followed by `drain`.
     */
    class Transport extends Emitter {
      writable = false;

      constructor(origin, opts, sid) {
        super();
        this.origin = origin;
        this.opts = opts;
        this.sid = sid;
      }

      _url(origin, stamped) {
        const { path, query, addTrailingSlash, timestampParam = "t" } = this.opts;
        const params = new URLSearchParams({ ...query, EIO: 4, transport: this.name });
        if (this.sid) params.set("sid", this.sid);
        if (stamped) params.set(timestampParam, uniqueStamp());
        const slash = addTrailingSlash === false ? "" : "/";
        return `${origin}${path.replace(/\/$/, "")}${slash}?${params}`;
      }
    }

    /** One GET always waits for the server's frames; at most one POST carries ours. */
    class Polling extends Transport {
      name = "polling";
      writable = true;
      #alive = false; // the server knows the session and would like to hear that it ended
      #polling = false;
      #paused; // resolves pause()
      #abort = new AbortController();

      get _idle() {
        return this.writable;
      }

      open() {
        this.#poll();
      }

      async send(frames) {
        this.writable = false;
        try {
          await this.#request((await Promise.all(frames.map(toText))).join(SEPARATOR));
        } catch (err) {
          this.#fail("xhr post error", err);
          return;
        }
        this.writable = true;
        this.fire("drain");
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
        if (!this.#polling) this.#poll();
      }

      close() {
        const abort = () => this.#abort.abort();
        if (this.#alive) this.#request("1", true).then(abort, abort);
        else abort();
        this.#alive = false;
      }

      async #poll() {
        this.#polling = true;
        let payload;
        try {
          payload = await this.#request();
        } catch (err) {
          this.#fail("xhr poll error", err);
          return;
        }
        this.#polling = false;
        this.#alive ||= payload[0] === "0";
        for (const frame of payload.split(SEPARATOR)) {
          if (frame === "1") this.#alive = false;
          this.fire("frame", frame);
        }
        if (this.#paused) this.#rest();
        else if (this.#alive) this.#poll();
      }

      #rest() {
        if (!this.#polling && this.writable) this.#paused?.();
      }

      async #request(body, keepalive) {
        const { withCredentials, extraHeaders, timestampRequests } = this.opts;
        const response = await fetch(this._url(this.origin, timestampRequests !== false), {
          method: body === undefined ? "GET" : "POST",
          headers: { ...extraHeaders },
          body,
          keepalive,
          credentials: withCredentials ? "include" : "same-origin",
          signal: this.#abort.signal,
        });
        const text = await response.text();
        if (response.ok) return text;
        throw Object.assign(new Error(text), { context: response, description: response.status });
      }

      #fail(message, err) {
        this.#alive = false;
        this.fire("error", transportError(message, err.description ?? err, err.context));
      }
    }

    /** One message of the WebSocket is one frame. */
    class WebSocketTransport extends Transport {
      name = "websocket";
      #ws;

      get _idle() {
        return this.writable && !this.#ws.bufferedAmount;
      }

      open() {
        const { protocols = [], timestampRequests } = this.opts;
        const fail = (cause) => this.fire("error", transportError("websocket error", cause));
        try {
          this.#ws = new WebSocket(
            this._url(this.origin.replace("http", "ws"), timestampRequests), protocols);
        } catch (err) {
          fail(err);
          return;
        }
        this.#ws.binaryType = "arraybuffer";
        this.#ws.onopen = () => {
          this.writable = true;
          this.fire("open");
        };
        this.#ws.onmessage = ({ data }) => this.fire("frame", data);
        this.#ws.onerror = fail;
        this.#ws.onclose = (context) => {
          this.fire("close", { description: "websocket connection closed", context });
        };
      }

      send(frames) {
        for (const frame of frames) this.#ws.send(frame);
        this.fire("drain");
      }

      close() {
        this.#ws?.close();
      }
    }

    const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };

    function transportError(message, description, context) {
      return Object.assign(new Error(message), { type: "TransportError", description, context });
    }

    let stamps = 0;

    /** A query value no earlier request of this page had, so that no cache can answer it. */
    function uniqueStamp() {
      return Date.now().toString(36) + (stamps++).toString(36);
    }

    // Codecs: frames in polling payloads, then Socket.IO packets.

    /** The size of a frame inside a polling payload. */
    function payloadBytes(frame) {
      if (typeof frame === "string") return new TextEncoder().encode(frame).length;
      return 1 + 4 * Math.ceil((frame.size ?? frame.byteLength) / 3);
    }

    /** The text of a frame inside a polling payload: itself, or `b` and base64. */
    function toText(frame) {
      if (typeof frame === "string") return frame;
      return new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve("b" + (reader.result.split(",")[1] ?? ""));
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(new Blob([frame]));
      });
    }

    function fromBase64(text) {
      return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
    }

    function isBinary(value) {
      return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob;
    }

    /** The frames of a packet: `<type>[<attachments>-][<nsp>,][<id>][<json>]`, then attachments. */
    function encodePacket({ type, nsp, id = "", data }) {
      const attachments = [];
      function detach(key, value) {
        // `value` is what toJSON() made of it, which some byte arrays have.
        const raw = this[key];
        if (!isBinary(raw)) return value;
        return { _placeholder: true, num: attachments.push(raw) - 1 };
      }
      const events = type === EVENT || type === ACK;
      const json = data === undefined ? "" : JSON.stringify(data, events ? detach : null);
      const kind = attachments.length ? `${type + BINARY_OFFSET}${attachments.length}-` : type;
      return [`4${kind}${nsp === "/" ? "" : nsp + ","}${id}${json}`, ...attachments];
    }

    /** Packets from messages. A packet with attachments is complete when the last one is added. */
    class Decoder {
      #head; // of the packet that waits for attachments
      #attachments = [];

      /** The packet that `message` completes, if any. Throws what the server did wrong. */
      add(message) {
        const text = typeof message === "string";
        // Texts begin packets, bytes continue them.
        if (text === Boolean(this.#head)) throw new Error("message out of order");
        if (text) this.#head = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d+)?(.*)$/s.exec(message);
        else this.#attachments.push(message);
        if (!this.#head) throw new Error("invalid packet");
        if (this.#attachments.length < (this.#head[2] ?? 0)) return undefined;
        const [, kind, count, nsp = "/", id, json] = this.#head;
        const attachments = this.#attachments;
        this.#head = undefined;
        this.#attachments = [];
        const type = count === undefined ? +kind : kind - BINARY_OFFSET;
        const attach = (key, value) => {
          if (value?._placeholder !== true) return value;
          const bytes = attachments[value.num];
          if (!(bytes instanceof ArrayBuffer)) throw new Error("illegal attachments");
          return bytes;
        };
        const data = json ? JSON.parse(json, attachments.length ? attach : undefined) : undefined;
        if (!isPayload(type, data)) throw new Error("invalid payload");
        return { type, nsp, id: id && +id, data };
      }
    }

    function isPayload(type, data) {
      switch (type) {
        case CONNECT:
          return data === undefined || (typeof data === "object" && !Array.isArray(data));
        case DISCONNECT:
          return data === undefined;
        case CONNECT_ERROR:
          return typeof data === "string" || (typeof data === "object" && data !== null);
        case EVENT:
          return Array.isArray(data) && /string|number/.test(typeof data[0]) &&
            !RESERVED.includes(data[0]);
        case ACK:
          return Array.isArray(data);
      }
      return false;
    }

    return Object.assign(io, { io, connect: io, Manager, Socket, protocol: 5 });
  })();

  const { io, connect, Manager, Socket, protocol } = globalThis.io;

  const names = {
    __proto__: null,
    Manager,
    Socket,
    connect,
    io,
    protocol
  };

  globalThis.io = Object.assign(io, names);

})();
//# sourceMappingURL=socket.io.js.map
