//! A server without I/O, with the connections of its clients in memory and a clock of its own. It
//! takes the turns of the loop in the order of `src/net.rs`.
//!
//! What always holds: readiness is told once for each change; after a turn nothing is left that
//! only another wake-up would bring forward; when everyone has left nothing is left at all.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    sync::LazyLock,
    time::{Duration, Instant},
};

use emio::{
    Config, ConnKey, Crank, Dispatch, Entropy,
    engine::{Engine, Fate, READ_BYTES},
};

use crate::app::Guide;

pub struct World {
    pub crank: Crank<Guide>,
    now: Instant,
    streams: Streams,
}

/// All connections there ever were.
#[derive(Default)]
struct Streams {
    wires: Vec<Wire>,
    /// By key, those that live.
    by_key: Vec<Option<usize>>,
}

/// One connection.
pub struct Wire {
    key: Option<ConnKey>,
    /// What the server has not read.
    arrived: VecDeque<u8>,
    end: Option<End>,
    /// What the server wrote.
    pub received: Vec<u8>,
    /// Bytes that the kernel takes from the server.
    room: usize,
    is_blocked: bool,
    is_readable: bool,
    is_writable: bool,
    /// The server has ended its side.
    pub is_shut: bool,
}

/// How a client ends its side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Eof,
    Reset,
}

impl World {
    pub fn new(app: Guide, config: Config, prepare: impl FnOnce(&mut Crank<Guide>)) -> World {
        // Its value does not matter, only what passes.
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let entropy = Box::new(Random(0x5EED));
        let mut crank = Crank::new(app, config, entropy, *START, 1_700_000_000_000);
        prepare(&mut crank);
        World {
            crank,
            now: *START,
            streams: Streams::default(),
        }
    }
}

// What clients do. Nothing happens before the next turn.
impl World {
    /// Connects; `None` if the server drops it at once, or accepts nobody any more.
    pub fn connect(&mut self) -> Option<usize> {
        if !self.crank.is_accepting() {
            return None;
        }
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let key = self.crank.engine().handle_open(self.now, address)?;
        let Streams { wires, by_key } = &mut self.streams;
        if by_key.len() <= key.index() {
            by_key.resize(key.index() + 1, None);
        }
        assert_eq!(by_key[key.index()], None, "a slot was given away twice");
        by_key[key.index()] = Some(wires.len());
        wires.push(Wire {
            key: Some(key),
            arrived: VecDeque::new(),
            end: None,
            received: Vec::new(),
            room: usize::MAX,
            is_blocked: false,
            is_readable: false,
            is_writable: true,
            is_shut: false,
        });
        Some(wires.len() - 1)
    }

    pub fn send(&mut self, wire: usize, bytes: &[u8]) {
        let wire = &mut self.streams.wires[wire];
        if wire.key.is_some() && wire.end.is_none() {
            wire.arrived.extend(bytes);
            wire.is_readable |= !bytes.is_empty();
        }
    }

    pub fn end(&mut self, wire: usize, end: End) {
        let wire = &mut self.streams.wires[wire];
        if wire.key.is_some() && wire.end != Some(End::Reset) {
            wire.end = Some(end);
            wire.is_readable = true;
            if end == End::Reset {
                wire.arrived.clear();
            }
        }
    }

    /// From now on the kernel takes `room` more bytes from the server.
    pub fn let_write(&mut self, wire: usize, room: usize) {
        let wire = &mut self.streams.wires[wire];
        wire.room = room;
        if wire.is_blocked && room > 0 {
            wire.is_blocked = false;
            wire.is_writable = true;
        }
    }

    pub fn wires(&self) -> usize {
        self.streams.wires.len()
    }

    pub fn wire(&mut self, wire: usize) -> &mut Wire {
        &mut self.streams.wires[wire]
    }

    /// Whether the client may still write, as far as it knows.
    pub fn is_open(&self, wire: usize) -> bool {
        let wire = &self.streams.wires[wire];
        wire.key.is_some() && !wire.is_shut && wire.end.is_none()
    }
}

// The loop.
impl World {
    /// One turn: reads each readable connection once, then mail, deadlines, output, the dead.
    pub fn turn(&mut self) {
        for wire in 0..self.streams.wires.len() {
            self.serve(wire);
        }
        let World {
            crank,
            now,
            streams,
        } = self;
        let now = *now;
        crank.engine().take_up();
        crank.handle_mail(now, &mut |engine| streams.flush(engine));
        crank.handle_timeout(now, &mut |engine| streams.flush(engine));
        // Writing may free a pipelined request, or find a connection broken.
        loop {
            crank.dispatch(&mut |engine| streams.flush(engine));
            let Some(key) = crank.engine().poll_dirty() else {
                break;
            };
            streams.transmit(crank.engine(), key);
            streams.flush(crank.engine());
        }
        while let Some(key) = crank.poll_dead() {
            let wire = streams.by_key[key.index()].take().expect("it dies once");
            streams.wires[wire].key = None;
        }
        crank.dispatch(&mut |_| {});
        assert_eq!(
            crank.engine().poll_dirty(),
            None,
            "the loop would sleep on output"
        );
        assert_eq!(crank.poll_dead(), None, "the loop would sleep on the dead");
        let living = streams.by_key.iter().flatten().count();
        assert_eq!(crank.stats().connections, living as u64);
    }

