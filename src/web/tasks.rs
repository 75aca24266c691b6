//! Tasks from above: given, accepted, reported back, closed.

use super::messages::{cursor_of, read_cursor};
use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use super::stats::codes_of;
use crate::atlas::areas::{AreaLevel, AreaTree};
use crate::enforcement::permissions::{Action, Scope, may};
use crate::enforcement::tasks::{TaskAction, TaskStatus};
use crate::error::{Fault, FaultKind, Result};
use crate::store::messages::names;
use crate::store::reporting::Retry;
use crate::store::tasks::{self, Side, Step, Task, TaskEvent, TaskQuery, Viewer};
use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

/// Somebody with a part in a task.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Party {
    id: Uuid,
    name: String,
}

/// A task.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TaskView {
    id: Uuid,
    title: String,
    text: Option<String>,
    giver: Party,
    /// To a person, or else to a team: `department` of `area_code`.
    person: Option<Party>,
    department: Option<String>,
    area_code: String,
    case_id: Option<Uuid>,
    from_day: Option<NaiveDate>,
    to_day: Option<NaiveDate>,
    due_at: DateTime<Utc>,
    overdue: bool,
    status: String,
    version: i32,
    accepted_by: Option<Party>,
    created_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    /// What the one who asks may do now.
    actions: Vec<TaskAction>,
    /// Oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<TaskEventView>>,
}

/// A step in a task's history.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TaskEventView {
    seq: i32,
    action: String,
    actor: Party,
    at: DateTime<Utc>,
    text: Option<String>,
}

fn view(
    task: &Task,
    events: Option<Vec<TaskEvent>>,
    viewer: &Viewer,
    names: &HashMap<Uuid, String>,
    now: DateTime<Utc>,
) -> Result<TaskView> {
    let party = |id: Uuid| Party { id, name: names.get(&id).cloned().unwrap_or_default() };
    let history = events.map(|events| {
        let step = |e: TaskEvent| TaskEventView {
            seq: e.seq,
            action: e.action,
            actor: party(e.actor_id),
            at: e.at,
            text: e.text,
        };
        events.into_iter().map(step).collect()
    });
    Ok(TaskView {
        id: task.id,
        title: task.title.clone(),
        text: task.text.clone(),
        giver: party(task.giver_id),
        person: task.person_id.map(party),
        department: task.department.clone(),
        area_code: task.area_code.clone(),
        case_id: task.case_id,
        from_day: task.from_day,
        to_day: task.to_day,
        due_at: task.due_at,
        overdue: task.closed_at.is_none() && task.due_at < now,
        status: task.status.clone(),
        version: task.version,
        accepted_by: task.accepted_by.map(party),
        created_at: task.created_at,
        closed_at: task.closed_at,
        actions: viewer.part(task).may(task.status()?).collect(),
        history,
    })
}

fn people_of(task: &Task) -> impl Iterator<Item = Uuid> {
    [Some(task.giver_id), task.person_id, task.accepted_by].into_iter().flatten()
}

fn whole(
    conn: &mut PgConnection,
    task: &Task,
    viewer: &Viewer,
    now: DateTime<Utc>,
) -> Result<Value> {
    let events = tasks::history(conn, task.id)?;
    let ids = people_of(task).chain(events.iter().map(|e| e.actor_id));
    let names = names(conn, ids)?;
    serde_json::to_value(view(task, Some(events), viewer, &names, now)?).map_err(Fault::internal)
}

/// The codes of all areas that a scope holds, from district to village.
pub fn areas_of(tree: &AreaTree, scope: &Scope) -> Vec<String> {
    let levels = [
        AreaLevel::City,
        AreaLevel::District,
        AreaLevel::FunctionalArea,
        AreaLevel::Town,
        AreaLevel::Village,
    ];
    let all = levels.into_iter().flat_map(|level| tree.areas(level));
    all.filter(|area| scope.holds(&codes_of(tree, *area)))
        .filter_map(|area| tree.feature(area).map(|feature| feature.code.clone()))
        .collect()
}

fn viewer_of(state: &AppState, account: &Account) -> Viewer {
    let tree = state.world.land.tree(&state.world.atlas.load());
    let own = tree.find(&account.person.area_code);
    let line = own.into_iter().flat_map(|area| tree.line(area));
    let reported = line.filter_map(|area| tree.feature(area)).map(|f| f.code.clone());
    let levels = [AreaLevel::City, AreaLevel::District, AreaLevel::Town, AreaLevel::Village];
    let official = levels.iter().filter_map(|level| tree.official_code(own?, *level));
    let own_line = reported.chain(official.map(String::from)).collect();
    let sees = match may(account.person.role, Action::GiveTasks) {
        true => areas_of(&tree, &account.scope),
        false => Vec::new(),
    };
    Viewer {
        person: account.person.id,
        department: account.person.department.clone(),
        own_line,
        sees,
    }
}

