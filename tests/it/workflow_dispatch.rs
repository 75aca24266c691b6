//! Absences, and dispatching open cases again.

use crate::support::crew::{Crew, act};
use crate::support::demo_city::{City, DISPATCHER, count, text};
use chrono::{Duration, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

fn id_of(city: &City, phone: &str) -> String {
    text(&mut city.conn(), &format!("SELECT id::text AS value FROM people WHERE phone = '{phone}'"))
}

fn absence(person: &str, from: i64, to: i64) -> Value {
    let today = Utc::now().with_timezone(&chrono_tz::Asia::Shanghai).date_naive();
    let day = |n| (today + Duration::days(n)).to_string();
    json!({"id": Uuid::new_v4(), "person_id": person, "first_day": day(from), "last_day": day(to),
        "reason": "年假"})
}

#[test]
fn while_somebody_is_away_the_stand_in_answers_everywhere() {
    let city = City::start();
    let crew = Crew::nth(&city, "350302", 0);
    let squad = city.caller(&crew.squad_leader);
    let dispatcher = city.caller(DISPATCHER);
    let path = format!("/lookup?lon={}&lat={}&nature=illegal_land_use", crew.lon, crew.lat);
    let answers = || dispatcher.get(&path).with(200)["responsible"].clone();
    let report = || dispatcher.post("/cases", &crew.find()).with(201);
    let early = report();
    assert_eq!(early["responsible"]["primary"]["phone"], crew.responsible);

    let away = absence(&id_of(&city, &crew.responsible), 0, 3);
    let added = squad.post("/absences", &away).with(201);
    assert_eq!(squad.post("/absences", &away).with(201), added, "a retry is harmless");
    assert_eq!(answers()["primary"]["phone"], crew.backup);
    assert_eq!(answers()["stands_in_for"]["phone"], crew.responsible);
    let late = report();
    assert_eq!(late["responsible"]["primary"]["phone"], crew.backup);
    assert_eq!(late["assignee_id"], json!(id_of(&city, &crew.backup)));
    let other = Crew::nth(&city, "350304", 0);
    city.caller(&other.squad_leader)
        .post("/absences", &absence(&id_of(&city, &crew.responsible), 9, 9))
        .refused(403, "area_forbidden");
    let listed = squad.get("/absences").with(200);
    assert_eq!(listed["items"][0]["phone"], crew.responsible);
    assert_eq!(city.caller(&other.squad_leader).get("/absences").with(200)["items"], json!([]));

    // Open cases move when somebody says so, and as the plan showed.
    let area = json!({"area": &crew.cell[..12]});
    let plan = dispatcher.post("/redispatch/plan", &area).with(200);
    let listed = plan["items"].as_array().expect("a list");
    let moved = |case: &Value| listed.iter().find(|item| item["case_id"] == case["id"]);
    let item = moved(&early).unwrap_or_else(|| panic!("{plan}"));
    assert_eq!(item["to"]["id"], json!(id_of(&city, &crew.backup)));
    assert!(moved(&late).is_none(), "it is where it belongs");
    assert!(
        listed
            .iter()
            .all(|item| item["from_cell"].as_str().expect("a cell").starts_with(&crew.cell[..12]))
    );
    assert_eq!(plan["moves"], listed.len());
    let apply = |fingerprint: &Value, id: Uuid| {
        dispatcher.post(
            "/redispatch/apply",
            &json!({"id": id, "area": &crew.cell[..12],
            "fingerprint": fingerprint, "reason": "年假"}),
        )
    };
    apply(&json!("0"), Uuid::new_v4()).refused(409, "plan_changed");
    squad.post("/redispatch/plan", &area).refused(403, "role_forbidden");
    let id = Uuid::new_v4();
    let done = apply(&plan["fingerprint"], id).with(200);
    assert_eq!(done["moved"], plan["moves"]);
    assert_eq!(apply(&plan["fingerprint"], id).with(200), done, "a retry is harmless");
    apply(&plan["fingerprint"], Uuid::new_v4()).refused(409, "plan_changed");
    let case = early["id"].as_str().expect("an id");
    let shown = dispatcher.get(&format!("/cases/{case}")).with(200);
    assert_eq!(shown["assignee_id"], json!(id_of(&city, &crew.backup)));
    let history = dispatcher.get(&format!("/cases/{case}/history")).with(200);
    let last = history["items"].as_array().expect("events").last().expect("one").clone();
    assert_eq!((&last["action"], &last["data"]["because"]), (&json!("dispatch"), &json!("duties")));
    let told = format!(
        "SELECT count(*) AS value FROM messages m JOIN people p ON p.id = m.recipient_id
         WHERE m.case_id = '{case}' AND m.kind = 'reassigned' AND p.phone IN ('{}', '{}')",
        crew.responsible, crew.backup
    );
    assert_eq!(count(&mut city.conn(), &told), 2);
    act(&city.caller(&crew.backup), case, "patrol_record", json!({})).with(200);

    // The stand-in falls ill, too: the next level answers. Everybody says so for themselves.
    let own = absence(&id_of(&city, &crew.backup), 0, 0);
    city.caller(&crew.backup).post("/absences", &own).with(201);
    assert_ne!(answers()["found_by"], "cell", "{}", answers());
    // Taken back, everything is as before; the record stays.
    for absence in [&away, &own] {
        let id = absence["id"].as_str().expect("an id");
        for _ in 0..2 {
            let request =
                city.caller(&crew.backup).request(Method::DELETE, &format!("/absences/{id}"));
            let request = if absence == &away {
                squad.request(Method::DELETE, &format!("/absences/{id}"))
            } else {
                request
            };
            crate::support::caller::Answer::of(request).with(204);
        }
    }
    assert_eq!(answers()["primary"]["phone"], crew.responsible);
    assert!(answers().get("stands_in_for").is_none());
    assert_eq!(count(&mut city.conn(), "SELECT count(*) AS value FROM absences"), 2);

    // Somebody whose absence is over, or still to come, answers.
    for day in [-1, 1] {
        let other_day = absence(&id_of(&city, &crew.responsible), day, day);
        squad.post("/absences", &other_day).with(201);
        assert_eq!(answers()["primary"]["phone"], crew.responsible);
    }
    for bad in [
        json!({"first_day": "2026-12-02", "last_day": "2026-12-01"}),
        json!({"first_day": "2026-12-01", "last_day": "2029-12-01"}),
    ] {
        squad.post("/absences", &bad).refused(400, "invalid");
    }
}
