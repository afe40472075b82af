//! What a handler gets.

use super::entries::{CheckEntry, EventEntry, KeyEntry, NodeEntry, ServiceEntry};
use crate::config::WatchTarget;
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of a watch's request, as handlers get it. To be written by [`crate::model::go_json::to_json`] or its indented
/// twin; two equal ones need not be handled twice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Document {
    /// A key, or `null`.
    Key(Option<KeyEntry>),
    /// Keys with a prefix, or `null`.
    Keys(Option<Vec<KeyEntry>>),
    /// Services and their tags.
    Services(BTreeMap<String, Option<Vec<String>>>),
    /// Nodes.
    Nodes(Option<Vec<NodeEntry>>),
    /// Instances of a service.
    Instances(Option<Vec<ServiceEntry>>),
    /// Checks.
    Checks(Option<Vec<CheckEntry>>),
    /// Events.
    Events(Option<Vec<EventEntry>>),
}

impl Document {
    /// Reads the body of a request; `None` stands for an answer of 404, which for a key means that there is none.
    ///
    /// # Errors
    /// A body that is not what the kind of watch gets.
    pub(super) fn read(kind: &WatchTarget, body: Option<&[u8]>) -> Result<Document, serde_json::Error> {
        let body = body.unwrap_or(b"null");
        Ok(match kind {
            WatchTarget::Key(_) => {
                let found: Option<Vec<KeyEntry>> = serde_json::from_slice(body)?;
                Document::Key(found.unwrap_or_default().into_iter().next())
            }
            WatchTarget::KeyPrefix(_) => Document::Keys(serde_json::from_slice(body)?),
            WatchTarget::Services => Document::Services(serde_json::from_slice(body)?),
            WatchTarget::Nodes => Document::Nodes(serde_json::from_slice(body)?),
            WatchTarget::Service { .. } => Document::Instances(serde_json::from_slice(body)?),
            WatchTarget::ChecksOfService(_) | WatchTarget::ChecksInState(_) => {
                Document::Checks(serde_json::from_slice(body)?)
            }
            WatchTarget::Event(_) => Document::Events(serde_json::from_slice(body)?),
            // Refused before anything is asked, as in Consul: handlers there have no index.
            WatchTarget::AgentService(_) => return Err(serde::de::Error::custom("not a watch of the command line")),
        })
    }

    /// Leaves out the events up to and with the one whose index is given: those were seen.
    pub(super) fn only_after(mut self, index: u64) -> Document {
        if let Document::Events(Some(events)) = &mut self
            && let Some(at) = events.iter().position(|event| event_index(&event.id) == Some(index))
        {
            events.drain(..=at);
        }
        self
    }
}

/// The index that stands for an event: the two halves of its id, each as a number, one xor the other.
pub(super) fn event_index(id: &str) -> Option<u64> {
    let id = uuid::Uuid::parse_str(id).ok()?;
    let (high, low) = id.as_u64_pair();
    Some(high ^ low)
}
