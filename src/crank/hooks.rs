//! What the application may say about handshakes, and hear of requests and sessions: the same for a
//! server of Socket.IO and of Engine.IO alone.

use super::Crank;
use crate::{
    app::App,
    engine::{ConnectionError, Denial, Engine, SessionEvent, SessionInfo, Welcome},
    handshake::Handshake,
    headers::Headers,
    id::ConnKey,
};

/// The hooks that are set.
pub(crate) struct EngineHooks<A> {
    pub initial_headers: Option<InitialHeaders<A>>,
    pub generate_id: Option<GenerateId<A>>,
    pub connection_error: Option<OnConnectionError<A>>,
    pub session_event: Option<OnSessionEvent<A>>,
}

type InitialHeaders<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>, &mut Headers) + Send>;
type GenerateId<A> = Box<dyn for<'a> FnMut(&mut A, &Handshake<'a>) -> Option<[u8; 11]> + Send>;
type OnConnectionError<A> = Box<dyn FnMut(&mut A, &ConnectionError) + Send>;
type OnSessionEvent<A> = Box<dyn FnMut(&mut A, SessionInfo, SessionEvent) + Send>;

impl<A> Default for EngineHooks<A> {
    fn default() -> Self {
        EngineHooks {
            initial_headers: None,
            generate_id: None,
            connection_error: None,
            session_event: None,
        }
    }
}

impl<A> EngineHooks<A> {
    /// What a handshake that was let in gets. One that will be refused for its protocol version is
    /// not asked about.
    pub fn welcome(
        &mut self,
        app: &mut A,
        engine: &Engine,
        conn: ConnKey,
        serial: u32,
    ) -> Result<Welcome, Denial<'static>> {
        let mut welcome = Welcome::default();
        let hello = engine.opening(conn, serial);
        let Some(hello) = hello.filter(|_| engine.is_admissible(conn, serial)) else {
            return Ok(welcome);
        };
        let handshake = hello.request();
        if let Some(generate) = &mut self.generate_id {
            let secret = generate(app, &handshake).ok_or(Denial::NoId)?;
            welcome.secret = Some(secret);
        }
        if let Some(hook) = &mut self.initial_headers {
            hook(app, &handshake, &mut welcome.headers);
        }
        Ok(welcome)
    }

    pub fn tell_refused(&mut self, app: &mut A, engine: &Engine) {
        if let (Some(hook), Some(error)) = (&mut self.connection_error, engine.refusal()) {
            hook(app, error);
        }
    }

    pub fn tell_session(&mut self, app: &mut A, info: SessionInfo, event: SessionEvent) {
        if let Some(hook) = &mut self.session_event {
            hook(app, info, event);
        }
    }
}

// Setting up.
impl<A: App> Crank<A> {
    /// Calls `hook` for every handshake that is let in, polling or WebSocket, to add header lines
    /// to its answer: what the official `initial_headers` event is for.
    pub fn initial_headers<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>, &mut Headers) + Send + 'static,
    {
        self.hub.engine_mut().judge_handshakes();
        self.engine_hooks.initial_headers = Some(Box::new(hook));
        self
    }

    /// Takes the 11 random bytes of every session's id from `hook`; the other 4 tell where the
    /// session is. `None` refuses the handshake with code 3, `Bad request`.
    ///
    /// An Engine.IO session's id is all that a client proves itself by: the bytes must be
    /// unguessable, and not those of an earlier session.
    pub fn generate_id<F>(&mut self, hook: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, &Handshake<'a>) -> Option<[u8; 11]> + Send + 'static,
    {
        self.hub.engine_mut().judge_handshakes();
        self.engine_hooks.generate_id = Some(Box::new(hook));
        self
    }

    /// Tells `hook` of every request that the protocol's error table answers. Each costs a copy of
    /// the request's head.
    pub fn on_connection_error<F>(&mut self, hook: F) -> &mut Self
    where
        F: FnMut(&mut A, &ConnectionError) + Send + 'static,
    {
        self.hub.engine_mut().tell_refusals();
        self.engine_hooks.connection_error = Some(Box::new(hook));
        self
    }

    /// Tells `hook` what happens to Engine.IO sessions, each packet included; for logs and
    /// monitors. It is told after the fact and changes nothing.
    pub fn on_session_event<F>(&mut self, hook: F) -> &mut Self
    where
        F: FnMut(&mut A, SessionInfo, SessionEvent) + Send + 'static,
    {
        self.hub.engine_mut().tell_sessions();
        self.engine_hooks.session_event = Some(Box::new(hook));
        self
    }
}

impl<A: App> Crank<A> {
    /// Answers a handshake that was judged: `Err` is the refusal's message.
    pub(super) fn conclude(&mut self, conn: ConnKey, serial: u32, verdict: Result<(), &str>) {
        let engine = self.hub.engine();
        let verdict = match verdict {
            Ok(()) => self
                .engine_hooks
                .welcome(&mut self.app, engine, conn, serial),
            Err(message) => Err(Denial::Forbidden(message)),
        };
        self.hub.engine_mut().conclude(conn, serial, verdict);
    }
}
