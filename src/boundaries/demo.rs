//! The boundaries of the demo city, in the order in which they are imported: parents first.

use super::{Draft, ReadOptions};
use crate::atlas::feature::{LayerInfo, LayerKind, layers};
use crate::atlas::lookup::Atlas;
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// One import of the demo city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoImport {
    /// File in `boundaries/`.
    pub file: &'static str,
    /// Layer in the file.
    pub source_layer: &'static str,
    /// Layer it becomes.
    pub layer: &'static str,
    /// Polygons in it.
    pub polygons: u32,
}

const fn import(
    file: &'static str,
    source_layer: &'static str,
    layer: &'static str,
    polygons: u32,
) -> DemoImport {
    DemoImport { file, source_layer, layer, polygons }
}

/// The eight built-in layers.
pub const DEMO_IMPORTS: [DemoImport; 8] = [
    import("admin.zip", "XZQ_city", layers::CITY, 1),
    import("admin.zip", "XZQ_district", layers::DISTRICT, 5),
    import("admin.zip", "XZQ_town", layers::TOWN, 54),
    import("admin.zip", "CJDCQ", layers::VILLAGE, 976),
    import("functional-areas.zip", "GNQ", layers::FUNCTIONAL_AREA, 2),
    import("grid.zip", "WG", layers::CELL, 5_010),
    import("DLTB.zip", "DLTB", layers::PARCEL, 24_015),
    import("YJJBNTTB.zip", "YJJBNTTB", layers::BASIC_FARMLAND, 2_600),
];

/// Reads the demo city into memory, without a store: for tests and benchmarks.
pub fn atlas() -> Result<Atlas> {
    let mut atlas = Atlas::default();
    for (generation, import) in (1..).zip(DEMO_IMPORTS) {
        let layer = read(import, &atlas)?.to_layer(generation);
        atlas = atlas.with_layers(generation, [Arc::new(layer)]);
    }
    Ok(atlas)
}

/// Reads one import of the demo city.
pub fn read(import: DemoImport, atlas: &Atlas) -> Result<Draft> {
    let options =
        ReadOptions { source_layer: Some(import.source_layer.into()), ..ReadOptions::default() };
    super::read(&folder().join(import.file), &info(import.layer), &options, atlas, &|_| ())
}

/// `boundaries/` of the source tree.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/boundaries"))
}

/// A built-in layer as the store describes it.
pub fn info(name: &str) -> LayerInfo {
    let overlay = matches!(name, layers::FUNCTIONAL_AREA | layers::BASIC_FARMLAND);
    LayerInfo {
        name: name.to_string(),
        kind: if overlay { LayerKind::Overlay } else { LayerKind::Partition },
        title_zh: name.to_string(),
        title_en: name.to_string(),
    }
}
