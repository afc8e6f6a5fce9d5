//! How a server ends: at once, or over a while, so that its clients do not all come back at the
//! same time.
//!
//! Not here: listeners (`net`), and what a session's end means (`lifecycle`). What always holds:
//! whoever ends goes through `end_session`; from the first word on nobody new is let in; a server
//! that was told to end has no connection left three seconds after its grace period.
//!
//! ```text
//!   No ──wind_down──▶ Leaving ──everyone told, or the time is over──▶ Shut
//!    └──────────────────────────── shut_down ────────────────────────▶ Shut
//! ```

use std::time::Duration;

use super::{Engine, lifecycle::ms};
use crate::{
    conn::State,
    id::{ConnKey, SessionKey},
    reason::Reason,
    session::Carrier,
};

/// How far a server's end has come.
#[derive(Default)]
pub(super) enum Ending {
    #[default]
    No,
    /// Some have been told, the others' turn comes.
    Leaving(Box<Leaving>),
    /// Everyone has been told. Who is still connected then is dropped.
    Shut { until_ms: u64 },
}

/// Goodbyes, spread over a while.
pub(super) struct Leaving {
    since_ms: u64,
    grace_ms: u64,
    /// Everyone who was here when it began. No slot is given away again in the meantime.
    guests: Vec<Guest>,
    told_count: usize,
    /// Those whose turn has come; some poll and have no GET waiting, or something to get first.
    late: Vec<SessionKey>,
    /// When those are looked at again.
    late_at_ms: u64,
}

#[derive(Clone, Copy)]
enum Guest {
    Session(SessionKey),
    Raw(ConnKey, u32),
}

impl Engine {
    /// Lets nobody in any more, and tells everybody within `grace`, in even slices: each is told
    /// when what was sent before is on its way. Called again, those left are spread over the new
    /// time.
    pub fn wind_down(&mut self, grace: Duration) {
        if self.is_shut() {
            return;
        }
        let sessions = self.sessions.iter();
        let sessions = sessions.filter(|(_, session)| session.carrier != Carrier::Closed);
        // Those that poll come first: they may need a connection that nobody accepts any more.
        let (sockets, pollers): (Vec<_>, Vec<_>) =
            sessions.partition(|(_, session)| matches!(session.carrier, Carrier::WebSocket { .. }));
        let sessions = pollers.into_iter().chain(sockets);
        let sessions = sessions.map(|(index, _)| Guest::Session(SessionKey::new(index)));
        let raws = self
            .conns
            .iter()
            .filter_map(|(index, conn)| match conn.state {
                State::RawWs(serial) => Some(Guest::Raw(ConnKey::new(index), serial)),
                _ => None,
            });
        self.ending = Ending::Leaving(Box::new(Leaving {
            since_ms: self.now_ms,
            grace_ms: ms(grace).min(GRACE_MS_MAX),
            guests: sessions.chain(raws).collect(),
            told_count: 0,
            late: Vec::new(),
            late_at_ms: 0,
        }));
    }

    /// Lets nobody in any more, and tells everybody now.
    pub fn shut_down(&mut self) {
        if !self.is_shut() {
            let until_ms = self.now_ms + ms(SHUT_MAX);
            self.ending = Ending::Shut { until_ms };
        }
        let sessions: Vec<_> = self.sessions.iter().map(|(index, _)| index).collect();
        for index in sessions {
            self.send_latest(SessionKey::new(index));
            self.end_session(SessionKey::new(index), Reason::ServerShuttingDown, b"1");
        }
        for key in self.conn_keys() {
            match self.conns[key.index()].state {
                State::RawWs(_) => self.close_websocket(key, Some(1001), ""),
                // Nobody waits for an answer here.
                State::Head if !self.owes(key) => {
                    self.lose(key, Reason::ServerShuttingDown);
                }
                State::Head | State::Body(_) => self.end_conn(key),
                _ => {}
            }
        }
    }

    /// Whether nobody new is let in.
    pub fn is_ending(&self) -> bool {
        !matches!(self.ending, Ending::No)
    }

    /// Whether everyone has been told.
    pub fn is_shut(&self) -> bool {
        matches!(self.ending, Ending::Shut { .. })
    }

