//! Socket.IO 5 on top of the engine: namespaces joined and left, packets in, operations applied,
//! broadcasts, acknowledgements.
//!
//! Not here: user code, I/O. It can be driven without the handler API: `handle_*` on
//! `engine_mut()`, events out by `poll_event`, operations in by `apply`. What always holds: an
//! event's payload is valid until the next `poll_event`; a socket's packets come between its
//! `Connected` and its `Disconnecting`; a client that breaks the protocol loses its session, and
//! nobody else notices.

mod acks;
mod apply;
mod expiry;
mod packets;
mod presence;
mod recovery;
mod volatile;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    time::{Duration, Instant},
};

use slab::Slab;

pub use self::acks::{AckError, Gathered};
use self::{
    acks::{Asked, Awaited},
    expiry::Expiry,
    recovery::Ledger,
};
use crate::{
    args::Args,
    codec::{
        json::Bytes,
        sio::{self, EventName},
    },
    engine::{self, Engine, Span, Transport},
    handshake::Handshake,
    id::{AckKey, NamespaceKey, SessionKey, SocketId, SocketKey},
    namespace::{RoomChange, Roster, Selection},
    op::Target,
    parser::Parser,
    queue::Frame,
    reason::Reason,
    stats::Stats,
    timer::Wheel,
};

/// The engine, the namespaces, and what is between them.
pub struct Hub {
    engine: Engine,
    roster: Roster,
    /// By session.
    clients: Vec<Client>,
    events: VecDeque<Event>,
    /// The socket whose `Disconnecting` was taken: it leaves its rooms before anything else.
    leaving: Option<(SocketKey, Reason)>,
    gone: Vec<SocketKey>,
    joining: HashMap<SocketKey, Joining>,
    /// CONNECT payloads that the configuration keeps.
    auths: HashMap<SocketKey, Box<str>>,
    replays: VecDeque<(SocketKey, Held)>,
    current: CurrentPacket,
    acks: HashMap<AckKey, Awaited>,
    acks_made: u64,
    /// Which acknowledgement a client's answer means. Ordered, so that one socket's are together.
    ack_ids: BTreeMap<(SocketKey, u64), AckKey>,
    /// Sockets whose time ends.
    expiries: HashMap<SocketKey, Expiry>,
    /// What each is for, and when, because the wheel may go off early.
    alarms: Slab<(Alarm, u64)>,
    wheel: Wheel,
    fan_out: Option<FanOut>,
    /// A CONNECT to a namespace that does not exist, until it is admitted or refused.
    asked: Option<Asked>,
    /// Whether somebody wants to be asked about such namespaces.
    is_asking: bool,
    parser: Option<Box<dyn Parser>>,
    recovery: Option<Box<Ledger>>,
    scratch: Vec<u8>,
    volatile_dropped: u64,
}

/// What the hub tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
pub enum Event {
    /// A client asks to join a namespace that does not exist: `asked` tells which, `admit` makes
    /// it. If nobody does, the client is refused.
    Unknown { session: SessionKey },
    /// A client asks to join; answered by `accept` or `refuse`.
    Connecting { socket: SocketKey },
    /// It has joined, and has been told.
    Connected { socket: SocketKey },
    /// It has not joined, and will not: it was refused, or its client went before the decision.
    Withdrawn { socket: SocketKey },
    /// An event of this socket; `packet` reads it. `ack` is to be answered by `Op::Reply`.
    Packet { socket: SocketKey, ack: Option<u64> },
    /// The answer to an event of ours; `answer` reads it.
    Acked { socket: SocketKey, ack: AckKey },
    /// There will be no answer.
    AckFailed {
        socket: SocketKey,
        ack: AckKey,
        error: AckError,
    },
    /// Everyone whom a broadcast asked has answered, or will not; `gathered` has the answers.
    Gathered { ack: AckKey },
    /// Something happened to a room (`tell_rooms`).
    Room(RoomChange),
    /// The socket's client has moved from polling to its WebSocket.
    Upgraded { socket: SocketKey },
    /// What had to wait for the socket's client has left.
    Drained { socket: SocketKey },
    /// The socket's time is nearly over.
    Expiring { socket: SocketKey },
    /// A socket that had left will not come back: its time to do so is over.
    Expired { socket: SocketId },
    /// A socket is about to leave; it is still in its rooms.
    Disconnecting { socket: SocketKey, reason: Reason },
    /// It has left; its key is free after `poll_dead`.
    Disconnected { socket: SocketKey, reason: Reason },
    /// What concerns the engine only: judgements, requests, application WebSockets.
    Engine(engine::Event),
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is done, or there was nobody to do it for.
    Done,
    /// The event was not sent: it was volatile, or too much.
    Dropped,
    /// A broadcast has begun: call `fan_out` until it is done. The acknowledgements of everyone
    /// are awaited under this key.
    FanOut(Option<AckKey>),
    /// This acknowledgement is awaited.
    Awaiting(AckKey),
    /// The acknowledgement that was to be awaited will not come.
    Failed(AckError),
    /// The socket is in too many rooms.
    RoomsFull,
    /// The room's name is too long.
    RoomName,
}

