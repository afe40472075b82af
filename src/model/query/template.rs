//! Templates of prepared queries: `${name.full}`, `${name.prefix}`, `${name.suffix}`, `${match(N)}`, `${agent.segment}`
//! inside the texts of a query, filled in for the name that was asked for; `$${` stands for `${`.
//!
//! Must never: panic, or compile a pattern without a size limit; every input is a user's. Missing: the arithmetic and
//! the nesting that Consul's expression language has besides; such a template is refused when it is stored.

use super::{BadQuery, PreparedQuery};
use crate::model::Text;
use crate::model::filter::go_regex;

/// The only kind of template.
const NAME_PREFIX_MATCH: &str = "name_prefix_match";

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Full,
    Prefix,
    Suffix,
    /// The network segment of the asking agent; there are none.
    Segment,
    /// A group of the regular expression.
    Match(i64),
}

/// What the pieces become for one name.
struct Values<'a> {
    full: &'a str,
    prefix: &'a str,
    groups: Vec<&'a str>,
}

impl PreparedQuery {
    /// Checks kind, pattern and texts of a template.
    ///
    /// # Errors
    /// [`BadQuery`] in Consul's words.
    pub fn check_template(&self) -> Result<(), BadQuery> {
        if !self.is_template() {
            return Ok(());
        }
        if self.template.kind != NAME_PREFIX_MATCH {
            return Err(BadQuery(format!("Bad Template.Type '{}'", self.template.kind)));
        }
        if !self.template.regexp.is_empty() {
            go_regex(&self.template.regexp).map_err(|error| BadQuery(format!("Bad Regexp: {error}")))?;
        }
        for (place, text) in self.clone().texts_mut() {
            pieces(text).map_err(|wrong| match wrong {
                Wrong::Syntax => BadQuery(format!("Bad format '{text}' in {place}: parse error: syntax error")),
                Wrong::Meaning(reason) => BadQuery(format!("Bad evaluation for '{text}' in {place}: {reason}")),
            })?;
        }
        Ok(())
    }

    /// The query for this name. What is no template stays as it is.
    pub fn render(&self, name: &str) -> PreparedQuery {
        let mut query = self.clone();
        if !self.is_template() {
            return query;
        }
        // The pattern was compiled when it was stored; one that no longer compiles matches nothing.
        let regex = Some(&self.template.regexp).filter(|r| !r.is_empty()).and_then(|r| go_regex(r).ok());
        let captures = regex.as_ref().and_then(|regex| regex.captures(name));
        let groups = captures.iter().flat_map(|c| c.iter().map(|g| g.map_or("", |g| g.as_str()))).collect();
        let values = Values { full: name, prefix: &self.name, groups };
        for (_, text) in query.texts_mut() {
            *text = values.fill(text);
        }
        if self.template.remove_empty_tags
            && let Some(tags) = &mut query.service.tags
        {
            *tags = tags.iter().filter(|tag| !tag.is_empty()).cloned().collect();
        }
        query
    }
}

impl Values<'_> {
    fn fill(&self, text: &str) -> Text {
        // Checked when the template was stored; what cannot be read stays as it is.
        let Ok(pieces) = pieces(text) else { return text.into() };
        let mut filled = Text::default();
        for piece in pieces {
            filled.push_str(match piece {
                Piece::Literal(text) => text,
                Piece::Full => self.full,
                Piece::Prefix => self.prefix,
                // The name was found without case.
                Piece::Suffix => self.full.get(self.prefix.len()..).unwrap_or_default(),
                Piece::Segment => "",
                Piece::Match(group) => {
                    usize::try_from(group).ok().and_then(|g| self.groups.get(g)).copied().unwrap_or_default()
                }
            });
        }
        filled
    }
}

/// Why a text is no template.
enum Wrong {
    Syntax,
    Meaning(String),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Wrong> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            // The first dollar escapes the second.
            pieces.push(Piece::Literal(&rest[..at - 1]));
            pieces.push(Piece::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        let inside = &rest[at + 2..];
        let end = inside.find('}').ok_or(Wrong::Syntax)?;
        pieces.push(Piece::Literal(&rest[..at]));
        let column = text.len() - inside.len() + 1;
        pieces.push(expression(&inside[..end], column)?);
        rest = &inside[end + 1..];
    }
    pieces.push(Piece::Literal(rest));
    Ok(pieces)
}

