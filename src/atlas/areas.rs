//! The tree of areas as the reports know it: city, districts and functional areas beside each
//! other, towns, villages, cells.
//!
//! Who belongs to whom goes by the codes; geometry decides where they say nothing. A functional
//! area takes its towns (`XZQDMS`) out of the surrounding district.

use super::feature::{Feature, layers};
use super::layer::{FeatureIndex, Layer};
use super::lookup::Atlas;
use geo::InteriorPoint;
use std::sync::Arc;

/// The levels of areas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AreaLevel {
    City,
    District,
    FunctionalArea,
    Town,
    Village,
    Cell,
}

impl AreaLevel {
    /// All, from the top.
    pub const ALL: [Self; 6] =
        [Self::City, Self::District, Self::FunctionalArea, Self::Town, Self::Village, Self::Cell];

    /// The layer's name, also the level's name in the API.
    pub fn layer(self) -> &'static str {
        match self {
            Self::City => layers::CITY,
            Self::District => layers::DISTRICT,
            Self::FunctionalArea => layers::FUNCTIONAL_AREA,
            Self::Town => layers::TOWN,
            Self::Village => layers::VILLAGE,
            Self::Cell => layers::CELL,
        }
    }

    /// Depth from the city, 0, down; a functional area is as deep as a district.
    pub fn depth(self) -> u8 {
        match self {
            Self::City => 0,
            Self::District | Self::FunctionalArea => 1,
            Self::Town => 2,
            Self::Village => 3,
            Self::Cell => 4,
        }
    }

    /// The code of the area of this level that a code below it begins with.
    fn prefix_of(self, code: &str) -> Option<String> {
        match self {
            Self::City => Some(format!("{}00", code.get(..4)?)),
            Self::District => code.get(..6).map(String::from),
            Self::Town => code.get(..9).map(String::from),
            Self::Village => code.get(..12).map(String::from),
            Self::FunctionalArea | Self::Cell => None,
        }
    }
}

/// An area of an [`AreaTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Area {
    pub level: AreaLevel,
    /// Index into the layer of that level.
    pub index: FeatureIndex,
}

/// The areas of one generation. Immutable; cheap enough to build per publish.
#[derive(Debug, Default)]
pub struct AreaTree {
    levels: [Level; 6],
}

#[derive(Debug, Default)]
struct Level {
    layer: Option<Arc<Layer>>,
    /// The next area up in the reports, where a functional area takes its towns.
    parents: Vec<Option<Area>>,
    /// The next area up by administrative code.
    official_parents: Vec<Option<Area>>,
}

impl AreaTree {
    /// The tree of an atlas. Missing levels are passed over.
    pub fn new(atlas: &Atlas) -> Self {
        let layer = |level: AreaLevel| atlas.layer(level.layer()).cloned();
        let functional = layer(AreaLevel::FunctionalArea);
        let levels = AreaLevel::ALL.map(|level| {
            let Some(own) = layer(level) else { return Level::default() };
            let official_parents: Vec<_> =
                own.features().iter().map(|f| official_parent(atlas, level, f)).collect();
            let mut parents = official_parents.clone();
            if let (AreaLevel::Town, Some(functional)) = (level, &functional) {
                for (town, parent) in own.features().iter().zip(&mut parents) {
                    if let Some(index) = functional_area_of(functional, town) {
                        *parent = Some(Area { level: AreaLevel::FunctionalArea, index });
                    }
                }
            }
            Level { layer: Some(own), parents, official_parents }
        });
        Self { levels }
    }

    /// Whether this was made of the atlas's present layers.
    pub fn is_of(&self, atlas: &Atlas) -> bool {
        AreaLevel::ALL.into_iter().zip(&self.levels).all(|(level, own)| {
            match (&own.layer, atlas.layer(level.layer())) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            }
        })
    }

    fn level(&self, level: AreaLevel) -> &Level {
        &self.levels[level as usize]
    }

    /// The area with this code; the highest where levels share it.
    pub fn find(&self, code: &str) -> Option<Area> {
        AreaLevel::ALL.into_iter().find_map(|level| {
            let index = self.level(level).layer.as_ref()?.index_of(code)?;
            Some(Area { level, index })
        })
    }

    /// Code, name and geometry of an area.
    pub fn feature(&self, area: Area) -> Option<&Feature> {
        self.level(area.level).layer.as_ref()?.features().get(area.index as usize)
    }

    /// All areas of a level, by code.
    pub fn areas(&self, level: AreaLevel) -> impl Iterator<Item = Area> + '_ {
        (0..self.level(level).parents.len() as FeatureIndex).map(move |index| Area { level, index })
    }

    /// The next area up in the reports.
    pub fn parent(&self, area: Area) -> Option<Area> {
        self.level(area.level).parents.get(area.index as usize).copied().flatten()
    }

    /// The area and all above it in the reports, from the bottom.
    pub fn line(&self, area: Area) -> impl Iterator<Item = Area> + '_ {
        std::iter::successors(Some(area), |&area| self.parent(area))
    }

    /// Whether the reports count an area as (part of) another.
    pub fn is_within(&self, area: Area, whole: Area) -> bool {
        self.line(area).any(|a| a == whole)
    }

    /// The code of the area of a level that an area officially belongs to, whether or not a
    /// functional area has taken it out of there. For a functional area: where its people are.
    pub fn official_code(&self, area: Area, level: AreaLevel) -> Option<&str> {
        let mut line = std::iter::successors(Some(area), |&area| {
            let own = self.level(area.level);
            own.official_parents.get(area.index as usize).copied().flatten()
        });
        let found = line.find(|a| a.level == level)?;
        self.feature(found).map(|f| f.code.as_str())
    }
}

