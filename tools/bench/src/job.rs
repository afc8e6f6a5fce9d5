//! What is measured: every run has a name that says all of it, such as `echo-1000-16`.
//! Not here: how it is done (`load`), or by which servers (`run`).

use std::fmt;

/// Messages that each client has under way when it does not wait for answers.
pub const PIPELINED_DEPTH: usize = 32;
pub const BROADCAST_BYTES: usize = 128;
pub const POLLING_BYTES: usize = 16;
pub const HEARTBEAT_CLIENTS: usize = 5_000;
pub const CHURN_CYCLES: usize = 6;
pub const CHURN_CLIENTS: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Start time, memory without clients, size of the program.
    Start,
    /// Memory of clients that do nothing.
    Idle,
    /// Memory of clients that did nothing but one 4 KiB echo.
    IdleEchoed,
    /// Memory of clients whose poll is parked.
    IdlePolling,
    Connect,
    Echo {
        clients: usize,
        bytes: usize,
    },
    Pipelined {
        clients: usize,
        bytes: usize,
    },
    Ack {
        clients: usize,
        bytes: usize,
    },
    Broadcast {
        clients: usize,
    },
    /// Echoes to polling clients.
    Polling {
        clients: usize,
    },
    Heartbeat,
    Churn,
    /// Latency of many beside one that floods, and beside one that never reads.
    Fair {
        clients: usize,
    },
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Full,
    /// Only what the table of goals asks for.
    Must,
    /// A look at everything that takes no long waiting.
    Quick,
}

impl Plan {
    pub fn name(self) -> &'static str {
        match self {
            Plan::Full => "full",
            Plan::Must => "must",
            Plan::Quick => "quick",
        }
    }
}

impl Job {
    pub fn parse(name: &str) -> Option<Job> {
        let mut words = name.split('-');
        let kind = words.next()?;
        let mut number = || words.next()?.parse::<usize>().ok();
        let job = match (kind, number(), number()) {
            ("echo", Some(clients), Some(bytes)) => Job::Echo { clients, bytes },
            ("pipelined", Some(clients), Some(bytes)) => Job::Pipelined { clients, bytes },
            ("ack", Some(clients), Some(bytes)) => Job::Ack { clients, bytes },
            ("broadcast", Some(clients), None) => Job::Broadcast { clients },
            ("polling", Some(clients), None) => Job::Polling { clients },
            ("fair", Some(clients), None) => Job::Fair { clients },
            _ => match name {
                "start" => Job::Start,
                "idle" => Job::Idle,
                "idle-echoed" => Job::IdleEchoed,
                "idle-polling" => Job::IdlePolling,
                "connect" => Job::Connect,
                "heartbeat" => Job::Heartbeat,
                "churn" => Job::Churn,
                _ => return None,
            },
        };
        Some(job)
    }

    /// For people.
    pub fn title(self) -> String {
        match self {
            Job::Start => "start".into(),
            Job::Idle => "idle WebSocket clients".into(),
            Job::IdleEchoed => "idle after one 4 KiB echo each".into(),
            Job::IdlePolling => "parked polling clients".into(),
            Job::Connect => "WebSocket connect, join, disconnect".into(),
            Job::Echo { clients, bytes } => format!("echo, {clients} × {bytes} B"),
            Job::Pipelined { clients, bytes } => {
                format!("echo, {clients} × {bytes} B, {PIPELINED_DEPTH} in flight")
            }
            Job::Ack { clients, bytes } => format!("ack, {clients} × {bytes} B"),
            Job::Broadcast { clients } => {
                format!("broadcast to {clients}, {BROADCAST_BYTES} B")
            }
            Job::Polling { clients } => format!("polling echo, {clients} clients"),
            Job::Heartbeat => format!("heartbeat, {HEARTBEAT_CLIENTS} idle clients"),
            Job::Churn => format!("churn, {CHURN_CYCLES} × {CHURN_CLIENTS} clients"),
            Job::Fair { clients } => format!("{clients} clients × 10 messages a second"),
        }
    }

