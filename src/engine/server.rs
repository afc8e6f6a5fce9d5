//! Engine.IO alone: the same crank as Socket.IO's, for programs with a protocol of their own over
//! polling and WebSocket.
//!
//! What always holds: sessions are told of in order, opened, messages, closed; what a handler sends
//! leaves when it has returned.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

use super::{Engine, Event, Transport};
use crate::{
    adopt::{AdoptError, Adopted, AdoptedStream},
    config::Config,
    dispatch::Dispatch,
    handshake::Handshake,
    id::{ConnKey, SessionKey, Sid},
    net::{Net, Urandom, unix_ms},
    reason::Reason,
    request::Request,
    response::Response,
};

/// An Engine.IO server at `/engine.io/`, or where its configuration says. Handlers get the
/// application's state, the session, and what happened.
pub struct Server<A: Send> {
    core: Core<A>,
    net: Net,
}

/// The server without I/O.
pub struct Core<A: Send> {
    engine: Engine,
    app: A,
    open: Option<OnOpen<A>>,
    message: Option<OnMessage<A>>,
    close: Option<OnClose<A>>,
    allow: Option<Allow<A>>,
    /// Connections that were accepted elsewhere and are not with the loop yet.
    adopted: VecDeque<Adopted>,
}

type OnOpen<A> = Box<dyn for<'a> FnMut(&mut A, &mut Socket<'a>) + Send>;
type OnMessage<A> = Box<dyn for<'a> FnMut(&mut A, &mut Socket<'a>, Message) + Send>;
type OnClose<A> = Box<dyn FnMut(&mut A, Sid, Reason) + Send>;
type Allow<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), String> + Send>;

/// One session, while one of its handlers runs.
pub struct Socket<'a> {
    engine: &'a mut Engine,
    key: SessionKey,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Socket<'_> {
    /// The session's id, a secret between the client and the server.
    pub fn id(&self) -> Sid {
        self.engine.sid(self.key)
    }

    /// Sends a message. To a session that is closing it is dropped.
    pub fn send(&mut self, message: &Message) {
        match message {
            Message::Text(text) => self.send_text(text),
            Message::Binary(data) => self.send_binary(data),
        }
    }

    /// Sends a text message. `Config::overflow` says what happens if too much waits for the client.
    pub fn send_text(&mut self, text: &str) {
        if self.engine.admit(self.key) {
            self.engine.send_text(self.key, &[text.as_bytes()]);
            self.engine.conclude();
        }
    }

    /// Sends a binary message; the same holds.
    pub fn send_binary(&mut self, data: &[u8]) {
        if self.engine.admit(self.key) {
            self.engine.send_binary(self.key, data);
            self.engine.conclude();
        }
    }

    /// Closes the session once what was sent is on its way.
    pub fn close(&mut self) {
        self.engine.close(self.key);
    }

    /// The transport that carries it now.
    pub fn transport(&self) -> Transport {
        self.engine.transport(self.key)
    }

    /// The request that opened it, as far as `Config::keep_headers` keeps it after `on_open`.
    pub fn handshake(&self) -> Option<Handshake<'_>> {
        self.engine.handshake(self.key)
    }

    /// The POST that carried the message being handled; `None` if it came over a WebSocket.
    pub fn request(&self) -> Option<Request<'_>> {
        let (head, address) = self.engine.posted_head()?;
        Some(Request::new(head, &[], address))
    }

    /// Bytes that wait for the client.
    pub fn backlog_bytes(&self) -> usize {
        self.engine.backlog_bytes(self.key)
    }
}

impl<A: Send> Server<A> {
    /// A server that listens at `address` and serves `/engine.io/`.
    pub fn bind(address: impl ToSocketAddrs, app: A) -> io::Result<Server<A>> {
        let config = Config::default().at("/engine.io/");
        Server::with_config(TcpListener::bind(address)?, app, config)
    }

    /// A server on a listener that exists.
    pub fn with_config(listener: TcpListener, app: A, config: Config) -> io::Result<Server<A>> {
        let mut server = Server::without_listener(app, config)?;
        server.listen(listener)?;
        Ok(server)
    }

    /// A server that listens nowhere yet.
    pub fn without_listener(app: A, config: Config) -> io::Result<Server<A>> {
        let net = Net::new(&config)?;
        let entropy = Box::new(Urandom::open()?);
        let config = Config {
            serve_client: false,
            ..config
        };
        let engine = Engine::new(config, entropy, Instant::now(), unix_ms());
        Ok(Server {
            core: Core::new(engine, app),
            net,
        })
    }

    /// Calls `handler` when a session is open.
    pub fn on_open<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &mut Socket<'a>) + Send + 'static,
    {
        self.core.open = Some(Box::new(handler));
        self
    }

    /// Calls `handler` for every message.
    pub fn on_message<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &mut Socket<'a>, Message) + Send + 'static,
    {
        self.core.message = Some(Box::new(handler));
        self
    }

    /// Calls `handler` when a session is over.
    pub fn on_close<F>(&mut self, handler: F) -> &mut Self
    where
        F: FnMut(&mut A, Sid, Reason) + Send + 'static,
    {
        self.core.close = Some(Box::new(handler));
        self
    }

