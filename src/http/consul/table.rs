//! The route table.

use super::{
    acl, agent, agent_operate, agent_read, agent_register, catalog, catalog_node, catalog_register, coordinate, event,
    health, health_checks, keyring, kv, mesh, operator, operator_health, query, session, session_create, snapshot,
    status, txn, ui,
};
use crate::http::call::{Answering, Call};
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

/// Of the agent itself.
const fn own(path: &'static str, allow: &'static str, op: &'static str, handler: fn(Call<()>) -> Answering) -> Route {
    Route { path, allow, op, handler: Handler::Agent(handler) }
}

/// Of the state.
const fn built(path: &'static str, allow: &'static str, op: &'static str, handler: fn(Call) -> Answering) -> Route {
    Route { path, allow, op, handler: Handler::State(handler) }
}

/// Every endpoint of Consul 1.8.7.
pub(in crate::http) const ROUTES: &[Route] = &[
    own("/v1/agent/check/deregister/", PUT, "agent_check_deregister", |call| {
        Box::pin(agent_register::deregister_check(call))
    }),
    own("/v1/agent/check/fail/", PUT, "agent_check_fail", |call| Box::pin(agent_register::fail(call))),
    own("/v1/agent/check/pass/", PUT, "agent_check_pass", |call| Box::pin(agent_register::pass(call))),
    own("/v1/agent/check/register", PUT, "agent_check_register", |call| Box::pin(agent_register::register_check(call))),
    own("/v1/agent/check/update/", PUT, "agent_check_update", |call| Box::pin(agent_register::update(call))),
    own("/v1/agent/check/warn/", PUT, "agent_check_warn", |call| Box::pin(agent_register::warn(call))),
    own("/v1/agent/checks", GET, "agent_checks", |call| Box::pin(agent_read::checks(call))),
    own("/v1/agent/force-leave/", PUT, "agent_force_leave", |call| Box::pin(agent_operate::force_leave(call))),
    own("/v1/agent/health/service/id/", GET, "agent_health_id", |call| Box::pin(agent_read::health_by_id(call))),
    own("/v1/agent/health/service/name/", GET, "agent_health_name", |call| Box::pin(agent_read::health_by_name(call))),
    own("/v1/agent/host", GET, "agent_host", |call| Box::pin(agent_operate::host(call))),
    own("/v1/agent/join/", PUT, "agent_join", |call| Box::pin(agent_operate::join(call))),
    own("/v1/agent/leave", PUT, "agent_leave", |call| Box::pin(agent_operate::leave(call))),
    own("/v1/agent/maintenance", PUT, "agent_maintenance", |call| Box::pin(agent_register::maintenance(call))),
    own("/v1/agent/metrics", GET, "agent_metrics", |call| Box::pin(agent_operate::metrics(call))),
    own("/v1/agent/reload", PUT, "agent_reload", |call| Box::pin(agent_operate::reload(call))),
    own("/v1/agent/service/", GET, "agent_service", |call| Box::pin(agent_read::service(call))),
    own("/v1/agent/service/maintenance/", PUT, "agent_service_maintenance", |call| {
        Box::pin(agent_register::service_maintenance(call))
    }),
    own("/v1/agent/token/", PUT, "agent_token", |call| Box::pin(agent_operate::token(call))),
    own("/v1/agent/members", GET, "agent_members", |call| Box::pin(agent::members(call))),
    own("/v1/agent/self", GET, "agent_self", |call| Box::pin(agent::own(call))),
    own("/v1/agent/service/deregister/", PUT, "agent_deregister", |call| Box::pin(agent_register::deregister(call))),
    own("/v1/agent/service/register", PUT, "agent_register", |call| Box::pin(agent_register::register(call))),
    own("/v1/agent/services", GET, "agent_services", |call| Box::pin(agent_read::services(call))),
    built("/v1/catalog/datacenters", GET, "catalog_datacenters", |call| Box::pin(catalog::datacenters(call))),
    built("/v1/catalog/deregister", PUT, "catalog_deregister", |call| Box::pin(catalog_register::deregister(call))),
    built("/v1/catalog/node/", GET, "catalog_node", |call| Box::pin(catalog_node::node(call))),
    built("/v1/catalog/nodes", GET, "catalog_nodes", |call| Box::pin(catalog::nodes(call))),
    built("/v1/catalog/register", PUT, "catalog_register", |call| Box::pin(catalog_register::register(call))),
    built("/v1/catalog/service/", GET, "catalog_service", |call| Box::pin(catalog::service(call))),
    built("/v1/catalog/services", GET, "catalog_services", |call| Box::pin(catalog::services(call))),
    built("/v1/health/service/", GET, "health_service", |call| Box::pin(health::service(call))),
    built("/v1/kv/", GET_PUT_DELETE, "kv", kv::kv),
    built("/v1/status/leader", GET, "status_leader", |call| Box::pin(status::leader(call))),
    built("/v1/status/peers", GET, "status_peers", |call| Box::pin(status::peers(call))),
    built("/v1/operator/autopilot/configuration", GET_PUT, "operator_autopilot", |call| {
        Box::pin(operator::autopilot_configuration(call))
    }),
    built("/v1/operator/autopilot/health", GET, "operator_health", |call| {
        Box::pin(operator_health::autopilot_health(call))
    }),
    built("/v1/operator/raft/configuration", GET, "operator_raft", |call| Box::pin(operator::raft_configuration(call))),
    built("/v1/operator/raft/peer", DELETE, "operator_raft_peer", |call| Box::pin(operator::raft_peer(call))),
    built("/v1/operator/raft/transfer-leader", PUT, "operator_raft_transfer", |call| {
        Box::pin(operator::transfer_leader(call))
    }),
    built("/v1/query", GET_POST, "query", |call| Box::pin(query::queries(call))),
    built("/v1/query/", GET_PUT_DELETE, "query_one", |call| Box::pin(query::query(call))),
    built("/v1/snapshot", GET_PUT, "snapshot", |call| Box::pin(snapshot::snapshot(call))),
    built("/v1/txn", PUT, "txn", |call| Box::pin(txn::txn(call))),
    built("/v1/acl/auth-method", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/auth-method/", GET_PUT_DELETE, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/auth-methods", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/binding-rule", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/binding-rule/", GET_PUT_DELETE, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/binding-rules", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/bootstrap", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/clone/", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/create", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/destroy/", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/info/", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/list", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/login", POST, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/logout", POST, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/policies", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/policy", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/policy/", GET_PUT_DELETE, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/policy/name/", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/replication", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/role", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/role/", GET_PUT_DELETE, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/role/name/", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/roles", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/rules/translate", POST, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/rules/translate/", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/token", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/token/", GET_PUT_DELETE, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/token/self", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/tokens", GET, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/acl/update", PUT, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/agent/connect/authorize", POST, "connect_authorize", |call| Box::pin(mesh::authorize(call))),
    built("/v1/agent/connect/ca/leaf/", GET, "connect_ca", |call| Box::pin(mesh::authority(call))),
    built("/v1/agent/connect/ca/roots", GET, "connect_ca", |call| Box::pin(mesh::authority(call))),
    own("/v1/agent/monitor", GET, "agent_monitor", |call| Box::pin(agent_operate::monitor(call))),
    built("/v1/catalog/connect/", GET, "catalog_connect", |call| Box::pin(catalog::connect(call))),
    built("/v1/catalog/gateway-services/", GET, "catalog_gateway_services", |call| {
        Box::pin(catalog::gateway_services(call))
    }),
    built("/v1/catalog/node-services/", GET, "catalog_node_services", |call| Box::pin(catalog_node::services(call))),
    built("/v1/config", PUT, "config", |call| Box::pin(mesh::put_config(call))),
    built("/v1/config/", GET_DELETE, "config", |call| Box::pin(mesh::config(call))),
    built("/v1/connect/ca/configuration", GET_PUT, "connect_ca", |call| Box::pin(mesh::authority_configuration(call))),
    built("/v1/connect/ca/roots", GET, "connect_ca", |call| Box::pin(mesh::authority(call))),
    built("/v1/connect/intentions", GET_POST, "intentions", |call| Box::pin(mesh::intentions(call))),
    built("/v1/connect/intentions/", GET_PUT_DELETE, "intentions", |call| Box::pin(mesh::intention(call))),
    built("/v1/connect/intentions/check", GET, "intentions", |call| Box::pin(mesh::check_intention(call))),
    built("/v1/connect/intentions/match", GET, "intentions", |call| Box::pin(mesh::match_intentions(call))),
    built("/v1/coordinate/datacenters", GET, "coordinate_datacenters", |call| Box::pin(coordinate::datacenters(call))),
    built("/v1/coordinate/node/", GET, "coordinate_node", |call| Box::pin(coordinate::node(call))),
    built("/v1/coordinate/nodes", GET, "coordinate_nodes", |call| Box::pin(coordinate::nodes(call))),
    built("/v1/coordinate/update", PUT, "coordinate_update", |call| Box::pin(coordinate::update(call))),
    built("/v1/discovery-chain/", GET_POST, "discovery_chain", |call| Box::pin(mesh::discovery_chain(call))),
    built("/v1/event/fire/", PUT, "event_fire", |call| Box::pin(event::fire(call))),
    built("/v1/event/list", GET, "event_list", |call| Box::pin(event::list(call))),
    built("/v1/health/checks/", GET, "health_checks", |call| Box::pin(health_checks::service(call))),
    built("/v1/health/connect/", GET, "health_connect", |call| Box::pin(health::connect(call))),
    built("/v1/health/ingress/", GET, "health_ingress", |call| Box::pin(health::ingress(call))),
    built("/v1/health/node/", GET, "health_node", |call| Box::pin(health_checks::node(call))),
    built("/v1/health/state/", GET, "health_state", |call| Box::pin(health_checks::state(call))),
    built("/v1/internal/acl/authorize", POST, "acl", |call| Box::pin(acl::disabled(call))),
    built("/v1/internal/federation-state/", GET, "federation", |call| Box::pin(mesh::federation_state(call))),
    built("/v1/internal/federation-states", GET, "federation", |call| Box::pin(mesh::federation_states(call))),
    built("/v1/internal/federation-states/mesh-gateways", GET, "federation", |call| {
        Box::pin(mesh::mesh_gateways(call))
    }),
    built("/v1/internal/ui/gateway-services-nodes/", GET, "ui_gateway_services", |call| {
        Box::pin(ui::gateway_services(call))
    }),
    built("/v1/internal/ui/node/", GET, "ui_node", |call| Box::pin(ui::node(call))),
    built("/v1/internal/ui/nodes", GET, "ui_nodes", |call| Box::pin(ui::nodes(call))),
    built("/v1/internal/ui/services", GET, "ui_services", |call| Box::pin(ui::services(call))),
    built("/v1/operator/keyring", ALL, "keyring", |call| Box::pin(keyring::keyring(call))),
    built("/v1/session/create", PUT, "session_create", |call| Box::pin(session_create::create(call))),
    built("/v1/session/destroy/", PUT, "session_destroy", |call| Box::pin(session::destroy(call))),
    built("/v1/session/info/", GET, "session_info", |call| Box::pin(session::info(call))),
    built("/v1/session/list", GET, "session_list", |call| Box::pin(session::list(call))),
    built("/v1/session/node/", GET, "session_node", |call| Box::pin(session::node(call))),
    built("/v1/session/renew/", PUT, "session_renew", |call| Box::pin(session::renew(call))),
];
