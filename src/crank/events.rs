//! Events brought to handlers: the only place where the application hears of clients.

use std::sync::Arc;

use super::{Allow, Crank, Definition, Failure, Middleware, OnDisconnect, OnRequest, desk, root};
use crate::{
    app::{App, Cause, Problem, Refusal},
    args::Args,
    codec::{http, json::Bytes, sio},
    engine::{self, Engine, Span},
    hub::{AckError, Event},
    id::{ConnKey, SocketKey},
    namespace::RoomChange,
    outbox::{Continuation, Soon},
    raw::{Message, WebSocket, WebSocketId},
    request::Request,
    response::Response,
    socket::Socket,
    to::{Io, RemoteSocket},
    token::{About, Decision, Responder},
};

// Events.
impl<A: App> Crank<A> {
    pub(super) fn handle_event(&mut self, event: Event, flush: &mut dyn FnMut(&mut Engine)) {
        match event {
            Event::Packet { socket, ack } => self.handle_packet(socket, ack, flush),
            Event::Unknown { .. } => self.handle_unknown(flush),
            Event::Connecting { socket } => {
                if self.data.len() <= socket.index() {
                    self.data.resize_with(socket.index() + 1, || None);
                }
                let kept = match self.hub.is_recovered(socket) {
                    true => self.kept.remove(&self.hub.id(socket)),
                    false => None,
                };
                self.data[socket.index()] = Some(kept.unwrap_or_default());
                match self.hub.skips_middleware(socket) {
                    true => self.hub.accept(socket),
                    false => self.judge(socket, 0, flush),
                }
            }
            Event::Connected { socket } => {
                self.call(socket, |d| &mut d.connect, flush, |f, a, s| f(a, s));
                self.hub.settle(socket);
            }
            Event::Upgraded { socket } => {
                self.call(socket, |d| &mut d.upgrade, flush, |f, a, s| f(a, s));
            }
            Event::Drained { socket } => {
                self.call(socket, |d| &mut d.drain, flush, |f, a, s| f(a, s));
            }
            Event::Expiring { socket } => {
                self.call(socket, |d| &mut d.expiring, flush, |f, a, s| f(a, s));
            }
            Event::Room(change) => self.handle_room(&change, flush),
            Event::Gathered { ack } => {
                let gathered = self.hub.gathered(ack);
                let then = self.gatherings.remove(&ack);
                if let (Some(gathered), Some(then)) = (gathered, then) {
                    let place = self.place(gathered.namespace);
                    self.soon.push_back((place, Soon::Gathered(gathered, then)));
                }
            }
            Event::Withdrawn { socket } => {
                self.judging.remove(&socket);
                let data = self.data.get_mut(socket.index()).and_then(Option::take);
                // One that was on its way back may try again, or will be told of as `Expired`.
                if let Some(data) = data.filter(|_| self.hub.is_recovered(socket)) {
                    self.kept.insert(self.hub.id(socket), data);
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
                let call = |f: &mut OnDisconnect<A>, a: &mut A, s: Socket<'_, A>| f(a, s, reason);
                self.call(socket, |d| &mut d.disconnecting, flush, call);
            }
            Event::Disconnected { socket, reason } => {
                #[cfg(feature = "stream")]
                self.abort_streams(socket, flush);
                let call = |f: &mut OnDisconnect<A>, a: &mut A, s: Socket<'_, A>| f(a, s, reason);
                self.call(socket, |d| &mut d.disconnect, flush, call);
                self.tell_failed(flush);
                let data = self.data[socket.index()].take();
                let id = self.hub.id(socket);
                if let Some(data) = data.filter(|_| self.hub.is_kept(id)) {
                    self.kept.insert(id, data);
                }
            }
            Event::Expired { socket } => {
                let data = self.kept.remove(&socket);
                if let (Some(data), Some(hook)) = (data, &mut self.hooks.expired) {
                    let desk = desk(&self.hub, &self.outbox, &self.post);
                    hook(&mut self.app, Io::new(desk, root()), socket, data);
                    self.apply(flush);
                }
            }
            Event::Engine(event) => self.handle_engine_event(event, flush),
        }
    }

    /// Brings a packet to those who hear everything, to those who may refuse it, and to its
    /// handler.
    pub(super) fn handle_packet(
        &mut self,
        socket: SocketKey,
        ack: Option<u64>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let tag = self.tag(socket);
        let ack = ack.map(|ack| (socket, ack));
        self.outbox.write(|sheet| sheet.ack = ack);
        let definition = &self.definitions[tag];
        let (any, guards) = (definition.any.len(), definition.guards.len());
        for at in 0..any {
            self.with_packet(socket, |definition, app, socket, name, args| {
                definition.any[at](app, socket, name, args);
                Ok(())
            });
            self.apply_but_ack(flush);
        }
        for at in 0..guards {
            let is_refused = self.with_packet(socket, |definition, app, socket, name, args| {
                definition.guards[at](app, socket, name, args).map_err(Cause::Refused)
            });
            if let Some(problem) = is_refused {
                // What it asked for before it refused is not done, as in other middleware.
                self.outbox.wipe();
                #[cfg(feature = "stream")]
                self.refuse_announced(socket, flush);
                return self.report(problem, flush);
            }
            self.apply_but_ack(flush);
        }
        let problem =
            self.with_packet(
                socket,
                |definition, app, socket, name, args| match definition.events.get_mut(name) {
                    Some(handler) => handler(app, socket, args),
                    #[cfg(feature = "stream")]
                    None => definition.streams.hear(app, socket, name, args),
                    #[cfg(not(feature = "stream"))]
                    None => Ok(()),
                },
            );
        if let Some(problem) = problem {
            self.report_in_order(problem, flush);
        }
        self.apply(flush);
    }

    /// Calls something with the packet that is current, if its socket is still connected.
    pub(super) fn with_packet(
        &mut self,
        socket: SocketKey,
        call: impl FnOnce(
            &mut Definition<A>,
            &mut A,
            Socket<'_, A>,
            &str,
            Args<'_>,
        ) -> Result<(), Cause>,
    ) -> Option<Problem> {
        let tag = self.tag(socket);
        let (name, args) = self.hub.packet()?;
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let data = self.data[socket.index()].as_mut()?;
        // One of those before may have ended it.
        if !self.hub.is_connected(socket) {
            return None;
        }
        let definition = &mut self.definitions[tag];
        let result = call(
            definition,
            &mut self.app,
            Socket::new(data, desk, socket),
            &name,
            args,
        );
        result.err().map(|cause| Problem {
            event: Some(Box::from(&*name)),
            socket: Some(self.hub.id(socket)),
            cause,
        })
    }

    /// Does what was asked for, and keeps the acknowledgement for who comes next.
    fn apply_but_ack(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let ack = self.outbox.write(|sheet| sheet.ack);
        self.apply(flush);
        self.outbox.write(|sheet| sheet.ack = ack);
    }

    /// A client asks for a namespace that does not exist: the first parent that knows it makes it.
    fn handle_unknown(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let Some((name, handshake)) = self.hub.asked() else {
            return;
        };
        let mut parents = self.parents.iter_mut();
        let app = &mut self.app;
        let Some(parent) = parents.find_map(|parent| {
            (parent.is_mine)(app, name, &handshake).then_some(parent.definition)
        }) else {
            return;
        };
        let Some(namespace) = self.hub.admit(parent as u32) else {
            return;
        };
        if let Some(hook) = &mut self.hooks.namespace {
            let desk = desk(&self.hub, &self.outbox, &self.post);
            hook(&mut self.app, Io::new(desk, namespace));
            self.apply(flush);
        }
    }

    fn handle_room(&mut self, change: &RoomChange, flush: &mut dyn FnMut(&mut Engine)) {
        let tag = self.hub.tag(change.namespace) as usize;
        for at in 0..self.definitions[tag].rooms.len() {
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let io = Io::new(desk, change.namespace);
            self.definitions[tag].rooms[at](&mut self.app, io, &change.room, change.what);
            self.apply(flush);
        }
    }

    /// What another node of a cluster has to say to this one (`Io::server_side_emit`): `json` is
    /// `["event", …]`. A namespace or event that nobody knows is ignored.
    pub fn handle_server_side(
        &mut self,
        namespace: &str,
        json: &str,
        attachments: &[Bytes],
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(namespace) = self.hub.namespace_key(namespace) else {
            return;
        };
        let Ok((name, elements)) = sio::split_event(json) else {
            return;
        };
        let tag = self.hub.tag(namespace) as usize;
        if let Some(handler) = self.definitions[tag].server_side.get_mut(&*name) {
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let args = Args::new(elements, attachments);
            handler(&mut self.app, Io::new(desk, namespace), args);
            self.apply(flush);
        }
    }

    /// The handler table of a socket's namespace.
    fn tag(&self, socket: SocketKey) -> usize {
        self.hub.tag(self.hub.namespace(socket)) as usize
    }

    /// Calls handlers of one kind for a socket, in their order.
    pub(super) fn call<F>(
        &mut self,
        socket: SocketKey,
        pick: impl Fn(&mut Definition<A>) -> &mut Vec<F>,
        flush: &mut dyn FnMut(&mut Engine),
        call: impl Fn(&mut F, &mut A, Socket<'_, A>) -> Result<(), Failure>,
    ) {
        let tag = self.tag(socket);
        let count = pick(&mut self.definitions[tag]).len();
        for index in 0..count {
            let handler = &mut pick(&mut self.definitions[tag])[index];
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let result = call(handler, &mut self.app, Socket::new(data, desk, socket));
            if let Err(error) = result {
                let socket = Some(self.hub.id(socket));
                let problem = Problem {
                    event: None,
                    socket,
                    cause: Cause::Handler(error),
                };
                self.report_in_order(problem, flush);
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
        let tag = self.tag(socket);
        let count = self.definitions[tag].middleware.len();
        for step in from..count {
            let id = self.hub.id(socket);
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let handshake = self.hub.handshake(socket);
            let Some(data) = self.data[socket.index()].as_mut() else {
                return;
            };
            let peer = Socket::new(data, desk, socket);
            match &mut self.definitions[tag].middleware[step] {
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

    /// Tells what has an answer by now. What is asked for meanwhile waits for the next time, so
    /// that asking again and again does not keep everybody else waiting.
    pub(super) fn tell_soon(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        for (place, soon) in std::mem::take(&mut self.soon) {
            if !self.is_there(place) {
                continue;
            }
            let namespace = place.namespace;
            match soon {
                Soon::Fetched(to, then) => {
                    let sockets = self.hub.selected(&to);
                    let sockets = sockets.into_iter().map(|key| self.remote(key)).collect();
                    let desk = desk(&self.hub, &self.outbox, &self.post);
                    then(&mut self.app, Io::new(desk, namespace), sockets);
                }
                Soon::Gathered(gathered, then) => {
                    let desk = desk(&self.hub, &self.outbox, &self.post);
                    then(&mut self.app, Io::new(desk, namespace), gathered);
                }
            }
            self.apply(flush);
        }
    }

    fn remote(&self, key: SocketKey) -> RemoteSocket {
        let data = self.data.get(key.index()).and_then(Option::as_ref);
        RemoteSocket {
            id: self.hub.id(key),
            rooms: self.hub.rooms(key).map(str::to_owned).collect(),
            data: data.map(A::share).unwrap_or_default(),
        }
    }

    /// Does what the handler asked for that failed, then reports that it did.
    fn report_in_order(&mut self, problem: Problem, flush: &mut dyn FnMut(&mut Engine)) {
        self.apply(flush);
        self.report(problem, flush);
    }

    /// Tells an error hook: the namespace's, if the problem has a socket that is still there, or
    /// the server's, or the log.
    pub(super) fn report(&mut self, problem: Problem, flush: &mut dyn FnMut(&mut Engine)) {
        let socket = problem.socket.and_then(|id| self.hub.resolve(id));
        if let Some(socket) = socket.filter(|_| !self.is_reporting) {
            let tag = self.tag(socket);
            let data = self.data.get_mut(socket.index()).and_then(Option::as_mut);
            if let (Some(hook), Some(data)) = (&mut self.definitions[tag].error, data) {
                let desk = desk(&self.hub, &self.outbox, &self.post);
                hook(&mut self.app, Socket::new(data, desk, socket), &problem);
                // An error in what it asks for is not told to it again.
                self.is_reporting = true;
                self.apply(flush);
                self.is_reporting = false;
                return;
            }
        }
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
            | engine::Event::Drained { .. }
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
        let file = self.files.get(
            request.method,
            &path,
            request.list("if-none-match").as_deref(),
            request.list("accept-encoding").as_deref(),
        );
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
        // The engine has compared it so as well.
        let path = http::percent_decode(request.path).unwrap_or(request.path.into());
        let exact = self.raws.iter().position(|raw| *raw.path == *path);
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
