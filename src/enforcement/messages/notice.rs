//! What is to be told, and to whom: resolved to people when it is written to the store.

use super::kind::Kind;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::people::Role;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A level of leaders. A functional area stands beside the districts, at theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Village,
    Town,
    District,
    City,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Village, Self::Town, Self::District, Self::City];

    /// The next one up.
    pub fn above(self) -> Option<Self> {
        match self {
            Self::Village => Some(Self::Town),
            Self::Town => Some(Self::District),
            Self::District => Some(Self::City),
            Self::City => None,
        }
    }

    fn leader(self) -> Role {
        match self {
            Self::Village => Role::VillageLeader,
            Self::Town => Role::TownLeader,
            Self::District => Role::DistrictLeader,
            Self::City => Role::CityLeader,
        }
    }

    /// The areas of a place at this level: one, none, or the functional areas.
    fn codes(self, place: &PlaceCodes) -> Vec<&str> {
        match self {
            Self::Village => place.village.as_deref().into_iter().collect(),
            Self::Town => place.town.as_deref().into_iter().collect(),
            // Its towns leave the surrounding district.
            Self::District if !place.functional_areas.is_empty() => {
                place.functional_areas.iter().map(String::as_str).collect()
            }
            Self::District => place.district.as_deref().into_iter().collect(),
            Self::City => place.city.as_deref().into_iter().collect(),
        }
    }
}

/// Whom a notice is for. Only active people are reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipients {
    Person(Uuid),
    /// The leaders of the village, the town, the district or functional area, and the city. Of a
    /// place that is nowhere: the city's.
    LeadersOf(PlaceCodes),
    /// The leaders of one level only.
    LeadersAt {
        place: PlaceCodes,
        level: Level,
    },
    /// The reviewers of the lowest level that has any.
    Reviewers(PlaceCodes),
    /// The dispatchers of every level that holds the place.
    Dispatchers(PlaceCodes),
    /// Who takes reports of the public: the squad leaders of the lowest level that has any, else the
    /// dispatchers.
    Desk(PlaceCodes),
    Admins,
    /// The people of a department who belong to an area or one below.
    Department {
        area: String,
        name: String,
    },
}

/// Of which area a role is meant; `None` is any area.
pub type RoleAt = (Role, Option<String>);

impl Recipients {
    /// Roles and areas, in groups of which the first counts that has somebody. None where this
    /// is no question of roles.
    pub fn roles(&self) -> Option<Vec<Vec<RoleAt>>> {
        let leaders = |place: &PlaceCodes, levels: &[Level]| -> Vec<RoleAt> {
            let at = |level: &Level| at(level.leader(), &[*level], place);
            levels.iter().flat_map(at).collect()
        };
        Some(match self {
            Self::LeadersOf(place) if is_nowhere(place) => vec![vec![(Role::CityLeader, None)]],
            Self::LeadersOf(place) => vec![leaders(place, &Level::ALL)],
            Self::LeadersAt { place, level: Level::City } if is_nowhere(place) => {
                vec![vec![(Role::CityLeader, None)]]
            }
            Self::LeadersAt { place, level } => vec![leaders(place, &[*level])],
            Self::Reviewers(place) if is_nowhere(place) => vec![vec![(Role::Reviewer, None)]],
            Self::Reviewers(place) => {
                Level::ALL.iter().map(|level| at(Role::Reviewer, &[*level], place)).collect()
            }
            Self::Dispatchers(place) if is_nowhere(place) => vec![vec![(Role::Dispatcher, None)]],
            Self::Dispatchers(place) => vec![at(Role::Dispatcher, &Level::ALL, place)],
            Self::Desk(place) if is_nowhere(place) => vec![vec![(Role::Dispatcher, None)]],
            Self::Desk(place) => Level::ALL
                .iter()
                .map(|level| at(Role::SquadLeader, &[*level], place))
                .chain([at(Role::Dispatcher, &Level::ALL, place)])
                .collect(),
            Self::Admins => vec![vec![(Role::Admin, None)]],
            Self::Person(_) | Self::Department { .. } => return None,
        })
    }
}

fn is_nowhere(place: &PlaceCodes) -> bool {
    place.city.is_none()
}

fn at(role: Role, levels: &[Level], place: &PlaceCodes) -> Vec<RoleAt> {
    let codes = levels.iter().flat_map(|level| level.codes(place));
    codes.map(|code| (role, Some(code.to_string()))).collect()
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// One message per key and recipient, however often it is said.
    pub key: Uuid,
    pub kind: Kind,
    /// The case it is about: its number, place, party and so on are facts by themselves.
    pub case_id: Option<Uuid>,
    /// Who caused it. They are told only what is addressed to them in person.
    pub actor: Option<Uuid>,
    pub to: Vec<Recipients>,
    /// What the templates may name besides; see `templates`. Times are RFC 3339, areas m².
    pub facts: BTreeMap<&'static str, String>,
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
            cell: Some("350305102001001".into()),
        }
    }

    fn roles(recipients: &Recipients) -> Vec<Vec<(&'static str, String)>> {
        let groups = recipients.roles().unwrap();
        let plain = |(role, code): &RoleAt| (role.as_str(), code.clone().unwrap_or("*".into()));
        groups.iter().map(|group| group.iter().map(plain).collect()).collect()
    }

    #[test]
    fn leaders_are_those_of_each_level_and_a_functional_area_stands_for_the_district() {
        let own = |code: &str| {
            vec![vec![
                ("village_leader", "350305102001".to_string()),
                ("town_leader", "350305102".into()),
                ("district_leader", code.into()),
                ("city_leader", "350300".into()),
            ]]
        };
        assert_eq!(roles(&Recipients::LeadersOf(place(None))), own("350305"));
        let functional = place(Some("350305901"));
        assert_eq!(roles(&Recipients::LeadersOf(functional.clone())), own("350305901"));
        let at = Recipients::LeadersAt { place: functional, level: Level::District };
        assert_eq!(roles(&at), [[("district_leader", "350305901".to_string())]]);
        let nowhere = Recipients::LeadersOf(PlaceCodes::default());
        assert_eq!(roles(&nowhere), [[("city_leader", "*".to_string())]]);
    }

    #[test]
    fn reviewers_are_sought_from_below() {
        let found = roles(&Recipients::Reviewers(place(None)));
        let codes: Vec<&str> = found.iter().flatten().map(|(_, code)| code.as_str()).collect();
        assert_eq!(codes, ["350305102001", "350305102", "350305", "350300"]);
        assert_eq!(found.len(), 4);
        assert_eq!(roles(&Recipients::Dispatchers(place(None)))[0].len(), 4);
    }
}
