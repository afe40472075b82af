//! Requests of HTTP that a server has to answer.
//!
//! A read is asked of another server when one fails, equal long polls and equal stale reads share one request, and while
//! no server can be reached, or the one that is asked knows no leader, the last answer is given with its age, unless the
//! read is to be consistent. A poll that joins
//! another one may get an answer that was on its way when it came; the next poll shows what is newer. A write is sent once
//! more only if it was certainly not received.

use super::flight::Flights;
use super::kept::Kept;
use super::servers::Servers;
use crate::grpc::peer::is_refused;
use crate::http::{ASKER, PassedBody, Upstream};
use crate::service::admission::Busy;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, RETRY_AFTER, VARY};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_CONSUL_INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const X_CONSUL_KNOWNLEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const X_CONSUL_LASTCONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
/// Servers that are tried for one request.
const TRIES: usize = 3;
/// A longer answer to a read is an error.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// A body of at most so many bytes is read before it is sent on, so that it can be sent again.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// Bounds of the answers that are kept.
const KEPT_MAX: usize = 16_384;
const KEPT_BYTES_MAX: usize = 128 << 20;
/// How long a poll waits that names no time, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(600));

/// A poll that waits asks a server again so long after it knew no leader.
const LEADERLESS_PAUSE: Duration = Duration::from_secs(1);

/// Heartbeats of sessions.
const RENEW: &str = "/v1/session/renew/";
/// Consul's words for it.
const NO_SERVERS: &str = "No known Consul servers";
/// What a server says that knows no leader.
const NO_LEADER: &[u8] = b"No cluster leader";

/// What decides on the answer to a read: the request line, whether it may be packed, and what caches were told.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    target: String,
    zip: bool,
    cache_control: Option<HeaderValue>,
}

/// A server's answer.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Why there is none.
#[derive(Clone)]
enum Failed {
    /// No server can be reached.
    Away,
    /// It went wrong on the way.
    Broken(Arc<str>),
    /// The server that was asked says that it knows no leader.
    Leaderless(Arc<Answered>),
    /// Too many are asked.
    Limited(Arc<Busy>),
}

impl From<Busy> for Failed {
    fn from(busy: Busy) -> Failed {
        Failed::Limited(Arc::new(busy))
    }
}

type Outcome = Result<Arc<Answered>, Failed>;

/// The way to the servers. Clones share everything.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    servers: Servers,
    /// Name of this node, for servers.
    asker: HeaderValue,
    flights: Flights<Asked, Outcome>,
    kept: Kept<Asked, Answered>,
}

impl Upstream for Http {
    fn ask(&self, request: Request<PassedBody>) -> BoxFuture<'static, Response<PassedBody>> {
        let this = self.clone();
        Box::pin(async move {
            let whole = !request.uri().path().starts_with("/v1/snapshot");
            match request.method() == Method::GET && whole {
                true => {
                    let (head, _) = request.into_parts();
                    this.read(&head).await
                }
                false => this.pass(request).await,
            }
        })
    }

    fn known(&self) -> usize {
        self.0.servers.known()
    }
}

impl Http {
    /// Through these servers, for the agent of this node.
    pub fn new(servers: Servers, node: &str) -> Http {
        // Names of nodes have no control characters; one that is no header all the same is not named.
        let asker = HeaderValue::from_str(node).unwrap_or_else(|_| HeaderValue::from_static(""));
        let (flights, kept) = (Flights::default(), Kept::new(KEPT_MAX, KEPT_BYTES_MAX));
        Http(Arc::new(Inner { servers, asker, flights, kept }))
    }

