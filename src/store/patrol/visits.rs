//! Who was in which cell on which day, derived from records, photos and tracks.

use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::atlas::feature::layers;
use crate::atlas::lookup::Atlas;
use crate::enforcement::clock::day_of;
use crate::enforcement::patrol::is_genuine;
use crate::enforcement::people::Person;
use crate::enforcement::permissions::Scope;
use crate::enforcement::place::codes_of;
use crate::error::Result;
use crate::store::attachments::Attachment;
use crate::store::cases::EventRow;
use crate::store::schema::patrol_visits as visits;
use crate::store::world::World;
use chrono::{DateTime, Duration, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel::upsert::excluded;
use geo::Coord;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A visit as stored.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = visits)]
pub struct VisitRow {
    pub person_id: Uuid,
    pub cell_code: String,
    pub day: NaiveDate,
    /// `record`, `photo` or `track`.
    pub source: String,
    pub at: DateTime<Utc>,
    pub evidence_id: Option<Uuid>,
    pub department: Option<String>,
    pub city_code: Option<String>,
    pub district_code: Option<String>,
    pub functional_area_code: Option<String>,
    pub town_code: Option<String>,
    pub village_code: Option<String>,
}

/// The cells of one generation, with the areas they belong to.
pub struct Cells {
    atlas: Arc<Atlas>,
    tree: Arc<AreaTree>,
}

impl Cells {
    /// Of the boundaries in force.
    pub fn of(world: &World) -> Self {
        let atlas = world.atlas.load_full();
        Self { tree: world.land.tree(&atlas), atlas }
    }

    /// The code of the cell that holds a position.
    pub fn code_at(&self, position: Coord) -> Option<&str> {
        let layer = self.atlas.layer(layers::CELL)?;
        Some(&layer.feature(layer.owner_at(position)?).code)
    }

    fn visit(
        &self,
        person: &Person,
        source: &str,
        cell_code: &str,
        at: DateTime<Utc>,
        evidence_id: Option<Uuid>,
    ) -> Option<VisitRow> {
        let index = self.atlas.layer(layers::CELL)?.index_of(cell_code)?;
        let place = codes_of(&self.tree, Area { level: AreaLevel::Cell, index });
        Some(VisitRow {
            person_id: person.id,
            cell_code: cell_code.to_string(),
            day: day_of(at),
            source: source.into(),
            at,
            evidence_id,
            department: person.department.clone(),
            city_code: place.city,
            district_code: place.district,
            functional_area_code: place.functional_areas.into_iter().next(),
            town_code: place.town,
            village_code: place.village,
        })
    }
}

/// How old the evidence of a visit may be when it comes: a phone may be offline for long, but no
/// month is made up afterwards.
const MAX_AGE_DAYS: i64 = 31;

/// The device's time, where it can be true; otherwise the server's.
fn believable(observed_at: Option<DateTime<Utc>>, received_at: DateTime<Utc>) -> DateTime<Utc> {
    observed_at
        .filter(|&at| at <= received_at + Duration::minutes(10))
        .filter(|&at| at >= received_at - Duration::days(MAX_AGE_DAYS))
        .unwrap_or(received_at)
}

/// The visit that a photo or video shows, where its position is genuine and accurate.
pub fn of_photo(
    conn: &mut PgConnection,
    world: &World,
    person: &Person,
    photo: &Attachment,
) -> Result<()> {
    let Some(position) = photo.position() else { return Ok(()) };
    if !is_genuine(photo.mocked, photo.accuracy_m) {
        return Ok(());
    }
    let cells = Cells::of(world);
    let at = believable(photo.observed_at, photo.uploaded_at);
    let visit = cells
        .code_at(position)
        .and_then(|cell| cells.visit(person, "photo", cell, at, Some(photo.id)));
    note(conn, visit.as_slice())
}

/// The visits that steps of cases show, where their positions are genuine and accurate: a report,
/// a patrol record and whatever else is done on site.
pub fn of_records(conn: &mut PgConnection, world: &World, events: &[EventRow]) -> Result<()> {
    let (cells, roster) = (Cells::of(world), world.roster.load());
    let visits: Vec<VisitRow> = events
        .iter()
        .filter(|event| is_genuine(event.mocked, event.accuracy_m))
        .filter_map(|event| {
            let person = roster.person(event.actor_id?)?;
            let position = Coord { x: event.lon?, y: event.lat? };
            let at = believable(event.observed_at, event.at);
            cells.visit(person, "record", cells.code_at(position)?, at, Some(event.id))
        })
        .collect();
    note(conn, &visits)
}

