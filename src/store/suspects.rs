//! Suspected plots (疑似图斑) from satellite images: each polygon of a file becomes a case, once.
//!
//! The file is read as any boundary file is. A plot is known again by its number, and by its
//! outline; so importing a file twice makes no second case. The whole import is one transaction.

use super::cases::{self, CaseRow, EventRow};
use super::past_cases::give_numbers;
use super::reporting::{Report, current_atlas, new_row, tell};
use super::schema::{suspect_imports, suspects};
use super::world::World;
use super::{Store, notify, workflow};
use crate::atlas::feature::{LayerInfo, LayerKind};
use crate::atlas::lookup::Atlas;
use crate::atlas::overlay::LandOverlay;
use crate::boundaries::draft::geometry_digest;
use crate::boundaries::{DraftFeature, ReadOptions, read};
use crate::enforcement::alarms::{EarlierTakings, alarms};
use crate::enforcement::intake;
use crate::enforcement::nature::Nature;
use crate::error::{Fault, Result};
use crate::geometry::crs::Crs;
use crate::geometry::representative::representative_point;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::prelude::*;
use geo::MultiPolygon;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Usual names of the column with a plot's number.
const NUMBER_FIELDS: [&str; 3] = ["JCBH", "TBBH", "BSM"];
/// The dates of the two images, where the file has them.
const IMAGE_FIELDS: [&str; 2] = ["QSX", "HSX"];
/// Plots in one file: a city has some thousands in a quarter.
const MAX_PLOTS: usize = 100_000;
const MAX_NUMBER: usize = 100;

/// How to read a file, and what its plots are suspected of.
#[derive(Debug, Clone)]
pub struct SuspectOptions {
    /// Of this import, made by the client: a retry gets the first report.
    pub id: Uuid,
    pub file_name: String,
    pub source_layer: Option<String>,
    pub crs: Option<Crs>,
    pub encoding: Option<String>,
    /// The column with the number of a plot; JCBH, TBBH or BSM where it is not said.
    pub number_field: Option<String>,
    pub filter: Option<String>,
    pub nature: Nature,
    pub by: Option<Uuid>,
    /// Only report, change nothing.
    pub dry_run: bool,
}

/// What became of the rows of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SuspectReport {
    pub import_id: Uuid,
    pub dry_run: bool,
    pub crs: String,
    pub encoding: String,
    /// `created + existing + rejected`
    pub read: usize,
    pub created: usize,
    pub existing: usize,
    pub rejected: usize,
    pub rows: Vec<SuspectRow>,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SuspectRow {
    /// 1-based in the file.
    pub record: u32,
    pub plot_number: Option<String>,
    /// `created`, `existing` or `rejected`
    pub outcome: String,
    pub case_id: Option<Uuid>,
    pub case_number: Option<String>,
    /// Why it was rejected, in Chinese and English; or what is odd about it.
    pub remark: Option<String>,
}

/// A plot that can become a case.
struct Plot {
    record: u32,
    number: Option<String>,
    sha256: [u8; 32],
    attributes: Value,
    report: Report,
}

/// Cases are named after the plot, so that the same plot is the same case.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f6d_91b7_05ae_4c1f_8a53_e2b9_7c40_d816);

/// A field of a row, whatever its letters' case.
fn field<'a>(attributes: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = attributes.as_object()?;
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_string(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then(|| text.chars().take(MAX_NUMBER).collect())
}

fn date_of(value: &Value) -> Option<NaiveDate> {
    let text = text_of(value)?;
    let day = text.get(..10).unwrap_or(&text);
    ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(day, format).ok())
}

