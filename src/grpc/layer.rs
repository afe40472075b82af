//! Around every call: how many there are, how long they take, and an id that finds one in the logs.
//!
//! Owns: the names of the operations in metrics. Must never: label a metric with something that a client chose.

use crate::clock::Clock;
use http::{HeaderValue, Request, Response};
use lictor_transport::{Handler, Handling};
use metrics::{Counter, Histogram};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tracing::instrument::{Instrument, Instrumented};

const REQUEST_ID: &str = "x-request-id";
/// A longer id of a client is not taken over.
const REQUEST_ID_BYTES_MAX: usize = 128;

const OPS: [(&str, &str); 27] = [
    ("/lictor.v1.DiscoveryService/Resolve", "resolve"),
    ("/lictor.v1.DiscoveryService/Watch", "watch"),
    ("/lictor.v1.DiscoveryService/ListServices", "list_services"),
    ("/lictor.v1.DiscoveryService/ListInstances", "list_instances"),
    ("/lictor.v1.SessionService/Attach", "attach"),
    ("/lictor.v1.SessionService/CreateSession", "create_session"),
    ("/lictor.v1.SessionService/KeepAliveSession", "keep_alive_session"),
    ("/lictor.v1.SessionService/CloseSession", "close_session"),
    ("/lictor.v1.SessionService/ListSessions", "list_sessions"),
    ("/lictor.v1.RegistryService/RegisterInstances", "register"),
    ("/lictor.v1.RegistryService/UpdateInstance", "update"),
    ("/lictor.v1.RegistryService/DeregisterInstances", "deregister"),
    ("/lictor.v1.RegistryService/ReportHealth", "report"),
    ("/lictor.v1.RegistryService/SetOverride", "set_override"),
    ("/lictor.v1.KvService/Get", "get"),
    ("/lictor.v1.KvService/List", "list"),
    ("/lictor.v1.KvService/Put", "put"),
    ("/lictor.v1.KvService/Delete", "delete"),
    ("/lictor.v1.KvService/Txn", "txn"),
    ("/lictor.v1.KvService/WatchKeys", "watch_keys"),
    ("/lictor.v1.CoordinationService/AcquireLock", "acquire_lock"),
    ("/lictor.v1.CoordinationService/ReleaseLock", "release_lock"),
    ("/lictor.v1.CoordinationService/Campaign", "campaign"),
    ("/lictor.v1.CoordinationService/Proclaim", "proclaim"),
    ("/lictor.v1.CoordinationService/Resign", "resign"),
    ("/lictor.v1.CoordinationService/ObserveElection", "observe_election"),
    ("/lictor.v1.ClusterService/WatchMembers", "watch_members"),
];

/// One kind of call.
struct Op {
    name: &'static str,
    done: Counter,
    seconds: Histogram,
}

impl Op {
    fn new(name: &'static str) -> Arc<Op> {
        Arc::new(Op {
            name,
            done: metrics::counter!("lictor_grpc_requests_total", "op" => name, "code" => "Ok"),
            seconds: metrics::histogram!("lictor_grpc_request_seconds", "op" => name),
        })
    }
}

/// Counts and names calls. The handles of the metrics are made once, so install the recorder before.
pub(super) struct Observe<H> {
    inner: H,
    clock: Clock,
    ops: HashMap<&'static str, Arc<Op>>,
    other: Arc<Op>,
}

impl<H> Observe<H> {
    pub(super) fn new(inner: H, clock: Clock) -> Observe<H> {
        let ops = OPS.iter().map(|(path, name)| (*path, Op::new(name))).collect();
        Observe { inner, clock, ops, other: Op::new("other") }
    }
}

impl<H: Handler> Handler for Observe<H> {
    fn handle(&self, request: Request<Body>) -> Handling {
        let op = self.ops.get(request.uri().path()).unwrap_or(&self.other).clone();
        let given = request.headers().get(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_BYTES_MAX).cloned();
        let span = tracing::debug_span!("grpc", op = op.name, request_id = tracing::field::Empty);
        // An id that nobody would see is not worth its random bytes.
        if !span.is_disabled() {
            match given.as_ref().and_then(|id| id.to_str().ok()) {
                Some(id) => span.record("request_id", id),
                None => span.record("request_id", tracing::field::display(self.clock.uuid())),
            };
        }
        let started = Instant::now();
        Box::pin(Measured { inner: self.inner.handle(request).instrument(span), op, started, given })
    }
}

/// The answer to come.
struct Measured {
    inner: Instrumented<Handling>,
    op: Arc<Op>,
    started: Instant,
    given: Option<HeaderValue>,
}

impl Future for Measured {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.inner).poll(cx));
        self.op.seconds.record(self.started.elapsed());
        if let Ok(answer) = &mut answer {
            // A failed call has its code in the header; of a stream only the beginning is known here.
            let code = answer.headers().get("grpc-status").map_or(Code::Ok, |c| Code::from_bytes(c.as_bytes()));
            if code == Code::Ok {
                self.op.done.increment(1);
            } else {
                let labels = [("op", self.op.name), ("code", name(code))];
                metrics::counter!("lictor_grpc_requests_total", &labels).increment(1);
                let _inside = self.inner.span().enter();
                tracing::debug!(code = name(code), "failed");
            }
            if let Some(id) = self.given.take() {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
        }
        Poll::Ready(answer)
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
