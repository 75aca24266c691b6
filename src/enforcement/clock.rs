//! The time, given to whatever decides by it: a test runs a month in a second.

use chrono::{DateTime, Duration, NaiveDate, SubsecRound, Utc};
use chrono_tz::Asia::Shanghai;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the time comes from: the system's clock, put forward by as much as whoever made it says.
/// Cheap to clone; all clones are one clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds added to the system's time; 0 outside tests and rehearsals.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that runs as the system's does, so much ahead of it (or behind).
    pub fn ahead_by(ahead: Duration) -> Self {
        let clock = Self::default();
        clock.advance(ahead);
        clock
    }

    /// Puts the clock forward.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// Now, to the microsecond, as the store keeps it: the first answer and a later one agree.
    pub fn now(&self) -> DateTime<Utc> {
        let ahead = Duration::microseconds(self.ahead.load(Ordering::SeqCst));
        let now = Utc::now();
        now.checked_add_signed(ahead).unwrap_or(now).trunc_subsecs(6)
    }

    /// Today in Asia/Shanghai.
    pub fn today(&self) -> NaiveDate {
        day_of(self.now())
    }
}

/// The day of a time in Asia/Shanghai.
pub fn day_of(time: DateTime<Utc>) -> NaiveDate {
    time.with_timezone(&Shanghai).date_naive()
}
