//! Somebody leaves: open cases, duties and tasks go to a successor in one transaction.

use super::audit::{self, Entry};
use super::cases::EventRow;
use super::people::By;
use super::persons::{find, nobody, refuse_last_admin};
use super::reporting::{Retry, first_answer, remember};
use super::schema::{api_tokens, case_events, cases, duties, people, sessions, task_events, tasks};
use super::{Store, notify, outbox};
use crate::enforcement::messages::{Kind, Notice, Recipients};
use crate::enforcement::people::Role;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// What changed hands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct HandOver {
    pub cases: usize,
    pub duties: usize,
    pub tasks: usize,
}

/// States in which nobody has to do anything any more.
const ENDED: [&str; 4] = ["closed", "rejected", "duplicate", "transferred"];

/// Hands everything open of a person to a successor and closes the account; a retry gets the first
/// answer.
pub fn leave(
    store: &Store,
    leaving: Uuid,
    to: Uuid,
    by: &By,
    reason: Option<&str>,
    now: DateTime<Utc>,
    retry: &Retry,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        // In one order, so that two who leave to each other do not wait in a circle.
        let mut both = [leaving, to];
        both.sort_unstable();
        let held: Vec<Uuid> = people::table
            .filter(people::id.eq_any(both))
            .order(people::id)
            .select(people::id)
            .for_update()
            .load(conn)?;
        if !held.contains(&leaving) {
            return Err(nobody());
        }
        let before = find(conn, leaving, &by.reach)?;
        if !before.active {
            return Err(Fault::new(
                FaultKind::Conflict,
                "has_left",
                "该人员已离岗",
                "This person has left already",
            ));
        }
        let successor = find(conn, to, &by.reach)
            .ok()
            .filter(|successor| successor.active && to != leaving)
            .ok_or_else(|| {
                Fault::new(
                    FaultKind::Unprocessable,
                    "no_successor",
                    "接手人须是您辖区内另一名在岗人员",
                    "The successor must be somebody else, active, in your area",
                )
                .field("to", "no_successor")
            })?;
        if before.role == Role::Admin.as_str() {
            refuse_last_admin(conn, leaving)?;
        }
        let handed = HandOver {
            cases: hand_over_cases(conn, leaving, to, by, reason, now)?,
            duties: hand_over_duties(conn, leaving, to)?,
            tasks: hand_over_tasks(conn, leaving, to, by, reason, now)?,
        };
        diesel::delete(sessions::table.filter(sessions::person_id.eq(leaving))).execute(conn)?;
        diesel::update(api_tokens::table)
            .filter(api_tokens::person_id.eq(leaving))
            .filter(api_tokens::revoked_at.is_null())
            .set(api_tokens::revoked_at.eq(now))
            .execute(conn)?;
        diesel::update(people::table.find(leaving))
            .set((
                people::active.eq(false),
                people::left_at.eq(now),
                people::password_hash.eq(None::<String>),
            ))
            .execute(conn)?;
        let person = find(conn, leaving, &by.reach)?;
        let answer = json!({
            "person": person,
            "successor": {"id": successor.id, "name": successor.name},
            "handed_over": handed,
        });
        let entry = Entry {
            before: Some(json!(before)),
            after: Some(answer.clone()),
            ..by.entry("people.leave", format!("person:{leaving}"))
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "people")?;
        if handed.cases > 0 {
            notify::notify(conn, "cases")?;
        }
        remember(conn, retry, 200, &answer)?;
        Ok(answer)
    })
}

