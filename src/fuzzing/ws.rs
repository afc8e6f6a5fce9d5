//! Properties of the WebSocket codec. The oracle, tungstenite's own `WebSocketContext`, is in
//! `tools/fuzz`: users compile tungstenite without it.

pub use crate::codec::ws::{End, Fault, Heard, Transcript};

use crate::codec::ws;

/// What `bytes` say to a server that takes messages of at most `message_bytes_max`, cut into pieces
/// of `chunk(bytes left)`.
pub fn messages(
    bytes: &[u8],
    chunk: impl FnMut(usize) -> usize,
    message_bytes_max: u64,
) -> Transcript {
    ws::messages(bytes, chunk, message_bytes_max)
}

/// Frames: the same however they are cut. The first byte tells the size of a cut and the limit.
pub fn cut(data: &[u8]) {
    let [first, data @ ..] = data else { return };
    let limit = [0, 10, 125, 126, 300, 70_000, 1_000_000, u64::MAX][usize::from(first & 7)];
    let whole = messages(data, |left| left, limit);
    for step in [1, 2 + usize::from(first >> 3)] {
        assert_eq!(messages(data, |_| step, limit), whole, "by {step}");
    }
    let heard = whole.heard.iter();
    let bytes = heard.map(|heard| match heard {
        Heard::Text(text) => text.len(),
        Heard::Binary(bytes) | Heard::Ping(bytes) => bytes.len(),
        Heard::Pong | Heard::Close(_) => 0,
    });
    assert!(bytes.sum::<usize>() <= whole.accepted_bytes);
    is_written_as_it_is_read(data);
}

/// Any bytes as the payload of a server's frame, and as the reason of a close.
fn is_written_as_it_is_read(data: &[u8]) {
    let mut frame = Vec::new();
    ws::put_head(&mut frame, ws::Opcode::Binary, data.len());
    assert_eq!(frame.len(), ws::head_bytes(data.len()));
    frame.extend_from_slice(data);
    assert_eq!(ws::payload_of(&frame), data);
    let reason = String::from_utf8_lossy(data);
    let mut close = Vec::new();
    ws::put_close(&mut close, Some(1000), &reason);
    let said =
        std::str::from_utf8(&ws::payload_of(&close)[2..]).expect("it is cut between characters");
    assert!(close.len() <= 127 && reason.starts_with(said));
}
