//! Filters that people keep for themselves, under a name.

use super::schema::saved_filters;
use crate::error::{Fault, FaultKind, Result};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Nobody needs more; a runaway client would.
const MOST: i64 = 200;

/// A filter with its name.
#[derive(
    Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Serialize, utoipa::ToSchema,
)]
#[diesel(table_name = saved_filters)]
pub struct SavedFilter {
    pub id: Uuid,
    #[serde(skip)]
    pub person_id: Uuid,
    pub desk: String,
    pub name: String,
    /// Names and values of the list's query parameters.
    #[schema(value_type = Object)]
    pub query: Value,
}

/// A person's filters of one desk, by name.
pub fn of_desk(
    conn: &mut PgConnection,
    person: Uuid,
    desk: Option<&str>,
) -> Result<Vec<SavedFilter>> {
    let mut query = saved_filters::table
        .filter(saved_filters::person_id.eq(person))
        .order((saved_filters::name, saved_filters::id))
        .select(SavedFilter::as_select())
        .into_boxed();
    if let Some(desk) = desk {
        query = query.filter(saved_filters::desk.eq(desk));
    }
    Ok(query.load(conn)?)
}

/// Keeps a filter; the same id again changes it, if it is the same person's.
pub fn keep(conn: &mut PgConnection, filter: &SavedFilter) -> Result<SavedFilter> {
    let kept: i64 = saved_filters::table
        .filter(saved_filters::person_id.eq(filter.person_id))
        .filter(saved_filters::id.ne(filter.id))
        .count()
        .get_result(conn)?;
    if kept >= MOST {
        return Err(Fault::new(
            FaultKind::Conflict,
            "too_many_filters",
            format!("最多保存 {MOST} 个筛选条件"),
            format!("At most {MOST} filters can be kept"),
        ));
    }
    let owner: Option<Uuid> = saved_filters::table
        .find(filter.id)
        .select(saved_filters::person_id)
        .first(conn)
        .optional()?;
    if owner.is_some_and(|owner| owner != filter.person_id) {
        return Err(Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已被使用",
            "Another filter already has this id",
        ));
    }
    Ok(diesel::insert_into(saved_filters::table)
        .values(filter)
        .on_conflict(saved_filters::id)
        .do_update()
        .set((
            saved_filters::desk.eq(&filter.desk),
            saved_filters::name.eq(&filter.name),
            saved_filters::query.eq(&filter.query),
        ))
        .returning(SavedFilter::as_returning())
        .get_result(conn)?)
}

/// Forgets a filter of a person's own; whether there was one.
pub fn forget(conn: &mut PgConnection, person: Uuid, id: Uuid) -> Result<bool> {
    let own = saved_filters::table.find(id).filter(saved_filters::person_id.eq(person));
    Ok(diesel::delete(own).execute(conn)? > 0)
}
