//! Tells other processes that something changed, and keeps writers out of each other's way.

use crate::error::Result;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

/// The channel every process listens on; the payload is the subject.
pub const CHANNEL: &str = "xuncha";

/// Subjects without a counter.
const BY_TRANSACTION_ID: [&str; 2] = ["cases", "messages"];

/// Tells that a subject changed: `boundaries`, `people`, `settings`, `cases`, `messages` or
/// `imports`. Heard when the transaction commits, once however often it is said.
///
/// `boundaries` and `people` have a counter besides, for followers that were away. Cases and
/// messages have none, which would make every report wait for every other: followers read them by
/// transaction id instead.
pub fn notify(conn: &mut PgConnection, subject: &str) -> Result<()> {
    use super::schema::revisions;
    if !BY_TRANSACTION_ID.contains(&subject) {
        diesel::update(revisions::table.find(subject))
            .set(revisions::revision.eq(revisions::revision + 1))
            .execute(conn)?;
    }
    diesel::sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(subject)
        .execute(conn)?;
    Ok(())
}

/// Key of the lock between publishes and whatever derives from the boundaries in force.
const BOUNDARIES_LOCK: i64 = 0x7875_6e63_6861_0001;

/// Holds the boundaries in force until this transaction ends; many may.
pub fn hold_boundaries(conn: &mut PgConnection) -> Result<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind::<BigInt, _>(BOUNDARIES_LOCK)
        .execute(conn)?;
    Ok(())
}

/// Waits for all holders and keeps new ones out until this transaction ends: for the last steps of
/// a publish.
pub fn change_boundaries(conn: &mut PgConnection) -> Result<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(BOUNDARIES_LOCK)
        .execute(conn)?;
    Ok(())
}
