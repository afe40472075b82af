//! Processes that a command runs: through the shell or directly, with Go's words for how they end.

use super::console::Console;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// A process that was started. It goes on when this is dropped.
pub(super) struct Running {
    child: Child,
}

/// The command that arguments stand for: their words joined for the shell of `SHELL`, or as they are.
pub(super) fn program(arguments: &[String], shell: bool, console: &Console<'_>) -> Command {
    if !shell {
        let mut command = Command::new(arguments.first().map_or("", String::as_str));
        command.args(arguments.iter().skip(1));
        return command;
    }
    let shell = (console.env)("SHELL").filter(|s| !s.is_empty()).unwrap_or_else(|| "/bin/sh".to_owned());
    let mut command = Command::new(shell);
    command.arg("-c").arg(arguments.join(" "));
    command
}

/// Starts a process on the streams of this one, but for its standard input.
pub(super) fn start(command: &mut Command, input: Stdio) -> Result<Running, String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let started = command.stdin(input).spawn();
    let child = started.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if !name.contains('/') => {
            format!("exec: {name:?}: executable file not found in $PATH")
        }
        _ => {
            let text = e.to_string().to_lowercase();
            format!("fork/exec {name}: {}", text.split(" (os error").next().unwrap_or(&text))
        }
    })?;
    Ok(Running { child })
}

impl Running {
    /// The process id, as long as it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its standard input, when that is a pipe; once.
    pub(super) fn input(&mut self) -> Option<tokio::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for its end; an error is Go's text for an end that is not a success. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let status = self.child.wait().await.map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(words(status)) }
    }

    /// Sends a signal; none when the process has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        match self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            Some(pid) => kill_process(pid, signal).map_err(|e| e.to_string()),
            None => Err("os: process already finished".to_owned()),
        }
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {}", signal_name(signal)),
        (None, None) => status.to_string(),
    }
}

/// The names of the signals that people send.
fn signal_name(number: i32) -> String {
    match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        6 => "aborted",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        15 => "terminated",
        other => return format!("signal {other}"),
    }
    .to_owned()
}
