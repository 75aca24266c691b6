//! People and duties over HTTP: created, changed, activated, handed over; whose area is whose.

use crate::support::caller::{Answer, Caller};
use crate::support::demo_city::{City, count, text};
use diesel::connection::SimpleConnection;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

/// The city of these tests: they change people, which others count on.
fn city() -> &'static City {
    use std::sync::OnceLock;
    static CITY: OnceLock<City> = OnceLock::new();
    CITY.get_or_init(City::start)
}

fn admin() -> Caller {
    city().caller(&city().phone_of("admin", "350300"))
}

fn patch(caller: &Caller, path: &str, body: &Value) -> Answer {
    Answer::of(caller.request(Method::PATCH, path).json(body))
}

fn put(caller: &Caller, path: &str, body: &Value) -> Answer {
    Answer::of(caller.request(Method::PUT, path).json(body))
}

fn delete(caller: &Caller, path: &str) -> Answer {
    Answer::of(caller.request(Method::DELETE, path))
}

fn person(phone: &str, role: &str, area: &str) -> Value {
    json!({"id": Uuid::new_v4(), "name": "测试员", "phone": phone, "role": role, "area_code": area})
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_string()
}

#[test]
fn a_person_is_created_once_changed_and_activated() {
    let admin = admin();
    let body = person("10009000001", "patroller", "350302001001");
    let created = admin.post("/people", &body).with(201);
    assert_eq!(created["activated"], false);
    assert_eq!(admin.post("/people", &body).with(201), created, "a retry gets the first answer");
    let mut other = body.clone();
    other["name"] = "别人".into();
    admin.post("/people", &other).refused(409, "id_taken");
    admin.post("/people", &person("10009000001", "reviewer", "350302")).refused(409, "phone_taken");
    for (field, value, code) in [
        ("phone", "12", "bad_phone"),
        ("phone", "'; DROP TABLE people", "bad_phone"),
        ("name", "", "bad_name"),
        ("name", "a\u{0}b", "bad_name"),
        ("area_code", "350399", "unknown_area"),
        ("area_code", "%", "unknown_area"),
    ] {
        let mut bad = person("10009000002", "patroller", "350302001001");
        bad[field] = value.into();
        admin.post("/people", &bad).refused(400, code);
    }
    let id = id_of(&created);
    let path = format!("/people/{id}");
    let change = json!({"name": "<b>改名</b>", "department": "执法队"});
    let changed = patch(&admin, &path, &change).with(200);
    assert_eq!(
        (&changed["name"], &changed["department"]),
        (&json!("<b>改名</b>"), &json!("执法队"))
    );
    assert_eq!(
        patch(&admin, &path, &json!({"department": null})).with(200)["department"],
        json!(null)
    );
    patch(&admin, &path, &json!({"active": false})).refused(422, "successor_needed");
    patch(&admin, &path, &json!({"role": "king"})).refused(400, "invalid");

    let first = admin.post(&format!("{path}/activate"), &json!({})).with(200);
    let password = first["password"].as_str().expect("a password");
    assert!(password.len() >= 12);
    let newcomer = city().stranger();
    let log_in = json!({"phone": "10009000001", "password": password});
    assert_eq!(newcomer.post("/session", &log_in).with(200)["must_change_password"], true);
    newcomer.get("/cases").refused(403, "password_change_required");
    let again = admin.post(&format!("{path}/activate"), &json!({})).with(200);
    assert_ne!(again["password"], first["password"]);
    newcomer.get("/me").refused(401, "not_logged_in");
    newcomer.post("/session", &log_in).refused(401, "wrong_credentials");

    // Not even its hash is anywhere in what was written down.
    let mut conn = city().conn();
    let leak = format!(
        "SELECT count(*) AS value FROM audit WHERE concat(before, after) ~ '{password}|argon2'"
    );
    assert_eq!(count(&mut conn, &leak), 0);
    let actions = format!(
        "SELECT string_agg(action, ' ' ORDER BY id) AS value FROM audit WHERE subject = 'person:{id}' AND action LIKE 'people.%'"
    );
    assert_eq!(
        text(&mut conn, &actions),
        "people.create people.change people.change people.activate people.activate"
    );
}

