//! Flags and configuration files, made into one checked [`Config`].
//!
//! Owns: which keys and flags exist (`keys`), how files and flags are laid over each other (`layers`), the defaults
//! and checks of every setting (`checked`, `settings`), and the data directory with the node's id in it (`data_dir`).
//!
//! Must never: ignore a setting in silence. Each known key is built, has no effect here for a reason that is logged, or
//! is refused. Nothing here opens a listener or starts a task.
//!
//! Missing: HCL files (the reader gives `serde_json::Value`s, so a parser fits in beside JSON), service and check
//! definitions, address templates, reload.

mod address;
mod checked;
mod data_dir;
mod error;
mod flags;
mod hcl;
mod keys;
mod kind;
mod layers;
mod settings;

pub use checked::{Config, Limits, LogLevel, Notice};
pub use error::ConfigError;
pub(crate) use flags::parse_bool;
pub use flags::{AgentFlags, Arity, Flag};
