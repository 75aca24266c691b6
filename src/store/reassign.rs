//! Open cases to the place and the person that answer for them now: after a publish, and when
//! duties or absences have changed. Closed cases keep what they had; so does a case that somebody
//! has given to somebody, as long as it lies where it lay.

use super::cases::{CaseRow, EventRow};
use super::schema::{case_events, cases};
use super::workflow::MANUAL;
use super::world::load_roster;
use super::{notify, outbox, reporting, settings};
use crate::atlas::lookup::Atlas;
use crate::enforcement::dispatch::Roster;
use crate::enforcement::intake;
use crate::enforcement::messages::{Kind, Notice, Recipients};
use crate::enforcement::nature::Nature;
use crate::error::{Fault, Result};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::dsl::AsSelect;
use diesel::pg::Pg;
use diesel::prelude::*;
use geo::Coord;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A case as it is and as it would be.
pub(super) struct Move {
    pub old: CaseRow,
    pub new: CaseRow,
}

impl Move {
    pub fn changes_hands(&self) -> bool {
        self.old.assignee_id != self.new.assignee_id
    }
}

/// Why cases are dispatched again.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// For programs: `boundaries`, `duties`.
    pub because: &'static str,
    pub zh: String,
    pub en: String,
    /// Who had it done; none where the platform did.
    pub actor: Option<Uuid>,
    pub at: DateTime<Utc>,
}

/// Re-dispatches every open case whose place or person the atlas changes; gives how many changed
/// hands. Part of the publish's transaction.
pub fn reassign_open_cases(conn: &mut PgConnection, atlas: &Atlas) -> Result<u32> {
    let open = open_cases().for_no_key_update().load(conn)?;
    let roster = load_roster(conn)?;
    let moves = plan(conn, open, atlas, &roster)?;
    let cause = Cause {
        because: "boundaries",
        zh: "边界更新".into(),
        en: "the boundaries changed".into(),
        actor: None,
        at: Utc::now().trunc_subsecs(6),
    };
    carry_out(conn, &moves, &cause)?;
    Ok(changed_hands(&moves))
}

/// How many open cases would change hands under an atlas; changes nothing.
pub fn would_change_hands(conn: &mut PgConnection, atlas: &Atlas) -> Result<u32> {
    let open = open_cases().load(conn)?;
    let roster = load_roster(conn)?;
    Ok(changed_hands(&plan(conn, open, atlas, &roster)?))
}

#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn open_cases() -> _ {
    let selection: AsSelect<CaseRow, Pg> = CaseRow::as_select();
    cases::table.filter(cases::closed_at.is_null()).select(selection)
}

fn changed_hands(moves: &[Move]) -> u32 {
    moves.iter().filter(|m| m.changes_hands()).count().try_into().unwrap_or(u32::MAX)
}

/// The cases that an atlas and a roster move.
pub(super) fn plan(
    conn: &mut PgConnection,
    open: Vec<CaseRow>,
    atlas: &Atlas,
    roster: &Roster,
) -> Result<Vec<Move>> {
    let nearest_within_m = settings::load(conn)?.nearest_within_m;
    Ok(open
        .into_par_iter()
        .filter(|case| !ENDED.contains(&case.status.as_str()))
        .filter_map(|old| {
            let nature = Nature::parse(&old.nature)?;
            let siting = intake::site(
                atlas,
                roster,
                Coord { x: old.lon, y: old.lat },
                old.accuracy_m,
                nature,
                nearest_within_m,
            );
            let mut new = old.clone();
            reporting::set_siting(&mut new, &siting, atlas);
            let given = old.found_by.as_deref() == Some(MANUAL);
            let holder = old.assignee_id.filter(|id| roster.person(*id).is_some());
            if given && holder.is_some() && place_of(&old) == place_of(&new) {
                new.assignee_id = old.assignee_id;
                new.found_by.clone_from(&old.found_by);
            }
            let moved = place_of(&old) != place_of(&new) || old.assignee_id != new.assignee_id;
            moved.then_some(Move { old, new })
        })
        .collect())
}

/// States in which nobody has to do anything any more.
const ENDED: [&str; 4] = ["closed", "rejected", "duplicate", "transferred"];

fn place_of(c: &CaseRow) -> [Option<&str>; 7] {
    [
        c.city_code.as_deref(),
        c.district_code.as_deref(),
        c.functional_area_code.as_deref(),
        c.town_code.as_deref(),
        c.village_code.as_deref(),
        c.cell_code.as_deref(),
        Some(&c.placed),
    ]
}

/// Writes the moves with their events and tells those whose hands they change.
pub(super) fn carry_out(conn: &mut PgConnection, moves: &[Move], cause: &Cause) -> Result<()> {
    for one in moves {
        update(conn, one, cause)?;
    }
    if !moves.is_empty() {
        notify::notify(conn, "cases")?;
    }
    Ok(())
}

fn update(conn: &mut PgConnection, one: &Move, cause: &Cause) -> Result<()> {
    let Move { old, new } = one;
    diesel::update(cases::table.find(new.id))
        .set((
            cases::version.eq(cases::version + 1),
            (
                cases::city_code.eq(&new.city_code),
                cases::district_code.eq(&new.district_code),
                cases::functional_area_code.eq(&new.functional_area_code),
                cases::town_code.eq(&new.town_code),
                cases::village_code.eq(&new.village_code),
                cases::cell_code.eq(&new.cell_code),
            ),
            cases::placed.eq(&new.placed),
            cases::nearest_m.eq(new.nearest_m),
            cases::generation.eq(new.generation),
            cases::place.eq(&new.place),
            cases::responsible.eq(&new.responsible),
            cases::assignee_id.eq(new.assignee_id),
            cases::found_by.eq(&new.found_by),
            cases::candidates.eq(&new.candidates),
        ))
        .execute(conn)?;
    let last: Option<i32> = case_events::table
        .filter(case_events::case_id.eq(new.id))
        .select(diesel::dsl::max(case_events::seq))
        .first(conn)?;
    let event = EventRow {
        case_id: new.id,
        seq: last.unwrap_or(0) + 1,
        id: Uuid::new_v4(),
        action: "dispatch".into(),
        actor_id: cause.actor,
        at: cause.at,
        observed_at: None,
        lon: None,
        lat: None,
        accuracy_m: None,
        mocked: None,
        text: None,
        attachments: Vec::new(),
        data: json!({
            "because": cause.because,
            "reason": cause.zh,
            "generation": new.generation,
            "from": old.assignee_id,
            "to": new.assignee_id,
            "found_by": new.found_by,
            "placed": new.placed,
            "place": new.place,
        }),
    };
    diesel::insert_into(case_events::table).values(&event).execute(conn).map_err(Fault::from)?;
    if one.changes_hands() {
        let name = new.responsible.as_ref().and_then(|r| r["primary"]["name"].as_str());
        let name = name.unwrap_or_default().to_string();
        let facts = BTreeMap::from([
            ("reason_zh", cause.zh.clone()),
            ("reason_en", cause.en.clone()),
            ("to", name),
            ("actor_zh", "平台".to_string()),
            ("actor_en", "the platform".to_string()),
        ]);
        let to = [new.assignee_id, old.assignee_id];
        let notice = Notice {
            key: Uuid::new_v5(&event.id, b"dispatch"),
            kind: Kind::Reassigned,
            case_id: Some(new.id),
            actor: cause.actor,
            to: to.into_iter().flatten().map(Recipients::Person).collect(),
            facts,
        };
        outbox::enqueue(conn, &notice)?;
    }
    Ok(())
}
