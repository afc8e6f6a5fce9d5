//! Whom an event is for, and how it is sent: the whole namespace, rooms, all but some, one socket.
//! Each step is a value of its own.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    app::App,
    args::FromArgs,
    hub::{AckError, Gathered},
    id::{NamespaceKey, SocketId, SocketKey},
    namespace::full_name,
    op::{Flags, Op, Select, Target},
    outbox::{Asking, Gathering, Soon, TimerId},
    raw::{WebSocket, WebSocketId},
    socket::{Desk, Peer, Socket},
    stats::{Census, Stats},
};

/// One namespace, seen from a handler or a timer: everyone in it, its rooms, its sockets.
pub struct Io<'a, A: App> {
    desk: Desk<'a, A>,
    namespace: NamespaceKey,
}

impl<'a, A: App> Io<'a, A> {
    pub(crate) fn new(desk: Desk<'a, A>, namespace: NamespaceKey) -> Io<'a, A> {
        Io { desk, namespace }
    }

    fn everyone(&self) -> To<'a, A> {
        To::new(self.desk, self.namespace)
    }

    /// The namespace's name, with its slash.
    pub fn name(&self) -> &'a str {
        self.desk.hub.namespace_name(self.namespace)
    }

    /// Sends an event to everyone in the namespace. For the arguments see [`Peer::emit`].
    pub fn emit<T: Serialize>(&self, event: &str, args: T) {
        self.everyone().emit(event, args);
    }

    /// Sends the event `message` to everyone in the namespace.
    pub fn send<T: Serialize>(&self, args: T) {
        self.everyone().send(args);
    }

    /// Everyone in a room, or in any of several; each once.
    pub fn to(&self, rooms: impl Rooms) -> To<'a, A> {
        self.everyone().to(rooms)
    }

    /// The same by its other name; the word of the official API, `in`, is one of Rust's.
    pub fn within(&self, rooms: impl Rooms) -> To<'a, A> {
        self.to(rooms)
    }

    /// Everyone who is not in a room.
    pub fn except(&self, rooms: impl Rooms) -> To<'a, A> {
        self.everyone().except(rooms)
    }

    /// Everyone, but each only if it can be written to at once.
    pub fn volatile(&self) -> To<'a, A> {
        self.everyone().volatile()
    }

    /// Everyone; whether polling answers with it may be compressed.
    pub fn compress(&self, compress: bool) -> To<'a, A> {
        self.everyone().compress(compress)
    }

    /// Everyone on this node of a cluster, once there are others.
    pub fn local(&self) -> To<'a, A> {
        self.everyone().local()
    }

    /// Everyone, who are given so much time to acknowledge.
    pub fn timeout(&self, timeout: Duration) -> Timed<To<'a, A>> {
        self.everyone().timeout(timeout)
    }

    /// See [`To::fetch_sockets`].
    pub fn fetch_sockets<F>(&self, then: F)
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>, Vec<RemoteSocket>) + Send + 'static,
    {
        self.everyone().fetch_sockets(then);
    }

    /// Puts everyone in the namespace into a room, or into several.
    pub fn sockets_join(&self, rooms: impl Rooms) {
        self.everyone().sockets_join(rooms);
    }

    /// Takes everyone in the namespace out of a room, or out of several.
    pub fn sockets_leave(&self, rooms: impl Rooms) {
        self.everyone().sockets_leave(rooms);
    }

    /// Disconnects everyone in the namespace; with `close`, their connections too.
    pub fn disconnect_sockets(&self, close: bool) {
        self.everyone().disconnect_sockets(close);
    }

    /// Tells the other nodes of a cluster an event; their
    /// [`on_server_side`](crate::Namespace::on_server_side) handlers hear it. There are no others
    /// yet, so nothing happens.
    pub fn server_side_emit<T: Serialize>(&self, event: &str, args: T) {
        let _ = (event, args);
    }

    /// The same with an answer from each of the other nodes: from none, for now, and `then` is told
    /// so when the handler has returned.
    pub fn server_side_emit_with_ack<T, R, F>(&self, event: &str, args: T, then: F)
    where
        T: Serialize,
        R: DeserializeOwned,
        F: for<'b> FnOnce(&mut A, Io<'b, A>, Result<Vec<R>, Unanswered<R>>) + Send + 'static,
    {
        let _ = (event, args);
        let gathered = Gathered::none(self.namespace, None);
        let soon = Soon::Gathered(gathered, gathering(then));
        self.desk.outbox.soon(soon);
    }

    /// The socket with this id, if it is connected to this namespace.
    pub fn socket(&self, id: SocketId) -> Option<Peer<'a, A>> {
        let hub = self.desk.hub;
        let key = hub.resolve(id).filter(|&key| hub.is_connected(key))?;
        (hub.namespace(key) == self.namespace).then_some(Peer {
            desk: self.desk,
            key,
        })
    }

    /// The ids of all sockets connected to the namespace.
    pub fn sockets(&self) -> impl Iterator<Item = SocketId> + use<'a, A> {
        let hub = self.desk.hub;
        hub.members(self.namespace)
            .iter()
            .filter(move |&&key| hub.is_connected(key))
            .map(move |&key| hub.id(key))
    }

    /// The names of all rooms of the namespace that have a member, in no order that matters; the
    /// sockets' own rooms, which their ids name, are not listed.
    pub fn rooms(&self) -> impl Iterator<Item = &'a str> + use<'a, A> {
        self.desk.hub.room_names(self.namespace)
    }

    /// All namespaces that there are, in no order that matters.
    pub fn namespaces(&self) -> impl Iterator<Item = Io<'a, A>> + use<'a, A> {
        let desk = self.desk;
        desk.hub
            .namespaces()
            .map(move |namespace| Io { desk, namespace })
    }

    /// Another namespace, if there is one of this name (a leading `/` is added).
    pub fn of(&self, name: &str) -> Option<Io<'a, A>> {
        let namespace = self.desk.hub.namespace_key(&full_name(name))?;
        Some(Io {
            desk: self.desk,
            namespace,
        })
    }

    /// The namespaces that clients have asked for and this parent has let come to be
    /// ([`of_dynamic`](crate::Crank::of_dynamic)).
    pub fn children(&self, parent: ParentId) -> impl Iterator<Item = Io<'a, A>> + use<'a, A> {
        let desk = self.desk;
        desk.hub
            .tagged(parent.0)
            .map(move |namespace| Io { desk, namespace })
    }

    /// An application WebSocket, to be sent to from elsewhere than its own handlers.
    pub fn websocket(&self, id: WebSocketId) -> WebSocket<'a, A> {
        WebSocket::new(self.desk, id)
    }

    /// Calls `run` once, after `after`, with this namespace. A namespace that is forgotten
    /// meanwhile takes its timers with it.
    pub fn set_timeout<F>(&self, after: Duration, run: F) -> TimerId
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>) + Send + 'static,
    {
        self.desk.outbox.once(self.namespace, after, Box::new(run))
    }

    /// Calls `run` again and again, `period` (at least 1 ms) after it was called last, with this
    /// namespace: a turn that is late moves the later ones, and none is made up for.
    pub fn set_interval<F>(&self, period: Duration, run: F) -> TimerId
    where
        F: for<'b> FnMut(&mut A, Io<'b, A>) + Send + 'static,
    {
        self.desk
            .outbox
            .every(self.namespace, period, Box::new(run))
    }

    /// Ends a timer; one that has ended already is no error.
    pub fn clear_timer(&self, id: TimerId) {
        self.desk.outbox.clear(id);
    }

    /// Counters and gauges as they are now.
    pub fn stats(&self) -> Stats {
        self.desk.hub.stats()
    }

    /// What connections and sessions are doing now; looks at each of them.
    pub fn census(&self) -> Census {
        self.desk.hub.engine().census()
    }
}

