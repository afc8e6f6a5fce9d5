//! The reference: what a Socket.IO server owes its clients, in maps and queues. It follows the
//! application's log and says what each client must receive, in which order; it shares no code with
//! the hub.
//!
//! What always holds: `owed` of a session is everything it is still to receive, over all its
//! namespaces, in order; `sent` of a join is what its client sent and no handler has heard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use emio::{AckError, Reason};

use super::{
    app::{ANSWER, Load, Log, To, blob, pad},
    codec::Sio,
    recovery::{Card, Keeping, Logged, Way},
};

#[derive(Default)]
pub struct Model {
    pub(super) sockets: BTreeMap<String, Socket>,
    pub sessions: Vec<Session>,
    pub joins: BTreeMap<u64, Join>,
    asks: BTreeMap<u64, Ask>,
    /// Joins beyond the limit, which are to be reported.
    rooms_refused: usize,
    /// The event being handled, if its acknowledgement is still to be given.
    unanswered: Option<u64>,
    pub limits: Limits,
    pub(super) now: u64,
    pub volatile_dropped: u64,
    pub overflow_dropped: u64,
    /// Bytes of the largest event.
    pub event_bytes_max: usize,
    /// Whether sockets can come back.
    pub keeping: Option<Keeping>,
    /// Every event that could be replayed, and where each is.
    pub(super) log: Vec<Logged>,
    pub(super) places: BTreeMap<u64, usize>,
    pub is_shut: bool,
    /// Nobody is let in any more, and each is told when its turn comes.
    pub is_ending: bool,
    pub heard_count: u64,
    pub delivered_count: u64,
}

/// What of the configuration the model has to know.
#[derive(Default)]
pub struct Limits {
    pub ping_interval: u64,
    pub ping_timeout: u64,
    pub connect_timeout: u64,
    pub decision_timeout: u64,
    pub backlog_bytes_max: usize,
    pub backlog_bytes_process_max: usize,
    pub pending_acks_max: usize,
    pub rooms_max: usize,
    pub packets_per_answer_max: usize,
    pub namespaces_max: usize,
    pub sessions_max: u64,
    pub incoming_bytes_max: u64,
    /// Events that find a backlog full are dropped; otherwise their client is closed.
    pub drops_events: bool,
    /// The last volatile event waits for its client.
    pub keeps_latest: bool,
    /// Some limit is so small that honest clients meet it, and may be ended for it.
    pub is_squeezed: bool,
}

/// One client's session.
#[derive(Default)]
pub struct Session {
    pub owed: VecDeque<Owed>,
    /// Refusals of namespaces that do not exist: they come at any time.
    pub refusals: Vec<LooseRefusal>,
    /// Why the server says it ended.
    pub over: Option<Reason>,
    pub over_at: u64,
    /// The application ended it, so that what was owed before still comes.
    pub is_closed_by_server: bool,
    pub trouble: Trouble,
    /// When it last had no namespace to be in, or was opened.
    pub homeless_since: Option<u64>,
    pub opened_at: u64,
    pub last_pong: Option<u64>,
    /// When it fell silent or vanished.
    pub silent_since: Option<u64>,
    /// It tried to find its socket again.
    pub has_returned: bool,
    /// It sent something twice, or not in its order.
    pub is_disorderly: bool,
    /// Its backlog may have been full at some time.
    pub was_over: bool,
    pub is_websocket_only: bool,
}

/// What was done to a client, or by it, that excuses the end of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trouble {
    /// It said goodbye.
    pub left: bool,
    /// Its connections were ended or reset.
    pub dropped: bool,
    /// It answers no pings.
    pub silent: bool,
    /// It is connected and does nothing more, or the network carries nothing more.
    pub vanished: bool,
    /// The network stood still for a while, or the client did not read.
    pub stalled: bool,
    /// It broke the protocol.
    pub faulty: bool,
    /// Its client came back over another connection.
    pub replaced: bool,
}

#[derive(Debug)]
pub struct Socket {
    pub client: usize,
    pub join: u64,
    pub namespace: String,
    pub presence: Presence,
    pub judged_at: u64,
    pub rooms: BTreeSet<String>,
    pub way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    Joining,
    Connected,
    Leaving(Option<Reason>),
    /// It has left, and may come back.
    Away,
    Gone,
}

/// One CONNECT of a client.
#[derive(Default)]
pub struct Join {
    pub client: usize,
    pub sent: VecDeque<Sent>,
    /// The server refused or ended it, so that what is on its way breaks the protocol.
    pub is_ended_by_server: bool,
    pub heard: BTreeSet<u64>,
    /// Events with an acknowledgement id.
    pub wants_ack: BTreeSet<u64>,
    /// What it shows to find its socket again.
    pub card: Option<Card>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Event(u64),
    Answer(u64),
    Leave,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    pub join: u64,
    pub namespace: String,
    pub what: What,
    pub is_volatile: bool,
    /// Its client's backlog may have been full.
    is_over: bool,
    has_offset: bool,
    bytes: usize,
}

