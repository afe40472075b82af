//! Properties: no input panics, printing and parsing agree, evaluation agrees with a plain one over a JSON value.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use super::super::expr::{Expr, Match, Op, Verb};
use super::super::{go, syntax};
use super::*;

/// A small alphabet, so that generated values and generated conditions meet.
fn word() -> impl Strategy<Value = String> {
    select(vec!["", "a", "b", "ab", "not", "x y", "\"\\`\n", "é", "1"]).prop_map(str::to_owned)
}

fn selector() -> impl Strategy<Value = Vec<String>> {
    let rest = prop_oneof![word(), "[A-Za-z][A-Za-z0-9_]{0,3}"];
    ("[A-Za-z][A-Za-z0-9_]{0,3}", prop::collection::vec(rest, 0..3)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

fn op() -> impl Strategy<Value = Op> {
    (select(vec![Verb::Equal, Verb::In, Verb::Empty, Verb::Matches]), any::<bool>())
        .prop_map(|(verb, not)| Op { verb, not })
}

/// Any test, whether or not fields allow it.
fn any_match() -> impl Strategy<Value = Match> {
    (selector(), op(), prop_oneof![word(), any::<String>()]).prop_map(|(selector, op, value)| Match {
        selector,
        op,
        value: (op.verb != Verb::Empty).then_some(value),
    })
}

fn tree(leaf: impl Strategy<Value = Match> + 'static) -> impl Strategy<Value = Expr> {
    leaf.prop_map(Expr::Match).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            inner.prop_map(|expr| match expr {
                Expr::Not(inner) => *inner,
                expr => Expr::Not(Box::new(expr)),
            }),
        ]
    })
}

