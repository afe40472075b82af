//! `lictor.v1.DiscoveryService`, routed by hand: Resolve and Watch send bytes that were encoded before, which generated
//! code cannot. The paths are those of the generated descriptors, so reflection describes what is served.

use super::convert::Within;
use super::convert::header::{header, read_options};
use super::convert::instance::{instance_full, key, key_out, namespace};
use super::convert::mask::ReadMask;
use super::convert::required;
use super::convert::selector::selector;
use super::entrance::watch_place;
use super::feed::Feeds;
use super::filter::ServiceFilter;
use super::page::{self, PAGE_BYTES_MAX, Page, Pins, turn};
use super::resolve::Resolver;
use super::select::{Policy, Selector};
use super::server::DECODE_MAX;
use super::set::facts;
use super::status::{invalid, status};
use super::token::Purpose;
use super::watch::{WatchStream, Watcher};
use super::wire::{As, AsBytes, FrameCodec};
use super::{deadline, wire::Stamp};
use crate::machine::catalog::{Slot, cmp_folded};
use crate::model::names::Invalid;
use crate::model::{Instance, InstanceKey};
use crate::proto::v1 as pb;
use crate::proto::v1::discovery_service_server::SERVICE_NAME;
use crate::service::{Consistency, Core};
use lictor_transport::{Handler, Handling};
use prost::Message;
use std::sync::Arc;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// The service. Clones share everything.
#[derive(Clone)]
pub(super) struct Discovery(Arc<Parts>);

struct Parts {
    core: Core,
    stamp: Stamp,
    pins: Pins,
    feeds: Feeds,
    resolver: Resolver,
}

impl Discovery {
    pub(super) fn new(core: Core, pins: Pins) -> Discovery {
        let resolver = Resolver::new(core.clone());
        Discovery(Arc::new(Parts { stamp: Stamp::new(&core), core, pins, feeds: Feeds::default(), resolver }))
    }
}

impl Parts {
    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<WatchStream>, Status> {
        let deadline = deadline::of(request.metadata());
        let place = watch_place(request.extensions())?;
        let watcher = Watcher::open(&self.core, &self.stamp, &self.feeds, request.get_ref(), deadline).await?;
        Ok(Response::new(watcher.holding(place).into_stream()))
    }

    async fn list_services(
        &self,
        request: Request<pb::ListServicesRequest>,
    ) -> Result<Response<pb::ListServicesResponse>, Status> {
        let deadline = deadline::of(request.metadata());
        let r = request.into_inner();
        let namespace = namespace(&r.namespace).map_err(invalid)?;
        let filter = ServiceFilter::parse(&r.filter).map_err(invalid)?;
        let read = read_options(r.read.as_ref(), Consistency::Local, deadline).within("read").map_err(invalid)?;
        let asked = page::asked(&pb::ListServicesRequest { page_size: 0, page_token: String::new(), ..r.clone() });
        let fields = (r.page_size, r.page_token.as_str());
        let page = Page::open(&self.core, &self.pins, Purpose::Services, asked, fields, &read).await.map_err(status)?;
        let last = page.after.as_deref().map(String::from_utf8_lossy);
        let _turn = turn(&self.core).await?;
        let state = &page.view.state;
        let services = state
            .services(&namespace, "")
            .skip_while(|s| last.as_ref().is_some_and(|last| cmp_folded(&s.key.name, last).is_le()))
            .map(|s| facts(state, s))
            .filter(|s| filter.admits(s));
        let (services, more) = page::take(services, page.size);
        let next_page_token = match services.last() {
            Some(last) if more => page.next(last.service.clone().into_bytes()),
            _ => String::new(),
        };
        let header = Some(header(&self.core, &page.view));
        Ok(Response::new(pb::ListServicesResponse { header, services, next_page_token }))
    }

