//! The demo site: one process that serves the pages, the client and the chat.
//!
//! `demo [--host ADDRESS] [--port NUMBER]`, or the environment's `HOST` and `PORT`.

mod chat;
mod options;

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::ExitCode,
    thread,
    time::Duration,
};

use emio::{Config, Files, Handle, Server};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    chat::Chat,
    options::{Ended, Options, USAGE},
};

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(Ended::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(Ended::Wrong(message)) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Options { host, port } = options;
    let listener = match TcpListener::bind((&*host, port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen at {host}:{port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(listener) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the server failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listener: TcpListener) -> std::io::Result<()> {
    let mut io = Server::with_config(listener, Chat::default(), Config::default())?;
    io.serve_files("/", site());
    chat::register(&mut io);
    end_on_signals(io.handle())?;
    let address = io.local_addr()?;
    // A browser on this machine finds it by its name, unless it listens elsewhere only.
    let is_local = match address.ip() {
        IpAddr::V4(ip) => ip == Ipv4Addr::LOCALHOST || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified(),
    };
    match is_local {
        true => println!(
            "Socket.IO server running at http://localhost:{}/",
            address.port()
        ),
        false => println!("Socket.IO server running at http://{address}/"),
    }
    io.run()
}

/// The pages, which are part of the binary.
fn site() -> Files {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    let mut files = Files::new();
    files.insert("/index.html", HTML, include_str!("../site/index.html"));
    files.insert("/style.css", CSS, include_str!("../site/style.css"));
    files.insert("/chat.js", JS, include_str!("../site/chat.js"));
    files
}

/// Lets Ctrl-C and SIGTERM end the server, its clients one after the other; a second one ends it at
/// once.
fn end_on_signals(handle: Handle<Chat>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count > 0 || handle.shutdown(GRACE).is_err() {
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

/// Within which time all clients are told that the server ends.
const GRACE: Duration = Duration::from_secs(1);
