//! WIP
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(missing_docs, dead_code)]

mod app;
mod args;
mod codec;
mod config;
mod conn;
mod cors;
mod crank;
mod dispatch;
pub mod engine;
mod files;
mod handle;
mod handshake;
pub mod hub;
mod id;
mod namespace;
mod net;
pub mod op;
mod outbox;
mod queue;
mod raw;
mod reason;
mod request;
mod response;
mod server;
mod session;
mod socket;
mod stats;
mod timer;
mod to;
mod token;

pub use crate::{
    app::{App, Cause, Outcome, Problem, Refusal},
    crank::{Crank, Namespace, RawNamespace},
    dispatch::Dispatch,
    engine::Transport,
    handle::{Handle, HandleTo},
    hub::AckError,
    outbox::TimerId,
    raw::{Message, WebSocket, WebSocketId},
    request::Request,
    server::Server,
    socket::{Peer, Socket},
    to::{Io, Rooms, To},
    token::{Ack, Decision, HandleError, Responder},
};
pub use crate::{
    args::{Args, FromArgs, OwnedArgs},
    codec::json::{Bytes, Error as ArgsError},
    config::{Config, KeepHeaders, Transports},
    cors::{Cors, Origin},
    files::Files,
    handshake::{Handshake, Hello},
    id::{
        AckKey, ConnKey, Entropy, NamespaceKey, NotAnId, RoomKey, SessionKey, Sid, SocketId,
        SocketKey,
    },
    queue::Frame,
    reason::Reason,
    response::{Body, Response},
    stats::Stats,
};
