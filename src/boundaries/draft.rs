//! A layer that has been read but is not in force.

use super::read::AreaTest;
use super::report::Report;
use crate::atlas::feature::{Feature, LayerInfo};
use crate::atlas::layer::Layer;
use crate::atlas::lookup::Atlas;
use crate::error::Result;
use geo::{Coord, LineString, MultiPolygon};
use sha2::{Digest, Sha256};

/// A feature of a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftFeature {
    /// 1-based in the source.
    pub record: u32,
    pub code: String,
    pub name: Option<String>,
    pub class_code: Option<String>,
    pub class_name: Option<String>,
    pub parent_code: Option<String>,
    /// Geodesic, m².
    pub area_m2: f64,
    /// As the survey states it, m².
    pub surveyed_area_m2: Option<f64>,
    pub attributes: serde_json::Value,
    /// Over everything that matters; equal means unchanged.
    pub content_hash: i64,
    /// EPSG:4490 degrees on the grid of [`crate::geometry::crs::snap`]; valid rings.
    pub geometry: MultiPolygon,
}

/// What was read, with its report.
#[derive(Debug, Clone)]
pub struct Draft {
    pub layer: LayerInfo,
    /// Only the features within this area are replaced.
    pub area: Option<String>,
    pub report: Report,
    pub features: Vec<DraftFeature>,
}

impl Draft {
    /// The draft as a layer in force: for a dry run, and for tests that need no store. Features
    /// get their record as id.
    pub fn to_layer(&self, generation: u64) -> Layer {
        let features = self.features.iter().map(DraftFeature::to_feature).collect();
        Layer::new(self.layer.clone(), generation, features)
    }

    /// The layer as a publish would leave it: a draft of one area keeps what lies elsewhere.
    pub fn layer_after(&self, atlas: &Atlas, generation: u64) -> Result<Layer> {
        let (Some(code), Some(old)) = (&self.area, atlas.layer(&self.layer.name)) else {
            return Ok(self.to_layer(generation));
        };
        let within = AreaTest::new(code, atlas)?;
        let elsewhere = old.features().iter().filter(|f| !within.holds(&f.geometry)).cloned();
        let features = elsewhere.chain(self.features.iter().map(DraftFeature::to_feature));
        Ok(Layer::new(self.layer.clone(), generation, features.collect()))
    }
}

impl DraftFeature {
    fn to_feature(&self) -> Feature {
        Feature {
            id: i64::from(self.record),
            code: self.code.clone(),
            name: self.name.clone(),
            class_code: self.class_code.clone(),
            class_name: self.class_name.clone(),
            parent_code: self.parent_code.clone(),
            area_m2: self.area_m2,
            surveyed_area_m2: self.surveyed_area_m2,
            attributes: self.attributes.clone(),
            geometry: self.geometry.clone(),
        }
    }

    /// Sets [`Self::content_hash`] from all the rest but the record.
    pub fn seal(&mut self) {
        let geometry = geometry_digest(&self.geometry);
        self.content_hash = content_hash(ContentOf {
            code: &self.code,
            name: self.name.as_deref(),
            class_code: self.class_code.as_deref(),
            class_name: self.class_name.as_deref(),
            parent_code: self.parent_code.as_deref(),
            surveyed_area_m2: self.surveyed_area_m2,
            attributes: &self.attributes,
            geometry: &geometry,
        });
    }
}

struct ContentOf<'a> {
    code: &'a str,
    name: Option<&'a str>,
    class_code: Option<&'a str>,
    class_name: Option<&'a str>,
    parent_code: Option<&'a str>,
    surveyed_area_m2: Option<f64>,
    attributes: &'a serde_json::Value,
    geometry: &'a [u8; 32],
}

/// The hash of `features.content_hash` for a feature in force, as for a draft.
pub fn content_hash_of(feature: &Feature) -> i64 {
    content_hash(ContentOf {
        code: &feature.code,
        name: feature.name.as_deref(),
        class_code: feature.class_code.as_deref(),
        class_name: feature.class_name.as_deref(),
        parent_code: feature.parent_code.as_deref(),
        surveyed_area_m2: feature.surveyed_area_m2,
        attributes: &feature.attributes,
        geometry: &geometry_digest(&feature.geometry),
    })
}

fn content_hash(content: ContentOf) -> i64 {
    let mut hash = Sha256::new();
    hash.update(content.geometry);
    let texts = [
        Some(content.code),
        content.name,
        content.class_code,
        content.class_name,
        content.parent_code,
    ];
    for text in texts {
        // The length first, so that no two lists of texts look alike.
        hash.update(text.map_or(u64::MAX, |t| t.len() as u64).to_le_bytes());
        hash.update(text.unwrap_or_default());
    }
    hash.update(content.surveyed_area_m2.unwrap_or(f64::NAN).to_bits().to_le_bytes());
    hash.update(content.attributes.to_string());
    first_8(&hash.finalize().into())
}

/// sha256 over the rings, each turned to begin at its lowest vertex: the same polygon has the same
/// digest wherever its rings begin.
pub fn geometry_digest(polygons: &MultiPolygon) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut bytes = Vec::new();
    for polygon in polygons {
        for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
            bytes.clear();
            bytes.extend_from_slice(&(ring.0.len() as u64).to_le_bytes());
            for c in from_lowest(ring) {
                bytes.extend_from_slice(&(c.x + 0.0).to_bits().to_le_bytes());
                bytes.extend_from_slice(&(c.y + 0.0).to_bits().to_le_bytes());
            }
            hash.update(&bytes);
        }
        hash.update([0xff]);
    }
    hash.finalize().into()
}

fn from_lowest(ring: &LineString) -> impl Iterator<Item = &Coord> {
    let open = &ring.0[..ring.0.len().saturating_sub(1)];
    let lowest = (0..open.len())
        .min_by(|&a, &b| open[a].x.total_cmp(&open[b].x).then(open[a].y.total_cmp(&open[b].y)));
    let (head, tail) = open.split_at(lowest.unwrap_or(0));
    tail.iter().chain(head)
}

/// The first 8 bytes of a digest.
pub fn first_8(digest: &[u8; 32]) -> i64 {
    let mut bytes = [0u8; 8];
    bytes.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(bytes)
}
