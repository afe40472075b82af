//! `operator raft recover`: guides through the recovery of a cluster that has lost its majority, on the data directory of
//! one server that is stopped. What is done there is the business of [`crate::raft::Survivor`].

use super::console::{Console, Exit};
use super::flags::{self, Flags};
use super::table::table;
use crate::clock::Clock;
use crate::raft::{Holdings, RecoverError, Survivor};
use clap::{ArgMatches, Command};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long another server may take to be found running.
const KNOCK: Duration = Duration::from_millis(500);
/// No name that is typed is longer.
const ANSWER_MAX: usize = 512;

pub(super) fn command() -> Command {
    flags::command("recover", "Makes a stopped server the only one of its cluster", "[options]").args([
        flags::value("data-dir", "Data directory of the server, which must be stopped."),
        flags::switch("inspect", "Shows what the server has, and changes nothing."),
        flags::value("node", "Name to give to a server that its cluster had removed."),
        flags::switch("yes", "Does not ask."),
    ])
}

fn failed(error: impl std::fmt::Display) -> Exit {
    Exit::failed(format!("Error recovering: {error}"))
}

pub(super) async fn run(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let dir = flags.text("data-dir").filter(|dir| !dir.is_empty());
    let dir = Path::new(dir.ok_or_else(|| failed("-data-dir is required"))?);
    check_owner(dir)?;
    let survivor = Survivor::open(dir).await.map_err(failed)?;
    let holdings = survivor.holdings().clone();
    console.print(&shown(dir, &holdings))?;
    let checked = survivor.check();
    if flags.on("inspect") {
        survivor.close().await.map_err(failed)?;
        return match checked {
            Err(RecoverError::Alone) => console.print(ALONE),
            _ => console.print(&compare(&holdings)),
        };
    }
    checked.map_err(failed)?;
    console.print(&compare(&holdings))?;
    for (name, address) in running(&holdings).await {
        console.print(&format!("WARNING: something listens at {address}, the address of {name}. If that is a server with data of this\ncluster, stop it and compare it first; one without data may stay.\n\n"))?;
    }
    let name = name_of(&holdings, flags)?;
    console.print(LOSSES)?;
    if !flags.on("yes") && !confirmed(&name, console)? {
        survivor.close().await.map_err(failed)?;
        return Err(Exit::failed("Nothing was changed."));
    }
    let cluster = survivor.recover(Clock::system().uuid(), &name).await;
    let cluster = cluster.map_err(|e| failed(format!("{e}\nRun the command again before the server is started.")))?;
    console.print(&format!(
        "Done: {name} is the only server of cluster {cluster} now.\n\n\
        Start it as before; it leads at once. Then start the other servers with empty data directories, one after the\n\
        other; they join and get a vote. One that comes back with its old data stops and says so.\n"
    ))
}

/// What the user of the command makes must be usable by the user of the server.
fn check_owner(dir: &Path) -> Result<(), Exit> {
    let Ok(file) = std::fs::metadata(dir.join("raft.redb")) else { return Ok(()) };
    let own = rustix::process::geteuid().as_raw();
    match file.uid() {
        owner if owner == own => Ok(()),
        owner => Err(failed(format!(
            "{}: belongs to user {owner}, and this command runs as user {own}: run it as that user, or the server cannot \
            open what it writes",
            dir.display()
        ))),
    }
}

