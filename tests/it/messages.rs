//! Messages over HTTP: who gets which, once, at once, and nobody else.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, DISPATCHER, count, position, text};
use crate::support::events::Events;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Nullable, Text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// In a cell with a responsible person of its own.
pub const FIELD: (f64, f64) = (119.0078, 25.4540);
const FIELD_TOWN: &str = "350302002";
const FIELD_VILLAGE: &str = "350302002005";
/// A cell of another town, kilometres away.
const ELSEWHERE: (f64, f64) = (119.02, 25.30);

pub fn case((lon, lat): (f64, f64)) -> Value {
    json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat, "nature": "illegal_construction",
        "area_m2": 120.5, "party": {"name": "王五"}})
}

pub fn report(city: &City, case: &Value) -> Value {
    city.caller(DISPATCHER).post("/cases", case).with(201)
}

/// Phone and kind of every message about a case.
pub fn told(city: &City, case: &Value) -> BTreeSet<(String, String)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        phone: String,
        #[diesel(sql_type = Text)]
        kind: String,
    }
    let rows: Vec<Row> = sql_query(format!(
        "SELECT p.phone, m.kind FROM messages m JOIN people p ON p.id = m.recipient_id
         WHERE m.case_id = '{}'",
        case["id"].as_str().expect("an id")
    ))
    .load(&mut city.conn())
    .expect("rows");
    let count = rows.len();
    let told: BTreeSet<_> = rows.into_iter().map(|row| (row.phone, row.kind)).collect();
    assert_eq!(told.len(), count, "nobody is told a thing twice");
    told
}

/// Phones of active people who meet a condition.
fn phones(city: &City, condition: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        phone: Option<String>,
    }
    let query = format!("SELECT phone FROM people WHERE active AND ({condition})");
    let rows: Vec<Row> = sql_query(query).load(&mut city.conn()).expect("rows");
    rows.into_iter().filter_map(|row| row.phone).collect()
}

pub fn responsible(case: &Value) -> String {
    case["responsible"]["primary"]["phone"].as_str().expect("a phone").to_string()
}

/// One's messages about a case.
pub fn inbox(caller: &Caller, case: &Value) -> Vec<Value> {
    let id = case["id"].as_str().expect("an id");
    let page = caller.get(&format!("/messages?case_id={id}")).with(200);
    page["items"].as_array().expect("a list").clone()
}

#[test]
fn the_responsible_person_and_the_leaders_of_the_area_are_told_once() {
    let city = City::shared();
    let body = case(FIELD);
    let answer = report(city, &body);
    // A retry is the same report, also when several come at once.
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert_eq!(report(city, &body), answer));
        }
    });
    let leaders = phones(
        city,
        &format!(
            "(role = 'village_leader' AND area_code = '{FIELD_VILLAGE}')
             OR (role = 'town_leader' AND area_code = '{FIELD_TOWN}')
             OR (role = 'district_leader' AND area_code = '350302')"
        ),
    );
    assert!(leaders.len() >= 8, "{leaders:?}");
    let mut expected: BTreeSet<_> =
        leaders.into_iter().map(|phone| (phone, "dispatched_leaders".to_string())).collect();
    expected.insert((responsible(&answer), "dispatched".into()));
    assert_eq!(told(city, &answer), expected);

    let caller = city.caller(&responsible(&answer));
    let messages = inbox(&caller, &answer);
    let message = &messages[0];
    assert_eq!((messages.len(), &message["kind"]), (1, &json!("dispatched")));
    assert_eq!((&message["read_at"], &message["case_id"]), (&Value::Null, &answer["id"]));
    let said = message["text"].as_str().expect("text");
    for part in [
        answer["responsible"]["primary"]["name"].as_str().expect("a name"),
        answer["place"]["district"]["name"].as_str().expect("a name"),
        answer["place"]["town"]["name"].as_str().expect("a name"),
        answer["place"]["village"]["name"].as_str().expect("a name"),
        answer["number"].as_str().expect("a number"),
        "，您好：",
        "违法建设",
        "王五",
        "120.5 平方米",
        "请尽快处理",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let leader = city.caller(&city.phone_of("town_leader", FIELD_TOWN));
    let said = inbox(&leader, &answer)[0]["text"].to_string();
    assert!(said.contains("请组织处理"), "{said}");
}

#[test]
fn a_functional_area_stands_for_the_district_it_lies_in() {
    let city = City::shared();
    let inside = position(
        &mut city.conn(),
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM (SELECT ST_PointOnSurface(geom) AS p
         FROM features_in_force_view WHERE layer = 'functional_area' ORDER BY code LIMIT 1) q",
    );
    let answer = report(city, &case(inside));
    assert_ne!(answer["place"]["functional_areas"], json!([]));
    let district = answer["place"]["district"]["code"].as_str().expect("a code");
    let others = phones(city, &format!("role = 'district_leader' AND area_code = '{district}'"));
    let told: BTreeSet<_> = told(city, &answer).into_iter().map(|(phone, _)| phone).collect();
    assert!(!others.is_empty() && others.iter().all(|phone| !told.contains(phone)), "{told:?}");
}

