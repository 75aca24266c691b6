//! Absences: who is away, so that whoever stands in answers.

use super::params::{self, text, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use super::stats::codes_of;
use crate::atlas::areas::AreaTree;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::Action;
use crate::error::{Fault, FaultKind, Result};
use crate::store::absences::{self, Absence, AbsenceQuery};
use crate::store::reporting::Retry;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The longest absence, days: who is away longer has left.
const LONGEST_DAYS: u64 = 366;

/// A new absence. `id` is made by the client: a retry with the same id gets the first answer.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAbsence {
    id: Option<Uuid>,
    /// The own one without it
    person_id: Option<Uuid>,
    /// Asia/Shanghai, both included
    first_day: NaiveDate,
    last_day: NaiveDate,
    reason: Option<String>,
}

/// An absence with whose it is.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ShownAbsence {
    #[serde(flatten)]
    absence: Absence,
    name: String,
    phone: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Id of a person, or `me`
    person: Option<String>,
    /// Only those that end on this day or later
    from: Option<NaiveDate>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of absences, the earliest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Absences {
    items: Vec<ShownAbsence>,
    next: Option<String>,
}

/// Whether the account arranges this person's absences: everybody their own; squad leaders,
/// leaders, dispatchers and administrators those of people in their area.
fn may_arrange(account: &Account, tree: &AreaTree, person: Uuid, area: &str) -> bool {
    let arranges = !matches!(account.person.role, Role::Patroller | Role::Reviewer | Role::Planner);
    let own = || tree.find(area).is_some_and(|a| account.scope.holds(&codes_of(tree, a)));
    account.person.id == person || (arranges && own())
}

fn not_yours() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "area_forbidden",
        "只能安排本人或本辖区人员的请假",
        "You arrange your own absences and those of people in your area",
    )
}

/// Absences of oneself and of people in the own area.
#[utoipa::path(tag = "absences", params(ListQuery),
    responses((status = 200, body = Absences), (status = 400, body = Problem)))]
#[get("/absences")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let query = query.into_inner();
    let limit = params::limit(query.limit)?;
    let person = match query.person.as_deref() {
        None | Some("") => None,
        Some("me") => Some(account.person.id),
        Some(id) => Some(id.parse().map_err(|_| wrong("person", "an id, or me"))?),
    };
    let mut after = match query.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(cursor) => {
            Some(read_cursor(cursor).ok_or_else(|| wrong("cursor", "not one of ours"))?)
        }
        None => None,
    };
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let tree = state.world.land.tree(&state.world.atlas.load_full());
        let wanted = usize::try_from(limit).unwrap_or(1000);
        let mut items: Vec<ShownAbsence> = Vec::new();
        // The area is judged here, so pages are filled from as many readings as it takes.
        loop {
            let page = AbsenceQuery { person, from: query.from, after, limit: 1000 };
            let rows = absences::list(&mut conn, &page)?;
            let is_last = rows.len() < 1000;
            after = rows.last().map(|row| (row.absence.first_day, row.absence.id)).or(after);
            items.extend(
                rows.into_iter()
                    .filter(|row| {
                        may_arrange(&account, &tree, row.absence.person_id, &row.area_code)
                    })
                    .map(|row| ShownAbsence {
                        absence: row.absence,
                        name: row.name,
                        phone: row.phone,
                    }),
            );
            if is_last || items.len() > wanted {
                break;
            }
        }
        let more = items.len() > wanted;
        items.truncate(wanted);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| format!("{}|{}", last.absence.first_day, last.absence.id));
        Ok(Absences { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

fn read_cursor(cursor: &str) -> Option<(NaiveDate, Uuid)> {
    let (day, id) = cursor.split_once('|')?;
    Some((day.parse().ok()?, id.parse().ok()?))
}

/// Record an absence. Open cases stay where they are until they are dispatched again
/// (`/redispatch`); new ones go to whoever stands in.
#[utoipa::path(tag = "absences", request_body = NewAbsence,
    responses((status = 201, body = Absence), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem)))]
#[post("/absences")]
async fn add(
    state: web::Data<AppState>,
    account: Account,
    request: HttpRequest,
    body: web::Json<NewAbsence>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    let body = body.into_inner();
    let longest = body.first_day.checked_add_days(Days::new(LONGEST_DAYS));
    if body.last_day < body.first_day || longest.is_none_or(|longest| body.last_day > longest) {
        return Err(wrong("last_day", "not before first_day, and at most a year after it"));
    }
    let digest = Sha256::digest(serde_json::to_vec(&body).map_err(Fault::internal)?).into();
    let key = params::retry_key(body.id, &request)?;
    let retry = Retry { person: account.person.id, key, request: digest };
    let new = Absence {
        id: body.id.unwrap_or_else(Uuid::new_v4),
        person_id: body.person_id.unwrap_or(account.person.id),
        first_day: body.first_day,
        last_day: body.last_day,
        reason: text(body.reason, "reason")?,
        created_by: Some(account.person.id),
        created_at: state.clock.now(),
        cancelled_by: None,
        cancelled_at: None,
    };
    let answer = blocking(move || {
        refuse_others(&state, &account, new.person_id)?;
        let answer = absences::add(&state.store, &new, &retry, account.from)?;
        state.world.refresh(&state.store)?;
        Ok(answer)
    })
    .await?;
    Ok(HttpResponse::Created().json(answer))
}

fn refuse_others(state: &AppState, account: &Account, person: Uuid) -> Result<()> {
    let roster = state.world.roster.load();
    let tree = state.world.land.tree(&state.world.atlas.load_full());
    let area = roster.person(person).map(|person| person.area_code.as_str());
    match area {
        Some(area) if may_arrange(account, &tree, person, area) => Ok(()),
        // Whether somebody of another area exists is not told.
        _ => Err(not_yours()),
    }
}

/// Take an absence back.
#[utoipa::path(tag = "absences", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/absences/{id}")]
async fn cancel(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    account.require(Action::SeeCases)?;
    blocking(move || {
        let absence = absences::find(&mut *state.store.conn()?, *id)?;
        let absence = absence
            .ok_or_else(|| Fault::not_found("没有这条请假记录", "There is no such absence"))?;
        refuse_others(&state, &account, absence.person_id)?;
        let (by, now) = (account.person.id, state.clock.now());
        absences::cancel(&state.store, &absence, by, account.from, now)?;
        state.world.refresh(&state.store)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list).service(add).service(cancel);
}
