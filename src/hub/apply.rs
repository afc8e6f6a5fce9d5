//! Operations applied: events to one or to many, answers, rooms, disconnects.

use super::{AckError, Applied, FAN_OUT_BATCH, FanOut, Hub, text};
use crate::{
    codec::{
        json::Bytes,
        sio::{self, Kind},
    },
    id::{NamespaceKey, SessionKey, SocketKey},
    namespace::Presence,
    op::{Awaits, Flags, Op, Payload, Target},
    parser::Packet,
    queue::Frame,
    reason::Reason,
};

// Operations.
impl Hub {
    /// Does what was asked; spans are of `arena`. A broadcast is only begun (`fan_out`).
    pub fn apply(&mut self, op: Op, arena: &[u8]) -> Applied {
        match op {
            Op::Emit {
                to,
                payload,
                flags,
                awaits,
            } => match to {
                Target::Socket(socket) => self.emit(socket, &payload, arena, flags, awaits),
                to => self.begin_fan_out(to, &payload, arena, flags, awaits),
            },
            Op::Reply { to, ack, payload } => {
                if let Some(socket) = self.resolve(to).filter(|key| self.is_connected(*key)) {
                    let kinds = (Kind::Ack, Kind::BinaryAck);
                    self.send_packet(socket, kinds, Some(ack), &payload, arena);
                }
                Applied::Done
            }
            Op::Join { socket, room } => self.join(&[socket], text(arena, room)),
            Op::JoinAll { to, room } => {
                let sockets = self.selected(&to);
                self.join(&sockets, text(arena, room))
            }
            Op::Leave { socket, room } => {
                self.roster.leave(socket, text(arena, room));
                Applied::Done
            }
            Op::LeaveAll { to, room } => {
                for socket in self.selected(&to) {
                    self.roster.leave(socket, text(arena, room.clone()));
                }
                Applied::Done
            }
            Op::DisconnectAll { to, close } => {
                for socket in self.selected(&to) {
                    self.disconnect_by_server(socket, close);
                }
                Applied::Done
            }
            Op::Expire { socket, after } => {
                self.set_expiry(socket, after);
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

    /// Puts sockets into a room, those that may.
    fn join(&mut self, sockets: &[SocketKey], name: &str) -> Applied {
        let rooms_max = self.engine.config.rooms_per_socket_max as usize;
        if name.len() > self.engine.config.name_bytes_max as usize {
            return Applied::RoomName;
        }
        let mut applied = Applied::Done;
        for socket in sockets {
            if !self.roster.join(*socket, name, rooms_max) {
                applied = Applied::RoomsFull;
            }
        }
        applied
    }

    pub(super) fn disconnect_by_server(&mut self, socket: SocketKey, close: bool) {
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

    pub(super) fn send_disconnect(&mut self, socket: SocketKey) {
        let session = self.session(socket);
        let namespace = self.namespace(socket);
        self.send_plain(session, Kind::Disconnect, namespace, &[]);
    }

    pub(super) fn emit(
        &mut self,
        socket: SocketKey,
        payload: &Payload,
        arena: &[u8],
        flags: Flags,
        awaits: Option<Awaits>,
    ) -> Applied {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return Applied::Done;
        };
        let failed = |error| {
            if awaits.is_some() {
                Applied::Failed(error)
            } else {
                Applied::Dropped
            }
        };
        if matches!(member.presence, Presence::Leaving(_) | Presence::Gone) {
            return failed(AckError::Disconnected);
        }
        let session = member.session;
        if flags.is_volatile && !self.engine.is_writable(session) {
            // Nobody knows when one that waits is sent, if ever: too long for an answer.
            if awaits.is_some() {
                self.volatile_dropped += 1;
                return failed(AckError::NotSent);
            }
            self.miss(socket, payload, arena);
            return Applied::Dropped;
        }
        if awaits.is_some() && self.owes_much(socket) {
            return Applied::Failed(AckError::TooMany);
        }
        if !self.engine.admit(session) {
            return failed(AckError::NotSent);
        }
        let Some(awaits) = awaits else {
            self.send_event(socket, payload, arena, flags);
            self.engine.end_event();
            return Applied::Done;
        };
        let (ack, id) = self.await_one(socket, awaits.timeout_ms);
        self.send_plain_event(socket, Some(id), payload, arena, flags);
        self.engine.end_event();
        Applied::Awaiting(ack)
    }

    /// Sends an event to one socket, with its offset where events have one.
    fn send_event(&mut self, socket: SocketKey, payload: &Payload, arena: &[u8], flags: Flags) {
        let json = &arena[payload.json.clone()];
        // What middleware says is not replayed: the socket has not joined, and would hear it twice.
        let is_joining = self.roster.sockets[socket.index()].presence == Presence::Joining;
        let is_volatile = flags.is_volatile || flags.is_unlogged || is_joining;
        let Some((number, json)) = self.with_offset(json, is_volatile, false) else {
            return self.send_plain_event(socket, None, payload, arena, flags);
        };
        let (session, namespace) = (self.session(socket), self.namespace(socket));
        let attachments = &payload.attachments;
        let frames = self.flagged_frames(namespace, &json, attachments, None, flags);
        if let Some(number) = number {
            self.log(namespace, &Target::Socket(socket), &frames);
            if let Some(ledger) = &mut self.recovery {
                ledger.sent(socket, number);
            }
        }
        for frame in &frames {
            self.engine.send_frame(session, frame);
        }
    }

    /// Sends an event to one socket, without an offset.
    fn send_plain_event(
        &mut self,
        socket: SocketKey,
        id: Option<u64>,
        payload: &Payload,
        arena: &[u8],
        flags: Flags,
    ) {
        if !flags.is_incompressible {
            let kinds = (Kind::Event, Kind::BinaryEvent);
            return self.send_packet(socket, kinds, id, payload, arena);
        }
        // Only a frame can say so.
        let (session, namespace) = (self.session(socket), self.namespace(socket));
        let (json, attachments) = (&arena[payload.json.clone()], &payload.attachments);
        for frame in self.flagged_frames(namespace, json, attachments, id, flags) {
            self.engine.send_frame(session, &frame);
        }
    }

    /// The same as `event_frames`, with what their sender says of them.
    fn flagged_frames(
        &mut self,
        namespace: NamespaceKey,
        json: &[u8],
        attachments: &[Bytes],
        id: Option<u64>,
        flags: Flags,
    ) -> Vec<Frame> {
        let frames = self.event_frames(namespace, json, attachments, id);
        if !flags.is_incompressible {
            return frames;
        }
        frames.into_iter().map(Frame::incompressible).collect()
    }

    /// An event and its attachments, to be shared.
    pub(super) fn event_frames(
        &mut self,
        namespace: NamespaceKey,
        json: &[u8],
        attachments: &[Bytes],
        id: Option<u64>,
    ) -> Vec<Frame> {
        let kind = if attachments.is_empty() {
            Kind::Event
        } else {
            Kind::BinaryEvent
        };
        let name = self.roster.namespace_name(namespace);
        if self.parser.is_some() {
            let name = name.to_owned();
            return self.parsed(kind, &name, id, json, attachments);
        }
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, attachments.len(), name, id);
        let head = self.engine.frame(false, &[&self.scratch, json]);
        let parts = attachments.iter();
        let parts = parts.map(|bytes| self.engine.frame(true, &[bytes]));
        std::iter::once(head).chain(parts).collect()
    }

    /// Sends a packet that belongs to no event: CONNECT, DISCONNECT, CONNECT_ERROR.
    pub(super) fn send_plain(
        &mut self,
        session: SessionKey,
        kind: Kind,
        namespace: NamespaceKey,
        json: &[&[u8]],
    ) {
        let name = self.roster.namespace_name(namespace);
        if self.parser.is_some() {
            let name = name.to_owned();
            return self.send_parsed(session, kind, &name, None, &json.concat(), &[]);
        }
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, 0, name, None);
        for part in json {
            self.scratch.extend_from_slice(part);
        }
        self.engine.send_text(session, &[&self.scratch]);
    }

    /// Sends a packet by the parser that was set.
    pub(super) fn send_parsed(
        &mut self,
        session: SessionKey,
        kind: Kind,
        namespace: &str,
        id: Option<u64>,
        json: &[u8],
        attachments: &[Bytes],
    ) {
        for frame in self.parsed(kind, namespace, id, json, attachments) {
            self.engine.send_frame(session, &frame);
        }
    }

    /// A packet as the parser writes it.
    fn parsed(
        &mut self,
        kind: Kind,
        namespace: &str,
        id: Option<u64>,
        json: &[u8],
        attachments: &[Bytes],
    ) -> Vec<Frame> {
        let Some(parser) = &mut self.parser else {
            return Vec::new();
        };
        let packet = Packet {
            kind: kind.into(),
            namespace,
            id,
            json: std::str::from_utf8(json).expect("JSON is written as UTF-8"),
            attachments,
        };
        let mut frames = Vec::new();
        let engine = &self.engine;
        parser.encode(&packet, &mut |is_binary, bytes| {
            frames.push(engine.frame(is_binary, &[bytes]));
        });
        frames
    }

    /// Sends a packet and its attachments, which nothing comes between.
    pub(super) fn send_packet(
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
        if self.parser.is_some() {
            let (name, json) = (name.to_owned(), &arena[payload.json.clone()]);
            return self.send_parsed(session, kind, &name, id, json, attachments);
        }
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, attachments.len(), name, id);
        self.engine
            .send_text(session, &[&self.scratch, &arena[payload.json.clone()]]);
        for attachment in attachments {
            self.engine.send_binary(session, attachment);
        }
    }

