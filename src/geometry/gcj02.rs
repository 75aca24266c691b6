//! The obfuscated datums of Chinese map services: GCJ-02 and, on top of it, BD-09.
//!
//! The formula is the public one (a = 6378245 m, e² = 0.00669342162296594); it has no closed
//! inverse, so the inverse iterates to a fixed point. WGS 84 and CGCS2000 agree within a metre and
//! are not told apart here.

use geo::Coord;
use std::f64::consts::PI;

const SEMI_MAJOR_AXIS_M: f64 = 6_378_245.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_693_421_622_965_94;
const BD_PI: f64 = PI * 3000.0 / 180.0;

/// The rectangle in which the public formula applies, degrees (west, south, east, north).
pub const VALID_EXTENT: [f64; 4] = [72.004, 0.8293, 137.8347, 55.8271];

/// Whether the formula is defined at this position (degrees).
pub fn in_valid_extent(position: Coord) -> bool {
    let [west, south, east, north] = VALID_EXTENT;
    (west..=east).contains(&position.x) && (south..=north).contains(&position.y)
}

fn offset(position: Coord) -> Coord {
    let (x, y) = (position.x - 105.0, position.y - 35.0);
    let shared = (20.0 * (6.0 * x * PI).sin() + 20.0 * (2.0 * x * PI).sin()) * 2.0 / 3.0;
    let mut north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * x.abs().sqrt();
    north += shared;
    north += (20.0 * (y * PI).sin() + 40.0 * (y / 3.0 * PI).sin()) * 2.0 / 3.0;
    north += (160.0 * (y / 12.0 * PI).sin() + 320.0 * (y * PI / 30.0).sin()) * 2.0 / 3.0;
    let mut east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * x.abs().sqrt();
    east += shared;
    east += (20.0 * (x * PI).sin() + 40.0 * (x / 3.0 * PI).sin()) * 2.0 / 3.0;
    east += (150.0 * (x / 12.0 * PI).sin() + 300.0 * (x / 30.0 * PI).sin()) * 2.0 / 3.0;

    let latitude = position.y.to_radians();
    let root = 1.0 - ECCENTRICITY_SQUARED * latitude.sin().powi(2);
    let meridian_m = SEMI_MAJOR_AXIS_M * (1.0 - ECCENTRICITY_SQUARED) / (root * root.sqrt());
    let parallel_m = SEMI_MAJOR_AXIS_M / root.sqrt() * latitude.cos();
    Coord { x: (east / parallel_m).to_degrees(), y: (north / meridian_m).to_degrees() }
}

/// CGCS2000/WGS 84 to GCJ-02, degrees.
pub fn to_gcj02(position: Coord) -> Coord {
    position + offset(position)
}

/// GCJ-02 to CGCS2000/WGS 84, degrees; within a micrometre of the exact inverse.
pub fn from_gcj02(position: Coord) -> Coord {
    invert(position, to_gcj02)
}

/// GCJ-02 to BD-09, degrees.
fn gcj02_to_bd09(position: Coord) -> Coord {
    let radius = position.x.hypot(position.y) + 0.000_02 * (position.y * BD_PI).sin();
    let angle = position.y.atan2(position.x) + 0.000_003 * (position.x * BD_PI).cos();
    Coord { x: radius * angle.cos() + 0.0065, y: radius * angle.sin() + 0.006 }
}

/// CGCS2000/WGS 84 to BD-09, degrees.
pub fn to_bd09(position: Coord) -> Coord {
    gcj02_to_bd09(to_gcj02(position))
}

/// BD-09 to CGCS2000/WGS 84, degrees; within a micrometre of the exact inverse.
pub fn from_bd09(position: Coord) -> Coord {
    from_gcj02(invert(position, gcj02_to_bd09))
}

/// Solves `forward(x) = target` by fixed-point iteration. Both offsets vary by less than 1 % of
/// the distance moved, so each round gains two digits; ten rounds reach the limit of `f64`.
fn invert(target: Coord, forward: impl Fn(Coord) -> Coord) -> Coord {
    let mut guess = target;
    for _ in 0..20 {
        let miss = target - forward(guess);
        guess = guess + miss;
        if miss.x.abs() < 1e-13 && miss.y.abs() < 1e-13 {
            break;
        }
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::geodesic::distance_m;
    use proptest::prelude::*;

    #[test]
    fn offsets_in_putian_are_the_known_ones() {
        let here = Coord { x: 119.0078, y: 25.454 };
        assert!((distance_m(here, to_gcj02(here)) - 566.0).abs() < 15.0);
        assert!((distance_m(here, to_bd09(here)) - 1180.0).abs() < 40.0);
    }

    proptest! {
        #[test]
        fn inverses_return_within_a_centimetre(x in 73.0..137.0, y in 1.0..55.0) {
            let here = Coord { x, y };
            prop_assert!(distance_m(here, from_gcj02(to_gcj02(here))) < 0.01);
            prop_assert!(distance_m(here, from_bd09(to_bd09(here))) < 0.01);
        }
    }
}
