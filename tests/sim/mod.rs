//! The simulation: clients, wires, a clock and a server, moved by one random number generator.
//!
//! What always holds: the server is driven through `Dispatch` in the order of the loop, and the
//! same seed plays the same game. What is not simulated: the kernel's own choices, such as when a small
//! buffer counts as full.

/// Notes something for the reader of a failure; costs nothing unless somebody reads.
macro_rules! trace {
    ($($text:tt)*) => {
        if crate::sim::is_traced() {
            crate::sim::note(format!($($text)*));
        }
    };
}

pub mod app;
pub mod client;
pub mod codec;
mod end;
pub mod heap;
pub mod model;
pub mod net;
pub mod recovery;
pub mod script;
pub mod soak;
pub mod totals;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use emio::{
    Config, Crank, Dispatch, Entropy, KeepHeaders, Overflow, Reason, Recovery, Refusal, Volatile,
    engine::READ_BYTES,
};

use self::{
    app::{Chat, Command, Hello, Load, Log, NAMESPACES, Whom},
    client::{Client, Env, Phase, Style},
    end::HEAP_BYTES_KEPT,
    model::{Limits, Model},
    net::{End, Net},
    recovery::Keeping,
};

pub use totals::count;

thread_local! {
    static TRACE: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
    static NOW: Cell<u64> = const { Cell::new(0) };
}

pub fn is_traced() -> bool {
    TRACE.with_borrow(Option::is_some)
}

pub fn note(text: String) {
    heap::test(|| {
        TRACE.with_borrow_mut(|notes| {
            let notes = notes.as_mut().expect("somebody reads");
            if notes.len() == NOTES_KEPT {
                notes.pop_front();
            }
            notes.push_back(format!("{:>8} {text}", NOW.get()));
        });
    });
}

const NOTES_KEPT: usize = 400;

/// Plays one seed; if it fails, plays it again and prints what happened.
pub fn play(seed: u64) {
    let game = || catch_unwind(AssertUnwindSafe(|| Sim::new(seed).run()));
    if game().is_ok() {
        return;
    }
    TRACE.set(Some(VecDeque::new()));
    let result = game();
    let notes = TRACE.take().unwrap_or_default();
    for note in &notes {
        println!("{note}");
    }
    println!("to see it again: SEED={seed} cargo test --test simulation a_thousand -- --nocapture");
    let failure = result.expect_err("the same seed plays the same game");
    std::panic::resume_unwind(failure);
}

/// Plays these seeds and prints the time they took. With KEEP_GOING all failures are listed.
pub fn play_all(seeds: Range<u64>) {
    let since = Instant::now();
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        if std::env::var_os("KEEP_GOING").is_none() {
            play(seed);
            continue;
        }
        if catch_unwind(AssertUnwindSafe(|| Sim::new(seed).run())).is_err() {
            println!("seed {seed} failed");
            failures.push(seed);
        }
    }
    println!(
        "{} seeds took {:?}",
        seeds.end - seeds.start,
        since.elapsed()
    );
    println!("{}", totals::take());
    assert!(
        failures.is_empty(),
        "{} seeds failed: {failures:?}",
        failures.len()
    );
}

/// Random numbers from a seed (splitmix64).
pub struct Rng(u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Once in `n` times.
    pub fn chance(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            values.swap(at, self.below(at + 1));
        }
    }

    pub fn mask(&mut self) -> [u8; 4] {
        (self.next() as u32).to_be_bytes()
    }
}

impl Entropy for Rng {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.next() as u8);
    }
}

/// A client that reads nothing, or whose network carries nothing.
#[derive(Clone, Copy)]
struct Stall {
    client: usize,
    until: u64,
    is_slow: bool,
}

/// Makes one or two limits so small that honest clients meet them.
fn squeeze(config: &mut Config, rng: &mut Rng) {
    for _ in 0..1 + rng.below(2) {
        match rng.below(7) {
            0 => config.namespaces_per_client_max = 1 + rng.below(2) as u32,
            1 => config.sessions_max = 1 + rng.below(4) as u32,
            2 => config.joining_packets_max = rng.below(3) as u32,
            3 => config.max_payload = 300 + rng.below(3_000) as u32,
            4 => config.attachments_max = rng.below(3) as u32,
            5 => config.incoming_bytes_max = 500 + rng.below(8_000) as u64,
            _ => config.handshake_bytes_max = 200 + rng.below(1_000) as u64,
        }
    }
}

fn recovery_of(rng: &mut Rng) -> Recovery {
    let mut recovery = Recovery {
        duration: Duration::from_millis(rng.pick(&[1_000, 20_000, 120_000])),
        skip_middlewares: rng.chance(2),
        ..Recovery::default()
    };
    // What middleware says would push out what its socket missed, which nobody is told.
    if recovery.skip_middlewares && rng.chance(4) {
        recovery.log_bytes_max = 2_000;
    }
    if rng.chance(4) {
        recovery.sessions_max = rng.below(3) as u32;
    }
    recovery
}

