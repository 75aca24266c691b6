//! Look-up over HTTP: parameters, formats, limits, languages.

use crate::support::caller::client;
use crate::support::database::{self, TestDatabase};
use crate::support::folder;
use crate::toy_city;
use diesel::connection::SimpleConnection;
use reqwest::blocking::{RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, mpsc};
use xuncha::store::accounts::create_api_token;
use xuncha::store::blobs::Blobs;
use xuncha::store::world::World;
use xuncha::web::state::AppState;
use xuncha::web::{ServeOptions, serve};

struct Service {
    address: SocketAddr,
    token: String,
    _database: TestDatabase,
}

/// One server over the toy city for all tests here; it ends with the test process.
fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let database = database::empty();
        let mut conn = database.store.owner_conn().unwrap();
        conn.batch_execute(
            "INSERT INTO people (id, phone, name, role, area_code, must_change_password)
             VALUES (gen_random_uuid(), '10005940001', 'p', 'dispatcher', '350300', false)",
        )
        .unwrap();
        let token = create_api_token(&mut conn, "10005940001", "test", 1).unwrap();
        let world = World::load(&database.store).unwrap();
        world.atlas.store(Arc::new(toy_city::atlas()));
        world.roster.store(Arc::new(toy_city::roster()));
        let folder = folder::fresh();
        let blobs = Blobs::in_folder(&folder).expect("a folder");
        let state = AppState::new(database.store.clone(), Arc::new(world), blobs, folder, false);
        let (ready, listening) = mpsc::channel();
        std::thread::spawn(move || {
            let options = ServeOptions { bind: ([127, 0, 0, 1], 0).into(), tls: None };
            let serving = serve(state, options, move |address| ready.send(address).unwrap());
            actix_web::rt::System::new().block_on(serving).unwrap();
        });
        let address = listening.recv().unwrap();
        Service { address, token, _database: database }
    })
}

fn url(path: &str) -> String {
    format!("http://{}/api/v1{path}", service().address)
}

fn get(path: &str) -> RequestBuilder {
    client().get(url(path)).bearer_auth(&service().token)
}

fn post(path: &str, content_type: &str, body: impl Into<reqwest::blocking::Body>) -> Response {
    let request = client().post(url(path)).bearer_auth(&service().token);
    let request = request.header("content-type", content_type).header("accept-language", "en");
    request.body(body).send().unwrap()
}

fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    response.json().unwrap()
}

#[test]
fn one_position_is_answered_to_who_is_logged_in() {
    let answer = get("/lookup?lon=119.05&lat=25.05&accuracy=10").send().unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().unwrap();
    assert_eq!(answer["cell"]["code"], toy_city::cell(0, 0));
    assert_eq!(answer["responsible"]["primary"]["phone"], "10005940001");
    let sea: Value = get("/lookup?lon=118.99&lat=25.05").send().unwrap().json().unwrap();
    assert_eq!(sea["inside"], false);
    assert!(sea["nearest"]["distance_m"].as_f64().unwrap() > 900.0);
    let stranger = client().get(url("/lookup?lon=119.05&lat=25.05")).send().unwrap();
    assert_eq!(problem(stranger, 401)["status"], 401);
}

#[test]
fn bad_parameters_are_refused_clearly() {
    for (query, code, field) in [
        ("lon=119.05", "invalid", "lat"),
        ("lon=abc&lat=25", "invalid", "lon"),
        ("lon=119.05&lat=25.05&nature=theft", "invalid", "nature"),
        ("lon=119.05&lat=25.05&accuracy=-1", "invalid", "accuracy"),
        ("lon=119.05&lat=25.05&crs=mars", "crs_unknown", "crs"),
        ("lon=119.05&lat=25.05&datum=gcj02", "invalid", ""),
        ("lon=NaN&lat=25.05", "out_of_range", ""),
        ("lon=119.05&lat=inf", "out_of_range", ""),
        ("lon=200&lat=25.05", "out_of_range", ""),
    ] {
        let problem = problem(get(&format!("/lookup?{query}")).send().unwrap(), 400);
        assert_eq!(problem["code"], code, "{query}: {problem}");
        if !field.is_empty() {
            assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
        }
    }
    let english = get("/lookup?lon=200&lat=1").header("accept-language", "en").send().unwrap();
    assert!(problem(english, 400)["detail"].as_str().unwrap().contains("out of range"));
    let chinese = get("/lookup?lon=200&lat=1").send().unwrap();
    assert!(problem(chinese, 400)["detail"].as_str().unwrap().contains("超出"));
}

#[test]
fn a_batch_comes_back_in_its_own_format_and_order() {
    let mut rows = String::from("id,lon,lat\n");
    for n in 0..60_000 {
        let lon = 119.0 + f64::from(n % 800) / 1000.0;
        rows.push_str(&if n == 777 {
            "777,x,25.05\n".into()
        } else {
            format!("{n},{lon},25.05\n")
        });
    }
    let answer = post("/lookup/batch", "text/csv; charset=utf-8", rows);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/csv");
    let text = answer.text().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 60_001);
    for (n, line) in lines[1..].iter().enumerate() {
        assert!(line.starts_with(&format!("{n},")), "{line}");
    }
    assert!(lines[778].ends_with("line 779: lon is not a number: x"), "{}", lines[778]);
    assert!(lines[51].contains(",true,350300,350302,"));

    let answer = post("/lookup/batch", "application/x-ndjson", "{\"x\":119.05,\"y\":25.05}\n?\n");
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().unwrap();
    let answers: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers[0]["cell"], toy_city::cell(0, 0));
    assert!(answers[1]["error"].as_str().unwrap().starts_with("line 2: "));

    let point = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[119.05,25.05]}}]}"#;
    for content_type in ["application/geo+json", "application/json"] {
        let answer = post("/lookup/batch?nature=illegal_land_use", content_type, point);
        assert_eq!(answer.headers()["content-type"], content_type);
        let answer: Value = answer.json().unwrap();
        assert_eq!(answer["features"][0]["properties"]["cell"], toy_city::cell(0, 0));
    }
}

#[test]
fn what_is_no_batch_is_refused_before_the_answer_begins() {
    let refused = |path: &str, content_type: &str, body: &'static str, status| {
        problem(post(path, content_type, body), status)["code"].as_str().unwrap().to_string()
    };
    let csv = "lon,lat\n119,25\n";
    assert_eq!(refused("/lookup/batch", "text/plain", csv, 415), "wrong_type");
    assert_eq!(refused("/lookup/batch", "text/csv", "a,b\n1,2\n", 400), "column_unknown");
    assert_eq!(refused("/lookup/batch", "application/json", "[1,2]", 400), "not_geojson");
    assert_eq!(refused("/lookup/batch?crs=mars", "text/csv", csv, 400), "crs_unknown");
    assert_eq!(refused("/lookup/batch?colour=red", "text/csv", csv, 400), "invalid");
    assert_eq!(refused("/lookup/batch?lon=E", "text/csv", csv, 400), "column_unknown");
}
