//! A client: an Engine.IO transport, or both, and Socket.IO on top, in as many manners as peers
//! have.
//!
//! What always holds: what it sends it tells the model when it sends it; what it receives it asks
//! the model about; it reports an end of its session only to have it explained.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Rng,
    app::{Command, Hello, Load, blob, pad},
    codec::{self, Answer, Packet, Sio},
    model::{Join, LooseRefusal, Model, Sent, Session, What},
    net::{End, Net},
    recovery::Card,
};

pub struct Client {
    pub id: usize,
    pub style: Style,
    pub phase: Phase,
    sid: String,
    get: Line,
    post: Line,
    ws: Option<Ws>,
    /// Engine.IO packets to be sent.
    out: VecDeque<Packet>,
    partial: Option<(Sio, Vec<Vec<u8>>)>,
    pub places: BTreeMap<&'static str, Place>,
    /// What it shows to find its sockets again.
    pub cards: BTreeMap<String, Held>,
    /// Events that want an answer: namespace and id to token.
    acks: BTreeMap<(String, u64), u64>,
    next_ack: u64,
    /// Asks that are not answered yet: namespace, id, token.
    pub asks: Vec<(String, u64, u64)>,
    pub window: usize,
    /// The next POST carries everything.
    pub posts_all: bool,
    pings_sent: u64,
    pongs_seen: u64,
    pub has_upgraded: bool,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub is_websocket: bool,
    /// One connection per request instead of two that stay.
    pub reconnects: bool,
    /// Asks the server to end the connection after each answer.
    pub says_close: bool,
    /// The next GET is sent behind the one that is parked.
    pub pipelines: bool,
    pub is_chunked: bool,
    pub fragments: bool,
    /// Finishes the upgrade without waiting for its polls.
    pub is_hasty: bool,
    /// Answers every ask at once; others take their time.
    pub is_prompt: bool,
    /// Uses only one packet per POST.
    pub is_slow_poster: bool,
    /// Asks for base64 instead of binary frames.
    pub is_base64: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Fresh,
    Open,
    Over,
}

/// A namespace that it joins, or has joined.
#[derive(Clone, Debug)]
pub struct Place {
    pub join: u64,
    pub id: Option<String>,
}

/// What it knows of a socket that it could find again.
#[derive(Clone, Debug)]
pub struct Held {
    pid: String,
    offset: Option<String>,
    /// The first offset that it saw, and the event that bore it.
    oldest: Option<(String, u64)>,
    card: Card,
}

/// One side of polling.
#[derive(Default)]
struct Line {
    wire: Option<usize>,
    /// Requests that are not answered.
    owed: usize,
    /// The connection has carried an answer.
    is_used: bool,
    request: Vec<u8>,
    body_bytes: usize,
}

struct Ws {
    wire: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Handshake,
    Probing,
    /// The server has answered the probe; polls are being finished.
    Pausing,
    Carrying,
    /// Close frames are on their way.
    Closing,
}

/// What a client works with.
pub struct Env<'a> {
    pub net: &'a mut Net,
    pub model: &'a mut Model,
    pub rng: &'a mut Rng,
    pub now: u64,
    pub tokens: &'a mut u64,
}

impl Client {
    pub fn new(id: usize, style: Style, window: usize, env: &mut Env<'_>) -> Client {
        let session = Session {
            opened_at: env.now,
            homeless_since: Some(env.now),
            is_websocket_only: style.is_websocket,
            ..Session::default()
        };
        env.model.sessions.push(session);
        trace!("client {id} {style:?} window {window}");
        let mut client = Client {
            id,
            style,
            phase: Phase::Fresh,
            sid: String::new(),
            get: Line::default(),
            post: Line::default(),
            ws: None,
            out: VecDeque::new(),
            partial: None,
            places: BTreeMap::new(),
            cards: BTreeMap::new(),
            acks: BTreeMap::new(),
            next_ack: 0,
            asks: Vec::new(),
            window,
            posts_all: false,
            pings_sent: 0,
            pongs_seen: 0,
            has_upgraded: false,
        };
        if style.is_websocket {
            client.open_websocket(env);
        } else {
            client.send_get(env);
        }
        client
    }

    pub fn is_healthy(&self, model: &Model) -> bool {
        model.sessions[self.id].trouble.is_none() && !model.has_crossed(self.id)
    }

    /// Whether the upgrade has not begun, or failed.
    pub fn may_upgrade(&self) -> bool {
        self.phase == Phase::Open && self.ws.is_none()
    }

