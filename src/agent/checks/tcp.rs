//! TCP connections.

use super::{Report, net, tls};
use crate::model::CheckDefinition;
use compact_str::format_compact;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Tcp {
    address: String,
    timeout: Duration,
    tls: Option<tls::Wish>,
}

impl Tcp {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration) -> Tcp {
        let tls = definition.tcp_use_tls.then(|| tls::Wish::of(definition, &[]));
        Tcp { address: definition.tcp.clone(), timeout, tls }
    }

    pub(super) async fn run(&self) -> Report {
        match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(Ok(())) => Report::passing(format_compact!("TCP connect {}: Success", self.address)),
            Ok(Err(reason)) => Report::critical(reason),
            Err(_) => Report::critical(format_compact!("dial tcp {}: i/o timeout", self.address)),
        }
    }

    async fn connect(&self) -> Result<(), String> {
        let (host, port) = net::split(&self.address).map_err(|e| format!("dial tcp: {e}"))?;
        let stream = net::dial(host, port).await?;
        if let Some(wish) = &self.tls {
            tls::wrap(stream, host, wish).await?;
        }
        Ok(())
    }
}
