//! Patrol over HTTP: tracks that come late, out of order and twice; visits; plans and what is due.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, text};
use crate::support::photo::photo;
use chrono::{DateTime, Duration, NaiveDate, SubsecRound, Utc};
use chrono_tz::Asia::Shanghai;
use diesel::PgConnection;
use image::ImageFormat;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

/// A patroller of their own for each test, with a village.
struct Patroller {
    id: String,
    village: String,
    caller: Caller,
    conn: PgConnection,
}

impl Patroller {
    /// The n-th of the city.
    fn nth(n: usize) -> Self {
        let city = City::shared();
        let mut conn = city.conn();
        let mut one = |column: &str| {
            let query = format!(
                "SELECT {column}::text AS value FROM people WHERE role = 'patroller'
                 AND length(area_code) = 12 ORDER BY phone OFFSET {n} LIMIT 1"
            );
            text(&mut conn, &query)
        };
        let (id, phone, village) = (one("id"), one("phone"), one("area_code"));
        Self { caller: city.caller(&phone), id, village, conn }
    }

    /// Cells of the village with a position inside each, by PostGIS.
    fn cells(&mut self) -> Vec<(String, f64, f64)> {
        use diesel::prelude::*;
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            code: String,
            #[diesel(sql_type = diesel::sql_types::Double)]
            x: f64,
            #[diesel(sql_type = diesel::sql_types::Double)]
            y: f64,
        }
        let query = format!(
            "SELECT code, ST_X(p) AS x, ST_Y(p) AS y FROM (
               SELECT code, ST_PointOnSurface(geom) AS p FROM features_in_force_view
               WHERE layer = 'cell' AND code LIKE '{}%' ORDER BY code) AS cells",
            self.village
        );
        let rows: Vec<Row> = diesel::sql_query(query).load(&mut self.conn).expect("cells");
        rows.into_iter().map(|row| (row.code, row.x, row.y)).collect()
    }

    fn track(&self, points: &[Value]) -> Value {
        let body = json!({"id": Uuid::new_v4(), "points": points});
        self.caller.post("/patrol/tracks", &body).with(201)
    }

    /// Visits by their track, as the service lists them.
    fn visited(&self, source: &str) -> Vec<(String, String)> {
        let list = self.caller.get(&format!("/patrol/visits?source={source}&limit=1000")).with(200);
        let of = |visit: &Value| {
            assert_eq!(visit["person_id"], self.id.as_str());
            (visit["cell_code"].as_str().unwrap().into(), visit["day"].as_str().unwrap().into())
        };
        let mut found: Vec<(String, String)> =
            list["items"].as_array().unwrap().iter().map(of).collect();
        found.sort();
        found
    }
}

fn point(at: DateTime<Utc>, lon: f64, lat: f64) -> Value {
    json!({"at": at, "lon": lon, "lat": lat, "accuracy_m": 10.0, "mocked": false})
}

fn day_of(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Shanghai).date_naive()
}

/// Noon in Shanghai so many days ago.
fn noon(days_ago: i64) -> DateTime<Utc> {
    let day = day_of(Utc::now()) - Duration::days(days_ago);
    day.and_hms_opt(4, 0, 0).expect("a time").and_utc()
}

#[test]
fn a_track_shows_the_same_visits_however_it_comes() {
    // Three patrollers of whom each walks through the own village in the same way.
    for (n, order) in [(0, [0, 1, 2]), (1, [2, 0, 1]), (2, [1, 2, 0])] {
        let mut patroller = Patroller::nth(n);
        let cells = patroller.cells();
        assert!(cells.len() >= 2, "{}", patroller.village);
        let start = noon(2);
        let walk: Vec<Value> = (0..90)
            .map(|k| {
                let (_, lon, lat) = &cells[(k / 45) % 2];
                // Ten minutes between the cells.
                let pause = if k >= 45 { 600 } else { 0 };
                point(start + Duration::seconds(k as i64 * 10 + pause), *lon, *lat)
            })
            .collect();
        let batches: Vec<Value> =
            walk.chunks(30).map(|chunk| json!({"id": Uuid::new_v4(), "points": chunk})).collect();
        let receipts: Vec<Value> = order
            .iter()
            .chain(&order)
            .map(|&b| patroller.caller.post("/patrol/tracks", &batches[b]).with(201))
            .collect();
        assert_eq!(receipts[..3], receipts[3..], "a retry gets the first answer");
        // The same points again, as another batch: nothing new.
        patroller.track(&walk[10..50]);
        let stored = format!(
            "SELECT count(*) AS value FROM patrol_track_points WHERE person_id = '{}'",
            patroller.id
        );
        assert_eq!(count(&mut patroller.conn, &stored), 90);
        let expected: Vec<(String, String)> =
            cells[..2].iter().map(|(code, ..)| (code.clone(), day_of(start).to_string())).collect();
        assert_eq!(patroller.visited("track"), expected);
        let other = json!({"id": batches[0]["id"], "points": [walk[0]]});
        patroller.caller.post("/patrol/tracks", &other).refused(409, "id_taken");
    }
}

