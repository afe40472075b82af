//! Writers that remember what was acknowledged, and can tell whether a server still has it.

use crate::common::Random;
use crate::common::grpc::{Clients, instance, reason, selector};
use lictor::proto::v1::{
    GetRequest, Instance, ListInstancesRequest, PutRequest, RegisterInstancesRequest, TxnOp, TxnRequest, txn_op::Op,
};
use std::collections::BTreeMap;
use tonic::{Code, Status};

/// Places that a writer writes to, again and again.
const SLOTS: u64 = 12;

/// What one write consists of. All parts carry the same number, so a half applied write shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One key.
    Put,
    /// Two keys and an instance in one transaction.
    Txn,
    /// Three instances in one registration.
    Register,
}

/// A write that has no answer yet.
#[derive(Clone, Debug)]
struct Pending {
    slot: u64,
    number: u64,
    request_id: String,
}

/// What was acknowledged for a slot: the last number, and how many writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Acked {
    number: u64,
    writes: u64,
}

/// What a server shows of one part of a slot.
#[derive(Clone, Copy, Debug)]
struct Part {
    number: u64,
    /// Of a key: how often it was changed.
    version: Option<u64>,
}

/// One writer; it alone writes its slots.
pub(crate) struct Writer {
    name: String,
    kind: Kind,
    random: Random,
    next: u64,
    acked: BTreeMap<u64, Acked>,
    pending: Option<Pending>,
    /// The highest revision that an answer told.
    pub(crate) revision: u64,
}

/// The write may or may not have happened: the connection broke, or the server says so.
pub(crate) fn is_lost(status: &Status) -> bool {
    let broken = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled);
    let reason = reason(status);
    broken && (reason.is_empty() || matches!(&*reason, "ERROR_REASON_OUTCOME_UNKNOWN" | "ERROR_REASON_NODE_DRAINING"))
}

impl Writer {
    pub(crate) fn new(name: String, kind: Kind, random: Random) -> Self {
        Writer { name, kind, random, next: 1, acked: BTreeMap::new(), pending: None, revision: 0 }
    }

    /// Key of the first part of a slot.
    pub(crate) fn key(&self, slot: u64, part: &str) -> String {
        format!("crash/{}/{slot}/{part}", self.name)
    }

    /// Writes once and notes the acknowledgement.
    pub(crate) async fn write(&mut self, clients: &mut Clients) -> Result<(), Status> {
        let (slot, number) = (self.random.below(SLOTS), self.next);
        self.next += 1;
        self.pending = Some(Pending { slot, number, request_id: self.random.uuid() });
        self.send(clients).await
    }

    /// Sends the write that has no answer once more, and again after its answer: all of them are one write.
    pub(crate) async fn retry(&mut self, clients: &mut Clients) {
        let Some(pending) = self.pending.clone() else { return };
        self.send(clients).await.unwrap_or_else(|e| panic!("retry of {pending:?} of {}: {e:?}", self.name));
        let again = self.request(clients, &pending).await;
        again.unwrap_or_else(|e| panic!("second retry of {pending:?} of {}: {e:?}", self.name));
    }

    async fn send(&mut self, clients: &mut Clients) -> Result<(), Status> {
        let Some(pending) = self.pending.clone() else { return Ok(()) };
        let revision = self.request(clients, &pending).await?;
        assert!(revision >= self.revision, "{}: revision {revision} after {}", self.name, self.revision);
        self.revision = revision;
        let acked = self.acked.entry(pending.slot).or_default();
        *acked = Acked { number: pending.number, writes: acked.writes + 1 };
        self.pending = None;
        Ok(())
    }

