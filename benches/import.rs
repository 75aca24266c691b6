//! Import and publish of the demo city's layers, with every check, against `ogr2ogr` loading the
//! same files into the same PostGIS.
//!
//! `cargo bench --bench import`; the ratios are printed.

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};
use support::database::{self, TestDatabase};
use xuncha::boundaries::demo::{self, DEMO_IMPORTS, DemoImport};
use xuncha::boundaries::publish::PublishOptions;
use xuncha::boundaries::{ReadOptions, import_file};

const ROUNDS: usize = 3;

fn main() {
    let mut rounds: Vec<Vec<(Duration, Duration)>> = Vec::new();
    for _ in 0..ROUNDS {
        let database = database::empty();
        rounds.push(
            DEMO_IMPORTS
                .iter()
                .map(|import| (ours(&database, import), ogr2ogr(&database, import)))
                .collect(),
        );
    }
    println!("{:<18} {:>9} {:>12} {:>12} {:>8}", "layer", "polygons", "xuncha", "ogr2ogr", "ratio");
    let mut total = (Duration::ZERO, Duration::ZERO);
    for (index, import) in DEMO_IMPORTS.iter().enumerate() {
        let best = |pick: fn(&(Duration, Duration)) -> Duration| {
            rounds.iter().map(|round| pick(&round[index])).min().unwrap_or_default()
        };
        let (ours, theirs) = (best(|pair| pair.0), best(|pair| pair.1));
        total = (total.0 + ours, total.1 + theirs);
        line(import.layer, import.polygons, ours, theirs);
    }
    line("all", DEMO_IMPORTS.iter().map(|import| import.polygons).sum(), total.0, total.1);
}

fn line(layer: &str, polygons: u32, ours: Duration, theirs: Duration) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{layer:<18} {polygons:>9} {ours:>12.2?} {theirs:>12.2?} {ratio:>7.2}×");
}

/// Read, project, repair, check, store as a draft, publish.
fn ours(database: &TestDatabase, import: &DemoImport) -> Duration {
    let started = Instant::now();
    let options =
        ReadOptions { source_layer: Some(import.source_layer.into()), ..ReadOptions::default() };
    let job = import_file::begin(&database.store, import.layer, import.file, options, None)
        .expect("an import");
    let id = job.id();
    let report = job.run(&demo::folder().join(import.file), &|_| ()).expect("a draft");
    assert_eq!(report.accepted, import.polygons);
    import_file::publish(&database.store, id, PublishOptions::default()).expect("a publish");
    started.elapsed()
}

/// Read, project, load, index: `ogr2ogr` by COPY, with its spatial index.
fn ogr2ogr(database: &TestDatabase, import: &DemoImport) -> Duration {
    let source = format!(
        "/vsizip/{}/{}.shp",
        demo::folder().join(import.file).display(),
        import.source_layer
    );
    let started = Instant::now();
    let status = Command::new("ogr2ogr")
        .args(["-f", "PostgreSQL", &format!("PG:{}", database.url()), &source])
        .args(["-nln", &format!("peer_{}", import.layer), "-overwrite"])
        .args(["-nlt", "MULTIPOLYGON", "-t_srs", "EPSG:4490", "-oo", "ENCODING=GB18030"])
        .args(["--config", "PG_USE_COPY", "YES"])
        .status()
        .expect("ogr2ogr runs");
    assert!(status.success());
    started.elapsed()
}
