//! Where the log goes.

use crate::config::checked::LogLevel;
use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use std::path::PathBuf;
use std::time::Duration;

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Least important level that is logged.
    pub level: LogLevel,
    /// Whether logs are JSON.
    pub json: bool,
    /// A file besides standard output.
    pub file: Option<LogFile>,
    /// The facility of syslog, if it is told too: `LOCAL0` by default.
    pub syslog: Option<u8>,
}

/// A log file and its successors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// A file, or a directory when it ends with a slash.
    pub path: PathBuf,
    /// A file with so many bytes gets a successor; 0: no limit.
    pub rotate_bytes: u64,
    /// A file so old gets a successor; 24 hours by default.
    pub rotate_after: Duration,
    /// Old files that are kept; `None`: all.
    pub max_files: Option<usize>,
}

/// The facilities of RFC 5424 §6.2.1 by Consul's names, in the order of their numbers.
const FACILITIES: &[&str] = &[
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "", "", "",
    "", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
];

impl Settings {
    pub(in crate::config) fn log(&self) -> Result<LogSettings, ConfigError> {
        let rotate_after = self.duration("log_rotate_duration", Duration::from_secs(24 * 3600))?;
        let file = self.text("log_file").map(|path| LogFile {
            path: PathBuf::from(path),
            rotate_bytes: self.int("log_rotate_bytes").and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            rotate_after,
            max_files: match self.int("log_rotate_max_files").unwrap_or(0) {
                0 => None,
                // As in Consul, a negative number keeps none.
                number => Some(usize::try_from(number).unwrap_or(0)),
            },
        });
        let facility = self.text("syslog_facility").unwrap_or("LOCAL0").to_ascii_uppercase();
        let number = FACILITIES.iter().position(|f| !f.is_empty() && *f == facility);
        let syslog = match (self.switch("enable_syslog"), number) {
            (false, _) => None,
            (true, Some(number)) => Some(number as u8),
            (true, None) => {
                return Err(ConfigError::at("syslog_facility", format_args!("invalid syslog facility: {facility}")));
            }
        };
        Ok(LogSettings {
            level: self.text("log_level").map_or(Ok(LogLevel::Info), LogLevel::parse)?,
            json: self.switch("log_json"),
            file,
            syslog,
        })
    }
}
