//! One step: (case, past, action, actor, now, settings) → the case after it, what the history says
//! and who is told; or the reason why not.

use super::Status;
use super::case::{Actor, CaseState, Outcome, Past, Request};
use super::rules::{Action, Need, RULES, Rule, To, Who, is_ended};
use crate::enforcement::deadlines::Step;
use crate::enforcement::messages::{Kind, Level, Notice, Recipients};
use crate::enforcement::settings::Settings;
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a step leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub case: CaseState,
    /// What the event says beyond who, when and where.
    pub data: Value,
    pub notices: Vec<Notice>,
}

/// An action that a person may take now.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Offer {
    pub action: Action,
    pub name_zh: &'static str,
    pub name_en: &'static str,
    /// What the request must bring.
    pub needs: Vec<Need>,
    /// What the case itself still lacks: the action would be refused until somebody has seen to it.
    pub lacks: Vec<Need>,
}

/// Longest that a deadline may be set ahead by hand.
const FARTHEST: Duration = Duration::days(3 * 366);

/// Takes a step, or says why not. Whoever acts must be known to see the case.
pub fn take(
    case: &CaseState,
    past: &Past,
    request: &Request,
    actor: &Actor,
    now: DateTime<Utc>,
    settings: &Settings,
) -> Result<Taken> {
    let rule = request.action.rule();
    permit(rule, actor, case)?;
    allow(rule, case, past)?;
    let lacking: Vec<Need> = rule
        .needs
        .iter()
        .copied()
        .filter(|need| !is_met(*need, case, past, request, actor, now))
        .collect();
    refuse_own_review(&lacking)?;
    if !lacking.is_empty() {
        return Err(missing(rule, &lacking));
    }
    refuse_wrong_outcome(case, request)?;
    refuse_wrong_deadline(request, now)?;

    let mut after = change(case, request, rule, actor, now);
    set_deadline(&mut after, case, past, request, now, settings);
    after.version = case.version.saturating_add(1);
    Ok(Taken {
        data: data(case, &after, request),
        notices: notices(case, &after, request, actor),
        case: after,
    })
}

/// What a person may do with a case now, in the order of the table.
pub fn offers(case: &CaseState, past: &Past, actor: &Actor, now: DateTime<Utc>) -> Vec<Offer> {
    let nothing = |action| Request::bare(Uuid::nil(), action);
    RULES
        .iter()
        .filter(|rule| permit(rule, actor, case).is_ok() && allow(rule, case, past).is_ok())
        .filter_map(|rule| {
            let unmet =
                |need: &&Need| !is_met(**need, case, past, &nothing(rule.action), actor, now);
            let (needs, lacks): (Vec<Need>, Vec<Need>) =
                rule.needs.iter().filter(unmet).partition(|need| need.field().is_some());
            // Never by this person: that is no offer.
            if lacks.iter().any(|need| matches!(need, Need::NotApplicant | Need::NotReporter)) {
                return None;
            }
            Some(Offer { action: rule.action, name_zh: rule.zh, name_en: rule.en, needs, lacks })
        })
        .collect()
}

fn permit(rule: &Rule, actor: &Actor, case: &CaseState) -> Result<()> {
    if rule.who.iter().any(|who| who.is(actor, case)) {
        return Ok(());
    }
    let list = |pick: fn((&'static str, &'static str)) -> &'static str, comma: &str| {
        rule.who.iter().map(|who: &Who| pick(who.names())).collect::<Vec<_>>().join(comma)
    };
    let (zh, en) = (list(|names| names.0, "、"), list(|names| names.1, ", "));
    // The role would do: then it is the area that does not.
    let (code, why_zh, why_en) = match rule.who.iter().any(|who| who.is_role(actor.role)) {
        true => ("area_forbidden", "案件不在您的辖区内", "the case is not in your area"),
        false => ("role_forbidden", "您的角色无权进行此操作", "your role may not do this"),
    };
    Err(Fault::new(
        FaultKind::Forbidden,
        code,
        format!("不能{}：{why_zh}。可办理的人：{zh}", rule.zh),
        format!("Cannot {}: {why_en}. Who may: {en}", rule.en),
    ))
}

fn wrong_state(zh: String, en: String) -> Fault {
    Fault::new(FaultKind::Conflict, "wrong_state", zh, en)
}

