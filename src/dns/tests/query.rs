//! Names of prepared queries. The answers are those of a real Consul 1.8.7 to the same questions.

use super::fixture::*;
use crate::command::{Command, SetQuery};
use crate::dns::options::Options;
use crate::machine::State;
use crate::model::{Health, PreparedQuery, QueryTemplate, ServiceQuery};
use hickory_proto::rr::RecordType::{A, AAAA, ANY, SRV, TXT};
use uuid::Uuid;

fn set(state: &mut State, id: u128, name: &str, service: ServiceQuery, dns_ttl: &str, template: bool) {
    let kind = if template { "name_prefix_match".into() } else { Default::default() };
    let query = PreparedQuery {
        id: Uuid::from_u128(id),
        name: name.into(),
        template: QueryTemplate { kind, ..QueryTemplate::default() },
        service,
        dns_ttl: dns_ttl.into(),
        ..PreparedQuery::default()
    };
    apply(state, Command::SetQuery(Box::new(SetQuery { query, update: false })));
}

fn of(service: &str) -> ServiceQuery {
    ServiceQuery { service: service.into(), ..ServiceQuery::default() }
}

fn prepared() -> State {
    let mut state = State::new();
    apply(&mut state, catalog(node("qn1", "10.8.0.1"), Some(instance("qweb", "qn1", "a", "", 80)), Vec::new()));
    let warning = vec![check("b", "c", Health::Warning)];
    apply(&mut state, catalog(node("qn2", "10.8.0.2"), Some(instance("qweb", "qn2", "b", "10.8.9.9", 81)), warning));
    set(&mut state, 1, "q1", of("qweb"), "7s", false);
    set(&mut state, 2, "q2", ServiceQuery { only_passing: true, ..of("qweb") }, "", false);
    set(&mut state, 3, "t-", of("q${name.suffix}"), "", true);
    set(&mut state, 4, "q3", of("nothing"), "", false);
    state
}

#[test]
fn a_query_answers_with_what_it_finds_and_its_own_ttl() {
    let state = prepared();
    let mut r = responder(Options::default());
    for (name, kind) in
        [("q1.query.consul.", A), ("Q1.query.dc1.consul.", A), ("q1.query.consul.", ANY), ("q1.query.consul.", TXT)]
    {
        let reply = quick(&mut r, &state, name, kind);
        assert_eq!(reply.answers, [format!("{name} 7 A 10.8.0.1"), format!("{name} 7 A 10.8.9.9")], "{name} {kind}");
        assert_eq!((reply.rcode, reply.flags.as_str()), (0, "aa rd"));
    }
    let reply = quick(&mut r, &state, "q1.query.consul.", SRV);
    let [node, address] = ["qn1.node.dc1.consul.", "0a080909.addr.dc1.consul."];
    assert_eq!(
        reply.answers,
        [format!("q1.query.consul. 7 SRV 1 1 80 {node}"), format!("q1.query.consul. 7 SRV 1 1 81 {address}")]
    );
    assert_eq!(
        reply.additional,
        [format!("{address} 7 A 10.8.9.9"), "OPT 4096".to_owned(), format!("{node} 7 A 10.8.0.1")]
    );
    let reply = quick(&mut r, &state, "q2.query.consul.", SRV);
    assert_eq!(reply.answers, [format!("q2.query.consul. 0 SRV 1 1 80 {node}")], "an instance with a warning");
    let id = format!("{}.query.consul.", Uuid::from_u128(1));
    assert_eq!(quick(&mut r, &state, &id, A).answers.len(), 2, "by id");
    let none = quick(&mut r, &state, "q1.query.consul.", AAAA);
    assert_eq!((none.rcode, none.answers.len(), none.authority.len()), (0, 0, 1));
}

#[test]
fn templates_answer_for_every_name_with_their_prefix() {
    let state = prepared();
    let mut r = responder(Options::default());
    for name in ["t-web.query.consul.", "T-Web.query.consul."] {
        let answers = quick(&mut r, &state, name, A).answers;
        assert_eq!(answers, [format!("{name} 0 A 10.8.0.1"), format!("{name} 0 A 10.8.9.9")]);
    }
    for name in ["t-a.b", "q3", "nope"] {
        let reply = quick(&mut r, &state, &format!("{name}.query.consul."), A);
        assert_eq!((reply.rcode, reply.authority.len()), (3, 1), "{name}");
    }
    for name in ["q1.query.dc2.consul.", "query.consul."] {
        assert_eq!(quick(&mut r, &state, name, A).rcode, 3, "{name}");
    }
}

#[test]
fn a_kept_answer_goes_with_its_query() {
    let mut state = prepared();
    let mut r = responder(Options::default());
    assert_eq!(quick(&mut r, &state, "later.query.consul.", A).rcode, 3);
    set(&mut state, 9, "later", of("qweb"), "1m", false);
    assert_eq!(quick(&mut r, &state, "later.query.consul.", A).answers[0], "later.query.consul. 60 A 10.8.0.1");
    let deletion = crate::command::DeleteQuery { id: Uuid::from_u128(9) };
    apply(&mut state, Command::DeleteQuery(deletion));
    assert_eq!(quick(&mut r, &state, "later.query.consul.", A).rcode, 3);
}

#[test]
fn the_nearest_instance_is_always_first() {
    let mut state = prepared();
    set(&mut state, 9, "near", ServiceQuery { near: "qn2".into(), ..of("qweb") }, "", false);
    let mut r = responder(Options { a_record_limit: 1, ..Options::default() });
    for _ in 0..20 {
        assert_eq!(quick(&mut r, &state, "near.query.consul.", A).answers, ["near.query.consul. 0 A 10.8.9.9"]);
    }
}
