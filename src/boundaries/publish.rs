//! A draft in the store: kept, put into force in one transaction, or thrown away.
//!
//! What a publish does not change keeps its row, so the history costs only what changed. A draft
//! that nobody works on any more — its process was killed — is marked failed by the next one.

use super::check;
use super::draft::{Draft, DraftFeature};
use super::fields::needs_code;
use super::read::AreaTest;
use super::report::{Report, refusal};
use super::{ReadOptions, StoredOptions, refuse};
use crate::atlas::feature::{Feature, LayerInfo};
use crate::atlas::layer::Layer;
use crate::atlas::lookup::Atlas;
use crate::error::{Fault, FaultKind, Result};
use crate::store::audit::{self, Entry};
use crate::store::features::{self as stored, NewFeature};
use crate::store::people::By;
use crate::store::schema::{features, generations, imports};
use crate::store::{Store, notify};
use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Uuid as SqlUuid};
use rayon::prelude::*;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Rows of one COPY: bounds the memory beside the draft itself.
const ROWS_PER_COPY: usize = 4_096;
/// Key of the lock that one publish at a time holds.
pub const PUBLISH_LOCK: i64 = 0x7875_6e63_6861_0002;
/// First key of the locks of imports being read; the second is from the import's id.
const READING_LOCK: i32 = 0x7875_6e63;

/// Moves open cases to who answers for them now, within the publish's transaction, and counts
/// those that changed hands. Is given the atlas as it will be.
pub type Reassign<'a> = &'a mut dyn FnMut(&mut PgConnection, &Atlas) -> Result<u32>;

/// An import being read. While it lives, a lock in the store says so.
pub struct Reading {
    pub id: Uuid,
    store: Store,
    _lock: PgConnection,
}