#[test]
fn made_up_vague_and_impossible_points_are_flagged_and_show_nothing() {
    let mut patroller = Patroller::nth(3);
    let cells = patroller.cells();
    let (start, (code, lon, lat)) = (noon(1), &cells[0]);
    let at = |seconds: i64| start + Duration::seconds(seconds);
    let (_, far_lon, far_lat) = &cells[1];
    let mut mocked = point(at(1), *far_lon, *far_lat);
    mocked["mocked"] = json!(true);
    let mut vague = point(at(2), *far_lon, *far_lat);
    vague["accuracy_m"] = json!(51.0);
    // A thousand kilometres in an hour is too fast; so is there and back.
    let points = [
        point(at(0), *lon, *lat),
        mocked,
        vague,
        point(at(10), *lon, *lat),
        point(at(20), lon + 10.0, *lat),
        point(at(30), *lon, *lat),
    ];
    patroller.track(&points);
    let day = day_of(start);
    let seen =
        patroller.caller.get(&format!("/patrol/tracks?from={day}&to={day}&limit=4")).with(200);
    let mut items = seen["items"].as_array().unwrap().clone();
    let cursor = seen["next"].as_str().expect("another page");
    let rest = patroller
        .caller
        .get(&format!("/patrol/tracks?from={day}&to={day}&limit=4&cursor={cursor}"))
        .with(200);
    items.extend(rest["items"].as_array().unwrap().clone());
    assert_eq!(rest["next"], Value::Null);
    let flags: Vec<&Value> = items.iter().map(|item| &item["flag"]).collect();
    assert_eq!(
        flags,
        [
            &Value::Null,
            &json!("mocked"),
            &json!("inaccurate"),
            &Value::Null,
            &json!("impossible_speed"),
            &Value::Null
        ]
    );
    assert_eq!(patroller.visited("track"), [(code.clone(), day.to_string())]);
}

