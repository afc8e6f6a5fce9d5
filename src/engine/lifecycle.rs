//! How connections and sessions open, close and are lost, and what their deadlines do.

use std::time::Duration;

use super::{
    BadRequest, Denial, Engine, Event, PacketKind, SessionEvent, Welcome, polling::Batch,
    refusals::Status,
};
use crate::{
    codec::{
        eio::{self, Timing},
        ws,
    },
    conn::{Conn, Opening, State, Switch},
    handshake::Hello,
    headers::Headers,
    id::{ConnKey, SessionKey},
    queue::Queue,
    reason::Reason,
    session::{Beat, Carrier, Input, Session, Step},
    timer,
};

// Opening.
impl Engine {
    /// Opens the session that `opening` asks for, or refuses it for its protocol version.
    pub(super) fn open(&mut self, key: ConnKey, opening: Opening, welcome: Welcome) {
        let Opening {
            hello,
            websocket,
            is_eio4,
        } = opening;
        if !is_eio4 {
            let status = Status::UnsupportedVersion;
            return self.refuse(key, status, websocket.is_some());
        }
        let hello_bytes = self.hello_bytes + hello.bytes_held() as u64;
        let is_full = self.sessions.len() >= self.config.sessions_max as usize
            || hello_bytes > self.config.handshake_bytes_max;
        if self.is_ending() || is_full {
            return self.refuse(key, Status::Unavailable, websocket.is_some());
        }
        let secret = welcome.secret.unwrap_or_else(|| self.fill_secret());
        let carrier = match websocket {
            Some(_) => Carrier::WebSocket {
                ws: key,
                post: None,
            },
            None => Carrier::Polling {
                get: None,
                post: None,
            },
        };
        self.hello_bytes += hello.bytes_held() as u64;
        let session = Session::new(secret, carrier, Some(hello));
        let session = SessionKey::new(self.sessions.insert(session));
        self.stats.sessions_opened += 1;
        self.arm_first_ping(session);
        self.events.push_back(Event::Opened { session });
        self.note(session, SessionEvent::Opened);
        let mut packet = Vec::new();
        let offers =
            websocket.is_none() && self.config.allow_upgrades && self.config.transports.websocket;
        eio::put_open(
            &mut packet,
            &self.sid(session).text(),
            offers,
            self.timing(),
        );
        self.note_created(session, PacketKind::Open);
        let initial = self.config.initial_packet.as_ref();
        let initial = initial.map(|packet| self.frame(packet.is_binary(), &[packet.bytes()]));
        if initial.is_some() {
            self.stats.messages_out += 1;
            self.note_created(session, PacketKind::Message);
        }
        let mut extra = welcome.headers;
        match websocket {
            Some(switch) => {
                self.add_headers(key, extra);
                self.switch(key, &switch, State::Ws(session));
                self.output(key, &mut |out| {
                    ws::put_head(out, ws::Opcode::Text, packet.len());
                    out.extend_from_slice(&packet);
                });
                if let Some(initial) = initial {
                    self.output_message(key, &initial);
                }
            }
            // The open packet has an answer of its own, as clients expect it.
            None => {
                if let Some(cookie) = &self.config.cookie {
                    extra.push("Set-Cookie", &cookie.line(&self.sid(session).to_string()));
                }
                self.add_headers(key, extra);
                let mut batch = Batch::of(packet);
                if let Some(initial) = initial {
                    batch.push(&initial);
                }
                self.answer_packets(key, &batch);
            }
        }
    }

    /// Lines for the next answer of a connection.
    fn add_headers(&mut self, key: ConnKey, headers: Headers) {
        if !headers.is_empty() {
            self.conns[key.index()].inbox_mut().extra.extend(headers);
        }
    }

