//! What happens to sessions, for programs that watch: told only if somebody listens.
//!
//! What always holds: a note comes before the event that it belongs to, and changes nothing.

use super::{Engine, Event, Transport};
use crate::{
    id::{ConnKey, SessionKey, Sid},
    reason::Reason,
};

/// Something that happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// It was opened.
    Opened,
    /// A packet came. Those with which an upgrade is tried are not told.
    Packet(PacketKind),
    /// A packet was made for the client: an open packet, a ping or a message.
    PacketCreate(PacketKind),
    /// The client has answered a ping.
    Heartbeat,
    /// A WebSocket is tried, and has sent its probe.
    Upgrading,
    /// It moved from polling to its WebSocket.
    Upgraded,
    /// What had to wait for the client has left.
    Drain,
    /// It is over.
    Closed(Reason),
}

/// The type of an Engine.IO packet. A binary message is a `Message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocol's names say what they are")]
pub enum PacketKind {
    Open,
    Close,
    Ping,
    Pong,
    Message,
    Upgrade,
    Noop,
}

/// Which session something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id, a secret between the client and the server: `Debug` does not print it.
    pub id: Sid,
    /// The transport that carried it then.
    pub transport: Transport,
}

impl PacketKind {
    /// The name that the protocol uses.
    pub fn name(self) -> &'static str {
        match self {
            PacketKind::Open => "open",
            PacketKind::Close => "close",
            PacketKind::Ping => "ping",
            PacketKind::Pong => "pong",
            PacketKind::Message => "message",
            PacketKind::Upgrade => "upgrade",
            PacketKind::Noop => "noop",
        }
    }

    /// The kind of a packet that was parsed, from its first character.
    pub(super) fn of(text: &[u8]) -> PacketKind {
        match text.first() {
            Some(b'0') => PacketKind::Open,
            Some(b'1') => PacketKind::Close,
            Some(b'2') => PacketKind::Ping,
            Some(b'3') => PacketKind::Pong,
            Some(b'5') => PacketKind::Upgrade,
            Some(b'6') => PacketKind::Noop,
            _ => PacketKind::Message,
        }
    }
}

impl Engine {
    /// From now on what happens to sessions is told as `Event::Session`, each packet included: a
    /// broadcast brings one for each receiver.
    pub fn tell_sessions(&mut self) {
        self.tells_sessions = true;
    }

    /// What watchers hear of the input comes before what was seen in it.
    #[cold]
    pub(super) fn poll_note(&mut self) -> Option<Event> {
        let note = self.notes.pop_front();
        note.or_else(|| self.seen.take())
    }

    /// Tells those who watch.
    #[inline]
    pub(super) fn note(&mut self, session: SessionKey, event: SessionEvent) {
        if self.tells_sessions {
            self.write_note(session, event);
        }
    }

    // Out of the way of those whom nobody watches.
    #[cold]
    fn write_note(&mut self, session: SessionKey, event: SessionEvent) {
        let info = SessionInfo {
            id: self.sid(session),
            transport: self.transport(session),
        };
        self.notes.push_back(Event::Session {
            session,
            info,
            event,
        });
    }

    /// Tells that a WebSocket's backlog has left, if it carries the session.
    pub(super) fn note_drain(&mut self, ws: ConnKey, session: SessionKey) {
        let state = self.sessions.get(session.index());
        if state.is_some_and(|state| state.websocket() == Some(ws)) {
            self.note(session, SessionEvent::Drain);
        }
    }

    /// Counts a packet that came, and tells those who watch.
    #[inline]
    pub(super) fn note_packet(&mut self, session: SessionKey, kind: PacketKind) {
        self.stats.packets_in += 1;
        self.note(session, SessionEvent::Packet(kind));
    }

    /// The same for a packet that goes out.
    #[inline]
    pub(super) fn note_created(&mut self, session: SessionKey, kind: PacketKind) {
        self.stats.packets_out += 1;
        self.note(session, SessionEvent::PacketCreate(kind));
    }
}
