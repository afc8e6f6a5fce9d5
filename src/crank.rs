//! The server without I/O: the application, its handlers, and the crank that brings events to them
//! and their wishes to the hub.
//!
//! Not here: sockets of the system (`net`), protocols (`hub`, `engine`). What always holds: only
//! this file and `engine::server` call user code; while a handler runs the hub is only read; what
//! it asked for is applied before the next packet is parsed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    error,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::{App, Cause, Outcome, Problem, Refusal},
    args::{Args, FromArgs},
    codec::http,
    config::Config,
    dispatch::Dispatch,
    engine::{self, Engine, Span},
    files::Files,
    handle::{Handle, Mail, Mailbox},
    handshake::Handshake,
    hub::{AckError, Applied, Event, Hub},
    id::{AckKey, ConnKey, Entropy, NamespaceKey, SocketKey},
    namespace::full_name,
    op::{Op, Payload, Select, Target},
    outbox::{Continuation, Every, Once, Outbox, TimerId, TimerOp},
    raw::{Message, WebSocket, WebSocketId},
    reason::Reason,
    request::Request,
    response::Response,
    socket::{Desk, Peer, Socket},
    stats::Stats,
    to::Io,
    token::{About, Decision, Errand, Post, Responder},
};

/// A Socket.IO server without I/O: what [`Server`](crate::Server) drives with a loop, and tests and
/// other loops by hand.
pub struct Crank<A: App> {
    hub: Hub,
    app: A,
    /// The application's data, by socket.
    data: Vec<Option<A::Data>>,
    /// Handler tables, by namespace.
    definitions: Vec<Definition<A>>,
    hooks: Hooks<A>,
    raws: Vec<Raw<A>>,
    /// Which definition an open application WebSocket belongs to, by its serial.
    open_raws: HashMap<u32, usize>,
    outbox: Outbox<A>,
    continuations: HashMap<AckKey, Continuation<A>>,
    /// Those whose acknowledgement cannot even be awaited, to be told before the next event.
    failed: Vec<(SocketKey, Continuation<A>, AckError)>,
    timers: BTreeMap<(u64, TimerId), Timer<A>>,
    timer_deadlines: HashMap<TimerId, u64>,
    /// How far the middleware of a socket has come.
    judging: HashMap<SocketKey, usize>,
    files: Files,
    mailbox: Arc<Mailbox<A>>,
    post: Arc<dyn Post>,
    is_closing: bool,
}

type Failure = Box<dyn error::Error + Send + Sync>;
type OnEvent<A> =
    Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, Args<'a>) -> Result<(), Cause> + Send>;
type OnConnect<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>) -> Result<(), Failure> + Send>;
type OnDisconnect<A> =
    Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> Result<(), Failure> + Send>;
type Judge<A> =
    Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>) -> Result<(), Refusal> + Send>;
type JudgeLater<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>, Decision) + Send>;
type OnRaw<A> = Box<dyn for<'a> FnMut(&mut A, WebSocket<'a, A>, Request<'a>) + Send>;
type OnRawMessage<A> = Box<dyn for<'a> FnMut(&mut A, WebSocket<'a, A>, Message<'a>) + Send>;
type OnRawClose<A> = Box<dyn FnMut(&mut A, WebSocketId, Option<u16>) + Send>;

type OnError<A> = Box<dyn FnMut(&mut A, &Problem) + Send>;
type Permit<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), Refusal> + Send>;
type PermitLater<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, &Handshake<'a>, Decision) + Send>;
type Answer<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, Request<'a>) -> Response + Send>;
type AnswerLater<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, Request<'a>, Responder) + Send>;

/// The handlers of a namespace.
struct Definition<A: App> {
    events: HashMap<Box<str>, OnEvent<A>>,
    connect: Vec<OnConnect<A>>,
    disconnecting: Vec<OnDisconnect<A>>,
    disconnect: Vec<OnDisconnect<A>>,
    middleware: Vec<Middleware<A>>,
}

enum Middleware<A: App> {
    Now(Judge<A>),
    Later(JudgeLater<A>),
}

/// What is asked once per server.
struct Hooks<A: App> {
    allow: Option<Allow<A>>,
    request: Option<OnRequest<A>>,
    error: Option<OnError<A>>,
}

enum Allow<A: App> {
    Now(Permit<A>),
    Later(PermitLater<A>),
}

