//! Tracks: where a phone was on patrol.

use super::{may_follow, no_such_person, period};
use crate::enforcement::patrol::track::TrackPoint;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::geometry::crs::{Crs, ToCgcs2000};
use crate::store::audit::{self, Entry};
use crate::store::patrol::tracks::{self, Batch, JudgedPoint, Receipt};
use crate::web::params::{self, wrong};
use crate::web::problem::Problem;
use crate::web::session::Account;
use crate::web::state::{AppState, blocking};
use actix_web::{HttpResponse, get, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, NaiveTime, SubsecRound, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use geo::Coord;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Positions in one batch: an hour and more at one a second.
const MAX_POINTS: usize = 5_000;
/// How late a batch may come, days.
const MAX_AGE_DAYS: i64 = 31;
/// A phone's clock may be ahead by so much, minutes.
const AHEAD_MINUTES: i64 = 10;

/// A position at a moment.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPoint {
    at: DateTime<Utc>,
    lon: f64,
    lat: f64,
    accuracy_m: Option<f64>,
    #[serde(default)]
    mocked: bool,
}

/// A batch of positions, also old ones. `id` is made by the client: a retry gets the first answer.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrack {
    id: Uuid,
    /// `wgs84` (default), `cgcs2000`, `gcj02`, `bd09` …
    crs: Option<String>,
    /// At most 5,000, in any order
    points: Vec<NewPoint>,
}

fn batch_of(body: NewTrack, now: DateTime<Utc>) -> Result<Batch> {
    let request = Sha256::digest(serde_json::to_vec(&body).map_err(Fault::internal)?).into();
    if body.points.is_empty() || body.points.len() > MAX_POINTS {
        return Err(wrong("points", &format!("1 to {MAX_POINTS}")));
    }
    let crs: Crs = body.crs.as_deref().unwrap_or("wgs84").parse()?;
    let to_cgcs2000 = ToCgcs2000::cached(&crs)?;
    let (earliest, latest) =
        (now - Duration::days(MAX_AGE_DAYS), now + Duration::minutes(AHEAD_MINUTES));
    let points = body
        .points
        .into_iter()
        .map(|point| {
            if point.at < earliest || point.at > latest {
                let detail = format!("within the last {MAX_AGE_DAYS} days, not in the future");
                return Err(wrong("points.at", &detail));
            }
            Ok(TrackPoint {
                at: point.at.trunc_subsecs(6),
                position: to_cgcs2000.position(Coord { x: point.lon, y: point.lat })?,
                accuracy_m: params::finite(point.accuracy_m, "points.accuracy_m", 0.0..=1e6)?,
                mocked: point.mocked,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Batch { id: body.id, request, points })
}

/// Send positions of the own patrol.
#[utoipa::path(tag = "patrol", request_body = NewTrack,
    responses((status = 201, body = Receipt), (status = 400, body = Problem),
              (status = 409, body = Problem), (status = 413, body = Problem)))]
#[post("/patrol/tracks")]
async fn record(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewTrack>,
) -> Result<HttpResponse> {
    account.require(Action::RecordTrack)?;
    let receipt = blocking(move || {
        let batch = batch_of(body.into_inner(), state.clock.now())?;
        tracks::record(&state.store, &state.world, &account.person, &batch)
    })
    .await?;
    Ok(HttpResponse::Created().json(receipt))
}

/// Whose track, and when.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TrackQuery {
    /// Id of the person; oneself where it is left out
    person: Option<Uuid>,
    /// First day (Shanghai); today where it is left out
    from: Option<String>,
    /// Last day, included; at most 31 days
    to: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Positions in the order of time.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TrackList {
    items: Vec<JudgedPoint>,
    next: Option<String>,
}

fn read_cursor(cursor: &str) -> Option<DateTime<Utc>> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    DateTime::from_timestamp_micros(text.parse().ok()?)
}

/// Where somebody was on patrol: oneself, or people of the own area whom one leads. Reading
/// another's is noted in the audit trail.
#[utoipa::path(tag = "patrol", params(TrackQuery),
    responses((status = 200, body = TrackList), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/patrol/tracks")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<TrackQuery>,
) -> Result<HttpResponse> {
    account.require(Action::RecordTrack)?;
    let query = query.into_inner();
    let limit = params::limit(query.limit)?;
    let (from, to) = period(&state, query.from.as_deref(), query.to.as_deref(), 1, 31)?;
    let midnight = |day: chrono::NaiveDate| {
        let local = Shanghai.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
        local.map(|time| time.with_timezone(&Utc)).ok_or_else(|| wrong("from", "a day"))
    };
    let end = midnight(to.succ_opt().unwrap_or(to))?;
    let start = match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => {
            let after = read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?;
            after + Duration::microseconds(1)
        }
        None => midnight(from)?,
    };
    let is_first_page = query.cursor.is_none();
    let person = query.person.unwrap_or(account.person.id);
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        if person != account.person.id {
            let roster = state.world.roster.load();
            let found = roster.person(person).ok_or_else(no_such_person)?;
            may_follow(&state, &account, found)?;
            if is_first_page {
                let entry = Entry {
                    actor: Some(account.person.id),
                    from: account.from,
                    action: "track.read",
                    subject: format!("person:{person}"),
                    before: None,
                    after: Some(json!({"from": from, "to": to})),
                };
                audit::record(&mut conn, &entry)?;
            }
        }
        let mut items = tracks::list(&mut conn, person, start, end, limit + 1)?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let cursor =
            |point: &JudgedPoint| URL_SAFE_NO_PAD.encode(point.at.timestamp_micros().to_string());
        let next = items.last().filter(|_| more).map(cursor);
        Ok(TrackList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(record).service(list);
}
