//! Who answers for a place.
//!
//! The level comes first (cell, village, town, functional area, district, city), then the exact
//! nature, then `*`. Without a nature, or for both, illegal land use goes before illegal
//! construction. Above the village, where nobody holds a duty, the leaders of the area answer.
//! Whoever is absent is passed over, as if without duty, as long as anybody at all is there.

use super::nature::Nature;
use super::people::{Duty, DutyNature, Person, Rank, Role};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The level at which a responsible person was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    Cell,
    Village,
    Town,
    FunctionalArea,
    District,
    City,
}

impl FoundBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Village => "village",
            Self::Town => "town",
            Self::FunctionalArea => "functional_area",
            Self::District => "district",
            Self::City => "city",
        }
    }
}

/// The codes of the areas that hold a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaceCodes {
    pub city: Option<String>,
    pub district: Option<String>,
    pub functional_areas: Vec<String>,
    pub town: Option<String>,
    pub village: Option<String>,
    pub cell: Option<String>,
}

impl PlaceCodes {
    /// From the cell or village up, in the order in which somebody is looked for.
    fn levels(&self) -> impl Iterator<Item = (FoundBy, &str)> {
        fn one(by: FoundBy, code: &Option<String>) -> impl Iterator<Item = (FoundBy, &str)> {
            code.as_deref().map(|code| (by, code)).into_iter()
        }
        one(FoundBy::Cell, &self.cell)
            .chain(one(FoundBy::Village, &self.village))
            .chain(one(FoundBy::Town, &self.town))
            .chain(self.functional_areas.iter().map(|c| (FoundBy::FunctionalArea, c.as_str())))
            .chain(one(FoundBy::District, &self.district))
            .chain(one(FoundBy::City, &self.city))
    }
}

/// A responsible person as answers show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Contact {
    pub id: Uuid,
    pub name: String,
    pub phone: String,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
}

/// Who answers at one level, for one nature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Assignment {
    pub primary: Contact,
    pub backup: Vec<Contact>,
    pub found_by: FoundBy,
    /// Who would answer, but is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<Box<Contact>>,
}

/// Who answers for a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Responsible {
    #[serde(flatten)]
    pub assignment: Assignment,
    /// Each nature by itself: `illegal_land_use`, `illegal_construction`.
    pub by_nature: ByNature,
}

/// The answer for each nature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ByNature {
    pub illegal_land_use: Option<Assignment>,
    pub illegal_construction: Option<Assignment>,
}

#[derive(Debug, Default)]
struct Holders {
    /// Indices into `Roster::people`, primaries before backups.
    holders: Vec<(Rank, u32)>,
}

/// All people and duties in force, arranged for look-up. Immutable.
#[derive(Debug, Default)]
pub struct Roster {
    people: Vec<Person>,
    by_id: HashMap<Uuid, u32>,
    duties: HashMap<String, [Holders; 3]>,
    /// Indices of those who are away.
    absent: HashSet<u32>,
}

const LAND_USE: &[DutyNature] = &[DutyNature::IllegalLandUse];
const CONSTRUCTION: &[DutyNature] = &[DutyNature::IllegalConstruction];
const EITHER: &[DutyNature] = &[DutyNature::IllegalLandUse, DutyNature::IllegalConstruction];

/// The order of the three slots of a code.
const NATURES: [DutyNature; 3] =
    [DutyNature::Any, DutyNature::IllegalLandUse, DutyNature::IllegalConstruction];

impl Roster {
    /// Arranges active people and their duties; duties of anybody else are left out.
    pub fn new(mut people: Vec<Person>, duties: Vec<Duty>) -> Self {
        // By phone, so that several holders of one rank always come in the same order.
        people.sort_by(|a, b| a.phone.cmp(&b.phone));
        let by_id: HashMap<Uuid, u32> = people.iter().zip(0..).map(|(p, i)| (p.id, i)).collect();
        let mut arranged: HashMap<String, [Holders; 3]> = HashMap::new();
        for duty in duties {
            let Some(&person) = by_id.get(&duty.person) else { continue };
            let Some(slot) = NATURES.iter().position(|n| *n == duty.nature) else { continue };
            arranged.entry(duty.code).or_default()[slot].holders.push((duty.rank, person));
        }
        // Where nobody holds a duty for a whole town, district or city, its leaders answer.
        for (index, person) in (0..).zip(&people) {
            let level = match person.role {
                Role::VillageLeader => 12,
                Role::TownLeader => 9,
                Role::DistrictLeader | Role::CityLeader => 6,
                _ => continue,
            };
            if person.area_code.len() == level || person.role == Role::DistrictLeader {
                let code = format!("{LEADERS_OF}{}", person.area_code);
                let rank = Rank::Primary;
                arranged.entry(code).or_default()[0].holders.push((rank, index));
            }
        }
        for slots in arranged.values_mut() {
            slots.iter_mut().for_each(|slot| slot.holders.sort_unstable());
        }
        Self { people, by_id, duties: arranged, absent: HashSet::new() }
    }

