//! The Attach stream: one per process, over which a session lives.
//!
//! Owns: the order of requests and answers, and what is told unasked: an operator's word, the end of the session, the
//! stop of this server. The stream carries the session but is not the session: whatever way it breaks, the grace runs,
//! and only `Close` ends it at once. Must never: let a reader that does not read stall the renewal of its lease without
//! telling it.

use super::convert::header::written;
use super::convert::instance::{key_out, overriding_out};
use super::convert::session::{session_out, spec};
use super::convert::time::duration;
use super::convert::{Within, count, proof, registry};
use super::status::{invalid, status};
use crate::command::Rejection;
use crate::model::names::Invalid;
use crate::model::{InstanceKey, Override, RequestId, ServiceKey, Session, SessionId};
use crate::proto::v1 as pb;
use crate::proto::v1::attach_request::{Op, Open};
use crate::proto::v1::attach_response::{Acked, Event, Expired, Migrate, Opened, Overridden};
use crate::service::admission::Held;
use crate::service::{Core, Error, Proof};
use crate::watch::{Subscription, Topic};
use bytes::Bytes;
use futures::future::select_all;
use futures::stream::{BoxStream, StreamExt};
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// What a stream sends.
pub(super) type Answers = BoxStream<'static, Result<pb::AttachResponse, Status>>;

/// Answers that a client may leave unread; one more ends the stream.
const UNREAD_MAX: usize = 256;
/// A lease is not renewed more often than this while a request of its stream is being done.
const RENEW_EVERY_MIN: Duration = Duration::from_millis(200);
/// Within which a client should be elsewhere when this server stops.
const MIGRATE_WITHIN_MS: u64 = 2_000;

/// Begins, on a task of its own, so that heartbeats count even while the client reads slowly.
pub(super) fn start(core: Core, requests: Streaming<pb::AttachRequest>, place: Option<Held>) -> Answers {
    let (answers, queue) = mpsc::channel(UNREAD_MAX);
    tokio::spawn(async move {
        run(core, requests, answers).await;
        drop(place);
    });
    ReceiverStream::new(queue).boxed()
}

type Queue = mpsc::Sender<Result<pb::AttachResponse, Status>>;

async fn run(core: Core, mut requests: Streaming<pb::AttachRequest>, queue: Queue) {
    let ended = match open(&core, &mut requests, &queue).await {
        Ok(Some(mut stream)) => stream.serve(&mut requests, &queue).await,
        Ok(None) => Ok(()),
        Err(status) => Err(status),
    };
    if let Err(status) = ended {
        // If the reader is gone, nobody needs it.
        let _ = queue.send(Err(status)).await;
    }
}

fn answer(ack_seq: u64, event: Event) -> pb::AttachResponse {
    pb::AttachResponse { ack_seq, event: Some(event) }
}

fn tell(queue: &Queue, answer: pb::AttachResponse) -> Result<(), Status> {
    queue.try_send(Ok(answer)).map_err(|_| status(Error::SlowConsumer))
}

/// The session is carried by this stream until this is dropped.
struct Carried {
    core: Core,
    id: SessionId,
}

impl Drop for Carried {
    fn drop(&mut self) {
        // After a close the session is unknown there, and this does nothing.
        self.core.detach(&self.id);
    }
}

struct Stream {
    core: Core,
    proof: Proof,
    session: Arc<Session>,
    seq: u64,
    ended: Subscription,
    /// One per service in which the session has instances.
    services: HashMap<ServiceKey, Subscription>,
    /// The operator's words that the client knows of.
    words: BTreeMap<InstanceKey, Override>,
    _carried: Carried,
}

/// The first message must open a session, or resume one. `None`: the client left before.
async fn open(
    core: &Core,
    requests: &mut Streaming<pb::AttachRequest>,
    queue: &Queue,
) -> Result<Option<Stream>, Status> {
    let first = tokio::select! {
        biased;
        () = core.drained() => return Err(status(Error::Draining)),
        () = queue.closed() => return Ok(None),
        first = requests.message() => first,
    };
    // Of a broken connection nobody reads the error; of a message that is none its sender must.
    let Some(first) = first? else { return Ok(None) };
    let Some(Op::Open(open)) = first.op else {
        return Err(invalid(Invalid::new("op", "the first message must be open")));
    };
    check_seq(first.seq, 0).map_err(invalid)?;
    let resumed = !open.session_id.is_empty();
    let (session, revision) = if resumed { resume(core, &open).await? } else { create(core, &open).await? };
    let proof = Proof { id: session.id, secret: session.secret.to_vec() };
    let opened = Opened {
        header: Some(written(core, revision)),
        session: Some(session_out(&session, core.remaining_ms(&session))),
        secret: if resumed { Bytes::new() } else { Bytes::copy_from_slice(&session.secret) },
        resumed,
        heartbeat_interval: Some(duration(session.ttl_ms / 3)),
    };
    let mut stream = Stream {
        core: core.clone(),
        seq: first.seq,
        ended: core.hub().subscribe(Topic::Session(session.id)),
        services: HashMap::new(),
        words: BTreeMap::new(),
        _carried: Carried { core: core.clone(), id: session.id },
        proof,
        session,
    };
    tell(queue, answer(first.seq, Event::Opened(opened)))?;
    stream.look(queue)?;
    Ok(Some(stream))
}

