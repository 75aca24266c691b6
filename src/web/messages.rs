//! A person's messages: read, answered, and seen by whom.

use super::params::{self, wrong};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::messages::Kind;
use crate::error::Result;
use crate::store::messages::{self, Message, MessageQuery, Whose};
use actix_web::{HttpResponse, get, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// Somebody who sent or received a message.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Correspondent {
    id: Uuid,
    name: String,
}

/// A message. The text is plain: whatever it holds is to be shown, never to be run.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MessageView {
    id: Uuid,
    kind: String,
    case_id: Option<Uuid>,
    task_id: Option<Uuid>,
    public_report_id: Option<Uuid>,
    /// Who caused it, and gets an answer to it; none where the platform did.
    actor: Option<Correspondent>,
    /// Only in the list of what one has sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<Correspondent>,
    text: String,
    in_reply_to: Option<Uuid>,
    created_at: DateTime<Utc>,
    /// When its recipient saw it.
    read_at: Option<DateTime<Utc>>,
}

impl MessageView {
    fn new(message: Message, names: &HashMap<Uuid, String>, sent: bool) -> Self {
        let named =
            |id: Uuid| Correspondent { id, name: names.get(&id).cloned().unwrap_or_default() };
        Self {
            id: message.id,
            kind: message.kind,
            case_id: message.case_id,
            task_id: message.task_id,
            public_report_id: message.public_report_id,
            actor: message.actor_id.map(named),
            recipient: sent.then(|| named(message.recipient_id)),
            text: message.text,
            in_reply_to: message.in_reply_to,
            created_at: message.created_at,
            read_at: message.read_at,
        }
    }
}

/// Which messages to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MessageListQuery {
    /// Only those not read yet (true) or read (false)
    unread: Option<bool>,
    /// Comma-separated
    kind: Option<String>,
    case_id: Option<Uuid>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A page of messages, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MessageList {
    items: Vec<MessageView>,
    next: Option<String>,
}

/// A place in a list ordered by time and id.
pub fn cursor_of(at: DateTime<Utc>, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}|{id}", at.timestamp_micros()))
}

/// Reads [`cursor_of`].
pub fn read_cursor(cursor: Option<&str>) -> Result<Option<(DateTime<Utc>, Uuid)>> {
    let Some(cursor) = cursor.filter(|c| !c.is_empty()) else { return Ok(None) };
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (micros, id) = text.split_once('|')?;
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
    };
    read().map(Some).ok_or_else(|| wrong("cursor", "not one of ours"))
}

async fn page(
    state: web::Data<AppState>,
    query: MessageListQuery,
    whose: Whose,
) -> Result<HttpResponse> {
    let limit = params::limit(query.limit)?;
    let asked = MessageQuery {
        whose,
        unread: query.unread,
        kinds: params::words("kind", query.kind.as_deref(), |w| Kind::parse(w).is_some())?,
        case_id: query.case_id,
        after: read_cursor(query.cursor.as_deref())?,
        // One more than asked tells whether there is another page.
        limit: limit + 1,
    };
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let mut found = messages::list(&mut conn, &asked)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|m| cursor_of(m.created_at, m.id));
        let sent = matches!(whose, Whose::SentBy(_));
        let ids = found.iter().flat_map(|m| m.actor_id.into_iter().chain([m.recipient_id]));
        let names = messages::names(&mut conn, ids)?;
        let items = found.into_iter().map(|m| MessageView::new(m, &names, sent)).collect();
        Ok(MessageList { items, next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// One's own messages, newest first.
#[utoipa::path(tag = "messages", params(MessageListQuery),
    responses((status = 200, body = MessageList), (status = 400, body = Problem)))]
#[get("/messages")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<MessageListQuery>,
) -> Result<HttpResponse> {
    page(state, query.into_inner(), Whose::ReceivedBy(account.person.id)).await
}

