//! Makes reports of what is in memory and in the store: for the API, the command line, frozen
//! months and the monthly files.

use super::world::World;
use super::{Store, report_facts};
use crate::atlas::areas::{Area, AreaTree};
use crate::enforcement::clock::day_of;
use crate::error::{Fault, FaultKind, Result};
use crate::statistics::case_frame::CaseView;
use crate::statistics::cases_report::{self, cases_report};
use crate::statistics::figures::{Head, Report, Subject, Words};
use crate::statistics::period::Period;
use crate::statistics::units::{ReportLevel, Units};
use crate::statistics::{attendance, demolition, land_taken, patrollers, rates};
use crate::tiles::cases::CaseFilter;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// The reports there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    Cases,
    Patrollers,
    Success,
    Attendance,
    Demolition,
    Departments,
    Land,
}

impl ReportKind {
    pub const ALL: [Self; 7] = [
        Self::Cases,
        Self::Patrollers,
        Self::Success,
        Self::Attendance,
        Self::Demolition,
        Self::Departments,
        Self::Land,
    ];

    /// The name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cases => "cases",
            Self::Patrollers => "patrollers",
            Self::Success => "success",
            Self::Attendance => "attendance",
            Self::Demolition => "demolition",
            Self::Departments => "departments",
            Self::Land => "land",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Cases => ("“两违”案件统计表", "Illegal land use and construction: cases"),
            Self::Patrollers => ("巡查人员工作情况表", "Patrollers' work"),
            Self::Attendance => ("网格巡查到位率统计表", "Patrol attendance"),
            Self::Success => ("案件处置成效统计表", "Success of enforcement by area"),
            Self::Demolition => {
                ("“两违”拆除任务完成情况表", "Demolition against the yearly target")
            }
            Self::Departments => ("部门处置成效统计表", "Success of enforcement by department"),
            Self::Land => ("“两违”占用土地情况表", "Land taken by illegal use and construction"),
        }
    }

    fn foot(self) -> Vec<Words> {
        match self {
            Self::Cases => cases_report::foot(),
            Self::Attendance => attendance::foot(),
            Self::Patrollers => patrollers::foot(),
            Self::Success | Self::Departments => rates::foot(),
            Self::Demolition => demolition::foot(),
            Self::Land => land_taken::foot(),
        }
    }

    /// Columns that a comparison shows of the other period: key, then the keys of what it was and
    /// of the change.
    fn compared(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::Cases => &[
                ("total", "total_before", "total_change"),
                ("demolished", "demolished_before", "demolished_change"),
                ("found", "found_before", "found_change"),
                ("closed", "closed_before", "closed_change"),
            ],
            Self::Success | Self::Departments => &[
                ("found", "found_before", "found_change"),
                ("closing_rate", "closing_rate_before", "closing_rate_change"),
                ("in_time_rate", "in_time_rate_before", "in_time_rate_change"),
                ("stopping_rate", "stopping_rate_before", "stopping_rate_change"),
            ],
            Self::Attendance => &[
                ("due", "due_before", "due_change"),
                ("attendance_rate", "attendance_rate_before", "attendance_rate_change"),
            ],
            Self::Demolition => &[("demolished", "demolished_before", "demolished_change")],
            Self::Patrollers => &[
                ("found", "found_before", "found_change"),
                ("closed", "closed_before", "closed_change"),
            ],
            Self::Land => &[("cultivated", "cultivated_before", "cultivated_change")],
        }
    }
}

/// What a report is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The month, quarter or year before; of other periods as many days.
    Previous,
    /// The same period a year before.
    YearBefore,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    pub kind: ReportKind,
    pub area: String,
    /// The level below the area's where none is named.
    pub level: Option<ReportLevel>,
    /// From January the first to today where none is named.
    pub period: Option<Period>,
    /// Filters beside area and period; with the viewer's scope.
    pub filter: CaseFilter,
    pub comparison: Option<Comparison>,
    /// The key of a column.
    pub rank: Option<String>,
}

