//! The services over a real loopback server, on a core with its log in memory.

mod admission;
mod discovery;
mod edge;
mod fixture;
mod keys;
mod session;
mod watch;
