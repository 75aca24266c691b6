//! Settings: what is in force, changes, and what was in force before.

use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::enforcement::settings::{KEYS, Webhook};
use crate::error::{Fault, Result};
use crate::store::audit::{self, Entry};
use crate::store::settings::{self, Change};
use actix_web::{HttpResponse, get, put, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// One setting.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Setting {
    key: String,
    #[schema(value_type = Object)]
    value: Value,
    /// 0 while the default holds.
    revision: i32,
    changed_at: Option<DateTime<Utc>>,
    changed_by: Option<Uuid>,
}

/// A new value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    #[schema(value_type = Object)]
    value: Value,
    reason: Option<String>,
    /// The revision that was seen; refused with 409 when there is another since.
    expected_revision: Option<i32>,
}

/// The webhook's secret stays inside.
fn shown(key: &str, mut value: Value) -> Value {
    if key == "webhook" && value["secret"].is_string() {
        value["secret"] = Webhook::KEPT.into();
    }
    value
}

fn known(key: &str) -> Result<()> {
    if KEYS.contains(&key) {
        return Ok(());
    }
    Err(Fault::not_found("没有这个设置项", "There is no such setting"))
}

/// Only administrators see where messages go out.
fn readable(account: &Account, key: &str) -> Result<()> {
    match key {
        "webhook" => account.require(Action::ManageSettings),
        _ => account.require(Action::LookUp),
    }
}

/// Every setting in force that the caller may see, by key.
#[utoipa::path(tag = "settings", responses((status = 200, body = Object)))]
#[get("/settings")]
async fn all(state: web::Data<AppState>, account: Account) -> Result<HttpResponse> {
    let settings = state.world.settings.load();
    let values: Map<String, Value> = KEYS
        .iter()
        .filter(|key| readable(&account, key).is_ok())
        .filter_map(|key| Some((key.to_string(), shown(key, settings.value(key)?))))
        .collect();
    Ok(HttpResponse::Ok().json(values))
}

/// One setting.
#[utoipa::path(tag = "settings", params(("key" = String, Path)),
    responses((status = 200, body = Setting), (status = 404, body = Problem)))]
#[get("/settings/{key}")]
async fn one(
    state: web::Data<AppState>,
    account: Account,
    key: web::Path<String>,
) -> Result<HttpResponse> {
    known(&key)?;
    readable(&account, &key)?;
    let key = key.into_inner();
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let kept = settings::find(&mut conn, &key)?;
        let value = settings::load(&mut conn)?.value(&key).unwrap_or_default();
        Ok(Setting {
            value: shown(&key, value),
            revision: kept.as_ref().map_or(0, |kept| kept.revision),
            changed_at: kept.as_ref().map(|kept| kept.changed_at),
            changed_by: kept.and_then(|kept| kept.changed_by),
            key,
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Set a value; it counts at once, everywhere. The same value again changes nothing.
#[utoipa::path(tag = "settings", params(("key" = String, Path)), request_body = NewValue,
    responses((status = 200, body = Setting), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem)))]
#[put("/settings/{key}")]
async fn set(
    state: web::Data<AppState>,
    account: Account,
    key: web::Path<String>,
    body: web::Json<NewValue>,
) -> Result<HttpResponse> {
    known(&key)?;
    account.require(Action::ManageSettings)?;
    let (key, body) = (key.into_inner(), body.into_inner());
    let change = Change {
        actor: account.person.id,
        at: state.clock.now(),
        reason: params::text(body.reason, "reason")?,
        expected_revision: body.expected_revision,
    };
    let answer = blocking(move || {
        let kept = settings::set(&state.store, &key, &body.value, &change, |conn, old, new| {
            let entry = Entry {
                actor: Some(account.person.id),
                from: account.from,
                action: "settings.change",
                subject: format!("settings:{key}"),
                before: Some(shown(&key, old.clone())),
                after: Some(shown(&key, new.clone())),
            };
            audit::record(conn, &entry)
        })?;
        state.world.refresh(&state.store)?;
        Ok(Setting {
            value: shown(&key, kept.value),
            key,
            revision: kept.revision,
            changed_at: Some(kept.changed_at),
            changed_by: kept.changed_by,
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A value that a setting had.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PastValue {
    revision: i32,
    #[schema(value_type = Object)]
    value: Value,
    changed_at: DateTime<Utc>,
    changed_by: Option<Uuid>,
    changed_by_name: Option<String>,
    reason: Option<String>,
}

/// What a setting has been, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SettingHistory {
    items: Vec<PastValue>,
    next: Option<String>,
}

/// The history of a setting.
#[utoipa::path(tag = "settings", params(("key" = String, Path), Page),
    responses((status = 200, body = SettingHistory), (status = 404, body = Problem)))]
#[get("/settings/{key}/history")]
async fn history(
    state: web::Data<AppState>,
    account: Account,
    key: web::Path<String>,
    page: web::Query<Page>,
) -> Result<HttpResponse> {
    known(&key)?;
    account.require(Action::ManageSettings)?;
    let limit = params::limit(page.limit)?;
    let below = match page.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(cursor) => Some(cursor.parse().map_err(|_| wrong("cursor", "not one of ours"))?),
        None => None,
    };
    let answer = blocking(move || {
        let mut past = settings::history(&mut *state.store.conn()?, &key, below, limit + 1)?;
        let more = past.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        if more {
            past.pop();
        }
        let next = past.last().filter(|_| more).map(|last| last.revision.to_string());
        let items = past
            .into_iter()
            .map(|p| PastValue {
                revision: p.revision,
                value: shown(&key, p.value),
                changed_at: p.changed_at,
                changed_by: p.changed_by,
                changed_by_name: p.changed_by_name,
                reason: p.reason,
            })
            .collect();
        Ok(SettingHistory { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(all).service(one).service(set).service(history);
}