/// A session as Socket.IO sees it.
#[derive(Debug, Default)]
struct Client {
    /// The first of its sockets; each names the next.
    first: Option<SocketKey>,
    /// One more than its alarm's key; 0 is none.
    alarm: u32,
    partial: Option<Box<Partial>>,
}

const _: () = assert!(size_of::<Client>() <= 16, "an idle client must stay small");

/// A packet whose attachments have not all come.
#[derive(Debug)]
struct Partial {
    /// `None` once the socket was disconnected: its key may be another's by now.
    socket: Option<SocketKey>,
    is_ack: bool,
    id: Option<u64>,
    held: Held,
    missing: u32,
    bytes: usize,
    alarm: u32,
}

/// A packet that waits.
#[derive(Debug)]
struct Held {
    is_ack: bool,
    id: Option<u64>,
    json: Box<str>,
    attachments: Vec<Bytes>,
}

/// A socket whose middleware has not decided.
#[derive(Debug)]
struct Joining {
    auth: Box<str>,
    held: Vec<Held>,
    bytes: usize,
    alarm: u32,
}

#[derive(Debug)]
enum CurrentPacket {
    None,
    /// In the engine's input: an acknowledgement, or an event whose name has to be unescaped.
    Span(Span, Range<usize>),
    /// The same, an event whose name and arguments lie here.
    Event {
        span: Span,
        name: Range<usize>,
        elements: Range<usize>,
    },
    Held(Held),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
enum Alarm {
    /// The client has no namespace.
    Connect(SessionKey),
    /// The attachments of a packet have not all come.
    Partial(SessionKey),
    /// The middleware has not decided.
    Join(SocketKey),
    Ack(AckKey),
    /// The socket's credentials are about to expire, or have.
    Expiry(SocketKey),
    /// Somebody who might have come back has not.
    Kept,
}

/// A broadcast on its way: the frames, and how far it has come.
struct FanOut {
    frames: Vec<Frame>,
    selection: Selection,
    is_volatile: bool,
    /// What its receivers are to answer.
    ack: Option<AckKey>,
    /// Its number in the log.
    number: Option<u64>,
}

// Outside.
impl Hub {
    /// A hub with the namespace `/`.
    pub fn new(mut engine: Engine) -> Hub {
        let recovery = engine.config.recovery.clone().map(|config| {
            let [a, b, c, d, ..] = engine.fill_secret();
            Box::new(Ledger::new(config, [a, b, c, d]))
        });
        let mut roster = Roster::default();
        roster.define("/", 0);
        Hub {
            engine,
            roster,
            clients: Vec::new(),
            events: VecDeque::new(),
            leaving: None,
            gone: Vec::new(),
            joining: HashMap::new(),
            auths: HashMap::new(),
            replays: VecDeque::new(),
            current: CurrentPacket::None,
            acks: HashMap::new(),
            acks_made: 0,
            ack_ids: BTreeMap::new(),
            expiries: HashMap::new(),
            alarms: Slab::new(),
            wheel: Wheel::new(),
            fan_out: None,
            asked: None,
            is_asking: false,
            parser: None,
            recovery,
            scratch: Vec::new(),
            volatile_dropped: 0,
        }
    }

