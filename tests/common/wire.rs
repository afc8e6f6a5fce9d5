//! What clients write and read: HTTP requests and answers, WebSocket frames, and the three ways to
//! open a session. A codec of its own, so that no fault of the crate's can hide in it.

use super::{Client, World};

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(is, _)| is.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Asserts the status and the body.
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.text()), (status, body));
    }

    /// Asserts an answer of the protocol's error table.
    #[track_caller]
    pub fn is_error(&self, status: u16, body: &str) {
        self.is(status, body);
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}

/// One frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(text: &str) -> Frame {
        Frame {
            opcode: 0x1,
            payload: text.into(),
        }
    }

    pub fn binary(data: &[u8]) -> Frame {
        Frame {
            opcode: 0x2,
            payload: data.into(),
        }
    }

    pub fn close(code: Option<u16>) -> Frame {
        Frame {
            opcode: 0x8,
            payload: code.map_or(Vec::new(), |code| code.to_be_bytes().into()),
        }
    }

    pub fn ping() -> Frame {
        Frame {
            opcode: 0x9,
            payload: Vec::new(),
        }
    }

    pub fn pong(data: &[u8]) -> Frame {
        Frame {
            opcode: 0xA,
            payload: data.into(),
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.payload);
        write!(
            f,
            "{:#x} {text:.100?} ({})",
            self.opcode,
            self.payload.len()
        )
    }
}

/// A client that polls, with a connection for its GETs and one for its POSTs.
#[derive(Clone, Debug)]
pub struct Poller {
    pub sid: String,
    pub get: Client,
    pub post: Client,
}

// Reading.
impl World {
    /// The next answer, which must be there whole.
    #[track_caller]
    pub fn answer(&mut self, client: Client) -> Answer {
        let answer = self.take_answer(client, false);
        answer.unwrap_or_else(|| panic!("no answer: {:?}", self.unread(client)))
    }

    /// The same for a HEAD, whose answer has no body.
    #[track_caller]
    pub fn answer_to_head(&mut self, client: Client) -> Answer {
        self.take_answer(client, true).expect("no answer")
    }

    /// All answers that are there.
    pub fn answers(&mut self, client: Client) -> Vec<Answer> {
        std::iter::from_fn(|| self.take_answer(client, false)).collect()
    }

    /// Asserts that nothing came that was not read.
    #[track_caller]
    pub fn is_silent(&mut self, client: Client) {
        assert_eq!(self.unread(client), "");
    }

    fn unread(&mut self, client: Client) -> String {
        String::from_utf8_lossy(self.received(client)).into_owned()
    }

    fn take_answer(&mut self, client: Client, is_head: bool) -> Option<Answer> {
        let bytes = self.received(client);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a status line");
        let status = status
            .strip_prefix("HTTP/1.1 ")
            .unwrap_or_else(|| panic!("not an answer: {status:?}"));
        let status: u16 = status[..3].parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").expect("a header line"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let has_body = !is_head && !matches!(status, 100..=199 | 204 | 304);
        let len = if has_body {
            let len = answer.header("content-length").expect("a length");
            len.parse().expect("a number")
        } else {
            0
        };
        if bytes.len() < end + len {
            return None;
        }
        answer.body = bytes[end..end + len].to_vec();
        bytes.drain(..end + len);
        Some(answer)
    }

    /// All frames that are there, whole and unmasked.
    #[track_caller]
    pub fn frames(&mut self, client: Client) -> Vec<Frame> {
        let bytes = std::mem::take(self.received(client));
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let [first, second, more @ ..] = rest {
            assert_eq!(first & 0xF0, 0x80, "whole, without reserved bits: {rest:?}");
            let (len, more) = match second {
                126 => (
                    u64::from(u16::from_be_bytes([more[0], more[1]])),
                    &more[2..],
                ),
                127 => (
                    u64::from_be_bytes(more[..8].try_into().unwrap()),
                    &more[8..],
                ),
                len => (u64::from(*len), more),
            };
            let (payload, more) = more.split_at(len as usize);
            frames.push(Frame {
                opcode: first & 0x0F,
                payload: payload.into(),
            });
            rest = more;
        }
        assert!(rest.is_empty(), "half a frame");
        frames
    }

    /// All frames that are there; each must be a text.
    #[track_caller]
    pub fn texts(&mut self, client: Client) -> Vec<String> {
        let frames = self.frames(client);
        let text = |frame: Frame| {
            assert_eq!(frame.opcode, 0x1, "{frame:?}");
            String::from_utf8(frame.payload).expect("a text is UTF-8")
        };
        frames.into_iter().map(text).collect()
    }
}

// Opening.
impl World {
    #[track_caller]
    pub fn poller(&mut self) -> Poller {
        let get = self.connect();
        let post = self.connect();
        self.poller_on(get, post)
    }

