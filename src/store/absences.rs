//! Who is away on which days; whoever stands in answers meanwhile.

use super::audit::{self, Entry};
use super::reporting::{Retry, first_answer, remember};
use super::schema::{absences, people};
use super::{Store, notify};
use crate::error::{Fault, Result};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use std::net::IpAddr;
use uuid::Uuid;

/// An absence, both days included (Asia/Shanghai).
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize, utoipa::ToSchema)]
#[diesel(table_name = absences)]
pub struct Absence {
    pub id: Uuid,
    pub person_id: Uuid,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub reason: Option<String>,
    pub created_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub cancelled_by: Option<Uuid>,
    pub cancelled_at: Option<DateTime<Utc>>,
}

/// An absence with whose it is.
#[derive(Debug, Clone, Queryable)]
pub struct Named {
    pub absence: Absence,
    pub name: String,
    pub phone: String,
    pub area_code: String,
}

/// The ids of those who are away on a day.
pub fn away_on(conn: &mut PgConnection, day: NaiveDate) -> Result<Vec<Uuid>> {
    Ok(absences::table
        .filter(absences::cancelled_at.is_null())
        .filter(absences::first_day.le(day))
        .filter(absences::last_day.ge(day))
        .select(absences::person_id)
        .distinct()
        .load(conn)?)
}

/// Which absences a list shows.
#[derive(Debug, Clone, Default)]
pub struct AbsenceQuery {
    pub person: Option<Uuid>,
    /// Only those that end on this day or later.
    pub from: Option<NaiveDate>,
    /// The last one of the page before.
    pub after: Option<(NaiveDate, Uuid)>,
    pub limit: i64,
}

/// Absences in force, the earliest first. Whose areas may be seen, the caller decides.
pub fn list(conn: &mut PgConnection, query: &AbsenceQuery) -> Result<Vec<Named>> {
    let mut found = absences::table
        .inner_join(people::table.on(absences::person_id.eq(people::id)))
        .filter(absences::cancelled_at.is_null())
        .order((absences::first_day, absences::id))
        .limit(query.limit)
        .select((Absence::as_select(), people::name, people::phone, people::area_code))
        .into_boxed();
    if let Some(person) = query.person {
        found = found.filter(absences::person_id.eq(person));
    }
    if let Some(from) = query.from {
        found = found.filter(absences::last_day.ge(from));
    }
    if let Some((day, id)) = query.after {
        found = found.filter(
            absences::first_day.gt(day).or(absences::first_day.eq(day).and(absences::id.gt(id))),
        );
    }
    Ok(found.load(conn)?)
}

/// Records an absence; a retry gets the first answer.
pub fn add(store: &Store, new: &Absence, retry: &Retry, from: Option<IpAddr>) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        let known: i64 = people::table
            .filter(people::id.eq(new.person_id))
            .filter(people::active)
            .count()
            .get_result(conn)?;
        if known == 0 {
            return Err(Fault::not_found("人员不存在或已停用", "There is no such active person"));
        }
        diesel::insert_into(absences::table).values(new).execute(conn)?;
        let answer = serde_json::to_value(new).map_err(Fault::internal)?;
        remember(conn, retry, 201, &answer)?;
        let entry = Entry {
            actor: new.created_by,
            from,
            action: "absence.add",
            subject: format!("person:{}", new.person_id),
            before: None,
            after: Some(answer.clone()),
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "people")?;
        Ok(answer)
    })
}

/// The absence with this id, in force or taken back.
pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<Absence>> {
    Ok(absences::table.find(id).select(Absence::as_select()).first(conn).optional()?)
}

/// Takes an absence back; it stays in the store. Again changes nothing.
pub fn cancel(
    store: &Store,
    absence: &Absence,
    by: Uuid,
    from: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<()> {
    store.transaction(|conn| {
        let changed = diesel::update(absences::table.find(absence.id))
            .filter(absences::cancelled_at.is_null())
            .set((absences::cancelled_at.eq(now), absences::cancelled_by.eq(by)))
            .execute(conn)?;
        if changed > 0 {
            let entry = Entry {
                actor: Some(by),
                from,
                action: "absence.cancel",
                subject: format!("person:{}", absence.person_id),
                before: Some(serde_json::to_value(absence).map_err(Fault::internal)?),
                after: None,
            };
            audit::record(conn, &entry)?;
            notify::notify(conn, "people")?;
        }
        Ok(())
    })
}
