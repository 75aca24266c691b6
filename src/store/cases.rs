//! Cases: the present state, and the first events of their history.

use super::geometry;
use super::schema::{case_events, cases};
use crate::atlas::category::CategoryAreas;
use crate::enforcement::alarms::EarlierTakings;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::nature::Nature;
use crate::enforcement::permissions::Scope;
use crate::enforcement::settings::DuplicateRule;
use crate::error::Result;
use chrono::{DateTime, Datelike, Duration, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use geo::{Coord, MultiPolygon};
use postgis_diesel::types::{MultiPolygon as SqlMultiPolygon, Point};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// A case as the store holds it; the geometry apart.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = cases)]
pub struct CaseRow {
    pub id: Uuid,
    pub number: String,
    pub version: i32,
    pub status: String,
    pub source: String,
    pub patrol_kind: Option<String>,
    pub nature: String,
    pub use_: Option<String>,
    pub party_name: Option<String>,
    pub party_id_number: Option<String>,
    pub party_is_cadre: bool,
    pub area_m2: Option<f64>,
    pub storeys: Option<i32>,
    pub new_build: Option<bool>,
    pub description: Option<String>,
    pub input_x: f64,
    pub input_y: f64,
    pub input_crs: String,
    pub lon: f64,
    pub lat: f64,
    pub accuracy_m: Option<f64>,
    pub mocked: bool,
    pub observed_at: DateTime<Utc>,
    pub reported_at: DateTime<Utc>,
    pub reporter_id: Option<Uuid>,
    pub city_code: Option<String>,
    pub district_code: Option<String>,
    pub functional_area_code: Option<String>,
    pub town_code: Option<String>,
    pub village_code: Option<String>,
    pub cell_code: Option<String>,
    pub placed: String,
    pub nearest_m: Option<f64>,
    pub category: Option<String>,
    pub basic_farmland_m2: f64,
    pub farmland_m2: f64,
    pub non_farmland_m2: f64,
    pub homestead_m2: f64,
    pub mine_m2: f64,
    pub generation: i64,
    pub place: Value,
    pub responsible: Option<Value>,
    pub assignee_id: Option<Uuid>,
    pub found_by: Option<String>,
    pub candidates: Value,
    pub alarms: Value,
    pub outcome: Option<String>,
    pub demolished_m2: Option<f64>,
    pub demolished_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub imported: bool,
    /// Which deadline `due_at` is.
    pub due_step: Option<String>,
    pub stop_due_at: Option<DateTime<Utc>>,
    pub close_due_at: Option<DateTime<Utc>>,
    pub visited_at: Option<DateTime<Utc>>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub applied_at: Option<DateTime<Utc>>,
    pub applicant_id: Option<Uuid>,
    pub closed_by: Option<Uuid>,
    pub times_returned: i32,
    pub times_extended: i32,
    pub duplicate_of: Option<Uuid>,
}

impl CaseRow {
    /// The areas by category, m².
    pub fn areas(&self) -> CategoryAreas {
        CategoryAreas {
            basic_farmland: self.basic_farmland_m2,
            farmland: self.farmland_m2,
            non_farmland: self.non_farmland_m2,
            homestead: self.homestead_m2,
            mine: self.mine_m2,
        }
    }

    /// Sets the areas by category, m².
    pub fn set_areas(&mut self, areas: &CategoryAreas) {
        self.basic_farmland_m2 = areas.basic_farmland;
        self.farmland_m2 = areas.farmland;
        self.non_farmland_m2 = areas.non_farmland;
        self.homestead_m2 = areas.homestead;
        self.mine_m2 = areas.mine;
    }
}

/// One step in the history of a case.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = case_events)]
pub struct EventRow {
    pub case_id: Uuid,
    pub seq: i32,
    pub id: Uuid,
    pub action: String,
    pub actor_id: Option<Uuid>,
    pub at: DateTime<Utc>,
    pub observed_at: Option<DateTime<Utc>>,
    pub lon: Option<f64>,
    pub lat: Option<f64>,
    pub accuracy_m: Option<f64>,
    pub mocked: Option<bool>,
    pub text: Option<String>,
    pub attachments: Vec<Uuid>,
    pub data: Value,
}

/// The next case number of a district in a year, e.g. `350302-2026-000123`. Held until the
/// transaction ends, so numbers have no gaps.
pub fn next_number(
    conn: &mut PgConnection,
    district_code: &str,
    reported_at: DateTime<Utc>,
) -> Result<String> {
    take_numbers(conn, district_code, reported_at.with_timezone(&Shanghai).year(), 1)
        .map(|last| number(district_code, reported_at, last))
}

/// Takes several numbers at once; gives the last of them.
pub fn take_numbers(
    conn: &mut PgConnection,
    district_code: &str,
    year: i32,
    count: i32,
) -> Result<i32> {
    use super::schema::case_numbers as numbers;
    let last = diesel::insert_into(numbers::table)
        .values((
            numbers::district_code.eq(district_code),
            numbers::year.eq(year),
            numbers::last.eq(count),
        ))
        .on_conflict((numbers::district_code, numbers::year))
        .do_update()
        .set(numbers::last.eq(numbers::last + count))
        .returning(numbers::last)
        .get_result(conn)?;
    Ok(last)
}

/// A case number, as people say it on the phone.
pub fn number(district_code: &str, reported_at: DateTime<Utc>, n: i32) -> String {
    format!("{district_code}-{}-{n:06}", reported_at.with_timezone(&Shanghai).year())
}

/// Writes new cases with their first events.
pub fn insert(
    conn: &mut PgConnection,
    rows: &[CaseRow],
    footprints: &[(Uuid, MultiPolygon)],
    events: &[EventRow],
) -> Result<()> {
    // One statement binds at most 65,535 values; a case has 65.
    for chunk in rows.chunks(900) {
        diesel::insert_into(cases::table).values(chunk).execute(conn)?;
    }
    for (id, footprint) in footprints {
        diesel::update(cases::table.find(id))
            .set(cases::footprint.eq(Some(geometry::to_sql(footprint))))
            .execute(conn)?;
    }
    for chunk in events.chunks(4000) {
        diesel::insert_into(case_events::table).values(chunk).execute(conn)?;
    }
    Ok(())
}

/// A case by its id.
pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<CaseRow>> {
    Ok(cases::table.find(id).select(CaseRow::as_select()).first(conn).optional()?)
}

/// The footprint of a case, where it has one.
pub fn footprint(conn: &mut PgConnection, id: Uuid) -> Result<Option<MultiPolygon>> {
    let found: Option<Option<SqlMultiPolygon<Point>>> =
        cases::table.find(id).select(cases::footprint).first(conn).optional()?;
    Ok(found.flatten().map(|polygons| geometry::from_sql(&polygons)))
}

/// The history of a case, oldest first.
pub fn history(conn: &mut PgConnection, id: Uuid) -> Result<Vec<EventRow>> {
    Ok(case_events::table
        .filter(case_events::case_id.eq(id))
        .order(case_events::seq)
        .select(EventRow::as_select())
        .load(conn)?)
}

/// The names of people, also of those who have left.
pub fn names_of(
    conn: &mut PgConnection,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, String>> {
    use super::schema::people;
    let ids: Vec<Uuid> = ids.collect();
    Ok(people::table
        .filter(people::id.eq_any(ids))
        .select((people::id, people::name))
        .load::<(Uuid, String)>(conn)?
        .into_iter()
        .collect())
}

/// What earlier cases of a party took. Two reports about one party wait for each other, or both
/// would stay under the threshold.
pub fn earlier_takings(conn: &mut PgConnection, party_id_number: &str) -> Result<EarlierTakings> {
    use diesel::dsl::{count_star, sum};
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 42))")
        .bind::<Text, _>(party_id_number)
        .execute(conn)?;
    let (cases, basic_farmland, farmland): (i64, Option<f64>, Option<f64>) = cases::table
        .filter(cases::party_id_number.eq(party_id_number))
        .filter(cases::status.ne_all(["rejected", "duplicate"]))
        .select((count_star(), sum(cases::basic_farmland_m2), sum(cases::farmland_m2)))
        .first(conn)?;
    Ok(EarlierTakings {
        cases: cases.try_into().unwrap_or(u32::MAX),
        basic_farmland_m2: basic_farmland.unwrap_or(0.0),
        farmland_m2: farmland.unwrap_or(0.0),
    })
}

