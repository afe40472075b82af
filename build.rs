//! Compiles `proto/` with protox (no system protoc) into `OUT_DIR`: the message types, the gRPC stubs and the
//! descriptor set that server reflection serves.

use prost::Message;
use std::path::PathBuf;

const PUBLIC: [&str; 8] = ["types", "errors", "discovery", "session", "registry", "kv", "coordination", "cluster"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let mut files: Vec<String> = PUBLIC.iter().map(|f| format!("proto/lictor/v1/{f}.proto")).collect();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let public = protox::compile(&files, ["proto"])?;
    std::fs::write(out.join("lictor.v1.fds"), public.encode_to_vec())?;
    files.push("proto/lictor/internal/v1/record.proto".into());
    files.push("proto/lictor/internal/v1/raft.proto".into());
    files.push("proto/lictor/internal/v1/peer.proto".into());
    let all = protox::compile(&files, ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".lictor")
        .btree_map(".")
        .build_client(true)
        .extern_path(".google.rpc.Status", "::tonic_types::pb::Status")
        .compile_fds(all)?;
    Ok(())
}
