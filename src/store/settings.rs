//! Settings in the store, with every value they ever had.

use super::schema::{people, settings, settings_history};
use super::{Store, notify};
use crate::enforcement::settings::{KEYS, Settings, Webhook};
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

/// All settings in force. A value that can no longer be read is left out, with a word in the log:
/// its default holds until somebody sets it again.
pub fn load(conn: &mut PgConnection) -> Result<Settings> {
    let rows: Vec<(String, Value)> =
        settings::table.select((settings::key, settings::value)).load(conn)?;
    let mut loaded = Settings::default();
    for (key, value) in rows.iter().filter(|(key, _)| KEYS.contains(&key.as_str())) {
        if let Err(fault) = loaded.set(key, value) {
            tracing::error!(key, %fault, "a setting cannot be read; its default holds");
        }
    }
    Ok(loaded)
}

/// A setting as kept: none where it was never set and the default holds.
#[derive(Debug, Clone, Queryable)]
pub struct Kept {
    pub value: Value,
    pub revision: i32,
    pub changed_at: DateTime<Utc>,
    pub changed_by: Option<Uuid>,
}

/// The kept value of a key.
pub fn find(conn: &mut PgConnection, key: &str) -> Result<Option<Kept>> {
    Ok(settings::table
        .find(key)
        .select((settings::value, settings::revision, settings::changed_at, settings::changed_by))
        .first(conn)
        .optional()?)
}

/// Who changes a setting, and why.
#[derive(Debug, Clone)]
pub struct Change {
    pub actor: Uuid,
    pub at: DateTime<Utc>,
    pub reason: Option<String>,
    /// The revision that was seen; another one since is a conflict. 0 where none was ever set.
    pub expected_revision: Option<i32>,
}

/// Sets a value after checking it; gives the revision. The same value again changes nothing.
/// `within` runs in the same transaction with the value before (for the audit).
pub fn set(
    store: &Store,
    key: &str,
    value: &Value,
    change: &Change,
    within: impl Fn(&mut PgConnection, &Value, &Value) -> Result<()>,
) -> Result<Kept> {
    store.transaction(|conn| {
        // One writer at a time; also for a key that has no row yet.
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 3))")
            .bind::<diesel::sql_types::Text, _>(key)
            .execute(conn)?;
        let before = find(conn, key)?;
        let mut whole = load(conn)?;
        let old = whole
            .value(key)
            .ok_or_else(|| Fault::not_found("没有这个设置项", "There is no such setting"))?;
        let mut value = value.clone();
        if key == "webhook" && value["secret"] == Webhook::KEPT {
            value["secret"] = old["secret"].clone();
        }
        whole.set(key, &value)?;
        // As it is understood: defaults filled in.
        let value = whole.value(key).unwrap_or(value);
        let revision = before.as_ref().map_or(0, |kept| kept.revision);
        if let Some(kept) = before.filter(|kept| kept.value == value) {
            return Ok(kept);
        }
        if change.expected_revision.is_some_and(|expected| expected != revision) {
            return Err(Fault::new(
                FaultKind::Conflict,
                "stale_version",
                "该设置已被他人修改，请刷新后再试",
                "Somebody else has changed this setting; look again first",
            ));
        }
        let kept = Kept {
            value: value.clone(),
            revision: revision + 1,
            changed_at: change.at,
            changed_by: Some(change.actor),
        };
        let columns = (
            settings::value.eq(&kept.value),
            settings::revision.eq(kept.revision),
            settings::changed_at.eq(kept.changed_at),
            settings::changed_by.eq(kept.changed_by),
        );
        diesel::insert_into(settings::table)
            .values((settings::key.eq(key), columns))
            .on_conflict(settings::key)
            .do_update()
            .set(columns)
            .execute(conn)?;
        diesel::insert_into(settings_history::table)
            .values((
                settings_history::key.eq(key),
                settings_history::revision.eq(kept.revision),
                settings_history::value.eq(&kept.value),
                settings_history::changed_by.eq(kept.changed_by),
                settings_history::changed_at.eq(kept.changed_at),
                settings_history::reason.eq(&change.reason),
            ))
            .execute(conn)?;
        within(conn, &old, &kept.value)?;
        notify::notify(conn, "settings")?;
        Ok(kept)
    })
}

/// A value that a setting had.
#[derive(Debug, Clone, Queryable)]
pub struct Past {
    pub revision: i32,
    pub value: Value,
    pub changed_at: DateTime<Utc>,
    pub changed_by: Option<Uuid>,
    pub changed_by_name: Option<String>,
    pub reason: Option<String>,
}

/// What a setting has been, newest first, from below a revision.
pub fn history(
    conn: &mut PgConnection,
    key: &str,
    below: Option<i32>,
    limit: i64,
) -> Result<Vec<Past>> {
    Ok(settings_history::table
        .left_join(people::table.on(settings_history::changed_by.eq(people::id.nullable())))
        .filter(settings_history::key.eq(key))
        .filter(settings_history::revision.lt(below.unwrap_or(i32::MAX)))
        .order(settings_history::revision.desc())
        .limit(limit)
        .select((
            settings_history::revision,
            settings_history::value,
            settings_history::changed_at,
            settings_history::changed_by,
            people::name.nullable(),
            settings_history::reason,
        ))
        .load(conn)?)
}