    /// A read that has no effect.
    async fn read(&self, request: &http::request::Parts) -> Response<PassedBody> {
        let target = request.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let poll = Poll::of(request.uri.query().unwrap_or_default());
        let zip = request.headers.contains_key(ACCEPT_ENCODING);
        let asked = Asked { target, zip, cache_control: request.headers.get(CACHE_CONTROL).cloned() };
        let keeps = Asked { target: poll.plain(request.uri.path()), ..asked.clone() };
        let until = Instant::now() + poll.wait;
        loop {
            let failed = match self.fetch_shared(&asked, &poll).await {
                Ok(answer) => {
                    if matches!(answer.status, StatusCode::OK | StatusCode::NOT_FOUND) {
                        let bytes = answer.body.len() + keeps.target.len() + 512;
                        self.0.kept.put(keeps, answer.clone(), bytes);
                    }
                    return answer.response();
                }
                Err(failed) => failed,
            };
            if let Failed::Limited(_) = failed {
                return failure(&failed);
            }
            let kept = self.0.kept.get(&keeps).filter(|_| !poll.consistent);
            let Some((answer, heard)) = kept else { return failure(&failed) };
            // Whoever waits for something newer goes on waiting, rather than ask again and again.
            if poll.index > 0 && answer.index() == poll.index && Instant::now() < until {
                let back = async {
                    if matches!(failed, Failed::Leaderless(_)) {
                        tokio::time::sleep(LEADERLESS_PAUSE).await;
                    }
                    self.0.servers.up().await
                };
                if tokio::time::timeout_at(until, back).await.is_ok() {
                    continue;
                }
            }
            return answer.aged(heard);
        }
    }

    async fn fetch_shared(&self, asked: &Asked, poll: &Poll<'_>) -> Outcome {
        if poll.index == 0 && !poll.stale {
            // It may have to show what was written a moment ago.
            return self.clone().fetch(asked.clone()).await;
        }
        let shared = self.0.flights.join(asked.clone(), || self.clone().fetch(asked.clone())).await;
        shared.unwrap_or(Err(Failed::Away))
    }

    async fn fetch(self, asked: Asked) -> Outcome {
        self.0.servers.admit()?;
        let mut last = Failed::Away;
        for _ in 0..TRIES {
            let Some(server) = self.0.servers.pick().await else { return Err(last) };
            let mut request = Request::new(Body::empty());
            let Ok(uri) = asked.target.parse() else { return Err(Failed::Broken("the request line is none".into())) };
            *request.uri_mut() = uri;
            let headers = request.headers_mut();
            headers.insert(ASKER, self.0.asker.clone());
            if asked.zip {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            }
            if let Some(value) = &asked.cache_control {
                headers.insert(CACHE_CONTROL, value.clone());
            }
            match whole(server.channel.clone(), request).await {
                Ok(answer) if answer.is_leaderless() => {
                    self.0.servers.doubt(&server);
                    return Err(Failed::Leaderless(Arc::new(answer)));
                }
                Ok(answer) => return Ok(Arc::new(answer)),
                Err(why) => {
                    self.0.servers.failed(&server);
                    last = Failed::Broken(why.into());
                }
            }
        }
        Err(last)
    }

    /// Everything else, and what is too large to be held: passed on as it comes.
    async fn pass(&self, request: Request<PassedBody>) -> Response<PassedBody> {
        let (mut head, body) = request.into_parts();
        // A heartbeat that is late costs a session.
        if !head.uri.path().starts_with(RENEW)
            && let Err(busy) = self.0.servers.admit()
        {
            return failure(&busy.into());
        }
        head.headers.insert(ASKER, self.0.asker.clone());
        let small = body.size_hint().upper().is_some_and(|size| size <= BODY_BYTES_MAX);
        if !small {
            let Some(server) = self.0.servers.pick().await else { return failure(&Failed::Away) };
            return match send(server.channel.clone(), Request::from_parts(head, Body::new(body))).await {
                Ok(answer) => answer,
                Err((why, _)) => failure(&Failed::Broken(why.into())),
            };
        }
        let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
            return failure(&Failed::Broken("the request ends too early".into()));
        };
        let mut last = Failed::Away;
        for _ in 0..TRIES {
            let Some(server) = self.0.servers.pick().await else { break };
            let request = Request::from_parts(head.clone(), Body::new(Full::new(body.clone())));
            match send(server.channel.clone(), request).await {
                Ok(answer) => return answer,
                Err((why, refused)) => {
                    self.0.servers.failed(&server);
                    last = Failed::Broken(why.into());
                    if !refused {
                        break;
                    }
                }
            }
        }
        failure(&last)
    }
}

