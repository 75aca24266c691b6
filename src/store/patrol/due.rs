//! The visits that the plans ask for in a period, and those made: per plan and cell.

use super::plans::{self, PlanRow};
use super::visits;
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::enforcement::patrol::plan::{Attendance, Due, attendance};
use crate::enforcement::permissions::Scope;
use crate::enforcement::place::codes_of;
use crate::error::Result;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Which visits are asked for.
#[derive(Debug, Clone)]
pub struct DueQuery {
    pub scope: Scope,
    pub area: Option<Scope>,
    pub plan: Option<Uuid>,
    pub cell: Option<String>,
    /// Both included.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Windows that are not over by then are not due.
    pub today: NaiveDate,
}

/// A cell's visits under one plan.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct DueRow {
    pub plan_id: Uuid,
    pub cell_code: String,
    pub cell_name: String,
    pub village_code: Option<String>,
    #[serde(flatten)]
    pub attendance: Attendance,
    /// Each window with the days of visits; only where one cell is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<WindowRow>>,
}

/// One window of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WindowRow {
    #[serde(flatten)]
    pub due: Due,
    pub visited: Vec<NaiveDate>,
}

/// The cells of a plan that the viewer may see, by code.
fn cells_of(tree: &AreaTree, plan: &PlanRow, query: &DueQuery) -> Vec<(Area, String)> {
    let Some(whole) = tree.find(&plan.area_code) else { return Vec::new() };
    let named = |code: &String| plan.cells.as_ref().is_none_or(|cells| cells.contains(code));
    tree.areas(AreaLevel::Cell)
        .filter(|&cell| tree.is_within(cell, whole))
        .filter_map(|cell| Some((cell, tree.feature(cell)?.code.clone())))
        .filter(|(_, code)| named(code) && query.cell.as_ref().is_none_or(|cell| cell == code))
        .filter(|(cell, _)| {
            let place = codes_of(tree, *cell);
            query.scope.holds(&place) && query.area.as_ref().is_none_or(|area| area.holds(&place))
        })
        .collect()
}

/// Visits due and made, by plan and cell; those of cells with nothing due left out.
pub fn rows(conn: &mut PgConnection, tree: &AreaTree, query: &DueQuery) -> Result<Vec<DueRow>> {
    let mut rows = Vec::new();
    let mut plans = plans::all(conn)?;
    plans.retain(|plan| query.plan.is_none_or(|id| id == plan.id));
    plans.sort_by_key(|plan| plan.id);
    for plan in plans {
        let due = plan.rule().due(query.from, query.to, query.today);
        let (Some(first), Some(last)) = (due.first(), due.last()) else { continue };
        let cells = cells_of(tree, &plan, query);
        let codes: Vec<String> = cells.iter().map(|(_, code)| code.clone()).collect();
        let mut visited: HashMap<String, BTreeSet<NaiveDate>> = HashMap::new();
        for (cell, day, department) in visits::days(conn, &codes, first.first, last.last)? {
            if plan.department.is_none() || plan.department == department {
                visited.entry(cell).or_default().insert(day);
            }
        }
        for (cell, cell_code) in cells {
            let days = visited.remove(&cell_code).unwrap_or_default();
            let windows = query.cell.is_some().then(|| {
                let within = |due: &Due| days.range(due.first..=due.last).copied().collect();
                due.iter().map(|due| WindowRow { visited: within(due), due: *due }).collect()
            });
            rows.push(DueRow {
                plan_id: plan.id,
                cell_name: tree.feature(cell).and_then(|f| f.name.clone()).unwrap_or_default(),
                village_code: codes_of(tree, cell).village,
                attendance: attendance(&due, &days),
                cell_code,
                windows,
            });
        }
    }
    Ok(rows)
}