    pub(super) fn begin_fan_out(
        &mut self,
        to: Target,
        payload: &Payload,
        arena: &[u8],
        flags: Flags,
        awaits: Option<Awaits>,
    ) -> Applied {
        debug_assert!(
            self.fan_out.is_none(),
            "a broadcast ends before the next operation"
        );
        let (namespace, selection) = match &to {
            Target::Socket(_) => return Applied::Done,
            Target::Namespace { namespace, except } => {
                let selection = self.roster.select(*namespace, &[], &[], *except);
                (*namespace, selection)
            }
            Target::Select(select) => {
                let (rooms, except) = (&select.rooms, &select.except);
                let (namespace, except_socket) = (select.namespace, select.except_socket);
                let selection = self.roster.select(namespace, rooms, except, except_socket);
                (namespace, selection)
            }
        };
        let awaited = awaits.map(|awaits| self.await_all(namespace, awaits.timeout_ms));
        let (ack, id) = awaited.unzip();
        let json = &arena[payload.json.clone()];
        let is_unlogged = flags.is_volatile || flags.is_unlogged;
        let logged = self.with_offset(json, is_unlogged, id.is_some());
        let (number, json) = match &logged {
            Some((number, json)) => (*number, &json[..]),
            None => (None, json),
        };
        let frames = self.flagged_frames(namespace, json, &payload.attachments, id, flags);
        if number.is_some() {
            self.log(namespace, &to, &frames);
        }
        self.fan_out = Some(FanOut {
            frames,
            selection,
            is_volatile: flags.is_volatile,
            ack,
            number,
        });
        Applied::FanOut(ack)
    }

