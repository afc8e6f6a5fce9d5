//! Streams of bytes over a Socket.IO connection, to and from the npm package `socket.io-stream`.
//!
//! A client sends a file of any size as an argument of an event, or asks for one in the same way;
//! here it is read and written chunk by chunk, as fast as the slower side goes. Whoever reads gives
//! the other side a *credit* for one chunk, and the next one only when the program has taken that
//! chunk: so there is at most one chunk of each stream in memory, however large the file is.
//!
//! ```no_run
//! use emio::{Server, Socket, stream::{Flow, Next, Read, Stream}};
//!
//! fn main() -> std::io::Result<()> {
//!     let mut io = Server::bind("127.0.0.1:3000", ())?;
//!     // ss(socket).emit("upload", stream, "a name"); file.pipe(stream);
//!     io.on_stream("upload", |_, socket, (file, name): (Stream, String)| {
//!         let mut bytes = 0;
//!         file.read(&socket, move |_, socket, read| {
//!             match read {
//!                 Read::Chunk(chunk) => bytes += chunk.len(),
//!                 Read::End => socket.emit("stored", (&name, bytes)),
//!                 Read::Failed(error) => socket.emit("lost", (&name, error.to_string())),
//!             }
//!             Flow::Next
//!         });
//!     });
//!     // ss(socket).emit("download", stream); stream.pipe(file);
//!     io.on_stream("download", |_, socket, (file,): (Stream,)| {
//!         let mut chunks = (0..1_000).map(|n| vec![n as u8; 65_536]);
//!         let next = move |_: &mut _, _: Socket<'_, _>| match chunks.next() {
//!             Some(chunk) => Next::Chunk(chunk.into()),
//!             None => Next::End,
//!         };
//!         file.write(&socket, next, |_, _, _end| ());
//!     });
//!     io.run()
//! }
//! ```
//!
//! The server may open streams too: [`Stream::new`] makes one, which travels anywhere inside the
//! arguments of [`emit`] and [`emit_with_ack`], and in the answer of an acknowledgement
//! (`socket.reply(file)`). Streams that a client answers with are read by `emit_with_ack`.
//!
//! # How a stream ends
//!
//! Who reads or writes a stream is told once how it ended: in order, by an error of either side
//! (`stream.emit("error", …)` of the package, [`Stream::fail`] here), or because the connection is
//! lost: [`Error::Aborted`]. A stream is a pair of directions. As in the package the end of one
//! ends the other, unless the side that made the stream said `allowHalfOpen`. The package's
//! `destroy()` tells this side nothing: a stream of which nothing is heard any more ends by
//! [`Limits::idle_timeout`]. A client that comes back with its state (`Config::recovery`) comes
//! without its streams, and is sent nothing again that was about them, [`emit`] included.
//!
//! # The protocol
//!
//! Ordinary events of one namespace: `$stream` (type, arguments) announces streams, as objects
//! `{"$stream": id, "options": {…}}` at any depth; `$stream-read` (id, size) is one credit;
//! `$stream-write` (id, chunk, encoding) is one chunk, and is acknowledged when the program has
//! taken it, or with a message if it was not accepted; `$stream-end` (id) and `$stream-error` (id,
//! message). Chunks are binary; text is taken as UTF-8, or as base64 from those who set
//! `forceBase64`. Objects (`objectMode`) are refused. An unknown id is answered as the package
//! does: `invalid stream id: …` to a chunk, and nothing to anything else.
//!
//! Better than the package: a chunk without a credit is an error of its stream and is not kept; an
//! event that nobody listens to fails its streams instead of leaving them; nothing waits for ever.
//!
//! # Limits
//!
//! [`Limits`] has their names, defaults and what happens beyond them; a namespace is given its own
//! by [`Namespace::stream_limits`](crate::Namespace::stream_limits). With
//! [`Overflow::DropNewest`](crate::Overflow) a credit or a chunk may be dropped: its stream ends by
//! the idle timeout.

// Not here: what becomes of the operations recorded here (`crank::streams`).

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    ser::{Error as _, SerializeMap as _},
};

use crate::{
    app::App,
    args::{Args, FromArgs, OwnedArgs},
    codec::json::{self, Bytes, Error as ArgsError},
    hub::AckError,
    op::{Flags, Target},
    outbox::Asking,
    socket::{Peer, Socket},
};

