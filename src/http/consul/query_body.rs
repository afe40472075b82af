//! A prepared query as clients write it and get it.

use crate::http::error::Error;
use crate::http::json::{Object, Pairs};
use crate::model::query::Pairs as StoredPairs;
use crate::model::{PreparedQuery, QueryTemplate, ServiceQuery, Text, uuid_key};
use uuid::Uuid;

/// Reads a definition; its id and revisions are left empty.
pub(super) fn decode(body: &Object<'_>) -> Result<PreparedQuery, Error> {
    let mut query = PreparedQuery {
        name: body.text("Name")?.into(),
        token: body.text("Token")?.into(),
        ..PreparedQuery::default()
    };
    let session = body.text("Session")?;
    if let Some(template) = body.object("Template", "QueryTemplateOptions", "structs.QueryTemplateOptions")? {
        query.template = QueryTemplate {
            kind: template.text("Type")?.into(),
            regexp: template.text("Regexp")?.into(),
            remove_empty_tags: template.boolean("RemoveEmptyTags")?,
        };
    }
    if let Some(service) = body.object("Service", "ServiceQuery", "structs.ServiceQuery")? {
        query.service = decode_service(&service)?;
    }
    if let Some(dns) = body.object("DNS", "QueryDNSOptions", "structs.QueryDNSOptions")? {
        query.dns_ttl = dns.text("TTL")?.into();
    }
    if !session.is_empty() {
        let id = uuid_key(session).map_err(|why| Error::server(format!("invalid session: {why}")))?;
        query.session = Some(id.unwrap_or_default());
    }
    Ok(query)
}

fn decode_service(body: &Object<'_>) -> Result<ServiceQuery, Error> {
    let texts = |object: &Object<'_>, field: &str| -> Result<Option<Box<[Text]>>, Error> {
        Ok(object.optional_texts(field)?.map(Into::into))
    };
    let pairs = |field: &str| -> Result<Option<StoredPairs>, Error> { Ok(body.pairs(field)?.map(Into::into)) };
    let failover = body.object("Failover", "QueryDatacenterOptions", "structs.QueryDatacenterOptions")?;
    let (nearest_n, datacenters) = match &failover {
        Some(failover) => (failover.integer("NearestN")?, texts(failover, "Datacenters")?),
        None => (0, None),
    };
    if nearest_n < 0 {
        return Err(Error::server(format!("Invalid prepared query: Bad NearestN '{nearest_n}', must be >= 0")));
    }
    Ok(ServiceQuery {
        service: body.text("Service")?.into(),
        nearest_n: u32::try_from(nearest_n).unwrap_or(u32::MAX),
        datacenters,
        only_passing: body.boolean("OnlyPassing")?,
        ignore_check_ids: texts(body, "IgnoreCheckIDs")?,
        near: body.text("Near")?.into(),
        tags: texts(body, "Tags")?,
        node_meta: pairs("NodeMeta")?,
        service_meta: pairs("ServiceMeta")?,
        connect: body.boolean("Connect")?,
    })
}

/// A query as clients get it.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct QueryShape<'a> {
    #[serde(rename = "ID")]
    id: Uuid,
    name: &'a str,
    session: String,
    token: &'a str,
    template: TemplateShape<'a>,
    service: ServiceShape<'a>,
    #[serde(rename = "DNS")]
    dns: DnsShape<'a>,
    create_index: u64,
    modify_index: u64,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct TemplateShape<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    regexp: &'a str,
    remove_empty_tags: bool,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceShape<'a> {
    service: &'a str,
    failover: FailoverShape<'a>,
    only_passing: bool,
    #[serde(rename = "IgnoreCheckIDs")]
    ignore_check_ids: Option<&'a [Text]>,
    near: &'a str,
    tags: Option<&'a [Text]>,
    node_meta: Option<Pairs<'a>>,
    service_meta: Option<Pairs<'a>>,
    connect: bool,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailoverShape<'a> {
    nearest_n: u32,
    datacenters: Option<&'a [Text]>,
}

/// `{"TTL":"10s"}`
#[derive(serde::Serialize)]
pub(super) struct DnsShape<'a> {
    #[serde(rename = "TTL")]
    pub(super) ttl: &'a str,
}

impl<'a> QueryShape<'a> {
    pub(super) fn of(query: &'a PreparedQuery) -> QueryShape<'a> {
        let (template, service) = (&query.template, &query.service);
        QueryShape {
            id: query.id,
            name: &query.name,
            session: query.session.map(|id| id.to_string()).unwrap_or_default(),
            token: &query.token,
            template: TemplateShape {
                kind: &template.kind,
                regexp: &template.regexp,
                remove_empty_tags: template.remove_empty_tags,
            },
            service: ServiceShape {
                service: &service.service,
                failover: FailoverShape { nearest_n: service.nearest_n, datacenters: service.datacenters.as_deref() },
                only_passing: service.only_passing,
                ignore_check_ids: service.ignore_check_ids.as_deref(),
                near: &service.near,
                tags: service.tags.as_deref(),
                node_meta: service.node_meta.as_deref().map(Pairs),
                service_meta: service.service_meta.as_deref().map(Pairs),
                connect: service.connect,
            },
            dns: DnsShape { ttl: &query.dns_ttl },
            create_index: query.create_revision,
            modify_index: query.modify_revision,
        }
    }
}