    fn serve(&mut self, wire: usize) {
        let World {
            crank,
            now,
            streams,
        } = self;
        let at = &mut streams.wires[wire];
        let Some(key) = at.key else { return };
        let engine = crank.engine();
        if std::mem::take(&mut at.is_writable) {
            engine.handle_writable(key);
        }
        if !at.is_readable || engine.is_held_back(key) {
            return;
        }
        let buffer = engine.input_buffer();
        let n = buffer.len().min(at.arrived.len());
        for (to, from) in buffer.iter_mut().zip(at.arrived.drain(..n)) {
            *to = from;
        }
        at.is_readable = n == READ_BYTES || (n > 0 && at.end.is_some());
        match at.end.filter(|_| n == 0) {
            Some(End::Eof) => engine.handle_eof(key, *now),
            Some(End::Reset) => engine.handle_broken(key, *now),
            None => {
                engine.handle_more(key, n == READ_BYTES);
                if n > 0 {
                    engine.handle_read(key, *now, n);
                }
            }
        }
        crank.dispatch(&mut |engine| streams.flush(engine));
        streams.transmit(crank.engine(), key);
    }

    /// Turns until nothing is left to do at this moment.
    pub fn settle(&mut self) {
        // A turn takes up a packet at least.
        for _ in 0..100_000 {
            self.turn();
            let is_due = |deadline| deadline <= self.now;
            if !self.streams.is_ready() && !self.crank.next_deadline().is_some_and(is_due) {
                return;
            }
        }
        panic!("turns without end");
    }

    /// Moves time on, stopping at every deadline as the loop does.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        // Every stop passes a deadline or moves it to a finer wheel.
        for _ in 0..100_000 {
            let Some(next) = self.crank.next_deadline().filter(|next| *next <= end) else {
                self.now = end;
                return self.settle();
            };
            self.now = self.now.max(next);
            self.settle();
        }
        panic!("deadlines without end");
    }

    /// Everyone leaves; nothing may be left behind.
    pub fn finish(&mut self) {
        for wire in 0..self.streams.wires.len() {
            self.let_write(wire, usize::MAX);
            self.end(wire, End::Reset);
        }
        self.settle();
        assert_eq!(self.crank.stats().connections, 0, "connections");
        // More than any deadline.
        self.advance(Duration::from_secs(600));
        let stats = self.crank.stats();
        assert_eq!(stats.sessions, 0, "sessions");
        assert_eq!(stats.sockets, 0, "sockets");
        assert_eq!(stats.rooms, 0, "rooms");
        assert_eq!(stats.incoming_bytes, 0, "incoming bytes");
        assert_eq!(stats.backlog_bytes, 0, "backlog bytes");
        assert_eq!(stats.connections_opened, stats.connections_closed);
        assert_eq!(stats.sessions_opened, stats.sessions_closed);
        assert_eq!(self.crank.census(), emio::Census::default());
        assert_eq!(self.crank.next_deadline(), None, "deadlines");
    }
}

impl Streams {
    fn is_ready(&self) -> bool {
        let is_ready = |wire: &Wire| wire.key.is_some() && (wire.is_readable || wire.is_writable);
        self.wires.iter().any(is_ready)
    }

    fn flush(&mut self, engine: &mut Engine) {
        while let Some(key) = engine.poll_dirty() {
            self.transmit(engine, key);
        }
    }

    fn transmit(&mut self, engine: &mut Engine, key: ConnKey) {
        let Some(wire) = self.by_key[key.index()] else {
            return;
        };
        let wire = &mut self.wires[wire];
        let fate = engine.transmit(key, &mut |slices: &[IoSlice<'_>]| wire.write(slices));
        wire.is_shut |= fate == Fate::Shutdown;
    }
}

impl Wire {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.is_shut, "written after the end");
        if self.end == Some(End::Reset) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        assert_ne!(wanted, 0, "a write of nothing");
        let taken = wanted.min(self.room);
        self.is_blocked = taken < wanted;
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = slices.iter().flat_map(|slice| slice.iter());
        self.received.extend(bytes.take(taken));
        if self.room != usize::MAX {
            self.room -= taken;
        }
        Ok(taken)
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