/// Which tasks to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TaskListQuery {
    /// `given` by oneself, `received` by oneself or one's team; both and those of one's area
    /// otherwise
    side: Option<String>,
    /// Comma-separated: given, accepted, reported, closed
    status: Option<String>,
    /// Only open ones past their deadline
    overdue: Option<bool>,
    case_id: Option<Uuid>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of tasks, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TaskList {
    items: Vec<TaskView>,
    next: Option<String>,
}

/// Tasks that one has given or been given, and for leaders those of their area.
#[utoipa::path(tag = "tasks", params(TaskListQuery),
    responses((status = 200, body = TaskList), (status = 400, body = Problem)))]
#[get("/tasks")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<TaskListQuery>,
) -> Result<HttpResponse> {
    let query = query.into_inner();
    let limit = params::limit(query.limit)?;
    let side = match query.side.as_deref() {
        None | Some("") => None,
        Some("given") => Some(Side::Given),
        Some("received") => Some(Side::Received),
        Some(_) => return Err(wrong("side", "given or received")),
    };
    let status =
        params::words("status", query.status.as_deref(), |w| TaskStatus::parse(w).is_some())?;
    let after = read_cursor(query.cursor.as_deref())?;
    let answer = blocking(move || {
        let now = state.clock.now();
        let viewer = viewer_of(&state, &account);
        let asked = TaskQuery {
            viewer: viewer.clone(),
            side,
            status,
            overdue_at: query.overdue.filter(|only| *only).map(|_| now),
            case_id: query.case_id,
            after,
            limit: limit + 1,
        };
        let mut conn = state.store.conn()?;
        let mut found = tasks::list(&mut conn, &asked)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|t| cursor_of(t.created_at, t.id));
        let names = names(&mut conn, found.iter().flat_map(people_of))?;
        let items = found.iter().map(|task| view(task, None, &viewer, &names, now));
        Ok(TaskList { items: items.collect::<Result<_>>()?, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// A task with its history.
#[utoipa::path(tag = "tasks", params(("id" = Uuid, Path)),
    responses((status = 200, body = TaskView), (status = 404, body = Problem)))]
#[get("/tasks/{id}")]
async fn show(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let answer = blocking(move || {
        let viewer = viewer_of(&state, &account);
        let mut conn = state.store.conn()?;
        let task = tasks::find(&mut conn, &viewer, *id)?;
        whole(&mut conn, &task, &viewer, state.clock.now())
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// A new task, to a person (`person_id` or `person_phone`) or to a team (`department` of
/// `area_code`).
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Made by the client: a retry gets the first answer.
    id: Option<Uuid>,
    #[serde(alias = "to_user")]
    person_id: Option<Uuid>,
    person_phone: Option<String>,
    department: Option<String>,
    area_code: Option<String>,
    case_id: Option<Uuid>,
    /// The beginning of the text, if left out
    title: Option<String>,
    text: Option<String>,
    from_day: Option<NaiveDate>,
    to_day: Option<NaiveDate>,
    due_at: DateTime<Utc>,
}

const MOST_TITLE: usize = 100;
const MOST_TEXT: usize = 2000;

fn line(value: Option<String>, field: &str, most: usize) -> Result<Option<String>> {
    let value = value.map(|v| v.trim().to_string()).filter(|v| !v.is_empty());
    match &value {
        Some(v) if v.chars().count() > most || v.contains('\0') => {
            Err(wrong(field, &format!("at most {most} characters")))
        }
        _ => Ok(value),
    }
}

fn outside() -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "area_forbidden",
        "接收人不在您的辖区内",
        "Whom it is given to is outside your area",
    )
}

fn parse(state: &AppState, account: &Account, body: NewTask) -> Result<Task> {
    let now = state.clock.now();
    let beginning = || body.text.as_ref().map(|text| text.trim().chars().take(40).collect());
    let title = line(body.title.or_else(beginning), "title", MOST_TITLE)?;
    let title = title.ok_or_else(|| wrong("title", "required"))?;
    if body.due_at <= now || body.due_at > now + chrono::Duration::days(3660) {
        return Err(wrong("due_at", "a time to come"));
    }
    if body.from_day.zip(body.to_day).is_some_and(|(from, to)| to < from) {
        return Err(wrong("to_day", "not before from_day"));
    }
    let department = line(body.department, "department", 200)?;
    let tree = state.world.land.tree(&state.world.atlas.load());
    let in_scope = |code: &str| {
        tree.find(code).is_some_and(|area| account.scope.holds(&codes_of(&tree, area)))
    };
    let mut conn = state.store.conn()?;
    let person = (body.person_id, body.person_phone.as_deref());
    let (person_id, area_code) = match (person, &department) {
        ((None, None), Some(department)) => {
            let area = body.area_code.ok_or_else(|| wrong("area_code", "required for a team"))?;
            let found = tree.find(&area).ok_or_else(|| wrong("area_code", "no such area"))?;
            if !in_scope(&area) {
                return Err(outside());
            }
            let below: Vec<String> = [
                AreaLevel::District,
                AreaLevel::FunctionalArea,
                AreaLevel::Town,
                AreaLevel::Village,
            ]
            .into_iter()
            .flat_map(|level| tree.areas(level))
            .filter(|below| tree.is_within(*below, found))
            .filter_map(|below| tree.feature(below).map(|f| f.code.clone()))
            .chain([area.clone()])
            .collect();
            if !tasks::is_team(&mut conn, department, &below)? {
                return Err(wrong("department", "nobody works there"));
            }
            (None, area)
        }
        ((id, phone), None) if id.is_some() || phone.is_some() => {
            let found = tasks::receiver(&mut conn, id, phone)?;
            // Whether somebody elsewhere exists is no concern of the giver's.
            let (id, area) = found.filter(|(_, area)| in_scope(area)).ok_or_else(outside)?;
            (Some(id), area)
        }
        _ => return Err(wrong("person_id", "a person or a department")),
    };
    if let Some(case) = body.case_id {
        super::cases::visible_case(&state.store, account, case)?;
    }
    Ok(Task {
        id: body.id.unwrap_or_else(Uuid::new_v4),
        giver_id: account.person.id,
        person_id,
        department,
        area_code,
        case_id: body.case_id,
        title,
        text: line(body.text, "text", MOST_TEXT)?,
        from_day: body.from_day,
        to_day: body.to_day,
        due_at: body.due_at.trunc_subsecs(6),
        status: TaskStatus::Given.as_str().into(),
        version: 1,
        accepted_by: None,
        created_at: now,
        closed_at: None,
    })
}

/// Give a task to a person or a team of one's area.
#[utoipa::path(tag = "tasks", request_body = NewTask,
    responses((status = 201, body = TaskView), (status = 400, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem)))]
