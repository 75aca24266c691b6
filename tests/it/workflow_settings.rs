//! Settings over HTTP: typed, with history, in force at once.

use crate::support::caller::Answer;
use crate::support::crew::Crew;
use crate::support::demo_city::{City, DISPATCHER};
use reqwest::Method;
use serde_json::{Value, json};

fn put(phone: &str, key: &str, body: &Value) -> Answer {
    let caller = City::shared().caller(phone);
    Answer::of(caller.request(Method::PUT, &format!("/settings/{key}")).json(body))
}

fn admin() -> String {
    City::shared().phone_of("admin", "350300")
}

#[test]
fn a_setting_counts_at_once_and_its_history_stays() {
    let admin = admin();
    let caller = City::shared().caller(&admin);
    let before = caller.get("/settings/demolition_targets").with(200);
    let target = |m2: f64| json!([{"area": "350300", "year": 2026, "target_m2": m2}]);
    let first =
        put(&admin, "demolition_targets", &json!({"value": target(1e6), "reason": "市里下达"}));
    let first = first.with(200);
    assert_eq!(first["revision"], before["revision"].as_i64().expect("a number") + 1);
    let again = put(&admin, "demolition_targets", &json!({"value": target(1e6)})).with(200);
    assert_eq!(again, first, "the same value changes nothing");
    let seen = before["revision"].clone();
    let stale = json!({"value": target(2e6), "expected_revision": seen});
    put(&admin, "demolition_targets", &stale).refused(409, "stale_version");
    put(
        &admin,
        "demolition_targets",
        &json!({"value": target(2e6), "expected_revision": first["revision"]}),
    )
    .with(200);
    let all = City::shared().caller(DISPATCHER).get("/settings").with(200);
    assert_eq!(all["demolition_targets"][0]["target_m2"], 2e6);
    let history = caller.get("/settings/demolition_targets/history?limit=1").with(200);
    assert_eq!(history["items"][0]["value"][0]["target_m2"], 2e6);
    let next = history["next"].as_str().expect("more");
    let older = caller.get(&format!("/settings/demolition_targets/history?limit=1&cursor={next}"));
    let older = older.with(200);
    assert_eq!(older["items"][0]["reason"], "市里下达");
    assert!(older["items"][0]["changed_by_name"].is_string());
}

#[test]
fn only_administrators_change_settings_and_a_secret_stays_inside() {
    let value = json!({"value": 1_000.0});
    put(DISPATCHER, "nearest_within_m", &value).refused(403, "role_forbidden");
    City::shared().caller(DISPATCHER).get("/settings/webhook").refused(403, "role_forbidden");
    let admin = admin();
    put(&admin, "password", &value).refused(404, "not_found");
    let problem = put(&admin, "nearest_within_m", &json!({"value": 1e9})).refused(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "nearest_within_m");
    put(&admin, "deadlines", &json!({"value": {"rules": "x"}})).refused(400, "invalid");

    // No address: nothing goes out while other tests run.
    let hook = |secret: &str, kinds: Value| json!({"value": {"url": null, "secret": secret, "kinds": kinds}});
    let set = put(&admin, "webhook", &hook("a long secret", json!([]))).with(200);
    assert_eq!(set["value"]["secret"], "********");
    let kept = put(&admin, "webhook", &hook("********", json!(["closed"]))).with(200);
    assert!(kept["revision"].as_i64() > set["revision"].as_i64());
    let conn = &mut City::shared().conn();
    let stored = "SELECT value->>'secret' AS value FROM settings WHERE key = 'webhook'";
    assert_eq!(crate::support::demo_city::text(conn, stored), "a long secret");
    let history = City::shared().caller(&admin).get("/settings/webhook/history").with(200);
    assert!(!history.to_string().contains("a long secret"));
    let dispatcher = City::shared().caller(DISPATCHER).get("/settings").with(200);
    assert!(dispatcher.get("webhook").is_none());
}

#[test]
fn a_deadline_set_for_a_village_holds_there_only() {
    let city = City::shared();
    let crews = Crew::of(city, "350303", 200);
    let here = &crews[0];
    let elsewhere =
        crews.iter().find(|c| c.cell[..12] != here.cell[..12]).expect("another village");
    let admin = admin();
    let mut deadlines = city.caller(&admin).get("/settings/deadlines").with(200)["value"].clone();
    let rules = deadlines["rules"].as_array_mut().expect("rules");
    rules.push(json!({"step": "first_visit", "area": &here.cell[..12], "hours": 2}));
    put(&admin, "deadlines", &json!({"value": deadlines})).with(200);
    let hours = |crew: &Crew| {
        let made = city.caller(DISPATCHER).post("/cases", &crew.find()).with(201);
        let time = |field: &str| {
            let text = made[field].as_str().unwrap_or_else(|| panic!("{field}: {made}"));
            chrono::DateTime::parse_from_rfc3339(text).expect("a time")
        };
        assert_eq!(made["progress"]["due_step"], "first_visit");
        (time("due_at") - time("reported_at")).num_minutes()
    };
    assert_eq!(hours(here), 120);
    assert_eq!(hours(elsewhere), 24 * 60);
}

#[test]
fn the_ratio_of_taken_land_is_shown_where_the_denominator_is_known() {
    let city = City::shared();
    let admin = admin();
    let known = json!([{"area": "350302", "year": 2024, "cultivated_m2": 1.0},
        {"area": "350305", "year": 2024, "cultivated_m2": 1e9}, {"area": "350305901", "year": 2024, "cultivated_m2": 100.0},
        {"area": "350302", "year": 2023, "cultivated_m2": 5.0}]);
    let value = json!({"value": {"answerable_from": 0.15, "taken_by_construction": known}});
    put(&admin, "occupation_ratio", &value).with(200);
    let ratios = |phone: &str| city.caller(phone).get("/stats/occupation?year=2024").with(200);
    let all = ratios(DISPATCHER);
    assert_eq!(all["items"].as_array().expect("rows").len(), 3);
    let mut conn = city.conn();
    for (row, place) in all["items"].as_array().expect("rows").iter().zip([
        "district_code = '350302' AND functional_area_code IS NULL",
        "district_code = '350305' AND functional_area_code IS NULL",
        "functional_area_code = '350305901'",
    ]) {
        let query = format!(
            "SELECT coalesce(sum(basic_farmland_m2 + farmland_m2), 0)::text AS value FROM cases
             WHERE {place} AND status NOT IN ('rejected', 'duplicate')
               AND extract(year FROM reported_at AT TIME ZONE 'Asia/Shanghai') = 2024"
        );
        let text = crate::support::demo_city::text(&mut conn, &query);
        let expected: f64 = text.parse().expect("a number");
        let taken = row["taken_m2"].as_f64().expect("a number");
        assert!((taken - expected).abs() <= 1e-9 * expected.max(1.0), "{row}: {expected}");
        let share = taken / row["construction_m2"].as_f64().expect("a number");
        assert_eq!(row["answerable"], json!(share >= 0.15), "{row}");
    }
    let own = ratios(&city.phone_of("district_leader", "350302"));
    assert_eq!(own["items"].as_array().expect("rows").len(), 1);
}
