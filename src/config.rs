//! Every limit, deadline and option of a server, in one value.
//!
//! Not here: what happens when one is reached (that is said at each field and done by the machine
//! that owns the state). What always holds: every number has a unit in its name or type, a default
//! we would run, and the precedents it was weighed against.

use std::time::Duration;

use crate::{cookie::Cookie, cors::Cors, files::Files};

/// What a server is told before it starts. `Config::default()` is what we would run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Default `/socket.io/`. Where the protocol is served; a prefix of the request target.
    /// (official `/socket.io/`)
    pub path: String,
    /// Default 25 s. Time from opening, or from a ping, to the next ping. Engine.IO 4, "Heartbeat".
    /// (official 25 s)
    pub ping_interval: Duration,
    /// Default 20 s. Time from a ping to the end of a session that stays silent: `ping timeout`.
    /// (official 20 s)
    pub ping_timeout: Duration,
    /// Default 10 s. Time from the 101 of an upgrade to its end; the session stays on polling.
    /// (official 10 s)
    pub upgrade_timeout: Duration,
    /// Default 45 s. Time from opening to the first namespace; beyond it the session is closed.
    /// Unlike the official server it runs again when a client has left its last namespace.
    /// (official 45 s)
    pub connect_timeout: Duration,
    /// Default 20 s. Time until a request's head is complete; beyond it 408 and close. (nginx 60 s,
    /// Apache 20-40 s)
    pub head_timeout: Duration,
    /// Default 60 s. Time from a request's head to the end of its body; beyond it 408 and close.
    /// (nginx 60 s)
    pub body_timeout: Duration,
    /// Default 30 s. Time an HTTP connection may stay idle between two requests; beyond it close.
    /// (node 5 s, nginx 75 s)
    pub keep_alive_timeout: Duration,
    /// Default 20 s. Time an application may take over a deferred judgement or answer; beyond it
    /// 503 and close, or a refused namespace.
    pub decision_timeout: Duration,
    /// Default 10 s. Time a closing connection or session may take for its last bytes; beyond it
    /// they are dropped. (official 30 s)
    pub close_timeout: Duration,
    /// Both by default. Which transports a handshake may ask for; another one is refused with code
    /// 0.
    pub transports: Transports,
    /// On by default. Whether the handshake offers the upgrade to WebSocket.
    pub allow_upgrades: bool,
    /// None by default: browsers keep pages of other origins out of polling, and we keep them out
    /// of WebSocket. With it, those that it names are let in, and told so by headers.
    pub cors: Option<Cors>,
    /// The server's own and those that `cors` lets in by default. From which origins a page may
    /// open a WebSocket; another one gets 403, code 4. (official: any)
    pub websocket_origins: WebSocketOrigins,
    /// None by default. A cookie with the session's id, on the answer to a polling handshake only,
    /// as officially.
    pub cookie: Option<Cookie>,
    /// None by default. A message that every session gets directly after the open packet: in the
    /// same answer, or as the second frame of a WebSocket.
    pub initial_packet: Option<InitialPacket>,
    /// None by default. Header lines of every answer under `path`, the 101 and errors included. A
    /// name that is no token, and what the server writes itself, is left out; line breaks in a
    /// value are sent as spaces. Where the official `headers` event may decide for each answer,
    /// these are fixed; only the handshake's answer has a hook, `initial_headers`.
    pub headers: Vec<(String, String)>,
    /// Default 1,024. Payloads of polling answers from so many bytes on are compressed, if the
    /// client takes gzip or deflate and at least one packet does not forbid it; `None` is never.
    /// (official 1,024) Some 350 KB are used while an answer is made.
    #[cfg(feature = "compression")]
    pub compression_threshold: Option<u32>,
    /// On by default. Whether the browser client is served directly under `path`, to GET and HEAD:
    /// `socket.io.js` to be read, and `socket.io.min.js`, `socket.io.esm.min.js` and
    /// `socket.io.websocket.min.js` (without polling), each with its `.map`. That is emio's own
    /// client, part of the program by the feature `client`, which is on by default; without the
    /// feature there are only the `client_files`. Names of no file are the protocol's.
    pub serve_client: bool,
    /// None by default. What is served instead of emio's own client: a folder with the official
    /// one. Of its files only those of the official names are served; of the official names, only
    /// those that are there: `socket.io.js`, `socket.io.min.js`, `socket.io.esm.min.js`,
    /// `socket.io.msgpack.min.js`, and these with `.map`.
    ///
    /// ```no_run
    /// # use emio::{Config, Files};
    /// let config = Config {
    ///     client_files: Some(Files::read("node_modules/socket.io-client/dist", 4 << 20)?),
    ///     ..Config::default()
    /// };
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub client_files: Option<Files>,
    /// Default None. What remains of a request's head once its first namespace is joined. Servers
    /// with several namespaces whose middleware looks at headers should keep them.
    pub keep_headers: KeepHeaders,

    /// None by default. Whether and how long a client that lost its connection finds its socket
    /// again, with its rooms, its data and the events it missed. Every event that is not volatile
    /// then carries its offset as one more argument, as officially. What is kept does not survive
    /// the process.
    pub recovery: Option<Recovery>,

    /// TCP connections at once; further ones wait in the kernel's queue. `None` is the smaller of
    /// 20,000 and RLIMIT_NOFILE - 64.
    pub connections_max: Option<u32>,
    /// Default 0. TCP connections at once from one address; a further one is closed unanswered. 0
    /// is no limit.
    pub connections_per_ip_max: u32,
    /// Default 100,000. Engine.IO sessions at once (polling sessions outlive their connections);
    /// beyond it 503.
    pub sessions_max: u32,
    /// Default 64. Connections accepted in one turn of the loop; the rest wait for the next turn.
    pub accepts_per_turn_max: u32,
    /// Default 128. Requests, frames and packets of one connection that are handled in one turn of
    /// the loop; the rest waits for a later turn, so that busy clients do not delay the others. Of
    /// those that wait, a few go on in each turn, one after the other. At least 1.
    pub inputs_per_turn_max: u32,
    /// Default 1,024. Messages sent because of them in one turn, each receiver counted; beyond it
    /// the rest of the connection's input waits as well. A broadcast is always finished.
    pub sends_per_turn_max: u32,
    /// Default 16 KiB. Bytes of one request head; beyond it 431 and close. (node 16 KiB, nginx 8
    /// KiB, h11 16 KiB)
    pub head_bytes_max: u32,
    /// Default 100. Headers of one request, at most 100; beyond it 431 and close. (Apache 100,
    /// httparse users 64)
    pub headers_max: u32,
    /// Default 1,000,000. Bytes of one HTTP body (beyond it 413) or one WebSocket message (1009);
    /// told to the client as `maxPayload`. (official 1e6)
    pub max_payload: u32,
    /// Default 10,000. Packets in one polling payload from a client; beyond it the session is
    /// closed with `parse error`. (python-engineio 16, official none)
    pub packets_per_payload_max: u32,
    /// Default 16. Packets in one polling payload to a client; the rest waits for the next poll.
    /// python-engineio refuses more than 16.
    pub packets_per_answer_max: u32,
    /// Default 10. Binary attachments of one packet; beyond it the connection is closed. (official
    /// 10)
    pub attachments_max: u32,
    /// Default 5,000,000. Bytes of the attachments of one packet together; beyond it the connection
    /// is closed.
    pub attachment_bytes_max: u32,
    /// Default 64 MiB. Bytes held for all clients of what has not arrived whole (heads, bodies,
    /// fragments, attachments); the client that exceeds it gets 503, or its connection is closed.
    pub incoming_bytes_max: u64,
    /// Default 32 MiB. Bytes of request heads held for sessions: until a namespace is joined, and
    /// what `keep_headers` keeps; a handshake beyond it gets 503.
    pub handshake_bytes_max: u64,
    /// Default 64. Namespaces one client may have joined; a further CONNECT is refused.
    pub namespaces_per_client_max: u32,
    /// Default 1,000. Namespaces that exist because clients asked for them ([`of_dynamic`]); beyond
    /// it a CONNECT to another one is refused.
    ///
    /// [`of_dynamic`]: crate::Crank::of_dynamic
    pub dynamic_namespaces_max: u32,
    /// On by default. Whether such a namespace is forgotten when its last socket has left. All that
    /// is lost is its name, since its handlers are its parent's. (official `false`)
    pub cleanup_empty_namespaces: bool,
    /// Default 30 s. Time from `on_expiring` to the end of a socket whose time was limited by
    /// [`expires_in`](crate::Peer::expires_in).
    pub expiry_warning: Duration,
    /// Default 64. Packets held for a socket whose middleware has not decided; beyond it the
    /// connection is closed.
    pub joining_packets_max: u32,
    /// Default 1,024. Rooms of one socket, its own not counted; a further join is ignored and
    /// reported.
    pub rooms_per_socket_max: u32,
    /// Default 256. Bytes of a room's, event's or namespace's name; a longer one is refused.
    pub name_bytes_max: u32,
    /// Default 1,024. Acknowledgements one socket may owe; a further `emit_with_ack` fails at once.
    pub pending_acks_max: u32,
    /// Default 8 MiB. Bytes queued for one connection; when a message finds more, `overflow` says
    /// what happens. (uWebSockets 1 MiB by default, Redis pub/sub 8 MiB soft)
    pub backlog_bytes_max: u32,
    /// Default 64 MiB. Bytes queued in the process, each shared frame counted once; beyond it
    /// `overflow` says what happens when more is sent to a connection whose backlog is larger than
    /// an equal share.
    pub backlog_bytes_process_max: u64,
    /// Close by default. What happens to a message for a client whose backlog is full. (official
    /// server: it has no limit; socketioxide: an error after 128 packets; uWebSockets: it is
    /// dropped, or the connection closed)
    pub overflow: Overflow,
    /// Drop by default. What happens to a volatile event for a client that cannot be written to.
    /// (official: dropped)
    pub volatile: Volatile,
    /// Default 10,000. Operations from other threads not yet applied; beyond it they are refused
    /// with an error.
    pub mailbox_max: u32,
    /// Default 100. Nesting of arrays and objects in a packet; beyond it the connection is closed.
    pub json_depth_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            path: "/socket.io/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(45),
            head_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(30),
            decision_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(10),
            transports: Transports::default(),
            allow_upgrades: true,
            cors: None,
            websocket_origins: WebSocketOrigins::FollowCors,
            cookie: None,
            initial_packet: None,
            headers: Vec::new(),
            #[cfg(feature = "compression")]
            compression_threshold: Some(1_024),
            serve_client: true,
            client_files: None,
            keep_headers: KeepHeaders::None,
            recovery: None,
            connections_max: None,
            connections_per_ip_max: 0,
            sessions_max: 100_000,
            accepts_per_turn_max: 64,
            inputs_per_turn_max: 128,
            sends_per_turn_max: 1_024,
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            max_payload: 1_000_000,
            packets_per_payload_max: 10_000,
            packets_per_answer_max: 16,
            attachments_max: 10,
            attachment_bytes_max: 5_000_000,
            incoming_bytes_max: 64 * 1024 * 1024,
            handshake_bytes_max: 32 * 1024 * 1024,
            namespaces_per_client_max: 64,
            dynamic_namespaces_max: 1_000,
            cleanup_empty_namespaces: true,
            expiry_warning: Duration::from_secs(30),
            joining_packets_max: 64,
            rooms_per_socket_max: 1_024,
            name_bytes_max: 256,
            pending_acks_max: 1_024,
            backlog_bytes_max: 8 * 1024 * 1024,
            backlog_bytes_process_max: 64 * 1024 * 1024,
            overflow: Overflow::Close,
            volatile: Volatile::Drop,
            mailbox_max: 10_000,
            json_depth_max: 100,
        }
    }
}

