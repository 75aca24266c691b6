//! The table: what each action is called, which states allow it, where it leads, who may and what
//! it needs.

use super::Status::{
    self, CloseApplied, Closed, Demolishing, Dispatched, Duplicate, OnSite, Rejected, Stopped,
    Transferred,
};
use super::case::{Actor, CaseState};
use crate::enforcement::people::Role;
use serde::{Deserialize, Serialize};

/// Declares the actions with the names that API and store use.
macro_rules! actions {
    ($($variant:ident = $word:literal,)+) => {
        /// What can be done with a case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Action { $($variant),+ }

        impl Action {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in the API and the store.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the name given by [`Action::as_str`].
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

actions! {
    Confirm = "confirm",
    ReturnReport = "return_report",
    PatrolRecord = "patrol_record",
    StopOrder = "stop_order",
    ConfirmStopped = "confirm_stopped",
    DemolishOrder = "demolish_order",
    RecordDemolition = "record_demolition",
    Recheck = "recheck",
    ApplyClose = "apply_close",
    ApproveClose = "approve_close",
    ReturnClose = "return_close",
    Reassign = "reassign",
    Transfer = "transfer",
    Urge = "urge",
    Supervise = "supervise",
    Extend = "extend",
    MarkDuplicate = "mark_duplicate",
    Reject = "reject",
    Reopen = "reopen",
    Comment = "comment",
}

impl Action {
    /// Its row in the table.
    pub fn rule(self) -> &'static Rule {
        // The table has a row for every action; a test holds it.
        RULES.iter().find(|rule| rule.action == self).unwrap_or(&RULES[0])
    }

    /// Whether it changes what others decide by. Somebody who has not seen a remark or an urging
    /// may go on all the same.
    pub fn is_remark(self) -> bool {
        matches!(self, Self::Comment | Self::Urge)
    }
}

/// Who may: each in the own area, except the responsible person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The person who answers for the case, wherever they belong.
    Responsible,
    /// Patrollers and squad leaders on whose patch it lies.
    Patch,
    SquadLeader,
    Reviewer,
    /// Leaders of village, town, district and city.
    Leader,
    Dispatcher,
    /// Whoever may see the case.
    Anybody,
}

impl Who {
    /// Whether this is one of them, the area apart.
    pub fn is_role(self, role: Role) -> bool {
        match self {
            Self::Responsible => false,
            Self::Patch => matches!(role, Role::Patroller | Role::SquadLeader),
            Self::SquadLeader => role == Role::SquadLeader,
            Self::Reviewer => role == Role::Reviewer,
            Self::Leader => matches!(
                role,
                Role::VillageLeader | Role::TownLeader | Role::DistrictLeader | Role::CityLeader
            ),
            Self::Dispatcher => role == Role::Dispatcher,
            Self::Anybody => true,
        }
    }

    /// Whether the actor is one of them for this case.
    pub fn is(self, actor: &Actor, case: &CaseState) -> bool {
        match self {
            Self::Responsible => case.assignee == Some(actor.id),
            Self::Anybody => true,
            _ => self.is_role(actor.role) && actor.scope.holds(&case.place),
        }
    }

    /// Chinese, English.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Responsible => ("包干责任人", "responsible person"),
            Self::Patch => ("本片巡查员、中队长", "patrollers and squad leaders of the patch"),
            Self::SquadLeader => ("中队长", "squad leader"),
            Self::Reviewer => ("审核员", "reviewer"),
            Self::Leader => ("各级领导", "leaders"),
            Self::Dispatcher => ("调度员", "dispatcher"),
            Self::Anybody => ("能看到案件的人", "whoever sees the case"),
        }
    }
}

/// What an action needs besides the right state and person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    Reason,
    Text,
    /// An active person, other than the present one.
    ToUser,
    /// Another case that is no duplicate itself.
    DuplicateOf,
    Outcome,
    /// In the request, or recorded before; only for the outcome `demolished`.
    DemolishedIfSo,
    DemolishedM2,
    /// A photo of this case that no earlier step has shown.
    Photos,
    /// Later than now, and than the present one.
    Deadline,
    /// Somebody other than the reporter.
    NotReporter,
    /// Somebody other than the applicant.
    NotApplicant,
    /// For the outcome `demolished`: photos after the demolition (核拍) by somebody other than the
    /// handlers.
    RecheckIfDemolished,
}

impl Need {
    /// The field of the request that brings it; none where the case itself must have it.
    pub fn field(self) -> Option<&'static str> {
        Some(match self {
            Self::Reason => "reason",
            Self::Text => "text",
            Self::ToUser => "to_user",
            Self::DuplicateOf => "duplicate_of",
            Self::Outcome => "outcome",
            Self::DemolishedIfSo | Self::DemolishedM2 => "demolished_m2",
            Self::Photos => "attachments",
            Self::Deadline => "deadline",
            Self::NotReporter | Self::NotApplicant | Self::RecheckIfDemolished => return None,
        })
    }

    /// Chinese, English.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Reason => ("原因", "a reason"),
            Self::Text => ("文字说明", "a text"),
            Self::ToUser => ("另一位在职人员", "an active person other than the present one"),
            Self::DuplicateOf => {
                ("另一案件（本身不是重复案件）", "another case that is no duplicate itself")
            }
            Self::Outcome => ("结案方式（已拆除或已制止）", "an outcome (demolished or stopped)"),
            Self::DemolishedIfSo => {
                ("拆除面积（按已拆除结案时）", "the demolished m² (if demolished)")
            }
            Self::DemolishedM2 => ("拆除面积", "the demolished m²"),
            Self::Photos => ("新照片", "a new photo"),
            Self::Deadline => ("更晚的期限", "a later deadline"),
            Self::NotReporter => ("须由上报人以外的人办理", "somebody other than the reporter"),
            Self::NotApplicant => ("须由申请人以外的人办理", "somebody other than the applicant"),
            Self::RecheckIfDemolished => (
                "拆除后由经办人以外的人核拍（按已拆除结案时）",
                "a recheck with photos after the demolition by somebody other than the handlers (if demolished)",
            ),
        }
    }
}

