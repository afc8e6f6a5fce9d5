//! Clients that do not keep up: what `Config::overflow` drops for them, and the volatile event that
//! `Config::volatile` lets wait.
//!
//! Not here: the queues themselves (`queue`), and what is volatile (`hub`). What always holds: the
//! messages of one event are sent together or not at all, and in the order in which events were
//! sent; nothing is kept for a client that keeps up.

use super::Engine;
use crate::{
    config::{Overflow, Volatile},
    conn::State,
    id::{ConnKey, SessionKey},
    queue::{Frame, Queue},
    session::Carrier,
};

// The policy.
impl Engine {
    /// Whether one more event may be sent to a session; `false` means that `Config::overflow` has
    /// dropped it, which is counted. After `true`, all messages up to `end_event` are that event's,
    /// and none of them finds the backlog too large.
    pub fn admit(&mut self, session: SessionKey) -> bool {
        if self.config.overflow == Overflow::Close {
            return true;
        }
        let Some(state) = self.sessions.get(session.index()) else {
            return true;
        };
        let backlog_bytes = match state.carrier {
            Carrier::WebSocket { ws, .. } => self.backlog_cost(ws),
            _ => state.queue.cost(),
        };
        self.admit_to(backlog_bytes)
    }

    /// The same for an application's WebSocket.
    pub(super) fn admit_raw(&mut self, key: ConnKey) -> bool {
        self.config.overflow == Overflow::Close || self.admit_to(self.backlog_cost(key))
    }

    fn admit_to(&mut self, backlog_bytes: usize) -> bool {
        let is_full = self.is_over(backlog_bytes, 1);
        self.stats.overflow_dropped += u64::from(is_full);
        self.is_admitted = !is_full;
        !is_full
    }

    /// The event that `admit` let in has been sent whole.
    pub fn end_event(&mut self) {
        self.is_admitted = false;
    }

    /// What a connection's backlog costs; one frame that waits to be written is none.
    pub(super) fn backlog_cost(&self, key: ConnKey) -> usize {
        match &self.conns[key.index()].queue {
            Queue::Idle | Queue::One(_) => 0,
            queue => queue.cost(),
        }
    }

    /// Whether a backlog is so large that its connection has to be closed.
    pub(super) fn is_too_much(&self, backlog_bytes: usize) -> bool {
        !self.is_admitted && self.is_over(backlog_bytes, self.slack())
    }

    fn is_over(&self, backlog_bytes: usize, slack: u64) -> bool {
        let backlog_bytes_max = slack * u64::from(self.config.backlog_bytes_max);
        backlog_bytes as u64 > backlog_bytes_max || self.is_over_budget(backlog_bytes, slack)
    }

    /// Whether the process holds too much output, and this backlog is part of it.
    ///
    /// Only those who hold more than an equal share of the budget pay for it.
    pub(super) fn is_over_budget(&self, backlog_bytes: usize, slack: u64) -> bool {
        let budget = self.config.backlog_bytes_process_max;
        let owners = (self.conns.len() + self.sessions.len()) as u64;
        backlog_bytes > 0
            && self.queued_bytes() > slack.saturating_mul(budget)
            && backlog_bytes as u64 > budget / owners.max(1)
    }

    /// Bytes of living frames, but for those that only a log holds.
    fn queued_bytes(&self) -> u64 {
        self.gauge.bytes().saturating_sub(self.retained_bytes)
    }

    /// How many times its budget a backlog may have before its connection is closed. Where events
    /// are dropped, what cannot be (answers, the protocol's own packets) finds room beyond them.
    pub(super) fn slack(&self) -> u64 {
        match self.config.overflow {
            Overflow::Close => 1,
            Overflow::DropNewest => 2,
        }
    }
}

// The volatile event that waits.
impl Engine {
    /// Takes a volatile event for a client that cannot be written to; whether one was dropped: this
    /// one, or the one that waited before it.
    ///
    /// `owner` is whom `forget_latest` will name.
    pub fn keep_latest(&mut self, session: SessionKey, owner: u32, frames: &[Frame]) -> bool {
        let bytes = frames_bytes(frames);
        let is_full = bytes > self.config.backlog_bytes_max as usize
            || self.queued_bytes() > self.config.backlog_bytes_process_max;
        if self.config.volatile == Volatile::Drop || is_full || !self.is_open(session) {
            return true;
        }
        self.latest
            .insert(session, (owner, frames.to_vec()))
            .is_some()
    }

    /// Drops the volatile event that waits for this client, if it was for this owner; whether one
    /// was dropped.
    pub fn forget_latest(&mut self, session: SessionKey, owner: u32) -> bool {
        let is_its = self.latest.get(&session).is_some_and(|it| it.0 == owner);
        is_its && self.latest.remove(&session).is_some()
    }

    /// Sends the volatile event that waits for this client, if there is one: the client can be
    /// written to again, or something is sent that must not overtake it.
    pub(super) fn send_latest(&mut self, session: SessionKey) {
        let Some((_, frames)) = self.latest.remove(&session) else {
            return;
        };
        // It was counted when it was kept.
        let is_admitted = std::mem::replace(&mut self.is_admitted, true);
        for frame in &frames {
            self.send_frame(session, frame);
        }
        self.is_admitted = is_admitted;
    }

    /// A connection has written everything that waited.
    pub(super) fn has_caught_up(&mut self, key: ConnKey) {
        let conn = &self.conns[key.index()];
        let State::Ws(session) = conn.state else {
            return;
        };
        // It may belong to a session that only probes it.
        let state = self.sessions.get(session.index());
        let ws = state.and_then(|session| session.websocket());
        if conn.is_writable && ws == Some(key) {
            self.send_latest(session);
        }
    }

    /// Bytes of the volatile event that waits for this client.
    pub(super) fn latest_bytes(&self, session: SessionKey) -> usize {
        self.latest
            .get(&session)
            .map_or(0, |(_, frames)| frames_bytes(frames))
    }
}

fn frames_bytes(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| frame.bytes().len()).sum()
}
