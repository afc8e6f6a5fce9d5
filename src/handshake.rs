//! The request that opened a session, as its application sees it.
//!
//! Not here: parsing (`codec::http`). What always holds: it is one copy of the request's head; what
//! is asked for is found in it again, so that a session that keeps nothing pays nothing.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use crate::{
    codec::{
        http::{self, Limits, Slots},
        json,
    },
    config::KeepHeaders,
};

/// The copy of a handshake's head, with what the bytes do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    head: Box<[u8]>,
    address: [u8; 16],
    /// When it came, in milliseconds since 1970.
    issued_ms: u64,
}

impl Hello {
    pub(crate) fn new(head: &[u8], address: [u8; 16], issued_ms: u64) -> Hello {
        Hello {
            head: head.into(),
            address,
            issued_ms,
        }
    }

    /// What the configuration lets a session keep after its first namespace was decided.
    pub(crate) fn kept(&self, keep: &KeepHeaders) -> Option<Hello> {
        match keep {
            KeepHeaders::None => None,
            KeepHeaders::All => Some(self.clone()),
            KeepHeaders::Named(names) => {
                let mut head = self.head.split_inclusive(|&b| b == b'\n').next()?.to_vec();
                for (name, value) in self.request().headers() {
                    // Host stays, because a request without one is none.
                    let is_named = |wanted: &String| wanted.eq_ignore_ascii_case(name);
                    if names.iter().any(is_named) || name.eq_ignore_ascii_case("host") {
                        head.extend_from_slice(name.as_bytes());
                        head.extend_from_slice(b": ");
                        head.extend_from_slice(value);
                        head.extend_from_slice(b"\r\n");
                    }
                }
                head.extend_from_slice(b"\r\n");
                Some(Hello {
                    head: head.into(),
                    ..*self
                })
            }
        }
    }

    /// The request's method.
    pub(crate) fn method(&self) -> &str {
        self.request()
            .parsed(|head| head.method)
            .unwrap_or_default()
    }

    pub(crate) fn bytes_held(&self) -> usize {
        self.head.len()
    }

    pub(crate) fn address_bytes(&self) -> [u8; 16] {
        self.address
    }

    /// The request, before there is a namespace or a CONNECT payload.
    pub(crate) fn request(&self) -> Handshake<'_> {
        Handshake {
            hello: Some(self),
            address: self.address,
            auth: serde_json::Value::Null,
        }
    }
}

/// The request that opened the session, and the payload with which the client joins a namespace.
///
/// A session keeps it until its first namespace is joined; beyond that only what
/// [`Config::keep_headers`](crate::Config::keep_headers) asks for. What was not kept reads as
/// absent: no headers, an empty URL. The address is always there.
#[derive(Clone, Debug)]
pub struct Handshake<'a> {
    hello: Option<&'a Hello>,
    address: [u8; 16],
    /// The payload of the CONNECT packet; `{}` without one. Socket.IO protocol, "Connection to a
    /// namespace".
    pub auth: serde_json::Value,
}

impl<'a> Handshake<'a> {
    /// What is known of a request, and the payload of its CONNECT packet (JSON text, or nothing).
    pub(crate) fn new(hello: Option<&'a Hello>, address: [u8; 16], auth: &str) -> Handshake<'a> {
        let auth = match auth {
            "" => serde_json::Value::Object(serde_json::Map::new()),
            text => json::read_element(text, 0, &[]).unwrap_or_default(),
        };
        Handshake {
            hello,
            address,
            auth,
        }
    }

    /// The value of the first header called `name` (any case), if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.parsed(|head| head.header_str(name)).flatten()
    }

    /// All headers, in their order.
    pub fn headers(&self) -> Vec<(&'a str, &'a [u8])> {
        self.parsed(|head| head.headers().collect())
            .unwrap_or_default()
    }

    /// The path and query as the client wrote them.
    pub fn url(&self) -> &'a str {
        self.parsed(|head| head.target).unwrap_or_default()
    }

    /// The path alone.
    pub fn path(&self) -> &'a str {
        self.parsed(|head| head.path).unwrap_or_default()
    }

    /// The first value of this name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'a, str>> {
        self.parsed(|head| http::query_get(head.query, name))
            .flatten()
    }

    /// All pairs of the query, decoded, in their order.
    pub fn query_pairs(&self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.parsed(|head| http::query_pairs(head.query).collect())
            .unwrap_or_default()
    }

    /// The peer's address; behind a proxy, the proxy's.
    pub fn address(&self) -> IpAddr {
        address(self.address)
    }

    /// When the handshake came, in milliseconds since 1970; 0 if that was not kept.
    pub fn issued_ms(&self) -> u64 {
        self.hello.map_or(0, |hello| hello.issued_ms)
    }

    /// Whether the page that connected names its origin, as browsers do across origins.
    pub fn is_cross_domain(&self) -> bool {
        self.header("origin").is_some()
    }

    fn parsed<R>(&self, get: impl FnOnce(&http::Head<'_, 'a>) -> R) -> Option<R> {
        let hello = self.hello?;
        let mut slots = Slots::new();
        let limits = Limits {
            head_bytes_max: usize::MAX,
            headers_max: http::HEADERS_MAX,
        };
        let head = http::parse(&hello.head, &mut slots, limits)
            .ok()
            .flatten()
            .expect("a handshake was parsed before it was kept");
        Some(get(&head))
    }
}

/// The address that these bytes spell.
pub(crate) fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
