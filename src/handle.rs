//! The face of a server towards other threads: a mailbox and a way to wake the loop.
//!
//! What always holds: no call blocks longer than a push; a full or closed mailbox is an error, and
//! what it refused has no effect.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;

use crate::{
    adopt::{AdoptError, Adopted, AdoptedStream},
    app::App,
    namespace::full_name,
    op::Flags,
    outbox::Once,
    to::{Io, Rooms},
    token::{Emission, Errand, HandleError, Post, encode},
};

/// A server as other threads see it. Clones are cheap and speak to the same server.
pub struct Handle<A: App> {
    mailbox: Arc<Mailbox<A>>,
}

impl<A: App> Handle<A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<A>>) -> Handle<A> {
        Handle { mailbox }
    }

    /// Sends an event to everyone in the namespace `/`. For the arguments see
    /// [`Peer::emit`](crate::Peer::emit).
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), HandleError> {
        self.of("/").emit(event, args)
    }

    /// Everyone in a room of `/`, or in any of several; a socket's id is a room.
    pub fn to(&self, rooms: impl Rooms) -> HandleTo<'_, A> {
        self.of("/").to(rooms)
    }

    /// Another namespace (a leading `/` is added). One that does not exist has nobody in it.
    pub fn of(&self, namespace: &str) -> HandleTo<'_, A> {
        HandleTo {
            mailbox: &self.mailbox,
            namespace: full_name(namespace).into(),
            rooms: Vec::new(),
            except: Vec::new(),
            flags: Flags::default(),
        }
    }

    /// Runs `run` on the server's thread, between two turns of the loop.
    pub fn run<F>(&self, run: F) -> Result<(), HandleError>
    where
        F: for<'a> FnOnce(&mut A, Io<'a, A>) + Send + 'static,
    {
        self.mailbox.push(Mail::Run(Box::new(run)))
    }

    /// Ends the server: each socket's `on_disconnect` gets `Reason::ServerShuttingDown`, clients
    /// see their transport close (and will try to come back), `run` returns. A program that wants
    /// to end so on Ctrl-C calls it from the thread that waits for signals. See also `shutdown`.
    pub fn close(&self) -> Result<(), HandleError> {
        self.mailbox.post(Errand::Close)
    }

    /// Ends the server within `grace`, so that its clients do not all come back at the same time.
    /// At once nobody is accepted any more and handshakes get 503. Clients are then told in even
    /// slices, the first now: what was sent to one leaves before its transport closes, and its
    /// sockets' `on_disconnect` gets `Reason::ServerShuttingDown`. A client that polls is told
    /// when it asks, at the latest at the end of `grace`. Those that poll come before those on a
    /// WebSocket: connections that stand go on serving them, but one that needs another meanwhile
    /// finds nobody listening, and loses its session before its turn. The address is free for a
    /// successor from the first moment.
    ///
    /// `run` returns when the last client has gone, and three seconds after `grace` in any case.
    /// Called again, those left are spread over the new time; `close` tells them all.
    pub fn shutdown(&self, grace: Duration) -> Result<(), HandleError> {
        self.mailbox.post(Errand::Shutdown(grace))
    }

    /// Serves a connection that another HTTP server or listener has accepted, and from which it has
    /// read `bytes_read` (at most 64 KiB: a request's head, and what came with it). From here on it
    /// is as if the server had accepted it itself: its limits hold, and it answers requests that
    /// are not for its path as well. Beyond `Config::connections_max`, or when the server is
    /// ending, it is closed unanswered.
    ///
    /// A full or closed mailbox gives it back.
    pub fn adopt(
        &self,
        stream: impl Into<AdoptedStream>,
        bytes_read: Vec<u8>,
    ) -> Result<(), AdoptError> {
        self.mailbox.adopt(Adopted::new(stream, bytes_read)?)
    }
}

impl<A: App> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Handle {
            mailbox: Arc::clone(&self.mailbox),
        }
    }
}

/// Whom an event from another thread is for.
#[must_use = "an operator does nothing until it emits"]
pub struct HandleTo<'a, A: App> {
    mailbox: &'a Mailbox<A>,
    namespace: Box<str>,
    rooms: Vec<Box<str>>,
    except: Vec<Box<str>>,
    flags: Flags,
}

