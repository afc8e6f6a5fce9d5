//! Streams: credits given and used, readers and writers called.
//!
//! Not here: how the protocol's events are read, and what a program asks for (`stream`). What
//! always holds: a stream is out of its table while the program is called about it, and what is
//! asked meanwhile waits, so nothing is met twice; a reader is called with one chunk for each
//! credit, a writer for one chunk for each; who was given a stream is told its end once.
//!
//! ```text
//!   reading                                     writing
//!   Idle ──read──▶ Wanted ──chunk, Hold──▶ Held  Idle ──write──▶ Waiting ──credit──▶ (pulled)
//!    │ end          │ ▲└chunk, Next─┐    │ │       (pulled) ──Chunk──▶ Sent ──ack──▶ Waiting
//!    ▼          end │ └─────────────┘    │ │       (pulled) ──Later──▶ Empty ──ready──▶ (pulled)
//!   Unread ──read─▶ Over ◀──end, resume──┘ └─resume─▶ Wanted     (pulled) ──End──▶ Over
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::{Crank, Namespace, OnEvent, desk, wishes::AFTER_MS_MAX};
use crate::{
    app::{App, Cause, Outcome},
    args::{Args, FromArgs},
    codec::json::{Bytes, Error as ArgsError},
    engine::Engine,
    id::{SocketId, SocketKey},
    op::{Flags, Target},
    outbox::Asking,
    socket::Socket,
    stream::{
        self, ANNOUNCE, CHUNK, CREDIT, END, ERROR, Error, Flow, Limits, Next, Op, Read, Reader,
        Side, Stream, Then, Writer,
    },
};

/// The streams of a server.
pub(super) struct Streams<A: App> {
    /// What was asked for and is not done.
    pub queue: VecDeque<(SocketId, Op<A>)>,
    /// Few for each socket, so that they are found by looking at all.
    lines: HashMap<SocketKey, Vec<Line<A>>>,
    count: u32,
    serials_made: u64,
    /// When each is looked at next, in ms since the engine's beginning.
    deadlines: BTreeSet<(u64, SocketKey, u64)>,
}

/// Who listens to `$stream` in a namespace.
pub(super) struct Listeners<A: App> {
    limits: Limits,
    events: BTreeMap<Box<str>, OnEvent<A>>,
}

/// One stream.
struct Line<A: App> {
    id: Arc<str>,
    /// Which no other one ever has.
    serial: u64,
    is_half_open: bool,
    chunk_bytes: u32,
    reading: Reading<A>,
    writing: Writing<A>,
    /// Until when the client has to do what it owes.
    deadline_ms: u64,
}

/// From the client.
enum Reading<A: App> {
    /// Nobody reads yet.
    Idle,
    /// Nor has anybody when the client ended it.
    Unread,
    /// A credit is out.
    Wanted(Reader<A>),
    /// The program holds it back, perhaps with the end behind.
    Held {
        reader: Reader<A>,
        has_ended: bool,
    },
    Over,
}

/// To the client.
enum Writing<A: App> {
    /// Nobody writes yet.
    Idle {
        has_credit: bool,
    },
    /// For a credit.
    Waiting(Writer<A>),
    /// The program has nothing for the credit that is here.
    Empty(Writer<A>),
    /// A chunk is not acknowledged.
    Sent {
        writer: Writer<A>,
        has_credit: bool,
    },
    Over,
}

impl<A: App> Default for Streams<A> {
    fn default() -> Self {
        Streams {
            queue: VecDeque::new(),
            lines: HashMap::new(),
            count: 0,
            serials_made: 0,
            deadlines: BTreeSet::new(),
        }
    }
}

impl<A: App> Default for Listeners<A> {
    fn default() -> Self {
        Listeners {
            limits: Limits::default(),
            events: BTreeMap::new(),
        }
    }
}

