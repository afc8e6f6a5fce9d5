//! What a program says to the namespace `/` without naming it, as in Node. Nothing here but the
//! forwarding: what each does stands at [`Namespace`](super::Namespace).

use super::Crank;
use crate::{
    app::{App, Outcome, Refusal},
    args::{Args, FromArgs},
    handshake::Handshake,
    id::SocketId,
    namespace::RoomEvent,
    reason::Reason,
    socket::Socket,
    to::Io,
    token::Decision,
};

// The namespace `/`.
impl<A: App> Crank<A> {
    /// [`Namespace::on`](super::Namespace::on) for `/`.
    ///
    /// # Panics
    /// As that one.
    pub fn on<F, T, R>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, T) -> R + Send + 'static,
        T: FromArgs,
        R: Outcome,
    {
        self.of("/").on(event, handler);
        self
    }

    /// [`Namespace::on_raw`](super::Namespace::on_raw) for `/`.
    ///
    /// # Panics
    /// As that one.
    pub fn on_raw<F, R>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Args<'a>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_raw(event, handler);
        self
    }

    /// [`Namespace::on_connect`](super::Namespace::on_connect) for `/`.
    pub fn on_connect<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_connect(handler);
        self
    }

    /// [`Namespace::on_disconnecting`](super::Namespace::on_disconnecting) for `/`.
    pub fn on_disconnecting<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_disconnecting(handler);
        self
    }

    /// [`Namespace::on_disconnect`](super::Namespace::on_disconnect) for `/`.
    pub fn on_disconnect<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Reason) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_disconnect(handler);
        self
    }

    /// [`Namespace::middleware`](super::Namespace::middleware) for `/`.
    pub fn middleware<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>) -> Result<(), Refusal>
            + Send
            + 'static,
    {
        self.of("/").middleware(judge);
        self
    }

    /// [`Namespace::middleware_deferred`](super::Namespace::middleware_deferred) for `/`.
    pub fn middleware_deferred<F>(&mut self, judge: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &Handshake<'a>, Decision) + Send + 'static,
    {
        self.of("/").middleware_deferred(judge);
        self
    }

    /// [`Namespace::event_middleware`](super::Namespace::event_middleware) for `/`.
    pub fn event_middleware<F>(&mut self, guard: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) -> Result<(), Refusal>
            + Send
            + 'static,
    {
        self.of("/").event_middleware(guard);
        self
    }

    /// [`Namespace::on_any`](super::Namespace::on_any) for `/`.
    pub fn on_any<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, &str, Args<'a>) + Send + 'static,
    {
        self.of("/").on_any(handler);
        self
    }

    /// [`Namespace::on_any_outgoing`](super::Namespace::on_any_outgoing) for `/`.
    pub fn on_any_outgoing<F>(&mut self, handler: F) -> &mut Self
    where
        F: FnMut(&mut A, SocketId, &str, Args<'_>) + Send + 'static,
    {
        self.of("/").on_any_outgoing(handler);
        self
    }

    /// [`Namespace::on_upgrade`](super::Namespace::on_upgrade) for `/`.
    pub fn on_upgrade<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_upgrade(handler);
        self
    }

    /// [`Namespace::on_drain`](super::Namespace::on_drain) for `/`.
    pub fn on_drain<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_drain(handler);
        self
    }

    /// [`Namespace::on_expiring`](super::Namespace::on_expiring) for `/`.
    pub fn on_expiring<F, R>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> R + Send + 'static,
        R: Outcome,
    {
        self.of("/").on_expiring(handler);
        self
    }

    /// [`Namespace::on_room`](super::Namespace::on_room) for `/`.
    pub fn on_room<F>(&mut self, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, &str, RoomEvent) + Send + 'static,
    {
        self.of("/").on_room(handler);
        self
    }

    /// [`Namespace::on_server_side`](super::Namespace::on_server_side) for `/`.
    pub fn on_server_side<F>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Io<'a, A>, Args<'a>) + Send + 'static,
    {
        self.of("/").on_server_side(event, handler);
        self
    }

    /// [`Namespace::on_stream`](super::Namespace::on_stream) for `/`.
    #[cfg(feature = "stream")]
    pub fn on_stream<F, T, R>(&mut self, event: &str, handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, T) -> R + Send + 'static,
        T: FromArgs,
        R: Outcome,
    {
        self.of("/").on_stream(event, handler);
        self
    }
}
