//! Faces that share edges, merged into one outline.

use super::clip::Unit;
use super::topology::open_ring;
use geo::{Coord, LineString, MultiPolygon, Polygon};
use std::collections::HashMap;

/// A corner of an outline.
pub trait Vertex: Copy + Ord {}
impl Vertex for Unit {}

/// A position by its bits: equal only where a border is shared bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Exact([u64; 2]);
impl Vertex for Exact {}

impl From<Coord> for Exact {
    fn from(c: Coord) -> Self {
        // +0 and -0 are one position.
        Self([(c.x + 0.0).to_bits(), (c.y + 0.0).to_bits()])
    }
}

impl From<Exact> for Coord {
    fn from(e: Exact) -> Self {
        Self { x: f64::from_bits(e.0[0]), y: f64::from_bits(e.0[1]) }
    }
}

/// The rings that bound faces given by their directed edges: an edge and its reverse cancel. No
/// ring meets itself; rings that run the faces' way around are exteriors, the others holes.
pub fn outlines<V: Vertex>(mut edges: Vec<(V, V)>) -> Vec<Vec<V>> {
    edges.retain(|(a, b)| a != b);
    // Edges and their reverses side by side.
    edges.sort_unstable_by_key(|&(a, b)| (a.min(b), a.max(b), a < b));
    let mut open: Vec<(V, V)> = Vec::with_capacity(edges.len());
    for same in edges.chunk_by(|e, f| (e.0.min(e.1), e.0.max(e.1)) == (f.0.min(f.1), f.0.max(f.1)))
    {
        let forward = same.iter().filter(|(a, b)| a < b).count();
        let surplus = forward.abs_diff(same.len() - forward);
        let kept =
            if 2 * forward > same.len() { &same[same.len() - surplus..] } else { &same[..surplus] };
        open.extend_from_slice(kept);
    }
    open.sort_unstable();
    let mut used = vec![false; open.len()];
    let next_from = |vertex: V, used: &[bool]| {
        let start = open.partition_point(|edge| edge.0 < vertex);
        (start..open.len()).take_while(|&i| open[i].0 == vertex).find(|&i| !used[i])
    };

    let mut rings = Vec::new();
    for first in 0..open.len() {
        if used[first] {
            continue;
        }
        // Walk; whenever the path meets itself, that loop is a ring.
        let mut path: Vec<V> = Vec::new();
        let mut on_path: std::collections::BTreeMap<V, usize> = Default::default();
        let mut edge = Some(first);
        while let Some(index) = edge {
            used[index] = true;
            let (from, to) = open[index];
            on_path.insert(from, path.len());
            path.push(from);
            if let Some(&at) = on_path.get(&to) {
                let ring = path.split_off(at);
                for vertex in &ring {
                    on_path.remove(vertex);
                }
                rings.push(ring);
            }
            edge = next_from(to, &used);
        }
    }
    rings
}

/// Merges polygons that share edges bit for bit.
pub fn merge<'a>(polygons: impl IntoIterator<Item = &'a Polygon>) -> MultiPolygon {
    let faces: Vec<Vec<(Exact, Exact)>> = polygons.into_iter().map(directed_edges).collect();
    let mut groups = Groups::new(faces.len());
    let mut owner: HashMap<(Exact, Exact), usize> = HashMap::new();
    for (face, edges) in faces.iter().enumerate() {
        for &(a, b) in edges {
            if let Some(&twin) = owner.get(&(b, a)) {
                groups.join(face, twin);
            }
            owner.insert((a, b), face);
        }
    }
    drop(owner);
    let mut by_group: HashMap<usize, Vec<(Exact, Exact)>> = HashMap::new();
    for (face, edges) in faces.into_iter().enumerate() {
        by_group.entry(groups.find(face)).or_default().extend(edges);
    }
    let mut groups: Vec<_> = by_group.into_iter().collect();
    groups.sort_unstable_by_key(|(group, _)| *group);
    groups.into_iter().flat_map(|(_, edges)| polygons_of(outlines(edges))).collect()
}

