//! `watch`: repeats a request until its answer changes, and hands each new answer to a handler.
//!
//! Owns: the documents that handlers get, with the fields and the order of Consul's own (`document`, `entries`), and the
//! loop (`run`). Missing: the types of the mesh, which Consul's command line refuses
//! too.

mod document;
mod entries;
mod run;
#[cfg(test)]
mod tests;

pub(super) use run::{command, run};