/// Where an action leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The state stays.
    Same,
    /// A first visit brings a case on site; later it stays where it is.
    OnSiteIfDispatched,
    Is(Status),
    /// Back to where the application came from.
    BeforeApplication,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    pub action: Action,
    pub zh: &'static str,
    pub en: &'static str,
    pub from: &'static [Status],
    pub to: To,
    pub who: &'static [Who],
    pub needs: &'static [Need],
}

const WORKING: &[Status] = &[Dispatched, OnSite, Stopped, Demolishing];
const OPEN: &[Status] = &[Dispatched, OnSite, Stopped, Demolishing, CloseApplied];
const ENDED: &[Status] = &[Closed, Rejected, Duplicate, Transferred];
const FIELD: &[Who] = &[Who::Responsible, Who::Patch];

const fn rule(
    action: Action,
    (zh, en): (&'static str, &'static str),
    from: &'static [Status],
    to: To,
    who: &'static [Who],
    needs: &'static [Need],
) -> Rule {
    Rule { action, zh, en, from, to, who, needs }
}

/// The states in which nobody has to do anything any more.
pub fn is_ended(status: Status) -> bool {
    ENDED.contains(&status)
}

/// The whole workflow.
#[rustfmt::skip]
pub static RULES: [Rule; 20] = [
    rule(Action::Confirm, ("核准上报", "confirm the report"), OPEN, To::Same,
        &[Who::Reviewer], &[Need::NotReporter]),
    rule(Action::ReturnReport, ("退回上报", "send the report back"), OPEN, To::Same,
        &[Who::Reviewer], &[Need::Reason, Need::NotReporter]),
    rule(Action::PatrolRecord, ("巡查记录", "patrol record"), WORKING, To::OnSiteIfDispatched,
        FIELD, &[]),
    rule(Action::StopOrder, ("责令停止", "stop order"), &[Dispatched, OnSite], To::Is(OnSite),
        FIELD, &[]),
    rule(Action::ConfirmStopped, ("确已制止", "confirm that it is stopped"), &[OnSite], To::Is(Stopped),
        FIELD, &[]),
    rule(Action::DemolishOrder, ("责令拆除", "demolish order"), &[OnSite, Stopped], To::Is(Demolishing),
        &[Who::Responsible, Who::Patch, Who::Leader], &[]),
    rule(Action::RecordDemolition, ("拆除登记", "record the demolition"), &[Demolishing], To::Same,
        FIELD, &[Need::DemolishedM2]),
    rule(Action::Recheck, ("核拍", "recheck with photos"), &[OnSite, Stopped, Demolishing, CloseApplied], To::Same,
        FIELD, &[Need::Photos]),
    rule(Action::ApplyClose, ("申请结案", "apply to close"), &[Stopped, Demolishing], To::Is(CloseApplied),
        FIELD, &[Need::Outcome, Need::DemolishedIfSo]),
    rule(Action::ApproveClose, ("准予结案", "approve the closing"), &[CloseApplied], To::Is(Closed),
        &[Who::Reviewer], &[Need::NotApplicant, Need::RecheckIfDemolished]),
    rule(Action::ReturnClose, ("退回结案申请", "send the application back"), &[CloseApplied], To::BeforeApplication,
        &[Who::Reviewer], &[Need::Reason, Need::NotApplicant]),
    rule(Action::Reassign, ("改派", "reassign"), OPEN, To::Same,
        &[Who::SquadLeader, Who::Leader, Who::Dispatcher], &[Need::ToUser, Need::Reason]),
    rule(Action::Transfer, ("移送", "transfer to another authority"), OPEN, To::Is(Transferred),
        &[Who::SquadLeader, Who::Leader, Who::Dispatcher], &[Need::Reason]),
    rule(Action::Urge, ("催办", "urge"), OPEN, To::Same,
        &[Who::Leader], &[]),
    rule(Action::Supervise, ("督办", "supervise"), OPEN, To::Same,
        &[Who::Leader], &[]),
    rule(Action::Extend, ("延期", "extend the deadline"), OPEN, To::Same,
        &[Who::Leader, Who::Reviewer], &[Need::Deadline, Need::Reason]),
    rule(Action::MarkDuplicate, ("标记重复", "mark as a duplicate"), OPEN, To::Is(Duplicate),
        &[Who::SquadLeader, Who::Reviewer, Who::Dispatcher], &[Need::DuplicateOf, Need::Reason]),
    rule(Action::Reject, ("认定不违法", "reject as no violation"), OPEN, To::Is(Rejected),
        &[Who::Reviewer, Who::Dispatcher], &[Need::Reason]),
    rule(Action::Reopen, ("重新立案", "reopen"), ENDED, To::Is(Dispatched),
        &[Who::Reviewer, Who::Leader], &[Need::Reason]),
    rule(Action::Comment, ("留言", "comment"), Status::ALL, To::Same,
        &[Who::Anybody], &[Need::Text]),
];
