//! One `Engine` in a world of its own: a clock the test moves, peers that are buffers, randomness
//! from a seed. `drain` is the loop of the contract, `advance` what a server does while time
//! passes.
//!
//! Not here: sockets of the system, and any knowledge of how the engine works inside. What always
//! holds, because a dropped world asserts it: a session is told opened, then heard, then closed,
//! and once everyone has left, the engine holds no connection, no session, no byte and no deadline.

// Each test program uses its part of this.
#![allow(dead_code)]

mod wire;

use std::{
    collections::{HashMap, HashSet},
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use emio::{
    Config, ConnKey, ConnectionError, Entropy, Reason, Response, SessionEvent, SessionKey, Stats,
    engine::{Engine, Event, Fate, READ_BYTES},
};

pub use wire::*;

/// An engine, its peers, and what it told.
pub struct World {
    pub engine: Engine,
    /// Every event since the last `take_told`, with copies of the bytes.
    pub told: Vec<Told>,
    behaviour: Box<dyn Behaviour>,
    start: Instant,
    now: Instant,
    peers: Vec<Peer>,
    living: HashMap<ConnKey, usize>,
    open: HashSet<SessionKey>,
    cut: Cut,
    sent_bytes: usize,
    /// Inputs come in one turn of the loop: everything is flushed and reaped at its end.
    is_in_turn: bool,
    has_finished: bool,
}

/// What a test does about an event.
trait Behaviour: FnMut(&mut Engine, &Told) {}

impl<F: FnMut(&mut Engine, &Told)> Behaviour for F {}

/// The far end of a connection.
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

/// A peer, for the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(usize);

/// How what clients send is cut into reads.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Whole,
    /// Once, before this byte of all that is sent in this world.
    At(usize),
    /// After every so many bytes.
    Every(usize),
}

/// An event with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Opening(ConnKey, u32),
    Opened(SessionKey),
    Text(SessionKey, String),
    Binary(SessionKey, Vec<u8>),
    Upgraded(SessionKey),
    Drained(SessionKey),
    Closed(SessionKey, Reason),
    Request(ConnKey, u32, String, Vec<u8>),
    RawOpened(ConnKey, u32, String),
    RawText(ConnKey, u32, String),
    RawBinary(ConnKey, u32, Vec<u8>),
    RawClosed(ConnKey, u32, Option<u16>),
    Refused(ConnectionError),
    Session(SessionEvent),
}

impl World {
    /// A world whose deadlines are those of the public test suites: ping 300 ms, timeout 200 ms.
    pub fn brisk() -> World {
        World::with(Config {
            ping_interval: ms(300),
            ping_timeout: ms(200),
            ..Config::default()
        })
    }

    /// A world in which nothing beats for 25 seconds.
    pub fn new() -> World {
        World::with(Config::default())
    }

    pub fn with(config: Config) -> World {
        let now = Instant::now();
        World {
            engine: Engine::new(config, Box::new(Random(0x5EED)), now, 1_700_000_000_000),
            told: Vec::new(),
            behaviour: Box::new(|_, _| {}),
            start: now,
            now,
            peers: Vec::new(),
            living: HashMap::new(),
            open: HashSet::new(),
            cut: Cut::Whole,
            sent_bytes: 0,
            is_in_turn: false,
            has_finished: false,
        }
    }

    /// What is done about every event, before the next one is parsed.
    pub fn on(mut self, behaviour: impl FnMut(&mut Engine, &Told) + 'static) -> World {
        self.behaviour = Box::new(behaviour);
        self
    }

    pub fn cut(mut self, cut: Cut) -> World {
        self.cut = cut;
        self
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    pub fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// The messages told since the last `take_told`, as text.
    pub fn heard(&self) -> Vec<String> {
        let text = |told: &Told| match told {
            Told::Text(_, text) | Told::RawText(_, _, text) => Some(text.clone()),
            Told::Binary(_, data) | Told::RawBinary(_, _, data) => Some(format!("{data:?}")),
            _ => None,
        };
        self.told.iter().filter_map(text).collect()
    }

    /// Why sessions ended since the last `take_told`.
    pub fn reasons(&self) -> Vec<Reason> {
        let reason = |told: &Told| match told {
            Told::Closed(_, reason) => Some(*reason),
            _ => None,
        };
        self.told.iter().filter_map(reason).collect()
    }

    /// The session opened last.
    pub fn session(&self) -> SessionKey {
        let opened = |told: &Told| match told {
            Told::Opened(session) => Some(*session),
            _ => None,
        };
        let last = self.told.iter().rev().find_map(opened);
        last.expect("a session was opened")
    }

    /// The connection and serial of the last question to the application.
    pub fn question(&self) -> (ConnKey, u32) {
        let question = |told: &Told| match told {
            Told::Opening(conn, serial)
            | Told::Request(conn, serial, ..)
            | Told::RawOpened(conn, serial, _) => Some((*conn, *serial)),
            _ => None,
        };
        let last = self.told.iter().rev().find_map(question);
        last.expect("the application was asked")
    }
}

// What peers do.
impl World {
    pub fn connect(&mut self) -> Client {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.connect_from(here).expect("no limit per address")
    }