/// A stream between the server and one client: what an announced one is read from arguments as, and
/// what one of the server's own is sent as. It names the stream; a clone names the same.
///
/// All its methods are requests, done when the handler has returned, behind what else it asked for.
/// They take the socket that the stream came from or was made for; with another one, and after the
/// stream's end, what they were given is told [`Error::Gone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub(crate) id: Arc<str>,
    pub(crate) is_half_open: bool,
    /// The size its reader would like chunks to have; advice, which the package's sender ignores.
    pub(crate) chunk_bytes: u32,
}

/// What the reader of a stream is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes; never empty.
    Chunk(Bytes),
    /// There are no more. The last call.
    End,
    /// There will be no more, for this reason. The last call.
    Failed(Error),
}

/// What becomes of a stream whose reader has been given a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next one may come.
    Next,
    /// None may come until [`Stream::resume`]. Nor is the end told before.
    Hold,
}

/// What the writer of a stream has when it is asked for the next chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes: some, and not more than the client will take as one message.
    Chunk(Bytes),
    /// Nothing yet: it is asked again after [`Stream::ready`].
    Later,
    /// There are no more.
    End,
    /// There will be no more, for this reason, which the client is told.
    Fail(String),
}

/// Why a stream ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The client said so, with this message (at most 256 bytes of it).
    Remote(Box<str>),
    /// This program did, with this message.
    Failed(Box<str>),
    /// The socket was disconnected.
    Aborted,
    /// Nothing came of what the client owed within [`Limits::idle_timeout`].
    Idle,
    /// A chunk has more than [`Limits::chunk_bytes_max`].
    TooLarge,
    /// A chunk came that the client had no credit for.
    NoCredit,
    /// A chunk is neither binary nor text in an encoding that is understood.
    Encoding,
    /// There is no such stream: it has ended, or it was refused by a limit.
    Gone,
    /// It is being read, or written, already.
    Taken,
    /// The client has ended it, and does not read what would be written.
    Closed,
}

/// What the streams of a namespace may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Default 64. Streams of one socket at once, of both sides; a further one is refused with
    /// `$stream-error`. An event that announces more is not handled at all. (package: no limit)
    pub streams_per_socket_max: u32,
    /// Default 10,000. Streams of all sockets of the process that there may be for another one of
    /// this namespace; beyond it, it is refused with `$stream-error`. (package: no limit)
    pub streams_max: u32,
    /// Default 512 KiB. Bytes of one chunk from a client, whose stream ends beyond it with
    /// [`Error::TooLarge`]. What exceeds `Config::max_payload` ends the connection. (package: no
    /// limit; Node reads files in chunks of 64 KiB)
    pub chunk_bytes_max: u32,
    /// Default 2 min. Time in which what a client owes a stream has to come: a chunk for a credit,
    /// a credit for a writer that waits, an acknowledgement; beyond it the stream ends with
    /// [`Error::Idle`]. It is also the time a stream may stay that nobody reads or writes. While
    /// this program holds a stream back it does not run. (package: no limit)
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            streams_per_socket_max: 64,
            streams_max: 10_000,
            chunk_bytes_max: 512 * 1024,
            idle_timeout: Duration::from_secs(120),
        }
    }
}

impl Stream {
    /// A stream to be sent to this client. Nobody but its socket has it; it ends with the socket.
    pub fn new<A: App>(socket: &Peer<'_, A>) -> Stream {
        Stream::open(socket, false)
    }

    /// The same, whose two directions end each by itself.
    pub fn half_open<A: App>(socket: &Peer<'_, A>) -> Stream {
        Stream::open(socket, true)
    }

    fn open<A: App>(socket: &Peer<'_, A>, is_half_open: bool) -> Stream {
        // It has to differ from the client's, which are random, and from each other.
        let serial = socket.desk.outbox.next_stream();
        let id = format!("656d696f-0000-4000-8000-{:012x}", serial & 0xffff_ffff_ffff);
        let stream = Stream {
            id: id.into(),
            is_half_open,
            chunk_bytes: CHUNK_BYTES,
        };
        stream.ask(socket, Op::Open(stream.clone(), Side::Server));
        stream
    }

    /// Its id on the wire: a UUID, if the client is the package.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether its directions end each by itself (`allowHalfOpen`).
    pub fn is_half_open(&self) -> bool {
        self.is_half_open
    }

    /// Calls `reader` with every chunk as it comes, and once with the end or with the reason why
    /// there is none. The next chunk is asked for when it returns [`Flow::Next`].
    pub fn read<A, F>(&self, socket: &Peer<'_, A>, reader: F)
    where
        A: App,
        F: for<'a> FnMut(&mut A, Socket<'a, A>, Read) -> Flow + Send + 'static,
    {
        self.ask(socket, Op::Read(self.clone(), Box::new(reader)));
    }

