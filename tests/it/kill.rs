//! `kill -9` of the service and of PostgreSQL: nothing acknowledged is lost, nothing half is seen.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::count;
use crate::support::import::{begin, form, path, wait};
use crate::toy_city::feature;
use crate::toy_service::{ToyService, geojson};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use geo::Coord;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a client goes on trying.
const PATIENCE: Duration = Duration::from_secs(120);

fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        pause();
    }
}

/// Sends until acknowledged, as a phone does: the same request again when the connection breaks or
/// the service says that it is away for the moment or that it was tired of waiting for the request
/// (408: on a machine this busy the client itself may be held up). Any other answer is given back.
fn insist(caller: &Caller, path: &str, body: &Value) -> Answer {
    let start = Instant::now();
    loop {
        match Answer::try_of(caller.request(Method::POST, path).json(body)) {
            Ok(answer) if !matches!(answer.status, 408 | 503) => return answer,
            _ => assert!(start.elapsed() < PATIENCE, "nobody answers"),
        }
        pause();
    }
}

#[test]
fn of_a_thousand_reports_every_acknowledged_one_is_there_once() {
    const CASES: usize = 1_000;
    const CLIENTS: usize = 8;
    let mut toy = ToyService::start();
    let dispatcher = toy.dispatcher.clone();
    let acknowledged = AtomicUsize::new(0);
    let answers: Mutex<HashMap<Uuid, String>> = Mutex::default();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (dispatcher, acknowledged, answers) = (&dispatcher, &acknowledged, &answers);
            scope.spawn(move || {
                for n in (client..CASES).step_by(CLIENTS) {
                    let id = Uuid::new_v4();
                    let (lon, lat) = (119.001 + n as f64 * 0.0007, 25.05);
                    let body = json!({"id": id, "lon": lon, "lat": lat, "nature": "both"});
                    let answer = insist(dispatcher, "/cases", &body).with(201);
                    let number = answer["number"].as_str().expect("a number").to_string();
                    answers.lock().expect("no panic").insert(id, number);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let reached = |share: usize| {
            wait_until("reports go on", || {
                acknowledged.load(Ordering::SeqCst) >= CASES * share / 100
            });
        };
        reached(10);
        toy.service.kill_and_start_again();
        reached(30);
        toy.kill_server();
        reached(50);
        toy.service.kill_and_start_again();
        toy.kill_server();
        reached(70);
        toy.kill_server();
        toy.service.kill_and_start_again();
    });

    let answers = answers.into_inner().expect("no panic");
    assert_eq!(answers.len(), CASES);
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        id: Uuid,
        #[diesel(sql_type = Text)]
        number: String,
        #[diesel(sql_type = Text)]
        events: String,
    }
    let mut conn = toy.conn();
    let stored: Vec<Stored> = sql_query(
        "SELECT c.id, c.number, string_agg(e.seq || e.action, ',' ORDER BY e.seq) AS events
         FROM cases c JOIN case_events e ON e.case_id = c.id GROUP BY c.id",
    )
    .load(&mut conn)
    .expect("an answer");
    assert_eq!(stored.len(), CASES, "each once, and none that nobody reported");
    for case in &stored {
        assert_eq!(answers.get(&case.id), Some(&case.number), "the answer was the truth");
        assert_eq!(case.events, "1report,2dispatch");
    }
    #[derive(QueryableByName)]
    struct Numbers {
        #[diesel(sql_type = BigInt)]
        different: i64,
        #[diesel(sql_type = BigInt)]
        last: i64,
    }
    let numbers: Numbers = sql_query(
        "SELECT count(DISTINCT number) AS different, (SELECT sum(last) FROM case_numbers) AS last FROM cases",
    )
    .get_result(&mut conn)
    .expect("an answer");
    assert_eq!((numbers.different, numbers.last), (CASES as i64, CASES as i64), "no gaps either");
    // What the service holds in memory agrees, and takes in the next one.
    let total = dispatcher.get("/cases?limit=1").with(200)["total"].clone();
    assert_eq!(total, CASES);
    let drawn = dispatcher.get("/tiles/cases/0/0/0");
    assert_eq!(drawn.status, 200);
    let body = json!({"id": Uuid::new_v4(), "lon": 119.05, "lat": 25.05, "nature": "both"});
    dispatcher.post("/cases", &body).with(201);
    let after = dispatcher.get("/tiles/cases/0/0/0");
    assert_ne!(drawn.header("etag"), after.header("etag"));
}

#[derive(Debug, Clone, Copy)]
enum Victim {
    Service,
    Server,
    Both,
}

#[derive(Debug, Clone, Copy)]
enum Moment {
    Reading,
    Copying,
    Publishing,
}

impl Moment {
    /// Whether it is now, by the locks held; the session that asks holds none of them.
    fn is_now(self, conn: &mut PgConnection) -> bool {
        let held = match self {
            Self::Reading => "locktype = 'advisory' AND classid = 2020961891 AND objsubid = 2",
            Self::Copying => {
                "locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'features'::regclass"
            }
            Self::Publishing => {
                "locktype = 'advisory' AND classid = 2020961891 AND objid = 1751187458 AND objsubid = 1"
            }
        };
        let query = format!("SELECT count(*) AS value FROM pg_locks WHERE granted AND {held}");
        count(conn, &query) > 0
    }
}

