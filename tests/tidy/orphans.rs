//! Rust files that no `mod` reaches: they look like code and tests but never run.

use std::collections::BTreeSet;

use crate::source::{Source, blank};

/// The Rust files of `src`, `tests`, `benches` and `examples` that are neither a target nor reached from one. A folder with its own
/// Cargo.toml is another package, with its own targets.
pub(crate) fn orphans(files: &[Source]) -> Vec<String> {
    let packages: Vec<&str> = files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml")).collect();
    let ours: Vec<&Source> = files
        .iter()
        .filter(|file| {
            file.is_rust() && ["src/", "tests/", "benches/", "examples/"].iter().any(|dir| file.path.starts_with(dir))
        })
        .filter(|file| !packages.iter().any(|package| file.path.starts_with(&format!("{package}/"))))
        .collect();
    let manifest = files.iter().find(|file| file.path == "Cargo.toml").map_or("", |file| &file.text);
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut todo: Vec<&Source> = ours.iter().copied().filter(|file| is_target(&file.path, manifest)).collect();
    while let Some(file) = todo.pop() {
        if reached.insert(file.path.clone()) {
            let children = children(file, is_target(&file.path, manifest));
            todo.extend(ours.iter().filter(|candidate| children.contains(&candidate.path)));
        }
    }
    ours.iter()
        .filter(|file| !reached.contains(&file.path))
        .map(|file| format!("{}: no mod declaration reaches this file", file.path))
        .collect()
}

/// Whether cargo compiles this file by itself.
fn is_target(path: &str, manifest: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["src", "main.rs" | "lib.rs"] | ["src", "bin", _] | ["tests" | "benches" | "examples", _] => true,
        ["tests" | "benches" | "examples", _, "main.rs"] => true,
        _ => manifest.contains(&format!("path = \"{path}\"")),
    }
}

/// The paths that the `mod` declarations of this file may mean.
fn children(file: &Source, target: bool) -> BTreeSet<String> {
    let (dir, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let inside = match name.strip_suffix(".rs") {
        Some(stem) if stem != "mod" && !target => format!("{dir}/{stem}"),
        _ => dir.to_owned(),
    };
    let code = blank(&file.text, true);
    let mut given = None;
    let mut found = BTreeSet::new();
    for line in code.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.split('"').next()) {
            given = Some(clean(&format!("{dir}/{path}")));
        } else if let Some(module) = declared(line) {
            match given.take() {
                Some(path) => _ = found.insert(path),
                None => found.extend([format!("{inside}/{module}.rs"), format!("{inside}/{module}/mod.rs")]),
            }
        }
    }
    found
}

/// The module that a line such as `pub(crate) mod a;` declares.
fn declared(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.strip_suffix(';')?.split_whitespace().collect();
    match words[..] {
        ["mod", name] => Some(name),
        [visibility, "mod", name] if visibility.starts_with("pub") => Some(name),
        _ => None,
    }
}

/// Resolves `..`.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn an_orphan_is_seen() {
    let files: Vec<Source> = [
        ("Cargo.toml", "[[test]]\npath = \"tests/odd/start.rs\""),
        ("src/lib.rs", "pub mod a;\n// mod lost;\nmod b;"),
        ("src/a.rs", "pub(crate) mod inner;"),
        ("src/a/inner.rs", ""),
        ("src/b/mod.rs", "mod c;\n#[path = \"../d.rs\"]\nmod d;"),
        ("src/b/c.rs", ""),
        ("src/d.rs", ""),
        ("src/lost.rs", "mod lost_child;"),
        ("src/lost/lost_child.rs", ""),
        ("tests/x.rs", "mod common;"),
        ("tests/common/mod.rs", ""),
        ("tests/common/lost.rs", ""),
        ("tests/big/main.rs", "mod part;"),
        ("tests/big/part.rs", ""),
        ("tests/odd/start.rs", ""),
        ("tests/sim/Cargo.toml", ""),
        ("tests/sim/src/lib.rs", ""),
    ]
    .iter()
    .map(|(path, text)| Source::new(path, text))
    .collect();
    let lost: Vec<String> =
        orphans(&files).iter().map(|v| v.split(':').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(lost, ["src/lost.rs", "src/lost/lost_child.rs", "tests/common/lost.rs"]);
}
