//! Ids of checks, what is refused, and what an instance is made of.

use super::*;
use crate::model::Health;

fn check(set: impl FnOnce(&mut CheckDefinition)) -> CheckDefinition {
    let mut check = CheckDefinition::default();
    set(&mut check);
    check
}

fn ttl() -> CheckDefinition {
    check(|c| c.ttl = 1)
}

fn service(check: Option<CheckDefinition>, checks: Vec<CheckDefinition>) -> ServiceDefinition {
    ServiceDefinition { id: "w1".into(), name: "web".into(), check, checks, ..ServiceDefinition::default() }
}

fn ids(service: &ServiceDefinition) -> Vec<String> {
    service.own_checks().iter().map(|c| c.id.to_string()).collect()
}

#[test]
fn checks_of_a_service_are_numbered() {
    assert_eq!(ids(&service(Some(ttl()), vec![])), ["service:w1"]);
    assert_eq!(ids(&service(Some(CheckDefinition::default()), vec![ttl()])), ["service:w1"]);
    let named = check(|c| (c.id, c.ttl) = ("mine".into(), 1));
    assert_eq!(ids(&service(Some(ttl()), vec![named, ttl()])), ["service:w1:1", "mine", "service:w1:3"]);
    let own = &service(Some(ttl()), vec![]).own_checks()[0];
    assert_eq!((own.name.as_str(), own.service_id.as_str()), ("Service 'web' check", "w1"));
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (set, reason) in [
        (CheckDefinition::default(), "TTL must be > 0 for TTL checks"),
        (check(|c| (c.ttl, c.interval) = (1, 1)), "Interval and TTL cannot both be specified"),
        (check(|c| c.http = "http://x".into()), "Interval must be > 0 for Script, HTTP, or TCP checks"),
        (check(|c| (c.alias_node, c.ttl) = ("n".into(), 1)), "TTL must be not be set for Alias checks"),
        (check(|c| (c.ttl, c.output_max_size) = (1, -1)), "MaxOutputMaxSize must be positive"),
    ] {
        assert_eq!(set.validate(), Err(Refused::because(reason)), "{set:?}");
    }
    assert_eq!(check(|c| c.alias_service = "x".into()).validate(), Ok(()));
    assert_eq!(check(|c| c.status = "warning".into()).initial(), Ok(Health::Warning));
    assert!(check(|c| c.status = "bogus".into()).initial().is_err());
}

#[test]
fn the_kind_follows_from_the_fields() {
    let periodic = |set: fn(&mut CheckDefinition)| {
        let mut check = check(set);
        check.interval = 1;
        check.kind().map(CheckKind::as_str)
    };
    assert_eq!(periodic(|c| c.http = "x".into()), Some("http"));
    assert_eq!(periodic(|c| c.args = vec!["x".into()]), Some("script"));
    assert_eq!(periodic(|c| (c.args, c.docker_container_id) = (vec!["x".into()], "c".into())), Some("docker"));
    assert_eq!(periodic(|_| {}), None);
    assert_eq!(ttl().kind(), Some(CheckKind::Ttl));
}

#[test]
fn an_instance_gets_the_addresses_of_its_family() {
    let mut wanted = service(None, vec![]);
    (wanted.address, wanted.port) = ("10.0.0.1".into(), 80);
    wanted.add_default_addresses();
    let instance = wanted.instance().unwrap();
    let tags: Vec<&str> = instance.extra.as_ref().unwrap().tagged_addresses.iter().map(|a| a.tag.as_str()).collect();
    assert_eq!(tags, ["lan_ipv4", "wan_ipv4"]);
    assert_eq!((instance.id.as_str(), instance.service.name.as_str(), instance.port), ("w1", "web", 80));
}

#[test]
fn a_definition_survives_being_stored() {
    let mut wanted = service(Some(ttl()), vec![check(|c| c.http = "http://x".into())]);
    wanted.proxy = Some("{\"a\":1}".into());
    let text = serde_json::to_string(&wanted).unwrap();
    assert_eq!(serde_json::from_str::<ServiceDefinition>(&text).unwrap(), wanted);
}