// Registering.
impl<A: App> Namespace<'_, A> {
    /// Calls `handler` for every event of this name that announces streams
    /// (`ss(socket).emit(event, …)`), with its arguments as those of
    /// [`on`](Namespace::on): a [`Stream`] may be anywhere in them. Streams of an event whose
    /// arguments are of another shape, that nobody listens to, or that middleware refuses, are
    /// failed.
    pub fn on_stream<F, T, R>(&mut self, event: &str, mut handler: F) -> &mut Self
    where
        F: for<'a> FnMut(&mut A, Socket<'a, A>, T) -> R + Send + 'static,
        T: FromArgs,
        R: Outcome,
    {
        let handler: OnEvent<A> = Box::new(move |app, socket, args| {
            let args = T::from_args(&args).map_err(Cause::Arguments)?;
            let outcome = handler(app, socket, args);
            outcome.into_result().map_err(Cause::Handler)
        });
        let events = &mut self.definition().streams.events;
        events.insert(event.into(), handler);
        self
    }

    /// What the namespace's streams may take; the default unless this is called.
    pub fn stream_limits(&mut self, limits: Limits) -> &mut Self {
        self.definition().streams.limits = limits;
        self
    }
}

impl<A: App> Listeners<A> {
    /// Takes the protocol's events for itself; others are nobody's.
    pub(super) fn hear(
        &mut self,
        app: &mut A,
        socket: Socket<'_, A>,
        event: &str,
        args: Args<'_>,
    ) -> Result<(), Cause> {
        let (id, outbox) = (socket.id(), socket.desk.outbox);
        if event != ANNOUNCE {
            let op = stream::heard(event, args, || outbox.take_ack(socket.key));
            op.into_iter().for_each(|op| outbox.stream(id, op));
            return Ok(());
        }
        let Ok(name) = args.get::<String>(0) else {
            return Ok(());
        };
        let args = args.skip(1);
        let streams_max = self.limits.streams_per_socket_max as usize;
        let streams = stream::announced(args, streams_max);
        let ask_all = |op: &dyn Fn(Stream) -> Op<A>| {
            for stream in &streams {
                outbox.stream(id, op(stream.clone()));
            }
        };
        if streams.len() > streams_max {
            let first = streams[0].clone();
            outbox.stream(id, Op::Refuse(first, TOO_MANY));
            return Err(Cause::Arguments(ArgsError::new(TOO_MANY)));
        }
        let Some(handler) = self.events.get_mut(&*name) else {
            ask_all(&|stream| Op::Refuse(stream, "nobody listens"));
            return Ok(());
        };
        ask_all(&|stream| Op::Open(stream, Side::Client));
        let result = handler(app, socket, args);
        if result.is_err() {
            ask_all(&|stream| Op::Fail(stream, "the event was not handled".into()));
        }
        result
    }
}

// What was asked for.
impl<A: App> Crank<A> {
    /// Fails what the packet announces that is current, which middleware has refused.
    pub(super) fn refuse_announced(
        &mut self,
        socket: SocketKey,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        self.with_packet(socket, |definition, _, socket, event, args| {
            if event == ANNOUNCE && !definition.events.contains_key(event) {
                let streams_max = definition.streams.limits.streams_per_socket_max as usize;
                for stream in stream::announced(args.skip(1), streams_max) {
                    let op = Op::Refuse(stream, "the event was refused");
                    socket.desk.outbox.stream(socket.id(), op);
                }
            }
            Ok(())
        });
        self.apply(flush);
    }

    /// Does what was asked of streams, and what the program asks for because of that. A program may
    /// ask again and again whenever it is called; then the rest waits for the next turn.
    pub(super) fn run_streams(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        for _ in 0..self.streams.queue.len() + AGAIN_MAX {
            let Some((id, op)) = self.streams.queue.pop_front() else {
                return;
            };
            let Some(socket) = self.hub.resolve(id) else {
                continue;
            };
            if self.hub.is_connected(socket) {
                self.handle_stream(socket, op, flush);
                continue;
            }
            match op {
                Op::Read(_, reader) => self.tell_reader(socket, reader, Err(Error::Aborted), flush),
                Op::Write(_, writer) => {
                    self.tell_then(socket, writer.then, Err(Error::Aborted), flush);
                }
                _ => {}
            }
        }
    }

