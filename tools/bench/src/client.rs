//! The client's half of the wire: frames, responses, requests, and messages that can be checked.
//! Not here: sockets and sessions (`fleet`). Nothing here is taken from the server under test.

use std::{fmt, io, ops::Range};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// One key for every frame: to the server it is as good as another, and masking stays cheap here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Largest answer that is waited for: anything longer is not one of ours.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Why a run is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server closed a connection that should have stayed.
    Closed,
    /// An HTTP status that was not hoped for.
    Refused(u16),
    /// Bytes that are no HTTP response, or no WebSocket frame.
    Malformed,
    /// A packet that this state does not expect.
    Unexpected,
    /// A message whose content is not what was sent.
    Mismatch,
    /// A message too many, or too few.
    Miscount,
    /// The run's deadline came first.
    Timeout,
    Io(io::ErrorKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Closed => write!(f, "the server closed a connection"),
            Fault::Refused(status) => write!(f, "the server answered {status}"),
            Fault::Malformed => write!(f, "malformed bytes from the server"),
            Fault::Unexpected => write!(f, "an unexpected packet"),
            Fault::Mismatch => write!(f, "a message came back changed"),
            Fault::Miscount => write!(f, "messages were lost or doubled"),
            Fault::Timeout => write!(f, "not finished in time"),
            Fault::Io(kind) => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error.kind())
    }
}

/// One frame: `payload` lies within the bytes it was cut from and ends where the next frame begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Range<usize>,
}

/// Cuts one whole, unfragmented, unmasked frame, or says that more bytes are needed.
pub fn cut_frame(bytes: &[u8]) -> Result<Option<Frame>, Fault> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0xf0 != FINAL || second & MASKED != 0 {
        return Err(Fault::Malformed);
    }
    let (start, size) = match (second, rest) {
        (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        (127, [0, 0, 0, 0, 0, a, b, c, ..]) => (10, u32::from_be_bytes([0, *a, *b, *c]) as usize),
        (127, rest) if rest.len() >= 8 => return Err(Fault::Malformed),
        (126 | 127, _) => return Ok(None),
        (size, _) => (2, usize::from(*size)),
    };
    if size > MESSAGE_BYTES_MAX {
        return Err(Fault::Malformed);
    }
    let payload = start..start + size;
    if bytes.len() < payload.end {
        return Ok(None);
    }
    Ok(Some(Frame {
        opcode: first & 0x0f,
        payload,
    }))
}

/// Appends a masked frame.
pub fn push_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FINAL | opcode);
    match payload.len() {
        size @ 0..126 => out.push(MASKED | size as u8),
        size @ 126..0x1_0000 => {
            out.push(MASKED | 126);
            out.extend((size as u16).to_be_bytes());
        }
        _ => unreachable!("no message of this tool is that large"),
    }
    out.extend(MASK);
    out.extend(
        payload
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ MASK[at % 4]),
    );
}

/// How many bytes a frame of the server has.
pub fn server_frame_bytes(payload_bytes: usize) -> usize {
    payload_bytes + if payload_bytes < 126 { 2 } else { 4 }
}

/// One HTTP response: `body` lies within the bytes it was cut from and ends where the next begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Range<usize>,
}

/// Cuts one whole response, or says that more bytes are needed.
pub fn cut_response(bytes: &[u8]) -> Result<Option<Response>, Fault> {
    let Some(head_bytes) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > MESSAGE_BYTES_MAX {
            Err(Fault::Malformed)
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&bytes[..head_bytes]).map_err(|_| Fault::Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status
        .and_then(|line| line.get(..3))
        .and_then(|digits| digits.parse().ok());
    let status = status.ok_or(Fault::Malformed)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())
    });
    let start = head_bytes + 4;
    let size = match (status, length) {
        (101, _) => 0,
        (_, Some(Some(size))) if size <= MESSAGE_BYTES_MAX => size,
        _ => return Err(Fault::Malformed),
    };
    let body = start..start + size;
    Ok((bytes.len() >= body.end).then_some(Response { status, body }))
}

/// The first request of a WebSocket client.
pub const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A poll. Without a session id it opens the session.
pub fn push_get(out: &mut Vec<u8>, sid: &[u8]) {
    out.extend(b"GET /socket.io/?EIO=4&transport=polling");
    push_session(out, sid);
    out.extend(b"\r\n");
}

