//! What an application may ask of the engine, and what it may do.

use std::time::{Duration, Instant};

use super::{Engine, PacketKind, Transport};
use crate::{
    codec::ws,
    conn::State,
    handshake::Handshake,
    id::{SessionKey, Sid},
    queue::Frame,
    session::{Carrier, Session},
    stats::{Census, Stats},
};

// What an application may ask, and what it may do.
impl Engine {
    /// From now on every handshake is an `Opening` that waits for `decide` or `conclude`.
    pub fn judge_handshakes(&mut self) {
        self.is_judged = true;
    }

    /// From now on `Drained` events tell when nothing waits any more for a session's client.
    pub fn tell_drained(&mut self) {
        self.tells_drained = true;
    }

    /// Serves application WebSockets at this path; `*` is every path that nothing else serves.
    pub fn serve_raw(&mut self, path: &str) {
        self.raw_paths.push(path.to_owned());
    }

    /// The session with this id.
    pub fn session(&self, sid: Sid) -> Option<SessionKey> {
        let session = self.sessions.get(sid.slot() as usize)?;
        let is_it = sid.has_secret(&session.secret) && session.carrier != Carrier::Closed;
        is_it.then(|| SessionKey::new(sid.slot() as usize))
    }

    /// The id of a session.
    pub fn sid(&self, session: SessionKey) -> Sid {
        let slot = u32::try_from(session.index()).expect("keys are 32 bits");
        Sid::new(self.sessions[session.index()].secret, slot)
    }

    /// Whether the session accepts messages.
    pub fn is_open(&self, session: SessionKey) -> bool {
        self.sessions
            .get(session.index())
            .is_some_and(Session::is_open)
    }

    /// The transport that carries the session now.
    pub fn transport(&self, session: SessionKey) -> Transport {
        match self.sessions[session.index()].carrier {
            Carrier::WebSocket { .. } => Transport::WebSocket,
            _ => Transport::Polling,
        }
    }

