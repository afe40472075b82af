//! What operators see of a running server and set on it: its log as it is written, limits and settings, reload.

#[path = "../common/mod.rs"]
mod common;

mod monitor;
mod settings;
