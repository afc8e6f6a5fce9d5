//! WebSocket frames as a server meets them (RFC 6455): masked on the way in, never on the way out.
//!
//! Not here: sockets, buffers, the HTTP upgrade (but for its key), extensions, and who answers a
//! ping or a close. tungstenite reads and writes the header bytes; the rules around them are ours,
//! so that a connection owns no buffer while it is idle. tungstenite's own `WebSocketContext`
//! is the oracle of the tests below.
//!
//! What always holds: a refusal needs the frame's header only, unless it is about the payload's
//! content or the order of fragments; text is refused with its first wrong byte; memory grows with
//! the bytes that arrived, never with a length that was claimed; how the bytes were cut into reads
//! changes nothing.
//!
//! ```text
//!   bytes ──parse──▶ Frame (unmasked in place) ──accept──▶ Input: message, ping, pong, close
//!            │  ▲                                 │  ▲
//!            ▼  │                                 ▼  │
//!           await_rest                          Fragments  (only while a message is in pieces)
//! ```

use std::{fmt, io::Cursor, mem, ops::Range, str};

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use sha1::{Digest as _, Sha1};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// What a frame is for (RFC 6455 §5.2); the reserved opcodes do not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    /// Close, ping or pong: short, never fragmented, and allowed between fragments (§5.5).
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    fn from_tungstenite(opcode: OpCode) -> Result<Opcode, Fault> {
        match opcode {
            OpCode::Data(Data::Continue) => Ok(Opcode::Continuation),
            OpCode::Data(Data::Text) => Ok(Opcode::Text),
            OpCode::Data(Data::Binary) => Ok(Opcode::Binary),
            OpCode::Control(Control::Close) => Ok(Opcode::Close),
            OpCode::Control(Control::Ping) => Ok(Opcode::Ping),
            OpCode::Control(Control::Pong) => Ok(Opcode::Pong),
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                Err(Fault::Opcode)
            }
        }
    }
}

/// Why the peer's frames are refused. After a fault the connection is failed (§7.1.7): nothing
/// of it is parsed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A client's frame came without a mask (§5.1).
    Unmasked,
    /// A reserved bit is set, and no extension gave it a meaning (§5.2).
    ReservedBits,
    /// The opcode is a reserved one (§5.2).
    Opcode,
    /// A close, ping or pong in pieces (§5.5).
    ControlFragmented,
    /// A close, ping or pong of more than 125 bytes (§5.5).
    ControlTooLong,
    /// A continuation, and there is nothing to continue (§5.4).
    UnexpectedContinuation,
    /// A new message before the last one was complete (§5.4).
    ExpectedContinuation,
    /// A close frame of one byte: half a code (§5.5.1).
    CloseTruncated,
    /// A close code that may not appear on the wire (§7.4).
    CloseCode,
    /// Text, or a close reason, that is not UTF-8 (§8.1).
    Utf8,
    /// A message larger than we read (§7.4.1, 1009).
    TooBig,
}

impl Fault {
    /// The code to put into the close frame that answers this fault (§7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Fault::Utf8 => 1007,
            Fault::TooBig => 1009,
            Fault::Unmasked
            | Fault::ReservedBits
            | Fault::Opcode
            | Fault::ControlFragmented
            | Fault::ControlTooLong
            | Fault::UnexpectedContinuation
            | Fault::ExpectedContinuation
            | Fault::CloseTruncated
            | Fault::CloseCode => 1002,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Unmasked => "frame without a mask",
            Fault::ReservedBits => "reserved bit set",
            Fault::Opcode => "reserved opcode",
            Fault::ControlFragmented => "fragmented control frame",
            Fault::ControlTooLong => "control frame too long",
            Fault::UnexpectedContinuation => "continuation of nothing",
            Fault::ExpectedContinuation => "message inside a message",
            Fault::CloseTruncated => "truncated close code",
            Fault::CloseCode => "close code not allowed",
            Fault::Utf8 => "invalid UTF-8",
            Fault::TooBig => "message too big",
        })
    }
}

impl std::error::Error for Fault {}

/// What `parse` found at the start of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing can be said before the buffer holds this many bytes, counted from its start.
    /// Always more than it holds now.
    Need(usize),
    Frame(Frame),
}

/// A whole frame, unmasked. The next one starts at `payload.end`.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: Opcode,
    pub fin: bool,
    /// Where the payload lies in the buffer given to `parse`.
    pub payload: Range<usize>,
    /// How much of the payload is known to be UTF-8: what `await_rest` said of this frame, for
    /// `accept`. Zero from `parse`.
    pub text_checked: usize,
}

