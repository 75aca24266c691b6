//! What the platform derives from a new report: the place, the land, and who answers for it.

use super::dispatch::{Responsible, Roster};
use super::nature::Nature;
use super::place::{AreaName, NamedPlace, nearest_cell};
use crate::atlas::category::{Category, CategoryAreas};
use crate::atlas::feature::layers;
use crate::atlas::lookup::Atlas;
use geo::Coord;
use serde::{Deserialize, Serialize};

/// How a case came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placed {
    /// The position lies in a city polygon.
    Inside,
    /// Outside, but near enough to a cell: just off the shore or the border.
    Nearest,
    /// 未定位: no place; the city's people answer.
    None,
}

impl Placed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Nearest => "nearest",
            Self::None => "none",
        }
    }
}

/// Another cell the GPS circle touches: the case carries the doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Candidate {
    pub cell: AreaName,
    pub village: Option<AreaName>,
    pub responsible: Option<Responsible>,
    /// From the position to the cell's border, metres; 0 for the cell that holds it.
    pub distance_m: f64,
}

/// More candidates than this say nothing to anybody.
pub const MAX_CANDIDATES: usize = 8;

/// A circle larger than this is no position; candidates are sought within it only.
pub const MAX_ACCURACY_M: f64 = 2_000.0;

/// Where a report lies and who answers for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Siting {
    pub placed: Placed,
    pub place: NamedPlace,
    /// Metres to the nearest cell when [`Placed::Nearest`].
    pub nearest_m: Option<f64>,
    pub category: Category,
    pub responsible: Option<Responsible>,
    pub candidates: Vec<Candidate>,
}

/// Derives place and responsible person from a position in CGCS2000 degrees. `nearest_within_m`
/// is how far outside a position may lie and still get a place.
pub fn site(
    atlas: &Atlas,
    roster: &Roster,
    position: Coord,
    accuracy_m: Option<f64>,
    nature: Nature,
    nearest_within_m: f64,
) -> Siting {
    let found = atlas.place_at(position);
    let category = found.category;
    let (placed, place, nearest_m) = if found.inside() {
        (Placed::Inside, NamedPlace::new(atlas, &found), None)
    } else {
        match nearest_cell(atlas, position, nearest_within_m) {
            Some((cell, distance)) => {
                (Placed::Nearest, NamedPlace::of_cell(atlas, cell), Some(distance))
            }
            None => (Placed::None, NamedPlace::default(), None),
        }
    };
    let responsible = match placed {
        Placed::None => city_people(atlas, roster, nature),
        _ => roster.responsible(&place.codes(), Some(nature)),
    };
    let candidates = match accuracy_m {
        Some(accuracy) => candidates(atlas, roster, position, accuracy, Some(nature)),
        None => Vec::new(),
    };
    Siting { placed, place, nearest_m, category, responsible, candidates }
}

/// The city's people answer for what has no place.
fn city_people(atlas: &Atlas, roster: &Roster, nature: Nature) -> Option<Responsible> {
    let city = atlas.layer(layers::CITY)?.features().first()?;
    let place = NamedPlace { city: Some(city.into()), ..NamedPlace::default() };
    roster.responsible(&place.codes(), Some(nature))
}

/// The cells that the accuracy circle touches, nearest first; none where it touches only one.
pub fn candidates(
    atlas: &Atlas,
    roster: &Roster,
    position: Coord,
    accuracy_m: f64,
    nature: Option<Nature>,
) -> Vec<Candidate> {
    let Some(cells) = atlas.layer(layers::CELL) else { return Vec::new() };
    let mut near = cells.within_m(position, accuracy_m.min(MAX_ACCURACY_M));
    let own = cells.owner_at(position);
    let others = near.iter().any(|&(index, _)| Some(index) != own);
    if !others {
        return Vec::new();
    }
    near.truncate(MAX_CANDIDATES);
    near.into_iter()
        .map(|(index, distance_m)| {
            let place = NamedPlace::of_cell(atlas, index);
            Candidate {
                cell: cells.feature(index).into(),
                responsible: roster.responsible(&place.codes(), nature),
                village: place.village,
                distance_m,
            }
        })
        .collect()
}

/// The area of a case by category, m²: the footprint's overlay, else the reported area in the
/// category at the point, else nothing.
pub fn areas(
    category: Category,
    footprint: Option<CategoryAreas>,
    reported_m2: Option<f64>,
) -> CategoryAreas {
    footprint.unwrap_or_else(|| {
        let mut areas = CategoryAreas::default();
        *areas.get_mut(category) = reported_m2.unwrap_or(0.0);
        areas
    })
}
