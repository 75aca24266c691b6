//! Counts by day, week or month: all frames at once, for charts and for the map's time slider.

use super::case_frame::{CaseView, column};
use super::period::{Period, day_of};
use crate::atlas::category::Category;
use crate::error::{Fault, Result};
use crate::tiles::cases::CaseFilter;
use crate::tiles::filter::Span;
use chrono::{Datelike, Days, Months, NaiveDate};
use polars::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// How long a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Day,
    /// From Monday.
    Week,
    Month,
}

impl Step {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }

    fn start(self, day: NaiveDate) -> NaiveDate {
        let back = |days: u32| day.checked_sub_days(Days::new(days.into())).unwrap_or(day);
        match self {
            Self::Day => day,
            Self::Week => back(day.weekday().num_days_from_monday()),
            Self::Month => back(day.day0()),
        }
    }

    fn next(self, start: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => start.succ_opt(),
            Self::Week => start.checked_add_days(Days::new(7)),
            Self::Month => start.checked_add_months(Months::new(1)),
        }
    }
}

/// One frame: days of Asia/Shanghai, both ends included, cut to the period asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Frame {
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Reported in the frame.
    pub found: u64,
    /// What these take, m².
    pub area_m2: f64,
    /// Closed in the frame, whenever reported.
    pub closed: u64,
    /// Demolished in the frame, m².
    pub demolished_m2: f64,
    /// Where the found ones lie: west, south of a square of 0.01°, and how many. On request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub squares: Vec<(f64, f64, u64)>,
}

/// More frames say nothing to anybody.
pub const MOST_FRAMES: usize = 4_000;

/// Every frame of a period, empty ones too. The filter is that of cases, its period apart.
pub fn timeline(
    view: &CaseView,
    filter: &CaseFilter,
    period: Period,
    step: Step,
    squares: bool,
) -> Result<Vec<Frame>> {
    let mut frames: BTreeMap<NaiveDate, Frame> = BTreeMap::new();
    let mut start = step.start(period.from);
    while start <= period.to {
        let Some(next) = step.next(start) else { break };
        let to = next.pred_opt().unwrap_or(start).min(period.to);
        frames.insert(start, Frame { from: start.max(period.from), to, ..Frame::default() });
        if frames.len() > MOST_FRAMES {
            return Err(Fault::invalid(
                format!("时间段过多（超过 {MOST_FRAMES}），请缩短期间或加大步长"),
                format!("More than {MOST_FRAMES} frames: shorten the period or take longer steps"),
            )
            .field("step", "too many frames"));
        }
        start = next;
    }
    let (from, until) = period.seconds();
    let span = Span { from: Some(from), until: Some(until) };
    let reported = CaseFilter { from: Some(from), until: Some(until), ..filter.clone() };
    let closed = CaseFilter { closed: span, ..filter.clone() };
    let torn_down = CaseFilter { demolished: span, ..filter.clone() };
    let areas: Vec<&str> = Category::ALL.map(Category::as_str).to_vec();
    let mut each = |day: NaiveDate, take: &dyn Fn(&mut Frame)| {
        if let Some(frame) = frames.get_mut(&step.start(day)) {
            take(frame);
        }
    };
    for (day, count, m2) in by_day(view, &reported, column::REPORTED_AT, &areas)? {
        each(day, &|frame| {
            frame.found += count;
            frame.area_m2 += m2;
        });
    }
    for (day, count, _) in by_day(view, &closed, column::CLOSED_AT, &[])? {
        each(day, &|frame| frame.closed += count);
    }
    let needed = [column::DEMOLISHED_M2];
    for (day, _, m2) in by_day(view, &torn_down, column::DEMOLISHED_AT, &needed)? {
        each(day, &|frame| frame.demolished_m2 += m2);
    }
    if squares {
        add_squares(view, &reported, step, &mut frames);
    }
    Ok(frames.into_values().collect())
}

/// Cases and the sum of some columns by the day of a moment.
fn by_day(
    view: &CaseView,
    filter: &CaseFilter,
    moment: &str,
    summed: &[&str],
) -> Result<Vec<(NaiveDate, u64, f64)>> {
    let columns: Vec<&str> = std::iter::once(moment).chain(summed.iter().copied()).collect();
    let frame = view.frame(filter, &columns)?;
    let read = || -> PolarsResult<HashMap<i64, (i64, u64, f64)>> {
        let moments = frame.column(moment)?.i64()?;
        let values = summed
            .iter()
            .map(|name| frame.column(name)?.f64())
            .collect::<PolarsResult<Vec<_>>>()?;
        let mut days: HashMap<i64, (i64, u64, f64)> = HashMap::new();
        for (row, at) in moments.iter().enumerate() {
            let Some(at) = at else { continue };
            // Shanghai has been 8 hours ahead, without a summer time, since 1992; before, the
            // calendar decides by the first moment of what would be a day.
            let day = days.entry((at + 8 * 3600).div_euclid(86_400)).or_insert((at, 0, 0.0));
            day.0 = day.0.min(at);
            day.1 += 1;
            day.2 += values.iter().filter_map(|column| column.get(row)).sum::<f64>();
        }
        Ok(days)
    };
    let days = read().map_err(|error: PolarsError| Fault::internal(error))?;
    Ok(days.into_values().filter_map(|(at, n, sum)| Some((day_of(at)?, n, sum))).collect())
}

/// Squares a side of a degree.
const SQUARES: f64 = 100.0;

fn add_squares(
    view: &CaseView,
    filter: &CaseFilter,
    step: Step,
    frames: &mut BTreeMap<NaiveDate, Frame>,
) {
    let mut counts: HashMap<(NaiveDate, i32, i32), u64> = HashMap::new();
    view.snapshot.visit_all(filter, |case| {
        let Some(day) = day_of(case.reported_at) else { return };
        let square = |degrees: f64| (degrees * SQUARES).floor() as i32;
        *counts.entry((step.start(day), square(case.lon), square(case.lat))).or_default() += 1;
    });
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    for ((start, x, y), count) in counts {
        if let Some(frame) = frames.get_mut(&start) {
            frame.squares.push((f64::from(x) / SQUARES, f64::from(y) / SQUARES, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(Step::Week.start(day("2026-11-22")), day("2026-11-16"));
        assert_eq!(Step::Week.start(day("2026-11-23")), day("2026-11-23"));
        assert_eq!(Step::Month.start(day("2024-02-29")), day("2024-02-01"));
        assert_eq!(Step::Month.next(day("2024-12-01")), Some(day("2025-01-01")));
    }
}
