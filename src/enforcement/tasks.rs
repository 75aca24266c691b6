//! Tasks from above: a leader gives a person or a team something to do, they accept it, report
//! back, and the leader closes it or sends it back.
//!
//! | from | accept | report_back | return | close |
//! |---|---|---|---|---|
//! | given | accepted | | | closed |
//! | accepted | | reported | | closed |
//! | reported | | | accepted | closed |

use serde::{Deserialize, Serialize};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    Given,
    Accepted,
    Reported,
    Closed,
}

impl TaskStatus {
    pub const ALL: [Self; 4] = [Self::Given, Self::Accepted, Self::Reported, Self::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Accepted => "accepted",
            Self::Reported => "reported",
            Self::Closed => "closed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// What is done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    Accept,
    ReportBack,
    Return,
    Close,
}

impl TaskAction {
    pub const ALL: [Self; 4] = [Self::Accept, Self::ReportBack, Self::Return, Self::Close];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::ReportBack => "report_back",
            Self::Return => "return",
            Self::Close => "close",
        }
    }

    /// Whether it must be said why, or what came of it.
    pub fn needs_text(self) -> bool {
        matches!(self, Self::ReportBack | Self::Return)
    }
}

/// What somebody is to a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    pub giver: bool,
    /// The person it was given to, or one of the team.
    pub receiver: bool,
}

impl Part {
    /// What they may do with it now.
    pub fn may(self, status: TaskStatus) -> impl Iterator<Item = TaskAction> {
        TaskAction::ALL.into_iter().filter(move |action| {
            let theirs = match action {
                TaskAction::Accept | TaskAction::ReportBack => self.receiver,
                TaskAction::Return | TaskAction::Close => self.giver,
            };
            theirs && after(status, *action).is_some()
        })
    }
}

/// Where an action leads; none where the status does not allow it.
pub fn after(status: TaskStatus, action: TaskAction) -> Option<TaskStatus> {
    use TaskStatus::{Accepted, Closed, Given, Reported};
    match (status, action) {
        (Given, TaskAction::Accept) => Some(Accepted),
        (Accepted, TaskAction::ReportBack) => Some(Reported),
        (Reported, TaskAction::Return) => Some(Accepted),
        (Given | Accepted | Reported, TaskAction::Close) => Some(Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_from_giver_to_receiver_and_back() {
        use TaskAction::*;
        let receiver = Part { receiver: true, ..Part::default() };
        let giver = Part { giver: true, ..Part::default() };
        let may = |part: Part, status| part.may(status).collect::<Vec<_>>();
        assert_eq!(may(receiver, TaskStatus::Given), [Accept]);
        assert_eq!(may(receiver, TaskStatus::Accepted), [ReportBack]);
        assert!(may(receiver, TaskStatus::Reported).is_empty());
        assert_eq!(may(giver, TaskStatus::Reported), [Return, Close]);
        assert_eq!(may(giver, TaskStatus::Given), [Close]);
        for status in TaskStatus::ALL {
            assert!(may(Part::default(), status).is_empty());
            assert_eq!(TaskStatus::parse(status.as_str()), Some(status));
        }
        assert!(may(Part { giver: true, receiver: true }, TaskStatus::Closed).is_empty());
    }
}
