//! What the tests of this module share: invented tilings, and tiles read back by another library.

use super::dissolve;
use crate::atlas::feature::{Feature, LayerInfo, LayerKind};
use crate::atlas::layer::Layer;
use crate::geometry::crs::snap;
use crate::geometry::geodesic;
use geo::{Coord, LineString, MultiPolygon, Polygon};
use mvt_reader::Reader;
use mvt_reader::feature::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A small generator of numbers from 0 to 1, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> f64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) as f64 / u64::MAX as f64
    }
}

/// A tiling of `side` × `side` quadrilaterals, `step` degrees wide, with `bends` vertices on each
/// shared border, some of them melted together. South-west corner 119° E, 25.4° N.
pub fn tiling(seed: u64, side: usize, step: f64, bends: usize) -> Vec<Feature> {
    let mut dice = Dice(seed);
    let mut jitter = |scale: f64| (dice.roll() - 0.5) * scale * step;
    let corners: Vec<Vec<Coord>> = (0..=side)
        .map(|j| {
            let at = |i: usize, d: (f64, f64)| Coord {
                x: 119.0 + i as f64 * step + d.0,
                y: 25.4 + j as f64 * step + d.1,
            };
            (0..=side).map(|i| snap(at(i, (jitter(0.5), jitter(0.5))))).collect()
        })
        .collect();
    let mut borders: HashMap<[(usize, usize); 2], Vec<Coord>> = HashMap::new();
    let mut border = |a: (usize, usize), b: (usize, usize)| {
        let key = if a < b { [a, b] } else { [b, a] };
        let line = borders.entry(key).or_insert_with(|| {
            let [(ai, aj), (bi, bj)] = key;
            let (from, to) = (corners[aj][ai], corners[bj][bi]);
            let bend = |k: usize| {
                let share = k as f64 / (bends + 1) as f64;
                let at = from + (to - from) * share;
                let shift = if k == 0 { 0.0 } else { 0.3 / (bends + 1) as f64 };
                snap(Coord { x: at.x + jitter(shift), y: at.y + jitter(shift) })
            };
            (0..=bends).map(bend).chain([to]).collect()
        });
        let mut line = line.clone();
        if a > b {
            line.reverse();
        }
        line.pop();
        line
    };
    let mut faces: HashMap<usize, Vec<Polygon>> = HashMap::new();
    for j in 0..side {
        for i in 0..side {
            let around = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1), (i, j)];
            let ring: Vec<Coord> = around.windows(2).flat_map(|e| border(e[0], e[1])).collect();
            // Melting with any other face makes multipolygons, holes and islands.
            let face = j * side + i;
            let group = match seed % 4 {
                0 => face,
                1 => face - face % 2,
                2 => (face * 7) % (side * side / 2 + 1),
                _ => usize::from(i % 3 == 1 && j % 3 == 1) * face,
            };
            faces.entry(group).or_default().push(Polygon::new(LineString(ring), Vec::new()));
        }
    }
    let mut features: Vec<Feature> =
        faces.into_iter().map(|(n, polygons)| feature(n, dissolve::merge(&polygons))).collect();
    features.sort_by(|a, b| a.code.cmp(&b.code));
    features
}

/// A feature that looks like a parcel.
pub fn feature(n: usize, geometry: MultiPolygon) -> Feature {
    let (class, name) =
        [("0101", "水田"), ("0301", "乔木林地"), ("0702", "农村宅基地"), ("0602", "采矿用地")]
            [[0, 1, 1, 0, 1, 2, 1, 3][n % 8]];
    Feature {
        id: n as i64 + 1,
        code: format!("350302{n:09}"),
        name: None,
        class_code: Some(class.into()),
        class_name: Some(name.into()),
        parent_code: Some(format!("350302{:06}", n / 12)),
        area_m2: geodesic::area_m2(&geometry),
        surveyed_area_m2: None,
        attributes: serde_json::Value::Null,
        geometry,
    }
}

/// A layer of these features.
pub fn layer(name: &str, features: Vec<Feature>) -> Arc<Layer> {
    let info = LayerInfo {
        name: name.into(),
        kind: LayerKind::Partition,
        title_zh: name.into(),
        title_en: name.into(),
    };
    Arc::new(Layer::new(info, 1, features))
}

/// A feature read back: its polygons in tile units, and its properties.
pub struct Decoded {
    pub id: Option<u64>,
    pub geometry: geo::Geometry<f32>,
    pub properties: HashMap<String, Value>,
}

impl Decoded {
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.properties.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        match self.properties.get(key)? {
            Value::Double(number) => Some(*number),
            Value::UInt(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// Rings as closed lists of units.
    pub fn rings(&self) -> Vec<Vec<[i32; 2]>> {
        let geo::Geometry::MultiPolygon(polygons) = &self.geometry else {
            panic!("polygons expected")
        };
        let rings =
            polygons.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
        rings.map(|ring| ring.0.iter().map(|c| [c.x as i32, c.y as i32]).collect()).collect()
    }

    /// Signed area in square units.
    pub fn area(&self) -> f64 {
        self.rings().iter().map(|ring| super::clip::doubled_area(ring) as f64 / 2.0).sum()
    }
}

/// Reads a tile with an independent library.
pub fn decode(bytes: Vec<u8>, layer_name: &str) -> Vec<Decoded> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let reader = Reader::new(bytes).expect("a vector tile");
    let layers = reader.get_layer_metadata().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!(
        (layers[0].name.as_str(), layers[0].extent, layers[0].version),
        (layer_name, 4096, 2)
    );
    let features = reader.get_features(0).expect("features");
    features
        .into_iter()
        .map(|f| Decoded {
            id: f.id,
            geometry: f.geometry,
            properties: f.properties.unwrap_or_default(),
        })
        .collect()
}
