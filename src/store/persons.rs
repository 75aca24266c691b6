//! People one by one: search, create, change, activate.

use super::accounts::{self, random_password};
use super::audit::{self, Entry};
use super::people::{By, KnownAreas, Objection, PersonRow};
use super::reporting::{Retry, first_answer, remember};
use super::schema::{duties, people, sessions};
use super::{Store, notify};
use crate::enforcement::people::Role;
use crate::enforcement::reach::Reach;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// A person as administrators see one; no password, no hash.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable, Selectable, utoipa::ToSchema)]
#[diesel(table_name = people)]
pub struct PersonRecord {
    pub id: Uuid,
    pub phone: String,
    pub name: String,
    pub role: String,
    pub area_code: String,
    pub department: Option<String>,
    pub language: String,
    pub active: bool,
    /// Whether the account can log in: it has a password.
    #[diesel(select_expression = people::password_hash.is_not_null())]
    #[diesel(select_expression_type = diesel::dsl::IsNotNull<people::password_hash>)]
    pub activated: bool,
    pub must_change_password: bool,
    pub locked_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub left_at: Option<DateTime<Utc>>,
}

/// Which people a list shows.
#[derive(Debug, Clone)]
pub struct PeopleQuery {
    pub reach: Reach,
    /// Inside this area, too.
    pub area: Option<Reach>,
    pub roles: Vec<Role>,
    /// Part of name, phone or department.
    pub text: Option<String>,
    pub active: Option<bool>,
    /// Without any duty.
    pub idle: bool,
    /// Phone of the last one of the page before.
    pub after: Option<String>,
    pub limit: i64,
}

/// The SQL twin of [`Reach::holds`].
pub(super) fn reached(
    reach: &Reach,
    column: &'static str,
) -> diesel::expression::SqlLiteral<Bool, impl diesel::query_builder::QueryFragment<Pg>> {
    // Prefixes of digits and letters, so LIKE needs no escapes.
    let plain = |codes: &[String]| -> Vec<String> {
        codes
            .iter()
            .filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()))
            .map(|code| format!("{code}%"))
            .collect()
    };
    let begins: Vec<String> = reach.begins.iter().map(|begins| format!("{begins}%")).collect();
    let only = reach.only.as_deref().map_or_else(|| vec!["%".to_string()], plain);
    diesel::dsl::sql::<Bool>(&format!("({column} LIKE ANY ("))
        .bind::<diesel::sql_types::Array<Text>, _>(begins)
        .sql(&format!(") AND {column} LIKE ANY ("))
        .bind::<diesel::sql_types::Array<Text>, _>(only)
        .sql(&format!(") AND NOT {column} LIKE ANY ("))
        .bind::<diesel::sql_types::Array<Text>, _>(plain(&reach.except))
        .sql("))")
}

/// A page of people, by phone.
pub fn list(conn: &mut PgConnection, query: &PeopleQuery) -> Result<Vec<PersonRecord>> {
    Ok(filtered(query)
        .order(people::phone)
        .limit(query.limit)
        .select(PersonRecord::as_select())
        .load(conn)?)
}

/// How many match, whatever the page.
pub fn count(conn: &mut PgConnection, query: &PeopleQuery) -> Result<i64> {
    let all = PeopleQuery { after: None, ..query.clone() };
    Ok(filtered(&all).count().get_result(conn)?)
}

fn filtered(query: &PeopleQuery) -> people::BoxedQuery<'_, Pg> {
    let mut found = people::table.filter(reached(&query.reach, "area_code")).into_boxed();
    if let Some(area) = &query.area {
        found = found.filter(reached(area, "area_code"));
    }
    if !query.roles.is_empty() {
        let roles: Vec<&str> = query.roles.iter().map(|role| role.as_str()).collect();
        found = found.filter(people::role.eq_any(roles));
    }
    if let Some(text) = &query.text {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let pattern = format!("%{escaped}%");
        found = found.filter(
            people::name
                .ilike(pattern.clone())
                .or(people::phone.like(pattern.clone()))
                .or(people::department.ilike(pattern).is_not_distinct_from(true)),
        );
    }
    if let Some(active) = query.active {
        found = found.filter(people::active.eq(active));
    }
    if query.idle {
        let held = duties::table.filter(duties::person_id.eq(people::id));
        found = found.filter(diesel::dsl::not(diesel::dsl::exists(held)));
    }
    if let Some(after) = &query.after {
        found = found.filter(people::phone.gt(after));
    }
    found
}

