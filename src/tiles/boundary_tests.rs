use super::*;
use crate::tiles::testing::{Decoded, decode, feature, layer, tiling};
use geo::{Coord, MultiPolygon};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Edge = (Unit, Unit);

/// All directed edges; those along an axis in steps of one unit, because an encoder may leave out
/// vertices on a straight line.
fn edges(features: &[Decoded]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for ring in features.iter().flat_map(Decoded::rings) {
        for edge in ring.windows(2) {
            let ([ax, ay], [bx, by]) = (edge[0], edge[1]);
            if ax == bx || ay == by {
                let (dx, dy) = ((bx - ax).signum(), (by - ay).signum());
                let steps = (bx - ax).abs().max((by - ay).abs());
                let at = |s: i32| [ax + dx * s, ay + dy * s];
                edges.extend((0..steps).map(|s| (at(s), at(s + 1))));
            } else {
                edges.push((edge[0], edge[1]));
            }
        }
    }
    edges
}

/// Edges without their reverse.
fn unmatched(edges: &[Edge]) -> Vec<Edge> {
    let mut balance: BTreeMap<Edge, i32> = BTreeMap::new();
    for &(a, b) in edges {
        *balance.entry((a.min(b), a.max(b))).or_default() += if a < b { 1 } else { -1 };
    }
    balance.into_iter().filter(|(_, n)| *n != 0).map(|(edge, _)| edge).collect()
}

fn on_rim((a, b): &Edge) -> bool {
    let rim = |v: i32| v == -BUFFER || v == EXTENT + BUFFER;
    (0..2).any(|axis| a[axis] == b[axis] && rim(a[axis]))
}

/// Tiles of a zoom that lie wholly within the tiling's even part.
fn inner_tiles(z: u8, side: usize, step: f64) -> Vec<TileAddress> {
    let width = side as f64 * step;
    let at = |x: f64, y: f64| {
        let degrees = Coord {
            x: 119.0 + step + x * (width - 2.0 * step),
            y: 25.4 + step + y * (width - 2.0 * step),
        };
        TileAddress::at(z, address::project(degrees))
    };
    let (north_west, south_east) = (at(0.0, 1.0), at(1.0, 0.0));
    let mut tiles = Vec::new();
    for x in north_west.x() + 1..south_east.x() {
        tiles
            .extend((north_west.y() + 1..south_east.y()).filter_map(|y| TileAddress::new(z, x, y)));
    }
    tiles.truncate(6);
    tiles
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shared_borders_meet_in_every_tile(seed in 0..1000u64, bends in 0..12usize) {
        let (side, step) = (24, 0.01);
        let prepared = PreparedLayer::new(layer("parcel", tiling(seed, side, step, bends)));
        for z in 11..=16 {
            for tile in inner_tiles(z, side, step) {
                let features = decode(prepared.draw_features(tile), "parcel");
                let open: Vec<Edge> = unmatched(&edges(&features)).into_iter().filter(|e| !on_rim(e)).collect();
                prop_assert!(open.is_empty(), "{tile:?}: {} cracks, first {:?}", open.len(), open[0]);
                // No cracks and no overlaps: the areas add up to the tile with its buffer.
                let full = f64::from(EXTENT + 2 * BUFFER).powi(2);
                let sum: f64 = features.iter().map(Decoded::area).sum();
                prop_assert!((sum - full).abs() < 1.0, "{tile:?}: {sum} of {full}");
            }
        }
    }

    #[test]
    fn neighbouring_tiles_agree_where_they_overlap(seed in 0..1000u64, z in 11..=15u8) {
        let (side, step) = (24, 0.01);
        let prepared = PreparedLayer::new(layer("parcel", tiling(seed, side, step, 6)));
        for west in inner_tiles(z, side, step) {
            let Some(east) = TileAddress::new(z, west.x() + 1, west.y()) else { continue };
            let within = |tile: TileAddress, shift: i32| {
                let inside = |p: &Unit| (p[0] - EXTENT).abs() < BUFFER && (0..EXTENT).contains(&p[1]);
                let mut edges: Vec<Edge> = edges(&decode(prepared.draw_features(tile), "parcel"))
                    .into_iter()
                    .map(|(a, b)| ([a[0] + shift, a[1]], [b[0] + shift, b[1]]))
                    // Level and upright pieces may come from an edge cut at the rim.
                    .filter(|(a, b)| inside(a) && inside(b) && a[0] != b[0] && a[1] != b[1])
                    .collect();
                edges.sort();
                edges
            };
            prop_assert_eq!(within(west, 0), within(east, EXTENT));
        }
    }

    #[test]
    fn drawn_areas_are_the_true_ones(seed in 0..1000u64) {
        let features = tiling(seed, 40, 0.004, 4);
        let prepared = PreparedLayer::new(layer("parcel", features));
        // From one tile that holds all, drawn in blocks, to single features.
        for z in [6, 8, 9, 10] {
            let mut drawn: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            let mut whole = 0.0;
            for feature in prepared.layer().features() {
                let category = group_of("parcel", feature).unwrap().as_str();
                drawn.entry(category.into()).or_default().0 += feature.area_m2;
                whole += feature.area_m2;
            }
            let middle = address::project(Coord { x: 119.08, y: 25.48 });
            let tile = TileAddress::at(z, middle);
            let unit_m2 = address::ground_m2_per_world_area(middle.y)
                * 0.25f64.powi(i32::from(z) + EXTENT_BITS as i32);
            let holds_all = prepared.layer().bounds().is_some_and(|b| {
                let t = tile.bounds(0.0);
                t.min().x < b.min().x && t.min().y < b.min().y && t.max().x > b.max().x && t.max().y > b.max().y
            });
            if !holds_all {
                continue;
            }
            let features = decode(prepared.tile(tile), "parcel");
            for feature in &features {
                drawn.get_mut(feature.text("category").unwrap()).unwrap().1 += feature.area() * unit_m2;
            }
            let block_m2 = 256.0 * unit_m2;
            for (category, (truth, shown)) in drawn {
                // One in a hundred, and what a few blocks take.
                prop_assert!(
                    (truth - shown).abs() < 0.01 * whole + 3.0 * block_m2,
                    "z{z} {category}: {shown} of {truth} m²"
                );
            }
        }
    }

    #[test]
    fn any_outline_is_drawn_without_harm(
        rings in prop::collection::vec(prop::collection::vec((-180.0..180.0f64, -90.0..90.0f64), 0..8), 0..6),
        z in 0..=18u8,
    ) {
        let polygons = rings
            .into_iter()
            .map(|r| geo::Polygon::new(r.into_iter().map(|(x, y)| Coord { x, y }).collect(), vec![]));
        let shape = MultiPolygon(polygons.collect());
        let all = layer("parcel", vec![feature(1, shape)]);
        let prepared = PreparedLayer::new(all);
        for position in [Coord { x: 0.0, y: 0.0 }, Coord { x: 180.0, y: -90.0 }, Coord { x: -180.0, y: 90.0 }] {
            decode(prepared.tile(TileAddress::at(z, address::project(position))), "parcel");
        }
    }
}

