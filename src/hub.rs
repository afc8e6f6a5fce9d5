//! Socket.IO 5 on top of the engine: namespaces joined and left, packets in, operations applied,
//! broadcasts, acknowledgements.
//!
//! Not here: user code, I/O. It can be driven without the handler API: `handle_*` on
//! `engine_mut()`, events out by `poll_event`, operations in by `apply`. What always holds: an
//! event's payload is valid until the next `poll_event`; a socket's packets come between its
//! `Connected` and its `Disconnecting`; a client that breaks the protocol loses its session, and
//! nobody else notices.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    time::{Duration, Instant},
};

use slab::Slab;

use crate::{
    args::Args,
    codec::{
        json::{self, Bytes},
        sio::{self, EventName, Kind},
    },
    config::KeepHeaders,
    engine::{self, Engine, Span, Transport},
    handshake::Handshake,
    id::{AckKey, NamespaceKey, SessionKey, SocketId, SocketKey},
    namespace::{Presence, Roster, Selection},
    op::{Awaits, Op, Payload, Target},
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
    alarms: Slab<Alarm>,
    wheel: Wheel,
    fan_out: Option<FanOut>,
    scratch: Vec<u8>,
    volatile_dropped: u64,
}

/// What the hub tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
pub enum Event {
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
    /// A socket is about to leave; it is still in its rooms.
    Disconnecting { socket: SocketKey, reason: Reason },
    /// It has left; its key is free after `poll_dead`.
    Disconnected { socket: SocketKey, reason: Reason },
    /// What concerns the engine only: judgements, requests, application WebSockets.
    Engine(engine::Event),
}

/// Why an acknowledgement did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// Not in time.
    Timeout,
    /// The socket is gone. The official server never tells; emio tells at once.
    Disconnected,
    /// The socket owes too many already; the event was not sent.
    TooMany,
    /// The event could not be sent: its name is reserved, or its arguments are no JSON.
    NotSent,
    /// It came, and was not what the continuation takes.
    Mismatch,
}

impl std::fmt::Display for AckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AckError::Timeout => "operation has timed out",
            AckError::Disconnected => "socket has been disconnected",
            AckError::TooMany => "too many acknowledgements are awaited",
            AckError::NotSent => "the event could not be sent",
            AckError::Mismatch => "the acknowledgement has other arguments",
        })
    }
}

impl std::error::Error for AckError {}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is done, or there was nobody to do it for.
    Done,
    /// A broadcast has begun: call `fan_out` until it is done.
    FanOut,
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
    /// In the engine's input.
    Span(Span, Range<usize>),
    Held(Held),
}

#[derive(Debug)]
struct Awaited {
    socket: SocketKey,
    id: u64,
    alarm: u32,
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
}

/// A broadcast on its way: the frames, and how far it has come.
struct FanOut {
    frames: Vec<Frame>,
    selection: Selection,
    is_volatile: bool,
}

