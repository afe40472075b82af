//! Regular expressions as Consul's users write them: Go's dialect, compiled by the `regex` crate.
//!
//! Owns: the few rewrites where the two dialects differ on valid patterns, and the limits. Both run in linear time.
//! Must never: compile without a size limit.
//!
//! Missing: octal escapes (`\141`), which Go reads and we refuse; `\B` knows Unicode.

use regex::{Regex, RegexBuilder};

use super::{FilterError, MAX_PATTERN_SIZE};

/// Compiles a pattern; it matches anywhere in a text.
pub(super) fn compile(pattern: String) -> Result<Regex, FilterError> {
    RegexBuilder::new(&translate(&pattern))
        .size_limit(MAX_PATTERN_SIZE)
        .dfa_size_limit(MAX_PATTERN_SIZE)
        .nest_limit(64)
        .build()
        .map_err(|error| FilterError::Pattern { detail: one_line(&error), pattern })
}

/// A regular expression in Go's dialect, where something else than a filter needs one.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern; it matches anywhere in a text.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn new(pattern: &str) -> Result<Pattern, String> {
        compile(pattern.to_owned()).map(Pattern).map_err(|error| match error {
            FilterError::Pattern { detail, .. } => detail,
            other => other.to_string(),
        })
    }

    /// Whether it matches somewhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The crate draws its syntax errors over several lines; the last says what is wrong.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("error parsing regexp: {}", last.trim_start_matches("error: "))
}

/// In Go the Perl classes are ASCII, `\Q…\E` quotes, and inside brackets `[`, `&` and `~` stand for themselves.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let (taken, text) = match c {
            '\\' => escape(rest, in_class),
            '[' if in_class => bracket(rest),
            '[' => {
                in_class = true;
                class_start(rest)
            }
            ']' => {
                in_class = false;
                (1, "]".to_owned())
            }
            '&' | '~' if in_class => (1, format!("\\{c}")),
            c => (c.len_utf8(), c.to_string()),
        };
        out.push_str(&text);
        rest = &rest[taken..];
    }
    out
}

/// How much an escape takes of the pattern, and what it becomes.
fn escape(rest: &str, in_class: bool) -> (usize, String) {
    let Some(c) = rest[1..].chars().next() else { return (1, "\\".to_owned()) };
    let text = match c {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r\x20]",
        'S' => r"[^\t\n\f\r\x20]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'b' if !in_class => r"(?-u:\b)",
        'Q' if !in_class => {
            let quoted = &rest[2..];
            let end = quoted.find("\\E").unwrap_or(quoted.len());
            return ((2 + end + 2).min(rest.len()), regex::escape(&quoted[..end]));
        }
        c => return (1 + c.len_utf8(), format!("\\{c}")),
    };
    (2, text.to_owned())
}

/// A `[` inside brackets: the start of a named class such as `[:alpha:]`, or itself.
fn bracket(rest: &str) -> (usize, String) {
    match rest.find(":]") {
        Some(end) if rest[1..].starts_with(':') && end > 1 => (end + 2, rest[..end + 2].to_owned()),
        _ => (1, "\\[".to_owned()),
    }
}

/// The start of brackets: a `]` that comes first stands for itself.
fn class_start(rest: &str) -> (usize, String) {
    let taken = ["[^]", "[]", "[^"].iter().find(|start| rest.starts_with(**start)).map_or(1, |start| start.len());
    (taken, rest[..taken].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            (r"^\d$", "1", true),
            (r"^\d$", "١", false),
            (r"^\w+$", "aZ_9", true),
            (r"^\w$", "é", false),
            (r"^\W$", "é", true),
            (r"^[^\w-]$", "é", true),
            (r"^[^\w-]$", "-", false),
            (r"^[\d.]+$", "10.0.0.1", true),
            (r"^\s$", "\u{a0}", false),
            (r"^\S\s\S$", "a b", true),
            (r"\bé", "é", false),
            (r"\bweb\b", "a web b", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b", "axb", false),
            (r"^[[]$", "[", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[~~]$", "~", true),
            (r"^[]a]$", "]", true),
            (r"^[^]a]$", "]", false),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^\[$", "[", true),
            (r"^(?i)A$", "a", true),
            (r"^\p{Greek}$", "β", true),
        ] {
            let regex = compile(pattern.to_owned()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["[", "(a", "*", r"\q", r"a\", "a(?=b)", "[z-a]", "(a{1000}){1000}", &"(".repeat(5000)] {
            assert!(compile(pattern.to_owned()).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[\\\[\]&~:^QEdwsbB(){}?*é-]{0,30}") {
            let _ = compile(pattern);
        }
    }
}
