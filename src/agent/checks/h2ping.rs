//! A PING frame of HTTP/2.

use super::{Report, net, tls};
use crate::model::CheckDefinition;
use bytes::Bytes;
use compact_str::format_compact;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

#[derive(Debug)]
pub(super) struct H2Ping {
    address: String,
    timeout: Duration,
    tls: Option<tls::Wish>,
}

impl H2Ping {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration) -> H2Ping {
        let tls = definition.h2ping_use_tls.unwrap_or(true).then(|| tls::Wish::of(definition, &[b"h2"]));
        H2Ping { address: definition.h2ping.clone(), timeout, tls }
    }

    pub(super) async fn run(&self) -> Report {
        let failed = |reason: &str| Report::critical(reason);
        match tokio::time::timeout(self.timeout, self.ping()).await {
            Ok(Ok(())) => Report::passing("HTTP2 ping was successful"),
            Ok(Err(reason)) => failed(&reason),
            Err(_) => failed("HTTP2 ping failed: context deadline exceeded"),
        }
    }

    async fn ping(&self) -> Result<(), String> {
        let dialing = |e: String| format!("Failed to dial to {}: {e}", self.address);
        let (host, port) = net::split(&self.address).map_err(|e| dialing(format!("dial tcp: {e}")))?;
        let stream = net::dial(host, port).await.map_err(dialing)?;
        let answered = match &self.tls {
            Some(wish) => ping(tls::wrap(stream, host, wish).await.map_err(dialing)?).await,
            None => ping(stream).await,
        };
        answered.map_err(|e| format_compact!("HTTP2 ping failed: {e}").into())
    }
}

async fn ping(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), h2::Error> {
    // The sender has to live: without one the connection says goodbye.
    let (_sender, mut connection) = h2::client::Builder::new().handshake::<_, Bytes>(stream).await?;
    let Some(mut pings) = connection.ping_pong() else { return Ok(()) };
    tokio::select! {
        biased;
        answered = pings.ping(h2::Ping::opaque()) => answered.map(drop),
        ended = &mut connection => ended.and(Err(h2::Reason::CANCEL.into())),
    }
}
