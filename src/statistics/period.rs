//! Periods of whole days in Asia/Shanghai, both ends included.

use crate::error::{Fault, Result};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use serde::Serialize;

/// A period of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Period {
    pub from: NaiveDate,
    /// Included.
    pub to: NaiveDate,
}

impl Period {
    /// Refuses a reversed period and years that no report is about.
    pub fn new(from: NaiveDate, to: NaiveDate) -> Result<Self> {
        if from > to {
            return Err(Fault::invalid(
                format!("起始日期 {from} 晚于截止日期 {to}"),
                format!("The period begins ({from}) after it ends ({to})"),
            )
            .field("from", "from must not be after to"));
        }
        if !(1900..=9990).contains(&from.year()) || !(1900..=9990).contains(&to.year()) {
            return Err(Fault::invalid("日期超出范围", "The period is out of range")
                .field("from", "1900 to 9990"));
        }
        Ok(Self { from, to })
    }

    /// From the first of January of a day's year to that day.
    pub fn year_to(day: NaiveDate) -> Self {
        Self { from: day.with_ordinal(1).unwrap_or(day), to: day }
    }

    /// A calendar month.
    pub fn month(year: i32, month: u32) -> Option<Self> {
        let from = NaiveDate::from_ymd_opt(year, month, 1)?;
        Some(Self { from, to: from.checked_add_months(Months::new(1))?.pred_opt()? })
    }

    /// The first moment that counts and the first that no longer does, seconds since 1970 UTC.
    pub fn seconds(self) -> (i64, i64) {
        (start_of(self.from), self.to.succ_opt().map_or(i64::MAX, start_of))
    }

    /// Whole months, if it is some: 1 a month, 3 a quarter, 12 a year.
    fn months(self) -> Option<u32> {
        let after = self.to.succ_opt()?;
        if self.from.day() != 1 || after.day() != 1 {
            return None;
        }
        let months = (after.year() - self.from.year()) * 12 + after.month() as i32
            - self.from.month() as i32;
        u32::try_from(months).ok()
    }

    /// The period before: as many months where it is of whole months, else as many days.
    pub fn previous(self) -> Option<Self> {
        let to = self.from.pred_opt()?;
        let from = match self.months() {
            Some(months) => self.from.checked_sub_months(Months::new(months))?,
            None => {
                let days = u64::try_from((self.to - self.from).num_days()).ok()?;
                to.checked_sub_days(Days::new(days))?
            }
        };
        Self::new(from, to).ok()
    }

    /// The same period a year before.
    pub fn year_before(self) -> Option<Self> {
        let back = |day: NaiveDate| day.checked_sub_months(Months::new(12));
        // The last of February stays the last of February.
        let to = back(self.to.succ_opt()?)?.pred_opt()?;
        Self::new(back(self.from)?, to).ok()
    }

    /// As people write it.
    pub fn words(self) -> (String, String) {
        let zh = |day: NaiveDate| format!("{}年{}月{}日", day.year(), day.month(), day.day());
        (format!("{}至{}", zh(self.from), zh(self.to)), format!("{} to {}", self.from, self.to))
    }
}

/// The first second of a day in Asia/Shanghai.
pub fn start_of(day: NaiveDate) -> i64 {
    let local = Shanghai.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    local.map_or(i64::MAX, |time| time.timestamp())
}

/// The day of a moment in Asia/Shanghai.
pub fn day_of(seconds: i64) -> Option<NaiveDate> {
    let time: DateTime<Utc> = DateTime::from_timestamp(seconds, 0)?;
    Some(time.with_timezone(&Shanghai).date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: &str, to: &str) -> Period {
        Period::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_period_before_is_of_the_same_kind() {
        for (own, before, year_before) in [
            (
                ("2026-03-01", "2026-03-31"),
                ("2026-02-01", "2026-02-28"),
                ("2025-03-01", "2025-03-31"),
            ),
            (
                ("2026-04-01", "2026-06-30"),
                ("2026-01-01", "2026-03-31"),
                ("2025-04-01", "2025-06-30"),
            ),
            (
                ("2025-01-01", "2025-12-31"),
                ("2024-01-01", "2024-12-31"),
                ("2024-01-01", "2024-12-31"),
            ),
            (
                ("2025-02-01", "2025-02-28"),
                ("2025-01-01", "2025-01-31"),
                ("2024-02-01", "2024-02-29"),
            ),
            (
                ("2026-03-10", "2026-03-19"),
                ("2026-02-28", "2026-03-09"),
                ("2025-03-10", "2025-03-19"),
            ),
        ] {
            let own = period(own.0, own.1);
            assert_eq!(own.previous(), Some(period(before.0, before.1)));
            assert_eq!(own.year_before(), Some(period(year_before.0, year_before.1)));
        }
    }

    #[test]
    fn days_are_shanghais() {
        let (from, until) = period("2026-01-01", "2026-01-01").seconds();
        assert_eq!((from, until - from), (1_767_196_800, 86_400));
        assert_eq!(day_of(from), NaiveDate::from_ymd_opt(2026, 1, 1));
        assert_eq!(day_of(from - 1), NaiveDate::from_ymd_opt(2025, 12, 31));
        let day = |text: &str| text.parse().unwrap();
        assert!(Period::new(day("2026-01-02"), day("2026-01-01")).is_err());
    }
}
