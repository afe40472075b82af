//! Consul's API: the route table, and one file per endpoint group.
//!
//! The table lists every endpoint of Consul 1.8.7 with its methods, so that a wrong method is told from a wrong path
//! even where the endpoint is not built. Shapes and texts are Consul's, as the golden cases in `tests/golden` have them.

mod agent;
mod agent_operate;
mod agent_read;
mod agent_register;
mod agent_shapes;
mod catalog;
mod catalog_register;
mod check_body;
mod filter;
mod health;
mod kv;
mod kv_write;
mod metrics;
mod selection;
mod service_body;
mod shapes;
mod status;
mod table;

pub(super) use table::ROUTES;