impl Config {
    /// The same, served at `path`; a missing slash at either end is added.
    pub fn at(mut self, path: &str) -> Config {
        self.path = format!("/{}/", path.trim_matches('/'));
        if self.path == "//" {
            self.path = "/".to_owned();
        }
        self
    }
}

/// What is kept for clients that lose their connection (`Config::recovery`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Default 2 min. Time from the loss of a connection in which its client may come back; also
    /// how long events are logged. (official `maxDisconnectionDuration` 2 min)
    pub duration: Duration,
    /// On by default. Whether a client that comes back is let in without asking the namespace's
    /// middleware. (official `skipMiddlewares` true)
    pub skip_middlewares: bool,
    /// Default 16 MiB. Bytes of the log of events, all namespaces together; beyond it the oldest
    /// are forgotten, and a client that missed one of them has to start anew. (official: no limit)
    pub log_bytes_max: u64,
    /// Default 10,000. Sockets that may come back at once; beyond it the one that left first may
    /// not. (official: no limit)
    pub sessions_max: u32,
}

impl Default for Recovery {
    fn default() -> Recovery {
        Recovery {
            duration: Duration::from_secs(120),
            skip_middlewares: true,
            log_bytes_max: 16 * 1024 * 1024,
            sessions_max: 10_000,
        }
    }
}