#[test]
fn nobody_sees_or_touches_people_of_another_area() {
    let city = city();
    let mut conn = city.conn();
    let leader = city.caller(&city.phone_of("town_leader", "350302002"));
    let found = leader.get("/people?limit=1000").with(200);
    let own = count(
        &mut conn,
        "SELECT count(*) AS value FROM people WHERE active AND area_code LIKE '350302002%'",
    );
    assert!(own > 0);
    assert_eq!(found["total"], json!(own));
    let items = found["items"].as_array().expect("a list");
    assert!(
        items.iter().all(|p| p["area_code"].as_str().is_some_and(|a| a.starts_with("350302002")))
    );
    assert_eq!(leader.get("/people?area=350303").with(200)["total"], 0);
    let stranger_id =
        text(&mut conn, "SELECT min(id::text) AS value FROM people WHERE area_code LIKE '350303%'");
    leader.get(&format!("/people/{stranger_id}")).refused(404, "not_found");
    let own_id = id_of(&items[0]);
    leader.get(&format!("/people/{own_id}")).with(200);
    for duty in leader.get("/duties?limit=1000").with(200)["items"].as_array().expect("a list") {
        assert!(duty["code"].as_str().is_some_and(|code| code.starts_with("350302002")), "{duty}");
    }
    // A leader looks; an administrator manages.
    patch(&leader, &format!("/people/{own_id}"), &json!({"name": "x"}))
        .refused(403, "role_forbidden");
    leader
        .post("/people", &person("10009000009", "patroller", "350302002"))
        .refused(403, "role_forbidden");
    leader.get("/audit").refused(403, "role_forbidden");
    let patroller = city.caller(&text(
        &mut conn,
        "SELECT min(phone) AS value FROM people WHERE role = 'patroller' AND area_code LIKE '350302002%'",
    ));
    for path in ["/people", "/duties", "/gaps", "/audit"] {
        patroller.get(path).refused(403, "role_forbidden");
    }
    Answer::of(patroller.request(Method::GET, "/tiles/gaps/9/425/218"))
        .refused(403, "role_forbidden");

    // An administrator of one district has no say in another.
    conn.batch_execute(
        "INSERT INTO people (id, phone, name, role, area_code, must_change_password)
         VALUES (gen_random_uuid(), '10009000010', '区管理员', 'admin', '350302', false)",
    )
    .expect("an administrator of a district");
    let admin = city.caller("10009000010");
    let own = admin.post("/people", &person("10009000011", "patroller", "350302002")).with(201);
    admin.post("/people", &person("10009000012", "patroller", "350303")).refused(403, "other_area");
    admin.post("/people", &person("10009000013", "admin", "350300")).refused(403, "other_area");
    patch(&admin, &format!("/people/{stranger_id}"), &json!({"name": "x"}))
        .refused(404, "not_found");
    let move_out = json!({"area_code": "350303"});
    patch(&admin, &format!("/people/{}", id_of(&own)), &move_out).refused(403, "other_area");
    let table = "name,phone,role,area_code\n甲,10009000014,patroller,350302002\n乙,10009000015,patroller,350303\n";
    let report = upload(&admin, "/people/import", table).with(200);
    assert_eq!(
        (&report["accepted"], &report["rejected"][0]["code"]),
        (&json!(1), &json!("other_area"))
    );
    let stroke = |code: &str| json!({"id": Uuid::new_v4(), "items": [{"code": code, "nature": "*", "rank": "backup", "person_id": own["id"]}]});
    put(&admin, "/duties", &stroke("350303")).refused(400, "invalid");
    put(&admin, "/duties", &stroke("350302002")).with(200);
}

fn upload(caller: &Caller, path: &str, table: &str) -> Answer {
    let part = Part::bytes(table.as_bytes().to_vec()).file_name("t.csv");
    caller.upload(path, Form::new().part("file", part))
}

