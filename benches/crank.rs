//! What one turn of the crank costs without the kernel, in nanoseconds: `cargo bench --bench
//! crank`.
//!
//! Each line asserts what was answered. The figure is the best of several runs, because everything
//! else on the machine can only make it worse.

mod common;

use std::{hint::black_box, time::Instant};

use common::{UPGRADE, World, event, frame};
use emio::{Config, ConnKey};

fn main() {
    echo("echo, 16 B, raw arguments", "echo", 16, 1);
    echo("echo, 16 B, typed arguments", "typed", 16, 1);
    echo("echo, 4 KiB, raw arguments", "echo", 4096, 1);
    echo("echo, 16 B, 32 in one read, each", "echo", 16, 32);
    acknowledge();
    broadcast();
    polling();
    connect();
}

/// Runs `work`, which does `count` things, and prints what each took in the best of the runs.
fn best(name: &str, count: u32, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let began = Instant::now();
        work();
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(count));
    }
    println!("{name:44} {best:9.0} ns");
}

fn clients(world: &mut World, count: usize) -> Vec<ConnKey> {
    (0..count).map(|_| world.client()).collect()
}

fn echo(name: &str, event_name: &str, bytes: usize, in_flight: u32) {
    let mut world = World::new(Config::default());
    let clients = clients(&mut world, 1000);
    let one = frame(&event(event_name, bytes));
    let input = one.repeat(in_flight as usize);
    // A server's frames have no mask.
    let answer = ((one.len() - 4) * in_flight as usize) as u64;
    best(name, 1000 * in_flight, || {
        let before = (world.bytes, world.writes);
        for &client in &clients {
            world.receive(client, black_box(&input));
        }
        assert_eq!(world.bytes - before.0, 1000 * answer);
        assert_eq!(world.writes - before.1, 1000, "one write for one read");
    });
}

fn acknowledge() {
    let mut world = World::new(Config::default());
    let clients = clients(&mut world, 1000);
    let input = frame("421[\"ack\",\"sixteen bytes...\"]");
    best("acknowledgement, 16 B", 1000, || {
        let before = world.bytes;
        for &client in &clients {
            world.receive(client, black_box(&input));
        }
        assert_eq!(world.bytes - before, 1000 * 25);
    });
}

fn broadcast() {
    let mut world = World::new(Config::default());
    let clients = clients(&mut world, 10_000);
    let input = frame(&event("broadcast", 128));
    best("broadcast, 128 B to 10,000, each", 10_000, || {
        let before = world.writes;
        world.receive(clients[0], black_box(&input));
        assert_eq!(world.writes - before, 10_000, "one write for each receiver");
    });
}

fn polling() {
    let mut world = World::new(Config::default());
    let (get, post) = (world.connect(), world.connect());
    let head = "EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n";
    let sid = open(&mut world, get, head);
    let send = |body: &str| {
        format!(
            "POST /socket.io/?sid={sid}&{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let poll = format!("GET /socket.io/?sid={sid}&{head}\r\n");
    world.receive(post, send("40").as_bytes());
    world.receive(get, poll.as_bytes());
    let send = send(&event("echo", 16));
    best("polling round trip, 16 B", 1000, || {
        let before = world.writes;
        for _ in 0..1000 {
            world.receive(get, poll.as_bytes());
            world.receive(post, black_box(send.as_bytes()));
        }
        assert_eq!(world.writes - before, 2000, "an answer to each request");
    });
}

/// Opens a polling session and returns its id, which only its answer tells.
fn open(world: &mut World, get: ConnKey, head: &str) -> String {
    use emio::Dispatch;
    let request = format!("GET /socket.io/?{head}\r\n");
    let mut answer = Vec::new();
    world
        .crank
        .engine()
        .handle_bytes(get, world.now, request.as_bytes());
    world.crank.dispatch(&mut |_| {});
    world.crank.engine().transmit(get, &mut |slices| {
        slices
            .iter()
            .for_each(|slice| answer.extend_from_slice(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    });
    let answer = String::from_utf8(answer).expect("a handshake is text");
    let sid = answer.split("\"sid\":\"").nth(1).expect("it tells the id");
    sid[..20].to_owned()
}

fn connect() {
    let mut world = World::new(Config::default());
    let join = frame("40");
    best("connect, join and leave over WebSocket", 1000, || {
        let before = world.writes;
        for _ in 0..1000 {
            let key = world.connect();
            world.receive(key, UPGRADE);
            world.receive(key, &join);
            world.leave(key);
        }
        assert_eq!(world.writes - before, 2000);
        assert_eq!(world.crank.stats().connections, 0);
    });
}

const RUNS: usize = 30;
