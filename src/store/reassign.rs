//! Open cases after a publish: to the place and the person that answer for them now. Closed cases
//! keep the place they had.

use super::cases::{CaseRow, EventRow};
use super::schema::{case_events, cases};
use super::world::load_roster;
use super::{notify, reporting};
use crate::atlas::lookup::Atlas;
use crate::enforcement::intake;
use crate::enforcement::nature::Nature;
use crate::error::{Fault, Result};
use chrono::Utc;
use diesel::dsl::AsSelect;
use diesel::pg::Pg;
use diesel::prelude::*;
use geo::Coord;
use rayon::prelude::*;
use serde_json::json;
use uuid::Uuid;

/// Re-dispatches every open case whose place or person the atlas changes; gives how many changed
/// hands. Part of the publish's transaction.
pub fn reassign_open_cases(conn: &mut PgConnection, atlas: &Atlas) -> Result<u32> {
    let open = open_cases().for_update().load(conn)?;
    let moved = plan(conn, open, atlas)?;
    for (old, new) in &moved {
        update(conn, old, new)?;
    }
    if !moved.is_empty() {
        notify::notify(conn, "cases")?;
    }
    Ok(changed_hands(&moved))
}

/// How many open cases would change hands under an atlas; changes nothing.
pub fn would_change_hands(conn: &mut PgConnection, atlas: &Atlas) -> Result<u32> {
    let open = open_cases().load(conn)?;
    Ok(changed_hands(&plan(conn, open, atlas)?))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn open_cases() -> _ {
    let selection: AsSelect<CaseRow, Pg> = CaseRow::as_select();
    cases::table.filter(cases::closed_at.is_null()).select(selection)
}

fn changed_hands(moved: &[(CaseRow, CaseRow)]) -> u32 {
    let count = moved.iter().filter(|(old, new)| old.assignee_id != new.assignee_id).count();
    count.try_into().unwrap_or(u32::MAX)
}

/// The cases that an atlas moves, as they are and as they would be.
fn plan(
    conn: &mut PgConnection,
    open: Vec<CaseRow>,
    atlas: &Atlas,
) -> Result<Vec<(CaseRow, CaseRow)>> {
    let roster = load_roster(conn)?;
    Ok(open
        .into_par_iter()
        .filter(|case| !ENDED.contains(&case.status.as_str()))
        .filter_map(|old| {
            let nature = Nature::parse(&old.nature)?;
            let siting = intake::site(
                atlas,
                &roster,
                Coord { x: old.lon, y: old.lat },
                old.accuracy_m,
                nature,
                reporting::NEAREST_WITHIN_M,
            );
            let mut new = old.clone();
            reporting::set_siting(&mut new, &siting, atlas);
            is_moved(&old, &new).then_some((old, new))
        })
        .collect())
}

/// States in which nobody has to do anything any more.
const ENDED: [&str; 4] = ["closed", "rejected", "duplicate", "transferred"];

fn is_moved(old: &CaseRow, new: &CaseRow) -> bool {
    let key = |c: &CaseRow| {
        (
            c.city_code.clone(),
            c.district_code.clone(),
            c.functional_area_code.clone(),
            c.town_code.clone(),
            c.village_code.clone(),
            c.cell_code.clone(),
            c.placed.clone(),
            c.assignee_id,
        )
    };
    key(old) != key(new)
}

fn update(conn: &mut PgConnection, old: &CaseRow, new: &CaseRow) -> Result<()> {
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
        actor_id: None,
        at: Utc::now(),
        observed_at: None,
        lon: None,
        lat: None,
        accuracy_m: None,
        mocked: None,
        text: None,
        attachments: Vec::new(),
        data: json!({
            "because": "boundaries",
            "generation": new.generation,
            "from": old.assignee_id,
            "to": new.assignee_id,
            "found_by": new.found_by,
            "placed": new.placed,
            "place": new.place,
        }),
    };
    diesel::insert_into(case_events::table).values(&event).execute(conn).map_err(Fault::from)?;
    Ok(())
}