/// Open cases that may be the same find, nearest first, with the distance in metres.
pub fn possible_duplicates(
    conn: &mut PgConnection,
    position: Coord,
    nature: Nature,
    now: DateTime<Utc>,
    rule: &DuplicateRule,
) -> Result<Vec<(CaseRow, f64)>> {
    use crate::geometry::geodesic::{distance_m, metres_per_degree};
    let (east, north) = metres_per_degree(position.y);
    let reach = (rule.within_m / east.max(1.0), rule.within_m / north);
    let mut near = cases::table
        .filter(cases::lat.between(position.y - reach.1, position.y + reach.1))
        .filter(cases::lon.between(position.x - reach.0, position.x + reach.0))
        .filter(cases::closed_at.is_null())
        .filter(cases::status.ne_all(["closed", "rejected", "duplicate", "transferred"]))
        .filter(cases::reported_at.gt(now - Duration::days(rule.within_days.into())))
        .limit(50)
        .select(CaseRow::as_select())
        .into_boxed();
    if rule.same_nature && nature != Nature::Both {
        near = near.filter(cases::nature.eq_any([nature.as_str(), Nature::Both.as_str()]));
    }
    let near: Vec<CaseRow> = near.load(conn)?;
    let mut near: Vec<(CaseRow, f64)> = near
        .into_iter()
        .map(|case| {
            let distance = distance_m(position, Coord { x: case.lon, y: case.lat });
            (case, distance)
        })
        .filter(|(_, distance)| *distance <= rule.within_m)
        .collect();
    near.sort_by(|a, b| a.1.total_cmp(&b.1));
    Ok(near)
}

