//! An HTTP request outside the protocol, as `on_request` sees it.

use std::{borrow::Cow, net::IpAddr};

use crate::{
    codec::http::{self, Head, Limits, Slots},
    handshake,
};

/// A whole request for the application. It is valid while its handler runs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    head: &'a [u8],
    /// `GET`, `POST` and so on.
    pub method: &'a str,
    /// The path as it was sent, percent-encoded.
    pub path: &'a str,
    /// What follows the `?`, or nothing.
    pub query: &'a str,
    /// At most `Config::max_payload` bytes; beyond it the client got 413.
    pub body: &'a [u8],
    address: [u8; 16],
}

impl<'a> Request<'a> {
    pub(crate) fn new(head: &'a [u8], body: &'a [u8], address: [u8; 16]) -> Request<'a> {
        let (method, path, query) = parsed(head, |head| (head.method, head.path, head.query));
        Request {
            head,
            method,
            path,
            query,
            body,
            address,
        }
    }

    /// The value of the first header called `name` (any case), if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        parsed(self.head, |head| head.header_str(name))
    }

    /// All headers, in their order.
    pub fn headers(&self) -> Vec<(&'a str, &'a [u8])> {
        parsed(self.head, |head| head.headers().collect())
    }

    /// What all headers called `name` say, whose value is a list: one list. RFC 9110 §5.3.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let lines = self.headers().into_iter();
        let lines = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let texts: Vec<_> = lines
            .filter_map(|line| std::str::from_utf8(line.1).ok())
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// The first value of this name in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        http::query_get(self.query, name)
    }

    /// The path decoded; `None` if it is not UTF-8 then.
    pub fn decoded_path(&self) -> Option<Cow<'a, str>> {
        http::percent_decode(self.path)
    }

    /// The peer's address; behind a proxy, the proxy's.
    pub fn address(&self) -> IpAddr {
        handshake::address(self.address)
    }
}

fn parsed<'a, R>(bytes: &'a [u8], get: impl FnOnce(&Head<'_, 'a>) -> R) -> R {
    let mut slots = Slots::new();
    let limits = Limits {
        head_bytes_max: usize::MAX,
        headers_max: http::HEADERS_MAX,
    };
    let head = http::parse(bytes, &mut slots, limits).ok().flatten();
    get(&head.expect("the engine tells of requests that it parsed"))
}
