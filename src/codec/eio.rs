//! Engine.IO 4 packets: one digit and its data, and the polling payload that joins them with 0x1e.
//!
//! Not here: WebSocket frames, HTTP, sessions, and what a packet does. What always holds: nothing
//! is kept between calls, and no input panics. Engine.IO protocol, "Packet types" and "HTTP
//! long-polling".

use std::{fmt, ops::Range};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// One packet as a client sent it in text form; a range is where its data lies in the text given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// `1`: the client leaves.
    Close,
    /// `2`: a heartbeat in the wrong direction, or the probe of an upgrade.
    Ping(Range<usize>),
    /// `3`: the answer to a heartbeat.
    Pong,
    /// `4`: a text message; it may be empty.
    Message(Range<usize>),
    /// `b`: a binary message in base64.
    Binary(Range<usize>),
    /// `5`: the end of an upgrade.
    Upgrade,
    /// `0` or `6`, which a client has no reason to send.
    Idle,
}

/// The packet written in `text`.
pub fn parse(text: &[u8]) -> Result<Packet, Fault> {
    let (&first, data) = (text.split_first().ok_or(Fault::Empty)?.0, 1..text.len());
    match first {
        b'0' | b'6' => Ok(Packet::Idle),
        b'1' => Ok(Packet::Close),
        b'2' => Ok(Packet::Ping(data)),
        b'3' => Ok(Packet::Pong),
        b'4' => Ok(Packet::Message(data)),
        b'5' => Ok(Packet::Upgrade),
        b'b' => Ok(Packet::Binary(data)),
        _ => Err(Fault::Type),
    }
}

/// The packet of `payload` that begins at `from`, and where the next one begins, if there is one.
pub fn split(payload: &[u8], from: usize) -> (Range<usize>, Option<usize>) {
    match payload[from..].iter().position(|&byte| byte == SEPARATOR) {
        Some(at) => (from..from + at, Some(from + at + 1)),
        None => (from..payload.len(), None),
    }
}

/// Appends the bytes that `text` writes in base64. Padding may be missing, as JavaScript allows.
pub fn decode_binary(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    LENIENT.decode_vec(text, out).map_err(|_| Fault::Base64)
}

/// Appends `b` and `data` in base64: a binary message inside a polling payload.
pub fn put_binary(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'b');
    let from = out.len();
    let len = base64::encoded_len(data.len(), true).expect("a message is far below usize::MAX");
    out.resize(from + len, 0);
    let n = LENIENT
        .encode_slice(data, &mut out[from..])
        .expect("the length was computed for it");
    out.truncate(from + n);
}

/// Appends the open packet, the server's first. `upgrades` tells whether WebSocket is offered.
pub fn put_open(out: &mut Vec<u8>, sid: &[u8], upgrades: bool, timing: Timing) {
    let Timing {
        ping_interval_ms,
        ping_timeout_ms,
        max_payload,
    } = timing;
    let upgrades = if upgrades { "\"websocket\"" } else { "" };
    out.extend_from_slice(b"0{\"sid\":\"");
    out.extend_from_slice(sid);
    out.extend_from_slice(
        format!(
            "\",\"upgrades\":[{upgrades}],\"pingInterval\":{ping_interval_ms},\
             \"pingTimeout\":{ping_timeout_ms},\"maxPayload\":{max_payload}}}"
        )
        .as_bytes(),
    );
}

/// The numbers that an open packet tells.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
    pub max_payload: u32,
}

/// What is wrong with a packet. Each ends the session with `parse error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A packet without even its type.
    Empty,
    /// The first character is no packet type.
    Type,
    /// The text after `b` is not base64.
    Base64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Empty => "empty packet",
            Fault::Type => "unknown packet type",
            Fault::Base64 => "binary packet is not base64",
        })
    }
}

/// Between the packets of a payload.
pub const SEPARATOR: u8 = 0x1e;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_2_1_1_each_type_is_one_character() {
        for (text, packet) in [
            ("0{}", Packet::Idle),
            ("1", Packet::Close),
            ("2", Packet::Ping(1..1)),
            ("2probe", Packet::Ping(1..6)),
            ("3", Packet::Pong),
            ("4hello", Packet::Message(1..6)),
            ("4", Packet::Message(1..1)),
            ("5", Packet::Upgrade),
            ("6", Packet::Idle),
            ("bAQID", Packet::Binary(1..5)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(packet), "{text}");
        }
        assert_eq!(parse(b""), Err(Fault::Empty));
        assert_eq!(parse(b"7"), Err(Fault::Type));
        assert_eq!(parse(b"abc"), Err(Fault::Type));
    }

    #[test]
    fn wire_2_1_2_packets_are_joined_by_a_record_separator() {
        let payload = b"4a\x1e\x1e2";
        assert_eq!(split(payload, 0), (0..2, Some(3)));
        assert_eq!(split(payload, 3), (3..3, Some(4)));
        assert_eq!(split(payload, 4), (4..5, None));
        assert_eq!(split(b"", 0), (0..0, None));
    }

    #[test]
    fn binary_survives_the_way_there_and_back() {
        for len in 0..70 {
            let data: Vec<u8> = (0..len).collect();
            let (mut text, mut back) = (Vec::new(), Vec::new());
            put_binary(&mut text, &data);
            assert_eq!(text[0], b'b');
            decode_binary(&text[1..], &mut back).expect("our own text");
            assert_eq!(back, data);
        }
        let mut out = Vec::new();
        assert_eq!(
            decode_binary(b"AQI", &mut out),
            Ok(()),
            "padding may be missing"
        );
        assert_eq!(decode_binary(b"!", &mut out), Err(Fault::Base64));
    }
}
