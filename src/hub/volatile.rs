//! Events for clients that cannot take them now: volatile ones wait or are dropped.
//!
//! Not here: the policies themselves (`engine`). What always holds: an event is sent whole or not
//! at all, and what was not sent is counted.

use super::Hub;
use crate::{
    config::Volatile,
    id::{SessionKey, SocketKey},
    op::Payload,
    queue::Frame,
};

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
        self.miss_frames(self.session(socket), &frames);
    }

    /// The same, when its frames are made already.
    pub(super) fn miss_frames(&mut self, session: SessionKey, frames: &[Frame]) {
        let is_one_dropped = self.engine.keep_latest(session, frames);
        self.volatile_dropped += u64::from(is_one_dropped);
    }
}
