//! Why a configuration was not accepted. The texts that Consul has for a case are kept, since scripts look for them.

use std::path::PathBuf;
use thiserror::Error;

/// A configuration that cannot be used; printed after `==> `, and the process ends with 1.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file or directory that could not be read.
    #[error("config: Open failed on {}. {reason}", path.display())]
    Open {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file that is not what its format asks for, or a key of the wrong type.
    #[error("failed to parse {origin}: {reason}")]
    Parse {
        /// The file, or `the command line`.
        origin: String,
        /// Where and why.
        reason: String,
    },
    /// Keys that do not exist.
    #[error("failed to parse {origin}: {}", list(keys))]
    UnknownKeys {
        /// The file.
        origin: String,
        /// Dotted paths.
        keys: Vec<String>,
    },
    /// A setting of Consul that this version does not have.
    #[error("{name} is not built yet: {why}")]
    NotBuilt {
        /// The flag as in `-retry-join`, or the file and key.
        name: String,
        /// What this version does instead, or what to do.
        why: String,
    },
    /// A value that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl ConfigError {
    /// A value that cannot be used, with the whole sentence.
    pub(crate) fn invalid(text: impl Into<String>) -> ConfigError {
        ConfigError::Invalid(text.into())
    }

    /// A key's value that cannot be used, in the form in which Consul lists such errors.
    pub(crate) fn at(key: &str, reason: impl std::fmt::Display) -> ConfigError {
        ConfigError::Invalid(format!("1 error occurred:\n\t* {key}: {reason}\n"))
    }
}

fn list(keys: &[String]) -> String {
    let noun = if keys.len() == 1 { "error" } else { "errors" };
    let lines: Vec<String> = keys.iter().map(|k| format!("\t* invalid config key {k}")).collect();
    format!("{} {noun} occurred:\n{}\n", keys.len(), lines.join("\n"))
}
