//! Patrol plans: cells, how often, in which months.

use super::{outside, place_of};
use crate::enforcement::clock::day_of;
use crate::enforcement::permissions::{Action, Scope};
use crate::error::{Fault, FaultKind, Result};
use crate::store::audit::{self, Entry};
use crate::store::patrol::plans::{self, PlanRow};
use crate::web::params::{self, wrong};
use crate::web::problem::Problem;
use crate::web::session::Account;
use crate::web::state::{AppState, blocking};
use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{Datelike, NaiveDate};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Cells that a plan may name one by one.
const MAX_CELLS: usize = 10_000;

/// A new plan. `id` is made by the client: a retry gets the first answer.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    id: Option<Uuid>,
    title: String,
    /// City, district, functional area, town or village
    area_code: String,
    /// All cells of the area where it is left out
    cells: Option<Vec<String>>,
    /// Only visits by people of this department count.
    department: Option<String>,
    /// `days` (with `every_days`), `week` (from Monday) or `month`
    per: String,
    every_days: Option<i32>,
    /// Visits on different days in each window; 1 where it is left out
    times: Option<i32>,
    /// 1 to 12; the whole year where it is left out
    season_months: Option<Vec<i16>>,
    /// Today where it is left out
    valid_from: Option<NaiveDate>,
    /// The last day
    valid_to: Option<NaiveDate>,
}

fn plan_of(body: NewPlan, state: &AppState, account: &Account) -> Result<PlanRow> {
    let now = state.clock.now();
    let title =
        params::text(Some(body.title), "title")?.ok_or_else(|| wrong("title", "missing"))?;
    let area_code = body.area_code.trim().to_string();
    let place = place_of(state, &area_code).ok_or_else(|| wrong("area_code", "no such area"))?;
    if place.cell.is_some() {
        return Err(wrong("area_code", "an area, not a cell; name cells in cells"));
    }
    if !account.scope.holds(&place) {
        return Err(outside());
    }
    let cells = body.cells.map(|cells| cells.into_iter().collect::<BTreeSet<String>>());
    if let Some(cells) = &cells {
        check_cells(state, &area_code, cells)?;
    }
    let every_days = match (body.per.as_str(), body.every_days) {
        ("days", Some(days @ 1..=366)) => Some(days),
        ("days", _) => return Err(wrong("every_days", "1 to 366")),
        ("week" | "month", None) => None,
        ("week" | "month", Some(_)) => return Err(wrong("every_days", "only where per is days")),
        _ => return Err(wrong("per", "days, week or month")),
    };
    let times = body.times.unwrap_or(1);
    let most = match every_days {
        Some(days) => days.min(31),
        None if body.per == "week" => 7,
        None => 31,
    };
    if !(1..=most).contains(&times) {
        return Err(wrong("times", &format!("1 to {most}: visits are on different days")));
    }
    let season = body.season_months.unwrap_or_else(|| (1..=12).collect());
    let season: BTreeSet<i16> = season.into_iter().collect();
    if season.is_empty() || season.iter().any(|month| !(1..=12).contains(month)) {
        return Err(wrong("season_months", "months from 1 to 12"));
    }
    let valid_from = body.valid_from.unwrap_or_else(|| day_of(now));
    let is_usual = |day: NaiveDate| (2000..=2200).contains(&day.year());
    if !is_usual(valid_from) || body.valid_to.is_some_and(|to| !is_usual(to) || to < valid_from) {
        return Err(wrong("valid_to", "not before valid_from"));
    }
    Ok(PlanRow {
        id: body.id.unwrap_or_else(Uuid::new_v4),
        title,
        area_code,
        cells: cells.map(|cells| cells.into_iter().collect()),
        department: params::text(body.department, "department")?,
        per: body.per,
        every_days,
        times,
        season_months: season.into_iter().collect(),
        valid_from,
        valid_to: body.valid_to,
        created_by: Some(account.person.id),
        created_at: now,
    })
}

fn check_cells(state: &AppState, area_code: &str, cells: &BTreeSet<String>) -> Result<()> {
    if cells.is_empty() || cells.len() > MAX_CELLS {
        return Err(wrong("cells", &format!("1 to {MAX_CELLS} cells")));
    }
    let atlas = state.world.atlas.load_full();
    let tree = state.world.land.tree(&atlas);
    let whole = tree.find(area_code).ok_or_else(|| wrong("area_code", "no such area"))?;
    for code in cells {
        let cell = tree.find(code).filter(|&cell| tree.is_within(cell, whole));
        if cell.is_none_or(|cell| cell.level != crate::atlas::areas::AreaLevel::Cell) {
            let shown: String = code.chars().take(40).collect();
            return Err(wrong("cells", &format!("{shown} is no cell of this area")));
        }
    }
    Ok(())
}

/// Make a plan.
#[utoipa::path(tag = "patrol", request_body = NewPlan,
    responses((status = 201, body = PlanRow), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem)))]
#[post("/patrol/plans")]
async fn create(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewPlan>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePatrolPlans)?;
    let body = body.into_inner();
    let kept = blocking(move || {
        let plan = plan_of(body, &state, &account)?;
        state.store.transaction(|conn| {
            let is_new = plans::find(conn, plan.id)?.is_none();
            let kept = plans::create(conn, &plan)?;
            if is_new {
                remember(conn, &account, "patrol_plan.create", None, Some(&kept))?;
            }
            Ok(kept)
        })
    })
    .await?;
    Ok(HttpResponse::Created().json(kept))
}

