//! One filter over cases, for lists, counts, tiles, reports, the time line and hotspots. It is
//! judged here on the case in memory and in `store::cases` by SQL; both agree, to the second.

use super::cases::{CaseNature, CaseRecord, CaseSource, CaseStatus, category_bit};
use crate::atlas::category::Category;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Asia::Shanghai;
use std::fmt::Write as _;
use uuid::Uuid;

/// A set of values of one enumeration; empty means any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Choice(u16);

impl Choice {
    pub const ANY: Self = Self(0);

    /// The set of one value.
    pub const fn only(bit: u16) -> Self {
        Self(bit)
    }

    /// Adds a value by its bit.
    pub fn insert(&mut self, bit: u16) {
        self.0 |= bit;
    }

    /// Whether everything is admitted.
    pub fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Whether a value (its bit; 0 where the case has none) is chosen.
    #[inline]
    pub fn admits(self, bit: u16) -> bool {
        self.0 == 0 || self.0 & bit != 0
    }
}

/// Cases that have no area of some level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unplaced {
    /// No place at all (未定位).
    Anywhere,
    /// Neither district nor functional area.
    District,
    Town,
    Village,
}

impl Unplaced {
    pub const ALL: [Self; 4] = [Self::Anywhere, Self::District, Self::Town, Self::Village];

    /// The value of the parameter `unplaced`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anywhere => "true",
            Self::District => "district",
            Self::Town => "town",
            Self::Village => "village",
        }
    }

    fn holds(self, case: &CaseRecord) -> bool {
        let place = &case.place;
        match self {
            Self::Anywhere => place.city.is_none(),
            Self::District => place.district.is_none() && place.functional_area.is_none(),
            Self::Town => place.town.is_none(),
            Self::Village => place.village.is_none(),
        }
    }
}

/// The first moment that counts and the first that no longer does, seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub from: Option<i64>,
    pub until: Option<i64>,
}

impl Span {
    /// Whether it limits anything.
    pub fn is_any(self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// Whether a moment lies within; where there is none, only if nothing is asked.
    #[inline]
    pub fn admits(self, moment: Option<i64>) -> bool {
        match moment {
            Some(at) => self.from.is_none_or(|f| at >= f) && self.until.is_none_or(|u| at < u),
            None => self.is_any(),
        }
    }
}

/// Which cases are meant. The default is all of them. It is part of cache keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct CaseFilter {
    /// Time of report: the first that counts, and the first that no longer does.
    pub from: Option<i64>,
    pub until: Option<i64>,
    pub closed: Span,
    pub demolished: Span,
    /// By the deadline for closing (应结案).
    pub close_due: Span,
    pub status: Choice,
    pub nature: Choice,
    pub category: Choice,
    pub source: Choice,
    /// Cases that take land of one of these categories.
    pub takes: Choice,
    pub new_build: Option<bool>,
    pub cadre: Option<bool>,
    /// Neither closed nor rejected, duplicate or transferred.
    pub open: Option<bool>,
    /// Open, and the present deadline lies before `as_of`.
    pub overdue: Option<bool>,
    /// The moment deadlines are judged at; set wherever the others need one.
    pub as_of: i64,
    /// No m² at all.
    pub without_area: Option<bool>,
    pub unplaced: Option<Unplaced>,
    /// Reported here, not taken from a table of past cases.
    pub imported: Option<bool>,
    /// Closed no later than its deadline for closing.
    pub closed_in_time: Option<bool>,
    /// Surely stopped no later than its deadline for that.
    pub stopped_in_time: Option<bool>,
    /// Visited within so many seconds of the report.
    pub visited_within: Option<i64>,
    /// Somebody applied to close it.
    pub applied: Option<bool>,
    /// Sent back at least once.
    pub returned: Option<bool>,
    /// A deadline was extended at least once.
    pub extended: Option<bool>,
    /// Code of an area, functional area or cell; `within` is a second one that must hold too.
    pub area: Option<Box<str>>,
    pub within: Option<Box<str>>,
    pub assignee: Option<Uuid>,
    /// Whose answering people are of this department; resolved to them in `assignees`.
    pub department: Option<Box<str>>,
    /// The people of the department, sorted.
    pub assignees: Option<Box<[Uuid]>>,
    /// Nobody of `assignees` answers: cases of no department.
    pub no_department: bool,
    pub reporter: Option<Uuid>,
    /// Part of number, party, description or cell code.
    pub text: Option<Box<str>>,
    /// West, south, east, north, the bits of degrees.
    pub bbox: Option<[u64; 4]>,
    /// The area the viewer answers for; `None` sees everything. Never from the viewer's request.
    pub scope: Option<Box<str>>,
}

