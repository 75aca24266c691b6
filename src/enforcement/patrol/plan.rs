//! Which visits a patrol plan asks for, and which of them were made: the attendance rate 巡查到位率.
//!
//! A plan asks for so many visits in every window: n days from its beginning, a week from Monday,
//! or a calendar month. A visit is a day on which somebody was in the cell. A window counts in the
//! period that holds its last day, so the figures of neighbouring periods add up; it must lie
//! wholly in the plan's validity, end in the season, and be over.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long the windows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// So many days, from the plan's first day on.
    Days(u32),
    /// From Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

/// How often a cell is to be visited, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub window: Window,
    /// Visits in each window, on different days.
    pub times: u32,
    /// 1 to 12.
    pub months: BTreeSet<u32>,
    pub valid_from: NaiveDate,
    /// The last day; none while it goes on.
    pub valid_to: Option<NaiveDate>,
}

/// Visits due between two days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Due {
    pub first: NaiveDate,
    pub last: NaiveDate,
    /// On different days.
    pub times: u32,
}

/// Visits due and visits made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attendance {
    pub due: u64,
    pub made: u64,
}

impl std::ops::AddAssign for Attendance {
    fn add_assign(&mut self, other: Self) {
        self.due += other.due;
        self.made += other.made;
    }
}

impl Plan {
    /// The windows that count between two days, both included, as of the morning of `today`.
    pub fn due(&self, from: NaiveDate, to: NaiveDate, today: NaiveDate) -> Vec<Due> {
        let yesterday = today.pred_opt().unwrap_or(NaiveDate::MIN);
        let until = to.min(yesterday).min(self.valid_to.unwrap_or(NaiveDate::MAX));
        let mut due = Vec::new();
        // No window ends before the plan has begun.
        let mut day = from.max(self.valid_from);
        while day <= until {
            let Some((first, last)) = self.window_of(day) else { break };
            if last > until {
                break;
            }
            let in_season = self.months.contains(&last.month());
            if first >= self.valid_from && last >= from && in_season {
                let days = u32::try_from((last - first).num_days() + 1).unwrap_or(u32::MAX);
                due.push(Due { first, last, times: self.times.min(days) });
            }
            let Some(next) = last.succ_opt() else { break };
            day = next;
        }
        due
    }

    /// The window that holds a day not before the plan's first.
    fn window_of(&self, day: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
        match self.window {
            Window::Days(days) => {
                let days = i64::from(days.max(1));
                let since = (day - self.valid_from).num_days();
                let first =
                    self.valid_from + chrono::Duration::days(since - since.rem_euclid(days));
                Some((first, first.checked_add_days(Days::new(days.unsigned_abs() - 1))?))
            }
            Window::Week => {
                let week = day.week(Weekday::Mon);
                Some((week.checked_first_day()?, week.checked_last_day()?))
            }
            Window::Month => {
                let first = day.with_day(1)?;
                Some((first, first.checked_add_months(Months::new(1))?.pred_opt()?))
            }
        }
    }
}