fn lock_key(id: Uuid) -> i32 {
    let b = id.as_bytes();
    i32::from_be_bytes([b[12], b[13], b[14], b[15]])
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

fn try_reading_lock(conn: &mut PgConnection, id: Uuid) -> Result<bool> {
    let row: Locked = diesel::sql_query("SELECT pg_try_advisory_lock($1, $2) AS locked")
        .bind::<Integer, _>(READING_LOCK)
        .bind::<Integer, _>(lock_key(id))
        .get_result(conn)?;
    Ok(row.locked)
}

/// Begins an import, in state `reading`.
pub fn begin(
    store: &Store,
    layer: &str,
    file_name: &str,
    options: &ReadOptions,
    created_by: Option<Uuid>,
) -> Result<Reading> {
    let id = Uuid::now_v7();
    let mut lock = store.own_conn()?;
    if !try_reading_lock(&mut lock, id)? {
        return Err(Fault::internal("the lock of a new import is taken"));
    }
    let options = serde_json::to_value(StoredOptions::from(options)).map_err(Fault::internal)?;
    store.transaction(|conn| {
        diesel::insert_into(imports::table)
            .values((
                imports::id.eq(id),
                imports::layer.eq(layer),
                imports::file_name.eq(file_name),
                imports::options.eq(&options),
                imports::state.eq("reading"),
                imports::created_by.eq(created_by),
            ))
            .execute(conn)?;
        notify::notify(conn, "imports")
    })?;
    Ok(Reading { id, store: store.clone(), _lock: lock })
}

impl Reading {
    /// Tells followers how far it is, 0 to 1.
    pub fn progress(&self, share: f32) -> Result<()> {
        self.store.transaction(|conn| {
            diesel::update(imports::table.find(self.id))
                .set(imports::progress.eq(share.clamp(0.0, 1.0)))
                .execute(conn)?;
            notify::notify(conn, "imports")
        })
    }

    /// Keeps the draft, state `ready`. All of it is visible or nothing.
    pub fn finish(self, draft: &mut Draft, base_generation: u64) -> Result<()> {
        draft.report.import_id = Some(self.id);
        let report = serde_json::to_value(&draft.report).map_err(Fault::internal)?;
        let draft: &Draft = draft;
        self.store.transaction(|conn| {
            for chunk in draft.features.chunks(ROWS_PER_COPY) {
                let row = |feature: &DraftFeature| row(feature, &draft.layer.name, self.id);
                let rows: Vec<NewFeature> = chunk.par_iter().map(row).collect::<Result<_>>()?;
                stored::copy_drafts(conn, &rows)?;
            }
            diesel::update(imports::table.find(self.id))
                .set((
                    imports::state.eq("ready"),
                    imports::progress.eq(1.0),
                    imports::report.eq(&report),
                    imports::base_generation.eq(to_i64(base_generation)?),
                    imports::area_code.eq(&draft.area),
                    imports::finished_at.eq(Utc::now()),
                ))
                .execute(conn)?;
            notify::notify(conn, "imports")
        })
    }

    /// Marks it failed, with the reason.
    pub fn fail(self, fault: &Fault) -> Result<()> {
        let report = refusal(fault);
        self.store.transaction(|conn| mark_failed(conn, self.id, &report))
    }
}

fn mark_failed(conn: &mut PgConnection, id: Uuid, report: &serde_json::Value) -> Result<()> {
    diesel::update(imports::table.find(id))
        .set((
            imports::state.eq("failed"),
            imports::report.eq(report),
            imports::finished_at.eq(Utc::now()),
        ))
        .execute(conn)?;
    notify::notify(conn, "imports")
}

fn to_i64(generation: u64) -> Result<i64> {
    i64::try_from(generation).map_err(Fault::internal)
}

fn row(feature: &DraftFeature, layer: &str, import_id: Uuid) -> Result<NewFeature> {
    Ok(NewFeature {
        layer: layer.to_string(),
        import_id,
        record: i32::try_from(feature.record).map_err(Fault::internal)?,
        code: feature.code.clone(),
        name: feature.name.clone(),
        class_code: feature.class_code.clone(),
        class_name: feature.class_name.clone(),
        parent_code: feature.parent_code.clone(),
        area_m2: feature.area_m2,
        surveyed_area_m2: feature.surveyed_area_m2,
        attributes: feature.attributes.clone(),
        content_hash: feature.content_hash,
        geom: stored::geom(&feature.geometry),
    })
}

/// Marks imports failed whose process has gone; call it at the start of a service. Returns how many.
pub fn clear_interrupted(store: &Store) -> Result<usize> {
    let mut conn = store.own_conn()?;
    let reading: Vec<Uuid> =
        imports::table.filter(imports::state.eq("reading")).select(imports::id).load(&mut conn)?;
    let interrupted = Fault::new(
        FaultKind::Internal,
        "interrupted",
        "导入过程被中断，请重新导入",
        "The import was interrupted; import the file again",
    );
    let mut cleared = 0;
    for id in reading {
        if try_reading_lock(&mut conn, id)? {
            conn.transaction::<_, Fault, _>(|conn| mark_failed(conn, id, &refusal(&interrupted)))?;
            cleared += 1;
        }
    }
    // The locks go with the connection.
    Ok(cleared)
}

#[derive(Queryable)]
struct Import {
    layer: String,
    state: String,
    report: Option<serde_json::Value>,
    base_generation: Option<i64>,
    area_code: Option<String>,
}

fn find(conn: &mut PgConnection, id: Uuid) -> Result<Import> {
    imports::table
        .find(id)
        .select((
            imports::layer,
            imports::state,
            imports::report,
            imports::base_generation,
            imports::area_code,
        ))
        .for_update()
        .first(conn)
        .optional()?
        .ok_or_else(|| Fault::not_found("没有这次导入", "There is no such import"))
}

fn wrong_state(state: &str) -> Fault {
    Fault::new(
        FaultKind::Conflict,
        "wrong_state",
        format!("导入处于 {state} 状态，不能这样操作"),
        format!("The import is {state}; this cannot be done to it now"),
    )
}

/// Throws a draft away, with its rows.
pub fn discard(store: &Store, id: Uuid, by: &By) -> Result<()> {
    store.transaction(|conn| {
        let import = find(conn, id)?;
        if !matches!(import.state.as_str(), "ready" | "failed") {
            return Err(wrong_state(&import.state));
        }
        diesel::delete(
            features::table
                .filter(features::import_id.eq(id))
                .filter(features::valid_from.is_null()),
        )
        .execute(conn)?;
        diesel::update(imports::table.find(id))
            .set((imports::state.eq("discarded"), imports::finished_at.eq(Utc::now())))
            .execute(conn)?;
        let entry = Entry {
            before: Some(json!({"layer": import.layer, "state": import.state})),
            ..by.entry("boundaries.discard", format!("import:{id}"))
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "imports")
    })
}

/// How to publish.
#[derive(Debug, Clone, Copy, Default)]
pub struct PublishOptions {
    /// Leave out what was rejected.
    pub accept_rejected: bool,
    pub published_by: Option<Uuid>,
    /// The address it was asked from.
    pub from: Option<IpAddr>,
}

/// Puts a draft into force: one transaction, one at a time. Returns the report as it now is, and
/// the new generation.
pub fn publish(
    store: &Store,
    id: Uuid,
    options: PublishOptions,
    reassign: Reassign,
) -> Result<(Report, u64)> {
    // Outside the transaction, which may run several times: another publish in between is noticed.
    let mut atlas = stored::load_atlas(&mut *store.conn()?)?;
    loop {
        let done = store.transaction(|conn| {
            one_at_a_time(conn)?;
            let in_force = newest_generation(conn)?;
            if in_force != to_i64(atlas.generation())? {
                return Ok(None);
            }
            put_into_force(conn, id, options, &atlas, reassign).map(Some)
        })?;
        match done {
            Some(done) => return Ok(done),
            None => atlas = stored::load_atlas(&mut *store.conn()?)?,
        }
    }
}

fn one_at_a_time(conn: &mut PgConnection) -> Result<()> {
    let row: Locked = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(PUBLISH_LOCK)
        .get_result(conn)?;
    if row.locked {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Conflict,
        "publish_running",
        "另一次发布正在进行，请稍后再试",
        "Another publish is running; try again when it is done",
    ))
}

