//! Tracks: batches of positions from phones, also later, out of order and twice. What they show
//! depends on the points alone, not on how they came.

use super::visits::{self, Cells};
use crate::enforcement::clock::day_of;
use crate::enforcement::patrol::track::{TrackPoint, judge};
use crate::enforcement::people::Person;
use crate::error::{Fault, FaultKind, Result};
use crate::store::Store;
use crate::store::schema::{patrol_track_points as points, patrol_tracks as tracks};
use crate::store::world::World;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use geo::Coord;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a phone sent.
pub struct Batch {
    /// Made by the client: a retry is harmless.
    pub id: Uuid,
    /// sha256 of the request.
    pub request: [u8; 32],
    /// At least one, in any order; the first of those at one moment counts.
    pub points: Vec<TrackPoint>,
}

/// What is answered to a batch, the first time and to a retry.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    id: Uuid,
    /// Positions at different moments.
    points: i32,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

/// A point as stored and judged.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, utoipa::ToSchema)]
#[diesel(table_name = points)]
pub struct JudgedPoint {
    pub at: DateTime<Utc>,
    /// CGCS2000 degrees.
    pub lon: f64,
    pub lat: f64,
    pub accuracy_m: Option<f64>,
    pub mocked: bool,
    /// Why it does not count: `mocked`, `inaccurate`, `impossible_speed`; none where it does.
    pub flag: Option<String>,
    /// The cell that it shows a visit of.
    pub cell_code: Option<String>,
}

/// Rows in one statement, which binds at most 65,535 values.
const CHUNK: usize = 5000;

/// Takes a batch in, and derives anew what the days it touches show.
pub fn record(store: &Store, world: &World, person: &Person, batch: &Batch) -> Result<Receipt> {
    let mut sent: BTreeMap<DateTime<Utc>, &TrackPoint> = BTreeMap::new();
    for point in &batch.points {
        sent.entry(point.at).or_insert(point);
    }
    let (Some((&first_at, _)), Some((&last_at, _))) =
        (sent.first_key_value(), sent.last_key_value())
    else {
        return Err(Fault::invalid("轨迹没有任何点", "The track has no point"));
    };
    let receipt = Receipt {
        id: batch.id,
        points: i32::try_from(sent.len()).map_err(Fault::internal)?,
        first_at,
        last_at,
    };
    store.transaction(|conn| {
        // Batches of one person wait for each other: each derives from all points there are.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 13))")
            .bind::<Text, _>(person.id.to_string())
            .execute(conn)?;
        let known: Option<(Uuid, Vec<u8>)> = tracks::table
            .find(batch.id)
            .select((tracks::person_id, tracks::request))
            .first(conn)
            .optional()?;
        match known {
            Some((owner, request)) if owner == person.id && request == batch.request => {
                return Ok(receipt.clone());
            }
            Some(_) => {
                return Err(Fault::new(
                    FaultKind::Conflict,
                    "id_taken",
                    "该编号已用于另一段轨迹",
                    "This id was already used for another track",
                ));
            }
            None => {}
        }
        diesel::insert_into(tracks::table)
            .values((
                tracks::id.eq(batch.id),
                tracks::person_id.eq(person.id),
                tracks::request.eq(batch.request.as_slice()),
                tracks::points.eq(receipt.points),
                tracks::first_at.eq(first_at),
                tracks::last_at.eq(last_at),
            ))
            .execute(conn)?;
        let rows: Vec<_> = sent
            .values()
            .map(|point| {
                (
                    points::person_id.eq(person.id),
                    points::at.eq(point.at),
                    points::track_id.eq(batch.id),
                    points::lon.eq(point.position.x),
                    points::lat.eq(point.position.y),
                    points::accuracy_m.eq(point.accuracy_m),
                    points::mocked.eq(point.mocked),
                )
            })
            .collect();
        for chunk in rows.chunks(CHUNK) {
            diesel::insert_into(points::table)
                .values(chunk.to_vec())
                .on_conflict_do_nothing()
                .execute(conn)?;
        }
        let cells = Cells::of(world);
        let days: BTreeSet<NaiveDate> = sent.keys().map(|&at| day_of(at)).collect();
        for day in days {
            derive(conn, &cells, person, day)?;
        }
        Ok(receipt.clone())
    })
}

/// The first moment of a day in Asia/Shanghai.
fn midnight(day: NaiveDate) -> Option<DateTime<Utc>> {
    let local = Shanghai.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest()?;
    Some(local.with_timezone(&Utc))
}

/// Judges a person's day and notes the visits it shows.
fn derive(conn: &mut PgConnection, cells: &Cells, person: &Person, day: NaiveDate) -> Result<()> {
    let bounds = midnight(day).zip(day.succ_opt().and_then(midnight));
    let (start, end) = bounds.ok_or_else(|| Fault::internal("a day without bounds"))?;
    let stored: Vec<JudgedPoint> = points::table
        .filter(points::person_id.eq(person.id))
        .filter(points::at.ge(start))
        .filter(points::at.lt(end))
        .order(points::at)
        .select(JudgedPoint::as_select())
        .load(conn)?;
    let track: Vec<TrackPoint> = stored
        .iter()
        .map(|p| TrackPoint {
            at: p.at,
            position: Coord { x: p.lon, y: p.lat },
            accuracy_m: p.accuracy_m,
            mocked: p.mocked,
        })
        .collect();
    let mut first_moments = BTreeMap::new();
    let (mut moments, mut flags, mut codes) = (Vec::new(), Vec::new(), Vec::new());
    for ((point, before), flag) in track.iter().zip(&stored).zip(judge(&track)) {
        let flag = flag.map(|flag| flag.as_str());
        let cell = cells.code_at(point.position).filter(|_| flag.is_none());
        if let Some(cell) = cell {
            first_moments.entry(cell.to_string()).or_insert(point.at);
        }
        if before.flag.as_deref() != flag || before.cell_code.as_deref() != cell {
            moments.push(point.at);
            flags.push(flag);
            codes.push(cell);
        }
    }
    if !moments.is_empty() {
        diesel::sql_query(
            "UPDATE patrol_track_points p SET flag = n.flag, cell_code = n.cell
             FROM unnest($2, $3, $4) AS n(at, flag, cell) WHERE p.person_id = $1 AND p.at = n.at",
        )
        .bind::<SqlUuid, _>(person.id)
        .bind::<Array<Timestamptz>, _>(moments)
        .bind::<Array<Nullable<Text>>, _>(flags)
        .bind::<Array<Nullable<Text>>, _>(codes)
        .execute(conn)?;
    }
    visits::replace_tracked(conn, cells, person, day, &first_moments)
}

/// A person's points between two moments, oldest first.
pub fn list(
    conn: &mut PgConnection,
    person: Uuid,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<JudgedPoint>> {
    Ok(points::table
        .filter(points::person_id.eq(person))
        .filter(points::at.ge(from))
        .filter(points::at.lt(to))
        .order(points::at)
        .limit(limit)
        .select(JudgedPoint::as_select())
        .load(conn)?)
}
