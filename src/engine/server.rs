//! Engine.IO alone: the same crank as Socket.IO's, for programs with a protocol of their own over
//! polling and WebSocket.
//!
//! What always holds: sessions are told of in order, opened, messages, closed; what a handler sends
//! leaves when it has returned.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Instant,
};

use super::{ConnectionError, Denial, Engine, Event, SessionEvent, SessionInfo, Transport};
use crate::{
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
    /// What other threads leave: decisions, and the end. No application is needed for either.
    mailbox: Arc<Mailbox<()>>,
    is_closing: bool,
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

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.engine.send_text(self.key, &[text.as_bytes()]);
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, data: &[u8]) {
        self.engine.send_binary(self.key, data);
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
        let mut net = Net::new(&config)?;
        net.listen(listener)?;
        let entropy = Box::new(Urandom::open()?);
        let core = Core::new(app, config, entropy, Instant::now(), unix_ms());
        core.mailbox.wake_by(net.wake());
        Ok(Server { core, net })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.local_addr()
    }

    /// Serves until [`Handle::close`], or until polling fails. A panic of a handler unwinds out of
    /// here.
    pub fn run(mut self) -> io::Result<()> {
        self.net.run(&mut self.core)
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
            is_closing: false,
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

    /// Ends the server in order; see [`Handle::close`].
    pub fn close(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            self.engine.shut_down();
        }
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
                Mail::Errand(Errand::Close) => self.close(),
                // Nobody is given what could leave anything else.
                Mail::Errand(_) | Mail::Run(_) => {}
            }
            self.dispatch(flush);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.engine.next_deadline()
    }

    fn poll_dead(&mut self) -> Option<ConnKey> {
        self.engine.poll_dead()
    }

    fn is_closing(&self) -> bool {
        self.is_closing
    }
}
