//! The case report (列表): what cases take of the land, by district, town or village.
//!
//! Cases count by the day they were reported, demolished m² by the day of demolition; days are
//! those of Asia/Shanghai, both ends included.

use super::case_frame::{CaseView, column};
use super::figures::{Column, Head, Kind, List, Report, Row, Words};
use super::units::{ReportLevel, UnitKey, Units};
use crate::atlas::category::Category;
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFilter, CaseStatus, Choice, category_bit};
use crate::tiles::filter::{OPEN, Span};
use polars::prelude::*;
use std::collections::BTreeMap;

const CULTIVATED: &[&str] = &["basic_farmland", "farmland"];
const TOTAL: &[&str] = &["basic_farmland", "farmland", "non_farmland", "homestead", "mine"];

fn report_columns() -> Vec<Column> {
    let area = |key, zh, en| Column::new(key, Kind::Area, zh, en);
    let count = |key, zh, en| Column::new(key, Kind::Count, zh, en);
    vec![
        area("basic_farmland", "基本农田", "Basic farmland"),
        area("farmland", "耕地", "Other cultivated land"),
        area("non_farmland", "非耕地", "Other land"),
        area("homestead", "宅基地", "Homestead"),
        area("mine", "矿山", "Mine"),
        Column::new("total", Kind::Sum(TOTAL), "占地合计", "Total occupied"),
        Column::new(
            "cultivated",
            Kind::Sum(CULTIVATED),
            "其中耕地（含基本农田）",
            "Cultivated in all",
        ),
        area("reported", "上报面积", "As reported"),
        area("demolished", "拆除面积", "Demolished"),
        count("found", "发现宗数", "Found"),
        count("closed", "结案宗数", "Closed"),
        count("open", "在办宗数", "Open"),
        count("overdue", "逾期宗数", "Overdue"),
        count("without_area", "未填面积宗数", "Without area"),
    ]
}

/// What the printed report explains.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "宗数和占地面积按上报日期统计，拆除面积按拆除日期统计；日期为北京时间，首尾两日均计入。",
            "Cases and occupied land count by the day of report, demolished land by the day of demolition; days are Beijing time, both ends included.",
        ),
        Words::new(
            "有范围线的案件按范围线与地类图斑叠加的椭球面积分地类计算；仅有点位的案件按上报面积计入点位所在地类；两者皆无的计 0 平方米，列入“未填面积宗数”。",
            "A case with a footprint counts its ellipsoidal area by category; one with only a point counts the reported area in the category at the point; one with neither counts 0 m² and is among those without area.",
        ),
        Words::new(
            "五类占地之和等于占地合计；结案、在办、逾期为截至时刻的状态，驳回、重复、移送的案件只计入发现宗数。",
            "The five categories add up to the total; closed, open and overdue are as of the moment above; rejected, duplicate and transferred cases count as found only.",
        ),
        Words::new(
            "管委会（功能区）所辖乡镇不计入原县区；1 亩 = 2000/3 平方米。",
            "Towns of a functional area are not counted in the surrounding district; 1 mu = 2000/3 m².",
        ),
    ]
}

/// The sums of one row.
#[derive(Debug, Clone, Default)]
struct Sums {
    values: BTreeMap<&'static str, (f64, u64)>,
}

impl Sums {
    fn add(&mut self, key: &'static str, value: f64, behind: u64) {
        let sum = self.values.entry(key).or_default();
        sum.0 += value;
        sum.1 += behind;
    }
}

/// The report of the cases that `filter` admits, its period apart.
pub fn cases_report(
    view: &CaseView,
    units: &Units,
    level: ReportLevel,
    filter: &CaseFilter,
    head: Head,
) -> Result<Report> {
    let (from, until) = head.period.seconds();
    let as_of = head.as_of.timestamp();
    let found = CaseFilter { from: Some(from), until: Some(until), ..filter.clone() };
    let torn_down =
        CaseFilter { demolished: Span { from: Some(from), until: Some(until) }, ..filter.clone() };
    let mut sums: BTreeMap<UnitKey, Sums> = units.in_force();
    add_found(view, units, &found, as_of, &mut sums).map_err(Fault::internal)??;
    add_demolished(view, units, &torn_down, &mut sums).map_err(Fault::internal)??;

    let columns = report_columns();
    let rows = sums.iter().map(|(key, sums)| {
        let sum = |column: &Column| sums.values.get(column.key).copied().unwrap_or_default();
        Row {
            values: columns.iter().map(|column| sum(column).0).collect(),
            behind: columns.iter().map(|column| sum(column).1).collect(),
            ..units.row(key)
        }
    });
    let mut report = Report {
        rows: rows.collect(),
        groups: level.groups(),
        name: level.title(),
        texts: Vec::new(),
        columns: columns.clone(),
        total: Row::default(),
        before: None,
        head,
    };
    report.finish();
    report.link(|row, column, behind| {
        let base = if column.key == "demolished" { &torn_down } else { &found };
        let mut own = units.filter(&row.path, base);
        match column.key {
            "total" => own.without_area = Some(false),
            "cultivated" => {
                own.takes = Choice::only(category_bit(Category::BasicFarmland));
                own.takes.insert(category_bit(Category::Farmland));
            }
            "closed" => own.status = Choice::only(CaseStatus::Closed.bit()),
            "open" => own.open = Some(true),
            "overdue" => (own.overdue, own.as_of) = (Some(true), as_of),
            "without_area" => own.without_area = Some(true),
            "found" | "demolished" => {}
            key => match Category::parse(key) {
                Some(category) => own.takes = Choice::only(category_bit(category)),
                None => return None,
            },
        }
        Some(List::Cases(Box::new(own), behind))
    });
    Ok(report)
}

