//! What a handler sees of one client in one namespace.

use std::{ops::Deref, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    app::App,
    args::FromArgs,
    engine::Transport,
    handshake::Handshake,
    hub::{AckError, Hub},
    id::{SocketId, SocketKey},
    op::{Flags, Op, Target},
    outbox::{Asking, Outbox},
    to::{Io, Only, Rooms, Timed, To},
    token::{Ack, Post},
};

/// One client in one namespace, while one of its handlers runs. What it is asked to do is done when
/// the handler has returned, in the order in which it was asked.
pub struct Socket<'a, A: App> {
    /// What the application keeps for this socket.
    pub data: &'a mut A::Data,
    peer: Peer<'a, A>,
}

/// A socket without its data: what `split` leaves, and what `io.socket(id)` finds.
pub struct Peer<'a, A: App> {
    pub(crate) desk: Desk<'a, A>,
    pub(crate) key: SocketKey,
}

/// What everything a handler sees is made from: what may be read, and where requests are written.
pub(crate) struct Desk<'a, A: App> {
    pub hub: &'a Hub,
    pub outbox: &'a Outbox<A>,
    pub post: &'a Arc<dyn Post>,
}

impl<A: App> Clone for Desk<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: App> Copy for Desk<'_, A> {}

impl<'a, A: App> Socket<'a, A> {
    pub(crate) fn new(data: &'a mut A::Data, desk: Desk<'a, A>, key: SocketKey) -> Socket<'a, A> {
        Socket {
            data,
            peer: Peer { desk, key },
        }
    }

    /// The data and the socket apart, for borrows of the data that last:
    /// `let (data, socket) = socket.split();`.
    pub fn split(self) -> (&'a mut A::Data, Peer<'a, A>) {
        (self.data, self.peer)
    }
}

impl<'a, A: App> Deref for Socket<'a, A> {
    type Target = Peer<'a, A>;

    fn deref(&self) -> &Peer<'a, A> {
        &self.peer
    }
}

impl<A: App> Clone for Peer<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: App> Copy for Peer<'_, A> {}

impl<'a, A: App> Peer<'a, A> {
    /// Its public id: 20 characters, also the name of the room that only it is in.
    pub fn id(&self) -> SocketId {
        self.desk.hub.id(self.key)
    }

    /// The secret id of the Engine.IO session below it. Whoever knows it may speak for the client.
    pub fn sid(&self) -> crate::id::Sid {
        self.desk.hub.engine().sid(self.desk.hub.session(self.key))
    }