/// Somebody within reach; whoever is not does not exist.
pub fn find(conn: &mut PgConnection, id: Uuid, reach: &Reach) -> Result<PersonRecord> {
    people::table
        .find(id)
        .select(PersonRecord::as_select())
        .first(conn)
        .optional()?
        .filter(|person: &PersonRecord| reach.holds(&person.area_code))
        .ok_or_else(nobody)
}

pub(super) fn nobody() -> Fault {
    Fault::not_found("没有这个人员，或不在您的辖区内", "There is no such person in your area")
}

fn objection(objection: Objection) -> Fault {
    let Objection { code, field, zh, en } = objection;
    Fault::new(FaultKind::Invalid, code, zh, en).field(field, code)
}

fn other_area() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "other_area",
        "该区域不在您的辖区内",
        "That area is outside your own",
    )
    .field("area_code", "other_area")
}

/// The data of a new person.
#[derive(Debug, Clone)]
pub struct NewPerson {
    pub id: Uuid,
    pub phone: String,
    pub name: String,
    pub role: Role,
    pub area_code: String,
    pub department: Option<String>,
    pub language: String,
}

/// Makes a person, without a password; a retry gets the first answer.
pub fn create(store: &Store, new: &NewPerson, by: &By, retry: &Retry) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(answer) = first_answer(conn, retry)? {
            return Ok(answer);
        }
        let areas = KnownAreas::load(conn)?;
        let row = PersonRow {
            phone: new.phone.trim().into(),
            name: new.name.trim().into(),
            role: new.role.as_str().into(),
            area_code: new.area_code.trim().into(),
            department: new.department.as_deref().map(str::trim).map(Into::into),
        };
        let row = row.checked(&areas).map_err(objection)?;
        if !by.reach.holds(&row.area_code) {
            return Err(other_area());
        }
        let made = diesel::insert_into(people::table)
            .values((people::id.eq(new.id), people::language.eq(&new.language), &row))
            .on_conflict_do_nothing()
            .execute(conn)?;
        if made == 0 {
            return Err(taken(conn, new.id)?);
        }
        let person = find(conn, new.id, &by.reach)?;
        let entry = Entry {
            after: Some(json!(person)),
            ..by.entry("people.create", format!("person:{}", new.id))
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "people")?;
        let answer = json!(person);
        remember(conn, retry, 201, &answer)?;
        Ok(answer)
    })
}

fn taken(conn: &mut PgConnection, id: Uuid) -> Result<Fault> {
    let same_id: i64 = people::table.filter(people::id.eq(id)).count().get_result(conn)?;
    Ok(match same_id {
        0 => Fault::new(
            FaultKind::Conflict,
            "phone_taken",
            "该手机号已有人员使用",
            "Somebody has this phone already",
        ),
        _ => Fault::new(
            FaultKind::Conflict,
            "id_taken",
            "该编号已被使用",
            "Somebody has this id already",
        ),
    })
}

/// What of a person changes; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct PersonChange {
    pub phone: Option<String>,
    pub name: Option<String>,
    pub role: Option<Role>,
    pub area_code: Option<String>,
    pub department: Option<Option<String>>,
    pub language: Option<String>,
    /// `true` takes back somebody who has left; leaving is [`super::leave::leave`].
    pub active: Option<bool>,
}

