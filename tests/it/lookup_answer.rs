//! The answer for one point: areas, land, person, neighbours, datum.

use crate::toy_city;
use geo::Coord;
use xuncha::atlas::category::Category;
use xuncha::enforcement::lookup::answer::{LookupAnswer, Question};
use xuncha::enforcement::nature::Nature;
use xuncha::error::Result;
use xuncha::geometry::crs::Crs;
use xuncha::geometry::gcj02::{to_bd09, to_gcj02};
use xuncha::geometry::geodesic::distance_m;

fn ask(x: f64, y: f64, crs: &str) -> Question {
    Question { x, y, crs: crs.parse().unwrap(), nature: None, accuracy_m: None }
}

fn answer(question: Question) -> Result<LookupAnswer> {
    question.answer(&toy_city::atlas(), &toy_city::roster())
}

#[test]
fn everything_at_a_position_is_told() {
    let json = serde_json::to_value(answer(ask(119.15, 25.45, "wgs84")).unwrap()).unwrap();
    assert_eq!(json["inside"], true);
    assert_eq!(json["generation"], 3);
    assert_eq!(json["city"]["code"], "350300");
    assert_eq!(json["district"]["code"], toy_city::district(0));
    assert_eq!(json["town"]["code"], toy_city::town(0, 1));
    assert_eq!(json["village"]["code"], toy_city::village(0, 2));
    assert_eq!(json["cell"]["code"], toy_city::cell(1, 4));
    assert_eq!(json["functional_areas"][0]["code"], "350391");
    assert_eq!(json["category"], "basic_farmland");
    let parcels = json["parcels"].as_array().unwrap();
    assert_eq!(parcels.len(), 2);
    assert_eq!(parcels[0]["layer"], "parcel");
    assert_eq!(parcels[0]["id"], "P14");
    assert_eq!(parcels[1]["layer"], "basic_farmland");
    assert_eq!(json["input"]["crs"], "wgs84");
    assert_eq!(json["responsible"]["primary"]["phone"], "10005940002");
    assert_eq!(json["responsible"]["found_by"], "village");
    let by_nature = &json["responsible"]["by_nature"];
    assert_eq!(by_nature["illegal_construction"]["primary"]["phone"], "10005940003");
    // Half a cell of 0.1° from the nearest border, which is eastern or western.
    let expected = distance_m(Coord { x: 119.1, y: 25.45 }, Coord { x: 119.15, y: 25.45 });
    assert!((json["border_distance_m"].as_f64().unwrap() / expected - 1.0).abs() < 1e-4);
    assert!(json.get("nearest").is_none());

    let construction =
        Question { nature: Some(Nature::IllegalConstruction), ..ask(119.15, 25.45, "wgs84") };
    let responsible = answer(construction).unwrap().responsible.unwrap();
    assert_eq!(responsible.assignment.primary.phone, "10005940003");
    let red = answer(ask(119.25, 25.25, "wgs84")).unwrap();
    let layers: Vec<&str> = red.parcels.iter().map(|p| p.layer.as_str()).collect();
    assert_eq!(layers, ["parcel", "basic_farmland", "red_line"]);
    let east = answer(ask(119.55, 25.05, "wgs84")).unwrap();
    assert_eq!(east.category, Category::Homestead);
}

#[test]
fn outside_the_nearest_cell_is_told() {
    let json = serde_json::to_value(answer(ask(118.99, 25.05, "wgs84")).unwrap()).unwrap();
    assert_eq!(json["inside"], false);
    for level in ["city", "district", "town", "village", "cell", "responsible", "border_distance_m"]
    {
        assert!(json[level].is_null(), "{level}");
    }
    assert_eq!(json["nearest"]["cell"]["code"], toy_city::cell(0, 0));
    assert_eq!(json["nearest"]["village"]["code"], toy_city::village(0, 0));
    assert_eq!(json["nearest"]["responsible"]["primary"]["phone"], "10005940001");
    let distance = json["nearest"]["distance_m"].as_f64().unwrap();
    let expected = distance_m(Coord { x: 118.99, y: 25.05 }, Coord { x: 119.0, y: 25.05 });
    assert!((distance / expected - 1.0).abs() < 1e-4, "{distance}");
    // Half a globe away nothing is near.
    assert!(answer(ask(-70.0, -30.0, "wgs84")).unwrap().nearest.is_none());
    // The eastern and northern border of the city are not its own; its western and southern are.
    assert!(!answer(ask(119.8, 25.05, "wgs84")).unwrap().inside);
    assert!(answer(ask(119.0, 25.0, "wgs84")).unwrap().inside);
}

