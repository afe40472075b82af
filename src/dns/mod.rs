//! The DNS edge: `<service>.service.consul` and `<node>.node.consul` over UDP and TCP, as Consul 1.8 answers them.
//!
//! A message is read by hand (`query`), looked up in a snapshot of the state (`lookup`), and its records are encoded
//! once (`encode`) and kept for as long as the revisions of what they were made from stay (`cache`). Every reply is
//! then put together by copying (`compose`): shuffled, cut to the size that the client takes, with its id, flags and
//! spelling. UDP is served by blocking threads, one per processor and address, TCP by tasks.
//!
//! Must never: let a question about our zones wait for another one, go to the log, send more than the client takes, or panic on input.
//!
//! Names that are not ours are asked of other servers (`recursor`), apart from the threads; an agent that is no server
//! asks servers for everything the same way, and they answer with `asked`.
//!
//! Missing: `connect` and `ingress` names, other data centers, ACLs, `max_stale`.

mod answer;
mod asked;
mod cache;
mod compose;
mod encode;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod lookup;
mod name;
mod options;
mod query;
mod recursor;
mod responder;
mod reverse;
mod server;
mod tcp;
mod types;
mod udp;
mod zone;

pub use asked::Asked;
pub use options::{LiveOptions, Options, Soa};
pub use recursor::AskServers;
pub use server::Bound;

#[cfg(test)]
mod tests;
