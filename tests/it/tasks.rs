//! Tasks from above over HTTP: given, accepted, reported back, sent back, closed.

use crate::support::caller::Caller;
use crate::support::demo_city::{City, count, text};
use serde_json::{Value, json};
use uuid::Uuid;

const TOWN: &str = "350302002";

fn leader() -> Caller {
    City::shared().caller(&City::shared().phone_of("district_leader", "350302"))
}

/// A patroller of the town, with the phone; a different one for each `n`.
fn patroller(n: usize) -> (Caller, String) {
    let city = City::shared();
    let phone = text(
        &mut city.conn(),
        &format!(
            "SELECT phone AS value FROM people WHERE role = 'patroller' AND area_code LIKE '{TOWN}%'
             ORDER BY phone OFFSET {n} LIMIT 1"
        ),
    );
    (city.caller(&phone), phone)
}

fn task(to: &str) -> Value {
    json!({"id": Uuid::new_v4(), "person_phone": to, "title": "查清占地面积",
        "text": "周五前 <script>", "due_at": "2027-12-31T18:00:00+08:00"})
}

fn act(
    caller: &Caller,
    task: &Value,
    action: &str,
    said: Option<&str>,
) -> crate::support::caller::Answer {
    let id = task["id"].as_str().expect("an id");
    let step = json!({"id": Uuid::new_v4(), "action": action, "text": said});
    caller.post(&format!("/tasks/{id}/actions"), &step)
}

fn messages(caller: &Caller, task: &Value, kind: &str) -> Vec<Value> {
    let page = caller.get(&format!("/messages?kind={kind}&limit=1000")).with(200);
    let items = page["items"].as_array().expect("a list").iter();
    items.filter(|message| message["task_id"] == task["id"]).cloned().collect()
}

#[test]
fn a_task_goes_there_and_back() {
    let (leader, (receiver, phone)) = (leader(), patroller(0));
    let body = task(&phone);
    let given = leader.post("/tasks", &body).with(201);
    assert_eq!(leader.post("/tasks", &body).with(201), given, "a retry is the same task");
    assert_eq!((&given["status"], &given["id"]), (&json!("given"), &body["id"]));
    let told = messages(&receiver, &given, "task_given");
    assert_eq!(told.len(), 1);
    let said = told[0]["text"].as_str().expect("text");
    assert!(said.contains("查清占地面积") && said.contains("2027-12-31 18:00"), "{said}");
    assert!(said.contains("周五前 <script>"), "{said}");

    let id = given["id"].as_str().expect("an id");
    let shown = receiver.get(&format!("/tasks/{id}")).with(200);
    assert_eq!(shown["actions"], json!(["accept"]));
    act(&leader, &given, "accept", None).refused(403, "role_forbidden");
    act(&receiver, &given, "report_back", Some("x")).refused(409, "wrong_state");
    let accepted = act(&receiver, &given, "accept", None).with(200);
    assert_eq!((&accepted["status"], &accepted["version"]), (&json!("accepted"), &json!(2)));
    act(&receiver, &given, "accept", None).refused(409, "wrong_state");
    act(&receiver, &given, "report_back", None).refused(422, "missing_evidence");
    act(&receiver, &given, "close", None).refused(403, "role_forbidden");

    let step = json!({"id": Uuid::new_v4(), "action": "report_back", "text": "已量，120 平方米"});
    let path = format!("/tasks/{id}/actions");
    let reported = receiver.post(&path, &step).with(200);
    assert_eq!(receiver.post(&path, &step).with(200), reported, "a retry gets the first answer");
    assert_eq!(messages(&leader, &given, "task_reported").len(), 1);
    act(&leader, &given, "return", None).refused(422, "missing_evidence");
    act(&leader, &given, "return", Some("照片呢")).with(200);
    let told = messages(&receiver, &given, "task_given");
    assert!(told[0]["text"].as_str().is_some_and(|t| t.contains("照片呢")), "{told:?}");
    act(&receiver, &given, "report_back", Some("已补")).with(200);
    let closed = act(&leader, &given, "close", Some("好")).with(200);
    assert_eq!((&closed["status"], &closed["actions"]), (&json!("closed"), &json!([])));
    assert_eq!(messages(&receiver, &given, "task_closed").len(), 1);
    let steps: Vec<&str> = closed["history"]
        .as_array()
        .expect("a history")
        .iter()
        .map(|step| step["action"].as_str().expect("text"))
        .collect();
    assert_eq!(steps, ["give", "accept", "report_back", "return", "report_back", "close"]);
}

