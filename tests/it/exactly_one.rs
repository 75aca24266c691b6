//! Every position has exactly one owner in a partition, on the fast path and on the plain one.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use proptest::prelude::*;
use xuncha::atlas::feature::{Feature, LayerInfo, LayerKind};
use xuncha::atlas::layer::Layer;
use xuncha::geometry::crs::snap;
use xuncha::geometry::validity::orientation;

fn layer(polygons: Vec<MultiPolygon>) -> Layer {
    let features = polygons.into_iter().enumerate().map(|(i, geometry)| Feature {
        id: i as i64,
        code: format!("{i:06}"),
        name: None,
        class_code: None,
        class_name: None,
        parent_code: None,
        area_m2: 1.0,
        surveyed_area_m2: None,
        attributes: serde_json::Value::Null,
        geometry,
    });
    let info = LayerInfo {
        name: "cell".into(),
        kind: LayerKind::Partition,
        title_zh: String::new(),
        title_en: String::new(),
    };
    Layer::new(info, 1, features.collect())
}

/// A ring through the vertices, begun at one of them, in either direction.
fn ring(mut vertices: Vec<Coord>, begin: usize, backwards: bool) -> LineString {
    let count = vertices.len();
    vertices.rotate_left(begin % count);
    if backwards {
        vertices.reverse();
    }
    vertices.push(vertices[0]);
    LineString(vertices)
}

/// A tiling of a rectangle: jittered quadrilaterals, some split into triangles, some with a hole
/// that another polygon fills, some of two parts.
#[derive(Debug, Clone)]
struct Tiling {
    polygons: Vec<MultiPolygon>,
    west_south: Coord,
    east_north: Coord,
}

const SIDE: usize = 6;

fn tiling() -> impl Strategy<Value = Tiling> {
    let vertices = prop::collection::vec((-0.3..0.3f64, -0.3..0.3f64), (SIDE + 1) * (SIDE + 1));
    let faces = prop::collection::vec((0..5u8, 0..4usize, any::<bool>()), SIDE * SIDE);
    // Without jitter all edges are level or upright; a scale of 1e-8 leaves a few grid steps a face.
    let jitter = prop_oneof![Just(0.0), Just(1.0)];
    let scale = prop_oneof![Just(0.01), Just(1e-3), Just(1e-8)];
    (vertices, faces, jitter, scale).prop_map(|(offsets, faces, jitter, scale)| {
        let vertex = |i: usize, j: usize| {
            let (mut dx, mut dy) = offsets[j * (SIDE + 1) + i];
            // The frame stays straight, so that its inside is known.
            if i == 0 || i == SIDE {
                dx = 0.0;
            }
            if j == 0 || j == SIDE {
                dy = 0.0;
            }
            let at = |n: usize, d: f64| (n as f64 + d * jitter) * scale;
            snap(Coord { x: 119.0 + at(i, dx), y: 25.4 + at(j, dy) })
        };
        let mut polygons = Vec::new();
        let mut spare: Option<Polygon> = None;
        for (n, (kind, begin, backwards)) in faces.into_iter().enumerate() {
            let (i, j) = (n % SIDE, n / SIDE);
            let corners = [vertex(i, j), vertex(i + 1, j), vertex(i + 1, j + 1), vertex(i, j + 1)];
            let [a, b, c, d] = corners;
            let simple = |v: Vec<Coord>| Polygon::new(ring(v, begin, backwards), vec![]);
            match kind {
                0 => polygons.push(simple(corners.to_vec()).into()),
                // The other diagonal of a face with a dent would run outside it.
                1 | 2 => {
                    let turns = |p, q, r| orientation(p, q, r) > 0.0;
                    let (ac, bd) =
                        (turns(a, b, c) && turns(a, c, d), turns(a, b, d) && turns(b, c, d));
                    let halves = match (ac && kind == 1) || !bd {
                        true => [vec![a, b, c], vec![a, c, d]],
                        false => [vec![a, b, d], vec![b, c, d]],
                    };
                    polygons.extend(halves.map(|half| simple(half).into()));
                }
                3 if scale > 1e-6 => {
                    // Half-way to the middle of the face: inside it whatever the jitter.
                    let middle = (a + b + c + d) / 4.0;
                    let inner: Vec<Coord> =
                        [a, b, c].iter().map(|&p| snap((p + middle * 3.0) / 4.0)).collect();
                    let hole = ring(inner.clone(), begin + 1, !backwards);
                    polygons.push(
                        Polygon::new(ring(corners.to_vec(), begin, backwards), vec![hole]).into(),
                    );
                    polygons.push(simple(inner).into());
                }
                _ => match spare.take() {
                    Some(first) => {
                        polygons.push(MultiPolygon::new(vec![first, simple(corners.to_vec())]))
                    }
                    None => spare = Some(simple(corners.to_vec())),
                },
            }
        }
        polygons.extend(spare.map(MultiPolygon::from));
        Tiling { polygons, west_south: vertex(0, 0), east_north: vertex(SIDE, SIDE) }
    })
}