    /// Writes the 101 that turns a connection into a WebSocket, whose `state` comes first: if the
    /// connection is lost over the answer, those it belongs to are told.
    pub(super) fn switch(&mut self, key: ConnKey, switch: &Switch, state: State) {
        self.disarm_conn(key);
        self.conns[key.index()].state = state;
        let mut headers = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", &*switch.accept),
        ];
        if let Some(protocol) = &switch.protocol {
            headers.push(("Sec-WebSocket-Protocol", protocol));
        }
        self.put_response_head(key, 101, &headers, None);
        let Some(inbox) = &mut self.conns[key.index()].inbox else {
            return;
        };
        inbox.origin = None;
        // Frames may have come while the handshake was judged.
        if !inbox.tail.is_empty() {
            return self.put_off(key);
        }
        if inbox.is_empty() {
            self.drop_inbox(key);
        }
    }

    pub(super) fn timing(&self) -> Timing {
        Timing {
            ping_interval_ms: ms(self.config.ping_interval),
            ping_timeout_ms: ms(self.config.ping_timeout),
            max_payload: self.config.max_payload,
        }
    }

    /// Answers an `Opening`: lets the handshake in, or refuses it with 403 and this message
    /// (code 4). A stale serial changes nothing.
    pub fn decide(&mut self, conn: ConnKey, serial: u32, verdict: Result<(), &str>) {
        let verdict = verdict.map(|()| Welcome::default());
        self.conclude(conn, serial, verdict.map_err(Denial::Forbidden));
    }

    /// The same with all that an application may say about a handshake.
    pub fn conclude(&mut self, conn: ConnKey, serial: u32, verdict: Result<Welcome, Denial<'_>>) {
        let Some(opening) = self.take_opening(conn, serial) else {
            return;
        };
        let hello = self.tells_refusals.then(|| (*opening.hello).clone());
        let is_websocket = opening.websocket.is_some();
        match verdict {
            // The peer has ended its side, so nothing would ever come over this WebSocket.
            Ok(_) if is_websocket && self.conns[conn.index()].is_eof => {
                self.lose(conn, Reason::TransportClose);
            }
            Ok(welcome) => self.open(conn, opening, welcome),
            Err(Denial::Forbidden(message)) => {
                self.refuse(conn, Status::Forbidden(message), is_websocket);
            }
            Err(Denial::NoId) => {
                let status = Status::BadRequest(BadRequest::IdGeneration);
                self.refuse(conn, status, is_websocket);
            }
        }
        if let Some(hello) = hello {
            self.tell_refused(conn, || hello);
        }
    }

    /// Whether a handshake that waits to be judged will be a session if it is let in, as far as its
    /// request tells.
    pub(crate) fn is_admissible(&self, conn: ConnKey, serial: u32) -> bool {
        let conn = self.conns.get(conn.index());
        let conn = conn.filter(|conn| conn.state == State::Deciding(serial));
        let inbox = conn.and_then(|conn| conn.inbox.as_ref());
        let opening = inbox.and_then(|inbox| inbox.opening.as_ref());
        opening.is_some_and(|opening| opening.is_eio4)
    }

    /// The handshake that waits to be judged.
    pub fn opening(&self, conn: ConnKey, serial: u32) -> Option<&Hello> {
        let conn = self
            .conns
            .get(conn.index())
            .filter(|conn| conn.state == State::Deciding(serial))?;
        Some(&conn.inbox.as_ref()?.opening.as_ref()?.hello)
    }

    fn take_opening(&mut self, key: ConnKey, serial: u32) -> Option<Opening> {
        let conn = self.conns.get_mut(key.index())?;
        if conn.state != State::Deciding(serial) {
            return None;
        }
        let opening = conn.inbox.as_mut()?.opening.take()?;
        self.account(key);
        Some(opening)
    }

    /// Forgets what the configuration does not keep of the request that opened the session.
    pub fn release_handshake(&mut self, session: SessionKey) {
        let Some(session) = self.sessions.get_mut(session.index()) else {
            return;
        };
        let Some(hello) = session.hello.take() else {
            return;
        };
        self.hello_bytes -= hello.bytes_held() as u64;
        session.hello = hello.kept(&self.config.keep_headers).map(Box::new);
        let kept = session.hello.as_ref().map_or(0, |hello| hello.bytes_held());
        self.hello_bytes += kept as u64;
    }
}

