//! The expression as written: not yet checked against any fields.
//!
//! Owns: the tree and its canonical text. Printing and parsing again gives the same tree.

use std::fmt::{self, Display, Formatter};

use super::go::quote;

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    /// One of them holds; at least two.
    Or(Vec<Expr>),
    /// All of them hold; at least two.
    And(Vec<Expr>),
    /// It does not hold; never directly inside another `Not`.
    Not(Box<Expr>),
    /// One test of one selector.
    Match(Match),
}

/// One test of one selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Field names and map keys, outermost first; at least one.
    pub(super) selector: Vec<String>,
    pub(super) op: Op,
    /// Absent for `is empty` and `is not empty` only.
    pub(super) value: Option<String>,
}

/// What a test asks, and whether it asks for the contrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) verb: Verb,
    pub(super) not: bool,
}

/// What a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Equal,
    /// `in` and `contains`: an item of a list, a key of a map, a part of a string.
    In,
    Empty,
    Matches,
}

impl Op {
    /// The name by which Consul's errors call it.
    pub(super) fn name(self) -> &'static str {
        match (self.verb, self.not) {
            (Verb::Equal, false) => "Equal",
            (Verb::Equal, true) => "Not Equal",
            (Verb::In, false) => "In",
            (Verb::In, true) => "Not In",
            (Verb::Empty, false) => "Is Empty",
            (Verb::Empty, true) => "Is Not Empty",
            (Verb::Matches, false) => "Matches",
            (Verb::Matches, true) => "Not Matches",
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Or(parts) => join(f, parts, " or "),
            Expr::And(parts) => join(f, parts, " and "),
            Expr::Not(inner) => {
                f.write_str("not ")?;
                operand(f, inner)
            }
            Expr::Match(test) => write!(f, "{test}"),
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Expr], word: &str) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        operand(f, part)?;
    }
    Ok(())
}

fn operand(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Or(_) | Expr::And(_) => write!(f, "({expr})"),
        Expr::Not(_) | Expr::Match(_) => write!(f, "{expr}"),
    }
}

impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = if self.op.not { "not " } else { "" };
        let value = quote(self.value.as_deref().unwrap_or_default());
        let selector = Selector(&self.selector);
        match self.op.verb {
            Verb::Equal if self.op.not => write!(f, "{selector} != {value}"),
            Verb::Equal => write!(f, "{selector} == {value}"),
            Verb::In => write!(f, "{value} {not}in {selector}"),
            Verb::Empty => write!(f, "{selector} is {not}empty"),
            Verb::Matches => write!(f, "{selector} {not}matches {value}"),
        }
    }
}

struct Selector<'a>(&'a [String]);

impl Display for Selector<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            match is_identifier(part) {
                true if i == 0 => f.write_str(part)?,
                true => write!(f, ".{part}")?,
                false => write!(f, "[{}]", quote(part))?,
            }
        }
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
