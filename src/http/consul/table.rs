//! The route table.

use super::{agent, agent_operate, agent_read, agent_register, catalog, catalog_register, health, kv, status};
use crate::http::route::{Handler, Route};

const GET: &str = "OPTIONS,GET";
const PUT: &str = "OPTIONS,PUT";
const POST: &str = "OPTIONS,POST";
const DELETE: &str = "OPTIONS,DELETE";
const GET_PUT: &str = "OPTIONS,GET,PUT";
const GET_POST: &str = "OPTIONS,GET,POST";
const GET_DELETE: &str = "OPTIONS,GET,DELETE";
const GET_PUT_DELETE: &str = "OPTIONS,GET,PUT,DELETE";
const ALL: &str = "OPTIONS,GET,POST,PUT,DELETE";

const fn built(path: &'static str, allow: &'static str, op: &'static str, handler: Handler) -> Route {
    Route { path, allow, op, handler: Some(handler) }
}

const fn later(path: &'static str, allow: &'static str) -> Route {
    Route { path, allow, op: "not_built", handler: None }
}

/// Every endpoint of Consul 1.8.7.
pub(in crate::http) const ROUTES: &[Route] = &[
    built("/v1/agent/check/deregister/", PUT, "agent_check_deregister", |call| {
        Box::pin(agent_register::deregister_check(call))
    }),
    built("/v1/agent/check/fail/", PUT, "agent_check_fail", |call| Box::pin(agent_register::fail(call))),
    built("/v1/agent/check/pass/", PUT, "agent_check_pass", |call| Box::pin(agent_register::pass(call))),
    built("/v1/agent/check/register", PUT, "agent_check_register", |call| {
        Box::pin(agent_register::register_check(call))
    }),
    built("/v1/agent/check/update/", PUT, "agent_check_update", |call| Box::pin(agent_register::update(call))),
    built("/v1/agent/check/warn/", PUT, "agent_check_warn", |call| Box::pin(agent_register::warn(call))),
    built("/v1/agent/checks", GET, "agent_checks", |call| Box::pin(agent_read::checks(call))),
    built("/v1/agent/force-leave/", PUT, "agent_force_leave", |call| Box::pin(agent_operate::force_leave(call))),
    built("/v1/agent/health/service/id/", GET, "agent_health_id", |call| Box::pin(agent_read::health_by_id(call))),
    built("/v1/agent/health/service/name/", GET, "agent_health_name", |call| {
        Box::pin(agent_read::health_by_name(call))
    }),
    built("/v1/agent/host", GET, "agent_host", |call| Box::pin(agent_operate::host(call))),
    built("/v1/agent/join/", PUT, "agent_join", |call| Box::pin(agent_operate::join(call))),
    built("/v1/agent/leave", PUT, "agent_leave", |call| Box::pin(agent_operate::leave(call))),
    built("/v1/agent/maintenance", PUT, "agent_maintenance", |call| Box::pin(agent_register::maintenance(call))),
    built("/v1/agent/metrics", GET, "agent_metrics", |call| Box::pin(agent_operate::metrics(call))),
    built("/v1/agent/reload", PUT, "agent_reload", |call| Box::pin(agent_operate::reload(call))),
    built("/v1/agent/service/", GET, "agent_service", |call| Box::pin(agent_read::service(call))),
    built("/v1/agent/service/maintenance/", PUT, "agent_service_maintenance", |call| {
        Box::pin(agent_register::service_maintenance(call))
    }),
    built("/v1/agent/token/", PUT, "agent_token", |call| Box::pin(agent_operate::token(call))),
    built("/v1/agent/members", GET, "agent_members", |call| Box::pin(agent::members(call))),
    built("/v1/agent/self", GET, "agent_self", |call| Box::pin(agent::own(call))),
    built("/v1/agent/service/deregister/", PUT, "agent_deregister", |call| Box::pin(agent_register::deregister(call))),
    built("/v1/agent/service/register", PUT, "agent_register", |call| Box::pin(agent_register::register(call))),
    built("/v1/agent/services", GET, "agent_services", |call| Box::pin(agent_read::services(call))),
    built("/v1/catalog/datacenters", GET, "catalog_datacenters", |call| Box::pin(catalog::datacenters(call))),
    built("/v1/catalog/deregister", PUT, "catalog_deregister", |call| Box::pin(catalog_register::deregister(call))),
    built("/v1/catalog/node/", GET, "catalog_node", |call| Box::pin(catalog::node(call))),
    built("/v1/catalog/nodes", GET, "catalog_nodes", |call| Box::pin(catalog::nodes(call))),
    built("/v1/catalog/register", PUT, "catalog_register", |call| Box::pin(catalog_register::register(call))),
    built("/v1/catalog/service/", GET, "catalog_service", |call| Box::pin(catalog::service(call))),
    built("/v1/catalog/services", GET, "catalog_services", |call| Box::pin(catalog::services(call))),
    built("/v1/health/service/", GET, "health_service", |call| Box::pin(health::service(call))),
    built("/v1/kv/", GET_PUT_DELETE, "kv", |call| Box::pin(kv::kv(call))),
    built("/v1/status/leader", GET, "status_leader", |call| Box::pin(status::leader(call))),
    built("/v1/status/peers", GET, "status_peers", |call| Box::pin(status::peers(call))),
    later("/v1/acl/auth-method", PUT),
    later("/v1/acl/auth-method/", GET_PUT_DELETE),
    later("/v1/acl/auth-methods", GET),
    later("/v1/acl/binding-rule", PUT),
    later("/v1/acl/binding-rule/", GET_PUT_DELETE),
    later("/v1/acl/binding-rules", GET),
    later("/v1/acl/bootstrap", PUT),
    later("/v1/acl/clone/", PUT),
    later("/v1/acl/create", PUT),
    later("/v1/acl/destroy/", PUT),
    later("/v1/acl/info/", GET),
    later("/v1/acl/list", GET),
    later("/v1/acl/login", POST),
    later("/v1/acl/logout", POST),
    later("/v1/acl/policies", GET),
    later("/v1/acl/policy", PUT),
    later("/v1/acl/policy/", GET_PUT_DELETE),
    later("/v1/acl/policy/name/", GET),
    later("/v1/acl/replication", GET),
    later("/v1/acl/role", PUT),
    later("/v1/acl/role/", GET_PUT_DELETE),
    later("/v1/acl/role/name/", GET),
    later("/v1/acl/roles", GET),
    later("/v1/acl/rules/translate", POST),
    later("/v1/acl/rules/translate/", GET),
    later("/v1/acl/token", PUT),
    later("/v1/acl/token/", GET_PUT_DELETE),
    later("/v1/acl/token/self", GET),
    later("/v1/acl/tokens", GET),
    later("/v1/acl/update", PUT),
    later("/v1/agent/connect/authorize", POST),
    later("/v1/agent/connect/ca/leaf/", GET),
    later("/v1/agent/connect/ca/roots", GET),
    later("/v1/agent/monitor", GET),
    later("/v1/catalog/connect/", GET),
    later("/v1/catalog/gateway-services/", GET),
    later("/v1/catalog/node-services/", GET),
    later("/v1/config", PUT),
    later("/v1/config/", GET_DELETE),
    later("/v1/connect/ca/configuration", GET_PUT),
    later("/v1/connect/ca/roots", GET),
    later("/v1/connect/intentions", GET_POST),
    later("/v1/connect/intentions/", GET_PUT_DELETE),
    later("/v1/connect/intentions/check", GET),
    later("/v1/connect/intentions/match", GET),
    later("/v1/coordinate/datacenters", GET),
    later("/v1/coordinate/node/", GET),
    later("/v1/coordinate/nodes", GET),
    later("/v1/coordinate/update", PUT),
    later("/v1/discovery-chain/", GET_POST),
    later("/v1/event/fire/", PUT),
    later("/v1/event/list", GET),
    later("/v1/health/checks/", GET),
    later("/v1/health/connect/", GET),
    later("/v1/health/ingress/", GET),
    later("/v1/health/node/", GET),
    later("/v1/health/state/", GET),
    later("/v1/internal/acl/authorize", POST),
    later("/v1/internal/federation-state/", GET),
    later("/v1/internal/federation-states", GET),
    later("/v1/internal/federation-states/mesh-gateways", GET),
    later("/v1/internal/ui/gateway-intentions/", GET),
    later("/v1/internal/ui/gateway-services-nodes/", GET),
    later("/v1/internal/ui/node/", GET),
    later("/v1/internal/ui/nodes", GET),
    later("/v1/internal/ui/services", GET),
    later("/v1/operator/autopilot/configuration", GET_PUT),
    later("/v1/operator/autopilot/health", GET),
    later("/v1/operator/keyring", ALL),
    later("/v1/operator/raft/configuration", GET),
    later("/v1/operator/raft/peer", DELETE),
    later("/v1/query", GET_POST),
    later("/v1/query/", GET_PUT_DELETE),
    later("/v1/session/create", PUT),
    later("/v1/session/destroy/", PUT),
    later("/v1/session/info/", GET),
    later("/v1/session/list", GET),
    later("/v1/session/node/", GET),
    later("/v1/session/renew/", PUT),
    later("/v1/snapshot", GET_PUT),
    later("/v1/txn", PUT),
];
