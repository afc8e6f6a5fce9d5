//! Joining and leaving: from CONNECT to the last word, in the order that clients count on.

use super::{Event, Hub};
use crate::{
    codec::sio::{self, Kind},
    config::KeepHeaders,
    id::{SessionKey, SocketKey},
    namespace::Presence,
    reason::Reason,
};

// Joining and leaving.
impl Hub {
    /// Lets a socket in: it is told, and `Connected` follows.
    pub fn accept(&mut self, socket: SocketKey) {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return;
        };
        if member.presence != Presence::Joining {
            return;
        }
        let (session, namespace) = (member.session, member.namespace);
        if !self.welcome_back(socket) {
            return self.force_close(session);
        }
        self.roster.connect(socket);
        let client = &mut self.clients[session.index()];
        let alarm = std::mem::take(&mut client.alarm);
        self.clear_alarm(alarm);
        let joining = self
            .joining
            .get_mut(&socket)
            .expect("the socket was joining");
        let alarm = std::mem::take(&mut joining.alarm);
        let held = std::mem::take(&mut joining.held);
        self.clear_alarm(alarm);
        let id = self.roster.id(socket).text();
        match self.pid(socket) {
            Some(pid) => {
                let json: [&[u8]; 5] = [b"{\"sid\":\"", &id, b"\",\"pid\":\"", &pid, b"\"}"];
                self.send_plain(session, Kind::Connect, namespace, &json);
            }
            None => {
                let json: [&[u8]; 3] = [b"{\"sid\":\"", &id, b"\"}"];
                self.send_plain(session, Kind::Connect, namespace, &json);
            }
        }
        self.events.push_back(Event::Connected { socket });
        for held in held {
            self.joining
                .get_mut(&socket)
                .expect("it is still there")
                .bytes -= held.bytes();
            self.replays.push_back((socket, held));
        }
    }

    /// The application has been told of a socket: what only its arrival needed is given back.
    pub fn settle(&mut self, socket: SocketKey) {
        let Some(joining) = self.joining.remove(&socket) else {
            return;
        };
        let is_kept = self.engine.config.keep_headers != KeepHeaders::None;
        if is_kept && !joining.auth.is_empty() {
            // It stays counted until its socket has left.
            self.auths.insert(socket, joining.auth);
        } else {
            self.engine.discharge(joining.bytes);
        }
        let session = self.session(socket);
        self.engine.release_handshake(session);
    }

    /// Refuses a socket; `error` is the JSON object that the client gets. It leaves no trace.
    pub fn refuse(&mut self, socket: SocketKey, error: &str) {
        let Some(member) = self.roster.sockets.get(socket.index()) else {
            return;
        };
        if member.presence != Presence::Joining {
            return;
        }
        let (session, namespace) = (member.session, member.namespace);
        let name = Box::from(self.roster.namespace_name(namespace));
        self.send_refusal(session, &name, error);
        self.disconnect(socket, Reason::ServerNamespaceDisconnect);
    }

    pub(super) fn send_refusal(&mut self, session: SessionKey, namespace: &str, error: &str) {
        let kind = Kind::ConnectError;
        if self.parser.is_some() {
            return self.send_parsed(session, kind, namespace, None, error.as_bytes(), &[]);
        }
        self.scratch.clear();
        sio::put_head(&mut self.scratch, kind, 0, namespace, None);
        self.engine
            .send_text(session, &[&self.scratch, error.as_bytes()]);
    }

    /// Takes a socket from its client. A connected one is told to the application, in two steps.
    pub(super) fn disconnect(&mut self, socket: SocketKey, reason: Reason) {
        let Some(member) = self.roster.sockets.get_mut(socket.index()) else {
            return;
        };
        let (session, presence) = (member.session, member.presence);
        let next = member.next.take();
        self.unlink(session, socket, next);
        let partial = self.clients[session.index()].partial.as_mut();
        if let Some(partial) = partial.filter(|partial| partial.socket == Some(socket)) {
            partial.socket = None;
        }
        if let Some(joining) = self.joining.remove(&socket) {
            self.engine.discharge(joining.bytes);
            self.clear_alarm(joining.alarm);
            if presence == Presence::Connected {
                self.engine.release_handshake(session);
            }
        }
        self.note_leaving(socket);
        self.forget_missed(socket);
        self.clear_expiry(socket);
        match presence {
            // The handshake stays: another CONNECT is to be judged by the same headers.
            Presence::Joining => {
                self.fail_acks(socket);
                self.events.push_back(Event::Withdrawn { socket });
                // Behind that, because it may be told of as `Expired` at once.
                self.keep(socket, None);
                self.roster.leave_all(socket);
            }
            Presence::Connected => {
                self.roster.sockets[socket.index()].presence = Presence::Leaving(reason);
                self.fail_acks(socket);
                self.events
                    .push_back(Event::Disconnecting { socket, reason });
            }
            Presence::Leaving(_) | Presence::Gone => {}
        }
        if self.clients[session.index()].first.is_none() && self.engine.is_open(session) {
            self.await_namespace(session);
        }
    }

    pub(super) fn unlink(
        &mut self,
        session: SessionKey,
        socket: SocketKey,
        next: Option<SocketKey>,
    ) {
        let client = &mut self.clients[session.index()];
        if client.first == Some(socket) {
            client.first = next;
            return;
        }
        let mut at = client.first;
        while let Some(key) = at {
            let member = &mut self.roster.sockets[key.index()];
            if member.next == Some(socket) {
                member.next = next;
                return;
            }
            at = member.next;
        }
    }

    /// The session is over, or about to be: all its sockets are.
    pub(super) fn drop_client(&mut self, session: SessionKey, reason: Reason) {
        while let Some(socket) = self.clients[session.index()].first {
            self.disconnect(socket, reason);
        }
        let client = &mut self.clients[session.index()];
        let alarm = std::mem::take(&mut client.alarm);
        let partial = client.partial.take();
        self.clear_alarm(alarm);
        if let Some(partial) = partial {
            self.engine.discharge(partial.bytes);
            self.clear_alarm(partial.alarm);
        }
    }

    /// Ends everything: each socket learns that the server is shutting down, without a packet.
    pub fn shut_down(&mut self) {
        for index in 0..self.clients.len() {
            self.drop_client(SessionKey::new(index), Reason::ServerShuttingDown);
        }
        self.engine.shut_down();
    }
}
