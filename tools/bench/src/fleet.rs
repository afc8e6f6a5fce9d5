//! Many clients of one server over real sockets: joins them, keeps them alive, hands packets over.
//! Not here: what the packets should say (`load`), or how they are written (`client`).
//! Pings are answered here, and counted. A connection that ends unasked ends the run.
//!
//!   WebSocket  Upgrading ─▶ Opening ─▶ Joining ─▶ Joined ─▶ Leaving ─▶ Gone
//!   Polling    Opening ─▶ Posting ─▶ Joining ─▶ Joined ⇄ Ponging
//!   Raw        Joining ─▶ Joined ─▶ Leaving ─▶ Gone
//!   any        Joined ─▶ Deaf ─▶ Gone

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    net::{Ipv4Addr, Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, event::Event, net::TcpStream};

use crate::client::{
    self, CLOSE, Fault, PING, PONG, TEXT, UPGRADE, Wire, cut_frame, cut_response, push_frame,
    push_get, push_post,
};

/// Clients that connect at a time. Fewer than any server's backlog.
const OPENING_MAX: usize = 64;
const READ_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// No single run takes longer, whatever the server does.
const RUN_MAX: Duration = Duration::from_secs(180);

/// The connection of a client's polls, or its only one; and that of its posts.
const MAIN: usize = 0;
const POSTS: usize = 1;

pub enum Incoming<'a> {
    Joined,
    Packet(&'a [u8]),
    /// A POST was answered.
    Posted,
    Left,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// Disconnect as the official client does.
    Leave,
}

/// What is done with everything that clients receive. Bytes put in `out` are sent by that client.
pub trait Scenario {
    fn handle(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault>;
}

/// Nothing should come but joins and departures.
pub struct Quiet;

impl Scenario for Quiet {
    fn handle(&mut self, _: usize, incoming: Incoming<'_>, _: &mut Vec<u8>) -> Result<Next, Fault> {
        match incoming {
            Incoming::Joined | Incoming::Left => Ok(Next::Stay),
            Incoming::Packet(_) | Incoming::Posted => Err(Fault::Unexpected),
        }
    }
}

pub struct Fleet {
    poll: Poll,
    events: Events,
    deadline: Instant,
    pub clients: Clients,
}

pub struct Clients {
    registry: Registry,
    server: SocketAddr,
    wire: Wire,
    all: Vec<Client>,
    /// Places of those who left, taken again by those who come.
    free: Vec<usize>,
    opening: usize,
    joined: usize,
    pings: u64,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

struct Client {
    state: State,
    lanes: [Option<Lane>; 2],
    sid: Vec<u8>,
}

struct Lane {
    stream: TcpStream,
    connected: bool,
    /// The beginning of something whose end has not come.
    tail: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Opening,
    Posting,
    Joining,
    Joined,
    Ponging,
    /// It reads nothing any more.
    Deaf,
    Leaving,
    Gone,
}

impl Fleet {
    pub fn new(port: u16, wire: Wire) -> io::Result<Fleet> {
        let poll = Poll::new()?;
        let clients = Clients {
            registry: poll.registry().try_clone()?,
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            wire,
            all: Vec::new(),
            free: Vec::new(),
            opening: 0,
            joined: 0,
            pings: 0,
            buffer: vec![0; READ_BYTES],
            out: Vec::new(),
        };
        let deadline = Instant::now() + RUN_MAX;
        Ok(Fleet {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            deadline,
            clients,
        })
    }

    /// Waits for something to happen, no longer than `wait`, and handles all of it.
    pub fn turn(&mut self, wait: Duration, scenario: &mut impl Scenario) -> Result<(), Fault> {
        if Instant::now() > self.deadline {
            return Err(Fault::Timeout);
        }
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            self.clients.ready(event, scenario)?;
        }
        Ok(())
    }

