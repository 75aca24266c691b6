//! Working days in China: weekends and holidays off, make-up days worked.

use super::clock::day_of;
use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Asia::Shanghai;
use serde::{Deserialize, Serialize};

/// The holiday table, as the State Council announces it each year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Holidays {
    pub off: Vec<Holiday>,
    /// Weekend days that are worked to make up for a holiday (调休).
    #[serde(default)]
    pub worked: Vec<NaiveDate>,
}

/// Days off in a row, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub name: String,
}

/// No deadline is longer than this many days; a table that leaves no working day ends there.
const FARTHEST_DAYS: u32 = 3_660;

impl Holidays {
    /// Whether people work on this day.
    pub fn is_worked(&self, day: NaiveDate) -> bool {
        let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        self.worked.contains(&day)
            || !(weekend || self.off.iter().any(|h| (h.from..=h.to).contains(&day)))
    }

    /// The end of the `days`th working day after the day of `start`: the day itself does not count
    /// (as in 民事诉讼法 art. 85).
    pub fn end_of_working_day(&self, start: DateTime<Utc>, days: u32) -> DateTime<Utc> {
        let mut day = day_of(start);
        let mut left = days;
        for _ in 0..FARTHEST_DAYS {
            if left == 0 {
                break;
            }
            let Some(next) = day.checked_add_days(Days::new(1)) else { break };
            day = next;
            left -= u32::from(self.is_worked(day));
        }
        day.checked_add_days(Days::new(1))
            .and_then(|next| {
                Shanghai.from_local_datetime(&next.and_time(NaiveTime::MIN)).earliest()
            })
            .map_or(start + Duration::days(i64::from(days)), |end| end.with_timezone(&Utc))
    }
}

impl Default for Holidays {
    /// 2026 (国办发明电〔2025〕7号).
    fn default() -> Self {
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default();
        let off = |name: &str, from: (u32, u32), to: (u32, u32)| Holiday {
            from: day(from.0, from.1),
            to: day(to.0, to.1),
            name: name.into(),
        };
        Self {
            off: vec![
                off("元旦", (1, 1), (1, 3)),
                off("春节", (2, 15), (2, 23)),
                off("清明节", (4, 4), (4, 6)),
                off("劳动节", (5, 1), (5, 5)),
                off("端午节", (6, 19), (6, 21)),
                off("中秋节", (9, 25), (9, 27)),
                off("国庆节", (10, 1), (10, 7)),
            ],
            worked: [(1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10)]
                .into_iter()
                .map(|(m, d)| day(m, d))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn working_days_skip_weekends_and_holidays_and_count_made_up_ones() {
        let table = Holidays::default();
        for (start, days, end) in [
            // Monday: three days end with Thursday.
            ("2026-11-23T09:00:00+08:00", 3, "2026-11-27T00:00:00+08:00"),
            // Friday: over the weekend.
            ("2026-11-27T23:59:59+08:00", 1, "2026-12-01T00:00:00+08:00"),
            // Before the Spring Festival: Saturday the 14th is worked, the next day of work is the
            // 24th.
            ("2026-02-13T12:00:00+08:00", 1, "2026-02-15T00:00:00+08:00"),
            ("2026-02-13T12:00:00+08:00", 2, "2026-02-25T00:00:00+08:00"),
            // After the National Day: Thursday the 8th, Friday, and Saturday the 10th.
            ("2026-09-30T12:00:00+08:00", 3, "2026-10-11T00:00:00+08:00"),
            // Half past midnight in Shanghai is still the day before in UTC.
            ("2026-11-23T00:30:00+08:00", 1, "2026-11-25T00:00:00+08:00"),
        ] {
            assert_eq!(table.end_of_working_day(at(start), days), at(end), "{start} + {days}");
        }
    }

    #[test]
    fn a_table_without_working_days_ends_all_the_same() {
        let day = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap();
        let off = vec![Holiday { from: day(2000), to: day(3000), name: "永".into() }];
        let end =
            Holidays { off, worked: vec![] }.end_of_working_day(at("2026-01-01T00:00:00Z"), 1);
        assert!(end > at("2030-01-01T00:00:00Z"));
    }
}