    fn is_polling(&self) -> bool {
        let is_pausing = self
            .ws
            .as_ref()
            .is_some_and(|ws| ws.stage == Stage::Pausing);
        !self.has_upgraded && !is_pausing
    }

    fn is_carried(&self) -> bool {
        self.ws
            .as_ref()
            .is_some_and(|ws| ws.stage == Stage::Carrying)
    }

    pub fn wires(&self) -> impl Iterator<Item = usize> {
        let ws = self.ws.as_ref().map(|ws| ws.wire);
        [self.get.wire, self.post.wire, ws].into_iter().flatten()
    }

    pub fn websocket(&self) -> Option<usize> {
        self.ws.as_ref().map(|ws| ws.wire)
    }
}

// Reading.
impl Client {
    /// Reads what has arrived, answers it, and sends what waits. Reluctant ones leave some of it.
    pub fn react(&mut self, env: &mut Env<'_>, is_reluctant: bool) {
        let skips = |env: &mut Env<'_>| is_reluctant && env.rng.chance(3);
        if !skips(env) {
            self.read_line(env, true);
        }
        if !skips(env) {
            self.read_line(env, false);
        }
        if !skips(env) {
            self.read_websocket(env);
        }
        if self.phase != Phase::Open || skips(env) {
            return;
        }
        self.finish_upgrade(env);
        if self.is_carried() {
            self.send_frames(env);
        } else if self.is_polling() {
            self.send_polls(env);
        }
    }

    fn line(&mut self, is_get: bool) -> &mut Line {
        if is_get {
            &mut self.get
        } else {
            &mut self.post
        }
    }

    fn read_line(&mut self, env: &mut Env<'_>, is_get: bool) {
        let Some(wire) = self.line(is_get).wire else {
            return;
        };
        while let Some(answer) = codec::take_answer(&mut env.net.wires[wire].arrived) {
            let line = self.line(is_get);
            assert!(line.owed > 0, "an answer to nothing: {answer:?}");
            line.owed -= 1;
            line.is_used = true;
            let reconnects = self.style.reconnects;
            if (reconnects || answer.is_last) && self.line(is_get).owed == 0 {
                env.net.end(wire, End::Eof);
                *self.line(is_get) = Line::default();
            }
            self.hear_answer(env, is_get, answer);
            if self.line(is_get).wire != Some(wire) {
                return;
            }
        }
        if !env.net.wires[wire].is_ended {
            return;
        }
        env.net.end(wire, End::Eof);
        let line = std::mem::take(self.line(is_get));
        if line.owed == 0 || self.phase == Phase::Over {
            return;
        }
        let is_stalled = env.model.sessions[self.id].trouble.stalled;
        let is_slow = is_stalled || env.model.is_tight();
        if line.is_used && line.owed == 1 && !is_slow {
            // It was closed for idleness when the request was on its way: HTTP's own race. Who reads
            // slowly may have missed the answer, and does not know.
            trace!("client {} sends again", self.id);
            let wire = env.net.connect(self.window);
            env.net.send(wire, &line.request);
            let line = Line {
                wire: Some(wire),
                owed: 1,
                is_used: false,
                ..line
            };
            *self.line(is_get) = line;
            return;
        }
        self.ended(env, "a request was not answered");
    }

    fn hear_answer(&mut self, env: &mut Env<'_>, is_get: bool, answer: Answer) {
        let body = String::from_utf8_lossy(&answer.body);
        trace!(
            "client {} {} {} {body:.200}",
            self.id,
            if is_get { "GET" } else { "POST" },
            answer.status
        );
        if answer.status == 400 && is_get && self.is_carried() {
            // It came after the upgrade that a hasty client did not wait with.
            return;
        }
        if answer.status == 400 && !is_get && self.get.owed > 0 {
            // The last words may still be on their way.
            return;
        }
        if answer.status != 200 {
            return self.ended(env, &format!("{} {body}", answer.status));
        }
        if !is_get {
            return assert_eq!(body, "ok", "the answer to a POST");
        }
        let packets = codec::packets(&answer.body);
        let session = &env.model.sessions[self.id];
        // What a session that ends at once still has goes in one answer.
        let is_ending = session.over.is_some() || session.is_closed_by_server;
        assert!(
            packets.len() <= env.model.limits.packets_per_answer_max.max(2) || is_ending,
            "{} packets in one answer",
            packets.len()
        );
        for packet in packets {
            self.hear_packet(env, packet);
        }
    }

