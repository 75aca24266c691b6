//! Repair of polygon rings, so that what is kept is valid by [`super::validity`].
//!
//! Valid rings come through bit for bit; only their direction is made uniform (shells
//! counter-clockwise). What crosses itself is rebuilt by the even-odd rule: a bow-tie becomes two
//! triangles.

use super::geodesic::metres_per_degree;
use super::validity::{self, Problem, orientation};
use geo::{Coord, LineString, MultiPolygon, Polygon};
use i_overlay::core::fill_rule::FillRule;
use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
use i_overlay::core::overlay_rule::OverlayRule;
use i_overlay::core::solver::Solver;
use i_overlay::i_float::int::point::IntPoint;
use i_overlay::i_shape::int::shape::{IntShape, IntShapes};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Less than this is no land, m².
const MIN_AREA_M2: f64 = 1e-3;
/// A vertex so near an edge, degrees, may change sides when a crossing is put on the grid.
const NEAR_AN_EDGE: f64 = 2e-9;

/// What was done to a geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// A problem of its rings was solved by rebuilding them.
    Solved(Problem),
    /// Rings without area were left out.
    RingsDropped(u32),
    /// Rings that did not end where they began were closed.
    Closed,
    /// Rings wound as holes that lay outside every shell were left out.
    OrphanHoles(u32),
    /// The polygons were taken out of a collection.
    FromCollection,
}

impl Repair {
    /// Stable, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Solved(problem) => match problem {
                Problem::TooFewPoints => "too_few_points",
                Problem::RepeatedPoint => "repeated_points",
                Problem::Spike => "spike",
                Problem::SelfIntersection => "self_intersection",
                Problem::RingsIntersect => "rings_intersect",
                Problem::HoleOutside => "hole_outside",
                Problem::NestedHoles => "nested_holes",
                Problem::NestedPolygons => "nested_parts",
                Problem::InteriorDisconnected => "interior_disconnected",
            },
            Self::RingsDropped(_) => "ring_dropped",
            Self::Closed => "ring_closed",
            Self::OrphanHoles(_) => "hole_outside",
            Self::FromCollection => "from_collection",
        }
    }

    /// In Chinese and English.
    pub fn what(self) -> String {
        match self {
            Self::Solved(problem) => match problem {
                Problem::TooFewPoints => "环的点数不足，已重建 / a ring of too few points was rebuilt",
                Problem::RepeatedPoint => "去掉了连续重复点 / repeated points were removed",
                Problem::Spike => "去掉了尖刺 / a spike was removed",
                Problem::SelfIntersection => "环自相交，已按奇偶规则重建 / a ring that crosses itself was rebuilt by the even-odd rule",
                Problem::RingsIntersect => "环之间相交，已合并重建 / rings that cross each other were rebuilt",
                Problem::HoleOutside => "洞在外环之外，已去掉 / a hole outside its shell was left out",
                Problem::NestedHoles => "洞中有洞，已合并 / a hole within a hole was merged",
                Problem::NestedPolygons => "部件相互包含，已合并 / a part within another was merged",
                Problem::InteriorDisconnected => "内部被分割，已拆成多个部件 / an inside in pieces was split into parts",
            }
            .to_string(),
            Self::RingsDropped(n) => format!("去掉了 {n} 个没有面积的环 / {n} rings without area were left out"),
            Self::Closed => "闭合了未闭合的环 / an open ring was closed".to_string(),
            Self::OrphanHoles(n) => {
                format!("{n} 个洞不在任何外环之内，已去掉 / {n} holes outside every shell were left out")
            }
            Self::FromCollection => "从几何集合中取出面 / polygons were taken out of a collection".to_string(),
        }
    }
}

/// Why a geometry cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrepairable {
    /// It has no area.
    Degenerate,
    /// Rebuilding it did not make it valid.
    Tangled(Problem),
}

impl Unrepairable {
    /// Stable, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Degenerate => "degenerate",
            Self::Tangled(_) => "cannot_repair",
        }
    }

    /// In Chinese and English.
    pub fn what(self) -> String {
        match self {
            Self::Degenerate => "图形没有面积 / it has no area".to_string(),
            Self::Tangled(problem) => {
                let problem = Repair::Solved(problem).code();
                format!("图形无法修复（{problem}）/ it cannot be repaired ({problem})")
            }
        }
    }
}

