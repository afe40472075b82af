//! Questions and the sections of their answers, where a real Consul has no say or the sizes and options matter.

use super::fixture::*;
use crate::command::{Command, Report, SetOverride};
use crate::dns::options::Options;
use crate::dns::responder::Transport;
use crate::machine::State;
use crate::model::{Extra, Health, Lifecycle, Override};
use hickory_proto::rr::RecordType::{A, AAAA, ANY, NS, PTR, SOA, SRV, TXT};
use std::collections::HashSet;
use std::time::Duration;

/// A service `web` on two nodes, and `db` on one of them.
fn small() -> State {
    let mut state = State::new();
    apply(&mut state, catalog(node("n1", "10.0.0.1"), Some(instance("web", "n1", "w1", "", 80)), Vec::new()));
    apply(&mut state, catalog(node("n2", "10.0.0.2"), Some(instance("web", "n2", "w2", "", 81)), Vec::new()));
    apply(&mut state, catalog(node("n1", "10.0.0.1"), Some(instance("db", "n1", "d1", "", 5432)), Vec::new()));
    state
}

#[test]
fn instances_without_a_node_answer_with_their_own_address() {
    let mut state = State::new();
    register(
        &mut state,
        vec![instance("api", "", "a", "10.7.0.1", 9000), instance("api", "", "b", "2001:db8::1", 9001)],
    );
    register(&mut state, vec![instance("named", "", "a", "Host.example.com", 9000)]);
    let mut r = responder(Options::default());
    assert_eq!(quick(&mut r, &state, "api.service.consul.", A).answers, ["api.service.consul. 0 A 10.7.0.1"]);
    let srv = quick(&mut r, &state, "api.service.consul.", SRV);
    let v6 = "20010db8000000000000000000000001.addr.dc1.consul.";
    assert_eq!(
        srv.answers,
        [
            "api.service.consul. 0 SRV 1 1 9000 0a070001.addr.dc1.consul.".to_owned(),
            format!("api.service.consul. 0 SRV 1 1 9001 {v6}"),
        ]
    );
    assert_eq!(
        srv.additional,
        [
            "0a070001.addr.dc1.consul. 0 A 10.7.0.1".to_owned(),
            format!("{v6} 0 AAAA 2001:db8::1"),
            "OPT 4096".to_owned()
        ]
    );
    let named = quick(&mut r, &state, "named.service.consul.", SRV);
    assert_eq!(named.answers, ["named.service.consul. 0 SRV 1 1 9000 Host.example.com."]);
    let named = quick(&mut r, &state, "named.service.consul.", AAAA);
    assert_eq!(named.answers, ["named.service.consul. 0 CNAME Host.example.com."]);
}

#[test]
fn instances_that_take_no_traffic_are_left_out() {
    let mut state = small();
    let mut r = responder(Options::default());
    let key = instance("web", "n1", "w1", "", 80).key();
    let lifecycle = |l| Report { key: key.clone(), checks: Vec::new(), lifecycle: Some(l), session: None };
    let answers = |state: &State, r: &mut _| quick(r, state, "web.service.consul.", A).answers.len();
    assert_eq!(answers(&state, &mut r), 2);
    for (lifecycle_now, expected) in [(Lifecycle::Draining, 1), (Lifecycle::Starting, 1), (Lifecycle::Serving, 2)] {
        apply(&mut state, Command::Report(lifecycle(lifecycle_now)));
        assert_eq!(answers(&state, &mut r), expected, "{lifecycle_now:?}");
    }
    let drain = Override { drain: true, ..Override::default() };
    apply(&mut state, Command::SetOverride(SetOverride { key: key.clone(), overriding: Some(drain) }));
    assert_eq!(answers(&state, &mut r), 1);
    apply(&mut state, Command::SetOverride(SetOverride { key, overriding: None }));
    assert_eq!(answers(&state, &mut r), 2);
    apply(&mut state, catalog(node("n1", "10.0.0.1"), None, vec![check("", "serfHealth", Health::Critical)]));
    assert_eq!(answers(&state, &mut r), 1);
    assert_eq!(quick(&mut r, &state, "db.service.consul.", A).rcode, 3);
    assert_eq!(quick(&mut r, &state, "n1.node.consul.", A).answers.len(), 1, "health does not hide nodes");
}

