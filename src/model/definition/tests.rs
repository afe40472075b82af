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

#[test]
fn a_sidecar_takes_from_its_service_what_it_does_not_say() {
    let pair = |key: &str| (key.into(), "1".into());
    let asked = |sidecar: ServiceDefinition| ServiceDefinition {
        port: 80,
        address: "10.0.0.1".into(),
        tags: vec!["t".into()],
        meta: vec![pair("m")],
        token: "secret".into(),
        sidecar: Some(Box::new(sidecar)),
        ..service(None, vec![])
    };
    let made = |sidecar| asked(sidecar).take_sidecar().expect("fit").expect("asked for");
    let plain = made(ServiceDefinition::default());
    assert_eq!((plain.id().as_str(), plain.port()), ("w1-sidecar-proxy", None));
    let plain = plain.at(21000);
    assert_eq!((plain.name.as_str(), plain.kind.as_str()), ("web-sidecar-proxy", "connect-proxy"));
    assert_eq!((plain.address.as_str(), plain.token.as_str(), plain.port), ("10.0.0.1", "secret", 21000));
    assert_eq!((&plain.tags[..], &plain.meta[..]), (&["t".into()][..], &[pair("m")][..]));
    let proxy = plain.proxy_definition().expect("of ours");
    assert_eq!((proxy.destination_service_name.as_str(), proxy.destination_service_id.as_str()), ("web", "w1"));
    assert_eq!((proxy.local_service_address.as_str(), proxy.local_service_port), ("127.0.0.1", 80));
    assert_eq!(plain.own_checks()[0].tcp, "127.0.0.1:21000");
    assert_eq!(plain.own_checks()[1].alias_service, "w1");
    assert_eq!(plain.validate(), Ok(()));
    let own = ServiceDefinition {
        port: 7,
        tags: vec!["o".into()],
        check: Some(ttl()),
        proxy: Some(r#"{"LocalServiceAddress":"::1","LocalServicePort":9,"Mode":"direct"}"#.into()),
        ..ServiceDefinition::default()
    };
    let own = made(own);
    assert_eq!(own.port(), Some(7));
    let own = own.at(7);
    assert_eq!((own.tags[0].as_str(), own.own_checks().len()), ("o", 1));
    let proxy = concat!(
        r#"{"DestinationServiceName":"web","DestinationServiceID":"w1","LocalServiceAddress":"::1","#,
        r#""LocalServicePort":9,"MeshGateway":{},"Expose":{},"Mode":"direct"}"#
    );
    assert_eq!(own.proxy.as_deref(), Some(proxy));
    assert_eq!(asked(ServiceDefinition::default()).take_sidecar().map(|s| s.is_some()), Ok(true));
    assert_eq!(service(None, vec![]).take_sidecar(), Ok(None));
    let refused = asked(ServiceDefinition { check: Some(check(|c| c.http = "x".into())), ..Default::default() });
    let why = "Invalid check in sidecar_service: Interval must be > 0 for Script, HTTP, or TCP checks";
    assert_eq!(refused.clone().take_sidecar(), Err(Refused::because(why)));
}

#[test]
fn a_sidecar_is_stored_by_itself() {
    let mut with = service(None, vec![]);
    with.sidecar = Some(Box::default());
    let text = serde_json::to_string(&with).expect("JSON");
    assert!(!text.contains("sidecar"), "{text}");
    let sidecar = with.take_sidecar().expect("fit").expect("asked for").at(1);
    let text = serde_json::to_string(&sidecar).expect("JSON");
    assert_eq!(serde_json::from_str::<ServiceDefinition>(&text).expect("a definition"), sidecar);
}
