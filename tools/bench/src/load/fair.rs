//! Whether one client's greed, or its slowness, is everybody's: a thousand clients send ten
//! messages a second each, alone, beside one that floods, and beside one that never reads.
//! A message counts from when it was due, so that a late generator makes nothing look better.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Figure, Target, figure};
use crate::{
    client::{Fault, Template, stamp},
    fleet::{Fleet, Incoming, Next, Scenario},
    measure::{Histogram, Window},
};

const PERIOD: Duration = Duration::from_millis(100);
/// Messages that the flooding client has under way: enough for the server never to wait for it, and
/// few enough for their echoes not to keep the generator from the others.
const FLOOD_DEPTH: usize = 512;
const FLOOD_BYTES: usize = 16;
/// What the client that does not read asks to have sent back to it: four megabytes a second, after
/// as much at once as fills the kernel's buffers.
const DEAF_BYTES: usize = 4_096;
const DEAF_PERIOD: Duration = Duration::from_millis(1);
const DEAF_BEGINS_WITH: u32 = 1_200;

pub fn fair(target: Target, clients: usize) -> Result<Vec<Figure>, Fault> {
    let (wire, template) = target.template("echo", FLOOD_BYTES);
    let (_, large) = target.template("echo", DEAF_BYTES);
    let mut fleet = target.fleet(wire)?;
    let mut fair = Fair {
        template,
        greedy: clients,
        flights: vec![Flight::default(); clients + 1],
        latency: Histogram::new(),
        is_flooding: false,
        flooded: 0,
        newcomers: Vec::new(),
        provoked: 0,
        deaf_since: Instant::now(),
        cut_off: 0,
    };
    // The last of them is the greedy one.
    fleet.grow(clients + 1, &mut fair)?;
    fair.newcomers.clear();
    fair.pace(&mut fleet, target.warm(), None)?;
    let alone = fair.window(&mut fleet, target, None)?;

    fair.begin_flood(&mut fleet)?;
    fair.pace(&mut fleet, target.warm(), None)?;
    fair.flooded = 0;
    let window = Window::open(target.pid)?;
    let flooded = fair.window(&mut fleet, target, None)?;
    let spent = window.close()?;
    let flood_rate = fair.flooded as f64 / spent.seconds;
    fair.is_flooding = false;
    fair.pace(&mut fleet, target.warm(), None)?;

    // A floor would echo it as well, and its backlog has no limit.
    let mut figures = vec![
        figure("alone_p99_us", alone.quantile_us(0.99)),
        figure("flood_p99_us", flooded.quantile_us(0.99)),
        figure(
            "flood_p99_ratio",
            flooded.quantile_us(0.99) / alone.quantile_us(0.99),
        ),
        figure("flood_rate", flood_rate),
        figure(
            "flood_server_percent",
            spent.server_us / spent.seconds / 1e4,
        ),
    ];
    if !target.is_raw {
        fleet.clients.open()?;
        fair.pace(&mut fleet, target.warm(), Some(&large))?;
        let slow = fair.window(&mut fleet, target, Some(&large))?;
        let ratio = slow.quantile_us(0.99) / alone.quantile_us(0.99);
        figures.push(figure("slow_p99_us", slow.quantile_us(0.99)));
        figures.push(figure("slow_p99_ratio", ratio));
        figures.push(figure("slow_cut_off", fair.cut_off as f64));
    }
    Ok(figures)
}

struct Fair {
    template: Template,
    /// Who floods.
    greedy: usize,
    flights: Vec<Flight>,
    latency: Histogram,
    is_flooding: bool,
    /// Echoes that the greedy one received.
    flooded: u64,
    /// Who has joined and was not looked at.
    newcomers: Vec<usize>,
    /// Messages that the one sent that does not read.
    provoked: u32,
    deaf_since: Instant,
    /// Clients that did not read, and were disconnected for it.
    cut_off: u64,
}