/// Every vertex and edge midpoint, and what lies one step of `f64` beside them.
fn adversarial(polygons: &[MultiPolygon]) -> Vec<Coord> {
    let rings =
        polygons.iter().flatten().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
    let mut points = Vec::new();
    for edge in rings.flat_map(|ring| ring.lines().collect::<Vec<_>>()) {
        let middle = (edge.start + edge.end) / 2.0;
        for p in [edge.start, middle] {
            for x in [p.x.next_down(), p.x, p.x.next_up()] {
                points.extend([p.y.next_down(), p.y, p.y.next_up()].map(|y| Coord { x, y }));
            }
        }
    }
    points
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tiling_owns_every_position_once(
        tiling in tiling(),
        random in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 200),
    ) {
        let layer = layer(tiling.polygons.clone());
        let (low, high) = (tiling.west_south, tiling.east_north);
        let size = high - low;
        let mut points = adversarial(&tiling.polygons);
        points.extend(random.iter().map(|(u, v)| Coord { x: low.x + u * size.x, y: low.y + v * size.y }));
        let (mut hits, mut plain) = (Vec::new(), Vec::new());
        for p in points {
            layer.hits_at(p, &mut hits);
            layer.hits_by_tree(p, &mut plain);
            prop_assert_eq!(&hits, &plain, "{:?}", p);
            prop_assert_eq!(layer.owner_at(p), hits.first().copied());
            // Half-open: the frame's western and southern border belong to it, the others do not.
            let within = p.x >= low.x && p.x < high.x && p.y >= low.y && p.y < high.y;
            prop_assert_eq!(hits.len(), usize::from(within), "{:?}", p);
        }
    }

    #[test]
    fn where_polygons_overlap_the_lowest_code_owns(
        stars in prop::collection::vec(prop::collection::vec((0..30i32, 0..30i32), 3..9), 1..30),
        points in prop::collection::vec((-2..64i32, -2..64i32), 300),
    ) {
        let polygons = stars.iter().map(|star| {
            let at = |&(x, y): &(i32, i32)| Coord { x: 119.0 + x as f64 / 64.0, y: 25.0 + y as f64 / 64.0 };
            Polygon::new(ring(star.iter().map(at).collect(), 0, false), vec![]).into()
        }).collect();
        let layer = layer(polygons);
        let (mut hits, mut plain) = (Vec::new(), Vec::new());
        for (x, y) in points {
            let p = Coord { x: 119.0 + x as f64 / 128.0, y: 25.0 + y as f64 / 128.0 };
            layer.hits_at(p, &mut hits);
            layer.hits_by_tree(p, &mut plain);
            prop_assert_eq!(&hits, &plain);
            prop_assert_eq!(layer.owner_at(p), plain.first().copied());
        }
    }
}

#[test]
fn odd_layers_and_odd_positions_have_answers() {
    let square = |x: f64, side: f64| {
        let corners = [(x, 25.0), (x + side, 25.0), (x + side, 25.0 + side), (x, 25.0 + side)];
        MultiPolygon::from(Polygon::new(LineString::from(corners.to_vec()), vec![]))
    };
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1e300, 0.0, 500.0];
    // Empty; one polygon; ten thousand over one another, where a directory would not pay.
    let piles = [vec![], vec![square(119.0, 0.1)], vec![square(119.0, 0.1); 10_000]];
    for pile in piles {
        let count = pile.len();
        let layer = layer(pile);
        let mut hits = Vec::new();
        for x in odd {
            for y in odd {
                layer.hits_at(Coord { x, y }, &mut hits);
                assert!(hits.is_empty());
                assert_eq!(layer.owner_at(Coord { x, y }), None);
            }
        }
        layer.hits_at(Coord { x: 119.05, y: 25.05 }, &mut hits);
        assert_eq!(hits.len(), count);
        assert_eq!(layer.owner_at(Coord { x: 119.05, y: 25.05 }), (count > 0).then_some(0));
    }
}
