//! The catalog shows what the agent owns, and only that.

use super::*;
use crate::command::{CatalogCheck, CatalogDeregister};
use crate::model::Check;
use crate::service::SessionSpec;

fn foreign(id: &str, check: Option<&str>) -> CatalogRegister {
    let key = InstanceKey { service: ServiceKey::of("foreign"), node: NODE.into(), id: id.into() };
    let check = check
        .map(|id| CatalogCheck { service_id: Default::default(), check: Check { id: id.into(), ..Check::default() } });
    CatalogRegister {
        node: crate::model::NodeRecord { name: NODE.into(), ..Default::default() },
        skip_node_update: true,
        service: Some(Instance::new(key, Default::default(), 1)),
        checks: check.into_iter().collect(),
    }
}

#[tokio::test]
async fn a_registration_is_shown_with_its_checks_in_one_revision() {
    let (agent, _) = agent().await;
    register(&agent, ServiceDefinition { check: Some(ttl("", "")), ..service("w1") }).await;
    assert!(shown(&agent, "w1").is_none(), "nobody has synced yet");
    agent.sync_changes().await.unwrap();
    let found = shown(&agent, "w1").unwrap();
    assert_eq!((found.checks[0].id.as_str(), found.checks[0].kind.as_str()), ("service:w1", "ttl"));
    assert_eq!(found.create_revision, found.checks[0].create_revision);
    agent.deregister_service("w1").await.unwrap();
    agent.sync_changes().await.unwrap();
    assert!(shown(&agent, "w1").is_none() && agent.checks().is_empty());
}

#[tokio::test]
async fn what_differs_is_mended_and_nothing_else_is_written() {
    let (agent, _) = agent().await;
    register(&agent, service("w1")).await;
    agent.register_check(ttl("c", "w1"), Source::Api).await.unwrap();
    agent.register_check(ttl("n", ""), Source::Api).await.unwrap();
    agent.sync_all().await.unwrap();
    let before = revision(&agent);
    agent.sync_all().await.unwrap();
    register(&agent, service("w1")).await;
    agent.sync_all().await.unwrap();
    assert_eq!(revision(&agent), before, "something was written that was there");
    for (service, check) in [("w1", ""), ("", "n")] {
        let gone = CatalogDeregister { node: NODE.into(), service_id: service.into(), check_id: check.into() };
        agent.inner.catalog.write(CatalogWrite::Deregister(gone)).await.unwrap();
    }
    agent.sync_all().await.unwrap();
    assert!(shown(&agent, "w1").is_some_and(|i| i.checks.len() == 1));
    assert!(shown_check(&agent, "", "n").is_some());
}

#[tokio::test]
async fn strangers_on_the_node_have_to_go() {
    let core = core(&Clock::manual(1_000_000, 1)).await;
    let agent = agent_on(core.clone(), None, Definitions::default()).await;
    core.catalog_register(Box::new(foreign("f1", Some("fcheck")))).await.unwrap();
    let session = core.create_session(None, SessionSpec::default()).await.unwrap().value;
    let proof = crate::service::Proof { id: session.id, secret: session.secret.to_vec() };
    let key = InstanceKey { service: ServiceKey::of("sdk"), node: NODE.into(), id: "s1".into() };
    let own = Instance::new(key, "10.0.0.1".into(), 1);
    core.register(None, Some(proof), vec![own], false).await.unwrap();
    agent.sync_all().await.unwrap();
    assert!(shown(&agent, "f1").is_none() && shown_check(&agent, "", "fcheck").is_none());
    assert!(shown(&agent, "s1").is_some(), "an instance with a session is not the agent's to remove");
    assert!(shown(&agent, SERVER_SERVICE).is_some());
    assert_eq!(shown_check(&agent, "", SERF_HEALTH).map(|c| c.0), Some(Health::Passing));
}

#[tokio::test]
async fn tags_may_be_decided_in_the_catalog() {
    let (agent, _) = agent().await;
    let wanted = ServiceDefinition { tags: vec!["mine".into()], enable_tag_override: true, ..service("w1") };
    register(&agent, wanted).await;
    agent.sync_all().await.unwrap();
    let mut other = (*shown(&agent, "w1").unwrap()).clone();
    (other.tags, other.port) = (["theirs".into()].into(), 99);
    let command = CatalogRegister { service: Some(other), ..foreign("w1", None) };
    agent.inner.catalog.write(CatalogWrite::Register(Box::new(command))).await.unwrap();
    agent.sync_all().await.unwrap();
    let found = shown(&agent, "w1").unwrap();
    assert_eq!((&found.tags[..], found.port), (&["theirs".into()][..], 80));
    assert_eq!(&agent.service("w1").unwrap().tags[..], ["theirs"]);
}

#[tokio::test]
async fn a_change_of_nothing_but_output_waits() {
    let (agent, _) = agent().await;
    register(&agent, ServiceDefinition { check: Some(ttl("c", "")), ..service("w1") }).await;
    agent.report("c", Health::Passing, "one").await.unwrap();
    agent.sync_changes().await.unwrap();
    agent.report("c", Health::Passing, "two").await.unwrap();
    agent.sync_all().await.unwrap();
    assert_eq!(shown_check(&agent, "w1", "c"), Some((Health::Passing, "one".into())));
    assert_eq!(agent.check("c").unwrap().check.output, "two");
    let generation = agent.local().check("c").unwrap().generation;
    agent.end_deferral("c".into(), generation);
    agent.sync_changes().await.unwrap();
    assert_eq!(shown_check(&agent, "w1", "c"), Some((Health::Passing, "two".into())));
    agent.report("c", Health::Critical, "two").await.unwrap();
    agent.sync_changes().await.unwrap();
    assert_eq!(shown_check(&agent, "w1", "c"), Some((Health::Critical, "two".into())));
}

#[tokio::test]
async fn many_changes_are_written_in_rounds() {
    let (agent, _) = agent().await;
    let services = (0..300).map(|n| ServiceDefinition { check: Some(ttl("", "")), ..service(&format!("w{n}")) });
    agent.load(Definitions { services: services.collect(), ..Definitions::default() }).await.unwrap();
    agent.sync_changes().await.unwrap();
    assert!((0..300).all(|n| shown(&agent, &format!("w{n}")).is_some_and(|i| i.checks.len() == 1)));
    assert!(agent.local().unsynced.is_empty());
    agent.load(Definitions::default()).await.unwrap();
    agent.sync_changes().await.unwrap();
    assert!(shown(&agent, "w0").is_none() && shown(&agent, "w299").is_none());
}

#[tokio::test]
async fn a_check_may_move_to_another_service() {
    let (agent, _) = agent().await;
    register(&agent, service("w1")).await;
    register(&agent, service("w2")).await;
    agent.register_check(ttl("c", "w1"), Source::Api).await.unwrap();
    agent.sync_changes().await.unwrap();
    agent.register_check(ttl("c", "w2"), Source::Api).await.unwrap();
    agent.sync_changes().await.unwrap();
    assert!(shown_check(&agent, "w1", "c").is_none() && shown_check(&agent, "w2", "c").is_some());
    agent.deregister_service("w1").await.unwrap();
    agent.sync_changes().await.unwrap();
    assert!(agent.check("c").is_some() && shown_check(&agent, "w2", "c").is_some());
}