/// Parses the frame at the start of `buf`. Its payload is unmasked in place once it is whole, so
/// the caller passes a frame's bytes again only after `Need`.
///
/// `payload_bytes_max` bounds data frames and is what [`allowance`] says; control frames have a
/// bound of their own. A length written in more bytes than it needs is read as it stands, as
/// tungstenite reads it.
pub fn parse(buf: &mut [u8], payload_bytes_max: u64) -> Result<Parsed, Fault> {
    let mut cursor = Cursor::new(&*buf);
    let Some((header, len)) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Opcode)? else {
        return Ok(Parsed::Need(head_bytes_wanted(buf)));
    };
    let head = cursor.position() as usize; // at most 14
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Fault::ReservedBits);
    }
    let opcode = Opcode::from_tungstenite(header.opcode)?;
    let mask = header.mask.ok_or(Fault::Unmasked)?;
    if opcode.is_control() && !header.is_final {
        return Err(Fault::ControlFragmented);
    }
    if opcode.is_control() && len > CONTROL_BYTES_MAX as u64 {
        return Err(Fault::ControlTooLong);
    }
    // Compared before it is narrowed: where usize is 32 bits, a claim of 2^32 + 5 must not read
    // as 5.
    if !opcode.is_control() && len > payload_bytes_max {
        return Err(Fault::TooBig);
    }
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| head.checked_add(len));
    let end = end.ok_or(Fault::TooBig)?;
    if buf.len() < end {
        return Ok(Parsed::Need(end));
    }
    unmask(&mut buf[head..end], mask);
    Ok(Parsed::Frame(Frame {
        opcode,
        fin: header.is_final,
        payload: head..end,
        text_checked: 0,
    }))
}

/// How many bytes the header that starts in `buf` has. Exact, so that a faulty header is refused
/// with its last byte, however the bytes arrive.
fn head_bytes_wanted(buf: &[u8]) -> usize {
    let Some(&second) = buf.get(1) else { return 2 };
    let mask_bytes = if second & MASKED == 0 { 0 } else { 4 };
    2 + length_bytes(second) + mask_bytes
}

/// How many bytes of length follow the header's second byte.
fn length_bytes(second: u8) -> usize {
    match second & !MASKED {
        LENGTH_IN_U16 => 2,
        LENGTH_IN_U64 => 8,
        _ => 0,
    }
}

/// How many bytes to wait for when `parse` needs `need` of them. One more is enough for text: §8.1
/// lets its first wrong byte fail the connection, and what is refused is not kept.
///
/// `checked` counts the payload bytes of this frame that are known to be UTF-8, so each is looked
/// at once, however slowly they come; the caller gives zero with a new frame. Nothing is unmasked.
pub fn await_rest(
    buf: &[u8],
    need: usize,
    fragments: &Option<Box<Fragments>>,
    checked: &mut usize,
) -> Result<usize, Fault> {
    let mut cursor = Cursor::new(buf);
    let Ok(Some((header, _))) = FrameHeader::parse(&mut cursor) else {
        return Ok(need);
    };
    let cut_off = match (header.opcode, fragments) {
        (OpCode::Data(Data::Text), None) => &[],
        (OpCode::Data(Data::Continue), Some(message)) if !message.binary => message.cut_off(),
        _ => return Ok(need),
    };
    let mut key = header.mask.ok_or(Fault::Unmasked)?;
    key.rotate_left(*checked % 4);
    let payload = &buf[cursor.position() as usize..];
    let mut rest = &payload[*checked..];
    while !rest.is_empty() {
        let mut piece = [0; PIECE_BYTES];
        // Until a byte is checked, the last fragment's end is what these continue.
        let begun = if *checked == 0 { cut_off } else { &[] };
        let taken = rest.len().min(PIECE_BYTES - begun.len());
        let piece = &mut piece[..begun.len() + taken];
        piece[..begun.len()].copy_from_slice(begun);
        piece[begun.len()..].copy_from_slice(&rest[..taken]);
        unmask(&mut piece[begun.len()..], key);
        let valid = utf8_bytes(piece)?.saturating_sub(begun.len());
        *checked += valid;
        if taken == rest.len() {
            break;
        }
        rest = &rest[valid..];
        key.rotate_left(valid % 4);
    }
    Ok(buf.len() + 1)
}

/// How much of a text's start is UTF-8. The rest, if any, is a code point that more bytes may
/// complete.
fn utf8_bytes(text: &[u8]) -> Result<usize, Fault> {
    match str::from_utf8(text) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_some() => Err(Fault::Utf8),
        Err(error) => Ok(error.valid_up_to()),
    }
}

/// XORs eight bytes at a time; eight is a multiple of four, so the key keeps its phase.
fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let mixed = u64::from_ne_bytes((&*word).try_into().expect("chunks of eight bytes")) ^ wide;
        word.copy_from_slice(&mixed.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// What a frame means to the layer above.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A complete message. It is UTF-8 unless `binary`.
    Message {
        binary: bool,
        payload: Payload,
    },
    /// A piece of a message; more follows.
    Partial,
    /// To be answered by a pong with these bytes of the buffer (§5.5.2).
    Ping(Range<usize>),
    Pong,
    /// The peer's last frame, with its code if it gave one (§5.5.1). Nothing after it counts.
    Close(Option<u16>),
}