    fn handle_stream(&mut self, socket: SocketKey, op: Op<A>, flush: &mut dyn FnMut(&mut Engine)) {
        match op {
            Op::Open(stream, side) => self.open_stream(socket, &stream, side, flush),
            Op::Refuse(stream, why) => self.say(socket, ERROR, &(&*stream.id, why), flush),
            Op::Read(stream, reader) => self.read_stream(socket, &stream.id, reader, flush),
            Op::Write(stream, writer) => self.write_stream(socket, &stream.id, writer, flush),
            Op::Resume(stream) => self.resume_stream(socket, &stream.id, flush),
            Op::Ready(stream) => self.ready_stream(socket, &stream.id, flush),
            Op::End(stream) => self.end_stream(socket, &stream.id, flush),
            Op::Fail(stream, message) => {
                if let Some(line) = self.take_line(socket, &stream.id) {
                    self.fail_line(socket, line, Error::Failed(message), flush);
                }
            }
            Op::Credit(id) => self.handle_credit(socket, &id, flush),
            Op::Chunk(id, chunk, ack) => self.handle_chunk(socket, &id, chunk, ack, flush),
            Op::Acked(serial, verdict) => self.handle_acked(socket, serial, verdict, flush),
            Op::PeerEnd(id) => self.handle_peer_end(socket, &id, flush),
            Op::PeerError(id, message) => {
                if let Some(line) = self.take_line(socket, &id) {
                    let error = Error::Remote(message);
                    self.close_line(socket, line, Err(error.clone()), Err(error), flush);
                }
            }
        }
    }

    fn open_stream(
        &mut self,
        socket: SocketKey,
        stream: &Stream,
        side: Side,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let limits = self.stream_limits(socket);
        let (socket_max, count_max) = (limits.streams_per_socket_max, limits.streams_max);
        let lines = self.streams.lines.get(&socket);
        let count = lines.map_or(0, Vec::len);
        let is_there = lines.is_some_and(|lines| lines.iter().any(|line| line.id == stream.id));
        let is_full = count >= socket_max as usize || self.streams.count >= count_max;
        let problem = match (is_there, is_full) {
            // The package's words.
            (true, _) => format!("Decoded stream already exists: {}", stream.id),
            (false, true) => TOO_MANY.to_owned(),
            (false, false) => {
                self.streams.serials_made += 1;
                let line = Line {
                    id: Arc::clone(&stream.id),
                    serial: self.streams.serials_made,
                    is_half_open: stream.is_half_open,
                    chunk_bytes: stream.chunk_bytes,
                    reading: Reading::Idle,
                    writing: Writing::Idle { has_credit: false },
                    deadline_ms: 0,
                };
                return self.put_heard(socket, line);
            }
        };
        // Of one of its own the program hears when it uses it.
        if side == Side::Client {
            self.say(socket, ERROR, &(&*stream.id, problem), flush);
        }
    }

    fn read_stream(
        &mut self,
        socket: SocketKey,
        id: &str,
        reader: Reader<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(mut line) = self.take_line(socket, id) else {
            return self.tell_reader(socket, reader, Err(Error::Gone), flush);
        };
        match line.reading {
            Reading::Idle => self.want(socket, line, reader, flush),
            Reading::Unread => {
                line.reading = Reading::Wanted(reader);
                self.finish_reading(socket, line, flush);
            }
            Reading::Wanted(_) | Reading::Held { .. } | Reading::Over => {
                self.put_line(socket, line);
                self.tell_reader(socket, reader, Err(Error::Taken), flush);
            }
        }
    }

    fn write_stream(
        &mut self,
        socket: SocketKey,
        id: &str,
        writer: Writer<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(mut line) = self.take_line(socket, id) else {
            return self.tell_then(socket, writer.then, Err(Error::Gone), flush);
        };
        match (&line.reading, &line.writing) {
            (Reading::Unread, Writing::Idle { .. }) if !line.is_half_open => {
                line.writing = Writing::Waiting(writer);
                self.finish_reading(socket, line, flush);
            }
            (_, Writing::Idle { has_credit: true }) => self.pull(socket, line, writer, flush),
            (_, Writing::Idle { has_credit: false }) => {
                line.writing = Writing::Waiting(writer);
                self.put_heard(socket, line);
            }
            _ => {
                self.put_line(socket, line);
                self.tell_then(socket, writer.then, Err(Error::Taken), flush);
            }
        }
    }

