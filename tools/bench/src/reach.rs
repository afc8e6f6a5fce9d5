//! The goals that emio has set itself, and whether results reach them; and what the floors, by
//! which some of them are measured, cost on the machine where the goals were found.

use crate::{
    job::Job,
    table::{Peer, Results, number},
};

/// A figure of emio, alone or by a peer's of the same round, and what it may be at most.
struct Goal {
    title: &'static str,
    job: &'static str,
    figure: &'static str,
    by: Option<Peer>,
    must: f64,
    aim: f64,
}

/// Whether a figure that must be 0 is: memory comes in pages, so less than half a byte is none.
const NOTHING: f64 = 0.5;

pub fn markdown(results: &Results) -> String {
    let mut text = String::from("| goal | figure | must | aim | |\n|---|---|---|---|---|\n");
    for goal in &GOALS {
        let row = row(goal, results);
        text += &row;
    }
    text += "| heap allocations in a steady echo | counted by `cargo test` | 0 | 0 | |\n";
    text
}

/// The floors here and on the reference machine: two cores of an AMD EPYC, nested, Linux 6.18.
/// A floor that is much dearer than its reference makes every goal beside it look easy.
pub fn floors(results: &Results) -> String {
    let mut text = String::new();
    for (job, reference) in FLOORS_REFERENCE {
        let job = Job::parse(job).expect("the table below names jobs");
        let Some(here) = results.spread(job, "cpu_us", Peer::Floor) else {
            continue;
        };
        let (title, here, reference) = (job.title(), number(here.median), number(reference));
        text += &format!("| {title} | {here} | {reference} |\n");
    }
    if text.is_empty() {
        return text;
    }
    format!("\n| floor, server CPU µs | here | reference |\n|---|---|---|\n{text}")
}

const FLOORS_REFERENCE: [(&str, f64); 12] = [
    ("connect", 20.2),
    ("echo-1-16", 28.02),
    ("echo-100-16", 5.38),
    ("echo-100-4096", 5.10),
    ("echo-1000-16", 5.96),
    ("echo-1000-128", 5.11),
    ("echo-1000-4096", 5.83),
    ("echo-10000-16", 7.36),
    ("pipelined-100-16", 0.17),
    ("broadcast-1000", 4.05),
    ("broadcast-10000", 5.93),
    ("broadcast-19000", 7.32),
];

fn row(goal: &Goal, results: &Results) -> String {
    let job = Job::parse(goal.job).expect("the table below names jobs");
    let spread = match goal.by {
        None => results.spread(job, goal.figure, Peer::Emio),
        Some(other) => results.ratio(job, goal.figure, Peer::Emio, other),
    };
    let unit = match goal.by {
        None => String::new(),
        Some(other) => format!(" × {}", other.name()),
    };
    let (figure, verdict) = match spread {
        None => ("-".into(), "not measured"),
        Some(spread) => {
            let range = format!("{}–{}", number(spread.min), number(spread.max));
            let figure = format!("{}{unit} ({range})", number(spread.median));
            (figure, verdict(spread.median, goal))
        }
    };
    let (title, must, aim) = (goal.title, number(goal.must), number(goal.aim));
    format!("| {title} | {figure} | ≤ {must}{unit} | ≤ {aim}{unit} | {verdict} |\n")
}

fn verdict(value: f64, goal: &Goal) -> &'static str {
    let reaches = |limit: f64| value <= limit || (limit == 0.0 && value < NOTHING);
    match (reaches(goal.must), reaches(goal.aim)) {
        (_, true) => "ok, aim",
        (true, false) => "ok",
        (false, false) => "missed",
    }
}

const fn goal(
    title: &'static str,
    (job, figure): (&'static str, &'static str),
    by: Option<Peer>,
    must: f64,
    aim: f64,
) -> Goal {
    Goal {
        title,
        job,
        figure,
        by,
        must,
        aim,
    }
}

const FLOOR: Option<Peer> = Some(Peer::Floor);
const OXIDE: Option<Peer> = Some(Peer::Oxide);

