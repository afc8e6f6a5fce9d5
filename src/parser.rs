//! The seam for packet codecs other than JSON text, such as msgpack: one is chosen per server, and
//! both sides have to use it. Without one nothing here is called.
//!
//! What always holds: a packet is the same on both sides of the seam, JSON text with placeholders
//! and the binary values they stand for; what a parser returns is checked like what a client
//! writes.

use crate::codec::{json::Bytes, sio};

/// Reads and writes packets. Socket.IO protocol, "Packet encoding", names what a packet is.
pub trait Parser: Send {
    /// Writes a packet as one or several Engine.IO messages: `send(is_binary, bytes)`. They leave
    /// in this order with nothing between them.
    fn encode(&mut self, packet: &Packet<'_>, send: &mut dyn FnMut(bool, &[u8]));

    /// Reads a packet from one Engine.IO message. An error ends the client's session, as a
    /// malformed packet does.
    fn decode(&mut self, message: &[u8], is_binary: bool) -> Result<OwnedPacket, BadPacket>;
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// To join a namespace, and the answer to it.
    Connect,
    /// To leave it.
    Disconnect,
    /// `["event", …]`.
    Event,
    /// `[…]`, the answer to the event with the same id.
    Ack,
    /// The refusal of a CONNECT.
    ConnectError,
}

/// A packet on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What it is for.
    pub kind: PacketKind,
    /// Where, with its slash.
    pub namespace: &'a str,
    /// Of an event that is to be acknowledged, or of the acknowledgement.
    pub id: Option<u64>,
    /// Its payload as JSON, or nothing. `{"_placeholder":true,"num":0}` stands for an attachment.
    pub json: &'a str,
    /// In the order of their numbers.
    pub attachments: &'a [Bytes],
}

/// A packet that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPacket {
    /// What it is for.
    pub kind: PacketKind,
    /// Where, with its slash.
    pub namespace: String,
    /// Of an event that is to be acknowledged, or of the acknowledgement.
    pub id: Option<u64>,
    /// Its payload as JSON, or nothing. `{"_placeholder":true,"num":0}` stands for an attachment.
    pub json: String,
    /// In the order of their numbers.
    pub attachments: Vec<Bytes>,
}

/// The message is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPacket;

impl std::fmt::Display for BadPacket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message is no packet")
    }
}

impl std::error::Error for BadPacket {}

impl From<sio::Kind> for PacketKind {
    fn from(kind: sio::Kind) -> PacketKind {
        match kind {
            sio::Kind::Connect => PacketKind::Connect,
            sio::Kind::Disconnect => PacketKind::Disconnect,
            sio::Kind::Event | sio::Kind::BinaryEvent => PacketKind::Event,
            sio::Kind::Ack | sio::Kind::BinaryAck => PacketKind::Ack,
            sio::Kind::ConnectError => PacketKind::ConnectError,
        }
    }
}
