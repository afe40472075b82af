//! Every dependency is under a licence that lets the binary be given away under MIT or Apache-2.0, comes from the
//! public registry, and is named in NOTICE where its licence asks for that. The same list stands in deny.toml.

use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than their text.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Copyleft per file: fine for unmodified crates that NOTICE names.
const IN_NOTICE: &[&str] = &["MPL-2.0", "MPL-2.0+"];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether a licence expression can be met with these licences.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    // An `or` outside parentheses splits first, then an `and`; the old form uses a slash for `or`.
    let expression = expression.trim().replace('/', " OR ");
    for (word, all) in [(" OR ", false), (" AND ", true)] {
        let parts = split(&expression, word);
        if parts.len() > 1 {
            let mut each = parts.iter().map(|part| satisfied(part, allowed));
            return if all { each.all(|ok| ok) } else { each.any(|ok| ok) };
        }
    }
    match expression.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => satisfied(inner, allowed),
        None => allowed.contains(&expression.split_whitespace().collect::<Vec<_>>().join(" ").as_str()),
    }
}

/// Splits at a word that stands outside parentheses.
fn split(text: &str, word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for piece in text.split(word) {
        let last = parts.last_mut().expect("never empty");
        if last.matches('(').count() > last.matches(')').count() {
            last.push_str(word);
            last.push_str(piece);
        } else if last.is_empty() {
            last.push_str(piece);
        } else {
            parts.push(piece.to_owned());
        }
    }
    parts
}

fn complaint(package: &Value, notice: &str) -> Option<String> {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    let (name, licence) = (text("name"), text("license"));
    let named = notice.lines().any(|line| line.starts_with(&format!("- {name} ")));
    if satisfied(licence, ALLOWED) || (named && satisfied(licence, &[ALLOWED, IN_NOTICE].concat())) {
        let ours = package["source"].is_null() || text("source") == REGISTRY;
        return (!ours).then(|| format!("{name}: comes from {}", text("source")));
    }
    Some(format!("{name}: licence {licence:?} is not allowed, or asks for a line in NOTICE"))
}

#[test]
fn every_dependency_has_a_licence_that_we_can_keep() {
    let root = env!("CARGO_MANIFEST_DIR");
    let notice = std::fs::read_to_string(format!("{root}/NOTICE")).expect("NOTICE");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let complaints: Vec<String> = packages.iter().filter_map(|package| complaint(package, &notice)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR BSL-1.0) AND ISC", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("MIT OR GPL-3.0 AND GPL-2.0", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("Apache-2.0", false),
    ] {
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn a_wrong_dependency_is_seen() {
    let package = |licence: &str, source: &str| serde_json::json!({"name": "a", "license": licence, "source": source});
    assert_eq!(complaint(&package("MIT", REGISTRY), ""), None);
    assert!(complaint(&package("GPL-3.0", REGISTRY), "- a 1").is_some());
    assert!(complaint(&package("MPL-2.0", REGISTRY), "").is_some());
    assert_eq!(complaint(&package("MPL-2.0", REGISTRY), "- a (MPL-2.0)"), None);
    assert!(complaint(&package("MIT", "git+https://example.org/a"), "").is_some());
    assert!(complaint(&serde_json::json!({"name": "a", "license": null, "source": REGISTRY}), "").is_some());
}
