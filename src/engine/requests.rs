//! HTTP requests: what is asked for, whether its body is here, and the answers.
//!
//! A request is parsed in place when it arrived whole. If its body did not, its bytes wait in the
//! connection's inbox and the head is parsed again with the body's end: cheaper than keeping it.

use std::ops::Range;

use super::{
    BadRequest, Current, Engine, Event, Look, Place, Span, Transport, Welcome,
    refusals::{Status, is_origin},
};
#[cfg(feature = "compression")]
use crate::codec::coding::Coding;
use crate::{
    client,
    codec::{
        http::{self, BodyLength, ChunkDecoder, Head, Limits, Slots},
        ws,
    },
    config::WebSocketOrigins,
    conn::{Chunked, Opening, Payload, Reply, State, Switch},
    cors,
    handshake::Hello,
    headers::Headers,
    id::{ConnKey, SessionKey, Sid},
    queue::Frame,
    reason::Reason,
    response::{Body, Response},
    session::{Carrier, Input, Step},
};

/// What a request asks for.
enum Plan {
    /// Refused by the error table.
    Refuse(Status<'static>, /* as WebSocket */ bool),
    /// Refused with this status and no body.
    Empty(u16),
    /// A WebSocket version we do not speak. RFC 6455 §4.2.2.
    Version,
    Preflight {
        origin: Option<String>,
        headers: Option<String>,
    },
    Poll(SessionKey),
    Post {
        session: SessionKey,
        is_binary: bool,
    },
    Probe(SessionKey, Switch),
    Open(Opening),
    Raw(Switch),
    /// For the application.
    Plain,
}

/// What is kept of a head while the engine changes.
struct Facts {
    len: usize,
    body: BodyLength,
    expects_continue: bool,
    reply: Reply,
    origin: Option<Box<str>>,
    plan: Plan,
}

/// Where a body is.
enum Arrived {
    /// Here, relative to the request's start; the next request begins behind it.
    Whole {
        body: Range<usize>,
        next: usize,
    },
    Wait,
    /// It broke a rule or a limit.
    Refused(u16),
}

// Reading.
impl Engine {
    pub(super) fn look_at_request(&mut self, current: &mut Current) -> Look {
        let key = current.conn;
        // The head of a chunked body is not looked at again before the body is whole.
        let chunks = match self.conns[key.index()].state {
            State::Body(session) if self.is_chunked(key) => match self.read_chunks(current, 0) {
                Arrived::Wait => return Look::Pause,
                Arrived::Refused(status) => {
                    // The session may have ended since the head came.
                    let session = session.filter(|session| self.is_posting(*session, key));
                    return self.refuse_and_close(key, status, session);
                }
                whole => Some(whole),
            },
            _ => None,
        };
        let facts = match self.read_head(current) {
            Ok(Some(facts)) => facts,
            Ok(None) => {
                if self.conns[key.index()].inbox.is_none() {
                    self.arm_conn(key, self.config.head_timeout);
                }
                return Look::Pause;
            }
            Err(status) => return self.refuse_and_close(key, status, None),
        };
        let conn = &mut self.conns[key.index()];
        conn.reply = facts.reply;
        if facts.origin.is_some() {
            conn.inbox_mut().origin = facts.origin.clone();
        }
        let arrived = match facts.plan {
            // Nothing about the body can change the answer.
            Plan::Refuse(..) | Plan::Empty(_) if self.is_unwelcome(&facts, current) => {
                self.conns[key.index()].reply.keep_alive = false;
                Arrived::Whole {
                    body: 0..0,
                    next: current.len(),
                }
            }
            _ => chunks.unwrap_or_else(|| self.read_body(current, &facts)),
        };
        match arrived {
            Arrived::Whole { body, next } => self.act(current, facts, body, next),
            Arrived::Wait => self.wait_for_body(current, &facts),
            Arrived::Refused(status) => {
                let session = match facts.plan {
                    Plan::Post { session, .. } => Some(session),
                    _ => None,
                };
                self.refuse_and_close(key, status, session)
            }
        }
    }

