//! /v1/event. Events are no part of the state: their list has an index of its own, made of the newest event's id, which
//! does not grow, so that waiting means waiting for another one.

use crate::http::call::{BODY_BYTES_MAX, Call};
use crate::http::error::Error;
use crate::http::read::Read;
use crate::http::reply::{Answer, X_CONSUL_INDEX};
use crate::service::{EVENT_BYTES_MAX, EventError, UserEvent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// An event as clients get it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(rename = "ID")]
    id: Uuid,
    name: &'a str,
    payload: Option<String>,
    node_filter: &'a str,
    service_filter: &'a str,
    tag_filter: &'a str,
    version: u8,
    #[serde(rename = "LTime")]
    ltime: u64,
}

impl<'a> Event<'a> {
    fn of(event: &'a UserEvent) -> Event<'a> {
        Event {
            id: event.id,
            name: &event.name,
            payload: (!event.payload.is_empty()).then(|| STANDARD.encode(&event.payload)),
            node_filter: &event.node_filter,
            service_filter: &event.service_filter,
            tag_filter: &event.tag_filter,
            version: 1,
            ltime: event.ltime,
        }
    }
}

/// PUT event/fire/:name
pub(super) async fn fire(mut call: Call) -> Result<Answer, Error> {
    crate::http::call::check_datacenter(&call.gateway, call.query.get("dc").unwrap_or_default())?;
    let name = call.name("Missing name")?.into_owned();
    let payload = call.body(BODY_BYTES_MAX, "").await?;
    let filter = |name| call.query.get(name).unwrap_or_default().to_owned();
    let event = UserEvent {
        name,
        payload: bytes::Bytes::copy_from_slice(&payload),
        node_filter: filter("node"),
        service_filter: filter("service"),
        tag_filter: filter("tag"),
        ..UserEvent::default()
    };
    let fired = call.core.fire_event(event).map_err(refused)?;
    Answer::json(&Event::of(&fired), call.layout())
}

fn refused(error: EventError) -> Error {
    Error::server(match error {
        EventError::Pattern { filter, detail } => format!("Invalid {filter} filter: {detail}"),
        EventError::TagWithoutService => "Cannot provide tag filter without service filter".to_owned(),
        EventError::TooLarge { content } => {
            let (encoded, when) = if content { ("", "before") } else { ("encoded ", "after") };
            format!(
                "1 error occurred:\n\t* error broadcasting event to segment \"\": {encoded}user event exceeds configured \
                 limit of {EVENT_BYTES_MAX} bytes {when} encoding\n\n"
            )
        }
    })
}

/// GET event/list
pub(super) async fn list(call: Call) -> Result<Answer, Error> {
    let read = Read::of_wait(&call.query)?;
    let core = &call.core;
    let name = call.query.get("name").filter(|name| !name.is_empty());
    let deadline = read.deadline(&call.gateway);
    let mut changes = core.subscribe_events();
    loop {
        // Seen before the events are looked at, so that none is missed.
        changes.borrow_and_update();
        let mut events: Vec<Arc<UserEvent>> = core.events();
        events.retain(|event| name.is_none_or(|name| event.name == name));
        let index = events.last().map_or(1, |event| index_of(event.id));
        let waits = read.index() > 0 && read.index() == index;
        if !waits || Instant::now() >= deadline || call.gateway.draining.is_cancelled() {
            let events: Vec<Event<'_>> = events.iter().map(|event| Event::of(event)).collect();
            let answer = Answer::json(&events, call.layout())?;
            return Ok(answer.with(X_CONSUL_INDEX, HeaderValue::from(index)));
        }
        drop(events);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { std::future::pending::<()>().await },
            () = tokio::time::sleep_until(deadline) => {}
            () = call.gateway.draining.cancelled() => {}
        }
    }
}

/// Consul's index of an event: both halves of its id in one.
fn index_of(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_that_of_consul() {
        let id = Uuid::try_parse("d2d31415-0729-8d71-c780-f7b2cc36c7b6").unwrap();
        assert_eq!(index_of(id), 1_536_822_207_670_340_295);
    }
}