#[post("/tasks")]
async fn give(
    state: web::Data<AppState>,
    account: Account,
    body: web::Json<NewTask>,
) -> Result<HttpResponse> {
    account.require(Action::GiveTasks)?;
    let body = body.into_inner();
    let request = Sha256::digest(serde_json::to_vec(&body).map_err(Fault::internal)?).into();
    let key = format!("task:{}", body.id.unwrap_or_else(Uuid::new_v4));
    let retry = Retry { person: account.person.id, key, request };
    let answer = blocking(move || {
        let task = parse(&state, &account, body)?;
        let viewer = viewer_of(&state, &account);
        let now = task.created_at;
        tasks::give(&state.store, &task, &retry, |conn, task| whole(conn, task, &viewer, now))
    })
    .await?;
    Ok(HttpResponse::Created().json(answer))
}

/// A step of a task.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStep {
    /// Made by the client: a retry gets the first answer.
    id: Option<Uuid>,
    action: TaskAction,
    /// What was done, or what is missing
    text: Option<String>,
}

/// Accept a task, report back, send it back or close it; answers with the task.
#[utoipa::path(tag = "tasks", params(("id" = Uuid, Path)), request_body = NewStep,
    responses((status = 200, body = TaskView), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem)))]
#[post("/tasks/{id}/actions")]
async fn act(
    state: web::Data<AppState>,
    account: Account,
    task: web::Path<Uuid>,
    body: web::Json<NewStep>,
) -> Result<HttpResponse> {
    let body = body.into_inner();
    let id = body.id.unwrap_or_else(Uuid::new_v4);
    let mut request = Sha256::new_with_prefix(task.as_bytes());
    request.update(serde_json::to_vec(&body).map_err(Fault::internal)?);
    let retry = Retry {
        person: account.person.id,
        key: format!("task-step:{id}"),
        request: request.finalize().into(),
    };
    let text = line(body.text, "text", MOST_TEXT)?;
    let answer = blocking(move || {
        let viewer = viewer_of(&state, &account);
        let step = Step { id, action: body.action, text, at: state.clock.now() };
        tasks::act(&state.store, &viewer, *task, &step, &retry, |conn, task| {
            whole(conn, task, &viewer, step.at)
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list).service(give).service(show).service(act);
}
