//! Lists and counts of cases: the SQL twin of [`CaseFilter::admits`].

use super::case_feed::PAST_CLOSING_DAYS;
use super::cases::CaseRow;
use super::schema::cases;
use crate::atlas::category::Category;
use crate::error::Result;
use crate::tiles::cases::category_bit;
use crate::tiles::cases::{CaseFilter, CaseNature, CaseSource, CaseStatus, Choice, Unplaced};
use crate::tiles::filter::{OPEN, Span};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use uuid::Uuid;

/// A page of cases: which, after which, how many.
#[derive(Debug, Clone, Default)]
pub struct CaseQuery {
    pub filter: CaseFilter,
    /// The last case of the page before.
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

type Boxed<'a> = cases::BoxedQuery<'a, Pg>;

/// A page of cases, newest first.
pub fn list(conn: &mut PgConnection, query: &CaseQuery) -> Result<Vec<CaseRow>> {
    let mut found = filtered(&query.filter);
    if let Some((reported_at, id)) = query.after {
        found = found.filter(
            cases::reported_at
                .lt(reported_at)
                .or(cases::reported_at.eq(reported_at).and(cases::id.lt(id))),
        );
    }
    Ok(found
        .order((cases::reported_at.desc(), cases::id.desc()))
        .limit(query.limit)
        .select(CaseRow::as_select())
        .load(conn)?)
}

/// How many cases a filter admits.
pub fn count(conn: &mut PgConnection, filter: &CaseFilter) -> Result<i64> {
    Ok(filtered(filter).count().get_result(conn)?)
}

fn moment(seconds: i64) -> DateTime<Utc> {
    let outermost = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(outermost)
}

fn chosen<T: Copy>(
    choice: Choice,
    all: &[T],
    named: impl Fn(T) -> (u16, &'static str),
) -> Option<Vec<&'static str>> {
    if choice.is_any() {
        return None;
    }
    Some(all.iter().map(|v| named(*v)).filter(|(b, _)| choice.admits(*b)).map(|(_, w)| w).collect())
}

fn filtered(filter: &CaseFilter) -> Boxed<'_> {
    let mut found = cases::table.into_boxed();
    for area in [&filter.scope, &filter.area, &filter.within].into_iter().flatten() {
        found = within(found, area);
    }
    if let Some([west, south, east, north]) = filter.degrees() {
        found =
            found.filter(cases::lon.between(west, east)).filter(cases::lat.between(south, north));
    }
    if let Some(words) = chosen(filter.status, CaseStatus::ALL, |v| (v.bit(), v.as_str())) {
        found = found.filter(cases::status.eq_any(words));
    }
    if let Some(words) = chosen(filter.nature, CaseNature::ALL, |v| (v.bit(), v.as_str())) {
        found = found.filter(cases::nature.eq_any(words));
    }
    if let Some(words) = chosen(filter.source, CaseSource::ALL, |v| (v.bit(), v.as_str())) {
        found = found.filter(cases::source.eq_any(words));
    }
    let categories = |choice| chosen(choice, &Category::ALL, |v| (category_bit(v), v.as_str()));
    if let Some(words) = categories(filter.category) {
        // In memory a case without a place has no category.
        found = found.filter(cases::category.eq_any(words)).filter(cases::placed.ne("none"));
    }
    if let Some(words) = categories(filter.takes) {
        let test: Vec<String> = words.iter().map(|word| format!("{word}_m2 > 0")).collect();
        found = found.filter(raw(&format!("({})", test.join(" OR "))));
    }
    if let Some(from) = filter.from {
        found = found.filter(cases::reported_at.ge(moment(from)));
    }
    if let Some(until) = filter.until {
        found = found.filter(cases::reported_at.lt(moment(until)));
    }
    found = spanned(found, "closed_at", filter.closed);
    found = spanned(found, "demolished_at", filter.demolished);
    if !filter.demolished.is_any() {
        found = found.filter(raw("demolished_m2 > 0"));
    }
    found = spanned(found, &close_due(), filter.close_due);
    found = people(found, filter);
    found = flags(found, filter);
    if let Some(text) = filter.text.as_deref() {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        let pattern = format!("%{escaped}%");
        found = found.filter(
            cases::number
                .ilike(pattern.clone())
                .or(cases::party_name.ilike(pattern.clone()).is_not_distinct_from(true))
                .or(cases::description.ilike(pattern.clone()).is_not_distinct_from(true))
                .or(cases::cell_code.ilike(pattern).is_not_distinct_from(true)),
        );
    }
    found
}

/// A condition of our own making: no part of it comes from outside.
fn raw(sql: &str) -> diesel::expression::SqlLiteral<Bool> {
    diesel::dsl::sql::<Bool>(sql)
}

