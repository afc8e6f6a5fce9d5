//! HTTP long-polling: payloads of POSTs in, one packet at a time, and parked GETs answered.

use super::{Current, Engine, Event, Look, Place, Span, requests::Status};
use crate::{
    codec::eio::{self, Packet},
    conn::State,
    id::{ConnKey, SessionKey},
    queue::Queue,
    reason::Reason,
    response::Body,
    session::{Carrier, Input, Step},
};

// In.
impl Engine {
    /// The next packet of a POST. Engine.IO protocol, "HTTP long-polling".
    pub(super) fn look_at_payload(&mut self, current: &mut Current, session: SessionKey) -> Look {
        let key = current.conn;
        let payload = current
            .payload
            .as_mut()
            .expect("a POST is handled with its payload");
        let Some(from) = payload.next else {
            current.payload = None;
            return self.posted(key, session);
        };
        if !self.is_open(session) {
            payload.next = None;
            return Look::Again;
        }
        let input = match &current.kept {
            Some(kept) => &kept[..payload.end],
            None => &self.input.shared[..payload.end],
        };
        let (range, next) = eio::split(input, from);
        payload.next = next;
        payload.packets_count += 1;
        if payload.packets_count > self.config.packets_per_payload_max {
            self.stats.refused_by_limit += 1;
            return self.post_fault(current, session);
        }
        let text = &input[range.clone()];
        let Ok(packet) = eio::parse(text) else {
            return self.post_fault(current, session);
        };
        match packet {
            Packet::Message(data) if std::str::from_utf8(&text[data.clone()]).is_ok() => {
                let range = range.start + data.start..range.start + data.end;
                self.stats.messages_in += 1;
                let payload = Span {
                    place: Place::Input,
                    range,
                };
                Look::Event(Event::Message {
                    session,
                    is_binary: false,
                    payload,
                })
            }
            Packet::Binary(data) => {
                self.input.scratch.clear();
                if eio::decode_binary(&text[data], &mut self.input.scratch).is_err() {
                    return self.post_fault(current, session);
                }
                self.stats.messages_in += 1;
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
            Packet::Message(_) => self.post_fault(current, session),
            Packet::Pong => {
                self.sessions[session.index()].ponged();
                Look::Again
            }
            // The parked GET gets a noop, later ones find no session (spec 2.1.9).
            Packet::Close => {
                self.end_session(session, Reason::TransportClose, b"6");
                Look::Again
            }
            // Only servers ping in Engine.IO 4.
            Packet::Ping(_) => {
                self.stats.refused_by_fault += 1;
                self.end_session(session, Reason::TransportError, b"1");
                Look::Again
            }
            Packet::Upgrade | Packet::Idle => Look::Again,
        }
    }

    /// A packet that is none: those before it have been handled (spec 2.1.2), this POST is refused.
    fn post_fault(&mut self, current: &mut Current, session: SessionKey) -> Look {
        self.stats.refused_by_fault += 1;
        current.payload = None;
        self.respond_empty(current.conn, 400);
        self.end_session(session, Reason::ParseError, b"1");
        Look::Again
    }

    fn posted(&mut self, key: ConnKey, session: SessionKey) -> Look {
        if let Some(state) = self.sessions.get_mut(session.index()) {
            state.step(Input::Posted(key));
        }
        let headers = [("Content-Type", "text/html")];
        self.put_response(key, 200, &headers, Body::Static(b"ok"));
        Look::Again
    }
}

// Out.
impl Engine {
    /// A GET of a session: answered with what waits, or parked.
    pub(super) fn poll(&mut self, key: ConnKey, session: SessionKey) {
        match self.sessions[session.index()].step(Input::Get(key)) {
            Step::Park => {
                self.conns[key.index()].state = State::Poll(session);
                if self.sessions[session.index()].queue.is_empty() {
                    self.send_latest(session);
                }
                let state = &self.sessions[session.index()];
                let is_probed = matches!(state.carrier, Carrier::Probing { probed: true, .. });
                if is_probed || !state.queue.is_empty() {
                    self.ask_for_answer(session);
                }
            }
            Step::Overlap => {
                // The second GET is refused, and the first one hears that the session is over.
                self.respond_empty(key, 400);
                self.end_session(session, Reason::TransportError, b"1");
            }
            Step::Goodbye => self.say_goodbye(key, session),
            _ => self.refuse(key, Status::BadRequest, false),
        }
    }

    /// What was queued when the server closed the session; when that is gone, the close packet
    /// (spec 2.1.10).
    pub(super) fn say_goodbye(&mut self, key: ConnKey, session: SessionKey) {
        let mut queue = std::mem::take(&mut self.sessions[session.index()].queue);
        let body = self.take_packets(&mut queue, self.packets_per_answer());
        self.sessions[session.index()].queue = queue;
        if !body.is_empty() {
            return self.answer_packets(key, &body);
        }
        self.answer_packets(key, &[b'6', eio::SEPARATOR, b'1']);
        self.end_session(session, Reason::ForcedClose, b"1");
    }

    /// Answers a session's parked GET with what waits for it; a noop if that is nothing.
    pub(super) fn answer(&mut self, session: SessionKey) {
        let Some(state) = self.sessions.get_mut(session.index()) else {
            return;
        };
        if !std::mem::take(&mut state.is_dirty) {
            return;
        }
        let Some(get) = state.parked() else { return };
        let mut queue = std::mem::take(&mut state.queue);
        state.step(Input::Answered);
        let mut body = self.take_packets(&mut queue, self.packets_per_answer());
        let state = &mut self.sessions[session.index()];
        let has_drained = queue.is_empty() && std::mem::take(&mut state.is_backlogged);
        state.queue = queue;
        if has_drained && self.tells_drained {
            self.events.push_back(Event::Drained { session });
        }
        if body.is_empty() {
            body.push(b'6');
        }
        self.answer_packets(get, &body);
    }

    /// Answers a GET with a payload.
    pub(super) fn answer_packets(&mut self, key: ConnKey, payload: &[u8]) {
        let is_msie = self.conns[key.index()].reply.is_msie;
        let headers = [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Cache-Control", "no-store"),
            ("X-XSS-Protection", "0"),
        ];
        let headers = if is_msie { &headers[..] } else { &headers[..2] };
        self.put_response_head(key, 200, headers, Some(payload.len()));
        self.output(key, &mut |out| out.extend_from_slice(payload));
        self.answered(key);
    }

    /// The payload made of the first packets of `queue`, binary ones in base64.
    pub(super) fn take_packets(&self, queue: &mut Queue, packets_max: usize) -> Vec<u8> {
        let mut payload = Vec::new();
        for _ in 0..packets_max {
            let Some(frame) = queue.pop() else { break };
            if !payload.is_empty() {
                payload.push(eio::SEPARATOR);
            }
            if frame.is_binary() {
                eio::put_binary(&mut payload, frame.payload());
            } else {
                payload.extend_from_slice(frame.payload());
            }
        }
        payload
    }

    fn packets_per_answer(&self) -> usize {
        (self.config.packets_per_answer_max as usize).max(2)
    }
}
