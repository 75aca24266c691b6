//! The life of a case over HTTP in the demo city, as phones and desks drive it.

use crate::support::caller::{Answer, Caller};
use crate::support::crew::{Crew, act, action, photo, send};
use crate::support::demo_city::{City, DISPATCHER, count, text};
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A crew with its callers, and a case that its responsible person has reported.
struct Work {
    crew: Crew,
    responsible: Caller,
    colleague: Caller,
    reviewer: Caller,
    town_leader: Caller,
    case: String,
}

fn work(district: &str, n: usize) -> Work {
    let city = City::shared();
    let crew = Crew::nth(city, district, n);
    let responsible = city.caller(&crew.responsible);
    let made = responsible.post("/cases", &crew.find()).with(201);
    assert_eq!(made["responsible"]["primary"]["phone"], crew.responsible, "{made}");
    Work {
        responsible,
        colleague: city.caller(&crew.colleague),
        reviewer: city.caller(&crew.reviewer),
        town_leader: city.caller(&crew.town_leader),
        case: made["id"].as_str().expect("an id").to_string(),
        crew,
    }
}

fn actions_of(caller: &Caller, case: &str) -> BTreeSet<String> {
    let offers = caller.get(&format!("/cases/{case}/actions")).with(200);
    let names = offers["items"].as_array().expect("a list").iter();
    names.map(|o| o["action"].as_str().expect("a name").to_string()).collect()
}

#[test]
fn a_case_goes_from_report_to_close_and_every_step_is_kept() {
    let Work { crew, responsible, colleague, reviewer, town_leader, case } = work("350302", 0);
    let before = photo(&responsible, &case);
    let visited = act(
        &responsible,
        &case,
        "patrol_record",
        json!({"expected_version": 1, "lon": 119.012_534_671_288, "lat": 25.451_218_180_749,
            "crs": "gcj02", "accuracy_m": 6.0, "mocked": false, "text": "已到场",
            "observed_at": "2026-11-23T09:12:00+08:00", "attachments": [before]}),
    )
    .with(200);
    assert_eq!(
        (&visited["case"]["status"], &visited["case"]["version"]),
        (&json!("on_site"), &json!(2))
    );
    assert_eq!(visited["event"]["seq"], 3);
    assert_eq!(visited["event"]["attachments"], json!([before]));
    let step = |caller: &Caller, name: &str, more: Value, status: &str| {
        let answer = act(caller, &case, name, more).with(200);
        assert_eq!(answer["case"]["status"], status, "{name}: {answer}");
        answer
    };
    step(&responsible, "stop_order", json!({}), "on_site");
    step(&reviewer, "confirm", json!({"text": "属实"}), "on_site");
    step(&town_leader, "urge", json!({"text": "请抓紧"}), "on_site");
    step(&responsible, "demolish_order", json!({}), "demolishing");
    step(&responsible, "record_demolition", json!({"demolished_m2": 280.5}), "demolishing");
    step(&responsible, "apply_close", json!({"outcome": "demolished"}), "close_applied");
    let refused =
        act(&reviewer, &case, "approve_close", json!({})).refused(422, "missing_evidence");
    assert!(refused["detail"].as_str().expect("text").contains("核拍"), "{refused}");
    step(&reviewer, "return_close", json!({"reason": "缺核拍照片"}), "demolishing");
    let after = photo(&colleague, &case);
    step(&colleague, "recheck", json!({"attachments": [after]}), "demolishing");
    step(&responsible, "apply_close", json!({"outcome": "demolished"}), "close_applied");
    let closed = step(&reviewer, "approve_close", json!({}), "closed");
    let shown = &closed["case"];
    assert_eq!((&shown["demolished_m2"], &shown["outcome"]), (&json!(280.5), &json!("demolished")));
    assert!(shown["closed_at"].is_string() && shown["due_at"].is_null(), "{shown}");
    assert_eq!(shown["progress"]["times_returned"], 1);
    act(&responsible, &case, "patrol_record", json!({})).refused(409, "wrong_state");

    let history = responsible.get(&format!("/cases/{case}/history")).with(200);
    let events = history["items"].as_array().expect("events");
    let names: Vec<&str> = events.iter().map(|e| e["action"].as_str().expect("a name")).collect();
    assert_eq!(
        names,
        [
            "report",
            "dispatch",
            "patrol_record",
            "stop_order",
            "confirm",
            "urge",
            "demolish_order",
            "record_demolition",
            "apply_close",
            "return_close",
            "recheck",
            "apply_close",
            "approve_close"
        ]
    );
    assert_eq!(shown["version"], names.len() - 1, "one more with every event after the dispatch");
    assert!(events.iter().enumerate().all(|(n, e)| e["seq"] == n + 1));
    let record = &events[2];
    assert_eq!(record["observed_at"], "2026-11-23T01:12:00Z");
    // GCJ-02 as the device gave it, and where that is: the values are another implementation's.
    assert_eq!(record["data"]["input"]["crs"], "gcj02");
    assert!((record["lon"].as_f64().expect("a number") - 119.0078).abs() < 1e-7, "{record}");
    assert!((record["lat"].as_f64().expect("a number") - 25.4540).abs() < 1e-7, "{record}");
    assert_eq!(record["files"][0]["media_type"], "image/png");
    let mut conn = City::shared().conn();
    let name = |phone: &str, conn: &mut _| {
        text(conn, &format!("SELECT name AS value FROM people WHERE phone = '{phone}'"))
    };
    assert_eq!(record["actor"]["name"], name(&crew.responsible, &mut conn));
    assert_eq!(events[9]["actor"]["name"], name(&crew.reviewer, &mut conn));
    assert_eq!(events[9]["data"]["reason"], "缺核拍照片");

    // Those whom a step concerns were told of it, once.
    let mut told = |kind: &str, phone: &str| {
        let query = format!(
            "SELECT count(*) AS value FROM messages m JOIN people p ON p.id = m.recipient_id
             WHERE m.case_id = '{case}' AND m.kind = '{kind}' AND p.phone = '{phone}'"
        );
        count(&mut conn, &query)
    };
    for (kind, phone, times) in [
        ("urged", &crew.responsible, 1),
        ("sent_back", &crew.responsible, 1),
        ("closed", &crew.responsible, 1),
        ("closed", &crew.town_leader, 1),
        ("urged", &crew.colleague, 0),
    ] {
        assert_eq!(told(kind, phone), times, "{kind} to {phone}");
    }
    let due = format!(
        "SELECT count(DISTINCT key) AS value FROM messages WHERE case_id = '{case}' AND kind = 'review_due'"
    );
    assert_eq!(count(&mut conn, &due), 2, "both applications reached reviewers");
}

