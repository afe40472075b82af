//! Generated from `proto/` by build.rs; nothing else lives here.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines)]

/// The public API, `lictor.v1`.
pub mod v1 {
    tonic::include_proto!("lictor.v1");

    /// Descriptors of the public API, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lictor.v1.fds"));
}

/// Log, checkpoint and peers, `lictor.internal.v1`.
pub mod internal {
    tonic::include_proto!("lictor.internal.v1");
}
