//! Network coordinates: a node moves so that its distance to others is the round trip time that was measured (Vivaldi,
//! with a height, an adjustment, and a pull towards the origin).

use crate::clock::Generator;
use crate::model::Coordinate;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// How far one observation may change the error.
const ERROR_WEIGHT: f64 = 0.25;
/// How far one observation may move the node.
const MOVE_WEIGHT: f64 = 0.25;
/// The error of a node that knows nothing.
const ERROR_MAX: f64 = 1.5;
/// Less height than that is not believed, seconds.
const HEIGHT_MIN: f64 = 10.0e-6;
/// Nothing is nearer, seconds.
const NEAREST: f64 = 1.0e-6;
/// Observations that the adjustment is the mean of.
const ADJUSTMENT_WINDOW: usize = 20;
/// Observations of one node of which the median counts.
const MEDIAN_OF: usize = 3;
/// The larger, the weaker is the pull towards the origin.
const GRAVITY: f64 = 150.0;
/// A round trip of more than that is no measure, seconds.
const ROUND_TRIP_MAX: f64 = 10.0;
/// Nodes whose last observations are kept, at most.
const NODES_MAX: usize = 4_096;

/// Where this node is.
#[derive(Debug)]
pub(super) struct Vivaldi {
    place: Coordinate,
    adjustments: VecDeque<f64>,
    observations: HashMap<SocketAddr, VecDeque<f64>>,
}

impl Default for Vivaldi {
    fn default() -> Vivaldi {
        let place = Coordinate::origin(Default::default());
        Vivaldi { place, adjustments: VecDeque::new(), observations: HashMap::new() }
    }
}

impl Vivaldi {
    pub(super) fn place(&self) -> &Coordinate {
        &self.place
    }

    /// Takes a measured round trip, in seconds, to a node that says it is at `other`.
    pub(super) fn observe(&mut self, node: SocketAddr, other: &Coordinate, rtt_s: f64, generator: &mut Generator) {
        if !(0.0..=ROUND_TRIP_MAX).contains(&rtt_s) || !other.is_finite() {
            return;
        }
        let rtt_s = self.median(node, rtt_s).max(NEAREST);
        self.step(other, rtt_s, generator);
        self.adjust(other, rtt_s);
        self.pull(generator);
        if !self.place.is_finite() {
            *self = Vivaldi::default();
        }
    }

    fn median(&mut self, node: SocketAddr, rtt_s: f64) -> f64 {
        if self.observations.len() >= NODES_MAX && !self.observations.contains_key(&node) {
            self.observations.clear();
        }
        let kept = self.observations.entry(node).or_default();
        kept.push_back(rtt_s);
        if kept.len() > MEDIAN_OF {
            kept.pop_front();
        }
        let mut sorted: Vec<f64> = kept.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn step(&mut self, other: &Coordinate, rtt_s: f64, generator: &mut Generator) {
        let distance = self.place.distance_s(other);
        let wrong = (distance - rtt_s).abs() / rtt_s;
        let total = (self.place.error + other.error).max(NEAREST);
        let weight = self.place.error / total;
        let error = ERROR_WEIGHT * weight * wrong + self.place.error * (1.0 - ERROR_WEIGHT * weight);
        self.place.error = error.min(ERROR_MAX);
        self.push(other, MOVE_WEIGHT * weight * (rtt_s - distance), generator);
    }

    /// Moves away from the other one by so many seconds, or towards it.
    fn push(&mut self, other: &Coordinate, force: f64, generator: &mut Generator) {
        let mut direction = self.place.vec;
        for (number, other) in direction.iter_mut().zip(&other.vec) {
            *number -= other;
        }
        let length = |v: &[f64]| v.iter().map(|n| n * n).sum::<f64>().sqrt();
        let mut apart = length(&direction);
        if apart <= NEAREST {
            // Both are in one place: any direction will do.
            for number in &mut direction {
                *number = generator.below(1 << 32) as f64 / (1u64 << 32) as f64 - 0.5;
            }
            let random = length(&direction).max(NEAREST);
            direction.iter_mut().for_each(|n| *n /= random);
            apart = 0.0;
        } else {
            direction.iter_mut().for_each(|n| *n /= apart);
        }
        for (number, unit) in self.place.vec.iter_mut().zip(&direction) {
            *number += unit * force;
        }
        if apart > NEAREST {
            let height = (self.place.height + other.height) * force / apart + self.place.height;
            self.place.height = height.max(HEIGHT_MIN);
        }
    }

    fn adjust(&mut self, other: &Coordinate, rtt_s: f64) {
        let raw = Coordinate { adjustment: 0.0, ..self.place.clone() };
        let raw_other = Coordinate { adjustment: 0.0, ..other.clone() };
        self.adjustments.push_back(rtt_s - raw.distance_s(&raw_other));
        if self.adjustments.len() > ADJUSTMENT_WINDOW {
            self.adjustments.pop_front();
        }
        self.place.adjustment = self.adjustments.iter().sum::<f64>() / (2.0 * ADJUSTMENT_WINDOW as f64);
    }

    fn pull(&mut self, generator: &mut Generator) {
        let origin = Coordinate::origin(Default::default());
        let distance = origin.distance_s(&self.place);
        let force = -(distance / GRAVITY).powi(2);
        self.push(&origin, force, generator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn distances_become_the_measured_round_trips() {
        // Three nodes on a line: 10 ms, 20 ms, and 30 ms from end to end.
        let truth = [[0.0, 0.010, 0.030], [0.010, 0.0, 0.020], [0.030, 0.020, 0.0]];
        let mut generator = Clock::manual(0, 7).generator();
        let mut nodes: Vec<Vivaldi> = (0..3).map(|_| Vivaldi::default()).collect();
        let address = |n: usize| SocketAddr::from(([10, 0, 0, n as u8], 1));
        for _ in 0..400 {
            for (own, row) in truth.iter().enumerate() {
                let other = (own + 1 + generator.below(2) as usize) % 3;
                let place = nodes[other].place().clone();
                nodes[own].observe(address(other), &place, row[other], &mut generator);
            }
        }
        for (own, row) in truth.iter().enumerate() {
            for (other, rtt) in row.iter().enumerate().filter(|(other, _)| *other != own) {
                let found = nodes[own].place().distance_s(nodes[other].place());
                assert!((found - rtt).abs() < rtt * 0.25, "{own} to {other}: {found} instead of {rtt}");
            }
        }
    }

    #[test]
    fn nonsense_moves_nobody() {
        let mut generator = Clock::manual(0, 7).generator();
        let mut node = Vivaldi::default();
        let other = Coordinate::origin(Default::default());
        let broken = Coordinate { error: f64::NAN, ..other.clone() };
        for (place, rtt) in [(&other, f64::NAN), (&other, -1.0), (&other, 1e9), (&broken, 0.1)] {
            node.observe(SocketAddr::from(([10, 0, 0, 1], 1)), place, rtt, &mut generator);
            assert_eq!(node.place(), &Coordinate::origin(Default::default()));
        }
    }
}
