//! Lictor: service discovery in one binary.

pub mod agent;
pub mod archive;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod dns;
pub mod docker;
pub mod footprint;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod gossip;
pub mod grpc;
pub mod http;
pub mod machine;
pub mod model;
pub mod monitor;
pub mod node;
pub mod outgoing;
pub mod proto;
pub mod raft;
pub mod service;
pub mod store;
pub mod watch;
