//! The load of one job on one server that runs already, and what that cost the server.
//! Not here: starting servers, rounds, tables (`run`). Every message is compared byte for byte, and
//! what was received here must be what the server says it handled, or there is no result at all.

mod connect;
mod echo;
mod fair;
mod fan;
mod memory;

use std::{io, time::Duration};

use serde_json::{Value, json};

use crate::{
    client::{Fault, TEXT, Template, UPGRADE, Wire, push_frame, server_frame_bytes},
    fleet::{Fleet, Incoming, Next, Scenario},
    job::{BROADCAST_BYTES, Job, PIPELINED_DEPTH, POLLING_BYTES, Plan},
    measure::Spent,
};

/// From here on the generator may be what limits a rate.
const OWN_SHARE_MAX: f64 = 0.9;

/// Which server, and how long to look at it.
#[derive(Clone, Copy)]
pub struct Target {
    pub port: u16,
    pub pid: u32,
    /// The server has no protocol: it is a floor.
    pub is_raw: bool,
    pub plan: Plan,
}

/// One number that a run found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    /// The generator was the bottleneck.
    pub is_void: bool,
}

/// Runs one job and returns what it found.
pub fn run(job: Job, target: Target) -> Result<Vec<Figure>, Fault> {
    match job {
        Job::Start => Err(Fault::Unexpected),
        Job::Idle => memory::idle(target, "echo", false),
        Job::IdleEchoed => memory::idle(target, "echo", true),
        Job::IdlePolling => memory::idle_polling(target),
        Job::Connect => connect::connect(target),
        Job::Heartbeat => connect::heartbeat(target),
        Job::Churn => memory::churn(target),
        Job::Echo { clients, bytes } => echo::echo(target, "echo", clients, bytes, 1),
        Job::Ack { clients, bytes } => echo::echo(target, "ack", clients, bytes, 1),
        Job::Pipelined { clients, bytes } => {
            echo::echo(target, "echo", clients, bytes, PIPELINED_DEPTH)
        }
        Job::Polling { clients } => echo::polling(target, clients, POLLING_BYTES),
        Job::Broadcast { clients } => fan::broadcast(target, clients, BROADCAST_BYTES),
        Job::Fair { clients } => fair::fair(target, clients),
    }
}

/// One line for the process that started this one.
pub fn to_json(figures: &[Figure]) -> Value {
    figures
        .iter()
        .map(|figure| json!([figure.name, figure.value, figure.is_void]))
        .collect()
}

pub fn from_json(text: &str) -> Option<Vec<Figure>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let figure = |item: &Value| {
        Some(Figure {
            name: item.get(0)?.as_str()?.into(),
            value: item.get(1)?.as_f64()?,
            is_void: item.get(2)?.as_bool()?,
        })
    };
    value.as_array()?.iter().map(figure).collect()
}

impl Target {
    fn is_quick(self) -> bool {
        self.plan == Plan::Quick
    }

    /// Long enough for a just-in-time compiler and for every buffer that grows.
    fn warm(self) -> Duration {
        Duration::from_millis(if self.is_quick() { 300 } else { 800 })
    }

    fn measured(self) -> Duration {
        Duration::from_millis(if self.is_quick() { 600 } else { 1_500 })
    }

    /// How long memory is given to come to rest.
    fn settle(self) -> Duration {
        Duration::from_millis(if self.is_quick() { 300 } else { 1_000 })
    }

    /// The wire of WebSocket clients; a floor moves `raw_bytes` at a time instead.
    fn wire(self, raw_bytes: usize) -> Wire {
        if self.is_raw {
            Wire::Raw {
                message_bytes: raw_bytes,
            }
        } else {
            Wire::WebSocket
        }
    }

    fn fleet(self, wire: Wire) -> io::Result<Fleet> {
        Fleet::new(self.port, wire)
    }