    /// Refuses a request whose end cannot be found, if it was a POST of this session.
    fn refuse_and_close(&mut self, key: ConnKey, status: u16, session: Option<SessionKey>) -> Look {
        let reply = &mut self.conns[key.index()].reply;
        *reply = Reply {
            keep_alive: false,
            is_head: false,
            ..*reply
        };
        self.refuse_empty(key, status);
        // A session survives a body that is too large (spec 2.1.6), but not a broken one.
        if let Some(session) = session {
            match status {
                413 => {
                    if let Some(state) = self.sessions.get_mut(session.index()) {
                        state.step(Input::Posted(key));
                    }
                }
                _ => self.end_session(session, Reason::TransportError, b"1"),
            }
        }
        Look::Again
    }

    fn read_head(&self, current: &Current) -> Result<Option<Facts>, u16> {
        let limits = Limits {
            head_bytes_max: self.config.head_bytes_max as usize,
            headers_max: self.config.headers_max as usize,
        };
        let mut slots = Slots::new();
        let bytes = current.bytes(&self.input.shared);
        let head = http::parse(bytes, &mut slots, limits).map_err(|fault| fault.status())?;
        let Some(head) = head else { return Ok(None) };
        let path = http::percent_decode(head.path).unwrap_or(head.path.into());
        let is_engine = path.starts_with(&self.config.path);
        let has_cors = is_engine && self.config.cors.is_some();
        let varies = has_cors
            && self
                .config
                .cors
                .as_ref()
                .is_some_and(|c| c.varies_by_origin());
        let origin = if varies {
            head.header_str("origin").map(Box::from)
        } else {
            None
        };
        let is_msie = is_engine
            && head
                .header_str("user-agent")
                .is_some_and(|agent| agent.contains(";MSIE") || agent.contains("Trident/"));
        let reply = Reply {
            minor: head.minor,
            keep_alive: head.keep_alive,
            is_head: head.method == "HEAD",
            is_protocol: is_engine,
            has_cors,
            #[cfg(feature = "compression")]
            coding: if is_engine {
                Coding::accepted(&head)
            } else {
                Coding::Identity
            },
            is_msie,
            is_base64: is_engine && http::query_get(head.query, "b64").is_some_and(|v| v == "1"),
            is_pinged: false,
        };
        let plan = self.plan(current.conn, &head, &path, &bytes[..head.len], is_engine);
        Ok(Some(Facts {
            len: head.len,
            body: head.body,
            expects_continue: head.expects_continue,
            reply,
            origin,
            plan,
        }))
    }

    /// Whether a refused request's body would only cost time: then the connection ends instead.
    fn is_unwelcome(&self, facts: &Facts, current: &Current) -> bool {
        match facts.body {
            BodyLength::None => false,
            BodyLength::Chunked => true,
            BodyLength::Exactly(bytes) => bytes > (current.len() - facts.len) as u64,
        }
    }

    fn read_body(&mut self, current: &mut Current, facts: &Facts) -> Arrived {
        let body_bytes_max = u64::from(self.config.max_payload);
        match facts.body {
            BodyLength::None => Arrived::Whole {
                body: facts.len..facts.len,
                next: facts.len,
            },
            BodyLength::Exactly(bytes) if bytes > body_bytes_max => Arrived::Refused(413),
            BodyLength::Exactly(bytes) => {
                // It fits a usize, since it is at most `max_payload`.
                let end = facts.len + bytes as usize;
                if current.len() < end {
                    current.need = end;
                    return Arrived::Wait;
                }
                Arrived::Whole {
                    body: facts.len..end,
                    next: end,
                }
            }
            BodyLength::Chunked => self.read_chunks(current, facts.len),
        }
    }

    fn is_chunked(&self, key: ConnKey) -> bool {
        let inbox = self.conns[key.index()].inbox.as_ref();
        inbox.is_some_and(|inbox| inbox.chunked.is_some())
    }

    /// Decodes what has arrived of a chunked body, behind what was decoded before; or, the first
    /// time, behind a head of so many bytes.
    fn read_chunks(&mut self, current: &mut Current, head: usize) -> Arrived {
        let max = u64::from(self.config.max_payload);
        let shared = &self.input.shared;
        let kept = current.kept.get_or_insert_with(|| {
            let bytes = shared[current.start..current.end].to_vec();
            (current.start, current.end) = (0, bytes.len());
            bytes
        });
        let inbox = self.conns[current.conn.index()].inbox_mut();
        let chunked = inbox.chunked.get_or_insert_with(|| Chunked {
            decoder: ChunkDecoder::new(),
            head,
            decoded: head,
        });
        let head = chunked.head;
        let from = current.start + chunked.decoded;
        let step = match chunked.decoder.decode(&mut kept[from..current.end], max) {
            Ok(step) => step,
            Err(fault) => {
                inbox.chunked = None;
                return Arrived::Refused(fault.status());
            }
        };
        kept.drain(from + step.decoded..from + step.consumed);
        current.end -= step.consumed - step.decoded;
        chunked.decoded += step.decoded;
        let end = chunked.decoded;
        if !step.done {
            current.need = current.len() + 1;
            return Arrived::Wait;
        }
        inbox.chunked = None;
        Arrived::Whole {
            body: head..end,
            next: end,
        }
    }

