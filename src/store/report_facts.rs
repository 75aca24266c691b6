//! What reports need beside the cases: people, targets, land, what the histories tell.

use super::Store;
use super::patrol::due::{self, DueQuery, DueRow};
use super::world::World;
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::enforcement::clock::day_of;
use crate::enforcement::deadlines::Step;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::Scope;
use crate::error::Result;
use crate::statistics::attendance::CellVisits;
use crate::statistics::demolition::Targets;
use crate::statistics::figures::Words;
use crate::statistics::land::{LandBy, LandLevel, Subject};
use crate::statistics::land_taken::Basis;
use crate::statistics::patrollers::{Patroller, Work};
use crate::statistics::period::Period;
use crate::statistics::units::ReportLevel;
use crate::tiles::cases::CaseFilter;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use std::collections::HashMap;
use uuid::Uuid;

/// The deadline for the first visit that holds everywhere, seconds.
pub fn first_visit_seconds(world: &World) -> i64 {
    let settings = world.settings.load();
    let rules = settings.deadlines.rules.iter();
    let general = rules.filter(|rule| rule.step == Step::FirstVisit && rule.area.is_none());
    let rule = general.min_by_key(|rule| rule.nature.is_some());
    let hours = rule.and_then(|rule| {
        rule.hours
            .or(rule.days.map(|d| d.saturating_mul(24)))
            .or(rule.working_days.map(|d| d.saturating_mul(24)))
    });
    i64::from(hours.unwrap_or(24)) * 3600
}

/// Everybody who belongs to a department.
pub fn departments(world: &World) -> HashMap<Uuid, String> {
    let roster = world.roster.load();
    let people = roster.people().iter();
    people.filter_map(|p| Some((p.id, p.department.clone().filter(|d| !d.is_empty())?))).collect()
}

/// The yearly targets in force.
pub fn targets(world: &World) -> Targets {
    let settings = world.settings.load();
    let targets = settings.demolition_targets.iter();
    targets.map(|t| ((t.area.clone(), t.year), t.target_m2)).collect()
}

/// The patrollers and squad leaders of an area, by area and name.
pub fn patrollers(world: &World, tree: &AreaTree, area: Area) -> Vec<Patroller> {
    let roster = world.roster.load();
    let mut found: Vec<(Vec<String>, Patroller)> = Vec::new();
    for person in roster.people() {
        let role = match person.role {
            Role::Patroller => Words::new("巡查员", "patroller"),
            Role::SquadLeader => Words::new("中队长", "squad leader"),
            _ => continue,
        };
        let Some(own) = tree.find(&person.area_code) else { continue };
        if !tree.is_within(own, area) {
            continue;
        }
        let mut codes = [String::new(), String::new()];
        let mut names = ["—".to_string(), "—".to_string()];
        for held in tree.line(own) {
            let slot = match held.level {
                AreaLevel::District | AreaLevel::FunctionalArea => 0,
                AreaLevel::Town => 1,
                _ => continue,
            };
            if let Some(feature) = tree.feature(held) {
                codes[slot] = feature.code.clone();
                names[slot] = feature.name.clone().unwrap_or_else(|| feature.code.clone());
            }
        }
        let mut order = codes.to_vec();
        order.extend([person.name.clone(), person.phone.clone()]);
        found.push((
            order,
            Patroller {
                id: person.id,
                phone: person.phone.clone(),
                name: person.name.clone(),
                role,
                department: person.department.clone().unwrap_or_default(),
                areas: names,
            },
        ));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, person)| person).collect()
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = SqlUuid)]
    person: Uuid,
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn moments(period: Period) -> (DateTime<Utc>, DateTime<Utc>) {
    let (from, until) = period.seconds();
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    (at(from), at(until))
}

/// The condition that a row with a case's place codes lies in an area; `$3` is the code.
pub const IN_AREA: &str = "(city_code = $3 OR functional_area_code = $3 OR town_code = $3
    OR village_code = $3 OR cell_code = $3
    OR (district_code = $3 AND functional_area_code IS NULL)
    OR (city_code IS NULL AND length($3) = 6 AND right($3, 2) = '00'))";

