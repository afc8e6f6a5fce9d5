//! The least a server can do: bytes back to who sent them, or to everyone, or a beat to everyone now
//! and then. No protocol at all.
//! What these spend is the kernel's share of any server's cost, and so its limit.
//! Edge-triggered, TCP_NODELAY, one read and one write for each message, nothing allocated by one.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX - 1);
const READ_BYTES: usize = 64 * 1024;

/// As servers ping by default.
const BEAT_PERIOD: Duration = Duration::from_secs(25);
/// A ping as a WebSocket frame, which the generator takes for a message of three bytes.
pub const BEAT: &[u8] = b"\x81\x012";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What was read is written back.
    Echo,
    /// The first message of a connection is written back; each later one goes to everyone.
    Fan,
    /// The first message of a connection is written back, and written to it again every 25 s; what
    /// else it says is read.
    Beat,
}

struct Conn {
    stream: TcpStream,
    joined: bool,
    /// What the kernel did not take at once.
    unsent: Vec<u8>,
}

/// Serves until it is stopped.
pub fn run(mode: Mode, port: u16) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut beat_at = None;
    loop {
        let wait = beat_at.map(|at: Instant| at.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        if mode == Mode::Beat && !conns.is_empty() {
            let now = Instant::now();
            if *beat_at.get_or_insert(now + BEAT_PERIOD) <= now {
                beat_at = Some(now + BEAT_PERIOD);
                for conn in conns.iter_mut().flatten() {
                    conn.write(BEAT);
                }
            }
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut conns, &mut free)?;
                continue;
            }
            let at = event.token().0;
            if event.is_writable() {
                flush(&mut conns, at);
            }
            if !read(mode, &mut conns, at, event.is_read_closed(), &mut buffer) {
                conns[at] = None;
                free.push(at);
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    conns: &mut Vec<Option<Conn>>,
    free: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let at = free.pop().unwrap_or(conns.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(at), interest)?;
        let conn = Some(Conn {
            stream,
            joined: false,
            unsent: Vec::new(),
        });
        match conns.get_mut(at) {
            Some(place) => *place = conn,
            None => conns.push(conn),
        }
    }
}

fn flush(conns: &mut [Option<Conn>], at: usize) {
    let Some(conn) = &mut conns[at] else { return };
    let unsent = mem::take(&mut conn.unsent);
    conn.write(&unsent);
}

/// Reads until the kernel has no more, and says whether the connection lives.
fn read(
    mode: Mode,
    conns: &mut [Option<Conn>],
    at: usize,
    closed: bool,
    buffer: &mut [u8],
) -> bool {
    loop {
        let Some(conn) = &mut conns[at] else {
            return true;
        };
        match conn.stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => {
                let joined = mem::replace(&mut conn.joined, true);
                match mode {
                    Mode::Fan if joined => {
                        for conn in conns.iter_mut().flatten() {
                            conn.write(&buffer[..count]);
                        }
                    }
                    Mode::Beat if joined => {}
                    _ => conn.write(&buffer[..count]),
                }
                if count < buffer.len() && !closed {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

impl Conn {
    /// A connection that cannot be written to will say so when it is read.
    fn write(&mut self, bytes: &[u8]) {
        let mut sent = 0;
        while self.unsent.is_empty() && sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.unsent.extend(&bytes[sent..]);
    }
}
