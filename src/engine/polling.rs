//! HTTP long-polling: payloads of POSTs in, one packet at a time, and parked GETs answered.

use super::{
    BadRequest, Current, Engine, Event, Look, PacketKind, Place, SessionEvent, Span, Transport,
    refusals::Status,
};
use crate::{
    codec::eio::{self, Packet},
    conn::State,
    id::{ConnKey, SessionKey},
    queue::{Frame, Queue},
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
        // It may have been put off to another turn; the session may have ended meanwhile, and its
        // slot may be somebody else's.
        if !self.is_posting(session, key) {
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
            return self.end_post(current, session);
        }
        let text = &input[range.clone()];
        let Ok(packet) = eio::parse(text) else {
            return self.post_fault(current, session);
        };
        let kind = PacketKind::of(text);
        match packet {
            Packet::Message(data) if std::str::from_utf8(&text[data.clone()]).is_ok() => {
                let range = range.start + data.start..range.start + data.end;
                self.stats.messages_in += 1;
                self.note_packet(session, kind);
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
            Packet::Message(_) => self.post_fault(current, session),
            Packet::Pong => {
                self.note_packet(session, kind);
                self.note(session, SessionEvent::Heartbeat);
                self.sessions[session.index()].ponged();
                Look::Again
            }
            // The parked GET gets a noop, later ones find no session (spec 2.1.9).
            Packet::Close => {
                self.note_packet(session, kind);
                self.end_session(session, Reason::TransportClose, b"6");
                Look::Again
            }
            // Only servers ping in Engine.IO 4.
            Packet::Ping(_) => {
                self.note_packet(session, kind);
                self.stats.refused_by_fault += 1;
                self.end_session(session, Reason::TransportError, b"1");
                Look::Again
            }
            Packet::Upgrade | Packet::Idle => {
                self.note_packet(session, kind);
                Look::Again
            }
        }
    }

    /// Whether this connection brings a POST of this session, which is open.
    pub(super) fn is_posting(&self, session: SessionKey, key: ConnKey) -> bool {
        let session = self.sessions.get(session.index());
        session.is_some_and(|session| session.is_open() && session.post() == Some(key))
    }

    /// A packet that is none: those before it have been handled (spec 2.1.2), this POST is refused.
    fn post_fault(&mut self, current: &mut Current, session: SessionKey) -> Look {
        self.stats.refused_by_fault += 1;
        self.end_post(current, session)
    }

    /// Refuses a POST on the way, and ends its session.
    fn end_post(&mut self, current: &mut Current, session: SessionKey) -> Look {
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
                self.refuse_empty(key, 400);
                self.end_session(session, Reason::TransportError, b"1");
            }
            Step::Goodbye => self.say_goodbye(key, session),
            _ => {
                let mismatch = BadRequest::TransportMismatch(Transport::WebSocket);
                self.refuse(key, Status::BadRequest(mismatch), false);
            }
        }
    }

    /// What was queued when the server closed the session; when that is gone, the close packet
    /// (spec 2.1.10).
    pub(super) fn say_goodbye(&mut self, key: ConnKey, session: SessionKey) {
        let mut queue = std::mem::take(&mut self.sessions[session.index()].queue);
        let batch = self.take_packets(&mut queue, self.packets_per_answer());
        self.sessions[session.index()].queue = queue;
        if !batch.is_empty() {
            return self.answer_packets(key, &batch);
        }
        let goodbye = Batch::of(vec![b'6', eio::SEPARATOR, b'1']);
        self.answer_packets(key, &goodbye);
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
        let has_waited = !queue.is_empty();
        let mut batch = self.take_packets(&mut queue, self.packets_per_answer());
        let is_empty = queue.is_empty();
        let state = &mut self.sessions[session.index()];
        let has_drained = is_empty && std::mem::take(&mut state.is_backlogged);
        state.queue = queue;
        if has_drained && self.tells_drained {
            self.events.push_back(Event::Drained { session });
        }
        if batch.is_empty() {
            batch = Batch::noop();
        }
        self.answer_packets(get, &batch);
        if has_waited && is_empty {
            self.note(session, SessionEvent::Drain);
        }
    }

    /// Answers a GET with a payload.
    pub(super) fn answer_packets(&mut self, key: ConnKey, batch: &Batch) {
        let reply = self.conns[key.index()].reply;
        let mut headers = [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Cache-Control", "no-store"),
            ("", ""),
            ("", ""),
        ];
        let mut headers_count = 2;
        let mut add = |line| {
            headers[headers_count] = line;
            headers_count += 1;
        };
        if reply.is_msie {
            add(("X-XSS-Protection", "0"));
        }
        #[cfg(feature = "compression")]
        let coded = self.compressed(key, batch);
        #[cfg(not(feature = "compression"))]
        let coded: Option<(&str, Vec<u8>)> = None;
        let mut payload = &batch.payload[..];
        if let Some((name, coded)) = &coded {
            add(("Content-Encoding", name));
            payload = coded;
        }
        self.put_response_head(key, 200, &headers[..headers_count], Some(payload.len()));
        self.output(key, &mut |out| out.extend_from_slice(payload));
        self.answered(key);
    }

    /// The payload as the client lets it be written, if that is worth it, and the coding's name.
    #[cfg(feature = "compression")]
    fn compressed(&self, key: ConnKey, batch: &Batch) -> Option<(&'static str, Vec<u8>)> {
        let threshold = self.config.compression_threshold?;
        if !batch.is_compressible || batch.payload.len() < threshold as usize {
            return None;
        }
        let coding = self.conns[key.index()].reply.coding;
        Some((coding.name()?, coding.encode(&batch.payload)))
    }

    /// The payload made of the first packets of `queue`, binary ones in base64.
    pub(super) fn take_packets(&self, queue: &mut Queue, packets_max: usize) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..packets_max {
            let Some(frame) = queue.pop() else { break };
            batch.push(&frame);
        }
        batch
    }

    fn packets_per_answer(&self) -> usize {
        (self.config.packets_per_answer_max as usize).max(2)
    }
}

/// What one GET is answered with.
#[derive(Debug, Default)]
pub(super) struct Batch {
    payload: Vec<u8>,
    /// Whether one of its packets, at least, does not forbid to compress it.
    #[cfg(feature = "compression")]
    is_compressible: bool,
}

impl Batch {
    /// A batch of a payload that is written already.
    pub(super) fn of(payload: Vec<u8>) -> Batch {
        Batch {
            payload,
            #[cfg(feature = "compression")]
            is_compressible: true,
        }
    }

    /// What only lets a GET go.
    pub(super) fn noop() -> Batch {
        Batch::of(b"6".to_vec())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// Adds a packet, in base64 if it is binary.
    pub(super) fn push(&mut self, frame: &Frame) {
        if !self.payload.is_empty() {
            self.payload.push(eio::SEPARATOR);
        }
        if frame.is_binary() {
            eio::put_binary(&mut self.payload, frame.payload());
        } else {
            self.payload.extend_from_slice(frame.payload());
        }
        #[cfg(feature = "compression")]
        {
            self.is_compressible |= frame.is_compressible();
        }
    }
}