    /// The event `event` and its answer. A floor's message is the frame that the others receive.
    fn template(self, event: &str, bytes: usize) -> (Wire, Template) {
        let (head, answer) = match event {
            "ack" => ("420[\"ack\",".to_string(), "430[".to_string()),
            _ => (format!("42[\"{event}\","), format!("42[\"{event}\",")),
        };
        let template = Template::new(Wire::WebSocket, &head, &answer, bytes);
        if !self.is_raw {
            return (Wire::WebSocket, template);
        }
        let message_bytes = match event {
            "broadcast" => server_frame_bytes(template.answer_bytes()),
            _ => template.request_bytes(),
        };
        let wire = Wire::Raw { message_bytes };
        (wire, Template::new(wire, &head, &answer, bytes))
    }

    /// Asks the server how many events it handled, and compares. The question is one itself.
    fn check_count(self, fleet: &mut Fleet, wire: Wire, expected: u64) -> Result<(), Fault> {
        let mut out = Vec::new();
        match wire {
            Wire::Raw { .. } => return Ok(()),
            Wire::WebSocket => push_frame(&mut out, TEXT, b"427[\"count\"]"),
            Wire::Polling { .. } => out.extend(b"427[\"count\"]"),
        }
        fleet.clients.send_out(0, &mut out)?;
        let mut count = Count(None);
        loop {
            fleet.turn(Duration::from_millis(100), &mut count)?;
            match count.0 {
                None => {}
                Some(found) if found == expected + 1 => return Ok(()),
                Some(_) => return Err(Fault::Miscount),
            }
        }
    }
}

struct Count(Option<u64>);

impl Scenario for Count {
    fn handle(&mut self, _: usize, incoming: Incoming<'_>, _: &mut Vec<u8>) -> Result<Next, Fault> {
        match incoming {
            Incoming::Packet(packet) => {
                let digits = packet
                    .strip_prefix(b"437[")
                    .and_then(|rest| rest.strip_suffix(b"]"));
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let found = digits.and_then(|digits| digits.parse().ok());
                self.0 = Some(found.ok_or(Fault::Unexpected)?);
            }
            Incoming::Posted => {}
            Incoming::Joined | Incoming::Left => return Err(Fault::Unexpected),
        }
        Ok(Next::Stay)
    }
}

/// A figure that holds whatever the generator was doing.
fn figure(name: impl Into<String>, value: f64) -> Figure {
    Figure {
        name: name.into(),
        value,
        is_void: false,
    }
}

/// Per operation, and the rate, which is void where the generator was busy all the time.
fn costs(spent: Spent, operations: u64) -> Result<Vec<Figure>, Fault> {
    if operations == 0 {
        return Err(Fault::Miscount);
    }
    let is_void = spent.own_share >= OWN_SHARE_MAX;
    Ok(vec![
        figure("cpu_us", spent.server_us / operations as f64),
        Figure {
            name: "rate".into(),
            value: operations as f64 / spent.seconds,
            is_void,
        },
        figure("server_percent", spent.server_us / spent.seconds / 1e4),
        figure("generator_percent", spent.own_share * 100.0),
    ])
}

/// Bytes of a floor's exchange where the others have a handshake.
const RAW_HANDSHAKE_BYTES: usize = UPGRADE.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_their_line() {
        let figures = vec![
            figure("cpu_us", 1.5),
            Figure {
                is_void: true,
                ..figure("rate", 7.0)
            },
        ];
        assert_eq!(from_json(&to_json(&figures).to_string()), Some(figures));
        assert_eq!(from_json("[[1]]"), None);
    }

    #[test]
    fn a_rate_is_void_when_the_generator_was_busy() {
        let spent = Spent {
            seconds: 2.0,
            server_us: 100.0,
            own_share: 0.95,
        };
        let figures = costs(spent, 50).unwrap();
        assert_eq!(figures[0], figure("cpu_us", 2.0));
        assert_eq!((figures[1].value, figures[1].is_void), (25.0, true));
        assert_eq!(costs(spent, 0), Err(Fault::Miscount));
    }
}