fn newest_generation(conn: &mut PgConnection) -> Result<i64> {
    let newest: Option<i64> =
        generations::table.select(diesel::dsl::max(generations::generation)).first(conn)?;
    Ok(newest.unwrap_or(0))
}

fn put_into_force(
    conn: &mut PgConnection,
    id: Uuid,
    options: PublishOptions,
    atlas: &Atlas,
    reassign: Reassign,
) -> Result<(Report, u64)> {
    let import = find(conn, id)?;
    if import.state != "ready" {
        return Err(wrong_state(&import.state));
    }
    let mut report: Report = serde_json::from_value(import.report.clone().unwrap_or_default())
        .map_err(Fault::internal)?;
    if import.base_generation != Some(to_i64(atlas.generation())?) {
        report = check_again(conn, id, &import, report, atlas)?;
    }
    refuse_unfit(&report, options)?;

    let generation = atlas.generation() + 1;
    let replaced = replaced_rows(&import, atlas)?;
    let counts = compare(conn, id, &import.layer, replaced.as_deref())?;
    report.changes.added = counts.added.max(0) as u32;
    report.changes.removed = counts.removed.max(0) as u32;
    report.changes.moved = counts.moved.max(0) as u32;
    notify::change_boundaries(conn)?;
    diesel::insert_into(generations::table)
        .values((
            generations::generation.eq(to_i64(generation)?),
            generations::layer.eq(&import.layer),
            generations::import_id.eq(id),
            generations::published_by.eq(options.published_by),
            generations::added.eq(counts.added as i32),
            generations::removed.eq(counts.removed as i32),
            generations::moved.eq(counts.moved as i32),
        ))
        .execute(conn)?;
    swap(conn, id, to_i64(generation)?)?;
    // Only areas decide who answers; what land cases stand on does not.
    if needs_code(&import.layer) && has_cases(conn)? {
        let info = stored::layer_infos(conn)?
            .into_iter()
            .find(|info| info.name == import.layer)
            .ok_or_else(|| Fault::internal("layer vanished"))?;
        let layer = Layer::new(info, generation, stored::load_features(conn, &import.layer)?);
        let after = atlas.with_layers(generation, [Arc::new(layer)]);
        report.changes.cases_reassigned = reassign(conn, &after)?;
    }
    report.published = true;
    diesel::update(imports::table.find(id))
        .set((
            imports::state.eq("published"),
            imports::report.eq(serde_json::to_value(&report).map_err(Fault::internal)?),
            imports::finished_at.eq(Utc::now()),
        ))
        .execute(conn)?;
    let by = By { actor: options.published_by, from: options.from, ..By::command() };
    let entry = Entry {
        before: Some(json!({"generation": atlas.generation()})),
        after: Some(json!({
            "generation": generation, "layer": import.layer, "changes": report.changes,
        })),
        ..by.entry("boundaries.publish", format!("import:{id}"))
    };
    audit::record(conn, &entry)?;
    notify::notify(conn, "boundaries")?;
    notify::notify(conn, "imports")?;
    Ok((report, generation))
}

