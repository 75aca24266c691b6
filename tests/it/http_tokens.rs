//! Devices and API tokens over HTTP, and what the audit trail says of them.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, count, text};
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::json;
use xuncha::store::accounts::activate;

/// A patroller of their own for each test; http_session.rs takes the first ones.
fn person(n: usize) -> String {
    let mut conn = City::shared().conn();
    let query = format!(
        "SELECT phone AS value FROM people WHERE role = 'patroller' ORDER BY phone OFFSET {} LIMIT 1",
        40 + n
    );
    let phone = text(&mut conn, &query);
    activate(&mut conn, &phone, "correct horse", false).expect("activated");
    phone
}

fn logged_in(phone: &str, user_agent: &str) -> Caller {
    let caller = City::shared().stranger();
    let request = caller.request(Method::POST, "/session").header("user-agent", user_agent);
    Answer::of(request.json(&json!({"phone": phone, "password": "correct horse"}))).with(200);
    caller
}

fn delete(caller: &Caller, path: &str) -> Answer {
    Answer::of(caller.request(Method::DELETE, path))
}

#[test]
fn devices_are_listed_and_logged_out_one_by_one_and_everywhere() {
    let phone = person(0);
    let (a, b, c) =
        (logged_in(&phone, "Phone A"), logged_in(&phone, "Phone B"), logged_in(&phone, "C"));
    let devices = a.get("/me/sessions").with(200);
    let items = devices["items"].as_array().expect("a list");
    assert_eq!(items.len(), 3);
    assert!(items.iter().all(|d| d["address"] == "127.0.0.1" && d["last_seen_at"].is_string()));
    let of = |agent: &str| items.iter().find(|d| d["user_agent"] == agent).expect("a device");
    assert_eq!(
        (&of("Phone A")["current"], &of("Phone B")["current"]),
        (&json!(true), &json!(false))
    );
    assert!(!devices.to_string().contains("token"), "{devices}");
    let path = format!("/me/sessions/{}", of("Phone B")["id"].as_str().expect("an id"));
    // Somebody else's session is none of one's business.
    delete(&logged_in(&person(1), "x"), &path).refused(404, "not_found");
    delete(&a, &path).with(204);
    b.get("/me").refused(401, "not_logged_in");
    delete(&a, "/me/sessions?keep_current=true").with(204);
    c.get("/me").refused(401, "not_logged_in");
    a.get("/me").with(200);
    delete(&a, "/me/sessions").with(204);
    a.get("/me").refused(401, "not_logged_in");
}

#[test]
fn sessions_survive_a_restart() {
    let mut city = City::start();
    let phone = city.phone_of("reviewer", "350302");
    activate(&mut city.conn(), &phone, "correct horse", false).expect("activated");
    let caller = city.stranger();
    caller.post("/session", &json!({"phone": phone, "password": "correct horse"})).with(200);
    city.service.kill_and_start_again();
    assert_eq!(caller.get("/me").with(200)["phone"], phone);
}

#[test]
fn tokens_do_what_their_scope_says_until_they_are_revoked() {
    let city = City::shared();
    let phone = city.phone_of("town_leader", "350302002");
    activate(&mut city.conn(), &phone, "correct horse", false).expect("activated");
    let owner = logged_in(&phone, "browser");
    let make = |scope: &str| {
        let made =
            owner.post("/tokens", &json!({"name": "图层", "scope": scope, "days": 30})).with(201);
        let token = made["token"].as_str().expect("a token").to_string();
        (
            Caller::with_token(city.service.url(""), token),
            made["id"].as_str().expect("an id").to_string(),
        )
    };
    for bad in [
        json!({"name": "x", "scope": "root", "days": 1}),
        json!({"name": "x", "scope": "read", "days": 0}),
        json!({"name": "", "scope": "read", "days": 1}),
    ] {
        owner.post("/tokens", &bad).refused(400, "invalid");
    }
    let case =
        || json!({"id": uuid::Uuid::new_v4(), "lon": 119.0078, "lat": 25.454, "nature": "both"});
    let lookup = |caller: &Caller| {
        let request =
            caller.request(Method::POST, "/lookup/batch").header("content-type", "text/csv");
        Answer::of(request.body("lon,lat\n119.0078,25.454\n"))
    };
    let (read, read_id) = make("read");
    read.get("/cases?limit=1").with(200);
    assert_eq!(lookup(&read).status, 200);
    Answer::of(read.request(Method::GET, "/tiles/cell/12/3403/1754"))
        .status
        .checked_sub(200)
        .expect("an answer");
    read.post("/cases", &case()).refused(403, "token_scope");
    read.get("/people").refused(403, "token_scope");
    read.post("/tokens", &json!({"name": "x", "scope": "manage", "days": 1}))
        .refused(403, "token_scope");
    let (report, report_id) = make("report");
    report.post("/cases", &case()).with(201);
    report.get("/people").refused(403, "token_scope");
    delete(&report, "/me/sessions").refused(403, "token_scope");
    let (manage, manage_id) = make("manage");
    manage.get("/people?limit=1").with(200);
    // Basic credentials, as GIS clients have them.
    let listed = owner.get("/tokens").with(200);
    let ids: Vec<_> =
        listed["items"].as_array().into_iter().flatten().map(|t| t["id"].clone()).collect();
    assert!([&read_id, &report_id, &manage_id].iter().all(|id| ids.contains(&json!(id))));
    assert!(!listed.to_string().contains("hash"), "{listed}");
    // Not somebody else's to revoke.
    delete(&logged_in(&person(2), "x"), &format!("/tokens/{read_id}")).refused(404, "not_found");
    delete(&owner, &format!("/tokens/{read_id}")).with(204);
    read.get("/cases?limit=1").refused(401, "not_logged_in");
    let forged = Caller::with_token(city.service.url(""), "0".repeat(64));
    forged.get("/me").refused(401, "not_logged_in");
    city.conn()
        .batch_execute(
            "UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE scope = 'report'",
        )
        .expect("expired");
    // In this process an answer may be some seconds old; never longer.
    let start = std::time::Instant::now();
    while report.get("/me").status != 401 {
        assert!(start.elapsed().as_secs() < 30, "an expired token still works");
    }
}

