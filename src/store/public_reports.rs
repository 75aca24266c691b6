//! Reports of the public: kept apart from cases until somebody at a desk has looked.

use super::reporting::{self, Report, Retry, first_answer, remember};
use super::schema::{cases, people, public_reports};
use super::world::World;
use super::{Store, notify, outbox};
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::messages::{Kind, Notice, Recipients};
use crate::enforcement::permissions::Scope;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A report as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = public_reports)]
pub struct PublicReport {
    pub id: Uuid,
    pub secret_hash: Vec<u8>,
    pub request: Vec<u8>,
    pub received_at: DateTime<Utc>,
    pub lon: f64,
    pub lat: f64,
    pub input_x: f64,
    pub input_y: f64,
    pub input_crs: String,
    pub accuracy_m: Option<f64>,
    pub text: String,
    pub phone: Option<String>,
    pub photos: Value,
    pub place: Value,
    pub city_code: Option<String>,
    pub district_code: Option<String>,
    pub functional_area_code: Option<String>,
    pub town_code: Option<String>,
    pub village_code: Option<String>,
    pub state: String,
    pub case_id: Option<Uuid>,
    pub reason: Option<String>,
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<DateTime<Utc>>,
}

/// A photo of a report; it becomes an attachment of the case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Photo {
    /// The attachment it becomes.
    pub id: Uuid,
    #[serde(with = "hex::serde")]
    pub sha256: Vec<u8>,
    pub media_type: String,
    pub bytes: i64,
}

impl PublicReport {
    /// Where it is, as rights see it.
    pub fn codes(&self) -> PlaceCodes {
        PlaceCodes {
            city: self.city_code.clone(),
            district: self.district_code.clone(),
            functional_areas: self.functional_area_code.clone().into_iter().collect(),
            town: self.town_code.clone(),
            village: self.village_code.clone(),
            cell: None,
        }
    }

    pub fn photos(&self) -> Vec<Photo> {
        serde_json::from_value(self.photos.clone()).unwrap_or_default()
    }
}

/// Takes in a report and tells the desk; the same again gives the first one.
pub fn take_in(store: &Store, new: &PublicReport) -> Result<PublicReport> {
    store.transaction(|conn| {
        let inserted = diesel::insert_into(public_reports::table)
            .values(new)
            .on_conflict(public_reports::secret_hash)
            .do_nothing()
            .execute(conn)?;
        let kept = by_secret(conn, &new.secret_hash)?
            .ok_or_else(|| Fault::internal("a public report vanished"))?;
        if inserted == 0 {
            if kept.request != new.request {
                return Err(Fault::new(
                    FaultKind::Conflict,
                    "id_taken",
                    "该编号已用于另一份内容不同的举报",
                    "This id was already used with another content",
                ));
            }
            return Ok(kept);
        }
        let place = new.codes();
        let named = serde_json::from_value(new.place.clone()).unwrap_or_default();
        let place_in = |language| {
            crate::enforcement::messages::place_text(&named, (new.lon, new.lat), language)
        };
        let facts = BTreeMap::from([
            ("public_report_id", new.id.to_string()),
            ("place_zh", place_in(crate::error::Language::Chinese)),
            ("place_en", place_in(crate::error::Language::English)),
            ("text", new.text.clone()),
        ]);
        let notice = Notice {
            key: new.id,
            kind: Kind::PublicReport,
            case_id: None,
            actor: None,
            to: vec![Recipients::Desk(place)],
            facts,
        };
        outbox::enqueue(conn, &notice)?;
        Ok(kept)
    })
}

/// The report behind a link.
pub fn by_secret(conn: &mut PgConnection, secret_hash: &[u8]) -> Result<Option<PublicReport>> {
    Ok(public_reports::table
        .filter(public_reports::secret_hash.eq(secret_hash))
        .select(PublicReport::as_select())
        .first(conn)
        .optional()?)
}

/// Number and status of a case, as its reporter may know them.
pub fn case_of(conn: &mut PgConnection, id: Uuid) -> Result<Option<(String, String)>> {
    Ok(cases::table.find(id).select((cases::number, cases::status)).first(conn).optional()?)
}

type Condition =
    Box<dyn BoxableExpression<public_reports::table, Pg, SqlType = diesel::sql_types::Bool>>;

/// The SQL twin of [`Scope::holds`].
fn within(scope: &Scope) -> Condition {
    use public_reports as t;
    let code = Some(scope.code().to_string());
    match scope {
        Scope::City(_) => {
            Box::new(t::city_code.is_not_distinct_from(code).or(t::city_code.is_null()))
        }
        Scope::District(_) => Box::new(
            t::district_code.is_not_distinct_from(code).and(t::functional_area_code.is_null()),
        ),
        Scope::FunctionalArea(_) => Box::new(t::functional_area_code.is_not_distinct_from(code)),
        Scope::Town(_) => Box::new(t::town_code.is_not_distinct_from(code)),
        Scope::Village(_) => Box::new(t::village_code.is_not_distinct_from(code)),
        Scope::Nothing => Box::new(diesel::dsl::sql::<diesel::sql_types::Bool>("FALSE")),
    }
}

