//! A new case: sited, dispatched, numbered and stored in one transaction; safe to retry.

use super::cases::{self, CaseRow, EventRow};
use super::patrol::visits;
use super::schema::first_answers;
use super::world::World;
use super::{Store, notify, workflow};
use crate::atlas::category::CategoryAreas;
use crate::atlas::feature::layers;
use crate::atlas::lookup::Atlas;
use crate::enforcement::alarms::{Alarm, EarlierTakings, alarms};
use crate::enforcement::intake::{self, Siting};
use crate::enforcement::nature::Nature;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::PgConnection;
use diesel::prelude::*;
use geo::{Coord, MultiPolygon};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A report as parsed and converted: nothing in it is derived yet.
#[derive(Debug, Clone)]
pub struct Report {
    pub id: Uuid,
    pub source: String,
    pub patrol_kind: Option<String>,
    pub nature: Nature,
    pub use_: Option<String>,
    pub party_name: Option<String>,
    pub party_id_number: Option<String>,
    pub party_is_cadre: bool,
    pub area_m2: Option<f64>,
    pub storeys: Option<i32>,
    pub new_build: Option<bool>,
    pub description: Option<String>,
    /// As the device gave it.
    pub input: (f64, f64, String),
    /// CGCS2000 degrees.
    pub position: Coord,
    pub accuracy_m: Option<f64>,
    pub mocked: bool,
    pub footprint: Option<MultiPolygon>,
    pub observed_at: DateTime<Utc>,
    pub reporter: Option<Uuid>,
}

/// A retry's key and the sha256 of its request.
#[derive(Debug, Clone)]
pub struct Retry {
    pub person: Uuid,
    pub key: String,
    pub request: [u8; 32],
}

/// Creates the case and answers with it; a retry gets the first answer.
pub fn report(store: &Store, world: &World, report: &Report, retry: &Retry) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        let answer = report_on(conn, world, report)?;
        remember(conn, retry, 201, &answer)?;
        notify::notify(conn, "cases")?;
        Ok(answer)
    })
}

/// Creates a case within the caller's transaction: the row, its first events, the messages about
/// it. Gives the answer to its reporter.
pub(super) fn report_on(conn: &mut PgConnection, world: &World, report: &Report) -> Result<Value> {
    if cases::find(conn, report.id)?.is_some() {
        return Err(Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已被另一案件使用",
            "Another case already has this id",
        ));
    }
    let atlas = current_atlas(conn, world)?;
    let row = create(conn, world, &atlas, report)?;
    let near = cases::possible_duplicates(
        conn,
        report.position,
        report.nature,
        row.reported_at,
        &world.settings.load().duplicates,
    )?
    .into_iter()
    .filter(|(case, _)| case.id != row.id);
    let mut answer = case_json(&row);
    answer["footprint"] = footprint_json(report.footprint.as_ref());
    answer["possible_duplicates"] = near
        .map(|(case, distance)| {
            json!({"id": case.id, "number": case.number, "status": case.status,
                "distance_m": (distance * 100.0).round() / 100.0})
        })
        .collect();
    tell(conn, &row)?;
    Ok(answer)
}