#[test]
fn warnings_answer_with_their_weight_unless_only_passing() {
    let mut state = small();
    let mut weighted = instance("web", "n1", "w1", "", 80);
    weighted.extra = Some(Box::new(Extra { weight: Some(10), weight_warning: Some(3), ..Extra::default() }));
    let warning = vec![check("w1", "c", Health::Warning)];
    apply(&mut state, catalog(node("n1", "10.0.0.1"), Some(weighted.clone()), warning));
    let ask = |state: &State, options| quick(&mut responder(options), state, "web.service.consul.", SRV).answers;
    let ours = |weight| format!("web.service.consul. 0 SRV 1 {weight} 80 n1.node.dc1.consul.");
    assert!(ask(&state, Options::default()).contains(&ours(3)));
    assert_eq!(ask(&state, Options { only_passing: true, ..Options::default() }).len(), 1);
    let heavy = Override { weight: Some(77), ..Override::default() };
    apply(&mut state, Command::SetOverride(SetOverride { key: weighted.key(), overriding: Some(heavy) }));
    assert!(ask(&state, Options::default()).contains(&ours(77)));
}

#[test]
fn times_to_live_are_those_of_the_options() {
    let state = small();
    let options = Options {
        node_ttl: Duration::from_secs(5),
        service_ttl: vec![("web".into(), Duration::from_secs(7))],
        ..Options::default()
    };
    let mut r = responder(options);
    for (name, kind, expected) in [
        ("n1.node.consul.", A, "n1.node.consul. 5 A 10.0.0.1"),
        ("web.service.consul.", A, "web.service.consul. 7 A 10.0.0.1"),
        ("db.service.consul.", A, "db.service.consul. 0 A 10.0.0.1"),
        ("0a000001.addr.consul.", A, "0a000001.addr.consul. 5 A 10.0.0.1"),
        ("1.0.0.10.in-addr.arpa.", PTR, "1.0.0.10.in-addr.arpa. 0 PTR n1.node.dc1.consul."),
    ] {
        let reply = quick(&mut r, &state, name, kind);
        assert!(reply.answers.contains(&expected.to_owned()), "{reply:?}");
    }
}

#[test]
fn alt_domain_is_answered_with_targets_in_the_domain() {
    let state = small();
    let mut r = responder(Options::default());
    let reply = quick(&mut r, &state, "DB.service.Alt.example.", SRV);
    assert_eq!(reply.answers, ["DB.service.Alt.example. 0 SRV 1 1 5432 n1.node.dc1.consul."]);
    let reply = quick(&mut r, &state, "no.service.alt.example.", A);
    assert_eq!((reply.rcode, &reply.authority[0][..30]), (3, "consul. 0 SOA ns.consul. hostm"));
}