#[test]
fn the_second_of_two_learns_what_the_first_has_done() {
    let Work { responsible, colleague, reviewer, town_leader, case, .. } = work("350302", 1);
    act(&responsible, &case, "patrol_record", json!({"expected_version": 1})).with(200);
    let stale = act(&colleague, &case, "stop_order", json!({"expected_version": 1}));
    let problem = stale.refused(409, "stale_version");
    assert_eq!(problem["errors"][0]["field"], "events/3");
    let what = problem["errors"][0]["detail"].as_str().expect("text");
    assert!(what.starts_with("patrol_record · "), "{what}");
    assert_eq!(problem["errors"].as_array().expect("a list").len(), 1);
    // A version from the future is none either.
    act(&colleague, &case, "stop_order", json!({"expected_version": 3}))
        .refused(409, "stale_version");
    // Remarks do not make a look at the case old.
    act(&town_leader, &case, "urge", json!({"expected_version": 2})).with(200);
    act(&reviewer, &case, "comment", json!({"text": "收到", "expected_version": 2})).with(200);
    let taken = act(&colleague, &case, "stop_order", json!({"expected_version": 2})).with(200);
    assert_eq!(taken["case"]["version"], 5);
    let history = responsible.get(&format!("/cases/{case}/history")).with(200);
    assert_eq!(history["items"].as_array().expect("events").len(), 6);
}

