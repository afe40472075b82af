//! Sidecars: what they are made of, which port they get, and when they go.

use super::*;

fn with_sidecar(id: &str, sidecar: ServiceDefinition) -> ServiceDefinition {
    ServiceDefinition { sidecar: Some(Box::new(sidecar)), ..service(id) }
}

fn plain(id: &str) -> ServiceDefinition {
    with_sidecar(id, ServiceDefinition::default())
}

fn at(id: &str, port: i64) -> ServiceDefinition {
    with_sidecar(id, ServiceDefinition { port, ..ServiceDefinition::default() })
}

fn of_files(services: Vec<ServiceDefinition>) -> Definitions {
    Definitions { services, ..Definitions::default() }
}

/// Services and their ports, in order of id.
fn ports(agent: &Agent) -> Vec<(String, i32)> {
    agent.services().iter().map(|s| (s.id.to_string(), s.port)).collect()
}

fn port(agent: &Agent, service: &str) -> Option<i32> {
    agent.service(&format!("{service}-sidecar-proxy")).map(|sidecar| sidecar.port)
}

/// Only these two ports are there.
fn narrow(agent: &Agent) {
    agent.set(Settings { sidecar_ports: Some(21000..=21001), ..(*agent.settings()).clone() });
}

#[tokio::test]
async fn a_sidecar_is_a_service_beside_its_own() {
    let (agent, _) = agent().await;
    register(&agent, ServiceDefinition { tags: vec!["t".into()], ..plain("w1") }).await;
    let sidecar = agent.service("w1-sidecar-proxy").expect("registered");
    assert_eq!(
        (sidecar.service.name.as_str(), sidecar.port, &sidecar.tags[..]),
        ("web-sidecar-proxy", 21000, &["t".into()][..])
    );
    let extra = sidecar.extra.as_deref().expect("of the mesh");
    assert_eq!(extra.kind, "connect-proxy");
    let checks = agent.checks();
    let checks: Vec<_> =
        checks.iter().map(|c| (c.check.id.as_str(), c.check.name.as_str(), c.check.kind.as_str())).collect();
    assert_eq!(
        checks,
        [
            ("service:w1-sidecar-proxy:1", "Connect Sidecar Listening", "tcp"),
            ("service:w1-sidecar-proxy:2", "Connect Sidecar Aliasing w1", "alias"),
        ]
    );
    assert!(agent.service("w1").expect("registered").extra.is_none(), "the service says nothing of it");
}

#[tokio::test]
async fn a_port_is_kept_and_given_again_when_it_is_free() {
    let (agent, _) = agent().await;
    narrow(&agent);
    register(&agent, plain("a")).await;
    register(&agent, plain("b")).await;
    let full = agent.register_service(plain("c"), Source::Api, false).await.expect_err("no port is left");
    let why = "Invalid SidecarService: no port provided for sidecar_service and none left in the configured range";
    assert_eq!(full.to_string(), format!("{why} [21000, 21001]"));
    assert_eq!(agent.service("c"), None, "a service whose sidecar is refused was registered");
    register(&agent, plain("b")).await;
    assert_eq!((port(&agent, "a"), port(&agent, "b")), (Some(21000), Some(21001)));
    register(&agent, at("a", 5)).await;
    register(&agent, plain("c")).await;
    assert_eq!((port(&agent, "a"), port(&agent, "c")), (Some(5), Some(21000)));
    agent.deregister_service("b").await.expect("gone");
    register(&agent, plain("a")).await;
    assert_eq!(
        ports(&agent),
        [("a", 80), ("a-sidecar-proxy", 21001), ("c", 80), ("c-sidecar-proxy", 21000)].map(|(i, p)| (i.into(), p))
    );
}

