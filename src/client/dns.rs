//! Questions of DNS: a server answers; while none can be reached or it fails, what it said last.
//!
//! An answer is not given twice for the sake of its time to live: servers shuffle their answers, and a cache that must
//! save questions is the client's.

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

/// Where an answer says how it went, and some of what it can say (RFC 1035, 4.1.1).
const RCODE: u8 = 0x0f;
const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// Asks these servers.
pub fn dns(servers: Servers) -> AskServers {
    let kept = Arc::new(Kept::<Vec<u8>, Vec<u8>>::new(KEPT_MAX, KEPT_BYTES_MAX));
    Arc::new(move |message, tcp| {
        let (servers, kept) = (servers.clone(), kept.clone());
        Box::pin(async move {
            // Everything but the id; it may be cut off over UDP.
            let key: Vec<u8> = message.get(2..)?.iter().copied().chain([u8::from(tcp)]).collect();
            let reply = match servers.admit() {
                Ok(()) => ask(&servers, &message, tcp).await,
                Err(_) => None,
            };
            // A failure says nothing that is worth keeping, and less than what was said before.
            match reply.as_ref().and_then(|reply| reply.get(3)).map(|flags| flags & RCODE) {
                Some(NO_ERROR | NAME_ERROR) => {
                    let said = reply?;
                    kept.put(key, Arc::new(said.clone()), message.len() + said.len());
                    return Some(said);
                }
                None | Some(SERVER_FAILURE) => {}
                Some(_) => return reply,
            }
            let Some((said, _)) = kept.get(&key) else { return reply };
            let mut reply = (*said).clone();
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