/// Where a message's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// In the buffer: the message was one frame.
    Whole(Range<usize>),
    /// Here: the message was in pieces.
    Assembled(Vec<u8>),
}

/// A message under assembly. Exists from its first fragment to its last, so a connection keeps
/// nothing for it in between messages.
#[derive(Debug)]
pub struct Fragments {
    binary: bool,
    bytes: Vec<u8>,
    /// Text before this offset is known to be UTF-8; what follows is a cut-off code point.
    checked: usize,
}

impl Fragments {
    /// Heap bytes of the assembled part, for the process-wide count of incoming bytes.
    pub fn bytes_held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a fragment. §8.1 lets a fragment's end cut a code point, not the message's.
    ///
    /// The vector grows by doubling, and is given away with the message or dropped with the fault.
    /// Empty fragments cost nothing, so their number needs no limit. Of text, what lies before the
    /// fragment's first `text_checked` bytes and these themselves is known to be UTF-8.
    fn append(&mut self, fragment: &[u8], text_checked: usize, fin: bool) -> Result<(), Fault> {
        if text_checked > 0 {
            self.checked = self.bytes.len() + text_checked;
        }
        self.bytes.extend_from_slice(fragment);
        if self.binary {
            return Ok(());
        }
        self.checked += utf8_bytes(self.cut_off())?;
        if fin && self.checked < self.bytes.len() {
            return Err(Fault::Utf8);
        }
        Ok(())
    }

    /// The code point that the last fragment's end cut; mostly nothing.
    fn cut_off(&self) -> &[u8] {
        &self.bytes[self.checked..]
    }
}

/// How many payload bytes the next data frame may have: what `parse` is to be told.
pub fn allowance(fragments: &Option<Box<Fragments>>, message_bytes_max: u64) -> u64 {
    let bytes_len = fragments.as_ref().map_or(0, |message| message.bytes.len());
    message_bytes_max.saturating_sub(bytes_len as u64)
}

/// Applies the rules that look beyond one header: the order of fragments, the message's size,
/// UTF-8, and the payload of a close.
///
/// `buf` is the buffer that `parse` took the frame from. A fault in a data frame drops the
/// fragments.
pub fn accept(
    frame: Frame,
    buf: &[u8],
    fragments: &mut Option<Box<Fragments>>,
    message_bytes_max: u64,
) -> Result<Input, Fault> {
    let Frame {
        opcode,
        fin,
        payload,
        text_checked,
    } = frame;
    match opcode {
        Opcode::Ping => return Ok(Input::Ping(payload)),
        Opcode::Pong => return Ok(Input::Pong),
        Opcode::Close => return Ok(Input::Close(close_code(&buf[payload])?)),
        Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
    }
    let payload_bytes_max = allowance(fragments, message_bytes_max);
    let (begun, binary) = (fragments.take(), opcode == Opcode::Binary);
    if payload.len() as u64 > payload_bytes_max {
        return Err(Fault::TooBig);
    }
    let mut message = match (opcode, begun) {
        (Opcode::Continuation, None) => return Err(Fault::UnexpectedContinuation),
        (Opcode::Continuation, Some(message)) => message,
        (_, Some(_)) => return Err(Fault::ExpectedContinuation),
        (_, None) if fin => {
            let unchecked = payload.start + text_checked..payload.end;
            if !binary && str::from_utf8(&buf[unchecked]).is_err() {
                return Err(Fault::Utf8);
            }
            return Ok(Input::Message {
                binary,
                payload: Payload::Whole(payload),
            });
        }
        (_, None) => Box::new(Fragments {
            binary,
            bytes: Vec::new(),
            checked: 0,
        }),
    };
    message.append(&buf[payload], text_checked, fin)?;
    if !fin {
        *fragments = Some(message);
        return Ok(Input::Partial);
    }
    Ok(Input::Message {
        binary: message.binary,
        payload: Payload::Assembled(message.bytes),
    })
}

/// The code of a close frame's payload: two bytes, then a reason nobody reads but that must be
/// UTF-8 (§5.5.1). tungstenite knows the codes that §7.4 lets onto the wire.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Fault::CloseTruncated),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !CloseCode::from(code).is_allowed() {
        return Err(Fault::CloseCode);
    }
    if str::from_utf8(reason).is_err() {
        return Err(Fault::Utf8);
    }
    Ok(Some(code))
}

/// The longest header a server writes: nobody masks here (§5.1).
pub const HEAD_BYTES_MAX: usize = 10;

/// Appends the header of an unfragmented frame with `len` bytes of payload.
pub fn put_head(out: &mut Vec<u8>, opcode: Opcode, len: usize) {
    let header = FrameHeader {
        opcode: OpCode::from(opcode as u8),
        mask: None,
        ..FrameHeader::default()
    };
    header
        .format(len as u64, out)
        .expect("a Vec takes every write");
}

/// How many bytes `put_head` appends.
pub fn head_bytes(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => HEAD_BYTES_MAX,
    }
}