/// One game.
pub struct Sim {
    pub rng: Rng,
    start: Instant,
    pub now: u64,
    pub net: Net,
    pub crank: Crank<Chat>,
    pub clients: Vec<Client>,
    pub model: Model,
    tokens: u64,
    joins: u64,
    /// Time that passed since everything had arrived.
    drift: u64,
    /// When the server last slept.
    awake_since: u64,
    has_posted: bool,
    clients_max: usize,
    pad_max: usize,
    stalls: Vec<Stall>,
    /// Connections of nobody in particular.
    strangers: Vec<usize>,
    base_bytes: isize,
    empty_bytes: isize,
}

impl Sim {
    pub fn new(seed: u64) -> Sim {
        let mut rng = Rng(seed);
        let (interval, timeout) = rng.pick(&[
            (300, 200),
            (200, 300),
            (250, 250),
            (1_000, 400),
            (25_000, 20_000),
        ]);
        let mut config = Config {
            ping_interval: Duration::from_millis(interval),
            ping_timeout: Duration::from_millis(timeout),
            ..Config::default()
        };
        if rng.chance(6) {
            config.backlog_bytes_max = 3_000;
        }
        if rng.chance(8) {
            config.backlog_bytes_process_max = 5_000;
        }
        if rng.chance(3) {
            config.volatile = Volatile::Latest;
        }
        if rng.chance(8) {
            config.rooms_per_socket_max = 1 + rng.below(2) as u32;
        }
        if rng.chance(6) {
            squeeze(&mut config, &mut rng);
        }
        if rng.chance(4) {
            config.pending_acks_max = 3;
        }
        if rng.chance(4) {
            config.keep_headers = rng.pick(&[KeepHeaders::All, KeepHeaders::Named(Vec::new())]);
        }
        if rng.chance(4) {
            config.packets_per_answer_max = 2;
        }
        if rng.chance(3) {
            config.inputs_per_turn_max = 1 + rng.below(4) as u32;
            config.sends_per_turn_max = rng.below(10) as u32;
        }
        if rng.chance(3) {
            let recovery = recovery_of(&mut rng);
            if !recovery.skip_middlewares {
                // What middleware says could make what its socket missed too much.
                config.backlog_bytes_max = Config::default().backlog_bytes_max;
            }
            config.recovery = Some(recovery);
        } else if rng.chance(3) {
            // What is dropped stays in the log: how much of it is replayed depends on the backlog.
            config.overflow = Overflow::DropNewest;
        }
        let is_deferred = rng.chance(5);
        let clients_max = 2 + rng.below(6);
        Sim::with(config, is_deferred, rng, clients_max)
    }

    /// A server with this configuration, which may judge handshakes later, and nobody there.
    pub fn with(config: Config, is_deferred: bool, mut rng: Rng, clients_max: usize) -> Sim {
        let keeping = config.recovery.as_ref().map(|recovery| Keeping {
            duration: recovery.duration.as_millis() as u64,
            skips_middleware: recovery.skip_middlewares,
            is_narrow: *recovery
                != Recovery {
                    duration: recovery.duration,
                    skip_middlewares: recovery.skip_middlewares,
                    ..Recovery::default()
                }
                || config.backlog_bytes_max < 1_000_000,
        });
        let millis = |duration: Duration| duration.as_millis() as u64;
        let is_small = |value: u32, default: u32| value < default;
        let default = Config::default();
        let is_squeezed = is_small(
            config.namespaces_per_client_max,
            default.namespaces_per_client_max,
        ) || is_small(config.sessions_max, default.sessions_max)
            || is_small(config.joining_packets_max, default.joining_packets_max)
            || is_small(config.max_payload, default.max_payload)
            || is_small(config.attachments_max, default.attachments_max)
            || config.incoming_bytes_max < default.incoming_bytes_max
            || config.handshake_bytes_max < default.handshake_bytes_max;
        let limits = Limits {
            ping_interval: millis(config.ping_interval),
            ping_timeout: millis(config.ping_timeout),
            connect_timeout: millis(config.connect_timeout),
            decision_timeout: millis(config.decision_timeout),
            backlog_bytes_max: config.backlog_bytes_max as usize,
            backlog_bytes_process_max: config.backlog_bytes_process_max as usize,
            pending_acks_max: config.pending_acks_max as usize,
            packets_per_answer_max: config.packets_per_answer_max as usize,
            rooms_max: config.rooms_per_socket_max as usize,
            namespaces_max: config.namespaces_per_client_max as usize,
            sessions_max: config.sessions_max.into(),
            incoming_bytes_max: config.incoming_bytes_max,
            drops_events: config.overflow == Overflow::DropNewest,
            // Unless too much waits already.
            keeps_latest: config.volatile == Volatile::Latest
                && config.backlog_bytes_max == default.backlog_bytes_max
                && config.backlog_bytes_process_max == default.backlog_bytes_process_max,
            is_squeezed,
        };
        NOW.set(0);
        let start = Instant::now();
        let entropy = Rng(rng.next());
        let empty_bytes = heap::live_bytes();
        let crank = heap::server(|| app::crank(config, Box::new(entropy), start, is_deferred));
        Sim {
            rng,
            start,
            now: 0,
            net: Net::default(),
            crank,
            clients: Vec::new(),
            model: Model::new(limits, keeping),
            tokens: 0,
            joins: 0,
            drift: 0,
            awake_since: 0,
            has_posted: false,
            clients_max,
            pad_max: usize::MAX,
            stalls: Vec::new(),
            strangers: Vec::new(),
            base_bytes: heap::live_bytes(),
            empty_bytes,
        }
    }