/// A request that carries `body` to a polling session.
pub fn push_post(out: &mut Vec<u8>, sid: &[u8], body: &[u8]) {
    out.extend(b"POST /socket.io/?EIO=4&transport=polling");
    push_session(out, sid);
    out.extend(b"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ");
    out.extend(body.len().to_string().as_bytes());
    out.extend(b"\r\n\r\n");
    out.extend(body);
}

fn push_session(out: &mut Vec<u8>, sid: &[u8]) {
    if !sid.is_empty() {
        out.extend(b"&sid=");
        out.extend(sid);
    }
    out.extend(b" HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n");
}

/// The session id in an Engine.IO open packet.
pub fn session_id(packet: &[u8]) -> Result<&[u8], Fault> {
    let text = packet.strip_prefix(b"0{").ok_or(Fault::Unexpected)?;
    let text = std::str::from_utf8(text).map_err(|_| Fault::Malformed)?;
    let (_, rest) = text.split_once("\"sid\":\"").ok_or(Fault::Malformed)?;
    let (sid, _) = rest.split_once('"').ok_or(Fault::Malformed)?;
    Ok(sid.as_bytes())
}

/// How messages are put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    WebSocket,
    /// Polls and posts on one connection, or on one each.
    Polling {
        two_connections: bool,
    },
    /// No protocol: the same bytes come back, `message_bytes` at a time.
    Raw {
        message_bytes: usize,
    },
}

/// Bytes of each message that say which client sent it and which of its messages it is.
pub const STAMP_BYTES: usize = 16;

/// A message and its answer, encoded once; only the stamp changes from one to the next.
pub struct Template {
    request: Vec<u8>,
    request_stamp: usize,
    mask: [u8; 4],
    answer: Vec<u8>,
    answer_stamp: usize,
}

impl Template {
    /// A message whose one argument has `payload_bytes`, and the same text coming back between
    /// `answer_head` and `]`. On a raw wire what comes back is what was sent.
    pub fn new(wire: Wire, head: &str, answer_head: &str, payload_bytes: usize) -> Template {
        let packet = message(head, payload_bytes);
        let mut template = Template {
            request: packet.clone(),
            request_stamp: head.len() + 1,
            mask: [0; 4],
            answer: message(answer_head, payload_bytes),
            answer_stamp: answer_head.len() + 1,
        };
        match wire {
            Wire::Polling { .. } => {}
            Wire::WebSocket => template.mask_request(&packet),
            Wire::Raw { message_bytes } => {
                template.mask_request(&packet);
                // Cut to what a floor moves: a whole masked frame, or a server's shorter one.
                template.request.truncate(message_bytes);
                template.answer = template.request.clone();
                template.answer_stamp = template.request_stamp;
                template.mask = [0; 4];
            }
        }
        template
    }

    fn mask_request(&mut self, packet: &[u8]) {
        self.request.clear();
        push_frame(&mut self.request, TEXT, packet);
        for at in 0..4 {
            self.mask[at] = MASK[(self.request_stamp + at) % 4];
        }
        self.request_stamp += self.request.len() - packet.len();
    }

    /// How many bytes the request has on the wire (without the HTTP head where there is one).
    pub fn request_bytes(&self) -> usize {
        self.request.len()
    }

    pub fn answer_bytes(&self) -> usize {
        self.answer.len()
    }

    /// Appends the request, or with polling the body that carries it.
    pub fn push(&self, out: &mut Vec<u8>, stamp: [u8; STAMP_BYTES]) {
        let start = out.len() + self.request_stamp;
        out.extend(&self.request);
        let place = &mut out[start..start + STAMP_BYTES];
        for at in 0..STAMP_BYTES {
            place[at] = stamp[at] ^ self.mask[at % 4];
        }
    }

    /// Compares every byte of an answer.
    pub fn check(&self, answer: &[u8], stamp: [u8; STAMP_BYTES]) -> Result<(), Fault> {
        let (start, end) = (self.answer_stamp, self.answer_stamp + STAMP_BYTES);
        let same = answer.len() == self.answer.len()
            && answer[..start] == self.answer[..start]
            && answer[start..end] == stamp
            && answer[end..] == self.answer[end..];
        if same { Ok(()) } else { Err(Fault::Mismatch) }
    }
}