/// A refusal that comes at any time.
#[derive(Clone, Debug)]
pub struct LooseRefusal {
    pub namespace: String,
    pub join: Option<u64>,
    pub is_certain: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Connect(String),
    Refusal,
    Event {
        name: &'static str,
        token: u64,
        load: Load,
        is_ask: bool,
    },
    Ack {
        event: u64,
        load: Load,
    },
    Disconnect,
}

struct Ask {
    socket: String,
    asked_at: u64,
    millis: u64,
    is_resolved: bool,
}

impl Owed {
    fn is_event(&self) -> bool {
        matches!(self.what, What::Event { .. })
    }

    fn may_drop(&self) -> bool {
        self.is_volatile || self.is_over
    }
}

impl Trouble {
    pub fn is_none(&self) -> bool {
        *self == Trouble::default()
    }
}

// The log.
impl Model {
    pub fn new(limits: Limits, keeping: Option<Keeping>) -> Model {
        Model {
            limits,
            keeping,
            ..Model::default()
        }
    }

    /// What the application did in one turn.
    pub fn follow(&mut self, log: Vec<Log>, now: u64) {
        self.now = now;
        for entry in log {
            trace!("app {entry:?}");
            self.step(entry, now);
        }
        self.unanswered = None;
        self.refuse_undecided(now);
    }

    /// Judgements that did not come in time are refusals.
    fn refuse_undecided(&mut self, now: u64) {
        let limit = self.limits.decision_timeout;
        let joining = self
            .sockets
            .values_mut()
            .filter(|s| s.presence == Presence::Joining);
        for socket in joining.filter(|socket| socket.judged_at + limit <= now) {
            let join = self.joins.get_mut(&socket.join).expect("it was sent");
            join.is_ended_by_server = true;
            Model::turn_away(socket);
            let session = &mut self.sessions[socket.client];
            // A client that is nowhere may have been closed before.
            let closed_at = session
                .homeless_since
                .map(|at| at + self.limits.connect_timeout);
            let is_certain = closed_at.is_none_or(|at| at > socket.judged_at + limit);
            session.homeless_since.get_or_insert(now);
            session.refusals.push(LooseRefusal {
                namespace: socket.namespace.clone(),
                join: Some(socket.join),
                is_certain: is_certain && !join.sent.contains(&Sent::Leave),
            });
        }
    }

    fn step(&mut self, entry: Log, now: u64) {
        match entry {
            Log::Judged {
                socket,
                namespace,
                client,
                join,
                is_last,
            } => {
                self.unanswered = None;
                self.judged(&socket, namespace, client, join, now);
                if is_last {
                    self.accepted(&socket);
                }
            }
            Log::Refused {
                socket,
                namespace,
                client,
                join,
            } => {
                self.judged(&socket, namespace, client, join, now);
                self.refused(&socket, now);
            }
            Log::Joined {
                socket,
                client,
                join,
                is_recovered,
                rooms,
            } => {
                self.unanswered = None;
                if is_recovered && self.socket(&socket).join != join {
                    let keeping = self.keeping.expect("nobody comes back otherwise");
                    assert!(keeping.skips_middleware, "{socket} was not judged");
                    self.returning(&socket, client, join);
                    self.accepted(&socket);
                }
                let state = &self.sockets[&socket];
                assert_eq!(state.presence, Presence::Connected, "joined {socket}");
                assert_eq!(
                    (state.client, state.join),
                    (client, join),
                    "joined {socket}"
                );
                let is_card = |card: &Card| card.socket == socket;
                let came_back = self.joins[&join].card.as_ref().is_some_and(is_card);
                assert_eq!(is_recovered, came_back, "whether {socket} came back");
                assert!(
                    state.rooms.iter().eq(&rooms),
                    "rooms of {socket}: {:?}",
                    state.rooms
                );
            }
            Log::Expired { socket } => self.expired(&socket),
            Log::Heard {
                socket,
                token,
                owner,
                rooms,
                is_good,
            } => {
                self.heard(&socket, token, &owner, &rooms, is_good);
            }
            Log::Answered {
                socket,
                token,
                answer,
            } => self.answered(&socket, token, answer, now),
            Log::Leaving {
                socket,
                reason,
                rooms,
            } => self.leaving(&socket, reason, &rooms, now),
            Log::Left {
                socket,
                reason,
                rooms,
            } => self.left(&socket, reason, &rooms),
            // The limit of rooms of a socket.
            Log::Problem(_) if self.rooms_refused > 0 => self.rooms_refused -= 1,
            Log::Problem(problem) => panic!("a problem was reported: {problem}"),
            other => self.ask_for(other, now),
        }
    }

