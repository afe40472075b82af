//! Items, blocks, lists and values.

use super::tokens::{blank, heredoc, identifier, number, string};
use super::{DEPTH_MAX, HclError};
use serde_json::Value;
use winnow::Parser;
use winnow::combinator::{opt, peek};
use winnow::error::{EmptyError, ErrMode, ModalResult};
use winnow::stream::{LocatingSlice, Location, Stateful};
use winnow::token::any;

pub(super) type Input<'a> = Stateful<LocatingSlice<&'a str>, Trace>;
pub(super) type Parsed<O> = ModalResult<O, EmptyError>;

/// What the parser has met so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    depth: usize,
    /// The error: nothing is tried again, so there is at most one.
    fault: Option<(usize, String)>,
}

/// A key with its place.
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: usize,
}

/// `keys = node` or `keys { … }`.
pub(super) struct Item {
    /// At least one; those after the first are labels.
    pub(super) keys: Vec<Key>,
    pub(super) node: Node,
}

/// A value whose blocks are not lowered yet.
pub(super) enum Node {
    Plain(Value),
    List(Vec<Node>),
    Object(Vec<Item>),
}

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, HclError> {
    let mut input = Stateful { input: LocatingSlice::new(text), state: Trace::default() };
    items(&mut input, None).map_err(|_| {
        let end = (text.len(), "the text is no HCL".to_owned());
        let (offset, reason) = input.state.fault.take().unwrap_or(end);
        HclError::new(text, offset, reason)
    })
}

/// Ends the reading with an error at this place.
pub(super) fn fail<O>(input: &mut Input<'_>, at: usize, reason: impl Into<String>) -> Parsed<O> {
    input.state.fault = Some((at, reason.into()));
    Err(ErrMode::Cut(EmptyError))
}

/// The next character.
pub(super) fn next(input: &mut Input<'_>) -> Parsed<Option<char>> {
    peek(opt(any)).parse_next(input)
}

/// Items up to the closing brace of the block that was opened there, or up to the end of the text.
fn items(input: &mut Input<'_>, opened: Option<usize>) -> Parsed<Vec<Item>> {
    let mut found = Vec::new();
    loop {
        blank(input)?;
        match (next(input)?, opened) {
            (None, None) => return Ok(found),
            (None, Some(_)) => {
                let at = input.current_token_start();
                return fail(input, at, "object expected closing RBRACE got: EOF: a block or object is not closed");
            }
            (Some('}'), Some(_)) => {
                any.parse_next(input)?;
                return Ok(found);
            }
            _ => found.push(item(input)?),
        }
        blank(input)?;
        opt(',').parse_next(input)?;
    }
}

fn item(input: &mut Input<'_>) -> Parsed<Item> {
    let mut keys: Vec<Key> = Vec::new();
    loop {
        blank(input)?;
        let at = input.current_token_start();
        let text = match (next(input)?, keys.len()) {
            (Some('"'), _) => string(input)?,
            (Some(c), _) if starts_identifier(c) => identifier(input)?.to_owned(),
            (Some('='), 1) => {
                any.parse_next(input)?;
                return Ok(Item { keys, node: value(input)? });
            }
            (Some('{'), 1..) => {
                let node = object(input)?;
                return Ok(Item { keys, node });
            }
            (Some('='), 0) => return fail(input, at, "no object keys found! expected a key before '='"),
            (Some('='), _) => {
                let reason = "nested object expected: LBRACE got: ASSIGN: a key with labels is followed by a block";
                return fail(input, at, reason);
            }
            (got, 0) => {
                let reason = format!("illegal char: expected a key, got {}", name(got));
                return fail(input, at, reason);
            }
            (got, _) => {
                let key = keys.last().map(|k| k.text.as_str()).unwrap_or_default();
                let expected = "expected start of object ('{') or assignment ('=')";
                let reason = format!("key '{key}' {expected}, got {}", name(got));
                return fail(input, at, reason);
            }
        };
        keys.push(Key { text, at });
    }
}

fn object(input: &mut Input<'_>) -> Parsed<Node> {
    let at = input.current_token_start();
    deeper(input, at)?;
    any.parse_next(input)?;
    let found = items(input, Some(at))?;
    input.state.depth -= 1;
    Ok(Node::Object(found))
}

fn deeper(input: &mut Input<'_>, at: usize) -> Parsed<()> {
    input.state.depth += 1;
    if input.state.depth > DEPTH_MAX {
        return fail(input, at, format!("blocks and lists are nested more than {DEPTH_MAX} deep"));
    }
    Ok(())
}

fn list(input: &mut Input<'_>) -> Parsed<Node> {
    let at = input.current_token_start();
    deeper(input, at)?;
    any.parse_next(input)?;
    let mut nodes = Vec::new();
    loop {
        blank(input)?;
        if opt(']').parse_next(input)?.is_some() {
            break;
        }
        nodes.push(value(input)?);
        blank(input)?;
        let at = input.current_token_start();
        match next(input)? {
            Some(',') => any.void().parse_next(input)?,
            Some(']') => {}
            got => {
                let reason = format!("error parsing list, expected comma or list end, got: {}", name(got));
                return fail(input, at, reason);
            }
        }
    }
    input.state.depth -= 1;
    Ok(Node::List(nodes))
}

fn value(input: &mut Input<'_>) -> Parsed<Node> {
    blank(input)?;
    let at = input.current_token_start();
    match next(input)? {
        Some('"') => Ok(Node::Plain(string(input)?.into())),
        Some('<') => Ok(Node::Plain(heredoc(input)?.into())),
        Some('[') => list(input),
        Some('{') => object(input),
        Some(c) if c == '-' || c.is_ascii_digit() => Ok(Node::Plain(number(input)?)),
        Some(c) if starts_identifier(c) => match identifier(input)? {
            "true" => Ok(Node::Plain(true.into())),
            "false" => Ok(Node::Plain(false.into())),
            word => {
                let reason = format!("Unknown token: IDENT {word}: texts are written in quotes");
                fail(input, at, reason)
            }
        },
        got => {
            let reason = format!("Unknown token: expected a value after '=', '[' or ',', got {}", name(got));
            fail(input, at, reason)
        }
    }
}

/// Whether an identifier may begin so.
pub(super) fn starts_identifier(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

/// A character for a message.
fn name(got: Option<char>) -> String {
    got.map_or_else(|| "EOF".to_owned(), |c| format!("{c:?}"))
}
