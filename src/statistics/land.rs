//! Land by category and class: of any area, of the areas inside it, of any polygon.

use super::land_frame::{self, CLASS, CLASS_NAME, CULTIVATED, SURVEYED, UNIT, UNSURVEYED};
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::atlas::category::{Category, CategoryAreas};
use crate::atlas::lookup::Atlas;
use crate::atlas::overlay::{LandOverlay, OverlayCache};
use crate::error::{Fault, FaultKind, Result};
use crate::geometry::side::{Region, Side};
use crate::geometry::{crs, cut, geodesic};
use geo::{MapCoords, MultiPolygon};
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// What the rows are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LandBy {
    /// One row per area.
    #[default]
    Category,
    /// One row per area and land class.
    Class,
}

/// The level of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LandLevel {
    City,
    /// Districts and functional areas.
    District,
    Town,
    Village,
    Cell,
}

impl LandLevel {
    const ALL: [Self; 5] = [Self::City, Self::District, Self::Town, Self::Village, Self::Cell];

    /// Reads the name used in the API.
    pub fn parse(name: &str) -> Option<Self> {
        let layer_name = |level: &Self| level.layers().first().map(|layer| layer.layer());
        Self::ALL.into_iter().find(|level| layer_name(level) == Some(name))
    }

    fn depth(self) -> u8 {
        self as u8
    }

    fn layers(self) -> &'static [AreaLevel] {
        match self {
            Self::City => &[AreaLevel::City],
            Self::District => &[AreaLevel::District, AreaLevel::FunctionalArea],
            Self::Town => &[AreaLevel::Town],
            Self::Village => &[AreaLevel::Village],
            Self::Cell => &[AreaLevel::Cell],
        }
    }
}

/// What a table is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// An area by its code.
    Area(&'a str),
    /// A valid polygon in degrees (EPSG:4490).
    Polygon(&'a MultiPolygon),
}

/// Land areas, m².
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LandTable {
    pub area: LandArea,
    /// The boundary version it is of.
    pub generation: u64,
    pub by: LandBy,
    pub level: Option<LandLevel>,
    pub rows: Vec<LandRow>,
    pub total: LandRow,
}

/// The area a table is about; without a code it is a drawn polygon.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LandArea {
    pub code: Option<String>,
    pub name: Option<String>,
    /// The layer it is of; `polygon` for a drawn one.
    pub level: &'static str,
}

/// The land of one area or of one class, m². The five categories add up to `total`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LandRow {
    /// The area's code or, by class, the class code; none for a drawn polygon, for a total, and by
    /// class for land without a parcel.
    pub code: Option<String>,
    pub name: Option<String>,
    /// By class: the area the row is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_name: Option<String>,
    #[serde(flatten)]
    pub categories: CategoryAreas,
    pub total: f64,
    /// Cultivated parcels (01…), basic farmland or not.
    pub cultivated: f64,
    /// The same as the survey itself states it (TBDLMJ, else TBMJ); none where it does not.
    pub cultivated_surveyed: Option<f64>,
    /// The same areas in mu (亩).
    pub mu: LandMu,
}

/// Areas in mu (亩), 2000/3 m².
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LandMu {
    #[serde(flatten)]
    pub categories: CategoryAreas,
    pub total: f64,
    pub cultivated: f64,
    pub cultivated_surveyed: Option<f64>,
}

/// Answers land questions, keeping what it once worked out for a generation. Not to be called from
/// inside rayon: it waits for work there while it holds its locks.
#[derive(Debug, Default)]
pub struct LandStatistics {
    overlay: OverlayCache,
    tree: Mutex<Option<Arc<AreaTree>>>,
    /// By depth.
    levels: [Mutex<Option<Arc<LevelFrame>>>; 5],
}

/// The land of all areas of a level.
#[derive(Debug)]
struct LevelFrame {
    overlay: Arc<LandOverlay>,
    tree: Arc<AreaTree>,
    frame: DataFrame,
}

impl LandStatistics {
    /// The overlay of an atlas, for the footprints of cases.
    pub fn overlay(&self, atlas: &Atlas) -> Arc<LandOverlay> {
        self.overlay.get(atlas)
    }

