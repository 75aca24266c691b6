//! Look-up over all layers of the demo city, single and batch, against `rstar` + `geo` and against
//! the same join inside PostGIS. The ratios are printed at the end, all from this one run.

#[path = "../tests/it/postgis_oracle.rs"]
#[allow(dead_code)]
mod postgis_oracle;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use criterion::{Criterion, Throughput};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double};
use geo::{BoundingRect, Contains, Coord, MultiPolygon, Point};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};
use xuncha::atlas::lookup::Atlas;
use xuncha::boundaries::demo;
use xuncha::enforcement::dispatch::Roster;
use xuncha::enforcement::lookup::batch::{BatchCounts, BatchFormat, BatchOptions, lookup_batch};

const POINTS: usize = 100_000;

/// What one would write without this crate: a tree of boxes over `geo` polygons, for each layer.
struct Naive<'a> {
    layers: Vec<RTree<Boxed<'a>>>,
}

type Boxed<'a> = GeomWithData<Rectangle<[f64; 2]>, &'a MultiPolygon>;

impl<'a> Naive<'a> {
    fn new(atlas: &'a Atlas) -> Self {
        let tree = |layer: &'a xuncha::atlas::layer::Layer| {
            let entries = layer.features().iter().filter_map(|feature| {
                let bounds = feature.geometry.bounding_rect()?;
                let corners = [bounds.min(), bounds.max()].map(|c| [c.x, c.y]);
                let [low, high] = corners;
                Some(GeomWithData::new(Rectangle::from_corners(low, high), &feature.geometry))
            });
            RTree::bulk_load(entries.collect())
        };
        Self { layers: atlas.layers().map(|layer| tree(layer)).collect() }
    }

    fn hits(&self, position: Coord) -> usize {
        let here = AABB::from_point([position.x, position.y]);
        let point = Point::from(position);
        self.layers
            .iter()
            .map(|tree| {
                let boxes = tree.locate_in_envelope_intersecting(&here);
                boxes.filter(|entry| entry.data.contains(&point)).count()
            })
            .sum()
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The join of all points with all layers, as PostGIS does it best: GiST index, analysed, warm.
fn postgis_join(atlas: &Atlas, points: &[Coord]) -> Duration {
    let database = support::database::empty();
    let mut conn = database.store.owner_conn().expect("a connection");
    postgis_oracle::load(&mut conn, atlas);
    conn.batch_execute("CREATE UNLOGGED TABLE points (geom geometry(Point, 4490))")
        .expect("a table");
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p.x, p.y)).unzip();
    diesel::sql_query(
        "INSERT INTO points SELECT ST_SetSRID(ST_Point(x, y), 4490) FROM unnest($1, $2) AS p(x, y)",
    )
    .bind::<Array<Double>, _>(x)
    .bind::<Array<Double>, _>(y)
    .execute(&mut conn)
    .expect("points");
    conn.batch_execute("ANALYZE points").expect("ANALYZE");
    let mut join = || {
        let started = Instant::now();
        let found: Count = diesel::sql_query(
            "SELECT count(*) FROM points JOIN oracle ON ST_Covers(oracle.geom, points.geom)",
        )
        .get_result(&mut conn)
        .expect("the join");
        println!("PostGIS: {} hits in {:?}", found.count, started.elapsed());
        started.elapsed()
    };
    join().min(join())
}

/// The best of several runs.
fn best<T>(run: impl Fn() -> T) -> Duration {
    let time = || {
        let started = Instant::now();
        black_box(run());
        started.elapsed()
    };
    (0..5).map(|_| time()).min().unwrap_or_default()
}

fn main() {
    let atlas = demo::atlas().expect("the demo city");
    let roster = Roster::new(Vec::new(), Vec::new());
    let naive = Naive::new(&atlas);
    let points = postgis_oracle::random_points(&atlas, POINTS, 1);
    let mut csv = String::from("lon,lat\n");
    for point in &points {
        let _ = writeln!(csv, "{:.7},{:.7}", point.x, point.y);
    }
    for layer in atlas.layers() {
        let (name, bytes) = (&layer.info().name, layer.directory_bytes());
        println!("{name}: {} polygons, directory {} KiB", layer.features().len(), bytes >> 10);
    }

    let single = || points.iter().map(|p| u64::from(atlas.place_at(*p).inside())).sum::<u64>();
    let plain = || points.iter().map(|p| naive.hits(*p)).sum::<usize>();
    let batch = |threads| {
        let options = BatchOptions { threads, ..BatchOptions::default() };
        let counts = BatchCounts::default();
        let mut out = Vec::with_capacity(csv.len() * 4);
        lookup_batch(
            &atlas,
            &roster,
            csv.as_bytes(),
            &mut out,
            BatchFormat::Csv,
            &options,
            &counts,
        )
        .expect("the batch");
        out.len()
    };

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("lookup, all layers");
    group.throughput(Throughput::Elements(POINTS as u64));
    group.bench_function("single", |b| b.iter(|| black_box(single())));
    group.bench_function("rstar + geo", |b| b.iter(|| black_box(plain())));
    group.bench_function("CSV batch, 1 thread", |b| b.iter(|| black_box(batch(1))));
    group.bench_function("CSV batch, all cores", |b| {
        b.iter(|| black_box(batch(BatchOptions::default().threads)))
    });
    group.finish();
    criterion.final_summary();

    let per_point = |time: Duration| time.as_secs_f64() * 1e9 / POINTS as f64;
    let single = per_point(best(single));
    let plain = per_point(best(plain));
    let one = per_point(best(|| batch(1)));
    let all = per_point(best(|| batch(BatchOptions::default().threads)));
    let postgis = per_point(postgis_join(&atlas, &points));
    println!("\nlook-up of {POINTS} random points over all layers, ns a point");
    println!("  xuncha, one at a time            {single:10.0}");
    println!("  rstar + geo, one at a time       {plain:10.0}   {:.1}x", plain / single);
    println!("  xuncha CSV batch, one thread     {one:10.0}");
    println!("  xuncha CSV batch, all cores      {all:10.0}   {:.0} points/s", 1e9 / all);
    println!("  PostGIS join                     {postgis:10.0}   {:.1}x the batch", postgis / all);
}