    /// Turns for as long as `duration`.
    pub fn rest(&mut self, duration: Duration, scenario: &mut impl Scenario) -> Result<(), Fault> {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left, scenario)?;
        }
    }

    /// Connects and joins until `count` clients are there.
    pub fn grow(&mut self, count: usize, scenario: &mut impl Scenario) -> Result<(), Fault> {
        while self.clients.joined < count {
            while self.clients.opening < OPENING_MAX
                && self.clients.joined + self.clients.opening < count
            {
                self.clients.open()?;
            }
            self.turn(Duration::from_millis(100), scenario)?;
        }
        Ok(())
    }

    /// Has everyone leave, and waits until the server has closed every connection.
    pub fn dismiss(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        for at in 0..self.clients.all.len() {
            if self.clients.all[at].state == State::Joined {
                self.clients.leave(at, &mut out)?;
                self.clients.send_out(at, &mut out)?;
            }
        }
        while self.clients.joined > 0 {
            self.turn(Duration::from_millis(100), &mut Quiet)?;
        }
        Ok(())
    }
}

impl Clients {
    /// Pings answered so far, by all.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// From now on this client reads nothing. The server may close it.
    pub fn deafen(&mut self, at: usize) {
        self.all[at].state = State::Deaf;
    }

    /// One that does not read.
    pub fn deaf(&self) -> Option<usize> {
        // Only one at a time is made, and it took the last place or one that was free.
        self.all
            .iter()
            .rposition(|client| client.state == State::Deaf)
    }

    /// Whether somebody has not joined yet.
    pub fn is_opening(&self) -> bool {
        self.opening > 0
    }

    /// Whether the kernel has not taken all that this client sends.
    pub fn is_blocked(&self, at: usize) -> bool {
        let mut lanes = self.all[at].lanes.iter().flatten();
        lanes.any(|lane| !lane.unsent.is_empty())
    }

    /// Begins to connect one more client.
    pub fn open(&mut self) -> Result<(), Fault> {
        let (state, mut request) = match self.wire {
            Wire::WebSocket => (State::Upgrading, UPGRADE.to_vec()),
            Wire::Polling { .. } => (State::Opening, Vec::new()),
            Wire::Raw { message_bytes } => (State::Joining, vec![b'j'; message_bytes]),
        };
        if matches!(self.wire, Wire::Polling { .. }) {
            push_get(&mut request, b"");
        }
        let at = self.free.pop().unwrap_or(self.all.len());
        let client = Client {
            state,
            lanes: [Some(self.connect(at, MAIN, request)?), None],
            sid: Vec::new(),
        };
        match self.all.get_mut(at) {
            Some(place) => *place = client,
            None => self.all.push(client),
        }
        self.opening += 1;
        Ok(())
    }

