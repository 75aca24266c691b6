//! Whether polygons are valid in the sense of OGC Simple Features, with exact predicates.
//!
//! The rules: rings are closed, have three or more different vertices and do not touch or cross
//! themselves; rings of one polygon meet at most in points and leave its inside in one piece; holes
//! lie inside their shell and not in each other; polygons of one multipolygon meet at most in
//! points. Edges are compared only where their boxes meet, so a ring of n vertices takes
//! O(n log n) unless it really is a tangle.

use super::containment::{PreparedPolygon, ray_crosses};
use geo::{BoundingRect, Coord, LineString, MultiPolygon, Polygon, Rect};
use robust::{Coord as RobustCoord, orient2d};
use rstar::{AABB, RTree, RTreeObject};
use std::collections::HashMap;

/// Why polygons are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// A ring of fewer than three different vertices, or not closed.
    TooFewPoints,
    /// A vertex directly after itself: valid by the letter, but not how we keep rings.
    RepeatedPoint,
    /// An edge that goes straight back on the one before it.
    Spike,
    /// A ring that crosses or touches itself.
    SelfIntersection,
    /// Two rings that cross or share a stretch of border.
    RingsIntersect,
    /// A hole outside its shell.
    HoleOutside,
    /// A hole within another one.
    NestedHoles,
    /// A polygon within another one of the same multipolygon.
    NestedPolygons,
    /// Rings that touch so that the inside falls into pieces.
    InteriorDisconnected,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    a: Coord,
    b: Coord,
    ring: u32,
    /// Place in its ring.
    index: u32,
}

impl Edge {
    fn envelope(&self) -> AABB<[f64; 2]> {
        AABB::from_corners([self.a.x, self.a.y], [self.b.x, self.b.y])
    }
}

impl RTreeObject for Edge {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.envelope()
    }
}

/// How two edges meet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meeting {
    Apart,
    /// In one point that is an end of one of them.
    Touch(Coord),
    Cross,
    /// Along a stretch.
    Overlap,
}

/// Sign of the area of the triangle p, q, r; exact.
pub fn orientation(p: Coord, q: Coord, r: Coord) -> f64 {
    let robust = |c: Coord| RobustCoord { x: c.x, y: c.y };
    orient2d(robust(p), robust(q), robust(r))
}

#[inline]
fn boxes_meet(e: &Edge, f: &Edge) -> bool {
    e.a.x.min(e.b.x) <= f.a.x.max(f.b.x)
        && f.a.x.min(f.b.x) <= e.a.x.max(e.b.x)
        && e.a.y.min(e.b.y) <= f.a.y.max(f.b.y)
        && f.a.y.min(f.b.y) <= e.a.y.max(e.b.y)
}

fn in_box(p: Coord, e: &Edge) -> bool {
    p.x >= e.a.x.min(e.b.x)
        && p.x <= e.a.x.max(e.b.x)
        && p.y >= e.a.y.min(e.b.y)
        && p.y <= e.a.y.max(e.b.y)
}

fn meeting(e: &Edge, f: &Edge) -> Meeting {
    let (fa, fb) = (orientation(e.a, e.b, f.a), orientation(e.a, e.b, f.b));
    if fa * fb > 0.0 || (fa > 0.0 && fb > 0.0) || (fa < 0.0 && fb < 0.0) {
        return Meeting::Apart;
    }
    let (ea, eb) = (orientation(f.a, f.b, e.a), orientation(f.a, f.b, e.b));
    if (ea > 0.0 && eb > 0.0) || (ea < 0.0 && eb < 0.0) {
        return Meeting::Apart;
    }
    if fa == 0.0 && fb == 0.0 {
        let mut shared: Vec<Coord> = Vec::with_capacity(4);
        for p in [f.a, f.b]
            .into_iter()
            .filter(|&p| in_box(p, e))
            .chain([e.a, e.b].into_iter().filter(|&p| in_box(p, f)))
        {
            if !shared.contains(&p) {
                shared.push(p);
            }
        }
        return match shared.as_slice() {
            [] => Meeting::Apart,
            [p] => Meeting::Touch(*p),
            _ => Meeting::Overlap,
        };
    }
    let ends = [(fa, f.a), (fb, f.b), (ea, e.a), (eb, e.b)];
    match ends.into_iter().find(|(sign, _)| *sign == 0.0) {
        Some((_, p)) => Meeting::Touch(p),
        None => Meeting::Cross,
    }
}

