//! The honest clients: half on a WebSocket, half polling. Each is in a room that hears every tick,
//! and sends echo events at a steady rate.
//!
//! Not here: attacks. What always holds: a client checks every answer and every tick; what it has
//! to complain of is kept as a fault, and the others go on. Latency counts from the moment when an
//! echo was due, not from when it could be sent, so that a server that stalls is charged for all
//! that had to wait.
//!
//! ```text
//!   WebSocket  Upgrading ─▶ Opening ─▶ Joining ─▶ Joined ─▶ Gone
//!   Polling                 Opening ─▶ Joining ─▶ Joined ─▶ Gone
//! ```

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    mem,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Event, net::TcpStream};

use crate::{
    child::PATIENCE,
    wire::{self, CLOSE, FINAL, PING, PONG, SEPARATOR, TEXT, cut_frame, cut_response},
};

/// Clients that connect at a time. Fewer than any server's backlog.
const OPENING_MAX: usize = 64;
const READ_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
const WAKER: Token = Token(usize::MAX);

/// Faults that are told; the others are counted.
const FAULTS_TOLD: usize = 3;

/// The connection of a client's polls, or its only one; and that of its posts.
const MAIN: usize = 0;
const POSTS: usize = 1;

/// The fleet, on a thread of its own.
pub struct Fleet {
    orders: Sender<Order>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    pub count: usize,
}

/// What the thread is told.
enum Order {
    /// Tell the figures since the last time.
    Look(Sender<Figures>),
    /// Tell them without the latencies, which are kept.
    Peek(Sender<Figures>),
    /// Send no more echoes, and tell the figures when everyone has what is theirs up to this tick.
    Settle(u64, Sender<Figures>),
    /// From now on the server may end connections in order.
    Farewell,
    Stop,
}

/// What honest clients noticed.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// In microseconds, of the echoes answered since the last look.
    pub latencies: Vec<u32>,
    pub sent: u64,
    pub answered: u64,
    pub ticks: u64,
    /// Echoes that were not answered, ticks that did not come, connections that ended.
    pub lost: u64,
    /// Clients that were told of the server's end.
    pub farewells: usize,
    /// Clients that are connected.
    pub joined: usize,
    pub faults: Vec<String>,
}

impl Figures {
    /// In milliseconds; 0 without any.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * quantile) as usize;
        let at = rank.min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |us| f64::from(*us) / 1e3)
    }

    /// Half of the latencies, nearly all of them, and the longest, in milliseconds.
    pub fn summary(&self) -> String {
        let at = |quantile| self.quantile_ms(quantile);
        format!("{:.1}, {:.1}, {:.0}", at(0.5), at(0.99), at(1.0))
    }
}

