//! Health, lifecycle and the operator's word.

use super::writer::Writer;
use crate::command::{Outcome, Rejection, Reply, Report, SetOverride};
use crate::model::limits::CHECKS_MAX;
use crate::model::{Check, fold};

impl Writer<'_> {
    pub(super) fn report(&mut self, command: &Report) -> Reply {
        let before = self.find(&command.key)?;
        if let (Some(asking), Some(owner)) = (command.session, before.session)
            && asking != owner
        {
            return Err(Rejection::InstanceOwned { id: before.id.to_string(), session: owner });
        }
        let mut after = (*before).clone();
        after.lifecycle = command.lifecycle.unwrap_or(before.lifecycle);
        let registration = after.lifecycle != before.lifecycle;
        let checks = self.merge_checks(&before.checks, &command.checks)?;
        if checks.is_none() && !registration {
            return Ok(Outcome::Reported);
        }
        if let Some(checks) = checks {
            after.checks = checks;
            // Both indexes move when both sides changed.
            self.state.meta.checks_revision = self.revision();
        }
        if registration {
            after.modify_revision = self.revision();
        }
        self.store_instance(after, registration);
        Ok(Outcome::Reported)
    }

    /// The checks after replacing those of the same id; `None` if nothing differs.
    pub(super) fn merge_checks(&self, old: &[Check], new: &[Check]) -> Result<Option<Box<[Check]>>, Rejection> {
        let (revision, time_ms) = (self.revision(), self.time_ms());
        let mut merged = old.to_vec();
        let mut differs = false;
        for check in new {
            let mut check = check.clone();
            (check.create_revision, check.modify_revision, check.changed_ms) = (revision, revision, time_ms);
            let folded = fold(&check.id);
            match merged.binary_search_by(|c| fold(&c.id).cmp(&folded)) {
                Ok(at) if merged[at].same_content(&check) => {}
                Ok(at) => {
                    check.create_revision = merged[at].create_revision;
                    if check.health == merged[at].health {
                        check.changed_ms = merged[at].changed_ms;
                    }
                    merged[at] = check;
                    differs = true;
                }
                Err(at) => {
                    merged.insert(at, check);
                    differs = true;
                }
            }
        }
        if merged.len() > CHECKS_MAX {
            return Err(Rejection::QuotaExceeded(format!("{} checks, at most {CHECKS_MAX} are allowed", merged.len())));
        }
        Ok(differs.then(|| merged.into()))
    }

    pub(super) fn set_override(&mut self, command: &SetOverride) -> Reply {
        let before = self.find(&command.key)?;
        if before.overriding() != command.overriding.as_ref() {
            let mut after = (*before).clone();
            let mut extra = after.extra.take().map(|e| *e).unwrap_or_default();
            extra.overriding = command.overriding.clone();
            after.extra = (extra != Default::default()).then(|| Box::new(extra));
            after.modify_revision = self.revision();
            self.store_instance(after, true);
        }
        Ok(Outcome::Overridden(command.overriding.clone()))
    }
}