#[test]
fn duties_are_painted_and_gaps_follow() {
    let admin = admin();
    let mut conn = city().conn();
    let village = "350304001001";
    let cells: Vec<String> = text(
        &mut conn,
        &format!("SELECT string_agg(code, ',' ORDER BY code) AS value FROM features_in_force_view WHERE layer = 'cell' AND parent_code = '{village}'"),
    )
    .split(',')
    .map(String::from)
    .collect();
    let someone = admin.post("/people", &person("10009000020", "patroller", village)).with(201);
    let id = id_of(&someone);
    let idle = admin.get("/people?q=10009000020&without_duty=true").with(200);
    assert_eq!(idle["total"], 1);
    let of_village = format!("/gaps?area={village}&limit=1000");
    conn.batch_execute(&format!("DELETE FROM duties WHERE code LIKE '{village}%'"))
        .expect("nobody");
    conn.batch_execute("UPDATE revisions SET revision = revision + 1 WHERE subject = 'people'; NOTIFY xuncha, 'people'")
        .expect("told");
    // Village leaders answer for their village without a duty, so none may be there.
    let leaders = format!(
        "SELECT count(*) AS value FROM people WHERE role = 'village_leader' AND area_code = '{village}'"
    );
    assert_eq!(count(&mut conn, &leaders), 0);
    let items = |nature: &str, rank: &str, person: Value, codes: &[String]| -> Value {
        let items: Vec<Value> = codes
            .iter()
            .map(|code| json!({"code": code, "nature": nature, "rank": rank, "person_id": person}))
            .collect();
        json!({"id": Uuid::new_v4(), "items": items})
    };
    let one = &cells[..1];
    let painting = items("illegal_land_use", "primary", json!(id), one);
    let answer = put(&admin, "/duties", &painting).with(200);
    assert_eq!((&answer["added"], &answer["removed"]), (&json!(1), &json!(0)));
    assert_eq!(
        put(&admin, "/duties", &painting).with(200),
        answer,
        "a retry gets the first answer"
    );
    let gaps = admin.get(&of_village).with(200);
    assert_eq!(gaps["total"], json!(cells.len()));
    let first = &gaps["items"][0];
    assert_eq!(first["cell"]["code"], json!(cells[0]));
    assert_eq!(
        (&first["illegal_land_use"], &first["illegal_construction"]),
        (&json!("nothing"), &json!("fallback"))
    );
    // One for the whole village closes them all.
    put(&admin, "/duties", &items("*", "primary", json!(id), &[village.to_string()])).with(200);
    assert_eq!(admin.get(&of_village).with(200)["total"], 0);
    let tile_of = |caller: &Caller| {
        let (x, y) = crate::support::demo_city::position(
            &mut city().conn(),
            &format!(
                "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p WHERE layer = 'cell' AND code = '{}'",
                cells[0]
            ),
        );
        let n = f64::from(1 << 14);
        let lat = y.to_radians();
        let (tx, ty) =
            ((x + 180.0) / 360.0 * n, (1.0 - lat.tan().asinh() / std::f64::consts::PI) / 2.0 * n);
        let request =
            caller.request(Method::GET, &format!("/tiles/gaps/14/{}/{}", tx as u32, ty as u32));
        let answer = Answer::of(request.header("accept-encoding", "identity"));
        let holds = answer.bytes.windows(cells[0].len()).any(|part| part == cells[0].as_bytes());
        (answer.status, holds)
    };
    assert!(!tile_of(&admin).1);
    let mut undone = items("*", "primary", Value::Null, &[village.to_string()]);
    undone["items"].as_array_mut().expect("a list").extend(
        items("illegal_land_use", "primary", Value::Null, one)["items"]
            .as_array()
            .expect("a list")
            .clone(),
    );
    put(&admin, "/duties", &undone).with(200);
    assert_eq!(tile_of(&admin), (200, true));
    let elsewhere = city().caller(&city().phone_of("town_leader", "350302002"));
    assert!(!tile_of(&elsewhere).1, "gaps of another area are not drawn");
    assert_eq!(elsewhere.get(&of_village).with(200)["total"], 0);
    // Bad strokes change nothing, and say which they are.
    let bad = json!({"items": [
        {"code": cells[0], "nature": "*", "rank": "primary", "person_id": id},
        {"code": "350304001001999", "nature": "*", "rank": "primary", "person_id": id},
        {"code": cells[0], "nature": "*", "rank": "primary", "person_id": Uuid::new_v4()},
    ]});
    let problem = put(&admin, "/duties", &bad).refused(400, "invalid");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "{problem}");
    assert_eq!(admin.get(&format!("/duties?person={id}")).with(200)["items"], json!([]));

    put(&admin, "/duties", &items("*", "backup", json!(id), one)).with(200);
    let held = admin.get(&format!("/duties?code={}", cells[0])).with(200);
    let duty = &held["items"][0];
    assert_eq!((&duty["person_id"], &duty["rank"]), (&json!(id), &json!("backup")));
    delete(&admin, &format!("/duties/{}", duty["id"])).with(204);
    delete(&admin, &format!("/duties/{}", duty["id"])).refused(404, "not_found");
}