fn message(head: &str, payload_bytes: usize) -> Vec<u8> {
    assert!(
        payload_bytes >= STAMP_BYTES,
        "a payload must have room for its stamp"
    );
    let letters = (b'a'..=b'z').cycle().take(payload_bytes);
    let mut packet = head.as_bytes().to_vec();
    packet.push(b'"');
    packet.extend(letters);
    packet.extend(b"\"]");
    packet
}

/// Eight hexadecimal digits each: who, and which.
pub fn stamp(client: u32, sequence: u32) -> [u8; STAMP_BYTES] {
    let both = u64::from(client) << 32 | u64::from(sequence);
    let mut digits = [0; STAMP_BYTES];
    for (at, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(both >> (60 - 4 * at)) as usize & 0xf];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_only_when_whole() {
        let frame = [0x81, 0x03, b'4', b'2', b'[', 0xff];
        for size in 0..5 {
            assert_eq!(cut_frame(&frame[..size]), Ok(None));
        }
        assert_eq!(
            cut_frame(&frame),
            Ok(Some(Frame {
                opcode: TEXT,
                payload: 2..5
            }))
        );
        let mut long = vec![0x82, 126, 0x01, 0x00];
        assert_eq!(cut_frame(&long), Ok(None));
        long.resize(4 + 256, 7);
        assert_eq!(
            cut_frame(&long),
            Ok(Some(Frame {
                opcode: 0x2,
                payload: 4..260
            }))
        );
        let longer = [0x81, 127, 0, 0, 0, 0, 0, 0, 0x10, 0x00];
        assert_eq!(cut_frame(&longer), Ok(None));
    }

    #[test]
    fn a_frame_that_no_server_sends_is_a_fault() {
        for bytes in [&[0x81, 0x80][..], &[0x01, 0x00], &[0xc1, 0x00]] {
            assert_eq!(cut_frame(bytes), Err(Fault::Malformed));
        }
        let huge = [0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(cut_frame(&huge), Err(Fault::Malformed));
    }

    #[test]
    fn a_response_is_cut_only_when_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\nokHTTP";
        for size in 0..text.len() - 4 {
            assert_eq!(cut_response(&text[..size]), Ok(None), "{size}");
        }
        let body = text.len() - 6..text.len() - 4;
        assert_eq!(cut_response(text), Ok(Some(Response { status: 200, body })));
        let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81";
        let body = upgrade.len() - 1..upgrade.len() - 1;
        assert_eq!(
            cut_response(upgrade),
            Ok(Some(Response { status: 101, body }))
        );
        assert_eq!(
            cut_response(b"HTTP/1.1 200 OK\r\n\r\n"),
            Err(Fault::Malformed)
        );
        assert_eq!(cut_response(b"SSH-2.0\r\n\r\n"), Err(Fault::Malformed));
    }

    #[test]
    fn the_session_id_is_found() {
        assert_eq!(
            session_id(b"0{\"sid\":\"abc\",\"upgrades\":[]}"),
            Ok(&b"abc"[..])
        );
        assert_eq!(session_id(b"40"), Err(Fault::Unexpected));
        assert_eq!(session_id(b"0{}"), Err(Fault::Malformed));
    }

    #[test]
    fn a_stamped_request_unmasks_to_its_packet() {
        let template = Template::new(Wire::WebSocket, "42[\"echo\",", "42[\"echo\",", 128);
        let mut out = Vec::new();
        template.push(&mut out, stamp(3, 0xbeef));
        assert_eq!(out.len(), template.request_bytes());
        assert_eq!(out[..4], [0x81, 0xfe, 0, 141]);
        let packet: Vec<u8> = out[8..]
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        assert!(packet.starts_with(b"42[\"echo\",\"000000030000beef"));
        assert_eq!(template.check(&packet, stamp(3, 0xbeef)), Ok(()));
        assert_eq!(
            template.check(&packet, stamp(3, 0xbeee)),
            Err(Fault::Mismatch)
        );
        assert_eq!(
            template.check(&packet[1..], stamp(3, 0xbeef)),
            Err(Fault::Mismatch)
        );
    }

    #[test]
    fn a_raw_message_is_its_own_answer() {
        let wire = Wire::Raw {
            message_bytes: server_frame_bytes(141),
        };
        let template = Template::new(wire, "42[\"echo\",", "42[\"echo\",", 128);
        let mut out = Vec::new();
        template.push(&mut out, stamp(1, 2));
        assert_eq!(out.len(), 145);
        assert_eq!(template.check(&out, stamp(1, 2)), Ok(()));
    }
}