    fn wait_for_body(&mut self, current: &mut Current, facts: &Facts) -> Look {
        let key = current.conn;
        let conn = &mut self.conns[key.index()];
        if let State::Body(_) = conn.state {
            return Look::Pause;
        }
        let mut session = None;
        if let Plan::Post { session: post, .. } = facts.plan {
            session = Some(post);
            if let Some(look) = self.begin_post(current, post) {
                let start = current.start;
                self.tell_refused_head(current, start..start + facts.len);
                return look;
            }
        }
        self.conns[key.index()].state = State::Body(session);
        self.arm_conn(key, self.config.body_timeout);
        if facts.expects_continue {
            self.output(key, &mut |out| out.extend_from_slice(http::CONTINUE));
        }
        Look::Pause
    }
}

// Understanding.
impl Engine {
    fn plan(
        &self,
        conn: ConnKey,
        head: &Head<'_, '_>,
        path: &str,
        bytes: &[u8],
        is_engine: bool,
    ) -> Plan {
        // Also for the client's files, which CORS covers as well (spec 1.8).
        if is_engine && self.config.cors.is_some() && head.method == "OPTIONS" {
            return Plan::Preflight {
                origin: head.header_str("origin").map(str::to_owned),
                headers: head
                    .header_str("access-control-request-headers")
                    .map(str::to_owned),
            };
        }
        if is_engine && !client::is_file(&self.config, path) {
            return self.plan_protocol(conn, head, bytes);
        }
        let is_raw = |raw: &String| raw == path || raw == "*";
        if head.upgrade && self.raw_paths.iter().any(is_raw) {
            return match switch(head) {
                _ if !self.is_origin_allowed(head) => Plan::Refuse(Status::Origin, true),
                Ok(switch) => Plan::Raw(switch),
                Err(plan) => plan,
            };
        }
        Plan::Plain
    }

    /// Whether a WebSocket may be opened from where this request comes. A browser always says it.
    fn is_origin_allowed(&self, head: &Head<'_, '_>) -> bool {
        if self.config.websocket_origins == WebSocketOrigins::Any {
            return true;
        }
        let host = head.header_str("host").unwrap_or_default();
        let cors = self.config.cors.as_ref();
        let is_allowed = |origin: &str| {
            cors::is_own(origin, host) || cors.is_some_and(|cors| cors.allows(origin))
        };
        // Several are all looked at.
        let mut origins = head.headers().filter(|(name, _)| cors::is_origin(name));
        origins.all(|(_, value)| std::str::from_utf8(value).is_ok_and(is_allowed))
    }

    /// The official order of checks (engine.io `verify`), all of them before the 101; and whether
    /// the origin may open a WebSocket.
    fn plan_protocol(&self, conn: ConnKey, head: &Head<'_, '_>, bytes: &[u8]) -> Plan {
        let refuse = |status| Plan::Refuse(status, head.upgrade);
        let is_websocket = match http::query_get(head.query, "transport").as_deref() {
            Some("polling") if self.config.transports.polling => false,
            Some("websocket") if self.config.transports.websocket => true,
            _ => return refuse(Status::UnknownTransport),
        };
        if !is_origin(head) {
            return refuse(Status::BadRequest(BadRequest::InvalidOrigin));
        }
        if head.upgrade && !self.is_origin_allowed(head) {
            return refuse(Status::Origin);
        }
        if let Some(sid) = http::query_get(head.query, "sid").filter(|sid| !sid.is_empty()) {
            let session = Sid::parse(sid.as_bytes()).and_then(|sid| self.session(sid));
            let Some(session) = session else {
                return refuse(Status::UnknownSid);
            };
            return self.plan_session(conn, head, session, is_websocket);
        }
        if head.method != "GET" {
            return refuse(Status::BadMethod);
        }
        if is_websocket != head.upgrade {
            return refuse(Status::BadRequest(BadRequest::TransportHandshake));
        }
        let websocket = match head.upgrade.then(|| switch(head)).transpose() {
            Ok(websocket) => websocket,
            Err(plan) => return plan,
        };
        let issued_ms = self.epoch_unix_ms + self.now_ms;
        let hello = Hello::new(bytes, self.conns[conn.index()].address, issued_ms);
        let is_eio4 = http::query_get(head.query, "EIO").is_some_and(|version| version == "4");
        Plan::Open(Opening {
            hello: Box::new(hello),
            websocket,
            is_eio4,
        })
    }

