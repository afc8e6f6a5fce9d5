//! What the machine says of itself: the texts of `/proc` and `/sys`, read into numbers.
//!
//! Not here: when they are read, and what becomes of them. What always holds: a file that is
//! missing, or that says something else than it should, is a figure that is not there, never an
//! error. No file is written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// A machine, as seen through its files.
pub struct Host {
    proc: PathBuf,
    thermometer: Option<PathBuf>,
    cpu_before: Option<CpuTime>,
}

/// What changes from second to second; `None` is what this host does not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Of all processors together, since the figures before these.
    pub cpu_percent: Option<f64>,
    pub memory_bytes: Option<f64>,
    /// Means of 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    pub celsius: Option<f64>,
}

/// What goes with them and is not worth a curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub cores: Option<usize>,
    pub memory_total_bytes: Option<f64>,
    pub uptime_seconds: Option<f64>,
    /// The memory of this process that is in RAM.
    pub server_bytes: Option<f64>,
}

impl Host {
    /// The machine whose files are below `root`: `/`, but in tests.
    pub fn new(root: &Path) -> Host {
        let mut host = Host {
            proc: root.join("proc"),
            thermometer: thermometer(&root.join("sys/class")),
            cpu_before: None,
        };
        // The use of the CPU is a difference: the first figures have something to compare with.
        host.figures();
        host
    }

    /// Reads the figures as they are now.
    pub fn figures(&mut self) -> Figures {
        let cpu = self.read("stat").as_deref().and_then(cpu_time);
        let before = std::mem::replace(&mut self.cpu_before, cpu);
        Figures {
            cpu_percent: before.zip(cpu).and_then(|(before, now)| now.since(before)),
            memory_bytes: self.read("meminfo").as_deref().and_then(memory_used),
            load: self.read("loadavg").as_deref().and_then(load),
            celsius: self
                .thermometer
                .as_deref()
                .and_then(read)
                .as_deref()
                .and_then(celsius),
        }
    }

    /// Reads the facts as they are now.
    pub fn facts(&self) -> Facts {
        let meminfo = self.read("meminfo");
        let status = self.read("self/status");
        Facts {
            cores: self.read("stat").as_deref().and_then(cores),
            memory_total_bytes: meminfo
                .as_deref()
                .and_then(|text| bytes_of("MemTotal", text)),
            uptime_seconds: self.read("uptime").as_deref().and_then(uptime),
            server_bytes: status.as_deref().and_then(|text| bytes_of("VmRSS", text)),
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        read(&self.proc.join(name))
    }
}

impl Figures {
    /// The mean of each figure over those samples that have it; of no samples there is none.
    pub fn mean(samples: &[Figures]) -> Option<Figures> {
        let mean = |of: &dyn Fn(&Figures) -> Option<f64>| {
            let values: Vec<f64> = samples.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| rounded(values.iter().sum::<f64>() / values.len() as f64))
        };
        Some(Figures {
            cpu_percent: mean(&|it| it.cpu_percent),
            memory_bytes: mean(&|it| it.memory_bytes),
            // Means already: the last one says it all.
            load: samples.last()?.load,
            celsius: mean(&|it| it.celsius),
        })
    }
}

/// Ticks since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CpuTime {
    idle: u64,
    all: u64,
}

impl CpuTime {
    /// How much of the time since `before` was not idle. Not every kernel counts upwards only
    /// (proc(5) on `iowait`), so the answer is kept within 0 and 100.
    fn since(self, before: CpuTime) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some(rounded(100.0 * (all - idle) as f64 / all as f64))
    }
}

/// To tenths: no more is told of anything, and more digits are only bytes.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The first line of `/proc/stat`: `cpu user nice system idle iowait irq softirq steal guest …`.
/// Guests are in `user` already; the oldest kernels end after `idle`.
fn cpu_time(stat: &str) -> Option<CpuTime> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = numbers.split_whitespace().take(8).map(str::parse);
    let ticks = ticks.collect::<Result<Vec<u64>, _>>().ok()?;
    let idle = ticks
        .get(3)?
        .saturating_add(ticks.get(4).copied().unwrap_or(0));
    let all = ticks
        .iter()
        .fold(0, |sum: u64, &ticks| sum.saturating_add(ticks));
    Some(CpuTime { idle, all })
}

/// The lines `cpu0`, `cpu1`, … of `/proc/stat`.
fn cores(stat: &str) -> Option<usize> {
    let is_core = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    Some(stat.lines().filter(is_core).count()).filter(|&cores| cores > 0)
}

