//! Tests of the whole path from a message to a reply, and of the sockets.

mod answers;
pub(super) mod fixture;
mod golden;
mod properties;
mod query;
mod recursors;
mod sockets;
