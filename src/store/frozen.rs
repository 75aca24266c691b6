//! Months kept as they were signed, and the monthly files to the leaders of each district.

use super::reports::{self, Ask, ReportKind};
use super::schema::{frozen_reports, generations, monthly_reports};
use super::world::World;
use super::{Store, outbox};
use crate::atlas::areas::{Area, AreaLevel, AreaTree};
use crate::enforcement::clock::day_of;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::messages::{Kind, Level, Notice, Recipients};
use crate::error::{Fault, FaultKind, Language, Result};
use crate::statistics::period::Period;
use crate::statistics::units::ReportLevel;
use crate::statistics::workbook;
use crate::tiles::cases::CaseFilter;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A frozen month without its file.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = frozen_reports)]
pub struct Frozen {
    pub id: Uuid,
    pub kind: String,
    pub area_code: String,
    pub level: String,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub as_of: DateTime<Utc>,
    pub frozen_by: Option<Uuid>,
    pub frozen_at: DateTime<Utc>,
    pub generation: i64,
    pub sha256: Vec<u8>,
}

/// What is to be frozen.
#[derive(Debug, Clone)]
pub struct Freeze {
    pub id: Uuid,
    pub kind: ReportKind,
    pub area: String,
    pub level: ReportLevel,
    /// A calendar month that is over.
    pub month: Period,
    pub by: Option<Uuid>,
}

fn ask_of(freeze: &Freeze) -> Ask {
    Ask {
        kind: freeze.kind,
        area: freeze.area.clone(),
        level: Some(freeze.level),
        period: Some(freeze.month),
        filter: CaseFilter::default(),
        comparison: None,
        rank: None,
    }
}

