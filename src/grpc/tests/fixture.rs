//! A server of its own for each test, and clients of it.

use crate::clock::Clock;
use crate::proto::v1 as pb;
use crate::proto::v1::cluster_service_client::ClusterServiceClient;
use crate::proto::v1::coordination_service_client::CoordinationServiceClient;
use crate::proto::v1::discovery_service_client::DiscoveryServiceClient;
use crate::proto::v1::kv_service_client::KvServiceClient;
use crate::proto::v1::registry_service_client::RegistryServiceClient;
use crate::proto::v1::session_service_client::SessionServiceClient;
use crate::raft;
use crate::service::{Core, Facts};
use crate::watch::Hub;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

/// Far longer than anything takes here; a test that hangs must end.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Fixture {
    pub(super) core: Core,
    pub(super) channel: Channel,
    pub(super) serving: JoinHandle<Result<(), crate::grpc::ServeError>>,
    pub(super) discovery: DiscoveryServiceClient<Channel>,
    pub(super) registry: RegistryServiceClient<Channel>,
    pub(super) kv: KvServiceClient<Channel>,
    pub(super) session: SessionServiceClient<Channel>,
    pub(super) coordination: CoordinationServiceClient<Channel>,
    pub(super) cluster: ClusterServiceClient<Channel>,
}

impl Fixture {
    pub(super) async fn start() -> Fixture {
        let clock = Clock::system();
        let hub = Arc::new(Hub::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let facts = facts(address.port(), &clock);
        let grpc = address.to_string();
        let node = raft::Node { name: "one".into(), id: facts.node_id, grpc, ..raft::Node::default() };
        let raft = raft::start(raft::Options::alone(node, clock.clone()), hub.clone()).await.unwrap();
        let core = Core::new(raft, hub, clock, facts);
        tokio::spawn(core.clone().run_expiry());
        let front = crate::grpc::Front::new(core.clone()).await.expect("the API");
        let entrance = crate::grpc::Entrance::default();
        let serving = crate::grpc::serve(vec![listener], front, entrance, core.clock().clone(), core.ending());
        let serving = tokio::spawn(serving);
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Fixture {
            core,
            serving,
            discovery: DiscoveryServiceClient::new(channel.clone()),
            registry: RegistryServiceClient::new(channel.clone()),
            kv: KvServiceClient::new(channel.clone()),
            session: SessionServiceClient::new(channel.clone()),
            coordination: CoordinationServiceClient::new(channel.clone()),
            cluster: ClusterServiceClient::new(channel.clone()),
            channel,
        }
    }

    pub(super) async fn register(&mut self, instances: Vec<pb::Instance>) -> u64 {
        let request = pb::RegisterInstancesRequest { instances, ..Default::default() };
        let answer = self.registry.register_instances(request).await.unwrap().into_inner();
        answer.header.unwrap().revision
    }

    pub(super) async fn deregister(&mut self, instance: &pb::Instance) {
        let keys = vec![instance.key.clone().unwrap()];
        let request = pb::DeregisterInstancesRequest { keys, ..Default::default() };
        assert_eq!(self.registry.deregister_instances(request).await.unwrap().into_inner().removed, 1);
    }

    pub(super) async fn report(&mut self, instance: &pb::Instance, state: pb::HealthState, output: &str) {
        let check =
            pb::Check { check_id: "c".into(), state: state.into(), output: output.into(), ..Default::default() };
        let key = instance.key.clone();
        let request = pb::ReportHealthRequest { key, checks: vec![check], ..Default::default() };
        self.registry.report_health(request).await.unwrap();
    }

    pub(super) async fn resolve(&mut self, selector: pb::ServiceSelector) -> pb::ResolveResponse {
        let request = pb::ResolveRequest { selector: Some(selector), ..Default::default() };
        self.discovery.resolve(request).await.unwrap().into_inner()
    }

    pub(super) async fn watch(&mut self, request: pb::WatchRequest) -> Streaming<pb::WatchResponse> {
        self.discovery.watch(request).await.unwrap().into_inner()
    }

    pub(super) async fn put(&mut self, key: &'static str, value: &'static str) -> u64 {
        let request = pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        self.kv.put(request).await.unwrap().into_inner().header.unwrap().revision
    }
}

fn facts(grpc_port: u16, clock: &Clock) -> Facts {
    Facts {
        node_id: clock.uuid(),
        node_name: "one".into(),
        datacenter: "dc1".into(),
        domain: "consul".into(),
        alt_domain: None,
        version: "0.0.0",
        advertise: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 0,
        serf_lan_port: 0,
        serf_wan_port: 0,
        grpc_port,
        http_port: 0,
        dns_port: 0,
        node_meta: Default::default(),
        dev: true,
    }
}

pub(super) fn service(name: &str) -> pb::ServiceSelector {
    let name = Some(pb::service_selector::Name::Service(name.into()));
    pb::ServiceSelector { name, ..Default::default() }
}

pub(super) fn prefix(prefix: &str) -> pb::ServiceSelector {
    let name = Some(pb::service_selector::Name::ServicePrefix(prefix.into()));
    pb::ServiceSelector { name, ..Default::default() }
}

pub(super) fn instance(service: &str, id: &str) -> pb::Instance {
    let key = pb::InstanceKey { service: service.into(), instance_id: id.into(), ..Default::default() };
    pb::Instance { key: Some(key), address: "10.0.0.1".into(), port: 80, ..Default::default() }
}

pub(super) fn ids<'a>(instances: impl IntoIterator<Item = &'a pb::Instance>) -> Vec<String> {
    instances.into_iter().map(|i| i.key.clone().unwrap().instance_id).collect()
}

/// The next message; the stream must not end before.
pub(super) async fn next<T>(stream: &mut Streaming<T>) -> T {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a message in time");
    next.expect("a message, not the end").expect("a message, not an error")
}

/// The error that ends the stream; other messages before it are left out.
pub(super) async fn end<T>(stream: &mut Streaming<T>) -> Option<Status> {
    loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await.expect("the end in time") {
            Some(Ok(_)) => {}
            Some(Err(status)) => return Some(status),
            None => return None,
        }
    }
}

pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|i| i.reason).unwrap_or_default()
}

/// The field that an INVALID_ARGUMENT names.
pub(super) fn field<T: std::fmt::Debug>(result: Result<tonic::Response<T>, Status>) -> String {
    let status = result.expect_err("this is invalid");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    status.get_details_bad_request().expect("a field").field_violations[0].field.clone()
}

pub(super) fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

pub(super) fn millis(ms: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: 0, nanos: ms * 1_000_000 })
}
