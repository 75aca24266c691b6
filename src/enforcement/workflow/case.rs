//! What the workflow knows of a case, of whom acts, and of what is asked.

use super::{Action, Status};
use crate::enforcement::deadlines::Step;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::nature::Nature;
use crate::enforcement::people::Role;
use crate::enforcement::permissions::Scope;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How a case was brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 已拆除
    Demolished,
    /// 确已制止
    Stopped,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demolished => "demolished",
            Self::Stopped => "stopped",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Demolished, Self::Stopped].into_iter().find(|o| o.as_str() == name)
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq)]
pub struct Actor {
    pub id: Uuid,
    pub role: Role,
    pub scope: Scope,
}

/// A case as it stands: what a step reads and changes.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseState {
    pub id: Uuid,
    pub status: Status,
    /// One more with every event after the dispatch.
    pub version: i32,
    pub nature: Nature,
    pub place: PlaceCodes,
    pub reporter: Option<Uuid>,
    pub assignee: Option<Uuid>,
    /// A past case: its deadlines count from the step, not from a report years ago.
    pub imported: bool,
    pub reported_at: DateTime<Utc>,
    pub due_at: Option<DateTime<Utc>>,
    pub due_step: Option<Step>,
    pub stop_due_at: Option<DateTime<Utc>>,
    pub close_due_at: Option<DateTime<Utc>>,
    pub visited_at: Option<DateTime<Utc>>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub applied_at: Option<DateTime<Utc>>,
    pub applicant: Option<Uuid>,
    pub outcome: Option<Outcome>,
    /// All that is demolished so far, m².
    pub demolished_m2: Option<f64>,
    pub demolished_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
    pub closed_by: Option<Uuid>,
    pub times_returned: i32,
    pub times_extended: i32,
    pub duplicate_of: Option<Uuid>,
}

/// An earlier event, as far as later steps ask for it.
#[derive(Debug, Clone)]
pub struct PastEvent {
    pub action: String,
    pub actor: Option<Uuid>,
    pub at: DateTime<Utc>,
    pub attachments: Vec<Uuid>,
}

/// What the history tells that the present state does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// A reviewer has confirmed the report.
    pub confirmed: bool,
    pub reopened_at: Option<DateTime<Utc>>,
    /// Who recorded a demolition since the case was last opened.
    pub demolished_by: Vec<Uuid>,
    /// Who re-photographed since the last demolition was recorded.
    pub rechecked_by: Vec<Uuid>,
    /// Attachments that an event has shown already.
    pub shown: Vec<Uuid>,
}

impl Past {
    /// Reads a history, oldest first.
    pub fn of(events: &[PastEvent]) -> Self {
        let mut past = Self::default();
        for event in events {
            past.shown.extend(&event.attachments);
            match Action::parse(&event.action) {
                Some(Action::Confirm) => past.confirmed = true,
                Some(Action::RecordDemolition) => {
                    past.demolished_by.extend(event.actor);
                    past.rechecked_by.clear();
                }
                Some(Action::Recheck) => past.rechecked_by.extend(event.actor),
                Some(Action::Reopen) => {
                    past.reopened_at = Some(event.at);
                    past.demolished_by.clear();
                    past.rechecked_by.clear();
                }
                _ => {}
            }
        }
        past
    }

    /// Whether somebody who has no part in the handling re-photographed what is left.
    pub fn rechecked_by_another(&self, case: &CaseState) -> bool {
        let handled = |id: &Uuid| {
            case.assignee == Some(*id)
                || case.applicant == Some(*id)
                || self.demolished_by.contains(id)
        };
        self.rechecked_by.iter().any(|id| !handled(id))
    }
}

/// What is asked for: an action with its particulars, checked for form but not for sense.
#[derive(Debug, Clone)]
pub struct Request {
    /// Made by the client; the event's id.
    pub id: Uuid,
    pub action: Action,
    pub text: Option<String>,
    pub reason: Option<String>,
    /// Attachments of this case that are named, and whether each is a photo.
    pub attachments: Vec<(Uuid, bool)>,
    pub demolished_m2: Option<f64>,
    pub outcome: Option<Outcome>,
    /// An active person, with the name.
    pub to_user: Option<(Uuid, String)>,
    /// Another case, and whether it is a duplicate itself.
    pub duplicate_of: Option<(Uuid, bool)>,
    /// A deadline that somebody sets by hand.
    pub deadline: Option<DateTime<Utc>>,
    /// The authority a case goes to, by its code in the dictionary or its name.
    pub authority: Option<String>,
}

impl Request {
    /// An action without any particulars.
    pub fn bare(id: Uuid, action: Action) -> Self {
        Self {
            id,
            action,
            text: None,
            reason: None,
            attachments: Vec::new(),
            demolished_m2: None,
            outcome: None,
            to_user: None,
            duplicate_of: None,
            deadline: None,
            authority: None,
        }
    }
}