/// What the parts of a report work with: one moment of the store.
pub struct Sources {
    pub view: CaseView,
    pub tree: Arc<AreaTree>,
    pub area: Area,
    pub level: ReportLevel,
    pub filter: CaseFilter,
}

/// The report of an area, as of now: whatever was committed before the call is in it.
pub fn report(store: &Store, world: &World, ask: &Ask, now: DateTime<Utc>) -> Result<Report> {
    world.refresh(store)?;
    let atlas = world.atlas.load_full();
    let tree = world.land.tree(&atlas);
    let area = tree.find(&ask.area).ok_or_else(|| unknown_area(&ask.area))?;
    let feature = tree.feature(area).ok_or_else(|| unknown_area(&ask.area))?;
    let level = ask.level.unwrap_or(ReportLevel::below(area.level));
    Units::new(&tree, area, level)?;
    let filter = CaseFilter { area: Some(ask.area.as_str().into()), ..ask.filter.clone() };
    let own_filter = CaseFilter { area: None, scope: None, ..ask.filter.clone() };
    let period = ask.period.unwrap_or(Period::year_to(day_of(now)));
    let (zh, en) = ask.kind.title();
    let name = feature.name.clone().unwrap_or_else(|| feature.code.clone());
    let head = Head {
        title: Words::new(format!("{name}{zh}"), format!("{name}: {en}")),
        as_of: now,
        generation: atlas.generation(),
        area: Subject { code: feature.code.clone(), name, level: area.level.layer().into() },
        level: level.as_str(),
        period,
        filter: own_filter.to_query(),
        foot: ask.kind.foot(),
    };
    let view = world.frames.view(world.cases.snapshot())?;
    let sources = Sources { view, tree, area, level, filter };
    let mut report = build(store, world, ask.kind, &sources, head.clone())?;
    if let Some(comparison) = ask.comparison {
        let before = match comparison {
            Comparison::Previous => period.previous(),
            Comparison::YearBefore => period.year_before(),
        };
        if let Some(period) = before {
            let other = build(store, world, ask.kind, &sources, Head { period, ..head })?;
            report.compare(&other, ask.kind.compared());
        }
    }
    if let Some(key) = &ask.rank {
        if ask.kind == ReportKind::Patrollers {
            return Err(Fault::invalid("人员不排名", "Persons are not ranked")
                .field("rank", "not for persons"));
        }
        if report.column(key).is_none() {
            return Err(Fault::invalid("没有这一列", "There is no such column")
                .field("rank", "the key of a column"));
        }
        report.rank(key);
    }
    Ok(report)
}

fn build(
    store: &Store,
    world: &World,
    kind: ReportKind,
    sources: &Sources,
    head: Head,
) -> Result<Report> {
    let Sources { view, tree, area, level, filter } = sources;
    let units = Units::new(tree, *area, *level)?;
    match kind {
        ReportKind::Cases => cases_report(view, &units, *level, filter, head),
        ReportKind::Success => {
            let visit = report_facts::first_visit_seconds(world);
            rates::by_area(view, &units, *level, filter, visit, head)
        }
        ReportKind::Departments => {
            let visit = report_facts::first_visit_seconds(world);
            let people = report_facts::departments(world);
            rates::by_department(view, &units, filter, &people, visit, head)
        }
        ReportKind::Patrollers => {
            let work = report_facts::work(store, filter, head.period)?;
            let people = report_facts::patrollers(world, tree, *area);
            patrollers::patrollers(view, &units, filter, &people, &work, head)
        }
        ReportKind::Attendance => {
            let visits = report_facts::visits(store, tree, *area, head.period, head.as_of)?;
            Ok(attendance::attendance(&units, *level, &visits, head))
        }
        ReportKind::Demolition => {
            let targets = report_facts::targets(world);
            demolition::demolition(view, &units, *level, filter, &targets, head)
        }
        ReportKind::Land => {
            let basis = report_facts::land_basis(world, &head.area.code, *level)?;
            land_taken::land_taken(view, &units, *level, filter, &basis, head)
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
