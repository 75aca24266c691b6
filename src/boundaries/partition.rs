//! Gaps and overlaps of a partition layer.
//!
//! Where two polygons share a border vertex by vertex, each edge has its twin in the other
//! direction and nothing can be wrong there. Only polygons with an edge that has none are held
//! against their neighbours, and the edges without a twin, chained up, are the border of what the
//! layer covers: a ring of them around nothing is a gap. So a clean layer costs one pass.

use super::draft::DraftFeature;
use crate::atlas::layer::Layer;
use crate::geometry::geodesic;
use crate::geometry::representative::representative_point;
use geo::{BooleanOps, BoundingRect, Coord, LineString, MultiPolygon, Polygon};
use rayon::prelude::*;
use rstar::{AABB, RTree, RTreeObject};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Smaller gaps and overlaps are rounding, m².
pub const MIN_AREA_M2: f64 = 1.0;
/// A layer with more pairs to compare is not looked at further: the first thousands tell enough.
const MAX_PAIRS: usize = 400_000;

/// An area that two features share.
pub struct SharedArea {
    /// Indices of the features, the lower first.
    pub features: (usize, usize),
    pub area_m2: f64,
    pub geometry: MultiPolygon,
}

/// A hole of the layer.
pub struct Hole {
    pub area_m2: f64,
    pub geometry: MultiPolygon,
    pub position: Coord,
}

type Point = (u64, u64);

fn point(c: Coord) -> Point {
    ((c.x + 0.0).to_bits(), (c.y + 0.0).to_bits())
}

fn coord(p: Point) -> Coord {
    Coord { x: f64::from_bits(p.0), y: f64::from_bits(p.1) }
}

#[derive(Default, Clone, Copy)]
struct Count {
    forward: u32,
    backward: u32,
}

/// Every edge once, from its lower to its higher end, with how often it is used in each direction.
struct Edges(HashMap<(Point, Point), Count>);

fn directed(edge: geo::Line) -> ((Point, Point), bool) {
    let (a, b) = (point(edge.start), point(edge.end));
    if a < b { ((a, b), true) } else { ((b, a), false) }
}

fn rings(polygons: &MultiPolygon) -> impl Iterator<Item = &LineString> {
    polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()))
}

impl Edges {
    fn of<'a>(geometries: impl Iterator<Item = &'a MultiPolygon>) -> Self {
        let mut edges: HashMap<(Point, Point), Count> = HashMap::default();
        for edge in geometries.flat_map(rings).flat_map(|ring| ring.lines()) {
            let (key, forward) = directed(edge);
            let count = edges.entry(key).or_default();
            if forward {
                count.forward += 1;
            } else {
                count.backward += 1;
            }
        }
        Self(edges)
    }

    fn is_twinned(&self, edge: geo::Line) -> bool {
        let (key, _) = directed(edge);
        self.0.get(&key).is_some_and(|c| c.forward == 1 && c.backward == 1)
    }

    /// The edges that have no twin, in their direction.
    fn open(&self) -> impl Iterator<Item = (Point, Point)> + '_ {
        self.0.iter().flat_map(|(&(a, b), count)| {
            let times = count.forward.abs_diff(count.backward) as usize;
            let edge = if count.forward > count.backward { (a, b) } else { (b, a) };
            std::iter::repeat_n(edge, times)
        })
    }
}

struct Boxed {
    index: usize,
    envelope: AABB<[f64; 2]>,
}

impl RTreeObject for Boxed {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.envelope
    }
}

fn envelope(geometry: &MultiPolygon) -> Option<AABB<[f64; 2]>> {
    let r = geometry.bounding_rect()?;
    Some(AABB::from_corners([r.min().x, r.min().y], [r.max().x, r.max().y]))
}

