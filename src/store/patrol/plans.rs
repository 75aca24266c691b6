//! Patrol plans: which cells are to be visited how often.

use crate::enforcement::patrol::plan::{Plan, Window};
use crate::error::{Fault, FaultKind, Result};
use crate::store::schema::patrol_plans as plans;
use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use uuid::Uuid;

/// A plan as stored.
#[derive(
    Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Serialize, utoipa::ToSchema,
)]
#[diesel(table_name = plans)]
pub struct PlanRow {
    pub id: Uuid,
    pub title: String,
    /// All cells of this area, or those in `cells`.
    pub area_code: String,
    pub cells: Option<Vec<String>>,
    /// Only visits by people of this department count.
    pub department: Option<String>,
    /// `days`, `week` or `month`
    pub per: String,
    /// The length of a window where `per` is `days`.
    pub every_days: Option<i32>,
    /// Visits on different days in each window.
    pub times: i32,
    /// 1 to 12
    pub season_months: Vec<i16>,
    pub valid_from: NaiveDate,
    /// The last day; none while it goes on.
    pub valid_to: Option<NaiveDate>,
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

impl PlanRow {
    /// The rule, without where it holds.
    pub fn rule(&self) -> Plan {
        let window = match self.per.as_str() {
            "week" => Window::Week,
            "month" => Window::Month,
            _ => Window::Days(self.every_days.and_then(|n| u32::try_from(n).ok()).unwrap_or(1)),
        };
        Plan {
            window,
            times: u32::try_from(self.times).unwrap_or(0),
            months: self.season_months.iter().filter_map(|&m| u32::try_from(m).ok()).collect(),
            valid_from: self.valid_from,
            valid_to: self.valid_to,
        }
    }
}

/// Keeps a new plan; a retry gets the first answer.
pub fn create(conn: &mut PgConnection, new: &PlanRow) -> Result<PlanRow> {
    diesel::insert_into(plans::table).values(new).on_conflict_do_nothing().execute(conn)?;
    let kept = find(conn, new.id)?.ok_or_else(|| Fault::internal("plan vanished"))?;
    let asked = PlanRow { created_at: kept.created_at, ..new.clone() };
    if kept == asked {
        return Ok(kept);
    }
    Err(Fault::new(
        FaultKind::Conflict,
        "id_taken",
        "该编号已用于另一个计划",
        "Another plan already has this id",
    ))
}

pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<PlanRow>> {
    Ok(plans::table.find(id).select(PlanRow::as_select()).first(conn).optional()?)
}

/// All plans, newest first; a city has tens of them.
pub fn all(conn: &mut PgConnection) -> Result<Vec<PlanRow>> {
    Ok(plans::table
        .order((plans::created_at.desc(), plans::id))
        .select(PlanRow::as_select())
        .load(conn)?)
}

/// Changes title and end. Nothing else: a rate of last month must not change with a plan of today.
pub fn change(
    conn: &mut PgConnection,
    id: Uuid,
    title: &str,
    valid_to: Option<NaiveDate>,
) -> Result<PlanRow> {
    Ok(diesel::update(plans::table.find(id))
        .set((plans::title.eq(title), plans::valid_to.eq(valid_to)))
        .returning(PlanRow::as_returning())
        .get_result(conn)?)
}

/// Removes a plan that has not begun.
pub fn remove(conn: &mut PgConnection, id: Uuid) -> Result<()> {
    diesel::delete(plans::table.find(id)).execute(conn)?;
    Ok(())
}
