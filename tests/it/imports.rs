//! Imports into a real store: drafts, publishes, and what a dead process leaves.

use crate::support::database::{self, TestDatabase};
use clap::Parser;
use diesel::prelude::*;
use xuncha::boundaries::Report;
use xuncha::boundaries::demo::{self, DEMO_IMPORTS};
use xuncha::cli::import::{ImportArgs, import};
use xuncha::error::Result;
use xuncha::store::Store;
use xuncha::store::features::load_atlas;
use xuncha::store::schema::features;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ImportArgs,
}

/// `xuncha import …` in this process.
fn run(store: &Store, file: &str, rest: &str) -> Result<Report> {
    let path = demo::folder().join(file);
    let words = ["import", path.to_str().unwrap()].into_iter().chain(rest.split_whitespace());
    let command = Command::try_parse_from(words).unwrap_or_else(|e| panic!("{e}"));
    import(&command.args, store)
}

fn publish_demo(database: &TestDatabase, count: usize) {
    for demo in &DEMO_IMPORTS[..count] {
        let rest = format!("--layer {} --source-layer {} --publish", demo.layer, demo.source_layer);
        let report = run(&database.store, demo.file, &rest).unwrap();
        assert!(report.published);
        assert_eq!(
            (report.accepted, report.changes.added),
            (demo.polygons, demo.polygons),
            "{report:?}"
        );
    }
}

#[test]
fn the_demo_city_is_published_and_a_second_import_changes_nothing() {
    let database = database::empty();
    publish_demo(&database, 4);
    let report =
        run(&database.store, "admin.zip", "--layer town --source-layer XZQ_town --publish")
            .unwrap();
    let changes = &report.changes;
    assert_eq!((changes.added, changes.removed, changes.moved), (0, 0, 0));
    let mut conn = database.store.conn().unwrap();
    let atlas = load_atlas(&mut conn).unwrap();
    assert_eq!(atlas.generation(), 5);
    assert_eq!(atlas.layer("town").unwrap().features().len(), 54);
    // What is in the store is bit for bit what was read.
    let town = demo::read(DEMO_IMPORTS[2], &xuncha::atlas::lookup::Atlas::default()).unwrap();
    for feature in &town.features {
        let stored = atlas.layer("town").unwrap().by_code(&feature.code).unwrap();
        assert_eq!(stored.geometry, feature.geometry);
        assert_eq!(xuncha::boundaries::draft::content_hash_of(stored), feature.content_hash);
    }
    let rows: i64 =
        features::table.filter(features::layer.eq("town")).count().get_result(&mut conn).unwrap();
    assert_eq!(rows, 54, "what did not change keeps its row");
}
