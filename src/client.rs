//! The browser client's files: which there are, and where they are served.
//!
//! Not here: how a file is answered (`files`), and the client itself, which is JavaScript: the
//! sources in `src/client`, what `tools/client` makes of them in `src/client/dist`. What always
//! holds: a name is a file's, and not the protocol's, only if there is that file.

use crate::{config::Config, files::Files};
#[cfg(feature = "client")]
use crate::{files::Encoded, response::Body};

/// What the official server serves directly under its path, if it is there.
const OFFICIAL: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// Whether a request for `path`, decoded, is for one of the client's files.
pub fn is_file(config: &Config, path: &str) -> bool {
    if !config.serve_client {
        return false;
    }
    let below = path.strip_prefix(base(config));
    let Some(name) = below.and_then(|below| below.strip_prefix('/')) else {
        return false;
    };
    match &config.client_files {
        Some(files) => OFFICIAL.contains(&name) && files.contains(&format!("/{name}")),
        None => is_ours(name),
    }
}

/// The client's files where they are served.
pub fn files(config: &Config) -> Files {
    let base = base(config);
    let mut files = Files::new();
    match &config.client_files {
        _ if !config.serve_client => {}
        Some(given) => {
            for name in OFFICIAL {
                files.insert_from(format!("{base}/{name}"), given, &format!("/{name}"));
            }
        }
        None => insert_ours(&mut files, base),
    }
    files
}

/// The files are a folder deeper than the path, whether or not it ends with a slash.
fn base(config: &Config) -> &str {
    config.path.strip_suffix('/').unwrap_or(&config.path)
}

#[cfg(feature = "client")]
fn is_ours(name: &str) -> bool {
    OURS.iter()
        .any(|script| match name.strip_prefix(script.name) {
            Some(ending) => ending.is_empty() || ending == ".map",
            None => false,
        })
}

#[cfg(not(feature = "client"))]
fn is_ours(_: &str) -> bool {
    false
}

#[cfg(feature = "client")]
fn insert_ours(files: &mut Files, base: &str) {
    for script in OURS {
        let path = format!("{base}/{}", script.name);
        let encoded = Encoded {
            identity: Some(Body::Static(script.identity)),
            gzip: Some(Body::Static(script.gzip)),
            brotli: Some(Body::Static(script.brotli)),
        };
        files.insert_encoded(&path, "application/javascript; charset=utf-8", encoded);
        // Who debugs has a browser, and all of them take gzip: the plain maps would be most of what
        // is embedded.
        let encoded = Encoded {
            gzip: Some(Body::Static(script.map_gzip)),
            ..Encoded::default()
        };
        let path = format!("{path}.map");
        files.insert_encoded(&path, "application/json; charset=utf-8", encoded);
    }
}

#[cfg(not(feature = "client"))]
fn insert_ours(_: &mut Files, _: &str) {}

/// A script, and its source map at the same name and `.map`.
#[cfg(feature = "client")]
struct Script {
    name: &'static str,
    identity: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
    map_gzip: &'static [u8],
}

#[cfg(feature = "client")]
macro_rules! script {
    ($name:literal) => {
        Script {
            name: $name,
            identity: include_bytes!(concat!("client/dist/", $name)),
            gzip: include_bytes!(concat!("client/dist/", $name, ".gz")),
            brotli: include_bytes!(concat!("client/dist/", $name, ".br")),
            map_gzip: include_bytes!(concat!("client/dist/", $name, ".map.gz")),
        }
    };
}

/// Ours: no msgpack, but one more, without polling.
#[cfg(feature = "client")]
const OURS: [Script; 4] = [
    script!("socket.io.js"),
    script!("socket.io.min.js"),
    script!("socket.io.esm.min.js"),
    script!("socket.io.websocket.min.js"),
];
