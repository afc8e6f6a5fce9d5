//! Engine.IO 4 as one value: connections, sessions and their deadlines, without I/O and without
//! user code. It is complete by itself; Socket.IO (`hub`) is a user of it, and so is
//! `engine::Server`.
//!
//! Not here: sockets of the system, clocks, randomness. Bytes, time and entropy are arguments.
//! Inputs are `handle_*`, outputs are `poll_*`, commands are verbs. What always holds: after an
//! input or a command events are drained before the next one (`poll_event` until `None`); at a
//! turn's end `poll_dirty` and `transmit` until `None`. That may free a pipelined request or lose a
//! connection, so again from the start until there is nothing. Then `poll_dead`, which alone frees
//! slots. One connection brings a bounded number of events in a turn: the rest is held back until
//! `take_up`.
//!
//! ```text
//!   requests.rs    HTTP heads and bodies: what is asked, and the answers
//!   polling.rs     payloads of POSTs in, parked GETs answered
//!   frames.rs      WebSocket frames in, for sessions and for applications
//!   lifecycle.rs   opening, closing, losing, deadlines
//!   output.rs      what leaves: encoded, gathered, queued, written
//!   overflow.rs    clients that do not keep up
//!   ending.rs      how a server ends
//!   commands.rs    what an application may ask, and what it may do
//!   refusals.rs    requests that the error table answers, told to those who listen
//!   notes.rs       what happens to sessions, told to those who watch
//!   mod.rs         the type, its inputs and outputs
//! ```

mod commands;
mod ending;
mod frames;
mod lifecycle;
mod notes;
mod output;
mod overflow;
mod polling;
mod refusals;
mod requests;
mod server;

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSlice},
    net::IpAddr,
    ops::Range,
    time::{Duration, Instant},
};

use slab::Slab;

use self::ending::Ending;
pub use self::{
    notes::{PacketKind, SessionEvent, SessionInfo},
    refusals::{BadRequest, ConnectionContext, ConnectionError},
    server::{Core, Handle, Message, Server, Socket},
};
use crate::{
    codec::{
        http::{self, Limits},
        ws,
    },
    config::Config,
    conn::{Conn, Payload, Posting, State},
    headers::Headers,
    id::{ConnKey, Entropy, SessionKey},
    queue::{Frame, Gauge, Queue},
    reason::Reason,
    session::Session,
    stats::Stats,
    timer::Wheel,
};

/// Connections, sessions and their timers: a sans-I/O Engine.IO server.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) conns: Slab<Conn>,
    pub(crate) sessions: Slab<Session>,
    conn_timers: Wheel,
    session_timers: Wheel,
    events: VecDeque<Event>,
    /// What those who watch are told, before anything else.
    notes: VecDeque<Event>,
    /// What was seen in the input while notes waited.
    seen: Option<Event>,
    /// A refusal whose request is not at hand yet.
    refused: Option<refusals::Refused>,
    /// Refusals that have not been told, and the one that was told last.
    refusals: VecDeque<ConnectionError>,
    refusal: Option<ConnectionError>,
    tells_refusals: bool,
    tells_sessions: bool,
    input: Input,
    cork: Cork,
    dirty: VecDeque<ConnKey>,
    /// Sessions whose parked GET has something to be told.
    answers: Vec<SessionKey>,
    /// Connections that may parse what they hold, because their answer has been given.
    resumed: VecDeque<ConnKey>,
    /// Backlogs of lost connections. Thousands of frames take a while to free: a few each turn.
    discarded: Vec<Queue>,
    /// Who goes on in a later turn: once each, those whose `is_held_back` is set.
    held_back: VecDeque<ConnKey>,
    /// Some of these have ended.
    has_forgotten: bool,
    dead: Vec<ConnKey>,
    gone: Vec<SessionKey>,
    /// Open connections by address; empty unless they are limited.
    addresses: HashMap<[u8; 16], u32>,
    raw_paths: Vec<String>,
    is_judged: bool,
    tells_drained: bool,
    ending: Ending,
    /// What is sent belongs to one event that the overflow policy has let in.
    is_admitted: bool,
    /// The last volatile event for each client that could not be written to.
    latest: HashMap<SessionKey, (u32, Vec<Frame>)>,
    serial: u32,
    entropy: Box<dyn Entropy>,
    gauge: Gauge,
    /// What the gauge counts when nothing waits: the ping.
    gauge_idle_bytes: u64,
    ping: Frame,
    incoming_bytes: u64,
    /// Bytes of request heads that sessions keep.
    hello_bytes: u64,
    /// Bytes of frames that a user of the engine keeps: they wait for nobody.
    pub(crate) retained_bytes: u64,
    epoch: Instant,
    epoch_unix_ms: u64,
    now_ms: u64,
    pub(crate) stats: Stats,
    /// The mean of the loop's turns, times 16.
    turn_us_mean_16: u64,
}