enum OnRequest<A: App> {
    Now(Answer<A>),
    Later(AnswerLater<A>),
}

struct Raw<A: App> {
    path: Box<str>,
    open: Option<OnRaw<A>>,
    message: Option<OnRawMessage<A>>,
    close: Option<OnRawClose<A>>,
}

enum Timer<A: App> {
    Once(Once<A>),
    Every(Duration, Every<A>),
}

// Setting up.
impl<A: App> Crank<A> {
    /// A server whose time begins `now`, which is `unix_ms` milliseconds after 1970.
    pub fn new(
        app: A,
        config: Config,
        entropy: Box<dyn Entropy>,
        now: Instant,
        unix_ms: u64,
    ) -> Crank<A> {
        let mailbox = Arc::new(Mailbox::new(config.mailbox_max as usize));
        let mut files = Files::new();
        if config.serve_client {
            let path = format!("{}socket.io.js", config.path);
            files.insert(&path, "application/javascript; charset=utf-8", CLIENT);
        }
        let post: Arc<dyn Post> = mailbox.clone();
        Crank {
            hub: Hub::new(Engine::new(config, entropy, now, unix_ms)),
            app,
            data: Vec::new(),
            definitions: vec![Definition::default()],
            hooks: Hooks {
                allow: None,
                request: None,
                error: None,
            },
            raws: Vec::new(),
            open_raws: HashMap::new(),
            outbox: Outbox::new(),
            continuations: HashMap::new(),
            failed: Vec::new(),
            timers: BTreeMap::new(),
            timer_deadlines: HashMap::new(),
            judging: HashMap::new(),
            files,
            mailbox,
            post,
            is_closing: false,
        }
    }

