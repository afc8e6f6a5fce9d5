//! Connection state recovery: a client that lost its connection finds its socket again, with its
//! id, rooms and data, and with the events that it missed.
//!
//! Not here: the application's data, which the crank keeps. What always holds: nothing of this
//! exists unless `Config::recovery` is set; an event and its place in the log are the same for
//! everybody; what is kept is bounded in time, in bytes and in number.
//!
//! Differences from the official server, whose defects spec 2.9.8 names: the old connection of a
//! client that comes back is closed first, so that its later end takes nothing away; a client that
//! missed nothing recovers however old the last event is; so does one that never received any;
//! volatile events that end in a string carry an offset as well, because clients take any last
//! string for one; offsets say which server made them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Alarm, Event, Hub, millis};
use crate::{
    config::Recovery,
    handshake::Handshake,
    id::{NamespaceKey, SessionKey, SocketId, SocketKey},
    namespace::Presence,
    op::Target,
    queue::Frame,
    reason::Reason,
};

/// What a client shows to find its socket again: a secret, like a session's id.
pub(super) type Pid = [u8; 20];

/// The log of events, who is on the list of those that may come back, and how far everyone has
/// come.
pub(super) struct Ledger {
    config: Recovery,
    /// Tells this server's offsets from other strings.
    mark: [u8; 4],
    /// By socket.
    members: Vec<Member>,
    /// Who is connected, by what they would show.
    living: HashMap<Pid, SocketKey>,
    log: VecDeque<Entry>,
    /// The number of the first event in the log, or of the next one if it is empty.
    first: u64,
    /// What the log makes the process hold, which is limited.
    log_bytes: u64,
    /// The part of it that the gauge of frames counts.
    frames_bytes: u64,
    kept: HashMap<Pid, Kept>,
    /// The ids of these.
    kept_ids: HashSet<SocketId>,
    /// When what is kept ends, in its order; some of it may have ended already.
    ends: VecDeque<(u64, Pid)>,
    alarm: u32,
    /// Clients that have to wait for the end of their own old connection.
    takeovers: VecDeque<Takeover>,
}

/// How far a connected socket has come.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    pid: Option<Pid>,
    /// The next event when it joined for the first time: what came before is not for it.
    joined: u64,
    /// The first and the last logged event that was sent to it; 0 is none.
    first_sent: u64,
    last_sent: u64,
    /// The next event when it began to leave.
    left: u64,
    /// When its time was to be over (`Peer::expires_in`), if it was.
    expires_ms: Option<u64>,
    /// What it shows of how far it has come, while it comes back.
    after: u64,
    is_recovered: bool,
}

/// A logged event.
struct Entry {
    at_ms: u64,
    namespace: NamespaceKey,
    /// Tells the namespace from others that had its slot.
    generation: u32,
    to: Whom,
    frames: Box<[Frame]>,
    bytes: u64,
    frames_bytes: u64,
}

/// Who was to receive it, in names that outlive sockets.
enum Whom {
    One(SocketId),
    Rooms {
        rooms: Box<[Box<str>]>,
        except: Box<[Box<str>]>,
        except_socket: Option<SocketId>,
    },
}

/// A socket that may come back. It stays here until it is connected again, so that one that loses
/// its connection on the way has lost nothing else.
struct Kept {
    id: SocketId,
    namespace: NamespaceKey,
    rooms: Vec<Box<str>>,
    member: Member,
    end_ms: u64,
    /// It is on its way back, and does not end meanwhile.
    is_returning: bool,
}

/// A CONNECT, which may have to wait for the end of the client's own old connection.
pub(super) struct Takeover {
    pub session: SessionKey,
    pub namespace: NamespaceKey,
    pub name: Box<str>,
    pub auth: Box<str>,
}

impl Ledger {
    pub fn new(config: Recovery, mark: [u8; 4]) -> Ledger {
        Ledger {
            config,
            mark,
            members: Vec::new(),
            living: HashMap::new(),
            log: VecDeque::new(),
            first: 1,
            log_bytes: 0,
            frames_bytes: 0,
            kept: HashMap::new(),
            kept_ids: HashSet::new(),
            ends: VecDeque::new(),
            alarm: 0,
            takeovers: VecDeque::new(),
        }
    }