/// Sends a request; the error says whether it was certainly not received.
async fn send(channel: Channel, request: Request<Body>) -> Result<Response<PassedBody>, (String, bool)> {
    let answer = channel.oneshot(request).await;
    let answer = answer.map_err(|error| (error_text(&error), is_refused(&error)))?;
    Ok(answer.map(|body| PassedBody::new(body.map_err(Into::into))))
}

async fn whole(channel: Channel, request: Request<Body>) -> Result<Answered, String> {
    let (head, mut body) = send(channel, request).await.map_err(|(why, _)| why)?.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| e.to_string())?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Ok(Answered { status: head.status, headers: head.headers, body: bytes.freeze() })
}

fn error_text(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn failure(failed: &Failed) -> Response<PassedBody> {
    let (status, text) = match failed {
        Failed::Away => (StatusCode::INTERNAL_SERVER_ERROR, NO_SERVERS.to_owned()),
        Failed::Broken(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("rpc error making call: {why}")),
        Failed::Leaderless(answer) => return answer.response(),
        Failed::Limited(busy) => (StatusCode::TOO_MANY_REQUESTS, busy.reason.clone()),
    };
    let mut answer = Response::new(full(text.into()));
    *answer.status_mut() = status;
    if let Failed::Limited(busy) = failed {
        answer.headers_mut().insert(RETRY_AFTER, busy.retry_after.as_secs().max(1).into());
    }
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    answer
}

fn full(bytes: Bytes) -> PassedBody {
    PassedBody::new(Full::new(bytes).map_err(|never| match never {}))
}

impl Answered {
    fn response(&self) -> Response<PassedBody> {
        let mut answer = Response::new(full(self.body.clone()));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers.clone();
        answer
    }

    fn is_leaderless(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR && self.body == NO_LEADER
    }

    fn index(&self) -> u64 {
        let text = self.headers.get(X_CONSUL_INDEX).and_then(|value| value.to_str().ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The same, long after.
    fn aged(&self, heard: Instant) -> Response<PassedBody> {
        let mut answer = self.response();
        let (age, headers) = (heard.elapsed(), answer.headers_mut());
        headers.insert(X_CACHE, HeaderValue::from_static("HIT"));
        headers.insert(AGE, age.as_secs().into());
        headers.insert(X_CONSUL_KNOWNLEADER, HeaderValue::from_static("false"));
        headers.insert(X_CONSUL_LASTCONTACT, u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1).into());
        answer
    }
}

/// What of a query decides how it is asked.
struct Poll<'a> {
    index: u64,
    wait: Duration,
    stale: bool,
    consistent: bool,
    /// What decides on the content.
    rest: Vec<&'a str>,
}

impl<'a> Poll<'a> {
    /// Malformed values count as none: the server says what is wrong with them.
    fn of(query: &'a str) -> Poll<'a> {
        let mut poll = Poll { index: 0, wait: Duration::ZERO, stale: false, consistent: false, rest: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "index" => poll.index = value.parse().unwrap_or(0),
                "wait" => {
                    let wait = crate::model::duration::parse_duration(value).unwrap_or(0);
                    poll.wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(0));
                }
                "stale" | "cached" => poll.stale = true,
                "consistent" => poll.consistent = true,
                _ => poll.rest.push(pair),
            }
        }
        poll.wait = if poll.wait.is_zero() { WAIT.0 } else { poll.wait.min(WAIT.1) };
        poll
    }

    /// The request line of the same question at any time.
    fn plain(&self, path: &str) -> String {
        let mut rest = self.rest.clone();
        rest.sort_unstable();
        format!("{path}?{}", rest.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_at_different_times_is_the_same_question() {
        let a = Poll::of("index=7&passing&wait=10s&stale&tag=b&tag=a");
        let b = Poll::of("tag=b&tag=a&passing");
        assert_eq!((a.index, a.wait, a.stale, a.consistent), (7, Duration::from_secs(10), true, false));
        assert_eq!(a.plain("/v1/health/service/web"), b.plain("/v1/health/service/web"));
        assert_ne!(a.plain("/v1/health/service/web"), Poll::of("tag=b").plain("/v1/health/service/web"));
        assert_eq!(Poll::of("index=1").wait, WAIT.0);
    }
}