    /// What a handler asked for.
    fn ask_for(&mut self, entry: Log, now: u64) {
        match entry {
            Log::Emit {
                namespace,
                to,
                name,
                token,
                load,
                volatile,
            } => {
                let what = What::Event {
                    name,
                    token,
                    load,
                    is_ask: false,
                };
                let receivers = self.receivers(&namespace, &to);
                if !volatile && self.is_logged(&to) {
                    self.log((&namespace, &to, name, token, load), &receivers);
                }
                for id in receivers {
                    self.owe(&id, what.clone(), volatile);
                }
            }
            Log::Ask {
                socket,
                token,
                millis,
                load,
            } => self.asked(&socket, token, millis, load, now),
            Log::Reply { socket, load } => {
                if let Some(event) = self.unanswered.take() {
                    if self.is_connected(&socket) {
                        self.owe(&socket, What::Ack { event, load }, false);
                    }
                }
            }
            Log::TakeAck => {
                let taken = self.unanswered.take();
                assert!(taken.is_some(), "an acknowledgement that nobody asked for");
            }
            Log::Join { socket, room } => {
                let rooms_max = self.limits.rooms_max;
                let socket = self.socket(&socket);
                if matches!(socket.presence, Presence::Joining | Presence::Connected) {
                    if socket.rooms.len() >= rooms_max && !socket.rooms.contains(&room) {
                        self.rooms_refused += 1;
                    } else {
                        socket.rooms.insert(room);
                    }
                }
            }
            Log::Leave { socket, room } => {
                let socket = self.socket(&socket);
                // Who has left finds its rooms as they were, whatever is said afterwards.
                if socket.presence != Presence::Away {
                    socket.rooms.remove(&room);
                }
            }
            Log::Disconnect { socket, close } => self.disconnect(&socket, close, now),
            Log::CloseConnection { socket } => {
                if self.is_connected(&socket) {
                    let client = self.sockets[&socket].client;
                    self.sessions[client].is_closed_by_server = true;
                    self.end_sockets(client, Reason::ForcedClose);
                }
            }
            Log::Refuse { socket } => self.refused(&socket, now),
            Log::ReplyLate {
                socket,
                event,
                load,
            } => {
                if self.is_connected(&socket) {
                    self.owe(&socket, What::Ack { event, load }, false);
                }
            }
            Log::Shut => self.shut(),
            Log::WindDown => self.is_ending = true,
            other => unreachable!("{other:?} was asked by nobody"),
        }
    }

    pub(super) fn socket(&mut self, id: &str) -> &mut Socket {
        self.sockets
            .get_mut(id)
            .unwrap_or_else(|| panic!("unknown socket {id}"))
    }

    pub fn is_connected(&self, id: &str) -> bool {
        self.sockets
            .get(id)
            .is_some_and(|socket| socket.presence == Presence::Connected)
    }

    fn is_silent(&self, client: usize) -> bool {
        self.sessions[client].over.is_some()
    }
}

// Joining and leaving.
impl Model {
    fn judged(&mut self, id: &str, namespace: String, client: usize, join: u64, now: u64) {
        assert!(
            !self.is_silent(client),
            "client {client} joins after its end"
        );
        let known = self
            .joins
            .get(&join)
            .unwrap_or_else(|| panic!("join {join} was not sent"));
        assert_eq!(known.client, client, "join {join} of another client");
        if let Some(socket) = self.sockets.get(id) {
            if socket.join != join {
                let skips_middleware = self.keeping.is_some_and(|it| it.skips_middleware);
                assert!(!skips_middleware, "{id} is judged again");
                return self.returning(id, client, join);
            }
            assert_eq!(socket.client, client, "{id} is somebody else");
            assert_eq!(socket.presence, Presence::Joining);
            return;
        }
        self.check_newcomer(join);
        // It was not refused for its namespace's being one too many.
        self.sessions[client]
            .refusals
            .retain(|refusal| refusal.is_certain || refusal.join != Some(join));
        let is_disorderly = self.sessions[client].is_disorderly;
        let is_again = self.sockets.values().any(|socket| socket.join == join);
        assert!(!is_again || is_disorderly, "join {join} was judged twice");
        let own = self
            .sockets
            .values()
            .filter(|socket| socket.presence == Presence::Connected && socket.client == client);
        assert!(
            own.count() < self.limits.namespaces_max,
            "client {client} joins too many"
        );
        let socket = Socket {
            client,
            join,
            namespace,
            presence: Presence::Joining,
            judged_at: now,
            rooms: BTreeSet::new(),
            way: Way::starting(self.log_len()),
        };
        self.sockets.insert(id.to_owned(), socket);
    }

    fn accepted(&mut self, id: &str) {
        if self.socket(id).way.is_away() && self.comes_too_late(id) {
            return;
        }
        let socket = self.socket(id);
        socket.presence = Presence::Connected;
        let (client, join) = (socket.client, socket.join);
        let is_back = socket.way.is_away();
        self.sessions[client].homeless_since = None;
        if is_back {
            self.welcome_back(id, join);
        }
        self.owe(id, What::Connect(id.to_owned()), false);
    }

    fn refused(&mut self, id: &str, now: u64) {
        let socket = self.socket(id);
        if socket.presence != Presence::Joining {
            return;
        }
        let (client, join) = (socket.client, socket.join);
        let has_left = self.joins[&join].sent.contains(&Sent::Leave);
        // Whoever left meanwhile is told nothing; then the refusals of two joins look the same.
        let namespace = &self.sockets[id].namespace;
        let is_other = |owed: &Owed| owed.what == What::Refusal && owed.namespace == *namespace;
        let has_other = self.sessions[client].owed.iter().any(is_other);
        // And a client that was nowhere for too long is not there to be told.
        let closed_at = self.sessions[client].homeless_since;
        let closed_at = closed_at.map(|at| at + self.limits.connect_timeout);
        let is_closed = closed_at.is_some_and(|at| at <= now);
        self.owe(id, What::Refusal, has_left || has_other || is_closed);
        Model::turn_away(self.socket(id));
        self.joins
            .get_mut(&join)
            .expect("it was sent")
            .is_ended_by_server = true;
        self.note_home(client, now);
    }

