//! Vector tiles of the demo city: drawing them against PostGIS (`ST_AsMVT` over geometries that are
//! projected and indexed beforehand), and serving them over HTTP to 32 connections, cold and warm.
//! Everything is printed, all from this one run.

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Integer, Nullable, Text};
use geo::Coord;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::caller::client;
use support::demo_city::{City, DISPATCHER};
use xuncha::atlas::lookup::Atlas;
use xuncha::boundaries::demo;
use xuncha::tiles::address::{TileAddress, project};
use xuncha::tiles::service::{Packing, Subject, TileService};

const DISTINCT: usize = 200;
const CONNECTIONS: usize = 32;
const WARM_ROUNDS: usize = 50;

type Asked<'a> = (&'a str, TileAddress);

/// Distinct tiles that hold something: a layer, a zoom, and a vertex of that layer.
fn asked(atlas: &Atlas) -> Vec<Asked<'_>> {
    let mut random = StdRng::seed_from_u64(20_261_123);
    let layers: Vec<_> = atlas.layers().filter(|layer| !layer.features().is_empty()).collect();
    let mut asked: Vec<Asked> = Vec::new();
    while asked.len() < DISTINCT {
        let layer = layers[random.random_range(0..layers.len())];
        let feature = &layer.features()[random.random_range(0..layer.features().len())];
        let vertices = &feature.geometry.0[0].exterior().0;
        let position: Coord = vertices[random.random_range(0..vertices.len())];
        let tile = TileAddress::at(random.random_range(8..=18), project(position));
        if !asked.iter().any(|(name, other)| *name == layer.info().name && *other == tile) {
            asked.push((&layer.info().name, tile));
        }
    }
    asked
}

/// Draws every tile once, unpacked; the layers are prepared, the tiles are not.
fn drawn(atlas: &Atlas, asked: &[Asked]) -> (Duration, usize) {
    let warm = TileService::new(0);
    for layer in atlas.layers() {
        warm.prepare(layer);
    }
    let started = Instant::now();
    let longest = asked
        .iter()
        .filter_map(|(name, tile)| {
            let layer = atlas.layer(name)?;
            Some(warm.get(Subject::Boundary(layer), *tile, Packing::Plain).bytes.len())
        })
        .max();
    (started.elapsed(), longest.unwrap_or(0))
}

#[derive(QueryableByName)]
struct Tile {
    #[diesel(sql_type = Nullable<Binary>)]
    tile: Option<Vec<u8>>,
}

fn drawn_by_postgis(city: &City, asked: &[Asked]) -> (Duration, usize) {
    let mut conn = city.conn();
    conn.batch_execute(
        "CREATE UNLOGGED TABLE peer AS SELECT layer, code, name, class_code, ST_Transform(geom, 3857) AS geom
             FROM features_in_force_view;
         CREATE INDEX ON peer USING gist (geom); CREATE INDEX ON peer (layer); ANALYZE peer",
    )
    .expect("the peer's table");
    let mut round = || {
        let started = Instant::now();
        let mut longest = 0;
        for (layer, tile) in asked {
            let drawn: Tile = diesel::sql_query(
                "SELECT ST_AsMVT(t, $1, 4096, 'shape') AS tile FROM (
                     SELECT code, name, class_code,
                         ST_AsMVTGeom(geom, ST_TileEnvelope($2, $3, $4), 4096, 64, true) AS shape
                     FROM peer WHERE layer = $1
                         AND geom && ST_TileEnvelope($2, $3, $4, margin => 64.0 / 4096)) t
                 WHERE shape IS NOT NULL",
            )
            .bind::<Text, _>(layer)
            .bind::<Integer, _>(i32::from(tile.z()))
            .bind::<Integer, _>(i32::try_from(tile.x()).expect("a column"))
            .bind::<Integer, _>(i32::try_from(tile.y()).expect("a row"))
            .get_result(&mut conn)
            .expect("a tile");
            longest = longest.max(drawn.tile.map_or(0, |tile| tile.len()));
        }
        (started.elapsed(), longest)
    };
    round().min(round())
}

/// Requests from so many connections at once until all were answered; how many there were.
fn requests(base: &str, token: &str, asked: &[Asked], rounds: usize) -> (Duration, usize) {
    let next = AtomicUsize::new(0);
    let total = asked.len() * rounds;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let client = client();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        return;
                    }
                    let (layer, tile) = asked[n % asked.len()];
                    let url = format!("{base}/{layer}/{}/{}/{}", tile.z(), tile.x(), tile.y());
                    let request = client.get(url).bearer_auth(token);
                    let answer =
                        request.header("Accept-Encoding", "gzip").send().expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                    black_box(answer.bytes().expect("a body"));
                }
            });
        }
    });
    (started.elapsed(), total)
}

fn main() {
    let atlas = demo::atlas().expect("the demo city");
    let asked = asked(&atlas);
    let (ours, longest) = drawn(&atlas, &asked).min(drawn(&atlas, &asked));
    let city = City::start();
    let (theirs, their_longest) = drawn_by_postgis(&city, &asked);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / asked.len() as f64;
    println!("{DISTINCT} distinct tiles, zoom 8 to 18, drawn one after the other, µs a tile");
    println!("  xuncha                 {:10.0}   longest {longest} bytes", each(ours));
    println!(
        "  PostGIS ST_AsMVT       {:10.0}   longest {their_longest} bytes   {:.1}x",
        each(theirs),
        each(theirs) / each(ours)
    );

    let (base, token) = (city.service.url("/tiles"), city.token(DISPATCHER));
    let rate = |(time, count): (Duration, usize)| count as f64 / time.as_secs_f64();
    println!("over HTTP, {CONNECTIONS} connections, requests per second");
    println!("  cold, each tile once   {:10.0}", rate(requests(&base, &token, &asked, 1)));
    println!(
        "  warm                   {:10.0}",
        rate(requests(&base, &token, &asked, WARM_ROUNDS))
    );
}
