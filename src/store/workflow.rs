//! A step of a case: checked, written with its event and its messages in one transaction; safe to
//! retry.

use super::cases::{self, CaseRow, EventRow};
use super::patrol::visits;
use super::reporting::{Retry, case_json, first_answer, remember};
use super::schema::{attachments, case_events, cases as table, people};
use super::world::World;
use super::{Store, notify, outbox};
use crate::enforcement::deadlines::Step;
use crate::enforcement::nature::Nature;
use crate::enforcement::settings::Settings;
use crate::enforcement::workflow::case::Outcome;
use crate::enforcement::workflow::{
    Action, Actor, CaseState, Offer, Past, PastEvent, Request, Status, Taken, offers, step, take,
};
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use geo::Coord;
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

/// An action as parsed and converted; what it names is not yet looked up.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Made by the client; the event's id.
    pub id: Uuid,
    pub case_id: Uuid,
    pub action: Action,
    /// The version that was seen; none takes the step whatever has happened since, if the state
    /// still allows it.
    pub expected_version: Option<i32>,
    pub observed_at: Option<DateTime<Utc>>,
    pub position: Option<Position>,
    pub mocked: Option<bool>,
    pub text: Option<String>,
    pub reason: Option<String>,
    pub attachments: Vec<Uuid>,
    pub demolished_m2: Option<f64>,
    pub outcome: Option<Outcome>,
    pub to_user: Option<Uuid>,
    pub duplicate_of: Option<Uuid>,
    pub deadline: Option<DateTime<Utc>>,
    pub authority: Option<String>,
}

/// Where somebody stood.
#[derive(Debug, Clone)]
pub struct Position {
    /// CGCS2000 degrees.
    pub at: Coord,
    /// As the device gave it, with its reference system.
    pub input: (f64, f64, String),
    pub accuracy_m: Option<f64>,
}

/// The case does not exist, or is none of the account's business: which, is not told.
pub fn no_such_case() -> Fault {
    Fault::not_found("没有这个案件，或不在您的辖区内", "There is no such case in your area")
}

/// Whether somebody may see a case: their area's, and what they reported or answer for.
pub fn is_visible(row: &CaseRow, actor: &Actor) -> bool {
    cases::is_within(row, &actor.scope)
        || row.reporter_id == Some(actor.id)
        || row.assignee_id == Some(actor.id)
}

/// Takes a step and answers with the case and the event; a retry gets the first answer.
pub fn act(
    store: &Store,
    world: &World,
    actor: &Actor,
    asked: &Asked,
    retry: &Retry,
    now: DateTime<Utc>,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        let (row, duplicate_of) = lock(conn, asked)?;
        let row = row.filter(|row| is_visible(row, actor)).ok_or_else(no_such_case)?;
        let taken_id: i64 =
            case_events::table.filter(case_events::id.eq(asked.id)).count().get_result(conn)?;
        if taken_id > 0 {
            return Err(Fault::new(
                FaultKind::Conflict,
                "id_taken",
                "该编号已用于另一步操作",
                "Another step already has this id",
            ));
        }
        let events = cases::history(conn, row.id)?;
        refuse_stale(conn, asked, &row, &events)?;
        let request = look_up(conn, asked, actor, duplicate_of)?;
        let (case, past) = (state_of(&row)?, past_of(&events));
        let taken = take(&case, &past, &request, actor, now, &world.settings.load())?;

        let row = update(conn, &row, &taken)?;
        let event = event(&row, &taken, asked, actor, &events, now);
        diesel::insert_into(case_events::table).values(&event).execute(conn)?;
        visits::of_records(conn, world, std::slice::from_ref(&event))?;
        for notice in &taken.notices {
            outbox::enqueue(conn, notice)?;
        }
        let name: Option<String> =
            people::table.find(actor.id).select(people::name).first(conn).optional()?;
        let answer = json!({
            "case": case_json(&row),
            "event": {
                "seq": event.seq,
                "id": event.id,
                "action": event.action,
                "actor": {"id": actor.id, "name": name},
                "at": event.at,
                "observed_at": event.observed_at,
                "text": event.text,
                "attachments": event.attachments,
                "data": event.data,
            },
        });
        remember(conn, retry, 200, &answer)?;
        notify::notify(conn, "cases")?;
        Ok(answer)
    })
}