/// What one has caused to be sent, with who has seen it.
#[utoipa::path(tag = "messages", params(MessageListQuery),
    responses((status = 200, body = MessageList), (status = 400, body = Problem)))]
#[get("/messages/sent")]
async fn list_sent(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<MessageListQuery>,
) -> Result<HttpResponse> {
    page(state, query.into_inner(), Whose::SentBy(account.person.id)).await
}

/// How many messages wait to be read.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Unread {
    count: i64,
}

/// How many of one's messages wait to be read.
#[utoipa::path(tag = "messages", responses((status = 200, body = Unread)))]
#[get("/messages/unread")]
async fn unread(state: web::Data<AppState>, account: Account) -> Result<HttpResponse> {
    let count =
        blocking(move || messages::unread(&mut *state.store.conn()?, account.person.id)).await?;
    Ok(HttpResponse::Ok().json(Unread { count }))
}

/// Mark a message as read; the first time counts.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)),
    responses((status = 200, body = MessageView), (status = 404, body = Problem)))]
#[post("/messages/{id}/read")]
async fn mark_read(
    state: web::Data<AppState>,
    account: Account,
    id: web::Path<Uuid>,
) -> Result<HttpResponse> {
    let answer = blocking(move || {
        let mut conn = state.store.conn()?;
        let message = messages::read(&mut conn, account.person.id, *id, Utc::now())?;
        let names = messages::names(&mut conn, message.actor_id.into_iter())?;
        Ok(MessageView::new(message, &names, false))
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Up to when messages count as seen.
#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadAll {
    /// What came later stays unread; now, if left out.
    until: Option<DateTime<Utc>>,
}

/// Mark all one's messages as read.
#[utoipa::path(tag = "messages", request_body = Option<ReadAll>,
    responses((status = 200, body = Unread, description = "How many were unread till now")))]
#[post("/messages/read-all")]
async fn read_all(
    state: web::Data<AppState>,
    account: Account,
    body: Option<web::Json<ReadAll>>,
) -> Result<HttpResponse> {
    let until = body.and_then(|body| body.until);
    let count = blocking(move || {
        messages::read_all(&mut *state.store.conn()?, account.person.id, until, Utc::now())
    })
    .await?;
    Ok(HttpResponse::Ok().json(Unread { count: i64::try_from(count).unwrap_or(i64::MAX) }))
}

/// An answer to a message.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReply {
    /// Made by the client: a retry gets the first answer.
    id: Option<Uuid>,
    text: String,
}

/// The longest reply, characters.
const MOST_REPLY: usize = 500;

/// Answer a message: whoever caused it gets the answer.
#[utoipa::path(tag = "messages", params(("id" = Uuid, Path)), request_body = NewReply,
    responses((status = 201, body = MessageView), (status = 404, body = Problem),
              (status = 409, body = Problem)))]
#[post("/messages/{id}/reply")]
async fn reply(
    state: web::Data<AppState>,
    account: Account,
    to: web::Path<Uuid>,
    body: web::Json<NewReply>,
) -> Result<HttpResponse> {
    let NewReply { id, text } = body.into_inner();
    let text = text.trim().to_string();
    if text.is_empty() || text.chars().count() > MOST_REPLY || text.contains('\0') {
        return Err(wrong("text", &format!("1 to {MOST_REPLY} characters")));
    }
    let answer = blocking(move || {
        let id = id.unwrap_or_else(Uuid::new_v4);
        let written = messages::reply(&state.store, account.person.id, *to, id, &text)?;
        let ids = written.actor_id.into_iter().chain([written.recipient_id]);
        let names = messages::names(&mut *state.store.conn()?, ids)?;
        Ok(MessageView::new(written, &names, true))
    })
    .await?;
    Ok(HttpResponse::Created().json(answer))
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config
        .service(unread)
        .service(list_sent)
        .service(list)
        .service(mark_read)
        .service(read_all)
        .service(reply);
}
