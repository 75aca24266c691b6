//! Tasks from above, with their history.

use super::reporting::{Retry, first_answer, remember};
use super::schema::{people, task_events, tasks};
use super::{Store, outbox};
use crate::enforcement::messages::{Kind, Notice, Recipients};
use crate::enforcement::tasks::{Part, TaskAction, TaskStatus, after};
use crate::error::{Fault, FaultKind, Result};
use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A task as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = tasks)]
pub struct Task {
    pub id: Uuid,
    pub giver_id: Uuid,
    pub person_id: Option<Uuid>,
    pub department: Option<String>,
    pub area_code: String,
    pub case_id: Option<Uuid>,
    pub title: String,
    pub text: Option<String>,
    pub from_day: Option<NaiveDate>,
    pub to_day: Option<NaiveDate>,
    pub due_at: DateTime<Utc>,
    pub status: String,
    pub version: i32,
    pub accepted_by: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
}

impl Task {
    pub fn status(&self) -> Result<TaskStatus> {
        TaskStatus::parse(&self.status).ok_or_else(|| Fault::internal("unknown status of a task"))
    }
}

/// A step in the history of a task.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = task_events)]
pub struct TaskEvent {
    pub task_id: Uuid,
    pub seq: i32,
    pub id: Uuid,
    pub action: String,
    pub actor_id: Uuid,
    pub at: DateTime<Utc>,
    pub text: Option<String>,
}

/// Who asks: what tasks they see.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub person: Uuid,
    pub department: Option<String>,
    /// The areas, by code, that hold the person: a team of any of them is theirs.
    pub own_line: Vec<String>,
    /// The areas whose tasks they see as leaders; none for others.
    pub sees: Vec<String>,
}

impl Viewer {
    fn is_receiver(&self, task: &Task) -> bool {
        task.person_id == Some(self.person)
            || (task.department.is_some()
                && task.department == self.department
                && self.own_line.contains(&task.area_code))
    }

    pub fn part(&self, task: &Task) -> Part {
        Part { giver: task.giver_id == self.person, receiver: self.is_receiver(task) }
    }

    pub fn may_see(&self, task: &Task) -> bool {
        self.part(task) != Part::default() || self.sees.contains(&task.area_code)
    }
}

/// Which tasks to list.
#[derive(Debug, Clone)]
pub struct TaskQuery {
    pub viewer: Viewer,
    pub side: Option<Side>,
    pub status: Vec<String>,
    pub overdue_at: Option<DateTime<Utc>>,
    pub case_id: Option<Uuid>,
    pub after: Option<(DateTime<Utc>, Uuid)>,
    pub limit: i64,
}

/// On which side of a task one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Given,
    Received,
}

/// A page of tasks, newest first.
pub fn list(conn: &mut PgConnection, query: &TaskQuery) -> Result<Vec<Task>> {
    type Condition<'a> =
        Box<dyn BoxableExpression<tasks::table, Pg, SqlType = diesel::sql_types::Bool> + 'a>;
    let viewer = &query.viewer;
    let given = || -> Condition { Box::new(tasks::giver_id.eq(viewer.person)) };
    let received = || -> Condition {
        let in_person = tasks::person_id.is_not_distinct_from(Some(viewer.person));
        match &viewer.department {
            Some(own) => Box::new(
                in_person.or(tasks::department
                    .is_not_distinct_from(Some(own.as_str()))
                    .and(tasks::area_code.eq_any(&viewer.own_line))),
            ),
            None => Box::new(in_person),
        }
    };
    let mut found = tasks::table.select(Task::as_select()).into_boxed();
    found = match query.side {
        Some(Side::Given) => found.filter(given()),
        Some(Side::Received) => found.filter(received()),
        None => found.filter(given().or(received()).or(tasks::area_code.eq_any(&viewer.sees))),
    };
    if !query.status.is_empty() {
        found = found.filter(tasks::status.eq_any(&query.status));
    }
    if let Some(now) = query.overdue_at {
        found = found.filter(tasks::due_at.lt(now)).filter(tasks::closed_at.is_null());
    }
    if let Some(case) = query.case_id {
        found = found.filter(tasks::case_id.eq(case));
    }
    if let Some((at, id)) = query.after {
        found = found
            .filter(tasks::created_at.lt(at).or(tasks::created_at.eq(at).and(tasks::id.lt(id))));
    }
    let newest_first = (tasks::created_at.desc(), tasks::id.desc());
    Ok(found.order(newest_first).limit(query.limit).load(conn)?)
}

