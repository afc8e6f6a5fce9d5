//! What a handler asks for, written down while it runs and done when it has returned.
//!
//! Not here: the doing (`hub`, `crank`). What always holds: recording never runs user code, because
//! arguments are serialized into a scratch buffer of their own before the sheet is taken.

use std::{cell::Cell, time::Duration};

use serde::Serialize;

use crate::{
    app::{App, Cause, Problem},
    args::Args,
    codec::{
        json::{self, Bytes},
        sio,
    },
    hub::{AckError, Gathered},
    id::{NamespaceKey, SocketId, SocketKey},
    op::{Awaits, Flags, Op, Payload, Recorded, Target},
    socket::Socket,
    to::{Io, RemoteSocket},
};

#[cfg(feature = "stream")]
use crate::stream;

/// One handler's requests. The cell is the crate's only one: methods of `Socket` take `&self`, and
/// the sheet is taken, written on and put back, so no borrow lives long enough to be met twice.
pub struct Outbox<A: App> {
    sheet: Cell<Option<Box<Sheet<A>>>>,
    scratch: Cell<Vec<u8>>,
}

/// What was written down.
pub struct Sheet<A: App> {
    pub recorded: Recorded,
    pub continuations: Vec<Continuation<A>>,
    pub gatherings: Vec<Gathering<A>>,
    /// Those whose event could not be sent at all.
    pub unsent: Vec<(SocketKey, Continuation<A>)>,
    /// What is told later, but soon: see [`Soon`].
    pub soon: Vec<Soon<A>>,
    pub timers: Vec<TimerOp<A>>,
    /// What went wrong, and with which socket, if it was not looked up yet.
    pub problems: Vec<(Option<SocketKey>, Problem)>,
    /// The acknowledgement that the packet being handled asks for, and whose packet it is, until it
    /// is answered.
    pub ack: Option<(SocketKey, u64)>,
    pub timers_made: u64,
    /// What was asked of streams, and whose they are.
    #[cfg(feature = "stream")]
    pub streams: Vec<(SocketId, stream::Op<A>)>,
    #[cfg(feature = "stream")]
    pub streams_made: u64,
}

/// Who is told of an acknowledgement.
pub type Continuation<A> =
    Box<dyn for<'a> FnOnce(&mut A, Socket<'a, A>, Result<Args<'a>, AckError>) + Send>;

/// Who is told of the acknowledgements of a broadcast.
pub type Gathering<A> = Box<dyn for<'a> FnOnce(&mut A, Io<'a, A>, Gathered) + Send>;

/// Who is told which sockets there are.
pub type Fetching<A> = Box<dyn for<'a> FnOnce(&mut A, Io<'a, A>, Vec<RemoteSocket>) + Send>;

/// Who waits for the answers that an event asks for.
pub enum Asking<A: App> {
    One(Duration, Continuation<A>),
    All(Duration, Gathering<A>),
}

/// What has an answer already, and is told of it when the handler has returned: in a cluster the
/// answer would come from elsewhere, so nobody may count on it at once.
pub enum Soon<A: App> {
    Fetched(Target, Fetching<A>),
    Gathered(Gathered, Gathering<A>),
}

/// A change of the application's timers.
pub enum TimerOp<A: App> {
    Once {
        id: TimerId,
        namespace: NamespaceKey,
        after: Duration,
        run: Once<A>,
    },
    Every {
        id: TimerId,
        namespace: NamespaceKey,
        period: Duration,
        run: Every<A>,
    },
    Clear(TimerId),
}

pub type Once<A> = Box<dyn for<'a> FnOnce(&mut A, Io<'a, A>) + Send>;
pub type Every<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>) + Send>;

/// Names a timer, to clear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(u64);

impl<A: App> Outbox<A> {
    pub fn new() -> Outbox<A> {
        let sheet = Sheet {
            recorded: Recorded::default(),
            continuations: Vec::new(),
            gatherings: Vec::new(),
            unsent: Vec::new(),
            soon: Vec::new(),
            timers: Vec::new(),
            problems: Vec::new(),
            ack: None,
            timers_made: 0,
            #[cfg(feature = "stream")]
            streams: Vec::new(),
            #[cfg(feature = "stream")]
            streams_made: 0,
        };
        Outbox {
            sheet: Cell::new(Some(Box::new(sheet))),
            scratch: Cell::new(Vec::new()),
        }
    }

