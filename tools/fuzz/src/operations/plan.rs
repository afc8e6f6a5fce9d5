//! What a handler asks for: read from the fuzzer's bytes, performed by the server, and followed by
//! the model.

use std::time::Duration;

use emio::{Bytes, Io, Peer, SocketId};

use super::{
    NAMESPACES,
    model::{Model, Told},
};
use crate::{app::Guide, input::Input};

/// Operations of one handler.
#[derive(Clone)]
pub struct Plan {
    pub ops: Vec<Op>,
    /// Of the sockets there ever were, by number.
    ids: Vec<SocketId>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Emit(Whom, u32, Kind),
    Ask(usize, u32),
    AskAll(Whom, u32),
    Fetch(Whom, u32),
    /// The same as `Emit` in so many milliseconds, by a timer.
    Later(Whom, u32, u64),
    Join(usize, String),
    Leave(usize, String),
    JoinAll(Whom, String),
    LeaveAll(Whom, String),
    Out(usize, bool),
    OutAll(Whom, bool),
    Cut(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    Binary,
    Volatile,
}

/// Receivers. No rooms is everyone.
#[derive(Clone, Debug)]
pub struct Whom {
    pub namespace: usize,
    pub rooms: Vec<String>,
    pub except: Vec<String>,
    /// Everyone but this one.
    pub from: Option<usize>,
}

// Reading.
impl Plan {
    pub fn read(input: &mut Input<'_>, model: &mut Model) -> Plan {
        let count = 1 + input.below(6);
        Plan {
            ops: (0..count).map(|_| read_op(input, model)).collect(),
            ids: model.ids(),
        }
    }

    /// Whom another thread sends to, and what.
    pub fn read_post(input: &mut Input<'_>, model: &mut Model) -> (Whom, u32) {
        let whom = Whom {
            from: None,
            ..read_whom(input, model)
        };
        (whom, model.token())
    }
}

fn read_op(input: &mut Input<'_>, model: &mut Model) -> Op {
    let kind = input.byte();
    let (flag, kind) = (kind & 0x80 != 0, kind % 14);
    if kind < 3 {
        let kind = [Kind::Text, Kind::Binary, Kind::Volatile][usize::from(kind)];
        return Op::Emit(read_whom(input, model), model.token(), kind);
    }
    match kind {
        3 => Op::AskAll(read_whom(input, model), model.token()),
        4 => Op::Fetch(read_whom(input, model), model.token()),
        5 => {
            let whom = Whom {
                from: None,
                ..read_whom(input, model)
            };
            Op::Later(whom, model.token(), u64::from(input.byte()) * 10 + 5)
        }
        6 => Op::JoinAll(read_whom(input, model), read_room(input, model)),
        7 => Op::LeaveAll(read_whom(input, model), read_room(input, model)),
        8 => Op::OutAll(read_whom(input, model), flag),
        9 => Op::Ask(read_member(input, model), model.token()),
        10 => Op::Leave(read_member(input, model), read_room(input, model)),
        11 => Op::Out(read_member(input, model), flag),
        12 if flag => Op::Cut(read_member(input, model)),
        _ => Op::Join(read_member(input, model), read_room(input, model)),
    }
}

fn read_whom(input: &mut Input<'_>, model: &Model) -> Whom {
    let bits = input.byte();
    let mut whom = Whom {
        namespace: usize::from(bits & 1),
        rooms: Vec::new(),
        except: Vec::new(),
        from: None,
    };
    for _ in 0..(bits >> 1) & 3 {
        whom.rooms.push(read_room(input, model));
    }
    for _ in 0..(bits >> 3) & 3 {
        whom.except.push(read_room(input, model));
    }
    if bits & 0x20 != 0 {
        let member = read_member(input, model);
        whom.namespace = model.namespace(member);
        whom.from = Some(member);
    }
    whom
}

fn read_member(input: &mut Input<'_>, model: &Model) -> usize {
    input.below(256) % model.count()
}

/// One of a few names, or the id of a socket, which is the name of its own room.
fn read_room(input: &mut Input<'_>, model: &Model) -> String {
    match input.byte() {
        byte if byte & 1 == 0 => {
            ["r", "s", "t", "a longer name"][usize::from(byte >> 1) % 4].into()
        }
        byte => model.id(usize::from(byte >> 1) % model.count()).to_string(),
    }
}

// Performing.
impl Plan {
    pub fn perform(&self, io: Io<'_, Guide>) {
        for op in &self.ops {
            self.ask_for(op, io);
        }
    }

