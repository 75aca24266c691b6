//! Rates of success: closing, closing in time, stopping, reporting, sending back, extending; by
//! area and by department.

use super::case_frame::{CaseView, column};
use super::figures::{Column, Head, Kind, List, Report, Row, Words};
use super::units::{ReportLevel, UnitKey, Units};
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFilter, CaseStatus, Choice};
use crate::tiles::filter::{OPEN, Span};
use polars::prelude::*;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

fn report_columns() -> Vec<Column> {
    let count = |key, zh, en| Column::new(key, Kind::Count, zh, en);
    let rate = |key, of, out_of, zh, en| Column::new(key, Kind::Rate { of, out_of }, zh, en);
    vec![
        count("found", "案件宗数", "Cases"),
        count("due", "应结案", "Due to close"),
        count("closed", "已结案", "Closed"),
        rate("closing_rate", "closed", "due", "结案率", "Closing rate"),
        count("closed_in_time", "按期结案", "Closed in time"),
        rate("in_time_rate", "closed_in_time", "due", "按期结案率", "In-time rate"),
        count("to_stop", "应制止", "To stop"),
        count("stopped_in_time", "按期制止", "Stopped in time"),
        rate("stopping_rate", "stopped_in_time", "to_stop", "制止率", "Stopping rate"),
        count("visited_in_time", "按期到场报告", "Reported in time"),
        rate("reporting_rate", "visited_in_time", "to_stop", "报告率", "Reporting rate"),
        count("applied", "申请结案", "Applied to close"),
        count("returned", "退回返工", "Sent back"),
        rate("return_rate", "returned", "applied", "返工率", "Sent-back rate"),
        count("extended", "延期", "Extended"),
        rate("extension_rate", "extended", "due", "延期率", "Extension rate"),
    ]
}

/// The formulas.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "结案率＝已结案÷应结案；按期结案率＝按期结案÷应结案；延期率＝延期÷应结案。应结案：结案期限落在统计期间内的案件（从表格导入的历史案件以上报后 30 日为期限）；按期：结案时间不晚于结案期限。",
            "Closing rate = closed ÷ due; in-time rate = closed in time ÷ due; extension rate = extended ÷ due. Due: cases whose closing deadline lies in the period (30 days after the report for past cases from a table); in time: closed no later than that.",
        ),
        Words::new(
            "制止率＝按期制止÷应制止；报告率＝按期到场报告÷应制止。应制止：统计期间内上报的案件（不含导入的历史案件）；按期到场报告：首次到场记录不晚于首次到场期限。",
            "Stopping rate = stopped in time ÷ to stop; reporting rate = reported in time ÷ to stop. To stop: cases reported in the period (without past cases from a table); reported in time: first record on site within the deadline for the first visit.",
        ),
        Words::new(
            "返工率＝退回返工÷申请结案，均按统计期间内上报的案件计。驳回、重复、移送的案件不计入各率。分母为零的不计算，以“—”表示。",
            "Sent-back rate = sent back ÷ applied, of the cases reported in the period. Rejected, duplicate and transferred cases count nowhere. Where nothing is due there is no rate.",
        ),
    ]
}

/// The statuses that count.
fn ours() -> Choice {
    let mut choice = Choice::only(CaseStatus::Closed.bit());
    OPEN.iter().for_each(|status| choice.insert(status.bit()));
    choice
}

struct Filters {
    reported: CaseFilter,
    due: CaseFilter,
    visit_seconds: i64,
}

impl Filters {
    fn new(filter: &CaseFilter, head: &Head, visit_seconds: i64) -> Self {
        let (from, until) = head.period.seconds();
        let base = CaseFilter { status: ours(), ..filter.clone() };
        Self {
            reported: CaseFilter { from: Some(from), until: Some(until), ..base.clone() },
            due: CaseFilter { close_due: Span { from: Some(from), until: Some(until) }, ..base },
            visit_seconds,
        }
    }

