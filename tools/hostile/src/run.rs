//! One attack after the other, or some at a time: a server and a fleet for each, watched before,
//! during and after.
//!
//! Not here: what attackers do (`attacks`). What always holds: an attack passes if its answers are
//! the documented ones, honest clients have lost nothing, memory has stayed within its bound, and
//! the server's counters are back at what the honest clients account for. Latency decides nothing.

use std::{
    error, fmt, fs, io,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    attacks::{Attack, Field, Pace, Run},
    child::{Counters, Server},
    fleet::{self, Figures, Fleet},
    peer::Tally,
    proxy::Proxy,
};

/// What is asked for on the command line.
pub struct Options {
    pub pace: Pace,
    pub honest: usize,
    /// The time that an attack is compared with.
    pub before: Duration,
    /// How long an attack lasts at least.
    pub window: Duration,
    pub jobs: usize,
    /// Address space of the server in `memory-cap`.
    pub cap_bytes: u64,
    /// What runs the server, and its options; empty if nothing does.
    pub wrapper: Vec<String>,
}

/// What came of one attack.
pub struct Outcome {
    pub tally: Tally,
    pub before: Figures,
    pub during: Figures,
    pub lost: u64,
    pub rss_rest: u64,
    pub rss_peak: u64,
    pub rss_after: u64,
    /// The most that the server said it held for clients, of those times when it was asked.
    pub held_peak: u64,
    pub turn_us_max: u64,
    /// Empty if the attack passed.
    pub faults: Vec<String>,
}

/// Why something cannot be tried on this machine.
#[derive(Debug)]
pub struct Skipped(pub &'static str);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl error::Error for Skipped {}

/// How the server's host is set up for an attack, until this is dropped.
#[derive(Default)]
pub struct Setting {
    /// What runs the server, and what it is told besides.
    pub wrapper: Vec<String>,
    pub words: Vec<String>,
    /// Whether honest clients come through a network that delays and stalls.
    pub is_proxied: bool,
    /// What is called in the end.
    pub undo: Undo,
}

/// Undoes something when it is dropped.
#[derive(Default)]
pub struct Undo(Option<Box<dyn FnOnce() + Send>>);

impl Undo {
    pub fn by(undo: impl FnOnce() + Send + 'static) -> Undo {
        Undo(Some(Box::new(undo)))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// Where something happens to the server itself, while honest clients are there.
pub struct Stage<'a> {
    pub server: &'a mut Server,
    pub fleet: &'a Fleet,
    pub field: &'a Field,
    pub has_ended: bool,
}

impl Stage<'_> {
    /// Does something while peers attack.
    pub fn under<T>(
        &mut self,
        peers: fn(&Field) -> io::Result<Tally>,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        let field = self.field;
        thread::scope(|scope| {
            let attacker = scope.spawn(move || {
                give_way();
                peers(field)
            });
            let done = act(self);
            // Its answers are another attack's matter; here the server may be gone under it.
            let _ = attacker.join().expect("attacks do not panic");
            done
        })
    }
}

/// Runs all of them, `jobs` at a time, and tells each outcome as it comes.
pub fn run(
    attacks: &[Attack],
    options: &Options,
    tell: &(impl Fn(&Attack, &io::Result<Outcome>) + Sync),
) -> Vec<io::Result<Outcome>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(attacks.iter().map(|_| None).collect::<Vec<_>>());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(attack) = attacks.get(at) else {
                        return;
                    };
                    let outcome = one(attack, options);
                    let mut outcomes = outcomes.lock().expect("nobody panics with it");
                    tell(attack, &outcome);
                    outcomes[at] = Some(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("nobody panics with it");
    outcomes.into_iter().flatten().collect()
}

fn one(attack: &Attack, options: &Options) -> io::Result<Outcome> {
    let words = match options.pace {
        Pace::Quick => attack.quick,
        Pace::Full => attack.full,
    };
    let Setting {
        wrapper,
        words: own,
        is_proxied,
        undo,
    } = match attack.run {
        Run::Peers(_) => Setting::default(),
        Run::Host { prepare, .. } => prepare(options)?,
    };
    let own = own.iter().map(String::as_str);
    let tick = match options.pace {
        Pace::Quick => "tick=100",
        Pace::Full => "tick=500",
    };
    let words = words.iter().copied().chain(own);
    let words: Vec<&str> = [tick].into_iter().chain(words).collect();
    let wrapper = [&wrapper[..], &options.wrapper].concat();
    let mut server = Server::start(&wrapper, &words)?;
    server.is_measured = options.wrapper.is_empty();
    let proxy = is_proxied.then(|| Proxy::start(server.address));
    let proxy = proxy.transpose()?;
    let way = proxy.as_ref().map_or(server.address, |proxy| proxy.address);
    let fleet = Fleet::launch(way, options.honest, period(options.pace))?;
    let outcome = watch(attack, options, &mut server, &fleet)?;
    drop(fleet);
    drop(proxy);
    let outcome = finish(outcome, server, attack);
    drop(undo);
    outcome
}

/// Before, during, after.
fn watch(
    attack: &Attack,
    options: &Options,
    server: &mut Server,
    fleet: &Fleet,
) -> io::Result<Watched> {
    // Who joined early has waited for the others.
    fleet.look()?;
    thread::sleep(options.before);
    let before = fleet.look()?;
    let rest = server.counters()?;
    let rss_rest = server.rss();
    server.forget_peak();
    let field = Field {
        address: server.address,
        until: Instant::now() + options.window,
        pace: options.pace,
    };
    let (mut held_peak, mut has_ended) = (0, false);
    let tally = match attack.run {
        Run::Peers(peers) => attacked(server, &field, peers, &mut held_peak)?,
        Run::Host { act, .. } => {
            let mut stage = Stage {
                server,
                fleet,
                field: &field,
                has_ended: false,
            };
            let tally = act(&mut stage)?;
            has_ended = stage.has_ended;
            tally
        }
    };
    let during = fleet.look()?;
    let mut outcome = Outcome {
        tally,
        before,
        lost: during.lost,
        faults: during.faults.clone(),
        during,
        rss_rest,
        rss_peak: server.rss_peak(),
        rss_after: 0,
        held_peak,
        turn_us_max: 0,
    };
    if has_ended {
        return Ok(Watched { outcome, has_ended });
    }
    let now = server.counters()?;
    outcome.turn_us_max = now.turn_us_max;
    let end = fleet.settle(now.ticks)?;
    (outcome.lost, outcome.faults) = (end.lost, end.faults);
    let settled = server.settle(|now| is_back(now, &rest, options.honest))?;
    if !is_back(&settled, &rest, options.honest) {
        let why = format!("counters are not back: {settled:?}, at rest {rest:?}");
        outcome.faults.push(why);
    }
    outcome.rss_after = server.rss();
    Ok(Watched { outcome, has_ended })
}

struct Watched {
    outcome: Outcome,
    has_ended: bool,
}

/// Peers attack from a thread of their own, while the gauges are looked at.
fn attacked(
    server: &mut Server,
    field: &Field,
    peers: fn(&Field) -> io::Result<Tally>,
    held_peak: &mut u64,
) -> io::Result<Tally> {
    thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            give_way();
            peers(field)
        });
        while !attacker.is_finished() {
            thread::sleep(GAUGES_EVERY);
            let now = server.counters()?;
            *held_peak = (*held_peak).max(now.incoming_bytes + now.backlog_bytes);
        }
        attacker.join().expect("attacks do not panic")
    })
}