#[tokio::test]
async fn without_a_range_a_sidecar_needs_a_port() {
    let (agent, _) = agent().await;
    agent.set(Settings { sidecar_ports: None, ..(*agent.settings()).clone() });
    let refused = agent.register_service(plain("a"), Source::Api, false).await.expect_err("no ports");
    assert!(refused.to_string().ends_with("and auto-assignment disabled in config"), "{refused}");
    register(&agent, at("a", 7)).await;
    assert_eq!(port(&agent, "a"), Some(7));
}

#[tokio::test]
async fn a_sidecar_goes_with_its_service_and_stays_without_being_asked_for() {
    let (agent, _) = agent().await;
    register(&agent, plain("a")).await;
    register(&agent, service("a")).await;
    assert_eq!(port(&agent, "a"), Some(21000));
    agent.deregister_service("A").await.expect("gone");
    assert_eq!((ports(&agent).len(), agent.checks().len()), (0, 0));
    register(&agent, service("a")).await;
    register(&agent, service("a-sidecar-proxy")).await;
    agent.deregister_service("a").await.expect("gone");
    assert_eq!(ports(&agent), [("a-sidecar-proxy".into(), 80)], "it was no sidecar");
}

#[tokio::test]
async fn a_restart_keeps_sidecars_and_their_ports() {
    let dir = tempfile::tempdir().unwrap();
    let file = of_files(vec![plain("f")]);
    {
        let (agent, _) = agent_in(Some(dir.path()), Definitions::default()).await;
        register(&agent, plain("gone")).await;
        register(&agent, plain("a")).await;
        register(&agent, with_sidecar("b", ServiceDefinition { check: Some(ttl("", "")), ..Default::default() })).await;
        agent.deregister_service("gone").await.unwrap();
        agent.stop_checks();
    }
    let (agent, _) = agent_in(Some(dir.path()), file).await;
    let expected = [("a", 21001), ("b", 21002), ("f", 21000)].map(|(id, port)| (id, Some(port)));
    assert_eq!(["a", "b", "f"].map(|id| (id, port(&agent, id))), expected);
    assert_eq!(agent.checks().len(), 5);
    agent.deregister_service("a").await.unwrap();
    assert_eq!(port(&agent, "a"), None, "it is still known whose it is");
}

#[tokio::test]
async fn files_read_again_change_no_port() {
    let (agent, _) = agent().await;
    agent.load(of_files(vec![plain("a"), plain("b")])).await.expect("loaded");
    agent.load(of_files(vec![plain("c"), plain("b"), plain("a")])).await.expect("loaded");
    assert_eq!(["a", "b", "c"].map(|id| port(&agent, id)), [Some(21000), Some(21001), Some(21002)]);
    agent.load(of_files(vec![service("a"), at("d", 21000), plain("e")])).await.expect("loaded");
    let expected = [None, None, Some(21000), Some(21001)];
    assert_eq!(["a", "b", "d", "e"].map(|id| port(&agent, id)), expected, "an explicit port is nobody else's");
    let error = of_files(vec![with_sidecar(
        "x",
        ServiceDefinition { check: Some(ttl("", "")), meta: vec![("".into(), "".into())], ..Default::default() },
    )]);
    let error = agent.load(error).await.expect_err("refused").to_string();
    assert!(error.starts_with("Failed to register service \"web\": Invalid SidecarService: "), "{error}");
    assert_eq!(port(&agent, "e"), Some(21001), "nothing has changed");
}

#[tokio::test]
async fn a_service_that_a_file_no_longer_has_takes_a_registered_sidecar_along() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (agent, _) = agent_in(Some(dir.path()), Definitions::default()).await;
        register(&agent, plain("a")).await;
        agent.load(of_files(vec![service("a")])).await.expect("loaded");
        assert_eq!(port(&agent, "a"), Some(21000));
        agent.load(Definitions::default()).await.expect("loaded");
        assert!(ports(&agent).is_empty());
        agent.stop_checks();
    }
    let (agent, _) = agent_in(Some(dir.path()), Definitions::default()).await;
    assert!(ports(&agent).is_empty(), "it came back");
}