/// Keeps the first moment of each visit.
fn note(conn: &mut PgConnection, rows: &[VisitRow]) -> Result<()> {
    use diesel::query_dsl::methods::FilterDsl as _;
    for row in rows {
        diesel::insert_into(visits::table)
            .values(row)
            .on_conflict((visits::cell_code, visits::day, visits::person_id, visits::source))
            .do_update()
            .set((
                visits::at.eq(excluded(visits::at)),
                visits::evidence_id.eq(excluded(visits::evidence_id)),
            ))
            .filter(excluded(visits::at).lt(visits::at))
            .execute(conn)?;
    }
    Ok(())
}

/// Puts the visits that a day's track shows in the place of those it showed before.
pub fn replace_tracked(
    conn: &mut PgConnection,
    cells: &Cells,
    person: &Person,
    day: NaiveDate,
    first_moments: &BTreeMap<String, DateTime<Utc>>,
) -> Result<()> {
    diesel::delete(
        visits::table
            .filter(visits::person_id.eq(person.id))
            .filter(visits::day.eq(day))
            .filter(visits::source.eq("track")),
    )
    .execute(conn)?;
    let rows: Vec<VisitRow> = first_moments
        .iter()
        .filter_map(|(cell, &at)| cells.visit(person, "track", cell, at, None))
        .collect();
    for chunk in rows.chunks(1000) {
        diesel::insert_into(visits::table).values(chunk).execute(conn)?;
    }
    Ok(())
}

/// Which visits a list shows.
#[derive(Debug, Clone, Default)]
pub struct VisitQuery {
    pub scope: Option<Scope>,
    pub area: Option<Scope>,
    pub from: Option<NaiveDate>,
    /// Included.
    pub to: Option<NaiveDate>,
    pub person: Option<Uuid>,
    pub cell: Option<String>,
    pub source: Vec<String>,
    /// The last visit of the page before.
    pub after: Option<(NaiveDate, String, Uuid, String)>,
    pub limit: i64,
}

/// A page of visits, newest day first.
pub fn list(conn: &mut PgConnection, query: &VisitQuery) -> Result<Vec<VisitRow>> {
    let mut found = visits::table.select(VisitRow::as_select()).into_boxed();
    for scope in [&query.scope, &query.area].into_iter().flatten() {
        found = found.filter(within(scope));
    }
    if let Some(from) = query.from {
        found = found.filter(visits::day.ge(from));
    }
    if let Some(to) = query.to {
        found = found.filter(visits::day.le(to));
    }
    if let Some(person) = query.person {
        found = found.filter(visits::person_id.eq(person));
    }
    if let Some(cell) = &query.cell {
        found = found.filter(visits::cell_code.eq(cell));
    }
    if !query.source.is_empty() {
        found = found.filter(visits::source.eq_any(&query.source));
    }
    if let Some((day, cell, person, source)) = &query.after {
        let later = visits::cell_code.gt(cell).or(visits::cell_code.eq(cell).and(
            visits::person_id
                .gt(person)
                .or(visits::person_id.eq(person).and(visits::source.gt(source))),
        ));
        found = found.filter(visits::day.lt(day).or(visits::day.eq(day).and(later)));
    }
    Ok(found
        .order((visits::day.desc(), visits::cell_code, visits::person_id, visits::source))
        .limit(query.limit)
        .load(conn)?)
}

/// The SQL twin of [`Scope::holds`].
fn within(scope: &Scope) -> Box<dyn BoxableExpression<visits::table, Pg, SqlType = Bool>> {
    fn is<C>(column: C, code: &str) -> Box<dyn BoxableExpression<visits::table, Pg, SqlType = Bool>>
    where
        C: ExpressionMethods + Expression<SqlType = Nullable<Text>>,
        C: BoxableExpression<visits::table, Pg, SqlType = Nullable<Text>> + 'static,
        C: diesel::expression::ValidGrouping<
                (),
                IsAggregate = diesel::expression::is_aggregate::No,
            >,
    {
        Box::new(column.is_not_distinct_from(Some(code.to_string())))
    }
    match scope {
        Scope::City(code) => Box::new(is(visits::city_code, code).or(visits::city_code.is_null())),
        Scope::District(code) => {
            Box::new(is(visits::district_code, code).and(visits::functional_area_code.is_null()))
        }
        Scope::FunctionalArea(code) => is(visits::functional_area_code, code),
        Scope::Town(code) => is(visits::town_code, code),
        Scope::Village(code) => is(visits::village_code, code),
        Scope::Nothing => Box::new(diesel::dsl::sql::<Bool>("FALSE")),
    }
}

/// The days on which the cells were visited, by cell and department, between two days.
pub fn days(
    conn: &mut PgConnection,
    cells: &[String],
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<(String, NaiveDate, Option<String>)>> {
    let mut found = Vec::new();
    for chunk in cells.chunks(5000) {
        found.extend(
            visits::table
                .filter(visits::cell_code.eq_any(chunk))
                .filter(visits::day.between(from, to))
                .select((visits::cell_code, visits::day, visits::department))
                .distinct()
                .load::<(String, NaiveDate, Option<String>)>(conn)?,
        );
    }
    Ok(found)
}