    fn run(mut self) {
        let mut steps = 300 + self.rng.below(1_200);
        if self.rng.chance(60) {
            self.gather_crowd();
            steps = 200;
        }
        let end = self.rng.chance(12).then(|| self.rng.below(steps));
        for at in 0..steps {
            if Some(at) == end {
                self.end_early();
            }
            self.step();
        }
        self.finish();
        let is_upgraded = |client: &&Client| client.has_upgraded && !client.style.is_websocket;
        totals::add_game(totals::Game {
            steps,
            clients: self.clients.len(),
            upgrades: self.clients.iter().filter(is_upgraded).count(),
            heard: self.model.heard_count,
            delivered: self.model.delivered_count,
        });
        let Sim {
            crank, empty_bytes, ..
        } = self;
        heap::server(|| drop(crank));
        assert_eq!(
            heap::live_bytes(),
            empty_bytes,
            "a dropped server holds nothing"
        );
    }

    /// More clients than a broadcast queues at once.
    fn gather_crowd(&mut self) {
        for _ in 0..100 + self.rng.below(250) {
            let style = Style {
                is_websocket: self.rng.chance(2),
                ..self.style()
            };
            self.add_client(style, 1 << 20);
            self.allow_all();
        }
        self.settle();
        self.allow_all();
        self.settle();
        for client in 0..self.clients.len() {
            let hello = Hello {
                client,
                join: self.next_join(),
                ..Hello::default()
            };
            self.with_client(client, |client, env| client.join(env, "/", hello));
        }
        self.check();
    }

    fn allow_all(&mut self) {
        for (_, decision) in std::mem::take(&mut self.crank.app().openings) {
            heap::server(|| decision.allow()).expect("there is room");
            self.has_posted = true;
        }
    }

    /// Judges one of the handshakes that wait.
    fn judge_opening(&mut self) {
        let app = self.crank.app();
        if app.openings.is_empty() {
            return;
        }
        let at = self.rng.below(app.openings.len());
        let (client, decision) = app.openings.remove(at);
        self.has_posted = true;
        if !self.rng.chance(8) {
            return heap::server(|| decision.allow()).expect("there is room");
        }
        if let Some(client) = client {
            trace!("client {client} is kept out");
            self.model.sessions[client].trouble.faulty = true;
        }
        heap::server(|| decision.refuse(Refusal::new("no"))).expect("there is room");
    }

    pub fn with_client<R>(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut Client, &mut Env<'_>) -> R,
    ) -> R {
        let mut env = Env {
            net: &mut self.net,
            model: &mut self.model,
            rng: &mut self.rng,
            now: self.now,
            tokens: &mut self.tokens,
        };
        act(&mut self.clients[client], &mut env)
    }

    pub fn add_client(&mut self, style: Style, window: usize) -> usize {
        let id = self.clients.len();
        let mut env = Env {
            net: &mut self.net,
            model: &mut self.model,
            rng: &mut self.rng,
            now: self.now,
            tokens: &mut self.tokens,
        };
        let client = Client::new(id, style, window, &mut env);
        self.clients.push(client);
        id
    }
}

// Time and the wire.
impl Sim {
    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn is_due(&self) -> bool {
        let now = self.instant();
        self.crank
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
    }

    fn is_ready(&mut self) -> bool {
        self.has_posted || self.crank.app().has_posted || self.net.is_ready() || self.is_due()
    }

