//! A city of squares in memory: 119.0–119.8° E, 25.0–25.8° N, in 2 districts, 4 towns, 16 villages
//! and 64 cells of 0.1°, one parcel a cell, farmland on the western half.

use geo::{Coord, Rect};
use std::sync::Arc;
use uuid::Uuid;
use xuncha::atlas::feature::{Feature, LayerInfo, LayerKind, layers};
use xuncha::atlas::layer::Layer;
use xuncha::atlas::lookup::Atlas;
use xuncha::enforcement::dispatch::Roster;
use xuncha::enforcement::people::{Duty, DutyNature, Person, Rank, Role};

/// Cells along one side.
const SIDE: u32 = 8;

/// The south-western corner of the cell in this column and row. The numbers are decimals, so that
/// neighbours share their corners bit for bit.
pub fn corner(column: u32, row: u32) -> Coord {
    Coord { x: (1190 + column) as f64 / 10.0, y: (250 + row) as f64 / 10.0 }
}

pub fn feature(code: String, low: Coord, high: Coord, class: Option<&str>) -> Feature {
    Feature {
        id: 0,
        name: Some(format!("名{code}")),
        code,
        class_code: class.map(str::to_string),
        class_name: class.map(|c| format!("类{c}")),
        parent_code: None,
        area_m2: 1000.0,
        surveyed_area_m2: None,
        attributes: serde_json::Value::Null,
        geometry: Rect::new(low, high).to_polygon().into(),
    }
}

pub fn layer(name: &str, kind: LayerKind, features: Vec<Feature>) -> Arc<Layer> {
    let info = LayerInfo { name: name.into(), kind, title_zh: name.into(), title_en: name.into() };
    Arc::new(Layer::new(info, 3, features))
}

/// Squares of `step` cells; the code is made from column and row in steps.
fn squares(step: u32, code: impl Fn(u32, u32) -> String) -> Vec<Feature> {
    let count = SIDE / step;
    (0..count * count)
        .map(|n| {
            let (i, j) = (n % count, n / count);
            let (low, high) = (corner(i * step, j * step), corner((i + 1) * step, (j + 1) * step));
            let class = ["0101", "0702", "0602", "0301"][(n % 4) as usize];
            feature(code(i, j), low, high, Some(class))
        })
        .collect()
}

pub fn district(i: u32) -> String {
    format!("35030{}", 2 + i)
}
pub fn town(i: u32, j: u32) -> String {
    format!("{}00{}", district(i), 1 + j)
}
pub fn village(i: u32, j: u32) -> String {
    format!("{}0{}{}", town(i / 2, j / 2), 1 + i % 2, 1 + j % 2)
}
pub fn cell(i: u32, j: u32) -> String {
    format!("{}0{}{}", village(i / 2, j / 2), 1 + i % 2, 1 + j % 2)
}

pub fn atlas() -> Atlas {
    let partition = |name, features| layer(name, LayerKind::Partition, features);
    let overlay = |name, features| layer(name, LayerKind::Overlay, features);
    let west = feature("JN1".into(), corner(0, 0), corner(4, 8), Some("0101"));
    let north = feature("350391".into(), corner(0, 4), corner(8, 8), None);
    let districts = vec![
        feature(district(0), corner(0, 0), corner(4, 8), None),
        feature(district(1), corner(4, 0), corner(8, 8), None),
    ];
    Atlas::new(
        3,
        [
            partition(
                layers::CITY,
                vec![feature("350300".into(), corner(0, 0), corner(8, 8), None)],
            ),
            partition(layers::DISTRICT, districts),
            partition(layers::TOWN, squares(4, town)),
            partition(layers::VILLAGE, squares(2, village)),
            partition(layers::CELL, squares(1, cell)),
            partition(layers::PARCEL, squares(1, |i, j| format!("P{i}{j}"))),
            overlay(layers::BASIC_FARMLAND, vec![west]),
            overlay(layers::FUNCTIONAL_AREA, vec![north]),
            overlay("red_line", vec![feature("R1".into(), corner(1, 1), corner(3, 3), None)]),
        ],
    )
}

pub fn person(n: u128) -> Person {
    Person {
        id: Uuid::from_u128(n),
        phone: format!("1000594{n:04}"),
        name: format!("人{n}"),
        role: Role::Patroller,
        area_code: "350300".into(),
        department: None,
    }
}

/// Person 1 answers for cell (0,0), person 2 for every village, with 3 for construction there.
pub fn roster() -> Roster {
    let duty = |code: String, n, nature| Duty {
        code,
        person: Uuid::from_u128(n),
        nature,
        rank: Rank::Primary,
    };
    let mut duties = vec![duty(cell(0, 0), 1, DutyNature::Any)];
    for n in 0..16 {
        let code = village(n % 4, n / 4);
        duties.push(duty(code.clone(), 2, DutyNature::Any));
        duties.push(duty(code, 3, DutyNature::IllegalConstruction));
    }
    Roster::new((1..=3).map(person).collect(), duties)
}