/// Rows of a frame grouped by place: the place, and the columns by name.
fn each_place(
    frame: DataFrame,
    measures: Vec<Expr>,
    names: &[&'static str],
    mut take: impl FnMut(u32, &[f64]),
) -> PolarsResult<()> {
    let sums = frame.lazy().group_by([col(column::PLACE)]).agg(measures).collect()?;
    let places = sums.column(column::PLACE)?.u32()?.clone();
    let columns = names
        .iter()
        .map(|name| sums.column(name)?.cast(&DataType::Float64)?.f64().cloned())
        .collect::<PolarsResult<Vec<_>>>()?;
    for (row, place) in places.iter().enumerate() {
        let values: Vec<f64> =
            columns.iter().map(|column| column.get(row).unwrap_or(0.0)).collect();
        take(place.unwrap_or(u32::MAX), &values);
    }
    Ok(())
}

fn add_found(
    view: &CaseView,
    units: &Units,
    found: &CaseFilter,
    as_of: i64,
    sums: &mut BTreeMap<UnitKey, Sums>,
) -> PolarsResult<Result<()>> {
    let mut needed = vec![column::PLACE, column::STATUS, column::DUE_AT, column::REPORTED_M2];
    needed.extend(Category::ALL.map(Category::as_str));
    let frame = match view.frame(found, &needed) {
        Ok(frame) => frame,
        Err(fault) => return Ok(Err(fault)),
    };
    let is_open = || {
        let any = OPEN.iter().map(|status| col(column::STATUS).eq(lit(*status as u32)));
        any.reduce(Expr::or).unwrap_or_else(|| lit(false))
    };
    let counted = |test: Expr| test.cast(DataType::Float64).sum();
    let total = Category::ALL.iter().map(|c| col(c.as_str())).reduce(|a, b| a + b);
    let total = total.unwrap_or_else(|| lit(0.0));
    let cultivated = col("basic_farmland") + col("farmland");
    let mut measures = Vec::new();
    let mut names: Vec<&'static str> = Vec::new();
    let mut measure = |name: &'static str, expression: Expr| {
        measures.push(expression.alias(name));
        names.push(name);
    };
    const TAKES: [&str; 5] =
        ["n_basic_farmland", "n_farmland", "n_non_farmland", "n_homestead", "n_mine"];
    for (category, name) in Category::ALL.into_iter().zip(TAKES) {
        let own = || col(category.as_str());
        measure(category.as_str(), own().sum());
        measure(name, counted(own().gt(lit(0.0))));
    }
    measure("n_total", counted(total.clone().gt(lit(0.0))));
    measure("n_cultivated", counted(cultivated.gt(lit(0.0))));
    measure("reported", col(column::REPORTED_M2).sum());
    measure("found", len().cast(DataType::Float64));
    measure("closed", counted(col(column::STATUS).eq(lit(CaseStatus::Closed as u32))));
    measure("open", counted(is_open()));
    let late = col(column::DUE_AT).lt(lit(as_of)).fill_null(lit(false));
    measure("overdue", counted(is_open().and(late)));
    measure("without_area", counted(total.gt(lit(0.0)).not()));
    each_place(frame, measures, &names.clone(), |place, values| {
        let Some(place) = view.snapshot.place(place) else { return };
        let row = sums.entry(units.key(place)).or_default();
        let value = |name: &str| names.iter().position(|n| *n == name).map_or(0.0, |i| values[i]);
        for (category, takes) in Category::ALL.into_iter().zip(TAKES) {
            row.add(category.as_str(), value(category.as_str()), value(takes) as u64);
        }
        row.add("total", 0.0, value("n_total") as u64);
        row.add("cultivated", 0.0, value("n_cultivated") as u64);
        row.add("reported", value("reported"), 0);
        for name in ["found", "closed", "open", "overdue", "without_area"] {
            row.add(name, value(name), value(name) as u64);
        }
    })?;
    Ok(Ok(()))
}

fn add_demolished(
    view: &CaseView,
    units: &Units,
    torn_down: &CaseFilter,
    sums: &mut BTreeMap<UnitKey, Sums>,
) -> PolarsResult<Result<()>> {
    let frame = match view.frame(torn_down, &[column::PLACE, column::DEMOLISHED_M2]) {
        Ok(frame) => frame,
        Err(fault) => return Ok(Err(fault)),
    };
    let measures = vec![
        col(column::DEMOLISHED_M2).sum().alias("demolished"),
        len().cast(DataType::Float64).alias("cases"),
    ];
    each_place(frame, measures, &["demolished", "cases"], |place, values| {
        let Some(place) = view.snapshot.place(place) else { return };
        let row = sums.entry(units.key(place)).or_default();
        row.add("demolished", values[0], values[1] as u64);
    })?;
    Ok(Ok(()))
}