// Outside.
impl Hub {
    /// A hub with the namespace `/`.
    pub fn new(engine: Engine) -> Hub {
        let mut roster = Roster::default();
        roster.define("/");
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
            alarms: Slab::new(),
            wheel: Wheel::new(),
            fan_out: None,
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

    /// Makes a namespace known, so that clients can join it.
    pub fn define(&mut self, name: &str) -> NamespaceKey {
        self.roster.define(name)
    }

    /// Time has passed, for the engine and for what waits here.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        self.wheel.advance(self.engine.now_ms());
        while let Some(key) = self.wheel.expire(self.engine.now_ms()) {
            let alarm = self.alarms.remove(key as usize);
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
        loop {
            if let Some((socket, reason)) = self.leaving.take() {
                self.roster.leave_all(socket);
                let auth = self.auths.remove(&socket);
                self.engine.discharge(auth.map_or(0, |auth| auth.len()));
                self.gone.push(socket);
                return Some(Event::Disconnected { socket, reason });
            }
            if let Some(event) = self.events.pop_front() {
                match event {
                    Event::Disconnecting { socket, reason } => {
                        self.leaving = Some((socket, reason));
                    }
                    Event::Withdrawn { socket } => self.gone.push(socket),
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
        self.engine.poll_dead()
    }

    /// The event that was told last: its name and its arguments.
    pub fn packet(&self) -> Option<(EventName<'_>, Args<'_>)> {
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
            CurrentPacket::None => None,
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

// Packets in.
impl Hub {
    /// Takes one event of the engine. `None` if there is none; `Some(None)` if it concerned nobody.
    fn hear(&mut self) -> Option<Option<Event>> {
        let event = self.engine.poll_event()?;
        Some(match event {
            engine::Event::Opened { session } => {
                let index = session.index();
                if self.clients.len() <= index {
                    self.clients.resize_with(index + 1, Client::default);
                }
                self.clients[index] = Client::default();
                self.await_namespace(session);
                None
            }
            engine::Event::Message {
                session,
                is_binary: true,
                payload,
            } => self.hear_binary(session, &payload),
            engine::Event::Message {
                session,
                is_binary: false,
                payload,
            } => self.hear_text(session, payload),
            engine::Event::Closed { session, reason } => {
                self.drop_client(session, reason);
                None
            }
            engine::Event::Upgraded { .. } => None,
            other => Some(Event::Engine(other)),
        })
    }

    fn hear_text(&mut self, session: SessionKey, span: Span) -> Option<Event> {
        if self.clients[session.index()].partial.is_some() {
            return self.fault(session);
        }
        let attachments_max = self.engine.config.attachments_max;
        let name_bytes_max = self.engine.config.name_bytes_max as usize;
        let bytes = self.engine.bytes(&span);
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.fault(session);
        };
        let Ok(packet) = sio::parse(text, attachments_max) else {
            return self.fault(session);
        };
        if packet.namespace.len() > name_bytes_max {
            return self.fault(session);
        }
        let depth_max = self.engine.config.json_depth_max as usize;
        if !packet.json.is_empty() && json::check(packet.json, depth_max).is_err() {
            return self.fault(session);
        }
        let namespace = self.roster.namespace(packet.namespace);
        let socket = namespace.and_then(|namespace| self.socket_in(session, namespace));
        if packet.kind == Kind::Connect {
            let (name, auth) = (Box::from(packet.namespace), Box::from(packet.json));
            return self.hear_connect(session, namespace, socket, name, auth);
        }
        // A packet for a namespace that was not joined ends the session, as officially.
        let Some(socket) = socket else {
            return self.fault(session);
        };
        let is_event = matches!(packet.kind, Kind::Event | Kind::BinaryEvent);
        if is_event {
            let is_good = |name: EventName<'_>| name.as_str().len() <= name_bytes_max;
            if !sio::split_event(packet.json).is_ok_and(|(name, _)| is_good(name)) {
                return self.fault(session);
            }
        }
        match packet.kind {
            Kind::Connect | Kind::ConnectError => self.fault(session),
            Kind::Disconnect => {
                self.disconnect(socket, Reason::ClientNamespaceDisconnect);
                None
            }
            Kind::Event | Kind::BinaryEvent | Kind::Ack | Kind::BinaryAck => {
                let is_ack = !is_event;
                if is_ack && packet.id.is_none() {
                    return self.fault(session);
                }
                let is_joining =
                    self.joining.contains_key(&socket) && !self.roster.is_connected(socket);
                if packet.attachments == 0 && !is_joining {
                    let from = text.len() - packet.json_offset_from_end(text);
                    let json = from..from + packet.json.len();
                    let id = packet.id;
                    self.current = CurrentPacket::Span(span, json);
                    return self.deliver(socket, is_ack, id);
                }
                let (json, id) = (Box::from(packet.json), packet.id);
                let held = Held {
                    is_ack,
                    id,
                    json,
                    attachments: Vec::new(),
                };
                let missing = packet.attachments;
                self.hold(session, socket, held, missing)
            }
        }
    }

    /// Keeps a packet: until its attachments are here, or until its socket has joined.
    fn hold(
        &mut self,
        session: SessionKey,
        socket: SocketKey,
        held: Held,
        missing: u32,
    ) -> Option<Event> {
        if missing == 0 {
            return self.hold_for_join(session, socket, held);
        }
        let bytes = held.bytes();
        let fits = self.engine.charge(bytes);
        let Held { is_ack, id, .. } = held;
        let delay = millis(self.engine.config.body_timeout);
        let alarm = self.set_alarm(Alarm::Partial(session), delay);
        let partial = Partial {
            alarm,
            socket: Some(socket),
            is_ack,
            id,
            held,
            missing,
            bytes,
        };
        self.clients[session.index()].partial = Some(Box::new(partial));
        if fits { None } else { self.fault(session) }
    }

    fn hold_for_join(
        &mut self,
        session: SessionKey,
        socket: SocketKey,
        held: Held,
    ) -> Option<Event> {
        let bytes = held.bytes();
        let fits = self.engine.charge(bytes);
        let packets_max = self.engine.config.joining_packets_max as usize;
        let bytes_max = self.engine.config.max_payload as usize;
        let joining = self
            .joining
            .get_mut(&socket)
            .expect("the socket is joining");
        joining.bytes += bytes;
        joining.held.push(held);
        let is_full = joining.held.len() > packets_max || joining.bytes > bytes_max;
        if is_full || !fits {
            self.fault(session)
        } else {
            None
        }
    }

    fn hear_binary(&mut self, session: SessionKey, span: &Span) -> Option<Event> {
        let client = &mut self.clients[session.index()];
        let Some(partial) = &mut client.partial else {
            return self.fault(session);
        };
        let data = self.engine.bytes(span);
        let bytes = data.len();
        partial.held.attachments.push(Bytes::from(data));
        partial.missing -= 1;
        partial.bytes += bytes;
        let is_whole = partial.missing == 0;
        let total = partial.bytes - partial.held.json.len();
        let fits = self.engine.charge(bytes);
        if !fits || total > self.engine.config.attachment_bytes_max as usize {
            return self.fault(session);
        }
        if !is_whole {
            return None;
        }
        let partial = self.clients[session.index()].partial.take()?;
        self.engine.discharge(partial.bytes);
        self.clear_alarm(partial.alarm);
        let Partial {
            socket,
            is_ack,
            id,
            held,
            ..
        } = *partial;
        if json::check_placeholders(&held.json, held.attachments.len()).is_err() {
            return self.fault(session);
        }
        // The server may have disconnected it while its attachments were on their way.
        let socket = socket?;
        match self.roster.sockets[socket.index()].presence {
            Presence::Connected => {
                self.current = CurrentPacket::Held(held);
                self.deliver(socket, is_ack, id)
            }
            Presence::Joining => self.hold_for_join(session, socket, held),
            Presence::Leaving(_) | Presence::Gone => None,
        }
    }

    fn hear_held(&mut self, socket: SocketKey, held: Held) -> Option<Event> {
        let Held { is_ack, id, .. } = held;
        self.current = CurrentPacket::Held(held);
        self.deliver(socket, is_ack, id)
    }

    /// The packet is whole, checked and current.
    fn deliver(&mut self, socket: SocketKey, is_ack: bool, id: Option<u64>) -> Option<Event> {
        if !self.roster.is_connected(socket) {
            return None;
        }
        if !is_ack {
            return Some(Event::Packet { socket, ack: id });
        }
        // Unknown and late ids are ignored (spec 2.7.3).
        let ack = *self.ack_ids.get(&(socket, id?))?;
        self.forget_ack(ack);
        Some(Event::Acked { socket, ack })
    }

    fn hear_connect(
        &mut self,
        session: SessionKey,
        namespace: Option<NamespaceKey>,
        socket: Option<SocketKey>,
        name: Box<str>,
        auth: Box<str>,
    ) -> Option<Event> {
        if socket.is_some() {
            // Also while the first one is in middleware: the official server makes two sockets.
            return self.fault(session);
        }
        let Some(namespace) = namespace else {
            self.send_refusal(session, &name, "{\"message\":\"Invalid namespace\"}");
            return None;
        };
        let first = self.clients[session.index()].first;
        let count =
            std::iter::successors(first, |key| self.roster.sockets[key.index()].next).count();
        if count >= self.engine.config.namespaces_per_client_max as usize {
            self.send_refusal(session, &name, "{\"message\":\"Too many namespaces\"}");
            return None;
        }
        let secret = self.engine.fill_secret();
        let socket = self.roster.enter(secret, namespace, session, first);
        self.clients[session.index()].first = Some(socket);
        let delay = self.engine.config.decision_timeout;
        let alarm = self.set_alarm(Alarm::Join(socket), millis(delay));
        let fits = self.engine.charge(auth.len());
        let bytes = auth.len();
        self.joining.insert(
            socket,
            Joining {
                auth,
                held: Vec::new(),
                bytes,
                alarm,
            },
        );
        if !fits {
            return self.fault(session);
        }
        Some(Event::Connecting { socket })
    }

    fn socket_in(&self, session: SessionKey, namespace: NamespaceKey) -> Option<SocketKey> {
        let sockets = &self.roster.sockets;
        let first = self.clients[session.index()].first;
        // At most `namespaces_per_client_max` of them.
        std::iter::successors(first, |key| sockets[key.index()].next)
            .find(|key| sockets[key.index()].namespace == namespace)
    }

    /// The client broke the protocol: its session ends (spec 2.6.8, 2.6.10).
    fn fault(&mut self, session: SessionKey) -> Option<Event> {
        self.engine.stats.refused_by_fault += 1;
        self.force_close(session);
        None
    }

    fn force_close(&mut self, session: SessionKey) {
        let is_done = self.engine.close(session);
        let reason = if is_done {
            Reason::ForcedClose
        } else {
            Reason::ForcedServerClose
        };
        self.drop_client(session, reason);
    }
}

impl sio::Packet<'_> {
    /// How far the JSON begins from the text's end. The text behind it, if any, is white space.
    fn json_offset_from_end(&self, text: &str) -> usize {
        let from = self.json.as_ptr() as usize - text.as_ptr() as usize;
        text.len() - from
    }
}

impl Held {
    fn bytes(&self) -> usize {
        self.json.len()
            + self
                .attachments
                .iter()
                .map(|bytes| bytes.len())
                .sum::<usize>()
    }
}

// Joining and leaving.
impl Hub {
    /// Lets a socket in: it is told, and `Connected` follows.
    pub fn accept(&mut self, socket: SocketKey) {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return;
        };
        if member.presence != Presence::Joining {
            return;
        }
        let (session, namespace) = (member.session, member.namespace);
        self.roster.connect(socket);
        let client = &mut self.clients[session.index()];
        let alarm = std::mem::take(&mut client.alarm);
        self.clear_alarm(alarm);
        let joining = self
            .joining
            .get_mut(&socket)
            .expect("the socket was joining");
        let alarm = std::mem::take(&mut joining.alarm);
        let held = std::mem::take(&mut joining.held);
        self.clear_alarm(alarm);
        self.scratch.clear();
        let name = self.roster.namespace_name(namespace);
        sio::put_head(&mut self.scratch, Kind::Connect, 0, name, None);
        let id = self.roster.id(socket).text();
        self.engine
            .send_text(session, &[&self.scratch, b"{\"sid\":\"", &id, b"\"}"]);
        self.events.push_back(Event::Connected { socket });
        for held in held {
            self.joining
                .get_mut(&socket)
                .expect("it is still there")
                .bytes -= held.bytes();
            self.replays.push_back((socket, held));
        }
    }

    /// The application has been told of a socket: what only its arrival needed is given back.
    pub fn settle(&mut self, socket: SocketKey) {
        let Some(joining) = self.joining.remove(&socket) else {
            return;
        };
        let is_kept = self.engine.config.keep_headers != KeepHeaders::None;
        if is_kept && !joining.auth.is_empty() {
            // It stays counted until its socket has left.
            self.auths.insert(socket, joining.auth);
        } else {
            self.engine.discharge(joining.bytes);
        }
        let session = self.session(socket);
        self.engine.release_handshake(session);
    }

    /// Refuses a socket; `error` is the JSON object that the client gets. It leaves no trace.
    pub fn refuse(&mut self, socket: SocketKey, error: &str) {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return;
        };
        if member.presence != Presence::Joining {
            return;
        }
        let (session, namespace) = (member.session, member.namespace);
        let name = Box::from(self.roster.namespace_name(namespace));
        self.send_refusal(session, &name, error);
        self.disconnect(socket, Reason::ServerNamespaceDisconnect);
    }

    fn send_refusal(&mut self, session: SessionKey, namespace: &str, error: &str) {
        self.scratch.clear();
        sio::put_head(&mut self.scratch, Kind::ConnectError, 0, namespace, None);
        self.engine
            .send_text(session, &[&self.scratch, error.as_bytes()]);
    }

    /// Takes a socket from its client. A connected one is told to the application, in two steps.
    fn disconnect(&mut self, socket: SocketKey, reason: Reason) {
        let Some(member) = self.roster.sockets.get_mut(socket.index()) else {
            return;
        };
        let (session, presence) = (member.session, member.presence);
        let next = member.next.take();
        self.unlink(session, socket, next);
        let partial = self.clients[session.index()].partial.as_mut();
        if let Some(partial) = partial.filter(|partial| partial.socket == Some(socket)) {
            partial.socket = None;
        }
        if let Some(joining) = self.joining.remove(&socket) {
            self.engine.discharge(joining.bytes);
            self.clear_alarm(joining.alarm);
            if presence == Presence::Connected {
                self.engine.release_handshake(session);
            }
        }
        match presence {
            // The handshake stays: another CONNECT is to be judged by the same headers.
            Presence::Joining => {
                self.roster.leave_all(socket);
                self.fail_acks(socket);
                self.events.push_back(Event::Withdrawn { socket });
            }
            Presence::Connected => {
                self.roster.sockets[socket.index()].presence = Presence::Leaving(reason);
                self.fail_acks(socket);
                self.events
                    .push_back(Event::Disconnecting { socket, reason });
            }
            Presence::Leaving(_) | Presence::Gone => {}
        }
        if self.clients[session.index()].first.is_none() && self.engine.is_open(session) {
            self.await_namespace(session);
        }
    }

    fn unlink(&mut self, session: SessionKey, socket: SocketKey, next: Option<SocketKey>) {
        let client = &mut self.clients[session.index()];
        if client.first == Some(socket) {
            client.first = next;
            return;
        }
        let mut at = client.first;
        while let Some(key) = at {
            let member = &mut self.roster.sockets[key.index()];
            if member.next == Some(socket) {
                member.next = next;
                return;
            }
            at = member.next;
        }
    }

    /// The session is over, or about to be: all its sockets are.
    fn drop_client(&mut self, session: SessionKey, reason: Reason) {
        while let Some(socket) = self.clients[session.index()].first {
            self.disconnect(socket, reason);
        }
        let client = &mut self.clients[session.index()];
        let alarm = std::mem::take(&mut client.alarm);
        let partial = client.partial.take();
        self.clear_alarm(alarm);
        if let Some(partial) = partial {
            self.engine.discharge(partial.bytes);
            self.clear_alarm(partial.alarm);
        }
    }

    /// Ends everything: each socket learns that the server is shutting down, without a packet.
    pub fn shut_down(&mut self) {
        for index in 0..self.clients.len() {
            self.drop_client(SessionKey::new(index), Reason::ServerShuttingDown);
        }
        self.engine.shut_down();
    }
}

// Operations.
impl Hub {
    /// Does what was asked; spans are of `arena`. A broadcast is only begun (`fan_out`).
    pub fn apply(&mut self, op: Op, arena: &[u8]) -> Applied {
        match op {
            Op::Emit {
                to,
                payload,
                is_volatile,
                awaits,
            } => match to {
                Target::Socket(socket) => self.emit(socket, &payload, arena, is_volatile, awaits),
                to => self.begin_fan_out(to, &payload, arena, is_volatile),
            },
            Op::Reply { to, ack, payload } => {
                if let Some(socket) = self.resolve(to).filter(|key| self.is_connected(*key)) {
                    let kinds = (Kind::Ack, Kind::BinaryAck);
                    self.send_packet(socket, kinds, Some(ack), &payload, arena);
                }
                Applied::Done
            }
            Op::Join { socket, room } => {
                let rooms_max = self.engine.config.rooms_per_socket_max as usize;
                let name = text(arena, room);
                if name.len() > self.engine.config.name_bytes_max as usize {
                    return Applied::RoomName;
                }
                if self.roster.join(socket, name, rooms_max) {
                    Applied::Done
                } else {
                    Applied::RoomsFull
                }
            }
            Op::Leave { socket, room } => {
                self.roster.leave(socket, text(arena, room));
                Applied::Done
            }
            Op::Disconnect { socket, close } => {
                self.disconnect_by_server(socket, close);
                Applied::Done
            }
            Op::CloseSession { socket } => {
                if self.is_connected(socket) {
                    self.force_close(self.session(socket));
                }
                Applied::Done
            }
            Op::RawSend {
                conn,
                serial,
                is_binary,
                data,
            } => {
                self.engine.raw_send(conn, serial, is_binary, &arena[data]);
                Applied::Done
            }
            Op::RawClose { conn, serial, code } => {
                self.engine.raw_close(conn, serial, Some(code), "");
                Applied::Done
            }
        }
    }

    fn disconnect_by_server(&mut self, socket: SocketKey, close: bool) {
        if !self.is_connected(socket) {
            return;
        }
        let session = self.session(socket);
        if !close {
            self.send_disconnect(socket);
            return self.disconnect(socket, Reason::ServerNamespaceDisconnect);
        }
        let first = self.clients[session.index()].first;
        let sockets: Vec<_> =
            std::iter::successors(first, |key| self.roster.sockets[key.index()].next).collect();
        for socket in sockets {
            // One that has not joined has nothing to leave.
            if self.is_connected(socket) {
                self.send_disconnect(socket);
            }
        }
        self.engine.close(session);
        self.drop_client(session, Reason::ServerNamespaceDisconnect);
    }

    fn send_disconnect(&mut self, socket: SocketKey) {
        let name = self.roster.namespace_name(self.namespace(socket));
        self.scratch.clear();
        sio::put_head(&mut self.scratch, Kind::Disconnect, 0, name, None);
        self.engine
            .send_text(self.session(socket), &[&self.scratch]);
    }

    fn emit(
        &mut self,
        socket: SocketKey,
        payload: &Payload,
        arena: &[u8],
        is_volatile: bool,
        awaits: Option<Awaits>,
    ) -> Applied {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return Applied::Done;
        };
        let failed = |error| {
            if awaits.is_some() {
                Applied::Failed(error)
            } else {
                Applied::Done
            }
        };
        if matches!(member.presence, Presence::Leaving(_) | Presence::Gone) {
            return failed(AckError::Disconnected);
        }
        if is_volatile && !self.engine.is_writable(member.session) {
            self.volatile_dropped += 1;
            return Applied::Done;
        }
        let kinds = (Kind::Event, Kind::BinaryEvent);
        let Some(awaits) = awaits else {
            self.send_packet(socket, kinds, None, payload, arena);
            return Applied::Done;
        };
        if member.acks_count >= self.engine.config.pending_acks_max {
            return Applied::Failed(AckError::TooMany);
        }
        let id = self.roster.next_ack(self.namespace(socket));
        self.acks_made += 1;
        let ack = AckKey(self.acks_made);
        let alarm = self.set_alarm(Alarm::Ack(ack), awaits.timeout_ms);
        self.acks.insert(ack, Awaited { socket, id, alarm });
        self.ack_ids.insert((socket, id), ack);
        self.roster.sockets[socket.index()].acks_count += 1;
        self.send_packet(socket, kinds, Some(id), payload, arena);
        Applied::Awaiting(ack)
    }

    /// Sends a packet and its attachments, which nothing comes between.
    fn send_packet(
        &mut self,
        socket: SocketKey,
        kinds: (Kind, Kind),
        id: Option<u64>,
        payload: &Payload,
        arena: &[u8],
    ) {
        let session = self.session(socket);
        let attachments = &payload.attachments;
        let kind = if attachments.is_empty() {
            kinds.0
        } else {
            kinds.1
        };
        let name = self.roster.namespace_name(self.namespace(socket));
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, attachments.len(), name, id);
        self.engine
            .send_text(session, &[&self.scratch, &arena[payload.json.clone()]]);
        for attachment in attachments {
            self.engine.send_binary(session, attachment);
        }
    }

