//! How layers are read, checked and laid over each other.

use super::*;
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
    let (tree, notices) = load(&flags).expect("accepted");
    assert_eq!(tree, json!({"node_name": "b"}));
    let expected = format!("skipping file {}: its extension is not .json", dir.path().join("c.txt").display());
    assert_eq!(notices, [Notice { level: LogLevel::Warn, text: expected }]);
}

#[test]
fn flags_win_over_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("f.json");
    std::fs::write(&path, r#"{"node_name":"file","server":true}"#).expect("written");
    let mut flags = AgentFlags { config_paths: vec![path], ..AgentFlags::default() };
    flags.set("node", &["flag".to_owned()]).expect("known");
    flags.set("server", &["false".to_owned()]).expect("known");
    assert_eq!(load(&flags).expect("accepted").0, json!({"node_name": "flag", "server": false}));
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
        error("f.hcl", Some("a = 1")),
        "failed to parse FILE: HCL files are not built yet: write the same settings as JSON"
    );
    assert_eq!(
        error("f.txt", Some("{}")),
        "failed to parse FILE: the file's extension must be .json, or -config-format=json must be given"
    );
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
        if let Err(error) = check(&Origin::File("some.json".into()), &layer, &mut Vec::new()) {
            prop_assert!(error.to_string().contains("some.json"), "{error}");
        }
    }
}
