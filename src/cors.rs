//! Origins: which pages of other origins a browser lets read our answers, and whether a page is of
//! our own.
//!
//! It says the same as the `cors` package of Node with the same options. Not here: any refusal. A
//! browser enforces these headers, and other clients ignore them. No browser holds WebSockets to
//! them, so the engine does, by the same list: [`Cors::allows`]. To turn other clients away, use
//! `allow_request`. Without a [`Cors`] no header is sent at all.

use std::{fmt, sync::Arc};

/// What cross-origin pages may do. Begin with [`Cors::any`] or [`Cors::origins`].
///
/// ```text
/// Cors::origins(["https://example.com"]).credentials(true).max_age(600)
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origin: Origin,
    methods: String,
    allowed_headers: Option<String>,
    exposed_headers: Option<String>,
    credentials: bool,
    max_age: Option<u32>,
    preflight_continue: bool,
    options_success_status: u16,
}

/// Which origins are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All, by a literal `*`. Browsers refuse it together with credentials.
    Any,
    /// All, by naming each its own origin, which browsers accept together with credentials. That
    /// lets every page act as its visitor, so it is for development.
    Mirror,
    /// This one, named in every answer whoever asks.
    Exact(String),
    /// These; an answer names the one that asked, or none.
    List(Vec<String>),
    /// Those that a function of the application lets in; see [`Cors::origins_if`].
    If(OriginTest),
}

/// A function that looks at an `Origin` header. Two are equal if they are clones of one.
#[derive(Clone)]
pub struct OriginTest(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl OriginTest {
    /// Wraps `test`, which is called for every request under the protocol's path with an `Origin`,
    /// twice if that opens a WebSocket.
    pub fn new(test: impl Fn(&str) -> bool + Send + Sync + 'static) -> OriginTest {
        OriginTest(Arc::new(test))
    }
}

impl fmt::Debug for OriginTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginTest")
    }
}

impl PartialEq for OriginTest {
    fn eq(&self, other: &OriginTest) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OriginTest {}

impl Cors {
    /// Lets every origin in, without credentials.
    pub fn any() -> Cors {
        Cors::new(Origin::Any)
    }

    /// Lets these origins in, each compared letter by letter with what the browser sends: scheme,
    /// host, and the port unless it is the scheme's own, without a slash at the end.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Cors {
        Cors::new(Origin::List(origins.into_iter().map(Into::into).collect()))
    }