#[test]
fn tracks_are_seen_by_oneself_and_by_leaders_of_the_area_who_leave_a_trace() {
    let city = City::shared();
    let mut patroller = Patroller::nth(4);
    let (_, lon, lat) = patroller.cells()[0].clone();
    patroller.track(&[point(noon(1), lon, lat)]);
    let day = day_of(noon(1));
    let path = format!("/patrol/tracks?person={}&from={day}&to={day}", patroller.id);
    let district = &patroller.village[..6];
    let leader_phone = city.phone_of("district_leader", district);
    let leader = city.caller(&leader_phone);
    let reads = |conn: &mut PgConnection| {
        count(
            conn,
            &format!(
                "SELECT count(*) AS value FROM audit WHERE action = 'track.read'
                 AND subject = 'person:{}'",
                patroller.id
            ),
        )
    };
    let mut conn = city.conn();
    assert_eq!(reads(&mut conn), 0);
    patroller.caller.get(&path).with(200);
    assert_eq!(reads(&mut conn), 0, "one's own track is no secret");
    let seen = leader.get(&path).with(200);
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(reads(&mut conn), 1);
    let elsewhere = if district == "350302" { "350303" } else { "350302" };
    let stranger = city.caller(&city.phone_of("district_leader", elsewhere));
    stranger.get(&path).refused(404, "not_found");
    let colleague = Patroller::nth(5);
    colleague.caller.get(&path).refused(403, "role_forbidden");
    let visits = format!("/patrol/visits?person={}", patroller.id);
    colleague.caller.get(&visits).refused(403, "role_forbidden");
    assert_eq!(stranger.get(&visits).with(200)["items"], json!([]));
    assert_eq!(leader.get(&visits).with(200)["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(reads(&mut conn), 1);
}

#[test]
fn records_and_photos_show_visits_where_they_are_genuine() {
    let mut patroller = Patroller::nth(6);
    let cells = patroller.cells();
    let (record_cell, lon, lat) = cells[0].clone();
    let (photo_cell, photo_lon, photo_lat) = cells[1].clone();
    let case = |mocked: bool, accuracy: f64, (lon, lat): (f64, f64)| {
        json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat, "nature": "both", "crs": "cgcs2000",
            "accuracy_m": accuracy, "mocked": mocked})
    };
    let made = patroller.caller.post("/cases", &case(false, 8.0, (lon, lat))).with(201);
    patroller.caller.post("/cases", &case(true, 8.0, (photo_lon, photo_lat))).with(201);
    patroller.caller.post("/cases", &case(false, 80.0, (photo_lon, photo_lat))).with(201);
    let today = day_of(Utc::now()).to_string();
    assert_eq!(patroller.visited("record"), [(record_cell, today.clone())]);

    let path = format!("/cases/{}/attachments", made["id"].as_str().unwrap());
    let send = |accuracy: Option<&str>| {
        let file = Part::bytes(photo(32, 32, ImageFormat::Png)).file_name("a.png");
        let mut form = Form::new()
            .part("file", file)
            .text("lon", photo_lon.to_string())
            .text("lat", photo_lat.to_string())
            .text("crs", "cgcs2000");
        if let Some(accuracy) = accuracy {
            form = form.text("accuracy_m", accuracy.to_string());
        }
        patroller.caller.upload(&path, form).with(201)
    };
    send(None);
    assert_eq!(patroller.visited("photo"), []);
    send(Some("12"));
    send(Some("12"));
    assert_eq!(patroller.visited("photo"), [(photo_cell, today)]);
}