    fn resume_stream(&mut self, socket: SocketKey, id: &str, flush: &mut dyn FnMut(&mut Engine)) {
        let Some(mut line) = self.take_line(socket, id) else {
            return;
        };
        let reading = std::mem::replace(&mut line.reading, Reading::Over);
        match reading {
            Reading::Held { reader, has_ended } if has_ended => {
                line.reading = Reading::Wanted(reader);
                self.finish_reading(socket, line, flush);
            }
            Reading::Held { reader, .. } => self.want(socket, line, reader, flush),
            other => {
                line.reading = other;
                self.put_line(socket, line);
            }
        }
    }

    fn ready_stream(&mut self, socket: SocketKey, id: &str, flush: &mut dyn FnMut(&mut Engine)) {
        let Some(mut line) = self.take_line(socket, id) else {
            return;
        };
        let writing = std::mem::replace(&mut line.writing, Writing::Over);
        match writing {
            Writing::Empty(writer) => self.pull(socket, line, writer, flush),
            other => {
                line.writing = other;
                self.put_line(socket, line);
            }
        }
    }

    fn end_stream(&mut self, socket: SocketKey, id: &str, flush: &mut dyn FnMut(&mut Engine)) {
        if let Some(line) = self.take_line(socket, id) {
            self.finish_writing(socket, line, flush);
        }
    }
}

// What clients say.
impl<A: App> Crank<A> {
    fn handle_credit(&mut self, socket: SocketKey, id: &str, flush: &mut dyn FnMut(&mut Engine)) {
        let Some(mut line) = self.take_line(socket, id) else {
            return;
        };
        let writing = std::mem::replace(&mut line.writing, Writing::Over);
        match writing {
            Writing::Waiting(writer) => return self.pull(socket, line, writer, flush),
            Writing::Idle { .. } => line.writing = Writing::Idle { has_credit: true },
            // The package asks for more before it acknowledges.
            Writing::Sent { writer, .. } => {
                line.writing = Writing::Sent {
                    writer,
                    has_credit: true,
                };
            }
            // A second credit before a chunk is none, as in the package.
            other => line.writing = other,
        }
        self.put_line(socket, line);
    }

    fn handle_chunk(
        &mut self,
        socket: SocketKey,
        id: &str,
        chunk: Result<Bytes, Error>,
        ack: Option<u64>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(mut line) = self.take_line(socket, id) else {
            // The package's words.
            return self.answer(socket, ack, &format!("invalid stream id: {id}"), flush);
        };
        let bytes_max = self.stream_limits(socket).chunk_bytes_max as usize;
        let chunk = chunk.and_then(|chunk| match chunk.len() <= bytes_max {
            true => Ok(chunk),
            false => Err(Error::TooLarge),
        });
        let reading = std::mem::replace(&mut line.reading, Reading::Over);
        let (mut reader, chunk) = match (reading, chunk) {
            (Reading::Wanted(reader), Ok(chunk)) => (reader, chunk),
            (reading, chunk) => {
                line.reading = reading;
                let error = chunk.err().unwrap_or(Error::NoCredit);
                let message = error.to_string();
                // In this order: behind a refused chunk the package forgets the stream and says
                // nothing of it.
                self.fail_line(socket, line, error, flush);
                return self.answer(socket, ack, &message, flush);
            }
        };
        let mut flow = Flow::Next;
        if !chunk.is_empty() {
            let told = self.tell(socket, flush, |app, socket| {
                reader(app, socket, Read::Chunk(chunk))
            });
            flow = told.unwrap_or(Flow::Hold);
        }
        self.answer(socket, ack, &(), flush);
        match flow {
            Flow::Next => self.want(socket, line, reader, flush),
            Flow::Hold => {
                line.reading = Reading::Held {
                    reader,
                    has_ended: false,
                };
                self.put_heard(socket, line);
            }
        }
    }

