//! Events for clients that cannot take them now: volatile ones wait or are dropped.
//!
//! Not here: the policies themselves (`engine`). What always holds: an event is sent whole or not
//! at all, and what was not sent is counted.

use super::Hub;
use crate::{config::Volatile, id::SocketKey, op::Payload, queue::Frame};

impl Hub {
    /// A volatile event meets a client that cannot be written to.
    pub(super) fn miss(&mut self, socket: SocketKey, payload: &Payload, arena: &[u8]) {
        let namespace = self.namespace(socket);
        let frames = match self.engine.config.volatile {
            Volatile::Drop => Vec::new(),
            Volatile::Latest => {
                let json = &arena[payload.json.clone()];
                let with_offset = self.with_offset(json, true, false);
                let json = with_offset.as_ref().map_or(json, |(_, json)| json);
                self.event_frames(namespace, json, &payload.attachments, None)
            }
        };
        self.miss_frames(socket, &frames);
    }

    /// The same, when its frames are made already.
    pub(super) fn miss_frames(&mut self, socket: SocketKey, frames: &[Frame]) {
        let (session, owner) = (self.session(socket), socket.index() as u32);
        let is_one_dropped = self.engine.keep_latest(session, owner, frames);
        self.volatile_dropped += u64::from(is_one_dropped);
    }

    /// A socket leaves: what waits for its client because of it is not for the next one that this
    /// client has in the namespace.
    pub(super) fn forget_missed(&mut self, socket: SocketKey) {
        let (session, owner) = (self.session(socket), socket.index() as u32);
        let is_one_dropped = self.engine.forget_latest(session, owner);
        self.volatile_dropped += u64::from(is_one_dropped);
    }
}
