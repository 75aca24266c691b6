//! Land areas under polygons: our overlay, `geo` alone, and PostGIS, on the demo city.
//!
//! `cargo bench --bench overlay`; the ratios are printed at the end.

use criterion::Criterion;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Double, Text};
use diesel::{PgConnection, sql_query};
use geo::{BooleanOps, BoundingRect, Coord, MultiPolygon, Polygon};
use rand::{RngExt, SeedableRng};
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};
use xuncha::atlas::category::{Category, CategoryAreas};
use xuncha::atlas::feature::layers;
use xuncha::atlas::lookup::Atlas;
use xuncha::atlas::overlay::LandOverlay;
use xuncha::geometry::geodesic;
use xuncha::statistics::land::{LandBy, LandLevel, LandStatistics, Subject};
use xuncha::store::cluster::Cluster;

const SEED: u64 = 20_261_123;

fn main() {
    let atlas = xuncha::boundaries::demo::atlas().expect("the demo city reads");
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::join(folder.path()).expect("a private cluster");
    let mut conn = fill(&cluster, &atlas);
    let overlay = LandOverlay::build(&atlas);

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("overlay/build", |b| b.iter(|| LandOverlay::build(&atlas)));
    let sets = [
        ("footprint of 20–60 m", polygons(0.0002, 0.0006, 4, 1000)),
        ("polygon of 1–3 km", polygons(0.01, 0.03, 24, 100)),
        ("polygon of 20–40 km", polygons(0.2, 0.4, 60, 10)),
    ];
    let mut report = Vec::new();
    for (name, set) in &sets {
        let mut turn = set.iter().cycle();
        criterion.bench_function(&format!("overlay/{name}"), |b| {
            b.iter(|| overlay.cover(black_box(turn.next().expect("it is a cycle"))))
        });
        for polygon in set.iter().take(10) {
            let (a, b) = (ours(&overlay, polygon), naive(&atlas, polygon));
            assert!((a - b).abs() <= 1e-5 * geodesic::area_m2(polygon), "{name}: {a} {b}");
        }
        let ours_each = each(set, |polygon| ours(&overlay, polygon));
        let naive_each = each(set, |polygon| naive(&atlas, polygon));
        let postgis_each = each(set, |polygon| postgis(&mut conn, polygon));
        report.push((*name, ours_each, Some(naive_each), postgis_each));
    }

    let statistics = LandStatistics::default();
    let villages = || {
        let subject = Subject::Area("350300");
        let level = Some(LandLevel::Village);
        statistics.table(&atlas, subject, level, LandBy::Category).expect("a land table")
    };
    let start = Instant::now();
    villages();
    println!("city by village, first time with nothing prepared: {:?}", start.elapsed());
    criterion.bench_function("land/city by village, warm", |b| b.iter(villages));
    let ours_each = each(&[(); 20], |()| villages().rows.len() as f64);
    let postgis_each = each(&[(); 3], |()| postgis_villages(&mut conn));
    report.push(("city by village, warm", ours_each, None, postgis_each));

    println!(
        "\n{:<24} {:>12} {:>18} {:>18}",
        "median per question", "xuncha", "geo alone", "PostGIS"
    );
    for (name, ours, naive, postgis) in report {
        let ratio = |other: Duration| {
            format!("{other:>9.1?} {:>5.0} ×", other.as_secs_f64() / ours.as_secs_f64())
        };
        let naive = naive.map(ratio).unwrap_or_default();
        println!("{name:<24} {ours:>12.1?} {naive:>18} {:>18}", ratio(postgis));
    }
    criterion.final_summary();
}

/// Seeded star-shaped polygons over the city, sizes in degrees.
fn polygons(smallest: f64, largest: f64, vertices: usize, count: usize) -> Vec<MultiPolygon> {
    let mut random = rand::rngs::StdRng::seed_from_u64(SEED);
    let polygon = |_| {
        let (x, y) = (random.random_range(118.6..119.3), random.random_range(25.2..25.7));
        let size = random.random_range(smallest..largest) / 2.0;
        let ring = (0..vertices).map(|i| {
            let angle = i as f64 / vertices as f64 * std::f64::consts::TAU;
            let r = size * random.random_range(0.6..1.0);
            Coord { x: x + r * angle.cos(), y: y + r * angle.sin() }
        });
        MultiPolygon::new(vec![Polygon::new(ring.collect(), vec![])])
    };
    (0..count).map(polygon).collect()
}

