//! How one polygon lies to another, decided by exact predicates.
//!
//! Two polygons of one survey mostly share whole edges. Such borders compare bit for bit, so that
//! a polygon inside another, or beside it, is known to be so without any overlay. Whatever cannot
//! be decided that way counts as [`Side::Crossing`]: an overlay is always right, only slower.

use super::containment::{self, PreparedPolygon};
use geo::{BoundingRect, Coord, InteriorPoint, LineString, MultiPolygon, Polygon, Rect};
use robust::{Coord as RobustCoord, orient2d};
use rstar::{AABB, RTree, primitives::GeomWithData, primitives::Rectangle};

/// Where a polygon lies, seen from a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// No part of it is outside the region.
    Inside,
    /// No part of it is inside the region; borders may touch.
    Outside,
    /// Partly inside, or too intricate to tell.
    Crossing,
}

/// An edge with its place in the order of the rings: consecutive numbers share a vertex.
type NumberedEdge = (u32, [Coord; 2]);
type IndexedEdge = GeomWithData<Rectangle<[f64; 2]>, NumberedEdge>;

/// A valid multipolygon made ready to compare many polygons with.
#[derive(Debug)]
pub struct Region<'a> {
    shape: &'a MultiPolygon,
    bounds: Rect,
    edges: Vec<NumberedEdge>,
    /// Only where there are enough edges to pay for it.
    index: Option<(RTree<IndexedEdge>, PreparedPolygon)>,
}

/// Below this number of edges a scan beats an index.
const INDEXED_FROM: usize = 200;

impl<'a> Region<'a> {
    /// Prepares valid rings; `None` without any.
    pub fn new(shape: &'a MultiPolygon) -> Option<Self> {
        let bounds = shape.bounding_rect()?;
        let mut edges = Vec::new();
        let mut number = 0;
        for ring in rings_of(shape.iter()) {
            for edge in ring.lines() {
                edges.push((number, [edge.start, edge.end]));
                number += 1;
            }
            // Leaves a gap: the next ring's first edge does not follow this one's last.
            number += 1;
        }
        let index = if edges.len() >= INDEXED_FROM {
            let boxes = edges.iter().map(|&(number, [a, b])| {
                let rectangle = Rectangle::from_corners([a.x, a.y], [b.x, b.y]);
                GeomWithData::new(rectangle, (number, [a, b]))
            });
            Some((RTree::bulk_load(boxes.collect()), PreparedPolygon::new(shape)?))
        } else {
            None
        };
        Some(Self { shape, bounds, edges, index })
    }

    /// The multipolygon this was made of.
    pub fn shape(&self) -> &'a MultiPolygon {
        self.shape
    }

    /// The bounding box, degrees.
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    fn contains(&self, position: Coord) -> bool {
        match &self.index {
            Some((_, prepared)) => prepared.contains(position),
            None => containment::contains(self.shape, position),
        }
    }

    fn edges_in(&self, window: Rect) -> Vec<NumberedEdge> {
        match &self.index {
            Some((tree, _)) => {
                let (min, max) = (window.min(), window.max());
                let envelope = AABB::from_corners([min.x, min.y], [max.x, max.y]);
                let mut edges: Vec<_> =
                    tree.locate_in_envelope_intersecting(&envelope).map(|e| e.data).collect();
                edges.sort_unstable_by_key(|&(number, _)| number);
                edges
            }
            None => self.edges.iter().filter(|(_, e)| edge_meets(e, window)).copied().collect(),
        }
    }

    /// Where a valid multipolygon lies.
    pub fn side_of(&self, polygons: &MultiPolygon) -> Side {
        let mut sides = polygons.iter().map(|polygon| self.side_of_polygon(polygon));
        let Some(first) = sides.next() else { return Side::Outside };
        if sides.all(|side| side == first) { first } else { Side::Crossing }
    }

    /// Where a valid polygon lies.
    pub fn side_of_polygon(&self, polygon: &Polygon) -> Side {
        let Some(bounds) = polygon.bounding_rect() else { return Side::Outside };
        let Some(common) = common_box(bounds, self.bounds) else { return Side::Outside };
        let ours = self.edges_in(common);
        if !ours.is_empty() && self.enters(&ours, polygon, common) {
            return Side::Crossing;
        }
        // No border of the region runs through the polygon's inside, so any one position inside
        // tells. The half-open rule takes positions off every border, exactly.
        match position_inside(polygon) {
            Some(position) if self.contains(position) => Side::Inside,
            Some(_) => Side::Outside,
            None => Side::Crossing,
        }
    }

    /// Whether a border of the region runs through the inside of the polygon, or might.
    fn enters(&self, ours: &[NumberedEdge], polygon: &Polygon, common: Rect) -> bool {
        let mut theirs: Vec<[Coord; 2]> = rings_of([polygon])
            .flat_map(|ring| ring.lines())
            .map(|edge| [edge.start, edge.end])
            .filter(|edge| edge_meets(edge, common))
            .collect();
        theirs.sort_unstable_by(|e, f| lower_y(e).total_cmp(&lower_y(f)));
        // Edges reach up from their lower end by at most this much, so that a binary search finds
        // where candidates begin.
        let reach = theirs.iter().map(|e| (e[0].y - e[1].y).abs()).fold(0.0, f64::max);

        // The last edge found to be outside, if its end was free to go on from.
        let mut outside_up_to = None;
        for &(number, [a, b]) in ours {
            let (low, high) = (a.y.min(b.y), a.y.max(b.y));
            let first = theirs.partition_point(|e| lower_y(e) < low - reach);
            let (mut touches_a, mut touches_b, mut shared) = (false, false, false);
            for &[c, d] in theirs[first..].iter().take_while(|e| lower_y(e) <= high) {
                match meeting(a, b, c, d) {
                    Meeting::Apart => {}
                    Meeting::Same => shared = true,
                    Meeting::AtEnds { first } => {
                        if first {
                            touches_a = true
                        } else {
                            touches_b = true
                        }
                    }
                    Meeting::Otherwise => return true,
                }
            }
            if shared {
                outside_up_to = None;
                continue;
            }
            if touches_a && touches_b {
                return true;
            }
            let follows = outside_up_to == Some(number) && !touches_a;
            if !follows {
                let free = if touches_a { b } else { a };
                if contains_in_polygon(polygon, free) {
                    return true;
                }
            }
            outside_up_to = (!touches_b).then_some(number + 1);
        }
        false
    }
}

