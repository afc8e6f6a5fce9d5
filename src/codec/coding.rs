//! Content codings: what a client takes, and a payload written in one.
//!
//! Not here: when that is worth it, and which codings there are of a file. What always holds: a
//! coding that a client refuses, or does not name, is not chosen. RFC 9110 §12.5.3.

#[cfg(feature = "compression")]
use std::{cmp::Reverse, io::Write};

#[cfg(feature = "compression")]
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::http;
#[cfg(feature = "compression")]
use super::http::Head;

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    Gzip,
    /// zlib, which HTTP calls deflate. RFC 9110 §8.4.1.2.
    Deflate,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    fn named(name: &[u8]) -> Option<Coding> {
        const NAMES: [(&str, Coding); 5] = [
            ("gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("identity", Coding::Identity),
            // The old name means the same. RFC 9110 §8.4.1.3.
            ("x-gzip", Coding::Gzip),
        ];
        let mut names = NAMES.into_iter();
        let found = names.find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(_, coding)| coding)
    }

    /// The value of `Content-Encoding`; none if the body is written as it is.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Deflate => Some("deflate"),
            Coding::Brotli => Some("br"),
        }
    }
}

#[cfg(feature = "compression")]
impl Coding {
    /// Which of the two that payloads are compressed in the request lets be used: the one it likes
    /// best, and among equals the first it names.
    pub fn accepted(head: &Head<'_, '_>) -> Coding {
        let named = head.headers();
        let named = named.filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        Coding::best(named.flat_map(|(_, value)| http::elements(value)))
    }

    fn best<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Coding {
        let accepted = Accepted::new(elements);
        let rank = |coding| {
            let wish = accepted.wish(coding).filter(|wish| wish.quality > 0)?;
            Some((wish.quality, Reverse(wish.place)))
        };
        match (rank(Coding::Gzip), rank(Coding::Deflate)) {
            (None, None) => Coding::Identity,
            (gzip, deflate) if gzip >= deflate => Coding::Gzip,
            _ => Coding::Deflate,
        }
    }

    /// The payload in this coding, which is one that `accepted` has chosen.
    pub fn encode(self, payload: &[u8]) -> Vec<u8> {
        // JSON shrinks to a fifth or so; what does not shrink makes the vector grow once.
        let out = Vec::with_capacity(payload.len() / 4);
        let level = Compression::default();
        let coded = match self {
            Coding::Identity => return payload.to_vec(),
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                let written = encoder.write_all(payload);
                written.and_then(|()| encoder.finish())
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                let written = encoder.write_all(payload);
                written.and_then(|()| encoder.finish())
            }
            Coding::Brotli => unreachable!("`accepted` does not choose it"),
        };
        coded.expect("writing to a vector does not fail")
    }
}

/// What an `Accept-Encoding` says of the codings that we know.
#[derive(Debug, Default)]
pub struct Accepted {
    /// By the number of the coding.
    wishes: [Option<Wish>; 4],
    /// Of those that are not named: `*`.
    any: Option<Wish>,
}

/// How much a coding is liked, in thousandths, and at which place that stands.
#[derive(Clone, Copy, Debug)]
struct Wish {
    quality: u16,
    #[cfg_attr(not(feature = "compression"), allow(dead_code))]
    place: usize,
}

