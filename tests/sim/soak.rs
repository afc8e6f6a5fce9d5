//! Fresh seeds for as long as one likes: `tools/soak MINUTES`.
//!
//! What always holds: a violation is printed with its seed and counted, and the games go on.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Sim,
    totals::{self, Totals},
};

/// How often it says how far it is.
const REPORT: Duration = Duration::from_secs(60);

/// Plays seeds from `first` on, one game after the other on each of `players` threads, until the
/// time is over. Prints the totals; the seeds that broke a promise.
pub fn soak(first: u64, players: u64, time: Duration) -> Vec<u64> {
    let since = Instant::now();
    let (done, rounds) = mpsc::channel();
    for player in 0..players {
        let done = done.clone();
        thread::spawn(move || {
            let mut seed = first + player;
            while since.elapsed() < time {
                let round = play_round(&mut seed, players, since, time);
                done.send(round).expect("somebody counts");
            }
        });
    }
    drop(done);
    let (mut sum, mut failures, mut reported) = (Totals::default(), Vec::new(), since);
    for (totals, failed) in rounds {
        sum += totals;
        failures.extend(failed);
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            say(&sum, failures.len(), since.elapsed());
        }
    }
    println!("seeds from {first}");
    say(&sum, failures.len(), since.elapsed());
    failures
}

/// Some games; what they amounted to, and the seeds that failed.
fn play_round(seed: &mut u64, step: u64, since: Instant, time: Duration) -> (Totals, Vec<u64>) {
    let mut failures = Vec::new();
    for _ in 0..100 {
        if since.elapsed() >= time {
            break;
        }
        if catch_unwind(AssertUnwindSafe(|| Sim::new(*seed).run())).is_err() {
            println!("violation: SEED={seed} cargo test --test simulation a_thousand");
            failures.push(*seed);
        }
        *seed += step;
    }
    (totals::take(), failures)
}

fn say(sum: &Totals, violations: usize, took: Duration) {
    println!("{} s: {sum} {violations} violations", took.as_secs());
    // Somebody may watch through a pipe.
    let _ = std::io::stdout().flush();
}
