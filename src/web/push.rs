//! Browsers that want to be woken, and what became of messages that left the house.

use super::delivery::{guard, push};
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::Result;
use crate::store::deliveries::{self, DeliveryState};
use crate::store::push::{self as kept, Subscription};
use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The key to subscribe with (`applicationServerKey`).
#[derive(Serialize, utoipa::ToSchema)]
pub struct PushKey {
    /// P-256 public key, uncompressed, base64url.
    key: String,
}

/// The service's public key for Web Push.
#[utoipa::path(tag = "messages", responses((status = 200, body = PushKey)))]
#[get("/push/key")]
async fn show_key(state: web::Data<AppState>, _account: Account) -> Result<HttpResponse> {
    let key =
        blocking(move || push::public_key(&kept::private_key(&mut *state.store.conn()?)?)).await?;
    Ok(HttpResponse::Ok().json(PushKey { key }))
}

/// What `PushSubscription.toJSON()` gives.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubscription {
    id: Option<Uuid>,
    endpoint: String,
    #[serde(rename = "expirationTime", default)]
    #[allow(dead_code)]
    expiration_time: Option<f64>,
    keys: SubscriptionKeys,
}

/// The browser's keys, base64url.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

/// A subscription that is kept.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Subscribed {
    id: Uuid,
}

/// Have messages pushed to this browser while it has no page of ours open.
#[utoipa::path(tag = "messages", request_body = NewSubscription,
    responses((status = 201, body = Subscribed), (status = 400, body = Problem)))]
#[post("/push/subscriptions")]
async fn subscribe(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewSubscription>,
) -> Result<HttpResponse> {
    let NewSubscription { id, endpoint, keys, .. } = body.into_inner();
    let url = guard::check(&endpoint, state.outside.push_origin_inside.as_deref())?;
    let unpadded = |text: String| text.trim_end_matches('=').to_string();
    let (p256dh, auth) = (unpadded(keys.p256dh), unpadded(keys.auth));
    if p256dh.len() > 100 || auth.len() > 100 || !push::usable(url.as_str(), &p256dh, &auth) {
        return Err(wrong("keys", "not the keys of a push subscription"));
    }
    let id = id.unwrap_or_else(Uuid::new_v4);
    let new = Subscription { id, endpoint: url.into(), p256dh, auth };
    let id = blocking(move || kept::subscribe(&state.store, account.person.id, &new)).await?;
    Ok(HttpResponse::Created().json(Subscribed { id }))
}

/// Have no more messages pushed to a browser.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)), responses((status = 204)))]
#[delete("/push/subscriptions/{id}")]
async fn unsubscribe(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    blocking(move || kept::unsubscribe(&mut *state.store.conn()?, account.person.id, *id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Which deliveries to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeliveryQuery {
    /// pending, sent, skipped or dead
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of deliveries, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeliveryList {
    items: Vec<DeliveryState>,
    next: Option<String>,
}

const STATES: [&str; 4] = ["pending", "sent", "skipped", "dead"];

/// What became of messages that had to leave the house; for administrators.
#[utoipa::path(tag = "messages", params(DeliveryQuery),
    responses((status = 200, body = DeliveryList), (status = 403, body = Problem)))]
#[get("/deliveries")]
async fn deliveries_list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<DeliveryQuery>,
) -> Result<HttpResponse> {
    account.require(Action::ManageSettings)?;
    let query = query.into_inner();
    if query.state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        return Err(wrong("state", &STATES.join(", ")));
    }
    let limit = params::limit(query.limit)?;
    let below = match query.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(cursor) => Some(cursor.parse().map_err(|_| wrong("cursor", "not one of ours"))?),
        None => None,
    };
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let mut items = deliveries::list(&mut conn, query.state.as_deref(), below, limit + 1)?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|d| d.id.to_string());
        Ok(DeliveryList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Take up again a delivery that was given up.
#[utoipa::path(tag = "messages", params(("id" = i64, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/deliveries/{id}/retry")]
async fn retry(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<i64>,
) -> Result<HttpResponse> {
    account.require(Action::ManageSettings)?;
    blocking(move || deliveries::retry(&mut *state.store.conn()?, *id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(show_key)
        .service(subscribe)
        .service(unsubscribe)
        .service(deliveries_list)
        .service(retry);
}
