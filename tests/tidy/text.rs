//! Rules on the text of single files.

use crate::source::{Source, blank, find_word, line_of};

/// Lines of a Rust file that are not tests.
const MAX_LINES: usize = 500;

/// Code that a finished change does not contain; what looks like an attribute is spelled in two parts.
const UNFINISHED_CODE: &[&str] = &["todo!", "unimplemented!", "dbg!", concat!("#[", "ignore"), "allow(dead_code"];
/// What the test programs share: each uses another part of it, and the compiler sees each alone.
const SHARED: &str = "tests/common/mod.rs";
/// Marks that no file contains; spelled in two parts so that this file may name them.
const UNFINISHED_TEXT: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];
/// Beginnings of paths that exist on one machine only.
const WORKPLACES: &[&str] = &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Use", "rs/")];
/// What is written by people; recorded bytes and lock files are not.
const PROSE: &[&str] = &[
    "rs", "md", "toml", "proto", "sh", "py", "ts", "js", "go", "java", "yml", "yaml", "html", "css", "run", "install",
    "verify", "justfile",
];

/// Rust files longer than a reader wants.
pub(crate) fn size(file: &Source) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let lines = file.without_inline_tests().lines().count();
    if lines > MAX_LINES { vec![format!("{}: {lines} lines, more than {MAX_LINES}", file.path)] } else { Vec::new() }
}

/// Rust files that do not open with `//!`.
pub(crate) fn docs(file: &Source) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or_default();
    if file.is_rust() && !first.starts_with("//! ") {
        return vec![format!("{}:1: a file opens with //! and what it owns", file.path)];
    }
    Vec::new()
}

/// Marks of unfinished work.
pub(crate) fn words(file: &Source) -> Vec<String> {
    if !is_prose(&file.path) {
        return Vec::new();
    }
    let marks = UNFINISHED_TEXT.iter().flat_map(|mark| find_word(&file.text, mark).map(move |at| (at, *mark)));
    let mut found: Vec<(usize, &str)> = marks.collect();
    if file.is_rust() {
        // Blanking replaces characters by single spaces, so that offsets are those of the blanked text.
        let code = blank(&file.text, false);
        let marks = UNFINISHED_CODE.iter().filter(|mark| file.path != SHARED || !mark.contains("dead_code"));
        for mark in marks {
            let lines = code.lines().enumerate().filter(|(_, line)| line.contains(mark));
            found.extend(lines.map(|(i, _)| (offset_of_line(&file.text, i), *mark)));
        }
    }
    found.iter().map(|(at, mark)| format!("{}:{}: {mark}", file.path, line_of(&file.text, *at))).collect()
}

fn offset_of_line(text: &str, index: usize) -> usize {
    text.split_inclusive('\n').take(index).map(str::len).sum()
}

/// Blanks at line ends, and files that do not end with exactly one line break.
pub(crate) fn whitespace(file: &Source) -> Vec<String> {
    if !is_prose(&file.path) || file.text.is_empty() {
        return Vec::new();
    }
    let blanks = file.text.split('\n').enumerate().filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
    let mut found: Vec<String> =
        blanks.map(|(i, _)| format!("{}:{}: blank at the end of the line", file.path, i + 1)).collect();
    if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
        found.push(format!("{}: the file ends with one line break", file.path));
    }
    found
}

/// Absolute paths of somebody's machine.
pub(crate) fn paths(file: &Source) -> Vec<String> {
    if !is_prose(&file.path) {
        return Vec::new();
    }
    let found = WORKPLACES.iter().flat_map(|prefix| file.text.match_indices(prefix)).filter(|(at, _)| {
        // Part of a longer path or of an address is something else.
        !file.text[..*at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c))
    });
    found.map(|(at, prefix)| format!("{}:{}: {prefix}", file.path, line_of(&file.text, at))).collect()
}

fn is_prose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit('.').next().unwrap_or_default();
    PROSE.contains(&ending) && !path.starts_with("tests/cases/") && !path.starts_with("tests/compat/")
}

#[cfg(test)]
fn count(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn a_long_file_is_seen() {
    let line = "let a = 1;\n";
    assert_eq!(count(size, "src/a.rs", &line.repeat(MAX_LINES)), 0);
    assert_eq!(count(size, "src/a.rs", &line.repeat(MAX_LINES + 1)), 1);
    let tests = format!("{line}#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(MAX_LINES));
    assert_eq!(count(size, "src/a.rs", &tests), 0);
    let declared_early = format!("#[cfg(test)]\nmod tests;\n{}", line.repeat(MAX_LINES));
    assert_eq!(count(size, "src/a.rs", &declared_early), 1);
    assert_eq!(count(size, "a.md", &line.repeat(MAX_LINES + 1)), 0);
}

#[test]
fn a_file_without_docs_is_seen() {
    assert_eq!(count(docs, "src/a.rs", "use std::fmt;\n"), 1);
    assert_eq!(count(docs, "src/a.rs", "// Not docs.\n"), 1);
    assert_eq!(count(docs, "src/a.rs", "//! What it owns.\n"), 0);
    assert_eq!(count(docs, "a.py", "import os\n"), 0);
}

#[test]
fn unfinished_work_is_seen() {
    for mark in UNFINISHED_CODE {
        assert_eq!(count(words, "src/a.rs", &format!("é\n  {mark}()\n")), 1, "{mark}");
        assert_eq!(count(words, "src/a.rs", &format!("// {mark}()\nconst A: &str = \"{mark}\";\n")), 0, "{mark}");
    }
    assert_eq!(count(words, SHARED, "#![allow(dead_code)]\n"), 0);
    for mark in UNFINISHED_TEXT {
        assert_eq!(count(words, "src/a.rs", &format!("// {mark}: later\n")), 1, "{mark}");
        assert_eq!(count(words, "a.py", &format!("# {mark}\n")), 1, "{mark}");
        assert_eq!(count(words, "a.sh", &format!("mktemp {mark}{mark}\n")), 0, "{mark}");
    }
}

#[test]
fn an_unclean_line_is_seen() {
    assert_eq!(count(whitespace, "a.md", "a \nb\t\nc\r\nd\n"), 3);
    assert_eq!(count(whitespace, "a.md", "a"), 1);
    assert_eq!(count(whitespace, "a.md", "a\n\n"), 1);
    assert_eq!(count(whitespace, "a.md", "a\n\nb\n"), 0);
    assert_eq!(count(whitespace, "tests/cases/a.md", "a \n"), 0);
}

#[test]
fn a_path_of_a_workplace_is_seen() {
    for prefix in WORKPLACES {
        assert_eq!(count(paths, "a.sh", &format!("cd {prefix}x\n")), 1, "{prefix}");
        assert_eq!(count(paths, "a.sh", &format!("cd target{prefix}x\n")), 0, "{prefix}");
    }
}
