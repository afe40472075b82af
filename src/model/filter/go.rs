//! The conventions of Go that show through in Consul's filters: quoting, unquoting, numbers and booleans.
//!
//! Owns: these four conversions. Must never: panic; every input is a user's.

use std::fmt::Write;

/// Quotes as Go's `%q`: what is printable stays, the rest is escaped.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            // Writing to a String cannot fail.
            c if c.is_ascii_control() => drop(write!(out, "\\x{:02x}", c as u32)),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The inside of a back-quoted literal: as it is, without carriage returns.
pub(super) fn unquote_raw(inside: &str) -> String {
    inside.replace('\r', "")
}

/// The inside of a double-quoted literal; none when an escape is wrong, a line ends, or the result is not UTF-8.
pub(super) fn unquote(inside: &str) -> Option<String> {
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' => return None,
            '\\' => escape(&mut rest, &mut out)?,
            c => push(&mut out, c),
        }
    }
    String::from_utf8(out).ok()
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_code(out: &mut Vec<u8>, code: u32) -> Option<()> {
    push(out, char::from_u32(code)?);
    Some(())
}

fn escape(rest: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    let byte = match rest.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(digits(rest, 2, 16, 0)?).ok()?,
        'u' => return push_code(out, digits(rest, 4, 16, 0)?),
        'U' => return push_code(out, digits(rest, 8, 16, 0)?),
        first => u8::try_from(digits(rest, 2, 8, first.to_digit(8)?)?).ok()?,
    };
    out.push(byte);
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32, first: u32) -> Option<u32> {
    (0..count).try_fold(first, |value, _| value.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?))
}

/// `strconv.ParseBool`, with its error text.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

/// `strconv.ParseInt(text, 0, 64)`: a sign, a base prefix and underscores are allowed; with its error text.
pub(super) fn parse_int(text: &str) -> Result<i64, String> {
    let fail = |why| format!("strconv.ParseInt: parsing {}: {why}", quote(text));
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, body) = base(unsigned);
    let plain = underscores(unsigned, body).ok_or_else(|| fail("invalid syntax"))?;
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return Err(fail("invalid syntax"));
    }
    // All digits were checked, so only the range can be wrong.
    let magnitude = i128::from_str_radix(&plain, radix).map_err(|_| fail("value out of range"))?;
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| fail("value out of range"))
}

fn base(unsigned: &str) -> (u32, &str) {
    let prefixed = |lower: &str, upper: &str| unsigned.strip_prefix(lower).or_else(|| unsigned.strip_prefix(upper));
    if let Some(body) = prefixed("0x", "0X") {
        (16, body)
    } else if let Some(body) = prefixed("0b", "0B") {
        (2, body)
    } else if let Some(body) = prefixed("0o", "0O") {
        (8, body)
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        (8, &unsigned[1..])
    } else {
        (10, unsigned)
    }
}

/// The digits without underscores; none when an underscore does not stand between digits (or after a base prefix).
fn underscores(unsigned: &str, body: &str) -> Option<String> {
    let prefix = body.len() < unsigned.len();
    let misplaced = (!prefix && body.starts_with('_')) || body.ends_with('_') || body.contains("__");
    (!misplaced).then(|| body.replace('_', ""))
}
