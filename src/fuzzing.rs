//! Entry points below the API, for fuzz targets and benchmarks: one line there, the rest here, so
//! that it always compiles. Not part of the API.
//!
//! What always holds: any input is fine, and what comes back counts what was understood, so that a
//! benchmark can assert it.

use crate::codec::{
    eio,
    http::{self, Limits, Slots},
    json, sio, ws,
};

/// A request head; how many headers it has.
pub fn http_head(data: &[u8]) -> Option<usize> {
    let mut slots = Slots::new();
    let limits = Limits {
        head_bytes_max: 16 * 1024,
        headers_max: http::HEADERS_MAX,
    };
    let head = http::parse(data, &mut slots, limits).ok().flatten()?;
    Some(head.headers().count())
}

/// WebSocket frames, as a server reads them; how many messages and control frames they are.
pub fn ws_frames(data: &[u8]) -> usize {
    ws::messages(data, |n| n, 1_000_000).heard.len()
}

/// One WebSocket frame, unmasked in place; how many bytes it carries.
pub fn ws_frame(data: &mut [u8]) -> Option<usize> {
    match ws::parse(data, 1_000_000) {
        Ok(ws::Parsed::Frame(frame)) => Some(frame.payload.len()),
        _ => None,
    }
}

/// The packets of a polling payload up to the first bad one; how many they are.
pub fn eio_payload(data: &[u8]) -> usize {
    let (mut count, mut next) = (0, Some(0));
    while let Some(from) = next {
        let (range, rest) = eio::split(data, from);
        if eio::parse(&data[range]).is_err() {
            break;
        }
        (count, next) = (count + 1, rest);
    }
    count
}

/// A Socket.IO packet and its JSON; how many arguments it has.
pub fn sio_packet(text: &str) -> Option<usize> {
    let packet = sio::parse(text, 10).ok()?;
    json::check(packet.json, 100).ok()?;
    let _ = json::check_placeholders(packet.json, packet.attachments as usize);
    let (_, elements) = sio::split_event(packet.json).ok()?;
    Some(json::elements(elements).count())
}

/// Arguments written as an event; how many bytes that takes.
pub fn write_event<T: serde::Serialize>(out: &mut Vec<u8>, event: &str, args: &T) -> usize {
    out.clear();
    match json::write_packet(out, &mut Vec::new(), Some(event), args) {
        Ok(()) => out.len(),
        Err(_) => 0,
    }
}

/// Arguments read from the text of a list.
pub fn read_args<T: serde::de::DeserializeOwned>(elements: &str) -> Option<T> {
    json::read_list(elements, &[]).ok()
}