    fn connect(&self, at: usize, lane: usize, unsent: Vec<u8>) -> Result<Lane, Fault> {
        let mut stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut stream, Token(at * 2 + lane), interest)?;
        Ok(Lane {
            stream,
            connected: false,
            tail: Vec::new(),
            unsent,
        })
    }

    /// Sends what a scenario wrote: as it is, or as the body of a POST.
    pub fn send_out(&mut self, at: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if out.is_empty() {
            return Ok(());
        }
        if let Wire::Polling { .. } = self.wire {
            let mut post = Vec::with_capacity(out.len() + 256);
            push_post(&mut post, &self.all[at].sid, out);
            self.send(at, POSTS, &post)?;
        } else {
            self.send(at, MAIN, out)?;
        }
        out.clear();
        Ok(())
    }

    fn send(&mut self, at: usize, lane: usize, bytes: &[u8]) -> Result<(), Fault> {
        let Some(lane) = &mut self.all[at].lanes[lane] else {
            return Err(Fault::Closed);
        };
        let mut sent = 0;
        while lane.connected && lane.unsent.is_empty() && sent < bytes.len() {
            match lane.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It was cut off; its reading side will say so.
                Err(_) if self.all[at].state == State::Deaf => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        lane.unsent.extend(&bytes[sent..]);
        Ok(())
    }

    fn ready(&mut self, event: &Event, scenario: &mut impl Scenario) -> Result<(), Fault> {
        let (at, lane) = (event.token().0 / 2, event.token().0 % 2);
        if self.all[at].state == State::Deaf {
            if event.is_read_closed() || event.is_error() {
                return self.ended(at, scenario);
            }
            return self.writable(at, lane);
        }
        if event.is_writable() {
            self.writable(at, lane)?;
        }
        if event.is_readable() || event.is_read_closed() {
            self.read(at, lane, event.is_read_closed(), scenario)?;
        }
        Ok(())
    }

    fn writable(&mut self, at: usize, lane: usize) -> Result<(), Fault> {
        let Some(there) = &mut self.all[at].lanes[lane] else {
            return Ok(());
        };
        there.connected = true;
        let unsent = mem::take(&mut there.unsent);
        self.send(at, lane, &unsent)
    }

    /// Reads until the kernel has no more: a short read says so, unless the end is to be read too.
    fn read(
        &mut self,
        at: usize,
        lane: usize,
        closed: bool,
        scenario: &mut impl Scenario,
    ) -> Result<(), Fault> {
        let mut buffer = mem::take(&mut self.buffer);
        let mut out = mem::take(&mut self.out);
        // Bounded by what the server answers: no more than was asked for.
        while let Some(there) = &mut self.all[at].lanes[lane] {
            match there.stream.read(&mut buffer) {
                Ok(0) => self.ended(at, scenario)?,
                Ok(count) => {
                    self.received(at, lane, &buffer[..count], scenario, &mut out)?;
                    if count < buffer.len() && !closed {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if self.all[at].state != State::Leaving => return Err(error.into()),
                Err(_) => self.ended(at, scenario)?,
            }
        }
        if self.all[at].lanes[MAIN].is_some() {
            self.send_out(at, &mut out)?;
        }
        out.clear();
        self.buffer = buffer;
        self.out = out;
        Ok(())
    }

    fn ended(&mut self, at: usize, scenario: &mut impl Scenario) -> Result<(), Fault> {
        let client = &mut self.all[at];
        if !matches!(client.state, State::Leaving | State::Deaf) {
            return Err(Fault::Closed);
        }
        client.state = State::Gone;
        client.lanes = [None, None];
        self.free.push(at);
        self.joined -= 1;
        scenario.handle(at, Incoming::Left, &mut Vec::new())?;
        Ok(())
    }

    /// Cuts whole units from what was kept and what came, and keeps the rest.
    fn received(
        &mut self,
        at: usize,
        lane: usize,
        bytes: &[u8],
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Some(there) = &mut self.all[at].lanes[lane] else {
            return Ok(());
        };
        let mut tail = mem::take(&mut there.tail);
        let kept = !tail.is_empty();
        if kept {
            tail.extend(bytes);
        }
        let whole = if kept { &tail[..] } else { bytes };
        let mut used = 0;
        while used < whole.len() {
            match self.unit(at, lane, &whole[used..], scenario, out)? {
                0 => break,
                count => used += count,
            }
        }
        if kept {
            tail.drain(..used);
        } else {
            tail.extend(&bytes[used..]);
        }
        if let Some(there) = &mut self.all[at].lanes[lane] {
            there.tail = tail;
        }
        Ok(())
    }

    /// Handles one frame, response or raw message, and says how many bytes it had: 0 when more are
    /// needed.
    fn unit(
        &mut self,
        at: usize,
        lane: usize,
        bytes: &[u8],
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        match self.wire {
            Wire::WebSocket if self.all[at].state == State::Upgrading => {
                let Some(response) = cut_response(bytes)? else {
                    return Ok(0);
                };
                if response.status != 101 {
                    return Err(Fault::Refused(response.status));
                }
                self.all[at].state = State::Opening;
                Ok(response.body.end)
            }
            Wire::WebSocket => {
                let Some(frame) = cut_frame(bytes)? else {
                    return Ok(0);
                };
                let payload = &bytes[frame.payload.clone()];
                match frame.opcode {
                    TEXT => self.packet(at, payload, scenario, out)?,
                    PING => push_frame(out, PONG, payload),
                    CLOSE if self.all[at].state == State::Leaving => {}
                    CLOSE => return Err(Fault::Closed),
                    _ => return Err(Fault::Unexpected),
                }
                Ok(frame.payload.end)
            }
            Wire::Polling { .. } => {
                let Some(response) = cut_response(bytes)? else {
                    return Ok(0);
                };
                if response.status != 200 {
                    return Err(Fault::Refused(response.status));
                }
                self.response(at, lane, &bytes[response.body.clone()], scenario, out)?;
                Ok(response.body.end)
            }
            Wire::Raw { message_bytes } => {
                let Some(message) = bytes.get(..message_bytes) else {
                    return Ok(0);
                };
                if self.all[at].state == State::Joining {
                    self.join(at, scenario, out)?;
                } else {
                    self.hand_over(at, Incoming::Packet(message), scenario, out)?;
                }
                Ok(message_bytes)
            }
        }
    }

    /// One Engine.IO packet of a WebSocket.
    fn packet(
        &mut self,
        at: usize,
        packet: &[u8],
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match (self.all[at].state, packet) {
            (State::Leaving, _) => Ok(()),
            (_, b"2") => {
                self.pings += 1;
                push_frame(out, TEXT, b"3");
                Ok(())
            }
            (State::Opening, _) => {
                client::session_id(packet)?;
                push_frame(out, TEXT, b"40");
                self.all[at].state = State::Joining;
                Ok(())
            }
            (State::Joining, [b'4', b'0', ..]) => self.join(at, scenario, out),
            (State::Joined, _) => self.hand_over(at, Incoming::Packet(packet), scenario, out),
            _ => Err(Fault::Unexpected),
        }
    }

    /// The body of one response to a polling client. A ping is answered before the next poll.
    fn response(
        &mut self,
        at: usize,
        lane: usize,
        body: &[u8],
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let state = self.all[at].state;
        if lane == POSTS || matches!(state, State::Posting | State::Ponging) {
            if !body.eq_ignore_ascii_case(b"ok") {
                return Err(Fault::Unexpected);
            }
            return self.posted(at, lane, scenario, out);
        }
        if state == State::Opening {
            self.all[at].sid = client::session_id(body)?.to_vec();
            self.all[at].state = State::Posting;
            return self.post_on_main(at, b"40");
        }
        let mut pinged = false;
        for packet in body.split(|byte| *byte == 0x1e) {
            match (self.all[at].state, packet) {
                (_, b"2") => pinged = true,
                (State::Joining, [b'4', b'0', ..]) => {
                    if let Wire::Polling {
                        two_connections: true,
                    } = self.wire
                    {
                        let posts = self.connect(at, POSTS, Vec::new())?;
                        self.all[at].lanes[POSTS] = Some(posts);
                    }
                    self.join(at, scenario, out)?;
                }
                (State::Joined, _) => {
                    self.hand_over(at, Incoming::Packet(packet), scenario, out)?;
                }
                _ => return Err(Fault::Unexpected),
            }
        }
        if !pinged {
            return self.poll(at);
        }
        self.pings += 1;
        self.all[at].state = State::Ponging;
        self.post_on_main(at, b"3")
    }

    fn posted(
        &mut self,
        at: usize,
        lane: usize,
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if lane == POSTS {
            return self.hand_over(at, Incoming::Posted, scenario, out);
        }
        let posting = self.all[at].state == State::Posting;
        self.all[at].state = if posting {
            State::Joining
        } else {
            State::Joined
        };
        self.poll(at)
    }

    fn poll(&mut self, at: usize) -> Result<(), Fault> {
        let mut request = Vec::with_capacity(256);
        push_get(&mut request, &self.all[at].sid);
        self.send(at, MAIN, &request)
    }

    fn post_on_main(&mut self, at: usize, body: &[u8]) -> Result<(), Fault> {
        let mut request = Vec::with_capacity(256);
        push_post(&mut request, &self.all[at].sid, body);
        self.send(at, MAIN, &request)
    }

    fn join(
        &mut self,
        at: usize,
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.all[at].state = State::Joined;
        self.opening -= 1;
        self.joined += 1;
        self.hand_over(at, Incoming::Joined, scenario, out)
    }

    fn hand_over(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        scenario: &mut impl Scenario,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match scenario.handle(at, incoming, out)? {
            Next::Stay => Ok(()),
            Next::Leave => self.leave(at, out),
        }
    }

    /// A namespace is left, then the connection, and the server closes it. (official client)
    fn leave(&mut self, at: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.all[at].state = State::Leaving;
        let Some(lane) = &self.all[at].lanes[MAIN] else {
            return Err(Fault::Closed);
        };
        match self.wire {
            Wire::WebSocket => {
                push_frame(out, TEXT, b"41");
                push_frame(out, CLOSE, &1000_u16.to_be_bytes());
            }
            Wire::Raw { .. } => lane.stream.shutdown(Shutdown::Write)?,
            Wire::Polling { .. } => return Err(Fault::Unexpected),
        }
        Ok(())
    }
}