    fn note_home(&mut self, client: usize, now: u64) {
        let mut own = self
            .sockets
            .values()
            .filter(|socket| socket.client == client);
        if !own.any(|socket| socket.presence == Presence::Connected) {
            self.sessions[client].homeless_since.get_or_insert(now);
        }
    }

    fn disconnect(&mut self, id: &str, close: bool, now: u64) {
        if !self.is_connected(id) {
            return;
        }
        let client = self.sockets[id].client;
        if !close {
            self.owe(id, What::Disconnect, false);
            self.end_socket(id, Reason::ServerNamespaceDisconnect);
            return self.note_home(client, now);
        }
        // In which order the namespaces are told is the server's affair.
        let own = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.client == client);
        let own: Vec<_> = own
            .filter(|(_, socket)| socket.presence == Presence::Connected)
            .map(|(id, _)| id.clone())
            .collect();
        for id in own {
            self.owe(&id, What::Disconnect, false);
        }
        self.sessions[client].is_closed_by_server = true;
        self.end_sockets(client, Reason::ServerNamespaceDisconnect);
    }

    fn end_sockets(&mut self, client: usize, reason: Reason) {
        let own = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.client == client);
        let own: Vec<_> = own
            .filter(|(_, socket)| socket.presence == Presence::Connected)
            .map(|(id, _)| id.clone())
            .collect();
        for id in own {
            self.end_socket(&id, reason);
        }
        let joining = self
            .sockets
            .values_mut()
            .filter(|socket| socket.client == client);
        for socket in joining.filter(|socket| socket.presence == Presence::Joining) {
            Model::turn_away(socket);
            // Its judgement may have been over in the same turn, just before.
            if socket.judged_at + self.limits.decision_timeout <= self.now {
                self.sessions[client].refusals.push(LooseRefusal {
                    namespace: socket.namespace.clone(),
                    join: Some(socket.join),
                    is_certain: false,
                });
            }
        }
    }

    fn end_socket(&mut self, id: &str, reason: Reason) {
        self.note_leaving(id);
        let socket = self.socket(id);
        socket.presence = Presence::Leaving(Some(reason));
        let join = socket.join;
        self.joins
            .get_mut(&join)
            .expect("it was sent")
            .is_ended_by_server = true;
    }

    /// The server is being stopped.
    fn shut(&mut self) {
        self.is_shut = true;
        for client in 0..self.sessions.len() {
            self.sessions[client].is_closed_by_server = true;
            self.end_sockets(client, Reason::ServerShuttingDown);
        }
    }

    fn leaving(&mut self, id: &str, reason: Reason, rooms: &[String], now: u64) {
        self.unanswered = None;
        let socket = self
            .sockets
            .get(id)
            .unwrap_or_else(|| panic!("{id} is unknown"));
        let (client, join) = (socket.client, socket.join);
        assert!(
            socket.rooms.iter().eq(rooms),
            "rooms of {id}: {:?}",
            socket.rooms
        );
        match socket.presence {
            Presence::Leaving(Some(Reason::ForcedClose)) => {
                assert!(is_forced(reason), "{reason:?} of {id}");
            }
            Presence::Leaving(expected) => assert_eq!(expected, Some(reason), "of {id}"),
            Presence::Connected => self.left_by_itself(id, client, join, reason, now),
            presence => panic!("{id} leaves, and is {presence:?}"),
        }
        self.socket(id).presence = Presence::Leaving(None);
    }

    fn left_by_itself(&mut self, id: &str, client: usize, join: u64, reason: Reason, now: u64) {
        if reason == Reason::ClientNamespaceDisconnect {
            self.skip_stale(join);
            assert!(
                self.take_sent(client, join, &Sent::Leave),
                "{id} did not leave"
            );
            self.note_leaving(id);
            self.socket(id).presence = Presence::Leaving(None);
            return self.note_home(client, now);
        }
        if let Err(why) = self.may_end(client, reason, now) {
            let trouble = self.sessions[client].trouble;
            let owed_bytes = self.owed_bytes(client);
            trace!(
                "client {client} is owed {owed_bytes} bytes: {:?}",
                self.sessions[client].owed
            );
            panic!("{id} of client {client} ends with {reason:?}: {why}; {trouble:?}");
        }
        let session = &mut self.sessions[client];
        assert_eq!(session.over, None, "client {client} ends once");
        (session.over, session.over_at) = (Some(reason), now);
        self.end_sockets(client, reason);
    }

    fn left(&mut self, id: &str, reason: Reason, rooms: &[String]) {
        assert!(rooms.is_empty(), "{id} has left, and is in {rooms:?}");
        let socket = self.socket(id);
        assert_eq!(socket.presence, Presence::Leaving(None), "{id} left twice");
        self.keep(id, reason);
        let mut asks = self.asks.iter();
        let pending = asks.find(|(_, ask)| ask.socket == id && !ask.is_resolved);
        assert!(
            pending.is_none(),
            "{id} left, and ask {:?} has no answer",
            pending.map(|p| p.0)
        );
    }

    /// Whether a session may end so, after what was done to it.
    pub fn may_end(&self, client: usize, reason: Reason, now: u64) -> Result<(), &'static str> {
        let session = &self.sessions[client];
        let trouble = session.trouble;
        let polls = !session.is_websocket_only;
        let is_limit = matches!(
            reason,
            Reason::TransportClose
                | Reason::TransportError
                | Reason::ForcedClose
                | Reason::ForcedServerClose
                | Reason::PingTimeout
        );
        if self.limits.is_squeezed && is_limit {
            return Ok(());
        }
        let ok = match reason {
            Reason::TransportClose => trouble.left || trouble.dropped || trouble.replaced,
            Reason::TransportError => {
                (trouble.dropped && polls)
                    || trouble.faulty
                    || ((trouble.stalled || trouble.vanished) && polls)
                    || self.is_over_limit(client)
            }
            Reason::PingTimeout => return self.may_time_out(session, now),
            Reason::ForcedClose | Reason::ForcedServerClose => {
                // Half an event may be all that it sent.
                let is_stuck = trouble.stalled || trouble.vanished || trouble.dropped;
                // Its middleware may have taken longer than what it missed is remembered.
                let is_forgotten = session.has_returned;
                let is_excused = trouble.faulty || is_stuck || is_forgotten;
                is_excused || self.has_crossed(client) || self.is_overdue(client)
            }
            Reason::ParseError => trouble.faulty,
            Reason::ServerShuttingDown => self.is_ending,
            Reason::ClientNamespaceDisconnect | Reason::ServerNamespaceDisconnect => false,
        };
        if ok {
            Ok(())
        } else {
            Err("nothing was done to it that explains this")
        }
    }

    /// Whether a judgement of one of its sockets is over in this turn: what it sent there meets a
    /// refusal.
    fn is_overdue(&self, client: usize) -> bool {
        let limit = self.limits.decision_timeout;
        let mut own = self
            .sockets
            .values()
            .filter(|socket| socket.client == client);
        own.any(|socket| {
            socket.presence == Presence::Joining && socket.judged_at + limit <= self.now
        })
    }

    fn may_time_out(&self, session: &Session, now: u64) -> Result<(), &'static str> {
        let trouble = session.trouble;
        let (interval, timeout) = (self.limits.ping_interval, self.limits.ping_timeout);
        if trouble.stalled || trouble.dropped || trouble.vanished || trouble.left {
            return Ok(());
        }
        // It may need a connection that nobody accepts.
        if self.is_ending && !session.is_websocket_only {
            return Ok(());
        }
        if !trouble.silent {
            return Err("it answers every ping");
        }
        let since = session.last_pong.unwrap_or(session.opened_at + timeout);
        // Pings may come a little early.
        if now + 32 < since + interval {
            trace!("the last pong was sent at {since}, or that is {timeout} ms after the opening");
            Err("too early")
        } else {
            Ok(())
        }
    }

    /// Whether something a client sent met the end of its socket on the way.
    pub fn has_crossed(&self, client: usize) -> bool {
        let mut own = self.joins.values().filter(|join| join.client == client);
        // A namespace too many is refused without being judged.
        let is_squeezed = self.limits.is_squeezed;
        own.any(|join| (join.is_ended_by_server || is_squeezed) && !join.sent.is_empty())
    }

    /// Whether so much waits for a client that the server may end it.
    pub fn is_over_limit(&self, client: usize) -> bool {
        self.would_be_over(client, 0)
    }

    /// The same, when so much is about to be sent to everybody.
    fn would_be_over(&self, client: usize, bytes: usize) -> bool {
        let owed = self.owed_bytes(client);
        owed + bytes >= self.limits.backlog_bytes_max || self.is_tight()
    }

    /// Whether the process may hold so little that anybody can meet its limit: what others make it
    /// hold, files for strangers included, is not known here.
    pub fn is_tight(&self) -> bool {
        self.limits.backlog_bytes_process_max < 1 << 20
    }

    /// The most that may be queued for everybody.
    pub fn backlog_bytes_max(&self, owners: usize) -> usize {
        let slack = if self.limits.drops_events { 2 } else { 1 };
        let budget = self.limits.backlog_bytes_process_max;
        (slack + 1) * budget + owners * (self.event_bytes_max + 1_000)
    }

    fn owed_bytes(&self, client: usize) -> usize {
        self.sessions[client]
            .owed
            .iter()
            .map(|owed| owed.bytes)
            .sum()
    }
}

