//! Static files, all of them in memory: a site served without touching the disk again.
//!
//! Not here: ranges, compressing, directory listings, watching for changes; a site that needs them
//! wants a real web server in front. [`Files::read`] is a constructor and the only function here
//! that does I/O, once, before the loop turns. A look-up is a search in a map, so a path with `..`
//! can leave nothing: there is no file of that name. A file may be there in several codings, each
//! compressed by someone else before; they are sent as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest, Sha1};

use crate::{
    codec::coding::{Accepted, Coding},
    response::{Body, Response},
};

/// A tree of files by their paths.
///
/// ```text
/// let mut files = Files::read("public".as_ref(), 16 * 1024 * 1024)?;
/// files.insert("/version.txt", "text/plain", env!("CARGO_PKG_VERSION"));
/// let page = files.get("GET", "/", None, None);              // public/index.html
/// ```
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Keys begin with `/`. Ordered, because a hash map would ask the machine for a seed.
    files: BTreeMap<String, File>,
}

/// One file, compressed beforehand: see [`Files::insert_encoded`].
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// As it is.
    pub identity: Option<Body>,
    /// Compressed by gzip.
    pub gzip: Option<Body>,
    /// Compressed by Brotli.
    pub brotli: Option<Body>,
}

#[derive(Clone, Debug)]
struct File {
    content_type: Cow<'static, str>,
    /// At least one, in the order of `PREFERENCE`, no coding twice.
    variants: Vec<Variant>,
}

#[derive(Clone, Debug)]
struct Variant {
    coding: Coding,
    etag: String,
    /// Never `Owned`: a response shares it.
    body: Body,
}

impl Files {
    /// Serves nothing yet.
    pub fn new() -> Files {
        Files::default()
    }

