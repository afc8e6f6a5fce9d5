//! The model: who is in which room, who waits for whom, and what each must hear. It knows nothing
//! of connections and packets.

use std::collections::{BTreeMap, BTreeSet};

use emio::{Io, SocketId};

use super::plan::{ASK_MS, Kind, Op, Plan, Whom};
use crate::app::Guide;

#[derive(Default)]
pub struct Model {
    members: Vec<Member>,
    asked: Vec<Asked>,
    gatherings: Vec<Gathering>,
    timers: Vec<Timer>,
    /// What the application must have been told.
    told: Vec<Told>,
    lost: BTreeSet<usize>,
    tokens: u32,
    now: u64,
}

/// A socket.
struct Member {
    client: usize,
    namespace: usize,
    id: SocketId,
    rooms: BTreeSet<String>,
    is_in: bool,
    /// What it has not heard yet.
    expected: Vec<Expected>,
}

#[derive(Debug)]
struct Expected {
    token: u32,
    /// It may be dropped.
    is_volatile: bool,
}

struct Asked {
    token: u32,
    member: usize,
    due: u64,
}

struct Gathering {
    token: u32,
    due: u64,
    waiting: BTreeSet<usize>,
    answers: Vec<u32>,
    missing: u32,
}

struct Timer {
    due: u64,
    whom: Whom,
    token: u32,
}

/// What an application is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Came(SocketId),
    Gone(SocketId),
    /// By token; without a value there will be none.
    Answered(u32, Option<u32>),
    /// The answers of all, or those that came and how many are missing.
    All(u32, Result<Vec<u32>, (Vec<u32>, u32)>),
    Fetched(u32, Vec<SocketId>),
}

/// The rooms of each socket, and those that each namespace lists.
#[derive(Debug, Default, PartialEq)]
pub struct View {
    sockets: BTreeMap<SocketId, BTreeSet<String>>,
    rooms: Vec<(String, BTreeSet<String>)>,
}

/// What the server shows.
pub fn view(io: Io<'_, Guide>) -> View {
    let mut view = View::default();
    for io in io.namespaces() {
        for id in io.sockets() {
            let peer = io.socket(id).expect("it is listed");
            view.sockets.insert(id, peer.rooms().into_iter().collect());
        }
        let rooms = io.rooms().map(str::to_owned).collect();
        view.rooms.push((io.name().to_owned(), rooms));
    }
    view.rooms.sort();
    view
}

// Looking.
impl Model {
    pub fn count(&self) -> usize {
        self.members.len()
    }

    pub fn ids(&self) -> Vec<SocketId> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub fn id(&self, member: usize) -> SocketId {
        self.members[member].id
    }

    pub fn namespace(&self, member: usize) -> usize {
        self.members[member].namespace
    }

    /// The id of a member that is still there.
    pub fn living(&self, member: usize) -> Option<SocketId> {
        let member = self.members.get(member)?;
        member.is_in.then_some(member.id)
    }

    pub fn is_lost(&self, client: usize) -> bool {
        self.lost.contains(&client)
    }

    pub fn token(&mut self) -> u32 {
        self.tokens += 1;
        self.tokens
    }

    fn reached(&self, whom: &Whom) -> Vec<usize> {
        let is_reached = |at: usize| {
            let member = &self.members[at];
            let is_in =
                |room: &String| member.rooms.contains(room) || member.id.to_string() == *room;
            member.is_in
                && member.namespace == whom.namespace
                && (whom.rooms.is_empty() || whom.rooms.iter().any(is_in))
                && !whom.except.iter().any(is_in)
                && whom.from != Some(at)
        };
        (0..self.members.len())
            .filter(|&at| is_reached(at))
            .collect()
    }
}

// What happens.
impl Model {
    pub fn enter(&mut self, client: usize, namespace: usize, id: SocketId) -> usize {
        self.told.push(Told::Came(id));
        self.members.push(Member {
            client,
            namespace,
            id,
            rooms: BTreeSet::new(),
            is_in: true,
            expected: Vec::new(),
        });
        self.members.len() - 1
    }

