//! What the crate brings along: how many packages, none of them in two versions. Each is code that
//! a small host runs and somebody has to trust, so that one more should be seen, and wanted.

use std::{collections::BTreeMap, process::Command};

/// The packages beneath the crate with its default features, on Linux.
const PACKAGES_MAX: usize = 32;

#[test]
fn the_crate_brings_no_more_packages_than_it_says() {
    let packages = packages();
    let count: usize = packages.values().sum();
    assert!(
        count <= PACKAGES_MAX,
        "{count} packages, which README.md and this test know {PACKAGES_MAX} of: {packages:#?}"
    );
}

#[test]
fn no_package_comes_in_two_versions() {
    let twice: Vec<_> = packages().into_iter().filter(|it| it.1 > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// How many versions there are of each package beneath the crate.
fn packages() -> BTreeMap<String, usize> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--package", "emio", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--no-dedupe"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(["--locked", "--offline"])
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