/// Reports of an area, newest first.
pub fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    states: &[String],
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<PublicReport>> {
    use public_reports as t;
    let mut found = t::table.filter(within(scope)).select(PublicReport::as_select()).into_boxed();
    if !states.is_empty() {
        found = found.filter(t::state.eq_any(states));
    }
    if let Some((at, id)) = after {
        found = found.filter(t::received_at.lt(at).or(t::received_at.eq(at).and(t::id.lt(id))));
    }
    Ok(found.order((t::received_at.desc(), t::id.desc())).limit(limit).load(conn)?)
}

fn no_such_report() -> Fault {
    Fault::not_found("没有这条举报", "There is no such report")
}

/// A report of an area.
pub fn find(conn: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<PublicReport> {
    let found: Option<PublicReport> =
        public_reports::table.find(id).select(PublicReport::as_select()).first(conn).optional()?;
    found.filter(|report| scope.holds(&report.codes())).ok_or_else(no_such_report)
}

/// The same, held until the transaction ends, and not decided yet.
fn undecided(conn: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<PublicReport> {
    let held: Option<PublicReport> = public_reports::table
        .find(id)
        .for_update()
        .select(PublicReport::as_select())
        .first(conn)
        .optional()?;
    let held = held.filter(|report| scope.holds(&report.codes())).ok_or_else(no_such_report)?;
    if held.state == "new" {
        return Ok(held);
    }
    Err(Fault::new(
        FaultKind::Conflict,
        "wrong_state",
        "该举报已经处理",
        "This report has been dealt with already",
    ))
}

fn decide(
    conn: &mut PgConnection,
    report: &mut PublicReport,
    by: Uuid,
    case_id: Option<Uuid>,
    reason: Option<String>,
    now: DateTime<Utc>,
) -> Result<()> {
    report.state = if case_id.is_some() { "accepted" } else { "declined" }.into();
    report.case_id = case_id;
    report.reason = reason;
    report.decided_by = Some(by);
    report.decided_at = Some(now);
    diesel::update(public_reports::table.find(report.id))
        .set((
            public_reports::state.eq(&report.state),
            public_reports::case_id.eq(report.case_id),
            public_reports::reason.eq(&report.reason),
            public_reports::decided_by.eq(report.decided_by),
            public_reports::decided_at.eq(report.decided_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Makes a case of a report, by the way every case is made; its photos become the case's. A retry
/// gets the first answer, which `answer` makes of the report and the case.
pub fn accept(
    store: &Store,
    world: &World,
    scope: &Scope,
    id: Uuid,
    case: &Report,
    retry: &Retry,
    answer: impl Fn(&mut PgConnection, &PublicReport, Value) -> Result<Value>,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(first) = first_answer(conn, retry)? {
            return Ok(first);
        }
        let mut report = undecided(conn, scope, id)?;
        let made = reporting::report_on(conn, world, case)?;
        decide(conn, &mut report, retry.person, Some(case.id), None, Utc::now())?;
        for (n, photo) in (1..).zip(report.photos()) {
            attach(conn, case.id, &report, n, &photo)?;
        }
        let accepted = answer(conn, &report, made)?;
        remember(conn, retry, 200, &accepted)?;
        notify::notify(conn, "cases")?;
        Ok(accepted)
    })
}

fn attach(
    conn: &mut PgConnection,
    case_id: Uuid,
    report: &PublicReport,
    n: usize,
    photo: &Photo,
) -> Result<()> {
    use super::schema::attachments;
    let extension = photo.media_type.rsplit('/').next().unwrap_or("jpeg");
    diesel::insert_into(attachments::table)
        .values((
            attachments::id.eq(photo.id),
            attachments::case_id.eq(case_id),
            attachments::sha256.eq(&photo.sha256),
            attachments::media_type.eq(&photo.media_type),
            attachments::bytes.eq(photo.bytes),
            attachments::file_name.eq(format!("public-{n}.{extension}")),
            attachments::uploaded_by.eq(None::<Uuid>),
            attachments::uploaded_at.eq(report.received_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Declines a report, with a reason for its reporter.
pub fn decline(
    store: &Store,
    scope: &Scope,
    id: Uuid,
    reason: &str,
    retry: &Retry,
    answer: impl Fn(&mut PgConnection, &PublicReport) -> Result<Value>,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(first) = first_answer(conn, retry)? {
            return Ok(first);
        }
        let mut report = undecided(conn, scope, id)?;
        decide(conn, &mut report, retry.person, None, Some(reason.to_string()), Utc::now())?;
        let declined = answer(conn, &report)?;
        remember(conn, retry, 200, &declined)?;
        Ok(declined)
    })
}

/// The name of who decided.
pub fn decider(conn: &mut PgConnection, report: &PublicReport) -> Result<Option<String>> {
    let Some(id) = report.decided_by else { return Ok(None) };
    Ok(people::table.find(id).select(people::name).first(conn).optional()?)
}
