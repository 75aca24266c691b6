//! Log-in: passwords (argon2id), sessions, API tokens.

use super::audit::{self, Entry};
use super::people::By;
use super::schema::{api_tokens, people, sessions};
use super::{Store, tokens};
use crate::enforcement::people::{Person, Role};
use crate::enforcement::permissions::TokenScope;
use crate::error::{Fault, FaultKind, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use rand::{Rng, RngExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::LazyLock;
use uuid::Uuid;

/// How long a session lasts without a new log-in.
pub const SESSION_DAYS: i64 = 30;

/// Shorter passwords are guessed.
pub const MIN_PASSWORD_LENGTH: usize = 8;

/// From this many wrong passwords in a row on, each costs a wait, doubling from 30 s to an hour.
const FREE_FAILURES: i32 = 5;

/// A person with what log-in needs to know.
#[derive(Debug, Clone)]
pub struct LogIn {
    pub person: Person,
    pub must_change_password: bool,
    pub language: String,
    pub via: Via,
}

/// By what somebody is logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Via {
    pub session: Option<Uuid>,
    /// What an API token is good for; none for a session.
    pub token: Option<TokenScope>,
}

/// Where a log-in comes from.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = people)]
struct Row {
    id: Uuid,
    phone: String,
    name: String,
    role: String,
    area_code: String,
    department: Option<String>,
    password_hash: Option<String>,
    must_change_password: bool,
    active: bool,
    failed_logins: i32,
    locked_until: Option<DateTime<Utc>>,
    language: String,
}

impl Row {
    fn into_login(self) -> Result<LogIn> {
        let role =
            Role::parse(&self.role).ok_or_else(|| Fault::internal("unknown role in store"))?;
        Ok(LogIn {
            person: Person {
                id: self.id,
                phone: self.phone,
                name: self.name,
                role,
                area_code: self.area_code,
                department: self.department,
            },
            must_change_password: self.must_change_password,
            language: self.language,
            via: Via::default(),
        })
    }
}

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Session,
    Api,
}

/// A credential's last use is written down no more often than this.
const SEEN_EVERY_MINUTES: i64 = 2;

/// The person behind a session or API token, by the token's hash.
pub fn by_token(
    conn: &mut PgConnection,
    kind: TokenKind,
    hash: &[u8; 32],
) -> Result<Option<LogIn>> {
    let now = Utc::now();
    let long_ago = now - Duration::minutes(SEEN_EVERY_MINUTES);
    let found = match kind {
        TokenKind::Session => {
            let found: Option<(Row, Uuid, DateTime<Utc>)> = sessions::table
                .inner_join(people::table)
                .filter(sessions::token_hash.eq(hash.as_slice()))
                .filter(sessions::expires_at.gt(now))
                .filter(people::active)
                .select((Row::as_select(), sessions::id, sessions::last_seen_at))
                .first(conn)
                .optional()?;
            if found.as_ref().is_some_and(|(_, _, seen)| *seen < long_ago) {
                diesel::update(sessions::table.find(hash.as_slice()))
                    .set(sessions::last_seen_at.eq(now))
                    .execute(conn)?;
            }
            found.map(|(row, id, _)| (row, Via { session: Some(id), token: None }))
        }
        TokenKind::Api => {
            let found: Option<(Row, Uuid, String, Option<DateTime<Utc>>)> = api_tokens::table
                .inner_join(people::table)
                .filter(api_tokens::token_hash.eq(hash.as_slice()))
                .filter(api_tokens::expires_at.gt(now))
                .filter(api_tokens::revoked_at.is_null())
                .filter(people::active)
                .select((
                    Row::as_select(),
                    api_tokens::id,
                    api_tokens::scope,
                    api_tokens::last_used_at,
                ))
                .first(conn)
                .optional()?;
            if let Some((_, id, _, used)) = &found
                && used.is_none_or(|used| used < long_ago)
            {
                diesel::update(api_tokens::table.find(id))
                    .set(api_tokens::last_used_at.eq(now))
                    .execute(conn)?;
            }
            // A scope of a newer program is taken for the narrowest.
            found.map(|(row, _, scope, _)| {
                let scope = TokenScope::parse(&scope).unwrap_or(TokenScope::Read);
                (row, Via { session: None, token: Some(scope) })
            })
        }
    };
    let Some((row, via)) = found else { return Ok(None) };
    Ok(Some(LogIn { via, ..row.into_login()? }))
}

