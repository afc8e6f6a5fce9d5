//! Header lines that an application adds to an answer of the protocol.
//!
//! Not here: the lines that the server writes itself. What always holds: each line can be written
//! as it is, because one that could begin another line, or that would contradict the server's own,
//! was refused.

use std::fmt;

use crate::codec::http;

/// Header lines for one answer, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Box<str>, Box<str>)>);

impl Headers {
    /// Bytes that they make the process hold.
    pub(crate) fn bytes_held(&self) -> usize {
        let lines = self.0.iter();
        lines.map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Adds a line; a second one of the same name is sent as well, as `Set-Cookie` needs it. A line
    /// that is refused leaves no trace.
    ///
    /// ```
    /// let mut headers = emio::Headers::default();
    /// headers.append("Set-Cookie", "lang=en; Path=/")?;
    /// assert!(headers.append("X-Name", "two\r\nX-Lines: yes").is_err());
    /// # Ok::<(), emio::HeaderError>(())
    /// ```
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        if !http::is_token(name) {
            return Err(HeaderError::Name);
        }
        if is_reserved(name) {
            return Err(HeaderError::Reserved);
        }
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(HeaderError::Value);
        }
        self.push(name, value);
        Ok(())
    }

    /// The lines, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line of the server's own.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    pub(crate) fn extend(&mut self, other: Headers) {
        self.0.extend(other.0);
    }
}

/// Why a header line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is no token. RFC 9110 §5.6.2.
    Name,
    /// The value has a control character, such as a line break.
    Value,
    /// The server writes this header itself: framing, and the terms of a WebSocket.
    Reserved,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Name => "the header's name is no token",
            HeaderError::Value => "the header's value has a control character",
            HeaderError::Reserved => "the server writes this header itself",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Whether the server writes this header itself, on some answer at least.
pub(crate) fn is_the_servers(name: &str) -> bool {
    let own = ["Content-Type", "Cache-Control"];
    is_reserved(name) || own.iter().any(|one| one.eq_ignore_ascii_case(name))
}

fn is_reserved(name: &str) -> bool {
    let is_websocket = name
        .get(..WEBSOCKET.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(WEBSOCKET));
    is_websocket || RESERVED.iter().any(|one| one.eq_ignore_ascii_case(name))
}

const RESERVED: [&str; 5] = [
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Transfer-Encoding",
    "Upgrade",
];

const WEBSOCKET: &str = "Sec-WebSocket-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_could_begin_another_is_refused() {
        let check = |name: &str, value: &str, wanted: Result<(), HeaderError>| {
            let mut headers = Headers::default();
            assert_eq!(headers.append(name, value), wanted, "{name:?}: {value:?}");
            assert_eq!(headers.is_empty(), wanted.is_err());
        };
        check("X-A", "b; c=\"d\" é", Ok(()));
        check("X-A", "", Ok(()));
        for value in ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x7fb", "\tb"] {
            check("X-A", value, Err(HeaderError::Value));
        }
        for name in ["", "X A", "X:", "é", "X\r\nY"] {
            check(name, "b", Err(HeaderError::Name));
        }
        for name in ["content-length", "CONNECTION", "Sec-Websocket-Accept"] {
            check(name, "b", Err(HeaderError::Reserved));
        }
    }
}
