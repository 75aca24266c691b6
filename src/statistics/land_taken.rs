//! What cases took of the land, by area and year, against what the land survey says there is.

use super::case_frame::{CaseView, column};
use super::figures::{Column, Head, Kind, List, Report, Row, RowKind, Words};
use super::units::{ReportLevel, UnitKey, Units};
use crate::atlas::category::{Category, CategoryAreas};
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFilter, CaseStatus, Choice, category_bit};
use crate::tiles::filter::OPEN;
use chrono::{Datelike, NaiveDate};
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// The land there is, m², by area code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Basis {
    pub basic_farmland: f64,
    /// With basic farmland.
    pub cultivated: f64,
}

/// What the printed report explains.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "按上报日期分年度统计案件占用土地的椭球面积；驳回、重复的案件不计入。",
            "Land taken by cases, ellipsoidal, by the year of report; rejected and duplicate cases do not count.",
        ),
        Words::new(
            "基本农田占用比例＝占用基本农田面积÷基本农田总面积；耕地占用比例＝占用耕地（含基本农田）面积÷耕地总面积；总面积取自现行地类图斑和永久基本农田图层，按地类图斑椭球面积。",
            "Share of basic farmland = basic farmland taken ÷ all basic farmland; share of cultivated land likewise, basic farmland included; what there is comes from the parcels and basic farmland in force, ellipsoidal.",
        ),
    ]
}

const CULTIVATED: &[&str] = &["basic_farmland", "farmland"];
const TOTAL: &[&str] = &["basic_farmland", "farmland", "non_farmland", "homestead", "mine"];

fn report_columns() -> Vec<Column> {
    let area = |key, zh, en| Column::new(key, Kind::Area, zh, en);
    let fixed = |key, zh, en| Column { distinct: true, ..area(key, zh, en) };
    let rate = |key, of, out_of, zh, en| Column::new(key, Kind::Rate { of, out_of }, zh, en);
    vec![
        area("basic_farmland", "基本农田", "Basic farmland"),
        area("farmland", "耕地", "Other cultivated land"),
        area("non_farmland", "非耕地", "Other land"),
        area("homestead", "宅基地", "Homestead"),
        area("mine", "矿山", "Mine"),
        Column::new("total", Kind::Sum(TOTAL), "占地合计", "Total taken"),
        Column::new(
            "cultivated",
            Kind::Sum(CULTIVATED),
            "其中耕地（含基本农田）",
            "Cultivated in all",
        ),
        fixed("survey_basic_farmland", "基本农田总面积", "All basic farmland"),
        rate(
            "basic_farmland_share",
            "basic_farmland",
            "survey_basic_farmland",
            "基本农田占用比例",
            "Share of basic farmland",
        ),
        fixed("survey_cultivated", "耕地总面积", "All cultivated land"),
        rate(
            "cultivated_share",
            "cultivated",
            "survey_cultivated",
            "耕地占用比例",
            "Share of cultivated land",
        ),
    ]
}

/// The statuses that count.
fn taking() -> Choice {
    let mut choice = Choice::only(CaseStatus::Closed.bit() | CaseStatus::Transferred.bit());
    OPEN.iter().for_each(|status| choice.insert(status.bit()));
    choice
}