    /// The same on a day on which these people are away.
    pub fn with_absent(mut self, people: impl IntoIterator<Item = Uuid>) -> Self {
        self.absent = people.into_iter().filter_map(|id| self.by_id.get(&id).copied()).collect();
        self
    }

    /// Whether somebody is away.
    pub fn is_absent(&self, id: Uuid) -> bool {
        self.by_id.get(&id).is_some_and(|index| self.absent.contains(index))
    }

    /// The person with this id.
    pub fn person(&self, id: Uuid) -> Option<&Person> {
        self.by_id.get(&id).map(|&index| &self.people[index as usize])
    }

    /// All people, by phone.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Whether anybody holds a duty for this very code.
    pub fn has_duty(&self, code: &str) -> bool {
        self.duties.contains_key(code)
    }

    /// Who answers for a place. `None` as nature asks for whoever comes first.
    pub fn responsible(&self, place: &PlaceCodes, nature: Option<Nature>) -> Option<Responsible> {
        let by_nature = ByNature {
            illegal_land_use: self.assignment(place, LAND_USE),
            illegal_construction: self.assignment(place, CONSTRUCTION),
        };
        let assignment = match nature {
            Some(Nature::IllegalLandUse) => by_nature.illegal_land_use.clone(),
            Some(Nature::IllegalConstruction) => by_nature.illegal_construction.clone(),
            Some(Nature::Both) | None => self.assignment(place, EITHER),
        }?;
        Some(Responsible { assignment, by_nature })
    }

    /// The phone of the first responsible person, without building the whole answer: for batches.
    pub fn responsible_phone(&self, place: &PlaceCodes, nature: Option<Nature>) -> Option<&str> {
        let natures = match nature {
            Some(Nature::IllegalLandUse) => LAND_USE,
            Some(Nature::IllegalConstruction) => CONSTRUCTION,
            Some(Nature::Both) | None => EITHER,
        };
        let (_, holders) = self.holders(place, natures)?;
        let person = holders.first()?;
        Some(&self.people[*person as usize].phone)
    }

    /// The level that answers, and its people: whoever comes first answers, the others stand in.
    /// Where everybody is away, everybody counts as present: somebody has to answer.
    fn holders(&self, place: &PlaceCodes, natures: &[DutyNature]) -> Option<(FoundBy, Vec<u32>)> {
        let present = |person: u32| !self.absent.contains(&person);
        self.holders_among(place, natures, present)
            .or_else(|| self.holders_if_all_were_here(place, natures))
    }

    fn holders_if_all_were_here(
        &self,
        place: &PlaceCodes,
        natures: &[DutyNature],
    ) -> Option<(FoundBy, Vec<u32>)> {
        self.holders_among(place, natures, |_| true)
    }

    fn holders_among(
        &self,
        place: &PlaceCodes,
        natures: &[DutyNature],
        counts: impl Fn(u32) -> bool + Copy,
    ) -> Option<(FoundBy, Vec<u32>)> {
        let of = |holders: &Holders, wanted: Rank| {
            let counted = holders.holders.iter().filter(|(rank, p)| *rank == wanted && counts(*p));
            counted.map(|(_, person)| *person).collect::<Vec<_>>()
        };
        place.levels().find_map(|(found_by, code)| {
            let by_duty = self.duties.get(code).and_then(|slots| {
                let [any, ..] = slots;
                natures.iter().find_map(|nature| {
                    let exact = match nature {
                        DutyNature::Any => return None,
                        DutyNature::IllegalLandUse => &slots[1],
                        DutyNature::IllegalConstruction => &slots[2],
                    };
                    // A nature may name its own stand-in and leave the rest to `*`.
                    let mut holders = of(exact, Rank::Primary);
                    if holders.is_empty() {
                        holders = of(any, Rank::Primary);
                    }
                    holders.extend(of(exact, Rank::Backup));
                    holders.extend(of(any, Rank::Backup));
                    (!holders.is_empty()).then_some(holders)
                })
            });
            let leaders = || {
                let [leaders, ..] = self.duties.get(&format!("{LEADERS_OF}{code}"))?;
                Some(of(leaders, Rank::Primary)).filter(|leaders| !leaders.is_empty())
            };
            by_duty.or_else(leaders).map(|holders| (found_by, holders))
        })
    }

