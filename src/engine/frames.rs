//! WebSocket frames in: for a session, for one that is being upgraded, and for applications.

use std::ops::Range;

use super::{
    Current, Engine, Event, Look, PacketKind, Place, SessionEvent, Span, lifecycle::ms,
    polling::Batch, refusals::Status,
};
use crate::{
    codec::{
        eio::{self, Packet},
        ws::{self, Input as Heard, Parsed},
    },
    conn::{State, Switch},
    id::{ConnKey, SessionKey},
    reason::Reason,
    session::{Carrier, Input, Step},
};

impl Engine {
    /// A WebSocket was opened for a session that polls.
    pub(super) fn probe(&mut self, key: ConnKey, session: SessionKey, switch: &Switch) {
        if !self.is_open(session) {
            return self.refuse(key, Status::UnknownSid, true);
        }
        let step = self.sessions[session.index()].step(Input::Probe(key));
        self.switch(key, switch, State::Ws(session));
        match step {
            Step::Ok => self.arm_conn(key, self.config.upgrade_timeout),
            // One upgrade at a time, and only one ever: this WebSocket is closed (spec 2.3.4).
            _ => self.close_websocket(key, None, ""),
        }
    }

    /// The next frame.
    pub(super) fn look_at_frame(&mut self, current: &mut Current) -> Look {
        let key = current.conn;
        let message_bytes_max = u64::from(self.config.max_payload);
        let conn = &mut self.conns[key.index()];
        let mut fragments = conn.inbox.as_mut().and_then(|inbox| inbox.fragments.take());
        let had_fragments = fragments.is_some();
        let start = current.start;
        // The next frame's text starts anew.
        let mut text_checked = std::mem::take(&mut current.text_checked);
        let bytes = current.bytes_mut(&mut self.input.shared);
        let allowance = ws::allowance(&fragments, message_bytes_max);
        let heard = match ws::parse(bytes, allowance) {
            Ok(Parsed::Need(need)) => {
                match ws::await_rest(bytes, need, &fragments, &mut text_checked) {
                    Ok(need) => {
                        if fragments.is_some() {
                            conn.inbox_mut().fragments = fragments;
                        }
                        (current.need, current.text_checked) = (need, text_checked);
                        return Look::Pause;
                    }
                    Err(fault) => Err(fault),
                }
            }
            Ok(Parsed::Frame(mut frame)) => {
                frame.text_checked = text_checked;
                let end = frame.payload.end;
                let heard = ws::accept(frame, bytes, &mut fragments, message_bytes_max);
                current.start += end;
                heard
            }
            Err(fault) => Err(fault),
        };
        let has_fragments = fragments.is_some();
        let mut is_late = false;
        if has_fragments {
            let inbox = conn.inbox_mut();
            if !had_fragments {
                inbox.fragments_since_ms = self.now_ms;
            }
            let waited = self.now_ms - inbox.fragments_since_ms;
            is_late = waited > ms(self.config.body_timeout);
            inbox.fragments = fragments;
        }
        conn.reply.is_pinged = false;
        if has_fragments || conn.inbox.is_some() {
            self.account(key);
        }
        match heard {
            // One that answers pings between its fragments must not keep what it has sent for ever.
            Ok(_) if is_late => self.ws_refuse(key, 1008),
            Ok(heard) => self.hear(current, heard, start),
            Err(fault) => self.ws_refuse(key, fault.close_code()),
        }
    }

    fn hear(&mut self, current: &mut Current, heard: Heard, start: usize) -> Look {
        let key = current.conn;
        let (is_binary, payload) = match heard {
            Heard::Partial | Heard::Pong => return Look::Again,
            Heard::Ping(range) => {
                let data = start + range.start..start + range.end;
                self.pong(current, data);
                return Look::Again;
            }
            Heard::Close(code) => {
                // Nothing follows a close frame (§5.5.1), so there is nothing to wait for.
                let is_last = current.len() == 0 && !self.conns[key.index()].has_more;
                self.peer_closed(key, code);
                self.conns[key.index()].is_eof |= is_last;
                return Look::Again;
            }
            Heard::Message { binary, payload } => (binary, payload),
        };
        let payload = match payload {
            ws::Payload::Whole(range) => Span {
                place: Place::Input,
                range: start + range.start..start + range.end,
            },
            ws::Payload::Assembled(message) => {
                self.input.message = message;
                Span {
                    place: Place::Message,
                    range: 0..self.input.message.len(),
                }
            }
        };
        match self.conns[key.index()].state {
            State::Ws(session) => self.hear_packet(current, session, is_binary, payload),
            State::RawWs(serial) => {
                self.stats.messages_in += 1;
                Look::Event(Event::RawMessage {
                    conn: key,
                    serial,
                    is_binary,
                    payload,
                })
            }
            // Ours is sent; only the peer's close frame matters now.
            _ => Look::Again,
        }
    }

