//! The steps of a case: take one, and which are open to the viewer.

use super::cases::visible_case;
use super::params::{self, text, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action as Guarded;
use crate::enforcement::workflow::case::Outcome;
use crate::enforcement::workflow::{Action, Actor, Offer};
use crate::error::Result;
use crate::geometry::crs::{Crs, ToCgcs2000};
use crate::store::reporting::Retry;
use crate::store::workflow::{self, Asked, Position};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::{DateTime, SubsecRound, Utc};
use geo::Coord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// One step shows at most so many attachments.
const MOST_ATTACHMENTS: usize = 50;

/// Nobody demolishes more than 100 km².
const MAX_AREA_M2: f64 = 1e8;

/// A step. `id` is made by the client: a retry with the same id gets the first answer.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAction {
    id: Option<Uuid>,
    action: Action,
    /// The version that was seen; another one since is refused with 409 `stale_version`
    expected_version: Option<i32>,
    /// Longitude or easting of where the actor stands
    lon: Option<f64>,
    /// Latitude or northing
    lat: Option<f64>,
    /// `wgs84` (default), `cgcs2000`, `gcj02`, `bd09`, `EPSG:n` …
    crs: Option<String>,
    accuracy_m: Option<f64>,
    mocked: Option<bool>,
    /// The device's time
    observed_at: Option<DateTime<Utc>>,
    text: Option<String>,
    /// Ids of attachments uploaded to this case
    #[serde(default)]
    attachments: Vec<Uuid>,
    /// All that is demolished so far, m²
    demolished_m2: Option<f64>,
    outcome: Option<Outcome>,
    to_user: Option<Uuid>,
    reason: Option<String>,
    duplicate_of: Option<Uuid>,
    /// The new deadline of `extend`; may go with `supervise` and `reassign`
    deadline: Option<DateTime<Utc>>,
    /// Where `transfer` leads: a code of the dictionary `authority`, or a name
    authority: Option<String>,
}

fn actor(account: &Account) -> Actor {
    Actor { id: account.person.id, role: account.person.role, scope: account.scope.clone() }
}

fn parse(body: NewAction, case_id: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<Asked> {
    let accuracy_m = params::finite(body.accuracy_m, "accuracy_m", 0.0..=1e6)?;
    let position = match (body.lon, body.lat) {
        (Some(x), Some(y)) => {
            let crs: Crs = body.crs.as_deref().unwrap_or("wgs84").parse()?;
            let at = ToCgcs2000::cached(&crs)?.position(Coord { x, y })?;
            Some(Position { at, input: (x, y, crs.to_string()), accuracy_m })
        }
        (None, None) => None,
        _ => return Err(wrong("lon", "lon and lat, or neither")),
    };
    let mut attachments = body.attachments;
    if attachments.len() > MOST_ATTACHMENTS {
        return Err(wrong("attachments", "at most 50"));
    }
    let mut seen = std::collections::HashSet::new();
    attachments.retain(|id| seen.insert(*id));
    Ok(Asked {
        id,
        case_id,
        action: body.action,
        expected_version: body.expected_version,
        observed_at: match body.observed_at {
            Some(time) => Some(params::device_time(time, now, "observed_at")?.trunc_subsecs(6)),
            None => None,
        },
        position,
        mocked: body.mocked,
        text: text(body.text, "text")?,
        reason: text(body.reason, "reason")?,
        attachments,
        demolished_m2: params::finite(body.demolished_m2, "demolished_m2", 0.0..=MAX_AREA_M2)?,
        outcome: body.outcome,
        to_user: body.to_user,
        duplicate_of: body.duplicate_of,
        deadline: body.deadline.map(|time| time.trunc_subsecs(6)),
        authority: text(body.authority, "authority")?,
    })
}

/// Take a step. 409 `wrong_state` where the state does not allow it, 409 `stale_version` with what
/// happened since, 422 `missing_evidence` with what is missing.
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)), request_body = NewAction,
    responses((status = 200, body = Object), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/cases/{id}/actions")]
async fn act(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    case_id: web::Path<Uuid>,
    body: web::Json<NewAction>,
) -> Result<HttpResponse> {
    account.require(Guarded::SeeCases)?;
    let (case_id, body) = (case_id.into_inner(), body.into_inner());
    let key = params::retry_key(body.id, &request)?;
    let mut digest = Sha256::new();
    digest.update(case_id.as_bytes());
    digest.update(serde_json::to_vec(&body).map_err(crate::error::Fault::internal)?);
    let retry = Retry { person: account.person.id, key, request: digest.finalize().into() };
    let now = state.clock.now();
    let answer: Value = blocking(move || {
        let id = body.id.unwrap_or_else(Uuid::new_v4);
        let asked = parse(body, case_id, id, now)?;
        let answer =
            workflow::act(&state.store, &state.world, &actor(&account), &asked, &retry, now)?;
        // The actor's next list and tile have it at once.
        state.world.refresh(&state.store)?;
        Ok(answer)
    })
    .await?;
    metrics::counter!("xuncha_case_steps").increment(1);
    Ok(HttpResponse::Ok().json(answer))
}

/// The steps open to somebody.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Offers {
    items: Vec<Offer>,
    /// What `expected_version` should say.
    version: i32,
}

/// What the viewer may do with the case now: each action with what its request must bring
/// (`needs`) and what the case itself still lacks for it (`lacks`).
#[utoipa::path(tag = "cases", params(("id" = Uuid, Path)),
    responses((status = 200, body = Offers), (status = 404, body = Problem)))]
#[get("/cases/{id}/actions")]
async fn offered(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Guarded::SeeCases)?;
    let answer = blocking(move || {
        let row = visible_case(&state.store, &account, *id)?;
        let mut conn = state.store.conn()?;
        let items = workflow::offered(&mut conn, &row, &actor(&account), state.clock.now())?;
        Ok(Offers { items, version: row.version })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(act).service(offered);
}