    /// The namespace of this name (a leading `/` is added), made if there is none, to register
    /// handlers. Clients can join a namespace from its first `of` on.
    pub fn of(&mut self, name: &str) -> Namespace<'_, A> {
        let key = self.hub.define(&full_name(name));
        if self.definitions.len() <= key.index() {
            self.definitions
                .resize_with(key.index() + 1, Definition::default);
        }
        Namespace {
            definition: &mut self.definitions[key.index()],
        }
    }

    /// [`Namespace::on`] for the namespace `/`.
    pub fn on<F, T, R>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, T) -> R + Send + 'static,
        T: FromArgs,
        R: Outcome,
    {
        self.of("/").on(event, handler);
        self
    }

    /// [`Namespace::on_raw`] for the namespace `/`.
    pub fn on_raw<F, R>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Args<'a>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_raw(event, handler);
        self
    }

    /// [`Namespace::on_connect`] for the namespace `/`.
    pub fn on_connect<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_connect(handler);
        self
    }

    /// [`Namespace::on_disconnecting`] for the namespace `/`.
    pub fn on_disconnecting<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_disconnecting(handler);
        self
    }

    /// [`Namespace::on_disconnect`] for the namespace `/`.
    pub fn on_disconnect<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_disconnect(handler);
        self
    }

    /// [`Namespace::middleware`] for the namespace `/`.
    pub fn middleware<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>) -> Result<(), Refusal>
            + Send
            + 'static,
    {
        self.of("/").middleware(judge);
        self
    }

    /// [`Namespace::middleware_deferred`] for the namespace `/`.
    pub fn middleware_deferred<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>, Decision) + Send + 'static,
    {
        self.of("/").middleware_deferred(judge);
        self
    }

    /// Asks `judge` about every handshake, polling or WebSocket, before there is a session. A
    /// refusal is answered with 403 and its message.
    pub fn allow_request<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>) -> Result<(), Refusal> + Send + 'static,
    {
        self.hub.engine_mut().judge_handshakes();
        self.hooks.allow = Some(Allow::Now(Box::new(judge)));
        self
    }

    /// The same with a [`Decision`] that may be given later and elsewhere, within
    /// `Config::decision_timeout`.
    pub fn allow_request_deferred<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, &Handshake<'a>, Decision) + Send + 'static,
    {
        self.hub.engine_mut().judge_handshakes();
        self.hooks.allow = Some(Allow::Later(Box::new(judge)));
        self
    }

    /// Answers plain HTTP requests outside the protocol's path, after static files; 404 without it.
    pub fn on_request<F>(&mut self, answer: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, Request<'a>) -> Response + Send + 'static,
    {
        self.hooks.request = Some(OnRequest::Now(Box::new(answer)));
        self
    }

    /// The same with a [`Responder`] that may answer later and elsewhere, within
    /// `Config::decision_timeout`. Meanwhile the connection's further requests wait.
    pub fn on_request_deferred<F>(&mut self, answer: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, Request<'a>, Responder) + Send + 'static,
    {
        self.hooks.request = Some(OnRequest::Later(Box::new(answer)));
        self
    }

    /// Tells `hook` what goes wrong in and around handlers; without it, it is logged as a warning.
    pub fn on_error<F>(&mut self, hook: F) -> &mut Self
    where
        F: FnMut(&mut A, &Problem) + Send + 'static,
    {
        self.hooks.error = Some(Box::new(hook));
        self
    }

    /// Serves these files below `prefix`, to GET and HEAD.
    pub fn serve_files(&mut self, prefix: &str, files: Files) -> &mut Self {
        self.files.merge(prefix, files);
        self
    }

    /// Application WebSockets at this path, without Engine.IO; `*` is every path that nothing else
    /// serves. Messages have at most `Config::max_payload` bytes; a silent peer is pinged and
    /// dropped like a session.
    pub fn websocket(&mut self, path: &str) -> RawNamespace<'_, A> {
        let known = self.raws.iter().position(|raw| *raw.path == *path);
        let index = known.unwrap_or_else(|| {
            self.hub.engine_mut().serve_raw(path);
            self.raws.push(Raw {
                path: path.into(),
                open: None,
                message: None,
                close: None,
            });
            self.raws.len() - 1
        });
        RawNamespace {
            raw: &mut self.raws[index],
        }
    }

    /// Calls `run` once, after `after`.
    pub fn set_timeout<F>(&mut self, after: Duration, run: F) -> TimerId
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>) + Send + 'static,
    {
        let id = self.outbox.once(after, Box::new(run));
        self.apply_timers();
        id
    }

    /// Calls `run` again and again, every `period` (at least 1 ms).
    pub fn set_interval<F>(&mut self, period: Duration, run: F) -> TimerId
    where
        F: for<'b> FnMut(&mut A, Io<'b, A>) + Send + 'static,
    {
        let id = self.outbox.every(period, Box::new(run));
        self.apply_timers();
        id
    }

    /// Ends a timer; one that has ended already is no error.
    pub fn clear_timer(&mut self, id: TimerId) {
        self.outbox.clear(id);
        self.apply_timers();
    }

    /// The server's face towards other threads.
    pub fn handle(&self) -> Handle<A> {
        Handle::new(Arc::clone(&self.mailbox))
    }

    /// Counters and gauges as they are now.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// The application.
    pub fn app(&mut self) -> &mut A {
        &mut self.app
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox<A>> {
        &self.mailbox
    }

    /// Ends the server in order; see [`Handle::close`].
    pub fn close(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            self.hub.shut_down();
        }
    }
}

/// A namespace, while its handlers are registered.
pub struct Namespace<'s, A: App> {
    definition: &'s mut Definition<A>,
}

impl<A: App> Namespace<'_, A> {
    /// Calls `handler` for every event of this name. `T` is the shape of the argument list: a tuple
    /// takes so many arguments (further ones are skipped, missing ones are `None` or an error),
    /// `Vec<Value>` takes all. Arguments of another shape go to the error hook instead.
    pub fn on<F, T, R>(&mut self, event: &str, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, T) -> R + Send + 'static,
        T: FromArgs,
        R: Outcome,
    {
        let handler: OnEvent<A> = Box::new(move |app, socket, args| {
            let args = T::from_args(&args).map_err(Cause::Arguments)?;
            handler(app, socket, args)
                .into_result()
                .map_err(Cause::Handler)
        });
        self.definition.events.insert(event.into(), handler);
        self
    }

    /// The same with the arguments as they came, to be read in part or emitted again verbatim.
    pub fn on_raw<F, R>(&mut self, event: &str, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Args<'a>) -> R + Send + 'static,
        R: Outcome,
    {
        let handler: OnEvent<A> = Box::new(move |app, socket, args| {
            handler(app, socket, args)
                .into_result()
                .map_err(Cause::Handler)
        });
        self.definition.events.insert(event.into(), handler);
        self
    }

    /// Calls `handler` when a socket has joined, after the client was told.
    pub fn on_connect<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.definition.connect.push(Box::new(move |app, socket| {
            handler(app, socket).into_result()
        }));
        self
    }

    /// Calls `handler` when a socket is about to leave, its rooms intact.
    pub fn on_disconnecting<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.definition
            .disconnecting
            .push(Box::new(move |app, socket, reason| {
                handler(app, socket, reason).into_result()
            }));
        self
    }

    /// Calls `handler` when a socket has left, its rooms too. Its data is dropped afterwards.
    pub fn on_disconnect<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.definition
            .disconnect
            .push(Box::new(move |app, socket, reason| {
                handler(app, socket, reason).into_result()
            }));
        self
    }

    /// Asks `judge` whether a client may join; several are asked in their order. What it emits goes
    /// out before the client learns that it has joined; if it refuses, nothing it asked for is
    /// done.
    pub fn middleware<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>) -> Result<(), Refusal>
            + Send
            + 'static,
    {
        self.definition
            .middleware
            .push(Middleware::Now(Box::new(judge)));
        self
    }

    /// The same with a [`Decision`] that may be given later and elsewhere, within
    /// `Config::decision_timeout`. Meanwhile the socket's events wait, up to a small limit.
    pub fn middleware_deferred<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>, Decision) + Send + 'static,
    {
        self.definition
            .middleware
            .push(Middleware::Later(Box::new(judge)));
        self
    }
}

