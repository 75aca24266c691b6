//! Vector tiles of the demo city, read back with an independent library.

use geo::Coord;
use mvt_reader::Reader;
use mvt_reader::feature::Value;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use xuncha::atlas::feature::layers;
use xuncha::atlas::layer::Layer;
use xuncha::atlas::lookup::Atlas;
use xuncha::boundaries::demo;
use xuncha::tiles::address::{EXTENT, EXTENT_BITS, TileAddress, ground_m2_per_world_area, project};
use xuncha::tiles::boundary::PreparedLayer;
use xuncha::tiles::clip::{BUFFER, clip, doubled_area};
use xuncha::tiles::coverage::group_of;

static CITY: LazyLock<Atlas> = LazyLock::new(|| demo::atlas().expect("the demo city can be read"));

fn prepared(name: &str) -> PreparedLayer {
    PreparedLayer::new(CITY.layer(name).expect("a demo layer").clone())
}

fn tiles_over(layer: &Layer, z: u8) -> Vec<TileAddress> {
    let bounds = layer.bounds().expect("features");
    let (a, b) =
        (TileAddress::at(z, project(bounds.min())), TileAddress::at(z, project(bounds.max())));
    let columns = a.x()..=b.x();
    columns.flat_map(|x| (b.y()..=a.y()).filter_map(move |y| TileAddress::new(z, x, y))).collect()
}

/// Every 997th vertex: a sample that lies where the data is.
fn sample(layer: &Layer, z: u8) -> BTreeSet<TileAddress> {
    let rings = layer.features().iter().flat_map(|f| f.geometry.iter().map(|p| p.exterior()));
    rings
        .flat_map(|r| &r.0)
        .step_by(997)
        .map(|&c| TileAddress::at(z, project(c)))
        .take(150)
        .collect()
}

#[test]
fn no_tile_of_the_demo_city_is_longer_than_500_kb() {
    for layer in CITY.layers() {
        let prepared = PreparedLayer::new(layer.clone());
        let mut longest: BTreeMap<u8, (usize, TileAddress)> = BTreeMap::new();
        for z in 0..=18 {
            let tiles: Vec<TileAddress> =
                if z <= 14 { tiles_over(layer, z) } else { sample(layer, z).into_iter().collect() };
            let lengths: Vec<usize> =
                tiles.par_iter().map(|&tile| prepared.tile(tile).len()).collect();
            let most = lengths.into_iter().zip(tiles).max_by_key(|(length, _)| *length);
            longest.extend(most.map(|most| (z, most)));
        }
        let name = &layer.info().name;
        println!("{name}: single features from zoom {}", prepared.detail_zoom());
        for (z, (length, tile)) in longest {
            println!("  zoom {z}: longest tile {length} bytes at {}/{}", tile.x(), tile.y());
            assert!(length <= 500_000, "{name} {tile:?}: {length} bytes");
            // Below zoom 4 a small area takes less than a unit.
            assert!(length > 0 || z < 4, "{name} {tile:?}: nothing to see");
        }
    }
}

type Ring = Vec<[i32; 2]>;

/// Rings and category of each feature of a tile.
fn features(bytes: Vec<u8>) -> Vec<(Vec<Ring>, Option<String>)> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let features = Reader::new(bytes).expect("a tile").get_features(0).expect("features");
    let read = |f: mvt_reader::feature::Feature| {
        let geo::Geometry::MultiPolygon(polygons) = f.get_geometry().clone() else {
            panic!("polygons")
        };
        let rings =
            polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
        let rings = rings.map(|r| r.0.iter().map(|c| [c.x as i32, c.y as i32]).collect()).collect();
        let category = match f.properties.as_ref().and_then(|p| p.get("category")) {
            Some(Value::String(category)) => Some(category.clone()),
            _ => None,
        };
        (rings, category)
    };
    features.into_iter().map(read).collect()
}

