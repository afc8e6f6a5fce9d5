//! The server without I/O: the application, its handlers, and the crank that brings events to them
//! and their wishes to the hub.
//!
//! Not here: sockets of the system (`net`), protocols (`hub`, `engine`). What always holds: only
//! this folder and `engine::server` call user code; while a handler runs the hub is only read; what
//! it asked for is applied before the next packet is parsed.

mod events;
mod hooks;
mod root;
mod setup;
#[cfg(feature = "stream")]
mod streams;
mod wishes;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    error,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    adopt::Adopted,
    app::{App, Cause, Problem, Refusal},
    args::Args,
    dispatch::Dispatch,
    engine::Engine,
    files::Files,
    handle::{Mail, Mailbox},
    handshake::Handshake,
    hub::{AckError, Hub},
    id::{AckKey, ConnKey, NamespaceKey, SocketId, SocketKey},
    namespace::RoomEvent,
    outbox::{Continuation, Every, Gathering, Once, Outbox, Soon, TimerId},
    raw::{Message, WebSocket, WebSocketId},
    reason::Reason,
    request::Request,
    response::Response,
    socket::{Desk, Peer, Socket},
    to::Io,
    token::{Decision, Post, Responder},
};

pub(crate) use self::hooks::EngineHooks;
pub use self::setup::{Namespace, RawNamespace};

/// A Socket.IO server without I/O: what [`Server`](crate::Server) drives with a loop, and tests and
/// other loops by hand.
pub struct Crank<A: App> {
    hub: Hub,
    app: A,
    /// The application's data, by socket.
    data: Vec<Option<A::Data>>,
    /// The data of sockets that may come back.
    kept: HashMap<SocketId, A::Data>,
    /// Handler tables, by the tag of the namespace: dynamic namespaces share their parent's.
    definitions: Vec<Definition<A>>,
    /// Who is asked about namespaces that do not exist, in this order.
    parents: Vec<Parent<A>>,
    hooks: Hooks<A>,
    engine_hooks: EngineHooks<A>,
    raws: Vec<Raw<A>>,
    /// Which definition an open application WebSocket belongs to, by its serial.
    open_raws: HashMap<u32, usize>,
    outbox: Outbox<A>,
    continuations: HashMap<AckKey, Continuation<A>>,
    gatherings: HashMap<AckKey, Gathering<A>>,
    /// What is to be told before the next event, but not from within the handler that asked.
    soon: VecDeque<(Place, Soon<A>)>,
    /// Whether an error hook runs, whose own errors are not told to it.
    is_reporting: bool,
    /// Those whose acknowledgement cannot even be awaited, to be told before the next event.
    failed: Vec<(SocketKey, Continuation<A>, AckError)>,
    timers: BTreeMap<(u64, TimerId), Timer<A>>,
    timer_deadlines: HashMap<TimerId, u64>,
    /// How far the middleware of a socket has come.
    judging: HashMap<SocketKey, usize>,
    files: Files,
    mailbox: Arc<Mailbox<A>>,
    post: Arc<dyn Post>,
    /// Connections that were accepted elsewhere and are not with the loop yet.
    adopted: VecDeque<Adopted>,
    #[cfg(feature = "stream")]
    streams: streams::Streams<A>,
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
type Guard<A> =
    Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) -> Result<(), Refusal> + Send>;
type OnAny<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) + Send>;
type OnAnyOutgoing<A> = Box<dyn FnMut(&mut A, SocketId, &str, Args<'_>) + Send>;
type OnSocketError<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, &Problem) + Send>;
type OnRoom<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, &str, RoomEvent) + Send>;
type OnServerSide<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, Args<'a>) + Send>;
type OnNamespace<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>) + Send>;
type OnExpired<A> = Box<dyn for<'a> FnMut(&mut A, Io<'a, A>, SocketId, <A as App>::Data) + Send>;
type IsMine<A> = Box<dyn for<'a> FnMut(&mut A, &str, &Handshake<'a>) -> bool + Send>;
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
    /// Ordered: a few comparisons find a name in less time than a hash of it takes.
    events: BTreeMap<Box<str>, OnEvent<A>>,
    connect: Vec<OnConnect<A>>,
    disconnecting: Vec<OnDisconnect<A>>,
    disconnect: Vec<OnDisconnect<A>>,
    middleware: Vec<Middleware<A>>,
    /// Asked about each packet.
    guards: Vec<Guard<A>>,
    any: Vec<OnAny<A>>,
    any_outgoing: Vec<OnAnyOutgoing<A>>,
    upgrade: Vec<OnConnect<A>>,
    drain: Vec<OnConnect<A>>,
    expiring: Vec<OnConnect<A>>,
    rooms: Vec<OnRoom<A>>,
    server_side: BTreeMap<Box<str>, OnServerSide<A>>,
    error: Option<OnSocketError<A>>,
    #[cfg(feature = "stream")]
    streams: streams::Listeners<A>,
}