/// Tells of a new case: the responsible person, the leaders of its area, the city's leaders when
/// it may be a crime, administrators when nobody is named for the place.
pub(super) fn tell(conn: &mut PgConnection, row: &CaseRow) -> Result<()> {
    use super::outbox::{enqueue_all, key};
    use crate::enforcement::messages::{Kind, Level, Notice, Recipients};
    let place = cases::place_codes(row);
    let notice =
        |kind, key, to, facts| Notice { key, kind, case_id: Some(row.id), actor: None, to, facts };
    // One key for both: who leads and answers at once is told once, as who answers.
    let dispatch = key(row.id, "dispatch");
    let responsible = row.assignee_id.map(Recipients::Person).into_iter().collect();
    let mut notices = vec![notice(Kind::Dispatched, dispatch, responsible, BTreeMap::new())];
    let at = |level| Recipients::LeadersAt { place: place.clone(), level };
    let leaders = match place.city {
        Some(_) => [Level::Village, Level::Town, Level::District].map(at).to_vec(),
        None => vec![at(Level::City)],
    };
    notices.push(notice(Kind::DispatchedLeaders, dispatch, leaders, BTreeMap::new()));
    let raised: Vec<Alarm> = serde_json::from_value(row.alarms.clone()).unwrap_or_default();
    if !raised.is_empty() {
        let text = |of: fn(&Alarm) -> &str, between| {
            raised.iter().map(of).collect::<Vec<_>>().join(between)
        };
        let facts = BTreeMap::from([
            ("alarm_zh", text(|a| &a.text_zh, "；")),
            ("alarm_en", text(|a| &a.text_en, "; ")),
        ]);
        let to = vec![Recipients::LeadersOf(place)];
        notices.push(notice(Kind::Alarm, key(row.id, "alarm"), to, facts));
    }
    if !matches!(row.found_by.as_deref(), Some("cell" | "village")) {
        // Once a day for a place: the gap is one, however many cases fall into it.
        let gap = row.village_code.as_ref().or(row.cell_code.as_ref()).unwrap_or(&row.number);
        let day = crate::enforcement::clock::day_of(row.reported_at);
        let gap = key(Uuid::NAMESPACE_OID, &format!("duty gap {gap} {day}"));
        let admins = vec![Recipients::Admins];
        notices.push(notice(Kind::DutyGap, gap, admins, BTreeMap::new()));
    }
    enqueue_all(conn, &notices)
}

pub(super) fn first_answer(conn: &mut PgConnection, retry: &Retry) -> Result<Option<Value>> {
    // Two tries at once: the second waits here for the first.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))")
        .bind::<diesel::sql_types::Text, _>(format!("{}:{}", retry.person, retry.key))
        .execute(conn)?;
    let found: Option<(Vec<u8>, Value)> = first_answers::table
        .find((retry.person, &retry.key))
        .select((first_answers::request, first_answers::body))
        .first(conn)
        .optional()?;
    match found {
        Some((request, answer)) if request == retry.request => Ok(Some(answer)),
        Some(_) => Err(Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已用于另一份内容不同的请求",
            "This id was already used with another content",
        )),
        None => Ok(None),
    }
}

pub(super) fn remember(
    conn: &mut PgConnection,
    retry: &Retry,
    status: i16,
    answer: &Value,
) -> Result<()> {
    diesel::insert_into(first_answers::table)
        .values((
            first_answers::person_id.eq(retry.person),
            first_answers::key.eq(&retry.key),
            first_answers::request.eq(retry.request.as_slice()),
            first_answers::status.eq(status),
            first_answers::body.eq(answer),
        ))
        .execute(conn)?;
    Ok(())
}

/// The atlas of the generation in force. A publish takes the same lock exclusively, so none can
/// come between the look-up and the commit.
pub(super) fn current_atlas(conn: &mut PgConnection, world: &World) -> Result<Arc<Atlas>> {
    use super::schema::generations;
    notify::hold_boundaries(conn)?;
    let newest: Option<i64> =
        generations::table.select(diesel::dsl::max(generations::generation)).first(conn)?;
    let newest = u64::try_from(newest.unwrap_or(0)).unwrap_or(0);
    if world.atlas.load().generation() < newest {
        world.refresh_on(conn)?;
    }
    Ok(world.atlas.load_full())
}