    /// The engine, for its inputs and outputs.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The engine, to ask it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes a namespace known, so that clients can join it. The tag is for the caller to find its
    /// handlers by; a namespace that is known keeps the one it has.
    pub fn define(&mut self, name: &str, tag: u32) -> NamespaceKey {
        self.roster.define(name, tag)
    }

    /// From now on a CONNECT to a namespace that does not exist is `Unknown` first.
    pub fn ask_about_unknown(&mut self) {
        self.is_asking = true;
    }

    /// From now on `Room` events tell what happens to rooms.
    pub fn tell_rooms(&mut self) {
        self.roster.tell_rooms();
    }

    /// Packets are read and written by this parser from now on, instead of as JSON text.
    pub fn set_parser(&mut self, parser: Box<dyn Parser>) {
        self.parser = Some(parser);
    }

    /// The namespace that the last `Unknown` was about, and the request of its client.
    pub fn asked(&self) -> Option<(&str, Handshake<'_>)> {
        let asked = self.asked.as_ref()?;
        let handshake = self.engine.handshake_with(asked.session, &asked.auth);
        Some((&asked.name, handshake))
    }

    /// Makes the namespace that was asked about, with this tag; its client's `Connecting` follows.
    /// `None` if there are too many already, or nobody asked any more: the client is refused.
    pub fn admit(&mut self, tag: u32) -> Option<NamespaceKey> {
        let is_full =
            self.roster.dynamic_count() >= self.engine.config.dynamic_namespaces_max as usize;
        let asked = self.asked.take()?;
        if is_full || !self.may_join(asked.session) {
            self.engine.stats.refused_by_limit += 1;
            let message = "{\"message\":\"Too many namespaces\"}";
            self.send_refusal(asked.session, &asked.name, message);
            return None;
        }
        let namespace = self.roster.define_dynamic(&asked.name, tag);
        let event = self.enter(asked.session, namespace, asked.name, asked.auth);
        self.events.extend(event);
        Some(namespace)
    }

    /// The tag that a namespace was made with.
    pub fn tag(&self, namespace: NamespaceKey) -> u32 {
        self.roster.tag(namespace)
    }

    /// Tells a namespace from those that had its key before it.
    pub fn generation(&self, namespace: NamespaceKey) -> u32 {
        self.roster.generation(namespace)
    }

    /// All namespaces, in no order that matters.
    pub fn namespaces(&self) -> impl Iterator<Item = NamespaceKey> {
        self.roster.all()
    }

    /// The names of a namespace's rooms, those that ids name left out.
    pub fn room_names(&self, namespace: NamespaceKey) -> impl Iterator<Item = &str> {
        self.roster.room_names(namespace)
    }

    /// The namespaces that have this tag.
    pub fn tagged(&self, tag: u32) -> impl Iterator<Item = NamespaceKey> {
        self.roster.tagged(tag)
    }

    /// Time has passed, for the engine and for what waits here.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        self.wheel.advance(self.engine.now_ms());
        while let Some(key) = self.wheel.expire(self.engine.now_ms()) {
            let (alarm, deadline_ms) = self.alarms[key as usize];
            if deadline_ms > self.engine.now_ms() {
                self.wheel.arm(key, deadline_ms);
                continue;
            }
            self.alarms.remove(key as usize);
            self.alarmed(alarm);
        }
    }

