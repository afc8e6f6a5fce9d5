//! The structure of the source, held by a test: who may import whom, which file names which
//! package, and what must not stand anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A file imports from its own layer and from below.
const LAYERS: [&[&str]; 7] = [
    &[
        "codec/mod",
        "codec/http",
        "codec/ws",
        "codec/eio",
        "codec/sio",
        "codec/json",
        "codec/coding",
        "args",
        "client",
        "config",
        "cookie",
        "cors",
        "headers",
        "response",
        "files",
        "parser",
        "reason",
        "stats",
    ],
    &[
        "conn",
        "session",
        "namespace",
        "handshake",
        "queue",
        "timer",
        "id",
        "op",
    ],
    &[
        "engine/mod",
        "engine/requests",
        "engine/polling",
        "engine/frames",
        "engine/lifecycle",
        "engine/commands",
        "engine/notes",
        "engine/refusals",
        "engine/output",
        "engine/overflow",
        "engine/ending",
        "hub/mod",
        "hub/acks",
        "hub/apply",
        "hub/expiry",
        "hub/packets",
        "hub/presence",
        "hub/recovery",
        "hub/volatile",
    ],
    &[
        "adopt", "app", "dispatch", "outbox", "raw", "request", "socket", "stream", "to", "token",
    ],
    &[
        "crank/mod",
        "crank/events",
        "crank/hooks",
        "crank/root",
        "crank/setup",
        "crank/streams",
        "crank/wishes",
        "handle",
    ],
    &["net", "systemd"],
    &[
        "server",
        "engine/server",
        "fuzzing/mod",
        "fuzzing/eio",
        "fuzzing/http",
        "fuzzing/json",
        "fuzzing/sio",
        "fuzzing/ws",
    ],
];

/// The files in which a package may be named.
const PACKAGES: [(&str, &[&str]); 11] = [
    ("flate2", &["codec/coding"]),
    ("mio", &["net"]),
    ("listenfd", &["systemd"]),
    ("httparse", &["codec/http", "fuzzing/http"]),
    ("tungstenite", &["codec/ws"]),
    ("sha1", &["codec/ws", "files"]),
    (
        "base64",
        &[
            "codec/ws",
            "codec/eio",
            "id",
            "files",
            "hub/recovery",
            "stream",
        ],
    ),
    (
        "serde_json",
        &[
            "codec/json",
            "codec/sio",
            "args",
            "app",
            "handshake",
            "engine/refusals",
            "stream",
            "to",
            "fuzzing/json",
            "fuzzing/sio",
        ],
    ),
    (
        "serde",
        &[
            "codec/json",
            "crank/streams",
            "args",
            "id",
            "outbox",
            "token",
            "socket",
            "stream",
            "to",
            "handle",
            "fuzzing/mod",
            "fuzzing/json",
        ],
    ),
    ("slab", &["engine/mod", "namespace", "hub/mod"]),
    ("log", &["net", "crank/events"]),
];

#[test]
fn every_file_has_a_layer_and_imports_nothing_from_above() {
    let layers: BTreeMap<&str, usize> = (0..)
        .zip(LAYERS)
        .flat_map(|(layer, files)| files.iter().map(move |&file| (file, layer)))
        .collect();
    for (name, text) in sources() {
        if name == "lib" {
            continue;
        }
        let Some(&own) = layers.get(&*name) else {
            panic!("src/{name}.rs has no layer")
        };
        for module in imported(&text) {
            let file = if layers.contains_key(&*module) {
                module
            } else {
                format!("{module}/mod")
            };
            let Some(&other) = layers.get(&*file) else {
                continue;
            };
            assert!(
                other <= own,
                "src/{name}.rs (layer {own}) imports {file} (layer {other})"
            );
        }
    }
}

#[test]
fn each_package_is_named_in_few_files() {
    for (name, text) in sources() {
        let code = without_tests(&text);
        for (package, files) in PACKAGES {
            let is_named =
                words(code).any(|(word, rest)| word == package && rest.starts_with("::"));
            assert!(
                !is_named || files.contains(&&*name),
                "src/{name}.rs names {package}"
            );
        }
    }
}

#[test]
fn the_source_is_tidy() {
    for (name, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "src/{name}.rs does not say what it is"
        );
        for (number, line) in (1..).zip(text.lines()) {
            let at = format!("src/{name}.rs:{number}");
            assert!(
                line.chars().count() <= 100,
                "{at}: a line of more than 100 characters"
            );
            for word in [
                "TODO", "FIXME", "XXX", "dbg!", "println!", "RefCell", "unsafe ",
            ] {
                assert!(!line.contains(word), "{at}: {word}");
            }
        }
    }
}

/// The Rust files of the crate, by their path without the ending.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the source was found");
    let name = |path: &Path| {
        let path = path
            .strip_prefix(&root)
            .expect("it was found there")
            .with_extension("");
        path.to_str().expect("our names are plain").to_owned()
    };
    let read = |path: &PathBuf| fs::read_to_string(path).expect("it was listed");
    files.iter().map(|path| (name(path), read(path))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a file names behind `crate::`.
fn imported(text: &str) -> Vec<String> {
    let code = without_tests(text);
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            modules.extend(top_level(list));
        } else {
            modules.push(path_of(rest));
        }
    }
    modules
}

/// The first names of the entries of a `use` list, whose opening brace was taken.
fn top_level(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(path_of(list[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(path_of(list[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

/// `codec/http` for `codec::http::Head`, `hub` for `hub::Hub`.
fn path_of(path: &str) -> String {
    let mut names = path.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let path = names.next().unwrap_or_default();
    let mut parts = path.split("::");
    match (parts.next(), parts.next()) {
        (Some("codec"), Some(codec)) if !codec.is_empty() => format!("codec/{codec}"),
        (Some(module), _) => module.to_owned(),
        _ => String::new(),
    }
}

/// Identifiers, each with what follows it.
fn words(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let code_lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code_lines.flat_map(move |line| {
        let starts = line.char_indices().filter(move |&(at, c)| {
            let before = line[..at].chars().next_back();
            is_word(c) && !before.is_some_and(|c| is_word(c) || c == ':')
        });
        starts.map(move |(at, _)| {
            let end = line[at..]
                .find(|c| !is_word(c))
                .map_or(line.len(), |len| at + len);
            (&line[at..end], &line[end..])
        })
    })
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}
