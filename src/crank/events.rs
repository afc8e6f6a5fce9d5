//! Events brought to handlers: the only place where the application hears of clients.

use std::sync::Arc;

use super::{Allow, Crank, Definition, Failure, Middleware, OnRequest, desk, root};
use crate::{
    app::{App, Cause, Problem, Refusal},
    codec::http,
    engine::{self, Engine, Span},
    hub::{AckError, Event},
    id::{ConnKey, NamespaceKey, SocketKey},
    outbox::Continuation,
    raw::{Message, WebSocket, WebSocketId},
    request::Request,
    response::Response,
    socket::Socket,
    to::Io,
    token::{About, Decision, Responder},
};

// Events.
impl<A: App> Crank<A> {
    pub(super) fn handle_event(&mut self, event: Event, flush: &mut dyn FnMut(&mut Engine)) {
        match event {
            Event::Packet { socket, ack } => self.handle_packet(socket, ack, flush),
            Event::Connecting { socket } => {
                if self.data.len() <= socket.index() {
                    self.data.resize_with(socket.index() + 1, || None);
                }
                self.data[socket.index()] = Some(A::Data::default());
                self.judge(socket, 0, flush);
            }
            Event::Connected { socket } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.connect,
                    flush,
                    |f, a, s| f(a, s),
                );
                self.hub.settle(socket);
            }
            Event::Withdrawn { socket } => {
                self.judging.remove(&socket);
                if let Some(data) = self.data.get_mut(socket.index()) {
                    *data = None;
                }
            }
            Event::Acked { socket, ack } => {
                let Some(then) = self.continuations.remove(&ack) else {
                    return;
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                let data = self.data[socket.index()].as_mut();
                let (Some(args), Some(data)) = (self.hub.answer(), data) else {
                    return;
                };
                then(&mut self.app, Socket::new(data, desk, socket), Ok(args));
                self.apply(flush);
            }
            Event::AckFailed { socket, ack, error } => {
                if let Some(then) = self.continuations.remove(&ack) {
                    self.fail(socket, then, error, flush);
                }
            }
            Event::Disconnecting { socket, reason } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.disconnecting,
                    flush,
                    |f, a, s| f(a, s, reason),
                );
            }
            Event::Disconnected { socket, reason } => {
                let namespace = self.hub.namespace(socket);
                self.call(
                    socket,
                    namespace,
                    |d| &mut d.disconnect,
                    flush,
                    |f, a, s| f(a, s, reason),
                );
                self.tell_failed(flush);
                self.data[socket.index()] = None;
            }
            Event::Engine(event) => self.handle_engine_event(event, flush),
        }
    }

    pub(super) fn handle_packet(
        &mut self,
        socket: SocketKey,
        ack: Option<u64>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let namespace = self.hub.namespace(socket);
        let Some((name, args)) = self.hub.packet() else {
            return;
        };
        let definition = &mut self.definitions[namespace.index()];
        let Some(handler) = definition.events.get_mut(name.as_str()) else {
            return;
        };
        self.outbox.write(|sheet| sheet.ack = ack);
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let Some(data) = self.data[socket.index()].as_mut() else {
            return;
        };
        let result = handler(&mut self.app, Socket::new(data, desk, socket), args);
        if let Err(cause) = result {
            let event = Some(Box::from(name.as_str()));
            let socket = Some(self.hub.id(socket));
            self.report(Problem {
                event,
                socket,
                cause,
            });
        }
        self.apply(flush);
    }

    /// Calls handlers of one kind for a socket, in their order.
    pub(super) fn call<F>(
        &mut self,
        socket: SocketKey,
        namespace: NamespaceKey,
        pick: impl Fn(&mut Definition<A>) -> &mut Vec<F>,
        flush: &mut dyn FnMut(&mut Engine),
        call: impl Fn(&mut F, &mut A, Socket<'_, A>) -> Result<(), Failure>,
    ) {
        let count = pick(&mut self.definitions[namespace.index()]).len();
        for index in 0..count {
            let handler = &mut pick(&mut self.definitions[namespace.index()])[index];
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let result = call(handler, &mut self.app, Socket::new(data, desk, socket));
            if let Err(error) = result {
                let socket = Some(self.hub.id(socket));
                self.report(Problem {
                    event: None,
                    socket,
                    cause: Cause::Handler(error),
                });
            }
            self.apply(flush);
        }
    }

    /// Asks the middleware from `from` on, until one refuses or has to think.
    pub(super) fn judge(
        &mut self,
        socket: SocketKey,
        from: usize,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let namespace = self.hub.namespace(socket);
        let count = self.definitions[namespace.index()].middleware.len();
        for step in from..count {
            let id = self.hub.id(socket);
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let handshake = self.hub.handshake(socket);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let peer = Socket::new(data, desk, socket);
            match &mut self.definitions[namespace.index()].middleware[step] {
                Middleware::Now(judge) => {
                    if let Err(refusal) = judge(&mut self.app, peer, &handshake) {
                        return self.refuse(socket, &refusal);
                    }
                    self.apply(flush);
                }
                Middleware::Later(judge) => {
                    let about = Some(About::Join(id));
                    let decision = Decision {
                        about,
                        post: Arc::clone(&self.post),
                    };
                    judge(&mut self.app, peer, &handshake, decision);
                    self.judging.insert(socket, step + 1);
                    return self.apply(flush);
                }
            }
        }
        self.hub.accept(socket);
    }

    pub(super) fn refuse(&mut self, socket: SocketKey, refusal: &Refusal) {
        self.outbox.wipe();
        self.hub.refuse(socket, &refusal.json());
    }

    /// Tells those who asked in vain. Who then asks in vain again is told after the next event, so
    /// that asking again and again ends with the socket.
    pub(super) fn tell_failed(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        for (socket, then, error) in std::mem::take(&mut self.failed) {
            self.fail(socket, then, error, flush);
        }
    }

    pub(super) fn fail(
        &mut self,
        socket: SocketKey,
        then: Continuation<A>,
        error: AckError,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let Some(data) = self.data[socket.index()].as_mut() else {
            return;
        };
        then(&mut self.app, Socket::new(data, desk, socket), Err(error));
        self.apply(flush);
    }

    pub(super) fn report(&mut self, problem: Problem) {
        match &mut self.hooks.error {
            Some(hook) => hook(&mut self.app, &problem),
            None => log::warn!("{problem}"),
        }
    }
}