/// What the engine tells. A span is valid until the next call of `poll_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
pub enum Event {
    /// A handshake asks to be judged (`Engine::judge_handshakes`); answered by `decide` or
    /// `conclude`.
    Opening { conn: ConnKey, serial: u32 },
    /// A session is open.
    Opened { session: SessionKey },
    /// A message of this session, whole.
    Message {
        session: SessionKey,
        is_binary: bool,
        payload: Span,
    },
    /// A session has moved from polling to its WebSocket.
    Upgraded { session: SessionKey },
    /// Everything that had to wait for a session's client has left (`Engine::tell_drained`).
    Drained { session: SessionKey },
    /// A session is over. Its key is free once this event has been taken and `poll_dead` was
    /// called.
    Closed { session: SessionKey, reason: Reason },
    /// A request outside the protocol; answered by `respond`.
    Request {
        conn: ConnKey,
        serial: u32,
        head: Span,
        body: Span,
    },
    /// A WebSocket on a path of the application was opened.
    RawOpened {
        conn: ConnKey,
        serial: u32,
        head: Span,
    },
    /// A message over it.
    RawMessage {
        conn: ConnKey,
        serial: u32,
        is_binary: bool,
        payload: Span,
    },
    /// It is over, with the close code that the peer gave.
    RawClosed {
        conn: ConnKey,
        serial: u32,
        code: Option<u16>,
    },
    /// A request was refused by the error table (`Engine::tell_refusals`); `refusal` has it.
    Refused { conn: ConnKey },
    /// Something happened to a session (`Engine::tell_sessions`).
    Session {
        session: SessionKey,
        info: SessionInfo,
        event: SessionEvent,
    },
}

/// What an application gives a handshake that it lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Welcome {
    /// Header lines of the answer, the 101 included.
    pub headers: Headers,
    /// The part of the session's id that nobody may guess; the engine's own entropy without.
    pub secret: Option<[u8; 11]>,
}

/// Why an application does not let a handshake in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial<'a> {
    /// It is not allowed: 403 with this message, code 4.
    Forbidden(&'a str),
    /// No id could be made for it: code 3.
    NoId,
}

/// Where a piece of input lies; `Engine::bytes` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    place: Place,
    range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the input being handled.
    Input,
    /// Decoded from base64.
    Scratch,
    /// Assembled from fragments.
    Message,
}

/// What became of a connection whose output was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing; go on.
    Keep,
    /// The last byte is out: end the write side of the stream, and go on reading.
    Shutdown,
}

/// The bytes being handled. One buffer serves the process; a connection brings its own only when it
/// had kept something.
struct Input {
    shared: Vec<u8>,
    current: Option<Current>,
    scratch: Vec<u8>,
    message: Vec<u8>,
}

/// How far the handling of one connection's bytes has come.
struct Current {
    conn: ConnKey,
    /// The connection's own bytes, or `None` for the shared buffer.
    kept: Option<Vec<u8>>,
    start: usize,
    end: usize,
    /// How many bytes are needed before parsing makes sense again.
    need: usize,
    /// How much of a text frame that is not whole is known to be UTF-8.
    text_checked: usize,
    payload: Option<Payload>,
    /// How often it may still be looked at in this turn.
    looks: u32,
    /// What the server had sent when this was taken up: a broadcast is more work than an echo.
    sent_before: u64,
}

/// Output of the connection being read, gathered so that one write carries it and nothing is
/// allocated.
struct Cork {
    conn: Option<ConnKey>,
    bytes: Vec<u8>,
}

/// What one look at the input gave.
enum Look {
    Event(Event),
    /// Something was consumed or changed: look again.
    Again,
    /// Nothing more can be done with what is here.
    Pause,
}

