//! Connections, and what Consul says when there is none.

use super::go;
use std::net::SocketAddr;
use tokio::net::{TcpStream, lookup_host};

/// The two parts of `host:port`, in Go's rules: an IPv6 address stands in brackets.
pub(super) fn split(address: &str) -> Result<(&str, u16), String> {
    let wrong = |why: &str| format!("address {address}: {why}");
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("missing ']' in address"))?;
            (host, rest.strip_prefix(':').ok_or_else(|| wrong("missing port in address"))?)
        }
        None => match address.rsplit_once(':') {
            None => return Err(wrong("missing port in address")),
            Some((host, _)) if host.contains(':') => return Err(wrong("too many colons in address")),
            Some(parts) => parts,
        },
    };
    let port = port.parse().map_err(|_| wrong("invalid port"))?;
    Ok((host, port))
}

/// The addresses of a name, at least one.
async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    // Go takes no host for this one.
    let host = if host.is_empty() { "localhost" } else { host };
    let found: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(|_| format!("lookup {host}: no such host"))?.collect();
    if found.is_empty() { Err(format!("lookup {host}: no such host")) } else { Ok(found) }
}

/// Connects to the first address that answers. The error is Go's, without the name of the operation.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let mut failed = String::new();
    for address in lookup(host, port).await.map_err(|e| format!("dial tcp: {e}"))? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) if failed.is_empty() => {
                failed = format!("dial tcp {address}: connect: {}", go::reason(&error));
            }
            Err(_) => {}
        }
    }
    Err(failed)
}

/// Where datagrams for a name go.
pub(super) async fn datagram_address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = lookup(host, port).await.map_err(|e| format!("dial udp: {e}"))?;
    found.first().copied().ok_or_else(|| "dial udp: no address".to_owned())
}