#[test]
fn log_ins_views_and_exports_are_in_the_trail() {
    let city = City::shared();
    let phone = person(3);
    let caller = city.stranger();
    let wrong = json!({"phone": phone, "password": "wrong"});
    caller.post("/session", &wrong).refused(401, "wrong_credentials");
    let me =
        caller.post("/session", &json!({"phone": phone, "password": "correct horse"})).with(200);
    delete(&caller, "/session").with(204);
    let admin = city.caller(&city.phone_of("admin", "350300"));
    let found = admin.get(&format!("/audit?actor={phone}&action=session.")).with(200);
    let actions: Vec<_> =
        found["items"].as_array().expect("a list").iter().map(|r| &r["action"]).collect();
    assert_eq!(actions, [&json!("session.close"), &json!("session.open")]);
    let open = &found["items"][1];
    assert_eq!((&open["address"], &open["actor_phone"]), (&json!("127.0.0.1"), &json!(phone)));
    let refused =
        admin.get(&format!("/audit?subject=phone:{phone}&action=session.refused")).with(200);
    assert_eq!(refused["items"].as_array().map(Vec::len), Some(1));
    assert!(!refused.to_string().contains("wrong"), "no password is written down");

    // A case with an identity number: opening it is noted, listing shows a hint only.
    let reporter = city.caller(&phone);
    let body = json!({"id": uuid::Uuid::new_v4(), "lon": 119.0078, "lat": 25.454, "nature": "both",
        "party": {"name": "某人", "id_number": "350302199001011234"}});
    let case = reporter.post("/cases", &body).with(201);
    let id = case["id"].as_str().expect("an id");
    assert_eq!(
        admin.get(&format!("/cases/{id}")).with(200)["party"]["id_number"],
        "350302199001011234"
    );
    let number = case["number"].as_str().expect("a number");
    let listed = admin.get(&format!("/cases?q={number}")).with(200);
    assert_eq!(listed["items"][0]["party"]["id_number"], "350*************34");
    let views = admin.get(&format!("/audit?subject=case:{id}")).with(200);
    assert_eq!(views["items"][0]["action"], "case.party_view");

    let person_id = me["id"].as_str().expect("an id");
    admin.get(&format!("/people/{person_id}")).with(200);
    let seen =
        admin.get(&format!("/audit?subject=person:{person_id}&action=people.view")).with(200);
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1));

    let file = admin.get("/audit?action=session.&format=csv");
    assert!(file.header("content-type").starts_with("text/csv"));
    let text = String::from_utf8(file.bytes.clone()).expect("UTF-8");
    assert!(text.starts_with("\u{feff}id,at,") && text.contains("session.refused"));
    let exports = admin.get("/audit?action=audit.export&limit=1").with(200);
    assert_eq!(exports["items"][0]["after"]["action"], "session.");
    for bad in ["actor=nobody", "from=yesterday", "format=xml", "limit=0", "cursor=!", "x=1"] {
        admin.get(&format!("/audit?{bad}")).refused(400, "invalid");
    }
    // Page by page, each row once.
    let first = admin.get("/audit?limit=2").with(200);
    let next = first["next"].as_str().expect("more");
    let second = admin.get(&format!("/audit?limit=2&cursor={next}")).with(200);
    let ids = |page: &serde_json::Value| -> Vec<i64> {
        page["items"].as_array().expect("a list").iter().filter_map(|r| r["id"].as_i64()).collect()
    };
    assert!(ids(&first)[1] > ids(&second)[0]);
    // What a setting was and is, with who changed it.
    let body = json!({"value": 1500.0});
    Answer::of(admin.request(Method::PUT, "/settings/nearest_within_m").json(&body)).with(200);
    let changed = admin.get("/audit?subject=settings:nearest_within_m&limit=1").with(200);
    assert_eq!(changed["items"][0]["after"], json!(1500.0), "{changed}");
    Answer::of(
        admin.request(Method::PUT, "/settings/nearest_within_m").json(&json!({"value": 2000.0})),
    )
    .with(200);
    let mut conn = city.conn();
    assert!(count(&mut conn, "SELECT count(*) AS value FROM audit_chain") > 0, "rows are sealed");
}

#[test]
fn a_person_chooses_a_language() {
    let phone = person(4);
    let caller = logged_in(&phone, "x");
    let set = |language: &str| {
        Answer::of(caller.request(Method::PATCH, "/me").json(&json!({"language": language})))
    };
    set("en").with(204);
    assert_eq!(caller.get("/me").with(200)["language"], "en");
    set("fr").refused(400, "invalid");
    set("zh").with(204);
}
