//! Questions of DNS: a server answers; while none can be reached, what it said last.

use super::kept::Kept;
use super::servers::Servers;
use crate::dns::AskServers;
use crate::proto::internal::AskDnsRequest;
use crate::proto::internal::agent_service_client::AgentServiceClient;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take; clients ask again after 5 s.
const LIMIT: Duration = Duration::from_secs(3);
/// Bounds of the answers that are kept.
const KEPT_MAX: usize = 16_384;
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Asks these servers.
pub fn dns(servers: Servers) -> AskServers {
    let kept = Arc::new(Kept::<Vec<u8>, Vec<u8>>::new(KEPT_MAX, KEPT_BYTES_MAX));
    Arc::new(move |message, tcp| {
        let (servers, kept) = (servers.clone(), kept.clone());
        Box::pin(async move {
            // Everything but the id; it may be cut off over UDP.
            let key: Vec<u8> = message.get(2..)?.iter().copied().chain([u8::from(tcp)]).collect();
            if servers.admit().is_ok()
                && let Some(reply) = ask(&servers, &message, tcp).await
            {
                // A failure says nothing that is worth keeping.
                if reply.get(3).is_some_and(|flags| matches!(flags & 0x0f, 0 | 3)) {
                    kept.put(key, Arc::new(reply.clone()), message.len() + reply.len());
                }
                return Some(reply);
            }
            let mut reply = (*kept.get(&key)?.0).clone();
            reply.get_mut(..2)?.copy_from_slice(message.get(..2)?);
            Some(reply)
        })
    })
}

async fn ask(servers: &Servers, message: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let server = servers.pick().await?;
    let mut client = AgentServiceClient::new(server.channel.clone());
    let request = AskDnsRequest { message: message.to_vec().into(), tcp };
    match tokio::time::timeout(LIMIT, client.ask_dns(request)).await {
        Ok(Ok(answer)) => Some(answer.into_inner().message.into()),
        Ok(Err(status)) => {
            if std::error::Error::source(&status).is_some() {
                servers.failed(&server);
            }
            None
        }
        Err(_) => None,
    }
}
