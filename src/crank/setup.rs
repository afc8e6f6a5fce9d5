//! Setting a server up: handlers, hooks, files, paths, timers. Nothing here runs user code.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Allow, Crank, Definition, EngineHooks, Hooks, Middleware, OnEvent, OnRequest, Parent, Raw, root,
};
use crate::{
    app::{App, Cause, Outcome, Problem, Refusal},
    args::{Args, FromArgs},
    client,
    codec::sio,
    config::Config,
    engine::Engine,
    files::Files,
    handle::{Handle, Mailbox},
    handshake::Handshake,
    hub::Hub,
    id::{Entropy, SocketId},
    namespace::{RoomEvent, full_name},
    outbox::{Outbox, TimerId},
    parser::Parser,
    raw::{Message, WebSocket, WebSocketId},
    reason::Reason,
    request::Request,
    response::Response,
    socket::Socket,
    stats::{Census, Stats},
    to::{Io, ParentId},
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
        let files = client::files(&config);
        let post: Arc<dyn Post> = mailbox.clone();
        Crank {
            hub: Hub::new(Engine::new(config, entropy, now, unix_ms)),
            app,
            data: Vec::new(),
            kept: HashMap::new(),
            definitions: vec![Definition::default()],
            parents: Vec::new(),
            hooks: Hooks {
                allow: None,
                request: None,
                namespace: None,
                expired: None,
                error: None,
            },
            engine_hooks: EngineHooks::default(),
            raws: Vec::new(),
            open_raws: HashMap::new(),
            outbox: Outbox::new(),
            continuations: HashMap::new(),
            gatherings: HashMap::new(),
            soon: VecDeque::new(),
            is_reporting: false,
            failed: Vec::new(),
            timers: BTreeMap::new(),
            timer_deadlines: HashMap::new(),
            judging: HashMap::new(),
            files,
            mailbox,
            post,
            adopted: VecDeque::new(),
            #[cfg(feature = "stream")]
            streams: super::streams::Streams::default(),
        }
    }

    /// The namespace of this name (a leading `/` is added), made if there is none, to register
    /// handlers. Clients can join a namespace from its first `of` on.
    pub fn of(&mut self, name: &str) -> Namespace<'_, A> {
        let fresh = self.definitions.len();
        let key = self.hub.define(&full_name(name), fresh as u32);
        let tag = self.hub.tag(key) as usize;
        if tag == fresh {
            self.definitions.push(Definition::default());
        }
        self.namespace(tag)
    }

    /// The namespaces that `is_mine` knows by their name and by the request of the client that asks
    /// for one (the payload of its CONNECT packet included): each comes to be when it is asked for,
    /// with the handlers registered here, and is forgotten when it is empty
    /// (`Config::cleanup_empty_namespaces`). Several parents are asked in their order. At most
    /// `Config::dynamic_namespaces_max` exist at once.
    pub fn of_dynamic<F>(&mut self, is_mine: F) -> Namespace<'_, A>
    where
        F: for<'a> FnMut(&mut A, &str, &Handshake<'a>) -> bool + Send + 'static,
    {
        let definition = self.definitions.len();
        self.definitions.push(Definition::default());
        self.hub.ask_about_unknown();
        self.parents.push(Parent {
            is_mine: Box::new(is_mine),
            definition,
        });
        self.namespace(definition)
    }

    /// The same by a pattern of the whole name, in which `*` is one or more characters but `/`, and
    /// `#` is one or more digits: `/room-#` knows `/room-1` and not `/room-`.
    pub fn of_pattern(&mut self, pattern: &str) -> Namespace<'_, A> {
        let pattern = full_name(pattern).into_owned();
        self.of_dynamic(move |_, name, _| is_match(pattern.as_bytes(), name.as_bytes()))
    }

    fn namespace(&mut self, tag: usize) -> Namespace<'_, A> {
        Namespace { crank: self, tag }
    }

    /// Calls `hook` when a client's wish has made a namespace come to be, before the client joins.
    pub fn on_new_namespace<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>) + Send + 'static,
    {
        self.hooks.namespace = Some(Box::new(hook));
        self
    }

    /// Calls `hook` when a client that lost its connection has not come back in time
    /// (`Config::recovery`), with the id and the data of the socket that is lost with it.
    pub fn on_session_expired<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, SocketId, A::Data) + Send + 'static,
    {
        self.hooks.expired = Some(Box::new(hook));
        self
    }

    /// Reads and writes packets by this parser instead of as JSON text. The clients have to use the
    /// same. To be called before anybody connects.
    pub fn set_parser(&mut self, parser: impl Parser + 'static) -> &mut Self {
        self.hub.set_parser(Box::new(parser));
        self
    }

    /// Asks `judge` about every handshake, polling or WebSocket, before there is a session. A
    /// refusal is answered with 403 and its message. It is not asked about what was refused before,
    /// and cannot let it in: see `Config::websocket_origins`.
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
    /// dropped like a session. Pages of which origins may open one: `Config::websocket_origins`.
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

    /// Calls `run` again and again, `period` (at least 1 ms) after it was called last, with the
    /// namespace `/`: a turn that is late moves the later ones, and none is made up for.
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

    /// What connections and sessions are doing now; looks at each of them.
    pub fn census(&self) -> Census {
        self.hub.engine().census()
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
        if !self.hub.engine().is_shut() {
            self.hub.shut_down();
        }
    }

    /// Ends the server within `grace`; see [`Handle::shutdown`].
    pub fn shutdown(&mut self, grace: Duration) {
        self.hub.engine_mut().wind_down(grace);
    }
}

