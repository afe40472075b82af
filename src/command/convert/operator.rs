//! Prepared queries, autopilot, restoring a snapshot.

use super::field::{at, pairs, texts, uuid_bytes};
use crate::command::{CodecError, DeleteQuery, Restore, SetAutopilot, SetQuery};
use crate::model::query::Pairs;
use crate::model::{Autopilot, PreparedQuery, QueryTemplate, ServiceQuery, Text};
use crate::proto::internal as pb;

impl From<&PreparedQuery> for pb::PreparedQuery {
    fn from(query: &PreparedQuery) -> pb::PreparedQuery {
        let template = &query.template;
        pb::PreparedQuery {
            id: uuid_bytes(&query.id),
            name: query.name.to_string(),
            session: query.session.as_ref().map(uuid_bytes),
            token: query.token.to_string(),
            template: (*template != QueryTemplate::default()).then(|| pb::QueryTemplate {
                kind: template.kind.to_string(),
                regexp: template.regexp.to_string(),
                remove_empty_tags: template.remove_empty_tags,
            }),
            service: Some((&query.service).into()),
            dns_ttl: query.dns_ttl.to_string(),
            create_revision: query.create_revision,
            modify_revision: query.modify_revision,
        }
    }
}

impl TryFrom<pb::PreparedQuery> for PreparedQuery {
    type Error = CodecError;

    fn try_from(query: pb::PreparedQuery) -> Result<PreparedQuery, CodecError> {
        let template = query.template.unwrap_or_default();
        Ok(PreparedQuery {
            id: at("PreparedQuery", "id").uuid(&query.id)?,
            name: query.name.into(),
            session: at("PreparedQuery", "session").optional_uuid(query.session)?,
            token: query.token.into(),
            template: QueryTemplate {
                kind: template.kind.into(),
                regexp: template.regexp.into(),
                remove_empty_tags: template.remove_empty_tags,
            },
            service: at("PreparedQuery", "service").required(query.service)?.into(),
            dns_ttl: query.dns_ttl.into(),
            create_revision: query.create_revision,
            modify_revision: query.modify_revision,
        })
    }
}

fn wire_texts(list: &Option<Box<[Text]>>) -> Option<pb::Texts> {
    list.as_deref().map(|list| pb::Texts { texts: list.iter().map(Text::to_string).collect() })
}

fn wire_pairs(list: &Option<Pairs>) -> Option<pb::Pairs> {
    list.as_deref().map(|list| pb::Pairs { pairs: pairs(list) })
}

impl From<&ServiceQuery> for pb::ServiceQuery {
    fn from(service: &ServiceQuery) -> pb::ServiceQuery {
        pb::ServiceQuery {
            service: service.service.to_string(),
            nearest_n: service.nearest_n,
            datacenters: wire_texts(&service.datacenters),
            only_passing: service.only_passing,
            ignore_check_ids: wire_texts(&service.ignore_check_ids),
            near: service.near.to_string(),
            tags: wire_texts(&service.tags),
            node_meta: wire_pairs(&service.node_meta),
            service_meta: wire_pairs(&service.service_meta),
            connect: service.connect,
        }
    }
}

impl From<pb::ServiceQuery> for ServiceQuery {
    fn from(service: pb::ServiceQuery) -> ServiceQuery {
        let list = |list: Option<pb::Texts>| list.map(|l| l.texts.into_iter().map(Text::from).collect());
        let map = |list: Option<pb::Pairs>| list.map(|l| texts::<Vec<_>>(l.pairs).into());
        ServiceQuery {
            service: service.service.into(),
            nearest_n: service.nearest_n,
            datacenters: list(service.datacenters),
            only_passing: service.only_passing,
            ignore_check_ids: list(service.ignore_check_ids),
            near: service.near.into(),
            tags: list(service.tags),
            node_meta: map(service.node_meta),
            service_meta: map(service.service_meta),
            connect: service.connect,
        }
    }
}

