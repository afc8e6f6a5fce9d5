//! Closed loops: each client sends a message, compares the answer, sends the next.

use std::time::{Duration, Instant};

use super::{Figure, Target, costs};
use crate::{
    client::{Fault, Template, Wire, stamp},
    fleet::{Fleet, Incoming, Next, Scenario},
    measure::{Histogram, Window},
};

/// `event` on WebSocket clients that have `depth` messages under way each.
pub fn echo(
    target: Target,
    event: &str,
    clients: usize,
    bytes: usize,
    depth: usize,
) -> Result<Vec<Figure>, Fault> {
    let (wire, template) = target.template(event, bytes);
    closed_loop(target, wire, Echo::new(template, clients, depth, false))
}

/// Echoes on polling clients. A round trip is over when the POST has its `ok` and the GET the echo.
pub fn polling(target: Target, clients: usize, bytes: usize) -> Result<Vec<Figure>, Fault> {
    let wire = Wire::Polling {
        two_connections: true,
    };
    let template = Template::new(wire, "42[\"echo\",", "42[\"echo\",", bytes);
    closed_loop(target, wire, Echo::new(template, clients, 1, true))
}

fn closed_loop(target: Target, wire: Wire, mut echo: Echo) -> Result<Vec<Figure>, Fault> {
    let mut fleet = target.fleet(wire)?;
    fleet.grow(echo.flights.len(), &mut echo)?;
    echo.begin(&mut fleet)?;
    fleet.rest(target.warm(), &mut echo)?;

    let before = echo.received;
    echo.latency = Histogram::new();
    let window = Window::open(target.pid)?;
    fleet.rest(target.measured(), &mut echo)?;
    let spent = window.close()?;
    let received = echo.received - before;
    let latency = std::mem::replace(&mut echo.latency, Histogram::new());

    echo.is_ending = true;
    while echo.received < echo.sent {
        fleet.turn(Duration::from_millis(100), &mut echo)?;
    }
    target.check_count(&mut fleet, wire, echo.sent)?;

    let mut figures = costs(spent, received)?;
    if echo.depth == 1 {
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
            let value = latency.quantile_us(quantile);
            figures.push(Figure {
                name: name.into(),
                value,
                is_void: figures[1].is_void,
            });
        }
    }
    Ok(figures)
}

struct Echo {
    template: Template,
    flights: Vec<Flight>,
    depth: usize,
    /// A message has two answers: its echo, and the one to its POST.
    is_posted: bool,
    is_ending: bool,
    sent: u64,
    received: u64,
    latency: Histogram,
}

/// What one client has under way.
#[derive(Clone)]
struct Flight {
    sent: u32,
    echoed: u32,
    posted: u32,
    sent_at: Instant,
}

impl Echo {
    fn new(template: Template, clients: usize, depth: usize, is_posted: bool) -> Echo {
        let flight = Flight {
            sent: 0,
            echoed: 0,
            posted: 0,
            sent_at: Instant::now(),
        };
        Echo {
            template,
            flights: vec![flight; clients],
            depth,
            is_posted,
            is_ending: false,
            sent: 0,
            received: 0,
            latency: Histogram::new(),
        }
    }

    fn begin(&mut self, fleet: &mut Fleet) -> Result<(), Fault> {
        let mut out = Vec::new();
        for at in 0..self.flights.len() {
            self.flights[at].sent_at = Instant::now();
            for _ in 0..self.depth {
                self.send(at, &mut out);
            }
            fleet.clients.send_out(at, &mut out)?;
        }
        Ok(())
    }

    fn send(&mut self, at: usize, out: &mut Vec<u8>) {
        let flight = &mut self.flights[at];
        self.template.push(out, stamp(at as u32, flight.sent));
        flight.sent += 1;
        self.sent += 1;
    }

    /// One round trip is complete: the next begins.
    fn completed(&mut self, at: usize, out: &mut Vec<u8>) {
        self.received += 1;
        if self.depth == 1 {
            let now = Instant::now();
            let flight = &mut self.flights[at];
            self.latency
                .record((now - flight.sent_at).as_nanos() as u64);
            flight.sent_at = now;
        }
        if !self.is_ending {
            self.send(at, out);
        }
    }
}

impl Scenario for Echo {
    fn handle(
        &mut self,
        at: usize,
        incoming: Incoming<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let flight = self.flights.get_mut(at).ok_or(Fault::Miscount)?;
        match incoming {
            Incoming::Joined => return Ok(Next::Stay),
            Incoming::Left => return Err(Fault::Closed),
            Incoming::Packet(_) if flight.echoed == flight.sent => return Err(Fault::Miscount),
            Incoming::Packet(packet) => {
                self.template
                    .check(packet, stamp(at as u32, flight.echoed))?;
                flight.echoed += 1;
            }
            Incoming::Posted if flight.posted == flight.sent => return Err(Fault::Miscount),
            Incoming::Posted => flight.posted += 1,
        }
        if !self.is_posted || flight.echoed == flight.posted {
            self.completed(at, out);
        }
        Ok(Next::Stay)
    }
}
