//! Comments, identifiers, numbers, strings and heredocs.

use super::grammar::{Input, Parsed, fail, next, starts_identifier};
use serde_json::{Number, Value};
use winnow::Parser;
use winnow::combinator::{alt, opt};
use winnow::stream::Location;
use winnow::token::{any, literal, one_of, take_until, take_while};

/// Skips white space and comments.
pub(super) fn blank(input: &mut Input<'_>) -> Parsed<()> {
    loop {
        take_while(0.., |c: char| c.is_whitespace() || c == '\u{feff}').void().parse_next(input)?;
        let at = input.current_token_start();
        match opt(alt((literal("#"), literal("//"), literal("/*")))).parse_next(input)? {
            None => return Ok(()),
            Some("/*") => {
                if opt((take_until(0.., "*/"), literal("*/"))).parse_next(input)?.is_none() {
                    return fail(input, at, "comment not terminated");
                }
            }
            Some(_) => take_while(0.., |c| c != '\n').void().parse_next(input)?,
        }
    }
}

/// A word; the next character begins one.
pub(super) fn identifier<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    take_while(1.., |c: char| starts_identifier(c) || c.is_numeric() || c == '-' || c == '.').parse_next(input)
}

/// Decimal, octal (`017`), hexadecimal (`0x1f`) or floating point.
pub(super) fn number(input: &mut Input<'_>) -> Parsed<Value> {
    let at = input.current_token_start();
    let text = (
        opt('-'),
        take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '.'),
        // The sign of an exponent.
        opt((one_of(['+', '-']), take_while(1.., |c: char| c.is_ascii_digit()))),
    )
        .take()
        .parse_next(input)?;
    match read_number(text) {
        Some(value) => Ok(value),
        None => {
            let reason = format!("illegal number {text}: durations and other texts are written in quotes");
            fail(input, at, reason)
        }
    }
}

fn read_number(text: &str) -> Option<Value> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let whole = |digits: &str, radix| {
        let plain = digits.chars().all(|c| c.is_digit(radix));
        i128::from_str_radix(digits, radix).ok().filter(|_| plain).and_then(|n| i64::try_from(n * sign).ok())
    };
    let lower = digits.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return whole(hex, 16).map(Value::from);
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty());
        return octal.map_or_else(|| whole(digits, 10), |rest| whole(rest, 8)).map(Value::from);
    }
    // Rust also reads words like `inf`, and a number without digits before the point.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || lower.contains(|c: char| c.is_alphabetic() && c != 'e') {
        return None;
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// A text in quotes; the next character opens one. What is inside `${…}` stays as it is.
pub(super) fn string(input: &mut Input<'_>) -> Parsed<String> {
    let at = input.current_token_start();
    any.void().parse_next(input)?;
    let mut bytes = Vec::new();
    let (mut braces, mut dollar) = (0usize, false);
    loop {
        let here = input.current_token_start();
        let Some(c) = opt(any).parse_next(input)? else { return fail(input, at, "literal not terminated") };
        match c {
            '"' if braces == 0 => break,
            '\n' if braces == 0 => return fail(input, at, "literal not terminated: it has no '\"' on its line"),
            '\\' if braces == 0 => escape(input, here, &mut bytes)?,
            _ => {
                match c {
                    '{' if braces > 0 || dollar => braces += 1,
                    '}' => braces = braces.saturating_sub(1),
                    _ => {}
                }
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        dollar = c == '$';
    }
    // Single bytes above 127 may not make up characters.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn escape(input: &mut Input<'_>, at: usize, bytes: &mut Vec<u8>) -> Parsed<()> {
    let plain = match opt(any).parse_next(input)? {
        Some('a') => 7,
        Some('b') => 8,
        Some('f') => 12,
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('v') => 11,
        Some('\\') => b'\\',
        Some('"') => b'"',
        Some('x') => code(input, at, 2, 16)? as u8,
        Some(c @ '0'..='3') => {
            let high = c.to_digit(8).unwrap_or(0) * 64;
            (high + code(input, at, 2, 8)?) as u8
        }
        Some(c @ ('u' | 'U')) => {
            let number = code(input, at, if c == 'u' { 4 } else { 8 }, 16)?;
            let char = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return fail(input, at, "illegal char escape: write \\\\ for a backslash"),
    };
    bytes.push(plain);
    Ok(())
}

/// So many digits.
fn code(input: &mut Input<'_>, at: usize, count: usize, radix: u32) -> Parsed<u32> {
    let digits = opt(take_while(count..=count, |c: char| c.is_digit(radix))).parse_next(input)?;
    match digits.and_then(|d: &str| u32::from_str_radix(d, radix).ok()) {
        Some(number) => Ok(number),
        None => fail(input, at, format!("illegal char escape: {count} digits must follow")),
    }
}

/// `<<WORD`, lines, and `WORD` on a line of its own. After `<<-` the indentation of the last line is taken off all,
/// unless a line has less.
pub(super) fn heredoc(input: &mut Input<'_>) -> Parsed<String> {
    let at = input.current_token_start();
    let head: Option<(&str, Option<char>, &str, &str)> = opt((
        literal("<<"),
        opt('-'),
        take_while(1.., |c: char| starts_identifier(c) || c.is_numeric()),
        alt((literal("\n"), literal("\r\n"))),
    ))
    .parse_next(input)?;
    let Some((_, dash, word, _)) = head else {
        return fail(input, at, "zero-length heredoc anchor: expected <<WORD and the end of the line");
    };
    let mut text = String::new();
    loop {
        let line: &str = take_while(0.., |c| c != '\n').parse_next(input)?;
        if let Some(indent) = line.trim_end_matches(['\r', ' ', '\t']).strip_suffix(word)
            && indent.chars().all(char::is_whitespace)
        {
            return Ok(if dash.is_some() { unindent(&text, indent) } else { text + indent });
        }
        if next(input)?.is_none() {
            return fail(input, at, format!("heredoc not terminated: expected {word} on a line of its own"));
        }
        any.void().parse_next(input)?;
        text.push_str(line);
        text.push('\n');
    }
}

fn unindent(text: &str, indent: &str) -> String {
    if !text.lines().all(|line| line.starts_with(indent)) {
        return text.to_owned();
    }
    text.lines().map(|line| format!("{}\n", &line[indent.len()..])).collect()
}
