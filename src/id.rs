//! Ids and keys. A key is an index into a slab and never leaves the process; an id is what users
//! and wires see: 15 bytes as 20 characters of base64url, 11 of them unguessable, 4 of them the
//! slot.
//!
//! What always holds: an id names at most one living machine. Slots are reused, secrets are not, so
//! a look-up is decode, index and compare, and needs no map. 20 characters matter: the sharded
//! Redis adapter takes a room of that length for a private one (spec: 2.1.14).

use std::{fmt, num::NonZeroU32, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Unguessable bytes of an id; 88 bits.
pub(crate) type Secret = [u8; SECRET_BYTES];

/// Where randomness comes from. The loop reads the system's; a test brings its own.
pub trait Entropy: Send {
    /// Fills all of `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The public id of a socket: what `socket.id` is to a JavaScript program. It names the socket's
/// own room, and it is not the session's id, which is a secret between the client and the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(Id);

/// The id of an Engine.IO session: a bearer secret. Whoever knows it may speak for the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid(Id);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Id([u8; ID_BYTES]);

impl Id {
    fn new(secret: Secret, slot: u32) -> Id {
        let mut bytes = [0; ID_BYTES];
        bytes[..SECRET_BYTES].copy_from_slice(&secret);
        bytes[SECRET_BYTES..].copy_from_slice(&slot.to_be_bytes());
        Id(bytes)
    }

    fn parse(text: &[u8]) -> Option<Id> {
        if text.len() != ID_CHARS {
            return None;
        }
        let mut bytes = [0; ID_BYTES];
        let n = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (n == ID_BYTES).then_some(Id(bytes))
    }

    fn text(self) -> [u8; ID_CHARS] {
        let mut text = [0; ID_CHARS];
        let n = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text)
            .expect("fifteen bytes are twenty characters");
        debug_assert_eq!(n, ID_CHARS);
        text
    }

    fn slot(self) -> u32 {
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Compares without leaving early, so that time tells nothing about how much of a guess was
    /// right.
    fn has_secret(self, secret: &Secret) -> bool {
        let differing = self
            .0
            .iter()
            .zip(secret)
            .fold(0, |bits, (a, b)| bits | (a ^ b));
        differing == 0
    }
}

macro_rules! id {
    ($name:ident) => {
        impl $name {
            pub(crate) fn new(secret: Secret, slot: u32) -> $name {
                $name(Id::new(secret, slot))
            }

            /// The id written in `text`, if it has the form of one.
            pub fn parse(text: impl AsRef<[u8]>) -> Option<$name> {
                Id::parse(text.as_ref()).map($name)
            }

            /// Its 20 characters.
            pub fn text(self) -> [u8; ID_CHARS] {
                self.0.text()
            }

            pub(crate) fn slot(self) -> u32 {
                self.0.slot()
            }

            pub(crate) fn has_secret(self, secret: &Secret) -> bool {
                self.0.has_secret(secret)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = self.text();
                f.write_str(std::str::from_utf8(&text).expect("base64url is ASCII"))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<$name, NotAnId> {
                $name::parse(text).ok_or(NotAnId)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id!(SocketId);
id!(Sid);

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sid(secret)")
    }
}

/// The text is not 20 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 20 characters of base64url")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroU32);

        impl $name {
            // One is added so that an optional key is no larger than a key.
            pub(crate) fn new(index: usize) -> $name {
                let index = u32::try_from(index + 1).expect("slabs stay below 2^32 entries");
                $name(NonZeroU32::new(index).expect("one was added"))
            }

            /// The slot's place in its slab. Slots are reused.
            pub fn index(self) -> usize {
                self.0.get() as usize - 1
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.index())
            }
        }
    };
}

key! {
    /// One TCP connection's slot.
    ConnKey
}
key! {
    /// One Engine.IO session's slot.
    SessionKey
}
key! {
    /// One socket's slot: one client in one namespace.
    SocketKey
}
key! {
    /// One namespace's slot.
    NamespaceKey
}
key! {
    /// One room's slot.
    RoomKey
}
/// One awaited acknowledgement. Never reused, so that an event about it cannot mean another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckKey(pub(crate) u64);

const SECRET_BYTES: usize = 11;
const ID_BYTES: usize = 15;
pub(crate) const ID_CHARS: usize = 20;
const _: () = assert!(SECRET_BYTES + size_of::<u32>() == ID_BYTES);
const _: () = assert!(
    size_of::<Option<ConnKey>>() == 4,
    "keys leave room for `None`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_twenty_characters_and_carries_its_slot() {
        let id = SocketId::new([7; SECRET_BYTES], 70_000);
        let text = id.to_string();
        assert_eq!(text.len(), 20);
        assert_eq!(SocketId::parse(&text), Some(id));
        assert_eq!(id.slot(), 70_000);
        assert!(id.has_secret(&[7; SECRET_BYTES]));
        assert!(!id.has_secret(&[8; SECRET_BYTES]));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "short",
            "********************",
            "aaaaaaaaaaaaaaaaaaaaa",
            "ääääääääää",
        ] {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_session_id_is_not_printed_by_accident() {
        assert_eq!(
            format!("{:?}", Sid::new([1; SECRET_BYTES], 1)),
            "Sid(secret)"
        );
    }
}