fn is_forced(reason: Reason) -> bool {
    matches!(reason, Reason::ForcedClose | Reason::ForcedServerClose)
}

// Events and acknowledgements.
impl Model {
    fn heard(&mut self, id: &str, token: u64, owner: &str, rooms: &[String], is_good: bool) {
        self.heard_count += 1;
        let socket = self
            .sockets
            .get(id)
            .unwrap_or_else(|| panic!("{id} is unknown"));
        assert_eq!(socket.presence, Presence::Connected, "{id} heard {token}");
        assert_eq!(
            owner,
            format!("{}/{}", socket.client, socket.join),
            "whose event is {token}?"
        );
        assert!(
            socket.rooms.iter().eq(rooms),
            "rooms of {id}: {:?}",
            socket.rooms
        );
        let (client, join) = (socket.client, socket.join);
        // The attachments of one who keeps no order may be mixed up.
        let is_disorderly = self.sessions[client].is_disorderly;
        assert!(is_good || is_disorderly, "event {token} came garbled");
        let is_next = self.take_sent(client, join, &Sent::Event(token));
        let join = self.joins.get_mut(&join).expect("it was sent");
        let is_new = join.heard.insert(token);
        assert!(
            is_next || !is_new,
            "{id} heard {token} out of order, before {:?}",
            join.sent.front()
        );
        self.unanswered = join.wants_ack.contains(&token).then_some(token);
    }

