//! Resolve and the lists.

use super::fixture::{Fixture, field, ids, instance, prefix, reason, service};
use crate::proto::v1 as pb;
use tonic::Code;

#[tokio::test]
async fn an_unknown_service_is_no_error() {
    let mut f = Fixture::start().await;
    let answer = f.resolve(service("web")).await;
    let state = answer.state.unwrap();
    assert_eq!((state.service.as_str(), state.exists, state.total), ("web", false, 0));
    assert!(answer.instances.is_empty() && !answer.resume_token.is_empty());
    let header = answer.header.unwrap();
    assert_eq!(header.cluster_id, f.core.cluster_id().unwrap().to_string());
    assert!(!header.node_id.is_empty() && header.leader.starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_repeated_question_is_answered_from_the_present_state() {
    let mut f = Fixture::start().await;
    f.register(vec![instance("web", "1")]).await;
    let first = f.resolve(service("web")).await;
    assert_eq!(ids(&first.instances), ["1"]);
    let other = f.register(vec![instance("db", "1")]).await;
    let second = f.resolve(service("web")).await;
    assert_eq!(second.instances, first.instances);
    assert!(second.header.unwrap().revision >= other, "the header is of now");
    f.register(vec![instance("web", "2")]).await;
    let third = f.resolve(service("WEB")).await;
    assert_eq!(ids(&third.instances), ["1", "2"], "names are compared without case");
    let third = f.resolve(service("web")).await;
    assert_eq!(ids(&third.instances), ["1", "2"]);
    assert_eq!(third.state.unwrap().total, 2);
}

#[tokio::test]
async fn selectors_pick_by_tag_metadata_health_and_filter() {
    let mut f = Fixture::start().await;
    let mut blue = instance("web", "blue");
    blue.tags = vec!["Blue".into(), "v2".into()];
    blue.metadata = [("az".to_owned(), "a".to_owned())].into();
    let mut sick = instance("web", "sick");
    sick.tags = vec!["blue".into()];
    let mut away = instance("web", "away");
    away.lifecycle = pb::Lifecycle::Draining.into();
    f.register(vec![blue.clone(), sick.clone(), away]).await;
    f.report(&sick, pb::HealthState::Critical, "down").await;
    assert_eq!(ids(&f.resolve(service("web")).await.instances), ["blue"]);
    let policy = |health: pb::HealthPolicy| pb::ServiceSelector { health: health.into(), ..service("web") };
    assert_eq!(ids(&f.resolve(policy(pb::HealthPolicy::Any)).await.instances), ["away", "blue", "sick"]);
    f.report(&blue, pb::HealthState::Warning, "slow").await;
    assert_eq!(ids(&f.resolve(policy(pb::HealthPolicy::Serving)).await.instances), ["blue"]);
    assert!(f.resolve(policy(pb::HealthPolicy::Passing)).await.instances.is_empty());
    assert_eq!(ids(&f.resolve(policy(pb::HealthPolicy::FailOpen)).await.instances), ["blue"]);
    f.report(&blue, pb::HealthState::Critical, "down").await;
    assert_eq!(f.resolve(policy(pb::HealthPolicy::FailOpen)).await.instances.len(), 3);
    let any = policy(pb::HealthPolicy::Any);
    let tagged = pb::ServiceSelector { tags: vec!["BLUE".into()], ..any.clone() };
    assert_eq!(ids(&f.resolve(tagged).await.instances), ["blue", "sick"]);
    let meta = pb::ServiceSelector { metadata: [("az".to_owned(), "a".to_owned())].into(), ..any.clone() };
    assert_eq!(ids(&f.resolve(meta).await.instances), ["blue"]);
    let filter = |text: &str| pb::ServiceSelector { filter: text.into(), ..any.clone() };
    let text = "ID == sick and Health == critical and Port == 80 and Tags contains blue and Meta is empty";
    assert_eq!(ids(&f.resolve(filter(text)).await.instances), ["sick"]);
    assert_eq!(ids(&f.resolve(filter("Lifecycle == draining")).await.instances), ["away"]);
    let request = pb::ResolveRequest { selector: Some(filter("Nope == 1")), ..Default::default() };
    assert_eq!(field(f.discovery.resolve(request).await), "selector.filter");
}

#[tokio::test]
async fn a_view_shows_what_it_promises_and_the_nearest_come_first() {
    let mut f = Fixture::start().await;
    let near = pb::Locality { region: "r".into(), zone: "z".into(), sub_zone: String::new() };
    let mut a = instance("web", "a");
    a.metadata = [("k".to_owned(), "v".to_owned())].into();
    let b = pb::Instance { locality: Some(near.clone()), ..instance("web", "b") };
    f.register(vec![a.clone(), b]).await;
    f.report(&a, pb::HealthState::Passing, "fine").await;
    let ask = pb::ResolveRequest { selector: Some(service("web")), ..Default::default() };
    let routing = f.discovery.resolve(ask.clone()).await.unwrap().into_inner().instances;
    assert!(routing[0].metadata.is_empty() && routing[0].checks.is_empty());
    let full = pb::ResolveRequest { view: pb::InstanceView::Full.into(), ..ask.clone() };
    let full = f.discovery.resolve(full).await.unwrap().into_inner().instances;
    assert_eq!((full[0].metadata.len(), full[0].checks[0].output.as_str()), (1, "fine"));
    assert!(full[0].modify_revision > full[0].create_revision);
    let near = pb::ResolveRequest { client_locality: Some(near), max_instances: 1, ..ask };
    assert_eq!(ids(&f.discovery.resolve(near).await.unwrap().into_inner().instances), ["b"]);
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let mut f = Fixture::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        f.register(vec![instance(name, "1"), instance(name, "2")]).await;
    }
    let ask = pb::ListServicesRequest { page_size: 2, ..Default::default() };
    let mut names = Vec::new();
    let mut revisions = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListServicesRequest { page_token: token, ..ask.clone() };
        let page = f.discovery.list_services(request).await.unwrap().into_inner();
        names.extend(page.services.iter().map(|s| s.service.clone()));
        revisions.push(page.header.unwrap().revision);
        // A service in the middle of what is still to come.
        f.register(vec![instance("bb", "1"), instance("dd", "1")]).await;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert!(revisions.windows(2).all(|w| w[0] == w[1]), "{revisions:?}");
    let wrong = pb::ListServicesRequest { page_token: "AAAA".into(), ..ask.clone() };
    assert_eq!(field(f.discovery.list_services(wrong).await), "page_token");
    let huge = pb::ListServicesRequest { page_size: 1001, ..ask };
    assert_eq!(field(f.discovery.list_services(huge).await), "page_size");
}

#[tokio::test]
async fn instances_are_listed_in_order_with_the_fields_asked_for() {
    let mut f = Fixture::start().await;
    let all: Vec<_> = ["web-a", "web-b"].iter().flat_map(|s| (0..5).map(|i| instance(s, &i.to_string()))).collect();
    f.register(all).await;
    let mask = prost_types::FieldMask { paths: vec!["key.instance_id".into(), "port".into()] };
    let ask = pb::ListInstancesRequest {
        selector: Some(prefix("web-")),
        read_mask: Some(mask),
        page_size: 3,
        ..Default::default()
    };
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListInstancesRequest { page_token: token, ..ask.clone() };
        let page = f.discovery.list_instances(request).await.unwrap().into_inner();
        assert!(page.instances.len() <= 3);
        found.extend(page.instances);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(ids(&found), ["0", "1", "2", "3", "4", "0", "1", "2", "3", "4"]);
    assert!(found.iter().all(|i| i.port == 80 && i.address.is_empty() && i.key.as_ref().unwrap().service.is_empty()));
    let mask = Some(prost_types::FieldMask { paths: vec!["nope".into()] });
    let request = pb::ListInstancesRequest { read_mask: mask, ..ask };
    assert_eq!(field(f.discovery.list_instances(request).await), "read_mask");
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_too_stale() {
    let mut f = Fixture::start().await;
    let read = Some(pb::ReadOptions { min_revision: 1_000_000, ..Default::default() });
    let ask = pb::ResolveRequest { selector: Some(service("web")), read, ..Default::default() };
    let mut request = tonic::Request::new(ask);
    request.set_timeout(std::time::Duration::from_secs(2));
    let status = f.discovery.resolve(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "ERROR_REASON_TOO_STALE"));
}
