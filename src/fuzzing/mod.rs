//! Entry points below the API, for fuzz targets and benchmarks, so that they always compile. Not
//! part of the API.
//!
//! Not here: targets that need nothing but the API, or a package that only tests have; they are in
//! `tools/fuzz`, so that nobody compiles a server for them along with `emio`. What always holds:
//! any input is fine. A benchmark gets a count of what was understood, to assert it; a property
//! that does not hold is a panic.

pub mod eio;
pub mod http;
pub mod json;
pub mod sio;
pub mod ws;

use crate::codec;

/// A request head; how many headers it has.
pub fn http_head(data: &[u8]) -> Option<usize> {
    let mut slots = codec::http::Slots::new();
    let head = codec::http::parse(data, &mut slots, http::LIMITS);
    Some(head.ok().flatten()?.headers().count())
}

/// One WebSocket frame, unmasked in place; how many bytes it carries.
pub fn ws_frame(data: &mut [u8]) -> Option<usize> {
    match codec::ws::parse(data, 1_000_000) {
        Ok(codec::ws::Parsed::Frame(frame)) => Some(frame.payload.len()),
        _ => None,
    }
}

/// The packets of a polling payload up to the first bad one; how many they are.
pub fn eio_payload(data: &[u8]) -> usize {
    let (mut count, mut next) = (0, Some(0));
    while let Some(from) = next {
        let (range, rest) = codec::eio::split(data, from);
        if codec::eio::parse(&data[range]).is_err() {
            break;
        }
        (count, next) = (count + 1, rest);
    }
    count
}

/// A Socket.IO packet and its JSON; how many arguments it has.
pub fn sio_packet(text: &str) -> Option<usize> {
    let packet = codec::sio::parse(text, 10).ok()?;
    codec::json::check(packet.json, 100).ok()?;
    let _ = codec::json::check_placeholders(packet.json, packet.attachments as usize);
    let (_, elements) = codec::sio::split_event(packet.json).ok()?;
    Some(codec::json::elements(elements).count())
}

/// Arguments written as an event; how many bytes that takes.
pub fn write_event<T: serde::Serialize>(out: &mut Vec<u8>, event: &str, args: &T) -> usize {
    out.clear();
    match codec::json::write_packet(out, &mut Vec::new(), Some(event), args) {
        Ok(()) => out.len(),
        Err(_) => 0,
    }
}

/// Arguments read from the text of a list.
pub fn read_args<T: serde::de::DeserializeOwned>(elements: &str) -> Option<T> {
    codec::json::read_list(elements, &[]).ok()
}
