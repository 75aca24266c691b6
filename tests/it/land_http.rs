//! Land statistics over HTTP: answers, rights, and refusals with their codes.

use crate::support::caller::client;
use crate::support::database;
use crate::toy_city;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use xuncha::enforcement::permissions::Scope;
use xuncha::store::blobs::Blobs;
use xuncha::store::world::World;
use xuncha::web::session::Account;
use xuncha::web::state::AppState;
use xuncha::web::{self, ServeOptions};

/// Serves the toy city to one who sees all of it and to one of its first district. The threads
/// end with the test process.
fn serve() -> String {
    let database = database::empty();
    let world = Arc::new(World::load(&database.store).expect("an empty world"));
    world.atlas.store(Arc::new(toy_city::atlas()));
    let (store, folder) = (database.store.clone(), database.config.data_dir.clone());
    let state =
        AppState::new(store, world, Blobs::in_folder(&folder).expect("a folder"), folder, false);
    for (token, scope) in [
        ("city", Scope::City("350300".into())),
        ("district", Scope::District(toy_city::district(0))),
    ] {
        let account = Account {
            person: toy_city::person(1),
            scope,
            must_change_password: false,
            language: "zh".into(),
            from: None,
            via: Default::default(),
        };
        state.accounts.insert(Sha256::digest(token).into(), Arc::new(account));
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _database = database;
        let options = ServeOptions { bind: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None };
        let ready = move |address| sender.send(address).expect("the test waits");
        actix_web::rt::System::new()
            .block_on(web::serve(state, options, ready))
            .expect("the service runs");
    });
    format!("http://{}/api/v1/stats/land", receiver.recv().expect("the service listens"))
}

fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().expect("a problem is JSON");
    (status, body["code"].as_str().unwrap_or_default().to_string())
}

#[test]
fn land_is_answered_by_area_and_polygon_within_ones_rights() {
    let url = serve();
    let client = client();
    let get = |token: &str, query: &str| {
        client.get(format!("{url}?{query}")).bearer_auth(token).send().expect("an answer")
    };
    let body: Value = get("city", "area=350300&level=district").json().expect("a table is JSON");
    let codes: Vec<_> =
        body["rows"].as_array().expect("rows").iter().map(|r| r["code"].clone()).collect();
    assert_eq!(codes, ["350302", "350303", "350391"]);
    for row in body["rows"].as_array().expect("rows") {
        let area = |name: &str| row[name].as_f64().expect("an area");
        let sum = area("basic_farmland")
            + area("farmland")
            + area("non_farmland")
            + area("homestead")
            + area("mine");
        assert!((sum - area("total")).abs() <= 1e-9 * sum);
    }

    let own = get("district", &format!("area={}&level=town&by=class", toy_city::district(0)));
    assert_eq!(own.status().as_u16(), 200);
    let refusals = [
        ("district", "area=350300", 403, "area_forbidden"),
        ("district", "area=350303", 403, "area_forbidden"),
        ("district", "area=350391", 403, "area_forbidden"),
        ("city", "area=359999", 404, "area_unknown"),
        ("city", "area=350302&level=city", 400, "level_above_area"),
        ("city", "area=350302&level=street", 400, "invalid"),
        ("city", "area=350302&by=owner", 400, "invalid"),
        ("city", "area=350302&colour=red", 400, "invalid"),
        ("city", "level=town", 400, "invalid"),
    ];
    for (token, query, status, code) in refusals {
        assert_eq!(problem(get(token, query)), (status, code.to_string()), "{query}");
    }
    let anonymous = client.get(format!("{url}?area=350300")).send().expect("an answer");
    assert_eq!(anonymous.status().as_u16(), 401);

    let post =
        |body: &Value| client.post(&url).bearer_auth("city").json(body).send().expect("an answer");
    let square =
        [[119.01, 25.01], [119.02, 25.01], [119.02, 25.02], [119.01, 25.02], [119.01, 25.01]];
    let polygon = json!({"type": "Polygon", "coordinates": [square]});
    let body: Value = post(&polygon).json().expect("a table is JSON");
    let total = body["rows"][0]["total"].as_f64().expect("an area");
    assert!((total / 1_117_000.0 - 1.0).abs() < 0.01, "{total}");
    assert_eq!(body["area"]["level"], "polygon");

    let crossed = json!({"type": "Polygon", "coordinates": [[[119, 25], [119.1, 25.1], [119.1, 25], [119, 25.1], [119, 25]]]});
    assert_eq!(problem(post(&crossed)), (422, "polygon_invalid".into()));
    let point = json!({"type": "Point", "coordinates": [119, 25]});
    assert_eq!(problem(post(&point)), (422, "not_a_polygon".into()));
    let many: Vec<_> = (0..10_001).map(|i| json!([119.0 + f64::from(i) * 1e-6, 25])).collect();
    let many = json!({"type": "Polygon", "coordinates": [many]});
    assert_eq!(problem(post(&many)), (413, "too_many_vertices".into()));
}