/// A point as a key: negative zero is zero.
fn key(c: Coord) -> (u64, u64) {
    ((c.x + 0.0).to_bits(), (c.y + 0.0).to_bits())
}

struct Ring<'a> {
    line: &'a LineString,
    polygon: u32,
    exterior: bool,
}

impl Ring<'_> {
    fn edges(&self) -> u32 {
        self.line.0.len().saturating_sub(1) as u32
    }
}

/// The first problem found; `Ok` where there is none.
pub fn check(polygons: &MultiPolygon) -> Result<(), Problem> {
    let mut rings = Vec::new();
    for (polygon, p) in (0..).zip(polygons) {
        rings.push(Ring { line: p.exterior(), polygon, exterior: true });
        rings.extend(p.interiors().iter().map(|line| Ring { line, polygon, exterior: false }));
    }
    for ring in &rings {
        check_points(&ring.line.0)?;
    }
    let (touches, passages) = check_edges(&rings)?;
    check_pieces(&rings, &touches)?;
    check_nesting(polygons, &rings, &touches)?;
    check_passages(&rings, &passages)
}

fn check_points(points: &[Coord]) -> Result<(), Problem> {
    if points.len() < 4 || points.first() != points.last() {
        return Err(Problem::TooFewPoints);
    }
    match points.windows(2).any(|w| w[0] == w[1]) {
        true => Err(Problem::RepeatedPoint),
        false => Ok(()),
    }
}

/// Points in which two rings touch, by the pair of rings, the lower first.
type Touches = HashMap<(u32, u32), Vec<Coord>>;

/// How a ring comes through a point in which it touches a ring of another polygon.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Passage {
    ring: u32,
    point: Coord,
    before: Coord,
    after: Coord,
}

impl Passage {
    fn new(rings: &[Ring], edge: &Edge, point: Coord) -> Self {
        let points = &rings[edge.ring as usize].line.0;
        let (count, index) = (points.len() - 1, edge.index as usize);
        let (before, after) = if point == edge.a {
            (points[(index + count - 1) % count], edge.b)
        } else if point == edge.b {
            (edge.a, points[(index + 2) % count])
        } else {
            (edge.a, edge.b)
        };
        Self { ring: edge.ring, point, before, after }
    }

    /// Whether, from the point, the way towards a position begins inside the ring. It never runs
    /// along the ring: that would be an overlap.
    fn encloses(&self, way: Coord, counter_clockwise: bool) -> bool {
        let (from, to) = match counter_clockwise {
            true => (self.after, self.before),
            false => (self.before, self.after),
        };
        // Between the two, counter-clockwise.
        let left_of_from = orientation(self.point, from, way) > 0.0;
        let right_of_to = orientation(self.point, way, to) > 0.0;
        if orientation(self.point, from, to) > 0.0 {
            left_of_from && right_of_to
        } else {
            left_of_from || right_of_to
        }
    }
}

/// Exact: at the lowest of the leftmost vertices a ring that does not cross itself is convex.
fn runs_counter_clockwise(points: &[Coord]) -> bool {
    let ring = &points[..points.len() - 1];
    let least = |&i: &usize, &j: &usize| {
        let order = ring[i].x.total_cmp(&ring[j].x);
        order.then(ring[i].y.total_cmp(&ring[j].y))
    };
    let Some(corner) = (0..ring.len()).min_by(least) else { return true };
    let (before, after) =
        (ring[(corner + ring.len() - 1) % ring.len()], ring[(corner + 1) % ring.len()]);
    orientation(before, ring[corner], after) > 0.0
}

/// By point, where rings of different polygons touch.
type Passages = HashMap<(u64, u64), Vec<Passage>>;