impl<A: App> Clone for Io<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: App> Copy for Io<'_, A> {}

/// Names a parent of dynamic namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParentId(pub(crate) u32);

/// A selection of sockets of one namespace; `emit` sends to each of them once.
#[must_use = "an operator does nothing until it emits"]
pub struct To<'a, A: App> {
    desk: Desk<'a, A>,
    namespace: NamespaceKey,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    except_socket: Option<SocketKey>,
    flags: Flags,
}

impl<'a, A: App> To<'a, A> {
    pub(crate) fn new(desk: Desk<'a, A>, namespace: NamespaceKey) -> To<'a, A> {
        To {
            desk,
            namespace,
            rooms: Vec::new(),
            except: Vec::new(),
            except_socket: None,
            flags: Flags::default(),
        }
    }

    pub(crate) fn except_socket(self, socket: SocketKey) -> To<'a, A> {
        To {
            except_socket: Some(socket),
            ..self
        }
    }

    /// Also those in this room, or in these.
    pub fn to(mut self, rooms: impl Rooms) -> To<'a, A> {
        rooms.each(&mut |room| self.rooms.push(room.into()));
        self
    }

    /// The same by its other name.
    pub fn within(self, rooms: impl Rooms) -> To<'a, A> {
        self.to(rooms)
    }

    /// Not those in this room, or in these; ids of sockets are rooms.
    pub fn except(mut self, rooms: impl Rooms) -> To<'a, A> {
        rooms.each(&mut |room| self.except.push(room.into()));
        self
    }

    /// Each only if it can be written to at once; for the others the event is lost.
    pub fn volatile(mut self) -> To<'a, A> {
        self.flags.is_volatile = true;
        self
    }

    /// Whether polling answers may be compressed because of this event (feature `compression`; they
    /// may be if nobody says otherwise). WebSocket messages are not compressed.
    pub fn compress(mut self, compress: bool) -> To<'a, A> {
        self.flags.is_incompressible = !compress;
        self
    }

    /// Only those on this node of a cluster, once there are others.
    pub fn local(mut self) -> To<'a, A> {
        self.flags.is_local = true;
        self
    }

    /// The same, who are given so much time to acknowledge.
    pub fn timeout(self, timeout: Duration) -> Timed<To<'a, A>> {
        Timed { to: self, timeout }
    }

    /// Sends the event. For the arguments see [`Peer::emit`].
    pub fn emit<T: Serialize>(self, event: &str, args: T) {
        let (desk, flags) = (self.desk, self.flags);
        desk.outbox.emit(self.target(), event, &args, flags, None);
    }

    /// Sends the event `message`.
    pub fn send<T: Serialize>(self, args: T) {
        self.emit("message", args);
    }

    /// Tells `then` which sockets are meant, on all nodes of a cluster once there are others, when
    /// the handler has returned. [`To::sockets`] tells those of this process at once.
    pub fn fetch_sockets<F>(self, then: F)
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>, Vec<RemoteSocket>) + Send + 'static,
    {
        let outbox = self.desk.outbox;
        outbox.soon(Soon::Fetched(self.target(), Box::new(then)));
    }

    /// The connected sockets that are meant, of this process. Rooms are those of before this
    /// handler.
    pub fn sockets(self) -> Vec<Peer<'a, A>> {
        let desk = self.desk;
        let keys = desk.hub.selected(&self.target());
        keys.into_iter().map(|key| Peer { desk, key }).collect()
    }

    /// Puts everyone who is meant into a room, or into several.
    pub fn sockets_join(self, rooms: impl Rooms) {
        let outbox = self.desk.outbox;
        let to = self.target();
        rooms.each(&mut |room| outbox.move_all(to.clone(), room, true));
    }

    /// Takes everyone who is meant out of a room, or out of several.
    pub fn sockets_leave(self, rooms: impl Rooms) {
        let outbox = self.desk.outbox;
        let to = self.target();
        rooms.each(&mut |room| outbox.move_all(to.clone(), room, false));
    }

    /// Disconnects everyone who is meant; with `close`, their connections too.
    pub fn disconnect_sockets(self, close: bool) {
        let outbox = self.desk.outbox;
        let to = self.target();
        outbox.op(Op::DisconnectAll { to, close });
    }

    fn target(self) -> Target {
        let To {
            namespace,
            rooms,
            except,
            except_socket,
            ..
        } = self;
        if rooms.is_empty() && except.is_empty() {
            return Target::Namespace {
                namespace,
                except: except_socket,
            };
        }
        Target::Select(Box::new(Select {
            namespace,
            rooms,
            except,
            except_socket,
        }))
    }
}

