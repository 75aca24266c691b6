//! The whole comparison with PostGIS: a million random points over every layer, and every vertex
//! and edge midpoint of every layer on its own. Fails on any disagreement that exact orientation
//! does not explain. Part of `make soak`; minutes long.

#[path = "../tests/it/postgis_oracle.rs"]
mod postgis_oracle;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use postgis_oracle::{
    Agreement, border_points, compare, load, owners_of_shared_borders, random_points,
};
use std::process::ExitCode;
use xuncha::boundaries::demo;

const RANDOM_POINTS: usize = 1_000_000;

fn main() -> ExitCode {
    let atlas = demo::atlas().expect("the demo city");
    let database = support::database::empty();
    let mut conn = database.store.owner_conn().expect("a connection");
    load(&mut conn, &atlas);
    let random = random_points(&atlas, RANDOM_POINTS, 20_261_123);
    let mut wrong = 0;
    let mut tell = |what: &str, layer: &str, agreement: &Agreement| {
        println!("{layer:16} {what:28} {agreement}");
        for (point, ours, theirs) in agreement.wrong.iter().take(10) {
            println!("    {point:?}: ours {ours:?}, PostGIS {theirs:?}");
        }
        wrong += agreement.wrong.len();
    };
    for layer in atlas.layers() {
        let name = &layer.info().name;
        tell("random", name, &compare(&mut conn, layer, &random));
        let borders = border_points(layer);
        tell("vertices and edge midpoints", name, &compare(&mut conn, layer, &borders));
        if layer.is_partition() {
            println!(
                "{name:16} owners of shared edge midpoints {:?}",
                owners_of_shared_borders(layer)
            );
        }
    }
    println!("disagreements: {wrong}");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