    pub fn connect_from(&mut self, address: IpAddr) -> Option<Client> {
        let key = self.engine.handle_open(self.now, address)?;
        let client = self.peers.len();
        self.peers.push(Peer {
            key: Some(key),
            ..Peer::default()
        });
        let before = self.living.insert(key, client);
        assert_eq!(before, None, "a slot was given away twice");
        self.settle();
        Some(Client(client))
    }

    /// Sends bytes, cut as the world was told. What comes after the end is lost.
    pub fn send(&mut self, client: Client, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let room = match self.cut {
                Cut::At(at) if at > self.sent_bytes => at - self.sent_bytes,
                Cut::Every(step) => step,
                Cut::Whole | Cut::At(_) => READ_BYTES,
            };
            let (piece, next) = rest.split_at(room.min(rest.len()).min(READ_BYTES));
            self.sent_bytes += piece.len();
            rest = next;
            if let Some(key) = self.peers[client.0].key {
                self.engine.handle_bytes(key, self.now, piece);
                // As the loop does it: who was read is written to first.
                self.dispatch();
                self.transmit(key);
                self.settle();
            }
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
        if let Some(key) = self.peers[client.0].key {
            self.engine.handle_eof(key, self.now);
            self.settle();
        }
    }

    /// Resets the connection.
    pub fn reset(&mut self, client: Client) {
        if let Some(key) = self.peers[client.0].key {
            self.engine.handle_broken(key, self.now);
            self.settle();
        }
    }

    /// From now on the kernel takes `bytes` more and then blocks; no limit if none.
    pub fn let_write(&mut self, client: Client, bytes: Option<usize>) {
        self.peers[client.0].budget = bytes;
        if let Some(key) = self.peers[client.0].key.filter(|_| bytes != Some(0)) {
            self.engine.handle_writable(key);
            self.settle();
        }
    }

    /// The next write fails.
    pub fn break_writes(&mut self, client: Client) {
        self.peers[client.0].is_broken = true;
    }

    pub fn key(&self, client: Client) -> ConnKey {
        self.peers[client.0].key.expect("the connection is there")
    }

    /// The server has not ended the connection, nor its side of it.
    pub fn is_open(&self, client: Client) -> bool {
        let peer = &self.peers[client.0];
        peer.key.is_some() && !peer.is_shut
    }

    /// The server has dropped the connection.
    pub fn is_gone(&self, client: Client) -> bool {
        self.peers[client.0].key.is_none()
    }

    /// What was received and not read, to read from.
    pub fn received(&mut self, client: Client) -> &mut Vec<u8> {
        &mut self.peers[client.0].received
    }
}

// The crank.
impl World {
    /// Moves time on, stopping at every deadline as the loop does.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        // Every stop passes a deadline or moves it to a finer wheel: far fewer than this.
        for _ in 0..1_000_000 {
            let Some(next) = self.engine.next_deadline().filter(|next| *next <= end) else {
                self.now = end;
                self.engine.handle_timeout(end);
                return self.drain();
            };
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        panic!("deadlines without end");
    }

    /// Gives a command and drains.
    pub fn act<R>(&mut self, command: impl FnOnce(&mut Engine) -> R) -> R {
        let result = command(&mut self.engine);
        self.settle();
        result
    }

    /// Lets all this happen in one turn of the loop: each input is dispatched as it comes, but
    /// others are written to, and slots are freed, only at the turn's end.
    pub fn in_one_turn<R>(&mut self, inputs: impl FnOnce(&mut World) -> R) -> R {
        self.is_in_turn = true;
        let result = inputs(self);
        self.is_in_turn = false;
        self.drain();
        result
    }

    fn settle(&mut self) {
        if self.is_in_turn {
            self.dispatch();
        } else {
            self.drain();
        }
    }

    /// Everything the engine has to say. An answer may free a pipelined request, a broken write
    /// ends a session: so from the start again, until there is nothing.
    pub fn drain(&mut self) {
        loop {
            let mut is_idle = !self.dispatch();
            while let Some(key) = self.engine.poll_dirty() {
                is_idle = false;
                self.transmit(key);
            }
            if !is_idle {
                continue;
            }
            while let Some(key) = self.engine.poll_dead() {
                is_idle = false;
                let client = self.living.remove(&key).expect("it dies once");
                self.peers[client].key = None;
            }
            // What was held back comes in turns of its own.
            if is_idle && !self.engine.take_up() {
                return;
            }
        }
    }

    /// Every event there is; whether there was one.
    fn dispatch(&mut self) -> bool {
        let mut was_told = false;
        while let Some(event) = self.engine.poll_event() {
            was_told = true;
            self.tell(event);
        }
        was_told
    }