// Closing and losing.
impl Engine {
    /// Closes a session in order: what is queued goes out first, then the client is told. `true` if
    /// that could be done at once, `false` if the transport has to wait for it.
    pub fn close(&mut self, key: SessionKey) -> bool {
        self.send_latest(key);
        let Some(session) = self.sessions.get_mut(key.index()) else {
            return true;
        };
        match session.carrier {
            Carrier::WebSocket { ws, .. } => {
                let is_writable = self.conns[ws.index()].is_writable;
                self.end_session(key, Reason::ForcedClose, b"1");
                is_writable
            }
            Carrier::Polling { get: Some(_), .. } | Carrier::Probing { get: Some(_), .. }
                if session.queue.is_empty() =>
            {
                self.end_session(key, Reason::ForcedClose, b"1");
                true
            }
            Carrier::Polling { get, .. } | Carrier::Probing { get, .. } => {
                // What waits goes first, in an answer of its own: the official client would forget
                // messages that come in one payload with the close packet. The next GET is told
                // (spec 2.1.10).
                let ws = match session.carrier {
                    Carrier::Probing { ws, .. } => Some(ws),
                    _ => None,
                };
                session.carrier = Carrier::Closing { ws };
                self.arm_session(key, self.config.close_timeout);
                if let Some(get) = get {
                    self.say_goodbye(get, key);
                }
                false
            }
            Carrier::Closing { .. } => false,
            Carrier::Closed => true,
        }
    }

    /// Ends a session at once, whatever waits. Clients learn it from the transport.
    pub fn discard(&mut self, key: SessionKey, reason: Reason) {
        self.end_session(key, reason, b"1");
    }

    /// The end of a session: its carriers are told, its slot is free after its `Closed` was taken.
    pub(super) fn end_session(&mut self, key: SessionKey, reason: Reason, farewell: &[u8]) {
        let Some(session) = self.sessions.get_mut(key.index()) else {
            return;
        };
        if session.carrier == Carrier::Closed {
            return;
        }
        self.note(key, SessionEvent::Closed(reason));
        let session = &mut self.sessions[key.index()];
        let carrier = std::mem::replace(&mut session.carrier, Carrier::Closed);
        let mut queue = std::mem::take(&mut session.queue);
        if let Some(hello) = session.hello.take() {
            self.hello_bytes -= hello.bytes_held() as u64;
        }
        self.latest.remove(&key);
        self.session_timers.cancel(slot(key));
        match carrier {
            Carrier::Polling { get, .. } | Carrier::Probing { get, .. } => {
                if let Some(get) = get.filter(|get| self.is_parked(*get, key)) {
                    // Not both in one payload: the official client would forget the messages.
                    let mut batch = self.take_packets(&mut queue, usize::MAX);
                    if batch.is_empty() {
                        batch = Batch::of(farewell.to_vec());
                    }
                    self.answer_packets(get, &batch);
                }
                if let Carrier::Probing { ws, .. } = carrier {
                    self.close_websocket(ws, None, "");
                }
            }
            Carrier::WebSocket { ws, .. } | Carrier::Closing { ws: Some(ws) } => {
                self.close_websocket(ws, None, "");
            }
            Carrier::Closing { ws: None } | Carrier::Closed => {}
        }
        self.stats.sessions_closed += 1;
        self.events.push_back(Event::Closed {
            session: key,
            reason,
        });
    }

    fn is_parked(&self, conn: ConnKey, session: SessionKey) -> bool {
        self.conns[conn.index()].state == State::Poll(session)
    }

    /// Sends our close frame, if none was sent, and waits for the peer's.
    pub(super) fn close_websocket(&mut self, key: ConnKey, code: Option<u16>, reason: &str) {
        let conn = &mut self.conns[key.index()];
        let (State::Ws(_) | State::RawWs(_)) = conn.state else {
            return;
        };
        let raw = match conn.state {
            State::RawWs(serial) => Some(serial),
            _ => None,
        };
        conn.state = State::WsClosing;
        if let Some(inbox) = &mut conn.inbox {
            inbox.fragments = None;
        }
        self.arm_conn(key, self.config.close_timeout);
        self.output(key, &mut |out| ws::put_close(out, code, reason));
        if let Some(serial) = raw {
            self.events.push_back(Event::RawClosed {
                conn: key,
                serial,
                code,
            });
        }
    }

    /// Lets the queue drain and ends the connection.
    pub(super) fn end_conn(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        if conn.is_ending() {
            return;
        }
        conn.state = State::Closing;
        self.forget_held_back(key);
        self.drop_inbox(key);
        self.arm_conn(key, self.config.close_timeout);
        self.mark_dirty(key);
    }