fn create(
    conn: &mut PgConnection,
    world: &World,
    atlas: &Arc<Atlas>,
    report: &Report,
) -> Result<CaseRow> {
    // To the microsecond, as the store keeps it: the first answer and a later one agree.
    let now = Utc::now().trunc_subsecs(6);
    let settings = world.settings.load();
    let siting = intake::site(
        atlas,
        &world.roster.load(),
        report.position,
        report.accuracy_m,
        report.nature,
        settings.nearest_within_m,
    );
    let overlay = match &report.footprint {
        Some(footprint) => Some(world.land.overlay(atlas).cover(footprint)?.by_category),
        None => None,
    };
    let areas = intake::areas(siting.category, overlay, report.area_m2);
    // By name alone it would be a suggestion: cumulation needs an identity.
    let earlier = match &report.party_id_number {
        Some(id_number) => cases::earlier_takings(conn, id_number)?,
        None => EarlierTakings::default(),
    };
    let alarms = alarms(&areas, earlier, settings.thresholds_at(now));
    let mut row = new_row(report, &siting, &areas, atlas, now);
    workflow::set_first_deadlines(&mut row, &settings)?;
    row.alarms = serde_json::to_value(alarms).map_err(Fault::internal)?;
    row.number = cases::next_number(conn, &numbering_code(atlas, &row), now)?;

    let event = |seq, action: &str, data: Value| EventRow {
        case_id: row.id,
        seq,
        id: Uuid::new_v4(),
        action: action.into(),
        actor_id: report.reporter.filter(|_| seq == 1),
        at: now,
        observed_at: (seq == 1).then_some(report.observed_at),
        lon: (seq == 1).then_some(report.position.x),
        lat: (seq == 1).then_some(report.position.y),
        accuracy_m: report.accuracy_m.filter(|_| seq == 1),
        mocked: (seq == 1).then_some(report.mocked),
        text: report.description.clone().filter(|_| seq == 1),
        attachments: Vec::new(),
        data,
    };
    let events = [
        event(
            1,
            "report",
            json!({"source": row.source, "nature": row.nature, "area_m2": row.area_m2}),
        ),
        event(
            2,
            "dispatch",
            json!({"to": row.assignee_id, "found_by": row.found_by, "placed": row.placed, "place": row.place}),
        ),
    ];
    let footprints: Vec<_> = report.footprint.iter().map(|f| (row.id, f.clone())).collect();
    cases::insert(conn, std::slice::from_ref(&row), &footprints, &events)?;
    visits::of_records(conn, world, &events)?;
    Ok(row)
}

/// The district whose numbers a case takes; the city's for one without place.
pub(super) fn numbering_code(atlas: &Atlas, row: &CaseRow) -> String {
    let city = || {
        let city = atlas.layer(layers::CITY)?.features().first()?;
        Some(city.code.clone())
    };
    row.district_code
        .clone()
        .or_else(|| row.city_code.clone())
        .or_else(city)
        .unwrap_or_else(|| "000000".into())
}

pub(super) fn new_row(
    report: &Report,
    siting: &Siting,
    areas: &CategoryAreas,
    atlas: &Atlas,
    now: DateTime<Utc>,
) -> CaseRow {
    let (input_x, input_y, input_crs) = report.input.clone();
    let mut row = CaseRow {
        id: report.id,
        number: String::new(),
        version: 1,
        status: "dispatched".into(),
        source: report.source.clone(),
        patrol_kind: report.patrol_kind.clone(),
        nature: report.nature.as_str().into(),
        use_: report.use_.clone(),
        party_name: report.party_name.clone(),
        party_id_number: report.party_id_number.clone(),
        party_is_cadre: report.party_is_cadre,
        area_m2: report.area_m2,
        storeys: report.storeys,
        new_build: report.new_build,
        description: report.description.clone(),
        input_x,
        input_y,
        input_crs,
        lon: report.position.x,
        lat: report.position.y,
        accuracy_m: report.accuracy_m,
        mocked: report.mocked,
        observed_at: report.observed_at,
        reported_at: now,
        reporter_id: report.reporter,
        city_code: None,
        district_code: None,
        functional_area_code: None,
        town_code: None,
        village_code: None,
        cell_code: None,
        placed: String::new(),
        nearest_m: None,
        category: Some(siting.category.as_str().into()),
        basic_farmland_m2: 0.0,
        farmland_m2: 0.0,
        non_farmland_m2: 0.0,
        homestead_m2: 0.0,
        mine_m2: 0.0,
        generation: 0,
        place: Value::Null,
        responsible: None,
        assignee_id: None,
        found_by: None,
        candidates: json!([]),
        alarms: json!([]),
        outcome: None,
        demolished_m2: None,
        demolished_at: None,
        closed_at: None,
        due_at: None,
        imported: false,
        due_step: None,
        stop_due_at: None,
        close_due_at: None,
        visited_at: None,
        stopped_at: None,
        applied_at: None,
        applicant_id: None,
        closed_by: None,
        times_returned: 0,
        times_extended: 0,
        duplicate_of: None,
    };
    row.set_areas(areas);
    set_siting(&mut row, siting, atlas);
    row
}

