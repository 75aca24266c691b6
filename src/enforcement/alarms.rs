//! Alarms from law: when a party's takings become criminal.
//!
//! From 5 mu of permanent basic farmland or 10 mu of other cultivated land taken by one party
//! (Supreme People's Court, 法释〔2000〕14号), cumulated over the party's cases by identity number
//! or credit code. A name alone only suggests.

use crate::atlas::category::CategoryAreas;
use crate::geometry::geodesic::MU_M2;
use serde::{Deserialize, Serialize};

/// From which areas, m², a taking is criminal; a setting with validity dates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CriminalThresholds {
    pub basic_farmland_m2: f64,
    pub cultivated_m2: f64,
}

impl Default for CriminalThresholds {
    fn default() -> Self {
        Self { basic_farmland_m2: 5.0 * MU_M2, cultivated_m2: 10.0 * MU_M2 }
    }
}

/// A reason to tell the leaders at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alarm {
    pub kind: AlarmKind,
    /// What the party has taken in all, this case included, m².
    pub cumulative_m2: f64,
    pub threshold_m2: f64,
    /// Earlier cases counted in.
    pub earlier_cases: u32,
    pub text_zh: String,
    pub text_en: String,
}

/// Which threshold is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    CriminalBasicFarmland,
    CriminalCultivated,
}

/// What earlier cases of the same party (by identity number or credit code) have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EarlierTakings {
    pub cases: u32,
    pub basic_farmland_m2: f64,
    pub farmland_m2: f64,
}

/// Areas are compared to the last tenth of a square metre that anybody measures.
const EQUAL_M2: f64 = 0.05;

/// The alarms of a case.
pub fn alarms(
    taken: &CategoryAreas,
    earlier: EarlierTakings,
    thresholds: CriminalThresholds,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut check = |kind, now: f64, before: f64, threshold: f64, zh: &str, en: &str| {
        let cumulative = now + before;
        // A case that takes none of this land raises no alarm about it again.
        if now > 0.0 && cumulative >= threshold - EQUAL_M2 {
            let mu = cumulative / MU_M2;
            alarms.push(Alarm {
                kind,
                cumulative_m2: cumulative,
                threshold_m2: threshold,
                earlier_cases: earlier.cases,
                text_zh: format!("涉嫌犯罪：累计占用{zh} {mu:.2} 亩，达到 {:.0} 亩标准", threshold / MU_M2),
                text_en: format!(
                    "Criminal threshold: {mu:.2} mu of {en} taken in all, from {:.0} mu it is a crime",
                    threshold / MU_M2
                ),
            });
        }
    };
    check(
        AlarmKind::CriminalBasicFarmland,
        taken.basic_farmland,
        earlier.basic_farmland_m2,
        thresholds.basic_farmland_m2,
        "永久基本农田",
        "permanent basic farmland",
    );
    check(
        AlarmKind::CriminalCultivated,
        taken.farmland,
        earlier.farmland_m2,
        thresholds.cultivated_m2,
        "其他耕地",
        "other cultivated land",
    );
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_begin_at_the_threshold_and_cumulate() {
        let taken = |mu: f64| CategoryAreas { basic_farmland: mu * MU_M2, ..Default::default() };
        let default = CriminalThresholds::default();
        let none = EarlierTakings::default();
        assert!(alarms(&taken(4.99), none, default).is_empty());
        assert_eq!(alarms(&taken(5.0), none, default).len(), 1);
        let earlier = EarlierTakings { cases: 2, basic_farmland_m2: 3.0 * MU_M2, farmland_m2: 0.0 };
        assert_eq!(alarms(&taken(2.0), earlier, default)[0].earlier_cases, 2);
        assert!(
            alarms(
                &CategoryAreas::default(),
                EarlierTakings { basic_farmland_m2: 1e6, ..earlier },
                default
            )
            .is_empty()
        );
        let farmland = CategoryAreas { farmland: 10.0 * MU_M2, ..Default::default() };
        assert_eq!(alarms(&farmland, none, default)[0].kind, AlarmKind::CriminalCultivated);
    }
}