    fn begin_fan_out(
        &mut self,
        to: Target,
        payload: &Payload,
        arena: &[u8],
        is_volatile: bool,
    ) -> Applied {
        debug_assert!(
            self.fan_out.is_none(),
            "a broadcast ends before the next operation"
        );
        let (namespace, selection) = match to {
            Target::Socket(_) => return Applied::Done,
            Target::Namespace { namespace, except } => {
                (namespace, self.roster.select(namespace, &[], &[], except))
            }
            Target::Select(select) => {
                let namespace = select.namespace;
                let (rooms, except) = (&select.rooms, &select.except);
                (
                    namespace,
                    self.roster
                        .select(namespace, rooms, except, select.except_socket),
                )
            }
        };
        let attachments = &payload.attachments;
        let kind = if attachments.is_empty() {
            Kind::Event
        } else {
            Kind::BinaryEvent
        };
        let name = self.roster.namespace_name(namespace);
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, attachments.len(), name, None);
        let mut frames = Vec::with_capacity(1 + attachments.len());
        frames.push(
            self.engine
                .frame(false, &[&self.scratch, &arena[payload.json.clone()]]),
        );
        frames.extend(
            attachments
                .iter()
                .map(|bytes| self.engine.frame(true, &[bytes])),
        );
        self.fan_out = Some(FanOut {
            frames,
            selection,
            is_volatile,
        });
        Applied::FanOut
    }

    /// Queues the broadcast for some hundred more of its receivers; `false` when it is done. What
    /// was queued is to be written before the next call, so that the first do not wait for the
    /// last.
    pub fn fan_out(&mut self) -> bool {
        let Some(mut fan_out) = self.fan_out.take() else {
            return false;
        };
        for _ in 0..FAN_OUT_BATCH {
            let Some(socket) = self.roster.next(&mut fan_out.selection) else {
                return false;
            };
            let session = self.roster.sockets[socket.index()].session;
            if fan_out.is_volatile && !self.engine.is_writable(session) {
                self.volatile_dropped += 1;
                continue;
            }
            for frame in &fan_out.frames {
                self.engine.send_frame(session, frame);
            }
        }
        self.fan_out = Some(fan_out);
        true
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
            Alarm::Ack(ack) => {
                let awaited = self.acks.get_mut(&ack).expect("its alarm goes with it");
                awaited.alarm = 0;
                let socket = awaited.socket;
                self.forget_ack(ack);
                let error = AckError::Timeout;
                self.events
                    .push_back(Event::AckFailed { socket, ack, error });
            }
        }
    }

    fn set_alarm(&mut self, alarm: Alarm, delay_ms: u64) -> u32 {
        let key = u32::try_from(self.alarms.insert(alarm)).expect("keys are 32 bits");
        self.wheel
            .arm(key, self.engine.now_ms().saturating_add(delay_ms));
        key + 1
    }

    fn clear_alarm(&mut self, alarm: u32) {
        if alarm != 0 {
            self.wheel.cancel(alarm - 1);
            self.alarms.remove(alarm as usize - 1);
        }
    }

    fn forget_ack(&mut self, ack: AckKey) {
        let Some(Awaited { socket, id, alarm }) = self.acks.remove(&ack) else {
            return;
        };
        self.clear_alarm(alarm);
        self.ack_ids.remove(&(socket, id));
        self.roster.sockets[socket.index()].acks_count -= 1;
    }

    fn fail_acks(&mut self, socket: SocketKey) {
        while self.roster.sockets[socket.index()].acks_count > 0 {
            let mut own = self.ack_ids.range((socket, 0)..=(socket, u64::MAX));
            let (_, &ack) = own.next().expect("the socket counts what it owes");
            self.forget_ack(ack);
            let error = AckError::Disconnected;
            self.events
                .push_back(Event::AckFailed { socket, ack, error });
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
