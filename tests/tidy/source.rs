//! The files of the tree, and Rust text with its comments and strings blanked.
//!
//! Owns: the walk and a lexer that knows just enough of Rust. Missing: files that are neither text nor named below.

use std::fs;
use std::path::Path;

/// Folders that hold no source of ours.
const SKIP: &[&str] = &["target", "node_modules", "dist", "build", "__pycache__", "vendor"];

/// A file of the repository.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The part that ships: without the tests inside the file; empty for a file of tests.
    pub(crate) fn production(&self) -> &str {
        let of_tests = self.path.ends_with("/tests.rs") || self.path[1..].contains("/tests/");
        if of_tests || !["src/", "crates/"].iter().any(|dir| self.path.starts_with(dir)) {
            return "";
        }
        self.without_inline_tests()
    }

    /// The text before a module of tests that is written inside the file.
    pub(crate) fn without_inline_tests(&self) -> &str {
        let inline = self.text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| {
            let declaration = self.text[*at..].lines().nth(1).unwrap_or_default();
            declaration.ends_with('{')
        });
        &self.text[..inline.map_or(self.text.len(), |(at, _)| at)]
    }
}

/// Every text file of the repository, sorted by path.
pub(crate) fn tree() -> Vec<Source> {
    let mut files = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(root: &Path, inside: &str, files: &mut Vec<Source>) {
    for entry in fs::read_dir(root.join(inside)).expect("a folder of the repository") {
        let entry = entry.expect("an entry of the repository");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
        let hidden = name.starts_with('.') && name != ".ci";
        if entry.path().is_dir() && !entry.path().is_symlink() {
            if !hidden && !SKIP.contains(&name.as_str()) {
                walk(root, &path, files);
            }
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(Source { path, text });
        }
    }
}

/// Rust text with comments blanked by spaces, and the insides of strings too unless they are kept. Lines stay where
/// they are.
pub(crate) fn blank(text: &str, keep_strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, keep) = piece(bytes, at);
        let shown = &text[at..end];
        match keep {
            Keep::Yes => out.push_str(shown),
            Keep::String if keep_strings => out.push_str(shown),
            _ => out.extend(shown.chars().map(|c| if c == '\n' { c } else { ' ' })),
        }
        at = end;
    }
    out
}

enum Keep {
    Yes,
    String,
    No,
}

/// The end of the comment, literal or character that starts here.
fn piece(bytes: &[u8], at: usize) -> (usize, Keep) {
    let rest = &bytes[at..];
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => (at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()), Keep::No),
        [b'/', b'*', ..] => (at + block_comment(rest), Keep::No),
        [b'"', ..] => (at + quoted(rest, b'"'), Keep::String),
        [b'r', b'"' | b'#', ..] if !in_word => match raw(&rest[1..]) {
            Some(length) => (at + 1 + length, Keep::String),
            None => (at + 1, Keep::Yes),
        },
        // A lifetime has no closing quote after one character.
        [b'\'', b'\\', ..] => (at + quoted(rest, b'\''), Keep::No),
        [b'\'', c, ..] if c.is_ascii() && rest.get(2) == Some(&b'\'') => (at + 3, Keep::No),
        _ => (at + width(rest[0]), Keep::Yes),
    }
}

fn width(first: u8) -> usize {
    match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string behind its `r`.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&b| b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = &rest[hashes + 1..];
    let inside = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((hashes + 1 + inside + close.len()).min(rest.len()))
}

/// The number of the line in which this offset lies, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// Every occurrence of a whole word: not part of a longer identifier.
pub(crate) fn find_word<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

#[test]
fn comments_and_strings_are_blanked() {
    let text = "a // b\n/* c /* d */ e */ f \"g\\\"h\" r#\"i\"j\"# 'k' '\\'' &'l m b\"n\" är";
    let bare = blank(text, false);
    assert_eq!(bare.split_whitespace().collect::<Vec<_>>(), ["a", "f", "&'l", "m", "b", "är"]);
    assert_eq!(bare.matches('\n').count(), 1);
    assert!(blank(text, true).contains("g\\\"h"));
    assert!(!blank(text, true).contains("c /*"));
}

#[test]
fn words_are_whole() {
    assert_eq!(find_word("rand rand_x xrand (rand)", "rand").collect::<Vec<_>>(), [0, 19]);
}

#[test]
fn production_is_without_tests() {
    let inline = Source::new("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
    assert_eq!(inline.production(), "fn a() {}\n");
    assert_eq!(Source::new("src/a/tests.rs", "x").production(), "");
    assert_eq!(Source::new("src/a/tests/b.rs", "x").production(), "");
    assert_eq!(Source::new("tests/a.rs", "x").production(), "");
}