/// What one client has under way, and since when it was due.
#[derive(Clone, Default)]
struct Flight {
    sent: u32,
    echoed: u32,
    due: VecDeque<Instant>,
}

impl Fair {
    /// What everybody's messages took in a while.
    fn window(
        &mut self,
        fleet: &mut Fleet,
        target: Target,
        deaf: Option<&Template>,
    ) -> Result<Histogram, Fault> {
        self.latency = Histogram::new();
        self.pace(fleet, 2 * target.measured(), deaf)?;
        Ok(std::mem::replace(&mut self.latency, Histogram::new()))
    }

    /// Sends what is due, for as long as `duration`; the clients take turns within the period.
    fn pace(
        &mut self,
        fleet: &mut Fleet,
        duration: Duration,
        deaf: Option<&Template>,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let step = PERIOD / self.greedy as u32;
        let (mut out, mut sent) = (Vec::new(), 0_u32);
        while began.elapsed() < duration {
            while began + step * sent <= Instant::now() {
                let at = sent as usize % self.greedy;
                self.flights[at].due.push_back(began + step * sent);
                self.send(at, &mut out);
                fleet.clients.send_out(at, &mut out)?;
                sent += 1;
            }
            if let Some(template) = deaf {
                self.provoke(fleet, template)?;
            }
            // Not asleep: the kernel would wake this thread up to a millisecond late.
            fleet.turn(Duration::ZERO, self)?;
        }
        // What is under way arrives.
        fleet.rest(Duration::from_millis(50), self)
    }

    fn send(&mut self, at: usize, out: &mut Vec<u8>) {
        let flight = &mut self.flights[at];
        self.template.push(out, stamp(at as u32, flight.sent));
        flight.sent += 1;
    }

    fn begin_flood(&mut self, fleet: &mut Fleet) -> Result<(), Fault> {
        self.is_flooding = true;
        let mut out = Vec::new();
        for _ in 0..FLOOD_DEPTH {
            self.send(self.greedy, &mut out);
        }
        fleet.clients.send_out(self.greedy, &mut out)
    }

    /// Has the one that does not read send what is due; the next comes when it was cut off.
    fn provoke(&mut self, fleet: &mut Fleet, template: &Template) -> Result<(), Fault> {
        for at in std::mem::take(&mut self.newcomers) {
            fleet.clients.deafen(at);
            self.provoked = 0;
            self.deaf_since = Instant::now();
        }
        let Some(at) = fleet.clients.deaf() else {
            if self.cut_off > 0 && !fleet.clients.is_opening() {
                fleet.clients.open()?;
            }
            return Ok(());
        };
        let is_due = self.provoked < DEAF_BEGINS_WITH
            || DEAF_PERIOD * (self.provoked - DEAF_BEGINS_WITH) <= self.deaf_since.elapsed();
        if !is_due || fleet.clients.is_blocked(at) {
            return Ok(());
        }
        self.provoked += 1;
        let mut out = Vec::new();
        template.push(&mut out, stamp(at as u32, 0));
        fleet.clients.send_out(at, &mut out)
    }
}

impl Scenario for Fair {
    fn handle(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let packet = match incoming {
            Incoming::Packet(packet) => packet,
            Incoming::Joined => {
                self.newcomers.push(at);
                return Ok(Next::Stay);
            }
            Incoming::Left => {
                self.cut_off += 1;
                return Ok(Next::Stay);
            }
            Incoming::Posted => return Err(Fault::Unexpected),
        };
        let flight = self.flights.get_mut(at).ok_or(Fault::Miscount)?;
        self.template
            .check(packet, stamp(at as u32, flight.echoed))?;
        flight.echoed += 1;
        if at == self.greedy {
            self.flooded += 1;
            if self.is_flooding {
                self.send(at, out);
            }
            return Ok(Next::Stay);
        }
        let due = flight.due.pop_front().ok_or(Fault::Miscount)?;
        self.latency.record(due.elapsed().as_nanos() as u64);
        Ok(Next::Stay)
    }
}