/// A path with application WebSockets, while its handlers are registered.
pub struct RawNamespace<'s, A: App> {
    raw: &'s mut Raw<A>,
}

impl<A: App> RawNamespace<'_, A> {
    /// Calls `handler` when a WebSocket was opened, with the request that opened it.
    pub fn on_open<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, WebSocket<'a, A>, Request<'a>) + Send + 'static,
    {
        self.raw.open = Some(Box::new(handler));
        self
    }

    /// Calls `handler` for every message.
    pub fn on_message<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, WebSocket<'a, A>, Message<'a>) + Send + 'static,
    {
        self.raw.message = Some(Box::new(handler));
        self
    }

    /// Calls `handler` when a WebSocket is over, with the close code if there was one.
    pub fn on_close<F>(&mut self, handler: F) -> &mut Self
    where
        F: FnMut(&mut A, WebSocketId, Option<u16>) + Send + 'static,
    {
        self.raw.close = Some(Box::new(handler));
        self
    }
}

impl<A: App> Default for Definition<A> {
    fn default() -> Self {
        Definition {
            events: HashMap::new(),
            connect: Vec::new(),
            disconnecting: Vec::new(),
            disconnect: Vec::new(),
            middleware: Vec::new(),
        }
    }
}

// The crank.
impl<A: App> Dispatch for Crank<A> {
    fn engine(&mut self) -> &mut Engine {
        self.hub.engine_mut()
    }

    fn dispatch(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        // A handler that panicked, if that was caught, has left half of its wishes.
        self.outbox.wipe();
        self.tell_failed(flush);
        while let Some(event) = self.hub.poll_event() {
            self.handle_event(event, flush);
            self.tell_failed(flush);
        }
    }

    fn handle_timeout(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        self.hub.handle_timeout(now);
        self.dispatch(flush);
        self.run_timers(flush);
        self.dispatch(flush);
    }

