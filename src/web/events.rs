//! Server-sent events: what changed, as it changes.

use super::session::Account;
use super::state::AppState;
use crate::error::Result;
use crate::store::inboxes::Heard;
use crate::store::world::Change;
use actix_web::{Responder, get, web};
use actix_web_lab::sse;
use futures_util::StreamExt;
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;

/// Proxies cut silent connections after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Events `boundaries` {generation, layer}, `people` {}, `settings` {}, `case` {id}, `import` {id, …}, and
/// `reload` {} when the listener was too slow and must read afresh; `message` {id, kind, case_id,
/// created_at} to its recipient alone. Cases of other areas are left out.
#[utoipa::path(tag = "events", responses((status = 200, content_type = "text/event-stream")))]
#[get("/events")]
async fn events(state: web::Data<AppState>, account: Account) -> Result<impl Responder> {
    let changes = BroadcastStream::new(state.world.changes.subscribe());
    let scope = account.scope.clone();
    let stream = changes.filter_map(move |change| {
        let event = match change {
            Ok(change) => visible(&scope, &change),
            Err(_lagged) => Some(("reload", serde_json::json!({}))),
        };
        async move {
            let (name, data) = event?;
            let data = sse::Data::new(data.to_string()).event(name);
            Some(Ok::<_, Infallible>(sse::Event::Data(data)))
        }
    });
    let inbox = BroadcastStream::new(state.world.inboxes.listen(account.person.id));
    let own = inbox.map(|heard| {
        let (name, data) = match heard {
            Ok(Heard::Message(news)) => (
                "message",
                serde_json::json!({"id": news.id,
                "kind": news.kind, "case_id": news.case_id, "created_at": news.created_at}),
            ),
            Ok(Heard::Reload) | Err(_) => ("reload", serde_json::json!({})),
        };
        Ok::<_, Infallible>(sse::Event::Data(sse::Data::new(data.to_string()).event(name)))
    });
    let stream = futures_util::stream::select(stream, own);
    // A comment at once: the client knows that it is connected before anything happens.
    let hello = futures_util::stream::once(async {
        Ok::<_, Infallible>(sse::Event::Comment("connected".into()))
    });
    Ok(sse::Sse::from_stream(hello.chain(stream)).with_keep_alive(KEEP_ALIVE))
}

fn visible(
    scope: &crate::enforcement::permissions::Scope,
    change: &Change,
) -> Option<(&'static str, serde_json::Value)> {
    use serde_json::json;
    Some(match change {
        Change::Boundaries { generation, layer } => {
            ("boundaries", json!({"generation": generation, "layer": layer}))
        }
        Change::People => ("people", json!({})),
        Change::Settings => ("settings", json!({})),
        Change::Case(case) if case.place.is_within(scope.code()) => (
            "case",
            json!({"id": case.id, "number": &*case.number, "lon": case.lon, "lat": case.lat,
                "status": case.status.as_str(), "version": case.version}),
        ),
        Change::Case(_) => return None,
        Change::Import { id, state, progress } => {
            ("import", json!({"id": id, "state": state, "progress": progress}))
        }
    })
}

pub fn configure(config: &mut utoipa_actix_web::service_config::ServiceConfig) {
    config.service(events);
}
