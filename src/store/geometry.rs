//! Between the geometry of `geo` and that of `postgis_diesel`. SRID 4490, degrees.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use postgis_diesel::types::{MultiPolygon as SqlMultiPolygon, Point, Polygon as SqlPolygon};

/// CGCS2000 geographic.
pub const SRID: u32 = 4490;

/// For writing.
pub fn to_sql(polygons: &MultiPolygon) -> SqlMultiPolygon<Point> {
    let ring = |ring: &LineString| {
        ring.0.iter().map(|c| Point { x: c.x, y: c.y, srid: Some(SRID) }).collect::<Vec<_>>()
    };
    SqlMultiPolygon {
        polygons: polygons
            .iter()
            .map(|polygon| SqlPolygon {
                rings: std::iter::once(polygon.exterior())
                    .chain(polygon.interiors())
                    .map(ring)
                    .collect(),
                srid: Some(SRID),
            })
            .collect(),
        srid: Some(SRID),
    }
}

/// After reading.
pub fn from_sql(polygons: &SqlMultiPolygon<Point>) -> MultiPolygon {
    let ring = |ring: &Vec<Point>| {
        LineString::new(ring.iter().map(|p| Coord { x: p.x, y: p.y }).collect())
    };
    MultiPolygon::new(
        polygons
            .polygons
            .iter()
            .map(|polygon| {
                let mut rings = polygon.rings.iter().map(ring);
                let exterior = rings.next().unwrap_or_else(|| LineString::new(Vec::new()));
                Polygon::new(exterior, rings.collect())
            })
            .collect(),
    )
}