/// Puts a case where a siting says, and into the hands of who answers there.
pub(super) fn set_siting(row: &mut CaseRow, siting: &Siting, atlas: &Atlas) {
    let codes = siting.place.codes();
    row.city_code = codes.city;
    row.district_code = codes.district;
    row.functional_area_code = codes.functional_areas.into_iter().next();
    row.town_code = codes.town;
    row.village_code = codes.village;
    row.cell_code = codes.cell;
    row.placed = siting.placed.as_str().into();
    row.nearest_m = siting.nearest_m;
    row.generation = i64::try_from(atlas.generation()).unwrap_or(i64::MAX);
    row.place = serde_json::to_value(&siting.place).unwrap_or_default();
    row.responsible = siting.responsible.as_ref().and_then(|r| serde_json::to_value(r).ok());
    let assignment = siting.responsible.as_ref().map(|r| &r.assignment);
    row.assignee_id = assignment.map(|a| a.primary.id);
    row.found_by = assignment.map(|a| a.found_by.as_str().into());
    row.candidates = serde_json::to_value(&siting.candidates).unwrap_or_default();
}

/// A case as the API shows it; `footprint`, `attachments` and `possible_duplicates` apart.
pub fn case_json(row: &CaseRow) -> Value {
    json!({
        "id": row.id,
        "number": row.number,
        "version": row.version,
        "status": row.status,
        "source": row.source,
        "patrol_kind": row.patrol_kind,
        "nature": row.nature,
        "use": row.use_,
        "party": {
            "name": row.party_name,
            "id_number": row.party_id_number,
            "is_cadre": row.party_is_cadre,
        },
        "area_m2": row.area_m2,
        "storeys": row.storeys,
        "new_build": row.new_build,
        "description": row.description,
        "lon": row.lon,
        "lat": row.lat,
        "input": {"x": row.input_x, "y": row.input_y, "crs": row.input_crs},
        "accuracy_m": row.accuracy_m,
        "mocked": row.mocked,
        "observed_at": row.observed_at,
        "reported_at": row.reported_at,
        "reporter_id": row.reporter_id,
        "place": row.place,
        "placed": row.placed,
        "nearest_m": row.nearest_m,
        "category": row.category,
        "area_by_category": row.areas(),
        "generation": row.generation,
        "responsible": row.responsible,
        "assignee_id": row.assignee_id,
        "candidates": row.candidates,
        "alarms": row.alarms,
        "outcome": row.outcome,
        "demolished_m2": row.demolished_m2,
        "demolished_at": row.demolished_at,
        "closed_at": row.closed_at,
        "due_at": row.due_at,
        "progress": progress_json(row),
        "duplicate_of": row.duplicate_of,
        "imported": row.imported,
    })
}

/// How far the work on a case has come, and by when the rest is due.
fn progress_json(row: &CaseRow) -> Value {
    json!({
        "due_step": row.due_step,
        "stop_due_at": row.stop_due_at,
        "close_due_at": row.close_due_at,
        "visited_at": row.visited_at,
        "stopped_at": row.stopped_at,
        "applied_at": row.applied_at,
        "applicant_id": row.applicant_id,
        "closed_by": row.closed_by,
        "times_returned": row.times_returned,
        "times_extended": row.times_extended,
    })
}

/// A footprint as GeoJSON, or null.
pub fn footprint_json(footprint: Option<&MultiPolygon>) -> Value {
    footprint
        .and_then(|polygons| serde_json::to_value(geojson::Geometry::from(polygons)).ok())
        .unwrap_or(Value::Null)
}