/// Patrol records and patrol days of everybody, in an area and period.
pub fn work(store: &Store, filter: &CaseFilter, period: Period) -> Result<HashMap<Uuid, Work>> {
    let area = filter.area.as_deref().unwrap_or_default().to_string();
    let (from, until) = moments(period);
    let mut conn = store.conn()?;
    let records: Vec<Counted> = diesel::sql_query(format!(
        "SELECT e.actor_id AS person, count(*) AS n FROM case_events e JOIN cases c ON c.id = e.case_id
         WHERE e.action = 'patrol_record' AND e.actor_id IS NOT NULL AND e.at >= $1 AND e.at < $2
           AND {IN_AREA} GROUP BY 1"
    ))
    .bind::<Timestamptz, _>(from)
    .bind::<Timestamptz, _>(until)
    .bind::<Text, _>(&area)
    .load(&mut *conn)?;
    let days: Vec<Counted> = diesel::sql_query(format!(
        "SELECT person_id AS person, count(DISTINCT day) AS n FROM patrol_visits
         WHERE day >= $1 AND day <= $2 AND {IN_AREA} GROUP BY 1"
    ))
    .bind::<Date, _>(period.from)
    .bind::<Date, _>(period.to)
    .bind::<Text, _>(&area)
    .load(&mut *conn)?;
    let mut work: HashMap<Uuid, Work> = HashMap::new();
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    records.iter().for_each(|row| work.entry(row.person).or_default().records = count(row.n));
    days.iter().for_each(|row| work.entry(row.person).or_default().days = count(row.n));
    Ok(work)
}

/// Visits due and made, by plan and cell of an area.
pub fn visits(
    store: &Store,
    tree: &AreaTree,
    area: Area,
    period: Period,
    as_of: DateTime<Utc>,
) -> Result<Vec<CellVisits>> {
    let code = tree.feature(area).map_or("", |feature| feature.code.as_str());
    let query = DueQuery {
        scope: Scope::of_area(code, |_| area.level == AreaLevel::FunctionalArea),
        area: None,
        plan: None,
        cell: None,
        from: period.from,
        to: period.to,
        today: day_of(as_of),
    };
    let rows = due::rows(&mut *store.conn()?, tree, &query)?;
    let own = |row: DueRow| {
        let (due, made) = (row.attendance.due, row.attendance.made);
        Some(CellVisits { cell: tree.find(&row.cell_code)?, due, made })
    };
    Ok(rows.into_iter().filter_map(own).collect())
}

/// The land there is in an area and the areas of a level and above inside it.
pub fn land_basis(world: &World, area: &str, level: ReportLevel) -> Result<HashMap<String, Basis>> {
    let atlas = world.atlas.load_full();
    let mut basis = HashMap::new();
    let levels: &[Option<LandLevel>] = match level {
        ReportLevel::District => &[None, Some(LandLevel::District)],
        ReportLevel::Town => &[None, Some(LandLevel::District), Some(LandLevel::Town)],
        ReportLevel::Village => {
            &[None, Some(LandLevel::District), Some(LandLevel::Town), Some(LandLevel::Village)]
        }
    };
    for level in levels {
        let table = match world.land.table(&atlas, Subject::Area(area), *level, LandBy::Category) {
            Ok(table) => table,
            // A level above the area's own has no sub-totals to show.
            Err(fault) if fault.code == "level_above_area" => continue,
            Err(fault) => return Err(fault),
        };
        for row in table.rows {
            let Some(code) = row.code else { continue };
            let known = Basis {
                basic_farmland: row.categories.basic_farmland,
                cultivated: row
                    .cultivated
                    .max(row.categories.basic_farmland + row.categories.farmland),
            };
            basis.insert(code, known);
        }
    }
    Ok(basis)
}

/// A patrol record as the list behind a patroller's figure shows it.
#[derive(Debug, QueryableByName)]
pub struct RecordRow {
    #[diesel(sql_type = SqlUuid)]
    pub event_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub number: String,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    pub text: Option<String>,
}

/// The patrol records behind [`work`] of one person, newest first, after another one.
pub fn records(
    conn: &mut PgConnection,
    person: Uuid,
    area: &str,
    period: Period,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<RecordRow>> {
    let (from, until) = moments(period);
    let (at, id) = after.unwrap_or((DateTime::<Utc>::MAX_UTC, Uuid::max()));
    // The store holds fewer years than can be written here.
    let at = at.min(until);
    Ok(diesel::sql_query(format!(
        "SELECT e.id AS event_id, e.case_id, c.number, e.at, e.text
         FROM case_events e JOIN cases c ON c.id = e.case_id
         WHERE e.action = 'patrol_record' AND e.actor_id = $4 AND e.at >= $1 AND e.at < $2
           AND {IN_AREA} AND (e.at, e.id) < ($5, $6)
         ORDER BY e.at DESC, e.id DESC LIMIT $7"
    ))
    .bind::<Timestamptz, _>(from)
    .bind::<Timestamptz, _>(until)
    .bind::<Text, _>(area)
    .bind::<SqlUuid, _>(person)
    .bind::<Timestamptz, _>(at)
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(limit)
    .load(conn)?)
}