/// One socket, and how an event is sent to it.
#[must_use = "an operator does nothing until it emits"]
pub struct Only<'a, A: App> {
    peer: Peer<'a, A>,
    flags: Flags,
}

impl<'a, A: App> Only<'a, A> {
    pub(crate) fn new(peer: Peer<'a, A>) -> Only<'a, A> {
        Only {
            peer,
            flags: Flags::default(),
        }
    }

    /// Only if it can be written to at once; otherwise the event is lost.
    pub fn volatile(mut self) -> Only<'a, A> {
        self.flags.is_volatile = true;
        self
    }

    /// Whether a polling answer may be compressed because of this event.
    pub fn compress(mut self, compress: bool) -> Only<'a, A> {
        self.flags.is_incompressible = !compress;
        self
    }

    /// The same, which is given so much time to acknowledge.
    pub fn timeout(self, timeout: Duration) -> Timed<Only<'a, A>> {
        Timed { to: self, timeout }
    }

    /// Sends the event. For the arguments see [`Peer::emit`].
    pub fn emit<T: Serialize>(self, event: &str, args: T) {
        let (peer, flags) = (self.peer, self.flags);
        let to = Target::Socket(peer.key);
        peer.desk.outbox.emit(to, event, &args, flags, None);
    }

    /// Sends the event `message`.
    pub fn send<T: Serialize>(self, args: T) {
        self.emit("message", args);
    }
}

/// Receivers who are given so much time to acknowledge.
#[must_use = "an operator does nothing until it emits"]
pub struct Timed<T> {
    to: T,
    timeout: Duration,
}

