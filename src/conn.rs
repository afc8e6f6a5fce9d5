//! One TCP connection, from accept to its end: what it carries now, what it has received in part,
//! and what it has yet to write.
//!
//! Not here: sockets, clocks, sessions, and the meaning of requests (`engine`). What always holds:
//! an idle connection owns no heap; `inbox` exists only while something is there in part or waits
//! for an answer; answers leave in the order of their requests because nothing is parsed while one
//! is owed.
//!
//! ```text
//!   Head ──▶ Body ──▶ Posting ──▶ Head            requests, one after the other
//!    │ └────▶ Poll ─────────────▶ Head            a parked long poll
//!    │ └────▶ Deciding ─────────▶ Head            the application is asked
//!    ├──────▶ Ws ───▶ WsClosing ─┐                a session's WebSocket
//!    ├──────▶ RawWs ▶ WsClosing ─┤                an application's WebSocket
//!    └──────────────▶ Closing ───┴─▶ Lingering ─▶ Dead
//! ```

use std::ops::Range;

#[cfg(feature = "compression")]
use crate::codec::coding::Coding;
use crate::{
    codec::{http::ChunkDecoder, ws::Fragments},
    handshake::Hello,
    headers::Headers,
    id::SessionKey,
    queue::Queue,
};

/// One TCP connection.
#[derive(Debug)]
pub struct Conn {
    pub state: State,
    pub inbox: Option<Box<Inbox>>,
    pub queue: Queue,
    /// The peer's address, IPv4 as an IPv4-mapped IPv6 one.
    pub address: [u8; 16],
    /// How the request being answered wants its answer.
    pub reply: Reply,
    /// Whether it stands on the list of connections with output.
    pub is_dirty: bool,
    /// Whether the kernel took all of the last write.
    pub is_writable: bool,
    /// Whether the last read filled its budget, so that more lies in the kernel.
    pub has_more: bool,
    /// Whether the peer has ended its side.
    pub is_eof: bool,
    /// Whether the rest of its input was put off to the next turn.
    pub is_held_back: bool,
    /// Whether output has had to wait since it was last told that none does.
    pub is_backlogged: bool,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for a request, or for the rest of its head.
    Head,
    /// The head is known and the body is not whole; of this session's POST, if it is one.
    Body(Option<SessionKey>),
    /// A POST's packets are being handled, one event at a time.
    Posting(SessionKey),
    /// A GET waits for packets of this session.
    Poll(SessionKey),
    /// The application judges a handshake or answers a request; the serial is in its token.
    Deciding(u32),
    /// Carries this session, or probes for it.
    Ws(SessionKey),
    /// An application's own WebSocket; the serial is in its id.
    RawWs(u32),
    /// Our close frame is queued; the peer's is awaited.
    WsClosing,
    /// The last bytes are queued; then the write side ends.
    Closing,
    /// The write side has ended; what the peer still sends is discarded for a moment, because a
    /// reset would destroy the answer on its way.
    Lingering,
    /// To be dropped at the turn's end.
    Dead,
}

/// How the answer to a request is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply {
    /// The request's minor version of HTTP/1.
    pub minor: u8,
    pub keep_alive: bool,
    /// HEAD: the same head, no body.
    pub is_head: bool,
    /// Whether the request came under the protocol's path.
    pub is_protocol: bool,
    /// Whether the answer has the headers of CORS.
    pub has_cors: bool,
    /// How the client lets the payload of an answer be written.
    #[cfg(feature = "compression")]
    pub coding: Coding,
    /// Old Internet Explorers get `X-XSS-Protection: 0`.
    pub is_msie: bool,
    /// `b64=1`: binary goes out in base64, also over the WebSocket that this request becomes.
    pub is_base64: bool,
    /// A raw WebSocket got its ping and has not been heard since.
    pub is_pinged: bool,
}

/// What a connection holds beyond one turn of the loop.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Bytes received and not consumed.
    pub tail: Vec<u8>,
    /// How many bytes `tail` needs before the parser is woken again, so that trickles cost O(n).
    pub need: usize,
    /// How much of the text frame that `tail` begins with is known to be UTF-8.
    pub text_checked: usize,
    /// A WebSocket message of which some fragments are here.
    pub fragments: Option<Box<Fragments>>,
    /// A chunked body: its decoder, and how much of `tail` is head and decoded body.
    pub chunked: Option<Chunked>,
    /// A POST that was put off between two of its packets.
    pub posting: Option<Box<Posting>>,
    /// A handshake that the application judges.
    pub opening: Option<Opening>,
    /// The answer owed to the last ping of a peer that does not read. RFC 6455 §5.5.3 lets the ones
    /// before it be forgotten.
    pub pong: Option<Box<[u8]>>,
    /// When the first fragment of the message under assembly came, in the engine's milliseconds.
    pub fragments_since_ms: u64,
    /// The origin of the request being answered, where the answer's headers depend on it.
    pub origin: Option<Box<str>>,
    /// Header lines that the next answer gets besides.
    pub extra: Headers,
    /// How many of these bytes the engine's gauge has counted.
    pub counted: u32,
}

