//! Proposes the end of what has run out of time: sessions, keys, overrides. Only the leader does, and the state machine
//! checks everything again.

use super::Core;
use super::lease::Due;
use crate::command::{Command, Expire, Report};
use crate::model::{Check, Health, InstanceKey, SessionId};
use crate::watch::Topic;
use std::time::Duration;
use tracing::{error, info, warn};

/// Objects ended by one log entry, at most.
const BATCH: usize = 1_000;
/// How long to sleep when nothing is due: long, because every change of the times wakes the loop.
const IDLE: Duration = Duration::from_secs(3600);
/// How long changes of sessions are gathered before the leases are compared with them.
const TRACK_EVERY: Duration = Duration::from_millis(100);
/// How long to wait after a failed proposal.
const RETRY: Duration = Duration::from_millis(200);
/// Check that marks instances of a session that the brake holds.
const LEASE_CHECK: &str = "lictor:lease";

impl Core {
    /// Runs until this server stops.
    pub async fn run_expiry(self) {
        let mut sessions = self.inner.hub.subscribe(Topic::Sessions);
        let mut status = self.inner.raft.subscribe_status();
        let mut term = None;
        loop {
            let leadership = self.inner.raft.leadership();
            if leadership.leads && term != Some(leadership.term) {
                term = Some(leadership.term);
                let state = self.inner.raft.state();
                self.inner.leases.begin(state.sessions().map(|s| &**s));
            }
            let pause = match leadership.leads {
                true => self.expire_due(leadership.term).await,
                false => IDLE,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Other servers may have created some.
                _ = sessions.changed(), if leadership.leads => {
                    let state = self.inner.raft.state();
                    self.inner.leases.track_new(state.sessions().map(|s| &**s));
                    tokio::time::sleep(TRACK_EVERY).await;
                }
                () = self.inner.leases.changed() => {}
                changed = status.changed() => if changed.is_err() { return },
                () = self.drained() => return,
            }
        }
    }

    /// Ends what is due and returns how long there is nothing to do.
    pub(super) async fn expire_due(&self, term: u64) -> Duration {
        let due = self.inner.leases.due();
        self.mark(&due).await;
        let state = self.inner.raft.state();
        let now_ms = self.inner.clock.now_ms();
        let sessions = due.expire.iter().filter_map(|id| state.session(id)).map(|s| (s.id, s.create_revision));
        let expire = Expire {
            term,
            sessions: sessions.collect(),
            keys: state.expired_keys(now_ms, BATCH),
            overrides: state.expired_overrides(now_ms, BATCH),
        };
        let nothing = expire.sessions.is_empty() && expire.keys.is_empty() && expire.overrides.is_empty();
        if !nothing {
            let counts = (expire.sessions.len(), expire.keys.len(), expire.overrides.len());
            if let Err(reason) = self.propose(None, Command::Expire(expire)).await {
                warn!(%reason, "cannot end what has expired, trying again");
                for session in due.expire.iter().filter_map(|id| state.session(id)) {
                    self.inner.leases.track(session.id, RETRY.as_millis() as u64, session.grace_ms);
                }
                return RETRY;
            }
            info!(sessions = counts.0, keys = counts.1, overrides = counts.2, "expired");
            metrics::counter!("lictor_sessions_expired_total").increment(counts.0 as u64);
        }
        self.pause()
    }

    fn pause(&self) -> Duration {
        let leases = self.inner.leases.next_ms();
        let now_ms = self.inner.clock.now_ms();
        let state = self.inner.raft.state().next_expiry_ms().map(|at| at.saturating_sub(now_ms));
        leases.into_iter().chain(state).min().map_or(IDLE, Duration::from_millis).min(IDLE)
    }

    /// Warns on the instances of held sessions, and takes the warning back.
    async fn mark(&self, due: &Due) {
        if !due.held.is_empty() {
            error!(sessions = due.held.len(), "too many sessions would expire at once: they are held back");
        }
        let held = "no heartbeat; expiry is held back because too many sessions are silent at once";
        for (sessions, health, output) in
            [(&due.held, Health::Warning, held), (&due.recovered, Health::Passing, "heartbeat is back")]
        {
            metrics::counter!("lictor_sessions_held_total", "health" => health.as_str())
                .increment(sessions.len() as u64);
            for session in sessions {
                self.mark_instances(session, health, output).await;
            }
        }
    }

    async fn mark_instances(&self, session: &SessionId, health: Health, output: &str) {
        let keys: Vec<InstanceKey> = self.inner.raft.state().instances_of(session).map(|i| i.key()).collect();
        for key in keys {
            let check = Check { id: LEASE_CHECK.into(), name: "Lease".into(), health, ..Check::default() };
            let checks = vec![Check { output: output.into(), ..check }];
            let report = Report { key, checks, lifecycle: None, session: None };
            if let Err(reason) = self.report(None, report).await {
                warn!(%reason, "cannot mark an instance of a silent session");
            }
        }
    }
}
