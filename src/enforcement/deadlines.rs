//! By when a step is due: rules by step, nature and area, in hours, days or working days.

use super::calendar::Holidays;
use super::dispatch::{FoundBy, PlaceCodes};
use super::nature::Nature;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// What is waited for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// From the report to the first record on site.
    FirstVisit,
    /// From the report until it is stopped for certain.
    Stop,
    /// From the report to the application to close.
    Application,
    /// From the demolish order until it is demolished.
    Demolition,
    /// From the application to the reviewer's decision.
    Review,
    /// From an application sent back, or a case reopened, to the next application.
    Rework,
}

impl Step {
    pub const ALL: [Self; 6] = [
        Self::FirstVisit,
        Self::Stop,
        Self::Application,
        Self::Demolition,
        Self::Review,
        Self::Rework,
    ];

    /// The name used in the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstVisit => "first_visit",
            Self::Stop => "stop",
            Self::Application => "application",
            Self::Demolition => "demolition",
            Self::Review => "review",
            Self::Rework => "rework",
        }
    }

    /// Reads the name given by [`Step::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    /// What people call it: Chinese, English.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::FirstVisit => ("首次到场", "first visit"),
            Self::Stop => ("制止", "stop"),
            Self::Application => ("申请结案", "application to close"),
            Self::Demolition => ("拆除", "demolition"),
            Self::Review => ("结案审核", "review"),
            Self::Rework => ("返工整改", "rework"),
        }
    }
}

/// How long a step may take, for which cases. Exactly one of the three lengths is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadlineRule {
    pub step: Step,
    /// Code of the area it holds in; everywhere without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// For this nature only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nature: Option<Nature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
    /// Of 24 hours each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// To the end of the last of them, Asia/Shanghai; the first day does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_days: Option<u32>,
}

/// Whom an overdue case is told to, so many hours after its deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    pub after_hours: u32,
    /// The leaders of this level of the case's place.
    pub level: FoundBy,
}

/// All deadlines, and what follows when one comes near or passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    pub rules: Vec<DeadlineRule>,
    /// The reminder comes so many hours before the deadline.
    pub remind_before_hours: u32,
    /// In the order in which they come, one level up each time.
    pub escalations: Vec<Escalation>,
}

impl Default for Deadlines {
    fn default() -> Self {
        let rule = |step| DeadlineRule {
            step,
            area: None,
            nature: None,
            hours: None,
            days: None,
            working_days: None,
        };
        let escalation = |after_hours, level| Escalation { after_hours, level };
        Self {
            rules: vec![
                DeadlineRule { hours: Some(24), ..rule(Step::FirstVisit) },
                DeadlineRule { days: Some(3), ..rule(Step::Stop) },
                DeadlineRule { days: Some(30), ..rule(Step::Application) },
                DeadlineRule { days: Some(15), ..rule(Step::Demolition) },
                DeadlineRule { working_days: Some(5), ..rule(Step::Review) },
                DeadlineRule { working_days: Some(7), ..rule(Step::Rework) },
            ],
            remind_before_hours: 6,
            escalations: vec![
                escalation(24, FoundBy::Town),
                escalation(72, FoundBy::District),
                escalation(168, FoundBy::City),
            ],
        }
    }
}

impl Deadlines {
    /// When a step that is counted from `start` is due: by the rule of the smallest area that
    /// holds the place, there by the rule for the very nature. None where no rule is set.
    pub fn due(
        &self,
        step: Step,
        nature: Nature,
        place: &PlaceCodes,
        start: DateTime<Utc>,
        holidays: &Holidays,
    ) -> Option<DateTime<Utc>> {
        let rule = self
            .rules
            .iter()
            .filter(|rule| rule.step == step)
            .filter(|rule| rule.nature.is_none_or(|n| n == nature))
            .filter_map(|rule| Some((specificity(rule.area.as_deref(), place)?, rule)))
            .max_by_key(|(specificity, rule)| (*specificity, rule.nature.is_some()))
            .map(|(_, rule)| rule)?;
        match (rule.hours, rule.days, rule.working_days) {
            (Some(hours), ..) => start.checked_add_signed(Duration::hours(hours.into())),
            (_, Some(days), _) => start.checked_add_signed(Duration::days(days.into())),
            (.., Some(days)) => Some(holidays.end_of_working_day(start, days)),
            (None, None, None) => None,
        }
    }

    /// The most hours before or after its deadline that a case is still of interest.
    pub fn last_escalation_hours(&self) -> u32 {
        self.escalations.iter().map(|e| e.after_hours).max().unwrap_or(0)
    }
}

/// How small the area of a rule is, where it holds the place at all.
fn specificity(area: Option<&str>, place: &PlaceCodes) -> Option<u8> {
    let Some(area) = area else { return Some(0) };
    let is = |code: &Option<String>| code.as_deref() == Some(area);
    if is(&place.village) {
        Some(5)
    } else if is(&place.town) {
        Some(4)
    } else if place.functional_areas.iter().any(|code| code == area) {
        Some(3)
    } else if is(&place.district) {
        // A functional area's towns have left the district.
        place.functional_areas.is_empty().then_some(2)
    } else if is(&place.city) {
        Some(1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> PlaceCodes {
        PlaceCodes {
            city: Some("350300".into()),
            district: Some("350302".into()),
            functional_areas: vec![],
            town: Some("350302001".into()),
            village: Some("350302001001".into()),
            cell: None,
        }
    }

    fn rule(area: Option<&str>, nature: Option<Nature>, hours: u32) -> DeadlineRule {
        DeadlineRule {
            step: Step::FirstVisit,
            area: area.map(String::from),
            nature,
            hours: Some(hours),
            days: None,
            working_days: None,
        }
    }

    #[test]
    fn the_smallest_area_wins_then_the_nature() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let deadlines = Deadlines {
            rules: vec![
                rule(None, None, 24),
                rule(None, Some(Nature::IllegalConstruction), 23),
                rule(Some("350302"), None, 12),
                rule(Some("350302001"), Some(Nature::IllegalConstruction), 6),
                rule(Some("350303001"), None, 1),
            ],
            ..Deadlines::default()
        };
        let hours = |nature, place: &PlaceCodes| {
            let due = deadlines.due(Step::FirstVisit, nature, place, start, &Holidays::default());
            (due.unwrap() - start).num_hours()
        };
        assert_eq!(hours(Nature::IllegalConstruction, &place()), 6);
        assert_eq!(hours(Nature::IllegalLandUse, &place()), 12);
        assert_eq!(hours(Nature::Both, &PlaceCodes::default()), 24);
        assert_eq!(hours(Nature::IllegalConstruction, &PlaceCodes::default()), 23);
        // A functional area has left its district.
        let functional = PlaceCodes { functional_areas: vec!["350305901".into()], ..place() };
        assert_eq!(hours(Nature::IllegalLandUse, &functional), 24);
        let none = deadlines.due(Step::Review, Nature::Both, &place(), start, &Holidays::default());
        assert_eq!(none, None);
    }

    #[test]
    fn the_defaults_are_those_of_the_domain() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let due = |step| {
            let deadlines = Deadlines::default();
            let due = deadlines.due(step, Nature::Both, &place(), start, &Holidays::default());
            (due.unwrap() - start).num_hours()
        };
        assert_eq!(
            (due(Step::FirstVisit), due(Step::Stop), due(Step::Application)),
            (24, 3 * 24, 30 * 24)
        );
    }
}
