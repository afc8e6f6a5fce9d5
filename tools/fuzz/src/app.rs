//! The application of all targets: one type, so that the server is compiled once. It keeps tokens
//! to be used later, and notes what it was told.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use emio::{Ack, App, Decision, Responder, SocketId, WebSocketId, stream::Stream};

use crate::{
    http::Heard,
    operations::{Plan, Told, View},
};

#[derive(Default)]
pub struct Guide {
    pub decisions: Vec<Decision>,
    pub acks: Vec<Ack>,
    pub responders: Vec<Responder>,
    pub websockets: Vec<WebSocketId>,
    /// Nobody waits for anything any more.
    pub is_over: bool,
    /// Acknowledgements asked for that were not told of, and streams in use.
    pub awaited: i32,
    pub streaming: i32,
    pub sessions: i32,
    pub connected: BTreeSet<SocketId>,
    /// Members, by namespace and room.
    pub rooms: BTreeMap<(String, String), BTreeSet<SocketId>>,
    /// Requests.
    pub heard: Vec<Heard>,
    /// What the next event is answered with.
    pub plan: Option<Plan>,
    pub told: Vec<Told>,
    pub view: View,
}

impl App for Guide {
    type Data = Data;
}

impl Guide {
    /// Asserts that every promise was kept.
    pub fn is_done(&self) {
        assert_eq!(self.awaited, 0, "acknowledgements nobody was told of");
        assert_eq!(self.streaming, 0, "streams whose end nobody was told");
        assert_eq!(self.sessions, 0, "sessions that were not told closed");
        assert!(self.connected.is_empty(), "sockets that were not told gone");
        assert!(self.rooms.is_empty(), "rooms that were not told deleted");
        assert!(
            self.websockets.is_empty(),
            "WebSockets that were not told closed"
        );
    }
}

/// What a socket carries; the living ones are counted.
pub struct Data {
    pub heard: u32,
    pub streams: Vec<Stream>,
}

thread_local! {
    static LIVING: Cell<i32> = const { Cell::new(0) };
}

/// How many sockets of this thread carry data.
pub fn living() -> i32 {
    LIVING.get()
}

impl Default for Data {
    fn default() -> Data {
        LIVING.set(LIVING.get() + 1);
        Data {
            heard: 0,
            streams: Vec::new(),
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        LIVING.set(LIVING.get() - 1);
    }
}
