//! Imports into a real store: drafts, publishes, and what a dead process leaves.

use crate::support::database::{self, TestDatabase};
use clap::Parser;
use diesel::prelude::*;
use uuid::Uuid;
use xuncha::boundaries::demo::{self, DEMO_IMPORTS};
use xuncha::boundaries::publish::{self, PublishOptions};
use xuncha::boundaries::{ReadOptions, Report};
use xuncha::cli::import::{ImportArgs, import};
use xuncha::error::Result;
use xuncha::store::Store;
use xuncha::store::features::load_atlas;
use xuncha::store::people::By;
use xuncha::store::schema::{features, imports};

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

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.expect_err("a refusal").code
}

fn states(store: &Store) -> Vec<String> {
    let mut conn = store.conn().unwrap();
    imports::table.order(imports::created_at).select(imports::state).load(&mut conn).unwrap()
}

fn rows(store: &Store) -> i64 {
    features::table.count().get_result(&mut store.conn().unwrap()).unwrap()
}

#[test]
fn what_may_not_be_published_is_refused_and_leaves_the_store_as_it_was() {
    let database = database::empty();
    let store = &database.store;
    publish_demo(&database, 2);
    let before = rows(store);

    // A publish while another one runs.
    let mut other = store.owner_conn().unwrap();
    diesel::sql_query(format!("SELECT pg_advisory_lock({})", publish::PUBLISH_LOCK))
        .execute(&mut other)
        .unwrap();
    let town = "--layer town --source-layer XZQ_town --publish";
    assert_eq!(code_of(run(store, "admin.zip", town)), "publish_running");
    drop(other);
    let mut conn = store.conn().unwrap();
    let waiting: Uuid = imports::table
        .filter(imports::state.eq("ready"))
        .select(imports::id)
        .first(&mut conn)
        .unwrap();
    let by = By::command();
    publish::discard(store, waiting, &by).unwrap();
    assert_eq!(code_of(publish::discard(store, waiting, &by)), "wrong_state");
    assert_eq!(rows(store), before);

    // Codes twice: every village has the same YSDM.
    let by_district = "--layer functional_area --source-layer CJDCQ --code-field YSDM --publish";
    assert_eq!(code_of(run(store, "admin.zip", by_district)), "duplicate_codes");
    // Rejected records: towns read as districts have codes of nine digits.
    let as_district = "--layer district --source-layer XZQ_town --publish";
    assert_eq!(code_of(run(store, "admin.zip", as_district)), "rejected_records");
    let report =
        run(store, "admin.zip", "--layer district --source-layer XZQ_town --dry-run").unwrap();
    assert_eq!((report.accepted, report.rejected.len(), report.published), (0, 54, false));
    assert_eq!(code_of(run(store, "admin.zip", "--layer town --publish")), "several_layers");
    assert_eq!(states(store).last().unwrap(), "failed");
    let atlas = load_atlas(&mut conn).unwrap();
    assert_eq!((atlas.generation(), atlas.layer("district").unwrap().features().len()), (2, 5));
}

#[test]
fn a_draft_of_one_district_replaces_only_that_district() {
    let database = database::empty();
    let store = &database.store;
    publish_demo(&database, 3);
    let part = "--layer town --source-layer XZQ_town --area 350302 --publish";
    let report = run(store, "admin.zip", part).unwrap();
    assert_eq!((report.changes.added, report.changes.removed, report.changes.moved), (0, 0, 0));
    assert!(report.accepted > 3 && report.accepted < 54, "{}", report.accepted);
    let atlas = load_atlas(&mut store.conn().unwrap()).unwrap();
    assert_eq!(atlas.layer("town").unwrap().features().len(), 54);
    let nowhere = "--layer town --source-layer XZQ_town --area 999999 --publish";
    assert_eq!(code_of(run(store, "admin.zip", nowhere)), "area_unknown");
}

#[test]
fn a_stale_draft_is_checked_again_and_a_dead_one_is_cleared() {
    let database = database::empty();
    let store = &database.store;
    publish_demo(&database, 2);
    // Two drafts of the same layer: the second to be published meets what the first one did.
    for _ in 0..2 {
        run(store, "admin.zip", "--layer town --source-layer XZQ_town").unwrap();
    }
    let mut conn = store.conn().unwrap();
    let drafts: Vec<Uuid> = imports::table
        .filter(imports::state.eq("ready"))
        .order(imports::created_at)
        .select(imports::id)
        .load(&mut conn)
        .unwrap();
    let publish =
        |id| publish::publish(store, id, PublishOptions::default(), &mut |_, _| Ok(0)).unwrap();
    assert_eq!(publish(drafts[0]).0.changes.added, 54);
    let (second, generation) = publish(drafts[1]);
    assert_eq!((second.changes.added, second.changes.unchanged, generation), (0, 54, 4));
    let again = publish::publish(store, drafts[1], PublishOptions::default(), &mut |_, _| Ok(0));
    assert_eq!(code_of(again), "wrong_state");

    // Being read, an import is left alone; its process gone, it has failed.
    let reading = publish::begin(store, "town", "x.zip", &ReadOptions::default(), None).unwrap();
    assert_eq!(publish::clear_interrupted(store).unwrap(), 0);
    let id = reading.id;
    drop(reading);
    // The server notices a closed connection by itself, a moment later.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while publish::clear_interrupted(store).unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "the lock of a dead import stays");
    }
    let shown = publish::show(&mut conn, id).unwrap();
    assert_eq!(
        (&shown["state"], &shown["error"]["code"]),
        (&"failed".into(), &"interrupted".into())
    );
}