/// A test that the fields of [`ENTRY`] allow, except that a value may not fit.
fn typed_match() -> impl Strategy<Value = Match> {
    let table: Vec<(&[&str], &[Verb])> = vec![
        (&["Node", "Node"], &[Verb::Equal, Verb::In, Verb::Matches]),
        (&["Node", "Meta"], &[Verb::In, Verb::Empty]),
        (&["Node", "Meta", "a"], &[Verb::Equal, Verb::In, Verb::Matches]),
        (&["Service", "Port"], &[Verb::Equal]),
        (&["Service", "EnableTagOverride"], &[Verb::Equal]),
        (&["Service", "Tags"], &[Verb::In, Verb::Empty]),
        (&["Service", "TaggedAddresses"], &[Verb::In, Verb::Empty]),
        (&["Service", "TaggedAddresses", "a", "Address"], &[Verb::Equal, Verb::In]),
        (&["Service", "TaggedAddresses", "a", "Port"], &[Verb::Equal]),
        (&["Checks"], &[Verb::Empty]),
        (&["Checks", "Status"], &[Verb::Equal, Verb::In, Verb::Matches]),
        (&["Checks", "ServiceTags"], &[Verb::In, Verb::Empty]),
    ];
    (select(table), any::<prop::sample::Index>(), any::<bool>(), word()).prop_map(|((path, verbs), at, not, value)| {
        let verb = verbs[at.index(verbs.len())];
        let value = match path.last() {
            Some(&"Port") => "1".to_owned(),
            Some(&"EnableTagOverride") => "true".to_owned(),
            _ if verb == Verb::Matches => "^a".to_owned(),
            _ => value,
        };
        Match {
            selector: path.iter().map(|&step| step.to_owned()).collect(),
            op: Op { verb, not },
            value: (verb != Verb::Empty).then_some(value),
        }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let few = || prop::collection::vec(word(), 0..3);
    let texts = || prop::collection::btree_map(word(), word(), 0..3);
    let address = (word(), 0..3_i64).prop_map(|(address, port)| Address { address, port });
    let check = (word(), few()).prop_map(|(status, tags)| Check { status, tags });
    let addresses = prop::collection::btree_map(word(), address, 0..3);
    let checks = prop::collection::vec(check, 0..3);
    (word(), texts(), few(), texts(), 0..3_i64, any::<bool>(), addresses, checks).prop_map(
        |(node, node_meta, tags, meta, port, override_tags, addresses, checks)| Entry {
            node,
            node_meta,
            tags,
            meta,
            port,
            override_tags,
            addresses,
            checks,
        },
    )
}

fn to_json(entry: &Entry) -> Json {
    let addresses: serde_json::Map<_, _> = entry
        .addresses
        .iter()
        .map(|(key, item)| (key.clone(), json!({"Address": item.address, "Port": item.port})))
        .collect();
    let checks: Vec<_> =
        entry.checks.iter().map(|check| json!({"Status": check.status, "ServiceTags": check.tags})).collect();
    json!({
        "Node": {"Node": entry.node, "Meta": entry.node_meta},
        "Service": {
            "Tags": entry.tags, "Meta": entry.meta, "Port": entry.port,
            "EnableTagOverride": entry.override_tags, "TaggedAddresses": addresses,
        },
        "Checks": checks,
    })
}

/// Consul's evaluation, said as plainly as possible and without the filter's own types.
fn reference(expr: &Expr, item: &Json) -> bool {
    match expr {
        Expr::Or(parts) => parts.iter().fold(false, |held, part| held | reference(part, item)),
        Expr::And(parts) => parts.iter().fold(true, |held, part| held & reference(part, item)),
        Expr::Not(inner) => !reference(inner, item),
        Expr::Match(test) => descend(test, &test.selector, item),
    }
}

fn descend(test: &Match, steps: &[String], item: &Json) -> bool {
    match (item, steps) {
        (_, []) => {
            let value = test.value.as_deref().unwrap_or_default();
            let held = match (test.op.verb, item) {
                (Verb::Equal, Json::String(text)) => text == value,
                (Verb::Equal, other) => serde_json::from_str(value).is_ok_and(|value: Json| value == *other),
                (Verb::In, Json::String(text)) => text.contains(value),
                (Verb::In, Json::Array(items)) => items.contains(&json!(value)),
                (Verb::In, other) => other.get(value).is_some(),
                (Verb::Empty, Json::Array(items)) => items.is_empty(),
                (Verb::Empty, other) => other.as_object().is_some_and(|map| map.is_empty()),
                // The one pattern generated here.
                (Verb::Matches, other) => other.as_str().is_some_and(|text| text.starts_with('a')),
            };
            held != test.op.not
        }
        (Json::Array(items), _) => items.iter().any(|item| descend(test, steps, item)),
        (_, [step, rest @ ..]) => match item.get(step) {
            Some(inner) => descend(test, rest, inner),
            None => (test.op.verb == Verb::Empty) != test.op.not,
        },
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_the_language_s_tokens_panics(
        tokens in prop::collection::vec(select(vec![
            "(", ")", "not", "and", "or", "in", "is", "empty", "contains", "matches", "==", "!=", " ", "\n", "\t", ".",
            "[", "]", "\"", "`", "\\", "Node", "Checks", "Status", "Service.Port", "1", "-", "0", "é", "\"a\"",
        ]), 0..40),
    ) {
        let _ = parse(&tokens.concat());
        let _ = parse(&tokens.join(" "));
    }

    #[test]
    fn printing_and_parsing_agree(expr in tree(any_match())) {
        let text = expr.to_string();
        prop_assert_eq!(syntax::parse(&text), Ok(expr), "{}", text);
    }

    #[test]
    fn evaluation_agrees_with_the_reference(expr in tree(typed_match()), entry in entry()) {
        let text = expr.to_string();
        match parse(&text) {
            Err(FilterError::TooManyPatterns) => {}
            filter => prop_assert_eq!(
                filter.map(|filter| filter.matches(&entry)), Ok(reference(&expr, &to_json(&entry))), "{}", text
            ),
        }
    }

    #[test]
    fn quoting_and_unquoting_agree(text in any::<String>()) {
        let quoted = go::quote(&text);
        prop_assert_eq!(go::unquote(&quoted[1..quoted.len() - 1]), Some(text));
    }

    #[test]
    fn integers_are_read_as_written(value in any::<i64>()) {
        prop_assert_eq!(go::parse_int(&value.to_string()), Ok(value));
        prop_assert_eq!(go::parse_int(&format!("+0x{:X}", value.unsigned_abs() >> 1)), Ok((value.unsigned_abs() >> 1) as i64));
    }
}