    fn handle_acked(
        &mut self,
        socket: SocketKey,
        serial: u64,
        verdict: Result<(), Error>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let Some(mut line) = self.take(socket, |line| line.serial == serial) else {
            return;
        };
        let writing = std::mem::replace(&mut line.writing, Writing::Over);
        let Writing::Sent { writer, has_credit } = writing else {
            line.writing = writing;
            return self.put_line(socket, line);
        };
        match verdict {
            Ok(()) if has_credit => self.pull(socket, line, writer, flush),
            Ok(()) => {
                line.writing = Writing::Waiting(writer);
                self.put_heard(socket, line);
            }
            Err(error @ Error::Remote(_)) => {
                line.writing = Writing::Waiting(writer);
                self.close_line(socket, line, Err(error.clone()), Err(error), flush);
            }
            Err(error) => {
                line.writing = Writing::Waiting(writer);
                self.fail_line(socket, line, error, flush);
            }
        }
    }

    fn handle_peer_end(&mut self, socket: SocketKey, id: &str, flush: &mut dyn FnMut(&mut Engine)) {
        let Some(mut line) = self.take_line(socket, id) else {
            return;
        };
        let reading = std::mem::replace(&mut line.reading, Reading::Over);
        let is_unwritten = matches!(line.writing, Writing::Idle { .. });
        match reading {
            Reading::Wanted(reader) => {
                line.reading = Reading::Wanted(reader);
                return self.finish_reading(socket, line, flush);
            }
            Reading::Held { reader, .. } => {
                line.reading = Reading::Held {
                    reader,
                    has_ended: true,
                };
            }
            // Somebody may still read it, and is to hear of the end then.
            Reading::Idle if is_unwritten => line.reading = Reading::Unread,
            Reading::Idle => return self.finish_reading(socket, line, flush),
            other => line.reading = other,
        }
        self.put_line(socket, line);
    }
}

// The two directions.
impl<A: App> Crank<A> {
    /// Gives the client a credit.
    fn want(
        &mut self,
        socket: SocketKey,
        mut line: Line<A>,
        reader: Reader<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let bytes_max = self.stream_limits(socket).chunk_bytes_max;
        let (id, bytes) = (Arc::clone(&line.id), line.chunk_bytes.min(bytes_max));
        line.reading = Reading::Wanted(reader);
        self.put_heard(socket, line);
        self.say(socket, CREDIT, &(&*id, bytes), flush);
    }

    /// Uses a credit: asks the program for a chunk.
    fn pull(
        &mut self,
        socket: SocketKey,
        mut line: Line<A>,
        mut writer: Writer<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let next = self.tell(socket, flush, |app, socket| (writer.next)(app, socket));
        match next.unwrap_or(Next::Later) {
            Next::Chunk(chunk) => {
                let timeout = self.stream_limits(socket).idle_timeout;
                let (id, serial) = (Arc::clone(&line.id), line.serial);
                line.writing = Writing::Sent {
                    writer,
                    has_credit: false,
                };
                self.put_heard(socket, line);
                let then = move |_: &mut A, socket: Socket<'_, A>, answer: Result<Args<'_>, _>| {
                    let op = Op::Acked(serial, stream::verdict(answer));
                    socket.desk.outbox.stream(socket.id(), op);
                };
                let (to, asking) = (Target::Socket(socket), Asking::One(timeout, Box::new(then)));
                let args = (&*id, chunk, "buffer");
                self.outbox
                    .emit(to, CHUNK, &args, Flags::default(), Some(asking));
                self.apply(flush);
            }
            Next::Later => {
                line.writing = Writing::Empty(writer);
                self.put_heard(socket, line);
            }
            Next::End => {
                line.writing = Writing::Waiting(writer);
                self.finish_writing(socket, line, flush);
            }
            Next::Fail(message) => {
                line.writing = Writing::Waiting(writer);
                self.fail_line(socket, line, Error::Failed(message.into()), flush);
            }
        }
    }