fn shown(dir: &Path, holdings: &Holdings) -> String {
    let own = holdings.own();
    let vote = match own {
        Some(own) if own.voter => "has a vote",
        Some(_) => "has no vote",
        None => "was removed from the cluster",
    };
    let rows = [
        ("Data directory", dir.display().to_string()),
        ("Node", format!("{} ({vote})", own.map_or("?", |m| &m.node.name))),
        ("ID", holdings.id.to_string()),
        ("Cluster", holdings.cluster.to_string()),
        ("Term", holdings.term.to_string()),
        ("Last entry", format!("term {}, index {}", holdings.last_term, holdings.last_index)),
        ("Committed", format!("at least up to index {}", holdings.committed)),
    ];
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<16}{value}\n")).collect();
    if let Some(why) = &holdings.superseded {
        text += &format!("WARNING: {why}. Recover it only if that was a mistake.\n");
    }
    if holdings.unfinished {
        text += "A recovery was begun here and interrupted. It must be finished before the server can start.\n";
    }
    let header = ["Server", "ID", "Address", "Voter"].map(str::to_owned).to_vec();
    let row = |m: &crate::raft::Member| {
        vec![m.node.name.clone(), m.id.to_string(), m.node.address.clone(), m.voter.to_string()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(holdings.members.iter().map(row)).collect();
    format!("{text}\n{}\n", table(&rows))
}

const ALONE: &str = "This server is the only one with a vote: there is nothing to recover, start it as usual.\n";

/// How to choose among survivors.
fn compare(holdings: &Holdings) -> String {
    let voters = holdings.members.iter().filter(|m| m.voter).count();
    let majority = voters / 2 + 1;
    format!(
        "A majority of this cluster is {majority} of {voters} servers with a vote. If {majority} of them can still be started with\n\
        their data, start them: nothing is lost then, and nothing must be recovered.\n\n\
        If fewer survive, run this command with -inspect on each, and recover the one whose last entry has the highest\n\
        term, and of those the highest index: it has the most. Recover one server only.\n\n"
    )
}

const LOSSES: &str = "\
What happens:
- Everything up to the last entry stays. That includes entries that were not known to be committed: a write that its
  client has seen fail or time out may turn out to be done.
- Writes that only the lost servers had are lost, also acknowledged ones: those after the last entry above.
- The server becomes a new cluster with an identity of its own. The other servers of the old one are not members any
  more, and never get in with their old data. Watches of our API begin again with a snapshot; indexes of Consul's API
  may go back to the last entry.

";

/// The name that this server goes on with.
fn name_of(holdings: &Holdings, flags: &ArgMatches) -> Result<String, Exit> {
    let given = flags.text("node").filter(|name| !name.is_empty());
    match (holdings.own(), given) {
        (Some(own), None) => Ok(own.node.name.clone()),
        (Some(own), Some(name)) if name == own.node.name => Ok(name.to_owned()),
        (Some(own), Some(_)) => Err(failed(format!("-node: the server is called {}", own.node.name))),
        (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => Err(failed(
            "the cluster had removed this server, so it lacks all that came later. If it is the only one left, say so \
            with -node=NAME",
        )),
    }
}

/// The other members whose ports somebody listens at.
async fn running(holdings: &Holdings) -> Vec<(String, SocketAddr)> {
    let others = holdings.members.iter().filter(|m| m.id != holdings.id);
    let places: Vec<(String, SocketAddr)> =
        others.filter_map(|m| Some((m.node.name.clone(), m.node.address.parse().ok()?))).collect();
    let knock = move || -> Vec<(String, SocketAddr)> {
        places.into_iter().filter(|(_, at)| TcpStream::connect_timeout(at, KNOCK).is_ok()).collect()
    };
    // Only a warning depends on it.
    tokio::task::spawn_blocking(knock).await.unwrap_or_default()
}

/// Has the operator type the name of the server.
fn confirmed(name: &str, console: &mut Console<'_>) -> Result<bool, Exit> {
    console.print(&format!("Type the name of the server ({name}) to go on: "))?;
    console.flush()?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    // One at a time: the line ends where it ends, and what follows is not for this command.
    while answer.len() < ANSWER_MAX {
        let read = console.input.read(&mut byte);
        match read.map_err(|e| failed(format!("cannot read from standard input: {e}")))? {
            1 if byte != *b"\n" => answer.extend(byte),
            _ => break,
        }
    }
    console.line("")?;
    Ok(answer.trim_ascii() == name.as_bytes())
}