/// Makes polygons valid. Coordinates are finite, in degrees, on the grid of [`snap`].
pub fn repair(polygons: MultiPolygon) -> Result<(MultiPolygon, Vec<Repair>), Unrepairable> {
    let mut repairs = Vec::new();
    let (mut polygons, cleaned) = clean(polygons);
    if cleaned.repeated {
        repairs.push(Repair::Solved(Problem::RepeatedPoint));
    }
    if cleaned.dropped > 0 {
        repairs.push(Repair::RingsDropped(cleaned.dropped));
    }
    if polygons.0.is_empty() {
        return Err(Unrepairable::Degenerate);
    }
    let mut problem = validity::check(&polygons);
    if problem.is_err() && without_spikes(&mut polygons) {
        repairs.push(Repair::Solved(Problem::Spike));
        problem = validity::check(&polygons);
    }
    if polygons.0.is_empty() {
        return Err(Unrepairable::Degenerate);
    }
    if let Err(first) = problem {
        repairs.push(Repair::Solved(first));
        // A rebuilt crossing lands on the grid, a little off its edges; that may ask for another go.
        for attempt in 0..4 {
            if attempt > 0 {
                polygons = with_near_vertices(&polygons).ok_or(Unrepairable::Tangled(first))?;
            }
            polygons = rebuild(&polygons).ok_or(Unrepairable::Tangled(first))?;
            if polygons.0.is_empty() {
                return Err(Unrepairable::Degenerate);
            }
            problem = validity::check(&polygons);
            if problem.is_ok() {
                break;
            }
        }
        problem.map_err(Unrepairable::Tangled)?;
    }
    for polygon in &mut polygons.0 {
        wind(polygon);
    }
    if area_m2(&polygons) < MIN_AREA_M2 {
        return Err(Unrepairable::Degenerate);
    }
    Ok((polygons, repairs))
}

/// About right, for thresholds.
fn area_m2(polygons: &MultiPolygon) -> f64 {
    let latitude = polygons.0.first().and_then(|p| p.exterior().0.first()).map_or(0.0, |c| c.y);
    let (east, north) = metres_per_degree(latitude);
    polygons
        .iter()
        .map(|p| {
            shoelace(&p.exterior().0).abs()
                - p.interiors().iter().map(|r| shoelace(&r.0).abs()).sum::<f64>()
        })
        .sum::<f64>()
        * east
        * north
}

/// Signed area in the square of the coordinates' unit; from the first vertex, for accuracy.
fn shoelace(ring: &[Coord]) -> f64 {
    let Some(&origin) = ring.first() else { return 0.0 };
    let cross = |w: &[Coord]| {
        let (a, b) = (w[0] - origin, w[1] - origin);
        a.x * b.y - a.y * b.x
    };
    ring.windows(2).map(cross).sum::<f64>() / 2.0
}

#[derive(Default)]
struct Cleaned {
    repeated: bool,
    dropped: u32,
}

/// Removes repeated points and rings that are a point or a line.
fn clean(polygons: MultiPolygon) -> (MultiPolygon, Cleaned) {
    let mut cleaned = Cleaned::default();
    let mut kept = Vec::with_capacity(polygons.0.len());
    for polygon in polygons {
        let (mut exterior, mut interiors) = polygon.into_inner();
        if !clean_ring(&mut exterior, &mut cleaned) {
            cleaned.dropped += 1;
            continue;
        }
        interiors.retain_mut(|ring| {
            let keep = clean_ring(ring, &mut cleaned);
            cleaned.dropped += u32::from(!keep);
            keep
        });
        kept.push(Polygon::new(exterior, interiors));
    }
    (MultiPolygon::new(kept), cleaned)
}

/// Whether the ring spans an area.
fn clean_ring(ring: &mut LineString, cleaned: &mut Cleaned) -> bool {
    let before = ring.0.len();
    ring.0.dedup();
    if ring.0.first() != ring.0.last()
        && let Some(&first) = ring.0.first()
    {
        ring.0.push(first);
    }
    let [a, b, rest @ ..] = ring.0.as_slice() else { return false };
    let spans = rest.iter().any(|&c| orientation(*a, *b, c) != 0.0);
    cleaned.repeated |= spans && ring.0.len() < before;
    spans
}

/// Shells counter-clockwise, holes clockwise; order and start of the vertices stay.
fn wind(polygon: &mut Polygon) {
    polygon.exterior_mut(|ring| {
        if shoelace(&ring.0) < 0.0 {
            ring.0.reverse();
        }
    });
    polygon.interiors_mut(|rings| {
        for ring in rings.iter_mut().filter(|ring| shoelace(&ring.0) > 0.0) {
            ring.0.reverse();
        }
    });
}

/// Builds the polygons anew from their edges, on the grid itself, in whole numbers: what comes out
/// lies on it and needs no rounding that could make borders cross again. `None` where the overlay
/// gives up.
fn rebuild(polygons: &MultiPolygon) -> Option<MultiPolygon> {
    // The one place where outside data meets an algorithm that may panic on it.
    let shapes = catch_unwind(AssertUnwindSafe(|| {
        let mut all: IntShapes<i64> = Vec::new();
        for polygon in polygons {
            let simple = |ring: &LineString| {
                overlay(&vec![vec![on_grid(ring)]], &vec![], OverlayRule::Subject)
            };
            let mut area = simple(polygon.exterior());
            for hole in polygon.interiors() {
                area = overlay(&area, &simple(hole), OverlayRule::Difference);
            }
            all = if all.is_empty() { area } else { overlay(&all, &area, OverlayRule::Union) };
        }
        all
    }))
    .ok()?;
    let ring = |contour: &Vec<IntPoint<i64>>| {
        let mut points: Vec<Coord> = contour
            .iter()
            .map(|p| Coord { x: p.x as f64 / GRID_PER_DEGREE, y: p.y as f64 / GRID_PER_DEGREE })
            .collect();
        points.extend(points.first().copied());
        LineString(points)
    };
    let polygon = |shape: IntShape<i64>| {
        let mut rings = shape.iter().map(ring);
        Some(Polygon::new(rings.next()?, rings.collect()))
    };
    let (cleaned, _) = clean(MultiPolygon::new(shapes.into_iter().filter_map(polygon).collect()));
    let keep = |p: &Polygon| area_m2(&MultiPolygon::new(vec![p.clone()])) >= MIN_AREA_M2;
    Some(MultiPolygon::new(cleaned.0.into_iter().filter(keep).collect()))
}

