//! PUT /v1/txn.

use super::kv::KvPair;
use super::shapes::{HealthCheck, Node, NodeService};
use super::txn_body::{self, TxnBody};
use crate::command::{Batch, BatchFailure, BatchOp, BatchResult, KvOp};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::read::Mode;
use crate::http::reply::{Answer, X_CONSUL_INDEX};
use http::StatusCode;

/// More operations are refused.
const OPS_MAX: usize = 64;
const SIZE_HINT: &str = " See https://www.consul.io/docs/agent/options.html#txn_max_req_len.";

/// What an operation gave, under the name of its kind.
#[derive(serde::Serialize)]
enum Shown<'a> {
    #[serde(rename = "KV")]
    Kv(KvPair<'a>),
    Node(Node<'a>),
    Service(Box<NodeService<'a>>),
    Check(Box<HealthCheck<'a>>),
}

impl<'a> Shown<'a> {
    fn of(result: &'a BatchResult, datacenter: &'a str) -> Shown<'a> {
        match result {
            BatchResult::Kv(entry) => Shown::Kv(KvPair::of(entry)),
            BatchResult::Node(node) => Shown::Node(Node::of(node, datacenter)),
            BatchResult::Service(service) => Shown::Service(Box::new(NodeService::of(service).with_null_tags())),
            BatchResult::Check { node, service, check } => {
                let shown = match service {
                    Some(service) => HealthCheck::of_service(check, service, node),
                    None => HealthCheck::of_node(check, node),
                };
                Shown::Check(Box::new(shown.with_null_tags()))
            }
        }
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure<'a> {
    op_index: u32,
    what: &'a str,
}

/// The answer to a transaction that may write.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Done<'a> {
    results: Option<Vec<Shown<'a>>>,
    errors: Option<Vec<Failure<'a>>>,
    #[serde(flatten)]
    read: Option<ReadMeta>,
}

/// What the answer to a transaction that only reads says besides.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReadMeta {
    index: u64,
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'static str,
}

/// PUT txn
pub(super) async fn txn(mut call: Call) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let limits = call.gateway.options.limits.get();
    let body = call.body(limits.txn_bytes_max.max(limits.value_bytes_max), SIZE_HINT).await?;
    let text = String::from_utf8_lossy(&body);
    let TxnBody { ops, failures: refused, writes } = txn_body::decode(&text, OPS_MAX)?;
    check_values(&ops, limits.value_bytes_max)?;
    let batch = Batch { ops };
    if writes {
        if !refused.is_empty() {
            return answer(&call, &[], &refused, None);
        }
        let done = call.core.batch(batch).await?;
        return answer(&call, &done.results, &done.failures, None);
    }
    let (done, view) = call.core.batch_read(batch, &read.mode.options()).await?;
    let (last_contact, known_leader) = (view.staleness_ms, view.leader_known);
    let meta = ReadMeta { index: 0, last_contact, known_leader, consistency_level: "" };
    let failures = if refused.is_empty() { &done.failures } else { &refused };
    let mut answer = answer(&call, &done.results, failures, Some(meta))?;
    read.mode.announce(&mut answer.headers, 0);
    Mode::correct(&mut answer.headers, &view);
    // A transaction has no index to wait for.
    answer.headers.remove(X_CONSUL_INDEX);
    Ok(answer)
}

/// No value may be larger here than in a request of its own.
fn check_values(ops: &[BatchOp], bytes_max: usize) -> Result<(), Error> {
    for op in ops {
        if let BatchOp::Kv(KvOp { key, value, .. }) = op
            && value.len() > bytes_max
        {
            let (key, bytes) = (String::from_utf8_lossy(key), value.len());
            let text = format!("Value for key {key:?} is too large ({bytes} > {bytes_max} bytes)");
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
    }
    Ok(())
}

fn answer(
    call: &Call,
    results: &[BatchResult],
    failures: &[BatchFailure],
    read: Option<ReadMeta>,
) -> Result<Answer, Error> {
    let datacenter = &call.gateway.facts().datacenter;
    let failed = !failures.is_empty();
    let errors = failures.iter().map(|f| Failure { op_index: f.index, what: &f.reason }).collect();
    let done = Done {
        results: (!failed).then(|| results.iter().map(|r| Shown::of(r, datacenter)).collect()),
        errors: failed.then_some(errors),
        read,
    };
    let mut answer = Answer::json(&done, call.layout())?;
    if failed {
        answer.status = StatusCode::CONFLICT;
    }
    Ok(answer)
}
