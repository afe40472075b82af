//! Commands in containers, through the engine's API.

use super::output::Tail;
use super::{Report, go, script};
use crate::model::CheckDefinition;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use compact_str::format_compact;
use futures::StreamExt;
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
        let engine = bollard::Docker::connect_with_defaults().map_err(|e| format!("cannot reach Docker: {e}"))?;
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(self.args.clone()),
            ..ExecConfig::default()
        };
        let created = engine.create_exec(container, config).await;
        let exec = created.map_err(|e| format!("create exec failed for container {container}: {e}"))?.id;
        let started = engine.start_exec(&exec, None::<StartExecOptions>).await;
        let started = started.map_err(|e| format!("start exec failed for container {container}: {e}"))?;
        let mut tail = Tail::new(self.max);
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(part) = output.next().await {
                let part = part.map_err(|e| format!("reading the output failed for container {container}: {e}"))?;
                tail.push(&part.into_bytes());
            }
        }
        let ended = engine.inspect_exec(&exec).await;
        let ended = ended.map_err(|e| format!("inspect exec failed for container {container}: {e}"))?;
        let code = ended.exit_code.and_then(|code| i32::try_from(code).ok());
        Ok(Report { health: script::judge(code), output: tail.captured() })
    }
}
