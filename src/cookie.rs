//! The cookie with a session's id, for load balancers that keep a client at its server by one.
//!
//! Not here: any use of it. Sessions are found by the `sid` of a request's query alone, so a page
//! of another origin gains nothing from a cookie that a browser adds by itself.

/// How the handshake's `Set-Cookie` is written. `Cookie::default()` is
/// `io=<sid>; Path=/; HttpOnly; SameSite=Lax`.
///
/// The server does not check what stands here: a `;` in it ends an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Default `io`. Its name; a token (RFC 6265 §4.1.1).
    pub name: String,
    /// Default `/`. The path below which browsers send it; `None` is that of the handshake.
    pub path: Option<String>,
    /// None by default. The host, and those below it, that browsers send it to; only the server's
    /// own without.
    pub domain: Option<String>,
    /// None by default. Seconds for which browsers keep it; until they are closed without.
    pub max_age: Option<u64>,
    /// On by default. Keeps it from the scripts of a page.
    pub http_only: bool,
    /// Off by default. Keeps it from connections without TLS.
    pub secure: bool,
    /// Default `Lax`. Whether requests from pages of other sites carry it; `None` leaves that to
    /// the browser.
    pub same_site: Option<SameSite>,
}

/// From which pages a browser sends a cookie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Those of the same site.
    Strict,
    /// The same, and a page that a link from elsewhere leads to.
    Lax,
    /// All; browsers want the cookie to be `secure` then.
    None,
}

impl Default for Cookie {
    fn default() -> Cookie {
        Cookie::named("io")
    }
}

impl Cookie {
    /// The default under another name.
    pub fn named(name: impl Into<String>) -> Cookie {
        Cookie {
            name: name.into(),
            path: Some("/".to_owned()),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: Some(SameSite::Lax),
        }
    }

    /// The value of the `Set-Cookie` header, in the order of Node's `cookie` package.
    pub(crate) fn line(&self, value: &str) -> String {
        let mut line = format!("{}={value}", self.name);
        if let Some(seconds) = self.max_age {
            line += &format!("; Max-Age={seconds}");
        }
        if let Some(domain) = &self.domain {
            line += &format!("; Domain={domain}");
        }
        if let Some(path) = &self.path {
            line += &format!("; Path={path}");
        }
        if self.http_only {
            line += "; HttpOnly";
        }
        if self.secure {
            line += "; Secure";
        }
        line += match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        };
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_says_what_is_configured() {
        let check = |cookie: Cookie, wanted: &str| assert_eq!(cookie.line("v"), wanted);
        check(Cookie::default(), "io=v; Path=/; HttpOnly; SameSite=Lax");
        check(
            Cookie {
                domain: Some("here.example".into()),
                max_age: Some(600),
                secure: true,
                same_site: Some(SameSite::None),
                ..Cookie::named("node")
            },
            "node=v; Max-Age=600; Domain=here.example; Path=/; HttpOnly; Secure; SameSite=None",
        );
        check(
            Cookie {
                path: None,
                http_only: false,
                same_site: None,
                ..Cookie::default()
            },
            "io=v",
        );
    }
}
