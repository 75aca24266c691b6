//! Polygons that people draw: read from GeoJSON and checked, never silently changed. A polygon
//! that crosses itself has no one area, so it is sent back with the place where it does.

use super::containment;
use super::crs::{self, ToCgcs2000};
use super::side::{Meeting, meeting};
use crate::error::{Fault, FaultKind};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree, RTreeObject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most vertices a drawn polygon may have.
pub const MOST_VERTICES: usize = 10_000;

/// Why a drawn polygon is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DrawnError {
    #[error("not a GeoJSON Polygon or MultiPolygon: {0}")]
    NotAPolygon(&'static str),
    #[error("the position {0}, {1} is no position in the reference system")]
    OutOfRange(f64, f64),
    #[error("more than {0} vertices")]
    TooManyVertices(usize),
    #[error("a ring has fewer than three different vertices")]
    TooFewVertices,
    #[error("the border crosses or touches itself at {:.6}, {:.6}", .0.x, .0.y)]
    CrossesItself(Coord),
    #[error("a hole is not inside the polygon, at {:.6}, {:.6}", .0.x, .0.y)]
    HoleOutside(Coord),
    #[error("parts or holes overlap at {:.6}, {:.6}", .0.x, .0.y)]
    PartsOverlap(Coord),
}

impl From<DrawnError> for Fault {
    fn from(error: DrawnError) -> Self {
        let en = format!("The polygon is refused: {error}");
        let (kind, code, zh) = match error {
            DrawnError::NotAPolygon(_) => (
                FaultKind::Unprocessable,
                "not_a_polygon",
                "不是 GeoJSON 面（Polygon 或 MultiPolygon）".into(),
            ),
            DrawnError::OutOfRange(x, y) => (
                FaultKind::Unprocessable,
                "out_of_range",
                format!("坐标 {x}, {y} 不是该坐标系中的位置"),
            ),
            DrawnError::TooManyVertices(most) => {
                (FaultKind::TooLarge, "too_many_vertices", format!("面的顶点超过 {most} 个"))
            }
            DrawnError::TooFewVertices => {
                (FaultKind::Unprocessable, "polygon_invalid", "有一个环不足三个不同的顶点".into())
            }
            DrawnError::CrossesItself(at) => (
                FaultKind::Unprocessable,
                "polygon_invalid",
                format!("面的边界在 {:.6}, {:.6} 处自相交或自接触", at.x, at.y),
            ),
            DrawnError::HoleOutside(at) => (
                FaultKind::Unprocessable,
                "polygon_invalid",
                format!("洞不在面内：{:.6}, {:.6}", at.x, at.y),
            ),
            DrawnError::PartsOverlap(at) => (
                FaultKind::Unprocessable,
                "polygon_invalid",
                format!("面的各部分或各洞在 {:.6}, {:.6} 处重叠", at.x, at.y),
            ),
        };
        Self::new(kind, code, zh, en)
    }
}

/// Reads a GeoJSON Polygon or MultiPolygon, or a Feature (or a collection of one) with such a
/// geometry, in WGS 84 or CGCS2000 degrees. The result is valid and on the grid of
/// [`crs::snap`]; rings that are left open are closed.
pub fn from_geojson(value: &Value, most_vertices: usize) -> Result<MultiPolygon, DrawnError> {
    let degrees = |position: Coord| {
        let Coord { x, y } = position;
        let on_earth = (-180.0..=180.0).contains(&x) && (-90.0..=90.0).contains(&y);
        on_earth.then_some(position).ok_or(DrawnError::OutOfRange(x, y))
    };
    read(value, most_vertices, &degrees)
}

/// The same in another reference system.
pub fn from_geojson_in(
    value: &Value,
    most_vertices: usize,
    to_cgcs2000: &ToCgcs2000,
) -> Result<MultiPolygon, DrawnError> {
    let convert = |position: Coord| {
        to_cgcs2000.position(position).map_err(|_| DrawnError::OutOfRange(position.x, position.y))
    };
    read(value, most_vertices, &convert)
}

type Convert<'a> = &'a dyn Fn(Coord) -> Result<Coord, DrawnError>;

