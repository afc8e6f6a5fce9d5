//! The demo site: one process that serves the pages, the client and what stands
//! behind each demo.
//!
//! `demo [--host ADDRESS] [--port NUMBER] [--data FILE]`, or the environment's `HOST`, `PORT` and
//! `DATA`.

mod chat;
mod dashboard;
mod hugs;
mod options;
mod simple;
mod site;
mod tweets;

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use emio::{Config, Handle, Server};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    options::{Ended, Options, USAGE},
    site::Site,
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
    let Options { host, port, data } = options;
    let listener = match TcpListener::bind((&*host, port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen at {host}:{port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(listener, data.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the server failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listener: TcpListener, data: Option<&Path>) -> std::io::Result<()> {
    let mut io = Server::with_config(listener, Site::default(), Config::default())?;
    site::register(&mut io, data);
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

/// Lets Ctrl-C and SIGTERM end the server, its clients one after the other; a second one ends it at
/// once.
fn end_on_signals(handle: Handle<Site>) -> std::io::Result<()> {
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
