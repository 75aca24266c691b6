//! The outbox: what happened is told to people in the transaction in which it happened.

use super::notify;
use super::schema::{cases, deliveries, messages, people, push_subscriptions, settings};
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::messages::{
    self as rules, CaseFacts, Facts, Kind, Notice, Overrides, Recipients, RoleAt, render,
};
use crate::enforcement::settings::{Channel, StandingRecipient, Webhook};
use crate::error::{Fault, Language, Result};
use chrono::{SubsecRound, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Writes the messages of a notice, one for each active recipient, within the caller's
/// transaction; together with what has to leave the house. A recipient who has a message with the
/// same key already gets none. The case, where there is one, must be in the store by then.
pub fn enqueue(conn: &mut PgConnection, notice: &Notice) -> Result<()> {
    enqueue_all(conn, std::slice::from_ref(notice))
}

/// [`enqueue`] of several notices in their order, in fewer questions to the store where they are
/// about the same case.
pub fn enqueue_all(conn: &mut PgConnection, notices: &[Notice]) -> Result<()> {
    let settings = Settings::load(conn)?;
    let mut case: Option<(Uuid, Case)> = None;
    let mut written = false;
    for notice in notices {
        let held = case.as_ref().map(|(id, _)| *id);
        if let Some(id) = notice.case_id.filter(|id| held != Some(*id)) {
            case = Some((id, Case::load(conn, id)?));
        }
        let about = case.as_ref().filter(|_| notice.case_id.is_some()).map(|(_, case)| case);
        written |= write(conn, notice, about, &settings, None)?;
    }
    if written {
        notify::notify(conn, "messages")?;
    }
    Ok(())
}

/// [`enqueue`] of an answer to a message.
pub(super) fn enqueue_reply(
    conn: &mut PgConnection,
    notice: &Notice,
    in_reply_to: Uuid,
) -> Result<()> {
    let settings = Settings::load(conn)?;
    let case = match notice.case_id {
        Some(id) => Some(Case::load(conn, id)?),
        None => None,
    };
    if write(conn, notice, case.as_ref(), &settings, Some(in_reply_to))? {
        notify::notify(conn, "messages")?;
    }
    Ok(())
}

/// Writes the messages of one notice; says whether there were any.
fn write(
    conn: &mut PgConnection,
    notice: &Notice,
    case: Option<&Case>,
    settings: &Settings,
    in_reply_to: Option<Uuid>,
) -> Result<bool> {
    let people = resolve(conn, notice, case.map(|case| &case.place), &settings.standing)?;
    if people.is_empty() {
        return Ok(false);
    }
    let actor = match notice.actor {
        Some(id) => people::table.find(id).select(people::name).first(conn).optional()?,
        None => None,
    };
    let mut facts = Facts {
        case: case.map(|case| case.facts.clone()),
        name: String::new(),
        actor,
        given: notice.facts.iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect(),
    };
    let now = Utc::now().trunc_subsecs(6);
    let about = |fact: &str| notice.facts.get(fact).and_then(|id| id.parse::<Uuid>().ok());
    let mut rows = Vec::with_capacity(people.len());
    for (id, person) in people {
        facts.name = person.name;
        rows.push((
            messages::id.eq(Uuid::now_v7()),
            messages::key.eq(notice.key),
            messages::recipient_id.eq(id),
            messages::kind.eq(notice.kind.as_str()),
            messages::case_id.eq(notice.case_id),
            messages::task_id.eq(about("task_id")),
            messages::public_report_id.eq(about("public_report_id")),
            messages::actor_id.eq(notice.actor),
            messages::text.eq(render(notice.kind, &settings.templates, &facts, person.language)),
            messages::in_reply_to.eq(in_reply_to),
            messages::created_at.eq(now),
        ));
    }
    let mut written: Vec<(Uuid, Uuid)> = Vec::with_capacity(rows.len());
    // One statement binds at most 65,535 values.
    for chunk in rows.chunks(4000) {
        let chunk: Vec<_> = chunk.to_vec();
        written.extend(
            diesel::insert_into(messages::table)
                .values(chunk)
                .on_conflict((messages::key, messages::recipient_id))
                .do_nothing()
                .returning((messages::id, messages::recipient_id))
                .get_results::<(Uuid, Uuid)>(conn)?,
        );
    }
    if written.is_empty() {
        return Ok(false);
    }
    deliver(conn, &written, rules::channels(&settings.webhook, notice.kind))?;
    Ok(true)
}

/// What settings say about messages; read in the transaction, so that every process obeys at once.
struct Settings {
    templates: Overrides,
    standing: Vec<StandingRecipient>,
    webhook: Webhook,
}

impl Settings {
    fn load(conn: &mut PgConnection) -> Result<Self> {
        let keys = ["message_templates", "standing_recipients", "webhook"];
        let mut values: HashMap<String, Value> = settings::table
            .filter(settings::key.eq_any(keys))
            .select((settings::key, settings::value))
            .load::<(String, Value)>(conn)?
            .into_iter()
            .collect();
        let [templates, standing, webhook] = keys.map(|key| values.remove(key));
        Ok(Self {
            templates: usable("message_templates", templates),
            standing: usable("standing_recipients", standing),
            webhook: usable("webhook", webhook),
        })
    }
}

/// A setting's value. One that cannot be read, written by another version say, must not keep
/// messages from being sent: it counts as not set.
fn usable<T: DeserializeOwned + Default>(key: &str, value: Option<Value>) -> T {
    let Some(value) = value else { return T::default() };
    serde_json::from_value(value).unwrap_or_else(|error| {
        tracing::error!(key, %error, "a setting cannot be read and counts as not set");
        T::default()
    })
}

/// The setting of the webhook.
pub fn webhook(conn: &mut PgConnection) -> Result<Webhook> {
    let value: Option<Value> =
        settings::table.find("webhook").select(settings::value).first(conn).optional()?;
    Ok(usable("webhook", value))
}

struct Case {
    facts: CaseFacts,
    place: PlaceCodes,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = cases)]