/// The overlaps of a layer, largest first, and whether all pairs were compared.
pub fn overlaps(features: &[DraftFeature], layer: &Layer) -> (Vec<SharedArea>, bool) {
    let edges = Edges::of(features.iter().map(|f| &f.geometry));
    let boxes: Vec<Boxed> = features
        .iter()
        .enumerate()
        .filter_map(|(index, f)| Some(Boxed { index, envelope: envelope(&f.geometry)? }))
        .collect();
    let tree = RTree::bulk_load(boxes);
    let pairs: HashSet<(usize, usize)> = features
        .par_iter()
        .enumerate()
        .map(|(index, feature)| {
            let suspect = rings(&feature.geometry)
                .flat_map(|r| r.lines())
                .any(|edge| !edges.is_twinned(edge));
            // Two whole layers on top of each other have all their twins: a position tells.
            let stacked = || {
                let mut hits = Vec::new();
                if let Some(p) = representative_point(&feature.geometry) {
                    layer.hits_at(p, &mut hits);
                }
                hits.len() > 1
            };
            let mut own = Vec::new();
            if let Some(envelope) = envelope(&feature.geometry).filter(|_| suspect || stacked()) {
                for other in
                    tree.locate_in_envelope_intersecting(&envelope).filter(|o| o.index != index)
                {
                    own.push((index.min(other.index), index.max(other.index)));
                }
            }
            own
        })
        .flatten_iter()
        .collect();
    let all = pairs.len() <= MAX_PAIRS;
    let mut pairs: Vec<(usize, usize)> = pairs.into_iter().collect();
    pairs.sort_unstable();
    pairs.truncate(MAX_PAIRS);
    let mut found: Vec<SharedArea> = pairs
        .into_par_iter()
        .filter_map(|(a, b)| {
            let (one, other) = (&features[a].geometry, &features[b].geometry);
            if only_touching_boxes(one, other) {
                return None;
            }
            // Valid rings should not, but an overlay that panics must not take the import along.
            let shared = catch_unwind(AssertUnwindSafe(|| one.intersection(other))).ok()?;
            let area_m2 = geodesic::area_m2(&shared);
            (area_m2 >= MIN_AREA_M2).then_some(SharedArea {
                features: (a, b),
                area_m2,
                geometry: shared,
            })
        })
        .collect();
    found.sort_by(|a, b| b.area_m2.total_cmp(&a.area_m2));
    (found, all)
}

/// Whether the boxes of two polygons meet in no more than a line, so that they cannot overlap.
fn only_touching_boxes(one: &MultiPolygon, other: &MultiPolygon) -> bool {
    let (Some(a), Some(b)) = (one.bounding_rect(), other.bounding_rect()) else { return true };
    let width = a.max().x.min(b.max().x) - a.min().x.max(b.min().x);
    let height = a.max().y.min(b.max().y) - a.min().y.max(b.min().y);
    width <= 0.0 || height <= 0.0
}

/// The gaps of a layer, largest first. With `parents` — the areas that the layer should fill —
/// what they leave empty themselves is none, and what is missing along their border is one too.
pub fn gaps(
    features: &[DraftFeature],
    layer: &Layer,
    parents: Option<&[&MultiPolygon]>,
) -> Vec<Hole> {
    let own = Edges::of(features.iter().map(|f| &f.geometry));
    // Turned round, so that what is not covered lies to the left.
    let mut border: HashMap<(Point, Point), i32> = HashMap::default();
    for (a, b) in own.open() {
        *border.entry((b, a)).or_default() += 1;
    }
    if let Some(parents) = parents {
        let outline = Edges::of(parents.iter().copied());
        let matching = outline.open().filter(|(a, b)| border.contains_key(&(*b, *a))).count();
        // A parent whose border runs otherwise would give slivers all along it.
        if 2 * matching > outline.open().count() {
            for (a, b) in outline.open() {
                match border.get_mut(&(b, a)) {
                    Some(count) if *count > 0 => *count -= 1,
                    _ => *border.entry((a, b)).or_default() += 1,
                }
            }
        }
    }
    let edges = border
        .into_iter()
        .flat_map(|(edge, times)| std::iter::repeat_n(edge, times.max(0) as usize));
    let (shells, islands): (Vec<LineString>, Vec<LineString>) =
        trace(edges).into_iter().partition(|ring| signed_area(ring) > 0.0);
    let within = |p: Coord, shell: &LineString| {
        crate::geometry::containment::contains(
            &MultiPolygon::new(vec![Polygon::new(shell.clone(), vec![])]),
            p,
        )
    };
    let mut holes: Vec<Hole> = shells
        .into_par_iter()
        .filter_map(|shell| {
            let rough = geodesic::polygon_area_m2(&Polygon::new(shell.clone(), vec![]));
            if rough < MIN_AREA_M2 {
                return None;
            }
            let inside: Vec<LineString> = islands
                .iter()
                .filter(|i| {
                    i.0.first().is_some_and(|&p| within(p, &shell) && !shell.0.contains(&p))
                })
                .cloned()
                .collect();
            let geometry = MultiPolygon::new(vec![Polygon::new(shell, inside)]);
            let area_m2 = geodesic::area_m2(&geometry);
            let position = representative_point(&geometry)?;
            let filled = layer.owner_at(position).is_some();
            let foreign = parents.is_some_and(|p| {
                !p.iter().any(|m| crate::geometry::containment::contains(m, position))
            });
            (area_m2 >= MIN_AREA_M2 && !filled && !foreign).then_some(Hole {
                area_m2,
                geometry,
                position,
            })
        })
        .collect();
    holes.sort_by(|a, b| b.area_m2.total_cmp(&a.area_m2));
    holes
}