    /// The number that the next logged event will have.
    fn next(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// The offset that stands for everything up to an event.
    fn offset(&self, number: u64) -> String {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.mark);
        bytes[4..].copy_from_slice(&number.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The event that an offset names; `None` for any other string.
    fn number(&self, offset: &str) -> Option<u64> {
        let mut bytes = [0; 12];
        let n = URL_SAFE_NO_PAD.decode_slice(offset, &mut bytes).ok()?;
        let (mark, number) = bytes.split_at(4);
        let number = u64::from_be_bytes(number.try_into().ok()?);
        (n == bytes.len() && mark == self.mark && number < self.next()).then_some(number)
    }

    fn member(&mut self, socket: SocketKey) -> &mut Member {
        let index = socket.index();
        if self.members.len() <= index {
            self.members.resize(index + 1, Member::default());
        }
        &mut self.members[index]
    }

    /// A logged event was sent to this socket.
    pub fn sent(&mut self, socket: SocketKey, number: u64) {
        let member = self.member(socket);
        if member.first_sent == 0 {
            member.first_sent = number;
        }
        member.last_sent = number;
    }

    pub fn is_recovered(&self, socket: SocketKey) -> bool {
        let member = self.members.get(socket.index());
        member.is_some_and(|member| member.is_recovered)
    }

    /// Drops what is too old, and what is too much.
    fn trim(&mut self, now_ms: u64) {
        let age_ms = millis(self.config.duration);
        while let Some(entry) = self.log.front() {
            let is_old = entry.at_ms.saturating_add(age_ms) < now_ms;
            if !is_old && self.log_bytes <= self.config.log_bytes_max {
                return;
            }
            self.log_bytes -= entry.bytes;
            self.frames_bytes -= entry.frames_bytes;
            self.log.pop_front();
            self.first += 1;
        }
    }

    /// The events after `after` that this socket was to receive, and which was the last. `None` if
    /// some of them may be forgotten, or they are too much.
    fn missed(
        &self,
        kept: &Kept,
        generation: u32,
        after: u64,
        bytes_max: u64,
    ) -> Option<(Vec<Frame>, u64)> {
        if after + 1 < self.first {
            return None;
        }
        let joined: HashSet<&str> = kept.rooms.iter().map(|room| &**room).collect();
        let (mut frames, mut bytes, mut last) = (Vec::new(), 0, after);
        let skipped = usize::try_from(after + 1 - self.first).ok()?;
        for (entry, number) in self.log.iter().zip(self.first..).skip(skipped) {
            let is_here = entry.namespace == kept.namespace && entry.generation == generation;
            if is_here && entry.to.means(kept.id, &joined) {
                bytes += entry.bytes;
                last = number;
                frames.extend(entry.frames.iter().cloned());
            }
            if bytes > bytes_max {
                return None;
            }
        }
        Some((frames, last))
    }
}

impl Whom {
    /// What the names make the process hold.
    fn bytes(&self) -> u64 {
        match self {
            Whom::One(_) => 0,
            Whom::Rooms { rooms, except, .. } => {
                let names = rooms.iter().chain(except.iter());
                names.map(|name| name.len() as u64 + NAME_COST).sum()
            }
        }
    }

    /// Whether a socket with this id, in these rooms, is meant (spec 2.9.5).
    fn means(&self, id: SocketId, joined: &HashSet<&str>) -> bool {
        let is_in = |room: &str| joined.contains(room) || SocketId::parse(room) == Some(id);
        match self {
            Whom::One(socket) => *socket == id,
            Whom::Rooms {
                rooms,
                except,
                except_socket,
            } => {
                *except_socket != Some(id)
                    && (rooms.is_empty() || rooms.iter().any(|room| is_in(room)))
                    && !except.iter().any(|room| is_in(room))
            }
        }
    }
}

// What is sent.
impl Hub {
    /// The number of the event that is about to be sent, and its payload with its offset; for a
    /// volatile one that ends in a string, with the offset of the event before it. `None` where
    /// nothing is recovered, or the event is not.
    pub(super) fn with_offset(
        &self,
        json: &[u8],
        is_volatile: bool,
        is_asking: bool,
    ) -> Option<(Option<u64>, Vec<u8>)> {
        let ledger = self.recovery.as_ref()?;
        // Official clients take no offset from an event that they are to acknowledge.
        if is_asking {
            return None;
        }
        let body = json.strip_suffix(b"]")?;
        let is_string = body.trim_ascii_end().ends_with(b"\"");
        let (number, offset) = match is_volatile {
            true if !is_string => return None,
            true => (None, ledger.next() - 1),
            false => (Some(ledger.next()), ledger.next()),
        };
        let offset = ledger.offset(offset);
        Some((number, [body, b",\"", offset.as_bytes(), b"\"]"].concat()))
    }

    /// Enters an event into the log under the number that `with_offset` gave it.
    pub(super) fn log(&mut self, namespace: NamespaceKey, to: &Target, frames: &[Frame]) {
        let id = |socket: &SocketKey| self.roster.id(*socket);
        let to = match to {
            Target::Socket(socket) => Whom::One(id(socket)),
            Target::Namespace { except, .. } => Whom::Rooms {
                rooms: Box::default(),
                except: Box::default(),
                except_socket: except.as_ref().map(id),
            },
            Target::Select(select) => Whom::Rooms {
                rooms: select.rooms.clone().into(),
                except: select.except.clone().into(),
                except_socket: select.except_socket.as_ref().map(id),
            },
        };
        let at_ms = self.engine.now_ms();
        let generation = self.roster.generation(namespace);
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let frames_bytes = frames.iter().map(Frame::cost).sum();
        let bytes = frames_bytes + to.bytes() + ENTRY_COST;
        ledger.log_bytes += bytes;
        ledger.frames_bytes += frames_bytes;
        ledger.log.push_back(Entry {
            at_ms,
            namespace,
            generation,
            to,
            frames: frames.into(),
            bytes,
            frames_bytes,
        });
        let is_watched = ledger.alarm != 0;
        self.trim_log();
        if !is_watched {
            self.forget_kept();
        }
    }

    /// Drops what is too old or too much. Logged frames wait for nobody; one that a slow client has
    /// yet to receive as well is not counted as waiting until the log has dropped it.
    fn trim_log(&mut self) {
        let now_ms = self.engine.now_ms();
        if let Some(ledger) = &mut self.recovery {
            ledger.trim(now_ms);
            self.engine.retained_bytes = ledger.frames_bytes;
        }
    }
}

// Who comes back.
impl Hub {
    /// The payload of a CONNECT reply, behind the socket's id: what it shows to come back.
    pub(super) fn pid(&self, socket: SocketKey) -> Option<Pid> {
        self.recovery.as_ref()?.members.get(socket.index())?.pid
    }

    /// Whether this socket is one that came back.
    pub fn is_recovered(&self, socket: SocketKey) -> bool {
        let ledger = self.recovery.as_ref();
        ledger.is_some_and(|ledger| ledger.is_recovered(socket))
    }

    /// Whether a socket that came back is let in without asking its middleware.
    pub fn skips_middleware(&self, socket: SocketKey) -> bool {
        self.is_recovered(socket)
            && self
                .recovery
                .as_ref()
                .is_some_and(|ledger| ledger.config.skip_middlewares)
    }

    /// Whether the socket of this id has left and may come back: its data is to be kept until an
    /// `Expired` event or its return.
    pub fn is_kept(&self, id: SocketId) -> bool {
        let ledger = self.recovery.as_ref();
        ledger.is_some_and(|ledger| ledger.kept_ids.contains(&id))
    }

    /// Ends the old connection of a client that comes back before anybody noticed that it was gone.
    /// `true` if the client has to wait for that.
    pub(super) fn takes_over(&mut self, takeover: &Takeover) -> bool {
        let pid = self.shown(&takeover.auth).map(|(pid, _)| pid);
        let Some(ledger) = &self.recovery else {
            return false;
        };
        let old = pid.and_then(|pid| ledger.living.get(&pid).copied());
        // Also one that is in middleware: it may be as dead.
        let is_there = |old: &SocketKey| {
            let presence = self.roster.sockets[old.index()].presence;
            matches!(presence, Presence::Connected | Presence::Joining)
        };
        let Some(old) = old.filter(is_there) else {
            return false;
        };
        let session = self.session(old);
        if session == takeover.session || self.namespace(old) != takeover.namespace {
            return false;
        }
        self.engine.discard(session, Reason::TransportClose);
        self.drop_client(session, Reason::TransportClose);
        true
    }

    pub(super) fn wait_for_takeover(&mut self, takeover: Takeover) {
        if let Some(ledger) = &mut self.recovery {
            ledger.takeovers.push_back(takeover);
        }
    }

    pub(super) fn next_takeover(&mut self) -> Option<Takeover> {
        self.recovery.as_mut()?.takeovers.pop_front()
    }

    /// What a CONNECT payload shows: both are strings, the offset may be missing.
    fn shown(&self, auth: &str) -> Option<(Pid, Option<String>)> {
        if self.recovery.is_none() || !auth.contains("\"pid\"") {
            return None;
        }
        let auth = Handshake::new(None, [0; 16], auth).auth;
        let pid = auth.get("pid")?.as_str()?.as_bytes().try_into().ok()?;
        let offset = match auth.get("offset") {
            None => None,
            Some(offset) => Some(offset.as_str()?.to_owned()),
        };
        Some((pid, offset))
    }

    /// A socket is joining: perhaps it is one that comes back.
    pub(super) fn meet(&mut self, socket: SocketKey, auth: &str) {
        if self.recovery.is_none() {
            return;
        }
        let found = self.find_kept(socket, auth);
        let fresh = SocketId::new(self.engine.fill_secret(), socket.index() as u32).text();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let joined = ledger.next();
        let Some((pid, after)) = found else {
            ledger.living.insert(fresh, socket);
            *ledger.member(socket) = Member {
                pid: Some(fresh),
                joined,
                ..Member::default()
            };
            return;
        };
        let kept = ledger.kept.get_mut(&pid).expect("it was found");
        kept.is_returning = true;
        let (id, rooms, mut member) = (kept.id, kept.rooms.clone(), kept.member);
        member.is_recovered = true;
        member.after = after;
        *ledger.member(socket) = member;
        ledger.living.insert(pid, socket);
        self.roster.rename(socket, id);
        let rooms_max = self.engine.config.rooms_per_socket_max as usize;
        for room in &rooms {
            self.roster.join(socket, room, rooms_max);
        }
    }

    /// Who shows this payload, if it is kept for this namespace, and after which event it goes on.
    fn find_kept(&mut self, socket: SocketKey, auth: &str) -> Option<(Pid, u64)> {
        let (pid, offset) = self.shown(auth)?;
        self.trim_log();
        let namespace = self.namespace(socket);
        let now_ms = self.engine.now_ms();
        let ledger = self.recovery.as_ref()?;
        let kept = ledger.kept.get(&pid)?;
        let member = &kept.member;
        let is_over = kept.end_ms <= now_ms || member.expires_ms.is_some_and(|at| at <= now_ms);
        if kept.namespace != namespace || kept.is_returning || is_over {
            return None;
        }
        let after = match &offset {
            // It has received everything that was sent to it: it missed only what came since.
            Some(offset) => match ledger.number(offset)? {
                number if number >= member.last_sent => number.max(member.left - 1),
                number => number,
            },
            None if member.first_sent == 0 => member.left - 1,
            None => member.first_sent - 1,
        };
        // Offsets are no secret: what was said before it came is not for it, whatever it shows.
        let after = after.max(member.joined - 1);
        self.missed_by(&pid, after)?;
        Some((pid, after))
    }

    fn missed_by(&self, pid: &Pid, after: u64) -> Option<(Vec<Frame>, u64)> {
        let bytes_max = u64::from(self.engine.config.backlog_bytes_max / 2);
        let ledger = self.recovery.as_ref()?;
        let kept = ledger.kept.get(pid)?;
        let generation = self.roster.generation(kept.namespace);
        ledger.missed(kept, generation, after, bytes_max)
    }

    /// A socket that came back is about to be connected: it is sent what it missed, before it is
    /// told that it has joined (spec 2.9.4). `false` if that is forgotten by now, because its
    /// middleware took its time: it has to start anew.
    pub(super) fn welcome_back(&mut self, socket: SocketKey) -> bool {
        let Some(ledger) = self.recovery.as_mut() else {
            return true;
        };
        let member = *ledger.member(socket);
        let Some(pid) = member.pid.filter(|_| member.is_recovered) else {
            return true;
        };
        let Some((missed, last)) = self.missed_by(&pid, member.after) else {
            return false;
        };
        let now_ms = self.engine.now_ms();
        if let Some(ledger) = &mut self.recovery {
            if let Some(kept) = ledger.kept.remove(&pid) {
                ledger.kept_ids.remove(&kept.id);
                self.roster.release(kept.namespace);
            }
            if !missed.is_empty() {
                ledger.sent(socket, last);
            }
        }
        if let Some(at_ms) = member.expires_ms {
            let left = Duration::from_millis(at_ms.saturating_sub(now_ms));
            self.set_expiry(socket, Some(left));
        }
        let session = self.session(socket);
        for frame in &missed {
            self.engine.send_frame(session, frame);
        }
        true
    }

    /// A socket has begun to leave: it receives nothing from here on.
    pub(super) fn note_leaving(&mut self, socket: SocketKey) {
        let expires_ms = self.expires_at(socket);
        if let Some(ledger) = &mut self.recovery {
            let next = ledger.next();
            let member = ledger.member(socket);
            member.left = next;
            member.expires_ms = expires_ms;
        }
    }

    /// A socket whose credentials have expired has nothing to come back to.
    pub(super) fn forget_pid(&mut self, socket: SocketKey) {
        let is_joining = self.roster.sockets[socket.index()].presence == Presence::Joining;
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let member = *ledger.member(socket);
        let Some(pid) = member.pid else { return };
        if is_joining && member.is_recovered {
            // It ends with its attempt, which gives it back.
            if let Some(kept) = ledger.kept.get_mut(&pid) {
                kept.end_ms = 0;
            }
            return;
        }
        ledger.living.remove(&pid);
        ledger.member(socket).pid = None;
    }

    /// A socket has left, and is still in its rooms. If it may come back, what it needs is kept;
    /// without a reason it had not joined.
    pub(super) fn keep(&mut self, socket: SocketKey, reason: Option<Reason>) {
        let namespace = self.namespace(socket);
        let id = self.roster.id(socket);
        let now_ms = self.engine.now_ms();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let member = *ledger.member(socket);
        let Some(pid) = member.pid else { return };
        if ledger.living.get(&pid) == Some(&socket) {
            ledger.living.remove(&pid);
        }
        let Some(reason) = reason else {
            // One that was on its way back, and may try again.
            if let Some(kept) = ledger.kept.get_mut(&pid).filter(|_| member.is_recovered) {
                kept.is_returning = false;
                let end_ms = kept.end_ms;
                let at = ledger.ends.partition_point(|(other, _)| *other <= end_ms);
                ledger.ends.insert(at, (end_ms, pid));
                self.forget_kept();
            }
            return;
        };
        if !reason.is_recoverable() {
            return;
        }
        let rooms = self.roster.rooms(socket).map(Box::from).collect();
        let end_ms = now_ms.saturating_add(millis(ledger.config.duration));
        let kept = Kept {
            id,
            namespace,
            rooms,
            member,
            end_ms,
            is_returning: false,
        };
        ledger.kept.insert(pid, kept);
        ledger.kept_ids.insert(id);
        ledger.ends.push_back((end_ms, pid));
        self.roster.hold(namespace);
        self.forget_kept();
    }

    /// Forgets those whose time is over, or who are too many, and old events; sets the alarm for
    /// what is next.
    pub(super) fn forget_kept(&mut self) {
        let now_ms = self.engine.now_ms();
        self.trim_log();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        if ledger.ends.len() > 2 * ledger.kept.len() + ENDS_SPARED {
            let kept = &ledger.kept;
            let is_current =
                |(end_ms, pid): &(u64, Pid)| kept.get(pid).is_some_and(|it| it.end_ms == *end_ms);
            ledger.ends.retain(is_current);
        }
        while let Some(&(end_ms, pid)) = ledger.ends.front() {
            let is_current = |kept: &&Kept| kept.end_ms == end_ms && !kept.is_returning;
            let current = ledger.kept.get(&pid).filter(is_current);
            let is_full = ledger.kept.len() > ledger.config.sessions_max as usize;
            if current.is_some() && end_ms > now_ms && !is_full {
                break;
            }
            ledger.ends.pop_front();
            if current.is_none() {
                continue;
            }
            if let Some(kept) = ledger.kept.remove(&pid) {
                ledger.kept_ids.remove(&kept.id);
                self.events.push_back(Event::Expired { socket: kept.id });
                self.roster.release(kept.namespace);
            }
        }
        let end = ledger.ends.front().map(|(end_ms, _)| *end_ms);
        let age_ms = millis(ledger.config.duration);
        // A millisecond later it is too old.
        let old = ledger.log.front();
        let old = old.map(|entry| entry.at_ms.saturating_add(age_ms).saturating_add(1));
        let alarm = std::mem::take(&mut ledger.alarm);
        self.clear_alarm(alarm);
        if let Some(next_ms) = end.into_iter().chain(old).min() {
            let alarm = self.set_alarm(Alarm::Kept, next_ms.saturating_sub(now_ms));
            if let Some(ledger) = &mut self.recovery {
                ledger.alarm = alarm;
            }
        }
    }

    /// The alarm for what is kept has gone off, and is no more.
    pub(super) fn kept_alarmed(&mut self) {
        if let Some(ledger) = &mut self.recovery {
            ledger.alarm = 0;
        }
        self.forget_kept();
    }
}

/// What an entry of the log costs beside its frames and names.
const ENTRY_COST: u64 = 128;

/// What a name costs beside its bytes.
const NAME_COST: u64 = 32;

/// Ends that may be out of date before the list is looked through.
const ENDS_SPARED: usize = 1_024;
