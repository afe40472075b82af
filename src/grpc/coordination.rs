//! `lictor.v1.CoordinationService`.

use super::convert::header::{header, written};
use super::convert::time::bounded_ms;
use super::convert::{lock_name, lock_value, proof, secret};
use super::deadline;
use super::entrance::watch_place;
use super::status::{invalid, status};
use crate::model::limits::{LOCK_PERMITS_MAX, LOCK_WAIT_MS_MAX};
use crate::model::names::Invalid;
use crate::model::{LockHolder, LockKind, Text};
use crate::proto::v1 as pb;
use crate::proto::v1::coordination_service_server::CoordinationService;
use crate::service::admission::Held;
use crate::service::{Core, Error, LockAsk};
use crate::watch::{Subscription, Topic};
use futures::stream::BoxStream;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

/// The service.
pub(super) struct Coordination {
    pub(super) core: Core,
}

type Leaders = BoxStream<'static, Result<pb::ObserveElectionResponse, Status>>;

fn permits(permits: u32) -> Result<u32, Invalid> {
    match permits {
        0 => Ok(1),
        n if n <= LOCK_PERMITS_MAX => Ok(n),
        n => Err(Invalid::new("permits", format!("is {n}, at most {LOCK_PERMITS_MAX} is allowed"))),
    }
}

/// A fencing token is a revision, and the first one that can be is 1.
fn token(token: u64) -> Result<u64, Invalid> {
    if token == 0 { Err(Invalid::new("fencing_token", "is required")) } else { Ok(token) }
}

fn lock_ask(r: &pb::AcquireLockRequest) -> Result<LockAsk, Invalid> {
    lock_name("name", &r.name)?;
    lock_value(&r.value)?;
    Ok(LockAsk {
        kind: LockKind::Lock,
        name: r.name.as_str().into(),
        value: r.value.clone(),
        permits: permits(r.permits)?,
        wait_ms: bounded_ms("wait", r.wait, 0, LOCK_WAIT_MS_MAX, 0)?,
    })
}

#[tonic::async_trait]
impl CoordinationService for Coordination {
    type ObserveElectionStream = Leaders;

    async fn acquire_lock(
        &self,
        request: Request<pb::AcquireLockRequest>,
    ) -> Result<Response<pb::AcquireLockResponse>, Status> {
        let r = request.into_inner();
        let ask = lock_ask(&r).map_err(invalid)?;
        let proof = proof(&r.session_id, &r.secret).map_err(invalid)?;
        let done = self.core.acquire_lock(&proof, ask).await.map_err(status)?;
        Ok(Response::new(pb::AcquireLockResponse {
            header: Some(written(&self.core, done.revision)),
            acquired: done.value.token.is_some(),
            fencing_token: done.value.token.unwrap_or_default(),
            holder_session_id: done.value.holder.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn release_lock(
        &self,
        request: Request<pb::ReleaseLockRequest>,
    ) -> Result<Response<pb::ReleaseLockResponse>, Status> {
        let r = request.into_inner();
        lock_name("name", &r.name).map_err(invalid)?;
        let proof = proof(&r.session_id, &r.secret).map_err(invalid)?;
        let token = token(r.fencing_token).map_err(invalid)?;
        let done = self.core.release_lock(&proof, LockKind::Lock, &r.name, token).await.map_err(status)?;
        Ok(Response::new(pb::ReleaseLockResponse { header: Some(written(&self.core, done.revision)) }))
    }

    async fn campaign(&self, request: Request<pb::CampaignRequest>) -> Result<Response<pb::CampaignResponse>, Status> {
        let left = deadline::of(request.metadata()).map(|at| at.saturating_duration_since(Instant::now()));
        let r = request.into_inner();
        lock_name("election", &r.election).map_err(invalid)?;
        lock_value(&r.value).map_err(invalid)?;
        let proof = proof(&r.session_id, &r.secret).map_err(invalid)?;
        let wait_ms = left.map_or(LOCK_WAIT_MS_MAX, |left| (left.as_millis() as u64).clamp(1, LOCK_WAIT_MS_MAX));
        let name = r.election.as_str().into();
        let ask = LockAsk { kind: LockKind::Election, name, value: r.value, permits: 1, wait_ms };
        let done = self.core.acquire_lock(&proof, ask).await.map_err(status)?;
        match done.value.token {
            Some(fencing_token) => {
                let header = Some(written(&self.core, done.revision));
                Ok(Response::new(pb::CampaignResponse { header, fencing_token }))
            }
            None => Err(Status::deadline_exceeded("another session leads; the place in the queue is given up")),
        }
    }

    async fn proclaim(&self, request: Request<pb::ProclaimRequest>) -> Result<Response<pb::ProclaimResponse>, Status> {
        let r = request.into_inner();
        lock_name("election", &r.election).map_err(invalid)?;
        lock_value(&r.value).map_err(invalid)?;
        let (token, secret) = (token(r.fencing_token).map_err(invalid)?, secret(&r.secret).map_err(invalid)?);
        let done = self.core.proclaim(&r.election, token, &secret, r.value).await.map_err(status)?;
        Ok(Response::new(pb::ProclaimResponse { header: Some(written(&self.core, done.revision)) }))
    }

    async fn resign(&self, request: Request<pb::ResignRequest>) -> Result<Response<pb::ResignResponse>, Status> {
        let r = request.into_inner();
        lock_name("election", &r.election).map_err(invalid)?;
        let (token, secret) = (token(r.fencing_token).map_err(invalid)?, secret(&r.secret).map_err(invalid)?);
        let done = self.core.resign(&r.election, token, &secret).await.map_err(status)?;
        Ok(Response::new(pb::ResignResponse { header: Some(written(&self.core, done.revision)) }))
    }

    async fn observe_election(
        &self,
        request: Request<pb::ObserveElectionRequest>,
    ) -> Result<Response<Leaders>, Status> {
        let place = watch_place(request.extensions())?;
        let r = request.into_inner();
        lock_name("election", &r.election).map_err(invalid)?;
        let name = Text::from(r.election.as_str());
        let turn = self.core.hub().subscribe(Topic::Lock(LockKind::Election, name.clone()));
        let observer = Observer { core: self.core.clone(), name, turn, seen: None, ended: false, _place: place };
        let stream = futures::stream::unfold(observer, |mut observer| async move {
            let item = observer.next().await?;
            Some((item, observer))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

/// Follows who leads an election.
struct Observer {
    core: Core,
    name: Text,
    turn: Subscription,
    /// What was last sent; the inner `None` is nobody.
    seen: Option<Option<LockHolder>>,
    ended: bool,
    /// On the connection.
    _place: Option<Held>,
}

impl Observer {
    async fn next(&mut self) -> Option<Result<pb::ObserveElectionResponse, Status>> {
        if self.ended {
            return None;
        }
        loop {
            let view = self.core.local();
            let lock = view.state.lock(LockKind::Election, &self.name);
            let leader = lock.and_then(|l| l.holders.first()).cloned();
            if self.seen.as_ref() != Some(&leader) {
                let header = Some(header(&self.core, &view));
                self.seen = Some(leader.clone());
                return Some(Ok(pb::ObserveElectionResponse {
                    header,
                    session_id: leader.as_ref().map(|l| l.session.to_string()),
                    fencing_token: leader.as_ref().map_or(0, |l| l.token),
                    value: leader.map(|l| l.value).unwrap_or_default(),
                }));
            }
            tokio::select! {
                biased;
                () = self.core.drained() => {
                    self.ended = true;
                    return Some(Err(status(Error::Draining)));
                }
                () = self.turn.changed() => {}
            }
        }
    }
}
