//! A million idle clients in one process, without descriptors: `cargo bench --bench scale`.
//!
//! Clients over WebSocket join `/`, answer their pings for a simulated hour, and echo now and then.
//! The figures are bytes of heap for each, CPU for each client and minute, and the cost of one
//! echo, at 10,000, 100,000 and 1,000,000 clients: flat is the goal. The kernel's part is not in
//! them.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use common::{World, event, frame};
use emio::{Config, ConnKey};

struct Counting;

static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    println!("clients      bytes each   µs per client and minute   ns per echo");
    for count in [10_000, 100_000, 1_000_000] {
        measure(count);
    }
}

fn measure(count: usize) {
    let before = BYTES.load(Relaxed);
    let config = Config {
        sessions_max: u32::MAX,
        ..Config::default()
    };
    let mut world = World::new(config);
    let mut clients: Vec<ConnKey> = Vec::with_capacity(count);
    for _ in 0..count {
        let client = world.client();
        clients.push(client);
        // A second in which they all come, so that their pings do not come at once.
        world.now += Duration::from_micros(25_000_000 / count as u64);
    }
    let own = (clients.capacity() * size_of::<ConnKey>()) as u64;
    let each = (BYTES.load(Relaxed) - before - own) as f64 / count as f64;

    let minutes = 60;
    let (pings, took) = heartbeats(&mut world, Duration::from_secs(60 * minutes));
    let expected = count as u64 * minutes * 60 / 25;
    assert!(
        pings.abs_diff(expected) <= count as u64,
        "{pings} pings, not about {expected}"
    );
    assert_eq!(
        world.crank.stats().sessions,
        count as u64,
        "nobody who answers is lost"
    );
    let cpu = took.as_micros() as f64 / count as f64 / minutes as f64;

    let echo = frame(&event("echo", 16));
    let (bytes, began) = (world.bytes, Instant::now());
    let step = (count / ECHOES).max(1);
    for client in clients.iter().step_by(step).take(ECHOES) {
        world.receive(*client, &echo);
    }
    let ns = began.elapsed().as_nanos() as f64 / ECHOES as f64;
    assert_eq!(world.bytes - bytes, ((echo.len() - 4) * ECHOES) as u64);
    println!("{count:9}   {each:8.1}   {cpu:12.2}   {ns:22.0}");
}

/// Lets time pass; every ping is answered at once. How many there were, and the CPU they took.
fn heartbeats(world: &mut World, span: Duration) -> (u64, Duration) {
    let pong = frame("3");
    let (end, began) = (world.now + span, Instant::now());
    let (mut pings, mut pinged) = (0, Vec::new());
    while world.now < end && world.sleep().is_some() {
        world.flush(|key| pinged.push(key));
        pings += pinged.len() as u64;
        for key in pinged.drain(..) {
            world.receive(key, &pong);
        }
    }
    (pings, began.elapsed())
}

const ECHOES: usize = 10_000;
