//! A party: one `Crank` with its handlers, guests that are buffers, a clock the test moves,
//! randomness from a seed. It goes through the turns of the loop as `net` does: a read, what the
//! application does about it, the read connection written; then mail, deadlines, the others, the
//! dead.
//!
//! Not here: sockets of the system, and bytes (`wire.rs`, a codec of its own). What always holds,
//! because a dropped party asserts it: once everyone has left there is no connection, session,
//! socket, room, byte, value of the application's data, nor deadline.

// Each test program uses its part of this.
#![allow(dead_code)]

#[path = "wire.rs"]
mod wire;

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use emio::{
    Ack, App, Config, ConnKey, Crank, Decision, Dispatch, Entropy, Reason, Responder, Socket,
    SocketId, Stats, TimerId, WebSocketId,
    engine::{Engine, Fate},
};

pub use wire::*;

// What `wire.rs` reads from and writes to.
use Party as World;

/// A server without I/O, and everyone connected to it.
pub struct Party {
    pub io: Crank<Log>,
    streams: Streams,
    /// GETs that wait.
    parked: HashSet<Client>,
    now: Instant,
    has_finished: bool,
}

/// The application of all these tests: it notes what happens and keeps what is to be answered
/// later.
#[derive(Default)]
pub struct Log {
    pub lines: Vec<String>,
    pub decisions: Vec<Decision>,
    pub acks: Vec<Ack>,
    pub responders: Vec<Responder>,
    pub websockets: Vec<WebSocketId>,
    pub timer: Option<TimerId>,
}

impl Log {
    pub fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

impl App for Log {
    type Data = Data;
}

/// What a socket carries; the living ones are counted.
pub struct Data {
    pub name: String,
}

thread_local! {
    static LIVING: Cell<i32> = const { Cell::new(0) };
    /// Parties of this thread; of one alone it is known whose the data are.
    static PARTIES: Cell<i32> = const { Cell::new(0) };
}

impl Default for Data {
    fn default() -> Data {
        LIVING.set(LIVING.get() + 1);
        Data {
            name: String::new(),
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        LIVING.set(LIVING.get() - 1);
    }
}

/// How many sockets of this thread's parties carry data.
pub fn living_data() -> i32 {
    LIVING.get()
}

/// The far ends of the connections.
#[derive(Default)]
struct Streams {
    peers: Vec<Peer>,
    living: HashMap<ConnKey, usize>,
}

#[derive(Default)]
struct Peer {
    key: Option<ConnKey>,
    /// What the server wrote and the test has not read.
    received: Vec<u8>,
    /// How many more bytes the kernel takes; no limit if none.
    budget: Option<usize>,
    is_broken: bool,
    /// The server has ended its side.
    is_shut: bool,
}

/// A connection, for the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(usize);

/// How a guest comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Polling,
    WebSocket,
}

pub const BOTH: [Via; 2] = [Via::Polling, Via::WebSocket];

/// A client of Engine.IO. One that polls always has a GET waiting once it has listened.
#[derive(Clone, Debug)]
pub enum Guest {
    Polling(Poller),
    WebSocket(Client, /* sid */ String),
}

/// A Socket.IO packet or an attachment.
#[derive(Clone, Copy, Debug)]
pub enum Say<'a> {
    T(&'a str),
    B(&'a [u8]),
}

pub use Say::{B, T};

impl Party {
    /// A party at which nothing beats for 25 seconds.
    pub fn new(prepare: impl FnOnce(&mut Crank<Log>)) -> Party {
        Party::with(Config::default(), prepare)
    }

    pub fn with(config: Config, prepare: impl FnOnce(&mut Crank<Log>)) -> Party {
        let now = Instant::now();
        let entropy = Box::new(Random(0x5EED));
        let mut io = Crank::new(Log::default(), config, entropy, now, 1_700_000_000_000);
        prepare(&mut io);
        PARTIES.set(PARTIES.get() + 1);
        Party {
            io,
            streams: Streams::default(),
            parked: HashSet::new(),
            now,
            has_finished: false,
        }
    }

    /// What was noted since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.io.app().lines)
    }

    /// Asserts what was noted.
    #[track_caller]
    pub fn noted(&mut self, lines: &[&str]) {
        assert_eq!(self.lines(), lines);
    }

    pub fn stats(&self) -> Stats {
        self.io.stats()
    }

    pub fn now(&self) -> Instant {
        self.now
    }
}

// Connections.
impl Party {
    pub fn connect(&mut self) -> Client {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = self.io.engine().handle_open(self.now, here);
        let key = key.expect("no limit per address");
        let client = self.streams.peers.len();
        self.streams.peers.push(Peer {
            key: Some(key),
            ..Peer::default()
        });
        let before = self.streams.living.insert(key, client);
        assert_eq!(before, None, "a slot was given away twice");
        self.turn();
        Client(client)
    }

