//! A poor network: a TCP proxy that delays everything, and now and then holds a connection up for
//! as long as a lost segment does.
//!
//! Not here: loss itself, which TCP hides from both sides; what they see of it is this.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// One way.
const DELAY: Duration = Duration::from_millis(25);

/// How long a lost segment holds up those behind it: the shortest retransmission timeout.
const STALL: Duration = Duration::from_millis(200);

/// One of so many segments is lost.
const STALL_ONE_OF: u64 = 50;

/// Bytes passed on at a time, so that frames and heads come in parts.
const SEGMENT_BYTES: usize = 100;

/// How long the proxy sleeps if there is nothing to do.
const TICK: Duration = Duration::from_millis(2);

pub struct Proxy {
    pub address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One connection, and what is on its way in either direction.
struct Pair {
    streams: [TcpStream; 2],
    ways: [Way; 2],
}

#[derive(Default)]
struct Way {
    segments: VecDeque<(Instant, Vec<u8>)>,
    /// No segment arrives before the one before it.
    last: Option<Instant>,
    has_ended: bool,
}

impl Proxy {
    pub fn start(server: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::spawn(move || work(&listener, server, &flag));
        Ok(Proxy {
            address,
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(listener: &TcpListener, server: SocketAddr, is_over: &AtomicBool) {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut chance = 1;
    while !is_over.load(Ordering::Relaxed) {
        while let Ok((client, _)) = listener.accept() {
            // One that cannot be served is closed, which its client will tell.
            if let Ok(pair) = Pair::new(client, server) {
                pairs.push(pair);
            }
        }
        pairs.retain_mut(|pair| pair.pass(&mut chance).is_ok());
        thread::sleep(TICK);
    }
}

impl Pair {
    fn new(client: TcpStream, server: SocketAddr) -> io::Result<Pair> {
        let server = TcpStream::connect(server)?;
        for stream in [&client, &server] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
        }
        Ok(Pair {
            streams: [client, server],
            ways: [Way::default(), Way::default()],
        })
    }

    /// Takes what has come and passes on what is due; an error once nothing more will come.
    fn pass(&mut self, chance: &mut u64) -> io::Result<()> {
        let now = Instant::now();
        for from in 0..2 {
            let way = &mut self.ways[from];
            let mut buffer = [0; 16 * 1024];
            match (&self.streams[from]).read(&mut buffer) {
                Ok(0) if !way.has_ended => {
                    way.has_ended = true;
                    way.put(Vec::new(), now, chance);
                }
                Ok(n) => {
                    for segment in buffer[..n].chunks(SEGMENT_BYTES) {
                        way.put(segment.to_vec(), now, chance);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            way.deliver(&self.streams[1 - from], now)?;
        }
        let is_done = self
            .ways
            .iter()
            .all(|way| way.has_ended && way.segments.is_empty());
        if is_done {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

impl Way {
    fn put(&mut self, segment: Vec<u8>, now: Instant, chance: &mut u64) {
        *chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let is_lost = (*chance >> 33) % STALL_ONE_OF == 0;
        let due = now + DELAY + if is_lost { STALL } else { Duration::ZERO };
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        self.segments.push_back((due, segment));
    }

    fn deliver(&mut self, mut to: &TcpStream, now: Instant) -> io::Result<()> {
        while let Some((due, segment)) = self.segments.front_mut() {
            if *due > now {
                break;
            }
            if segment.is_empty() {
                // The end, which may be answered yet.
                to.shutdown(Shutdown::Write)?;
                self.segments.pop_front();
                continue;
            }
            match to.write(segment) {
                Ok(n) if n == segment.len() => drop(self.segments.pop_front()),
                Ok(n) => drop(segment.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