impl Current {
    fn bytes<'a>(&'a self, shared: &'a [u8]) -> &'a [u8] {
        match &self.kept {
            Some(kept) => &kept[self.start..self.end],
            None => &shared[self.start..self.end],
        }
    }

    fn bytes_mut<'a>(&'a mut self, shared: &'a mut [u8]) -> &'a mut [u8] {
        match &mut self.kept {
            Some(kept) => &mut kept[self.start..self.end],
            None => &mut shared[self.start..self.end],
        }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }
}

// Inputs.
impl Engine {
    /// An engine whose time begins `now`; `unix_ms` is that moment in milliseconds since 1970.
    pub fn new(
        config: Config,
        mut entropy: Box<dyn Entropy>,
        now: Instant,
        unix_ms: u64,
    ) -> Engine {
        let headers = config.headers.into_iter();
        let headers = headers.filter(|(name, _)| !crate::headers::is_the_servers(name));
        let config = Config {
            headers: headers.collect(),
            ..config
        };
        let gauge = Gauge::default();
        let mut ping = Vec::new();
        ws::put_head(&mut ping, ws::Opcode::Text, 1);
        ping.push(b'2');
        let ping = Frame::new(ping, &gauge);
        let mut serial = [0; 4];
        entropy.fill(&mut serial);
        Engine {
            config,
            conns: Slab::new(),
            sessions: Slab::new(),
            conn_timers: Wheel::new(),
            session_timers: Wheel::new(),
            events: VecDeque::new(),
            notes: VecDeque::new(),
            seen: None,
            refused: None,
            refusals: VecDeque::new(),
            refusal: None,
            tells_refusals: false,
            tells_sessions: false,
            input: Input {
                shared: vec![0; READ_BYTES],
                current: None,
                scratch: Vec::new(),
                message: Vec::new(),
            },
            cork: Cork {
                conn: None,
                bytes: Vec::new(),
            },
            dirty: VecDeque::new(),
            answers: Vec::new(),
            resumed: VecDeque::new(),
            discarded: Vec::new(),
            held_back: VecDeque::new(),
            has_forgotten: false,
            dead: Vec::new(),
            gone: Vec::new(),
            addresses: HashMap::new(),
            raw_paths: Vec::new(),
            is_judged: false,
            tells_drained: false,
            ending: Ending::No,
            is_admitted: false,
            latest: HashMap::new(),
            serial: u32::from_ne_bytes(serial),
            entropy,
            gauge_idle_bytes: gauge.bytes(),
            ping,
            gauge,
            incoming_bytes: 0,
            hello_bytes: 0,
            retained_bytes: 0,
            epoch: now,
            epoch_unix_ms: unix_ms,
            now_ms: 0,
            stats: Stats::default(),
            turn_us_mean_16: 0,
        }
    }

    /// A connection was accepted. `None` if its address has too many already: drop it.
    pub fn handle_open(&mut self, now: Instant, address: IpAddr) -> Option<ConnKey> {
        self.tick(now);
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        if self.config.connections_per_ip_max > 0 {
            let count = self.addresses.entry(address).or_insert(0);
            if *count >= self.config.connections_per_ip_max {
                self.stats.refused_by_address += 1;
                return None;
            }
            *count += 1;
        }
        let key = ConnKey::new(self.conns.insert(Conn::new(address)));
        self.arm_conn(key, self.config.head_timeout);
        self.stats.connections_opened += 1;
        Some(key)
    }

    /// Where bytes are read into, before `handle_read` is told how many came.
    pub fn input_buffer(&mut self) -> &mut [u8] {
        &mut self.input.shared
    }