/// The median time of a question: other work on the machine must not count.
fn each<T>(set: &[T], mut ask: impl FnMut(&T) -> f64) -> Duration {
    let mut times: Vec<Duration> = set
        .iter()
        .map(|one| {
            let start = Instant::now();
            black_box(ask(one));
            start.elapsed()
        })
        .collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ours(overlay: &LandOverlay, polygon: &MultiPolygon) -> f64 {
    overlay.cover(polygon).expect("an overlay").by_category.farmland
}

/// The same question with `geo` and the R-trees alone: every candidate is overlaid.
fn naive(atlas: &Atlas, polygon: &MultiPolygon) -> f64 {
    let mut areas = CategoryAreas::default();
    let Some(bounds) = polygon.bounding_rect() else { return 0.0 };
    let (Some(parcels), Some(farmland)) =
        (atlas.layer(layers::PARCEL), atlas.layer(layers::BASIC_FARMLAND))
    else {
        return 0.0;
    };
    for parcel in parcels.in_box(bounds) {
        let parcel = parcels.feature(parcel);
        let mut rest = parcel.geometry.intersection(polygon);
        let Some(bounds) = rest.bounding_rect() else { continue };
        for field in farmland.in_box(bounds) {
            rest = rest.difference(&farmland.feature(field).geometry);
        }
        let category = Category::of_class(parcel.class_code.as_deref());
        *areas.get_mut(category) += geodesic::area_m2(&rest);
    }
    areas.farmland
}

fn wkt(polygons: &MultiPolygon) -> String {
    let ring = |ring: &geo::LineString| {
        let mut text = String::from("(");
        for (i, c) in ring.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(text, "{comma}{} {}", c.x, c.y).expect("writing to a string");
        }
        text + ")"
    };
    let polygon = |polygon: &Polygon| {
        let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
        format!("({})", rings.map(ring).collect::<Vec<_>>().join(","))
    };
    format!("MULTIPOLYGON({})", polygons.iter().map(polygon).collect::<Vec<_>>().join(","))
}

fn fill(cluster: &Cluster, atlas: &Atlas) -> PgConnection {
    let mut conn =
        PgConnection::establish(&cluster.connection_string("postgres")).expect("a connection");
    conn.batch_execute(
        "CREATE EXTENSION IF NOT EXISTS postgis;
         CREATE TABLE land (layer text, code text, class_code text, geom geometry(MultiPolygon, 4490))",
    )
    .expect("a table");
    for name in [layers::PARCEL, layers::BASIC_FARMLAND, layers::VILLAGE] {
        let Some(layer) = atlas.layer(name) else { continue };
        for features in layer.features().chunks(2000) {
            let rows: Vec<String> = features
                .iter()
                .map(|f| {
                    let class = f.class_code.as_deref().unwrap_or_default();
                    let geometry = wkt(&f.geometry);
                    format!(
                        "('{name}', '{}', '{class}', ST_GeomFromText('{geometry}', 4490))",
                        f.code
                    )
                })
                .collect();
            conn.batch_execute(&format!("INSERT INTO land VALUES {}", rows.join(",")))
                .expect("rows");
        }
    }
    conn.batch_execute(
        "CREATE INDEX ON land USING gist (geom); CREATE INDEX ON land (layer); ANALYZE land",
    )
    .expect("indexes");
    conn
}

#[derive(QueryableByName)]
struct Area {
    #[diesel(sql_type = Double)]
    area: f64,
}

/// Farmland outside basic farmland, with the shortcut PostGIS users know: what is covered whole is
/// not cut.
fn postgis(conn: &mut PgConnection, polygon: &MultiPolygon) -> f64 {
    let answer: Area = sql_query(
        "WITH ground AS MATERIALIZED (SELECT ST_GeomFromText($1, 4490) AS geom),
         parcel AS MATERIALIZED (
             SELECT class_code, CASE WHEN ST_Covers(ground.geom, l.geom) THEN l.geom
                                     ELSE ST_Intersection(l.geom, ground.geom) END AS geom
             FROM land l, ground WHERE layer = 'parcel' AND ST_Intersects(l.geom, ground.geom)),
         farmland AS MATERIALIZED (
             SELECT l.geom FROM land l, ground
             WHERE layer = 'basic_farmland' AND ST_Intersects(l.geom, ground.geom)),
         cut AS (
             SELECT class_code, ST_Area(p.geom::geography)
                 - coalesce((SELECT sum(ST_Area(ST_Intersection(p.geom, f.geom)::geography))
                             FROM farmland f WHERE p.geom && f.geom), 0) AS area
             FROM parcel p)
         SELECT coalesce(sum(area) FILTER (WHERE class_code LIKE '01%'), 0) AS area FROM cut",
    )
    .bind::<Text, _>(wkt(polygon))
    .get_result(conn)
    .expect("PostGIS answers");
    answer.area
}

/// Parcel areas by village and class, without even the farmland.
fn postgis_villages(conn: &mut PgConnection) -> f64 {
    let answer: Area = sql_query(
        "SELECT sum(area) AS area FROM (
             SELECT v.code, p.class_code,
                    sum(ST_Area(CASE WHEN ST_Covers(v.geom, p.geom) THEN p.geom
                                     ELSE ST_Intersection(p.geom, v.geom) END::geography)) AS area
             FROM land v JOIN land p ON p.layer = 'parcel' AND ST_Intersects(p.geom, v.geom)
             WHERE v.layer = 'village' GROUP BY 1, 2) t",
    )
    .get_result(conn)
    .expect("PostGIS answers");
    answer.area
}
