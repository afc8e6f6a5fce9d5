//! What clients cost that say nothing: to come and go, and to be kept alive.

use std::time::Duration;

use super::{Figure, RAW_HANDSHAKE_BYTES, Target, costs, figure};
use crate::{
    client::Fault,
    fleet::{Fleet, Incoming, Next, Quiet, Scenario},
    floor::BEAT,
    job::HEARTBEAT_CLIENTS,
    measure::{Window, memory},
};

/// Clients that come and go at a time.
const VISITORS_MAX: usize = 32;
/// Servers ping every 25 s by default: everyone once within this time, hardly anyone twice.
const HEARTBEAT_WINDOW: Duration = Duration::from_secs(31);

pub fn connect(target: Target) -> Result<Vec<Figure>, Fault> {
    let (warm, measured) = if target.is_quick() {
        (200, 800)
    } else {
        (1_000, 4_000)
    };
    let mut fleet = target.fleet(target.wire(RAW_HANDSHAKE_BYTES))?;
    visits(&mut fleet, warm)?;
    let window = Window::open(target.pid)?;
    visits(&mut fleet, measured)?;
    // The last of them have left; the server may still be clearing up.
    let seconds_visited = window.elapsed_seconds();
    fleet.rest(Duration::from_millis(100), &mut Quiet)?;
    let mut spent = window.close()?;
    spent.own_share *= spent.seconds / seconds_visited;
    spent.seconds = seconds_visited;
    costs(spent, measured)
}

/// So many clients connect, join and disconnect; each is gone when the server has closed it.
fn visits(fleet: &mut Fleet, count: u64) -> Result<(), Fault> {
    let mut visits = Visits { left: 0 };
    let mut begun = 0;
    while visits.left < count {
        while begun < count && begun - visits.left < VISITORS_MAX as u64 {
            fleet.clients.open()?;
            begun += 1;
        }
        fleet.turn(Duration::from_millis(100), &mut visits)?;
    }
    Ok(())
}

struct Visits {
    left: u64,
}

impl Scenario for Visits {
    fn handle(&mut self, _: usize, incoming: Incoming<'_>, _: &mut Vec<u8>) -> Result<Next, Fault> {
        match incoming {
            Incoming::Joined => Ok(Next::Leave),
            Incoming::Left => {
                self.left += 1;
                Ok(Next::Stay)
            }
            Incoming::Packet(_) | Incoming::Posted => Err(Fault::Unexpected),
        }
    }
}

pub fn heartbeat(target: Target) -> Result<Vec<Figure>, Fault> {
    let before = memory(target.pid)?;
    let mut beats = Beats { answered: 0 };
    let mut fleet = target.fleet(target.wire(BEAT.len()))?;
    fleet.grow(HEARTBEAT_CLIENTS, &mut beats)?;
    fleet.rest(Duration::from_secs(1), &mut beats)?;
    let pings = fleet.clients.pings() + beats.answered;
    let window = Window::open(target.pid)?;
    fleet.rest(HEARTBEAT_WINDOW, &mut beats)?;
    let spent = window.close()?;
    let pings = fleet.clients.pings() + beats.answered - pings;
    if pings < HEARTBEAT_CLIENTS as u64 {
        return Err(Fault::Miscount);
    }
    let grown = memory(target.pid)?.rss as f64 - before.rss as f64;
    Ok(vec![
        figure("cpu_us", spent.server_us / pings as f64),
        figure("pings", pings as f64),
        figure("rss_bytes", grown / HEARTBEAT_CLIENTS as f64),
    ])
}

/// Answers the beats of a floor; pings of the protocol are answered by the fleet.
struct Beats {
    answered: u64,
}

impl Scenario for Beats {
    fn handle(
        &mut self,
        _: usize,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        match incoming {
            Incoming::Joined => Ok(Next::Stay),
            Incoming::Packet(packet) if packet == BEAT => {
                self.answered += 1;
                out.extend(BEAT);
                Ok(Next::Stay)
            }
            _ => Err(Fault::Unexpected),
        }
    }
}
