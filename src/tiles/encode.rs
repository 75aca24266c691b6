//! One vector tile (MVT 2.1, one layer, extent 4096), written by the `mvt` crate.

use super::address::EXTENT;
use super::clip::{Unit, dedup, doubled_area};
use mvt::{GeomEncoder, GeomType};

/// The value of a property.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    Number(f64),
    Count(u64),
    Flag(bool),
}

/// A polygon on the grid of tile units: its exterior, then its holes, all open.
pub type UnitPolygon = Vec<Vec<Unit>>;

/// Writes the one layer of a tile.
pub struct TileWriter {
    layer: mvt::Layer,
}

impl TileWriter {
    pub fn new(layer_name: &str) -> Self {
        Self { layer: mvt::Tile::new(EXTENT as u32).create_layer(layer_name) }
    }

    /// Adds polygons as one feature; rings without area are left out, and the feature with them
    /// when nothing remains. Returns whether it was added.
    pub fn add_polygons(
        &mut self,
        id: Option<u64>,
        polygons: Vec<UnitPolygon>,
        properties: &[(&str, Value)],
    ) -> bool {
        let mut geometry = GeomEncoder::<i32>::new(GeomType::Polygon);
        let mut end = None;
        for polygon in polygons {
            for (i, ring) in polygon.into_iter().enumerate() {
                let Some(ring) = ready(ring, i == 0, end) else {
                    if i == 0 {
                        break;
                    }
                    continue;
                };
                end = ring.last().copied();
                for [x, y] in ring {
                    // Only values that are no integer are refused, and these are.
                    let _ = geometry.add_point(x, y);
                }
                let _ = geometry.complete_geom();
            }
        }
        end.is_some() && self.add(id, geometry, properties)
    }

    /// Adds a point.
    pub fn add_point(&mut self, at: Unit, properties: &[(&str, Value)]) -> bool {
        let mut geometry = GeomEncoder::<i32>::new(GeomType::Point);
        let _ = geometry.add_point(at[0], at[1]);
        self.add(None, geometry, properties)
    }

    fn add(
        &mut self,
        id: Option<u64>,
        geometry: GeomEncoder<i32>,
        properties: &[(&str, Value)],
    ) -> bool {
        let Ok(geometry) = geometry.encode() else { return false };
        let mut feature = std::mem::take(&mut self.layer).into_feature(geometry);
        if let Some(id) = id {
            feature.set_id(id);
        }
        for (key, value) in properties {
            match *value {
                Value::Text(text) => feature.add_tag_string(key, text),
                Value::Number(number) => feature.add_tag_double(key, number),
                Value::Count(count) => feature.add_tag_uint(key, count),
                Value::Flag(flag) => feature.add_tag_bool(key, flag),
            }
        }
        self.layer = feature.into_layer();
        true
    }

    /// The bytes of the tile; none when it holds nothing.
    pub fn finish(self) -> Vec<u8> {
        if self.layer.num_features() == 0 {
            return Vec::new();
        }
        let mut tile = mvt::Tile::new(EXTENT as u32);
        // Neither another name nor another extent can get in the way.
        let _ = tile.add_layer(self.layer);
        tile.to_bytes().unwrap_or_default()
    }
}

/// A ring as the format wants it: exteriors clockwise on the screen, holes the other way.
fn ready(mut ring: Vec<Unit>, is_exterior: bool, end_of_last: Option<Unit>) -> Option<Vec<Unit>> {
    dedup(&mut ring);
    let area = doubled_area(&ring);
    if area == 0 {
        return None;
    }
    if (area > 0) != is_exterior {
        ring.reverse();
    }
    // The encoder takes a ring that starts where the last one ended for its continuation.
    if ring.first().copied() == end_of_last {
        ring.rotate_left(1);
    }
    Some(ring)
}