#[test]
fn tables_come_over_http_first_dry_then_wet() {
    let admin = admin();
    let people = "姓名,手机号,角色,区划代码\n张三,10009000031,巡查员,350302001001\n李四,x,巡查员,350302001001\n";
    let import = |path: &str, table: &str| upload(&admin, path, table).with(200);
    let dry = import("/people/import?dry_run=true", people);
    assert_eq!((&dry["accepted"], &dry["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(dry["rejected"][0]["row"], 3);
    assert_eq!(admin.get("/people?q=10009000031").with(200)["total"], 0);
    import("/people/import", people);
    assert_eq!(admin.get("/people?q=10009000031").with(200)["total"], 1);
    assert_eq!(import("/people/import", people)["unchanged"], 1);
    let duties =
        "code,phone,nature,rank\n350302001001,10009000031,*,backup\n350302001001,999999,*,backup\n";
    let report = import("/duties/import?dry_run=true", duties);
    assert_eq!(report["rejected"][0]["code"], "unknown_phone");
    upload(&admin, "/people/import", "no,table\n").refused(400, "missing_column");
    upload(&admin, "/people/import", "").refused(400, "not_a_table");
    admin.upload("/people/import", Form::new().text("x", "y")).refused(400, "invalid");
}

#[test]
fn who_leaves_hands_over_everything_in_one_step() {
    let city = city();
    let admin = admin();
    let mut conn = city.conn();
    let village = "350302001002";
    let (from, to) = (
        admin.post("/people", &person("10009000041", "patroller", village)).with(201),
        admin.post("/people", &person("10009000042", "patroller", village)).with(201),
    );
    let (from, to) = (id_of(&from), id_of(&to));
    let stroke = |rank: &str, person: &str| json!({"code": village, "nature": "*", "rank": rank, "person_id": person});
    let both = json!({"items": [stroke("primary", &from), stroke("backup", &to), stroke("backup", &from)]});
    put(&admin, "/duties", &both).with(200);
    let (lon, lat) = crate::support::demo_city::position(
        &mut conn,
        &format!(
            "SELECT ST_X(p) AS x, ST_Y(p) AS y FROM features_in_force_view, ST_PointOnSurface(geom) AS p WHERE layer = 'village' AND code = '{village}'"
        ),
    );
    // Cells of this village may have people of their own.
    conn.batch_execute(&format!("DELETE FROM duties WHERE code LIKE '{village}___'"))
        .expect("none");
    conn.batch_execute("UPDATE revisions SET revision = revision + 1 WHERE subject = 'people'; NOTIFY xuncha, 'people'")
        .expect("told");
    put(&admin, "/duties", &both).with(200);
    let leaver = city.caller("10009000041");
    let cases: Vec<Value> = (0..3)
        .map(|n| {
            let body = json!({"id": Uuid::new_v4(), "lon": lon, "lat": lat + f64::from(n) * 1e-5, "nature": "illegal_land_use"});
            leaver.post("/cases", &body).with(201)
        })
        .collect();
    assert!(cases.iter().all(|case| case["assignee_id"] == json!(from)), "{}", cases[0]);

    let path = format!("/people/{from}/leave");
    let leaving = json!({"id": Uuid::new_v4(), "to": to, "reason": "调离"});
    admin.post(&path, &json!({"to": from})).refused(422, "no_successor");
    admin.post(&path, &json!({"to": Uuid::new_v4()})).refused(422, "no_successor");
    assert_eq!(admin.get(&format!("/people/{from}/load")).with(200)["open_cases"], 3);
    let left = admin.post(&path, &leaving).with(200);
    assert_eq!(left["handed_over"], json!({"cases": 3, "duties": 2, "tasks": 0}));
    assert_eq!(admin.post(&path, &leaving).with(200), left, "a retry gets the first answer");
    admin.post(&path, &json!({"to": to})).refused(409, "has_left");
    leaver.get("/me").refused(401, "not_logged_in");
    for case in &cases {
        let id = id_of(case);
        let now = admin.get(&format!("/cases/{id}")).with(200);
        assert_eq!((&now["assignee_id"], &now["version"]), (&json!(to), &json!(2)));
        let history = admin.get(&format!("/cases/{id}/history")).with(200);
        let last = history["items"].as_array().and_then(|items| items.last()).expect("an event");
        assert_eq!((&last["action"], &last["text"]), (&json!("reassign"), &json!("调离")));
    }
    let held = admin.get(&format!("/duties?person={to}")).with(200);
    assert_eq!(held["items"].as_array().map(Vec::len), Some(2), "no duty twice: {held}");
    let told = format!(
        "SELECT count(*) AS value FROM messages WHERE recipient_id = '{to}' AND kind = 'reassigned'"
    );
    assert_eq!(count(&mut conn, &told), 3);
    // Back again: without the old password.
    let back = patch(&admin, &format!("/people/{from}"), &json!({"active": true})).with(200);
    assert_eq!((&back["active"], &back["activated"]), (&json!(true), &json!(false)));
}

#[test]
fn the_last_administrator_stays() {
    // In a city of their own: there is one administrator there, or all but one are made something else.
    let city = City::start();
    let mut conn = city.conn();
    let phone = city.phone_of("admin", "350300");
    conn.batch_execute(&format!(
        "UPDATE people SET role = 'planner' WHERE role = 'admin' AND phone <> '{phone}'"
    ))
    .expect("one left");
    let admin = city.caller(&phone);
    let me = id_of(&admin.get("/me").with(200));
    patch(&admin, &format!("/people/{me}"), &json!({"role": "planner"})).refused(409, "last_admin");
    let to = text(&mut conn, "SELECT min(id::text) AS value FROM people WHERE role = 'planner'");
    admin.post(&format!("/people/{me}/leave"), &json!({"to": to})).refused(409, "last_admin");
}
