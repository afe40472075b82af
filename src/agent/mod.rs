//! What this node registers and checks itself.
//!
//! [`Agent`] owns the services and checks of its node: those that its HTTP API was given ([`journal`] keeps them over
//! restarts) and those of configuration files. It runs the checks ([`checks`]), and makes the catalog show what it owns
//! and only that ([`sync`]). Everything local is one value under one lock ([`local`]), which is never held across an
//! await. Nothing here is replicated by itself: the catalog is written through [`Catalog`], in batches, only
//! where it differs, and again later while no leader can be reached. Registrations are answered when they are stored
//! here, whatever the servers do.
//!
//! What others have registered on this node is removed by the next full comparison, but for `serfHealth`, the service
//! `consul`, and instances that live with a session of our own API. Missing: access control.

mod aggregate;
mod api;
mod catalog;
mod checks;
mod error;
mod files;
mod handle;
mod hooks;
mod host;
mod journal;
mod local;
mod maintenance;
mod reap;
mod server;
mod settings;
mod sidecar;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod watches;

pub use aggregate::{Aggregate, aggregate};
pub use catalog::{Catalog, CatalogWrite};
pub use error::Error;
pub use handle::Agent;
pub use hooks::Hooks;
pub use host::host;
pub use local::{CheckView, ServiceView, Source};
pub use server::{SERF_HEALTH, SERVER_SERVICE, own_node, register_self};
pub use settings::Settings;
pub use watches::{Api, Watches};