/// Which transports a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket, at once or by upgrade.
    pub websocket: bool,
}

impl Default for Transports {
    fn default() -> Transports {
        Transports {
            polling: true,
            websocket: true,
        }
    }
}

/// From which origins a page may open a WebSocket, or upgrade to one: of the protocol, and of the
/// application's own ([`websocket`](crate::Crank::websocket)).
///
/// A browser lets every page connect to every WebSocket, and sends along its visitor's cookies. A
/// server that knows people by a cookie, or by the network that they are in, would serve whatever
/// site they look at in their name (cross-site WebSocket hijacking). `Origin` is how a server can
/// tell, since no page can leave it out or change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSocketOrigins {
    /// An `Origin` must be the server's own or one that [`Config::cors`] allows
    /// ([`Cors::allows`]). A request without one is no browser's and passes; so does everything
    /// with [`Cors::any`].
    ///
    /// Its own is where the `Host` header says that the request went: the same host and port.
    /// Behind a proxy that writes another `Host`, name the public origin in `cors`. Name there,
    /// too, what applications send that bring their pages along (`null`, `file://`,
    /// `capacitor://localhost`), and clients that are no browsers but send such an `Origin`.
    #[default]
    FollowCors,
    /// Any, as officially. Where nothing depends on who has opened the page.
    Any,
}

