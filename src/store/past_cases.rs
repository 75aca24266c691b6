//! Past cases from a table: one `imported` event each with the original times, no messages, no
//! deadlines. The same row always becomes the same case, so importing again is harmless.

use super::cases::{self, CaseRow, EventRow};
use super::reporting::{Report, new_row, numbering_code};
use super::sheet::{Row, RowRemark, RowReport, Sheet};
use super::world::load_roster;
use super::{Store, features, notify, settings};
use crate::enforcement::intake;
use crate::enforcement::nature::Nature;
use crate::error::{Fault, Result};
use chrono::{DateTime, Datelike, Days, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::prelude::*;
use geo::Coord;
use rayon::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Days after the report by which a case should have been applied to be closed.
const APPLICATION_DAYS: u64 = 30;

struct Columns {
    reported_at: usize,
    lon: usize,
    lat: usize,
    nature: usize,
    accuracy_m: Option<usize>,
    source: Option<usize>,
    party: Option<usize>,
    area_m2: Option<usize>,
    use_: Option<usize>,
    new_build: Option<usize>,
    party_is_cadre: Option<usize>,
    outcome: Option<usize>,
    demolished_m2: Option<usize>,
    days_to_close: Option<usize>,
}

impl Columns {
    fn of(sheet: &Sheet) -> Result<Self> {
        Ok(Self {
            reported_at: sheet.required(&["reported_at"])?,
            lon: sheet.required(&["lon"])?,
            lat: sheet.required(&["lat"])?,
            nature: sheet.required(&["nature"])?,
            accuracy_m: sheet.column(&["accuracy_m"]),
            source: sheet.column(&["source"]),
            party: sheet.column(&["party"]),
            area_m2: sheet.column(&["area_m2"]),
            use_: sheet.column(&["use"]),
            new_build: sheet.column(&["new_build"]),
            party_is_cadre: sheet.column(&["party_is_cadre"]),
            outcome: sheet.column(&["outcome"]),
            demolished_m2: sheet.column(&["demolished_m2"]),
            days_to_close: sheet.column(&["days_to_close"]),
        })
    }
}

/// One row as parsed.
struct Past {
    report: Report,
    reported_at: DateTime<Utc>,
    /// `demolished` or `stopped`; none while open.
    outcome: Option<&'static str>,
    overdue: bool,
    demolished_m2: Option<f64>,
    closed_at: Option<DateTime<Utc>>,
}

type Wrong = (&'static str, String, String);

fn number(row: &Row, column: Option<usize>, name: &str) -> Result<Option<f64>, Wrong> {
    let text = column.map_or("", |column| row.get(column));
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        ("invalid", format!("{name} 不是有效数字：{text}"), format!("{name} is no number: {text}"))
    };
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(Some(value)),
        _ => Err(wrong()),
    }
}

fn flag(row: &Row, column: Option<usize>) -> Option<bool> {
    match column.map_or("", |column| row.get(column)) {
        "1" | "true" | "是" | "新增" => Some(true),
        "0" | "false" | "否" | "存量" => Some(false),
        _ => None,
    }
}

/// A local time as people write it, or RFC 3339.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .and_then(|local| Shanghai.from_local_datetime(&local).earliest())
        .map(|time| time.with_timezone(&Utc))
}

/// Cases are named after what the row says; the same row twice in a file is two cases.
const NAMESPACE: Uuid = Uuid::from_u128(0x7a1f_52ad_6c0b_4b7e_9d0e_3f6b_1f0a_c5e1);

fn parse(row: &Row, columns: &Columns, seen: &mut HashMap<String, u32>) -> Result<Past, Wrong> {
    let invalid = |zh: &str, en: &str| ("invalid", zh.to_string(), en.to_string());
    let cell = |column: Option<usize>| column.map(|c| row.get(c)).filter(|text| !text.is_empty());
    let reported_at = time(row.get(columns.reported_at))
        .ok_or_else(|| invalid("reported_at 不是有效时间", "reported_at is no time"))?;
    let coordinate = |column, name: &str, limit: f64| match row.get(column).parse::<f64>() {
        Ok(value) if value.abs() <= limit => Ok(value),
        _ => Err((
            "out_of_range",
            format!("{name} 不是有效坐标"),
            format!("{name} is no coordinate"),
        )),
    };
    let position = Coord {
        x: coordinate(columns.lon, "lon", 180.0)?,
        y: coordinate(columns.lat, "lat", 90.0)?,
    };
    let nature = Nature::parse(row.get(columns.nature))
        .ok_or_else(|| invalid("nature 未知", "nature is unknown"))?;
    let source = cell(columns.source).unwrap_or("patrol");
    if !["patrol", "public", "satellite", "assigned"].contains(&source) {
        return Err(invalid("source 未知", "source is unknown"));
    }
    let (outcome, overdue) = match cell(columns.outcome).unwrap_or("open") {
        "closed_demolished" => (Some("demolished"), false),
        "closed_stopped" => (Some("stopped"), false),
        "open" => (None, false),
        "overdue" => (None, true),
        _ => return Err(invalid("outcome 未知", "outcome is unknown")),
    };
    let days = number(row, columns.days_to_close, "days_to_close")?.unwrap_or(0.0);
    let closed_at = outcome.and_then(|_| reported_at.checked_add_days(Days::new(days as u64)));
    let area_m2 = number(row, columns.area_m2, "area_m2")?;
    let party_name = cell(columns.party).map(String::from);

    let key = format!(
        "{}|{}|{}|{}|{}|{}",
        reported_at.to_rfc3339(),
        row.get(columns.lon),
        row.get(columns.lat),
        nature.as_str(),
        party_name.as_deref().unwrap_or_default(),
        area_m2.unwrap_or(-1.0),
    );
    let times = seen.entry(key.clone()).or_default();
    let id = Uuid::new_v5(&NAMESPACE, format!("{key}|{times}").as_bytes());
    *times += 1;

    let report = Report {
        id,
        source: source.into(),
        patrol_kind: None,
        nature,
        use_: cell(columns.use_).map(String::from),
        party_name,
        party_id_number: None,
        party_is_cadre: flag(row, columns.party_is_cadre).unwrap_or(false),
        area_m2,
        storeys: None,
        new_build: flag(row, columns.new_build),
        description: None,
        input: (position.x, position.y, "cgcs2000".into()),
        position,
        accuracy_m: number(row, columns.accuracy_m, "accuracy_m")?,
        mocked: false,
        footprint: None,
        observed_at: reported_at,
        reporter: None,
    };
    let demolished_m2 = number(row, columns.demolished_m2, "demolished_m2")?;
    Ok(Past { report, reported_at, outcome, overdue, demolished_m2, closed_at })
}