#[test]
fn tells_a_feature_s_properties() {
    let prepared = PreparedLayer::new(layer("parcel", tiling(4, 3, 0.01, 2)));
    let middle = TileAddress::at(12, address::project(Coord { x: 119.015, y: 25.415 }));
    let features = decode(prepared.tile(middle), "parcel");
    let first = &features[0];
    assert_eq!(first.id, Some(1));
    assert_eq!(first.text("code"), Some("350302000000000"));
    assert_eq!((first.text("class_code"), first.text("class_name")), (Some("0101"), Some("水田")));
    assert_eq!(first.text("category"), Some("farmland"));
    assert!((first.number("area_m2").unwrap() - prepared.layer().feature(0).area_m2).abs() <= 0.05);
    let sea = TileAddress::at(12, address::project(Coord { x: 125.0, y: 25.4 }));
    assert!(prepared.tile(sea).is_empty());
}

#[test]
fn cells_melt_into_their_villages() {
    let mut cells = tiling(4, 90, 0.002, 3);
    for cell in &mut cells {
        cell.class_code = None;
        cell.class_name = None;
        cell.name = Some("第一网格".into());
    }
    let prepared = PreparedLayer::new(layer("cell", cells));
    assert!(prepared.detail_zoom() > 6, "{}", prepared.detail_zoom());
    let tile = TileAddress::at(
        prepared.detail_zoom() - 1,
        address::project(Coord { x: 119.06, y: 25.46 }),
    );
    let features = decode(prepared.tile(tile), "cell");
    assert!(!features.is_empty() && features.len() <= 90 * 90 / 12 + 1);
    assert_eq!(features[0].text("code").map(str::len), Some(12));
    let open = unmatched(&edges(&features)).into_iter().filter(|edge| !on_rim(edge)).count();
    assert!(open < 90 * 4 * 4, "only the outer border has no twin: {open}");
}

#[test]
fn a_tile_is_never_too_long() {
    // 14,400 features in one tile at a zoom where they are drawn one by one.
    let prepared = PreparedLayer::new(layer("parcel", tiling(4, 120, 0.0005, 4)));
    let middle = Coord { x: 119.03, y: 25.43 };
    for z in 0..=18 {
        let bytes = prepared.tile(TileAddress::at(z, address::project(middle)));
        assert!(!bytes.is_empty() && bytes.len() <= MAX_TILE_BYTES, "z{z}: {}", bytes.len());
    }
}