    async fn request(&self, clients: &mut Clients, pending: &Pending) -> Result<u64, Status> {
        let Pending { slot, number, request_id } = pending.clone();
        let put = |part| PutRequest {
            key: self.key(slot, part).into(),
            value: number.to_string().into(),
            ..Default::default()
        };
        let header = match self.kind {
            Kind::Put => {
                let request = PutRequest { request_id, ..put("a") };
                clients.kv.put(request).await?.into_inner().header
            }
            Kind::Txn => {
                let instances = vec![self.instance(slot, "a", number)];
                let register = RegisterInstancesRequest { instances, ..Default::default() };
                let ops = [Op::Put(put("a")), Op::Put(put("b")), Op::Register(register)];
                let success = ops.map(|op| TxnOp { op: Some(op) }).into();
                let request = TxnRequest { request_id, success, ..Default::default() };
                let answer = clients.kv.txn(request).await?.into_inner();
                assert!(answer.succeeded, "a transaction without conditions");
                answer.header
            }
            Kind::Register => {
                let instances = ["a", "b", "c"].map(|part| self.instance(slot, part, number)).into();
                let request = RegisterInstancesRequest { request_id, instances, ..Default::default() };
                clients.registry.register_instances(request).await?.into_inner().header
            }
        };
        Ok(header.expect("header").revision)
    }

    fn service(&self) -> String {
        format!("crash-{}", self.name)
    }

    fn instance(&self, slot: u64, part: &str, number: u64) -> Instance {
        Instance { version: number.to_string(), ..instance(&self.service(), &format!("{slot}-{part}"), 80) }
    }

    /// Compares the server with what was acknowledged. The write without an answer may be there or not, but whole.
    pub(crate) async fn check(&self, clients: &mut Clients) {
        let shown = self.shown(clients).await;
        for slot in 0..SLOTS {
            let parts = shown.get(&slot).map_or(&[][..], Vec::as_slice);
            let acked = self.acked.get(&slot).copied().unwrap_or_default();
            let pending = self.pending.as_ref().filter(|p| p.slot == slot).map(|p| p.number);
            let told =
                format!("{} slot {slot}: server {parts:?}, acknowledged {acked:?}, pending {pending:?}", self.name);
            let Some(first) = parts.first() else {
                assert_eq!(acked, Acked::default(), "lost: {told}");
                continue;
            };
            let whole = if matches!(self.kind, Kind::Put) { 1 } else { 3 };
            assert!(parts.len() == whole && parts.iter().all(|p| p.number == first.number), "half applied: {told}");
            let writes = match first.number {
                n if n == acked.number => acked.writes,
                n if Some(n) == pending => acked.writes + 1,
                _ => panic!("lost or invented: {told}"),
            };
            let exact = parts.iter().all(|p| p.version.is_none_or(|v| v == writes));
            assert!(exact, "a write took effect more or less than once: {told}");
        }
    }

    /// What the server has, by slot. The default consistency of every read is used: none may go back in time.
    async fn shown(&self, clients: &mut Clients) -> BTreeMap<u64, Vec<Part>> {
        let mut shown: BTreeMap<u64, Vec<Part>> = BTreeMap::new();
        let keys: &[&str] = match self.kind {
            Kind::Put => &["a"],
            Kind::Txn => &["a", "b"],
            Kind::Register => &[],
        };
        for slot in 0..SLOTS {
            for part in keys {
                let request = GetRequest { key: self.key(slot, part).into(), ..Default::default() };
                let answer = clients.kv.get(request).await.expect("get").into_inner();
                self.not_before(answer.header.expect("header").revision);
                if let Some(kv) = answer.kv {
                    let number = std::str::from_utf8(&kv.value).ok().and_then(|v| v.parse().ok()).expect("our value");
                    shown.entry(slot).or_default().push(Part { number, version: Some(kv.version) });
                }
            }
        }
        if !matches!(self.kind, Kind::Put) {
            let selector = Some(selector(&self.service()));
            let request = ListInstancesRequest { selector, page_size: 1000, ..Default::default() };
            let answer = clients.discovery.list_instances(request).await.expect("list instances").into_inner();
            self.not_before(answer.header.expect("header").revision);
            for instance in answer.instances {
                let id = instance.key.expect("key").instance_id;
                let slot = id.split('-').next().and_then(|s| s.parse().ok()).expect("our id");
                let number = instance.version.parse().expect("our version");
                shown.entry(slot).or_default().push(Part { number, version: None });
            }
        }
        shown
    }

    fn not_before(&self, revision: u64) {
        assert!(revision >= self.revision, "{}: revision went back from {} to {revision}", self.name, self.revision);
    }
}