    /// The connection is of no use any more: it is dropped at the turn's end.
    pub(super) fn lose(&mut self, key: ConnKey, reason: Reason) {
        let conn = &mut self.conns[key.index()];
        let state = std::mem::replace(&mut conn.state, State::Dead);
        if state == State::Dead {
            return;
        }
        if let Queue::Many(backlog) = std::mem::take(&mut conn.queue) {
            self.discarded.push(Queue::Many(backlog));
        }
        self.forget_held_back(key);
        self.drop_inbox(key);
        if self.cork.conn == Some(key) {
            self.cork.bytes.clear();
        }
        self.conn_timers.cancel(index(key));
        self.dead.push(key);
        match state {
            State::Body(Some(session)) | State::Posting(session) | State::Poll(session) => {
                self.lost(session, key, Reason::TransportError);
            }
            State::Ws(session) => self.lost(session, key, reason),
            State::RawWs(serial) => {
                self.events.push_back(Event::RawClosed {
                    conn: key,
                    serial,
                    code: None,
                });
            }
            _ => {}
        }
    }

    /// A session hears that one of its connections is gone.
    pub(super) fn lost(&mut self, session: SessionKey, conn: ConnKey, reason: Reason) {
        let Some(state) = self.sessions.get_mut(session.index()) else {
            return;
        };
        if state.step(Input::Lost(conn)) == Step::Close {
            self.end_session(session, reason, b"1");
        }
    }

    /// The peer has ended its side; ours may still have something to say.
    pub(super) fn ended(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key.index()) else {
            return;
        };
        conn.is_eof = true;
        let state = conn.state;
        let owes = self.owes(key);
        match state {
            State::Head | State::Body(None) if owes => self.end_conn(key),
            // An answer is owed; it is written when it comes.
            State::Deciding(_) => {}
            State::Closing if owes => {}
            _ => self.lose(key, Reason::TransportClose),
        }
    }

    /// Whether something that was said has yet to be written.
    pub(super) fn owes(&self, key: ConnKey) -> bool {
        let is_corked = self.cork.conn == Some(key) && !self.cork.bytes.is_empty();
        is_corked || !self.conns[key.index()].queue.is_empty()
    }

    /// The process holds too much of what has not arrived.
    pub(super) fn overloaded(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        match conn.state {
            State::Head | State::Body(_) | State::Deciding(_) => self.give_up(key, 503),
            // The peer's answer is not waited for, because it would come behind what is dropped.
            State::Ws(session) => {
                self.close_websocket(key, Some(1013), "");
                self.end_conn(key);
                self.lost(session, key, Reason::TransportError);
            }
            State::RawWs(_) => {
                self.close_websocket(key, Some(1013), "");
                self.end_conn(key);
            }
            _ => self.lose(key, Reason::TransportError),
        }
    }

    /// Refuses a request whose rest, or whose answer, is not waited for. A POST's session ends with
    /// it.
    fn give_up(&mut self, key: ConnKey, status: u16) {
        let conn = &mut self.conns[key.index()];
        let state = conn.state;
        conn.reply.keep_alive = false;
        self.respond_empty(key, status);
        if let State::Body(Some(session)) = state {
            self.lost(session, key, Reason::TransportError);
        }
    }

    pub(super) fn drop_inbox(&mut self, key: ConnKey) {
        if let Some(inbox) = self.conns[key.index()].inbox.take() {
            self.incoming_bytes -= u64::from(inbox.counted);
        }
    }
}

// Deadlines.
impl Engine {
    /// Everything that is due. Each expiry ends or re-arms its machine, so this ends.
    pub(super) fn expire(&mut self) {
        while let Some(slot) = self.conn_timers.expire(self.now_ms) {
            self.conn_expired(ConnKey::new(slot as usize));
        }
        while let Some(slot) = self.session_timers.expire(self.now_ms) {
            self.session_expired(SessionKey::new(slot as usize));
        }
    }