impl<A: App> HandleTo<'_, A> {
    /// Those in this room, or in these.
    pub fn to(mut self, rooms: impl Rooms) -> Self {
        rooms.each(&mut |room| self.rooms.push(room.into()));
        self
    }

    /// Not those in this room, or in these.
    pub fn except(mut self, rooms: impl Rooms) -> Self {
        rooms.each(&mut |room| self.except.push(room.into()));
        self
    }

    /// Each only if it can be written to at once.
    pub fn volatile(mut self) -> Self {
        self.flags.is_volatile = true;
        self
    }

    /// Whether polling answers may be compressed because of this event.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.is_incompressible = !compress;
        self
    }

    /// Sends the event.
    pub fn emit<T: Serialize>(self, event: &str, args: T) -> Result<(), HandleError> {
        let (json, attachments) = encode(Some(event), &args)?;
        let HandleTo {
            mailbox,
            namespace,
            rooms,
            except,
            flags,
        } = self;
        mailbox.post(Errand::Emit(Box::new(Emission {
            namespace,
            rooms,
            except,
            flags,
            json,
            attachments,
        })))
    }
}

/// What other threads have left.
pub(crate) struct Mailbox<A: App> {
    mails: Mutex<VecDeque<Mail<A>>>,
    mails_max: usize,
    is_closed: AtomicBool,
    /// How the loop is woken; nothing before there is one.
    wake: OnceLock<Wake>,
}

/// Wakes the loop; called from any thread.
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

/// One thing left.
pub(crate) enum Mail<A: App> {
    Errand(Errand),
    Run(Once<A>),
    Adopt(Adopted),
}

impl<A: App> Mailbox<A> {
    pub fn new(mails_max: usize) -> Mailbox<A> {
        Mailbox {
            mails: Mutex::new(VecDeque::new()),
            mails_max,
            is_closed: AtomicBool::new(false),
            wake: OnceLock::new(),
        }
    }

    pub fn wake_by(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    pub fn push(&self, mail: Mail<A>) -> Result<(), HandleError> {
        self.try_push(mail).map_err(|(error, _)| error)
    }

    /// The same, but what is refused is given back.
    fn try_push(&self, mail: Mail<A>) -> Result<(), (HandleError, Mail<A>)> {
        // A panic elsewhere leaves the queue whole: it is only pushed to and taken.
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at while nobody can close: what is accepted is there to be taken.
        if self.is_closed.load(Relaxed) {
            return Err((HandleError::Closed, mail));
        }
        if mails.len() >= self.mails_max * mail.share() {
            return Err((HandleError::Full, mail));
        }
        mails.push_back(mail);
        // Only the first mail needs to wake: the loop takes all at once.
        let is_first = mails.len() == 1;
        drop(mails);
        if let (true, Some(wake)) = (is_first, self.wake.get()) {
            wake();
        }
        Ok(())
    }

    /// Leaves a connection; one that does not fit in is given back.
    pub fn adopt(&self, adopted: Adopted) -> Result<(), AdoptError> {
        match self.try_push(Mail::Adopt(adopted)) {
            Err((cause, Mail::Adopt(adopted))) => Err(AdoptError { cause, adopted }),
            _ => Ok(()),
        }
    }

    /// Everything left so far.
    pub fn take(&self) -> VecDeque<Mail<A>> {
        std::mem::take(&mut *self.mails.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on nothing is accepted; what is there is dropped.
    pub fn close(&self) {
        self.is_closed.store(true, Relaxed);
        // Dropped outside the lock: a token among them posts its refusal.
        drop(self.take());
    }
}

impl<A: App> Mail<A> {
    /// How much of the mailbox it may use. What answers a waiting client may fill it twice over,
    /// because a token that was used up cannot be used again.
    fn share(&self) -> usize {
        match self {
            Mail::Run(_) | Mail::Adopt(_) | Mail::Errand(Errand::Emit(_)) => 1,
            Mail::Errand(_) => 2,
        }
    }
}

impl<A: App> Post for Mailbox<A> {
    fn post(&self, errand: Errand) -> Result<(), HandleError> {
        self.push(Mail::Errand(errand))
    }
}