    fn read_websocket(&mut self, env: &mut Env<'_>) {
        let Some(ws) = &mut self.ws else { return };
        let wire = ws.wire;
        if ws.stage == Stage::Handshake {
            let Some(answer) = codec::take_answer(&mut env.net.wires[wire].arrived) else {
                return self.lose_websocket_if_ended(env, wire);
            };
            if answer.status != 101 {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                env.net.end(wire, End::Eof);
                self.ws = None;
                // The polls will tell why.
                if !self.style.is_websocket {
                    return;
                }
                return self.ended(env, &format!("{} {body}", answer.status));
            }
            ws.stage = if self.style.is_websocket {
                Stage::Carrying
            } else {
                Stage::Probing
            };
            if ws.stage == Stage::Probing {
                self.send_frame(env, 0x1, b"2probe");
            }
        }
        // A hasty client may get frames before its last poll is answered: they come later.
        while !self.is_carried() || self.get.owed == 0 {
            let Some(frame) = codec::take_frame(&mut env.net.wires[wire].arrived) else {
                // A part of one is lost, once the connection has ended.
                let at = &mut env.net.wires[wire];
                if at.is_ended {
                    at.arrived.clear();
                }
                break;
            };
            self.hear_frame(env, frame);
            if self.websocket() != Some(wire) {
                return;
            }
        }
        self.lose_websocket_if_ended(env, wire);
    }

    fn lose_websocket_if_ended(&mut self, env: &mut Env<'_>, wire: usize) {
        let at = &env.net.wires[wire];
        if at.is_ended && (at.arrived.is_empty() || self.phase == Phase::Over) {
            env.net.end(wire, End::Eof);
            let stage = self.ws.take().map(|ws| ws.stage);
            let carries = self.has_upgraded || self.style.is_websocket;
            trace!("client {} lost its WebSocket, {stage:?}", self.id);
            if carries {
                self.ended(env, "the WebSocket ended");
            }
        }
    }

    fn hear_frame(&mut self, env: &mut Env<'_>, frame: codec::Frame) {
        match frame.opcode {
            0x1 => {
                let text = String::from_utf8(frame.payload).expect("text frames are UTF-8");
                self.hear_websocket_text(env, text);
            }
            0x2 => {
                assert!(!self.style.is_base64, "binary that was to be base64");
                self.hear_packet(env, Packet::Binary(frame.payload));
            }
            0x8 => {
                let ws = self.ws.as_mut().expect("frames come over it");
                let was_closing =
                    std::mem::replace(&mut ws.stage, Stage::Closing) == Stage::Closing;
                trace!("client {} got a close frame {:?}", self.id, frame.payload);
                if !was_closing {
                    self.send_frame(env, 0x8, &frame.payload);
                    if self.phase != Phase::Over && self.has_upgraded {
                        self.ended(env, "a close frame");
                    }
                }
            }
            0xA => {
                // Of several pings only the last must be answered (RFC 6455 §5.5.3).
                let number = frame.payload.try_into().map(u64::from_be_bytes);
                let number = number.expect("a pong repeats its ping");
                assert!(number > self.pongs_seen && number <= self.pings_sent);
                self.pongs_seen = number;
            }
            opcode => panic!("a frame with opcode {opcode:#x}"),
        }
    }

    fn hear_websocket_text(&mut self, env: &mut Env<'_>, text: String) {
        let ws = self.ws.as_mut().expect("frames come over it");
        match ws.stage {
            Stage::Probing => {
                assert_eq!(text, "3probe");
                ws.stage = Stage::Pausing;
            }
            Stage::Carrying => self.hear_packet(env, Packet::Text(text)),
            Stage::Closing => {}
            stage => panic!("{text} while {stage:?}"),
        }
    }

    fn hear_packet(&mut self, env: &mut Env<'_>, packet: Packet) {
        if self.phase == Phase::Over {
            return;
        }
        let text = match packet {
            Packet::Binary(data) => return self.hear_attachment(env, data),
            Packet::Text(text) if text.starts_with('b') => {
                assert!(self.style.is_base64, "base64 that nobody asked for");
                return self.hear_attachment(env, codec::base64(&text.as_bytes()[1..]));
            }
            Packet::Text(text) => text,
        };
        assert_ne!(text, "", "an empty packet");
        match text.as_bytes()[0] {
            b'0' => {
                assert_eq!(self.phase, Phase::Fresh);
                self.sid = text[9..29].to_owned();
                self.phase = Phase::Open;
                self.has_upgraded = self.style.is_websocket;
            }
            b'1' => self.ended(env, "a close packet"),
            b'2' => {
                assert_eq!(text, "2");
                if !env.model.sessions[self.id].trouble.silent {
                    env.model.sessions[self.id].last_pong = Some(env.now);
                    self.out.push_back(Packet::Text("3".to_owned()));
                }
            }
            b'4' => {
                assert!(self.partial.is_none(), "a text among attachments: {text}");
                let packet = Sio::parse(&text[1..]);
                if packet.attachments > 0 {
                    self.partial = Some((packet, Vec::new()));
                } else {
                    self.hear_sio(env, &packet, &[]);
                }
            }
            b'6' => assert_eq!(text, "6"),
            _ => panic!("client {} received {text:?}", self.id),
        }
    }

