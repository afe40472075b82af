//! Flags and configuration files, made into one checked [`Config`].
//!
//! Owns: which keys and flags exist (`keys`), the languages and places of texts (`hcl`, `source`), how they are laid over
//! each other (`layers`), services, checks and watches in them (`definitions`, `watch`), the defaults and checks of every
//! setting (`checked`, `settings`, `sections`), templates of addresses (`template`), what a reload may change
//! (`reload`), and the data directory with the node's id in it (`data_dir`).
//!
//! Must never: ignore a setting in silence. Each known key is built, has no effect here for a reason that is logged, or
//! is refused. Nothing here opens a listener or starts a task.
//!
//! Missing: TLS, access control, a pool between datacenters; their keys are refused or have no effect.

mod address;
mod block;
mod checked;
mod data_dir;
mod definitions;
mod error;
mod flags;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod hcl;
mod keys;
mod kind;
mod layers;
mod reload;
mod sections;
mod settings;
mod source;
mod template;
mod watch;

pub use checked::{Config, LogLevel, Notice};
pub use error::ConfigError;
pub(crate) use flags::parse_bool;
pub use flags::{AgentFlags, Arity, Flag};
pub use sections::{
    CheckSettings, DnsSettings, GossipSettings, HttpSettings, Limits, LogFile, LogSettings, QueryTimes, SoaSettings,
    UnixSocket, Waiting,
};
pub use source::Format;
pub use watch::{Params, Seen, Watch, WatchHandler, WatchPlan, WatchTarget};