    /// The cases behind a column.
    fn of(&self, key: &str) -> Option<CaseFilter> {
        let fresh = || CaseFilter { imported: Some(false), ..self.reported.clone() };
        Some(match key {
            "found" => self.reported.clone(),
            "due" => self.due.clone(),
            "closed" => {
                CaseFilter { status: Choice::only(CaseStatus::Closed.bit()), ..self.due.clone() }
            }
            "closed_in_time" => CaseFilter { closed_in_time: Some(true), ..self.due.clone() },
            "extended" => CaseFilter { extended: Some(true), ..self.due.clone() },
            "to_stop" => fresh(),
            "stopped_in_time" => CaseFilter { stopped_in_time: Some(true), ..fresh() },
            "visited_in_time" => CaseFilter { visited_within: Some(self.visit_seconds), ..fresh() },
            "applied" => CaseFilter { applied: Some(true), ..self.reported.clone() },
            "returned" => {
                CaseFilter { applied: Some(true), returned: Some(true), ..self.reported.clone() }
            }
            _ => return None,
        })
    }
}

type Counts = BTreeMap<&'static str, u64>;

/// Counts by the values of a column: place or assignee.
fn counts_by(view: &CaseView, key: &str, filters: &Filters) -> Result<HashMap<u32, Counts>> {
    let mut sums: HashMap<u32, Counts> = HashMap::new();
    let one = |test: Expr| test.fill_null(lit(false)).cast(DataType::Float64).sum();
    let fresh = || col(column::IMPORTED).not();
    let reported = vec![
        ("found", len().cast(DataType::Float64)),
        ("to_stop", one(fresh())),
        (
            "stopped_in_time",
            one(fresh().and(col(column::STOPPED_AT).lt_eq(col(column::STOP_DUE_AT)))),
        ),
        (
            "visited_in_time",
            one(fresh().and(
                col(column::VISITED_AT)
                    .lt_eq(col(column::REPORTED_AT) + lit(filters.visit_seconds)),
            )),
        ),
        ("applied", one(col(column::APPLIED_AT).is_not_null())),
        (
            "returned",
            one(col(column::APPLIED_AT).is_not_null().and(col(column::RETURNED).gt(lit(0u32)))),
        ),
    ];
    let needed = [
        key,
        column::IMPORTED,
        column::REPORTED_AT,
        column::STOPPED_AT,
        column::STOP_DUE_AT,
        column::VISITED_AT,
        column::APPLIED_AT,
        column::RETURNED,
    ];
    gather(view.frame(&filters.reported, &needed)?, key, reported, &mut sums)?;
    let due = vec![
        ("due", len().cast(DataType::Float64)),
        ("closed", one(col(column::STATUS).eq(lit(CaseStatus::Closed as u32)))),
        ("closed_in_time", one(col(column::CLOSED_AT).lt_eq(col(column::CLOSE_DUE_AT)))),
        ("extended", one(col(column::EXTENDED).gt(lit(0u32)))),
    ];
    let needed = [key, column::STATUS, column::CLOSED_AT, column::CLOSE_DUE_AT, column::EXTENDED];
    gather(view.frame(&filters.due, &needed)?, key, due, &mut sums)?;
    Ok(sums)
}

