//! What a request line asks for: path and query, taken apart as Go's server and Consul's filters do.

use super::error::Error;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What Go escapes when it prints a path.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'#')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'!')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*');

/// What Go escapes in a query.
const QUERY: &AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Go's `unicode.IsPrint`, negated: letters, marks, numbers, punctuation, symbols and the ASCII space are printable.
static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[^\p{L}\p{M}\p{N}\p{P}\p{S} ]").ok());

/// A decoded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// As it is; a key may hold any bytes.
    Clean(Vec<u8>),
    /// It has empty or dot segments: the client is sent to this path.
    Moved(String),
}

impl Path {
    /// Decodes a path, and refuses what cannot be printed, unless `unprintable` is taken.
    pub(super) fn parse(raw: &str, unprintable: bool) -> Result<Path, Error> {
        let decoded = unescape(raw, false).map_err(|_| Error::malformed_target())?;
        let printable = match std::str::from_utf8(&decoded) {
            _ if unprintable || decoded.iter().all(|b| (0x20..0x7f).contains(b)) => true,
            Ok(text) => UNPRINTABLE.as_ref().is_some_and(|filter| !filter.is_match(text)),
            Err(_) => {
                let text = String::from_utf8_lossy(&decoded);
                UNPRINTABLE.as_ref().is_some_and(|filter| !filter.is_match(&text))
            }
        };
        if !printable {
            return Err(Error::unprintable_target());
        }
        let clean = clean(&decoded);
        let moved = (clean != decoded).then(|| escape(&clean));
        Ok(moved.map_or(Path::Clean(decoded), Path::Moved))
    }
}

/// A path as it is written in a Location header.
pub(super) fn escape(path: &[u8]) -> String {
    percent_encode(path, PATH).to_string()
}

/// Takes out empty and dot segments; a slash at the end stays.
fn clean(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|w| w == b"//" || w == b"/.") && path.first() == Some(&b'/') {
        return path.into();
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|b| *b == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut clean: Vec<u8> = kept.iter().flat_map(|segment| [b"/", *segment].concat()).collect();
    if clean.is_empty() || path.ends_with(b"/") {
        clean.push(b'/');
    }
    clean.into()
}

/// Undoes percent-escapes; in a query a plus is a space. The error is the escape that is none.
pub(super) fn unescape(raw: &str, query: bool) -> Result<Vec<u8>, &str> {
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'%' => {
                let hex = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
                match (hex(at), hex(at + 1)) {
                    (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
                    _ => return Err(raw.get(at - 1..(at + 2).min(raw.len())).unwrap_or("%")),
                }
                at += 2;
            }
            b'+' if query => out.push(b' '),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// The parameters, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a query; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn parse(raw: &str) -> Result<Query, Error> {
        let text = |raw: &str| -> Result<String, Error> {
            let bytes = unescape(raw, true).map_err(|found| {
                Error::bad_request(format!("Bad request: Invalid query: invalid URL escape {found:?}"))
            })?;
            Ok(match String::from_utf8_lossy(&bytes) {
                Cow::Borrowed(text) => text.to_owned(),
                Cow::Owned(text) => text,
            })
        };
        let parts = raw.split(['&', ';']).filter(|part| !part.is_empty());
        let pairs = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((text(name)?, text(value)?))
        });
        Ok(Query { pairs: pairs.collect::<Result<_, Error>>()? })
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the parameter is there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// As Go encodes it: in order of name.
    pub(super) fn encode(&self) -> String {
        let escape = |text: &str| percent_encode(text.as_bytes(), QUERY).to_string().replace("%20", "+");
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let parts: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={}", escape(n), escape(v))).collect();
        parts.join("&")
    }

    /// The parameters that decide on the content of an answer, one string for equal ones.
    pub(super) fn content_key(&self, path: &[u8]) -> String {
        const NOT_CONTENT: &[&str] = &[
            "index",
            "wait",
            "stale",
            "consistent",
            "leader",
            "cached",
            "max_stale",
            "token",
            "dc",
            "ns",
            "partition",
        ];
        // The space keeps it apart from every raw target; the lengths keep two lists of parameters apart.
        let mut key = format!(" {}", escape(path));
        for (name, value) in self.pairs.iter().filter(|(name, _)| !NOT_CONTENT.contains(&name.as_str())) {
            for part in [name, value] {
                key.push_str(&format!(" {}:{part}", part.len()));
            }
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (raw, clean) in [
            ("/v1//kv", "/v1/kv"),
            ("/v1/kv/a/../b", "/v1/kv/b"),
            ("/v1/kv/a/.", "/v1/kv/a"),
            ("/v1/kv/./", "/v1/kv/"),
            ("/../..", "/"),
            ("/v1/kv/a%2F%2Fb%20c", "/v1/kv/a/b%20c"),
        ] {
            assert_eq!(Path::parse(raw, false).unwrap(), Path::Moved(clean.to_owned()), "{raw}");
        }
        assert_eq!(Path::parse("/v1/kv/a..b/.c/%2e%2ex", false).unwrap(), Path::Clean(b"/v1/kv/a..b/.c/..x".to_vec()));
    }

    #[test]
    fn queries_of_equal_content_have_one_key() {
        let key = |raw| Query::parse(raw).unwrap().content_key(b"/v1/x");
        assert_eq!(key("passing&index=5&wait=1s&stale"), key("index=9&passing"));
        assert_eq!(key("tag=a%26b"), key("tag=%61%26b"));
        assert_ne!(key("tag=a&tag=b"), key("tag=b&tag=a"));
        assert_ne!(key("tag=a%26tag=b"), key("tag=a&tag=b"));
    }

    proptest! {
        #[test]
        fn any_target_is_answered(raw in "[ -~]{0,60}") {
            let _ = Path::parse(&raw, true);
            let _ = Query::parse(&raw);
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let escaped = percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(unescape(&escaped, false).unwrap(), bytes);
            let _ = Path::parse(&format!("/{escaped}"), false);
            let _ = Query::parse(&format!("{escaped}={escaped}&%"));
        }

        #[test]
        fn a_cleaned_path_is_clean(raw in "/[a./]{0,20}") {
            let once = clean(raw.as_bytes());
            prop_assert_eq!(clean(&once), &once[..]);
        }
    }
}
