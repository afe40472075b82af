//! Commands in containers, through the engine's API.

use super::output::Tail;
use super::{Report, go, script};
use crate::docker::{DockerError, Engine};
use crate::model::CheckDefinition;
use compact_str::format_compact;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Docker {
    container: String,
    args: Vec<String>,
    timeout: Duration,
    max: usize,
}

impl Docker {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration, max: usize) -> Docker {
        let container = definition.docker_container_id.to_string();
        Docker { container, args: definition.args.clone(), timeout, max }
    }

    pub(super) async fn run(&self) -> Report {
        match tokio::time::timeout(self.timeout, self.execute()).await {
            Ok(Ok(report)) => report,
            Ok(Err(reason)) => Report::critical(reason),
            Err(_) => Report::critical(format_compact!("Timed out ({}) running check", go::duration(self.timeout))),
        }
    }

    async fn execute(&self) -> Result<Report, String> {
        let container = &self.container;
        let engine = Engine::from_env().map_err(|e| e.to_string())?;
        let failed = |what: &str, error: DockerError| format!("{what} failed for container {container}: {error}");
        let created = engine.create_exec(container, &self.args).await;
        let exec = created.map_err(|e| failed("create exec", e))?;
        let mut output = engine.start_exec(&exec).await.map_err(|e| failed("start exec", e))?;
        let mut tail = Tail::new(self.max);
        while let Some(part) = output.next().await.map_err(|e| failed("reading the output", e))? {
            tail.push(&part);
        }
        let code = engine.exec_exit_code(&exec).await.map_err(|e| failed("inspect exec", e))?;
        let code = code.and_then(|code| i32::try_from(code).ok());
        Ok(Report { health: script::judge(code), output: tail.captured() })
    }
}
