//! How planners want layers drawn; a layer without a row is drawn as usual.

use super::schema::{layer_styles, layers};
use crate::error::{Fault, Result};
use chrono::Utc;
use diesel::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The styles by layer.
pub fn all(conn: &mut PgConnection) -> Result<BTreeMap<String, Value>> {
    let rows: Vec<(String, Value)> =
        layer_styles::table.select((layer_styles::layer, layer_styles::style)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Sets a layer's style, or forgets it with `None`; returns what it was.
pub fn set(
    conn: &mut PgConnection,
    layer: &str,
    style: Option<&Value>,
    by: Uuid,
) -> Result<Option<Value>> {
    let known: i64 = layers::table.filter(layers::name.eq(layer)).count().get_result(conn)?;
    if known == 0 {
        return Err(Fault::not_found("没有这个图层", "There is no such layer"));
    }
    let before = layer_styles::table
        .find(layer)
        .select(layer_styles::style)
        .for_update()
        .first(conn)
        .optional()?;
    match style {
        None => {
            diesel::delete(layer_styles::table.find(layer)).execute(conn)?;
        }
        Some(style) => {
            let changed = (
                layer_styles::style.eq(style),
                layer_styles::changed_by.eq(by),
                layer_styles::changed_at.eq(Utc::now()),
            );
            diesel::insert_into(layer_styles::table)
                .values((layer_styles::layer.eq(layer), changed))
                .on_conflict(layer_styles::layer)
                .do_update()
                .set(changed)
                .execute(conn)?;
        }
    }
    Ok(before)
}
