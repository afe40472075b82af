//! /v1/query: prepared queries. Missing: failing over to other datacenters, as there are none.

use super::query_body::{DnsShape, QueryShape, decode};
use super::shapes::{HealthCheck, Node, NodeService, checks};
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::json::Object;
use crate::http::read::{Mode, Question, Read};
use crate::http::reply::{Answer, X_CACHE, method_not_allowed};
use crate::http::scope::Scope;
use crate::machine::{QueryMiss, State};
use crate::model::{Instance, PreparedQuery, QueryId, uuid_key};
use crate::service::{Consistency, View, near_first, query_instances};
use http::{HeaderValue, Method, StatusCode};
use uuid::Uuid;

/// /v1/query
pub(super) async fn queries(call: Call) -> Result<Answer, Error> {
    if call.method == Method::POST {
        return create(call).await;
    }
    let read = call.read()?;
    let layout = call.layout();
    let question = Question {
        scope: Scope::Queries,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let list: Vec<QueryShape<'_>> = state.queries().map(|query| QueryShape::of(query)).collect();
            Answer::json(&list, layout)
        },
    };
    question.ask(call, read).await
}

/// /v1/query/:id, and below it execute and explain, which take names too.
pub(super) async fn query(call: Call) -> Result<Answer, Error> {
    let path = String::from_utf8_lossy(call.variable()).into_owned();
    for (verb, run) in [("/execute", true), ("/explain", false)] {
        let Some(name) = path.strip_suffix(verb) else { continue };
        if call.method != Method::GET {
            return Ok(method_not_allowed(&call.method, "GET"));
        }
        return if run { execute(call, name).await } else { explain(call, name).await };
    }
    match call.method {
        Method::PUT => update(call, &path).await,
        Method::DELETE => delete(call, &path).await,
        _ => get(call, &path).await,
    }
}

#[derive(serde::Serialize)]
struct Created {
    #[serde(rename = "ID")]
    id: Uuid,
}

async fn definition(call: &mut Call) -> Result<(PreparedQuery, bool), Error> {
    call.check_place()?;
    let text = call.text().await?;
    let body = Object::parse(&text, "PreparedQuery", "structs.PreparedQuery")?;
    Ok((decode(&body)?, !body.text("ID")?.is_empty()))
}

async fn create(mut call: Call) -> Result<Answer, Error> {
    let (query, has_id) = definition(&mut call).await?;
    if has_id {
        return Err(Error::server("ID must be empty when creating a new prepared query"));
    }
    let id = call.core.create_query(query).await?.value;
    Answer::json(&Created { id }, call.layout())
}

fn written_id(text: &str) -> Result<QueryId, Error> {
    let failed = "Prepared Query lookup failed: failed prepared query lookup";
    let id = uuid_key(text).map_err(|why| Error::server(format!("{failed}: {why}")))?;
    Ok(id.unwrap_or_default())
}

async fn update(mut call: Call, path: &str) -> Result<Answer, Error> {
    let (query, _) = definition(&mut call).await?;
    let id = written_id(path)?;
    call.core.update_query(PreparedQuery { id, ..query }).await?;
    Ok(Answer::empty(StatusCode::OK))
}

async fn delete(call: Call, path: &str) -> Result<Answer, Error> {
    call.check_place()?;
    call.core.delete_query(written_id(path)?).await?;
    Ok(Answer::empty(StatusCode::OK))
}

fn not_found() -> Error {
    Error::new(StatusCode::NOT_FOUND, "Query not found")
}

async fn get(call: Call, path: &str) -> Result<Answer, Error> {
    let read = call.read()?;
    let id = uuid_key(path).map_err(|why| Error::server(format!("failed prepared query lookup: {why}")))?;
    let id = id.unwrap_or_default();
    let layout = call.layout();
    let question = Question {
        scope: Scope::Queries,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| {
            let query = state.query(&id).ok_or_else(not_found)?;
            Answer::json(&[QueryShape::of(query)], layout)
        },
    };
    question.ask(call, read).await
}

/// The query behind an id or name, filled in if it is a template.
fn resolve(state: &State, name: &str) -> Result<PreparedQuery, Error> {
    state.resolve_query(name).map_err(|miss| match miss {
        QueryMiss::NotFound => not_found(),
        QueryMiss::TemplateById => Error::server("prepared query templates can only be resolved up by name, not by ID"),
    })
}

/// What the documents of execute and explain say of the read that made them.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReadMeta {
    index: u64,
    last_contact: u64,
    known_leader: bool,
    consistency_level: &'static str,
}

