//! emio inside an event loop of the program's own: here mio, which also waits for datagrams. What
//! they say, all clients hear: echo -n hello >/dev/udp/127.0.0.1/3001

use std::{io, net::TcpListener, os::fd::AsRawFd, time::Duration};

use emio::Server;
use mio::{Events, Interest, Poll, Token, net::UdpSocket, unix::SourceFd};

const CLIENTS: Token = Token(0);
const DATAGRAMS: Token = Token(1);

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:3000")?;
    let datagrams = UdpSocket::bind(([127, 0, 0, 1], 3001).into())?;
    println!("clients at http://127.0.0.1:3000, datagrams at 127.0.0.1:3001");
    serve(listener, datagrams)
}

/// Serves clients and listens for datagrams, in one thread.
pub fn serve(listener: TcpListener, mut datagrams: UdpSocket) -> io::Result<()> {
    let mut io = Server::from_listener(listener, ())?;
    let handle = io.handle();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    let registry = poll.registry();
    registry.register(&mut SourceFd(&io.as_raw_fd()), CLIENTS, Interest::READABLE)?;
    registry.register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
    // emio does what there is to do, and says for how long there will be nothing.
    while io.turn(Some(Duration::ZERO))? {
        match poll.poll(&mut events, io.next_timeout()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        if events.iter().any(|event| event.token() == DATAGRAMS) {
            let mut bytes = [0; 1500];
            while let Ok(n) = datagrams.recv(&mut bytes) {
                // A full mailbox has taken thousands already; the next turn empties it.
                let _ = handle.emit("datagram", String::from_utf8_lossy(&bytes[..n]));
            }
        }
    }
    Ok(())
}
