//! The vector tiles of a boundary layer.

use super::address::{self, EXTENT, EXTENT_BITS, MAX_ZOOM, TileAddress};
use super::blocks;
use super::clip::{self, BUFFER, Unit, doubled_area};
use super::coverage::{Coverage, Shares, group_of, groups_of};
use super::dissolve;
use super::encode::{TileWriter, UnitPolygon, Value};
use super::topology::{VertexZooms, open_ring};
use crate::atlas::category::Category;
use crate::atlas::feature::{Feature, LayerInfo};
use crate::atlas::layer::Layer;
use geo::LineString;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// No tile is longer, in bytes before compression.
pub const MAX_TILE_BYTES: usize = 490_000;
/// Features are drawn one by one from the zoom on where no tile is expected to be longer.
const EXPECTED_TILE_BYTES: f64 = 300_000.0;
/// … and where those of each category are larger than this on average (square tile units): a pixel
/// of a 256-pixel tile. Below, simplified outlines would no longer have the right area.
const LEAST_MEAN_UNITS2: f64 = 256.0;

/// A layer made ready for drawing.
#[derive(Debug)]
pub struct PreparedLayer {
    layer: Arc<Layer>,
    zooms: VertexZooms,
    detail_zoom: u8,
    /// What is drawn at lower zooms.
    coarse: Option<Coarse>,
}

#[derive(Debug)]
enum Coarse {
    /// Cells melted into villages, and so on upwards.
    Parents(Box<PreparedLayer>),
    /// Blocks of one category each.
    Blocks(Coverage),
}

impl PreparedLayer {
    /// Prepares a layer; takes about a second per million vertices.
    pub fn new(layer: Arc<Layer>) -> Self {
        let zooms = VertexZooms::new(layer.features());
        let detail_zoom = detail_zoom(&layer, &zooms);
        let coarse = detail_zoom.checked_sub(1).map(|zoom| match melt_into_parents(&layer) {
            Some(parents) => Coarse::Parents(Box::new(Self::new(Arc::new(parents)))),
            None => Coarse::Blocks(Coverage::new(&layer, zoom)),
        });
        Self { layer, zooms, detail_zoom, coarse }
    }

    pub fn layer(&self) -> &Arc<Layer> {
        &self.layer
    }

    /// The zoom from which on features are drawn one by one.
    pub fn detail_zoom(&self) -> u8 {
        self.detail_zoom
    }

    /// A vector tile; empty where nothing is.
    pub fn tile(&self, tile: TileAddress) -> Vec<u8> {
        let name = &self.layer.info().name;
        if tile.z() >= self.detail_zoom {
            let bytes = self.draw_features(tile);
            if bytes.len() <= MAX_TILE_BYTES {
                return bytes;
            }
            let groups = groups_of(&self.layer);
            let shares = Shares::measure(&self.layer, &groups, tile);
            return blocks::draw(name, &groups, &shares, tile, MAX_TILE_BYTES);
        }
        match &self.coarse {
            None => Vec::new(),
            Some(Coarse::Parents(parents)) => parents.tile(tile),
            Some(Coarse::Blocks(coverage)) => {
                coverage.get(&self.layer, tile).map_or_else(Vec::new, |shares| {
                    blocks::draw(name, coverage.groups(), &shares, tile, MAX_TILE_BYTES)
                })
            }
        }
    }

    fn draw_features(&self, tile: TileAddress) -> Vec<u8> {
        let info = self.layer.info();
        let mut writer = TileWriter::new(&info.name);
        let margin = f64::from(BUFFER + 1) / f64::from(EXTENT);
        let mut found: Vec<u32> = self.layer.in_box(tile.bounds(margin)).collect();
        found.sort_unstable();
        for index in found {
            let feature = self.layer.feature(index);
            let polygons = self.units_of(feature, self.zooms.of(index as usize), tile);
            if !polygons.is_empty() {
                let id = u64::try_from(feature.id).ok().filter(|&id| id > 0);
                writer.add_polygons(id, polygons, &properties(info, feature));
            }
        }
        writer.finish()
    }

    /// A feature simplified, on the grid of the tile, clipped.
    fn units_of(&self, feature: &Feature, mut zooms: &[u8], tile: TileAddress) -> Vec<UnitPolygon> {
        let mut ring_of = |ring: &LineString| {
            let open = open_ring(ring);
            let (own, rest) = zooms.split_at(open.len());
            zooms = rest;
            let [west, north] = tile.origin_units();
            let mut units: Vec<Unit> = Vec::new();
            for (&position, _) in open.iter().zip(own).filter(|(_, zoom)| **zoom <= tile.z()) {
                let [x, y] = address::to_units(address::project(position), tile.z());
                // The world is 2^30 units wide at the deepest zoom.
                units.push([(x - west) as i32, (y - north) as i32]);
            }
            clip::dedup(&mut units);
            if units.len() < 3 { Vec::new() } else { clip::clip(units, -BUFFER, EXTENT + BUFFER) }
        };
        let mut polygons = Vec::new();
        for polygon in &feature.geometry {
            let rings: Vec<Vec<Unit>> = std::iter::once(polygon.exterior())
                .chain(polygon.interiors())
                .map(&mut ring_of)
                .collect();
            if doubled_area(&rings[0]) != 0 {
                polygons.push(rings);
            }
        }
        polygons
    }
}

