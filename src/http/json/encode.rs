//! From values to bytes.

use super::parse::{Json, parse};
use crate::model::Text;
use crate::model::go_json::GoJson;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::ser::{CompactFormatter, PrettyFormatter};

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
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, GoJson(CompactFormatter)))?
        }
        Layout::Pretty => {
            let pretty = GoJson(PrettyFormatter::with_indent(b"    "));
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, pretty))?;
            out.push(b'\n');
        }
    }
    Ok(out)
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
