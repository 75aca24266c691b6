//! Boundary features: drafts in by `COPY`, layers in force out.

use super::geometry;
use super::schema::{features, generations, layers};
use crate::atlas::cell_index::file::{FromShelf, Shelf, Unusable};
use crate::atlas::cell_index::{CellIndex, Fineness};
use crate::atlas::feature::{Feature, LayerInfo, LayerKind};
use crate::atlas::layer::Layer;
use crate::atlas::lookup::Atlas;
use crate::error::{Fault, Result};
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use geo::MultiPolygon;
use postgis_diesel::types::{MultiPolygon as SqlMultiPolygon, Point};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// A feature of a draft, to be stored.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = features, treat_none_as_default_value = false)]
pub struct NewFeature {
    pub layer: String,
    pub import_id: Uuid,
    /// 1-based in the source.
    pub record: i32,
    pub code: String,
    pub name: Option<String>,
    pub class_code: Option<String>,
    pub class_name: Option<String>,
    pub parent_code: Option<String>,
    pub area_m2: f64,
    pub surveyed_area_m2: Option<f64>,
    pub attributes: Value,
    pub content_hash: i64,
    pub geom: SqlMultiPolygon<Point>,
}

/// Writes the features of a draft.
pub fn copy_drafts(conn: &mut PgConnection, drafts: &[NewFeature]) -> Result<usize> {
    Ok(diesel::copy_from(features::table).from_insertable(drafts).execute(conn)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = features)]
struct Row {
    id: i64,
    code: String,
    name: Option<String>,
    class_code: Option<String>,
    class_name: Option<String>,
    parent_code: Option<String>,
    area_m2: f64,
    surveyed_area_m2: Option<f64>,
    attributes: Value,
    geom: SqlMultiPolygon<Point>,
}

impl From<Row> for Feature {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            code: row.code,
            name: row.name,
            class_code: row.class_code,
            class_name: row.class_name,
            parent_code: row.parent_code,
            area_m2: row.area_m2,
            surveyed_area_m2: row.surveyed_area_m2,
            attributes: row.attributes,
            geometry: geometry::from_sql(&row.geom),
        }
    }
}

/// What the store knows of its layers, by name.
pub fn layer_infos(conn: &mut PgConnection) -> Result<Vec<LayerInfo>> {
    let rows: Vec<(String, String, String, String)> = layers::table
        .order(layers::name)
        .select((layers::name, layers::kind, layers::title_zh, layers::title_en))
        .load(conn)?;
    rows.into_iter()
        .map(|(name, kind, title_zh, title_en)| {
            let kind = match kind.as_str() {
                "partition" => LayerKind::Partition,
                "overlay" => LayerKind::Overlay,
                _ => return Err(Fault::internal("unknown layer kind in store")),
            };
            Ok(LayerInfo { name, kind, title_zh, title_en })
        })
        .collect()
}

