//! What the state machines of this thread apply, for a simulation that wants to know.

use crate::command::Reply;
use crate::raft::types::{LogId, Proposal};
use std::cell::RefCell;
use std::rc::Rc;

/// Hears of an entry after a server has applied it; without a proposal: one that changes nothing but the position.
pub(in crate::raft) type Listener = dyn Fn(&LogId, Option<(&Proposal, &Reply)>);

thread_local! {
    static LISTENER: RefCell<Option<Rc<Listener>>> = const { RefCell::new(None) };
}

/// From now on, this one hears of all servers of this thread.
pub(in crate::raft) fn listen(listener: Option<Rc<Listener>>) {
    LISTENER.set(listener);
}

/// A server has applied an entry.
pub(in crate::raft) fn note(id: &LogId, applied: Option<(&Proposal, &Reply)>) {
    let listener = LISTENER.with_borrow(Clone::clone);
    if let Some(listener) = listener {
        listener(id, applied);
    }
}
