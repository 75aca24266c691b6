use super::crossings::{crossings_plain, packed};
use super::layout::{CHAIN_START, Entry, Kind};
use super::processor::crossings;
use super::*;
use crate::geometry::containment;
use geo::{LineString, Polygon};
use proptest::prelude::*;

/// The plain rule over all polygons; counts how often it is asked.
struct Plain<'a>(&'a [MultiPolygon]);

impl Exact for Plain<'_> {
    fn holds(&self, index: u32, position: Coord) -> bool {
        containment::contains(&self.0[index as usize], position)
    }

    fn hits(&self, position: Coord, hits: &mut Vec<u32>) {
        hits.clear();
        hits.extend((0..self.0.len() as u32).filter(|&index| self.holds(index, position)));
    }
}

/// Does not know: what the index says must then be its own.
struct Silent;

impl Exact for Silent {
    fn holds(&self, _: u32, _: Coord) -> bool {
        panic!("the index should know")
    }

    fn hits(&self, _: Coord, _: &mut Vec<u32>) {
        panic!("the index should know")
    }
}

fn simple(ring: Vec<Coord>) -> MultiPolygon {
    Polygon::new(LineString(ring), vec![]).into()
}

/// Vertices, middles of edges, and what lies one float, one unit and one hair beside them.
fn adversarial(shapes: &[MultiPolygon]) -> Vec<Coord> {
    let edges = shapes.iter().flat_map(containment::rings).flat_map(LineString::lines);
    let mut points = Vec::new();
    for edge in edges {
        for at in [edge.start, (edge.start + edge.end) / 2.0] {
            let around = |v: f64| [v.next_down(), v, v.next_up(), v - 1e-9, v + 1e-9, v + 4e-10];
            for x in around(at.x) {
                points.extend(around(at.y).map(|y| Coord { x, y }));
            }
        }
    }
    points
}

const MOST_POINTS: usize = 2000;

fn check(
    shapes: &[MultiPolygon],
    points: &[Coord],
    fineness: &Fineness,
) -> Result<(), TestCaseError> {
    let index = CellIndex::build(shapes.len(), |i| &shapes[i], fineness).unwrap();
    // Of very many points some thousands, spread evenly.
    let points: Vec<Coord> =
        points.iter().copied().step_by(points.len() / MOST_POINTS + 1).collect();
    let points = &points[..];
    let (mut hits, mut plain) = (Vec::new(), Vec::new());
    let mut owners = vec![0; points.len()];
    index.owners(points, &Plain(shapes), &mut owners);
    for (&point, owner) in points.iter().zip(owners) {
        Plain(shapes).hits(point, &mut plain);
        index.hits(point, &Plain(shapes), &mut hits);
        prop_assert_eq!(&hits, &plain, "{:?}", point);
        let first = plain.first().copied().unwrap_or(NOBODY);
        prop_assert_eq!(index.owner(point, &Plain(shapes)), first, "{:?}", point);
        prop_assert_eq!(owner, first, "{:?}", point);
    }
    Ok(())
}