pub use super::case_query::{CaseQuery, count, list};

/// The SQL twin of [`Scope::holds`].
pub(super) fn within(
    scope: &Scope,
) -> Box<dyn BoxableExpression<cases::table, Pg, SqlType = Bool>> {
    fn is<C>(column: C, code: &str) -> Box<dyn BoxableExpression<cases::table, Pg, SqlType = Bool>>
    where
        C: ExpressionMethods + Expression<SqlType = diesel::sql_types::Nullable<Text>>,
        C: BoxableExpression<cases::table, Pg, SqlType = diesel::sql_types::Nullable<Text>>
            + 'static,
        C: diesel::expression::ValidGrouping<
                (),
                IsAggregate = diesel::expression::is_aggregate::No,
            >,
    {
        Box::new(column.is_not_distinct_from(Some(code.to_string())))
    }
    match scope {
        Scope::City(code) => Box::new(is(cases::city_code, code).or(cases::city_code.is_null())),
        Scope::District(code) => {
            Box::new(is(cases::district_code, code).and(cases::functional_area_code.is_null()))
        }
        Scope::FunctionalArea(code) => is(cases::functional_area_code, code),
        Scope::Town(code) => is(cases::town_code, code),
        Scope::Village(code) => is(cases::village_code, code),
        Scope::Nothing => Box::new(diesel::dsl::sql::<Bool>("FALSE")),
    }
}

/// The codes of the place a case has.
pub fn place_codes(row: &CaseRow) -> PlaceCodes {
    PlaceCodes {
        city: row.city_code.clone(),
        district: row.district_code.clone(),
        functional_areas: row.functional_area_code.clone().into_iter().collect(),
        town: row.town_code.clone(),
        village: row.village_code.clone(),
        cell: row.cell_code.clone(),
    }
}

/// Whether a row lies inside a scope.
pub fn is_within(row: &CaseRow, scope: &Scope) -> bool {
    scope.holds(&place_codes(row))
}

pub use super::case_feed::changed_since;
