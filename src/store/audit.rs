//! The audit trail: who did what, when, from where, with what before and after.
//!
//! A row is written in the transaction of the deed. Shortly after its commit a sealing step takes
//! it into a hash chain, one process at a time; so writers never wait for each other, and a row
//! that is altered or removed afterwards breaks the chain for good.

use super::Store;
use super::schema::{audit, audit_chain, audit_unsealed, people};
use crate::error::Result;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

/// Something to be remembered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who did it; none for the platform itself and for commands on its machine.
    pub actor: Option<Uuid>,
    /// The address the request came from.
    pub from: Option<IpAddr>,
    /// `people.change`, `session.open` …: lower-case words with dots.
    pub action: &'static str,
    /// What it was done to, as `kind:key`, e.g. `person:<uuid>`, `settings:deadlines`.
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The longest subject, characters.
const MAX_SUBJECT: usize = 200;

/// Writes one row, in the caller's transaction.
pub fn record(conn: &mut PgConnection, entry: &Entry) -> Result<()> {
    record_all(conn, std::slice::from_ref(entry))
}

/// Rows per statement.
const CHUNK: usize = 1000;

/// Writes many rows, in the caller's transaction.
pub fn record_all(conn: &mut PgConnection, entries: &[Entry]) -> Result<()> {
    for chunk in entries.chunks(CHUNK) {
        let rows: Vec<_> = chunk
            .iter()
            .map(|entry| {
                let subject: String = entry.subject.chars().take(MAX_SUBJECT).collect();
                (
                    audit::actor_id.eq(entry.actor),
                    audit::address.eq(entry.from.map(|address| address.to_string())),
                    audit::action.eq(entry.action),
                    audit::subject.eq(subject.replace('\0', "\u{fffd}")),
                    audit::before.eq(&entry.before),
                    audit::after.eq(&entry.after),
                )
            })
            .collect();
        diesel::insert_into(audit::table).values(rows).execute(conn)?;
    }
    Ok(())
}

/// A row as stored.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Serialize, utoipa::ToSchema)]
#[diesel(table_name = audit)]
pub struct AuditRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor_id: Option<Uuid>,
    pub address: Option<String>,
    pub action: String,
    pub subject: String,
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

// ------------------------------------------------------------------ the chain

/// A hash of the chain, with its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first row.
    pub const START: Self = Self { seq: 0, hash: [0; 32] };

    /// The head after one more row.
    pub fn then(&self, row: &AuditRow) -> Self {
        let seq = self.seq + 1;
        let mut hash = Sha256::new();
        hash.update(self.hash);
        hash.update(seq.to_be_bytes());
        hash.update(canonical(row));
        Self { seq, hash: hash.finalize().into() }
    }
}

impl std::fmt::Display for Head {
    /// `seq:hash`, to be written down elsewhere.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an audit head is SEQ:HASH, as `xuncha check` prints it".to_string();
        let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| wrong())?;
        Ok(Self { seq: seq.parse().map_err(|_| wrong())?, hash: bytes })
    }
}

/// All of a row, each field with its length before it, so that no two rows read alike.
fn canonical(row: &AuditRow) -> Vec<u8> {
    let json = |value: &Option<Value>| value.as_ref().map(|v| sorted(v).to_string());
    let fields = [
        Some(row.id.to_string()),
        Some(row.at.timestamp_micros().to_string()),
        row.actor_id.map(|id| id.to_string()),
        row.address.clone(),
        Some(row.action.clone()),
        Some(row.subject.clone()),
        json(&row.before),
        json(&row.after),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        match field {
            // Tells nothing from an empty text.
            None => bytes.push(0),
            Some(text) => {
                bytes.push(1);
                bytes.extend((text.len() as u64).to_be_bytes());
                bytes.extend(text.into_bytes());
            }
        }
    }
    bytes
}

/// The same JSON with the keys of every object in order, however the map type keeps them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            keys.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        other => other.clone(),
    }
}

/// "xuncha" and the number of this lock.
const SEALING: i64 = 0x7875_6e63_6861_0005;
/// Rows sealed per transaction.
const BATCH: i64 = 2000;

/// Takes the rows that wait into the chain; gives how many. Where another process is at it, none.
pub fn seal(store: &Store) -> Result<usize> {
    let mut sealed = 0;
    loop {
        let batch = store.transaction(seal_batch)?;
        sealed += batch;
        if (batch as i64) < BATCH {
            return Ok(sealed);
        }
    }
}