    /// Lets in the origins for which `test` is true: what a pattern or a function is to Node's
    /// package.
    ///
    /// ```
    /// emio::Cors::origins_if(|origin| origin.ends_with(".example.com"));
    /// ```
    pub fn origins_if(test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Cors {
        Cors::new(Origin::If(OriginTest::new(test)))
    }

    /// Lets in what `origin` says, without credentials, for the methods of every REST page.
    pub fn new(origin: Origin) -> Cors {
        Cors {
            origin,
            methods: String::from("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
            preflight_continue: false,
            options_success_status: 204,
        }
    }

    /// Replaces the methods that a preflight allows.
    #[must_use]
    pub fn methods<S: AsRef<str>>(self, methods: impl IntoIterator<Item = S>) -> Cors {
        Cors {
            methods: joined(methods).unwrap_or_default(),
            ..self
        }
    }

    /// Allows these request headers. Without it, a preflight allows whichever it is asked for.
    #[must_use]
    pub fn allowed_headers<S: AsRef<str>>(self, names: impl IntoIterator<Item = S>) -> Cors {
        Cors {
            allowed_headers: joined(names),
            ..self
        }
    }

    /// Lets pages read these headers of our answers, besides the few they always may.
    #[must_use]
    pub fn exposed_headers<S: AsRef<str>>(self, names: impl IntoIterator<Item = S>) -> Cors {
        Cors {
            exposed_headers: joined(names),
            ..self
        }
    }

    /// Lets pages send cookies along (`withCredentials` in the client). With [`Origin::Any`] the
    /// origin sent stays `*`, and browsers then refuse the answer.
    #[must_use]
    pub fn credentials(self, credentials: bool) -> Cors {
        Cors {
            credentials,
            ..self
        }
    }

    /// Lets browsers remember a preflight for so many seconds.
    #[must_use]
    pub fn max_age(self, seconds: u32) -> Cors {
        Cors {
            max_age: Some(seconds),
            ..self
        }
    }

    /// Hands preflights on to the application's `on_request`, whose answer gets the headers of this
    /// one. Without it they are answered at once.
    #[must_use]
    pub fn preflight_continue(self, preflight_continue: bool) -> Cors {
        Cors {
            preflight_continue,
            ..self
        }
    }

    /// Answers preflights with `status` instead of 204; some old browsers choke on that one.
    #[must_use]
    pub fn options_success_status(self, status: u16) -> Cors {
        Cors {
            options_success_status: status,
            ..self
        }
    }

    /// The status of a preflight's answer, which has no body.
    pub fn preflight_status(&self) -> u16 {
        self.options_success_status
    }

    /// Whether the application answers preflights.
    pub(crate) fn is_preflight_continued(&self) -> bool {
        self.preflight_continue
    }

    /// Gives `out` the headers of an ordinary answer, the 101 of a WebSocket included, to a request
    /// with this `Origin` header.
    pub fn put(&self, origin: Option<&str>, out: &mut impl FnMut(&str, &str)) {
        self.put_origin(origin, out);
        if self.varies_by_origin() {
            out("Vary", "Origin");
        }
        self.put_exposed(out);
    }

    /// Gives `out` the headers of the answer to a preflight, which is any OPTIONS request;
    /// `request_headers` is its `Access-Control-Request-Headers`.
    pub fn put_preflight(
        &self,
        origin: Option<&str>,
        request_headers: Option<&str>,
        out: &mut impl FnMut(&str, &str),
    ) {
        self.put_origin(origin, out);
        // The answer mirrors what was asked unless the headers are configured: caches must know.
        match (self.varies_by_origin(), self.allowed_headers.is_none()) {
            (true, true) => out("Vary", "Origin, Access-Control-Request-Headers"),
            (true, false) => out("Vary", "Origin"),
            (false, true) => out("Vary", "Access-Control-Request-Headers"),
            (false, false) => {}
        }
        if !self.methods.is_empty() {
            out("Access-Control-Allow-Methods", &self.methods);
        }
        let allowed = self.allowed_headers.as_deref().or(request_headers);
        if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
            out("Access-Control-Allow-Headers", allowed);
        }
        if let Some(seconds) = self.max_age {
            out("Access-Control-Max-Age", &seconds.to_string());
        }
        self.put_exposed(out);
    }

    /// Whether a page of this origin may read our answers, as a browser judges it that sends no
    /// credentials. By default it decides who opens a WebSocket, too:
    /// [`Config::websocket_origins`](crate::Config::websocket_origins).
    ///
    /// ```
    /// let cors = emio::Cors::origins(["https://example.com"]);
    /// assert!(cors.allows("https://example.com") && !cors.allows("https://example.com:8443"));
    /// ```
    pub fn allows(&self, origin: &str) -> bool {
        let allowed = self.allowed(Some(origin));
        allowed.is_some_and(|allowed| allowed == "*" || allowed == origin)
    }

    /// The value of `Access-Control-Allow-Origin`.
    fn allowed<'a>(&'a self, origin: Option<&'a str>) -> Option<&'a str> {
        match &self.origin {
            Origin::Any => Some("*"),
            Origin::Mirror => origin,
            Origin::Exact(only) => Some(only.as_str()),
            Origin::List(list) => origin.filter(|&origin| list.iter().any(|one| one == origin)),
            Origin::If(OriginTest(test)) => origin.filter(|&origin| test(origin)),
        }
    }

    fn put_origin(&self, origin: Option<&str>, out: &mut impl FnMut(&str, &str)) {
        if let Some(allowed) = self.allowed(origin) {
            out("Access-Control-Allow-Origin", allowed);
        }
        if self.credentials {
            out("Access-Control-Allow-Credentials", "true");
        }
    }

    fn put_exposed(&self, out: &mut impl FnMut(&str, &str)) {
        if let Some(exposed) = &self.exposed_headers {
            out("Access-Control-Expose-Headers", exposed);
        }
    }

    /// All but `*`: the fixed origin too, as Node's package has it.
    pub(crate) fn varies_by_origin(&self) -> bool {
        self.origin != Origin::Any
    }
}

impl Default for Cors {
    fn default() -> Cors {
        Cors::any()
    }
}

/// Whether a header says where a WebSocket is opened from. The other name is that of version 8,
/// which is spoken here.
pub(crate) fn is_origin(header: &str) -> bool {
    header.eq_ignore_ascii_case("origin") || header.eq_ignore_ascii_case("sec-websocket-origin")
}

/// Whether a page of this origin was loaded from where the `Host` header says its request went.
///
/// The scheme is not compared: where TLS ends in front of us, the page is `https` and our
/// connection is not. It only says which port is meant where none is written. What is no web page's
/// origin (`null`, `file://`, an application's own scheme), or more than one (a path, a user), is
/// not ours. `host` has passed the parser, so that none of their letters can be in it.
pub(crate) fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    // Clients that are no browsers name the scheme of the WebSocket itself.
    let port = match () {
        () if is("http") || is("ws") => 80,
        () if is("https") || is("wss") => 443,
        () => return false,
    };
    match (split_port(authority, port), split_port(host, port)) {
        (Some((theirs, their_port)), Some((ours, our_port))) => {
            !ours.is_empty() && theirs.eq_ignore_ascii_case(ours) && their_port == our_port
        }
        _ => false,
    }
}

