//! Properties of apply under random commands: a plain twin agrees, rows hold everything, refusals change nothing,
//! retries have no second effect. And the verbs one by one, where a sentence of the API says how they behave.

mod bound;
mod properties;
mod restore;
mod verbs;

use super::*;
use crate::command::{Outcome, Rejection};
use crate::model::{InstanceKey, ServiceKey};
use rows::RowOp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A state with its log position and its rows, as a server has them.
#[derive(Default)]
struct Server {
    state: State,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    time_ms: u64,
}

impl Server {
    fn apply(&mut self, command: Command) -> Applied {
        self.apply_as(None, command)
    }

    fn apply_as(&mut self, request_id: Option<Uuid>, command: Command) -> Applied {
        let record = Record { time_ms: self.time_ms, request_id, command };
        let revision = self.state.revision() + 1;
        let applied = apply(&mut self.state, revision, 1, &record);
        for RowOp { table, key, value } in rows::of_changes(&self.state, &applied.changes).0 {
            match value {
                Some(value) => self.rows.insert((table, key), value),
                None => self.rows.remove(&(table, key)),
            };
        }
        applied
    }

    fn ok(&mut self, command: Command) -> Outcome {
        self.apply(command).reply.expect("the command is accepted")
    }

    fn err(&mut self, command: Command) -> Rejection {
        self.apply(command).reply.expect_err("the command is refused")
    }

    fn reloaded(&self) -> State {
        let mut loader = rows::Loader::new();
        for ((table, key), value) in &self.rows {
            loader.push(*table, key, value).expect("a row that was written can be read");
        }
        loader.finish().state
    }
}

fn key(service: &str, node: &str, id: &str) -> InstanceKey {
    InstanceKey { service: ServiceKey::of(service), node: node.into(), id: id.into() }
}
