// The official server with the events of emio's `bench-server`: node server.mjs PORT.
// Not here: tuning. Default configuration, which compresses nothing unless a client asks for it.

import { createServer } from "node:http";
import { Server } from "socket.io";

const port = Number(process.argv[2]);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error("usage: node server.mjs PORT");
  process.exit(1);
}

let count = 0;
const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("echo", (data) => {
    count += 1;
    socket.emit("echo", data);
  });
  socket.on("ack", (data, reply) => {
    count += 1;
    reply(data);
  });
  socket.on("broadcast", (data) => {
    count += 1;
    io.emit("broadcast", data);
  });
  socket.on("count", (reply) => {
    count += 1;
    reply(count);
  });
});

// A backlog as large as the others', so that no connection is refused for being early.
http.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${http.address().port}`);
});
