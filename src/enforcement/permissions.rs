//! Who may see and do what: one rule set.

use super::dispatch::PlaceCodes;
use super::people::Role;

/// Where an account may do what its role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Within {
    /// Anywhere in the city.
    City,
    /// In its own area and below.
    OwnArea,
}

/// Declares the actions: what each is called (zh, en), where it may be done, and by whom.
macro_rules! actions {
    ($($(#[$doc:meta])+ $name:ident($zh:literal, $en:literal): $within:ident, $roles:expr;)*) => {
        /// What the service guards. The steps of a case have rules of their own in
        /// [`super::workflow`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])+ $name,)*
        }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is called, in Chinese and English.
            pub fn title(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($zh, $en),)* }
            }

            pub fn within(self) -> Within {
                match self { $(Self::$name => Within::$within,)* }
            }

            /// The roles that may.
            pub fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => $roles,)* }
            }
        }
    };
}

const EVERYBODY: &[Role] = &Role::ALL;
/// Who leads, or works at a desk, and has to know who is who.
const DESKS: &[Role] = &[
    Role::SquadLeader,
    Role::Reviewer,
    Role::VillageLeader,
    Role::TownLeader,
    Role::DistrictLeader,
    Role::CityLeader,
    Role::Dispatcher,
    Role::Admin,
];
/// Who leads people, or gives out work at a desk.
const LEAD: &[Role] = &[
    Role::SquadLeader,
    Role::VillageLeader,
    Role::TownLeader,
    Role::DistrictLeader,
    Role::CityLeader,
    Role::Dispatcher,
];
/// And who looks after the platform.
const LEAD_OR_ADMIN: &[Role] = &[
    Role::SquadLeader,
    Role::VillageLeader,
    Role::TownLeader,
    Role::DistrictLeader,
    Role::CityLeader,
    Role::Dispatcher,
    Role::Admin,
];
const ADMIN: &[Role] = &[Role::Admin];

actions! {
    /// Look up a position, see boundaries and land statistics.
    LookUp("查询位置、边界与地类统计", "look up positions, boundaries and land statistics"): City, EVERYBODY;
    /// See cases, their tiles and figures, inside the own area.
    SeeCases("查看案件、图层与统计", "see cases, their tiles and figures"): OwnArea, EVERYBODY;
    /// Report a case; the place need not be in the own area: a find counts wherever it is.
    ReportCase("上报案件", "report a case"): City, EVERYBODY;
    /// Add photos, papers and videos to a case that one sees.
    AddEvidence("上传证据", "add evidence to a case"): OwnArea, EVERYBODY;
    /// Send the own track on patrol, and see it.
    RecordTrack("记录本人巡查轨迹", "record the own patrol track"): City, EVERYBODY;
    /// See where others were on patrol, inside the own area.
    SeeTracks("查看他人巡查轨迹", "see others' patrol tracks"): OwnArea, LEAD_OR_ADMIN;
    /// Make and end patrol plans, inside the own area.
    ManagePatrolPlans("制定巡查计划", "manage patrol plans"): OwnArea, LEAD_OR_ADMIN;
    /// Import suspected plots, which become cases.
    ImportSuspects("导入疑似图斑", "import suspected plots"): City, &[Role::Planner, Role::Admin];
    /// See the people of the own area, who answers for what, and where nobody does.
    SeePeople("查看人员、包干与空白", "see people, duties and gaps"): OwnArea, DESKS;
    /// Import and change people and duties.
    ManagePeople("管理人员与包干", "manage people and duties"): OwnArea, ADMIN;
    /// Import, check, publish and discard boundaries.
    ManageBoundaries("导入、检查、发布边界", "import, check and publish boundaries"): City, &[Role::Planner, Role::Admin];
    /// Give tasks to people and teams of the own area, and see those given there.
    GiveTasks("交办任务", "give tasks"): OwnArea, LEAD;
    /// Take reports of the public into cases, or decline them.
    HandlePublicReports("受理群众举报", "take reports of the public"): OwnArea, LEAD;
    /// Change settings and see their history.
    ManageSettings("修改系统设置", "change settings"): City, ADMIN;
    /// Dispatch open cases again after duties or absences have changed.
    Redispatch("重新派单", "dispatch open cases again"): OwnArea, &[Role::Dispatcher, Role::Admin];
    /// Keep the figures of a month as they are signed.
    FreezeReports("冻结月报", "freeze a month's report"): OwnArea, &[Role::TownLeader, Role::DistrictLeader, Role::CityLeader, Role::Admin];
    /// Search and export the audit trail.
    SeeAudit("查询、导出日志", "search and export the audit trail"): City, ADMIN;
}

/// Whether a role may do it at all; where, [`Action::within`] and [`Scope`] say.
pub fn may(role: Role, action: Action) -> bool {
    action.roles().contains(&role)
}

/// Whether an account of this role and area may do it at this place.
pub fn may_at(role: Role, scope: &Scope, action: Action, place: &PlaceCodes) -> bool {
    may(role, action) && (action.within() == Within::City || scope.holds(place))
}

/// What an API token is good for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Look only: maps, lists, figures.
    Read,
    /// Besides, what a phone sends: cases and their steps, evidence, tracks.
    Report,
    /// All that its owner may.
    Manage,
}

impl TokenScope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Report, Self::Manage];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Report => "report",
            Self::Manage => "manage",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// Whether a request may be made with it. What is not known to be harmless is refused: a new
    /// endpoint is closed to narrow tokens until it is named here.
    pub fn admits(self, method: &str, path: &str) -> bool {
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
        let path = path.strip_prefix("/api/v1/").unwrap_or(path);
        let first = path.split('/').next().unwrap_or_default();
        // Personal data and the trail are for people, and for what they trust fully.
        let guarded =
            matches!(first, "people" | "audit" | "tokens") || path.starts_with("me/sessions");
        // Questions that are too long for an address.
        let asks = method == "POST" && matches!(path, "lookup/batch" | "stats/land");
        match self {
            Self::Read => (reads && !guarded) || asks,
            Self::Report => {
                Self::Read.admits(method, path)
                    || matches!(first, "cases" | "attachments" | "uploads")
                    || (first == "patrol" && path.starts_with("patrol/tracks"))
                    || (matches!(first, "messages" | "push") && method != "PUT")
                    || (first == "tasks" && path.ends_with("/actions"))
            }
            Self::Manage => true,
        }
    }
}

/// The rules as a table for readers: who may do what, in the own area and in another.
pub fn matrix() -> String {
    use std::fmt::Write;
    let mut text = String::from("| |");
    for role in Role::ALL {
        let _ = write!(text, " {} |", role.as_str());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Role::ALL.len()));
    for &action in Action::ALL {
        let (zh, en) = action.title();
        let _ = write!(text, "\n| {zh} {en} |");
        for role in Role::ALL {
            text.push_str(match (may(role, action), action.within()) {
                (false, _) => " · |",
                (true, Within::OwnArea) => " own |",
                (true, Within::City) => " all |",
            });
        }
    }
    text.push('\n');
    text
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
