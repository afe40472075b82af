//! Where the engine listens.

use super::DockerError;
use std::fmt;
use std::path::PathBuf;

/// Where it listens unless something else is said.
const DEFAULT: &str = "unix:///var/run/docker.sock";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl Address {
    /// As in the variable `DOCKER_HOST`; nothing stands for the usual socket.
    pub(super) fn parse(host: &str) -> Result<Address, DockerError> {
        let host = if host.is_empty() { DEFAULT } else { host };
        let wrong = |reason| DockerError::Host { host: host.to_owned(), reason };
        match host.split_once("://") {
            Some((_, "")) | Some((_, "/")) => Err(wrong("names no place")),
            Some(("unix", path)) => Ok(Address::Unix(path.into())),
            Some(("tcp" | "http", place)) => {
                let place = place.trim_end_matches('/');
                let port = place.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
                match port {
                    Some(Ok(_)) => Ok(Address::Tcp(place.to_owned())),
                    // Docker's own default, without TLS.
                    None => Ok(Address::Tcp(format!("{place}:2375"))),
                    Some(Err(_)) => Err(wrong("the port is no number")),
                }
            }
            _ => Err(wrong("only unix://, tcp:// and http:// are understood")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "{}", path.display()),
            Address::Tcp(place) => f.write_str(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        let unix = |path: &str| Address::Unix(path.into());
        assert_eq!(Address::parse("").unwrap(), unix("/var/run/docker.sock"));
        assert_eq!(Address::parse("unix:///tmp/d.sock").unwrap(), unix("/tmp/d.sock"));
        assert_eq!(Address::parse("tcp://box:99/").unwrap(), Address::Tcp("box:99".into()));
        assert_eq!(Address::parse("http://box").unwrap(), Address::Tcp("box:2375".into()));
        for (host, reason) in [
            ("ssh://box", "only unix://, tcp:// and http:// are understood"),
            ("box:99", "only unix://, tcp:// and http:// are understood"),
            ("tcp://box:x", "the port is no number"),
            ("unix://", "names no place"),
        ] {
            assert_eq!(Address::parse(host).unwrap_err().to_string(), format!("DOCKER_HOST {host:?}: {reason}"));
        }
    }

    proptest! {
        #[test]
        fn no_host_is_a_panic(host in "(unix|tcp|http|ssh)?(:)?(//)?[a-z0-9:/\\[\\].]{0,20}") {
            let _ = Address::parse(&host);
        }
    }
}
