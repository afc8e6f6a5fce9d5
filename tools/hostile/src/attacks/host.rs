//! What happens to the server's host rather than to its connections.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Attack, Field, Holds, Pace, Run, engine, socketio, websocket};
use crate::{
    child::PATIENCE,
    netns::Netns,
    peer::{Peer, Tally, Unit},
    run::{Options, Setting, Skipped, Stage, Undo},
    wire::HANDSHAKE,
};

pub fn attacks() -> Vec<Attack> {
    vec![
        host(
            "descriptors-exhausted",
            "the limit of descriptors falls to those in use and 20 more (EMFILE at accept)",
            &["newcomer waits", "newcomer served"],
            no_setting,
            descriptors,
        ),
        Attack {
            quick: CAPPED,
            full: CAPPED,
            holds: Holds::Backlog,
            ..host(
                "memory-cap",
                "little address space, limits of 8 MiB, and attacks that fill them",
                &[
                    "served",
                    "close",
                    "close 1009",
                    "close 1013",
                    "reset",
                    "closed",
                ],
                memory_cap,
                full_memory,
            )
        },
        Attack {
            quick: &["ping_interval=500", "ping_timeout=10000"],
            full: &["ping_interval=2000"],
            ..host(
                "clock-set-back",
                "the wall clock goes back an hour, then on by a day, then back again",
                &["newcomer served"],
                fake_clock,
                clock_set_back,
            )
        },
        Attack {
            quick: &["grace=1000"],
            full: &["grace=5000"],
            ..host(
                "sigterm-under-load",
                "SIGTERM with a flood of events: everybody is told, and the exit is in order",
                &["exit 0", "everybody told"],
                no_setting,
                sigterm,
            )
        },
        Attack {
            quick: &["ping_interval=1000", "ping_timeout=2500"],
            ..host(
                "stopped-a-while",
                "SIGSTOP for longer than any ping is waited for, then SIGCONT",
                &["nobody timed out"],
                no_setting,
                stopped,
            )
        },
        host(
            "lossy-network",
            "2 % of all segments lost between honest clients and server, each way",
            &["served in a namespace", "served through a proxy"],
            poor_network,
            endure,
        ),
        host(
            "slow-network",
            "25 ms each way, pieces of 100 bytes, one of 50 held up for 200 ms",
            &["served through a proxy"],
            proxied,
            endure,
        ),
    ]
}

fn host(
    name: &'static str,
    what: &'static str,
    answers: &'static [&'static str],
    prepare: fn(&Options) -> io::Result<Setting>,
    act: fn(&mut Stage<'_>) -> io::Result<Tally>,
) -> Attack {
    Attack {
        name,
        what,
        quick: &[],
        full: &[],
        answers,
        holds: Holds::Little,
        run: Run::Host { prepare, act },
    }
}

fn no_setting(_: &Options) -> io::Result<Setting> {
    Ok(Setting::default())
}

fn skip<T>(why: &'static str) -> io::Result<T> {
    Err(io::Error::other(Skipped(why)))
}

