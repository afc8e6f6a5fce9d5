//! One hostile connection: any bytes at any speed, and what comes back.
//!
//! Not here: what is sent (`attacks`). What always holds: nothing waits longer than it was told,
//! and a peer that was cut off says how.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    child::PATIENCE,
    wire::{self, CLOSE, PONG, TEXT, cut_frame, cut_response},
};

/// How often each answer was given, by its short name: `408`, `close 1009`, `closed`, `reset`,
/// `silence`, or a word of the attack's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub fn note(&mut self, answer: impl Into<String>) {
        *self.0.entry(answer.into()).or_insert(0) += 1;
    }

    pub fn add(&mut self, other: &Tally) {
        for (answer, count) in &other.0 {
            *self.0.entry(answer.clone()).or_insert(0) += count;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn answers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (answer, count)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{answer} ×{count}")?;
        }
        Ok(())
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    Response {
        status: u16,
        head: String,
        body: Vec<u8>,
    },
    Message(u8, Vec<u8>),
    /// A close frame, and its code.
    Close(Option<u16>),
    /// The server ended the connection.
    Closed,
    Reset,
    Malformed,
    /// Nothing, in the time that was given.
    Silence,
}

impl Unit {
    pub fn name(&self) -> String {
        match self {
            Unit::Response { status, .. } => status.to_string(),
            Unit::Message(TEXT, text) if text.starts_with(b"4") => {
                let kind = &text[..text.len().min(2)];
                String::from_utf8_lossy(kind).into_owned()
            }
            Unit::Message(TEXT, _) => "text".into(),
            Unit::Message(PONG, _) => "pong".into(),
            Unit::Message(..) => "frame".into(),
            Unit::Close(Some(code)) => format!("close {code}"),
            Unit::Close(None) => "close".into(),
            Unit::Closed => "closed".into(),
            Unit::Reset => "reset".into(),
            Unit::Malformed => "malformed".into(),
            Unit::Silence => "silence".into(),
        }
    }

    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Unit::Close(_) | Unit::Closed | Unit::Reset | Unit::Malformed
        )
    }
}