impl From<&Autopilot> for pb::Autopilot {
    fn from(autopilot: &Autopilot) -> pb::Autopilot {
        pb::Autopilot {
            cleanup_dead_servers: autopilot.cleanup_dead_servers,
            last_contact_threshold_ns: autopilot.last_contact_threshold_ns,
            max_trailing_logs: autopilot.max_trailing_logs,
            min_quorum: autopilot.min_quorum,
            server_stabilization_time_ns: autopilot.server_stabilization_time_ns,
            redundancy_zone_tag: autopilot.redundancy_zone_tag.to_string(),
            disable_upgrade_migration: autopilot.disable_upgrade_migration,
            upgrade_version_tag: autopilot.upgrade_version_tag.to_string(),
            create_revision: autopilot.create_revision,
            modify_revision: autopilot.modify_revision,
        }
    }
}

impl TryFrom<pb::Autopilot> for Autopilot {
    type Error = CodecError;

    fn try_from(autopilot: pb::Autopilot) -> Result<Autopilot, CodecError> {
        Ok(Autopilot {
            cleanup_dead_servers: autopilot.cleanup_dead_servers,
            last_contact_threshold_ns: autopilot.last_contact_threshold_ns,
            max_trailing_logs: autopilot.max_trailing_logs,
            min_quorum: autopilot.min_quorum,
            server_stabilization_time_ns: autopilot.server_stabilization_time_ns,
            redundancy_zone_tag: autopilot.redundancy_zone_tag.into(),
            disable_upgrade_migration: autopilot.disable_upgrade_migration,
            upgrade_version_tag: autopilot.upgrade_version_tag.into(),
            create_revision: autopilot.create_revision,
            modify_revision: autopilot.modify_revision,
        })
    }
}

impl From<&SetQuery> for pb::SetQuery {
    fn from(command: &SetQuery) -> pb::SetQuery {
        pb::SetQuery { query: Some((&command.query).into()), update: command.update }
    }
}

impl TryFrom<pb::SetQuery> for SetQuery {
    type Error = CodecError;

    fn try_from(command: pb::SetQuery) -> Result<SetQuery, CodecError> {
        Ok(SetQuery { query: at("SetQuery", "query").required(command.query)?.try_into()?, update: command.update })
    }
}

impl From<&DeleteQuery> for pb::DeleteQuery {
    fn from(command: &DeleteQuery) -> pb::DeleteQuery {
        pb::DeleteQuery { id: uuid_bytes(&command.id) }
    }
}

impl TryFrom<pb::DeleteQuery> for DeleteQuery {
    type Error = CodecError;

    fn try_from(command: pb::DeleteQuery) -> Result<DeleteQuery, CodecError> {
        Ok(DeleteQuery { id: at("DeleteQuery", "id").uuid(&command.id)? })
    }
}

impl From<&SetAutopilot> for pb::SetAutopilot {
    fn from(command: &SetAutopilot) -> pb::SetAutopilot {
        let autopilot = Some((&command.autopilot).into());
        pb::SetAutopilot { autopilot, expected_revision: command.expected_revision }
    }
}

impl TryFrom<pb::SetAutopilot> for SetAutopilot {
    type Error = CodecError;

    fn try_from(command: pb::SetAutopilot) -> Result<SetAutopilot, CodecError> {
        let autopilot = at("SetAutopilot", "autopilot").required(command.autopilot)?.try_into()?;
        Ok(SetAutopilot { autopilot, expected_revision: command.expected_revision })
    }
}

impl From<&Restore> for pb::Restore {
    fn from(command: &Restore) -> pb::Restore {
        let (part, parts, rows) = (command.part, command.parts, command.rows.clone());
        pb::Restore { id: uuid_bytes(&command.id), part, parts, rows }
    }
}

impl TryFrom<pb::Restore> for Restore {
    type Error = CodecError;

    fn try_from(command: pb::Restore) -> Result<Restore, CodecError> {
        let id = at("Restore", "id").uuid(&command.id)?;
        Ok(Restore { id, part: command.part, parts: command.parts, rows: command.rows })
    }
}
