//! `snapshot save|restore|inspect`: the state of the servers in a file.

use super::client::{Body, Client, Reply};
use super::console::{Console, Exit, open_error};
use super::flags::{self, Flags};
use super::table::pairs;
use crate::archive::{self, ArchiveError, Limits, Meta};
use bytes::Bytes;
use clap::{ArgMatches, Command};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

pub(super) fn command() -> Command {
    flags::group("snapshot", "Saves, restores and inspects snapshots of the servers' state")
        .subcommand(flags::command("inspect", "Describes the snapshot in a file", "[options] FILE"))
        .subcommand(
            flags::command("restore", "Replaces the servers' state by that in a file", "[options] FILE")
                .args(flags::server_flags()),
        )
        .subcommand(
            flags::command("save", "Saves the servers' state in a file", "[options] FILE").args(flags::server_flags()),
        )
}

fn file(flags: &ArgMatches) -> Result<String, Exit> {
    let mut arguments = flags.arguments();
    match arguments.len() {
        0 => Err(Exit::failed("Missing FILE argument")),
        1 => Ok(arguments.remove(0)),
        n => Err(Exit::failed(format!("Too many arguments (expected 1, got {n})"))),
    }
}

pub(super) async fn save(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let file = file(flags)?;
    let request = Client::new(flags, console)?.get("/v1/snapshot").stale();
    let reply = request.ok().await.map_err(|e| Exit::failed(format!("Error saving snapshot: {e}")))?;
    let index = reply.index;
    // Under its own name only when it is known to be good.
    let unverified = Unverified(PathBuf::from(format!("{file}.unverified")));
    let writing = |e: String| Exit::failed(format!("Error writing unverified snapshot file: {e}"));
    write(reply, &unverified.0).await.map_err(writing)?;
    let opened = std::fs::File::open(&unverified.0);
    let opened = opened.map_err(|e| Exit::failed(format!("Error opening snapshot file for verify: {e}")))?;
    check(opened).map_err(|e| Exit::failed(format!("Error verifying snapshot file: {e}")))?;
    let renamed = std::fs::rename(&unverified.0, &file).and_then(|()| sync_directory(Path::new(&file)));
    let from = unverified.0.display().to_string();
    renamed.map_err(|e| Exit::failed(format!("Error renaming {from:?} to {file:?}: {e}")))?;
    console.line(&format!("Saved and verified snapshot to index {index}"))
}

/// What a file says of itself, if it is whole. What its state means is its server's business.
fn check(file: std::fs::File) -> Result<Meta, ArchiveError> {
    archive::read(file, Limits::NONE, |_| Ok(()))
}

/// A file that is removed again, if it still has this name.
struct Unverified(PathBuf);

impl Drop for Unverified {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn write(mut reply: Reply, path: &Path) -> Result<(), String> {
    let created = tokio::fs::File::create(path).await;
    let mut file = created.map_err(|e| open_error(&path.to_string_lossy(), &e))?;
    while let Some(piece) = reply.piece().await.map_err(|e| e.to_string())? {
        file.write_all(&piece).await.map_err(|e| e.to_string())?;
    }
    file.flush().await.map_err(|e| e.to_string())?;
    file.sync_all().await.map_err(|e| e.to_string())
}

/// Makes a new name in a directory outlive a crash.
fn sync_directory(file: &Path) -> std::io::Result<()> {
    let directory = file.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}

pub(super) async fn restore(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let name = file(flags)?;
    let client = Client::new(flags, console)?;
    let opened = tokio::fs::File::open(&name).await;
    let opened = opened.map_err(|e| Exit::failed(format!("Error opening snapshot file: {}", open_error(&name, &e))))?;
    let request = client.put("/v1/snapshot").stream(body(opened));
    request.done().await.map_err(|e| Exit::failed(format!("Error restoring snapshot: {e}")))?;
    console.line("Restored snapshot")
}

/// A file as the body of a request, read while it is sent.
fn body(file: tokio::fs::File) -> Body {
    let pieces = futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (Frame::data(Bytes::from(piece)), file)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

pub(super) fn inspect(flags: &ArgMatches, console: &mut Console<'_>) -> Result<(), Exit> {
    let name = file(flags)?;
    let opened = std::fs::File::open(&name);
    let opened = opened.map_err(|e| Exit::failed(format!("Error opening snapshot file: {}", open_error(&name, &e))))?;
    let meta = check(opened).map_err(|e| Exit::failed(format!("Error verifying snapshot: {e}")))?;
    let rows = [
        ("ID", meta.id),
        ("Size", meta.size.to_string()),
        ("Index", meta.index.to_string()),
        ("Term", meta.term.to_string()),
        ("Version", meta.version.to_string()),
    ];
    console.line(&pairs(&rows.map(|(name, value)| [name.to_owned(), value])))
}
