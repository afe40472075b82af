//! One request on its way to an endpoint.

use super::body::RequestBody;
use super::error::Error;
use super::gateway::Gateway;
use super::json::Layout;
use super::read::Read;
use super::reply::Answer;
use super::target::Query;
use crate::model::Text;
use crate::service::Core;
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A body of at most this size is taken where no setting says otherwise.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;
/// So much of a body that is too large is read and dropped, so that the client gets to read why.
const BODY_DRAIN_MAX: usize = 16 * 1024 * 1024;

/// What an endpoint gives back.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

/// A request for a known endpoint, with an allowed method. `C`: the state, where the endpoint needs it.
pub(super) struct Call<C = Core> {
    pub(super) gateway: Arc<Gateway>,
    pub(super) core: C,
    /// The node of the client's agent, if the request came by way of one.
    pub(super) asker: Option<Text>,
    pub(super) method: Method,
    /// Path and query as they came.
    pub(super) target: String,
    /// Decoded.
    pub(super) path: Vec<u8>,
    /// Where the variable part of the path begins.
    pub(super) variable_at: usize,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
}

impl<C> Call<C> {
    /// The part of the path after the endpoint's own, as bytes.
    pub(super) fn variable(&self) -> &[u8] {
        &self.path[self.variable_at..]
    }

    /// The same as a name, or the error for its absence.
    pub(super) fn name(&self, missing: &'static str) -> Result<Cow<'_, str>, Error> {
        match self.variable() {
            b"" => Err(Error::bad_request(missing)),
            name => Ok(String::from_utf8_lossy(name)),
        }
    }

    /// Name of the node of the client's agent.
    pub(super) fn own_node(&self) -> &str {
        self.asker.as_deref().unwrap_or(&self.gateway.facts().node_name)
    }

    /// How documents are laid out for this client.
    pub(super) fn layout(&self) -> Layout {
        if self.gateway.options.pretty_default || self.query.has("pretty") { Layout::Pretty } else { Layout::Compact }
    }

    /// The datacenter and namespace must be this server's.
    pub(super) fn check_place(&self) -> Result<(), Error> {
        check_datacenter(&self.gateway, self.query.get("dc").unwrap_or_default())?;
        self.check_namespace()
    }

    /// There is one namespace and one partition.
    pub(super) fn check_namespace(&self) -> Result<(), Error> {
        for name in ["ns", "partition"] {
            match self.query.get(name) {
                None | Some("" | "default") => {}
                Some(_) if name == "ns" => {
                    return Err(Error::bad_request(
                        "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature",
                    ));
                }
                Some(_) => {
                    return Err(Error::bad_request(format!(
                        "Bad request: Invalid query parameter: \"{name}\" - only \"default\" is supported"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The common parameters of a read that announces its consistency.
    pub(super) fn read(&self) -> Result<Read, Error> {
        let read = self.read_anywhere(true)?;
        self.check_place()?;
        Ok(read)
    }

    /// The same for a read that does not announce it.
    pub(super) fn quiet_read(&self) -> Result<Read, Error> {
        let read = self.read_anywhere(false)?;
        self.check_place()?;
        Ok(read)
    }

    /// The common parameters of a read; the datacenter and the namespace are the caller's to check.
    pub(super) fn read_anywhere(&self, announced: bool) -> Result<Read, Error> {
        let read = Read::parse(&self.query, announced)?;
        self.headers.get_all(CACHE_CONTROL).iter().try_for_each(check_cache_control)?;
        Ok(read)
    }

    /// The whole body of at most so many bytes; `hint` ends the error for one that is too large.
    pub(super) async fn body(&mut self, bytes_max: usize, hint: &str) -> Result<Bytes, Error> {
        let declared = self.body.size_hint().exact();
        let mut whole = BytesMut::new();
        let mut size = 0;
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|_| Error::bad_request("Bad request: the body ends too early"))?;
            let Ok(data) = frame.into_data() else { continue };
            size += data.len();
            if size <= bytes_max {
                if whole.is_empty() && declared == Some(data.len() as u64) {
                    return Ok(data);
                }
                whole.extend_from_slice(&data);
            } else if size > BODY_DRAIN_MAX {
                break;
            }
        }
        if size <= bytes_max {
            return Ok(whole.freeze());
        }
        let size = declared.unwrap_or(size as u64);
        Err(Error::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body({size} bytes) too large, max size: {bytes_max} bytes.{hint}"),
        ))
    }

    /// The body as text; bytes that are no UTF-8 become U+FFFD, as Go does.
    pub(super) async fn text(&mut self) -> Result<String, Error> {
        let body = self.body(BODY_BYTES_MAX, "").await?;
        Ok(String::from_utf8(body.into()).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }
}

/// Only this server's datacenter is served; an empty name is that one.
pub(super) fn check_datacenter(gateway: &Gateway, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.eq_ignore_ascii_case(&gateway.facts().datacenter) {
        Ok(())
    } else {
        Err(Error::no_path_to_datacenter())
    }
}

/// The directives with a time must have one. What they ask for always holds: no answer here is older than the state.
fn check_cache_control(value: &HeaderValue) -> Result<(), Error> {
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    for directive in text.split(',') {
        let Some((name, seconds)) = directive.trim().split_once('=') else { continue };
        if matches!(name, "max-age" | "stale-if-error") && seconds.parse::<i64>().is_err() {
            return Err(Error::bad_request("Invalid Cache-Control header."));
        }
    }
    Ok(())
}
