//! Strategies for every model type, command and reply, for tests only. Names come mostly from a small set, so that
//! sequences of commands meet each other; the rest is arbitrary Unicode. Values need not pass the checks of the edges.

mod commands;
mod model;
mod operator;
mod reply;

pub(crate) use commands::*;
pub(crate) use model::*;
pub(crate) use operator::*;
pub(crate) use reply::*;