    fn conn_expired(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key.index()) else {
            return;
        };
        let is_asked = conn
            .inbox
            .as_ref()
            .is_some_and(|inbox| !inbox.tail.is_empty());
        match conn.state {
            // What is waited for may be among what we have not looked at: that is our delay.
            State::Head | State::Body(_) | State::RawWs(_) if conn.is_held_back => {
                self.arm_conn(key, RETRY);
            }
            State::Head if !is_asked => self.lose(key, Reason::TransportClose),
            State::Head | State::Body(_) => {
                self.stats.timeouts += 1;
                self.give_up(key, 408);
            }
            State::Deciding(_) => {
                self.stats.timeouts += 1;
                self.give_up(key, 503);
            }
            // The probe was not finished in time: only the WebSocket is closed (spec 2.3.3).
            State::Ws(session) => {
                self.stats.timeouts += 1;
                self.close_websocket(key, None, "");
                self.lost(session, key, Reason::TransportClose);
            }
            State::RawWs(_) if conn.reply.is_pinged && !conn.is_unheard() => {
                self.stats.timeouts += 1;
                self.lose(key, Reason::PingTimeout);
            }
            State::RawWs(_) => {
                conn.reply.is_pinged = true;
                self.arm_conn(key, self.config.ping_timeout);
                self.output(key, &mut |out| ws::put_head(out, ws::Opcode::Ping, 0));
            }
            State::WsClosing | State::Closing | State::Lingering => {
                self.lose(key, Reason::TransportClose);
            }
            State::Poll(_) | State::Posting(_) | State::Dead => {}
        }
    }

    fn session_expired(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key.index()) else {
            return;
        };
        let (interval, timeout) = (self.config.ping_interval, self.config.ping_timeout);
        if let Carrier::Closing { .. } = session.carrier {
            return self.end_session(key, Reason::ForcedClose, b"1");
        }
        match session.beat(ms(interval), ms(timeout)) {
            Beat::Ping => {
                self.arm_session(key, interval.min(timeout));
                self.ping(key);
            }
            Beat::Wait(wait) => self.arm_session(key, Duration::from_millis(wait)),
            Beat::Dead => {
                // Its pong may be among what has not been looked at yet.
                let ws = session.websocket();
                let mut inlets = session.inlets().into_iter().flatten();
                if inlets.any(|conn| self.conns[conn.index()].is_unheard()) {
                    return self.arm_session(key, RETRY);
                }
                self.stats.timeouts += 1;
                self.end_session(key, Reason::PingTimeout, b"1");
                if let Some(ws) = ws {
                    // A peer that is silent for so long will not answer a close frame either.
                    self.arm_conn(ws, Duration::from_secs(1));
                }
            }
        }
    }

    /// Sends the one static ping frame.
    fn ping(&mut self, key: SessionKey) {
        let ping = self.ping.clone();
        self.note_created(key, PacketKind::Ping);
        let session = &mut self.sessions[key.index()];
        match session.carrier {
            Carrier::WebSocket { ws, .. } => self.output_frame(ws, &ping),
            Carrier::Polling { .. } | Carrier::Probing { .. } => {
                session.queue.push(ping);
                self.ask_for_answer(key);
            }
            Carrier::Closing { .. } | Carrier::Closed => {}
        }
    }

    pub(super) fn arm_conn(&mut self, key: ConnKey, delay: Duration) {
        // It may have been lost over what was written last.
        if self.conns[key.index()].state == State::Dead {
            return;
        }
        self.conn_timers
            .arm(index(key), timer::coalesce(self.now_ms + ms(delay)));
    }

    pub(super) fn arm_session(&mut self, key: SessionKey, delay: Duration) {
        self.session_timers.arm(slot(key), self.now_ms + ms(delay));
    }

    /// The first ping comes a little early, in step with others', so that one waking of the loop
    /// serves many; the pings after it keep the step. Early, because a client may count on the
    /// session's end at interval and timeout after its opening.
    fn arm_first_ping(&mut self, key: SessionKey) {
        let interval = ms(self.config.ping_interval);
        let at = self.now_ms + interval;
        let early = if interval < PING_EXACT_MS {
            0
        } else {
            STEP_MS + at % STEP_MS
        };
        self.session_timers.arm(slot(key), at - early);
    }

    pub(super) fn disarm_conn(&mut self, key: ConnKey) {
        self.conn_timers.cancel(index(key));
    }
}

impl Conn {
    /// Whether the connection's WebSocket carries or probes for a session.
    pub(super) fn is_websocket(&self) -> bool {
        matches!(
            self.state,
            State::Ws(_) | State::RawWs(_) | State::WsClosing
        )
    }
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

fn index(key: ConnKey) -> u32 {
    u32::try_from(key.index()).expect("keys are 32 bits")
}

fn slot(key: SessionKey) -> u32 {
    u32::try_from(key.index()).expect("keys are 32 bits")
}

/// Shorter intervals between pings are kept to the millisecond.
const PING_EXACT_MS: u64 = 128;

/// The step that pings keep.
const STEP_MS: u64 = 16;

/// How long a deadline waits for a connection whose input has not been looked at.
const RETRY: Duration = Duration::from_millis(100);