    /// One message is one packet (spec 2.2.3).
    fn hear_packet(
        &mut self,
        current: &mut Current,
        session: SessionKey,
        is_binary: bool,
        payload: Span,
    ) -> Look {
        let key = current.conn;
        let Some(state) = self.sessions.get_mut(session.index()) else {
            return Look::Again;
        };
        if let Carrier::Probing { .. } | Carrier::Closing { .. } = state.carrier {
            return self.hear_probe(current, session, is_binary, &payload);
        }
        if is_binary {
            self.stats.messages_in += 1;
            self.note_packet(session, PacketKind::Message);
            return Look::Event(Event::Message {
                session,
                is_binary,
                payload,
            });
        }
        let base = payload.range.start;
        let text = match payload.place {
            Place::Message => &self.input.message[..],
            _ => &current.input(&self.input.shared)[payload.range.clone()],
        };
        let kind = PacketKind::of(text);
        match eio::parse(text) {
            Ok(Packet::Message(data)) => {
                self.stats.messages_in += 1;
                self.note_packet(session, kind);
                let range = base + data.start..base + data.end;
                let payload = Span { range, ..payload };
                Look::Event(Event::Message {
                    session,
                    is_binary: false,
                    payload,
                })
            }
            Ok(Packet::Binary(data)) => {
                self.input.scratch.clear();
                if eio::decode_binary(&text[data], &mut self.input.scratch).is_err() {
                    return self.packet_fault(session, Reason::ParseError);
                }
                self.stats.messages_in += 1;
                self.note_packet(session, kind);
                let payload = Span {
                    place: Place::Scratch,
                    range: 0..self.input.scratch.len(),
                };
                Look::Event(Event::Message {
                    session,
                    is_binary: true,
                    payload,
                })
            }
            Ok(Packet::Pong) => {
                state.ponged();
                self.note_packet(session, kind);
                self.note(session, SessionEvent::Heartbeat);
                Look::Again
            }
            // The official server ignores it and waits for the heartbeat; the client said it
            // leaves.
            Ok(Packet::Close) => {
                self.note_packet(session, kind);
                self.end_session(session, Reason::TransportClose, b"1");
                self.end_after_close(key);
                Look::Again
            }
            Ok(Packet::Ping(_)) => {
                self.note_packet(session, kind);
                self.packet_fault(session, Reason::TransportError)
            }
            Ok(Packet::Upgrade | Packet::Idle) => {
                self.note_packet(session, kind);
                Look::Again
            }
            Err(_) => self.packet_fault(session, Reason::ParseError),
        }
    }

    fn packet_fault(&mut self, session: SessionKey, reason: Reason) -> Look {
        self.stats.refused_by_fault += 1;
        self.end_session(session, reason, b"1");
        Look::Again
    }

    /// A message on a WebSocket that is tried. Engine.IO protocol, "Upgrade".
    fn hear_probe(
        &mut self,
        current: &mut Current,
        session: SessionKey,
        is_binary: bool,
        payload: &Span,
    ) -> Look {
        let key = current.conn;
        let text = match payload.place {
            Place::Message => &self.input.message[..],
            _ => &current.input(&self.input.shared)[payload.range.clone()],
        };
        let input = match text {
            b"2probe" if !is_binary => Input::Probed(key),
            b"5" if !is_binary => Input::Upgrade(key),
            _ => return self.drop_probe(key, session),
        };
        match self.sessions[session.index()].step(input) {
            Step::Release(get) => {
                self.output(key, &mut |out| {
                    ws::put_head(out, ws::Opcode::Text, 6);
                    out.extend_from_slice(b"3probe");
                });
                if let Some(get) = get {
                    self.release(get, session);
                }
                self.note(session, SessionEvent::Upgrading);
                Look::Again
            }
            Step::Upgraded { get } => {
                self.disarm_conn(key);
                if let Some(get) = get {
                    self.answer_packets(get, &Batch::noop());
                }
                let state = &mut self.sessions[session.index()];
                state.is_dirty = false;
                let mut queue = std::mem::take(&mut state.queue);
                while let Some(frame) = queue.pop() {
                    self.output_message(key, &frame);
                }
                self.send_latest(session);
                self.stats.sessions_upgraded += 1;
                self.note(session, SessionEvent::Upgraded);
                Look::Event(Event::Upgraded { session })
            }
            // The server closed the session meanwhile: what waits, then the close frame.
            Step::Goodbye => {
                let mut queue = std::mem::take(&mut self.sessions[session.index()].queue);
                while let Some(frame) = queue.pop() {
                    self.output_message(key, &frame);
                }
                self.end_session(session, Reason::ForcedClose, b"1");
                Look::Again
            }
            Step::Drop => self.drop_probe(key, session),
            _ => Look::Again,
        }
    }

