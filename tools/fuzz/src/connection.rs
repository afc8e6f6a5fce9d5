//! Whole connections into a server that uses all of emio: raw bytes, requests, frames, ends of
//! either kind, a kernel that takes a few bytes, time, and what the application does meanwhile.
//!
//! What always holds: what the server writes is well-formed; each handler is told what its promise
//! says, and once; when everyone has left nothing is left.

mod handlers;

use std::time::Duration;

use emio::{
    Config, Cors, InitialPacket, KeepHeaders, Overflow, Recovery, Refusal, Response, Volatile,
};

use crate::{
    app::{self, Guide},
    input::Input,
    wire::{self, Frame, put_frame},
    world::{End, World},
};

/// A configuration, then actions.
pub fn connection(data: &[u8]) {
    let mut input = Input::new(data);
    let (config, options) = configure(&mut input);
    let mut game = Game {
        world: World::new(Guide::default(), config, |crank| {
            handlers::prepare(crank, options)
        }),
        sids: Vec::new(),
        looked_at: Vec::new(),
    };
    for _ in 0..ACTIONS_MAX {
        if input.is_empty() {
            break;
        }
        game.act(&mut input);
        game.look();
    }
    game.finish();
}

/// Small limits, so that they are met.
fn configure(input: &mut Input<'_>) -> (Config, u8) {
    let (bits, more, options) = (input.byte(), input.byte(), input.byte());
    let is = |bit: u8| bits & 1 << bit != 0;
    let also = |bit: u8| more & 1 << bit != 0;
    let mut config = Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        serve_client: is(0),
        allow_upgrades: !is(1) || is(2),
        ..Config::default()
    };
    if is(2) {
        config.ping_interval = Duration::from_secs(25);
        config.ping_timeout = Duration::from_secs(20);
    }
    if is(3) {
        config.head_bytes_max = 400;
        config.max_payload = 300;
        config.packets_per_payload_max = 4;
        config.attachment_bytes_max = 40;
        config.attachments_max = 2;
    }
    if is(4) {
        config.backlog_bytes_max = 500;
        config.backlog_bytes_process_max = 2_000;
        config.overflow = if is(5) {
            Overflow::DropNewest
        } else {
            Overflow::Close
        };
        config.packets_per_answer_max = 2;
    }
    if is(6) {
        config.incoming_bytes_max = 1_000;
        config.handshake_bytes_max = 600;
        config.sessions_max = 3;
        config.connections_per_ip_max = 5;
    }
    if is(7) {
        config.volatile = Volatile::Latest;
        config.inputs_per_turn_max = 2;
        config.sends_per_turn_max = 3;
    }
    if also(0) {
        config.recovery = Some(Recovery {
            duration: Duration::from_secs(5),
            skip_middlewares: also(1),
            log_bytes_max: 500,
            sessions_max: 2,
        });
    }
    if also(2) {
        config.keep_headers = match also(3) {
            true => KeepHeaders::All,
            false => KeepHeaders::Named(vec!["cookie".to_owned()]),
        };
    }
    if also(4) {
        config.rooms_per_socket_max = 2;
        config.pending_acks_max = 2;
        config.joining_packets_max = 2;
        config.namespaces_per_client_max = 2;
        config.dynamic_namespaces_max = 1;
        config.name_bytes_max = 10;
        config.json_depth_max = 4;
        config.mailbox_max = 2;
    }
    if also(5) {
        config.cors = Some(Cors::origins(["http://here"]));
        config.cookie = Some(emio::Cookie::default());
        config.headers = vec![("X-Every".to_owned(), "answer".to_owned())];
    }
    if also(6) {
        config.initial_packet = Some(InitialPacket::from("hello"));
    }
    if also(7) {
        config.compression_threshold = Some(20);
    }
    (config, options)
}

struct Game {
    world: World,
    /// Of all sessions that clients were told of.
    sids: Vec<String>,
    /// How much of each connection's output was searched for ids.
    looked_at: Vec<usize>,
}

