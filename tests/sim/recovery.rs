//! What the reference knows of connection state recovery: the events that are replayed, who may
//! come back, and who must be able to.
//!
//! What always holds: the log has every event of the game, in order; what the server may have
//! forgotten of it is said by time and by the limits, not by what it holds.

use std::collections::BTreeSet;

use emio::Reason;

use super::{
    app::{Load, To},
    model::{LooseRefusal, Model, Presence, Sent, Socket, What},
};

/// What the configuration says of it.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    pub duration: u64,
    pub skips_middleware: bool,
    /// The log or the list of those that may come back are so short that either may forget.
    pub is_narrow: bool,
}

/// An event that can be replayed.
pub struct Logged {
    at: u64,
    namespace: String,
    to: To,
    name: &'static str,
    token: u64,
    load: Load,
}

/// How far a socket has come, in places of the log.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Where it joined: what came before is not for it.
    joined: usize,
    first_sent: Option<usize>,
    last_sent: Option<usize>,
    /// Where and when it left, and whether it may come back.
    left: Option<(usize, u64)>,
    is_kept: bool,
    /// The rooms that it was in.
    rooms: BTreeSet<String>,
}

/// What a CONNECT shows: whose socket it was, and the last event that was received over it.
#[derive(Clone, Debug)]
pub struct Card {
    pub socket: String,
    pub last: Option<u64>,
}

/// Whether a socket finds its place again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chance {
    Must,
    May,
    Never,
}

impl Way {
    pub fn starting(at: usize) -> Way {
        Way {
            joined: at,
            ..Way::default()
        }
    }

    /// Whether it has left, and is not forgotten.
    pub fn is_away(&self) -> bool {
        self.is_kept
    }
}

// What is sent.
impl Model {
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// Enters an event into the log, and notes to whom it was sent.
    pub fn log(&mut self, event: (&str, &To, &'static str, u64, Load), receivers: &[String]) {
        let (namespace, to, name, token, load) = event;
        let at = self.log.len();
        self.places.insert(token, at);
        self.log.push(Logged {
            at: self.now,
            namespace: namespace.to_owned(),
            to: to.clone(),
            name,
            token,
            load,
        });
        for id in receivers {
            let way = &mut self.socket(id).way;
            way.first_sent.get_or_insert(at);
            way.last_sent = Some(at);
        }
    }

    /// A socket has begun to leave.
    pub fn note_leaving(&mut self, id: &str) {
        let left = (self.log.len(), self.now);
        self.socket(id).way.left = Some(left);
    }

    /// A socket has left: it may come back, or not.
    pub fn keep(&mut self, id: &str, reason: Reason) {
        let is_kept = self.keeping.is_some() && reason.is_recoverable();
        let socket = self.socket(id);
        socket.way.is_kept = is_kept;
        if is_kept {
            socket.presence = Presence::Away;
            socket.way.rooms = socket.rooms.clone();
        } else {
            socket.presence = Presence::Gone;
            socket.rooms.clear();
        }
    }

    /// A socket that was joining is not let in, for now or for ever.
    pub fn turn_away(socket: &mut Socket) {
        if socket.way.is_kept {
            socket.presence = Presence::Away;
            socket.rooms = socket.way.rooms.clone();
        } else {
            socket.presence = Presence::Gone;
            socket.rooms.clear();
        }
    }

    /// The server has forgotten somebody.
    pub fn expired(&mut self, id: &str) {
        let keeping = self.keeping.expect("only what is kept expires");
        let now = self.now;
        let socket = self.socket(id);
        // Or its client went away while it was coming back, which nobody is told.
        let is_away = matches!(socket.presence, Presence::Away | Presence::Joining);
        assert!(is_away, "{id} expired, and is {:?}", socket.presence);
        let (_, since) = socket.way.left.expect("it has left");
        let is_due = since + keeping.duration <= now;
        assert!(is_due || keeping.is_narrow, "{id} expired too early");
        socket.way.is_kept = false;
        // It may have been refused just before, because nobody judged it in time.
        if socket.presence == Presence::Joining {
            let refusal = LooseRefusal {
                namespace: socket.namespace.clone(),
                join: Some(socket.join),
                is_certain: false,
            };
            let client = socket.client;
            self.sessions[client].refusals.push(refusal);
        }
        let socket = self.socket(id);
        socket.presence = Presence::Gone;
        socket.rooms.clear();
    }
}

// Who comes back.
impl Model {
    /// Somebody is judged under an id that was there before.
    pub fn returning(&mut self, id: &str, client: usize, join: u64) {
        let card = self.joins[&join].card.clone();
        let card = card.unwrap_or_else(|| panic!("join {join} shows nothing, and gets {id}"));
        assert_eq!(card.socket, id, "join {join} is taken for somebody else");
        assert_ne!(self.chance(&card), Chance::Never, "{id} comes back");
        let now = self.now;
        let socket = self.socket(id);
        (socket.client, socket.join, socket.judged_at) = (client, join, now);
        socket.presence = Presence::Joining;
        self.sessions[client].has_returned = true;
    }