/// The payload of one complete frame that `put_head` began.
pub fn payload_of(frame: &[u8]) -> &[u8] {
    &frame[2 + length_bytes(frame[1])..]
}

/// Whether a frame that `put_head` began carries a binary message.
pub fn is_binary(frame: &[u8]) -> bool {
    frame[0] & 0x0F == Opcode::Binary as u8
}

/// Appends a close frame. The reason is cut where it would exceed a control frame; without a code
/// there is no place for one (§5.5.1).
pub fn put_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else {
        return put_head(out, Opcode::Close, 0);
    };
    // At most three steps: a code point has four bytes.
    let mut reason_bytes = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(reason_bytes) {
        reason_bytes -= 1;
    }
    put_head(out, Opcode::Close, 2 + reason_bytes);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..reason_bytes]);
}

/// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (§4.2.2), or none if the key is not
/// the base64 of sixteen bytes (§4.2.1).
pub fn accept_key(key: &str) -> Option<String> {
    // The four bits left over in the 22nd character are nobody's business: Node's ws ignores them.
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let base64 = GeneralPurpose::new(&alphabet::STANDARD, config);
    let mut nonce = [0; 18]; // what 24 characters could hold
    if key.len() != 24 || base64.decode_slice(key, &mut nonce) != Ok(16) {
        return None;
    }
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update(HANDSHAKE_GUID)
        .finalize();
    Some(base64.encode(digest))
}

/// All that one stream of bytes says, delivered in pieces of `chunk(bytes left)`. It treats the
/// buffer as a connection does, and checks what `parse` promises; tests and fuzz targets call it.
#[doc(hidden)]
pub fn messages(
    bytes: &[u8],
    mut chunk: impl FnMut(usize) -> usize,
    message_bytes_max: u64,
) -> Transcript {
    let mut transcript = Transcript {
        heard: Vec::new(),
        end: End::Open,
        accepted_bytes: 0,
    };
    let (mut tail, mut fragments) = (Vec::new(), None);
    let (mut need, mut checked, mut given) = (0, 0, 0);
    while given < bytes.len() {
        let left = bytes.len() - given;
        let until = given + chunk(left).clamp(1, left);
        tail.extend_from_slice(&bytes[given..until]);
        given = until;
        // Every pass but the last takes at least a header off the bytes given.
        while tail.len() - transcript.accepted_bytes >= need {
            let buf = &mut tail[transcript.accepted_bytes..];
            let parsed = parse(buf, allowance(&fragments, message_bytes_max));
            let accepted = match parsed {
                Ok(Parsed::Need(bytes)) => {
                    assert!(bytes > buf.len(), "asked for bytes that are here");
                    match await_rest(buf, bytes, &fragments, &mut checked) {
                        Ok(bytes) => {
                            assert!(bytes > buf.len(), "asked for bytes that are here");
                            need = bytes;
                            break;
                        }
                        Err(fault) => Err(fault),
                    }
                }
                Ok(Parsed::Frame(mut frame)) => {
                    frame.text_checked = mem::take(&mut checked);
                    let end = frame.payload.end;
                    accept(frame, buf, &mut fragments, message_bytes_max).map(|input| (input, end))
                }
                Err(fault) => Err(fault),
            };
            match accepted {
                Ok((input, frame_bytes)) => {
                    let heard = Heard::from_input(input, buf);
                    need = 0;
                    transcript.accepted_bytes += frame_bytes;
                    transcript.heard.extend(heard);
                }
                Err(fault) => {
                    transcript.end = End::Refused(fault);
                    return transcript;
                }
            }
            if let Some(Heard::Close(_)) = transcript.heard.last() {
                transcript.end = End::Closed;
                return transcript;
            }
        }
    }
    transcript
}

/// What `messages` understood.
#[doc(hidden)]
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript {
    pub heard: Vec<Heard>,
    pub end: End,
    /// Where the first frame starts that is incomplete, refused, or behind a close.
    pub accepted_bytes: usize,
}

/// One message or control frame.
#[doc(hidden)]
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl Heard {
    fn from_input(input: Input, buf: &[u8]) -> Option<Heard> {
        match input {
            Input::Partial => None,
            Input::Ping(payload) => Some(Heard::Ping(buf[payload].to_vec())),
            Input::Pong => Some(Heard::Pong),
            Input::Close(code) => Some(Heard::Close(code)),
            Input::Message { binary, payload } => {
                let bytes = match payload {
                    Payload::Whole(range) => buf[range].to_vec(),
                    Payload::Assembled(bytes) => bytes,
                };
                Some(if binary {
                    Heard::Binary(bytes)
                } else {
                    Heard::Text(String::from_utf8(bytes).expect("accept checked it"))
                })
            }
        }
    }
}

/// How a stream of bytes ended.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The bytes were used up; more could follow.
    Open,
    /// The peer sent a close.
    Closed,
    Refused(Fault),
}