    /// `n` bytes of this connection lie in the input buffer.
    pub fn handle_read(&mut self, key: ConnKey, now: Instant, n: usize) {
        self.tick(now);
        self.stats.bytes_in += n as u64;
        debug_assert!(
            self.input.current.is_none(),
            "drain poll_event between inputs"
        );
        self.open_cork(key);
        let conn = &mut self.conns[key.index()];
        if conn.is_ending() || n == 0 {
            return;
        }
        let is_held_back = conn.is_held_back;
        let is_behind = conn.is_behind();
        let new = &self.input.shared[..n];
        let held = conn.inbox.as_mut().filter(|inbox| !inbox.tail.is_empty());
        let Some(inbox) = held else {
            self.input.current = Some(self.take_in(key, None, n));
            return;
        };
        inbox.tail.extend_from_slice(new);
        let is_asleep = match conn.state {
            _ if is_held_back => true,
            State::Head if is_behind => true,
            // A head is not parsed again before a line has ended.
            State::Head => {
                let limits = Limits {
                    head_bytes_max: self.config.head_bytes_max as usize,
                    headers_max: self.config.headers_max as usize,
                };
                let seen = inbox.tail.len() - n;
                !http::is_worth_parsing(&inbox.tail, seen, limits)
            }
            State::Poll(_) | State::Deciding(_) => true,
            _ => inbox.tail.len() < inbox.need,
        };
        if !is_asleep {
            let tail = std::mem::take(&mut inbox.tail);
            let n = tail.len();
            let text_checked = std::mem::take(&mut inbox.text_checked);
            let current = self.take_in(key, Some(tail), n);
            self.input.current = Some(Current {
                text_checked,
                ..current
            });
        }
        self.account(key);
    }

    /// The same with bytes from elsewhere, at most as many as the input buffer has room for.
    pub fn handle_bytes(&mut self, key: ConnKey, now: Instant, bytes: &[u8]) {
        self.input.shared[..bytes.len()].copy_from_slice(bytes);
        self.handle_read(key, now, bytes.len());
    }

    /// The peer has ended its side of the connection.
    pub fn handle_eof(&mut self, key: ConnKey, now: Instant) {
        self.tick(now);
        self.ended(key);
    }

    /// The connection was reset, or reading or writing failed.
    pub fn handle_broken(&mut self, key: ConnKey, now: Instant) {
        self.tick(now);
        self.lose(key, Reason::TransportClose);
    }

    /// The kernel has room for this connection's output again.
    pub fn handle_writable(&mut self, key: ConnKey) {
        if let Some(conn) = self.conns.get_mut(key.index()) {
            if !conn.is_writable {
                conn.is_writable = true;
                self.mark_dirty(key);
            }
        }
    }

    /// Whether more of this connection's bytes are known to lie in the kernel: its session does not
    /// die of a pong that has not been read.
    pub fn handle_more(&mut self, key: ConnKey, has_more: bool) {
        self.conns[key.index()].has_more = has_more;
    }

    /// Whether this connection has had its share of the turn: until `take_up` it is not to be read.
    pub fn is_held_back(&self, key: ConnKey) -> bool {
        let conn = self.conns.get(key.index());
        conn.is_some_and(|conn| conn.is_held_back)
    }

    /// Goes on with what was put off to another turn; whether there was something. Call it once a
    /// turn, after everything readable has been read.
    ///
    /// Few of those who had their share are taken up at a time, in the order in which they were put
    /// off: however many send as fast as they can, the others wait no longer for their turn.
    pub fn take_up(&mut self) -> bool {
        if self.notes.is_empty() && self.notes.capacity() > NOTES_KEPT {
            self.notes = VecDeque::new();
        }
        let is_any = !self.held_back.is_empty() || !self.discarded.is_empty();
        if std::mem::take(&mut self.has_forgotten) {
            let conns = &self.conns;
            let is_waiting =
                |key: &ConnKey| conns.get(key.index()).is_some_and(|it| it.is_held_back);
            self.held_back.retain(is_waiting);
        }
        let busy = self.held_back.len().min(TAKEN_UP_PER_TURN);
        self.resumed.extend(self.held_back.drain(..busy));
        for _ in 0..FREED_PER_TURN {
            let Some(queue) = self.discarded.last_mut() else {
                break;
            };
            if queue.pop().is_none() {
                self.discarded.pop();
            }
        }
        is_any
    }

    /// Time has passed. Call it after everything readable has been read.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.expire();
        self.end_further();
    }
}

