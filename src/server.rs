//! The server as most programs use it: a crank and the loop that turns it.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    ops::{Deref, DerefMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

use crate::{
    app::App,
    config::Config,
    crank::Crank,
    dispatch::Dispatch,
    net::{Net, Urandom, unix_ms},
};

#[cfg(feature = "systemd")]
use crate::systemd::{self, Inherited};

/// A Socket.IO server. Inside handlers it is spoken to through `socket.io()`, in timers through
/// their `Io`, and from everywhere else through [`handle()`](Crank::handle).
///
/// Handlers are registered by the methods of [`Crank`], which it derefs to;
/// `run` then serves on the calling thread.
///
/// ```no_run
/// use emio::Server;
///
/// fn main() -> std::io::Result<()> {
///     let mut io = Server::bind("127.0.0.1:3000", ())?;
///     io.on("chat message", |_, socket, (text,): (String,)| {
///         socket.io().emit("chat message", text);
///     });
///     io.run()
/// }
/// ```
pub struct Server<A: App> {
    crank: Crank<A>,
    net: Net,
}

// Setting up.
impl<A: App> Server<A> {
    /// A server that listens at `address`, with the default [`Config`]. Of several addresses the
    /// first that can be bound is taken, as std does; see [`listen`](Server::listen) for more than
    /// one. At `[::]` Linux serves IPv4 as well.
    pub fn bind(address: impl ToSocketAddrs, app: A) -> io::Result<Server<A>> {
        Server::with_config(TcpListener::bind(address)?, app, Config::default())
    }

    /// A server that listens at `address`, configured.
    pub fn bind_with(address: impl ToSocketAddrs, app: A, config: Config) -> io::Result<Server<A>> {
        Server::with_config(TcpListener::bind(address)?, app, config)
    }

    /// A server on a listener that exists, with the default [`Config`].
    pub fn from_listener(listener: TcpListener, app: A) -> io::Result<Server<A>> {
        Server::with_config(listener, app, Config::default())
    }

    /// A server on a listener that exists.
    pub fn with_config(listener: TcpListener, app: A, config: Config) -> io::Result<Server<A>> {
        let mut server = Server::without_listener(app, config)?;
        server.listen(listener)?;
        Ok(server)
    }

    /// A server that listens nowhere yet: its connections are adopted
    /// ([`Handle::adopt`](crate::Handle::adopt)), or its listeners follow.
    pub fn without_listener(app: A, config: Config) -> io::Result<Server<A>> {
        let net = Net::new(&config)?;
        let entropy = Box::new(Urandom::open()?);
        let crank = Crank::new(app, config, entropy, Instant::now(), unix_ms());
        crank.mailbox().wake_by(net.wake());
        Ok(Server { crank, net })
    }

    /// A server on the sockets that systemd listens on for this program (`LISTEN_FDS`; see
    /// systemd.socket(5)): TCP and Unix stream sockets, up to 15. It is an error if there are none,
    /// or if one is of another kind. To be called before there are other threads, since it takes
    /// the variables out of the environment.
    #[cfg(feature = "systemd")]
    pub fn from_systemd(app: A, config: Config) -> io::Result<Server<A>> {
        let mut server = Server::without_listener(app, config)?;
        for listener in systemd::listeners()? {
            match listener {
                Inherited::Tcp(listener) => server.listen(listener)?,
                Inherited::Unix(listener) => server.listen_unix(listener)?,
            }
        }
        Ok(server)
    }

    /// Listens on one more TCP listener; a server has at most 15.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        self.net.listen(listener)
    }

    /// Listens on a Unix domain socket as well; its clients have the address 127.0.0.1. The file is
    /// the caller's: one that a program left behind is to be removed before binding, and this one
    /// at the end.
    pub fn listen_unix(&mut self, listener: UnixListener) -> io::Result<()> {
        self.net.listen_unix(listener)
    }

    /// Where the first TCP listener listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.local_addr()
    }
}

// The loop.
impl<A: App> Server<A> {
    /// Serves until [`Handle::close`](crate::Handle::close) or
    /// [`Handle::shutdown`](crate::Handle::shutdown), or until polling fails. A panic of a handler
    /// unwinds out of here.
    pub fn run(mut self) -> io::Result<()> {
        let result = self.net.run(&mut self.crank);
        self.crank.mailbox().close();
        result
    }

    /// One turn of the loop, for programs with a loop of their own: sleeps for at most `sleep_max`.
    /// `false` once the server has ended.
    ///
    /// A program that sleeps elsewhere turns with `Some(Duration::ZERO)`: whenever the server's
    /// descriptor ([`AsFd`]) is readable, whenever [`next_timeout`](Server::next_timeout) has
    /// passed, and after each command that it gave the server itself.
    pub fn turn(&mut self, sleep_max: Option<Duration>) -> io::Result<bool> {
        self.net.turn(&mut self.crank, sleep_max)
    }

    /// For how long the caller may sleep before the next turn unless the descriptor becomes
    /// readable; `None` is for ever. To be asked after each turn.
    pub fn next_timeout(&mut self) -> Option<Duration> {
        self.net.next_timeout(&self.crank)
    }
}

/// The descriptor that is readable when a turn has something to do; not to be read from.
impl<A: App> AsFd for Server<A> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }
}

/// The same without its lifetime, for loops that take numbers.
impl<A: App> AsRawFd for Server<A> {
    fn as_raw_fd(&self) -> RawFd {
        self.net.as_raw_fd()
    }
}

impl<A: App> Deref for Server<A> {
    type Target = Crank<A>;

    fn deref(&self) -> &Crank<A> {
        &self.crank
    }
}

impl<A: App> DerefMut for Server<A> {
    fn deref_mut(&mut self) -> &mut Crank<A> {
        // A loop of one's own may have slept for long: what is asked for now counts from now.
        Dispatch::engine(&mut self.crank).tick(Instant::now());
        &mut self.crank
    }
}