/// The statuses of a case that still needs work.
pub const OPEN: [CaseStatus; 5] = [
    CaseStatus::Dispatched,
    CaseStatus::OnSite,
    CaseStatus::Stopped,
    CaseStatus::Demolishing,
    CaseStatus::CloseApplied,
];

/// Whether a case still needs work.
pub fn is_open(status: CaseStatus) -> bool {
    OPEN.contains(&status)
}

/// Whether a case counts in rates: neither rejected nor a duplicate nor handed to others.
pub fn is_ours(status: CaseStatus) -> bool {
    is_open(status) || status == CaseStatus::Closed
}

impl CaseFilter {
    /// The box in degrees: west, south, east, north.
    pub fn degrees(&self) -> Option<[f64; 4]> {
        self.bbox.map(|bits| bits.map(f64::from_bits))
    }

    /// Whether more is asked than the columns of the case index can tell.
    pub fn is_fine(&self) -> bool {
        let coarse = Self {
            from: self.from,
            until: self.until,
            status: self.status,
            nature: self.nature,
            category: self.category,
            source: self.source,
            area: self.area.clone(),
            assignee: self.assignee,
            scope: self.scope.clone(),
            as_of: self.as_of,
            ..Self::default()
        };
        coarse != *self
    }

    /// Whether a case is meant.
    pub fn admits(&self, case: &CaseRecord) -> bool {
        let span = Span { from: self.from, until: self.until };
        span.admits(Some(case.reported_at))
            && self.status.admits(case.status.bit())
            && self.nature.admits(case.nature.bit())
            && self.source.admits(case.source.map_or(0, CaseSource::bit))
            && self.category.admits(case.category.map_or(0, category_bit))
            && self.assignee.is_none_or(|person| case.assignee == Some(person))
            && [&self.area, &self.scope].into_iter().flatten().all(|a| case.place.is_within(a))
            && self.admits_fine(case)
    }

    /// Whether a case passes what [`CaseFilter::is_fine`] speaks of.
    pub fn admits_fine(&self, case: &CaseRecord) -> bool {
        let f = &case.figures;
        let asked = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let open = is_open(case.status);
        let in_time = |done: Option<i64>, due: Option<i64>| {
            done.is_some_and(|done| due.is_some_and(|due| done <= due))
        };
        self.closed.admits(f.closed_at)
            && self.demolished.admits(f.demolished_at)
            && (self.demolished.is_any() || f.demolished_m2 > 0.0)
            && self.close_due.admits(f.close_due_at)
            && (self.takes.is_any() || {
                let mut areas = f.areas;
                Category::ALL.into_iter().any(|category| {
                    self.takes.admits(category_bit(category)) && *areas.get_mut(category) > 0.0
                })
            })
            && self.new_build.is_none_or(|wanted| f.new_build == Some(wanted))
            && asked(self.cadre, f.cadre)
            && asked(self.open, open)
            && asked(self.overdue, open && f.due_at.is_some_and(|due| due < self.as_of))
            && asked(self.without_area, f.areas.total() <= 0.0)
            && self.unplaced.is_none_or(|level| level.holds(case))
            && asked(self.imported, f.imported)
            && asked(self.closed_in_time, in_time(f.closed_at, f.close_due_at))
            && asked(self.stopped_in_time, in_time(f.stopped_at, f.stop_due_at))
            && self.visited_within.is_none_or(|seconds| {
                f.visited_at.is_some_and(|at| at <= case.reported_at.saturating_add(seconds))
            })
            && asked(self.applied, f.applied_at.is_some())
            && asked(self.returned, f.times_returned > 0)
            && asked(self.extended, f.times_extended > 0)
            && self.within.as_deref().is_none_or(|area| case.place.is_within(area))
            && self.assignees.as_ref().is_none_or(|people| {
                let among = case.assignee.is_some_and(|p| people.binary_search(&p).is_ok());
                among != self.no_department
            })
            && self.reporter.is_none_or(|person| f.reporter == Some(person))
            && self.degrees().is_none_or(|[west, south, east, north]| {
                (west..=east).contains(&case.lon) && (south..=north).contains(&case.lat)
            })
            && self.text.as_deref().is_none_or(|text| holds_text(case, text))
    }

