//! The oracle of WebSocket frames: tungstenite's `WebSocketContext` reads the same bytes.

use std::{
    io::{self, Cursor, Read, Write},
    mem,
};

use emio::fuzzing::ws::{End, Fault, Heard, messages};
use tungstenite::{
    Error, Message,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext, frame::FrameHeader},
};

use crate::{input::Input, wire::put_frame};

/// The same messages, then the same end. The first byte tells the limit, and whether frames are
/// described or written out.
pub fn ws_frames(data: &[u8]) {
    let mut input = Input::new(data);
    let first = input.byte();
    let limit = [0, 10, 125, 126, 300, 70_000, 70_000, 70_000][usize::from(first & 7)];
    let mut bytes = if first & 8 == 0 {
        input.rest().to_vec()
    } else {
        described(&mut input)
    };
    let mut step = 1 + usize::from(first >> 4);
    let ours = messages(
        &bytes,
        |left| {
            step = 1 + (step * 7 + 3) % 29;
            step.min(left)
        },
        limit,
    );
    if let End::Refused(_) = ours.end {
        complete_frame(&mut bytes, ours.accepted_bytes, limit);
    }
    let (heard, end) = oracle(&bytes, limit);
    assert_eq!(ours.heard, heard);
    assert_eq!(mem::discriminant(&ours.end), end);
}

/// Frames whose masks and lengths are right: first byte, payload.
fn described(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !input.is_empty() {
        let first = input.byte();
        put_frame(&mut bytes, first, input.piece());
    }
    bytes
}

/// We refuse a header; tungstenite mostly waits for the payload first. Here it is.
fn complete_frame(bytes: &mut Vec<u8>, start: usize, limit: u64) {
    let mut cursor = Cursor::new(&bytes[start..]);
    let Ok(Some((_, len))) = FrameHeader::parse(&mut cursor) else {
        return;
    };
    if len <= limit.max(125) {
        let end = start + cursor.position() as usize + len as usize;
        bytes.resize(end.max(bytes.len()), 0);
    }
}

fn oracle(bytes: &[u8], limit: u64) -> (Vec<Heard>, mem::Discriminant<End>) {
    let refused = mem::discriminant(&End::Refused(Fault::Opcode));
    let config = WebSocketConfig::default()
        .read_buffer_size(64)
        .max_message_size(Some(limit as usize))
        // Its frame limit holds for control frames also, ours does not.
        .max_frame_size(Some(limit.max(125) as usize));
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut wire = Bytes(bytes);
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
struct Bytes<'a>(&'a [u8]);

impl Read for Bytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Bytes<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
