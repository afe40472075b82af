//! A counter that several clients raise by compare-and-set: each success must count exactly once.

use crate::common::Random;
use crate::common::grpc::{Clients, reason};
use lictor::proto::v1::{GetRequest, Precondition, PutRequest};
use tonic::{Code, Status};

const KEY: &str = "crash/counter";

/// One client of the counter.
pub(crate) struct Counter {
    random: Random,
    pending: Option<PutRequest>,
    /// Raises that were acknowledged.
    pub(crate) raised: u64,
    /// Raises without an answer: 0 or 1.
    pub(crate) unknown: u64,
}

impl Counter {
    pub(crate) fn new(random: Random) -> Self {
        Counter { random, pending: None, raised: 0, unknown: 0 }
    }

    /// Reads and raises; losing to another client is no failure.
    pub(crate) async fn write(&mut self, clients: &mut Clients) -> Result<(), Status> {
        let (value, modify_revision) = read(clients).await?;
        let request = PutRequest {
            request_id: self.random.uuid(),
            key: KEY.into(),
            value: (value + 1).to_string().into(),
            precondition: Some(Precondition { modify_revision: Some(modify_revision) }),
            ..Default::default()
        };
        self.pending = Some(request);
        self.unknown = 1;
        self.send(clients).await
    }

    /// Sends the raise without an answer once more, and again after its answer.
    pub(crate) async fn retry(&mut self, clients: &mut Clients) {
        let Some(request) = self.pending.clone() else { return };
        self.send(clients).await.unwrap_or_else(|e| panic!("retry of a raise: {e:?}"));
        match clients.kv.put(request).await {
            Ok(_) => {}
            Err(e) if is_lost_race(&e) => {}
            Err(e) => panic!("second retry of a raise: {e:?}"),
        }
    }

    async fn send(&mut self, clients: &mut Clients) -> Result<(), Status> {
        let Some(request) = self.pending.clone() else { return Ok(()) };
        match clients.kv.put(request).await {
            Ok(_) => self.raised += 1,
            Err(e) if is_lost_race(&e) => {}
            Err(e) => return Err(e),
        }
        self.pending = None;
        self.unknown = 0;
        Ok(())
    }
}

fn is_lost_race(status: &Status) -> bool {
    status.code() == Code::Aborted && reason(status) == "ERROR_REASON_REVISION_MISMATCH"
}

/// The counter's value and modify revision; zeros when it does not exist.
pub(crate) async fn read(clients: &mut Clients) -> Result<(u64, u64), Status> {
    let answer = clients.kv.get(GetRequest { key: KEY.into(), ..Default::default() }).await?.into_inner();
    let Some(kv) = answer.kv else { return Ok((0, 0)) };
    let value = std::str::from_utf8(&kv.value).ok().and_then(|v| v.parse().ok()).expect("our value");
    assert_eq!(value, kv.version, "the counter is raised by one each time");
    Ok((value, kv.modify_revision))
}