#[test]
fn a_crime_and_a_find_without_a_place_reach_the_city() {
    let city = City::shared();
    let mut crime = case(FIELD);
    crime["area_m2"] = json!(4000.0);
    let answer = report(city, &crime);
    assert_eq!(answer["category"], "basic_farmland");
    let leaders = phones(city, "role = 'city_leader' AND area_code = '350300'");
    let about = told(city, &answer);
    assert!(leaders.iter().all(|phone| about.contains(&(phone.clone(), "alarm".into()))));
    let leader = city.caller(&leaders[0]);
    let said = inbox(&leader, &answer)[0]["text"].to_string();
    assert!(said.contains("涉嫌犯罪") && said.contains("5 亩"), "{said}");

    let answer = report(city, &case((120.5, 24.5)));
    assert_eq!(answer["placed"], "none");
    let about = told(city, &answer);
    let city_told = about.iter().filter(|(phone, _)| leaders.contains(phone)).count();
    assert_eq!(city_told, leaders.len(), "{about:?}");
    let said = inbox(&leader, &answer)[0]["text"].to_string();
    assert!(said.contains("未定位地点（120.50000, 24.50000）"), "{said}");
}

#[test]
fn a_message_is_unread_until_its_recipient_reads_it() {
    let city = City::shared();
    let answer = report(city, &case(ELSEWHERE));
    let caller = city.caller(&responsible(&answer));
    let unread = || caller.get("/messages/unread").with(200)["count"].as_i64().expect("a count");
    let message = inbox(&caller, &answer)[0].clone();
    let id = message["id"].as_str().expect("an id");
    let before = unread();
    // Nobody else can read it, or learn that it is there.
    let stranger = city.caller(DISPATCHER);
    stranger.post(&format!("/messages/{id}/read"), &json!({})).refused(404, "not_found");
    stranger
        .post(&format!("/messages/{id}/reply"), &json!({"text": "x"}))
        .refused(404, "not_found");
    assert_eq!(unread(), before);
    let read = caller.post(&format!("/messages/{id}/read"), &json!({})).with(200);
    assert!(read["read_at"].is_string(), "{read}");
    let again = caller.post(&format!("/messages/{id}/read"), &json!({})).with(200);
    assert_eq!(again["read_at"], read["read_at"], "the first time counts");
    assert_eq!(unread(), before - 1);
    caller.post("/messages/read-all", &json!({})).with(200);
    assert_eq!(unread(), 0);
    assert_eq!(caller.get("/messages?unread=true").with(200)["items"], json!([]));
    // The platform sent it: there is nobody to answer.
    caller
        .post(&format!("/messages/{id}/reply"), &json!({"text": "x"}))
        .refused(409, "nobody_to_answer");
    for bad in ["kind=x", "unread=maybe", "cursor=x", "limit=0", "extra=1"] {
        caller.get(&format!("/messages?{bad}")).refused(400, "invalid");
    }
    let refused = sql_query(format!("UPDATE messages SET text = 'x' WHERE id = '{id}'"))
        .execute(&mut city.conn());
    assert!(refused.is_err(), "what was said stays said, whoever asks");
    let refused =
        sql_query(format!("DELETE FROM messages WHERE id = '{id}'")).execute(&mut city.conn());
    assert!(refused.is_err());
}

#[test]
fn pages_of_messages_follow_each_other() {
    let city = City::shared();
    let answers: Vec<Value> = (0..5).map(|_| report(city, &case((119.05, 25.42)))).collect();
    let caller = city.caller(&responsible(&answers[0]));
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("/messages?limit=2&cursor={cursor}")).with(200);
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|m| m["id"].as_str().expect("an id").to_string()));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    let phone = responsible(&answers[0]);
    let own = format!(
        "SELECT count(*) AS value FROM messages JOIN people p ON p.id = recipient_id
         WHERE p.phone = '{phone}'"
    );
    assert!(seen.len() >= 5 && seen.len() as i64 == count(&mut city.conn(), &own));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

#[test]
fn the_stream_brings_a_message_to_its_recipient_alone_within_a_second() {
    let city = City::shared();
    let (first, second) = ((119.10, 25.45), (118.95, 25.55));
    // Who answers there, before anybody listens.
    let [one, other] = [first, second].map(|at| responsible(&report(city, &case(at))));
    assert_ne!(one, other);
    let streams = [&one, &other].map(|phone| Events::open(&city.caller(phone)));
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let answer = report(city, &case(first));
        let acknowledged = Instant::now();
        let event = streams[0].next("message");
        assert_eq!(
            (&event.data["case_id"], &event.data["kind"]),
            (&answer["id"], &json!("dispatched"))
        );
        let id = event.data["id"].as_str().expect("an id");
        let shown = inbox(&city.caller(&one), &answer);
        assert!(shown.iter().any(|message| message["id"] == id), "{shown:?}");
        slowest = slowest.max(event.at.saturating_duration_since(acknowledged));
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?} after the acknowledgement");
    // The other's first message is one of their own: none of the five came to them.
    let answer = report(city, &case(second));
    assert_eq!(streams[1].next("message").data["case_id"], answer["id"]);
}

