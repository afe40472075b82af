//! Where other servers are, by what was learnt last. openraft calls the address of the last committed configuration, and
//! committing a newer one may need the very servers that have moved.

use super::status::Member;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Who says where a server is. Neither is always the newer one: a server tells the log of its move before everybody has
/// heard of it by gossip, and a majority that has moved cannot write to the log before its servers know of each other.
#[derive(Clone, Copy)]
enum Source {
    Log,
    Gossip,
}

type ByNode = BTreeMap<Uuid, String>;

/// What each source said last, and the newest of it.
#[derive(Clone, Default)]
struct Known {
    said: [ByNode; 2],
    newest: ByNode,
}

impl Known {
    fn learn(&mut self, source: Source, places: ByNode) {
        let said = &mut self.said[source as usize];
        for (id, address) in &places {
            if said.get(id) != Some(address) {
                self.newest.insert(*id, address.clone());
            }
        }
        *said = places;
    }
}

/// Clones share what is known.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<ArcSwap<Known>>);

impl Places {
    /// The newest configuration in the log, committed or not.
    pub(super) fn learn_members(&self, members: &[Member]) {
        self.learn(Source::Log, members.iter().map(|m| (m.node.id, m.node.address.clone())).collect());
    }

    /// What gossip has heard, by the identity of the node.
    pub(super) fn learn_heard(&self, heard: ByNode) {
        self.learn(Source::Gossip, heard);
    }

    fn learn(&self, source: Source, mut places: ByNode) {
        // It would be that of many.
        places.remove(&Uuid::nil());
        self.0.rcu(|known| {
            let mut known = Known::clone(known);
            known.learn(source, places.clone());
            known
        });
    }

    /// Where the node is, if that was learnt.
    pub(super) fn of(&self, id: &Uuid) -> Option<String> {
        self.0.load().newest.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_last_counts_and_not_who_says_it() {
        let id = Uuid::from_u128(1);
        let mut known = Known::default();
        let mut after = |source, address: &str| {
            known.learn(source, [(id, address.to_owned())].into());
            known.newest[&id].clone()
        };
        assert_eq!("a", after(Source::Log, "a"));
        assert_eq!("b", after(Source::Gossip, "b"), "it has moved, and cannot tell the log");
        assert_eq!("b", after(Source::Log, "a"), "the log says nothing new");
        assert_eq!("c", after(Source::Log, "c"), "it has moved, and gossip does not know yet");
        assert_eq!("c", after(Source::Gossip, "b"));
        known.learn(Source::Gossip, ByNode::new());
        assert_eq!("c", known.newest[&id], "what is not heard any more is not forgotten");
    }
}
