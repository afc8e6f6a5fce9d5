//! What the crate brings along: which packages, by name, none of them in two versions. Each is code
//! that a small host runs and somebody has to trust, so that one more should be seen, and wanted.

use std::{collections::BTreeMap, process::Command};

/// The packages beneath the crate with its default features, on Linux, each under the one that asks
/// for it. README.md says how many.
const PACKAGES: [(&str, &[&str]); 9] = [
    (
        "base64: attachments over polling, ids, the handshake",
        &["base64"],
    ),
    ("httparse: the head of a request", &["httparse"]),
    ("log: warnings, where there is a logger", &["log"]),
    ("mio: the readiness loop", &["mio", "libc"]),
    (
        "serde: arguments of an application's types",
        &["serde", "serde_core"],
    ),
    (
        "serde_json: packets",
        &["serde_json", "itoa", "memchr", "zmij"],
    ),
    (
        "sha1: the WebSocket handshake, tags of files",
        &[
            "sha1",
            "digest",
            "block-buffer",
            "crypto-common",
            "hybrid-array",
            "typenum",
            "cfg-if",
            "cpufeatures",
        ],
    ),
    ("slab: connections, sessions, sockets", &["slab"]),
    (
        // The latter half makes its error type, while it is compiled.
        "tungstenite: the header of a frame",
        &[
            "tungstenite",
            "bytes",
            "rand",
            "rand_core",
            "chacha20",
            "getrandom",
            "thiserror",
            "thiserror-impl",
            "proc-macro2",
            "quote",
            "syn",
            "unicode-ident",
        ],
    ),
];

/// What features add that are off by default.
#[cfg(all(feature = "compression", feature = "systemd"))]
const OPTIONAL: [(&str, &[&str]); 2] = [
    (
        "flate2: `compression`",
        &[
            "flate2",
            "miniz_oxide",
            "adler2",
            "simd-adler32",
            "crc32fast",
        ],
    ),
    ("listenfd: `systemd`", &["listenfd"]),
];

#[test]
fn the_crate_brings_the_packages_that_it_names() {
    is_known(&packages(&[]), &PACKAGES);
}

// Where the features are compiled, their packages are at hand.
#[cfg(all(feature = "compression", feature = "systemd"))]
#[test]
fn a_feature_brings_the_packages_that_it_names() {
    let known: Vec<_> = PACKAGES.into_iter().chain(OPTIONAL).collect();
    is_known(&packages(&["--all-features"]), &known);
}

#[test]
fn no_package_comes_in_two_versions() {
    let twice: Vec<_> = packages(&[]).into_iter().filter(|it| it.1 > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn the_readme_says_how_many_packages_there_are() {
    let count = PACKAGES.iter().map(|(_, names)| names.len()).sum::<usize>();
    let readme = include_str!("../README.md");
    let sentence = format!("Beneath it are {count} packages");
    assert!(readme.contains(&sentence), "{sentence}: not in README.md");
}

fn is_known(found: &BTreeMap<String, usize>, known: &[(&str, &[&str])]) {
    let mut known: Vec<&str> = known
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    known.sort_unstable();
    let found: Vec<&str> = found.keys().map(String::as_str).collect();
    let new: Vec<_> = found.iter().filter(|name| !known.contains(name)).collect();
    let gone: Vec<_> = known.iter().filter(|name| !found.contains(name)).collect();
    assert!(
        new.is_empty(),
        "wanted? Then name them here, and say how many in README.md: {new:?}"
    );
    assert!(gone.is_empty(), "no longer there, a good thing: {gone:?}");
    assert_eq!(found, known, "a name stands here twice");
}

/// How many versions there are of each package beneath the crate.
fn packages(features: &[&str]) -> BTreeMap<String, usize> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--package", "emio", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--no-dedupe"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(["--locked", "--offline"])
        .args(features)
        .output()
        .expect("cargo runs this test, so it is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {said}");
    let text = String::from_utf8(output.stdout).expect("names are ASCII");
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    let mut packages = BTreeMap::new();
    for line in lines {
        let name = line.split(' ').next().expect("a line is not empty");
        if name != "emio" {
            *packages.entry(name.to_owned()).or_default() += 1;
        }
    }
    packages
}