/// Host and port, or nothing if what stands for a port is none. RFC 3986 §3.2.
fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    // The colons of an IPv6 address are in brackets.
    let address = authority.find(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[address..].find(':') else {
        return Some((authority, default));
    };
    let (host, port) = authority.split_at(address + colon);
    let digits = &port[1..];
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((host, digits.parse().ok().filter(|_| is_number)?))
}

/// The names with commas between them, or nothing for no names.
fn joined<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Option<String> {
    let mut joined = String::new();
    for name in names {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(name.as_ref());
    }
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://here.example";
    const THERE: &str = "https://there.example";

    fn lines(fill: impl FnOnce(&mut dyn FnMut(&str, &str))) -> Vec<String> {
        let mut lines = Vec::new();
        fill(&mut |name, value| {
            lines.push(format!("{}: {value}", name.replace("Access-Control-", "~")));
        });
        lines
    }

    fn ordinary(cors: &Cors, origin: Option<&str>) -> Vec<String> {
        lines(|mut out| cors.put(origin, &mut out))
    }

    fn preflight(cors: &Cors, origin: Option<&str>, headers: Option<&str>) -> Vec<String> {
        lines(|mut out| cors.put_preflight(origin, headers, &mut out))
    }

    #[test]
    fn an_ordinary_answer_names_the_origin_it_is_for() {
        let check = |origin: Origin, asking: Option<&str>, wanted: &[&str]| {
            assert_eq!(ordinary(&Cors::new(origin), asking), wanted);
        };
        let list = || Origin::List(vec![HERE.into(), "https://b.example".into()]);
        let named = "~Allow-Origin: https://here.example";
        check(Origin::Any, None, &["~Allow-Origin: *"]);
        check(Origin::Any, Some(THERE), &["~Allow-Origin: *"]);
        check(
            Origin::Exact(HERE.into()),
            Some(THERE),
            &[named, "Vary: Origin"],
        );
        check(Origin::Exact(HERE.into()), None, &[named, "Vary: Origin"]);
        check(list(), Some(HERE), &[named, "Vary: Origin"]);
        check(list(), Some(THERE), &["Vary: Origin"]);
        check(list(), Some("https://HERE.example"), &["Vary: Origin"]);
        check(list(), None, &["Vary: Origin"]);
        check(Origin::Mirror, Some(HERE), &[named, "Vary: Origin"]);
        check(Origin::Mirror, None, &["Vary: Origin"]);
        let by_ending = || Origin::If(OriginTest::new(|origin| origin.ends_with("here.example")));
        check(by_ending(), Some(HERE), &[named, "Vary: Origin"]);
        check(by_ending(), Some("https://b.example"), &["Vary: Origin"]);
        check(by_ending(), None, &["Vary: Origin"]);
    }

    #[test]
    fn an_origin_is_allowed_if_the_answer_names_it_or_all() {
        let check = |origin: Origin, asking: &str, wanted: bool| {
            assert_eq!(
                Cors::new(origin.clone()).allows(asking),
                wanted,
                "{origin:?} {asking}"
            );
        };
        let list = || Origin::List(vec![HERE.into(), "null".into()]);
        let by_ending = || Origin::If(OriginTest::new(|origin| origin.ends_with("//here.example")));
        check(Origin::Any, THERE, true);
        check(Origin::Any, "null", true);
        check(Origin::Mirror, THERE, true);
        check(Origin::Exact(HERE.into()), HERE, true);
        check(Origin::Exact(HERE.into()), THERE, false);
        check(Origin::Exact("*".into()), THERE, true);
        check(list(), HERE, true);
        check(list(), "null", true);
        check(list(), THERE, false);
        check(list(), "https://HERE.example", false);
        check(list(), "", false);
        check(by_ending(), HERE, true);
        check(by_ending(), THERE, false);
    }

    #[test]
    fn an_origin_is_our_own_by_host_and_port() {
        let check = |origin: &str, host: &str, wanted: bool| {
            assert_eq!(is_own(origin, host), wanted, "{origin} at {host}");
        };
        for (origin, host) in [
            ("http://here.example", "here.example"),
            ("http://here.example:3000", "here.example:3000"),
            ("http://localhost:3000", "localhost:3000"),
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            // TLS ends in front of us.
            ("https://here.example", "here.example"),
            // Either may write the port that the scheme has anyway.
            ("http://here.example", "here.example:80"),
            ("http://here.example:80", "here.example"),
            ("https://here.example", "here.example:443"),
            ("https://here.example:443", "here.example"),
            // Clients that are no browsers.
            ("ws://here.example:3000", "here.example:3000"),
            ("wss://here.example", "here.example:443"),
            // Letters of both cases are one host's, and names beyond ASCII are punycode in both.
            ("HTTP://Here.Example", "here.example"),
            ("http://here.example", "HERE.example"),
            ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("http://[fe80::A]", "[FE80::a]"),
            ("https://[::1]", "[::1]:443"),
            ("http://here.example:0080", "here.example"),
        ] {
            check(origin, host, true);
        }
        for (origin, host) in [
            ("http://there.example", "here.example"),
            ("http://sub.here.example", "here.example"),
            ("http://here.example", "sub.here.example"),
            ("http://here.example.", "here.example"),
            ("http://here.example.there.example", "here.example"),
            ("http://localhost:3000", "127.0.0.1:3000"),
            ("http://here.example:3001", "here.example:3000"),
            ("http://here.example", "here.example:3000"),
            ("http://here.example:3000", "here.example"),
            ("http://here.example", "here.example:443"),
            ("https://here.example", "here.example:80"),
            ("http://[::1]:3000", "[::2]:3000"),
            ("http://::1", "::1"),
            ("http://[::1", "[::1"),
            // More than an origin, or less.
            ("http://here.example/", "here.example"),
            ("http://here.example:80/", "here.example"),
            ("http://here.example/path", "here.example"),
            ("http://user@here.example", "here.example"),
            ("http://here.example@there.example", "here.example"),
            ("http://here.example there.example", "here.example"),
            ("http://here.example:", "here.example"),
            ("http://here.example", "here.example:"),
            ("http://here.example:+80", "here.example"),
            ("http://here.example:65616", "here.example"),
            ("http://here.example:80:80", "here.example"),
            ("http:here.example", "here.example"),
            ("//here.example", "here.example"),
            ("here.example", "here.example"),
            ("", "here.example"),
            ("", ""),
            ("http://", ""),
            ("http://:80", ":80"),
            // No web page's.
            ("null", "null"),
            ("file://", "here.example"),
            ("file://here.example", "here.example"),
            ("capacitor://localhost", "localhost"),
            ("ftp://here.example", "here.example"),
        ] {
            check(origin, host, false);
        }
    }

    #[test]
    fn a_preflight_allows_by_default_what_it_is_asked_for() {
        let methods = "~Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE";
        let vary = "Vary: Access-Control-Request-Headers";
        let cors = Cors::any();
        assert_eq!(cors.preflight_status(), 204);
        assert_eq!(
            preflight(&cors, Some(HERE), Some("x-a, x-b")),
            [
                "~Allow-Origin: *",
                vary,
                methods,
                "~Allow-Headers: x-a, x-b"
            ]
        );
        assert_eq!(
            preflight(&cors, None, None),
            ["~Allow-Origin: *", vary, methods]
        );
        assert_eq!(
            preflight(&Cors::origins([HERE]), Some(THERE), None),
            ["Vary: Origin, Access-Control-Request-Headers", methods]
        );
    }

    #[test]
    fn everything_that_is_configured_is_sent() {
        let cors = Cors::origins([HERE])
            .methods(["GET", "POST"])
            .allowed_headers(["x-a", "x-b"])
            .exposed_headers(["x-c"])
            .credentials(true)
            .max_age(600)
            .options_success_status(200);
        assert_eq!(cors.preflight_status(), 200);
        assert_eq!(
            preflight(&cors, Some(HERE), Some("x-z")),
            [
                "~Allow-Origin: https://here.example",
                "~Allow-Credentials: true",
                "Vary: Origin",
                "~Allow-Methods: GET,POST",
                "~Allow-Headers: x-a,x-b",
                "~Max-Age: 600",
                "~Expose-Headers: x-c",
            ]
        );
        assert_eq!(
            ordinary(&cors, Some(HERE)),
            [
                "~Allow-Origin: https://here.example",
                "~Allow-Credentials: true",
                "Vary: Origin",
                "~Expose-Headers: x-c",
            ]
        );
    }

    #[test]
    fn any_origin_with_credentials_stays_a_star() {
        let cors = Cors::any().credentials(true);
        assert_eq!(
            ordinary(&cors, Some(HERE)),
            ["~Allow-Origin: *", "~Allow-Credentials: true"]
        );
    }

    #[test]
    fn empty_lists_send_no_header() {
        let none: [&str; 0] = [];
        let cors = Cors::any()
            .methods(none)
            .allowed_headers(none)
            .exposed_headers(none);
        assert_eq!(
            preflight(&cors, None, Some("")),
            ["~Allow-Origin: *", "Vary: Access-Control-Request-Headers"]
        );
    }
}
