//! The loop: sleep, read, think, write, reap. The only file that touches the system.
//!
//! Not here: protocols and user code, which are behind `Dispatch`. What always holds: a stream is
//! registered once, edge-triggered, for its whole life; a turn reads each connection at most once,
//! and none whose earlier input is not worked off; what was produced for the connection just read
//! leaves right after its own dispatch, everything else at the turn's end, in one write each; slots
//! are freed at the end of a turn.

use std::{
    fs::File,
    io::{self, IoSlice, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{
    Events, Interest, Poll, Registry, Token, Waker,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::{
    adopt::{Adopted, AdoptedStream},
    config::Config,
    dispatch::Dispatch,
    engine::{Engine, Fate},
    id::{ConnKey, Entropy},
};

/// Listeners, streams and the poll.
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    next_listener: usize,
    streams: Streams,
    waker: Arc<Waker>,
    /// Connections whose last read filled the buffer.
    again: Vec<ConnKey>,
    /// Listeners that may have more connections waiting.
    is_accepting: bool,
    /// Until when accepting rests, because descriptors or connections ran out.
    rests_until: Option<Instant>,
    connections_max: usize,
    accepts_max: u32,
    /// Turns in a row whose events filled the list, so that deadlines were put off.
    full_turns: u32,
    /// The kernel had more events in the last turn than the list had room for.
    is_full: bool,
    /// For how long the caller was told that it may sleep before the next turn.
    promised: Duration,
    closing_since: Option<Instant>,
    /// When the last turn looked at the clock.
    looked_at: Instant,
    /// Turns for which deadlines are put off, because the process had been stopped.
    catches_up: Option<u32>,
}

/// By connection key.
struct Streams(Vec<Slot>);

/// One connection as the loop sees it.
#[derive(Default)]
struct Slot {
    stream: Option<Stream>,
    /// It stands on the list of those to be read again.
    is_again: bool,
    /// The peer has ended its side: to be read until that is reached, since no event will come.
    is_ended: bool,
    /// Somebody else may have this socket too, so that dropping it is not the end of it.
    is_adopted: bool,
}

/// The one seam for whatever carries bytes.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

// Setting up.
impl Net {
    /// A loop without listeners.
    pub fn new(config: &Config) -> io::Result<Net> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let connections_max = match config.connections_max {
            Some(connections) => connections as usize,
            None => CONNECTIONS_MAX.min(descriptors_max().saturating_sub(DESCRIPTORS_SPARED)),
        };
        Ok(Net {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            listeners: Vec::new(),
            next_listener: 0,
            streams: Streams(Vec::new()),
            waker,
            again: Vec::new(),
            is_accepting: true,
            rests_until: None,
            connections_max,
            accepts_max: config.accepts_per_turn_max.max(1),
            full_turns: 0,
            is_full: false,
            promised: Duration::ZERO,
            closing_since: None,
            looked_at: Instant::now(),
            catches_up: None,
        })
    }

    pub fn listen(&mut self, listener: std::net::TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        self.add(Listener::Tcp(TcpListener::from_std(listener)))
    }

    pub fn listen_unix(&mut self, listener: std::os::unix::net::UnixListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        self.add(Listener::Unix(UnixListener::from_std(listener)))
    }

    fn add(&mut self, mut listener: Listener) -> io::Result<()> {
        if self.listeners.len() == LISTENERS_MAX {
            return Err(io::Error::other("too many listeners"));
        }
        let token = Token(FIRST_LISTENER + self.listeners.len());
        let registry = self.poll.registry();
        match &mut listener {
            Listener::Tcp(listener) => registry.register(listener, token, Interest::READABLE)?,
            Listener::Unix(listener) => registry.register(listener, token, Interest::READABLE)?,
        }
        self.listeners.push(listener);
        Ok(())
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let tcp = self.listeners.iter().find_map(|listener| match listener {
            Listener::Tcp(listener) => Some(listener.local_addr()),
            Listener::Unix(_) => None,
        });
        tcp.unwrap_or_else(|| Err(io::Error::other("no TCP listener")))
    }

    /// The descriptor that is readable when a turn has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// What wakes the loop from another thread.
    pub fn wake(&self) -> Box<dyn Fn() + Send + Sync> {
        let waker = Arc::clone(&self.waker);
        // The pipe that a waker writes to is full only if the loop is about to wake anyway.
        Box::new(move || drop(waker.wake()))
    }
}

// The loop.
impl Net {
    /// Turns until the server has ended.
    pub fn run(&mut self, server: &mut impl Dispatch) -> io::Result<()> {
        while self.turn(server, None)? {}
        Ok(())
    }

    /// One turn, which sleeps for at most `sleep_max`. `false` when the server has ended.
    pub fn turn(
        &mut self,
        server: &mut impl Dispatch,
        sleep_max: Option<Duration>,
    ) -> io::Result<bool> {
        let slept = self.sleep(server, sleep_max)?;
        let slept = slept.max(std::mem::take(&mut self.promised));
        let now = Instant::now();
        // What clients sent in the meantime is accepted and read before anybody is called silent.
        if self.catches_up.is_none() && now - self.looked_at > slept.saturating_add(STOPPED) {
            self.catches_up = Some(CATCH_UP_TURNS);
        }
        self.looked_at = now;
        let (is_woken, is_full) = self.read(server, now);
        self.is_full = is_full;
        self.accept(server, now);
        server.engine().take_up();
        if is_woken {
            server.handle_mail(now, &mut |engine| self.streams.flush(engine));
        }
        while let Some(adopted) = server.poll_adopted() {
            self.adopt(server, adopted, now);
        }
        let catches_up = self.catches_up.filter(|turns| *turns > 0);
        self.catches_up = catches_up.map(|turns| turns - 1);
        if catches_up.is_some() {
            // Not yet.
        } else if !is_full || self.full_turns >= FULL_TURNS_MAX {
            self.full_turns = 0;
            server.handle_timeout(now, &mut |engine| self.streams.flush(engine));
        } else {
            self.full_turns += 1;
        }
        // Writing may free a pipelined request, or find a connection broken: until nothing is left.
        loop {
            server.dispatch(&mut |engine| self.streams.flush(engine));
            let Some(key) = server.engine().poll_dirty() else {
                break;
            };
            self.streams.transmit(server.engine(), key);
            self.streams.flush(server.engine());
        }
        self.reap(server);
        server.engine().handle_turn(now.elapsed());
        Ok(!self.has_ended(server, now))
    }

    /// Sleeps until something happens; for how long it may have been.
    fn sleep(
        &mut self,
        server: &impl Dispatch,
        sleep_max: Option<Duration>,
    ) -> io::Result<Duration> {
        let timeout = self.timeout(server);
        let sleep = [sleep_max, timeout].into_iter().flatten().min();
        match self.poll.poll(&mut self.events, sleep) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            result => result?,
        }
        Ok(sleep.unwrap_or(Duration::MAX))
    }

    /// For how long nothing is to be done unless something happens; `None` if for ever.
    fn timeout(&self, server: &impl Dispatch) -> Option<Duration> {
        let is_busy = self.catches_up.is_some()
            || self.is_full
            || !self.again.is_empty()
            || (self.is_accepting && self.rests_until.is_none());
        if is_busy {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let deadlines = [server.next_deadline(), self.rests_until];
        let deadline = deadlines.into_iter().flatten().min();
        let deadline = deadline.map(|at| at.saturating_duration_since(now));
        let end = server.is_closing().then_some(CLOSING_TICK);
        [deadline, end].into_iter().flatten().min()
    }

    /// The same for a caller with a loop of its own, that does sleep for so long.
    pub fn next_timeout(&mut self, server: &impl Dispatch) -> Option<Duration> {
        let timeout = self.timeout(server);
        self.promised = timeout.unwrap_or(Duration::MAX);
        timeout
    }

    /// Reads everything that is readable, once. Tells whether another thread has called, and
    /// whether the kernel had more events than it could say.
    fn read(&mut self, server: &mut impl Dispatch, now: Instant) -> (bool, bool) {
        let (mut is_woken, mut events_count) = (false, 0);
        let again = std::mem::take(&mut self.again);
        for key in again {
            if let Some(slot) = self.streams.0.get_mut(key.index()) {
                slot.is_again = false;
                self.read_from(server, key, now);
            }
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            events_count += 1;
            match event.token() {
                WAKER => is_woken = true,
                Token(token) if token < FIRST_CONN => self.is_accepting = true,
                Token(token) => {
                    let key = ConnKey::new(token - FIRST_CONN);
                    if event.is_writable() && self.streams.is_open(key) {
                        server.engine().handle_writable(key);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        let is_again = self.streams.note(key, event.is_read_closed());
                        // One that had more was read in this turn already, and will be in the next.
                        if !is_again {
                            self.read_from(server, key, now);
                        }
                    }
                }
            }
        }
        self.events = events;
        (is_woken, events_count == EVENTS_MAX)
    }

    /// Reads a connection once and lets the server think about it. If there may be more, it waits
    /// for the next turn: one client must not keep the others from being read.
    fn read_from(&mut self, server: &mut impl Dispatch, key: ConnKey, now: Instant) {
        let Some(slot) = self.streams.0.get_mut(key.index()) else {
            return;
        };
        let Some(stream) = &mut slot.stream else {
            return;
        };
        let engine = server.engine();
        if engine.is_held_back(key) {
            return self.read_again(key);
        }
        let buffer = engine.input_buffer();
        let room = buffer.len();
        let has_more = match stream.read(buffer) {
            Ok(0) => {
                engine.handle_eof(key, now);
                false
            }
            Ok(n) => {
                engine.handle_more(key, n == room);
                engine.handle_read(key, now, n);
                n == room || slot.is_ended
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                engine.handle_more(key, false);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(_) => {
                engine.handle_broken(key, now);
                false
            }
        };
        if has_more {
            self.read_again(key);
        }
        server.dispatch(&mut |engine| self.streams.flush(engine));
        self.streams.transmit(server.engine(), key);
    }

    /// Has a connection read in the next turn.
    fn read_again(&mut self, key: ConnKey) {
        if let Some(slot) = self
            .streams
            .0
            .get_mut(key.index())
            .filter(|it| !it.is_again)
        {
            slot.is_again = true;
            self.again.push(key);
        }
    }

    fn accept(&mut self, server: &mut impl Dispatch, now: Instant) {
        if self.rests_until.is_some_and(|until| until <= now) {
            self.rests_until = None;
        }
        if !server.is_accepting() {
            return;
        }
        if !self.is_accepting || self.rests_until.is_some() || self.closing_since.is_some() {
            return;
        }
        for _ in 0..self.accepts_max {
            if server.engine().stats().connections as usize >= self.connections_max {
                self.rests_until = Some(now + ACCEPT_REST);
                return;
            }
            match self.accept_one() {
                Ok(Some((stream, address))) => {
                    self.admit(server, stream, address, now);
                }
                Ok(None) => {
                    self.is_accepting = false;
                    return;
                }
                // This connection was over before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                // No descriptors, no memory, or worse: edge triggering will not remind us, so try
                // again when something was closed, or in a while.
                Err(error) => {
                    log::warn!("accepting rests: {error}");
                    self.rests_until = Some(now + ACCEPT_REST);
                    return;
                }
            }
        }
    }

    /// A connection from one of the listeners, which take turns.
    fn accept_one(&mut self) -> io::Result<Option<(Stream, IpAddr)>> {
        for _ in 0..self.listeners.len() {
            self.next_listener = (self.next_listener + 1) % self.listeners.len();
            let listener = &self.listeners[self.next_listener];
            let accepted = match listener {
                Listener::Tcp(listener) => listener
                    .accept()
                    .map(|(stream, peer)| (Stream::Tcp(stream), peer.ip())),
                Listener::Unix(listener) => listener
                    .accept()
                    .map(|(stream, _)| (Stream::Unix(stream), UNIX_ADDRESS)),
            };
            match accepted {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn admit(
        &mut self,
        server: &mut impl Dispatch,
        mut stream: Stream,
        address: IpAddr,
        now: Instant,
    ) -> Option<ConnKey> {
        let key = server.engine().handle_open(now, address)?;
        let token = Token(FIRST_CONN + key.index());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let registered = match &mut stream {
            Stream::Tcp(stream) => {
                // An answer must not wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                registry.register(stream, token, interest)
            }
            Stream::Unix(stream) => registry.register(stream, token, interest),
        };
        if registered.is_err() {
            server.engine().handle_broken(key, now);
        }
        self.streams.insert(key, stream);
        Some(key)
    }

    /// Serves a connection that was accepted elsewhere, from the bytes on that were read there.
    fn adopt(&mut self, server: &mut impl Dispatch, adopted: Adopted, now: Instant) {
        let Adopted { stream, bytes_read } = adopted;
        let is_full = server.engine().stats().connections as usize >= self.connections_max;
        if is_full || !server.is_accepting() {
            server.engine().stats.refused_by_limit += 1;
            return;
        }
        let (stream, address) = match Stream::adopted(stream) {
            Ok(adopted) => adopted,
            Err(error) => {
                return log::debug!("a connection was lost before it was adopted: {error}");
            }
        };
        let Some(key) = self.admit(server, stream, address, now) else {
            return;
        };
        self.streams.note_adopted(key);
        if !bytes_read.is_empty() {
            server.engine().handle_bytes(key, now, &bytes_read);
            server.dispatch(&mut |engine| self.streams.flush(engine));
            self.streams.transmit(server.engine(), key);
        }
    }

    fn reap(&mut self, server: &mut impl Dispatch) {
        while let Some(key) = server.poll_dead() {
            self.streams.remove(key, self.poll.registry());
            self.rests_until = None;
        }
        let streams = &self.streams;
        self.again.retain(|&key| streams.is_open(key));
    }

    /// Whether a server that was asked to end has nothing left to do, or took too long.
    fn has_ended(&mut self, server: &mut impl Dispatch, now: Instant) -> bool {
        if !server.is_accepting() {
            self.listeners.clear();
            self.is_accepting = false;
        }
        if !server.is_closing() {
            return false;
        }
        let since = *self.closing_since.get_or_insert(now);
        server.engine().stats().connections == 0 || now - since > CLOSING_MAX
    }
}

impl Streams {
    fn get(&mut self, key: ConnKey) -> Option<&mut Stream> {
        self.0.get_mut(key.index())?.stream.as_mut()
    }

    fn is_open(&self, key: ConnKey) -> bool {
        self.0
            .get(key.index())
            .is_some_and(|slot| slot.stream.is_some())
    }

    /// Notes that a connection is readable, perhaps to its end; whether it will be read anyway.
    fn note(&mut self, key: ConnKey, is_ended: bool) -> bool {
        let Some(slot) = self.0.get_mut(key.index()) else {
            return false;
        };
        slot.is_ended |= is_ended;
        slot.is_again
    }

    fn note_adopted(&mut self, key: ConnKey) {
        if let Some(slot) = self.0.get_mut(key.index()) {
            slot.is_adopted = true;
        }
    }

    fn insert(&mut self, key: ConnKey, stream: Stream) {
        if self.0.len() <= key.index() {
            self.0.resize_with(key.index() + 1, Slot::default);
        }
        self.0[key.index()] = Slot {
            stream: Some(stream),
            ..Slot::default()
        };
    }

    /// Drops the stream, which closes it and takes it from the poll, unless a clone of it lives.
    fn remove(&mut self, key: ConnKey, registry: &Registry) {
        let Some(slot) = self.0.get_mut(key.index()) else {
            return;
        };
        let slot = std::mem::take(slot);
        if let Some(mut stream) = slot.stream.filter(|_| slot.is_adopted) {
            // What fails was over already.
            let _ = stream.leave(registry);
        }
    }

    /// Writes what every connection has to say.
    fn flush(&mut self, engine: &mut Engine) {
        while let Some(key) = engine.poll_dirty() {
            self.transmit(engine, key);
        }
    }

    fn transmit(&mut self, engine: &mut Engine, key: ConnKey) {
        let Some(stream) = self.get(key) else { return };
        match engine.transmit(key, &mut |slices| stream.write(slices)) {
            Fate::Keep => {}
            Fate::Shutdown => stream.shutdown_write(),
        }
    }
}

impl Stream {
    /// A stream of the standard library, and its client's address.
    fn adopted(stream: AdoptedStream) -> io::Result<(Stream, IpAddr)> {
        match stream {
            AdoptedStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let address = stream.peer_addr()?.ip();
                Ok((Stream::Tcp(TcpStream::from_std(stream)), address))
            }
            AdoptedStream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                let stream = Stream::Unix(UnixStream::from_std(stream));
                Ok((stream, UNIX_ADDRESS))
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Stream::Tcp(stream), [slice]) => stream.write(slice),
            (Stream::Tcp(stream), slices) => stream.write_vectored(slices),
            (Stream::Unix(stream), slices) => stream.write_vectored(slices),
        }
    }

    /// Takes it from the poll and ends it for everybody who has it.
    fn leave(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                registry.deregister(stream)?;
                stream.shutdown(Shutdown::Both)
            }
            Stream::Unix(stream) => {
                registry.deregister(stream)?;
                stream.shutdown(Shutdown::Both)
            }
        }
    }

    fn shutdown_write(&self) {
        // A peer that is gone already needs no notice.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

// mio's streams carry a selector's id in debug builds.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Slot>() <= 16, "one for every connection");

/// The system's randomness, read in blocks.
pub(crate) struct Urandom {
    file: File,
    block: [u8; 1024],
    used: usize,
}

impl Urandom {
    pub fn open() -> io::Result<Urandom> {
        let block = [0; 1024];
        let mut urandom = Urandom {
            file: File::open("/dev/urandom")?,
            block,
            used: block.len(),
        };
        urandom.refill()?;
        Ok(urandom)
    }

    fn refill(&mut self) -> io::Result<()> {
        self.file.read_exact(&mut self.block)?;
        self.used = 0;
        Ok(())
    }
}

impl Entropy for Urandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(self.block.len()) {
            if self.block.len() - self.used < chunk.len() {
                self.refill()
                    .expect("/dev/urandom was opened and read before");
            }
            let fresh = &mut self.block[self.used..self.used + chunk.len()];
            chunk.copy_from_slice(fresh);
            // What was handed out is not kept.
            fresh.fill(0);
            self.used += chunk.len();
        }
    }
}

/// Milliseconds since 1970, for the moment at which a server's own time begins.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// The soft limit of open files, from the kernel's own table; 1,024 where it cannot be read.
fn descriptors_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(1_024)
}

// Tokens: the waker, then listeners, then room for outgoing connections, then clients.
const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;
const LISTENERS_MAX: usize = 15;
const FIRST_CONN: usize = 32;

/// Clients of Unix domain sockets have no address of their own.
const UNIX_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Readiness events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Turns for which deadlines may be put off while the event list is full: enough to have looked at
/// every one of 20,000 connections thrice.
const FULL_TURNS_MAX: u32 = 64;

const CONNECTIONS_MAX: usize = 20_000;

/// Descriptors left to the application.
const DESCRIPTORS_SPARED: usize = 64;

/// How long accepting rests when there is no room.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long a server that was asked to end waits for its last connections.
const CLOSING_MAX: Duration = Duration::from_secs(3);
const CLOSING_TICK: Duration = Duration::from_millis(50);

/// A process that looks at the clock so much later than it meant to had been stopped.
const STOPPED: Duration = Duration::from_secs(1);

/// Turns in which what lies in the kernel by then is accepted and read.
const CATCH_UP_TURNS: u32 = 3;
