//! The rules, and what was seen of them. Those of the log as a whole are in [`super::log`], those of sessions and locks
//! in [`super::rules`].
//!
//! All servers apply one log, and every answer tells where in it it stands: a write its own revision, a read that of the
//! state it read. So the order that linearizability asks for need not be searched: it is the log's. What is left to
//! check is that it respects time (an operation that began after another had returned stands after it), that every read
//! returns what the log says for its place, that every acknowledged write is in the log at its place, and that those
//! which were refused are nowhere.

use super::held::{Sight, text};
use super::log::{Entry, Log};
use super::trace::Trace;
use crate::command::{Command, Reply};
use crate::machine::{Event, State, Subject};
use crate::model::RequestId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What a key became at a revision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    /// Revision of what was there before; 0: nothing.
    pub(super) before: u64,
    /// `None`: deleted.
    pub(super) value: Option<String>,
}

/// What is known of a value that somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// It may be in the log or not.
    Unknown,
    /// Acknowledged, at this revision.
    Done(u64),
    /// Refused: it must not be there.
    Refused,
}

#[derive(Debug)]
struct Read {
    key: String,
    at: u64,
    /// Value and revision.
    found: Option<(String, u64)>,
}

#[derive(Default)]
struct Seen {
    /// The latest place in the log of all operations that have returned.
    frontier: u64,
    /// By revision and key.
    ledger: BTreeMap<(u64, String), Fact>,
    log: Log,
    /// By term.
    leaders: BTreeMap<u64, u64>,
    /// By revision.
    states: BTreeMap<u64, Sight>,
    /// By value: the frontier when it began.
    writes: BTreeMap<String, (u64, Fate)>,
    /// Key and revision of acknowledged deletions.
    deletions: Vec<(String, u64)>,
    reads: Vec<Read>,
}

pub(super) struct Check {
    seen: Mutex<Seen>,
    trace: Arc<Trace>,
}

impl Check {
    pub(super) fn new(trace: Arc<Trace>) -> Check {
        Check { seen: Mutex::default(), trace }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked")
    }

    fn judge(&self, wrong: Option<String>) {
        wrong.into_iter().for_each(|wrong| self.trace.fail(wrong));
    }

    /// An operation begins.
    pub(super) fn begin(&self) -> u64 {
        self.seen().frontier
    }

    /// An operation that began when the frontier was there returns, and stands at `at`.
    pub(super) fn end(&self, began: u64, at: u64, writes: bool, what: &str) {
        if at < began || (writes && at == began) {
            self.trace.fail(format_args!("{what} stands at {at}, before {began}, which had returned when it began"));
        }
        let mut seen = self.seen();
        seen.frontier = seen.frontier.max(at);
    }

    pub(super) fn write_began(&self, value: &str) {
        let mut seen = self.seen();
        let began = seen.frontier;
        seen.writes.insert(value.to_owned(), (began, Fate::Unknown));
    }

    pub(super) fn write_ended(&self, value: &str, fate: Fate) {
        if let Some(write) = self.seen().writes.get_mut(value) {
            write.1 = fate;
        }
    }

    pub(super) fn deleted(&self, key: &str, at: u64) {
        self.seen().deletions.push((key.to_owned(), at));
    }

    /// Somebody looked at a key in the state of a server that was to be as fresh as `began`.
    pub(super) fn read(&self, server: usize, began: u64, key: &str, state: &State) {
        let at = state.revision();
        self.end(began, at, false, &format!("a read at s{server}"));
        let found = state.kv(key.as_bytes()).map(|e| (text(&e.value), e.modify_revision));
        self.seen().reads.push(Read { key: key.to_owned(), at, found });
    }

    /// A server has applied an entry of the log.
    pub(super) fn applied(&self, at: u64, entry: Entry) {
        let wrong = self.seen().log.applied(at, entry);
        self.judge(wrong);
    }