fn check_edges(rings: &[Ring]) -> Result<(Touches, Passages), Problem> {
    let mut edges = Vec::new();
    for (ring, r) in (0..).zip(rings) {
        edges.extend((0..).zip(r.line.0.windows(2)).map(|(index, w)| Edge {
            a: w[0],
            b: w[1],
            ring,
            index,
        }));
    }
    let mut touches = Touches::new();
    let mut passages = Passages::new();
    let mut compare = |e: &Edge, f: &Edge| -> Result<(), Problem> {
        if e.ring != f.ring {
            match meeting(e, f) {
                Meeting::Apart => {}
                Meeting::Cross | Meeting::Overlap => return Err(Problem::RingsIntersect),
                Meeting::Touch(p) => {
                    let points =
                        touches.entry((e.ring.min(f.ring), e.ring.max(f.ring))).or_default();
                    if !points.contains(&p) {
                        points.push(p);
                    }
                    let at = passages.entry(key(p)).or_default();
                    for edge in [e, f] {
                        if !at.iter().any(|known| known.ring == edge.ring) {
                            at.push(Passage::new(rings, edge, p));
                        }
                    }
                }
            }
            return Ok(());
        }
        let count = rings[e.ring as usize].edges();
        let follows = |first: &Edge, second: &Edge| (first.index + 1) % count == second.index;
        let (first, second) = match (follows(e, f), follows(f, e)) {
            (true, _) => (e, f),
            (_, true) => (f, e),
            _ => {
                return if meeting(e, f) == Meeting::Apart {
                    Ok(())
                } else {
                    Err(Problem::SelfIntersection)
                };
            }
        };
        // Neighbours share a vertex and may only do that.
        let (before, after) = (first.a - first.b, second.b - second.a);
        let back = before.x * after.x + before.y * after.y > 0.0;
        if back && orientation(first.a, first.b, second.b) == 0.0 {
            Err(Problem::Spike)
        } else {
            Ok(())
        }
    };
    // Comparing all pairs is the faster way for the usual small parcel.
    if edges.len() <= 160 {
        for (i, e) in edges.iter().enumerate() {
            for f in edges[i + 1..].iter().filter(|f| boxes_meet(e, f)) {
                compare(e, f)?;
            }
        }
        return Ok((touches, passages));
    }
    let tree = RTree::bulk_load(edges.clone());
    for e in &edges {
        for f in tree.locate_in_envelope_intersecting(&e.envelope()) {
            if (f.ring, f.index) > (e.ring, e.index) {
                compare(e, f)?;
            }
        }
    }
    Ok((touches, passages))
}

/// Rings of a polygon and the points in which they touch form a graph: a cycle in it encloses a
/// piece of the inside.
fn check_pieces(rings: &[Ring], touches: &Touches) -> Result<(), Problem> {
    let mut node_of_point: HashMap<(u32, (u64, u64)), usize> = HashMap::new();
    let mut incidences = std::collections::BTreeSet::new();
    let mut nodes = rings.len();
    for (&(r, s), points) in touches {
        let polygon = rings[r as usize].polygon;
        if polygon != rings[s as usize].polygon {
            continue;
        }
        for &p in points {
            let node = *node_of_point.entry((polygon, key(p))).or_insert_with(|| {
                nodes += 1;
                nodes - 1
            });
            incidences.insert((r as usize, node));
            incidences.insert((s as usize, node));
        }
    }
    let mut parent: Vec<usize> = (0..nodes).collect();
    fn root(parent: &mut [usize], mut node: usize) -> usize {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    }
    for (ring, point) in incidences {
        let (a, b) = (root(&mut parent, ring), root(&mut parent, point));
        if a == b {
            return Err(Problem::InteriorDisconnected);
        }
        parent[a] = b;
    }
    Ok(())
}

struct RingBox {
    ring: u32,
    envelope: AABB<[f64; 2]>,
}

impl RTreeObject for RingBox {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.envelope
    }
}

fn envelope(rect: Rect) -> AABB<[f64; 2]> {
    AABB::from_corners([rect.min().x, rect.min().y], [rect.max().x, rect.max().y])
}

