//! Exact half-open containment of a position in a polygon.
//!
//! The rule is a symbolic perturbation: the position is taken to lie an infinitesimal step to the
//! east and a far smaller one to the north. So no position is ever on an edge or a vertex, and
//! polygons that share their borders own every position exactly once, whatever the order or
//! direction of their rings. The sign of each position against each edge is exact
//! (J. R. Shewchuk, "Adaptive precision floating-point arithmetic and fast robust geometric
//! predicates", 1997; crate `robust`).

use geo::{BoundingRect, Coord, LineString, MultiPolygon, Rect};
use robust::{Coord as RobustCoord, orient2d};

/// Whether the ray from the (perturbed) position towards +x crosses the edge a–b.
///
/// The edge is used from its lower to its upper end, so twins in neighbouring polygons give the
/// same answer; a position exactly on it counts as east of it.
#[inline]
pub fn ray_crosses(position: Coord, a: Coord, b: Coord) -> bool {
    if (a.y > position.y) == (b.y > position.y) {
        return false;
    }
    if position.x < a.x && position.x < b.x {
        return true;
    }
    if position.x > a.x && position.x > b.x {
        return false;
    }
    let (low, high) = if a.y < b.y { (a, b) } else { (b, a) };
    orient2d(robust(low), robust(high), robust(position)) > 0.0
}

#[inline]
fn robust(c: Coord) -> RobustCoord<f64> {
    RobustCoord { x: c.x, y: c.y }
}

/// All rings of a multipolygon, shells and holes.
pub fn rings(polygons: &MultiPolygon) -> impl Iterator<Item = &LineString> {
    polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
}

/// The plain rule, linear in the number of edges: the oracle for everything faster.
pub fn contains(polygons: &MultiPolygon, position: Coord) -> bool {
    let crossings = rings(polygons)
        .flat_map(|ring| ring.lines())
        .filter(|edge| ray_crosses(position, edge.start, edge.end))
        .count();
    crossings % 2 == 1
}

/// A multipolygon prepared for many look-ups: its edges are filed by horizontal slab, so that a
/// look-up touches only the edges at the position's latitude. Costs about 40 bytes per edge.
#[derive(Debug)]
pub struct PreparedPolygon {
    bounds: Rect,
    slabs_per_degree: f64,
    /// Slab `i` holds `edges[starts[i]..starts[i + 1]]`.
    starts: Box<[u32]>,
    edges: Box<[[Coord; 2]]>,
}

/// Slabs per edge: with two, a slab of a compact polygon holds two to four edges.
const EDGES_PER_SLAB: usize = 2;

impl PreparedPolygon {
    /// Prepares valid rings with finite coordinates; `None` without any.
    pub fn new(polygons: &MultiPolygon) -> Option<Self> {
        let bounds = polygons.bounding_rect()?;
        let edges: Vec<[Coord; 2]> = rings(polygons)
            .flat_map(|ring| ring.lines())
            .filter(|edge| edge.start.y != edge.end.y)
            .map(|edge| [edge.start, edge.end])
            .collect();
        let slab_count = (edges.len() / EDGES_PER_SLAB).clamp(1, 1 << 20);
        let height = bounds.height();
        let slabs_per_degree = if height > 0.0 { slab_count as f64 / height } else { 0.0 };
        let mut prepared =
            Self { bounds, slabs_per_degree, starts: Box::default(), edges: Box::default() };

        let slabs_of = |edge: &[Coord; 2]| {
            let (a, b) =
                (prepared.slab(edge[0].y, slab_count), prepared.slab(edge[1].y, slab_count));
            a.min(b)..=a.max(b)
        };
        let mut starts = vec![0u32; slab_count + 1];
        for edge in &edges {
            for slab in slabs_of(edge) {
                starts[slab + 1] += 1;
            }
        }
        for slab in 0..slab_count {
            starts[slab + 1] += starts[slab];
        }
        let mut filed = vec![[Coord::zero(); 2]; starts[slab_count] as usize];
        let mut next = starts.clone();
        for edge in &edges {
            for slab in slabs_of(edge) {
                filed[next[slab] as usize] = *edge;
                next[slab] += 1;
            }
        }
        prepared.starts = starts.into();
        prepared.edges = filed.into();
        Some(prepared)
    }

