//! Addresses as operators write them.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Splits `host`, `host:port`, `address` or `[address]:port`; `port` where none is given.
pub fn split(text: &str, port: u16) -> (&str, u16) {
    if let Ok(IpAddr::V6(_)) = text.parse::<IpAddr>() {
        return (text, port);
    }
    let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, port),
        _ => (text, port),
    };
    (host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host), port)
}

/// All addresses of a name, with the port that is written or `port`.
///
/// # Errors
/// The name cannot be resolved.
pub async fn resolve(text: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = split(text.trim(), port);
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        let cases = [
            ("a.example", ("a.example", 8301)),
            ("a.example:1", ("a.example", 1)),
            ("10.0.0.1:2", ("10.0.0.1", 2)),
            ("::1", ("::1", 8301)),
            ("[::1]:3", ("::1", 3)),
            ("[::1]", ("::1", 8301)),
            ("", ("", 8301)),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text, 8301), expected, "{text}");
        }
    }
}
