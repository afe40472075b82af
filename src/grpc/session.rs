//! `lictor.v1.SessionService`; the Attach stream is in [`super::attach`].

use super::attach;
use super::convert::header::{header, written};
use super::convert::session::{session_out, spec};
use super::convert::{proof, request_id};
use super::deadline;
use super::entrance::watch_place;
use super::filter::SessionFilter;
use super::page::{self, Page, Pins, turn};
use super::status::{invalid, status};
use super::token::Purpose;
use crate::model::Session;
use crate::proto::v1 as pb;
use crate::proto::v1::session_service_server::SessionService;
use crate::service::{Consistency, Core, ReadOptions};
use bytes::Bytes;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

/// The service.
pub(super) struct Sessions {
    pub(super) core: Core,
    pub(super) pins: Pins,
}

#[tonic::async_trait]
impl SessionService for Sessions {
    type AttachStream = attach::Answers;

    async fn attach(
        &self,
        request: Request<Streaming<pb::AttachRequest>>,
    ) -> Result<Response<attach::Answers>, Status> {
        let place = watch_place(request.extensions())?;
        Ok(Response::new(attach::start(self.core.clone(), request.into_inner(), place)))
    }

    async fn create_session(
        &self,
        request: Request<pb::CreateSessionRequest>,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let spec = spec(r.ttl, None, &r.labels).map_err(invalid)?;
        let done = self.core.create_session(id, spec).await.map_err(status)?;
        let session = &done.value;
        Ok(Response::new(pb::CreateSessionResponse {
            header: Some(written(&self.core, done.revision)),
            session: Some(session_out(session, self.core.remaining_ms(session))),
            secret: Bytes::copy_from_slice(&session.secret),
        }))
    }

    async fn keep_alive_session(
        &self,
        request: Request<pb::KeepAliveSessionRequest>,
    ) -> Result<Response<pb::KeepAliveSessionResponse>, Status> {
        let r = request.into_inner();
        let proof = proof(&r.session_id, &r.secret).map_err(invalid)?;
        let (session, remaining_ms) = self.core.keep_alive(&proof).await.map_err(status)?;
        Ok(Response::new(pb::KeepAliveSessionResponse {
            header: Some(header(&self.core, &self.core.local())),
            session: Some(session_out(&session, remaining_ms)),
        }))
    }

    async fn close_session(
        &self,
        request: Request<pb::CloseSessionRequest>,
    ) -> Result<Response<pb::CloseSessionResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let proof = proof(&r.session_id, &r.secret).map_err(invalid)?;
        let done = self.core.close_session(id, &proof).await.map_err(status)?;
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::CloseSessionResponse { header, removed: done.value }))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let deadline = deadline::of(request.metadata());
        let r = request.into_inner();
        let filter = SessionFilter::parse(&r.filter).map_err(invalid)?;
        let asked = page::asked(&pb::ListSessionsRequest { filter: r.filter.clone(), ..Default::default() });
        let fields = (r.page_size, r.page_token.as_str());
        let read = ReadOptions { consistency: Consistency::Linearizable, deadline, ..ReadOptions::default() };
        let page = Page::open(&self.core, &self.pins, Purpose::Sessions, asked, fields, &read).await.map_err(status)?;
        let last = page.after.as_deref().and_then(|bytes| Uuid::from_slice(bytes).ok());
        let _turn = turn(&self.core).await?;
        let sessions = page.view.state.sessions().filter(|s| last.is_none_or(|last| s.id > last));
        let (found, more) = page::take(sessions.filter(|s| filter.admits(s)), page.size);
        let next_page_token = match found.last() {
            Some(last) if more => page.next(last.id.as_bytes().to_vec()),
            _ => String::new(),
        };
        let out = |s: &&Arc<Session>| session_out(s, self.core.remaining_ms(s));
        let sessions = found.iter().map(out).collect();
        let header = Some(header(&self.core, &page.view));
        Ok(Response::new(pb::ListSessionsResponse { header, sessions, next_page_token }))
    }
}