    fn ask_for(&self, op: &Op, io: Io<'_, Guide>) {
        let token_of = |token: u32| ("e", token);
        match op {
            Op::Emit(whom, token, kind) => {
                let Some(to) = self.to(whom, io) else { return };
                let (name, token) = token_of(*token);
                match kind {
                    Kind::Text => to.emit(name, token),
                    Kind::Binary => to.emit(name, (token, Bytes::from(token.to_be_bytes()))),
                    Kind::Volatile => to.volatile().emit(name, token),
                }
            }
            Op::AskAll(whom, token) => {
                let Some(to) = self.to(whom, io) else { return };
                ask_all(to, *token);
            }
            Op::Fetch(whom, token) => {
                let Some(to) = self.to(whom, io) else { return };
                let token = *token;
                to.fetch_sockets(move |app, _, sockets| {
                    let mut ids: Vec<_> = sockets.iter().map(|socket| socket.id).collect();
                    ids.sort_unstable();
                    app.told.push(Told::Fetched(token, ids));
                });
            }
            Op::Later(whom, token, ms) => {
                let (plan, whom, token) = (self.clone(), whom.clone(), *token);
                io.set_timeout(Duration::from_millis(*ms), move |_, io| {
                    let to = plan.to(&whom, io).expect("nobody is excepted");
                    to.emit("e", token);
                });
            }
            Op::JoinAll(whom, room) => {
                let Some(to) = self.to(whom, io) else { return };
                to.sockets_join(room);
            }
            Op::LeaveAll(whom, room) => {
                let Some(to) = self.to(whom, io) else { return };
                to.sockets_leave(room);
            }
            Op::OutAll(whom, close) => {
                let Some(to) = self.to(whom, io) else { return };
                to.disconnect_sockets(*close);
            }
            Op::Ask(member, _)
            | Op::Join(member, _)
            | Op::Leave(member, _)
            | Op::Out(member, _)
            | Op::Cut(member) => {
                if let Some(peer) = self.peer(*member, io) {
                    ask_peer(&peer, op);
                }
            }
        }
    }

    fn peer<'a>(&self, member: usize, io: Io<'a, Guide>) -> Option<Peer<'a, Guide>> {
        let id = self.ids[member];
        io.namespaces().find_map(|io| io.socket(id))
    }

    /// `None` if the one who is excepted is not there.
    fn to<'a>(&self, whom: &Whom, io: Io<'a, Guide>) -> Option<emio::To<'a, Guide>> {
        let to = match whom.from {
            Some(member) => self.peer(member, io)?.broadcast(),
            None => io.of(NAMESPACES[whom.namespace])?.to(Vec::<String>::new()),
        };
        Some(to.to(&whom.rooms).except(&whom.except))
    }
}

fn ask_all(to: emio::To<'_, Guide>, token: u32) {
    let to = to.timeout(Duration::from_millis(ASK_MS));
    to.emit_with_ack("q", token, move |app, _, answers: Result<Vec<u32>, _>| {
        let answers = answers.map_err(|error| (error.answers, error.missing));
        app.told.push(Told::All(token, answers));
    });
}

fn ask_peer(peer: &Peer<'_, Guide>, op: &Op) {
    match op {
        Op::Ask(_, token) => {
            let (token, time) = (*token, Duration::from_millis(ASK_MS));
            peer.emit_with_ack("q", token, time, move |app: &mut Guide, _, answer| {
                let answer = answer.map(|(value,): (u32,)| value);
                app.told.push(Told::Answered(token, answer.ok()));
            });
        }
        Op::Join(_, room) => peer.join(room),
        Op::Leave(_, room) => peer.leave(room),
        Op::Out(_, close) => peer.disconnect(*close),
        Op::Cut(_) => peer.close_connection(),
        _ => unreachable!("the others are not about one socket"),
    }
}

/// Not a multiple of what time is counted in here.
pub const ASK_MS: u64 = 1_005;
