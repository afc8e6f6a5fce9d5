//! One Engine.IO session, whatever carries it. It outlives its TCP connections.
//!
//! Not here: bytes, HTTP, namespaces, clocks. Every change of carrier is in `Session::step`, every
//! decision of the heartbeat in `Session::beat`. What always holds: at most one GET is parked, at
//! most one POST is under way, and a closed session has neither carrier nor queue.
//!
//! ```text
//!   Polling ──probe──▶ Probing ──upgrade──▶ WebSocket
//!      │  ◀──lost probe──┘ │                    │
//!      └───────────────────┴──── close ─────────┴──▶ Closing ──▶ Closed
//! ```

use crate::{
    handshake::Hello,
    id::{ConnKey, Secret},
    queue::Queue,
};

/// One Engine.IO session.
#[derive(Debug)]
pub struct Session {
    pub secret: Secret,
    pub heart: Heart,
    pub carrier: Carrier,
    /// Messages for a client that polls, as WebSocket frames. Empty once upgraded.
    pub queue: Queue,
    /// The request that opened it, until the first namespace is decided or as long as configured.
    pub hello: Option<Box<Hello>>,
    /// Whether it stands on the list of sessions whose parked GET is to be answered.
    pub is_dirty: bool,
    /// Whether messages have had to wait for a GET since it was last told that none do.
    pub is_backlogged: bool,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Polling {
        get: Option<ConnKey>,
        post: Option<ConnKey>,
    },
    /// Polling, while `ws` is tried; `probed` once it has sent its probe.
    Probing {
        get: Option<ConnKey>,
        post: Option<ConnKey>,
        ws: ConnKey,
        probed: bool,
    },
    /// A POST may still be finishing when the upgrade is done.
    WebSocket {
        ws: ConnKey,
        post: Option<ConnKey>,
    },
    /// Closed by the server, and the client polls: its next GET is told, or the WebSocket that it
    /// was about to move to.
    Closing {
        ws: Option<ConnKey>,
    },
    Closed,
}

/// What happens to a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A GET of this session came.
    Get(ConnKey),
    /// Its parked GET has been answered.
    Answered,
    /// A POST of this session came.
    Post(ConnKey),
    /// That POST has been answered.
    Posted(ConnKey),
    /// A WebSocket of this session was opened.
    Probe(ConnKey),
    /// `2probe` came over this connection.
    Probed(ConnKey),
    /// `5` came over this connection.
    Upgrade(ConnKey),
    /// This connection is gone, or about to go.
    Lost(ConnKey),
}

/// What the engine is to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Ok,
    /// Park the GET.
    Park,
    /// Read the POST.
    Read,
    /// The server has closed it: tell the client over this connection, and forget the session.
    Goodbye,
    /// Refuse the request and close the session: a second GET or POST while one is under way.
    Overlap,
    /// The request does not fit the carrier; refuse it with code 3.
    Mismatch,
    /// Close this WebSocket; the session lives on.
    Drop,
    /// Answer a parked GET with a noop, so that the client can stop polling.
    Release(Option<ConnKey>),
    /// The session is carried by the WebSocket now.
    Upgraded {
        get: Option<ConnKey>,
    },
    /// The session's carrier is gone.
    Close,
}

/// Where the heartbeat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heart {
    /// Until the next ping.
    Waiting,
    /// A ping is out.
    Pinged,
    /// A ping is out, and the interval to the next has passed already (it is shorter than the
    /// timeout).
    Overdue,
    /// The ping was answered; nothing to do until the deadline that is armed.
    Ponged,
}

/// What a deadline of the heartbeat asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Send a ping and come back after the first of interval and timeout.
    Ping,
    /// Come back after this many milliseconds.
    Wait(u64),
    /// The client was silent too long.
    Dead,
}