/// Waits until a program's time is over.
fn sleep_until(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// A handshake on a connection of its own.
fn newcomer(field: &Field) -> io::Result<Peer> {
    let mut peer = Peer::connect(field.address)?;
    peer.send(HANDSHAKE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    Ok(peer)
}

fn is_served(tally: &mut Tally, field: &Field, peer: &mut Peer) -> io::Result<()> {
    match peer.unit(PATIENCE) {
        Unit::Response {
            status: 200, body, ..
        } => {
            tally.note("newcomer served");
            let sid = crate::wire::session_id(&body).unwrap_or_default();
            super::http::leave(field, sid)
        }
        unit => {
            tally.note(unit.name());
            Ok(())
        }
    }
}

// Descriptors.

fn descriptors(stage: &mut Stage<'_>) -> io::Result<Tally> {
    let pid = stage.server.pid().to_string();
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let limit = |count: usize| {
        // The hard limit stays, so that it can be raised again.
        let limit = format!("--nofile={count}:");
        Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status()
    };
    if !limit(open + 20)?.success() {
        return skip("prlimit is not allowed");
    }
    let field = stage.field;
    let mut tally = Tally::default();
    // Fewer than the kernel keeps for a program that does not accept.
    let crowd: Vec<Peer> = (0..100)
        .map(|_| Peer::connect(field.address))
        .collect::<io::Result<_>>()?;
    let mut waiting = newcomer(field)?;
    sleep_until(field.until);
    match waiting.unit(Duration::ZERO) {
        Unit::Silence => tally.note("newcomer waits"),
        unit => tally.note(unit.name()),
    }
    // Each that goes makes room for another.
    drop(crowd);
    is_served(&mut tally, field, &mut waiting)?;
    is_served(&mut tally, field, &mut newcomer(field)?)?;
    Ok(tally)
}

// Memory.

/// The limits of a program that must live in little memory.
const CAPPED: &[&str] = &[
    "incoming_bytes_max=8388608",
    "handshake_bytes_max=2097152",
    "backlog_bytes_max=1048576",
    "backlog_bytes_process_max=8388608",
    "loud_bytes=65536",
];

/// The cap is on address space, of which a good part is reserved and never touched: the program, its
/// threads' stacks, and what the allocator asks for at a time.
fn memory_cap(options: &Options) -> io::Result<Setting> {
    if !options.wrapper.is_empty() {
        return skip("the program that runs the server needs more memory than it");
    }
    Ok(Setting {
        wrapper: vec!["prlimit".into(), format!("--as={}", options.cap_bytes)],
        ..Setting::default()
    })
}

fn full_memory(stage: &mut Stage<'_>) -> io::Result<Tally> {
    let field = stage.field;
    let mut tally = Tally::default();
    let attacks = [
        websocket::endless_fragments,
        socketio::attachment_bombs,
        websocket::never_reads,
        engine::hoard_a_little,
    ];
    // Their counts are other attacks' matter; that they end, and that the server does not, is ours.
    for attack in attacks {
        tally.add(&attack(field)?);
    }
    Ok(tally)
}

// The clock.

/// Where each server's false time is written.
static CLOCKS: AtomicU32 = AtomicU32::new(0);

fn clock_file(number: u32) -> PathBuf {
    std::env::temp_dir().join(format!("hostile-clock-{}-{number}", process::id()))
}

fn fake_clock(_: &Options) -> io::Result<Setting> {
    let folders = ["/usr/lib", "/usr/local/lib"].map(Path::new);
    let mut libraries = folders.iter().flat_map(|folder| {
        let inner = fs::read_dir(folder).into_iter().flatten().flatten();
        let inner = inner.map(|entry| entry.path());
        inner.chain([folder.to_path_buf()]).collect::<Vec<_>>()
    });
    let library = libraries.find_map(|folder| {
        let library = folder.join("faketime/libfaketime.so.1");
        library.exists().then_some(library)
    });
    let Some(library) = library else {
        return skip("faketime is not installed");
    };
    let file = clock_file(CLOCKS.fetch_add(1, Ordering::Relaxed));
    fs::write(&file, "+0")?;
    let variable = |name: &str, value: &Path| format!("{name}={}", value.display());
    Ok(Setting {
        wrapper: vec![
            "env".into(),
            variable("LD_PRELOAD", &library),
            variable("FAKETIME_TIMESTAMP_FILE", &file),
            "FAKETIME_NO_CACHE=1".into(),
            // It is the wall clock that is set; no administrator can set the other one back.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
        ],
        undo: Undo::by(move || drop(fs::remove_file(file))),
        ..Setting::default()
    })
}

fn clock_set_back(stage: &mut Stage<'_>) -> io::Result<Tally> {
    let environment = fs::read(format!("/proc/{}/environ", stage.server.pid()))?;
    let file = environment
        .split(|byte| *byte == 0)
        .find_map(|line| line.strip_prefix(b"FAKETIME_TIMESTAMP_FILE="))
        .ok_or_else(|| io::Error::other("the server has no false clock"))?;
    let file = PathBuf::from(String::from_utf8_lossy(file).into_owned());
    let field = stage.field;
    let mut tally = Tally::default();
    let part = field.until.saturating_duration_since(Instant::now()) / 3;
    for (offset, seconds) in [
        ("-3600", -3600.0),
        ("+86400", 86400.0),
        ("-86400", -86400.0),
    ] {
        fs::write(&file, offset)?;
        thread::sleep(part.max(Duration::from_millis(700)));
        let now = stage.server.counters()?;
        let own = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let ahead = now.unix_ms as f64 / 1e3 - own.as_secs_f64();
        if (ahead - seconds).abs() > 600.0 {
            tally.note(format!("the clock is {ahead:.0} s ahead, not {seconds}"));
        }
        is_served(&mut tally, field, &mut newcomer(field)?)?;
    }
    Ok(tally)
}

// Signals.

fn sigterm(stage: &mut Stage<'_>) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let figures = stage.under(socketio::read_events, |stage| {
        thread::sleep(Duration::from_millis(300));
        stage.fleet.expect_farewell()?;
        stage.server.signal("TERM")?;
        let status = stage.server.wait()?;
        tally.note(match status.code() {
            Some(code) => format!("exit {code}"),
            None => status.to_string(),
        });
        let end = Instant::now() + PATIENCE;
        loop {
            let figures = stage.fleet.peek()?;
            if figures.joined == 0 || Instant::now() > end {
                return Ok(figures);
            }
            thread::sleep(Duration::from_millis(20));
        }
    })?;
    let told = figures.farewells == stage.fleet.count;
    tally.note(if told {
        "everybody told".into()
    } else {
        format!("{} of {} told", figures.farewells, stage.fleet.count)
    });
    stage.has_ended = true;
    Ok(tally)
}