fn wrong_credentials() -> Fault {
    Fault::new(
        FaultKind::NotLoggedIn,
        "wrong_credentials",
        "手机号或密码错误",
        "Phone or password is wrong",
    )
}

/// Checked for phones nobody has, so that the time taken tells nothing.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password("nobody").unwrap_or_default());

/// The argon2id hash of a password, as a PHC string.
pub fn hash_password(password: &str) -> Result<String> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(Fault::internal)?;
    Ok(hash.to_string())
}

fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Letters and digits that nobody mistakes for another on paper.
const ALPHABET: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// A random password of 12 signs (59 bits).
pub fn random_password() -> String {
    let mut rng = rand::rng();
    (0..12).map(|_| ALPHABET[rng.random_range(0..ALPHABET.len())] as char).collect()
}

/// A token of 256 random bits, and its hash for the store.
pub fn new_token() -> (String, [u8; 32]) {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let token = hex::encode(bytes);
    let hash = Sha256::digest(token.as_bytes()).into();
    (token, hash)
}

/// Checks phone and password and opens a session; gives its token. Both outcomes are audited, but
/// for tries during a lock-out, which anybody could make thousands of.
pub fn log_in(
    store: &Store,
    phone: &str,
    password: &str,
    device: &Device,
) -> Result<(LogIn, String)> {
    let mut conn = store.conn()?;
    let entry = |action, actor, subject| Entry {
        actor,
        from: device.address,
        action,
        subject,
        before: None,
        after: Some(json!({"user_agent": device.user_agent})),
    };
    let row = match check(&mut conn, phone, password) {
        Err(fault) if fault.kind == FaultKind::NotLoggedIn => {
            audit::record(&mut conn, &entry("session.refused", None, format!("phone:{phone}")))?;
            return Err(fault);
        }
        checked => checked?,
    };
    drop(conn);
    let (token, hash) = new_token();
    let now = Utc::now();
    let session = Uuid::new_v4();
    store.transaction(|conn| {
        diesel::delete(sessions::table.filter(sessions::expires_at.lt(now))).execute(conn)?;
        diesel::insert_into(sessions::table)
            .values((
                sessions::token_hash.eq(hash.as_slice()),
                sessions::id.eq(session),
                sessions::person_id.eq(row.id),
                sessions::created_at.eq(now),
                sessions::last_seen_at.eq(now),
                sessions::expires_at.eq(now + Duration::days(SESSION_DAYS)),
                sessions::user_agent.eq(&device.user_agent),
                sessions::address.eq(device.address.map(|address| address.to_string())),
            ))
            .execute(conn)?;
        audit::record(conn, &entry("session.open", Some(row.id), format!("person:{}", row.id)))
    })?;
    let via = Via { session: Some(session), token: None };
    Ok((LogIn { via, ..row.into_login()? }, token))
}

/// The person with this phone and password; counts failures and holds off guessing.
fn check(conn: &mut PgConnection, phone: &str, password: &str) -> Result<Row> {
    let row: Option<Row> = people::table
        .filter(people::phone.eq(phone))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    let now = Utc::now();
    if let Some(until) = row.as_ref().and_then(|row| row.locked_until).filter(|until| *until > now)
    {
        let seconds = (until - now).num_seconds() + 1;
        return Err(Fault::new(
            FaultKind::TooMany,
            "locked_out",
            format!("密码错误次数过多，请在 {seconds} 秒后再试"),
            format!("Too many wrong passwords; please try again in {seconds} seconds"),
        ));
    }
    let hash = row.as_ref().filter(|row| row.active).and_then(|row| row.password_hash.as_deref());
    let right = verify(hash.unwrap_or(&NOBODY), password) && hash.is_some();
    let Some(row) = row else { return Err(wrong_credentials()) };
    if !right {
        // Counted by the store: guesses made at the same time must not count as one.
        let failures: i32 = diesel::update(people::table.find(row.id))
            .set(people::failed_logins.eq(people::failed_logins + 1))
            .returning(people::failed_logins)
            .get_result(conn)?;
        let wait = 30i64 << (failures - FREE_FAILURES).clamp(0, 7);
        let locked_until =
            (failures >= FREE_FAILURES).then(|| now + Duration::seconds(wait.min(3600)));
        diesel::update(people::table.find(row.id))
            .set(people::locked_until.eq(locked_until))
            .execute(conn)?;
        return Err(wrong_credentials());
    }
    if row.failed_logins > 0 {
        diesel::update(people::table.find(row.id))
            .set((people::failed_logins.eq(0), people::locked_until.eq(None::<DateTime<Utc>>)))
            .execute(conn)?;
    }
    Ok(row)
}

