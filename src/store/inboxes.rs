//! Who is listening for messages in this process, and what came for them: a message costs what its
//! recipients listen with, not what everybody does.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::{Receiver, Sender};
use uuid::Uuid;

use crate::error::Result;

/// A message that has come.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    pub id: Uuid,
    pub recipient: Uuid,
    pub kind: String,
    pub case_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    Message(News),
    /// Something may have been missed: read afresh.
    Reload,
}

/// A listener behind by more is told to read afresh.
const CAPACITY: usize = 64;

/// The open inboxes.
#[derive(Default)]
pub struct Inboxes {
    open: Mutex<HashMap<Uuid, Sender<Heard>>>,
}

impl Inboxes {
    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Sender<Heard>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for a person, until the receiver is dropped.
    pub fn listen(&self, person: Uuid) -> Receiver<Heard> {
        self.open().entry(person).or_insert_with(|| Sender::new(CAPACITY)).subscribe()
    }

    /// Puts news before whoever listens for their recipients.
    pub fn put(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let open = self.open();
        for news in news {
            if let Some(inbox) = open.get(&news.recipient) {
                // Fails when the listener has just gone, which is fine.
                let _ = inbox.send(Heard::Message(news));
            }
        }
    }

    /// Tells everybody to read afresh.
    pub fn reload(&self) {
        for inbox in self.open().values() {
            let _ = inbox.send(Heard::Reload);
        }
    }

    /// The people who are listening; forgets those who have gone.
    pub fn people(&self) -> Vec<Uuid> {
        let mut open = self.open();
        open.retain(|_, inbox| inbox.receiver_count() > 0);
        open.keys().copied().collect()
    }
}

/// The messages that became visible after a snapshot, and the snapshot they were read in. Without
/// an earlier snapshot: none. What this transaction itself wrote is left for after its commit.
///
/// By snapshots each message is read exactly once, also when one transaction wrote its messages
/// long before another and committed long after it.
pub(super) fn since(
    conn: &mut PgConnection,
    snapshot: Option<&str>,
) -> Result<(Vec<News>, String)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        snapshot: String,
        #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
        id: Option<Uuid>,
        #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
        recipient_id: Option<Uuid>,
        #[diesel(sql_type = Nullable<Text>)]
        kind: Option<String>,
        #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
        case_id: Option<Uuid>,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        created_at: Option<DateTime<Utc>>,
    }
    // One statement, so that the rows and the snapshot belong together.
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT now.snapshot::text AS snapshot, m.id, m.recipient_id, m.kind, m.case_id, m.created_at
         FROM (SELECT pg_current_snapshot() AS snapshot) AS now
         LEFT JOIN messages AS m
           ON m.written_xid >= pg_snapshot_xmin($1::pg_snapshot)
          AND NOT pg_visible_in_snapshot(m.written_xid, $1::pg_snapshot)
          AND m.written_xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
         ORDER BY m.id",
    )
    .bind::<Nullable<Text>, _>(snapshot)
    .load(conn)?;
    let read_in = rows.first().map(|row| row.snapshot.clone()).unwrap_or_default();
    let news = rows
        .into_iter()
        .filter_map(|row| {
            Some(News {
                id: row.id?,
                recipient: row.recipient_id?,
                kind: row.kind?,
                case_id: row.case_id,
                created_at: row.created_at?,
            })
        })
        .collect();
    Ok((news, read_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_reach_their_recipient_only_and_the_gone_are_forgotten() {
        let inboxes = Inboxes::default();
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let (mut for_a, mut for_b) = (inboxes.listen(a), inboxes.listen(b));
        let news = News {
            id: Uuid::from_u128(9),
            recipient: a,
            kind: "closed".into(),
            case_id: None,
            created_at: Utc::now(),
        };
        inboxes.put(vec![news.clone()]);
        assert!(matches!(for_a.try_recv(), Ok(Heard::Message(got)) if got == news));
        assert!(for_b.try_recv().is_err());
        inboxes.reload();
        assert!(matches!(for_b.try_recv(), Ok(Heard::Reload)));
        drop(for_a);
        assert_eq!(inboxes.people(), [b]);
    }
}
