//! What registrations do to what is there, and what a restart leaves of it.

use super::*;

fn ids(agent: &Agent) -> Vec<String> {
    agent.checks().iter().map(|view| view.check.id.to_string()).collect()
}

#[tokio::test]
async fn checks_stay_unless_they_are_replaced() {
    let (agent, _) = agent().await;
    register(&agent, ServiceDefinition { checks: vec![ttl("a", ""), ttl("b", "")], ..service("w1") }).await;
    agent.report("a", Health::Passing, "fine").await.unwrap();
    let again = ServiceDefinition { checks: vec![ttl("a", "")], ..service("w1") };
    register(&agent, again.clone()).await;
    assert_eq!(ids(&agent), ["a", "b"]);
    agent.maintain_service("w1", true, "").await.unwrap();
    agent.register_service(again, Source::Api, true).await.unwrap();
    assert_eq!(ids(&agent), ["_service_maintenance:w1", "a"]);
    assert_eq!(agent.check("a").unwrap().check.output, "fine");
    assert_eq!(agent.aggregate("w1").unwrap().status, "maintenance");
}

#[tokio::test]
async fn a_restart_keeps_what_the_api_registered() {
    let dir = tempfile::tempdir().unwrap();
    let files = Definitions { services: vec![service("file")], ..Definitions::default() };
    {
        let (agent, _) = agent_in(Some(dir.path()), files.clone()).await;
        let checks = vec![ttl("told", ""), CheckDefinition { status: "passing".into(), ..ttl("silent", "") }];
        register(&agent, ServiceDefinition { checks, tags: vec!["t".into()], ..service("w1") }).await;
        register(&agent, service("gone")).await;
        agent.deregister_service("gone").await.unwrap();
        agent.maintain_node(true, "moving").await.unwrap();
        agent.register_check(ttl("of-file", "file"), Source::Api).await.unwrap();
        agent.report("told", Health::Warning, "so so").await.unwrap();
        // The last report is not waited for; this registration is written after it.
        register(&agent, service("last")).await;
        agent.stop_checks();
    }
    let (agent, _) = agent_in(Some(dir.path()), files).await;
    let services: Vec<_> = agent.services().iter().map(|s| s.id.to_string()).collect();
    assert_eq!(services, ["file", "last", "w1"]);
    assert_eq!(agent.service("w1").unwrap().tags[..], ["t"]);
    let check = |id: &str| agent.check(id).map(|view| (view.check.health, view.check.output.to_string()));
    assert_eq!(check("told"), Some((Health::Warning, "so so".into())));
    assert_eq!(check("silent"), Some((Health::Critical, String::new())));
    assert_eq!(check("of-file"), Some((Health::Critical, String::new())));
    assert_eq!(agent.check("_node_maintenance").unwrap().check.notes, "moving");
}

#[tokio::test]
async fn files_are_replaced_as_a_whole() {
    let (agent, _) = agent().await;
    register(&agent, service("api")).await;
    let first = Definitions {
        services: vec![ServiceDefinition { check: Some(ttl("", "")), ..service("f1") }, service("f2")],
        checks: vec![ttl("disk", ""), ttl("of-api", "api")],
    };
    agent.load(first.clone()).await.unwrap();
    agent.report("disk", Health::Passing, "fine").await.unwrap();
    agent.deregister_service("f1").await.unwrap();
    agent.load(first).await.unwrap();
    assert_eq!(ids(&agent), ["disk", "of-api", "service:f1"]);
    assert_eq!(agent.check("disk").unwrap().check.output, "fine");
    let second = Definitions { services: vec![service("f2")], checks: vec![ttl("disk", "")] };
    agent.load(second).await.unwrap();
    assert_eq!(ids(&agent), ["disk"]);
    let services: Vec<_> = agent.services().iter().map(|s| s.id.to_string()).collect();
    assert_eq!(services, ["api", "f2"]);
    let wrong = Definitions { services: vec![], checks: vec![ttl("lost", "nope")] };
    let error = agent.load(wrong).await.unwrap_err().to_string();
    assert_eq!(error, "Failed to register check \"lost\": ServiceID \"nope\" does not exist");
    assert_eq!(ids(&agent), ["disk"], "a set with a fault changes nothing");
}

#[tokio::test]
async fn scripts_need_permission() {
    let (agent, _) = agent().await;
    let script = CheckDefinition {
        name: "s".into(),
        args: vec!["true".into()],
        interval: 3_600_000_000_000,
        ..CheckDefinition::default()
    };
    agent.register_check(script.clone(), Source::Api).await.unwrap();
    let refused = agent.load(Definitions { checks: vec![script], ..Definitions::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("Scripts are disabled on this agent; to enable"));
}

#[tokio::test]
async fn a_service_that_is_critical_for_too_long_is_removed() {
    let (agent, clock) = agent().await;
    let minute = CheckDefinition { deregister_critical_service_after: 1, ..ttl("c", "") };
    register(&agent, ServiceDefinition { check: Some(minute), ..service("w1") }).await;
    register(&agent, ServiceDefinition { check: Some(ttl("d", "")), ..service("w2") }).await;
    agent.report("c", Health::Passing, "").await.unwrap();
    clock.advance(200_000);
    agent.reap().await;
    assert!(agent.service("w1").is_some());
    agent.report("c", Health::Critical, "").await.unwrap();
    clock.advance(59_999);
    agent.reap().await;
    assert!(agent.service("w1").is_some(), "less than a minute counts as one");
    clock.advance(1);
    agent.reap().await;
    assert!(agent.service("w1").is_none() && agent.service("w2").is_some());
}

#[tokio::test]
async fn an_alias_follows_its_service() {
    let (agent, _) = agent().await;
    register(&agent, ServiceDefinition { check: Some(ttl("c", "")), ..service("w1") }).await;
    let alias = CheckDefinition {
        id: "al".into(),
        name: "al".into(),
        alias_service: "w1".into(),
        ..CheckDefinition::default()
    };
    agent.register_check(alias, Source::Api).await.unwrap();
    let mut changes = agent.changes();
    for (health, output) in
        [(Health::Critical, "no"), (Health::Warning, "hm"), (Health::Passing, "ok"), (Health::Critical, "no")]
    {
        agent.report("c", health, output).await.unwrap();
        let wanted = match health {
            Health::Passing => "All checks passing.".to_owned(),
            _ => format!("Aliased check \"c\" failing: {output}"),
        };
        while agent.check("al").is_none_or(|al| al.check.output != wanted || al.check.health != health) {
            changes.changed().await.unwrap();
        }
    }
    agent.deregister_service("w1").await.unwrap();
    while agent.check("al").is_none_or(|al| al.check.output != "Service w1 could not be found on node ") {
        changes.changed().await.unwrap();
    }
}
