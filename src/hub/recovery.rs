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

use std::collections::{HashMap, HashSet, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Alarm, Event, Hub, millis};
use crate::{
    config::Recovery,
    handshake::Handshake,
    id::{NamespaceKey, SessionKey, SocketId, SocketKey},
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
    log_bytes: u64,
    kept: HashMap<Pid, Kept>,
    /// The ids of these.
    kept_ids: HashSet<SocketId>,
    /// When what is kept ends, in its order; some of it may have ended already.
    ends: VecDeque<(u64, Pid)>,
    alarm: u32,
    returning: HashMap<SocketKey, Returning>,
    /// Clients that have to wait for the end of their own old connection.
    takeovers: VecDeque<Takeover>,
}

/// How far a connected socket has come.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    pid: Option<Pid>,
    /// The first and the last logged event that was sent to it; 0 is none.
    first_sent: u64,
    last_sent: u64,
    /// The next event when it began to leave.
    left: u64,
    is_recovered: bool,
}

/// A logged event.
struct Entry {
    at_ms: u64,
    namespace: NamespaceKey,
    to: Whom,
    frames: Box<[Frame]>,
    bytes: u64,
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

/// A socket that may come back.
struct Kept {
    id: SocketId,
    namespace: NamespaceKey,
    rooms: Vec<Box<str>>,
    first_sent: u64,
    last_sent: u64,
    left: u64,
    end_ms: u64,
}

/// A socket that has come back and is not connected yet.
struct Returning {
    rooms: Vec<Box<str>>,
    missed: Vec<Frame>,
    /// The last event among these, or an earlier one.
    last: u64,
    /// The next event when these were collected.
    until: u64,
}

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
            kept: HashMap::new(),
            kept_ids: HashSet::new(),
            ends: VecDeque::new(),
            alarm: 0,
            returning: HashMap::new(),
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
            self.log.pop_front();
            self.first += 1;
        }
    }

    /// The events after `after` that this socket was to receive, and which was the last. `None` if
    /// some of them may be forgotten, or they are too much.
    fn missed(&self, kept: &Kept, after: u64, bytes_max: u64) -> Option<(Vec<Frame>, u64)> {
        if after + 1 < self.first {
            return None;
        }
        let (mut frames, mut bytes, mut last) = (Vec::new(), 0, after);
        let skipped = usize::try_from(after + 1 - self.first).ok()?;
        for (entry, number) in self.log.iter().zip(self.first..).skip(skipped) {
            if entry.namespace == kept.namespace && entry.to.means(kept.id, &kept.rooms) {
                bytes += entry.bytes;
                last = number;
                frames.extend(entry.frames.iter().cloned());
            }
        }
        (bytes <= bytes_max).then_some((frames, last))
    }
}