/// A parent of dynamic namespaces: which names are its own, and whose handlers they get.
struct Parent<A: App> {
    is_mine: IsMine<A>,
    definition: usize,
}

enum Middleware<A: App> {
    Now(Judge<A>),
    Later(JudgeLater<A>),
}

/// What is asked once per server.
struct Hooks<A: App> {
    allow: Option<Allow<A>>,
    request: Option<OnRequest<A>>,
    namespace: Option<OnNamespace<A>>,
    expired: Option<OnExpired<A>>,
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

/// What a timer runs, with the namespace that its setter saw, which may be forgotten by then.
enum Timer<A: App> {
    Once(Place, Once<A>),
    Every(Place, Duration, Every<A>),
}

/// A namespace, told from others that had its key before it.
#[derive(Clone, Copy)]
struct Place {
    namespace: NamespaceKey,
    generation: u32,
}

impl<A: App> Default for Definition<A> {
    fn default() -> Self {
        Definition {
            events: BTreeMap::new(),
            connect: Vec::new(),
            disconnecting: Vec::new(),
            disconnect: Vec::new(),
            middleware: Vec::new(),
            guards: Vec::new(),
            any: Vec::new(),
            any_outgoing: Vec::new(),
            upgrade: Vec::new(),
            drain: Vec::new(),
            expiring: Vec::new(),
            rooms: Vec::new(),
            server_side: BTreeMap::new(),
            error: None,
            #[cfg(feature = "stream")]
            streams: streams::Listeners::default(),
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
        #[cfg(feature = "stream")]
        self.run_streams(flush);
        while let Some(event) = self.hub.poll_event() {
            self.handle_event(event, flush);
            self.tell_failed(flush);
            #[cfg(feature = "stream")]
            self.run_streams(flush);
        }
    }

    fn handle_timeout(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        if self.hub.engine().is_shut() {
            // However late it is, goodbyes are written before those who stay are dropped.
            flush(self.hub.engine_mut());
        }
        self.hub.handle_timeout(now);
        self.dispatch(flush);
        self.run_timers(flush);
        self.tell_soon(flush);
        #[cfg(feature = "stream")]
        self.expire_streams(flush);
        self.dispatch(flush);
    }

    fn handle_mail(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine)) {
        self.hub.engine_mut().tick(now);
        self.outbox.wipe();
        for mail in self.mailbox.take() {
            match mail {
                Mail::Errand(errand) => self.run_errand(errand, flush),
                Mail::Adopt(adopted) => self.adopted.push_back(adopted),
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
        // What is to be told without an event is told in the next turn.
        let timer = if self.soon.is_empty() && self.failed.is_empty() {
            timer
        } else {
            Some(0)
        };
        #[cfg(feature = "stream")]
        let timer = [timer, self.streams.next_deadline_ms()]
            .into_iter()
            .flatten()
            .min();
        let timer = timer.map(|ms| self.hub.engine().epoch() + Duration::from_millis(ms));
        [self.hub.next_deadline(), timer]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_dead(&mut self) -> Option<ConnKey> {
        self.hub.poll_dead()
    }

    fn poll_adopted(&mut self) -> Option<Adopted> {
        self.adopted.pop_front()
    }

    fn is_accepting(&self) -> bool {
        !self.hub.engine().is_ending()
    }

    fn is_closing(&self) -> bool {
        self.hub.engine().is_shut()
    }
}

/// What a handler sees; a function, so that the other fields stay free to be borrowed.
fn desk<'a, A: App>(hub: &'a Hub, outbox: &'a Outbox<A>, post: &'a Arc<dyn Post>) -> Desk<'a, A> {
    Desk { hub, outbox, post }
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