impl Session {
    pub fn new(secret: Secret, carrier: Carrier, hello: Option<Box<Hello>>) -> Session {
        let heart = Heart::Waiting;
        Session {
            secret,
            heart,
            carrier,
            queue: Queue::Idle,
            hello,
            is_dirty: false,
            is_backlogged: false,
        }
    }

    /// Moves the carrier and says what follows.
    pub fn step(&mut self, input: Input) -> Step {
        use Carrier::{Closed, Closing, Polling, Probing, WebSocket};
        use Input::{Answered, Get, Lost, Post, Posted, Probe, Probed, Upgrade};
        let (next, step) = match (self.carrier, input) {
            (Polling { get: None, post }, Get(conn)) => (
                Polling {
                    get: Some(conn),
                    post,
                },
                Step::Park,
            ),
            (
                Probing {
                    get: None,
                    post,
                    ws,
                    probed,
                },
                Get(conn),
            ) => (
                Probing {
                    get: Some(conn),
                    post,
                    ws,
                    probed,
                },
                Step::Park,
            ),
            (same @ (Polling { .. } | Probing { .. }), Get(_)) => (same, Step::Overlap),
            (Polling { post, .. }, Answered) => (Polling { get: None, post }, Step::Ok),
            (
                Probing {
                    post, ws, probed, ..
                },
                Answered,
            ) => (
                Probing {
                    get: None,
                    post,
                    ws,
                    probed,
                },
                Step::Ok,
            ),

            (Polling { get, post: None }, Post(conn)) => (
                Polling {
                    get,
                    post: Some(conn),
                },
                Step::Read,
            ),
            (
                Probing {
                    get,
                    post: None,
                    ws,
                    probed,
                },
                Post(conn),
            ) => (
                Probing {
                    get,
                    post: Some(conn),
                    ws,
                    probed,
                },
                Step::Read,
            ),
            (
                same @ (Polling { post, .. } | Probing { post, .. } | WebSocket { post, .. }),
                Post(conn),
            ) => match (post, same) {
                // The body of a POST that was announced before: also after the upgrade, where the
                // official server would abort it (spec 2.3.5).
                (Some(known), _) if known == conn => (same, Step::Read),
                (_, WebSocket { .. }) => (same, Step::Mismatch),
                _ => (same, Step::Overlap),
            },
            (
                Polling {
                    get,
                    post: Some(post),
                },
                Posted(conn),
            ) if post == conn => (Polling { get, post: None }, Step::Ok),
            (
                Probing {
                    get,
                    post: Some(post),
                    ws,
                    probed,
                },
                Posted(conn),
            ) if post == conn => (
                Probing {
                    get,
                    post: None,
                    ws,
                    probed,
                },
                Step::Ok,
            ),
            (
                WebSocket {
                    ws,
                    post: Some(post),
                },
                Posted(conn),
            ) if post == conn => (WebSocket { ws, post: None }, Step::Ok),

            (Polling { get, post }, Probe(ws)) => (
                Probing {
                    get,
                    post,
                    ws,
                    probed: false,
                },
                Step::Ok,
            ),
            (same @ (Probing { .. } | WebSocket { .. }), Probe(_)) => (same, Step::Drop),
            (Probing { get, post, ws, .. }, Probed(conn)) if ws == conn => (
                Probing {
                    get: None,
                    post,
                    ws,
                    probed: true,
                },
                Step::Release(get),
            ),
            (
                Probing {
                    get,
                    post,
                    ws,
                    probed: true,
                },
                Upgrade(conn),
            ) if ws == conn => (WebSocket { ws, post }, Step::Upgraded { get }),
            // Only the probe and, after it, the upgrade are legal on a WebSocket that is tried.
            (Probing { get, post, ws, .. }, Upgrade(conn)) if ws == conn => {
                (Polling { get, post }, Step::Drop)
            }

            (Probing { get, post, ws, .. }, Lost(conn)) if ws == conn => {
                (Polling { get, post }, Step::Ok)
            }
            (Polling { get, post } | Probing { get, post, .. }, Lost(conn))
                if get == Some(conn) || post == Some(conn) =>
            {
                (self.carrier, Step::Close)
            }
            (WebSocket { ws, .. }, Lost(conn)) if ws == conn => (self.carrier, Step::Close),
            (
                WebSocket {
                    ws,
                    post: Some(post),
                },
                Lost(conn),
            ) if post == conn => (WebSocket { ws, post: None }, Step::Ok),

            (same @ Closing { .. }, Get(_)) => (same, Step::Goodbye),
            (same @ Closing { .. }, Post(_)) => (same, Step::Read),
            // The client had stopped polling for the upgrade: it is told there.
            (same @ Closing { ws: Some(ws) }, Probed(conn)) if ws == conn => {
                (same, Step::Release(None))
            }
            (same @ Closing { ws: Some(ws) }, Upgrade(conn)) if ws == conn => (same, Step::Goodbye),
            (Closing { ws: Some(ws) }, Lost(conn)) if ws == conn => {
                (Closing { ws: None }, Step::Ok)
            }
            (WebSocket { .. }, Get(_)) => (self.carrier, Step::Mismatch),
            (same @ (Closing { .. } | Closed), Probe(_)) => (same, Step::Drop),
            (Closed, Get(_) | Post(_)) => (Closed, Step::Mismatch),
            (same, _) => (same, Step::Ok),
        };
        self.carrier = next;
        step
    }

