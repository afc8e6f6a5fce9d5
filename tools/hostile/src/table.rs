//! What came of the attacks, for a terminal and for a document.
//!
//! Not here: what passes (`run`).

use std::io;

use crate::{
    attacks::Attack,
    fleet::Figures,
    run::{Outcome, Skipped},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    Skipped,
}

pub fn verdict(outcome: &io::Result<Outcome>) -> Verdict {
    match outcome {
        Ok(outcome) if outcome.faults.is_empty() => Verdict::Passed,
        Ok(_) => Verdict::Failed,
        Err(error) => match error.get_ref() {
            Some(why) if why.is::<Skipped>() => Verdict::Skipped,
            _ => Verdict::Failed,
        },
    }
}

/// One line for each attack, and one for each thing that is wrong.
pub fn line(attack: &Attack, outcome: &io::Result<Outcome>) -> String {
    let word = match verdict(outcome) {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "skipped",
    };
    let name = attack.name;
    let it = match outcome {
        Ok(it) => it,
        Err(error) => return format!("{word:7} {name:21} {error}"),
    };
    let p99 = |figures: &Figures| format!("{:.1}", figures.quantile_ms(0.99));
    let mut line = format!(
        "{word:7} {name:21} {}; p99 {} -> {} ms; lost {}; RSS {} / {} / {} MiB; held {}",
        it.tally,
        p99(&it.before),
        p99(&it.during),
        it.lost,
        mib(it.rss_rest),
        mib(it.rss_peak),
        mib(it.rss_after),
        mib(it.held_peak),
    );
    line += &format!("; turn {:.1} ms", it.turn_us_max as f64 / 1e3);
    for fault in &it.faults {
        line += &format!("\n        {fault}");
    }
    line
}

/// The table of a run.
pub fn markdown(attacks: &[Attack], outcomes: &[io::Result<Outcome>]) -> String {
    let mut text = String::from(
        "| attack | answers | p50, p99, max before (ms) | during (ms) | lost | \
         RSS at rest, peak, after (MiB) | may grow by |\n\
         |---|---|---|---|--:|---|--:|\n",
    );
    for (attack, outcome) in attacks.iter().zip(outcomes) {
        let name = attack.name;
        text += &match outcome {
            Ok(it) => format!(
                "| {name} | {} | {} | {} | {} | {}, {}, {} | {} |\n",
                it.tally,
                it.before.summary(),
                it.during.summary(),
                it.lost,
                mib(it.rss_rest),
                mib(it.rss_peak),
                mib(it.rss_after),
                mib(attack.holds.growth_bytes_max()),
            ),
            Err(error) => format!("| {name} | {error} | | | | | |\n"),
        };
    }
    text
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1024.0 / 1024.0)
}