fn allow(rule: &Rule, case: &CaseState, past: &Past) -> Result<()> {
    if !rule.from.contains(&case.status) {
        let from = rule.from.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
        let status = case.status.as_str();
        return Err(wrong_state(
            format!("案件现为 {status} 状态，不能{}（可在 {from} 状态办理）", rule.zh),
            format!("Cannot {}: the case is {status}; it must be one of {from}", rule.en),
        ));
    }
    let reviewed = matches!(rule.action, Action::Confirm | Action::ReturnReport) && past.confirmed;
    if reviewed {
        return Err(wrong_state(
            format!("上报已核准，不能{}", rule.zh),
            format!("Cannot {}: the report has been confirmed already", rule.en),
        ));
    }
    Ok(())
}

fn is_met(
    need: Need,
    case: &CaseState,
    past: &Past,
    request: &Request,
    actor: &Actor,
    now: DateTime<Utc>,
) -> bool {
    let measured = |m2: Option<f64>| m2.is_some_and(|m2| m2.is_finite() && m2 > 0.0);
    match need {
        Need::Reason => request.reason.is_some(),
        Need::Text => request.text.is_some(),
        Need::ToUser => request.to_user.as_ref().is_some_and(|(id, _)| case.assignee != Some(*id)),
        Need::DuplicateOf => {
            request.duplicate_of.is_some_and(|(id, is_duplicate)| id != case.id && !is_duplicate)
        }
        Need::Outcome => request.outcome.is_some(),
        Need::DemolishedM2 => measured(request.demolished_m2),
        Need::DemolishedIfSo => {
            request.outcome != Some(Outcome::Demolished)
                || measured(request.demolished_m2)
                || measured(case.demolished_m2)
        }
        Need::Photos => {
            request.attachments.iter().any(|(id, is_photo)| *is_photo && !past.shown.contains(id))
        }
        Need::Deadline => request.deadline.is_some_and(|deadline| {
            deadline > now
                && deadline <= now + FARTHEST
                && case.due_at.is_none_or(|due| deadline > due)
        }),
        Need::NotReporter => case.reporter != Some(actor.id),
        Need::NotApplicant => case.applicant != Some(actor.id),
        Need::RecheckIfDemolished => {
            case.outcome != Some(Outcome::Demolished) || past.rechecked_by_another(case)
        }
    }
}

/// Nobody decides about what they handed in themselves.
fn refuse_own_review(lacking: &[Need]) -> Result<()> {
    let own = lacking.iter().find(|n| matches!(n, Need::NotApplicant | Need::NotReporter));
    match own {
        Some(need) => Err(Fault::new(
            FaultKind::Forbidden,
            "own_review",
            format!("不能审核自己提交的内容：{}", need.names().0),
            format!("Nobody reviews what they handed in themselves: {}", need.names().1),
        )),
        None => Ok(()),
    }
}

fn missing(rule: &Rule, lacking: &[Need]) -> Fault {
    let list = |names: Vec<&str>, comma: &str| names.join(comma);
    let zh = list(lacking.iter().map(|need| need.names().0).collect(), "；");
    let en = list(lacking.iter().map(|need| need.names().1).collect(), "; ");
    let fault = Fault::new(
        FaultKind::Unprocessable,
        "missing_evidence",
        format!("不能{}，还缺：{zh}", rule.zh),
        format!("Cannot {} without: {en}", rule.en),
    );
    lacking
        .iter()
        .fold(fault, |fault, need| fault.field(need.field().unwrap_or("case"), need.names().1))
}

fn refuse_wrong_outcome(case: &CaseState, request: &Request) -> Result<()> {
    let ordered = case.status == Status::Demolishing;
    if request.action == Action::ApplyClose && ordered && request.outcome == Some(Outcome::Stopped)
    {
        return Err(wrong_state(
            "已责令拆除的案件只能按已拆除申请结案".into(),
            "A case under a demolish order can be closed as demolished only".into(),
        ));
    }
    Ok(())
}

/// Whoever supervises or hands over may set a deadline, but one that can be met.
fn refuse_wrong_deadline(request: &Request, now: DateTime<Utc>) -> Result<()> {
    let usable = |deadline: DateTime<Utc>| deadline > now && deadline <= now + FARTHEST;
    if sets_deadline(request.action) && request.deadline.is_some_and(|d| !usable(d)) {
        return Err(Fault::new(
            FaultKind::Unprocessable,
            "missing_evidence",
            "期限须在现在之后、三年之内",
            "The deadline must come after now and within three years",
        )
        .field("deadline", "after now, within three years"));
    }
    Ok(())
}

/// Whether a deadline may be set by hand with an action.
fn sets_deadline(action: Action) -> bool {
    matches!(action, Action::Extend | Action::Supervise | Action::Reassign)
}