/// What somebody may do with a case now.
pub fn offered(
    conn: &mut PgConnection,
    row: &CaseRow,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Vec<Offer>> {
    let events = cases::history(conn, row.id)?;
    Ok(offers(&state_of(row)?, &past_of(&events), actor, now))
}

/// The case, held until the transaction ends, and whether the one it may duplicate is a duplicate
/// itself. Both are locked in the order of their ids: two that name each other do not wait in a
/// circle, and the second sees what the first has done.
fn lock(conn: &mut PgConnection, asked: &Asked) -> Result<(Option<CaseRow>, Option<bool>)> {
    let mut ids = vec![asked.case_id];
    ids.extend(asked.duplicate_of);
    ids.sort_unstable();
    ids.dedup();
    let mut rows: HashMap<Uuid, CaseRow> = HashMap::new();
    for id in ids {
        let row = table::table
            .find(id)
            .select(CaseRow::as_select())
            .for_no_key_update()
            .first(conn)
            .optional()?;
        rows.extend(row.map(|row| (id, row)));
    }
    let is_duplicate = asked
        .duplicate_of
        .and_then(|id| rows.get(&id))
        .map(|row| row.status == Status::Duplicate.as_str());
    Ok((rows.remove(&asked.case_id), is_duplicate))
}

/// Refuses a step decided on by an old look at the case, and says what has happened since. Remarks
/// and urgings since do not matter.
fn refuse_stale(
    conn: &mut PgConnection,
    asked: &Asked,
    row: &CaseRow,
    events: &[EventRow],
) -> Result<()> {
    let Some(expected) = asked.expected_version else { return Ok(()) };
    if expected == row.version {
        return Ok(());
    }
    // Every event counts one up.
    let missed = usize::try_from(row.version.saturating_sub(expected)).unwrap_or(0);
    let since = &events[events.len().saturating_sub(missed)..];
    let is_remark = |e: &EventRow| Action::parse(&e.action).is_some_and(Action::is_remark);
    if expected >= 1 && expected < row.version && since.iter().all(is_remark) {
        return Ok(());
    }
    let ids: Vec<Uuid> = since.iter().filter_map(|e| e.actor_id).collect();
    let names = cases::names_of(conn, ids.into_iter())?;
    let mut fault = Fault::new(
        FaultKind::Conflict,
        "stale_version",
        format!("案件已被他人更新（现为第 {} 版），请刷新后再试", row.version),
        format!("Somebody has changed the case since (it is at version {} now)", row.version),
    );
    for event in since {
        let who = event.actor_id.and_then(|id| names.get(&id)).map_or("xuncha", String::as_str);
        let what = format!("{} · {} · {who}", event.action, event.at.to_rfc3339());
        fault = fault.field(format!("events/{}", event.seq), what);
    }
    Err(fault)
}

/// Looks up what an action names.
fn look_up(
    conn: &mut PgConnection,
    asked: &Asked,
    actor: &Actor,
    duplicate_of: Option<bool>,
) -> Result<Request> {
    let found: HashMap<Uuid, String> = attachments::table
        .filter(attachments::case_id.eq(asked.case_id))
        .filter(attachments::id.eq_any(&asked.attachments))
        .select((attachments::id, attachments::media_type))
        .load::<(Uuid, String)>(conn)?
        .into_iter()
        .collect();
    let unknown = |field: &str, zh: &str, en: &str| {
        Err(Fault::new(FaultKind::Unprocessable, "missing_evidence", zh, en).field(field, en))
    };
    let mut named = Vec::with_capacity(asked.attachments.len());
    for id in &asked.attachments {
        let Some(media_type) = found.get(id) else {
            return unknown(
                "attachments",
                "附件不存在或不属于本案件，请先上传到本案件",
                "An attachment is not this case's; upload it to this case first",
            );
        };
        named.push((*id, media_type.starts_with("image/")));
    }
    let to_user = match asked.to_user {
        Some(id) => {
            let name: Option<String> = people::table
                .find(id)
                .filter(people::active)
                .select(people::name)
                .first(conn)
                .optional()?;
            match name {
                Some(name) => Some((id, name)),
                None => {
                    return unknown(
                        "to_user",
                        "接收人不存在或已停用",
                        "There is no active person with this id",
                    );
                }
            }
        }
        None => None,
    };
    let duplicate_of = match (asked.duplicate_of, duplicate_of) {
        (None, _) => None,
        (Some(id), Some(is_duplicate)) => {
            // Nothing is told of a case that the actor could not look at.
            let other = cases::find(conn, id)?.filter(|row| is_visible(row, actor));
            if other.is_none() {
                return unknown(
                    "duplicate_of",
                    "没有找到所指案件",
                    "The case named does not exist",
                );
            }
            Some((id, is_duplicate))
        }
        (Some(_), None) => {
            return unknown("duplicate_of", "没有找到所指案件", "The case named does not exist");
        }
    };
    Ok(Request {
        id: asked.id,
        action: asked.action,
        text: asked.text.clone(),
        reason: asked.reason.clone(),
        attachments: named,
        demolished_m2: asked.demolished_m2,
        outcome: asked.outcome,
        to_user,
        duplicate_of,
        deadline: asked.deadline,
        authority: asked.authority.clone(),
    })
}

/// A row as the workflow reads it.
pub(super) fn state_of(row: &CaseRow) -> Result<CaseState> {
    let unknown = |what: &str| Fault::internal(format!("unknown {what} of a case in store"));
    Ok(CaseState {
        id: row.id,
        status: Status::parse(&row.status).ok_or_else(|| unknown("status"))?,
        version: row.version,
        nature: Nature::parse(&row.nature).ok_or_else(|| unknown("nature"))?,
        place: cases::place_codes(row),
        reporter: row.reporter_id,
        assignee: row.assignee_id,
        imported: row.imported,
        reported_at: row.reported_at,
        due_at: row.due_at,
        due_step: row.due_step.as_deref().and_then(Step::parse),
        stop_due_at: row.stop_due_at,
        close_due_at: row.close_due_at,
        visited_at: row.visited_at,
        stopped_at: row.stopped_at,
        applied_at: row.applied_at,
        applicant: row.applicant_id,
        outcome: row.outcome.as_deref().and_then(Outcome::parse),
        demolished_m2: row.demolished_m2,
        demolished_at: row.demolished_at,
        closed_at: row.closed_at,
        closed_by: row.closed_by,
        times_returned: row.times_returned,
        times_extended: row.times_extended,
        duplicate_of: row.duplicate_of,
    })
}

/// Puts into a row what the workflow has changed.
pub(super) fn set_state(row: &mut CaseRow, case: &CaseState) {
    if row.assignee_id != case.assignee {
        // Somebody's own decision: a later re-dispatch leaves it where it is.
        row.found_by = Some(MANUAL.into());
    }
    row.status = case.status.as_str().into();
    row.version = case.version;
    row.assignee_id = case.assignee;
    row.due_at = case.due_at;
    row.due_step = case.due_step.map(|step| step.as_str().into());
    row.stop_due_at = case.stop_due_at;
    row.close_due_at = case.close_due_at;
    row.visited_at = case.visited_at;
    row.stopped_at = case.stopped_at;
    row.applied_at = case.applied_at;
    row.applicant_id = case.applicant;
    row.outcome = case.outcome.map(|outcome| outcome.as_str().into());
    row.demolished_m2 = case.demolished_m2;
    row.demolished_at = case.demolished_at;
    row.closed_at = case.closed_at;
    row.closed_by = case.closed_by;
    row.times_returned = case.times_returned;
    row.times_extended = case.times_extended;
    row.duplicate_of = case.duplicate_of;
}

/// `found_by` of a case that somebody gave to somebody.
pub const MANUAL: &str = "manual";

/// Gives a new case its first deadlines.
pub(super) fn set_first_deadlines(row: &mut CaseRow, settings: &Settings) -> Result<()> {
    let mut case = state_of(row)?;
    step::first_deadlines(&mut case, settings);
    set_state(row, &case);
    Ok(())
}

fn past_of(events: &[EventRow]) -> Past {
    let events: Vec<PastEvent> = events
        .iter()
        .map(|e| PastEvent {
            action: e.action.clone(),
            actor: e.actor_id,
            at: e.at,
            attachments: e.attachments.clone(),
        })
        .collect();
    Past::of(&events)
}

fn update(conn: &mut PgConnection, old: &CaseRow, taken: &Taken) -> Result<CaseRow> {
    let mut row = old.clone();
    set_state(&mut row, &taken.case);
    diesel::update(table::table.find(row.id))
        .set((
            (
                table::status.eq(&row.status),
                table::version.eq(row.version),
                table::assignee_id.eq(row.assignee_id),
                table::found_by.eq(&row.found_by),
                table::due_at.eq(row.due_at),
                table::due_step.eq(&row.due_step),
                table::stop_due_at.eq(row.stop_due_at),
                table::close_due_at.eq(row.close_due_at),
                table::visited_at.eq(row.visited_at),
                table::stopped_at.eq(row.stopped_at),
            ),
            (
                table::applied_at.eq(row.applied_at),
                table::applicant_id.eq(row.applicant_id),
                table::outcome.eq(&row.outcome),
                table::demolished_m2.eq(row.demolished_m2),
                table::demolished_at.eq(row.demolished_at),
                table::closed_at.eq(row.closed_at),
                table::closed_by.eq(row.closed_by),
                table::times_returned.eq(row.times_returned),
                table::times_extended.eq(row.times_extended),
                table::duplicate_of.eq(row.duplicate_of),
            ),
        ))
        .execute(conn)?;
    Ok(row)
}

fn event(
    row: &CaseRow,
    taken: &Taken,
    asked: &Asked,
    actor: &Actor,
    events: &[EventRow],
    now: DateTime<Utc>,
) -> EventRow {
    let mut data = taken.data.clone();
    if let Some(Position { input: (x, y, crs), .. }) = &asked.position {
        data["input"] = json!({"x": x, "y": y, "crs": crs});
    }
    EventRow {
        case_id: row.id,
        seq: events.last().map_or(0, |event| event.seq) + 1,
        id: asked.id,
        action: asked.action.as_str().into(),
        actor_id: Some(actor.id),
        at: now,
        observed_at: asked.observed_at,
        lon: asked.position.as_ref().map(|p| p.at.x),
        lat: asked.position.as_ref().map(|p| p.at.y),
        accuracy_m: asked.position.as_ref().and_then(|p| p.accuracy_m),
        mocked: asked.mocked,
        text: asked.text.clone(),
        attachments: asked.attachments.clone(),
        data,
    }
}