#[test]
fn name_servers_are_this_one_until_the_catalog_has_some() {
    let mut state = State::new();
    let mut r = responder(Options::default());
    let reply = quick(&mut r, &state, "consul.", NS);
    assert_eq!(reply.answers, ["consul. 0 NS self.node.dc1.consul."]);
    assert_eq!(reply.additional, ["OPT 4096", "self.node.dc1.consul. 0 A 127.0.0.9"]);
    for at in 0..5 {
        let (name, address) = (format!("s{at}"), format!("10.0.0.{at}"));
        let servers = Some(instance("consul", &name, "consul", "", 8300));
        apply(&mut state, catalog(node(&name, &address), servers, Vec::new()));
    }
    let servers = Some(instance("consul", "bad.name", "consul", "", 8300));
    apply(&mut state, catalog(node("bad.name", "10.0.0.9"), servers, Vec::new()));
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let reply = quick(&mut r, &state, "any.thing.consul.", SOA);
        assert_eq!((reply.answers.len(), reply.authority.len(), reply.additional.len()), (1, 3, 4));
        seen.extend(reply.authority);
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn answers_are_shuffled_and_cut_fairly() {
    let mut state = State::new();
    crowd(&mut state, "web", 30);
    let mut r = responder(Options::default());
    let mut first = HashSet::new();
    let mut seen = HashSet::new();
    for _ in 0..300 {
        let mut out = Vec::new();
        r.respond(&state, &query("web.service.consul.", A, 0), Transport::Udp, &mut out);
        let reply = read(&out);
        assert_eq!(reply.answers.len(), 3);
        // The first record's address, before the reader sorts them.
        first.insert(out[12 + 20 + 4 + 12..][..4].to_vec());
        seen.extend(reply.answers);
    }
    assert_eq!((seen.len(), first.len()), (30, 30));
}

#[test]
fn sizes_are_kept_with_and_without_truncation_bit() {
    let mut state = State::new();
    crowd(&mut state, "web", 5000);
    for (options, tc) in [(Options::default(), ""), (Options { enable_truncate: true, ..Options::default() }, "tc ")] {
        let mut r = responder(options);
        for (kind, edns, limit, least) in [
            (A, 0, 512, 3),
            (SRV, 0, 512, 3),
            (A, 1232, 1232, 73),
            (SRV, 1232, 1232, 20),
            (A, 4096, 4096, 250),
            (SRV, 4096, 4096, 65),
            (A, 65535, 65467, 4085),
            (SRV, 65535, 65467, 900),
        ] {
            let reply = ask(&mut r, &state, &query("web.service.consul.", kind, edns), Transport::Udp);
            assert!(reply.bytes <= limit && reply.answers.len() >= least, "{kind} {edns}: {}", reply.bytes);
            assert_eq!(reply.flags, format!("aa {tc}rd"));
            if kind == SRV {
                assert_eq!(reply.additional.len(), reply.answers.len() + usize::from(edns > 0));
            }
        }
        for kind in [A, SRV] {
            let reply = ask(&mut r, &state, &query("web.service.consul.", kind, 0), Transport::Tcp);
            assert!((60_000..=65_535).contains(&reply.bytes), "{}", reply.bytes);
            assert_eq!(reply.flags, "aa tc rd", "a cut answer over tcp says so");
            assert_eq!(reply.answers.iter().collect::<HashSet<_>>().len(), reply.answers.len());
        }
    }
}

#[test]
fn additional_records_of_far_targets_have_the_right_owner() {
    let mut state = State::new();
    crowd(&mut state, "web", 800);
    let mut r = responder(Options::default());
    let reply = ask(&mut r, &state, &query("web.service.consul.", SRV, 0), Transport::Tcp);
    assert_eq!((reply.answers.len(), reply.additional.len(), reply.flags.as_str()), (800, 800, "aa rd"));
    assert!(reply.bytes > 0x4000);
    for (at, extra) in reply.additional.iter().enumerate() {
        let address = std::net::Ipv4Addr::from(0x0A00_0000 + at as u32);
        assert_eq!(*extra, format!("m{at:05}.node.dc1.consul. 0 A {address}"));
    }
}

#[test]
fn options_limit_the_records() {
    let mut state = State::new();
    crowd(&mut state, "web", 20);
    let count = |options, kind, edns, transport| {
        let reply = ask(&mut responder(options), &state, &query("web.service.consul.", kind, edns), transport);
        reply.answers.len()
    };
    let limit = |udp_answer_limit| Options { udp_answer_limit, ..Options::default() };
    assert_eq!(count(limit(5), A, 0, Transport::Udp), 5);
    assert_eq!(count(limit(50), A, 512, Transport::Udp), 8);
    let a_records = || Options { a_record_limit: 2, ..Options::default() };
    assert_eq!(count(a_records(), A, 4096, Transport::Udp), 2);
    assert_eq!(count(a_records(), ANY, 0, Transport::Tcp), 2);
    assert_eq!(count(a_records(), SRV, 0, Transport::Tcp), 20);
    // Nothing would be a lie without the TC bit.
    let reply = ask(&mut responder(limit(0)), &state, &query("web.service.consul.", A, 0), Transport::Udp);
    assert_eq!((reply.answers.len(), reply.flags.as_str()), (0, "aa tc rd"));
}

#[test]
fn metadata_is_optional_and_cut_before_answers() {
    let mut state = State::new();
    let mut record = node("fat", "10.0.0.1");
    record.meta = Some((0..20).map(|at| (format!("k{at:02}").into(), "x".repeat(300).into())).collect());
    apply(&mut state, catalog(record, Some(instance("web", "fat", "w", "", 1)), Vec::new()));
    let ask =
        |options, name, kind, edns| ask(&mut responder(options), &state, &query(name, kind, edns), Transport::Udp);
    let reply = ask(Options::default(), "fat.node.consul.", A, 0);
    assert_eq!((reply.answers.len(), reply.additional.len(), reply.flags.as_str()), (1, 1, "aa rd"));
    let reply = ask(Options::default(), "web.service.consul.", SRV, 1232);
    assert_eq!((reply.answers.len(), reply.additional.len()), (1, 5), "address, three texts, EDNS");
    let reply = ask(Options { enable_truncate: true, ..Options::default() }, "fat.node.consul.", TXT, 512);
    assert_eq!((reply.answers.len(), reply.flags.as_str()), (1, "aa tc rd"));
    let plain = || Options { node_meta_txt: false, ..Options::default() };
    assert_eq!(ask(plain(), "fat.node.consul.", A, 4096).additional, ["OPT 4096"]);
    assert_eq!(ask(plain(), "web.service.consul.", SRV, 4096).additional.len(), 2);
    assert_eq!(ask(plain(), "fat.node.consul.", TXT, 8192).answers.len(), 20);
}

#[test]
fn equal_additional_records_appear_once() {
    let mut state = State::new();
    let mut record = node("n1", "10.0.0.1");
    record.meta = Some([("os".into(), "linux".into())].into());
    for at in 0..10 {
        let here = instance("web", "n1", &format!("w{at}"), "", 8000 + at);
        apply(&mut state, catalog(record.clone(), Some(here), Vec::new()));
    }
    let mut r = responder(Options::default());
    let expected = ["OPT 4096", "n1.node.dc1.consul. 0 A 10.0.0.1", "n1.node.dc1.consul. 0 TXT \"os=linux\""];
    for _ in 0..3 {
        let reply = quick(&mut r, &state, "web.service.consul.", SRV);
        assert_eq!((reply.answers.len(), &reply.additional[..]), (10, &expected.map(str::to_owned)[..]));
        // Another answer in between: what was seen there does not count here.
        assert_eq!(quick(&mut r, &state, "n1.node.consul.", A).additional.len(), 2);
    }
}

#[test]
fn names_that_are_no_dns_names_get_an_address_target() {
    let mut state = State::new();
    let long = "x".repeat(70);
    for (at, name) in ["a..b", long.as_str(), "fine name"].into_iter().enumerate() {
        let (address, id) = (format!("10.0.0.{at}"), format!("w{at}"));
        apply(&mut state, catalog(node(name, &address), Some(instance("web", name, &id, "", 1)), Vec::new()));
    }
    let mut r = responder(Options::default());
    let reply = quick(&mut r, &state, "web.service.consul.", SRV);
    let targets: Vec<&str> = reply.answers.iter().filter_map(|a| a.split("1 1 1 ").nth(1)).collect();
    assert_eq!(targets, ["0a000000.addr.dc1.consul.", "0a000001.addr.dc1.consul.", "fine\\040name.node.dc1.consul."]);
    // The label travels as it is, so the name can be asked for.
    let mut raw = query("fine-name.node.consul.", A, 0);
    raw[17] = b' ';
    assert_eq!(ask(&mut r, &state, &raw, Transport::Udp).answers.len(), 1);
    // A label that is not UTF-8 is no name here.
    raw[17] = 0xFF;
    assert_eq!(ask(&mut r, &state, &raw, Transport::Udp).rcode, 3);
}

#[test]
fn names_are_not_compressed_if_so_wished() {
    let state = small();
    let mut r = responder(Options { disable_compression: true, ..Options::default() });
    for kind in [A, SRV, SOA, NS] {
        let mut out = Vec::new();
        r.respond(&state, &query("web.service.consul.", kind, 0), Transport::Udp, &mut out);
        assert!(!out.contains(&0xC0), "{kind}");
        let compressed = quick(&mut responder(Options::default()), &state, "web.service.consul.", kind);
        let plain = read(&out);
        assert_eq!((plain.answers, plain.authority), (compressed.answers, compressed.authority));
    }
}

#[test]
fn queries_that_cannot_be_answered_get_a_code_or_silence() {
    let state = small();
    let mut r = responder(Options::default());
    let good = query("web.service.consul.", A, 4096);
    let mut rcode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let mut out = Vec::new();
        r.respond(&state, &bytes, Transport::Udp, &mut out);
        (!out.is_empty()).then(|| read(&out).rcode)
    };
    assert_eq!(rcode(&|_| {}), Some(0));
    assert_eq!(rcode(&|b| b[2] |= 0x80), None, "an answer");
    assert_eq!(rcode(&|b| b.truncate(11)), None);
    assert_eq!(rcode(&|b| b[2] |= 0x10), Some(4), "opcode status");
    assert_eq!(rcode(&|b| b[5] = 2), Some(1), "two questions");
    assert_eq!(rcode(&|b| b[5] = 0), Some(1), "no question");
    assert_eq!(rcode(&|b| b.truncate(20)), Some(1));
    assert_eq!(rcode(&|b| b[12] = 0xC0), Some(1), "a pointer in the question");
    assert_eq!(rcode(&|b| *b.last_mut().unwrap() = 1), Some(1), "an option that is not there");
    assert_eq!(
        rcode(&|b| {
            let at = b.len() - 5;
            b[at] = 1
        }),
        Some(16),
        "EDNS version 1"
    );
}