    /// Calls `writer` for a chunk whenever the client can take one, until it ends the stream, and
    /// `then` once with how it ended.
    pub fn write<A, F, E>(&self, socket: &Peer<'_, A>, writer: F, then: E)
    where
        A: App,
        F: for<'a> FnMut(&mut A, Socket<'a, A>) -> Next + Send + 'static,
        E: for<'a> FnOnce(&mut A, Socket<'a, A>, Result<(), Error>) + Send + 'static,
    {
        let writer = Writer {
            next: Box::new(writer),
            then: Box::new(then),
        };
        self.ask(socket, Op::Write(self.clone(), writer));
    }

    /// Lets the next chunk come, if the reader held it back. From elsewhere than a handler of the
    /// socket: `io.socket(id)`.
    pub fn resume<A: App>(&self, socket: &Peer<'_, A>) {
        self.ask(socket, Op::Resume(self.clone()));
    }

    /// Asks the writer again, if it had nothing for the credit that is here.
    pub fn ready<A: App>(&self, socket: &Peer<'_, A>) {
        self.ask(socket, Op::Ready(self.clone()));
    }

    /// Ends it in order, whatever is still to come; its reader and writer are told that it ended.
    pub fn end<A: App>(&self, socket: &Peer<'_, A>) {
        self.ask(socket, Op::End(self.clone()));
    }

    /// Ends it with an error, which the client, its reader and its writer are told.
    pub fn fail<A: App>(&self, socket: &Peer<'_, A>, message: &str) {
        let message = message.into();
        self.ask(socket, Op::Fail(self.clone(), message));
    }

    fn ask<A: App>(&self, socket: &Peer<'_, A>, op: Op<A>) {
        socket.desk.outbox.stream(socket.id(), op);
    }
}

/// Sends an event with streams among its arguments, for the listeners of `ss(socket).on(event)`.
/// The arguments are those of [`Peer::emit`].
pub fn emit<A: App, T: Serialize>(socket: &Peer<'_, A>, event: &str, args: T) {
    announce(socket, event, &args, None);
}

/// The same with an answer, which may hold streams of the client's.
pub fn emit_with_ack<A, E, T, F>(
    socket: &Peer<'_, A>,
    event: &str,
    args: E,
    timeout: Duration,
    then: F,
) where
    A: App,
    E: Serialize,
    T: FromArgs,
    F: for<'b> FnOnce(&mut A, Socket<'b, A>, Result<T, AckError>) + Send + 'static,
{
    let then = Box::new(
        move |app: &mut A, socket: Socket<'_, A>, answer: Result<Args<'_>, AckError>| {
            let answer = answer.and_then(|args| {
                let streams = announced(args, ANSWERED_MAX);
                for stream in &streams {
                    stream.ask(&socket, Op::Open(stream.clone(), Side::Client));
                }
                T::from_args(&args).map_err(|_| {
                    for stream in &streams {
                        stream.fail(&socket, "the answer was not handled");
                    }
                    AckError::Mismatch
                })
            });
            then(app, socket, answer);
        },
    );
    announce(socket, event, &args, Some(Asking::One(timeout, then)));
}

fn announce<A, T>(socket: &Peer<'_, A>, event: &str, args: &T, asking: Option<Asking<A>>)
where
    A: App,
    T: Serialize,
{
    let written = OwnedArgs::write(args).and_then(|args| args.as_args().after(event));
    let (to, args) = (Target::Socket(socket.key), Announcement(written));
    let outbox = socket.desk.outbox;
    // Its streams end with the connection: who comes back would wait for them in vain.
    let flags = Flags {
        is_unlogged: true,
        ..Flags::default()
    };
    outbox.emit(to, ANNOUNCE, &args, flags, asking);
}

/// The arguments of `$stream`; what could not be written fails as that of any event does.
struct Announcement(Result<OwnedArgs, ArgsError>);

impl Serialize for Announcement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(args) => args.serialize(serializer),
            Err(error) => Err(S::Error::custom(error)),
        }
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry(ANNOUNCE, &*self.id)?;
        if self.is_half_open {
            let options = BTreeMap::from([(HALF_OPEN, true)]);
            object.serialize_entry(OPTIONS, &options)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stream, D::Error> {
        let mut streams = Vec::new();
        let streams_max = 0;
        let search = Search {
            streams: &mut streams,
            streams_max,
        };
        let seen = search.deserialize(deserializer)?;
        let stream = streams.pop().filter(|_| matches!(seen, Seen::Stream));
        stream.ok_or_else(|| D::Error::custom("not a stream"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Remote(message) | Error::Failed(message) => message,
            // The package's words.
            Error::Aborted => "Connection aborted",
            Error::Idle => "stream timed out",
            Error::TooLarge => "chunk too large",
            Error::NoCredit => "chunk without a credit",
            Error::Encoding => "chunk in an unknown encoding",
            Error::Gone => "no such stream",
            Error::Taken => "stream already in use",
            Error::Closed => "stream closed",
        })
    }
}