/// Finds a layer, or makes a further overlay layer with this name as title.
pub fn layer_or_new_overlay(conn: &mut PgConnection, name: &str) -> Result<LayerInfo> {
    let usable = name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !["cases", "heat"].contains(&name);
    if !usable {
        return Err(Fault::invalid(
            format!(
                "图层名 {name:?} 不可用：以小写字母开头，只含小写字母、数字和下划线，最长 40 个字符"
            ),
            format!(
                "Layer name {name:?} cannot be used: lower-case letters, digits and _, at most 40"
            ),
        )
        .field("layer", "a lower-case name"));
    }
    diesel::insert_into(layers::table)
        .values((
            layers::name.eq(name),
            layers::kind.eq("overlay"),
            layers::title_zh.eq(name),
            layers::title_en.eq(name),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    layer_infos(conn)?
        .into_iter()
        .find(|info| info.name == name)
        .ok_or_else(|| Fault::internal("layer vanished"))
}

/// The layers that a publish changed since this atlas was made, and the generation in force.
pub fn load_changed(conn: &mut PgConnection, known: &Atlas) -> Result<(u64, Vec<Arc<Layer>>)> {
    // The generations and the features belong together: one snapshot, or a transaction that
    // already holds the boundaries in force.
    let depth = AnsiTransactionManager::transaction_manager_status_mut(conn).transaction_depth()?;
    if depth.is_some() {
        return read_changed(conn, known);
    }
    conn.build_transaction().repeatable_read().read_only().run(|conn| read_changed(conn, known))
}

fn read_changed(conn: &mut PgConnection, known: &Atlas) -> Result<(u64, Vec<Arc<Layer>>)> {
    let newest: HashMap<String, i64> = generations::table
        .group_by(generations::layer)
        .select((generations::layer, diesel::dsl::max(generations::generation)))
        .load::<(String, Option<i64>)>(conn)?
        .into_iter()
        .filter_map(|(layer, generation)| Some((layer, generation?)))
        .collect();
    let generation = newest.values().copied().max().unwrap_or(0);
    let mut changed = Vec::new();
    for info in layer_infos(conn)? {
        let Some(&layer_generation) = newest.get(&info.name) else { continue };
        let layer_generation = u64::try_from(layer_generation).unwrap_or(0);
        let in_memory = known.layer(&info.name).map(|layer| layer.generation());
        if in_memory.is_some_and(|generation| generation >= layer_generation) {
            continue;
        }
        let features = load_features(conn, &info.name)?;
        changed.push(Arc::new(Layer::with_index(info, layer_generation, features, kept_index)));
    }
    Ok((u64::try_from(generation).unwrap_or(0), changed))
}

/// Where the indices of large layers are kept from one start to the next.
static SHELF: OnceLock<Shelf> = OnceLock::new();

/// Features from which reading an index is worth more than building it.
const KEPT_FROM: usize = 20_000;

/// Keeps the indices of large layers in a folder of the data folder. Without it they are built at
/// every start.
pub fn keep_indices_in(data_dir: &Path) {
    let _ = SHELF.set(Shelf::new(data_dir.join("index")));
}

fn kept_index(info: &LayerInfo, features: &[Feature]) -> Option<CellIndex> {
    let shape = |i: usize| &features[i].geometry;
    let fineness = Fineness::default();
    let shelf = SHELF.get().filter(|_| features.len() >= KEPT_FROM);
    let Some(shelf) = shelf else { return CellIndex::build(features.len(), shape, &fineness) };
    let FromShelf { index, built_because, not_kept } =
        shelf.index(&info.name, features.len(), shape, &fineness);
    match built_because {
        None => tracing::debug!(layer = info.name, "index mapped from its file"),
        Some(why @ (Unusable::Missing | Unusable::Outdated)) => {
            tracing::debug!(layer = info.name, "index built: {why}");
        }
        Some(why) => tracing::warn!(layer = info.name, "index built: {why}"),
    }
    if let Some(error) = not_kept {
        tracing::warn!(layer = info.name, "index not kept: {error}");
    }
    index
}

/// The whole atlas in force.
pub fn load_atlas(conn: &mut PgConnection) -> Result<Atlas> {
    let empty = Atlas::default();
    let (generation, layers) = load_changed(conn, &empty)?;
    Ok(empty.with_layers(generation, layers))
}

/// The features of a layer in force.
pub fn load_features(conn: &mut PgConnection, layer: &str) -> Result<Vec<Feature>> {
    let rows: Vec<Row> = features::table
        .filter(features::layer.eq(layer))
        .filter(features::valid_from.is_not_null())
        .filter(features::valid_to.is_null())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_par_iter().map(Feature::from).collect())
}

/// The features of a layer that were in force with a generation, by code.
pub fn at_generation(
    conn: &mut PgConnection,
    layer: &str,
    generation: i64,
) -> Result<Vec<Feature>> {
    let rows: Vec<Row> = features::table
        .filter(features::layer.eq(layer))
        .filter(features::valid_from.le(generation))
        .filter(features::valid_to.is_null().or(features::valid_to.gt(generation)))
        .order((features::code, features::id))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_par_iter().map(Feature::from).collect())
}

/// The features of a draft or of any import, by record.
pub fn of_import(conn: &mut PgConnection, import_id: Uuid) -> Result<Vec<Feature>> {
    let rows: Vec<Row> = features::table
        .filter(features::import_id.eq(import_id))
        .order(features::record)
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_par_iter().map(Feature::from).collect())
}

/// The geometry of a feature, for the store.
pub fn geom(polygons: &MultiPolygon) -> SqlMultiPolygon<Point> {
    geometry::to_sql(polygons)
}