/// So many squares along each side of the city's south-western cell; the codes begin with `name`.
fn grid(name: char, side: u32) -> String {
    let at = |i: u32| f64::from(i) * 0.1 / f64::from(side);
    let squares: Vec<_> = (0..side * side)
        .map(|n| {
            let (i, j) = (n % side, n / side);
            let low = Coord { x: 119.0 + at(i), y: 25.0 + at(j) };
            let high = Coord { x: 119.0 + at(i + 1), y: 25.0 + at(j + 1) };
            feature(format!("{name}{n:06}"), low, high, Some("0101"))
        })
        .collect();
    geojson(&squares, "BSM", "DLMC")
}

/// Which version is in force, by the first letter of its codes; a mixture or a part fails.
fn in_force(toy: &ToyService, sides: &HashMap<char, u32>) -> Option<char> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        features: i64,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT left(code, 1) AS name, count(*) AS features FROM features_in_force_view
         WHERE layer = 'parcel' GROUP BY 1",
    )
    .load(&mut toy.conn())
    .expect("an answer");
    assert!(rows.len() <= 1, "two versions at once");
    let row = rows.first()?;
    let name = row.name.chars().next().expect("a letter");
    assert_eq!(row.features, i64::from(sides[&name]).pow(2), "half a version is in force");
    Some(name)
}

#[test]
fn an_import_that_is_killed_leaves_all_of_it_or_nothing() {
    let mut toy = ToyService::start();
    let sides = HashMap::from([('A', 40), ('B', 45)]);
    let rounds = [Moment::Reading, Moment::Copying, Moment::Publishing]
        .into_iter()
        .flat_map(|moment| [Victim::Service, Victim::Server, Victim::Both].map(|v| (moment, v)));
    let mut hits = 0;
    for (round, (moment, victim)) in rounds.enumerate() {
        let name = ['A', 'B'][round % 2];
        let file =
            || form("parcel", grid(name, sides[&name]), "grid.geojson").text("crs", "cgcs2000");
        let before = in_force(&toy, &sides);
        let planner = toy.planner.clone();
        let mut watch = toy.conn();
        let hit;
        let id = begin(&planner, file());
        if matches!(moment, Moment::Publishing) {
            let report = wait(&planner, &id);
            let publishing =
                std::thread::spawn(move || insist(&planner, &path(&report, "publish"), &json!({})));
            hit = strike(moment, &mut watch, || publishing.is_finished());
            finish(&mut toy, victim);
            let answer = publishing.join().expect("no panic");
            // In force already where only the answer was lost.
            assert!(matches!(answer.status, 200 | 409), "{answer:?}");
        } else {
            let mut ask = toy.conn();
            let query = format!(
                "SELECT count(*) AS value FROM imports WHERE id = '{id}' AND state <> 'reading'"
            );
            hit = strike(moment, &mut watch, || count(&mut ask, &query) > 0);
            finish(&mut toy, victim);
        }
        println!("{moment:?} {victim:?}: {}", if hit { "hit" } else { "was over already" });
        hits += usize::from(hit);

        let planner = toy.planner.clone();
        wait_until("the service is ready again", || {
            Answer::try_of(planner.request(Method::GET, "/readyz")).is_ok_and(|a| a.status == 200)
        });
        // Read on, or told that it was cut off; never for ever in between.
        wait_until("the import has an outcome", || {
            let request = planner.request(Method::GET, &format!("/imports/{id}"));
            Answer::try_of(request).is_ok_and(|a| a.status == 200 && a.json()["state"] != "reading")
        });
        let now = in_force(&toy, &sides);
        if !matches!(moment, Moment::Publishing) {
            assert_eq!(now, before, "a draft is not in force");
        }
        let halves = "SELECT count(*) AS value FROM imports i WHERE
            (SELECT count(*) FROM features f WHERE f.import_id = i.id AND f.valid_from IS NULL)
            <> CASE i.state WHEN 'ready' THEN (i.report->>'accepted')::int ELSE 0 END";
        assert_eq!(count(&mut toy.conn(), halves), 0, "a draft is there whole or not at all");

        // And it goes on as if nothing had been.
        if now != Some(name) {
            let state = planner.get(&format!("/imports/{id}")).with(200);
            let report = match state["state"].as_str() {
                Some("ready") => state,
                _ => wait(&planner, &begin(&planner, file())),
            };
            insist(&planner, &path(&report, "publish"), &json!({})).with(200);
        }
        assert_eq!(in_force(&toy, &sides), Some(name));
        let found = toy.dispatcher.get("/lookup?lon=119.05123&lat=25.05123").with(200);
        let parcel = found["parcels"][0]["id"].as_str().expect("a parcel");
        assert!(parcel.starts_with(name), "{parcel}");
    }
    assert!(hits >= 5, "only {hits} kills came in time to prove anything");
}

/// Waits for the moment, or until it is over; tells which.
fn strike(moment: Moment, watch: &mut PgConnection, mut over: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !moment.is_now(watch) {
        if over() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "{moment:?} never comes");
    }
    true
}

fn finish(toy: &mut ToyService, victim: Victim) {
    match victim {
        Victim::Service => toy.service.kill_and_start_again(),
        Victim::Server => toy.kill_server(),
        Victim::Both => {
            toy.kill_server();
            toy.service.kill_and_start_again();
        }
    }
}