fn refuse_unfit(report: &Report, options: PublishOptions) -> Result<()> {
    let rejected = report.rejected.len();
    if rejected > 0 && !options.accept_rejected {
        return Err(refuse(
            "rejected_records",
            format!("有 {rejected} 条记录被拒绝，确认放弃它们后才能发布（--accept-rejected）"),
            format!(
                "{rejected} records were rejected; publish with --accept-rejected to leave them out"
            ),
        ));
    }
    if report.accepted == 0 {
        return Err(refuse("empty", "没有可发布的图形", "There is nothing to publish"));
    }
    if needs_code(&report.layer) && !report.duplicate_codes.is_empty() {
        let codes: Vec<&str> =
            report.duplicate_codes.iter().take(10).map(|d| d.code.as_str()).collect();
        let codes = codes.join(", ");
        return Err(refuse(
            "duplicate_codes",
            format!("代码重复，不能发布：{codes}"),
            format!("Codes occur more than once: {codes}"),
        ));
    }
    Ok(())
}

/// The report of a draft that was checked against what is no longer in force.
fn check_again(
    conn: &mut PgConnection,
    id: Uuid,
    import: &Import,
    report: Report,
    atlas: &Atlas,
) -> Result<Report> {
    let infos = stored::layer_infos(conn)?;
    let layer = infos
        .into_iter()
        .find(|info| info.name == import.layer)
        .ok_or_else(|| Fault::internal("layer vanished"))?;
    let mut draft = load_draft(conn, id, layer, import.area_code.clone(), report)?;
    check::check(&mut draft, atlas);
    Ok(draft.report)
}

#[derive(Queryable)]
struct RecordAndHash {
    id: i64,
    record: i32,
    content_hash: i64,
}

fn load_draft(
    conn: &mut PgConnection,
    id: Uuid,
    layer: LayerInfo,
    area: Option<String>,
    report: Report,
) -> Result<Draft> {
    let keys: Vec<RecordAndHash> = features::table
        .filter(features::import_id.eq(id))
        .select((features::id, features::record, features::content_hash))
        .load(conn)?;
    let keys: std::collections::HashMap<i64, RecordAndHash> =
        keys.into_iter().map(|k| (k.id, k)).collect();
    let rows: Vec<Feature> = stored::of_import(conn, id)?;
    let features = rows
        .into_iter()
        .filter_map(|f| {
            let key = keys.get(&f.id)?;
            Some(DraftFeature {
                record: u32::try_from(key.record).ok()?,
                code: f.code,
                name: f.name,
                class_code: f.class_code,
                class_name: f.class_name,
                parent_code: f.parent_code,
                area_m2: f.area_m2,
                surveyed_area_m2: f.surveyed_area_m2,
                attributes: f.attributes,
                content_hash: key.content_hash,
                geometry: f.geometry,
            })
        })
        .collect();
    Ok(Draft { layer, area, report, features })
}

/// The rows in force that a draft of one area replaces; `None` for all of the layer's.
fn replaced_rows(import: &Import, atlas: &Atlas) -> Result<Option<Vec<i64>>> {
    let Some(code) = &import.area_code else { return Ok(None) };
    let within = AreaTest::new(code, atlas)?;
    let rows = atlas.layer(&import.layer).map(|layer| {
        layer.features().iter().filter(|f| within.holds(&f.geometry)).map(|f| f.id).collect()
    });
    Ok(Some(rows.unwrap_or_default()))
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    added: i64,
    #[diesel(sql_type = BigInt)]
    removed: i64,
    #[diesel(sql_type = BigInt)]
    moved: i64,
}

