//! What has to leave the house: taken by one worker of one process at a time, under a lease, so
//! that what a killed process held is taken up by another.

use super::schema::{deliveries, messages, people, push_subscriptions};
use crate::error::{Fault, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use uuid::Uuid;

/// How long a worker may take for a delivery before another one tries, seconds. Longer than any
/// request is waited for.
pub const LEASE_S: i32 = 30;

/// Something to be sent, with all that is needed for it.
#[derive(Debug, Clone, Queryable)]
pub struct Delivery {
    pub id: i64,
    /// This one included.
    pub attempts: i32,
    pub channel: String,
    pub message_id: Uuid,
    pub kind: String,
    pub case_id: Option<Uuid>,
    pub text: String,
    pub created_at: DateTime<Utc>,
    pub read_at: Option<DateTime<Utc>>,
    pub recipient_id: Uuid,
    pub name: String,
    pub phone: String,
    pub language: String,
    pub active: bool,
    /// Endpoint, public key and secret of the browser.
    pub subscription: Option<(Uuid, String, String, String)>,
}

/// Takes what is due, at most so many.
pub fn claim(conn: &mut PgConnection, limit: i64) -> Result<Vec<Delivery>> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = BigInt)]
        id: i64,
    }
    let taken: Vec<Taken> = diesel::sql_query(
        "UPDATE deliveries SET attempts = attempts + 1,
                leased_until = now() + make_interval(secs => $1)
         WHERE id IN (SELECT id FROM deliveries
                      WHERE state = 'pending' AND next_at <= now()
                        AND (leased_until IS NULL OR leased_until < now())
                      ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id",
    )
    .bind::<Double, _>(f64::from(LEASE_S))
    .bind::<BigInt, _>(limit)
    .load(conn)?;
    let ids: Vec<i64> = taken.into_iter().map(|t| t.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let subscription = (
        push_subscriptions::id,
        push_subscriptions::endpoint,
        push_subscriptions::p256dh,
        push_subscriptions::auth,
    );
    Ok(deliveries::table
        .inner_join(
            messages::table.inner_join(people::table.on(people::id.eq(messages::recipient_id))),
        )
        .left_join(push_subscriptions::table)
        .filter(deliveries::id.eq_any(ids))
        .order(deliveries::id)
        .select((
            deliveries::id,
            deliveries::attempts,
            deliveries::channel,
            messages::id,
            messages::kind,
            messages::case_id,
            messages::text,
            messages::created_at,
            messages::read_at,
            people::id,
            people::name,
            people::phone,
            people::language,
            people::active,
            subscription.nullable(),
        ))
        .load(conn)?)
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Sent,
    /// Seen in the app meanwhile, or the recipient has left.
    Skipped,
    /// Again after so many seconds.
    Later {
        after_s: i32,
        error: Option<String>,
    },
    /// Given up.
    Dead {
        error: String,
    },
    /// The browser has withdrawn its subscription.
    SubscriptionGone,
}

/// Longer answers of others are cut.
const MOST_ERROR: usize = 500;

/// Records what became of an attempt.
pub fn finish(conn: &mut PgConnection, delivery: &Delivery, outcome: &Outcome) -> Result<()> {
    let (state, after_s, error) = match outcome {
        Outcome::SubscriptionGone => {
            if let Some((id, ..)) = &delivery.subscription {
                // Its deliveries go along.
                diesel::delete(push_subscriptions::table.find(id)).execute(conn)?;
            }
            return Ok(());
        }
        Outcome::Sent => ("sent", 0, None),
        Outcome::Skipped => ("skipped", 0, None),
        Outcome::Later { after_s, error } => ("pending", *after_s, error.clone()),
        Outcome::Dead { error } => ("dead", 0, Some(error.clone())),
    };
    let error = error.map(|e| e.replace('\0', " ").chars().take(MOST_ERROR).collect::<String>());
    // Not another worker's, which took over after the lease had run out: what that one finds is
    // as true.
    diesel::sql_query(
        "UPDATE deliveries SET state = $2, leased_until = NULL, last_error = coalesce($4, last_error),
                next_at = now() + make_interval(secs => $3),
                finished_at = CASE WHEN $2 = 'pending' THEN NULL ELSE now() END
         WHERE id = $1 AND state = 'pending' AND attempts = $5",
    )
    .bind::<BigInt, _>(delivery.id)
    .bind::<Text, _>(state)
    .bind::<Double, _>(f64::from(after_s))
    .bind::<Nullable<Text>, _>(error)
    .bind::<Integer, _>(delivery.attempts)
    .execute(conn)?;
    Ok(())
}

/// A delivery as administrators see it.
#[derive(Debug, Queryable, serde::Serialize, utoipa::ToSchema)]
pub struct DeliveryState {
    pub id: i64,
    pub message_id: Uuid,
    pub kind: String,
    /// `push`, `sms` or `email`
    pub channel: String,
    pub recipient_id: Uuid,
    /// `pending`, `sent`, `skipped` (seen in the app meanwhile) or `dead` (given up)
    pub state: String,
    pub attempts: i32,
    pub next_at: DateTime<Utc>,
    pub last_error: Option<String>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Deliveries in a state, newest first, below an id.
pub fn list(
    conn: &mut PgConnection,
    state: Option<&str>,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<DeliveryState>> {
    let mut found = deliveries::table.inner_join(messages::table).into_boxed();
    if let Some(state) = state {
        found = found.filter(deliveries::state.eq(state.to_string()));
    }
    if let Some(below) = below {
        found = found.filter(deliveries::id.lt(below));
    }
    Ok(found
        .order(deliveries::id.desc())
        .limit(limit)
        .select((
            deliveries::id,
            deliveries::message_id,
            messages::kind,
            deliveries::channel,
            messages::recipient_id,
            deliveries::state,
            deliveries::attempts,
            deliveries::next_at,
            deliveries::last_error,
            deliveries::finished_at,
        ))
        .load(conn)?)
}

/// Takes up again what was given up.
pub fn retry(conn: &mut PgConnection, id: i64) -> Result<()> {
    let changed = diesel::update(deliveries::table.find(id))
        .filter(deliveries::state.eq("dead"))
        .set((
            deliveries::state.eq("pending"),
            deliveries::attempts.eq(0),
            deliveries::next_at.eq(diesel::dsl::now),
            deliveries::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(Fault::not_found(
            "没有这条已放弃的发送",
            "No delivery with this id has been given up",
        ));
    }
    Ok(())
}

/// How long a word about open streams holds, seconds: twice and a bit how often it is given.
const STREAM_HOLDS_S: f64 = 12.0;
/// How often processes say who has an event stream open.
pub const SAY_STREAMS_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Says who has an event stream open at this process.
pub fn say_streams(conn: &mut PgConnection, process: Uuid, listening: &[Uuid]) -> Result<()> {
    use diesel::sql_types::{Array, Uuid as SqlUuid};
    diesel::sql_query(
        "WITH gone AS (DELETE FROM streams WHERE until < now()
                       OR (process = $1 AND NOT person_id = ANY($2)))
         INSERT INTO streams SELECT $1, person, now() + make_interval(secs => $3)
         FROM unnest($2) AS person
         ON CONFLICT (process, person_id) DO UPDATE SET until = excluded.until",
    )
    .bind::<SqlUuid, _>(process)
    .bind::<Array<SqlUuid>, _>(listening)
    .bind::<Double, _>(STREAM_HOLDS_S)
    .execute(conn)?;
    Ok(())
}

/// Which of these people have an event stream open anywhere.
pub fn listening(conn: &mut PgConnection, people: &[Uuid]) -> Result<Vec<Uuid>> {
    use diesel::sql_types::{Array, Uuid as SqlUuid};
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT DISTINCT person_id FROM streams WHERE person_id = ANY($1) AND until > now()",
    )
    .bind::<Array<SqlUuid>, _>(people)
    .load(conn)?;
    Ok(rows.into_iter().map(|row| row.person_id).collect())
}
