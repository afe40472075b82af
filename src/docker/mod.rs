//! A small client of the Docker Engine API, which Podman speaks, too.
//!
//! Owns: where the engine is (`address`), one request on one connection (`engine`), commands in containers (`exec`) and
//! their output (`output`). A later call is a method that says its path and which fields of the answer it wants.
//!
//! Must never: know what a check is, follow what an answer does not say, or keep a connection that nobody waits for.
//!
//! Missing: TLS and SSH to an engine elsewhere; versions of the API in paths, since what is asked here is the same in all.

mod address;
mod engine;
mod error;
mod exec;
mod output;
#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use error::DockerError;
pub use output::Output;
