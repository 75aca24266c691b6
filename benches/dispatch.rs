//! From a report to the message on the responsible person's event stream: 100 reports per second
//! in the demo city, with every signed-in user listening, against a server that keeps its promises
//! about durability. Ends with an error when the 99th percentile is a second or more.
//!
//! Two spans are printed: from the acknowledgement (the commit is then some milliseconds old), and
//! from the moment the report was sent, which holds all of it.

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code)]
mod support;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Double, Text};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::demo_city::City;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use uuid::Uuid;
use xuncha::store::accounts::create_api_token;

const PER_SECOND: u32 = 100;
const SECONDS: u32 = 30;
const LISTENERS: i64 = 2_000;
const LATE: Duration = Duration::from_secs(1);
/// What has not come by then does not come.
const GIVE_UP: Duration = Duration::from_secs(60);

#[derive(QueryableByName)]
struct Phone {
    #[diesel(sql_type = Text)]
    phone: String,
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Double)]
    x: f64,
    #[diesel(sql_type = Double)]
    y: f64,
}

/// When a report was sent and acknowledged.
type Reports = Arc<Mutex<HashMap<Uuid, (Instant, Option<Instant>)>>>;

fn main() -> ExitCode {
    let city = City::start();
    let mut conn = city.conn();
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        conn.batch_execute(&format!("ALTER SYSTEM SET {setting} = on")).expect("ALTER SYSTEM");
    }
    conn.batch_execute("SELECT pg_reload_conf()").expect("reload");
    conn.batch_execute("UPDATE people SET must_change_password = false").expect("updated");
    let people: Vec<Phone> = sql_query(format!(
        "SELECT phone FROM people WHERE active ORDER BY phone LIMIT {LISTENERS}"
    ))
    .load(&mut conn)
    .expect("people");
    let tokens: Vec<String> = people
        .iter()
        .map(|person| create_api_token(&mut conn, &person.phone, "bench", 1).expect("a token"))
        .collect();
    let reports = PER_SECOND * SECONDS;
    let places: Vec<Place> = sql_query(format!(
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM (SELECT ST_PointOnSurface(geom) AS p
         FROM features_in_force_view WHERE layer = 'cell' ORDER BY md5(code) LIMIT {reports}) q"
    ))
    .load(&mut conn)
    .expect("places");

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure(&city.service.url("/api/v1"), tokens, places))
}

async fn measure(base: &str, tokens: Vec<String>, places: Vec<Place>) -> ExitCode {
    let client = reqwest::Client::new();
    let (heard, mut came) = unbounded_channel();
    for token in &tokens {
        listen(&client, base, token, heard.clone()).await;
    }
    println!("{} users listen; {PER_SECOND} reports per second for {SECONDS} s", tokens.len());

    let known = Reports::default();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut sending = Vec::new();
    for (n, place) in (0..PER_SECOND * SECONDS).zip(places.iter().cycle()) {
        tick.tick().await;
        let id = Uuid::new_v4();
        let body =
            json!({"id": id, "lon": place.x, "lat": place.y, "nature": "illegal_construction"});
        let request = client.post(format!("{base}/cases")).json(&body);
        let request = request.bearer_auth(&tokens[n as usize % tokens.len()]);
        let known = Arc::clone(&known);
        known.lock().expect("no panic").insert(id, (Instant::now(), None));
        sending.push(tokio::spawn(async move {
            let status = request.send().await.map(|answer| answer.status().as_u16());
            let now = Instant::now();
            if matches!(status, Ok(201)) {
                known.lock().expect("no panic").entry(id).and_modify(|times| times.1 = Some(now));
            }
        }));
    }
    for sent in sending {
        sent.await.expect("no panic");
    }
    let acknowledged: HashMap<Uuid, (Instant, Instant)> = known
        .lock()
        .expect("no panic")
        .iter()
        .filter_map(|(id, (sent, acknowledged))| Some((*id, (*sent, (*acknowledged)?))))
        .collect();
    let mut arrived: HashMap<Uuid, Instant> = HashMap::new();
    let until = tokio::time::Instant::now() + GIVE_UP;
    while acknowledged.keys().any(|id| !arrived.contains_key(id)) {
        match tokio::time::timeout_at(until, came.recv()).await {
            Ok(Some((case, at))) => {
                arrived.entry(case).or_insert(at);
            }
            _ => break,
        }
    }

    let spans = |from: fn(&(Instant, Instant)) -> Instant| {
        let mut spans: Vec<Duration> = acknowledged
            .iter()
            .filter_map(|(id, times)| Some(arrived.get(id)?.saturating_duration_since(from(times))))
            .collect();
        spans.sort_unstable();
        spans
    };
    let whole = spans(|times| times.0);
    let since_answer = spans(|times| times.1);
    let of = |spans: &[Duration], share: f64| {
        let last = spans.len().saturating_sub(1);
        spans.get((last as f64 * share) as usize).copied().unwrap_or(GIVE_UP)
    };
    for (what, spans) in [("sent → heard", &whole), ("acknowledged → heard", &since_answer)] {
        println!(
            "{what:>22}: p50 {:?}, p99 {:?}, longest {:?}",
            of(spans, 0.5),
            of(spans, 0.99),
            of(spans, 1.0)
        );
    }
    let (reports, lost) = (PER_SECOND * SECONDS, acknowledged.len() - whole.len());
    println!("{reports} reports, {} acknowledged, {lost} messages missing", acknowledged.len());
    let good = lost == 0 && acknowledged.len() == reports as usize && of(&whole, 0.99) < LATE;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Opens an event stream and passes on what it says about new cases in the own patch; returns once
/// the service listens.
async fn listen(
    client: &reqwest::Client,
    base: &str,
    token: &str,
    heard: UnboundedSender<(Uuid, Instant)>,
) {
    let answer = client.get(format!("{base}/events")).bearer_auth(token).send().await;
    let answer = answer.expect("an answer").error_for_status().expect("a stream");
    tokio::spawn(async move {
        let mut stream = answer.bytes_stream();
        let mut text = Vec::new();
        while let Some(Ok(part)) = stream.next().await {
            let now = Instant::now();
            text.extend_from_slice(&part);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                if !event.contains("event: message") {
                    continue;
                }
                let data = event.lines().find_map(|line| line.strip_prefix("data:"));
                let data: Value =
                    data.and_then(|d| serde_json::from_str(d).ok()).unwrap_or_default();
                let case = data["case_id"].as_str().and_then(|id| id.parse().ok());
                if let Some(case) = case.filter(|_| data["kind"] == "dispatched") {
                    let _ = heard.send((case, now));
                }
            }
        }
    });
}