// Outputs.
impl Engine {
    /// The next thing that happened. At most one packet is parsed by one call, so that what an
    /// application does about it takes effect before the next.
    // Called from one place for every message; without the hint the event is copied on its way.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if self.tells_sessions {
                if let Some(note) = self.poll_note() {
                    return Some(note);
                }
            }
            if let Some(event) = self.events.pop_front() {
                if let Event::Closed { session, .. } = event {
                    self.gone.push(session);
                }
                if self.tells_refusals {
                    self.note_refusal(&event);
                }
                return Some(event);
            }
            if self.input.current.is_none() && !self.resume() {
                return None;
            }
            if self.is_spent() {
                self.hold_back();
                continue;
            }
            match self.look() {
                Look::Event(event) if self.tells_sessions => self.seen = Some(event),
                Look::Event(event) => return Some(event),
                Look::Again => {}
                Look::Pause => self.stash(),
            }
        }
    }

    /// The bytes that an event names.
    pub fn bytes(&self, span: &Span) -> &[u8] {
        match span.place {
            Place::Scratch => &self.input.scratch[span.range.clone()],
            Place::Message => &self.input.message[span.range.clone()],
            Place::Input => match &self.input.current {
                Some(Current {
                    kept: Some(kept), ..
                }) => &kept[span.range.clone()],
                _ => &self.input.shared[span.range.clone()],
            },
        }
    }

    /// The head of the POST that carried the message told last; `None` if it came over a WebSocket.
    pub(crate) fn posted_head(&self) -> Option<(&[u8], [u8; 16])> {
        let current = self.input.current.as_ref()?;
        let head = current.payload.as_ref()?.head.clone();
        let bytes = match &current.kept {
            Some(kept) => kept,
            None => &self.input.shared,
        };
        Some((&bytes[head], self.conns[current.conn.index()].address))
    }

    /// A connection that has output; hand it to `transmit`.
    pub fn poll_dirty(&mut self) -> Option<ConnKey> {
        while let Some(session) = self.answers.pop() {
            self.answer(session);
        }
        let key = self.dirty.pop_front()?;
        self.conns[key.index()].is_dirty = false;
        Some(key)
    }

    /// Writes what this connection has to say through `write`, until all is written or it would
    /// block.
    pub fn transmit(
        &mut self,
        key: ConnKey,
        write: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Fate {
        if let State::Poll(session) = self.conns[key.index()].state {
            if self.sessions[session.index()].is_dirty {
                self.answer(session);
            }
        }
        let is_corked = self.cork.conn == Some(key);
        if is_corked {
            self.cork.conn = None;
        }
        let mut cork = if is_corked {
            std::mem::take(&mut self.cork.bytes)
        } else {
            Vec::new()
        };
        let has_waited = !self.conns[key.index()].queue.is_empty();
        let bytes_out = self.stats.bytes_out;
        let is_broken = self.write_out(key, &mut cork, write);
        let has_progressed = self.stats.bytes_out > bytes_out;
        let conn = &mut self.conns[key.index()];
        if !cork.is_empty() {
            conn.queue.push(Frame::new(cork.clone(), &self.gauge));
        }
        if is_corked {
            cork.clear();
            cork.shrink_to(CORK_BYTES_KEPT);
            self.cork.bytes = cork;
        }
        if is_broken {
            self.lose(key, Reason::TransportClose);
            return Fate::Keep;
        }
        let waits = !self.conns[key.index()].queue.is_empty();
        if waits || has_waited {
            self.wait_for_writing(key, has_progressed);
        }
        let conn = &mut self.conns[key.index()];
        if waits {
            conn.is_backlogged = true;
            return Fate::Keep;
        }
        let has_drained = std::mem::take(&mut conn.is_backlogged);
        if let (true, true, State::Ws(session)) = (has_drained, self.tells_drained, conn.state) {
            self.events.push_back(Event::Drained { session });
        }
        let conn = &mut self.conns[key.index()];
        if let State::Ws(session) = conn.state {
            if has_waited && self.tells_sessions {
                self.note_drain(key, session);
            }
        }
        let conn = &mut self.conns[key.index()];
        if conn.is_writable && conn.inbox.is_some() {
            self.send_late_pong(key);
        }
        if has_waited && self.holds_request(key) {
            // Large answers are work: the next one is made when the others have had their turn.
            self.put_off(key);
        }
        if !self.latest.is_empty() {
            self.has_caught_up(key);
        }
        let conn = &mut self.conns[key.index()];
        if conn.queue.is_empty() && conn.state == State::Closing {
            // A peer that has said its last word needs no time to hear ours.
            if conn.is_eof {
                self.lose(key, Reason::TransportClose);
                return Fate::Keep;
            }
            conn.state = State::Lingering;
            self.arm_conn(key, LINGER);
            return Fate::Shutdown;
        }
        Fate::Keep
    }

    /// When `handle_timeout` is to be called next; at once if `poll_event` has something to tell.
    pub fn next_deadline(&self) -> Option<Instant> {
        // What was asked for between two turns is written in the next.
        let has_output = !self.dirty.is_empty() || !self.answers.is_empty();
        let is_busy = has_output
            || !self.resumed.is_empty()
            || !self.held_back.is_empty()
            || !self.discarded.is_empty();
        if !self.events.is_empty() || !self.notes.is_empty() || is_busy {
            return Some(self.epoch + Duration::from_millis(self.now_ms));
        }
        let first = [
            self.conn_timers.next_deadline(),
            self.session_timers.next_deadline(),
            self.ending_deadline(),
        ];
        let ms = first.into_iter().flatten().min()?;
        Some(self.epoch + Duration::from_millis(ms))
    }

    /// A connection that is over: drop its stream. Its slot is free from now on.
    pub fn poll_dead(&mut self) -> Option<ConnKey> {
        while let Some(session) = self.gone.pop() {
            self.sessions.remove(session.index());
        }
        let key = self.dead.pop()?;
        let conn = self.conns.remove(key.index());
        if let Some(count) = self.addresses.get_mut(&conn.address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&conn.address);
            }
        }
        self.stats.connections_closed += 1;
        Some(key)
    }
}

