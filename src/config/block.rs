//! A map of a definition, read field by field: names match without case and underscores, so that `enable_tag_override`
//! and `EnableTagOverride` are one; what was not asked for is unknown. Faults are gathered, in Consul's words.

use super::kind::go_type;
use crate::model::Text;
use crate::model::duration::parse_duration;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is wrong with definitions.
#[derive(Debug, Default)]
pub(in crate::config) struct Faults {
    /// Values of a wrong type: sentences.
    pub(in crate::config) types: Vec<String>,
    /// Paths of unknown keys.
    pub(in crate::config) unknown: Vec<String>,
    /// Values that cannot be: sentences.
    pub(in crate::config) values: Vec<String>,
}

/// The fields of one map that were not read yet.
pub(in crate::config) struct Block<'a> {
    path: String,
    fields: BTreeMap<String, (&'a str, &'a Value)>,
    faults: &'a mut Faults,
}

fn fold(key: &str) -> String {
    key.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// The map of a block: HCL has lists of one map.
fn map_of(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Array(items) => match &items[..] {
            [Value::Object(map)] => Some(map),
            _ => None,
        },
        _ => None,
    }
}

impl<'a> Block<'a> {
    /// Reads the fields of a value with `read`; then its unknown ones are faults. `None` for what is no map.
    pub(in crate::config) fn read<O>(
        path: String,
        value: &Value,
        faults: &mut Faults,
        read: impl FnOnce(&mut Block<'_>) -> O,
    ) -> Option<O> {
        let Some(map) = map_of(value) else {
            faults.types.push(format!("'{path}' expected a map, got '{}'", go_type(value)));
            return None;
        };
        // Of two spellings the one with underscores counts, as in Consul: it is folded last.
        let mut fields = BTreeMap::new();
        for with_underscores in [false, true] {
            for (key, value) in map.iter().filter(|(k, v)| k.contains('_') == with_underscores && !v.is_null()) {
                fields.insert(fold(key), (key.as_str(), value));
            }
        }
        let mut block = Block { path, fields, faults };
        let read = read(&mut block);
        let unknown: Vec<String> = block.fields.values().map(|(key, _)| block.at(key)).collect();
        block.faults.unknown.extend(unknown);
        Some(read)
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn take(&mut self, name: &str) -> Option<(&'a str, &'a Value)> {
        self.fields.remove(&fold(name))
    }

    fn mismatch(&mut self, key: &str, expected: &str, got: &Value) {
        let at = self.at(key);
        self.faults.types.push(format!("'{at}' expected type '{expected}', got unconvertible type '{}'", go_type(got)));
    }

    /// A field that is known and means nothing here.
    pub(in crate::config) fn skip(&mut self, name: &str) {
        self.take(name);
    }

    /// A text; empty when not given.
    pub(in crate::config) fn text(&mut self, name: &str) -> String {
        match self.take(name) {
            Some((_, Value::String(text))) => text.clone(),
            Some((key, got)) => {
                self.mismatch(key, "string", got);
                String::new()
            }
            None => String::new(),
        }
    }

    /// A text that is short.
    pub(in crate::config) fn short(&mut self, name: &str) -> Text {
        self.text(name).into()
    }

    /// A switch, if given.
    pub(in crate::config) fn choice(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            (_, Value::Bool(on)) => Some(*on),
            (key, got) => {
                self.mismatch(key, "bool", got);
                None
            }
        }
    }

    /// A switch; off when not given.
    pub(in crate::config) fn switch(&mut self, name: &str) -> bool {
        self.choice(name).unwrap_or(false)
    }

    /// A whole number, if given.
    pub(in crate::config) fn int(&mut self, name: &str) -> Option<i64> {
        let (key, value) = self.take(name)?;
        // Consul cuts the fraction off; JSON has no other numbers.
        let number = value.as_i64().or_else(|| value.as_f64().map(|n| n as i64));
        if number.is_none() {
            self.mismatch(key, "int", value);
        }
        number
    }

    /// A duration as a text, nanoseconds; 0 when not given.
    pub(in crate::config) fn duration(&mut self, name: &str) -> i64 {
        let text = self.text(name);
        if text.is_empty() {
            return 0;
        }
        parse_duration(&text).unwrap_or_else(|error| {
            let at = self.at(name);
            self.faults.values.push(format!("{at}: invalid duration: {text:?}: {error}"));
            0
        })
    }

    /// A list of texts.
    pub(in crate::config) fn texts(&mut self, name: &str) -> Vec<String> {
        match self.take(name) {
            Some((key, list)) => self.text_list(key, list),
            None => Vec::new(),
        }
    }

    fn text_list(&mut self, key: &str, list: &Value) -> Vec<String> {
        let Value::Array(items) = list else {
            let at = self.at(key);
            self.faults.types.push(format!("'{at}': source data must be an array or slice, got {}", go_type(list)));
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.mismatch(&format!("{key}[{index}]"), "string", item),
            }
        }
        texts
    }

