//! Cases as the memory holds them, read as they change.

use super::schema::cases;
use crate::atlas::category::{Category, CategoryAreas};
use crate::error::{Fault, Result};
use crate::tiles::cases::{CaseFigures, CaseNature, CasePlace, CaseRecord, CaseSource, CaseStatus};
use chrono::{DateTime, Utc};
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// Days from the report by which a past case counts as due to be closed.
pub const PAST_CLOSING_DAYS: i64 = 30;

#[derive(Queryable, Selectable)]
#[diesel(table_name = cases, check_for_backend(Pg))]
struct Light {
    id: Uuid,
    number: String,
    lon: f64,
    lat: f64,
    reported_at: DateTime<Utc>,
    status: String,
    nature: String,
    source: String,
    category: Option<String>,
    placed: String,
    area_m2: Option<f64>,
    basic_farmland_m2: f64,
    farmland_m2: f64,
    non_farmland_m2: f64,
    homestead_m2: f64,
    mine_m2: f64,
    assignee_id: Option<Uuid>,
    city_code: Option<String>,
    district_code: Option<String>,
    functional_area_code: Option<String>,
    town_code: Option<String>,
    village_code: Option<String>,
    cell_code: Option<String>,
    version: i32,
    reporter_id: Option<Uuid>,
    party_name: Option<String>,
    description: Option<String>,
    party_is_cadre: bool,
    new_build: Option<bool>,
    imported: bool,
    demolished_m2: Option<f64>,
    demolished_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    stop_due_at: Option<DateTime<Utc>>,
    close_due_at: Option<DateTime<Utc>>,
    visited_at: Option<DateTime<Utc>>,
    stopped_at: Option<DateTime<Utc>>,
    applied_at: Option<DateTime<Utc>>,
    times_returned: i32,
    times_extended: i32,
}

/// The light form of every case that a transaction at or after `xid` changed; of all without.
pub fn changed_since(conn: &mut PgConnection, xid: Option<&str>) -> Result<Vec<CaseRecord>> {
    let mut rows = cases::table.select(Light::as_select()).into_boxed();
    if let Some(xid) = xid {
        let since = diesel::dsl::sql::<Bool>("changed_xid >= ").bind::<Text, _>(xid.to_string());
        rows = rows.filter(since.sql("::xid8"));
    }
    // Places repeat: each is kept once.
    let mut places: HashSet<Arc<CasePlace>> = HashSet::new();
    let mut records = Vec::new();
    // Row by row: a million rows at once would take twice the memory.
    for row in rows.load_iter::<Light, PgRowByRowLoadingMode>(conn)? {
        records.push(record(row?, &mut places)?);
    }
    Ok(records)
}

fn record(row: Light, places: &mut HashSet<Arc<CasePlace>>) -> Result<CaseRecord> {
    let unknown = |what: &str| Fault::internal(format!("unknown {what} of a case in store"));
    let text = |text: Option<String>| text.map(String::into_boxed_str);
    let seconds = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
    let areas = CategoryAreas {
        basic_farmland: row.basic_farmland_m2,
        farmland: row.farmland_m2,
        non_farmland: row.non_farmland_m2,
        homestead: row.homestead_m2,
        mine: row.mine_m2,
    };
    let place = CasePlace {
        city: text(row.city_code),
        district: text(row.district_code),
        functional_area: text(row.functional_area_code),
        town: text(row.town_code),
        village: text(row.village_code),
        cell: text(row.cell_code),
    };
    let place = match places.get(&place) {
        Some(known) => Arc::clone(known),
        None => {
            let place = Arc::new(place);
            places.insert(Arc::clone(&place));
            place
        }
    };
    // A past case has no deadlines of its own: rates count from its report.
    let past_due = row.imported.then(|| row.reported_at.timestamp() + PAST_CLOSING_DAYS * 86_400);
    Ok(CaseRecord {
        id: row.id,
        number: row.number.into(),
        lon: row.lon,
        lat: row.lat,
        reported_at: row.reported_at.timestamp(),
        status: CaseStatus::parse(&row.status).ok_or_else(|| unknown("status"))?,
        nature: CaseNature::parse(&row.nature).ok_or_else(|| unknown("nature"))?,
        source: CaseSource::parse(&row.source),
        category: row
            .category
            .as_deref()
            .filter(|_| row.placed != "none")
            .and_then(Category::parse),
        area_m2: if areas.total() > 0.0 { Some(areas.total()) } else { row.area_m2 },
        assignee: row.assignee_id,
        place,
        figures: CaseFigures {
            reporter: row.reporter_id,
            party: text(row.party_name),
            description: text(row.description),
            cadre: row.party_is_cadre,
            new_build: row.new_build,
            imported: row.imported,
            reported_m2: row.area_m2,
            areas,
            demolished_m2: row.demolished_m2.unwrap_or(0.0),
            demolished_at: seconds(row.demolished_at),
            closed_at: seconds(row.closed_at),
            due_at: seconds(row.due_at),
            stop_due_at: seconds(row.stop_due_at),
            close_due_at: seconds(row.close_due_at).or(past_due),
            visited_at: seconds(row.visited_at),
            stopped_at: seconds(row.stopped_at),
            applied_at: seconds(row.applied_at),
            times_returned: row.times_returned.try_into().unwrap_or(0),
            times_extended: row.times_extended.try_into().unwrap_or(0),
        },
        version: row.version.try_into().unwrap_or(0),
    })
}
