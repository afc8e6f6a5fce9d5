//! A client that reads what it is sent at once: over a WebSocket, or by polling.

use std::collections::VecDeque;

use emio::SocketId;
use serde_json::Value;

use super::PREFIXES;
use crate::{
    wire::{self, put_frame},
    world::{End, World},
};

pub struct Client {
    pub is_websocket: bool,
    pub is_open: bool,
    /// Its socket in each namespace, as the model numbers them.
    pub members: [Option<usize>; 2],
    /// The id of the socket that has joined last.
    pub joined: Option<SocketId>,
    /// Tokens, by namespace.
    pub heard: Vec<(usize, u32)>,
    pub questions: VecDeque<Question>,
    /// The connection it reads from, and the one it posts to.
    get: usize,
    post: usize,
    sid: String,
    is_polling: bool,
    /// Of an event whose attachment has not come.
    owed: Option<u32>,
}

/// What it was asked.
pub struct Question {
    pub namespace: usize,
    pub id: u64,
    pub token: u32,
}

impl Client {
    pub fn connect(world: &mut World, is_websocket: bool) -> Client {
        let get = world.connect().expect("connections are not limited");
        let mut client = Client {
            is_websocket,
            is_open: true,
            members: [None; 2],
            joined: None,
            heard: Vec::new(),
            questions: VecDeque::new(),
            get,
            post: get,
            sid: String::new(),
            is_polling: false,
            owed: None,
        };
        if is_websocket {
            world.send(get, &wire::upgrade(&wire::target("websocket", None)));
        } else {
            let target = wire::target("polling", None);
            world.send(get, &wire::request("GET", &target, ""));
            client.is_polling = true;
            client.post = world.connect().expect("connections are not limited");
        }
        world.settle();
        client.listen(world);
        assert_eq!(client.sid.len(), 20, "it was let in");
        client
    }

    /// Sends a packet of Socket.IO, with the `4` of its message.
    pub fn say(&mut self, world: &mut World, packet: &str) {
        self.say_raw(world, packet);
    }

    /// Sends a packet of Engine.IO.
    pub fn say_raw(&mut self, world: &mut World, packet: &str) {
        if self.is_websocket {
            let mut frame = Vec::new();
            put_frame(&mut frame, 0x81, packet.as_bytes());
            world.send(self.get, &frame);
            return;
        }
        if !world.is_open(self.post) {
            self.post = world.connect().expect("connections are not limited");
        }
        let target = wire::target("polling", Some(&self.sid));
        world.send(self.post, &wire::post(&target, packet.as_bytes()));
        // What it has to say matters only if it is refused.
        world.settle();
        let answered = std::mem::take(&mut world.wire(self.post).received);
        let answer = wire::take_answer(&mut &answered[..]).expect("it is answered");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub fn end(&mut self, world: &mut World, end: End) {
        world.end(self.get, end);
    }

    /// Reads what there is; whether it has sent something because of it.
    pub fn listen(&mut self, world: &mut World) -> bool {
        let received = std::mem::take(&mut world.wire(self.get).received);
        let mut rest = &received[..];
        let mut has_reacted = false;
        if !self.is_websocket || self.sid.is_empty() {
            while let Some(answer) = wire::take_answer(&mut rest) {
                self.is_polling = false;
                match answer.status {
                    101 => break,
                    200 => {
                        let payload = std::str::from_utf8(&answer.body).expect("packets are text");
                        for packet in payload.split('\x1e') {
                            has_reacted |= self.hear(world, packet);
                        }
                    }
                    400 => self.is_open = false,
                    status => panic!("{status}"),
                }
            }
        }
        if self.is_websocket {
            while let Some(frame) = wire::take_frame(&mut rest) {
                match frame.opcode {
                    1 => {
                        let text = std::str::from_utf8(&frame.payload).expect("text is UTF-8");
                        has_reacted |= self.hear(world, text);
                    }
                    2 => {
                        let token = self.owed.take().expect("an attachment of nothing");
                        assert_eq!(frame.payload, token.to_be_bytes());
                    }
                    8 => self.is_open = false,
                    opcode => panic!("opcode {opcode}"),
                }
            }
        }
        assert!(rest.is_empty(), "a part of an answer or a frame");
        has_reacted | self.poll(world)
    }

    fn poll(&mut self, world: &mut World) -> bool {
        if self.is_websocket || self.is_polling || !self.is_open {
            return false;
        }
        if !world.is_open(self.get) {
            self.get = world.connect().expect("connections are not limited");
        }
        let target = wire::target("polling", Some(&self.sid));
        world.send(self.get, &wire::request("GET", &target, ""));
        self.is_polling = true;
        true
    }

    /// One packet of Engine.IO.
    fn hear(&mut self, world: &mut World, packet: &str) -> bool {
        let Some(first) = packet.chars().next() else {
            panic!("an empty packet");
        };
        let data = &packet[1..];
        match first {
            '0' => {
                let open: Value = serde_json::from_str(data).expect("the open packet is JSON");
                self.sid = open["sid"].as_str().expect("it has an id").to_owned();
            }
            '1' => self.is_open = false,
            '2' => {
                self.say_raw(world, "3");
                return true;
            }
            '4' => self.hear_packet(data),
            '6' => {}
            'b' => drop(self.owed.take().expect("an attachment of nothing")),
            _ => panic!("{packet}"),
        }
        false
    }

    /// One packet of Socket.IO.
    fn hear_packet(&mut self, packet: &str) {
        assert_eq!(self.owed, None, "an attachment is missing");
        let (kind, rest) = packet.split_at(1);
        let rest = match kind {
            "5" => rest.strip_prefix("1-").expect("there is one attachment"),
            _ => rest,
        };
        let namespace = usize::from(rest.starts_with('/'));
        let rest = rest
            .strip_prefix(PREFIXES[namespace])
            .expect("a namespace of ours");
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        let json = || serde_json::from_str::<Value>(json).expect("it is JSON");
        match kind {
            "0" => {
                let id = json()["sid"].as_str().and_then(SocketId::parse);
                self.joined = Some(id.expect("it has an id"));
            }
            "1" => assert!(rest.is_empty()),
            "2" | "5" => {
                let event = json();
                let token = event[1].as_u64().expect("it has a token") as u32;
                self.heard.push((namespace, token));
                if event[0] == "q" {
                    let id = id.parse().expect("it is to be answered");
                    self.questions.push_back(Question {
                        namespace,
                        id,
                        token,
                    });
                } else {
                    assert_eq!((event[0].as_str(), id), (Some("e"), ""));
                }
                self.owed = (kind == "5").then_some(token);
            }
            _ => panic!("{packet}"),
        }
    }
}
