//! Illegally taken cultivated land against what construction took: from a ratio on, the leader of
//! an area is answerable.

use super::schema::cases;
use crate::enforcement::settings::{OccupationRatio, TakenByConstruction};
use crate::error::Result;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::prelude::*;
use serde::Serialize;

/// One area in one year.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RatioRow {
    pub area: String,
    pub year: i32,
    /// Cultivated land, basic farmland included, that cases reported in the year take, m².
    pub taken_m2: f64,
    /// What construction took by permission, m².
    pub construction_m2: f64,
    /// None where construction took nothing.
    pub ratio: Option<f64>,
    /// The ratio reaches the setting.
    pub answerable: bool,
}

/// The ratios of a year, of every area whose denominator is known. `scope_of` gives the scope of
/// an area's code, or none where it is not the viewer's to see.
pub fn ratios(
    conn: &mut PgConnection,
    setting: &OccupationRatio,
    year: i32,
    scope_of: impl Fn(&str) -> Option<crate::enforcement::permissions::Scope>,
) -> Result<Vec<RatioRow>> {
    let mut rows = Vec::new();
    let Some((from, to)) = bounds(year) else { return Ok(rows) };
    for known in setting.taken_by_construction.iter().filter(|known| known.year == year) {
        let Some(scope) = scope_of(&known.area) else { continue };
        let taken: (Option<f64>, Option<f64>) = cases::table
            .filter(super::cases::within(&scope))
            .filter(cases::reported_at.ge(from))
            .filter(cases::reported_at.lt(to))
            .filter(cases::status.ne_all(["rejected", "duplicate"]))
            .select((
                diesel::dsl::sum(cases::basic_farmland_m2),
                diesel::dsl::sum(cases::farmland_m2),
            ))
            .first(conn)?;
        rows.push(row(known, taken.0.unwrap_or(0.0) + taken.1.unwrap_or(0.0), setting));
    }
    Ok(rows)
}

fn row(known: &TakenByConstruction, taken_m2: f64, setting: &OccupationRatio) -> RatioRow {
    let construction_m2 = known.cultivated_m2;
    let ratio = (construction_m2 > 0.0).then(|| taken_m2 / construction_m2);
    RatioRow {
        area: known.area.clone(),
        year: known.year,
        taken_m2,
        construction_m2,
        ratio,
        // Something taken where nothing was permitted is beyond any ratio.
        answerable: ratio.map_or(taken_m2 > 0.0, |ratio| ratio >= setting.answerable_from),
    }
}

/// The first moment of a year in Shanghai, and of the next.
fn bounds(year: i32) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = |year| {
        let day = NaiveDate::from_ymd_opt(year, 1, 1)?.and_time(NaiveTime::MIN);
        Some(Shanghai.from_local_datetime(&day).earliest()?.with_timezone(&Utc))
    };
    Some((first(year)?, first(year.checked_add(1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_answerable_from_the_ratio_on() {
        let setting = OccupationRatio::default();
        let known = |cultivated_m2| TakenByConstruction {
            area: "350300".into(),
            year: 2026,
            cultivated_m2,
        };
        let answerable =
            |construction, taken| row(&known(construction), taken, &setting).answerable;
        assert!(!answerable(1000.0, 149.9));
        assert!(answerable(1000.0, 150.0));
        assert!(answerable(0.0, 1.0) && !answerable(0.0, 0.0));
        let (from, to) = bounds(2026).unwrap();
        assert_eq!(from.to_rfc3339(), "2025-12-31T16:00:00+00:00");
        assert_eq!((to - from).num_days(), 365);
    }
}