    /// Opens a session over these connections.
    #[track_caller]
    pub fn poller_on(&mut self, get: Client, post: Client) -> Poller {
        self.send(get, get_of(&polling("")));
        let answer = self.answer(get);
        assert_eq!(answer.status, 200, "{answer:?}");
        let sid = sid_of(answer.text());
        Poller { sid, get, post }
    }

    /// Sends a GET.
    pub fn poll(&mut self, poller: &Poller) {
        self.send(poller.get, get_of(&polling(&poller.sid)));
    }

    /// What the GET was answered with.
    #[track_caller]
    pub fn polled(&mut self, poller: &Poller) -> String {
        let answer = self.answer(poller.get);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().to_owned()
    }

    /// Sends a POST, over a new connection if the last was ended, and returns its answer.
    #[track_caller]
    pub fn post(&mut self, poller: &Poller, payload: impl AsRef<[u8]>) -> Answer {
        let client = if self.is_open(poller.post) {
            poller.post
        } else {
            self.connect()
        };
        self.send(client, post_of(&polling(&poller.sid), payload));
        self.answer(client)
    }

    /// Opens a session over a WebSocket; returns it with the session's id.
    #[track_caller]
    pub fn websocket(&mut self) -> (Client, String) {
        let ws = self.ask(upgrade_of(&websocket("")));
        assert_eq!(self.answer(ws).status, 101);
        let [open] = &self.texts(ws)[..] else {
            panic!("not one packet")
        };
        (ws, sid_of(open))
    }

    /// Opens a WebSocket for a session that polls.
    #[track_caller]
    pub fn probe(&mut self, sid: &str) -> Client {
        let ws = self.ask(upgrade_of(&websocket(sid)));
        assert_eq!(self.answer(ws).status, 101);
        ws
    }

    /// A session that was upgraded, and its WebSocket.
    #[track_caller]
    pub fn upgraded(&mut self) -> (Poller, Client) {
        let poller = self.poller();
        let ws = self.probe(&poller.sid);
        self.send(ws, text("2probe"));
        assert_eq!(self.texts(ws), ["3probe"]);
        self.send(ws, text("5"));
        (poller, ws)
    }
}

/// The id in an open packet.
#[track_caller]
pub fn sid_of(open: &str) -> String {
    let rest = open.strip_prefix("0{\"sid\":\"").expect("an open packet");
    rest[..20].to_owned()
}

// Writing.

/// The target of a polling request; without an id, of a handshake.
pub fn polling(sid: &str) -> String {
    target("polling", sid)
}

pub fn websocket(sid: &str) -> String {
    target("websocket", sid)
}

fn target(transport: &str, sid: &str) -> String {
    let sid = if sid.is_empty() {
        String::new()
    } else {
        format!("&sid={sid}")
    };
    format!("/socket.io/?EIO=4&transport={transport}{sid}")
}

pub fn get_of(target: &str) -> String {
    request("GET", target, "")
}

/// A request without a body; `headers` are whole lines.
pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: here\r\n{headers}\r\n")
}

pub fn post_of(target: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    post_with(
        target,
        "Content-Type: text/plain;charset=UTF-8\r\n",
        payload,
    )
}

pub fn post_with(target: &str, headers: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = format!("{headers}Content-Length: {}\r\n", payload.len());
    [request("POST", target, &length).as_bytes(), payload].concat()
}

/// A POST whose body comes in these chunks.
pub fn chunked_of(target: &str, chunks: &[&str]) -> Vec<u8> {
    let mut text = request("POST", target, "Transfer-Encoding: chunked\r\n");
    for chunk in chunks {
        text += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    text += "0\r\n\r\n";
    text.into_bytes()
}

pub fn upgrade_of(target: &str) -> String {
    upgrade_with(target, "")
}

/// The key and its answer are the example of RFC 6455 §1.3.
pub fn upgrade_with(target: &str, headers: &str) -> String {
    let headers = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}"
    );
    request("GET", target, &headers)
}

pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub fn text(text: &str) -> Vec<u8> {
    frame(true, 0x1, text)
}

pub fn binary(data: &[u8]) -> Vec<u8> {
    frame(true, 0x2, data)
}

pub fn close(code: Option<u16>) -> Vec<u8> {
    let code = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
    frame(true, 0x8, code)
}

/// A masked frame.
pub fn frame(fin: bool, opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = frame_head(fin, opcode, payload.len() as u64);
    let key = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

/// A frame's header up to its mask, which it announces.
pub fn frame_head(fin: bool, opcode: u8, len: u64) -> Vec<u8> {
    let first = opcode | if fin { 0x80 } else { 0 };
    match len {
        0..=125 => vec![first, 0x80 | len as u8],
        126..=0xFFFF => [&[first, 0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, 0x80 | 127][..], &len.to_be_bytes()].concat(),
    }
}
