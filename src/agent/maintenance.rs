//! Maintenance modes: a critical check that somebody put there.

use super::handle::Agent;
use super::local::Source;
use super::{Error, SERVER_SERVICE};
use crate::model::{CheckDefinition, Text};
use compact_str::format_compact;

/// Id of the check that takes the whole node out of service.
pub(super) const NODE_MAINTENANCE: &str = "_node_maintenance";
/// How the ids of those begin that take one service out.
pub(super) const SERVICE_MAINTENANCE: &str = "_service_maintenance:";
/// Their type.
pub(super) const KIND: &str = "maintenance";

const NODE_NOTES: &str =
    "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.";
const SERVICE_NOTES: &str =
    "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.";

/// Whether a check of this id is a maintenance mode.
pub(super) fn is_maintenance(id: &str) -> bool {
    id == NODE_MAINTENANCE || id.starts_with(SERVICE_MAINTENANCE)
}

impl Agent {
    /// Turns the node's maintenance mode on or off. Turning it on again keeps the first reason.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn maintain_node(&self, enable: bool, reason: &str) -> Result<(), Error> {
        let notes = if reason.is_empty() { NODE_NOTES } else { reason };
        self.maintain(NODE_MAINTENANCE.into(), "Node Maintenance Mode", Text::default(), enable, notes).await
    }

    /// The same for one service of this node.
    ///
    /// # Errors
    /// [`Error::NotRegistered`], [`Error::Storage`].
    pub async fn maintain_service(&self, id: &str, enable: bool, reason: &str) -> Result<(), Error> {
        let Some(service) = self.service(id).filter(|s| s.id != SERVER_SERVICE) else {
            return Err(Error::NotRegistered(id.to_owned()));
        };
        let notes = if reason.is_empty() { SERVICE_NOTES } else { reason };
        let check = format_compact!("{SERVICE_MAINTENANCE}{}", service.id);
        self.maintain(check, "Service Maintenance Mode", service.id.clone(), enable, notes).await
    }

    async fn maintain(&self, id: Text, name: &str, service: Text, enable: bool, notes: &str) -> Result<(), Error> {
        if !enable {
            return self.deregister_check(&id).await;
        }
        if self.check(&id).is_some() {
            return Ok(());
        }
        let check =
            CheckDefinition { id, name: name.into(), notes: notes.into(), service_id: service, ..Default::default() };
        self.store_check(check, Source::Api).await
    }
}
