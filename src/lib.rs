//! WIP
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(missing_docs, dead_code)]

mod args;
mod codec;
mod config;
mod conn;
mod cors;
pub mod engine;
mod files;
mod handshake;
mod id;
mod queue;
mod reason;
mod response;
mod session;
mod stats;
mod timer;

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
