//! The route table: which path is which endpoint, and which methods it knows.

use super::call::{Answering, Call};
use std::collections::HashMap;

/// What answers a request.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// The agent, on every node.
    Agent(fn(Call<()>) -> Answering),
    /// The state, so on servers; other agents pass the request on to one.
    State(fn(Call) -> Answering),
}

/// One endpoint.
pub(super) struct Route {
    /// With a slash at the end: every path that begins so, the rest of which is a variable.
    pub(super) path: &'static str,
    /// Its methods as the Allow header names them.
    pub(super) allow: &'static str,
    /// Its name in metrics.
    pub(super) op: &'static str,
    pub(super) handler: Handler,
}

/// What was found for a path.
pub(super) enum Found {
    /// An endpoint.
    Route(&'static Route),
    /// There is one for the path with a slash at its end.
    NeedsSlash,
    /// Nothing.
    Nothing,
}

/// Finds routes: an exact path first, then the longest prefix.
pub(super) struct Router {
    exact: HashMap<&'static [u8], &'static Route>,
    /// Longest first.
    prefixes: Vec<&'static Route>,
}

impl Router {
    pub(super) fn new(routes: &'static [Route]) -> Router {
        let (mut prefixes, exact): (Vec<_>, Vec<_>) = routes.iter().partition(|route| route.path.ends_with('/'));
        prefixes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Router { exact: exact.into_iter().map(|route| (route.path.as_bytes(), route)).collect(), prefixes }
    }

    pub(super) fn find(&self, path: &[u8]) -> Found {
        if let Some(route) = self.exact.get(path) {
            return Found::Route(route);
        }
        if let Some(route) = self.prefixes.iter().find(|route| path.starts_with(route.path.as_bytes())) {
            return Found::Route(route);
        }
        let needs_slash = |route: &&&'static Route| route.path.as_bytes().strip_suffix(b"/") == Some(path);
        if self.prefixes.iter().any(|route| needs_slash(&route)) { Found::NeedsSlash } else { Found::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::consul::ROUTES;

    fn path_of(path: &str) -> Option<&'static str> {
        match Router::new(ROUTES).find(path.as_bytes()) {
            Found::Route(route) => Some(route.path),
            _ => None,
        }
    }

    #[test]
    fn the_most_exact_route_is_taken() {
        assert_eq!(path_of("/v1/agent/service/register"), Some("/v1/agent/service/register"));
        assert_eq!(path_of("/v1/agent/service/registered"), Some("/v1/agent/service/"));
        assert_eq!(path_of("/v1/agent/service/deregister/x"), Some("/v1/agent/service/deregister/"));
        assert_eq!(path_of("/v1/kv/"), Some("/v1/kv/"));
        assert_eq!(path_of("/v1/kvx"), None);
        assert!(matches!(Router::new(ROUTES).find(b"/v1/kv"), Found::NeedsSlash));
    }

    #[test]
    fn every_route_is_well_formed_and_there_once() {
        let mut paths: Vec<_> = ROUTES.iter().map(|r| r.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), ROUTES.len());
        for route in ROUTES {
            assert!(route.path.starts_with("/v1/") && route.allow.starts_with("OPTIONS,"), "{}", route.path);
            assert!(!route.op.is_empty(), "{}", route.path);
        }
    }
}
