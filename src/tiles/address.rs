//! Tile addresses (XYZ) and the Web Mercator plane they divide.

use crate::geometry::geodesic::metres_per_degree;
use geo::{Coord, Rect};
use std::f64::consts::PI;

/// The deepest zoom served.
pub const MAX_ZOOM: u8 = 18;
/// Units along one side of a tile, 2^[`EXTENT_BITS`].
pub const EXTENT: i32 = 4096;
pub const EXTENT_BITS: u32 = 12;
/// Latitude in degrees where the square Web Mercator world ends.
pub const MAX_LATITUDE: f64 = 85.051_128_779_806_59;

/// A position in the square Web Mercator world: x east and y south, both 0 to 1.
pub fn project(position: Coord) -> Coord {
    let latitude = position.y.clamp(-MAX_LATITUDE, MAX_LATITUDE).to_radians();
    Coord { x: position.x / 360.0 + 0.5, y: 0.5 - (latitude.sin()).atanh() / (2.0 * PI) }
}

/// The way back, degrees.
pub fn unproject(world: Coord) -> Coord {
    let latitude = ((0.5 - world.y) * 2.0 * PI).sinh().atan();
    Coord { x: (world.x - 0.5) * 360.0, y: latitude.to_degrees() }
}

/// How many m² on the ellipsoid one unit of world area is, at a world y. For shares and labels:
/// records carry geodesic areas.
pub fn ground_m2_per_world_area(y: f64) -> f64 {
    let latitude = unproject(Coord { x: 0.5, y }).y;
    let (east, north) = metres_per_degree(latitude);
    // A unit of world is 360° of longitude, and as many of latitude as keep angles true.
    east * 360.0 * north * 360.0 * latitude.to_radians().cos()
}

/// A tile. Only valid addresses exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileAddress {
    z: u8,
    x: u32,
    y: u32,
}

impl TileAddress {
    /// The address, unless out of range.
    pub fn new(z: u8, x: u32, y: u32) -> Option<Self> {
        let valid = z <= MAX_ZOOM && x >> z == 0 && y >> z == 0;
        valid.then_some(Self { z, x, y })
    }

    /// The tile of a zoom that a world position lies in.
    pub fn at(z: u8, world: Coord) -> Self {
        let z = z.min(MAX_ZOOM);
        let last = (1u32 << z) - 1;
        // A cast saturates, and NaN gives 0.
        let index = |v: f64| ((v * f64::from(1u32 << z)).floor() as u32).min(last);
        Self { z, x: index(world.x), y: index(world.y) }
    }

    pub fn z(self) -> u8 {
        self.z
    }

    pub fn x(self) -> u32 {
        self.x
    }

    pub fn y(self) -> u32 {
        self.y
    }

    /// The tile one zoom up that holds this one.
    pub fn parent(self) -> Option<Self> {
        let z = self.z.checked_sub(1)?;
        Some(Self { z, x: self.x >> 1, y: self.y >> 1 })
    }

    /// The tile's place in the world, grown on each side by a share of its width.
    pub fn world_bounds(self, margin: f64) -> Rect {
        let size = 1.0 / f64::from(1u32 << self.z);
        let corner = |x: f64, y: f64| Coord { x: x * size, y: y * size };
        let (x, y) = (f64::from(self.x), f64::from(self.y));
        Rect::new(corner(x - margin, y - margin), corner(x + 1.0 + margin, y + 1.0 + margin))
    }

    /// The tile's place in degrees, grown on each side by a share of its width.
    pub fn bounds(self, margin: f64) -> Rect {
        let world = self.world_bounds(margin);
        Rect::new(unproject(world.min()), unproject(world.max()))
    }

    /// The first unit of the tile on the grid of `world units` of its zoom ([`to_units`]).
    pub fn origin_units(self) -> [i64; 2] {
        [i64::from(self.x) << EXTENT_BITS, i64::from(self.y) << EXTENT_BITS]
    }
}

/// A world position on the grid of tile units of a zoom. The same position gives the same units
/// in every tile, so borders meet across tiles.
#[inline]
pub fn to_units(world: Coord, z: u8) -> [i64; 2] {
    let scale = (1u64 << (u32::from(z) + EXTENT_BITS)) as f64;
    [(world.x * scale).round() as i64, (world.y * scale).round() as i64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projection_is_web_mercator_and_reversible() {
        // EPSG:3857 of 119.0078, 25.454: 13247887.696, 2931612.157.
        let position = Coord { x: 119.0078, y: 25.454 };
        let world = project(position);
        let half = PI * 6_378_137.0;
        let metres = ((world.x - 0.5) * 2.0 * half, (0.5 - world.y) * 2.0 * half);
        assert!(
            (metres.0 - 13_247_887.696).abs() < 0.01 && (metres.1 - 2_931_612.157).abs() < 0.01,
            "{metres:?}"
        );
        let back = unproject(world);
        assert!((back.x - position.x).abs() < 1e-12 && (back.y - position.y).abs() < 1e-12);
    }

    #[test]
    fn addresses_are_checked() {
        assert!(
            TileAddress::new(0, 0, 0).is_some() && TileAddress::new(18, (1 << 18) - 1, 0).is_some()
        );
        for (z, x, y) in [(0, 1, 0), (3, 0, 8), (19, 0, 0), (255, 0, 0), (18, 1 << 18, 0)] {
            assert!(TileAddress::new(z, x, y).is_none());
        }
        let tile = TileAddress::at(12, project(Coord { x: 119.0078, y: 25.454 }));
        assert_eq!((tile.x(), tile.y()), (3402, 1748));
        let nan = TileAddress::at(5, Coord { x: f64::NAN, y: f64::INFINITY });
        assert!(nan.x() == 0 && nan.y() == 31);
        assert_eq!(TileAddress::new(3, 5, 6).unwrap().parent(), TileAddress::new(2, 2, 3));
    }
}
