//! What the operator decides about the agent.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Registrations are kept here; `None`: in memory only.
    pub data_dir: Option<PathBuf>,
    /// Definitions of files may run commands: `enable_local_script_checks` or `enable_script_checks`.
    pub local_scripts: bool,
    /// Registrations over HTTP may run commands: `enable_script_checks`.
    pub remote_scripts: bool,
    /// A change of nothing but output waits for about so long before it is synced; zero: not at all.
    pub check_update_interval: Duration,
    /// Bytes of output kept per check that says nothing of its own.
    pub check_output_max_size: usize,
    /// Outputs are dropped: `discard_check_output`.
    pub discard_check_output: bool,
    /// Where sidecars that name no port get theirs, both ends included: `ports.sidecar_min_port`, `sidecar_max_port`.
    /// `None`: nowhere.
    pub sidecar_ports: Option<RangeInclusive<u16>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: None,
            local_scripts: false,
            remote_scripts: false,
            check_update_interval: Duration::from_secs(300),
            check_output_max_size: 4096,
            discard_check_output: false,
            sidecar_ports: Some(21000..=21255),
        }
    }
}
