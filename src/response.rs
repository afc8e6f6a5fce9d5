//! What a request handler answers with: a status, headers, a body.
//!
//! Not here: how it is written. `codec::http` writes the head and owns all framing, and the engine,
//! which knows the request's method, leaves the body away for a HEAD and keeps its length.
//! What always holds: the status is a final one, between 200 and 599.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The answer to one HTTP request.
///
/// ```text
/// Response::text("hello").header("Cache-Control", "no-store")
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Body,
}

impl Response {
    /// Answers with `status` and nothing else. A number outside 200 to 599 is no final status and
    /// becomes 500.
    pub fn new(status: u16) -> Response {
        let status = if (200..=599).contains(&status) {
            status
        } else {
            500
        };
        Response {
            status,
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    /// Answers 200 with plain text.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("text/plain; charset=utf-8", text.into())
    }

    /// Answers 200 with a page.
    pub fn html(page: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("text/html; charset=utf-8", page.into())
    }

    /// Answers 200 with a text that already is JSON; it is not checked.
    pub fn json_text(json: impl Into<Cow<'static, str>>) -> Response {
        Response::bytes("application/json", json.into())
    }

    /// Answers 200 with `body`, which is of this media type.
    pub fn bytes(content_type: impl Into<Cow<'static, str>>, body: impl Into<Body>) -> Response {
        Response::new(200)
            .header("Content-Type", content_type)
            .with_body(body)
    }

    /// Answers 404 with a line of text.
    pub fn not_found() -> Response {
        Response::text("Not Found\n").with_status(404)
    }

    /// Sends the browser to `location` this time (302). The location must already be
    /// percent-encoded.
    pub fn redirect(location: impl Into<Cow<'static, str>>) -> Response {
        Response::new(302).header("Location", location)
    }

    /// Adds a header line; a second one of the same name is sent as well. `Content-Length`,
    /// `Transfer-Encoding` and `Connection` are the server's to write and are left out, and so is a
    /// name that is no token; line breaks in a value are sent as spaces.
    #[must_use]
    pub fn header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Response {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces the status, by the rule of [`Response::new`].
    #[must_use]
    pub fn with_status(self, status: u16) -> Response {
        Response {
            status: Response::new(status).status,
            ..self
        }
    }

    /// Replaces the body. Its media type is a header's matter.
    #[must_use]
    pub fn with_body(self, body: impl Into<Body>) -> Response {
        Response {
            body: body.into(),
            ..self
        }
    }

    /// The status, between 200 and 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header lines in the order they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The body; for the answer to a HEAD, the body that is not sent.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Takes the body out, to be queued without a copy.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}

/// The bytes of a response, from wherever they already are. Only `Owned` is copied by a clone.
#[derive(Clone, Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes made for this response.
    Owned(Vec<u8>),
    /// Bytes that are part of the program.
    Static(&'static [u8]),
    /// Bytes that several responses have in common.
    Shared(Arc<[u8]>),
}

impl Body {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Empty => &[],
            Body::Owned(bytes) => bytes,
            Body::Static(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none, in whichever variant.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Bodies are the same if their bytes are, wherever those live.
impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Body {}

/// Says how long it is: a page in a log line helps nobody.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Owned(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Owned(text.into_bytes())
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body::Static(bytes)
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Body {
        Body::Static(bytes)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Body::Static(text.as_bytes())
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Body {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Body {
        Body::Shared(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_constructor_says_what_it_sends() {
        let check = |response: Response, status, headers: &[(&str, &str)], body: &str| {
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().collect::<Vec<_>>(), headers);
            assert_eq!(response.body().as_bytes(), body.as_bytes());
        };
        let text = ("Content-Type", "text/plain; charset=utf-8");
        check(Response::new(204), 204, &[], "");
        check(Response::text("a"), 200, &[text], "a");
        check(
            Response::html(String::from("<p>")),
            200,
            &[("Content-Type", "text/html; charset=utf-8")],
            "<p>",
        );
        check(
            Response::json_text("{}"),
            200,
            &[("Content-Type", "application/json")],
            "{}",
        );
        check(
            Response::bytes("image/png", b"p"),
            200,
            &[("Content-Type", "image/png")],
            "p",
        );
        check(Response::not_found(), 404, &[text], "Not Found\n");
        check(Response::redirect("/a/"), 302, &[("Location", "/a/")], "");
        check(
            Response::new(200)
                .header("A", "1")
                .header("A", "2")
                .with_body("b"),
            200,
            &[("A", "1"), ("A", "2")],
            "b",
        );
    }

    #[test]
    fn a_status_that_is_not_final_becomes_500() {
        for (asked, sent) in [
            (0, 500),
            (101, 500),
            (199, 500),
            (200, 200),
            (599, 599),
            (600, 500),
        ] {
            assert_eq!(Response::new(asked).status(), sent);
            assert_eq!(Response::text("").with_status(asked).status(), sent);
        }
    }

    #[test]
    fn bodies_are_compared_by_their_bytes() {
        let bodies = [
            Body::from("ab"),
            b"ab".into(),
            "ab".to_owned().into(),
            vec![97, 98].into(),
        ];
        for body in &bodies {
            assert_eq!(*body, Body::Shared(Arc::from(*b"ab")));
            assert_eq!((body.len(), body.is_empty()), (2, false));
        }
        assert_eq!(Body::Empty, Body::from(""));
        assert!(Body::default().is_empty());
        assert_eq!(format!("{:?}", bodies[0]), "Body(2 bytes)");
    }
}