    /// A map of texts, in order of key.
    pub(in crate::config) fn text_map(&mut self, name: &str) -> Vec<(Text, Text)> {
        let mut pairs = Vec::new();
        if let Some((key, entries)) = self.map(name) {
            for (inner, value) in entries {
                match value.as_str() {
                    Some(text) => pairs.push((inner.as_str().into(), text.into())),
                    None => self.mismatch(&format!("{key}[{inner}]"), "string", value),
                }
            }
        }
        pairs.sort();
        pairs
    }

    /// A map of lists of texts.
    pub(in crate::config) fn text_lists(&mut self, name: &str) -> BTreeMap<String, Vec<Text>> {
        let mut lists = BTreeMap::new();
        if let Some((key, entries)) = self.map(name) {
            for (inner, value) in entries {
                let texts = self.text_list(&format!("{key}[{inner}]"), value);
                lists.insert(inner.clone(), texts.into_iter().map(Text::from).collect());
            }
        }
        lists
    }

    /// The field as a map, none or one.
    fn map(&mut self, name: &str) -> Option<(&'a str, &'a Map<String, Value>)> {
        let (key, value) = self.take(name)?;
        let map = map_of(value);
        if map.is_none() {
            let at = self.at(key);
            self.faults.types.push(format!("'{at}' expected a map, got '{}'", go_type(value)));
        }
        map.map(|map| (key, map))
    }

    /// A map of anything; empty when not given.
    pub(in crate::config) fn anything(&mut self, name: &str) -> Map<String, Value> {
        self.map(name).map(|(_, map)| map.clone()).unwrap_or_default()
    }

    /// A field whose inside somebody else reads.
    pub(in crate::config) fn opaque(&mut self, name: &str) -> Option<&'a Value> {
        self.take(name).map(|(_, value)| value)
    }

    /// A block within this one.
    pub(in crate::config) fn block<O>(&mut self, name: &str, read: impl FnOnce(&mut Block<'_>) -> O) -> Option<O> {
        let (key, value) = self.take(name)?;
        Block::read(self.at(key), value, self.faults, read)
    }

    /// A list of blocks, or one.
    pub(in crate::config) fn blocks<O>(&mut self, name: &str, read: impl Fn(&mut Block<'_>) -> O) -> Vec<O> {
        let Some((key, value)) = self.take(name) else { return Vec::new() };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let at = self.at(key);
        let faults = &mut *self.faults;
        let read = |(index, item)| Block::read(format!("{at}[{index}]"), item, faults, &read);
        items.iter().enumerate().filter_map(read).collect()
    }

    /// The blocks of a map, with their keys.
    pub(in crate::config) fn named_blocks<O>(
        &mut self,
        name: &str,
        read: impl Fn(&str, &mut Block<'_>) -> O,
    ) -> Vec<O> {
        let Some((key, map)) = self.map(name) else { return Vec::new() };
        let at = self.at(key);
        let faults = &mut *self.faults;
        map.iter().filter_map(|(k, v)| Block::read(format!("{at}[{k}]"), v, faults, |b| read(k, b))).collect()
    }
}