async fn resume(core: &Core, open: &Open) -> Result<(Arc<Session>, u64), Status> {
    let proof = proof(&open.session_id, &open.secret).within("open").map_err(invalid)?;
    let session = core.attach(&proof).await.map_err(status)?;
    Ok((session, core.local().state.revision()))
}

async fn create(core: &Core, open: &Open) -> Result<(Arc<Session>, u64), Status> {
    let spec = spec(open.ttl, open.disconnect_grace, &open.labels).within("open").map_err(invalid)?;
    let done = core.create_session(None, spec).await.map_err(status)?;
    let proof = Proof { id: done.value.id, secret: done.value.secret.to_vec() };
    let session = core.attach(&proof).await.map_err(status)?;
    Ok((session, done.revision))
}

fn check_seq(seq: u64, last: u64) -> Result<(), Invalid> {
    if seq > last {
        return Ok(());
    }
    Err(Invalid::new("seq", format!("is {seq}, after {last} it must be larger")))
}

/// The identity of a write: the same session and number give the same one on every server.
fn request_id(session: &SessionId, seq: u64) -> RequestId {
    let digest = Sha256::new().chain_update(session.as_bytes()).chain_update(seq.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Whether the stream goes on.
enum Next {
    Goes,
    Ends,
}

impl Stream {
    /// Until the client leaves, the session ends, or this server stops.
    async fn serve(&mut self, requests: &mut Streaming<pb::AttachRequest>, queue: &Queue) -> Result<(), Status> {
        let core = self.core.clone();
        let mut drained = std::pin::pin!(core.drained());
        loop {
            let request = tokio::select! {
                biased;
                () = &mut drained => return self.migrate(queue),
                () = queue.closed() => return Ok(()),
                () = self.ended.changed() => None,
                () = any(&mut self.services) => None,
                // Half-closed, cancelled, broken, or no message at all: the grace runs.
                request = requests.message() => match request? {
                    Some(request) => Some(request),
                    None => return Ok(()),
                },
            };
            let next = match request {
                Some(request) => self.handle(request, queue).await?,
                None => self.look(queue)?,
            };
            if let Next::Ends = next {
                return Ok(());
            }
        }
    }

    fn migrate(&self, queue: &Queue) -> Result<(), Status> {
        let me = self.core.facts().node_id.to_string();
        let others = self.core.members().into_iter().filter(|m| m.node_id != me && m.ready);
        let migrate = Migrate {
            endpoints: others.flat_map(|m| m.endpoints).collect(),
            within: Some(duration(MIGRATE_WITHIN_MS)),
            reason: "this server is shutting down".to_owned(),
        };
        tell(queue, answer(0, Event::Migrate(migrate)))
    }

    async fn handle(&mut self, request: pb::AttachRequest, queue: &Queue) -> Result<Next, Status> {
        let seq = request.seq;
        let closes = matches!(request.op, Some(Op::Close(_)));
        let done = match check_seq(seq, self.seq) {
            Ok(()) => {
                self.seq = seq;
                self.act(seq, request.op).await
            }
            Err(error) => Err(Error::Invalid(error)),
        };
        match done {
            Ok(revision) => {
                let remaining_ms = if closes { 0 } else { self.core.remaining_ms(&self.session) };
                let acked = Acked { revision, remaining: Some(duration(remaining_ms)) };
                tell(queue, answer(seq, Event::Acked(acked)))?;
                if closes { Ok(Next::Ends) } else { self.look(queue) }
            }
            Err(Error::Rejected(Rejection::SessionExpired(id))) if id == self.session.id => self.expired(queue),
            Err(error) => {
                tell(queue, answer(seq, Event::Failed(wire_status(&status(error)))))?;
                Ok(Next::Goes)
            }
        }
    }

    /// Does what was asked. Every message renews the lease, whatever becomes of it.
    async fn act(&self, seq: u64, op: Option<Op>) -> Result<u64, Error> {
        let op = op.ok_or_else(|| Invalid::new("op", "is required"))?;
        self.core.keep_alive(&self.proof).await?;
        let every = Duration::from_millis(self.session.ttl_ms / 3).max(RENEW_EVERY_MIN);
        let mut doing = std::pin::pin!(self.perform(seq, op));
        loop {
            tokio::select! {
                biased;
                done = &mut doing => return done,
                // Heartbeats behind it are not read, and a write that waits for its turn must not cost the session.
                () = tokio::time::sleep(every) => self.core.keep_alive(&self.proof).await.map(drop)?,
            }
        }
    }

    async fn perform(&self, seq: u64, op: Op) -> Result<u64, Error> {
        let id = Some(request_id(&self.session.id, seq));
        Ok(match op {
            Op::Open(_) => return Err(Error::invalid("op", "open is allowed as the first message only")),
            Op::Heartbeat(_) => self.core.local().state.revision(),
            Op::Register(r) => {
                let instances = registry::instances(&r.instances).within("register")?;
                self.core.register(id, Some(self.proof.clone()), instances, false).await?.revision
            }
            Op::Deregister(r) => {
                count("deregister.keys", r.keys.len(), 1, crate::model::limits::BATCH_MAX)?;
                let asked = pb::DeregisterInstancesRequest { keys: r.keys, ..Default::default() };
                let mut deregister = registry::deregister(&asked).within("deregister")?;
                deregister.session = Some(self.session.id);
                self.core.deregister(id, deregister).await?.revision
            }
            Op::Report(r) => {
                let mut report = registry::report(r.key.as_ref(), &r.checks, r.lifecycle).within("report")?;
                report.session = Some(self.session.id);
                self.core.report(id, report).await?.revision
            }
            Op::Close(_) => self.core.close_session(id, &self.proof).await?.revision,
        })
    }

    /// Something of this session changed: tell the client what it must know.
    fn look(&mut self, queue: &Queue) -> Result<Next, Status> {
        let core = self.core.clone();
        // A new subscription may have missed what came before it: then the state is taken once more.
        loop {
            let state = core.local().state;
            if state.session(&self.session.id).is_none() {
                return self.expired(queue);
            }
            let mut words = BTreeMap::new();
            let mut services = HashMap::new();
            let mut fresh = false;
            for instance in state.instances_of(&self.session.id) {
                let service = instance.service.folded();
                let known = self.services.remove(&service).or_else(|| services.remove(&service));
                fresh |= known.is_none();
                services
                    .insert(service, known.unwrap_or_else(|| core.hub().subscribe(Topic::service(&instance.service))));
                let (key, word) = (registry::folded(&instance.key()), instance.overriding());
                if self.words.get(&key) != word {
                    let overridden = Overridden { key: Some(key_out(instance)), r#override: word.map(overriding_out) };
                    tell(queue, answer(0, Event::Overridden(overridden)))?;
                }
                if let Some(word) = word {
                    words.insert(key, word.clone());
                }
            }
            (self.words, self.services) = (words, services);
            if !fresh {
                return Ok(Next::Goes);
            }
        }
    }

    fn expired(&self, queue: &Queue) -> Result<Next, Status> {
        let reason = format!("session {} was closed or has expired", self.session.id);
        tell(queue, answer(0, Event::Expired(Expired { reason })))?;
        Ok(Next::Ends)
    }
}

/// Resolves when one of them does; never, if there are none.
async fn any(services: &mut HashMap<ServiceKey, Subscription>) {
    if services.is_empty() {
        return std::future::pending().await;
    }
    select_all(services.values_mut().map(|s| Box::pin(s.changed()))).await;
}

/// An error inside a stream: the same code, text and details as a failed call has.
fn wire_status(status: &Status) -> tonic_types::pb::Status {
    // The details are this message already, so that gRPC's trailers can carry them.
    let mut wire = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
    wire.code = status.code().into();
    wire.message = status.message().to_owned();
    wire
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_identity_of_a_write_is_of_session_and_number() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(request_id(&a, 1), request_id(&a, 1));
        assert_ne!(request_id(&a, 1), request_id(&a, 2));
        assert_ne!(request_id(&a, 1), request_id(&b, 1));
    }

    #[test]
    fn numbers_must_grow() {
        assert!(check_seq(1, 0).is_ok());
        assert!(check_seq(9, 3).is_ok());
        for (seq, last) in [(0, 0), (3, 3), (2, 3)] {
            assert_eq!(check_seq(seq, last).map_err(|e| e.field), Err("seq".into()));
        }
    }
}
