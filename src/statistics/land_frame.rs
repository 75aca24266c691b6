//! Frames of land areas: one row per area and land class, the measures in columns.

use crate::atlas::category::Category;
use crate::atlas::overlay::LandOverlay;
use crate::error::{Fault, Result};
use geo::MultiPolygon;
use polars::prelude::*;
use rayon::prelude::*;
use std::borrow::Cow;

/// Position of the area in the list the frame was made of.
pub const UNIT: &str = "unit";
/// Land class code; empty where no parcel lies.
pub const CLASS: &str = "class";
pub const CLASS_NAME: &str = "class_name";
/// Area of cultivated parcels (01…), basic farmland or not, m².
pub const CULTIVATED: &str = "cultivated";
/// What the survey states for them, m².
pub const SURVEYED: &str = "surveyed";
/// Area of cultivated parcels of which the survey states nothing, m².
pub const UNSURVEYED: &str = "unsurveyed";

/// The columns that add up.
pub fn measures() -> impl Iterator<Item = &'static str> {
    Category::ALL.map(Category::as_str).into_iter().chain([CULTIVATED, SURVEYED, UNSURVEYED])
}

/// Overlays areas, in parallel, and sums by area and class. Sorted by area, then class.
pub fn build(overlay: &LandOverlay, areas: &[(u32, Cow<MultiPolygon>)]) -> Result<DataFrame> {
    let covers = areas
        .par_iter()
        .map(|(unit, polygon)| Ok((*unit, overlay.cover(polygon)?)))
        .collect::<Result<Vec<_>>>()?;
    let height = covers.iter().map(|(_, cover)| cover.shares.len()).sum();
    let mut units = Vec::with_capacity(height);
    let mut classes = Vec::with_capacity(height);
    let mut class_names = Vec::with_capacity(height);
    let mut columns: [Vec<f64>; 8] = std::array::from_fn(|_| Vec::with_capacity(height));
    for (unit, share) in covers.iter().flat_map(|(unit, c)| c.shares.iter().map(move |s| (unit, s)))
    {
        let parcel = overlay.parcel(share);
        let class = parcel.and_then(|p| p.class_code.as_deref()).map_or("", str::trim);
        units.push(*unit);
        classes.push(class);
        class_names.push(parcel.and_then(|p| p.class_name.as_deref()).unwrap_or(""));

        let by_category =
            Category::ALL.map(|c| if c == share.category { share.area_m2 } else { 0.0 });
        let cultivated = if class.starts_with("01") { share.area_m2 } else { 0.0 };
        // A parcel that is cut counts with its part of what the survey states.
        let stated =
            parcel.and_then(|p| Some(p.surveyed_area_m2? / p.area_m2)).filter(|r| r.is_finite());
        let surveyed = cultivated * stated.unwrap_or(0.0);
        let unsurveyed = if stated.is_none() { cultivated } else { 0.0 };
        let values = by_category.into_iter().chain([cultivated, surveyed, unsurveyed]);
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let measured = measures().zip(columns).map(|(name, values)| Column::new(name.into(), values));
    let keys = [
        Column::new(UNIT.into(), units),
        Column::new(CLASS.into(), classes),
        Column::new(CLASS_NAME.into(), class_names),
    ];
    let frame = DataFrame::new(height, keys.into_iter().chain(measured).collect());
    frame
        .map_err(Fault::internal)?
        .lazy()
        .group_by_stable([col(UNIT), col(CLASS)])
        .agg(std::iter::once(col(CLASS_NAME).first()).chain(sums()).collect::<Vec<_>>())
        .sort([UNIT, CLASS], SortMultipleOptions::default())
        .collect()
        .map_err(Fault::internal)
}

/// Sums over the classes: one row per area.
pub fn by_area(frame: DataFrame) -> Result<DataFrame> {
    frame
        .lazy()
        .group_by_stable([col(UNIT)])
        .agg(sums().collect::<Vec<_>>())
        .sort([UNIT], SortMultipleOptions::default())
        .collect()
        .map_err(Fault::internal)
}

/// The rows of some areas.
pub fn of_areas(frame: &DataFrame, wanted: impl Fn(u32) -> bool) -> Result<DataFrame> {
    let units = frame.column(UNIT).and_then(|c| c.u32().cloned()).map_err(Fault::internal)?;
    let mask: BooleanChunked = units.iter().map(|unit| unit.is_some_and(&wanted)).collect();
    frame.filter(&mask).map_err(Fault::internal)
}

fn sums() -> impl Iterator<Item = Expr> {
    measures().map(|name| col(name).sum())
}