fn read(value: &Value, most_vertices: usize, convert: Convert) -> Result<MultiPolygon, DrawnError> {
    let geometry = geometry_of(value)?;
    let coordinates = geometry.get("coordinates").and_then(Value::as_array);
    let coordinates = coordinates.ok_or(DrawnError::NotAPolygon("no coordinates"))?;
    let mut left = most_vertices;
    let mut part_of = |rings: &[Value]| -> Result<Polygon, DrawnError> {
        let mut rings = rings.iter().map(|ring| ring_of(ring, &mut left, most_vertices, convert));
        let exterior = rings.next().ok_or(DrawnError::TooFewVertices)??;
        Ok(Polygon::new(exterior, rings.collect::<Result<_, _>>()?))
    };
    let polygons = match geometry.get("type").and_then(Value::as_str) {
        Some("Polygon") => vec![part_of(coordinates)?],
        Some("MultiPolygon") => coordinates
            .iter()
            .map(|part| {
                part_of(part.as_array().ok_or(DrawnError::NotAPolygon("a part is no array"))?)
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(DrawnError::NotAPolygon("the type is another")),
    };
    if polygons.is_empty() {
        return Err(DrawnError::TooFewVertices);
    }
    let polygons = MultiPolygon::new(polygons);
    check(&polygons)?;
    Ok(polygons)
}

fn geometry_of(value: &Value) -> Result<&Value, DrawnError> {
    match value.get("type").and_then(Value::as_str) {
        Some("Feature") => value.get("geometry").ok_or(DrawnError::NotAPolygon("no geometry")),
        Some("FeatureCollection") => {
            match value.get("features").and_then(Value::as_array).map(Vec::as_slice) {
                Some([feature]) => {
                    feature.get("geometry").ok_or(DrawnError::NotAPolygon("no geometry"))
                }
                _ => Err(DrawnError::NotAPolygon("a collection must hold one feature")),
            }
        }
        _ => Ok(value),
    }
}

fn ring_of(
    ring: &Value,
    left: &mut usize,
    most: usize,
    convert: Convert,
) -> Result<LineString, DrawnError> {
    let positions = ring.as_array().ok_or(DrawnError::NotAPolygon("a ring is no array"))?;
    *left = left.checked_sub(positions.len()).ok_or(DrawnError::TooManyVertices(most))?;
    let mut vertices = Vec::with_capacity(positions.len() + 1);
    for position in positions {
        let number = |i: usize| position.get(i).and_then(Value::as_f64);
        let (Some(x), Some(y)) = (number(0), number(1)) else {
            return Err(DrawnError::NotAPolygon("a position is no pair of numbers"));
        };
        vertices.push(crs::snap(convert(Coord { x, y })?));
    }
    vertices.dedup();
    let mut ring = LineString::new(vertices);
    ring.close();
    if ring.0.len() < 4 {
        return Err(DrawnError::TooFewVertices);
    }
    Ok(ring)
}

/// Whether rings neither cross nor overlap, and holes and parts lie as they should.
fn check(polygons: &MultiPolygon) -> Result<(), DrawnError> {
    let rings: Vec<&LineString> =
        polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())).collect();
    let touches = check_edges(&rings)?;
    // Where rings meet in a vertex, that vertex tells nothing of inside and outside.
    let free_vertex = |ring: &LineString| {
        ring.0.iter().copied().find(|c| !touches.contains(&bits(*c))).or(ring.0.first().copied())
    };
    let holds = |ring: &LineString, position: Coord| {
        let crossed = |edge: &geo::Line| containment::ray_crosses(position, edge.start, edge.end);
        ring.lines().filter(crossed).count() % 2 == 1
    };
    for (number, polygon) in polygons.iter().enumerate() {
        for (hole_number, hole) in polygon.interiors().iter().enumerate() {
            let Some(position) = free_vertex(hole) else { continue };
            if !holds(polygon.exterior(), position) {
                return Err(DrawnError::HoleOutside(position));
            }
            let others = polygon.interiors().iter().enumerate().filter(|(i, _)| *i != hole_number);
            if others.map(|(_, other)| other).any(|other| holds(other, position)) {
                return Err(DrawnError::PartsOverlap(position));
            }
        }
        let Some(position) = free_vertex(polygon.exterior()) else { continue };
        let in_another =
            polygons.iter().enumerate().filter(|(i, _)| *i != number).any(|(_, other)| {
                holds(other.exterior(), position)
                    && !other.interiors().iter().any(|hole| holds(hole, position))
            });
        if in_another {
            return Err(DrawnError::PartsOverlap(position));
        }
    }
    Ok(())
}

type Bits = (u64, u64);

fn bits(position: Coord) -> Bits {
    // + 0.0 makes −0 the same as 0.
    ((position.x + 0.0).to_bits(), (position.y + 0.0).to_bits())
}

#[derive(Clone, Copy)]
struct Edge {
    ring: usize,
    number: usize,
    ends: [Coord; 2],
}

