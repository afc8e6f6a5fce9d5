//! Operations: what handlers, other threads and, later, other nodes ask of the hub.
//!
//! Not here: who asks, and how it is done. What always holds: an operation owns nothing of its
//! recorder; its texts are spans of the arena it was recorded in.

use std::{ops::Range, time::Duration};

use crate::{
    codec::json::Bytes,
    id::{ConnKey, NamespaceKey, SocketId, SocketKey},
};

/// Operations in their order, and the texts they refer to.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What the spans are of.
    pub arena: Vec<u8>,
    /// In the order in which they were asked for.
    pub ops: Vec<Op>,
}

/// One thing to be done.
#[derive(Debug)]
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
pub enum Op {
    /// Sends an event.
    Emit {
        to: Target,
        payload: Payload,
        flags: Flags,
        /// The answers that are awaited: of one socket, or of everyone it was sent to.
        awaits: Option<Awaits>,
    },
    /// Answers a client's acknowledgement request.
    Reply {
        to: SocketId,
        ack: u64,
        payload: Payload,
    },
    /// Puts a socket into a room.
    Join {
        socket: SocketKey,
        room: Range<usize>,
    },
    /// Takes a socket out of a room.
    Leave {
        socket: SocketKey,
        room: Range<usize>,
    },
    /// Puts everyone who is meant into a room.
    JoinAll { to: Target, room: Range<usize> },
    /// Takes everyone who is meant out of a room.
    LeaveAll { to: Target, room: Range<usize> },
    /// Ends everyone who is meant; with `close`, with their sessions.
    DisconnectAll { to: Target, close: bool },
    /// Ends a socket; with `close`, all sockets of the client and its session.
    Disconnect { socket: SocketKey, close: bool },
    /// Sets when a socket's time is over; `None` is never.
    Expire {
        socket: SocketKey,
        after: Option<Duration>,
    },
    /// Ends the session without a word to its namespaces.
    CloseSession { socket: SocketKey },
    /// Sends a message over an application's WebSocket.
    RawSend {
        conn: ConnKey,
        serial: u32,
        is_binary: bool,
        data: Range<usize>,
    },
    /// Closes an application's WebSocket with this code.
    RawClose {
        conn: ConnKey,
        serial: u32,
        code: u16,
    },
}

/// How an event is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Dropped for receivers that could not be written to at once.
    pub is_volatile: bool,
    /// Not sent again to receivers that lost their connection and come back (`Config::recovery`).
    pub is_unlogged: bool,
    /// A polling answer that carries it need not be compressed because of it.
    pub is_incompressible: bool,
    /// Not for other nodes of a cluster, once there are any.
    pub is_local: bool,
}

/// Who is to receive an event.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
pub enum Target {
    /// This one.
    Socket(SocketKey),
    /// Everyone in the namespace but this one.
    Namespace {
        namespace: NamespaceKey,
        except: Option<SocketKey>,
    },
    /// The members of rooms.
    Select(Box<Select>),
}

impl Target {
    /// The namespace of those who are meant; `None` for one socket, which is in its own.
    pub(crate) fn namespace(&self) -> Option<NamespaceKey> {
        match self {
            Target::Socket(_) => None,
            Target::Namespace { namespace, .. } => Some(*namespace),
            Target::Select(select) => Some(select.namespace),
        }
    }
}

/// A union of rooms without some; no rooms is everyone.
#[derive(Clone, Debug)]
pub struct Select {
    /// Where.
    pub namespace: NamespaceKey,
    /// Members of these; of none is everyone.
    pub rooms: Vec<Box<str>>,
    /// Without members of these; ids of sockets are rooms.
    pub except: Vec<Box<str>>,
    /// Without this one.
    pub except_socket: Option<SocketKey>,
}

/// The JSON text of an argument list, and the binary values that its placeholders stand for.
#[derive(Debug)]
pub struct Payload {
    /// `["event",…]` or `[…]`, a span of the arena.
    pub json: Range<usize>,
    /// In the order of their numbers.
    pub attachments: Vec<Bytes>,
}

/// How long to wait for an acknowledgement, and who is told.
#[derive(Clone, Copy, Debug)]
pub struct Awaits {
    /// How long.
    pub timeout_ms: u64,
    /// The continuation's place in the recorder's list.
    pub continuation: usize,
}
