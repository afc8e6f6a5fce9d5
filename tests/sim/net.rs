//! The wire: connections as two directions of bytes under way, and the turn of the loop over them,
//! step by step as `src/net.rs` takes it.
//!
//! What always holds: bytes of a direction stay in order; readiness is told once for each change
//! (edge-triggered); what a test sees of a dropped connection is what a kernel would show.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use emio::{
    ConnKey, Crank, Dispatch,
    engine::{Engine, Fate, READ_BYTES},
};

use super::{Rng, app::Chat, count, heap};

/// All connections there ever were, by number.
#[derive(Default)]
pub struct Net {
    pub wires: Vec<Wire>,
    /// By key, as `Streams` has them.
    streams: Vec<Option<usize>>,
    again: Vec<ConnKey>,
    backlog: VecDeque<usize>,
    is_closed: bool,
    /// Connections on which something may still happen.
    pub live: Vec<usize>,
    pub bytes_up: usize,
    pub bytes_down: usize,
    /// The next byte of either direction at which everything is cut once.
    pub cut: Option<Cut>,
}

/// Where the one cut of a systematic run falls, in bytes carried so far.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Up(usize),
    Down(usize),
}

/// One TCP connection.
pub struct Wire {
    key: Option<ConnKey>,
    up_flight: VecDeque<u8>,
    up_arrived: VecDeque<u8>,
    up_end: Option<End>,
    is_up_ended: bool,
    down: VecDeque<u8>,
    pub arrived: Vec<u8>,
    down_end: bool,
    /// The client has seen the server's end.
    pub is_ended: bool,
    /// Bytes that the server's side of the kernel takes.
    pub window: usize,
    is_blocked: bool,
    is_shut: bool,
    is_readable: bool,
    is_writable: bool,
    /// It stands on the list of those to be read again.
    is_again: bool,
    /// The loop was told that the peer has ended its side.
    is_end_known: bool,
    /// Nothing moves in either direction.
    pub is_stalled: bool,
    /// The client does not read.
    pub is_unread: bool,
}

/// How a client ends its side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Eof,
    Reset,
}

// What clients do.
impl Net {
    /// Connects; the server will accept it.
    pub fn connect(&mut self, window: usize) -> usize {
        let wire = self.wires.len();
        self.wires.push(Wire {
            key: None,
            up_flight: VecDeque::new(),
            up_arrived: VecDeque::new(),
            up_end: None,
            is_up_ended: false,
            down: VecDeque::new(),
            arrived: Vec::new(),
            down_end: self.is_closed,
            is_ended: self.is_closed,
            window,
            is_blocked: false,
            is_shut: false,
            is_readable: false,
            is_writable: false,
            is_again: false,
            is_end_known: false,
            is_stalled: false,
            is_unread: false,
        });
        if !self.is_closed {
            self.backlog.push_back(wire);
        }
        self.live.push(wire);
        wire
    }

    pub fn send(&mut self, wire: usize, bytes: &[u8]) {
        let wire = &mut self.wires[wire];
        if wire.up_end.is_none() {
            wire.up_flight.extend(bytes);
        }
    }

    pub fn end(&mut self, wire: usize, end: End) {
        let wire = &mut self.wires[wire];
        if wire.up_end != Some(End::Reset) {
            wire.up_end = Some(end);
        }
    }

    /// Tells the server of readiness that is none.
    pub fn wake_in_vain(&mut self, wire: usize) {
        self.wires[wire].is_readable = true;
        self.wires[wire].is_writable = true;
    }

    /// Moves up to `max` bytes of one direction; whether anything moved.
    pub fn deliver(&mut self, wire: usize, is_up: bool, max: usize) -> bool {
        let mut max = max;
        let at = &mut self.wires[wire];
        if at.is_stalled || (at.key.is_none() && !at.down_end) {
            return false;
        }
        if let (true, Some(Cut::Up(left))) = (is_up, &mut self.cut) {
            let moved = at.up_flight.len().min(max);
            if *left > 0 && moved > 0 {
                max = max.min(*left);
                *left -= max.min(moved);
            }
        }
        if is_up {
            let before = at.up_flight.len();
            let has_moved = at.deliver_up(max);
            self.bytes_up += before - at.up_flight.len();
            return has_moved;
        }
        let before = at.down.len();
        let has_moved = at.deliver_down(max);
        self.bytes_down += before - at.down.len();
        has_moved
    }