impl Fleet {
    /// Connects `count` clients, each of which sends an echo every `period`, and waits until each
    /// has heard its first tick.
    pub fn launch(address: SocketAddr, count: usize, period: Duration) -> io::Result<Fleet> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (orders, inbox) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let mut crew = Crew::new(&poll, address, count, period)?;
        let thread = thread::spawn(move || crew.work(poll, &inbox, &ready));
        let fleet = Fleet {
            orders,
            waker,
            thread: Some(thread),
            count,
        };
        match is_ready.recv_timeout(PATIENCE) {
            Ok(()) => Ok(fleet),
            Err(_) => {
                let faults = fleet.look()?.faults;
                Err(io::Error::other(format!(
                    "honest clients did not join: {faults:?}"
                )))
            }
        }
    }

    /// What was noticed since the last look.
    pub fn look(&self) -> io::Result<Figures> {
        self.ask(Order::Look)
    }

    /// How things stand.
    pub fn peek(&self) -> io::Result<Figures> {
        self.ask(Order::Peek)
    }

    /// Has everyone stop sending, and waits for all that is owed.
    pub fn settle(&self, tick: u64) -> io::Result<Figures> {
        self.ask(|answer| Order::Settle(tick, answer))
    }

    pub fn expect_farewell(&self) -> io::Result<()> {
        self.order(Order::Farewell)
    }

    fn ask(&self, order: impl FnOnce(Sender<Figures>) -> Order) -> io::Result<Figures> {
        let (answer, figures) = mpsc::channel();
        self.order(order(answer))?;
        figures
            .recv_timeout(PATIENCE * 3)
            .map_err(|_| io::Error::other("the fleet does not answer"))
    }

    fn order(&self, order: Order) -> io::Result<()> {
        // A thread that has ended is found out by whoever waits for an answer.
        let _ = self.orders.send(order);
        self.waker.wake()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All clients, and what they noticed.
struct Crew {
    registry: Registry,
    address: SocketAddr,
    clients: Vec<Client>,
    count: usize,
    opening: usize,
    /// How often somebody sends an echo, whose turn it is, and when.
    step: Duration,
    turn: usize,
    due: Instant,
    is_paused: bool,
    is_farewell: bool,
    buffer: Vec<u8>,
    figures: Figures,
}

struct Client {
    state: State,
    lanes: [Option<Lane>; 2],
    sid: String,
    /// Echoes that are not answered: the ack id, and when it was due.
    awaited: VecDeque<(u64, Instant)>,
    next_id: u64,
    tick: u64,
    /// Packets for the next POST, while one is on its way.
    packets: Vec<String>,
    is_posting: bool,
}

struct Lane {
    stream: TcpStream,
    is_connected: bool,
    tail: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Opening,
    Joining,
    Joined,
    Gone,
}

/// Why a client is not one any more.
struct Fault(String);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault(error.to_string())
    }
}

impl From<wire::Malformed> for Fault {
    fn from(_: wire::Malformed) -> Fault {
        fault("malformed bytes")
    }
}

fn fault(what: impl Into<String>) -> Fault {
    Fault(what.into())
}

// The thread.
impl Crew {
    fn new(poll: &Poll, address: SocketAddr, count: usize, period: Duration) -> io::Result<Crew> {
        Ok(Crew {
            registry: poll.registry().try_clone()?,
            address,
            clients: Vec::new(),
            count,
            opening: 0,
            step: period / u32::try_from(count.max(1)).unwrap_or(u32::MAX),
            turn: 0,
            due: Instant::now(),
            is_paused: true,
            is_farewell: false,
            buffer: vec![0; READ_BYTES],
            figures: Figures::default(),
        })
    }

