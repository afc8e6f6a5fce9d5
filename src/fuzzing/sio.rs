//! Properties of Socket.IO packets: what is parsed can be written again, and arguments that are
//! sent on keep their attachments.

use serde_json::Value;

use crate::{
    args::Args,
    codec::{
        json::{self, Bytes},
        sio::{self, Kind, Packet},
    },
};

/// The text of a packet.
pub fn packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(packet) = sio::parse(text, ATTACHMENTS_MAX) else {
        return;
    };
    is_the_same_written_again(&packet);
    if packet.json.is_empty() || json::check(packet.json, DEPTH_MAX).is_err() {
        return;
    }
    let elements = match packet.kind {
        Kind::Event | Kind::BinaryEvent => match sio::split_event(packet.json) {
            Ok((name, elements)) => {
                assert!(!sio::is_reserved(&name));
                elements
            }
            Err(_) => return,
        },
        Kind::Ack | Kind::BinaryAck => sio::split_ack(packet.json),
        Kind::Connect | Kind::Disconnect | Kind::ConnectError => return,
    };
    let count = packet.attachments as usize;
    let attachments: Vec<_> = (0..count).map(|n| Bytes::from([n as u8])).collect();
    let args = Args::new(elements, &attachments);
    let is_legal = json::check_placeholders(packet.json, count).is_ok();
    if let Ok(values) = args.parse::<Vec<Value>>() {
        assert_eq!(
            is_legal,
            values.iter().all(|value| are_in_range(value, count))
        );
    }
    is_sent_on(args, is_legal);
}

fn is_the_same_written_again(packet: &Packet<'_>) {
    let mut out = Vec::new();
    let attachments = packet.attachments as usize;
    sio::put_head(
        &mut out,
        packet.kind,
        attachments,
        packet.namespace,
        packet.id,
    );
    out.extend_from_slice(packet.json.as_bytes());
    let again = std::str::from_utf8(&out).expect("both parts are text");
    assert_eq!(sio::parse(again, ATTACHMENTS_MAX).as_ref(), Ok(packet));
}

/// Whether every placeholder in a value names one of so many attachments.
fn are_in_range(value: &Value, count: usize) -> bool {
    match value {
        Value::Array(values) => values.iter().all(|value| are_in_range(value, count)),
        Value::Object(members) => {
            let is_placeholder = members.get("_placeholder") == Some(&Value::Bool(true));
            let num = members.get("num").and_then(Value::as_u64);
            let is_in_range = num.is_some_and(|num| num < count as u64);
            (is_in_range || !is_placeholder)
                && members.values().all(|value| are_in_range(value, count))
        }
        _ => true,
    }
}

/// Verbatim as a list; as one argument the placeholders are numbered anew.
fn is_sent_on(args: Args<'_>, is_legal: bool) {
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    let written = json::write_packet(&mut text, &mut attachments, None, &args);
    assert_eq!(written.is_ok(), is_legal || args.attachments().is_empty());
    if written.is_ok() {
        assert_eq!(text, format!("[{}]", args.raw()).as_bytes());
        assert_eq!(attachments, args.attachments());
    }
    let values = args.values();
    assert_eq!(values.len(), args.len());
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    if !is_legal || json::write_packet(&mut text, &mut attachments, Some("on"), &(args,)).is_err() {
        return;
    }
    let text = std::str::from_utf8(&text).expect("JSON is text");
    json::check(text, DEPTH_MAX + 1).expect("our own text");
    json::check_placeholders(text, attachments.len()).expect("they are numbered anew");
    let (name, elements) = sio::split_event(text).expect("our own event");
    assert_eq!(&*name, "on");
    let again = Args::new(elements, &attachments).get::<Vec<Value>>(0);
    let again = again.expect("it was written from values");
    assert_eq!(
        restored(again, &attachments),
        restored(values, args.attachments())
    );
}

/// The values with the bytes in the place of placeholders.
fn restored(values: Vec<Value>, attachments: &[Bytes]) -> Vec<Value> {
    let mut values = values;
    for value in &mut values {
        restore(value, attachments);
    }
    values
}

fn restore(value: &mut Value, attachments: &[Bytes]) {
    let num = value.get("num").and_then(Value::as_u64);
    let is_placeholder = value.get("_placeholder") == Some(&Value::Bool(true));
    let bytes = num.filter(|_| is_placeholder);
    if let Some(bytes) = bytes.and_then(|num| attachments.get(num as usize)) {
        *value = Value::from(bytes.to_vec());
        return;
    }
    match value {
        Value::Array(values) => values.iter_mut().for_each(|at| restore(at, attachments)),
        Value::Object(members) => members.values_mut().for_each(|at| restore(at, attachments)),
        _ => {}
    }
}

const ATTACHMENTS_MAX: u32 = 10;
/// Of `Config`.
const DEPTH_MAX: usize = 100;