/// What happens to a message for a client whose backlog is full: more than
/// [`Config::backlog_bytes_max`] wait for it, or more than its share while the process is over
/// [`Config::backlog_bytes_process_max`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its connection is closed with `transport error`.
    #[default]
    Close,
    /// An event is dropped whole, with its attachments, and counted; what waits already is sent.
    /// So is a message of an application's WebSocket, and one of `emio::engine`. Acknowledgements
    /// to the client and the protocol's own packets are never dropped; should twice the budget
    /// wait, the connection is closed after all.
    DropNewest,
}

/// What happens to a volatile event for a client that cannot be written to: the kernel did not take
/// all of what was sent before, or the client polls and has no request waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volatile {
    /// It is dropped.
    #[default]
    Drop,
    /// It waits, in the place of the one that waited before, and is sent when the client can be
    /// written to. One event for each client; it is sent earlier, and no longer replaced, if
    /// something else is sent to the client, which must not overtake it. One that is larger than
    /// [`Config::backlog_bytes_max`], or comes when the process is over its budget, is dropped.
    Latest,
}

/// A message that is sent without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialPacket {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl InitialPacket {
    pub(crate) fn is_binary(&self) -> bool {
        matches!(self, InitialPacket::Binary(_))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            InitialPacket::Text(text) => text.as_bytes(),
            InitialPacket::Binary(data) => data,
        }
    }
}

impl From<&str> for InitialPacket {
    fn from(text: &str) -> InitialPacket {
        InitialPacket::Text(text.to_owned())
    }
}

impl From<String> for InitialPacket {
    fn from(text: String) -> InitialPacket {
        InitialPacket::Text(text)
    }
}

impl From<Vec<u8>> for InitialPacket {
    fn from(data: Vec<u8>) -> InitialPacket {
        InitialPacket::Binary(data)
    }
}

/// What a session keeps of the request that opened it, after its first namespace was decided.
/// Kept bytes are counted as incoming bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepHeaders {
    /// Nothing: a handshake is there for middleware and `on_connect` of the first namespace.
    #[default]
    None,
    /// The request line and these headers (names in any case).
    Named(Vec<String>),
    /// The whole head.
    All,
}
