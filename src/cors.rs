//! Cross-origin headers: which pages of other origins a browser lets read our answers.
//!
//! It says the same as the `cors` package of Node with the same options. Not here: any refusal. A
//! browser enforces these headers, other clients ignore them, and a WebSocket is never bound by
//! them; to turn a client away, use `allow_request`. Without a [`Cors`] no header is sent at all.

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
    /// Wraps `test`, which is called for every request under the protocol's path with an `Origin`.
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

    fn put_origin(&self, origin: Option<&str>, out: &mut impl FnMut(&str, &str)) {
        let allowed = match &self.origin {
            Origin::Any => Some("*"),
            Origin::Mirror => origin,
            Origin::Exact(only) => Some(only.as_str()),
            Origin::List(list) => origin.filter(|&origin| list.iter().any(|one| one == origin)),
            Origin::If(OriginTest(test)) => origin.filter(|&origin| test(origin)),
        };
        if let Some(allowed) = allowed {
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
