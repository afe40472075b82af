//! From applied changes to those who wait for them.
//!
//! One publisher, [`Hub`]: it keeps a bounded ring of recent events by revision and wakes the subscribers of the
//! topics that a batch touched, and nobody else. A subscriber registers first and takes the state second, so nothing
//! can happen in between unseen. What a waiter then sends is its own business (diff of two states, or events from the
//! ring); nothing is buffered here per subscriber, so a slow one costs nothing. A gap is announced (`None`), never
//! silent. It must never block the thread that applies.

mod hub;
mod ring;
mod topic;

pub use hub::{Hub, Subscription};
pub use topic::Topic;
