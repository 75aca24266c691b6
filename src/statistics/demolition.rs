//! Demolition against the yearly target; cadre cases apart, new against existing.

use super::case_frame::{CaseView, column};
use super::figures::{Column, Head, Kind, List, Report, Row, RowKind, Words};
use super::period::Period;
use super::units::{ReportLevel, UnitKey, Units};
use crate::error::{Fault, Result};
use crate::tiles::cases::CaseFilter;
use crate::tiles::filter::Span;
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Yearly targets, m², by area code and year.
pub type Targets = HashMap<(String, i32), f64>;

/// What the printed report explains.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "完成率＝本年累计拆除面积÷年度任务。本年指统计截止日所在年度，累计自 1 月 1 日至统计截止日；拆除面积按拆除日期统计。未下达任务的，年度任务为 0，不计算完成率。",
            "Completion = demolished this year ÷ yearly target. The year is that of the period's last day, from 1 January to that day; demolished land counts by the day of demolition. Without a target there is no rate.",
        ),
        Words::new(
            "党员干部、新增、存量均为本年累计拆除面积中的部分；未注明新增或存量的只计入合计。党员干部在办：截至时刻仍在办的党员干部案件。",
            "Cadres', new and existing are parts of what was demolished this year; cases not said to be new or existing count in the sum only. Cadres' open: cases of cadres still open as of the moment above.",
        ),
    ]
}

fn report_columns() -> Vec<Column> {
    let area = |key, zh, en| Column::new(key, Kind::Area, zh, en);
    let mut target = area("target", "年度任务", "Yearly target");
    target.distinct = true;
    let rate = Kind::Rate { of: "demolished_year", out_of: "target" };
    vec![
        target,
        area("demolished", "本期拆除", "Demolished in the period"),
        area("demolished_year", "本年累计拆除", "Demolished this year"),
        Column::new("completion_rate", rate, "完成率", "Completion"),
        area("cadre", "其中：党员干部", "of it cadres'"),
        area("new", "其中：新增", "of it new"),
        area("existing", "其中：存量", "of it existing"),
        Column::new("cases", Kind::Count, "本年拆除宗数", "Cases demolished this year"),
        Column::new("cadre_open", Kind::Count, "党员干部在办", "Cadres' open cases"),
    ]
}

type Sums = BTreeMap<&'static str, (f64, u64)>;

/// Demolished m² and cases by place.
fn demolished(view: &CaseView, filter: &CaseFilter) -> Result<Vec<(u32, f64, u64)>> {
    let frame = view.frame(filter, &[column::PLACE, column::DEMOLISHED_M2])?;
    let read = || -> PolarsResult<Vec<(u32, f64, u64)>> {
        let sums = frame
            .lazy()
            .group_by([col(column::PLACE)])
            .agg([
                col(column::DEMOLISHED_M2).sum().alias("m2"),
                len().cast(DataType::UInt64).alias("n"),
            ])
            .collect()?;
        let places = sums.column(column::PLACE)?.u32()?.clone();
        let areas = sums.column("m2")?.f64()?.clone();
        let counts = sums.column("n")?.u64()?.clone();
        let rows = places.iter().zip(areas.iter()).zip(counts.iter());
        Ok(rows
            .filter_map(|((place, m2), n)| Some((place?, m2.unwrap_or(0.0), n.unwrap_or(0))))
            .collect())
    };
    read().map_err(|error: PolarsError| Fault::internal(error))
}

/// The report by district, town or village.
pub fn demolition(
    view: &CaseView,
    units: &Units,
    level: ReportLevel,
    filter: &CaseFilter,
    targets: &Targets,
    head: Head,
) -> Result<Report> {
    use chrono::Datelike;
    let year = head.period.to.year();
    let this_year = Period::year_to(head.period.to);
    let span = |period: Period| {
        let (from, until) = period.seconds();
        Span { from: Some(from), until: Some(until) }
    };
    let in_period = CaseFilter { demolished: span(head.period), ..filter.clone() };
    let in_year = CaseFilter { demolished: span(this_year), ..filter.clone() };
    let filters: [(&'static str, CaseFilter); 7] = [
        ("demolished", in_period),
        ("demolished_year", in_year.clone()),
        ("cases", in_year.clone()),
        ("cadre", CaseFilter { cadre: Some(true), ..in_year.clone() }),
        ("new", CaseFilter { new_build: Some(true), ..in_year.clone() }),
        ("existing", CaseFilter { new_build: Some(false), ..in_year }),
        ("cadre_open", CaseFilter { cadre: Some(true), open: Some(true), ..filter.clone() }),
    ];
    // What the viewer's own filter excludes already stays excluded.
    let contradicts = |key: &str| match key {
        "cadre" | "cadre_open" => filter.cadre == Some(false),
        "new" => filter.new_build == Some(false),
        "existing" => filter.new_build == Some(true),
        _ => false,
    };
    let mut sums: BTreeMap<UnitKey, Sums> = units.in_force();
    for (key, own) in filters.iter().filter(|(key, _)| !contradicts(key)) {
        for (place, m2, cases) in demolished(view, own)? {
            let Some(place) = view.snapshot.place(place) else { continue };
            let sum = sums.entry(units.key(place)).or_default().entry(key).or_default();
            let is_count = matches!(*key, "cases" | "cadre_open");
            sum.0 += if is_count { cases as f64 } else { m2 };
            sum.1 += cases;
        }
    }
    let columns = report_columns();
    let target =
        |code: Option<&str>| code.and_then(|code| targets.get(&(code.to_string(), year))).copied();
    let rows = sums.iter().map(|(key, sums)| {
        let row = units.row(key);
        let sum = |column: &Column| sums.get(column.key).copied().unwrap_or_default();
        let own = target(row.code.as_deref()).unwrap_or(0.0);
        Row {
            values: columns
                .iter()
                .map(|c| if c.key == "target" { own } else { sum(c).0 })
                .collect(),
            behind: columns.iter().map(|c| sum(c).1).collect(),
            ..row
        }
    });
    let mut report = Report {
        rows: rows.collect(),
        head,
        groups: level.groups(),
        name: level.title(),
        texts: Vec::new(),
        columns: columns.clone(),
        total: Row::default(),
        before: None,
    };
    report.finish();
    // A target given to the whole goes before the sum of its parts'.
    let own_area = report.head.area.code.clone();
    let columns = report.columns.clone();
    for row in report.rows.iter_mut().chain([&mut report.total]) {
        let own = match row.kind {
            RowKind::Unit => None,
            RowKind::Subtotal(_) => target(row.code.as_deref()),
            RowKind::Total => target(Some(&own_area)),
        };
        if let (Some(own), Some(at)) = (own, columns.iter().position(|c| c.key == "target")) {
            row.values[at] = own;
            super::figures::derive(&columns, row);
        }
    }
    report.link(|row, column, behind| {
        let (_, own) = filters.iter().find(|(key, _)| *key == column.key && !contradicts(key))?;
        Some(List::Cases(Box::new(units.filter(&row.path, own)), behind))
    });
    Ok(report)
}
