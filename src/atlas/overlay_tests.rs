use super::*;
use crate::atlas::feature::{LayerInfo, LayerKind};
use geo::{BooleanOps, Coord, Rect};
use proptest::prelude::*;

/// A rectangle on a grid of 0.0001° (10 m) near Putian. Larger ones would tell the geodesics of
/// their edges from those of their parts.
fn rectangle(x0: i32, y0: i32, x1: i32, y1: i32) -> MultiPolygon {
    let at =
        |x: i32, y: i32| Coord { x: (1_190_000 + x) as f64 / 1e4, y: (250_000 + y) as f64 / 1e4 };
    MultiPolygon::new(vec![Rect::new(at(x0, y0), at(x1, y1)).to_polygon()])
}

fn layer(name: &str, features: &[(&str, &str, MultiPolygon)]) -> Arc<Layer> {
    let kind = if name == layers::PARCEL { LayerKind::Partition } else { LayerKind::Overlay };
    let info =
        LayerInfo { name: name.into(), kind, title_zh: String::new(), title_en: String::new() };
    let features = features.iter().zip(1..).map(|((code, class, geometry), id)| Feature {
        id,
        code: (*code).into(),
        name: None,
        class_code: (!class.is_empty()).then(|| (*class).into()),
        class_name: None,
        parent_code: None,
        area_m2: geodesic::area_m2(geometry),
        surveyed_area_m2: None,
        attributes: serde_json::Value::Null,
        geometry: geometry.clone(),
    });
    Arc::new(Layer::new(info, 1, features.collect()))
}

fn overlay(
    parcels: &[(&str, &str, MultiPolygon)],
    farmland: &[(&str, &str, MultiPolygon)],
) -> LandOverlay {
    let layers = [layer(layers::PARCEL, parcels), layer(layers::BASIC_FARMLAND, farmland)];
    let overlay = LandOverlay::build(&Atlas::new(1, layers));
    assert_eq!(overlay.problems(), [] as [&str; 0]);
    overlay
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs().max(1.0)
}

fn area(x0: i32, y0: i32, x1: i32, y1: i32) -> f64 {
    geodesic::area_m2(&rectangle(x0, y0, x1, y1))
}

#[test]
fn every_category_gets_its_part_and_the_rest_is_non_farmland() {
    let overlay = overlay(
        &[
            ("1", "0101", rectangle(0, 0, 10, 10)),
            ("2", "0702", rectangle(10, 0, 20, 10)),
            ("3", "0602", rectangle(20, 0, 30, 10)),
            ("4", "0307", rectangle(0, 10, 30, 15)),
        ],
        // Half of the first parcel, and a strip that no parcel covers.
        &[("A", "0101", rectangle(0, 0, 5, 10)), ("B", "0101", rectangle(-4, 0, 0, 10))],
    );
    let cover = overlay.cover(&rectangle(-10, 0, 40, 20)).unwrap();
    let found = cover.by_category;
    assert!(near(found.basic_farmland, area(-4, 0, 5, 10)), "{found:?}");
    assert!(near(found.farmland, area(5, 0, 10, 10)));
    assert!(near(found.homestead, area(10, 0, 20, 10)));
    assert!(near(found.mine, area(20, 0, 30, 10)));
    assert!(near(found.total(), cover.total_m2));
    assert!(near(cover.total_m2, area(-10, 0, 40, 20)));
    let without_parcel: Vec<_> = cover.shares.iter().filter(|s| s.parcel.is_none()).collect();
    assert_eq!(without_parcel.len(), 2);
}

#[test]
fn the_lowest_code_owns_where_parcels_overlap() {
    let overlay = overlay(
        &[
            ("2", "0702", rectangle(0, 0, 10, 10)),
            ("1", "0101", rectangle(5, 0, 15, 10)),
            ("3", "0602", rectangle(6, 2, 9, 5)),
        ],
        &[],
    );
    let cover = overlay.cover(&rectangle(0, 0, 15, 10)).unwrap();
    assert!(near(cover.by_category.farmland, area(5, 0, 15, 10)));
    assert!(near(cover.by_category.homestead, area(0, 0, 5, 10)));
    assert_eq!(cover.by_category.mine, 0.0);
    let codes: Vec<_> =
        cover.shares.iter().filter_map(|s| Some(overlay.parcel(s)?.code.as_str())).collect();
    assert_eq!(codes, ["1", "2"]);
}

#[test]
fn farmland_that_overlaps_counts_once() {
    let overlay = overlay(
        &[("1", "0101", rectangle(0, 0, 10, 10))],
        &[
            ("A", "", rectangle(0, 0, 6, 12)),
            ("B", "", rectangle(4, 0, 8, 12)),
            ("C", "", rectangle(1, 1, 3, 3)),
        ],
    );
    let cover = overlay.cover(&rectangle(0, 0, 10, 12)).unwrap();
    assert!(near(cover.by_category.basic_farmland, area(0, 0, 8, 12)), "{cover:?}");
    assert!(near(cover.by_category.farmland, area(8, 0, 10, 10)));
    assert!(near(cover.by_category.total(), cover.total_m2));
}

