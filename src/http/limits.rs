//! Limits on clients that may change while the server runs.

use tokio::sync::watch;

/// What clients may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections from one address; 0: no limit. Consul's `limits.http_max_conns_per_client`, 200 there. Shown here,
    /// counted where connections are accepted.
    pub conns_per_client_max: usize,
    /// Bytes of a key's value. Consul's `limits.kv_max_value_size`, 512 KiB there.
    pub value_bytes_max: usize,
    /// Bytes of a transaction's request, if that is more. Consul's `limits.txn_max_req_len`, 512 KiB there.
    pub txn_bytes_max: usize,
}

/// Limits, now and after changes.
#[derive(Clone, Debug)]
pub struct LiveLimits(watch::Sender<Limits>);

impl LiveLimits {
    /// With these to begin with.
    pub fn new(limits: Limits) -> LiveLimits {
        LiveLimits(watch::Sender::new(limits))
    }

    /// Replaces them. Connections that are open stay open.
    pub fn set(&self, limits: Limits) {
        self.0.send_replace(limits);
    }

    /// The present ones.
    pub(super) fn get(&self) -> Limits {
        *self.0.borrow()
    }
}
