//! What is done to the server, by subject: one entry for each attack, with the answers that are
//! documented for it, and what it may make the server hold.
//!
//! Not here: honest clients, counters, memory; they are watched the same way for every attack
//! (`run`).

mod engine;
mod host;
mod http;
mod socketio;
mod websocket;

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    child::PATIENCE,
    peer::{Peer, Tally, Unit},
    run::{Options, Setting, Stage},
};

/// One attack, or one fault of the host.
pub struct Attack {
    pub name: &'static str,
    /// What the peer does, or what happens to the host.
    pub what: &'static str,
    /// What the server is told besides, in a quick run and in a full one; nothing means emio's
    /// defaults.
    pub quick: &'static [&'static str],
    pub full: &'static [&'static str],
    /// The answers it may get, by their short names, each of which is documented.
    pub answers: &'static [&'static str],
    pub holds: Holds,
    pub run: Run,
}

pub enum Run {
    /// Peers over TCP, beside the honest clients.
    Peers(fn(&Field) -> io::Result<Tally>),
    /// Something that happens to the server's process or its network.
    Host {
        prepare: fn(&Options) -> io::Result<Setting>,
        act: fn(&mut Stage<'_>) -> io::Result<Tally>,
    },
}

/// What an attack may make the server hold at most; the resident memory may grow by twice as much,
/// because a vector that grows is there twice, and an allocator has gaps.
#[derive(Clone, Copy)]
pub enum Holds {
    /// Nothing but connections and sessions.
    Little,
    /// What has not arrived whole: `Config::incoming_bytes_max`.
    Incoming,
    /// Heads of sessions without a namespace: `Config::handshake_bytes_max`.
    Handshakes,
    /// What is not read: `Config::backlog_bytes_process_max`.
    Backlog,
    /// What has not arrived whole, and what is not read.
    Both,
    /// What is kept for clients that may come back: `Recovery::log_bytes_max`.
    Recovery,
}

impl Holds {
    /// Bytes that the server may say it holds for clients, with emio's default limits.
    pub fn bytes_max(self) -> u64 {
        let (config, recovery) = (emio::Config::default(), emio::Recovery::default());
        let held = match self {
            Holds::Little => 0,
            Holds::Incoming => config.incoming_bytes_max,
            Holds::Handshakes => config.handshake_bytes_max,
            Holds::Backlog => config.backlog_bytes_process_max,
            Holds::Both => config.incoming_bytes_max + config.backlog_bytes_process_max,
            Holds::Recovery => recovery.log_bytes_max,
        };
        held + HELD_ANYHOW_BYTES
    }

    /// Bytes by which resident memory may grow.
    pub fn growth_bytes_max(self) -> u64 {
        2 * self.bytes_max()
    }
}

/// What a thousand busy connections hold of requests and answers on their way, in each of which a
/// read of 64 KiB may wait for its turn; slabs and tables; the buffers of a turn.
const HELD_ANYHOW_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Quick,
    Full,
}

/// Where the attack takes place, and how long it should last.
pub struct Field {
    pub address: SocketAddr,
    pub until: Instant,
    pub pace: Pace,
}

impl Field {
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.pace {
            Pace::Quick => quick,
            Pace::Full => full,
        }
    }

    /// So many connections, made by `open`.
    fn crowd(
        &self,
        count: usize,
        mut open: impl FnMut(usize) -> io::Result<Peer>,
    ) -> io::Result<Vec<Peer>> {
        (0..count).map(&mut open).collect()
    }

    /// Does something again and again until the time is over, and at least once.
    fn again(&self, mut act: impl FnMut(&mut Tally) -> io::Result<()>) -> io::Result<Tally> {
        let mut tally = Tally::default();
        loop {
            act(&mut tally)?;
            if self.is_over() {
                return Ok(tally);
            }
        }
    }

    /// Sends each peer a byte at a time, again and again the same bytes, until each has had its
    /// answer.
    fn trickle(&self, peers: &mut [Peer], bytes: &[u8]) -> Tally {
        let end = Instant::now() + PATIENCE * 2;
        let mut tally = Tally::default();
        let mut waiting: Vec<&mut Peer> = peers.iter_mut().collect();
        for byte in bytes.iter().cycle() {
            waiting.retain_mut(|peer| match peer.unit(Duration::ZERO) {
                Unit::Silence => {
                    peer.send([*byte]);
                    true
                }
                unit => {
                    tally.note(unit.name());
                    false
                }
            });
            if waiting.is_empty() || Instant::now() > end {
                break;
            }
            thread::sleep(self.pick(Duration::from_millis(50), Duration::from_millis(200)));
        }
        for _ in waiting {
            tally.note("silence");
        }
        tally
    }

    /// Has each peer do something now and then that fails once it is cut off, and tells the ends.
    fn until_cut(&self, peers: &mut [Peer], mut act: impl FnMut(&mut Peer) -> bool) -> Tally {
        let end = Instant::now() + PATIENCE * 2;
        let mut tally = Tally::default();
        let mut left: Vec<&mut Peer> = peers.iter_mut().collect();
        while !left.is_empty() && Instant::now() < end {
            left.retain_mut(|peer| {
                let is_there = act(peer);
                if !is_there {
                    tally.note(peer.end());
                }
                is_there
            });
            thread::sleep(Duration::from_millis(50));
        }
        for _ in left {
            tally.note("silence");
        }
        tally
    }

    /// Pours a pattern without end from every peer, until the time is over or each was cut off;
    /// those still there are `served`.
    fn flood(&self, peers: &mut [Peer], pattern: &[u8], reads: bool) -> Tally {
        while !self.is_over() && peers.iter().any(|peer| peer.ended.is_none()) {
            let mut sent = 0;
            for peer in peers.iter_mut().filter(|peer| peer.ended.is_none()) {
                match peer.pour(pattern) {
                    Some(n) => sent += n,
                    // What it was told is in what it has not read.
                    None => peer.drain(),
                }
                if reads {
                    peer.drain();
                }
            }
            if sent == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let mut tally = Tally::default();
        for peer in peers {
            peer.drain();
            tally.note(peer.fate());
        }
        tally
    }
}

/// All of them.
pub fn all() -> Vec<Attack> {
    let subjects = [
        http::attacks(),
        websocket::attacks(),
        engine::attacks(),
        socketio::attacks(),
        host::attacks(),
    ];
    subjects.into_iter().flatten().collect()
}

/// An attack over TCP with emio's defaults and little to hold.
const fn peers(
    name: &'static str,
    what: &'static str,
    answers: &'static [&'static str],
    run: fn(&Field) -> io::Result<Tally>,
) -> Attack {
    Attack {
        name,
        what,
        quick: &[],
        full: &[],
        answers,
        holds: Holds::Little,
        run: Run::Peers(run),
    }
}