fn change(
    case: &CaseState,
    request: &Request,
    rule: &Rule,
    actor: &Actor,
    now: DateTime<Utc>,
) -> CaseState {
    let mut after = case.clone();
    after.status = match rule.to {
        To::Same => case.status,
        To::OnSiteIfDispatched if case.status == Status::Dispatched => Status::OnSite,
        To::OnSiteIfDispatched => case.status,
        To::Is(status) => status,
        To::BeforeApplication if case.outcome == Some(Outcome::Demolished) => Status::Demolishing,
        To::BeforeApplication => Status::Stopped,
    };
    if case.status == Status::Dispatched && after.status == Status::OnSite {
        after.visited_at.get_or_insert(now);
    }
    match rule.action {
        Action::ConfirmStopped => after.stopped_at = after.stopped_at.or(Some(now)),
        Action::RecordDemolition => {
            after.demolished_m2 = request.demolished_m2;
            after.demolished_at = Some(now);
        }
        Action::ApplyClose => {
            after.outcome = request.outcome;
            after.applicant = Some(actor.id);
            after.applied_at = Some(now);
            if request.outcome == Some(Outcome::Demolished) {
                if request.demolished_m2.is_some() {
                    after.demolished_m2 = request.demolished_m2;
                    after.demolished_at = Some(now);
                }
                after.demolished_at.get_or_insert(now);
            }
        }
        Action::ApproveClose => {
            after.closed_at = Some(now);
            after.closed_by = Some(actor.id);
        }
        Action::ReturnClose => {
            after.times_returned = case.times_returned.saturating_add(1);
            after.outcome = None;
            after.applicant = None;
        }
        Action::Reassign => after.assignee = request.to_user.as_ref().map(|(id, _)| *id),
        Action::Extend => after.times_extended = case.times_extended.saturating_add(1),
        Action::MarkDuplicate => after.duplicate_of = request.duplicate_of.map(|(id, _)| id),
        Action::Reopen => {
            after.closed_at = None;
            after.closed_by = None;
            after.outcome = None;
            after.applicant = None;
            after.duplicate_of = None;
        }
        _ => {}
    }
    after
}

/// Which deadline runs in a state.
fn step_of(after: &CaseState) -> Option<Step> {
    Some(match after.status {
        Status::Dispatched => Step::FirstVisit,
        Status::OnSite => Step::Stop,
        Status::Stopped => Step::Application,
        Status::Demolishing if after.demolished_at.is_some() => Step::Application,
        Status::Demolishing => Step::Demolition,
        Status::CloseApplied => Step::Review,
        _ => return None,
    })
}

/// The deadlines of a new case.
pub fn first_deadlines(case: &mut CaseState, settings: &Settings) {
    let due = |step| {
        let (deadlines, holidays) = (&settings.deadlines, &settings.holidays);
        deadlines.due(step, case.nature, &case.place, case.reported_at, holidays)
    };
    let (first, stop, close) = (due(Step::FirstVisit), due(Step::Stop), due(Step::Application));
    case.due_step = first.map(|_| Step::FirstVisit);
    case.due_at = first;
    case.stop_due_at = stop;
    case.close_due_at = close;
}

fn set_deadline(
    after: &mut CaseState,
    before: &CaseState,
    past: &Past,
    request: &Request,
    now: DateTime<Utc>,
    settings: &Settings,
) {
    let due = |step, start| {
        let (deadlines, holidays) = (&settings.deadlines, &settings.holidays);
        deadlines.due(step, before.nature, &before.place, start, holidays)
    };
    if is_ended(after.status) {
        after.due_at = None;
        after.due_step = None;
        return;
    }
    let opened_at = match (request.action, past.reopened_at) {
        (Action::Reopen, _) => now,
        (_, Some(reopened)) => reopened,
        // Its report may be years old.
        (_, None) if before.imported => now,
        (_, None) => before.reported_at,
    };
    if request.action == Action::Reopen {
        after.stop_due_at = due(Step::Stop, now);
        after.close_due_at = due(Step::Application, now);
    }
    let step = match request.action {
        Action::ReturnClose => Some(Step::Rework),
        // Work on what was sent back goes on under its own deadline.
        _ if before.due_step == Some(Step::Rework) && after.status == before.status => {
            Some(Step::Rework)
        }
        _ => step_of(after),
    };
    let is_new = request.action == Action::Reopen
        || request.action == Action::ReturnClose
        || after.status != before.status
        || step != before.due_step && before.due_step.is_some();
    if is_new {
        let start = match step {
            Some(Step::Demolition | Step::Review | Step::Rework) => now,
            _ => opened_at,
        };
        after.due_at = step.and_then(|step| match (step, after.stop_due_at, after.close_due_at) {
            // As they were set at the report, or put off since.
            (Step::Stop, Some(due), _) | (Step::Application, _, Some(due)) => Some(due),
            _ => due(step, start),
        });
        after.due_step = after.due_at.and(step);
    }
    // Set by hand: with an extension, or by whoever supervises or hands over.
    if let Some(deadline) = request.deadline.filter(|_| sets_deadline(request.action)) {
        after.due_at = Some(deadline);
        after.due_step = after.due_step.or(step);
        if request.action == Action::Extend {
            match after.due_step {
                Some(Step::Stop) => after.stop_due_at = Some(deadline),
                Some(Step::Application | Step::Rework | Step::Demolition) => {
                    after.close_due_at = after.close_due_at.max(Some(deadline));
                }
                _ => {}
            }
        }
    }
}