    /// The client has ended its direction, and the program has had all of it.
    fn finish_reading(
        &mut self,
        socket: SocketKey,
        mut line: Line<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let is_written = matches!(line.writing, Writing::Over);
        if line.is_half_open && !is_written {
            let reading = std::mem::replace(&mut line.reading, Reading::Over);
            self.put_heard(socket, line);
            if let Some(reader) = reading.reader() {
                self.tell_reader(socket, reader, Ok(()), flush);
            }
            return;
        }
        let id = Arc::clone(&line.id);
        self.close_line(socket, line, Ok(()), Err(Error::Closed), flush);
        if !is_written {
            self.say(socket, END, &(&*id,), flush);
        }
    }

    /// The program has ended its direction.
    fn finish_writing(
        &mut self,
        socket: SocketKey,
        mut line: Line<A>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        if !matches!(line.writing, Writing::Over) {
            self.say(socket, END, &(&*line.id,), flush);
        }
        let is_read = matches!(line.reading, Reading::Over | Reading::Unread);
        if line.is_half_open && !is_read {
            let writing = std::mem::replace(&mut line.writing, Writing::Over);
            self.put_heard(socket, line);
            if let Some(then) = writing.then() {
                self.tell_then(socket, then, Ok(()), flush);
            }
            return;
        }
        self.close_line(socket, line, Ok(()), Ok(()), flush);
    }

    /// Ends a stream with an error that the client is told.
    fn fail_line(
        &mut self,
        socket: SocketKey,
        line: Line<A>,
        error: Error,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        self.say(socket, ERROR, &(&*line.id, error.to_string()), flush);
        self.close_line(socket, line, Err(error.clone()), Err(error), flush);
    }

    /// Tells who read and who wrote a stream that is no more.
    fn close_line(
        &mut self,
        socket: SocketKey,
        line: Line<A>,
        read: Result<(), Error>,
        written: Result<(), Error>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        if let Some(reader) = line.reading.reader() {
            self.tell_reader(socket, reader, read, flush);
        }
        if let Some(then) = line.writing.then() {
            self.tell_then(socket, then, written, flush);
        }
    }
}

// Ends that nobody asked for.
impl<A: App> Crank<A> {
    /// The socket is gone, and its streams with it.
    pub(super) fn abort_streams(&mut self, socket: SocketKey, flush: &mut dyn FnMut(&mut Engine)) {
        while let Some(line) = self.take(socket, |_| true) {
            let (read, written) = (Err(Error::Aborted), Err(Error::Aborted));
            self.close_line(socket, line, read, written, flush);
        }
    }

    /// Ends streams whose client has owed something for too long.
    pub(super) fn expire_streams(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let now = self.hub.engine().now_ms();
        // Each that is due is ended, or is due later: the shortest time is 1 ms.
        while let Some(&(deadline, socket, serial)) = self.streams.deadlines.first() {
            if deadline > now {
                return;
            }
            let Some(line) = self.take(socket, |line| line.serial == serial) else {
                // A handler that panicked, if that was caught, has had it.
                self.streams.deadlines.pop_first();
                continue;
            };
            if line.is_held() {
                self.put_heard(socket, line);
                continue;
            }
            self.fail_line(socket, line, Error::Idle, flush);
        }
    }
}

// The table, and the calls.
impl<A: App> Crank<A> {
    fn stream_limits(&self, socket: SocketKey) -> &Limits {
        let tag = self.hub.tag(self.hub.namespace(socket)) as usize;
        &self.definitions[tag].streams.limits
    }

    fn take_line(&mut self, socket: SocketKey, id: &str) -> Option<Line<A>> {
        self.take(socket, |line| &*line.id == id)
    }

    fn take(&mut self, socket: SocketKey, is_it: impl Fn(&Line<A>) -> bool) -> Option<Line<A>> {
        let lines = self.streams.lines.get_mut(&socket)?;
        let at = lines.iter().position(is_it)?;
        let line = lines.swap_remove(at);
        if lines.is_empty() {
            self.streams.lines.remove(&socket);
        }
        self.streams.count -= 1;
        let deadline = (line.deadline_ms, socket, line.serial);
        self.streams.deadlines.remove(&deadline);
        Some(line)
    }

