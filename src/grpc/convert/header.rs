//! The header of every answer, and how fresh a read must be.

use super::known;
use super::time::{duration, duration_ms};
use crate::model::names::Invalid;
use crate::proto::v1 as pb;
use crate::service::{Consistency, Core, ReadOptions, View};
use tokio::time::Instant;

/// How fresh a read must be; `default` is what unspecified means for this rpc.
pub(in crate::grpc) fn read_options(
    read: Option<&pb::ReadOptions>,
    default: Consistency,
    deadline: Option<Instant>,
) -> Result<ReadOptions, Invalid> {
    let unset = pb::ReadOptions::default();
    let read = read.unwrap_or(&unset);
    let consistency = match known("consistency", read.consistency)? {
        pb::read_options::Consistency::Unspecified => default,
        pb::read_options::Consistency::Linearizable => Consistency::Linearizable,
        pb::read_options::Consistency::Lease => Consistency::Lease,
        pb::read_options::Consistency::Local => Consistency::Local,
    };
    Ok(ReadOptions {
        consistency,
        max_staleness_ms: duration_ms("max_staleness", read.max_staleness)?,
        min_revision: read.min_revision,
        deadline,
    })
}

/// The header of an answer made from this view.
pub(in crate::grpc) fn header(core: &Core, view: &View) -> pb::ResponseHeader {
    let facts = core.facts();
    pb::ResponseHeader {
        cluster_id: core.cluster_id().map(|id| id.to_string()).unwrap_or_default(),
        node_id: facts.node_id.to_string(),
        revision: view.state.revision(),
        term: view.term,
        staleness: Some(duration(view.staleness_ms)),
        leader: view.leader.as_deref().unwrap_or_default().to_owned(),
    }
}

/// The header of a write done at this revision.
pub(in crate::grpc) fn written(core: &Core, revision: u64) -> pb::ResponseHeader {
    let mut header = header(core, &core.local());
    header.revision = revision;
    // A write is decided by the leader: its answer is not stale, however old this server's own state may be.
    header.staleness = Some(duration(0));
    header
}