impl std::error::Error for Error {}

// ---- for the crank ----------------------------------------------------------------------------

/// What is asked of a stream, by the program or by its client.
pub(crate) enum Op<A: App> {
    /// There is one.
    Open(Stream, Side),
    Read(Stream, Reader<A>),
    Write(Stream, Writer<A>),
    Resume(Stream),
    Ready(Stream),
    End(Stream),
    Fail(Stream, Box<str>),
    /// It is not opened at all.
    Refuse(Stream, &'static str),
    /// `$stream-read`.
    Credit(Box<str>),
    /// `$stream-write`, and the acknowledgement it asks for.
    Chunk(Box<str>, Result<Bytes, Error>, Option<u64>),
    /// What the client says to a chunk of ours; the stream's serial.
    Acked(u64, Result<(), Error>),
    /// `$stream-end`.
    PeerEnd(Box<str>),
    /// `$stream-error`.
    PeerError(Box<str>, Box<str>),
}

/// Who has made a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

pub(crate) type Reader<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>, Read) -> Flow + Send>;

/// Who writes a stream, and who is told how that ended.
pub(crate) struct Writer<A: App> {
    pub next: Source<A>,
    pub then: Then<A>,
}

pub(crate) type Source<A> = Box<dyn for<'a> FnMut(&mut A, Socket<'a, A>) -> Next + Send>;

pub(crate) type Then<A> = Box<dyn for<'a> FnOnce(&mut A, Socket<'a, A>, Result<(), Error>) + Send>;

/// The streams that arguments announce, in their order; not more than `max` and one.
pub(crate) fn announced(args: Args<'_>, max: usize) -> Vec<Stream> {
    let mut streams = Vec::new();
    // Few events are of streams; reading costs more than a look.
    if args.raw().contains(ANNOUNCE) {
        for text in json::elements(args.raw()) {
            let left = max.saturating_sub(streams.len());
            streams.extend(json::read_seeded(text, Announced(left)).unwrap_or_default());
            if streams.len() > max {
                break;
            }
        }
    }
    streams
}

/// All streams in a value, but not more than so many and one.
#[derive(Clone, Copy)]
struct Announced(usize);

impl<'de> DeserializeSeed<'de> for Announced {
    type Value = Vec<Stream>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Stream>, D::Error> {
        let mut streams = Vec::new();
        let search = Search {
            streams: &mut streams,
            streams_max: self.0,
        };
        search.deserialize(deserializer)?;
        Ok(streams)
    }
}

/// Walks over a value and keeps nothing of it but its streams: a tree of it may take a hundred
/// times the bytes of its text. Recurses as deep as `Config::json_depth_max`.
struct Search<'a> {
    streams: &'a mut Vec<Stream>,
    streams_max: usize,
}

/// What a value is, as far as it may be a part of a stream.
enum Seen {
    Stream,
    /// An object that is none; what it says in case that it is a stream's options.
    Options(Options),
    /// Text that may be an id.
    Id(Arc<str>),
    Flag(bool),
    Number(u64),
    Other,
}

#[derive(Clone, Copy)]
struct Options {
    is_half_open: bool,
    chunk_bytes: u32,
}