    fn turn(&mut self) {
        NOW.set(self.now);
        let is_woken =
            std::mem::take(&mut self.has_posted) | std::mem::take(&mut self.crank.app().has_posted);
        let now = self.instant();
        self.net.turn(&mut self.crank, now, is_woken, &mut self.rng);
        let log = std::mem::take(&mut self.crank.app().log);
        self.model.follow(log, self.now);
        heap::server(|| self.crank.dispatch(&mut |_| {}));
        let late = std::mem::take(&mut self.crank.app().log);
        assert!(
            late.is_empty(),
            "the loop would sleep on what it was told: {late:?}"
        );
        let dirty = self.crank.engine().poll_dirty();
        assert_eq!(dirty, None, "the loop would sleep on output");
        assert_eq!(
            self.crank.poll_dead(),
            None,
            "the loop would sleep on the dead"
        );
        self.check_limits();
    }

    fn react(&mut self, client: usize, is_reluctant: bool) {
        if !self.model.sessions[client].trouble.vanished {
            self.with_client(client, |client, env| client.react(env, is_reluctant));
        }
        let stall = self.stalls.iter().find(|stall| stall.client == client);
        if let Some(&Stall { is_slow, .. }) = stall {
            for wire in self.clients[client].wires().collect::<Vec<_>>() {
                let wire = &mut self.net.wires[wire];
                wire.is_unread = is_slow;
                wire.is_stalled = !is_slow;
            }
        }
    }

    /// Until nothing moves any more.
    pub fn settle(&mut self) {
        for round in 0..20_000 {
            if round == 2_000 {
                // Much for a narrow pipe: it widens.
                for &wire in &self.net.live {
                    self.net.wires[wire].window = 1 << 20;
                }
            }
            let mut has_moved = false;
            for at in 0..self.net.live.len() {
                let wire = self.net.live[at];
                has_moved |= self.net.deliver(wire, true, usize::MAX);
                has_moved |= self.net.deliver(wire, false, usize::MAX);
            }
            for client in 0..self.clients.len() {
                self.react(client, false);
            }
            if self.is_ready() {
                self.turn();
                has_moved = true;
            }
            if !has_moved && !self.net.has_flight() {
                self.drift = 0;
                self.net.prune();
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Everything has arrived: what was promised must be there.
    pub fn check(&mut self) {
        self.settle();
        for client in 0..self.clients.len() {
            let is_open = self.clients[client].phase != Phase::Fresh;
            let session = &self.model.sessions[client];
            // Who is told that the server ends has received what was sent before.
            let is_told = session.over == Some(Reason::ServerShuttingDown)
                && self.clients[client].has_upgraded
                && self.now < session.over_at + END_MAX;
            // One that polls may need a connection that nobody accepts.
            let is_cut_off = self.model.is_ending && !self.clients[client].has_upgraded;
            let is_over_limit = session.was_over && self.clients[client].phase == Phase::Over;
            let is_cut_off = is_cut_off || is_over_limit;
            let is_whole = session.over.is_none() && !self.model.is_shut && !is_cut_off || is_told;
            if is_open && is_whole && self.clients[client].is_healthy(&self.model) {
                self.model.check_settled(client, self.now);
                self.clients[client].check_settled();
            }
            let is_over = self.clients[client].phase == Phase::Over;
            self.model
                .check_silent(client, self.awake_since, self.now, is_over);
        }
        let stats = self.crank.stats();
        let connected = self.model.connected_count() as u64;
        if !self.model.has_joining() {
            assert_eq!(stats.sockets, connected, "sockets");
            assert_eq!(stats.rooms, self.model.rooms_count() as u64, "rooms");
        }
        // A volatile event for a full backlog counts as the one or the other.
        let model = &self.model;
        let dropped = stats.volatile_dropped + stats.overflow_dropped;
        assert!(
            dropped >= model.volatile_dropped + model.overflow_dropped,
            "{} volatile events and {} others did not come, and {dropped} were dropped",
            model.volatile_dropped,
            model.overflow_dropped
        );
        let may_drop = model.limits.drops_events || stats.overflow_dropped == 0;
        assert!(may_drop, "events that are not volatile were dropped");
    }

    /// What must hold after each turn.
    fn check_limits(&mut self) {
        let stats = self.crank.stats();
        let limits = &self.model.limits;
        assert!(stats.sessions <= limits.sessions_max, "too many sessions");
        // The one that went beyond it is being closed.
        let incoming_bytes_max = limits.incoming_bytes_max + 2 * READ_BYTES as u64;
        assert!(
            stats.incoming_bytes <= incoming_bytes_max,
            "{} bytes come in, more than {incoming_bytes_max}: {:?}",
            stats.incoming_bytes,
            self.crank.census()
        );
        let owners = stats.connections + stats.sessions;
        let backlog_bytes_max = self.model.backlog_bytes_max(owners as usize);
        assert!(
            stats.backlog_bytes <= backlog_bytes_max as u64,
            "{} bytes wait, more than {backlog_bytes_max}",
            stats.backlog_bytes
        );
    }

    /// Time passes, and the loop wakes at every deadline.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        for _ in 0..1_000_000 {
            self.settle();
            let deadline = self.crank.next_deadline();
            let deadline = deadline.map(|at| (at - self.start).as_millis() as u64);
            let Some(next) = deadline.filter(|&next| next <= end) else {
                self.now = end;
                self.turn();
                return self.settle();
            };
            self.now = self.now.max(next);
            self.turn();
        }
        panic!("deadlines without end");
    }

    /// The server sleeps through some time, while everyone's bytes wait for it.
    fn jump(&mut self, millis: u64) {
        trace!("the server sleeps for {millis} ms");
        count("the server slept");
        self.settle();
        self.now += millis;
        self.awake_since = self.now;
        self.turn();
        self.settle();
    }
}

// A server that was stopped.
impl Sim {
    /// The server sleeps for longer than a pong may take, and pongs lie unread behind much else.
    fn sleep_on_pongs(&mut self) {
        self.settle();
        let (interval, timeout) = (
            self.model.limits.ping_interval,
            self.model.limits.ping_timeout,
        );
        let live = self.net.live.clone();
        for &wire in &live {
            self.net.wires[wire].window = 1 << 20;
        }
        // Now the pings go out.
        self.now += interval.max(timeout);
        self.awake_since = self.now;
        self.turn();
        for &wire in &live {
            self.net.deliver(wire, false, usize::MAX);
        }
        for client in 0..self.clients.len() {
            let is_free = self.clients[client].is_free(&self.net);
            if !is_free {
                self.model.sessions[client].trouble.stalled = true;
            }
            self.clients[client].posts_all = true;
            let namespace = self.rng.pick(&NAMESPACES);
            if is_free && self.rng.chance(2) {
                let pad = self.rng.below(120_000).min(self.pad_max);
                let load = Load { pad, blobs: 0 };
                self.with_client(client, |client, env| {
                    client.event(env, namespace, load, Some(Vec::new()), false);
                });
            }
            self.react(client, false);
        }
        for _ in 0..2 {
            for at in 0..self.net.live.len() {
                self.net.deliver(self.net.live[at], true, usize::MAX);
            }
        }
        trace!("the server sleeps while pongs are on their way");
        count("the server slept over pongs");
        self.now += 3 * (interval + timeout);
        self.awake_since = self.now;
        self.turn();
        for client in &mut self.clients {
            client.posts_all = false;
        }
        self.settle();
    }
}

// What happens at random.
impl Sim {
    fn step(&mut self) {
        NOW.set(self.now);
        let limits = (
            self.model.limits.ping_interval,
            self.model.limits.ping_timeout,
        );
        match self.rng.below(100) {
            0..35 => self.deliver_some(),
            35..55 if !self.clients.is_empty() => {
                let client = self.rng.below(self.clients.len());
                self.react(client, true);
            }
            35..68 => {
                if self.is_ready() {
                    self.turn();
                }
            }
            68..92 => self.act(),
            92..95 => self.check(),
            95..98 => {
                let millis = 1 + self.rng.below(5) as u64;
                if self.drift + millis > limits.1 / 4 {
                    self.settle();
                }
                self.drift += millis;
                self.now += millis;
                self.end_stalls();
            }
            98 => {
                let end = limits.0 + limits.1;
                let millis = self.rng.below(end as usize) as u64;
                trace!("{millis} ms pass");
                self.advance(millis);
                self.end_stalls();
            }
            _ if self.rng.chance(6) => {
                self.sleep_on_pongs();
                self.end_stalls();
            }
            _ => {
                let end = 3 * (limits.0 + limits.1);
                let millis = self.rng.below(end as usize) as u64;
                self.jump(millis);
                self.end_stalls();
            }
        }
    }