struct CaseColumns {
    number: String,
    place: Value,
    lon: f64,
    lat: f64,
    nature: String,
    party_name: Option<String>,
    area_m2: Option<f64>,
    basic_farmland_m2: f64,
    farmland_m2: f64,
    non_farmland_m2: f64,
    homestead_m2: f64,
    mine_m2: f64,
    assignee_id: Option<Uuid>,
    city_code: Option<String>,
    district_code: Option<String>,
    functional_area_code: Option<String>,
    town_code: Option<String>,
    village_code: Option<String>,
    cell_code: Option<String>,
}

impl Case {
    fn load(conn: &mut PgConnection, id: Uuid) -> Result<Self> {
        let row: Option<CaseColumns> =
            cases::table.find(id).select(CaseColumns::as_select()).first(conn).optional()?;
        let row = row.ok_or_else(|| Fault::internal("a message about a case that is not there"))?;
        let responsible = match row.assignee_id {
            Some(id) => people::table.find(id).select(people::name).first(conn).optional()?,
            None => None,
        };
        let counted = row.basic_farmland_m2
            + row.farmland_m2
            + row.non_farmland_m2
            + row.homestead_m2
            + row.mine_m2;
        Ok(Self {
            facts: CaseFacts {
                number: row.number,
                place: serde_json::from_value(row.place).unwrap_or_default(),
                position: (row.lon, row.lat),
                nature: row.nature,
                party: row.party_name,
                area_m2: row.area_m2.or((counted > 0.0).then_some(counted)),
                responsible,
            },
            place: PlaceCodes {
                city: row.city_code,
                district: row.district_code,
                functional_areas: row.functional_area_code.into_iter().collect(),
                town: row.town_code,
                village: row.village_code,
                cell: row.cell_code,
            },
        })
    }
}

struct Recipient {
    name: String,
    language: Language,
}

/// The people behind recipients, each once, in the order of their ids: transactions that write
/// messages with one key to the same people then wait for each other and never deadlock.
fn resolve(
    conn: &mut PgConnection,
    notice: &Notice,
    place: Option<&PlaceCodes>,
    standing: &[StandingRecipient],
) -> Result<BTreeMap<Uuid, Recipient>> {
    let mut to = notice.to.clone();
    if let Some(place) = place.or_else(|| place_named(notice)) {
        to.extend(rules::standing(standing, notice.kind, place));
    }
    let mut found = BTreeMap::new();
    let mut persons: Vec<Uuid> = Vec::new();
    // What needs no looking at one level before the next is asked for at once.
    let mut roles: Vec<RoleAt> = Vec::new();
    for recipients in &to {
        if let Recipients::Person(id) = recipients {
            persons.push(*id);
        }
        if let Recipients::Department { area, name } = recipients {
            let in_it = people::department.is_not_distinct_from(Some(name.clone()));
            add(conn, &mut found, Box::new(in_it.and(within_area(area))), notice.actor)?;
        }
        match recipients.roles().unwrap_or_default().as_slice() {
            [only] => roles.extend(only.iter().cloned()),
            groups => {
                for group in groups {
                    if add(conn, &mut found, in_roles(group), notice.actor)? > 0 {
                        break;
                    }
                }
            }
        }
    }
    if !roles.is_empty() {
        add(conn, &mut found, in_roles(&roles), notice.actor)?;
    }
    if !persons.is_empty() {
        add(conn, &mut found, Box::new(people::id.eq_any(persons)), None)?;
    }
    Ok(found)
}

