//! Errors of the system and durations in the words of Go, in which Consul's outputs have them.

use crate::model::duration::format_duration;
use std::io;
use std::time::Duration;

/// What went wrong.
pub(super) fn reason(error: &io::Error) -> String {
    let known = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::BrokenPipe => "broken pipe",
        io::ErrorKind::NotFound => "no such file or directory",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::HostUnreachable => "no route to host",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address",
        io::ErrorKind::TimedOut => "connection timed out",
        _ => "",
    };
    if known.is_empty() { error.to_string() } else { known.to_owned() }
}

/// A duration as Go prints it.
pub(super) fn duration(duration: Duration) -> String {
    format_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}