    /// Asks `judge` about every handshake; a refusal is answered with 403 and its message.
    pub fn allow_request<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), String> + Send + 'static,
    {
        self.core.engine.judge_handshakes();
        self.core.allow = Some(Box::new(judge));
        self
    }

    /// Listens on one more TCP listener; a server has at most 15.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        self.net.listen(listener)
    }

    /// Listens on a Unix domain socket as well; its clients have the address 127.0.0.1. The file is
    /// the caller's.
    pub fn listen_unix(&mut self, listener: UnixListener) -> io::Result<()> {
        self.net.listen_unix(listener)
    }

    /// Serves a connection that was accepted elsewhere, from the next turn on; see
    /// [`Handle::adopt`](crate::Handle::adopt).
    pub fn adopt(
        &mut self,
        stream: impl Into<AdoptedStream>,
        bytes_read: Vec<u8>,
    ) -> Result<(), AdoptError> {
        self.core
            .adopted
            .push_back(Adopted::new(stream, bytes_read)?);
        Ok(())
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.local_addr()
    }

    /// Serves until it has ended, or until polling fails. A panic of a handler unwinds out of here.
    pub fn run(mut self) -> io::Result<()> {
        self.net.run(&mut self.core)
    }

    /// One turn of the loop, which sleeps for at most `sleep_max`; see
    /// [`Server::turn`](crate::Server::turn). `false` once the server has ended.
    pub fn turn(&mut self, sleep_max: Option<Duration>) -> io::Result<bool> {
        self.net.turn(&mut self.core, sleep_max)
    }

    /// For how long the caller may sleep before the next turn unless the descriptor becomes
    /// readable; `None` is for ever. To be asked after each turn.
    pub fn next_timeout(&mut self) -> Option<Duration> {
        self.net.next_timeout(&self.core)
    }

    /// Ends the server between two turns: nobody is let in any more, every session is told now.
    pub fn close(&mut self) {
        self.core.engine.shut_down();
    }

    /// The same within `grace`; see [`Handle::shutdown`](crate::Handle::shutdown).
    pub fn shutdown(&mut self, grace: Duration) {
        self.core.engine.wind_down(grace);
    }
}

/// The descriptor that is readable when a turn has something to do; not to be read from.
impl<A: Send> AsFd for Server<A> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }
}

/// The same without its lifetime, for loops that take numbers.
impl<A: Send> AsRawFd for Server<A> {
    fn as_raw_fd(&self) -> RawFd {
        self.net.as_raw_fd()
    }
}

impl<A: Send> Core<A> {
    fn new(engine: Engine, app: A) -> Core<A> {
        Core {
            engine,
            app,
            open: None,
            message: None,
            close: None,
            allow: None,
            adopted: VecDeque::new(),
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Opened { session } => {
                if let Some(handler) = &mut self.open {
                    handler(
                        &mut self.app,
                        &mut Socket {
                            engine: &mut self.engine,
                            key: session,
                        },
                    );
                }
                self.engine.release_handshake(session);
            }
            Event::Message {
                session,
                is_binary,
                payload,
            } => {
                let Some(handler) = &mut self.message else {
                    return;
                };
                let bytes = self.engine.bytes(&payload).to_vec();
                let message = if is_binary {
                    Message::Binary(bytes)
                } else {
                    Message::Text(String::from_utf8(bytes).expect("the engine checks text"))
                };
                let mut socket = Socket {
                    engine: &mut self.engine,
                    key: session,
                };
                handler(&mut self.app, &mut socket, message);
            }
            Event::Closed { session, reason } => {
                if let Some(handler) = &mut self.close {
                    handler(&mut self.app, self.engine.sid(session), reason);
                }
            }
            Event::Opening { conn, serial } => {
                let Some(hello) = self.engine.opening(conn, serial) else {
                    return;
                };
                let verdict = match &mut self.allow {
                    Some(judge) => judge(&mut self.app, &hello.request()),
                    None => Ok(()),
                };
                let verdict = verdict.as_ref().copied().map_err(|message| &**message);
                self.engine.decide(conn, serial, verdict);
            }
            Event::Request { conn, serial, .. } => {
                self.engine.respond(conn, serial, Response::new(404));
            }
            Event::Upgraded { .. }
            | Event::Drained { .. }
            | Event::RawOpened { .. }
            | Event::RawMessage { .. }
            | Event::RawClosed { .. } => {}
        }
    }
}

impl<A: Send> Dispatch for Core<A> {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn dispatch(&mut self, _: &mut dyn FnMut(&mut Engine)) {
        while let Some(event) = self.engine.poll_event() {
            self.handle_event(event);
        }
    }

    fn handle_timeout(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        self.engine.handle_timeout(now);
        self.dispatch(flush);
    }

    fn handle_mail(&mut self, _: Instant, _: &mut dyn FnMut(&mut Engine)) {}

    fn next_deadline(&self) -> Option<Instant> {
        // Adopted connections are served in the next turn.
        if self.adopted.is_empty() {
            self.engine.next_deadline()
        } else {
            Some(self.engine.epoch())
        }
    }

    fn poll_dead(&mut self) -> Option<ConnKey> {
        self.engine.poll_dead()
    }

    fn poll_adopted(&mut self) -> Option<Adopted> {
        self.adopted.pop_front()
    }

    fn is_accepting(&self) -> bool {
        !self.engine.is_ending()
    }

    fn is_closing(&self) -> bool {
        self.engine.is_shut()
    }
}
