//! Who may see and do what: one rule set.

use super::dispatch::PlaceCodes;
use super::people::Role;

/// What the service guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Look up a position, see boundaries and land statistics.
    LookUp,
    /// See cases, their tiles and figures, inside the own area.
    SeeCases,
    /// Report a case; the place need not be in the own area: a find counts wherever it is.
    ReportCase,
    /// Import, check, publish and discard boundaries.
    ManageBoundaries,
    /// Import and change people and duties.
    ManagePeople,
    /// Change settings and see their history.
    ManageSettings,
}

/// Whether a role may do it at all; where, [`Scope`] says.
pub fn may(role: Role, action: Action) -> bool {
    match action {
        Action::LookUp | Action::SeeCases | Action::ReportCase => true,
        Action::ManageBoundaries => matches!(role, Role::Planner | Role::Admin),
        Action::ManagePeople | Action::ManageSettings => role == Role::Admin,
    }
}

/// The area an account sees: its own and all below.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole city (six digits ending in 00).
    City(String),
    /// A district, less the towns that a functional area has taken out of it.
    District(String),
    FunctionalArea(String),
    Town(String),
    Village(String),
    /// An account without a usable area sees nothing.
    Nothing,
}

impl Scope {
    /// The scope of an area code. `is_functional_area` says which codes belong to that layer: they
    /// can look like a town's.
    pub fn of_area(code: &str, is_functional_area: impl Fn(&str) -> bool) -> Self {
        let code = code.trim();
        if code.is_empty() || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Self::Nothing;
        }
        if is_functional_area(code) {
            return Self::FunctionalArea(code.into());
        }
        match code.len() {
            6 if code.ends_with("00") => Self::City(code.into()),
            6 => Self::District(code.into()),
            9 => Self::Town(code.into()),
            12 => Self::Village(code.into()),
            _ => Self::Nothing,
        }
    }

    /// The area code; empty for [`Scope::Nothing`].
    pub fn code(&self) -> &str {
        match self {
            Self::City(code)
            | Self::District(code)
            | Self::FunctionalArea(code)
            | Self::Town(code)
            | Self::Village(code) => code,
            Self::Nothing => "",
        }
    }

    /// Whether something at this place is inside. A place without a district (未定位) belongs to
    /// the city's people.
    pub fn holds(&self, place: &PlaceCodes) -> bool {
        let is = |code: &Option<String>, own: &str| code.as_deref() == Some(own);
        match self {
            Self::City(own) => place.city.is_none() || is(&place.city, own),
            Self::District(own) => is(&place.district, own) && place.functional_areas.is_empty(),
            Self::FunctionalArea(own) => place.functional_areas.iter().any(|code| code == own),
            Self::Town(own) => is(&place.town, own),
            Self::Village(own) => is(&place.village, own),
            Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(functional_area: Option<&str>) -> PlaceCodes {
        PlaceCodes {
            city: Some("350300".into()),
            district: Some("350305".into()),
            functional_areas: functional_area.map(String::from).into_iter().collect(),
            town: Some("350305102".into()),
            village: Some("350305102001".into()),
            cell: None,
        }
    }

    #[test]
    fn a_functional_area_leaves_its_district() {
        let scope = |code: &str| Scope::of_area(code, |c| c == "350305901");
        for (code, plain, functional) in [
            ("350300", true, true),
            ("350305", true, false),
            ("350302", false, false),
            ("350305901", false, true),
            ("350305102", true, true),
            ("350305102001", true, true),
            ("350305103", false, false),
            ("", false, false),
            ("%", false, false),
        ] {
            assert_eq!(scope(code).holds(&place(None)), plain, "{code}");
            assert_eq!(scope(code).holds(&place(Some("350305901"))), functional, "{code}");
        }
        assert!(scope("350300").holds(&PlaceCodes::default()));
        assert!(!scope("350305").holds(&PlaceCodes::default()));
    }
}