    /// The sheet, to be done; `put_back` follows.
    pub fn take(&self) -> Box<Sheet<A>> {
        self.sheet
            .take()
            .expect("a sheet is put back before it is taken again")
    }

    pub fn put_back(&self, sheet: Box<Sheet<A>>) {
        self.sheet.set(Some(sheet));
    }

    /// Forgets what was written: the handler refused, or it panicked and somebody caught that.
    pub fn wipe(&self) {
        self.write(Sheet::wipe);
    }

    /// Writes on the sheet.
    pub fn write<R>(&self, write: impl FnOnce(&mut Sheet<A>) -> R) -> R {
        let mut sheet = self.take();
        let result = write(&mut sheet);
        self.put_back(sheet);
        result
    }

    pub fn op(&self, op: Op) {
        self.write(|sheet| sheet.recorded.ops.push(op));
    }

    /// Records the sending of an event.
    pub fn emit<T: Serialize + ?Sized>(
        &self,
        to: Target,
        event: &str,
        args: &T,
        flags: Flags,
        asking: Option<Asking<A>>,
    ) {
        let mut attachments = Vec::new();
        let mut text = self.scratch.take();
        text.clear();
        let packet = match sio::is_reserved(event) {
            true => Err(Cause::ReservedEvent),
            false => json::write_packet(&mut text, &mut attachments, Some(event), args)
                .map_err(Cause::Encode),
        };
        match packet {
            Ok(()) => self.write(|sheet| {
                let payload = sheet.payload(&text, attachments);
                let awaits = asking.map(|asking| sheet.await_answers(asking));
                sheet.recorded.ops.push(Op::Emit {
                    to,
                    payload,
                    flags,
                    awaits,
                });
            }),
            Err(cause) => {
                let about = match &to {
                    Target::Socket(socket) => Some(*socket),
                    _ => None,
                };
                let problem = Problem {
                    event: Some(Box::from(event)),
                    socket: None,
                    cause,
                };
                self.write(|sheet| sheet.problems.push((about, problem)));
                match (to, asking) {
                    (Target::Socket(socket), Some(Asking::One(_, then))) => {
                        self.write(|sheet| sheet.unsent.push((socket, then)));
                    }
                    (to, Some(Asking::All(_, then))) => {
                        let namespace = to.namespace().expect("only broadcasts gather answers");
                        let gathered = Gathered::none(namespace, Some(AckError::NotSent));
                        self.soon(Soon::Gathered(gathered, then));
                    }
                    _ => {}
                }
            }
        }
        self.scratch.set(text);
    }

    /// Records the answer to an acknowledgement.
    pub fn reply<T: Serialize + ?Sized>(&self, key: SocketKey, to: SocketId, args: &T) {
        if let Some(ack) = self.take_ack(key) {
            self.reply_to(ack, to, args);
        }
    }

    /// Records the answer to an acknowledgement that was taken.
    pub fn reply_to<T: Serialize + ?Sized>(&self, ack: u64, to: SocketId, args: &T) {
        let mut attachments = Vec::new();
        let mut text = self.scratch.take();
        text.clear();
        match json::write_packet(&mut text, &mut attachments, None, args) {
            Ok(()) => self.write(|sheet| {
                let payload = sheet.payload(&text, attachments);
                sheet.recorded.ops.push(Op::Reply { to, ack, payload });
            }),
            Err(error) => {
                let problem = Problem {
                    event: None,
                    socket: Some(to),
                    cause: Cause::Encode(error),
                };
                self.write(|sheet| sheet.problems.push((None, problem)));
            }
        }
        self.scratch.set(text);
    }

    /// Records what is to be told soon.
    pub fn soon(&self, soon: Soon<A>) {
        self.write(|sheet| sheet.soon.push(soon));
    }

    /// Records an operation on everyone who is meant, for a room.
    pub fn move_all(&self, to: Target, room: &str, is_join: bool) {
        self.write(|sheet| {
            let room = sheet.text(room.as_bytes());
            sheet.recorded.ops.push(match is_join {
                true => Op::JoinAll { to, room },
                false => Op::LeaveAll { to, room },
            });
        });
    }