/// A POST whose packets are being handled; places are in the input.
#[derive(Debug)]
pub struct Payload {
    pub head: Range<usize>,
    /// Where the next packet begins; `None` after the last.
    pub next: Option<usize>,
    pub end: usize,
    pub packets_count: u32,
}

impl Payload {
    /// The same after the first `bytes` of the input were dropped, which are not part of it.
    pub fn moved(self, bytes: usize) -> Payload {
        Payload {
            head: self.head.start - bytes..self.head.end - bytes,
            next: self.next.map(|next| next - bytes),
            end: self.end - bytes,
            ..self
        }
    }
}

/// A POST that was put off between two of its packets.
#[derive(Debug)]
pub struct Posting {
    pub payload: Payload,
    /// Where the next request begins.
    pub start: usize,
}

/// A chunked body on its way.
#[derive(Debug, Default)]
pub struct Chunked {
    pub decoder: ChunkDecoder,
    /// Bytes of the head, and of the head with what is decoded.
    pub head: usize,
    pub decoded: usize,
}

/// A handshake that waits for a judgement.
#[derive(Debug)]
pub struct Opening {
    pub hello: Box<Hello>,
    /// What the 101 says, if the handshake came as a WebSocket.
    pub websocket: Option<Switch>,
    /// Whether it asked for Engine.IO 4; refused after the judgement if not, as the official server
    /// orders its checks.
    pub is_eio4: bool,
}

impl Opening {
    /// Bytes that it makes the process hold.
    fn bytes_held(&self) -> usize {
        let switch = self.websocket.as_ref();
        let protocol = switch.and_then(|switch| switch.protocol.as_ref());
        self.hello.bytes_held() + protocol.map_or(0, String::len)
    }
}

/// The variable part of a 101 answer. RFC 6455 §4.2.2.
#[derive(Debug)]
pub struct Switch {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The first subprotocol that the client offered, which is echoed.
    pub protocol: Option<String>,
}

impl Conn {
    pub fn new(address: [u8; 16]) -> Conn {
        Conn {
            state: State::Head,
            inbox: None,
            queue: Queue::Idle,
            address,
            reply: Reply::default(),
            is_dirty: false,
            is_writable: true,
            has_more: false,
            is_eof: false,
            is_held_back: false,
            is_backlogged: false,
        }
    }

    /// Whether nothing the peer sends matters any more.
    pub fn is_ending(&self) -> bool {
        matches!(self.state, State::Closing | State::Lingering | State::Dead)
    }

    /// Whether so much of earlier answers waits that no further request is read.
    pub fn is_behind(&self) -> bool {
        self.queue.bytes() > ANSWERS_BYTES_MAX
    }

    /// Whether something that it has sent is known not to have been looked at.
    pub fn is_unheard(&self) -> bool {
        self.has_more || self.is_held_back
    }

    /// The inbox, made if there is none.
    pub fn inbox_mut(&mut self) -> &mut Inbox {
        self.inbox.get_or_insert_default()
    }
}

impl Inbox {
    /// Bytes that this connection makes the process hold.
    pub fn held(&self) -> usize {
        let fragments = self
            .fragments
            .as_ref()
            .map_or(0, |fragments| fragments.bytes_held());
        let opening = self
            .opening
            .as_ref()
            .map_or(0, |opening| opening.bytes_held());
        let origin = self.origin.as_ref().map_or(0, |origin| origin.len());
        self.tail.capacity() + fragments + opening + origin + self.extra.bytes_held()
    }

    /// Whether nothing is left to hold it for.
    pub fn is_empty(&self) -> bool {
        self.tail.is_empty()
            && self.fragments.is_none()
            && self.opening.is_none()
            && self.chunked.is_none()
            && self.posting.is_none()
            && self.origin.is_none()
            && self.pong.is_none()
            && self.extra.is_empty()
    }
}

/// Bytes of answers that may wait before a pipelined request is left for later.
const ANSWERS_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(
    size_of::<Conn>() <= 64,
    "an idle connection must stay small"
);
