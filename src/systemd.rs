//! The sockets that systemd listens on for this program: socket activation, sd_listen_fds(3).
//!
//! Not here: how they are served. What always holds: nothing here is unsafe, since taking a
//! descriptor by its number is done by the package `listenfd`, which checks what kind it is; each
//! socket is taken once.

use std::{io, net::TcpListener, os::unix::net::UnixListener};

use listenfd::ListenFd;

/// A socket that is listened on already.
pub(crate) enum Inherited {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All of them in their order; at least one, and none of another kind.
pub(crate) fn listeners() -> io::Result<Vec<Inherited>> {
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        let message = "no socket was passed by LISTEN_FDS";
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let mut listeners = Vec::with_capacity(passed.len());
    for index in 0..passed.len() {
        // One of another kind stays where it is.
        let listener = match passed.take_tcp_listener(index) {
            Ok(listener) => listener.map(Inherited::Tcp),
            Err(_) => passed.take_unix_listener(index)?.map(Inherited::Unix),
        };
        listeners.extend(listener);
    }
    Ok(listeners)
}
