//! What each patroller did. Persons are listed by area and name, never ranked.

use super::case_frame::{CaseView, column};
use super::figures::{Column, Head, Kind, List, Report, Row, Words};
use super::units::Units;
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFilter, CaseStatus, Choice};
use crate::tiles::filter::Span;
use polars::prelude::*;
use std::collections::HashMap;
use uuid::Uuid;

/// A person of the report.
#[derive(Debug, Clone)]
pub struct Patroller {
    pub id: Uuid,
    pub phone: String,
    pub name: String,
    pub role: Words,
    pub department: String,
    /// The names of the areas that hold the person's, widest first.
    pub areas: [String; 2],
}

/// What the histories and visits tell of a person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Patrol records written.
    pub records: u64,
    /// Days with a record, a photo or a track in a cell.
    pub days: u64,
}

/// What the printed report explains.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "发现：本人在统计期间内上报的案件；负责：统计期间内上报、现由本人负责的案件；结案、按期结案：统计期间内结案、由本人负责的案件，按期指不晚于结案期限。",
            "Found: reported by the person in the period; handled: reported in the period and now in the person's hands; closed, closed in time: closed in the period, in the person's hands, the latter no later than the closing deadline.",
        ),
        Words::new(
            "巡查记录：本人在统计期间内填写的巡查记录条数；巡查天数：有巡查记录、照片或轨迹的天数。本表不对个人排名。",
            "Records: patrol records the person wrote in the period; patrol days: days with a record, photo or track. Persons are not ranked.",
        ),
    ]
}

fn report_columns() -> Vec<Column> {
    let count = |key, zh, en| Column::new(key, Kind::Count, zh, en);
    vec![
        count("found", "发现宗数", "Found"),
        count("handled", "负责宗数", "Handled"),
        count("closed", "结案宗数", "Closed"),
        count("closed_in_time", "按期结案", "Closed in time"),
        count("records", "巡查记录", "Patrol records"),
        count("patrol_days", "巡查天数", "Patrol days"),
    ]
}

fn count_by(view: &CaseView, filter: &CaseFilter, key: &str) -> Result<HashMap<Uuid, u64>> {
    let frame = view.frame(filter, &[key])?;
    let read = || -> PolarsResult<HashMap<Uuid, u64>> {
        let counts = frame
            .lazy()
            .group_by([col(key)])
            .agg([len().cast(DataType::UInt64).alias("n")])
            .collect()?;
        let people = counts.column(key)?.u32()?.clone();
        let numbers = counts.column("n")?.u64()?.clone();
        let pairs = people.iter().zip(numbers.iter());
        Ok(pairs.filter_map(|(person, n)| Some((view.person(person?)?, n?))).collect())
    };
    read().map_err(|error: PolarsError| Fault::internal(error))
}

/// The report of the people given, of the cases in the filter's area.
pub fn patrollers(
    view: &CaseView,
    units: &Units,
    filter: &CaseFilter,
    people: &[Patroller],
    work: &HashMap<Uuid, Work>,
    head: Head,
) -> Result<Report> {
    let (from, until) = head.period.seconds();
    let reported = CaseFilter { from: Some(from), until: Some(until), ..filter.clone() };
    let closed = CaseFilter {
        closed: Span { from: Some(from), until: Some(until) },
        status: Choice::only(CaseStatus::Closed.bit()),
        ..filter.clone()
    };
    let in_time = CaseFilter { closed_in_time: Some(true), ..closed.clone() };
    let found = count_by(view, &reported, column::REPORTER)?;
    let handled = count_by(view, &reported, column::ASSIGNEE)?;
    let done = count_by(view, &closed, column::ASSIGNEE)?;
    let done_in_time = count_by(view, &in_time, column::ASSIGNEE)?;
    let columns = report_columns();
    let rows = people.iter().map(|person| {
        let of = |counts: &HashMap<Uuid, u64>| counts.get(&person.id).copied().unwrap_or(0);
        let own = work.get(&person.id).copied().unwrap_or_default();
        let behind =
            vec![of(&found), of(&handled), of(&done), of(&done_in_time), own.records, own.days];
        Row {
            code: Some(person.id.to_string()),
            name: Some(person.name.clone()),
            groups: person.areas.to_vec(),
            path: vec![None, None, Some(person.id.to_string())],
            texts: vec![person.role.zh.clone(), person.department.clone(), person.phone.clone()],
            values: behind.iter().map(|n| *n as f64).collect(),
            behind,
            ..Row::default()
        }
    });
    let period = head.period;
    let mut report = Report {
        rows: rows.collect(),
        head,
        groups: vec![
            Words::new("县区（管委会）", "District or functional area"),
            Words::new("乡镇（街道）", "Town"),
        ],
        name: Words::new("姓名", "Name"),
        texts: vec![
            ("role", Words::new("角色", "Role")),
            ("department", Words::new("部门", "Department")),
            ("phone", Words::new("电话", "Phone")),
        ],
        columns,
        total: Row::default(),
        before: None,
    };
    report.finish();
    report.link(|row, column, behind| {
        let person: Uuid = row.code.as_deref()?.parse().ok()?;
        let own = |base: &CaseFilter| units.filter(&[], base);
        let filter = match column.key {
            "found" => CaseFilter { reporter: Some(person), ..own(&reported) },
            "handled" => CaseFilter { assignee: Some(person), ..own(&reported) },
            "closed" => CaseFilter { assignee: Some(person), ..own(&closed) },
            "closed_in_time" => CaseFilter { assignee: Some(person), ..own(&in_time) },
            "records" => {
                let area = filter.area.as_deref().unwrap_or_default();
                let link = format!(
                    "/api/v1/reports/records?person={person}&area={area}&from={}&to={}",
                    period.from, period.to
                );
                return Some(List::Other(link, behind));
            }
            _ => return None,
        };
        Some(List::Cases(Box::new(filter), behind))
    });
    Ok(report)
}
