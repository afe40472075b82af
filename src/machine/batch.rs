//! Consul's transaction. Every operation runs and sees what those before it did; each that fails says why, in Consul's
//! words, and one failure undoes everything. The operations on keys are those of `kv`.

use super::catalog::find_check;
use super::register::expect;
use super::writer::Writer;
use crate::command::{
    Batch, BatchFailure, BatchOp, BatchResult, CatalogCheck, CatalogRegister, CatalogVerb, CheckOp, Delete, KvOp,
    KvVerb, LockOp, NodeOp, Outcome, Put, Rejection, Reply, ServiceOp, Target,
};
use crate::model::{Check, Instance, KvEntry, NodeRecord, SessionId, uuid_key};
use bytes::Bytes;
use std::sync::Arc;

/// The results of one operation, or why it failed.
type Done = Result<Vec<BatchResult>, String>;

impl Writer<'_> {
    pub(super) fn batch(&mut self, command: &Batch) -> Reply {
        let delayed = self.delayed_locks(&command.ops);
        if !delayed.is_empty() {
            return Ok(Outcome::Batch { results: Vec::new(), failures: delayed });
        }
        let done = self.atomically(|w| {
            let (mut results, mut failures) = (Vec::new(), Vec::new());
            for (index, op) in command.ops.iter().enumerate() {
                match w.batch_op(op) {
                    Ok(found) => results.extend(found),
                    Err(reason) => failures.push(BatchFailure { index: index as u32, reason }),
                }
            }
            if failures.is_empty() { Ok(results) } else { Err(failures) }
        });
        Ok(match done {
            Ok(results) => Outcome::Batch { results, failures: Vec::new() },
            Err(failures) => Outcome::Batch { results: Vec::new(), failures },
        })
    }

    /// The locks that nobody can have now; with one of them, nothing of the transaction is looked at.
    fn delayed_locks(&self, ops: &[BatchOp]) -> Vec<BatchFailure> {
        let is_delayed = |op: &KvOp| op.verb == KvVerb::Lock && self.state.is_lock_delayed(&op.key);
        let failure = |(index, op): (usize, &BatchOp)| match op {
            BatchOp::Kv(op) if is_delayed(op) => {
                let reason = format!("failed to lock key {:?} due to lock delay", String::from_utf8_lossy(&op.key));
                Some(BatchFailure { index: index as u32, reason })
            }
            _ => None,
        };
        ops.iter().enumerate().filter_map(failure).collect()
    }

    fn batch_op(&mut self, op: &BatchOp) -> Done {
        match op {
            BatchOp::Kv(op) => self.batch_kv(op),
            BatchOp::Node(op) => self.batch_node(op),
            BatchOp::Service(op) => self.batch_service(op),
            BatchOp::Check(op) => self.batch_check(op),
            BatchOp::Unknown(reason) => Err(reason.to_string()),
        }
    }

    fn batch_kv(&mut self, op: &KvOp) -> Done {
        let key = String::from_utf8_lossy(&op.key).into_owned();
        let stale = |what: &str| format!("failed to {what} key {key:?}, index is stale");
        match op.verb {
            KvVerb::Set => self.batch_put(op, None, LockOp::Keep, ""),
            KvVerb::Cas => {
                let current = self.state.kv(&op.key).map_or(0, |e| e.modify_revision);
                expect(Some(op.index), current).map_err(|_| stale("set"))?;
                self.batch_put(op, Some(op.index), LockOp::Keep, "")
            }
            KvVerb::Lock => {
                let session = lock_session(&op.session)?;
                self.batch_put(op, None, LockOp::Acquire(session), "lock is already held")
            }
            KvVerb::Unlock => self.batch_unlock(op),
            KvVerb::Get => Ok(vec![BatchResult::Kv(self.batch_entry(op, "")?)]),
            KvVerb::GetTree => Ok(self.state.kv_prefix(&op.key).cloned().map(BatchResult::Kv).collect()),
            KvVerb::CheckIndex | KvVerb::CheckSession | KvVerb::CheckNotExists => self.batch_condition(op),
            KvVerb::Delete => self.batch_delete(Target::Key(op.key.clone())),
            KvVerb::DeleteTree => self.batch_delete(Target::Prefix(op.key.clone())),
            KvVerb::DeleteCas => {
                if let Some(entry) = self.state.kv(&op.key) {
                    expect(Some(op.index), entry.modify_revision).map_err(|_| stale("delete"))?;
                }
                self.batch_delete(Target::Key(op.key.clone()))
            }
        }
    }

    fn batch_put(&mut self, op: &KvOp, expected_revision: Option<u64>, lock: LockOp, refused: &str) -> Done {
        let (key, value, flags) = (op.key.clone(), op.value.clone(), op.flags);
        let put = Put { key, value, expected_revision, lock, ttl_ms: None, flags };
        match self.put(&put) {
            Ok(Outcome::Put { done: true, kv: Some(entry), .. }) => Ok(vec![BatchResult::Kv(without_value(&entry))]),
            Ok(_) => Err(format!("failed to lock key {:?}, {refused}", String::from_utf8_lossy(&op.key))),
            Err(Rejection::SessionExpired(id)) => Err(format!("invalid session \"{id}\"")),
            Err(rejection) => Err(rejection.to_string()),
        }
    }

    fn batch_unlock(&mut self, op: &KvOp) -> Done {
        if op.session.is_empty() {
            return Err("missing session".to_owned());
        }
        let key = String::from_utf8_lossy(&op.key).into_owned();
        let refused = || format!("failed to unlock key {key:?}, lock isn't held, or is held by another session");
        let holder = self.state.kv(&op.key).and_then(|e| e.session).ok_or_else(refused)?;
        if parse_session(&op.session) != Some(holder) {
            return Err(refused());
        }
        self.batch_put(op, None, LockOp::Release(holder), "")
    }

    fn batch_delete(&mut self, target: Target) -> Done {
        match self.delete(&Delete { target, expected_revision: None }) {
            Ok(_) => Ok(Vec::new()),
            Err(rejection) => Err(rejection.to_string()),
        }
    }

    fn batch_entry(&self, op: &KvOp, asking: &str) -> Result<Arc<KvEntry>, String> {
        let absent = || format!("{asking}key {:?} doesn't exist", String::from_utf8_lossy(&op.key));
        self.state.kv(&op.key).cloned().ok_or_else(absent)
    }

    fn batch_condition(&self, op: &KvOp) -> Done {
        let key = String::from_utf8_lossy(&op.key);
        let entry = match op.verb {
            KvVerb::CheckNotExists if self.state.kv(&op.key).is_some() => return Err(format!("key {key:?} exists")),
            KvVerb::CheckNotExists => return Ok(Vec::new()),
            KvVerb::CheckIndex => self.batch_entry(op, "failed to check index, ")?,
            _ => self.batch_entry(op, "failed to check session, ")?,
        };
        let held = entry.session.map(|id| id.to_string()).unwrap_or_default();
        if op.verb == KvVerb::CheckIndex && entry.modify_revision != op.index {
            let (current, wanted) = (entry.modify_revision, op.index);
            return Err(format!("failed index check for key {key:?}, current modify index {current} != {wanted}"));
        }
        if op.verb == KvVerb::CheckSession && held != op.session.as_str() {
            let wanted = op.session.as_str();
            return Err(format!("failed session check for key {key:?}, current session {held:?} != {wanted:?}"));
        }
        Ok(vec![BatchResult::Kv(without_value(&entry))])
    }

    fn batch_node(&mut self, op: &NodeOp) -> Done {
        let name = op.node.name.as_str();
        let current = self.state.node(name).map_or(0, |n| n.record.modify_revision);
        let stale = |what: &str| format!("failed to {what} node {name:?}, index is stale");
        match op.verb {
            CatalogVerb::Get => {}
            CatalogVerb::Cas if current != op.index => return Err(stale("set")),
            CatalogVerb::Set | CatalogVerb::Cas => self.batch_set_node(&op.node)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => return Err(stale("delete")),
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.remove_node(name);
                return Ok(Vec::new());
            }
        }
        let found = match op.node.id {
            Some(id) => self.state.nodes().find(|n| n.record.id == Some(id)),
            None => self.state.node(name),
        };
        let record = found.ok_or_else(|| format!("node {name:?} doesn't exist"))?.record.clone();
        Ok(vec![BatchResult::Node(record)])
    }

    fn batch_set_node(&mut self, node: &NodeRecord) -> Result<(), String> {
        self.may_use_node(node).map_err(|rejection| rejection.to_string())?;
        self.upsert_node(&CatalogRegister {
            node: node.clone(),
            skip_node_update: false,
            service: None,
            checks: Vec::new(),
        });
        Ok(())
    }

    fn batch_service(&mut self, op: &ServiceOp) -> Done {
        let (node, id) = (op.service.node.as_str(), op.service.id.as_str());
        let current = self.service_on(node, id).map_or(0, |i| i.modify_revision);
        let stale = |what: &str| format!("failed to {what} service {id:?} on node {node:?}, index is stale");
        match op.verb {
            CatalogVerb::Get => {}
            CatalogVerb::Cas if current != op.index => return Err(stale("set")),
            CatalogVerb::Set | CatalogVerb::Cas => {
                self.require_node(node)?;
                self.upsert_on_node(op.service.clone(), node, &[]).map_err(|rejection| rejection.to_string())?;
            }
            CatalogVerb::DeleteCas if current == 0 || current != op.index => return Err(stale("delete")),
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                if let Some(key) = self.key_on_node(node, id) {
                    self.remove_instance(&key);
                }
                return Ok(Vec::new());
            }
        }
        let absent = || format!("service {id:?} on node {node:?} doesn't exist");
        Ok(vec![BatchResult::Service(self.service_on(node, id).ok_or_else(absent)?)])
    }

    fn service_on(&self, node: &str, id: &str) -> Option<Arc<Instance>> {
        self.state.instance(&self.key_on_node(node, id)?).cloned()
    }

    fn require_node(&self, node: &str) -> Result<(), String> {
        match self.state.node(node) {
            Some(_) => Ok(()),
            None => Err("Missing node registration".to_owned()),
        }
    }

    fn batch_check(&mut self, op: &CheckOp) -> Done {
        let (node, id) = (op.node.as_str(), op.check.id.as_str());
        let current = self.find_check(node, id).map_or(0, |(_, check)| check.modify_revision);
        let stale = |what: &str| format!("failed to {what} check {id:?} on node {node:?}, index is stale");
        match op.verb {
            CatalogVerb::Get => {}
            CatalogVerb::Cas if current != op.index => return Err(stale("set")),
            CatalogVerb::Set | CatalogVerb::Cas => self.batch_set_check(op)?,
            CatalogVerb::DeleteCas if current == 0 || current != op.index => return Err(stale("delete")),
            CatalogVerb::Delete | CatalogVerb::DeleteCas => {
                self.take_check(node, id, None);
                return Ok(Vec::new());
            }
        }
        let absent = || format!("check {id:?} on node {node:?} doesn't exist");
        let (service, check) = self.find_check(node, id).ok_or_else(absent)?;
        let node = self.state.node(node).map_or_else(|| op.node.clone(), |n| n.record.name.clone());
        Ok(vec![BatchResult::Check { node, service, check }])
    }

    fn batch_set_check(&mut self, op: &CheckOp) -> Result<(), String> {
        self.require_node(&op.node)?;
        let missing = || "Missing service registration".to_owned();
        if !op.service_id.is_empty() && self.key_on_node(&op.node, &op.service_id).is_none() {
            return Err(missing());
        }
        let check = CatalogCheck { service_id: op.service_id.clone(), check: op.check.clone() };
        self.upsert_check(&op.node, &check).map_err(|rejection| match rejection {
            Rejection::MissingService(_) => missing(),
            other => other.to_string(),
        })
    }

    /// The check with this id on a node or on any of its services.
    fn find_check(&self, node: &str, id: &str) -> Option<(Option<Arc<Instance>>, Check)> {
        let node = self.state.node(node)?;
        if let Some(check) = find_check(&node.record.checks, id) {
            return Some((None, check.clone()));
        }
        node.instances_with_check(id).find_map(|instance| {
            let instance = self.service_on(&node.record.name, instance)?;
            let check = find_check(&instance.checks, id)?.clone();
            Some((Some(instance), check))
        })
    }
}

fn without_value(entry: &KvEntry) -> Arc<KvEntry> {
    Arc::new(KvEntry { value: Bytes::new(), ..entry.clone() })
}

fn parse_session(text: &str) -> Option<SessionId> {
    SessionId::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// The session that is to hold a key, or Consul's words for what it is instead.
fn lock_session(text: &str) -> Result<SessionId, String> {
    if text.is_empty() {
        return Err("missing session".to_owned());
    }
    let read = uuid_key(text).map_err(|why| format!("failed session lookup: {why}"))?;
    read.ok_or_else(|| format!("invalid session {text:?}"))
}