    /// The acknowledgement that this socket's packet asks for, if it is the one being handled.
    pub fn take_ack(&self, key: SocketKey) -> Option<u64> {
        self.write(|sheet| {
            let (_, ack) = sheet.ack.take_if(|(socket, _)| *socket == key)?;
            Some(ack)
        })
    }

    pub fn join(&self, socket: SocketKey, room: &str) {
        self.write(|sheet| {
            let room = sheet.text(room.as_bytes());
            sheet.recorded.ops.push(Op::Join { socket, room });
        });
    }

    pub fn leave(&self, socket: SocketKey, room: &str) {
        self.write(|sheet| {
            let room = sheet.text(room.as_bytes());
            sheet.recorded.ops.push(Op::Leave { socket, room });
        });
    }

    /// Records a timer, which will see the namespace it was set in.
    pub fn once(&self, namespace: NamespaceKey, after: Duration, run: Once<A>) -> TimerId {
        self.write(|sheet| {
            let id = sheet.next_timer();
            sheet.timers.push(TimerOp::Once {
                id,
                namespace,
                after,
                run,
            });
            id
        })
    }

    pub fn every(&self, namespace: NamespaceKey, period: Duration, run: Every<A>) -> TimerId {
        self.write(|sheet| {
            let id = sheet.next_timer();
            sheet.timers.push(TimerOp::Every {
                id,
                namespace,
                period,
                run,
            });
            id
        })
    }

    pub fn clear(&self, id: TimerId) {
        self.write(|sheet| sheet.timers.push(TimerOp::Clear(id)));
    }

    /// Records what is asked of a socket's stream.
    #[cfg(feature = "stream")]
    pub fn stream(&self, socket: SocketId, op: stream::Op<A>) {
        self.write(|sheet| sheet.streams.push((socket, op)));
    }

    /// A number that no stream of this server has.
    #[cfg(feature = "stream")]
    pub fn next_stream(&self) -> u64 {
        self.write(|sheet| {
            sheet.streams_made += 1;
            sheet.streams_made
        })
    }
}

impl<A: App> Sheet<A> {
    pub fn is_empty(&self) -> bool {
        self.recorded.ops.is_empty() && self.timers.is_empty() && self.problems.is_empty()
    }

    /// Keeps who waits for an event's answers, and says for how long and where.
    fn await_answers(&mut self, asking: Asking<A>) -> Awaits {
        let (timeout, continuation) = match asking {
            Asking::One(timeout, then) => {
                self.continuations.push(then);
                (timeout, self.continuations.len() - 1)
            }
            Asking::All(timeout, then) => {
                self.gatherings.push(then);
                (timeout, self.gatherings.len() - 1)
            }
        };
        Awaits {
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX / 2),
            continuation,
        }
    }

    /// Forgets everything: the handler refused.
    pub fn clear(&mut self) {
        self.recorded.ops.clear();
        self.recorded.arena.clear();
        self.continuations.clear();
        self.gatherings.clear();
        self.unsent.clear();
        self.soon.clear();
        self.timers.clear();
        self.problems.clear();
        #[cfg(feature = "stream")]
        self.streams.clear();
    }

    /// Makes a done sheet blank, and gives back what a large handler made it hold.
    pub fn wipe(&mut self) {
        self.clear();
        self.ack = None;
        self.recorded.arena.shrink_to(ARENA_BYTES_KEPT);
        self.recorded.ops.shrink_to(OPS_KEPT);
    }

    pub fn text(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let from = self.recorded.arena.len();
        self.recorded.arena.extend_from_slice(text);
        from..self.recorded.arena.len()
    }

    fn payload(&mut self, json: &[u8], attachments: Vec<Bytes>) -> Payload {
        Payload {
            json: self.text(json),
            attachments,
        }
    }

    fn next_timer(&mut self) -> TimerId {
        self.timers_made += 1;
        TimerId(self.timers_made)
    }
}

/// What the arena keeps from one handler to the next.
const ARENA_BYTES_KEPT: usize = 64 * 1024;

const OPS_KEPT: usize = 1_024;
