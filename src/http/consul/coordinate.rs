//! /v1/coordinate. Each node measures where it is by gossip, and tells the catalog.

use crate::http::call::{Call, check_datacenter};
use crate::http::error::Error;
use crate::http::json::Object;
use crate::http::read::Question;
use crate::http::reply::Answer;
use crate::http::scope::Scope;
use crate::machine::State;
use crate::model::coordinate::DIMENSIONS;
use crate::model::{self, Coordinate, names};
use crate::service;
use http::StatusCode;

/// A coordinate as clients get it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    node: &'a str,
    segment: &'a str,
    coord: Coord,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Coord {
    vec: [Number; DIMENSIONS],
    error: Number,
    adjustment: Number,
    height: Number,
}

/// A number as Go writes it: without a fraction when it is whole.
struct Number(f64);

impl serde::Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const EXACT: f64 = 1e15;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl Coord {
    pub(super) fn of(c: &Coordinate) -> Coord {
        Coord {
            vec: c.vec.map(Number),
            error: Number(c.error),
            adjustment: Number(c.adjustment),
            height: Number(c.height),
        }
    }
}

impl<'a> Entry<'a> {
    fn of(c: &'a Coordinate) -> Entry<'a> {
        Entry { node: &c.node, segment: &c.segment, coord: Coord::of(c) }
    }
}

/// GET coordinate/datacenters: there is one.
pub(super) async fn datacenters(call: Call) -> Result<Answer, Error> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Area<'a> {
        datacenter: &'a str,
        #[serde(rename = "AreaID")]
        area_id: &'static str,
        coordinates: Vec<Entry<'a>>,
    }
    let facts = call.gateway.facts();
    // Within the wide area a server has a place of its own, which is measured between datacenters.
    let own = Coordinate::origin(facts.node_name.as_str().into());
    let area = Area { datacenter: &facts.datacenter, area_id: "wan", coordinates: vec![Entry::of(&own)] };
    Answer::json(&[area], call.layout())
}

/// GET coordinate/nodes
pub(super) async fn nodes(call: Call) -> Result<Answer, Error> {
    ask(call, &|state, segment| {
        let found = state.coordinates().filter(|c| segment.is_none_or(|segment| c.segment == segment));
        Some(found.map(|c| Entry::of(c)).collect())
    })
    .await
}

/// GET coordinate/node/:node
pub(super) async fn node(call: Call) -> Result<Answer, Error> {
    let name = String::from_utf8_lossy(call.variable()).into_owned();
    ask(call, &|state, segment| {
        let found = state.coordinates_of(&name).filter(|c| segment.is_none_or(|segment| c.segment == segment));
        let found: Vec<Entry<'_>> = found.map(|c| Entry::of(c)).collect();
        (!found.is_empty()).then_some(found)
    })
    .await
}

type Find<'f> = &'f (dyn for<'a> Fn(&'a State, Option<&str>) -> Option<Vec<Entry<'a>>> + Sync);

async fn ask(call: Call, find: Find<'_>) -> Result<Answer, Error> {
    let read = call.read_anywhere(false)?;
    check_datacenter(&call.gateway, call.query.get("dc").unwrap_or_default())?;
    let layout = call.layout();
    let segment = call.query.get("segment").map(str::to_owned);
    let question = Question {
        scope: Scope::Coordinates,
        content: call.query.content_key(&call.path),
        answer: &|state: &State| match find(state, segment.as_deref()) {
            Some(list) => Answer::json(&list, layout),
            None => Ok(Answer::empty(StatusCode::NOT_FOUND)),
        },
    };
    question.ask(call, read).await
}

/// PUT coordinate/update
pub(super) async fn update(mut call: Call) -> Result<Answer, Error> {
    let text = call.text().await?;
    let body = Object::parse(&text, "CoordinateUpdateRequest", "structs.CoordinateUpdateRequest")?;
    let coordinate = decode(&body)?;
    check_datacenter(&call.gateway, call.query.get("dc").unwrap_or_default())?;
    call.core.update_coordinates(vec![coordinate]).await?;
    Ok(Answer::empty(StatusCode::OK))
}

fn decode(body: &Object<'_>) -> Result<model::Coordinate, Error> {
    let (node, segment) = (body.text("Node")?, body.text("Segment")?);
    let coord = body.object("Coord", "Coordinate", "coordinate.Coordinate")?;
    let incompatible = || Error::server("incompatible coordinate");
    let Some(coord) = coord else { return Err(incompatible()) };
    let vec = coord.numbers("Vec")?;
    let (error, adjustment, height) = (coord.number("Error")?, coord.number("Adjustment")?, coord.number("Height")?);
    for (field, name) in [("Node", node), ("Segment", segment)] {
        names::optional_name(field, name).map_err(service::Error::from)?;
    }
    let vec = vec.try_into().map_err(|_| incompatible())?;
    Ok(model::Coordinate { node: node.into(), segment: segment.into(), vec, error, adjustment, height })
}
