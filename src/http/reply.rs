//! Answers, and the headers that Consul puts on them.

use super::body::{Log, ReplyBody};
use super::error::Error;
use super::gzip;
use super::json::{Layout, encode};
use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, VARY,
};
use http::{Response, StatusCode};
use serde::Serialize;
use std::sync::{Arc, OnceLock};

/// What goes on the wire.
pub(super) type Reply = Response<ReplyBody>;

pub(super) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
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
    /// For an answer that is sent many times: its body in gzip, made when it is first asked for.
    pub(super) packed: Option<Arc<OnceLock<Option<Bytes>>>>,
    /// The log follows in the place of a body.
    pub(super) log: Option<Log>,
}

impl Answer {
    /// Only a status.
    pub(super) fn empty(status: StatusCode) -> Answer {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(VARY, ACCEPT_ENCODING);
        Answer { status, headers, body: Bytes::new(), packed: None, log: None }
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

    /// The same answer with other headers.
    pub(super) fn under(&self, headers: HeaderMap) -> Answer {
        let Answer { status, headers: _, body, packed, log } = self;
        Answer { status: *status, headers, body: body.clone(), packed: packed.clone(), log: log.clone() }
    }

    /// Another header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.insert(name, value);
        self
    }
}

impl Answer {
    /// What goes on the wire. `zip`: the client takes gzip. Like Consul, every answer of an endpoint is then packed,
    /// however small it is.
    pub(super) fn into_reply(mut self, zip: bool) -> Reply {
        if zip
            && !self.body.is_empty()
            && self.headers.contains_key(VARY)
            && !self.headers.contains_key(CONTENT_ENCODING)
        {
            let packed = match &self.packed {
                Some(packed) => packed.get_or_init(|| gzip::pack(&self.body)).clone(),
                None => gzip::pack(&self.body),
            };
            if let Some(packed) = packed {
                self.body = packed;
                self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        let mut reply = Response::new(self.log.map_or_else(|| self.body.into(), Log::open));
        *reply.status_mut() = self.status;
        *reply.headers_mut() = self.headers;
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
        if let Some(after) = error.retry_after {
            // In whole seconds, and not too early.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            answer.headers.insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
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
