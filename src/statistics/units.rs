//! The areas that a report has rows of: those in force, and those that cases still carry from an
//! earlier version of the boundaries. Cases are counted by the codes they carry.

use super::figures::{Row, Words};
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::error::{Fault, FaultKind, Result};
use crate::tiles::cases::{CaseFilter, CasePlace, Unplaced};
use std::collections::BTreeMap;

/// The name of the row of cases without a place.
pub const UNPLACED: &str = "未定位";

/// The level of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportLevel {
    /// Districts and functional areas.
    District,
    Town,
    Village,
}

impl ReportLevel {
    pub const ALL: [Self; 3] = [Self::District, Self::Town, Self::Village];

    /// The name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::District => "district",
            Self::Town => "town",
            Self::Village => "village",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// The level below an area: where nobody says which.
    pub fn below(level: AreaLevel) -> Self {
        match level {
            AreaLevel::City => Self::District,
            AreaLevel::District | AreaLevel::FunctionalArea => Self::Town,
            AreaLevel::Town | AreaLevel::Village | AreaLevel::Cell => Self::Village,
        }
    }

    fn layers(self) -> &'static [AreaLevel] {
        match self {
            Self::District => &[AreaLevel::District, AreaLevel::FunctionalArea],
            Self::Town => &[AreaLevel::Town],
            Self::Village => &[AreaLevel::Village],
        }
    }

    fn depth(self) -> usize {
        self as usize
    }

    /// The titles of the columns that group rows, widest first.
    pub fn groups(self) -> Vec<Words> {
        let all = [
            Words::new("县区（管委会）", "District or functional area"),
            Words::new("乡镇（街道）", "Town"),
        ];
        all.into_iter().take(self.depth()).collect()
    }

    /// The title of the column of names.
    pub fn title(self) -> Words {
        match self {
            Self::District => Words::new("县区（管委会）", "District or functional area"),
            Self::Town => Words::new("乡镇（街道）", "Town"),
            Self::Village => Words::new("村（社区）", "Village"),
        }
    }
}

/// Which row a case belongs to: codes from the widest to the level; missing ones come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitKey(Vec<Code>);

/// `None` sorts behind every code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Code {
    Known(Box<str>),
    None,
}

impl Code {
    fn of(code: Option<&str>) -> Self {
        code.map_or(Self::None, |code| Self::Known(code.into()))
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Known(code) => Some(code),
            Self::None => None,
        }
    }
}

/// The rows of a report.
pub struct Units<'a> {
    tree: &'a AreaTree,
    area: Area,
    level: ReportLevel,
}

impl<'a> Units<'a> {
    /// The areas of a level inside an area. The level must not be above the area's.
    pub fn new(tree: &'a AreaTree, area: Area, level: ReportLevel) -> Result<Self> {
        if level.layers().iter().all(|layer| layer.depth() < area.level.depth()) {
            return Err(Fault::new(
                FaultKind::Invalid,
                "level_above_area",
                "统计级别高于区域的级别",
                "The level is above that of the area",
            )
            .field("level", "above the area"));
        }
        Ok(Self { tree, area, level })
    }

    /// The row of a place.
    pub fn key(&self, place: &CasePlace) -> UnitKey {
        let top = place.functional_area.as_deref().or(place.district.as_deref());
        let all = [top, place.town.as_deref(), place.village.as_deref()];
        UnitKey(all.iter().take(self.level.depth() + 1).map(|code| Code::of(*code)).collect())
    }

    /// The rows of the areas in force, each with nothing in it.
    pub fn in_force<T: Default>(&self) -> BTreeMap<UnitKey, T> {
        let tree = self.tree;
        let areas = self.level.layers().iter().flat_map(|&layer| tree.areas(layer));
        let inside = areas.filter(|unit| tree.is_within(*unit, self.area));
        inside.map(|unit| (self.key_of(unit), T::default())).collect()
    }

    /// The row of an area in force.
    pub fn key_of(&self, unit: Area) -> UnitKey {
        let mut codes = [None, None, None];
        for area in self.tree.line(unit) {
            let slot = match area.level {
                AreaLevel::District | AreaLevel::FunctionalArea => 0,
                AreaLevel::Town => 1,
                AreaLevel::Village => 2,
                AreaLevel::City | AreaLevel::Cell => continue,
            };
            codes[slot] = self.tree.feature(area).map(|feature| feature.code.as_str());
        }
        UnitKey(codes.iter().take(self.level.depth() + 1).map(|code| Code::of(*code)).collect())
    }

    fn name(&self, code: &str) -> String {
        let feature = self.tree.find(code).and_then(|area| self.tree.feature(area));
        feature.and_then(|f| f.name.clone()).unwrap_or_else(|| code.to_string())
    }

    /// Code, names and parents of a row; the figures are the caller's.
    pub fn row(&self, key: &UnitKey) -> Row {
        let code = key.0.last().and_then(Code::text);
        let above = key.0.iter().rev().skip(1).find_map(Code::text);
        let city = || {
            let areas = self.tree.areas(AreaLevel::City);
            areas.filter_map(|a| self.tree.feature(a)).map(|f| f.code.clone()).next()
        };
        let groups = key.0.iter().take(self.level.depth());
        Row {
            code: code.map(String::from),
            name: Some(code.map_or_else(|| UNPLACED.to_string(), |code| self.name(code))),
            parent_code: above.map(String::from).or_else(|| code.and_then(|_| city())),
            groups: groups
                .map(|code| code.text().map_or_else(|| UNPLACED.to_string(), |c| self.name(c)))
                .collect(),
            path: key.0.iter().map(|code| code.text().map(String::from)).collect(),
            ..Row::default()
        }
    }

    /// The cases of a row, a sub-total (a shorter path) or the total (none), from the report's.
    pub fn filter(&self, path: &[Option<String>], base: &CaseFilter) -> CaseFilter {
        let own = self.tree.feature(self.area).map(|feature| feature.code.as_str());
        let known = path.iter().rposition(Option::is_some);
        let narrowest = known.and_then(|at| path.get(at)?.as_deref());
        let mut filter = base.clone();
        filter.area = narrowest.or(own).map(Into::into);
        if known.map_or(0, |at| at + 1) < path.len() {
            filter.unplaced = match known {
                None => Some(Unplaced::District),
                Some(0) => Some(Unplaced::Town),
                Some(_) => Some(Unplaced::Village),
            };
        }
        // What holds the unit, as the cases carry it: it may have changed since.
        let top = || path.first().and_then(Option::as_deref);
        let holder = match self.area.level {
            AreaLevel::City => top(),
            _ => own,
        };
        filter.within = holder.filter(|h| filter.area.as_deref() != Some(*h)).map(Into::into);
        filter
    }
}
