//! What checks of this node may do.

use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use std::time::Duration;

/// Settings of local checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// Commands may be run, also those of checks that were registered over HTTP.
    pub enable_script_checks: bool,
    /// Commands of checks in configuration files may be run.
    pub enable_local_script_checks: bool,
    /// Bytes of output that are kept, more than 0; 4096 by default.
    pub output_max: usize,
    /// How long a change of the output alone may wait until the catalog has it; 5 minutes by default.
    pub update_interval: Duration,
    /// Output is not kept at all.
    pub discard_output: bool,
}

impl Settings {
    pub(in crate::config) fn checks(&self) -> Result<CheckSettings, ConfigError> {
        let output_max = self.int("check_output_max_size").unwrap_or(4096);
        let text = "check_output_max_size must be positive, to discard check output use the discard_check_output flag";
        let output_max = usize::try_from(output_max).ok().filter(|n| *n > 0).ok_or(ConfigError::invalid(text))?;
        Ok(CheckSettings {
            enable_script_checks: self.switch("enable_script_checks"),
            enable_local_script_checks: self.switch("enable_local_script_checks"),
            output_max,
            update_interval: self.duration("check_update_interval", Duration::from_secs(300))?,
            discard_output: self.switch("discard_check_output"),
        })
    }
}
