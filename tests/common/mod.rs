//! What the tests of the whole program share: the real binary as a process, and small clients for its three protocols.
//!
//! Owns: starting, killing and restarting servers on loopback with ports of their own choice; an HTTP/1.1 client, a DNS
//! client and gRPC clients; readers of streams that check each message against all before it; a seeded source of randomness. Never: a fixed port, a sleep in place of an event, a process
//! that outlives its test. A test that fails prints what its servers wrote.
//!
//! Use: `mod common;` (or `#[path = "../common/mod.rs"] mod common;`) and then
//! `let server = common::Server::dev(); let answer = server.get("/v1/status/leader");`
#![allow(dead_code, unused_imports, reason = "every test program uses another part")]

pub(crate) mod dns;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod keys;
mod random;
mod server;
pub(crate) mod set;

pub(crate) use random::Random;
pub(crate) use server::Server;

use std::future::Future;
use std::time::Duration;

/// What is waited for must come within this. It decides nothing but how soon a failure shows.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What comes, or a failure that says what did not.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("{what}: nothing came within {PATIENCE:?}"))
}
