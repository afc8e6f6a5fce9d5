//! The content codings of polling answers: what a client takes, and a payload written in it.
//!
//! Not here: when it is worth it. What always holds: a coding that a client refuses, or does not
//! name, is not chosen. RFC 9110 §12.5.3.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::http::{self, Head};

/// How a payload is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    Gzip,
    /// zlib, which HTTP calls deflate. RFC 9110 §8.4.1.2.
    Deflate,
}

impl Coding {
    /// What the request's `Accept-Encoding` lets be used: the one it likes best, and among equals
    /// the first it names.
    pub fn accepted(head: &Head<'_, '_>) -> Coding {
        let named = head.headers();
        let named = named.filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        Coding::best(named.flat_map(|(_, value)| http::elements(value)))
    }

    fn best<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Coding {
        let (mut gzip, mut deflate, mut any) = (None, None, None);
        for (place, element) in elements.enumerate() {
            let mut parts = element.split(|&byte| byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let rank = (quality(parts), std::cmp::Reverse(place));
            let slot = match name {
                b"*" => &mut any,
                name if name.eq_ignore_ascii_case(b"gzip") => &mut gzip,
                name if name.eq_ignore_ascii_case(b"deflate") => &mut deflate,
                _ => continue,
            };
            slot.get_or_insert(rank);
        }
        let (gzip, deflate) = (gzip.or(any), deflate.or(any));
        let is_allowed = |rank: &(u16, _)| rank.0 > 0;
        match (gzip.filter(is_allowed), deflate.filter(is_allowed)) {
            (None, None) => Coding::Identity,
            (gzip, deflate) if gzip >= deflate => Coding::Gzip,
            _ => Coding::Deflate,
        }
    }

    /// The value of `Content-Encoding`; none if the payload is written as it is.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Deflate => Some("deflate"),
        }
    }

    /// The payload in this coding.
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
        };
        coded.expect("writing to a vector does not fail")
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
    fn the_coding_is_one_that_the_client_takes() {
        let check = |line: &str, wanted: Coding| {
            let best = Coding::best(http::elements(line.as_bytes()));
            assert_eq!(best, wanted, "{line:?}");
        };
        for line in [
            "gzip",
            "GZIP",
            "gzip, deflate, br",
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
}