    /// The tree of areas of an atlas.
    pub fn tree(&self, atlas: &Atlas) -> Arc<AreaTree> {
        let mut held = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(tree) if tree.is_of(atlas) => tree.clone(),
            _ => held.insert(Arc::new(AreaTree::new(atlas))).clone(),
        }
    }

    /// Works out every level ahead, after a start or a publish.
    pub fn prepare(&self, atlas: &Atlas) -> Result<()> {
        let (overlay, tree) = (self.overlay(atlas), self.tree(atlas));
        for level in LandLevel::ALL {
            self.level_frame(level, &overlay, &tree)?;
        }
        Ok(())
    }

    /// The land table of an area or polygon; with a level, of the areas of that level inside it.
    pub fn table(
        &self,
        atlas: &Atlas,
        subject: Subject,
        level: Option<LandLevel>,
        by: LandBy,
    ) -> Result<LandTable> {
        let (overlay, tree) = (self.overlay(atlas), self.tree(atlas));
        let (area, units, frame) = match subject {
            Subject::Area(code) => self.of_area(&overlay, &tree, code, level)?,
            Subject::Polygon(polygon) => of_polygon(&overlay, &tree, polygon, level)?,
        };
        let frame = if by == LandBy::Category { land_frame::by_area(frame)? } else { frame };
        let rows = rows(&frame, &tree, &units, by)?;
        let total = total(&rows);
        Ok(LandTable { area, generation: atlas.generation(), by, level, rows, total })
    }

    fn of_area(
        &self,
        overlay: &Arc<LandOverlay>,
        tree: &Arc<AreaTree>,
        code: &str,
        level: Option<LandLevel>,
    ) -> Result<(LandArea, Vec<Option<Area>>, DataFrame)> {
        let area = tree.find(code).ok_or_else(|| unknown_area(code))?;
        let feature = tree.feature(area).ok_or_else(|| unknown_area(code))?;
        let own_level = LandLevel::ALL[area.level.depth() as usize];
        let level = level.unwrap_or(own_level);
        if level.depth() < own_level.depth() {
            return Err(Fault::new(
                FaultKind::Invalid,
                "level_above_area",
                format!("统计级别高于区域 {code} 的级别"),
                format!("The level is above that of area {code}"),
            ));
        }
        let units = units_of(tree, level);
        let wanted: BTreeSet<u32> = (0..)
            .zip(&units)
            .filter(|(_, unit)| tree.is_within(**unit, area))
            .map(|(number, _)| number)
            .collect();
        let cached = self.cached(level, overlay, tree);
        let frame = match cached {
            // A few areas are worked out by themselves rather than with all their level.
            None if wanted.len() * 4 < units.len() => build(overlay, tree, &units, &wanted)?,
            None => {
                let all = self.level_frame(level, overlay, tree)?;
                land_frame::of_areas(&all.frame, |unit| wanted.contains(&unit))?
            }
            Some(all) => land_frame::of_areas(&all.frame, |unit| wanted.contains(&unit))?,
        };
        let area = LandArea {
            code: Some(feature.code.clone()),
            name: feature.name.clone(),
            level: area.level.layer(),
        };
        Ok((area, units.into_iter().map(Some).collect(), frame))
    }

    fn cached(
        &self,
        level: LandLevel,
        overlay: &Arc<LandOverlay>,
        tree: &Arc<AreaTree>,
    ) -> Option<Arc<LevelFrame>> {
        let held = self.levels[level as usize].lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|f| Arc::ptr_eq(&f.overlay, overlay) && Arc::ptr_eq(&f.tree, tree))
    }

    fn level_frame(
        &self,
        level: LandLevel,
        overlay: &Arc<LandOverlay>,
        tree: &Arc<AreaTree>,
    ) -> Result<Arc<LevelFrame>> {
        let mut held = self.levels[level as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(f) if Arc::ptr_eq(&f.overlay, overlay) && Arc::ptr_eq(&f.tree, tree) => {
                Ok(f.clone())
            }
            _ => {
                let units = units_of(tree, level);
                let all = (0..units.len() as u32).collect();
                let frame = build(overlay, tree, &units, &all)?;
                let made = LevelFrame { overlay: overlay.clone(), tree: tree.clone(), frame };
                Ok(held.insert(Arc::new(made)).clone())
            }
        }
    }
}

fn unknown_area(code: &str) -> Fault {
    let code: String = code.chars().take(40).collect();
    Fault::new(
        FaultKind::NotFound,
        "area_unknown",
        format!("没有编码为 {code} 的区域"),
        format!("There is no area with the code {code}"),
    )
}

fn units_of(tree: &AreaTree, level: LandLevel) -> Vec<Area> {
    level.layers().iter().flat_map(|&layer| tree.areas(layer)).collect()
}

fn build(
    overlay: &LandOverlay,
    tree: &AreaTree,
    units: &[Area],
    wanted: &BTreeSet<u32>,
) -> Result<DataFrame> {
    let areas = (0..)
        .zip(units)
        .filter(|(number, _)| wanted.contains(number))
        .map(|(number, &unit)| Ok((number, ground_of(tree, unit)?)))
        .collect::<Result<Vec<_>>>()?;
    land_frame::build(overlay, &areas)
}

/// The ground an area has in the reports: a district's without that of functional areas.
pub fn ground_of(tree: &AreaTree, area: Area) -> Result<Cow<'_, MultiPolygon>> {
    let Some(feature) = tree.feature(area) else {
        return Ok(Cow::Owned(MultiPolygon::new(vec![])));
    };
    let mut ground = Cow::Borrowed(&feature.geometry);
    if area.level != AreaLevel::District {
        return Ok(ground);
    }
    for functional in tree.areas(AreaLevel::FunctionalArea) {
        let Some(taken) = tree.feature(functional) else { continue };
        let touches =
            Region::new(&ground).is_some_and(|r| r.side_of(&taken.geometry) != Side::Outside);
        if touches {
            let rest = cut::difference(&ground, &taken.geometry).map_err(Fault::internal)?;
            // Back on the grid of stored coordinates: borders with parcels are again the same.
            ground = Cow::Owned(rest.map_coords(crs::snap));
        }
    }
    Ok(ground)
}

