//! What an operator may set about DNS, under Consul's names (`dns_config` in its configuration).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The `dns_config` of the agent. [`Options::default`] is Consul's default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Answers over UDP without EDNS hold at most this many records, and never more than 8.
    pub udp_answer_limit: usize,
    /// Servers for names outside of the zones, in the order in which they are asked; none: such names are refused.
    pub recursors: Vec<SocketAddr>,
    /// How long one of them may take.
    pub recursor_timeout: Duration,
    /// At most this many addresses for an A, AAAA or ANY question about a service, over UDP and TCP; 0: no limit.
    pub a_record_limit: usize,
    /// Set the TC bit when an answer over UDP was cut.
    pub enable_truncate: bool,
    /// Leave out instances with a warning too.
    pub only_passing: bool,
    /// Add the node's metadata as TXT records to address and SRV answers.
    pub node_meta_txt: bool,
    /// Do not compress names.
    pub disable_compression: bool,
    /// Time to live of answers about nodes, whole seconds.
    pub node_ttl: Duration,
    /// Time to live of answers about services by name, prefix (`web*`) or `*`, whole seconds.
    pub service_ttl: Vec<(String, Duration)>,
    /// Values of the SOA record.
    pub soa: Soa,
    /// Connections over TCP at a time; further ones are closed.
    pub tcp_connections_max: usize,
    /// A TCP connection without a query for this long is closed (RFC 7766 §6.2.3).
    pub tcp_idle: Duration,
}

/// Options that may change while the server runs.
#[derive(Clone, Debug)]
pub struct LiveOptions(watch::Sender<Arc<Options>>);

impl LiveOptions {
    /// With these to begin with.
    pub fn new(options: Options) -> LiveOptions {
        LiveOptions(watch::Sender::new(Arc::new(options)))
    }

    /// Replaces them; the next query is answered by the new ones. The number and idle time of connections over TCP
    /// stay as they were.
    pub fn set(&self, options: Options) {
        self.0.send_replace(Arc::new(options));
    }

    /// The present ones, now and after changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Options>> {
        self.0.subscribe()
    }
}

/// Values of the SOA record, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Refresh.
    pub refresh: u32,
    /// Retry.
    pub retry: u32,
    /// Expire.
    pub expire: u32,
    /// Time to live of negative answers.
    pub min_ttl: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            udp_answer_limit: 3,
            recursors: Vec::new(),
            recursor_timeout: Duration::from_secs(2),
            a_record_limit: 0,
            enable_truncate: false,
            only_passing: false,
            node_meta_txt: true,
            disable_compression: false,
            node_ttl: Duration::ZERO,
            service_ttl: Vec::new(),
            soa: Soa { refresh: 3600, retry: 600, expire: 86400, min_ttl: 0 },
            tcp_connections_max: 1024,
            tcp_idle: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Time to live of answers about a service, seconds: its own, else that of the longest prefix, else `*`.
    pub(super) fn service_ttl(&self, service: &str) -> u32 {
        let mut best: Option<(usize, Duration)> = None;
        for (pattern, ttl) in &self.service_ttl {
            let fit = match pattern.strip_suffix('*') {
                Some(prefix) => {
                    let head = service.get(..prefix.len());
                    head.is_some_and(|h| h.eq_ignore_ascii_case(prefix)).then_some(prefix.len())
                }
                None => pattern.eq_ignore_ascii_case(service).then_some(usize::MAX),
            };
            if let Some(fit) = fit
                && best.is_none_or(|(known, _)| fit > known)
            {
                best = Some((fit, *ttl));
            }
        }
        best.map_or(0, |(_, ttl)| seconds(ttl))
    }
}

/// Whole seconds as they stand in a record (RFC 2181 §8: 31 bits).
pub(super) fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_ttl_prefers_name_then_longest_prefix_then_all() {
        let ttl = |text: &str, s| (text.to_owned(), Duration::from_secs(s));
        let options = Options {
            service_ttl: vec![ttl("*", 1), ttl("web*", 2), ttl("web-a*", 3), ttl("web-api", 4)],
            ..Options::default()
        };
        let found: Vec<u32> = ["db", "web", "Web-admin", "web-api"].map(|s| options.service_ttl(s)).into();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(Options::default().service_ttl("web"), 0);
    }
}
