//! The client's half of the wire: frames, responses, requests. Nothing here is taken from the
//! server under test.
//!
//! Not here: sockets, and what anybody means by what they send.

use std::ops::Range;

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;
pub const FINAL: u8 = 0x80;
pub const MASKED: u8 = 0x80;

/// One key for every frame: to the server it is as good as another, and masking stays cheap here.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What separates packets in a polling payload.
pub const SEPARATOR: u8 = 0x1e;

/// The first request of a WebSocket client.
pub const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The first request of a polling client.
pub const HANDSHAKE: &str =
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// The bytes are no HTTP response, or no WebSocket frame, of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One whole frame: `payload` lies within the bytes it was cut from and ends where the next begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Range<usize>,
}

/// Cuts one whole frame of a server, which neither fragments nor masks.
pub fn cut_frame(bytes: &[u8]) -> Result<Option<Frame>, Malformed> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0xf0 != FINAL || second & MASKED != 0 {
        return Err(Malformed);
    }
    let (start, size) = match (second, rest) {
        (126, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        (127, [0, 0, 0, 0, a, b, c, d, ..]) => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        (127, rest) if rest.len() >= 8 => return Err(Malformed),
        (126 | 127, _) => return Ok(None),
        (size, _) => (2, usize::from(*size)),
    };
    let payload = start..start + size;
    let opcode = first & 0x0f;
    Ok((bytes.len() >= payload.end).then_some(Frame { opcode, payload }))
}

/// One masked frame, whatever is in it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(first);
    match payload.len() {
        size @ 0..126 => out.push(MASKED | size as u8),
        size @ 126..0x1_0000 => {
            out.push(MASKED | 126);
            out.extend((size as u16).to_be_bytes());
        }
        size => {
            out.push(MASKED | 127);
            out.extend((size as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    out
}

/// A whole text message.
pub fn text(payload: &str) -> Vec<u8> {
    frame(FINAL | TEXT, payload.as_bytes())
}

/// A whole binary message.
pub fn binary(payload: &[u8]) -> Vec<u8> {
    frame(FINAL | BINARY, payload)
}

/// One whole HTTP response with a `Content-Length`, or an interim one.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: Range<usize>,
    pub body: Range<usize>,
}

/// Cuts one whole response, or says that more bytes are needed.
pub fn cut_response(bytes: &[u8]) -> Result<Option<Response>, Malformed> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| Malformed)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|line| line.get(..3)?.parse().ok());
    let status: u16 = status.ok_or(Malformed)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let start = head + 4;
    let size = match (status, length) {
        (100..200 | 204 | 304, _) => 0,
        (_, Some(size)) => size,
        (_, None) => return Err(Malformed),
    };
    let (head, body) = (0..head, start..start + size);
    Ok((bytes.len() >= body.end).then_some(Response { status, head, body }))
}

/// A poll of this session.
pub fn get(sid: &str) -> String {
    format!("GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

/// A POST that carries `body` to this session.
pub fn post(sid: &str, body: &str) -> String {
    let head = post_head(sid, &format!("Content-Length: {}", body.len()));
    head + body
}

/// The head of a POST whose length is said by `line`.
pub fn post_head(sid: &str, line: &str) -> String {
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Content-Type: text/plain;charset=UTF-8\r\n{line}\r\n\r\n"
    )
}

/// The request that begins an upgrade of this session.
pub fn upgrade(sid: &str) -> String {
    let target = format!("transport=websocket&sid={sid} ");
    UPGRADE.replacen("transport=websocket ", &target, 1)
}

/// The session id in an Engine.IO open packet.
pub fn session_id(packet: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(packet.strip_prefix(b"0{")?).ok()?;
    let (_, rest) = text.split_once("\"sid\":\"")?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_only_when_whole() {
        let bytes = [0x81, 0x03, b'4', b'2', b'[', 0xff];
        for size in 0..5 {
            assert_eq!(cut_frame(&bytes[..size]), Ok(None));
        }
        let frame = cut_frame(&bytes)
            .expect("it is well-formed")
            .expect("it is whole");
        assert_eq!((frame.opcode, frame.payload), (TEXT, 2..5));
        for bytes in [&[0x81, 0x80][..], &[0x01, 0x00], &[0xc1, 0x00]] {
            assert_eq!(cut_frame(bytes), Err(Malformed));
        }
    }

    #[test]
    fn a_masked_frame_unmasks_to_its_payload() {
        for size in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; size];
            let mut bytes = frame(FINAL | BINARY, &payload);
            let head = bytes.len() - size;
            for (at, byte) in bytes[head..].iter_mut().enumerate() {
                *byte ^= MASK[at % 4];
            }
            assert_eq!(bytes[head..], payload, "{size}");
            // Without its mask it is a frame as a server sends it.
            bytes[1] &= !MASKED;
            bytes.drain(head - 4..head);
            let cut = cut_frame(&bytes)
                .expect("it is well-formed")
                .expect("it is whole");
            assert_eq!(cut.payload.len(), size);
        }
    }

    #[test]
    fn a_response_is_cut_only_when_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\nokHTTP";
        for size in 0..text.len() - 4 {
            assert_eq!(cut_response(&text[..size]), Ok(None), "{size}");
        }
        let response = cut_response(text).expect("well-formed").expect("whole");
        assert_eq!((response.status, &text[response.body]), (200, &b"ok"[..]));
        let interim = cut_response(b"HTTP/1.1 100 Continue\r\n\r\n");
        assert!(matches!(interim, Ok(Some(Response { status: 100, .. }))));
        assert_eq!(cut_response(b"SSH-2.0\r\n\r\n"), Err(Malformed));
    }

    #[test]
    fn requests_name_their_session() {
        assert_eq!(
            session_id(b"0{\"sid\":\"abc\",\"upgrades\":[]}"),
            Some("abc")
        );
        assert_eq!(session_id(b"40"), None);
        assert!(upgrade("abc").starts_with("GET /socket.io/?EIO=4&transport=websocket&sid=abc H"));
        assert!(post("abc", "40").ends_with("Content-Length: 2\r\n\r\n40"));
    }
}