    /// The filter as the query string of a list (`/api/v1/cases?…`), without the viewer's scope.
    pub fn to_query(&self) -> String {
        let mut query = Query::default();
        query.moment("from", self.from, 0);
        query.moment("to", self.until, -1);
        for (name, span) in [
            ("closed", self.closed),
            ("demolished", self.demolished),
            ("close_due", self.close_due),
        ] {
            query.moment(&format!("{name}_from"), span.from, 0);
            query.moment(&format!("{name}_to"), span.until, -1);
        }
        let words = |chosen: Choice, all: &[(u16, &'static str)]| -> Option<String> {
            let chosen = all.iter().filter(|(bit, _)| !chosen.is_any() && chosen.admits(*bit));
            let words: Vec<&str> = chosen.map(|(_, word)| *word).collect();
            (!words.is_empty()).then(|| words.join(","))
        };
        let categories = Category::ALL.map(|c| (category_bit(c), c.as_str()));
        query.put("status", words(self.status, &named(CaseStatus::ALL, |v| (v.bit(), v.as_str()))));
        query.put("nature", words(self.nature, &named(CaseNature::ALL, |v| (v.bit(), v.as_str()))));
        query.put("category", words(self.category, &categories));
        query.put("source", words(self.source, &named(CaseSource::ALL, |v| (v.bit(), v.as_str()))));
        query.put("takes", words(self.takes, &categories));
        for (name, flag) in [
            ("new_build", self.new_build),
            ("cadre", self.cadre),
            ("open", self.open),
            ("overdue", self.overdue),
            ("without_area", self.without_area),
            ("imported", self.imported),
            ("closed_in_time", self.closed_in_time),
            ("stopped_in_time", self.stopped_in_time),
            ("applied", self.applied),
            ("returned", self.returned),
            ("extended", self.extended),
        ] {
            query.put(name, flag.map(|flag| flag.to_string()));
        }
        if self.overdue.is_some() {
            query.put("as_of", rfc3339(self.as_of));
        }
        query.put("visited_within", self.visited_within.map(|seconds| seconds.to_string()));
        query.put("unplaced", self.unplaced.map(|level| level.as_str().to_string()));
        for (name, text) in [
            ("area", &self.area),
            ("within", &self.within),
            ("department", &self.department),
            ("q", &self.text),
        ] {
            query.put(name, text.as_deref().map(String::from));
        }
        query.put("assignee", self.assignee.map(|id| id.to_string()));
        query.put("reporter", self.reporter.map(|id| id.to_string()));
        query.put("bbox", self.degrees().map(|[w, s, e, n]| format!("{w},{s},{e},{n}")));
        query.0
    }
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> (u16, &'static str)) -> Vec<(u16, &'static str)> {
    all.iter().map(|value| name(*value)).collect()
}

fn holds_text(case: &CaseRecord, text: &str) -> bool {
    let text = text.to_lowercase();
    let holds = |field: Option<&str>| field.is_some_and(|f| f.to_lowercase().contains(&text));
    holds(Some(&case.number))
        || holds(case.figures.party.as_deref())
        || holds(case.figures.description.as_deref())
        || holds(case.place.cell.as_deref())
}

fn rfc3339(seconds: i64) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp(seconds, 0)?;
    Some(time.with_timezone(&Shanghai).to_rfc3339_opts(SecondsFormat::Secs, false))
}

/// A query string in the making.
#[derive(Default)]
struct Query(String);

impl Query {
    fn put(&mut self, name: &str, value: Option<String>) {
        let Some(value) = value else { return };
        if !self.0.is_empty() {
            self.0.push('&');
        }
        let _ = write!(self.0, "{name}=");
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => {
                    self.0.push(char::from(byte));
                }
                _ => {
                    let _ = write!(self.0, "%{byte:02X}");
                }
            }
        }
    }

    /// A moment as a day of Shanghai where it is the beginning of one. `shift` of −1 turns the
    /// first day that no longer counts into the last that does.
    fn moment(&mut self, name: &str, seconds: Option<i64>, shift: i64) {
        let Some(seconds) = seconds else { return };
        let time = DateTime::from_timestamp(seconds, 0).map(|t| t.with_timezone(&Shanghai));
        let day = time
            .filter(|t| t.time() == chrono::NaiveTime::MIN)
            .and_then(|t| t.date_naive().checked_add_signed(chrono::TimeDelta::days(shift)));
        self.put(name, day.map(|day| day.to_string()).or_else(|| rfc3339(seconds)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::case_index::tests::record;

    #[test]
    fn a_query_string_names_days_and_escapes() {
        // The first second of 1 October 2026 in Shanghai.
        let filter = CaseFilter {
            from: Some(1_790_784_000),
            until: Some(1_790_784_000 + 86_400),
            text: Some("林 1&2".into()),
            status: Choice::only(CaseStatus::Closed.bit() | CaseStatus::Stopped.bit()),
            cadre: Some(true),
            ..Default::default()
        };
        assert_eq!(
            filter.to_query(),
            "from=2026-10-01&to=2026-10-01&status=stopped,closed&cadre=true&q=%E6%9E%97%201%262"
        );
        assert_eq!(CaseFilter::default().to_query(), "");
    }

    #[test]
    fn a_missing_moment_passes_only_where_nothing_is_asked() {
        assert!(Span::default().admits(None));
        assert!(!Span { from: Some(1), until: None }.admits(None));
        let span = Span { from: Some(1), until: Some(3) };
        assert_eq!([0, 1, 2, 3].map(|at| span.admits(Some(at))), [false, true, true, false]);
    }

    #[test]
    fn fine_filters_are_known_as_such() {
        let coarse =
            CaseFilter { area: Some("350302".into()), from: Some(5), ..Default::default() };
        assert!(!coarse.is_fine());
        assert!(CaseFilter { cadre: Some(false), ..coarse }.is_fine());
    }

    #[test]
    fn overdue_is_open_and_past_its_deadline() {
        let mut case = record(0, 119.0, 25.4);
        case.status = CaseStatus::Stopped;
        case.figures.due_at = Some(100);
        let overdue = |as_of| CaseFilter { overdue: Some(true), as_of, ..Default::default() };
        assert!(overdue(101).admits(&case) && !overdue(100).admits(&case));
        case.status = CaseStatus::Closed;
        assert!(!overdue(101).admits(&case));
        let without = CaseFilter { without_area: Some(true), ..Default::default() };
        assert!(without.admits(&case));
        case.figures.areas.mine = 1.0;
        assert!(!without.admits(&case));
        let takes =
            CaseFilter { takes: Choice::only(category_bit(Category::Mine)), ..Default::default() };
        assert!(takes.admits(&case));
    }
}
