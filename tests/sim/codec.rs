//! What clients write and read, byte by byte: HTTP/1.1, WebSocket frames, payloads, Socket.IO
//! packets. A codec of its own, so that no fault of the crate's can hide in it.

/// One HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server will end the connection.
    pub is_last: bool,
}

/// Takes the first answer off `bytes`, once it is whole.
pub fn take_answer(bytes: &mut Vec<u8>) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().expect("a status line");
    let status = status
        .strip_prefix("HTTP/1.1 ")
        .expect("an HTTP/1.1 answer");
    let status: u16 = status[..3].parse().expect("a status");
    let (mut len, mut is_last) = (0, false);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            len = value.parse().expect("a length");
        }
        if name.eq_ignore_ascii_case("connection") {
            is_last = value.eq_ignore_ascii_case("close");
        }
    }
    if bytes.len() < end + len {
        return None;
    }
    let body = bytes[end..end + len].to_vec();
    bytes.drain(..end + len);
    Some(Answer {
        status,
        body,
        is_last,
    })
}

pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// Takes the first frame off `bytes`, once it is whole. Servers neither mask nor need to fragment.
pub fn take_frame(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xF0, 0x80, "a whole frame without reserved bits");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (head, len) = match second {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        ),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(head..head + len)?.to_vec();
    bytes.drain(..head + len);
    Some(Frame {
        opcode: first & 0x0F,
        payload,
    })
}

pub fn put_frame(out: &mut Vec<u8>, is_final: bool, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(opcode | if is_final { 0x80 } else { 0 });
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    out.extend(masked.map(|(byte, mask)| byte ^ mask));
}

/// An Engine.IO message, or another packet as its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    Text(String),
    Binary(Vec<u8>),
}

impl Packet {
    /// As a piece of a polling payload.
    pub fn put_in_payload(&self, out: &mut Vec<u8>) {
        if !out.is_empty() {
            out.push(0x1E);
        }
        match self {
            Packet::Text(text) => out.extend_from_slice(text.as_bytes()),
            Packet::Binary(data) => {
                out.push(b'b');
                put_base64(out, data);
            }
        }
    }
}

/// The packets of a polling payload.
pub fn packets(payload: &[u8]) -> Vec<Packet> {
    let packet = |bytes: &[u8]| match bytes {
        [b'b', text @ ..] => Packet::Binary(base64(text)),
        text => Packet::Text(String::from_utf8(text.to_vec()).expect("packets are text")),
    };
    payload.split(|&byte| byte == 0x1E).map(packet).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn put_base64(out: &mut Vec<u8>, data: &[u8]) {
    for three in data.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| three.get(at).copied().unwrap_or(0));
        let bits = u32::from_be_bytes([0, a, b, c]);
        for at in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= three.len() { symbol } else { b'=' });
        }
    }
}

pub fn base64(text: &[u8]) -> Vec<u8> {
    assert_eq!(text.len() % 4, 0, "padded base64");
    let mut data = Vec::new();
    for four in text.chunks(4) {
        let digits = four.iter().take_while(|&&symbol| symbol != b'=').count();
        let value = |&symbol: &u8| ALPHABET.iter().position(|&known| known == symbol);
        let bits = four[..digits].iter().fold(0_u32, |bits, symbol| {
            bits << 6 | value(symbol).expect("a base64 symbol") as u32
        });
        let bytes = (bits << (6 * (4 - digits))).to_be_bytes();
        data.extend_from_slice(&bytes[1..digits]);
    }
    data
}

/// The text part of a Socket.IO packet.
#[derive(Clone, Debug)]
pub struct Sio {
    pub kind: u8,
    pub attachments: usize,
    pub namespace: String,
    pub id: Option<u64>,
    pub json: String,
}

impl Sio {
    /// Reads what follows the `4` of a message.
    pub fn parse(text: &str) -> Sio {
        let kind = text.as_bytes()[0] - b'0';
        let mut rest = &text[1..];
        let mut attachments = 0;
        if matches!(kind, 5 | 6) {
            let (count, behind) = rest.split_once('-').expect("a count of attachments");
            attachments = count.parse().expect("a number");
            rest = behind;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        Sio {
            kind,
            attachments,
            namespace: namespace.to_owned(),
            id: rest[..digits].parse().ok(),
            json: rest[digits..].to_owned(),
        }
    }

    /// The whole message, with its `4`.
    pub fn text(&self) -> String {
        let mut text = format!("4{}", self.kind);
        if self.attachments > 0 {
            text += &format!("{}-", self.attachments);
        }
        if self.namespace != "/" {
            text += &format!("{},", self.namespace);
        }
        if let Some(id) = self.id {
            text += &id.to_string();
        }
        text + &self.json
    }
}
