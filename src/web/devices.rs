//! What one may do about oneself: language, devices that are logged in, API tokens.

use super::params::{self, wrong};
use super::people::by_of;
use super::problem::Problem;
use super::session::{Account, AnyAccount};
use super::state::{AppState, blocking};
use crate::enforcement::permissions::TokenScope;
use crate::enforcement::reach::Reach;
use crate::error::{Fault, Result};
use crate::store::people::By;
use crate::store::tokens::{self, Ending, NewToken, SessionRecord, TokenRecord};
use actix_web::{HttpResponse, delete, get, patch, post, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// What of oneself one may change.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MyChange {
    /// `zh` or `en`: the language of messages
    language: String,
}

/// Change one's own language.
#[utoipa::path(tag = "session", request_body = MyChange,
    responses((status = 204), (status = 400, body = Problem)))]
#[patch("/me")]
async fn change_me(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<MyChange>,
) -> Result<HttpResponse> {
    let language = body.into_inner().language;
    if !matches!(language.as_str(), "zh" | "en") {
        return Err(wrong("language", "zh or en"));
    }
    let shared = state.clone();
    blocking(move || {
        // Oneself, whatever the area of the account.
        let by = By { reach: Reach::everything(), ..by_of(&shared, &account) };
        tokens::set_language(&shared.store, account.person.id, &language, &by)
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::NoContent().finish())
}

/// A device that is logged in.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeviceShown {
    #[serde(flatten)]
    session: SessionRecord,
    /// Whether it is the one that asks.
    current: bool,
}

/// One's own devices.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeviceList {
    items: Vec<DeviceShown>,
    next: Option<String>,
}

/// The devices on which one is logged in.
#[utoipa::path(tag = "session", responses((status = 200, body = DeviceList)))]
#[get("/me/sessions")]
async fn devices(state: web::Data<AppState>, account: AnyAccount) -> Result<HttpResponse> {
    let account = account.0;
    let items = blocking(move || {
        let found = tokens::sessions_of(&mut *state.store.conn()?, account.person.id)?;
        let current = |id| account.via.session == Some(id);
        Ok(found.into_iter().map(|s| DeviceShown { current: current(s.id), session: s }).collect())
    })
    .await?;
    Ok(HttpResponse::Ok().json(DeviceList { items, next: None }))
}

/// Which devices to log out.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EndQuery {
    /// Stay logged in on the device that asks
    #[serde(default)]
    keep_current: bool,
}

/// Log out everywhere.
#[utoipa::path(tag = "session", params(EndQuery), responses((status = 204)))]
#[delete("/me/sessions")]
async fn log_out_everywhere(
    state: web::Data<AppState>,
    account: AnyAccount,
    query: web::Query<EndQuery>,
) -> Result<HttpResponse> {
    let which = match account.0.via.session.filter(|_| query.keep_current) {
        Some(current) => Ending::AllBut(current),
        None => Ending::All,
    };
    end(state, account, which).await
}

/// Log out on one device.
#[utoipa::path(tag = "session", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
#[delete("/me/sessions/{id}")]
async fn log_out_device(
    state: web::Data<AppState>,
    account: AnyAccount,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    end(state, account, Ending::One(*id)).await
}

async fn end(
    state: web::Data<AppState>,
    account: AnyAccount,
    which: Ending,
) -> Result<HttpResponse> {
    let shared = state.clone();
    blocking(move || {
        let by = by_of(&shared, &account.0);
        let ended = tokens::end_sessions(&shared.store, account.0.person.id, which, &by)?;
        match (which, ended) {
            (Ending::One(_), 0) => {
                Err(Fault::not_found("没有这个登录设备", "There is no such session"))
            }
            _ => Ok(()),
        }
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::NoContent().finish())
}

/// One's own API tokens.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenList {
    items: Vec<TokenRecord>,
    next: Option<String>,
}

/// One's own API tokens.
#[utoipa::path(tag = "session", responses((status = 200, body = TokenList)))]
#[get("/tokens")]
async fn list_tokens(state: web::Data<AppState>, account: Account) -> Result<HttpResponse> {
    let items =
        blocking(move || tokens::list(&mut *state.store.conn()?, account.person.id)).await?;
    Ok(HttpResponse::Ok().json(TokenList { items, next: None }))
}

/// A token to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWanted {
    id: Option<Uuid>,
    /// What it is for
    name: String,
    scope: TokenScope,
    /// Days until it expires, 1 to 3650
    days: i64,
}

/// Make an API token for oneself; the answer shows it, once.
#[utoipa::path(tag = "session", request_body = TokenWanted,
    responses((status = 201), (status = 400, body = Problem), (status = 409, body = Problem)))]
#[post("/tokens")]
async fn create_token(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<TokenWanted>,
) -> Result<HttpResponse> {
    let TokenWanted { id, name, scope, days } = body.into_inner();
    if !(1..=3650).contains(&days) {
        return Err(wrong("days", "1 to 3650"));
    }
    let name = params::text(Some(name), "name")?.unwrap_or_default();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(wrong("name", "1 to 100 characters"));
    }
    let (record, token) = blocking(move || {
        let id = id.unwrap_or_else(Uuid::new_v4);
        let new = NewToken { id, person: account.person.id, name, scope, days };
        tokens::create(&state.store, &new, &by_of(&state, &account))
    })
    .await?;
    let mut answer = json!(record);
    answer["token"] = token.into();
    Ok(HttpResponse::Created().json(answer))
}

/// Revoke one of one's own tokens.
#[utoipa::path(tag = "session", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
#[delete("/tokens/{id}")]
async fn revoke_token(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let shared = state.clone();
    blocking(move || {
        let by = by_of(&shared, &account);
        tokens::revoke(&shared.store, *id, account.person.id, &by)
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(change_me)
        .service(devices)
        .service(log_out_everywhere)
        .service(log_out_device)
        .service(list_tokens)
        .service(create_token)
        .service(revoke_token);
}
