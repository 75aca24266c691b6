//! Cells for which nobody is named, nor for their village: there only a level further up answers,
//! or nobody at all.

use super::dispatch::{Assignment, FoundBy, PlaceCodes, Roster};
use super::permissions::Scope;
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::atlas::feature::layers;
use crate::atlas::layer::{FeatureIndex, Layer};
use crate::atlas::lookup::Atlas;
use serde::Serialize;
use std::sync::Arc;

/// What is missing at a cell for one nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// Somebody is named for the cell or its village.
    Nothing,
    /// Only a town, functional area, district or the city answers.
    Fallback,
    Nobody,
}

impl Lack {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Fallback => "fallback",
            Self::Nobody => "nobody",
        }
    }

    fn of(found: Option<&Assignment>) -> Self {
        match found.map(|assignment| assignment.found_by) {
            Some(FoundBy::Cell | FoundBy::Village) => Self::Nothing,
            Some(_) => Self::Fallback,
            None => Self::Nobody,
        }
    }
}

/// A cell with a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// Into the cell layer.
    pub cell: FeatureIndex,
    pub place: PlaceCodes,
    pub land_use: Lack,
    pub construction: Lack,
}

/// All gaps of one atlas and roster, by code of the cell.
#[derive(Debug, Default)]
pub struct Gaps {
    pub cells: Option<Arc<Layer>>,
    pub gaps: Vec<Gap>,
    /// Tells these from any found earlier, in this process.
    pub revision: u64,
}

impl Gaps {
    pub fn find(atlas: &Atlas, roster: &Roster) -> Self {
        let Some(cells) = atlas.layer(layers::CELL) else { return Self::default() };
        let tree = AreaTree::new(atlas);
        let gaps = (0..cells.features().len() as FeatureIndex)
            .filter_map(|cell| {
                let place = codes_of(&tree, cell, &cells.feature(cell).code);
                let found = roster.responsible(&place, None);
                let by_nature = found.as_ref().map(|found| &found.by_nature);
                let land_use = by_nature.and_then(|n| n.illegal_land_use.as_ref());
                let construction = by_nature.and_then(|n| n.illegal_construction.as_ref());
                let (land_use, construction) = (Lack::of(land_use), Lack::of(construction));
                let whole = land_use == Lack::Nothing && construction == Lack::Nothing;
                (!whole).then_some(Gap { cell, place, land_use, construction })
            })
            .collect();
        Self { cells: Some(Arc::clone(cells)), gaps, revision: 0 }
    }

    /// Those inside a scope.
    pub fn within<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Gap> {
        self.gaps.iter().filter(move |gap| scope.holds(&gap.place))
    }
}

/// The areas of a cell, as a look-up inside it names them.
fn codes_of(tree: &AreaTree, cell: FeatureIndex, code: &str) -> PlaceCodes {
    let area = Area { level: AreaLevel::Cell, index: cell };
    let official = |level| tree.official_code(area, level).map(String::from);
    let functional = tree.line(area).find(|area| area.level == AreaLevel::FunctionalArea);
    PlaceCodes {
        city: official(AreaLevel::City),
        district: official(AreaLevel::District),
        functional_areas: functional
            .and_then(|area| tree.feature(area))
            .map(|feature| feature.code.clone())
            .into_iter()
            .collect(),
        town: official(AreaLevel::Town),
        village: official(AreaLevel::Village),
        cell: Some(code.to_string()),
    }
}
