//! Questions that an agent passes on to this server, one at a time.

use super::options::LiveOptions;
use super::recursor::Forwarder;
use super::responder::{Outcome, Responder, Transport};
use super::reverse::ReverseTree;
use super::zone::{Identity, Zone};
use crate::service::Core;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Answers messages of DNS as this server's own listeners do.
pub struct Asked {
    core: Core,
    /// One for all: a reply takes microseconds.
    responder: Mutex<Responder>,
    forwarder: Arc<Forwarder>,
    _stop: DropGuard,
}

impl Asked {
    /// Needs a tokio runtime around it.
    ///
    /// # Errors
    /// If a domain or the data center is no name in DNS.
    pub fn new(core: &Core, options: &LiveOptions) -> io::Result<Asked> {
        let now = (**options.subscribe().borrow()).clone();
        let zone = Zone::new(&Identity::of(core.facts()), now);
        let zone = Arc::new(zone.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?);
        let reverse = Arc::new(ReverseTree::default());
        let responder = || {
            let seed = core.clock().uuid().as_u64_pair().0;
            Responder::new(zone.clone(), options, reverse.clone(), seed)
        };
        let states = core.clone();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let forwarder = Forwarder::new(
            responder(),
            Arc::new(move || states.local().state),
            options.subscribe(),
            core.clock().clone(),
            tasks,
            stop.clone(),
            None,
        );
        Ok(Asked { core: core.clone(), responder: Mutex::new(responder()), forwarder, _stop: stop.drop_guard() })
    }

    /// The reply to a message; empty if it deserves none.
    pub async fn answer(&self, message: &[u8], tcp: bool) -> Vec<u8> {
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let mut reply = Vec::new();
        let outcome = {
            let state = self.core.local().state;
            // A panic under the lock cannot leave a responder that lies: its cache entries are whole or not there.
            let mut responder = self.responder.lock().unwrap_or_else(PoisonError::into_inner);
            responder.respond(&state, message, transport, &mut reply)
        };
        match outcome {
            Outcome::Done => reply,
            Outcome::Later(forward) => self.forwarder.answer(message, forward, transport).await,
        }
    }
}
