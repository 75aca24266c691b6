use super::*;
use crate::geometry::crs::snap;

fn polygon(rings: &[&[(f64, f64)]]) -> Polygon {
    // Around Putian, a unit is 0.001 degrees.
    let ring = |r: &&[(f64, f64)]| {
        LineString(
            r.iter().map(|&(x, y)| snap(Coord { x: 119.0 + x / 1e3, y: 25.0 + y / 1e3 })).collect(),
        )
    };
    Polygon::new(ring(&rings[0]), rings[1..].iter().map(ring).collect())
}

fn repaired(polygons: Vec<Polygon>) -> Result<(MultiPolygon, Vec<&'static str>), &'static str> {
    match repair(MultiPolygon::new(polygons)) {
        Ok((polygons, repairs)) => Ok((polygons, repairs.into_iter().map(Repair::code).collect())),
        Err(reason) => Err(reason.code()),
    }
}

const SQUARE: &[(f64, f64)] = &[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0)];
const HOLE: &[(f64, f64)] = &[(1.0, 1.0), (1.0, 2.0), (2.0, 2.0), (2.0, 1.0), (1.0, 1.0)];

#[test]
fn valid_rings_come_through_bit_for_bit() {
    let with_hole = polygon(&[SQUARE, HOLE]);
    assert_eq!(repaired(vec![with_hole.clone()]), Ok((MultiPolygon::new(vec![with_hole]), vec![])));
    let clockwise: Vec<(f64, f64)> = SQUARE.iter().rev().copied().collect();
    let (out, repairs) = repaired(vec![polygon(&[&clockwise])]).unwrap();
    assert!(repairs.is_empty() && shoelace(&out.0[0].exterior().0) > 0.0);
}

#[test]
fn a_bow_tie_becomes_two_triangles() {
    let bow = polygon(&[&[(0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0), (0.0, 0.0)]]);
    let (out, repairs) = repaired(vec![bow]).unwrap();
    assert_eq!((out.0.len(), repairs), (2, vec!["self_intersection"]));
    assert!(
        out.iter()
            .all(|p| p.exterior().0.len() == 4 && (shoelace(&p.exterior().0) - 1e-6).abs() < 1e-12)
    );
}

#[test]
fn spikes_holes_and_parts() {
    let spike = polygon(&[&[
        (0.0, 0.0),
        (4.0, 0.0),
        (9.0, 0.0),
        (4.0, 0.0),
        (4.0, 4.0),
        (0.0, 4.0),
        (0.0, 0.0),
    ]]);
    let (out, repairs) = repaired(vec![spike]).unwrap();
    assert_eq!(repairs, ["spike"]);
    assert!((shoelace(&out.0[0].exterior().0) - 16e-6).abs() < 1e-12);

    let far: Vec<(f64, f64)> = HOLE.iter().map(|&(x, y)| (x + 10.0, y)).collect();
    let (out, repairs) = repaired(vec![polygon(&[SQUARE, &far])]).unwrap();
    assert_eq!(repairs, ["hole_outside"]);
    assert!(
        (shoelace(&out.0[0].exterior().0) - 16e-6).abs() < 1e-12 && out.0[0].interiors().is_empty()
    );

    let (out, repairs) = repaired(vec![polygon(&[SQUARE]), polygon(&[SQUARE])]).unwrap();
    assert_eq!((out.0.len(), repairs), (1, vec!["rings_intersect"]));

    let inner: Vec<(f64, f64)> = HOLE.iter().rev().copied().collect();
    let (out, repairs) = repaired(vec![polygon(&[SQUARE]), polygon(&[&inner])]).unwrap();
    assert_eq!((out.0.len(), repairs), (1, vec!["nested_parts"]));

    let dot: &[(f64, f64)] = &[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)];
    assert_eq!(repaired(vec![polygon(&[SQUARE, dot])]).unwrap().1, ["ring_dropped"]);
}

#[test]
fn a_ring_that_touches_itself_is_parted() {
    // A shell that reaches inwards and closes a pocket in one vertex: a hole touching the shell.
    let pocket = polygon(&[&[
        (0.0, 0.0),
        (2.0, 0.0),
        (1.0, 1.0),
        (2.0, 2.0),
        (3.0, 1.0),
        (2.0, 0.0),
        (4.0, 0.0),
        (4.0, 4.0),
        (0.0, 4.0),
        (0.0, 0.0),
    ]]);
    let (out, repairs) = repaired(vec![pocket]).unwrap();
    assert_eq!(repairs, ["self_intersection"]);
    assert_eq!((out.0.len(), out.0[0].interiors().len()), (1, 1));
    let eight = polygon(&[&[
        (0.0, 0.0),
        (1.0, 1.0),
        (2.0, 2.0),
        (2.0, 1.0),
        (1.0, 1.0),
        (1.0, 0.0),
        (0.0, 0.0),
    ]]);
    assert_eq!(repaired(vec![eight]).unwrap().0.0.len(), 2);
}

