//! Model and commands ↔ the internal protobuf, one file per family. Into protobuf nothing can fail; out of it every
//! field is checked that the protobuf type allows more for than the model does. Limits of the model are not checked
//! again: what stands in a log was accepted once, under the limits of then.

mod binding;
mod field;
mod instance;
mod kv;
mod record;
mod registry;
mod reply;
mod session;

pub(super) use reply::reply;
