//! What runs out of time. The leader proposes; here everything is checked once more against the state and the
//! record's time, because the log may have moved on since.

use super::writer::Writer;
use crate::command::{Expire, Outcome, Reply, SetOverride};

impl Writer<'_> {
    pub(super) fn expire(&mut self, command: &Expire, term: u64) -> Reply {
        let mut gone = 0;
        // A leader of an older term cannot know which sessions were renewed since: it must not end a live one.
        if command.term == term {
            for (id, create_revision) in &command.sessions {
                if self.state.session(id).is_some_and(|s| s.create_revision == *create_revision) {
                    self.end_session(id);
                    gone += 1;
                }
            }
        }
        let now_ms = self.time_ms();
        for key in &command.keys {
            if self.state.kv(key).is_some_and(|e| e.expire_ms.is_some_and(|at| at <= now_ms)) {
                self.remove_kv(key);
                gone += 1;
            }
        }
        for key in &command.overrides {
            let word = self.state.instance(key).and_then(|i| i.overriding().cloned());
            if word.is_some_and(|w| w.expire_ms.is_some_and(|at| at <= now_ms)) {
                self.set_override(&SetOverride { key: key.clone(), overriding: None })?;
                gone += 1;
            }
        }
        Ok(Outcome::Expired(gone))
    }
}