/// Changes a person; the same again changes nothing.
pub fn change(store: &Store, id: Uuid, wanted: &PersonChange, by: &By) -> Result<PersonRecord> {
    store.transaction(|conn| {
        let held: Option<Uuid> =
            people::table.find(id).select(people::id).for_update().first(conn).optional()?;
        held.ok_or_else(nobody)?;
        let before = find(conn, id, &by.reach)?;
        if wanted.active == Some(false) && before.active {
            return Err(Fault::new(
                FaultKind::Unprocessable,
                "successor_needed",
                "请使用“离岗交接”并指定接手人",
                "Somebody who leaves hands over to a successor: use `leave`",
            )
            .field("active", "use leave"));
        }
        let areas = KnownAreas::load(conn)?;
        let row = PersonRow {
            phone: wanted.phone.clone().unwrap_or_else(|| before.phone.clone()),
            name: wanted.name.clone().unwrap_or_else(|| before.name.clone()),
            role: wanted.role.map_or_else(|| before.role.clone(), |role| role.as_str().into()),
            area_code: wanted.area_code.clone().unwrap_or_else(|| before.area_code.clone()),
            department: wanted.department.clone().unwrap_or_else(|| before.department.clone()),
        };
        // An area may have been retired since: only a new one must be known.
        let row = match row.area_code == before.area_code {
            true => PersonRow { area_code: "350300".into(), ..row }
                .checked(&KnownAreas::default())
                .map(|row| PersonRow { area_code: before.area_code.clone(), ..row }),
            false => row.checked(&areas),
        };
        let row = row.map_err(objection)?;
        if !by.reach.holds(&row.area_code) {
            return Err(other_area());
        }
        if before.role == Role::Admin.as_str() && row.role != before.role {
            refuse_last_admin(conn, id)?;
        }
        let phone_taken: i64 = people::table
            .filter(people::phone.eq(&row.phone))
            .filter(people::id.ne(id))
            .count()
            .get_result(conn)?;
        if phone_taken > 0 {
            return Err(taken(conn, Uuid::nil())?);
        }
        diesel::update(people::table.find(id))
            .set((
                &row,
                people::language.eq(wanted.language.as_ref().unwrap_or(&before.language)),
                people::active.eq(wanted.active.unwrap_or(before.active)),
                people::left_at.eq(before.left_at.filter(|_| wanted.active != Some(true))),
            ))
            .execute(conn)?;
        let after = find(conn, id, &by.reach)?;
        if after == before {
            return Ok(after);
        }
        let entry = Entry {
            before: Some(json!(before)),
            after: Some(json!(after)),
            ..by.entry("people.change", format!("person:{id}"))
        };
        audit::record(conn, &entry)?;
        notify::notify(conn, "people")?;
        Ok(after)
    })
}

/// Without an administrator nobody could make one.
pub(super) fn refuse_last_admin(conn: &mut PgConnection, leaving: Uuid) -> Result<()> {
    let others: Vec<Uuid> = people::table
        .filter(people::role.eq(Role::Admin.as_str()))
        .filter(people::active)
        .filter(people::id.ne(leaving))
        .select(people::id)
        .for_share()
        .load(conn)?;
    if !others.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        FaultKind::Conflict,
        "last_admin",
        "这是最后一名系统管理员",
        "This is the last administrator",
    ))
}

/// Gives an account a random first password, to be changed at first log-in, and ends its sessions;
/// the password is told once and kept as its hash.
pub fn activate(store: &Store, id: Uuid, by: &By) -> Result<(PersonRecord, String)> {
    let password = random_password();
    // Outside the transaction, which may run several times.
    let hash = accounts::hash_password(&password)?;
    store
        .transaction(|conn| {
            let before = find(conn, id, &by.reach)?;
            if !before.active {
                return Err(Fault::new(
                    FaultKind::Conflict,
                    "has_left",
                    "该人员已离岗",
                    "This person has left",
                ));
            }
            diesel::update(people::table.find(id))
                .set((
                    people::password_hash.eq(&hash),
                    people::must_change_password.eq(true),
                    people::failed_logins.eq(0),
                    people::locked_until.eq(None::<DateTime<Utc>>),
                ))
                .execute(conn)?;
            diesel::delete(sessions::table.filter(sessions::person_id.eq(id))).execute(conn)?;
            audit::record(conn, &by.entry("people.activate", format!("person:{id}")))?;
            find(conn, id, &by.reach)
        })
        .map(|person| (person, password))
}
