//! Vector tiles of polygons that are worked out and not published: hotspots.

use super::address::{self, EXTENT, TileAddress};
use super::clip::{self, BUFFER, Unit, doubled_area};
use super::encode::{TileWriter, Value};
use super::topology::open_ring;
use geo::{LineString, MultiPolygon};

/// One polygon feature with its properties.
pub struct Outline<'a> {
    pub geometry: MultiPolygon,
    pub properties: Vec<(&'static str, Value<'a>)>,
}

/// The tile of some outlines, in their order.
pub fn tile<'a>(
    layer: &str,
    tile: TileAddress,
    outlines: impl IntoIterator<Item = Outline<'a>>,
) -> Vec<u8> {
    let mut writer = TileWriter::new(layer);
    for outline in outlines {
        let rings = |polygon: &geo::Polygon| {
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            rings.map(|ring| units_of(ring, tile)).collect::<Vec<_>>()
        };
        let polygons = outline.geometry.iter().map(rings);
        let visible = polygons.filter(|rings| rings.first().is_some_and(|r| doubled_area(r) != 0));
        writer.add_polygons(None, visible.collect(), &outline.properties);
    }
    writer.finish()
}

fn units_of(ring: &LineString, tile: TileAddress) -> Vec<Unit> {
    let [west, north] = tile.origin_units();
    let units = open_ring(ring).iter().map(|&position| {
        let [x, y] = address::to_units(address::project(position), tile.z());
        [(x - west) as i32, (y - north) as i32]
    });
    let mut units: Vec<Unit> = units.collect();
    clip::dedup(&mut units);
    if units.len() < 3 { Vec::new() } else { clip::clip(units, -BUFFER, EXTENT + BUFFER) }
}