    /// Somebody is told what came of a command.
    pub(super) fn answered(&self, at: u64, id: Option<RequestId>, command: &Command, reply: &Reply) {
        let wrong = self.seen().log.answered(at, id, command, reply);
        self.judge(wrong);
    }

    /// Somebody is told that this will not be done; nobody asks for the same again.
    pub(super) fn refused(&self, command: Command) {
        self.seen().log.refuse(command);
    }

    /// A server leads.
    pub(super) fn leads(&self, term: u64, id: u64) {
        let first = *self.seen().leaders.entry(term).or_insert(id);
        if first != id {
            self.trace.fail(format_args!("{first} and {id} both lead in term {term}"));
        }
    }

    /// A server has this state.
    pub(super) fn state(&self, who: &str, state: &State) {
        let (revision, now) = (state.revision(), Sight::of(who, state));
        let first = self.seen().states.entry(revision).or_insert_with(|| now.clone()).clone();
        if first.short != now.short || first.held != now.held {
            self.trace.fail(format_args!("at revision {revision}, first {first:?}, then {now:?}"));
        }
    }

    /// A server says that this happened.
    pub(super) fn event(&self, who: &str, event: &Event) {
        let Subject::Kv { before, after } = &event.subject else { return };
        let Some(entry) = after.as_ref().or(before.as_ref()) else { return };
        let fact = Fact {
            before: before.as_ref().map_or(0, |e| e.modify_revision),
            value: after.as_ref().map(|e| text(&e.value)),
        };
        let at = (event.revision, text(&entry.key));
        let known = self.seen().ledger.entry(at.clone()).or_insert_with(|| fact.clone()).clone();
        if known != fact {
            self.trace.fail(format_args!("{who} says that {at:?} was {fact:?}, others that it was {known:?}"));
        }
    }

    /// All is over, and every server has everything.
    pub(super) fn settle(&self) {
        let seen = self.seen();
        let wrong = seen.log.wrong(&seen.states).or_else(|| seen.chains());
        self.judge(wrong.or_else(|| seen.wrong_write()).or_else(|| seen.wrong_read()));
        let done = seen.writes.values().filter(|(_, fate)| matches!(fate, Fate::Done(_))).count();
        let (writes, reads, terms) = (seen.writes.len(), seen.reads.len(), seen.leaders.len());
        self.trace.note(format_args!(
            "{writes} writes, {done} acknowledged, {reads} reads, {} changes, {terms} terms",
            seen.ledger.len()
        ));
        self.trace.note(format_args!("in the log: {:?}", seen.log.tally()));
        if done == 0 || reads == 0 {
            self.trace.fail("nothing was done at all");
        }
    }
}

impl Seen {
    /// Each change of a key names the one before it.
    fn chains(&self) -> Option<String> {
        let mut last = BTreeMap::new();
        for ((revision, key), fact) in &self.ledger {
            let before = last.insert(key, if fact.value.is_some() { *revision } else { 0 }).unwrap_or(0);
            if before != fact.before {
                return Some(format!("the change {revision} of {key} {fact:?} follows {before}"));
            }
        }
        None
    }

    fn wrong_write(&self) -> Option<String> {
        let mut places: BTreeMap<&str, u64> = BTreeMap::new();
        for ((revision, key), fact) in &self.ledger {
            let Some(value) = &fact.value else { continue };
            // A key that is unlocked when its session ends keeps its value.
            if self.ledger.get(&(fact.before, key.clone())).is_some_and(|before| before.value == fact.value) {
                continue;
            }
            if let Some(first) = places.insert(value, *revision) {
                return Some(format!("{value} was written at {first} and at {revision}"));
            }
        }
        for (value, (began, fate)) in &self.writes {
            let place = places.get(value.as_str()).copied();
            let wrong = match (fate, place) {
                (Fate::Done(revision), _) => place != Some(*revision) || revision <= began,
                (Fate::Refused, _) => place.is_some(),
                (Fate::Unknown, place) => place.is_some_and(|place| place <= *began),
            };
            if wrong {
                return Some(format!("the write of {value}, which began after {began}: {fate:?}, but is at {place:?}"));
            }
        }
        let not_deleted =
            |(key, at): &&(String, u64)| self.ledger.get(&(*at, key.clone())).is_none_or(|fact| fact.value.is_some());
        self.deletions.iter().find(not_deleted).map(|(key, at)| format!("{key} was not deleted at {at}"))
    }

