//! Typed fields out of a tree, with Go's errors.

use super::parse::{Json, SyntaxError, parse};
use crate::model::Text;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use thiserror::Error;

/// The body is not the document that was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(in crate::http) enum DecodeError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(#[from] SyntaxError),
    /// A value of another type; names the field.
    #[error("json: cannot unmarshal {found} into Go {target}")]
    Type {
        /// What stands there.
        found: String,
        /// Where, and what should.
        target: String,
    },
    /// A text that is no base64, from this byte on.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// A text that is no duration.
    #[error("{0}")]
    Duration(String),
}

/// An object of the document.
#[derive(Clone, Debug)]
pub(in crate::http) struct Object<'j> {
    members: Cow<'j, [(Cow<'j, str>, Json<'j>)]>,
    /// Go's name of the struct that it is read into.
    name: &'static str,
    /// From the root to here, with a dot at the end of each part.
    path: String,
}

impl<'j> Object<'j> {
    /// Reads a body whose root is an object (or null: all fields absent). `name` is Go's name of the struct, and
    /// `go_type` of its type; clients see them in errors.
    pub(in crate::http) fn parse(text: &'j str, name: &'static str, go_type: &str) -> Result<Object<'j>, DecodeError> {
        match parse(text)? {
            Json::Object(members) => Ok(Object { members: members.into(), name, path: String::new() }),
            Json::Null => Ok(Object { members: Vec::new().into(), name, path: String::new() }),
            other => {
                Err(DecodeError::Type { found: other.kind().to_owned(), target: format!("value of type {go_type}") })
            }
        }
    }

    /// Reads a body whose root is a list of objects (or null: none); a null in it is left out. `item` is Go's type of
    /// one, `list` of all.
    pub(in crate::http) fn parse_list(
        text: &'j str,
        name: &'static str,
        list: &str,
        item: &str,
    ) -> Result<Vec<Object<'j>>, DecodeError> {
        let mismatch = |found: &Json<'_>, go_type: &str| DecodeError::Type {
            found: found.kind().to_owned(),
            target: format!("value of type {go_type}"),
        };
        let items = match parse(text)? {
            Json::Array(items) => items,
            Json::Null => return Ok(Vec::new()),
            other => return Err(mismatch(&other, list)),
        };
        let items = items.into_iter().filter(|value| *value != Json::Null);
        items
            .map(|value| match value {
                Json::Object(members) => Ok(Object { members: members.into(), name, path: String::new() }),
                other => Err(mismatch(&other, item)),
            })
            .collect()
    }

    /// Names of all members, as they came.
    pub(in crate::http) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_ref())
    }

    /// The value of a field: the last one of this name, without case; null is absent.
    pub(in crate::http) fn get(&self, field: &str) -> Option<&Json<'j>> {
        let found = self.members.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(field));
        found.map(|(_, value)| value).filter(|value| **value != Json::Null)
    }

    /// Whether the field is there, even as null.
    pub(in crate::http) fn is_given(&self, field: &str) -> bool {
        self.members.iter().any(|(name, _)| name.eq_ignore_ascii_case(field))
    }

    fn mismatch(&self, field: &str, found: &Json<'_>, go_type: &str) -> DecodeError {
        let found = match found {
            Json::Number(digits) if matches!(go_type, "int" | "uint64" | "float64") => format!("number {digits}"),
            other => other.kind().to_owned(),
        };
        DecodeError::Type {
            found,
            target: format!("struct field {}.{}{field} of type {go_type}", self.name, self.path),
        }
    }

    /// An error of something within a field, where Go names the field and not what is in it.
    pub(in crate::http) fn outside(&self, field: &str, error: DecodeError) -> DecodeError {
        match error {
            DecodeError::Type { found, target } => {
                let go_type = target.split_once(" of type ").map_or(target.as_str(), |(_, go_type)| go_type);
                let target = format!("struct field {}.{}{field} of type {go_type}", self.name, self.path);
                DecodeError::Type { found, target }
            }
            other => other,
        }
    }

    /// A map of anything.
    pub(in crate::http) fn map(&self, field: &str) -> Result<serde_json::Map<String, Value>, DecodeError> {
        const GO_TYPE: &str = "map[string]interface {}";
        match self.get(field) {
            None => Ok(serde_json::Map::new()),
            Some(value @ Json::Object(_)) => match serde_json::to_value(value) {
                Ok(Value::Object(map)) => Ok(map),
                _ => Err(self.mismatch(field, value, GO_TYPE)),
            },
            Some(other) => Err(self.mismatch(field, other, GO_TYPE)),
        }
    }

    /// What is set beside these fields, whose names are compared without case and underscores.
    pub(in crate::http) fn others(&self, fields: &[&str]) -> serde_json::Map<String, Value> {
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        let fields: Vec<String> = fields.iter().map(|field| plain(field)).collect();
        let set = self.members.iter().filter(|(name, value)| *value != Json::Null && !fields.contains(&plain(name)));
        set.filter_map(|(name, value)| Some((name.to_string(), serde_json::to_value(value).ok()?))).collect()
    }

    /// A text; absent: empty.
    pub(in crate::http) fn text(&self, field: &str) -> Result<&str, DecodeError> {
        self.text_of_type(field, "string")
    }

    /// A text that Go has in a named type.
    pub(in crate::http) fn text_of_type(&self, field: &str, go_type: &str) -> Result<&str, DecodeError> {
        match self.get(field) {
            None => Ok(""),
            Some(Json::String(text)) => Ok(text),
            Some(other) => Err(self.mismatch(field, other, go_type)),
        }
    }

    /// A truth value; absent: false.
    pub(in crate::http) fn boolean(&self, field: &str) -> Result<bool, DecodeError> {
        match self.get(field) {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(other) => Err(self.mismatch(field, other, "bool")),
        }
    }

    /// An integer of 64 bits; absent: 0.
    pub(in crate::http) fn integer(&self, field: &str) -> Result<i64, DecodeError> {
        match self.get(field) {
            None => Ok(0),
            Some(value @ Json::Number(digits)) => digits.parse().map_err(|_| self.mismatch(field, value, "int")),
            Some(other) => Err(self.mismatch(field, other, "int")),
        }
    }

    /// An unsigned integer of 64 bits; absent: 0.
    pub(in crate::http) fn unsigned(&self, field: &str) -> Result<u64, DecodeError> {
        match self.get(field) {
            None => Ok(0),
            Some(value @ Json::Number(digits)) => digits.parse().map_err(|_| self.mismatch(field, value, "uint64")),
            Some(other) => Err(self.mismatch(field, other, "uint64")),
        }
    }

    /// Bytes in base64; absent: none.
    pub(in crate::http) fn bytes(&self, field: &str) -> Result<Vec<u8>, DecodeError> {
        use base64::{DecodeError as Bad, Engine, engine::general_purpose::STANDARD};
        let text = self.text_of_type(field, "[]uint8")?;
        STANDARD.decode(text).map_err(|bad| {
            let at = match bad {
                Bad::InvalidByte(at, _) | Bad::InvalidLastSymbol { offset: at, .. } => at,
                Bad::InvalidLength(_) | Bad::InvalidPadding => text.len(),
            };
            DecodeError::Base64(at)
        })
    }

    /// A list of texts, if it is there; a null in it is an empty text, as in Go.
    pub(in crate::http) fn optional_texts(&self, field: &str) -> Result<Option<Vec<Text>>, DecodeError> {
        self.get(field).map(|_| self.texts(field)).transpose()
    }

    /// A list of texts; a null in it is an empty text, as in Go.
    pub(in crate::http) fn texts(&self, field: &str) -> Result<Vec<Text>, DecodeError> {
        self.texts_of_type(field, "[]string", "string")
    }

    /// The same, where Go has named types for the list and its items.
    pub(in crate::http) fn texts_of_type(&self, field: &str, list: &str, item: &str) -> Result<Vec<Text>, DecodeError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items.iter().map(|value| self.element(field, value, item)).collect(),
            Some(other) => Err(self.mismatch(field, other, list)),
        }
    }

    /// A number; absent: 0.
    pub(in crate::http) fn number(&self, field: &str) -> Result<f64, DecodeError> {
        self.get(field).map_or(Ok(0.0), |value| self.float(field, value))
    }

    /// A list of numbers; absent: empty.
    pub(in crate::http) fn numbers(&self, field: &str) -> Result<Vec<f64>, DecodeError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => items.iter().map(|item| self.float(field, item)).collect(),
            Some(other) => Err(self.mismatch(field, other, "[]float64")),
        }
    }

    /// A finite number; null is 0.
    fn float(&self, field: &str, value: &Json<'_>) -> Result<f64, DecodeError> {
        match value {
            Json::Null => Ok(0.0),
            Json::Number(digits) => {
                let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or_else(|| self.mismatch(field, value, "float64"))
            }
            other => Err(self.mismatch(field, other, "float64")),
        }
    }

    /// A map of texts in order of key; `None`: absent.
    pub(in crate::http) fn pairs(&self, field: &str) -> Result<Option<Vec<(Text, Text)>>, DecodeError> {
        let members = match self.get(field) {
            None => return Ok(None),
            Some(Json::Object(members)) => members,
            Some(other) => return Err(self.mismatch(field, other, "map[string]string")),
        };
        let mut pairs = BTreeMap::new();
        for (name, value) in members {
            pairs.insert(Text::from(name.as_ref()), self.element(field, value, "string")?);
        }
        Ok(Some(pairs.into_iter().collect()))
    }

    fn element(&self, field: &str, value: &Json<'_>, go_type: &str) -> Result<Text, DecodeError> {
        match value {
            Json::String(text) => Ok(text.as_ref().into()),
            Json::Null => Ok(Text::default()),
            other => Err(self.mismatch(field, other, go_type)),
        }
    }

    /// A duration in nanoseconds: a Go text or a bare number of nanoseconds; absent: 0.
    pub(in crate::http) fn duration(&self, field: &str) -> Result<i64, DecodeError> {
        match self.get(field) {
            Some(Json::String(text)) => super::parse_duration(text).map_err(DecodeError::Duration),
            Some(Json::Number(digits)) => {
                // Go reads any number here and cuts the fraction off.
                Ok(digits.parse().unwrap_or_else(|_| digits.parse::<f64>().map_or(0, |n| n as i64)))
            }
            _ => Ok(0),
        }
    }

    /// An object within; `name` and `go_type` as in [`Object::parse`].
    pub(in crate::http) fn object(
        &self,
        field: &str,
        name: &'static str,
        go_type: &str,
    ) -> Result<Option<Object<'_>>, DecodeError> {
        match self.get(field) {
            None => Ok(None),
            Some(Json::Object(members)) => Ok(Some(self.child(field, members, name))),
            Some(other) => Err(self.mismatch(field, other, go_type)),
        }
    }

    /// A list of objects; a null in it is left out.
    pub(in crate::http) fn objects(
        &self,
        field: &str,
        name: &'static str,
        list: &str,
        item: &str,
    ) -> Result<Vec<Object<'_>>, DecodeError> {
        let items = match self.get(field) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(self.mismatch(field, other, list)),
        };
        let mut objects = Vec::with_capacity(items.len());
        for value in items {
            match value {
                Json::Null => {}
                Json::Object(members) => objects.push(self.child(field, members, name)),
                other => return Err(self.mismatch(field, other, item)),
            }
        }
        Ok(objects)
    }

    /// A map of objects in order of key.
    pub(in crate::http) fn map_of_objects(
        &self,
        field: &str,
        name: &'static str,
        go_type: &str,
    ) -> Result<Vec<(&str, Object<'_>)>, DecodeError> {
        let members = match self.get(field) {
            None => return Ok(Vec::new()),
            Some(Json::Object(members)) => members,
            Some(other) => return Err(self.mismatch(field, other, &format!("map[string]{go_type}"))),
        };
        let mut found = BTreeMap::new();
        for (key, value) in members {
            match value {
                Json::Null => {}
                Json::Object(members) => {
                    found.insert(key.as_ref(), self.child(field, members, name));
                }
                other => return Err(self.mismatch(field, other, go_type)),
            }
        }
        Ok(found.into_iter().collect())
    }

    /// A map of lists of texts, in order of key.
    pub(in crate::http) fn map_of_texts(&self, field: &str) -> Result<BTreeMap<String, Vec<Text>>, DecodeError> {
        let members = match self.get(field) {
            None => return Ok(BTreeMap::new()),
            Some(Json::Object(members)) => members,
            Some(other) => return Err(self.mismatch(field, other, "map[string][]string")),
        };
        let list = |value: &Json<'_>| match value {
            Json::Null => Ok(Vec::new()),
            Json::Array(items) => items.iter().map(|item| self.element(field, item, "string")).collect(),
            other => Err(self.mismatch(field, other, "[]string")),
        };
        members.iter().map(|(key, value)| Ok((key.to_string(), list(value)?))).collect()
    }

    fn child<'a>(&self, field: &str, members: &'a [(Cow<'a, str>, Json<'a>)], name: &'static str) -> Object<'a> {
        Object { members: members.into(), name, path: format!("{}{field}.", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn names_match_without_case_and_the_last_one_counts() {
        let body = Object::parse(r#"{"Port":1,"pORT":2,"Tags":null}"#, "S", "s").unwrap();
        assert_eq!(body.integer("Port").unwrap(), 2);
        assert!(body.texts("Tags").unwrap().is_empty());
    }

    #[test]
    fn errors_have_the_path_and_the_type() {
        let body = Object::parse(r#"{"A":{"B":[{"P":1.5}],"S":5}}"#, "Root", "x").unwrap();
        let a = body.object("A", "Inner", "i").unwrap().unwrap();
        let b = &a.objects("B", "Leaf", "l", "l").unwrap()[0];
        assert_eq!(
            error(b.integer("P")),
            "json: cannot unmarshal number 1.5 into Go struct field Leaf.A.B.P of type int"
        );
        assert_eq!(error(a.text("S")), "json: cannot unmarshal number into Go struct field Inner.A.S of type string");
        assert_eq!(
            error(Object::parse("[]", "R", "pkg.R")),
            "json: cannot unmarshal array into Go value of type pkg.R"
        );
    }
}