    fn deliver_some(&mut self) {
        if self.net.live.is_empty() {
            return;
        }
        for _ in 0..1 + self.rng.below(4) {
            let wire = self.rng.pick(&self.net.live);
            let max = match self.rng.below(4) {
                0 => 1,
                1 => 1 + self.rng.below(20),
                2 => 1 + self.rng.below(300),
                _ => usize::MAX,
            };
            let is_up = self.rng.chance(2);
            self.net.deliver(wire, is_up, max);
            if self.rng.chance(20) {
                count("woken in vain");
                self.net.wake_in_vain(wire);
            }
        }
    }

    fn end_stalls(&mut self) {
        let now = self.now;
        let is_over = |stall: &Stall| stall.until <= now;
        let ended: Vec<_> = self.stalls.iter().copied().filter(is_over).collect();
        self.stalls.retain(|stall| !is_over(stall));
        for Stall { client, .. } in ended {
            trace!("client {client} goes on");
            for wire in self.clients[client].wires().collect::<Vec<_>>() {
                self.net.wires[wire].is_stalled = false;
                self.net.wires[wire].is_unread = false;
            }
        }
    }

    fn act(&mut self) {
        if self.clients.len() < self.clients_max && self.rng.chance(3) || self.clients.is_empty() {
            let style = self.style();
            let window = self.window();
            self.add_client(style, window);
            return;
        }
        if self.rng.chance(2) {
            self.judge_opening();
        }
        if self.rng.chance(6) {
            return self.act_elsewhere();
        }
        let client = self.rng.below(self.clients.len());
        if self.clients[client].phase != Phase::Open {
            // Somebody new comes for one who left.
            if self.clients[client].phase == Phase::Over && self.rng.chance(4) {
                self.clients_max += 1;
                if self.rng.below(4) > 0 {
                    self.come_back(client);
                }
            }
            return;
        }
        if self.rng.chance(30) {
            return self.trouble(client);
        }
        let namespace = self.rng.pick(&NAMESPACES);
        let has_place = self.clients[client].places.contains_key(namespace);
        match self.rng.below(20) {
            _ if !has_place => self.join(client, namespace),
            0 => self.with_client(client, |client, env| client.leave(env, namespace)),
            1 => self.with_client(client, |client, env| client.join_nowhere(env)),
            2..4 if self.clients[client].may_upgrade() => {
                self.with_client(client, |client, env| client.upgrade(env));
            }
            4 => {
                let end = self.rng.pick(&[End::Eof, End::Reset]);
                if self.rng.chance(4) {
                    count("a probe dropped");
                    self.with_client(client, |client, env| client.drop_probe(env, end));
                }
            }
            5..8 => {
                let is_twice = self.rng.chance(4);
                self.with_client(client, |client, env| client.answer_ask(env, is_twice));
            }
            8 | 9 => {
                let load = self.load(client);
                self.with_client(client, |client, env| {
                    client.event(env, namespace, load, None, false);
                });
            }
            _ => self.event(client, namespace),
        }
    }

