//! The one place where a failure that must stop the node is reported. The first report wins: it names the cause, the
//! later ones are its consequences.

use tokio::sync::watch;

/// Tells the composition root that this node must stop, and why. Clones share one report.
#[derive(Clone, Debug)]
pub struct Fatal {
    report: watch::Sender<Option<String>>,
}

impl Default for Fatal {
    fn default() -> Fatal {
        Fatal::new()
    }
}

impl Fatal {
    /// Nothing has failed yet.
    pub fn new() -> Fatal {
        Fatal { report: watch::Sender::new(None) }
    }

    /// Reports a failure after which nothing may be acknowledged any more.
    pub fn report(&self, message: impl Into<String>) {
        let message = message.into();
        self.report.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                tracing::error!("{message}");
                *current = Some(message);
            }
            first
        });
    }

    /// What was reported, if anything.
    pub fn message(&self) -> Option<String> {
        self.report.borrow().clone()
    }

    /// Resolves with the message when a failure is reported.
    pub async fn wait(&self) -> String {
        let mut receiver = self.report.subscribe();
        let message = receiver.wait_for(Option::is_some).await.ok().and_then(|message| message.clone());
        match message {
            Some(message) => message,
            // The sender is `self`, so it outlives the wait.
            None => std::future::pending().await,
        }
    }
}
