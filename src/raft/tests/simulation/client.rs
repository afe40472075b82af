//! Clients: they write, compare and set, delete and read a few keys at any server, and remember what they were told.

use super::check::Fate;
use super::world::{Life, World};
use crate::clock::Generator;
use crate::command::{Command, Delete, Outcome, Put, Target};
use crate::model::RequestId;
use crate::raft::{Barrier, ProposeError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const KEYS: u64 = 4;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

struct Client {
    world: Arc<World>,
    name: String,
    dice: Generator,
    written: u64,
    /// By key: the revision that this client saw last.
    known: BTreeMap<String, u64>,
}

/// What became of a write.
enum Answer {
    Done(u64),
    /// It was not done, and this is where that was decided.
    Missed(u64),
    Refused(String),
    Unknown(String),
}

/// Works until the run closes.
pub(super) async fn run(world: Arc<World>, number: u64) {
    let dice = world.dice(100 + number);
    let mut client = Client { world, name: format!("c{number}"), dice, written: 0, known: BTreeMap::new() };
    while !client.world.closing.is_cancelled() {
        let pause_ms = client.dice.below(60);
        sleep(Duration::from_millis(pause_ms)).await;
        let key = format!("k{}", client.dice.below(KEYS));
        match client.dice.below(20) {
            0..=4 => client.put(&key, None, false).await,
            5..=7 => client.put(&key, None, true).await,
            8..=10 => {
                let expected = client.known.get(&key).copied().unwrap_or(0);
                client.put(&key, Some(expected), false).await;
            }
            11 | 12 => {
                let expected = client.known.get(&key).copied().unwrap_or(0);
                client.put(&key, Some(expected), true).await;
            }
            13 => client.delete(&key).await,
            14..=16 => client.read(&key, Barrier::Lease).await,
            _ => client.read(&key, Barrier::Linearizable).await,
        }
    }
}

impl Client {
    fn note(&self, what: impl std::fmt::Display) {
        self.world.trace.note(format_args!("{} {what}", self.name));
    }

    fn server(&mut self) -> Option<(usize, Life)> {
        let mut lives = self.world.lives();
        match lives.len() as u64 {
            0 => None,
            n => Some(lives.swap_remove(self.dice.below(n) as usize)),
        }
    }

    async fn put(&mut self, key: &str, expected: Option<u64>, insists: bool) {
        self.written += 1;
        let value = format!("{}-{}", self.name, self.written);
        let has_id = insists || self.dice.below(2) == 0;
        let request_id = has_id.then(|| RequestId::from_u128(u128::from(self.dice.below(u64::MAX))));
        let put = Put {
            key: key.to_owned().into(),
            value: value.clone().into(),
            expected_revision: expected,
            ..Put::default()
        };
        let began = self.world.check.begin();
        self.world.check.write_began(&value, began);
        let mut unknown = false;
        loop {
            let answer = self.propose(request_id, Command::Put(put.clone())).await;
            let closing = self.world.closing.is_cancelled();
            match answer {
                Answer::Done(at) => {
                    self.note(format_args!("{key} = {value} at {at}"));
                    self.world.check.end(began, at, true, &value);
                    self.known.insert(key.to_owned(), at);
                    return self.world.check.write_ended(&value, Fate::Done(at));
                }
                Answer::Missed(at) => {
                    self.note(format_args!("{key} = {value} if {expected:?} missed at {at}"));
                    self.world.check.end(began, at, false, &value);
                    return self.world.check.write_ended(&value, Fate::Refused);
                }
                // The second attempt says nothing of the first.
                Answer::Refused(why) if !unknown => {
                    self.note(format_args!("{key} = {value} refused: {why}"));
                    if !insists || closing {
                        return self.world.check.write_ended(&value, Fate::Refused);
                    }
                }
                Answer::Refused(why) | Answer::Unknown(why) => {
                    self.note(format_args!("{key} = {value} unknown: {why}"));
                    unknown = true;
                    if !insists || closing {
                        return;
                    }
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn delete(&mut self, key: &str) {
        let began = self.world.check.begin();
        let delete = Delete { target: Target::Key(key.to_owned().into()), expected_revision: None };
        match self.propose(None, Command::Delete(delete)).await {
            Answer::Done(at) => {
                self.note(format_args!("{key} deleted at {at}"));
                self.world.check.end(began, at, true, "a deletion");
                self.world.check.deleted(key, at);
            }
            Answer::Missed(at) => self.world.check.end(began, at, false, "a deletion of nothing"),
            Answer::Refused(why) | Answer::Unknown(why) => self.note(format_args!("{key} not deleted: {why}")),
        }
    }

    /// One attempt at one server.
    async fn propose(&mut self, request_id: Option<RequestId>, command: Command) -> Answer {
        let Some((at, life)) = self.server() else { return Answer::Refused("nobody is up".into()) };
        self.note(format_args!("asks s{at} for {command:?}"));
        let asked = async { timeout(PATIENCE, life.handle.propose(request_id, command)).await };
        let answer = tokio::select! {
            biased;
            () = life.over.cancelled() => return Answer::Unknown("the server died".into()),
            answer = asked => answer,
        };
        match answer {
            Err(_) => Answer::Unknown("patience ran out".into()),
            Ok(Ok((_, Ok(Outcome::Put { done: true, kv: Some(kv), .. })))) => Answer::Done(kv.modify_revision),
            Ok(Ok((at, Ok(Outcome::Deleted(gone))))) if gone.is_empty() => Answer::Missed(at),
            Ok(Ok((at, Ok(Outcome::Deleted(_))))) => Answer::Done(at),
            Ok(Ok((at, Err(_)))) => Answer::Missed(at),
            Ok(Ok((at, Ok(other)))) => {
                self.world.trace.fail(format_args!("a strange answer at {at}: {other:?}"));
                Answer::Unknown("strange".into())
            }
            Ok(Err(error @ (ProposeError::OutcomeUnknown | ProposeError::Fatal(_)))) => {
                Answer::Unknown(error.to_string())
            }
            Ok(Err(error)) => Answer::Refused(error.to_string()),
        }
    }

    async fn read(&mut self, key: &str, level: Barrier) {
        let Some((server, life)) = self.server() else { return };
        let began = self.world.check.begin();
        let fresh = tokio::select! {
            biased;
            () = life.over.cancelled() => return,
            fresh = timeout(PATIENCE, life.handle.barrier(level)) => fresh,
        };
        if let Ok(Err(error)) = &fresh {
            self.note(format_args!("reads nothing at s{server}: {error}"));
        }
        if !matches!(fresh, Ok(Ok(()))) {
            return;
        }
        let state = life.handle.state();
        let found = state.kv(key.as_bytes());
        let at = state.revision();
        let revision = found.map_or(0, |e| e.modify_revision);
        self.note(format_args!("reads {key} at s{server}, {at}, {level:?}: {revision}"));
        self.world.check.end(began, at, false, &format!("a read at s{server}"));
        self.world.check.read(key, at, found.map(|e| &**e));
        self.known.insert(key.to_owned(), revision);
    }
}