impl ReadMeta {
    fn of(read: &Read, view: &View) -> ReadMeta {
        let consistency_level = match read.mode.consistency {
            Consistency::Linearizable => "consistent",
            Consistency::Lease => "leader",
            Consistency::Local => "stale",
        };
        ReadMeta { index: 0, last_contact: view.staleness_ms, known_leader: view.leader_known, consistency_level }
    }
}

/// Executions do not wait for changes; their index is always 1.
fn announced(mut answer: Answer, read: &Read, view: &View) -> Answer {
    read.mode.announce(&mut answer.headers, 1);
    Mode::correct(&mut answer.headers, view);
    answer
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Explained<'a> {
    query: QueryShape<'a>,
    #[serde(flatten)]
    read: ReadMeta,
}

async fn explain(call: Call, name: &str) -> Result<Answer, Error> {
    let read = call.read()?;
    let view = call.core.view(&read.mode.options()).await?;
    let query = resolve(&view.state, name)?;
    let explained = Explained { query: QueryShape::of(&query), read: ReadMeta::of(&read, &view) };
    Ok(announced(Answer::json(&explained, call.layout())?, &read, &view))
}

/// An instance that was found, with its node and checks.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    node: Node<'a>,
    service: NodeService<'a>,
    /// Without any, Consul says null here, unlike in health/service.
    checks: Option<Vec<HealthCheck<'a>>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Executed<'a> {
    service: &'a str,
    nodes: Vec<Found<'a>>,
    #[serde(rename = "DNS")]
    dns: DnsShape<'a>,
    datacenter: &'a str,
    failovers: u32,
    #[serde(flatten)]
    read: ReadMeta,
}

async fn execute(call: Call, name: &str) -> Result<Answer, Error> {
    let read = call.read()?;
    let limit = limit(&call)?;
    let connect = match call.query.get("connect") {
        None | Some("") => false,
        Some(word) => parse_bool(word).ok_or_else(|| {
            let reason = format!("strconv.ParseBool: parsing {word:?}: invalid syntax");
            Error::server(format!("Error parsing 'connect' value: {reason}"))
        })?,
    };
    let gateway = &*call.gateway;
    let view = call.core.view(&read.mode.options()).await?;
    let mut query = resolve(&view.state, name)?;
    query.service.connect |= connect;
    let mut instances = query_instances(&view.state, &query.service);
    shuffle(&mut instances, gateway.clock().random());
    let near = call.query.get("near").filter(|near| !near.is_empty()).unwrap_or(&query.service.near);
    let near = if near == "_agent" { call.own_node() } else { near };
    near_first(&view.state, &mut instances, near);
    instances.truncate(limit);
    let datacenter = &gateway.facts().datacenter;
    let executed = Executed {
        service: &query.service.service,
        nodes: instances.into_iter().map(|instance| found(instance, &view.state, datacenter)).collect(),
        dns: DnsShape { ttl: &query.dns_ttl },
        datacenter,
        failovers: 0,
        read: ReadMeta::of(&read, &view),
    };
    let mut answer = announced(Answer::json(&executed, call.layout())?, &read, &view);
    if call.query.has("cached") {
        // An execution is shuffled anew each time, and so never kept.
        answer.headers.insert(X_CACHE, HeaderValue::from_static("MISS"));
    }
    Ok(answer)
}

fn found<'a>(instance: &'a Instance, state: &'a State, datacenter: &'a str) -> Found<'a> {
    let checks: Vec<_> = checks(instance, state).into_iter().map(HealthCheck::with_null_tags).collect();
    let checks = Some(checks).filter(|checks| !checks.is_empty());
    let service = NodeService::of(instance).with_null_tags();
    Found { node: Node::under(instance, state, datacenter), service, checks }
}

/// How many instances at most; 0 and less: all.
fn limit(call: &Call) -> Result<usize, Error> {
    let Some(text) = call.query.get("limit").filter(|text| !text.is_empty()) else { return Ok(usize::MAX) };
    let limit: i64 = text
        .parse()
        .map_err(|_| Error::server(format!("Bad limit: strconv.Atoi: parsing {text:?}: invalid syntax")))?;
    Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX))
}

/// Go's `strconv.ParseBool`.
fn parse_bool(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Fisher and Yates, with numbers from a small generator (SplitMix64): spreading load needs no more.
fn shuffle<T>(items: &mut [T], seed: [u8; 16]) {
    let [low, ..] = seed.as_chunks::<8>().0 else { return };
    let mut state = u64::from_le_bytes(*low);
    for last in (1..items.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        items.swap(last, ((mixed ^ (mixed >> 31)) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_depends_on_its_seed() {
        let shuffled = |seed: u8| {
            let mut items: Vec<u32> = (0..50).collect();
            shuffle(&mut items, [seed; 16]);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<u32>>());
        shuffle(&mut Vec::<u32>::new(), [0; 16]);
    }
}
