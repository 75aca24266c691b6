//! People: search, create, change, activate, leave, import.

use super::areas::find_area;
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::atlas::feature::layers;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::{Action, Scope};
use crate::enforcement::reach::Reach;
use crate::error::{Fault, Result};
use crate::store::people::{self, By};
use crate::store::persons::{self, NewPerson, PeopleQuery, PersonChange, PersonRecord};
use crate::store::reporting::Retry;
use crate::store::sheet::{RowReport, Sheet};
use crate::store::{audit, leave};
use actix_multipart::form::MultipartForm;
use actix_multipart::form::tempfile::TempFile;
use actix_web::{HttpResponse, get, patch, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Who asks, from where, and whom it may touch.
pub fn by_of(state: &AppState, account: &Account) -> By {
    By {
        actor: Some(account.person.id),
        from: account.from,
        reach: Reach::of(&account.scope, &state.world.atlas.load()),
    }
}

/// The key of a write: the id that the client made, and what it asked for.
pub fn retry_of(account: &Account, id: Uuid, what: &str, body: &impl Serialize) -> Result<Retry> {
    let request = serde_json::to_vec(&(what, body)).map_err(Fault::internal)?;
    Ok(Retry {
        person: account.person.id,
        key: format!("{what}:{id}"),
        request: Sha256::digest(request).into(),
    })
}

/// The reach of an area named in a query, for a filter.
pub fn area_reach(state: &AppState, code: Option<&str>) -> Result<Option<Reach>> {
    let Some(code) = code.map(str::trim).filter(|code| !code.is_empty()) else { return Ok(None) };
    let atlas = state.world.atlas.load();
    let (level, _) = find_area(&atlas, code).ok_or_else(|| wrong("area", "no such area"))?;
    if level == layers::CELL {
        return Ok(Some(Reach::of(&Scope::Village(code.into()), &atlas)));
    }
    let scope = Scope::of_area(code, |_| level == layers::FUNCTIONAL_AREA);
    Ok(Some(Reach::of(&scope, &atlas)))
}

/// Which people to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PeopleListQuery {
    /// Part of name, phone or department
    q: Option<String>,
    /// Comma-separated
    role: Option<String>,
    /// Code of an area; its people and those below
    area: Option<String>,
    /// `true` (default): those at work; `false`: those who have left; `all`
    active: Option<String>,
    /// Only people without any duty
    #[serde(default)]
    without_duty: bool,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of people.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PeopleList {
    items: Vec<PersonRecord>,
    next: Option<String>,
    total: i64,
}

/// People within the account's area, by phone.
#[utoipa::path(tag = "people", params(PeopleListQuery),
    responses((status = 200, body = PeopleList), (status = 400, body = Problem), (status = 403, body = Problem)))]
#[get("/people")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<PeopleListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeePeople)?;
    let query = query.into_inner();
    let roles = params::words("role", query.role.as_deref(), |w| Role::parse(w).is_some())?;
    let query = PeopleQuery {
        reach: by_of(&state, &account).reach,
        area: area_reach(&state, query.area.as_deref())?,
        roles: roles.iter().filter_map(|role| Role::parse(role)).collect(),
        text: params::text(query.q, "q")?,
        active: match query.active.as_deref() {
            None | Some("true") => Some(true),
            Some("false") => Some(false),
            Some("all") => None,
            Some(_) => return Err(wrong("active", "true, false or all")),
        },
        idle: query.without_duty,
        after: match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            None => None,
            Some(cursor) => Some(read_cursor(cursor)?),
        },
        limit: params::limit(query.limit)?,
    };
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let total = persons::count(&mut conn, &query)?;
        let more = PeopleQuery { limit: query.limit + 1, ..query.clone() };
        let mut items = persons::list(&mut conn, &more)?;
        let next = items.len() as i64 > query.limit;
        items.truncate(query.limit as usize);
        let last = items.last().filter(|_| next);
        let next = last.map(|person| URL_SAFE_NO_PAD.encode(&person.phone));
        Ok(PeopleList { items, next, total })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The text in a cursor of ours.
