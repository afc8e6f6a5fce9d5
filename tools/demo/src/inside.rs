//! The server seen from within: what it holds and what it does, once a second, while somebody
//! watches. The contract with the page is written at the top of `site/inside/inside.js`.
//!
//! The counters are always there and cost the server an increment each (`io.stats()`); the rest is
//! counted when it is asked for (`io.census()`). Memory is what Linux says about the process.

use std::{
    fs,
    time::{Duration, Instant},
};

use emio::{Census, Io, Reason, Server, Socket, Stats, TimerId};
use serde::Serialize;

use crate::site::Site;

/// What is measured, and for how many.
pub struct Inside {
    started: Instant,
    watchers: u32,
    timers: Option<[TimerId; 2]>,
    /// The counters of the last report, to tell how fast they grow.
    last: Option<(Instant, Stats)>,
    /// When the probe ran, and how late it was at worst since the last report.
    probed: Option<Instant>,
    lag_max: Duration,
}

/// What the page shows. Rates are per second.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    version: &'static str,
    uptime_s: u64,
    watchers: u32,
    connections: Connections,
    sessions: Sessions,
    namespaces: Vec<Namespace>,
    sockets: u64,
    rooms: u64,
    memory: Option<Memory>,
    backlog_bytes: u64,
    incoming_bytes: u64,
    messages_in: f64,
    messages_out: f64,
    bytes_in: f64,
    bytes_out: f64,
    turns: f64,
    lag_ms: f64,
    turn_us_mean: u64,
    sessions_opened: u64,
    sessions_upgraded: u64,
    volatile_dropped: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Connections {
    websocket: u64,
    /// Whose GET waits for something to tell.
    polling: u64,
    /// Kept alive between two requests.
    idle: u64,
    other: u64,
}

#[derive(Serialize)]
struct Sessions {
    websocket: u64,
    polling: u64,
    other: u64,
}

#[derive(Serialize)]
struct Namespace {
    name: String,
    sockets: usize,
    rooms: usize,
}

/// Of the whole process.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    /// All that is in RAM, the program's own pages included.
    resident_bytes: u64,
    /// Heap and stacks.
    private_bytes: u64,
}

/// Teaches a server to show itself.
pub fn register(io: &mut Server<Site>) {
    let mut inside = io.of("/inside");
    inside.on_connect(watch);
    inside.on_disconnect(look_away);

    // Where the page's further connections go, which only have to be there.
    let mut crowd = io.of("/inside/crowd");
    crowd.on_connect(|_, socket| socket.join(socket.transport().name()));
    crowd.on("chatter", |_, socket, (count,): (u32,)| socket.reply(count));
}

fn watch(site: &mut Site, socket: Socket<'_, Site>) {
    let inside = &mut site.inside;
    inside.watchers += 1;
    if inside.timers.is_some() {
        return;
    }
    let io = socket.io();
    inside.last = Some((Instant::now(), io.stats()));
    inside.probed = None;
    inside.timers = Some([
        io.set_interval(PROBE, |site, _| site.inside.probe(Instant::now())),
        io.set_interval(REPORT, report),
    ]);
}

fn look_away(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let inside = &mut site.inside;
    inside.watchers -= 1;
    if inside.watchers > 0 {
        return;
    }
    for timer in inside.timers.take().into_iter().flatten() {
        socket.io().clear_timer(timer);
    }
}

fn report(site: &mut Site, io: Io<'_, Site>) {
    let figures = site.inside.figures(Instant::now(), io);
    // Old figures are of no use to who could not take them in time.
    io.volatile().emit("figures", figures);
}

impl Inside {
    /// A timer is as late as whatever else had to be done first: so late is everything now.
    fn probe(&mut self, now: Instant) {
        if let Some(before) = self.probed.replace(now) {
            let lag = (now - before).saturating_sub(PROBE);
            self.lag_max = self.lag_max.max(lag);
        }
    }

    fn figures(&mut self, now: Instant, io: Io<'_, Site>) -> Figures {
        let (stats, census) = (io.stats(), io.census());
        let (then, before) = self.last.replace((now, stats)).unwrap_or((now, stats));
        let seconds = (now - then).as_secs_f64().max(0.001);
        let rate = |count: fn(&Stats) -> u64| (count(&stats) - count(&before)) as f64 / seconds;
        let lag_max = std::mem::take(&mut self.lag_max);
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: (now - self.started).as_secs(),
            watchers: self.watchers,
            connections: connections(&stats, &census),
            sessions: sessions(&stats, &census),
            namespaces: namespaces(io),
            sockets: stats.sockets,
            rooms: stats.rooms,
            memory: memory(),
            backlog_bytes: stats.backlog_bytes,
            incoming_bytes: stats.incoming_bytes,
            messages_in: rate(|stats| stats.messages_in),
            messages_out: rate(|stats| stats.messages_out),
            bytes_in: rate(|stats| stats.bytes_in),
            bytes_out: rate(|stats| stats.bytes_out),
            turns: rate(|stats| stats.turns),
            lag_ms: lag_max.as_secs_f64() * 1000.0,
            turn_us_mean: stats.turn_us_mean,
            sessions_opened: stats.sessions_opened,
            sessions_upgraded: stats.sessions_upgraded,
            volatile_dropped: stats.volatile_dropped,
            refused: stats.refused_by_limit + stats.refused_by_address + stats.refused_by_fault,
        }
    }
}

impl Default for Inside {
    fn default() -> Inside {
        Inside {
            started: Instant::now(),
            watchers: 0,
            timers: None,
            last: None,
            probed: None,
            lag_max: Duration::ZERO,
        }
    }
}

fn connections(stats: &Stats, census: &Census) -> Connections {
    let (websocket, polling) = (census.connections_websocket, census.connections_polling);
    let idle = census.connections_idle;
    Connections {
        websocket,
        polling,
        idle,
        other: stats.connections - websocket - polling - idle,
    }
}

fn sessions(stats: &Stats, census: &Census) -> Sessions {
    let (websocket, polling) = (census.sessions_websocket, census.sessions_polling);
    Sessions {
        websocket,
        polling,
        other: stats.sessions - websocket - polling,
    }
}

/// Those with the most sockets first. Rooms are counted, but not named: they may be secrets.
fn namespaces(io: Io<'_, Site>) -> Vec<Namespace> {
    let mut namespaces: Vec<_> = io
        .namespaces()
        .map(|io| Namespace {
            name: io.name().to_owned(),
            sockets: io.sockets().count(),
            rooms: io.rooms().count(),
        })
        .collect();
    namespaces.sort_by(|a, b| b.sockets.cmp(&a.sockets).then(a.name.cmp(&b.name)));
    namespaces.truncate(NAMESPACES_MAX);
    namespaces
}

/// Nothing where there is no `/proc`.
fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        resident_bytes: bytes("VmRSS:")?,
        private_bytes: bytes("RssAnon:")?,
    })
}

const REPORT: Duration = Duration::from_secs(1);
const PROBE: Duration = Duration::from_millis(50);
/// Those with the most sockets are listed.
const NAMESPACES_MAX: usize = 24;