/// Finds where edges cross; gives the vertices in which two rings touch.
fn check_edges(rings: &[&LineString]) -> Result<BTreeSet<Bits>, DrawnError> {
    let edges = rings.iter().enumerate().flat_map(|(ring, line)| {
        line.lines().enumerate().map(move |(number, edge)| {
            let ends = [edge.start, edge.end];
            let rectangle =
                Rectangle::from_corners([edge.start.x, edge.start.y], [edge.end.x, edge.end.y]);
            GeomWithData::new(rectangle, Edge { ring, number, ends })
        })
    });
    let tree = RTree::bulk_load(edges.collect());
    let mut touches: BTreeMap<(usize, usize), BTreeSet<Bits>> = BTreeMap::new();
    for entry in &tree {
        let edge = entry.data;
        let [a, b] = edge.ends;
        let envelope: AABB<_> = entry.envelope();
        for other in tree.locate_in_envelope_intersecting(&envelope).map(|entry| entry.data) {
            if (other.ring, other.number) <= (edge.ring, edge.number) {
                continue;
            }
            let [c, d] = other.ends;
            match meeting(a, b, c, d) {
                Meeting::Apart => {}
                Meeting::AtEnds { first } => {
                    let place = if first { a } else { b };
                    if edge.ring != other.ring {
                        let places = touches.entry((edge.ring, other.ring)).or_default();
                        places.insert(bits(place));
                        // Twice, and they may cross there, or cut the inside in two.
                        if places.len() > 1 {
                            return Err(DrawnError::CrossesItself(place));
                        }
                    } else {
                        let last = rings[edge.ring].0.len() - 2;
                        let follows = other.number == edge.number + 1
                            || (edge.number == 0 && other.number == last);
                        if !follows {
                            return Err(DrawnError::CrossesItself(place));
                        }
                    }
                }
                Meeting::Same | Meeting::Otherwise => {
                    return Err(DrawnError::CrossesItself(crossing(a, b, c, d)));
                }
            }
        }
    }
    Ok(touches.into_values().flatten().collect())
}

/// About where two edges meet, to tell the user.
fn crossing(a: Coord, b: Coord, c: Coord, d: Coord) -> Coord {
    let (along, other) = (b - a, d - c);
    let area = along.x * other.y - along.y * other.x;
    if area == 0.0 {
        return c;
    }
    let t = ((c.x - a.x) * other.y - (c.y - a.y) * other.x) / area;
    a + along * t.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<MultiPolygon, DrawnError> {
        from_geojson(&value, 100)
    }

    fn polygon(rings: Value) -> Result<MultiPolygon, DrawnError> {
        read(json!({"type": "Polygon", "coordinates": rings}))
    }

    #[test]
    fn good_polygons_pass_however_they_are_wrapped() {
        let square = json!({"type": "Polygon", "coordinates": [[[119.0, 25.0], [119.1, 25.0], [119.1, 25.1], [119.0, 25.1], [119.0, 25.0]]]});
        let plain = read(square.clone()).unwrap();
        let feature = json!({"type": "Feature", "properties": null, "geometry": square});
        assert_eq!(read(feature.clone()).unwrap(), plain);
        assert_eq!(
            read(json!({"type": "FeatureCollection", "features": [feature]})).unwrap(),
            plain
        );
        // Left open, with a height and a vertex twice; a hole that touches the border once.
        let open = json!([[[0, 0, 5], [9, 0], [9, 0], [9, 9], [0, 9]], [[0, 0], [4, 5], [5, 4]]]);
        assert_eq!(polygon(open).unwrap().0[0].interiors().len(), 1);
        let parts = json!({"type": "MultiPolygon", "coordinates": [
            [[[0, 0], [9, 0], [9, 9], [0, 9]], [[1, 1], [8, 1], [8, 8], [1, 8]]], [[[2, 2], [3, 2], [3, 3]]]]});
        assert_eq!(read(parts).unwrap().0.len(), 2);
    }

    #[test]
    fn bad_polygons_are_refused_with_the_reason() {
        let crossed = polygon(json!([[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]));
        assert_eq!(crossed, Err(DrawnError::CrossesItself(Coord { x: 1.0, y: 1.0 })));
        for (rings, what) in [
            (json!([[[0, 0], [1, 1], [0, 0]]]), "few"),
            (json!([]), "few"),
            (json!([[[0, 0], [1, 0], [2, 0], [0, 0]]]), "crosses"),
            (json!([[[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]]]), "crosses"),
            (json!([[[0, 0], [2, 0], [2, 2], [0, 2]], [[5, 5], [6, 5], [6, 6]]]), "hole"),
            (json!([[[0, 0], [2, 0], [2, 2], [0, 2]], [[1, 1], [3, 1], [3, 1.5]]]), "crosses"),
            (
                json!([
                    [[0, 0], [9, 0], [9, 9], [0, 9]],
                    [[1, 1], [8, 1], [8, 8]],
                    [[5, 3], [6, 3], [6, 4]]
                ]),
                "overlap",
            ),
            (json!([[[0, 0], [9, 0], [9, 91]]]), "position 9"),
            (json!([[[0, 0], [9, "x"], [9, 9]]]), "GeoJSON"),
        ] {
            let error = polygon(rings.clone()).unwrap_err().to_string();
            assert!(error.contains(what), "{rings}: {error}");
        }
        for value in [json!(null), json!({"type": "Point", "coordinates": [1, 2]}), json!([])] {
            assert!(matches!(read(value), Err(DrawnError::NotAPolygon(_))));
        }
        let inside = json!({"type": "MultiPolygon", "coordinates": [
            [[[0, 0], [9, 0], [9, 9], [0, 9]]], [[[2, 2], [3, 2], [3, 3]]]]});
        assert!(matches!(read(inside), Err(DrawnError::PartsOverlap(_))));
        let many: Vec<_> = (0..101).map(|i| json!([i, i * i % 90])).collect();
        assert_eq!(polygon(json!([many])), Err(DrawnError::TooManyVertices(100)));
    }
}
