//! Requests that the protocol's error table answers, and what an application may learn of them.
//!
//! What always holds: a refusal is described only if somebody listens; then its event comes before
//! anything that the same connection sends next. The event itself stays small and owns nothing,
//! because every message travels in one.

use super::{Engine, Event, Transport};
use crate::{
    codec::http,
    cors,
    handshake::{Handshake, Hello},
    id::ConnKey,
    response::Body,
};

/// The error table of the protocol: one status, code and message each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    UnknownTransport,
    UnknownSid,
    BadMethod,
    BadRequest(BadRequest),
    /// The application said no, with this message.
    Forbidden(&'a str),
    /// A page of an origin that may not open WebSockets.
    Origin,
    UnsupportedVersion,
    /// A limit of ours, which the protocol has no code for.
    Unavailable,
}

impl Status<'_> {
    fn parts(&self) -> (u16, u8, &str) {
        match self {
            Status::UnknownTransport => (400, 0, "Transport unknown"),
            Status::UnknownSid => (400, 1, "Session ID unknown"),
            Status::BadMethod => (400, 2, "Bad handshake method"),
            Status::BadRequest(_) => (400, 3, "Bad request"),
            Status::Forbidden(message) => (403, 4, message),
            Status::Origin => (403, 4, ORIGIN),
            Status::UnsupportedVersion => (400, 5, "Unsupported protocol version"),
            Status::Unavailable => (503, 6, "Service unavailable"),
        }
    }
}

/// For whoever looks why a page of another origin does not connect.
const ORIGIN: &str =
    "Origin not allowed to open a WebSocket: see Config::cors and Config::websocket_origins";

/// A request that was refused by the protocol's error table: what `connection_error` tells in
/// JavaScript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    code: u8,
    message: Box<str>,
    context: ConnectionContext,
    hello: Hello,
}

/// Why a request was refused, with what the official server tells about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionContext {
    /// Code 0: this transport is unknown or switched off; empty if none was named.
    Transport(String),
    /// Code 1: there is no session with this id.
    Sid(String),
    /// Code 2: a handshake came with this method.
    Method(String),
    /// Code 3: the request does not fit.
    BadRequest(BadRequest),
    /// Code 4: the application said no; the message is the application's.
    Forbidden,
    /// Code 4 as well: a page of this origin wanted a WebSocket, and
    /// [`Config::websocket_origins`](crate::Config::websocket_origins) does not let it have one.
    /// Several that it named have commas between them.
    Origin(String),
    /// Code 5: the client speaks this version of the protocol. The official server takes whatever
    /// is not 4 for 3.
    Protocol(u8),
    /// Code 6, which is our own: a limit is reached, or the server is ending.
    Unavailable,
}

/// What does not fit about a request that is refused with code 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The `Origin` header is not plain ASCII.
    InvalidOrigin,
    /// The session is carried by this transport, and the request asks for the other.
    TransportMismatch(Transport),
    /// A WebSocket was asked for without an upgrade, or its handshake is faulty.
    TransportHandshake,
    /// The application made no id.
    IdGeneration,
}

impl BadRequest {
    /// The official name.
    pub fn name(self) -> &'static str {
        match self {
            BadRequest::InvalidOrigin => "INVALID_ORIGIN",
            BadRequest::TransportMismatch(_) => "TRANSPORT_MISMATCH",
            BadRequest::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            BadRequest::IdGeneration => "ID_GENERATION_ERROR",
        }
    }
}

impl ConnectionError {
    /// The code of the error table, 0 to 6.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The message that the client got.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why.
    pub fn context(&self) -> &ConnectionContext {
        &self.context
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        self.hello.method()
    }

    /// The request: its URL, headers and address.
    pub fn request(&self) -> Handshake<'_> {
        self.hello.request()
    }

    fn new(refused: Refused, hello: Hello) -> ConnectionError {
        let query = |name| {
            let value = hello.request().query(name);
            value.map_or_else(String::new, |value| value.into_owned())
        };
        let context = match refused.context {
            Cause::Transport => ConnectionContext::Transport(query("transport")),
            Cause::Sid => ConnectionContext::Sid(query("sid")),
            Cause::Method => ConnectionContext::Method(hello.method().to_owned()),
            Cause::BadRequest(which) => ConnectionContext::BadRequest(which),
            Cause::Forbidden => ConnectionContext::Forbidden,
            Cause::Origin => {
                let headers = hello.request().headers().into_iter();
                let said = headers.filter(|(name, _)| cors::is_origin(name));
                let said: Vec<_> = said
                    .map(|(_, value)| String::from_utf8_lossy(value))
                    .collect();
                ConnectionContext::Origin(said.join(", "))
            }
            Cause::Protocol => ConnectionContext::Protocol(3),
            Cause::Unavailable => ConnectionContext::Unavailable,
        };
        ConnectionError {
            code: refused.code,
            message: refused.message,
            context,
            hello,
        }
    }
}

