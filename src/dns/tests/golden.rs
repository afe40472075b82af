//! Our answers beside those of a real Consul 1.8.7: the same catalog, the same questions. The file is written by
//! `tests/golden/record_dns.py`. Where we differ on purpose, it is said here.

use super::fixture::*;
use crate::dns::options::Options;
use crate::dns::responder::Transport;
use crate::machine::State;
use crate::model::{Extra, Health, Text};
use hickory_proto::rr::RecordType;
use serde_json::Value;
use std::collections::BTreeSet;
use std::str::FromStr;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn load(catalog_json: &Value) -> State {
    let mut state = State::new();
    for entry in catalog_json.as_array().unwrap() {
        let name = entry["Node"].as_str().unwrap();
        let mut record = node(name, entry["Address"].as_str().unwrap());
        record.meta = entry["NodeMeta"].as_object().map(|pairs| {
            let mut pairs: Vec<(Text, Text)> =
                pairs.iter().map(|(k, v)| (k.into(), v.as_str().unwrap().into())).collect();
            pairs.sort();
            pairs.into()
        });
        let service = entry["Service"].as_object().map(|s| {
            let of = |field: &str| s[field].as_str().unwrap();
            let port = s["Port"].as_i64().unwrap() as i32;
            let mut instance = instance(of("Service"), name, of("ID"), of("Address"), port);
            instance.tags = texts(&s["Tags"]).into_iter().map(Text::from).collect();
            if let Some(weights) = s.get("Weights") {
                let weight = |field: &str| weights[field].as_u64().map(|w| w as u16);
                let extra = Extra { weight: weight("Passing"), weight_warning: weight("Warning"), ..Extra::default() };
                instance.extra = Some(Box::new(extra));
            }
            instance
        });
        let checks = entry["Checks"].as_array().into_iter().flatten().map(|c| {
            let health = Health::parse(c["Status"].as_str().unwrap()).unwrap();
            check(c["ServiceID"].as_str().unwrap(), c["CheckID"].as_str().unwrap(), health)
        });
        apply(&mut state, catalog(record, service, checks.collect()));
    }
    state
}

/// Owner names in lower case: Consul writes `addr` names so, whatever the question's case.
fn folded(records: &[String]) -> BTreeSet<String> {
    records
        .iter()
        .map(|r| r.split_once(' ').map_or_else(|| r.clone(), |(o, rest)| format!("{} {rest}", o.to_lowercase())))
        .collect()
}

#[test]
fn answers_are_those_of_consul() {
    let golden: Value = serde_json::from_str(include_str!("../../../tests/golden/dns/consul-1.8.7.json")).unwrap();
    let state = load(&golden["catalog"]);
    let mut responder = responder(Options::default());
    let mut differing = Vec::new();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let (name, edns) = (case["name"].as_str().unwrap(), case["edns"].as_u64().unwrap() as u16);
        let kind = RecordType::from_str(case["type"].as_str().unwrap()).unwrap();
        let transport = if case["transport"] == "tcp" { Transport::Tcp } else { Transport::Udp };
        let name = if name == ".." { "." } else { name };
        let ours = ask(&mut responder, &state, &query(name, kind, edns), transport);
        let theirs = Reply {
            rcode: case["reply"]["rcode"].as_u64().unwrap() as u16,
            flags: case["reply"]["flags"].as_str().unwrap().to_owned(),
            bytes: case["reply"]["bytes"].as_u64().unwrap() as usize,
            answers: texts(&case["reply"]["answers"]),
            authority: texts(&case["reply"]["authority"]),
            additional: texts(&case["reply"]["additional"]),
        };
        if !agree(name, edns, transport, &ours, &theirs) {
            differing.push(format!("{case}\n  ours {ours:?}"));
        }
    }
    assert!(cases.len() > 300);
    assert!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), cases.len(), differing.join("\n"));
}

fn agree(name: &str, edns: u16, transport: Transport, ours: &Reply, theirs: &Reply) -> bool {
    let head = (ours.rcode, &ours.flags) == (theirs.rcode, &theirs.flags);
    let limit = match transport {
        Transport::Udp => usize::from(edns).max(512),
        Transport::Tcp => usize::from(u16::MAX),
    };
    if theirs.bytes > limit {
        // Consul sends one answer with all additional records even if it is too long for the client; we never do.
        return head && ours.bytes <= limit && folded(&ours.answers) == folded(&theirs.answers);
    }
    let is_cut = (name.starts_with("many") || name.starts_with("four")) && folded(&ours.answers).len() != 60;
    if is_cut {
        let counts = |r: &Reply| (r.answers.len(), r.authority.len(), r.additional.len(), r.bytes);
        return head && counts(ours) == counts(theirs);
    }
    // An alias to a node does not bring the node's metadata along.
    let is_text = |r: &String| name.starts_with("c3.") && r.contains(" TXT ");
    let answers: BTreeSet<String> = folded(&theirs.answers).into_iter().filter(|r| !is_text(r)).collect();
    // Our names point only into the question and to targets, so a few repeat more.
    let is_longer = ["l1.", "ownmeta."].iter().any(|n| name.starts_with(n));
    // Consul leaves EDNS out where it refuses; RFC 6891 §6.1.1 does not.
    let is_refused = ours.rcode == 5 && ours.additional == [format!("OPT {edns}")] && theirs.additional.is_empty();
    head && folded(&ours.answers) == answers
        && folded(&ours.authority) == folded(&theirs.authority)
        // Consul repeats equal additional records.
        && (folded(&ours.additional) == folded(&theirs.additional) || is_refused)
        && (ours.bytes <= theirs.bytes || is_longer || is_refused)
}