    /// Takes what a client sent next; of one that keeps no order, anything that it sent.
    fn take_sent(&mut self, client: usize, join: u64, what: &Sent) -> bool {
        self.skip_stale(join);
        let is_disorderly = self.sessions[client].is_disorderly;
        let sent = &mut self.joins.get_mut(&join).expect("it was sent").sent;
        if !is_disorderly {
            return sent.pop_front().as_ref() == Some(what);
        }
        if let Some(at) = sent.iter().position(|sent| sent == what) {
            sent.remove(at);
        }
        true
    }

    /// Answers that came too late, or twice, are ignored by the server.
    fn skip_stale(&mut self, join: u64) {
        let Model { joins, asks, .. } = self;
        let sent = &mut joins.get_mut(&join).expect("it was sent").sent;
        while let Some(Sent::Answer(token)) = sent.front() {
            if asks.get(token).is_some_and(|ask| !ask.is_resolved) {
                return;
            }
            sent.pop_front();
        }
    }

    fn asked(&mut self, id: &str, token: u64, millis: u64, load: Load, now: u64) {
        let ask = Ask {
            socket: id.to_owned(),
            asked_at: now,
            millis,
            is_resolved: false,
        };
        self.asks.insert(token, ask);
        if matches!(
            self.socket(id).presence,
            Presence::Connected | Presence::Joining
        ) {
            let what = What::Event {
                name: "ask",
                token,
                load,
                is_ask: true,
            };
            self.owe(id, what, false);
        }
    }

    fn answered(&mut self, id: &str, token: u64, answer: Result<u64, AckError>, now: u64) {
        self.unanswered = None;
        let pending = self.pending_asks(id);
        let presence = self.sockets[id].presence;
        let ask = self
            .asks
            .get_mut(&token)
            .unwrap_or_else(|| panic!("nobody asked {token}"));
        assert_eq!(ask.socket, id, "another socket was asked {token}");
        assert!(!ask.is_resolved, "{token} was answered twice");
        let (client, join) = (self.sockets[id].client, self.sockets[id].join);
        match answer {
            Ok(found) => {
                assert_eq!(found, token, "the answer to another ask");
                assert_eq!(presence, Presence::Connected);
                assert!(
                    self.take_sent(client, join, &Sent::Answer(token)),
                    "answers in order"
                );
            }
            Err(AckError::Timeout) => assert!(now >= ask.asked_at + ask.millis, "too early"),
            // The asks fail before the socket is told to leave: it ends in this turn.
            Err(AckError::Disconnected) => {}
            Err(AckError::TooMany) => {
                assert!(
                    pending > self.limits.pending_acks_max,
                    "{pending} are pending"
                );
                self.forgive(client, token);
            }
            Err(AckError::NotSent) => {
                assert!(self.forgive(client, token).is_over, "{token} could be sent");
            }
            Err(AckError::Mismatch | AckError::TooLarge) => {
                panic!("{token}: {answer:?}")
            }
        }
        self.asks.get_mut(&token).expect("it was there").is_resolved = true;
    }

    /// An event that was not sent after all.
    fn forgive(&mut self, client: usize, token: u64) -> Owed {
        let owed = &mut self.sessions[client].owed;
        let is_it = |owed: &Owed| matches!(owed.what, What::Event { token: at, .. } if at == token);
        let at = owed.iter().rposition(is_it).expect("it was owed");
        owed.remove(at).expect("it is there")
    }

    fn pending_asks(&self, id: &str) -> usize {
        let own = self.asks.values().filter(|ask| ask.socket == id);
        own.filter(|ask| !ask.is_resolved).count()
    }

