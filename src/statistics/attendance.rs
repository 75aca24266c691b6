//! Patrol attendance (巡查到位率): visits made of those due, by area.

use super::figures::{Column, Head, Kind, List, Report, Row, Words};
use super::units::{ReportLevel, UnitKey, Units};
use crate::atlas::areas::Area;
use std::collections::BTreeMap;

/// What one plan asks of one cell in the period.
#[derive(Debug, Clone, Copy)]
pub struct CellVisits {
    pub cell: Area,
    pub due: u64,
    pub made: u64,
}

/// The formula.
pub fn foot() -> Vec<Words> {
    vec![
        Words::new(
            "巡查到位率＝实到次数÷应到次数。应到次数来自巡查计划：统计期间内结束的各巡查时段，每个网格应到的次数；实到：时段内有真实巡查记录、照片或轨迹的天数，不超过应到次数。",
            "Attendance = visits made ÷ visits due. Due: what the patrol plans ask of each cell in the windows that end in the period; made: days in the window with a genuine record, photo or track, at most as many as are due.",
        ),
        Words::new(
            "到访由记录、照片和轨迹自动得出，无需打卡；本表不对个人排名。",
            "Visits follow from records, photos and tracks; nobody clocks in, and persons are not ranked.",
        ),
    ]
}

fn report_columns() -> Vec<Column> {
    let count = |key, zh, en| Column::new(key, Kind::Count, zh, en);
    let rate = Kind::Rate { of: "made", out_of: "due" };
    vec![
        count("cells", "计划网格", "Cells planned"),
        count("due", "应到次数", "Visits due"),
        count("made", "实到次数", "Visits made"),
        Column::new("attendance_rate", rate, "到位率", "Attendance"),
        count("unvisited", "未到网格", "Cells never visited"),
    ]
}

/// The report by district, town or village: a cell under several plans counts with each.
pub fn attendance(units: &Units, level: ReportLevel, visits: &[CellVisits], head: Head) -> Report {
    let mut sums: BTreeMap<UnitKey, [u64; 4]> = units.in_force();
    for own in visits {
        let sum = sums.entry(units.key_of(own.cell)).or_default();
        sum[0] += 1;
        sum[1] += own.due;
        sum[2] += own.made;
        sum[3] += u64::from(own.due > 0 && own.made == 0);
    }
    let columns = report_columns();
    let rows = sums.iter().map(|(key, [cells, due, made, unvisited])| Row {
        values: vec![*cells as f64, *due as f64, *made as f64, 0.0, *unvisited as f64],
        // One entry of the list for each plan and cell.
        behind: vec![*cells, *cells, *cells, 0, 0],
        ..units.row(key)
    });
    let period = head.period;
    let area = head.area.code.clone();
    let mut report = Report {
        rows: rows.collect(),
        head,
        groups: level.groups(),
        name: level.title(),
        texts: Vec::new(),
        columns,
        total: Row::default(),
        before: None,
    };
    report.finish();
    report.link(|row, column, behind| {
        if !matches!(column.key, "cells" | "due" | "made") {
            return None;
        }
        let own = row.path.iter().rev().find_map(Option::as_deref).unwrap_or(&area);
        let link = format!("/api/v1/patrol/due?area={own}&from={}&to={}", period.from, period.to);
        Some(List::Other(link, behind))
    });
    report
}
