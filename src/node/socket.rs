//! Unix sockets: bound in the place of stale ones, with the owner and permissions that the operator wants.

use crate::config::UnixSocket;
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use tokio::net::UnixListener;

/// Binds a socket. A socket that is there is removed first, as Consul does; another file is not.
pub(super) fn bind(socket: &UnixSocket) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(&socket.path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&socket.path)?,
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&socket.path)?;
    let user = id(&socket.user, "/etc/passwd", "unix_sockets.user")?;
    let group = id(&socket.group, "/etc/group", "unix_sockets.group")?;
    if user.is_some() || group.is_some() {
        chown(&socket.path, user, group)?;
    }
    if let Some(mode) = socket.mode {
        std::fs::set_permissions(&socket.path, Permissions::from_mode(mode))?;
    }
    Ok(listener)
}

/// The number of a user or group: the number itself, or that of its line in the system's list.
fn id(name: &str, list: &str, key: &str) -> io::Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let lines = std::fs::read_to_string(list)?;
    let line = lines.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    let number = line.and_then(|fields| fields.get(2)?.parse().ok());
    let unknown = || io::Error::new(ErrorKind::NotFound, format!("{key}: {list} does not know {name:?}"));
    number.map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn socket(path: &Path) -> UnixSocket {
        UnixSocket { path: path.to_owned(), user: String::new(), group: String::new(), mode: Some(0o600) }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("s");
        drop(bind(&socket(&path)).expect("bound"));
        let _second = bind(&socket(&path)).expect("bound again");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let file = dir.path().join("f");
        std::fs::write(&file, "x").expect("written");
        assert_eq!(bind(&socket(&file)).expect_err("refused").kind(), ErrorKind::AlreadyExists);
        let nobody = UnixSocket { user: "no such user".to_owned(), ..socket(&dir.path().join("n")) };
        assert!(bind(&nobody).expect_err("refused").to_string().contains("unix_sockets.user"));
    }
}
