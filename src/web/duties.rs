//! Duties: list, paint, take away, import.

use super::params::{self, wrong};
use super::people::{
    TableQuery, TableUpload, area_reach, by_of, import_table, read_cursor, retry_of,
};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::people::{DutyNature, Rank};
use crate::enforcement::permissions::Action;
use crate::error::Result;
use crate::store::duties;
use crate::store::duty_list::{self, DutyQuery, DutyRecord, Stroke};
use crate::store::sheet::RowReport;
use actix_multipart::form::MultipartForm;
use actix_web::{HttpResponse, delete, get, post, put, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Strokes of one request.
const MOST_STROKES: usize = 5_000;

/// Which duties to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DutyListQuery {
    /// Code of an area; its duties and those of all below
    area: Option<String>,
    /// This very code
    code: Option<String>,
    /// Id of a person
    person: Option<Uuid>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of duties.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DutyList {
    items: Vec<DutyRecord>,
    next: Option<String>,
}

/// Duties within the account's area, by code.
#[utoipa::path(tag = "people", params(DutyListQuery),
    responses((status = 200, body = DutyList), (status = 400, body = Problem), (status = 403, body = Problem)))]
#[get("/duties")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<DutyListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeePeople)?;
    let query = query.into_inner();
    let after = match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        None => None,
        Some(cursor) => {
            let text = read_cursor(cursor)?;
            let parts = text.split_once('|').map(|(code, id)| (code.to_string(), id.parse()));
            match parts {
                Some((code, Ok(id))) => Some((code, id)),
                _ => return Err(wrong("cursor", "not one of ours")),
            }
        }
    };
    let query = DutyQuery {
        reach: by_of(&state, &account).reach,
        area: area_reach(&state, query.area.as_deref())?,
        code: params::text(query.code, "code")?,
        person: query.person,
        after,
        limit: params::limit(query.limit)?,
    };
    let answer = blocking(move || {
        let more = DutyQuery { limit: query.limit + 1, ..query.clone() };
        let mut items = duty_list::list(&mut *state.store.conn()?, &more)?;
        let next = items.len() as i64 > query.limit;
        items.truncate(query.limit as usize);
        let cursor =
            |duty: &DutyRecord| URL_SAFE_NO_PAD.encode(format!("{}|{}", duty.code, duty.id));
        let next = items.last().filter(|_| next).map(cursor);
        Ok(DutyList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// One stroke: this person holds this post.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DutyStroke {
    /// Code of a cell, village, town, district or city
    code: String,
    /// `*`, `illegal_land_use` or `illegal_construction`
    nature: String,
    /// `primary` or `backup`
    rank: String,
    /// None: nobody holds it any more
    person_id: Option<Uuid>,
}

/// Strokes to paint. Several persons may be named for one post.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Painting {
    /// Made by the client: a retry with the same id gets the first answer.
    id: Option<Uuid>,
    items: Vec<DutyStroke>,
}

/// Paint duties: for every (code, nature, rank) that is named, the list has the last word; all of
/// it or nothing.
#[utoipa::path(tag = "people", request_body = Painting,
    responses((status = 200), (status = 400, body = Problem), (status = 403, body = Problem)))]
#[put("/duties")]
async fn paint(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<Painting>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let body = body.into_inner();
    if body.items.is_empty() || body.items.len() > MOST_STROKES {
        return Err(wrong("items", "1 to 5000"));
    }
    let retry = retry_of(&account, body.id.unwrap_or_else(Uuid::new_v4), "duties", &body)?;
    let strokes = body
        .items
        .into_iter()
        .map(|stroke| {
            let nature = DutyNature::parse(&stroke.nature)
                .ok_or_else(|| wrong("nature", "*, illegal_land_use or illegal_construction"))?;
            let rank =
                Rank::parse(&stroke.rank).ok_or_else(|| wrong("rank", "primary or backup"))?;
            Ok(Stroke { code: stroke.code, nature, rank, person: stroke.person_id })
        })
        .collect::<Result<Vec<_>>>()?;
    let answer = blocking(move || {
        let by = by_of(&state, &account);
        let answer = duty_list::paint(&state.store, &strokes, &by, &retry)?;
        state.world.refresh(&state.store)?;
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Take one duty away.
#[utoipa::path(tag = "people", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
#[delete("/duties/{id}")]
async fn remove(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<i64>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    blocking(move || {
        duty_list::remove(&state.store, *id, &by_of(&state, &account))?;
        state.world.refresh(&state.store)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Duties in bulk: columns code, phone, nature, rank. For every code, nature and rank that the
/// table names, it has the last word.
#[utoipa::path(tag = "people", params(TableQuery),
    request_body(content = inline(TableUpload), content_type = "multipart/form-data"),
    responses((status = 200, body = RowReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
#[post("/duties/import")]
async fn import(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<TableQuery>,
    form: MultipartForm<TableUpload>,
) -> Result<HttpResponse> {
    import_table(state, account, form.into_inner(), query.dry_run, duties::import_by).await
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list).service(paint).service(import).service(remove);
}
