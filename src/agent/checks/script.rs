//! Commands on this node.

use super::output::Tail;
use super::{Report, go};
use crate::model::{CheckDefinition, Health};
use compact_str::format_compact;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(super) struct Script {
    args: Vec<String>,
    timeout: Duration,
    max: usize,
}

/// Kills a command and all it started, unless it has ended by itself.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Script {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration, max: usize) -> Script {
        Script { args: definition.args.clone(), timeout, max }
    }

    pub(super) async fn run(&self) -> Report {
        let (mut child, mut pipe) = match self.spawn() {
            Ok(started) => started,
            Err(reason) => return Report::critical(reason),
        };
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let mut tail = Tail::new(self.max);
        let ended = tokio::time::timeout(self.timeout, read_until_end(&mut child, &mut pipe, &mut tail)).await;
        match ended {
            Ok(Ok(status)) => {
                group.0 = None;
                Report { health: judge(status.code()), output: tail.captured() }
            }
            Ok(Err(error)) => Report::critical(error.to_string()),
            Err(_) => {
                drop(group);
                // Reaped, so that nothing of it is left.
                let _ = child.wait().await;
                let said = tail.captured();
                let gap = if said.is_empty() { "" } else { "\n\n" };
                Report::critical(format_compact!("Timed out ({}) running check{gap}{said}", go::duration(self.timeout)))
            }
        }
    }

    /// Starts the command as the leader of a group of its own. Both of its outputs go into one pipe, which keeps their
    /// order.
    fn spawn(&self) -> Result<(Child, Receiver), String> {
        let Some((program, args)) = self.args.split_first() else { return Err("exec: no command".to_owned()) };
        let pipe = || -> std::io::Result<_> {
            let (reader, writer) = std::io::pipe()?;
            Ok((Receiver::from_owned_fd(OwnedFd::from(reader))?, writer.try_clone()?, writer))
        };
        let (reader, out, err) = pipe().map_err(|e| format!("cannot make a pipe: {e}"))?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !program.contains('/') => {
                format!("exec: {program:?}: executable file not found in $PATH")
            }
            _ => format!("fork/exec {program}: {}", go::reason(&error)),
        })?;
        Ok((child, reader))
    }
}

/// The command's end decides, not that of its output, which a process in the background may keep open.
async fn read_until_end(child: &mut Child, pipe: &mut Receiver, tail: &mut Tail) -> std::io::Result<ExitStatus> {
    let mut buffer = [0; 4096];
    let mut open = true;
    let status = loop {
        tokio::select! {
            biased;
            read = pipe.read(&mut buffer), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(size) => tail.push(&buffer[..size]),
            },
            status = child.wait() => break status?,
        }
    };
    while let Ok(size @ 1..) = pipe.try_read(&mut buffer) {
        tail.push(&buffer[..size]);
    }
    Ok(status)
}

/// What an exit code says; none: it was killed.
pub(super) fn judge(code: Option<i32>) -> Health {
    match code {
        Some(0) => Health::Passing,
        Some(1) => Health::Warning,
        _ => Health::Critical,
    }
}
