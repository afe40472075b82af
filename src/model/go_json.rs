//! JSON with the escapes of Go's `encoding/json`, which Consul's API and its command line write.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io;

/// A document as Go's `json.Marshal` writes it: no spaces, no line end.
///
/// # Errors
/// A value that JSON cannot express, such as a map whose keys are not texts.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut out, GoJson(CompactFormatter)))?;
    Ok(out)
}

/// A document as Go's `json.MarshalIndent` writes it, without a line end.
///
/// # Errors
/// As for [`to_json`].
pub(crate) fn to_json_indented<T: Serialize + ?Sized>(value: &T, indent: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    let pretty = GoJson(PrettyFormatter::with_indent(indent.as_bytes()));
    value.serialize(&mut Serializer::with_formatter(&mut out, pretty))?;
    Ok(out)
}

/// A layout of `serde_json` with the escapes of Go, which also escapes what could end a script in a web page.
#[derive(Clone, Debug)]
pub(crate) struct GoJson<F>(pub(crate) F);

impl<F: Formatter> Formatter for GoJson<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // 0xe2 begins U+2028 and U+2029.
        if !bytes.iter().any(|b| matches!(b, b'<' | b'>' | b'&' | 0xe2)) {
            return writer.write_all(bytes);
        }
        let mut from = 0;
        for (at, c) in fragment.char_indices() {
            let escape = match c {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&bytes[from..at])?;
            writer.write_all(escape.as_bytes())?;
            from = at + c.len_utf8();
        }
        writer.write_all(&bytes[from..])
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_and_indents_like_go() {
        assert_eq!(to_json("<&>\u{2028}é").unwrap(), "\"\\u003c\\u0026\\u003e\\u2028é\"".as_bytes());
        let empty: [u8; 0] = [];
        assert_eq!(to_json_indented(&empty, "\t").unwrap(), b"[]");
        assert_eq!(to_json_indented(&["a"], "\t").unwrap(), b"[\n\t\"a\"\n]");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(text in ".*") {
            let bytes = to_json(&text).unwrap();
            prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        }
    }
}
