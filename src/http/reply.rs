//! Answers, and the headers that Consul puts on them.

use super::error::Error;
use super::json::{Layout, encode};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, VARY};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// What goes on the wire.
pub(super) type Reply = Response<Full<Bytes>>;

pub(super) const X_CONSUL_INDEX: HeaderName = HeaderName::from_static("x-consul-index");
pub(super) const X_CONSUL_KNOWNLEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
pub(super) const X_CONSUL_LASTCONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
pub(super) const X_CONSUL_CONSISTENCY: HeaderName = HeaderName::from_static("x-consul-effective-consistency");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// An answer of an endpoint: the present state of something, or the result of a write.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Only a status.
    pub(super) fn empty(status: StatusCode) -> Answer {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(VARY, ACCEPT_ENCODING);
        Answer { status, headers, body: Bytes::new() }
    }

    /// A document.
    pub(super) fn json<T: Serialize + ?Sized>(value: &T, layout: Layout) -> Result<Answer, Error> {
        let body = encode(value, layout).map_err(|error| Error::server(format!("failed to encode: {error}")))?;
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(CONTENT_TYPE, JSON);
        answer.body = body.into();
        Ok(answer)
    }

    /// Plain bytes that a browser must not make anything of.
    pub(super) fn raw(body: Bytes) -> Answer {
        let mut answer = Answer::empty(StatusCode::OK);
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        answer.headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer.headers.insert(http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        answer.body = body;
        answer
    }

    /// A line of text.
    pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
        let mut answer = Answer::empty(status);
        answer.headers.insert(CONTENT_TYPE, TEXT);
        answer.body = text.into();
        answer
    }

    /// Another header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.insert(name, value);
        self
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        let mut reply = Response::new(Full::new(answer.body));
        *reply.status_mut() = answer.status;
        *reply.headers_mut() = answer.headers;
        reply
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Answer {
        let mut answer = match error.text.is_empty() {
            true => Answer::empty(error.status),
            false => Answer::text(error.status, Bytes::from(error.text.into_owned())),
        };
        if !error.of_endpoint {
            answer.headers.remove(VARY);
        }
        answer
    }
}

/// The endpoint does not know this method.
pub(super) fn method_not_allowed(method: &http::Method, allow: &'static str) -> Answer {
    let text = format!("method {method} not allowed");
    Answer::text(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, HeaderValue::from_static(allow))
}

/// The client is sent to another path, with Go's little page for reads.
pub(super) fn moved(location: &str, page: bool) -> Answer {
    let mut answer = Answer::empty(StatusCode::MOVED_PERMANENTLY);
    answer.headers.remove(VARY);
    // The location is percent-escaped, so it is a valid header.
    if let Ok(value) = HeaderValue::from_str(location) {
        answer.headers.insert(LOCATION, value);
    }
    if page {
        let href = location.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;").replace('>', "&gt;");
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        answer.body = format!("<a href=\"{href}\">Moved Permanently</a>.\n\n").into();
    }
    answer
}