#[test]
fn client_subnet_is_echoed_with_scope_0() {
    let state = small();
    let mut bytes = query("web.service.consul.", A, 4096);
    let end = bytes.len();
    bytes[end - 1] = 11;
    let option = [0, 8, 0, 7, 0, 1, 24, 9, 192, 0, 2];
    bytes.extend_from_slice(&option);
    let mut out = Vec::new();
    responder(Options::default()).respond(&state, &bytes, Transport::Udp, &mut out);
    assert_eq!(read(&out).answers.len(), 2);
    assert!(out.ends_with(&[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2]), "{out:?}");
}

#[test]
fn cached_answers_follow_the_state() {
    let mut state = State::new();
    let mut r = responder(Options::default());
    let rcode = |r: &mut _, state: &State, name: &str| quick(r, state, name, A).rcode;
    let first = |r: &mut _, state: &State, name: &str, kind| quick(r, state, name, kind).answers.first().cloned();
    assert_eq!(rcode(&mut r, &state, "web.service.consul."), 3);
    assert_eq!(rcode(&mut r, &state, "n1.node.consul."), 3);
    register(&mut state, vec![instance("alias", "", "a", "n1.node.consul", 1)]);
    assert_eq!(quick(&mut r, &state, "alias.service.consul.", A).answers.len(), 1, "the node is not there yet");
    apply(&mut state, catalog(node("n1", "10.0.0.1"), Some(instance("web", "n1", "w", "", 1)), Vec::new()));
    for _ in 0..2 {
        assert_eq!(quick(&mut r, &state, "alias.service.consul.", A).answers.len(), 2);
        assert_eq!(first(&mut r, &state, "web.service.consul.", A).unwrap(), "web.service.consul. 0 A 10.0.0.1");
        assert_eq!(
            first(&mut r, &state, "1.0.0.10.in-addr.arpa.", PTR).unwrap().split(' ').nth(3),
            Some("n1.node.dc1.consul.")
        );
    }
    apply(&mut state, catalog(node("n1", "10.0.0.2"), None, Vec::new()));
    assert_eq!(first(&mut r, &state, "web.service.consul.", A).unwrap(), "web.service.consul. 0 A 10.0.0.2");
    assert_eq!(first(&mut r, &state, "n1.node.consul.", A).unwrap(), "n1.node.consul. 0 A 10.0.0.2");
    assert_eq!(quick(&mut r, &state, "alias.service.consul.", A).answers[1], "n1.node.consul. 0 A 10.0.0.2");
    assert_eq!(rcode(&mut r, &state, "1.0.0.10.in-addr.arpa."), 2);
    apply(
        &mut state,
        Command::CatalogDeregister(crate::command::CatalogDeregister { node: "n1".into(), ..Default::default() }),
    );
    for name in ["web.service.consul.", "n1.node.consul."] {
        assert_eq!(rcode(&mut r, &state, name), 3, "{name}");
    }
    assert_eq!(quick(&mut r, &state, "alias.service.consul.", A).answers.len(), 1);
}
