//! Consul's API: the route table, and one file per endpoint group.
//!
//! The table lists every endpoint of Consul 1.8.7 with its methods, so that a wrong method is told from a wrong path
//! even where the endpoint is not built. Shapes and texts are Consul's, as the golden cases in `tests/golden` have them.

mod acl;
mod agent;
mod agent_operate;
mod agent_read;
mod agent_register;
mod agent_shapes;
mod catalog;
mod catalog_node;
mod catalog_register;
mod catalog_service;
mod check_body;
mod coordinate;
mod event;
mod filter;
#[cfg(fuzzing)]
pub(super) mod fuzz;
mod health;
mod health_checks;
mod keyring;
mod kv;
mod kv_write;
mod member;
mod mesh;
mod mesh_filter;
mod mesh_shapes;
mod metrics;
mod near;
mod operator;
mod operator_health;
mod proxy_body;
mod query;
mod query_body;
mod selection;
mod service_body;
mod session;
mod session_create;
mod shapes;
mod snapshot;
mod status;
mod table;
mod txn;
mod txn_body;
mod ui;

pub(super) use table::ROUTES;
