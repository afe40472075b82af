//! Commands in running containers.

use super::{DockerError, Engine, Output};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    attach_stdout: bool,
    attach_stderr: bool,
    cmd: &'a [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    exit_code: Option<i64>,
}

impl Engine {
    /// Prepares a command in a container, which is named by its name or id. Returns the id of the execution.
    ///
    /// # Errors
    /// No engine, or the engine's refusal: no such container, or it is not running.
    pub async fn create_exec(&self, container: &str, command: &[String]) -> Result<String, DockerError> {
        let create = Create { attach_stdout: true, attach_stderr: true, cmd: command };
        let created: Created = self.post(&format!("/containers/{}/exec", segment(container)), &create).await?;
        Ok(created.id)
    }

    /// Starts a prepared command and returns what it prints, to either of its outputs.
    ///
    /// # Errors
    /// No engine, or the engine's refusal.
    pub async fn start_exec(&self, exec: &str) -> Result<Output, DockerError> {
        let start = Start { detach: false, tty: false };
        Ok(Output::new(self.post_for_stream(&format!("/exec/{}/start", segment(exec)), &start).await?))
    }

    /// How a command ended; `None` while it runs.
    ///
    /// # Errors
    /// No engine, or the engine's refusal.
    pub async fn exec_exit_code(&self, exec: &str) -> Result<Option<i64>, DockerError> {
        let inspected: Inspected = self.get(&format!("/exec/{}/json", segment(exec))).await?;
        Ok(inspected.exit_code)
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> impl std::fmt::Display {
    utf8_percent_encode(name, NON_ALPHANUMERIC)
}
