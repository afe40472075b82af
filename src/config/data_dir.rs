//! The data directory and the node's id in it.

use super::error::ConfigError;
use crate::clock::Clock;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use uuid::Uuid;

/// The file in the data directory that holds the node's id.
pub(crate) const NODE_ID_FILE: &str = "node-id";

/// Creates the directory if need be and checks that files can be written in it.
pub(crate) fn prepare(dir: &Path) -> Result<(), ConfigError> {
    let failed = |what: &str, error: std::io::Error| {
        ConfigError::invalid(format!("data_dir {}: cannot {what}: {error}", dir.display()))
    };
    fs::create_dir_all(dir).map_err(|e| failed("create it", e))?;
    let probe = dir.join(".write-check");
    fs::File::create(&probe).and_then(|mut f| f.write_all(b"x")).map_err(|e| failed("write in it", e))?;
    fs::remove_file(&probe).map_err(|e| failed("remove a file in it", e))
}

/// The id to use: the configured one, else the one kept from an earlier start, else a new one. What is used is kept.
pub(crate) fn node_id(dir: &Path, configured: Option<Uuid>, clock: &Clock) -> Result<Uuid, ConfigError> {
    let path = dir.join(NODE_ID_FILE);
    let failed =
        |error: std::io::Error| ConfigError::invalid(format!("failed to setup node ID: {}: {error}", path.display()));
    let kept = match fs::read_to_string(&path) {
        Ok(text) => Some(parse(text.trim()).map_err(|reason| {
            ConfigError::invalid(format!(
                "failed to setup node ID: {}: {reason}; remove the file for a new id",
                path.display()
            ))
        })?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let id = configured.or(kept).unwrap_or_else(|| clock.uuid());
    if kept != Some(id) {
        // Written aside and renamed: a crash leaves the old id or the new one, never half of it.
        let aside = dir.join(".node-id.new");
        let written = fs::File::create(&aside).and_then(|mut f| {
            f.write_all(id.to_string().as_bytes())?;
            f.sync_all()
        });
        written.and_then(|()| fs::rename(&aside, &path)).map_err(failed)?;
    }
    Ok(id)
}

/// A UUID in the hyphenated form; the errors are Consul's.
pub(crate) fn parse(text: &str) -> Result<Uuid, String> {
    if text.len() != 36 {
        return Err("specified NodeID is invalid: uuid string is wrong length".to_owned());
    }
    Uuid::try_parse(text).map_err(|error| format!("specified NodeID is invalid: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_id() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let sub = dir.path().join("a/b");
        prepare(&sub).expect("created");
        let first = node_id(&sub, None, &Clock::manual(0, 1)).expect("first");
        let again = node_id(&sub, None, &Clock::manual(0, 2)).expect("again");
        assert_eq!(first, again);
        assert_eq!(fs::read_to_string(sub.join(NODE_ID_FILE)).expect("file"), first.to_string());
    }

    #[test]
    fn a_configured_id_wins_and_is_kept() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let id = Uuid::from_u128(7);
        node_id(dir.path(), None, &Clock::manual(0, 1)).expect("first");
        assert_eq!(node_id(dir.path(), Some(id), &Clock::manual(0, 1)).expect("configured"), id);
        assert_eq!(node_id(dir.path(), None, &Clock::manual(0, 1)).expect("kept"), id);
    }

    #[test]
    fn a_broken_file_is_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join(NODE_ID_FILE), "x").expect("written");
        let error = node_id(dir.path(), None, &Clock::manual(0, 1)).expect_err("refused").to_string();
        assert!(error.contains("node-id: specified NodeID is invalid: uuid string is wrong length"), "{error}");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("f");
        fs::write(&file, "").expect("written");
        let error = prepare(&file).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("data_dir {}: cannot create it", file.display())), "{error}");
    }
}