pub fn read_cursor(cursor: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| wrong("cursor", "not one of ours"))
}

/// One person. Audited: it is personal data.
#[utoipa::path(tag = "people", params(("id" = Uuid, Path)),
    responses((status = 200, body = PersonRecord), (status = 404, body = Problem)))]
#[get("/people/{id}")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeePeople)?;
    let person = blocking(move || {
        let mut conn = state.store.conn()?;
        let by = by_of(&state, &account);
        let person = persons::find(&mut conn, *id, &by.reach)?;
        audit::record(&mut conn, &by.entry("people.view", format!("person:{id}")))?;
        Ok(person)
    })
    .await?;
    Ok(HttpResponse::Ok().json(person))
}

/// A new person. `id` is made by the client: a retry with the same id gets the first answer.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonWanted {
    id: Option<Uuid>,
    name: String,
    phone: String,
    role: Role,
    area_code: String,
    department: Option<String>,
    /// `zh` (default) or `en`
    language: Option<String>,
}

fn language(language: Option<String>) -> Result<Option<String>> {
    match language.as_deref() {
        None | Some("zh" | "en") => Ok(language),
        Some(_) => Err(wrong("language", "zh or en")),
    }
}

/// Create a person, without a password.
#[utoipa::path(tag = "people", request_body = PersonWanted,
    responses((status = 201, body = PersonRecord), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem)))]
#[post("/people")]
async fn create(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<PersonWanted>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let body = body.into_inner();
    let id = body.id.unwrap_or_else(Uuid::now_v7);
    let retry = retry_of(&account, id, "people.create", &body)?;
    let new = NewPerson {
        id,
        phone: body.phone,
        name: body.name,
        role: body.role,
        area_code: body.area_code,
        department: body.department,
        language: language(body.language)?.unwrap_or_else(|| "zh".into()),
    };
    let answer = blocking(move || {
        let answer = persons::create(&state.store, &new, &by_of(&state, &account), &retry)?;
        state.world.refresh(&state.store)?;
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Created().json(answer))
}

/// What changes; what is left out stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonPatch {
    name: Option<String>,
    phone: Option<String>,
    role: Option<Role>,
    area_code: Option<String>,
    /// `null` takes it away
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    department: Option<Option<String>>,
    language: Option<String>,
    /// `true` takes back somebody who has left
    active: Option<bool>,
}

/// Tells `null` from nothing.
fn given<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(text).map(Some)
}

/// Change a person.
#[utoipa::path(tag = "people", params(("id" = Uuid, Path)), request_body = PersonPatch,
    responses((status = 200, body = PersonRecord), (status = 400, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/people/{id}")]
async fn change(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: web::Json<PersonPatch>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let body = body.into_inner();
    let trimmed = |text: Option<String>| text.map(|text| text.trim().to_string());
    let wanted = PersonChange {
        phone: trimmed(body.phone),
        name: trimmed(body.name),
        role: body.role,
        area_code: trimmed(body.area_code),
        department: body.department.map(trimmed),
        language: language(body.language)?,
        active: body.active,
    };
    let shared = state.clone();
    let person = blocking(move || {
        let person = persons::change(&shared.store, *id, &wanted, &by_of(&shared, &account))?;
        shared.world.refresh(&shared.store)?;
        Ok(person)
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::Ok().json(person))
}

/// A first password, shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FirstPassword {
    person: PersonRecord,
    /// To be changed at first log-in
    password: String,
}

/// Give an account a new random first password; ends its sessions.
#[utoipa::path(tag = "people", params(("id" = Uuid, Path)),
    responses((status = 200, body = FirstPassword), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/people/{id}/activate")]
async fn activate(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let shared = state.clone();
    let (person, password) =
        blocking(move || persons::activate(&shared.store, *id, &by_of(&shared, &account))).await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::Ok()
        .insert_header((actix_web::http::header::CACHE_CONTROL, "no-store"))
        .json(FirstPassword { person, password }))
}

/// Who takes over.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Made by the client: a retry with the same id gets the first answer.
    id: Option<Uuid>,
    to: Uuid,
    reason: Option<String>,
}

/// Somebody leaves: open cases, duties and tasks go to a successor, the account is closed, all in
/// one step.
#[utoipa::path(tag = "people", params(("id" = Uuid, Path)), request_body = Leaving,
    responses((status = 200), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem)))]
