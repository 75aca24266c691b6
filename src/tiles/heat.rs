//! Tiles of cases: as points, and as counts per square of a grid.

use super::address::{EXTENT, TileAddress};
use super::case_index::{CaseHit, CaseSnapshot};
use super::cases::CaseFilter;
use super::encode::{TileWriter, Value};
use chrono::{DateTime, FixedOffset, SecondsFormat};

/// The layers of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseLayer {
    /// One point per case; counts where a tile holds too many.
    Cases,
    /// Counts per grid square.
    Heat,
}

impl CaseLayer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cases => "cases",
            Self::Heat => "heat",
        }
    }

    /// The layer of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Cases, Self::Heat].into_iter().find(|layer| layer.name() == name)
    }
}

/// The heat grid has 2^6 = 64 squares along a side of a tile.
const GRID_BITS: u32 = 6;
const GRID: usize = 1 << GRID_BITS;
/// Beyond this many cases in a tile it shows counts: points would take more than 500 KB.
const MAX_POINTS: usize = 2000;

/// The vector tile of the cases that a filter admits; empty where none is. A case lies in exactly
/// one tile of a zoom: there is no buffer, so counts add up.
pub fn tile(
    layer: CaseLayer,
    snapshot: &CaseSnapshot,
    tile: TileAddress,
    filter: &CaseFilter,
) -> Vec<u8> {
    let mut squares = Vec::new();
    let mut points: Vec<CaseHit> = Vec::new();
    let mut too_many = layer == CaseLayer::Heat;
    snapshot.visit(tile, filter, |hit| {
        if squares.is_empty() {
            squares = vec![Square::default(); GRID * GRID];
        }
        let (x, y) = hit.square(tile, GRID_BITS);
        let square = &mut squares[y as usize * GRID + x as usize];
        square.count += 1;
        square.area_m2 += hit.area_m2();
        if !too_many {
            points.push(hit);
            too_many = points.len() > MAX_POINTS;
        }
    });
    let mut writer = TileWriter::new(layer.name());
    if too_many {
        write_squares(&mut writer, &squares);
    } else {
        points.sort_unstable_by_key(|hit| hit.record().id);
        points.iter().for_each(|hit| write_point(&mut writer, hit, tile));
    }
    writer.finish()
}

/// What lies in a square of the grid.
#[derive(Debug, Clone, Copy, Default)]
struct Square {
    count: u64,
    area_m2: f64,
}

/// Each square that holds something as a point in its middle.
fn write_squares(writer: &mut TileWriter, squares: &[Square]) {
    let width = EXTENT / GRID as i32;
    for (i, square) in squares.iter().enumerate().filter(|(_, square)| square.count > 0) {
        let (x, y) = ((i % GRID) as i32, (i / GRID) as i32);
        let properties = [
            ("count", Value::Count(square.count)),
            ("area_m2", Value::Number(square.area_m2.round())),
        ];
        writer.add_point([x * width + width / 2, y * width + width / 2], &properties);
    }
}

fn write_point(writer: &mut TileWriter, hit: &CaseHit, tile: TileAddress) {
    let record = hit.record();
    let (x, y) = hit.square(tile, 12);
    let id = record.id.to_string();
    let at = shanghai_time(record.reported_at);
    let mut properties = vec![
        ("id", Value::Text(&id)),
        ("number", Value::Text(&record.number)),
        ("status", Value::Text(record.status.as_str())),
        ("nature", Value::Text(record.nature.as_str())),
        ("at", Value::Text(&at)),
        ("count", Value::Count(1)),
    ];
    if let Some(category) = record.category {
        properties.push(("category", Value::Text(category.as_str())));
    }
    if let Some(area) = record.area_m2 {
        properties.push(("area_m2", Value::Number(area)));
    }
    writer.add_point([x as i32, y as i32], &properties);
}

