//! Duties as a list, and painted: who answers for which code, post by post.

use super::Store;
use super::duties::{Change, Wanted, load_held, may_be_code};
use super::people::{By, KnownAreas};
use super::persons::reached;
use super::reporting::{Retry, first_answer, remember};
use super::schema::{duties, people};
use crate::enforcement::people::{DutyNature, Rank};
use crate::enforcement::reach::Reach;
use crate::error::{Fault, Result};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A duty with who holds it.
#[derive(Debug, Clone, Serialize, Queryable, utoipa::ToSchema)]
pub struct DutyRecord {
    pub id: i64,
    /// Code of a cell, village, town, district or city
    pub code: String,
    /// `*`, `illegal_land_use` or `illegal_construction`
    pub nature: String,
    /// `primary` or `backup`
    pub rank: String,
    pub person_id: Uuid,
    pub name: String,
    pub phone: String,
    pub role: String,
}

/// Which duties a list shows.
#[derive(Debug, Clone)]
pub struct DutyQuery {
    pub reach: Reach,
    pub area: Option<Reach>,
    /// For this very code.
    pub code: Option<String>,
    pub person: Option<Uuid>,
    /// Code and id of the last one of the page before.
    pub after: Option<(String, i64)>,
    pub limit: i64,
}

/// A page of duties, by code.
pub fn list(conn: &mut PgConnection, query: &DutyQuery) -> Result<Vec<DutyRecord>> {
    let mut found = duties::table
        .inner_join(people::table)
        .filter(reached(&query.reach, "duties.code"))
        .filter(people::active)
        .order((duties::code, duties::id))
        .limit(query.limit)
        .select((
            duties::id,
            duties::code,
            duties::nature,
            duties::rank,
            duties::person_id,
            people::name,
            people::phone,
            people::role,
        ))
        .into_boxed();
    if let Some(area) = &query.area {
        found = found.filter(reached(area, "duties.code"));
    }
    if let Some(code) = &query.code {
        found = found.filter(duties::code.eq(code));
    }
    if let Some(person) = query.person {
        found = found.filter(duties::person_id.eq(person));
    }
    if let Some((code, id)) = &query.after {
        found =
            found.filter(duties::code.gt(code).or(duties::code.eq(code).and(duties::id.gt(id))));
    }
    Ok(found.load(conn)?)
}

/// One stroke: this person holds this post; nobody does where there is none.
#[derive(Debug, Clone)]
pub struct Stroke {
    pub code: String,
    pub nature: DutyNature,
    pub rank: Rank,
    pub person: Option<Uuid>,
}

/// Paints duties: for every (code, nature, rank) that is named, the strokes have the last word. A
/// retry gets the first answer.
pub fn paint(store: &Store, strokes: &[Stroke], by: &By, retry: &Retry) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        conn.batch_execute("LOCK TABLE duties IN SHARE ROW EXCLUSIVE MODE")?;
        let areas = KnownAreas::load(conn)?;
        let ids: HashSet<Uuid> = strokes.iter().filter_map(|stroke| stroke.person).collect();
        let homes: HashMap<Uuid, String> = people::table
            .filter(people::id.eq_any(ids))
            .filter(people::active)
            .select((people::id, people::area_code))
            .load(conn)?
            .into_iter()
            .collect();
        let mut wanted = Wanted::new();
        let mut fault = Fault::invalid("部分包干无法设置", "Some duties cannot be set");
        for (number, stroke) in strokes.iter().enumerate() {
            let code = &stroke.code;
            let mut object = |field: &str, why: &str| {
                if fault.fields.len() < 50 {
                    let known = std::mem::replace(&mut fault, Fault::invalid("", ""));
                    fault = known.field(format!("/items/{number}/{field}"), why);
                }
            };
            if !may_be_code(code) || (areas.can_tell(code) && !areas.contains(code)) {
                object("code", "no such cell or area");
            } else if !by.reach.holds(code) {
                object("code", "outside your area");
            }
            let post = (code.clone(), stroke.nature.as_str(), stroke.rank.as_str());
            let holders = wanted.entry(post).or_default();
            if let Some(person) = stroke.person {
                match homes.get(&person) {
                    Some(home) if by.reach.holds(home) => drop(holders.insert(person)),
                    _ => object("person_id", "nobody of your area has this id"),
                }
            }
        }
        if !fault.fields.is_empty() {
            return Err(fault);
        }
        let held = load_held(conn)?;
        let change = Change::between(&wanted, &held);
        change.write(conn, "duties.change", by)?;
        let answer = json!({"added": change.new.len(), "removed": change.gone.len()});
        remember(conn, retry, 200, &answer)?;
        Ok(answer)
    })
}

/// Takes one duty away; again is harmless only as far as it was there: 404 afterwards.
pub fn remove(store: &Store, id: i64, by: &By) -> Result<()> {
    store.transaction(|conn| {
        let found: Option<(String, String, String, Uuid)> = duties::table
            .find(id)
            .select((duties::code, duties::nature, duties::rank, duties::person_id))
            .for_update()
            .first(conn)
            .optional()?;
        let nothing = || Fault::not_found("没有这项包干", "There is no such duty");
        let (code, nature, rank, person) = found.ok_or_else(nothing)?;
        let parsed = DutyNature::parse(&nature).zip(Rank::parse(&rank));
        let (nature, rank) = parsed.ok_or_else(|| Fault::internal("unknown duty in store"))?;
        if !by.reach.holds(&code) {
            return Err(nothing());
        }
        let post = (code, nature.as_str(), rank.as_str());
        Change { gone: vec![(id, post, person)], new: Vec::new() }.write(conn, "duties.change", by)
    })
}
