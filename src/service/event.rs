//! User events: small messages to all nodes, best effort, kept in memory. A node keeps those whose filters pick it, the
//! last [`EVENTS_MAX`] of them. Missing: gossip, which brings the events of other nodes.

use super::Core;
use crate::machine::State;
use crate::model::filter::Pattern;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
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
        let mut event = UserEvent { id: self.inner.clock.uuid(), ..event };
        let fired = event.clone();
        let state = self.inner.raft.state();
        let picked = filters.pick(&self.inner.facts.node_name, &state);
        {
            // The ring is whole after every statement.
            let mut ring = self.inner.events.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.ltime += 1;
            event.ltime = ring.ltime;
            if picked {
                if ring.events.len() == EVENTS_MAX {
                    ring.events.pop_front();
                }
                ring.events.push_back(Arc::new(event));
            }
        }
        if picked {
            self.inner.events.changed.send_replace(());
        }
        Ok(fired)
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
