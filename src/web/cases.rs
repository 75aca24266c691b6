//! Cases: report, list, show, history.

use super::case_params::{self, CaseParams};
use super::params::{self, text, wrong};
use super::people::by_of;
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::nature::Nature;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use crate::geometry::drawn;
use crate::store::cases::{self, CaseQuery};
use crate::store::reporting::{self, Report, Retry, case_json, footprint_json};
use crate::store::{Store, attachments, audit};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound, Utc};
use geo::Coord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const SOURCES: [&str; 4] = ["patrol", "public", "satellite", "assigned"];
const PATROL_KINDS: [&str; 2] = ["regular", "spot"];
/// Nobody reports a case larger than 100 km².
const MAX_AREA_M2: f64 = 1e8;

/// The party: a person or firm.
#[derive(Deserialize, Serialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Party {
    name: Option<String>,
    /// Identity number or credit code; takings cumulate by it.
    id_number: Option<String>,
    is_cadre: bool,
}

/// A new case. `id` is made by the client: a retry with the same id gets the first answer.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCase {
    id: Option<Uuid>,
    /// Longitude or easting
    lon: f64,
    /// Latitude or northing
    lat: f64,
    /// `wgs84` (default), `cgcs2000`, `gcj02`, `bd09`, `EPSG:n` …
    crs: Option<String>,
    accuracy_m: Option<f64>,
    #[serde(default)]
    mocked: bool,
    observed_at: Option<DateTime<Utc>>,
    source: Option<String>,
    patrol_kind: Option<String>,
    nature: Nature,
    #[serde(rename = "use")]
    use_: Option<String>,
    party: Option<Party>,
    area_m2: Option<f64>,
    storeys: Option<i32>,
    new_build: Option<bool>,
    description: Option<String>,
    /// GeoJSON Polygon or MultiPolygon in `crs`
    #[schema(value_type = Option<Object>)]
    footprint: Option<Value>,
}

fn one_of(value: Option<&str>, known: &[&str], field: &str) -> Result<()> {
    match value {
        Some(value) if !known.contains(&value) => Err(wrong(field, &known.join(", "))),
        _ => Ok(()),
    }
}

pub(super) fn parse(body: NewCase, reporter: Uuid) -> Result<Report> {
    let crs: Crs = body.crs.as_deref().unwrap_or("wgs84").parse()?;
    let to_cgcs2000 = ToCgcs2000::cached(&crs)?;
    let position = to_cgcs2000.position(Coord { x: body.lon, y: body.lat })?;
    one_of(body.source.as_deref(), &SOURCES, "source")?;
    one_of(body.patrol_kind.as_deref(), &PATROL_KINDS, "patrol_kind")?;
    let now = Utc::now();
    let observed_at = body.observed_at.unwrap_or(now).trunc_subsecs(6);
    let observed_at = params::device_time(observed_at, now, "observed_at")?;
    let party = body.party.unwrap_or_default();
    Ok(Report {
        id: body.id.unwrap_or_else(Uuid::new_v4),
        source: body.source.unwrap_or_else(|| "patrol".into()),
        patrol_kind: body.patrol_kind,
        nature: body.nature,
        use_: text(body.use_, "use")?,
        party_name: text(party.name, "party.name")?,
        party_id_number: text(party.id_number, "party.id_number")?.map(|id| id.to_uppercase()),
        party_is_cadre: party.is_cadre,
        area_m2: params::finite(body.area_m2, "area_m2", 0.0..=MAX_AREA_M2)?,
        storeys: match body.storeys {
            Some(storeys) if !(0..=200).contains(&storeys) => {
                return Err(wrong("storeys", "0 to 200"));
            }
            storeys => storeys,
        },
        new_build: body.new_build,
        description: text(body.description, "description")?,
        input: (body.lon, body.lat, crs.to_string()),
        position,
        accuracy_m: params::finite(body.accuracy_m, "accuracy_m", 0.0..=1e6)?,
        mocked: body.mocked,
        footprint: match body.footprint.filter(|f| !f.is_null()) {
            Some(footprint) => Some(
                drawn::from_geojson_in(&footprint, drawn::MOST_VERTICES, &to_cgcs2000)
                    .map_err(|error| Fault::from(error).field("footprint", "invalid polygon"))?,
            ),
            None => None,
        },
        observed_at,
        reporter: Some(reporter),
    })
}

