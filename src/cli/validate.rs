//! `validate`: whether the agent would accept configuration files.

use super::console::{Console, Exit};
use super::flags::{self, Flags};
use crate::clock::Clock;
use crate::config::{AgentFlags, Config, LogLevel};
use clap::{ArgMatches, Command};

pub(super) fn command() -> Command {
    flags::command("validate", "Checks configuration files and directories", "[options] FILE_OR_DIRECTORY...").args([
        flags::switch("quiet", "Prints nothing when all is well."),
        flags::value("config-format", "Reads files as `hcl` or `json` whatever their extension."),
    ])
}

pub(super) fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let paths = flags.arguments();
    if paths.is_empty() {
        return Err(Exit::failed("Must specify at least one config file or directory"));
    }
    let failed = |e: &dyn std::fmt::Display| Exit::failed(format!("Config validation failed: {e}"));
    let mut agent = AgentFlags::default();
    agent.set("config-file", &paths).map_err(|e| failed(&e))?;
    if let Some(format) = flags.text("config-format") {
        agent.set("config-format", &[format.to_owned()]).map_err(|e| failed(&e))?;
    }
    let config = Config::validate(&agent, &Clock::system()).map_err(|e| failed(&e))?;
    if flags.on("quiet") {
        return Ok(());
    }
    for notice in config.notices.iter().filter(|n| n.level >= LogLevel::Warn) {
        // What is said besides does not decide.
        let _ = writeln!(console.err, "{}", notice.text);
    }
    console.print("Configuration is valid!\n")
}

#[cfg(test)]
mod tests {
    use crate::cli::{Console, run};
    use std::path::Path;

    /// Exit code, standard output and standard error.
    async fn validate(args: &[&str]) -> (i32, String, String) {
        let args: Vec<String> = ["validate"].iter().chain(args).map(|a| (*a).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { out: &mut out, err: &mut err, input: &mut std::io::empty(), env: &|_| None };
        let code = run("lictor", &args, &mut console).await;
        (code, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
    }

    fn write(path: &Path, text: &str) -> String {
        std::fs::write(path, text).expect("written");
        path.display().to_string()
    }

    #[tokio::test]
    async fn good_and_bad_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let good = write(&dir.path().join("a.hcl"), "data_dir = \"/nonexistent/x\" bind_addr = \"127.0.0.1\"");
        let valid = (0, "Configuration is valid!\n".to_owned(), String::new());
        assert_eq!(validate(&[&good]).await, valid);
        assert_eq!(validate(&[dir.path().to_str().expect("UTF-8")]).await, valid);
        assert_eq!(validate(&["-quiet", &good]).await, (0, String::new(), String::new()));
        assert!(!Path::new("/nonexistent").exists());
        let bad = write(&dir.path().join("b.hcl"), "ports {\n  bogus = 1\n}");
        let (code, out, err) = validate(&[&good, &bad]).await;
        let reason = "1 error occurred:\n\t* invalid config key ports.bogus (at 2:3)\n";
        assert_eq!((code, out), (1, String::new()));
        assert_eq!(err, format!("Config validation failed: failed to parse {bad}: {reason}\n"));
        let (code, _, err) = validate(&[]).await;
        assert_eq!((code, err.as_str()), (1, "Must specify at least one config file or directory\n"));
        let (code, _, err) = validate(&["/nope"]).await;
        let reason = "config: Open failed on /nope. open /nope: no such file or directory";
        assert_eq!((code, err), (1, format!("Config validation failed: {reason}\n")));
        let empty = write(&dir.path().join("c.json"), r#"{"bind_addr":"127.0.0.1"}"#);
        let (code, _, err) = validate(&["-config-format=json", &empty]).await;
        assert_eq!((code, err.as_str()), (1, "Config validation failed: data_dir cannot be empty\n"));
    }
}
