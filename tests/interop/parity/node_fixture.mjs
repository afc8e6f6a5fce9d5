#!/usr/bin/env node
// The official server in the place of emio's `fixture`: the same variables, namespaces and events,
// as far as the parity cases use them. Not here: modes `eio` and `ws`, EIO=3, compression.
// A case that passes against both servers says something about the client, not about the server.

import { createServer } from "node:http";
import { Server } from "socket.io";

const text = (name, otherwise) => process.env[name] || otherwise;
const number = (name, otherwise) => Number(text(name, otherwise));
const isOn = (name) => text(name, "0") !== "0";

function cors() {
  if (!isOn("FX_CORS")) return undefined;
  const methods = ["GET", "POST"];
  const origins = text("FX_CORS");
  if (origins === "*") return { origin: "*", methods };
  return { origin: origins.split(","), methods, credentials: true };
}

const cookie = isOn("FX_COOKIE")
  ? { name: text("FX_COOKIE"), path: "/", httpOnly: true, sameSite: "lax" }
  : undefined;

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  path: text("FX_PATH", "/socket.io/"),
  pingInterval: number("FX_PING_INTERVAL", 25_000),
  pingTimeout: number("FX_PING_TIMEOUT", 20_000),
  upgradeTimeout: number("FX_UPGRADE_TIMEOUT", 10_000),
  connectTimeout: number("FX_CONNECT_TIMEOUT", 45_000),
  maxHttpBufferSize: number("FX_MAX_PAYLOAD", 1e6),
  transports: text("FX_TRANSPORTS", "polling,websocket").split(","),
  allowUpgrades: !isOn("FX_NO_UPGRADES"),
  serveClient: false,
  cors: cors(),
  cookie,
  allowRequest: (request, decide) => {
    const denied = new URL(request.url, "http://host").searchParams.has("deny");
    setTimeout(decide, number("FX_ALLOW_REQUEST_DELAY", 0), denied && "denied by fixture", !denied);
  },
  connectionStateRecovery: isOn("FX_RECOVERY")
    ? { maxDisconnectionDuration: number("FX_RECOVERY_MS", 120_000) }
    : undefined,
});

const full = ["/", "/custom", "/mw-auth", "/mw-slow", "/sockmw", /^\/dyn-\d+$/].map((name) =>
  io.of(name).on("connection", serve));
for (const name of ["/valid", "/asd", "/timeout_socket", "/foo"]) io.of(name);

full[0].use(({ handshake }, next) =>
  next(handshake.query.fail ? new Error("Auth failed (main namespace)") : undefined));
full[2].use(({ handshake }, next) =>
  next(handshake.auth.token === "secret" ? undefined : new Error("unauthorized")));
full[3].use((_, next) => setTimeout(next, 150));
io.of("/no").use((_, next) => next(new Error("Auth failed (custom namespace)")));
io.of("/mw-error").use((_, next) => {
  const data = { code: 403, details: ["no", { token: "please" }] };
  next(Object.assign(new Error("not authorized"), { data }));
});

const DEPARTURES_MAX = 1_000;
const departures = new Map();

function depart(id, what) {
  departures.set(id, { ...departures.get(id), ...what });
  if (departures.size > DEPARTURES_MAX) departures.delete(departures.keys().next().value);
}

function serve(socket) {
  const { nsp } = socket;
  if (!isOn("FX_NO_AUTH_EVENT")) socket.emit("auth", socket.handshake.auth);
  /** Adds a handler that gets the arguments and something that always may be called. */
  const on = (event, handle) =>
    socket.on(event, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
      handle(args, ack);
    });
  const ownRooms = () => [...socket.rooms].filter((room) => room !== socket.id).sort();

  on("message", (args) => socket.emit("message-back", ...args));
  on("message-with-ack", (args, ack) => ack(...args));
  on("echo", (args, ack) => ack(...args));
  on("double-ack", (_, ack) => (ack(1), ack(2)));
  on("ask", (args) =>
    socket.emit("ask", ...args, (...answer) => socket.emit("answer", ...answer)));
  on("ask-timeout", ([ms]) =>
    socket.timeout(ms).emit("ask", (error, ...answer) => {
      if (error) socket.emit("answer-timeout", "timeout");
      else socket.emit("answer-timeout", "ok", ...answer);
    }));
  on("join", ([room], ack) => (socket.join(room), ack()));
  on("leave", ([room], ack) => (socket.leave(room), ack()));
  on("rooms", (_, ack) => ack(ownRooms()));
  on("to", ([room, ...args]) => socket.to(room).emit("room-msg", ...args));
  on("in", ([room, ...args]) => nsp.to(room).emit("room-msg", ...args));
  on("broadcast", (args) => socket.broadcast.emit("bcast", ...args));
  on("all", (args) => nsp.emit("bcast", ...args));
  on("room-ack", ([room, ms], ack) =>
    nsp.to(room).timeout(ms).emit("room-ask", (error, answers) =>
      ack(error ? "timeout" : "ok", answers.sort())));
  on("flood", ([n, size]) => {
    for (let i = 0; i < n; i++) socket.emit("flood", i, "x".repeat(size));
  });
  on("burst-binary", ([n, size]) => {
    for (let i = 0; i < n; i++) socket.emit("bin", i, Buffer.alloc(size, i & 255));
  });
  on("volatile", ([n]) => {
    for (let i = 0; i < n; i++) socket.volatile.emit("vol", i);
  });
  on("bye", () => socket.disconnect());
  on("bye-all", () => socket.disconnect(true));
  on("emit-then-bye", (args) => {
    socket.emit("last-words", ...args);
    socket.disconnect(true);
  });
  on("close-conn", () => socket.conn.close());
  on("handshake", (_, ack) => ack(essence(socket.handshake)));
  on("getHandshake", (_, ack) => ack(socket.handshake));
  on("getId", (_, ack) => ack(socket.id));
  on("id", (_, ack) => ack(socket.id, socket.conn.id));
  on("transport", (_, ack) => ack(socket.conn.transport.name));
  on("reason-of", ([id], ack) => ack(departures.get(id)?.reason ?? null));
  on("recovered", (_, ack) => ack(socket.recovered));
  on("hi", () => socket.emit("hi"));
  on("doge", () => socket.emit("doge", Buffer.from("asdfasdf")));
  on("disconnecting", () => depart(socket.id, { rooms: ownRooms() }));
  on("disconnect", ([reason]) => depart(socket.id, { reason: REASONS[reason] ?? reason }));
  if (nsp.name !== "/sockmw") return;
  socket.use(([event], next) =>
    next(event === "blocked" ? new Error("event blocked") : undefined));
  socket.on("error", ({ message }) => socket.emit("mw-error", message));
}

const REASONS = { "server shutting down": "forced server close" };

/** The part of a handshake that cases compare, without the cache buster. */
function essence({ auth, query: { t, ...query }, secure, xdomain, url, headers }) {
  const test = headers["x-test"];
  return { auth, query, secure, xdomain, url: url.split("?")[0], ...(test && { "x-test": test }) };
}

const host = text("FX_HOST", "127.0.0.1");
http.listen(number("FX_PORT", 3000), host, () => {
  console.log(`listening on ${host}:${http.address().port}`);
});
process.on("SIGTERM", () => io.close(() => process.exit(0)));
