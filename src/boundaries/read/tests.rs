use super::*;
use crate::atlas::feature::LayerKind;
use crate::boundaries::demo::{self, DEMO_IMPORTS};

#[test]
fn the_demo_city_comes_in_whole_and_untouched() {
    let atlas = demo::atlas().unwrap();
    for import in DEMO_IMPORTS {
        let layer = atlas.layer(import.layer).unwrap();
        assert_eq!(layer.features().len() as u32, import.polygons, "{}", import.layer);
    }
    let town = atlas.layer(layers::TOWN).unwrap().by_code("350302100").unwrap();
    assert_eq!(town.name.as_deref(), Some("常太镇"));
    assert!((town.area_m2 / 161_496_285.21 - 1.0).abs() < 1e-9, "{}", town.area_m2);
    let place = atlas.place_at(Coord { x: 119.0078, y: 25.454 });
    assert!(place.inside() && place.cell.is_some());
}

#[test]
fn a_layer_of_its_own_needs_no_codes() {
    let info = LayerInfo {
        name: "suspected".into(),
        kind: LayerKind::Overlay,
        title_zh: "疑似图斑".into(),
        title_en: "Suspected plots".into(),
    };
    let options = ReadOptions { code_field: Some("jcbh".into()), ..ReadOptions::default() };
    let draft =
        read(&demo::folder().join("suspected.zip"), &info, &options, &Atlas::default(), &|_| ())
            .unwrap();
    assert_eq!((draft.report.read, draft.report.accepted), (300, 300));
    assert_eq!(draft.features[3].code, "35030220260004");
    assert_eq!(draft.features[3].attributes["QSX"], "2026-01-13");
}