/// Chains edges to closed rings, turning left as sharply as each vertex allows, so that rings that
/// touch are kept apart. Edges that lead nowhere are dropped.
fn trace(edges: impl Iterator<Item = (Point, Point)>) -> Vec<LineString> {
    let mut out: HashMap<Point, Vec<Point>> = HashMap::default();
    let mut starts: Vec<(Point, Point)> = edges.collect();
    starts.sort_unstable();
    for &(a, b) in &starts {
        out.entry(a).or_default().push(b);
    }
    let mut rings = Vec::new();
    for (first, _) in starts {
        let mut path = vec![first];
        let mut seen: HashMap<Point, usize> = HashMap::from_iter([(first, 0)]);
        let mut before: Option<Point> = None;
        let mut here = first;
        while let Some(next) = take_leftmost(&mut out, before, here) {
            if let Some(&start) = seen.get(&next) {
                // Back at a vertex of the path: what lies between is a ring.
                let ring: Vec<Point> = path.drain(start..).collect();
                for p in &ring {
                    seen.remove(p);
                }
                if ring.len() >= 3 {
                    let mut coords: Vec<Coord> = ring.iter().map(|&p| coord(p)).collect();
                    coords.push(coord(ring[0]));
                    rings.push(LineString(coords));
                }
                before = path.last().copied();
            } else {
                before = Some(here);
            }
            seen.insert(next, path.len());
            path.push(next);
            here = next;
        }
    }
    rings
}

/// Takes the edge out of `here` that turns most to the left coming from `before`.
fn take_leftmost(
    out: &mut HashMap<Point, Vec<Point>>,
    before: Option<Point>,
    here: Point,
) -> Option<Point> {
    let choices = out.get_mut(&here)?;
    let best = match before {
        Some(before) if choices.len() > 1 => {
            let (from, at) = (coord(before), coord(here));
            let back = (from.y - at.y).atan2(from.x - at.x);
            // Clockwise from the way back: the first is the sharpest left turn's face.
            let turn = |p: &Point| {
                let c = coord(*p);
                let angle = back - (c.y - at.y).atan2(c.x - at.x);
                if angle <= 0.0 { angle + std::f64::consts::TAU } else { angle }
            };
            (0..choices.len()).min_by(|&a, &b| turn(&choices[a]).total_cmp(&turn(&choices[b])))?
        }
        _ => choices.len().checked_sub(1)?,
    };
    Some(choices.swap_remove(best))
}

fn signed_area(ring: &LineString) -> f64 {
    let Some(&origin) = ring.0.first() else { return 0.0 };
    let cross = |w: &[Coord]| {
        let (a, b) = (w[0] - origin, w[1] - origin);
        a.x * b.y - a.y * b.x
    };
    ring.0.windows(2).map(cross).sum::<f64>()
}
