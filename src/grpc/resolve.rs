//! Resolve: the hottest question. A repeated one is a look-up by its bytes and a copy.
//!
//! Owns: the cache of encoded answers. An answer is kept under the bytes of the request, and is good as long as the
//! revision that it depends on stays the same; header and token are made afresh, since a cached message's other fields
//! do not depend on them. Must never: grow without bound, or give an answer older than the state it is asked of.

use super::convert::Within;
use super::convert::header::read_options;
use super::convert::instance::locality;
use super::convert::required;
use super::convert::selector::{full_view, selector};
use super::select::{Policy, Selector, Which, by_distance};
use super::set::Set;
use super::status::{invalid, status};
use super::token::{Purpose, Token};
use super::wire::{Frame, Stamp, put_bytes, put_message};
use crate::machine::State;
use crate::model::Locality;
use crate::model::names::Invalid;
use crate::proto::v1 as pb;
use crate::service::{Consistency, Core, ReadOptions};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// Bytes of all cached requests and answers; beyond it the cache starts again.
const CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A larger answer is not worth its place.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an entry costs beside its bytes, about.
const ENTRY_BYTES: usize = 512;

/// A request that was checked.
struct Ask {
    selector: Selector,
    full: bool,
    read: ReadOptions,
    client: Locality,
    max: usize,
}

impl Ask {
    fn parse(bytes: &[u8]) -> Result<Ask, Status> {
        let r = pb::ResolveRequest::decode(bytes).map_err(|e| Status::internal(e.to_string()))?;
        Ask::check(&r).map_err(invalid)
    }

    fn check(r: &pb::ResolveRequest) -> Result<Ask, Invalid> {
        let wanted = required("selector", r.selector.as_ref())?;
        let max = match r.max_instances {
            0 => usize::MAX,
            max => max as usize,
        };
        Ok(Ask {
            selector: selector(wanted, Policy::Serving).within("selector")?,
            full: full_view(r.view)?,
            read: read_options(r.read.as_ref(), Consistency::Local, None).within("read")?,
            client: locality(r.client_locality.as_ref()).within("client_locality")?,
            max,
        })
    }

    /// Whether this server's state will do as it is.
    fn is_plain(&self) -> bool {
        let read = &self.read;
        read.consistency == Consistency::Local && read.max_staleness_ms.is_none() && read.min_revision == 0
    }

    /// The answer without header and token.
    fn answer(&self, state: &State) -> Bytes {
        let set = Set::build(state, &self.selector, self.full, None);
        let mut out = Vec::new();
        if let [service] = &set.services[..] {
            put_message(2, &service.facts, &mut out);
        }
        let mut entries: Vec<_> = set.entries().collect();
        by_distance(&mut entries, &self.client, |e| &e.instance);
        entries.iter().take(self.max).for_each(|e| e.put(3, &mut out));
        out.into()
    }
}

struct Cached {
    ask: Arc<Ask>,
    /// The revision that the answer depends on.
    source: u64,
    answer: Bytes,
}

/// Answers Resolve.
pub(super) struct Resolver {
    core: Core,
    stamp: Stamp,
    cache: Cache,
}

#[derive(Default)]
struct Cache {
    answers: papaya::HashMap<Bytes, Arc<Cached>>,
    bytes: AtomicUsize,
}

impl Cache {
    fn find(&self, request: &Bytes) -> Option<Arc<Cached>> {
        self.answers.pin().get(request).cloned()
    }

    fn keep(&self, request: &Bytes, cached: Cached) {
        if cached.answer.len() > ANSWER_BYTES_MAX {
            return;
        }
        let size = |c: &Cached| request.len() + c.answer.len() + ENTRY_BYTES;
        let added = size(&cached);
        if self.bytes.fetch_add(added, Ordering::Relaxed) + added > CACHE_BYTES_MAX {
            self.answers.pin().clear();
            self.bytes.store(added, Ordering::Relaxed);
        }
        // The request may be a slice of a larger read buffer, which must not live as long as the cache.
        let key = Bytes::copy_from_slice(request);
        if let Some(before) = self.answers.pin().insert(key, Arc::new(cached)) {
            let gone = size(before);
            let less = |bytes: usize| Some(bytes.saturating_sub(gone));
            // The closure always gives a value, so this cannot fail.
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

impl Resolver {
    pub(super) fn new(core: Core) -> Resolver {
        Resolver { stamp: Stamp::new(&core), core, cache: Cache::default() }
    }

    /// Answers one request, given as its bytes.
    pub(super) async fn resolve(&self, request: Request<Bytes>) -> Result<Response<Frame>, Status> {
        let (metadata, _, bytes) = request.into_parts();
        let cached = self.cache.find(&bytes);
        let ask = match &cached {
            Some(cached) => cached.ask.clone(),
            None => Arc::new(Ask::parse(&bytes)?),
        };
        let view = if ask.is_plain() { self.core.local() } else { self.view(&ask, &metadata).await? };
        let revision = view.state.revision();
        let source = ask.selector.revision(&view.state);
        let body = match cached.filter(|c| c.source == source) {
            Some(cached) => cached.answer.clone(),
            None => {
                let turn = match ask.selector.which {
                    Which::Service(_) => None,
                    Which::Prefix { .. } => Some(super::page::turn(&self.core).await?),
                };
                let answer = ask.answer(&view.state);
                drop(turn);
                self.cache.keep(&bytes, Cached { ask: ask.clone(), source, answer: answer.clone() });
                answer
            }
        };
        let mut head = self.stamp.head(&view, revision);
        let asked = asked(&ask.selector, ask.full);
        let token =
            Token { purpose: Purpose::Discovery, cluster: self.stamp.cluster(), asked, revision, last: Vec::new() };
        put_bytes(4, &token.encode(), &mut head);
        Ok(Response::new(Frame { head, body }))
    }

    async fn view(&self, ask: &Ask, metadata: &MetadataMap) -> Result<crate::service::View, Status> {
        let read = ReadOptions { deadline: super::deadline::of(metadata), ..ask.read };
        self.core.view(&read).await.map_err(status)
    }
}

/// What a resume token is for: the selector and the view.
pub(super) fn asked(selector: &Selector, full: bool) -> u64 {
    selector.digest ^ u64::from(full)
}
