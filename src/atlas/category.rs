//! The five land categories of the reports, a partition of every area.

use serde::{Deserialize, Serialize};

/// A land category. `basic_farmland` is a layer of its own laid over the parcels; the others
/// follow from the parcel's class code (GB/T 21010-2017 and the third national land survey).
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
pub enum Category {
    /// 永久基本农田
    BasicFarmland,
    /// 耕地 (other than basic farmland): 01…
    Farmland,
    /// 非耕地: everything else, and where no parcel lies
    NonFarmland,
    /// 宅基地: 0702
    Homestead,
    /// 矿山: 0602
    Mine,
}

impl Category {
    /// All, in the order of the reports' columns.
    pub const ALL: [Self; 5] =
        [Self::BasicFarmland, Self::Farmland, Self::NonFarmland, Self::Homestead, Self::Mine];

    /// The category of a parcel outside basic farmland, from its class code (text: files hold
    /// 05H1 and 0810A too).
    pub fn of_class(class_code: Option<&str>) -> Self {
        match class_code.map(str::trim) {
            Some(code) if code.starts_with("0702") => Self::Homestead,
            Some(code) if code.starts_with("0602") => Self::Mine,
            Some(code) if code.starts_with("01") => Self::Farmland,
            _ => Self::NonFarmland,
        }
    }

    /// The name used in the API, the store and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BasicFarmland => "basic_farmland",
            Self::Farmland => "farmland",
            Self::NonFarmland => "non_farmland",
            Self::Homestead => "homestead",
            Self::Mine => "mine",
        }
    }

    /// Reads the name given by [`Category::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == name)
    }
}

/// Areas by category, m².
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CategoryAreas {
    pub basic_farmland: f64,
    pub farmland: f64,
    pub non_farmland: f64,
    pub homestead: f64,
    pub mine: f64,
}

impl CategoryAreas {
    /// The area of one category, to add to.
    pub fn get_mut(&mut self, category: Category) -> &mut f64 {
        match category {
            Category::BasicFarmland => &mut self.basic_farmland,
            Category::Farmland => &mut self.farmland,
            Category::NonFarmland => &mut self.non_farmland,
            Category::Homestead => &mut self.homestead,
            Category::Mine => &mut self.mine,
        }
    }

    /// The sum of the five.
    pub fn total(&self) -> f64 {
        self.basic_farmland + self.farmland + self.non_farmland + self.homestead + self.mine
    }
}
