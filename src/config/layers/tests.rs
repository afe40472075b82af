//! How layers are read, checked and laid over each other.

use super::*;
use crate::config::hcl::Document;
use crate::config::keys::KEYS;
use proptest::prelude::*;
use serde_json::json;

fn merged(layers: &[Value]) -> Value {
    let mut into = json!({});
    for layer in layers {
        merge(&mut into, layer.clone());
    }
    into
}

#[test]
fn scalars_replace_lists_append_maps_merge() {
    let low = json!({"server": false, "retry_join": ["a"], "ports": {"http": 1, "dns": 2}, "node_name": "low"});
    let high = json!({"server": true, "retry_join": ["b"], "ports": {"http": 3}, "node_name": null});
    assert_eq!(
        merged(&[low, high]),
        json!({"server": true, "retry_join": ["a", "b"], "ports": {"http": 3, "dns": 2}, "node_name": "low"})
    );
}

#[test]
fn a_directory_is_read_in_byte_order_and_others_are_skipped_with_a_warning() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, text) in [("b.json", r#"{"node_name":"b"}"#), ("a.json", r#"{"node_name":"a"}"#), ("c.txt", "x")] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    std::fs::create_dir(dir.path().join("d.json")).expect("created");
    let flags = AgentFlags { config_paths: vec![dir.path().to_owned()], ..AgentFlags::default() };
    let merged = load(&flags).expect("accepted");
    assert_eq!(merged.tree, json!({"node_name": "b"}));
    let rule = "extension must be .hcl or .json, or config format must be set";
    let expected = format!("skipping file {}, {rule}", dir.path().join("c.txt").display());
    assert_eq!(merged.notices, [Notice { level: LogLevel::Warn, text: expected }]);
}

#[test]
fn flags_win_over_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("f.json");
    std::fs::write(&path, r#"{"node_name":"file","server":true}"#).expect("written");
    let mut flags = AgentFlags { config_paths: vec![path], ..AgentFlags::default() };
    flags.set("node", &["flag".to_owned()]).expect("known");
    flags.set("server", &["false".to_owned()]).expect("known");
    assert_eq!(load(&flags).expect("accepted").tree, json!({"node_name": "flag", "server": false}));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let error = |name: &str, text: Option<&str>| {
        let path = dir.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).expect("written");
        }
        let flags = AgentFlags { config_paths: vec![path.clone()], ..AgentFlags::default() };
        let error = load(&flags).expect_err("refused").to_string();
        error.replace(path.to_str().expect("UTF-8"), "FILE")
    };
    assert_eq!(error("no.json", None), "config: Open failed on FILE. open FILE: no such file or directory");
    assert_eq!(
        error("f.hcl", Some("server = true\nports { http = \"x\" }")),
        "failed to parse FILE: 1 error(s) decoding:\n\n* 'ports.http' expected type 'int', got unconvertible type \
         'string' (at 2:9)"
    );
    assert_eq!(
        error("f.txt", Some("{}")),
        "failed to parse FILE: the file's extension must be .hcl or .json, or -config-format must be given"
    );
}

#[test]
fn hcl_and_json_are_one() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let hcl = write(
        "a.hcl",
        r#"
        Node_Name = "n" // keys match without case
        node_meta { Rack = "r1" }
        ports { http = 1, dns = -1 }
        recursors = ["1.1.1.1"]
        service { name = "one" port = 1 }
        services { name = "two" check { ttl = "5s" } }
        services { name = "three" }
        check = { id = "c" ttl = "10s" }
        watches { type = "key" key = "a" args = ["true"] }"#,
    );
    let json = write(
        "b.json",
        r#"{"ports":[{"dns":2}],"recursors":["2.2.2.2"],"service":{"Name":"four"},"checks":[{"ID":"d","TTL":"1s"}]}"#,
    );
    let mut flags = AgentFlags { config_paths: vec![hcl, json], ..AgentFlags::default() };
    flags.set("recursor", &["0.1.2.3".to_owned()]).expect("known");
    flags.set("node", &["flag".to_owned()]).expect("known");
    flags.set("hcl", &["node_name = \"inline\"".to_owned()]).expect("known");
    let merged = load(&flags).expect("accepted");
    assert_eq!(
        merged.tree,
        json!({"node_name": "inline", "node_meta": {"Rack": "r1"}, "ports": {"http": 1, "dns": 2},
            "recursors": ["0.1.2.3", "1.1.1.1", "2.2.2.2"]})
    );
    let names: Vec<_> = merged.definitions.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["two", "three", "one", "four"]);
    let ids: Vec<_> = merged.definitions.checks.iter().map(|c| c.id.as_str()).collect();
    assert_eq!((ids, merged.watches.len()), (vec!["c", "d"], 1));
}

#[test]
fn the_list_of_settings_is_sound() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(!keys::is_block(key.path), "{} is a setting and a block", key.path);
        assert!(KEYS[..index].iter().all(|k| k.path != key.path), "{} is listed twice", key.path);
        let flag = key.flag.map(|(name, _)| name);
        assert!(
            flag.is_none() || KEYS[..index].iter().all(|k| k.flag.map(|f| f.0) != flag),
            "{flag:?} is listed twice"
        );
    }
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Laying layers one by one is the same as laying two that were laid before.
    #[test]
    fn merge_is_associative_for_trees_of_one_shape(a in any::<(bool, Vec<u8>)>(), b in any::<(bool, Vec<u8>)>(), c in any::<(bool, Vec<u8>)>()) {
        let [a, b, c] = [a, b, c].map(|(s, l)| json!({"s": s, "m": {"l": l}}));
        prop_assert_eq!(merged(&[a.clone(), b.clone(), c.clone()]), merged(&[a, merged(&[b, c])]));
    }

    /// Whatever a file holds, it is accepted or refused with an error that names the file; nothing panics.
    #[test]
    fn any_tree_is_accepted_or_refused_by_name(tree in tree(), key in proptest::sample::select(KEYS)) {
        let mut layer = json!({});
        let mut at = &mut layer;
        for part in key.path.split('.') {
            at = &mut at[part];
        }
        *at = tree;
        shape(&mut layer, "");
        let layer = Layer { origin: Origin::File("some.json".into()), document: Document::plain(layer) };
        if let Err(error) = check(&layer, &mut Vec::new()) {
            prop_assert!(error.to_string().contains("some.json"), "{error}");
        }
    }
}