fn expression(text: &str, column: usize) -> Result<Piece<'static>, Wrong> {
    let column = column + text.len() - text.trim_start().len();
    let text = text.trim();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if let Some((function, arguments)) = text.split_once('(') {
        let (function, arguments) = (function.trim_end(), arguments.strip_suffix(')').ok_or(Wrong::Syntax)?);
        if !is_name(function) {
            return Err(Wrong::Syntax);
        }
        if function != "match" {
            return Err(Wrong::Meaning(format!("1:{column}: unknown function called: {function}")));
        }
        return group(arguments.trim(), column);
    }
    match text {
        "name.full" => Ok(Piece::Full),
        "name.prefix" => Ok(Piece::Prefix),
        "name.suffix" => Ok(Piece::Suffix),
        "agent.segment" => Ok(Piece::Segment),
        other if is_name(other) && !other.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(Wrong::Meaning(format!("1:{column}: unknown variable accessed: {other}")))
        }
        _ => Err(Wrong::Syntax),
    }
}

/// The number of a group, which may be written as a text.
fn group(argument: &str, column: usize) -> Result<Piece<'static>, Wrong> {
    let quoted = argument.strip_prefix('"').and_then(|a| a.strip_suffix('"')).filter(|a| !a.contains('"'));
    if let Some(text) = quoted {
        let not_a_number =
            |_| Wrong::Meaning(format!("__builtin_StringToInt: strconv.ParseInt: parsing {text:?}: invalid syntax"));
        return text.parse().map(Piece::Match).map_err(not_a_number);
    }
    let given = if argument.is_empty() { 0 } else { argument.split(',').count() };
    if given != 1 {
        return Err(Wrong::Meaning(format!("1:{column}: match: expected 1 arguments, got {given}")));
    }
    argument.parse().map(Piece::Match).map_err(|_| Wrong::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::query::{QueryTemplate, ServiceQuery};
    use proptest::prelude::*;

    fn template(prefix: &str, regexp: &str, service: &str, tags: &[&str]) -> PreparedQuery {
        PreparedQuery {
            name: prefix.into(),
            template: QueryTemplate { kind: NAME_PREFIX_MATCH.into(), regexp: regexp.into(), remove_empty_tags: true },
            service: ServiceQuery {
                service: service.into(),
                tags: Some(tags.iter().map(|t| Text::from(*t)).collect()),
                ..ServiceQuery::default()
            },
            ..PreparedQuery::default()
        }
    }

    #[test]
    fn texts_are_filled_in_for_the_name() {
        let tags = ["${name.prefix}", "x${ name.suffix }y", "${match(2)}", "${match(7)}", "$${x}", "${match(\"1\")}"];
        let query = template("geo-", "^geo-(.*)-([^-]+)$", "${name.full}", &tags);
        query.check_template().unwrap();
        let filled = query.render("Geo-db-eu").service;
        assert_eq!(filled.service, "Geo-db-eu");
        let tags = filled.tags.unwrap();
        assert_eq!(tags[..], ["geo-", "xdb-euy", "${x}"].map(Text::from), "the pattern has case, the prefix has not");
        let tags = query.render("geo-db-eu").service.tags.unwrap();
        assert_eq!(tags[..], ["geo-", "xdb-euy", "eu", "${x}", "db"].map(Text::from));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        for (text, error) in [
            ("${nope}", "Bad evaluation for '${nope}' in Service.Service: 1:3: unknown variable accessed: nope"),
            ("a${name.full", "Bad format 'a${name.full' in Service.Service: parse error: syntax error"),
            ("${up(x)}", "Bad evaluation for '${up(x)}' in Service.Service: 1:3: unknown function called: up"),
            (
                "${match()}",
                "Bad evaluation for '${match()}' in Service.Service: 1:3: match: expected 1 arguments, got 0",
            ),
            ("${1 + 1}", "Bad format '${1 + 1}' in Service.Service: parse error: syntax error"),
            ("${}", "Bad format '${}' in Service.Service: parse error: syntax error"),
        ] {
            assert_eq!(template("a", "", text, &[]).check_template(), Err(BadQuery(error.to_owned())));
        }
        let bad = template("a", "[", "x", &[]).check_template().unwrap_err();
        assert!(bad.0.starts_with("Bad Regexp: error parsing regexp: "), "{bad}");
    }

    proptest! {
        #[test]
        fn no_template_panics(
            text in r#"[$\{\}().a-z0-9" é-]{0,30}"#, regexp in r"[a-z(.*)\[\]\\-]{0,12}", name in "\\PC{0,20}",
            prefix in "\\PC{0,4}",
        ) {
            let query = template(&prefix, &regexp, &text, &[&text]);
            let _ = query.check_template();
            let _ = query.render(&name);
        }

        #[test]
        fn a_text_without_a_dollar_stays(text in "[a-z{}() é]{0,20}", name in "[a-z]{0,5}") {
            prop_assert_eq!(template("", "", &text, &[]).render(&name).service.service, text);
        }
    }
}
