use super::*;
use crate::atlas::feature::{Feature, LayerInfo, LayerKind, layers};
use crate::atlas::layer::Layer;
use geo::{Coord, Rect};

/// A rectangle on a grid of 0.0001° (10 m) near Putian.
fn rectangle([x0, y0, x1, y1]: [i32; 4]) -> MultiPolygon {
    let at =
        |x: i32, y: i32| Coord { x: (1_190_000 + x) as f64 / 1e4, y: (250_000 + y) as f64 / 1e4 };
    MultiPolygon::new(vec![Rect::new(at(x0, y0), at(x1, y1)).to_polygon()])
}

fn area(corners: [i32; 4]) -> f64 {
    geodesic::area_m2(&rectangle(corners))
}

fn layer(name: &str, features: &[(&str, &str, [i32; 4])]) -> Arc<Layer> {
    let overlay = [layers::BASIC_FARMLAND, layers::FUNCTIONAL_AREA].contains(&name);
    let kind = if overlay { LayerKind::Overlay } else { LayerKind::Partition };
    let info =
        LayerInfo { name: name.into(), kind, title_zh: String::new(), title_en: String::new() };
    let features = features.iter().zip(1..).map(|((code, text, corners), id)| {
        let geometry = rectangle(*corners);
        let area_m2 = geodesic::area_m2(&geometry);
        let is_parcel = name == layers::PARCEL;
        Feature {
            id,
            code: (*code).into(),
            name: (!is_parcel).then(|| format!("{name} {code}")),
            class_code: is_parcel.then(|| (*text).into()),
            class_name: is_parcel.then(|| format!("class {text}")),
            parent_code: None,
            area_m2,
            // The survey takes a tenth off for field ridges.
            surveyed_area_m2: is_parcel.then_some(area_m2 * 0.9),
            attributes: serde_json::json!({ "XZQDMS": text }),
            geometry,
        }
    });
    Arc::new(Layer::new(info, 1, features.collect()))
}

/// Two districts side by side; the second one's upper town has become a functional area.
fn city() -> Atlas {
    Atlas::new(
        7,
        [
            layer("city", &[("350300", "", [0, 0, 40, 20])]),
            layer("district", &[("350302", "", [0, 0, 20, 20]), ("350305", "", [20, 0, 40, 20])]),
            layer("functional_area", &[("350305901", "350305102", [20, 10, 40, 20])]),
            layer(
                "town",
                &[
                    ("350302001", "", [0, 0, 20, 20]),
                    ("350305101", "", [20, 0, 40, 10]),
                    ("350305102", "", [20, 10, 40, 20]),
                ],
            ),
            layer("village", &[("350305102001", "", [20, 10, 30, 20])]),
            layer(
                "parcel",
                &[
                    ("1", "0101", [0, 0, 10, 20]),
                    ("2", "0702", [10, 0, 20, 20]),
                    ("3", "0103", [20, 0, 25, 20]),
                    ("4", "0602", [25, 0, 40, 8]),
                ],
            ),
            layer("basic_farmland", &[("A", "", [20, 0, 25, 15])]),
        ],
    )
}

fn table(code: &str, level: Option<LandLevel>, by: LandBy) -> LandTable {
    LandStatistics::default().table(&city(), Subject::Area(code), level, by).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1.0)
}

fn codes(table: &LandTable) -> Vec<&str> {
    table.rows.iter().map(|row| row.code.as_deref().unwrap_or("-")).collect()
}

#[test]
fn a_functional_area_is_a_row_of_its_own_and_leaves_its_district() {
    let table = table("350300", Some(LandLevel::District), LandBy::Category);
    assert_eq!(codes(&table), ["350302", "350305", "350305901"]);
    let [first, second, functional] = &table.rows[..] else { panic!() };
    assert!(near(first.categories.farmland, area([0, 0, 10, 20])));
    assert!(near(first.categories.homestead, area([10, 0, 20, 20])));
    assert!(near(second.total, area([20, 0, 40, 10])));
    assert!(near(second.categories.basic_farmland, area([20, 0, 25, 10])));
    assert!(near(second.categories.mine, area([25, 0, 40, 8])));
    assert!(near(second.categories.non_farmland, area([25, 8, 40, 10])));
    assert!(near(functional.categories.basic_farmland, area([20, 10, 25, 15])));
    assert!(near(functional.categories.farmland, area([20, 15, 25, 20])));
    assert!(near(functional.cultivated, area([20, 10, 25, 20])));
    assert!(near(functional.cultivated_surveyed.unwrap(), area([20, 10, 25, 20]) * 0.9));
    assert!(near(functional.mu.total * 2000.0 / 3.0, functional.total));
    assert!(near(table.total.total, area([0, 0, 40, 20])));
    assert_eq!((table.generation, table.area.level), (7, "city"));
}

