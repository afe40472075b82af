//! Evaluates a checked expression.
//!
//! Owns: [`Filter`] and the truth tables. Must never: allocate or fail.

use super::bind::{Leaf, Node, Want, bind};
use super::field::{Field, Fields, Path, Value};
use super::{FilterError, syntax};

/// A filter expression, parsed and checked against the fields of the objects it is for.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Node,
}

impl Filter {
    /// Reads an expression over objects with these fields. The empty text lets everything through.
    ///
    /// # Errors
    /// When the text is not of the language, names unknown fields, tests a field in a way that its type does not
    /// allow, or exceeds a limit of this module.
    pub fn parse(text: &str, fields: &'static [Field]) -> Result<Filter, FilterError> {
        if text.is_empty() {
            return Ok(Filter { root: Node::And(Vec::new()) });
        }
        Ok(Filter { root: bind(syntax::parse(text)?, fields)? })
    }

    /// Whether the filter lets the item through. The item must be of the description given to [`Filter::parse`];
    /// what it does not know counts as absent.
    pub fn matches(&self, item: &dyn Fields) -> bool {
        holds(&self.root, item)
    }
}

fn holds(node: &Node, item: &dyn Fields) -> bool {
    match node {
        Node::Or(parts) => parts.iter().any(|part| holds(part, item)),
        Node::And(parts) => parts.iter().all(|part| holds(part, item)),
        Node::Not(inner) => !holds(inner, item),
        Node::Leaf(leaf) => item.visit(Path::new(&leaf.steps), &|value| leaf.test(value)),
    }
}

impl Leaf {
    /// Of a list, Consul asks whether any element passes the whole test, the negation included: `Checks.Status !=
    /// passing` means that some check is not passing, and it fails for an empty list.
    fn test(&self, value: Value<'_>) -> bool {
        self.want.meets(value) != self.not
    }
}

impl Want {
    fn meets(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Want::Text(want), Value::Text(text)) => text == want,
            (Want::Bool(want), Value::Bool(value)) => value == *want,
            (Want::Int(want), Value::Int(value)) => value == *want,
            (Want::In(part), Value::Text(text)) => text.contains(part.as_str()),
            (Want::In(item), Value::Items(items)) => items.contains(item),
            (Want::Empty, Value::Items(items)) => items.is_empty(),
            (Want::Pattern(pattern), Value::Text(text)) => pattern.is_match(text),
            // What is not there equals nothing and is in nothing, but is empty.
            (Want::Empty, _) => true,
            _ => false,
        }
    }
}
