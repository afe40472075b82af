//! Reload: the files are read again, and what may change in a running agent changes.

use super::entrances::{self, Entrances};
use super::options;
use crate::agent::{Agent, Watches};
use crate::client::Servers;
use crate::clock::Clock;
use crate::config::{AgentFlags, Config, LogLevel, Notice};
use crate::monitor::Monitor;
use crate::service::Core;
use crate::{dns, http};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tracing::{debug, error, info, warn};

/// What the agent needs of whoever started it.
pub struct Started {
    /// The command line: its files are read again, and its settings still win.
    pub flags: AgentFlags,
    /// Changes the level of the log.
    pub set_log_level: Box<dyn Fn(LogLevel) + Send + Sync>,
    /// The log for those who listen.
    pub monitor: Monitor,
}

/// Reads the configuration again on demand, one at a time.
pub(super) struct Reloader {
    config: Mutex<Config>,
    started: Started,
    clock: Clock,
    agent: Agent,
    live: Live,
    watches: Watches,
}

/// What is told of new settings while it runs.
pub(super) struct Live {
    pub(super) dns: dns::LiveOptions,
    pub(super) limits: http::LiveLimits,
    pub(super) entrances: Entrances,
    within: Within,
}

/// What this process bounds besides connections.
pub(super) enum Within {
    /// The state is here.
    Server(Core),
    /// Servers are asked.
    Client(Servers),
}

impl From<Core> for Within {
    fn from(core: Core) -> Within {
        Within::Server(core)
    }
}

impl From<Servers> for Within {
    fn from(servers: Servers) -> Within {
        Within::Client(servers)
    }
}

impl Live {
    /// With the settings to begin with.
    pub(super) fn of(config: &Config, entrances: Entrances, within: impl Into<Within>) -> Live {
        Live {
            dns: dns::LiveOptions::new(options::dns(&config.dns)),
            limits: http::LiveLimits::new(options::limits(&config.limits)),
            entrances,
            within: within.into(),
        }
    }

    fn set(&self, config: &Config) {
        self.dns.set(options::dns(&config.dns));
        self.limits.set(options::limits(&config.limits));
        self.entrances.set(&config.limits);
        match &self.within {
            Within::Server(core) => core.admission().set(entrances::bounds(&config.limits)),
            Within::Client(servers) => servers.set_rate(config.limits.rpc_rate, config.limits.rpc_max_burst),
        }
    }
}

impl Reloader {
    /// A reloader of what runs with `config`.
    pub(super) fn new(
        config: Config,
        started: Started,
        clock: Clock,
        agent: Agent,
        live: Live,
        watches: Watches,
    ) -> Arc<Reloader> {
        Arc::new(Reloader { config: Mutex::new(config), started, clock, agent, live, watches })
    }

    /// Reads the files again and applies what may change.
    ///
    /// # Errors
    /// What is wrong with the files; nothing has changed then.
    pub(super) async fn reload(&self) -> Result<(), String> {
        info!("reloading the configuration");
        let mut config = self.config.lock().await;
        let new = self.read(&config).await;
        let new = new.inspect_err(|reason| error!(%reason, "the new configuration is not used"))?;
        self.agent.set_node_meta(new.node_meta.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        self.live.set(&new);
        if new.watches != config.watches {
            self.watches.set(&new.watches);
        }
        (self.started.set_log_level)(new.log.level);
        for notice in &new.notices {
            write(notice);
        }
        *config = new;
        info!("the configuration was reloaded");
        Ok(())
    }

    /// The new configuration, whose definitions the agent has taken: those may still be wrong.
    async fn read(&self, config: &Config) -> Result<Config, String> {
        let new = config.reload(&self.started.flags, &self.clock).map_err(|e| e.to_string())?;
        // Before the definitions, which may need them.
        self.agent.set(options::agent(&new));
        let loaded = self.agent.load(new.definitions.clone()).await;
        loaded.inspect_err(|_| self.agent.set(options::agent(config))).map_err(|e| e.to_string())?;
        Ok(new)
    }

    /// Reloads on SIGHUP and on demand until the process drains.
    pub(super) async fn run(self: Arc<Self>) {
        let asked = self.clone();
        self.agent.hooks().on_reload(move || {
            let reloader = asked.clone();
            Box::pin(async move { reloader.reload().await })
        });
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                warn!(%error, "SIGHUP cannot be listened for: use the HTTP API to reload");
                return self.agent.drained().await;
            }
        };
        loop {
            tokio::select! {
                // The reason of a failure is logged where it is found.
                Some(()) = hangup.recv() => { let _ = self.reload().await; }
                () = self.agent.drained() => return,
            }
        }
    }
}

fn write(notice: &Notice) {
    match notice.level {
        LogLevel::Trace | LogLevel::Debug => debug!("{}", notice.text),
        LogLevel::Info => info!("{}", notice.text),
        LogLevel::Warn => warn!("{}", notice.text),
        LogLevel::Error => error!("{}", notice.text),
    }
}