impl Game {
    fn act(&mut self, input: &mut Input<'_>) {
        let first = input.byte();
        let (kind, wire) = (first & 15, usize::from(first >> 4));
        if kind == 0 || self.world.wires() == 0 {
            self.connect();
            return;
        }
        let wire = wire % self.world.wires();
        match kind {
            1 | 2 => {
                let bytes = self.named(input.piece());
                self.world.send(wire, &bytes);
            }
            3 => {
                let sid = self.sid(input);
                let target = wire::target("polling", sid.as_deref());
                self.world
                    .send(wire, &wire::request("GET", &target, ENCODINGS));
            }
            4 => {
                let sid = self.sid(input);
                let payload = self.named(input.piece());
                let target = wire::target("polling", sid.as_deref());
                self.world.send(wire, &wire::post(&target, &payload));
            }
            5 => {
                let sid = self.sid(input);
                let target = wire::target("websocket", sid.as_deref());
                self.world.send(wire, &wire::upgrade(&target));
            }
            6 => {
                let first = input.byte();
                let mut frame = Vec::new();
                put_frame(&mut frame, first, input.piece());
                self.world.send(wire, &frame);
            }
            7 => {
                let mut frame = Vec::new();
                put_frame(&mut frame, 0x81, &[b"4", input.piece()].concat());
                self.world.send(wire, &frame);
            }
            8 => {
                let packet = PACKETS[input.below(PACKETS.len())];
                self.world.send(wire, &wire::text_frame(packet));
            }
            9 => self.world.send(wire, &wire::upgrade("/live")),
            10 => {
                let end = if input.byte() & 1 == 0 {
                    End::Eof
                } else {
                    End::Reset
                };
                self.world.end(wire, end);
            }
            11 => {
                let room = match input.byte() {
                    255 => usize::MAX,
                    room => usize::from(room) * 4,
                };
                self.world.let_write(wire, room);
            }
            12 => {
                let root = u64::from(input.byte());
                self.world.advance(Duration::from_millis(root * root));
            }
            13 => self.intervene(input),
            14 => return self.world.turn(),
            // What follows comes in the same turn.
            _ => return,
        }
        if input.byte() & 1 == 0 {
            self.world.settle();
        }
    }

    fn connect(&mut self) {
        if self.world.wires() < WIRES_MAX {
            self.world.connect();
        }
    }

    /// `SID0` to `SID9` stand for ids that nobody can guess.
    fn named(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut named, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
        while let Some((&byte, behind)) = rest.split_first() {
            let digit = rest.strip_prefix(b"SID").and_then(|rest| rest.first());
            let digit = digit.filter(|digit| digit.is_ascii_digit());
            let sid = digit.and_then(|digit| self.sids.get(usize::from(digit - b'0')));
            if let Some(sid) = sid {
                named.extend_from_slice(sid.as_bytes());
                rest = &rest[4..];
            } else {
                named.push(byte);
                rest = behind;
            }
        }
        named
    }

    /// One of the sessions, or none for a handshake.
    fn sid(&self, input: &mut Input<'_>) -> Option<String> {
        let index = usize::from(input.byte());
        self.sids.get(index.checked_sub(1)?).cloned()
    }

    /// Notes the ids that clients were told.
    fn look(&mut self) {
        const MARK: &[u8] = b"0{\"sid\":\"";
        self.looked_at.resize(self.world.wires(), 0);
        for (wire, looked_at) in self.looked_at.iter_mut().enumerate() {
            let received = &self.world.wire(wire).received;
            let fresh = &received[*looked_at..];
            let marks = fresh.windows(MARK.len()).enumerate();
            for (at, _) in marks.filter(|(_, window)| *window == MARK) {
                // A namespace's answer has a socket's id: `40{"sid":"`.
                let is_session = at == 0 || fresh[at - 1] != b'4';
                let sid = fresh.get(at + MARK.len()..at + MARK.len() + 20);
                if let Some(sid) = sid.filter(|_| is_session && self.sids.len() < 20) {
                    self.sids.push(String::from_utf8_lossy(sid).into_owned());
                }
            }
            *looked_at = received.len();
        }
    }

    /// What the application does without being asked by a client.
    fn intervene(&mut self, input: &mut Input<'_>) {
        let handle = self.world.crank.handle();
        let (kind, which) = (input.byte(), input.byte());
        let app = self.world.crank.app();
        // A mailbox that is full, or closed, is an answer too.
        match kind % 16 {
            0 => drop(handle.emit("news", (which, "text"))),
            1 => drop(
                handle
                    .to("r")
                    .except("s")
                    .emit("news", emio::Bytes::from([which; 3])),
            ),
            2 => drop(handle.of("/a").to(["r", "s"]).volatile().emit("news", ())),
            3 => drop(app.decisions.pop().map(|decision| decision.allow())),
            4 => {
                let refusal = Refusal::new("no").with_data(which);
                drop(app.decisions.pop().map(|decision| decision.refuse(refusal)));
            }
            5 => drop(app.decisions.pop()),
            6 => drop(app.acks.pop().map(|ack| ack.reply((which, "late")))),
            7 => {
                let response = Response::bytes("text/plain", vec![b'='; usize::from(which)]);
                drop(
                    app.responders
                        .pop()
                        .map(|responder| responder.respond(response)),
                );
            }
            8 => drop(app.responders.pop()),
            9 => drop(handle.run(move |_, io| io.to("r").disconnect_sockets(which & 1 == 0))),
            10 => drop(handle.run(|_, io| io.sockets_join(["r", "t"]))),
            11 => drop(handle.run(|_, io| {
                for id in io.sockets() {
                    io.socket(id)
                        .expect("it is connected")
                        .expires_in(Duration::from_secs(31));
                }
            })),
            12 => drop(handle.run(|app, io| {
                for id in &app.websockets {
                    io.websocket(*id).send_text("news");
                }
            })),
            13 => drop(handle.run(move |app, io| {
                for id in &app.websockets {
                    io.websocket(*id).close(u16::from(which) * 20);
                }
            })),
            14 => drop(handle.shutdown(Duration::from_millis(u64::from(which) * 10))),
            _ => drop(handle.close()),
        }
    }

