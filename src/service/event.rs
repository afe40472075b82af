//! User events: small messages to all nodes, best effort, kept in memory. A node keeps those whose filters pick it, the
//! last [`EVENTS_MAX`] of them. Gossip brings the events of other nodes, each once.

use super::Core;
use crate::machine::State;
use crate::model::filter::Pattern;
use bytes::Bytes;
use prost::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use uuid::Uuid;

/// Events that are kept; the same as Consul's.
pub const EVENTS_MAX: usize = 256;
/// An event as it would go over the network, at most; the same as serf's.
pub const EVENT_BYTES_MAX: usize = 512;

/// An event that somebody fired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEvent {
    /// Random.
    pub id: Uuid,
    /// What it is about.
    pub name: String,
    /// Free for the application.
    pub payload: Bytes,
    /// Only for nodes whose name this pattern matches; empty: all.
    pub node_filter: String,
    /// Only for nodes that run a service whose id this pattern matches; empty: all.
    pub service_filter: String,
    /// Only with a service filter: one of the service's tags must match; empty: any.
    pub tag_filter: String,
    /// Logical time at which this node heard of it.
    pub ltime: u64,
}

/// Why an event cannot be fired.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EventError {
    /// A filter is no regular expression.
    #[error("the {filter} filter is malformed: {detail}")]
    Pattern {
        /// node, service or tag.
        filter: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// There is nothing whose tags could be looked at.
    #[error("a tag filter needs a service filter")]
    TagWithoutService,
    /// It does not fit into a message.
    #[error("the event is larger than {EVENT_BYTES_MAX} bytes")]
    TooLarge {
        /// Already name, payload and filters are, and not only what goes around them.
        content: bool,
    },
}

/// An event between nodes.
#[derive(Clone, PartialEq, Message)]
struct Spread {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
    #[prost(string, tag = "4")]
    node_filter: String,
    #[prost(string, tag = "5")]
    service_filter: String,
    #[prost(string, tag = "6")]
    tag_filter: String,
    #[prost(uint64, tag = "7")]
    ltime: u64,
}

impl Spread {
    fn of(event: &UserEvent) -> Spread {
        Spread {
            id: event.id.as_bytes().to_vec(),
            name: event.name.clone(),
            payload: event.payload.clone(),
            node_filter: event.node_filter.clone(),
            service_filter: event.service_filter.clone(),
            tag_filter: event.tag_filter.clone(),
            ltime: event.ltime,
        }
    }

    fn event(self) -> Option<UserEvent> {
        Some(UserEvent {
            id: Uuid::from_slice(&self.id).ok()?,
            name: self.name,
            payload: self.payload,
            node_filter: self.node_filter,
            service_filter: self.service_filter,
            tag_filter: self.tag_filter,
            ltime: self.ltime,
        })
    }
}

/// The events of this node.
#[derive(Debug, Default)]
pub(super) struct Events {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<UserEvent>>,
    ltime: u64,
}

impl Default for Ring {
    fn default() -> Ring {
        // As serf's clock: the first event has the time 2.
        Ring { events: VecDeque::new(), ltime: 1 }
    }
}

/// The compiled filters of an event.
struct Filters {
    node: Option<Pattern>,
    service: Option<Pattern>,
    tag: Option<Pattern>,
}

impl Filters {
    fn of(event: &UserEvent) -> Result<Filters, EventError> {
        let pattern = |filter: &'static str, text: &str| match text {
            "" => Ok(None),
            text => Pattern::new(text).map(Some).map_err(|detail| EventError::Pattern { filter, detail }),
        };
        let filters = Filters {
            node: pattern("node", &event.node_filter)?,
            service: pattern("service", &event.service_filter)?,
            tag: if event.service_filter.is_empty() { None } else { pattern("tag", &event.tag_filter)? },
        };
        if event.service_filter.is_empty() && !event.tag_filter.is_empty() {
            return Err(EventError::TagWithoutService);
        }
        Ok(filters)
    }

    /// Whether the event is for this node.
    fn pick(&self, node: &str, state: &State) -> bool {
        if self.node.as_ref().is_some_and(|pattern| !pattern.is_match(node)) {
            return false;
        }
        let Some(service) = &self.service else { return true };
        let mut instances = state.node(node).into_iter().flat_map(|node| state.instances_on(node));
        instances.any(|instance| {
            let tags = |pattern: &Pattern| instance.tags.iter().any(|tag| pattern.is_match(tag));
            service.is_match(&instance.id) && self.tag.as_ref().is_none_or(tags)
        })
    }
}

impl Core {
    /// Fires an event; its id and time are set here.
    ///
    /// # Errors
    /// [`EventError`]: a filter is malformed, or the event too large.
    pub fn fire_event(&self, event: UserEvent) -> Result<UserEvent, EventError> {
        let filters = Filters::of(&event)?;
        check_size(&event)?;
        let fired = UserEvent { id: self.inner.clock.uuid(), ..event };
        let kept = self.keep_event(fired.clone(), &filters);
        if let Some(gossip) = self.gossip() {
            gossip.fire_event(kept.ltime, Spread::of(&kept).encode_to_vec());
        }
        Ok(fired)
    }