/// Keeps a month as it stands now. What is frozen already stays as it was: a second call gives the
/// first one's.
pub fn freeze(store: &Store, world: &World, freeze: &Freeze, now: DateTime<Utc>) -> Result<Frozen> {
    if freeze.month.to >= day_of(now) {
        return Err(Fault::new(
            FaultKind::Conflict,
            "month_not_over",
            "该月尚未结束，不能冻结",
            "The month is not over yet and cannot be frozen",
        ));
    }
    if let Some(known) = find_of(&mut *store.conn()?, freeze)? {
        return Ok(known);
    }
    let report = reports::report(store, world, &ask_of(freeze), now)?;
    let file = workbook::xlsx(&report, Language::Chinese)?;
    let figures = report.json(Language::Chinese);
    let sha256: [u8; 32] = Sha256::digest(&file).into();
    store.transaction(|conn| {
        diesel::insert_into(frozen_reports::table)
            .values((
                frozen_reports::id.eq(freeze.id),
                frozen_reports::kind.eq(freeze.kind.as_str()),
                frozen_reports::area_code.eq(&freeze.area),
                frozen_reports::level.eq(freeze.level.as_str()),
                frozen_reports::first_day.eq(freeze.month.from),
                frozen_reports::last_day.eq(freeze.month.to),
                frozen_reports::as_of.eq(report.head.as_of),
                frozen_reports::frozen_by.eq(freeze.by),
                frozen_reports::frozen_at.eq(now),
                frozen_reports::generation
                    .eq(i64::try_from(report.head.generation).unwrap_or(i64::MAX)),
                frozen_reports::figures.eq(&figures),
                frozen_reports::file.eq(&file),
                frozen_reports::sha256.eq(sha256.to_vec()),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        // Another one may have been quicker.
        find_of(conn, freeze)?.ok_or_else(|| {
            Fault::new(
                FaultKind::Conflict,
                "id_taken",
                "该编号已用于其他冻结报表",
                "This id belongs to another frozen report",
            )
        })
    })
}

fn find_of(conn: &mut PgConnection, freeze: &Freeze) -> Result<Option<Frozen>> {
    Ok(frozen_reports::table
        .filter(frozen_reports::kind.eq(freeze.kind.as_str()))
        .filter(frozen_reports::area_code.eq(&freeze.area))
        .filter(frozen_reports::level.eq(freeze.level.as_str()))
        .filter(frozen_reports::first_day.eq(freeze.month.from))
        .select(Frozen::as_select())
        .first(conn)
        .optional()?)
}

/// Frozen months, latest first; of some areas where they are named.
pub fn list(
    conn: &mut PgConnection,
    areas: Option<&[String]>,
    kind: Option<ReportKind>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Frozen>> {
    let mut found = frozen_reports::table.select(Frozen::as_select()).into_boxed();
    if let Some(areas) = areas {
        found = found.filter(frozen_reports::area_code.eq_any(areas.to_vec()));
    }
    if let Some(kind) = kind {
        found = found.filter(frozen_reports::kind.eq(kind.as_str()));
    }
    if let Some((at, id)) = after {
        found = found.filter(
            frozen_reports::frozen_at
                .lt(at)
                .or(frozen_reports::frozen_at.eq(at).and(frozen_reports::id.lt(id))),
        );
    }
    let order = (frozen_reports::frozen_at.desc(), frozen_reports::id.desc());
    Ok(found.order(order).limit(limit).load(conn)?)
}

/// A frozen month with its figures.
pub fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<(Frozen, Value)>> {
    Ok(frozen_reports::table
        .find(id)
        .select((Frozen::as_select(), frozen_reports::figures))
        .first(conn)
        .optional()?)
}

/// The workbook, byte for byte as it was frozen.
pub fn file(conn: &mut PgConnection, id: Uuid) -> Result<Vec<u8>> {
    Ok(frozen_reports::table.find(id).select(frozen_reports::file).first(conn)?)
}

/// A figure that is no longer what was signed.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// None in the totals row.
    pub code: Option<String>,
    pub name: Option<String>,
    /// The column.
    pub key: String,
    #[schema(value_type = Option<f64>)]
    pub frozen: Value,
    #[schema(value_type = Option<f64>)]
    pub now: Value,
}

/// What has been corrected since a month was frozen, figure by figure.
pub fn differences(
    store: &Store,
    world: &World,
    frozen: &Frozen,
    figures: &Value,
    now: DateTime<Utc>,
) -> Result<Vec<Difference>> {
    let kind = ReportKind::parse(&frozen.kind).ok_or_else(|| Fault::internal("unknown kind"))?;
    let level =
        ReportLevel::parse(&frozen.level).ok_or_else(|| Fault::internal("unknown level"))?;
    let month = Period::new(frozen.first_day, frozen.last_day)?;
    let area = frozen.area_code.clone();
    let again = Freeze { id: frozen.id, kind, area, level, month, by: None };
    let report = reports::report(store, world, &ask_of(&again), now)?;
    let present = report.json(Language::Chinese);
    let columns: Vec<&str> = report.columns.iter().map(|column| column.key).collect();
    Ok(compare(figures, &present, &columns))
}

type RowName = (Option<String>, Option<String>, Option<String>);

fn rows_of(report: &Value) -> BTreeMap<RowName, &Value> {
    let text = |row: &Value, key: &str| row[key].as_str().map(String::from);
    let rows = report["rows"].as_array().into_iter().flatten();
    let name = |row: &Value| (text(row, "parent_code"), text(row, "code"), text(row, "name"));
    rows.map(|row| (name(row), row)).collect()
}

fn compare(frozen: &Value, present: &Value, columns: &[&str]) -> Vec<Difference> {
    let (was, is) = (rows_of(frozen), rows_of(present));
    let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).cloned().collect();
    let none = Value::Null;
    let mut found = Vec::new();
    let mut row = |code: Option<String>, name: Option<String>, was: &Value, is: &Value| {
        for key in columns {
            let (old, new) = (&was[*key], &is[*key]);
            let same = match (old.as_f64(), new.as_f64()) {
                // Sums of the same areas in another order differ in the last bits.
                (Some(old), Some(new)) => (old - new).abs() <= 0.005,
                // A row that was not there had nothing in it.
                (None, Some(value)) | (Some(value), None) => value == 0.0,
                (None, None) => true,
            };
            if !same {
                found.push(Difference {
                    code: code.clone(),
                    name: name.clone(),
                    key: (*key).into(),
                    frozen: old.clone(),
                    now: new.clone(),
                });
            }
        }
    };
    for name in names {
        let (old, new) = (was.get(&name), is.get(&name));
        row(name.1, name.2, old.copied().unwrap_or(&none), new.copied().unwrap_or(&none));
    }
    row(None, None, &frozen["total"], &present["total"]);
    found
}

/// Freezes the case report of the month that is over, for the city and each district and
/// functional area, and tells their leaders: once, however many processes run it. Gives how many
/// areas were served.
pub fn monthly(store: &Store, world: &World, now: DateTime<Utc>) -> Result<usize> {
    let today = day_of(now);
    let Some(last) = today.with_day(1).and_then(|first| first.pred_opt()) else { return Ok(0) };
    let Some(month) = Period::month(last.year(), last.month()) else { return Ok(0) };
    // Months that ended before the first boundaries were in force are not this service's to report.
    let begun: Option<DateTime<Utc>> = generations::table
        .select(diesel::dsl::min(generations::published_at))
        .first(&mut *store.conn()?)?;
    if begun.is_none_or(|begun| day_of(begun) > month.to) {
        return Ok(0);
    }
    let atlas = world.atlas.load_full();
    let tree = world.land.tree(&atlas);
    let levels = [AreaLevel::City, AreaLevel::District, AreaLevel::FunctionalArea];
    let areas: Vec<(String, Area)> = levels
        .iter()
        .flat_map(|level| tree.areas(*level))
        .filter_map(|area| Some((tree.feature(area)?.code.clone(), area)))
        .collect();
    let sent: Vec<String> = monthly_reports::table
        .filter(monthly_reports::first_day.eq(month.from))
        .select(monthly_reports::area_code)
        .load(&mut *store.conn()?)?;
    let mut served = 0;
    for (code, area) in areas.into_iter().filter(|(code, _)| !sent.contains(code)) {
        let name = format!("{code}:{}", month.from);
        let own = Freeze {
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()),
            kind: ReportKind::Cases,
            level: ReportLevel::below(area.level),
            area: code.clone(),
            month,
            by: None,
        };
        let frozen = freeze(store, world, &own, now)?;
        served += store.transaction(|conn| tell(conn, &tree, area, &code, &frozen, now))?;
    }
    Ok(served)
}