    fn hear_attachment(&mut self, env: &mut Env<'_>, data: Vec<u8>) {
        let (packet, blobs) = self.partial.as_mut().expect("an attachment has its packet");
        blobs.push(data);
        if blobs.len() == packet.attachments {
            let (packet, blobs) = self.partial.take().expect("it was there");
            self.hear_sio(env, &packet, &blobs);
        }
    }

    fn hear_sio(&mut self, env: &mut Env<'_>, packet: &Sio, blobs: &[Vec<u8>]) {
        trace!("client {} <- {:.200}", self.id, packet.text());
        let (what, join) = env.model.received(self.id, packet, blobs, &self.acks);
        // What belongs to an earlier join of the same namespace changes nothing.
        let place = self.places.get_mut(&*packet.namespace);
        let place = place.filter(|place| Some(place.join) == join);
        match what {
            What::Connect(id) => {
                if let Some(place) = place {
                    place.id = Some(id.clone());
                    self.hold_card(packet, id, env.model.keeping.is_some());
                }
            }
            What::Refusal | What::Disconnect => {
                if place.is_some() {
                    self.places.remove(&*packet.namespace);
                    self.asks
                        .retain(|(namespace, ..)| *namespace != packet.namespace);
                }
            }
            What::Event { token, is_ask, .. } => {
                if let (true, Some(held)) = (place.is_some(), self.cards.get_mut(&packet.namespace))
                {
                    held.note(packet, token);
                }
                if is_ask {
                    let id = packet.id.expect("an ask has an id");
                    self.asks.push((packet.namespace.clone(), id, token));
                    if self.style.is_prompt {
                        self.answer_ask(env, false);
                    }
                }
            }
            What::Ack { event, .. } => {
                let id = packet.id.expect("it was compared");
                let known = self.acks.remove(&(packet.namespace.clone(), id));
                assert_eq!(known, Some(event), "an acknowledgement came twice");
            }
        }
    }

    /// What it waits for, and the id of its next event.
    pub fn asked(&self) -> (BTreeMap<(String, u64), u64>, u64) {
        (self.acks.clone(), self.next_ack)
    }

    /// Goes on with the ids of its former connection: late answers may come over this one.
    pub fn go_on_asking(&mut self, (acks, next_ack): (BTreeMap<(String, u64), u64>, u64)) {
        (self.acks, self.next_ack) = (acks, next_ack);
    }

    /// It has joined, and is told how to find this place again.
    fn hold_card(&mut self, packet: &Sio, id: String, is_due: bool) {
        let json: serde_json::Value = serde_json::from_str(&packet.json).expect("JSON");
        let pid = json.get("pid").map(|pid| pid.as_str().expect("text"));
        assert_eq!(pid.is_some(), is_due, "{}", packet.json);
        let Some(pid) = pid.map(str::to_owned) else {
            return;
        };
        // Official clients go on with the last offset that they saw, whoever they are now.
        let old = self.cards.remove(&packet.namespace);
        if let Some(old) = old.as_ref().filter(|old| old.card.socket == id) {
            assert_eq!(old.pid, pid, "the same socket, another secret");
        }
        let (offset, oldest, last) = old.map_or((None, None, None), |old| {
            (old.offset, old.oldest, old.card.last)
        });
        let card = Card { socket: id, last };
        let held = Held {
            pid,
            offset,
            oldest,
            card,
        };
        self.cards.insert(packet.namespace.clone(), held);
    }

