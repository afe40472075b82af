//! The domain: nodes, services, instances, checks, keys, sessions and locks as plain values, and the limits and names
//! that make them valid. Values here can be stored and compared; they know no wire format, no disk and no clock.

pub mod autopilot;
pub mod coordinate;
pub mod definition;
pub(crate) mod duration;
pub mod filter;
pub(crate) mod go_json;
pub mod health;
pub mod instance;
pub mod kv;
pub mod limits;
pub mod names;
pub mod network;
pub mod node;
pub mod query;
pub mod session;
mod uuid_key;

pub use autopilot::Autopilot;
pub use coordinate::Coordinate;
pub use definition::{CheckDefinition, CheckKind, Definitions, ServiceDefinition};
pub use health::{Check, Health, Lifecycle};
pub use instance::{Extra, Instance, InstanceKey, Locality, NodeRecord, Override, ServiceKey, TaggedAddress};
pub use kv::{KvEntry, Tombstone};
pub use names::Invalid;
pub use network::Network;
pub use node::NodeId;
pub use query::{PreparedQuery, QueryId, QueryTemplate, ServiceQuery};
pub use session::{Behavior, Lock, LockHolder, LockKind, LockWaiter, NodeBinding, RequestId, Session, SessionId};
pub use uuid_key::uuid_key;

/// A short string: up to 24 bytes live without an allocation.
pub type Text = compact_str::CompactString;

/// The namespace that Consul's API and DNS show.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The form in which names are compared: Consul and DNS ignore ASCII case.
pub fn fold(name: &str) -> Text {
    let mut text = Text::from(name);
    text.make_ascii_lowercase();
    text
}
