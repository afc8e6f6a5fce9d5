//! Acknowledgements that the server awaits: of one socket, or of everyone a broadcast reached.
//!
//! What always holds: an answer is told once; a socket that is gone owes nothing, so nobody waits
//! for it (the official server would, until the timeout); a broadcast is told when the last answer
//! has come or cannot come any more.

use super::{Alarm, Event, Hub};
use crate::{
    args::OwnedArgs,
    id::{AckKey, NamespaceKey, SocketKey},
};

/// Why an acknowledgement did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// Not in time.
    Timeout,
    /// The socket is gone. The official server never tells; emio tells at once.
    Disconnected,
    /// The socket owes too many already; the event was not sent.
    TooMany,
    /// The event was not sent: its name is reserved, its arguments are no JSON, or too much waits
    /// for the client (`Overflow::DropNewest`).
    NotSent,
    /// It came, and was not what the continuation takes.
    Mismatch,
    /// The answers to a broadcast are more than the server may hold.
    TooLarge,
}

impl std::fmt::Display for AckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AckError::Timeout => "operation has timed out",
            AckError::Disconnected => "socket has been disconnected",
            AckError::TooMany => "too many acknowledgements are awaited",
            AckError::NotSent => "the event could not be sent",
            AckError::Mismatch => "the acknowledgement has other arguments",
            AckError::TooLarge => "the acknowledgements are too large",
        })
    }
}

impl std::error::Error for AckError {}

/// What became of the acknowledgements of a broadcast.
#[derive(Debug)]
pub struct Gathered {
    /// Where it went.
    pub namespace: NamespaceKey,
    /// The answers, in the order in which they came.
    pub answers: Vec<OwnedArgs>,
    /// Receivers that have not answered.
    pub missing: u32,
    /// Why the last of these has not.
    pub error: Option<AckError>,
}

impl Gathered {
    /// A broadcast that reached nobody.
    pub(crate) fn none(namespace: NamespaceKey, error: Option<AckError>) -> Gathered {
        Gathered {
            namespace,
            answers: Vec::new(),
            missing: 0,
            error,
        }
    }
}

/// An event whose answer has not come.
#[derive(Debug)]
pub(super) enum Awaited {
    One {
        socket: SocketKey,
        id: u64,
        alarm: u32,
    },
    All(Box<Gathering>),
}

/// A broadcast whose answers have not all come.
#[derive(Debug)]
pub(super) struct Gathering {
    id: u64,
    alarm: u32,
    /// Its receivers are still being asked.
    is_asking: bool,
    /// Who was asked.
    asked: Vec<SocketKey>,
    /// How many of them may still answer.
    waiting: u32,
    /// Bytes of the answers, which are counted as incoming.
    bytes: usize,
    gathered: Gathered,
}

/// A CONNECT to a namespace that does not exist.
#[derive(Debug)]
pub(super) struct Asked {
    pub session: crate::id::SessionKey,
    pub name: Box<str>,
    pub auth: Box<str>,
}

// Asking.
impl Hub {
    /// Awaits the answer of one socket, under an id of its namespace's.
    pub(super) fn await_one(&mut self, socket: SocketKey, timeout_ms: u64) -> (AckKey, u64) {
        let id = self.roster.next_ack(self.namespace(socket));
        let ack = self.next_ack();
        let alarm = self.set_alarm(Alarm::Ack(ack), timeout_ms);
        self.acks.insert(ack, Awaited::One { socket, id, alarm });
        self.owe(socket, id, ack);
        (ack, id)
    }

    /// Awaits the answers of everyone whom `ask` will name, under one id.
    pub(super) fn await_all(&mut self, namespace: NamespaceKey, timeout_ms: u64) -> (AckKey, u64) {
        let id = self.roster.next_ack(namespace);
        let ack = self.next_ack();
        let alarm = self.set_alarm(Alarm::Ack(ack), timeout_ms);
        let gathering = Gathering {
            id,
            alarm,
            is_asking: true,
            asked: Vec::new(),
            waiting: 0,
            bytes: 0,
            gathered: Gathered::none(namespace, None),
        };
        self.acks.insert(ack, Awaited::All(Box::new(gathering)));
        (ack, id)
    }

    /// One more receiver of a broadcast; `false` if it owes too much already.
    pub(super) fn ask(&mut self, ack: AckKey, socket: SocketKey) -> bool {
        let is_full = self.owes_much(socket);
        let Some(Awaited::All(gathering)) = self.acks.get_mut(&ack) else {
            return true;
        };
        if is_full {
            gathering.gathered.missing += 1;
            gathering.gathered.error = Some(AckError::TooMany);
            return false;
        }
        gathering.asked.push(socket);
        gathering.waiting += 1;
        let id = gathering.id;
        self.owe(socket, id, ack);
        true
    }

