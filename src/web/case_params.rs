//! The one filter over cases as query parameters: the same for lists, counts, exports, tiles,
//! reports, the time line and hotspots.

use super::areas::find_area;
use super::params::{self, wrong};
use super::session::Account;
use crate::atlas::category::Category;
use crate::error::{Fault, Result};
use crate::statistics::rates::NO_DEPARTMENT;
use crate::store::world::World;
use crate::tiles::cases::{
    CaseFilter, CaseNature, CaseSource, CaseStatus, Choice, Unplaced, category_bit,
};
use crate::tiles::filter::Span;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Which cases are meant; without any of these, all within the account's area.
#[derive(Debug, Default, Clone, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct CaseParams {
    /// Code of a city, district, functional area, town, village or cell
    pub area: Option<String>,
    /// A second area that must hold the case, too
    pub within: Option<String>,
    /// West,south,east,north in degrees
    pub bbox: Option<String>,
    /// Comma-separated
    pub status: Option<String>,
    /// Comma-separated
    pub nature: Option<String>,
    /// Land category at the point; comma-separated
    pub category: Option<String>,
    /// Cases that take land of one of these categories; comma-separated
    pub takes: Option<String>,
    /// Comma-separated
    pub source: Option<String>,
    /// New (true) or existing (false) building
    pub new_build: Option<String>,
    /// The party is a party member or cadre
    pub cadre: Option<String>,
    /// First day (Shanghai) or RFC 3339 time of the report
    pub from: Option<String>,
    /// Last day, included, or RFC 3339 time
    pub to: Option<String>,
    /// The same of the closing
    pub closed_from: Option<String>,
    pub closed_to: Option<String>,
    /// The same of the demolition
    pub demolished_from: Option<String>,
    pub demolished_to: Option<String>,
    /// The same of the deadline for closing
    pub close_due_from: Option<String>,
    pub close_due_to: Option<String>,
    /// Neither closed nor rejected, duplicate or transferred
    pub open: Option<String>,
    /// Open and past the present step's deadline, at `as_of`
    pub overdue: Option<String>,
    /// RFC 3339; the moment `overdue` is judged at, now by default
    pub as_of: Option<String>,
    /// Without any m²
    pub without_area: Option<String>,
    /// `true`: no place at all (未定位); `district`, `town`, `village`: none of that level
    pub unplaced: Option<String>,
    /// From a table of past cases
    pub imported: Option<String>,
    /// Closed by its deadline for closing
    pub closed_in_time: Option<String>,
    /// Surely stopped by its deadline for that
    pub stopped_in_time: Option<String>,
    /// First visited within so many seconds of the report
    pub visited_within: Option<String>,
    /// Somebody applied to close it
    pub applied: Option<String>,
    /// Sent back at least once
    pub returned: Option<String>,
    /// A deadline was extended at least once
    pub extended: Option<String>,
    /// Id or phone of the responsible person, or `me`
    pub assignee: Option<String>,
    /// Department of the responsible person; `-`: of none
    pub department: Option<String>,
    /// Id or phone of who found it, or `me`
    pub reporter: Option<String>,
    /// Part of number, party, description or cell code
    pub q: Option<String>,
}

/// The parameters of a resource beside the filter.
pub type Others = BTreeMap<String, String>;

/// Splits a query string into the filter's parameters and those named besides; any other is
/// refused, and one given twice.
pub fn split(query: &str, others: &[&str]) -> Result<(CaseParams, Others)> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Fault::invalid(format!("查询参数有误：{error}"), format!("The query is wrong: {error}"))
    };
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|error| unreadable(&error))?
        .into_inner();
    let mut own = serde_json::Map::new();
    let mut rest = Others::new();
    for (name, value) in pairs {
        let known = if others.contains(&name.as_str()) {
            rest.insert(name.clone(), value).is_some()
        } else {
            own.insert(name.clone(), value.into()).is_some()
        };
        if known {
            return Err(wrong(&name, "given twice"));
        }
    }
    let params = serde_json::from_value(own.into()).map_err(|error| unreadable(&error))?;
    Ok((params, rest))
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|v| !v.is_empty())
}

fn flag(name: &str, value: &Option<String>) -> Result<Option<bool>> {
    match given(value) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(wrong(name, "true or false")),
    }
}

fn span(name: &str, from: &Option<String>, to: &Option<String>) -> Result<Span> {
    let (first, last) = if name.is_empty() {
        ("from".to_string(), "to".to_string())
    } else {
        (format!("{name}_from"), format!("{name}_to"))
    };
    let span = Span {
        from: params::period_start(&first, from.as_deref())?.map(|t| t.timestamp()),
        until: params::period_end(&last, to.as_deref())?.map(|t| t.timestamp()),
    };
    if span.from.zip(span.until).is_some_and(|(from, until)| from >= until) {
        return Err(wrong(&first, &format!("{first} must not be after {last}")));
    }
    Ok(span)
}

fn choice(
    name: &str,
    value: &Option<String>,
    bit_of: impl Fn(&str) -> Option<u16>,
) -> Result<Choice> {
    let mut choice = Choice::ANY;
    for word in params::words(name, value.as_deref(), |word| bit_of(word).is_some())? {
        choice.insert(bit_of(&word).unwrap_or(0));
    }
    Ok(choice)
}

/// The longest text to search for, characters.
const MAX_TEXT: usize = 200;

fn short_text(name: &str, value: &Option<String>) -> Result<Option<Box<str>>> {
    match given(value) {
        Some(text) if text.chars().count() > MAX_TEXT || text.contains('\0') => {
            Err(wrong(name, &format!("at most {MAX_TEXT} characters")))
        }
        text => Ok(text.map(Into::into)),
    }
}