    fn handle_mail(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        self.hub.engine_mut().tick(now);
        self.outbox.wipe();
        for mail in self.mailbox.take() {
            match mail {
                Mail::Errand(errand) => self.run_errand(errand, flush),
                Mail::Run(run) => {
                    let desk = desk(&self.hub, &self.outbox, &self.post);
                    run(&mut self.app, Io::new(desk, root()));
                    self.apply(flush);
                }
            }
            self.dispatch(flush);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|((ms, _), _)| *ms);
        let timer = timer.map(|ms| self.hub.engine().epoch() + Duration::from_millis(ms));
        [self.hub.next_deadline(), timer]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_dead(&mut self) -> Option<ConnKey> {
        self.hub.poll_dead()
    }

    fn is_closing(&self) -> bool {
        self.is_closing
    }
}

// Events.
impl<A: App> Crank<A> {
    fn handle_event(&mut self, event: Event, flush: &mut dyn FnMut(&mut Engine)) {
        match event {
            Event::Packet { socket, ack } => self.handle_packet(socket, ack, flush),
            Event::Connecting { socket } => {
                if self.data.len() <= socket.index() {
                    self.data.resize_with(socket.index() + 1, || None);
                }
                self.data[socket.index()] = Some(A::Data::default());
                self.judge(socket, 0, flush);
            }
            Event::Connected { socket } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.connect,
                    flush,
                    |f, a, s| f(a, s),
                );
                self.hub.settle(socket);
            }
            Event::Withdrawn { socket } => {
                self.judging.remove(&socket);
                if let Some(data) = self.data.get_mut(socket.index()) {
                    *data = None;
                }
            }
            Event::Acked { socket, ack } => {
                let Some(then) = self.continuations.remove(&ack) else {
                    return;
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                let data = self.data[socket.index()].as_mut();
                let (Some(args), Some(data)) = (self.hub.answer(), data) else {
                    return;
                };
                then(&mut self.app, Socket::new(data, desk, socket), Ok(args));
                self.apply(flush);
            }
            Event::AckFailed { socket, ack, error } => {
                if let Some(then) = self.continuations.remove(&ack) {
                    self.fail(socket, then, error, flush);
                }
            }
            Event::Disconnecting { socket, reason } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.disconnecting,
                    flush,
                    |f, a, s| f(a, s, reason),
                );
            }
            Event::Disconnected { socket, reason } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.disconnect,
                    flush,
                    |f, a, s| f(a, s, reason),
                );
                self.tell_failed(flush);
                self.data[socket.index()] = None;
            }
            Event::Engine(event) => self.handle_engine_event(event, flush),
        }
    }

    fn handle_packet(
        &mut self,
        socket: SocketKey,
        ack: Option<u64>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let namespace = self.hub.namespace(socket);
        let Some((name, args)) = self.hub.packet() else {
            return;
        };
        let definition = &mut self.definitions[namespace.index()];
        let Some(handler) = definition.events.get_mut(name.as_str()) else {
            return;
        };
        self.outbox.write(|sheet| sheet.ack = ack);
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let Some(data) = self.data[socket.index()].as_mut() else {
            return;
        };
        let result = handler(&mut self.app, Socket::new(data, desk, socket), args);
        if let Err(cause) = result {
            let event = Some(Box::from(name.as_str()));
            let socket = Some(self.hub.id(socket));
            self.report(Problem {
                event,
                socket,
                cause,
            });
        }
        self.apply(flush);
    }

    /// Calls handlers of one kind for a socket, in their order.
    fn call<F>(
        &mut self,
        socket: SocketKey,
        namespace: NamespaceKey,
        pick: impl Fn(&mut Definition<A>) -> &mut Vec<F>,
        flush: &mut dyn FnMut(&mut Engine),
        call: impl Fn(&mut F, &mut A, Socket<'_, A>) -> Result<(), Failure>,
    ) {
        let count = pick(&mut self.definitions[namespace.index()]).len();
        for index in 0..count {
            let handler = &mut pick(&mut self.definitions[namespace.index()])[index];
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let result = call(handler, &mut self.app, Socket::new(data, desk, socket));
            if let Err(error) = result {
                let socket = Some(self.hub.id(socket));
                self.report(Problem {
                    event: None,
                    socket,
                    cause: Cause::Handler(error),
                });
            }
            self.apply(flush);
        }
    }

    /// Asks the middleware from `from` on, until one refuses or has to think.
    fn judge(&mut self, socket: SocketKey, from: usize, flush: &mut dyn FnMut(&mut Engine)) {
        let namespace = self.hub.namespace(socket);
        let count = self.definitions[namespace.index()].middleware.len();
        for step in from..count {
            let id = self.hub.id(socket);
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let handshake = self.hub.handshake(socket);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let peer = Socket::new(data, desk, socket);
            match &mut self.definitions[namespace.index()].middleware[step] {
                Middleware::Now(judge) => {
                    if let Err(refusal) = judge(&mut self.app, peer, &handshake) {
                        return self.refuse(socket, &refusal);
                    }
                    self.apply(flush);
                }
                Middleware::Later(judge) => {
                    let about = Some(About::Join(id));
                    let decision = Decision {
                        about,
                        post: Arc::clone(&self.post),
                    };
                    judge(&mut self.app, peer, &handshake, decision);
                    self.judging.insert(socket, step + 1);
                    return self.apply(flush);
                }
            }
        }
        self.hub.accept(socket);
    }

    fn refuse(&mut self, socket: SocketKey, refusal: &Refusal) {
        self.outbox.wipe();
        self.hub.refuse(socket, &refusal.json());
    }

    /// Tells those who asked in vain. Who then asks in vain again is told after the next event, so
    /// that asking again and again ends with the socket.
    fn tell_failed(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        for (socket, then, error) in std::mem::take(&mut self.failed) {
            self.fail(socket, then, error, flush);
        }
    }

    fn fail(
        &mut self,
        socket: SocketKey,
        then: Continuation<A>,
        error: AckError,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let Some(data) = self.data[socket.index()].as_mut() else {
            return;
        };
        then(&mut self.app, Socket::new(data, desk, socket), Err(error));
        self.apply(flush);
    }

    fn report(&mut self, problem: Problem) {
        match &mut self.hooks.error {
            Some(hook) => hook(&mut self.app, &problem),
            None => log::warn!("{problem}"),
        }
    }
}

