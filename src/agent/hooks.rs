//! What the HTTP API and signals may ask of the process, wired by whoever starts it.

use futures::future::BoxFuture;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The callbacks; until one is set, asking for it is refused.
#[derive(Clone, Default)]
pub struct Hooks {
    reload: Arc<Mutex<Option<Reload>>>,
}

impl Hooks {
    /// Sets what reloads the configuration. Its error is shown to whoever asked.
    pub fn on_reload(&self, reload: impl Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static) {
        // The value is whole after every statement, so a panic elsewhere cannot have broken it.
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(reload));
    }

    /// Reloads the configuration.
    ///
    /// # Errors
    /// What is wrong with it; the old one stays.
    pub async fn reload(&self) -> Result<(), String> {
        let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match reload {
            Some(reload) => reload().await,
            None => Err("this agent cannot reload its configuration".to_owned()),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