const MASKED: u8 = 0x80;
const LENGTH_IN_U16: u8 = 126;
const LENGTH_IN_U64: u8 = 127;
const CONTROL_BYTES_MAX: usize = 125;
/// How much text is checked at a time before its frame is whole: a copy on the stack.
const PIECE_BYTES: usize = 1024;
const HANDSHAKE_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // §1.3

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        io::{self, Read, Write},
        mem,
    };

    use tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{Role, WebSocketConfig, WebSocketContext},
    };

    use super::*;

    const FIN: u8 = 0x80;
    const TEXT: u8 = 0x1;
    const BINARY: u8 = 0x2;
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0xA;

    #[test]
    fn frames_become_messages() {
        use Heard::*;
        check(
            &[frame(FIN | TEXT, b"hello")],
            &[Text("hello".into())],
            End::Open,
        );
        check(&[frame(FIN | TEXT, b"")], &[Text(String::new())], End::Open);
        check(
            &[frame(FIN | BINARY, &[0xFF; 300])],
            &[Binary(vec![0xFF; 300])],
            End::Open,
        );
        check(
            &[frame(FIN | BINARY, &[7; 900])],
            &[Binary(vec![7; 900])],
            End::Open,
        );
        check(
            &[frame(FIN | PING, b"p"), frame(FIN | PONG, b"q")],
            &[Ping(b"p".into()), Pong],
            End::Open,
        );
        check(&[frame(FIN | CLOSE, b"")], &[Close(None)], End::Closed);
        check(
            &[frame(FIN | CLOSE, b"\x03\xE8bye")],
            &[Close(Some(1000))],
            End::Closed,
        );
        check(
            &[frame(FIN | CLOSE, b""), frame(0x7, b"")],
            &[Close(None)],
            End::Closed,
        );
    }

    #[test]
    fn fragments_are_joined_around_control_frames() {
        let pieces = [
            frame(TEXT, "a€".as_bytes().split_at(2).0),
            frame(FIN | PING, b""),
            frame(0x0, b""),
            frame(0x0, "a€".as_bytes().split_at(2).1),
            frame(FIN, b"."),
            frame(BINARY, b"\xFF"),
            frame(FIN, b"\xFE"),
        ];
        let heard = [
            Heard::Ping(vec![]),
            Heard::Text("a€.".into()),
            Heard::Binary(vec![0xFF, 0xFE]),
        ];
        check(&pieces, &heard, End::Open);
    }

    #[test]
    fn every_fault_is_found() {
        use Fault::*;
        let refused = |pieces: &[Vec<u8>], fault| check(pieces, &[], End::Refused(fault));
        refused(&[vec![FIN | TEXT, 0]], Unmasked);
        refused(&[vec![FIN | TEXT, 5]], Unmasked);
        for bit in [0x40, 0x20, 0x10] {
            refused(&[frame(FIN | bit | TEXT, b"x")], ReservedBits);
        }
        for opcode in (0x3..=0x7).chain(0xB..=0xF) {
            refused(&[frame(FIN | opcode, b"x")], Opcode);
        }
        for opcode in [CLOSE, PING, PONG] {
            refused(&[frame(opcode, b"")], ControlFragmented);
            refused(&[frame(FIN | opcode, &[b' '; 126])], ControlTooLong);
        }
        refused(&[frame(FIN, b"x")], UnexpectedContinuation);
        refused(
            &[frame(TEXT, b"x"), frame(FIN | TEXT, b"x")],
            ExpectedContinuation,
        );
        refused(&[frame(FIN | CLOSE, b"x")], CloseTruncated);
        refused(&[frame(FIN | CLOSE, b"\x03\xE8\xFF")], Utf8);
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
            refused(&[frame(FIN | CLOSE, &code.to_be_bytes())], CloseCode);
        }
        refused(&[frame(FIN | TEXT, b"\xFF")], Utf8);
        refused(&[frame(FIN | TEXT, b"\xE2\x82")], Utf8);
        refused(&[frame(TEXT, b"\xE2\x82"), frame(FIN, b"")], Utf8);
        refused(&[frame(FIN | TEXT, &[b'x'; 1_001])], TooBig);
        refused(&[frame(TEXT, &[b'x'; 999]), frame(FIN, b"xx")], TooBig);
    }

    #[test]
    fn wrong_utf8_is_refused_with_its_first_byte() {
        // The message is not over, and neither half is wrong by itself.
        let pieces = [frame(TEXT, b"ok \xE2"), frame(0x0, b"\xC3")];
        check(&pieces, &[], End::Refused(Fault::Utf8));
        check(
            &[frame(TEXT, b"ok \xE2"), frame(0x0, b"\x82")],
            &[],
            End::Open,
        );
        // Its frame is not over either: 0x110000 is wrong in its second byte.
        let text = b"\xC3\xA9 \xF4\x90\x80\x80 edited";
        let until = |len: usize| frame(FIN | TEXT, text)[..6 + len].to_vec();
        check(&[until(4)], &[], End::Open);
        check(&[until(5)], &[], End::Refused(Fault::Utf8));
        // A long one is looked at in pieces, which may end within a character.
        let long = "€".repeat(70_000).into_bytes();
        for wrong in [0, 1, 2, 1_022, 1_023, 1_024, 1_025, 3_000, 69_000] {
            let mut text = long.clone();
            text[wrong] = b'x';
            let sent = |len: usize| {
                let mut part = frame(FIN | TEXT, &text);
                part.truncate(14 + len);
                messages(&part, |_| 997, 1 << 20).end
            };
            let first = wrong + usize::from(wrong % 3 == 0);
            assert_eq!(sent(first), End::Open, "{wrong}");
            assert_eq!(sent(first + 1), End::Refused(Fault::Utf8), "{wrong}");
        }
        // What is no text is none of this rule's business.
        check(&[frame(BINARY, b"\xFF\xFF")[..7].to_vec()], &[], End::Open);
    }

    #[test]
    fn unfinished_text_is_looked_at_once() {
        let text = frame(FIN | TEXT, "a€".repeat(1_000).as_bytes());
        let mut checked = 0;
        for end in 8..text.len() {
            let before = checked;
            assert_eq!(
                await_rest(&text[..end], 9_999, &None, &mut checked),
                Ok(end + 1)
            );
            assert!(
                checked >= before && checked + 3 > end - 8,
                "{end}: {checked}"
            );
        }
        // Binary is not looked at before it is whole.
        let binary = frame(FIN | BINARY, &[b'x'; 900]);
        assert_eq!(await_rest(&binary[..700], 908, &None, &mut 0), Ok(908));
    }

    #[test]
    fn a_message_may_fill_its_limit_to_the_last_byte() {
        let pieces = [frame(TEXT, &[b'x'; 1_000]), frame(FIN, b"")];
        check(&pieces, &[Heard::Text("x".repeat(1_000))], End::Open);
    }

    #[test]
    fn a_header_is_refused_before_its_payload_arrives() {
        let claim = |first: u8, length: u64| {
            let mut head = vec![first, MASKED | LENGTH_IN_U64];
            head.extend_from_slice(&length.to_be_bytes());
            head.extend_from_slice(&[0; 4]);
            head
        };
        // 2^32 + 5 must not pass for 5 where usize has 32 bits.
        for length in [1_001, (1 << 32) + 5, 1 << 63, u64::MAX] {
            assert_eq!(
                parse(&mut claim(FIN | BINARY, length), 1_000),
                Err(Fault::TooBig)
            );
            assert_eq!(
                parse(&mut claim(FIN | PING, length), 1_000),
                Err(Fault::ControlTooLong)
            );
        }
        assert_eq!(
            parse(&mut claim(FIN | BINARY, u64::MAX), u64::MAX),
            Err(Fault::TooBig)
        );
        assert_eq!(
            parse(&mut claim(FIN | BINARY, 1_000), 1_000),
            Ok(Parsed::Need(1_014))
        );
    }

    #[test]
    fn the_parser_sleeps_until_its_bytes_are_there() {
        let whole = frame(FIN | BINARY, &[9; 200]);
        for len in 0..whole.len() {
            let needed = match len {
                0..=1 => 2,
                2..=7 => 8,
                _ => 208,
            };
            let mut part = whole[..len].to_vec();
            assert_eq!(
                parse(&mut part, 1_000),
                Ok(Parsed::Need(needed)),
                "{len} bytes"
            );
            assert_eq!(part, whole[..len], "unmasked too early");
        }
    }

    #[test]
    fn a_fault_drops_the_fragments() {
        let piece = |opcode, fin| Frame {
            opcode,
            fin,
            payload: 0..3,
            text_checked: 0,
        };
        let mut fragments = None;
        assert_eq!(
            accept(piece(Opcode::Text, false), b"abc", &mut fragments, 9),
            Ok(Input::Partial)
        );
        assert_eq!(allowance(&fragments, 9), 6);
        assert!(
            fragments
                .as_ref()
                .is_some_and(|message| message.bytes_held() >= 3)
        );
        let fault = accept(piece(Opcode::Text, true), b"abc", &mut fragments, 9);
        assert_eq!(fault, Err(Fault::ExpectedContinuation));
        assert!(fragments.is_none());
        // Whatever allowance `parse` was given, the message's limit holds.
        let fault = accept(piece(Opcode::Text, true), b"abc", &mut fragments, 2);
        assert_eq!(fault, Err(Fault::TooBig));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let opcodes = [
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ];
        for opcode in opcodes {
            for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
                let mut out = Vec::new();
                put_head(&mut out, opcode, len);
                assert_eq!(out.len(), head_bytes(len), "{len}");
                assert!(out.len() <= HEAD_BYTES_MAX);
                let (header, length) = FrameHeader::parse(&mut Cursor::new(&out))
                    .unwrap()
                    .expect("a whole header");
                assert_eq!(length, len as u64);
                assert_eq!(header.mask, None);
                assert!(header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3);
                assert_eq!(Opcode::from_tungstenite(header.opcode), Ok(opcode));
                assert_eq!(is_binary(&out), opcode == Opcode::Binary);
                out.resize(out.len() + len, b'x');
                assert_eq!(payload_of(&out), vec![b'x'; len]);
            }
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let payload = |code, reason: &str| {
            let mut out = Vec::new();
            put_close(&mut out, code, reason);
            assert_eq!(out[0], FIN | CLOSE);
            assert_eq!(out.len(), 2 + usize::from(out[1]));
            payload_of(&out).to_vec()
        };
        assert_eq!(payload(None, "unsaid"), b"");
        assert_eq!(payload(Some(1009), "big"), b"\x03\xF1big");
        assert_eq!(payload(Some(1000), &"x".repeat(200)).len(), 125);
        assert_eq!(payload(Some(1000), &"€".repeat(41)).len(), 125);
        assert_eq!(
            payload(Some(1000), &format!("x{}", "😀".repeat(40))).len(),
            2 + 121
        );
    }

    #[test]
    fn the_key_is_answered_as_the_rfc_shows() {
        let check = |key, answer| assert_eq!(accept_key(key).as_deref(), answer, "{key}");
        check(
            "dGhlIHNhbXBsZSBub25jZQ==",
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ); // §1.3
        assert!(accept_key("dGhlIHNhbXBsZSBub25jZR==").is_some());
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ= ",
            "dGhlIHNhbXBsZSBub25jZQA=",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBs SBub25jZQ==",
            "dGhlIHNhbXBsZSBub25j€==",
            "SGVsbG8sIHdvcmxkIQ==",
        ] {
            check(key, None);
        }
    }

    #[test]
    fn chunking_changes_nothing() {
        let mut random = Random(0x5EED_0001);
        for _ in 0..2_000 {
            let max = random.limit();
            let mut bytes = random.stream(max);
            if random.chance(2) {
                random.mutate(&mut bytes);
            }
            let whole = messages(&bytes, |left| left, max);
            assert_eq!(messages(&bytes, |_| 1, max), whole);
            for _ in 0..3 {
                assert_eq!(
                    messages(&bytes, |left| 1 + random.below(left.min(40)), max),
                    whole
                );
            }
        }
    }

    /// The same bytes to our rules and to tungstenite's: the same messages, then the same end.
    #[test]
    fn tungstenite_hears_the_same() {
        let mut random = Random(0x5EED_0002);
        let (mut ends, mut messages_count) = (HashSet::new(), 0);
        for _ in 0..20_000 {
            let max = random.limit();
            let mut bytes = random.stream(max);
            for _ in 0..random.below(3) {
                random.mutate(&mut bytes);
            }
            let ours = messages(&bytes, |left| 1 + random.below(left), max);
            if let End::Refused(_) = ours.end {
                complete_frame(&mut bytes, ours.accepted_bytes, max);
            }
            let (heard, end) = oracle(&bytes, max);
            assert_eq!(
                (&ours.heard, mem::discriminant(&ours.end)),
                (&heard, end),
                "{bytes:02x?}"
            );
            messages_count += heard.len();
            ends.insert(match ours.end {
                End::Refused(fault) => fault.to_string(),
                end => format!("{end:?}"),
            });
        }
        // Eleven faults, and the two ends without one: the streams had them all.
        assert_eq!(ends.len(), 13, "{ends:?}");
        assert!(messages_count > 20_000, "{messages_count}");
    }

    /// We refuse a header; tungstenite mostly waits for the payload first. Here it is.
    fn complete_frame(bytes: &mut Vec<u8>, start: usize, max: u64) {
        let mut cursor = Cursor::new(&bytes[start..]);
        let Ok(Some((_, len))) = FrameHeader::parse(&mut cursor) else {
            return;
        };
        if len <= max.max(125) {
            let end = start + cursor.position() as usize + len as usize;
            bytes.resize(end.max(bytes.len()), 0);
        }
    }

    fn oracle(bytes: &[u8], max: u64) -> (Vec<Heard>, mem::Discriminant<End>) {
        let refused = mem::discriminant(&End::Refused(Fault::Opcode));
        let config = WebSocketConfig::default()
            .read_buffer_size(64)
            .max_message_size(Some(max as usize))
            // Its frame limit holds for control frames also, ours does not.
            .max_frame_size(Some(max.max(125) as usize));
        let mut context = WebSocketContext::new(Role::Server, Some(config));
        let mut wire = Wire(bytes);
        let mut heard = Vec::new();
        loop {
            heard.push(match context.read(&mut wire) {
                Ok(Message::Text(text)) => Heard::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => Heard::Binary(bytes.to_vec()),
                Ok(Message::Ping(bytes)) => Heard::Ping(bytes.to_vec()),
                Ok(Message::Pong(_)) => Heard::Pong,
                // This is how it reports a code that is not allowed.
                Ok(Message::Close(Some(close))) if close.reason == "Protocol violation" => {
                    return (heard, refused);
                }
                Ok(Message::Close(close)) => {
                    heard.push(Heard::Close(close.map(|close| close.code.into())));
                    return (heard, mem::discriminant(&End::Closed));
                }
                Ok(Message::Frame(_)) => unreachable!("reading yields no raw frames"),
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return (heard, mem::discriminant(&End::Open));
                }
                Err(Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_)) => {
                    return (heard, refused);
                }
                Err(error) => panic!("{error}"),
            });
        }
    }

    /// Bytes to read; what is written is lost.
    struct Wire<'a>(&'a [u8]);

    impl Read for Wire<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }

    impl Write for Wire<'_> {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(pieces: &[Vec<u8>], heard: &[Heard], end: End) {
        let bytes = pieces.concat();
        for size in [1, 2, 3, 7, bytes.len()] {
            let transcript = messages(&bytes, |_| size, 1_000);
            assert_eq!(transcript.heard, heard, "{bytes:02x?} by {size}");
            assert_eq!(transcript.end, end, "{bytes:02x?} by {size}");
        }
    }

    /// A client's frame, its first byte as given.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_head(&mut out, Opcode::Text, payload.len());
        out[0] = first;
        out[1] |= MASKED;
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        out.extend_from_slice(&mask);
        out.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out
    }

    /// xorshift64: the same cases on every machine.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, bound: usize) -> usize {
            ((self.next() >> 16) % bound as u64) as usize
        }

        fn chance(&mut self, one_in: usize) -> bool {
            self.below(one_in) == 0
        }

        fn limit(&mut self) -> u64 {
            [0, 10, 125, 126, 300, 70_000][self.below(6)]
        }

        /// A few messages with control frames between them, now and then one that is not legal.
        fn stream(&mut self, max: u64) -> Vec<u8> {
            let mut out = Vec::new();
            for _ in 0..1 + self.below(6) {
                match self.below(16) {
                    0 => out.extend(self.close()),
                    1..=3 => out.extend(self.control()),
                    4 => out.extend(self.illegal()),
                    _ => self.message(max, &mut out),
                }
            }
            out
        }

        fn message(&mut self, max: u64, out: &mut Vec<u8>) {
            // Mostly within the limit, sometimes just beyond it.
            let usual_max = if self.chance(50) { 70_000 } else { 400 };
            let len = self.below(usual_max.min(max as usize) + 2);
            let text = self.chance(2);
            let payload = if text {
                self.text(len)
            } else {
                self.bytes(len)
            };
            let mut opcode = if text { TEXT } else { BINARY };
            let mut rest = payload.as_slice();
            while self.chance(2) {
                let (piece, later) = rest.split_at(self.below(rest.len() + 1));
                out.extend(frame(mem::take(&mut opcode), piece));
                rest = later;
                if self.chance(3) {
                    out.extend(self.control());
                }
            }
            out.extend(frame(FIN | opcode, rest));
        }

        fn control(&mut self) -> Vec<u8> {
            let len = self.below(126);
            let payload = self.bytes(len);
            frame(FIN | if self.chance(2) { PING } else { PONG }, &payload)
        }

        fn close(&mut self) -> Vec<u8> {
            let reason_bytes = self.below(120);
            let code = [1000, 1001, 1011, 3000, 4999, 1005, 1014, 5000][self.below(8)] as u16;
            match self.below(4) {
                0 => frame(FIN | CLOSE, b""),
                1 => frame(FIN | CLOSE, b"x"),
                2 => frame(
                    FIN | CLOSE,
                    &[&code.to_be_bytes(), "grüße".as_bytes()].concat(),
                ),
                _ => frame(
                    FIN | CLOSE,
                    &[&[3, 0xE8], &*self.bytes(reason_bytes)].concat(),
                ),
            }
        }

        fn illegal(&mut self) -> Vec<u8> {
            let first = self.next() as u8;
            let len = [0, 1, 5, 126, 130][self.below(5)];
            let payload = self.bytes(len);
            match self.below(6) {
                0 => vec![first, len as u8],
                1 => frame(FIN, &payload),
                2 => frame(TEXT, &payload),
                3 => frame([CLOSE, PING, PONG][self.below(3)], &payload),
                4 => frame(FIN | PING, &payload),
                _ => frame(first, &payload),
            }
        }

        /// At most `len` bytes of whole characters.
        fn text(&mut self, len: usize) -> Vec<u8> {
            let mut text = String::new();
            loop {
                let next = ['a', ' ', 'é', '€', '\u{FFFD}', '😀'][self.below(6)];
                if text.len() + next.len_utf8() > len {
                    return text.into_bytes();
                }
                text.push(next);
            }
        }

        fn bytes(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| self.next() as u8).collect()
        }

        fn mutate(&mut self, bytes: &mut Vec<u8>) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes.insert(at, self.next() as u8),
                3 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
            if bytes.is_empty() {
                bytes.push(FIN);
            }
        }
    }
}