// What concerns the engine only.
impl<A: App> Crank<A> {
    fn handle_engine_event(&mut self, event: engine::Event, flush: &mut dyn FnMut(&mut Engine)) {
        match event {
            engine::Event::Opening { conn, serial } => self.handle_opening(conn, serial, flush),
            engine::Event::Request {
                conn,
                serial,
                head,
                body,
            } => {
                self.handle_request(conn, serial, &head, &body, flush);
            }
            engine::Event::RawOpened { conn, serial, head } => {
                self.handle_raw_opened(conn, serial, &head, flush);
            }
            engine::Event::RawMessage {
                conn,
                serial,
                is_binary,
                payload,
            } => {
                let id = WebSocketId { conn, serial };
                let Some(&index) = self.open_raws.get(&serial) else {
                    return;
                };
                let Some(handler) = &mut self.raws[index].message else {
                    return;
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                let bytes = self.hub.engine().bytes(&payload);
                let message = match std::str::from_utf8(bytes) {
                    Ok(text) if !is_binary => Message::Text(text),
                    _ => Message::Binary(bytes),
                };
                handler(&mut self.app, WebSocket::new(desk, id), message);
                self.apply(flush);
            }
            engine::Event::RawClosed { conn, serial, code } => {
                let Some(index) = self.open_raws.remove(&serial) else {
                    return;
                };
                if let Some(handler) = &mut self.raws[index].close {
                    handler(&mut self.app, WebSocketId { conn, serial }, code);
                }
            }
            // The hub has taken these.
            engine::Event::Opened { .. }
            | engine::Event::Message { .. }
            | engine::Event::Upgraded { .. }
            | engine::Event::Closed { .. } => {}
        }
    }

    fn handle_opening(&mut self, conn: ConnKey, serial: u32, flush: &mut dyn FnMut(&mut Engine)) {
        let Some(hello) = self.hub.engine().opening(conn, serial) else {
            return;
        };
        let handshake = hello.request();
        let verdict = match &mut self.hooks.allow {
            None => Ok(()),
            Some(Allow::Now(judge)) => judge(&mut self.app, &handshake),
            Some(Allow::Later(judge)) => {
                let about = Some(About::Open(conn, serial));
                let decision = Decision {
                    about,
                    post: Arc::clone(&self.post),
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                judge(&mut self.app, Io::new(desk, root()), &handshake, decision);
                return self.apply(flush);
            }
        };
        let verdict = verdict
            .as_ref()
            .copied()
            .map_err(|refusal| &*refusal.message);
        self.hub.engine_mut().decide(conn, serial, verdict);
    }

    fn handle_request(
        &mut self,
        conn: ConnKey,
        serial: u32,
        head: &Span,
        body: &Span,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let engine = self.hub.engine();
        let address = engine.conns[conn.index()].address;
        let request = Request::new(engine.bytes(head), engine.bytes(body), address);
        let path = http::percent_decode(request.path).unwrap_or_default();
        let file = self
            .files
            .get(request.method, &path, request.header("if-none-match"));
        let response = match (file, &mut self.hooks.request) {
            (Some(response), _) => response,
            (None, None) => Response::new(404),
            (None, Some(OnRequest::Now(answer))) => {
                let desk = desk(&self.hub, &self.outbox, &self.post);
                answer(&mut self.app, Io::new(desk, root()), request)
            }
            (None, Some(OnRequest::Later(answer))) => {
                let about = Some((conn, serial));
                let responder = Responder {
                    about,
                    post: Arc::clone(&self.post),
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                answer(&mut self.app, Io::new(desk, root()), request, responder);
                return self.apply(flush);
            }
        };
        self.hub.engine_mut().respond(conn, serial, response);
        self.apply(flush);
    }

    fn handle_raw_opened(
        &mut self,
        conn: ConnKey,
        serial: u32,
        head: &Span,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let engine = self.hub.engine();
        let address = engine.conns[conn.index()].address;
        let request = Request::new(engine.bytes(head), &[], address);
        let exact = self.raws.iter().position(|raw| *raw.path == *request.path);
        let any = || self.raws.iter().position(|raw| &*raw.path == "*");
        let Some(index) = exact.or_else(any) else {
            return;
        };
        self.open_raws.insert(serial, index);
        if let Some(handler) = &mut self.raws[index].open {
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let id = WebSocketId { conn, serial };
            handler(&mut self.app, WebSocket::new(desk, id), request);
            self.apply(flush);
        }
    }
}

// What was asked for.
impl<A: App> Crank<A> {
    /// Does what the handler that has just returned wrote down.
    fn apply(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let mut sheet = self.outbox.take();
        if !sheet.is_empty() {
            let mut continuations: Vec<_> = sheet.continuations.drain(..).map(Some).collect();
            for op in sheet.recorded.ops.drain(..) {
                let awaits = awaits(&op);
                let room_of = room_of(&op);
                match self.hub.apply(op, &sheet.recorded.arena) {
                    Applied::Done => {}
                    Applied::FanOut => {
                        while self.hub.fan_out() {
                            flush(self.hub.engine_mut());
                        }
                    }
                    Applied::Awaiting(ack) => {
                        let then = awaits.and_then(|(_, index)| continuations[index].take());
                        self.continuations.extend(then.map(|then| (ack, then)));
                    }
                    Applied::Failed(error) => {
                        let Some((socket, index)) = awaits else {
                            continue;
                        };
                        let then = continuations[index].take();
                        self.failed.extend(then.map(|then| (socket, then, error)));
                    }
                    refused @ (Applied::RoomsFull | Applied::RoomName) => {
                        let cause = match refused {
                            Applied::RoomName => Cause::RoomName,
                            _ => Cause::RoomsFull,
                        };
                        let socket = room_of.map(|socket| self.hub.id(socket));
                        sheet.problems.push(Problem {
                            event: None,
                            socket,
                            cause,
                        });
                    }
                }
            }
        }
        let unsent = sheet.unsent.drain(..);
        self.failed
            .extend(unsent.map(|(socket, then)| (socket, then, AckError::NotSent)));
        let timers = std::mem::take(&mut sheet.timers);
        let problems = std::mem::take(&mut sheet.problems);
        sheet.wipe();
        self.outbox.put_back(sheet);
        for timer in timers {
            self.apply_timer(timer);
        }
        for problem in problems {
            self.report(problem);
        }
    }

    fn run_errand(&mut self, errand: Errand, flush: &mut dyn FnMut(&mut Engine)) {
        match errand {
            Errand::Emit(emission) => {
                let Some(namespace) = self.hub.namespace_key(&emission.namespace) else {
                    return;
                };
                let (rooms, except) = (emission.rooms, emission.except);
                let select = Select {
                    namespace,
                    rooms,
                    except,
                    except_socket: None,
                };
                let json = 0..emission.json.len();
                let payload = Payload {
                    json,
                    attachments: emission.attachments,
                };
                let op = Op::Emit {
                    to: Target::Select(Box::new(select)),
                    payload,
                    is_volatile: emission.is_volatile,
                    awaits: None,
                };
                self.hub.apply(op, &emission.json);
                while self.hub.fan_out() {
                    flush(self.hub.engine_mut());
                }
            }
            Errand::Reply {
                to,
                ack,
                json,
                attachments,
            } => {
                let payload = Payload {
                    json: 0..json.len(),
                    attachments,
                };
                self.hub.apply(Op::Reply { to, ack, payload }, &json);
            }
            Errand::Join { socket, verdict } => {
                let Some(socket) = self.hub.resolve(socket) else {
                    return;
                };
                let Some(step) = self.judging.remove(&socket) else {
                    return;
                };
                match verdict {
                    Ok(()) => self.judge(socket, step, flush),
                    Err(refusal) => self.refuse(socket, &refusal),
                }
            }
            Errand::Open {
                conn,
                serial,
                verdict,
            } => {
                let verdict = verdict
                    .as_ref()
                    .copied()
                    .map_err(|refusal| &*refusal.message);
                self.hub.engine_mut().decide(conn, serial, verdict);
            }
            Errand::Respond {
                conn,
                serial,
                response,
            } => {
                self.hub.engine_mut().respond(conn, serial, response);
            }
            Errand::Close => self.close(),
        }
    }

    fn apply_timers(&mut self) {
        let mut sheet = self.outbox.take();
        let timers = std::mem::take(&mut sheet.timers);
        self.outbox.put_back(sheet);
        for timer in timers {
            self.apply_timer(timer);
        }
    }

    fn apply_timer(&mut self, op: TimerOp<A>) {
        match op {
            TimerOp::Once { id, after, run } => self.set_timer(id, after, Timer::Once(run)),
            TimerOp::Every { id, period, run } => {
                let period = period.max(PERIOD_MIN);
                self.set_timer(id, period, Timer::Every(period, run));
            }
            TimerOp::Clear(id) => {
                if let Some(deadline) = self.timer_deadlines.remove(&id) {
                    self.timers.remove(&(deadline, id));
                }
            }
        }
    }

    fn set_timer(&mut self, id: TimerId, after: Duration, timer: Timer<A>) {
        let after =
            u64::try_from(after.as_millis()).map_or(AFTER_MS_MAX, |ms| ms.min(AFTER_MS_MAX));
        let deadline = self.hub.engine().now_ms() + after;
        self.timer_deadlines.insert(id, deadline);
        self.timers.insert((deadline, id), timer);
    }

    /// Runs the timers that are due now; those they set wait for the next turn.
    fn run_timers(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let now = self.hub.engine().now_ms();
        let mut due = VecDeque::new();
        while let Some(entry) = self
            .timers
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            due.push_back(entry.remove_entry());
        }
        while let Some(((deadline, id), timer)) = due.pop_front() {
            // One that ran before may have cleared it.
            if self.timer_deadlines.get(&id) != Some(&deadline) {
                continue;
            }
            self.timer_deadlines.remove(&id);
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let io = Io::new(desk, root());
            match timer {
                Timer::Once(run) => {
                    run(&mut self.app, io);
                    self.apply(flush);
                }
                Timer::Every(period, mut run) => {
                    run(&mut self.app, io);
                    // It may clear itself, so it is set again before its wishes are done.
                    self.set_timer(id, period, Timer::Every(period, run));
                    self.apply(flush);
                }
            }
            self.dispatch(flush);
        }
    }
}

/// What a handler sees; a function, so that the other fields stay free to be borrowed.
fn desk<'a, A: App>(hub: &'a Hub, outbox: &'a Outbox<A>, post: &'a Arc<dyn Post>) -> Desk<'a, A> {
    Desk { hub, outbox, post }
}

