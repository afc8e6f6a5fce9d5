//! Engine.IO alone: the same crank as Socket.IO's, for programs with a protocol of their own over
//! polling and WebSocket.
//!
//! What always holds: sessions are told of in order, opened, messages, closed; what a handler sends
//! leaves when it has returned.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    ops::{Deref, DerefMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::net::UnixListener,
    },
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ConnectionError, Denial, Engine, Event, SessionEvent, SessionInfo, Transport};
use crate::{
    adopt::{AdoptError, Adopted, AdoptedStream},
    config::Config,
    crank::EngineHooks,
    dispatch::Dispatch,
    handle::{Mail, Mailbox},
    handshake::Handshake,
    headers::Headers,
    id::{ConnKey, Entropy, SessionKey, Sid},
    net::{Net, Urandom, unix_ms},
    reason::Reason,
    request::Request,
    response::Response,
    stats::{Census, Stats},
    token::{About, Decision, Errand, HandleError, Post},
};

/// An Engine.IO server at `/engine.io/`, or where its configuration says. Handlers get the
/// application's state, the session, and what happened; they are registered by the methods of
/// [`Core`], which it derefs to.
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
    hooks: EngineHooks<A>,
    /// What other threads leave: decisions, connections, and the end. No application is needed.
    mailbox: Arc<Mailbox<()>>,
    /// Connections that were accepted elsewhere and are not with the loop yet.
    adopted: VecDeque<Adopted>,
}

/// A server as other threads see it. Clones are cheap and speak to the same server.
#[derive(Clone)]
pub struct Handle {
    mailbox: Arc<Mailbox<()>>,
}

impl Handle {
    /// Ends the server: each session's `on_close` gets `Reason::ServerShuttingDown`, clients see
    /// their transport close, `run` returns.
    pub fn close(&self) -> Result<(), HandleError> {
        self.mailbox.post(Errand::Close)
    }

    /// The same within `grace`; see [`Handle::shutdown`](crate::Handle::shutdown).
    pub fn shutdown(&self, grace: Duration) -> Result<(), HandleError> {
        self.mailbox.post(Errand::Shutdown(grace))
    }

    /// Serves a connection that was accepted elsewhere; see
    /// [`Handle::adopt`](crate::Handle::adopt).
    pub fn adopt(
        &self,
        stream: impl Into<AdoptedStream>,
        bytes_read: Vec<u8>,
    ) -> Result<(), AdoptError> {
        self.mailbox.adopt(Adopted::new(stream, bytes_read)?)
    }
}

type OnOpen<A> = Box<dyn for<'a> FnMut(&mut A, &mut Socket<'a>) + Send>;
type OnMessage<A> = Box<dyn for<'a> FnMut(&mut A, &mut Socket<'a>, Message) + Send>;
type OnClose<A> = Box<dyn FnMut(&mut A, Sid, Reason) + Send>;
type Permit<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), String> + Send>;
type PermitLater<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>, Decision) + Send>;

