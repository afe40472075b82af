//! Why the agent refuses something. The texts are Consul's, which clients compare.

use crate::model::Invalid;
use crate::model::definition::Refused;
use thiserror::Error;

/// See the module.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The definition is wrong.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The sidecar that a definition asks for is wrong, or there is no port for it.
    #[error("{0}")]
    Sidecar(Refused),
    /// A value is beyond a limit.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The name belongs to the server itself.
    #[error("{0} is this server's own")]
    Reserved(&'static str),
    /// The check names a service that is not of this node.
    #[error("ServiceID {0:?} does not exist")]
    NoSuchService(String),
    /// No such service, where one is changed.
    #[error("No service registered with ID {0:?}")]
    NotRegistered(String),
    /// Only TTL checks are reported.
    #[error("CheckID {0:?} does not have associated TTL")]
    NotTtl(String),
    /// Commands are not allowed to whoever defined the check.
    #[error("{0}")]
    ScriptsDisabled(&'static str),
    /// The service has as many checks as it may have.
    #[error("{0} checks, at most {1} are allowed")]
    TooManyChecks(usize, usize),
    /// It could not be stored on disk.
    #[error("cannot store it: {0}")]
    Storage(String),
    /// A definition of a file is wrong; says which.
    #[error("Failed to register {kind} {name:?}: {reason}")]
    Definition {
        /// `service` or `check`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// For scripts of remote registrations.
    pub(super) const REMOTE_SCRIPTS: Error = Error::ScriptsDisabled(
        "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
    );
    /// For scripts of files.
    pub(super) const LOCAL_SCRIPTS: Error = Error::ScriptsDisabled(
        "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or \
         'enable_local_script_checks' to true",
    );
}