fn awaits(op: &Op) -> Option<(SocketKey, usize)> {
    match op {
        Op::Emit {
            to: Target::Socket(socket),
            awaits: Some(awaits),
            ..
        } => Some((*socket, awaits.continuation)),
        _ => None,
    }
}

fn room_of(op: &Op) -> Option<SocketKey> {
    match op {
        Op::Join { socket, .. } => Some(*socket),
        _ => None,
    }
}

/// The namespace `/`, which is always the first.
fn root() -> NamespaceKey {
    NamespaceKey::new(0)
}

/// Other threads learn that there is nobody any more, however the server has ended.
impl<A: App> Drop for Crank<A> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// Finds a socket's peer in a test or a low-level loop.
impl<A: App> Crank<A> {
    /// Looks at a socket between turns; `None` if it is gone. What the peer is asked to do is done,
    /// and is written with the next turn.
    pub fn with_socket<R>(
        &mut self,
        id: crate::SocketId,
        read: impl FnOnce(&mut A::Data, Peer<'_, A>) -> R,
    ) -> Option<R> {
        let key = self.hub.resolve(id)?;
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let data = self.data.get_mut(key.index())?.as_mut()?;
        let result = read(data, Peer { desk, key });
        self.apply(&mut |_| ());
        Some(result)
    }
}

/// The browser client, served at `<path>socket.io.js`.
const CLIENT: &str = include_str!("client/socket.io.js");

/// A later timer is never reached anyway; a century.
const AFTER_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;

/// A shorter period would keep the loop from everything else.
const PERIOD_MIN: Duration = Duration::from_millis(1);
