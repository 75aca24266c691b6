//! Cuts parcels and basic farmland into pieces that do not overlap.

use super::layer::{FeatureIndex, Layer};
use crate::geometry::side::{Region, Side};
use crate::geometry::{cut, geodesic};
use geo::{BoundingRect, MultiPolygon, Rect};
use rayon::prelude::*;

/// Land of one parcel (or none), all of it basic farmland or none of it.
#[derive(Debug)]
pub struct Piece {
    pub parcel: Option<FeatureIndex>,
    /// The basic farmland it belongs to.
    pub farmland: Option<FeatureIndex>,
    /// Geodesic area, m².
    pub area_m2: f64,
    pub bounds: Rect,
    /// `None`: the whole parcel or, without one, the whole farmland.
    part: Option<MultiPolygon>,
}

impl Piece {
    /// Its polygons, given the layers it was cut from.
    pub fn shape<'a>(
        &'a self,
        parcels: Option<&'a Layer>,
        farmland: Option<&'a Layer>,
    ) -> &'a MultiPolygon {
        static NOTHING: MultiPolygon = MultiPolygon(Vec::new());
        let whole = |layer: Option<&'a Layer>, index| match layer {
            Some(layer) => &layer.feature(index).geometry,
            None => &NOTHING,
        };
        match (&self.part, self.parcel, self.farmland) {
            (Some(part), ..) => part,
            (None, Some(parcel), _) => whole(parcels, parcel),
            (None, None, Some(index)) => whole(farmland, index),
            (None, None, None) => &NOTHING,
        }
    }
}

/// Slivers below this are left to whatever is around them, m².
const SLIVER_M2: f64 = 1e-6;

/// Parcels and farmland without overlaps.
pub struct Pieces {
    pub pieces: Vec<Piece>,
    /// What each farmland owns, whole, in the layer's order; `None` where that is nothing.
    pub fields: Vec<Option<Piece>>,
    /// What went wrong, by code.
    pub problems: Vec<String>,
}

/// Cuts all. Of features that overlap within a layer, the lowest code owns.
pub fn cut(parcels: Option<&Layer>, farmland: Option<&Layer>) -> Pieces {
    let owned_parcels = parcels.map(owned).unwrap_or_default();
    let owned_farmland = farmland.map(owned).unwrap_or_default();
    let fields: Vec<Option<Region>> =
        owned_farmland.par_iter().map(|f| Region::new(f.shape.get(farmland?)?)).collect();
    let mut pieces = Vec::new();
    let mut problems = Vec::new();

    // How much of each farmland lies on parcels, m².
    let mut on_parcels = vec![0.0; owned_farmland.len()];
    let split: Vec<_> = owned_parcels
        .par_iter()
        .map(|parcel| split_by_farmland(parcel, parcels, farmland, &fields))
        .collect();
    for (parcel, result) in owned_parcels.iter().zip(split) {
        problems.extend(parcel.problem.clone());
        match result {
            Ok(parts) => {
                for piece in &parts {
                    if let Some(field) = piece.farmland {
                        on_parcels[field as usize] += piece.area_m2;
                    }
                }
                pieces.extend(parts);
            }
            Err(error) => problems.push(format!("parcel {}: {error}", parcel.code)),
        }
    }
    problems.extend(owned_farmland.iter().filter_map(|f| f.problem.clone()));
    let bare: Vec<_> = owned_farmland
        .par_iter()
        .zip(on_parcels)
        .map(|(field, on_parcels)| bare_farmland(field, on_parcels, parcels, farmland))
        .collect();
    for (field, result) in owned_farmland.iter().zip(bare) {
        match result {
            Ok(piece) => pieces.extend(piece),
            Err(error) => problems.push(format!("basic farmland {}: {error}", field.code)),
        }
    }
    let fields = owned_farmland.into_iter().map(|field| whole_field(field, farmland)).collect();
    Pieces { pieces, fields, problems }
}

fn whole_field(field: Owned, farmland: Option<&Layer>) -> Option<Piece> {
    let bounds = field.shape.get(farmland?)?.bounding_rect()?;
    let part = match field.shape {
        Shape::Whole(_) => None,
        Shape::Part(part) => Some(part),
    };
    let farmland = Some(field.index);
    Some(Piece { parcel: None, farmland, area_m2: field.area_m2, bounds, part })
}

/// The part of a feature that no feature of lower code covers.
struct Owned {
    index: FeatureIndex,
    code: String,
    area_m2: f64,
    shape: Shape,
    problem: Option<String>,
}

enum Shape {
    /// The feature's own geometry.
    Whole(FeatureIndex),
    Part(MultiPolygon),
}

impl Shape {
    fn get<'a>(&'a self, layer: &'a Layer) -> Option<&'a MultiPolygon> {
        match self {
            Self::Whole(index) => Some(&layer.feature(*index).geometry),
            Self::Part(part) => (!part.0.is_empty()).then_some(part),
        }
    }
}