    async fn list_instances(
        &self,
        request: Request<pb::ListInstancesRequest>,
    ) -> Result<Response<pb::ListInstancesResponse>, Status> {
        let deadline = deadline::of(request.metadata());
        let r = request.into_inner();
        let selector = required("selector", r.selector.as_ref())
            .and_then(|s| selector(s, Policy::Any).within("selector"))
            .map_err(invalid)?;
        let mask = ReadMask::parse(r.read_mask.as_ref()).map_err(invalid)?;
        let read = read_options(r.read.as_ref(), Consistency::Local, deadline).within("read").map_err(invalid)?;
        let asked = page::asked(&pb::ListInstancesRequest { page_size: 0, page_token: String::new(), ..r.clone() });
        let fields = (r.page_size, r.page_token.as_str());
        let page =
            Page::open(&self.core, &self.pins, Purpose::Instances, asked, fields, &read).await.map_err(status)?;
        let _turn = turn(&self.core).await?;
        let (found, mut more) = instances(&page, &selector).map_err(invalid)?;
        let state = &page.view.state;
        let mut instances = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for instance in &found {
            let shown = mask.apply(instance_full(state, instance));
            bytes += shown.encoded_len();
            // Clients refuse messages over 4 MiB by default; the page then has fewer items than it may.
            if bytes > PAGE_BYTES_MAX && !instances.is_empty() {
                more = true;
                break;
            }
            instances.push(shown);
        }
        let last = instances.len().checked_sub(1).and_then(|at| found.get(at)).filter(|_| more);
        let next_page_token = last.map(|last| page.next(key_out(last).encode_to_vec())).unwrap_or_default();
        let header = Some(header(&self.core, &page.view));
        Ok(Response::new(pb::ListInstancesResponse { header, instances, next_page_token }))
    }
}

/// The instances of one page, and whether there are more.
fn instances(page: &Page, selector: &Selector) -> Result<(Vec<Arc<Instance>>, bool), Invalid> {
    let state = &page.view.state;
    let last: Option<InstanceKey> = match &page.after {
        None => None,
        Some(bytes) => {
            let damaged = |_| Invalid::new("page_token", "is not a token of this rpc");
            Some(key(&pb::InstanceKey::decode(&bytes[..]).map_err(damaged)?)?)
        }
    };
    let after = |i: &Instance| {
        let Some(last) = &last else { return true };
        let slot = Slot { node: last.node.clone(), id: last.id.clone() };
        cmp_folded(&i.service.name, &last.service.name)
            .then_with(|| cmp_folded(&i.node, &slot.node))
            .then_with(|| cmp_folded(&i.id, &slot.id))
            .is_gt()
    };
    let services = selector.services(state);
    let rest = services
        .iter()
        .skip_while(|s| last.as_ref().is_some_and(|last| cmp_folded(&s.key.name, &last.service.name).is_lt()))
        .flat_map(|s| selector.choose(state, s))
        .map(|(i, _)| i)
        .filter(|i| after(i))
        .cloned();
    Ok(page::take(rest, page.size))
}

impl Handler for Discovery {
    fn handle(&self, request: http::Request<Body>) -> Handling {
        let service = self.0.clone();
        let method = request.uri().path().strip_prefix('/').and_then(|p| p.strip_prefix(SERVICE_NAME));
        match method {
            Some("/Resolve") => Box::pin(async move {
                let call = service_fn(|r: Request<_>| service.resolver.resolve(r));
                Ok(grpc(FrameCodec::<AsBytes>::default()).unary(call, request).await)
            }),
            Some("/Watch") => Box::pin(async move {
                let call = service_fn(|r: Request<_>| service.watch(r));
                Ok(grpc(FrameCodec::<As<pb::WatchRequest>>::default()).server_streaming(call, request).await)
            }),
            Some("/ListServices") => Box::pin(async move {
                let call = service_fn(|r: Request<_>| service.list_services(r));
                Ok(grpc(ProstCodec::default()).unary(call, request).await)
            }),
            Some("/ListInstances") => Box::pin(async move {
                let call = service_fn(|r: Request<_>| service.list_instances(r));
                Ok(grpc(ProstCodec::default()).unary(call, request).await)
            }),
            _ => Box::pin(async move { Ok(Status::unimplemented("unknown method").into_http()) }),
        }
    }
}

fn grpc<C: tonic::codec::Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).accept_compressed(tonic::codec::CompressionEncoding::Gzip).max_decoding_message_size(DECODE_MAX)
}
