//! How a client asks: any server, once or until it knows what became of it.

use super::world::{Life, World};
use crate::clock::Generator;
use crate::command::{Command, Reply};
use crate::model::RequestId;
use crate::raft::{Barrier, ProposeError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it waits before it asks again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Caller {
    pub(super) world: Arc<World>,
    pub(super) name: String,
    pub(super) dice: Generator,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is in the log at this place, and this came of it.
    Done(u64, Reply),
    /// It is not in the log, and never will be.
    Refused,
    /// It may be there or not.
    Unknown,
}

impl Caller {
    pub(super) fn note(&self, what: impl std::fmt::Display) {
        self.world.trace.note(format_args!("{} {what}", self.name));
    }

    pub(super) fn closing(&self) -> bool {
        self.world.closing.is_cancelled()
    }

    /// Time between two operations.
    pub(super) async fn rest(&mut self) {
        let pause_ms = self.dice.below(60);
        sleep(Duration::from_millis(pause_ms)).await;
    }

    pub(super) fn server(&mut self) -> Option<(usize, Life)> {
        let mut lives = self.world.lives();
        match lives.len() as u64 {
            0 => None,
            n => Some(lives.swap_remove(self.dice.below(n) as usize)),
        }
    }

    /// Asks for a write; one that `insists` asks until it knows what became of it, or the run closes.
    pub(super) async fn ask(&mut self, command: &Command, insists: bool) -> Answer {
        let has_id = insists || self.dice.below(2) == 0;
        let request_id = has_id.then(|| RequestId::from_u128(u128::from(self.dice.below(u64::MAX))));
        let began = self.world.check.begin();
        let mut unknown = false;
        loop {
            match self.attempt(request_id, command).await {
                Answer::Done(at, reply) => {
                    self.world.check.end(began, at, true, command.op());
                    return Answer::Done(at, reply);
                }
                Answer::Unknown => unknown = true,
                Answer::Refused => {}
            }
            if !insists || self.closing() {
                // The second attempt says nothing of the first.
                return if unknown { Answer::Unknown } else { Answer::Refused };
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks for a write, once and without an identity: if it is done, then at the place of the answer.
    pub(super) async fn ask_once(&mut self, command: &Command) -> Answer {
        let began = self.world.check.begin();
        let answer = self.attempt(None, command).await;
        if let Answer::Done(at, _) = answer {
            self.world.check.end(began, at, true, command.op());
        }
        answer
    }

    /// One attempt at one server.
    async fn attempt(&mut self, request_id: Option<RequestId>, command: &Command) -> Answer {
        let Some((at, life)) = self.server() else {
            self.note("finds nobody");
            return Answer::Refused;
        };
        self.note(format_args!("asks s{at} for {command:?}"));
        let asked = async { timeout(PATIENCE, life.handle.propose(request_id, command.clone())).await };
        let answer = tokio::select! {
            biased;
            () = life.over.cancelled() => {
                self.note(format_args!("was cut off: s{at} is gone"));
                return Answer::Unknown;
            }
            answer = asked => answer,
        };
        match answer {
            Ok(Ok((at, reply))) => {
                self.note(format_args!("has at {at}: {reply:?}"));
                self.world.check.answered(at, request_id, command, &reply);
                Answer::Done(at, reply)
            }
            Err(_) => {
                self.note("runs out of patience");
                Answer::Unknown
            }
            Ok(Err(error @ (ProposeError::OutcomeUnknown | ProposeError::Fatal(_)))) => {
                self.note(format_args!("cannot tell: {error}"));
                Answer::Unknown
            }
            Ok(Err(error)) => {
                self.note(format_args!("is refused: {error}"));
                Answer::Refused
            }
        }
    }

    /// A server whose state is as fresh as asked, if it can say so, and how far everybody was before.
    pub(super) async fn reader(&mut self, level: Barrier) -> Option<(usize, Life, u64)> {
        let (server, life) = self.server()?;
        let began = self.world.check.begin();
        let fresh = tokio::select! {
            biased;
            () = life.over.cancelled() => return None,
            fresh = timeout(PATIENCE, life.handle.barrier(level)) => fresh,
        };
        match fresh {
            Ok(Ok(())) => Some((server, life, began)),
            Ok(Err(error)) => {
                self.note(format_args!("reads nothing at s{server}: {error}"));
                None
            }
            Err(_) => None,
        }
    }
}