    /// Sends bytes. What comes after the end is lost.
    pub fn send(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        self.read(client, bytes);
        self.turn();
    }

    /// Sends bytes in the middle of a turn, before anything else is done.
    pub fn read(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        let Some(key) = self.streams.peers[client.0].key else {
            return;
        };
        let room = self.io.engine().input_buffer().len();
        for piece in bytes.as_ref().chunks(room) {
            let engine = self.io.engine();
            engine.input_buffer()[..piece.len()].copy_from_slice(piece);
            engine.handle_more(key, piece.len() == room);
            engine.handle_read(key, self.now, piece.len());
            self.dispatch();
            self.streams.transmit(self.io.engine(), key);
        }
    }

    /// Connects and sends.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Client {
        let client = self.connect();
        self.send(client, bytes);
        client
    }

    /// Ends the peer's side.
    pub fn end(&mut self, client: Client) {
        if let Some(key) = self.streams.peers[client.0].key {
            self.io.engine().handle_eof(key, self.now);
            self.dispatch();
            self.streams.transmit(self.io.engine(), key);
            self.turn();
        }
    }

    /// Resets the connection.
    pub fn reset(&mut self, client: Client) {
        if let Some(key) = self.streams.peers[client.0].key {
            self.io.engine().handle_broken(key, self.now);
            self.dispatch();
            self.streams.transmit(self.io.engine(), key);
            self.turn();
        }
    }

    /// From now on the kernel takes `bytes` more and then blocks; no limit if none.
    pub fn let_write(&mut self, client: Client, bytes: Option<usize>) {
        self.streams.peers[client.0].budget = bytes;
        if let Some(key) = self.streams.peers[client.0]
            .key
            .filter(|_| bytes != Some(0))
        {
            self.io.engine().handle_writable(key);
            self.turn();
        }
    }

    /// The next write fails.
    pub fn break_writes(&mut self, client: Client) {
        self.streams.peers[client.0].is_broken = true;
    }

    /// The server has not ended the connection, nor its side of it.
    pub fn is_open(&self, client: Client) -> bool {
        let peer = &self.streams.peers[client.0];
        peer.key.is_some() && !peer.is_shut
    }

    /// What was received and not read, to read from.
    pub fn received(&mut self, client: Client) -> &mut Vec<u8> {
        &mut self.streams.peers[client.0].received
    }
}

// The loop.
impl Party {
    fn dispatch(&mut self) {
        let streams = &mut self.streams;
        self.io.dispatch(&mut |engine| streams.flush(engine));
    }

    /// What the loop does after reading, in its order.
    pub fn turn(&mut self) {
        let (io, streams, now) = (&mut self.io, &mut self.streams, self.now);
        io.engine().take_up();
        io.handle_mail(now, &mut |engine| streams.flush(engine));
        io.handle_timeout(now, &mut |engine| streams.flush(engine));
        streams.flush(io.engine());
        io.dispatch(&mut |engine| streams.flush(engine));
        streams.flush(io.engine());
        while let Some(key) = io.poll_dead() {
            let client = streams.living.remove(&key).expect("it dies once");
            streams.peers[client].key = None;
        }
    }