    fn tell(&mut self, event: Event) {
        let told = self.own(event);
        match &told {
            Told::Opened(session) => assert!(self.open.insert(*session), "opened twice"),
            Told::Closed(session, _) => assert!(self.open.remove(session), "closed twice"),
            Told::Text(session, _) | Told::Binary(session, _) | Told::Upgraded(session) => {
                assert!(self.open.contains(session), "heard after its end");
            }
            _ => {}
        }
        (self.behaviour)(&mut self.engine, &told);
        self.told.push(told);
    }

    fn own(&self, event: Event) -> Told {
        let bytes = |span| self.engine.bytes(span).to_vec();
        let text = |span| String::from_utf8(bytes(span)).expect("text is UTF-8");
        match event {
            Event::Opening { conn, serial } => Told::Opening(conn, serial),
            Event::Opened { session } => Told::Opened(session),
            Event::Message {
                session,
                is_binary: false,
                payload,
            } => Told::Text(session, text(&payload)),
            Event::Message {
                session, payload, ..
            } => Told::Binary(session, bytes(&payload)),
            Event::Upgraded { session } => Told::Upgraded(session),
            Event::Drained { session } => Told::Drained(session),
            Event::Closed { session, reason } => Told::Closed(session, reason),
            Event::Request {
                conn,
                serial,
                head,
                body,
            } => Told::Request(conn, serial, text(&head), bytes(&body)),
            Event::RawOpened { conn, serial, head } => Told::RawOpened(conn, serial, text(&head)),
            Event::RawMessage {
                conn,
                serial,
                is_binary: false,
                payload,
            } => Told::RawText(conn, serial, text(&payload)),
            Event::RawMessage {
                conn,
                serial,
                payload,
                ..
            } => Told::RawBinary(conn, serial, bytes(&payload)),
            Event::RawClosed { conn, serial, code } => Told::RawClosed(conn, serial, code),
            Event::Refused { .. } => {
                Told::Refused(self.engine.refusal().expect("it was told").clone())
            }
            Event::Session { event, .. } => Told::Session(event),
        }
    }

    fn transmit(&mut self, key: ConnKey) {
        let client = self.living[&key];
        let peer = &mut self.peers[client];
        let fate = self
            .engine
            .transmit(key, &mut |slices: &[IoSlice<'_>]| peer.take(slices));
        if fate == Fate::Shutdown {
            peer.is_shut = true;
        }
    }

    /// Everyone leaves; nothing may be left behind.
    pub fn finish(&mut self) {
        self.has_finished = true;
        self.is_in_turn = false;
        for peer in 0..self.peers.len() {
            self.peers[peer].budget = None;
            self.reset(Client(peer));
        }
        self.advance(200_000);
        let stats = self.engine.stats();
        assert_eq!(stats.connections, 0, "connections");
        assert_eq!(stats.sessions, 0, "sessions");
        assert_eq!(stats.incoming_bytes, 0, "incoming bytes");
        assert_eq!(stats.backlog_bytes, 0, "backlog bytes");
        assert_eq!(stats.connections_opened, stats.connections_closed);
        assert_eq!(stats.sessions_opened, stats.sessions_closed);
        assert_eq!(self.engine.next_deadline(), None, "deadlines");
        assert!(self.open.is_empty(), "sessions that were not told closed");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.has_finished && !std::thread::panicking() {
            self.finish();
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

/// Answers every message with itself, and every request with its first line and its body.
pub fn echo(engine: &mut Engine, told: &Told) {
    match told {
        Told::Text(session, text) => engine.send_text(*session, &[text.as_bytes()]),
        Told::Binary(session, data) => engine.send_binary(*session, data),
        Told::RawText(conn, serial, text) => {
            engine.raw_send(*conn, *serial, false, text.as_bytes());
        }
        Told::RawBinary(conn, serial, data) => engine.raw_send(*conn, *serial, true, data),
        Told::Request(conn, serial, head, body) => {
            let line = head.trim_start().lines().next().expect("a request line");
            let body = [line.as_bytes(), b"|", body].concat();
            engine.respond(*conn, *serial, Response::bytes("text/plain", body));
        }
        _ => {}
    }
}

/// Runs `script` with its bytes cut everywhere; each time it must return the same.
pub fn is_the_same_however_cut<R: PartialEq + std::fmt::Debug>(
    world: impl Fn() -> World,
    script: impl Fn(&mut World) -> R,
) {
    let mut whole = world();
    let expected = script(&mut whole);
    let cuts = (1..whole.sent_bytes()).map(Cut::At);
    for cut in cuts.chain([1, 2, 3, 7, 64].map(Cut::Every)) {
        let mut cut_world = world().cut(cut);
        assert_eq!(script(&mut cut_world), expected, "{cut:?}");
    }
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
