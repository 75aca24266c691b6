//! Areas of land by category and class under a polygon: the exact overlay of the polygon with the
//! land survey and basic farmland.
//!
//! Parcels and farmland are cut into pieces once per generation, so that no two pieces overlap and
//! each has one parcel (or none) and one category. A query then adds the areas of the pieces
//! inside, and overlays only those on its rim, in the plane of longitude and latitude, as PostGIS's
//! `ST_Area(ST_Intersection(a, b)::geography)` does. What no piece covers is non-farmland.

use super::category::{Category, CategoryAreas};
use super::feature::{Feature, layers};
use super::layer::{FeatureIndex, Layer};
use super::lookup::Atlas;
use super::pieces::{self, Piece};
use crate::error::Fault;
use crate::geometry::side::{Region, Side};
use crate::geometry::{cut, geodesic};
use geo::MultiPolygon;
use rayon::prelude::*;
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

type IndexedPiece = GeomWithData<Rectangle<[f64; 2]>, u32>;

/// The land survey and basic farmland of one generation, ready for overlays. Immutable.
#[derive(Debug)]
pub struct LandOverlay {
    parcels: Option<Arc<Layer>>,
    farmland: Option<Arc<Layer>>,
    pieces: Vec<Piece>,
    tree: RTree<IndexedPiece>,
    /// What each farmland owns, whole: its piece in the farmland layer's order.
    fields: Vec<Option<Piece>>,
    problems: Vec<String>,
}

/// A part of a parcel, or of basic farmland outside every parcel, under a polygon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Index into the parcel layer; `None` where no parcel lies.
    pub parcel: Option<FeatureIndex>,
    pub category: Category,
    /// Geodesic area, m².
    pub area_m2: f64,
}

/// What lies under a polygon. The five categories add up to the total.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cover {
    /// The geodesic area of the polygon, m².
    pub total_m2: f64,
    pub by_category: CategoryAreas,
    /// By parcel and category, parcels in the order of their codes, then what has no parcel.
    pub shares: Vec<Share>,
}

impl LandOverlay {
    /// Cuts the parcels and the farmland of an atlas into pieces. Takes seconds for a city.
    pub fn build(atlas: &Atlas) -> Self {
        let parcels = atlas.layer(layers::PARCEL).cloned();
        let farmland = atlas.layer(layers::BASIC_FARMLAND).cloned();
        let pieces::Pieces { pieces, fields, problems } =
            pieces::cut(parcels.as_deref(), farmland.as_deref());
        let boxes = pieces.iter().zip(0..).map(|(piece, index)| {
            let (min, max) = (piece.bounds.min(), piece.bounds.max());
            GeomWithData::new(Rectangle::from_corners([min.x, min.y], [max.x, max.y]), index)
        });
        let tree = RTree::bulk_load(boxes.collect());
        Self { parcels, farmland, pieces, tree, fields, problems }
    }

    /// Parcels and farmland that could not be overlaid with each other, for the log.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The parcel of a share.
    pub fn parcel(&self, share: &Share) -> Option<&Feature> {
        share.parcel.zip(self.parcels.as_ref()).map(|(index, layer)| layer.feature(index))
    }

