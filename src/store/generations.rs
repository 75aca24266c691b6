//! The versions of the boundaries that were put into force.

use super::schema::{generations, imports, layers, people};
use crate::error::{Fault, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;
use uuid::Uuid;

/// A version of one layer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Generation {
    pub generation: i64,
    pub layer: String,
    pub title_zh: String,
    pub title_en: String,
    pub published_at: DateTime<Utc>,
    /// Who published it, by name.
    pub published_by: Option<String>,
    pub import_id: Uuid,
    pub file_name: String,
    /// Codes that came, went, or got another outline with it.
    pub added: i32,
    pub removed: i32,
    pub moved: i32,
    /// How many features the layer had with it.
    pub features: i64,
    /// The one in force.
    pub current: bool,
    /// Whether it can be brought back as a draft.
    pub can_roll_back: bool,
}

type Row =
    (i64, String, String, String, DateTime<Utc>, Option<String>, Uuid, String, i32, i32, i32);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The versions before `before`, newest first; of all layers without `layer`.
pub fn list(
    conn: &mut PgConnection,
    layer: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Generation>> {
    let mut query = generations::table
        .inner_join(layers::table.on(generations::layer.eq(layers::name)))
        .inner_join(imports::table.on(generations::import_id.eq(imports::id)))
        .left_join(people::table.on(generations::published_by.eq(people::id.nullable())))
        .order(generations::generation.desc())
        .limit(limit)
        .select((
            generations::generation,
            generations::layer,
            layers::title_zh,
            layers::title_en,
            generations::published_at,
            people::name.nullable(),
            imports::id,
            imports::file_name,
            generations::added,
            generations::removed,
            generations::moved,
        ))
        .into_boxed();
    if let Some(layer) = layer {
        query = query.filter(generations::layer.eq(layer));
    }
    if let Some(before) = before {
        query = query.filter(generations::generation.lt(before));
    }
    let rows: Vec<Row> = query.load(conn)?;
    rows.into_iter()
        .map(|row| {
            let current = newest_of(conn, &row.1)? == Some(row.0);
            let features = count_at(conn, &row.1, row.0)?;
            Ok(Generation {
                generation: row.0,
                layer: row.1,
                title_zh: row.2,
                title_en: row.3,
                published_at: row.4,
                published_by: row.5,
                import_id: row.6,
                file_name: row.7,
                added: row.8,
                removed: row.9,
                moved: row.10,
                features,
                current,
                can_roll_back: !current && features > 0,
            })
        })
        .collect()
}

/// The layer that a version is of.
pub fn layer_of(conn: &mut PgConnection, generation: i64) -> Result<String> {
    generations::table
        .find(generation)
        .select(generations::layer)
        .first(conn)
        .optional()?
        .ok_or_else(|| Fault::not_found("没有这个版本", "There is no such version"))
}

/// The version of a layer in force.
pub fn newest_of(conn: &mut PgConnection, layer: &str) -> Result<Option<i64>> {
    Ok(generations::table
        .filter(generations::layer.eq(layer))
        .select(diesel::dsl::max(generations::generation))
        .first(conn)?)
}

fn count_at(conn: &mut PgConnection, layer: &str, generation: i64) -> Result<i64> {
    let count: Count = diesel::sql_query(
        "SELECT count(*) AS n FROM features
         WHERE layer = $1 AND valid_from <= $2 AND (valid_to IS NULL OR valid_to > $2)",
    )
    .bind::<Text, _>(layer)
    .bind::<BigInt, _>(generation)
    .get_result(conn)?;
    Ok(count.n)
}
