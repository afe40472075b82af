//! From a request to its answer: the answers that are ready, then the route table.

use super::body::{PassedBody, ReplyBody, RequestBody};
use super::cache::{Cache, Ready};
use super::call::Call;
use super::error::Error;
use super::meter::Meters;
use super::read::present;
use super::reply::{Answer, Reply, method_not_allowed, moved};
use super::route::{Found, Handler, Route, Router};
use super::target::{Path, Query};
use super::{Options, consul, gzip};
use crate::clock::Clock;
use crate::gossip::Gossip;
use crate::model::Text;
use crate::service::{Core, Facts};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

const CACHE_ENTRIES_MAX: usize = 65_536;
const CACHE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Where the state is.
#[derive(Clone)]
pub enum Source {
    /// In this process, which is a server.
    Here(Core),
    /// With the servers.
    Servers(Arc<dyn Upstream>, Gossip),
}

/// The header in which an agent names its node when it passes a request on.
pub const ASKER: &str = "x-lictor-agent";

/// Passes requests on to servers.
pub trait Upstream: Send + Sync + 'static {
    /// The answer of a server, or one that was kept, or an error in Consul's words.
    fn ask(&self, request: Request<PassedBody>) -> BoxFuture<'static, Response<PassedBody>>;

    /// How many servers are known to be there.
    fn known(&self) -> usize;
}

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct Front(pub(super) Arc<Gateway>);

impl Front {
    /// For the state of this server, or that of others.
    pub fn new(source: Source, options: Options) -> Front {
        Front(Arc::new(Gateway::new(source, options)))
    }

    /// Answers what the agent of this node passes on.
    pub fn answer(
        &self,
        request: Request<PassedBody>,
        asker: Option<Text>,
    ) -> BoxFuture<'static, Response<PassedBody>> {
        let answering = self.0.answer(request.map(RequestBody::from), asker);
        Box::pin(async move {
            let Ok(reply) = answering.await;
            reply.map(PassedBody::new)
        })
    }
}

/// What all connections share.
pub(super) struct Gateway {
    source: Source,
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
    fn new(source: Source, options: Options) -> Gateway {
        Gateway {
            source,
            options,
            cache: Cache::new(CACHE_ENTRIES_MAX, CACHE_BYTES_MAX),
            draining: CancellationToken::new(),
            router: Router::new(consul::ROUTES),
            meters: Meters::new(consul::ROUTES),
        }
    }

    /// The state, if this is a server.
    pub(super) fn core(&self) -> Option<&Core> {
        match &self.source {
            Source::Here(core) => Some(core),
            Source::Servers(..) => None,
        }
    }

    /// The pool, if this process gossips.
    pub(super) fn gossip(&self) -> Option<&Gossip> {
        match &self.source {
            Source::Here(core) => core.gossip(),
            Source::Servers(_, gossip) => Some(gossip),
        }
    }

    /// How many servers this agent knows.
    pub(super) fn known_servers(&self) -> usize {
        match &self.source {
            Source::Here(core) => core.raft_status().members.len(),
            Source::Servers(upstream, _) => upstream.known(),
        }
    }

    /// Facts about this process.
    pub(super) fn facts(&self) -> &Facts {
        self.options.agent.facts()
    }

    /// Time and randomness.
    pub(super) fn clock(&self) -> &Clock {
        self.options.agent.clock()
    }

    /// Answers a request. `asker`: the node of the client's agent, if it is not this one.
    pub(super) fn answer(self: &Arc<Self>, request: Request<RequestBody>, asker: Option<Text>) -> Answering {
        let zip = gzip::accepted(request.headers());
        // Cache-Control may be malformed, which only the long way finds out.
        if request.method() == Method::GET
            && !request.headers().contains_key(CACHE_CONTROL)
            && let Some(core) = self.core()
            && let Some(ready) = self.cache.ready(&target(request.uri(), asker.as_deref()))
            && let Some(reply) = self.repeat(core, &ready, zip)
        {
            return Answering::Now(Some(reply));
        }
        match self.route(request, asker, zip) {
            Ok(answering) => answering,
            Err(answer) => Answering::Now(Some(answer.into_reply(zip))),
        }
    }

    /// The answer to a request line that was answered before, if it is still the same and no barrier has to be
    /// waited for.
    fn repeat(&self, core: &Core, ready: &Ready, zip: bool) -> Option<Reply> {
        let view = core.view(&ready.mode.options()).now_or_never()?.ok()?;
        if !ready.known.holds_in(&view.state) {
            return None;
        }
        self.meters.repeated();
        Some(present(ready, &view).into_reply(zip))
    }

    fn route(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        asker: Option<Text>,
        zip: bool,
    ) -> Result<Answering, Box<Answer>> {
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
        let meter = self.meters.of(route.op);
        let started = Instant::now();
        let target = target(&head.uri, asker.as_deref()).into_owned();
        let variable_at = route.path.len().min(path.len());
        let (gateway, method, mut headers) = (self.clone(), head.method, head.headers);
        let answering = match (handler, &self.source) {
            (Handler::Agent(handler), _) => {
                handler(Call { gateway, core: (), asker, method, target, path, variable_at, query, headers, body })
            }
            (Handler::State(handler), Source::Here(core)) => {
                let core = core.clone();
                handler(Call { gateway, core, asker, method, target, path, variable_at, query, headers, body })
            }
            (Handler::State(_), Source::Servers(upstream, _)) => {
                let mut request = Request::new(body.into_passed());
                // What the server packs need not be packed here.
                headers.remove(ACCEPT_ENCODING);
                if zip {
                    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
                }
                (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, head.uri, headers);
                let answering = upstream.ask(request);
                return Ok(Answering::Soon(Box::pin(async move {
                    let answer = answering.await;
                    meter.record(answer.status(), started);
                    answer.map(ReplyBody::Passed)
                })));
            }
        };
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

/// The request line under which answers are kept. One that depends on the client's agent says which one it is.
fn target<'a>(uri: &'a Uri, asker: Option<&str>) -> Cow<'a, str> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    match asker {
        Some(asker) if target.contains("_agent") => format!("{target} {asker}").into(),
        _ => target.into(),
    }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}