fn owned(layer: &Layer) -> Vec<Owned> {
    let regions: Vec<Option<Region>> =
        layer.features().par_iter().map(|f| Region::new(&f.geometry)).collect();
    (0..layer.features().len() as FeatureIndex)
        .into_par_iter()
        .map(|index| {
            let feature = layer.feature(index);
            let (shape, problem) = match own_part(layer, index, &regions) {
                Ok(None) => (Shape::Whole(index), None),
                Ok(Some(part)) => (Shape::Part(part), None),
                Err(error) => (Shape::Whole(index), Some(format!("{}: {error}", feature.code))),
            };
            let area_m2 = match &shape {
                Shape::Whole(_) => feature.area_m2,
                Shape::Part(part) => geodesic::area_m2(part),
            };
            Owned { index, code: feature.code.clone(), area_m2, shape, problem }
        })
        .collect()
}

/// What lower codes leave of a feature; `None` if they leave all.
fn own_part(
    layer: &Layer,
    index: FeatureIndex,
    regions: &[Option<Region>],
) -> Result<Option<MultiPolygon>, cut::CutFailed> {
    let geometry = &layer.feature(index).geometry;
    let mut rest: Option<MultiPolygon> = None;
    let mut lower: Vec<_> = layer.in_box(layer.bounds_of(index)).filter(|&i| i < index).collect();
    lower.sort_unstable();
    for other in lower {
        let Some(region) = &regions[other as usize] else { continue };
        let present = rest.as_ref().unwrap_or(geometry);
        match region.side_of(present) {
            Side::Outside => {}
            Side::Inside => return Ok(Some(MultiPolygon::new(vec![]))),
            Side::Crossing => {
                let common = cut::intersection(present, region.shape())?;
                if geodesic::area_m2(&common) > SLIVER_M2 {
                    rest = Some(cut::difference(present, region.shape())?);
                }
            }
        }
    }
    Ok(rest)
}

fn split_by_farmland(
    parcel: &Owned,
    parcels: Option<&Layer>,
    farmland: Option<&Layer>,
    fields: &[Option<Region>],
) -> Result<Vec<Piece>, cut::CutFailed> {
    let Some(shape) = parcels.and_then(|layer| parcel.shape.get(layer)) else { return Ok(vec![]) };
    let Some(bounds) = shape.bounding_rect() else { return Ok(vec![]) };
    let whole = |farmland| Piece {
        parcel: Some(parcel.index),
        farmland,
        area_m2: parcel.area_m2,
        bounds,
        part: match &parcel.shape {
            Shape::Whole(_) => None,
            Shape::Part(part) => Some(part.clone()),
        },
    };
    let mut near: Vec<_> = farmland.map(|f| f.in_box(bounds).collect()).unwrap_or_default();
    near.sort_unstable();
    let mut pieces = Vec::new();
    let mut rest: Option<MultiPolygon> = None;
    for field in near {
        let Some(region) = &fields[field as usize] else { continue };
        let present = rest.as_ref().unwrap_or(shape);
        match region.side_of(present) {
            Side::Outside => {}
            Side::Inside if rest.is_none() => return Ok(vec![whole(Some(field))]),
            Side::Inside => {
                pieces.extend(part(Some(parcel.index), Some(field), present.clone()));
                return Ok(pieces);
            }
            Side::Crossing => {
                let common = cut::intersection(present, region.shape())?;
                if let Some(piece) = part(Some(parcel.index), Some(field), common) {
                    rest = Some(cut::difference(present, region.shape())?);
                    pieces.push(piece);
                }
            }
        }
    }
    match rest {
        None => Ok(vec![whole(None)]),
        Some(rest) => {
            pieces.extend(part(Some(parcel.index), None, rest));
            Ok(pieces)
        }
    }
}

/// The part of a farmland that lies on no parcel.
fn bare_farmland(
    field: &Owned,
    on_parcels: f64,
    parcels: Option<&Layer>,
    farmland: Option<&Layer>,
) -> Result<Option<Piece>, cut::CutFailed> {
    // Mostly nothing, and the areas already say so: the overlay's grid is worth 0.01 m² at most.
    let left = field.area_m2 - on_parcels;
    if left <= (field.area_m2 * 1e-9).max(0.01) {
        return Ok(None);
    }
    let Some(shape) = farmland.and_then(|layer| field.shape.get(layer)) else { return Ok(None) };
    let Some(bounds) = shape.bounding_rect() else { return Ok(None) };
    let mut rest = shape.clone();
    if let Some(parcels) = parcels {
        for parcel in parcels.in_box(bounds) {
            rest = cut::difference(&rest, &parcels.feature(parcel).geometry)?;
        }
    }
    Ok(part(None, Some(field.index), rest))
}

fn part(
    parcel: Option<FeatureIndex>,
    farmland: Option<FeatureIndex>,
    shape: MultiPolygon,
) -> Option<Piece> {
    let area_m2 = geodesic::area_m2(&shape);
    let bounds = shape.bounding_rect()?;
    (area_m2 > SLIVER_M2).then_some(Piece { parcel, farmland, area_m2, bounds, part: Some(shape) })
}