/// The two ways in which packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// One WebSocket.
    WebSocket,
}

impl Transport {
    /// The name that the protocol uses.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }
}

// How bytes get from an input to a look, and back to where they are kept.
impl Engine {
    fn look(&mut self) -> Look {
        let Some(mut current) = self.input.current.take() else {
            return Look::Pause;
        };
        let key = current.conn;
        // An input that is used up may be looked at once more, to be put away.
        current.looks = current.looks.saturating_sub(1);
        let look = match self.conns[key.index()].state {
            State::Posting(session) => self.look_at_payload(&mut current, session),
            State::Closing | State::Lingering | State::Dead => {
                current.start = current.end;
                Look::Pause
            }
            _ if current.len() == 0 => Look::Pause,
            // It asks for more than it takes: the next answer is made when these have left.
            State::Head if self.conns[key.index()].is_behind() => Look::Pause,
            State::Head | State::Body(_) => self.look_at_request(&mut current),
            State::Ws(_) | State::RawWs(_) | State::WsClosing => self.look_at_frame(&mut current),
            State::Poll(_) | State::Deciding(_) => Look::Pause,
        };
        self.input.current = Some(current);
        look
    }

    /// Gives the connection what is left of its bytes.
    fn stash(&mut self) {
        let Some(current) = self.input.current.take() else {
            return;
        };
        let key = current.conn;
        let conn = &mut self.conns[key.index()];
        if conn.is_ending() {
            return;
        }
        let rest_len = current.len();
        if rest_len == 0 {
            if let Some(inbox) = &mut conn.inbox {
                inbox.tail = Vec::new();
                if inbox.is_empty() {
                    let counted = inbox.counted;
                    conn.inbox = None;
                    self.incoming_bytes -= u64::from(counted);
                } else {
                    self.account(key);
                }
            }
            return;
        }
        let tail = match current.kept {
            Some(mut kept) => {
                kept.truncate(current.end);
                kept.drain(..current.start);
                kept
            }
            None => self.input.shared[current.start..current.end].to_vec(),
        };
        let inbox = conn.inbox_mut();
        inbox.tail = tail;
        inbox.need = current.need;
        inbox.text_checked = current.text_checked;
        self.account(key);
    }

    /// Takes up what a connection holds, now that it may be parsed.
    fn resume(&mut self) -> bool {
        while let Some(key) = self.resumed.pop_front() {
            let Some(conn) = self.conns.get_mut(key.index()) else {
                continue;
            };
            let is_ready = std::mem::take(&mut conn.is_held_back)
                || matches!(conn.state, State::Head | State::Ws(_) | State::RawWs(_));
            let Some(inbox) = conn.inbox.as_mut().filter(|_| is_ready) else {
                continue;
            };
            let tail = std::mem::take(&mut inbox.tail);
            let n = tail.len();
            let posting = inbox.posting.take();
            let mut current = self.take_in(key, Some(tail), n);
            if let Some(posting) = posting {
                current.start = posting.start;
                current.payload = Some(posting.payload);
            }
            self.input.current = Some(current);
            return true;
        }
        false
    }