/// Steps of the grid of [`snap`](super::crs::snap) in a degree.
const GRID_PER_DEGREE: f64 = 1e9;

fn on_grid(ring: &LineString) -> Vec<IntPoint<i64>> {
    let step = |degrees: f64| (degrees * GRID_PER_DEGREE).round() as i64;
    // Without the vertex that closes it.
    ring.0.iter().skip(1).map(|c| IntPoint::new(step(c.x), step(c.y))).collect()
}

fn overlay(subject: &IntShapes<i64>, clip: &IntShapes<i64>, rule: OverlayRule) -> IntShapes<i64> {
    // Vertices in the middle of straight edges stay: a neighbour may share them.
    let options = IntOverlayOptions { ogc: true, ..IntOverlayOptions::keep_all_points() };
    Overlay::from_subj_and_clip_custom(subject, clip, options, Solver::default())
        .overlay(rule, FillRule::EvenOdd)
}

/// The same rings, each edge led through the vertices that lie on it but for rounding: what crosses
/// or doubles by less than the grid can tell then does so exactly, or not at all. `None` for rings
/// too long to compare each with each.
fn with_near_vertices(polygons: &MultiPolygon) -> Option<MultiPolygon> {
    const MAX_VERTICES: usize = 20_000;
    let rings = || polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    let vertices: Vec<Coord> = rings().flat_map(|r| r.0.iter().skip(1).copied()).collect();
    if vertices.len() > MAX_VERTICES {
        return None;
    }
    let through = |ring: &LineString| {
        let mut points: Vec<Coord> = Vec::with_capacity(ring.0.len());
        for edge in ring.lines() {
            let (a, d) = (edge.start, edge.end - edge.start);
            let length_squared = d.x * d.x + d.y * d.y;
            let along = |p: Coord| ((p.x - a.x) * d.x + (p.y - a.y) * d.y) / length_squared;
            let mut near: Vec<(f64, Coord)> = vertices
                .iter()
                .filter(|&&p| p != edge.start && p != edge.end)
                .map(|&p| (along(p), p))
                .filter(|&(t, p)| {
                    let off = a + d * t - p;
                    t > 0.0 && t < 1.0 && off.x.hypot(off.y) < NEAR_AN_EDGE
                })
                .collect();
            near.sort_by(|x, y| x.0.total_cmp(&y.0));
            points.push(a);
            points.extend(near.into_iter().map(|(_, p)| p));
        }
        points.extend(ring.0.last());
        points.dedup();
        remove_spikes(&mut points);
        LineString(points)
    };
    let polygon = |p: &Polygon| {
        Polygon::new(through(p.exterior()), p.interiors().iter().map(through).collect())
    };
    Some(MultiPolygon::new(polygons.iter().map(polygon).collect()))
}

/// Takes the spikes off all rings; whether there were any. Rings that were nothing but spikes go.
fn without_spikes(polygons: &mut MultiPolygon) -> bool {
    let mut found = false;
    let mut ring = |ring: &LineString| {
        let mut points = ring.0.clone();
        remove_spikes(&mut points);
        found |= points.len() != ring.0.len();
        LineString(points)
    };
    let mut kept = Vec::with_capacity(polygons.0.len());
    for polygon in &polygons.0 {
        let exterior = ring(polygon.exterior());
        let interiors: Vec<LineString> =
            polygon.interiors().iter().map(&mut ring).filter(|r| r.0.len() >= 4).collect();
        if exterior.0.len() >= 4 {
            kept.push(Polygon::new(exterior, interiors));
        }
    }
    polygons.0 = kept;
    found
}

fn remove_spikes(points: &mut Vec<Coord>) {
    points.pop();
    let mut at = 0;
    let mut steady = 0;
    while points.len() >= 3 && steady < points.len() {
        let n = points.len();
        let (before, here, after) =
            (points[(at + n - 1) % n], points[at % n], points[(at + 1) % n]);
        let (u, v) = (before - here, after - here);
        let spike = here == after
            || (orientation(before, here, after) == 0.0 && u.x * v.x + u.y * v.y > 0.0);
        if spike {
            points.remove(at % n);
            at = (at % n).saturating_sub(1);
            steady = 0;
        } else {
            at = (at + 1) % n;
            steady += 1;
        }
    }
    if let Some(&first) = points.first() {
        points.push(first);
    }
}

#[cfg(test)]
mod tests;
