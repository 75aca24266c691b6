//! The case report (列表): what cases take of the land, by district, town or village.

use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::atlas::category::{Category, CategoryAreas};
use crate::error::{Fault, FaultKind, Result};
use chrono::NaiveDate;
use polars::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The name of the row of cases without a place.
pub const UNPLACED: &str = "未定位";

/// What the report needs of a case. Days are those of Asia/Shanghai.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseFigures {
    /// Code of the functional area or else the district when the case was dispatched.
    pub district: Option<String>,
    pub town: Option<String>,
    pub village: Option<String>,
    pub reported_on: NaiveDate,
    /// m² by category; all 0 without any area.
    pub areas: CategoryAreas,
    /// Neither a footprint nor a reported area.
    pub without_area: bool,
    pub demolished_m2: f64,
    pub demolished_on: Option<NaiveDate>,
    pub state: CaseState,
    /// A deadline of it has passed.
    pub overdue: bool,
}

/// How far a case is, as the report counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaseState {
    #[default]
    Open,
    Closed,
    /// Rejected, a duplicate or transferred: found, but neither open nor closed.
    Gone,
}

/// The level of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportLevel {
    /// Districts and functional areas.
    District,
    Town,
    Village,
}

impl ReportLevel {
    fn layers(self) -> &'static [AreaLevel] {
        match self {
            Self::District => &[AreaLevel::District, AreaLevel::FunctionalArea],
            Self::Town => &[AreaLevel::Town],
            Self::Village => &[AreaLevel::Village],
        }
    }

    fn code_in(self, case: &CaseFigures) -> Option<&str> {
        match self {
            Self::District => case.district.as_deref(),
            Self::Town => case.town.as_deref(),
            Self::Village => case.village.as_deref(),
        }
    }
}

/// One row; areas in m². The five categories add up to `total`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CasesRow {
    /// None in the row of cases without a place and in the totals row.
    pub code: Option<String>,
    pub name: Option<String>,
    pub parent_code: Option<String>,
    #[serde(flatten)]
    pub areas: CategoryAreas,
    pub total: f64,
    pub demolished: f64,
    pub found: u64,
    pub closed: u64,
    pub open: u64,
    pub overdue: u64,
    pub without_area: u64,
}

/// The rows and their totals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CasesReport {
    pub rows: Vec<CasesRow>,
    pub total: CasesRow,
}

const CODE: &str = "code";
const DEMOLISHED: &str = "demolished";
const COUNTS: [&str; 5] = ["found", "closed", "open", "overdue", "without_area"];

/// Reports the cases of an area by the areas of a level inside it. Cases count by the day they
/// were reported, demolished m² by the day of demolition; both ends of the period are included.
/// Every area has a row. Codes that are no longer in force, and cases without a place, which only
/// the city's report holds, have rows of their own at the end: no case is dropped.
pub fn cases_report(
    cases: &[CaseFigures],
    tree: &AreaTree,
    area: Area,
    level: ReportLevel,
    period: RangeInclusive<NaiveDate>,
) -> Result<CasesReport> {
    if level.layers().iter().all(|layer| layer.depth() < area.level.depth()) {
        return Err(Fault::new(
            FaultKind::Invalid,
            "level_above_area",
            "统计级别高于区域的级别",
            "The level is above that of the area",
        ));
    }
    let whole = tree.feature(area).map(|feature| feature.code.as_str());
    let inside: Vec<&CaseFigures> = cases.iter().filter(|c| is_inside(c, area, whole)).collect();
    let mut sums = sums_by_code(&inside, level, &period)?;
    let mut rows = Vec::new();
    for unit in level.layers().iter().flat_map(|&layer| tree.areas(layer)) {
        let Some(feature) = tree.feature(unit).filter(|_| tree.is_within(unit, area)) else {
            continue;
        };
        let parent = tree.parent(unit).and_then(|parent| tree.feature(parent));
        rows.push(CasesRow {
            code: Some(feature.code.clone()),
            name: feature.name.clone(),
            parent_code: parent.map(|p| p.code.clone()),
            ..sums.remove(&feature.code).unwrap_or_default()
        });
    }
    let unplaced = sums.remove("");
    rows.extend(sums.into_iter().map(|(code, row)| CasesRow { code: Some(code), ..row }));
    let name = Some(UNPLACED.into());
    rows.extend(unplaced.map(|row| CasesRow { name, ..row }));
    let total = rows.iter().fold(CasesRow::default(), CasesRow::plus);
    Ok(CasesReport { rows, total })
}

