//! Setting a server up: handlers, hooks, files, paths, timers. Nothing here runs user code.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Allow, Crank, Definition, EngineHooks, Hooks, Middleware, OnEvent, OnRequest, Raw, root,
};
use crate::{
    app::{App, Cause, Outcome, Problem, Refusal},
    args::{Args, FromArgs},
    config::Config,
    engine::Engine,
    files::Files,
    handle::{Handle, Mailbox},
    handshake::Handshake,
    hub::Hub,
    id::Entropy,
    namespace::full_name,
    outbox::{Outbox, TimerId},
    raw::{Message, WebSocket, WebSocketId},
    reason::Reason,
    request::Request,
    response::Response,
    socket::Socket,
    stats::Stats,
    to::Io,
    token::{Decision, Post, Responder},
};

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
            engine_hooks: EngineHooks::default(),
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

    /// Calls `run` once, after `after`, with the namespace `/`.
    pub fn set_timeout<F>(&mut self, after: Duration, run: F) -> TimerId
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>) + Send + 'static,
    {
        let id = self.outbox.once(root(), after, Box::new(run));
        self.apply_timers();
        id
    }

    /// Calls `run` again and again, every `period` (at least 1 ms), with the namespace `/`.
    pub fn set_interval<F>(&mut self, period: Duration, run: F) -> TimerId
    where
        F: for<'b> FnMut(&mut A, Io<'b, A>) + Send + 'static,
    {
        let id = self.outbox.every(root(), period, Box::new(run));
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

/// The browser client, served at `<path>socket.io.js`.
const CLIENT: &str = include_str!("../client/socket.io.js");