    /// Somebody is judged as new, who showed a card.
    pub fn check_newcomer(&self, join: u64) {
        if let Some(card) = &self.joins[&join].card {
            let chance = self.chance(card);
            let socket = &self.sockets[&card.socket];
            assert_ne!(chance, Chance::Must, "{card:?} is not let back: {socket:?}");
        }
    }

    /// It is back: what it missed comes first.
    pub fn welcome_back(&mut self, id: &str, join: u64) {
        let card = self.joins[&join].card.clone();
        let card = card.expect("it was looked at");
        let after = self.after(&card);
        let socket = &self.sockets[id];
        let is_missed = |logged: &&Logged| {
            logged.namespace == socket.namespace && means(&logged.to, id, &socket.way.rooms)
        };
        let missed: Vec<_> = self.log[after..].iter().filter(is_missed).collect();
        let last = missed.last().map(|logged| self.places[&logged.token]);
        let missed: Vec<_> = missed
            .iter()
            .map(|logged| What::Event {
                name: logged.name,
                token: logged.token,
                load: logged.load,
                is_ask: false,
            })
            .collect();
        super::totals::count_return(missed.len());
        for what in missed {
            self.owe(id, what, false);
        }
        let socket = self.socket(id);
        socket.way.is_kept = false;
        if last.is_some() {
            socket.way.last_sent = last;
            socket.way.first_sent = socket.way.first_sent.or(last);
        }
    }

    /// The place in the log from which on a card's owner missed what was for it.
    fn after(&self, card: &Card) -> usize {
        let way = &self.sockets[&card.socket].way;
        let (left, _) = way.left.expect("it has left");
        let after = match card.last {
            Some(token) => match self.places[&token] {
                at if way.last_sent.is_none_or(|last| at >= last) => left.max(at + 1),
                at => at + 1,
            },
            None => way.first_sent.unwrap_or(left),
        };
        after.max(way.joined)
    }

    /// Whether what it missed was forgotten while its middleware took its time: then its session
    /// is closed.
    pub fn comes_too_late(&mut self, id: &str) -> bool {
        let socket = &self.sockets[id];
        let (join, client) = (socket.join, socket.client);
        let card = self.joins[&join].card.clone();
        let is_late = self.is_forgotten(&card.expect("it was looked at"));
        if is_late {
            Model::turn_away(self.socket(id));
            self.sessions[client].trouble.faulty = true;
        }
        is_late
    }

    /// Whether some of what its owner missed is too old to be remembered.
    fn is_forgotten(&self, card: &Card) -> bool {
        let duration = self.keeping.map_or(0, |keeping| keeping.duration);
        let next = self.log.get(self.after(card));
        next.is_some_and(|logged| logged.at + duration < self.now)
    }

    fn chance(&self, card: &Card) -> Chance {
        let (Some(keeping), Some(socket)) = (self.keeping, self.sockets.get(&card.socket)) else {
            return Chance::Never;
        };
        // One that tries to come back may be replaced by the next one of the same client, or leave
        // before it is judged, which nobody is told.
        let has_left = self.joins[&socket.join].sent.contains(&Sent::Leave);
        let is_replaced = has_left || self.sessions[socket.client].trouble.replaced;
        match socket.presence {
            Presence::Away => {}
            Presence::Joining if socket.way.is_kept && is_replaced => return Chance::May,
            _ => return Chance::Never,
        }
        let (_, since) = socket.way.left.expect("it has left");
        if since + keeping.duration <= self.now {
            return Chance::Never;
        }
        if self.is_forgotten(card) {
            return Chance::Never;
        }
        if keeping.is_narrow {
            Chance::May
        } else {
            Chance::Must
        }
    }
}

/// Whether an event is for a socket that was in these rooms when it left.
fn means(to: &To, id: &str, rooms: &BTreeSet<String>) -> bool {
    let is_in = |room: &String| rooms.contains(room) || room == id;
    match to {
        To::One(one) => one == id,
        To::Rooms {
            rooms: to,
            except,
            but,
        } => {
            but.as_deref() != Some(id)
                && (to.is_empty() || to.iter().any(is_in))
                && !except.iter().any(is_in)
        }
    }
}
