//! The groups of settings that one part of the server is told together, each with its defaults and checks.

mod autopilot;
mod checks;
mod dns;
mod gossip;
mod http;
mod limits;
mod log;

pub use checks::CheckSettings;
pub use dns::{DnsSettings, SoaSettings};
pub use gossip::GossipSettings;
pub use http::{HttpSettings, UnixSocket};
pub use limits::{Limits, QueryTimes, Waiting};
pub use log::{LogFile, LogSettings};