fn gather(
    frame: DataFrame,
    key: &str,
    measures: Vec<(&'static str, Expr)>,
    sums: &mut HashMap<u32, Counts>,
) -> Result<()> {
    let names: Vec<&'static str> = measures.iter().map(|(name, _)| *name).collect();
    let expressions: Vec<Expr> = measures
        .into_iter()
        .map(|(name, expression)| expression.alias(format!("n_{name}")))
        .collect();
    let read = || -> PolarsResult<Vec<(u32, Vec<f64>)>> {
        let frame = frame.lazy().group_by([col(key)]).agg(expressions).collect()?;
        let keys = frame.column(key)?.u32()?.clone();
        let columns = names
            .iter()
            .map(|name| frame.column(&format!("n_{name}"))?.f64().cloned())
            .collect::<PolarsResult<Vec<_>>>()?;
        let row = |i: usize| columns.iter().map(|c| c.get(i).unwrap_or(0.0)).collect();
        Ok(keys.iter().enumerate().filter_map(|(i, k)| Some((k?, row(i)))).collect())
    };
    for (key, values) in read().map_err(|error: PolarsError| Fault::internal(error))? {
        let own = sums.entry(key).or_default();
        for (name, value) in names.iter().zip(values) {
            *own.entry(name).or_default() += value as u64;
        }
    }
    Ok(())
}

fn add(to: &mut Counts, from: &Counts) {
    for (name, count) in from {
        *to.entry(name).or_default() += count;
    }
}

fn row_of(columns: &[Column], counts: &Counts, row: Row) -> Row {
    let count = |column: &Column| counts.get(column.key).copied().unwrap_or(0);
    Row {
        values: columns.iter().map(|c| count(c) as f64).collect(),
        behind: columns.iter().map(count).collect(),
        ..row
    }
}

/// The rates by district, town or village.
pub fn by_area(
    view: &CaseView,
    units: &Units,
    level: ReportLevel,
    filter: &CaseFilter,
    visit_seconds: i64,
    head: Head,
) -> Result<Report> {
    let filters = Filters::new(filter, &head, visit_seconds);
    let mut sums: BTreeMap<UnitKey, Counts> = units.in_force();
    for (place, counts) in counts_by(view, column::PLACE, &filters)? {
        if let Some(place) = view.snapshot.place(place) {
            add(sums.entry(units.key(place)).or_default(), &counts);
        }
    }
    let columns = report_columns();
    let rows = sums.iter().map(|(key, counts)| row_of(&columns, counts, units.row(key))).collect();
    let mut report = Report {
        head,
        groups: level.groups(),
        name: level.title(),
        texts: Vec::new(),
        columns: columns.clone(),
        rows,
        total: Row::default(),
        before: None,
    };
    report.finish();
    report.link(|row, column, behind| {
        let own = units.filter(&row.path, &filters.of(column.key)?);
        Some(List::Cases(Box::new(own), behind))
    });
    Ok(report)
}

/// The department of cases that nobody, or nobody with a department, answers for.
pub const NO_DEPARTMENT: &str = "-";

/// The rates by the department of who answers for the case now. `departments` holds everybody
/// with a department.
pub fn by_department(
    view: &CaseView,
    units: &Units,
    filter: &CaseFilter,
    departments: &HashMap<Uuid, String>,
    visit_seconds: i64,
    head: Head,
) -> Result<Report> {
    let filters = Filters::new(filter, &head, visit_seconds);
    let mut sums: BTreeMap<Option<&str>, Counts> = BTreeMap::new();
    for (assignee, counts) in counts_by(view, column::ASSIGNEE, &filters)? {
        let department = view.person(assignee).and_then(|id| departments.get(&id));
        add(sums.entry(department.map(String::as_str)).or_default(), &counts);
    }
    let columns = report_columns();
    let none = sums.remove(&None);
    let named = sums.iter().map(|(name, counts)| {
        let own = (*name).map(String::from);
        let row = Row { code: own.clone(), name: own, ..Row::default() };
        row_of(&columns, counts, row)
    });
    let nobody = none.iter().map(|counts| {
        let row =
            Row {
                code: Some(NO_DEPARTMENT.into()), name: Some("未指派".into()), ..Row::default()
            };
        row_of(&columns, counts, row)
    });
    let rows = named.chain(nobody).collect();
    let mut report = Report {
        head,
        groups: Vec::new(),
        name: Words::new("部门", "Department"),
        texts: Vec::new(),
        columns: columns.clone(),
        rows,
        total: Row::default(),
        before: None,
    };
    report.finish();
    report.link(|row, column, behind| {
        let mut own = units.filter(&[], &filters.of(column.key)?);
        own.department = row.code.as_deref().map(Into::into);
        Some(List::Cases(Box::new(own), behind))
    });
    Ok(report)
}