fn tell(
    conn: &mut PgConnection,
    tree: &AreaTree,
    area: Area,
    code: &str,
    frozen: &Frozen,
    now: DateTime<Utc>,
) -> Result<usize> {
    let written = diesel::insert_into(monthly_reports::table)
        .values((
            monthly_reports::area_code.eq(code),
            monthly_reports::first_day.eq(frozen.first_day),
            monthly_reports::frozen_id.eq(frozen.id),
            monthly_reports::sent_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    if written == 0 {
        return Ok(0);
    }
    let own = |level| (area.level == level).then(|| code.to_string());
    let city = tree.official_code(area, AreaLevel::City).map(String::from);
    let place = PlaceCodes {
        city,
        district: own(AreaLevel::District),
        functional_areas: own(AreaLevel::FunctionalArea).into_iter().collect(),
        ..PlaceCodes::default()
    };
    let level = if area.level == AreaLevel::City { Level::City } else { Level::District };
    let name = tree.feature(area).and_then(|f| f.name.clone()).unwrap_or_else(|| code.into());
    let month = frozen.first_day;
    let (zh, en) = (
        format!("{name}{}年{}月“两违”案件统计表", month.year(), month.month()),
        format!("{name}: cases of {}", month.format("%Y-%m")),
    );
    let link = format!("/api/v1/reports/frozen/{}/file", frozen.id);
    let notice = Notice {
        key: frozen.id,
        kind: Kind::ReportReady,
        case_id: None,
        actor: None,
        to: vec![Recipients::LeadersAt { place, level }],
        facts: BTreeMap::from([
            ("title", zh.clone()),
            ("title_zh", zh),
            ("title_en", en),
            ("link", link),
        ]),
    };
    outbox::enqueue(conn, &notice)?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_row_and_column() {
        let report = |found: i64, area: f64| {
            json!({
                "rows": [{"code": "350302", "name": "城厢区", "parent_code": "350300", "found": found, "mine": area}],
                "total": {"found": found, "mine": area},
            })
        };
        let columns = ["found", "mine"];
        assert!(compare(&report(3, 10.0), &report(3, 10.000001), &columns).is_empty());
        let found = compare(&report(3, 10.0), &report(4, 10.0), &columns);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].code.as_deref(), found[0].key.as_str()), (Some("350302"), "found"));
        assert_eq!((&found[0].frozen, &found[0].now), (&json!(3), &json!(4)));
        let empty = json!({"rows": [], "total": {"found": 0, "mine": 0.0}});
        assert_eq!(compare(&empty, &report(1, 0.0), &columns).len(), 2);
    }
}