    fn plan_session(
        &self,
        conn: ConnKey,
        head: &Head<'_, '_>,
        session: SessionKey,
        is_websocket: bool,
    ) -> Plan {
        let mismatch = BadRequest::TransportMismatch(self.transport(session));
        if head.upgrade {
            return match switch(head) {
                _ if !is_websocket => Plan::Refuse(Status::BadRequest(mismatch), true),
                Ok(switch) => Plan::Probe(session, switch),
                Err(plan) => plan,
            };
        }
        let carrier = self.sessions[session.index()].carrier;
        let is_finishing = self.conns[conn.index()].state == State::Body(Some(session));
        let is_upgraded = matches!(carrier, Carrier::WebSocket { .. }) && !is_finishing;
        if is_websocket || is_upgraded {
            return Plan::Refuse(Status::BadRequest(mismatch), false);
        }
        match head.method {
            "GET" => Plan::Poll(session),
            "POST" => {
                let kind = head.header_str("content-type").unwrap_or("");
                let is_binary = kind.eq_ignore_ascii_case("application/octet-stream");
                Plan::Post { session, is_binary }
            }
            // As the official server answers a known session's odd method.
            _ => Plan::Empty(500),
        }
    }
}

/// What the 101 will say, or why there is none. RFC 6455 §4.2.1.
fn switch(head: &Head<'_, '_>) -> Result<Switch, Plan> {
    if head.method != "GET" {
        return Err(Plan::Empty(405));
    }
    if !matches!(head.header_str("sec-websocket-version"), Some("13" | "8")) {
        return Err(Plan::Version);
    }
    let key = head
        .header_str("sec-websocket-key")
        .and_then(ws::accept_key);
    let Some(accept) = key else {
        let status = Status::BadRequest(BadRequest::TransportHandshake);
        return Err(Plan::Refuse(status, true));
    };
    let protocol = head
        .tokens("sec-websocket-protocol")
        .next()
        .map(str::to_owned);
    Ok(Switch { accept, protocol })
}

// Doing.
impl Engine {
    /// Does what a whole request asks for, and tells if it was refused.
    fn act(
        &mut self,
        current: &mut Current,
        facts: Facts,
        body: Range<usize>,
        next: usize,
    ) -> Look {
        let from = current.start;
        let head = from..from + facts.len;
        let body = from + body.start..from + body.end;
        current.start += next;
        self.disarm_conn(current.conn);
        let look = self.do_as_asked(current, facts.plan, head.clone(), body);
        self.tell_refused_head(current, head);
        look
    }

    fn tell_refused_head(&mut self, current: &Current, head: Range<usize>) {
        if self.refused.is_none() {
            return;
        }
        let bytes = &current.input(&self.input.shared)[head];
        let address = self.conns[current.conn.index()].address;
        let hello = Hello::new(bytes, address, self.epoch_unix_ms + self.now_ms);
        self.tell_refused(current.conn, || hello);
    }