/// Report a case: answers with its place, land categories and responsible person.
#[utoipa::path(tag = "cases", request_body = NewCase,
    responses((status = 201), (status = 400, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem)))]
#[post("/cases")]
async fn report(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    body: web::Json<NewCase>,
) -> Result<HttpResponse> {
    account.require(Action::ReportCase)?;
    let body = body.into_inner();
    let key = params::retry_key(body.id, &request)?;
    let digest = Sha256::digest(serde_json::to_vec(&body).map_err(Fault::internal)?).into();
    let person = account.person.id;
    let shared = state.clone();
    let answer = blocking(move || {
        let report = parse(body, person)?;
        let retry = Retry { person, key, request: digest };
        let answer = reporting::report(&shared.store, &shared.world, &report, &retry)?;
        // The follower would bring it within milliseconds; the reporter's next tile has it at once.
        shared.world.refresh(&shared.store)?;
        Ok(answer)
    })
    .await?;
    metrics::counter!("xuncha_cases_reported").increment(1);
    Ok(HttpResponse::Created().json(answer))
}

/// Which page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // for the API's description; read by name
struct PageParams {
    /// 1 to 1000, 50 by default
    limit: Option<i64>,
    /// `next` of the page before
    cursor: Option<String>,
}

/// A page of cases.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CaseList {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    next: Option<String>,
    /// All cases that match, on every page.
    total: i64,
}

fn cursor_of(case: &cases::CaseRow) -> String {
    cursor(case.reported_at, case.id)
}

/// The cursor behind an entry of a list that is ordered by time and id.
pub fn cursor(at: DateTime<Utc>, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}|{id}", at.timestamp_micros()))
}

/// Reads a [`cursor`].
pub fn read_cursor(cursor: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (micros, id) = text.split_once('|')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}

fn parse_list(state: &AppState, account: &Account, query: &str) -> Result<CaseQuery> {
    let (params, others) = case_params::split(query, &["limit", "cursor"])?;
    let other = |name: &str| others.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let limit = match other("limit") {
        Some(text) => Some(text.parse().map_err(|_| wrong("limit", "1 to 1000"))?),
        None => None,
    };
    Ok(CaseQuery {
        filter: params.filter(&state.world, account, state.clock.now())?,
        after: match other("cursor") {
            Some(cursor) => {
                Some(read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?)
            }
            None => None,
        },
        limit: params::limit(limit)?,
    })
}

/// Cases within the account's area, newest first.
#[utoipa::path(tag = "cases", params(CaseParams, PageParams),
    responses((status = 200, body = CaseList), (status = 400, body = Problem)))]
#[get("/cases")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let query = parse_list(&state, &account, request.query_string())?;
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let total = cases::count(&mut conn, &query.filter)?;
        // One more than asked tells whether there is another page.
        let rows = cases::list(&mut conn, &CaseQuery { limit: query.limit + 1, ..query.clone() })?;
        let page = &rows[..rows.len().min(query.limit as usize)];
        let next = (rows.len() > page.len()).then(|| page.last().map(cursor_of)).flatten();
        Ok(CaseList { items: page.iter().map(case_line).collect(), next, total })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// How many cases match.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CaseCount {
    count: i64,
}

/// How many cases of the account's area a filter admits.
#[utoipa::path(tag = "cases", params(CaseParams),
    responses((status = 200, body = CaseCount), (status = 400, body = Problem)))]
#[get("/cases/count")]
async fn count(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let (params, _) = case_params::split(request.query_string(), &[])?;
    let filter = params.filter(&state.world, &account, state.clock.now())?;
    let count = blocking(move || cases::count(&mut *state.store.conn()?, &filter)).await?;
    Ok(HttpResponse::Ok().json(CaseCount { count }))
}

/// A case of a list: the party's identity number only hinted at. Whoever opens the case sees it,
/// and that is audited.
fn case_line(row: &cases::CaseRow) -> Value {
    let mut line = case_json(row);
    if let Some(id_number) = &row.party_id_number {
        line["party"]["id_number"] = hinted(id_number).into();
    }
    line
}

