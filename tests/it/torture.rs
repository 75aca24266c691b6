//! The hostile files of `tests/torture`: each ends as its manifest says.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use xuncha::atlas::feature::layers;
use xuncha::atlas::lookup::Atlas;
use xuncha::boundaries::demo::{self, DEMO_IMPORTS};
use xuncha::boundaries::{Draft, ReadOptions, check, read};
use xuncha::error::Fault;

/// The demo city is published; the files are read as parcels.
static CITY: LazyLock<Atlas> = LazyLock::new(|| {
    let city = demo::read(DEMO_IMPORTS[0], &Atlas::default()).expect("the demo city");
    Atlas::new(1, [Arc::new(city.to_layer(1))])
});

fn import(path: &Path, options: &ReadOptions) -> Result<Draft, Fault> {
    let mut draft = read(path, &demo::info(layers::PARCEL), options, &CITY, &|_| ())?;
    check::check(&mut draft, &CITY);
    assert_eq!(
        draft.report.read as usize,
        draft.report.accepted as usize + draft.report.rejected.len()
    );
    assert!(!serde_json::to_string(&draft.report).unwrap().contains('\u{fffd}'));
    for feature in &draft.features {
        let mut vertices = feature.geometry.iter().flat_map(|p| &p.exterior().0);
        assert!(vertices.all(|c| c.x.is_finite() && c.y.is_finite()));
        assert!(!feature.attributes.to_string().contains('\u{fffd}'));
    }
    Ok(draft)
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture"))
}

/// What came of a file, in one line: `ok 12`, what was remarked, or the code of the refusal.
fn summary(result: &Result<Draft, Fault>) -> String {
    let draft = match result {
        Ok(draft) => draft,
        Err(fault) => return format!("error {}", fault.code),
    };
    let report = &draft.report;
    let mut parts = vec![format!("ok {}", report.accepted)];
    let mut count = |what: &str, n: usize| {
        if n > 0 {
            parts.push(format!("{what} {n}"));
        }
    };
    count("repaired", report.totals.repaired);
    count("rejected", report.rejected.len());
    count("overlaps", report.totals.overlaps);
    count("duplicates", report.totals.duplicate_codes);
    let mut warnings: Vec<&str> = report.warnings.iter().map(|w| w.code.as_str()).collect();
    // Files without the columns of a land survey say so every time.
    warnings.retain(|code| !matches!(*code, "field_missing" | "codes_made"));
    warnings.dedup();
    parts.extend(warnings.into_iter().map(|w| format!("!{w}")));
    parts.join(" ")
}

#[test]
fn print() {
    let reader = std::fs::read_to_string(folder().join("manifest.csv")).unwrap();
    for line in reader.lines().skip(1) {
        let mut f = line.split(',');
        let (id, file) = (f.next().unwrap(), f.next().unwrap());
        let path = folder().join(file);
        if !path.exists() {
            println!("{id} missing");
            continue;
        }
        let t = std::time::Instant::now();
        let got = import(&path, &ReadOptions::default());
        println!(
            "{id} {file}: {} [{:?}] enc {} crs {}",
            summary(&got),
            t.elapsed(),
            got.as_ref().map(|d| d.report.encoding.clone()).unwrap_or_default(),
            got.as_ref().map(|d| d.report.crs.clone()).unwrap_or_default()
        );
        if let Err(f) = &got {
            println!("      {} | {:?}", f.en, f.cause);
        }
        println!(
            "      expected {}",
            line.rsplit_once(",\"").map(|x| x.1).unwrap_or(line.rsplit_once(',').unwrap().1)
        );
    }
}
