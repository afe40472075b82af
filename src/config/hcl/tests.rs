//! What is read, how, and the text of every refusal.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn tree(text: &str) -> Value {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).tree
}

fn error(text: &str) -> String {
    parse(text).expect_err("must be refused").to_string()
}

#[test]
fn values() {
    for (text, expected) in [
        ("a = 1", json!(1)),
        ("a = -12", json!(-12)),
        ("a = 0x1F", json!(31)),
        ("a = 017", json!(15)),
        ("a = 0", json!(0)),
        ("a = 1.5e3", json!(1500.0)),
        ("a = 1e-3", json!(0.001)),
        ("a = true", json!(true)),
        ("a = false", json!(false)),
        (r#"a = """#, json!("")),
        (r#"a = "x\ty\"\\ \x41\101\u00e4\U0001F600""#, json!("x\ty\"\\ AA\u{e4}\u{1F600}")),
        (r#"a = "${b "c" {d}} e""#, json!("${b \"c\" {d}} e")),
        ("a = []", json!([])),
        ("a = [1, \"b\", true, [2,],]", json!([1, "b", true, [2]])),
        ("a = [{b = 1}, {b = 2}]", json!([{"b": 1}, {"b": 2}])),
        ("a = {b = 1}", json!([{"b": 1}])),
        ("a = 1 a = 2", json!(2)),
        ("a = <<EOF\nx\n  y\nEOF\n", json!("x\n  y\n")),
        ("a = <<-EOF\n  x\n    y\n  EOF", json!("x\n  y\n")),
        ("a = <<-EOF\n x\n    y\n  EOF", json!(" x\n    y\n")),
        ("a = <<E\r\nx\r\nE\r\n", json!("x\r\n")),
    ] {
        assert_eq!(tree(text)["a"], expected, "{text}");
    }
}

#[test]
fn blocks() {
    assert_eq!(tree(""), json!({}));
    assert_eq!(tree("a {}"), json!({"a": [{}]}));
    assert_eq!(tree("a { b = 1 c = 2, d = 3 }"), json!({"a": [{"b": 1, "c": 2, "d": 3}]}));
    assert_eq!(tree("a { b = 1 } a { b = 2 }"), json!({"a": [{"b": 1}, {"b": 2}]}));
    assert_eq!(tree("key \"a/\" { policy = \"read\" }"), json!({"key": [{"a/": [{"policy": "read"}]}]}));
    assert_eq!(tree("a b \"c\" { d = 1 }"), json!({"a": [{"b": [{"c": [{"d": 1}]}]}]}));
    assert_eq!(tree("\"service\" { \"name\" = \"w\" }"), json!({"service": [{"name": "w"}]}));
    assert_eq!(tree("# x\na = 1 // y\n/* z\n*/ b = /**/ 2 #"), json!({"a": 1, "b": 2}));
    assert_eq!(tree(" {\"a\": {\"b\": [1]}}"), json!({"a": {"b": [1]}}));
    assert_eq!(tree("a.b-c_1 = 1"), json!({"a.b-c_1": 1}));
}

#[test]
fn refusals_name_the_place_and_what_was_expected() {
    for (text, expected) in [
        ("a = foo", "At 1:5: Unknown token: IDENT foo: texts are written in quotes"),
        ("a = ", "At 1:5: Unknown token: expected a value after '=', '[' or ',', got EOF"),
        ("a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: '2'"),
        ("a = [1,", "At 1:8: Unknown token: expected a value after '=', '[' or ',', got EOF"),
        ("x\nb {", "At 2:4: object expected closing RBRACE got: EOF: a block or object is not closed"),
        ("= 3", "At 1:1: no object keys found! expected a key before '='"),
        ("a b = 3", "At 1:5: nested object expected: LBRACE got: ASSIGN: a key with labels is followed by a block"),
        ("\u{e4} = \"a\nb\"", "At 1:5: literal not terminated: it has no '\"' on its line"),
        ("a = \"b", "At 1:5: literal not terminated"),
        ("a = <<EOF\nb", "At 1:5: heredoc not terminated: expected EOF on a line of its own"),
        ("a = <<\nb", "At 1:5: zero-length heredoc anchor: expected <<WORD and the end of the line"),
        ("a = 1 /* b", "At 1:7: comment not terminated"),
        ("a = 1\nfoo", "At 2:4: key 'foo' expected start of object ('{') or assignment ('='), got EOF"),
        ("a: 3", "At 1:2: key 'a' expected start of object ('{') or assignment ('='), got ':'"),
        ("a = 5s", "At 1:5: illegal number 5s: durations and other texts are written in quotes"),
        ("a = 09", "At 1:5: illegal number 09: durations and other texts are written in quotes"),
        (
            "a = 9223372036854775808",
            "At 1:5: illegal number 9223372036854775808: durations and other texts are written in quotes",
        ),
        (r#"a = "b\q""#, "At 1:7: illegal char escape: write \\\\ for a backslash"),
        (r#"a = "\x4""#, "At 1:6: illegal char escape: 2 digits must follow"),
        ("}", "At 1:1: illegal char: expected a key, got '}'"),
        ("{\"a\": 1,}", "At 1:9: trailing comma"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    let deep = format!("a = {}", "[".repeat(DEPTH_MAX + 1));
    assert_eq!(error(&deep), format!("At 1:{}: blocks and lists are nested more than 64 deep", 5 + DEPTH_MAX));
}

#[test]
fn keys_have_places() {
    let document =
        parse("a = 1\nb {\n  c = 2 }\nb { c = 3 }\n d = [{ e = 1 },\n { e = 2 }] f \"g\" { h = 1 }").expect("HCL");
    let place = |path: &str| document.place(path).map(|p| p.to_string()).unwrap_or_default();
    let found = ["a", "b", "b.c", "b[0].c", "b[1]", "b[1].c", "d[0].e", "d[1].e", "f.g.h", "x"].map(place);
    assert_eq!(found, ["1:1", "2:1", "3:3", "3:3", "4:1", "4:5", "5:9", "6:4", "6:21", ""]);
}

/// A tree as HCL: maps as objects, in quotes where a key is no word.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            for (key, value) in map {
                out.push_str(&format!("{} = ", Value::from(key.as_str())));
                write(value, out);
                out.push('\n');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push_str(", ");
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// What HCL makes of a tree: a map that is a key's value is a list of one map.
fn blocks_of(value: &Value, in_list: bool) -> Value {
    match value {
        Value::Object(map) => {
            let map = Value::Object(map.iter().map(|(k, v)| (k.clone(), blocks_of(v, false))).collect());
            if in_list { map } else { json!([map]) }
        }
        Value::Array(items) => items.iter().map(|v| blocks_of(v, true)).collect(),
        other => other.clone(),
    }
}

fn any_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Escapes of JSON that HCL has too.
        "[a-z {}\"\\\\\n\t\u{e4}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_ .-]{1,4}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in any_tree()) {
        let mut text = "root = ".to_owned();
        write(&tree, &mut text);
        let read = parse(&text);
        prop_assert!(read.is_ok(), "{text}: {read:?}");
        prop_assert_eq!(&read.expect("checked").tree["root"], &blocks_of(&tree, false), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}", soup in proptest::collection::vec(proptest::sample::select(TOKENS), 0..40)) {
        let _ = parse(&text);
        let text = soup.concat();
        if let Err(error) = parse(&text) {
            prop_assert!(error.at.line <= text.matches('\n').count() + 1);
        }
    }
}

const TOKENS: &[&str] = &[
    "a", "b-1", " ", "\n", "=", "{", "}", "[", "]", ",", "\"", "\\", "${", "<<E\n", "<<-E\n", "\nE\n", "#", "//", "/*",
    "*/", "1", "-", "0x", "1.5", "e", "true", "\\u00", "\u{e4}", "\r\n",
];