/// What a client learns of a feature.
fn properties<'a>(info: &LayerInfo, feature: &'a Feature) -> Vec<(&'static str, Value<'a>)> {
    let mut properties = vec![("code", Value::Text(&feature.code))];
    if let Some(name) = &feature.name {
        properties.push(("name", Value::Text(name)));
    }
    if let Some(class) = &feature.class_code {
        properties.push(("class_code", Value::Text(class)));
    }
    if let Some(class) = &feature.class_name {
        properties.push(("class_name", Value::Text(class)));
    }
    if let Some(category) = group_of(&info.name, feature) {
        properties.push(("category", Value::Text(category.as_str())));
        properties.push(("area_m2", Value::Number((feature.area_m2 * 10.0).round() / 10.0)));
    }
    if feature.id == MELTED {
        properties.push(("aggregate", Value::Flag(true)));
    }
    properties
}

/// The id of a feature that is no row of the store.
const MELTED: i64 = -1;

/// The layer with the children of one parent melted into one feature; `None` where they have
/// categories, which do not melt, or no parents.
fn melt_into_parents(layer: &Layer) -> Option<Layer> {
    let name = &layer.info().name;
    let mut families: BTreeMap<&str, Vec<&Feature>> = BTreeMap::new();
    for feature in layer.features() {
        if group_of(name, feature).is_some() {
            return None;
        }
        families.entry(feature.parent_code.as_deref()?).or_default().push(feature);
    }
    if families.len() * 2 > layer.features().len() {
        return None;
    }
    let melted = families.into_iter().map(|(code, children)| Feature {
        id: MELTED,
        code: code.to_string(),
        name: None,
        class_code: None,
        class_name: None,
        parent_code: None,
        area_m2: children.iter().map(|child| child.area_m2).sum(),
        surveyed_area_m2: None,
        attributes: serde_json::Value::Null,
        geometry: dissolve::merge(children.iter().flat_map(|child| child.geometry.iter())),
    });
    Some(Layer::new(layer.info().clone(), layer.generation(), melted.collect()))
}

/// The lowest zoom at which every tile is expected to be short enough, and features to be large
/// enough to be seen.
fn detail_zoom(layer: &Layer, zooms: &VertexZooms) -> u8 {
    let features = layer.features();
    let Some(bounds) = layer.bounds() else { return 0 };
    let mut sizes: BTreeMap<Category, (f64, f64)> = BTreeMap::new();
    for feature in features {
        if let Some(category) = group_of(&layer.info().name, feature) {
            let (area_m2, count) = sizes.entry(category).or_default();
            *area_m2 += feature.area_m2;
            *count += 1.0;
        }
    }
    let world_m2 = address::ground_m2_per_world_area(address::project(bounds.center()).y);
    let least_mean =
        sizes.values().map(|(sum, count)| sum / count / world_m2).fold(f64::INFINITY, f64::min);
    let large_enough = |zoom: u8| {
        let unit = 0.5f64.powi(i32::from(zoom) + EXTENT_BITS as i32);
        least_mean >= LEAST_MEAN_UNITS2 * unit * unit
    };

    let outline: Vec<_> = (0..)
        .zip(features)
        .map(|(index, feature)| {
            let middle = address::project(layer.bounds_of(index).center());
            (middle, written_bytes(feature), zooms.of(index as usize))
        })
        .collect();
    let short_enough = |zoom: u8| {
        let mut bytes: HashMap<TileAddress, f64> = HashMap::new();
        outline.iter().all(|&(middle, fixed, zooms)| {
            let sum = bytes.entry(TileAddress::at(zoom, middle)).or_default();
            let vertices = zooms.iter().filter(|first| **first <= zoom).count();
            *sum += fixed + 2.5 * vertices as f64;
            *sum <= EXPECTED_TILE_BYTES
        })
    };
    let fits = |zoom: &u8| large_enough(*zoom) && short_enough(*zoom);
    (0..=MAX_ZOOM).rev().take_while(fits).last().unwrap_or(MAX_ZOOM)
}

/// About what a feature's properties and frame take in a tile, bytes. Classes are written once.
fn written_bytes(feature: &Feature) -> f64 {
    let name = feature.name.as_ref().map_or(0, |name| name.len() + 6);
    let area = if feature.class_code.is_some() { 14 } else { 0 };
    (30 + feature.code.len() + name + area) as f64
}

#[cfg(test)]
#[path = "boundary_tests.rs"]
mod tests;