/// A task that the viewer may see; whether there is another one is no concern of theirs.
pub fn find(conn: &mut PgConnection, viewer: &Viewer, id: Uuid) -> Result<Task> {
    let found: Option<Task> =
        tasks::table.find(id).select(Task::as_select()).first(conn).optional()?;
    found.filter(|task| viewer.may_see(task)).ok_or_else(no_such_task)
}

fn no_such_task() -> Fault {
    Fault::not_found("没有这个任务", "There is no such task")
}

/// The history of a task, oldest first.
pub fn history(conn: &mut PgConnection, id: Uuid) -> Result<Vec<TaskEvent>> {
    Ok(task_events::table
        .filter(task_events::task_id.eq(id))
        .order(task_events::seq)
        .select(TaskEvent::as_select())
        .load(conn)?)
}

/// Gives a task; a retry gets the first answer, which `answer` makes of the task.
pub fn give(
    store: &Store,
    task: &Task,
    retry: &Retry,
    answer: impl Fn(&mut PgConnection, &Task) -> Result<Value>,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(first) = first_answer(conn, retry)? {
            return Ok(first);
        }
        let taken = tasks::table.find(task.id).count().get_result::<i64>(conn)? > 0;
        if taken {
            return Err(Fault::new(
                FaultKind::Conflict,
                "id_taken",
                "该编号已被另一任务使用",
                "Another task already has this id",
            ));
        }
        diesel::insert_into(tasks::table).values(task).execute(conn)?;
        let giver = task.giver_id;
        record(conn, task, 1, Uuid::new_v4(), "give", giver, task.created_at, None)?;
        tell(conn, task, "give", Kind::TaskGiven, giver, receivers(task), task.text.as_deref())?;
        let given = answer(conn, task)?;
        remember(conn, retry, 201, &given)?;
        Ok(given)
    })
}

fn receivers(task: &Task) -> Recipients {
    match (task.person_id, &task.department) {
        (Some(person), _) => Recipients::Person(person),
        (None, department) => Recipients::Department {
            area: task.area_code.clone(),
            name: department.clone().unwrap_or_default(),
        },
    }
}

fn tell(
    conn: &mut PgConnection,
    task: &Task,
    step: &str,
    kind: Kind,
    actor: Uuid,
    to: Recipients,
    text: Option<&str>,
) -> Result<()> {
    let mut facts = BTreeMap::from([
        ("task_id", task.id.to_string()),
        ("title", task.title.clone()),
        ("deadline", task.due_at.to_rfc3339()),
    ]);
    if let Some(text) = text {
        facts.insert("text", text.to_string());
    }
    let key = outbox::key(task.id, step);
    let case_id = task.case_id;
    outbox::enqueue(conn, &Notice { key, kind, case_id, actor: Some(actor), to: vec![to], facts })
}

#[allow(clippy::too_many_arguments)]
fn record(
    conn: &mut PgConnection,
    task: &Task,
    seq: i32,
    id: Uuid,
    action: &str,
    actor: Uuid,
    at: DateTime<Utc>,
    text: Option<String>,
) -> Result<()> {
    let action = action.to_string();
    let event = TaskEvent { task_id: task.id, seq, id, action, actor_id: actor, at, text };
    diesel::insert_into(task_events::table).values(event).execute(conn)?;
    Ok(())
}