fn plot_of(
    feature: DraftFeature,
    options: &SuspectOptions,
    now: DateTime<Utc>,
) -> Result<Plot, (u32, String)> {
    let position = representative_point(&feature.geometry)
        .ok_or((feature.record, "没有内部点 / it has no inside".to_string()))?;
    let number = match options.number_field {
        Some(_) => Some(feature.code.clone()),
        None => {
            NUMBER_FIELDS.iter().find_map(|name| field(&feature.attributes, name).and_then(text_of))
        }
    };
    let sha256 = geometry_digest(&feature.geometry);
    let key = number.clone().unwrap_or_else(|| hex::encode(sha256));
    let [before, after] =
        IMAGE_FIELDS.map(|name| field(&feature.attributes, name).and_then(date_of));
    let seen = after
        .and_then(|day| Shanghai.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest())
        .map(|time| time.with_timezone(&Utc))
        .filter(|time| *time <= now);
    let mut description = String::from("卫片疑似图斑");
    if let Some(number) = &number {
        description.push_str(&format!(" {number}"));
    }
    for (name, day) in [("前时相", before), ("后时相", after)] {
        if let Some(day) = day {
            description.push_str(&format!("，{name} {day}"));
        }
    }
    let report = Report {
        id: Uuid::new_v5(&NAMESPACE, key.as_bytes()),
        source: "satellite".into(),
        patrol_kind: None,
        nature: options.nature,
        use_: None,
        party_name: None,
        party_id_number: None,
        party_is_cadre: false,
        area_m2: Some(feature.surveyed_area_m2.unwrap_or(feature.area_m2)),
        storeys: None,
        new_build: Some(true),
        description: Some(description),
        input: (position.x, position.y, "cgcs2000".into()),
        position,
        accuracy_m: None,
        mocked: false,
        footprint: Some(feature.geometry),
        observed_at: seen.unwrap_or(now),
        reporter: options.by,
    };
    Ok(Plot { record: feature.record, number, sha256, attributes: feature.attributes, report })
}

/// Plots that are cases already, by number and by outline.
struct Known {
    by_number: HashMap<String, (Uuid, Vec<u8>)>,
    by_outline: HashMap<Vec<u8>, Uuid>,
    numbers_of_cases: HashMap<Uuid, String>,
}

impl Known {
    fn of(conn: &mut PgConnection, plots: &[Plot]) -> Result<Self> {
        use super::schema::cases::dsl;
        let numbers: Vec<&str> = plots.iter().filter_map(|p| p.number.as_deref()).collect();
        let outlines: Vec<&[u8]> = plots.iter().map(|plot| plot.sha256.as_slice()).collect();
        type Row = (Uuid, Option<String>, Vec<u8>, String);
        let found: Vec<Row> = suspects::table
            .inner_join(dsl::cases)
            .filter(
                suspects::plot_number
                    .eq_any(numbers)
                    .is_not_distinct_from(true)
                    .or(suspects::geometry_sha256.eq_any(outlines)),
            )
            .select((
                suspects::case_id,
                suspects::plot_number,
                suspects::geometry_sha256,
                dsl::number,
            ))
            .load(conn)?;
        let mut known = Self {
            by_number: HashMap::new(),
            by_outline: HashMap::new(),
            numbers_of_cases: HashMap::new(),
        };
        for (case, number, outline, case_number) in found {
            known.numbers_of_cases.insert(case, case_number);
            if let Some(number) = number {
                known.by_number.insert(number, (case, outline.clone()));
            }
            known.by_outline.insert(outline, case);
        }
        Ok(known)
    }

    /// The case of a plot, and what is odd about it.
    fn case_of(&self, plot: &Plot) -> Option<(Uuid, Option<&'static str>)> {
        let by_number = plot.number.as_ref().and_then(|number| self.by_number.get(number));
        if let Some((case, outline)) = by_number {
            let moved = (outline[..] != plot.sha256).then_some(
                "编号已有案件，但图形不同 / the number has a case, with another outline",
            );
            return Some((*case, moved));
        }
        let case = self.by_outline.get(plot.sha256.as_slice())?;
        Some((
            *case,
            Some("图形已有案件，但编号不同 / the outline has a case, under another number"),
        ))
    }
}

