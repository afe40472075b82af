//! The grammar.
//!
//! ```text
//! expr     := and (" or " and)*
//! and      := not (" and " not)*
//! not      := "not " not | "(" expr ")" | match
//! match    := selector ("==" | "!=" | " [not ]contains " | " [not ]matches ") value
//!           | selector " is [not ]empty" | value " [not ]in " selector
//! selector := identifier ("." identifier | "[" string "]")*
//! value    := selector | number | string
//! ```
//!
//! Owns: the text to tree step and its errors. Alternatives backtrack as in Consul (`not in x` asks for the value
//! `not`), but each level is read once, so the time is linear in the text where Consul's is exponential in nesting.
//! Every terminal that fails leaves its name at its offset; the names at the furthest offset make the message.

use std::collections::BTreeSet;

use winnow::Parser;
use winnow::combinator::{alt, empty, eof, opt, preceded};
use winnow::error::{EmptyError, ErrMode, ModalResult};
use winnow::stream::{LocatingSlice, Location, Stateful, Stream};
use winnow::token::{literal, one_of, take_while};

use super::expr::{Expr, Match, Op, Verb};
use super::{FilterError, MAX_DEPTH, MAX_TEXT, go};

type Input<'a> = Stateful<LocatingSlice<&'a str>, Trace>;
type Parsed<O> = ModalResult<O, EmptyError>;

const BACKTRACK: ErrMode<EmptyError> = ErrMode::Backtrack(EmptyError);
const SPACE: &str = r"[ \t\r\n]";
const LETTER: &str = "[a-zA-Z]";
const END: &str = "EOF";

/// What the parser has met so far; not undone by backtracking.
#[derive(Debug, Default)]
struct Trace {
    depth: usize,
    /// The furthest offset at which a terminal failed, and the names of those terminals.
    furthest: usize,
    expected: BTreeSet<&'static str>,
    /// An error that no alternative can repair.
    fatal: Option<Fatal>,
}

#[derive(Debug)]
enum Fatal {
    TooDeep,
    Rule { offset: usize, rule: &'static str, problem: &'static str },
}

impl Trace {
    fn expect(&mut self, offset: usize, name: &'static str) {
        if offset > self.furthest {
            self.furthest = offset;
            self.expected.clear();
        }
        if offset == self.furthest {
            self.expected.insert(name);
        }
    }
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError::TooLong { length: text.len() });
    }
    let mut input = Stateful { input: LocatingSlice::new(text), state: Trace::default() };
    whole(&mut input).map_err(|_| explain(text, input.state))
}

fn explain(text: &str, trace: Trace) -> FilterError {
    let (offset, detail) = match trace.fatal {
        Some(Fatal::TooDeep) => return FilterError::TooDeep,
        Some(Fatal::Rule { offset, rule, problem }) => (offset, format!("rule {}: {problem}", go::quote(rule))),
        None => (trace.furthest, format!("no match found, expected: {}", list(trace.expected))),
    };
    // A line break counts as column 0 of the line that it opens.
    let through = text[offset..].chars().next().map_or(offset, |c| offset + c.len_utf8());
    let line = 1 + text[..through].matches('\n').count();
    let start = text[..through].rfind('\n').unwrap_or(0);
    let column = text[start..offset.max(start)].chars().count() + usize::from(line == 1);
    FilterError::Syntax { line, column, offset, detail }
}