pub struct Peer {
    stream: TcpStream,
    /// Bytes read, and how many of them are handed out.
    seen: Vec<u8>,
    used: usize,
    is_websocket: bool,
    /// How far `pour` has come in its pattern.
    at: usize,
    /// What ended it, once that was heard.
    pub ended: Option<Unit>,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> io::Result<Peer> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Peer {
            stream,
            seen: Vec::new(),
            used: 0,
            is_websocket: false,
            at: 0,
            ended: None,
        })
    }

    /// One that has begun a session over a WebSocket.
    pub fn websocket(address: SocketAddr) -> io::Result<Peer> {
        let mut peer = Peer::connect(address)?;
        peer.send(wire::UPGRADE);
        peer.switched(101)?;
        match peer.unit(PATIENCE) {
            Unit::Message(TEXT, text) if text.starts_with(b"0{") => Ok(peer),
            unit => Err(unexpected(&unit)),
        }
    }

    /// One that has joined a namespace over a WebSocket, by its CONNECT packet.
    pub fn joined(address: SocketAddr, connect: &str) -> io::Result<Peer> {
        let mut peer = Peer::websocket(address)?;
        peer.say(connect);
        match peer.unit(PATIENCE) {
            Unit::Message(TEXT, text) if text.starts_with(b"40") => Ok(peer),
            unit => Err(unexpected(&unit)),
        }
    }

    /// One that has begun a session by polling, and the session's id.
    pub fn polling(address: SocketAddr) -> io::Result<(Peer, String)> {
        let mut peer = Peer::connect(address)?;
        peer.send(wire::HANDSHAKE);
        match peer.unit(PATIENCE) {
            Unit::Response {
                status: 200, body, ..
            } => {
                let sid = wire::session_id(&body).ok_or_else(|| io::Error::other("no sid"))?;
                Ok((peer, sid.to_owned()))
            }
            unit => Err(unexpected(&unit)),
        }
    }

    /// The answer to an upgrade; from then on there are frames.
    pub fn switched(&mut self, expected: u16) -> io::Result<()> {
        match self.unit(PATIENCE) {
            Unit::Response { status, .. } if status == expected => {
                self.is_websocket = true;
                Ok(())
            }
            unit => Err(unexpected(&unit)),
        }
    }

    /// Sends all of it; whether the connection took it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.set_nonblocking(false).is_ok() && self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a text message.
    pub fn say(&mut self, packet: &str) -> bool {
        self.send(wire::text(packet))
    }

    /// Sends as much as fits of a pattern without end, from where it stopped; bytes sent, or
    /// `None` if the connection is over.
    pub fn pour(&mut self, pattern: &[u8]) -> Option<usize> {
        self.stream.set_nonblocking(true).ok()?;
        let mut sent = 0;
        // A share for each peer, so that all of them get their turn.
        while sent < POUR_BYTES {
            match self.stream.write(&pattern[self.at..]) {
                Ok(n) => {
                    sent += n;
                    self.at = (self.at + n) % pattern.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(sent)
    }

    /// Ends the sending side.
    pub fn half_close(&self) -> bool {
        self.stream.shutdown(Shutdown::Write).is_ok()
    }

    /// The next thing that comes back within this time.
    pub fn unit(&mut self, wait: Duration) -> Unit {
        let end = Instant::now() + wait;
        loop {
            if let Some(unit) = self.cut() {
                if unit.is_end() {
                    self.ended = Some(unit.clone());
                }
                return unit;
            }
            if let Some(ended) = &self.ended {
                return ended.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if let Some(unit) = self.fill(left) {
                if unit.is_end() {
                    self.ended = Some(unit.clone());
                }
                return unit;
            }
        }
    }

    /// Throws away what has come, except for what ended the connection.
    pub fn drain(&mut self) {
        while self.ended.is_none() && self.unit(Duration::ZERO) != Unit::Silence {}
    }

    /// Reads a little, and forgets it.
    pub fn sip(&mut self) {
        let mut little = [0; 1024];
        // An end is found out by who writes.
        let _ = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.read(&mut little));
    }

    /// What ends it, whatever comes before.
    pub fn end(&mut self) -> String {
        loop {
            let unit = self.unit(PATIENCE);
            if unit.is_end() || unit == Unit::Silence {
                return unit.name();
            }
        }
    }

    /// What ended it, as far as it was read; `served` if nothing has.
    pub fn fate(&self) -> String {
        self.ended.as_ref().map_or("served".into(), Unit::name)
    }

    /// The name of the first thing that is no message, but pings are answered; what an orderly
    /// client would see as the answer to all that it did.
    pub fn verdict(&mut self) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.unit(left) {
                Unit::Message(TEXT, text) if text == b"2" => drop(self.say("3")),
                Unit::Message(..) => {}
                unit => return unit.name(),
            }
        }
    }

    /// The next text message that is no ping and no tick, within the time of all patience.
    pub fn text(&mut self) -> Result<String, Unit> {
        loop {
            match self.unit(PATIENCE) {
                Unit::Message(TEXT, text) if text == b"2" => drop(self.say("3")),
                Unit::Message(TEXT, text) => return Ok(String::from_utf8_lossy(&text).into()),
                Unit::Message(..) => {}
                unit => return Err(unit),
            }
        }
    }

    fn cut(&mut self) -> Option<Unit> {
        let bytes = &self.seen[self.used..];
        let (unit, n) = if self.is_websocket {
            match cut_frame(bytes) {
                Ok(None) => return None,
                Err(_) => return Some(Unit::Malformed),
                Ok(Some(frame)) => {
                    let payload = &bytes[frame.payload.clone()];
                    let unit = match (frame.opcode, payload) {
                        (CLOSE, [high, low, ..]) => {
                            Unit::Close(Some(u16::from_be_bytes([*high, *low])))
                        }
                        (CLOSE, _) => Unit::Close(None),
                        (opcode, payload) => Unit::Message(opcode, payload.to_vec()),
                    };
                    (unit, frame.payload.end)
                }
            }
        } else {
            match cut_response(bytes) {
                Ok(None) => return None,
                Err(_) => return Some(Unit::Malformed),
                Ok(Some(response)) => {
                    let unit = Unit::Response {
                        status: response.status,
                        head: String::from_utf8_lossy(&bytes[response.head]).into_owned(),
                        body: bytes[response.body.clone()].to_vec(),
                    };
                    (unit, response.body.end)
                }
            }
        };
        self.used += n;
        if self.used == self.seen.len() {
            self.seen.clear();
            self.used = 0;
        }
        Some(unit)
    }

    /// Reads once; what ends the waiting, if something does.
    fn fill(&mut self, left: Duration) -> Option<Unit> {
        let is_ready = if left.is_zero() {
            self.stream.set_nonblocking(true)
        } else {
            let set = self.stream.set_nonblocking(false);
            set.and_then(|()| self.stream.set_read_timeout(Some(left.max(SHORTEST))))
        };
        if is_ready.is_err() {
            return Some(Unit::Reset);
        }
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(Unit::Closed),
            Ok(n) => {
                self.seen.drain(..self.used);
                self.used = 0;
                self.seen.extend_from_slice(&buffer[..n]);
                None
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => None,
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(Unit::Silence),
                _ => Some(Unit::Reset),
            },
        }
    }
}

/// Bytes that one peer pours at a time.
const POUR_BYTES: usize = 256 * 1024;

/// A read timeout of zero would be none.
const SHORTEST: Duration = Duration::from_millis(1);

fn unexpected(unit: &Unit) -> io::Error {
    io::Error::other(format!("the attack could not begin: {}", unit.name()))
}