    fn event(&mut self, client: usize, namespace: &'static str) {
        let load = self.load(client);
        let commands = self.commands(namespace, 4);
        let wants_ack = self.rng.chance(3);
        self.with_client(client, |client, env| {
            client.event(env, namespace, load, Some(commands), wants_ack);
        });
    }

    pub fn next_join(&mut self) -> u64 {
        self.joins += 1;
        self.joins
    }

    fn join(&mut self, client: usize, namespace: &'static str) {
        let quiet = |commands: Vec<Command>| {
            let is_quiet = |command: &Command| {
                !matches!(
                    command,
                    Command::Disconnect { .. } | Command::CloseConnection { .. }
                )
            };
            commands.into_iter().filter(is_quiet).collect()
        };
        let hello = Hello {
            client,
            join: self.next_join(),
            is_refused: self.rng.chance(8),
            in_middleware: quiet(self.commands(namespace, 2)),
            when_joined: self.commands(namespace, 2),
            when_leaving: quiet(self.commands(namespace, 2)),
            when_left: quiet(self.commands(namespace, 1)),
            pad: "x".repeat(self.rng.below(60)),
            ..Hello::default()
        };
        self.with_client(client, |client, env| client.join(env, namespace, hello));
        if self.rng.chance(4) {
            self.event(client, namespace);
        }
    }

    fn trouble(&mut self, client: usize) {
        let (interval, timeout) = (
            self.model.limits.ping_interval,
            self.model.limits.ping_timeout,
        );
        let end = self.rng.pick(&[End::Eof, End::Reset]);
        match self.rng.below(13) {
            kind @ 10.. if self.model.keeping.is_none() && self.clients[client].may_upgrade() => {
                self.with_client(client, |client, env| match kind {
                    10 => {
                        count("a poll doubled");
                        client.double_poll(env);
                    }
                    11 => {
                        count("a post doubled");
                        client.double_post(env);
                    }
                    _ => {
                        count("posts reordered");
                        client.reorder_posts(env);
                    }
                });
            }
            10.. => {}
            9 => {
                count("one connection dropped");
                self.with_client(client, |client, env| client.drop_one(env, end));
            }
            0 | 1 => self.with_client(client, |client, env| client.say_goodbye(env)),
            2 | 3 => {
                count(if end == End::Reset {
                    "reset"
                } else {
                    "dropped"
                });
                self.with_client(client, |client, env| client.drop_all(env, end));
            }
            4 => {
                count("a protocol broken");
                self.with_client(client, |client, env| client.misbehave(env));
            }
            5 => {
                trace!("client {client} falls silent");
                count("fallen silent");
                self.model.sessions[client].trouble.silent = true;
                self.model.sessions[client].silent_since = Some(self.now);
            }
            6 => self.vanish(client),
            kind => {
                let until = self.now + self.rng.below((interval + 2 * timeout) as usize) as u64;
                let is_slow = kind == 8;
                count(if is_slow {
                    "reads stopped"
                } else {
                    "network stalled"
                });
                trace!("client {client} stands still until {until}, slow: {is_slow}");
                self.model.sessions[client].trouble.stalled = true;
                self.stalls.push(Stall {
                    client,
                    until,
                    is_slow,
                });
                self.react(client, true);
            }
        }
    }

