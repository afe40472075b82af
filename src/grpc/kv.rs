//! `lictor.v1.KvService`; WatchKeys is in [`super::watch_keys`].

use super::convert::header::{header, read_options, written};
use super::convert::kv::{self, kv_out, kv_out_without_value};
use super::convert::txn::{self, delete_out, put_out};
use super::convert::{Within, request_id};
use super::entrance::watch_place;
use super::page::{self, PAGE_BYTES_MAX, Page, Pins, turn};
use super::status::{invalid, status};
use super::token::{Purpose, Token};
use super::watch_keys::{self, KeyWatcher, Keys};
use super::{deadline, token};
use crate::command::Target;
use crate::machine::State;
use crate::model::KvEntry;
use crate::model::names::{self, Invalid};
use crate::proto::v1 as pb;
use crate::proto::v1::kv_service_server::KvService;
use crate::service::{Consistency, Core, Error};
use bytes::Bytes;
use std::sync::Arc;
use tonic::{Request, Response, Status};

const DELIMITER_BYTES_MAX: usize = 16;

/// The service.
pub(super) struct Kv {
    pub(super) core: Core,
    pub(super) pins: Pins,
}

#[tonic::async_trait]
impl KvService for Kv {
    type WatchKeysStream = watch_keys::Answers;

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let deadline = deadline::of(request.metadata());
        let r = request.into_inner();
        names::key("key", &r.key).map_err(invalid)?;
        let read = read_options(r.read.as_ref(), Consistency::Linearizable, deadline).within("read");
        let mut read = read.map_err(invalid)?;
        read.min_revision = read.min_revision.max(r.at_revision);
        let view = self.core.view(&read).await.map_err(status)?;
        let now = view.state.kv(&r.key).cloned();
        let entry = match r.at_revision {
            0 => now,
            at => watch_keys::value_at(&self.core, &view.state, &r.key, at).await.map_err(status)?,
        };
        let header = Some(header(&self.core, &view));
        Ok(Response::new(pb::GetResponse { header, kv: entry.as_deref().map(kv_out) }))
    }

    async fn list(&self, request: Request<pb::ListRequest>) -> Result<Response<pb::ListResponse>, Status> {
        let deadline = deadline::of(request.metadata());
        let r = request.into_inner();
        check_list(&r).map_err(invalid)?;
        let read = read_options(r.read.as_ref(), Consistency::Linearizable, deadline).within("read");
        let read = read.map_err(invalid)?;
        let asked = page::asked(&pb::ListRequest { page_size: 0, page_token: String::new(), ..r.clone() });
        let fields = (r.page_size, r.page_token.as_str());
        let page = Page::open(&self.core, &self.pins, Purpose::KeyPages, asked, fields, &read).await.map_err(status)?;
        let _turn = turn(&self.core).await?;
        let found = Listing::of(&page.view.state, &r, page.size, page.after.as_deref());
        let next_page_token = found.next.map(|last| page.next(last)).unwrap_or_default();
        let target = Keys::new(Target::Prefix(r.prefix));
        let token = Token {
            purpose: Purpose::Keys,
            cluster: token::cluster_digest(&self.core),
            asked: target.asked,
            revision: page.view.state.revision(),
            last: Vec::new(),
        };
        Ok(Response::new(pb::ListResponse {
            header: Some(header(&self.core, &page.view)),
            kvs: found.kvs,
            common_prefixes: found.common_prefixes,
            next_page_token,
            resume_token: token.encode(),
        }))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let put = kv::put(&r).map_err(invalid)?;
        let done = self.core.put(id, put).await.map_err(status)?;
        let answer = put_out(done.value.kv.as_ref(), done.value.previous.as_ref(), r.return_previous);
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::PutResponse { header, ..answer }))
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Result<Response<pb::DeleteResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let delete = kv::delete(&r).map_err(invalid)?;
        let done = self.core.delete(id, delete).await.map_err(status)?;
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::DeleteResponse { header, ..delete_out(&done.value, r.return_previous) }))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let asked = txn::txn(&r).map_err(invalid)?;
        let done = self.core.txn(id, asked.txn, &asked.proofs).await.map_err(status)?;
        let (succeeded, outcomes) = done.value;
        let [success, failure] = asked.previous;
        let previous = if succeeded { success } else { failure };
        let state = self.core.local().state;
        let results = outcomes.iter().zip(previous).map(|(outcome, previous)| txn::result(&state, outcome, previous));
        let unexpected = || status(Error::Internal("a transaction gave a result of another kind".to_owned()));
        let results = results.collect::<Option<Vec<_>>>().ok_or_else(unexpected)?;
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::TxnResponse { header, succeeded, results }))
    }

    async fn watch_keys(
        &self,
        request: Request<pb::WatchKeysRequest>,
    ) -> Result<Response<watch_keys::Answers>, Status> {
        let place = watch_place(request.extensions())?;
        let watcher = KeyWatcher::open(&self.core, request.get_ref(), place).await?;
        Ok(Response::new(watcher.into_stream()))
    }
}