    /// Forgets the connections on which nothing more happens.
    pub fn prune(&mut self) {
        let wires = &self.wires;
        let backlog = &self.backlog;
        self.live.retain(|&wire| {
            let at = &wires[wire];
            at.key.is_some() || backlog.contains(&wire) || (!at.is_ended && !at.is_stalled)
        });
    }

    /// Whether something is under way to the server.
    pub fn has_flight(&self) -> bool {
        let is_moving = |wire: &Wire| {
            let has_end = wire.up_end.is_some() && !wire.is_up_ended;
            wire.key.is_some() && !wire.is_stalled && (!wire.up_flight.is_empty() || has_end)
        };
        self.live.iter().any(|&wire| is_moving(&self.wires[wire]))
    }

    /// Whether the server has read all that arrived of a request, of whose body some is under way.
    pub fn is_being_heard(&self, wire: usize, body_bytes: usize) -> bool {
        let at = &self.wires[wire];
        at.up_arrived.is_empty() && (1..=body_bytes).contains(&at.up_flight.len())
    }

    /// Whether the server has not ended the connection, as far as the client knows.
    pub fn is_open(&self, wire: usize) -> bool {
        !self.wires[wire].is_ended && self.wires[wire].up_end.is_none()
    }
}

impl Wire {
    fn deliver_up(&mut self, max: usize) -> bool {
        let moved = self.up_flight.len().min(max);
        if moved < self.up_flight.len() {
            count("bytes split");
        }
        self.up_arrived.extend(self.up_flight.drain(..moved));
        let mut has_moved = moved > 0;
        if self.up_flight.is_empty() && self.up_end.is_some() && !self.is_up_ended {
            self.is_up_ended = true;
            has_moved = true;
        }
        self.is_readable |= has_moved;
        has_moved
    }

    fn deliver_down(&mut self, max: usize) -> bool {
        if self.is_unread {
            return false;
        }
        let moved = self.down.len().min(max);
        self.arrived.extend(self.down.drain(..moved));
        if moved > 0 && self.is_blocked {
            self.is_blocked = false;
            self.is_writable = true;
        }
        if self.down.is_empty() && self.down_end && !self.is_ended {
            self.is_ended = true;
            return true;
        }
        moved > 0
    }

    fn write(&mut self, slices: &[IoSlice<'_>], cut: &mut Option<Cut>) -> io::Result<usize> {
        assert!(!self.is_shut, "written after the end");
        if self.is_up_ended && self.up_end == Some(End::Reset) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut room = self.window.saturating_sub(self.down.len());
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Some(Cut::Down(left)) = cut {
            if *left > 0 {
                room = room.min(*left);
                *left -= wanted.min(room);
            }
        }
        self.is_blocked = wanted > room;
        if self.is_blocked {
            count("partly written");
        }
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
        self.down.extend(bytes.take(room));
        Ok(wanted.min(room))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.up_arrived.len());
        for (to, from) in buffer.iter_mut().zip(self.up_arrived.drain(..n)) {
            *to = from;
        }
        match self.up_end.filter(|_| n == 0 && self.is_up_ended) {
            Some(End::Eof) => Ok(0),
            Some(End::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            None if n == 0 => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(n),
        }
    }
}

// The loop.
impl Net {
    /// Whether the loop would wake without a deadline.
    pub fn is_ready(&self) -> bool {
        let is_ready = |wire: &Wire| wire.key.is_some() && (wire.is_readable || wire.is_writable);
        let is_any_ready = self.live.iter().any(|&wire| is_ready(&self.wires[wire]));
        !self.again.is_empty() || !self.backlog.is_empty() || is_any_ready
    }