    fn finish(mut self) {
        let app = self.world.crank.app();
        app.is_over = true;
        app.decisions.clear();
        app.acks.clear();
        app.responders.clear();
        self.world.finish();
        let app = self.world.crank.app();
        app.is_done();
        for wire in 0..self.world.wires() {
            is_well_formed(&self.world.wire(wire).received);
        }
        drop(self.world);
        assert_eq!(app::living(), 0, "data of sockets");
    }
}

fn is_well_formed(received: &[u8]) {
    let written = wire::read(received);
    let is_session = written.frames.first().is_some_and(is_open);
    let mut owed = 0;
    for Frame { opcode, payload } in &written.frames {
        if *opcode == 1 {
            let text = std::str::from_utf8(payload).expect("a text is UTF-8");
            if is_session {
                owed = packet(text, owed);
            }
        }
        if *opcode == 2 && is_session {
            assert_ne!(owed, 0, "an attachment of nothing");
            owed -= 1;
        }
    }
    for answer in written.answers.iter().filter(|it| it.status == 200) {
        if is_open_text(&answer.body) {
            let body = std::str::from_utf8(&answer.body).expect("a payload is text");
            body.split('\x1e').fold(0, |owed, text| packet(text, owed));
        }
    }
}

fn is_open(frame: &Frame) -> bool {
    frame.opcode == 1 && is_open_text(&frame.payload)
}

fn is_open_text(text: &[u8]) -> bool {
    text.starts_with(b"0{")
}

/// A packet of the server; returns how many attachments are to follow.
fn packet(text: &str, owed: usize) -> usize {
    let Some(packet) = text.strip_prefix('4') else {
        assert!(text.starts_with(['0', '1', '2', '3', '6']), "{text}");
        return owed;
    };
    if packet == "hello" {
        return owed;
    }
    assert_eq!(owed, 0, "attachments are missing before {text}");
    let kind = packet.as_bytes()[0];
    assert!((b'0'..=b'6').contains(&kind), "{text}");
    if matches!(kind, b'2' | b'5') {
        assert!(emio::fuzzing::sio_packet(packet).is_some(), "{text}");
    }
    let count = packet[1..].split_once('-').map(|(count, _)| count.parse());
    match count {
        Some(Ok(count)) if kind >= b'5' => count,
        _ => {
            assert!(kind < b'5', "{text}");
            0
        }
    }
}

/// What a client that is no longer there may have sent: packets that reach every handler.
const PACKETS: [&str; 40] = [
    "40",
    "40{\"token\":1}",
    "40/a,",
    "40/a,{\"later\":true}",
    "40/d-1,",
    "40/nobody,",
    "41",
    "41/a,",
    "42[\"echo\",1,\"two\",{\"three\":[3]}]",
    "421[\"echo\"]",
    "422[\"ack\",1,null]",
    "423[\"later\"]",
    "42[\"join\",\"r\"]",
    "42[\"join\",\"s\"]",
    "42[\"leave\",\"r\"]",
    "42[\"to\",\"r\",\"x\"]",
    "42[\"to\",\"s\",\"r\"]",
    "42[\"all\",\"x\"]",
    "42[\"volatile\",\"x\"]",
    "42[\"ask\"]",
    "42[\"ask all\"]",
    "42[\"typed\",\"text\",7]",
    "42[\"typed\",7]",
    "42[\"fetch\"]",
    "42[\"out\"]",
    "42[\"close\"]",
    "42[\"cut\"]",
    "42[\"fail\"]",
    "42[\"burst\",20]",
    "42[\"timer\",100]",
    "42[\"expire\",200]",
    "42/a,[\"echo\",1]",
    "42/a,[\"all\",\"x\"]",
    "430[1]",
    "431[2]",
    "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]",
    "42[\"$stream\",\"up\",{\"$stream\":\"a\",\"options\":{}}]",
    "42[\"$stream\",\"down\",{\"$stream\":\"b\",\"options\":{}}]",
    "42[\"$stream-read\",\"b\",100]",
    "451-5[\"$stream-write\",\"a\",{\"_placeholder\":true,\"num\":0},\"buffer\"]",
];

const ENCODINGS: &str = "Accept-Encoding: gzip, deflate\r\nOrigin: http://here\r\n";
const WIRES_MAX: usize = 12;
const ACTIONS_MAX: usize = 200;