/// Ends a session.
pub fn log_out(store: &Store, hash: &[u8; 32], from: Option<IpAddr>) -> Result<()> {
    store.transaction(|conn| {
        let ended: Option<Uuid> = diesel::delete(sessions::table.find(hash.as_slice()))
            .returning(sessions::person_id)
            .get_result(conn)
            .optional()?;
        let Some(person) = ended else { return Ok(()) };
        let by = By { actor: Some(person), from, ..By::command() };
        audit::record(conn, &by.entry("session.close", format!("person:{person}")))
    })
}

/// Changes a password and ends the person's other sessions.
pub fn change_password(
    store: &Store,
    phone: &str,
    old: &str,
    new: &str,
    keep: Option<[u8; 32]>,
) -> Result<()> {
    if new.chars().count() < MIN_PASSWORD_LENGTH || new.len() > 1024 || new == old {
        return Err(Fault::invalid(
            format!("新密码至少 {MIN_PASSWORD_LENGTH} 位，且不能与旧密码相同"),
            format!(
                "The new password needs {MIN_PASSWORD_LENGTH} characters or more and must differ"
            ),
        )
        .field("new_password", "too short or unchanged"));
    }
    let row = check(&mut *store.conn()?, phone, old)?;
    let hash = hash_password(new)?;
    store.transaction(|conn| {
        diesel::update(people::table.find(row.id))
            .set((people::password_hash.eq(&hash), people::must_change_password.eq(false)))
            .execute(conn)?;
        diesel::delete(
            sessions::table
                .filter(sessions::person_id.eq(row.id))
                .filter(sessions::token_hash.ne(keep.unwrap_or_default().to_vec())),
        )
        .execute(conn)?;
        let by = By { actor: Some(row.id), ..By::command() };
        audit::record(conn, &by.entry("password.change", format!("person:{}", row.id)))
    })
}

/// Gives an account a password; `must_change` makes its owner choose another at first log-in.
pub fn activate(
    conn: &mut PgConnection,
    phone: &str,
    password: &str,
    must_change: bool,
) -> Result<()> {
    let hash = hash_password(password)?;
    let changed = diesel::update(people::table.filter(people::phone.eq(phone)))
        .set((
            people::password_hash.eq(hash),
            people::must_change_password.eq(must_change),
            people::failed_logins.eq(0),
            people::locked_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(Fault::not_found(
            format!("没有手机号为 {phone} 的人员"),
            format!("Nobody has the phone {phone}"),
        ));
    }
    audit::record(conn, &By::command().entry("people.activate", format!("phone:{phone}")))
}

/// Makes an API token for a person, good for all that the person may; it is told once and kept as
/// its hash.
pub fn create_api_token(
    conn: &mut PgConnection,
    phone: &str,
    name: &str,
    days: i64,
) -> Result<String> {
    let person: Option<Uuid> =
        people::table.filter(people::phone.eq(phone)).select(people::id).first(conn).optional()?;
    let person = person.ok_or_else(|| {
        Fault::not_found(
            format!("没有手机号为 {phone} 的人员"),
            format!("Nobody has the phone {phone}"),
        )
    })?;
    let (token, hash) = new_token();
    let new = tokens::NewToken {
        id: Uuid::new_v4(),
        person,
        name: name.into(),
        scope: TokenScope::Manage,
        days,
    };
    tokens::insert(conn, &new, &hash, &By::command())?;
    Ok(token)
}