    /// Whether this was made of the atlas's present parcels and farmland.
    pub fn is_of(&self, atlas: &Atlas) -> bool {
        let same = |ours: &Option<Arc<Layer>>, name: &str| match (ours, atlas.layer(name)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same(&self.parcels, layers::PARCEL) && same(&self.farmland, layers::BASIC_FARMLAND)
    }

    /// The area by category and parcel under a valid polygon (degrees, EPSG:4490).
    pub fn cover(&self, polygon: &MultiPolygon) -> Result<Cover, Fault> {
        let total_m2 = geodesic::area_m2(polygon);
        let Some(region) = Region::new(polygon) else { return Ok(Cover::default()) };
        let (min, max) = (region.bounds().min(), region.bounds().max());
        let envelope = AABB::from_corners([min.x, min.y], [max.x, max.y]);
        let mut near: Vec<u32> =
            self.tree.locate_in_envelope_intersecting(&envelope).map(|entry| entry.data).collect();
        near.sort_unstable();
        let area = |&index: &u32| {
            let piece = &self.pieces[index as usize];
            Ok((index, self.area_under(piece, &region)?))
        };
        // A few pieces are done sooner than other threads are woken.
        let areas: Vec<(u32, f64)> = if near.len() > 64 {
            near.par_iter().map(area).collect::<Result<_, cut::CutFailed>>()
        } else {
            near.iter().map(area).collect()
        }
        .map_err(Fault::internal)?;

        let mut shares: BTreeMap<(FeatureIndex, Category), f64> = BTreeMap::new();
        for (index, area_m2) in areas {
            if area_m2 > 0.0 {
                let piece = &self.pieces[index as usize];
                let parcel = piece.parcel.unwrap_or(FeatureIndex::MAX);
                *shares.entry((parcel, self.category(piece))).or_default() += area_m2;
            }
        }
        let mut shares: Vec<Share> = shares
            .into_iter()
            .map(|((parcel, category), area_m2)| Share {
                parcel: (parcel != FeatureIndex::MAX).then_some(parcel),
                category,
                area_m2,
            })
            .collect();
        self.measure_farmland_whole(&region, &mut shares).map_err(Fault::internal)?;
        Ok(Cover::complete(total_m2, shares))
    }

    /// Basic farmland counts with the area of its own polygons. That of its pieces differs by a
    /// hair where the rim cuts it: between two crossings the rim is a geodesic, and parcels cross
    /// it more often.
    fn measure_farmland_whole(
        &self,
        region: &Region,
        shares: &mut [Share],
    ) -> Result<(), cut::CutFailed> {
        let Some(layer) = &self.farmland else { return Ok(()) };
        let mut near: Vec<_> = layer.in_box(region.bounds()).collect();
        near.sort_unstable();
        let mut whole = 0.0;
        for field in near.iter().filter_map(|&index| self.fields.get(index as usize)?.as_ref()) {
            whole += self.area_under(field, region)?;
        }
        let is_basic = |s: &&mut Share| s.category == Category::BasicFarmland;
        let cut: f64 = shares.iter_mut().filter(is_basic).map(|s| s.area_m2).sum();
        if cut > 0.0 {
            shares.iter_mut().filter(is_basic).for_each(|s| s.area_m2 *= whole / cut);
        }
        Ok(())
    }

    fn area_under(&self, piece: &Piece, region: &Region) -> Result<f64, cut::CutFailed> {
        let shape = piece.shape(self.parcels.as_deref(), self.farmland.as_deref());
        match region.side_of(shape) {
            Side::Inside => Ok(piece.area_m2),
            Side::Outside => Ok(0.0),
            Side::Crossing => Ok(geodesic::area_m2(&cut::intersection(shape, region.shape())?)),
        }
    }

    fn category(&self, piece: &Piece) -> Category {
        if piece.farmland.is_some() {
            return Category::BasicFarmland;
        }
        let parcel = piece.parcel.zip(self.parcels.as_ref());
        Category::of_class(parcel.and_then(|(i, layer)| layer.feature(i).class_code.as_deref()))
    }
}

impl Cover {
    /// Gives what the shares leave of the total to non-farmland without a parcel.
    ///
    /// Shares can miss or exceed the total by a hair: a long edge of the polygon is a geodesic,
    /// while the pieces are cut along the straight line in degrees. Then non-farmland makes up for
    /// it, the category that is what the others leave; if it has too little, all do in proportion.
    fn complete(total_m2: f64, mut shares: Vec<Share>) -> Self {
        let sum = |shares: &[Share], of: fn(&Share) -> bool| -> f64 {
            shares.iter().filter(|s| of(s)).map(|s| s.area_m2).sum()
        };
        let covered = sum(&shares, |_| true);
        let rest = total_m2 - covered;
        if rest > total_m2 * 1e-9 || covered == 0.0 {
            let other = Category::NonFarmland;
            match shares.last_mut() {
                Some(last) if last.parcel.is_none() && last.category == other => {
                    last.area_m2 += rest;
                }
                _ => shares.push(Share { parcel: None, category: other, area_m2: rest }),
            }
        } else {
            let is_other = |s: &Share| s.category == Category::NonFarmland;
            let other = sum(&shares, is_other);
            let enough = other > 0.0 && other + rest > 0.0;
            let yields: fn(&Share) -> bool = if enough { is_other } else { |_| true };
            let before = sum(&shares, yields);
            let factor = ((before + rest) / before).max(0.0);
            shares.iter_mut().filter(|s| yields(s)).for_each(|s| s.area_m2 *= factor);
        }
        let mut by_category = CategoryAreas::default();
        for share in &shares {
            *by_category.get_mut(share.category) += share.area_m2;
        }
        Self { total_m2, by_category, shares }
    }
}

/// Keeps the overlay of the present generation. The first who asks after a publish builds it; the
/// others wait for that.
#[derive(Debug, Default)]
pub struct OverlayCache {
    held: Mutex<Option<Arc<LandOverlay>>>,
}

impl OverlayCache {
    /// The overlay of an atlas.
    pub fn get(&self, atlas: &Atlas) -> Arc<LandOverlay> {
        // The value is replaced whole, so a poisoned lock still holds a good one.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(overlay) if overlay.is_of(atlas) => overlay.clone(),
            _ => held.insert(Arc::new(LandOverlay::build(atlas))).clone(),
        }
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
