//! People, their roles, and the duties they hold.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a person does; `domain.md` of the project tells who may do what.
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
pub enum Role {
    Patroller,
    SquadLeader,
    Reviewer,
    VillageLeader,
    TownLeader,
    DistrictLeader,
    CityLeader,
    Dispatcher,
    Planner,
    Admin,
}

impl Role {
    pub const ALL: [Self; 10] = [
        Self::Patroller,
        Self::SquadLeader,
        Self::Reviewer,
        Self::VillageLeader,
        Self::TownLeader,
        Self::DistrictLeader,
        Self::CityLeader,
        Self::Dispatcher,
        Self::Planner,
        Self::Admin,
    ];

    /// The name used in the API, the store and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patroller => "patroller",
            Self::SquadLeader => "squad_leader",
            Self::Reviewer => "reviewer",
            Self::VillageLeader => "village_leader",
            Self::TownLeader => "town_leader",
            Self::DistrictLeader => "district_leader",
            Self::CityLeader => "city_leader",
            Self::Dispatcher => "dispatcher",
            Self::Planner => "planner",
            Self::Admin => "admin",
        }
    }

    /// Reads the name given by [`Role::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }
}

/// A person as dispatch and the look-up know them.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub id: Uuid,
    pub phone: String,
    pub name: String,
    pub role: Role,
    /// The area the account answers for; its length tells the level (6, 9, 12 digits).
    pub area_code: String,
    pub department: Option<String>,
}

/// For which finds a duty holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DutyNature {
    /// `*`
    Any,
    IllegalLandUse,
    IllegalConstruction,
}

impl DutyNature {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "*",
            Self::IllegalLandUse => "illegal_land_use",
            Self::IllegalConstruction => "illegal_construction",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Any, Self::IllegalLandUse, Self::IllegalConstruction]
            .into_iter()
            .find(|n| n.as_str() == name)
    }
}

/// Whether a person answers first or stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    Primary,
    Backup,
}

impl Rank {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Primary, Self::Backup].into_iter().find(|r| r.as_str() == name)
    }
}

/// A person answers for the area or cell with this code.
#[derive(Debug, Clone, PartialEq)]
pub struct Duty {
    pub code: String,
    pub person: Uuid,
    pub nature: DutyNature,
    pub rank: Rank,
}
