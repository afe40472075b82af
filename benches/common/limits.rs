//! Limits of a server under measurement.

use std::io;
use std::path::{Path, PathBuf};

/// Writes a configuration that lets one address have as many connections as a measurement needs; otherwise an agent takes
/// 200 gRPC clients and 100 agents from each. Returns its file, in `dir`.
pub(crate) fn any_connections(dir: &Path) -> io::Result<PathBuf> {
    let file = dir.join("limits.json");
    std::fs::write(&file, r#"{"limits": {"grpc_max_conns_per_client": 100000, "rpc_max_conns_per_client": 100000}}"#)?;
    Ok(file)
}
