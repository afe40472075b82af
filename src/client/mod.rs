//! An agent that is no server: what it asks servers, on their server port.
//!
//! Owns: the choice of a server ([`Servers`]); what was last heard of the own node ([`Remote`], the catalog of
//! [`crate::agent`]); requests of HTTP ([`Http`]), gRPC ([`Grpc`]) and DNS ([`mod@dns`]) on their way to a server. Equal long
//! polls and equal streams ([`watch`]) share one request to the servers. While no server can be reached, reads are answered with what
//! was last heard, with its age, and watches stay open and go on later without a gap.
//!
//! Must never: hold replicated state of its own, answer a consistent read with what was kept, or send a write twice that
//! may have been done.
//!
//! Missing: recursors of the agent itself (the servers' are asked), a choice of servers by distance.

mod backoff;
mod catalog;
mod dns;
mod flight;
mod grpc;
mod http;
mod kept;
mod servers;
mod watch;

pub use catalog::Remote;
pub use dns::dns;
pub use grpc::Grpc;
pub use http::Http;
pub use servers::{Server, Servers};