    fn receivers(&self, namespace: &str, to: &To) -> Vec<String> {
        let is_in = |id: &String, socket: &Socket, rooms: &[String]| {
            rooms
                .iter()
                .any(|room| socket.rooms.contains(room) || room == id)
        };
        let here = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.namespace == namespace);
        let receives = |(id, socket): &(&String, &Socket)| match to {
            To::One(one) => {
                *id == one && matches!(socket.presence, Presence::Connected | Presence::Joining)
            }
            To::Rooms { rooms, except, but } => {
                socket.presence == Presence::Connected
                    && (rooms.is_empty() || is_in(id, socket, rooms))
                    && !is_in(id, socket, except)
                    && but.as_ref() != Some(*id)
            }
        };
        here.filter(receives).map(|(id, _)| id.clone()).collect()
    }

    /// Whether the server could replay it: what is said to one who has not joined is not.
    fn is_logged(&self, to: &To) -> bool {
        match to {
            To::One(id) => self.is_connected(id),
            To::Rooms { .. } => true,
        }
    }

    pub(super) fn owe(&mut self, id: &str, what: What, is_volatile: bool) {
        let socket = &self.sockets[id];
        let bytes = match &what {
            What::Event { load, .. } | What::Ack { load, .. } => {
                100 + load.pad * 5 + load.blobs * 200
            }
            _ => 120,
        };
        let namespace = socket.namespace.clone();
        let is_replayable = matches!(what, What::Event { is_ask: false, .. }) && !is_volatile;
        let is_joined = socket.presence == Presence::Connected;
        let has_offset = self.keeping.is_some() && is_replayable && is_joined;
        let client = socket.client;
        let is_full = self.would_be_over(client, bytes);
        let is_over = is_full && self.limits.drops_events && matches!(what, What::Event { .. });
        self.event_bytes_max = self.event_bytes_max.max(bytes);
        let owed = Owed {
            join: socket.join,
            namespace,
            what,
            is_volatile,
            is_over,
            has_offset,
            bytes,
        };
        let session = &mut self.sessions[client];
        session.was_over |= is_full;
        session.owed.push_back(owed);
    }
}

// What clients receive.
impl Model {
    /// Client `client` got this packet, with these attachments; what it was.
    pub fn received(
        &mut self,
        client: usize,
        packet: &Sio,
        blobs: &[Vec<u8>],
        acks: &BTreeMap<(String, u64), u64>,
    ) -> (What, Option<u64>) {
        self.delivered_count += 1;
        let Model {
            sessions,
            volatile_dropped,
            overflow_dropped,
            ..
        } = self;
        let session = &mut sessions[client];
        if packet.kind == 4 {
            let is_it = |refusal: &LooseRefusal| refusal.namespace == packet.namespace;
            let is_due =
                |owed: &Owed| owed.what == What::Refusal && owed.namespace == packet.namespace;
            let certain = session.owed.iter().position(|owed| !owed.may_drop());
            let ahead = certain.map_or(session.owed.len(), |at| at + 1);
            let is_in_order = session.owed.iter().take(ahead).any(is_due);
            let loose = session.refusals.iter().position(is_it);
            if let Some(at) = loose.filter(|_| !is_in_order) {
                return (What::Refusal, session.refusals.remove(at).join);
            }
        }
        // The namespaces of a client that is disconnected whole are told in any order.
        if packet.kind == 1 {
            let is_it =
                |owed: &Owed| owed.what == What::Disconnect && owed.namespace == packet.namespace;
            let ahead = session
                .owed
                .iter()
                .take_while(|owed| owed.may_drop() || owed.what == What::Disconnect);
            if let Some(at) = ahead
                .collect::<Vec<_>>()
                .iter()
                .position(|owed| is_it(owed))
            {
                let owed = session.owed.remove(at).expect("it is there");
                return (owed.what, Some(owed.join));
            }
        }
        loop {
            let Some(owed) = session.owed.pop_front() else {
                panic!("client {client} received what nobody sent: {packet:?}");
            };
            if fits(&owed, packet, blobs, acks) {
                return (owed.what, Some(owed.join));
            }
            assert!(
                owed.may_drop(),
                "client {client} received {packet:?}, and was owed {owed:?}"
            );
            let dropped = if owed.is_volatile {
                &mut *volatile_dropped
            } else {
                &mut *overflow_dropped
            };
            *dropped += u64::from(owed.is_event());
        }
    }
}

fn fits(owed: &Owed, packet: &Sio, blobs: &[Vec<u8>], acks: &BTreeMap<(String, u64), u64>) -> bool {
    if owed.namespace != packet.namespace {
        return false;
    }
    match &owed.what {
        What::Connect(id) => {
            packet.kind == 0 && packet.json.starts_with(&format!("{{\"sid\":\"{id}\""))
        }
        What::Refusal => packet.kind == 4,
        What::Disconnect => packet.kind == 1,
        What::Event {
            name,
            token,
            load,
            is_ask,
        } => {
            let kind = if load.blobs > 0 { 5 } else { 2 };
            packet.kind == kind
                && packet.id.is_some() == *is_ask
                && carries(
                    packet,
                    blobs,
                    Some(name),
                    *token,
                    *token,
                    *load,
                    owed.has_offset,
                )
        }
        What::Ack { event, load } => {
            let kind = if load.blobs > 0 { 6 } else { 3 };
            let asked = packet
                .id
                .and_then(|id| acks.get(&(packet.namespace.clone(), id)));
            packet.kind == kind
                && asked == Some(event)
                && carries(packet, blobs, None, ANSWER, ANSWER, *load, false)
        }
    }
}

