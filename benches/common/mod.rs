//! A server in memory for benchmarks: connections are keys, and output is counted and thrown away.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::{
    io::IoSlice,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use emio::{Args, Config, ConnKey, Crank, Dispatch, Entropy, Socket};

/// A server with the handlers of the bench server.
pub struct World {
    pub crank: Crank<()>,
    pub now: Instant,
    /// Bytes and writes that would have gone to the kernel.
    pub bytes: u64,
    pub writes: u64,
}

struct Numbers(u64);

impl Entropy for Numbers {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 33) as u8;
        }
    }
}

impl World {
    pub fn new(config: Config) -> World {
        let now = Instant::now();
        let mut crank = Crank::new((), config, Box::new(Numbers(1)), now, 0);
        crank.on_raw("echo", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.emit("echo", args);
        });
        crank.on("typed", |_, socket: Socket<'_, ()>, (text,): (String,)| {
            socket.emit("typed", text);
        });
        crank.on_raw("ack", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.reply(args)
        });
        crank.on_raw("broadcast", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.io().emit("broadcast", args);
        });
        World {
            crank,
            now,
            bytes: 0,
            writes: 0,
        }
    }

    /// One connection's bytes, and everything that follows from them: a turn of the loop.
    pub fn receive(&mut self, key: ConnKey, bytes: &[u8]) {
        let (mut written, mut writes) = (0, 0);
        let mut write = |slices: &[IoSlice<'_>]| {
            let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
            written += bytes as u64;
            writes += 1;
            Ok(bytes)
        };
        self.crank.engine().handle_bytes(key, self.now, bytes);
        self.crank.dispatch(&mut |engine| {
            while let Some(key) = engine.poll_dirty() {
                engine.transmit(key, &mut write);
            }
        });
        self.crank.engine().transmit(key, &mut write);
        while let Some(key) = self.crank.engine().poll_dirty() {
            self.crank.engine().transmit(key, &mut write);
        }
        while self.crank.poll_dead().is_some() {}
        self.bytes += written;
        self.writes += writes;
    }

    /// Lets time pass to the next deadline and does what is due. Returns what it was.
    pub fn sleep(&mut self) -> Option<Duration> {
        let deadline = self.crank.next_deadline()?;
        let slept = deadline.saturating_duration_since(self.now);
        self.now = self.now.max(deadline);
        self.crank.handle_timeout(self.now, &mut |_| {});
        Some(slept)
    }

    /// Writes what deadlines have produced; gives every connection that was written to.
    pub fn flush(&mut self, mut written_to: impl FnMut(ConnKey)) {
        while let Some(key) = self.crank.engine().poll_dirty() {
            let bytes = &mut self.bytes;
            self.crank.engine().transmit(key, &mut |slices| {
                let len: usize = slices.iter().map(|slice| slice.len()).sum();
                *bytes += len as u64;
                Ok(len)
            });
            written_to(key);
        }
    }

    pub fn connect(&mut self) -> ConnKey {
        let address = Ipv4Addr::LOCALHOST.into();
        self.crank
            .engine()
            .handle_open(self.now, address)
            .expect("addresses are not limited")
    }

    /// A client over WebSocket that has joined the namespace `/`.
    pub fn client(&mut self) -> ConnKey {
        let key = self.connect();
        self.receive(key, UPGRADE);
        self.receive(key, &frame("40"));
        key
    }

    /// The peer is gone.
    pub fn leave(&mut self, key: ConnKey) {
        self.crank.engine().handle_eof(key, self.now);
        self.crank.dispatch(&mut |_| {});
        while self.crank.poll_dead().is_some() {}
    }
}

/// A masked text frame, as clients send it.
pub fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81];
    match text.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        text.bytes()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// An event with one string of so many bytes.
pub fn event(name: &str, bytes: usize) -> String {
    format!("42[\"{name}\",\"{}\"]", "x".repeat(bytes))
}

pub const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