    /// The server ended the session, which needs a reason.
    fn ended(&mut self, env: &mut Env<'_>, how: &str) {
        if self.phase == Phase::Over {
            return;
        }
        trace!("client {} ended by the server: {how}", self.id);
        let model = &*env.model;
        let session = &model.sessions[self.id];
        let timeout = model.limits.connect_timeout;
        let is_homeless = session
            .homeless_since
            .is_some_and(|since| since + timeout <= env.now);
        let undecided = session.opened_at + model.limits.decision_timeout;
        let is_undecided = self.phase == Phase::Fresh && undecided <= env.now;
        let is_explained = session.is_closed_by_server
            || session.over.is_some()
            || model.is_shut
            || model.is_ending
            || model.limits.is_squeezed
            || is_homeless
            || is_undecided
            || model.is_over_limit(self.id)
            || !self.is_healthy(model);
        assert!(
            is_explained,
            "client {} was ended without a reason: {how}",
            self.id
        );
        // It goes without a word that the server would hear.
        if model.is_over_limit(self.id) || model.is_ending || model.limits.is_squeezed {
            env.model.sessions[self.id].trouble.dropped = true;
        }
        self.phase = Phase::Over;
        self.out.clear();
        for line in [&mut self.get, &mut self.post] {
            if let Some(wire) = line.wire.take() {
                env.net.end(wire, End::Eof);
            }
            *line = Line::default();
        }
    }
}

// Writing.
impl Client {
    fn target(&self, transport: &str) -> String {
        let sid = if self.sid.is_empty() {
            String::new()
        } else {
            format!("&sid={}", self.sid)
        };
        let b64 = if self.style.is_base64 { "&b64=1" } else { "" };
        let id = self.id;
        format!("/socket.io/?EIO=4&transport={transport}{sid}{b64}&client={id}")
    }

    fn send_get(&mut self, env: &mut Env<'_>) {
        let target = self.target("polling");
        let close = if self.style.says_close {
            "Connection: close\r\n"
        } else {
            ""
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\n{close}\r\n");
        self.send_request(env, true, request.into_bytes());
    }

    fn send_request(&mut self, env: &mut Env<'_>, is_get: bool, request: Vec<u8>) {
        let window = self.window;
        let line = self.line(is_get);
        if line.owed == 0 && line.wire.is_some_and(|wire| !env.net.is_open(wire)) {
            *line = Line::default();
        }
        let wire = *line.wire.get_or_insert_with(|| env.net.connect(window));
        line.owed += 1;
        env.net.send(wire, &request);
        line.request = request;
    }

    fn send_polls(&mut self, env: &mut Env<'_>) {
        if self.get.owed == 0 {
            self.send_get(env);
        }
        if self.style.pipelines && self.get.owed == 1 {
            self.send_get(env);
        }
        if self.post.owed > 0 || self.out.is_empty() {
            return;
        }
        let max = if self.posts_all {
            usize::MAX
        } else if self.style.is_slow_poster {
            1
        } else {
            1 + env.rng.below(12)
        };
        let packets = self.out.drain(..max.min(self.out.len())).collect();
        let (request, body_bytes) = self.post_of(env, packets);
        self.send_request(env, false, request);
        self.post.body_bytes = body_bytes;
    }

    /// A POST of these packets, and how many bytes its body has.
    fn post_of(&self, env: &mut Env<'_>, packets: VecDeque<Packet>) -> (Vec<u8>, usize) {
        let mut payload = Vec::new();
        for packet in packets {
            packet.put_in_payload(&mut payload);
        }
        let target = self.target("polling");
        let close = if self.style.says_close {
            "Connection: close\r\n"
        } else {
            ""
        };
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: here\r\n{close}\
             Content-Type: text/plain;charset=UTF-8\r\n"
        );
        let mut request = head.into_bytes();
        let head_bytes;
        if self.style.is_chunked {
            head_bytes = request.len() + "Transfer-Encoding: chunked\r\n\r\n".len();
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in payload.chunks(1 + env.rng.below(40)) {
                request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                request.extend_from_slice(chunk);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        } else {
            let length = format!("Content-Length: {}\r\n\r\n", payload.len());
            request.extend_from_slice(length.as_bytes());
            head_bytes = request.len();
            request.extend_from_slice(&payload);
        }
        let body_bytes = request.len() - head_bytes;
        (request, body_bytes)
    }

    fn open_websocket(&mut self, env: &mut Env<'_>) {
        let wire = env.net.connect(self.window);
        let target = self.target("websocket");
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        env.net.send(wire, request.as_bytes());
        self.ws = Some(Ws {
            wire,
            stage: Stage::Handshake,
        });
    }

    fn send_frame(&mut self, env: &mut Env<'_>, opcode: u8, payload: &[u8]) {
        let mut bytes = Vec::new();
        let mut rest = payload;
        let mut opcode = opcode;
        while self.style.fragments && opcode < 0x8 && env.rng.chance(3) {
            let at = env.rng.below(rest.len() + 1);
            let mask = env.rng.mask();
            codec::put_frame(&mut bytes, false, opcode, &rest[..at], mask);
            (rest, opcode) = (&rest[at..], 0x0);
            if env.rng.chance(4) {
                self.pings_sent += 1;
                let number = self.pings_sent.to_be_bytes();
                codec::put_frame(&mut bytes, true, 0x9, &number, mask);
            }
        }
        let mask = env.rng.mask();
        codec::put_frame(&mut bytes, true, opcode, rest, mask);
        let wire = self.websocket().expect("frames go over it");
        env.net.send(wire, &bytes);
    }

    fn send_frames(&mut self, env: &mut Env<'_>) {
        if self.post.owed > 0 {
            return;
        }
        while let Some(packet) = self.out.pop_front() {
            match packet {
                Packet::Text(ref text) => self.send_frame(env, 0x1, text.as_bytes()),
                Packet::Binary(_) if self.style.is_base64 => {
                    let mut text = Vec::new();
                    packet.put_in_payload(&mut text);
                    self.send_frame(env, 0x1, &text);
                }
                Packet::Binary(ref data) => self.send_frame(env, 0x2, data),
            }
        }
    }

    fn finish_upgrade(&mut self, env: &mut Env<'_>) {
        let Some(ws) = self.ws.as_mut().filter(|ws| ws.stage == Stage::Pausing) else {
            return;
        };
        let is_posted = match self.post.wire {
            Some(wire) if self.post.owed > 0 => {
                self.style.is_hasty && env.net.is_being_heard(wire, self.post.body_bytes)
            }
            _ => true,
        };
        let is_polled = self.get.owed == 0 || self.style.is_hasty;
        if is_polled && is_posted {
            ws.stage = Stage::Carrying;
            self.has_upgraded = true;
            trace!("client {} upgrades", self.id);
            self.send_frame(env, 0x1, b"5");
        }
    }
}

// What scripts ask of it.
impl Client {
    pub fn upgrade(&mut self, env: &mut Env<'_>) {
        trace!("client {} begins to upgrade", self.id);
        self.open_websocket(env);
    }