#[test]
fn a_team_shares_a_task() {
    let city = City::shared();
    let query = |n: usize| {
        format!(
            "SELECT phone AS value FROM people WHERE department =
             (SELECT department FROM people WHERE role = 'squad_leader' AND area_code = '350322100'
              AND department IS NOT NULL ORDER BY phone LIMIT 1)
             AND area_code LIKE '350322100%' ORDER BY phone OFFSET {n} LIMIT 1"
        )
    };
    let phones = [0, 1].map(|n| text(&mut city.conn(), &query(n)));
    let [one, other] = [&phones[0], &phones[1]].map(|phone| city.caller(phone));
    let department = one.get("/me").with(200)["department"].clone();
    let leader = city.caller(&city.phone_of("district_leader", "350322"));
    let body = json!({"id": Uuid::new_v4(), "department": department, "area_code": "350322100",
        "title": "全面排查", "due_at": "2027-12-31T18:00:00+08:00"});
    let given = leader.post("/tasks", &body).with(201);
    let team = format!(
        "SELECT count(*) AS value FROM people WHERE active AND department = '{}' AND area_code LIKE '350322100%'",
        department.as_str().expect("a name")
    );
    let told = format!(
        "SELECT count(*) AS value FROM messages WHERE task_id = '{}'",
        given["id"].as_str().expect("an id")
    );
    let members = count(&mut city.conn(), &team);
    assert!(members > 1 && members == count(&mut city.conn(), &told));
    act(&one, &given, "accept", None).with(200);
    act(&other, &given, "accept", None).refused(409, "wrong_state");
    let reported = act(&other, &given, "report_back", Some("排查完毕")).with(200);
    assert_eq!(reported["accepted_by"]["id"], one.get("/me").with(200)["id"]);
    let mine = other.get("/tasks?side=received&status=reported").with(200);
    assert!(mine["items"].as_array().expect("a list").iter().any(|t| t["id"] == given["id"]));
}

#[test]
fn tasks_stay_in_their_area_and_with_those_they_concern() {
    let city = City::shared();
    let (leader, (receiver, phone)) = (leader(), patroller(1));
    let given = leader.post("/tasks", &task(&phone)).with(201);
    let id = given["id"].as_str().expect("an id");
    let sees = |caller: &Caller| {
        let listed = caller.get("/tasks?limit=1000").with(200)["items"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|task| task["id"] == given["id"]);
        let shown = caller.get(&format!("/tasks/{id}")).status == 200;
        assert_eq!(listed, shown);
        shown
    };
    assert!(sees(&leader) && sees(&receiver));
    for (role, area, expected) in [
        ("city_leader", "350300", true),
        ("town_leader", TOWN, true),
        ("district_leader", "350303", false),
        ("town_leader", "350302001", false),
        ("reviewer", "350302", false),
    ] {
        let caller = city.caller(&city.phone_of(role, area));
        assert_eq!(sees(&caller), expected, "{role} {area}");
    }
    let (colleague, _) = patroller(2);
    assert!(!sees(&colleague));
    act(&colleague, &given, "accept", None).refused(404, "not_found");
    colleague.post("/tasks", &task(&phone)).refused(403, "role_forbidden");
    let elsewhere = city.caller(&city.phone_of("district_leader", "350303"));
    elsewhere.post("/tasks", &task(&phone)).refused(403, "area_forbidden");
    // A superior sees it, but it is the giver's to close.
    let superior = city.caller(&city.phone_of("city_leader", "350300"));
    act(&superior, &given, "close", None).refused(403, "role_forbidden");
}

#[test]
fn what_makes_no_task_is_refused() {
    let leader = leader();
    let (_, phone) = patroller(3);
    let with = |more: Value| {
        let mut body = task(&phone);
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        body
    };
    for bad in [
        json!({"due_at": "2020-01-01T00:00:00Z"}),
        json!({"title": "长".repeat(101)}),
        json!({"department": "x", "area_code": TOWN}),
        json!({"from_day": "2026-02-01", "to_day": "2026-01-01"}),
        json!({"person_phone": null}),
        json!({"extra": 1}),
        json!({"text": "\u{0}"}),
    ] {
        leader.post("/tasks", &with(bad.clone())).refused(400, "invalid");
    }
    leader
        .post("/tasks", &with(json!({"person_phone": "99999999"})))
        .refused(403, "area_forbidden");
    let taken = with(json!({}));
    leader.post("/tasks", &taken).with(201);
    let mut other = taken.clone();
    other["title"] = json!("另一个");
    leader.post("/tasks", &other).refused(409, "id_taken");
    leader.get(&format!("/tasks/{}", Uuid::new_v4())).refused(404, "not_found");
    leader.get("/tasks?side=x").refused(400, "invalid");
}