/// A namespace, or a parent of dynamic ones, while its handlers are registered.
pub struct Namespace<'s, A: App> {
    crank: &'s mut Crank<A>,
    tag: usize,
}

impl<A: App> Namespace<'_, A> {
    pub(super) fn definition(&mut self) -> &mut Definition<A> {
        &mut self.crank.definitions[self.tag]
    }

    /// Enters a handler. One that could never be called is a mistake, and the first one of those
    /// who come from Node.
    fn hear(&mut self, event: &str, handler: OnEvent<A>) -> &mut Self {
        let is_possible = event != "connection" && !sio::is_reserved(event);
        assert!(
            is_possible,
            "{event:?} is no event: see on_connect, on_disconnecting, on_disconnect"
        );
        self.definition().events.insert(event.into(), handler);
        self
    }

    /// Names it as a parent, for [`Io::children`].
    pub fn parent_id(&self) -> ParentId {
        ParentId(self.tag as u32)
    }

    /// Asks `guard` about every packet of a socket, before its handler: several are asked in their
    /// order, until one refuses. Then the packet is dropped, what the guard asked for is not done,
    /// and the error hook hears of it ([`Cause::Refused`]); the client is told nothing.
    pub fn event_middleware<F>(&mut self, guard: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) -> Result<(), Refusal>
            + Send
            + 'static,
    {
        self.definition().guards.push(Box::new(guard));
        self
    }

    /// Calls `handler` for every event, whatever its name, before event middleware and handlers. It
    /// may answer the acknowledgement.
    pub fn on_any<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) + Send + 'static,
    {
        self.definition().any.push(Box::new(handler));
        self
    }

    /// Calls `handler` for every event that is sent to a socket of the namespace, once for each
    /// receiver of a broadcast; not for acknowledgements. It can ask for nothing itself.
    pub fn on_any_outgoing<F>(&mut self, handler: F) -> &mut Self
    where
        F: FnMut(&mut A, SocketId, &str, Args<'_>) + Send + 'static,
    {
        self.definition().any_outgoing.push(Box::new(handler));
        self
    }

    /// Calls `hook` when something goes wrong in or around a handler of the namespace, with the
    /// socket it was about, instead of the server's [`on_error`](Crank::on_error). What goes wrong
    /// because of what it asks for is told to the server's.
    pub fn on_error<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Problem) + Send + 'static,
    {
        self.definition().error = Some(Box::new(hook));
        self
    }

    /// Calls `handler` when a socket's client has moved from polling to its WebSocket.
    pub fn on_upgrade<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        let handler =
            Box::new(move |app: &mut A, socket: Socket<'_, A>| handler(app, socket).into_result());
        self.definition().upgrade.push(handler);
        self
    }

    /// Calls `handler` when everything that had to wait for a socket's client has left: for a slow
    /// WebSocket, when the kernel has taken it; for one that polls, when a poll has.
    pub fn on_drain<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.crank.hub.engine_mut().tell_drained();
        let handler =
            Box::new(move |app: &mut A, socket: Socket<'_, A>| handler(app, socket).into_result());
        self.definition().drain.push(handler);
        self
    }

    /// Calls `handler` when a socket's time is nearly over; see
    /// [`expires_in`](crate::Peer::expires_in).
    pub fn on_expiring<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        let handler =
            Box::new(move |app: &mut A, socket: Socket<'_, A>| handler(app, socket).into_result());
        self.definition().expiring.push(handler);
        self
    }

    /// Calls `handler` when a room of the namespace is created or deleted, joined or left. The
    /// rooms that sockets' ids name are not told of.
    pub fn on_room<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, &str, RoomEvent) + Send + 'static,
    {
        self.crank.hub.tell_rooms();
        self.definition().rooms.push(Box::new(handler));
        self
    }

    /// Calls `handler` for what other nodes of a cluster say by `server_side_emit`.
    pub fn on_server_side<F>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, Args<'a>) + Send + 'static,
    {
        self.definition()
            .server_side
            .insert(event.into(), Box::new(handler));
        self
    }

    /// Calls `handler` for every event of this name. `T` is the shape of the argument list: a tuple
    /// takes so many arguments (further ones are skipped, missing ones are `None` or an error),
    /// `Vec<Value>` takes all. Binary is [`Bytes`](crate::Bytes). Arguments of another shape go to
    /// the error hook instead.
    ///
    /// # Panics
    /// If the name is one that no event has: `connection`, and those that the protocol reserves
    /// (`connect`, `disconnect`, `disconnecting`, `connect_error`, `newListener`,
    /// `removeListener`). See [`on_connect`](Namespace::on_connect),
    /// [`on_disconnecting`](Namespace::on_disconnecting) and
    /// [`on_disconnect`](Namespace::on_disconnect).
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
        self.hear(event, handler)
    }

    /// The same with the arguments as they came, to be read in part or emitted again verbatim.
    ///
    /// # Panics
    /// As [`on`](Namespace::on).
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
        self.hear(event, handler)
    }

    /// Calls `handler` when a socket has joined, after the client was told.
    pub fn on_connect<F, R>(&mut self, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.definition().connect.push(Box::new(move |app, socket| {
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
        self.definition()
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
        self.definition()
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
        self.definition()
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
        self.definition()
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

/// Whether a name is what a pattern describes, to its end. Both are short: a name's limit is
/// `Config::name_bytes_max`, and the work is at most their product.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    // Which prefixes of the name the pattern's beginning describes.
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    for &symbol in pattern {
        let mut next = vec![false; name.len() + 1];
        for (at, &byte) in name.iter().enumerate() {
            let (fits, repeats) = match symbol {
                b'*' => (byte != b'/', true),
                b'#' => (byte.is_ascii_digit(), true),
                symbol => (byte == symbol, false),
            };
            next[at + 1] = fits && (ends[at] || (repeats && next[at]));
        }
        ends = next;
    }
    ends[name.len()]
}

#[cfg(test)]
mod tests {
    use super::is_match;

    #[test]
    fn a_pattern_describes_the_whole_name() {
        let check = |pattern: &str, name: &str, expected| {
            let found = is_match(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        };
        for (pattern, name) in [
            ("/dyn-#", "/dyn-1"),
            ("/dyn-#", "/dyn-101"),
            ("/*", "/a"),
            ("/*/log", "/a-b/log"),
            ("/*#", "/a1"),
            ("/*-*", "/a-b-c"),
            ("/a", "/a"),
        ] {
            check(pattern, name, true);
        }
        for (pattern, name) in [
            ("/dyn-#", "/dyn-"),
            ("/dyn-#", "/dyn-1a"),
            ("/dyn-#", "/a/dyn-1"),
            ("/*", "/"),
            ("/*", "/a/b"),
            ("/*/log", "//log"),
            ("/*#", "/a"),
            ("/a", "/ab"),
            ("/ab", "/a"),
        ] {
            check(pattern, name, false);
        }
    }
}
