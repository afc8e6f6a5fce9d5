//! The server as most programs use it: a crank and the loop that turns it.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use crate::{
    app::App,
    config::Config,
    crank::Crank,
    net::{Net, Urandom, unix_ms},
};

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

impl<A: App> Server<A> {
    /// A server that listens at `address`, with the default [`Config`].
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
        let mut net = Net::new(&config)?;
        net.listen(listener)?;
        let entropy = Box::new(Urandom::open()?);
        let crank = Crank::new(app, config, entropy, Instant::now(), unix_ms());
        crank.mailbox().wake_by(net.wake());
        Ok(Server { crank, net })
    }

    /// Listens on one more TCP listener.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        self.net.listen(listener)
    }

    /// Listens on a Unix domain socket as well; its clients have the address 127.0.0.1.
    pub fn listen_unix(&mut self, listener: std::os::unix::net::UnixListener) -> io::Result<()> {
        self.net.listen_unix(listener)
    }

    /// Where the first TCP listener listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.local_addr()
    }

    /// Serves until [`Handle::close`](crate::Handle::close), or until polling fails. A panic of a
    /// handler unwinds out of here.
    pub fn run(mut self) -> io::Result<()> {
        let result = self.net.run(&mut self.crank);
        self.crank.mailbox().close();
        result
    }

    /// One turn of the loop, for programs with a loop of their own: sleeps for at most `sleep_max`.
    /// `false` once the server has ended.
    pub fn turn(&mut self, sleep_max: Option<Duration>) -> io::Result<bool> {
        self.net.turn(&mut self.crank, sleep_max)
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
        &mut self.crank
    }
}
