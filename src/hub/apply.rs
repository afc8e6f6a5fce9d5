//! Operations applied: events to one or to many, answers, rooms, disconnects.

use super::{AckError, Alarm, Applied, Awaited, FAN_OUT_BATCH, FanOut, Hub, text};
use crate::{
    codec::sio::{self, Kind},
    id::{AckKey, SocketKey},
    namespace::Presence,
    op::{Awaits, Op, Payload, Target},
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
        let name = self.roster.namespace_name(self.namespace(socket));
        self.scratch.clear();
        sio::put_head(&mut self.scratch, Kind::Disconnect, 0, name, None);
        self.engine
            .send_text(self.session(socket), &[&self.scratch]);
    }

    pub(super) fn emit(
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