    /// What to do now that the armed deadline has come; both durations in milliseconds.
    ///
    /// One deadline is armed at a time. A pong touches no timer: the next expiry looks at the flag.
    pub fn beat(&mut self, interval_ms: u64, timeout_ms: u64) -> Beat {
        let (next, beat) = match self.heart {
            Heart::Waiting => (Heart::Pinged, Beat::Ping),
            // The deadline was the first of interval and timeout after the ping.
            Heart::Ponged if interval_ms > timeout_ms => {
                (Heart::Waiting, Beat::Wait(interval_ms - timeout_ms))
            }
            Heart::Ponged => (Heart::Pinged, Beat::Ping),
            Heart::Pinged if interval_ms < timeout_ms => {
                (Heart::Overdue, Beat::Wait(timeout_ms - interval_ms))
            }
            Heart::Pinged | Heart::Overdue => (self.heart, Beat::Dead),
        };
        self.heart = next;
        beat
    }

    /// A pong came. One that nobody asked for changes nothing.
    pub fn ponged(&mut self) {
        if matches!(self.heart, Heart::Pinged | Heart::Overdue) {
            self.heart = Heart::Ponged;
        }
    }

    /// Whether messages are still accepted, either way.
    pub fn is_open(&self) -> bool {
        !matches!(self.carrier, Carrier::Closing { .. } | Carrier::Closed)
    }

    /// The parked GET.
    pub fn parked(&self) -> Option<ConnKey> {
        match self.carrier {
            Carrier::Polling { get, .. } | Carrier::Probing { get, .. } => get,
            _ => None,
        }
    }

    /// The connections on which its next pong may come: its WebSocket, and a POST under way.
    pub fn inlets(&self) -> [Option<ConnKey>; 2] {
        match self.carrier {
            Carrier::Polling { post, .. } => [post, None],
            Carrier::Probing { post, ws, .. } => [post, Some(ws)],
            Carrier::WebSocket { ws, post } => [post, Some(ws)],
            Carrier::Closing { .. } | Carrier::Closed => [None; 2],
        }
    }

    /// The connection of a POST under way.
    pub fn post(&self) -> Option<ConnKey> {
        self.inlets()[0]
    }

    /// The WebSocket that carries it.
    pub fn websocket(&self) -> Option<ConnKey> {
        match self.carrier {
            Carrier::WebSocket { ws, .. } => Some(ws),
            _ => None,
        }
    }
}