    fn work(&mut self, mut poll: Poll, inbox: &Receiver<Order>, ready: &Sender<()>) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut settling: Option<(u64, Instant, Sender<Figures>)> = None;
        let mut is_ready = false;
        loop {
            for order in inbox.try_iter() {
                match order {
                    // Nobody waits any more for an answer that cannot be sent.
                    Order::Look(answer) => drop(answer.send(self.report())),
                    Order::Settle(tick, answer) => {
                        self.is_paused = true;
                        settling = Some((tick, Instant::now() + PATIENCE, answer));
                    }
                    Order::Peek(answer) => {
                        let latencies = mem::take(&mut self.figures.latencies);
                        let _ = answer.send(self.figures.clone());
                        self.figures.latencies = latencies;
                    }
                    Order::Farewell => self.is_farewell = true,
                    Order::Stop => return,
                }
            }
            if !is_ready && self.recruit() {
                is_ready = true;
                let _ = ready.send(());
                (self.is_paused, self.due) = (false, Instant::now());
            }
            if let Some((tick, end, answer)) = settling.take() {
                if self.is_settled(tick) || Instant::now() > end {
                    self.count_missing(tick);
                    let _ = answer.send(self.report());
                } else {
                    settling = Some((tick, end, answer));
                }
            }
            self.send_due();
            let wait = if self.is_paused {
                Duration::from_millis(20)
            } else {
                self.due.saturating_duration_since(Instant::now())
            };
            // What fails is not ours to mend, and shows as silence.
            let _ = poll.poll(&mut events, Some(wait));
            for event in &events {
                if event.token() != WAKER {
                    self.ready(event);
                }
            }
        }
    }

    /// Has more clients connect; whether all have been there.
    fn recruit(&mut self) -> bool {
        while self.clients.len() < self.count && self.opening < OPENING_MAX {
            if let Err(Fault(why)) = self.open() {
                self.figures.faults.push(why);
                return false;
            }
        }
        self.figures.joined == self.count
    }

    fn report(&mut self) -> Figures {
        let latencies = mem::take(&mut self.figures.latencies);
        Figures {
            latencies,
            ..self.figures.clone()
        }
    }

    fn is_settled(&self, tick: u64) -> bool {
        let mut joined = self.clients.iter().filter(|it| it.state == State::Joined);
        joined.all(|client| client.awaited.is_empty() && client.tick >= tick)
    }

    /// What is still owed is lost.
    fn count_missing(&mut self, tick: u64) {
        let joined = self.clients.iter().filter(|it| it.state == State::Joined);
        for client in joined {
            let missing = client.awaited.len() as u64 + tick.saturating_sub(client.tick);
            if missing > 0 && self.figures.faults.len() < FAULTS_TOLD {
                let echoes = client.awaited.len();
                let ticks = tick.saturating_sub(client.tick);
                let what = format!("{echoes} echoes and {ticks} ticks did not come");
                self.figures.faults.push(what);
            }
            self.figures.lost += missing;
        }
    }

    /// Echoes whose time has come.
    fn send_due(&mut self) {
        let now = Instant::now();
        while !self.is_paused && self.due <= now {
            let (at, due) = (self.turn, self.due);
            self.turn = (self.turn + 1) % self.clients.len();
            self.due += self.step;
            if self.clients[at].state != State::Joined {
                continue;
            }
            let client = &mut self.clients[at];
            client.next_id += 1;
            let id = client.next_id;
            client.awaited.push_back((id, due));
            self.figures.sent += 1;
            let sent = self.say(at, format!("42{id}[\"echo\",\"client {at} echo {id}\"]"));
            self.blame(at, sent);
        }
    }

    fn blame(&mut self, at: usize, result: Result<(), Fault>) {
        let Err(Fault(why)) = result else { return };
        let client = &mut self.clients[at];
        if client.state == State::Gone {
            return;
        }
        self.figures.joined -= usize::from(client.state == State::Joined);
        client.state = State::Gone;
        client.lanes = [None, None];
        self.figures.lost += 1 + client.awaited.len() as u64;
        if self.figures.faults.len() < FAULTS_TOLD {
            self.figures.faults.push(format!("client {at}: {why}"));
        }
    }

    /// The server said goodbye, as it may now. What was not answered is lost nevertheless.
    fn told(&mut self, at: usize) -> Result<(), Fault> {
        if !self.is_farewell {
            return Err(fault("the server closed the connection"));
        }
        let client = &mut self.clients[at];
        if client.state == State::Joined {
            self.figures.joined -= 1;
            self.figures.farewells += 1;
        }
        client.state = State::Gone;
        client.lanes = [None, None];
        Ok(())
    }
}

// Bytes.
impl Crew {
    fn open(&mut self) -> Result<(), Fault> {
        let at = self.clients.len();
        let (state, request) = if is_websocket(at) {
            (State::Upgrading, wire::UPGRADE)
        } else {
            (State::Opening, wire::HANDSHAKE)
        };
        let lane = self.connect(at, MAIN, request.into())?;
        self.clients.push(Client {
            state,
            lanes: [Some(lane), None],
            sid: String::new(),
            awaited: VecDeque::new(),
            next_id: 0,
            tick: 0,
            packets: Vec::new(),
            is_posting: false,
        });
        self.opening += 1;
        Ok(())
    }

    fn connect(&self, at: usize, lane: usize, unsent: Vec<u8>) -> io::Result<Lane> {
        let mut stream = TcpStream::connect(self.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut stream, Token(at * 2 + lane), interest)?;
        Ok(Lane {
            stream,
            is_connected: false,
            tail: Vec::new(),
            unsent,
        })
    }

