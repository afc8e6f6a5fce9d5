//! What clients leave in the server's memory: while they are there, and when they have gone.

use std::time::Duration;

use super::{Figure, RAW_HANDSHAKE_BYTES, Target, figure};
use crate::{
    client::{Fault, Template, Wire, stamp},
    fleet::{Incoming, Next, Quiet, Scenario},
    job::{CHURN_CLIENTS, CHURN_CYCLES, idle_steps},
    measure::{Kernel, Memory, kernel, memory},
};

const ECHO_BYTES: usize = 4096;

/// WebSocket clients that do nothing, or nothing but one echo as soon as they have joined.
pub fn idle(target: Target, event: &str, is_echoing: bool) -> Result<Vec<Figure>, Fault> {
    let (wire, template) = target.template(event, ECHO_BYTES);
    slope(
        target,
        wire,
        Once {
            template: is_echoing.then_some(template),
            sent: 0,
            received: 0,
        },
    )
}

/// Clients with one connection each, whose poll waits at the server.
pub fn idle_polling(target: Target) -> Result<Vec<Figure>, Fault> {
    let wire = Wire::Polling {
        two_connections: false,
    };
    slope(
        target,
        wire,
        Once {
            template: None,
            sent: 0,
            received: 0,
        },
    )
}

fn slope(target: Target, wire: Wire, mut once: Once) -> Result<Vec<Figure>, Fault> {
    let mut fleet = target.fleet(wire)?;
    fleet.rest(target.settle(), &mut once)?;
    let empty = memory(target.pid)?;
    let kernel_empty = kernel();
    let steps = idle_steps(target.plan);
    let mut seen = Vec::new();
    for &clients in steps {
        fleet.grow(clients, &mut once)?;
        while once.received < once.sent {
            fleet.turn(Duration::from_millis(100), &mut once)?;
        }
        fleet.rest(target.settle(), &mut once)?;
        seen.push((clients, memory(target.pid)?));
    }
    let kernel_full = kernel();
    if once.template.is_some() {
        target.check_count(&mut fleet, wire, once.sent)?;
    }

    let mut figures = Vec::new();
    for &(clients, full) in &seen {
        let bytes = (full.rss as f64 - empty.rss as f64) / clients as f64;
        figures.push(figure(format!("rss_bytes_{clients}"), bytes));
    }
    let [(few, first), .., (many, last)] = seen[..] else {
        return Ok(figures);
    };
    let clients = (many - few) as f64;
    figures.push(figure(
        "slope_bytes",
        per(clients, first, last, |memory| memory.rss),
    ));
    figures.push(figure(
        "anon_slope_bytes",
        per(clients, first, last, |memory| memory.pss_anon),
    ));
    if let Some(bytes) = kernel_bytes(kernel_empty, kernel_full) {
        figures.push(figure("kernel_bytes", bytes / many as f64));
    }
    Ok(figures)
}

fn per(clients: f64, from: Memory, to: Memory, part: impl Fn(Memory) -> u64) -> f64 {
    (part(to) as f64 - part(from) as f64) / clients
}

/// One end of each connection: both ends live in this kernel, and are alike.
fn kernel_bytes(from: Kernel, to: Kernel) -> Option<f64> {
    let slab = to.slab? as f64 - from.slab? as f64;
    Some((slab + to.tcp as f64 - from.tcp as f64) / 2.0)
}

/// Nothing but at most one echo for each client.
struct Once {
    template: Option<Template>,
    sent: u64,
    received: u64,
}

impl Scenario for Once {
    fn handle(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        match (incoming, &self.template) {
            (Incoming::Joined, None) => {}
            (Incoming::Joined, Some(template)) => {
                template.push(out, stamp(at as u32, 0));
                self.sent += 1;
            }
            (Incoming::Packet(packet), Some(template)) => {
                template.check(packet, stamp(at as u32, 0))?;
                self.received += 1;
            }
            _ => return Err(Fault::Unexpected),
        }
        Ok(Next::Stay)
    }
}

/// Everyone comes and everyone leaves, again and again.
pub fn churn(target: Target) -> Result<Vec<Figure>, Fault> {
    const MIB: f64 = 1024.0 * 1024.0;
    let mut fleet = target.fleet(target.wire(RAW_HANDSHAKE_BYTES))?;
    fleet.rest(target.settle(), &mut Quiet)?;
    let empty = memory(target.pid)?;
    let mut seen = Vec::with_capacity(CHURN_CYCLES);
    for _ in 0..CHURN_CYCLES {
        fleet.grow(CHURN_CLIENTS, &mut Quiet)?;
        fleet.dismiss()?;
        fleet.rest(target.settle(), &mut Quiet)?;
        seen.push(memory(target.pid)?);
    }
    let [first, .., last] = seen[..] else {
        return Err(Fault::Miscount);
    };
    let later = ((CHURN_CYCLES - 1) * CHURN_CLIENTS) as f64;
    Ok(vec![
        figure("kept_mib", (last.rss as f64 - empty.rss as f64) / MIB),
        figure("growth_bytes", per(later, first, last, |memory| memory.rss)),
    ])
}
