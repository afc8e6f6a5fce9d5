//! Codecs: functions from bytes to values and back. Nothing here knows time, connections or users.

pub mod coding;
pub mod eio;
pub mod http;
pub mod json;
pub mod sio;
pub mod ws;