/// A step of a task.
#[derive(Debug, Clone)]
pub struct Step {
    pub id: Uuid,
    pub action: TaskAction,
    pub text: Option<String>,
    pub at: DateTime<Utc>,
}

/// Takes a step; a retry gets the first answer.
pub fn act(
    store: &Store,
    viewer: &Viewer,
    id: Uuid,
    step: &Step,
    retry: &Retry,
    answer: impl Fn(&mut PgConnection, &Task) -> Result<Value>,
) -> Result<Value> {
    store.transaction(|conn| {
        if let Some(first) = first_answer(conn, retry)? {
            return Ok(first);
        }
        // Two at once: the second sees what the first has done.
        let locked: Option<Task> =
            tasks::table.find(id).for_update().select(Task::as_select()).first(conn).optional()?;
        let mut task = locked.filter(|task| viewer.may_see(task)).ok_or_else(no_such_task)?;
        let status = task.status()?;
        let Some(next) = after(status, step.action) else {
            return Err(Fault::new(
                FaultKind::Conflict,
                "wrong_state",
                "任务当前状态不允许此操作",
                format!("A task that is {} does not allow this", status.as_str()),
            ));
        };
        let part = viewer.part(&task);
        if !part.may(status).any(|action| action == step.action) {
            return Err(Fault::new(
                FaultKind::Forbidden,
                "role_forbidden",
                "此操作由任务的另一方进行",
                "This is for the other side of the task to do",
            ));
        }
        if step.action.needs_text() && step.text.is_none() {
            return Err(Fault::new(
                FaultKind::Unprocessable,
                "missing_evidence",
                "请填写说明",
                "Please say what was done, or what is missing",
            )
            .field("text", "required"));
        }
        task.status = next.as_str().into();
        task.version += 1;
        if step.action == TaskAction::Accept {
            task.accepted_by = Some(viewer.person);
        }
        if next == TaskStatus::Closed {
            task.closed_at = Some(step.at);
        }
        diesel::update(tasks::table.find(id))
            .set((
                tasks::status.eq(&task.status),
                tasks::version.eq(task.version),
                tasks::accepted_by.eq(task.accepted_by),
                tasks::closed_at.eq(task.closed_at),
            ))
            .execute(conn)?;
        let (actor, action) = (viewer.person, step.action.as_str());
        record(conn, &task, task.version, step.id, action, actor, step.at, step.text.clone())?;
        let told = match step.action {
            TaskAction::Accept => None,
            TaskAction::ReportBack => Some((Kind::TaskReported, Recipients::Person(task.giver_id))),
            TaskAction::Return => Some((Kind::TaskGiven, receivers(&task))),
            TaskAction::Close => Some((Kind::TaskClosed, receivers(&task))),
        };
        if let Some((kind, to)) = told {
            let key = step.id.to_string();
            tell(conn, &task, &key, kind, actor, to, step.text.as_deref())?;
        }
        let taken = answer(conn, &task)?;
        remember(conn, retry, 200, &taken)?;
        Ok(taken)
    })
}

/// An active person, by id or phone, with the area of the account.
pub fn receiver(
    conn: &mut PgConnection,
    id: Option<Uuid>,
    phone: Option<&str>,
) -> Result<Option<(Uuid, String)>> {
    let mut found =
        people::table.filter(people::active).select((people::id, people::area_code)).into_boxed();
    found = match (id, phone) {
        (Some(id), _) => found.filter(people::id.eq(id)),
        (None, Some(phone)) => found.filter(people::phone.eq(phone.to_string())),
        (None, None) => return Ok(None),
    };
    Ok(found.first(conn).optional()?)
}

/// Whether anybody active works in a department of these areas.
pub fn is_team(conn: &mut PgConnection, department: &str, areas: &[String]) -> Result<bool> {
    let members = people::table
        .filter(people::active)
        .filter(people::department.eq(department))
        .filter(people::area_code.eq_any(areas));
    Ok(members.count().get_result::<i64>(conn)? > 0)
}