    pub fn perform(&mut self, plan: &Plan) {
        // Those who are there when the handler runs can be spoken to.
        let there: Vec<_> = self.members.iter().map(|member| member.is_in).collect();
        let mut fetched = Vec::new();
        for op in &plan.ops {
            self.follow(op, &there, &mut fetched);
        }
        // Told when the handler has returned.
        for (whom, token) in fetched {
            let reached = self.reached(&whom).into_iter();
            let mut ids: Vec<_> = reached.map(|at| self.members[at].id).collect();
            ids.sort_unstable();
            self.told.push(Told::Fetched(token, ids));
        }
    }

    fn follow(&mut self, op: &Op, there: &[bool], fetched: &mut Vec<(Whom, u32)>) {
        let about = match op {
            Op::Emit(whom, ..)
            | Op::AskAll(whom, _)
            | Op::Fetch(whom, _)
            | Op::Later(whom, ..)
            | Op::JoinAll(whom, _)
            | Op::LeaveAll(whom, _)
            | Op::OutAll(whom, _) => whom.from,
            Op::Ask(member, _)
            | Op::Join(member, _)
            | Op::Leave(member, _)
            | Op::Out(member, _)
            | Op::Cut(member) => Some(*member),
        };
        if about.is_some_and(|member| !there[member]) {
            return;
        }
        match op {
            Op::Emit(whom, token, kind) => self.emit(whom, *token, *kind == Kind::Volatile),
            Op::Later(whom, token, ms) => self.timers.push(Timer {
                due: self.now + ms,
                whom: whom.clone(),
                token: *token,
            }),
            Op::Fetch(whom, token) => fetched.push((whom.clone(), *token)),
            Op::Ask(member, token) => self.ask(*member, *token),
            Op::AskAll(whom, token) => self.ask_all(whom, *token),
            Op::Join(member, room) => self.join(*member, room),
            Op::Leave(member, room) => drop(self.members[*member].rooms.remove(room)),
            Op::JoinAll(whom, room) => {
                self.reached(whom)
                    .into_iter()
                    .for_each(|member| self.join(member, room));
            }
            Op::LeaveAll(whom, room) => {
                for member in self.reached(whom) {
                    self.members[member].rooms.remove(room);
                }
            }
            Op::Out(member, close) => self.disconnect(*member, *close),
            Op::OutAll(whom, close) => {
                let reached = self.reached(whom).into_iter();
                reached.for_each(|member| self.disconnect(member, *close));
            }
            Op::Cut(member) if self.members[*member].is_in => {
                self.lose(self.members[*member].client);
            }
            Op::Cut(_) => {}
        }
    }

    pub fn emit(&mut self, whom: &Whom, token: u32, is_volatile: bool) {
        for member in self.reached(whom) {
            self.members[member]
                .expected
                .push(Expected { token, is_volatile });
        }
    }

    fn expect(&mut self, member: usize, token: u32) {
        let is_volatile = false;
        self.members[member]
            .expected
            .push(Expected { token, is_volatile });
    }

    fn ask(&mut self, member: usize, token: u32) {
        if !self.members[member].is_in {
            self.told.push(Told::Answered(token, None));
            return;
        }
        self.expect(member, token);
        let due = self.now + ASK_MS;
        self.asked.push(Asked { token, member, due });
    }

    fn ask_all(&mut self, whom: &Whom, token: u32) {
        let waiting: BTreeSet<_> = self.reached(whom).into_iter().collect();
        for &member in &waiting {
            self.expect(member, token);
        }
        self.gatherings.push(Gathering {
            token,
            due: self.now + ASK_MS,
            waiting,
            answers: Vec::new(),
            missing: 0,
        });
        self.gather();
    }

    fn join(&mut self, member: usize, room: &str) {
        let member = &mut self.members[member];
        if member.is_in && member.id.to_string() != room {
            member.rooms.insert(room.to_owned());
        }
    }

    fn disconnect(&mut self, member: usize, close: bool) {
        if !self.members[member].is_in {
            return;
        }
        match close {
            true => self.lose(self.members[member].client),
            false => self.leave(member),
        }
    }