    fn wrong_read(&self) -> Option<String> {
        let mut by_key: BTreeMap<&str, Vec<(u64, Option<&str>)>> = BTreeMap::new();
        for ((revision, key), fact) in &self.ledger {
            by_key.entry(key).or_default().push((*revision, fact.value.as_deref()));
        }
        self.reads.iter().find_map(|read| {
            let changes = by_key.get(read.key.as_str()).map_or(&[][..], Vec::as_slice);
            let last = changes[..changes.partition_point(|(at, _)| *at <= read.at)].last();
            let expected = last.and_then(|(at, value)| Some(((*value)?.to_owned(), *at)));
            (expected != read.found).then(|| format!("{read:?}, but the log says {expected:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(at: u64, before: u64, value: Option<&str>) -> ((u64, String), Fact) {
        ((at, "k".into()), Fact { before, value: value.map(Into::into) })
    }

    /// Two writes of one key, acknowledged, and the rules after `change`.
    fn broken(change: impl FnOnce(&Check)) -> Option<String> {
        let check = Check::new(Arc::new(Trace::new()));
        check.seen().ledger.extend([fact(5, 0, Some("a")), fact(9, 5, Some("b"))]);
        for (value, at) in [("a", 5), ("b", 9)] {
            let began = check.begin();
            check.write_began(value);
            check.end(began, at, true, "put");
            check.write_ended(value, Fate::Done(at));
        }
        check.seen().reads.push(Read { key: "k".into(), at: 9, found: Some(("b".into(), 9)) });
        change(&check);
        check.settle();
        check.trace.broken()
    }

    fn reads(at: u64, found: Option<(&str, u64)>) -> impl FnOnce(&Check) {
        let found = found.map(|(value, revision)| (value.to_owned(), revision));
        move |check| check.seen().reads.push(Read { key: "k".into(), at, found })
    }

    #[tokio::test]
    async fn a_history_in_order_passes() {
        assert_eq!(broken(|_| ()), None);
        assert_eq!(broken(reads(8, Some(("a", 5)))), None);
        assert_eq!(broken(reads(4, None)), None);
    }

    #[tokio::test]
    async fn each_rule_can_be_broken() {
        assert!(broken(reads(8, None)).is_some(), "it misses a write");
        assert!(broken(reads(8, Some(("b", 9)))).is_some(), "it is ahead of its place");
        assert!(broken(|check| check.end(check.begin(), 8, false, "get")).is_some(), "a read goes back");
        assert!(broken(|check| check.end(check.begin(), 9, true, "put")).is_some(), "two writes at one place");
        assert!(
            broken(|check| drop(check.seen().ledger.remove(&(9, "k".into())))).is_some(),
            "an acknowledged write is lost"
        );
        assert!(broken(|check| drop(check.seen().ledger.remove(&(5, "k".into())))).is_some(), "a change is missing");
        assert!(broken(|check| check.write_ended("b", Fate::Refused)).is_some(), "a refused write is there");
        let twice = |check: &Check| check.seen().ledger.extend([fact(12, 9, Some("a"))]);
        assert!(broken(twice).is_some(), "a write is done twice");
        let early = |check: &Check| check.seen().writes.extend([("b".into(), (9, Fate::Done(9)))]);
        assert!(broken(early).is_some(), "a write stands before what was done when it began");
        assert!(broken(|check| check.deleted("k", 7)).is_some(), "a deletion is lost");
        let two = |check: &Check| (1..=2).for_each(|id| check.leads(3, id));
        assert!(broken(two).is_some(), "two leaders in a term");
    }
}