fn ring_contains(ring: &LineString, p: Coord) -> bool {
    ring.lines().filter(|e| ray_crosses(p, e.start, e.end)).count() % 2 == 1
}

/// With no edges crossing, one vertex tells where its whole ring lies.
fn check_nesting(
    polygons: &MultiPolygon,
    rings: &[Ring],
    touches: &Touches,
) -> Result<(), Problem> {
    if rings.len() <= 1 {
        return Ok(());
    }
    // A vertex of `of` that is not on `other`: two rings of a polygon touch in one point at most.
    let off = |of: u32, other: u32| -> Option<Coord> {
        let shared = touches.get(&(of.min(other), of.max(other)));
        rings[of as usize].line.0.iter().copied().find(|p| shared.is_none_or(|s| !s.contains(p)))
    };
    let mut shell = 0u32;
    let mut shells: Vec<Option<PreparedPolygon>> = Vec::new();
    for (index, ring) in (0..).zip(rings) {
        if ring.exterior {
            shell = index;
            let busy =
                polygons.0[ring.polygon as usize].interiors().len() > 4 || polygons.0.len() > 4;
            let alone = || MultiPolygon::new(vec![Polygon::new(ring.line.clone(), vec![])]);
            shells.push(if busy { PreparedPolygon::new(&alone()) } else { None });
            continue;
        }
        let inside = off(index, shell).is_some_and(|p| match shells.last() {
            Some(Some(prepared)) => prepared.contains(p),
            _ => ring_contains(rings[shell as usize].line, p),
        });
        if !inside {
            return Err(Problem::HoleOutside);
        }
    }
    let boxes: Vec<RingBox> = (0..)
        .zip(rings)
        .filter_map(|(ring, r)| Some(RingBox { ring, envelope: envelope(r.line.bounding_rect()?) }))
        .collect();
    let tree = RTree::bulk_load(boxes);
    for (index, ring) in (0u32..).zip(rings) {
        let Some(&first) = ring.line.0.first() else { continue };
        for other in tree.locate_in_envelope_intersecting(&AABB::from_point([first.x, first.y])) {
            let container = &rings[other.ring as usize];
            if other.ring == index || ring.exterior != container.exterior {
                continue;
            }
            let same = ring.polygon == container.polygon;
            if ring.exterior == same {
                continue;
            }
            let Some(p) = off(index, other.ring) else { continue };
            if !ring_contains(container.line, p) {
                continue;
            }
            if !ring.exterior {
                return Err(Problem::NestedHoles);
            }
            // An island in a hole of the other polygon is where it may be.
            let holes = polygons.0[container.polygon as usize].interiors();
            let touched = |hole: &LineString| hole.0.contains(&p);
            if !holes.iter().any(|hole| touched(hole) || ring_contains(hole, p)) {
                return Err(Problem::NestedPolygons);
            }
        }
    }
    Ok(())
}

/// Parts whose borders meet in points only may still run through each other, from point to point:
/// then, at such a point, a border of one leaves into the other. Told by directions there, which
/// orientations of vertices decide exactly; a position between two of them would be rounded.
fn check_passages(rings: &[Ring], passages: &Passages) -> Result<(), Problem> {
    let mut directions: HashMap<u32, bool> = HashMap::new();
    let mut encloses = |passage: &Passage, way: Coord| {
        let direction = directions
            .entry(passage.ring)
            .or_insert_with(|| runs_counter_clockwise(&rings[passage.ring as usize].line.0));
        passage.encloses(way, *direction)
    };
    let part = |passage: &Passage| rings[passage.ring as usize].polygon;
    for at in passages.values() {
        for (one, other) in at.iter().flat_map(|one| at.iter().map(move |other| (one, other))) {
            if part(one) == part(other) {
                continue;
            }
            // All of the other part's rings at this point decide together.
            let mut inside = |way: Coord| {
                at.iter()
                    .filter(|passage| part(passage) == part(other))
                    .all(|p| encloses(p, way) == rings[p.ring as usize].exterior)
            };
            if inside(one.before) || inside(one.after) {
                return Err(Problem::NestedPolygons);
            }
        }
    }
    Ok(())
}