#[post("/people/{id}/leave")]
async fn leave_office(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
    body: web::Json<Leaving>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let body = body.into_inner();
    let retry =
        retry_of(&account, body.id.unwrap_or_else(Uuid::new_v4), "people.leave", &(*id, &body))?;
    let reason = params::text(body.reason, "reason")?;
    let now = state.clock.now();
    let shared = state.clone();
    let answer = blocking(move || {
        let by = by_of(&shared, &account);
        let reason = reason.as_deref();
        let answer = leave::leave(&shared.store, *id, body.to, &by, reason, now, &retry)?;
        shared.world.refresh(&shared.store)?;
        Ok(answer)
    })
    .await?;
    state.accounts.invalidate_all();
    Ok(HttpResponse::Ok().json(answer))
}

/// A table to import.
#[derive(MultipartForm, utoipa::ToSchema)]
#[multipart(deny_unknown_fields)]
pub struct TableUpload {
    /// CSV (UTF-8 or GBK) or .xlsx
    #[multipart(limit = "30MB")]
    #[schema(value_type = String, format = Binary)]
    file: TempFile,
}

/// How to import.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TableQuery {
    /// Check and report only
    #[serde(default)]
    pub dry_run: bool,
}

/// Runs an import of a table that was uploaded.
pub async fn import_table(
    state: web::Data<AppState>,
    account: Account,
    form: TableUpload,
    dry_run: bool,
    read: fn(&crate::store::Store, &Sheet, bool, &By) -> Result<RowReport>,
) -> Result<HttpResponse> {
    account.require(Action::ManagePeople)?;
    let shared = state.clone();
    let report = blocking(move || {
        let sheet = Sheet::read(form.file.file.path())?;
        let report = read(&shared.store, &sheet, dry_run, &by_of(&shared, &account))?;
        shared.world.refresh(&shared.store)?;
        Ok(report)
    })
    .await?;
    if !dry_run {
        state.accounts.invalidate_all();
    }
    Ok(HttpResponse::Ok().json(report))
}

/// People in bulk: columns name, phone, role, area_code, department. A person is known by phone, so
/// the same table may be sent again.
#[utoipa::path(tag = "people", params(TableQuery),
    request_body(content = inline(TableUpload), content_type = "multipart/form-data"),
    responses((status = 200, body = RowReport), (status = 400, body = Problem), (status = 422, body = Problem)))]
#[post("/people/import")]
async fn import(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<TableQuery>,
    form: MultipartForm<TableUpload>,
) -> Result<HttpResponse> {
    import_table(state, account, form.into_inner(), query.dry_run, people::import_by).await
}

/// What somebody has open: how many cases and duties would have to be handed over.
#[utoipa::path(tag = "people", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
#[get("/people/{id}/load")]
async fn load(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeePeople)?;
    let answer: Value = blocking(move || {
        let mut conn = state.store.conn()?;
        let person = persons::find(&mut conn, *id, &by_of(&state, &account).reach)?;
        let (cases, duties) = leave::load_of(&mut conn, person.id)?;
        Ok(json!({"open_cases": cases, "duties": duties}))
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(list)
        .service(create)
        .service(import)
        .service(show)
        .service(change)
        .service(activate)
        .service(leave_office)
        .service(load);
}
