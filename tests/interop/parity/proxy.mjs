// A TCP proxy between a browser and a server, whose weather a case decides.
//
// It also answers `GET /parity/…` itself, so that a page shares the origin of the server behind.
// Not here: any other HTTP; bytes pass as they come.

import { once } from "node:events";
import net from "node:net";

/** What a request for a page begins with. No frame of a WebSocket does: its first byte is masked
 *  or a control byte with reserved bits. */
const PAGE = /^GET (\/parity\/[^ ?]*)[^ ]* HTTP/;

export class Proxy {
  /** `server` is anything with a `port`; `files` are the pages by path: `{type, body}`. */
  constructor(server, files) {
    this.server = server;
    this.files = files;
    this.pairs = new Set();
    this.weather = {
      delayMs: 0,
      chunkBytes: Infinity,
      stalled: undefined, // a promise, while nothing passes
      noUpgrade: false, // WebSockets are reset
      stallUpgrade: false, // WebSockets are never answered
    };
  }

  /** Listens on `port`, the one it had before, or the next free one. */
  async open(port = this.port ?? nextPort()) {
    for (;; port = nextPort()) {
      const listener = net.createServer({ noDelay: true }, (socket) => this.accept(socket));
      const failed = new Promise((resolve) => listener.once("error", resolve));
      listener.listen(port, "127.0.0.1");
      if (await Promise.race([failed, once(listener, "listening")]) instanceof Error) continue;
      this.listener = listener;
      this.port = port;
      this.origin = `http://127.0.0.1:${port}`;
      return this;
    }
  }

  /** The server is gone: connections are reset, and new ones refused, until `open`. */
  refuse() {
    // It reports its end only when all its connections have ended; the port is free at once.
    this.listener?.close();
    this.listener = undefined;
    this.cut();
  }

  /** Resets all connections. */
  cut() {
    for (const pair of this.pairs) pair.forEach((socket) => socket.resetAndDestroy());
  }

  /** No byte passes, and no connection ends, until `flow`. */
  stall() {
    if (this.weather.stalled) return;
    let flow;
    this.weather.stalled = new Promise((resolve) => (flow = resolve));
    this.weather.flow = flow;
  }

  flow() {
    this.weather.flow?.();
    this.weather.stalled = undefined;
  }

  /** Each read waits so long before it passes. */
  delay(ms) {
    this.weather.delayMs = ms;
  }

  /** Bytes pass in pieces of this size, with a turn of the loop between them. */
  throttle(bytes) {
    this.weather.chunkBytes = bytes;
  }

  async close() {
    this.refuse();
    this.flow();
  }

  accept(client) {
    if (!this.listener) {
      client.resetAndDestroy();
      return;
    }
    const pair = [client];
    this.pairs.add(pair);
    client.on("error", () => {});
    client.on("close", () => this.pairs.delete(pair));
    void this.forward(client, pair);
  }

  async forward(client, pair) {
    let server;
    try {
      for await (const chunk of client) {
        const page = PAGE.exec(chunk.subarray(0, 200).toString("latin1"));
        if (page) {
          this.serve(client, page[1]);
          server?.destroy();
          return;
        }
        if (!server) {
          const head = chunk.toString("latin1").split("\r\n\r\n")[0];
          const isUpgrade = /^upgrade: websocket/im.test(head);
          if (isUpgrade && this.weather.stallUpgrade) continue;
          if (isUpgrade && this.weather.noUpgrade) {
            client.resetAndDestroy();
            return;
          }
          server = net.connect({ port: this.server.port, host: "127.0.0.1", noDelay: true });
          pair.push(server);
          server.on("error", () => client.resetAndDestroy());
          void this.pipe(server, client);
        }
        await this.pass(chunk, server);
      }
      server?.end();
    } catch {
      server?.destroy();
    }
  }

  async pipe(from, to) {
    try {
      for await (const chunk of from) await this.pass(chunk, to);
      await this.weather.stalled;
      to.end();
    } catch {
      to.destroy();
    }
  }

  async pass(chunk, to) {
    for (let at = 0; at < chunk.length;) {
      const { delayMs, chunkBytes } = this.weather;
      await this.weather.stalled;
      if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const piece = chunk.subarray(at, at + chunkBytes);
      at += piece.length;
      if (chunkBytes < Infinity) await new Promise(setImmediate);
      if (!to.write(piece) && !to.destroyed) {
        await Promise.race([once(to, "drain"), once(to, "close")]);
      }
    }
  }

  serve(client, path) {
    const file = this.files.get(path);
    const { type, body, headers = "" } = file ?? { type: "text/plain", body: "" };
    client.end(
      `HTTP/1.1 ${file ? "200 OK" : "404 Not Found"}\r\nContent-Type: ${type}; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n${headers}Connection: close\r\n\r\n${body}`);
  }
}

// Each proxy has a port no earlier one had, so that nothing of one case reaches another.
const [PORT_MIN, PORT_MAX] = (process.env.INTEROP_PORTS ?? "20000-29999").split("-").map(Number);
let port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));

export function nextPort() {
  port = port >= PORT_MAX ? PORT_MIN : port + 1;
  return port;
}