/// What programs could not have. Kernels before 3.14 do not say `MemAvailable`; it is about what is
/// free or a cache.
fn memory_used(meminfo: &str) -> Option<f64> {
    let total = bytes_of("MemTotal", meminfo)?;
    let available = bytes_of("MemAvailable", meminfo).or_else(|| {
        let free = bytes_of("MemFree", meminfo)?;
        let caches = ["Buffers", "Cached"].map(|name| bytes_of(name, meminfo).unwrap_or(0.0));
        Some(free + caches[0] + caches[1])
    })?;
    Some((total - available).max(0.0))
}

/// The line `Name:   123 kB` of a text with many of them.
fn bytes_of(name: &str, text: &str) -> Option<f64> {
    let value = |line: &str| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?.trim();
        value.strip_suffix("kB")?.trim_end().parse::<u64>().ok()
    };
    text.lines().find_map(value).map(|kib| kib as f64 * 1024.0)
}

/// `/proc/loadavg`: `0.33 0.81 1.37 18/164 27477`.
fn load(loadavg: &str) -> Option<[f64; 3]> {
    let mut numbers = loadavg.split_whitespace().map(number);
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// `/proc/uptime`: seconds, and those that processors were idle.
fn uptime(text: &str) -> Option<f64> {
    number(text.split_whitespace().next()?)
}

/// A number as these files write it: not negative, not `inf`, not `nan`.
fn number(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Thousandths of a degree. Sensors that are not there say so by numbers no machine survives.
fn celsius(text: &str) -> Option<f64> {
    let millis = text.trim().parse::<i32>().ok()?;
    let is_likely = (-60_000..=150_000).contains(&millis) && millis != 0;
    is_likely.then(|| rounded(f64::from(millis) / 1000.0))
}

/// The file of the sensor that is closest to the processor; of several the first by name.
fn thermometer(class: &Path) -> Option<PathBuf> {
    // Where the sensors are, in which file one says what it is, and in which how hot.
    const PLACES: [(&str, &str, &str); 2] = [
        ("thermal", "type", "temp"),
        ("hwmon", "name", "temp1_input"),
    ];
    const PROCESSORS: [&str; 6] = ["cpu", "pkg", "soc", "core", "k10temp", "zenpower"];
    let mut sensors = Vec::new();
    for (folder, kind, temperature) in PLACES {
        let Ok(entries) = fs::read_dir(class.join(folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let temperature = entry.path().join(temperature);
            if read(&temperature).as_deref().and_then(celsius).is_none() {
                continue;
            }
            let kind = read(&entry.path().join(kind)).unwrap_or_default();
            let kind = kind.to_lowercase();
            let is_processor = PROCESSORS.iter().any(|name| kind.contains(name));
            sensors.push((!is_processor, temperature));
        }
    }
    sensors.sort();
    sensors
        .into_iter()
        .next()
        .map(|(_, temperature)| temperature)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug + PartialEq>(
        parse: fn(&str) -> Option<T>,
        table: &[(&str, Option<T>)],
    ) {
        for (text, expected) in table {
            assert_eq!(parse(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn loads_are_three_numbers() {
        check(
            load,
            &[
                ("0.33 0.81 1.37 18/164 27477\n", Some([0.33, 0.81, 1.37])),
                ("12.00 8.5 0 1/1 1", Some([12.0, 8.5, 0.0])),
                ("0.1 0.2", None),
                ("0.1 0.2 many", None),
                ("-1 0 0", None),
                ("nan inf 0", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn processor_time_is_the_first_line() {
        let time = |idle, all| Some(CpuTime { idle, all });
        check(
            cpu_time,
            &[
                (
                    "cpu  1 2 3 40 5 6 7 8 100 100\ncpu0 9 9 9 9\n",
                    time(45, 72),
                ),
                ("cpu  1 2 3 40", time(40, 46)),
                ("cpu  1 2 3", None),
                ("cpu  1 2 x 4", None),
                ("cpu  -1 2 3 4", None),
                ("cpu  18446744073709551615 1 0 0 0", time(0, u64::MAX)),
                ("cpu0 1 2 3 4", None),
                ("", None),
            ],
        );
        check(
            cores,
            &[
                ("cpu  1\ncpu0 1\ncpu1 1\nintr 5\n", Some(2)),
                ("cpu  1\n", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn use_is_what_was_not_idle_since() {
        let table = [
            ((100, 200), (150, 300), Some(50.0)),
            ((100, 200), (200, 300), Some(0.0)),
            ((100, 200), (100, 300), Some(100.0)),
            // Nothing passed; it runs backwards; more was idle than there was.
            ((100, 200), (100, 200), None),
            ((100, 200), (90, 150), None),
            ((100, 200), (90, 300), Some(100.0)),
            ((100, 200), (900, 300), Some(0.0)),
        ];
        for ((idle, all), now, expected) in table {
            let before = CpuTime { idle, all };
            let now = CpuTime {
                idle: now.0,
                all: now.1,
            };
            assert_eq!(now.since(before), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn memory_is_what_cannot_be_had() {
        const KIB: f64 = 1024.0;
        check(
            memory_used,
            &[
                (
                    "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n",
                    Some(600.0 * KIB),
                ),
                (
                    "MemTotal: 1000 kB\nMemFree: 300 kB\nBuffers: 50 kB\nCached: 50 kB",
                    Some(600.0 * KIB),
                ),
                (
                    "MemTotal: 1000 kB\nMemFree: 300 kB\nSwapCached: 50 kB",
                    Some(700.0 * KIB),
                ),
                ("MemTotal: 10 kB\nMemAvailable: 20 kB", Some(0.0)),
                ("MemTotal: 1000 kB", None),
                ("MemTotal: 1000\nMemAvailable: 10", None),
                ("MemTotal: -1 kB\nMemAvailable: 10 kB", None),
                ("MemTotal: kB\nMemAvailable: 10 kB", None),
                ("", None),
            ],
        );
        let status = "Name:\tdemo\nVmRSSX:\t1 kB\nVmRSS:\t    5120 kB\n";
        assert_eq!(bytes_of("VmRSS", status), Some(5120.0 * KIB));
    }

    #[test]
    fn uptimes_and_temperatures_are_likely_ones() {
        check(
            uptime,
            &[
                ("11069.06 10133.81\n", Some(11069.06)),
                ("5", Some(5.0)),
                ("-5 1", None),
                ("", None),
            ],
        );
        check(
            celsius,
            &[
                ("48312\n", Some(48.3)),
                ("-5000", Some(-5.0)),
                ("0\n", None),
                ("-274000", None),
                ("255000", None),
                ("hot", None),
                ("99999999999", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn a_host_that_says_nothing_has_no_figures() {
        let folder = crate::dashboard::TempFolder::new("host-empty");
        let mut host = Host::new(folder.path());
        assert_eq!(host.figures(), Figures::default());
        assert_eq!(host.facts(), Facts::default());
    }

    #[test]
    fn the_processors_sensor_is_preferred() {
        let folder = crate::dashboard::TempFolder::new("host-sensors");
        let sensor = |place: &str, kind: &str, temperature: &str| {
            let place = folder.path().join("sys/class").join(place);
            fs::create_dir_all(&place).unwrap();
            let names = match place.parent().unwrap().ends_with("thermal") {
                true => ("type", "temp"),
                false => ("name", "temp1_input"),
            };
            fs::write(place.join(names.0), kind).unwrap();
            fs::write(place.join(names.1), temperature).unwrap();
        };
        let celsius = || Host::new(folder.path()).figures().celsius;
        assert_eq!(celsius(), None);
        sensor("thermal/thermal_zone0", "acpitz\n", "27800\n");
        assert_eq!(celsius(), Some(27.8));
        sensor("thermal/thermal_zone1", "cpu-thermal\n", "-274000\n");
        assert_eq!(celsius(), Some(27.8));
        sensor("hwmon/hwmon3", "k10temp\n", "51000\n");
        assert_eq!(celsius(), Some(51.0));
    }

    #[test]
    fn a_mean_is_of_what_is_there() {
        let with = |cpu_percent, load| Figures {
            cpu_percent,
            load,
            ..Figures::default()
        };
        let samples = [
            with(Some(10.0), None),
            with(None, Some([2.0; 3])),
            with(Some(30.1), Some([1.0; 3])),
        ];
        assert_eq!(
            Figures::mean(&samples),
            Some(with(Some(20.1), Some([1.0; 3])))
        );
        let nothing = Figures::default();
        assert_eq!(Figures::mean(std::slice::from_ref(&nothing)), Some(nothing));
        assert_eq!(Figures::mean(&[]), None);
    }
}