    /// Lets a parked GET go, so that the client can stop polling: with what waits, or a noop.
    fn release(&mut self, get: ConnKey, session: SessionKey) {
        let state = &mut self.sessions[session.index()];
        state.is_dirty = false;
        let mut queue = std::mem::take(&mut state.queue);
        let packets_max = self.config.packets_per_answer_max as usize;
        let mut batch = self.take_packets(&mut queue, packets_max);
        self.sessions[session.index()].queue = queue;
        if batch.is_empty() {
            batch = Batch::noop();
        }
        self.answer_packets(get, &batch);
    }

    /// Anything but the probe and the upgrade: this WebSocket is closed, the session polls on.
    fn drop_probe(&mut self, key: ConnKey, session: SessionKey) -> Look {
        self.stats.refused_by_fault += 1;
        self.close_websocket(key, None, "");
        self.lost(session, key, Reason::TransportError);
        Look::Again
    }

    /// The peer broke RFC 6455: it is told with the code, and nothing more is read.
    fn ws_refuse(&mut self, key: ConnKey, code: u16) -> Look {
        self.stats.refused_by_fault += 1;
        let state = self.conns[key.index()].state;
        self.close_websocket(key, Some(code), "");
        self.end_after_close(key);
        if let State::Ws(session) = state {
            self.lost(session, key, Reason::TransportError);
        }
        Look::Again
    }

    /// The peer's close frame: answered in kind, unless it is the answer to ours. RFC 6455 §5.5.1.
    fn peer_closed(&mut self, key: ConnKey, code: Option<u16>) {
        let state = self.conns[key.index()].state;
        match state {
            State::Ws(session) => {
                self.close_websocket(key, code, "");
                self.end_after_close(key);
                self.lost(session, key, Reason::TransportClose);
            }
            State::RawWs(_) => {
                self.close_websocket(key, code, "");
                self.end_after_close(key);
            }
            _ => self.end_after_close(key),
        }
    }

    /// Both close frames are on their way: the server ends the connection first (§7.1.1).
    fn end_after_close(&mut self, key: ConnKey) {
        if self.conns[key.index()].is_websocket() {
            self.end_conn(key);
        }
    }

    fn pong(&mut self, current: &Current, data: Range<usize>) {
        let key = current.conn;
        if self.conns[key.index()].state == State::WsClosing {
            return;
        }
        let conn = &mut self.conns[key.index()];
        if !conn.is_writable {
            conn.inbox_mut().pong = Some(current.input(&self.input.shared)[data].into());
            return;
        }
        // An answer that waits for room in vain now is to an older ping.
        if let Some(inbox) = &mut conn.inbox {
            inbox.pong = None;
        }
        let mut bytes = [0; 125];
        let len = data.len();
        bytes[..len].copy_from_slice(&current.input(&self.input.shared)[data]);
        self.output(key, &mut |out| {
            ws::put_head(out, ws::Opcode::Pong, len);
            out.extend_from_slice(&bytes[..len]);
        });
    }
}

// What a peer that did not read is still owed.
impl Engine {
    /// The answer to its last ping.
    pub(super) fn send_late_pong(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        let pong = conn.inbox.as_mut().and_then(|inbox| inbox.pong.take());
        if conn.inbox.as_ref().is_some_and(|inbox| inbox.is_empty()) {
            self.drop_inbox(key);
        }
        if let Some(data) = pong.filter(|_| self.conns[key.index()].is_websocket()) {
            self.output(key, &mut |out| {
                ws::put_head(out, ws::Opcode::Pong, data.len());
                out.extend_from_slice(&data);
            });
        }
    }
}

// An application's own WebSockets.
impl Engine {
    /// Sends a message over an application's WebSocket. A stale serial changes nothing.
    pub fn raw_send(&mut self, key: ConnKey, serial: u32, is_binary: bool, data: &[u8]) {
        if !self.is_raw(key, serial) || !self.admit_raw(key) {
            return;
        }
        self.stats.messages_out += 1;
        let opcode = if is_binary {
            ws::Opcode::Binary
        } else {
            ws::Opcode::Text
        };
        self.output(key, &mut |out| {
            ws::put_head(out, opcode, data.len());
            out.extend_from_slice(data);
        });
        self.end_event();
    }

    /// Closes an application's WebSocket with this code.
    pub fn raw_close(&mut self, key: ConnKey, serial: u32, code: Option<u16>, reason: &str) {
        if self.is_raw(key, serial) {
            self.close_websocket(key, code, reason);
        }
    }

    /// Whether this WebSocket is open.
    pub fn is_raw(&self, key: ConnKey, serial: u32) -> bool {
        self.conns
            .get(key.index())
            .is_some_and(|conn| conn.state == State::RawWs(serial))
    }
}

impl Current {
    /// The whole input, which spans are relative to.
    pub(super) fn input<'a>(&'a self, shared: &'a [u8]) -> &'a [u8] {
        match &self.kept {
            Some(kept) => kept,
            None => shared,
        }
    }
}
