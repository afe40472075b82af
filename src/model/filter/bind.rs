//! Checks an expression against a description of fields and compiles it.
//!
//! Owns: which operator fits which type, and the conversion of values. After this, evaluation cannot fail.

use regex::Regex;

use super::expr::{Expr, Match, Op, Verb};
use super::field::{Field, Kind};
use super::{FilterError, MAX_PATTERNS, go, pattern};

/// A checked expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

/// A checked test.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) steps: Vec<String>,
    pub(super) not: bool,
    pub(super) want: Want,
}

/// What a test compares with.
#[derive(Clone, Debug)]
pub(super) enum Want {
    Text(String),
    Bool(bool),
    Int(i64),
    /// A part of a string, an item of a list or a key of a map.
    In(String),
    Empty,
    Pattern(Regex),
}

/// Checks an expression whose operators nest no deeper than the parser allows.
pub(super) fn bind(expr: Expr, fields: &'static [Field]) -> Result<Node, FilterError> {
    Binder { fields, patterns: 0 }.expr(expr)
}

struct Binder {
    fields: &'static [Field],
    patterns: usize,
}

impl Binder {
    fn expr(&mut self, expr: Expr) -> Result<Node, FilterError> {
        Ok(match expr {
            Expr::Or(parts) => Node::Or(self.exprs(parts)?),
            Expr::And(parts) => Node::And(self.exprs(parts)?),
            Expr::Not(inner) => Node::Not(Box::new(self.expr(*inner)?)),
            Expr::Match(test) => Node::Leaf(self.leaf(test)?),
        })
    }

    fn exprs(&mut self, parts: Vec<Expr>) -> Result<Vec<Node>, FilterError> {
        parts.into_iter().map(|part| self.expr(part)).collect()
    }

    fn leaf(&mut self, test: Match) -> Result<Leaf, FilterError> {
        let Match { selector, op, value } = test;
        let kind = resolve(&selector, self.fields)?;
        let value = value.unwrap_or_default();
        let want = match (kind, op.verb) {
            (Kind::Text, Verb::Equal) => Want::Text(value),
            (Kind::Bool, Verb::Equal) => Want::Bool(coerce(go::parse_bool, value, &selector)?),
            (Kind::Int, Verb::Equal) => Want::Int(coerce(go::parse_int, value, &selector)?),
            (Kind::Text | Kind::Texts | Kind::Map(_), Verb::In) => Want::In(value),
            (Kind::Texts | Kind::Map(_) | Kind::Structs(_), Verb::Empty) => Want::Empty,
            (Kind::Text, Verb::Matches) => Want::Pattern(self.pattern(value)?),
            _ => return Err(refuse(op, &selector)),
        };
        Ok(Leaf { steps: selector, not: op.not, want })
    }

    fn pattern(&mut self, pattern: String) -> Result<Regex, FilterError> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(FilterError::TooManyPatterns);
        }
        pattern::compile(pattern)
    }
}

/// The type at the end of a selector.
fn resolve(selector: &[String], fields: &'static [Field]) -> Result<Kind, FilterError> {
    let mut kind = Kind::Struct(fields);
    for (i, step) in selector.iter().enumerate() {
        let next = match kind {
            Kind::Struct(fields) | Kind::Structs(fields) => {
                fields.iter().find(|field| field.name == step).map(|field| field.kind)
            }
            Kind::Map(value) => Some(*value),
            Kind::Text | Kind::Bool | Kind::Int | Kind::Texts => None,
        };
        kind = next.ok_or_else(|| FilterError::Selector { selector: selector[..=i].join(".") })?;
    }
    Ok(kind)
}

fn refuse(op: Op, selector: &[String]) -> FilterError {
    FilterError::Operator { operator: op.name(), selector: selector.join(".") }
}

fn coerce<T>(parse: impl Fn(&str) -> Result<T, String>, value: String, selector: &[String]) -> Result<T, FilterError> {
    parse(&value).map_err(|detail| FilterError::Value { value, selector: selector.join("."), detail })
}
