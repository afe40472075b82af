//! Clients of the gRPC API, and what a status says.

use lictor::proto::v1::cluster_service_client::ClusterServiceClient;
use lictor::proto::v1::coordination_service_client::CoordinationServiceClient;
use lictor::proto::v1::discovery_service_client::DiscoveryServiceClient;
use lictor::proto::v1::kv_service_client::KvServiceClient;
use lictor::proto::v1::registry_service_client::RegistryServiceClient;
use lictor::proto::v1::session_service_client::SessionServiceClient;
use lictor::proto::v1::{Instance, InstanceKey, ServiceSelector, service_selector::Name};
use std::net::SocketAddr;
use std::time::Duration;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt;

/// One client of each service, all on one connection.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) discovery: DiscoveryServiceClient<Channel>,
    pub(crate) registry: RegistryServiceClient<Channel>,
    pub(crate) kv: KvServiceClient<Channel>,
    pub(crate) session: SessionServiceClient<Channel>,
    pub(crate) coordination: CoordinationServiceClient<Channel>,
    pub(crate) cluster: ClusterServiceClient<Channel>,
}

impl Clients {
    /// Connects; panics when the server does not take the connection.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(10)).tcp_nodelay(true);
        let channel = endpoint.connect().await.unwrap_or_else(|e| panic!("connect to {addr}: {e}"));
        Clients {
            discovery: DiscoveryServiceClient::new(channel.clone()),
            registry: RegistryServiceClient::new(channel.clone()),
            kv: KvServiceClient::new(channel.clone()),
            session: SessionServiceClient::new(channel.clone()),
            coordination: CoordinationServiceClient::new(channel.clone()),
            cluster: ClusterServiceClient::new(channel),
        }
    }
}

/// `google.rpc.ErrorInfo.reason` of a status; empty without one.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Selects one service of the default namespace.
pub(crate) fn selector(service: &str) -> ServiceSelector {
    ServiceSelector { name: Some(Name::Service(service.into())), ..Default::default() }
}

/// The least that an instance must have.
pub(crate) fn instance(service: &str, id: &str, port: u32) -> Instance {
    let key = InstanceKey { service: service.into(), instance_id: id.into(), ..Default::default() };
    Instance { key: Some(key), address: "127.0.0.1".into(), port, ..Default::default() }
}