impl CaseParams {
    /// The filter, within what the viewer may see. Moments are whole seconds.
    pub fn filter(
        &self,
        world: &World,
        account: &Account,
        now: DateTime<Utc>,
    ) -> Result<CaseFilter> {
        let reported = span("", &self.from, &self.to)?;
        let category = |w: &str| Category::parse(w).map(category_bit);
        let overdue = flag("overdue", &self.overdue)?;
        let as_of = match given(&self.as_of) {
            Some(_) => params::period_start("as_of", self.as_of.as_deref())?,
            None => None,
        };
        let department = short_text("department", &self.department)?;
        Ok(CaseFilter {
            from: reported.from,
            until: reported.until,
            closed: span("closed", &self.closed_from, &self.closed_to)?,
            demolished: span("demolished", &self.demolished_from, &self.demolished_to)?,
            close_due: span("close_due", &self.close_due_from, &self.close_due_to)?,
            status: choice("status", &self.status, |w| CaseStatus::parse(w).map(CaseStatus::bit))?,
            nature: choice("nature", &self.nature, |w| CaseNature::parse(w).map(CaseNature::bit))?,
            category: choice("category", &self.category, category)?,
            takes: choice("takes", &self.takes, category)?,
            source: choice("source", &self.source, |w| CaseSource::parse(w).map(CaseSource::bit))?,
            new_build: flag("new_build", &self.new_build)?,
            cadre: flag("cadre", &self.cadre)?,
            open: flag("open", &self.open)?,
            overdue,
            // Part of cache keys: only where it matters, and then for a minute.
            as_of: match (overdue, as_of) {
                (None, _) => 0,
                (_, Some(at)) => at.timestamp(),
                (_, None) => now.timestamp().div_euclid(60) * 60,
            },
            without_area: flag("without_area", &self.without_area)?,
            unplaced: match given(&self.unplaced) {
                None => None,
                Some(word) => Some(
                    Unplaced::ALL
                        .into_iter()
                        .find(|level| level.as_str() == word)
                        .ok_or_else(|| wrong("unplaced", "true, district, town or village"))?,
                ),
            },
            imported: flag("imported", &self.imported)?,
            closed_in_time: flag("closed_in_time", &self.closed_in_time)?,
            stopped_in_time: flag("stopped_in_time", &self.stopped_in_time)?,
            visited_within: match given(&self.visited_within) {
                None => None,
                Some(text) => Some(
                    text.parse()
                        .ok()
                        .filter(|seconds| (0..=1_000_000_000i64).contains(seconds))
                        .ok_or_else(|| wrong("visited_within", "seconds"))?,
                ),
            },
            applied: flag("applied", &self.applied)?,
            returned: flag("returned", &self.returned)?,
            extended: flag("extended", &self.extended)?,
            area: area("area", &self.area, world)?,
            within: area("within", &self.within, world)?,
            assignee: person("assignee", &self.assignee, world, account)?,
            assignees: department.as_deref().map(|name| people_of(world, name)),
            no_department: department.as_deref() == Some(NO_DEPARTMENT),
            department,
            reporter: person("reporter", &self.reporter, world, account)?,
            text: short_text("q", &self.q)?,
            bbox: params::bbox(self.bbox.as_deref())?.map(|degrees| degrees.map(f64::to_bits)),
            scope: Some(account.scope.code().into()),
        })
    }
}

/// An area in force, or one that cases still carry from an earlier version of the boundaries.
fn area(name: &str, value: &Option<String>, world: &World) -> Result<Option<Box<str>>> {
    let Some(code) = given(value) else { return Ok(None) };
    let known = find_area(&world.atlas.load(), code).is_some()
        || world.cases.snapshot().places().any(|place| place.is_within(code));
    if known { Ok(Some(code.into())) } else { Err(wrong(name, "no such area")) }
}

fn person(
    name: &str,
    value: &Option<String>,
    world: &World,
    account: &Account,
) -> Result<Option<Uuid>> {
    match given(value) {
        None => Ok(None),
        Some("me") => Ok(Some(account.person.id)),
        Some(text) => {
            let roster = world.roster.load();
            let by_phone = || roster.people().iter().find(|p| p.phone == text).map(|p| p.id);
            let id = text.parse().ok().or_else(by_phone);
            id.map(Some).ok_or_else(|| wrong(name, "an id, a phone, or me"))
        }
    }
}

/// The people of a department, by id; of any, for [`NO_DEPARTMENT`].
pub fn people_of(world: &World, department: &str) -> Box<[Uuid]> {
    let roster = world.roster.load();
    let any = department == NO_DEPARTMENT;
    let own = roster.people().iter().filter(|p| match p.department.as_deref() {
        Some(own) => own == department || (any && !own.is_empty()),
        None => false,
    });
    let mut ids: Vec<Uuid> = own.map(|p| p.id).collect();
    ids.sort_unstable();
    ids.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_split_and_strangers_are_refused() {
        let (params, others) = split("area=350302&limit=5&q=%E6%9E%97", &["limit"]).unwrap();
        assert_eq!((params.area.as_deref(), params.q.as_deref()), (Some("350302"), Some("林")));
        assert_eq!(others.get("limit").map(String::as_str), Some("5"));
        for bad in ["limit=5", "area=1&area=2", "colour=red"] {
            assert!(split(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_checked() {
        let day = |day: &str| Some(day.to_string());
        assert!(span("closed", &day("2026-02-01"), &day("2026-01-31")).is_err());
        assert!(span("closed", &day("2026-02-01"), &day("2026-02-01")).is_ok());
        assert!(flag("open", &day("maybe")).is_err());
    }
}