#[test]
fn of_many_at_once_one_wins() {
    let Work { responsible, colleague, case, .. } = work("350302", 2);
    act(&responsible, &case, "patrol_record", json!({})).with(200);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12)
            .map(|n| {
                let caller = if n % 2 == 0 { &responsible } else { &colleague };
                let case = &case;
                scope.spawn(move || {
                    act(caller, case, "confirm_stopped", json!({"expected_version": 2}))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.refused(409, "stale_version");
    }
    let query = format!("SELECT count(*) AS value FROM case_events WHERE case_id = '{case}'");
    assert_eq!(count(&mut City::shared().conn(), &query), 4);
}

#[test]
fn a_step_sent_again_is_one_step() {
    let Work { responsible, colleague, case, .. } = work("350302", 3);
    let body = action("patrol_record", json!({"expected_version": 1, "text": "一次"}));
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..10).map(|_| scope.spawn(|| send(&responsible, &case, &body).with(200))).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let mut other = body.clone();
    other["text"] = json!("另一次");
    send(&responsible, &case, &other).refused(409, "id_taken");
    // Nor may somebody else use the id, or the same person for another case.
    send(&colleague, &case, &action("patrol_record", json!({"id": body["id"]})))
        .refused(409, "id_taken");
    let second = work("350302", 4);
    send(&responsible, &second.case, &body).refused(409, "id_taken");
    let history = responsible.get(&format!("/cases/{case}/history")).with(200);
    assert_eq!(history["items"].as_array().expect("events").len(), 3);
    // Without an id of the body the header names the retry.
    let keyed = || {
        let path = format!("/cases/{case}/actions");
        let request = responsible.request(Method::POST, &path).header("idempotency-key", "step 2");
        Answer::of(request.json(&json!({"action": "stop_order"}))).with(200)
    };
    assert_eq!(keyed(), keyed());
}

#[test]
fn who_may_not_is_told_so_and_who_may_not_know_is_told_nothing() {
    let city = City::shared();
    let Work { crew, responsible, reviewer, case, .. } = work("350302", 5);
    let elsewhere = Crew::nth(city, "350304", 0);
    for phone in [&elsewhere.responsible, &elsewhere.reviewer, &elsewhere.town_leader] {
        let stranger = city.caller(phone);
        act(&stranger, &case, "comment", json!({"text": "?"})).refused(404, "not_found");
        stranger.get(&format!("/cases/{case}/actions")).refused(404, "not_found");
    }
    act(&city.stranger(), &case, "patrol_record", json!({})).refused(401, "not_logged_in");
    act(&responsible, &Uuid::new_v4().to_string(), "patrol_record", json!({}))
        .refused(404, "not_found");
    let planner = city.caller(crate::support::demo_city::PLANNER);
    act(&planner, &case, "patrol_record", json!({})).refused(403, "role_forbidden");
    act(&responsible, &case, "reject", json!({"reason": "?"})).refused(403, "role_forbidden");
    act(&responsible, &case, "urge", json!({})).refused(403, "role_forbidden");
    act(&reviewer, &case, "patrol_record", json!({})).refused(403, "role_forbidden");
    act(&reviewer, &case, "approve_close", json!({})).refused(409, "wrong_state");

    // What is offered is what would be taken.
    let expected = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(
        actions_of(&responsible, &case),
        expected(&["patrol_record", "stop_order", "comment"])
    );
    assert_eq!(
        actions_of(&reviewer, &case),
        expected(&["confirm", "return_report", "extend", "mark_duplicate", "reject", "comment"])
    );
    assert_eq!(actions_of(&planner, &case), expected(&["comment"]));
    let squad = city.caller(&crew.squad_leader);
    assert!(actions_of(&squad, &case).is_superset(&expected(&["reassign", "transfer"])));
    let offers = squad.get(&format!("/cases/{case}/actions")).with(200);
    let reassign = offers["items"].as_array().expect("a list").iter();
    let reassign = reassign.clone().find(|offer| offer["action"] == "reassign").expect("offered");
    assert_eq!(reassign["needs"], json!(["to_user", "reason"]));
    assert_eq!(offers["version"], 1);
}

#[test]
fn a_refusal_says_what_is_missing_in_the_readers_language() {
    let Work { responsible, reviewer, case, .. } = work("350302", 6);
    let in_english = |caller: &Caller, body: Value| {
        let path = format!("/cases/{case}/actions");
        let request = caller.request(Method::POST, &path).header("accept-language", "en");
        Answer::of(request.json(&body))
    };
    let chinese =
        act(&reviewer, &case, "return_report", json!({})).refused(422, "missing_evidence");
    assert!(chinese["detail"].as_str().expect("text").contains("原因"), "{chinese}");
    let english = in_english(&reviewer, action("return_report", json!({})));
    let english = english.refused(422, "missing_evidence");
    assert!(english["detail"].as_str().expect("text").contains("a reason"), "{english}");
    assert_eq!(english["errors"][0]["field"], "reason");
    let early =
        in_english(&responsible, action("confirm_stopped", json!({}))).refused(409, "wrong_state");
    assert!(early["detail"].as_str().expect("text").contains("dispatched"), "{early}");

    for (body, field) in [
        (json!({"demolished_m2": -1.0}), "demolished_m2"),
        (json!({"lon": 119.0}), "lon"),
        (json!({"lon": 500.0, "lat": 25.0}), ""),
        (json!({"observed_at": "1970-01-01T00:00:00Z"}), "observed_at"),
        (json!({"text": "x".repeat(5_000)}), "text"),
        (json!({"text": "a\u{0}b"}), "text"),
        (json!({"unknown": 1}), ""),
        (json!({"crs": "EPSG:99999", "lon": 1.0, "lat": 1.0}), ""),
    ] {
        let answer = act(&responsible, &case, "patrol_record", body.clone());
        assert_eq!(answer.status, 400, "{body}");
        if !field.is_empty() {
            assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
        }
    }
    act(&responsible, &case, "destroy", json!({})).refused(400, "invalid");
    let history = responsible.get(&format!("/cases/{case}/history")).with(200);
    assert_eq!(history["items"].as_array().expect("events").len(), 2, "nothing was changed");
}

#[test]
fn evidence_must_be_the_cases_own() {
    let first = work("350302", 7);
    let second = work("350302", 8);
    let theirs = photo(&second.responsible, &second.case);
    let with = |id: Uuid| json!({"attachments": [id]});
    act(&first.responsible, &first.case, "patrol_record", with(theirs))
        .refused(422, "missing_evidence");
    act(&first.responsible, &first.case, "patrol_record", with(Uuid::new_v4()))
        .refused(422, "missing_evidence");
    let own = photo(&first.responsible, &first.case);
    act(&first.responsible, &first.case, "patrol_record", with(own)).with(200);
    // Shown once, a photo is no new one.
    act(&first.colleague, &first.case, "recheck", with(own)).refused(422, "missing_evidence");
    act(&first.colleague, &first.case, "recheck", with(photo(&first.colleague, &first.case)))
        .with(200);
}

#[test]
fn finds_are_merged_and_never_in_a_circle() {
    let city = City::shared();
    let [a, b, c] = [9, 9, 9].map(|n| work("350302", n));
    let squad = city.caller(&a.crew.squad_leader);
    let near = a.responsible.post("/cases", &a.crew.find()).with(201);
    let suggested: Vec<&str> = near["possible_duplicates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["id"].as_str().expect("an id"))
        .collect();
    assert!(suggested.contains(&a.case.as_str()), "{near}");
    let mark = |case: &str, of: &str| {
        act(&squad, case, "mark_duplicate", json!({"duplicate_of": of, "reason": "同一处"}))
    };
    mark(&a.case, &a.case).refused(422, "missing_evidence");
    mark(&a.case, &Uuid::new_v4().to_string()).refused(422, "missing_evidence");
    let far = work("350304", 1);
    mark(&a.case, &far.case).refused(422, "missing_evidence");
    // Both at once: one of them stays.
    let answers = std::thread::scope(|scope| {
        let one = scope.spawn(|| mark(&a.case, &b.case));
        let other = scope.spawn(|| mark(&b.case, &a.case));
        [one.join().expect("no panic"), other.join().expect("no panic")]
    });
    let won: Vec<bool> = answers.iter().map(|answer| answer.status == 200).collect();
    assert!(won == [true, false] || won == [false, true], "{answers:?}");
    let (duplicate, kept) = if won[0] { (&a.case, &b.case) } else { (&b.case, &a.case) };
    let shown = squad.get(&format!("/cases/{duplicate}")).with(200);
    assert_eq!((&shown["status"], &shown["duplicate_of"]), (&json!("duplicate"), &json!(kept)));
    mark(&c.case, duplicate).refused(422, "missing_evidence");
    mark(&c.case, kept).with(200);
}

#[test]
fn a_case_is_handed_over_sent_away_and_taken_up_again() {
    let city = City::shared();
    let Work { crew, responsible, reviewer, town_leader, case, .. } = work("350302", 10);
    let squad = city.caller(&crew.squad_leader);
    let mut conn = city.conn();
    let mut id = |phone: &str| {
        text(&mut conn, &format!("SELECT id::text AS value FROM people WHERE phone = '{phone}'"))
    };
    let (own, other) = (id(&crew.responsible), id(&crew.colleague));
    let give = |to: &str, more: Value| {
        let mut body = json!({"to_user": to, "reason": "休假"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        act(&squad, &case, "reassign", body)
    };
    give(&own, json!({})).refused(422, "missing_evidence");
    give(&Uuid::new_v4().to_string(), json!({})).refused(422, "missing_evidence");
    for deadline in ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        give(&other, json!({"deadline": deadline})).refused(422, "missing_evidence");
    }
    let deadline = chrono::Utc::now() + chrono::Duration::days(5);
    let deadline = deadline.format("%Y-%m-%dT00:00:00Z").to_string();
    let given = give(&other, json!({"deadline": deadline})).with(200);
    assert_eq!(given["case"]["assignee_id"], json!(other));
    assert_eq!(given["case"]["due_at"], json!(deadline));
    act(&reviewer, &case, "reject", json!({"reason": "有证"})).with(200);
    let squad_reopens = act(&squad, &case, "reopen", json!({"reason": "证是假的"}));
    squad_reopens.refused(403, "role_forbidden");
    let reopened = act(&town_leader, &case, "reopen", json!({"reason": "证是假的"})).with(200);
    assert_eq!(reopened["case"]["status"], "dispatched");
    assert_eq!(reopened["case"]["assignee_id"], json!(other));
    let sent = act(&squad, &case, "transfer", json!({"reason": "林地", "authority": "forestry"}));
    assert_eq!(sent.with(200)["event"]["data"]["authority"], "forestry");
    // The first responsible person reported it, and goes on seeing it.
    responsible.get(&format!("/cases/{case}")).with(200);
}

#[test]
fn history_can_not_be_rewritten_not_even_by_the_owner_of_the_store() {
    let Work { case, .. } = work("350302", 11);
    let mut owner = City::shared().conn();
    for statement in [
        format!("UPDATE case_events SET text = 'x' WHERE case_id = '{case}'"),
        format!("DELETE FROM case_events WHERE case_id = '{case}'"),
        "TRUNCATE case_events".to_string(),
        "DELETE FROM settings_history".to_string(),
        "UPDATE case_reminders SET stage = 'near'".to_string(),
    ] {
        let refused = owner.batch_execute(&statement).expect_err(&statement).to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    let mut service = City::shared().database.store.own_conn().expect("a connection");
    for statement in [
        "UPDATE case_events SET text = 'x'",
        "DELETE FROM case_events",
        "DELETE FROM cases",
        "DELETE FROM absences",
        "UPDATE settings_history SET value = '1'",
    ] {
        let refused = service.batch_execute(statement).expect_err(statement).to_string();
        assert!(refused.contains("permission denied"), "{statement}: {refused}");
    }
}

#[test]
fn a_dispatcher_corrects_an_assignment_and_a_new_dispatch_leaves_it() {
    let city = City::shared();
    let Work { crew, case, .. } = work("350302", 12);
    let dispatcher = city.caller(DISPATCHER);
    let query = format!("SELECT id::text AS value FROM people WHERE phone = '{}'", crew.colleague);
    let to = text(&mut city.conn(), &query);
    act(&dispatcher, &case, "reassign", json!({"to_user": to, "reason": "调整"})).with(200);
    let plan = dispatcher.post("/redispatch/plan", &json!({"area": &crew.cell[..12]})).with(200);
    let listed = plan["items"].as_array().expect("a list");
    assert!(listed.iter().all(|item| item["case_id"] != json!(case)), "{plan}");
}
