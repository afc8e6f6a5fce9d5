//! What a server may write: whole answers and frames, packets that can be parsed, and on a
//! WebSocket after each packet the attachments that it announced.

use crate::wire::{self, Frame};

/// Asserts it of everything that one connection was written.
pub fn is_well_formed(received: &[u8], has_parser: bool) {
    let written = wire::read(received);
    if has_parser {
        return;
    }
    let is_open = |frame: &Frame| frame.opcode == 1 && frame.payload.starts_with(b"0{");
    if written.frames.first().is_some_and(is_open) {
        frames(&written.frames);
    }
    for answer in written.answers.iter().filter(|it| it.status == 200) {
        // Neither files nor what the application answers begin like a packet.
        if answer
            .body
            .first()
            .is_some_and(|first| b"0123456b".contains(first))
        {
            payload(&answer.body);
        }
    }
}

/// The frames of a session.
fn frames(frames: &[Frame]) {
    let mut owed = 0;
    for Frame { opcode, payload } in frames {
        match opcode {
            1 => {
                let text = std::str::from_utf8(payload).expect("a text is UTF-8");
                let announced = packet(text);
                assert!(
                    owed == 0 || !text.starts_with('4'),
                    "attachments are missing before {text}"
                );
                owed += announced;
            }
            2 => {
                assert_ne!(owed, 0, "an attachment of nothing");
                owed -= 1;
            }
            _ => {}
        }
    }
}

/// The payload of a polling answer. Attachments may come with the next one.
fn payload(body: &[u8]) {
    let body = std::str::from_utf8(body).expect("a payload is text");
    for text in body.split('\x1e') {
        match text.strip_prefix('b') {
            Some(base64) => assert!(base64.bytes().all(is_base64), "{text}"),
            None => drop(packet(text)),
        }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// A packet of the server; returns how many attachments are to follow.
fn packet(text: &str) -> usize {
    let Some(packet) = text.strip_prefix('4') else {
        assert!(text.starts_with(['0', '1', '2', '3', '6']), "{text}");
        return 0;
    };
    if packet == "hello" {
        return 0;
    }
    let kind = packet.as_bytes()[0];
    assert!((b'0'..=b'6').contains(&kind), "{text}");
    if matches!(kind, b'2' | b'5') {
        assert!(emio::fuzzing::sio_packet(packet).is_some(), "{text}");
    }
    if kind < b'5' {
        return 0;
    }
    let count = packet[1..].split_once('-').map(|(count, _)| count.parse());
    count.and_then(Result::ok).expect("a count of attachments")
}
