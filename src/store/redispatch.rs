//! Dispatching open cases again after duties or absences have changed: first the plan, then the
//! deed, which must be the plan that was seen.

use super::Store;
use super::audit::{self, Entry};
use super::cases::{self, CaseRow};
use super::reassign::{Cause, Move, carry_out, open_cases, plan};
use super::reporting::{Retry, current_atlas, first_answer, remember};
use super::world::{World, load_roster_on};
use crate::enforcement::permissions::Scope;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// Which open cases are looked at: those inside all of these areas.
#[derive(Debug, Clone)]
pub struct Within {
    pub scope: Scope,
    pub area: Option<Scope>,
}

impl Within {
    fn holds(&self, row: &CaseRow) -> bool {
        cases::is_within(row, &self.scope)
            && self.area.as_ref().is_none_or(|area| cases::is_within(row, area))
    }
}

/// What would happen.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Plan {
    /// Names this very plan: what is carried out must be what was shown.
    pub fingerprint: String,
    /// Cases whose place or person changes, and how many of them change hands.
    pub moves: usize,
    pub changes_hands: usize,
    /// How many each person would get and give.
    pub people: Vec<PersonShare>,
    /// The first of them.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Value>,
}

/// What changes for one person.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PersonShare {
    pub id: Uuid,
    pub name: Option<String>,
    pub gets: usize,
    pub gives: usize,
}

/// A plan lists at most so many cases one by one; the counts are of all.
const MOST_LISTED: usize = 1_000;

/// The plan; changes nothing.
pub fn show(store: &Store, world: &World, within: &Within) -> Result<Plan> {
    let mut conn = store.conn()?;
    let open = open_cases().load(&mut conn)?;
    let moves = moves(&mut conn, world, within, open)?;
    Ok(described(&moves, world))
}

/// The plan that somebody has looked at and wants.
#[derive(Debug, Clone)]
pub struct Approved {
    pub fingerprint: String,
    pub reason: String,
    /// The address the request came from.
    pub from: Option<IpAddr>,
}

/// Carries the plan out. Refused when it is no longer the one that was shown; a retry gets the
/// first answer.
pub fn apply(
    store: &Store,
    world: &World,
    within: &Within,
    asked: &Approved,
    retry: &Retry,
    now: DateTime<Utc>,
) -> Result<Value> {
    let Approved { fingerprint, reason, from } = asked;
    let from = *from;
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        current_atlas(conn, world)?;
        let open = open_cases().for_no_key_update().load(conn)?;
        let moves = moves(conn, world, within, open)?;
        let plan = described(&moves, world);
        if plan.fingerprint != *fingerprint {
            return Err(Fault::new(
                FaultKind::Conflict,
                "plan_changed",
                "方案已发生变化，请重新查看",
                "The plan is no longer the one that was shown; look at it again",
            ));
        }
        let cause = Cause {
            because: "duties",
            zh: reason.clone(),
            en: reason.clone(),
            actor: Some(retry.person),
            at: now,
        };
        carry_out(conn, &moves, &cause)?;
        let answer = json!({"moved": plan.moves, "changed_hands": plan.changes_hands});
        remember(conn, retry, 200, &answer)?;
        let entry = Entry {
            actor: Some(retry.person),
            from,
            action: "cases.redispatch",
            subject: format!("plan:{fingerprint}"),
            before: None,
            after: Some(json!({"reason": reason, "moved": plan.moves, "people": plan.people})),
        };
        audit::record(conn, &entry)?;
        Ok(answer)
    })
}

fn moves(
    conn: &mut PgConnection,
    world: &World,
    within: &Within,
    open: Vec<CaseRow>,
) -> Result<Vec<Move>> {
    let roster = load_roster_on(conn, world.clock.today())?;
    let own: Vec<CaseRow> = open.into_iter().filter(|row| within.holds(row)).collect();
    let mut moves = plan(conn, own, &world.atlas.load(), &roster)?;
    moves.sort_by(|a, b| a.old.number.cmp(&b.old.number));
    Ok(moves)
}

fn described(moves: &[Move], world: &World) -> Plan {
    let roster = world.roster.load();
    let name = |id: Uuid| roster.person(id).map(|person| person.name.clone());
    let mut digest = Sha256::new();
    let mut shares: BTreeMap<Uuid, (usize, usize)> = BTreeMap::new();
    for one in moves {
        digest.update(one.old.id.as_bytes());
        digest.update(one.old.version.to_be_bytes());
        digest.update(one.new.assignee_id.unwrap_or_default().as_bytes());
        digest.update(one.new.cell_code.as_deref().unwrap_or("-").as_bytes());
        if one.changes_hands() {
            one.new.assignee_id.into_iter().for_each(|id| shares.entry(id).or_default().0 += 1);
            one.old.assignee_id.into_iter().for_each(|id| shares.entry(id).or_default().1 += 1);
        }
    }
    let person = |id: Option<Uuid>| id.map(|id| json!({"id": id, "name": name(id)}));
    Plan {
        fingerprint: hex::encode(digest.finalize()),
        moves: moves.len(),
        changes_hands: moves.iter().filter(|one| one.changes_hands()).count(),
        people: shares
            .into_iter()
            .map(|(id, (gets, gives))| PersonShare { id, name: name(id), gets, gives })
            .collect(),
        items: moves
            .iter()
            .take(MOST_LISTED)
            .map(|one| {
                json!({
                    "case_id": one.old.id,
                    "number": one.old.number,
                    "status": one.old.status,
                    "from": person(one.old.assignee_id),
                    "to": person(one.new.assignee_id),
                    "found_by": one.new.found_by,
                    "from_cell": one.old.cell_code,
                    "to_cell": one.new.cell_code,
                })
            })
            .collect(),
    }
}
