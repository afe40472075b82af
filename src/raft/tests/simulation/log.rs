//! The log as the servers have applied it. Whatever is applied at a place, by whichever server in whichever life, is the
//! same for ever, and so is what comes of it; answers are what came of the entry that they name.

use super::held::Sight;
use super::rules::Rules;
use crate::command::{Command, Outcome, Reply};
use crate::model::RequestId;
use crate::raft::types::Proposal;
use std::collections::BTreeMap;

/// An entry that was applied.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) term: u64,
    /// `None`: it changed nothing but the position.
    pub(super) done: Option<(Proposal, Reply)>,
}

impl Entry {
    fn same(&self, other: &Entry) -> bool {
        self.term == other.term
            && match (&self.done, &other.done) {
                (Some((one, reply)), Some((other, as_well))) => one.bytes() == other.bytes() && reply == as_well,
                (one, other) => one.is_none() && other.is_none(),
            }
    }

    fn tell(&self) -> String {
        match &self.done {
            Some((proposal, reply)) => format!("{:?} in term {}: {reply:?}", proposal.record(), self.term),
            None => format!("nothing in term {}", self.term),
        }
    }
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) entries: BTreeMap<u64, Entry>,
    /// What was refused before it came into the log.
    refused: Vec<Command>,
}

impl Log {
    /// A server has applied this. Returns what is wrong with it.
    pub(super) fn applied(&mut self, at: u64, entry: Entry) -> Option<String> {
        let known = self.entries.entry(at).or_insert_with(|| entry.clone());
        (!known.same(&entry)).then(|| format!("at {at} was {}, now it is {}", known.tell(), entry.tell()))
    }

    /// Somebody was told that this was done.
    pub(super) fn answered(&self, at: u64, id: Option<RequestId>, command: &Command, reply: &Reply) -> Option<String> {
        let entry = self.entries.get(&at);
        let same = entry.and_then(|entry| entry.done.as_ref()).is_some_and(|(proposal, came)| {
            let record = proposal.record();
            record.request_id == id && record.command == *command && came == reply
        });
        let found = || entry.map_or_else(|| "nothing".to_owned(), Entry::tell);
        (!same).then(|| format!("{command:?} is answered with {reply:?} at {at}, where the log has {}", found()))
    }

    /// This must never be in the log; nothing like it was asked before or will be after.
    pub(super) fn refuse(&mut self, command: Command) {
        self.refused.push(command);
    }

    /// What was done, and how often.
    pub(super) fn tally(&self) -> BTreeMap<String, u64> {
        let mut tally = BTreeMap::new();
        for (proposal, reply) in self.entries.values().filter_map(|entry| entry.done.as_ref()) {
            let end = match reply {
                Err(_) => "refused",
                Ok(Outcome::Lock { token: None, queued: true, .. }) => "waits",
                Ok(Outcome::Lock { token: None, .. } | Outcome::Put { done: false, .. }) => "taken",
                Ok(Outcome::Txn { succeeded: false, .. }) => "not held",
                Ok(Outcome::Expired(0)) => "nothing",
                Ok(_) => "done",
            };
            *tally.entry(format!("{} {end}", proposal.record().command.op())).or_default() += 1;
        }
        tally
    }

    /// What is wrong with the whole, given by revision what servers were seen to hold.
    pub(super) fn wrong(&self, seen: &BTreeMap<u64, Sight>) -> Option<String> {
        let mut rules = Rules::default();
        let mut next = None;
        for (at, entry) in &self.entries {
            if next.is_some_and(|next| next != *at) {
                return Some(format!("nobody has applied {next:?}, which comes before {at}"));
            }
            next = Some(at + 1);
            if let Some((proposal, reply)) = &entry.done {
                let record = proposal.record();
                if self.refused.contains(&record.command) {
                    return Some(format!("{:?} was refused, but is at {at}", record.command));
                }
                if let Some(wrong) = rules.step(*at, entry.term, record, reply) {
                    return Some(format!("{wrong}: at {at} {}", entry.tell()));
                }
            }
            let Some(seen) = seen.get(at) else { continue };
            let held = rules.held();
            if seen.held != held {
                return Some(format!("at {at} {} had {:?}, by the log it is {held:?}", seen.by, seen.held));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::Held;
    use super::*;
    use crate::command::{CloseSession, Record, Rejection};
    use crate::model::SessionId;

    fn close(id: u128) -> Command {
        Command::CloseSession(CloseSession { id: SessionId::from_u128(id) })
    }

    fn entry(term: u64, id: u128, reply: Reply) -> Entry {
        let record = Record { time_ms: 5, request_id: None, command: close(id) };
        Entry { term, done: Some((Proposal::new(record), reply)) }
    }

    fn expired(id: u128) -> Reply {
        Err(Rejection::SessionExpired(SessionId::from_u128(id)))
    }

    /// A blank entry, and a session that is closed although it was not there.
    fn log() -> Log {
        let mut log = Log::default();
        assert_eq!(log.applied(3, Entry { term: 1, done: None }), None);
        for _ in 0..2 {
            assert_eq!(log.applied(4, entry(1, 9, expired(9))), None);
        }
        log
    }

    fn seen(held: Held) -> BTreeMap<u64, Sight> {
        BTreeMap::from([(4, Sight { short: String::new(), held, by: "s0".into() })])
    }

    #[test]
    fn a_log_in_order_passes() {
        let log = log();
        assert_eq!(log.answered(4, None, &close(9), &expired(9)), None);
        assert_eq!(log.wrong(&seen(Held::default())), None);
    }

    #[test]
    fn each_rule_can_be_broken() {
        assert!(log().applied(4, entry(1, 8, expired(8))).is_some(), "another entry");
        assert!(log().applied(4, entry(2, 9, expired(9))).is_some(), "of another term");
        assert!(log().applied(4, entry(1, 9, Ok(Outcome::SessionClosed(0)))).is_some(), "another result");
        assert!(log().applied(3, entry(1, 9, expired(9))).is_some(), "something instead of nothing");
        let answered = |at, id, reply| log().answered(at, None, &close(id), &reply).is_some();
        assert!(answered(5, 9, expired(9)), "acknowledged, but not there");
        assert!(answered(4, 8, expired(9)), "acknowledged, but another one is there");
        assert!(answered(4, 9, Ok(Outcome::SessionClosed(0))), "another answer than the log's");
        let id = Some(RequestId::from_u128(1));
        assert!(log().answered(4, id, &close(9), &expired(9)).is_some(), "of another request");
        let mut refused = log();
        refused.refuse(close(9));
        assert!(refused.wrong(&BTreeMap::new()).is_some(), "refused, but there");
        let mut gap = log();
        gap.applied(6, Entry { term: 1, done: None });
        assert!(gap.wrong(&BTreeMap::new()).is_some(), "a place that nobody has applied");
        let held = Held { sessions: vec![(SessionId::from_u128(9), 4)], ..Held::default() };
        assert!(log().wrong(&seen(held)).is_some(), "a server holds what the log does not give");
    }
}