impl Accepted {
    /// Reads the elements of the header's list; the first of each name counts.
    pub fn new<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Accepted {
        let mut accepted = Accepted::default();
        for (place, element) in elements.enumerate() {
            let mut parts = element.split(|&byte| byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let slot = match Coding::named(name) {
                Some(coding) => &mut accepted.wishes[coding as usize],
                None if name == b"*" => &mut accepted.any,
                None => continue,
            };
            let quality = quality(parts);
            slot.get_or_insert(Wish { quality, place });
        }
        accepted
    }

    /// The same of a header's value.
    pub fn read(value: &str) -> Accepted {
        Accepted::new(http::elements(value.as_bytes()))
    }

    /// The one of `offered` that the client likes best, and among equals the first that is offered;
    /// none if it takes none of them.
    pub fn choose(&self, offered: impl Iterator<Item = Coding>) -> Option<Coding> {
        let mut best = None;
        for coding in offered {
            let quality = match (self.wish(coding), coding) {
                (Some(wish), _) if wish.quality == 0 => continue,
                (Some(wish), _) => wish.quality,
                // As it is, it may always come unless that is said to be unwelcome, but whatever
                // was asked for is liked better.
                (None, Coding::Identity) => 0,
                (None, _) => continue,
            };
            if best.is_none_or(|(most, _)| quality > most) {
                best = Some((quality, coding));
            }
        }
        best.map(|(_, coding)| coding)
    }

    fn wish(&self, coding: Coding) -> Option<Wish> {
        self.wishes[coding as usize].or(self.any)
    }
}

/// The `q` of an element in thousandths; 1,000 without one, 0 for one that cannot be read.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> u16 {
    let Some(q) = parameters.find_map(|parameter| {
        let parameter = parameter.trim_ascii();
        parameter
            .strip_prefix(b"q=")
            .or_else(|| parameter.strip_prefix(b"Q="))
    }) else {
        return 1_000;
    };
    let q = std::str::from_utf8(q).ok().and_then(|q| q.parse().ok());
    q.map_or(0, |q: f32| (q.clamp(0.0, 1.0) * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "compression")]
    fn the_coding_of_a_payload_is_one_that_the_client_takes() {
        let check = |line: &str, wanted: Coding| {
            let best = Coding::best(http::elements(line.as_bytes()));
            assert_eq!(best, wanted, "{line:?}");
        };
        for line in [
            "gzip",
            "GZIP",
            "gzip, deflate, br",
            "x-gzip",
            "br, gzip;q=0.5",
            "deflate;q=0.5, gzip",
            "deflate; q=0, gzip; q=0.1",
            "*",
            "identity;q=0, *;q=0.2",
        ] {
            check(line, Coding::Gzip);
        }
        for line in [
            "deflate",
            "deflate, gzip",
            "gzip;q=0.4, deflate;q=0.5",
            "gzip;q=0, *",
        ] {
            check(line, Coding::Deflate);
        }
        for line in [
            "",
            "identity",
            "br, zstd",
            "gzip;q=0",
            "gzip; Q=0.000, deflate;q=0",
            "*;q=0",
            "gzip;q=x",
            "gzip;q=NaN",
        ] {
            check(line, Coding::Identity);
        }
    }

    #[test]
    fn a_file_comes_in_the_coding_that_the_client_likes_best() {
        use Coding::*;
        let check = |line: &str, offered: &[Coding], wanted: Option<Coding>| {
            let chosen = Accepted::read(line).choose(offered.iter().copied());
            assert_eq!(chosen, wanted, "{line:?} of {offered:?}");
        };
        let all = [Brotli, Gzip, Identity];
        for (line, wanted) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("BR", Brotli),
            ("br ; Q=0.001", Brotli),
            ("*", Brotli),
            ("*;q=0.1, identity;q=0.1", Brotli),
            ("gzip", Gzip),
            ("x-gzip", Gzip),
            ("gzip, br;q=0.9", Gzip),
            ("br;q=0, *", Gzip),
            ("gzip;q=0.5, identity;q=0.5", Gzip),
            ("", Identity),
            ("identity", Identity),
            ("deflate, zstd", Identity),
            ("gzip;q=0, br;q=0", Identity),
            ("identity, gzip;q=0.9, br;q=0.9", Identity),
            ("*;q=0, identity", Identity),
            ("gzip;q=x, br;q=NaN", Identity),
            // The first of a name counts.
            ("gzip;q=0, gzip", Identity),
        ] {
            check(line, &all, Some(wanted));
        }
        for line in ["identity;q=0", "*;q=0", "gzip;q=0, *;q=0"] {
            check(line, &[Identity], None);
        }
        check("identity;q=0", &all, None);
        check("identity;q=0, gzip;q=0.1", &all, Some(Gzip));
        check("*;q=0", &all, None);
        check("br", &[Gzip], None);
        check("br", &[Gzip, Identity], Some(Identity));
        check("*, gzip;q=0.5", &[Gzip, Identity], Some(Identity));
        check("", &[Gzip], None);
        check("gzip", &[], None);
    }
}
