//! Frozen months: kept as they were signed, with what has been corrected since.

use super::cases;
use super::params::{self, wrong};
use super::problem::Problem;
use super::reports::XLSX;
use super::session::Account;
use super::state::{AppState, blocking};
use super::stats::may_see;
use crate::enforcement::permissions::{Action, Scope};
use crate::error::{Fault, Result};
use crate::statistics::period::Period;
use crate::statistics::units::ReportLevel;
use crate::store::frozen::{self, Difference, Freeze, Frozen};
use crate::store::reports::ReportKind;
use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A month to freeze. `id` is made by the client.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFrozen {
    id: Option<Uuid>,
    /// `cases`, `success`, …
    kind: String,
    area: String,
    /// `district`, `town` or `village`
    level: String,
    /// A month that is over, e.g. `2026-10`
    month: String,
}

/// A frozen month.
#[derive(Serialize, utoipa::ToSchema)]
struct FrozenReport {
    id: Uuid,
    kind: String,
    area: String,
    level: String,
    from: NaiveDate,
    to: NaiveDate,
    as_of: DateTime<Utc>,
    frozen_at: DateTime<Utc>,
    /// None where the platform froze it at the end of the month.
    frozen_by: Option<Uuid>,
    generation: i64,
    /// Of the workbook, hexadecimal.
    sha256: String,
    /// Where the workbook is.
    file: String,
    /// The figures as they were frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    figures: Option<Value>,
    /// What has been corrected since; empty where nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<Difference>>,
}

impl From<Frozen> for FrozenReport {
    fn from(row: Frozen) -> Self {
        Self {
            file: format!("/api/v1/reports/frozen/{}/file", row.id),
            id: row.id,
            kind: row.kind,
            area: row.area_code,
            level: row.level,
            from: row.first_day,
            to: row.last_day,
            as_of: row.as_of,
            frozen_at: row.frozen_at,
            frozen_by: row.frozen_by,
            generation: row.generation,
            sha256: hex::encode(row.sha256),
            figures: None,
            differences: None,
        }
    }
}

fn month_of(text: &str) -> Option<Period> {
    let (year, month) = text.split_once('-')?;
    let year: i32 = year.parse().ok().filter(|year| (1900..=9990).contains(year))?;
    Period::month(year, month.parse().ok().filter(|_| month.len() == 2)?)
}

/// Freeze a month that is over: its workbook is kept byte for byte. What is frozen already stays.
#[utoipa::path(tag = "reports", request_body = NewFrozen,
    responses((status = 201, body = FrozenReport), (status = 400, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/reports/frozen")]
async fn create(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewFrozen>,
) -> Result<HttpResponse> {
    account.require(Action::FreezeReports)?;
    let body = body.into_inner();
    let freeze = Freeze {
        id: body.id.unwrap_or_else(Uuid::new_v4),
        kind: ReportKind::parse(&body.kind).ok_or_else(|| wrong("kind", "a kind of report"))?,
        area: body.area,
        level: ReportLevel::parse(&body.level)
            .ok_or_else(|| wrong("level", "district, town or village"))?,
        month: month_of(&body.month).ok_or_else(|| wrong("month", "such as 2026-10"))?,
        by: Some(account.person.id),
    };
    let answer = blocking(move || {
        may_see(&state, &account, &freeze.area)?;
        frozen::freeze(&state.store, &state.world, &freeze, state.clock.now())
    })
    .await?;
    Ok(HttpResponse::Created().json(FrozenReport::from(answer)))
}

/// Which frozen months.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct FrozenQuery {
    area: Option<String>,
    kind: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of frozen months.
#[derive(Serialize, utoipa::ToSchema)]
struct FrozenList {
    items: Vec<FrozenReport>,
    next: Option<String>,
}

/// Frozen months of the account's areas, latest first.
#[utoipa::path(tag = "reports", params(FrozenQuery),
    responses((status = 200, body = FrozenList), (status = 400, body = Problem)))]
#[get("/reports/frozen")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<FrozenQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let query = query.into_inner();
    let kind = match query.kind.as_deref() {
        None | Some("") => None,
        Some(word) => {
            Some(ReportKind::parse(word).ok_or_else(|| wrong("kind", "a kind of report"))?)
        }
    };
    let after = match query.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(cursor) => {
            Some(cases::read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?)
        }
        None => None,
    };
    let limit = params::limit(query.limit)?;
    let answer = blocking(move || {
        let areas = match &query.area {
            Some(area) => {
                may_see(&state, &account, area)?;
                Some(vec![area.clone()])
            }
            None if matches!(account.scope, Scope::City(_)) => None,
            None => Some(own_areas(&state, &account)),
        };
        let mut conn = state.store.conn()?;
        let mut rows = frozen::list(&mut conn, areas.as_deref(), kind, after, limit + 1)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let cursor = |row: &Frozen| cases::cursor(row.frozen_at, row.id);
        let next = rows.last().filter(|_| more).map(cursor);
        Ok(FrozenList { items: rows.into_iter().map(FrozenReport::from).collect(), next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The account's own area and all below it.
fn own_areas(state: &AppState, account: &Account) -> Vec<String> {
    use crate::atlas::areas::AreaLevel;
    let atlas = state.world.atlas.load_full();
    let tree = state.world.land.tree(&atlas);
    let Some(own) = tree.find(account.scope.code()) else { return Vec::new() };
    let levels =
        [AreaLevel::District, AreaLevel::FunctionalArea, AreaLevel::Town, AreaLevel::Village];
    levels
        .iter()
        .flat_map(|level| tree.areas(*level))
        .filter(|area| tree.is_within(*area, own))
        .filter_map(|area| Some(tree.feature(area)?.code.clone()))
        .collect()
}

fn visible(state: &AppState, account: &Account, id: Uuid) -> Result<(Frozen, Value)> {
    let found = frozen::find(&mut *state.store.conn()?, id)?;
    let none = || Fault::not_found("没有这份冻结报表", "There is no such frozen report");
    let (row, figures) = found.ok_or_else(none)?;
    may_see(state, account, &row.area_code).map_err(|_| none())?;
    Ok((row, figures))
}

/// A frozen month: its figures, and what has been corrected since.
#[utoipa::path(tag = "reports", params(("id" = Uuid, Path)),
    responses((status = 200, body = FrozenReport), (status = 404, body = Problem)))]
#[get("/reports/frozen/{id}")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let answer = blocking(move || {
        let (row, figures) = visible(&state, &account, *id)?;
        let now = state.clock.now();
        let differences = frozen::differences(&state.store, &state.world, &row, &figures, now)?;
        Ok(FrozenReport {
            figures: Some(figures),
            differences: Some(differences),
            ..FrozenReport::from(row)
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The workbook of a frozen month, byte for byte as it was frozen.
#[utoipa::path(tag = "reports", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The workbook"), (status = 404, body = Problem)))]
#[get("/reports/frozen/{id}/file")]
async fn file(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let (name, sha256, bytes) = blocking(move || {
        let (row, _) = visible(&state, &account, *id)?;
        let bytes = frozen::file(&mut *state.store.conn()?, row.id)?;
        let month = row.first_day.format("%Y-%m");
        Ok((format!("{}-{}-{month}.xlsx", row.kind, row.area_code), row.sha256, bytes))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .content_type(XLSX)
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header(("x-sha256", hex::encode(sha256)))
        .body(bytes))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(create).service(list).service(show).service(file);
}
