//! From a request to its answer: the answers that are ready, then the route table.

use super::cache::{Cache, Ready};
use super::call::Call;
use super::error::Error;
use super::meter::Meters;
use super::read::present;
use super::reply::{Answer, Reply, method_not_allowed, moved};
use super::route::{Found, Handler, Route, Router};
use super::target::{Path, Query};
use super::{Options, consul, gzip};
use crate::service::Core;
use futures::FutureExt;
use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const CACHE_ENTRIES_MAX: usize = 65_536;
const CACHE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What all connections share.
pub(super) struct Gateway {
    pub(super) core: Core,
    pub(super) options: Options,
    pub(super) cache: Cache,
    /// The server is stopping: nobody waits any longer.
    pub(super) draining: CancellationToken,
    pub(super) router: Router,
    pub(super) meters: Meters,
}

/// An answer that is there, or one that is being made.
pub(super) enum Answering {
    Now(Option<Reply>),
    Soon(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Future for Answering {
    type Output = Result<Reply, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // Polled once more after its end, it stays silent.
            Answering::Now(reply) => reply.take().map_or(Poll::Pending, |reply| Poll::Ready(Ok(reply))),
            Answering::Soon(future) => future.as_mut().poll(context).map(Ok),
        }
    }
}

impl Gateway {
    pub(super) fn new(core: Core, options: Options) -> Gateway {
        Gateway {
            core,
            options,
            cache: Cache::new(CACHE_ENTRIES_MAX, CACHE_BYTES_MAX),
            draining: CancellationToken::new(),
            router: Router::new(consul::ROUTES),
            meters: Meters::new(consul::ROUTES),
        }
    }

    /// Answers a request.
    pub(super) fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answering {
        let zip = gzip::accepted(request.headers());
        // Cache-Control may be malformed, which only the long way finds out.
        if request.method() == Method::GET && !request.headers().contains_key(CACHE_CONTROL) {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            if let Some(ready) = self.cache.ready(target)
                && let Some(reply) = self.repeat(&ready, zip)
            {
                return Answering::Now(Some(reply));
            }
        }
        match self.route(request, zip) {
            Ok(answering) => answering,
            Err(answer) => Answering::Now(Some(answer.into_reply(zip))),
        }
    }

    /// The answer to a request line that was answered before, if it is still the same and no barrier has to be
    /// waited for.
    fn repeat(&self, ready: &Ready, zip: bool) -> Option<Reply> {
        let view = self.core.view(&ready.mode.options()).now_or_never()?.ok()?;
        if !ready.known.holds_in(&view.state) {
            return None;
        }
        self.meters.repeated();
        Some(present(ready, &view).into_reply(zip))
    }

    fn route(self: &Arc<Self>, request: Request<Incoming>, zip: bool) -> Result<Answering, Box<Answer>> {
        let (head, body) = request.into_parts();
        let page = head.method == Method::GET || head.method == Method::HEAD;
        let query = head.uri.query();
        let path = match Path::parse(head.uri.path(), self.options.unprintable_paths).map_err(|e| Box::new(e.into()))? {
            Path::Clean(path) => path,
            Path::Moved(path) => return Err(Box::new(moved(&with_query(path, query), page))),
        };
        let route = match self.router.find(&path) {
            Found::Route(route) => route,
            Found::NeedsSlash => {
                let path = format!("{}/", super::target::escape(&path));
                return Err(Box::new(moved(&with_query(path, query), page)));
            }
            Found::Nothing => return Err(Box::new(self.outside(&path))),
        };
        let handler = self.admit(route, &head.method)?;
        let query = Query::parse(query.unwrap_or("")).map_err(|e| Box::new(e.into()))?;
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let variable_at = route.path.len().min(path.len());
        let gateway = self.clone();
        let call = Call { gateway, method: head.method, target, path, variable_at, query, headers: head.headers, body };
        let meter = self.meters.of(route.op);
        let started = Instant::now();
        let answering = handler(call);
        Ok(Answering::Soon(Box::pin(async move {
            let answer = answering.await.unwrap_or_else(Answer::from);
            meter.record(answer.status, started);
            answer.into_reply(zip)
        })))
    }

    /// The handler, if the endpoint knows the method.
    fn admit(&self, route: &Route, method: &Method) -> Result<Handler, Box<Answer>> {
        if method == Method::OPTIONS {
            let allow = HeaderValue::from_static(route.allow);
            return Err(Box::new(Answer::empty(StatusCode::OK).with(ALLOW, allow)));
        }
        if !route.allow.split(',').any(|allowed| allowed == method.as_str()) {
            return Err(Box::new(method_not_allowed(method, route.allow)));
        }
        Ok(route.handler)
    }

    /// What is not Consul's API.
    fn outside(&self, path: &[u8]) -> Answer {
        match path {
            b"/" => {
                let mut answer = Answer::text(StatusCode::OK, "Consul Agent");
                answer.headers.remove(http::header::VARY);
                answer
            }
            b"/metrics" => {
                let text = self.options.metrics.render();
                let version = HeaderValue::from_static("text/plain; version=0.0.4");
                Answer::text(StatusCode::OK, text).with(http::header::CONTENT_TYPE, version)
            }
            _ => Error::not_found().into(),
        }
    }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}