/// The visits made of those due, from the days on which somebody was there.
pub fn attendance(due: &[Due], visited: &BTreeSet<NaiveDate>) -> Attendance {
    let mut total = Attendance::default();
    for window in due {
        let days = visited.range(window.first..=window.last).count() as u64;
        total +=
            Attendance { due: u64::from(window.times), made: days.min(u64::from(window.times)) };
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn plan(window: Window, times: u32) -> Plan {
        Plan {
            window,
            times,
            months: (1..=12).collect(),
            valid_from: day("2026-01-01"),
            valid_to: None,
        }
    }

    #[test]
    fn weeks_months_and_days() {
        let due = |plan: &Plan| plan.due(day("2026-11-01"), day("2026-11-30"), day("2027-01-01"));
        // 2026-11-01 is a Sunday: the week that ends on it counts, the one that begins on the
        // 30th does not.
        let weeks = due(&plan(Window::Week, 2));
        assert_eq!(weeks.len(), 5);
        assert_eq!((weeks[0].first, weeks[0].last), (day("2026-10-26"), day("2026-11-01")));
        assert_eq!(weeks[4].last, day("2026-11-29"));
        let months = due(&plan(Window::Month, 40));
        assert_eq!(months, [Due { first: day("2026-11-01"), last: day("2026-11-30"), times: 30 }]);
        assert_eq!(due(&plan(Window::Days(10), 1)).len(), 3);
        let mut winter = plan(Window::Month, 1);
        winter.months = [12, 1, 2].into();
        assert_eq!(due(&winter), []);
        // A week that is not over is not due yet.
        let half =
            plan(Window::Week, 1).due(day("2026-11-01"), day("2026-11-30"), day("2026-11-15"));
        assert_eq!(half.last().unwrap().last, day("2026-11-08"));
    }

    #[test]
    fn several_visits_a_day_are_one_and_more_than_due_count_no_more() {
        let due = [Due { first: day("2026-11-02"), last: day("2026-11-08"), times: 2 }];
        let made = |days: &[&str]| {
            attendance(&due, &days.iter().map(|d| day(d)).collect::<BTreeSet<_>>()).made
        };
        assert_eq!(made(&[]), 0);
        assert_eq!(made(&["2026-11-01", "2026-11-02", "2026-11-09"]), 1);
        assert_eq!(made(&["2026-11-02", "2026-11-05", "2026-11-08"]), 2);
    }

    /// The rule, day by day.
    fn brute(
        plan: &Plan,
        from: NaiveDate,
        to: NaiveDate,
        today: NaiveDate,
        visited: &BTreeSet<NaiveDate>,
    ) -> Attendance {
        let key = |d: NaiveDate| match plan.window {
            Window::Days(n) => {
                (0, (d - plan.valid_from).num_days().div_euclid(i64::from(n)) as i32)
            }
            Window::Week => (d.iso_week().year(), d.iso_week().week() as i32),
            Window::Month => (d.year(), d.month() as i32),
        };
        let start = day("2024-06-01");
        let days: Vec<NaiveDate> = start.iter_days().take(900).collect();
        let mut total = Attendance::default();
        for &last in &days {
            let is_last = last.succ_opt().is_none_or(|next| key(next) != key(last));
            if !is_last || last < from || last > to || last >= today {
                continue;
            }
            let window: Vec<NaiveDate> =
                days.iter().copied().filter(|&d| key(d) == key(last)).collect();
            let valid = window
                .iter()
                .all(|&d| d >= plan.valid_from && plan.valid_to.is_none_or(|end| d <= end));
            if !valid || !plan.months.contains(&last.month()) {
                continue;
            }
            let due = (plan.times as usize).min(window.len()) as u64;
            let made = window.iter().filter(|d| visited.contains(d)).count() as u64;
            total += Attendance { due, made: made.min(due) };
        }
        total
    }

    proptest! {
        #[test]
        fn agrees_with_counting_day_by_day(
            kind in 0u8..3,
            every in 1u32..40,
            times in 1u32..8,
            months in prop::collection::btree_set(1u32..=12, 1..12),
            (start, length) in (0u64..200, 0u64..300),
            (from, days, today) in (0u64..300, 0u64..200, 0u64..500),
            visited in prop::collection::btree_set(0u64..500, 0..120),
        ) {
            let base = day("2025-01-01");
            let at = |n: u64| base + Days::new(n);
            let plan = Plan {
                window: [Window::Days(every), Window::Week, Window::Month][usize::from(kind)],
                times,
                months,
                valid_from: at(start),
                valid_to: (length > 0).then(|| at(start + length)),
            };
            let visited: BTreeSet<NaiveDate> = visited.into_iter().map(at).collect();
            let (first, last, today) = (at(from), at(from + days), at(today));
            let found = attendance(&plan.due(first, last, today), &visited);
            prop_assert_eq!(found, brute(&plan, first, last, today, &visited));
            // Two periods side by side add up to the whole.
            let middle = at(from + days / 2);
            let mut parts = attendance(&plan.due(first, middle, today), &visited);
            parts += attendance(&plan.due(middle + Days::new(1), last, today), &visited);
            prop_assert_eq!(parts, found);
        }
    }
}