    fn do_as_asked(
        &mut self,
        current: &mut Current,
        plan: Plan,
        head: Range<usize>,
        body: Range<usize>,
    ) -> Look {
        let key = current.conn;
        match plan {
            Plan::Refuse(status, is_websocket) => self.refuse(key, status, is_websocket),
            Plan::Empty(status) => self.refuse_empty(key, status),
            Plan::Version => {
                self.count_refusal(Status::BadRequest(BadRequest::TransportHandshake));
                self.conns[key.index()].reply.keep_alive = false;
                let version = [("Sec-WebSocket-Version", "13, 8")];
                self.put_response(key, 400, &version, Body::Empty);
            }
            Plan::Preflight { origin, headers } => {
                if self.preflight(key, origin.as_deref(), headers.as_deref()) {
                    return self.ask_for_response(key, head, body);
                }
            }
            Plan::Poll(session) => self.poll(key, session),
            Plan::Post { session, is_binary } => {
                return self.post(current, session, is_binary, head, body);
            }
            Plan::Probe(session, switch) => self.probe(key, session, &switch),
            Plan::Open(opening) if self.is_judged => return self.ask(key, opening),
            Plan::Open(opening) => self.open(key, opening, Welcome::default()),
            Plan::Raw(_) if self.is_ending() => {
                self.stats.refused_by_limit += 1;
                self.conns[key.index()].reply.keep_alive = false;
                self.respond_empty(key, 503);
            }
            Plan::Raw(switch) => {
                let serial = self.next_serial();
                self.switch(key, &switch, State::RawWs(serial));
                self.arm_conn(key, self.config.ping_interval);
                return Look::Event(Event::RawOpened {
                    conn: key,
                    serial,
                    head: in_input(head),
                });
            }
            Plan::Plain => return self.ask_for_response(key, head, body),
        }
        Look::Again
    }

    fn ask_for_response(&mut self, key: ConnKey, head: Range<usize>, body: Range<usize>) -> Look {
        let serial = self.next_serial();
        self.conns[key.index()].state = State::Deciding(serial);
        self.arm_conn(key, self.config.decision_timeout);
        Look::Event(Event::Request {
            conn: key,
            serial,
            head: in_input(head),
            body: in_input(body),
        })
    }

    fn ask(&mut self, key: ConnKey, opening: Opening) -> Look {
        let serial = self.next_serial();
        let conn = &mut self.conns[key.index()];
        conn.state = State::Deciding(serial);
        conn.inbox_mut().opening = Some(opening);
        self.arm_conn(key, self.config.decision_timeout);
        self.account(key);
        Look::Event(Event::Opening { conn: key, serial })
    }

    /// Notes a POST of the session; what to do instead if it may not be read.
    fn begin_post(&mut self, current: &mut Current, session: SessionKey) -> Option<Look> {
        let key = current.conn;
        match self.sessions[session.index()].step(Input::Post(key)) {
            Step::Read => None,
            Step::Overlap => {
                self.conns[key.index()].reply.keep_alive = false;
                self.refuse_empty(key, 400);
                self.end_session(session, Reason::TransportError, b"1");
                Some(Look::Again)
            }
            _ => {
                self.conns[key.index()].reply.keep_alive = false;
                let mismatch = BadRequest::TransportMismatch(Transport::WebSocket);
                self.refuse(key, Status::BadRequest(mismatch), false);
                Some(Look::Again)
            }
        }
    }

    fn post(
        &mut self,
        current: &mut Current,
        session: SessionKey,
        is_binary: bool,
        head: Range<usize>,
        body: Range<usize>,
    ) -> Look {
        if let Some(look) = self.begin_post(current, session) {
            return look;
        }
        if is_binary {
            // Engine.IO 4 has no binary payloads (spec 2.1.5).
            self.refuse_empty(current.conn, 400);
            self.end_session(session, Reason::TransportError, b"1");
            return Look::Again;
        }
        self.conns[current.conn.index()].state = State::Posting(session);
        let next = Some(body.start);
        current.payload = Some(Payload {
            head,
            next,
            end: body.end,
            packets_count: 0,
        });
        Look::Again
    }

    /// Answers a preflight, or prepares the headers of the application's answer: then `true`.
    fn preflight(&mut self, key: ConnKey, origin: Option<&str>, headers: Option<&str>) -> bool {
        let Some(cors) = &self.config.cors else {
            return true;
        };
        let mut lines = Headers::default();
        cors.put_preflight(origin, headers, &mut |name, value| lines.push(name, value));
        let (status, continues) = (cors.preflight_status(), cors.is_preflight_continued());
        let conn = &mut self.conns[key.index()];
        conn.reply.has_cors = false;
        conn.inbox_mut().extra = lines;
        if !continues {
            self.put_response(key, status, &[], Body::Empty);
        }
        continues
    }

    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

// Answering.
impl Engine {
    /// Answers a `Request`. A stale serial changes nothing.
    pub fn respond(&mut self, key: ConnKey, serial: u32, mut response: Response) {
        let Some(conn) = self.conns.get(key.index()) else {
            return;
        };
        if conn.state != State::Deciding(serial) {
            return;
        }
        let body = response.take_body();
        let headers: Vec<_> = response.headers().collect();
        self.put_response(key, response.status(), &headers, body);
    }

