//! /v1/session but for its creation. A session is known by its id alone, which is all the proof that Consul's API has;
//! sessions of our own API are shown too, and nobody can renew or end them here.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::format_duration;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::{self, Behavior, SessionId, Text, uuid_key};
use crate::service::AGENTLESS;
use http::StatusCode;
use std::borrow::Cow;

const NS_PER_MS: u64 = 1_000_000;

/// A session as clients get it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Session<'a> {
    #[serde(rename = "ID")]
    id: SessionId,
    name: &'a str,
    node: &'a str,
    /// Nanoseconds.
    lock_delay: u64,
    behavior: &'static str,
    #[serde(rename = "TTL")]
    ttl: Cow<'a, str>,
    node_checks: Option<&'a [Text]>,
    service_checks: Option<Vec<ServiceCheck<'a>>>,
    #[serde(skip_serializing_if = "<[Text]>::is_empty")]
    checks: &'a [Text],
    create_index: u64,
    modify_index: u64,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceCheck<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    namespace: &'a str,
}

impl<'a> Session<'a> {
    fn of(session: &'a model::Session) -> Session<'a> {
        let plain = Session {
            id: session.id,
            name: "",
            node: AGENTLESS,
            lock_delay: 0,
            behavior: match session.behavior {
                Behavior::Release => "release",
                Behavior::Delete => "delete",
            },
            ttl: Cow::Borrowed(""),
            node_checks: Some(&[]),
            service_checks: None,
            checks: &[],
            create_index: session.create_revision,
            modify_index: session.create_revision,
        };
        let Some(binding) = &session.binding else {
            let ns = i64::try_from(session.ttl_ms.saturating_mul(NS_PER_MS)).unwrap_or(i64::MAX);
            return Session { ttl: Cow::Owned(format_duration(ns)), ..plain };
        };
        let check = |(id, namespace): &'a (Text, Text)| ServiceCheck { id, namespace };
        Session {
            name: &binding.name,
            node: &binding.node,
            lock_delay: binding.lock_delay_ns,
            ttl: Cow::Borrowed(&binding.ttl),
            node_checks: binding.node_checks.as_deref(),
            service_checks: binding.service_checks.as_deref().map(|list| list.iter().map(check).collect()),
            checks: &binding.checks,
            ..plain
        }
    }
}

/// GET session/list
pub(super) async fn list(call: Call) -> Result<Answer, Error> {
    ask(call, &|state| state.sessions().map(|session| Session::of(session)).collect()).await
}

/// GET session/info/:id
pub(super) async fn info(call: Call) -> Result<Answer, Error> {
    let id = session_id(&call.name("Missing session")?)?;
    ask(call, &|state| state.session(&id).map(|session| Session::of(session)).into_iter().collect()).await
}

/// GET session/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    let name = call.name("Missing node name")?.into_owned();
    ask(call, &|state| {
        let bound = state.sessions_bound_to(&name);
        let free = state.sessions().filter(|s| s.binding.is_none() && name.eq_ignore_ascii_case(AGENTLESS));
        bound.chain(free).map(|session| Session::of(session)).collect()
    })
    .await
}

type Find<'f> = &'f (dyn for<'a> Fn(&'a State) -> Vec<Session<'a>> + Sync);

async fn ask(call: Call, find: Find<'_>) -> Result<Answer, Error> {
    let read = call.quiet_read()?;
    let layout = call.layout();
    let question = Question {
        scope: Scope::Sessions,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| Answer::json(&find(state), layout),
    };
    question.ask(call, read).await
}

/// PUT session/renew/:id
pub(super) async fn renew(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let text = call.name("Missing session")?;
    let id = session_id(&text)?;
    match call.core.renew_bound(&id).await? {
        Some(session) => Answer::json(&[Session::of(&session)], call.layout()),
        None => Err(Error::new(StatusCode::NOT_FOUND, format!("Session id '{text}' not found"))),
    }
}

/// PUT session/destroy/:id
pub(super) async fn destroy(call: Call) -> Result<Answer, Error> {
    call.check_place()?;
    let id = session_id(&call.name("Missing session")?)?;
    call.core.close_bound(&id).await?;
    Answer::json(&true, call.layout())
}

/// The id of a session, with the words of Consul's index for what is none. A key that nobody can have is the nil id, which
/// nobody has either.
pub(super) fn session_id(text: &str) -> Result<SessionId, Error> {
    let read = uuid_key(text).map_err(|why| Error::server(format!("failed session lookup: {why}")))?;
    Ok(read.unwrap_or_default())
}
