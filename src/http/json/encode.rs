//! From values to bytes.

use super::parse::{Json, parse};
use crate::model::Text;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use std::io;

/// How a document is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) enum Layout {
    /// No spaces.
    #[default]
    Compact,
    /// Four spaces of indent and a final newline.
    Pretty,
}

/// The bytes of a document.
pub(in crate::http) fn encode<T: Serialize + ?Sized>(value: &T, layout: Layout) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    match layout {
        Layout::Compact => {
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Go(CompactFormatter)))?
        }
        Layout::Pretty => {
            let pretty = Go(PrettyFormatter::with_indent(b"    "));
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, pretty))?;
            out.push(b'\n');
        }
    }
    Ok(out)
}

/// Go escapes what could end a script in a web page, too.
struct Go<F>(F);

impl<F: Formatter> Formatter for Go<F> {
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

/// A map of texts, in the order given.
pub(in crate::http) struct Pairs<'a>(pub(in crate::http) &'a [(Text, Text)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }
}

/// JSON that was stored as it came; laid out anew, so that it is indented with the rest.
pub(in crate::http) struct Raw<'a>(pub(in crate::http) &'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        parse(self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(digits) => match (digits.parse::<i64>(), digits.parse::<u64>()) {
                (Ok(n), _) => serializer.serialize_i64(n),
                (_, Ok(n)) => serializer.serialize_u64(n),
                _ => serializer.serialize_f64(digits.parse().map_err(serde::ser::Error::custom)?),
            },
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name.as_ref(), value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_like_go() {
        let bytes = encode("<a href=\"x\">&\u{2028}é\n\u{1}", Layout::Compact).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#""\u003ca href=\"x\"\u003e\u0026\u2028é\n\u0001""#);
    }

    #[test]
    fn stored_json_is_laid_out_with_the_rest() {
        let pretty = encode(&[Raw(r#"{"a":{},"b":[1]}"#)], Layout::Pretty).unwrap();
        let text = "[\n    {\n        \"a\": {},\n        \"b\": [\n            1\n        ]\n    }\n]\n";
        assert_eq!(String::from_utf8(pretty).unwrap(), text);
    }
}