    /// Moves time on, stopping at every deadline as the loop does.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        // Every stop passes a deadline or moves it to a finer wheel: far fewer than this.
        for _ in 0..1_000_000 {
            let Some(next) = self.io.next_deadline().filter(|next| *next <= end) else {
                self.now = end;
                return self.turn();
            };
            self.now = self.now.max(next);
            self.turn();
        }
        panic!("deadlines without end");
    }

    /// Time passes while the process is stopped; then it goes on.
    pub fn sleep(&mut self, millis: u64) {
        self.now += ms(millis);
        self.turn();
    }

    /// Ends without a farewell.
    pub fn vanish(mut self) {
        self.has_finished = true;
    }

    /// Everyone leaves; nothing may be left behind.
    pub fn finish(&mut self) {
        self.has_finished = true;
        for peer in 0..self.streams.peers.len() {
            self.streams.peers[peer].budget = None;
            self.reset(Client(peer));
        }
        self.advance(200_000);
        let stats = self.stats();
        assert_eq!(stats.connections, 0, "connections");
        assert_eq!(stats.sessions, 0, "sessions");
        assert_eq!(stats.sockets, 0, "sockets");
        assert_eq!(stats.rooms, 0, "rooms");
        assert_eq!(stats.incoming_bytes, 0, "incoming bytes");
        assert_eq!(stats.backlog_bytes, 0, "backlog bytes");
        if PARTIES.get() == 1 {
            assert_eq!(living_data(), 0, "data of sockets");
        }
        assert_eq!(self.io.next_deadline(), None, "deadlines");
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if !self.has_finished && !std::thread::panicking() {
            self.finish();
        }
        PARTIES.set(PARTIES.get() - 1);
    }
}

// Guests.
impl Party {
    /// A client without a namespace.
    #[track_caller]
    pub fn guest(&mut self, via: Via) -> Guest {
        match via {
            Via::Polling => Guest::Polling(self.poller()),
            Via::WebSocket => {
                let (client, sid) = self.websocket();
                Guest::WebSocket(client, sid)
            }
        }
    }

    /// A client in the namespace `/`, and its socket's id.
    #[track_caller]
    pub fn enter(&mut self, via: Via) -> (Guest, SocketId) {
        let guest = self.guest(via);
        let id = self.join(&guest, "/");
        (guest, id)
    }

    /// Joins a namespace. Returns the socket's id.
    #[track_caller]
    pub fn join(&mut self, guest: &Guest, namespace: &str) -> SocketId {
        let prefix = match namespace {
            "/" => String::new(),
            name => format!("{name},"),
        };
        self.say(guest, &format!("0{prefix}"));
        let heard = self.hear(guest);
        let [.., last] = &heard[..] else {
            panic!("no answer to CONNECT")
        };
        let id = last.strip_prefix(&format!("40{prefix}{{\"sid\":\""));
        let id = id.and_then(|id| id.strip_suffix("\"}"));
        id.and_then(SocketId::parse)
            .unwrap_or_else(|| panic!("{heard:?}"))
    }

    /// Sends one packet.
    pub fn say(&mut self, guest: &Guest, packet: &str) {
        self.say_all(guest, &[T(packet)]);
    }

    pub fn say_binary(&mut self, guest: &Guest, data: &[u8]) {
        self.say_all(guest, &[B(data)]);
    }