fn seal_batch(conn: &mut PgConnection) -> Result<usize> {
    let sql = diesel::dsl::sql::<Bool>("pg_try_advisory_xact_lock(").bind::<BigInt, _>(SEALING);
    if !diesel::select(sql.sql(")")).get_result::<bool>(conn)? {
        return Ok(0);
    }
    let waiting: Vec<AuditRow> = audit::table
        .inner_join(audit_unsealed::table)
        .order(audit::id)
        .limit(BATCH)
        .select(AuditRow::as_select())
        .load(conn)?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let mut head = head(conn)?;
    let mut links = Vec::with_capacity(waiting.len());
    for row in &waiting {
        head = head.then(row);
        links.push((
            audit_chain::seq.eq(head.seq),
            audit_chain::audit_id.eq(row.id),
            audit_chain::hash.eq(head.hash.to_vec()),
        ));
    }
    diesel::insert_into(audit_chain::table).values(links).execute(conn)?;
    let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    diesel::delete(audit_unsealed::table.filter(audit_unsealed::audit_id.eq_any(&ids)))
        .execute(conn)?;
    Ok(waiting.len())
}

/// The end of the chain.
pub fn head(conn: &mut PgConnection) -> Result<Head> {
    let last: Option<(i64, Vec<u8>)> = audit_chain::table
        .order(audit_chain::seq.desc())
        .select((audit_chain::seq, audit_chain::hash))
        .first(conn)
        .optional()?;
    Ok(match last {
        Some((seq, hash)) => Head { seq, hash: hash.try_into().unwrap_or([0; 32]) },
        None => Head::START,
    })
}

/// How often rows are sealed.
const SEAL_EVERY: Duration = Duration::from_millis(500);

/// Seals in the background until it is dropped.
pub struct Sealer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sealer {
    pub fn start(store: Store) -> Self {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(SEAL_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Err(fault) = seal(&store) {
                    tracing::warn!("the audit trail could not be sealed: {fault}");
                }
            }
            // What came in the last moment; the next process would do it otherwise.
            let _ = seal(&store);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// ------------------------------------------------------------------ search

/// Which rows a search finds.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub actor: Option<Uuid>,
    /// An action, or with a dot at its end all that begin so.
    pub action: Option<String>,
    /// A subject, or with a colon at its end all that begin so.
    pub subject: Option<String>,
    /// `from` included, `to` excluded.
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    /// Id of the last row of the page before.
    pub before: Option<i64>,
    pub limit: i64,
}

/// A row with the actor's name and phone, newest first.
pub type Found = (AuditRow, Option<String>, Option<String>);

/// A page of the trail.
pub fn search(conn: &mut PgConnection, query: &AuditQuery) -> Result<Vec<Found>> {
    let mut rows = audit::table
        .left_join(people::table)
        .select((AuditRow::as_select(), people::name.nullable(), people::phone.nullable()))
        .order(audit::id.desc())
        .limit(query.limit)
        .into_boxed::<Pg>();
    if let Some(actor) = query.actor {
        rows = rows.filter(audit::actor_id.eq(actor));
    }
    if let Some(action) = &query.action {
        rows = match action.ends_with('.') {
            true => rows.filter(audit::action.like(beginning(action))),
            false => rows.filter(audit::action.eq(action)),
        };
    }
    if let Some(subject) = &query.subject {
        rows = match subject.ends_with(':') {
            true => rows.filter(audit::subject.like(beginning(subject))),
            false => rows.filter(audit::subject.eq(subject)),
        };
    }
    if let Some(from) = query.from {
        rows = rows.filter(audit::at.ge(from));
    }
    if let Some(to) = query.to {
        rows = rows.filter(audit::at.lt(to));
    }
    if let Some(before) = query.before {
        rows = rows.filter(audit::id.lt(before));
    }
    Ok(rows.load(conn)?)
}

fn beginning(text: &str) -> String {
    format!("{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row() -> AuditRow {
        AuditRow {
            id: 7,
            at: DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap(),
            actor_id: None,
            address: None,
            action: "people.change".into(),
            subject: "person:1".into(),
            before: Some(json!({"b": 1, "a": {"d": 2, "c": [3]}})),
            after: None,
        }
    }

    #[test]
    fn every_field_and_the_place_count() {
        let head = Head::START.then(&row());
        let changes: [fn(&mut AuditRow); 9] = [
            |r| r.id = 8,
            |r| r.at += chrono::Duration::microseconds(1),
            |r| r.actor_id = Some(Uuid::nil()),
            |r| r.address = Some(String::new()),
            |r| r.action.push('d'),
            |r| r.subject = "person:2".into(),
            |r| r.before = None,
            |r| r.after = Some(Value::Null),
            // What leaves one field enters the next.
            |r| (r.action, r.subject) = ("people.chang".into(), "eperson:1".into()),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = row();
            change(&mut other);
            assert_ne!(Head::START.then(&other), head, "change {n}");
        }
        assert_ne!(head.then(&row()).hash, head.hash);
        let mut reordered = row();
        reordered.before = Some(json!({"a": {"c": [3], "d": 2}, "b": 1}));
        assert_eq!(Head::START.then(&reordered), head);
    }

    #[test]
    fn a_head_reads_back() {
        let head = Head::START.then(&row());
        assert_eq!(head.to_string().parse(), Ok(head));
        for odd in ["", "1", "1:zz", "x:00", "1:00"] {
            assert!(odd.parse::<Head>().is_err(), "{odd}");
        }
    }
}