    /// A socket is gone.
    pub fn leave(&mut self, member: usize) {
        let at = &mut self.members[member];
        at.is_in = false;
        at.rooms.clear();
        self.told.push(Told::Gone(at.id));
        let told = &mut self.told;
        self.asked.retain(|asked| {
            let is_owed = asked.member == member;
            told.extend(is_owed.then_some(Told::Answered(asked.token, None)));
            !is_owed
        });
        for gathering in &mut self.gatherings {
            gathering.missing += u32::from(gathering.waiting.remove(&member));
        }
        self.gather();
    }

    /// A client's connection is over.
    pub fn lose(&mut self, client: usize) {
        self.lost.insert(client);
        for member in 0..self.members.len() {
            if self.members[member].client == client && self.members[member].is_in {
                self.leave(member);
            }
        }
    }

    pub fn lose_all(&mut self) {
        (0..super::CLIENTS_MAX).for_each(|client| self.lose(client));
    }

    pub fn answer(&mut self, member: usize, token: u32, value: u32) {
        let of_one = |asked: &Asked| asked.token == token && asked.member == member;
        if let Some(at) = self.asked.iter().position(of_one) {
            self.asked.remove(at);
            self.told.push(Told::Answered(token, Some(value)));
        }
        let mut gatherings = self.gatherings.iter_mut();
        let Some(gathering) = gatherings.find(|it| it.token == token) else {
            return;
        };
        if gathering.waiting.remove(&member) {
            gathering.answers.push(value);
            self.gather();
        }
    }

    /// Tells those that wait for nobody any more.
    fn gather(&mut self) {
        let told = &mut self.told;
        self.gatherings.retain(|it| {
            let is_complete = it.waiting.is_empty();
            let answers = match it.missing {
                0 => Ok(it.answers.clone()),
                missing => Err((it.answers.clone(), missing)),
            };
            told.extend(is_complete.then_some(Told::All(it.token, answers)));
            !is_complete
        });
    }

    pub fn advance(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        let told = &mut self.told;
        self.asked.retain(|asked| {
            let is_over = asked.due <= now;
            told.extend(is_over.then_some(Told::Answered(asked.token, None)));
            !is_over
        });
        for gathering in self.gatherings.iter_mut().filter(|it| it.due <= now) {
            gathering.missing += gathering.waiting.len() as u32;
            gathering.waiting.clear();
        }
        self.gather();
        self.timers.sort_by_key(|timer| timer.due);
        let is_later = |timer: &Timer| timer.due > now;
        let later = self
            .timers
            .iter()
            .position(is_later)
            .unwrap_or(self.timers.len());
        for timer in self.timers.drain(..later).collect::<Vec<_>>() {
            self.emit(&timer.whom, timer.token, false);
        }
    }
}

// Comparing.
impl Model {
    /// What a client heard, by namespace, since it was last compared.
    pub fn hear(&mut self, client: usize, heard: &[(usize, u32)]) {
        for namespace in 0..super::NAMESPACES.len() {
            let mut heard = heard.iter().filter(|(of, _)| *of == namespace).peekable();
            let is_its = |it: &&mut Member| it.client == client && it.namespace == namespace;
            for member in self.members.iter_mut().filter(is_its) {
                for Expected { token, is_volatile } in member.expected.drain(..) {
                    let is_heard = heard.next_if(|(_, heard)| *heard == token).is_some();
                    assert!(
                        is_heard || is_volatile,
                        "client {client} did not hear {token}"
                    );
                }
            }
            assert_eq!(heard.next(), None, "client {client} heard too much");
        }
    }

    /// What the application was told, and what it sees.
    pub fn compare(&mut self, told: Vec<Told>, view: &View) {
        self.compare_told(told);
        let mut own = View::default();
        for (namespace, name) in super::NAMESPACES.iter().enumerate() {
            let mut rooms = BTreeSet::new();
            for member in &self.members {
                if member.is_in && member.namespace == namespace {
                    own.sockets.insert(member.id, member.rooms.clone());
                    rooms.extend(member.rooms.iter().cloned());
                }
            }
            own.rooms.push(((*name).to_owned(), rooms));
        }
        own.rooms.sort();
        assert_eq!(*view, own);
    }

    /// In no order: what ends together is told one after the other.
    pub fn compare_told(&mut self, mut told: Vec<Told>) {
        let mut own = std::mem::take(&mut self.told);
        told.sort();
        own.sort();
        assert_eq!(told, own);
    }
}
