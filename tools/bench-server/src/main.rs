//! What load generators talk to: `bench-server PORT`. A small application such as a user would
//! write, with nothing in it that is there for the measurement.

use std::{env, io};

use emio::{App, Server};

/// How many events were handled.
#[derive(Default)]
struct Counter(u64);

impl App for Counter {
    type Data = ();
}

fn main() -> io::Result<()> {
    let port = env::args().nth(1).and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        return Err(io::Error::other("usage: bench-server PORT"));
    };
    let mut io = Server::bind(("127.0.0.1", port), Counter::default())?;
    io.on_raw("echo", |counter, socket, args| {
        counter.0 += 1;
        socket.emit("echo", args);
    });
    io.on_raw("ack", |counter, socket, args| {
        counter.0 += 1;
        socket.reply(args);
    });
    io.on_raw("broadcast", |counter, socket, args| {
        counter.0 += 1;
        socket.io().emit("broadcast", args);
    });
    io.on("count", |counter, socket, ()| {
        counter.0 += 1;
        socket.reply(counter.0);
    });
    println!("listening on {}", io.local_addr()?);
    io.run()
}
