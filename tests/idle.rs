//! What an idle client costs, and what a message costs, counted in heap bytes and blocks.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::IoSlice,
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use emio::{Args, Config, ConnKey, Crank, Dispatch, Entropy, Recovery, Socket};

/// The system's allocator, with counters.
struct Counting;

static BYTES: AtomicU64 = AtomicU64::new(0);
static BLOCKS: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        BLOCKS.fetch_add(1, Relaxed);
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        BLOCKS.fetch_sub(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size as u64, Relaxed);
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

/// A server, and connections whose output is thrown away.
struct World {
    crank: Crank<()>,
    now: Instant,
    written: usize,
}

impl World {
    fn new() -> World {
        World::with(Config::default())
    }

    fn with(config: Config) -> World {
        let now = Instant::now();
        let mut crank = Crank::new((), config, Box::new(Numbers(1)), now, 0);
        crank.on_raw("echo", |_, socket: Socket<'_, ()>, args: Args<'_>| {
            socket.emit("echo", args);
        });
        World {
            crank,
            now,
            written: 0,
        }
    }

    fn receive(&mut self, key: ConnKey, bytes: &[u8]) {
        self.crank.engine().handle_bytes(key, self.now, bytes);
        self.crank.dispatch(&mut |_| {});
        let written = &mut self.written;
        let mut write = |slices: &[IoSlice<'_>]| {
            let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
            *written += bytes;
            Ok(bytes)
        };
        self.crank.engine().transmit(key, &mut write);
        while let Some(key) = self.crank.engine().poll_dirty() {
            self.crank.engine().transmit(key, &mut write);
        }
        while self.crank.poll_dead().is_some() {}
    }

    /// A client over WebSocket that has joined the namespace `/`.
    fn client(&mut self) -> ConnKey {
        let address = Ipv4Addr::LOCALHOST.into();
        let key = self
            .crank
            .engine()
            .handle_open(self.now, address)
            .expect("there is room");
        self.receive(
            key,
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
              Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        self.receive(key, &frame("40"));
        key
    }
}

/// A masked text frame, as clients send it.
fn frame(text: &str) -> Vec<u8> {
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

/// Fills a world with idle clients; what one of them costs.
fn fill(world: &mut World) -> (Vec<ConnKey>, f64) {
    let mut clients: Vec<ConnKey> = Vec::with_capacity(20_000);
    for _ in 0..64 {
        let client = world.client();
        clients.push(client);
    }
    let (bytes, blocks) = (BYTES.load(Relaxed), BLOCKS.load(Relaxed));
    for _ in 64..16_384 {
        let client = world.client();
        clients.push(client);
    }
    let bytes = BYTES.load(Relaxed) - bytes;
    let blocks = BLOCKS.load(Relaxed) - blocks;
    assert!(blocks < 16, "{blocks} more blocks for 16,320 more clients");
    // 16,384 is a power of two, so that vectors that double are full: this is the exact figure.
    (clients, bytes as f64 / 16_320.0)
}

/// Everything that can be asked for and concerns each client.
fn with_everything_on() -> World {
    let mut world = World::with(Config {
        recovery: Some(Recovery::default()),
        ..Config::default()
    });
    let mut namespace = world.crank.of("/");
    namespace
        .middleware(|(), _, _| Ok(()))
        .event_middleware(|(), _, _, _| Ok(()))
        .on_any(|(), _, _, _| {})
        .on_any_outgoing(|(), _, _, _| {})
        .on_room(|(), _, _, _| {})
        .on_upgrade(|(), _| {})
        .on_drain(|(), _| {})
        .on_expiring(|(), _| {})
        .on_connect(|(), _| {})
        .on_disconnecting(|(), _, _| {})
        .on_disconnect(|(), _, _| {});
    world.crank.of_pattern("/dynamic-#");
    world
}

// One test, because the counters are the process's.
#[test]
fn an_idle_client_owns_no_heap_block_and_an_echo_allocates_nothing() {
    let (_, each) = fill(&mut with_everything_on());
    println!("an idle client, everything on, recovery too: {each:.1} bytes, 0 blocks");
    assert!(each <= 457.0, "{each} bytes with everything on");

    let mut world = World::new();
    let (clients, each) = fill(&mut world);
    println!("an idle WebSocket client in one namespace: {each:.1} bytes, 0 blocks");
    assert!(each <= 320.0, "{each} bytes for an idle client");

    for text in ["42[\"echo\",\"sixteen bytes...\"]".to_owned(), echo(4096)] {
        let frame = frame(&text);
        for &client in &clients[..100] {
            world.receive(client, &frame);
        }
        let (allocations, written) = (ALLOCATIONS.load(Relaxed), world.written);
        for &client in &clients[..1000] {
            world.receive(client, &frame);
        }
        let echoed = (world.written - written) / 1000;
        assert_eq!(echoed, frame.len() - 4, "each came back, without a mask");
        assert_eq!(
            ALLOCATIONS.load(Relaxed) - allocations,
            0,
            "an echo of {} B",
            text.len()
        );
    }
    let after = BYTES.load(Relaxed);

    // A heartbeat leaves nothing behind either.
    world.now += Duration::from_secs(26);
    world.crank.handle_timeout(world.now, &mut |_| {});
    let pong = self::frame("3");
    for &client in &clients {
        world.receive(client, &pong);
    }
    assert!(
        BYTES.load(Relaxed) <= after + 512 * 1024,
        "lists of those to be written to"
    );
}

fn echo(bytes: usize) -> String {
    format!("42[\"echo\",\"{}\"]", "x".repeat(bytes))
}
