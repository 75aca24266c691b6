//! A case as the map, the reports and other in-memory readers need it.

use crate::atlas::category::{Category, CategoryAreas};
use std::sync::Arc;
use uuid::Uuid;

pub use super::filter::{CaseFilter, Choice, Unplaced};

/// Declares an enumeration whose names are those of the API, the store and files.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in the API, the store and files.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the name given by `as_str`.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// This value in a [`Choice`].
            pub const fn bit(self) -> u16 {
                1 << self as u16
            }
        }
    };
}

words!(
    /// Where a case stands.
    CaseStatus {
        Dispatched = "dispatched",
        OnSite = "on_site",
        Stopped = "stopped",
        Demolishing = "demolishing",
        CloseApplied = "close_applied",
        Closed = "closed",
        Rejected = "rejected",
        Duplicate = "duplicate",
        Transferred = "transferred",
    }
);
words!(
    /// What is unlawful about a case.
    CaseNature {
        IllegalLandUse = "illegal_land_use",
        IllegalConstruction = "illegal_construction",
        Both = "both",
    }
);
words!(
    /// How a case was found.
    CaseSource {
        Patrol = "patrol",
        Public = "public",
        Satellite = "satellite",
        Assigned = "assigned",
    }
);

/// The codes of the place a case was dispatched to; all `None` where it has none (未定位).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct CasePlace {
    pub city: Option<Box<str>>,
    pub district: Option<Box<str>>,
    /// The functional area whose town has left the district.
    pub functional_area: Option<Box<str>>,
    pub town: Option<Box<str>>,
    pub village: Option<Box<str>>,
    pub cell: Option<Box<str>>,
}

impl CasePlace {
    /// Whether an area answers for this place. A district (6 digits) does not answer for the towns
    /// that a functional area has taken; a city (`…00`) also answers for cases without a place.
    pub fn is_within(&self, area: &str) -> bool {
        let is = |code: &Option<Box<str>>| code.as_deref() == Some(area);
        if is(&self.city)
            || is(&self.functional_area)
            || is(&self.town)
            || is(&self.village)
            || is(&self.cell)
        {
            return true;
        }
        if is(&self.district) {
            return self.functional_area.is_none();
        }
        self.city.is_none() && area.len() == 6 && area.ends_with("00")
    }
}

/// The current state of a case, as far as maps, filters and reports need it. Moments are seconds
/// since 1970 UTC, areas m².
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRecord {
    pub id: Uuid,
    /// The number people say on the phone.
    pub number: Box<str>,
    /// CGCS2000 degrees.
    pub lon: f64,
    pub lat: f64,
    pub reported_at: i64,
    pub status: CaseStatus,
    pub nature: CaseNature,
    pub source: Option<CaseSource>,
    /// None where the case has no place.
    pub category: Option<Category>,
    /// m²; none where nobody has measured.
    pub area_m2: Option<f64>,
    pub assignee: Option<Uuid>,
    pub place: Arc<CasePlace>,
    pub figures: CaseFigures,
    pub version: u32,
}

/// What reports and finer filters need of a case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseFigures {
    pub reporter: Option<Uuid>,
    pub party: Option<Box<str>>,
    pub description: Option<Box<str>>,
    pub cadre: bool,
    /// None where nobody has said.
    pub new_build: Option<bool>,
    /// From a table of past cases: without the history of its steps.
    pub imported: bool,
    /// As the reporter said it, m².
    pub reported_m2: Option<f64>,
    /// The five add up to the area counted.
    pub areas: CategoryAreas,
    pub demolished_m2: f64,
    pub demolished_at: Option<i64>,
    pub closed_at: Option<i64>,
    /// The present step's deadline.
    pub due_at: Option<i64>,
    /// The deadlines that count from the report.
    pub stop_due_at: Option<i64>,
    pub close_due_at: Option<i64>,
    pub visited_at: Option<i64>,
    pub stopped_at: Option<i64>,
    pub applied_at: Option<i64>,
    pub times_returned: u32,
    pub times_extended: u32,
}

/// The bit of a category in a [`Choice`].
pub fn category_bit(category: Category) -> u16 {
    1 << category as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(codes: [&str; 6]) -> CasePlace {
        let code = |c: &str| (!c.is_empty()).then(|| c.into());
        let [city, district, functional_area, town, village, cell] = codes;
        CasePlace {
            city: code(city),
            district: code(district),
            functional_area: code(functional_area),
            town: code(town),
            village: code(village),
            cell: code(cell),
        }
    }

    #[test]
    fn functional_area_stands_beside_its_district() {
        let taken =
            place(["350300", "350305", "350391", "350305101", "350305101200", "350305101200001"]);
        for area in ["350300", "350391", "350305101", "350305101200", "350305101200001"] {
            assert!(taken.is_within(area), "{area}");
        }
        for area in ["350305", "350302", "35030510", "3503051012000", ""] {
            assert!(!taken.is_within(area), "{area}");
        }
        let plain = place(["350300", "350305", "", "350305102", "350305102200", ""]);
        assert!(plain.is_within("350305") && !plain.is_within("350391"));
    }

    #[test]
    fn unplaced_cases_belong_to_the_city() {
        let nowhere = CasePlace::default();
        assert!(nowhere.is_within("350300"));
        assert!(!nowhere.is_within("350302") && !nowhere.is_within("350305101"));
    }

    #[test]
    fn an_empty_choice_admits_everything() {
        let mut choice = Choice::ANY;
        assert!(choice.admits(0) && choice.admits(CaseStatus::Closed.bit()));
        choice.insert(CaseStatus::Closed.bit());
        assert!(choice.admits(CaseStatus::Closed.bit()));
        assert!(!choice.admits(0) && !choice.admits(CaseStatus::Stopped.bit()));
    }

    #[test]
    fn words_are_read_back() {
        for status in CaseStatus::ALL {
            assert_eq!(CaseStatus::parse(status.as_str()), Some(*status));
        }
        assert_eq!(CaseNature::parse("neither"), None);
    }
}
