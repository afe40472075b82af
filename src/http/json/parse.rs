//! From bytes to a tree. The syntax errors are those of Go's scanner, word for word.

use std::borrow::Cow;
use thiserror::Error;

/// Deeper nesting is refused, so that a small body cannot exhaust the stack.
const DEPTH_MAX: usize = 128;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) enum Json<'a> {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    /// Unescaped.
    String(Cow<'a, str>),
    /// In order.
    Array(Vec<Json<'a>>),
    /// In order, with all duplicates.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// Go's name of its kind.
    pub(in crate::http) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "bool",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }
}

/// The bytes are not JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(in crate::http) enum SyntaxError {
    /// There is nothing.
    #[error("EOF")]
    Empty,
    /// It ends too early.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// This byte cannot stand here.
    #[error("invalid character {} {context}", quote(*.found))]
    InvalidCharacter {
        /// The byte.
        found: u8,
        /// Where it stands.
        context: &'static str,
    },
    /// Too deep.
    #[error("exceeded max depth")]
    TooDeep,
}

/// A byte as Go quotes it in errors.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..0xa0 => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// Reads the first value; what follows it is not looked at, as in Consul. The text has to be UTF-8; see
/// [`String::from_utf8_lossy`] for what Go does with other bytes.
pub(in crate::http) fn parse(text: &str) -> Result<Json<'_>, SyntaxError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.skip_space();
    if parser.peek().is_none() {
        return Err(SyntaxError::Empty);
    }
    parser.value()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, SyntaxError> {
        let byte = self.peek().ok_or(SyntaxError::UnexpectedEof)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn next_token(&mut self) -> Result<u8, SyntaxError> {
        self.skip_space();
        self.next()
    }

    fn value(&mut self) -> Result<Json<'a>, SyntaxError> {
        match self.next_token()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => Ok(Json::String(self.string()?)),
            first @ (b'-' | b'0'..=b'9') => self.number(first),
            b't' => self.literal("true", Json::Bool(true)),
            b'f' => self.literal("false", Json::Bool(false)),
            b'n' => self.literal("null", Json::Null),
            found => Err(SyntaxError::InvalidCharacter { found, context: "looking for beginning of value" }),
        }
    }

    fn nested(&mut self, f: fn(&mut Self) -> Result<Json<'a>, SyntaxError>) -> Result<Json<'a>, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::TooDeep);
        }
        let value = f(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Json<'a>, SyntaxError> {
        const KEY: &str = "looking for beginning of object key string";
        let mut members = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            match self.next_token()? {
                b'"' => {}
                found => return Err(SyntaxError::InvalidCharacter { found, context: KEY }),
            }
            let name = self.string()?;
            match self.next_token()? {
                b':' => {}
                found => return Err(SyntaxError::InvalidCharacter { found, context: "after object key" }),
            }
            members.push((name, self.value()?));
            match self.next_token()? {
                b',' => {}
                b'}' => return Ok(Json::Object(members)),
                found => return Err(SyntaxError::InvalidCharacter { found, context: "after object key:value pair" }),
            }
        }
    }

    fn array(&mut self) -> Result<Json<'a>, SyntaxError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            match self.next_token()? {
                b',' => {}
                b']' => return Ok(Json::Array(items)),
                found => return Err(SyntaxError::InvalidCharacter { found, context: "after array element" }),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, SyntaxError> {
        for expected in word.bytes().skip(1) {
            let found = self.next()?;
            if found != expected {
                return Err(SyntaxError::InvalidCharacter { found, context: literal_context(word, expected) });
            }
        }
        Ok(value)
    }

    fn number(&mut self, first: u8) -> Result<Json<'a>, SyntaxError> {
        let start = self.at - 1;
        let lead = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if lead != b'0' {
            self.skip_digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.skip_digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.skip_digits();
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn digit(&mut self, context: &'static str) -> Result<u8, SyntaxError> {
        match self.next()? {
            digit @ b'0'..=b'9' => Ok(digit),
            found => Err(SyntaxError::InvalidCharacter { found, context }),
        }
    }

    fn skip_digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// The rest of a string whose opening quote was read.
    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return Ok(Cow::Borrowed(&self.text[start..self.at - 1])),
                b'\\' => return self.escaped(start),
                found @ 0..0x20 => {
                    return Err(SyntaxError::InvalidCharacter { found, context: "in string literal" });
                }
                _ => {}
            }
        }
    }

    /// The rest of a string whose first backslash was read.
    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, SyntaxError> {
        let mut out = String::from(&self.text[start..self.at - 1]);
        loop {
            match self.next()? {
                b'"' => out.push('"'),
                b'\\' => out.push('\\'),
                b'/' => out.push('/'),
                b'b' => out.push('\u{8}'),
                b'f' => out.push('\u{c}'),
                b'n' => out.push('\n'),
                b'r' => out.push('\r'),
                b't' => out.push('\t'),
                b'u' => out.push(self.unicode()?),
                found => return Err(SyntaxError::InvalidCharacter { found, context: "in string escape code" }),
            }
            let plain = self.at;
            loop {
                match self.next()? {
                    b'"' => {
                        out.push_str(&self.text[plain..self.at - 1]);
                        return Ok(Cow::Owned(out));
                    }
                    b'\\' => break out.push_str(&self.text[plain..self.at - 1]),
                    found @ 0..0x20 => {
                        return Err(SyntaxError::InvalidCharacter { found, context: "in string literal" });
                    }
                    _ => {}
                }
            }
        }
    }

    /// A code unit, or two that make one character; half a pair becomes U+FFFD, as in Go.
    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        (0..4).try_fold(0, |code, _| {
            let found = self.next()?;
            let digit = char::from(found).to_digit(16);
            let context = r"in \u hexadecimal character escape";
            digit.map(|digit| code << 4 | digit).ok_or(SyntaxError::InvalidCharacter { found, context })
        })
    }
}

/// Go names the literal and the letter that it expected.
fn literal_context(word: &str, expected: u8) -> &'static str {
    match (word, expected) {
        ("true", b'r') => "in literal true (expecting 'r')",
        ("true", b'u') => "in literal true (expecting 'u')",
        ("true", _) => "in literal true (expecting 'e')",
        ("false", b'a') => "in literal false (expecting 'a')",
        ("false", b'l') => "in literal false (expecting 'l')",
        ("false", b's') => "in literal false (expecting 's')",
        ("false", _) => "in literal false (expecting 'e')",
        (_, b'u') => "in literal null (expecting 'u')",
        _ => "in literal null (expecting 'l')",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        let Json::Object(members) =
            parse(r#" {"a":[1,-0.5e+3,true,null],"b\u00e9":"\ud83d\ude00\ud800x\/"} rest"#).unwrap()
        else {
            panic!("an object");
        };
        let items = vec![Json::Number("1"), Json::Number("-0.5e+3"), Json::Bool(true), Json::Null];
        assert_eq!(members[0], ("a".into(), Json::Array(items)));
        assert_eq!(members[1], ("bé".into(), Json::String("😀\u{fffd}x/".into())));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(parse(&"[".repeat(100_000)), Err(SyntaxError::TooDeep));
        assert!(parse(&("[".repeat(100) + &"]".repeat(100))).is_ok());
    }

    #[test]
    fn errors_quote_the_byte() {
        for (text, error) in [
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
            ("'", r"invalid character '\'' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn never_panics_on_json_like_text(text in r#"[\[\]{}:,"\\u0-9a-fte.\-+ ]{0,60}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(parse(&written).unwrap(), Json::String(text.into()));
        }
    }
}
