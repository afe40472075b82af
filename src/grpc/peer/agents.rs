//! What agents that are no servers ask of this one about their own node: `AgentService` on the server port.

use crate::command::{Command, Record};
use crate::grpc::convert::selector::hash64;
use crate::grpc::status::status;
use crate::machine::rows;
use crate::model::Invalid;
use crate::proto::internal as pb;
use crate::proto::internal::agent_service_server::AgentService;
use crate::service::{Consistency, Core, Error, ReadOptions};
use crate::watch::Topic;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// An agent waits at most so long for a change of a node.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Answers a question of DNS; the flag says that it came over TCP.
pub type AskDns = Arc<dyn Fn(Bytes, bool) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// The service.
pub(super) struct Agents {
    pub(super) core: Core,
    pub(super) dns: AskDns,
}

#[tonic::async_trait]
impl AgentService for Agents {
    async fn node_view(&self, request: Request<pb::NodeViewRequest>) -> Result<Response<pb::NodeViewResponse>, Status> {
        let request = request.into_inner();
        let mut changes = self.core.hub().subscribe(Topic::node(&request.node));
        let mut view = self.view().await?;
        let waits = request.wait_ms > 0;
        let wait = Duration::from_millis(request.wait_ms.into()).min(WAIT_MAX);
        let until = tokio::time::Instant::now() + wait;
        let revision = |state: &crate::machine::State| state.node(&request.node).map_or(0, |node| node.revision);
        while waits && revision(&view) == request.seen {
            tokio::select! {
                () = changes.changed() => view = self.view().await?,
                () = tokio::time::sleep_until(until) => break,
                () = self.core.drained() => return Err(status(Error::Draining)),
            }
        }
        let revision = revision(&view);
        let nodes = u32::try_from(view.nodes().count()).unwrap_or(u32::MAX);
        let answer = pb::NodeViewResponse { revision, nodes, ..Default::default() };
        if revision == request.seen {
            return Ok(Response::new(answer));
        }
        let row = |row: rows::RowOp| pb::Row {
            table: row.table.into(),
            key: row.key.into(),
            value: row.value.unwrap_or_default().into(),
        };
        let rows = rows::of_node(&view, &request.node).into_iter().map(row).collect();
        Ok(Response::new(difference(rows, &request.have, answer)))
    }

    async fn write_catalog(
        &self,
        request: Request<pb::WriteCatalogRequest>,
    ) -> Result<Response<pb::WriteCatalogResponse>, Status> {
        let record = Record::decode(&request.into_inner().record);
        let record = record.map_err(|e| Status::invalid_argument(format!("record: {e}")))?;
        let done = match record.command {
            Command::CatalogRegister(command) => self.core.catalog_register(command).await.map(drop),
            Command::CatalogDeregister(command) => self.core.catalog_deregister(command).await.map(drop),
            Command::UpdateCoordinates(command) => self.core.update_coordinates(command.coordinates).await.map(drop),
            other => Err(Error::Invalid(Invalid::new("record", format!("is no registration but {}", other.op())))),
        };
        let refusal = match done {
            Ok(()) => String::new(),
            Err(error @ (Error::Rejected(_) | Error::Invalid(_))) => error.to_string(),
            Err(error) => return Err(status(error)),
        };
        Ok(Response::new(pb::WriteCatalogResponse { refusal }))
    }

    async fn ask_dns(&self, request: Request<pb::AskDnsRequest>) -> Result<Response<pb::AskDnsResponse>, Status> {
        let request = request.into_inner();
        let message = (self.dns)(request.message, request.tcp).await.into();
        Ok(Response::new(pb::AskDnsResponse { message }))
    }
}

impl Agents {
    async fn view(&self) -> Result<Arc<crate::machine::State>, Status> {
        let options = ReadOptions { consistency: Consistency::Lease, ..ReadOptions::default() };
        Ok(self.core.view(&options).await.map_err(status)?.state)
    }
}

/// Tells one row from another, the same on every server and in every version.
pub fn row_digest(row: &pb::Row) -> u64 {
    hash64(&row.encode_to_vec())
}

/// Fills an answer with what somebody lacks who has the rows with these digests.
fn difference(mut rows: Vec<pb::Row>, have: &[u64], mut answer: pb::NodeViewResponse) -> pb::NodeViewResponse {
    if !have.is_empty() {
        let mut gone: HashSet<u64> = have.iter().copied().collect();
        rows.retain(|row| !gone.remove(&row_digest(row)));
        (answer.partial, answer.gone) = (true, gone.into_iter().collect());
    }
    answer.rows = rows;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rows(of: &BTreeMap<u8, u8>) -> Vec<pb::Row> {
        of.iter().map(|(key, value)| pb::Row { table: 1, key: vec![*key].into(), value: vec![*value].into() }).collect()
    }

    proptest! {
        #[test]
        fn what_is_there_and_the_difference_make_what_is_new(
            before in prop::collection::btree_map(0u8..20, 0u8..3, 0..20),
            after in prop::collection::btree_map(0u8..20, 0u8..3, 0..20),
        ) {
            let have: Vec<u64> = rows(&before).iter().map(row_digest).collect();
            let answer = difference(rows(&after), &have, pb::NodeViewResponse::default());
            let kept = if answer.partial { rows(&before) } else { Vec::new() };
            let mut now: Vec<pb::Row> = kept.into_iter().filter(|r| !answer.gone.contains(&row_digest(r))).collect();
            now.extend(answer.rows);
            now.sort_by_key(|row| row.key.clone());
            prop_assert_eq!(now, rows(&after));
        }
    }
}
