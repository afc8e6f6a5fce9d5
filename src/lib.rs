//! A Socket.IO server for small Linux hosts: one thread, one readiness loop, no async runtime.
//!
//! The clients of the world connect to it unchanged, over HTTP long-polling and WebSocket, with the
//! upgrade between them: Engine.IO 4 and Socket.IO 5 on the wire.
//!
//! ```no_run
//! use emio::{App, Server, Socket};
//!
//! #[derive(Default)]
//! struct Chat { users: u32 }
//! #[derive(Default)]
//! struct User { name: String }
//! impl App for Chat { type Data = User; }
//!
//! impl Chat {
//!     fn add_user(&mut self, socket: Socket<'_, Chat>, (name,): (String,)) {
//!         self.users += 1;
//!         socket.emit("login", self.users);
//!         socket.broadcast().emit("user joined", (&name, self.users));
//!         socket.data.name = name;
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let mut io = Server::bind("127.0.0.1:3000", Chat::default())?;
//!     io.on("add user", Chat::add_user);
//!     io.on("chat message", |_, socket, (text,): (String,)| {
//!         socket.io().emit("chat message", (&socket.data.name, text));
//!     });
//!     io.run()
//! }
//! ```
//!
//! # The crank
//!
//! One thread turns one crank: **sleep, read, think, write, reap**. "Think" is a value that knows
//! neither sockets nor clocks nor randomness: bytes, time and entropy are arguments. One file does
//! I/O; one file for each kind of server calls user code.
//!
//! ```text
//!   6  server, engine::server      a crank joined with the loop
//!   5  net                         the loop: mio, accept, read, write, the only I/O
//!      systemd                     listeners that were opened for us
//!   4  crank, handle               user code is called here only; the face towards other threads
//!   3  socket, to, raw, request,   what a handler sees; effects are recorded in an outbox
//!      outbox, token, app, adopt,
//!      dispatch, stream
//!      ------------------------------------------ below: no I/O, no user code
//!   2  hub                         Socket.IO: events out, operations in
//!      engine                      Engine.IO: a complete machine by itself
//!   1  conn, session, namespace,   the state of one connection, one session, of sockets and rooms
//!      handshake, queue, timer, id, op
//!   0  codec::{http, ws, eio,      functions from bytes to values and back
//!      sio, json, coding}, args,
//!      client, config, cookie, cors,
//!      files, headers, parser, reason,
//!      response, stats
//! ```
//!
//! # The contract of the low road
//!
//! Programs with a loop of their own may drive a [`Crank`] or an [`engine::Engine`] by hand. After
//! any input, every output is drained before the next: events until there are none (each may be
//! answered by operations), then output of dirty connections, then dead connections. Deadlines are
//! told after everything readable has been read. [`Server::turn`] is the same with our loop.
//!
//! # Limits
//!
//! Everything has one, with a name and a default: see [`Config`]. A peer that exceeds one gets the
//! proper answer and costs nothing afterwards. Every state has a deadline.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod adopt;
mod app;
mod args;
mod client;
mod codec;
mod config;
mod conn;
mod cookie;
mod cors;
mod crank;
mod dispatch;
pub mod engine;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod handshake;
mod headers;
pub mod hub;
mod id;
mod namespace;
mod net;
pub mod op;
mod outbox;
mod parser;
mod queue;
mod raw;
mod reason;
mod request;
mod response;
mod server;
mod session;
mod socket;
mod stats;
#[cfg(feature = "stream")]
pub mod stream;
#[cfg(feature = "systemd")]
mod systemd;
mod timer;
mod to;
mod token;

pub use crate::{
    adopt::{AdoptError, Adopted, AdoptedStream},
    app::{App, Cause, Outcome, Problem, Refusal},
    args::{Args, FromArgs, OwnedArgs},
    codec::json::{Bytes, Error as ArgsError},
    config::{
        Config, InitialPacket, KeepHeaders, Overflow, Recovery, Transports, Volatile,
        WebSocketOrigins,
    },
    cookie::{Cookie, SameSite},
    cors::{Cors, Origin, OriginTest},
    crank::{Crank, Namespace, RawNamespace},
    dispatch::Dispatch,
    engine::{
        BadRequest, ConnectionContext, ConnectionError, SessionEvent, SessionInfo, Transport,
    },
    files::{Encoded, Files},
    handle::{Handle, HandleTo},
    handshake::{Handshake, Hello},
    headers::{HeaderError, Headers},
    hub::AckError,
    id::{AckKey, ConnKey, Entropy, NamespaceKey, NotAnId, SessionKey, Sid, SocketId, SocketKey},
    namespace::{RoomChange, RoomEvent},
    outbox::TimerId,
    parser::{BadPacket, OwnedPacket, Packet, PacketKind, Parser},
    queue::Frame,
    raw::{Message, WebSocket, WebSocketId},
    reason::Reason,
    request::Request,
    response::{Body, Response},
    server::Server,
    socket::{Peer, Socket},
    stats::{Census, Refusals, Stats},
    to::{Io, Only, ParentId, RemoteSocket, Rooms, Timed, To, Unanswered},
    token::{Ack, Decision, HandleError, Responder},
};

/// For those who put it where anybody can reach it.
#[doc = include_str!("guide/security.md")]
pub mod security {}

/// For those who know the official server.
#[doc = include_str!("guide/coming_from_node.md")]
pub mod coming_from_node {}

/// The README's programs, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