    /// Answers a request that breaks the rules, or a limit, and is none of the error table's.
    pub(super) fn refuse_empty(&mut self, key: ConnKey, status: u16) {
        match status {
            413 | 431 => self.stats.refused_by_limit += 1,
            _ => self.stats.refused_by_fault += 1,
        }
        self.respond_empty(key, status);
    }

    pub(super) fn respond_empty(&mut self, key: ConnKey, status: u16) {
        self.put_response(key, status, &[], Body::Empty);
    }

    /// Writes a whole answer and makes the connection ready for the next request, or ends it.
    pub(super) fn put_response(
        &mut self,
        key: ConnKey,
        status: u16,
        headers: &[(&str, &str)],
        body: Body,
    ) {
        self.put_response_head(key, status, headers, Some(body.len()));
        if !self.conns[key.index()].reply.is_head && !matches!(status, 204 | 304) {
            if body.len() < BODY_BYTES_QUEUED {
                self.output(key, &mut |out| out.extend_from_slice(body.as_bytes()));
            } else {
                let frame = match body {
                    Body::Empty => Frame::fixed(b"", &self.gauge),
                    Body::Owned(bytes) => Frame::new(bytes, &self.gauge),
                    Body::Static(bytes) => Frame::fixed(bytes, &self.gauge),
                    Body::Shared(bytes) => Frame::shared(bytes, &self.gauge),
                };
                self.output_frame(key, &frame);
            }
        }
        self.answered(key);
    }

    pub(super) fn put_response_head(
        &mut self,
        key: ConnKey,
        status: u16,
        headers: &[(&str, &str)],
        length: Option<usize>,
    ) {
        let is_shut = self.is_shut();
        let conn = &mut self.conns[key.index()];
        let Reply {
            minor,
            keep_alive,
            is_protocol,
            has_cors,
            ..
        } = conn.reply;
        let keep_alive = keep_alive && !is_shut;
        let extra = conn.inbox.as_mut().map(|inbox| &mut inbox.extra);
        let extra = extra.map(std::mem::take).unwrap_or_default();
        let mut cors = Vec::new();
        if let Some(config) = self.config.cors.as_ref().filter(|_| has_cors) {
            let origin = conn
                .inbox
                .as_ref()
                .and_then(|inbox| inbox.origin.as_deref());
            config.put(origin, &mut |name, value| {
                cors.push((name.to_owned(), value.to_owned()))
            });
        }
        // Taken and put back: nothing that writing does looks at them.
        let own = std::mem::take(&mut self.config.headers);
        self.output(key, &mut |out| {
            let cors = cors.iter().map(|(name, value)| (&**name, &**value));
            let own = own.iter().filter(|_| is_protocol);
            let own = own.map(|(name, value)| (&**name, &**value));
            let headers = headers.iter().copied().chain(cors);
            let headers = headers.chain(own).chain(extra.iter());
            http::put_head(out, status, minor, keep_alive, length, headers);
        });
        self.config.headers = own;
    }

    /// The answer is written: on to the next request, which may be here already.
    pub(super) fn answered(&mut self, key: ConnKey) {
        let is_shut = self.is_shut();
        let conn = &mut self.conns[key.index()];
        if conn.state == State::Dead {
            return;
        }
        if !conn.reply.keep_alive || conn.is_eof || is_shut {
            return self.end_conn(key);
        }
        conn.state = State::Head;
        let mut is_held = false;
        if let Some(inbox) = &mut conn.inbox {
            inbox.origin = None;
            inbox.opening = None;
            is_held = !inbox.tail.is_empty();
            if inbox.is_empty() {
                self.drop_inbox(key);
            }
        }
        if is_held {
            self.arm_conn(key, self.config.head_timeout);
            return self.put_off(key);
        }
        self.arm_conn(key, self.config.keep_alive_timeout);
    }
}

fn in_input(range: Range<usize>) -> Span {
    Span {
        place: Place::Input,
        range,
    }
}

/// Bodies from this size on are queued by themselves instead of being copied behind the head.
const BODY_BYTES_QUEUED: usize = 16 * 1024;