    /// The same client over another session, as far as it can show that.
    fn come_back(&mut self, old: usize) {
        let cards = std::mem::take(&mut self.clients[old].cards);
        if cards.is_empty() {
            return;
        }
        let (style, window) = (self.style(), self.window());
        let client = self.add_client(style, window);
        trace!("client {old} comes back as client {client}");
        self.clients[client].cards = cards;
        let asked = self.clients[old].asked();
        self.clients[client].go_on_asking(asked);
        self.model.sessions[old].trouble.replaced = true;
    }

    fn vanish(&mut self, client: usize) {
        trace!("client {client} vanishes");
        count("vanished");
        self.model.sessions[client].trouble.vanished = true;
        self.model.sessions[client].silent_since = Some(self.now);
        self.clients[client].phase = Phase::Over;
        for wire in self.clients[client].wires().collect::<Vec<_>>() {
            self.net.wires[wire].is_stalled = true;
        }
    }

    /// Other threads, and strangers.
    fn act_elsewhere(&mut self) {
        let handle = self.crank.handle();
        // What is left of reading is told before: the next entry stands for the mail behind it.
        heap::server(|| handle.run(|_, _| ())).expect("there is room");
        self.has_posted = true;
        match self.rng.below(8) {
            0..3 => {
                let app = self.crank.app();
                if app.decisions.is_empty() {
                    return;
                }
                let at = self.rng.below(app.decisions.len());
                let (socket, decision) = app.decisions.remove(at);
                self.has_posted = true;
                if self.rng.chance(4) {
                    trace!("{socket} is refused from elsewhere");
                    let entry = Log::Refuse { socket };
                    heap::server(|| handle.run(|app, _| app.write(entry))).expect("there is room");
                    return heap::server(|| decision.refuse(Refusal::new("no")))
                        .expect("there is room");
                }
                trace!("{socket} is allowed from elsewhere");
                heap::server(|| decision.allow()).expect("there is room");
            }
            3 | 4 => {
                let app = self.crank.app();
                let Some((socket, event, ack)) = app.acks.pop() else {
                    return;
                };
                self.has_posted = true;
                let load = Load {
                    pad: self.rng.below(30),
                    blobs: self.rng.below(2),
                };
                let entry = Log::ReplyLate {
                    socket,
                    event,
                    load,
                };
                heap::server(|| handle.run(|app, _| app.write(entry))).expect("there is room");
                let answer = app::payload(app::ANSWER, load);
                heap::server(|| ack.reply(answer)).expect("there is room");
            }
            5 | 6 => {
                self.has_posted = true;
                let namespace = self.rng.pick(&NAMESPACES);
                let rooms = self.rooms();
                let load = Load {
                    pad: self.rng.below(50),
                    blobs: self.rng.below(3),
                };
                self.tokens += 1;
                let token = 2 * app::SERVER_TOKENS + self.tokens;
                let told = rooms.clone();
                let announce = move |app: &mut Chat, _: emio::Io<'_, Chat>| {
                    app::announce(app, namespace, &told, token, load);
                };
                heap::server(|| handle.run(announce)).expect("there is room");
                let args = app::payload(token, load);
                heap::server(|| handle.of(namespace).to(&rooms[..]).emit("event", args))
                    .expect("there is room");
            }
            _ => self.stranger(),
        }
    }

    fn stranger(&mut self) {
        count("strangers");
        let wire = self.net.connect(1 << 20);
        let texts = [
            "",
            "GE",
            "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
            "GET /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\n\
             Host: here\r\n\r\n",
            "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\
             Content-Length: 9\r\n\r\n1",
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n",
            "GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n",
            "\u{1}\u{2}garbage\r\n\r\n",
            "GET /socket.io/socket.io.js HTTP/1.1\r\nHost: here\r\n\r\n",
        ];
        self.net.send(wire, self.rng.pick(&texts).as_bytes());
        self.strangers.push(wire);
        if self.rng.chance(2) {
            self.net.end(wire, self.rng.pick(&[End::Eof, End::Reset]));
        }
    }
}

// What is chosen at random.
impl Sim {
    fn style(&mut self) -> Style {
        let rng = &mut self.rng;
        let connections = rng.below(12);
        Style {
            is_websocket: rng.chance(3),
            reconnects: connections < 3,
            says_close: matches!(connections, 3..5),
            pipelines: matches!(connections, 5..8),
            is_chunked: rng.chance(4),
            fragments: rng.chance(3),
            is_hasty: rng.chance(3),
            is_prompt: rng.chance(2),
            is_slow_poster: rng.chance(4),
            is_base64: rng.chance(6),
        }
    }

