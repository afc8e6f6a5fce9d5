//! The server that is attacked: an application such as a user would write, with emio's own limits
//! unless a word on its command line says otherwise.
//!
//! Not here: anything that helps it. It only tells its counters, at `/stats`.

use std::{
    io,
    net::TcpListener,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use emio::{App, Bytes, Config, Handle, Io, Recovery, Request, Response, Server};
use serde_json::json;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// Where honest clients are; they hear every tick.
pub const HONEST: &str = "honest";

/// Bytes of padding in a tick.
const TICK_BYTES: usize = 64;

/// How often the room of those who want it loud hears something.
const LOUD_EVERY: Duration = Duration::from_millis(10);

/// How long `/slow` makes a client wait for its namespace.
const SLOW: Duration = Duration::from_secs(5);

/// How long an acknowledgement is waited for: longer than any attack.
const ASK_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Target {
    ticks: u64,
}

impl App for Target {
    type Data = ();
}

/// What the command line says.
struct Options {
    config: Config,
    host: String,
    tick: Duration,
    loud_bytes: usize,
    grace: Duration,
}

/// Serves until SIGTERM or the end of its standard input, with words like `head_timeout=500`.
/// Times are in milliseconds.
pub fn serve(words: &[&str]) -> io::Result<()> {
    let mut options = Options {
        config: Config::default(),
        host: "127.0.0.1".into(),
        tick: Duration::from_millis(100),
        loud_bytes: 0,
        grace: Duration::ZERO,
    };
    for word in words {
        set(&mut options, word).ok_or_else(|| io::Error::other(format!("unknown: {word}")))?;
    }
    let Options {
        config,
        host,
        tick,
        loud_bytes,
        grace,
    } = options;
    let listener = TcpListener::bind((&*host, 0))?;
    let mut io = Server::with_config(listener, Target::default(), config)?;
    events(&mut io);
    beats(&mut io, tick, loud_bytes);
    io.on_request(|target, io, request| answer(target, io, &request));
    attend(io.handle());
    let handle = io.handle();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            // A server that has ended already is what was asked for.
            let _ = match grace {
                Duration::ZERO => handle.close(),
                grace => handle.shutdown(grace),
            };
        }
    });
    println!("listening on {}", io.local_addr()?);
    io.run()
}

/// Ends the server with its standard input: whoever started it is gone then.
fn attend(handle: Handle<Target>) {
    thread::spawn(move || {
        // What is written to it, or why it cannot be read, is all the same.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = handle.close();
    });
}

fn set(options: &mut Options, word: &str) -> Option<()> {
    let (name, value) = word.split_once('=')?;
    if name == "host" {
        options.host = value.to_owned();
        return Some(());
    }
    let number: u32 = value.parse().ok()?;
    let time = Duration::from_millis(number.into());
    let config = &mut options.config;
    match name {
        "tick" => options.tick = time,
        "loud_bytes" => options.loud_bytes = number as usize,
        "grace" => options.grace = time,
        "recovery" => {
            config.recovery = Some(Recovery {
                duration: time,
                ..Recovery::default()
            });
        }
        "head_timeout" => config.head_timeout = time,
        "body_timeout" => config.body_timeout = time,
        "keep_alive_timeout" => config.keep_alive_timeout = time,
        "connect_timeout" => config.connect_timeout = time,
        "upgrade_timeout" => config.upgrade_timeout = time,
        "close_timeout" => config.close_timeout = time,
        "ping_interval" => config.ping_interval = time,
        "ping_timeout" => config.ping_timeout = time,
        "connections_max" => config.connections_max = Some(number),
        "sessions_max" => config.sessions_max = number,
        "incoming_bytes_max" => config.incoming_bytes_max = number.into(),
        "handshake_bytes_max" => config.handshake_bytes_max = number.into(),
        "backlog_bytes_max" => config.backlog_bytes_max = number,
        "backlog_bytes_process_max" => config.backlog_bytes_process_max = number.into(),
        _ => return None,
    }
    Some(())
}

fn events(io: &mut Server<Target>) {
    io.on_raw("echo", |_, socket, args| socket.reply(args));
    io.on("join", |_, socket, (room,): (String,)| {
        socket.join(room);
        socket.reply(());
    });
    io.on("typed", |_, socket, parts: Vec<Bytes>| {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        socket.reply((parts.len(), bytes));
    });
    io.on("ask", |_, socket, (questions,): (u32,)| {
        for _ in 0..questions {
            socket.emit_with_ack("question", (), ASK_TIMEOUT, |_, _, answer| {
                // Whether it was answered is all the same to this program.
                let _: Result<(), _> = answer;
            });
        }
        socket.reply(());
    });
    // What is malformed is the client's; it is counted by emio and nobody's news here.
    io.on_error(|_, _| {});
    io.of_pattern("/dyn-#")
        .on_raw("echo", |_, socket, args| socket.reply(args));
    io.of("/slow")
        .middleware_deferred(|_, socket, _, decision| {
            socket.io().set_timeout(SLOW, move |_, _| {
                // One whose client has gone is decided already.
                let _ = decision.allow();
            });
        });
}

fn beats(io: &mut Server<Target>, tick: Duration, loud_bytes: usize) {
    let padding = "t".repeat(TICK_BYTES);
    io.set_interval(tick, move |target, io| {
        target.ticks += 1;
        io.to(HONEST).emit("tick", (target.ticks, &padding));
    });
    if loud_bytes > 0 {
        let text = "l".repeat(loud_bytes);
        io.set_interval(LOUD_EVERY, move |_, io| {
            io.to("loud").emit("loud", (&text,));
        });
    }
}

fn answer(target: &mut Target, io: Io<'_, Target>, request: &Request<'_>) -> Response {
    if request.path != "/stats" {
        return Response::not_found();
    }
    let stats = io.stats();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since.map_or(0, |since| since.as_millis() as u64);
    let namespaces = io.namespaces().count();
    Response::json_text(
        json!({
            "ticks": target.ticks,
            "connections": stats.connections,
            "sessions": stats.sessions,
            "sockets": stats.sockets,
            "rooms": stats.rooms,
            "namespaces": namespaces,
            "incoming_bytes": stats.incoming_bytes,
            "backlog_bytes": stats.backlog_bytes,
            "refused_by_limit": stats.refused_by_limit,
            "turn_us_max": stats.turn_us_max,
            "unix_ms": unix_ms,
        })
        .to_string(),
    )
}
