//! What is captured: once, and at every interval.

use crate::cli::client::{Client, Request};
use crate::cli::console::{Console, Exit};
use crate::clock::Clock;
use crate::model::go_json::to_json_indented;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// The profiles, as files and endpoints; the last two take as long as the interval.
const PROFILES: [(&str, &str, bool); 4] = [
    ("heap.prof", "/debug/pprof/heap", false),
    ("goroutine.prof", "/debug/pprof/goroutine", false),
    ("profile.prof", "/debug/pprof/profile", true),
    ("trace.out", "/debug/pprof/trace", true),
];

pub(super) struct Capture {
    pub(super) client: Client,
    pub(super) clock: Clock,
    /// The directory, which is there.
    pub(super) output: PathBuf,
    pub(super) targets: Vec<String>,
    pub(super) interval: Duration,
}

impl Capture {
    fn wants(&self, target: &str) -> bool {
        self.targets.iter().any(|t| t == target)
    }

    /// Whether anything is captured at every interval.
    pub(super) fn repeats(&self) -> bool {
        ["metrics", "logs", "pprof"].iter().any(|target| self.wants(target))
    }

    /// What does not change; goes on after a failure, and tells the last.
    pub(super) async fn once(&self) -> Result<(), String> {
        let sources = [
            ("host", self.client.get("/v1/agent/host")),
            ("agent", self.client.get("/v1/agent/self")),
            ("cluster", self.client.get("/v1/agent/members").query("wan", "1")),
        ];
        let mut outcome = Ok(());
        for (target, request) in sources {
            if self.wants(target) {
                let done = document(request, &self.output.join(format!("{target}.json"))).await;
                outcome = done.and(outcome);
            }
        }
        outcome
    }

    /// One interval after the other; never ends by itself.
    pub(super) async fn again_and_again(&self, console: &mut Console<'_>) -> Result<(), Exit> {
        console.line("==> Beginning capture interval (0)")?;
        console.flush()?;
        for count in 1u64.. {
            let at = self.clock.now_ms() / 1000;
            let directory = self.output.join(at.to_string());
            match self.interval(&directory).await {
                Ok(()) => console.line(&format!("==> Capture successful {at} ({count})"))?,
                Err(error) => console.warn(&format!("==> Capture failure {error}")),
            }
            console.flush()?;
        }
        Ok(())
    }

    /// One interval: all that is wanted at the same time, and at least as long as the interval is.
    async fn interval(&self, directory: &Path) -> Result<(), String> {
        std::fs::create_dir_all(directory).map_err(|e| e.to_string())?;
        let metrics = async {
            if !self.wants("metrics") {
                return Ok(());
            }
            document(self.client.get("/v1/agent/metrics"), &directory.join("metrics.json")).await
        };
        let logs = async {
            if !self.wants("logs") {
                return Ok(());
            }
            let path = directory.join("consul.log");
            tokio::time::timeout(self.interval, self.log(&path)).await.unwrap_or(Ok(()))
        };
        let profiles = async { if self.wants("pprof") { self.profiles(directory).await } else { Ok(()) } };
        let (metrics, logs, profiles, ()) = tokio::join!(metrics, logs, profiles, tokio::time::sleep(self.interval));
        metrics.and(logs).and(profiles)
    }

    /// Copies the log until it ends.
    async fn log(&self, path: &Path) -> Result<(), String> {
        let request = self.client.get("/v1/agent/monitor").query("loglevel", "DEBUG");
        let mut reply = request.ok().await.map_err(|e| e.to_string())?;
        let mut file = tokio::fs::File::create(path).await.map_err(|e| e.to_string())?;
        while let Some(piece) = reply.piece().await.map_err(|e| e.to_string())? {
            file.write_all(&piece).await.map_err(|e| e.to_string())?;
            // The copy is cut off at any time; what was read by then is to be there.
            file.flush().await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    async fn profiles(&self, directory: &Path) -> Result<(), String> {
        let seconds = self.interval.as_secs().max(1).to_string();
        let fetch = |(file, path, timed): (&'static str, &'static str, bool)| {
            let request = self.client.get(path);
            let request = if timed { request.query("seconds", seconds.as_str()) } else { request };
            async move {
                let bytes = request.ok().await.map_err(|e| e.to_string())?.bytes().await.map_err(|e| e.to_string())?;
                std::fs::write(directory.join(file), bytes).map_err(|e| e.to_string())
            }
        };
        futures::future::try_join_all(PROFILES.map(fetch)).await.map(drop)
    }
}

/// Writes the answer of a request, laid out for people.
async fn document(request: Request, path: &Path) -> Result<(), String> {
    let found: Value = request.fetch().await.map_err(|e| e.to_string())?;
    let json = to_json_indented(&found, "\t").map_err(|e| e.to_string())?;
    std::fs::write(path, json).map_err(|e| e.to_string())
}