    fn assignment(&self, place: &PlaceCodes, natures: &[DutyNature]) -> Option<Assignment> {
        let (found_by, holders) = self.holders(place, natures)?;
        let mut people: Vec<u32> = Vec::new();
        for person in holders {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        let stands_in_for = if self.absent.is_empty() {
            None
        } else {
            let (_, usual) = self.holders_if_all_were_here(place, natures)?;
            let usual = usual.first().copied().filter(|usual| people.first() != Some(usual));
            usual.map(|usual| Box::new(self.contact(usual)))
        };
        let mut contacts = people.into_iter().map(|person| self.contact(person));
        let primary = contacts.next()?;
        Some(Assignment { primary, backup: contacts.collect(), found_by, stands_in_for })
    }

    fn contact(&self, person: u32) -> Contact {
        let person = &self.people[person as usize];
        Contact {
            id: person.id,
            name: person.name.clone(),
            phone: person.phone.clone(),
            role: person.role,
            department: person.department.clone(),
        }
    }
}

/// Key prefix of an area's leaders among the duties; no area code begins like this.
const LEADERS_OF: &str = "leaders:";

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u128, role: Role, area: &str) -> Person {
        Person {
            id: Uuid::from_u128(n),
            phone: format!("1000594{n:04}"),
            name: format!("p{n}"),
            role,
            area_code: area.into(),
            department: None,
        }
    }

    fn duty(code: &str, person: u128, nature: DutyNature, rank: Rank) -> Duty {
        Duty { code: code.into(), person: Uuid::from_u128(person), nature, rank }
    }

    fn place() -> PlaceCodes {
        PlaceCodes {
            city: Some("350300".into()),
            district: Some("350302".into()),
            functional_areas: vec!["350305901".into()],
            town: Some("350302001".into()),
            village: Some("350302001001".into()),
            cell: Some("350302001001001".into()),
        }
    }

    fn found(roster: &Roster, nature: Option<Nature>) -> Option<(FoundBy, String)> {
        let found = roster.responsible(&place(), nature)?.assignment;
        assert_eq!(roster.responsible_phone(&place(), nature), Some(found.primary.phone.as_str()));
        Some((found.found_by, found.primary.name))
    }

    #[test]
    fn level_goes_before_nature() {
        use DutyNature::*;
        let people = (1..=6).map(|n| person(n, Role::Patroller, "350302001001")).collect();
        let roster = Roster::new(
            people,
            vec![
                duty("350302001001001", 1, IllegalConstruction, Rank::Primary),
                duty("350302001001001", 2, IllegalConstruction, Rank::Backup),
                duty("350302001001", 3, IllegalLandUse, Rank::Primary),
                duty("350302001001", 4, Any, Rank::Primary),
            ],
        );
        let land = found(&roster, Some(Nature::IllegalLandUse));
        assert_eq!(land, Some((FoundBy::Village, "p3".into())));
        let construction = found(&roster, Some(Nature::IllegalConstruction));
        assert_eq!(construction, Some((FoundBy::Cell, "p1".into())));
        // The cell has nobody for land use, but level goes first.
        assert_eq!(found(&roster, None), Some((FoundBy::Cell, "p1".into())));
        assert_eq!(found(&roster, Some(Nature::Both)), Some((FoundBy::Cell, "p1".into())));
        let whole = roster.responsible(&place(), None).unwrap();
        assert_eq!(whole.assignment.backup.len(), 1);
        assert_eq!(whole.by_nature.illegal_land_use.unwrap().primary.name, "p3");
    }

    #[test]
    fn a_nature_may_name_only_its_own_stand_in() {
        use DutyNature::*;
        let people = (1..=3).map(|n| person(n, Role::Patroller, "350302001001")).collect();
        let village = "350302001001";
        let roster = Roster::new(
            people,
            vec![
                duty(village, 1, Any, Rank::Primary),
                duty(village, 2, Any, Rank::Backup),
                duty(village, 3, IllegalConstruction, Rank::Backup),
            ],
        );
        let names = |a: Option<Assignment>| {
            let a = a.unwrap();
            let backup: Vec<_> = a.backup.into_iter().map(|c| c.name).collect();
            (a.primary.name, backup)
        };
        let by_nature = roster.responsible(&place(), None).unwrap().by_nature;
        assert_eq!(names(by_nature.illegal_land_use), ("p1".into(), vec!["p2".into()]));
        let construction = names(by_nature.illegal_construction);
        assert_eq!(construction, ("p1".into(), vec!["p3".into(), "p2".into()]));
    }

    #[test]
    fn falls_back_level_by_level_to_the_leaders() {
        let leaders = [
            person(1, Role::CityLeader, "350300"),
            person(2, Role::DistrictLeader, "350302"),
            person(3, Role::DistrictLeader, "350305901"),
            person(4, Role::TownLeader, "350302001"),
            person(5, Role::VillageLeader, "350302001001"),
        ];
        let expected = [
            FoundBy::City,
            FoundBy::District,
            FoundBy::FunctionalArea,
            FoundBy::Town,
            FoundBy::Village,
        ];
        for count in 1..=5 {
            let roster = Roster::new(leaders[..count].to_vec(), vec![]);
            let name = format!("p{count}");
            assert_eq!(found(&roster, None), Some((expected[count - 1], name)));
        }
        assert_eq!(found(&Roster::default(), None), None);
    }
}
