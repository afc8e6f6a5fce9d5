//! Sockets whose credentials expire: a warning, then the end of their connection.
//!
//! What always holds: a socket has at most one expiry, and takes it with it when it goes.

use std::time::Duration;

use super::{Alarm, Event, Hub, millis};
use crate::{id::SocketKey, namespace::Presence};

/// When a socket's time is over, and what is next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    at_ms: u64,
    is_warned: bool,
    alarm: u32,
}

impl Hub {
    /// Sets or moves the end of a socket's time; `None` is never.
    pub(super) fn set_expiry(&mut self, socket: SocketKey, after: Option<Duration>) {
        self.clear_expiry(socket);
        let member = self.roster.sockets.get(socket.index());
        let is_here = |presence| matches!(presence, Presence::Connected | Presence::Joining);
        let is_here = member.is_some_and(|member| is_here(member.presence));
        let Some(after) = after.filter(|_| is_here) else {
            return;
        };
        let after_ms = millis(after);
        let at_ms = self.engine.now_ms().saturating_add(after_ms);
        let warn_ms = after_ms.saturating_sub(millis(self.engine.config.expiry_warning));
        let alarm = self.set_alarm(Alarm::Expiry(socket), warn_ms);
        let expiry = Expiry {
            at_ms,
            is_warned: false,
            alarm,
        };
        self.expiries.insert(socket, expiry);
    }

    /// When a socket's time is over, in the engine's milliseconds.
    pub(super) fn expires_at(&self, socket: SocketKey) -> Option<u64> {
        self.expiries.get(&socket).map(|expiry| expiry.at_ms)
    }

    pub(super) fn clear_expiry(&mut self, socket: SocketKey) {
        if let Some(expiry) = self.expiries.remove(&socket) {
            self.clear_alarm(expiry.alarm);
        }
    }

    pub(super) fn expired(&mut self, socket: SocketKey) {
        let Some(mut expiry) = self.expiries.remove(&socket) else {
            return;
        };
        if !expiry.is_warned {
            let left_ms = expiry.at_ms.saturating_sub(self.engine.now_ms());
            expiry.is_warned = true;
            expiry.alarm = self.set_alarm(Alarm::Expiry(socket), left_ms);
            self.expiries.insert(socket, expiry);
            self.events.push_back(Event::Expiring { socket });
            return;
        }
        self.engine.stats.timeouts += 1;
        // Not a DISCONNECT, after which official clients stay away: this one may come back with
        // fresh credentials (spec 4, demand 10), and with nothing but these.
        self.forget_pid(socket);
        self.force_close(self.session(socket));
    }
}
