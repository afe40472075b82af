//! Datagrams: silence is good, only a refusal is an answer.

use super::{Report, go, net};
use crate::model::CheckDefinition;
use compact_str::format_compact;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

#[derive(Debug)]
pub(super) struct Udp {
    address: String,
    timeout: Duration,
}

impl Udp {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration) -> Udp {
        Udp { address: definition.udp.clone(), timeout }
    }

    pub(super) async fn run(&self) -> Report {
        match tokio::time::timeout(self.timeout, self.ask()).await {
            // No answer within the time: nobody has refused it.
            Ok(Ok(())) | Err(_) => Report::passing(format_compact!("UDP connect {}: Success", self.address)),
            Ok(Err(reason)) => Report::critical(reason),
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let (host, port) = net::split(&self.address).map_err(|e| format!("dial udp: {e}"))?;
        let to = net::datagram_address(host, port).await?;
        let any = match to {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await.map_err(|e| format!("dial udp {to}: {}", go::reason(&e)))?;
        socket.connect(to).await.map_err(|e| format!("dial udp {to}: connect: {}", go::reason(&e)))?;
        let from = socket.local_addr().map(|a| a.to_string()).unwrap_or_default();
        socket.send(b"health check").await.map_err(|e| format!("write udp {from}->{to}: write: {}", go::reason(&e)))?;
        let mut answer = [0];
        socket.recv(&mut answer).await.map_err(|e| format!("read udp {from}->{to}: read: {}", go::reason(&e)))?;
        Ok(())
    }
}
