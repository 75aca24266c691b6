//! The look-up engine against `rstar` + `geo` on a seeded land survey: time, memory, build. Prints
//! ratios, all from this run, after comparing the answers as pairs of point and polygon.
//!
//! `cargo bench --bench engine [-- SIDE]` draws about SIDE² parcels; 985, a million, by default.

#[path = "parcels/mod.rs"]
mod parcels;

use geo::{BoundingRect, Contains, Coord, CoordsIter, MultiPolygon, Point};
use parcels::{Survey, points, sorted};
use rayon::prelude::*;
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};
use std::hint::black_box;
use std::time::Instant;
use xuncha::atlas::cell_index::file::Key;
use xuncha::atlas::cell_index::{CellIndex, Exact, Fineness, NOBODY};
use xuncha::geometry::containment;

const POINTS: usize = 2_000_000;
/// Points of which the answers are compared.
const COMPARED: usize = 300_000;

/// What one would write without this crate.
struct Peer<'a> {
    tree: RTree<GeomWithData<Rectangle<[f64; 2]>, u32>>,
    shapes: &'a [MultiPolygon],
}

impl<'a> Peer<'a> {
    /// Also the seconds of the bulk load alone.
    fn new(shapes: &'a [MultiPolygon]) -> (Self, f64) {
        let boxes: Vec<_> = shapes
            .iter()
            .zip(0..)
            .filter_map(|(shape, index)| {
                let bounds = shape.bounding_rect()?;
                let [low, high] = [bounds.min(), bounds.max()].map(|c| [c.x, c.y]);
                Some(GeomWithData::new(Rectangle::from_corners(low, high), index))
            })
            .collect();
        let started = Instant::now();
        let tree = RTree::bulk_load(boxes);
        (Self { tree, shapes }, started.elapsed().as_secs_f64())
    }

    fn boxes_at(&self, position: Coord) -> impl Iterator<Item = u32> + '_ {
        let here = AABB::from_point([position.x, position.y]);
        self.tree.locate_in_envelope_intersecting(&here).map(|entry| entry.data)
    }

    /// As `geo` has it: a position on a border belongs to nobody.
    fn owner(&self, position: Coord) -> u32 {
        let point = Point::from(position);
        let holding = self.boxes_at(position).filter(|&i| self.shapes[i as usize].contains(&point));
        holding.min().unwrap_or(NOBODY)
    }
}

/// The half-open rule: the oracle, and what the engine asks near borders.
impl Exact for Peer<'_> {
    fn holds(&self, index: u32, position: Coord) -> bool {
        containment::contains(&self.shapes[index as usize], position)
    }

    fn hits(&self, position: Coord, hits: &mut Vec<u32>) {
        hits.clear();
        hits.extend(self.boxes_at(position).filter(|&index| self.holds(index, position)));
        hits.sort_unstable();
    }
}

/// Nanoseconds a point, the best of some runs.
fn best(runs: usize, points: usize, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let started = Instant::now();
        run();
        started.elapsed().as_secs_f64()
    };
    (0..runs).map(time).fold(f64::INFINITY, f64::min) * 1e9 / points as f64
}

fn threads(count: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().expect("threads")
}

/// Every pair of point and polygon, not their number: a wrong index can have right counts.
fn compare(index: &CellIndex, peer: &Peer, points: &[Coord]) {
    let mut owners = vec![0; points.len()];
    index.owners(points, peer, &mut owners);
    let (mut hits, mut plain) = (Vec::new(), Vec::new());
    for (&point, owner) in points.iter().zip(owners) {
        peer.hits(point, &mut plain);
        index.hits(point, peer, &mut hits);
        assert_eq!(hits, plain, "{point:?}");
        assert_eq!(owner, plain.first().copied().unwrap_or(NOBODY), "{point:?}");
        assert_eq!(owner, index.owner(point, peer), "{point:?}");
    }
}

fn measure(name: &str, shapes: &[MultiPolygon], must: [f64; 3]) {
    let edges: usize = shapes.iter().map(|s| s.coords_count()).sum();
    println!("\n{name}: {} polygons, {} vertices each", shapes.len(), edges / shapes.len());
    let (peer, load) = Peer::new(shapes);
    let build = |count: usize| {
        let started = Instant::now();
        let index = threads(count)
            .install(|| CellIndex::build(shapes.len(), |i| &shapes[i], &Fineness::default()));
        (index.expect("an index"), started.elapsed().as_secs_f64())
    };
    let (index, one) = build(1);
    let (_, two) = build(2);
    let size = index.bytes() as f64 / shapes.len() as f64;
    println!(
        "  build {one:.2} s, with two threads {two:.2} s; rstar bulk load {load:.2} s: {:.1}x, {:.1}x",
        one / load,
        two / load
    );
    println!("  {size:.0} bytes a polygon beyond the polygons");

    let random = points(POINTS, 3);
    compare(&index, &peer, &random[..COMPARED]);
    println!("  {COMPARED} points: every pair of point and polygon as by the plain rule");
    let along = sorted(random.clone());
    let mut owners = vec![0; POINTS];
    let few = POINTS / 8;
    let plain = |points: &[Coord]| {
        points.iter().for_each(|p| {
            black_box(peer.owner(*p));
        })
    };
    let single_ones = |points: &[Coord]| {
        points.iter().for_each(|p| {
            black_box(index.owner(*p, &peer));
        })
    };
    let naive = best(3, few, || plain(&random[..few]));
    let single = best(5, POINTS, || single_ones(&random));
    let batch = best(5, POINTS, || index.owners(black_box(&random), &peer, &mut owners));
    let naive_along = best(2, POINTS, || plain(&along));
    let batch_along = best(5, POINTS, || index.owners(black_box(&along), &peer, &mut owners));
    let pool = threads(2);
    let both = best(5, POINTS, || {
        pool.install(|| {
            let parts = random.par_chunks(16_384).zip(owners.par_chunks_mut(16_384));
            parts.for_each(|(points, owners)| index.owners(points, &peer, owners));
        });
    });
    println!("  ns a point              rstar + geo      engine     ratio      must");
    let row = |what: &str, peer: f64, own: f64, must: f64| {
        println!("  {what:<22}{peer:>13.0}{own:>12.1}{:>9.1}x{must:>9.0}x", peer / own);
    };
    row("one at a time", naive, single, must[0]);
    row("batch", naive, batch, must[1]);
    row("batch, sorted points", naive_along, batch_along, must[2]);
    println!("  two threads against one {:.2}x (must 1.6x)", batch / both);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let started = Instant::now();
    let key = Key::of(shapes.iter(), &Fineness::default());
    let keyed = started.elapsed().as_secs_f64();
    index.save(&path, &key).expect("saved");
    let started = Instant::now();
    let mapped = CellIndex::open(&path, &key, shapes.len()).expect("mapped");
    let opened = started.elapsed().as_secs_f64();
    let mapped = best(5, POINTS, || mapped.owners(black_box(&random), &peer, &mut owners));
    println!("  from its file: key {keyed:.2} s, check {opened:.2} s; batch {mapped:.1} ns");
}

fn main() {
    let side = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(985);
    measure("parcels", &Survey::of_parcels(side).polygons(), [7.0, 20.0, 8.0]);
    measure("villages", &Survey::of_villages().polygons(), [7.0, 60.0, 8.0]);
}