fn of_polygon(
    overlay: &LandOverlay,
    tree: &AreaTree,
    polygon: &MultiPolygon,
    level: Option<LandLevel>,
) -> Result<(LandArea, Vec<Option<Area>>, DataFrame)> {
    let area = LandArea { code: None, name: None, level: "polygon" };
    let Some(level) = level else {
        let frame = land_frame::build(overlay, &[(0, Cow::Borrowed(polygon))])?;
        return Ok((area, vec![None], frame));
    };
    let units = units_of(tree, level);
    let mut parts = Vec::new();
    if let Some(region) = Region::new(polygon) {
        for (number, &unit) in (0..).zip(&units) {
            let ground = ground_of(tree, unit)?;
            let part = match region.side_of(&ground) {
                Side::Outside => continue,
                Side::Inside => ground,
                Side::Crossing => {
                    Cow::Owned(cut::intersection(&ground, polygon).map_err(Fault::internal)?)
                }
            };
            if geodesic::area_m2(&part) > 0.0 {
                parts.push((number, part));
            }
        }
    }
    let frame = land_frame::build(overlay, &parts)?;
    Ok((area, units.into_iter().map(Some).collect(), frame))
}

fn rows(
    frame: &DataFrame,
    tree: &AreaTree,
    units: &[Option<Area>],
    by: LandBy,
) -> Result<Vec<LandRow>> {
    let failed = |error| Fault::internal(error);
    let numbers = |name: &str| -> Result<Vec<f64>> {
        let column = frame.column(name).and_then(|c| c.f64()).map_err(failed)?;
        Ok(column.iter().map(|value| value.unwrap_or(0.0)).collect())
    };
    let texts = |name: &str| -> Result<Vec<Option<String>>> {
        let column = frame.column(name).and_then(|c| c.str()).map_err(failed)?;
        Ok(column.iter().map(|t| t.filter(|t| !t.is_empty()).map(String::from)).collect())
    };
    let unit_numbers = frame.column(UNIT).and_then(|c| c.u32()).map_err(failed)?;
    let measures = land_frame::measures()
        .map(|name| Ok((name, numbers(name)?)))
        .collect::<Result<HashMap<_, _>>>()?;
    let classes = match by {
        LandBy::Class => Some((texts(CLASS)?, texts(CLASS_NAME)?)),
        LandBy::Category => None,
    };
    let at = |name: &str, i: usize| {
        measures.get(name).and_then(|values| values.get(i)).copied().unwrap_or(0.0)
    };
    let row = |(i, unit): (usize, Option<u32>)| {
        let area = unit.and_then(|u| *units.get(u as usize)?).and_then(|a| tree.feature(a));
        let (code, name) = (area.map(|a| a.code.clone()), area.and_then(|a| a.name.clone()));
        let mut categories = CategoryAreas::default();
        for category in Category::ALL {
            *categories.get_mut(category) = at(category.as_str(), i);
        }
        let surveyed = (at(UNSURVEYED, i) == 0.0).then(|| at(SURVEYED, i));
        let measured = LandRow::of(categories, at(CULTIVATED, i), surveyed);
        match &classes {
            None => LandRow { code, name, ..measured },
            Some((class_codes, class_names)) => LandRow {
                code: class_codes.get(i).cloned().flatten(),
                name: class_names.get(i).cloned().flatten(),
                area_code: code,
                area_name: name,
                ..measured
            },
        }
    };
    Ok(unit_numbers.iter().enumerate().map(row).collect())
}

fn total(rows: &[LandRow]) -> LandRow {
    let mut categories = CategoryAreas::default();
    for category in Category::ALL {
        let sum = rows.iter().map(|row| {
            let mut areas = row.categories;
            *areas.get_mut(category)
        });
        *categories.get_mut(category) = sum.sum();
    }
    let surveyed = rows.iter().map(|row| row.cultivated_surveyed).sum();
    LandRow::of(categories, rows.iter().map(|row| row.cultivated).sum(), surveyed)
}

impl LandRow {
    fn of(categories: CategoryAreas, cultivated: f64, cultivated_surveyed: Option<f64>) -> Self {
        let mu = |m2: f64| m2 / geodesic::MU_M2;
        let total = categories.total();
        let mut in_mu = categories;
        for category in Category::ALL {
            *in_mu.get_mut(category) /= geodesic::MU_M2;
        }
        Self {
            categories,
            total,
            cultivated,
            cultivated_surveyed,
            mu: LandMu {
                categories: in_mu,
                total: mu(total),
                cultivated: mu(cultivated),
                cultivated_surveyed: cultivated_surveyed.map(mu),
            },
            ..Self::default()
        }
    }
}

#[cfg(test)]
#[path = "land_tests.rs"]
mod tests;
