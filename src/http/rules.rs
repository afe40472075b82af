//! What the operator refuses and adds on every request, whatever endpoint it is for.

use super::reply::Reply;
use super::target::unescape;
use crate::model::Network;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use std::net::IpAddr;

/// Consul's `http_config`.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    block_endpoints: Vec<String>,
    headers: HeaderMap,
    allow_write_from: Vec<Network>,
}

impl Rules {
    /// `block_endpoints`: paths that begin so are refused. `headers` are added to every response; what is no header
    /// of HTTP is left out. `allow_write_from`: others may only read, unless it is empty.
    pub fn new(block_endpoints: Vec<String>, headers: &[(String, String)], allow_write_from: Vec<Network>) -> Rules {
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::try_from(value.as_str()).ok()?))
        };
        Rules { block_endpoints, headers: headers.iter().filter_map(header).collect(), allow_write_from }
    }

    /// Whether nothing is refused or added.
    pub(super) fn are_empty(&self) -> bool {
        self.block_endpoints.is_empty() && self.headers.is_empty() && self.allow_write_from.is_empty()
    }

    /// The refusal of a request, if it is refused. A client of a Unix socket has no address and may write.
    pub(super) fn refusal<B>(&self, request: &Request<B>, peer: Option<IpAddr>) -> Option<Reply> {
        // What cannot be decoded is refused later on.
        let path = unescape(request.uri().path(), false).unwrap_or_default();
        if self.block_endpoints.iter().any(|prefix| path.starts_with(prefix.as_bytes())) {
            return Some(forbidden("Endpoint is blocked by agent configuration"));
        }
        let may_write = self.allow_write_from.is_empty()
            || peer.is_none_or(|peer| self.allow_write_from.iter().any(|network| network.holds(peer)));
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        (!may_write && !reads).then(|| forbidden("Access is restricted"))
    }

    /// Adds the operator's headers.
    pub(super) fn add_headers(&self, reply: &mut Reply) {
        for (name, value) in &self.headers {
            reply.headers_mut().insert(name.clone(), value.clone());
        }
    }
}

fn forbidden(text: &'static str) -> Reply {
    let mut reply = Reply::new(Bytes::from_static(text.as_bytes()).into());
    *reply.status_mut() = StatusCode::FORBIDDEN;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rules: &Rules, method: Method, path: &str, peer: Option<&str>) -> Option<u16> {
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        let peer = peer.map(|p| p.parse().expect("an address"));
        rules.refusal(&request, peer).map(|r| r.status().as_u16())
    }

    #[test]
    fn prefixes_are_blocked_however_they_are_escaped() {
        let rules = Rules::new(vec!["/v1/agent/metrics".into()], &[], Vec::new());
        let get = |path| status(&rules, Method::GET, path, None);
        assert_eq!(get("/v1/agent/metrics?x"), Some(403));
        assert_eq!(get("/v1/agent/metrics/x"), Some(403));
        assert_eq!(get("/v1/agent/metric%73"), Some(403));
        assert_eq!(get("/v1/agent/self"), None);
    }

    #[test]
    fn writes_come_from_named_networks_only() {
        let network = Network::parse("10.0.0.0/8").expect("a network");
        let rules = Rules::new(Vec::new(), &[], vec![network]);
        let of = |method, peer| status(&rules, method, "/v1/kv/a", peer);
        assert_eq!(of(Method::PUT, Some("10.1.2.3")), None);
        assert_eq!(of(Method::PUT, Some("11.1.2.3")), Some(403));
        assert_eq!(of(Method::DELETE, Some("::1")), Some(403));
        assert_eq!(of(Method::GET, Some("11.1.2.3")), None);
        assert_eq!(of(Method::PUT, None), None);
    }

    #[test]
    fn headers_are_added() {
        let header = ("X-A".to_owned(), "b".to_owned());
        let rules = Rules::new(Vec::new(), &[header, ("no header".to_owned(), String::new())], Vec::new());
        let mut reply = forbidden("x");
        rules.add_headers(&mut reply);
        assert_eq!(reply.headers()["x-a"], "b");
        assert!(!rules.are_empty() && Rules::default().are_empty());
    }
}