const _: () = assert!(
    size_of::<Session>() <= 64,
    "an idle session must stay small"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(
            [0; 11],
            Carrier::Polling {
                get: None,
                post: None,
            },
            None,
        )
    }

    fn conn(index: usize) -> ConnKey {
        ConnKey::new(index)
    }

    #[test]
    fn wire_2_1_7_a_second_get_or_post_overlaps() {
        let mut session = session();
        assert_eq!(session.step(Input::Get(conn(1))), Step::Park);
        assert_eq!(session.step(Input::Get(conn(2))), Step::Overlap);
        assert_eq!(session.step(Input::Post(conn(3))), Step::Read);
        assert_eq!(session.step(Input::Post(conn(3))), Step::Read, "its body");
        assert_eq!(session.step(Input::Post(conn(4))), Step::Overlap);
        assert_eq!(session.step(Input::Posted(conn(3))), Step::Ok);
        assert_eq!(session.step(Input::Answered), Step::Ok);
        assert_eq!(session.step(Input::Get(conn(2))), Step::Park);
    }

    #[test]
    fn wire_2_3_1_probe_then_upgrade() {
        let mut session = session();
        session.step(Input::Get(conn(1)));
        assert_eq!(session.step(Input::Probe(conn(9))), Step::Ok);
        assert_eq!(
            session.step(Input::Probed(conn(9))),
            Step::Release(Some(conn(1)))
        );
        assert_eq!(
            session.step(Input::Upgrade(conn(9))),
            Step::Upgraded { get: None }
        );
        assert_eq!(session.websocket(), Some(conn(9)));
        assert_eq!(session.step(Input::Get(conn(1))), Step::Mismatch);
        assert_eq!(session.step(Input::Probe(conn(10))), Step::Drop);
        assert_eq!(session.step(Input::Lost(conn(9))), Step::Close);
    }

    #[test]
    fn wire_2_3_2_an_upgrade_without_a_probe_loses_only_the_websocket() {
        let mut session = session();
        session.step(Input::Probe(conn(9)));
        assert_eq!(session.step(Input::Upgrade(conn(9))), Step::Drop);
        assert_eq!(
            session.carrier,
            Carrier::Polling {
                get: None,
                post: None
            }
        );
    }

    #[test]
    fn wire_2_3_5_a_post_under_way_survives_the_upgrade() {
        let mut session = session();
        session.step(Input::Post(conn(3)));
        session.step(Input::Probe(conn(9)));
        session.step(Input::Probed(conn(9)));
        session.step(Input::Upgrade(conn(9)));
        assert_eq!(session.step(Input::Post(conn(3))), Step::Read);
        assert_eq!(session.step(Input::Post(conn(4))), Step::Mismatch);
        assert_eq!(
            session.step(Input::Lost(conn(3))),
            Step::Ok,
            "the WebSocket carries it"
        );
    }

    #[test]
    fn wire_2_4_the_heartbeat_kills_exactly_the_silent() {
        for (interval, timeout) in [(300, 200), (200, 300), (200, 200)] {
            let mut alive = session();
            let mut waited = 0;
            let mut pings = 0;
            while pings < 10 {
                match alive.beat(interval, timeout) {
                    Beat::Ping => {
                        pings += 1;
                        alive.ponged();
                        waited += interval.min(timeout);
                    }
                    Beat::Wait(ms) => waited += ms,
                    Beat::Dead => panic!("it answered every ping"),
                }
            }
            assert_eq!(
                waited,
                9 * interval + interval.min(timeout),
                "{interval}/{timeout}"
            );

            let mut silent = session();
            assert_eq!(silent.beat(interval, timeout), Beat::Ping);
            let mut waited = interval.min(timeout);
            while let Beat::Wait(ms) = silent.beat(interval, timeout) {
                waited += ms;
            }
            assert_eq!(waited, timeout, "{interval}/{timeout}");
        }
    }
}
