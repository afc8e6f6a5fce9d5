//! Operations: what handlers, other threads and, later, other nodes ask of the hub.
//!
//! Not here: who asks, and how it is done. What always holds: an operation owns nothing of its
//! recorder; its texts are spans of the arena it was recorded in.

use std::ops::Range;

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
        /// Dropped for receivers that could not be written to at once.
        is_volatile: bool,
        /// The answer that is awaited; only towards one socket.
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
    /// Ends a socket; with `close`, all sockets of the client and its session.
    Disconnect { socket: SocketKey, close: bool },
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

/// Who is to receive an event.
#[derive(Debug)]
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

/// A union of rooms without some; no rooms is everyone.
#[derive(Debug)]
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