    /// The name of its namespace.
    pub fn namespace(&self) -> &'a str {
        self.desk
            .hub
            .namespace_name(self.desk.hub.namespace(self.key))
    }

    /// Whether it can still be sent to.
    pub fn is_connected(&self) -> bool {
        self.desk.hub.is_connected(self.key)
    }

    /// Whether it has come back with its state, after its client had lost the connection
    /// (`Config::recovery`).
    pub fn recovered(&self) -> bool {
        self.desk.hub.is_recovered(self.key)
    }

    /// The transport that carries it now.
    pub fn transport(&self) -> Transport {
        self.desk.hub.transport(self.key)
    }

    /// The request that opened its session, as far as it is kept: all of it in middleware and
    /// `on_connect` of the first namespace, later what [`Config::keep_headers`](crate::Config)
    /// says.
    pub fn handshake(&self) -> Handshake<'a> {
        self.desk.hub.handshake(self.key)
    }

    /// Sends an event to this client. A tuple or array `[T; N]` is several arguments, `()` none,
    /// anything else one; [`Bytes`](crate::Bytes) anywhere inside travel as binary. An event with a
    /// reserved name, or arguments that are no JSON, go to the error hook instead.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) {
        self.desk.outbox.emit(
            Target::Socket(self.key),
            event,
            &args,
            Flags::default(),
            None,
        );
    }

    /// Sends the event `message`.
    pub fn send<T: Serialize>(&self, args: T) {
        self.emit("message", args);
    }

    /// The same socket, to be sent to only if it can be written to at once.
    pub fn volatile(&self) -> Only<'a, A> {
        Only::new(*self).volatile()
    }

    /// The same socket; whether a polling answer may be compressed because of what is sent.
    pub fn compress(&self, compress: bool) -> Only<'a, A> {
        Only::new(*self).compress(compress)
    }

    /// The same socket, which is given so much time to acknowledge.
    pub fn timeout(&self, timeout: Duration) -> Timed<Only<'a, A>> {
        Only::new(*self).timeout(timeout)
    }

    /// Sends an event and calls `then` with the client's answer, or with the reason why there is
    /// none: after `timeout`, or at once when the socket is gone.
    pub fn emit_with_ack<E, T, F>(&self, event: &str, args: E, timeout: Duration, then: F)
    where
        E: Serialize,
        T: FromArgs,
        F: for<'b> FnOnce(&mut A, Socket<'b, A>, Result<T, AckError>) + Send + 'static,
    {
        self.ask(event, &args, Flags::default(), timeout, then);
    }

    pub(crate) fn ask<E, T, F>(
        &self,
        event: &str,
        args: &E,
        flags: Flags,
        timeout: Duration,
        then: F,
    ) where
        E: Serialize,
        T: FromArgs,
        F: for<'b> FnOnce(&mut A, Socket<'b, A>, Result<T, AckError>) + Send + 'static,
    {
        let then = Box::new(
            move |app: &mut A, socket: Socket<'_, A>, answer: Result<crate::Args<'_>, AckError>| {
                let answer =
                    answer.and_then(|args| T::from_args(&args).map_err(|_| AckError::Mismatch));
                then(app, socket, answer);
            },
        );
        let (to, asking) = (Target::Socket(self.key), Asking::One(timeout, then));
        self.desk.outbox.emit(to, event, args, flags, Some(asking));
    }

    /// Bytes that wait for this client: queued by the server, not yet taken by the kernel or by a
    /// poll. See `Config::backlog_bytes_max`, and [`on_drain`](crate::Namespace::on_drain).
    pub fn backlog_bytes(&self) -> usize {
        self.desk
            .hub
            .engine()
            .backlog_bytes(self.desk.hub.session(self.key))
    }

    /// Limits the socket's time, as credentials do that expire: `on_expiring` is called
    /// `Config::expiry_warning` before the end, then the connection is closed, so that the client
    /// comes back by itself and presents fresh ones: it is not recovered. One that loses its
    /// connection earlier, and is recovered, keeps its end. Called again it moves the end; in
    /// middleware it counts from there.
    pub fn expires_in(&self, after: Duration) {
        let (socket, after) = (self.key, Some(after));
        self.desk.outbox.op(Op::Expire { socket, after });
    }

    /// Takes the limit of [`expires_in`](Peer::expires_in) back.
    pub fn never_expires(&self) {
        let (socket, after) = (self.key, None);
        self.desk.outbox.op(Op::Expire { socket, after });
    }

    /// Answers the acknowledgement that the event being handled asks for. Without one, and after
    /// the first answer, nothing happens.
    pub fn reply<T: Serialize>(&self, args: T) {
        self.desk.outbox.reply(self.key, self.id(), &args);
    }

    /// Takes the acknowledgement, to be answered later or elsewhere. `None` if none was asked for,
    /// or it was answered.
    pub fn ack(&self) -> Option<Ack> {
        let ack = self.desk.outbox.take_ack(self.key)?;
        Some(Ack {
            to: self.id(),
            ack,
            post: Arc::clone(self.desk.post),
        })
    }

    /// Puts it into a room, which exists from its first member on. Beyond
    /// `Config::rooms_per_socket_max`, or with a name beyond `Config::name_bytes_max`, the error
    /// hook is told instead.
    pub fn join(&self, room: impl AsRef<str>) {
        self.desk.outbox.join(self.key, room.as_ref());
    }

    /// Takes it out of a room.
    pub fn leave(&self, room: impl AsRef<str>) {
        self.desk.outbox.leave(self.key, room.as_ref());
    }

    /// The rooms it is in, as this handler's `join` and `leave` of it leave them; its own room,
    /// which its id names, is not listed.
    pub fn rooms(&self) -> Vec<String> {
        let mut rooms: Vec<_> = self.desk.hub.rooms(self.key).map(str::to_owned).collect();
        self.desk.outbox.write(|sheet| {
            let arena = &sheet.recorded.arena;
            let name = |room: &std::ops::Range<usize>| {
                String::from_utf8_lossy(&arena[room.clone()]).into_owned()
            };
            for op in &sheet.recorded.ops {
                match op {
                    Op::Join { socket, room } if *socket == self.key => {
                        let room = name(room);
                        let is_own = SocketId::parse(&room) == Some(self.id());
                        if !is_own && !rooms.contains(&room) {
                            rooms.push(room);
                        }
                    }
                    Op::Leave { socket, room } if *socket == self.key => {
                        let room = name(room);
                        rooms.retain(|other| *other != room);
                    }
                    _ => {}
                }
            }
        });
        rooms
    }

    /// Everyone else in the namespace.
    pub fn broadcast(&self) -> To<'a, A> {
        let namespace = self.desk.hub.namespace(self.key);
        To::new(self.desk, namespace).except_socket(self.key)
    }

    /// Everyone else in a room, or in any of several.
    pub fn to(&self, rooms: impl Rooms) -> To<'a, A> {
        self.broadcast().to(rooms)
    }

    /// The same by its other name; the word of the official API, `in`, is one of Rust's.
    pub fn within(&self, rooms: impl Rooms) -> To<'a, A> {
        self.to(rooms)
    }

    /// Everyone else, without a room.
    pub fn except(&self, rooms: impl Rooms) -> To<'a, A> {
        self.broadcast().except(rooms)
    }

    /// The whole namespace, this socket included.
    pub fn io(&self) -> Io<'a, A> {
        Io::new(self.desk, self.desk.hub.namespace(self.key))
    }

    /// Ends the socket: the client is told to leave the namespace. With `close`, it leaves all its
    /// namespaces and the connection is closed. What was emitted before is sent before.
    pub fn disconnect(&self, close: bool) {
        self.desk.outbox.op(Op::Disconnect {
            socket: self.key,
            close,
        });
    }

    /// Closes the connection below, without telling the client's namespaces first: it will
    /// reconnect.
    pub fn close_connection(&self) {
        self.desk.outbox.op(Op::CloseSession { socket: self.key });
    }
}
