//! What is unlawful about a find.

use serde::{Deserialize, Serialize};

/// The nature of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// 违法占地
    IllegalLandUse,
    /// 违法建设
    IllegalConstruction,
    /// Both at once.
    Both,
}

impl Nature {
    pub const ALL: [Self; 3] = [Self::IllegalLandUse, Self::IllegalConstruction, Self::Both];

    /// The name used in the API, the store and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IllegalLandUse => "illegal_land_use",
            Self::IllegalConstruction => "illegal_construction",
            Self::Both => "both",
        }
    }

    /// Reads the name given by [`Nature::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|n| n.as_str() == name)
    }
}