/// A refusal whose request is not at hand yet.
pub(super) struct Refused {
    code: u8,
    message: Box<str>,
    context: Cause,
}

/// A status without what it borrows.
enum Cause {
    Transport,
    Sid,
    Method,
    BadRequest(BadRequest),
    Forbidden,
    Origin,
    Protocol,
    Unavailable,
}

impl Engine {
    /// From now on every request that the error table answers is told as `Event::Refused`, with a
    /// copy of its head.
    pub fn tell_refusals(&mut self) {
        self.tells_refusals = true;
    }

    /// Answers by the error table. A WebSocket is refused in plain text and closed.
    pub(super) fn refuse(&mut self, key: ConnKey, status: Status<'_>, is_websocket: bool) {
        self.count_refusal(status);
        let (code, number, message) = status.parts();
        if is_websocket {
            self.conns[key.index()].reply.keep_alive = false;
            let body = Body::Owned(message.as_bytes().to_vec());
            return self.put_response(key, code, &[("Content-Type", "text/html")], body);
        }
        let message = serde_json::to_string(message).expect("a string is JSON");
        let json = format!("{{\"code\":{number},\"message\":{message}}}");
        let headers = [("Content-Type", "application/json")];
        self.put_response(key, code, &headers, Body::Owned(json.into_bytes()));
    }

    /// Counts a refusal, and keeps it until its request is at hand if somebody listens.
    pub(super) fn count_refusal(&mut self, status: Status<'_>) {
        match status {
            Status::Unavailable => self.stats.refused_by_limit += 1,
            _ => self.stats.refused_by_fault += 1,
        }
        let refused = &mut self.stats.refused;
        let (count, context) = match status {
            Status::UnknownTransport => (&mut refused.transport, Cause::Transport),
            Status::UnknownSid => (&mut refused.sid, Cause::Sid),
            Status::BadMethod => (&mut refused.method, Cause::Method),
            Status::BadRequest(which) => (&mut refused.request, Cause::BadRequest(which)),
            Status::Forbidden(_) => (&mut refused.forbidden, Cause::Forbidden),
            Status::Origin => (&mut refused.forbidden, Cause::Origin),
            Status::UnsupportedVersion => (&mut refused.protocol, Cause::Protocol),
            Status::Unavailable => (&mut refused.unavailable, Cause::Unavailable),
        };
        *count += 1;
        if self.tells_refusals {
            let (_, code, message) = status.parts();
            self.refused = Some(Refused {
                code,
                message: message.into(),
                context,
            });
        }
    }

    /// Tells of the refusal that was counted last, now that its request is at hand.
    pub(super) fn tell_refused(&mut self, conn: ConnKey, hello: impl FnOnce() -> Hello) {
        if let Some(refused) = self.refused.take() {
            let error = ConnectionError::new(refused, hello());
            self.refusals.push_back(error);
            self.events.push_back(Event::Refused { conn });
        }
    }

    /// Makes the refusal that this event tells of the one told last.
    #[cold]
    pub(super) fn note_refusal(&mut self, event: &Event) {
        if let Event::Refused { .. } = event {
            self.refusal = self.refusals.pop_front();
        }
    }

    /// The refusal that was told last.
    pub fn refusal(&self) -> Option<&ConnectionError> {
        self.refusal.as_ref()
    }
}

/// Whether an `Origin` header may be taken for one. The official server refuses control characters,
/// with which no request is parsed here; browsers write nothing but printable ASCII.
pub(super) fn is_origin(head: &http::Head<'_, '_>) -> bool {
    let origin = head.header("origin").unwrap_or_default();
    origin.iter().all(|byte| matches!(byte, 0x20..=0x7E))
}
