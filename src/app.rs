//! What an application is, and the small values that its handlers return.

use std::{error, fmt};

use serde_json::Value;

use crate::{codec::json::Error, id::SocketId};

/// An application: the state that every handler may change, and what each socket carries.
///
/// ```
/// #[derive(Default)]
/// struct Chat { online: u32 }
/// #[derive(Default)]
/// struct User { name: String }
/// impl emio::App for Chat { type Data = User; }
/// ```
pub trait App: Sized + Send + 'static {
    /// What a program for the official server keeps in `socket.data` or in closure variables. Made
    /// by `Default` when a socket begins to join.
    type Data: Default + Send + 'static;

    /// What others may see of a socket's data, in [`RemoteSocket::data`](crate::RemoteSocket):
    /// nothing, unless this is written. In a cluster it travels as JSON.
    fn share(data: &Self::Data) -> Value {
        let _ = data;
        Value::Null
    }
}

/// An application without any state.
impl App for () {
    type Data = ();
}

/// Why a client may not join a namespace, or may not connect at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Refusal {
    /// The client's `connect_error` has this message; a refused handshake answers 403 with it.
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal {
            message: message.into(),
            data: None,
        }
    }

    /// What the client finds in `err.data`. A handshake has no place for it.
    #[must_use]
    pub fn with_data(self, data: impl Into<Value>) -> Refusal {
        Refusal {
            data: Some(data.into()),
            ..self
        }
    }

    /// Why.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What goes with it.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }

    /// The payload of a CONNECT_ERROR packet. Socket.IO protocol, "Connection to a namespace".
    pub(crate) fn json(&self) -> String {
        let message = Value::from(&*self.message);
        match &self.data {
            Some(data) => format!("{{\"message\":{message},\"data\":{data}}}"),
            None => format!("{{\"message\":{message}}}"),
        }
    }
}

impl From<&str> for Refusal {
    fn from(message: &str) -> Refusal {
        Refusal::new(message)
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Refusal {
        Refusal::new(message)
    }
}

/// What a handler may return: nothing, or a result whose error goes to the error hook.
pub trait Outcome {
    /// The error, if it is one.
    fn into_result(self) -> Result<(), Box<dyn error::Error + Send + Sync>>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Box<dyn error::Error + Send + Sync>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn error::Error + Send + Sync>>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn error::Error + Send + Sync>> {
        self.map_err(Into::into)
    }
}

/// Something that went wrong in or around a handler, for `on_error`. The connection lives on.
#[derive(Debug)]
pub struct Problem {
    /// The event that was handled or sent, if one was.
    pub event: Option<Box<str>>,
    /// The socket it concerned.
    pub socket: Option<SocketId>,
    /// What it was.
    pub cause: Cause,
}

/// What went wrong.
#[derive(Debug)]
pub enum Cause {
    /// The client's arguments are not what the handler takes; it was not called.
    Arguments(Error),
    /// The handler returned this error.
    Handler(Box<dyn error::Error + Send + Sync>),
    /// The arguments of an `emit` or `reply` could not be written as JSON; nothing was sent.
    Encode(Error),
    /// An `emit` used a name that the protocol keeps for itself; nothing was sent.
    ReservedEvent,
    /// An event middleware refused the packet; no handler was called.
    Refused(Refusal),
    /// A `join` beyond `Config::rooms_per_socket_max`; it was ignored.
    RoomsFull,
    /// A `join` of a room whose name exceeds `Config::name_bytes_max`; it was ignored.
    RoomName,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            write!(f, "socket {socket}: ")?;
        }
        if let Some(event) = &self.event {
            write!(f, "event {event:?}: ")?;
        }
        match &self.cause {
            Cause::Arguments(error) => write!(f, "arguments: {error}"),
            Cause::Handler(error) => write!(f, "handler: {error}"),
            Cause::Encode(error) => write!(f, "not sent: {error}"),
            Cause::ReservedEvent => f.write_str("not sent: the event name is reserved"),
            Cause::Refused(refusal) => write!(f, "refused: {}", refusal.message),
            Cause::RoomsFull => f.write_str("not joined: too many rooms"),
            Cause::RoomName => f.write_str("not joined: the room's name is too long"),
        }
    }
}
