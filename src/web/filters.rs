//! Saved filters: each person's own.

use super::params::wrong;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::store::filters::{self, SavedFilter};
use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

const MOST_PARAMETERS: usize = 40;
const MAX_VALUE: usize = 500;

/// Of which desk.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FilterQuery {
    desk: Option<String>,
}

/// A filter to keep; the same id again changes it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFilter {
    id: Option<Uuid>,
    desk: String,
    name: String,
    /// Names and values of the list's query parameters.
    query: BTreeMap<String, String>,
}

/// All that match.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FilterList {
    items: Vec<SavedFilter>,
    next: Option<String>,
}

fn short(text: &str, field: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.contains('\0') {
        return Err(wrong(field, &format!("1 to {most} characters")));
    }
    Ok(text.to_string())
}

/// One's own filters.
#[utoipa::path(tag = "desks", params(FilterQuery), responses((status = 200, body = FilterList)))]
#[get("/filters")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<FilterQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let items = blocking(move || {
        filters::of_desk(&mut *state.store.conn()?, account.person.id, query.desk.as_deref())
    })
    .await?;
    Ok(HttpResponse::Ok().json(FilterList { items, next: None }))
}

/// Keep a filter.
#[utoipa::path(tag = "desks", request_body = NewFilter,
    responses((status = 201, body = SavedFilter), (status = 400, body = Problem), (status = 409, body = Problem)))]
#[post("/filters")]
async fn keep(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewFilter>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let NewFilter { id, desk, name, query } = body.into_inner();
    let long = |(name, value): (&String, &String)| {
        name.is_empty()
            || name.len() > 40
            || value.chars().count() > MAX_VALUE
            || value.contains('\0')
    };
    if query.len() > MOST_PARAMETERS || query.iter().any(long) {
        return Err(wrong("query", "at most 40 parameters of 500 characters"));
    }
    let filter = SavedFilter {
        id: id.unwrap_or_else(Uuid::new_v4),
        person_id: account.person.id,
        desk: short(&desk, "desk", 40)?,
        name: short(&name, "name", 80)?,
        query: Value::Object(query.into_iter().map(|(name, value)| (name, value.into())).collect()),
    };
    let kept =
        blocking(move || state.store.transaction(|conn| filters::keep(conn, &filter))).await?;
    Ok(HttpResponse::Created().json(kept))
}

/// Forget one's own filter.
#[utoipa::path(tag = "desks", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
#[delete("/filters/{id}")]
async fn forget(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let was = blocking(move || filters::forget(&mut *state.store.conn()?, account.person.id, *id))
        .await?;
    if !was {
        return Err(Fault::not_found("没有这个筛选条件", "There is no such filter of yours"));
    }
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list).service(keep).service(forget);
}