#[test]
fn a_plan_tells_what_is_due_and_what_was_made() {
    let city = City::shared();
    let mut patroller = Patroller::nth(8);
    let cells = patroller.cells();
    let village = patroller.village.clone();
    let town = &village[..9];
    let leader = city.caller(&city.phone_of("town_leader", town));
    // A window of five days, two visits each, for three whole windows up to yesterday.
    let today = day_of(Utc::now());
    let from = today - Duration::days(15);
    let plan = json!({"id": Uuid::new_v4(), "title": "建房季巡查", "area_code": village,
        "per": "days", "every_days": 5, "times": 2, "valid_from": from});
    let made = leader.post("/patrol/plans", &plan).with(201);
    assert_eq!(leader.post("/patrol/plans", &plan).with(201), made, "a retry is harmless");
    // The first cell: twice in the first window, once in the second, three times in the third.
    let (code, lon, lat) = cells[0].clone();
    let days_ago = [15, 13, 9, 5, 4, 1];
    let points: Vec<Value> = days_ago.iter().map(|&days| point(noon(days), lon, lat)).collect();
    patroller.track(&points);
    let period = format!("from={from}&to={today}&plan={}", made["id"].as_str().unwrap());
    let due = leader.get(&format!("/patrol/due?{period}&limit=1000")).with(200);
    let expected = 6 * cells.len() as u64;
    assert_eq!((&due["total"]["due"], &due["total"]["made"]), (&json!(expected), &json!(5)));
    let rate = due["rate"].as_f64().expect("a rate");
    assert!((rate - 5.0 / expected as f64).abs() < 1e-12);
    assert_eq!(due["items"].as_array().map(Vec::len), Some(cells.len()));
    let one = leader.get(&format!("/patrol/due?{period}&cell={code}")).with(200);
    let windows = one["items"][0]["windows"].as_array().expect("windows");
    let visited: Vec<usize> =
        windows.iter().map(|w| w["visited"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(visited, [2, 1, 3]);
    let missing = leader.get(&format!("/patrol/due?{period}&missing=true&limit=1000")).with(200);
    assert_eq!(missing["items"].as_array().map(Vec::len), Some(cells.len()));
    assert_eq!(missing["total"], due["total"]);
    // The patroller sees it too; another district nothing of it.
    assert_eq!(
        patroller.caller.get(&format!("/patrol/due?{period}")).with(200)["total"],
        due["total"]
    );
    let elsewhere = if &village[..6] == "350302" { "350303" } else { "350302" };
    let stranger = city.caller(&city.phone_of("district_leader", elsewhere));
    assert_eq!(stranger.get(&format!("/patrol/due?{period}")).with(200)["items"], json!([]));
    let plans = |caller: &Caller| {
        let list = caller.get("/patrol/plans").with(200);
        list["items"].as_array().unwrap().iter().filter(|p| p["id"] == made["id"]).count()
    };
    assert_eq!((plans(&leader), plans(&patroller.caller), plans(&stranger)), (1, 1, 0));

    // The past of a plan stays.
    let path = format!("/patrol/plans/{}", made["id"].as_str().unwrap());
    let change =
        |caller: &Caller, body: Value| Answer::of(caller.request(Method::PATCH, &path).json(&body));
    change(&patroller.caller, json!({"title": "x"})).refused(403, "role_forbidden");
    change(&stranger, json!({"title": "x"})).refused(404, "not_found");
    change(&leader, json!({"valid_to": today - Duration::days(5)})).refused(400, "invalid");
    change(&leader, json!({"times": 1})).refused(400, "invalid");
    assert_eq!(change(&leader, json!({"title": "改名"})).with(200)["title"], "改名");
    let end = || Answer::of(leader.request(Method::DELETE, &path));
    assert_eq!(end().status, 204);
    end().refused(409, "wrong_state");
    let after = leader.get(&format!("/patrol/due?{period}")).with(200);
    assert_eq!(after["total"], due["total"]);
}

#[test]
fn plans_and_tracks_that_cannot_be_are_refused() {
    let city = City::shared();
    let dispatcher = city.caller(DISPATCHER);
    let patroller = Patroller::nth(9);
    let plan = |more: Value| {
        let mut plan = json!({"title": "t", "area_code": "350302001", "per": "week"});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plan
    };
    for wrong in [
        json!({"title": " "}),
        json!({"area_code": "999999"}),
        json!({"area_code": "'; DROP TABLE patrol_plans; --"}),
        json!({"per": "year"}),
        json!({"every_days": 3}),
        json!({"per": "days"}),
        json!({"per": "days", "every_days": 0}),
        json!({"times": 0}),
        json!({"times": 8}),
        json!({"season_months": []}),
        json!({"season_months": [13]}),
        json!({"cells": []}),
        json!({"cells": ["350303001001001"]}),
        json!({"valid_from": "2026-05-02", "valid_to": "2026-05-01"}),
        json!({"colour": "red"}),
    ] {
        let answer = dispatcher.post("/patrol/plans", &plan(wrong.clone()));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.json());
    }
    patroller.caller.post("/patrol/plans", &plan(json!({}))).refused(403, "role_forbidden");
    let town_leader = city.caller(&city.phone_of("town_leader", "350303001"));
    town_leader.post("/patrol/plans", &plan(json!({}))).refused(403, "outside_area");

    let now = Utc::now().trunc_subsecs(0);
    let track = |points: Vec<Value>| {
        patroller.caller.post("/patrol/tracks", &json!({"id": Uuid::new_v4(), "points": points}))
    };
    track(Vec::new()).refused(400, "invalid");
    track(vec![point(now + Duration::hours(1), 119.0, 25.4)]).refused(400, "invalid");
    track(vec![point(now - Duration::days(40), 119.0, 25.4)]).refused(400, "invalid");
    track(vec![point(now, 190.0, 25.4)]).refused(400, "out_of_range");
    track((0..5001).map(|k| point(now - Duration::seconds(k), 119.0, 25.4)).collect())
        .refused(400, "invalid");
    for path in [
        "/patrol/due?from=2026-01-01&to=2020-01-01",
        "/patrol/due?from=2020-01-01&to=2026-01-01",
        "/patrol/due?area=nowhere",
        "/patrol/visits?source=rumour",
        "/patrol/visits?cursor=!",
        "/patrol/tracks?from=2026-01-01&to=2026-06-01",
    ] {
        patroller.caller.get(path).refused(400, "invalid");
    }
}
