//! HTTP requests.

use super::output::Tail;
use super::redirect::{REDIRECTS_MAX, Request};
use super::url::Url;
use super::{Report, go, net, tls};
use crate::model::{CheckDefinition, Health};
use crate::outgoing::{Answer, HeaderCase, exchange};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compact_str::format_compact;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug)]
pub(super) struct Http {
    url: String,
    method: String,
    /// The first request, or why there cannot be one.
    request: Result<Request, String>,
    redirects: bool,
    tls: tls::Wish,
    timeout: Duration,
    max: usize,
}

impl Http {
    pub(super) fn new(definition: &CheckDefinition, timeout: Duration, max: usize) -> Http {
        let method = if definition.method.is_empty() { "GET" } else { definition.method.as_str() };
        Http {
            url: definition.http.clone(),
            method: method.to_owned(),
            request: request(definition, method),
            redirects: !definition.disable_redirects,
            tls: tls::Wish::of(definition, &[b"http/1.1"]),
            timeout,
            max,
        }
    }

    pub(super) async fn run(&self) -> Report {
        let failed = |reason: &str| {
            let mut method = self.method.to_ascii_lowercase();
            if let Some(first) = method.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Report::critical(format_compact!("{method} {:?}: {reason}", self.url))
        };
        let request = match &self.request {
            Ok(request) => request.clone(),
            Err(reason) => return failed(reason),
        };
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(report)) => report,
            Ok(Err(reason)) => failed(&reason),
            Err(_) => failed("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
        }
    }

    async fn exchange(&self, mut request: Request) -> Result<Report, String> {
        for _ in 0..=REDIRECTS_MAX {
            let Answer { response, connection } = self.send(&request).await?;
            let next = request.follow(response.status(), response.headers()).filter(|_| self.redirects);
            match next {
                Some(next) => request = next?,
                None => return Ok(self.judge(response, connection).await),
            }
        }
        Err(format!("stopped after {REDIRECTS_MAX} redirects"))
    }

    async fn send(&self, request: &Request) -> Result<Answer, String> {
        let stream = net::dial(&request.url.host, request.url.port).await?;
        if request.url.tls {
            let stream = tls::wrap(stream, &request.url.host, &self.tls).await?;
            exchange(stream, message(request)?, HeaderCase::Title).await.map_err(|e| say(&e))
        } else {
            exchange(stream, message(request)?, HeaderCase::Title).await.map_err(|e| say(&e))
        }
    }

    async fn judge(&self, response: Response<Incoming>, connection: AbortOnDropHandle<()>) -> Report {
        let status = status_line(&response);
        let health = match response.status() {
            code if code.is_success() => Health::Passing,
            StatusCode::TOO_MANY_REQUESTS => Health::Warning,
            _ => Health::Critical,
        };
        let mut tail = Tail::new(self.max);
        let mut body = response.into_body();
        // A body that breaks off does not change what the status said.
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                tail.push(data);
            }
        }
        drop(connection);
        let output = format_compact!("HTTP {} {}: {status} Output: {}", self.method, self.url, tail.text());
        Report { health, output }
    }
}

fn request(definition: &CheckDefinition, method: &str) -> Result<Request, String> {
    let wrong = |what: &str, name: &str| format!("net/http: invalid {what} {name:?}");
    let url = Url::parse(&definition.http)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong("method", method))?;
    let mut headers = HeaderMap::new();
    for (name, values) in &definition.header {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("header field name", name))?;
        for value in values {
            let value = HeaderValue::from_str(value).map_err(|_| wrong("header field value for", name))?;
            headers.append(key.clone(), value);
        }
    }
    for (name, value) in [(USER_AGENT, "Consul Health Check"), (ACCEPT, "text/plain, text/*, */*")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(user) = &url.user
        && !headers.contains_key(AUTHORIZATION)
        && let Ok(basic) = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user)))
    {
        headers.insert(AUTHORIZATION, basic);
    }
    Ok(Request { method, url, headers, body: definition.body.clone() })
}

/// The bytes to send, but for their encoding.
fn message(request: &Request) -> Result<http::Request<Full<Bytes>>, String> {
    let mut message = http::Request::new(Full::new(Bytes::from(request.body.clone())));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = request.url.target.parse().map_err(|e| format!("{e}"))?;
    let headers = message.headers_mut();
    *headers = request.headers.clone();
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&request.url.authority).map_err(|e| e.to_string())?;
        headers.insert(HOST, host);
    }
    if !request.body.is_empty() {
        headers.insert(CONTENT_LENGTH, request.body.len().into());
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(message)
}

/// `200 OK`, with the server's own words.
fn status_line(response: &Response<Incoming>) -> String {
    let status = response.status();
    let own = response.extensions().get::<hyper::ext::ReasonPhrase>();
    let reason = match own {
        Some(own) => String::from_utf8_lossy(own.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    format!("{} {reason}", status.as_u16())
}

fn say(error: &hyper::Error) -> String {
    let system = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    match system {
        Some(system) => format!("read: {}", go::reason(system)),
        None if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => "EOF".to_owned(),
        None if error.is_parse() => {
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned()
        }
        None => error.to_string(),
    }
}