#[test]
fn the_circle_of_a_poor_fix_names_its_neighbours() {
    let near_corner =
        |accuracy| Question { accuracy_m: Some(accuracy), ..ask(119.0999, 25.0998, "wgs84") };
    assert!(answer(near_corner(5.0)).unwrap().candidates.is_empty());
    let found = answer(near_corner(100.0)).unwrap().candidates;
    let codes: Vec<&str> = found.iter().map(|c| c.cell.code.as_str()).collect();
    let cells = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| toy_city::cell(i, j));
    assert_eq!(codes, cells, "nearest first, the holder of the point before all");
    assert!(found.windows(2).all(|pair| pair[0].distance_m <= pair[1].distance_m));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(answer(near_corner(bad)).unwrap_err().code, "invalid");
    }
}

#[test]
fn one_place_has_one_cell_in_every_system() {
    let atlas = toy_city::atlas();
    let here = Coord { x: 119.0, y: 25.43 };
    // Half a metre into the cell, so that centimetres of the published check value do not matter.
    let mars = |f: fn(Coord) -> Coord| f(Coord { x: here.x + 5e-6, y: here.y });
    let (gcj, bd) = (mars(to_gcj02), mars(to_bd09));
    let questions = [
        ask(here.x + 5e-6, here.y, "wgs84"),
        ask(here.x + 5e-6, here.y, "cgcs2000"),
        ask(here.x + 5e-6, here.y, "EPSG:4490"),
        ask(gcj.x, gcj.y, "gcj02"),
        ask(bd.x, bd.y, "bd09"),
        ask(399_401.34, 2_814_064.89, "EPSG:4549"),
        ask(40_399_401.34, 2_814_064.89, "EPSG:4528"),
    ];
    for question in questions {
        let answer = question.answer(&atlas, &toy_city::roster()).unwrap();
        let cell = answer.place.cell.map(|c| c.code);
        assert_eq!(cell, Some(toy_city::cell(0, 4)), "{}", question.crs);
        let got = Coord { x: answer.point.lon, y: answer.point.lat };
        assert!(distance_m(got, here) < 0.6, "{}", question.crs);
    }
    // The offset of the map kits leads a careless reader into the next cell, or out of the city.
    assert_ne!(
        answer(ask(gcj.x, gcj.y, "wgs84")).unwrap().point,
        answer(ask(gcj.x, gcj.y, "gcj02")).unwrap().point
    );
    let old = answer(ask(119.05, 25.05, "EPSG:4610")).unwrap();
    assert_eq!(old.warnings[0].code, "datum_shift_unknown");
}

#[test]
fn nonsense_is_refused_in_both_languages() {
    for (x, y, crs) in [
        (f64::NAN, 25.0, "wgs84"),
        (f64::INFINITY, 25.0, "EPSG:4549"),
        (181.0, 25.0, "wgs84"),
        (119.0, 91.0, "cgcs2000"),
        (10.0, 50.0, "gcj02"),
        (1e300, 1e300, "EPSG:4549"),
    ] {
        let fault = answer(ask(x, y, crs)).unwrap_err();
        assert_eq!(fault.code, "out_of_range", "{x} {y} {crs}");
        assert!(fault.zh.contains("超出") && fault.en.contains("out of range"));
    }
    assert!("mars".parse::<Crs>().is_err());
    assert_eq!(answer(ask(1.0, 1.0, "EPSG:999999")).unwrap_err().code, "crs_unknown");
}
