//! Messages as their recipients and senders see them.

use super::schema::{messages, people};
use super::{Store, outbox};
use crate::enforcement::messages::{Kind, Notice, Recipients};
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// A message as stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub struct Message {
    pub id: Uuid,
    pub recipient_id: Uuid,
    pub kind: String,
    pub case_id: Option<Uuid>,
    pub task_id: Option<Uuid>,
    pub public_report_id: Option<Uuid>,
    pub actor_id: Option<Uuid>,
    pub text: String,
    pub in_reply_to: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub read_at: Option<DateTime<Utc>>,
}

/// Which messages to list.
#[derive(Debug, Clone)]
pub struct MessageQuery {
    pub whose: Whose,
    pub unread: Option<bool>,
    pub kinds: Vec<String>,
    pub case_id: Option<Uuid>,
    /// The last of the page before.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

/// From which side.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    ReceivedBy(Uuid),
    SentBy(Uuid),
}

/// A page of messages, newest first.
pub fn list(conn: &mut PgConnection, query: &MessageQuery) -> Result<Vec<Message>> {
    let mut found = messages::table.select(Message::as_select()).into_boxed();
    found = match query.whose {
        Whose::ReceivedBy(person) => found.filter(messages::recipient_id.eq(person)),
        Whose::SentBy(person) => found.filter(messages::actor_id.eq(person)),
    };
    found = match query.unread {
        Some(true) => found.filter(messages::read_at.is_null()),
        Some(false) => found.filter(messages::read_at.is_not_null()),
        None => found,
    };
    if !query.kinds.is_empty() {
        found = found.filter(messages::kind.eq_any(&query.kinds));
    }
    if let Some(case) = query.case_id {
        found = found.filter(messages::case_id.eq(case));
    }
    if let Some((at, id)) = query.after {
        found = found.filter(
            messages::created_at.lt(at).or(messages::created_at.eq(at).and(messages::id.lt(id))),
        );
    }
    let newest_first = (messages::created_at.desc(), messages::id.desc());
    Ok(found.order(newest_first).limit(query.limit).load(conn)?)
}

/// The names of people, also of those who have left.
pub fn names(
    conn: &mut PgConnection,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, String>> {
    let ids: Vec<Uuid> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, String)> = people::table
        .filter(people::id.eq_any(ids))
        .select((people::id, people::name))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// How many messages a person has not read.
pub fn unread(conn: &mut PgConnection, person: Uuid) -> Result<i64> {
    Ok(messages::table
        .filter(messages::recipient_id.eq(person))
        .filter(messages::read_at.is_null())
        .count()
        .get_result(conn)?)
}

fn no_such_message() -> Fault {
    Fault::not_found("没有这条消息", "There is no such message")
}

/// A message of this recipient.
pub fn find(conn: &mut PgConnection, person: Uuid, id: Uuid) -> Result<Message> {
    let found = messages::table
        .find(id)
        .filter(messages::recipient_id.eq(person))
        .select(Message::as_select())
        .first(conn)
        .optional()?;
    found.ok_or_else(no_such_message)
}

/// Marks a message as read; the first time counts.
pub fn read(
    conn: &mut PgConnection,
    person: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Message> {
    diesel::update(messages::table.find(id))
        .filter(messages::recipient_id.eq(person))
        .filter(messages::read_at.is_null())
        .set(messages::read_at.eq(now))
        .execute(conn)?;
    find(conn, person, id)
}

/// Marks all of a person's messages as read that came until a time; gives how many.
pub fn read_all(
    conn: &mut PgConnection,
    person: Uuid,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<usize> {
    let unread = messages::table
        .filter(messages::recipient_id.eq(person))
        .filter(messages::read_at.is_null())
        .filter(messages::created_at.le(until.unwrap_or(now)));
    Ok(diesel::update(unread).set(messages::read_at.eq(now)).execute(conn)?)
}

/// Answers a message; whoever caused it gets the answer. The same id again gives the first one.
pub fn reply(store: &Store, person: Uuid, to: Uuid, id: Uuid, text: &str) -> Result<Message> {
    store.transaction(|conn| {
        let original = find(conn, person, to)?;
        let sender = original.actor_id.ok_or_else(nobody_to_answer)?;
        let notice = Notice {
            key: id,
            kind: Kind::Reply,
            case_id: original.case_id,
            actor: Some(person),
            to: vec![Recipients::Person(sender)],
            facts: BTreeMap::from([("text", text.to_string())]),
        };
        outbox::enqueue_reply(conn, &notice, to)?;
        let written: Option<Message> = messages::table
            .filter(messages::key.eq(id))
            .filter(messages::recipient_id.eq(sender))
            .select(Message::as_select())
            .first(conn)
            .optional()?;
        let written = written.ok_or_else(nobody_to_answer)?;
        if written.actor_id != Some(person) || written.in_reply_to != Some(to) {
            return Err(Fault::new(
                FaultKind::Conflict,
                "id_taken",
                "该编号已用于另一条消息",
                "This id was already used for another message",
            ));
        }
        Ok(written)
    })
}

fn nobody_to_answer() -> Fault {
    Fault::new(
        FaultKind::Conflict,
        "nobody_to_answer",
        "此消息由平台发出或发件人已停用，无人可回复",
        "The platform sent this message, or its sender has left: there is nobody to answer",
    )
}