    fn slab(&self, y: f64, slab_count: usize) -> usize {
        // A float cast saturates and sends NaN to 0, so any input stays in range.
        (((y - self.bounds.min().y) * self.slabs_per_degree) as usize).min(slab_count - 1)
    }

    /// The bounding box, degrees.
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Same answer as [`contains`].
    pub fn contains(&self, position: Coord) -> bool {
        let (min, max) = (self.bounds.min(), self.bounds.max());
        let in_bounds = position.x >= min.x
            && position.x <= max.x
            && position.y >= min.y
            && position.y <= max.y;
        if !in_bounds {
            return false;
        }
        let slab = self.slab(position.y, self.starts.len() - 1);
        let edges = &self.edges[self.starts[slab] as usize..self.starts[slab + 1] as usize];
        let mut inside = false;
        for [a, b] in edges {
            inside ^= ray_crosses(position, *a, *b);
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::{Intersects, Polygon, polygon};
    use proptest::prelude::*;

    fn star(vertices: Vec<(f64, f64)>) -> MultiPolygon {
        MultiPolygon::new(vec![Polygon::new(LineString::from(vertices), vec![])])
    }

    #[test]
    fn a_checkerboard_owns_its_vertices_edges_and_inside_once() {
        let square = |x: f64, y: f64| {
            MultiPolygon::new(vec![
                polygon![(x: x, y: y), (x: x + 1.0, y: y), (x: x + 1.0, y: y + 1.0), (x: x, y: y + 1.0)],
            ])
        };
        let board: Vec<_> =
            (0..4).flat_map(|i| (0..4).map(move |j| square(i as f64, j as f64))).collect();
        for i in 1..16 {
            for j in 1..16 {
                let p = Coord { x: i as f64 / 4.0, y: j as f64 / 4.0 };
                assert_eq!(board.iter().filter(|s| contains(s, p)).count(), 1, "{p:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn prepared_agrees_with_plain_and_with_geo_off_the_border(
            ring in prop::collection::vec((0..40i32, 0..40i32), 3..40),
            points in prop::collection::vec((0..80i32, 0..80i32), 50),
        ) {
            let shape = star(ring.iter().map(|&(x, y)| (x as f64, y as f64)).collect());
            let prepared = PreparedPolygon::new(&shape).unwrap();
            let border: Vec<_> = rings(&shape).flat_map(|r| r.lines()).collect();
            for (x, y) in points {
                let p = Coord { x: x as f64 / 2.0, y: y as f64 / 2.0 };
                prop_assert_eq!(prepared.contains(p), contains(&shape, p));
                // Off the border the even-odd rule has one answer, here from the winding number.
                if !border.iter().any(|edge| edge.intersects(&p)) {
                    prop_assert_eq!(contains(&shape, p), winding(&shape, p) % 2 != 0);
                }
            }
        }
    }

    fn winding(shape: &MultiPolygon, p: Coord) -> i32 {
        let angle: f64 = rings(shape)
            .flat_map(|r| r.lines())
            .map(|edge| {
                let (a, b) = (edge.start - p, edge.end - p);
                (a.x * b.y - a.y * b.x).atan2(a.x * b.x + a.y * b.y)
            })
            .sum();
        (angle / std::f64::consts::TAU).round() as i32
    }

    #[test]
    fn nan_and_infinity_are_outside() {
        let shape = star(vec![(0.0, 0.0), (4.0, 0.0), (4.0, 4.0)]);
        let prepared = PreparedPolygon::new(&shape).unwrap();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!prepared.contains(Coord { x: bad, y: 1.0 }));
            assert!(!prepared.contains(Coord { x: 1.0, y: bad }));
        }
    }
}