/// Imports a file: every plot that is new becomes a case.
pub fn import(
    store: &Store,
    world: &World,
    path: &Path,
    options: &SuspectOptions,
    now: DateTime<Utc>,
) -> Result<SuspectReport> {
    if let Some(first) = first_report(&mut *store.conn()?, options.id)? {
        return Ok(first);
    }
    let layer = LayerInfo {
        name: "suspected".into(),
        kind: LayerKind::Overlay,
        title_zh: "疑似图斑".into(),
        title_en: "Suspected plots".into(),
    };
    let read_options = ReadOptions {
        source_layer: options.source_layer.clone(),
        crs: options.crs.clone(),
        encoding: options.encoding.clone(),
        code_field: options.number_field.clone(),
        filter: options.filter.clone(),
        ..ReadOptions::default()
    };
    let draft = read(path, &layer, &read_options, &world.atlas.load(), &|_| ())?;
    if draft.features.len() > MAX_PLOTS {
        return Err(Fault::new(
            crate::error::FaultKind::TooLarge,
            "too_large",
            format!("一次最多导入 {MAX_PLOTS} 个图斑"),
            format!("At most {MAX_PLOTS} plots can be imported at once"),
        ));
    }
    let mut rows: Vec<SuspectRow> = draft
        .report
        .rejected
        .iter()
        .map(|rejected| rejected_row(rejected.record, None, rejected.reason.clone()))
        .collect();
    let mut plots = Vec::with_capacity(draft.features.len());
    let (mut numbers, mut outlines) = (HashSet::new(), HashSet::new());
    for feature in draft.features {
        match plot_of(feature, options, now) {
            Err((record, reason)) => rows.push(rejected_row(record, None, reason)),
            Ok(plot) => {
                let again = plot.number.as_ref().is_some_and(|n| !numbers.insert(n.clone()))
                    | !outlines.insert(plot.sha256);
                if again {
                    let reason =
                        "文件中编号或图形重复 / its number or outline comes twice in the file";
                    rows.push(rejected_row(plot.record, plot.number, reason.into()));
                } else {
                    plots.push(plot);
                }
            }
        }
    }
    let report = SuspectReport {
        import_id: options.id,
        dry_run: options.dry_run,
        crs: draft.report.crs.clone(),
        encoding: draft.report.encoding.clone(),
        rows,
        ..SuspectReport::default()
    };
    // Takes seconds after a publish: not while the boundaries are held.
    world.land.overlay(&world.atlas.load());
    store.transaction(|conn| keep(conn, world, &plots, &report, options, now))
}

fn rejected_row(record: u32, plot_number: Option<String>, reason: String) -> SuspectRow {
    SuspectRow {
        record,
        plot_number,
        outcome: "rejected".into(),
        case_id: None,
        case_number: None,
        remark: Some(reason),
    }
}

fn first_report(conn: &mut PgConnection, id: Uuid) -> Result<Option<SuspectReport>> {
    let found: Option<Value> =
        suspect_imports::table.find(id).select(suspect_imports::report).first(conn).optional()?;
    found.map(|report| serde_json::from_value(report).map_err(Fault::internal)).transpose()
}

fn keep(
    conn: &mut PgConnection,
    world: &World,
    plots: &[Plot],
    read: &SuspectReport,
    options: &SuspectOptions,
    now: DateTime<Utc>,
) -> Result<SuspectReport> {
    // Two imports at once: the second sees what the first made.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('suspects', 17))")
        .execute(conn)?;
    if let Some(first) = first_report(conn, options.id)? {
        return Ok(first);
    }
    let atlas = current_atlas(conn, world)?;
    let known = Known::of(conn, plots)?;
    let mut report = read.clone();
    let mut new = Vec::new();
    for plot in plots {
        match known.case_of(plot) {
            Some((case, remark)) => report.rows.push(SuspectRow {
                record: plot.record,
                plot_number: plot.number.clone(),
                outcome: "existing".into(),
                case_id: Some(case),
                case_number: known.numbers_of_cases.get(&case).cloned(),
                remark: remark.map(String::from),
            }),
            None => new.push(plot),
        }
    }
    // Made once and before: whoever made it among the others would wait for them.
    let land = world.land.overlay(&atlas);
    let mut rows: Vec<CaseRow> = new
        .par_iter()
        .map(|plot| case_of(plot, world, &atlas, &land, now))
        .collect::<Result<_>>()?;
    if !options.dry_run {
        give_numbers(conn, &atlas, &mut rows)?;
        let events: Vec<EventRow> =
            rows.iter().zip(&new).flat_map(|(row, plot)| events_of(row, plot, now)).collect();
        let footprints: Vec<(Uuid, MultiPolygon)> = new
            .iter()
            .filter_map(|plot| Some((plot.report.id, plot.report.footprint.clone()?)))
            .collect();
        cases::insert(conn, &rows, &footprints, &events)?;
    }
    for (row, plot) in rows.iter().zip(&new) {
        let is_case = !options.dry_run;
        report.rows.push(SuspectRow {
            record: plot.record,
            plot_number: plot.number.clone(),
            outcome: "created".into(),
            case_id: is_case.then_some(row.id),
            case_number: is_case.then(|| row.number.clone()),
            remark: None,
        });
    }
    report.rows.sort_by_key(|row| row.record);
    let count = |outcome: &str| report.rows.iter().filter(|row| row.outcome == outcome).count();
    (report.created, report.existing, report.rejected) =
        (count("created"), count("existing"), count("rejected"));
    report.read = report.rows.len();
    if !options.dry_run {
        remember(conn, &new, &report, options)?;
        for row in &rows {
            tell(conn, row)?;
        }
        notify::notify(conn, "cases")?;
    }
    Ok(report)
}

