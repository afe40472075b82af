//! From items to values: blocks become lists of maps, labels maps around them.

use super::grammar::{Item, Node};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
}

impl Position {
    /// The place of a byte, which begins a character or is the end.
    pub(super) fn of(text: &str, offset: usize) -> Position {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Position { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What a text says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// Always a map for HCL; for JSON whatever it holds.
    pub(crate) tree: Value,
    places: HashMap<String, Position>,
}

impl Document {
    /// A tree whose places are not known.
    pub(crate) fn plain(tree: Value) -> Document {
        Document { tree, places: HashMap::new() }
    }

    /// Where a key is, by a path as in `services[1].port`. An index 0 may be left out.
    pub(crate) fn place(&self, path: &str) -> Option<Position> {
        self.places.get(&path.replace("[0]", "")).copied()
    }
}

struct Lowering<'a> {
    text: &'a str,
    places: HashMap<String, Position>,
    /// Line starts are searched from the last place on, since keys come in order.
    last: (usize, Position),
}

/// Makes the tree of a text's items.
pub(super) fn lower(text: &str, items: Vec<Item>) -> Document {
    let mut lowering = Lowering { text, places: HashMap::new(), last: (0, Position { line: 1, column: 1 }) };
    let map = lowering.map(items, "");
    Document { tree: Value::Object(map), places: lowering.places }
}

impl Lowering<'_> {
    fn map(&mut self, items: Vec<Item>, path: &str) -> Map<String, Value> {
        let mut map = Map::new();
        for item in items {
            self.insert(&mut map, item, path);
        }
        map
    }

    fn insert(&mut self, map: &mut Map<String, Value>, item: Item, path: &str) {
        let mut keys = item.keys.into_iter();
        let Some(key) = keys.next() else { return };
        let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
        let place = self.position(key.at);
        let rest: Vec<_> = keys.collect();
        let value = match (rest.is_empty(), item.node) {
            (true, Node::Plain(value)) => value,
            (true, Node::List(nodes)) => self.list(nodes, &path),
            (true, Node::Object(items)) => return self.block(map, key.text, items, path, place),
            (false, node) => {
                let inner = vec![Item { keys: rest, node }];
                return self.block(map, key.text, inner, path, place);
            }
        };
        self.places.entry(path).or_insert(place);
        map.insert(key.text, value);
    }

    /// Appends to the blocks of this name.
    fn block(&mut self, map: &mut Map<String, Value>, key: String, items: Vec<Item>, path: String, place: Position) {
        let index = map.get(&key).and_then(Value::as_array).map_or(0, Vec::len);
        let own = if index == 0 { path } else { format!("{path}[{index}]") };
        self.places.entry(own.clone()).or_insert(place);
        let block = Value::Object(self.map(items, &own));
        match map.get_mut(&key) {
            Some(Value::Array(blocks)) => blocks.push(block),
            // A later item replaces a plain value of the same name.
            _ => {
                map.insert(key, Value::Array(vec![block]));
            }
        }
    }

    fn list(&mut self, nodes: Vec<Node>, path: &str) -> Value {
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let own = if index == 0 { path.to_owned() } else { format!("{path}[{index}]") };
            values.push(match node {
                Node::Plain(value) => value,
                Node::List(nodes) => self.list(nodes, &own),
                Node::Object(items) => Value::Object(self.map(items, &own)),
            });
        }
        Value::Array(values)
    }

    fn position(&mut self, offset: usize) -> Position {
        let (from, base) = self.last;
        let Some(between) = self.text.get(from..offset) else { return Position::of(self.text, offset) };
        let here = Position::of(between, between.len());
        let column = if here.line == 1 { base.column + here.column - 1 } else { here.column };
        let here = Position { line: base.line + here.line - 1, column };
        self.last = (offset, here);
        here
    }
}