// What concerns the engine only.
impl<A: App> Crank<A> {
    pub(super) fn handle_engine_event(
        &mut self,
        event: engine::Event,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        match event {
            engine::Event::Opening { conn, serial } => self.handle_opening(conn, serial, flush),
            engine::Event::Request {
                conn,
                serial,
                head,
                body,
            } => {
                self.handle_request(conn, serial, &head, &body, flush);
            }
            engine::Event::RawOpened { conn, serial, head } => {
                self.handle_raw_opened(conn, serial, &head, flush);
            }
            engine::Event::RawMessage {
                conn,
                serial,
                is_binary,
                payload,
            } => {
                let id = WebSocketId { conn, serial };
                let Some(&index) = self.open_raws.get(&serial) else {
                    return;
                };
                let Some(handler) = &mut self.raws[index].message else {
                    return;
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                let bytes = self.hub.engine().bytes(&payload);
                let message = match std::str::from_utf8(bytes) {
                    Ok(text) if !is_binary => Message::Text(text),
                    _ => Message::Binary(bytes),
                };
                handler(&mut self.app, WebSocket::new(desk, id), message);
                self.apply(flush);
            }
            engine::Event::RawClosed { conn, serial, code } => {
                let Some(index) = self.open_raws.remove(&serial) else {
                    return;
                };
                if let Some(handler) = &mut self.raws[index].close {
                    handler(&mut self.app, WebSocketId { conn, serial }, code);
                }
            }
            engine::Event::Refused { .. } => {
                let engine = self.hub.engine();
                self.engine_hooks.tell_refused(&mut self.app, engine);
            }
            engine::Event::Session { info, event, .. } => {
                self.engine_hooks.tell_session(&mut self.app, info, event);
            }
            // The hub has taken these.
            engine::Event::Opened { .. }
            | engine::Event::Message { .. }
            | engine::Event::Upgraded { .. }
            | engine::Event::Closed { .. } => {}
        }
    }

    pub(super) fn handle_opening(
        &mut self,
        conn: ConnKey,
        serial: u32,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(hello) = self.hub.engine().opening(conn, serial) else {
            return;
        };
        let handshake = hello.request();
        let verdict = match &mut self.hooks.allow {
            None => Ok(()),
            Some(Allow::Now(judge)) => judge(&mut self.app, &handshake),
            Some(Allow::Later(judge)) => {
                let about = Some(About::Open(conn, serial));
                let decision = Decision {
                    about,
                    post: Arc::clone(&self.post),
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                judge(&mut self.app, Io::new(desk, root()), &handshake, decision);
                return self.apply(flush);
            }
        };
        let verdict = verdict
            .as_ref()
            .copied()
            .map_err(|refusal| &*refusal.message);
        self.conclude(conn, serial, verdict);
    }

    pub(super) fn handle_request(
        &mut self,
        conn: ConnKey,
        serial: u32,
        head: &Span,
        body: &Span,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let engine = self.hub.engine();
        let address = engine.conns[conn.index()].address;
        let request = Request::new(engine.bytes(head), engine.bytes(body), address);
        let path = http::percent_decode(request.path).unwrap_or_default();
        let file = self
            .files
            .get(request.method, &path, request.header("if-none-match"));
        let response = match (file, &mut self.hooks.request) {
            (Some(response), _) => response,
            (None, None) => Response::new(404),
            (None, Some(OnRequest::Now(answer))) => {
                let desk = desk(&self.hub, &self.outbox, &self.post);
                answer(&mut self.app, Io::new(desk, root()), request)
            }
            (None, Some(OnRequest::Later(answer))) => {
                let about = Some((conn, serial));
                let responder = Responder {
                    about,
                    post: Arc::clone(&self.post),
                };
                let desk = desk(&self.hub, &self.outbox, &self.post);
                answer(&mut self.app, Io::new(desk, root()), request, responder);
                return self.apply(flush);
            }
        };
        self.hub.engine_mut().respond(conn, serial, response);
        self.apply(flush);
    }

    pub(super) fn handle_raw_opened(
        &mut self,
        conn: ConnKey,
        serial: u32,
        head: &Span,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let engine = self.hub.engine();
        let address = engine.conns[conn.index()].address;
        let request = Request::new(engine.bytes(head), &[], address);
        let exact = self.raws.iter().position(|raw| *raw.path == *request.path);
        let any = || self.raws.iter().position(|raw| &*raw.path == "*");
        let Some(index) = exact.or_else(any) else {
            return;
        };
        self.open_raws.insert(serial, index);
        if let Some(handler) = &mut self.raws[index].open {
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let id = WebSocketId { conn, serial };
            handler(&mut self.app, WebSocket::new(desk, id), request);
            self.apply(flush);
        }
    }
}
