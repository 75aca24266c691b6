//! The areas of a place by code and name, and the nearest place for a position outside.

use super::dispatch::PlaceCodes;
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::atlas::feature::{Feature, layers};
use crate::atlas::layer::FeatureIndex;
use crate::atlas::lookup::{Atlas, Place};
use geo::{Coord, InteriorPoint};
use serde::{Deserialize, Serialize};

/// Code and name of an area or cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AreaName {
    pub code: String,
    pub name: String,
}

impl From<&Feature> for AreaName {
    fn from(feature: &Feature) -> Self {
        Self { code: feature.code.clone(), name: feature.name.clone().unwrap_or_default() }
    }
}

/// Every level of a place; `null` where none holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NamedPlace {
    pub city: Option<AreaName>,
    pub district: Option<AreaName>,
    pub town: Option<AreaName>,
    pub village: Option<AreaName>,
    pub cell: Option<AreaName>,
    pub functional_areas: Vec<AreaName>,
}

impl NamedPlace {
    /// Names what the atlas found.
    pub fn new(atlas: &Atlas, place: &Place) -> Self {
        let name = |layer: &str, index: Option<FeatureIndex>| {
            Some(AreaName::from(atlas.layer(layer)?.feature(index?)))
        };
        Self {
            city: name(layers::CITY, place.city),
            district: name(layers::DISTRICT, place.district),
            town: name(layers::TOWN, place.town),
            village: name(layers::VILLAGE, place.village),
            cell: name(layers::CELL, place.cell),
            functional_areas: place
                .functional_areas
                .iter()
                .filter_map(|&index| name(layers::FUNCTIONAL_AREA, Some(index)))
                .collect(),
        }
    }

    /// The place that a cell belongs to, for a position that is outside but near it. The cell
    /// stands for its inside: all levels are taken where its interior point is.
    pub fn of_cell(atlas: &Atlas, cell: FeatureIndex) -> Self {
        let Some(layer) = atlas.layer(layers::CELL) else { return Self::default() };
        let feature = layer.feature(cell);
        let mut place = match feature.geometry.interior_point() {
            Some(point) => Self::new(atlas, &atlas.place_at(point.into())),
            None => Self::default(),
        };
        place.cell = Some(feature.into());
        place
    }

    /// The codes, for dispatch and permissions.
    pub fn codes(&self) -> PlaceCodes {
        let code = |area: &Option<AreaName>| area.as_ref().map(|a| a.code.clone());
        PlaceCodes {
            city: code(&self.city),
            district: code(&self.district),
            functional_areas: self.functional_areas.iter().map(|a| a.code.clone()).collect(),
            town: code(&self.town),
            village: code(&self.village),
            cell: code(&self.cell),
        }
    }
}

/// Where an area is, as rights see it: a functional area's towns are not their district's.
pub fn codes_of(tree: &AreaTree, area: Area) -> PlaceCodes {
    let official = |level| tree.official_code(area, level).map(String::from);
    let functional = tree.line(area).find(|a| a.level == AreaLevel::FunctionalArea);
    let functional = functional.and_then(|a| tree.feature(a)).map(|f| f.code.clone());
    PlaceCodes {
        city: official(AreaLevel::City),
        district: official(AreaLevel::District),
        town: official(AreaLevel::Town),
        village: official(AreaLevel::Village),
        cell: official(AreaLevel::Cell),
        functional_areas: functional.into_iter().collect(),
    }
}

/// The cell nearest to a position outside, within a distance in metres.
pub fn nearest_cell(atlas: &Atlas, position: Coord, within_m: f64) -> Option<(FeatureIndex, f64)> {
    atlas.layer(layers::CELL)?.nearest(position, within_m)
}