    /// When `handle_timeout` is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let alarm = self.wheel.next_deadline();
        let alarm = alarm.map(|ms| self.engine.epoch() + Duration::from_millis(ms));
        [self.engine.next_deadline(), alarm]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.current = CurrentPacket::None;
        self.refuse_unknown();
        loop {
            if let Some((socket, reason)) = self.leaving.take() {
                self.keep(socket, Some(reason));
                self.roster.leave_all(socket);
                let auth = self.auths.remove(&socket);
                self.engine.discharge(auth.map_or(0, |auth| auth.len()));
                // What happened to its rooms comes first (spec 2.6.16).
                self.events
                    .push_front(Event::Disconnected { socket, reason });
                for change in self.roster.take_changes().into_iter().rev() {
                    self.events.push_front(Event::Room(change));
                }
            }
            let changes = self.roster.take_changes();
            self.events.extend(changes.into_iter().map(Event::Room));
            if let Some(event) = self.events.pop_front() {
                match event {
                    Event::Disconnecting { socket, reason } => {
                        self.leaving = Some((socket, reason));
                    }
                    Event::Disconnected { socket, .. } | Event::Withdrawn { socket } => {
                        self.gone.push(socket);
                    }
                    _ => {}
                }
                return Some(event);
            }
            if let Some((socket, held)) = self.replays.pop_front() {
                self.engine.discharge(held.bytes());
                if !self.roster.is_connected(socket) {
                    continue;
                }
                match self.hear_held(socket, held) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            if let Some(takeover) = self.next_takeover() {
                if let Some(event) = self.join_in(takeover) {
                    return Some(event);
                }
                continue;
            }
            if let Some(event) = self.hear()? {
                return Some(event);
            }
        }
    }

    /// A connection that is over. Also frees the sockets that have left.
    pub fn poll_dead(&mut self) -> Option<crate::id::ConnKey> {
        while let Some(socket) = self.gone.pop() {
            self.roster.remove(socket);
        }
        let cleans = self.engine.config.cleanup_empty_namespaces;
        self.roster.forget_emptied(cleans);
        self.engine.poll_dead()
    }

    fn refuse_unknown(&mut self) {
        if let Some(asked) = self.asked.take() {
            let message = "{\"message\":\"Invalid namespace\"}";
            self.send_refusal(asked.session, &asked.name, message);
        }
    }

    /// The event that was told last: its name and its arguments.
    pub fn packet(&self) -> Option<(EventName<'_>, Args<'_>)> {
        if let CurrentPacket::Event {
            span,
            name,
            elements,
        } = &self.current
        {
            let text = std::str::from_utf8(self.engine.bytes(span)).ok()?;
            let args = Args::new(&text[elements.clone()], &[]);
            return Some((EventName::Borrowed(&text[name.clone()]), args));
        }
        let (json, attachments) = self.current_json()?;
        let (name, elements) = sio::split_event(json).ok()?;
        Some((name, Args::new(elements, attachments)))
    }

    /// The arguments of the acknowledgement that was told last.
    pub fn answer(&self) -> Option<Args<'_>> {
        let (json, attachments) = self.current_json()?;
        Some(Args::new(sio::split_ack(json), attachments))
    }

    fn current_json(&self) -> Option<(&str, &[Bytes])> {
        match &self.current {
            CurrentPacket::None | CurrentPacket::Event { .. } => None,
            CurrentPacket::Held(held) => Some((&held.json, &held.attachments)),
            CurrentPacket::Span(span, json) => {
                let bytes = &self.engine.bytes(span)[json.clone()];
                Some((std::str::from_utf8(bytes).ok()?, &[]))
            }
        }
    }

    /// Counters and gauges as they are now.
    pub fn stats(&self) -> Stats {
        Stats {
            sockets: self.roster.sockets.len() as u64,
            rooms: self.roster.rooms_count() as u64,
            volatile_dropped: self.volatile_dropped,
            ..self.engine.stats()
        }
    }
}

// What is asked about sockets.
impl Hub {
    /// The one door from an id to a socket.
    pub fn resolve(&self, id: SocketId) -> Option<SocketKey> {
        self.roster.resolve(id)
    }

    /// The public id of a socket.
    pub fn id(&self, socket: SocketKey) -> SocketId {
        self.roster.id(socket)
    }

    /// Whether a socket has joined and has not begun to leave.
    pub fn is_connected(&self, socket: SocketKey) -> bool {
        self.roster.is_connected(socket)
    }

    /// The rooms of a socket, without its own.
    pub fn rooms(&self, socket: SocketKey) -> impl Iterator<Item = &str> {
        self.roster.rooms(socket)
    }

