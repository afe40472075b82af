//! What operators see of running servers and set on them: the log as it is written, limits and settings, reload, gossip.

#[path = "../common/mod.rs"]
mod common;

mod gossip;
mod monitor;
mod settings;
