//! Where the packages of the workspace come from, and under which licences: the tools' and the
//! tests' packages as well as the crate's.
//!
//! Not here: which packages the crate has (`dependencies`); the servers that the benchmark compares
//! it with (tools/bench/peers), a workspace of their own; and what is known against versions, which
//! changes while nothing here does: `cargo deny check advisories` asks for that.

use std::{collections::BTreeMap, iter::Peekable, process::Command, str::SplitWhitespace};

use serde_json::Value;

/// What everybody may do with the code, in SPDX identifiers. All of them let a program be linked,
/// changed and sold, if their notice goes along.
const LICENCES: [&str; 3] = [
    "MIT",
    "Apache-2.0",
    // The tables of `unicode-ident`, in whose notice nothing else is asked for.
    "Unicode-3.0",
];

/// Packages that may come in two versions, and why. None does, and none should without a reason.
const TWICE: [(&str, &str); 0] = [];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_package_is_under_a_licence_that_all_may_use() {
    let packages = packages();
    assert!(
        packages.len() > 50,
        "the whole workspace: {}",
        packages.len()
    );
    let mut refused = Vec::new();
    for package in &packages {
        // Ours have no source.
        if package["source"].is_null() {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("none named");
        if !is_allowed(licence) {
            refused.push(format!("{}: {licence}", package["name"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_package_comes_from_the_registry_or_from_here() {
    let ours = [
        "bench",
        "bench-server",
        "demo",
        "emio",
        "fixture",
        "hostile",
    ];
    for package in locked() {
        match package.source {
            Some(source) => assert_eq!(source, REGISTRY, "{}", package.name),
            None => assert!(
                ours.contains(&package.name),
                "{}: from where?",
                package.name
            ),
        }
        assert_eq!(
            package.has_checksum,
            package.source.is_some(),
            "{}",
            package.name
        );
    }
}

#[test]
fn no_package_is_here_twice_without_a_reason() {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in locked() {
        *versions.entry(package.name).or_default() += 1;
    }
    versions.retain(|_, count| *count > 1);
    let twice: Vec<_> = versions.into_keys().collect();
    assert_eq!(twice, TWICE.map(|(name, _)| name));
}

#[test]
fn a_licence_expression_is_read_strictly() {
    for (expression, wanted) in [
        ("MIT", true),
        ("Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-3.0-only OR MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT AND Apache-2.0", true),
        // AND binds closer than OR.
        ("MIT OR Apache-2.0 AND GPL-3.0-only", true),
        ("GPL-3.0-only AND MIT OR Apache-2.0", true),
        ("GPL-3.0-only AND (MIT OR Apache-2.0)", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("((MIT))", true),
        // Cargo took a stroke for OR once.
        ("MIT/Apache-2.0", true),
        ("GPL-2.0/GPL-3.0", false),
        // An exception makes another licence of it, which would have a name of its own here.
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("MIT OR Apache-2.0 WITH LLVM-exception", true),
        ("MIT AND Apache-2.0 WITH LLVM-exception", false),
        // What cannot be read is not allowed, whatever it names.
        ("", false),
        ("MIT OR", false),
        ("OR MIT", false),
        ("MIT Apache-2.0", false),
        ("(MIT", false),
        ("MIT)", false),
        ("MIT OR OR MIT", false),
        ("mit", false),
        ("MIT or GPL-3.0-only", false),
        ("MIT+", false),
    ] {
        assert_eq!(is_allowed(expression), wanted, "{expression:?}");
    }
}

// ------------------------------------------------------------------------------ SPDX expressions

/// Whether the expression lets us choose licences that are all in `LICENCES`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    one_of(&mut words).is_some_and(|is_allowed| is_allowed && words.next().is_none())
}

/// Reads `a OR b OR …`; nothing if that is not what stands there.
fn one_of(words: &mut Peekable<SplitWhitespace<'_>>) -> Option<bool> {
    let mut is_allowed = all_of(words)?;
    while words.next_if_eq(&"OR").is_some() {
        is_allowed |= all_of(words)?;
    }
    Some(is_allowed)
}

fn all_of(words: &mut Peekable<SplitWhitespace<'_>>) -> Option<bool> {
    let mut is_allowed = licence(words)?;
    while words.next_if_eq(&"AND").is_some() {
        is_allowed &= licence(words)?;
    }
    Some(is_allowed)
}

fn licence(words: &mut Peekable<SplitWhitespace<'_>>) -> Option<bool> {
    let name = match words.next()? {
        "(" => {
            let is_allowed = one_of(words)?;
            return (words.next()? == ")").then_some(is_allowed);
        }
        ")" | "OR" | "AND" | "WITH" => return None,
        name => name,
    };
    if words.next_if_eq(&"WITH").is_none() {
        return Some(LICENCES.contains(&name));
    }
    let exception = words.next()?;
    Some(LICENCES.contains(&&*format!("{name} WITH {exception}")))
}

// -------------------------------------------------------------------------------- what cargo says

/// Every package that some part of the workspace is built with on Linux, with any feature.
fn packages() -> Vec<Value> {
    // What was built with is at hand. A part that never was may have to be asked for, as in any
    // build.
    let output = metadata(&["--offline"])
        .or_else(|_| metadata(&[]))
        .unwrap_or_else(|said| panic!("cargo metadata: {said}"));
    let mut metadata: Value = serde_json::from_slice(&output).expect("cargo writes JSON");
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        other => panic!("packages are a list: {other}"),
    }
}

fn metadata(more: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--locked",
        ])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .args(more)
        .output()
        .expect("cargo runs this test, so it is there");
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A package of Cargo.lock, which has those of every system.
struct Locked {
    name: &'static str,
    source: Option<&'static str>,
    has_checksum: bool,
}

/// Reads what cargo has written, in the form in which it writes: a key a line.
fn locked() -> Vec<Locked> {
    let text = include_str!("../Cargo.lock");
    let mut tables = text.split("[[package]]\n");
    let head = tables.next().expect("a split has a first part");
    assert!(head.ends_with("version = 4\n\n"), "another format: {head}");
    let locked: Vec<_> = tables
        .map(|table| {
            let value = |key: &str| {
                let rest = table.lines().find_map(|line| line.strip_prefix(key))?;
                rest.strip_prefix(" = \"")?.strip_suffix('"')
            };
            Locked {
                name: value("name").expect("a package has a name"),
                source: value("source"),
                has_checksum: value("checksum").is_some(),
            }
        })
        .collect();
    assert!(!locked.is_empty());
    locked
}
