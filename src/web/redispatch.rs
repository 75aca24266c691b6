//! Dispatching open cases again: the plan, and carrying it out.

use super::areas::find_area;
use super::params::{self, text, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::atlas::feature::layers;
use crate::enforcement::permissions::{Action, Scope};
use crate::error::{Fault, Result};
use crate::store::redispatch::{self, Approved, Plan, Within};
use crate::store::reporting::Retry;
use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Which open cases.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Code of an area; all of the own without it
    area: Option<String>,
}

/// The plan to carry out.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    id: Option<Uuid>,
    area: Option<String>,
    /// Of the plan that was seen
    fingerprint: String,
    reason: String,
}

fn within(state: &AppState, account: &Account, area: Option<&str>) -> Result<Within> {
    let atlas = state.world.atlas.load();
    let area = match area.map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => match find_area(&atlas, code) {
            Some((level, _)) if level != layers::CELL => {
                Some(Scope::of_area(code, |_| level == layers::FUNCTIONAL_AREA))
            }
            _ => return Err(wrong("area", "no such area")),
        },
        None => None,
    };
    Ok(Within { scope: account.scope.clone(), area })
}

/// What dispatching the open cases again would change, by the duties, absences and boundaries of
/// now.
#[utoipa::path(tag = "dispatch", request_body = PlanRequest,
    responses((status = 200, body = Plan), (status = 403, body = Problem)))]
#[post("/redispatch/plan")]
async fn plan(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<PlanRequest>,
) -> Result<HttpResponse> {
    account.require(Action::Redispatch)?;
    let within = within(&state, &account, body.area.as_deref())?;
    let plan = blocking(move || redispatch::show(&state.store, &state.world, &within)).await?;
    Ok(HttpResponse::Ok().json(plan))
}

/// Carry out the plan that was seen; 409 `plan_changed` where it is another one by now.
#[utoipa::path(tag = "dispatch", request_body = ApplyRequest,
    responses((status = 200, body = Object), (status = 403, body = Problem),
              (status = 409, body = Problem)))]
#[post("/redispatch/apply")]
async fn apply(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    body: web::Json<ApplyRequest>,
) -> Result<HttpResponse> {
    account.require(Action::Redispatch)?;
    let body = body.into_inner();
    let within = within(&state, &account, body.area.as_deref())?;
    let digest = Sha256::digest(serde_json::to_vec(&body).map_err(Fault::internal)?).into();
    let key = params::retry_key(body.id, &request)?;
    let retry = Retry { person: account.person.id, key, request: digest };
    let reason = text(Some(body.reason), "reason")?.ok_or_else(|| wrong("reason", "a reason"))?;
    let asked = Approved { fingerprint: body.fingerprint, reason, from: account.from };
    let now = state.clock.now();
    let answer = blocking(move || {
        let (store, world) = (&state.store, &state.world);
        let answer = redispatch::apply(store, world, &within, &asked, &retry, now)?;
        world.refresh(store)?;
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(plan).service(apply);
}
