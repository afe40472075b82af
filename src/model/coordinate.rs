//! Network coordinates: where a node is in a space whose distances are round trip times (Vivaldi, as serf computes it).

use super::Text;

/// Dimensions of the space.
pub const DIMENSIONS: usize = 8;

/// The coordinate of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coordinate {
    /// The node; as its name is written in the catalog.
    pub node: Text,
    /// Network segment; empty: the only one.
    pub segment: Text,
    /// Place, seconds. All numbers are finite.
    pub vec: [f64; DIMENSIONS],
    /// How sure the place is; less is better.
    pub error: f64,
    /// Correction of a distance, seconds.
    pub adjustment: f64,
    /// Distance from the node to the plane of the others, seconds.
    pub height: f64,
}

impl Coordinate {
    /// Where every node begins.
    pub fn origin(node: Text) -> Coordinate {
        Coordinate { node, error: 1.5, height: 1e-5, ..Coordinate::default() }
    }

    /// Whether all numbers are finite.
    pub fn is_finite(&self) -> bool {
        let others = [self.error, self.adjustment, self.height];
        self.vec.iter().chain(&others).all(|number| number.is_finite())
    }

    /// Estimated round trip time to the other one, seconds.
    pub fn distance_s(&self, other: &Coordinate) -> f64 {
        let squares: f64 = self.vec.iter().zip(&other.vec).map(|(a, b)| (a - b) * (a - b)).sum();
        let raw = squares.sqrt() + self.height + other.height;
        let adjusted = raw + self.adjustment + other.adjustment;
        if adjusted > 0.0 { adjusted } else { raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_between_the_places_and_adjusted_if_that_makes_sense() {
        let a = Coordinate { height: 0.001, ..Coordinate::default() };
        let mut b = Coordinate { height: 0.002, ..Coordinate::default() };
        (b.vec[0], b.vec[7]) = (0.003, 0.004);
        assert!((a.distance_s(&b) - 0.008).abs() < 1e-12);
        b.adjustment = -0.001;
        assert!((a.distance_s(&b) - 0.007).abs() < 1e-12);
        b.adjustment = -1.0;
        assert!((a.distance_s(&b) - 0.008).abs() < 1e-12);
        assert!(a.is_finite() && !Coordinate { error: f64::NAN, ..a }.is_finite());
    }
}
