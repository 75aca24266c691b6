//! Visits of cells: those made, and those the plans ask for.

use super::{area_filter, period};
use crate::enforcement::patrol::plan::Attendance;
use crate::enforcement::permissions::{Action, may};
use crate::error::Result;
use crate::store::patrol::due::{self, DueQuery, DueRow};
use crate::store::patrol::visits::{self, VisitQuery, VisitRow};
use crate::web::params::{self, wrong};
use crate::web::problem::Problem;
use crate::web::session::Account;
use crate::web::state::{AppState, blocking};
use actix_web::{HttpResponse, get, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest period of a list, days.
const MAX_DAYS: i64 = 366;

/// Which visits to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VisitListQuery {
    /// Code of a city, district, functional area, town or village
    area: Option<String>,
    cell: Option<String>,
    person: Option<Uuid>,
    /// `record`, `photo`, `track`; comma-separated
    source: Option<String>,
    /// First day (Shanghai); a month before `to` where it is left out
    from: Option<String>,
    /// Last day, included; today where it is left out
    to: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A visit: somebody was in a cell on a day.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Visit {
    cell_code: String,
    day: NaiveDate,
    person_id: Uuid,
    person_name: Option<String>,
    department: Option<String>,
    /// `record`, `photo` or `track`
    source: String,
    /// The first moment.
    at: DateTime<Utc>,
    /// Case event or attachment; none for a track
    evidence_id: Option<Uuid>,
    town_code: Option<String>,
    village_code: Option<String>,
}

/// A page of visits.
#[derive(Serialize, utoipa::ToSchema)]
pub struct VisitList {
    items: Vec<Visit>,
    next: Option<String>,
}

fn cursor_of(visit: &VisitRow) -> String {
    let VisitRow { day, cell_code, person_id, source, .. } = visit;
    URL_SAFE_NO_PAD.encode(format!("{day}|{cell_code}|{person_id}|{source}"))
}

fn read_cursor(cursor: &str) -> Option<(NaiveDate, String, Uuid, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.split('|');
    let day = parts.next()?.parse().ok()?;
    let cell = parts.next()?.to_string();
    let person = parts.next()?.parse().ok()?;
    Some((day, cell, person, parts.next()?.to_string()))
}

/// Visits inside the account's area, newest day first; for those who lead nobody, their own.
#[utoipa::path(tag = "patrol", params(VisitListQuery),
    responses((status = 200, body = VisitList), (status = 400, body = Problem)))]
#[get("/patrol/visits")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<VisitListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::RecordTrack)?;
    let asked = query.into_inner();
    let (from, to) = period(&state, asked.from.as_deref(), asked.to.as_deref(), 31, MAX_DAYS)?;
    let leads = may(account.person.role, Action::SeeTracks);
    let own = account.person.id;
    if !leads && asked.person.is_some_and(|person| person != own) {
        account.require(Action::SeeTracks)?;
    }
    let limit = params::limit(asked.limit)?;
    let is_source = |word: &str| matches!(word, "record" | "photo" | "track");
    let query = VisitQuery {
        // One's own visits count wherever they were made.
        scope: (leads && asked.person != Some(own)).then(|| account.scope.clone()),
        area: area_filter(&state, asked.area.as_deref())?,
        from: Some(from),
        to: Some(to),
        person: if leads { asked.person } else { Some(own) },
        cell: params::text(asked.cell, "cell")?,
        source: params::words("source", asked.source.as_deref(), is_source)?,
        after: match asked.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            Some(cursor) => {
                Some(read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?)
            }
            None => None,
        },
        limit: limit + 1,
    };
    let answer = blocking(move || {
        let mut rows = visits::list(&mut *state.store.conn()?, &query)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(cursor_of);
        let roster = state.world.roster.load();
        let items = rows
            .into_iter()
            .map(|visit| Visit {
                person_name: roster.person(visit.person_id).map(|person| person.name.clone()),
                cell_code: visit.cell_code,
                day: visit.day,
                person_id: visit.person_id,
                department: visit.department,
                source: visit.source,
                at: visit.at,
                evidence_id: visit.evidence_id,
                town_code: visit.town_code,
                village_code: visit.village_code,
            })
            .collect();
        Ok(VisitList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Which due visits to count.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DueListQuery {
    /// Code of a city, district, functional area, town or village
    area: Option<String>,
    plan: Option<Uuid>,
    /// One cell: its windows are listed too
    cell: Option<String>,
    /// First day (Shanghai); a month before `to` where it is left out
    from: Option<String>,
    /// Last day, included; today where it is left out. A window counts when it ends in the period
    /// and is over.
    to: Option<String>,
    /// Only cells with visits missing
    missing: Option<bool>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Visits due and made, by plan and cell.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DueList {
    items: Vec<DueRow>,
    next: Option<String>,
    /// Of all that match, on every page.
    total: Attendance,
    /// Made ÷ due: 巡查到位率; none where nothing is due.
    rate: Option<f64>,
    from: NaiveDate,
    to: NaiveDate,
}

/// The visits that the plans ask for in the account's area, and those made of them.
#[utoipa::path(tag = "patrol", params(DueListQuery),
    responses((status = 200, body = DueList), (status = 400, body = Problem)))]
#[get("/patrol/due")]
async fn list_due(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<DueListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::RecordTrack)?;
    let asked = query.into_inner();
    let limit = params::limit(asked.limit)? as usize;
    let (from, to) = period(&state, asked.from.as_deref(), asked.to.as_deref(), 31, MAX_DAYS)?;
    let query = DueQuery {
        scope: account.scope.clone(),
        area: area_filter(&state, asked.area.as_deref())?,
        plan: asked.plan,
        cell: params::text(asked.cell, "cell")?,
        from,
        to,
        today: state.clock.today(),
    };
    let after = asked.cursor.filter(|cursor| !cursor.is_empty());
    let after: usize = match after.as_deref() {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| wrong("cursor", "not one of ours"))?,
    };
    let only_missing = asked.missing == Some(true);
    let answer = blocking(move || {
        let tree = state.world.land.tree(&state.world.atlas.load_full());
        let mut rows = due::rows(&mut *state.store.conn()?, &tree, &query)?;
        let mut total = Attendance::default();
        rows.iter().for_each(|row| total += row.attendance);
        rows.retain(|row| !only_missing || row.attendance.made < row.attendance.due);
        let count = rows.len();
        let items: Vec<DueRow> = rows.into_iter().skip(after).take(limit).collect();
        let end = after.saturating_add(items.len());
        let rate = (total.due > 0).then(|| total.made as f64 / total.due as f64);
        let next = (end < count).then(|| end.to_string());
        Ok(DueList { items, next, total, rate, from, to })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list).service(list_due);
}