/// One group per area of the level, one row per calendar year that the period touches.
pub fn land_taken(
    view: &CaseView,
    units: &Units,
    level: ReportLevel,
    filter: &CaseFilter,
    basis: &HashMap<String, Basis>,
    head: Head,
) -> Result<Report> {
    let (from, until) = head.period.seconds();
    let base = CaseFilter { status: taking(), ..filter.clone() };
    let whole = CaseFilter { from: Some(from), until: Some(until), ..base.clone() };
    let years = head.period.from.year()..=head.period.to.year();
    if years.clone().count() > 50 {
        return Err(Fault::invalid("统计期间不能超过 50 年", "The period may be 50 years at most")
            .field("from", "at most 50 years"));
    }
    let mut needed = vec![column::PLACE, column::REPORTED_AT];
    needed.extend(Category::ALL.map(Category::as_str));
    let frame = view.frame(&whole, &needed)?;
    type ByYear = BTreeMap<i32, (CategoryAreas, [u64; 7])>;
    let mut sums: BTreeMap<UnitKey, ByYear> = units.in_force();
    for year in years.clone() {
        let limits = year_limits(year, from, until);
        for (place, areas, counts) in taken(&frame, limits)? {
            let Some(place) = view.snapshot.place(place) else { continue };
            let own = sums.entry(units.key(place)).or_default().entry(year).or_default();
            for category in Category::ALL {
                let mut areas = areas;
                *own.0.get_mut(category) += *areas.get_mut(category);
            }
            own.1.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    let columns = report_columns();
    let mut rows = Vec::new();
    for (key, by_year) in &sums {
        let unit = units.row(key);
        let known =
            unit.code.as_ref().and_then(|code| basis.get(code)).copied().unwrap_or_default();
        for year in years.clone() {
            let (areas, counts) = by_year.get(&year).copied().unwrap_or_default();
            let value = |key: &str| match key {
                "survey_basic_farmland" => known.basic_farmland,
                "survey_cultivated" => known.cultivated,
                key => Category::parse(key).map_or(0.0, |c| *areas.clone().get_mut(c)),
            };
            let values = columns.iter().map(|column| value(column.key)).collect();
            let behind =
                columns.iter().enumerate().map(|(i, _)| counts.get(i).copied().unwrap_or(0));
            let mut groups = unit.groups.clone();
            groups.push(unit.name.clone().unwrap_or_default());
            let mut path = unit.path.clone();
            path.push(Some(year.to_string()));
            rows.push(Row {
                code: Some(year.to_string()),
                name: Some(year.to_string()),
                parent_code: unit.code.clone(),
                groups,
                path,
                values,
                behind: behind.collect(),
                ..Row::default()
            });
        }
    }
    let mut groups = level.groups();
    groups.push(level.title());
    let mut report = Report {
        rows,
        groups,
        name: Words::new("年度", "Year"),
        texts: Vec::new(),
        columns: columns.clone(),
        total: Row::default(),
        before: None,
        head,
    };
    report.finish();
    fix_survey(&mut report, basis);
    report.link(|row, column, behind| {
        let mut path = row.path.clone();
        let mut own = whole.clone();
        if row.kind == RowKind::Unit {
            let year: i32 = path.pop()??.parse().ok()?;
            let (from, until) = year_limits(year, from, until);
            (own.from, own.until) = (Some(from), Some(until));
        }
        let mut own = units.filter(&path, &own);
        match column.key {
            "total" => own.without_area = Some(false),
            "cultivated" => {
                own.takes = Choice::only(
                    category_bit(Category::BasicFarmland) | category_bit(Category::Farmland),
                );
            }
            key => own.takes = Choice::only(category_bit(Category::parse(key)?)),
        }
        Some(List::Cases(Box::new(own), behind))
    });
    Ok(report)
}

/// What there is does not add up over years: a group has its own, and the whole that of the area.
fn fix_survey(report: &mut Report, basis: &HashMap<String, Basis>) {
    let own_area = report.head.area.code.clone();
    let columns = report.columns.clone();
    for row in report.rows.iter_mut().chain([&mut report.total]) {
        let code = match row.kind {
            RowKind::Unit => continue,
            RowKind::Subtotal(_) => row.code.clone().unwrap_or_default(),
            RowKind::Total => own_area.clone(),
        };
        let known = basis.get(&code).copied().unwrap_or_default();
        for (column, value) in columns.iter().zip(&mut row.values) {
            match column.key {
                "survey_basic_farmland" => *value = known.basic_farmland,
                "survey_cultivated" => *value = known.cultivated,
                _ => {}
            }
        }
        super::figures::derive(&columns, row);
    }
}

fn year_limits(year: i32, from: i64, until: i64) -> (i64, i64) {
    let start =
        |year| NaiveDate::from_ymd_opt(year, 1, 1).map_or(i64::MAX, super::period::start_of);
    (start(year).max(from), start(year + 1).min(until))
}

type Taken = (u32, CategoryAreas, [u64; 7]);

/// Sums by place of the cases reported within limits: areas, and how many cases took of each
/// category, in all, and cultivated land.
fn taken(frame: &DataFrame, (from, until): (i64, i64)) -> Result<Vec<Taken>> {
    let counted = |test: Expr| test.cast(DataType::Float64).sum();
    let total = Category::ALL.iter().map(|c| col(c.as_str())).reduce(|a, b| a + b);
    let total = total.unwrap_or_else(|| lit(0.0));
    let mut measures: Vec<Expr> = Category::ALL.iter().map(|c| col(c.as_str()).sum()).collect();
    for category in Category::ALL {
        let name = format!("n_{}", category.as_str());
        measures.push(counted(col(category.as_str()).gt(lit(0.0))).alias(name));
    }
    measures.push(counted(total.gt(lit(0.0))).alias("n_total"));
    measures.push(
        counted((col("basic_farmland") + col("farmland")).gt(lit(0.0))).alias("n_cultivated"),
    );
    let read = || -> PolarsResult<Vec<Taken>> {
        let sums = frame
            .clone()
            .lazy()
            .filter(
                col(column::REPORTED_AT)
                    .gt_eq(lit(from))
                    .and(col(column::REPORTED_AT).lt(lit(until))),
            )
            .group_by([col(column::PLACE)])
            .agg(measures)
            .collect()?;
        let places = sums.column(column::PLACE)?.u32()?.clone();
        let numbers = |name: &str| sums.column(name)?.f64().cloned();
        let areas =
            Category::ALL.iter().map(|c| numbers(c.as_str())).collect::<PolarsResult<Vec<_>>>()?;
        let mut names: Vec<String> =
            Category::ALL.iter().map(|c| format!("n_{}", c.as_str())).collect();
        names.extend(["n_total".to_string(), "n_cultivated".to_string()]);
        let counts = names.iter().map(|n| numbers(n)).collect::<PolarsResult<Vec<_>>>()?;
        let mut rows = Vec::new();
        for (i, place) in places.iter().enumerate() {
            let Some(place) = place else { continue };
            let mut own = CategoryAreas::default();
            for (category, column) in Category::ALL.into_iter().zip(&areas) {
                *own.get_mut(category) = column.get(i).unwrap_or(0.0);
            }
            let mut behind = [0; 7];
            for (slot, column) in behind.iter_mut().zip(&counts) {
                *slot = column.get(i).unwrap_or(0.0) as u64;
            }
            rows.push((place, own, behind));
        }
        Ok(rows)
    };
    read().map_err(|error: PolarsError| Fault::internal(error))
}