fn rings_of<'a>(
    polygons: impl IntoIterator<Item = &'a Polygon>,
) -> impl Iterator<Item = &'a LineString> {
    polygons.into_iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
}

fn lower_y(edge: &[Coord; 2]) -> f64 {
    edge[0].y.min(edge[1].y)
}

fn edge_meets(edge: &[Coord; 2], window: Rect) -> bool {
    let [a, b] = *edge;
    a.x.min(b.x) <= window.max().x
        && a.x.max(b.x) >= window.min().x
        && a.y.min(b.y) <= window.max().y
        && a.y.max(b.y) >= window.min().y
}

/// The box two boxes have in common; `None` where it has no inside.
pub fn common_box(a: Rect, b: Rect) -> Option<Rect> {
    let min = Coord { x: a.min().x.max(b.min().x), y: a.min().y.max(b.min().y) };
    let max = Coord { x: a.max().x.min(b.max().x), y: a.max().y.min(b.max().y) };
    (min.x < max.x && min.y < max.y).then(|| Rect::new(min, max))
}

fn contains_in_polygon(polygon: &Polygon, position: Coord) -> bool {
    let crossings = rings_of([polygon])
        .flat_map(|ring| ring.lines())
        .filter(|edge| containment::ray_crosses(position, edge.start, edge.end))
        .count();
    crossings % 2 == 1
}

/// A position that the half-open rule gives to the polygon.
fn position_inside(polygon: &Polygon) -> Option<Coord> {
    let inside = |position: &Coord| contains_in_polygon(polygon, *position);
    let vertices = polygon.exterior().0.iter().copied().take(4);
    let middles = polygon.exterior().lines().map(|e| (e.start + e.end) / 2.0).take(16);
    vertices
        .chain(middles)
        .find(inside)
        .or_else(|| polygon.interior_point().map(|point| point.0).filter(inside))
}

/// How two edges meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    Apart,
    /// The same edge, in whichever direction.
    Same,
    /// Only in an end of both: the first edge's first end, or its second.
    AtEnds {
        first: bool,
    },
    /// They cross, overlap, or one ends on the other.
    Otherwise,
}

/// How the edges a–b and c–d meet, exactly.
pub fn meeting(a: Coord, b: Coord, c: Coord, d: Coord) -> Meeting {
    let apart = a.x.min(b.x) > c.x.max(d.x)
        || c.x.min(d.x) > a.x.max(b.x)
        || a.y.min(b.y) > c.y.max(d.y)
        || c.y.min(d.y) > a.y.max(b.y);
    if apart {
        return Meeting::Apart;
    }
    if (a == c && b == d) || (a == d && b == c) {
        return Meeting::Same;
    }
    let (c_side, d_side) = (orientation(a, b, c), orientation(a, b, d));
    if c_side * d_side > 0.0 {
        return Meeting::Apart;
    }
    let (a_side, b_side) = (orientation(c, d, a), orientation(c, d, b));
    if a_side * b_side > 0.0 {
        return Meeting::Apart;
    }
    let at_first = a == c || a == d;
    let at_second = b == c || b == d;
    if !at_first && !at_second {
        return Meeting::Otherwise;
    }
    if c_side == 0.0 && d_side == 0.0 {
        // On one line: they meet in the shared end alone if they leave it in opposite directions.
        let (shared, own) = if at_first { (a, b) } else { (b, a) };
        let other = if c == shared { d } else { c };
        let beyond = |from: f64, x: f64, y: f64| (x < from && y > from) || (x > from && y < from);
        if !(beyond(shared.x, own.x, other.x) || beyond(shared.y, own.y, other.y)) {
            return Meeting::Otherwise;
        }
    }
    Meeting::AtEnds { first: at_first }
}

