//! What clients write and read: masked frames; answers and frames of the server, read strictly. A
//! codec of its own, so that no fault of emio's can hide in it.
//!
//! What always holds: anything that a server may not write is a panic.

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server will end the connection.
    pub is_last: bool,
}

/// One frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// Everything that one connection was written, as far as it is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub answers: Vec<Answer>,
    pub frames: Vec<Frame>,
    /// Bytes of what is not whole yet.
    pub rest: usize,
}

/// Reads all of `bytes`: answers, and behind a 101 frames.
pub fn read(mut bytes: &[u8]) -> Written {
    let mut written = Written::default();
    let is_last = |answer: &Answer| answer.is_last;
    while let Some(answer) = take_answer(&mut bytes) {
        assert!(
            !written.answers.last().is_some_and(is_last),
            "an answer behind the last"
        );
        let is_upgrade = answer.status == 101;
        written.answers.push(answer);
        if is_upgrade {
            while let Some(frame) = take_frame(&mut bytes) {
                let last = written.frames.last();
                assert!(
                    last.is_none_or(|frame: &Frame| frame.opcode != 8),
                    "a frame behind a close"
                );
                written.frames.push(frame);
            }
            break;
        }
    }
    written.rest = bytes.len();
    written
}

/// Takes the first answer off `bytes`, once it is whole.
pub fn take_answer(bytes: &mut &[u8]) -> Option<Answer> {
    let start = &bytes[..bytes.len().min(STATUS_LINE.len())];
    assert_eq!(start, &STATUS_LINE[..start.len()], "not an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().expect("there is a first line");
    let status: u16 = status[STATUS_LINE.len()..][..3].parse().expect("a status");
    let (mut length, mut is_last) = (None, false);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header line");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "{name}"
        );
        assert!(!value.contains(['\r', '\n', '\0']), "{value}");
        match &*name.to_ascii_lowercase() {
            "content-length" => {
                assert_eq!(length, None, "two lengths");
                length = Some(value.parse().expect("a length"));
            }
            "connection" => is_last |= value == "close",
            "transfer-encoding" => panic!("we never write chunks"),
            _ => {}
        }
    }
    let has_body = !matches!(status, 100..=199 | 204 | 304);
    assert_eq!(length.is_some(), has_body, "{head}");
    // The answer to a HEAD has a length and no body; no body of ours begins like an answer.
    let is_head = bytes[end..].starts_with(STATUS_LINE);
    let len = length.filter(|_| !is_head).unwrap_or(0);
    let body = bytes[end..].get(..len)?.to_vec();
    *bytes = &bytes[end + len..];
    Some(Answer {
        status,
        body,
        is_last,
    })
}

/// Takes the first frame off `bytes`, once it is whole. Servers neither mask nor need to fragment.
pub fn take_frame(bytes: &mut &[u8]) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xF0, 0x80, "a whole frame without reserved bits");
    let opcode = first & 0x0F;
    assert!(matches!(opcode, 1 | 2 | 8 | 9 | 10), "opcode {opcode}");
    let (head, len) = match second {
        126 => {
            let len = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            assert!(len > 125, "a length in more bytes than it needs");
            (4, u64::from(len))
        }
        127 => {
            let len = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            assert!(len > 0xFFFF, "a length in more bytes than it needs");
            (10, len)
        }
        len => (2, u64::from(len)),
    };
    assert!(second < 128, "a server does not mask");
    assert!(opcode < 8 || len <= 125, "a long control frame");
    let payload = bytes.get(head..head + len as usize)?.to_vec();
    *bytes = &bytes[head + len as usize..];
    Some(Frame { opcode, payload })
}

/// Appends a masked frame, its first byte as given.
pub fn put_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    out.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    out.extend(masked.map(|(byte, mask)| byte ^ mask));
}

/// A masked text frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    put_frame(&mut frame, 0x81, text.as_bytes());
    frame
}

/// A request without a body; `headers` are whole lines.
pub fn request(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: here\r\n{headers}\r\n").into_bytes()
}

pub fn post(target: &str, payload: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}\r\n", payload.len());
    [&*request("POST", target, &length), payload].concat()
}

/// The key is the example of RFC 6455 §1.3.
pub fn upgrade(target: &str) -> Vec<u8> {
    let headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    request("GET", target, headers)
}

/// The target of a request; without an id, of a handshake.
pub fn target(transport: &str, sid: Option<&str>) -> String {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("/socket.io/?EIO=4&transport={transport}{sid}")
}

const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