#[rustfmt::skip]
const GOALS: [Goal; 21] = [
    goal("idle WebSocket client, B", ("idle", "slope_bytes"), None, 457.0, 320.0),
    goal("... after one 4 KiB echo each, B", ("idle-echoed", "slope_bytes"), None, 470.0, 330.0),
    goal("parked polling client, B", ("idle-polling", "slope_bytes"), None, 700.0, 400.0),
    goal("RSS at start, MiB", ("start", "rss_mib"), None, 2.5, 2.0),
    goal("CPU per echo, 100 × 16 B", ("echo-100-16", "cpu_us"), FLOOR, 1.25, 1.1),
    goal("CPU per echo, 1,000 × 16 B", ("echo-1000-16", "cpu_us"), FLOOR, 1.25, 1.1),
    goal("CPU per echo, 10,000 × 16 B", ("echo-10000-16", "cpu_us"), FLOOR, 1.3, 1.15),
    goal("CPU per echo, 1,000 × 4 KiB", ("echo-1000-4096", "cpu_us"), FLOOR, 1.5, 1.3),
    goal("CPU per message, 100 × 32 in flight", ("pipelined-100-16", "cpu_us"), OXIDE, 0.5, 0.35),
    goal("CPU per delivery to 10,000", ("broadcast-10000", "cpu_us"), FLOOR, 1.15, 1.05),
    goal("first delivery to 10,000, ms", ("broadcast-10000", "first_ms"), None, 1.0, 0.2),
    goal("CPU per connect and disconnect", ("connect", "cpu_us"), OXIDE, 0.75, 0.65),
    goal("CPU per polling round trip, 100", ("polling-100", "cpu_us"), OXIDE, 0.8, 0.65),
    goal("CPU per polling round trip, 1,000", ("polling-1000", "cpu_us"), OXIDE, 0.55, 0.4),
    goal("CPU per heartbeat of 5,000, µs", ("heartbeat", "cpu_us"), None, 10.0, 8.0),
    goal("the same by a bare loop's", ("heartbeat", "cpu_us"), FLOOR, 1.25, 1.1),
    goal("churn: growth after the first cycle, B", ("churn", "growth_bytes"), None, 0.0, 0.0),
    goal("churn: RSS kept, MiB", ("churn", "kept_mib"), None, 1.5, 1.0),
    goal("stripped bench-server, kB", ("start", "binary_kb"), None, 1_000.0, 700.0),
    goal("p99 beside a flood, × alone", ("fair-1000", "flood_p99_ratio"), None, 3.0, 3.0),
    goal("p99 beside a slow reader, × alone", ("fair-1000", "slow_p99_ratio"), None, 3.0, 3.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job::Plan, job::jobs, load::Figure, table::Sample};

    #[test]
    fn every_goal_is_in_the_plan_for_goals() {
        for goal in &GOALS {
            let job = Job::parse(goal.job).unwrap();
            assert!(jobs(Plan::Must).contains(&job), "{}", goal.title);
            assert!(goal.aim <= goal.must, "{}", goal.title);
        }
    }

    #[test]
    fn every_reference_is_a_job() {
        for (job, _) in FLOORS_REFERENCE {
            assert!(
                jobs(Plan::Full).contains(&Job::parse(job).unwrap()),
                "{job}"
            );
        }
    }

    #[test]
    fn a_goal_is_reached_or_missed() {
        let mut results = Results::new(1, Vec::new());
        let mut sample = |job, peer, name: &str, value| {
            let figures = vec![Figure {
                name: name.into(),
                value,
                is_void: false,
            }];
            results.samples.push(Sample {
                round: 0,
                job,
                peer,
                figures,
            });
        };
        sample(Job::Idle, Peer::Emio, "slope_bytes", 400.0);
        sample(Job::Connect, Peer::Emio, "cpu_us", 40.0);
        sample(Job::Connect, Peer::Oxide, "cpu_us", 50.0);
        sample(Job::Churn, Peer::Emio, "growth_bytes", 0.41);
        let text = markdown(&results);
        for line in [
            "| idle WebSocket client, B | 400 (400–400) | ≤ 457 | ≤ 320 | ok |\n",
            "| 0.80 × oxide (0.80–0.80) | ≤ 0.75 × oxide | ≤ 0.65 × oxide | missed |\n",
            "| 0.41 (0.41–0.41) | ≤ 0.00 | ≤ 0.00 | ok, aim |\n",
            "| RSS at start, MiB | - | ≤ 2.50 | ≤ 2.00 | not measured |\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
