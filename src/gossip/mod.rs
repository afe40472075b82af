//! Gossip: who is in the pool and who lives, without a leader.
//!
//! The failure detector is foca (SWIM with suspicion, `swim`); around it are the names, tags and statuses of members
//! (`directory`), their exchange over streams (`engine`), news that travels along (`relay`), encryption with keys that
//! can be changed (`keyring`, `envelope`), and network coordinates (`vivaldi`). `engine` joins them without sockets and
//! clocks; `runtime` puts it on a network.
//!
//! Gossip never decides what the catalog shows, and never speaks to replication: others watch [`Members`].
//!
//! Missing: a second pool between datacenters.

mod directory;
mod engine;
mod envelope;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz;
mod handle;
mod keyring;
mod member;
mod peer;
mod relay;
mod resolve;
mod runtime;
mod stream;
mod swim;
mod timers;
mod tuning;
mod vivaldi;
mod wire;

#[cfg(test)]
mod scale;
#[cfg(test)]
mod simulation;

pub use engine::{Identity, TagsTooLarge};
pub use handle::{Gossip, JoinError, KeyReport, StartError};
pub use keyring::{KEYS_MAX, KeyError, KeyVerb, Protection, read_keys, write_keys};
pub use member::{Member, Members, Status};
pub use resolve::{resolve, split};
pub use runtime::Sockets;
pub use tuning::Tuning;
