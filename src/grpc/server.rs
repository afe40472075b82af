//! The server: all services on one port, and how it starts and stops.
//!
//! Owns: limits of connections and messages, keepalive, and the order of a stop: streams are told, connections get
//! GOAWAY, and after a few seconds whoever is left is cut off.

use super::cluster::Cluster;
use super::coordination::Coordination;
use super::discovery::Discovery;
use super::entrance::{self, Entrance, Excess};
use super::gather::Gather;
use super::kv::Kv;
use super::layer::Observe;
use super::page::Pins;
use super::registry::Registry;
use super::session::Sessions;
use crate::clock::Clock;
use crate::proto::v1 as pb;
use crate::proto::v1::cluster_service_server::ClusterServiceServer;
use crate::proto::v1::coordination_service_server::CoordinationServiceServer;
use crate::proto::v1::discovery_service_server::SERVICE_NAME;
use crate::proto::v1::kv_service_server::KvServiceServer;
use crate::proto::v1::registry_service_server::RegistryServiceServer;
use crate::proto::v1::session_service_server::SessionServiceServer;
use crate::service::Core;
use futures::future::FutureExt;
use futures::stream::{StreamExt, select_all};
use lictor_transport::{Handler, Handling, Io, Settings};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tower::Service;

/// Fits 500 instances or the largest transaction.
pub(in crate::grpc) const DECODE_MAX: usize = 8 * 1024 * 1024;
const SETTINGS: Settings = Settings {
    keepalive_every: Duration::from_secs(20),
    keepalive_within: Duration::from_secs(5),
    streams_max: 10_000,
    stream_window: 1024 * 1024,
    connection_window: 4 * 1024 * 1024,
};
/// Those who are still connected after this are cut off when the server stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Why the server could not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The descriptors for reflection are damaged.
    #[error("cannot describe the API: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The public API: `lictor.v1`, health checking, and reflection in both versions. Discovery stands in front of a router
/// for the rest, since it is called most, and its paths are known without a search. Clones share everything.
#[derive(Clone)]
pub struct Front {
    discovery: Discovery,
    others: Routes,
}

impl Front {
    /// The API of this server.
    ///
    /// # Errors
    /// If the descriptors that were built in are damaged.
    pub async fn new(core: Core) -> Result<Front, ServeError> {
        let pins = Pins::default();
        let discovery = Discovery::new(core.clone(), pins.clone());
        Ok(Front { discovery, others: others(core, pins).await?.prepare() })
    }
}

impl Handler for Front {
    fn handle(&self, request: http::Request<Body>) -> Handling {
        let method = request.uri().path().strip_prefix('/').and_then(|p| p.strip_prefix(SERVICE_NAME));
        if method.is_some_and(|m| m.starts_with('/')) {
            return self.discovery.handle(request);
        }
        let place = match entrance::call_place(request.extensions()) {
            Ok(place) => place,
            Err(busy) => return Box::pin(std::future::ready(Ok(busy.into_http()))),
        };
        let answering = self.others.clone().call(request);
        Box::pin(async move {
            let _place = place;
            answering.await
        })
    }
}

async fn others(core: Core, pins: Pins) -> Result<Routes, ServeError> {
    macro_rules! limited {
        ($server:ident, $service:expr) => {
            $server::new($service).max_decoding_message_size(DECODE_MAX).accept_compressed(Gzip)
        };
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in names() {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    let ending = core.clone();
    tokio::spawn(async move {
        ending.drained().await;
        for name in names().into_iter().chain([""]) {
            health.set_service_status(name, ServingStatus::NotServing).await;
        }
    });
    let sessions = Sessions { core: core.clone(), pins: pins.clone() };
    let kv = Kv { core: core.clone(), pins };
    Ok(Routes::new(limited!(SessionServiceServer, sessions))
        .add_service(limited!(RegistryServiceServer, Registry { core: core.clone() }))
        .add_service(limited!(KvServiceServer, kv))
        .add_service(limited!(CoordinationServiceServer, Coordination { core: core.clone() }))
        .add_service(limited!(ClusterServiceServer, Cluster { core: core.clone() }))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// The public services, as health checking knows them.
fn names() -> [&'static str; 6] {
    [
        SERVICE_NAME,
        pb::session_service_server::SERVICE_NAME,
        pb::registry_service_server::SERVICE_NAME,
        pb::kv_service_server::SERVICE_NAME,
        pb::coordination_service_server::SERVICE_NAME,
        pb::cluster_service_server::SERVICE_NAME,
    ]
}

/// Both versions of reflection list each other, whichever is asked.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        // Lets tools print the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}

/// Serves on these listeners until `stop`; streams then end with a word of where to go, and the rest is given a few
/// seconds. Install the metrics recorder before.
///
/// # Errors
/// If its transport fails.
pub async fn serve(
    listeners: Vec<TcpListener>,
    front: impl Handler + 'static,
    entrance: Entrance,
    clock: Clock,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) -> Result<(), ServeError> {
    let incoming = listeners.into_iter().map(|listener| entrance::accept(listener, entrance.clone(), Excess::Leaves));
    let incoming = select_all(incoming).map(|guarded| Box::new(Gather::new(guarded)) as Box<dyn Io>);
    let handler = Arc::new(Observe::new(front, clock));
    let mut serving = lictor_transport::serve(SETTINGS, handler, incoming.boxed(), stop.clone().boxed());
    tokio::select! {
        biased;
        done = &mut serving => return Ok(done?),
        () = stop => {}
    }
    match tokio::time::timeout(DRAIN_WITHIN, serving).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            tracing::warn!(seconds = DRAIN_WITHIN.as_secs(), "connections are cut off: they did not end in time");
            Ok(())
        }
    }
}