/// Ends the server and says what is wrong with all that was seen.
fn finish(watched: Watched, server: Server, attack: &Attack) -> io::Result<Outcome> {
    let Watched {
        mut outcome,
        has_ended,
    } = watched;
    let is_measured = server.is_measured && !has_ended;
    if !has_ended {
        if let Err(error) = server.end() {
            outcome.faults.push(error.to_string());
        }
    }
    let faults = &mut outcome.faults;
    if outcome.tally.is_empty() {
        faults.push("no answer at all".into());
    }
    for answer in outcome.tally.answers() {
        if !attack.answers.contains(&answer) {
            faults.push(format!("{answer} is not among {:?}", attack.answers));
        }
    }
    if outcome.lost > 0 {
        faults.push(format!("honest clients lost {}", outcome.lost));
    }
    let most = attack.holds.bytes_max();
    if outcome.held_peak > most {
        let held = outcome.held_peak;
        faults.push(format!("the server held {held} bytes, more than {most}"));
    }
    let growth = outcome.rss_peak.saturating_sub(outcome.rss_rest);
    let most = attack.holds.growth_bytes_max();
    if is_measured && growth > most {
        faults.push(format!("memory grew by {growth} bytes, more than {most}"));
    }
    Ok(outcome)
}

/// How often an honest client sends an echo.
fn period(pace: Pace) -> Duration {
    match pace {
        Pace::Quick => Duration::from_millis(200),
        Pace::Full => Duration::from_secs(1),
    }
}

/// Whether nothing is left but the honest clients, and the connection that asks.
fn is_back(now: &Counters, rest: &Counters, honest: usize) -> bool {
    now.connections == fleet::connections(honest) + 1
        && now.sessions == honest as u64
        && now.sockets == honest as u64
        && now.rooms == 1
        && now.namespaces == rest.namespaces
        && now.incoming_bytes == 0
        && now.backlog_bytes == 0
}

/// Attackers have machines of their own; here they must not take the core that the honest clients
/// are measured on. The calling thread, and those that it starts, become nicer.
fn give_way() {
    let Ok(thread) = fs::read_link("/proc/thread-self") else {
        return;
    };
    if let Some(id) = thread.file_name() {
        // Without it the figures are a little worse.
        let _ = Command::new("renice")
            .args(["-n", "10", "-p"])
            .arg(id)
            .output();
    }
}

/// How often the gauges are looked at.
const GAUGES_EVERY: Duration = Duration::from_millis(100);