    fn window(&mut self) -> usize {
        self.rng
            .pick(&[1, 17, 300, 4_096, 1 << 20, 1 << 20, 1 << 20])
    }

    fn load(&mut self, client: usize) -> Load {
        let is_wide = self.clients[client].window > 4_000;
        let pad = match self.rng.below(20) {
            0 if is_wide && self.rng.chance(8) => 30_000 + self.rng.below(100_000),
            0 if is_wide => 3_000 + self.rng.below(20_000),
            1..4 => self.rng.below(300),
            _ => self.rng.below(20),
        };
        let blobs = if self.rng.chance(3) {
            1 + self.rng.pick(&[0, 1, 2, 9])
        } else {
            0
        };
        let pad = pad.min(self.pad_max);
        Load { pad, blobs }
    }

    fn small_load(&mut self) -> Load {
        Load {
            pad: if self.rng.chance(8) {
                self.rng.below(400)
            } else {
                self.rng.below(20)
            },
            blobs: if self.rng.chance(4) {
                1 + self.rng.below(2)
            } else {
                0
            },
        }
    }

    fn rooms(&mut self) -> Vec<String> {
        let count = self.rng.below(3);
        (0..count)
            .map(|_| self.rng.pick(&ROOMS).to_owned())
            .collect()
    }

    fn peer(&mut self, namespace: &str) -> Option<String> {
        let ids = self.model.connected(namespace);
        if ids.is_empty() {
            None
        } else {
            Some(self.rng.pick(&ids))
        }
    }

    fn whom(&mut self, namespace: &str) -> Whom {
        match self.rng.below(8) {
            0 => Whom::Me,
            1 => self.peer(namespace).map_or(Whom::Me, Whom::One),
            2 => Whom::Elsewhere {
                namespace: self.rng.pick(&NAMESPACES).to_owned(),
                rooms: self.rooms(),
            },
            _ => {
                let mut rooms = self.rooms();
                let mut except = if self.rng.chance(3) {
                    self.rooms()
                } else {
                    Vec::new()
                };
                if self.rng.chance(4) {
                    rooms.extend(self.peer(namespace));
                }
                if self.rng.chance(4) {
                    except.extend(self.peer(namespace));
                }
                let is_broadcast = self.rng.chance(2);
                Whom::Rooms {
                    rooms,
                    except,
                    is_broadcast,
                }
            }
        }
    }

    fn commands(&mut self, namespace: &'static str, max: usize) -> Vec<Command> {
        let count = self.rng.below(max + 1);
        (0..count).map(|_| self.command(namespace)).collect()
    }

    fn command(&mut self, namespace: &'static str) -> Command {
        let who = if self.rng.chance(4) {
            self.peer(namespace)
        } else {
            None
        };
        let load = self.small_load();
        match self.rng.below(40) {
            0..12 => Command::Emit {
                to: self.whom(namespace),
                load,
            },
            12..15 => Command::Volatile {
                to: self.whom(namespace),
                load,
            },
            15..21 => Command::Join {
                who,
                room: self.rng.pick(&ROOMS).to_owned(),
            },
            21..25 => Command::Leave {
                who,
                room: self.rng.pick(&ROOMS).to_owned(),
            },
            25..29 => Command::Ask {
                to: who,
                millis: self.rng.below(1_500) as u64,
                load,
            },
            29..33 => Command::Reply { load },
            33 => Command::TakeAck,
            34..36 => Command::Later {
                millis: self.rng.below(800) as u64,
                namespace: self.rng.pick(&NAMESPACES).to_owned(),
                rooms: self.rooms(),
                load,
            },
            36 => Command::Disconnect {
                who,
                close: self.rng.chance(3),
            },
            37 if self.rng.chance(3) => Command::CloseConnection { who },
            _ => Command::Emit { to: Whom::Me, load },
        }
    }
}

/// How long the server lets a client go that was told to, in milliseconds.
const END_MAX: u64 = 3_000;

const ROOMS: [&str; 3] = ["a", "b", "c"];

/// The same server over many generations: what it keeps does not grow.
pub fn generations() {
    let mut sim = Sim::with(Config::default(), false, Rng(7), 8);
    sim.pad_max = 500;
    let mut kept = Vec::new();
    for _ in 0..30 {
        for _ in 0..300 {
            sim.step();
        }
        sim.leave();
        sim.check_empty(HEAP_BYTES_KEPT);
        sim.clients_max = sim.clients.len() + 8;
        kept.push(heap::live_bytes() - sim.base_bytes);
    }
    println!("{kept:?}");
    let (early, late) = (kept[9], kept[29]);
    assert!(late <= early + 16 * 1024, "{kept:?}");
}
