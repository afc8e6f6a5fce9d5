//! Packets in: heard, checked, held while something is missing, and delivered.

use std::ops::Range;

use super::{
    Alarm, Client, CurrentPacket, Event, Held, Hub, Joining, Partial, acks::Asked, millis,
    recovery::Takeover,
};
use crate::{
    codec::{
        json::{self, Bytes},
        sio::{self, EventName, Kind},
    },
    engine::{self, Span},
    id::{NamespaceKey, SessionKey, SocketKey},
    namespace::Presence,
    parser::{OwnedPacket, PacketKind},
    reason::Reason,
};

// Packets in.
impl Hub {
    /// Takes one event of the engine. `None` if there is none; `Some(None)` if it concerned nobody.
    pub(super) fn hear(&mut self) -> Option<Option<Event>> {
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
                session, payload, ..
            } if self.parser.is_some() => self.hear_parsed(session, false, &payload),
            engine::Event::Message {
                session,
                is_binary: false,
                payload,
            } => self.hear_text(session, payload),
            engine::Event::Closed { session, reason } => {
                self.drop_client(session, reason);
                None
            }
            engine::Event::Upgraded { session } => {
                self.tell_client(session, |socket| Event::Upgraded { socket });
                None
            }
            engine::Event::Drained { session } => {
                self.tell_client(session, |socket| Event::Drained { socket });
                None
            }
            other => Some(Event::Engine(other)),
        })
    }

    /// Tells something of each connected socket of a client.
    fn tell_client(&mut self, session: SessionKey, event: impl Fn(SocketKey) -> Event) {
        let mut next = self.clients[session.index()].first;
        while let Some(socket) = next {
            let member = &self.roster.sockets[socket.index()];
            next = member.next;
            if member.presence == Presence::Connected {
                self.events.push_back(event(socket));
            }
        }
    }

    pub(super) fn hear_text(&mut self, session: SessionKey, span: Span) -> Option<Event> {
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
        let mut event = None;
        if is_event {
            match sio::split_event(packet.json) {
                Ok((name, _)) if name.len() > name_bytes_max => return self.fault(session),
                Ok((EventName::Borrowed(name), elements)) => {
                    event = Some((place(name, text), place(elements, text)));
                }
                Ok((EventName::Unescaped(_), _)) => {}
                Err(_) => return self.fault(session),
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
                    let (json, id) = (place(packet.json, text), packet.id);
                    self.current = match event {
                        Some((name, elements)) => CurrentPacket::Event {
                            span,
                            name,
                            elements,
                        },
                        None => CurrentPacket::Span(span, json),
                    };
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
    pub(super) fn hold(
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

    pub(super) fn hold_for_join(
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

    pub(super) fn hear_binary(&mut self, session: SessionKey, span: &Span) -> Option<Event> {
        if self.parser.is_some() {
            return self.hear_parsed(session, true, span);
        }
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

    pub(super) fn hear_held(&mut self, socket: SocketKey, held: Held) -> Option<Event> {
        let Held { is_ack, id, .. } = held;
        self.current = CurrentPacket::Held(held);
        self.deliver(socket, is_ack, id)
    }

    /// The packet is whole, checked and current.
    pub(super) fn deliver(
        &mut self,
        socket: SocketKey,
        is_ack: bool,
        id: Option<u64>,
    ) -> Option<Event> {
        if !self.roster.is_connected(socket) {
            return None;
        }
        if !is_ack {
            return Some(Event::Packet { socket, ack: id });
        }
        // Unknown and late ids are ignored (spec 2.7.3).
        let id = id?;
        let ack = *self.ack_ids.get(&(socket, id))?;
        self.answered(socket, id, ack)
    }

    pub(super) fn hear_connect(
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
            self.asked = Some(Asked {
                session,
                name,
                auth,
            });
            if self.is_asking {
                return Some(Event::Unknown { session });
            }
            self.refuse_unknown();
            return None;
        };
        self.join_in(Takeover {
            session,
            namespace,
            name,
            auth,
        })
    }

    /// A client asks to join a namespace that exists. If it comes back while its old connection
    /// seems to be there, that is ended first.
    pub(super) fn join_in(&mut self, connect: Takeover) -> Option<Event> {
        if self.recovery.is_some() && self.takes_over(&connect) {
            self.wait_for_takeover(connect);
            return None;
        }
        let Takeover {
            session,
            namespace,
            name,
            auth,
        } = connect;
        // It may have had to wait.
        if !self.engine.is_open(session) {
            return None;
        }
        self.enter(session, namespace, name, auth)
    }

    /// A client is joining a namespace that exists.
    pub(super) fn enter(
        &mut self,
        session: SessionKey,
        namespace: NamespaceKey,
        name: Box<str>,
        auth: Box<str>,
    ) -> Option<Event> {
        if !self.may_join(session) {
            self.send_refusal(session, &name, "{\"message\":\"Too many namespaces\"}");
            return None;
        }
        let fits = self.engine.charge(auth.len());
        if !fits {
            self.engine.discharge(auth.len());
            return self.fault(session);
        }
        let first = self.clients[session.index()].first;
        let secret = self.engine.fill_secret();
        let socket = self.roster.enter(secret, namespace, session, first);
        self.clients[session.index()].first = Some(socket);
        self.meet(socket, &auth);
        let delay = self.engine.config.decision_timeout;
        let alarm = self.set_alarm(Alarm::Join(socket), millis(delay));
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
        Some(Event::Connecting { socket })
    }

    /// Whether a client may join one more namespace.
    pub(super) fn may_join(&self, session: SessionKey) -> bool {
        let first = self.clients[session.index()].first;
        let sockets = std::iter::successors(first, |key| self.roster.sockets[key.index()].next);
        sockets.count() < self.engine.config.namespaces_per_client_max as usize
    }

    pub(super) fn socket_in(
        &self,
        session: SessionKey,
        namespace: NamespaceKey,
    ) -> Option<SocketKey> {
        let sockets = &self.roster.sockets;
        let first = self.clients[session.index()].first;
        // At most `namespaces_per_client_max` of them.
        std::iter::successors(first, |key| sockets[key.index()].next)
            .find(|key| sockets[key.index()].namespace == namespace)
    }

    /// The client broke the protocol: its session ends (spec 2.6.8, 2.6.10).
    pub(super) fn fault(&mut self, session: SessionKey) -> Option<Event> {
        self.engine.stats.refused_by_fault += 1;
        self.force_close(session);
        None
    }

    pub(super) fn force_close(&mut self, session: SessionKey) {
        let is_done = self.engine.close(session);
        let reason = if is_done {
            Reason::ForcedClose
        } else {
            Reason::ForcedServerClose
        };
        self.drop_client(session, reason);
    }
}

// Packets in, by a parser that was set.
impl Hub {
    fn hear_parsed(&mut self, session: SessionKey, is_binary: bool, span: &Span) -> Option<Event> {
        let message = self.engine.bytes(span);
        let parser = self.parser.as_mut().expect("there is a parser");
        let Ok(packet) = parser.decode(message, is_binary) else {
            return self.fault(session);
        };
        if !self.is_acceptable(&packet) {
            return self.fault(session);
        }
        let OwnedPacket {
            kind,
            namespace,
            id,
            json,
            attachments,
        } = packet;
        let known = self.roster.namespace(&namespace);
        let socket = known.and_then(|namespace| self.socket_in(session, namespace));
        if kind == PacketKind::Connect {
            return self.hear_connect(session, known, socket, namespace.into(), json.into());
        }
        let Some(socket) = socket else {
            return self.fault(session);
        };
        if kind == PacketKind::Disconnect {
            self.disconnect(socket, Reason::ClientNamespaceDisconnect);
            return None;
        }
        let held = Held {
            is_ack: kind == PacketKind::Ack,
            id,
            json: json.into(),
            attachments,
        };
        match self.roster.sockets[socket.index()].presence {
            Presence::Joining => self.hold_for_join(session, socket, held),
            _ => self.hear_held(socket, held),
        }
    }

    /// Whether a packet that a parser has read is one that a client may send.
    fn is_acceptable(&self, packet: &OwnedPacket) -> bool {
        let config = &self.engine.config;
        let (names, depth) = (
            config.name_bytes_max as usize,
            config.json_depth_max as usize,
        );
        let attachments = packet.attachments.len();
        let is_json = packet.json.is_empty() || json::check(&packet.json, depth).is_ok();
        if !packet.namespace.starts_with('/') || packet.namespace.len() > names || !is_json {
            return false;
        }
        if attachments > config.attachments_max as usize
            || json::check_placeholders(&packet.json, attachments).is_err()
        {
            return false;
        }
        match packet.kind {
            PacketKind::Connect => packet.json.is_empty() || packet.json.starts_with('{'),
            PacketKind::Disconnect => packet.json.is_empty(),
            PacketKind::Event => {
                sio::split_event(&packet.json).is_ok_and(|(name, _)| name.len() <= names)
            }
            PacketKind::Ack => packet.id.is_some() && packet.json.starts_with('['),
            PacketKind::ConnectError => false,
        }
    }
}

/// Where `part`, which was cut from `text`, lies in it.
fn place(part: &str, text: &str) -> Range<usize> {
    // An empty part may lie anywhere.
    if part.is_empty() {
        return 0..0;
    }
    let from = part.as_ptr() as usize - text.as_ptr() as usize;
    from..from + part.len()
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.json.len()
            + self
                .attachments
                .iter()
                .map(|bytes| bytes.len())
                .sum::<usize>()
    }
}
