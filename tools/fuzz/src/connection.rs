//! Whole connections into a server that uses all of emio: raw bytes, requests, frames, ends of
//! either kind, a kernel that takes a few bytes, time, and what the application does meanwhile.
//!
//! What always holds: what the server writes is well-formed; each handler is told what its promise
//! says, and once; when everyone has left nothing is left.

mod config;
mod handlers;
mod output;
mod packets;
mod parser;

use std::time::Duration;

use emio::{Refusal, Response};

use self::packets::PACKETS;
use crate::{
    app::{self, Guide},
    input::Input,
    wire::{self, put_frame},
    world::{End, World},
};

/// A configuration, then actions.
pub fn connection(data: &[u8]) {
    let mut input = Input::new(data);
    let (config, options) = config::configure(&mut input);
    let mut game = Game {
        world: World::new(Guide::default(), config, |crank| {
            handlers::prepare(crank, options)
        }),
        sids: Vec::new(),
        pids: Vec::new(),
        offsets: Vec::new(),
        looked_at: Vec::new(),
        tells_rooms: options & 1 != 0,
        has_parser: options & 1 << 5 != 0,
    };
    for _ in 0..ACTIONS_MAX {
        if input.is_empty() {
            break;
        }
        game.act(&mut input);
        game.look();
        game.compare();
    }
    game.finish();
}

struct Game {
    world: World,
    /// Of all sessions that clients were told of.
    sids: Vec<String>,
    /// Of all sockets that may come back, and how far they have come.
    pids: Vec<String>,
    offsets: Vec<String>,
    /// How much of each connection's output was searched for ids.
    looked_at: Vec<usize>,
    /// The application hears of every change of a room.
    tells_rooms: bool,
    /// Packets are written by a parser of the application's.
    has_parser: bool,
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
            1..=9 => {
                let bytes = self.written(kind, input);
                self.world.send(wire, &bytes);
            }
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
            _ => {
                let packet = self.returning(input);
                self.world.send(wire, &wire::text_frame(&packet));
            }
        }
        // Otherwise what follows comes in the same turn.
        if input.byte() & 1 == 0 {
            self.world.settle();
        }
    }

    /// What a client writes: anything, a request, or a frame.
    fn written(&self, kind: u8, input: &mut Input<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        match kind {
            1 | 2 => return self.named(input.piece()),
            3 => {
                let target = wire::target("polling", self.sid(input));
                return wire::request("GET", &target, ENCODINGS);
            }
            4 => {
                let target = wire::target("polling", self.sid(input));
                return wire::post(&target, &self.named(input.piece()));
            }
            5 => return wire::upgrade(&wire::target("websocket", self.sid(input))),
            6 => put_frame(&mut bytes, input.byte(), input.piece()),
            7 => put_frame(&mut bytes, 0x81, &[b"4", input.piece()].concat()),
            8 => {
                let packet = PACKETS[input.below(PACKETS.len())];
                put_frame(&mut bytes, 0x81, packet.as_bytes());
            }
            _ => return wire::upgrade("/live"),
        }
        bytes
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
    fn sid(&self, input: &mut Input<'_>) -> Option<&str> {
        let index = usize::from(input.byte());
        self.sids.get(index.checked_sub(1)?).map(|sid| &**sid)
    }

    /// A CONNECT of one who was there before.
    fn returning(&self, input: &mut Input<'_>) -> String {
        let (pid, offset) = (usize::from(input.byte()), usize::from(input.byte()));
        let namespace = ["", "/a,"][pid / 128];
        let pid = self.pids.get(pid % 16).map_or("nobody", |pid| pid);
        match self.offsets.get(offset) {
            Some(offset) => format!("40{namespace}{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}"),
            None => format!("40{namespace}{{\"pid\":\"{pid}\"}}"),
        }
    }

    /// Notes the secrets that clients were told.
    fn look(&mut self) {
        self.looked_at.resize(self.world.wires(), 0);
        for (wire, looked_at) in self.looked_at.iter_mut().enumerate() {
            let received = &self.world.wire(wire).received;
            let fresh = String::from_utf8_lossy(&received[*looked_at..]);
            note(&fresh, "0{\"sid\":\"", &mut self.sids);
            note(&fresh, "\"pid\":\"", &mut self.pids);
            if let Some((_, offset)) = fresh
                .rsplit_once("\"]")
                .and_then(|(it, _)| it.rsplit_once('"'))
            {
                self.offsets.push(offset.to_owned());
            }
            *looked_at = received.len();
        }
    }

    /// What the application was told is what there is.
    fn compare(&mut self) {
        let stats = self.world.crank.stats();
        let app = self.world.crank.app();
        // Some have not joined yet.
        assert!(app.connected.len() as u64 <= stats.sockets, "sockets");
        assert!(
            !self.tells_rooms || app.rooms.len() as u64 == stats.rooms,
            "rooms"
        );
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
            output::is_well_formed(&self.world.wire(wire).received, self.has_parser);
        }
        drop(self.world);
        assert_eq!(app::living(), 0, "data of sockets");
    }
}

/// Notes what stands behind each `mark`: an id.
fn note(text: &str, mark: &str, ids: &mut Vec<String>) {
    for (at, _) in text.match_indices(mark) {
        // `40{"sid":"` tells a socket's id, which is no secret.
        let is_secret = !text[..at].ends_with('4');
        let id = text.get(at + mark.len()..at + mark.len() + 20);
        ids.extend(
            id.filter(|_| is_secret && ids.len() < IDS_MAX)
                .map(str::to_owned),
        );
    }
}

const ENCODINGS: &str = "Accept-Encoding: gzip, deflate\r\nOrigin: http://here\r\n";
const WIRES_MAX: usize = 12;
const IDS_MAX: usize = 20;
const ACTIONS_MAX: usize = 200;