fn stopped(stage: &mut Stage<'_>) -> io::Result<Tally> {
    let pause = match stage.field.pace {
        Pace::Quick => Duration::from_secs(5),
        Pace::Full => Duration::from_secs(60),
    };
    stage.server.signal("STOP")?;
    thread::sleep(pause);
    stage.server.signal("CONT")?;
    // The server answers when it has caught up; then nobody is missing, or will be.
    stage.server.counters()?;
    thread::sleep(
        stage
            .field
            .pick(Duration::from_secs(1), Duration::from_secs(5)),
    );
    let joined = stage.fleet.peek()?.joined;
    let missing = stage.fleet.count - joined;
    let mut tally = Tally::default();
    tally.note(match missing {
        0 => "nobody timed out".into(),
        missing => format!("{missing} gone"),
    });
    Ok(tally)
}

// The network.

/// A network namespace where that can be had, else a proxy.
fn poor_network(_: &Options) -> io::Result<Setting> {
    let Some(netns) = Netns::make() else {
        return Ok(Setting {
            is_proxied: true,
            ..Setting::default()
        });
    };
    Ok(Setting {
        wrapper: netns.wrapper(),
        words: vec![format!("host={}", netns.host)],
        undo: Undo::by(move || drop(netns)),
        ..Setting::default()
    })
}

fn proxied(_: &Options) -> io::Result<Setting> {
    Ok(Setting {
        is_proxied: true,
        ..Setting::default()
    })
}

fn endure(stage: &mut Stage<'_>) -> io::Result<Tally> {
    sleep_until(stage.field.until);
    let mut tally = Tally::default();
    let is_elsewhere = !stage.field.address.ip().is_loopback();
    tally.note(if is_elsewhere {
        "served in a namespace"
    } else {
        "served through a proxy"
    });
    Ok(tally)
}