    /// Keeps an event if it is for this node. An event without a time gets the next one; the time of another node's
    /// moves this node's clock.
    fn keep_event(&self, mut event: UserEvent, filters: &Filters) -> UserEvent {
        let state = self.inner.raft.state();
        let picked = filters.pick(&self.inner.facts.node_name, &state);
        {
            // The ring is whole after every statement.
            let mut ring = self.inner.events.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if event.ltime == 0 {
                let elsewhere = self.gossip().map_or(0, |gossip| gossip.event_time());
                event.ltime = ring.ltime.max(elsewhere).saturating_add(1);
            }
            ring.ltime = ring.ltime.max(event.ltime);
            if picked {
                if ring.events.len() == EVENTS_MAX {
                    ring.events.pop_front();
                }
                ring.events.push_back(Arc::new(event.clone()));
            }
        }
        if picked {
            self.inner.events.changed.send_replace(());
        }
        event
    }

    /// Keeps the events of other nodes until this server drains.
    pub async fn run_events(self) {
        let Some(gossip) = self.gossip() else { return };
        let mut events = gossip.events();
        loop {
            let body = tokio::select! {
                body = events.recv() => body,
                () = self.drained() => return,
            };
            match body {
                Ok(body) => self.hear_event(&body),
                Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "events of other nodes were lost"),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// An event of another node; what is malformed is not kept.
    fn hear_event(&self, body: &[u8]) {
        let event = Spread::decode(body).ok().and_then(Spread::event);
        if let Some(event) = event.filter(|event| event.ltime > 0 && check_size(event).is_ok())
            && let Ok(filters) = Filters::of(&event)
        {
            self.keep_event(event, &filters);
        }
    }

    /// The events that this node keeps, oldest first.
    pub fn events(&self) -> Vec<Arc<UserEvent>> {
        self.inner.events.ring.lock().unwrap_or_else(PoisonError::into_inner).events.iter().cloned().collect()
    }

    /// Changes with every event that is kept.
    pub fn subscribe_events(&self) -> watch::Receiver<()> {
        self.inner.events.changed.subscribe()
    }
}

/// The size of the two msgpack messages, one within the other, in which serf sends an event.
fn check_size(event: &UserEvent) -> Result<(), EventError> {
    const SERF_PREFIX: usize = "consul:event:".len();
    let text = |len: usize| len + if len < 32 { 1 } else { 2 };
    let filters = [&event.node_filter, &event.service_filter, &event.tag_filter];
    let filters: usize = filters.iter().filter(|f| !f.is_empty()).map(|f| 3 + text(f.len())).sum();
    let payload = match event.payload.len() {
        0 => 0,
        len => 2 + len + if len < 256 { 2 } else { 3 },
    };
    // The map, the id, the name, the version.
    let inner = 1 + 3 + text(36) + 2 + text(event.name.len()) + payload + filters + 3;
    let name = SERF_PREFIX + event.name.len();
    // The kind, the map and the names of its members; time and flag are one byte each.
    let outer = 1 + 1 + 7 + 5 + text(name) + 8 + inner + 3 + 4;
    if name + inner > EVENT_BYTES_MAX {
        Err(EventError::TooLarge { content: true })
    } else if outer > EVENT_BYTES_MAX {
        Err(EventError::TooLarge { content: false })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, payload: usize, node_filter: &str) -> UserEvent {
        let payload = vec![b'x'; payload].into();
        UserEvent { name: name.to_owned(), payload, node_filter: node_filter.to_owned(), ..UserEvent::default() }
    }

    #[test]
    fn the_largest_events_are_those_of_consul() {
        // As a Consul 1.8.7 accepts and refuses them.
        for (name, payload, node_filter) in [("e", 414, ""), ("deployment", 396, ""), ("e", 406, "gold")] {
            assert_eq!(check_size(&event(name, payload, node_filter)), Ok(()), "{name}");
            let more = check_size(&event(name, payload + 1, node_filter));
            assert_eq!(more, Err(EventError::TooLarge { content: false }), "{name}");
        }
        assert_eq!(check_size(&event("e", 600, "")), Err(EventError::TooLarge { content: true }));
    }

    #[test]
    fn filters_are_checked_in_order() {
        let error = |node: &str, service: &str, tag: &str| {
            let (node_filter, service_filter, tag_filter) = (node.to_owned(), service.to_owned(), tag.to_owned());
            Filters::of(&UserEvent { node_filter, service_filter, tag_filter, ..UserEvent::default() }).err()
        };
        assert_eq!(error("", "", "["), Some(EventError::TagWithoutService));
        assert!(matches!(error("[", "[", ""), Some(EventError::Pattern { filter: "node", .. })));
        assert!(matches!(error("", "[", "["), Some(EventError::Pattern { filter: "service", .. })));
        assert!(matches!(error("", "a", "["), Some(EventError::Pattern { filter: "tag", .. })));
        assert_eq!(error("a", "b", "c"), None);
    }
}
