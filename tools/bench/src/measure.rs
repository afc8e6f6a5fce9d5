//! What the kernel says of a process: CPU time, resident memory, and its own bytes for sockets.
//! Not here: what a figure means. Parsers are functions of text; only readers do I/O.

use std::{fmt, fs, io, process, time::Instant};

/// Resident memory of one process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    pub rss: u64,
    /// Anonymous memory by proportional share: heap and stacks, without the program's file.
    pub pss_anon: u64,
}

/// What the kernel itself holds, in bytes, for the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kernel {
    /// Socket buffers of TCP.
    pub tcp: u64,
    /// Objects in use in all slab caches; `None` where only another user may read them.
    pub slab: Option<u64>,
}

/// A process's CPU time so far, all threads, in nanoseconds.
///
/// A thread that runs on another core is counted up to its last tick: windows must be long.
pub fn cpu_ns(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        sum += first_number(&text).ok_or_else(|| unreadable("schedstat"))?;
    }
    Ok(sum)
}

pub fn memory(pid: u32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse_smaps(&text).ok_or_else(|| unreadable("smaps_rollup"))
}

pub fn kernel() -> Kernel {
    let tcp = fs::read_to_string("/proc/net/sockstat").ok();
    let slab = fs::read_to_string("/proc/slabinfo").ok();
    Kernel {
        tcp: tcp.as_deref().and_then(parse_sockstat).unwrap_or(0),
        slab: slab.as_deref().and_then(parse_slabinfo),
    }
}

/// Descriptors that this process, and so each one it starts, may open.
pub fn descriptors_max() -> usize {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    parse_descriptors(&text).unwrap_or(1024)
}

/// The CPU's name and the kernel's version.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = parse_cpu_name(&cpu).unwrap_or("unknown CPU");
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    format!("{name}, {cores} cores, Linux {}", kernel.trim())
}

/// A window of time: what the server and the generator spent in it.
#[derive(Clone, Copy)]
pub struct Window {
    pid: u32,
    began: Instant,
    server_ns: u64,
    own_ns: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub seconds: f64,
    /// The server's CPU time.
    pub server_us: f64,
    /// The generator's CPU time as a share of the window, 0 to 1.
    pub own_share: f64,
}

impl Window {
    pub fn open(pid: u32) -> io::Result<Window> {
        Ok(Window {
            pid,
            server_ns: cpu_ns(pid)?,
            own_ns: cpu_ns(process::id())?,
            began: Instant::now(),
        })
    }

    pub fn elapsed_seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub fn close(self) -> io::Result<Spent> {
        let seconds = self.began.elapsed().as_secs_f64();
        let server_ns = cpu_ns(self.pid)? - self.server_ns;
        let own_ns = cpu_ns(process::id())? - self.own_ns;
        Ok(Spent {
            seconds,
            server_us: server_ns as f64 / 1e3,
            own_share: own_ns as f64 / 1e9 / seconds,
        })
    }
}

const BUCKETS_PER_DOUBLING: u32 = 32;
const BUCKETS: usize = 48 * BUCKETS_PER_DOUBLING as usize;

/// Durations in buckets 2 % wide: constant memory, however many there are.
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    sum: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram {
            counts: Box::new([0; BUCKETS]),
            sum: 0,
        }
    }

    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.sum += 1;
    }

    /// The lower edge of the bucket that holds this quantile, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        let rank = (self.sum as f64 * quantile) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > rank {
                return edge(at) / 1e3;
            }
        }
        0.0
    }
}

/// Exact below 32, then 32 buckets for every power of two.
fn bucket(value: u64) -> usize {
    let per = u64::from(BUCKETS_PER_DOUBLING);
    if value < per {
        return value as usize;
    }
    let shift = value.ilog2() - per.ilog2();
    let at = u64::from(shift + 1) * per + ((value >> shift) - per);
    (at as usize).min(BUCKETS - 1)
}

fn edge(at: usize) -> f64 {
    let per = BUCKETS_PER_DOUBLING as usize;
    if at < per {
        return at as f64;
    }
    let shift = at / per - 1;
    ((at % per + per) as f64) * (shift as f64).exp2()
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn parse_smaps(text: &str) -> Option<Memory> {
    Some(Memory {
        rss: kib(text, "Rss:")?,
        pss_anon: kib(text, "Pss_Anon:").unwrap_or(0),
    })
}

/// The bytes of a `Name:   123 kB` line.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(first_number(line)? * 1024)
}

/// `TCP: inuse 4 orphan 0 tw 0 alloc 6 mem 3`, where `mem` counts pages.
fn parse_sockstat(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let (_, pages) = line.split_once(" mem ")?;
    Some(first_number(pages)? * 4096)
}

/// After two heading lines, `name active_objs num_objs objsize …`; the sum of active × size.
fn parse_slabinfo(text: &str) -> Option<u64> {
    let mut sum = 0;
    for line in text.lines().skip(2) {
        let mut words = line.split_whitespace().skip(1);
        let active: u64 = words.next()?.parse().ok()?;
        let size: u64 = words.nth(1)?.parse().ok()?;
        sum += active * size;
    }
    Some(sum)
}

/// `Max open files   1024   524288   files`: the first is the one in force.
fn parse_descriptors(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn parse_cpu_name(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn unreadable(file: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Unreadable(file))
}

#[derive(Debug)]
struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not as expected", self.0)
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaps_are_read_in_bytes() {
        let text =
            "55d0-7ffc ---p 0 00:00 0 [rollup]\nRss:   1916 kB\nPss:  9 kB\nPss_Anon: 212 kB\n";
        let memory = parse_smaps(text);
        assert_eq!(
            memory,
            Some(Memory {
                rss: 1916 * 1024,
                pss_anon: 212 * 1024
            })
        );
        assert_eq!(parse_smaps("Rss: many kB"), None);
    }

    #[test]
    fn kernel_files_are_summed() {
        let sockstat =
            "sockets: used 18\nTCP: inuse 1 orphan 0 tw 126 alloc 1 mem 313\nUDP: inuse 0 mem 0\n";
        assert_eq!(parse_sockstat(sockstat), Some(313 * 4096));
        let slabs =
            "slabinfo - version: 2.1\n# name ...\nTCP 3 10 2048 8 4 : t\ndentry 5 9 192 1 1 : t\n";
        assert_eq!(parse_slabinfo(slabs), Some(3 * 2048 + 5 * 192));
    }

    #[test]
    fn limits_and_names_are_found() {
        let limits = "Limit  Soft  Hard  Units\nMax open files            20000  30000  files\n";
        assert_eq!(parse_descriptors(limits), Some(20_000));
        assert_eq!(
            parse_cpu_name("processor : 0\nmodel name\t: Some CPU\n"),
            Some("Some CPU")
        );
        assert_eq!(first_number("18446 5 7\n"), Some(18_446));
    }

    #[test]
    fn a_quantile_is_within_four_percent() {
        let mut histogram = Histogram::new();
        for value in 1..=100_000_u64 {
            histogram.record(value * 1_000);
        }
        for (quantile, expected) in [(0.5, 50_000.0), (0.99, 99_000.0)] {
            let found = histogram.quantile_us(quantile);
            assert!((found / expected - 1.0).abs() < 0.04, "{quantile}: {found}");
        }
    }
}