/// The five categories are drawn with their true areas at every zoom, singly or in blocks.
#[test]
fn drawn_areas_of_the_demo_city_are_the_true_ones() {
    for name in [layers::PARCEL, layers::BASIC_FARMLAND] {
        let prepared = prepared(name);
        let layer = prepared.layer();
        let mut truth: BTreeMap<String, f64> = BTreeMap::new();
        for feature in layer.features() {
            let category = group_of(name, feature).expect("a category").as_str();
            *truth.entry(category.into()).or_default() += feature.area_m2;
        }
        let total: f64 = truth.values().sum();
        for z in 4..=13u8 {
            let drawn = tiles_over(layer, z)
                .into_par_iter()
                .map(|tile| drawn_m2(tile, prepared.tile(tile)))
                .reduce(BTreeMap::new, |mut sum, tile| {
                    tile.into_iter().for_each(|(k, v)| *sum.entry(k).or_default() += v);
                    sum
                });
            let block_m2 = ground(0.428) * 0.25f64.powi(i32::from(z) + 8);
            for (category, area) in &truth {
                let shown = drawn.get(category).copied().unwrap_or(0.0);
                println!("{name} zoom {z} {category}: {:+.2} %", (shown / area - 1.0) * 100.0);
                let few_blocks = if z < prepared.detail_zoom() { 3.0 * block_m2 } else { 0.0 };
                let allowed = 0.01 * area + 0.001 * total + few_blocks;
                assert!(
                    (shown - area).abs() <= allowed,
                    "{name} zoom {z} {category}: {shown} of {area} m²"
                );
            }
        }
    }
}

fn ground(world_y: f64) -> f64 {
    ground_m2_per_world_area(world_y)
}

fn drawn_m2(tile: TileAddress, bytes: Vec<u8>) -> BTreeMap<String, f64> {
    let mut drawn = BTreeMap::new();
    let unit = 0.5f64.powi(i32::from(tile.z()) + EXTENT_BITS as i32);
    let north = tile.world_bounds(0.0).min().y;
    for (rings, category) in features(bytes) {
        for ring in rings {
            let ring = clip(ring, 0, EXTENT);
            if let Some(first) = ring.first() {
                let y = ring.iter().map(|p| f64::from(p[1])).sum::<f64>() / ring.len() as f64;
                let m2 = doubled_area(&ring) as f64 / 2.0 * unit * unit * ground(north + y * unit);
                *drawn.entry(category.clone().unwrap_or_default()).or_default() += m2;
                debug_assert!(first[0] >= 0);
            }
        }
    }
    drawn
}

/// Wherever the city fills a tile, every partition layer fills it exactly: no cracks, no overlaps.
#[test]
fn layers_of_the_demo_city_fill_their_tiles() {
    let city = prepared(layers::CITY);
    let full = i64::from(EXTENT + 2 * BUFFER).pow(2) * 2;
    let area = |bytes: Vec<u8>| -> i64 {
        features(bytes).iter().flat_map(|(rings, _)| rings).map(|ring| doubled_area(ring)).sum()
    };
    for name in [layers::DISTRICT, layers::TOWN, layers::VILLAGE, layers::CELL, layers::PARCEL] {
        let prepared = prepared(name);
        let mut checked = 0;
        for z in prepared.detail_zoom().max(10)..=17 {
            let tiles: Vec<TileAddress> =
                sample(prepared.layer(), z).into_iter().take(60).collect();
            let filled: Vec<(TileAddress, i64)> = tiles
                .into_par_iter()
                .filter(|&tile| area(city.tile(tile)) == full)
                .map(|tile| (tile, area(prepared.tile(tile))))
                .collect();
            checked += filled.len();
            for (tile, sum) in filled {
                assert!(
                    (sum - full).abs() <= 4,
                    "{name} {tile:?}: {} units² off",
                    (sum - full) as f64 / 2.0
                );
            }
        }
        assert!(checked >= 20, "{name}: {checked}");
    }
}

#[test]
fn the_sea_is_empty() {
    let far = TileAddress::at(10, project(Coord { x: 125.0, y: 22.0 }));
    for layer in CITY.layers() {
        assert!(PreparedLayer::new(layer.clone()).tile(far).is_empty());
    }
}
