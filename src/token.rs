//! Promises to answer later, from anywhere: an acknowledgement, a judgement, an HTTP answer.
//!
//! What always holds: a token can be used once, because using it consumes it; it names its target
//! by an id that is never reused, so a late token changes nothing; one that is dropped unused
//! refuses, so that nobody waits for a decision that was forgotten.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    app::Refusal,
    codec::json::{self, Bytes, Error},
    id::{ConnKey, SocketId},
    op::Flags,
    response::Response,
};

/// Where operations from elsewhere are left for the loop.
pub trait Post: Send + Sync {
    /// Leaves one, or says why not. Never blocks for longer than it takes to push it.
    fn post(&self, errand: Errand) -> Result<(), HandleError>;
}

/// An operation from elsewhere; it owns what it needs.
#[derive(Debug)]
pub enum Errand {
    Emit(Box<Emission>),
    Reply {
        to: SocketId,
        ack: u64,
        json: Vec<u8>,
        attachments: Vec<Bytes>,
    },
    Join {
        socket: SocketId,
        verdict: Result<(), Refusal>,
    },
    Open {
        conn: ConnKey,
        serial: u32,
        verdict: Result<(), Refusal>,
    },
    Respond {
        conn: ConnKey,
        serial: u32,
        response: Response,
    },
    Close,
    Shutdown(Duration),
}

/// An event from elsewhere.
#[derive(Debug)]
pub struct Emission {
    pub namespace: Box<str>,
    pub rooms: Vec<Box<str>>,
    pub except: Vec<Box<str>>,
    pub flags: Flags,
    pub json: Vec<u8>,
    pub attachments: Vec<Bytes>,
}

/// Why an operation from another thread was not accepted.
#[derive(Debug)]
pub enum HandleError {
    /// `Config::mailbox_max` operations wait already. Try later.
    Full,
    /// The server has ended.
    Closed,
    /// The event's name is kept by the protocol for itself.
    ReservedEvent,
    /// More was read from a connection than a server reads at once: 64 KiB.
    ReadTooMuch,
    /// The arguments cannot be written as JSON.
    Encode(Error),
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandleError::Full => f.write_str("the server's mailbox is full"),
            HandleError::Closed => f.write_str("the server has ended"),
            HandleError::ReservedEvent => f.write_str("the event name is reserved"),
            HandleError::ReadTooMuch => f.write_str("more than 64 KiB were read from it"),
            HandleError::Encode(error) => write!(f, "arguments: {error}"),
        }
    }
}

impl std::error::Error for HandleError {}

/// An acknowledgement that a client waits for; taken by `socket.ack()`, answered once, from
/// anywhere. Dropped unused, the client's own timeout tells it.
#[must_use = "the client waits for the reply"]
pub struct Ack {
    pub(crate) to: SocketId,
    pub(crate) ack: u64,
    pub(crate) post: Arc<dyn Post>,
}

impl Ack {
    /// Answers with these arguments: a tuple is several, anything else one. A client that has left
    /// is no error.
    pub fn reply<T: Serialize>(self, args: T) -> Result<(), HandleError> {
        let (json, attachments) = encode(None, &args)?;
        self.post.post(Errand::Reply {
            to: self.to,
            ack: self.ack,
            json,
            attachments,
        })
    }

    /// Who waits.
    pub fn socket(&self) -> SocketId {
        self.to
    }
}

/// A judgement that is awaited: whether a client may connect, or join a namespace. Given once, from
/// anywhere; dropped unused, it refuses.
#[must_use = "the client waits for the decision"]
pub struct Decision {
    pub(crate) about: Option<About>,
    pub(crate) post: Arc<dyn Post>,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub enum About {
    Join(SocketId),
    Open(ConnKey, u32),
}

impl Decision {
    /// Lets the client in.
    pub fn allow(mut self) -> Result<(), HandleError> {
        self.give(Ok(()))
    }

    /// Keeps the client out.
    pub fn refuse(mut self, refusal: Refusal) -> Result<(), HandleError> {
        self.give(Err(refusal))
    }

    fn give(&mut self, verdict: Result<(), Refusal>) -> Result<(), HandleError> {
        match self.about.take() {
            None => Ok(()),
            Some(About::Join(socket)) => self.post.post(Errand::Join { socket, verdict }),
            Some(About::Open(conn, serial)) => self.post.post(Errand::Open {
                conn,
                serial,
                verdict,
            }),
        }
    }
}

impl Drop for Decision {
    fn drop(&mut self) {
        // A full mailbox leaves it to the deadline of the waiting state.
        let _ = self.give(Err(Refusal::new("No decision was made")));
    }
}

/// An HTTP answer that is awaited. Given once, from anywhere; dropped unused, it is a 503.
#[must_use = "the client waits for the response"]
pub struct Responder {
    pub(crate) about: Option<(ConnKey, u32)>,
    pub(crate) post: Arc<dyn Post>,
}

impl Responder {
    /// Answers the request.
    pub fn respond(mut self, response: Response) -> Result<(), HandleError> {
        self.give(response)
    }

    fn give(&mut self, response: Response) -> Result<(), HandleError> {
        match self.about.take() {
            None => Ok(()),
            Some((conn, serial)) => self.post.post(Errand::Respond {
                conn,
                serial,
                response,
            }),
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // A full mailbox leaves it to the deadline of the waiting state.
        let _ = self.give(Response::new(503));
    }
}

/// The JSON text of an event or an answer, and what its placeholders stand for.
pub fn encode<T: Serialize + ?Sized>(
    event: Option<&str>,
    args: &T,
) -> Result<(Vec<u8>, Vec<Bytes>), HandleError> {
    if event.is_some_and(crate::codec::sio::is_reserved) {
        return Err(HandleError::ReservedEvent);
    }
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    json::write_packet(&mut text, &mut attachments, event, args).map_err(HandleError::Encode)?;
    Ok((text, attachments))
}