/// The member of an object, as far as it may be a stream, or its options.
enum Member {
    Announce,
    Options,
    HalfOpen,
    ChunkBytes,
    Other,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Seen, E> {
        Ok(Seen::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Seen, E> {
        Ok(Seen::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Seen, E> {
        Ok(match text.len() {
            1..=ID_BYTES_MAX => Seen::Id(text.into()),
            _ => Seen::Other,
        })
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Seen, S::Error> {
        let Search {
            streams,
            streams_max,
        } = self;
        loop {
            let search = Search {
                streams: &mut *streams,
                streams_max,
            };
            if seq.next_element_seed(search)?.is_none() {
                return Ok(Seen::Other);
            }
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Seen, M::Error> {
        let Search {
            streams,
            streams_max,
        } = self;
        let before = streams.len();
        let none = Options {
            is_half_open: false,
            chunk_bytes: CHUNK_BYTES,
        };
        let (mut id, mut options, mut own) = (None, none, none);
        while let Some(member) = map.next_key()? {
            let search = Search {
                streams: &mut *streams,
                streams_max,
            };
            match (member, map.next_value_seed(search)?) {
                (Member::Announce, seen) => id = Some(seen),
                (Member::Options, Seen::Options(seen)) => options = seen,
                (Member::HalfOpen, Seen::Flag(flag)) => own.is_half_open = flag,
                (Member::ChunkBytes, Seen::Number(bytes)) => {
                    own.chunk_bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
                }
                _ => {}
            }
        }
        let Some(id) = id else {
            return Ok(Seen::Options(own));
        };
        // Nothing in a stream is another one.
        streams.truncate(before);
        let Seen::Id(id) = id else {
            return Ok(Seen::Other);
        };
        if streams.len() <= streams_max {
            streams.push(Stream {
                id,
                is_half_open: options.is_half_open,
                chunk_bytes: options.chunk_bytes,
            });
        }
        Ok(Seen::Stream)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                Ok(match name {
                    ANNOUNCE => Member::Announce,
                    OPTIONS => Member::Options,
                    HALF_OPEN => Member::HalfOpen,
                    "highWaterMark" => Member::ChunkBytes,
                    _ => Member::Other,
                })
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// What one of the protocol's own events asks for; `None` if it is another one.
pub(crate) fn heard<A: App>(
    event: &str,
    args: Args<'_>,
    ack: impl FnOnce() -> Option<u64>,
) -> Option<Op<A>> {
    let is_known = matches!(event, CREDIT | CHUNK | END | ERROR);
    if !is_known {
        return None;
    }
    let id = text(args, 0, ID_BYTES_MAX);
    Some(match event {
        CREDIT => Op::Credit(id),
        CHUNK => Op::Chunk(id, chunk(args), ack()),
        END => Op::PeerEnd(id),
        _ => Op::PeerError(id, text(args, 1, MESSAGE_BYTES_MAX)),
    })
}

/// A chunk, read from the second argument by the third. How large it may be is looked at later.
fn chunk(args: Args<'_>) -> Result<Bytes, Error> {
    if let Ok(bytes) = args.get::<Bytes>(1) {
        return Ok(bytes);
    }
    let text = args.get::<Option<String>>(1).map_err(|_| Error::Encoding)?;
    let text = text.unwrap_or_default();
    let encoding = args.get::<Option<String>>(2).unwrap_or_default();
    match encoding.as_deref() {
        Some("base64") => {
            let bytes = STANDARD.decode(text).map_err(|_| Error::Encoding)?;
            Ok(Bytes::from(bytes))
        }
        None | Some("utf8" | "utf-8") => Ok(Bytes::from(text.into_bytes())),
        Some(_) => Err(Error::Encoding),
    }
}

/// An argument as text, whatever it is, cut at `bytes_max`.
fn text(args: Args<'_>, index: usize, bytes_max: usize) -> Box<str> {
    let raw = json::elements(args.raw()).nth(index);
    let raw = raw.unwrap_or("undefined");
    let unquoted = raw.starts_with('"').then(|| args.get::<String>(index));
    let unquoted = unquoted.and_then(Result::ok);
    let text = unquoted.as_deref().unwrap_or(raw);
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// What the answer to one of our chunks says: nothing, or what was wrong with it.
pub(crate) fn verdict(answer: Result<Args<'_>, AckError>) -> Result<(), Error> {
    match answer {
        Ok(args) => match json::elements(args.raw()).next() {
            None | Some("null") => Ok(()),
            Some(_) => Err(Error::Remote(text(args, 0, MESSAGE_BYTES_MAX))),
        },
        Err(AckError::Timeout) => Err(Error::Idle),
        Err(AckError::Disconnected) => Err(Error::Aborted),
        Err(error) => Err(Error::Failed(error.to_string().into())),
    }
}

pub(crate) const ANNOUNCE: &str = "$stream";
pub(crate) const CREDIT: &str = "$stream-read";
pub(crate) const CHUNK: &str = "$stream-write";
pub(crate) const END: &str = "$stream-end";
pub(crate) const ERROR: &str = "$stream-error";

const OPTIONS: &str = "options";
const HALF_OPEN: &str = "allowHalfOpen";

/// A UUID has 36.
const ID_BYTES_MAX: usize = 64;

const MESSAGE_BYTES_MAX: usize = 256;

/// Streams of one answer that are looked at; the socket's limit may be lower.
const ANSWERED_MAX: usize = 64;

/// What Node reads a file by.
const CHUNK_BYTES: u32 = 64 * 1024;