    /// Reads every file below `dir` into memory; it blocks until that is done, so it is for the
    /// start of a program.
    ///
    /// Left out are hidden files and folders (`.git`, `.env`), names that are not UTF-8, what is
    /// neither file nor folder, links to folders, and links that lead out of `dir` or to a hidden
    /// file. More than `bytes_max` bytes in all are an error that says so: a wrong folder should
    /// not fill the memory of a small host.
    ///
    /// `app.js.gz` and `app.js.br` beside `app.js` are taken for the same file, compressed: who
    /// asks for `app.js` gets what their `Accept-Encoding` likes best (nginx: `gzip_static`).
    /// Nobody checks that they are as new as it. They can be asked for by their own names as well.
    pub fn read(dir: impl AsRef<Path>, bytes_max: u64) -> io::Result<Files> {
        let dir = dir.as_ref();
        let root = fs::canonicalize(dir).map_err(|error| about(dir, error))?;
        let mut files = Files::new();
        let mut bytes_left = bytes_max;
        // Links to folders are not followed, so these folders are a tree and the list runs dry.
        let mut folders = vec![(root.clone(), String::from("/"))];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|error| about(&folder, error))? {
                let entry = entry.map_err(|error| about(&folder, error))?;
                let name = entry.file_name();
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                    continue;
                };
                let path = entry.path();
                let kind = entry.file_type().map_err(|error| about(&path, error))?;
                if kind.is_dir() {
                    folders.push((path, format!("{prefix}{name}/")));
                    continue;
                }
                let file = if kind.is_symlink() {
                    linked_file(&root, &path)
                } else {
                    Some(path)
                };
                let Some(file) = file.filter(|file| file.is_file()) else {
                    continue;
                };
                let bytes = read_file(&file, bytes_left).map_err(|error| about(&file, error))?;
                let Some(left) = bytes_left.checked_sub(bytes.len() as u64) else {
                    return Err(too_large(dir, bytes_max));
                };
                bytes_left = left;
                files.insert(&format!("{prefix}{name}"), content_type(name), bytes);
            }
        }
        files.pair(".gz", Coding::Gzip);
        files.pair(".br", Coding::Brotli);
        Ok(files)
    }

    /// Makes each file whose name has this ending a variant of the one without.
    fn pair(&mut self, ending: &str, coding: Coding) {
        let endings = self.files.iter();
        let endings = endings.filter_map(|(path, file)| Some((path.strip_suffix(ending)?, file)));
        // Copies share the bytes.
        let pairs: Vec<_> = endings
            .map(|(path, file)| (path.to_owned(), file.variants.last().cloned()))
            .collect();
        for (path, variant) in pairs {
            let (Some(file), Some(variant)) = (self.files.get_mut(&path), variant) else {
                continue;
            };
            file.variants.push(Variant { coding, ..variant });
            file.variants.sort_by_key(|variant| rank(variant.coding));
        }
    }

    /// Serves `bytes` at `path` from now on, in place of what was there. The path is a decoded one
    /// (`/a b.txt`); a slash in front may be left out.
    pub fn insert(
        &mut self,
        path: &str,
        content_type: impl Into<Cow<'static, str>>,
        bytes: impl Into<Body>,
    ) {
        let encoded = Encoded {
            identity: Some(bytes.into()),
            ..Encoded::default()
        };
        self.insert_encoded(path, content_type, encoded);
    }

    /// The same of a file that was compressed beforehand. It is sent in the coding that a client's
    /// `Accept-Encoding` likes best, and among equals Brotli rather than gzip rather than as it is.
    /// Nobody checks that the variants are the same file. Without any, nothing is served there.
    ///
    /// A file that is not there as it is, is nothing for clients that refuse its codings: they get
    /// 406. Those that do not say what they take get gzip, or else Brotli.
    pub fn insert_encoded(
        &mut self,
        path: &str,
        content_type: impl Into<Cow<'static, str>>,
        encoded: Encoded,
    ) {
        let path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
        let bodies = [encoded.brotli, encoded.gzip, encoded.identity];
        let variants = PREFERENCE.into_iter().zip(bodies);
        let variants: Vec<_> = variants
            .filter_map(|(coding, body)| Some(Variant::new(coding, body?)))
            .collect();
        if variants.is_empty() {
            self.files.remove(&path);
            return;
        }
        let file = File {
            content_type: content_type.into(),
            variants,
        };
        self.files.insert(path, file);
    }

    /// Serves all files of `other` as well, each at `prefix` followed by its own path.
    pub fn merge(&mut self, prefix: &str, other: Files) {
        let prefix = prefix.trim_matches('/');
        for (path, file) in other.files {
            let path = if prefix.is_empty() {
                path
            } else {
                format!("/{prefix}{path}")
            };
            self.files.insert(path, file);
        }
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a file at `path`; a folder is none.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Serves the file of `other` at `from`, if there is one, at `to` as well.
    pub(crate) fn insert_from(&mut self, to: String, other: &Files, from: &str) {
        if let Some(file) = other.files.get(from) {
            self.files.insert(to, file.clone());
        }
    }

    /// The answer to a request for `path`, or `None` if nothing is there. The path is a decoded
    /// one, without query; `if_none_match` and `accept_encoding` are the request's headers of those
    /// names.
    ///
    /// A folder answers with its `index.html`, after a redirect (308) if the slash at its end was
    /// missing. Files are for GET and HEAD; other methods get a 405. The answer to a HEAD is the
    /// one to a GET: whoever writes it leaves the body away and keeps its length. For files in
    /// several codings see [`insert_encoded`](Files::insert_encoded).
    pub fn get(
        &self,
        method: &str,
        path: &str,
        if_none_match: Option<&str>,
        accept_encoding: Option<&str>,
    ) -> Option<Response> {
        let file = match self.files.get(path) {
            Some(file) => Some(file),
            None if path.ends_with('/') => Some(self.files.get(&format!("{path}index.html"))?),
            // The empty path is no folder; a target in absolute form was made `/` long before.
            None if path.is_empty() => return None,
            None if self.files.contains_key(&format!("{path}/index.html")) => None,
            None => return None,
        };
        if method != "GET" && method != "HEAD" {
            return Some(Response::new(405).header("Allow", "GET, HEAD"));
        }
        let Some(file) = file else {
            let location = format!("{}/", percent_encode(path));
            return Some(Response::new(308).header("Location", location));
        };
        Some(file.answer(if_none_match, accept_encoding))
    }
}

