//! `agent`: the only command that is not a client. Checks the configuration, starts the log, and runs the node.

use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::log;
use crate::clock::Clock;
use crate::config::{AgentFlags, Arity, Config, ConfigError};
use crate::node::Started;
use clap::{ArgMatches, Command};
use std::path::{Path, PathBuf};

/// Its flags and help.
pub(super) fn command() -> Command {
    let known = AgentFlags::list().map(|f| {
        let help = f.help.unwrap_or_default();
        match f.arity {
            Arity::Switch => flags::many(f.name, help).num_args(0..=1).default_missing_value("true"),
            Arity::One | Arity::Many => flags::many(f.name, help),
        }
    });
    // Files and directories share one list, because their order counts.
    let known = known.map(|f| if f.get_id() == "config-file" { f.alias("config-dir") } else { f });
    flags::command("agent", "Runs an agent", "[options]").args(known)
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let failed = |e: &dyn std::fmt::Display| Exit::failed(format!("==> {e}"));
    let arguments = flags.arguments();
    if !arguments.is_empty() {
        return Err(Exit::failed(format!("==> Unexpected extra arguments: [{}]", arguments.join(" "))));
    }
    let parsed = parse(flags).map_err(|e| failed(&e))?;
    let config = Config::load(&parsed, &Clock::system()).map_err(|e| failed(&e))?;
    console.print(&banner(&config))?;
    console.out.flush().map_err(|e| failed(&e))?;
    let (set_log_level, monitor) = log::start(&config).map_err(|e| failed(&e))?;
    let pid_file = config.pid_file.as_deref().map(PidFile::write).transpose().map_err(|e| failed(&e))?;
    let ended = crate::node::run(config, Started { flags: parsed, set_log_level, monitor }).await;
    drop(pid_file);
    ended.map_err(|e| Exit::failed(format!("==> {e:#}")))
}

fn parse(flags: &ArgMatches) -> Result<AgentFlags, ConfigError> {
    let mut parsed = AgentFlags::default();
    for flag in AgentFlags::list() {
        parsed.set(flag.name, &flags.all(flag.name))?;
    }
    Ok(parsed)
}

/// What Consul prints before the log starts, with the ports as configured.
fn banner(config: &Config) -> String {
    let port = |addrs: &[std::net::SocketAddr]| addrs.first().map_or(-1, |a| i32::from(a.port()));
    let clients: Vec<String> = config.http_addrs.iter().map(|a| a.ip().to_string()).collect();
    let wan = config.serf_wan_port.map_or(-1, i32::from);
    let rows = [
        ("Version", format!("'{}'", env!("CARGO_PKG_VERSION"))),
        ("Node ID", format!("'{}'", config.node_id)),
        ("Node name", format!("'{}'", config.node_name)),
        ("Datacenter", format!("'{}' (Segment: '<all>')", config.datacenter)),
        ("Server", format!("{} (Bootstrap: {})", config.server, config.bootstrap_expect == 1)),
        (
            "Client Addr",
            format!(
                "[{}] (HTTP: {}, HTTPS: -1, gRPC: {}, DNS: {})",
                clients.join(" "),
                port(&config.http_addrs),
                port(&config.grpc_addrs),
                port(&config.dns_addrs)
            ),
        ),
        ("Cluster Addr", format!("{} (LAN: {}, WAN: {wan})", config.advertise_addr, config.serf_lan_port)),
    ];
    let mut text = "==> Starting Lictor agent...\n".to_owned();
    for (name, value) in rows {
        text += &format!("{name:>18}: {value}\n");
    }
    text + "\n==> Log data will now stream in as it occurs:\n\n"
}

/// The file with the process id, removed when the agent ends.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<PidFile, String> {
        std::fs::write(path, std::process::id().to_string())
            .map_err(|e| format!("pid_file {}: cannot write it: {e}", path.display()))?;
        Ok(PidFile(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may be gone already; there is nothing to do about it at the end.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_keep_their_order() {
        let args = ["agent", "--config-file=a", "--config-dir=b", "--config-file=c", "--dev=true"];
        let parsed = parse(&command().get_matches_from(args)).expect("accepted");
        assert_eq!(parsed.config_paths, ["a", "b", "c"].map(PathBuf::from));
        assert!(parsed.dev);
    }

    #[test]
    fn the_process_id_is_written_and_removed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("pid");
        let file = PidFile::write(&path).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
        let error = PidFile::write(&dir.path().join("no/pid")).err().expect("refused");
        assert!(error.contains("no/pid: cannot write it: "), "{error}");
    }
}
