//! Entries for fuzzing: one function per parser that meets the outside, from bytes to nothing. Only built with
//! `--cfg fuzzing`; the targets are in `fuzz/`. Each panics when the parser breaks a promise, not when it refuses.
//!
//! Must never: be part of the program, or do what takes a network, a disk or a clock.

use crate::model::filter::{Field, Fields, Filter, Kind, Path, Test, Value};

/// A filter: parsed against fields of every type, and if it is one, asked about an object.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Filter::parse(text, FIELDS) {
        Ok(filter) => {
            let once = filter.matches(&Object);
            assert_eq!(once, filter.matches(&Object), "{text}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

const PARTS: &[Field] =
    &[Field::new("Text", Kind::Text), Field::new("Number", Kind::Int), Field::new("Tags", Kind::Texts)];

const FIELDS: &[Field] = &[
    Field::new("Text", Kind::Text),
    Field::new("Number", Kind::Int),
    Field::new("Flag", Kind::Bool),
    Field::new("Tags", Kind::Texts),
    Field::new("Meta", Kind::Map(&Kind::Text)),
    Field::new("Part", Kind::Struct(PARTS)),
    Field::new("Parts", Kind::Structs(PARTS)),
    Field::new("ByName", Kind::Map(&Kind::Struct(PARTS))),
];

const TAGS: [&str; 3] = ["a", "B", "v1"];

struct Part;

impl Fields for Part {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        test(match path.next() {
            Some(("Text", _)) => Value::Text("text"),
            Some(("Number", _)) => Value::Int(-7),
            Some(("Tags", _)) => return test(Value::Items(&|| TAGS)),
            _ => Value::Absent,
        })
    }
}

struct Object;

impl Fields for Object {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Flag", _)) => test(Value::Bool(true)),
            Some(("Meta", rest)) => rest.text_map(|| ["k"], |key| (key == "k").then_some("v"), test),
            Some(("Part", rest)) => Part.visit(rest, test),
            Some(("Parts", rest)) => rest.structs(|| [&Part, &Part].into_iter(), test),
            Some(("ByName", rest)) => rest.struct_map(|| ["p"], |name| (name == "p").then_some(&Part), test),
            _ => Part.visit(path, test),
        }
    }
}

/// A DNS message, to a server that has something to answer; the first byte says how it came.
pub fn dns(bytes: &[u8]) {
    crate::dns::fuzz::respond(bytes);
}

/// The target of an HTTP request: path, query, and what every read takes from it.
pub fn http_target(bytes: &[u8]) {
    crate::http::fuzz::target(bytes);
}

/// A configuration file in HCL or JSON, to the checked configuration.
pub fn hcl(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    crate::config::fuzz::file(text);
}

/// A snapshot: the first byte says which part of it the rest is.
pub fn snapshot_archive(bytes: &[u8]) {
    let Some((&part, rest)) = bytes.split_first() else { return };
    match part & 3 {
        0 => crate::archive::fuzz::packed(rest),
        1 => crate::archive::fuzz::unpacked(rest),
        2 => crate::archive::fuzz::content(rest),
        _ => crate::service::fuzz::state(rest),
    }
}

/// What comes to a member of the pool; the first byte says in which way.
pub fn gossip(bytes: &[u8]) {
    crate::gossip::fuzz::received(bytes);
}

/// A JSON body; the first byte says which endpoint reads it.
pub fn http_body(bytes: &[u8]) {
    crate::http::fuzz::body(bytes);
}
