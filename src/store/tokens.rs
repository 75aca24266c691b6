//! API tokens and the sessions of a person, as their owner sees them.

use super::accounts::new_token;
use super::audit::{self, Entry};
use super::people::By;
use super::schema::{api_tokens, sessions};
use super::{Store, persons};
use crate::enforcement::permissions::TokenScope;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// A token as shown; the secret itself is nowhere.
#[derive(Debug, Clone, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = api_tokens)]
pub struct TokenRecord {
    pub id: Uuid,
    pub name: String,
    /// `read`, `report` or `manage`
    pub scope: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub id: Uuid,
    pub person: Uuid,
    pub name: String,
    pub scope: TokenScope,
    pub days: i64,
}

/// Tokens of one person that still count; more are a sign that they are never thrown away.
const MOST_TOKENS: i64 = 50;

/// A person's tokens, newest first.
pub fn list(conn: &mut PgConnection, person: Uuid) -> Result<Vec<TokenRecord>> {
    Ok(api_tokens::table
        .filter(api_tokens::person_id.eq(person))
        .order(api_tokens::created_at.desc())
        .limit(1000)
        .select(TokenRecord::as_select())
        .load(conn)?)
}

/// Makes a token; its secret is given once. A retry cannot get the secret again: it is refused.
pub fn create(store: &Store, new: &NewToken, by: &By) -> Result<(TokenRecord, String)> {
    let (token, hash) = new_token();
    let record = store.transaction(|conn| {
        let living: i64 = api_tokens::table
            .filter(api_tokens::person_id.eq(new.person))
            .filter(api_tokens::revoked_at.is_null())
            .filter(api_tokens::expires_at.gt(Utc::now()))
            .count()
            .get_result(conn)?;
        if living >= MOST_TOKENS {
            return Err(Fault::new(
                FaultKind::Conflict,
                "too_many_tokens",
                format!("最多 {MOST_TOKENS} 个有效令牌，请先吊销不用的"),
                format!("At most {MOST_TOKENS} tokens may be valid; revoke some first"),
            ));
        }
        insert(conn, new, &hash, by)
    })?;
    Ok((record, token))
}

pub(super) fn insert(
    conn: &mut PgConnection,
    new: &NewToken,
    hash: &[u8; 32],
    by: &By,
) -> Result<TokenRecord> {
    let record: Option<TokenRecord> = diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::id.eq(new.id),
            api_tokens::token_hash.eq(hash.as_slice()),
            api_tokens::person_id.eq(new.person),
            api_tokens::name.eq(&new.name),
            api_tokens::scope.eq(new.scope.as_str()),
            api_tokens::expires_at.eq(Utc::now() + Duration::days(new.days)),
        ))
        .on_conflict_do_nothing()
        .returning(TokenRecord::as_returning())
        .get_result(conn)
        .optional()?;
    let record = record.ok_or_else(|| {
        Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已被使用；令牌只在创建时显示一次",
            "A token has this id already; a token is shown once, when it is made",
        )
    })?;
    let entry = Entry {
        after: Some(json!({"person_id": new.person, "token": record})),
        ..by.entry("token.create", format!("token:{}", new.id))
    };
    audit::record(conn, &entry)?;
    Ok(record)
}

/// Revokes a token of one's own; again is harmless.
pub fn revoke(store: &Store, id: Uuid, person: Uuid, by: &By) -> Result<()> {
    store.transaction(|conn| {
        let own: Option<Option<DateTime<Utc>>> = api_tokens::table
            .find(id)
            .filter(api_tokens::person_id.eq(person))
            .select(api_tokens::revoked_at)
            .first(conn)
            .optional()?;
        match own {
            None => Err(Fault::not_found("没有这个令牌", "There is no such token")),
            Some(Some(_)) => Ok(()),
            Some(None) => {
                diesel::update(api_tokens::table.find(id))
                    .set(api_tokens::revoked_at.eq(Utc::now()))
                    .execute(conn)?;
                audit::record(conn, &by.entry("token.revoke", format!("token:{id}")))
            }
        }
    })
}

/// A session as its owner sees it: a device that is logged in.
#[derive(Debug, Clone, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = sessions)]
pub struct SessionRecord {
    pub id: Uuid,
    pub user_agent: Option<String>,
    /// The address it was opened from.
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
    /// To within two minutes.
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The open sessions of a person, the last used first.
pub fn sessions_of(conn: &mut PgConnection, person: Uuid) -> Result<Vec<SessionRecord>> {
    Ok(sessions::table
        .filter(sessions::person_id.eq(person))
        .filter(sessions::expires_at.gt(Utc::now()))
        .order(sessions::last_seen_at.desc())
        .select(SessionRecord::as_select())
        .load(conn)?)
}

/// Which sessions of a person to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    All,
    AllBut(Uuid),
    One(Uuid),
}

/// Ends sessions; gives how many.
pub fn end_sessions(store: &Store, person: Uuid, which: Ending, by: &By) -> Result<usize> {
    store.transaction(|conn| {
        let own = sessions::table.filter(sessions::person_id.eq(person));
        let ended = match which {
            Ending::All => diesel::delete(own).execute(conn)?,
            Ending::AllBut(kept) => {
                diesel::delete(own.filter(sessions::id.ne(kept))).execute(conn)?
            }
            Ending::One(id) => diesel::delete(own.filter(sessions::id.eq(id))).execute(conn)?,
        };
        if ended > 0 {
            let entry = Entry {
                after: Some(json!({"ended": ended})),
                ..by.entry("session.end", format!("person:{person}"))
            };
            audit::record(conn, &entry)?;
        }
        Ok(ended)
    })
}

/// Sets the language a person reads.
pub fn set_language(store: &Store, person: Uuid, language: &str, by: &By) -> Result<()> {
    let change = persons::PersonChange {
        language: Some(language.into()),
        ..persons::PersonChange::default()
    };
    persons::change(store, person, &change, by).map(|_| ())
}