fn spanned<'a>(mut found: Boxed<'a>, column: &str, span: Span) -> Boxed<'a> {
    if let Some(from) = span.from {
        let test = raw(&format!("{column} >= ")).bind::<Timestamptz, _>(moment(from));
        found = found.filter(test);
    }
    if let Some(until) = span.until {
        let test = raw(&format!("{column} < ")).bind::<Timestamptz, _>(moment(until));
        found = found.filter(test);
    }
    found
}

/// The deadline for closing, as `case_feed` gives it to past cases too.
fn close_due() -> String {
    format!(
        "coalesce(close_due_at, CASE WHEN imported THEN reported_at + {PAST_CLOSING_DAYS} * interval '24 hours' END)"
    )
}

fn people<'a>(mut found: Boxed<'a>, filter: &CaseFilter) -> Boxed<'a> {
    if let Some(assignee) = filter.assignee {
        found = found.filter(cases::assignee_id.eq(assignee));
    }
    if let Some(assignees) = &filter.assignees {
        let assignees = assignees.to_vec();
        found = if filter.no_department {
            found.filter(cases::assignee_id.is_null().or(cases::assignee_id.ne_all(assignees)))
        } else {
            found.filter(cases::assignee_id.eq_any(assignees))
        };
    }
    if let Some(reporter) = filter.reporter {
        found = found.filter(cases::reporter_id.eq(reporter));
    }
    found
}

fn flags<'a>(mut found: Boxed<'a>, filter: &CaseFilter) -> Boxed<'a> {
    let open: Vec<String> = OPEN.iter().map(|s| format!("'{}'", s.as_str())).collect();
    let open = format!("status IN ({})", open.join(", "));
    let total = "basic_farmland_m2 + farmland_m2 + non_farmland_m2 + homestead_m2 + mine_m2";
    // To the second, as the memory holds it.
    let in_time = |done: &str, due: &str| {
        format!("date_trunc('second', {done}) <= date_trunc('second', {due})")
    };
    for (wanted, test) in [
        (filter.cadre, "party_is_cadre".to_string()),
        (filter.open, open.clone()),
        (filter.without_area, format!("NOT ({total} > 0)")),
        (filter.imported, "imported".into()),
        (filter.closed_in_time, in_time("closed_at", &close_due())),
        (filter.stopped_in_time, in_time("stopped_at", "stop_due_at")),
        (filter.applied, "applied_at IS NOT NULL".into()),
        (filter.returned, "times_returned > 0".into()),
        (filter.extended, "times_extended > 0".into()),
    ] {
        if let Some(wanted) = wanted {
            found = found.filter(raw(&format!("coalesce({test}, false) = {wanted}")));
        }
    }
    if let Some(wanted) = filter.new_build {
        found = found.filter(cases::new_build.eq(wanted));
    }
    if let Some(wanted) = filter.overdue {
        found = found.filter(
            raw(&format!("coalesce({open} AND due_at < "))
                .bind::<Timestamptz, _>(moment(filter.as_of))
                .sql(&format!(", false) = {wanted}")),
        );
    }
    if let Some(seconds) = filter.visited_within {
        found = found.filter(
            raw("date_trunc('second', visited_at) <= date_trunc('second', reported_at) + ")
                .bind::<BigInt, _>(seconds)
                .sql(" * interval '1 second'"),
        );
    }
    if let Some(level) = filter.unplaced {
        found = found.filter(raw(match level {
            Unplaced::Anywhere => "city_code IS NULL",
            Unplaced::District => "district_code IS NULL AND functional_area_code IS NULL",
            Unplaced::Town => "town_code IS NULL",
            Unplaced::Village => "village_code IS NULL",
        }));
    }
    found
}

/// The SQL twin of [`crate::tiles::cases::CasePlace::is_within`].
fn within<'a>(found: Boxed<'a>, area: &str) -> Boxed<'a> {
    let code = || area.to_string();
    let functional = || raw("(functional_area_code = ").bind::<Text, _>(code());
    match area.len() {
        0 => found.filter(raw("FALSE")),
        9 => found.filter(functional().sql(" OR town_code = ").bind::<Text, _>(code()).sql(")")),
        12 => {
            found.filter(functional().sql(" OR village_code = ").bind::<Text, _>(code()).sql(")"))
        }
        6 => {
            let rest = if area.ends_with("00") { " OR city_code IS NULL)" } else { ")" };
            found.filter(
                functional()
                    .sql(" OR city_code = ")
                    .bind::<Text, _>(code())
                    .sql(" OR (functional_area_code IS NULL AND district_code = ")
                    .bind::<Text, _>(code())
                    .sql(")")
                    .sql(rest),
            )
        }
        _ => found.filter(functional().sql(" OR cell_code = ").bind::<Text, _>(code()).sql(")")),
    }
}