    /// Descriptors that the server, or the generator, needs beside a few of its own.
    pub fn descriptors(self, plan: Plan) -> usize {
        match self {
            Job::Start => 0,
            Job::Idle | Job::IdleEchoed | Job::IdlePolling => {
                *idle_steps(plan).last().expect("there are steps")
            }
            Job::Connect => 100,
            Job::Echo { clients, .. }
            | Job::Pipelined { clients, .. }
            | Job::Ack { clients, .. }
            | Job::Broadcast { clients } => clients,
            Job::Polling { clients } => 2 * clients,
            Job::Heartbeat => HEARTBEAT_CLIENTS,
            Job::Churn => CHURN_CLIENTS,
            Job::Fair { clients } => clients + 2,
        }
    }

    /// Whether a server without any protocol can be measured by it.
    pub fn has_floor(self) -> bool {
        !matches!(
            self,
            Job::Ack { .. } | Job::Polling { .. } | Job::IdlePolling
        )
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Start => write!(f, "start"),
            Job::Idle => write!(f, "idle"),
            Job::IdleEchoed => write!(f, "idle-echoed"),
            Job::IdlePolling => write!(f, "idle-polling"),
            Job::Connect => write!(f, "connect"),
            Job::Echo { clients, bytes } => write!(f, "echo-{clients}-{bytes}"),
            Job::Pipelined { clients, bytes } => write!(f, "pipelined-{clients}-{bytes}"),
            Job::Ack { clients, bytes } => write!(f, "ack-{clients}-{bytes}"),
            Job::Broadcast { clients } => write!(f, "broadcast-{clients}"),
            Job::Polling { clients } => write!(f, "polling-{clients}"),
            Job::Heartbeat => write!(f, "heartbeat"),
            Job::Churn => write!(f, "churn"),
            Job::Fair { clients } => write!(f, "fair-{clients}"),
        }
    }
}

/// Where memory is looked at while clients come.
pub fn idle_steps(plan: Plan) -> &'static [usize] {
    match plan {
        Plan::Full | Plan::Must => &[1_000, 5_000, 10_000, 19_000],
        Plan::Quick => &[1_000, 3_000],
    }
}

/// Everything to be measured, in the order of the table.
pub fn jobs(plan: Plan) -> Vec<Job> {
    let echoes: &[(usize, usize)] = match plan {
        Plan::Full => &[
            (1, 16),
            (1, 128),
            (1, 4096),
            (100, 16),
            (100, 128),
            (100, 4096),
            (1_000, 16),
            (1_000, 128),
            (1_000, 4096),
            (10_000, 16),
            (10_000, 128),
            (10_000, 4096),
        ],
        Plan::Must => &[(100, 16), (1_000, 16), (10_000, 16), (1_000, 4096)],
        Plan::Quick => &[(1, 16), (100, 16), (1_000, 16), (1_000, 4096)],
    };
    let broadcasts: &[usize] = match plan {
        Plan::Full => &[1_000, 10_000, 19_000],
        Plan::Must => &[10_000],
        Plan::Quick => &[1_000],
    };
    let mut jobs = vec![
        Job::Start,
        Job::Idle,
        Job::IdleEchoed,
        Job::IdlePolling,
        Job::Connect,
    ];
    jobs.extend(
        echoes
            .iter()
            .map(|&(clients, bytes)| Job::Echo { clients, bytes }),
    );
    jobs.push(Job::Pipelined {
        clients: 100,
        bytes: 16,
    });
    if plan != Plan::Must {
        jobs.push(Job::Ack {
            clients: 100,
            bytes: 16,
        });
    }
    jobs.extend(broadcasts.iter().map(|&clients| Job::Broadcast { clients }));
    jobs.extend([100, 1_000].map(|clients| Job::Polling { clients }));
    if plan != Plan::Quick {
        jobs.push(Job::Heartbeat);
    }
    jobs.push(Job::Churn);
    jobs.push(Job::Fair { clients: 1_000 });
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_found_by_its_name() {
        for plan in [Plan::Full, Plan::Must, Plan::Quick] {
            for job in jobs(plan) {
                assert_eq!(Job::parse(&job.to_string()), Some(job));
            }
        }
        for name in [
            "",
            "echo",
            "echo-1",
            "echo-1-x",
            "idle-now",
            "start-1",
            "broadcast-1-1",
        ] {
            assert_eq!(Job::parse(name), None, "{name}");
        }
    }
}