    /// The session that carries a socket.
    pub fn session(&self, socket: SocketKey) -> SessionKey {
        self.roster.sockets[socket.index()].session
    }

    /// The namespace that a socket is in.
    pub fn namespace(&self, socket: SocketKey) -> NamespaceKey {
        self.roster.sockets[socket.index()].namespace
    }

    /// The namespace of this name.
    pub fn namespace_key(&self, name: &str) -> Option<NamespaceKey> {
        self.roster.namespace(name)
    }

    /// A namespace's name.
    pub fn namespace_name(&self, key: NamespaceKey) -> &str {
        self.roster.namespace_name(key)
    }

    /// The connected sockets that are meant; each once.
    pub fn selected(&self, to: &Target) -> Vec<SocketKey> {
        match to {
            Target::Socket(socket) if self.is_connected(*socket) => vec![*socket],
            Target::Socket(_) => Vec::new(),
            Target::Namespace { namespace, except } => {
                self.roster.selected(*namespace, &[], &[], *except)
            }
            Target::Select(select) => {
                let (rooms, except) = (&select.rooms, &select.except);
                self.roster
                    .selected(select.namespace, rooms, except, select.except_socket)
            }
        }
    }

    /// Connected sockets of a namespace.
    pub fn members(&self, key: NamespaceKey) -> &[SocketKey] {
        self.roster.members(key)
    }

    /// The transport that carries the socket; polling once its session is gone.
    pub fn transport(&self, socket: SocketKey) -> Transport {
        let session = self.session(socket);
        if self.engine.is_open(session) {
            self.engine.transport(session)
        } else {
            Transport::Polling
        }
    }

    /// The request that opened the socket's session, with the payload of its CONNECT packet.
    pub fn handshake(&self, socket: SocketKey) -> Handshake<'_> {
        let auth = match self.joining.get(&socket) {
            Some(joining) => &joining.auth,
            None => self.auths.get(&socket).map_or("", |auth| auth),
        };
        self.engine.handshake_with(self.session(socket), auth)
    }
}

// Deadlines.
impl Hub {
    /// From now on the client has `connect_timeout` to join a namespace.
    fn await_namespace(&mut self, session: SessionKey) {
        if self.clients[session.index()].alarm == 0 {
            let delay = millis(self.engine.config.connect_timeout);
            self.clients[session.index()].alarm = self.set_alarm(Alarm::Connect(session), delay);
        }
    }

    fn alarmed(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Connect(session) => {
                self.clients[session.index()].alarm = 0;
                self.engine.stats.timeouts += 1;
                self.force_close(session);
            }
            Alarm::Partial(session) => {
                if let Some(partial) = &mut self.clients[session.index()].partial {
                    partial.alarm = 0;
                }
                self.engine.stats.timeouts += 1;
                self.force_close(session);
            }
            Alarm::Join(socket) => {
                self.engine.stats.timeouts += 1;
                if let Some(joining) = self.joining.get_mut(&socket) {
                    joining.alarm = 0;
                    self.refuse(socket, "{\"message\":\"No decision in time\"}");
                }
            }
            Alarm::Ack(ack) => self.ack_expired(ack),
            Alarm::Expiry(socket) => self.expired(socket),
            Alarm::Kept => self.kept_alarmed(),
        }
    }

    fn set_alarm(&mut self, alarm: Alarm, delay_ms: u64) -> u32 {
        let deadline_ms = self.engine.now_ms().saturating_add(delay_ms);
        let key = self.alarms.insert((alarm, deadline_ms));
        let key = u32::try_from(key).expect("keys are 32 bits");
        self.wheel.arm(key, deadline_ms);
        key + 1
    }

    fn clear_alarm(&mut self, alarm: u32) {
        if alarm != 0 {
            self.wheel.cancel(alarm - 1);
            self.alarms.remove(alarm as usize - 1);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

fn text(arena: &[u8], range: Range<usize>) -> &str {
    std::str::from_utf8(&arena[range]).expect("names are recorded from strings")
}

/// Receivers of a broadcast that are queued before the first of them are written to.
const FAN_OUT_BATCH: usize = 128;
