use super::*;
use crate::boundaries::demo::{self, DEMO_IMPORTS};
use geo::{LineString, Polygon};
use std::sync::Arc;

fn square(code: &str, x: f64, y: f64, size: f64) -> DraftFeature {
    let c = |dx: f64, dy: f64| Coord { x: 119.0 + (x + dx) / 1e3, y: 25.0 + (y + dy) / 1e3 };
    let ring =
        LineString(vec![c(0.0, 0.0), c(size, 0.0), c(size, size), c(0.0, size), c(0.0, 0.0)]);
    let mut feature = DraftFeature {
        record: 0,
        code: code.into(),
        name: None,
        class_code: None,
        class_name: None,
        parent_code: None,
        area_m2: 0.0,
        surveyed_area_m2: None,
        attributes: json!({}),
        content_hash: 0,
        geometry: MultiPolygon::new(vec![Polygon::new(ring, vec![])]),
    };
    feature.area_m2 = crate::geometry::geodesic::area_m2(&feature.geometry);
    feature.seal();
    feature
}

fn checked(layer: &str, mut features: Vec<DraftFeature>, atlas: &Atlas) -> Draft {
    for (record, feature) in (1..).zip(&mut features) {
        feature.record = record;
    }
    let mut draft =
        Draft { layer: demo::info(layer), area: None, report: Report::default(), features };
    check(&mut draft, atlas);
    draft
}

fn board(skip: &[(i32, i32)]) -> Vec<DraftFeature> {
    (0..3)
        .flat_map(|i| (0..3).map(move |j| (i, j)))
        .filter(|at| !skip.contains(at))
        .map(|(i, j)| square(&format!("{i}{j}"), f64::from(i), f64::from(j), 1.0))
        .collect()
}

#[test]
fn a_clean_board_has_no_findings() {
    let report = checked("parcel", board(&[]), &Atlas::default()).report;
    assert_eq!((report.totals.overlaps, report.totals.gaps), (0, 0));
}

#[test]
fn a_missing_square_is_a_gap() {
    let report = checked("parcel", board(&[(1, 1)]), &Atlas::default()).report;
    assert_eq!(report.totals.gaps, 1);
    let square_m2 = square("x", 1.0, 1.0, 1.0).area_m2;
    assert!((report.gaps[0].area_m2 - square_m2).abs() < 1e-3, "{}", report.gaps[0].area_m2);
}

#[test]
fn overlaps_name_both_sides() {
    let mut features = board(&[]);
    features.push(square("over", 0.5, 0.5, 1.0));
    features.push(square("00", 0.0, 0.0, 1.0));
    let report = checked("parcel", features, &Atlas::default()).report;
    // "over" lies on four squares and on the second "00", which lies on the first.
    assert_eq!(
        report.totals.overlaps,
        6,
        "{:?}",
        report.overlaps.iter().map(|o| &o.codes).collect::<Vec<_>>()
    );
    assert_eq!(report.duplicate_codes, [DuplicateCode { code: "00".into(), records: vec![1, 11] }]);
    assert_eq!(report.overlaps[0].codes, ["00", "00"]);
}

#[test]
fn changes_are_told_by_code_and_content() {
    let layer = |features: Vec<DraftFeature>| {
        Arc::new(checked("parcel", features, &Atlas::default()).to_layer(1))
    };
    let atlas = Atlas::new(1, [layer(board(&[(0, 0)]))]);
    let mut features = board(&[(2, 2)]);
    features.retain(|f| f.code != "11");
    features.push(square("11", 1.0, 1.0, 0.9));
    let mut renamed = square("01", 0.0, 1.0, 1.0);
    renamed.name = Some("改名".into());
    renamed.seal();
    features.retain(|f| f.code != "01");
    features.push(renamed);
    let changes = checked("parcel", features, &atlas).report.changes;
    assert_eq!((changes.added, changes.removed, changes.moved, changes.renamed), (1, 1, 1, 1));
    assert_eq!(changes.unchanged, 5);
}

#[test]
fn a_missing_village_at_the_rim_of_its_town_is_a_gap_and_strangers_are_orphans() {
    let mut atlas = Atlas::default();
    for import in &DEMO_IMPORTS[..3] {
        let layer = demo::read(*import, &atlas).unwrap().to_layer(1);
        atlas = atlas.with_layers(1, [Arc::new(layer)]);
    }
    let mut draft = demo::read(DEMO_IMPORTS[3], &atlas).unwrap();
    check(&mut draft, &atlas);
    let totals = draft.report.totals.clone();
    assert_eq!(
        (totals.gaps, totals.overlaps, totals.orphans),
        (0, 0, 0),
        "{:?}",
        draft.report.orphans.first()
    );
    let gone = draft.features.remove(100);
    draft.features[0].parent_code = Some("350399999".into());
    check(&mut draft, &atlas);
    assert_eq!(draft.report.totals.gaps, 1);
    assert!((draft.report.gaps[0].area_m2 / gone.area_m2 - 1.0).abs() < 1e-6);
    assert_eq!(draft.report.totals.orphans, 1);
}

#[test]
fn the_demo_city_has_no_flaws() {
    let mut atlas = Atlas::default();
    for import in DEMO_IMPORTS {
        let mut draft = demo::read(import, &atlas).unwrap();
        check(&mut draft, &atlas);
        let report = &draft.report;
        assert_eq!(report.totals, crate::boundaries::report::Totals::default(), "{}", import.layer);
        assert_eq!((report.changes.added, &report.warnings[..]), (import.polygons, &[][..]));
        atlas = atlas.with_layers(1, [Arc::new(draft.to_layer(1))]);
    }
}