/// Edges with the face on their left, as in `geo`'s counter-clockwise exteriors.
fn directed_edges(polygon: &Polygon) -> Vec<(Exact, Exact)> {
    let rings = std::iter::once((polygon.exterior(), true))
        .chain(polygon.interiors().iter().map(|r| (r, false)));
    let mut edges = Vec::new();
    for (ring, is_exterior) in rings {
        let open = open_ring(ring);
        let forward = (doubled_area(open) > 0.0) == is_exterior;
        for (i, &a) in open.iter().enumerate() {
            let b = open[(i + 1) % open.len()];
            edges.push(if forward { (a.into(), b.into()) } else { (b.into(), a.into()) });
        }
    }
    edges
}

fn polygons_of(rings: Vec<Vec<Exact>>) -> Vec<Polygon> {
    let rings = rings.into_iter().map(|ring| ring.into_iter().map(Coord::from).collect::<Vec<_>>());
    let (exteriors, holes): (Vec<_>, Vec<_>) = rings.partition(|ring| doubled_area(ring) > 0.0);
    let mut polygons: Vec<Polygon> =
        exteriors.into_iter().map(|ring| Polygon::new(LineString(ring), Vec::new())).collect();
    // Faces joined along edges have one exterior; more come only from overlapping input.
    if let Some(first) = polygons.first_mut() {
        holes.into_iter().for_each(|ring| first.interiors_push(LineString(ring)));
    }
    polygons
}

/// Twice the signed area in the plane of the coordinates, relative to the first vertex.
fn doubled_area(ring: &[Coord]) -> f64 {
    let Some(&origin) = ring.first() else { return 0.0 };
    ring.windows(2)
        .map(|edge| {
            let (a, b) = (edge[0] - origin, edge[1] - origin);
            a.x * b.y - a.y * b.x
        })
        .sum()
}

/// Sets that grow together.
pub struct Groups(Vec<usize>);

impl Groups {
    pub fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The lowest member of the set.
    pub fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::Area;

    fn square(x: f64, y: f64) -> Polygon {
        Polygon::new(
            LineString::from(vec![(x, y), (x + 1.0, y), (x + 1.0, y + 1.0), (x, y + 1.0), (x, y)]),
            Vec::new(),
        )
    }

    #[test]
    fn squares_merge_into_a_frame() {
        let frame: Vec<Polygon> = (0..9)
            .filter(|i| *i != 4)
            .map(|i| square(f64::from(i % 3), f64::from(i / 3)))
            .map(|p| if p.exterior().0[0].x > 0.0 { reversed(p) } else { p })
            .collect();
        let merged = merge(&frame);
        assert_eq!(merged.0.len(), 1);
        assert_eq!(merged.0[0].interiors().len(), 1);
        assert_eq!(merged.unsigned_area(), 8.0);
    }

    fn reversed(p: Polygon) -> Polygon {
        Polygon::new(p.exterior().0.iter().rev().copied().collect(), Vec::new())
    }

    #[test]
    fn touching_at_a_corner_is_not_merging() {
        let merged = merge(&[square(0.0, 0.0), square(1.0, 1.0)]);
        assert_eq!(merged.0.len(), 2);
        assert_eq!(merged.unsigned_area(), 2.0);
        assert!(merge([]).0.is_empty());
    }

    #[test]
    fn rings_do_not_meet_themselves() {
        // Three squares around an inner corner that the fourth, missing, one touches.
        let squares = [(0, 0), (2, 0), (0, 2), (2, 2), (1, 1)];
        let mut edges = Vec::new();
        for (x, y) in squares {
            let corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]];
            edges.extend((0..4).map(|i| (corners[i], corners[(i + 1) % 4])));
        }
        let rings = outlines(edges);
        assert_eq!(rings.len(), 5);
        for ring in rings {
            let mut distinct = ring.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), ring.len());
        }
    }
}