fn data(before: &CaseState, after: &CaseState, request: &Request) -> Value {
    let mut data = Map::from_iter([
        ("from".to_string(), json!(before.status.as_str())),
        ("to".to_string(), json!(after.status.as_str())),
        ("version".to_string(), json!(after.version)),
    ]);
    let mut say = |key: &str, value: Value| {
        if !value.is_null() {
            data.insert(key.into(), value);
        }
    };
    say("reason", json!(request.reason));
    say("demolished_m2", json!(request.demolished_m2));
    say("outcome", json!(request.outcome));
    say("authority", json!(request.authority));
    say("duplicate_of", json!(after.duplicate_of.filter(|_| before.duplicate_of.is_none())));
    if after.assignee != before.assignee {
        say("from_user", json!(before.assignee));
        say("to_user", json!(after.assignee));
    }
    if after.due_at != before.due_at {
        say("due_at", json!(after.due_at));
        say("due_step", json!(after.due_step));
    }
    data.into()
}

fn notices(before: &CaseState, after: &CaseState, request: &Request, actor: &Actor) -> Vec<Notice> {
    let person = |id: Option<Uuid>| id.map(Recipients::Person);
    let leaders = |level| Recipients::LeadersAt { place: before.place.clone(), level };
    let near_leaders = || [leaders(Level::Village), leaders(Level::Town)];
    let responsible = || person(after.assignee);
    let mut to: Vec<Recipients> = Vec::new();
    let kind = match request.action {
        Action::ReturnReport => {
            to.extend(person(before.reporter).or_else(responsible));
            Kind::SentBack
        }
        Action::ApplyClose => {
            to.push(Recipients::Reviewers(before.place.clone()));
            Kind::ReviewDue
        }
        Action::ApproveClose | Action::Reject | Action::MarkDuplicate => {
            to.extend(
                [person(before.applicant), responsible(), person(before.reporter)]
                    .into_iter()
                    .flatten(),
            );
            to.extend(near_leaders());
            Kind::Closed
        }
        Action::ReturnClose => {
            to.extend([person(before.applicant), responsible()].into_iter().flatten());
            Kind::SentBack
        }
        Action::Reassign => {
            to.extend([responsible(), person(before.assignee)].into_iter().flatten());
            Kind::Reassigned
        }
        Action::Transfer => {
            to.extend([responsible(), person(before.reporter)].into_iter().flatten());
            to.extend(near_leaders());
            Kind::Transferred
        }
        Action::Urge => {
            to.extend(responsible());
            Kind::Urged
        }
        Action::Supervise => {
            to.extend(responsible());
            to.extend(near_leaders());
            Kind::Supervised
        }
        Action::Reopen => {
            to.extend(responsible());
            to.extend(near_leaders());
            Kind::Reopened
        }
        Action::Comment | Action::Extend => {
            to.extend([responsible(), person(before.reporter)].into_iter().flatten());
            Kind::Comment
        }
        _ => return Vec::new(),
    };
    let mut facts: BTreeMap<&'static str, String> = BTreeMap::new();
    facts.extend(request.reason.clone().map(|reason| ("reason", reason)));
    facts.extend(request.text.clone().map(|text| ("text", text)));
    if let Some(due) = after.due_at {
        facts.insert("deadline", due.to_rfc3339());
    }
    match request.action {
        Action::Reassign => facts.extend(request.to_user.clone().map(|(_, name)| ("to", name))),
        Action::Transfer => facts.extend(request.authority.clone().map(|name| ("to", name))),
        Action::Extend => {
            let reason = request.reason.as_deref().unwrap_or_default();
            facts.insert("text", format!("延期 extended: {reason}"));
        }
        _ => {}
    }
    vec![Notice {
        key: Uuid::new_v5(&request.id, kind.as_str().as_bytes()),
        kind,
        case_id: Some(before.id),
        actor: Some(actor.id),
        to,
        facts,
    }]
}