impl File {
    fn answer(&self, if_none_match: Option<&str>, accept_encoding: Option<&str>) -> Response {
        let Some(variant) = self.variant(accept_encoding) else {
            return self.vary(self.not_acceptable());
        };
        let has_it = if_none_match.is_some_and(|tags| has_tag(tags, &variant.etag));
        let response = match (has_it, variant.coding.name()) {
            (true, _) => Response::new(304),
            (false, None) => Response::bytes(self.content_type.clone(), variant.body.clone()),
            (false, Some(coding)) => {
                Response::bytes(self.content_type.clone(), variant.body.clone())
                    .header("Content-Encoding", coding)
            }
        };
        // Ask again each time: after a restart the same name may be another file.
        let response = response
            .header("Cache-Control", "no-cache")
            .header("ETag", variant.etag.clone());
        self.vary(response)
    }

    /// What a client gets that sent this `Accept-Encoding`. RFC 9110 §12.5.3.
    fn variant(&self, accept_encoding: Option<&str>) -> Option<&Variant> {
        // Who says nothing takes anything, but may not be able to read it: the plainest.
        let Some(accept_encoding) = accept_encoding else {
            return self.variants.last();
        };
        let codings = self.variants.iter().map(|variant| variant.coding);
        // Who takes none of them gets the file as it is, as if there were no choice.
        let coding = Accepted::read(accept_encoding)
            .choose(codings)
            .unwrap_or(Coding::Identity);
        self.variants.iter().find(|it| it.coding == coding)
    }

    /// Says what there is, for those who cannot have the file as it is.
    fn not_acceptable(&self) -> Response {
        let names = self.variants.iter().filter_map(|it| it.coding.name());
        let names: Vec<_> = names.collect();
        let text = format!("Only with Content-Encoding: {}\n", names.join(" or "));
        Response::text(text).with_status(406)
    }

    /// Tells caches that another client may get another answer. RFC 9110 §12.5.5.
    fn vary(&self, response: Response) -> Response {
        let is_encoded = |variant: &Variant| variant.coding != Coding::Identity;
        if self.variants.iter().any(is_encoded) {
            return response.header("Vary", "Accept-Encoding");
        }
        response
    }
}

impl Variant {
    fn new(coding: Coding, body: Body) -> Variant {
        let body = match body {
            Body::Owned(bytes) => Body::Shared(Arc::from(bytes)),
            body => body,
        };
        Variant {
            coding,
            etag: etag(body.as_bytes()),
            body,
        }
    }
}

/// The codings of files: the first is sent to clients that like several as much. The last is the
/// plainest.
const PREFERENCE: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Identity];

fn rank(coding: Coding) -> usize {
    let place = PREFERENCE.iter().position(|&known| known == coding);
    place.unwrap_or(PREFERENCE.len())
}

/// Where a link leads, if that is inside the root and nothing on the way is hidden.
fn linked_file(root: &Path, link: &Path) -> Option<PathBuf> {
    let target = fs::canonicalize(link).ok()?;
    let inside = target.strip_prefix(root).ok()?;
    let is_hidden = inside
        .iter()
        .any(|part| part.as_encoded_bytes().starts_with(b"."));
    (!is_hidden).then_some(target)
}

/// The bytes of a file, of which one more than `bytes_max` is enough to see that it is too large.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn too_large(dir: &Path, bytes_max: u64) -> io::Error {
    let dir = dir.display();
    let text = format!("the files in {dir} exceed the limit of {bytes_max} bytes");
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// The media type that a file's name suggests.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "rs" => "text/plain; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "gz" => "application/gzip",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// A tag that changes with the content: 15 of the 20 bytes of its SHA-1, in 20 characters.
fn etag(content: &[u8]) -> String {
    format!(
        "\"{}\"",
        URL_SAFE_NO_PAD.encode(&Sha1::digest(content)[..15])
    )
}

