use super::*;

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