    /// Puts a stream into the table whose client owes something from now on.
    fn put_heard(&mut self, socket: SocketKey, mut line: Line<A>) {
        let idle = self.stream_limits(socket).idle_timeout;
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(AFTER_MS_MAX);
        let idle_ms = idle_ms.clamp(1, AFTER_MS_MAX);
        line.deadline_ms = self.hub.engine().now_ms() + idle_ms;
        self.put_line(socket, line);
    }

    fn put_line(&mut self, socket: SocketKey, line: Line<A>) {
        let deadline = (line.deadline_ms, socket, line.serial);
        self.streams.deadlines.insert(deadline);
        self.streams.count += 1;
        self.streams.lines.entry(socket).or_default().push(line);
    }

    /// Sends one of the protocol's events.
    fn say<T: serde::Serialize>(
        &mut self,
        socket: SocketKey,
        event: &str,
        args: &T,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let to = Target::Socket(socket);
        // Streams end with the connection: who comes back has none that this is about.
        let flags = Flags {
            is_unlogged: true,
            ..Flags::default()
        };
        self.outbox.emit(to, event, args, flags, None);
        self.apply(flush);
    }

    fn answer<T: serde::Serialize>(
        &mut self,
        socket: SocketKey,
        ack: Option<u64>,
        args: &T,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        if let Some(ack) = ack {
            self.outbox.reply_to(ack, self.hub.id(socket), args);
            self.apply(flush);
        }
    }

    fn tell_reader(
        &mut self,
        socket: SocketKey,
        mut reader: Reader<A>,
        end: Result<(), Error>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let read = match end {
            Ok(()) => Read::End,
            Err(error) => Read::Failed(error),
        };
        self.tell(socket, flush, |app, socket| reader(app, socket, read));
    }

    fn tell_then(
        &mut self,
        socket: SocketKey,
        then: Then<A>,
        end: Result<(), Error>,
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        self.tell(socket, flush, |app, socket| then(app, socket, end));
    }

    /// Calls the program, and does what it asks for; but not for streams, which waits.
    fn tell<R>(
        &mut self,
        socket: SocketKey,
        flush: &mut dyn FnMut(&mut Engine),
        call: impl FnOnce(&mut A, Socket<'_, A>) -> R,
    ) -> Option<R> {
        let desk = desk(&self.hub, &self.outbox, &self.post);
        let data = self.data.get_mut(socket.index())?.as_mut()?;
        let result = call(&mut self.app, Socket::new(data, desk, socket));
        self.apply(flush);
        Some(result)
    }
}

impl<A: App> Streams<A> {
    /// When something is to be done, in ms since the engine's beginning.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        match self.queue.is_empty() {
            true => self.deadlines.first().map(|(deadline, ..)| *deadline),
            false => Some(0),
        }
    }
}

impl<A: App> Line<A> {
    /// Whether it waits for this program, not for the client.
    fn is_held(&self) -> bool {
        matches!(self.reading, Reading::Held { .. }) || matches!(self.writing, Writing::Empty(_))
    }
}

impl<A: App> Reading<A> {
    fn reader(self) -> Option<Reader<A>> {
        match self {
            Reading::Wanted(reader) | Reading::Held { reader, .. } => Some(reader),
            Reading::Idle | Reading::Unread | Reading::Over => None,
        }
    }
}

impl<A: App> Writing<A> {
    fn then(self) -> Option<Then<A>> {
        match self {
            Writing::Waiting(writer) | Writing::Empty(writer) | Writing::Sent { writer, .. } => {
                Some(writer.then)
            }
            Writing::Idle { .. } | Writing::Over => None,
        }
    }
}

/// What a program may ask for while it is called because of what it asked for.
const AGAIN_MAX: usize = 1_000;

const TOO_MANY: &str = "too many streams";