    /// The first `end` bytes of a connection's own, or of the shared buffer, to be looked at.
    fn take_in(&self, conn: ConnKey, kept: Option<Vec<u8>>, end: usize) -> Current {
        Current {
            conn,
            kept,
            start: 0,
            end,
            need: 0,
            text_checked: 0,
            payload: None,
            looks: self.config.inputs_per_turn_max.max(1),
            sent_before: self.stats.messages_out,
        }
    }

    /// Whether the input being handled has had its share of the turn, and there is more of it.
    fn is_spent(&self) -> bool {
        let Some(current) = &self.input.current else {
            return false;
        };
        let sent = self.stats.messages_out - current.sent_before;
        let has_more = current.len() > 0 || current.payload.is_some();
        has_more && (current.looks == 0 || sent > u64::from(self.config.sends_per_turn_max))
    }

    /// Puts the rest of a busy connection's input off: the others come first.
    fn hold_back(&mut self) {
        let Some(current) = self.input.current.take() else {
            return;
        };
        let key = current.conn;
        if self.conns[key.index()].is_ending() {
            return;
        }
        let Current {
            kept,
            start,
            end,
            payload,
            ..
        } = current;
        // The packets of a POST lie before the next request.
        let base = payload.as_ref().map_or(start, |payload| payload.head.start);
        let tail = match kept {
            Some(mut kept) => {
                kept.truncate(end);
                kept.drain(..base);
                kept
            }
            None => self.input.shared[base..end].to_vec(),
        };
        let inbox = self.conns[key.index()].inbox_mut();
        inbox.tail = tail;
        inbox.posting = payload.map(|payload| {
            Box::new(Posting {
                payload: payload.moved(base),
                start: start - base,
            })
        });
        self.put_off(key);
        self.account(key);
    }

    /// Lets a connection go on with what it holds in a later turn, in its place in the line.
    fn put_off(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        if !std::mem::replace(&mut conn.is_held_back, true) {
            self.held_back.push_back(key);
        }
    }

    /// A connection has nothing to go on with; its place in the line is cleared before the next are
    /// taken up.
    fn forget_held_back(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        self.has_forgotten |= std::mem::take(&mut conn.is_held_back);
    }

    /// Whether a request was left unread until earlier answers had left, which they have now.
    fn holds_request(&self, key: ConnKey) -> bool {
        let conn = &self.conns[key.index()];
        let has_tail = conn
            .inbox
            .as_ref()
            .is_some_and(|inbox| !inbox.tail.is_empty());
        conn.state == State::Head && has_tail && !conn.is_behind() && !conn.is_held_back
    }

    /// Counts what a connection holds, and ends it if that is too much.
    fn account(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        // An answer is owed: what comes in the meantime waits, but not without end.
        let waits = match conn.state {
            State::Poll(_) | State::Deciding(_) => true,
            State::Head => conn.is_behind(),
            _ => false,
        };
        let Some(inbox) = &mut conn.inbox else { return };
        let held = u32::try_from(inbox.held()).unwrap_or(u32::MAX);
        self.incoming_bytes += u64::from(held);
        self.incoming_bytes -= u64::from(inbox.counted);
        let has_grown = held > inbox.counted;
        inbox.counted = held;
        if waits && inbox.tail.len() > READ_BYTES {
            self.stats.refused_by_limit += 1;
            self.lose(key, Reason::TransportError);
        } else if has_grown && self.incoming_bytes > self.config.incoming_bytes_max {
            self.stats.refused_by_limit += 1;
            self.overloaded(key);
        }
    }
}

/// How much is read from a connection at once, and how much of one is kept while an answer is owed.
pub const READ_BYTES: usize = 64 * 1024;

/// Connections that had their share, and get another in one turn.
const TAKEN_UP_PER_TURN: usize = 4;

/// Frames of lost connections that are freed in one turn.
const FREED_PER_TURN: usize = 256;

/// Notes for whose room is kept; a broadcast brings one for each receiver.
const NOTES_KEPT: usize = 1024;

/// Output gathered for the connection being read; beyond it frames are queued.
const CORK_BYTES_KEPT: usize = 64 * 1024;

/// Shared frames up to this size are copied behind what is gathered already, to leave in one write.
const FRAME_BYTES_COPIED: usize = 4 * 1024;

/// Pieces handed to one write; Linux takes up to 1,024.
const SLICES_MAX: usize = 32;

/// How long a peer that was answered and shut out may still send.
const LINGER: Duration = Duration::from_secs(2);