    /// The request that opened the session, as far as it was kept.
    pub fn handshake(&self, session: SessionKey) -> Option<Handshake<'_>> {
        self.sessions[session.index()]
            .hello
            .as_ref()
            .map(|hello| hello.request())
    }

    /// The same with the payload of a CONNECT packet (JSON text, or nothing), however little was
    /// kept.
    pub(crate) fn handshake_with(&self, session: SessionKey, auth: &str) -> Handshake<'_> {
        let Some(state) = self.sessions.get(session.index()) else {
            return Handshake::new(None, [0; 16], auth);
        };
        let hello = state.hello.as_deref();
        let conn = state.websocket().and_then(|ws| self.conns.get(ws.index()));
        let address = conn.map_or([0; 16], |conn| conn.address);
        Handshake::new(
            hello,
            hello.map_or(address, |hello| hello.address_bytes()),
            auth,
        )
    }

    /// Whether a message would be handed to the kernel or a waiting poll at once: what volatile
    /// needs.
    pub fn is_writable(&self, session: SessionKey) -> bool {
        let session = &self.sessions[session.index()];
        match session.carrier {
            Carrier::WebSocket { ws, .. } => self.conns[ws.index()].is_writable,
            Carrier::Polling { get, .. } | Carrier::Probing { get, .. } => get.is_some(),
            Carrier::Closing { .. } | Carrier::Closed => false,
        }
    }

    /// Bytes queued for the session.
    pub fn backlog_bytes(&self, session: SessionKey) -> usize {
        let latest_bytes = self.latest_bytes(session);
        let session = &self.sessions[session.index()];
        let conn = session
            .websocket()
            .map_or(0, |ws| self.conns[ws.index()].queue.bytes());
        session.queue.bytes() + conn + latest_bytes
    }

    /// Sends a text message made of these parts.
    pub fn send_text(&mut self, session: SessionKey, parts: &[&[u8]]) {
        let len = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
        self.send(session, &mut |out| {
            ws::put_head(out, ws::Opcode::Text, len);
            out.push(b'4');
            for part in parts {
                out.extend_from_slice(part);
            }
        });
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, session: SessionKey, data: &[u8]) {
        self.send(session, &mut |out| {
            ws::put_head(out, ws::Opcode::Binary, data.len());
            out.extend_from_slice(data);
        });
    }

    /// Sends a message that others receive as well.
    pub fn send_frame(&mut self, session: SessionKey, frame: &Frame) {
        if !self.latest.is_empty() {
            self.send_latest(session);
        }
        let Some(state) = self.sessions.get(session.index()) else {
            return;
        };
        let (carrier, is_open) = (state.carrier, state.is_open());
        if is_open {
            self.stats.messages_out += 1;
            self.note_created(session, PacketKind::Message);
        }
        match carrier {
            Carrier::WebSocket { ws, .. } => self.output_message(ws, frame),
            Carrier::Polling { .. } | Carrier::Probing { .. } => self.hold(session, frame.clone()),
            Carrier::Closing { .. } | Carrier::Closed => {}
        }
    }

    /// A message that many will receive, encoded once.
    pub fn frame(&self, is_binary: bool, parts: &[&[u8]]) -> Frame {
        let prefix: &[u8] = if is_binary { b"" } else { b"4" };
        let opcode = if is_binary {
            ws::Opcode::Binary
        } else {
            ws::Opcode::Text
        };
        let len = prefix.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(ws::head_bytes(len) + len);
        ws::put_head(&mut bytes, opcode, len);
        bytes.extend_from_slice(prefix);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Frame::new(bytes, &self.gauge)
    }

    /// Counters and gauges as they are now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        stats.connections = self.conns.len() as u64;
        stats.sessions = self.sessions.len() as u64;
        stats.incoming_bytes = self.incoming_bytes + self.hello_bytes;
        let idle_bytes = self.gauge_idle_bytes + self.retained_bytes;
        stats.backlog_bytes = self.gauge.bytes().saturating_sub(idle_bytes);
        stats.turn_us_mean = self.turn_us_mean_16 / 16;
        stats
    }

    /// What connections and sessions are doing; looks at each of them.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for (_, conn) in &self.conns {
            let count = match conn.state {
                State::Head => &mut census.connections_idle,
                State::Body(_) | State::Posting(_) => &mut census.connections_reading,
                State::Poll(_) => &mut census.connections_polling,
                State::Deciding(_) => &mut census.connections_deciding,
                State::Ws(_) => &mut census.connections_websocket,
                State::RawWs(_) => &mut census.connections_raw,
                State::WsClosing | State::Closing | State::Lingering | State::Dead => {
                    &mut census.connections_closing
                }
            };
            *count += 1;
        }
        for (_, session) in &self.sessions {
            let count = match session.carrier {
                Carrier::Polling { .. } => &mut census.sessions_polling,
                Carrier::Probing { .. } => &mut census.sessions_probing,
                Carrier::WebSocket { .. } => &mut census.sessions_websocket,
                Carrier::Closing { .. } => &mut census.sessions_closing,
                // Over; its slot is freed at the turn's end.
                Carrier::Closed => continue,
            };
            *count += 1;
        }
        census
    }

    /// A turn of the loop has ended, and took so long since it woke.
    pub fn handle_turn(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16);
        let stats = &mut self.stats;
        stats.turns += 1;
        stats.turn_us_last = us;
        stats.turn_us_max = stats.turn_us_max.max(us);
        self.turn_us_mean_16 = match stats.turns {
            1 => us * 16,
            _ => self.turn_us_mean_16 - self.turn_us_mean_16 / 16 + us,
        };
    }

    /// Counts `bytes` that a user of the engine holds for a client as incoming; `false` if they are
    /// too many for the process.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        self.incoming_bytes += bytes as u64;
        self.incoming_bytes <= self.config.incoming_bytes_max
    }

    pub(crate) fn discharge(&mut self, bytes: usize) {
        self.incoming_bytes -= bytes as u64;
    }

    pub(crate) fn fill_secret(&mut self) -> [u8; 11] {
        let mut secret = [0; 11];
        self.entropy.fill(&mut secret);
        secret
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Moves time on, without anything else.
    pub(crate) fn tick(&mut self, now: Instant) {
        let ms = now.saturating_duration_since(self.epoch).as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        if ms > self.now_ms {
            self.now_ms = ms;
            self.conn_timers.advance(ms);
            self.session_timers.advance(ms);
        }
    }
}