    /// Ends the WebSocket that is tried, however far it has come.
    pub fn drop_probe(&mut self, env: &mut Env<'_>, end: End) {
        if self.has_upgraded {
            return;
        }
        if let Some(ws) = self.ws.take() {
            trace!("client {} drops its probe", self.id);
            env.net.end(ws.wire, end);
        }
    }

    pub fn join(&mut self, env: &mut Env<'_>, namespace: &'static str, mut hello: Hello) {
        let join = hello.join;
        let card = self.show_card(env, namespace, &mut hello);
        let entry = Join {
            client: self.id,
            card,
            ..Join::default()
        };
        env.model.joins.insert(join, entry);
        if env.model.limits.is_squeezed {
            env.model.sessions[self.id].refusals.push(LooseRefusal {
                namespace: namespace.to_owned(),
                join: Some(join),
                is_certain: false,
            });
        }
        self.places.insert(namespace, Place { join, id: None });
        let json = serde_json::to_string(&hello).expect("a hello is JSON");
        self.send_sio(0, namespace, None, json, Vec::new());
    }

    /// Shows what it holds, mostly as it is.
    fn show_card(
        &mut self,
        env: &mut Env<'_>,
        namespace: &'static str,
        hello: &mut Hello,
    ) -> Option<Card> {
        let held = self.cards.get(namespace)?.clone();
        hello.pid = Some(held.pid);
        hello.offset = held.offset;
        match env.rng.below(16) {
            0 => {
                hello.pid = Some("AAAAAAAAAAAAAAAAAAAA".to_owned());
                None
            }
            1 => {
                hello.offset = Some("no offset".to_owned());
                None
            }
            2 => {
                hello.offset = None;
                Some(Card {
                    last: None,
                    ..held.card
                })
            }
            3 | 4 => {
                let (offset, last) = held.oldest.unzip();
                hello.offset = offset;
                Some(Card { last, ..held.card })
            }
            _ => Some(held.card),
        }
    }

    pub fn join_nowhere(&mut self, env: &mut Env<'_>) {
        env.model.sessions[self.id].refusals.push(LooseRefusal {
            namespace: "/nowhere".to_owned(),
            join: None,
            is_certain: true,
        });
        self.send_sio(0, "/nowhere", None, String::new(), Vec::new());
    }