/// Pairs old and new rows of the same content, and counts the rest.
fn compare(
    conn: &mut PgConnection,
    id: Uuid,
    layer: &str,
    replaced: Option<&[i64]>,
) -> Result<Counts> {
    conn.batch_execute(
        "CREATE TEMP TABLE old_rows (id bigint, code text, content_hash bigint, n bigint) ON COMMIT DROP;
         CREATE TEMP TABLE new_rows (id bigint, code text, content_hash bigint, n bigint) ON COMMIT DROP;
         CREATE TEMP TABLE same_rows (old_id bigint, new_id bigint) ON COMMIT DROP;",
    )?;
    diesel::sql_query(
        "INSERT INTO old_rows
         SELECT id, code, content_hash, row_number() OVER (PARTITION BY code, content_hash ORDER BY id)
         FROM features WHERE layer = $1 AND valid_from IS NOT NULL AND valid_to IS NULL
           AND ($2 OR id = ANY($3))",
    )
    .bind::<Text, _>(layer)
    .bind::<Bool, _>(replaced.is_none())
    .bind::<Array<BigInt>, _>(replaced.unwrap_or_default())
    .execute(conn)?;
    diesel::sql_query(
        "INSERT INTO new_rows
         SELECT id, code, content_hash, row_number() OVER (PARTITION BY code, content_hash ORDER BY id)
         FROM features WHERE import_id = $1 AND valid_from IS NULL",
    )
    .bind::<SqlUuid, _>(id)
    .execute(conn)?;
    conn.batch_execute(
        "ANALYZE old_rows; ANALYZE new_rows;
         INSERT INTO same_rows SELECT o.id, n.id FROM old_rows o JOIN new_rows n USING (code, content_hash, n);
         DELETE FROM old_rows WHERE id IN (SELECT old_id FROM same_rows);
         DELETE FROM new_rows WHERE id IN (SELECT new_id FROM same_rows);
         ANALYZE old_rows; ANALYZE new_rows;",
    )?;
    let counts = diesel::sql_query(
        "SELECT (SELECT count(*) FROM new_rows n WHERE NOT EXISTS (SELECT FROM old_rows o WHERE o.code = n.code)) AS added,
                (SELECT count(*) FROM old_rows o WHERE NOT EXISTS (SELECT FROM new_rows n WHERE o.code = n.code)) AS removed,
                (SELECT count(DISTINCT n.id) FROM new_rows n JOIN old_rows o USING (code)
                   JOIN features f ON f.id = n.id JOIN features g ON g.id = o.id
                   WHERE NOT ST_OrderingEquals(f.geom, g.geom)) AS moved",
    )
    .get_result(conn)?;
    Ok(counts)
}

/// Ends what changed or went, begins what changed or came, and forgets copies of what stayed.
fn swap(conn: &mut PgConnection, id: Uuid, generation: i64) -> Result<()> {
    diesel::sql_query("UPDATE features f SET valid_to = $1 FROM old_rows o WHERE f.id = o.id")
        .bind::<BigInt, _>(generation)
        .execute(conn)?;
    diesel::sql_query("DELETE FROM features f USING same_rows s WHERE f.id = s.new_id")
        .execute(conn)?;
    diesel::sql_query(
        "UPDATE features SET valid_from = $1 WHERE import_id = $2 AND valid_from IS NULL",
    )
    .bind::<BigInt, _>(generation)
    .bind::<SqlUuid, _>(id)
    .execute(conn)?;
    Ok(())
}

fn has_cases(conn: &mut PgConnection) -> Result<bool> {
    use crate::store::schema::cases;
    Ok(diesel::select(diesel::dsl::exists(cases::table.select(cases::id))).get_result(conn)?)
}

/// The import as the API shows it: the report, its state and progress.
pub fn show(conn: &mut PgConnection, id: Uuid) -> Result<serde_json::Value> {
    let found: Option<(String, String, f32, Option<serde_json::Value>, String)> = imports::table
        .find(id)
        .select((
            imports::layer,
            imports::state,
            imports::progress,
            imports::report,
            imports::file_name,
        ))
        .first(conn)
        .optional()?;
    let Some((layer, state, progress, report, file_name)) = found else {
        return Err(Fault::not_found("没有这次导入", "There is no such import"));
    };
    let mut shown = report.filter(serde_json::Value::is_object).unwrap_or_else(|| json!({}));
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("import_id".into(), json!(id));
        fields.entry("layer").or_insert(json!(layer));
        fields.insert("file_name".into(), json!(file_name));
        fields.insert("state".into(), json!(state));
        fields.insert("progress".into(), json!(progress));
    }
    Ok(shown)
}

/// The newest imports, without their findings.
pub fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<serde_json::Value>> {
    type Time = chrono::DateTime<Utc>;
    type Row = (Uuid, String, String, String, f32, Option<Uuid>, Time, Option<Time>);
    let rows: Vec<Row> = imports::table
        .order((imports::created_at.desc(), imports::id.desc()))
        .limit(limit)
        .select((
            imports::id,
            imports::layer,
            imports::file_name,
            imports::state,
            imports::progress,
            imports::created_by,
            imports::created_at,
            imports::finished_at,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, layer, file_name, state, progress, created_by, created_at, finished_at)| {
            json!({"import_id": id, "layer": layer, "file_name": file_name, "state": state,
                "progress": progress, "created_by": created_by, "created_at": created_at,
                "finished_at": finished_at})
        })
        .collect())
}
