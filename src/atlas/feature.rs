//! One polygon of a boundary layer, with what the product needs to know of it.

use geo::MultiPolygon;

/// The built-in layers.
pub mod layers {
    pub const CITY: &str = "city";
    pub const DISTRICT: &str = "district";
    pub const TOWN: &str = "town";
    pub const VILLAGE: &str = "village";
    pub const FUNCTIONAL_AREA: &str = "functional_area";
    pub const CELL: &str = "cell";
    pub const PARCEL: &str = "parcel";
    pub const BASIC_FARMLAND: &str = "basic_farmland";
}

/// How a layer gives owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Every position has at most one owner; the lowest code where polygons overlap.
    Partition,
    /// Every polygon that holds the position counts.
    Overlay,
}

/// What a layer is called and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    pub name: String,
    pub kind: LayerKind,
    pub title_zh: String,
    pub title_en: String,
}

/// A boundary in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// The store's row.
    pub id: i64,
    pub code: String,
    pub name: Option<String>,
    /// Land-survey class (DLBM), for parcels and farmland.
    pub class_code: Option<String>,
    pub class_name: Option<String>,
    /// Code of the area one level up; for parcels the village (12 digits).
    pub parent_code: Option<String>,
    /// Geodesic area, m².
    pub area_m2: f64,
    /// The area the survey states, m².
    pub surveyed_area_m2: Option<f64>,
    /// Layer-specific attributes, e.g. `XZQDMS`, the towns of a functional area.
    pub attributes: serde_json::Value,
    /// EPSG:4490 degrees on the grid of [`crate::geometry::crs::snap`]; valid rings.
    pub geometry: MultiPolygon,
}
