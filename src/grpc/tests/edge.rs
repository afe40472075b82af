//! The server itself: registry calls, reflection, health checking, members, ids of requests.

use super::fixture::{Fixture, field, instance, next, reason, service};
use crate::grpc::peer::Connections;
use crate::proto::v1 as pb;
use crate::raft::{Peers, Unreached};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn a_write_is_repeated_without_a_second_effect() {
    let mut f = Fixture::start().await;
    let request_id = uuid::Uuid::from_u128(1).to_string();
    let request =
        pb::RegisterInstancesRequest { request_id, instances: vec![instance("web", "1")], ..Default::default() };
    let first = f.registry.register_instances(request.clone()).await.unwrap().into_inner();
    let again = f.registry.register_instances(request.clone()).await.unwrap().into_inner();
    assert_eq!(first.instances[0].create_revision, again.instances[0].create_revision);
    let other = pb::RegisterInstancesRequest { instances: vec![instance("web", "2")], ..request };
    let status = f.registry.register_instances(other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "ERROR_REASON_REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn an_instance_is_checked_updated_and_removed() {
    let mut f = Fixture::start().await;
    let one = instance("web", "1");
    let rehearse =
        pb::RegisterInstancesRequest { instances: vec![one.clone()], validate_only: true, ..Default::default() };
    f.registry.register_instances(rehearse).await.unwrap();
    assert!(!f.resolve(service("web")).await.state.unwrap().exists, "validate_only writes nothing");
    f.register(vec![one.clone()]).await;
    let update = pb::UpdateInstanceRequest {
        instance: Some(pb::Instance { port: 81, address: "ignored".into(), ..one.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["port".into()] }),
        ..Default::default()
    };
    let updated = f.registry.update_instance(update.clone()).await.unwrap().into_inner().instance.unwrap();
    assert_eq!((updated.port, updated.address.as_str()), (81, "10.0.0.1"));
    let stale = pb::UpdateInstanceRequest { expected_revision: Some(1), ..update.clone() };
    assert_eq!(f.registry.update_instance(stale).await.unwrap_err().code(), Code::Aborted);
    let wrong = Some(prost_types::FieldMask { paths: vec!["health".into()] });
    let wrong = pb::UpdateInstanceRequest { update_mask: wrong, ..update };
    assert_eq!(field(f.registry.update_instance(wrong).await), "update_mask");
    let absent = pb::ReportHealthRequest { key: instance("web", "9").key, ..Default::default() };
    let status = f.registry.report_health(absent).await.unwrap_err();
    assert_eq!(reason(&status), "ERROR_REASON_INSTANCE_NOT_FOUND");
    f.deregister(&one).await;
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let mut f = Fixture::start().await;
    let mut register = async |instances: Vec<pb::Instance>| {
        field(f.registry.register_instances(pb::RegisterInstancesRequest { instances, ..Default::default() }).await)
    };
    assert_eq!(register(vec![]).await, "instances");
    assert_eq!(register(vec![instance("web", "1"); 501]).await, "instances");
    assert_eq!(register(vec![instance("web", "1"), instance("WEB", "1")]).await, "instances[1].key");
    let good = || instance("web", "0");
    assert_eq!(register(vec![good(), instance("", "1")]).await, "instances[1].key.service");
    assert_eq!(register(vec![pb::Instance { port: 65_536, ..good() }]).await, "instances[0].port");
    assert_eq!(register(vec![pb::Instance { lifecycle: 9, ..good() }]).await, "instances[0].lifecycle");
    assert_eq!(register(vec![pb::Instance { tags: vec!["".into()], ..good() }]).await, "instances[0].tags[0]");
    let request =
        pb::RegisterInstancesRequest { request_id: "no".into(), instances: vec![good()], ..Default::default() };
    assert_eq!(field(f.registry.register_instances(request).await), "request_id");
}

#[tokio::test]
async fn the_api_describes_itself_and_says_that_it_serves() {
    let f = Fixture::start().await;
    let mut health = HealthClient::new(f.channel.clone());
    for service in ["", "lictor.v1.DiscoveryService", "lictor.v1.KvService"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "no".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut reflection = ServerReflectionClient::new(f.channel.clone());
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let list = ask(MessageRequest::ListServices(String::new()));
    let symbol = ask(MessageRequest::FileContainingSymbol("lictor.v1.DiscoveryService.Watch".into()));
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([list, symbol])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = next(&mut answers).await.message_response else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.into_iter().map(|s| s.name).collect();
    for name in [
        "lictor.v1.DiscoveryService",
        "lictor.v1.ClusterService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} is not in {names:?}");
    }
    let found = next(&mut answers).await.message_response;
    assert!(matches!(found, Some(MessageResponse::FileDescriptorResponse(_))), "{found:?}");
}

#[tokio::test]
async fn members_are_told() {
    let mut f = Fixture::start().await;
    let mut stream = f.cluster.watch_members(pb::WatchMembersRequest {}).await.unwrap().into_inner();
    let members = next(&mut stream).await.members;
    assert_eq!(members.len(), 1);
    assert!(members[0].leader && members[0].ready && members[0].endpoints[0].starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn the_id_of_a_request_comes_back() {
    let mut f = Fixture::start().await;
    let mut request = tonic::Request::new(pb::GetRequest { key: "k".into(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "abc".parse().unwrap());
    let answer = f.kv.get(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "abc");
}

/// A leader must tell a follower of an earlier version from one that is away. Here the earlier version is played by the
/// listener for clients, which does not know what servers say to each other either.
#[tokio::test]
async fn a_question_that_is_not_known_is_not_a_broken_connection() {
    let fixture = Fixture::start().await;
    let address = format!("127.0.0.1:{}", fixture.core.facts().grpc_port);
    let (_requests, queue) = tokio::sync::mpsc::channel(1);
    let opened = Connections::default().replicate(&address, ReceiverStream::new(queue)).await;
    assert_eq!(Some(Unreached::Unknown(address)), opened.err());
}
