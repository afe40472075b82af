//! Gossip: whom to find, how fast, and with which keys.

use crate::config::address;
use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use std::net::IpAddr;
use std::time::Duration;

/// Members that have failed are kept at least so long, as in Consul.
const RECONNECT_MIN: Duration = Duration::from_secs(8 * 3600);

/// What gossip is told.
#[derive(Clone, Debug, PartialEq)]
pub struct GossipSettings {
    /// The address to bind; the one for cluster communication by default. It may be unspecified.
    pub bind: IpAddr,
    /// Members to join at the start, `host[:port]` each; the start fails if none can be joined.
    pub start_join: Vec<String>,
    /// Members to join until it succeeds.
    pub retry_join: Vec<String>,
    /// Pause between two attempts.
    pub retry_interval: Duration,
    /// Attempts, after which the process gives up; 0: never.
    pub retry_max: u64,
    /// Join earlier members again even after having left.
    pub rejoin_after_leave: bool,
    /// The key of `encrypt`, if there is one.
    pub key: Option<Vec<u8>>,
    /// Keys are kept in the data directory.
    pub keyring_file: bool,
    /// Refuse packets that are not encrypted.
    pub verify_incoming: bool,
    /// Encrypt packets.
    pub verify_outgoing: bool,
    /// Leave the cluster on SIGTERM.
    pub leave_on_terminate: bool,
    /// Do not leave the cluster on SIGINT.
    pub skip_leave_on_interrupt: bool,
    /// This node tells the catalog where it is in the network.
    pub coordinates: bool,
    /// Time between two probes.
    pub probe_interval: Duration,
    /// Time for a direct answer.
    pub probe_timeout: Duration,
    /// Time between two rounds of gossip.
    pub gossip_interval: Duration,
    /// Members that are told in each round.
    pub gossip_nodes: usize,
    /// How long a suspect has, in probe intervals per decimal digit of the members.
    pub suspicion_mult: u32,
    /// How often news is sent on, per decimal digit of the members.
    pub retransmit_mult: u32,
    /// Members that have failed or left are forgotten after this time.
    pub reconnect_timeout: Duration,
}

impl Settings {
    pub(in crate::config) fn gossip(&self, bind: IpAddr, dev: bool) -> Result<GossipSettings, ConfigError> {
        let ms = |path: &str, default: u64| self.gossip_time(path, Duration::from_millis(default));
        let count = |path: &str, default: i64| {
            let n = self.int(path).unwrap_or(default);
            u32::try_from(n)
                .ok()
                .filter(|n| (1..=100).contains(n))
                .ok_or_else(|| ConfigError::at(path, format_args!("must be from 1 to 100, not {n}")))
        };
        let probe_interval = ms("gossip_lan.probe_interval", 1_000)?;
        let probe_timeout = ms("gossip_lan.probe_timeout", 500)?;
        if probe_timeout >= probe_interval {
            return Err(ConfigError::at("gossip_lan.probe_timeout", "must be less than gossip_lan.probe_interval"));
        }
        let reconnect_timeout = self.duration("reconnect_timeout", Duration::from_secs(72 * 3600))?;
        if reconnect_timeout < RECONNECT_MIN {
            return Err(ConfigError::at("reconnect_timeout", "must be at least 8h"));
        }
        let retry_max = self.int("retry_max").unwrap_or(0);
        let retry_max = u64::try_from(retry_max)
            .map_err(|_| ConfigError::at("retry_max", format_args!("must be 0 or more, not {retry_max}")))?;
        let server = dev || self.switch("server");
        Ok(GossipSettings {
            bind: self
                .text("serf_lan")
                .map_or(Ok(bind), |t| address::ip("serf_lan", self.filled("serf_lan", t)?.trim()))?,
            start_join: self.addresses_to_join("start_join")?,
            retry_join: self.addresses_to_join("retry_join")?,
            retry_interval: self.duration("retry_interval", Duration::from_secs(30))?.max(Duration::from_secs(1)),
            retry_max,
            rejoin_after_leave: self.switch("rejoin_after_leave"),
            key: self.text("encrypt").map(encryption_key).transpose()?,
            keyring_file: !self.switch("disable_keyring_file"),
            verify_incoming: self.choice("encrypt_verify_incoming").unwrap_or(true),
            verify_outgoing: self.choice("encrypt_verify_outgoing").unwrap_or(true),
            leave_on_terminate: self.choice("leave_on_terminate").unwrap_or(!server),
            skip_leave_on_interrupt: self.choice("skip_leave_on_interrupt").unwrap_or(server),
            coordinates: !self.switch("disable_coordinates"),
            probe_interval,
            probe_timeout,
            gossip_interval: ms("gossip_lan.gossip_interval", 200)?,
            gossip_nodes: count("gossip_lan.gossip_nodes", 3)? as usize,
            suspicion_mult: count("gossip_lan.suspicion_mult", 4)?,
            retransmit_mult: count("gossip_lan.retransmit_mult", 4)?,
            reconnect_timeout,
        })
    }

    fn gossip_time(&self, path: &str, default: Duration) -> Result<Duration, ConfigError> {
        let time = self.duration(path, default)?;
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&time) {
            return Err(ConfigError::at(path, format_args!("must be from 10ms to 60s, not {time:?}")));
        }
        Ok(time)
    }

    /// Addresses with their templates filled in; asking a cloud for them is refused.
    fn addresses_to_join(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let mut addresses = Vec::new();
        for text in self.texts(key) {
            if text.contains("provider=") {
                let why = "give addresses or DNS names".to_owned();
                return Err(ConfigError::NotBuilt { name: format!("{key} with a cloud provider"), why });
            }
            addresses.extend(self.filled(key, &text)?.split_whitespace().map(str::to_owned));
        }
        Ok(addresses)
    }
}

/// A key in base64; the errors are Consul's.
fn encryption_key(text: &str) -> Result<Vec<u8>, ConfigError> {
    let invalid = |why: &str| Err(ConfigError::invalid(format!("encrypt has invalid key: {why}")));
    match STANDARD.decode(text) {
        Ok(key) if matches!(key.len(), 16 | 24 | 32) => Ok(key),
        Ok(_) => invalid("key size must be 16, 24 or 32 bytes"),
        // Go names the first byte of the group of four that cannot be read, or the byte that is no digit.
        Err(DecodeError::InvalidByte(at, _)) => invalid(&format!("illegal base64 data at input byte {at}")),
        Err(_) => invalid(&format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}