    fn send(&mut self, at: usize, lane: usize, bytes: &[u8]) -> Result<(), Fault> {
        let Some(lane) = &mut self.clients[at].lanes[lane] else {
            // Whoever was told to leave has nobody to speak to.
            return if self.is_farewell {
                Ok(())
            } else {
                Err(fault("a connection is missing"))
            };
        };
        lane.unsent.extend_from_slice(bytes);
        while lane.is_connected && !lane.unsent.is_empty() {
            match lane.stream.write(&lane.unsent) {
                Ok(n) => drop(lane.unsent.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Its reading side knows better.
                Err(_) if self.is_farewell => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn ready(&mut self, event: &Event) {
        let (at, lane) = (event.token().0 / 2, event.token().0 % 2);
        if event.is_writable() {
            if let Some(there) = &mut self.clients[at].lanes[lane] {
                there.is_connected = true;
                let sent = self.send(at, lane, b"");
                self.blame(at, sent);
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let read = self.read(at, lane);
            self.blame(at, read);
        }
    }

    /// Reads until the kernel has no more.
    fn read(&mut self, at: usize, lane: usize) -> Result<(), Fault> {
        let mut buffer = mem::take(&mut self.buffer);
        let mut result = Ok(());
        while let Some(there) = &mut self.clients[at].lanes[lane] {
            result = match there.stream.read(&mut buffer) {
                // The connection of posts is the client's to lose when it is told to leave.
                Ok(0) if lane == POSTS && self.is_farewell => {
                    self.clients[at].lanes[POSTS] = None;
                    Ok(())
                }
                Ok(0) => Err(fault("the connection was closed")),
                Ok(n) => self.received(at, lane, &buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => Err(error.into()),
            };
            if result.is_err() {
                break;
            }
        }
        self.buffer = buffer;
        result
    }

    /// Cuts whole units from what was kept and what came, and keeps the rest.
    fn received(&mut self, at: usize, lane: usize, bytes: &[u8]) -> Result<(), Fault> {
        let Some(there) = &mut self.clients[at].lanes[lane] else {
            return Ok(());
        };
        let mut tail = mem::take(&mut there.tail);
        tail.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let n = self.unit(at, lane, &tail[used..])?;
            used += n;
            if n == 0 || used == tail.len() {
                break;
            }
        }
        tail.drain(..used);
        if let Some(there) = &mut self.clients[at].lanes[lane] {
            there.tail = tail;
        }
        Ok(())
    }

    /// Handles one whole frame or response; how long it was, 0 if it is not whole.
    fn unit(&mut self, at: usize, lane: usize, bytes: &[u8]) -> Result<usize, Fault> {
        let is_http = !is_websocket(at) || self.clients[at].state == State::Upgrading;
        if !is_http {
            let Some(frame) = cut_frame(bytes)? else {
                return Ok(0);
            };
            let payload = &bytes[frame.payload.clone()];
            match frame.opcode {
                TEXT => self.packet(at, payload)?,
                PING => self.send(at, MAIN, &wire::frame(FINAL | PONG, payload))?,
                CLOSE => self.told(at)?,
                _ => return Err(fault("an unexpected frame")),
            }
            return Ok(frame.payload.end);
        }
        let Some(response) = cut_response(bytes)? else {
            return Ok(0);
        };
        let (status, body) = (response.status, &bytes[response.body.clone()]);
        match (status, is_websocket(at)) {
            (101, true) => self.clients[at].state = State::Opening,
            (200, false) => self.polled(at, lane, body)?,
            _ => return Err(fault(format!("the server answered {status}"))),
        }
        Ok(response.body.end)
    }

    /// The answer to a POST, or to a poll.
    fn polled(&mut self, at: usize, lane: usize, body: &[u8]) -> Result<(), Fault> {
        if lane == POSTS {
            if body != b"ok" {
                return Err(fault("a POST was not answered with ok"));
            }
            self.clients[at].is_posting = false;
            return self.post(at);
        }
        for packet in body.split(|byte| *byte == SEPARATOR) {
            self.packet(at, packet)?;
        }
        if self.clients[at].state == State::Gone {
            return Ok(());
        }
        let poll = wire::get(&self.clients[at].sid);
        self.send(at, MAIN, poll.as_bytes())
    }

    /// Sends a packet: as a frame, or with the next POST.
    fn say(&mut self, at: usize, packet: String) -> Result<(), Fault> {
        if is_websocket(at) {
            return self.send(at, MAIN, &wire::text(&packet));
        }
        self.clients[at].packets.push(packet);
        self.post(at)
    }

    fn post(&mut self, at: usize) -> Result<(), Fault> {
        let client = &mut self.clients[at];
        if client.is_posting || client.packets.is_empty() || client.state == State::Gone {
            return Ok(());
        }
        client.is_posting = true;
        let body = mem::take(&mut client.packets).join("\u{1e}");
        let request = wire::post(&client.sid, &body);
        self.send(at, POSTS, request.as_bytes())
    }
}

// Packets.
impl Crew {
    fn packet(&mut self, at: usize, packet: &[u8]) -> Result<(), Fault> {
        match (self.clients[at].state, packet) {
            (_, b"2") => self.say(at, "3".into()),
            (_, b"1") => self.told(at),
            (State::Opening, _) => {
                let sid = wire::session_id(packet).ok_or_else(|| fault("no open packet"))?;
                self.clients[at].sid = sid.to_owned();
                self.clients[at].state = State::Joining;
                if !is_websocket(at) {
                    let lane = self.connect(at, POSTS, Vec::new())?;
                    self.clients[at].lanes[POSTS] = Some(lane);
                }
                self.say(at, "40".into())
            }
            (State::Joining, [b'4', b'0', ..]) => self.say(at, "42[\"join\",\"honest\"]".into()),
            (State::Joining | State::Joined, packet) if packet.starts_with(b"42[\"tick\",") => {
                self.ticked(at, &packet[10..])
            }
            (State::Joined, [b'4', b'3', answer @ ..]) => self.answered(at, answer),
            (_, b"6") => Ok(()),
            (State::Gone, _) => Ok(()),
            _ => {
                let text = String::from_utf8_lossy(&packet[..packet.len().min(60)]);
                Err(fault(format!("an unexpected packet: {text}")))
            }
        }
    }

    fn ticked(&mut self, at: usize, rest: &[u8]) -> Result<(), Fault> {
        let digits = rest.split(|byte| *byte == b',').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let tick: u64 = digits
            .parse()
            .map_err(|_| fault("a tick without a number"))?;
        let client = &mut self.clients[at];
        if client.state == State::Joining {
            client.state = State::Joined;
            self.opening -= 1;
            self.figures.joined += 1;
        } else if tick != client.tick + 1 {
            return Err(fault(format!("tick {tick} after tick {}", client.tick)));
        }
        client.tick = tick;
        self.figures.ticks += 1;
        Ok(())
    }

    fn answered(&mut self, at: usize, answer: &[u8]) -> Result<(), Fault> {
        let client = &mut self.clients[at];
        let Some((id, due)) = client.awaited.pop_front() else {
            return Err(fault("an answer that nobody asked for"));
        };
        let expected = format!("{id}[\"client {at} echo {id}\"]");
        if answer != expected.as_bytes() {
            let text = String::from_utf8_lossy(&answer[..answer.len().min(60)]);
            return Err(fault(format!("{text} instead of {expected}")));
        }
        let us = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.figures.latencies.push(us);
        self.figures.answered += 1;
        Ok(())
    }
}

/// Every other client polls.
pub fn is_websocket(at: usize) -> bool {
    at % 2 == 0
}

/// TCP connections of a fleet of so many: one of a WebSocket, two of a client that polls.
pub fn connections(count: usize) -> u64 {
    (count + count / 2) as u64
}