enum Allow<A> {
    Now(Permit<A>),
    Later(PermitLater<A>),
}

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
            self.engine.end_event();
        }
    }

    /// Sends a binary message; the same holds.
    pub fn send_binary(&mut self, data: &[u8]) {
        if self.engine.admit(self.key) {
            self.engine.send_binary(self.key, data);
            self.engine.end_event();
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
        let core = Core::new(app, config, entropy, Instant::now(), unix_ms());
        core.mailbox.wake_by(net.wake());
        Ok(Server { core, net })
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

impl<A: Send> Deref for Server<A> {
    type Target = Core<A>;

    fn deref(&self) -> &Core<A> {
        &self.core
    }
}

impl<A: Send> DerefMut for Server<A> {
    fn deref_mut(&mut self) -> &mut Core<A> {
        // A loop of one's own may have slept for long: what is asked for now counts from now.
        self.core.engine.tick(Instant::now());
        &mut self.core
    }
}

// Setting up.
impl<A: Send> Core<A> {
    /// A server whose time begins `now`, which is `unix_ms` milliseconds after 1970.
    pub fn new(
        app: A,
        config: Config,
        entropy: Box<dyn Entropy>,
        now: Instant,
        unix_ms: u64,
    ) -> Core<A> {
        let mailbox = Arc::new(Mailbox::new(config.mailbox_max as usize));
        let config = Config {
            serve_client: false,
            ..config
        };
        Core {
            engine: Engine::new(config, entropy, now, unix_ms),
            app,
            open: None,
            message: None,
            close: None,
            allow: None,
            hooks: EngineHooks::default(),
            mailbox,
            adopted: VecDeque::new(),
        }
    }

    /// Calls `handler` when a session is open.
    pub fn on_open<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &mut Socket<'a>) + Send + 'static,
    {
        self.open = Some(Box::new(handler));
        self
    }

    /// Calls `handler` for every message.
    pub fn on_message<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &mut Socket<'a>, Message) + Send + 'static,
    {
        self.message = Some(Box::new(handler));
        self
    }

    /// Calls `handler` when a session is over.
    pub fn on_close<F>(&mut self, handler: F) -> &mut Self
    where
        F: FnMut(&mut A, Sid, Reason) + Send + 'static,
    {
        self.close = Some(Box::new(handler));
        self
    }

    /// Asks `judge` about every handshake; a refusal is answered with 403 and its message.
    pub fn allow_request<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), String> + Send + 'static,
    {
        self.engine.judge_handshakes();
        self.allow = Some(Allow::Now(Box::new(judge)));
        self
    }

    /// The same with a [`Decision`] that may be given later and elsewhere, within
    /// `Config::decision_timeout`.
    pub fn allow_request_deferred<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>, Decision) + Send + 'static,
    {
        self.engine.judge_handshakes();
        self.allow = Some(Allow::Later(Box::new(judge)));
        self
    }

    /// Calls `hook` for every handshake that is let in, to add header lines to its answer.
    pub fn initial_headers<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>, &mut Headers) + Send + 'static,
    {
        self.engine.judge_handshakes();
        self.hooks.initial_headers = Some(Box::new(hook));
        self
    }

    /// Takes the 11 random bytes of every session's id from `hook`, which must be unguessable and
    /// not those of an earlier session. `None` refuses the handshake with code 3, `Bad request`.
    pub fn generate_id<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>) -> Option<[u8; 11]> + Send + 'static,
    {
        self.engine.judge_handshakes();
        self.hooks.generate_id = Some(Box::new(hook));
        self
    }

    /// Tells `hook` of every request that the protocol's error table answers. Each costs a copy of
    /// the request's head.
    pub fn on_connection_error<F>(&mut self, hook: F) -> &mut Self
    where
        F: FnMut(&mut A, &ConnectionError) + Send + 'static,
    {
        self.engine.tell_refusals();
        self.hooks.connection_error = Some(Box::new(hook));
        self
    }

    /// Tells `hook` what happens to sessions, each packet included. It is told after the fact and
    /// changes nothing.
    pub fn on_session_event<F>(&mut self, hook: F) -> &mut Self
    where
        F: FnMut(&mut A, SessionInfo, SessionEvent) + Send + 'static,
    {
        self.engine.tell_sessions();
        self.hooks.session_event = Some(Box::new(hook));
        self
    }

    /// The server's face towards other threads.
    pub fn handle(&self) -> Handle {
        Handle {
            mailbox: Arc::clone(&self.mailbox),
        }
    }

    /// Counters and gauges as they are now.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// What connections and sessions are doing now; looks at each of them.
    pub fn census(&self) -> Census {
        self.engine.census()
    }

    /// The application.
    pub fn app(&mut self) -> &mut A {
        &mut self.app
    }

    /// Ends the server now: nobody is let in any more, every session is told; see
    /// [`Handle::close`].
    pub fn close(&mut self) {
        self.engine.shut_down();
    }

    /// The same within `grace`; see [`Handle::shutdown`](crate::Handle::shutdown).
    pub fn shutdown(&mut self, grace: Duration) {
        self.engine.wind_down(grace);
    }
}

/// Other threads learn that there is nobody any more, however the server has ended.
impl<A: Send> Drop for Core<A> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

// Events.
impl<A: Send> Core<A> {
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
            Event::Opening { conn, serial } => self.handle_opening(conn, serial),
            Event::Refused { .. } => self.hooks.tell_refused(&mut self.app, &self.engine),
            Event::Session { info, event, .. } => {
                self.hooks.tell_session(&mut self.app, info, event);
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

    fn handle_opening(&mut self, conn: ConnKey, serial: u32) {
        let Some(hello) = self.engine.opening(conn, serial) else {
            return;
        };
        let verdict = match &mut self.allow {
            None => Ok(()),
            Some(Allow::Now(judge)) => judge(&mut self.app, &hello.request()),
            Some(Allow::Later(judge)) => {
                let about = Some(About::Open(conn, serial));
                let post: Arc<dyn Post> = self.mailbox.clone();
                return judge(&mut self.app, &hello.request(), Decision { about, post });
            }
        };
        let verdict = verdict.as_ref().copied().map_err(|message| &**message);
        self.conclude(conn, serial, verdict);
    }

    /// Answers a handshake that was judged: `Err` is the refusal's message.
    fn conclude(&mut self, conn: ConnKey, serial: u32, verdict: Result<(), &str>) {
        let verdict = match verdict {
            Ok(()) => self
                .hooks
                .welcome(&mut self.app, &self.engine, conn, serial),
            Err(message) => Err(Denial::Forbidden(message)),
        };
        self.engine.conclude(conn, serial, verdict);
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
        if self.engine.is_shut() {
            // However late it is, goodbyes are written before those who stay are dropped.
            flush(&mut self.engine);
        }
        self.engine.handle_timeout(now);
        self.dispatch(flush);
    }

    fn handle_mail(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        self.engine.tick(now);
        for mail in self.mailbox.take() {
            match mail {
                Mail::Errand(Errand::Open {
                    conn,
                    serial,
                    verdict,
                }) => {
                    let verdict = verdict.as_ref().copied();
                    let verdict = verdict.map_err(|refusal| &*refusal.message);
                    self.conclude(conn, serial, verdict);
                }
                Mail::Adopt(adopted) => self.adopted.push_back(adopted),
                Mail::Errand(Errand::Close) => self.close(),
                Mail::Errand(Errand::Shutdown(grace)) => self.shutdown(grace),
                // Nobody is given what could leave anything else.
                Mail::Errand(_) | Mail::Run(_) => {}
            }
            self.dispatch(flush);
        }
    }

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
