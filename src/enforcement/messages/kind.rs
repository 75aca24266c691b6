//! What messages tell of.

use serde::{Deserialize, Serialize};

/// The event a message tells of.
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
pub enum Kind {
    /// To the responsible person: a find in the own patch.
    Dispatched,
    /// To the leaders of the area: the same, please organise.
    DispatchedLeaders,
    Reassigned,
    Transferred,
    SentBack,
    ReviewDue,
    Urged,
    Supervised,
    DeadlineNear,
    Overdue,
    /// To the level above, after a deadline has passed.
    Escalated,
    Closed,
    Reopened,
    /// A criminal threshold is reached.
    Alarm,
    /// Nobody is named for a cell and its village.
    DutyGap,
    TaskGiven,
    TaskReported,
    TaskClosed,
    /// An answer to an earlier message.
    Reply,
    /// A citizen reported something.
    PublicReport,
    ReportReady,
    Comment,
}

impl Kind {
    pub const ALL: [Self; 22] = [
        Self::Dispatched,
        Self::DispatchedLeaders,
        Self::Reassigned,
        Self::Transferred,
        Self::SentBack,
        Self::ReviewDue,
        Self::Urged,
        Self::Supervised,
        Self::DeadlineNear,
        Self::Overdue,
        Self::Escalated,
        Self::Closed,
        Self::Reopened,
        Self::Alarm,
        Self::DutyGap,
        Self::TaskGiven,
        Self::TaskReported,
        Self::TaskClosed,
        Self::Reply,
        Self::PublicReport,
        Self::ReportReady,
        Self::Comment,
    ];

    /// The name used in the API, the store and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatched => "dispatched",
            Self::DispatchedLeaders => "dispatched_leaders",
            Self::Reassigned => "reassigned",
            Self::Transferred => "transferred",
            Self::SentBack => "sent_back",
            Self::ReviewDue => "review_due",
            Self::Urged => "urged",
            Self::Supervised => "supervised",
            Self::DeadlineNear => "deadline_near",
            Self::Overdue => "overdue",
            Self::Escalated => "escalated",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Alarm => "alarm",
            Self::DutyGap => "duty_gap",
            Self::TaskGiven => "task_given",
            Self::TaskReported => "task_reported",
            Self::TaskClosed => "task_closed",
            Self::Reply => "reply",
            Self::PublicReport => "public_report",
            Self::ReportReady => "report_ready",
            Self::Comment => "comment",
        }
    }

    /// Reads the name given by [`Kind::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
