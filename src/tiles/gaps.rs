//! Cells with nobody to answer for them, as a tile layer.

use super::address::{self, EXTENT, TileAddress};
use super::clip::{self, BUFFER, Unit, doubled_area};
use super::encode::{TileWriter, Value};
use super::topology::{open_ring, rings_of};
use crate::enforcement::gaps::Gaps;
use crate::enforcement::permissions::Scope;
use geo::LineString;
use std::collections::HashMap;

/// The layer's name in addresses and tiles.
pub const LAYER: &str = "gaps";

/// Draws the gaps inside a scope: polygons of cells with `code`, `name`, `land_use` and
/// `construction`, each `nothing`, `fallback` or `nobody`.
pub fn tile(gaps: &Gaps, scope: &Scope, tile: TileAddress) -> Vec<u8> {
    let Some(cells) = &gaps.cells else { return Vec::new() };
    let margin = f64::from(BUFFER + 1) / f64::from(EXTENT);
    let by_cell: HashMap<u32, _> = gaps.within(scope).map(|gap| (gap.cell, gap)).collect();
    let mut found: Vec<u32> =
        cells.in_box(tile.bounds(margin)).filter(|cell| by_cell.contains_key(cell)).collect();
    found.sort_unstable();
    let mut writer = TileWriter::new(LAYER);
    for cell in found {
        let Some(gap) = by_cell.get(&cell) else { continue };
        let feature = cells.feature(cell);
        let mut polygons = Vec::new();
        let mut rings = rings_of(feature);
        for polygon in &feature.geometry {
            let own: Vec<Vec<Unit>> = (&mut rings)
                .take(1 + polygon.interiors().len())
                .map(|ring| units_of(ring, tile))
                .collect();
            if own.first().is_some_and(|exterior| doubled_area(exterior) != 0) {
                polygons.push(own);
            }
        }
        let mut properties = vec![
            ("code", Value::Text(&feature.code)),
            ("land_use", Value::Text(gap.land_use.as_str())),
            ("construction", Value::Text(gap.construction.as_str())),
        ];
        properties.extend(feature.name.as_deref().map(|name| ("name", Value::Text(name))));
        writer.add_polygons(u64::try_from(feature.id).ok(), polygons, &properties);
    }
    writer.finish()
}

fn units_of(ring: &LineString, tile: TileAddress) -> Vec<Unit> {
    let [west, north] = tile.origin_units();
    let mut units: Vec<Unit> = open_ring(ring)
        .iter()
        .map(|&position| {
            let [x, y] = address::to_units(address::project(position), tile.z());
            // The world is 2^30 units wide at the deepest zoom.
            [(x - west) as i32, (y - north) as i32]
        })
        .collect();
    clip::dedup(&mut units);
    if units.len() < 3 { Vec::new() } else { clip::clip(units, -BUFFER, EXTENT + BUFFER) }
}
