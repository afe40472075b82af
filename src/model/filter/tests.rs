//! The filter language against what a Consul 1.8.7 answered on `/v1/health/service` for the same three instances.

use std::collections::BTreeMap;

use super::{Field, Fields, Filter, FilterError, Kind, MAX_DEPTH, MAX_PATTERNS, MAX_TEXT, Path, Test, Value};

mod properties;

/// A part of the fields that Consul offers on health entries.
static ENTRY: &[Field] = &[
    Field::new("Node", Kind::Struct(NODE)),
    Field::new("Service", Kind::Struct(SERVICE)),
    Field::new("Checks", Kind::Structs(CHECK)),
];
static NODE: &[Field] = &[Field::new("Node", Kind::Text), Field::new("Meta", Kind::Map(&Kind::Text))];
static SERVICE: &[Field] = &[
    Field::new("Tags", Kind::Texts),
    Field::new("Meta", Kind::Map(&Kind::Text)),
    Field::new("Port", Kind::Int),
    Field::new("EnableTagOverride", Kind::Bool),
    Field::new("TaggedAddresses", Kind::Map(&Kind::Struct(ADDRESS))),
];
static ADDRESS: &[Field] = &[Field::new("Address", Kind::Text), Field::new("Port", Kind::Int)];
static CHECK: &[Field] = &[Field::new("Status", Kind::Text), Field::new("ServiceTags", Kind::Texts)];

#[derive(Clone, Debug, Default)]
struct Entry {
    node: String,
    node_meta: BTreeMap<String, String>,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    port: i64,
    override_tags: bool,
    addresses: BTreeMap<String, Address>,
    checks: Vec<Check>,
}

#[derive(Clone, Debug)]
struct Address {
    address: String,
    port: i64,
}

#[derive(Clone, Debug)]
struct Check {
    status: String,
    tags: Vec<String>,
}

fn texts(map: &BTreeMap<String, String>, path: Path<'_>, test: Test<'_>) -> bool {
    path.text_map(|| map.keys(), |key| map.get(key).map(String::as_str), test)
}

impl Fields for Entry {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        let Some((part, rest)) = path.next() else { return test(Value::Absent) };
        match (part, rest.next()) {
            ("Checks", _) => rest.structs(|| self.checks.iter(), test),
            ("Node", Some(("Node", _))) => test(Value::Text(&self.node)),
            ("Node", Some(("Meta", rest))) => texts(&self.node_meta, rest, test),
            ("Service", Some(("Tags", _))) => test(Value::Items(&|| self.tags.iter())),
            ("Service", Some(("Meta", rest))) => texts(&self.meta, rest, test),
            ("Service", Some(("Port", _))) => test(Value::Int(self.port)),
            ("Service", Some(("EnableTagOverride", _))) => test(Value::Bool(self.override_tags)),
            ("Service", Some(("TaggedAddresses", rest))) => {
                rest.struct_map(|| self.addresses.keys(), |key| self.addresses.get(key), test)
            }
            _ => test(Value::Absent),
        }
    }
}

impl Fields for Address {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Address", _)) => test(Value::Text(&self.address)),
            Some(("Port", _)) => test(Value::Int(self.port)),
            _ => test(Value::Absent),
        }
    }
}

impl Fields for Check {
    fn visit(&self, path: Path<'_>, test: Test<'_>) -> bool {
        match path.next() {
            Some(("Status", _)) => test(Value::Text(&self.status)),
            Some(("ServiceTags", _)) => test(Value::Items(&|| self.tags.iter())),
            _ => test(Value::Absent),
        }
    }
}