fn official_parent(atlas: &Atlas, level: AreaLevel, feature: &Feature) -> Option<Area> {
    let uppers: &[AreaLevel] = match level {
        AreaLevel::City => &[],
        AreaLevel::District | AreaLevel::FunctionalArea => &[AreaLevel::City],
        AreaLevel::Town => &[AreaLevel::District, AreaLevel::City],
        AreaLevel::Village => &[AreaLevel::Town, AreaLevel::District, AreaLevel::City],
        AreaLevel::Cell => {
            &[AreaLevel::Village, AreaLevel::Town, AreaLevel::District, AreaLevel::City]
        }
    };
    uppers.iter().find_map(|&upper| {
        let layer = atlas.layer(upper.layer())?;
        let by_name = feature.parent_code.as_deref().and_then(|code| layer.index_of(code));
        let by_prefix = || layer.index_of(&upper.prefix_of(&feature.code)?);
        let by_place = || layer.owner_at(feature.geometry.interior_point()?.0);
        let index = by_name.or_else(by_prefix).or_else(by_place)?;
        Some(Area { level: upper, index })
    })
}

fn functional_area_of(functional: &Layer, town: &Feature) -> Option<FeatureIndex> {
    let listed = |area: &Feature| {
        let towns = area.attributes.get("XZQDMS").and_then(|value| value.as_str());
        towns.map(|towns| {
            towns.split(|c: char| !c.is_ascii_alphanumeric()).any(|code| code == town.code)
        })
    };
    let mut lists = false;
    for (area, index) in functional.features().iter().zip(0..) {
        match listed(area) {
            Some(true) => return Some(index),
            Some(false) => lists = true,
            None => {}
        }
    }
    if lists {
        return None;
    }
    functional.owner_at(town.geometry.interior_point()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::feature::{LayerInfo, LayerKind};
    use geo::{Coord, MultiPolygon, Rect};
    use serde_json::{Value, json};

    /// Squares of one degree: x, y of the lower corner, and width and height.
    fn layer(level: AreaLevel, areas: &[(&str, [i32; 4], Value)]) -> Arc<Layer> {
        let info = LayerInfo {
            name: level.layer().into(),
            kind: LayerKind::Partition,
            title_zh: String::new(),
            title_en: String::new(),
        };
        let features = areas.iter().map(|(code, [x, y, w, h], attributes)| {
            let (min, max) = ((*x as f64, *y as f64), ((x + w) as f64, (y + h) as f64));
            Feature {
                id: 0,
                code: (*code).into(),
                name: None,
                class_code: None,
                class_name: None,
                parent_code: None,
                area_m2: 0.0,
                surveyed_area_m2: None,
                attributes: attributes.clone(),
                geometry: MultiPolygon::new(vec![
                    Rect::new(Coord::from(min), Coord::from(max)).to_polygon(),
                ]),
            }
        });
        Arc::new(Layer::new(info, 1, features.collect()))
    }

    fn tree(towns_listed: bool) -> AreaTree {
        let attributes =
            if towns_listed { json!({"XZQDMS": "350305102, 350305103"}) } else { json!({}) };
        AreaTree::new(&Atlas::new(
            1,
            [
                layer(AreaLevel::City, &[("350300", [0, 0, 9, 9], json!({}))]),
                layer(
                    AreaLevel::District,
                    &[("350302", [0, 0, 4, 9], json!({})), ("350305", [4, 0, 5, 9], json!({}))],
                ),
                layer(AreaLevel::FunctionalArea, &[("350305901", [5, 0, 3, 3], attributes)]),
                layer(
                    AreaLevel::Town,
                    &[
                        ("350305102", [5, 0, 1, 3], json!({})),
                        ("350305104", [4, 3, 5, 6], json!({})),
                        ("999999001", [0, 0, 4, 9], json!({})),
                    ],
                ),
                layer(AreaLevel::Village, &[("350305102001", [5, 0, 1, 1], json!({}))]),
            ],
        ))
    }

    fn codes(tree: &AreaTree, code: &str) -> Vec<String> {
        let area = tree.find(code).unwrap();
        tree.line(area).filter_map(|a| Some(tree.feature(a)?.code.clone())).collect()
    }

    #[test]
    fn a_functional_area_takes_its_towns_out_of_the_district() {
        for listed in [true, false] {
            let tree = tree(listed);
            assert_eq!(
                codes(&tree, "350305102001"),
                ["350305102001", "350305102", "350305901", "350300"]
            );
            assert_eq!(codes(&tree, "350305104"), ["350305104", "350305", "350300"]);
            let town = tree.find("350305102").unwrap();
            assert!(!tree.is_within(town, tree.find("350305").unwrap()));
            assert_eq!(tree.official_code(town, AreaLevel::District), Some("350305"));
        }
    }

    #[test]
    fn where_codes_say_nothing_the_place_does() {
        let tree = tree(true);
        assert_eq!(codes(&tree, "999999001"), ["999999001", "350302", "350300"]);
        assert_eq!(tree.find("350399"), None);
        assert_eq!(codes(&tree, "350305901"), ["350305901", "350300"]);
    }
}
