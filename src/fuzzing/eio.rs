//! Properties of Engine.IO payloads: nothing is lost by splitting, and binary comes back.

use crate::codec::eio::{self, Packet, SEPARATOR};

/// A polling payload.
pub fn payload(data: &[u8]) {
    let (mut next, mut joined) = (Some(0), Vec::new());
    while let Some(from) = next {
        let (range, rest) = eio::split(data, from);
        if from > 0 {
            joined.push(SEPARATOR);
        }
        joined.extend_from_slice(&data[range.clone()]);
        packet(&data[range]);
        next = rest;
    }
    assert_eq!(joined, data);
    is_encoded(data);
}

fn packet(text: &[u8]) {
    assert!(!text.contains(&SEPARATOR));
    match eio::parse(text) {
        Ok(Packet::Ping(range) | Packet::Message(range)) => assert_eq!(range, 1..text.len()),
        Ok(Packet::Binary(range)) => {
            let mut decoded = b"before".to_vec();
            if eio::decode_binary(&text[range], &mut decoded).is_ok() {
                is_encoded(decoded.strip_prefix(b"before").expect("it is appended"));
            }
        }
        Ok(Packet::Close | Packet::Pong | Packet::Upgrade | Packet::Idle) => {}
        Err(_) => assert!(
            text.first()
                .is_none_or(|first| !b"0123456b".contains(first))
        ),
    }
}

/// Any bytes come back from base64, and need no separator.
fn is_encoded(data: &[u8]) {
    let (mut text, mut back) = (Vec::new(), Vec::new());
    eio::put_binary(&mut text, data);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    assert!(text.iter().all(is_plain));
    assert_eq!(eio::parse(&text), Ok(Packet::Binary(1..text.len())));
    eio::decode_binary(&text[1..], &mut back).expect("our own text");
    assert_eq!(back, data);
}
