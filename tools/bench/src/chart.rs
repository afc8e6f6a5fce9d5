//! Two pictures for the README, drawn from results: bytes per idle client, and CPU per operation.
//! Not here: what was measured. A figure that is void or absent is left out, bar and all.

use std::fmt::Write;

use crate::{
    job::Job,
    table::{Peer, Results, number},
};

/// A group of bars: one figure of one job, for whoever has it.
struct Group {
    title: &'static str,
    job: &'static str,
    figure: &'static str,
}

const MEMORY: [Group; 3] = [
    group("idle WebSocket", "idle", "slope_bytes"),
    group("after one 4 KiB echo", "idle-echoed", "slope_bytes"),
    group("parked poll", "idle-polling", "slope_bytes"),
];

const CPU: [Group; 6] = [
    group("echo, 1,000 × 16 B", "echo-1000-16", "cpu_us"),
    group("echo, 1,000 × 4 KiB", "echo-1000-4096", "cpu_us"),
    group("echo, 10,000 × 16 B", "echo-10000-16", "cpu_us"),
    group("broadcast to 10,000", "broadcast-10000", "cpu_us"),
    group("poll, 1,000 clients", "polling-1000", "cpu_us"),
    group("connect and leave", "connect", "cpu_us"),
];

const fn group(title: &'static str, job: &'static str, figure: &'static str) -> Group {
    Group { title, job, figure }
}

/// Memory, and CPU time: each a whole SVG file.
pub fn memory(results: &Results) -> String {
    draw("User memory per client, bytes", &MEMORY, results)
}

pub fn cpu(results: &Results) -> String {
    draw("Server CPU per operation, µs", &CPU, results)
}

fn draw(title: &str, groups: &[Group], results: &Results) -> String {
    let (mut body, mut y) = (String::new(), HEAD);
    for group in groups {
        let job = Job::parse(group.job).expect("the tables above name jobs");
        let bars: Vec<(Peer, f64)> = Peer::ALL
            .into_iter()
            .filter_map(|peer| Some((peer, results.spread(job, group.figure, peer)?.median)))
            .collect();
        // Each group has a scale of its own: a poll and an echo are not to be compared.
        let largest = bars.iter().fold(0.0, |max: f64, bar| max.max(bar.1));
        if largest <= 0.0 {
            continue;
        }
        for (at, (peer, value)) in bars.iter().enumerate() {
            let middle = y + BAR / 2 + 4;
            if at == 0 {
                let _ = writeln!(
                    body,
                    "<text class=\"g\" x=\"0\" y=\"{middle}\">{}</text>",
                    group.title
                );
            }
            let width = (value / largest * f64::from(BARS_WIDTH)).max(1.0);
            let (name, end) = (peer.name(), f64::from(BARS_LEFT) + width + 6.0);
            let names_right = BARS_LEFT - 8;
            let _ = writeln!(
                body,
                "<text class=\"n\" x=\"{names_right}\" y=\"{middle}\">{name}</text>\
                 <rect class=\"{name}\" x=\"{BARS_LEFT}\" y=\"{y}\" width=\"{width:.1}\" \
                 height=\"{BAR}\" rx=\"2\"/><text x=\"{end:.1}\" y=\"{middle}\">{}</text>",
                number(*value)
            );
            y += BAR + 4;
        }
        y += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" \
         height=\"{y}\" role=\"img\" aria-label=\"{title}\">\n{STYLE}\n\
         <text class=\"t\" x=\"0\" y=\"18\">{title}</text>\n{body}</svg>\n"
    )
}

const WIDTH: u32 = 720;
const HEAD: u32 = 36;
const BAR: u32 = 14;
const GAP: u32 = 12;
const BARS_LEFT: u32 = 220;
const BARS_WIDTH: u32 = 420;

const STYLE: &str = "<style>\
    text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}\
    .n{text-anchor:end;fill:#777}.g{font-weight:600}\
    .floor{fill:#b8bdc4}.emio{fill:#0f7a6a}.oxide{fill:#d08a4e}.node{fill:#8a7fc4}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.n{fill:#999}.emio{fill:#2bb39e}}\
    </style>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Figure, table::Sample};

    #[test]
    fn a_bar_is_as_long_as_its_figure() {
        let mut results = Results::new(1, Vec::new());
        for (peer, value) in [(Peer::Emio, 250.0), (Peer::Oxide, 25_000.0)] {
            let figures = vec![Figure {
                name: "slope_bytes".into(),
                value,
                is_void: false,
            }];
            results.samples.push(Sample {
                round: 0,
                job: Job::Idle,
                peer,
                figures,
            });
        }
        let picture = memory(&results);
        for part in [
            "class=\"emio\" x=\"220\" y=\"36\" width=\"4.2\"",
            "class=\"oxide\" x=\"220\" y=\"54\" width=\"420.0\"",
            ">25,000</text>",
        ] {
            assert!(picture.contains(part), "{picture}");
        }
        assert!(!picture.contains("node\""), "nobody measured it");
        assert!(!cpu(&results).contains("<rect"), "nothing was measured");
    }
}