    pub fn leave(&mut self, env: &mut Env<'_>, namespace: &'static str) {
        let Some(place) = self.places.remove(namespace) else {
            return;
        };
        self.tell(env, place.join, Sent::Leave);
        self.asks.retain(|(at, ..)| at != namespace);
        self.send_sio(1, namespace, None, String::new(), Vec::new());
    }

    /// Sends an event that makes the server do something, or one that it passes on.
    pub fn event(
        &mut self,
        env: &mut Env<'_>,
        namespace: &'static str,
        load: Load,
        commands: Option<Vec<Command>>,
        wants_ack: bool,
    ) {
        let Some(place) = self.places.get(namespace) else {
            return;
        };
        let join = place.join;
        *env.tokens += 1;
        let token = *env.tokens;
        let places = places(load);
        let text = serde_json::to_string(&pad(token, load)).expect("text is JSON");
        let json = match commands {
            Some(commands) => {
                let commands = serde_json::to_string(&commands).expect("commands are JSON");
                format!("[\"do\",{token},{text},{places},{commands}]")
            }
            None => format!("[\"pass\",{token},{text},{places}]"),
        };
        let id = wants_ack.then_some(self.next_ack);
        if let Some(id) = id {
            self.next_ack += 1;
            self.acks.insert((namespace.to_owned(), id), token);
            let join = env.model.joins.get_mut(&join).expect("it was sent");
            join.wants_ack.insert(token);
        }
        self.tell(env, join, Sent::Event(token));
        let blobs = (0..load.blobs).map(|index| blob(token, index)).collect();
        self.send_sio(2, namespace, id, json, blobs);
    }

    /// Answers one of the asks; twice, if it is told to.
    pub fn answer_ask(&mut self, env: &mut Env<'_>, is_twice: bool) {
        if self.asks.is_empty() {
            return;
        }
        let (namespace, id, token) = self.asks.remove(env.rng.below(self.asks.len()));
        let Some(place) = self.places.get(&*namespace) else {
            return;
        };
        let join = place.join;
        for _ in 0..1 + usize::from(is_twice) {
            let load = Load {
                pad: env.rng.below(9),
                blobs: if env.rng.chance(4) {
                    1 + env.rng.below(2)
                } else {
                    0
                },
            };
            let text = serde_json::to_string(&pad(token, load)).expect("text is JSON");
            let json = format!("[{token},{text},{}]", places(load));
            let blobs = (0..load.blobs).map(|index| blob(token, index)).collect();
            self.tell(env, join, Sent::Answer(token));
            self.send_sio(3, &namespace, Some(id), json, blobs);
        }
    }

    fn tell(&mut self, env: &mut Env<'_>, join: u64, sent: Sent) {
        trace!("client {} join {join} sends {sent:?}", self.id);
        let join = env.model.joins.get_mut(&join).expect("it was sent");
        join.sent.push_back(sent);
    }

    fn send_sio(
        &mut self,
        kind: u8,
        namespace: &str,
        id: Option<u64>,
        json: String,
        blobs: Vec<Vec<u8>>,
    ) {
        let kind = if blobs.is_empty() { kind } else { kind + 3 };
        let packet = Sio {
            kind,
            attachments: blobs.len(),
            namespace: namespace.to_owned(),
            id,
            json,
        };
        self.out.push_back(Packet::Text(packet.text()));
        self.out.extend(blobs.into_iter().map(Packet::Binary));
    }

    /// Says goodbye in the way of its transport.
    pub fn say_goodbye(&mut self, env: &mut Env<'_>) {
        trace!("client {} says goodbye", self.id);
        env.model.sessions[self.id].trouble.left = true;
        self.phase = Phase::Over;
        if let Some(wire) = self.websocket().filter(|_| self.has_upgraded) {
            if env.rng.chance(2) {
                self.send_frame(env, 0x1, b"1");
            } else {
                self.send_frame(env, 0x8, &1000_u16.to_be_bytes());
            }
            self.ws.as_mut().expect("it is there").stage = Stage::Closing;
            if env.rng.chance(2) {
                env.net.end(wire, End::Eof);
            }
            return;
        }
        self.style.is_chunked = false;
        self.out.clear();
        self.out.push_back(Packet::Text("1".to_owned()));
        if self.post.owed == 0 {
            self.send_polls(env);
        } else {
            // The POST that is under way is cut off instead.
            self.drop_all(env, End::Eof);
        }
    }

