//! How fast and how widely is gossiped.

use foca::{Config, PeriodicParams};
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

/// The bytes of a packet of the failure detector. With everything around it, a datagram stays below 1,400 bytes.
pub(super) const PACKET_BYTES_MAX: usize = 1_200;

/// How often a member that was declared dead is asked whether it has come back.
const ASK_THE_DEAD_EVERY: Duration = Duration::from_secs(65);

/// The settings of one pool. All nodes of a pool should have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Time between two probes of other members.
    pub probe_interval: Duration,
    /// A direct answer may take so long, then others are asked to try; less than the interval.
    pub probe_timeout: Duration,
    /// Time between two rounds of gossip.
    pub gossip_interval: Duration,
    /// How many members are told in each round.
    pub gossip_nodes: usize,
    /// A suspect has this many probe intervals, times the logarithm of the members, to answer.
    pub suspicion_mult: u32,
    /// News is sent on this many times, times the logarithm of the members.
    pub retransmit_mult: u32,
    /// Time between two exchanges of everything with one other member; longer in pools of more than 32.
    pub exchange_interval: Duration,
    /// Members that have failed or left are forgotten after this time.
    pub reap_after: Duration,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            suspicion_mult: 4,
            retransmit_mult: 4,
            exchange_interval: Duration::from_secs(30),
            reap_after: Duration::from_secs(72 * 3600),
        }
    }
}

impl Tuning {
    /// How often one piece of news is sent on in a pool of this size.
    pub(super) fn transmissions(&self, size: usize) -> NonZeroU8 {
        let digits = ((size + 1) as f64).log10().ceil().max(1.0);
        let times = f64::from(self.retransmit_mult) * digits;
        // The bounds make the conversion exact.
        NonZeroU8::new(times.clamp(1.0, 255.0) as u8).unwrap_or(NonZeroU8::MIN)
    }

    /// How long a suspect has to answer, for somebody who doubts himself so much.
    pub(super) fn suspicion(&self, size: usize, doubt: u32) -> Duration {
        let scale = (size.max(1) as f64).log10().max(1.0);
        let time = self.probe_interval.mul_f64(f64::from(self.suspicion_mult) * scale);
        time.saturating_mul(1 + doubt)
    }

    /// Time between two exchanges in a pool of this size: the work of all grows with its square.
    pub(super) fn exchange_every(&self, size: usize) -> Duration {
        let doublings = (size as f64 / 32.0).log2().ceil().max(0.0);
        self.exchange_interval.mul_f64(1.0 + doublings)
    }

    /// The same for the library.
    pub(super) fn config(&self, size: usize, doubt: u32) -> Config {
        let count = |n: usize| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Config {
            probe_period: self.probe_interval,
            probe_rtt: self.probe_timeout,
            num_indirect_probes: count(3),
            max_transmissions: self.transmissions(size),
            suspect_to_down_after: self.suspicion(size, doubt),
            remove_down_after: Some(self.reap_after),
            max_packet_size: count(PACKET_BYTES_MAX),
            notify_down_members: true,
            // The exchange over a stream does that.
            periodic_announce: None,
            periodic_announce_to_down_members: Some(PeriodicParams {
                frequency: ASK_THE_DEAD_EVERY,
                num_members: count(2),
            }),
            periodic_gossip: Some(PeriodicParams {
                frequency: self.gossip_interval,
                num_members: count(self.gossip_nodes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_pools_take_more_time() {
        let tuning = Tuning::default();
        let s = Duration::from_secs;
        assert_eq!([3, 10, 100, 10_000].map(|n| tuning.suspicion(n, 0)), [s(4), s(4), s(8), s(16)]);
        assert_eq!(tuning.suspicion(10, 2), s(12));
        assert_eq!([1, 9, 10, 1_000].map(|n| tuning.transmissions(n).get()), [4, 4, 8, 16]);
        assert_eq!([1, 32, 33, 64, 1_024].map(|n| tuning.exchange_every(n)), [s(30), s(30), s(60), s(60), s(180)]);
    }
}
