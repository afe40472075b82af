//! Streams that tell what changes: equal ones of this agent's clients share one at the servers, a [`topic`].
//!
//! Owns: the one way for every kind ([`watched`] says what a kind has to know): a topic follows one server after the
//! other and keeps its newest messages in a [`ring`]; a [`reader`] is a number in that ring. Who is behind the ring gets
//! the whole again, if the kind is one that has a whole (sets of instances, leaders, servers). Of keys every event counts,
//! so a reader of keys begins with a stream of its own at a server, which answers in its own words from whatever start the
//! reader asks for, and moves over to the topic at the first whole revision from which the ring is complete; it goes
//! back to a stream of its own when the ring can no longer serve it.
//!
//! Must never: leave out an event of a key without an error, or say that nothing was missed before all of it was sent.

mod codec;
mod keys;
mod latest;
mod reader;
mod ring;
mod set;
mod streams;
mod topic;
mod watched;
mod watches;

pub(super) use streams::Streams;