/// Imports a table of past cases in one transaction.
pub fn import(store: &Store, path: &Path, dry_run: bool) -> Result<RowReport> {
    let sheet = Sheet::read(path)?;
    let columns = Columns::of(&sheet)?;
    let mut report = RowReport { dry_run, ..RowReport::default() };
    let mut seen = HashMap::new();
    let mut past = Vec::new();
    for row in sheet.rows() {
        report.read += 1;
        match parse(row, &columns, &mut seen) {
            Ok(one) => past.push(one),
            Err((code, zh, en)) => report.rejected.push(RowRemark::new(row.number, code, zh, en)),
        }
    }
    report.accepted = past.len();

    store
        .transaction(|conn| {
            notify::hold_boundaries(conn)?;
            let atlas = Arc::new(features::load_atlas(conn)?);
            let roster = load_roster(conn)?;
            let nearest_within_m = settings::load(conn)?.nearest_within_m;
            let ids: Vec<Uuid> = past.iter().map(|p| p.report.id).collect();
            let known = known_ids(conn, &ids)?;
            let mut rows: Vec<CaseRow> = past
                .par_iter()
                .filter(|past| !known.contains(&past.report.id))
                .map(|past| row_of(past, &atlas, &roster, nearest_within_m))
                .collect();
            let unchanged = past.len() - rows.len();
            if !dry_run && !rows.is_empty() {
                // Numbers follow the order of the reports.
                rows.sort_by(|a, b| a.reported_at.cmp(&b.reported_at).then(a.id.cmp(&b.id)));
                give_numbers(conn, &atlas, &mut rows)?;
                let events: Vec<EventRow> = rows.iter().map(imported_event).collect();
                cases::insert(conn, &rows, &[], &events)?;
                notify::notify(conn, "cases")?;
            }
            Ok(unchanged)
        })
        .and_then(|unchanged| {
            report.unchanged = unchanged;
            report.usable()
        })
}

fn known_ids(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    use super::schema::cases::dsl;
    let mut known = HashSet::new();
    for chunk in ids.chunks(10_000) {
        known.extend(dsl::cases.filter(dsl::id.eq_any(chunk)).select(dsl::id).load::<Uuid>(conn)?);
    }
    Ok(known)
}

fn row_of(
    past: &Past,
    atlas: &Arc<crate::atlas::lookup::Atlas>,
    roster: &crate::enforcement::dispatch::Roster,
    nearest_within_m: f64,
) -> CaseRow {
    let report = &past.report;
    let siting =
        intake::site(atlas, roster, report.position, None, report.nature, nearest_within_m);
    let areas = intake::areas(siting.category, None, report.area_m2);
    let mut row = new_row(report, &siting, &areas, atlas, past.reported_at);
    row.imported = true;
    row.outcome = past.outcome.map(String::from);
    row.closed_at = past.closed_at;
    if past.outcome.is_some() {
        row.status = "closed".into();
    }
    if past.outcome == Some("demolished") {
        row.demolished_m2 = past.demolished_m2;
        row.demolished_at = past.closed_at;
    }
    if past.overdue {
        row.due_at = past.reported_at.checked_add_days(Days::new(APPLICATION_DAYS));
    }
    row
}

pub(super) fn give_numbers(
    conn: &mut PgConnection,
    atlas: &crate::atlas::lookup::Atlas,
    rows: &mut [CaseRow],
) -> Result<()> {
    let mut by_counter: BTreeMap<(String, i32), Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let year = row.reported_at.with_timezone(&Shanghai).year();
        by_counter.entry((numbering_code(atlas, row), year)).or_default().push(index);
    }
    for ((district, year), indices) in by_counter {
        let count = i32::try_from(indices.len()).map_err(Fault::internal)?;
        let last = cases::take_numbers(conn, &district, year, count)?;
        for (n, index) in (last - count + 1..).zip(indices) {
            rows[index].number = cases::number(&district, rows[index].reported_at, n);
        }
    }
    Ok(())
}

fn imported_event(row: &CaseRow) -> EventRow {
    EventRow {
        case_id: row.id,
        seq: 1,
        id: Uuid::new_v5(&NAMESPACE, row.id.as_bytes()),
        action: "imported".into(),
        actor_id: None,
        at: row.reported_at,
        observed_at: Some(row.reported_at),
        lon: Some(row.lon),
        lat: Some(row.lat),
        accuracy_m: row.accuracy_m,
        mocked: None,
        text: None,
        attachments: Vec::new(),
        data: json!({
            "source": row.source,
            "outcome": row.outcome,
            "closed_at": row.closed_at,
            "demolished_m2": row.demolished_m2,
            "overdue": row.due_at.is_some(),
        }),
    }
}