    /// Queues the broadcast for some hundred more of its receivers; `false` when it is done. What
    /// was queued is to be written before the next call, so that the first do not wait for the
    /// last. Receivers are added to `receivers`, if somebody wants to know them.
    pub fn fan_out(&mut self, mut receivers: Option<&mut Vec<SocketKey>>) -> bool {
        let Some(mut fan_out) = self.fan_out.take() else {
            return false;
        };
        for _ in 0..FAN_OUT_BATCH {
            let Some(socket) = self.roster.next(&mut fan_out.selection) else {
                if let Some(ack) = fan_out.ack {
                    self.asked_all(ack);
                }
                return false;
            };
            let session = self.roster.sockets[socket.index()].session;
            if fan_out.is_volatile && !self.engine.is_writable(session) {
                self.miss_frames(socket, &fan_out.frames);
                continue;
            }
            if !self.engine.admit(session) {
                continue;
            }
            if fan_out.ack.is_some_and(|ack| !self.ask(ack, socket)) {
                self.engine.end_event();
                continue;
            }
            if let Some(receivers) = &mut receivers {
                receivers.push(socket);
            }
            if let (Some(number), Some(ledger)) = (fan_out.number, &mut self.recovery) {
                ledger.sent(socket, number);
            }
            for frame in &fan_out.frames {
                self.engine.send_frame(session, frame);
            }
            self.engine.end_event();
        }
        self.fan_out = Some(fan_out);
        true
    }
}