/// In any of these roles, in its area.
fn in_roles(roles: &[RoleAt]) -> Condition {
    let none: Condition = Box::new(diesel::dsl::sql::<Bool>("FALSE"));
    roles.iter().fold(none, |others, (role, area)| -> Condition {
        let in_role = people::role.eq(role.as_str());
        match area {
            Some(area) => Box::new(others.or(in_role.and(people::area_code.eq(area.clone())))),
            None => Box::new(others.or(in_role)),
        }
    })
}

/// The place that a notice without a case addresses, for standing recipients.
fn place_named(notice: &Notice) -> Option<&PlaceCodes> {
    notice.to.iter().find_map(|recipients| match recipients {
        Recipients::LeadersOf(place)
        | Recipients::LeadersAt { place, .. }
        | Recipients::Reviewers(place)
        | Recipients::Dispatchers(place)
        | Recipients::Desk(place) => Some(place),
        _ => None,
    })
}

type Condition = Box<dyn BoxableExpression<people::table, Pg, SqlType = Bool>>;

/// An area and those below, by code. A functional area's towns keep their district's codes, so
/// it holds those that name it.
pub(super) fn within_area(area: &str) -> Condition {
    let prefix = match area.len() {
        6 if area.ends_with("00") => &area[..4],
        _ => area,
    };
    let digits: String = prefix.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Box::new(diesel::dsl::sql::<Bool>("FALSE"));
    }
    Box::new(people::area_code.like(format!("{digits}%")))
}

/// Adds active people who meet a condition; gives how many there are, `except` left out.
fn add(
    conn: &mut PgConnection,
    found: &mut BTreeMap<Uuid, Recipient>,
    condition: Condition,
    except: Option<Uuid>,
) -> Result<usize> {
    let rows: Vec<(Uuid, String, String)> = people::table
        .filter(people::active)
        .filter(condition)
        .select((people::id, people::name, people::language))
        .load(conn)?;
    let mut count = 0;
    for (id, name, language) in rows {
        if Some(id) == except {
            continue;
        }
        let language = if language == "en" { Language::English } else { Language::Chinese };
        found.insert(id, Recipient { name, language });
        count += 1;
    }
    Ok(count)
}

/// Notes what has to leave the house: to each browser of the recipients, and by the channels
/// chosen for the kind.
fn deliver(conn: &mut PgConnection, written: &[(Uuid, Uuid)], channels: &[Channel]) -> Result<()> {
    let recipients: Vec<Uuid> = written.iter().map(|(_, recipient)| *recipient).collect();
    let subscriptions: Vec<(Uuid, Uuid)> = push_subscriptions::table
        .filter(push_subscriptions::person_id.eq_any(recipients))
        .select((push_subscriptions::id, push_subscriptions::person_id))
        .load(conn)?;
    let mut rows = Vec::new();
    for (message, recipient) in written {
        let row = |channel: &str, subscription: Option<Uuid>| {
            (
                deliveries::message_id.eq(*message),
                deliveries::channel.eq(channel.to_string()),
                deliveries::subscription_id.eq(subscription),
            )
        };
        let own = subscriptions.iter().filter(|(_, person)| person == recipient);
        rows.extend(own.map(|(subscription, _)| row("push", Some(*subscription))));
        rows.extend(channels.iter().map(|channel| row(channel.as_str(), None)));
    }
    for chunk in rows.chunks(4000) {
        diesel::insert_into(deliveries::table).values(chunk.to_vec()).execute(conn)?;
    }
    Ok(())
}

/// A key for a notice that two parts of the program agree on without asking each other.
pub fn key(subject: Uuid, what: &str) -> Uuid {
    Uuid::new_v5(&subject, what.as_bytes())
}

/// The kind of a stored message.
pub fn kind(name: &str) -> Result<Kind> {
    Kind::parse(name).ok_or_else(|| Fault::internal("unknown kind of message in store"))
}