/// The first three and the last two signs.
fn hinted(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let shown = |n: usize| n < 3 || n + 2 >= signs.len();
    let long = signs.len() > 8;
    signs.iter().enumerate().map(|(n, c)| if long && shown(n) { *c } else { '*' }).collect()
}

/// The case, if it exists and the account may see it; otherwise 404 either way.
pub fn visible_case(store: &Store, account: &Account, id: Uuid) -> Result<cases::CaseRow> {
    let found = cases::find(&mut *store.conn()?, id)?;
    let own = |case: &cases::CaseRow| {
        cases::is_within(case, &account.scope)
            || case.reporter_id == Some(account.person.id)
            || case.assignee_id == Some(account.person.id)
    };
    found.filter(own).ok_or_else(|| {
        Fault::not_found("没有这个案件，或不在您的辖区内", "There is no such case in your area")
    })
}

/// One case.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200), (status = 404, body = Problem)))]
#[get("/cases/{id}")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let answer = blocking(move || {
        let row = visible_case(&state.store, &account, *id)?;
        let mut conn = state.store.conn()?;
        if row.party_id_number.is_some() {
            let by = by_of(&state, &account);
            audit::record(&mut conn, &by.entry("case.party_view", format!("case:{}", row.id)))?;
        }
        let mut answer = case_json(&row);
        let footprint = cases::footprint(&mut conn, row.id)?;
        answer["footprint"] = footprint_json(footprint.as_ref());
        let evidence = attachments::of_case(&mut conn, row.id)?;
        answer["attachments"] = evidence.iter().map(attachments::Attachment::json).collect();
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// One step of a case's history.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Event {
    seq: i32,
    id: Uuid,
    action: String,
    actor: Option<Actor>,
    /// Server's time.
    at: DateTime<Utc>,
    /// Device's time.
    observed_at: Option<DateTime<Utc>>,
    lon: Option<f64>,
    lat: Option<f64>,
    accuracy_m: Option<f64>,
    mocked: Option<bool>,
    text: Option<String>,
    attachments: Vec<Uuid>,
    /// The attachments, described.
    files: Vec<EventFile>,
    #[schema(value_type = Object)]
    data: Value,
}

/// An attachment that an event shows.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventFile {
    id: Uuid,
    media_type: String,
    file_name: String,
    bytes: i64,
}

impl From<&attachments::Attachment> for EventFile {
    fn from(file: &attachments::Attachment) -> Self {
        Self {
            id: file.id,
            media_type: file.media_type.clone(),
            file_name: file.file_name.clone(),
            bytes: file.bytes,
        }
    }
}

/// Who did it; none where the platform did.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Actor {
    id: Uuid,
    name: String,
}

/// The whole history of a case, oldest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct History {
    items: Vec<Event>,
    next: Option<String>,
}

/// The history of a case.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200, body = History), (status = 404, body = Problem)))]
#[get("/cases/{id}/history")]
async fn history(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let answer = blocking(move || {
        let case = visible_case(&state.store, &account, *id)?;
        let mut conn = state.store.conn()?;
        let events = cases::history(&mut conn, case.id)?;
        let names = cases::names_of(&mut conn, events.iter().filter_map(|e| e.actor_id))?;
        let files = attachments::of_case(&mut conn, case.id)?;
        let name = |id: Uuid| names.get(&id).cloned().unwrap_or_default();
        let items = events
            .into_iter()
            .map(|e| Event {
                seq: e.seq,
                id: e.id,
                action: e.action,
                actor: e.actor_id.map(|id| Actor { id, name: name(id) }),
                at: e.at,
                observed_at: e.observed_at,
                lon: e.lon,
                lat: e.lat,
                accuracy_m: e.accuracy_m,
                mocked: e.mocked,
                text: e.text,
                files: files
                    .iter()
                    .filter(|file| e.attachments.contains(&file.id))
                    .map(EventFile::from)
                    .collect(),
                attachments: e.attachments,
                data: e.data,
            })
            .collect();
        Ok(History { items, next: None })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(report).service(list).service(count).service(show).service(history);
}
