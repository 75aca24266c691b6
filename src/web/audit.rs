//! The audit trail: search and export.

use super::params::{self, wrong};
use super::people::{by_of, read_cursor};
use super::problem::Problem;
use super::session::Account;
use super::state::{AppState, blocking};
use crate::enforcement::permissions::Action;
use crate::error::{Fault, Result};
use crate::store::audit::{self, AuditQuery, AuditRow, Entry, Found};
use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Rows of one export.
const MOST_EXPORTED: i64 = 100_000;

/// Which rows of the trail.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditListQuery {
    /// Id or phone of who did it
    actor: Option<String>,
    /// An action, e.g. `people.change`; with a dot at its end all that begin so, e.g. `session.`
    action: Option<String>,
    /// A subject, e.g. `person:<id>`; with a colon at its end a whole kind, e.g. `settings:`
    subject: Option<String>,
    /// First day (Shanghai) or RFC 3339 time
    from: Option<String>,
    /// Last day, included, or RFC 3339 time
    to: Option<String>,
    /// `json` (default) or `csv`: all that match, at most 100,000 rows
    format: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A row with the name of who did it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AuditShown {
    #[serde(flatten)]
    row: AuditRow,
    actor_name: Option<String>,
    actor_phone: Option<String>,
}

/// A page of the trail, newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AuditList {
    items: Vec<AuditShown>,
    next: Option<String>,
}

/// The audit trail; with `format=csv` as a file, which is audited itself.
#[utoipa::path(tag = "audit", params(AuditListQuery),
    responses((status = 200, body = AuditList), (status = 400, body = Problem), (status = 403, body = Problem)))]
#[get("/audit")]
async fn list(
    state: web::Data<AppState>,
    account: Account,
    query: web::Query<AuditListQuery>,
) -> Result<HttpResponse> {
    account.require(Action::SeeAudit)?;
    let query = query.into_inner();
    let csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(wrong("format", "json or csv")),
    };
    let actor = match query.actor.as_deref().map(str::trim).filter(|actor| !actor.is_empty()) {
        None => None,
        Some(text) => {
            let roster = state.world.roster.load();
            let by_phone = || roster.people().iter().find(|p| p.phone == text).map(|p| p.id);
            let id = text.parse().ok().or_else(by_phone);
            Some(id.ok_or_else(|| wrong("actor", "an id or a phone"))?)
        }
    };
    let wanted = AuditQuery {
        actor,
        action: params::text(query.action, "action")?,
        subject: params::text(query.subject, "subject")?,
        from: params::period_start("from", query.from.as_deref())?,
        to: params::period_end("to", query.to.as_deref())?,
        before: match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            None => None,
            Some(cursor) => {
                let id = read_cursor(cursor)?.parse();
                Some(id.map_err(|_| wrong("cursor", "not one of ours"))?)
            }
        },
        limit: if csv { MOST_EXPORTED } else { params::limit(query.limit)? },
    };
    if csv {
        return export(state, account, wanted).await;
    }
    let answer = blocking(move || {
        let more = AuditQuery { limit: wanted.limit + 1, ..wanted.clone() };
        let mut found = audit::search(&mut *state.store.conn()?, &more)?;
        let next = found.len() as i64 > wanted.limit;
        found.truncate(wanted.limit as usize);
        let cursor = |(row, ..): &Found| URL_SAFE_NO_PAD.encode(row.id.to_string());
        let next = found.last().filter(|_| next).map(cursor);
        let shown = |(row, actor_name, actor_phone)| AuditShown { row, actor_name, actor_phone };
        Ok(AuditList { items: found.into_iter().map(shown).collect(), next })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}

async fn export(
    state: web::Data<AppState>,
    account: Account,
    query: AuditQuery,
) -> Result<HttpResponse> {
    let body = blocking(move || {
        let mut conn = state.store.conn()?;
        let found = audit::search(&mut conn, &query)?;
        let entry = Entry {
            after: Some(json!({
                "rows": found.len(), "actor": query.actor, "action": query.action,
                "subject": query.subject, "from": query.from, "to": query.to,
            })),
            ..by_of(&state, &account).entry("audit.export", "audit:".into())
        };
        audit::record(&mut conn, &entry)?;
        to_csv(&found)
    })
    .await?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\""))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

/// With a byte-order mark, which spreadsheet programs in China need for UTF-8.
fn to_csv(found: &[Found]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let header = [
        "id",
        "at",
        "actor_phone",
        "actor_name",
        "address",
        "action",
        "subject",
        "before",
        "after",
    ];
    writer.write_record(header).map_err(Fault::internal)?;
    for (row, name, phone) in found {
        let json = |value: &Option<serde_json::Value>| value.as_ref().map(|v| v.to_string());
        let cells = [
            row.id.to_string(),
            row.at.to_rfc3339(),
            phone.clone().unwrap_or_default(),
            name.clone().unwrap_or_default(),
            row.address.clone().unwrap_or_default(),
            row.action.clone(),
            row.subject.clone(),
            json(&row.before).unwrap_or_default(),
            json(&row.after).unwrap_or_default(),
        ];
        writer.write_record(cells.map(|cell| harmless(&cell))).map_err(Fault::internal)?;
    }
    writer.into_inner().map_err(|e| Fault::internal(e.error()))
}

/// A spreadsheet program would run a cell that begins so as a formula.
fn harmless(cell: &str) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.into(),
    }
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(list);
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(harmless("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(harmless("10005940001"), "10005940001");
    }
}
