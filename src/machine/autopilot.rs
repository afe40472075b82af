//! The autopilot configuration: one value.

use super::change::What;
use super::state::State;
use super::writer::Writer;
use crate::command::{Outcome, Reply, SetAutopilot};
use crate::model::Autopilot;
use std::sync::Arc;

impl State {
    /// The autopilot configuration, if one was ever set.
    pub fn autopilot(&self) -> Option<&Arc<Autopilot>> {
        self.autopilot.as_ref()
    }
}

impl Writer<'_> {
    pub(super) fn set_autopilot(&mut self, command: &SetAutopilot) -> Reply {
        let before = self.state.autopilot.clone();
        let current = before.as_ref().map_or(0, |a| a.modify_revision);
        if command.expected_revision.is_some_and(|expected| expected != current) {
            return Ok(Outcome::AutopilotSet(false));
        }
        let revision = self.revision();
        let create_revision = before.as_ref().map_or(revision, |a| a.create_revision);
        self.store_autopilot(Autopilot { create_revision, modify_revision: revision, ..command.autopilot.clone() });
        Ok(Outcome::AutopilotSet(true))
    }

    pub(super) fn store_autopilot(&mut self, autopilot: Autopilot) {
        let after = Arc::new(autopilot);
        self.state.autopilot = Some(after.clone());
        self.changed(What::Autopilot(after));
    }
}