    /// One turn. Afterwards nothing may be left that only another wake-up would bring forward.
    pub fn turn(&mut self, crank: &mut Crank<Chat>, now: Instant, is_woken: bool, rng: &mut Rng) {
        for key in std::mem::take(&mut self.again) {
            if let Some(wire) = self.streams[key.index()] {
                self.wires[wire].is_again = false;
                self.read_from(crank, key, now);
            }
        }
        let live = self.live.iter().copied();
        let mut ready: Vec<_> = live
            .filter(|&wire| self.wires[wire].key.is_some())
            .filter(|&wire| self.wires[wire].is_readable || self.wires[wire].is_writable)
            .collect();
        rng.shuffle(&mut ready);
        for wire in ready {
            let at = &mut self.wires[wire];
            let key = at.key.expect("only open connections are ready");
            let (is_readable, is_writable) = (at.is_readable, at.is_writable);
            (at.is_readable, at.is_writable) = (false, false);
            if is_writable {
                heap::server(|| crank.engine().handle_writable(key));
            }
            let at = &mut self.wires[wire];
            if is_readable {
                at.is_end_known |= at.is_up_ended;
            }
            if is_readable && !at.is_again {
                self.read_from(crank, key, now);
            }
        }
        self.accept(crank, now);
        heap::server(|| crank.engine().take_up());
        let Net {
            wires,
            streams,
            cut,
            ..
        } = self;
        heap::server(|| {
            let mut flush = |engine: &mut Engine| flush(wires, streams, cut, engine);
            if is_woken {
                crank.handle_mail(now, &mut flush);
            }
            crank.handle_timeout(now, &mut flush);
            loop {
                crank.dispatch(&mut |engine| self::flush(wires, streams, cut, engine));
                let Some(key) = crank.engine().poll_dirty() else {
                    break;
                };
                transmit(wires, streams, cut, crank.engine(), key);
                self::flush(wires, streams, cut, crank.engine());
            }
        });
        self.reap(crank);
        if !crank.is_accepting() {
            self.is_closed = true;
            for wire in self.backlog.drain(..) {
                self.wires[wire].down_end = true;
            }
        }
    }

    fn read_from(&mut self, crank: &mut Crank<Chat>, key: ConnKey, now: Instant) {
        let Some(wire) = self.streams[key.index()] else {
            return;
        };
        let engine = crank.engine();
        if engine.is_held_back(key) {
            if !std::mem::replace(&mut self.wires[wire].is_again, true) {
                self.again.push(key);
            }
            return;
        }
        let buffer = engine.input_buffer();
        let room = buffer.len();
        assert_eq!(room, READ_BYTES);
        let has_more = match heap::test(|| self.wires[wire].read(buffer)) {
            Ok(0) => {
                heap::server(|| engine.handle_eof(key, now));
                false
            }
            Ok(n) => {
                engine.handle_more(key, n == room);
                heap::server(|| engine.handle_read(key, now, n));
                n == room || self.wires[wire].is_end_known
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                engine.handle_more(key, false);
                false
            }
            Err(_) => {
                heap::server(|| engine.handle_broken(key, now));
                false
            }
        };
        let at = &mut self.wires[wire];
        if has_more && !at.is_again {
            at.is_again = true;
            self.again.push(key);
        }
        let Net {
            wires,
            streams,
            cut,
            ..
        } = self;
        heap::server(|| {
            crank.dispatch(&mut |engine| flush(wires, streams, cut, engine));
            transmit(wires, streams, cut, crank.engine(), key);
        });
    }

    fn accept(&mut self, crank: &mut Crank<Chat>, now: Instant) {
        while let Some(wire) = self.backlog.pop_front() {
            let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let key = heap::server(|| crank.engine().handle_open(now, address));
            let key = key.expect("addresses are not limited");
            if self.streams.len() <= key.index() {
                self.streams.resize(key.index() + 1, None);
            }
            assert_eq!(
                self.streams[key.index()],
                None,
                "a slot was given away twice"
            );
            self.streams[key.index()] = Some(wire);
            let at = &mut self.wires[wire];
            at.key = Some(key);
            at.is_writable = true;
        }
    }

    fn reap(&mut self, crank: &mut Crank<Chat>) {
        while let Some(key) = heap::server(|| crank.poll_dead()) {
            let wire = self.streams[key.index()].take().expect("it dies once");
            trace!("wire {wire} dropped");
            let at = &mut self.wires[wire];
            at.key = None;
            at.down_end = true;
            at.up_flight.clear();
            if at.is_up_ended && at.up_end == Some(End::Reset) {
                at.down.clear();
            }
        }
        self.again.retain(|key| self.streams[key.index()].is_some());
    }
}

fn flush(
    wires: &mut [Wire],
    streams: &[Option<usize>],
    cut: &mut Option<Cut>,
    engine: &mut Engine,
) {
    while let Some(key) = engine.poll_dirty() {
        transmit(wires, streams, cut, engine, key);
    }
}

fn transmit(
    wires: &mut [Wire],
    streams: &[Option<usize>],
    cut: &mut Option<Cut>,
    engine: &mut Engine,
    key: ConnKey,
) {
    let Some(wire) = streams[key.index()] else {
        return;
    };
    let wire = &mut wires[wire];
    let fate = engine.transmit(key, &mut |slices| heap::test(|| wire.write(slices, cut)));
    if fate == Fate::Shutdown {
        wire.is_shut = true;
        wire.down_end = true;
    }
}