fn pair(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn mk_check(status: &str, tags: &[&str]) -> Check {
    Check { status: status.into(), tags: tags.iter().map(|&tag| tag.into()).collect() }
}

/// Instances `a` (one check passing, one critical), `b` (passing) and `c` (no check).
fn mk_entries() -> [Entry; 3] {
    let a = Entry {
        node: "a".into(),
        node_meta: pair("os", "linux"),
        tags: vec!["x".into(), "y".into()],
        meta: pair("v", "1"),
        port: 80,
        checks: vec![mk_check("passing", &["x", "y"]), mk_check("critical", &["x", "y"])],
        ..Entry::default()
    };
    let b = Entry {
        node: "b".into(),
        tags: vec!["x".into()],
        port: 81,
        checks: vec![mk_check("passing", &["x"])],
        ..Entry::default()
    };
    [a, b, Entry { node: "c".into(), port: 82, ..Entry::default() }]
}

fn parse(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, ENTRY)
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn selects_what_consul_selects() {
    let entries = mk_entries();
    for (text, expected) in [
        ("", "abc"),
        ("Checks.Status == passing", "ab"),
        // Of a list, any element: `!=` is not the contrary of `==`.
        ("Checks.Status != passing", "a"),
        ("not Checks.Status == passing", "c"),
        ("Checks.Status not contains pass", "a"),
        (r#"Checks.Status matches "crit""#, "a"),
        ("Checks is empty", "c"),
        ("Checks is not empty", "ab"),
        ("Checks.ServiceTags is empty", ""),
        (r#""x" in Checks.ServiceTags"#, "ab"),
        ("Node.Meta.os == linux", "a"),
        ("Node.Meta.os != linux", "bc"),
        ("Node.Meta.os not matches lin", "bc"),
        ("lin in Node.Meta.os", "a"),
        ("lin not in Node.Meta.os", "bc"),
        ("os in Node.Meta", "a"),
        ("Node.Meta contains os", "a"),
        ("os not in Node.Meta", "bc"),
        (r#"Node.Meta["os"] == linux"#, "a"),
        (r#"Service.Port == "0x50""#, "a"),
        (r#"Service.Port == "8_0""#, "a"),
        ("Service.Port == 80", "a"),
        ("Service.Port != 80", "bc"),
        ("Service.EnableTagOverride == F", "abc"),
        ("Service.EnableTagOverride != false", ""),
        (r"Node.Node matches `\d`", ""),
        ("Node.Node matches `(?P<n>a)`", "a"),
        ("Node.Node matches `(?i)A`", "a"),
        (r#"Node.Node == "\x61""#, "a"),
        ("Node.Node==a", "a"),
        (" Node.Node == a ", "a"),
        ("( Node.Node == a )", "a"),
        ("not not Node.Node==a", "a"),
        ("Node.Node == a or Node.Node == b and Node.Node == c", "a"),
        ("(Node.Node == a or Node.Node == b) and not y in Service.Tags", "b"),
        ("Service.TaggedAddresses.wan.Address == x", ""),
        ("Service.TaggedAddresses.wan.Port != 1", "abc"),
        ("Service.TaggedAddresses is empty", "abc"),
        ("wan in Service.TaggedAddresses", ""),
        ("Service.Meta.v contains 1", "a"),
        ("Node.Node == -5", ""),
        ("not in Service.Tags", ""),
        // Consul 1.8.7 lets b and c pass, which have no such key; later versions do not.
        ("Node.Meta.os matches lin", "a"),
        // Not in Consul, where `\"` ends the literal.
        (r#"Node.Node == "a\"b""#, ""),
    ] {
        let filter = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let names: String =
            entries.iter().filter(|entry| filter.matches(*entry)).map(|entry| entry.node.as_str()).collect();
        assert_eq!(names, expected, "{text}");
    }
}

#[test]
fn refuses_what_the_fields_do_not_allow_in_consuls_words() {
    for (text, expected) in [
        ("Bogus == 1", r#"Selector "Bogus" is not valid"#),
        ("Node.Bogus.x == 1", r#"Selector "Node.Bogus" is not valid"#),
        ("Node.Meta.os.x == linux", r#"Selector "Node.Meta.os.x" is not valid"#),
        ("Node.Node.x == 1", r#"Selector "Node.Node.x" is not valid"#),
        ("a==b and not B==1", r#"Selector "a" is not valid"#),
        ("not == 1", r#"Selector "not" is not valid"#),
        ("in == 1", r#"Selector "in" is not valid"#),
        ("Node == 1", r#"Invalid match operator "Equal" for selector "Node""#),
        ("Service.Tags == x", r#"Invalid match operator "Equal" for selector "Service.Tags""#),
        ("Node.Meta.os is empty", r#"Invalid match operator "Is Empty" for selector "Node.Meta.os""#),
        ("1 not in Service.Port", r#"Invalid match operator "Not In" for selector "Service.Port""#),
        (
            "Service.Port == abc",
            r#"Failed to coerce value "abc" for selector "Service.Port": strconv.ParseInt: parsing "abc": invalid syntax"#,
        ),
        (
            "Service.Port == 99999999999999999999",
            r#"Failed to coerce value "99999999999999999999" for selector "Service.Port": strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
        ),
        (
            r#"Service.EnableTagOverride == "maybe""#,
            r#"Failed to coerce value "maybe" for selector "Service.EnableTagOverride": strconv.ParseBool: parsing "maybe": invalid syntax"#,
        ),
        (
            r#"Node.Node matches "[""#,
            r#"Failed to compile regular expression "[": error parsing regexp: unclosed character class"#,
        ),
        (
            r"Node.Node matches `\q`",
            r#"Failed to compile regular expression "\\q": error parsing regexp: unrecognized escape sequence"#,
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn refuses_what_is_not_of_the_language_in_consuls_words() {
    for (text, expected) in [
        ("0x50", r#"1:2 (1): rule "number": Invalid number literal"#),
        ("Service.Port == 080", r#"1:18 (17): rule "number": Invalid number literal"#),
        ("Node.Node == -05", r#"1:16 (15): rule "number": Invalid number literal"#),
        ("Node.Node == 1e5", r#"1:15 (14): rule "number": Invalid number literal"#),
        ("Node.Node == 10.0.0.1", r#"1:18 (17): rule "number": Invalid number literal"#),
        ("Node.Node ==", r#"1:13 (12): no match found, expected: "-", "0", "\"", "`", [ \t\r\n], [1-9] or [a-zA-Z]"#),
        ("Node.Node == a and", r"1:19 (18): no match found, expected: [ \t\r\n]"),
        ("AND", r#"1:4 (3): no match found, expected: "!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_]"#),
        (
            "A AND b",
            r#"1:3 (2): no match found, expected: "!=", "==", "contains", "in", "is", "matches", "not" or [ \t\r\n]"#,
        ),
        ("Node.Node == \"a", r#"1:16 (15): rule "string": Unterminated string literal"#),
        ("Node.Node == `a", r#"1:16 (15): rule "string": Unterminated string literal"#),
        ("Node.Node == \"a\\qb\"", r#"1:14 (13): rule "string": invalid syntax"#),
        ("(Node.Node == a", r#"1:16 (15): rule "grouping": Unmatched parentheses"#),
        ("Node.Node == a)", r#"1:15 (14): no match found, expected: ".", "[", [ \t\r\n], [a-zA-Z0-9_] or EOF"#),
        ("Node.Node[\"x == 1", r#"1:18 (17): rule "string": Unterminated string literal"#),
        ("Node.Node[x] == 1", r#"1:11 (10): rule "index": Invalid index"#),
        ("Node[\"a\" == 1", r#"1:10 (9): rule "index": Unclosed index expression"#),
        ("1 in \"x\"", r#"1:6 (5): rule "match": Invalid selector"#),
        ("Node.Node==a or(Node.Node==b)", r"1:16 (15): no match found, expected: [ \t\r\n]"),
        ("not(Node.Node==a)", r#"1:4 (3): no match found, expected: "!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_]"#),
        ("(not 80.5)", r"1:10 (9): no match found, expected: [ \t\r\n], [0-9] or EOF"),
        ("Node.Meta.0 == 1", "1:11 (10): no match found, expected: [a-zA-Z]"),
        (
            "é == 1",
            r#"1:1 (0): no match found, expected: "(", "-", "0", "\"", "`", "not", [ \t\r\n], [1-9] or [a-zA-Z]"#,
        ),
        ("Node.Node == \"é\" x", r#"1:18 (18): no match found, expected: "and", "or", [ \t\r\n] or EOF"#),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn limits_are_exact() {
    let wrap = |depth: usize| format!("{}Node.Node == a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&wrap(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&wrap(MAX_DEPTH + 1)).err(), Some(FilterError::TooDeep));
    assert_eq!(parse(&"(".repeat(MAX_TEXT)).err(), Some(FilterError::TooDeep));
    assert_eq!(parse(&"not ".repeat(MAX_TEXT / 4)).err(), Some(FilterError::TooDeep));

    let pad = |length: usize| format!("{:length$}", "Node.Node == a");
    assert!(parse(&pad(MAX_TEXT)).is_ok());
    assert_eq!(parse(&pad(MAX_TEXT + 1)).err(), Some(FilterError::TooLong { length: MAX_TEXT + 1 }));

    let patterns = |count: usize| vec!["Node.Node matches a"; count].join(" or ");
    assert!(parse(&patterns(MAX_PATTERNS)).is_ok());
    assert_eq!(parse(&patterns(MAX_PATTERNS + 1)).err(), Some(FilterError::TooManyPatterns));
    assert!(error("Node.Node matches `(a{1000}){1000}`").contains("size limit"));
}

#[test]
fn a_thousand_tests_side_by_side_are_not_nesting() {
    let text = vec!["Node.Node==a"; 500].join(" or ");
    assert!(parse(&text).is_ok_and(|filter| filter.matches(&mk_entries()[0])));
}