/// From one cell for all to hundreds for each polygon, and divided at once or hardly ever.
fn fineness() -> impl Strategy<Value = Fineness> {
    let cells = prop_oneof![Just(0.1), Just(4.0), Just(400.0)];
    let roots = prop_oneof![Just(1.0), Just(4.0), Just(256.0)];
    let divide = prop_oneof![Just(1), Just(6), Just(48)];
    (cells, roots, divide).prop_map(|(cells_per_polygon, polygons_per_root, divide_from)| {
        Fineness { cells_per_polygon, polygons_per_root, divide_from, ..Fineness::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_polygons_are_answered_as_by_the_plain_rule(
        stars in prop::collection::vec(
            (prop::collection::vec((0..40i32, 0..40i32), 3..9), prop::collection::vec((0..40i32, 0..40i32), 3..5)),
            1..24,
        ),
        // A step of 1e-9° puts all in a few units, one of 1/64° off the stored grid; the odd
        // offset puts vertices on either side of the borders of cells.
        scale in prop_oneof![Just(1e-9), Just(1e-7), Just(1.0 / 64.0), Just(0.003), Just(3.0)],
        offset in prop_oneof![Just(0.0), Just(119.0), Just(-73.123456789)],
        fineness in fineness(),
        random in prop::collection::vec((-1.0..41.0f64, -1.0..41.0f64), 200),
    ) {
        let at = |&(x, y): &(i32, i32)| Coord { x: offset + f64::from(x) * scale, y: 25.0 + f64::from(y) * scale };
        let shapes: Vec<MultiPolygon> = stars
            .iter()
            .map(|(shell, hole)| {
                let ring = |v: &[(i32, i32)]| LineString(v.iter().chain(v.first()).map(at).collect());
                // Even and odd decide, whether or not the hole is inside.
                MultiPolygon::new(vec![Polygon::new(ring(shell), vec![ring(hole)])])
            })
            .collect();
        let mut points = adversarial(&shapes);
        points.extend(random.iter().map(|&(x, y)| Coord { x: offset + x * scale, y: 25.0 + y * scale }));
        check(&shapes, &points, &fineness)?;
    }

    #[test]
    fn the_processor_agrees_with_the_plain_twin(
        vertices in prop::collection::vec((0..=16384u32, 0..=16384u32, prop::bool::weighted(0.2)), 1..64),
        points in prop::collection::vec((0..16384u32, 0..16384u32), 32),
    ) {
        let mut words: Vec<u32> =
            vertices.iter().map(|&(x, y, start)| packed(x, y) | if start { CHAIN_START } else { 0 }).collect();
        words[0] |= CHAIN_START;
        let count = words.len();
        let near = vertices.iter().map(|&(x, y, _)| (x.min(16383), y.min(16383)));
        for padding in [0, 16] {
            words.resize(count + padding, 0xdead_beef);
            for (x, y) in points.iter().copied().chain(near.clone()) {
                let plain = crossings_plain(&words, count, packed(x, y));
                let fast = crossings(&words, count, packed(x, y));
                prop_assert_eq!(plain, fast, "{} {}", x, y);
            }
        }
    }
}

#[test]
fn ten_thousand_polygons_through_one_cell() {
    let centre = Coord { x: 119.3, y: 25.4 };
    let spoke = |n: u32| {
        let angle = f64::from(n) * std::f64::consts::TAU / 10_000.0;
        crate::geometry::crs::snap(centre + Coord { x: angle.cos(), y: angle.sin() } * 0.2)
    };
    let shapes: Vec<_> = (0..10_000)
        .map(|n| simple(vec![centre, spoke(n), spoke((n + 1) % 10_000), centre]))
        .collect();
    let mut points: Vec<Coord> = adversarial(&shapes[..3]);
    points.extend((0..400).map(|i| {
        let angle = f64::from(i) * 0.7;
        centre + Coord { x: angle.cos(), y: angle.sin() } * (0.21 * f64::from(i) / 400.0).powi(3)
    }));
    check(&shapes, &points, &Fineness::default()).unwrap();
    // The same place ten thousand times.
    let pile = vec![shapes[0].clone(); 10_000];
    check(&pile, &adversarial(&shapes[..1]), &Fineness::default()).unwrap();
}

#[test]
fn what_is_no_place_has_no_owner() {
    let square = |x: f64, y: f64, side: f64| {
        let corner = |i: f64, j: f64| Coord { x: x + i * side, y: y + j * side };
        simple(
            [(0., 0.), (1., 0.), (1., 1.), (0., 1.), (0., 0.)].map(|(i, j)| corner(i, j)).to_vec(),
        )
    };
    // Zero is in the first, and a careless cast makes a zero of "not a number".
    let shapes = [square(-1.0, -1.0, 2.0), square(100.0, 20.0, 5.0)];
    let index = CellIndex::build(2, |i| &shapes[i], &Fineness::default()).unwrap();
    assert_eq!(index.owner(Coord { x: 0.0, y: 0.0 }, &Silent), 0);
    assert_eq!(index.owner(Coord { x: 102.0, y: 22.0 }, &Silent), 1);
    let odd =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e300, 720.0, -720.0];
    for x in odd {
        for y in odd.into_iter().chain([0.0]) {
            for point in [Coord { x, y }, Coord { x: y, y: x }] {
                assert_eq!(index.owner(point, &Silent), NOBODY);
                let mut owners = [0; 1];
                index.owners(&[point], &Silent, &mut owners);
                assert_eq!(owners, [NOBODY]);
            }
        }
    }
    assert!(CellIndex::build(0, |_| unreachable!(), &Fineness::default()).is_none());
    let far = [square(f64::NAN, 0.0, 1.0), square(1e12, 0.0, 1.0)];
    assert!(CellIndex::build(1, |_| &far[0], &Fineness::default()).is_none());
    assert!(CellIndex::build(1, |_| &far[1], &Fineness::default()).is_none());
}

#[test]
fn almost_no_position_needs_the_exact_rule() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    struct Counting<'a>(Plain<'a>, std::cell::Cell<u32>);
    impl Exact for Counting<'_> {
        fn holds(&self, index: u32, position: Coord) -> bool {
            self.1.set(self.1.get() + 1);
            self.0.holds(index, position)
        }
        fn hits(&self, _: Coord, _: &mut Vec<u32>) {
            panic!("nothing here is too much for the index")
        }
    }
    // A checkerboard of 40 × 40 quadrilaterals with bent borders.
    let vertex = |i: i32, j: i32| {
        let bend = f64::from((i * 7 + j * 13) % 5 - 2) * 1e-4;
        crate::geometry::crs::snap(Coord {
            x: 119.0 + f64::from(i) * 1e-3 + bend,
            y: 25.0 + f64::from(j) * 1e-3 - bend,
        })
    };
    let shapes: Vec<_> = (0..1600)
        .map(|n| {
            let (i, j) = (n % 40, n / 40);
            let ring = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)];
            simple(ring.map(|(a, b)| vertex(i + a, j + b)).to_vec())
        })
        .collect();
    let index = CellIndex::build(shapes.len(), |i| &shapes[i], &Fineness::default()).unwrap();
    let exact = Counting(Plain(&shapes), std::cell::Cell::new(0));
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..20_000 {
        let point =
            Coord { x: random.random_range(119.0..119.04), y: random.random_range(25.0..25.04) };
        let owner = index.owner(point, &exact);
        assert!(owner == NOBODY || exact.0.holds(owner, point));
    }
    assert!(exact.1.get() < 100, "{} of 20000", exact.1.get());
}

#[test]
fn entries_keep_what_they_name() {
    for entry in [Entry::leaf(0), Entry::leaf((1 << 30) - 1)] {
        assert!(matches!(entry.kind(), Kind::Leaf(_)));
    }
    assert_eq!(Entry::whole(77).kind(), Kind::Whole(77));
    assert_eq!(Entry::grid(9, 64).moved(16).kind(), Kind::Grid(9, 80));
    assert_eq!(Entry::leaf(5).moved(16).kind(), Kind::Leaf(21));
    assert_eq!(Entry::whole(5).moved(16).kind(), Kind::Whole(5));
    assert_eq!(Entry::NOTHING.moved(16).kind(), Kind::Nothing);
    assert_eq!(Entry::UNDECIDED.moved(16).kind(), Kind::Undecided);
}
