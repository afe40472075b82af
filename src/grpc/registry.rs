//! `lictor.v1.RegistryService`.

use super::convert::header::written;
use super::convert::instance::{instance_full, overriding_out};
use super::convert::{proof, registry, request_id};
use super::status::{invalid, status};
use crate::proto::v1 as pb;
use crate::proto::v1::registry_service_server::RegistryService;
use crate::service::Core;
use tonic::{Request, Response, Status};

/// The service.
pub(super) struct Registry {
    pub(super) core: Core,
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register_instances(
        &self,
        request: Request<pb::RegisterInstancesRequest>,
    ) -> Result<Response<pb::RegisterInstancesResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let session = match r.session_id.is_empty() {
            true => None,
            false => Some(proof(&r.session_id, &r.secret).map_err(invalid)?),
        };
        let instances = registry::instances(&r.instances).map_err(invalid)?;
        let done = self.core.register(id, session, instances, r.validate_only).await.map_err(status)?;
        let state = self.core.local().state;
        let instances = done.value.iter().map(|i| instance_full(&state, i)).collect();
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::RegisterInstancesResponse { header, instances }))
    }

    async fn update_instance(
        &self,
        request: Request<pb::UpdateInstanceRequest>,
    ) -> Result<Response<pb::UpdateInstanceResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let update = registry::update(&r).map_err(invalid)?;
        let done = self.core.update(id, update).await.map_err(status)?;
        let instance = Some(instance_full(&self.core.local().state, &done.value));
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::UpdateInstanceResponse { header, instance }))
    }

    async fn deregister_instances(
        &self,
        request: Request<pb::DeregisterInstancesRequest>,
    ) -> Result<Response<pb::DeregisterInstancesResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let deregister = registry::deregister(&r).map_err(invalid)?;
        let done = self.core.deregister(id, deregister).await.map_err(status)?;
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::DeregisterInstancesResponse { header, removed: done.value }))
    }

    async fn report_health(
        &self,
        request: Request<pb::ReportHealthRequest>,
    ) -> Result<Response<pb::ReportHealthResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let report = registry::report(r.key.as_ref(), &r.checks, r.lifecycle).map_err(invalid)?;
        let done = self.core.report(id, report).await.map_err(status)?;
        Ok(Response::new(pb::ReportHealthResponse { header: Some(written(&self.core, done.revision)) }))
    }

    async fn set_override(
        &self,
        request: Request<pb::SetOverrideRequest>,
    ) -> Result<Response<pb::SetOverrideResponse>, Status> {
        let r = request.into_inner();
        let id = request_id(&r.request_id).map_err(invalid)?;
        let set = registry::set_override(&r).map_err(invalid)?;
        let done = self.core.set_override(id, set).await.map_err(status)?;
        let header = Some(written(&self.core, done.revision));
        Ok(Response::new(pb::SetOverrideResponse { header, r#override: done.value.as_ref().map(overriding_out) }))
    }
}
