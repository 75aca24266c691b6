//! Boolean operations on polygons, guarded: the one place where `geo`'s overlay is called.
//!
//! The overlay works on a grid of 2³⁰ steps over the box of all its input, and can panic on
//! invalid input. So both operands are first cut down to the box that matters, which makes the
//! grid finer than 1e-11° on parcels and the work independent of the size of the larger one; and
//! a panic becomes an error.

use super::side::common_box;
use geo::{BooleanOps, BoundingRect, Coord, LineString, MultiPolygon, Polygon, Rect};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The overlay gave up on these polygons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the polygons cannot be overlaid: a ring is invalid")]
pub struct CutFailed;

/// What two valid multipolygons have in common, in the plane of longitude and latitude.
pub fn intersection(a: &MultiPolygon, b: &MultiPolygon) -> Result<MultiPolygon, CutFailed> {
    let boxes = a.bounding_rect().zip(b.bounding_rect());
    let Some(common) = boxes.and_then(|(a, b)| common_box(a, b)) else {
        return Ok(MultiPolygon::new(vec![]));
    };
    let window = widened(common);
    let (a, b) = (clipped(a, window), clipped(b, window));
    if a.0.is_empty() || b.0.is_empty() {
        return Ok(MultiPolygon::new(vec![]));
    }
    guarded(|| a.intersection(&b))
}

/// The part of the first valid multipolygon that is not in the second.
pub fn difference(a: &MultiPolygon, b: &MultiPolygon) -> Result<MultiPolygon, CutFailed> {
    let boxes = a.bounding_rect().zip(b.bounding_rect());
    let Some((own, _)) = boxes.filter(|&(a, b)| common_box(a, b).is_some()) else {
        return Ok(a.clone());
    };
    let b = clipped(b, widened(own));
    if b.0.is_empty() {
        return Ok(a.clone());
    }
    guarded(|| a.difference(&b))
}

/// All that one or the other of two valid multipolygons covers.
pub fn union(a: &MultiPolygon, b: &MultiPolygon) -> Result<MultiPolygon, CutFailed> {
    guarded(|| a.union(b))
}

fn guarded(operation: impl FnOnce() -> MultiPolygon) -> Result<MultiPolygon, CutFailed> {
    catch_unwind(AssertUnwindSafe(operation)).map_err(|_| CutFailed)
}

/// A little more than the box, so that what the clipping leaves along its sides lies outside.
fn widened(bounds: Rect) -> Rect {
    let margin = bounds.width().max(bounds.height()) * 0.01 + 1e-7;
    let margin = Coord { x: margin, y: margin };
    Rect::new(bounds.min() - margin, bounds.max() + margin)
}

/// The rings cut down to a window (I. E. Sutherland, G. W. Hodgman, "Reentrant polygon clipping",
/// 1974), each as a polygon of its own, to be read by the even-odd rule. Inside the window nothing
/// changes; along its sides edges may run to and fro.
fn clipped(polygons: &MultiPolygon, window: Rect) -> MultiPolygon {
    let (min, max) = (window.min(), window.max());
    let inside = |c: &Coord| c.x >= min.x && c.x <= max.x && c.y >= min.y && c.y <= max.y;
    let rings = polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    let clipped = rings.filter_map(|ring| {
        if ring.0.iter().all(inside) {
            return Some(Polygon::new(ring.clone(), vec![]));
        }
        let mut ring = ring.0.clone();
        ring.pop();
        for (keep, cross) in sides(min, max) {
            ring = cut_at(&ring, keep, cross);
        }
        (ring.len() >= 3).then(|| Polygon::new(LineString::new(ring), vec![]))
    });
    MultiPolygon::new(clipped.collect())
}

type Keep = Box<dyn Fn(Coord) -> bool>;
type Cross = Box<dyn Fn(Coord, Coord) -> Coord>;

fn sides(min: Coord, max: Coord) -> [(Keep, Cross); 4] {
    fn at_x(x: f64) -> Cross {
        Box::new(move |a, b| Coord { x, y: a.y + (b.y - a.y) * ((x - a.x) / (b.x - a.x)) })
    }
    fn at_y(y: f64) -> Cross {
        Box::new(move |a, b| Coord { x: a.x + (b.x - a.x) * ((y - a.y) / (b.y - a.y)), y })
    }
    [
        (Box::new(move |c| c.x >= min.x), at_x(min.x)),
        (Box::new(move |c| c.x <= max.x), at_x(max.x)),
        (Box::new(move |c| c.y >= min.y), at_y(min.y)),
        (Box::new(move |c| c.y <= max.y), at_y(max.y)),
    ]
}

/// Cuts an open ring at one side of the window. The cut goes from the edge's lower end, so that
/// twins in neighbouring polygons are cut in the same place.
fn cut_at(
    ring: &[Coord],
    keep: impl Fn(Coord) -> bool,
    cross: impl Fn(Coord, Coord) -> Coord,
) -> Vec<Coord> {
    let mut kept = Vec::with_capacity(ring.len());
    let Some(&last) = ring.last() else { return kept };
    let mut before = last;
    for &here in ring {
        if keep(before) != keep(here) {
            let ordered = (before.y, before.x) <= (here.y, here.x);
            kept.push(if ordered { cross(before, here) } else { cross(here, before) });
        }
        if keep(here) {
            kept.push(here);
        }
        before = here;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::Area;
    use proptest::prelude::*;

    fn star(seed: &[u32], centre: Coord, size: f64) -> MultiPolygon {
        let ring = seed.iter().enumerate().map(|(i, &r)| {
            let angle = i as f64 / seed.len() as f64 * std::f64::consts::TAU;
            let r = size * (0.3 + 0.7 * r as f64 / 100.0);
            centre + Coord { x: r * angle.cos(), y: r * angle.sin() }
        });
        MultiPolygon::new(vec![Polygon::new(ring.collect(), vec![])])
    }

    proptest! {
        #[test]
        fn cutting_to_the_window_changes_no_result(
            a in prop::collection::vec(0..100u32, 3..60),
            b in prop::collection::vec(0..100u32, 3..60),
            shift in (-100..100i32, -100..100i32),
            size in 0.01..1.0f64,
        ) {
            let a = star(&a, Coord { x: 119.0, y: 25.0 }, 1.0);
            let by = Coord { x: shift.0 as f64 / 80.0, y: shift.1 as f64 / 80.0 };
            let b = star(&b, Coord { x: 119.0, y: 25.0 } + by, size);
            let plain = a.intersection(&b).unsigned_area();
            prop_assert!((intersection(&a, &b).unwrap().unsigned_area() - plain).abs() < 1e-8);
            prop_assert!((intersection(&b, &a).unwrap().unsigned_area() - plain).abs() < 1e-8);
            let rest = difference(&a, &b).unwrap().unsigned_area();
            prop_assert!((rest + plain - a.unsigned_area()).abs() < 1e-7);
        }
    }

    #[test]
    fn a_window_inside_a_hole_holds_nothing() {
        let square = |r: f64| Rect::new(Coord { x: -r, y: -r }, Coord { x: r, y: r }).to_polygon();
        let hollow = MultiPolygon::new(vec![Polygon::new(
            square(9.0).exterior().clone(),
            vec![square(5.0).exterior().clone()],
        )]);
        let small = MultiPolygon::new(vec![square(1.0)]);
        assert_eq!(intersection(&hollow, &small).unwrap().unsigned_area(), 0.0);
        assert!((difference(&small, &hollow).unwrap().unsigned_area() - 4.0).abs() < 1e-6);
    }
}
