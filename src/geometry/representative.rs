//! A position inside a polygon that stands for it.

use geo::{BoundingRect, Coord, MultiPolygon, Polygon};

/// A position well inside the largest part: on the horizontal line through the middle of its box,
/// the middle of the widest stretch inside. The same polygon gives the same position. `None`
/// without any ring.
pub fn representative_point(polygons: &MultiPolygon) -> Option<Coord> {
    let extent = |p: &&Polygon| p.bounding_rect().map_or(0.0, |r| r.width() * r.height());
    let largest = polygons.iter().max_by(|a, b| extent(a).total_cmp(&extent(b)))?;
    let bounds = largest.bounding_rect()?;
    // Off the middle where a vertex lies there: a line through none crosses edges cleanly.
    let middle = bounds.min().y + bounds.height() * 0.5;
    let ys = || {
        std::iter::once(largest.exterior())
            .chain(largest.interiors())
            .flat_map(|r| &r.0)
            .map(|c| c.y)
    };
    let below = ys().filter(|&y| y <= middle).fold(bounds.min().y, f64::max);
    let above = ys().filter(|&y| y > middle).fold(bounds.max().y, f64::min);
    let y = below + (above - below) * 0.5;
    let mut crossings: Vec<f64> = std::iter::once(largest.exterior())
        .chain(largest.interiors())
        .flat_map(|ring| ring.lines())
        .filter(|e| (e.start.y > y) != (e.end.y > y))
        .map(|e| e.start.x + (y - e.start.y) / (e.end.y - e.start.y) * (e.end.x - e.start.x))
        .collect();
    crossings.sort_by(f64::total_cmp);
    let widest = crossings.chunks_exact(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0])));
    match widest {
        Some(stretch) => Some(Coord { x: stretch[0] + (stretch[1] - stretch[0]) * 0.5, y }),
        None => largest.exterior().0.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::containment::contains;
    use geo::polygon;

    #[test]
    fn it_lies_inside_even_of_a_horseshoe() {
        let shoe = MultiPolygon::new(vec![
            polygon![(x: 0.0, y: 0.0), (x: 9.0, y: 0.0), (x: 9.0, y: 9.0), (x: 8.0, y: 9.0),
            (x: 8.0, y: 1.0), (x: 1.0, y: 1.0), (x: 1.0, y: 9.0), (x: 0.0, y: 9.0)],
        ]);
        assert!(contains(&shoe, representative_point(&shoe).unwrap()));
        assert_eq!(representative_point(&MultiPolygon::new(vec![])), None);
    }
}