fn remember(
    conn: &mut PgConnection,
    account: &Account,
    action: &'static str,
    before: Option<&PlanRow>,
    after: Option<&PlanRow>,
) -> Result<()> {
    let json = |plan: Option<&PlanRow>| plan.and_then(|plan| serde_json::to_value(plan).ok());
    let id = before.or(after).map(|plan| plan.id).unwrap_or_default();
    audit::record(
        conn,
        &Entry {
            actor: Some(account.person.id),
            from: account.from,
            action,
            subject: format!("patrol_plan:{id}"),
            before: json(before),
            after: json(after),
        },
    )
}

/// The plans that concern the account's area.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PlanList {
    items: Vec<PlanRow>,
    next: Option<String>,
}

/// Whether a plan's area and the account's touch: one is within the other.
fn concerns(state: &AppState, scope: &Scope, plan: &PlanRow) -> bool {
    let Some(place) = place_of(state, &plan.area_code) else { return false };
    if scope.holds(&place) {
        return true;
    }
    let own = place_of(state, scope.code()).unwrap_or_default();
    let code = Some(&plan.area_code);
    own.functional_areas.contains(&plan.area_code)
        || [&own.city, &own.district, &own.town, &own.village]
            .iter()
            .any(|own| own.as_ref() == code)
}

/// Plans of the account's area, and those of a wider one that hold in it; newest first.
#[utoipa::path(tag = "patrol", responses((status = 200, body = PlanList)))]
#[get("/patrol/plans")]
async fn list(state: web::Data<AppState>, account: Account) -> Result<HttpResponse> {
    account.require(Action::RecordTrack)?;
    let items = blocking(move || {
        let mut found = plans::all(&mut *state.store.conn()?)?;
        found.retain(|plan| concerns(&state, &account.scope, plan));
        Ok(found)
    })
    .await?;
    Ok(HttpResponse::Ok().json(PlanList { items, next: None }))
}

/// What may change of a plan; what is left out stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanChange {
    title: Option<String>,
    /// The last day, not before yesterday; null takes the end away
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<NaiveDate>)]
    valid_to: Option<Option<NaiveDate>>,
}

/// Tells null from nothing.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<NaiveDate>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The plan, if the account may change it.
fn own_plan(state: &AppState, account: &Account, id: Uuid) -> Result<PlanRow> {
    let nothing = || Fault::not_found("没有这个巡查计划", "There is no such patrol plan");
    let plan = plans::find(&mut *state.store.conn()?, id)?.ok_or_else(nothing)?;
    if !concerns(state, &account.scope, &plan) {
        return Err(nothing());
    }
    match place_of(state, &plan.area_code) {
        Some(place) if account.scope.holds(&place) => Ok(plan),
        _ => Err(outside()),
    }
}

/// Change title or end of a plan. How often it asks for visits stays: end it and make another, and
/// past rates stay what they were.
#[utoipa::path(tag = "patrol", params(("id" = Uuid, Path)), request_body = PlanChange,
    responses((status = 200, body = PlanRow), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem)))]
#[patch("/patrol/plans/{id}")]
async fn change(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: web::Json<PlanChange>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePatrolPlans)?;
    let body = body.into_inner();
    let changed = blocking(move || {
        let plan = own_plan(&state, &account, *id)?;
        let title = params::text(body.title, "title")?.unwrap_or_else(|| plan.title.clone());
        let valid_to = body.valid_to.unwrap_or(plan.valid_to);
        let yesterday = state.clock.today().pred_opt().unwrap_or(NaiveDate::MIN);
        let before_it_begins = valid_to.is_some_and(|to| to < plan.valid_from);
        let rewrites = |to: Option<NaiveDate>| to.is_some_and(|to| to < yesterday);
        let moved = valid_to != plan.valid_to;
        if before_it_begins || moved && (rewrites(valid_to) || rewrites(plan.valid_to)) {
            return Err(wrong("valid_to", "the past of a plan does not change"));
        }
        state.store.transaction(|conn| {
            let changed = plans::change(conn, plan.id, &title, valid_to)?;
            remember(conn, &account, "patrol_plan.change", Some(&plan), Some(&changed))?;
            Ok(changed)
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(changed))
}

/// End a plan with yesterday, or remove one that has not begun.
#[utoipa::path(tag = "patrol", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem)))]
#[delete("/patrol/plans/{id}")]
async fn end(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePatrolPlans)?;
    blocking(move || {
        let plan = own_plan(&state, &account, *id)?;
        let today = state.clock.today();
        let yesterday = today.pred_opt().unwrap_or(NaiveDate::MIN);
        if plan.valid_to.is_some_and(|to| to <= yesterday) {
            return Err(Fault::new(
                FaultKind::Conflict,
                "wrong_state",
                "该计划已经结束",
                "This plan has ended already",
            ));
        }
        state.store.transaction(|conn| {
            if plan.valid_from >= today {
                plans::remove(conn, plan.id)?;
                return remember(conn, &account, "patrol_plan.remove", Some(&plan), None);
            }
            let ended = plans::change(conn, plan.id, &plan.title, Some(yesterday))?;
            remember(conn, &account, "patrol_plan.end", Some(&plan), Some(&ended))
        })
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(create).service(list).service(change).service(end);
}
