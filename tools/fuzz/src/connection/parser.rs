//! A packet codec of the application's own, which trusts what it reads: what emio makes of its
//! packets must not depend on it.

use emio::{BadPacket, Bytes, OwnedPacket, Packet, PacketKind, Parser};

/// Packets as in the protocol's own encoding, but that attachments are in the text: each `!` behind
/// the kind is one.
pub struct Trusting;

impl Parser for Trusting {
    fn encode(&mut self, packet: &Packet<'_>, send: &mut dyn FnMut(bool, &[u8])) {
        let Packet {
            namespace,
            id,
            json,
            attachments,
            ..
        } = packet;
        let text = format!("{namespace},{}{json}", id.unwrap_or_default());
        send(false, text.as_bytes());
        attachments.iter().for_each(|bytes| send(true, bytes));
    }

    fn decode(&mut self, message: &[u8], is_binary: bool) -> Result<OwnedPacket, BadPacket> {
        let text = std::str::from_utf8(message).map_err(|_| BadPacket)?;
        let (kind, rest) = text.split_at_checked(1).ok_or(BadPacket)?;
        let kind = match kind {
            "0" => PacketKind::Connect,
            "1" => PacketKind::Disconnect,
            "2" => PacketKind::Event,
            "3" => PacketKind::Ack,
            "4" => PacketKind::ConnectError,
            _ => return Err(BadPacket),
        };
        let marks = rest.bytes().take_while(|byte| *byte == b'!').count();
        let rest = &rest[marks..];
        let (namespace, rest) = match rest.split_once(',') {
            Some(parts) if rest.starts_with('/') => parts,
            _ => ("/", rest),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        let attachment = Bytes::from([u8::from(is_binary); 20]);
        Ok(OwnedPacket {
            kind,
            namespace: namespace.to_owned(),
            id: id.parse().ok(),
            json: json.to_owned(),
            attachments: vec![attachment; marks],
        })
    }
}