    /// Says the goodbyes that are due, and drops those who do not go.
    pub(super) fn end_further(&mut self) {
        match std::mem::take(&mut self.ending) {
            Ending::No => {}
            Ending::Shut { until_ms } => {
                self.ending = Ending::Shut { until_ms };
                if until_ms <= self.now_ms {
                    for key in self.conn_keys() {
                        self.lose(key, Reason::ServerShuttingDown);
                    }
                }
            }
            Ending::Leaving(mut leaving) => {
                while leaving.is_due(self.now_ms) {
                    match leaving.guests[leaving.told_count] {
                        Guest::Session(key) => leaving.late.push(key),
                        Guest::Raw(key, serial) => self.raw_close(key, serial, Some(1001), ""),
                    }
                    leaving.told_count += 1;
                }
                leaving.late.retain(|&key| !self.take_leave(key));
                leaving.late_at_ms = self.now_ms + LATE_MS;
                if leaving.is_over(self.now_ms) {
                    return self.shut_down();
                }
                self.ending = Ending::Leaving(leaving);
            }
        }
    }

    /// Ends a session, unless its client would miss what was sent before or would not be told;
    /// whether it is over.
    fn take_leave(&mut self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key.index()) else {
            return true;
        };
        let is_ready = match session.carrier {
            // What is queued leaves before the close frame.
            Carrier::WebSocket { .. } => true,
            Carrier::Polling { get, .. } | Carrier::Probing { get, .. } => {
                get.is_some() && session.queue.is_empty()
            }
            Carrier::Closing { .. } => false,
            Carrier::Closed => true,
        };
        if is_ready {
            self.send_latest(key);
            self.end_session(key, Reason::ServerShuttingDown, b"1");
        }
        is_ready
    }

    /// When `end_further` has something to do.
    pub(super) fn ending_deadline(&self) -> Option<u64> {
        match &self.ending {
            Ending::No => None,
            Ending::Leaving(leaving) => Some(leaving.next_ms()),
            Ending::Shut { until_ms } => (!self.conns.is_empty()).then_some(*until_ms),
        }
    }

    fn conn_keys(&self) -> Vec<ConnKey> {
        let conns = self.conns.iter();
        conns.map(|(index, _)| ConnKey::new(index)).collect()
    }
}

impl Leaving {
    /// Whether somebody's turn has come: the first guest's at once, the others' evenly after it.
    fn is_due(&self, now_ms: u64) -> bool {
        self.told_count < self.guests.len() && self.turn_ms() <= now_ms
    }

    /// When the next guest's turn comes.
    fn turn_ms(&self) -> u64 {
        let (told, all) = (self.told_count as u128, self.guests.len().max(1) as u128);
        let after_ms = (u128::from(self.grace_ms) * told).div_ceil(all);
        self.since_ms + u64::try_from(after_ms).unwrap_or(self.grace_ms)
    }

    fn end_ms(&self) -> u64 {
        self.since_ms + self.grace_ms
    }

    fn is_over(&self, now_ms: u64) -> bool {
        let is_everyone_told = self.told_count == self.guests.len() && self.late.is_empty();
        is_everyone_told || self.end_ms() <= now_ms
    }

    fn next_ms(&self) -> u64 {
        // Goodbyes come in slices, so that thousands of guests do not keep the loop awake.
        let turn_ms = self.since_ms + (self.turn_ms() - self.since_ms).next_multiple_of(SLICE_MS);
        let is_any_late = !self.late.is_empty();
        let next_ms = match (self.told_count < self.guests.len(), is_any_late) {
            (true, true) => turn_ms.min(self.late_at_ms),
            (true, false) => turn_ms,
            (false, true) => self.late_at_ms,
            (false, false) => self.since_ms,
        };
        next_ms.min(self.end_ms())
    }
}

/// A longer time ends in no program's life; a century.
const GRACE_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;

/// The shortest time between two slices of goodbyes.
const SLICE_MS: u64 = 20;

/// How long a client that polls is given to come back before it is looked at again.
const LATE_MS: u64 = 50;

/// How long those who were told may take to go.
const SHUT_MAX: Duration = Duration::from_secs(3);