fn is_inside(case: &CaseFigures, area: Area, code: Option<&str>) -> bool {
    match area.level {
        AreaLevel::City => true,
        AreaLevel::District | AreaLevel::FunctionalArea => case.district.as_deref() == code,
        AreaLevel::Town => case.town.as_deref() == code,
        AreaLevel::Village | AreaLevel::Cell => case.village.as_deref() == code,
    }
}

/// Sums by code; cases without one are under the empty code.
fn sums_by_code(
    cases: &[&CaseFigures],
    level: ReportLevel,
    period: &RangeInclusive<NaiveDate>,
) -> Result<BTreeMap<String, CasesRow>> {
    let found = |case: &CaseFigures| period.contains(&case.reported_on);
    let torn_down =
        |case: &CaseFigures| case.demolished_on.is_some_and(|day| period.contains(&day));
    let counted: Vec<&CaseFigures> =
        cases.iter().copied().filter(|c| found(c) || torn_down(c)).collect();
    let codes: Vec<&str> = counted.iter().map(|c| level.code_in(c).unwrap_or_default()).collect();
    let mut columns = vec![Column::new(CODE.into(), codes)];
    for category in Category::ALL {
        let areas: Vec<f64> = counted
            .iter()
            .map(|case| {
                let mut areas = case.areas;
                if found(case) { *areas.get_mut(category) } else { 0.0 }
            })
            .collect();
        columns.push(Column::new(category.as_str().into(), areas));
    }
    let demolished: Vec<f64> =
        counted.iter().map(|c| if torn_down(c) { c.demolished_m2 } else { 0.0 }).collect();
    columns.push(Column::new(DEMOLISHED.into(), demolished));
    let tests: [fn(&CaseFigures) -> bool; 5] = [
        |_| true,
        |case| case.state == CaseState::Closed,
        |case| case.state == CaseState::Open,
        |case| case.state == CaseState::Open && case.overdue,
        |case| case.without_area,
    ];
    for (name, test) in COUNTS.into_iter().zip(tests) {
        let ones: Vec<u64> = counted.iter().map(|c| u64::from(found(c) && test(c))).collect();
        columns.push(Column::new(name.into(), ones));
    }
    let measures =
        Category::ALL.map(Category::as_str).into_iter().chain([DEMOLISHED]).chain(COUNTS);
    let frame = DataFrame::new(counted.len(), columns)
        .map_err(Fault::internal)?
        .lazy()
        .group_by_stable([col(CODE)])
        .agg(measures.map(|name| col(name).sum()).collect::<Vec<_>>())
        .collect()
        .map_err(Fault::internal)?;
    read(&frame).map_err(Fault::internal)
}

fn read(frame: &DataFrame) -> PolarsResult<BTreeMap<String, CasesRow>> {
    let mut rows: Vec<CasesRow> = vec![CasesRow::default(); frame.height()];
    for category in Category::ALL {
        for (row, area) in rows.iter_mut().zip(frame.column(category.as_str())?.f64()?.iter()) {
            *row.areas.get_mut(category) = area.unwrap_or_default();
        }
    }
    for (row, area) in rows.iter_mut().zip(frame.column(DEMOLISHED)?.f64()?.iter()) {
        row.demolished = area.unwrap_or_default();
    }
    let fields: [fn(&mut CasesRow) -> &mut u64; 5] = [
        |row| &mut row.found,
        |row| &mut row.closed,
        |row| &mut row.open,
        |row| &mut row.overdue,
        |row| &mut row.without_area,
    ];
    for (name, field) in COUNTS.into_iter().zip(fields) {
        for (row, count) in rows.iter_mut().zip(frame.column(name)?.u64()?.iter()) {
            *field(row) = count.unwrap_or_default();
        }
    }
    rows.iter_mut().for_each(|row| row.total = row.areas.total());
    let codes = frame.column(CODE)?.str()?.iter().map(|code| code.unwrap_or_default().to_string());
    Ok(codes.zip(rows).collect())
}