/// Every open case in the hands of one person into those of the other, each with an event.
fn hand_over_cases(
    conn: &mut PgConnection,
    from: Uuid,
    to: Uuid,
    by: &By,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize> {
    let open: Vec<Uuid> = cases::table
        .filter(cases::assignee_id.eq(from))
        .filter(cases::status.ne_all(ENDED))
        .order(cases::id)
        .select(cases::id)
        .for_no_key_update()
        .load(conn)?;
    for &case_id in &open {
        let last: Option<i32> = case_events::table
            .filter(case_events::case_id.eq(case_id))
            .select(diesel::dsl::max(case_events::seq))
            .first(conn)?;
        let event = EventRow {
            case_id,
            seq: last.unwrap_or(0) + 1,
            id: Uuid::new_v4(),
            action: "reassign".into(),
            actor_id: by.actor,
            at: now,
            observed_at: None,
            lon: None,
            lat: None,
            accuracy_m: None,
            mocked: None,
            text: Some(reason.unwrap_or("人员离岗交接").to_string()),
            attachments: Vec::new(),
            data: json!({"because": "leave", "from": from, "to": to}),
        };
        diesel::insert_into(case_events::table).values(&event).execute(conn)?;
        diesel::update(cases::table.find(case_id))
            .set((cases::assignee_id.eq(to), cases::version.eq(cases::version + 1)))
            .execute(conn)?;
        let notice = Notice {
            key: event.id,
            kind: Kind::Reassigned,
            case_id: Some(case_id),
            actor: by.actor,
            to: vec![Recipients::Person(to)],
            facts: event.text.iter().map(|text| ("reason", text.clone())).collect(),
        };
        outbox::enqueue(conn, &notice)?;
    }
    Ok(open.len())
}

/// The open tasks of one person to the other, each with a step in its history.
fn hand_over_tasks(
    conn: &mut PgConnection,
    from: Uuid,
    to: Uuid,
    by: &By,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<usize> {
    let open: Vec<(Uuid, Option<Uuid>, Option<Uuid>)> = tasks::table
        .filter(tasks::person_id.eq(from).or(tasks::accepted_by.eq(from)).assume_not_null())
        .filter(tasks::status.ne("closed"))
        .order(tasks::id)
        .select((tasks::id, tasks::person_id, tasks::accepted_by))
        .for_no_key_update()
        .load(conn)?;
    let passed_on = |person: Option<Uuid>| if person == Some(from) { Some(to) } else { person };
    for &(task_id, person, accepted_by) in &open {
        let last: Option<i32> = task_events::table
            .filter(task_events::task_id.eq(task_id))
            .select(diesel::dsl::max(task_events::seq))
            .first(conn)?;
        diesel::insert_into(task_events::table)
            .values((
                task_events::task_id.eq(task_id),
                task_events::seq.eq(last.unwrap_or(0) + 1),
                task_events::id.eq(Uuid::new_v4()),
                task_events::action.eq("hand_over"),
                task_events::actor_id.eq(by.actor.unwrap_or(from)),
                task_events::at.eq(now),
                task_events::text.eq(reason),
            ))
            .execute(conn)?;
        diesel::update(tasks::table.find(task_id))
            .set((
                tasks::person_id.eq(passed_on(person)),
                tasks::accepted_by.eq(passed_on(accepted_by)),
                tasks::version.eq(tasks::version + 1),
            ))
            .execute(conn)?;
    }
    Ok(open.len())
}

/// The duties of one person to the other, where the other does not hold the very same already.
fn hand_over_duties(conn: &mut PgConnection, from: Uuid, to: Uuid) -> Result<usize> {
    let held: Vec<(i64, String, String, String)> = duties::table
        .filter(duties::person_id.eq(from))
        .select((duties::id, duties::code, duties::nature, duties::rank))
        .load(conn)?;
    let own: Vec<(String, String, String)> = duties::table
        .filter(duties::person_id.eq(to))
        .select((duties::code, duties::nature, duties::rank))
        .load(conn)?;
    let (mut moved, mut doubled) = (Vec::new(), Vec::new());
    for (id, code, nature, rank) in held {
        let list = if own.contains(&(code, nature, rank)) { &mut doubled } else { &mut moved };
        list.push(id);
    }
    diesel::delete(duties::table.filter(duties::id.eq_any(&doubled))).execute(conn)?;
    diesel::update(duties::table.filter(duties::id.eq_any(&moved)))
        .set(duties::person_id.eq(to))
        .execute(conn)?;
    Ok(moved.len() + doubled.len())
}

/// How many open cases and duties somebody has.
pub fn load_of(conn: &mut PgConnection, person: Uuid) -> Result<(i64, i64)> {
    let open: i64 = cases::table
        .filter(cases::assignee_id.eq(person))
        .filter(cases::status.ne_all(ENDED))
        .count()
        .get_result(conn)?;
    let held: i64 = duties::table.filter(duties::person_id.eq(person)).count().get_result(conn)?;
    Ok((open, held))
}
