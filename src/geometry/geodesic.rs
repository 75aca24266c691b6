//! Measures on the CGCS2000 ellipsoid (a = 6378137 m, 1/f = 298.257222101), after
//! C. F. F. Karney, "Algorithms for geodesics", J. Geod. 87 (2013).

use geo::{Coord, MultiPolygon, Polygon};
use geographiclib_rs::{Geodesic, InverseGeodesic, PolygonArea, Winding};
use std::sync::LazyLock;

static CGCS2000: LazyLock<Geodesic> =
    LazyLock::new(|| Geodesic::new(6_378_137.0, 1.0 / 298.257_222_101));

/// Square metres of one mu (亩).
pub const MU_M2: f64 = 2000.0 / 3.0;

/// Length in metres of the geodesic between two positions (degrees).
pub fn distance_m(a: Coord, b: Coord) -> f64 {
    CGCS2000.inverse(a.y, a.x, b.y, b.x)
}

/// Ellipsoidal area in m² of a polygon given in degrees, holes taken off; the rings' direction
/// does not matter. Edges are geodesics, as in PostGIS's `ST_Area(geography)`.
pub fn polygon_area_m2(polygon: &Polygon) -> f64 {
    let holes: f64 = polygon.interiors().iter().map(|ring| ring_area_m2(&ring.0)).sum();
    ring_area_m2(&polygon.exterior().0) - holes
}

/// Ellipsoidal area in m² of a multipolygon given in degrees.
pub fn area_m2(polygons: &MultiPolygon) -> f64 {
    polygons.iter().map(polygon_area_m2).sum()
}

fn ring_area_m2(ring: &[Coord]) -> f64 {
    let mut area = PolygonArea::new(&CGCS2000, Winding::CounterClockwise);
    let open = ring.len().saturating_sub(1);
    for position in &ring[..open] {
        area.add_point(position.y, position.x);
    }
    let (_perimeter, area, _) = area.compute(true);
    area.abs()
}

/// Metres per degree of longitude and of latitude at a latitude (degrees), for local estimates
/// such as search boxes; exact measures use [`distance_m`].
pub fn metres_per_degree(latitude: f64) -> (f64, f64) {
    let e2 = 0.006_694_380_022_90;
    let (sin, cos) = latitude.to_radians().sin_cos();
    let root = (1.0 - e2 * sin * sin).sqrt();
    let east = 6_378_137.0 * cos / root;
    let north = 6_378_137.0 * (1.0 - e2) / root.powi(3);
    (east.to_radians(), north.to_radians())
}

/// Distance in metres from a position to the nearest point of a segment, both in degrees. Works in
/// the plane tangent at the position: the error is below 1e-5 of the distance within 10 km.
pub fn distance_to_segment_m(position: Coord, a: Coord, b: Coord) -> f64 {
    let (east, north) = metres_per_degree(position.y);
    let to_plane = |c: Coord| Coord { x: (c.x - position.x) * east, y: (c.y - position.y) * north };
    let (a, b) = (to_plane(a), to_plane(b));
    let edge = b - a;
    let length_squared = edge.x * edge.x + edge.y * edge.y;
    let t = if length_squared > 0.0 {
        (-(a.x * edge.x + a.y * edge.y) / length_squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (a.x + t * edge.x).hypot(a.y + t * edge.y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::polygon;

    #[test]
    fn measures_agree_with_each_other() {
        let a = Coord { x: 119.0, y: 25.43 };
        let b = Coord { x: 119.001, y: 25.431 };
        let c = Coord { x: 119.01, y: 25.43 };
        assert!((distance_to_segment_m(a, b, b) / distance_m(a, b) - 1.0).abs() < 1e-4);
        assert!(distance_to_segment_m(Coord { x: 119.005, y: 25.43 }, a, c) < 1e-6);
    }

    #[test]
    fn direction_and_holes_are_honoured() {
        let square = polygon!(exterior: [(x: 119.0, y: 25.0), (x: 119.1, y: 25.0), (x: 119.1, y: 25.1), (x: 119.0, y: 25.1)],
            interiors: [[(x: 119.04, y: 25.04), (x: 119.04, y: 25.06), (x: 119.06, y: 25.06), (x: 119.06, y: 25.04)]]);
        let reversed = Polygon::new(
            geo::LineString(square.exterior().0.iter().rev().copied().collect()),
            square.interiors().to_vec(),
        );
        let area = polygon_area_m2(&square);
        assert!((area - polygon_area_m2(&reversed)).abs() < 1e-3);
        assert!((area / (10_089.0 * 11_077.6 * 0.96) - 1.0).abs() < 1e-3, "{area}");
    }
}
