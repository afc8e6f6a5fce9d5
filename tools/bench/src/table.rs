//! What all runs found: medians and ranges as a Markdown table, everything as JSON.
//! Not here: goals (`reach`). A void value counts for nothing, and is shown as void.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    job::Job,
    load::{self, Figure},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Floor,
    Emio,
    Oxide,
    Node,
}

impl Peer {
    pub const ALL: [Peer; 4] = [Peer::Floor, Peer::Emio, Peer::Oxide, Peer::Node];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Floor => "floor",
            Peer::Emio => "emio",
            Peer::Oxide => "oxide",
            Peer::Node => "node",
        }
    }

    pub fn parse(name: &str) -> Option<Peer> {
        Peer::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

/// What one run of one job on one server found.
pub struct Sample {
    pub round: usize,
    pub job: Job,
    pub peer: Peer,
    pub figures: Vec<Figure>,
}

pub struct Results {
    pub rounds: usize,
    about: Vec<String>,
    pub samples: Vec<Sample>,
    pub failures: Vec<String>,
}

/// The middle of several values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let is_odd = values.len() % 2 == 1;
        let median = if is_odd {
            values[half]
        } else {
            (values[half - 1] + values[half]) / 2.0
        };
        Some(Spread { median, min, max })
    }
}

impl Results {
    pub fn new(rounds: usize, about: Vec<String>) -> Results {
        Results {
            rounds,
            about,
            samples: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub fn fail(&mut self, reason: String) {
        self.failures.push(reason);
    }

    /// The values that one figure had, by round.
    fn values(&self, job: Job, figure: &str, peer: Peer) -> Vec<(usize, Figure)> {
        let samples = self
            .samples
            .iter()
            .filter(|it| it.job == job && it.peer == peer);
        let found = samples.filter_map(|sample| {
            let found = sample.figures.iter().find(|it| it.name == figure)?;
            Some((sample.round, found.clone()))
        });
        found.collect()
    }

    pub fn spread(&self, job: Job, figure: &str, peer: Peer) -> Option<Spread> {
        let values = self.values(job, figure, peer);
        Spread::of(
            values
                .iter()
                .filter(|it| !it.1.is_void)
                .map(|it| it.1.value)
                .collect(),
        )
    }

    /// One server's value by another's of the same round: machines change between rounds.
    pub fn ratio(&self, job: Job, figure: &str, peer: Peer, other: Peer) -> Option<Spread> {
        let others = self.values(job, figure, other);
        let ratios = self
            .values(job, figure, peer)
            .into_iter()
            .filter_map(|(round, ours)| {
                let (_, theirs) = others.iter().find(|it| it.0 == round)?;
                (!ours.is_void && !theirs.is_void).then_some(ours.value / theirs.value)
            });
        Spread::of(ratios.collect())
    }

    /// Every (job, figure) that anyone has, in the order of the jobs.
    fn rows(&self) -> Vec<(Job, String)> {
        let mut seen = BTreeSet::new();
        let mut rows = Vec::new();
        for first in &self.samples {
            let same = self.samples.iter().filter(|sample| sample.job == first.job);
            for figure in same.flat_map(|sample| &sample.figures) {
                if seen.insert((first.job.to_string(), figure.name.clone())) {
                    rows.push((first.job, figure.name.clone()));
                }
            }
        }
        rows
    }

    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::from("# emio beside its peers\n\n");
        for line in &self.about {
            text += &format!("- {line}\n");
        }
        text += &format!(
            "- medians of {} rounds, with their range; a rate is void where the generator was \
             busy for 90 % of the time\n- `{command}`\n\n",
            self.rounds
        );
        let names: Vec<&str> = Peer::ALL.iter().map(|peer| peer.name()).collect();
        text += &format!(
            "| figure | {} |\n|---|{}\n",
            names.join(" | "),
            "---|".repeat(4)
        );
        for (job, figure) in self.rows() {
            let cells = Peer::ALL.map(|peer| self.cell(job, &figure, peer));
            text += &format!(
                "| {}: {} | {} |\n",
                job.title(),
                title(&figure),
                cells.join(" | ")
            );
        }
        if !self.failures.is_empty() {
            text += "\nFailed or left out:\n\n";
        }
        for failure in &self.failures {
            text += &format!("- {failure}\n");
        }
        text
    }

    fn cell(&self, job: Job, figure: &str, peer: Peer) -> String {
        let Some(spread) = self.spread(job, figure, peer) else {
            let is_absent = self.values(job, figure, peer).is_empty();
            return if is_absent { "-" } else { "void" }.into();
        };
        if spread.min == spread.max {
            return number(spread.median);
        }
        format!(
            "{} ({}–{})",
            number(spread.median),
            number(spread.min),
            number(spread.max)
        )
    }

    pub fn to_json(&self, command: &str) -> Value {
        let samples: Vec<Value> = self.samples.iter().map(sample_to_json).collect();
        let mut figures = Vec::new();
        for (job, figure) in self.rows() {
            for peer in Peer::ALL {
                let values = self.values(job, &figure, peer);
                if values.is_empty() {
                    continue;
                }
                let spread = self.spread(job, &figure, peer);
                figures.push(json!({
                    "job": job.to_string(),
                    "figure": figure,
                    "peer": peer.name(),
                    "median": spread.map(|it| it.median),
                    "min": spread.map(|it| it.min),
                    "max": spread.map(|it| it.max),
                    "void": values.iter().filter(|it| it.1.is_void).count(),
                }));
            }
        }
        json!({
            "command": command,
            "about": self.about,
            "rounds": self.rounds,
            "figures": figures,
            "samples": samples,
            "failures": self.failures,
        })
    }

    /// Reads what `to_json` wrote.
    pub fn from_json(value: &Value) -> Option<Results> {
        let strings = |name: &str| {
            let list = value.get(name)?.as_array()?;
            list.iter()
                .map(|it| Some(it.as_str()?.to_string()))
                .collect::<Option<Vec<_>>>()
        };
        let samples = value
            .get("samples")?
            .as_array()?
            .iter()
            .map(sample_from_json);
        Some(Results {
            rounds: value.get("rounds")?.as_u64()? as usize,
            about: strings("about")?,
            samples: samples.collect::<Option<_>>()?,
            failures: strings("failures")?,
        })
    }
}

fn sample_to_json(sample: &Sample) -> Value {
    json!({
        "round": sample.round,
        "job": sample.job.to_string(),
        "peer": sample.peer.name(),
        "figures": load::to_json(&sample.figures),
    })
}

fn sample_from_json(value: &Value) -> Option<Sample> {
    Some(Sample {
        round: value.get("round")?.as_u64()? as usize,
        job: Job::parse(value.get("job")?.as_str()?)?,
        peer: Peer::parse(value.get("peer")?.as_str()?)?,
        figures: load::from_json(&value.get("figures")?.to_string())?,
    })
}

/// A figure's name for people: every name ends with its unit.
fn title(figure: &str) -> String {
    if let Some(clients) = figure.strip_prefix("rss_bytes_") {
        return format!("RSS B per client at {clients}");
    }
    let title = match figure {
        "cpu_us" => "server CPU µs per operation",
        "rate" => "operations per second",
        "server_percent" => "server's CPU %",
        "generator_percent" => "generator's CPU %",
        "p50_us" => "p50 µs",
        "p99_us" => "p99 µs",
        "first_ms" => "first delivery ms",
        "all_ms" => "all deliveries ms",
        "slope_bytes" => "RSS B per client, slope",
        "anon_slope_bytes" => "anonymous B per client, slope",
        "kernel_bytes" => "kernel's own B per end of a connection",
        "rss_bytes" => "RSS B per client afterwards",
        "kept_mib" => "RSS kept MiB",
        "growth_bytes" => "growth B per connection after the first cycle",
        "start_ms" => "ms until it accepts",
        "rss_mib" => "RSS MiB without clients",
        "binary_kb" => "program kB",
        "alone_p99_us" => "p99 µs alone",
        "flood_p99_us" => "p99 µs beside one that floods",
        "flood_p99_ratio" => "the same, × alone",
        "flood_rate" => "messages per second of the flood",
        "flood_server_percent" => "server's CPU % in the flood",
        "slow_p99_us" => "p99 µs beside one that never reads",
        "slow_p99_ratio" => "the same, × alone",
        "slow_cut_off" => "clients cut off that did not read",
        other => other,
    };
    title.into()
}

/// Three digits that matter; thousands apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size < 9.995 {
        return format!("{value:.2}");
    }
    if size < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{size:.0}");
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::new(3, vec!["a machine".into()]);
        let mut sample = |round, peer, value, is_void| {
            let figure = Figure {
                name: "cpu_us".into(),
                value,
                is_void,
            };
            let job = Job::Ack {
                clients: 1,
                bytes: 16,
            };
            results.samples.push(Sample {
                round,
                job,
                peer,
                figures: vec![figure],
            });
        };
        for (round, (ours, floor)) in [(6.0, 5.0), (8.0, 8.0), (9.0, 6.0)].into_iter().enumerate() {
            sample(round, Peer::Emio, ours, false);
            sample(round, Peer::Floor, floor, false);
            sample(round, Peer::Node, 1.0, true);
        }
        results
    }

    #[test]
    fn a_spread_has_its_median_between() {
        let spread = Spread {
            median: 2.0,
            min: 1.0,
            max: 9.0,
        };
        assert_eq!(Spread::of(vec![9.0, 1.0, 2.0]), Some(spread));
        assert_eq!(Spread::of(vec![4.0, 2.0]).map(|it| it.median), Some(3.0));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let job = Job::Ack {
            clients: 1,
            bytes: 16,
        };
        let ratio = results().ratio(job, "cpu_us", Peer::Emio, Peer::Floor);
        assert_eq!(
            ratio,
            Some(Spread {
                median: 1.2,
                min: 1.0,
                max: 1.5
            })
        );
        assert_eq!(results().ratio(job, "cpu_us", Peer::Emio, Peer::Node), None);
    }

    #[test]
    fn a_table_has_medians_ranges_and_voids() {
        let text = results().markdown("bench run");
        let row = "| ack, 1 × 16 B: server CPU µs per operation \
                   | 6.00 (5.00–8.00) | 8.00 (6.00–9.00) | - | void |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn results_survive_their_file() {
        let value = results().to_json("bench run");
        let again = Results::from_json(&value).unwrap();
        assert_eq!(again.to_json("bench run"), value);
    }

    #[test]
    fn numbers_have_three_digits_that_matter() {
        let cases = [
            (0.054, "0.05"),
            (9.996, "10.0"),
            (12_506.4, "12,506"),
            (-190.0, "-190"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(4_829_789.0), "4,829,789");
    }
}