#[test]
fn a_leader_urges_sees_who_has_seen_it_and_gets_an_answer() {
    let city = City::shared();
    let answer = report(city, &case((119.0081, 25.4541)));
    let id = answer["id"].as_str().expect("an id");
    let leader = city.caller(&city.phone_of("district_leader", "350302"));
    let urge =
        json!({"id": Uuid::new_v4(), "action": "urge", "text": "<b>今天</b>必须到场 {name}"});
    for _ in 0..2 {
        leader.post(&format!("/cases/{id}/actions"), &urge).with(200);
    }
    let caller = city.caller(&responsible(&answer));
    let urged: Vec<Value> =
        inbox(&caller, &answer).into_iter().filter(|m| m["kind"] == "urged").collect();
    assert_eq!(urged.len(), 1, "a retry urges nobody twice");
    let said = urged[0]["text"].as_str().expect("text");
    assert!(said.contains("<b>今天</b>必须到场 {name}"), "what was written, as text: {said}");
    let sent = || {
        let page = leader.get("/messages/sent?kind=urged").with(200);
        let items = page["items"].as_array().expect("a list").clone();
        items.into_iter().find(|m| m["id"] == urged[0]["id"]).expect("the one sent")
    };
    assert_eq!(sent()["read_at"], Value::Null);
    assert_eq!(sent()["recipient"]["name"], answer["responsible"]["primary"]["name"]);
    let message = urged[0]["id"].as_str().expect("an id");
    caller.post(&format!("/messages/{message}/read"), &json!({})).with(200);
    assert!(sent()["read_at"].is_string());

    let reply = json!({"id": Uuid::new_v4(), "text": "下午两点到"});
    let path = format!("/messages/{message}/reply");
    let first = caller.post(&path, &reply).with(201);
    assert_eq!(caller.post(&path, &reply).with(201)["id"], first["id"]);
    let got: Vec<Value> =
        inbox(&leader, &answer).into_iter().filter(|m| m["kind"] == "reply").collect();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["in_reply_to"], urged[0]["id"]);
    assert!(got[0]["text"].as_str().is_some_and(|t| t.ends_with("下午两点到")), "{got:?}");
    caller.post(&path, &json!({"text": " "})).refused(400, "invalid");
    caller.post(&path, &json!({"text": "长".repeat(501)})).refused(400, "invalid");
}

#[test]
fn past_cases_and_the_silent_tell_nobody() {
    let city = City::shared();
    let query = "SELECT count(*) AS value FROM messages m JOIN cases c ON c.id = m.case_id WHERE c.imported";
    assert_eq!(count(&mut city.conn(), query), 0);
    assert!(count(&mut city.conn(), "SELECT count(*) AS value FROM cases WHERE imported") > 0);
    let leaver = text(
        &mut city.conn(),
        "SELECT phone AS value FROM people WHERE role = 'town_leader' AND area_code = '350322204'
         ORDER BY phone LIMIT 1",
    );
    let inside = position(
        &mut city.conn(),
        "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM (SELECT ST_PointOnSurface(geom) AS p
         FROM features_in_force_view WHERE layer = 'town' AND code = '350322204') q",
    );
    sql_query(format!("UPDATE people SET active = false WHERE phone = '{leaver}'"))
        .execute(&mut city.conn())
        .expect("updated");
    let about = told(city, &report(city, &case(inside)));
    sql_query(format!("UPDATE people SET active = true WHERE phone = '{leaver}'"))
        .execute(&mut city.conn())
        .expect("updated");
    assert!(!about.is_empty() && about.iter().all(|(phone, _)| *phone != leaver), "{about:?}");
}

#[test]
fn english_readers_are_told_in_english() {
    let city = City::shared();
    let at = (119.12, 25.35);
    let phone = responsible(&report(city, &case(at)));
    let set = |language: &str| {
        sql_query(format!("UPDATE people SET language = '{language}' WHERE phone = '{phone}'"))
            .execute(&mut city.conn())
            .expect("updated");
    };
    set("en");
    let answer = report(city, &case(at));
    set("zh");
    let said = inbox(&city.caller(&phone), &answer)[0]["text"].to_string();
    assert!(
        said.contains("Please handle it soon") && said.contains("illegal construction"),
        "{said}"
    );
}

#[test]
fn messages_need_a_log_in() {
    let stranger = City::shared().stranger();
    for path in ["/messages", "/messages/unread", "/messages/sent", "/push/key", "/deliveries"] {
        stranger.get(path).refused(401, "not_logged_in");
    }
    let patroller = City::shared().caller(&City::shared().phone_of("patroller", FIELD_VILLAGE));
    patroller.get("/deliveries").refused(403, "role_forbidden");
    let answer: Answer = patroller.post("/deliveries/1/retry", &json!({}));
    answer.refused(403, "role_forbidden");
}