#[test]
fn a_footprint_inside_one_parcel_is_all_of_its_category() {
    let overlay = overlay(&[("1", "0101", rectangle(0, 0, 100, 100))], &[]);
    let footprint = rectangle(50, 50, 51, 51);
    let cover = overlay.cover(&footprint).unwrap();
    assert!(near(cover.by_category.farmland, cover.total_m2));
    assert!((cover.by_category.total() - cover.total_m2).abs() < 1e-9 * cover.total_m2);
    assert!(cover.by_category.non_farmland >= 0.0);
}

#[test]
fn without_a_survey_all_is_non_farmland() {
    let overlay = LandOverlay::build(&Atlas::default());
    let cover = overlay.cover(&rectangle(0, 0, 1, 1)).unwrap();
    assert_eq!(cover.by_category.non_farmland, cover.total_m2);
    assert_eq!(overlay.cover(&MultiPolygon::new(vec![])).unwrap(), Cover::default());
}

#[test]
fn the_cache_builds_again_only_for_other_land() {
    let parcels = layer(layers::PARCEL, &[("1", "0101", rectangle(0, 0, 1, 1))]);
    let atlas = Atlas::new(1, [parcels]);
    let cache = OverlayCache::default();
    let first = cache.get(&atlas);
    let other_layer = layer(layers::TOWN, &[("350302001", "", rectangle(0, 0, 1, 1))]);
    assert!(Arc::ptr_eq(&first, &cache.get(&atlas.with_layers(2, [other_layer]))));
    let farmland = layer(layers::BASIC_FARMLAND, &[("A", "", rectangle(0, 0, 1, 1))]);
    assert!(!Arc::ptr_eq(&first, &cache.get(&atlas.with_layers(3, [farmland]))));
}

type Box4 = (i32, i32, i32, i32);

fn boxes(most: usize) -> impl Strategy<Value = Vec<Box4>> {
    prop::collection::vec((0..12i32, 0..12i32, 1..6i32, 1..6i32), 0..most)
}

proptest! {
    /// Against a count of unit squares, where every rule is a line of code.
    #[test]
    fn agrees_with_counting_squares(
        parcels in boxes(12),
        farmland in boxes(5),
        query in (0..12i32, 0..12i32, 1..12i32, 1..12i32),
    ) {
        let classes = ["0101", "0702", "0602", "0307", "0103"];
        let shape = |&(x, y, w, h): &Box4| rectangle(x, y, x + w, y + h);
        let codes: Vec<String> = (0..20).map(|i| format!("{i:02}")).collect();
        let p: Vec<_> = parcels.iter().enumerate()
            .map(|(i, b)| (codes[i].as_str(), classes[i % 5], shape(b))).collect();
        let f: Vec<_> = farmland.iter().enumerate().map(|(i, b)| (codes[i].as_str(), "", shape(b))).collect();
        let cover = overlay(&p, &f).cover(&shape(&query)).unwrap();

        let mut expected = CategoryAreas::default();
        let holds = |&(x, y, w, h): &Box4, i: i32, j: i32| i >= x && i < x + w && j >= y && j < y + h;
        for i in query.0..query.0 + query.2 {
            for j in query.1..query.1 + query.3 {
                let category = if farmland.iter().any(|b| holds(b, i, j)) {
                    Category::BasicFarmland
                } else {
                    let owner = parcels.iter().position(|b| holds(b, i, j));
                    Category::of_class(owner.map(|o| classes[o % 5]))
                };
                *expected.get_mut(category) += area(i, j, i + 1, j + 1);
            }
        }
        for category in Category::ALL {
            let (mut found, mut wanted) = (cover.by_category, expected);
            let (found, wanted) = (*found.get_mut(category), *wanted.get_mut(category));
            prop_assert!((found - wanted).abs() < 0.01, "{category:?} {found} {wanted}");
        }
        prop_assert!((cover.by_category.total() - cover.total_m2).abs() <= 1e-9 * cover.total_m2);
    }

    /// Against the overlay of `geo` alone, for polygons that share no border with the parcels.
    #[test]
    fn agrees_with_the_plain_overlay_off_the_grid(
        parcels in boxes(12),
        corners in prop::collection::vec((0.0..0.0018f64, 0.0..0.0018f64), 3),
    ) {
        let triangle = geo::Polygon::new(
            corners.iter().map(|&(x, y)| Coord { x: 119.0 + x, y: 25.0 + y }).collect(), vec![]);
        let triangle = MultiPolygon::new(vec![triangle]);
        let codes: Vec<String> = (0..20).map(|i| format!("{i:02}")).collect();
        let p: Vec<_> = parcels.iter().enumerate()
            .map(|(i, &(x, y, w, h))| (codes[i].as_str(), "0101", rectangle(x, y, x + w, y + h))).collect();
        let all = p.iter().fold(MultiPolygon::new(vec![]), |all, (.., shape)| all.union(shape));
        let wanted = geodesic::area_m2(&all.intersection(&triangle));
        let found = overlay(&p, &[]).cover(&triangle).unwrap().by_category.farmland;
        // Corners of a cut lie on the grid of 0.1 mm, along at most 750 m of border.
        prop_assert!((found - wanted).abs() < 1e-6 * wanted + 0.08, "{found} {wanted}");
    }
}
