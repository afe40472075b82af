//! The shared streams, by the path of their rpc.

use super::codec::FrameCodec;
use super::keys::Keys;
use super::latest::{Latest, Leader, Members};
use super::set::Set;
use super::watched::Watched;
use super::watches::Watches;
use crate::client::servers::Servers;
use crate::clock::Clock;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::Grpc;
use tower::service_fn;

type Answering = BoxFuture<'static, http::Response<Body>>;
type Answer = Box<dyn FnOnce(http::Request<Body>) -> Answering + Send>;

/// All of them. Clones share everything.
#[derive(Clone)]
pub(in crate::client) struct Streams {
    sets: Watches<Set>,
    keys: Watches<Keys>,
    leaders: Watches<Latest<Leader>>,
    members: Watches<Latest<Members>>,
}

impl Streams {
    /// Through these servers. `stop`: this process begins to stop.
    pub(in crate::client) fn new(servers: &Servers, clock: &Clock, stop: &CancellationToken) -> Streams {
        fn watches<W: Watched>(servers: &Servers, clock: &Clock, stop: &CancellationToken) -> Watches<W> {
            Watches::new(servers.clone(), clock.clone(), stop.clone())
        }
        Streams {
            sets: watches(servers, clock, stop),
            keys: watches(servers, clock, stop),
            leaders: watches(servers, clock, stop),
            members: watches(servers, clock, stop),
        }
    }

    /// What answers requests of this path, if they open one of these streams.
    pub(in crate::client) fn of(&self, path: &str) -> Option<Answer> {
        fn with<W: Watched>(watches: &Watches<W>) -> Option<Answer> {
            let watches = watches.clone();
            Some(Box::new(move |request| answer(watches, request)))
        }
        match path {
            "/lictor.v1.DiscoveryService/Watch" => with(&self.sets),
            "/lictor.v1.KvService/WatchKeys" => with(&self.keys),
            "/lictor.v1.CoordinationService/ObserveElection" => with(&self.leaders),
            "/lictor.v1.ClusterService/WatchMembers" => with(&self.members),
            _ => None,
        }
    }
}

fn answer<W: Watched>(watches: Watches<W>, request: http::Request<Body>) -> Answering {
    Box::pin(async move {
        let call = service_fn(move |request: Request<W::Request>| {
            let watches = watches.clone();
            async move { watches.watch(request.into_inner()).await }
        });
        let mut server = Grpc::new(FrameCodec::<W::Request>::default()).accept_compressed(CompressionEncoding::Gzip);
        server.server_streaming(call, request).await
    })
}