impl<A: App> Timed<Only<'_, A>> {
    /// See [`Peer::emit_with_ack`].
    pub fn emit_with_ack<E, T, F>(self, event: &str, args: E, then: F)
    where
        E: Serialize,
        T: FromArgs,
        F: for<'b> FnOnce(&mut A, Socket<'b, A>, Result<T, AckError>) + Send + 'static,
    {
        let Timed { to, timeout } = self;
        to.peer.ask(event, &args, to.flags, timeout, then);
    }
}

impl<A: App> Timed<To<'_, A>> {
    /// Sends the event and calls `then` once: with the first argument of everybody's
    /// acknowledgement (in the order in which they came), or with those that came, when the time is
    /// over or somebody will never answer. Nobody there is no error, and no answers.
    pub fn emit_with_ack<E, T, F>(self, event: &str, args: E, then: F)
    where
        E: Serialize,
        T: DeserializeOwned,
        F: for<'b> FnOnce(&mut A, Io<'b, A>, Result<Vec<T>, Unanswered<T>>) + Send + 'static,
    {
        let Timed { to, timeout } = self;
        let (desk, flags) = (to.desk, to.flags);
        let asking = Asking::All(timeout, gathering(then));
        desk.outbox
            .emit(to.target(), event, &args, flags, Some(asking));
    }
}

/// What `then` is told when not everyone has acknowledged a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered<T> {
    /// The answers that came, as far as they are what `then` takes.
    pub answers: Vec<T>,
    /// Receivers without an answer.
    pub missing: u32,
    /// Why the last of them has none.
    pub error: AckError,
}

fn gathering<A, T, F>(then: F) -> Gathering<A>
where
    A: App,
    T: DeserializeOwned,
    F: for<'b> FnOnce(&mut A, Io<'b, A>, Result<Vec<T>, Unanswered<T>>) + Send + 'static,
{
    Box::new(move |app, io, gathered| {
        let all = gathered.answers.len();
        let read = gathered
            .answers
            .iter()
            .map(|answer| answer.as_args().get(0));
        let answers: Vec<T> = read.filter_map(Result::ok).collect();
        let mismatched = all - answers.len();
        let error = match gathered.error {
            None if mismatched == 0 => return then(app, io, Ok(answers)),
            None => AckError::Mismatch,
            Some(error) => error,
        };
        let missing = gathered.missing + mismatched as u32;
        let unanswered = Unanswered {
            answers,
            missing,
            error,
        };
        then(app, io, Err(unanswered));
    })
}

/// A socket somewhere in the cluster, as [`To::fetch_sockets`] found it. To act on it, name it as a
/// room: `io.to(socket.id).emit(..)`, `.sockets_join(..)`, `.disconnect_sockets(..)`.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteSocket {
    /// Its id.
    pub id: SocketId,
    /// The rooms it is in, without its own.
    pub rooms: Vec<String>,
    /// What its node shares of its data ([`App::share`]).
    pub data: Value,
}

/// One room or several: a name, a socket's id, or a list of either.
pub trait Rooms {
    /// Gives each name.
    fn each(self, give: &mut dyn FnMut(&str));
}

impl Rooms for &str {
    fn each(self, give: &mut dyn FnMut(&str)) {
        give(self);
    }
}

impl Rooms for String {
    fn each(self, give: &mut dyn FnMut(&str)) {
        give(&self);
    }
}

impl Rooms for &String {
    fn each(self, give: &mut dyn FnMut(&str)) {
        give(self);
    }
}

impl Rooms for &SocketId {
    fn each(self, give: &mut dyn FnMut(&str)) {
        (*self).each(give);
    }
}

impl<'a, T> Rooms for &'a Vec<T>
where
    &'a T: Rooms,
{
    fn each(self, give: &mut dyn FnMut(&str)) {
        self.as_slice().each(give);
    }
}

impl Rooms for &&str {
    fn each(self, give: &mut dyn FnMut(&str)) {
        give(self);
    }
}

impl Rooms for SocketId {
    fn each(self, give: &mut dyn FnMut(&str)) {
        give(&self.to_string());
    }
}

impl<T: Rooms, const N: usize> Rooms for [T; N] {
    fn each(self, give: &mut dyn FnMut(&str)) {
        self.into_iter().for_each(|room| room.each(give));
    }
}

impl<T: Rooms> Rooms for Vec<T> {
    fn each(self, give: &mut dyn FnMut(&str)) {
        self.into_iter().for_each(|room| room.each(give));
    }
}

impl<'a, T> Rooms for &'a [T]
where
    &'a T: Rooms,
{
    fn each(self, give: &mut dyn FnMut(&str)) {
        self.iter().for_each(|room| room.each(give));
    }
}