/// RFC 3339 in +08:00.
fn shanghai_time(unix_seconds: i64) -> String {
    let zone = FixedOffset::east_opt(8 * 3600);
    match (DateTime::from_timestamp(unix_seconds, 0), zone) {
        (Some(time), Some(zone)) => {
            time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::address;
    use crate::tiles::case_index::CaseIndex;
    use crate::tiles::case_index::tests::record;
    use crate::tiles::cases::{CaseStatus, Choice};
    use crate::tiles::testing::{Dice, decode};
    use geo::Coord;
    use std::collections::BTreeSet;

    fn city(count: u64) -> (CaseIndex, BTreeSet<(u64, u64)>) {
        let mut dice = Dice(7);
        let positions: Vec<(f64, f64)> =
            (0..count).map(|_| (118.4 + dice.roll() * 1.3, 24.9 + dice.roll() * 0.9)).collect();
        let keys = positions.iter().map(|p| (p.0.to_bits(), p.1.to_bits())).collect();
        (CaseIndex::new(positions.iter().zip(0..).map(|(p, n)| record(n, p.0, p.1))), keys)
    }

    fn tiles(z: u8, positions: &BTreeSet<(u64, u64)>) -> BTreeSet<TileAddress> {
        let at = |&(x, y): &(u64, u64)| Coord { x: f64::from_bits(x), y: f64::from_bits(y) };
        positions.iter().map(|p| TileAddress::at(z, address::project(at(p)))).collect()
    }

    #[test]
    fn counts_of_a_zoom_add_up_to_the_cases() {
        let (index, positions) = city(20_000);
        let snapshot = index.snapshot();
        let mut closed = Choice::ANY;
        closed.insert(CaseStatus::Closed.bit());
        let filters = [
            CaseFilter::default(),
            CaseFilter { status: closed, ..Default::default() },
            CaseFilter {
                area: Some("350305".into()),
                from: Some(1_710_000_000),
                until: Some(1_735_000_000),
                ..Default::default()
            },
            CaseFilter { scope: Some("350391".into()), ..Default::default() },
        ];
        for filter in filters {
            let mut expected = (0, 0.0);
            snapshot.visit(TileAddress::new(0, 0, 0).unwrap(), &filter, |hit| {
                expected = (expected.0 + 1, expected.1 + hit.area_m2());
            });
            assert!(expected.0 > 100);
            for z in [0, 5, 8, 10, 13] {
                for layer in [CaseLayer::Heat, CaseLayer::Cases] {
                    let mut sum = (0.0, 0.0);
                    for address in tiles(z, &positions) {
                        let bytes = tile(layer, &snapshot, address, &filter);
                        assert!(bytes.len() <= 500_000, "{layer:?} {address:?}: {}", bytes.len());
                        for feature in decode(bytes, layer.name()) {
                            sum.0 += feature.number("count").unwrap();
                            sum.1 += feature.number("area_m2").unwrap_or(0.0);
                        }
                    }
                    assert_eq!(sum.0, f64::from(expected.0), "{layer:?} z{z}");
                    assert!((sum.1 - expected.1).abs() <= 1e-3 * expected.1, "{layer:?} z{z}");
                }
            }
        }
    }

    #[test]
    fn a_point_tells_its_case() {
        let case = record(13, 119.0078, 25.454);
        let index = CaseIndex::new([case.clone()]);
        let world = address::project(Coord { x: 119.0078, y: 25.454 });
        let address = TileAddress::at(15, world);
        let found = decode(
            tile(CaseLayer::Cases, &index.snapshot(), address, &CaseFilter::default()),
            "cases",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("id"), Some(case.id.to_string().as_str()));
        assert_eq!(found[0].text("number"), Some(&*case.number));
        assert_eq!(found[0].text("at"), Some("2024-01-07T12:00:00+08:00"));
        let geo::Geometry::MultiPoint(points) = &found[0].geometry else {
            panic!("a point expected")
        };
        let [point] = points.0[..] else { panic!("one point expected") };
        let [x, y] = address::to_units(world, 15);
        let [west, north] = address.origin_units();
        assert!((f64::from(point.x()) - (x - west) as f64).abs() <= 1.0);
        assert!((f64::from(point.y()) - (y - north) as f64).abs() <= 1.0);
        let empty = TileAddress::new(15, 0, 0).unwrap();
        assert!(tile(CaseLayer::Heat, &index.snapshot(), empty, &CaseFilter::default()).is_empty());
    }
}