/// Whether a packet has this name, token and load.
fn carries(
    packet: &Sio,
    blobs: &[Vec<u8>],
    name: Option<&str>,
    token: u64,
    key: u64,
    load: Load,
    has_offset: bool,
) -> bool {
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&packet.json).expect("packets are JSON");
    let mut list = &list[..];
    if let Some(name) = name {
        if list[0] != name {
            return false;
        }
        list = &list[1..];
    }
    let [found, text, places, offset @ ..] = list else {
        return false;
    };
    if offset.len() != usize::from(has_offset) || !offset.iter().all(serde_json::Value::is_string) {
        return false;
    }
    if *found != token {
        return false;
    }
    assert_eq!(*text, pad(key, load), "the text of {token}");
    let expected: Vec<_> = (0..load.blobs).map(|index| blob(key, index)).collect();
    assert_eq!(blobs, expected, "the attachments of {token}");
    assert_eq!(places.as_array().map(Vec::len), Some(load.blobs));
    true
}

// What must hold when everything has arrived.
impl Model {
    /// A client to which nothing was done has received everything, and all it sent was heard.
    pub fn check_settled(&mut self, client: usize, now: u64) {
        self.check_latest(client);
        let Model {
            sessions,
            volatile_dropped,
            overflow_dropped,
            ..
        } = self;
        let session = &mut sessions[client];
        for owed in session.owed.drain(..) {
            assert!(owed.may_drop(), "client {client} never received {owed:?}");
            let dropped = if owed.is_volatile {
                &mut *volatile_dropped
            } else {
                &mut *overflow_dropped
            };
            *dropped += u64::from(owed.is_event());
        }
        for refusal in session.refusals.drain(..) {
            assert!(
                !refusal.is_certain || session.is_closed_by_server,
                "client {client} was not refused {refusal:?}"
            );
        }
        let own: Vec<_> = self
            .sockets
            .values()
            .filter(|socket| socket.client == client && socket.presence == Presence::Connected)
            .map(|socket| socket.join)
            .collect();
        for join in own {
            self.skip_stale(join);
            let sent = &self.joins[&join].sent;
            assert!(sent.is_empty(), "client {client} was not heard: {sent:?}");
        }
        for (token, ask) in &self.asks {
            let due = ask.asked_at + ask.millis;
            assert!(
                ask.is_resolved || due >= now,
                "ask {token} was due at {due}"
            );
        }
    }

    /// Where the last volatile event waits for its client, that one is not dropped.
    fn check_latest(&self, client: usize) {
        let session = &self.sessions[client];
        let Some(owed) = session.owed.back() else {
            return;
        };
        let mut own = self
            .sockets
            .values()
            .filter(|socket| socket.join == owed.join);
        let is_there = own.any(|socket| socket.presence == Presence::Connected);
        assert!(
            !self.limits.keeps_latest || owed.is_over || !is_there || session.over.is_some(),
            "client {client} did not receive the last of its volatile events: {owed:?}"
        );
    }

    pub fn connected(&self, namespace: &str) -> Vec<String> {
        let sockets = self.sockets.iter();
        let here = sockets.filter(|(_, socket)| {
            socket.presence == Presence::Connected && socket.namespace == namespace
        });
        here.map(|(id, _)| id.clone()).collect()
    }

    pub fn connected_count(&self) -> usize {
        let is_connected = |socket: &&Socket| socket.presence == Presence::Connected;
        self.sockets.values().filter(is_connected).count()
    }

    /// Those whose judgement is awaited, or who left before it came.
    pub fn has_joining(&self) -> bool {
        let mut sockets = self.sockets.values();
        sockets.any(|socket| socket.presence == Presence::Joining)
    }

    /// A client that does not answer is gone by then; `awake_since` is when the server last slept.
    pub fn check_silent(&self, client: usize, awake_since: u64, now: u64, is_over: bool) {
        let Limits {
            ping_interval,
            ping_timeout,
            ..
        } = self.limits;
        let Some(since) = self.sessions[client].silent_since else {
            return;
        };
        let wait = ping_interval.max(ping_timeout) + ping_timeout + 64;
        if since.max(awake_since) + wait > now {
            return;
        }
        let is_told = is_over || self.sessions[client].trouble.stalled;
        assert!(
            is_told,
            "client {client} is silent since {since}, and was not told"
        );
        let mut sockets = self.sockets.iter();
        let left = sockets.find(|(_, s)| s.client == client && s.presence == Presence::Connected);
        assert!(
            left.is_none(),
            "client {client} is silent since {since}, and {left:?} lives"
        );
    }

    pub fn rooms_count(&self) -> usize {
        let sockets = self.sockets.values();
        let here = sockets.filter(|socket| socket.presence != Presence::Away);
        let rooms = here.flat_map(|s| s.rooms.iter().map(|room| (&s.namespace, room)));
        rooms.collect::<BTreeSet<_>>().len()
    }

    /// Everyone has left.
    pub fn check_empty(&self) {
        for (id, socket) in &self.sockets {
            // One that found no place on a short list was forgotten without a word.
            let is_forgotten = socket.presence == Presence::Away
                && self.keeping.is_some_and(|keeping| keeping.is_narrow);
            let is_gone = matches!(socket.presence, Presence::Gone | Presence::Joining);
            let is_gone = is_gone || is_forgotten;
            assert!(is_gone, "{id} is still {:?}", socket.presence);
        }
        for (token, ask) in &self.asks {
            let is_joining = self.sockets[&ask.socket].presence == Presence::Joining;
            assert!(
                ask.is_resolved || is_joining,
                "ask {token} was never resolved"
            );
        }
    }
}