/// Whether an If-None-Match names `etag`, by the weak comparison that RFC 9110 §13.1.2 asks for.
/// Cutting at commas is enough: ours has none, and whole elements are compared.
fn has_tag(tags: &str, etag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A decoded path as it must stand in a Location. RFC 3986 §3.3.
fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
            continue;
        }
        write!(encoded, "%{byte:02X}").expect("a String takes whatever is written");
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Files {
        let mut files = Files::new();
        files.insert("/index.html", "text/html", "home");
        files.insert("app.js", "text/javascript", b"app()");
        files.insert("/docs/index.html", "text/html", "docs".to_owned());
        files.insert("/a b%/index.html", "text/html", "odd");
        files
    }

    fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
        response
            .headers()
            .find(|header| header.0 == name)
            .map(|header| header.1)
    }

    #[test]
    fn files_and_folders_are_found_by_path() {
        let check = |path: &str, wanted: Option<(u16, &str)>| {
            let response = site().get("GET", path, None, None);
            let found = response.as_ref().map(|response| {
                let body = std::str::from_utf8(response.body().as_bytes()).unwrap();
                (
                    response.status(),
                    header(response, "Location").unwrap_or(body),
                )
            });
            assert_eq!(found, wanted, "{path:?}");
        };
        check("/", Some((200, "home")));
        check("/index.html", Some((200, "home")));
        check("/app.js", Some((200, "app()")));
        check("/docs/", Some((200, "docs")));
        check("/docs", Some((308, "/docs/")));
        check("/a b%", Some((308, "/a%20b%25/")));
        check("/app.js/", None);
        check("/none", None);
        check("/none/", None);
        check("", None);
        check("//", None);
        check("//docs", None);
        check("*", None);
        check("/docs/../app.js", None);
        check("/../index.html", None);
        check("app.js", None);
    }

    #[test]
    fn a_file_is_read_and_never_written() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            for path in ["/app.js", "/docs", "/"] {
                let response = site().get(method, path, Some("*"), None).unwrap();
                assert_eq!(response.status(), 405);
                assert_eq!(header(&response, "Allow"), Some("GET, HEAD"));
            }
            assert_eq!(site().get(method, "/none", None, None), None);
        }
        let (head, get) = (
            site().get("HEAD", "/app.js", None, None),
            site().get("GET", "/app.js", None, None),
        );
        assert!(
            head.is_some() && head == get,
            "whoever writes a HEAD leaves the body away"
        );
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        let first = site().get("GET", "/app.js", None, None).unwrap();
        let etag = header(&first, "ETag").unwrap();
        assert_eq!(
            (etag.len(), header(&first, "Cache-Control")),
            (22, Some("no-cache"))
        );
        assert_eq!(header(&first, "Content-Type"), Some("text/javascript"));
        let check = |tags: &str, status: u16| {
            let response = site().get("GET", "/app.js", Some(tags), None).unwrap();
            assert_eq!(response.status(), status, "{tags:?}");
            assert_eq!(header(&response, "ETag"), Some(etag));
            assert_eq!(response.body().is_empty(), status == 304);
            assert_eq!(header(&response, "Content-Type").is_some(), status == 200);
        };
        check(etag, 304);
        check("*", 304);
        check(&format!("W/{etag}"), 304);
        check(&format!("\"x\" ,{etag}, \"y\""), 304);
        check("", 200);
        check("\"x\"", 200);
        check(etag.trim_matches('"'), 200);
        check(&format!("w/{etag}"), 200);
        let mut changed = site();
        changed.insert("/app.js", "text/javascript", "app(2)");
        assert_eq!(
            changed
                .get("GET", "/app.js", Some(etag), None)
                .unwrap()
                .status(),
            200
        );
    }

    /// Text, and what stands for it compressed.
    fn encoded() -> Encoded {
        Encoded {
            identity: Some("plain".into()),
            gzip: Some("zipped".into()),
            brotli: Some(Body::Owned(b"brotli".to_vec())),
        }
    }

    #[test]
    fn a_file_is_sent_in_the_coding_that_is_liked_best() {
        let check = |encoded: &Encoded, accept: Option<&str>, wanted: (u16, &str, Option<&str>)| {
            let mut files = Files::new();
            files.insert_encoded("a.txt", "text/plain", encoded.clone());
            let answer = files.get("GET", "/a.txt", None, accept).unwrap();
            let coding = header(&answer, "Content-Encoding");
            let body = std::str::from_utf8(answer.body().as_bytes()).unwrap();
            assert_eq!((answer.status(), body, coding), wanted, "{accept:?}");
            assert_eq!(header(&answer, "Vary"), Some("Accept-Encoding"));
            assert_eq!(header(&answer, "ETag").is_some(), answer.status() == 200);
            let head = files.get("HEAD", "/a.txt", None, accept);
            assert_eq!(head, Some(answer));
        };
        let (plain, gzip, brotli) = (
            (200, "plain", None),
            (200, "zipped", Some("gzip")),
            (200, "brotli", Some("br")),
        );
        let all = encoded();
        for accept in [None, Some(""), Some("identity"), Some("deflate")] {
            check(&all, accept, plain);
        }
        check(&all, Some("gzip"), gzip);
        check(&all, Some("br;q=0.9, gzip"), gzip);
        check(&all, Some("gzip, deflate, br, zstd"), brotli);
        check(&all, Some("*"), brotli);
        check(&all, Some("*, br;q=0"), gzip);
        // There is nothing better for it.
        check(&all, Some("*;q=0"), plain);
        let no_brotli = Encoded {
            brotli: None,
            ..all.clone()
        };
        check(&no_brotli, Some("br, gzip;q=0.1"), gzip);
        check(&no_brotli, Some("br"), plain);
        let only_gzip = Encoded {
            identity: None,
            ..no_brotli
        };
        check(&only_gzip, None, gzip);
        check(&only_gzip, Some("gzip"), gzip);
        let neither = (406, "Only with Content-Encoding: gzip\n", None);
        for accept in ["", "identity", "br", "gzip;q=0, *"] {
            check(&only_gzip, Some(accept), neither);
        }
        let no_plain = Encoded {
            identity: None,
            ..all
        };
        check(&no_plain, None, gzip);
        let neither = (406, "Only with Content-Encoding: br or gzip\n", None);
        check(&no_plain, Some("identity"), neither);
    }

    #[test]
    fn each_coding_has_its_own_tag() {
        let mut files = Files::new();
        files.insert_encoded("/a.txt", "text/plain", encoded());
        let get = |tag: Option<&str>, accept| files.get("GET", "/a.txt", tag, accept).unwrap();
        let accepts = [None, Some("gzip"), Some("br")];
        let tags = accepts.map(|accept| header(&get(None, accept), "ETag").unwrap().to_owned());
        for (tag, has) in tags.iter().zip(accepts) {
            for accept in accepts {
                let answer = get(Some(tag), accept);
                let is_same = accept == has;
                assert_eq!(answer.status(), if is_same { 304 } else { 200 });
                assert_eq!(header(&answer, "Vary"), Some("Accept-Encoding"));
                let coding = header(&answer, "Content-Encoding");
                assert_eq!(coding.is_some(), !is_same && accept.is_some());
            }
        }
    }

    #[test]
    fn a_file_without_variants_is_sent_as_it_is_to_everybody() {
        for accept in [None, Some("br"), Some("identity;q=0"), Some("*;q=0")] {
            let answer = site().get("GET", "/app.js", None, accept).unwrap();
            assert_eq!(answer.body().as_bytes(), b"app()");
            assert_eq!(header(&answer, "Content-Encoding"), None);
            assert_eq!(header(&answer, "Vary"), None);
        }
    }

    #[test]
    fn what_is_inserted_takes_the_place_of_all_variants() {
        let mut files = Files::new();
        files.insert_encoded("/a.txt", "text/plain", encoded());
        files.insert("/a.txt", "text/plain", "new");
        let answer = files.get("GET", "/a.txt", None, Some("br, gzip")).unwrap();
        assert_eq!(answer.body().as_bytes(), b"new");
        files.insert_encoded("/a.txt", "text/plain", Encoded::default());
        assert_eq!(files.get("GET", "/a.txt", None, None), None);
        assert!(files.is_empty());
    }

    #[test]
    fn the_tag_is_made_of_the_known_digest() {
        // SHA-1 of "abc" is a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d.
        assert_eq!(etag(b"abc"), "\"qZk-NkcGgWq6PiVxeFDC\"");
    }

    #[test]
    fn a_tree_can_be_hung_below_another() {
        let check = |prefix: &str, path: &str| {
            let mut files = Files::new();
            files.merge(prefix, site());
            assert_eq!(files.len(), 4);
            assert_eq!(
                files.get("GET", path, None, None).unwrap().status(),
                200,
                "{prefix:?}"
            );
        };
        check("", "/");
        check("/", "/docs/");
        check("/static", "/static/");
        check("static/", "/static/app.js");
        check("/a/b/", "/a/b/docs/");
    }

    #[test]
    fn names_suggest_their_types() {
        for (name, wanted) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.CSS", "text/css; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.js.map", "application/json"),
            ("main.rs", "text/plain; charset=utf-8"),
            ("a.woff2", "font/woff2"),
            ("LICENSE", "application/octet-stream"),
            ("a.", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), wanted, "{name}");
        }
    }

    /// A folder of this process's own below the system's temporary one, gone with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("emio-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn write(&self, path: &str, bytes: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_is_read_without_what_is_hidden_or_outside() {
        use std::os::unix::fs::symlink;
        let outside = Folder::new("outside");
        outside.write("secret.txt", "secret");
        let folder = Folder::new("inside");
        folder.write("index.html", "home");
        folder.write("a/b c/d.json", "{}");
        folder.write(".env", "secret");
        folder.write(".git/config", "secret");
        symlink(outside.0.join("secret.txt"), folder.0.join("leak.txt")).unwrap();
        symlink(&outside.0, folder.0.join("leak")).unwrap();
        symlink(folder.0.join(".env"), folder.0.join("env.txt")).unwrap();
        symlink("..", folder.0.join("a/loop")).unwrap();
        symlink("nowhere", folder.0.join("dangling")).unwrap();
        symlink("index.html", folder.0.join("link.html")).unwrap();

        let files = Files::read(&folder.0, 10).unwrap();
        let paths: Vec<_> = files.files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["/a/b c/d.json", "/index.html", "/link.html"]);
        let json = files.get("GET", "/a/b c/d.json", None, None).unwrap();
        assert_eq!(header(&json, "Content-Type"), Some("application/json"));
        assert_eq!(json.body().as_bytes(), b"{}");

        let error = Files::read(&folder.0, 9).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("limit of 9 bytes"), "{error}");
    }

    #[test]
    fn compressed_neighbours_are_variants_and_files() {
        let folder = Folder::new("compressed");
        folder.write("a.js", "plain");
        folder.write("a.js.gz", "zipped");
        folder.write("a.js.br", "brotli");
        folder.write("alone.tar.gz", "archive");
        folder.write("docs/index.html", "docs");
        folder.write("docs/index.html.gz", "zipped docs");
        let files = Files::read(&folder.0, 1_000).unwrap();
        assert_eq!(files.len(), 6);
        let check = |path: &str, accept: Option<&str>, body: &str, coding: Option<&str>| {
            let answer = files.get("GET", path, None, accept).unwrap();
            assert_eq!(answer.body().as_bytes(), body.as_bytes(), "{path}");
            assert_eq!(header(&answer, "Content-Encoding"), coding, "{path}");
            header(&answer, "Content-Type").unwrap().to_owned()
        };
        let script = "text/javascript; charset=utf-8";
        assert_eq!(check("/a.js", None, "plain", None), script);
        assert_eq!(check("/a.js", Some("gzip"), "zipped", Some("gzip")), script);
        assert_eq!(
            check("/a.js", Some("gzip, br"), "brotli", Some("br")),
            script
        );
        check("/docs/", Some("br, gzip"), "zipped docs", Some("gzip"));
        let archive = "application/gzip";
        assert_eq!(check("/a.js.gz", Some("gzip"), "zipped", None), archive);
        assert_eq!(check("/alone.tar.gz", None, "archive", None), archive);
        assert_eq!(files.get("GET", "/alone.tar", None, Some("gzip")), None);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_name() {
        let error = Files::read(Path::new("no/such/folder"), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
}
