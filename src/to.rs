//! Whom an event is for: the whole namespace, rooms, all but some. Each step is a value of its own.

use std::time::Duration;

use serde::Serialize;

use crate::{
    app::App,
    id::{NamespaceKey, SocketId, SocketKey},
    namespace::full_name,
    op::{Select, Target},
    outbox::TimerId,
    raw::{WebSocket, WebSocketId},
    socket::{Desk, Peer},
    stats::Stats,
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

    /// Sends an event to everyone in the namespace. For the arguments see [`Peer::emit`].
    pub fn emit<T: Serialize>(&self, event: &str, args: T) {
        To::new(self.desk, self.namespace).emit(event, args);
    }

    /// Everyone in a room, or in any of several; each once.
    pub fn to(&self, rooms: impl Rooms) -> To<'a, A> {
        To::new(self.desk, self.namespace).to(rooms)
    }

    /// The same by its other name; the word of the official API, `in`, is one of Rust's.
    pub fn within(&self, rooms: impl Rooms) -> To<'a, A> {
        self.to(rooms)
    }

    /// Everyone who is not in a room.
    pub fn except(&self, rooms: impl Rooms) -> To<'a, A> {
        To::new(self.desk, self.namespace).except(rooms)
    }

    /// Everyone, but each only if it can be written to at once.
    pub fn volatile(&self) -> To<'a, A> {
        To::new(self.desk, self.namespace).volatile()
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

    /// Another namespace, if there is one of this name (a leading `/` is added).
    pub fn of(&self, name: &str) -> Option<Io<'a, A>> {
        let namespace = self.desk.hub.namespace_key(&full_name(name))?;
        Some(Io {
            desk: self.desk,
            namespace,
        })
    }

    /// An application WebSocket, to be sent to from elsewhere than its own handlers.
    pub fn websocket(&self, id: WebSocketId) -> WebSocket<'a, A> {
        WebSocket::new(self.desk, id)
    }

    /// Calls `run` once, after `after`, with this namespace.
    pub fn set_timeout<F>(&self, after: Duration, run: F) -> TimerId
    where
        F: for<'b> FnOnce(&mut A, Io<'b, A>) + Send + 'static,
    {
        self.desk.outbox.once(self.namespace, after, Box::new(run))
    }

    /// Calls `run` again and again, every `period` (at least 1 ms), with this namespace.
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
}

impl<A: App> Clone for Io<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: App> Copy for Io<'_, A> {}

/// A selection of sockets of one namespace; `emit` sends to each of them once.
#[must_use = "an operator does nothing until it emits"]
pub struct To<'a, A: App> {
    desk: Desk<'a, A>,
    namespace: NamespaceKey,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    except_socket: Option<SocketKey>,
    is_volatile: bool,
}

impl<'a, A: App> To<'a, A> {
    pub(crate) fn new(desk: Desk<'a, A>, namespace: NamespaceKey) -> To<'a, A> {
        To {
            desk,
            namespace,
            rooms: Vec::new(),
            except: Vec::new(),
            except_socket: None,
            is_volatile: false,
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
    pub fn volatile(self) -> To<'a, A> {
        To {
            is_volatile: true,
            ..self
        }
    }

    /// Sends the event. For the arguments see [`Peer::emit`].
    pub fn emit<T: Serialize>(self, event: &str, args: T) {
        let To {
            desk,
            namespace,
            rooms,
            except,
            except_socket,
            is_volatile,
        } = self;
        let to = if rooms.is_empty() && except.is_empty() {
            Target::Namespace {
                namespace,
                except: except_socket,
            }
        } else {
            Target::Select(Box::new(Select {
                namespace,
                rooms,
                except,
                except_socket,
            }))
        };
        desk.outbox.emit(to, event, &args, is_volatile, None);
    }
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