    /// Sends packets in one payload, or in one segment.
    pub fn say_all(&mut self, guest: &Guest, packets: &[Say<'_>]) {
        match guest {
            Guest::Polling(poller) => {
                let packets = packets.iter().map(|packet| match packet {
                    T(packet) => format!("4{packet}"),
                    B(data) => format!("b{}", STANDARD.encode(data)),
                });
                let payload = packets.collect::<Vec<_>>().join("\x1e");
                self.post(poller, payload);
            }
            Guest::WebSocket(client, _) => {
                let frames = packets.iter().map(|packet| match packet {
                    T(packet) => text(&format!("4{packet}")),
                    B(data) => binary(data),
                });
                let bytes: Vec<u8> = frames.flatten().collect();
                self.send(*client, bytes);
            }
        }
    }

    /// Everything the guest was told since it last listened, as Engine.IO packets: binary as `b`
    /// and base64, the end of the session as `end`, and a poll that is refused as its status.
    #[track_caller]
    pub fn hear(&mut self, guest: &Guest) -> Vec<String> {
        let mut heard = Vec::new();
        match guest {
            Guest::WebSocket(client, _) => {
                for frame in self.frames(*client) {
                    heard.push(match frame.opcode {
                        0x1 => String::from_utf8(frame.payload).expect("a text is UTF-8"),
                        0x2 => format!("b{}", STANDARD.encode(frame.payload)),
                        0x8 => "end".to_owned(),
                        _ => panic!("{frame:?}"),
                    });
                }
            }
            // As many polls as it takes until one has to wait.
            Guest::Polling(poller) => loop {
                for answer in self.answers(poller.get) {
                    self.parked.remove(&poller.get);
                    if answer.status != 200 {
                        heard.push(answer.status.to_string());
                        return heard;
                    }
                    // The close packet of a client that had no GET comes with a noop.
                    let packets = answer
                        .text()
                        .strip_prefix("6\x1e1")
                        .map_or(answer.text(), |_| "1");
                    heard.extend(packets.split('\x1e').map(str::to_owned));
                }
                if heard.last().is_some_and(|last| last == "1") {
                    heard.pop();
                    heard.push("end".to_owned());
                    return heard;
                }
                if self.parked.contains(&poller.get) || !self.is_open(poller.get) {
                    return heard;
                }
                self.parked.insert(poller.get);
                self.poll(poller);
            },
        }
        heard
    }

    /// Asserts what the guest was told.
    #[track_caller]
    pub fn hears(&mut self, guest: &Guest, packets: &[&str]) {
        assert_eq!(self.hear(guest), packets, "{guest:?}");
    }

    /// The guest goes: `1` over polling, the end of the connection over WebSocket.
    pub fn leave(&mut self, guest: &Guest) {
        match guest {
            Guest::Polling(poller) => {
                self.post(poller, "1");
            }
            Guest::WebSocket(client, _) => self.end(*client),
        }
    }

    /// The connection a guest reads from.
    pub fn client(&self, guest: &Guest) -> Client {
        match guest {
            Guest::Polling(poller) => poller.get,
            Guest::WebSocket(client, _) => *client,
        }
    }
}

impl Streams {
    fn flush(&mut self, engine: &mut Engine) {
        while let Some(key) = engine.poll_dirty() {
            self.transmit(engine, key);
        }
    }

    fn transmit(&mut self, engine: &mut Engine, key: ConnKey) {
        let Some(&client) = self.living.get(&key) else {
            return;
        };
        let peer = &mut self.peers[client];
        let fate = engine.transmit(key, &mut |slices: &[IoSlice<'_>]| peer.take(slices));
        if fate == Fate::Shutdown {
            peer.is_shut = true;
        }
    }
}

impl Peer {
    fn take(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.budget == Some(0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        assert!(!self.is_shut, "written after the end");
        let before = self.received.len();
        for slice in slices {
            let room = self.budget.map_or(slice.len(), |left| {
                (left + before - self.received.len()).min(slice.len())
            });
            self.received.extend_from_slice(&slice[..room]);
        }
        let taken = self.received.len() - before;
        self.budget = self.budget.map(|left| left - taken);
        Ok(taken)
    }
}

/// Handlers of `/` that note who comes and goes: the rooms while it goes, and after.
pub fn witness(io: &mut Crank<Log>) {
    io.on_connect(|log: &mut Log, _: Socket<'_, Log>| log.note("connect"));
    io.on_disconnecting(|log: &mut Log, socket: Socket<'_, Log>, reason: Reason| {
        log.note(format!("disconnecting {reason} {:?}", socket.rooms()));
    });
    io.on_disconnect(|log: &mut Log, socket: Socket<'_, Log>, reason: Reason| {
        log.note(format!("disconnect {reason} {:?}", socket.rooms()));
    });
}

/// The same, shorter: only why each socket ended.
pub fn reasons(io: &mut Crank<Log>) {
    io.on_disconnect(|log: &mut Log, _: Socket<'_, Log>, reason: Reason| {
        log.note(reason.as_str());
    });
}

/// Randomness from a seed (xorshift64).
struct Random(u64);

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0 as u8;
        }
    }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
