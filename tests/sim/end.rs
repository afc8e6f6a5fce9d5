//! The end: of the server, however it is asked to, and of everyone, after which nothing is left.

use std::time::Duration;

use emio::{Dispatch, Handle};

use super::{
    Sim,
    app::{self, Chat, Command, Load, Log, NAMESPACES, Watched},
    client::Phase,
    count, heap,
    net::End,
};

/// Ends the server at once, or within so many milliseconds; the log says when it has begun.
pub fn end_server(handle: &Handle<Chat>, grace: Option<u64>) {
    // What is left of reading is told before: the next entry stands for the mail behind it.
    heap::server(|| handle.run(|_, _| ())).expect("there is room");
    let entry = match grace {
        None => Log::Shut,
        Some(_) => Log::WindDown,
    };
    heap::server(|| handle.run(|app, _| app.write(entry))).expect("there is room");
    heap::server(|| match grace {
        None => handle.close(),
        Some(millis) => handle.shutdown(Duration::from_millis(millis)),
    })
    .expect("there is room");
}

impl Sim {
    /// Everyone leaves, in every way there is, and nothing is left.
    pub fn finish(&mut self) {
        if self.rng.chance(2) {
            self.check();
        }
        if self.rng.chance(8) {
            trace!("the server is stopped");
            self.end_server(None);
            self.settle();
        }
        self.leave();
        self.check_empty(HEAP_BYTES_KEPT);
    }

    /// The server's end is asked for, from elsewhere or by a handler, and games go on for a while.
    pub(super) fn end_early(&mut self) {
        let grace = match self.rng.below(4) {
            0 => None,
            1 => Some(0),
            _ => Some(self.rng.below(5_000) as u64),
        };
        let client = self.rng.below(self.clients.len().max(1));
        let namespace = self.rng.pick(&NAMESPACES);
        let is_there = self.clients.get(client).is_some_and(|client| {
            client.phase == Phase::Open && client.places.contains_key(namespace)
        });
        if is_there && self.rng.chance(2) {
            trace!("client {client} has the server end within {grace:?}");
            let commands = Some(vec![Command::End { grace }]);
            self.with_client(client, |client, env| {
                client.event(env, namespace, Load::default(), commands, false);
            });
        } else {
            trace!("the server is to end within {grace:?}");
            self.end_server(grace);
        }
    }

    fn end_server(&mut self, grace: Option<u64>) {
        count("the server ended");
        let handle = self.crank.handle();
        end_server(&handle, grace);
        self.has_posted = true;
    }

    pub(super) fn leave(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].phase != Phase::Over {
                let end = self.rng.pick(&[End::Eof, End::Reset]);
                match self.rng.below(4) {
                    0 if self.clients[client].phase == Phase::Open => {
                        self.with_client(client, |client, env| client.say_goodbye(env));
                    }
                    1 => self.vanish(client),
                    _ => self.with_client(client, |client, env| client.drop_all(env, end)),
                }
            }
        }
        self.settle();
        let app = self.crank.app();
        let (decisions, acks) = (
            std::mem::take(&mut app.decisions),
            std::mem::take(&mut app.acks),
        );
        drop((decisions, acks, std::mem::take(&mut app.openings)));
        self.has_posted = true;
        self.advance(1_000);
        self.stalls.clear();
        self.advance(200_000);
    }

    pub(super) fn check_empty(&mut self, bytes_max: isize) {
        self.model.check_empty();
        assert_eq!(app::data_count(), 0, "sockets' data is left");
        let stats = self.crank.stats();
        assert_eq!(stats.connections, 0, "connections are left");
        assert_eq!(stats.sessions, 0, "sessions are left");
        assert_eq!(stats.sockets, 0, "sockets are left");
        assert_eq!(stats.rooms, 0, "rooms are left");
        assert_eq!(stats.incoming_bytes, 0, "incoming bytes are left");
        assert_eq!(stats.backlog_bytes, 0, "backlog bytes are left");
        assert_eq!(stats.sessions_opened, stats.sessions_closed);
        assert_eq!(stats.connections_opened, stats.connections_closed);
        if let Some(watched) = self.crank.app().watched {
            let counted = Watched {
                opened: stats.sessions_opened,
                closed: stats.sessions_closed,
                upgraded: stats.sessions_upgraded,
                packets_in: stats.packets_in,
                packets_out: stats.packets_out,
            };
            assert_eq!(watched, counted, "a watcher heard otherwise");
        }
        assert_eq!(self.crank.next_deadline(), None, "a deadline is left");
        let bytes = heap::live_bytes() - self.base_bytes;
        assert!(bytes <= bytes_max, "{bytes} bytes are left");
    }
}

/// What slabs, maps and scratch buffers keep for the next clients.
pub(super) const HEAP_BYTES_KEPT: isize = 1024 * 1024;