impl CasesRow {
    fn plus(mut self, other: &Self) -> Self {
        for category in Category::ALL {
            let mut areas = other.areas;
            *self.areas.get_mut(category) += *areas.get_mut(category);
        }
        self.total = self.areas.total();
        self.demolished += other.demolished;
        self.found += other.found;
        self.closed += other.closed;
        self.open += other.open;
        self.overdue += other.overdue;
        self.without_area += other.without_area;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::feature::{Feature, LayerInfo, LayerKind};
    use crate::atlas::layer::Layer;
    use crate::atlas::lookup::Atlas;
    use geo::{Coord, Rect};
    use std::sync::Arc;

    fn tree() -> AreaTree {
        let layer = |level: AreaLevel, codes: &[&str], towns: &str| {
            let info = LayerInfo {
                name: level.layer().into(),
                kind: LayerKind::Partition,
                title_zh: String::new(),
                title_en: String::new(),
            };
            let features = codes.iter().map(|code| Feature {
                id: 0,
                code: (*code).into(),
                name: Some(format!("名{code}")),
                class_code: None,
                class_name: None,
                parent_code: None,
                area_m2: 0.0,
                surveyed_area_m2: None,
                attributes: serde_json::json!({ "XZQDMS": towns }),
                geometry: Rect::new(Coord { x: 0.0, y: 0.0 }, Coord { x: 1.0, y: 1.0 })
                    .to_polygon()
                    .into(),
            });
            Arc::new(Layer::new(info, 1, features.collect()))
        };
        AreaTree::new(&Atlas::new(
            1,
            [
                layer(AreaLevel::City, &["350300"], ""),
                layer(AreaLevel::District, &["350302", "350305"], ""),
                layer(AreaLevel::FunctionalArea, &["350305901"], "350305102"),
                layer(AreaLevel::Town, &["350302001", "350305101", "350305102"], ""),
            ],
        ))
    }

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 5, day).unwrap_or_default()
    }

    fn case(district: &str, town: &str, reported: u32) -> CaseFigures {
        CaseFigures {
            district: Some(district.into()),
            town: Some(town.into()),
            reported_on: day(reported),
            areas: CategoryAreas { farmland: 100.0, mine: 5.0, ..CategoryAreas::default() },
            ..CaseFigures::default()
        }
    }

    fn report(cases: &[CaseFigures], area: &str, level: ReportLevel) -> CasesReport {
        let tree = tree();
        let area = tree.find(area).unwrap();
        cases_report(cases, &tree, area, level, day(10)..=day(20)).unwrap()
    }

    fn found(report: &CasesReport) -> Vec<(&str, u64)> {
        let code = |row: &CasesRow| row.code.as_deref().or(row.name.as_deref()).unwrap_or("").len();
        assert!(report.rows.iter().all(|row| code(row) > 0));
        report
            .rows
            .iter()
            .map(|r| (r.code.as_deref().or(r.name.as_deref()).unwrap_or(""), r.found))
            .collect()
    }

    #[test]
    fn every_case_is_in_one_row_and_every_area_has_one() {
        let cases = [
            case("350302", "350302001", 10),
            CaseFigures { state: CaseState::Closed, ..case("350302", "350302001", 20) },
            CaseFigures { overdue: true, ..case("350305901", "350305102", 15) },
            case("350305", "350305999", 15),
            CaseFigures { reported_on: day(15), without_area: true, ..CaseFigures::default() },
            case("350302", "350302001", 21),
        ];
        let districts = report(&cases, "350300", ReportLevel::District);
        let expected = [("350302", 2), ("350305", 1), ("350305901", 1), (UNPLACED, 1)];
        assert_eq!(found(&districts), expected);
        let CasesRow { total, found: count, closed, open, overdue, without_area, .. } =
            districts.total;
        assert_eq!((total, count, closed, open, overdue, without_area), (420.0, 5, 1, 4, 1, 1));
        assert_eq!(districts.rows[2].parent_code.as_deref(), Some("350300"));

        let towns = report(&cases, "350300", ReportLevel::Town);
        let expected =
            [("350302001", 2), ("350305101", 0), ("350305102", 1), ("350305999", 1), (UNPLACED, 1)];
        assert_eq!(found(&towns), expected);
        assert_eq!(towns.total, districts.total);
        let district = report(&cases, "350305", ReportLevel::Town);
        assert_eq!(found(&district), [("350305101", 0), ("350305999", 1)]);
        assert_eq!(found(&report(&cases, "350305901", ReportLevel::Town)), [("350305102", 1)]);
    }

    #[test]
    fn what_is_torn_down_counts_by_its_own_day() {
        let torn_down = |reported, demolished| CaseFigures {
            demolished_m2: 40.0,
            demolished_on: Some(day(demolished)),
            ..case("350302", "350302001", reported)
        };
        let report =
            report(&[torn_down(1, 12), torn_down(12, 25)], "350302", ReportLevel::District);
        assert_eq!((report.total.found, report.total.demolished), (1, 40.0));
        assert_eq!(report.total.total, 105.0);
    }

    #[test]
    fn a_period_without_cases_has_zeros_and_a_level_above_the_area_is_refused() {
        let empty = report(&[], "350300", ReportLevel::District);
        assert_eq!((empty.rows.len(), empty.total), (3, CasesRow::default()));
        let tree = tree();
        let town = tree.find("350302001").unwrap();
        assert!(cases_report(&[], &tree, town, ReportLevel::District, day(1)..=day(2)).is_err());
    }
}
