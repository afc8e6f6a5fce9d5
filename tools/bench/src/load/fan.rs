//! Broadcasts: one client asks, everyone receives exactly one copy, the next is asked for.

use std::time::{Duration, Instant};

use super::{Figure, Target, costs, figure};
use crate::{
    client::{Fault, Template, stamp},
    fleet::{Fleet, Incoming, Next, Scenario},
    measure::{Histogram, Window},
};

/// Broadcasts that are measured at least, however long each takes.
const BROADCASTS_MIN: u64 = 8;

pub fn broadcast(target: Target, clients: usize, bytes: usize) -> Result<Vec<Figure>, Fault> {
    let (wire, template) = target.template("broadcast", bytes);
    let mut fan = Fan {
        template,
        last_by_client: vec![0; clients],
        broadcasts: 0,
        delivered: 0,
        sent_at: Instant::now(),
        first: Histogram::new(),
        all: Histogram::new(),
    };
    let mut fleet = target.fleet(wire)?;
    fleet.grow(clients, &mut fan)?;
    let end = Instant::now() + target.warm();
    while fan.broadcasts < 2 || Instant::now() < end {
        fan.broadcast(&mut fleet)?;
    }

    let before = fan.broadcasts;
    (fan.first, fan.all) = (Histogram::new(), Histogram::new());
    let window = Window::open(target.pid)?;
    let end = Instant::now() + target.measured();
    while fan.broadcasts < before + BROADCASTS_MIN || Instant::now() < end {
        fan.broadcast(&mut fleet)?;
    }
    let spent = window.close()?;

    // A copy too many would come now, and be a fault.
    fleet.rest(Duration::from_millis(50), &mut fan)?;
    target.check_count(&mut fleet, wire, u64::from(fan.broadcasts_u32()))?;
    let mut figures = costs(spent, (fan.broadcasts - before) * clients as u64)?;
    // Nothing else is under way when the first copy comes: that time is never the generator's.
    figures.push(figure("first_ms", fan.first.quantile_us(0.5) / 1e3));
    let value = fan.all.quantile_us(0.5) / 1e3;
    figures.push(Figure {
        name: "all_ms".into(),
        value,
        is_void: figures[1].is_void,
    });
    Ok(figures)
}

struct Fan {
    template: Template,
    /// Which broadcast each client received last.
    last_by_client: Vec<u32>,
    broadcasts: u64,
    /// Copies of the broadcast under way that were received.
    delivered: usize,
    sent_at: Instant,
    first: Histogram,
    all: Histogram,
}

impl Fan {
    fn broadcasts_u32(&self) -> u32 {
        u32::try_from(self.broadcasts).expect("a run is bounded in time")
    }

    /// One broadcast, until everyone has it.
    fn broadcast(&mut self, fleet: &mut Fleet) -> Result<(), Fault> {
        self.broadcasts += 1;
        self.delivered = 0;
        let mut out = Vec::new();
        self.template
            .push(&mut out, stamp(0, self.broadcasts_u32()));
        self.sent_at = Instant::now();
        fleet.clients.send_out(0, &mut out)?;
        while self.delivered < self.last_by_client.len() {
            fleet.turn(Duration::from_millis(100), self)?;
        }
        Ok(())
    }
}

impl Scenario for Fan {
    fn handle(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        _: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let packet = match incoming {
            Incoming::Joined => return Ok(Next::Stay),
            Incoming::Packet(packet) => packet,
            Incoming::Posted | Incoming::Left => return Err(Fault::Unexpected),
        };
        let current = self.broadcasts_u32();
        let last = self.last_by_client.get_mut(at).ok_or(Fault::Miscount)?;
        if *last == current {
            return Err(Fault::Miscount);
        }
        self.template.check(packet, stamp(0, current))?;
        *last = current;
        self.delivered += 1;
        if self.delivered == 1 {
            self.first.record(self.sent_at.elapsed().as_nanos() as u64);
        }
        if self.delivered == self.last_by_client.len() {
            self.all.record(self.sent_at.elapsed().as_nanos() as u64);
        }
        Ok(Next::Stay)
    }
}