/// −1, 0 or 1: exact side of `c` against the line a–b.
fn orientation(a: Coord, b: Coord, c: Coord) -> f64 {
    let robust = |c: Coord| RobustCoord { x: c.x, y: c.y };
    let area = orient2d(robust(a), robust(b), robust(c));
    if area == 0.0 { 0.0 } else { area.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::{BooleanOps, polygon};
    use proptest::prelude::*;

    fn rectangle(x0: f64, y0: f64, x1: f64, y1: f64) -> MultiPolygon {
        MultiPolygon::new(vec![
            Rect::new(Coord { x: x0, y: y0 }, Coord { x: x1, y: y1 }).to_polygon(),
        ])
    }

    fn side(inner: &MultiPolygon, region: &MultiPolygon) -> Side {
        Region::new(region).unwrap().side_of(inner)
    }

    #[test]
    fn shared_borders_count_for_neither_side() {
        let region = MultiPolygon::new(vec![polygon![
            (x: 0.0, y: 0.0), (x: 1.0, y: 0.0), (x: 2.0, y: 0.0), (x: 2.0, y: 1.0), (x: 2.0, y: 2.0),
            (x: 1.0, y: 2.0), (x: 0.0, y: 2.0), (x: 0.0, y: 1.0),
        ]]);
        assert_eq!(side(&rectangle(0.0, 0.0, 1.0, 1.0), &region), Side::Inside);
        assert_eq!(side(&region, &region), Side::Inside);
        assert_eq!(side(&rectangle(2.0, 0.0, 3.0, 1.0), &region), Side::Outside);
        assert_eq!(side(&rectangle(2.0, 2.0, 3.0, 3.0), &region), Side::Outside);
        assert_eq!(side(&rectangle(1.5, 0.5, 2.5, 1.5), &region), Side::Crossing);
        assert_eq!(side(&rectangle(-1.0, -1.0, 3.0, 3.0), &region), Side::Crossing);
        assert_eq!(side(&rectangle(0.5, 0.5, 1.5, 1.5), &region), Side::Inside);
    }

    #[test]
    fn a_hole_is_outside_and_what_fills_it_too() {
        let ring = polygon!(exterior: [(x: 0.0, y: 0.0), (x: 9.0, y: 0.0), (x: 9.0, y: 9.0), (x: 0.0, y: 9.0)],
            interiors: [[(x: 3.0, y: 3.0), (x: 3.0, y: 6.0), (x: 6.0, y: 6.0), (x: 6.0, y: 3.0)]]);
        let ring = MultiPolygon::new(vec![ring]);
        assert_eq!(side(&rectangle(3.0, 3.0, 6.0, 6.0), &ring), Side::Outside);
        assert_eq!(side(&rectangle(4.0, 4.0, 5.0, 5.0), &ring), Side::Outside);
        assert_eq!(side(&rectangle(2.0, 2.0, 7.0, 7.0), &ring), Side::Crossing);
        assert_eq!(side(&ring, &rectangle(0.0, 0.0, 9.0, 9.0)), Side::Inside);
        assert_eq!(side(&ring, &rectangle(3.0, 3.0, 6.0, 6.0)), Side::Outside);
    }

    fn blob(seed: &[(i32, i32)]) -> MultiPolygon {
        // A union of squares on a small grid: shared edges, T junctions, holes and touching corners.
        seed.iter().fold(MultiPolygon::new(vec![]), |shape, &(x, y)| {
            shape.union(&rectangle(x as f64, y as f64, (x + 2) as f64, (y + 2) as f64))
        })
    }

    proptest! {
        #[test]
        fn what_is_decided_agrees_with_the_overlay(
            a in prop::collection::vec((0..6i32, 0..6i32), 1..6),
            b in prop::collection::vec((0..6i32, 0..6i32), 1..6),
        ) {
            use geo::Area;
            let (a, b) = (blob(&a), blob(&b));
            let common = a.intersection(&b).unsigned_area();
            match side(&a, &b) {
                Side::Inside => prop_assert!((common - a.unsigned_area()).abs() < 1e-6),
                Side::Outside => prop_assert!(common < 1e-6),
                Side::Crossing => {}
            }
        }
    }
}