    /// Everyone was asked; perhaps nobody.
    pub(super) fn asked_all(&mut self, ack: AckKey) {
        if let Some(Awaited::All(gathering)) = self.acks.get_mut(&ack) {
            gathering.is_asking = false;
            self.look_at_gathering(ack);
        }
    }

    pub(super) fn owes_much(&self, socket: SocketKey) -> bool {
        let socket = &self.roster.sockets[socket.index()];
        socket.acks_count >= self.engine.config.pending_acks_max
    }

    fn next_ack(&mut self) -> AckKey {
        self.acks_made += 1;
        AckKey(self.acks_made)
    }

    fn owe(&mut self, socket: SocketKey, id: u64, ack: AckKey) {
        self.ack_ids.insert((socket, id), ack);
        self.roster.sockets[socket.index()].acks_count += 1;
    }

    fn owes_no_more(&mut self, socket: SocketKey, id: u64) {
        if self.ack_ids.remove(&(socket, id)).is_some() {
            self.roster.sockets[socket.index()].acks_count -= 1;
        }
    }
}

// Answers, and what ends the waiting for them.
impl Hub {
    /// The packet that is current answers this event of ours.
    pub(super) fn answered(&mut self, socket: SocketKey, id: u64, ack: AckKey) -> Option<Event> {
        self.owes_no_more(socket, id);
        if let Some(Awaited::One { alarm, .. }) = self.acks.get(&ack) {
            let alarm = *alarm;
            self.acks.remove(&ack);
            self.clear_alarm(alarm);
            return Some(Event::Acked { socket, ack });
        }
        let answer = self.answer()?.to_owned();
        let bytes = answer.bytes();
        let fits = self.engine.charge(bytes);
        if !fits {
            self.engine.discharge(bytes);
        }
        let Some(Awaited::All(gathering)) = self.acks.get_mut(&ack) else {
            return None;
        };
        gathering.waiting -= 1;
        if fits {
            gathering.bytes += bytes;
            gathering.gathered.answers.push(answer);
        } else {
            gathering.gathered.missing += 1;
            gathering.gathered.error = Some(AckError::TooLarge);
        }
        self.look_at_gathering(ack);
        None
    }

    /// Tells a gathering that is complete.
    fn look_at_gathering(&mut self, ack: AckKey) {
        let Some(Awaited::All(gathering)) = self.acks.get_mut(&ack) else {
            return;
        };
        if gathering.is_asking || gathering.waiting > 0 {
            return;
        }
        let alarm = std::mem::take(&mut gathering.alarm);
        // Told already if its time is over, too.
        if alarm != 0 {
            self.clear_alarm(alarm);
            self.events.push_back(Event::Gathered { ack });
        }
    }

    /// What a broadcast's receivers have answered. Only once, and only after `Gathered` told of it.
    pub fn gathered(&mut self, ack: AckKey) -> Option<Gathered> {
        let Some(Awaited::All(gathering)) = self.acks.remove(&ack) else {
            return None;
        };
        self.engine.discharge(gathering.bytes);
        Some(gathering.gathered)
    }

    pub(super) fn ack_expired(&mut self, ack: AckKey) {
        match self.acks.get_mut(&ack) {
            Some(&mut Awaited::One { socket, id, .. }) => {
                self.acks.remove(&ack);
                self.owes_no_more(socket, id);
                let error = AckError::Timeout;
                self.events
                    .push_back(Event::AckFailed { socket, ack, error });
            }
            Some(Awaited::All(gathering)) => {
                gathering.alarm = 0;
                let (asked, id) = (std::mem::take(&mut gathering.asked), gathering.id);
                gathering.gathered.missing += std::mem::take(&mut gathering.waiting);
                gathering.gathered.error = Some(AckError::Timeout);
                for socket in asked {
                    // It may have answered, or be gone and its slot another's.
                    if self.ack_ids.get(&(socket, id)) == Some(&ack) {
                        self.owes_no_more(socket, id);
                    }
                }
                self.events.push_back(Event::Gathered { ack });
            }
            None => {}
        }
    }

    /// The socket will not answer any more.
    pub(super) fn fail_acks(&mut self, socket: SocketKey) {
        // Bounded by what it owes.
        while self.roster.sockets[socket.index()].acks_count > 0 {
            let mut own = self.ack_ids.range((socket, 0)..=(socket, u64::MAX));
            let (&(_, id), &ack) = own.next().expect("the socket counts what it owes");
            self.owes_no_more(socket, id);
            let error = AckError::Disconnected;
            match self.acks.get_mut(&ack) {
                Some(&mut Awaited::One { alarm, .. }) => {
                    self.acks.remove(&ack);
                    self.clear_alarm(alarm);
                    self.events
                        .push_back(Event::AckFailed { socket, ack, error });
                }
                Some(Awaited::All(gathering)) => {
                    gathering.waiting -= 1;
                    gathering.gathered.missing += 1;
                    gathering.gathered.error = Some(error);
                    self.look_at_gathering(ack);
                }
                None => {}
            }
        }
    }
}