impl Whom {
    /// Whether a socket with this id, in these rooms, is meant (spec 2.9.5).
    fn means(&self, id: SocketId, joined: &[Box<str>]) -> bool {
        let is_in = |room: &str| {
            joined.iter().any(|joined| **joined == *room) || SocketId::parse(room) == Some(id)
        };
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
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let bytes = frames
            .iter()
            .map(|frame| frame.bytes().len() as u64)
            .sum::<u64>();
        let bytes = bytes + ENTRY_COST;
        ledger.log_bytes += bytes;
        ledger.log.push_back(Entry {
            at_ms,
            namespace,
            to,
            frames: frames.into(),
            bytes,
        });
        ledger.trim(at_ms);
        self.engine.retained_bytes = ledger.log_bytes;
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
        let Some(old) = old.filter(|old| self.roster.is_connected(*old)) else {
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
        let returned = self.find_kept(socket, auth);
        let fresh = SocketId::new(self.engine.fill_secret(), socket.index() as u32).text();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let (pid, kept) = match returned {
            Some((pid, kept, returning)) => {
                ledger.returning.insert(socket, returning);
                (pid, Some(kept))
            }
            None => (fresh, None),
        };
        *ledger.member(socket) = Member {
            pid: Some(pid),
            is_recovered: kept.is_some(),
            ..Member::default()
        };
        ledger.living.insert(pid, socket);
        if let Some(kept) = kept {
            let member = ledger.member(socket);
            member.first_sent = kept.first_sent;
            member.last_sent = kept.last_sent;
            self.roster.rename(socket, kept.id);
            self.roster.release(kept.namespace);
        }
    }

    fn find_kept(&mut self, socket: SocketKey, auth: &str) -> Option<(Pid, Kept, Returning)> {
        let (pid, offset) = self.shown(auth)?;
        let namespace = self.namespace(socket);
        let now_ms = self.engine.now_ms();
        let bytes_max = u64::from(self.engine.config.backlog_bytes_max / 2);
        let ledger = self.recovery.as_mut()?;
        ledger.trim(now_ms);
        let kept = ledger.kept.get(&pid)?;
        if kept.namespace != namespace || kept.end_ms <= now_ms {
            return None;
        }
        let after = match &offset {
            // It has received everything that was sent to it: it missed only what came since.
            Some(offset) => match ledger.number(offset)? {
                number if number >= kept.last_sent => number.max(kept.left - 1),
                number => number,
            },
            None if kept.first_sent == 0 => kept.left - 1,
            None => kept.first_sent - 1,
        };
        let (missed, last) = ledger.missed(kept, after, bytes_max)?;
        let until = ledger.next();
        let kept = ledger.kept.remove(&pid)?;
        ledger.kept_ids.remove(&kept.id);
        let rooms = kept.rooms.clone();
        let returning = Returning {
            rooms,
            missed,
            last,
            until,
        };
        Some((pid, kept, returning))
    }

    /// A socket that came back is connected: it is in its rooms again, and is sent what it missed,
    /// before it is told that it has joined (spec 2.9.4).
    pub(super) fn welcome_back(&mut self, socket: SocketKey) {
        let ledger = self.recovery.as_mut();
        let Some(returning) = ledger.and_then(|ledger| ledger.returning.remove(&socket)) else {
            return;
        };
        let rooms_max = self.engine.config.rooms_per_socket_max as usize;
        for room in &returning.rooms {
            self.roster.join(socket, room, rooms_max);
        }
        let namespace = self.namespace(socket);
        let id = self.roster.id(socket);
        let mut missed = returning.missed;
        if let Some(ledger) = &mut self.recovery {
            // What came while its middleware was thinking.
            let mut last = returning.last;
            let skipped = returning.until.saturating_sub(ledger.first) as usize;
            for (entry, number) in ledger.log.iter().zip(ledger.first..).skip(skipped) {
                if entry.namespace == namespace && entry.to.means(id, &returning.rooms) {
                    last = number;
                    missed.extend(entry.frames.iter().cloned());
                }
            }
            if !missed.is_empty() {
                ledger.sent(socket, last);
            }
        }
        let session = self.session(socket);
        for frame in &missed {
            self.engine.send_frame(session, frame);
        }
    }

    /// A socket has begun to leave: it receives nothing from here on.
    pub(super) fn note_leaving(&mut self, socket: SocketKey) {
        if let Some(ledger) = &mut self.recovery {
            let next = ledger.next();
            ledger.member(socket).left = next;
            ledger.returning.remove(&socket);
        }
    }

    /// A socket has left, and is still in its rooms. If it may come back, what it needs is kept.
    pub(super) fn keep(&mut self, socket: SocketKey, reason: Option<Reason>) {
        let namespace = self.namespace(socket);
        let id = self.roster.id(socket);
        let now_ms = self.engine.now_ms();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        let member = std::mem::take(ledger.member(socket));
        let Some(pid) = member.pid else { return };
        if ledger.living.get(&pid) == Some(&socket) {
            ledger.living.remove(&pid);
        }
        if !reason.is_some_and(Reason::is_recoverable) {
            return;
        }
        let rooms = self.roster.rooms(socket).map(Box::from).collect();
        let end_ms = now_ms.saturating_add(millis(ledger.config.duration));
        let kept = Kept {
            id,
            namespace,
            rooms,
            first_sent: member.first_sent,
            last_sent: member.last_sent,
            left: member.left,
            end_ms,
        };
        ledger.kept.insert(pid, kept);
        ledger.kept_ids.insert(id);
        ledger.ends.push_back((end_ms, pid));
        self.roster.hold(namespace);
        self.forget_kept();
    }

    /// Forgets those whose time is over, or who are too many, and sets the alarm for the next.
    pub(super) fn forget_kept(&mut self) {
        let now_ms = self.engine.now_ms();
        let Some(ledger) = &mut self.recovery else {
            return;
        };
        ledger.trim(now_ms);
        while let Some(&(end_ms, pid)) = ledger.ends.front() {
            let is_current = ledger
                .kept
                .get(&pid)
                .is_some_and(|kept| kept.end_ms == end_ms);
            let is_full = ledger.kept.len() > ledger.config.sessions_max as usize;
            if is_current && end_ms > now_ms && !is_full {
                break;
            }
            ledger.ends.pop_front();
            if !is_current {
                continue;
            }
            if let Some(kept) = ledger.kept.remove(&pid) {
                ledger.kept_ids.remove(&kept.id);
                self.events.push_back(Event::Expired { socket: kept.id });
                self.roster.release(kept.namespace);
            }
        }
        let end = ledger.ends.front().map(|(end_ms, _)| *end_ms);
        let alarm = std::mem::take(&mut ledger.alarm);
        self.engine.retained_bytes = ledger.log_bytes;
        self.clear_alarm(alarm);
        if let Some(end_ms) = end {
            let alarm = self.set_alarm(Alarm::Kept, end_ms.saturating_sub(now_ms));
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

/// What an entry of the log costs beside its frames.
const ENTRY_COST: u64 = 128;
