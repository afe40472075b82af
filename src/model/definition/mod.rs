//! Services and checks as people define them: in configuration files and in the bodies of `/v1/agent/*`.
//!
//! One type for both, with every field of Consul's definitions. A definition is what was asked for; what the node
//! makes of it (an instance, a check with its state) is the agent's. Durations are nanoseconds, because Consul takes
//! a bare number as such. Nothing is checked while a definition is filled in: `validate` says what is wrong with it,
//! in Consul's words. Missing: `os_service` checks, access control (tokens are carried, never used).

mod check;
mod mesh;
mod proxy;
mod service;
mod sidecar;
#[cfg(test)]
mod tests;

pub use check::{CheckDefinition, CheckKind};
pub use proxy::{ExposeDefinition, ExposedPathDefinition, MeshGatewayDefinition, ProxyDefinition, UpstreamDefinition};
pub use service::{NATIVE, ServiceDefinition, TaggedAddressDefinition, WeightsDefinition};
pub use sidecar::{Sidecar, sidecar_id};

use std::borrow::Cow;
use thiserror::Error;

/// Why a definition is refused, in Consul's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Refused(pub Cow<'static, str>);

impl Refused {
    /// With this reason.
    pub fn because(reason: impl Into<Cow<'static, str>>) -> Refused {
        Refused(reason.into())
    }
}

/// All that configuration files define for this node. Ids are unique per list; a later one replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    /// `service` and `services`, in the order of the files, with the checks inside them.
    pub services: Vec<ServiceDefinition>,
    /// `check` and `checks` that stand by themselves; they may name a service of this node by its id.
    pub checks: Vec<CheckDefinition>,
}
