//! Many clients of all manners against one server, from one seed, with a clock of their own:
//! `SEED=n cargo test --test simulation` plays one seed and prints what led to its failure.

mod sim;

use std::time::Duration;

use sim::heap::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Seeds that are played every time.
const SEEDS: u64 = 1_000;

#[test]
fn a_thousand_seeds_keep_every_promise() {
    match std::env::var("SEED") {
        Ok(seed) => sim::play(seed.parse().expect("SEED is a number")),
        Err(_) => sim::play_all(0..SEEDS),
    }
}

#[test]
fn a_fresh_seed_keeps_every_promise() {
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .expect("it is later than 1970");
    let seed = since.as_nanos() as u64 % 1_000_000_000 + SEEDS;
    println!("fresh seed: SEED={seed}");
    match std::env::var("SOAK_MINUTES") {
        Ok(minutes) => soak(seed, minutes.parse().expect("SOAK_MINUTES is a number")),
        Err(_) => sim::play(seed),
    }
}

/// `tools/soak` asks for it.
fn soak(first: u64, minutes: u64) {
    let players = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let players = std::env::var("SOAK_PLAYERS").map_or(players, |players| {
        players.parse().expect("SOAK_PLAYERS is a number")
    });
    let failures = sim::soak::soak(first, players, Duration::from_secs(60 * minutes));
    assert!(failures.is_empty(), "promises were broken: {failures:?}");
}

#[test]
fn a_conversation_is_the_same_wherever_its_bytes_are_cut() {
    sim::script::cut_everywhere();
}

#[test]
fn an_upgrade_succeeds_at_every_step_of_a_conversation() {
    sim::script::upgrade_everywhere();
}

#[test]
fn generations_of_clients_leave_no_memory_behind() {
    sim::generations();
}