fn check_list(r: &pb::ListRequest) -> Result<(), Invalid> {
    kv::prefix("prefix", &r.prefix)?;
    kv::prefix("start", &r.start)?;
    kv::prefix("end", &r.end)?;
    if r.delimiter.len() > DELIMITER_BYTES_MAX {
        let (found, max) = (r.delimiter.len(), DELIMITER_BYTES_MAX);
        return Err(Invalid::new("delimiter", format!("has {found} bytes, at most {max} are allowed")));
    }
    Ok(())
}

/// One page of keys.
#[derive(Default)]
struct Listing {
    kvs: Vec<pb::KeyValue>,
    common_prefixes: Vec<Bytes>,
    /// The last key or folded prefix, if there is more behind it.
    next: Option<Vec<u8>>,
}

impl Listing {
    /// `after`: the last item of the page before; a key, or a folded prefix.
    fn of(state: &State, r: &pb::ListRequest, size: usize, after: Option<&[u8]>) -> Listing {
        let mut out = Listing::default();
        let mut bytes = 0;
        let mut last: Option<Vec<u8>> = after.map(<[u8]>::to_vec);
        let mut entry = next_entry(state, r, last.as_deref());
        while let Some(found) = entry {
            if out.kvs.len() + out.common_prefixes.len() >= size || bytes >= PAGE_BYTES_MAX {
                out.next = last;
                break;
            }
            let folded = folded(r, &found.key);
            bytes += folded.as_ref().map_or(found.key.len() + found.value.len() + 64, Bytes::len);
            last = Some(folded.as_ref().unwrap_or(&found.key).to_vec());
            match folded {
                Some(prefix) => out.common_prefixes.push(prefix),
                None if r.keys_only => out.kvs.push(kv_out_without_value(found)),
                None => out.kvs.push(kv_out(found)),
            }
            entry = next_entry(state, r, last.as_deref());
        }
        out
    }
}

/// The key up to and with the first delimiter behind the prefix.
fn folded(r: &pb::ListRequest, key: &Bytes) -> Option<Bytes> {
    if r.delimiter.is_empty() {
        return None;
    }
    let rest = &key[r.prefix.len()..];
    let at = rest.windows(r.delimiter.len()).position(|w| w == r.delimiter)?;
    Some(key.slice(..r.prefix.len() + at + r.delimiter.len()))
}

/// The first entry of the range behind `last`, all that is folded into `last` left out.
fn next_entry<'a>(state: &'a State, r: &pb::ListRequest, last: Option<&[u8]>) -> Option<&'a Arc<KvEntry>> {
    let first = if r.start > r.prefix { &r.start } else { &r.prefix };
    let from = match last {
        None => first.to_vec(),
        Some(last) if !r.delimiter.is_empty() && last.ends_with(&r.delimiter) && last.len() > r.prefix.len() => {
            successor(last)?
        }
        Some(last) => [last, &[0]].concat(),
    };
    let entry = state.kv_from(&from).next()?;
    let in_range = entry.key.starts_with(&r.prefix) && (r.end.is_empty() || entry.key < r.end);
    in_range.then_some(entry)
}

/// The first key behind all that start with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut next = prefix[..=keep].to_vec();
    next[keep] += 1;
    Some(next)
}
