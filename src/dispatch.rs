//! What the loop asks of a server: the seam between I/O and user code.

use std::time::Instant;

use crate::{adopt::Adopted, engine::Engine, id::ConnKey};

/// A server without I/O. The loop gives it bytes and time through its engine, lets it dispatch what
/// happened to the application, and writes what it has to say.
pub trait Dispatch {
    /// The connections: inputs and outputs of the loop.
    fn engine(&mut self) -> &mut Engine;

    /// Tells the application everything that happened. During a broadcast `flush` is called to
    /// write what is queued, so that the first receivers do not wait for the last.
    fn dispatch(&mut self, flush: &mut dyn FnMut(&mut Engine));

    /// Time has passed, and everything readable has been read.
    fn handle_timeout(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine));

    /// Somebody on another thread has left something.
    fn handle_mail(&mut self, now: Instant, flush: &mut dyn FnMut(&mut Engine));

    /// When `handle_timeout` is to be called next.
    fn next_deadline(&self) -> Option<Instant>;

    /// A connection that is over: drop its stream.
    fn poll_dead(&mut self) -> Option<ConnKey>;

    /// A connection that was accepted elsewhere, to be served like the loop's own.
    fn poll_adopted(&mut self) -> Option<Adopted>;

    /// Whether new connections are let in; `false` for good once it was asked to end.
    fn is_accepting(&self) -> bool;

    /// Whether everyone was told that it ends. The loop then waits for the last connections, for a
    /// while.
    fn is_closing(&self) -> bool;
}
