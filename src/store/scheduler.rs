//! Deadlines that come near or pass: reminders, and escalation one level up. Any number of
//! processes may run it: a reminder is a row with a unique key, written in the transaction that
//! sends it.

use super::schema::case_reminders;
use super::world::World;
use super::{Store, cases, frozen, outbox};
use crate::enforcement::deadlines::Deadlines;
use crate::enforcement::dispatch::FoundBy;
use crate::enforcement::messages::{Kind, Level, Notice, Recipients};
use crate::error::{Fault, Result};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use std::collections::BTreeMap;
use std::sync::Weak;
use uuid::Uuid;

/// What is sent about a deadline, and when.
#[derive(Debug, Clone, PartialEq)]
struct Stage {
    name: String,
    /// From the deadline on; negative before it.
    after: Duration,
    /// Not any more from then on.
    until: Option<Duration>,
    kind: Kind,
    /// The leaders who are told; for escalations.
    level: Option<FoundBy>,
}

fn stages(deadlines: &Deadlines) -> Vec<Stage> {
    let before = Duration::hours(deadlines.remind_before_hours.into());
    let mut stages = vec![
        Stage {
            name: "near".into(),
            after: -before,
            until: Some(Duration::zero()),
            kind: Kind::DeadlineNear,
            level: None,
        },
        Stage {
            name: "overdue".into(),
            after: Duration::zero(),
            until: None,
            kind: Kind::Overdue,
            level: None,
        },
    ];
    for (n, escalation) in (1..).zip(&deadlines.escalations) {
        stages.push(Stage {
            name: format!("escalated_{n}"),
            after: Duration::hours(escalation.after_hours.into()),
            until: None,
            kind: Kind::Escalated,
            level: Some(escalation.level),
        });
    }
    stages
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    step: String,
    #[diesel(sql_type = sql_types::Timestamptz)]
    due_at: DateTime<Utc>,
}

/// Open cases whose deadline has reached a stage that nobody has been told of. Cases that
/// somebody is just working on are left to the next turn.
const DUE: &str = "
    SELECT c.id, c.due_step AS step, c.due_at FROM cases c
    WHERE c.closed_at IS NULL AND c.due_step IS NOT NULL AND c.due_at <= $1 AND c.due_at > $2
      AND NOT EXISTS (SELECT 1 FROM case_reminders r WHERE r.case_id = c.id
                      AND r.step = c.due_step AND r.due_at = c.due_at AND r.stage = $3)
    ORDER BY c.due_at LIMIT $4 FOR NO KEY UPDATE OF c SKIP LOCKED";

/// So many cases in one transaction.
const BATCH: i64 = 100;

/// How many reminders went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    pub near: usize,
    pub overdue: usize,
    pub escalated: usize,
}

/// Sends what is due by now and has not been sent; gives how much that was.
pub fn turn(store: &Store, deadlines: &Deadlines, now: DateTime<Utc>) -> Result<Sent> {
    let mut sent = Sent::default();
    for stage in stages(deadlines) {
        loop {
            let (found, reminded) = store.transaction(|conn| batch(conn, &stage, now))?;
            match stage.kind {
                Kind::DeadlineNear => sent.near += reminded,
                Kind::Overdue => sent.overdue += reminded,
                _ => sent.escalated += reminded,
            }
            if found < BATCH {
                break;
            }
        }
    }
    Ok(sent)
}

fn batch(conn: &mut PgConnection, stage: &Stage, now: DateTime<Utc>) -> Result<(i64, usize)> {
    let beginning = DateTime::<Utc>::UNIX_EPOCH;
    let until = stage.until.map_or(beginning, |until| now - until);
    let due: Vec<Due> = diesel::sql_query(DUE)
        .bind::<sql_types::Timestamptz, _>(now - stage.after)
        .bind::<sql_types::Timestamptz, _>(until)
        .bind::<sql_types::Text, _>(&stage.name)
        .bind::<sql_types::BigInt, _>(BATCH)
        .load(conn)?;
    let mut reminded = 0;
    for one in &due {
        let written = diesel::insert_into(case_reminders::table)
            .values((
                case_reminders::case_id.eq(one.id),
                case_reminders::step.eq(&one.step),
                case_reminders::due_at.eq(one.due_at),
                case_reminders::stage.eq(&stage.name),
                case_reminders::sent_at.eq(now),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        if written > 0 {
            tell(conn, stage, one)?;
            reminded += 1;
        }
    }
    Ok((i64::try_from(due.len()).unwrap_or(i64::MAX), reminded))
}

fn tell(conn: &mut PgConnection, stage: &Stage, due: &Due) -> Result<()> {
    let row = cases::find(conn, due.id)?.ok_or_else(|| Fault::internal("a case vanished"))?;
    let place = cases::place_codes(&row);
    let leaders = |level| Recipients::LeadersAt { place: place.clone(), level };
    let mut to: Vec<Recipients> = Vec::new();
    match stage.level {
        Some(FoundBy::Cell | FoundBy::Village) => to.push(leaders(Level::Village)),
        Some(FoundBy::Town) => to.push(leaders(Level::Town)),
        Some(FoundBy::FunctionalArea | FoundBy::District) => to.push(leaders(Level::District)),
        Some(FoundBy::City) => to.push(leaders(Level::City)),
        // What waits for a reviewer is no fault of the responsible person's.
        None if due.step == "review" => to.push(Recipients::Reviewers(place.clone())),
        None => {
            to.extend(row.assignee_id.map(Recipients::Person));
            if stage.kind == Kind::Overdue {
                to.push(leaders(Level::Village));
            }
        }
    }
    let key = format!("{}:{}:{}", due.step, due.due_at.timestamp_micros(), stage.name);
    let notice = Notice {
        key: Uuid::new_v5(&row.id, key.as_bytes()),
        kind: stage.kind,
        case_id: Some(row.id),
        actor: None,
        to,
        facts: BTreeMap::from([("deadline", due.due_at.to_rfc3339()), ("step", due.step.clone())]),
    };
    outbox::enqueue(conn, &notice)
}

/// How often deadlines are looked at.
const EVERY: std::time::Duration = std::time::Duration::from_secs(15);
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// Looks after deadlines in the background until the world is dropped.
pub fn run(store: Store, world: Weak<World>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut last: Option<std::time::Instant> = None;
        while let Some(world) = world.upgrade() {
            if last.is_none_or(|last| last.elapsed() >= EVERY) {
                let settings = world.settings.load_full();
                match turn(&store, &settings.deadlines, world.clock.now()) {
                    Ok(sent) if sent != Sent::default() => tracing::info!(?sent, "reminders"),
                    Ok(_) => {}
                    Err(fault) => tracing::warn!(%fault, "deadlines could not be looked after"),
                }
                match frozen::monthly(&store, &world, world.clock.now()) {
                    Ok(0) => {}
                    Ok(areas) => tracing::info!(areas, "monthly reports"),
                    Err(fault) => tracing::warn!(%fault, "monthly reports could not be made"),
                }
                last = Some(std::time::Instant::now());
            }
            drop(world);
            std::thread::sleep(LOOK_EVERY);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_follow_each_other() {
        let stages = stages(&Deadlines::default());
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["near", "overdue", "escalated_1", "escalated_2", "escalated_3"]);
        assert!(stages.is_sorted_by_key(|stage| stage.after));
    }
}