    /// Ends every connection.
    pub fn drop_all(&mut self, env: &mut Env<'_>, end: End) {
        trace!("client {} drops everything, {end:?}", self.id);
        env.model.sessions[self.id].trouble.dropped = true;
        self.phase = Phase::Over;
        for wire in self.wires().collect::<Vec<_>>() {
            env.net.end(wire, end);
        }
    }

    /// Asks twice at once, as a broken proxy may, and is not heard of again.
    pub fn double_poll(&mut self, env: &mut Env<'_>) {
        self.go_wild(env, "polls twice");
        let target = self.target("polling");
        let wire = env.net.connect(self.window);
        let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n");
        env.net.send(wire, request.as_bytes());
    }

    /// Sends its last POST again over another connection.
    pub fn double_post(&mut self, env: &mut Env<'_>) {
        self.go_wild(env, "posts twice");
        let wire = env.net.connect(self.window);
        env.net.send(wire, &self.post.request);
    }

    /// Sends what it has to say in two POSTs, over two connections that carry them as they like.
    pub fn reorder_posts(&mut self, env: &mut Env<'_>) {
        self.go_wild(env, "posts in disorder");
        let at = env.rng.below(self.out.len() + 1);
        let mut halves = [self.out.split_off(at), std::mem::take(&mut self.out)];
        if env.rng.chance(2) {
            halves.reverse();
        }
        for packets in halves {
            let request = self.post_of(env, packets);
            let wire = env.net.connect(self.window);
            env.net.send(wire, &request.0);
        }
    }

    fn go_wild(&mut self, env: &mut Env<'_>, how: &str) {
        trace!("client {} {how}", self.id);
        let session = &mut env.model.sessions[self.id];
        session.trouble.faulty = true;
        session.trouble.dropped = true;
        session.is_disorderly = true;
        self.phase = Phase::Over;
    }

    /// Ends one of its connections, and never uses the others again.
    pub fn drop_one(&mut self, env: &mut Env<'_>, end: End) {
        trace!("client {} drops one connection, {end:?}", self.id);
        env.model.sessions[self.id].trouble.dropped = true;
        self.phase = Phase::Over;
        let wires: Vec<_> = self.wires().collect();
        if !wires.is_empty() {
            env.net.end(env.rng.pick(&wires), end);
        }
    }

    /// Sends something that ends its session.
    pub fn misbehave(&mut self, env: &mut Env<'_>) {
        const FAULTS: [&str; 8] = [
            "48",
            "42/elsewhere,[\"x\"]",
            "42[\"connect\"]",
            "42{}",
            "451-[\"x\",{\"_placeholder\":true,\"num\":7}]",
            "9",
            "2",
            "44{}",
        ];
        let fault = FAULTS[env.rng.below(FAULTS.len())];
        trace!("client {} sends {fault:?}", self.id);
        env.model.sessions[self.id].trouble.faulty = true;
        self.out.push_back(Packet::Text(fault.to_owned()));
        if fault.starts_with("451") {
            self.out.push_back(Packet::Binary(vec![1]));
        }
    }

    /// Whether what it sends now leaves at once, over a connection that is there.
    pub fn is_free(&self, net: &Net) -> bool {
        let has_post = self.post.wire.is_some_and(|wire| net.is_open(wire));
        let can_post = self.is_polling() && self.post.owed == 0 && has_post;
        self.phase == Phase::Open && (can_post || self.is_carried())
    }

    /// Everything has arrived.
    pub fn check_settled(&self) {
        let is_open = self.phase == Phase::Open;
        assert!(
            !is_open || self.pings_sent == self.pongs_seen,
            "client {} waits for a pong",
            self.id
        );
        assert!(
            !is_open || self.out.is_empty(),
            "client {} could not send",
            self.id
        );
    }
}

impl Held {
    /// An event has come, perhaps with its offset.
    fn note(&mut self, packet: &Sio, token: u64) {
        let list: Vec<serde_json::Value> =
            serde_json::from_str(&packet.json).expect("packets are JSON");
        if let Some(offset) = list.get(4) {
            let offset = offset.as_str().expect("it was compared").to_owned();
            self.oldest.get_or_insert_with(|| (offset.clone(), token));
            self.offset = Some(offset);
            self.card.last = Some(token);
        }
    }
}

fn places(load: Load) -> String {
    let place = |n: usize| format!("{{\"_placeholder\":true,\"num\":{n}}}");
    let places: Vec<_> = (0..load.blobs).map(place).collect();
    format!("[{}]", places.join(","))
}
