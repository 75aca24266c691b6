//! The full answer for one position, the same from the command line, the API and the programs.

use crate::atlas::category::Category;
use crate::atlas::feature::{LayerKind, layers};
use crate::atlas::layer::Layer;
use crate::atlas::lookup::Atlas;
use crate::enforcement::dispatch::{Responsible, Roster};
use crate::enforcement::intake::{self, Candidate};
use crate::enforcement::nature::Nature;
use crate::enforcement::place::NamedPlace;
use crate::error::{Fault, Result};
use crate::geometry::crs::{Crs, ToCgcs2000, UnknownShift};
use geo::Coord;
use serde::Serialize;
use utoipa::ToSchema;

/// How far the nearest cell is looked for, metres: rings that grow, so that near ones are cheap.
const NEAREST_RINGS_M: [f64; 4] = [500.0, 4_000.0, 30_000.0, 200_000.0];

/// A coordinate, what it means, and what is asked about it.
#[derive(Debug, Clone)]
pub struct Question {
    /// Longitude or easting.
    pub x: f64,
    /// Latitude or northing.
    pub y: f64,
    pub crs: Crs,
    /// `None`: whoever answers first.
    pub nature: Option<Nature>,
    /// Radius in metres of the circle in which the true position lies.
    pub accuracy_m: Option<f64>,
}

/// A position in CGCS2000 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Point {
    pub lon: f64,
    pub lat: f64,
}

/// The coordinate as it was given.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Input {
    pub x: f64,
    pub y: f64,
    pub crs: String,
}

/// A parcel or overlay polygon that holds the position.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ParcelHit {
    pub layer: String,
    /// The polygon's code in its layer.
    pub id: String,
    pub class_code: Option<String>,
    pub class_name: Option<String>,
    /// Geodesic area, m².
    pub area_m2: f64,
    /// Area the survey states, m².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surveyed_area_m2: Option<f64>,
}

/// Something the asker should know about the answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Warning {
    pub code: &'static str,
    pub zh: String,
    pub en: String,
}

/// What stands at a position and who answers for it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LookupAnswer {
    /// CGCS2000 degrees.
    pub point: Point,
    /// Within a city polygon.
    pub inside: bool,
    /// The publish that the answer rests on.
    pub generation: u64,
    #[serde(flatten)]
    pub place: NamedPlace,
    /// Every hit of the parcel and overlay layers.
    pub parcels: Vec<ParcelHit>,
    pub category: Category,
    pub input: Input,
    pub responsible: Option<Responsible>,
    /// Distance to the cell's border, metres.
    pub border_distance_m: Option<f64>,
    /// Where the circle of the accuracy touches other cells: all that it touches, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Outside: the nearest cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Candidate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl Question {
    /// The position in CGCS2000 degrees.
    pub fn position(&self) -> Result<Coord> {
        if let Some(accuracy) = self.accuracy_m
            && !(0.0..=1e7).contains(&accuracy)
        {
            return Err(Fault::invalid(
                format!("定位精度 {accuracy} 不是合理的米数"),
                format!("accuracy {accuracy} is no sensible number of metres"),
            )
            .field("accuracy", "0 … 10000000"));
        }
        Ok(ToCgcs2000::cached(&self.crs)?.position(Coord { x: self.x, y: self.y })?)
    }

    /// Answers from one snapshot.
    pub fn answer(&self, atlas: &Atlas, roster: &Roster) -> Result<LookupAnswer> {
        let position = self.position()?;
        let found = atlas.place_at(position);
        let inside = found.inside();
        let place = if inside { NamedPlace::new(atlas, &found) } else { NamedPlace::default() };
        let responsible = inside.then(|| roster.responsible(&place.codes(), self.nature)).flatten();
        let cells = atlas.layer(layers::CELL);
        let candidates = self.accuracy_m.map_or(Vec::new(), |accuracy| {
            intake::candidates(atlas, roster, position, accuracy, self.nature)
        });
        let nearest = cells.filter(|_| !inside).and_then(|layer| {
            let mut rings = NEAREST_RINGS_M.iter();
            let (cell, distance_m) = rings.find_map(|&ring| layer.nearest(position, ring))?;
            let place = NamedPlace::of_cell(atlas, cell);
            Some(Candidate {
                cell: layer.feature(cell).into(),
                responsible: roster.responsible(&place.codes(), self.nature),
                village: place.village,
                distance_m,
            })
        });
        Ok(LookupAnswer {
            point: Point { lon: position.x, lat: position.y },
            inside,
            generation: atlas.generation(),
            place,
            parcels: parcels_at(atlas, position),
            category: found.category,
            input: Input { x: self.x, y: self.y, crs: self.crs.to_string() },
            responsible,
            border_distance_m: cells
                .zip(found.cell.filter(|_| inside))
                .map(|(layer, cell)| layer.border_distance_m(cell, position)),
            candidates,
            nearest,
            warnings: self.crs.unknown_shift().map(shift_warning).into_iter().collect(),
        })
    }
}

/// Xian 1980 and Beijing 1954 named by the asker: PROJ shifts them by nothing.
pub fn shift_warning(datum: UnknownShift) -> Warning {
    Warning {
        code: "datum_shift_unknown",
        zh: format!("{datum} 到 CGCS2000 的转换参数未知，按零偏移处理，误差可达数十至一百多米"),
        en: format!(
            "The shift from {datum} to CGCS2000 is unknown and taken as zero: the place may be tens to over a hundred metres off"
        ),
    }
}

/// Every polygon of the parcel and overlay layers that holds the position; functional areas are
/// areas and stand elsewhere in the answer.
fn parcels_at(atlas: &Atlas, position: Coord) -> Vec<ParcelHit> {
    let is_land = |layer: &&std::sync::Arc<Layer>| {
        let info = layer.info();
        info.name == layers::PARCEL
            || (info.kind == LayerKind::Overlay && info.name != layers::FUNCTIONAL_AREA)
    };
    let mut land: Vec<_> = atlas.layers().filter(is_land).collect();
    // Parcels first, as people read it; the other layers stay in the order of their names.
    land.sort_by_key(|layer| layer.info().name != layers::PARCEL);
    let mut hits = Vec::new();
    let mut parcels = Vec::new();
    for layer in land {
        layer.hits_at(position, &mut hits);
        parcels.extend(hits.iter().map(|&index| {
            let feature = layer.feature(index);
            ParcelHit {
                layer: layer.info().name.clone(),
                id: feature.code.clone(),
                class_code: feature.class_code.clone(),
                class_name: feature.class_name.clone(),
                area_m2: feature.area_m2,
                surveyed_area_m2: feature.surveyed_area_m2,
            }
        }));
    }
    parcels
}