#[test]
fn rows_are_those_inside_the_area() {
    let towns = |code| table(code, Some(LandLevel::Town), LandBy::Category);
    assert_eq!(codes(&towns("350300")), ["350302001", "350305101", "350305102"]);
    assert_eq!(codes(&towns("350305")), ["350305101"]);
    assert_eq!(codes(&towns("350305901")), ["350305102"]);
    assert_eq!(codes(&towns("350305102")), ["350305102"]);
    assert_eq!(codes(&table("350305901", None, LandBy::Category)), ["350305901"]);
    let villages = table("350305901", Some(LandLevel::Village), LandBy::Category);
    assert_eq!(codes(&villages), ["350305102001"]);
    assert_eq!(codes(&table("350302", Some(LandLevel::Cell), LandBy::Category)), [] as [&str; 0]);
}

#[test]
fn by_class_every_class_is_split_by_category() {
    let table = table("350305", None, LandBy::Class);
    assert_eq!(codes(&table), ["-", "0103", "0602"]);
    assert_eq!(table.rows[1].name.as_deref(), Some("class 0103"));
    assert_eq!(table.rows[1].area_code.as_deref(), Some("350305"));
    assert!(near(table.rows[1].categories.basic_farmland, area([20, 0, 25, 10])));
    assert_eq!(table.rows[1].categories.farmland, 0.0);
    assert!(near(table.rows[0].categories.non_farmland, area([25, 8, 40, 10])));
    assert!(near(table.total.total, area([20, 0, 40, 10])));
}

#[test]
fn a_polygon_is_measured_whole_and_by_the_areas_it_lies_in() {
    let statistics = LandStatistics::default();
    let drawn = rectangle([15, 5, 30, 12]);
    let whole =
        statistics.table(&city(), Subject::Polygon(&drawn), None, LandBy::Category).unwrap();
    assert_eq!(codes(&whole), ["-"]);
    assert!(near(whole.total.total, area([15, 5, 30, 12])));
    assert!(near(whole.total.categories.basic_farmland, area([20, 5, 25, 12])));
    let level = Some(LandLevel::District);
    let parts =
        statistics.table(&city(), Subject::Polygon(&drawn), level, LandBy::Category).unwrap();
    assert_eq!(codes(&parts), ["350302", "350305", "350305901"]);
    assert!(near(parts.rows[1].total, area([20, 5, 30, 10])));
    assert!(near(parts.total.total, whole.total.total));
}

#[test]
fn what_is_kept_equals_what_is_worked_out_alone() {
    let (atlas, statistics) = (city(), LandStatistics::default());
    let alone = table("350305101", None, LandBy::Class);
    statistics.prepare(&atlas).unwrap();
    let kept = statistics.table(&atlas, Subject::Area("350305101"), None, LandBy::Class).unwrap();
    assert_eq!(alone, kept);
    // Other parcels: the old figures must not stay.
    let parcels = layer("parcel", &[("1", "0602", [0, 0, 40, 20])]);
    let atlas = atlas.with_layers(8, [parcels]);
    let after = statistics.table(&atlas, Subject::Area("350302"), None, LandBy::Category).unwrap();
    assert!(near(after.total.categories.mine, area([0, 0, 20, 20])));
}

#[test]
fn questions_without_an_answer_are_refused() {
    let ask = |code, level| {
        let statistics = LandStatistics::default();
        statistics.table(&city(), Subject::Area(code), level, LandBy::Category).unwrap_err()
    };
    assert_eq!(ask("350399", None).kind, FaultKind::NotFound);
    let above = ask("350305101", Some(LandLevel::District));
    assert_eq!((above.kind, above.code), (FaultKind::Invalid, "level_above_area"));
}