/// `a, b or c`, with the end of the text last.
fn list(mut names: BTreeSet<&'static str>) -> String {
    let end = names.remove(END);
    let names: Vec<_> = names.into_iter().chain(end.then_some(END)).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn whole(input: &mut Input<'_>) -> Parsed<Expr> {
    blank(input)?;
    let expr = or(input)?;
    blank(input)?;
    terminal(eof, END).void().parse_next(input)?;
    Ok(expr)
}

fn or(input: &mut Input<'_>) -> Parsed<Expr> {
    chain(input, "or", "\"or\"", and, Expr::Or)
}

fn and(input: &mut Input<'_>) -> Parsed<Expr> {
    chain(input, "and", "\"and\"", not, Expr::And)
}

/// One or more operands with a word between them; as many as can be read.
fn chain(
    input: &mut Input<'_>,
    word: &'static str,
    name: &'static str,
    operand: fn(&mut Input<'_>) -> Parsed<Expr>,
    join: fn(Vec<Expr>) -> Expr,
) -> Parsed<Expr> {
    let first = operand(input)?;
    let mut parts = Vec::new();
    while let Some(part) = opt(preceded((space, terminal(literal(word), name), space), operand)).parse_next(input)? {
        parts.push(part);
    }
    if parts.is_empty() {
        return Ok(first);
    }
    parts.insert(0, first);
    Ok(join(parts))
}

fn not(input: &mut Input<'_>) -> Parsed<Expr> {
    let negated = preceded((terminal(literal("not"), "\"not\""), space), |input: &mut Input<'_>| nested(input, not));
    match opt(negated).parse_next(input)? {
        Some(Expr::Not(inner)) => Ok(*inner),
        Some(expr) => Ok(Expr::Not(Box::new(expr))),
        None => alt((group, comparison.map(Expr::Match))).parse_next(input),
    }
}

fn group(input: &mut Input<'_>) -> Parsed<Expr> {
    terminal(literal("("), "\"(\"").void().parse_next(input)?;
    blank(input)?;
    let expr = nested(input, or)?;
    blank(input)?;
    if opt(terminal(literal(")"), "\")\"")).parse_next(input)?.is_none() {
        return Err(fail(input, "grouping", "Unmatched parentheses"));
    }
    Ok(expr)
}

fn nested(input: &mut Input<'_>, inner: fn(&mut Input<'_>) -> Parsed<Expr>) -> Parsed<Expr> {
    if input.state.depth == MAX_DEPTH {
        input.state.fatal = Some(Fatal::TooDeep);
        return Err(ErrMode::Cut(EmptyError));
    }
    input.state.depth += 1;
    let result = inner(input);
    input.state.depth -= 1;
    result
}

fn comparison(input: &mut Input<'_>) -> Parsed<Match> {
    let value = match opt(selector).parse_next(input)? {
        Some(selector) => {
            let mut found = opt(alt(((compare, value.map(Some)), (emptiness, empty.value(None)))));
            if let Some((op, value)) = found.parse_next(input)? {
                return Ok(Match { selector, op, value });
            }
            // Then it is no selector but the bare word of `word in selector`.
            selector.join(".")
        }
        None => alt((number, string)).parse_next(input)?,
    };
    let op = containment("in", "\"in\"").parse_next(input)?;
    match opt(selector).parse_next(input)? {
        Some(selector) => Ok(Match { selector, op, value: Some(value) }),
        None => Err(fail(input, "match", "Invalid selector")),
    }
}

fn compare(input: &mut Input<'_>) -> Parsed<Op> {
    alt((
        sign("==", "\"==\"", false),
        sign("!=", "\"!=\"", true),
        containment("contains", "\"contains\""),
        |i: &mut _| word(i, "matches", "\"matches\"", Verb::Matches),
    ))
    .parse_next(input)
}

fn sign<'a>(text: &'static str, name: &'static str, not: bool) -> impl Parser<Input<'a>, Op, ErrMode<EmptyError>> {
    (blank, terminal(literal(text), name), blank).value(Op { verb: Verb::Equal, not })
}

fn containment<'a>(text: &'static str, name: &'static str) -> impl Parser<Input<'a>, Op, ErrMode<EmptyError>> {
    move |input: &mut Input<'a>| word(input, text, name, Verb::In)
}

/// A word between spaces, with or without `not` before it.
fn word(input: &mut Input<'_>, text: &'static str, name: &'static str, verb: Verb) -> Parsed<Op> {
    let plain = |input: &mut Input<'_>| (space, terminal(literal(text), name), space).void().parse_next(input);
    let negated = preceded((space, terminal(literal("not"), "\"not\"")), plain);
    alt((plain.value(Op { verb, not: false }), negated.value(Op { verb, not: true }))).parse_next(input)
}

fn emptiness(input: &mut Input<'_>) -> Parsed<Op> {
    (space, terminal(literal("is"), "\"is\""), space).void().parse_next(input)?;
    let not = opt((terminal(literal("not"), "\"not\""), space)).parse_next(input)?.is_some();
    terminal(literal("empty"), "\"empty\"").value(Op { verb: Verb::Empty, not }).parse_next(input)
}

fn selector(input: &mut Input<'_>) -> Parsed<Vec<String>> {
    let mut steps = vec![identifier(input)?];
    let member = |input: &mut Input<'_>| preceded(terminal(literal("."), "\".\""), identifier).parse_next(input);
    while let Some(step) = opt(alt((member, index))).parse_next(input)? {
        steps.push(step);
    }
    Ok(steps)
}

fn identifier(input: &mut Input<'_>) -> Parsed<String> {
    let first = terminal(one_of(|c: char| c.is_ascii_alphabetic()), LETTER).parse_next(input)?;
    let rest = run(input, |c| c.is_ascii_alphanumeric() || c == '_', "[a-zA-Z0-9_]")?;
    Ok(format!("{first}{rest}"))
}

fn index(input: &mut Input<'_>) -> Parsed<String> {
    terminal(literal("["), "\"[\"").void().parse_next(input)?;
    blank(input)?;
    let Some(key) = opt(string).parse_next(input)? else {
        return Err(fail(input, "index", "Invalid index"));
    };
    blank(input)?;
    match opt(terminal(literal("]"), "\"]\"")).parse_next(input)? {
        Some(_) => Ok(key),
        None => Err(fail(input, "index", "Unclosed index expression")),
    }
}

fn value(input: &mut Input<'_>) -> Parsed<String> {
    alt((selector.map(|steps| steps.join(".")), number, string)).parse_next(input)
}

fn number(input: &mut Input<'_>) -> Parsed<String> {
    let start = input.checkpoint();
    let minus = opt(terminal(literal("-"), "\"-\"")).parse_next(input)?.unwrap_or_default();
    let whole = if opt(terminal(literal("0"), "\"0\"")).parse_next(input)?.is_some() {
        "0".to_owned()
    } else {
        match terminal(one_of('1'..='9'), "[1-9]").parse_next(input) {
            Ok(first) => format!("{first}{}", run(input, |c| c.is_ascii_digit(), "[0-9]")?),
            Err(error) => {
                input.reset(&start);
                return Err(error);
            }
        }
    };
    let digits = |input: &mut Input<'_>| {
        terminal(one_of('0'..='9'), "[0-9]")
            .parse_next(input)
            .and_then(|first: char| Ok(format!(".{first}{}", run(input, |c| c.is_ascii_digit(), "[0-9]")?)))
    };
    let fraction = opt(preceded(terminal(literal("."), "\".\""), digits)).parse_next(input)?.unwrap_or_default();
    let end = input.current_token_start();
    input.state.expect(end, END);
    match input.input.chars().next() {
        None | Some(' ' | '\t' | '\r' | '\n' | ')') => Ok(format!("{minus}{whole}{fraction}")),
        Some(_) => Err(fail(input, "number", "Invalid number literal")),
    }
}

fn string(input: &mut Input<'_>) -> Parsed<String> {
    let start = input.current_token_start();
    let raw = opt(terminal(literal("`"), "\"`\"")).parse_next(input)?.is_some();
    if !raw {
        terminal(literal("\""), "\"\\\"\"").void().parse_next(input)?;
    }
    let text: &str = *input.input;
    let Some(end) = closing(text, raw) else {
        input.input.next_slice(text.len());
        return Err(fail(input, "string", "Unterminated string literal"));
    };
    let content = if raw { Some(go::unquote_raw(&text[..end])) } else { go::unquote(&text[..end]) };
    input.input.next_slice(end + 1);
    content.ok_or_else(|| fail_at(input, start, "string", "invalid syntax"))
}

/// The offset of the quote that ends a literal; a backslash protects a double quote.
fn closing(text: &str, raw: bool) -> Option<usize> {
    if raw {
        return text.find('`');
    }
    let mut escaped = false;
    text.bytes().position(|b| {
        let end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        end
    })
}

fn blank(input: &mut Input<'_>) -> Parsed<()> {
    opt(space).void().parse_next(input)
}

fn space(input: &mut Input<'_>) -> Parsed<()> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    match run(input, is_space, SPACE)? {
        "" => Err(BACKTRACK),
        _ => Ok(()),
    }
}

/// As many characters of the class as there are; the end of the run is a place where one more was possible.
fn run<'a>(input: &mut Input<'a>, class: fn(char) -> bool, name: &'static str) -> Parsed<&'a str> {
    let text = take_while(0.., class).parse_next(input)?;
    let end = input.current_token_start();
    input.state.expect(end, name);
    Ok(text)
}

/// A parser whose failure is reported under a name.
fn terminal<'a, O>(
    mut parser: impl Parser<Input<'a>, O, ErrMode<EmptyError>>,
    name: &'static str,
) -> impl Parser<Input<'a>, O, ErrMode<EmptyError>> {
    move |input: &mut Input<'a>| {
        let start = input.current_token_start();
        parser.parse_next(input).inspect_err(|_| input.state.expect(start, name))
    }
}

fn fail(input: &mut Input<'_>, rule: &'static str, problem: &'static str) -> ErrMode<EmptyError> {
    let offset = input.current_token_start();
    fail_at(input, offset, rule, problem)
}

fn fail_at(input: &mut Input<'_>, offset: usize, rule: &'static str, problem: &'static str) -> ErrMode<EmptyError> {
    input.state.fatal = Some(Fatal::Rule { offset, rule, problem });
    ErrMode::Cut(EmptyError)
}