fn case_of(
    plot: &Plot,
    world: &World,
    atlas: &Arc<Atlas>,
    land: &LandOverlay,
    now: DateTime<Utc>,
) -> Result<CaseRow> {
    let report = &plot.report;
    let settings = world.settings.load();
    let siting = intake::site(
        atlas,
        &world.roster.load(),
        report.position,
        None,
        report.nature,
        settings.nearest_within_m,
    );
    let overlay = match &report.footprint {
        Some(footprint) => Some(land.cover(footprint)?.by_category),
        None => None,
    };
    let areas = intake::areas(siting.category, overlay, report.area_m2);
    let mut row = new_row(report, &siting, &areas, atlas, now);
    workflow::set_first_deadlines(&mut row, &settings)?;
    let found = alarms(&areas, EarlierTakings::default(), settings.thresholds_at(now));
    row.alarms = serde_json::to_value(found).map_err(Fault::internal)?;
    Ok(row)
}

fn events_of(row: &CaseRow, plot: &Plot, now: DateTime<Utc>) -> [EventRow; 2] {
    let event = |seq, action: &str, data: Value| EventRow {
        case_id: row.id,
        seq,
        id: Uuid::new_v4(),
        action: action.into(),
        actor_id: plot.report.reporter.filter(|_| seq == 1),
        at: now,
        observed_at: (seq == 1).then_some(plot.report.observed_at),
        // Nobody was there: the position is the plot's, not a person's.
        lon: None,
        lat: None,
        accuracy_m: None,
        mocked: None,
        text: plot.report.description.clone().filter(|_| seq == 1),
        attachments: Vec::new(),
        data,
    };
    let report = json!({"source": row.source, "nature": row.nature, "area_m2": row.area_m2,
        "plot_number": plot.number, "plot": plot.attributes});
    let dispatch = json!({"to": row.assignee_id, "found_by": row.found_by, "placed": row.placed,
        "place": row.place});
    [event(1, "report", report), event(2, "dispatch", dispatch)]
}

fn remember(
    conn: &mut PgConnection,
    new: &[&Plot],
    report: &SuspectReport,
    options: &SuspectOptions,
) -> Result<()> {
    diesel::insert_into(suspect_imports::table)
        .values((
            suspect_imports::id.eq(options.id),
            suspect_imports::file_name.eq(&options.file_name),
            suspect_imports::created_by.eq(options.by),
            suspect_imports::report.eq(serde_json::to_value(report).map_err(Fault::internal)?),
        ))
        .execute(conn)?;
    let rows: Vec<_> = new
        .iter()
        .map(|plot| {
            (
                suspects::case_id.eq(plot.report.id),
                suspects::import_id.eq(options.id),
                suspects::plot_number.eq(plot.number.as_deref()),
                suspects::geometry_sha256.eq(plot.sha256.as_slice()),
                suspects::attributes.eq(&plot.attributes),
            )
        })
        .collect();
    for chunk in rows.chunks(5000) {
        diesel::insert_into(suspects::table).values(chunk.to_vec()).execute(conn)?;
    }
    Ok(())
}
