// Code as applications write it. It must mean the same to TypeScript with the official client's
// types as with ours; `npm run types` asks for both. What must be an error is marked as one.

import lookup, { Manager, Socket, connect, io, protocol } from "socket.io-client";
import type {
  DisconnectDescription, ExtendedError, ManagerOptions, SocketOptions,
} from "socket.io-client";

interface FromServer {
  message: (from: string, text: string) => void;
  question: (text: string, answer: (yes: boolean) => void) => void;
}

interface ToServer {
  join: (room: string) => void;
  sum: (a: number, b: number, answer: (sum: number) => void) => void;
}

const options: Partial<ManagerOptions & SocketOptions> = {
  path: "/my/", transports: ["polling", "websocket"], query: { a: 1 }, auth: { token: "t" },
  reconnectionDelay: 10, timeout: 1_000, retries: 3, ackTimeout: 500, extraHeaders: { a: "b" },
  withCredentials: true, tryAllTransports: true, rememberUpgrade: true, forceBase64: true,
};

const typed: Socket<FromServer, ToServer> = io("/typed", options);
typed.on("message", (from, text) => console.log(from.length + text.length));
typed.on("question", (text, answer) => answer(text.length > 3));
typed.once("connect", () => console.log(typed.id, typed.recovered, typed.active));
typed.on("connect_error", (err: ExtendedError) => console.log(err.message, err.data));
typed.on("disconnect", (reason, description?: DisconnectDescription) => {
  const known: Socket.DisconnectReason = reason;
  console.log(known, description);
});
typed.emit("join", "room").emit("sum", 1, 2, (sum) => console.log(sum.toFixed()));
typed.timeout(5_000).emit("sum", 1, 2, (err: Error, sum: number) => console.log(err, sum));
typed.volatile.emit("join", "room");
typed.compress(false).emit("join", "room");
// @ts-expect-error there is no such event
typed.emit("leave", "room");
// @ts-expect-error a room is a text
typed.emit("join", 1);
// @ts-expect-error two texts, and no number
typed.on("message", (from: number) => console.log(from));

export async function asked(): Promise<number> {
  const sum = await typed.emitWithAck("sum", 1, 2);
  const again: number = await typed.timeout(100).emitWithAck("sum", sum, 2);
  return again;
}

const plain = lookup({ autoConnect: false, auth: (done) => done({ token: "t" }) });
plain.on("anything", (a, b, c) => console.log(a, b, c));
plain.emit("anything", 1, "2", { three: [new Uint8Array(4)] }, (answer: string) => answer);
plain.send("hello").onAny((event, ...args) => console.log(event, args));
plain.offAny().prependAnyOutgoing(() => {}).listenersAnyOutgoing();
plain.off("anything").off().removeAllListeners("anything").removeListener("anything");
console.log(plain.connect().disconnect().open().close().id, plain.hasListeners("anything"));
console.log(plain.listeners("anything").length, plain.disconnected, plain.sendBuffer.length);

const manager: Manager = new Manager("https://example.com", { autoConnect: false });
manager.on("reconnect_attempt", (attempt) => console.log(attempt.toFixed()));
manager.on("error", (err) => console.log(err.message));
manager.reconnection(false).reconnectionDelay(10).timeout(false);
const delay: number = manager.reconnectionDelayMax();
manager.open((err) => console.log(err?.message, delay, protocol));
const shared: Socket = manager.socket("/", { auth: { token: "t" } });
console.log(shared.io.engine.transport.name, shared.io.opts.query, connect("/x").connected);

export async function anything(): Promise<string> {
  return await plain.emitWithAck("anything", 1);
}