#[test]
fn what_has_no_area_is_refused() {
    let back: &[(f64, f64)] = &[(0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (1.0, 1.0), (0.0, 0.0)];
    for ring in [&[(0.0, 0.0), (1.0, 1.0), (0.0, 0.0)], &[(0.0, 0.0); 4][..], back] {
        assert_eq!(repaired(vec![polygon(&[ring])]), Err("degenerate"));
    }
    assert_eq!(repaired(vec![]), Err("degenerate"));
}

/// What GEOS, by way of GDAL, says of polygons: valid, and their area.
fn geos(polygons: &MultiPolygon) -> (bool, f64) {
    let ring = |r: &LineString| {
        let points: Vec<String> = r.0.iter().map(|c| format!("{} {}", c.x, c.y)).collect();
        format!("({})", points.join(","))
    };
    let part = |p: &Polygon| {
        let rings: Vec<String> =
            std::iter::once(p.exterior()).chain(p.interiors()).map(ring).collect();
        format!("({})", rings.join(","))
    };
    let parts: Vec<String> = polygons.iter().map(part).collect();
    let text = format!("MULTIPOLYGON({})", parts.join(","));
    let geometry = gdal::vector::Geometry::from_wkt(&text).unwrap();
    (geometry.is_valid(), geometry.area())
}

fn planar_area(polygons: &MultiPolygon) -> f64 {
    let part = |p: &Polygon| {
        shoelace(&p.exterior().0).abs()
            - p.interiors().iter().map(|r| shoelace(&r.0).abs()).sum::<f64>()
    };
    polygons.iter().map(part).sum()
}

fn closed(points: &[(i32, i32)]) -> Vec<(f64, f64)> {
    let mut ring: Vec<(f64, f64)> =
        points.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).collect();
    ring.dedup();
    if ring.first() != ring.last() {
        ring.push(ring[0]);
    }
    ring
}

mod against_geos {
    use super::*;
    use proptest::prelude::*;

    fn ring(range: i32) -> impl Strategy<Value = Vec<(i32, i32)>> {
        prop::collection::vec((0..range, 0..range), 3..9)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn validity_is_what_geos_says(a in ring(5), b in ring(5), parts in any::<bool>()) {
            gdal::config::set_error_handler(|_, _, _| ());
            let (a, b) = (closed(&a), closed(&b));
            prop_assume!(a.len() >= 4 && b.len() >= 4);
            let both = if parts {
                MultiPolygon::new(vec![polygon(&[&a]), polygon(&[&b])])
            } else {
                MultiPolygon::new(vec![polygon(&[&a, &b])])
            };
            // In whole numbers: the oracle's own arithmetic is exact there.
            let whole = |p: &Polygon| {
                let ring = |r: &LineString| LineString(r.0.iter().map(|c| Coord {
                    x: ((c.x - 119.0) * 1e3).round(),
                    y: ((c.y - 25.0) * 1e3).round(),
                }).collect());
                Polygon::new(ring(p.exterior()), p.interiors().iter().map(ring).collect())
            };
            let both = MultiPolygon::new(both.iter().map(whole).collect());
            prop_assert_eq!(validity::check(&both).is_ok(), geos(&both).0, "{:?}", both);
        }

        #[test]
        fn what_is_repaired_is_valid_and_keeps_the_even_odd_area(a in ring(40)) {
            gdal::config::set_error_handler(|_, _, _| ());
            let a = closed(&a);
            prop_assume!(a.len() >= 4);
            match repair(MultiPolygon::new(vec![polygon(&[&a])])) {
                Ok((fixed, _)) => {
                    let (valid, area) = geos(&fixed);
                    prop_assert!(valid, "{:?}", fixed);
                    prop_assert!((area - planar_area(&fixed)).abs() < 1e-12);
                    prop_assert!((even_odd_area(&a) - planar_area(&fixed) * 1e6).abs() < 0.05);
                }
                Err(reason) => prop_assert!(reason == Unrepairable::Degenerate && even_odd_area(&a) < 0.05),
            }
        }
    }

    /// By scan lines: exact up to their width where edges cross between them.
    fn even_odd_area(ring: &[(f64, f64)]) -> f64 {
        const LINES_PER_UNIT: usize = 400;
        let mut area = 0.0;
        for line in 0..40 * LINES_PER_UNIT {
            let y = (line as f64 + 0.5) / LINES_PER_UNIT as f64;
            let mut crossings: Vec<f64> = ring
                .windows(2)
                .filter(|e| (e[0].1 > y) != (e[1].1 > y))
                .map(|e| e[0].0 + (y - e[0].1) / (e[1].1 - e[0].1) * (e[1].0 - e[0].0))
                .collect();
            crossings.sort_by(f64::total_cmp);
            area += crossings.chunks_exact(2).map(|c| c[1] - c[0]).sum::<f64>();
        }
        area / LINES_PER_UNIT as f64
    }
}

#[test]
fn a_spike_that_is_straight_but_for_rounding_goes() {
    let ring = closed(&[(9, 27), (14, 12), (7, 34), (13, 13)]);
    let (out, _) = repaired(vec![polygon(&[&ring])]).unwrap();
    assert_eq!((out.0.len(), out.0[0].exterior().0.len()), (1, 4));
}
